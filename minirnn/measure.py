"""Seeing inside: every gate, state and gradient of a model over time, and what follows from them.

``trace`` runs a model one step and one sequence at a time and takes down what each recurrent layer
computes and what it hands back, using nothing but ``forward`` and ``backward``. The Jacobians of
the steps follow Pascanu et al. (2013): with J[t] = ds[t]/ds[t-1], the product J[T] ... J[t+1] is
what carries a gradient from step T back to step t; its norm is at most the product of the norms.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.layers.bidirectional import Bidirectional, reverse
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Layer, State, map_tree, named_leaves, zero_state
from minirnn.training.bptt import block_loss, bptt, truncated_bptt
from minirnn.training.rtrl import flat, step_jacobians


def trace(
    model: Any, x: ArrayLike, loss_fn: Callable | None = None, target: Any = None,
    state: State = None, lengths: ArrayLike | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Everything inside a recurrent layer, or a model of some, over time for one batch.

    Returns arrays (T, B, H) by name: the states after each step, "h", "c", and the gates' values,
    "i", "f", ...; with a loss also gradients: "dh", the derivative of the loss with respect to h[t]
    by all ways (its own output and later steps), "dc" (later steps only), and "da_i", ... by the
    sum of products that goes into gate i ("da" for a layer without gates). In a model the names
    begin with the layer's place, "0.h", "0.backward.h". Past its end a sequence has zeros.
    """
    if loss_fn is not None:
        checks.function(loss_fn, "loss_fn")
    y, _, _ = model.forward(x, state, lengths)
    dy = None if loss_fn is None else block_loss(loss_fn, y, target, lengths, None)[1]
    found = _trace(model, np.asarray(x), dy, state, lengths)
    if not found:
        raise TypeError(f"model: expected RNN, LSTM, GRU or a model of them, got {model!r:.80}")
    return found


def _trace(layer, x, dy, state, lengths):
    parts: dict[str, Any] = getattr(layer, "parts", {})
    found: dict[str, np.ndarray] = {}
    if hasattr(layer, "gates"):
        return _trace_cell(layer, x, dy, state, lengths)
    if isinstance(layer, Sequential):
        rows: list[tuple] = []
        for (name, part), s in zip(parts.items(), layer.split(state, "state"), strict=True):
            y, _, cache = part.forward(x, s, lengths)
            rows.insert(0, (name, part, x, s, lengths, cache))
            x, lengths = y, lengths if y.ndim > 2 else None
        for name, part, x, s, n, cache in rows:
            own = _trace(part, x, dy, s, n)
            found = {**{f"{name}.{key}": a for key, a in own.items()}, **found}
            dy = None if dy is None else part.backward(dy, cache)[0]
    elif isinstance(layer, Bidirectional):
        n = checks.lengths(lengths, *x.shape[:2])
        dus = (None, None) if dy is None else layer.split_gradient(dy)
        for (name, part), du, s in zip(
            parts.items(), dus, layer.split(state, "state"), strict=True
        ):
            turn = reverse if name == "backward" else lambda a, _: a
            own = _trace(part, turn(x, n), None if du is None else turn(du, n), s, n)
            found |= {f"{name}.{key}": turn(a, n) for key, a in own.items()}
    return found


def _trace_cell(layer, x, dy, state, lengths):
    T, B = x.shape[:2]
    H, gates = layer.hidden_size, layer.cached_gates
    state = zero_state(layer, B) if state is None else state
    a_names = [f"da_{g}" for g in layer.gates] or ["da"]
    names = [*layer.state_names, *gates]
    if dy is not None:
        names += [*(f"d{s}" for s in layer.state_names), *a_names]
    found = {name: np.zeros((T, B, H)) for name in names}
    for b, n in enumerate(checks.lengths(lengths, T, B)):
        s, caches, ds = map_tree(lambda a: a[b : b + 1], state), [], None  # noqa: B023
        for t in range(n):
            _, s, cache = layer.forward(x[t : t + 1, b : b + 1], s)
            checks.cache(cache, layer)  # there is none under no_cache
            caches.append(cache)
            for name, value in named_leaves(layer, s):
                found[name][t, b] = value[0]
            for k, name in enumerate(gates):
                found[name][t, b] = cache.gates[0, 0, k * H : (k + 1) * H]
        for t in reversed(range(n if dy is not None else 0)):
            for name, d in named_leaves(layer, ds):
                found[f"d{name}"][t, b] = d[0]
            found["dh"][t, b] += dy[t, b]
            _, ds, grads = layer.backward(dy[t : t + 1, b : b + 1], caches[t], ds)
            # The bias of one row at one step has the gradient of what it is added to.
            for name, da in zip(a_names, np.split(grads["b"], len(a_names)), strict=True):
                found[name][t, b] = da
    return found


def gradient_norms(traced: dict[str, np.ndarray], name: str = "dh") -> np.ndarray:
    """``||dL/dh[t]||`` at every step (T,), over all sequences and units, of a ``trace``."""
    if name not in traced:
        raise ValueError(f"name: expected one of {sorted(traced)}, got {name!r}")
    return np.sqrt(np.sum(traced[name] ** 2, axis=(1, 2)))


class Jacobians(NamedTuple):
    """How strongly the last state depends on each earlier one."""

    norms: np.ndarray  # (T+1,): spectral norm of ds[T]/ds[t], s[0] the initial state; the last is 1
    bounds: np.ndarray  # (T+1,): the product of the norms of the steps in between
    steps: np.ndarray  # (T,): spectral norm of each step's ds[t]/ds[t-1]


def jacobians(layer: Layer, x: ArrayLike, state: State = None) -> Jacobians:
    """The Jacobians of a recurrent layer along *one* sequence x (T, 1, D).

    The state is all of it: for an LSTM (h, c) together.
    """
    x = np.asarray(x)
    if x.ndim < 2 or x.shape[1] != 1:
        raise ValueError(f"x: expected a single sequence (T, 1, ...), got shape {x.shape}")
    state = zero_state(layer, 1) if state is None else state
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
    model: Layer, loss_fn: Callable, x: ArrayLike, target: ArrayLike, k2s: Iterable[int]
) -> np.ndarray:
    """How wrong the truncated gradient is: ``||g(k2) - g|| / ||g||`` for each k2, with k1 = 1.

    g is the gradient of ``bptt``, g(k2) the mean of those of ``truncated_bptt``.
    """
    _, full, _ = bptt(model, loss_fn, x, target, training=False)
    exact, biases = flat(list(full.values())), []
    for k2 in k2s:
        blocks: Iterator = truncated_bptt(model, loss_fn, x, target, 1, k2, training=False)
        mean = np.mean([flat(list(grads.values())) for _, grads, _ in blocks], axis=0)
        biases.append(np.linalg.norm(mean - exact) / np.linalg.norm(exact))
    return np.array(biases)


def saturation(
    traced: dict[str, np.ndarray], gate: str, margin: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """For each unit, the share of steps at which a gate is nearly shut, and nearly open (H,).

    Shut: below ``margin``; open: above ``1 - margin`` (Karpathy et al. 2015, figure 3).
    """
    if gate not in traced:
        raise ValueError(f"gate: expected one of {sorted(traced)}, got {gate!r}")
    values = traced[gate].reshape(-1, traced[gate].shape[-1])
    values = values[np.any(values != 0, axis=1)]  # not past the end
    return np.mean(values < margin, axis=0), np.mean(values > 1 - margin, axis=0)
