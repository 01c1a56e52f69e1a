"""Attention: a softmax over the valid steps, and additive attention around it."""

from collections.abc import Callable

import numpy as np

import minirnn as mr
from minirnn.exercises.common import Wrong, exercise, judge_against, results
from minirnn.layers import attention
from minirnn.padding import padding


def softmax(
    e, lengths, axis=2, shift="valid", fill=-np.inf, after=False, end=0, valid_only=True,
    normalise=True,
):  # fmt: skip
    """The library's softmax with slips: the right answer without any of the options."""
    valid = np.arange(e.shape[2]) < (lengths[:, None] + end)  # (B, T)
    if valid_only and not after:
        e = np.where(valid, e, fill)
    largest = {"valid": e.max(axis=axis, keepdims=True), "all": e.max(), "none": 0.0}[shift]
    p = np.exp(e - largest)
    if normalise:
        p = p / p.sum(axis=axis, keepdims=True)
    return np.where(valid, p, 0) if after else p


def right_softmax(e, lengths):
    return attention.masked_softmax(e, padding(lengths, e.shape[2]))


def slip(**options):
    """The softmax with one slip."""
    return lambda e, lengths: softmax(e, lengths, **options)


@exercise(
    "Three things in this order: which scores are past the end, a softmax over the steps, and no "
    "overflow. Which of the three axes of e holds the steps?",
    "past_end = np.arange(T) >= lengths[:, None] has the shape (B, T) and fits e (S, B, T). Put "
    "-inf there before the exponential, then subtract the largest score that is left, for each "
    "query and each row by itself (keepdims=True).",
    "e = np.where(past_end, -np.inf, e); p = np.exp(e - e.max(axis=2, keepdims=True)); "
    "return p / p.sum(axis=2, keepdims=True).",
)
def masked_softmax(student: Callable) -> str:
    """``masked_softmax(e, lengths)``: weights (S, B, T) of scores e (S, B, T)."""
    rng = np.random.default_rng(0)
    e, full = rng.normal(size=(3, 2, 4)), np.array([4, 4])
    some, past = np.array([4, 2]), np.arange(4) >= np.array([[4], [2]])
    far = e + np.array([1000.0, -5000.0])[:, None]
    return told_sums(
        student,
        right_softmax,
        {
            "one query, one row, three scores, no padding": (e[:1, :1, :3], np.array([3])),
            "3 queries, 2 rows, 4 steps, no padding": (e, full),
            "the second row has 2 valid steps of 4": (e, some),
            "the same, every score 1000 higher": (e + 1000, some),
            "scores about 1000 in the first row, -5000 in the second": (far, full),
            "the same, the second row has 2 valid steps of 4": (far, some),
            "scores of 5000 past the end": (np.where(past, 5000.0, e), some),
        },
        {
            "the mask comes after the softmax: the weights of the valid steps then no longer add "
            "up to 1": slip(after=True),
            "there is no mask: steps past the end get weights too": slip(valid_only=False),
            "the scores past the end are set to 0, and exp(0) is 1: set them to -inf": slip(fill=0),
            "the softmax goes over the queries (axis 0), not over the steps": slip(axis=0),
            "the softmax goes over the rows of the batch (axis 1), not over the steps": (
                slip(axis=1)
            ),
            "exp overflows: subtract the largest valid score of each query and row first": (
                slip(shift="none")
            ),
            "one maximum for all rows is subtracted, so that a row far below it is 0 / 0. Take "
            "the maximum of each query and row": slip(shift="all"),
            "one step too many counts: a step t is valid if t < length": slip(end=1),
            "one step too few counts: a step t is valid if t < length": slip(end=-1),
            "the largest score is taken before the mask, so that a large one past the end makes "
            "0 / 0": shift_first,
            "there is no division by the sum": slip(normalise=False),
        },
        {"alpha": ("query", "row", "step t")},
    )


def shift_first(e, lengths):
    return softmax(e - e.max(axis=2, keepdims=True), lengths, shift="none")


def told_sums(student, right, cases, mistakes, outputs):
    """As ``judge_against``; where no mistake is recognised it says what the weights add up to."""
    try:
        return judge_against(student, right, cases, mistakes, outputs)
    except Wrong as wrong:
        told = str(wrong)
        if "looks like" in told or "  alpha: " not in told or "expected" in told:
            raise
        for label, arguments in cases.items():
            rights = right(*arguments)
            rights = rights if len(outputs) > 1 else (rights,)
            shapes = {name: r.shape for name, r in zip(outputs, rights, strict=True)}
            alpha = results(student(*arguments), shapes)[0]
            off = np.argwhere(~np.isclose(alpha.sum(axis=-1), 1))
            if len(off):
                s, b = (int(k) for k in off[0])
                raise Wrong(
                    f"{wrong}\n  Over the steps the weights must add up to 1. In the case "
                    f"'{label}' those of query {s}, row {b} add up to {alpha[s, b].sum():.4g}."
                ) from None
        raise Wrong(f"{wrong}\n  (The weights of every query do add up to 1.)") from None


def right_attend(q, m, lengths, W_q, W_m, b, v):
    layer = mr.BahdanauAttention(len(W_q), len(W_m), len(v), rng=0)
    layer.params.update(W_q=W_q, W_m=W_m, b=b, v=v)
    y, _, cache = layer.forward(q, m, lengths)
    return cache.weights, y


