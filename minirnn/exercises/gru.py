"""The gated recurrent unit: one step, and weights in another library's order."""

from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import exercise, judge_against


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def right_step(x, h_prev, W_x, W_h, b, b_hn):
    return step(x, h_prev, W_x, W_h, b, b_hn)


def step(
    x, h_prev, W_x, W_h, b, b_hn, order="rzn", reset="after", keep="z", candidate=np.tanh,
    bias=1, past_bias=1, gates=sigmoid, r_on=True, h_bias=0, dealt=False, turned=False,
):  # fmt: skip
    """The step with slips: the gates' order, where r works, what z keeps, what is left out."""
    H = len(b_hn)
    at = {gate: slice(k * H, (k + 1) * H) for k, gate in enumerate(order)}
    if dealt:
        at = {gate: slice(k, None, 3) for k, gate in enumerate(order)}
    xW, hW = x @ W_x + bias * b, h_prev @ W_h + h_bias * b
    r, z = (gates(xW[:, at[g]] + hW[:, at[g]]) for g in "rz")
    r = (1 - r if turned else r) if r_on else 1
    if reset == "after":
        s = r * (hW[:, at["n"]] + past_bias * b_hn)
    elif reset == "outside":
        s = r * hW[:, at["n"]] + past_bias * b_hn
    elif reset == "everything":
        return last(z, candidate(r * (xW[:, at["n"]] + hW[:, at["n"]] + b_hn)), h_prev, keep)
    else:
        s = (r * h_prev) @ W_h[:, at["n"]] + past_bias * b_hn
    return last(z, candidate(xW[:, at["n"]] + s), h_prev, keep)


def last(z, n, h_prev, keep):
    if keep == "both":
        return n + z * h_prev
    return (1 - z) * n + z * h_prev if keep == "z" else z * n + (1 - z) * h_prev


def slip(**options):
    return lambda *given: step(*given, **options)


