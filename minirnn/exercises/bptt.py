"""Back-propagation through time: a slope by differences, the backward pass of the vanilla RNN."""

from collections.abc import Callable
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.exercises.common import Wrong, exercise, judge_against, results


class WithBackward:
    """A layer whose backward pass is a student's, for ``mr.gradcheck``."""

    def __init__(self, layer: Any, backward: Callable):
        self.layer, self.params, self.backward = layer, layer.params, backward
        self.gates, self.state_names = layer.gates, layer.state_names
        self.input_size, self.hidden_size = layer.input_size, layer.hidden_size
        self.forward, self.zero_state = layer.forward, layer.zero_state


def judge_gradients(layer: Any, backward: Callable, x: np.ndarray) -> str:
    """Check a student's backward pass by differences, and say what is wrong in its equations."""
    report = mr.gradcheck(WithBackward(layer, backward), x, rng=0)
    if not report.ok:
        rows = [f"{row.name} ({row.error:.0e})" for row in report.rows if row.wrong]
        raise Wrong(
            f"The gradient check finds: {report.verdict}.\n  {report.hint}\n"
            f"  Wrong against differences (relative error): {', '.join(rows)}."
        )
    return f"(largest relative error {report.max_rel_error:.0e} against differences)"


@exercise(
    "A derivative is the limit of (f(w + eps) - f(w - eps)) / (2 eps). Which w changes, and when?",
    "Copy w. Increase one entry, call f, decrease it, call f. The other entries stay.",
    "up = w.copy(); up[k] += eps; the same with -= for down; return (f(up) - f(down)) / (2 * eps).",
)
def slope(student: Callable) -> str:
    """``slope(f, w, k, eps)``: the central difference of f at the array w in its entry k."""

    def right(f, w, k, eps, low=1.0, size=2.0):
        up, down = w.copy(), w.copy()
        up[k] += eps
        down[k] -= low * eps
        return (f(up) - f(down)) / (size * eps)

    def all_at_once(f, w, k, eps):
        return (f(w + eps) - f(w - eps)) / (2 * eps)

    def cubic(w):
        return float(np.sum(w**3) + w[0] * w[1])

    w = np.array([1.0, 2.0, -0.5])
    return judge_against(
        student,
        right,
        {
            "f(w) = sum(w), eps = 0.5": (np.sum, w, 1, 0.5),
            "f(w) = sum(w**3) + w[0] w[1], eps = 0.1": (cubic, w, 0, 0.1),
            "the same, entry 2": (cubic, w, 2, 0.1),
        },
        {
            "one-sided: f(w + eps) - f(w) over eps. Its error shrinks with eps, that of the "
            "two-sided one with eps squared": lambda f, w, k, eps: right(f, w, k, eps, 0.0, 1.0),
            "divided by eps, though the two points are 2 eps apart": lambda f, w, k, eps: right(
                f, w, k, eps, 1.0, 1.0
            ),
            "not divided by the distance of the two points": lambda f, w, k, eps: (
                2 * eps * right(f, w, k, eps)
            ),
            "both changes go into the same array: `p = w` makes no copy": lambda f, w, k, eps: 0.0,
            "the sign is wrong: it must be up minus down": lambda f, w, k, eps: (
                -right(f, w, k, eps)
            ),
            "all entries of w are changed at once, not only entry k": all_at_once,
        },
        {"slope": ()},
    )


@exercise(
    "Go through the steps from the last to the first. h[t] reaches the loss in two ways: which?",
    "dh = dy[t] + dh_next; da = dh * (1 - h[t+1]**2), since h[t+1] is the output of step t; then "
    "da goes to x[t], h[t], W_x, W_h and b.",
    "dx[t] = da @ W_x.T; dW_x += x[t].T @ da; dW_h += h[t].T @ da; db += da.sum(axis=0); "
    "dh_next = da @ W_h.T. After the loop dh_next is dh0.",
)
def rnn_backward(student: Callable) -> str:
    """``rnn_backward(dy, x, h, W_x, W_h)`` of a tanh RNN: dx, dh0, dW_x, dW_h, db.

    dy (T, B, H), x (T, B, D), h (T+1, B, H) with h[0] the initial state.
    """
    rng = np.random.default_rng(0)
    layer = mr.RNN(2, 3, rng=rng)

    def backward(dy, cache, dstate=None):
        dy = dy.copy()
        if dstate is not None:  # the last output is the final state
            dy[-1] += dstate
        x, h = np.array(cache.x), np.array(cache.h)
        found = student(dy, x, h, layer.params["W_x"], layer.params["W_h"])
        shapes = {"dx": x, "dh0": h[0], "dW_x": layer.params["W_x"], "dW_h": layer.params["W_h"],
                  "db": layer.params["b"]}  # fmt: skip
        try:
            dx, dh0, *grads = results(found, {name: a.shape for name, a in shapes.items()})
        except Wrong as wrong:
            rows = " Is it summed over the rows too?" if str(wrong).startswith("db: ") else ""
            raise Wrong(f"{wrong}{rows}") from None
        if not all(np.isfinite(a).all() for a in (dx, dh0, *grads)):
            raise Wrong("Some gradients are not finite: is an array used that was never filled?")
        return dx, dh0, dict(zip(("W_x", "W_h", "b"), grads, strict=True))

    return judge_gradients(layer, backward, rng.normal(size=(4, 2, 2)))
