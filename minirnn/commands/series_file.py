"""From the table of a user to a series in equal steps, with all that is odd in it said."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.datasets.dates import (
    ORDERS,
    Steps,
    calendar,
    decimal_years,
    moved,
    order_of,
    read_date,
    steps_of,
)
from minirnn.datasets.table import Table, is_numeric
from minirnn.protocol import Array

LEAST, MOST = 40, 30_000  # rows
TIMES = ("time", "date", "datetime", "timestamp", "year", "month", "day", "week", "quarter", "")


class Series(NamedTuple):
    """A series in equal steps."""

    names: list[str]  # of the columns of values
    values: Array  # (T, D), the first column is to be forecast; NaN where a value is missing
    known: Array  # (T + n, F): columns known in advance, of n rows after the last value too
    times: Array | None  # (T,), datetime64[s] or numbers
    steps: Steps | None
    season: int  # that is usual for such steps; 1 for none
    notes: list[str]  # what was found, in words


def read_series(
    table: Table, column: str | None, inputs: list[str], known: list[str], time: str | None,
    order: str | None, ignore_times: bool,
) -> Series:  # fmt: skip
    """The series in a table. Raises ValueError with the line for what cannot be one."""
    when = None if ignore_times else find_times(table, time, order, column)
    column = the_column(table, column, when[0] if when else None)
    names = list(dict.fromkeys([column, *inputs]))
    if doubly := set(names) & set(known):
        raise ValueError(f"--known: {sorted(doubly)[0]!r} cannot be known in advance as well")
    values = np.stack([table.numbers(name) for name in names], axis=1)
    ahead = np.stack([np.empty(len(values)), *(table.numbers(name) for name in known)], axis=1)[
        :, 1:
    ]
    notes = []
    if when is None:
        times: Array | None = None
        steps, season = None, 1
        notes.append("no dates: the rows are taken as equal steps")
    else:
        name, times, season = when
        if times.dtype.kind == "M":
            _check_order(table, name, times)
            steps = steps_of(times)
            if steps is None:
                raise ValueError(_unequal(table, name, times))
            season = steps.season()
            values, ahead, times, note = _with_missing_rows(values, ahead, times, steps)
            notes.append(f"dates in {name!r}: one step is {steps.name()}{note}")
        else:
            steps = None
            a_year = f": {season} steps a year" if season > 1 else ""
            notes.append(f"times in {name!r}{a_year}")
    values, ahead, times = _ends(table, values, ahead, times, notes)
    _report_missing(table, names, values, notes)
    return Series(names, values, ahead, times, steps, season, notes)


def the_column(table: Table, column: str | None, time: str | None) -> str:
    """The column to be forecast: the one named, or the only one with numbers."""
    if column is not None:
        return table.names[table.place(column)]
    found = [n for n in table.names if n and n != time and is_numeric(table, n)]
    if len(found) == 1:
        return found[0]
    if not found:
        rest = [n for n in table.names if n != time]
        if len(rest) == 1:
            table.numbers(rest[0])  # which says what is wrong with it
        raise ValueError(f"{table.file}: no column of numbers; it has {', '.join(table.names)}")
    raise ValueError(f"--column: expected one of {', '.join(map(repr, found))}, got none")


def find_times(
    table: Table, name: str | None, order: str | None, column: str | None
) -> tuple[str, Array, int] | None:
    """The name of the column that says when, its times, and how many of them make a year, if they
    are such numbers as 1949.083. None if there is no such column."""
    own = None if column is None else table.place(column)
    if name is not None:
        found = _dates(table, table.place(name), order) or _years(table, table.place(name))
        if found is None:
            raise ValueError(_no_dates(table, table.place(name)))
        return found
    for k in range(len(table.names)):
        if k != own and (found := _dates(table, k, order, only_texts=True)):
            return found
    for k, text in enumerate(table.names):
        if k != own and text.lower() in TIMES and (found := _years(table, k)):
            return found
    return None


def _dates(
    table: Table, k: int, order: str | None, only_texts: bool = False
) -> tuple[str, Array, int] | None:
    texts = [row[k] for row in table.rows]
    named = table.names[k].lower() in TIMES and table.names[k] != ""
    if only_texts and not named and all(text.strip().isdecimal() for text in texts[:5]):
        return None  # whole numbers may be anything
    if read_date(texts[0], order or "dmy") is None and read_date(texts[0], "mdy") is None:
        return None
    order = order or order_of(texts)
    if order is None:
        raise ValueError(
            f"{table.file}: column {table.names[k]!r}: does {texts[0].strip()!r} begin with the "
            f"day or the month? say --dates {' or --dates '.join(ORDERS)}"
        )
    dates = [read_date(text, order) for text in texts]
    if None in dates:
        many = sum(d is None for d in dates) > len(dates) / 2
        if only_texts and (many or is_numeric(table, table.names[k])):
            return None
        raise ValueError(_no_dates(table, k, dates.index(None)))
    return table.names[k], np.array(dates, "datetime64[s]"), 1


def _years(table: Table, k: int) -> tuple[str, Array, int] | None:
    if not is_numeric(table, table.names[k]):
        return None
    values = table.numbers(table.names[k])
    if len(values) < 3:
        return None
    n = decimal_years(values)
    even = np.allclose(np.diff(values), values[-1] - values[-2], rtol=1e-6, atol=0)
    return (table.names[k], values, max(n, 1)) if n or (even and values[-1] > values[0]) else None


def _no_dates(table: Table, k: int, n: int = 0) -> str:
    text = table.rows[n][k].strip()
    return (
        f"{table.file}: line {table.lines[n]}: column {table.names[k]!r}: expected a date such as "
        f"2020-01-31, got {text!r:.40}; correct it, or say --ignore-times"
    )


def _check_order(table: Table, name: str, times: Array) -> None:
    """Raise ValueError for dates that are not each later than the one before."""
    wrong = np.flatnonzero(np.diff(times) <= np.timedelta64(0, "s"))
    if not len(wrong):
        return
    n = int(wrong[0])
    a, b = table.lines[n], table.lines[n + 1]
    first, second = (table.rows[k][table.place(name)].strip() for k in (n, n + 1))
    where = f"{table.file}: line {b}: the date {second!r} in {name!r}"
    if times[n] == times[n + 1]:
        raise ValueError(
            f"{where} is that of line {a} again; keep one of them, or, if the file holds several "
            "series, choose one with --where COLUMN=VALUE"
        )
    if len(wrong) == len(times) - 1:
        hint = "the newest stands first: turn the lines round"
    else:
        hint = "sort the lines by date, or choose one of several series with --where COLUMN=VALUE"
    raise ValueError(f"{where} is before {first!r} of line {a}; {hint}")


def _unequal(table: Table, name: str, times: Array) -> str:
    """What is said of dates without a common step."""
    if len(times) < 3:
        return f"{table.file}: expected at least {LEAST} rows, got {len(times)}"
    gaps = np.diff(times).astype(np.int64)
    values, counts = np.unique(gaps, return_counts=True)
    usual = int(values[counts.argmax()])
    n = int(np.flatnonzero(gaps % usual)[0]) + 1
    step = Steps(gaps, "second", usual).name()
    return (
        f"{table.file}: line {table.lines[n]}: the dates in {name!r} are not equally far apart: "
        f"the usual step is {step}, and {table.rows[n][table.place(name)].strip()!r} does not "
        "lie on it; bring the rows to equal steps (their mean by the day, say), or take them as "
        "equal steps with --ignore-times"
    )


def _with_missing_rows(
    values: Array, known: Array, times: Array, steps: Steps
) -> tuple[Array, Array, Array, str]:
    """The arrays with a row of NaN for each date that is missing, and that in words."""
    T, n = len(times), int(steps.positions[-1]) + 1
    if n == T:
        return values, known, times, ""
    if n > 2 * T:
        raise ValueError(
            f"the dates leave out {n - T} of {n} steps of {steps.name()}, more than there are; "
            "bring the rows to larger steps, or take them as equal steps with --ignore-times"
        )
    whole = []
    for a in (values, known):
        wider = np.full((n, a.shape[1]), np.nan)
        wider[steps.positions] = a
        whole.append(wider)
    first = np.setdiff1d(np.arange(n), steps.positions)[0]
    dates = moved(times[0], steps, np.arange(n))
    dates[steps.positions] = times
    note = f"; missing rows: {n - T}, the first {in_words(dates[first], steps)}"
    return whole[0], whole[1], dates, note


def _ends(
    table: Table, values: Array, known: Array, times: Array | None, notes: list[str]
) -> tuple[Array, Array, Array | None]:
    """Without the rows before all columns have a value, and after the last one that is to be
    forecast; and without the oldest rows of a very long series."""
    there = np.isfinite(values)
    if not there.any(axis=0).all():
        raise ValueError(f"{table.file}: a column of --column or --inputs holds no number")
    begin = int(there.argmax(axis=0).max())
    end = int(np.flatnonzero(there[:, 0])[-1]) + 1
    if begin:
        notes.append(f"rows at the beginning before every column has a value, left out: {begin}")
    if end < len(values):
        kept = " (their known columns are kept)" if known.shape[1] else ""
        notes.append(f"rows without a value at the end, left out: {len(values) - end}{kept}")
    if end - begin > MOST:
        notes.append(f"a long series: the last {MOST} of {end - begin} rows are taken")
        begin = end - MOST
    return values[begin:end], known[begin:], None if times is None else times[begin:end]


def _report_missing(table: Table, names: list[str], values: Array, notes: list[str]) -> None:
    if len(values) < LEAST:
        raise ValueError(
            f"{table.file}: too short: expected at least {LEAST} rows with a value, got "
            f"{len(values)}; a naive forecast is the best one can do"
        )
    for name, column in zip(names, values.T, strict=True):
        gaps = int(np.isnan(column).sum())
        if gaps > len(column) / 2:
            raise ValueError(
                f"{table.file}: column {name!r}: {gaps} of {len(column)} values are missing, more "
                "than half; choose another column or larger steps"
            )
        if np.nanmin(column) == np.nanmax(column):
            raise ValueError(
                f"{table.file}: column {name!r} is constant, {column[0]:g} in all rows: there is "
                "nothing to forecast; choose another column"
            )
        if gaps:
            notes.append(f"missing values in {name!r}: {gaps} of {len(column)}; they do not count")


def in_words(when: Any, steps: Steps | None) -> str:
    """A date as short as its step allows; a number as it is."""
    if not isinstance(when, np.datetime64):
        return f"{when:.7g}" if isinstance(when, (float, np.floating)) else str(when)
    short = steps is None or steps.unit != "second" or steps.step % 86400 == 0
    day = when.astype("datetime64[D]")
    if steps is not None and steps.unit == "month":
        if steps.step % 12 == 0 and day == day.astype("datetime64[Y]"):
            return str(when.astype("datetime64[Y]"))
        if day == day.astype("datetime64[M]"):
            return str(when.astype("datetime64[M]"))
    return str(day) if short else str(when.astype("datetime64[m]")).replace("T", " ")


def seasonal(values: Array, season: int) -> bool:
    """Whether a season is to be seen in rows of the training part (T,): whether changes from step
    to step are like those one season before."""
    if season < 2 or len(values) < 3 * season:
        return False
    change = np.diff(values)
    a, b = change[season:], change[:-season]
    there = np.isfinite(a) & np.isfinite(b)
    if there.sum() < 12 or np.std(a[there]) == 0 or np.std(b[there]) == 0:
        return False
    alike = float(np.corrcoef(a[there], b[there])[0, 1])
    return alike > max(0.2, 2 / np.sqrt(there.sum()))


def calendar_of(own: Series, season: int, T: int, training: int) -> Array:
    """What the calendar tells of T rows from the first on, (T, F): the place in the season, and of
    dates the week and the year where there are enough of them."""
    columns = [np.empty((T, 0))]
    if season > 1:
        turn = 2 * np.pi * np.arange(T) / season
        columns.append(np.stack([np.sin(turn), np.cos(turn)], axis=1))
    if own.steps is not None and own.times is not None and own.steps.unit != "month":
        dates = np.concatenate([own.times, later(own, T - len(own.times))])
        length = (own.times[training - 1] - own.times[0]).astype(np.int64) / 86400  # days
        step = 1.0 if own.steps.unit == "weekday" else own.steps.step / 86400
        periods = [
            name
            for name, days, count in (("day", 1, 4), ("week", 7, 4), ("year", 365, 2))
            if 2 * step <= days and length >= count * days and season != round(days / step)
        ]
        columns.append(calendar(dates, periods))
    return np.concatenate(columns, axis=1)


def later(own: Series, n: int) -> Array:
    """The times of the n rows after the last."""
    T = len(own.values)
    if own.times is None:
        return np.arange(T + 1, T + n + 1)
    if own.steps is None:
        return own.times[-1] + (own.times[-1] - own.times[0]) / (T - 1) * np.arange(1, n + 1)
    return moved(own.times[0], own.steps, np.arange(T, T + n))
