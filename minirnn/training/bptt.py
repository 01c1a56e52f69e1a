"""Back-propagation through time for a whole model: all of it, or the last k2 steps.

``truncated_bptt`` is the general algorithm of Williams & Peng (1990). After every k1 steps their
losses are propagated back through at most the last k2 steps::

    k1 = 2, k2 = 5      0 1 2 3 4 5 6 7
                        [-+]                    loss of steps 0 1
                        [- - -+]                loss of steps 2 3
                          [- - - -+]            loss of steps 4 5, back to step 1
                              [- - - -+]        loss of steps 6 7, back to step 3

The state in which a window begins is taken as given: that is all that truncation neglects. So each
gradient is exact: it is the derivative of its block's loss with this state held constant, and can
be checked by finite differences. The state itself is carried through the whole sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.padding import padding
from minirnn.protocol import Array, Layer, Numbers, Seed, State, check_streams, no_cache
from minirnn.training.losses import Loss

Result: TypeAlias = tuple[float, dict[str, Array], State]  # loss, gradients, final state


def bptt(
    model: Layer, loss_fn: Loss, x: Numbers, target: Numbers, state: State = None,
    lengths: Any = None, mask: Numbers | None = None, training: bool = True, rng: Seed = None,
) -> Result:  # fmt: skip
    """Loss of one batch, the gradients of all parameters, and the final state.

    model: a layer; its ``forward`` takes x, state, lengths, training and rng.
    loss_fn: ``loss_fn(y, target)`` or ``loss_fn(y, target, mask=mask)``, returning loss and dy.
    lengths: (B,). If the model's output is a sequence (T, B, K) and there is no mask, the steps
        past each sequence's end do not count.
    """
    y, state, cache = model.forward(x, state, lengths, training, rng)
    loss, dy = block_loss(loss_fn, y, target, lengths, mask)
    _, _, grads = model.backward(dy, cache)
    return loss, grads, state


def truncated_bptt(
    model: Layer, loss_fn: Loss, x: Numbers, target: Numbers, k1: int, k2: int,
    state: State = None, lengths: Numbers | None = None, mask: Numbers | None = None,
    training: bool = True, rng: Seed = None,
) -> Iterator[Result]:  # fmt: skip
    """Yield the loss of every k1 steps, its gradient through the last k2, and the state after them.

    x, target: sequences (T, B, ...); the model's output must be a sequence too. k2 >= k1. The loss
    is the mean over the k1 steps of the block (the last block may be shorter). ``k1 = k2 = T`` is
    BPTT, ``k1 = k2`` the usual chunks (a shorter last one still goes back k2 steps), ``k1 = 1`` the
    online form. The parameters may be changed between two blocks: each window is computed with the
    parameters of its time, at the cost of running forward over k2 steps instead of k1. A block in
    which no target counts is left out.
    """
    k1, k2 = checks.size(k1, "k1"), checks.size(k2, "k2")
    if k2 < k1:
        raise ValueError(f"k2: expected at least k1 = {k1}, got {k2}")
    x, target = checks.numbers(x, "x"), checks.numbers(target, "target")
    check_streams(model, x, target)
    T, B = x.shape[:2]
    ends = checks.lengths(lengths, T, B)
    counts = ~padding(ends, T) if mask is None else checks.numbers(mask, "mask")
    if counts.shape[:2] != (T, B):
        expected, got = checks.shape_text((T, B)), checks.shape_text(counts.shape)
        raise ValueError(f"mask: expected shape {expected}, got {got}")
    rng = None if rng is None else checks.generator(rng)
    begin = 0  # of the window; ``state`` is the state there
    for block in range(0, T, k1):
        end = min(block + k1, T)
        # The next window begins inside this one: run to there first, and keep the state.
        later = min(max(end + min(k1, T - end) - k2, 0), end)
        runs, final, kept = [], state, state
        for first, last in ((begin, later), (later, end)):
            if first < last:
                part = np.clip(ends - first, 0, last - first)
                y, final, cache = model.forward(x[first:last], final, part, training, rng)
                runs.append((y, cache))
            if last == later:
                kept = final
        if counts[block:end].any():
            y = np.concatenate([y for y, _ in runs])
            dy, own = np.zeros_like(y), slice(block - begin, None)
            loss: Any
            loss, dy[own] = loss_fn(y[own], target[block:end], mask=counts[block:end])
            yield loss, _backward(model, runs, dy), final
        begin, state = later, kept


def _backward(model: Layer, runs: list[tuple[Array, Any]], dy: Array) -> dict[str, Array]:
    """The parameters' gradients over several runs of forward, each with its own cache."""
    dstate: State = None
    total: dict[str, Any] = dict.fromkeys(model.params, 0.0)
    for y, cache in reversed(runs):
        dy, own = dy[: -len(y)], dy[-len(y) :]
        _, dstate, grads = model.backward(own, cache, dstate)
        total = {name: total[name] + g for name, g in grads.items()}
    return total


def evaluate(
    model: Layer, loss_fn: Loss, batches: Iterable[tuple[Any, ...]], stateful: bool = False
) -> float:
    """The mean loss over batches ``(x, target, lengths, mask)``.

    Each batch counts by its number of sequences, each piece of a stream by its number of steps.
    """
    total, rows, state = 0.0, 0, None
    for x, target, lengths, mask in batches:
        with no_cache():
            y, final, _ = model.forward(x, state, lengths)
        loss, _ = block_loss(loss_fn, y, target, lengths, mask)
        state = final if stateful else None
        n = len(y) if stateful or y.ndim < 3 else y.shape[1]
        total, rows = total + n * loss, rows + n
    return total / rows


def block_loss(
    loss_fn: Loss, y: Array, target: Any, lengths: Any, mask: Numbers | None
) -> tuple[Any, Array]:
    """Loss and dy of an output y. Without a mask, all steps up to each sequence's end count."""
    if isinstance(lengths, tuple):  # of a sequence-to-sequence model: the second are of its output
        lengths = lengths[1]
    if mask is None and lengths is not None and y.ndim == 3:
        mask = ~padding(checks.lengths(lengths, *y.shape[:2]), len(y))
    return loss_fn(y, target) if mask is None else loss_fn(y, target, mask=mask)
