"""Sentences of different lengths: padding them, and a mean that leaves the padding out."""

from collections.abc import Callable

import numpy as np

from minirnn.datasets import batches
from minirnn.exercises.common import Wrong, exercise, judge_against


def padded(sequences, front=False, batch_first=False, cut=False, full=False, backwards=False):
    """Tokens and lengths, with one slip at a time."""
    lengths = np.array([len(s) for s in sequences])
    T = lengths.min() if cut else lengths.max()
    tokens = np.zeros((T, len(sequences)), int)
    for b, s in enumerate(sequences):
        own = list(s)[:T][:: -1 if backwards else 1]
        tokens[T - len(own) if front else 0 : T if front else len(own), b] = own
    if cut:
        lengths = np.minimum(lengths, T)
    return tokens.T if batch_first else tokens, np.full(len(lengths), T) if full else lengths


def padded_with(**options):
    """The padding with one slip."""
    return lambda sequences: padded(sequences, **options)


def by_length(sequences):
    return padded(sorted(sequences, key=len, reverse=True))


def of_the_tokens(sequences):
    tokens, _ = padded(sequences)
    return tokens, (tokens != 0).sum(axis=0)


@exercise(
    "How many steps has the longest sequence? Begin with an array of zeros of the shape (T, B).",
    "tokens = np.zeros((longest, len(sequences)), int). Sequence b goes into the column b, from "
    "step 0 on: which slice of that column?",
    "for b, s in enumerate(sequences): tokens[: len(s), b] = s. The lengths are len(s) of each; "
    "return both.",
)
def pad(student: Callable) -> str:
    """``pad(sequences)``: tokens (T, B), padded with 0 at the end, and lengths (B,)."""
    cases = {
        "one sequence": ([[5, 3, 4]],),
        "two of the same length": ([[5, 3, 4], [7, 8, 9]],),
        "one shorter than the other": ([[5, 3, 4], [7, 8]],),
        "the shorter one first": ([[7], [5, 3, 4, 6]],),
        "five sequences, a token 0 in one of them": ([[1, 2], [3], [4, 0, 5], [6, 7, 0], [8]],),
    }
    for label, arguments in cases.items():
        found = student(*arguments)
        if isinstance(found, (tuple, list)) and len(found) == 2 and _ragged(found[0]):
            raise Wrong(
                f"First wrong case: {label}.\n  tokens: the columns have different lengths, so "
                "they do not form an array. Pad every sequence to the length of the longest."
            )
    return judge_against(
        student,
        batches.pad,
        cases,
        {
            "the padding is in front of the words; it belongs after them": padded_with(front=True),
            "the batch comes first, (B, T). Here time comes first: tokens[t] is the batch at step "
            "t": padded_with(batch_first=True),
            "all are cut to the shortest sequence, and words are lost. T is the longest": (
                padded_with(cut=True)
            ),
            "the lengths are all T; each is the number of words before the padding": (
                padded_with(full=True)
            ),
            "the words of each sequence are in reverse order": padded_with(backwards=True),
            "the sequences are sorted by length; the columns must stay in the order given": (
                by_length
            ),
            "the lengths are counted from the tokens that are not 0, but a 0 may be a word too: "
            "take len(s)": of_the_tokens,
            "the first of the two results should be the tokens, the second the lengths": (
                lambda sequences: padded(sequences)[::-1]
            ),
        },
        {"tokens": ("step t", "column"), "lengths": ("column",)},
    )


def _ragged(tokens) -> bool:
    """Whether it is a list of rows of different lengths."""
    if isinstance(tokens, np.ndarray):
        return tokens.dtype == object
    try:
        return len({len(row) for row in tokens}) > 1
    except TypeError:
        return False


def mean(y, lengths, mask=True, divide="own", end=0):
    """The mean over the valid steps, with slips."""
    valid = (np.arange(len(y))[:, None] < lengths + end)[:, :, None]
    total = np.where(valid, y, 0) if mask else y
    count = {"own": lengths[:, None], "T": len(y), "all": lengths.sum(), "none": 1}[divide]
    return total.sum(axis=0) / count


def mean_with(**options):
    """The mean with one slip."""
    return lambda y, lengths: mean(y, lengths, **options)


def over(axis):
    """The masked mean, but over another axis."""

    def wrong(y, lengths):
        valid = (np.arange(len(y))[:, None] < lengths)[:, :, None]
        return np.where(valid, y, 0).mean(axis=axis)

    return wrong


def last(y, lengths):
    return y[lengths - 1, np.arange(len(lengths))]


@exercise(
    "The lengths matter in two places: which steps are added up, and by what the sum is divided.",
    "valid = np.arange(T)[:, None] < lengths is (T, B): True where a step counts. Set y to 0 where "
    "it does not, add up over axis 0, and divide each row by its own length.",
    "valid = np.arange(len(y))[:, None] < lengths; "
    "return np.where(valid[:, :, None], y, 0).sum(axis=0) / lengths[:, None].",
)
def masked_mean(student: Callable) -> str:
    """``masked_mean(y, lengths)``: the mean (B, H) of the valid steps of y (T, B, H)."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(4, 3, 2))
    some = np.array([4, 1, 2])
    zeros = np.where((np.arange(4)[:, None] < some)[:, :, None], y, 0)
    cases = {
        "one step, one row": (y[:1, :1], np.array([1])),
        "4 steps, one row, no padding": (y[:, :1], np.array([4])),
        "4 steps, 3 rows, no padding": (y, np.full(3, 4)),
        "lengths 4, 1, 2; the padding holds zeros": (zeros, some),
        "lengths 4, 1, 2; the padding holds other numbers": (y, some),
    }
    return judge_against(
        student,
        mean,
        cases,
        {
            "the sum is divided by T, the same for all rows; divide each by its own length": (
                mean_with(divide="T")
            ),
            "it is the plain mean over all T steps: the padding is added up and counted": (
                mean_with(mask=False, divide="T")
            ),
            "the padding is added up too, which is right only as long as it holds zeros": (
                mean_with(mask=False)
            ),
            "the sum is not divided": mean_with(divide="none"),
            "the sum of each row is divided by the sum of all lengths": mean_with(divide="all"),
            "the mean goes over the batch (axis 1), not over time (axis 0)": over(1),
            "the mean goes over the features (axis 2), not over time (axis 0)": over(2),
            "one step too many is added up: a step t counts if t < length": mean_with(end=1),
            "one step too few is added up: a step t counts if t < length": mean_with(end=-1),
            "it is the last valid step, not the mean": last,
        },
        {"p": ("row", "feature")},
    )
