"""Back-propagation through time for a whole model: forward, loss, backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.protocol import Layer, State


def bptt(
    model: Layer,
    loss_fn: Callable,
    x: ArrayLike,
    target: ArrayLike,
    state: State = None,
    lengths: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    training: bool = True,
    rng: Any = None,
) -> tuple[float, dict[str, np.ndarray], State]:
    """Loss of one batch, the gradients of all parameters, and the final state.

    model: a layer; its ``forward`` takes x, state, lengths, training and rng.
    loss_fn: ``loss_fn(y, target)`` or ``loss_fn(y, target, mask=mask)``, returning loss and dy.
    lengths: (B,). If the model's output is a sequence (T, B, K) and there is no mask, the steps
    past
        each sequence's end do not count.
    """
    y, state, cache = model.forward(x, state, lengths, training, rng)
    loss, dy = _loss(loss_fn, y, target, lengths, mask)
    _, _, grads = model.backward(dy, cache)
    return loss, grads, state


def evaluate(model: Layer, loss_fn: Callable, batches: Iterable[tuple]) -> float:
    """The mean loss over batches ``(x, target, lengths, mask)``, weighted by numbers of rows."""
    total, rows = 0.0, 0
    for x, target, lengths, mask in batches:
        y, _, _ = model.forward(x, None, lengths)
        loss, _ = _loss(loss_fn, y, target, lengths, mask)
        n = y.shape[1] if y.ndim == 3 else y.shape[0]
        total, rows = total + n * loss, rows + n
    return total / rows


def _loss(loss_fn, y, target, lengths, mask):
    if mask is None and lengths is not None and y.ndim == 3:
        mask = ~checks.padding(np.asarray(lengths), len(y))
    return loss_fn(y, target) if mask is None else loss_fn(y, target, mask=mask)
