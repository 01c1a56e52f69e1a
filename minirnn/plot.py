"""Pictures. Each function draws on the Axes that it is given, or on new ones, and returns them. No
function calls ``show()``. Lines differ in style as well as in colour, so they also differ in grey.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import checks
from minirnn.files.atomic import write
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer, Numbers, named_leaves, optional

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from minirnn.measure import Jacobians

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


def _axes(ax: Axes | None, width: float = 7, height: float = 4) -> Axes:
    import matplotlib.axes  # only here, since importing it takes a while

    if ax is None:
        import matplotlib.pyplot as plt

        return plt.subplots(figsize=(width, height), layout="constrained")[1]
    if not isinstance(ax, matplotlib.axes.Axes):
        raise TypeError(f"ax: expected an Axes of matplotlib or None, got {ax!r:.80}")
    return ax


def _rows(value: Any, name: str) -> dict[str, Array]:
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


def _texts(value: Any, name: str, T: int | None = None) -> list[str]:
    """What is written at the steps, one text a step."""
    if not isinstance(value, (Sequence, np.ndarray)):
        raise TypeError(f"{name}: expected a list, got {type(value).__name__}")
    if T is not None and len(value) != T:
        raise ValueError(f"{name}: expected {T}, one a step, got {len(value)}")
    return [str(text) for text in value]


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


def curves(
    lines: Mapping[str, Numbers], xlabel: str, ylabel: str, x: Numbers | None = None,
    log: bool = True, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw some lines over the same axis: label to (N,). x: (N,), 1 to N without it."""
    return _curves(_rows(lines, "lines"), xlabel, ylabel, x, "x", log, ax)


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
    ax = _axes(ax)
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
    return _curves(_rows(histories, "histories"), "epoch", "loss", None, "", ax=ax)


def gradient_norms(norms: Mapping[str, Numbers], ax: Axes | None = None) -> Axes:
    """Draw ``||dL/dh[t]||`` over time: label to (T,), from ``measure.gradient_norms``."""
    ylabel = r"$\|\partial L/\partial h_t\|$"
    return _curves(_rows(norms, "norms"), "step t", ylabel, None, "", ax=ax, first=0)


def jacobians(measured: Jacobians, ax: Axes | None = None) -> Axes:
    """Draw how the last state depends on earlier ones, and the bound (``measure.jacobians``)."""
    if not hasattr(measured, "norms") or not hasattr(measured, "bounds"):
        got = type(measured).__name__
        raise TypeError(f"measured: expected what measure.jacobians returns, got {got}")
    lines = {"norm of the product": measured.norms, "product of the norms": measured.bounds}
    ylabel = r"$\|\partial s_T/\partial s_t\|$"
    ax = _curves(_rows(lines, "measured"), "step t", ylabel, None, "", ax=ax, first=0)
    ax.axhline(1, color="grey", linewidth=0.8)
    return ax


def truncation_bias(k2s: Numbers, biases: Mapping[str, Numbers], ax: Axes | None = None) -> Axes:
    """Draw the relative error of truncated gradients: label to (N,), for k2s (N,)."""
    ylabel = r"$\|g_{k2} - g\|\,/\,\|g\|$"
    k2s = checks.floats(k2s, "k2s")
    return _curves(_rows(biases, "biases"), "steps back, k2", ylabel, k2s, "k2s", ax=ax)


def saturation(shut: Numbers, open_: Numbers, ax: Axes | None = None) -> Axes:
    """Draw each unit by how often its gate is shut and open (``measure.saturation``)."""
    shut = checks.array(shut, "shut", ("H",), np.float64)
    open_ = checks.array(open_, "open_", shut.shape, np.float64)
    ax = _axes(ax, 4, 4)
    ax.plot([0, 1], [1, 0], color="grey", linewidth=0.8)
    ax.scatter(shut, open_, s=18, color=STYLES[1]["color"], alpha=0.7, clip_on=False)
    ax.set(xlabel="share of steps shut", ylabel="share of steps open", xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    return ax


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
    texts = None if tokens is None else _texts(tokens, "tokens", T)
    ax = _axes(ax, min(2 + 0.28 * T, 14), min(1.2 + 0.16 * H, 8))
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
    for name in _texts(names, "names") or [""]:
        if name not in checks.by_name(traced, "traced") or name not in GATES:
            raise ValueError(f"names: expected letters of {sorted(GATES)} in traced, got {name!r}")
        gate = checks.array(traced[name], f"traced[{name!r}]", ("T", "B", "H"), None)
        for index, argument, n in ((row, "row", gate.shape[1]), (unit, "unit", gate.shape[2])):
            if checks.size(index, argument, -n) >= n:
                raise ValueError(f"{argument}: expected a whole number below {n}, got {index}")
        lines[name] = gate[:, row, unit]
    if tokens is not None:
        texts = _texts(tokens, "tokens", len(gate))
    ax = _axes(ax, 7, 2.6)
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
    rows = _rows(errors, "errors")
    T = len(next(iter(rows.values())))
    for label, row in rows.items():
        checks.array(row, f"errors[{label!r}]", (T or 1,), None)
    values = np.array(list(rows.values()))
    ax = _axes(ax, 2.4 + 0.4 * values.shape[1], 0.8 + 0.2 * len(values))
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
    source, target = _texts(source, "source"), _texts(target, "target")
    weights = checks.array(weights, "weights", (len(target), len(source)), np.float64)
    ax = _axes(ax, 1.8 + 0.35 * len(source), 1.2 + 0.35 * len(target))
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
    values, ax = np.linalg.eigvals(W_h), _axes(ax, 4.2, 4.2)
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color="grey", linewidth=1)
    ax.scatter(values.real, values.imag, s=16, color=STYLES[0]["color"])
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.set_title(f"largest size {np.abs(values).max():.2f}", fontsize=10)
    return ax


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
    ax = _axes(ax, 2 + 2.7 * len(steps), 1.2 + 1.2 * len(layers))
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
    ax = _axes(ax, 10, 4.5)
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
