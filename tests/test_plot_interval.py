"""The picture of a forecast with its interval."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minirnn import plot

DAYS = np.arange("2020-01-01", "2020-01-07", dtype="datetime64[D]")
RIGHT = {
    "time": DAYS[:4], "actual": [1, 2, np.nan, 4], "when": DAYS[2:], "forecast": [1, 2, np.nan, 3],
    "low": [0, 1, np.nan, 2], "high": [2, 3, np.nan, 5],
}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_lines_the_area_and_a_single_step_are_drawn():
    ax = plot.interval(**RIGHT, others={"naive": np.ones(4)}, split=DAYS[2], level=0.9, label="net")
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["actual", "90 % interval", "net", "naive"]
    (alone,) = [line for line in ax.lines if line.get_marker() == "o"]
    assert alone.get_ydata().tolist() == [3]  # the fourth stands by itself, behind a gap
    (bar,) = [c for c in ax.collections if hasattr(c, "get_segments")]
    assert bar.get_segments()[0][:, 1].tolist() == [2, 5]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"low": [3, 4, 5, 9]}, "low: expected numbers of at most high"),
        ({"forecast": [1, 2]}, r"forecast: expected values \(N,\) at times \(N,\)"),
        ({"others": [1]}, "others: expected label to forecasts, got list"),
        ({"others": {"a": [1]}}, r"others\['a'\]: expected values"),
        ({"split": "x"}, "split: expected one time, got 'x'"),
        ({"level": 2}, "level: expected a finite number in"),
        ({"ax": 1}, "ax: expected an Axes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, says):
    with pytest.raises((TypeError, ValueError), match=says):
        plot.interval(**RIGHT | change)
