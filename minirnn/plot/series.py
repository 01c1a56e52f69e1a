"""A series and its forecasts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.plot.common import STYLES, axes_or_new
from minirnn.protocol import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def forecast(
    time: Array, actual: Array, forecasts: Mapping[str, tuple[Array, Array]],
    split: Any = None, ylabel: str = "", ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw a series and forecasts of it.

    time, actual: (N,), the truth. forecasts: label to (times, values). split: the time at which the
    training part ends, drawn as a vertical line.
    """
    time, actual = _series(time, actual, "actual")
    if not isinstance(forecasts, Mapping):
        got = type(forecasts).__name__
        raise TypeError(f"forecasts: expected label to (times, values), got {got}")
    lines = {}
    for label, pair in forecasts.items():
        name = f"forecasts[{label!r}]"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"{name}: expected (times, values), got {type(pair).__name__}")
        lines[str(label)] = _series(*pair, name)
    ax = axes_or_new(ax, 10, 4.5)
    ax.plot(time, actual, color="black", linewidth=1.6, label="actual")
    for k, (label, (when, values)) in enumerate(lines.items()):
        every, style = max(1, len(values) // 150), STYLES[k % len(STYLES)]
        ax.plot(when, values, label=label, markersize=3.5, markevery=every, linewidth=1.2, **style)
    if split is not None:
        ax.axvline(split, color="grey", linewidth=1)
        ax.annotate(
            "training | test", (split, 1), (0, -4), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", va="top", color="dimgrey", fontsize=9,
            backgroundcolor="white",
        )  # fmt: skip
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left")
    return ax


def _series(time: Any, values: Any, name: str) -> tuple[Array, Array]:
    """Numbers (N,) and their times (N,), which may be dates."""
    values, time = checks.floats(values, name), np.asarray(time)
    if values.ndim != 1 or time.shape != values.shape:
        got = f"{checks.shape_text(values.shape)} at {checks.shape_text(time.shape)}"
        raise ValueError(f"{name}: expected values (N,) at times (N,), got {got}")
    return time, values
