"""The cells once more, as naively as possible, to compare with: no kernel, no shared code.

Sums are written with einsum, gates are rows of their own, and the backward pass of the LSTM is that
of a student: its text is also what test_diagnose.py plants errors in.
"""

import math

import numpy as np


def sigmoid(a):
    return np.vectorize(
        lambda v: 1 / (1 + math.exp(-v)) if v > 0 else math.exp(v) / (1 + math.exp(v))
    )(a)


def gates_of(params, x, h, count):
    """Pre-activations of each gate apart: [x W_x], [h W_h], [b]."""
    H = h.shape[-1]
    for k in range(count):
        block = slice(k * H, (k + 1) * H)
        yield (
            np.einsum("bd,dh->bh", x, params["W_x"][:, block]),
            np.einsum("bd,dh->bh", h, params["W_h"][:, block]),
            params["b"][block],
        )


def rnn(params, x, h, relu=False):
    ys = []
    for t in range(len(x)):
        ((u, v, b),) = gates_of(params, x[t], h, 1)
        a = u + v + b
        h = np.where(a > 0, a, 0) if relu else np.vectorize(math.tanh)(a)
        ys.append(h)
    return np.array(ys), h


def lstm(params, x, state, variant="V"):
    """... and its variants after Greff et al. (2017), with the sentences of that paper."""
    h, c = state
    present = [
        g for g in "ifgo" if g != {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}.get(variant)
    ]
    ys = []
    for t in range(len(x)):
        sums = gates_of(params, x[t], h, len(present))
        a = {g: u + v + b for g, (u, v, b) in zip(present, sums, strict=True)}
        for g in "if":
            if f"p_{g}" in params:
                a[g] = a[g] + params[f"p_{g}"] * c
        g = a["g"] if variant == "NIAF" else np.vectorize(math.tanh)(a["g"])
        i = sigmoid(a["i"]) if "i" in a else 1
        f = sigmoid(a["f"]) if "f" in a else (1 - i if variant == "CIFG" else 1)
        c = f * c + i * g
        if "p_o" in params:
            a["o"] = a["o"] + params["p_o"] * c
        o = sigmoid(a["o"]) if "o" in a else 1
        h = o * (c if variant == "NOAF" else np.vectorize(math.tanh)(c))
        ys.append(h)
    return np.array(ys), (h, c)


def gru(params, x, h):
    ys = []
    for t in range(len(x)):
        (xr, hr, br), (xz, hz, bz), (xn, hn, bn) = gates_of(params, x[t], h, 3)
        r, z = sigmoid(xr + hr + br), sigmoid(xz + hz + bz)
        if "b_hn" in params:
            past = r * (hn + params["b_hn"])
        else:
            past = np.einsum("bd,dh->bh", r * h, params["W_h"][:, -h.shape[1] :])
        n = np.vectorize(math.tanh)(xn + bn + past)
        h = (1 - z) * n + z * h
        ys.append(h)
    return np.array(ys), h


class StudentLSTM:
    """An LSTM after the protocol, as a student would write it, with lists and a loop."""

    gates = ("i", "f", "g", "o")
    state_names = ("h", "c")

    def __init__(self, input_size, hidden_size, seed=0):
        rng = np.random.default_rng(seed)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.params = {
            "W_x": rng.normal(size=(input_size, 4 * hidden_size)),
            "W_h": rng.normal(size=(hidden_size, 4 * hidden_size)),
            "b": rng.normal(size=4 * hidden_size),
        }

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        T, B, _ = x.shape
        H = self.hidden_size
        h, c = state if state is not None else (np.zeros((B, H)), np.zeros((B, H)))
        steps = []
        for t in range(T):
            a = x[t] @ self.params["W_x"] + h @ self.params["W_h"] + self.params["b"]
            i, f, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in (0, 1, 3))
            g = np.tanh(a[:, 2 * H : 3 * H])
            c_new = f * c + i * g
            h_new = o * np.tanh(c_new)
            steps.append((x[t], h, c, i, f, g, o, c_new, h_new))
            h, c = h_new, c_new
        return np.array([s[-1] for s in steps]), (h, c), steps

    def backward(self, dy, steps, dstate=None):
        W_x, W_h = self.params["W_x"], self.params["W_h"]
        dW_x, dW_h, db = np.zeros_like(W_x), np.zeros_like(W_h), np.zeros_like(self.params["b"])
        dx = []
        dh_next, dc_next = dstate if dstate is not None else (0 * steps[0][1], 0 * steps[0][1])
        for t in reversed(range(len(steps))):
            x, h_prev, c_prev, i, f, g, o, c, h = steps[t]
            tanh_c = np.tanh(c)
            dh = dy[t] + dh_next
            dc = dc_next + dh * o * (1 - tanh_c**2)
            da_i = dc * g * i * (1 - i)
            da_f = dc * c_prev * f * (1 - f)
            da_g = dc * i * (1 - g**2)
            da_o = dh * tanh_c * o * (1 - o)
            da = np.hstack([da_i, da_f, da_g, da_o])
            dW_x += x.T @ da
            dW_h += h_prev.T @ da
            db += da.sum(axis=0)
            dx.insert(0, da @ W_x.T)
            dh_next = da @ W_h.T
            dc_next = dc * f
        return np.array(dx), (dh_next, dc_next), {"W_x": dW_x, "W_h": dW_h, "b": db}
