"""Monthly international airline passengers, 1949 to 1960: the data set of Box & Jenkins (1976).

G. E. P. Box and G. M. Jenkins, *Time Series Analysis: Forecasting and Control*, Series G. 144
values, from 112 to 622 thousand passengers, with a trend and a season that both grow.
"""

from __future__ import annotations

import csv
from importlib import resources

import numpy as np

from minirnn.protocol import Array


def load() -> tuple[Array, Array]:
    """The months (144,), as datetime64[M], and the passengers (144,), in thousands, as float64."""
    text = resources.files("minirnn.datasets").joinpath("airline.csv").read_text(encoding="utf-8")
    _, *rows = csv.reader(text.splitlines())
    months, passengers = zip(*rows, strict=True)
    return np.array(months, "datetime64[M]"), np.array(passengers, np.float64)
