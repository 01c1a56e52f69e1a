"""Real-time recurrent learning (Williams & Zipser 1989): gradients carried forward, not back.

With s[t] the state (n numbers) and w the parameters (p numbers), the influence of the parameters on
the state, ``P[t] = ds[t] / dw`` (n, p), obeys a recurrence that runs with time::

    P[t] = J[t] P[t-1] + I[t]      J[t] = ds[t] / ds[t-1],    I[t] = ds[t] / dw within step t
    dw[t] = ds P[t-1] + direct     ds = d loss[t] / ds[t-1],  direct = d loss[t] / dw within step t

A row of J and of I is what one step of ``backward`` returns when the gradient of its final state is
a unit vector. Nothing of the past is kept but P: memory is B n p numbers whatever the length, where
BPTT keeps T steps. The price is B (n + 1) backward steps and B n n p multiplications a step; with n
hidden units p is about n^2, so memory grows as n^3 and time as n^4. For small cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.protocol import (
    Array,
    Layer,
    Numbers,
    State,
    check_streams,
    leaves,
    map_tree,
    zero_state,
)
from minirnn.training.bptt import Result, check_model, check_stepwise, loss_and_gradient
from minirnn.training.losses import Loss


def rtrl(
    model: Layer, loss_fn: Loss, x: Numbers, target: Numbers, state: State = None
) -> Iterator[Result]:
    """Yield the loss of every step, its gradient through *all* of the past, and the state after it.

    x, target: sequences (T, B, ...). The result is that of ``truncated_bptt`` with k1 = 1 and
    k2 = T, up to rounding, so the sum over all steps is T times the gradient of ``bptt``.

    Raises TypeError for a model with a state but without zero_state, and ValueError for one that
    needs the whole sequence at once.
    """
    check_model(model, loss_fn)
    check_stepwise(loss_fn)
    x, target = checks.numbers(x, "x"), checks.numbers(target, "target")
    check_streams(model, x, target)
    T, B = x.shape[:2]
    state = zero_state(model, B) if state is None else state
    _, final, _ = model.forward(x[:1], state)  # raises an error that names what does not fit
    if len(leaves(final)) != len(leaves(state)):
        raise TypeError(f"model: {type(model).__name__} has no zero_state, which rtrl needs")
    n, p = (sum(a.size for a in arrays) for arrays in (leaves(state), model.params.values()))
    P = np.zeros((B, n // B, p))
    for t in range(T):
        y, final, _ = model.forward(x[t : t + 1], state)
        loss, dy = loss_and_gradient(loss_fn, y, target[t : t + 1], None, x)
        dw = np.zeros(p)
        for b in range(B):
            row = slice(b, b + 1)
            own = map_tree(lambda s: s[row], state)  # noqa: B023
            _, _, cache = model.forward(x[t : t + 1, row], own)
            _, dstate, grads = model.backward(dy[:, row], cache)
            dw += flat(dstate) @ P[b] + flat(list(grads.values()))
            J, influence = step_jacobians(model, dy[:, row], cache, own)
            P[b] = J @ P[b] + influence
        grads = dict(zip(model.params, shaped(dw, list(model.params.values())), strict=True))
        yield loss, grads, final
        state = final


def step_jacobians(model: Layer, dy: Array, cache: Any, state: State) -> tuple[Array, Array]:
    """J (n, n) and I (n, p) of one step of one sequence, row by row from ``backward``.

    dy: an array like the output of the step; state: one like the state (1, H), for their shapes.
    """
    n = flat(state).size
    J, influence = [], []
    for unit in np.eye(n):
        _, dstate, grads = model.backward(np.zeros_like(dy), cache, shaped(unit, state))
        J.append(flat(dstate))
        influence.append(flat(list(grads.values())))
    return np.array(J).reshape(n, n), np.array(influence).reshape(n, -1)


def flat(tree: Any) -> Array:
    """All numbers of a state in one row."""
    return np.concatenate([np.zeros(0), *(np.ravel(a) for a in leaves(tree))])


def shaped(row: np.ndarray, like: Any) -> Any:
    """The inverse of ``flat``."""
    parts = iter(np.split(row, np.cumsum([a.size for a in leaves(like)])[:-1]))
    return map_tree(lambda a: next(parts).reshape(a.shape), like)
