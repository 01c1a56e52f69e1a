"""Dates in a table: read them, find the step from one to the next, and what rows are missing."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.protocol import Array

ISO = re.compile(  # but 1960.25 is a number
    r"(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?"
    r"(?:Z|[+-]\d{2}:?\d{2})?)?)?)?"
)
DAY_MONTH = re.compile(
    r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?:,?[T ]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?"
)
QUARTER = re.compile(r"(\d{4})[-: /]?Q([1-4])|Q([1-4])[-: /]?(\d{4})", re.IGNORECASE)
WEEK = re.compile(r"(\d{4})-?W(\d{2})(?:-?([1-7]))?")
COMPACT = re.compile(r"((?:1[5-9]|20|21)\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
NAMED = re.compile(r"(?:(\d{1,2})[ -])?([A-Za-z]{3,9})\.?[ -](?:(\d{1,2}),?[ -])?(\d{4})")
DECIMAL = re.compile(r"\d{4}\.\d*")
ORDERS = ("dmy", "mdy")


def read_date(text: str, order: str = "dmy") -> datetime.datetime | None:
    """A date, or None for a text that is none.

    2020, 2020-01, 2020-01-31, 2020/01/31 00:00, 2020Q1, 2020-W05, 20200131, Jan 1 2020,
    31-Jan-2020, Jan 2020; and 31.01.2020 or 31/01/2020, whose order of day and month is
    ``order``. The zone of a time is not looked at.
    """
    text = text.strip()
    try:
        if (found := ISO.fullmatch(text)) and not DECIMAL.fullmatch(text):
            y, *rest = (int(v) if v else None for v in found.groups())
            return _moment(y, *rest)
        if found := DAY_MONTH.fullmatch(text):
            a, b, y, *rest = (int(v) if v else None for v in found.groups())
            return _moment(y, *((b, a) if order == "dmy" else (a, b)), *rest)
        if found := QUARTER.fullmatch(text):
            return _moment(int(found[1] or found[4]), 3 * int(found[2] or found[3]) - 2)
        if found := WEEK.fullmatch(text):
            return datetime.datetime.fromisocalendar(
                int(found[1]), int(found[2]), int(found[3] or 1)
            )
        if found := COMPACT.fullmatch(text):
            return _moment(*map(int, found.groups()))
        if (found := NAMED.fullmatch(text)) and found[2][:3].lower() in MONTHS:
            month = MONTHS.index(found[2][:3].lower()) + 1
            return _moment(int(found[4]), month, int(found[1] or found[3] or 1))
    except ValueError:  # the 30th of February
        return None
    return None


def _moment(y: int | None, *rest: int | None) -> datetime.datetime:
    month, day, hour, minute, second = (*rest, *(None,) * 5)[:5]
    month, day = (1 if part is None else part for part in (month, day))
    return datetime.datetime(y or 0, month, day, hour or 0, minute or 0, second or 0)


def order_of(texts: list[str]) -> str | None:
    """Whether days or months come first in dates such as 31/01/2020; None if nothing tells. It is
    told by a number above 12, by points (31.01.2020), or by equal steps in one order only."""
    found = [m for text in texts if (m := DAY_MONTH.fullmatch(text.strip()))]
    if found and all("." in m[0][:6] for m in found):
        return "dmy"
    for order, place in (("dmy", 1), ("mdy", 2)):
        if any(int(m[place]) > 12 for m in found):
            return order
    fit = [order for order in ORDERS if _even([read_date(text, order) for text in texts])]
    return fit[0] if len(fit) == 1 else None if found else "dmy"


def _even(dates: list[datetime.datetime | None]) -> bool:
    """Whether dates are in order, and at least half of the steps between the ends are there."""
    if None in dates:
        return False
    times = np.array(dates, "datetime64[s]")
    if not (np.diff(times) > np.timedelta64(0, "s")).all():
        return False
    steps = steps_of(times)
    return steps is not None and steps.positions[-1] < 2 * len(times)


class Steps(NamedTuple):
    """How the rows of a series lie in time."""

    positions: Array  # (T,): the place of each row among equal steps, from 0
    unit: str  # "month", "second", or "weekday" (Monday to Friday)
    step: int  # of these units

    def name(self) -> str:
        """Such as "1 month" or "30 minutes"."""
        n, unit = self.step, self.unit
        larger = {
            "month": (("year", 12), ("quarter", 3)),
            "second": (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60)),
        }
        for other, size in larger.get(unit, ()):  # fmt: skip
            if n % size == 0:
                n, unit = n // size, other
                break
        return f"{n} {unit}{'s' if n > 1 else ''}"

    def season(self) -> int:
        """The usual season of such steps, in steps: a year of months, a week of days, and so on."""
        usual = {("month", 1): 12, ("month", 3): 4, ("second", 604800): 52, ("weekday", 1): 5,
                 ("second", 86400): 7}  # fmt: skip
        if self.unit == "second" and self.step < 86400 and 86400 % self.step == 0:
            return 86400 // self.step
        return usual.get((self.unit, self.step), 1)


def steps_of(times: Array) -> Steps | None:
    """The equal steps that dates (T,), datetime64[s] and each later than the one before, lie on;
    None if they lie on none."""
    if len(times) < 3:
        return None
    days = times.astype("datetime64[D]")
    months = times.astype("datetime64[M]")
    day = (days - months.astype("datetime64[D]")).astype(int)
    last = (months + 1).astype("datetime64[D]") - 1 == days
    clock = (times - days).astype(int)
    if np.ptp(clock) == 0 and (np.ptp(day) == 0 or last.all()):
        found = _grid(months.astype(np.int64))
        if found is not None and np.diff(months.astype(np.int64)).min() > 0:
            return Steps(found[0], "month", found[1])
    found = _grid(times.astype(np.int64))
    if found is None:
        return None
    weekday = (days.astype(np.int64) + 3) % 7
    if found[1] == 86400 and weekday.max() < 5 and len(days) > 10:
        return Steps(np.busday_count(days[0], days), "weekday", 1)
    return Steps(found[0], "second", found[1])


def _grid(at: Array) -> tuple[Array, int] | None:
    """The places of whole numbers on a grid, whose step is their most frequent distance."""
    values, counts = np.unique(np.diff(at), return_counts=True)
    step = int(values[counts.argmax()])
    places, rest = np.divmod(at - at[0], step)
    return (places, step) if not rest.any() else None


def decimal_years(values: Array) -> int:
    """The steps in a year, for times such as 1949.083; 0 if they are no such times."""
    step = np.diff(values)
    if not np.isfinite(values).all() or len(values) < 3 or not (values > 1500).all():
        return 0
    if (values > 2200).any() or not (step > 0).all():
        return 0
    n = round(1 / float(np.median(step)))
    return n if n >= 1 and np.allclose(step * n, 1, atol=0.05 * n / 12) else 0


def moved(first: np.datetime64, steps: Steps, places: Array) -> Array:
    """The dates that lie at these places, (n,) datetime64[s], from a first one on."""
    if steps.unit == "weekday":
        day = first.astype("datetime64[D]")
        return np.busday_offset(day, places, roll="forward").astype("datetime64[s]")
    if steps.unit == "month":
        month = first.astype("datetime64[M]") + places * steps.step
        day = first.astype("datetime64[D]")
        at_end = day + 1 == (first.astype("datetime64[M]") + 1).astype("datetime64[D]")
        rest = first - first.astype("datetime64[M]").astype("datetime64[s]")
        if at_end:
            clock = first - day.astype("datetime64[s]")
            return ((month + 1).astype("datetime64[D]") - 1).astype("datetime64[s]") + clock
        return month.astype("datetime64[s]") + rest
    return first + (places * steps.step).astype("timedelta64[s]")


def calendar(times: Any, periods: Sequence[str]) -> Array:
    """Inputs that are known in advance, from dates (T,): a sine and a cosine for each period.

    times: datetime64. periods: of "day" (the time of day), "week" (the day of the week), "year"
    (the day of the year). Returns (T, 2 * len(periods)).
    """
    when = times.to_numpy() if hasattr(times, "to_numpy") else times  # a column of pandas
    if not isinstance(when, np.ndarray) or when.dtype.kind != "M" or when.ndim != 1:
        got = f"{when.dtype} {when.shape}" if isinstance(when, np.ndarray) else f"{times!r:.80}"
        raise TypeError(f"times: expected dates (T,) as datetime64, got {got}")
    if np.isnat(when).any():
        raise ValueError("times: expected dates (T,), got NaT among them")
    if not isinstance(periods, (list, tuple)):
        raise TypeError(f"periods: expected a list of names, got {periods!r:.80}")
    days = when.astype("datetime64[s]").astype(np.int64) / 86400
    year = when.astype("datetime64[Y]")
    in_year = days - year.astype("datetime64[D]").astype(np.int64)
    length = (year + 1).astype("datetime64[D]").astype(np.int64) - (days - in_year)
    shares = {"day": days % 1, "week": (days + 3) / 7 % 1, "year": in_year / length}
    turns = [2 * np.pi * shares[checks.choice(p, "periods", shares)] for p in periods]
    waves = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
    return np.stack(waves, axis=1) if waves else np.empty((len(when), 0))
