"""Wrong answers to the exercises of chapter 2."""

import numpy as np


def step(body):
    """A student's step with this expression instead of the right one."""
    return eval(f"lambda x, h, W_x, W_h, b: {body}", {"np": np})


def forward(line="h.append(np.tanh(x[t] @ W_x + h[t] @ W_h + b))", start="h0", end="np.array(h)"):
    """The reference with one place changed."""
    text = f"""
def rnn_forward(x, h0, W_x, W_h, b):
    h = [{start}]
    for t in range(len(x)):
        {line}
    return {end}
"""
    scope = {"np": np}
    exec(text, scope)
    return scope["rnn_forward"]


def broken_start(x, h0, W_x, W_h, b):
    h = np.zeros((len(x) + 1, *h0.shape))
    for t in range(len(x)):
        h[t + 1] = np.tanh(x[t] @ W_x + h[t] @ W_h + b)
    h[0] = h0
    return h


WRONG = {
    "rnn_step": [
        (step("x @ W_x + h @ W_h + b"), "tanh is missing"),
        (step("1 / (1 + np.exp(-(x @ W_x + h @ W_h + b)))"), "sigmoid"),
        (step("np.tanh(x @ W_x + h @ W_h) + b"), "after the tanh"),
        (step("np.tanh(x @ W_x) + np.tanh(h @ W_h) + b"), "tanh of each part"),
        (step("np.tanh(x @ W_x + h @ W_h.T + b)"), "W_h is transposed"),
        (step("np.tanh(x @ W_x + h @ W_h)"), "bias is missing"),
        (step("np.tanh(x @ W_x + b)"), "old state is missing"),
        (step("np.tanh(x @ W_x + h + b)"), "without W_h"),
        (step("np.tanh(W_x @ x + W_h @ h + b)"), "ValueError"),
        (step("np.tanh(x @ W_x + h @ W_h + b)[0]"), "expected the shape (1, 3), got (3,)"),
    ],
    "rnn_forward": [
        (forward("h.append(np.tanh(x[t] @ W_x + h0 @ W_h + b))"), "starts from h0 again"),
        (forward("h.append(np.tanh(x[t] @ W_x + h[max(t - 1, 0)] @ W_h + b))"), "one step too old"),
        (forward(start="0 * h0"), "the first state is zero"),
        (broken_start, "the first step starts from zero"),
        (forward("h.append(np.tanh(x[-1 - t] @ W_x + h[t] @ W_h + b))"), "last to the first"),
        (forward("h.append(np.tanh(x[0] @ W_x + h[t] @ W_h + b))"), "x[0] goes in"),
        (forward(end="np.array(h[1:])"), "h0 is missing"),
        (forward(end="h[-1]"), "only the last state"),
        (forward(end="np.array(h).swapaxes(0, 1)"), "batch first"),
        (forward("h.append(np.tanh(x[t] @ W_x + h[t] @ W_h.T + b))"), "transposed"),
        (forward("h.append(np.tanh(x[t] @ W_x + h[t] @ W_h))"), "bias is missing"),
        (forward("h.append(x[t] @ W_x + h[t] @ W_h + b)"), "one step, h0 = 0, b = 0"),
    ],
}
