"""Wrong answers to the exercises of chapter 11."""

import numpy as np


def softmax(z, axis=-1):
    p = np.exp(z - z.max(axis=axis, keepdims=True))
    return p / p.sum(axis=axis, keepdims=True)


def overflowing(logits, T):
    p = np.exp(logits / T)
    return p / p.sum(axis=-1, keepdims=True)


def forgot_keepdims(logits, T):
    p = np.exp((logits - logits.max(axis=-1, keepdims=True)) / T)
    return p / p.sum(axis=-1)


def highest_of_all(logits, T):
    p = np.exp((logits - logits.max()) / T)
    return p / p.sum(axis=-1, keepdims=True)


def in_place(logits, T):
    logits -= logits.max(axis=-1, keepdims=True)
    return softmax(logits / T)


def table(line_wrong="", line_right=""):
    """The reference with one line replaced, as a function."""
    text = """
def bigram(text_tokens, V, smoothing):
    n = np.zeros((V, V))
    for a, b in zip(text_tokens[:-1], text_tokens[1:]):
        n[a, b] += 1
    n += smoothing
    return n / n.sum(axis=1, keepdims=True)
"""
    assert line_right in text
    scope = {"np": np}
    exec(text.replace(line_right, line_wrong), scope)
    return scope["bigram"]


LOOP = """    for a, b in zip(text_tokens[:-1], text_tokens[1:]):
        n[a, b] += 1
"""
PAIRS = "(text_tokens[:-1], text_tokens[1:])"
RATIO = "n / n.sum(axis=1, keepdims=True)"
WRONG = {
    "perplexity": [
        (lambda a: np.exp(np.mean(a)), "the sign"),
        (lambda a: np.exp(-np.sum(a)), "the sum instead of the mean"),
        (lambda a: 2 ** -np.mean(a), "2 to the power of *nats*"),
        (lambda a: -np.mean(a) / np.log(2), "these are bits"),
        (lambda a: -np.mean(a), "these are nats"),
        (lambda a: np.mean(np.exp(-a)), "the mean of 1/p"),
        (lambda a: 1 / np.mean(np.exp(a)), "1 over the mean of p"),
        (lambda a: np.prod(np.exp(a)) ** (-1 / len(a)), "a long product is 0"),
        (lambda a: np.exp(-a), "a perplexity for each character"),
    ],
    "temperature": [
        (lambda z, T: softmax(z * T), "multiplied by T"),
        (overflowing, "overflows. Subtract the largest"),
        (lambda z, T: softmax(z) / T, "the probabilities are divided by T"),
        (lambda z, T: softmax(z / T, 0), "over the first axis"),
        (lambda z, T: softmax(z) ** (1 / T), "as a power"),
        (lambda z, T: softmax(z), "T is not used"),
        (highest_of_all, "of *all* rows"),
        (forgot_keepdims, "could not be broadcast"),
        (in_place, "changes its argument 'logits'"),
    ],
    "bigram": [
        (table("n[b, a] += 1", "n[a, b] += 1"), "what came *before*"),
        (table("    n[text_tokens[:-1], text_tokens[1:]] += 1\n", LOOP), "counts once"),
        (table("(text_tokens[:-2], text_tokens[1:-1])", PAIRS), "the last pair"),
        (table("n / n.sum(axis=0, keepdims=True)", RATIO), "the columns"),
        (table("n / n.sum()", RATIO), "the whole table"),
        (table("n / (n.sum(axis=1, keepdims=True) - smoothing * V)", RATIO), "missing below"),
        (table("n / n.sum(axis=1)", RATIO), "keepdims"),
        (table("pass", "n += smoothing"), "no smoothing"),
        (table("n[a, b] += 1; n[b, a] += 1", "n[a, b] += 1"), "both directions"),
        (table("np.log(n / n.sum(axis=1, keepdims=True))", RATIO), "the logarithm"),
    ],
}  # fmt: skip
