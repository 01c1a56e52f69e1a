"""The three recurrent cells in plain NumPy: read this file first.

It is the specification. The layers that one trains (rnn.py, lstm.py, gru.py) compute the same,
compiled and many times faster, and the tests hold them to these lines. Sequences of different
lengths, and the peepholes of an LSTM, are in those files only.

Axes: T time, B batch, D input, H hidden. x is a sequence (T, B, D), or one step of it (B, D); h and
c are states (B, H). In the comments a product of matrices is written without a sign, as x W_x.

Each cell has four functions. Its *step* computes one time step and returns all the values that it
computed, by name. Its *step_backward* goes through the same lines from the last one to the first:
``dname`` is the derivative of the loss with respect to ``name``, and beside each line stands the
line of the step that it comes from. *forward* is the loop over time. *backward* is the same loop
from the last step to the first: back-propagation through time (Werbos 1990). The parameters are
the same at every step, so their gradients are the sums of all steps' gradients.
"""

from collections import namedtuple

import numpy as np


def sigmoid(a):
    with np.errstate(over="ignore"):  # where exp(-a) is infinite, the result is 0
        return 1 / (1 + np.exp(-a))


# ---- The vanilla RNN (Elman 1990) ---------------------------------------------------------------

# Every field is (B, H), except x, which is (B, D): here and in the other cells.
RNNStep = namedtuple("RNNStep", "x h_prev h")


def rnn_step(params, x, h_prev, relu=False):
    """params: W_x (D, H), W_h (H, H), b (H,). The activation is tanh, or relu if asked for."""
    a = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]
    h = np.maximum(a, 0) if relu else np.tanh(a)
    return RNNStep(x, h_prev, h)


def rnn_step_backward(params, dh, step, relu=False):
    """dh (B, H): the gradient of h. Returns those of x, of h_prev, and of the parameters."""
    x, h_prev, h = step
    da = dh * (h > 0) if relu else dh * (1 - h**2)  # h = tanh(a), or max(a, 0)
    db = da.sum(axis=0)  # a = x W_x + h_prev W_h + b
    dW_h = h_prev.T @ da
    dh_prev = da @ params["W_h"].T
    dW_x = x.T @ da
    dx = da @ params["W_x"].T
    return dx, dh_prev, {"W_x": dW_x, "W_h": dW_h, "b": db}


def rnn_forward(params, x, h, relu=False):
    """x (T, B, D), h (B, H) the initial state. Returns y (T, B, H), the final h, and all steps."""
    steps = []
    for t in range(len(x)):
        step = rnn_step(params, x[t], h, relu)
        h = step.h
        steps.append(step)
    return np.array([step.h for step in steps]), h, steps


def rnn_backward(params, dy, dh_next, steps, relu=False):
    """dy (T, B, H): the gradient of y; dh_next (B, H): that of the final h."""
    dx = np.zeros_like([step.x for step in steps])
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    for t in reversed(range(len(steps))):
        dh = dy[t] + dh_next  # h[t] is the output of step t, and goes into step t + 1
        dx[t], dh_next, step_grads = rnn_step_backward(params, dh, steps[t], relu)
        for name in grads:
            grads[name] += step_grads[name]
    return dx, dh_next, grads


# ---- Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) -------------------

# i input gate, f forget gate, g candidate, o output gate
LSTMStep = namedtuple("LSTMStep", "x h_prev c_prev i f g o tanh_c c h")


def lstm_step(params, x, h_prev, c_prev):
    """params: W_x (D, 4H), W_h (H, 4H), b (4H,), with the columns of i, f, g, o side by side."""
    a = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    g = np.tanh(a_g)
    o = sigmoid(a_o)
    c = f * c_prev + i * g
    tanh_c = np.tanh(c)
    h = o * tanh_c
    return LSTMStep(x, h_prev, c_prev, i, f, g, o, tanh_c, c, h)


def lstm_step_backward(params, dh, dc, step):
    """dh, dc (B, H): the gradients of h, and of c as far as it goes into the next step."""
    x, h_prev, c_prev, i, f, g, o, tanh_c, c, h = step
    do = dh * tanh_c  # h = o * tanh_c
    dtanh_c = dh * o
    dc = dc + dtanh_c * (1 - tanh_c**2)  # tanh_c = tanh(c)
    di = dc * g  # c = f * c_prev + i * g
    dg = dc * i
    df = dc * c_prev
    dc_prev = dc * f
    da_o = do * o * (1 - o)  # o = sigmoid(a_o)
    da_g = dg * (1 - g**2)  # g = tanh(a_g)
    da_f = df * f * (1 - f)  # f = sigmoid(a_f)
    da_i = di * i * (1 - i)  # i = sigmoid(a_i)
    da = np.hstack([da_i, da_f, da_g, da_o])
    db = da.sum(axis=0)  # a = x W_x + h_prev W_h + b
    dW_h = h_prev.T @ da
    dh_prev = da @ params["W_h"].T
    dW_x = x.T @ da
    dx = da @ params["W_x"].T
    return dx, dh_prev, dc_prev, {"W_x": dW_x, "W_h": dW_h, "b": db}


