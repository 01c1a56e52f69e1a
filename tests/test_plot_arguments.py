"""Each wrong argument of a picture is named, with what was expected, and nothing is drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minirnn as mr
from minirnn import plot

TRACED = {"i": np.ones((4, 2, 3)), "o": np.ones(4)}
ARGUMENTS = {
    "lines": (lambda: plot.curves([1, 2], "x", "y"), TypeError, "lines: expected a dictionary"),
    "no lines": (lambda: plot.curves({}, "x", "y"), TypeError, "lines: .*, got none"),
    "a line": (
        lambda: plot.curves({"a": "text"}, "x", "y"), TypeError, r"lines\['a'\]: expected real num"
    ),
    "a line of two axes": (
        lambda: plot.curves({"a": np.ones((2, 3))}, "x", "y"), ValueError,
        r"lines\['a'\]: expected shape \(N,\), got \(2, 3\)",
    ),
    "x": (
        lambda: plot.curves({"a": [1, 2]}, "x", "y", [1, 2, 3]), ValueError,
        r"x: expected shape \(2,\), as for 'a', got \(3,\)",
    ),
    "histories": (lambda: plot.losses([1]), TypeError, "histories: expected a dictionary"),
    "norms": (lambda: plot.gradient_norms({}), TypeError, "norms: expected a dictionary"),
    "measured": (lambda: plot.jacobians(3), TypeError, "measured: expected what measure.jacobians"),
    "biases": (lambda: plot.truncation_bias([1], None), TypeError, "biases: expected a dictionary"),
    "a history": (lambda: plot.history([1]), TypeError, "history: expected what mr.fit returns"),
    "no history": (lambda: plot.history(mr.History()), TypeError, "history: .*got no epochs"),
    "a matrix": (
        lambda: plot.confusion([[1, 2]]), ValueError, r"matrix: expected shape \(V, V\).*\(1, 2\)"
    ),
    "a negative count": (lambda: plot.confusion([[-1]]), ValueError, "matrix: .*at least 0"),
    "names of classes": (
        lambda: plot.confusion(np.eye(2), ["a"]), ValueError, "names: expected 2, .*got 1"
    ),
    "k2s": (
        lambda: plot.truncation_bias([1], {"a": [1, 2]}), ValueError, r"k2s: expected shape \(2,\)"
    ),
    "open_": (
        lambda: plot.saturation([1, 2], [1]), ValueError, r"open_: expected shape \(2,\)"
    ),
    "tokens": (lambda: plot.heat(np.ones((3, 2)), 5), TypeError, "tokens: expected a list, got in"),
    "traced": (lambda: plot.gates(5, "i"), TypeError, "traced: expected arrays by name"),
    "a gate": (
        lambda: plot.gates(TRACED, "o"), ValueError, r"traced\['o'\]: expected shape \(T, B, H\)"
    ),
    "names": (lambda: plot.gates(TRACED, 5), TypeError, "names: expected a list"),
    "no names": (lambda: plot.gates(TRACED, ""), ValueError, "names: expected letters of"),
    "row": (lambda: plot.gates(TRACED, "i", row=2), ValueError, "row: .* below 2, got 2"),
    "unit": (lambda: plot.gates(TRACED, "i", unit="a"), TypeError, "unit: .*, got 'a'"),
    "tokens of gates": (
        lambda: plot.gates(TRACED, "i", tokens="abc"), ValueError, "tokens: expected 4, one a step"
    ),
    "errors": (
        lambda: plot.error_map({"a": [1, 2], "b": [1]}), ValueError,
        r"errors\['b'\]: expected shape \(2,\)",
    ),
    "source": (
        lambda: plot.attention(np.ones((2, 3)), 3, "ab"), TypeError, "source: expected a list"
    ),
    "W_h": (
        lambda: plot.eigenvalues([[np.nan]]), ValueError, "W_h: expected finite numbers, got nan"
    ),
    "model": (lambda: plot.unrolled(3, np.ones(3)), TypeError, "model: expected a layer, got 3"),
    "actual": (
        lambda: plot.forecast([1, 2], [1], {}), ValueError,
        r"actual: expected values \(N,\) at times \(N,\), got \(1,\) at \(2,\)",
    ),
    "forecasts": (
        lambda: plot.forecast([1], [1], [2]), TypeError, "forecasts: expected label to"
    ),
    "a forecast": (
        lambda: plot.forecast([1], [1], {"a": [1]}), TypeError, r"forecasts\['a'\]: expected \(t"
    ),
    "ax": (lambda: plot.losses({"a": [1]}, ax=5), TypeError, "ax: expected an Axes .*, got 5"),
    "ax of save": (lambda: plot.save(5, "a.png"), TypeError, "ax: expected an Axes or a Figure"),
    "path": (lambda: plot.save(plt.gca(), 5), TypeError, "path: expected the name of a file"),
    "ending": (
        lambda: plot.save(plt.gca(), "a.txt"), ValueError, "path: expected .* endings .*'a.txt'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_wrong_argument_is_named(name):
    call, error, words = ARGUMENTS[name]
    open_before = len(plt.get_fignums())
    with pytest.raises(error, match=words):
        call()
    if "path" not in words:  # save is given a figure
        assert len(plt.get_fignums()) == open_before
    plt.close("all")


def test_every_forecast_is_drawn_however_many_there_are():
    time = np.arange(3)
    ax = plot.forecast(time, time, {str(k): [time, time + k] for k in range(7)})
    assert len(ax.get_lines()) == 8
    plt.close("all")
