"""Daily prices of a share."""

from __future__ import annotations

import csv
import datetime
import io
import re
from pathlib import Path

import numpy as np

from minirnn.datasets.files import find
from minirnn.datasets.texts import read
from minirnn.protocol import Array

NAMES = ("Date", "Open", "High", "Low", "Close")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
PRICE = re.compile(r"[0-9]+(\.[0-9]*)?")  # float() would also take "1_0", "nan" and "-1"


def load(progress: bool | None = None) -> tuple[Array, Array]:
    """Microsoft 2012 to 2017: days (1509,) as datetime64[D], and the mean of the open, high, low
    and close price (1509,), in dollars.

    Raises ValueError with the number of the line for one that holds no later day than the line
    before, or no prices.
    """
    return read_prices(find("msft/MSFT_2012_2017.csv", progress))


def read_prices(path: Path) -> tuple[Array, Array]:
    """The days and mean prices of any such file, a table with commas and names at its head."""
    rows = csv.DictReader(io.StringIO(read(path), newline=""), strict=True)
    days: list[str] = []
    prices = []
    try:
        names = list(rows.fieldnames or [])
        if any(names.count(name) != 1 for name in NAMES):
            raise ValueError(f"got the columns {names!r:.80}")
        for row in rows:
            days.append(_day(row["Date"], days[-1:]))
            prices.append(np.mean([_price(row[name], name) for name in NAMES[1:]]))
            if None in row:
                raise ValueError(f"got more values than the {len(names)} of line 1")
    except (csv.Error, ValueError) as error:
        where = f"{path}: line {max(rows.reader.line_num, 1)}"
        raise ValueError(f"{where}: expected {', '.join(NAMES)} ({error})") from None
    if len(days) < 2:
        raise ValueError(f"{path}: expected at least two days of finite prices, got {len(days)}")
    return np.array(days, "datetime64[D]"), np.array(prices)


def _day(text: str | None, before: list[str]) -> str:
    """A day that is later than the one before."""
    if text is None or not DAY.fullmatch(text):
        raise ValueError(f"a Date is written as 2012-01-31, got {text!r:.40}")
    datetime.date.fromisoformat(text)  # ValueError for the 30th of February
    if before and text <= before[0]:
        raise ValueError(f"the Date {text} does not come after {before[0]}")
    return text


def _price(text: str | None, name: str) -> float:
    price = float(text) if text and PRICE.fullmatch(text) else 0.0
    if not 0 < price < np.inf:
        raise ValueError(f"{name}: finite prices are above 0, got {text!r:.40}")
    return price