def additive(
    q, m, lengths, W_q, W_m, b, v, squash=np.tanh, weigh=right_softmax, inside=True, of="alpha",
):  # fmt: skip
    """Additive attention with one slip at a time."""
    k = (m @ W_m + (b if inside else 0)).transpose(1, 0, 2)
    e = squash((q @ W_q)[:, :, None] + k) @ v
    alpha = weigh(e, lengths)
    valid = np.arange(len(m)) < lengths[:, None]
    values = {"alpha": alpha, "e": e, "valid e": np.where(valid, e, 0),
              "masked e": np.where(valid, e, -np.inf)}[of]  # fmt: skip
    return alpha, np.einsum("sbt,tbm->sbm", values, m)


def wrong(**options):
    """Additive attention with one slip."""
    return lambda *arguments: additive(*arguments, **options)


def separately(q, m, lengths, W_q, W_m, b, v):
    k = np.tanh(m @ W_m + b).transpose(1, 0, 2)
    e = (np.tanh(q @ W_q)[:, :, None] + k) @ v
    alpha = right_softmax(e, lengths)
    return alpha, np.einsum("sbt,tbm->sbm", alpha, m)


def of_the_mean(q, m, lengths, W_q, W_m, b, v):
    alpha, _ = additive(q, m, lengths, W_q, W_m, b, v)
    means = np.array([m[:n, row].mean(axis=0) for row, n in enumerate(lengths)])
    return alpha, np.broadcast_to(means, (len(q), *means.shape))


@exercise(
    "Four lines: keys, scores, weights, contexts. Write down the shape of each: which axes must "
    "broadcast so that every query meets every step?",
    "With keys k of shape (B, T, A), (q @ W_q)[:, :, None] + k is (S, B, T, A). tanh, then @ v, "
    "gives the scores (S, B, T), as exercise 1 wants them.",
    "k = (m @ W_m + b).transpose(1, 0, 2); e = np.tanh((q @ W_q)[:, :, None] + k) @ v; alpha as in "
    'exercise 1; y = np.einsum("sbt,tbm->sbm", alpha, m).',
)
def attend(student: Callable) -> str:
    """``attend(q, m, lengths, W_q, W_m, b, v)``: additive attention; alpha and y."""
    rng = np.random.default_rng(1)
    S, B, T, Q, M, A = 3, 2, 4, 5, 6, 7
    q, m = rng.normal(size=(S, B, Q)), rng.normal(size=(T, B, M))
    W_q, W_m, b, v = (rng.normal(size=shape) for shape in ((Q, A), (M, A), A, A))
    full, some, zero = np.full(B, T), np.array([T, 2]), np.zeros
    one, first = np.array([T]), (q[:1, :1], m[:, :1])
    return told_sums(
        student,
        right_attend,
        {
            "a memory of one step (its weight must be 1)": (
                q[:1, :1], m[:1, :1], np.array([1]), W_q, W_m, b, v),
            "v = 0, so that all scores are equal; no padding": (*first, one, W_q, W_m, b, zero(A)),
            "one query, one row, W_q = 0, b = 0, no padding": (
                *first, one, zero((Q, A)), W_m, zero(A), v),
            "one query, one row, b = 0, no padding": (*first, one, W_q, W_m, zero(A), v),
            "one query, one row, no padding": (*first, one, W_q, W_m, b, v),
            "3 queries, one row, no padding": (q[:, :1], m[:, :1], one, W_q, W_m, b, v),
            "3 queries, 2 rows, no padding": (q, m, full, W_q, W_m, b, v),
            "the second row has 2 valid steps of 4": (q, m, some, W_q, W_m, b, v),
            "scores a thousand times as large": (q, m, some, W_q, W_m, b, 1000 * v),
        },
        {
            "there is no tanh around q W_q + k": wrong(squash=lambda a: a),
            "the query makes no difference. Is q W_q missing, or is it added outside the tanh, so "
            "that the softmax removes it again": separately,
            "the context uses the scores e, not the weights alpha": wrong(of="e"),
            "the context uses the valid scores e, not the weights alpha": (
                wrong(of="valid e")
            ),
            "the context uses the scores e, set to -inf past the end, not the weights alpha": (
                wrong(of="masked e")
            ),
            "the softmax goes over the queries (axis 0), not over the steps of the memory": (
                wrong(weigh=slip(axis=0))
            ),
            "the softmax goes over the rows of the batch (axis 1), not over the steps of the "
            "memory": wrong(weigh=slip(axis=1)),
            "the mask comes after the softmax: the weights of the valid steps then no longer add "
            "up to 1": wrong(weigh=slip(after=True)),
            "there is no mask: the lengths are not used, and steps past the end get weights": (
                wrong(weigh=slip(valid_only=False))
            ),
            "the scores past the end are set to 0, and exp(0) is 1: set them to -inf": (
                wrong(weigh=slip(fill=0))
            ),
            "exp overflows for large scores: subtract the largest of each query and row first": (
                wrong(weigh=slip(shift="none"))
            ),
            "there is no division by the sum": wrong(weigh=slip(normalise=False)),
            "the bias b is missing": wrong(inside=False),
            "the context is the plain mean of the valid steps; alpha is not used": of_the_mean,
        },
        {"alpha": ("query", "row", "step t"), "y": ("query", "row", "feature")},
    )  # fmt: skip
