"""Seeing inside: every gate, state and gradient of a model over time, and what follows from them.

``trace`` runs a model one step and one sequence at a time and records what each recurrent layer
computes and what it passes back, using nothing but ``forward`` and ``backward``. The Jacobians of
the steps follow Pascanu et al. (2013): with J[t] = ds[t]/ds[t-1], the product J[T] ... J[t+1]
carries a gradient from step T back to step t. Its norm is at most the product of the norms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.bidirectional import Bidirectional, reverse
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.learned_state import LearnedState
from minirnn.layers.recurrent_dropout import RecurrentDropout
from minirnn.layers.sequential import Sequential
from minirnn.protocol import (
    Array,
    Layer,
    Numbers,
    State,
    check_layer,
    map_tree,
    named_leaves,
    optional,
    require,
)
from minirnn.training.bptt import block_loss, bptt, truncated_bptt
from minirnn.training.rtrl import flat, step_jacobians

Traced = dict[str, Array]


def trace(
    model: Layer,
    x: Numbers,
    loss_fn: Callable[..., tuple[float, Array]] | None = None,
    target: Any = None,
    state: State = None,
    lengths: Numbers | None = None,
) -> dict[str, Array]:
    """Everything inside a recurrent layer, or a model with such layers, over time for one batch.

    Returns arrays (T, B, H) by name: the states after each step, "h", "c", and the values of the
    gates, "i", "f", ... With a loss also gradients: "dh", the derivative of the loss with respect
    to h[t] through all paths (its own output and later steps), "dc" (later steps only), and "da_i",
    ... with respect to the sum of products that goes into gate i ("da" for a layer without gates).
    In a model the names begin with the place of the layer, "0.h", "0.backward.h". Past the end of a
    sequence everything is zero.

    A layer of your own is traced if it has ``state_names`` and ``zero_state``; its gates are shown
    if it has ``gate_values``, and "da_..." if its parameters include a bias ``b``. Raises TypeError
    for a model in which no layer can be traced.
    """
    check_layer(model)
    if loss_fn is not None:
        checks.function(loss_fn, "loss_fn")
    x = checks.one_array(x, "x")
    y, _, _ = model.forward(x, state, lengths)
    dy = None if loss_fn is None else block_loss(loss_fn, y, target, lengths, None)[1]
    traced = _trace(model, x, dy, state, lengths)
    if not traced:
        raise TypeError(
            "model: expected a recurrent layer, with state_names and zero_state, or a model with "
            f"such layers, got {model!r:.80}"
        )
    return traced


def _trace(layer: Any, x: Array, dy: Array | None, state: State, lengths: Any) -> Traced:
    if isinstance(layer, Sequential):
        return _trace_stack(layer, x, dy, state, lengths)
    if isinstance(layer, Bidirectional):
        return _trace_both(layer, x, dy, state, lengths)
    if isinstance(layer, LearnedState):
        s = layer.start(state, x.shape[1])
        return _placed("layer", _trace(layer.parts["layer"], x, dy, s, lengths))
    if isinstance(layer, RecurrentDropout):
        s, _ = layer.split(state, "state")
        return _placed("cell", _trace(layer.cell, x, dy, s, lengths))
    if isinstance(layer, Checkpoint):
        (s,) = layer.split(state, "state")
        return _placed("model", _trace(layer.parts["model"], x, dy, s, lengths))
    if optional(layer, "state_names") and optional(layer, "zero_state"):
        return _trace_cell(layer, x, dy, state, lengths)
    if _recurrent(layer):
        raise TypeError(f"model: trace cannot look into {type(layer).__name__}, got {layer!r:.80}")
    return {}


def _recurrent(layer: Any) -> bool:
    parts = optional(layer, "parts").values()
    own = optional(layer, "state_names") and optional(layer, "zero_state")
    return bool(own) or any(map(_recurrent, parts))


def _placed(place: str, traced: Traced) -> Traced:
    return {f"{place}.{name}": a for name, a in traced.items()}


def _trace_stack(
    model: Sequential, x: Array, dy: Array | None, state: State, lengths: Any
) -> Traced:
    runs: list[tuple[Any, ...]] = []
    for (name, part), s in zip(model.parts.items(), model.split(state, "state"), strict=True):
        y, _, cache = part.forward(x, s, lengths)
        runs.append((name, part, x, s, lengths, cache))
        x, lengths = y, lengths if y.ndim > 2 else None
    by_layer: list[Traced] = []
    for name, part, x, s, n, cache in reversed(runs):
        by_layer.append(_placed(name, _trace(part, x, dy, s, n)))
        dy = None if dy is None else part.backward(dy, cache)[0]
    return {name: a for traced in reversed(by_layer) for name, a in traced.items()}


def _trace_both(
    layer: Bidirectional, x: Array, dy: Array | None, state: State, lengths: Any
) -> Traced:
    n = checks.lengths(lengths, *x.shape[:2])
    du, dv = (None, None) if dy is None else layer.split_gradient(dy)
    s_u, s_v = layer.split(state, "state")
    u = _trace(layer.forward_layer, x, du, s_u, n)
    dv = None if dv is None else reverse(dv, n)
    v = _trace(layer.backward_layer, reverse(x, n), dv, s_v, n)
    v = {name: reverse(a, n) for name, a in v.items()}
    return _placed("forward", u) | _placed("backward", v)


def _trace_cell(layer: Any, x: Array, dy: Array | None, state: State, lengths: Any) -> Traced:
    T, B = x.shape[:2]
    state = layer.zero_state(B) if state is None else state

    def of_row(b: int, n: int) -> Traced:
        dy_row = None if dy is None else dy[:n, b : b + 1]
        return _trace_row(layer, x[:n, b : b + 1], dy_row, map_tree(lambda s: s[b : b + 1], state))

    # A first step tells the names and sizes, even if all sequences are empty.
    traced = {name: np.zeros((T, B, a.shape[1])) for name, a in of_row(0, 1).items()}
    for b, n in enumerate(checks.lengths(lengths, T, B)):
        for name, a in of_row(b, n).items() if n else ():
            traced[name][:n, b] = a
    return traced


def _trace_row(layer: Any, x: Array, dy: Array | None, s: State) -> Traced:
    """Everything inside a layer over one sequence x (T, 1, D): name to (T, H)."""
    steps: list[dict[str, Array]] = []
    caches = []
    gate_values = optional(layer, "gate_values")
    for x_t in x:
        _, s, cache = layer.forward(x_t[None], s)
        if cache is None:
            raise TypeError("cache: expected one from each forward, got None, as under no_cache")
        steps.append(dict(named_leaves(layer, s)) | (gate_values(cache) if gate_values else {}))
        caches.append(cache)
    ds, output = map_tree(np.zeros_like, s), layer.state_names[0]
    gates = optional(layer, "gates")
    for t, dy_t in [] if dy is None else reversed([*enumerate(dy)]):
        steps[t] |= {f"d{name}": d for name, d in named_leaves(layer, ds)}
        steps[t][f"d{output}"] = steps[t][f"d{output}"] + dy_t
        _, ds, grads = layer.backward(dy_t[None], caches[t], ds)
        # For one row at one step, the gradient of the bias is that of the sum it is added to.
        if "b" in grads:
            names = [f"da_{g}" for g in gates] or ["da"]
            steps[t].update(zip(names, np.split(grads["b"], len(names)), strict=True))
    return {name: np.array([np.ravel(step[name]) for step in steps]) for name in steps[0]}


def gradient_norms(traced: dict[str, Array], name: str = "dh") -> Array:
    """``||dL/dh[t]||`` at every step (T,), over all sequences and units, of a ``trace``."""
    if name not in checks.by_name(traced, "traced"):
        raise ValueError(f"name: expected one of {sorted(traced)}, got {name!r}")
    return np.sqrt(np.sum(traced[name] ** 2, axis=(1, 2)))


class Jacobians(NamedTuple):
    """How strongly the last state s[T] depends on each earlier one."""

    norms: Array  # (T+1,): spectral norm of ds[T]/ds[t], s[0] the initial state; the last is 1
    bounds: Array  # (T+1,): the product of the norms of the steps in between
    steps: Array  # (T,): spectral norm of each step's ds[t]/ds[t-1]


def jacobians(layer: Layer, x: Numbers, state: State = None) -> Jacobians:
    """The Jacobians of a recurrent layer along *one* sequence x (T, 1, D).

    The state is taken as a whole: for an LSTM (h, c) together. Raises ValueError for more than one
    sequence, TypeError for a layer without ``zero_state`` if no state is given.
    """
    check_layer(layer, "layer")
    x = checks.one_array(x, "x")
    if x.ndim < 2 or len(x) < 1 or x.shape[1] != 1:
        raise ValueError(f"x: expected a single sequence (T, 1, ...), got shape {x.shape}")
    if state is None:
        state = require(layer, "zero_state", "jacobians")(1)
    each = []
    for t in range(len(x)):
        y, final, cache = layer.forward(x[t : t + 1], state)
        each.append(step_jacobians(layer, y, cache, state)[0])
        state = final
    steps = np.array([np.linalg.norm(J, 2) for J in each])
    product, norms = np.eye(len(each[0])), [1.0]
    for J in reversed(each):
        product = product @ J
        norms.insert(0, float(np.linalg.norm(product, 2)))
    bounds = np.append(np.cumprod(steps[::-1])[::-1], 1.0)
    return Jacobians(np.array(norms), bounds, steps)


def truncation_bias(
    model: Layer,
    loss_fn: Callable[..., tuple[float, Array]],
    x: Numbers,
    target: Numbers,
    k2s: Iterable[int],
) -> Array:
    """How wrong the truncated gradient is: ``||g(k2) - g|| / ||g||`` for each k2, with k1 = 1.

    x, target: sequences (T, B, ...). g is the gradient of ``bptt``, g(k2) the mean of those of
    ``truncated_bptt``. Returns one number for each k2.
    """
    x, target = checks.one_array(x, "x"), checks.numbers(target, "target")
    if not isinstance(k2s, Iterable):
        raise TypeError(f"k2s: expected whole numbers, got {k2s!r:.80}")
    k2s = [checks.size(k2, "k2s") for k2 in k2s]
    _, full, _ = bptt(model, loss_fn, x, target, training=False)
    exact, biases = flat(list(full.values())), []
    size = np.linalg.norm(exact)
    if not size > 0:
        raise ValueError("target: expected one with which the gradient is not zero")
    for k2 in k2s:
        blocks = truncated_bptt(model, loss_fn, x, target, 1, k2, training=False)
        mean = np.mean([flat(list(grads.values())) for _, grads, _ in blocks], axis=0)
        biases.append(np.linalg.norm(mean - exact) / size)
    return np.array(biases)


def saturation(traced: dict[str, Array], gate: str, margin: float = 0.1) -> tuple[Array, Array]:
    """For each unit, the share of steps at which a gate is almost shut, and almost open, (H,) each.

    Shut: below ``margin``; open: above ``1 - margin`` (Karpathy et al. 2015, figure 3).
    """
    margin = checks.number(margin, "margin", 0, 0.5)
    if gate not in checks.by_name(traced, "traced"):
        raise ValueError(f"gate: expected one of {sorted(traced)}, got {gate!r}")
    values = traced[gate].reshape(-1, traced[gate].shape[-1])
    values = values[np.any(values != 0, axis=1)]  # past the end all gates are 0
    return np.mean(values < margin, axis=0), np.mean(values > 1 - margin, axis=0)
