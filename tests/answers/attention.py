"""Wrong answers to the exercises of chapter 13."""

import numpy as np


def softmax(wrong="", right=""):
    """The reference with one piece replaced, as a function."""
    text = """
def masked_softmax(e, lengths):
    past_end = np.arange(e.shape[2]) >= lengths[:, None]
    e = np.where(past_end, -np.inf, e)
    p = np.exp(e - e.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True)
"""
    assert right in text
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    return scope["masked_softmax"]


def attend(wrong="", right=""):
    """The same, for ``attend``."""
    text = """
def attend(q, m, lengths, W_q, W_m, b, v):
    k = (m @ W_m + b).transpose(1, 0, 2)
    u = np.tanh((q @ W_q)[:, :, None] + k)
    e = u @ v
    past_end = np.arange(len(m)) >= lengths[:, None]
    e = np.where(past_end, -np.inf, e)
    alpha = np.exp(e - e.max(axis=2, keepdims=True))
    alpha = alpha / alpha.sum(axis=2, keepdims=True)
    y = np.einsum("sbt,tbm->sbm", alpha, m)
    return alpha, y
"""
    assert right in text
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    return scope["attend"]


def masked_after(e, lengths):
    p = np.exp(e - e.max(axis=2, keepdims=True))
    p = p / p.sum(axis=2, keepdims=True)
    return p * (np.arange(e.shape[2]) < lengths[:, None])


def attend_masked_after(q, m, lengths, W_q, W_m, b, v):
    e = np.tanh((q @ W_q)[:, :, None] + (m @ W_m + b).transpose(1, 0, 2)) @ v
    alpha = masked_after(e, lengths)
    return alpha, np.einsum("sbt,tbm->sbm", alpha, m)


MASK = "e = np.where(past_end, -np.inf, e)"

WRONG = {
    "masked_softmax": [
        (masked_after, "mask comes after the softmax"),
        (softmax("pass", MASK), "there is no mask"),
        (softmax(" 0, e)", " -np.inf, e)"), "exp(0) is 1"),
        (softmax("axis=0", "axis=2"), "over the queries"),
        (softmax("np.exp(e)", "np.exp(e - e.max(axis=2, keepdims=True))"), "overflows"),
        (softmax("e.max())", "e.max(axis=2, keepdims=True))"), "one maximum for all rows"),
        (softmax("> lengths", ">= lengths"), "one step too many"),
        (softmax("return p", "return p / p.sum(axis=2, keepdims=True)"), "division by the sum"),
        (softmax("p.sum()", "p.sum(axis=2, keepdims=True)"), "add up to 1"),
    ],
    "attend": [
        (attend("(q @ W_q)[:, :, None] + k", "np.tanh((q @ W_q)[:, :, None] + k)"), "no tanh"),
        (attend(", e, m", ", alpha, m"), "set to -inf past the end, not the weights"),
        (attend(", np.where(past_end, 0, e), m", ", alpha, m"), "valid scores e, not the weights"),
        (attend("axis=0", "axis=2"), "over the queries"),
        (attend("axis=1", "axis=2"), "rows of the batch"),
        (attend_masked_after, "mask comes after the softmax"),
        (attend("pass", MASK), "there is no mask"),
        (attend("0 * (q @ W_q)[:, :, None]", "(q @ W_q)[:, :, None]"), "query makes no difference"),
        (attend("m @ W_m)", "m @ W_m + b)"), "bias b is missing"),
        (attend("return y, alpha", "return alpha, y"), "alpha: expected the shape"),
        (attend("np.exp(e)", "np.exp(e - e.max(axis=2, keepdims=True))"), "overflows"),
    ],
}
