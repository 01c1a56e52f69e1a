"""Pictures. Each function draws on the Axes it is given, or on new ones, and returns them; none
calls ``show()``. Lines differ in style as well as in colour, so that they can be told apart in
grey.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008): told apart by all kinds of colour vision.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    {"color": "#0072B2", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": ":", "marker": "^"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "v"},
)


def forecast(
    time: np.ndarray,
    actual: np.ndarray,
    forecasts: Mapping[str, tuple[np.ndarray, np.ndarray]],
    split: Any = None,
    ylabel: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Draw a series and what was forecast of it.

    time, actual: (N,), the truth. forecasts: label to (times, values). split: the time at which the
    training part ends, drawn as an upright line.
    """
    if ax is None:
        import matplotlib.pyplot as plt  # only here, since importing it takes a while

        _, ax = plt.subplots(figsize=(10, 4.5), layout="constrained")
    ax.plot(time, actual, color="black", linewidth=1.6, label="actual")
    for (label, (when, values)), style in zip(forecasts.items(), STYLES, strict=False):
        ax.plot(when, values, label=label, markersize=3.5, linewidth=1.2, **style)
    if split is not None:
        ax.axvline(split, color="grey", linewidth=1)
        ax.annotate(
            "training | test",
            (split, 1),
            (0, -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="top",
            color="dimgrey",
            fontsize=9,
            backgroundcolor="white",
        )
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left")
    return ax
