"""A forecast with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.plot.common import STYLES, axes_or_new
from minirnn.protocol import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def interval(
    time: Array, actual: Array, when: Array, forecast: Array, low: Array, high: Array,
    others: Mapping[str, Array] | None = None, split: Any = None, label: str = "forecast",
    level: float | None = None, ylabel: str = "", ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw a series, and a forecast of it with the interval in which the truth should lie.

    time, actual: (N,), the truth, NaN where it is missing. when: (M,), the times of the forecast,
    with forecast, low and high (M,). others: label to forecasts (M,), naive ones say. split: the
    time at which the test part begins. level: the share of values that the interval promises.
    """
    time, actual = _line(time, actual, "actual")
    when, forecast = _line(when, forecast, "forecast")
    low, high = _line(when, low, "low")[1], _line(when, high, "high")[1]
    if (low > high).any():
        raise ValueError("low: expected numbers of at most high, got larger ones")
    if others is not None and not isinstance(others, Mapping):
        raise TypeError(f"others: expected label to forecasts, got {type(others).__name__}")
    lines = {str(label): forecast}
    lines |= {str(k): _line(when, v, f"others[{k!r}]")[1] for k, v in (others or {}).items()}
    share = None if level is None else checks.number(level, "level", 0, 1)
    mark = None if split is None else np.asarray(split)
    if mark is not None and (mark.ndim or mark.dtype.kind not in "biufM"):
        raise TypeError(f"split: expected one time, got {split!r:.80}")
    ax = axes_or_new(ax, 10, 4.5)
    ax.plot(time, actual, color="black", linewidth=1.4, label="actual")
    text = "interval" if share is None else f"{100 * share:g} % interval"
    ax.fill_between(
        when, low, high, color=STYLES[0]["color"], alpha=0.25, linewidth=0, label=text, zorder=1
    )
    alone = np.isfinite(forecast) & np.isnan(np.r_[np.nan, forecast[:-1]])
    alone &= np.isnan(np.r_[forecast[1:], np.nan])  # one step only: an area would have no width
    look: dict[str, Any] = {"color": STYLES[0]["color"], "linewidth": 1.2}
    ax.vlines(when[alone], low[alone], high[alone], alpha=0.6, **look)
    ax.plot(when[alone], forecast[alone], marker="o", markersize=4, linestyle="", **look)
    for k, (name, values) in enumerate(lines.items()):
        own = {**STYLES[k % len(STYLES)], "marker": "", "linewidth": 1.2}
        ax.plot(when, values, label=name, **own)
    if mark is not None:
        ax.axvline(split, color="grey", linewidth=1)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left", fontsize=8)
    return ax


def _line(time: Any, values: Any, name: str) -> tuple[Array, Array]:
    """Numbers (N,) and their times (N,), which may be dates."""
    values = checks.floats(values, name)
    dates = isinstance(time, np.ndarray) and time.dtype.kind == "M"
    time = time if dates else checks.floats(time, "time")
    if values.ndim != 1 or time.shape != values.shape or not len(values):
        got = f"{checks.shape_text(values.shape)} at {checks.shape_text(time.shape)}"
        raise ValueError(f"{name}: expected values (N,) at times (N,), got {got}")
    return time, values
