"""Back-propagation through time for a whole model: all of it, or the last k2 steps.

``truncated_bptt`` is the general algorithm of Williams & Peng (1990). After every k1 steps their
losses are propagated back through at most the last k2 steps::

    k1 = 2, k2 = 5      0 1 2 3 4 5 6 7
                        [-+]                    loss of steps 0 1
                        [- - -+]                loss of steps 2 3
                          [- - - -+]            loss of steps 4 5, back to step 1
                              [- - - -+]        loss of steps 6 7, back to step 3

The state in which a window begins is taken as given: that is all that truncation neglects. So each
gradient is exact, that of its block's loss as a function of the parameters with this state frozen,
and can be checked by differences like any other. The state itself runs on without a break.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.padding import padding
from minirnn.protocol import Layer, State, check_streams, no_cache

Result = tuple[float, dict[str, np.ndarray], State]


def bptt(
    model: Layer, loss_fn: Callable, x: Any, target: ArrayLike, state: State = None,
    lengths: Any = None, mask: ArrayLike | None = None, training: bool = True, rng: Any = None,
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
    model: Layer, loss_fn: Callable, x: ArrayLike, target: ArrayLike, k1: int, k2: int,
    state: State = None, lengths: ArrayLike | None = None, mask: ArrayLike | None = None,
    training: bool = True, rng: Any = None,
) -> Iterator[Result]:  # fmt: skip
    """Yield the loss of every k1 steps, its gradient through the last k2, and the state after them.

    x, target: a sequence (T, B, ...) each, and so must be the model's output. k2 >= k1. The loss is
    the mean over the block's own k1 steps (the last block may be shorter). ``k1 = k2 = T`` is BPTT,
    ``k1 = k2`` the usual chunks (where the last one is shorter, it still goes back k2 steps),
    ``k1 = 1`` the online form. The parameters may be changed between
    two blocks: each window is computed with those of its time, at the cost of running forward over
    k2 steps rather than k1. A block in which no target counts is passed over.
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
        # The next window begins within this one: go there first, and keep the state in passing.
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
            loss, dy[own] = loss_fn(y[own], target[block:end], mask=counts[block:end])
            yield loss, _backward(model, runs, dy), final
        begin, state = later, kept


def _backward(model, runs, dy):
    """The parameters' gradients over several runs of forward, each with its own cache."""
    dstate, total = None, dict.fromkeys(model.params, 0.0)
    for y, cache in reversed(runs):
        dy, own = dy[: -len(y)], dy[-len(y) :]
        _, dstate, grads = model.backward(own, cache, dstate)
        total = {name: total[name] + g for name, g in grads.items()}
    return total


def evaluate(
    model: Layer, loss_fn: Callable, batches: Iterable[tuple], stateful: bool = False
) -> float:
    """The mean loss over batches ``(x, target, lengths, mask)``, weighted by numbers of rows (of
    the pieces of a stream: by numbers of steps)."""
    total, rows, state = 0.0, 0, None
    for x, target, lengths, mask in batches:
        with no_cache():
            y, final, _ = model.forward(x, state, lengths)
        loss, _ = block_loss(loss_fn, y, target, lengths, mask)
        state = final if stateful else None
        n = len(y) if stateful or y.ndim < 3 else y.shape[1]
        total, rows = total + n * loss, rows + n
    return total / rows


def block_loss(loss_fn, y, target, lengths, mask):
    """Loss and dy of an output y; without a mask what lies past the end does not count."""
    if isinstance(lengths, tuple):  # of a sequence-to-sequence model: those of its output
        lengths = lengths[1]
    if mask is None and lengths is not None and y.ndim == 3:
        mask = ~padding(checks.lengths(lengths, *y.shape[:2]), len(y))
    return loss_fn(y, target) if mask is None else loss_fn(y, target, mask=mask)
