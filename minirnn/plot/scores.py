"""How a training went, and which classes a model confuses."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.plot.common import axes_or_new, step_texts
from minirnn.plot.curves import curves
from minirnn.protocol import Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from minirnn.training.history import History


def history(history: History, ax: Axes | None = None) -> Axes:
    """Draw the losses of a training after each epoch, and where the best epoch is."""
    if not getattr(history, "loss", None):
        got = "no epochs" if hasattr(history, "loss") else type(history).__name__
        raise TypeError(f"history: expected what mr.fit returns, got {got}")
    lines = {"training": history.loss}
    if history.val_loss:
        lines["validation"] = history.val_loss
    values = np.concatenate(list(lines.values()))
    low, high = np.nanmin(values), np.nanmax(values)
    ax = curves(lines, "epoch", "loss", log=bool(low > 0 and high > 10 * low), ax=ax)
    if history.best_epoch is not None:
        best = history.best_epoch + 1
        ax.axvline(best, color="grey", linewidth=0.8, zorder=0)
        place = ax.get_xaxis_transform()
        ax.text(best, 1.01, f"best: {best}", transform=place, ha="center", color="grey")
    return ax


def history_png(of: History) -> bytes:
    """The picture of a history in Jupyter: the losses, and each metric beside them."""
    from matplotlib.figure import Figure  # not pyplot: nothing is left open

    n, content = 1 + len(of.metrics), io.BytesIO()
    rows, columns = (n + 2) // 3, min(n, 3)
    figure = Figure(figsize=(3.6 * columns, 2.6 * rows), layout="constrained")
    history(of, figure.add_subplot(rows, columns, 1))
    for k, (name, values) in enumerate(of.metrics.items(), start=2):
        curves({name: values}, "epoch", name, log=False, ax=figure.add_subplot(rows, columns, k))
    figure.savefig(content, format="png", dpi=90)
    return content.getvalue()


def confusion(matrix: Numbers, names: Sequence[Any] | None = None, ax: Axes | None = None) -> Axes:
    """Draw how often each class (row) was taken for which (column): (V, V), from
    ``metrics.confusion_matrix``.

    names: of the V classes. The grey of a square is the share of its row, black for all; the number
    in it is the count. Of more than 20 classes there are no numbers.
    """
    matrix = checks.array(matrix, "matrix", ("V", "V"), np.float64)
    V = len(matrix)
    if matrix.shape[1] != V or not (matrix >= 0).all():
        got = checks.shape_text(matrix.shape)
        raise ValueError(f"matrix: expected shape (V, V) and numbers of at least 0, got {got}")
    texts = step_texts(range(V) if names is None else names, "names", V)
    ax = axes_or_new(ax, min(2.5 + 0.42 * V, 10), min(2 + 0.42 * V, 9))
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    ax.imshow(share, cmap="gray_r", vmin=0, vmax=1)
    if V <= 20:
        for i, j in zip(*np.nonzero(matrix), strict=True):
            color = "white" if share[i, j] > 0.5 else "black"
            ax.text(j, i, f"{matrix[i, j]:.4g}", ha="center", va="center", color=color, fontsize=8)
        wide = max(map(len, texts)) > 2
        ax.set_xticks(range(V), texts, rotation=90 if wide else 0)
        ax.set_yticks(range(V), texts)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax
