"""Wrong answers to the exercises of chapter 8."""

import numpy as np

TEXT = """
def gru_step(x, h_prev, W_x, W_h, b, b_hn):
    H = len(b_hn)
    xW, hW = x @ W_x + b, h_prev @ W_h
    r = 1 / (1 + np.exp(-(xW[:, :H] + hW[:, :H])))
    z = 1 / (1 + np.exp(-(xW[:, H : 2 * H] + hW[:, H : 2 * H])))
    n = np.tanh(xW[:, 2 * H :] + r * (hW[:, 2 * H :] + b_hn))
    return (1 - z) * n + z * h_prev
"""


def wrong(right, line):
    assert TEXT.count(right) == 1
    scope = {"np": np}
    exec(TEXT.replace(right, line), scope)
    return scope["gru_step"]


def before(x, h_prev, W_x, W_h, b, b_hn):
    H = len(b_hn)
    xW, hW = x @ W_x + b, h_prev @ W_h
    r = 1 / (1 + np.exp(-(xW[:, :H] + hW[:, :H])))
    z = 1 / (1 + np.exp(-(xW[:, H : 2 * H] + hW[:, H : 2 * H])))
    n = np.tanh(xW[:, 2 * H :] + (r * h_prev) @ W_h[:, 2 * H :] + b_hn)
    return (1 - z) * n + z * h_prev


def dealt(x, h_prev, W_x, W_h, b, b_hn):
    xW, hW = x @ W_x + b, h_prev @ W_h
    r, z = (1 / (1 + np.exp(-(xW[:, k::3] + hW[:, k::3]))) for k in (0, 1))
    n = np.tanh(xW[:, 2::3] + r * (hW[:, 2::3] + b_hn))
    return (1 - z) * n + z * h_prev


def signs(x, h_prev, W_x, W_h, b, b_hn):
    H = len(b_hn)
    xW, hW = x @ W_x + b, h_prev @ W_h
    r, z = np.split(1 / (1 + np.exp(xW + hW))[:, : 2 * H], 2, axis=1)
    n = np.tanh(xW[:, 2 * H :] + r * (hW[:, 2 * H :] + b_hn))
    return (1 - z) * n + z * h_prev


def moved(order, axis=-1):
    def from_keras_order(W):
        parts = np.split(W, 3, axis=axis)
        return np.concatenate([parts[k] for k in order], axis=axis)

    return from_keras_order


def names_only(W):
    z, r, n = np.split(W, 3, axis=-1)
    return r, z, n


def in_place(W):
    H = W.shape[-1] // 3
    W[..., :H], W[..., H : 2 * H] = W[..., H : 2 * H].copy(), W[..., :H].copy()
    return W


WRONG = {
    "gru_step": [
        (wrong("(1 - z) * n + z * h_prev", "z * n + (1 - z) * h_prev"), "swapped"),
        (wrong("(1 - z) * n + z", "n + z"), "not multiplied by 1 - z"),
        (before, "before the product"),
        (wrong("(hW[:, 2 * H :] + b_hn))", "hW[:, 2 * H :] + b_hn)"), "outside of r"),
        (wrong("r * (hW[:, 2 * H :] + b_hn)", "r * hW[:, 2 * H :]"), "b_hn is left out"),
        (wrong("x @ W_x + b,", "x @ W_x,"), "b is left out"),
        (wrong("np.tanh(xW[:, 2 * H :] + r *", "(xW[:, 2 * H :] + r *"), "no tanh"),
        (wrong("+ r * (", "+ ("), "r is not used"),
        (wrong("return (1 - z) * n + z * h_prev", "return n"), "a zero state"),
        (wrong("hW[:, :H])", "hW[:, H : 2 * H])"), "n and r have weights"),
        (wrong("h_prev @ W_h", "h_prev * W_h"), "ValueError"),
        (wrong("h_prev @ W_h", "h_prev @ W_h + b"), "b is added twice"),
        (wrong("x @ W_x + b, h_prev @ W_h", "x @ W_x, h_prev @ W_h + b"), "multiplies b_n too"),
        (wrong("+ r * (", "+ (1 - r) * ("), "1 - r is used"),
        (dealt, "columns are interleaved"),
        (signs, "sign of a"),
        (lambda *given: before(*given).T, "expected the shape"),
    ],
    "from_keras_order": [
        (lambda W: W, "nothing has changed"),
        (moved((1, 2, 0)), "r, n, z"),
        (moved((2, 0, 1)), "n, z, r"),
        (moved((2, 1, 0)), "reversed"),
        (moved((0, 2, 1)), "last two blocks"),
        (moved((1, 0, 2), 0), "given an array (4, 6)"),
        (names_only, "shape"),
        (in_place, "changes its argument 'W'"),
    ],
}
