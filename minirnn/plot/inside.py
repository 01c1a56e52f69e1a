"""What goes on in a model: gates and states over time, attention, eigenvalues, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.plot.common import GATES, STYLES, axes_or_new, rows_by_label, step_texts
from minirnn.protocol import Array, Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def heat(
    values: Numbers, tokens: Sequence[Any] | None = None, label: str = "value",
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw values (T, H) of one sequence over time: a row for each unit, a column for each step.

    tokens: (T,), written below the steps. label: what the values are. The grey scale runs from
    0 (black) to the highest value (white); with negative values it is symmetric about 0 (grey).
    """
    values = checks.array(values, "values", ("T", "H"), np.float64)
    T, H = values.shape
    texts = None if tokens is None else step_texts(tokens, "tokens", T)
    ax = axes_or_new(ax, min(2 + 0.28 * T, 14), min(1.2 + 0.16 * H, 8))
    size = np.abs(values).max()
    limits = {"vmin": -size, "vmax": size} if values.min() < 0 else {"vmin": 0}
    image = ax.imshow(values.T, aspect="auto", cmap="gray", interpolation="nearest", **limits)
    ax.figure.colorbar(image, ax=ax, label=label)
    if texts is not None:
        ax.set_xticks(range(T), texts)
    ax.set_xlabel("step" if tokens is None else "token at each step")
    ax.set_ylabel("unit")
    return ax


def gates(
    traced: Mapping[str, Array], names: str = "ifgo", unit: int = 0, row: int = 0,
    tokens: Sequence[Any] | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw gates and states of one unit over time, each in its colour.

    traced: name to (T, B, H), from ``mr.trace``. names: which to draw, of the letters in ``GATES``.
    """
    lines, texts = {}, None
    for name in step_texts(names, "names") or [""]:
        if name not in checks.by_name(traced, "traced") or name not in GATES:
            raise ValueError(f"names: expected letters of {sorted(GATES)} in traced, got {name!r}")
        gate = checks.array(traced[name], f"traced[{name!r}]", ("T", "B", "H"), None)
        for index, argument, n in ((row, "row", gate.shape[1]), (unit, "unit", gate.shape[2])):
            if checks.size(index, argument, -n) >= n:
                raise ValueError(f"{argument}: expected a whole number below {n}, got {index}")
        lines[name] = gate[:, row, unit]
    if tokens is not None:
        texts = step_texts(tokens, "tokens", len(gate))
    ax = axes_or_new(ax, 7, 2.6)
    for k, (name, values) in enumerate(lines.items()):
        every = (k * max(1, len(values) // 40), max(1, len(values) // 8))
        look: dict[str, Any] = {
            "marker": "osvD^"[k % 5],
            "markersize": 4,
            "markevery": every,
            "linewidth": 1.4,
        }
        ax.plot(values, label=name, color=GATES[name], **look)
    if texts is not None:
        ax.set_xticks(range(len(texts)), texts)
    else:
        ax.locator_params(axis="x", integer=True)
    ax.set(xlabel="step t" if tokens is None else "token at each step", ylabel=f"unit {unit}")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return ax


def error_map(errors: Mapping[str, Numbers], ax: Axes | None = None) -> Axes:
    """Draw which block of a gradient is wrong, and for the loss of which step: label to (T,).

    Black is wrong (1 or more), white is right (1e-8 or less), on a logarithmic scale.
    """
    rows = rows_by_label(errors, "errors")
    T = len(next(iter(rows.values())))
    for label, row in rows.items():
        checks.array(row, f"errors[{label!r}]", (T or 1,), None)
    values = np.array(list(rows.values()))
    ax = axes_or_new(ax, 2.4 + 0.4 * values.shape[1], 0.8 + 0.2 * len(values))
    shown = np.log10(np.clip(values, 1e-8, 1))
    image = ax.imshow(shown, aspect="auto", cmap="gray_r", vmin=-8, vmax=0, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="relative error, power of 10")
    ax.set_yticks(range(len(values)), list(rows))
    ax.set_xticks(range(values.shape[1]))
    ax.set_xlabel("the loss is that of step t alone")
    return ax


def attention(
    weights: Numbers, source: Sequence[Any], target: Sequence[Any], ax: Axes | None = None
) -> Axes:
    """Draw attention weights (S, T): which source each target token looked at; dark is 1."""
    source, target = step_texts(source, "source"), step_texts(target, "target")
    weights = checks.array(weights, "weights", (len(target), len(source)), np.float64)
    ax = axes_or_new(ax, 1.8 + 0.35 * len(source), 1.2 + 0.35 * len(target))
    image = ax.imshow(weights, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="weight", shrink=0.8)
    ax.set_xticks(range(len(source)), source)
    ax.set_yticks(range(len(target)), target)
    ax.set_xlabel("source, read")
    ax.set_ylabel("target, written")
    return ax


def eigenvalues(W_h: Numbers, ax: Axes | None = None) -> Axes:
    """Draw the eigenvalues of a matrix W_h (H, H) against the unit circle.

    With repeated multiplication, what belongs to those inside fades and to those outside grows.
    """
    W_h = checks.array(W_h, "W_h", ("H", "H"), np.float64)
    if W_h.shape[0] != W_h.shape[1]:
        raise ValueError(f"W_h: expected a square matrix, one gate's block, got {W_h.shape}")
    checks.one_wrong("finite numbers", "W_h", W_h, ~np.isfinite(W_h))
    values, ax = np.linalg.eigvals(W_h), axes_or_new(ax, 4.2, 4.2)
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color="grey", linewidth=1)
    ax.scatter(values.real, values.imag, s=16, color=STYLES[0]["color"])
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.set_title(f"largest size {np.abs(values).max():.2f}", fontsize=10)
    return ax