def lstm_forward(params, x, state):
    """x (T, B, D), state (h, c). Returns y (T, B, H), the final state, and all steps."""
    (h, c), steps = state, []
    for t in range(len(x)):
        step = lstm_step(params, x[t], h, c)
        h, c = step.h, step.c
        steps.append(step)
    return np.array([step.h for step in steps]), (h, c), steps


def lstm_backward(params, dy, dstate, steps):
    """dy (T, B, H): the gradient of y; dstate: that of the final (h, c)."""
    dx = np.zeros_like([step.x for step in steps])
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    dh_next, dc_next = dstate
    for t in reversed(range(len(steps))):
        dh = dy[t] + dh_next  # h[t] is the output of step t, and goes into step t + 1
        dx[t], dh_next, dc_next, step_grads = lstm_step_backward(params, dh, dc_next, steps[t])
        for name in grads:
            grads[name] += step_grads[name]
    return dx, (dh_next, dc_next), grads


# ---- Gated recurrent unit (Cho et al. 2014) -----------------------------------------------------

# r reset gate, z update gate, n candidate; past: what n sees of h_prev, m or q in gru_step
GRUStep = namedtuple("GRUStep", "x h_prev r z n past h")


def gru_step(params, x, h_prev):
    """params: W_x (D, 3H), W_h (H, 3H), b (3H,), with the columns of r, z, n side by side.

    The reset gate works after the product with W_hn if there is a b_hn (H,), else before it.
    """
    W_hr, W_hz, W_hn = np.split(params["W_h"], 3, axis=1)
    xW_r, xW_z, xW_n = np.split(x @ params["W_x"] + params["b"], 3, axis=1)
    r = sigmoid(xW_r + h_prev @ W_hr)
    z = sigmoid(xW_z + h_prev @ W_hz)
    if "b_hn" in params:
        m = past = h_prev @ W_hn + params["b_hn"]
        s = r * m
    else:
        q = past = r * h_prev
        s = q @ W_hn
    n = np.tanh(xW_n + s)
    h = (1 - z) * n + z * h_prev
    return GRUStep(x, h_prev, r, z, n, past, h)


def gru_step_backward(params, dh, step):
    """dh (B, H): the gradient of h. Each line with h_prev adds a term to its gradient."""
    x, h_prev, r, z, n, past, h = step
    W_hr, W_hz, W_hn = np.split(params["W_h"], 3, axis=1)
    grads = {}
    dz = dh * (h_prev - n)  # h = (1 - z) * n + z * h_prev
    dn = dh * (1 - z)
    dh_prev = dh * z
    ds = dn * (1 - n**2)  # n = tanh(xW_n + s)
    if "b_hn" in params:
        m = past
        dr = ds * m  # s = r * m
        dm = ds * r
        grads["b_hn"] = dm.sum(axis=0)  # m = h_prev W_hn + b_hn
        dW_hn = h_prev.T @ dm
        dh_prev = dh_prev + dm @ W_hn.T
    else:
        q = past
        dW_hn = q.T @ ds  # s = q W_hn
        dq = ds @ W_hn.T
        dr = dq * h_prev  # q = r * h_prev
        dh_prev = dh_prev + dq * r
    da_z = dz * z * (1 - z)  # z = sigmoid(a_z), a_z = xW_z + h_prev W_hz
    da_r = dr * r * (1 - r)  # r = sigmoid(a_r), a_r = xW_r + h_prev W_hr
    dh_prev = dh_prev + da_z @ W_hz.T + da_r @ W_hr.T
    grads["W_h"] = np.hstack([h_prev.T @ da_r, h_prev.T @ da_z, dW_hn])
    dxW = np.hstack([da_r, da_z, ds])
    grads["b"] = dxW.sum(axis=0)  # xW_r, xW_z, xW_n = x W_x + b
    grads["W_x"] = x.T @ dxW
    dx = dxW @ params["W_x"].T
    return dx, dh_prev, grads


def gru_forward(params, x, h):
    """x (T, B, D), h (B, H) the initial state. Returns y (T, B, H), the final h, and all steps."""
    steps = []
    for t in range(len(x)):
        step = gru_step(params, x[t], h)
        h = step.h
        steps.append(step)
    return np.array([step.h for step in steps]), h, steps


def gru_backward(params, dy, dh_next, steps):
    """dy (T, B, H): the gradient of y; dh_next (B, H): that of the final h."""
    dx = np.zeros_like([step.x for step in steps])
    grads = {name: np.zeros_like(p) for name, p in params.items()}
    for t in reversed(range(len(steps))):
        dh = dy[t] + dh_next  # h[t] is the output of step t, and goes into step t + 1
        dx[t], dh_next, step_grads = gru_step_backward(params, dh, steps[t])
        for name in grads:
            grads[name] += step_grads[name]
    return dx, dh_next, grads
