"""``minirnn NAME``: run an experiment, draw its pictures, print and write its figures."""

import argparse
import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minirnn.commands.common import duration, in_full, positive, try_folder, whole_number
from minirnn.experiments import Experiment, Result, Settings
from minirnn.files.atomic import write

EXPERIMENTS = (
    "series-predictor", "airline", "stock", "digits-rows", "mnist-rows", "mnist16", "cifar-rows",
    "pixel-mnist", "imdb", "polarity", "char-lm", "ptb", "translate", "dates", "next-digit", "cook",
    "reverse", "adding", "copy", "temporal-order", "parity", "reber", "odyssey", "vanishing",
    "output-recurrence", "spoken-digits", "speech",
)  # fmt: skip
LONG_LAGS = ("copy", "temporal-order", "parity")  # three tasks of one script, longlag.py


def add(sub: Any) -> None:
    for name in EXPERIMENTS:
        add_experiment(sub, name)
    own = sub.add_parser("list", help="list the experiments, their times and what they download")
    own.set_defaults(command=list_experiments)


def add_experiment(sub: Any, name: str) -> None:
    experiment, _ = find(name)
    own = sub.add_parser(
        name,
        help=experiment.title.replace("%", "%%"),  # to argparse a % begins a name
        description=module_of(name).__doc__,
        epilog=f"example: minirnn {name} --seed 1 --out {name}-run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(own, Path("out") / name)
    own.add_argument("--json", type=Path, metavar="FILE", help="write all figures to this file")
    for option, how in experiment.options.items():
        own.add_argument(f"--{option}", **how)
    own.set_defaults(command=run_experiment, name=name)


def add_options(own: argparse.ArgumentParser, out: Path) -> None:
    own.add_argument(
        "--out",
        type=Path,
        default=out,
        metavar="DIR",
        help="folder for the pictures, made if there is none (default: %(default)s)",
    )
    own.add_argument(
        "--seed",
        metavar="N",
        type=whole_number,
        default=0,
        help="of all that is random (default: %(default)s)",
    )
    own.add_argument(
        "--seeds",
        type=positive,
        default=1,
        metavar="N",
        help="run with N seeds from --seed on and give means and ranges",
    )
    own.add_argument("--epochs", type=positive, metavar="N", help="how long to train at most")
    own.add_argument("--quick", action="store_true", help="a short run, to see that it works")


def module_of(name: str) -> Any:
    """The script of an experiment."""
    file = "longlag" if name in LONG_LAGS else name.replace("-", "_")
    return importlib.import_module(f"minirnn.experiments.{file}")


def find(name: str) -> tuple[Experiment, Callable[..., Result]]:
    """What an experiment is, and the function that runs it."""
    module = module_of(name)
    if name in LONG_LAGS:
        return module.EXPERIMENTS[name], functools.partial(module.run, name=name)
    return module.EXPERIMENT, module.run


def run_experiment(arguments: argparse.Namespace) -> int:
    name, out, seeds, file = arguments.name, arguments.out, seeds_of(arguments), arguments.json
    experiment, _ = find(name)
    try_folder(out, "--out")
    if file is not None and file.is_dir():
        raise IsADirectoryError(f"--json: {file} is a folder")
    own = file is not None and (file.is_file() or not file.exists())  # no device, no pipe
    if own:
        try_folder(Path(os.path.realpath(file)).parent, "--json")
    print(f"{name}: {experiment.title}")
    if arguments.quick:
        print("a short run, to see that it works; do not trust its figures", flush=True)
    elif arguments.epochs is None and getattr(arguments, "text", None) is None:
        usual = duration(experiment.seconds * len(seeds))
        print(f"takes about {usual} on one core of a server", flush=True)
    before = contents(out)

    def keep(runs: list[Result], _: str) -> None:
        if own or (file is not None and len(runs) == len(seeds)):  # a pipe gets it once
            report = {
                "experiment": name,
                "unit": experiment.unit,
                "quick": arguments.quick,
                "seeds": {str(seed): run for seed, run in zip(seeds, runs, strict=False)},
            }
            write(file, (json.dumps(report, indent=2) + "\n").encode())

    drawn = draw(run_seeds(name, out, arguments, keep))
    written = [path for path, when in contents(out).items() if before.get(path) != when]
    if file is not None and file not in written:
        written.append(file)
    print("\n  ".join(["files written:" if written else "no files written", *map(str, written)]))
    return 0 if drawn else 1


class Waiting(Settings):
    """Settings whose pictures wait, until the figures are printed and written."""

    pictures: list[Callable[[], None]]

    def draw(self, picture: Callable[..., None], *arguments: Any) -> None:
        if self.out is not None:
            self.pictures.append(functools.partial(super().draw, picture, *arguments))


def run_seeds(
    name: str, out: Path, arguments: argparse.Namespace, keep: Callable[[list[Result], str], None]
) -> list[Callable[[], None]]:
    """Run an experiment with each seed, and print the table, be it of the seeds that were finished
    before an error. Returns what draws the pictures, of the first seed.

    keep(runs, note): called after each seed with the figures so far, and the seeds and the time in
    words.
    """
    experiment, run = find(name)
    options = {o: getattr(arguments, o) for o in experiment.options if hasattr(arguments, o)}
    seeds, started, note = seeds_of(arguments), time.perf_counter(), ""
    pictures: list[Callable[[], None]] = []
    runs: list[Result] = []
    try:
        for seed in seeds:
            settings = Waiting(seed, None if runs else out, arguments.epochs, arguments.quick, None)
            settings.pictures = pictures
            runs.append(run(settings, **options))
            seconds = time.perf_counter() - started
            note = f"{in_words(seeds[: len(runs)])}, {seconds:.{0 if seconds > 9 else 1}f} s"
            keep(runs, note)
    except FileNotFoundError as error:
        if experiment.data != "by hand":
            raise
        help_ = f"'minirnn {name} --help' says where the data are from."
        raise FileNotFoundError(f"{error} {help_}") from error
    finally:
        if runs:
            print(table(runs, experiment.unit, experiment.digits))
            own = options.get("text")  # the reference is of another text
            print("" if own else f"reference: {experiment.reference}\n\n", note, sep="", flush=True)
    return pictures


def draw(pictures: list[Callable[[], None]]) -> bool:
    """Draw the pictures; returns whether all could be drawn and written."""
    for picture in pictures:
        try:
            picture()
        except BrokenPipeError:
            raise
        except Exception as error:  # whatever it is, the figures are there
            print(f"minirnn: a picture is missing: {in_full(error)}", file=sys.stderr)
            return False
    return True


def seeds_of(arguments: argparse.Namespace) -> range:
    return range(arguments.seed, arguments.seed + arguments.seeds)


def in_words(seeds: range) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"


def contents(folder: Path) -> dict[Path, int]:
    """The files in a folder, and when they were written."""
    return {f: f.stat().st_mtime_ns for f in sorted(folder.iterdir()) if f.is_file()}


def table(runs: list[Result], unit: str, digits: str = ".1f") -> str:
    """Figures by model and part; over several seeds the mean and the range."""
    parts = list(dict.fromkeys(part for figures in runs[0].values() for part in figures))
    rows = [[unit, *parts]]
    for name in runs[0]:
        cells = []
        for part in parts:
            values = [run[name][part] for run in runs if part in run[name]]
            if not values:  # a baseline takes no time, say
                cells.append("-")
                continue
            mean, low, high = sum(values) / len(values), min(values), max(values)
            ends = [f"{value:{digits}}" for value in (low, high)]
            spread = f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else ""
            cells.append(f"{mean:{digits}}{spread}")
        rows.append([name, *cells])
    first, *widths = (max(len(text) for text in column) for column in zip(*rows, strict=True))
    return "\n" + "\n".join(
        name.ljust(first) + "".join(f"   {c:>{w}}" for c, w in zip(cells, widths, strict=True))
        for name, *cells in rows
    )


def list_experiments(arguments: argparse.Namespace) -> int:
    """The answer to ``minirnn list``, and to ``minirnn`` alone."""
    rows = [("experiment", "time", "download", "what it is")]
    for name in EXPERIMENTS:
        experiment, _ = find(name)
        rows.append((name, duration(experiment.seconds), experiment.data or "-", experiment.title))
    first, second, third, _ = (max(map(len, column)) for column in zip(*rows, strict=True))
    for name, usual, data, title in rows:
        print(f"{name:<{first}}  {usual:>{second}}  {data:<{third}}  {title}")
    print(
        """
Times are of one core of a server. Data are downloaded once, into a cache folder. "by hand": there
is no download; "minirnn NAME --help" says where the data are from.
"minirnn NAME" runs an experiment, "minirnn NAME --help" explains it, "minirnn gradcheck" checks
every gradient of every layer.

With a file of your own: "minirnn forecast FILE.csv" forecasts a series, "minirnn label FILE" learns
to label lines of text, "minirnn char-lm --text FILE" learns to write, and "minirnn write MODEL"
writes."""
    )
    return 0
