"""Pictures are drawn on the axes that one gives, and never shown."""

import matplotlib.pyplot as plt
import numpy as np

from minirnn import plot


def test_forecast_draws_on_the_given_axes_and_returns_them(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: 1 / 0)
    _, ax = plt.subplots()
    time = np.arange(5)
    lines = {"a": (time[2:], time[2:] + 0.5), "b": (time[3:], time[3:])}
    assert plot.forecast(time, time, lines, split=2, ylabel="pints", ax=ax) is ax
    assert ax.get_ylabel() == "pints"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["actual", "a", "b"]
    plt.close("all")


def test_lines_can_be_told_apart_without_colour():
    time = np.arange(3)
    ax = plot.forecast(time, time, {str(k): (time, time + k) for k in range(4)})
    styles = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines()}
    assert len(styles) == 5
    plt.close("all")
