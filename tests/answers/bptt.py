"""Wrong answers to the exercises of chapter 3."""

import numpy as np


def one_sided(f, w, k, eps):
    up = w.copy()
    up[k] += eps
    return (f(up) - f(w)) / eps


def not_halved(f, w, k, eps):
    up, down = w.copy(), w.copy()
    up[k] += eps
    down[k] -= eps
    return (f(up) - f(down)) / eps


def everywhere(f, w, k, eps):
    return (f(w + eps) - f(w - eps)) / (2 * eps)


def in_place(f, w, k, eps):
    w[k] += eps
    high = f(w)
    w[k] -= 2 * eps
    return (high - f(w)) / (2 * eps)


def down_minus_up(f, w, k, eps):
    up, down = w.copy(), w.copy()
    up[k] += eps
    down[k] -= eps
    return (f(down) - f(up)) / (2 * eps)


def backward(line_wrong="", line_right=""):
    """The reference with one line replaced, as a function."""
    text = """
def rnn_backward(dy, x, h, W_x, W_h):
    dx, dW_x, dW_h = np.zeros_like(x), np.zeros_like(W_x), np.zeros_like(W_h)
    db, dh_next = np.zeros(h.shape[2]), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = dy[t] + dh_next
        da = dh * (1 - h[t + 1] ** 2)
        dx[t] = da @ W_x.T
        dW_x += x[t].T @ da
        dW_h += h[t].T @ da
        db += da.sum(axis=0)
        dh_next = da @ W_h.T
    return dx, dh_next, dW_x, dW_h, db
"""
    assert line_right in text
    scope = {"np": np}
    exec(text.replace(line_right, line_wrong), scope)
    return scope["rnn_backward"]


WRONG = {
    "slope": [
        (lambda f, w, k, eps: f(w) - f(w), "makes no copy"),
        (one_sided, "one-sided"),
        (not_halved, "2 eps apart"),
        (everywhere, "all entries of w"),
        (in_place, "changes its argument 'w'"),
        (down_minus_up, "it must be up minus down"),
        (lambda f, w, k, eps: None, "returns None"),
    ],
    "rnn_backward": [
        (backward("1 - np.tanh(h[t + 1]) ** 2", "1 - h[t + 1] ** 2"), "derivative"),
        (backward("dW_h += h[t + 1].T @ da", "dW_h += h[t].T @ da"), "dW_h"),
        (backward("dW_x = x[t].T @ da", "dW_x += x[t].T @ da"), "dW_x, sum over time"),
        (backward("pass", "dh_next = da @ W_h.T"), "dh0"),
        (backward("dh_next = da @ W_h", "dh_next = da @ W_h.T"), "dh0"),
        (backward("dx[t] = da @ W_x.T.T", "dx[t] = da @ W_x.T"), "ValueError"),
        (backward("db += da.sum()", "db += da.sum(axis=0)"), "db"),
        (backward("db = db + da", "db += da.sum(axis=0)"), "summed over the rows"),
        (backward("dx[len(x) - 1 - t] = da @ W_x.T", "dx[t] = da @ W_x.T"), "order of its steps"),
    ],
}
