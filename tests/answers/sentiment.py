"""Wrong answers to the exercises of chapter 14."""

import numpy as np


def pad(wrong="", right=""):
    """The reference with one piece replaced, as a function."""
    text = """
def pad(sequences):
    lengths = np.array([len(s) for s in sequences])
    tokens = np.zeros((lengths.max(), len(sequences)), dtype=int)
    for b, s in enumerate(sequences):
        tokens[: len(s), b] = s
    return tokens, lengths
"""
    assert right in text
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    return scope["pad"]


def masked_mean(wrong="", right=""):
    """The same, for ``masked_mean``."""
    text = """
def masked_mean(y, lengths):
    valid = np.arange(len(y))[:, None] < lengths
    return np.where(valid[:, :, None], y, 0).sum(axis=0) / lengths[:, None]
"""
    assert right in text
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    return scope["masked_mean"]


def cut(sequences):
    T = min(len(s) for s in sequences)
    return np.array([s[:T] for s in sequences]).T, np.full(len(sequences), T)


WRONG = {
    "pad": [
        (pad("tokens[-len(s) :, b] = s", "tokens[: len(s), b] = s"), "in front"),
        (pad("tokens.T, lengths", "tokens, lengths"), "batch comes first"),
        (cut, "cut to the shortest"),
        (pad("tokens, np.full(len(sequences), len(tokens))", "tokens, lengths"), "all T"),
        (pad("return tokens", "return tokens, lengths"), "Expected 2 results"),
        (pad("tokens, (tokens > 0).sum(axis=0)", "tokens, lengths"), "may be a word"),
        (pad("tokens[: len(s), b] = s[::-1]", "tokens[: len(s), b] = s"), "reverse order"),
        (
            lambda sequences: (sequences, [len(s) for s in sequences]),
            "to the length of the longest",
        ),
    ],
    "masked_mean": [
        (masked_mean("len(y)", "lengths[:, None]"), "divided by T"),
        (lambda y, lengths: y.mean(axis=0), "plain mean"),
        (lambda y, lengths: y.sum(axis=0) / lengths[:, None], "only as long as it holds zeros"),
        (masked_mean(".mean(axis=1)", ".sum(axis=0) / lengths[:, None]"), "over the batch"),
        (masked_mean(".mean(axis=2)", ".sum(axis=0) / lengths[:, None]"), "over the features"),
        (masked_mean("<= lengths", "< lengths"), "one step too many"),
        (masked_mean(".sum(axis=0)", ".sum(axis=0) / lengths[:, None]"), "not divided"),
        (lambda y, lengths: y[lengths - 1, np.arange(len(lengths))], "last valid step"),
    ],
}
