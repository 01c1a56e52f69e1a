"""A model unrolled in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.layers.sequential import Sequential
from minirnn.plot.common import axes_or_new
from minirnn.protocol import Layer, Numbers, named_leaves, optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def unrolled(model: Layer, x: Numbers, ax: Axes | None = None) -> Axes:
    """Draw a model unrolled over an input x (T, B, ...): its first steps and the last one.

    Drawn from what the model does: each layer is run on the output of the one below. Arrows up are
    outputs, arrows to the side are states, both with their shapes. model: a layer or a
    ``Sequential``.
    """
    if not callable(getattr(model, "forward", None)):
        raise TypeError(f"model: expected a layer, got {model!r:.80}")
    layers = model.layers if isinstance(model, Sequential) else (model,)
    values, states = [np.asarray(x)], []
    for layer in layers:
        y, state, _ = layer.forward(values[-1])
        values.append(y)
        states.append(dict(named_leaves(layer, state)))
    T, top = len(values[0]), 1.5 * len(layers)
    steps = range(T) if T < 4 else (0, 1, T - 1)
    last = len(steps) - 1
    # A layer has a box at every step while there is a sequence, and at the last one afterwards.
    long = [True] + [v.ndim > 2 for v in values[1:]]
    ax = axes_or_new(ax, 2 + 2.7 * len(steps), 1.2 + 1.2 * len(layers))
    ax.set(xlim=(-0.75, last + 0.75), ylim=(-1.3, top - 0.1))
    ax.axis("off")
    box = {"boxstyle": "round,pad=0.45", "facecolor": "0.9", "edgecolor": "black"}

    def arrow(
        start: tuple[float, float], end: tuple[float, float], text: str = "", **place: Any
    ) -> None:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": "black"})
        ax.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, text, fontsize=8, **place)

    for column, t in enumerate(steps):
        ax.text(column, -1.15, f"t = {t}", ha="center", va="center")
    if T > 3:
        ax.text(1.5, -1.15, ". . .", ha="center", va="center")
    for k in range(len(layers) + 1):
        y, shape = 1.5 * k, checks.shape_text(values[k].shape[1 if long[k] else 0 :])
        for column in range(last + 1) if long[k] else [last]:
            if k == len(layers) or long[k + 1] or column == last:
                arrow((column, y - 1.05), (column, y - 0.3), f" {shape}", va="center")
        if k == len(layers):
            break
        boxes = range(last + 1) if long[k] and long[k + 1] else [last]
        for column in boxes:
            ax.text(column, y, type(layers[k]).__name__, ha="center", va="center", bbox=box)
        text = "\n".join(f"{name} {checks.shape_text(s.shape)}" for name, s in states[k].items())
        for column in boxes[:-1] if states[k] else []:
            arrow((column + 0.28, y), (column + 0.72, y), text, ha="center", va="bottom")
            if "backward" in optional(layers[k], "parts"):
                arrow((column + 0.72, y - 0.12), (column + 0.28, y - 0.12))
    return ax
