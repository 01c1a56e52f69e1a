"""Wrong answers to the exercises of chapter 15."""

import numpy as np


def forward(line_wrong="", line_right=""):
    """The solution with one piece replaced, as a function."""
    text = """
def rnn_forward_fast(x, h0, W_x, W_h, b):
    (T, B, D), H = x.shape, len(b)
    h = np.empty((T + 1, B, H))
    h[0] = h0
    xW = (x.reshape(T * B, D) @ W_x).reshape(T, B, H)
    for t in range(T):
        h[t + 1] = np.tanh(xW[t] + h[t] @ W_h + b)
    return h
"""
    assert line_right in text
    scope = {"np": np}
    exec(text.replace(line_right, line_wrong), scope)
    return scope["rnn_forward_fast"]


def joined(x, h0, W_x, W_h, b):
    W, h = np.concatenate([W_x, W_h]), [h0]
    for x_t in x:
        h.append(np.tanh(np.concatenate([x_t, h[-1]], axis=1) @ W + b))
    return np.array(h)


def row_by_row(x, h0, W_x, W_h, b):
    xW, h = x @ W_x + b, [h0]
    for t in range(len(x)):
        h.append(np.array([np.tanh(xW[t, row] + h[t][row] @ W_h) for row in range(len(h0))]))
    return np.array(h)


def number_by_number(x, h0, W_x, W_h, b):
    xW, h = (x[..., None] * W_x).sum(axis=2), [h0]
    for t in range(len(x)):
        h.append(np.tanh(xW[t] + h[t] @ W_h + b))
    return np.array(h)


def loop(h, da):
    dW_h = np.zeros((h.shape[2], h.shape[2]))
    for t in range(len(da)):
        dW_h += h[t].T @ da[t]
    return dW_h


def flat(a):
    return a.reshape(-1, a.shape[2])


WRONG = {
    "rnn_forward_fast": [
        (forward("x[t] @ W_x", "xW[t]"), "still inside the loop"),
        (forward("@ W_x + b).reshape", "@ W_x).reshape"), "added twice"),
        (forward("h0 @ W_h", "h[t] @ W_h"), "not passed on"),
        (forward("reshape(B, T, H).transpose(1, 0, 2)", "reshape(T, B, H)"), "(B, T, H)"),
        (forward("return h[1:]", "return h"), "h0 is missing"),
        (forward("h[0] = 0", "h[0] = h0"), "h0 is not used"),
        (forward("xW[t] + h[t] @ W_h", "xW[t] + h[t] @ W_h + b"), "bias is missing"),
        (forward("h[t] @ W_h.T", "h[t] @ W_h"), "W_h is transposed"),
        (joined, "not joined with W_h"),
        (row_by_row, "for all rows of the batch"),
        (number_by_number, "number by number"),
        (forward("@ W_x)", "@ W_x).reshape(T, B, H)"), "xW[t] is one row"),
        (forward("x.transpose(1, 0, 2).reshape", "x.reshape"), "transposed to (B, T, D)"),
    ],
    "weight_gradient": [
        (lambda h, da: flat(h[1:]).T @ flat(da), "h[1:] instead of h[:-1]"),
        (lambda h, da: flat(h[:-1]) @ flat(da), "ValueError"),
        (lambda h, da: flat(h[:-1]).T @ flat(da) / len(flat(da)), "mean over steps and rows"),
        (lambda h, da: flat(da).T @ flat(h[:-1]), "transpose of dW_h"),
        (lambda h, da: h[:-1].reshape(da.shape[2], -1) @ flat(da), "line breaks"),
        (lambda h, da: (h[:-1].transpose(0, 2, 1) @ da).sum(axis=0), "small products"),
        (loop, "in a loop"),
        (lambda h, da: h[:-1].T.reshape(da.shape[2], -1) @ flat(da), "exchanges steps and rows"),
        (lambda h, da: np.einsum("tbi,tbj->ij", h[:-1], da) / da.shape[1], "rows of the batch"),
    ],
}
