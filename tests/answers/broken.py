"""Wrong answers to the exercises of chapter 4."""

import numpy as np

TEN = dict(enumerate("MEILKDBAFG", 1))


def names(**other):
    """A function that names the bugs, with some other letters: ``b3="A"``."""
    answers = TEN | {int(k[1:]): letter for k, letter in other.items()}
    return lambda: answers


def carry(line_wrong="", line_right="", also=("", "")):
    """The reference with lines replaced, as a function."""
    text = """
def lstm_carry(dh, dc_next, i, f, g, o, c_prev, c, W_h):
    tanh_c = np.tanh(c)
    dc = dc_next + dh * o * (1 - tanh_c**2)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g**2)
    da_o = dh * tanh_c * o * (1 - o)
    da = np.hstack([da_i, da_f, da_g, da_o])
    return da, da @ W_h.T, dc * f
"""
    assert line_right in text and also[1] in text
    scope = {"np": np}
    exec(text.replace(line_right, line_wrong).replace(also[1], also[0]), scope)
    return scope["lstm_carry"]


WRONG = {
    "name_the_bugs": [
        (names(b5="F"), "bug 5: you say F"),
        (names(b9="H"), "row dW_h g dark for the loss of step 0, but it is white"),
        (names(b7="A", b8="B"), "8 of 10 are right"),
        (names(b1="N"), "row dx[3] white for the loss of step 0, but it is dark"),
        (names(b6="C"), "row dh0 dark for the loss of step 1, but it is white"),
        (names(b9="?"), "the letters are A to N"),
        (names(b11="A"), "There is no bug 11"),
        (lambda: {1: "M"}, "bug 10: no answer yet"),
        (lambda: "MEILKDBAFG", "Expected a dictionary"),
        (lambda: None, "returns None"),
    ],
    "lstm_carry": [
        (carry("dc * c_prev", "dc * c_prev * f * (1 - f)"), "forget gate, derivative"),
        (carry("dh * c * o", "dh * tanh_c * o"), "output gate, derivative"),
        (carry("dc = dc_next\n", "dc = dc_next + dh * o * (1 - tanh_c**2)\n"), "from the hidden"),
        (carry("dc = dh * o", "dc = dc_next + dh * o"), "dc begins with dc_next"),
        (carry("da @ W_h.T, dc * np.nan", "da @ W_h.T, dc"), "not finite"),
        (carry("da @ W_h.T, dc\n", "da @ W_h.T, dc * f\n"), "dc0"),
        (carry("dc_next * f", "dc * f"), "dc0: first seen at T = 1"),
        (carry("[da_i, da_f, da_o, da_g]", "[da_i, da_f, da_g, da_o]"), "candidate g and output"),
        (carry("da @ W_h", "da @ W_h.T"), "ValueError"),
        (carry("g * (1 - g)", "(1 - g**2)"), "candidate g, derivative"),
        (carry("return da, da @ W_h.T", "return da, da @ W_h.T, dc * f"), "Expected 3 results"),
    ],
}
