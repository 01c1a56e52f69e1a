"""What all pictures share: colours, axes, the words below them, and writing to a file."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.files.atomic import write
from minirnn.protocol import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colours of Okabe & Ito (2008), which people with all kinds of colour vision can distinguish.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "#D55E00", "linestyle": "-", "marker": "o"},
    {"color": "#0072B2", "linestyle": "--", "marker": "s"},
    {"color": "#009E73", "linestyle": ":", "marker": "^"},
    {"color": "#CC79A7", "linestyle": "-.", "marker": "v"},
    {"color": "#56B4E9", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "D"},
)

# A gate has the same colour in every picture; the candidates g and n share one.
GATES = {"i": "#0072B2", "f": "#D55E00", "g": "#009E73", "o": "#CC79A7", "r": "#E69F00",
         "z": "#56B4E9", "n": "#009E73", "h": "#000000", "c": "#777777"}  # fmt: skip


def style() -> None:
    """The look of the notebooks: sharp, small, with the colours above in order. Call it once."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "figure.dpi": 90,
            "figure.figsize": (7, 3.2),
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": plt.cycler(color=[s["color"] for s in STYLES]),
            "legend.frameon": False,
            "image.cmap": "gray",
        }
    )


def save(ax: Axes | Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure, or that of an Axes, to a file, whole or not at all, and close it."""
    import matplotlib.pyplot as plt

    file = Path(checks.path(path, "path"))
    figure: Any = getattr(ax, "figure", ax)
    if not hasattr(figure, "savefig"):
        raise TypeError(f"ax: expected an Axes or a Figure of matplotlib, got {ax!r:.80}")
    kinds, content = figure.canvas.get_supported_filetypes(), io.BytesIO()
    if file.suffix[1:].lower() not in kinds:
        expected = ", ".join(f".{kind}" for kind in kinds)
        raise ValueError(f"path: expected a name with one of the endings {expected}, got {path!r}")
    try:
        figure.savefig(content, dpi=120, format=file.suffix[1:].lower())
        write(file, content.getvalue())
    finally:
        plt.close(figure)


def axes_or_new(ax: Axes | None, width: float = 7, height: float = 4) -> Axes:
    import matplotlib.axes  # only here, since importing it takes a while

    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, matplotlib.axes.Axes):
        raise TypeError(f"ax: expected an Axes of matplotlib or None, got {ax!r:.80}")
    return ax


def rows_by_label(value: Any, name: str) -> dict[str, Array]:
    """Numbers (N,) by label, as a picture's argument ``name`` must hold them."""
    if not isinstance(value, Mapping) or not value:
        got = "none" if isinstance(value, Mapping) else type(value).__name__
        raise TypeError(f"{name}: expected a dictionary of label to (N,), got {got}")
    rows = {str(label): checks.floats(row, f"{name}[{label!r}]") for label, row in value.items()}
    for label, row in rows.items():
        if row.ndim != 1:
            got = checks.shape_text(row.shape)
            raise ValueError(f"{name}[{label!r}]: expected shape (N,), got {got}")
    return rows


def step_texts(value: Any, name: str, T: int | None = None) -> list[str]:
    """What is written at the steps, one text a step."""
    if not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"{name}: expected a list, got {type(value).__name__}")
    if T is not None and len(value) != T:
        raise ValueError(f"{name}: expected {T}, one a step, got {len(value)}")
    return [str(text) for text in value]
