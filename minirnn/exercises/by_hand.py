"""One step of the tanh RNN, and a whole sequence of them."""

from collections.abc import Callable

import numpy as np

import minirnn as mr
from minirnn.exercises.common import exercise, judge_against


def layer(W_x, W_h, b):
    """The library's layer with these parameters."""
    found = mr.RNN(len(W_x), len(b), rng=0)
    for name, value in (("W_x", W_x), ("W_h", W_h), ("b", b)):
        found.params[name][...] = value
    return found


def step(x, h, W_x, W_h, b):
    """The right answer of one step."""
    return layer(W_x, W_h, b).step(x, h)[0]


def drawn(B, D, H, without="", T=None):
    """Arguments for a step, or with T for a sequence, drawn at random; some of them zero."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(B, D) if T is None else (T, B, D))
    h, W_x, W_h, b = (rng.normal(size=size) for size in ((B, H), (D, H), (H, H), (H,)))
    zero = {"x": x, "h": h, "W_h": W_h, "b": b}
    for name in without.split():
        zero[name][...] = 0
    return x, h, W_x, W_h, b


@exercise(
    "Two products and a bias make a, with a row for each sequence; then one function on all of it.",
    "x is (B, D) and W_x (D, H), so x @ W_x is (B, H), and so is h @ W_h. b is added to each row.",
    "a = x @ W_x + h @ W_h + b; return np.tanh(a).",
)
def rnn_step(student: Callable) -> str:
    """``rnn_step(x, h, W_x, W_h, b)``: the new state (B, H) of a tanh RNN.

    x (B, D), h (B, H), W_x (D, H), W_h (H, H), b (H,).
    """
    return judge_against(
        student,
        step,
        {
            "only the bias counts (x = 0, h = 0)": drawn(1, 2, 3, "x h"),
            "only the input counts (h = 0, b = 0)": drawn(1, 2, 3, "h b"),
            "only the old state counts, one unit (H = 1, x = 0, b = 0)": drawn(1, 2, 1, "x b"),
            "only the old state counts, three units (x = 0, b = 0)": drawn(1, 2, 3, "x b"),
            "input and old state, no bias": drawn(1, 2, 3, "b"),
            "all of it, one sequence (B = 1)": drawn(1, 2, 3),
            "all of it, four sequences (B = 4)": drawn(4, 2, 3),
            "as many inputs as units (D = H = 3)": drawn(2, 3, 3),
        },
        {
            "a itself, the tanh is missing": lambda x, h, W_x, W_h, b: x @ W_x + h @ W_h + b,
            "sigmoid instead of tanh": lambda x, h, W_x, W_h, b: (
                1 / (1 + np.exp(-(x @ W_x + h @ W_h + b)))
            ),
            "relu instead of tanh": lambda x, h, W_x, W_h, b: np.maximum(x @ W_x + h @ W_h + b, 0),
            "the bias is added after the tanh": lambda x, h, W_x, W_h, b: (
                np.tanh(x @ W_x + h @ W_h) + b
            ),
            "a tanh of each part. Take one tanh of their sum": lambda x, h, W_x, W_h, b: (
                np.tanh(x @ W_x) + np.tanh(h @ W_h) + b
            ),
            "W_h is transposed. h @ W_h, with h a row": lambda x, h, W_x, W_h, b: step(
                x, h, W_x, W_h.T, b
            ),
            "the bias is missing": lambda x, h, W_x, W_h, b: step(x, h, W_x, W_h, 0 * b),
            "the bias is subtracted": lambda x, h, W_x, W_h, b: step(x, h, W_x, W_h, -b),
            "the old state is missing: h @ W_h": lambda x, h, W_x, W_h, b: step(
                x, 0 * h, W_x, W_h, b
            ),
            "the old state goes in without W_h": lambda x, h, W_x, W_h, b: step(
                x, h, W_x, np.eye(len(b)), b
            ),
            "the old state is added after the tanh as well": lambda x, h, W_x, W_h, b: (
                h + step(x, h, W_x, W_h, b)
            ),
        },
        {"h": ("row", "unit")},
    )


def run(x, h0, W_x, W_h, b, *, carry=True, start=True, order=1, same_x=False):
    """The right answer of a sequence, and what can go wrong between its steps."""
    h = [h0 if start else 0 * h0]
    for t in range(len(x))[::order]:
        h.append(step(x[0 if same_x else t], h[-1] if carry else h[0], W_x, W_h, b))
    return np.array(h)


@exercise(
    "Keep a list of states that begins with h0, and append a new one at each step.",
    "The state before step t is the last of the list, h[t]; the input is x[t]. T steps make T + 1 "
    "states.",
    "h = [h0]; for t in range(len(x)): h.append(np.tanh(x[t] @ W_x + h[t] @ W_h + b)); return "
    "np.array(h).",
)
def rnn_forward(student: Callable) -> str:
    """``rnn_forward(x, h0, W_x, W_h, b)``: all states (T+1, B, H) of a tanh RNN, h0 the first.

    x (T, B, D), h0 (B, H), W_x (D, H), W_h (H, H), b (H,).
    """

    def right(x, h0, W_x, W_h, b):
        y, _, _ = layer(W_x, W_h, b).forward(x, h0)
        return np.concatenate([h0[None], y])

    def too_old(x, h0, *w):
        h = [h0]
        for t in range(len(x)):
            h.append(step(x[t], h[max(t - 1, 0)], *w))
        return np.array(h)

    return judge_against(
        student,
        right,
        {
            "one step, h0 = 0, b = 0": drawn(1, 2, 3, "h b", T=1),
            "one step, h0 = 0": drawn(1, 2, 3, "h", T=1),
            "one step, h0 not zero": drawn(1, 2, 3, T=1),
            "three steps that do not see each other (W_h = 0)": drawn(1, 2, 3, "W_h", T=3),
            "two steps, h0 = 0": drawn(1, 2, 3, "h", T=2),
            "three steps, h0 not zero": drawn(1, 2, 3, T=3),
            "five steps, two sequences": drawn(2, 2, 3, T=5),
            "as many steps as sequences, inputs and units (3)": drawn(3, 3, 3, T=3),
        },
        {
            "each step starts from h0 again. Step t starts from the state after step t - 1": (
                lambda x, h0, *w: run(x, h0, *w, carry=False)
            ),
            "the old state that is used is one step too old: h[t] is the state before step t, not "
            "h[t - 1]": too_old,
            "the first step is left out: the loop begins at t = 0": lambda x, h0, *w: run(
                x[1:], h0, *w
            ),
            "h0 is not used: the first state is zero": lambda x, h0, *w: run(
                x, h0, *w, start=False
            ),
            "h[0] is right, but the first step starts from zero": lambda x, h0, *w: np.concatenate(
                [h0[None], run(x, h0, *w, start=False)[1:]]
            ),
            "the steps go from the last to the first": lambda x, h0, *w: run(x, h0, *w, order=-1),
            "x[0] goes in at every step": lambda x, h0, *w: run(x, h0, *w, same_x=True),
            "h0 is missing from the result. There are T + 1 states, h[0] is h0": (
                lambda x, h0, *w: run(x, h0, *w)[1:]
            ),
            "the last state is missing. T steps make T + 1 states": lambda x, h0, *w: run(
                x, h0, *w
            )[:-1],
            "only the last state. Return all T + 1": lambda x, h0, *w: run(x, h0, *w)[-1],
            "h0 is at the end. h[0] is h0": lambda x, h0, *w: np.roll(run(x, h0, *w), -1, axis=0),
            "batch first: (B, T + 1, H) instead of (T + 1, B, H)": lambda x, h0, *w: run(
                x, h0, *w
            ).swapaxes(0, 1),
            "W_h is transposed. h @ W_h, with h a row": lambda x, h0, W_x, W_h, b: run(
                x, h0, W_x, W_h.T, b
            ),
            "the bias is missing": lambda x, h0, W_x, W_h, b: run(x, h0, W_x, W_h, 0 * b),
        },
        {"h": ("step (0 is h0)", "row", "unit")},
    )
