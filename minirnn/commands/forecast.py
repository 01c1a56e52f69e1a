"""``minirnn forecast FILE``: forecast a series of your own, and say what the forecast is worth.

The file is a table of text (CSV) with a row for each time step, the oldest first. The last 20 % of
the rows are the test part, which decides nothing; the 15 % before it choose among networks and give
the interval. Small GRUs are trained on the rest and compared, at all origins of the test part, with
naive forecasts: the last value, the value one season before, a straight line. If one of them is
better, that is said: use it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.commands import forecasting
from minirnn.commands.common import positive, real_number, try_folder, whole_number
from minirnn.commands.forecasting import Network, Problem
from minirnn.commands.series_file import (
    Series,
    calendar_of,
    in_words,
    later,
    read_series,
    seasonal,
)
from minirnn.datasets import forecasts, rolling
from minirnn.datasets.dates import ORDERS
from minirnn.datasets.files import content
from minirnn.datasets.forecasts import Ends
from minirnn.datasets.rolling import Rolling
from minirnn.datasets.table import read_table
from minirnn.files.atomic import write
from minirnn.protocol import Array

VALIDATION, TEST = 0.15, 0.2  # shares of the rows
TEXTS = {"tab": "\t", "space": " ", "\\t": "\t"}


def add(sub: Any) -> None:
    own = sub.add_parser(
        "forecast",
        help="forecast a series of your own from a table (CSV), beside naive forecasts",
        description=__doc__,
        epilog="example: minirnn forecast sales.csv --column sales --season 12 --horizon 6",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own.add_argument("file", metavar="FILE", help="the table; - reads standard input")
    own.add_argument("--column", metavar="NAME", help="what to forecast: a name or a number from 1")
    own.add_argument(
        "--inputs", nargs="+", default=[], metavar="NAME",
        help="other columns to forecast from; only their past is used",
    )  # fmt: skip
    own.add_argument(
        "--known", nargs="+", default=[], metavar="NAME",
        help="columns that are known in advance, such as holidays; for a forecast after the last "
        "value, the file goes on with rows that hold these alone",
    )  # fmt: skip
    own.add_argument("--horizon", type=positive, default=1, metavar="N",
                     help="steps to forecast at once (default: %(default)s)")  # fmt: skip
    own.add_argument("--season", type=positive, metavar="N",
                     help="steps in a season, 1 for none (default: from the dates)")  # fmt: skip
    own.add_argument("--time", metavar="NAME", help="the column of dates (default: found)")
    own.add_argument("--dates", choices=ORDERS, help="the order of dates such as 31/01/2020")
    own.add_argument("--ignore-times", action="store_true", help="take the rows as equal steps")
    own.add_argument("--where", metavar="NAME=TEXT", help="only rows with this text in this column")
    own.add_argument("--delimiter", metavar="C", help="between columns (default: found)")
    own.add_argument("--decimal", choices=(".", ","), default=".", help="the decimal mark")
    own.add_argument(
        "--header", action=argparse.BooleanOptionalAction,
        help="whether the first line holds names (default: found)",
    )  # fmt: skip
    own.add_argument("--encoding", default="utf-8", help="of the file (default: %(default)s)")
    own.add_argument("--level", type=share, default=0.9, metavar="P",
                     help="share of values in the interval (default: %(default)s)")  # fmt: skip
    own.add_argument("--seed", type=whole_number, default=0, metavar="N",
                     help="of all that is random (default: %(default)s)")  # fmt: skip
    own.add_argument(
        "--out", type=Path, default=Path("out/forecast"), metavar="DIR",
        help="folder for picture, figures and networks (default: %(default)s)",
    )  # fmt: skip
    own.add_argument(
        "--json", type=Path, metavar="FILE",
        help="write all figures to this file (default: forecast.json in DIR)",
    )  # fmt: skip
    own.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    own.set_defaults(command=run)


def share(text: str) -> float:
    return real_number(text, "a number between 0 and 1", lambda n: 0 < n < 1)


def run(arguments: argparse.Namespace) -> int:
    """Read, train, compare, write; returns the exit code."""
    started = time.perf_counter()
    own = read(arguments)
    problem, notes = problem_of(own, arguments)
    for note in (*own.notes, *notes):
        print(note)
    print(*split_in_words(own, problem), sep="\n", flush=True)
    try_folder(arguments.out, "--out")
    if arguments.json is not None:
        try_folder(arguments.json.absolute().parent, "--json")
    network, validation, test = train(problem, arguments)
    table = compared(problem, network, validation, test, arguments.level)
    print("\n" + in_a_table(table, arguments.level))
    if (n := len(validation.rows)) + 1 < round(2 / (1 - arguments.level)):
        print(f"the first intervals are the range of {n} errors only, too few for so sure a word")
    verdict = judged(table)
    print("\n" + verdict)
    coming = ahead(problem, network, validation, test, arguments.level)
    print(*coming_in_words(own, coming, arguments.level), sep="\n", flush=True)
    seconds = time.perf_counter() - started
    report = report_of(arguments, own, problem, network, table, coming, verdict, seconds)
    files = save(arguments, network, report)
    files.append(picture(arguments, own, problem, table, coming))
    print(f"\n{seconds:.0f} s; files written:", *files, sep="\n  ")
    return 0


# ---- What is to be forecast ---------------------------------------------------------------------


def read(arguments: argparse.Namespace) -> Series:
    """The series of the file."""
    if arguments.file == "-":
        name, data = "standard input", content(sys.stdin.buffer, "standard input:")
    else:
        name = arguments.file
        with open(arguments.file, "rb") as file:
            data = content(file, f"{name}:")
    delimiter = arguments.delimiter
    delimiter = TEXTS.get(delimiter, delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise ValueError(f"--delimiter: expected one character or 'tab', got {delimiter!r}")
    table = read_table(
        data, name, delimiter, arguments.decimal, arguments.header, arguments.encoding
    )
    if arguments.where is not None:
        column, mark, text = arguments.where.partition("=")
        if not mark:
            raise ValueError(f"--where: expected NAME=TEXT, got {arguments.where!r:.80}")
        table = table.where(column, text)
    series = read_series(
        table, arguments.column, arguments.inputs, arguments.known, arguments.time,
        arguments.dates, arguments.ignore_times,
    )  # fmt: skip
    print(f"{name}: {len(series.values)} rows, forecasting {series.names[0]!r}")
    return series


def problem_of(own: Series, arguments: argparse.Namespace) -> tuple[Problem, list[str]]:
    """What the network has to do, and what was decided for it."""
    T, H = len(own.values), arguments.horizon
    validation, test = round(VALIDATION * T), round(TEST * T)
    begins = T - validation - test, T - test
    season, notes = arguments.season, []
    if season is None:
        season = own.season if seasonal(own.values[: begins[0], 0], own.season) else 1
        why = "from the step" if season > 1 else "none is to be seen in the training part"
        why = why if own.season > 1 else "no usual one for these steps; --season N names one"
        notes.append(f"season: {season} steps ({why})" if season > 1 else f"season: none ({why})")
    if season > begins[0] / 3:
        raise ValueError(
            f"--season: expected at most {begins[0] // 3}, a third of the {begins[0]} training "
            f"rows, got {season}"
        )
    if validation < H + 2:
        raise ValueError(
            f"--horizon: expected at most {validation - 2}, for the {validation} rows of the "
            f"validation part, got {H}; a longer series allows more"
        )
    dates = calendar_of(own, season, T + H, begins[0])
    known = _known(own, T, H, notes) if own.known.shape[1] else np.empty((T + H, 0))
    return Problem(own.values, np.concatenate([dates, known], axis=1), season, H, begins), notes


def _known(own: Series, T: int, H: int, notes: list[str]) -> Array:
    """The columns that are known in advance, (T + H, F). Where the file does not go on after the
    last value, the last row is repeated: then the forecast of these rows is a guess, and said to
    be."""
    known = own.known[: T + H]
    if np.isnan(known[:T]).any():
        row = int(np.argwhere(np.isnan(known[:T]))[0][0])
        raise ValueError(
            f"--known: expected a number in every row, since it is known in advance; row {row + 1} "
            "of the series has none"
        )
    there = int(np.flatnonzero(~np.isnan(known).any(axis=1))[-1]) + 1
    lacking = T + H - there
    if lacking:
        notes.append(
            f"--known: {lacking} of {H} rows after the last value are not in the file: the last "
            "row is repeated there; append rows that hold these columns alone"
        )
    return np.concatenate([known[:there], np.repeat(known[there - 1 : there], lacking, axis=0)])


def split_in_words(own: Series, problem: Problem) -> list[str]:
    """The three parts, by row and date."""
    T, (v, s) = len(problem.values), problem.begins
    lines = []
    for name, a, b in (("training", 0, v), ("validation", v, s), ("test", s, T)):
        dates = ""
        if own.times is not None:
            dates = (
                f", {in_words(own.times[a], own.steps)} to {in_words(own.times[b - 1], own.steps)}"
            )
        lines.append(f"{name + ':':<12}{b - a} rows{dates}")
    return lines


# ---- The network --------------------------------------------------------------------------------


def train(problem: Problem, arguments: argparse.Namespace) -> tuple[Network, Rolling, Rolling]:
    """The trained network and its forecasts; what was interrupted goes on from where it was."""
    epochs = 3 if arguments.quick else forecasting.EPOCHS
    plain = [mr.__version__, epochs, problem.season, problem.horizon, problem.begins]
    mark = hashlib.sha256(repr(plain).encode())
    mark.update(problem.values.tobytes() + problem.known.tobytes())
    folder = arguments.out / f"progress-{mark.hexdigest()[:12]}"
    if folder.is_dir():
        print("goes on from where an earlier run was stopped")
    folder.mkdir(parents=True, exist_ok=True)

    def tick(text: str) -> None:
        print(text, flush=True)

    try:
        found = forecasting.train(problem, arguments.seed, folder, tick, epochs)
    except BaseException as error:
        if not isinstance(error, Exception):
            print("\nthe same command goes on from here", file=sys.stderr)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return found


def compared(
    problem: Problem, network: Network, validation: Rolling, test: Rolling, level: float
) -> dict[str, Rolling]:
    """The network and the naive forecasts on the test part, all with intervals made alike, over
    the same origins."""
    values, (v, s), H = problem.values, problem.begins, problem.horizon
    found = {
        "network": rolling.intervals(
            test, validation, level, positive_and(network, validation, test)
        )
    }
    for name, naive in forecasts.naive(problem.season).items():
        before = rolling.rolling(naive, values, v, H, end=s, target=0)
        own = rolling.rolling(naive, values, s, H, target=0)
        at = np.searchsorted(own.rows, test.rows)
        own = Rolling(own.rows[at], own.forecast[:, at], own.actual[:, at])
        found[name] = rolling.intervals(own, before, level, positive_and(network, before, own))
    return found


def positive_and(network: Network, *results: Rolling) -> bool:
    """Whether errors are taken as quotients, which numbers above 0 allow."""
    above = all(np.nanmin(r.actual) > 0 and r.forecast.min() > 0 for r in results)
    return above and forecasting.grows(network)


def ahead(
    problem: Problem, network: Network, validation: Rolling, test: Rolling, level: float
) -> Ends:
    """The forecast of the rows after the last, each (H,), with all errors that are known now."""
    forecast = forecasting.ahead(problem, network)
    quotients = positive_and(network, validation, test) and bool((forecast > 0).all())
    errors = [rolling.errors_of(result, quotients) for result in (validation, test)]
    ends = rolling.quantiles(np.concatenate(errors, axis=1), level)
    low, high = (forecast * e if quotients else forecast + e for e in ends)
    return Ends(forecast[:, 0], low[:, 0], high[:, 0])


# ---- What is said and written -------------------------------------------------------------------


def in_a_table(table: dict[str, Rolling], level: float) -> str:
    n = len(table["network"].rows)
    head = (f"test part, {n} origins", "RMSE", "MAE", f"{100 * level:g} % interval covers", "width")
    rows = [
        (
            name,
            f"{r.rmse():.4g}",
            f"{r.mae():.4g}",
            f"{100 * r.coverage():.0f} %",
            f"{r.width():.4g}",
        )
        for name, r in table.items()
    ]
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head))]
    return "\n".join(
        row[0].ljust(widths[0])
        + "".join(f"   {c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))
        for row in (head, *rows)
    )


def judged(table: dict[str, Rolling]) -> str:
    """Whether the network is of use here."""
    naive = {name: r.rmse() for name, r in table.items() if name != "network"}
    best, own = min(naive, key=lambda name: naive[name]), table["network"].rmse()
    if own > naive[best]:
        return f"{best} is better here: use it (RMSE {naive[best]:.4g}, the network {own:.4g})"
    less = 100 * (1 - own / naive[best])
    if less < 1:
        return f"the network is as good as {best}, which is simpler: use that"
    return f"the network's RMSE is {less:.0f} % below that of the best naive forecast, {best}"


def coming_in_words(own: Series, coming: Ends, level: float) -> list[str]:
    when = later(own, len(coming.forecast))
    lines = [f"\nthe next {len(when)} steps, with the interval for {100 * level:g} %:"]
    for t, y, a, b in zip(when, *coming, strict=True):
        place = in_words(t, own.steps) if own.times is not None else f"row {t}"
        lines.append(f"{place}   {y:.5g}   ({a:.5g} to {b:.5g})")
    return lines if len(lines) <= 16 else [*lines[:13], f"... and {len(lines) - 13} more"]


def report_of(
    arguments: argparse.Namespace, own: Series, problem: Problem, network: Network,
    table: dict[str, Rolling], coming: Ends, verdict: str, seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """All figures, as JSON."""
    T, (v, s), H = len(problem.values), problem.begins, problem.horizon
    naive = {name: r.rmse() for name, r in table.items() if name != "network"}
    when = [in_words(t, own.steps) for t in later(own, H)]
    return {
        "file": arguments.file, "column": own.names[0], "inputs": own.names[1:],
        "known": arguments.known, "rows": T, "missing": int(np.isnan(own.values[:, 0]).sum()),
        "season": problem.season, "horizon": H, "window": forecasting.window_of(problem),
        "split": {"training": [0, v], "validation": [v, s], "test": [s, T]},
        "origins": len(table["network"].rows), "level": arguments.level,
        "test": {
            name: {
                "rmse": r.rmse(), "mae": r.mae(), "coverage": r.coverage(), "width": r.width(),
                "rmse_by_step": [
                    forecasting.rmse(f, a) for f, a in zip(r.forecast, r.actual, strict=True)
                ],
            }
            for name, r in table.items()
        },
        "best_naive": min(naive, key=lambda name: naive[name]),
        "network_is_better": table["network"].rmse() < min(naive.values()), "verdict": verdict,
        "forecast": [
            {"time": t, "value": y, "low": a, "high": b}
            for t, y, a, b in zip(when, *(e.tolist() for e in coming), strict=True)
        ],
        "network": {
            "parts": [
                {"file": f"network-{k + 1}.npz", "what": m.variant, "weight": w}
                for k, (m, w) in enumerate(zip(network.members, network.weights, strict=True))
            ],
            "naive": network.naive, "naive_weight": network.naive_weight,
        },
        "seed": arguments.seed, "quick": arguments.quick, "seconds": round(seconds, 1),
        "notes": own.notes, "minirnn": mr.__version__,
    }  # fmt: skip


def save(arguments: argparse.Namespace, network: Network, report: dict[str, Any]) -> list[Path]:
    """Write the figures and the networks; returns the files."""
    file = arguments.json or arguments.out / "forecast.json"
    write(file, (json.dumps(report, indent=2) + "\n").encode())
    files = [file]
    for part, m in zip(report["network"]["parts"], network.members, strict=True):
        about = m.about | {"column": report["column"], "weight": part["weight"]}
        mr.save(m.model, arguments.out / part["file"], about=about)
        files.append(arguments.out / part["file"])
    return files


def picture(
    arguments: argparse.Namespace, own: Series, problem: Problem, table: dict[str, Rolling],
    coming: Ends,
) -> Path:  # fmt: skip
    """Draw the test part, each value forecast once, and the rows to come."""
    from minirnn import plot

    H, T, r = problem.horizon, len(problem.values), table["network"]
    assert r.low is not None and r.high is not None
    every = slice((len(r.rows) - 1) % H, None, H)  # the last of them ends with the series
    times = np.arange(1, T + 1) if own.times is None else own.times
    times = np.concatenate([times, later(own, H)])
    rows = (r.rows[every] + np.arange(H)[:, None]).T.ravel()
    best = min((n for n in table if n != "network"), key=lambda n: table[n].rmse())
    lines = [a[:, every, 0].T.ravel() for a in (r.forecast, r.low, r.high, table[best].forecast)]
    first = max(0, problem.begins[1] - (T - problem.begins[1]) // 2)
    break_ = np.array([np.nan])
    when = np.concatenate([times[rows], times[T : T + 1], times[T:]])
    value, low, high = (
        np.concatenate([a, break_, b]) for a, b in zip(lines[:3], coming, strict=True)
    )
    naive = np.concatenate([lines[3], break_, np.full(H, np.nan)])
    ax = plot.interval(
        times[first:T], own.values[first:, 0], when, value, low, high, {best: naive},
        split=times[problem.begins[1]], label=f"network, {H} ahead" if H > 1 else "network",
        level=arguments.level, ylabel=textwrap.shorten(own.names[0], 40, placeholder=" ..."),
    )  # fmt: skip
    file: Path = arguments.out / "forecast.png"
    plot.save(ax, file)
    return file
