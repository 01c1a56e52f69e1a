"""Lines over epochs or time, and a point for each unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from minirnn import checks
from minirnn.plot.common import STYLES, axes_or_new, rows_by_label
from minirnn.protocol import Array, Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from minirnn.measure import Jacobians


def curves(
    lines: Mapping[str, Numbers], xlabel: str, ylabel: str, x: Numbers | None = None,
    log: bool = True, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw some lines over the same axis: label to (N,). x: (N,), 1 to N without it."""
    return _curves(rows_by_label(lines, "lines"), xlabel, ylabel, x, "x", log, ax)


def _curves(
    lines: dict[str, Array], xlabel: str, ylabel: str, x: Numbers | None, name: str,
    log: bool = True, ax: Axes | None = None, first: int = 1,
) -> Axes:  # fmt: skip
    """The lines; x is the argument of that name, without it come the numbers from ``first`` on."""
    at = None if x is None else np.asarray(x)
    for label, values in lines.items():
        if at is not None and at.shape != values.shape:
            expected = f"{checks.shape_text(values.shape)}, as for {label!r}"
            raise ValueError(
                f"{name}: expected shape {expected}, got {checks.shape_text(at.shape)}"
            )
    ax = axes_or_new(ax)
    for k, (label, values) in enumerate(lines.items()):
        when = first + np.arange(len(values)) if at is None else at
        every = max(1, len(values) // 12)
        style = {**STYLES[k % len(STYLES)], "markersize": 4, "linewidth": 1.4}
        ax.plot(when, values, label=label, markevery=(k * every // 5, every), **style)
    if log:
        ax.set_yscale("log")
    ax.locator_params(axis="x", integer=True)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        ax.legend(frameon=False)
    return ax


def losses(histories: Mapping[str, Numbers], ax: Axes | None = None) -> Axes:
    """Draw the loss after each epoch: label to (epochs,), ``history.loss`` for instance."""
    return _curves(rows_by_label(histories, "histories"), "epoch", "loss", None, "", ax=ax)


def gradient_norms(norms: Mapping[str, Numbers], ax: Axes | None = None) -> Axes:
    """Draw ``||dL/dh[t]||`` over time: label to (T,), from ``measure.gradient_norms``."""
    ylabel = r"$\|\partial L/\partial h_t\|$"
    return _curves(rows_by_label(norms, "norms"), "step t", ylabel, None, "", ax=ax, first=0)


def jacobians(measured: Jacobians, ax: Axes | None = None) -> Axes:
    """Draw how the last state depends on earlier ones, and the bound (``measure.jacobians``)."""
    if not hasattr(measured, "norms") or not hasattr(measured, "bounds"):
        got = type(measured).__name__
        raise TypeError(f"measured: expected what measure.jacobians returns, got {got}")
    lines = {"norm of the product": measured.norms, "product of the norms": measured.bounds}
    ylabel = r"$\|\partial s_T/\partial s_t\|$"
    ax = _curves(rows_by_label(lines, "measured"), "step t", ylabel, None, "", ax=ax, first=0)
    ax.axhline(1, color="grey", linewidth=0.8)
    return ax


def truncation_bias(k2s: Numbers, biases: Mapping[str, Numbers], ax: Axes | None = None) -> Axes:
    """Draw the relative error of truncated gradients: label to (N,), for k2s (N,)."""
    ylabel = r"$\|g_{k2} - g\|\,/\,\|g\|$"
    k2s = checks.floats(k2s, "k2s")
    return _curves(rows_by_label(biases, "biases"), "steps back, k2", ylabel, k2s, "k2s", ax=ax)


def saturation(shut: Numbers, open_: Numbers, ax: Axes | None = None) -> Axes:
    """Draw each unit by how often its gate is shut and open (``measure.saturation``)."""
    shut = checks.array(shut, "shut", ("H",), np.float64)
    open_ = checks.array(open_, "open_", shut.shape, np.float64)
    ax = axes_or_new(ax, 4, 4)
    ax.plot([0, 1], [1, 0], color="grey", linewidth=0.8)
    ax.scatter(shut, open_, s=18, color=STYLES[1]["color"], alpha=0.7, clip_on=False)
    ax.set(xlabel="share of steps shut", ylabel="share of steps open", xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    return ax
