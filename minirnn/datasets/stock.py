"""Daily prices of a share."""

from __future__ import annotations

import csv

import numpy as np

from minirnn.datasets.files import find
from minirnn.datasets.texts import read
from minirnn.protocol import Array


def load(progress: bool | None = None) -> tuple[Array, Array]:
    """Microsoft 2012 to 2017: days (1509,) as datetime64[D], and the mean of the open, high, low
    and close price (1509,), in dollars."""
    path = find("msft/MSFT_2012_2017.csv", progress)
    try:
        rows = list(csv.DictReader(read(path).splitlines()))
    except csv.Error as error:
        raise ValueError(f"{path}: not a table of values with commas ({error})") from None
    days, prices = [], []
    for number, row in enumerate(rows, 2):
        try:
            days.append(np.datetime64(row["Date"], "D"))
            prices.append(np.mean([float(row[k]) for k in ("Open", "High", "Low", "Close")]))
        except (KeyError, ValueError, TypeError) as error:
            expected = "expected Date, Open, High, Low, Close"
            raise ValueError(f"{path}: line {number}: {expected} ({error!r})") from None
    if not np.isfinite(prices).all() or len(prices) < 2:
        raise ValueError(f"{path}: expected at least two days of finite prices")
    return np.array(days), np.array(prices)
