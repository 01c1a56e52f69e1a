"""Wrong answers to the exercises of chapter 7."""

import numpy as np

STEP = """
def lstm_step(x, h_prev, c_prev, W_x, W_h, b):
    a = x @ W_x + h_prev @ W_h + b
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i = 1 / (1 + np.exp(-a_i))
    f = 1 / (1 + np.exp(-a_f))
    g = np.tanh(a_g)
    o = 1 / (1 + np.exp(-a_o))
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c
"""

BACKWARD = """
def lstm_step_backward(dh, dc, i, f, g, o, c_prev, tanh_c):
    da_o = dh * tanh_c * o * (1 - o)
    dc = dc + dh * o * (1 - tanh_c**2)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g**2)
    dc_prev = dc * f
    return np.hstack([da_i, da_f, da_g, da_o]), dc_prev
"""


def step(wrong, right):
    """The right step with one line replaced."""
    return replaced(STEP, wrong, right, "lstm_step")


def backward(wrong, right):
    return replaced(BACKWARD, wrong, right, "lstm_step_backward")


def replaced(text, wrong, right, name):
    assert right in text
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    return scope[name]


WRONG = {
    "lstm_step": [
        (step("a_i, a_f, a_o, a_g = np", "a_i, a_f, a_g, a_o = np"), "yours i f o g"),
        (step("a_f, a_i, a_g, a_o = np", "a_i, a_f, a_g, a_o = np"), "i and f are swapped"),
        (step("a_o, a_i, a_f, a_g = np", "a_i, a_f, a_g, a_o = np"), "in the order o i f g"),
        (step("g = 1 / (1 + np.exp(-a_g))", "g = np.tanh(a_g)"), "g has a sigmoid"),
        (step("h = o * c", "h = o * np.tanh(c)"), "no tanh on c"),
        (step("c = c_prev + i * g", "c = f * c_prev + i * g"), "not gated by f"),
        (step("c = f * c_prev + g", "c = f * c_prev + i * g"), "not gated by i"),
        (step("a = x @ W_x + h_prev @ W_h", "a = x @ W_x + h_prev @ W_h + b"), "bias b is missing"),
        (step("return c, h", "return h, c"), "wrong order"),
        (step("f = 1 / (1 + np.exp(a_f))", "f = 1 / (1 + np.exp(-a_f))"), "it is 1 - sigmoid(a_f)"),
        (step("c = f * c_prev + o * g", "c = f * c_prev + i * g"), "it is sigmoid(a_o) * tanh"),
        (step("h = i * np.tanh(c)", "h = o * np.tanh(c)"), "it is sigmoid(a_i)"),
        (step("c = f * np.tanh(c_prev) + i * g", "c = f * c_prev + i * g"), "not a straight line"),
        (step("return h", "return h, c"), "Expected 2 results"),
        (step("return h.T, c.T", "return h, c"), "expected the shape (3, 2), got (2, 3)"),
        (step("c_prev @ W_h", "h_prev @ W_h"), "it must be h_prev"),
        (
            step("(a[:, k::4] for k in range(4))", "np.split(a, 4, axis=1)"),
            "columns are interleaved",
        ),
        (step("np.split(a, 4)", "np.split(a, 4, axis=1)"), "ValueError"),
    ],
    "lstm_step_backward": [
        (backward("dc = dc + 0", "dc = dc + dh * o * (1 - tanh_c**2)"), "the part through h: add"),
        (backward("dc = dh * o", "dc = dc + dh * o"), "the dc from step t+1 is not used"),
        (backward("(1 - np.tanh(tanh_c) ** 2)", "(1 - tanh_c**2)"), "a tanh already"),
        (backward("dc_prev = dc", "dc_prev = dc * f"), "without the factor f"),
        (backward("dc * g * (1 - g)", "dc * i * (1 - g**2)"), "gate g"),
        (backward("i * g * (1 - g)", "i * (1 - g**2)"), "derivative of a sigmoid, g (1 - g)"),
        (backward("da_f = dc * c_prev", "da_f = dc * c_prev * f * (1 - f)"), "da_f lacks"),
        (backward("dc * tanh_c * f", "dc * c_prev * f"), "has the factor tanh_c"),
        (backward("da_i = dc * i * i", "da_i = dc * g * i"), "gate i"),
        (backward("da_o = dc * tanh_c", "da_o = dh * tanh_c"), "o is a factor in h"),
        (backward("[da_i, da_f, da_o, da_g]", "[da_i, da_f, da_g, da_o]"), "order i f o g"),
        (backward("da_o = dh * np.tanh(tanh_c) *", "da_o = dh * tanh_c *"), "gate o"),
        (backward("dc += dh * o", "dc = dc + dh * o"), "changes its argument 'dc'"),
        (backward("dc = dc - dh * o", "dc = dc + dh * o"), "how dh goes on"),
        (backward("dc = dc * f + dh * o", "dc = dc + dh * o"), "step t+1 has done that"),
    ],
}
