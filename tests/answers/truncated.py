"""Wrong answers to the exercises of chapter 5."""

import numpy as np

import minirnn as mr


def made(begin, last="min(first + k1, T)"):
    """Windows with the given expressions for their begin and end."""
    scope = {}
    exec(
        f"""
def bptt_windows(T, k1, k2):
    found = []
    for first in range(0, T, k1):
        end = {last}
        found.append(({begin}, first, end))
    return found
""",
        scope,
    )
    return scope["bptt_windows"]


def right(T, k1, k2):
    return made("max(end - k2, 0)")(T, k1, k2)


STREAM = """
def train_stream(model, loss_fn, x, target, k, optimizer):
    state, losses, dstate = None, [], None
    for t in range(0, len(x), k):
        y, state, cache = model.forward(x[t : t + k], state)
        loss, dy = loss_fn(y, target[t : t + k])
        _, _, grads = model.backward(dy, cache)
        optimizer.step(model.params, grads)
        losses.append(loss)
    return losses
"""


def stream(line_wrong, line_right):
    """The reference with one line replaced, as a function."""
    assert line_right in STREAM
    scope = {"np": np, "mr": mr}
    exec(STREAM.replace(line_right, line_wrong), scope)
    return scope["train_stream"]


WRONG = {
    "bptt_windows": [
        (made("end - k2"), "below 0"),
        (made("max(first - k2, 0)"), "count from its end"),
        (made("max(end - k2, 0)", "first + k1"), "ends after T"),
        (made("max(first + k1 - k2, 0)"), "its own end"),
        (lambda T, k1, k2: right(T // k1 * k1, k1, k2), "left out"),
        (made("max(end - k2 + 1, 0)"), "too short"),
        (made("max(end - k2 - 1, 0)"), "too long"),
        (
            lambda T, k1, k2: right(T, 1, k2),
            "a window for each block of k1 steps, 1 in all, got 4",
        ),
        (lambda T, k1, k2: [(b, a, c) for a, b, c in right(T, k1, k2)], "in each other's place"),
        (lambda T, k1, k2: [w[::2] for w in right(T, k1, k2)], "three numbers"),
        (
            lambda T, k1, k2: [(b, f, e - 1) for b, f, e in right(T, k1, k2)],
            "the step after the last",
        ),
        (lambda T, k1, k2: right(T, k1, k1), "k2 is not used"),
        (lambda T, k1, k2: len(right(T, k1, k2)), "Expected a list"),
    ],
    "train_stream": [
        (stream("model.forward(x[t : t + k])", "model.forward(x[t : t + k], state)"), "zero state"),
        (stream("pass", "optimizer.step(model.params, grads)"), "never makes a step"),
        (stream("range(0, len(x) - k + 1, k)", "range(0, len(x), k)"), "left out"),
        (stream("range(len(x) // k)", "range(0, len(x), k)"), "T = 4, k = 2, two pieces"),
        (stream("return loss", "return losses"), "the shape (1,), got ()"),
        (stream("model.backward(y, cache)", "model.backward(dy, cache)"), "learning rate 0.1"),
        (stream("loss_fn(y, target[: len(y)])", "loss_fn(y, target[t : t + k])"), "two pieces"),
        (stream("x[t : t + 1]", "x[t : t + k]"), "ValueError"),
    ],
}