@exercise(
    "Take the columns apart first: r, z, n, each H wide. Which one sees the past through r?",
    "r and z are sigmoids of x W_x + h_prev W_h + b, each with its own columns. n is a tanh of its "
    "part of x W_x + b, plus r times (its part of h_prev W_h, plus b_hn).",
    "n = tanh(xW_n + r * (hW_n + b_hn)) with xW = x @ W_x + b and hW = h_prev @ W_h; then "
    "h = (1 - z) * n + z * h_prev.",
)
def gru_step(student: Callable) -> str:
    """``gru_step(x, h_prev, W_x, W_h, b, b_hn)``: h of a GRU with the reset after the product.

    x (B, D), h_prev (B, H), W_x (D, 3H), W_h (H, 3H), b (3H,), b_hn (H,); columns r, z, n.
    """
    rng = np.random.default_rng(0)
    B, D, H = 3, 4, 2
    x, h_prev = rng.normal(size=(B, D)), rng.normal(size=(B, H))
    W_x, W_h = rng.normal(size=(D, 3 * H)), rng.normal(size=(H, 3 * H))
    b, b_hn, zero = rng.normal(size=3 * H), rng.normal(size=H), np.zeros(H)
    only = {  # the columns of one gate only: what differs is that gate's
        name: np.where(np.arange(3 * H) // H == k, 1.0, 0.0) for k, name in enumerate("rzn")
    }
    cases = {
        "a zero state and no biases": (x, 0 * h_prev, W_x, W_h, 0 * b, zero),
        "all weights zero: r = z = 1/2, n = 0": (x, h_prev, 0 * W_x, 0 * W_h, 0 * b, zero),
        "only gate z has weights": (x, h_prev, W_x * only["z"], W_h * only["z"], 0 * b, zero),
        "only the candidate n has weights": (
            x, h_prev, W_x * only["n"], W_h * only["n"], 0 * b, zero,
        ),
        "n and r have weights": (
            x, h_prev, W_x * (only["n"] + only["r"]), W_h * (only["n"] + only["r"]), 0 * b, zero,
        ),
        "all weights, no biases": (x, h_prev, W_x, W_h, 0 * b, zero),
        "all weights and b, no b_hn": (x, h_prev, W_x, W_h, b, zero),
        "everything": (x, h_prev, W_x, W_h, b, b_hn),
    }  # fmt: skip
    mistakes = {
        "z and 1 - z are swapped: here z = 1 keeps the old state": slip(keep="1 - z"),
        "n is not multiplied by 1 - z: h = n + z * h_prev": slip(keep="both"),
        "r works before the product, on h_prev: that is the other variant": slip(reset="before"),
        "r multiplies x's part of n as well, not only that of the past": slip(reset="everything"),
        "b_hn is added outside of r: r multiplies it too": slip(reset="outside"),
        "b_hn is left out": slip(past_bias=0),
        "b is left out": slip(bias=0),
        "b is added twice, to x W_x and to h_prev W_h": slip(h_bias=1),
        "b is added to h_prev W_h, so that r multiplies b_n too; it belongs to x W_x": slip(
            bias=0, h_bias=1
        ),
        "r is not used": slip(r_on=False),
        "1 - r is used instead of r": slip(turned=True),
        "the sign of a in the sigmoids of r and z is wrong: 1 / (1 + exp(-a))": slip(
            gates=lambda a: sigmoid(-a)
        ),
        "the columns are interleaved, r z n r z n; those of a gate must be side by side": slip(
            dealt=True
        ),
        "the candidate n has no tanh": slip(candidate=lambda a: a),
        "the candidate n is a sigmoid instead of a tanh": slip(candidate=sigmoid),
        "r and z are tanhs instead of sigmoids": slip(gates=np.tanh),
        "the columns are taken in the order z, r, n, which is that of Keras": slip(order="zrn"),
        "the columns are taken in the order n, z, r": slip(order="nzr"),
        "the columns are taken in the order r, n, z": slip(order="rnz"),
    }
    return judge_against(student, right_step, cases, mistakes, {"h": ("row", "unit")})


def reordered(W, order=(1, 0, 2), axis=-1):
    parts = np.split(W, 3, axis=axis)
    return np.concatenate([parts[k] for k in order], axis=axis)


def interleaved(W):
    return W.reshape(*W.shape[:-1], 3, -1)[..., [1, 0, 2], :].swapaxes(-1, -2).reshape(W.shape)


@exercise(
    "Keras' columns are z, r, n, and ours r, z, n. Which two of the three blocks change places?",
    "The columns are the *last* axis, of a matrix and of a vector alike: np.split(W, 3, axis=-1).",
    "z, r, n = np.split(W, 3, axis=-1); return np.concatenate([r, z, n], axis=-1).",
)
def from_keras_order(student: Callable) -> str:
    """``from_keras_order(W)``: the columns z, r, n (..., 3H) as r, z, n."""
    rng = np.random.default_rng(0)
    cases = {
        "a bias (3,), one column a gate": (np.array([1.0, 2.0, 3.0]),),
        "a bias (6,), two columns a gate": (np.arange(6.0),),
        "a matrix (4, 6)": (rng.normal(size=(4, 6)),),
        "a square matrix (6, 6)": (rng.normal(size=(6, 6)),),
    }
    mistakes = {
        "nothing has changed its place": lambda W: W,
        "the blocks are rotated by one: the order became r, n, z": lambda W: reordered(
            W, (1, 2, 0)
        ),
        "the blocks are rotated by one: the order became n, z, r": lambda W: reordered(
            W, (2, 0, 1)
        ),
        "n has moved: the whole order is reversed": lambda W: reordered(W, (2, 1, 0)),
        "the last two blocks changed places, not the first two": lambda W: reordered(W, (0, 2, 1)),
        "rows are moved, not columns": lambda W: reordered(W, (1, 0, 2), 0),
        "the gates' columns are interleaved: r z n r z n": interleaved,
    }
    return judge_against(student, reordered, cases, mistakes, {"W": ("row", "column")})
