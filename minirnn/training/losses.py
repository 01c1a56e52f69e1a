"""Losses: the mean over the valid targets, and its gradient with respect to the prediction.

All take ``mask``, an array whose shape is that of the target or its first axes: (T, B) says which
steps of which sequences count. It holds 0 and 1 (or bool), or weights: any real numbers of at least
0. A value of weight 0 does not count and may be anything, NaN included. With weights w the mean is
``sum(w * loss of each target) / sum(w)``, so that its size depends neither on the padding nor on
the size of the weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.activations import exp, sigmoid
from minirnn.engine import threads
from minirnn.engine.jit import in_any_order, inline, jit, wide_vectors
from minirnn.engine.memory import empty, for_kernels
from minirnn.protocol import Array, Numbers, quiet

# ``loss_fn(y, target)`` or ``loss_fn(y, target, mask=mask)``, returning the loss and dy.
Loss: TypeAlias = Callable[..., tuple["float | np.floating[Any]", Array]]


@quiet
def mse(y: Numbers, target: Numbers, mask: Numbers | None = None) -> tuple[float, Array]:
    """Mean squared error: mean of ``(y - target)^2`` over all valid elements.

    y, target: real numbers of the same shape, say (T, B, D). (Shapes that merely *broadcast* are an
    error: (B, 1) against (B,) would silently compare everything with everything.)
    Returns the loss and dy like y. Raises ValueError where the shapes or the mask do not fit.
    """
    y = checks.floats(y, "y")
    target = checks.array(target, "target", y.shape, y.dtype)
    valid, weight, total = counted(mask, y.shape)
    error = np.where(valid, y - target, 0)
    weighted = weight * error
    loss = np.sum(weighted * error, dtype=np.float64) / total
    return float(loss), (weighted * (2 / total)).astype(y.dtype)


@quiet
def softmax_cross_entropy(
    logits: Numbers, target: Numbers, mask: Numbers | None = None
) -> tuple[float, Array]:
    """Cross-entropy of the softmax in nats: mean of ``-log softmax(logits)[target]``.

    logits: (..., V), any real numbers. target: (...) whole numbers in 0..V-1.
    With p the softmax, the gradient is ``weight * (p - onehot(target)) / sum of the weights``.
    Returns the loss and dlogits like logits. Raises ValueError for a valid target out of range.
    """
    logits = checks.floats(logits, "logits")
    if logits.ndim < 1:
        raise ValueError("logits: expected shape (..., V), got ()")
    *shape, V = logits.shape
    target = checks.array(target, "target", shape, None, kinds="iu")
    valid, weight, total = counted(mask, tuple(shape))
    index = checks.tokens(np.where(valid, target, 0), "target", V).ravel().astype(np.int64)
    dlogits, nats = empty(logits.shape, logits.dtype), np.empty(index.size)
    rows, drows = for_kernels(logits).reshape(-1, V), dlogits.reshape(-1, V)
    share = logits.dtype.type(1 / total)
    arrays = rows, index, for_kernels(valid.ravel()), share, drows, nats
    threads.each_row(softmax_rows, len(rows), threads.PER_NUMBER * rows.size, *arrays)
    if isinstance(weight, np.ndarray):
        nats *= weight.ravel()
        dlogits *= weight[..., None]
    return float(np.sum(nats) / total), dlogits


@jit
def softmax_rows(first, last, logits, index, valid, share, dlogits, nats):
    """Fill dlogits (N, V) and nats (N,) in the rows first:last; share: of a row in the mean."""
    wide_vectors()
    zero = share - share  # of their dtype
    for n in range(first, last):
        row, p = logits[n], dlogits[n]
        if not valid[n]:
            p[:], nats[n] = 0, 0
            continue
        largest = largest_of(row, p)
        if largest == np.inf:  # its probability is 1, whatever the other numbers are
            for j in range(len(p)):
                p[j] = 1 if row[j] == largest else exp(row[j] - largest)
        else:
            for j in range(len(p)):
                p[j] = exp(row[j] - largest)
        total = sum_of(p)
        at_target = zero if row[index[n]] == largest else row[index[n]] - largest
        nats[n] = np.log(total) - at_target
        scale = share / total
        for j in range(len(p)):
            p[j] *= scale
        p[index[n]] -= share


@inline
def largest_of(row, p):
    """The largest number of a row (V,), with p (V,) as scratch.

    It compares the two halves of the row, keeps the larger numbers, and halves again. LLVM works
    on many pairs at once, but on one number at a time in a loop that keeps the largest so far. If
    there is a NaN, the row becomes NaN, whatever the largest is.
    """
    n, rest = len(row), (len(row) + 1) // 2
    for j in range(rest):
        p[j] = row[j]
    for j in range(n - rest):
        p[j] = row[rest + j] if row[rest + j] > p[j] else p[j]
    while rest > 1:
        n, rest = rest, (rest + 1) // 2
        for j in range(n - rest):
            p[j] = p[rest + j] if p[rest + j] > p[j] else p[j]
    return p[0]


@in_any_order
def sum_of(row):
    total = row[0]
    for j in range(1, len(row)):
        total += row[j]
    return total


@quiet
def binary_cross_entropy(
    logits: Numbers, target: Numbers, mask: Numbers | None = None
) -> tuple[float, Array]:
    """Cross-entropy of the sigmoid in nats: mean of ``-t log s(a) - (1 - t) log(1 - s(a))``.

    logits: a, any real numbers. target: t of the same shape, in 0..1.
    Nothing overflows, since -log s(a) = log(1 + exp(-a)) and -log(1 - s(a)) = log(1 + exp(a)). The
    gradient is ``weight * (s(a) - t) / sum of the weights``.
    Returns the loss and dlogits like logits. Raises ValueError for a valid target out of range.
    """
    a = checks.floats(logits, "logits")
    t = checks.array(target, "target", a.shape, a.dtype)
    valid, weight, total = counted(mask, a.shape)
    checks.one_wrong("numbers in 0..1", "target", t, valid & ~((t >= 0) & (t <= 1)))
    # Where t is 0 or 1, one of the two terms does not count, even if it is infinite.
    nats = np.where(t > 0, t * np.logaddexp(0, -a), 0)
    nats += np.where(t < 1, (1 - t) * np.logaddexp(0, a), 0)
    loss = np.sum(np.where(valid, weight * nats, 0), dtype=np.float64) / total
    return float(loss), np.where(valid, weight * (sigmoid(a) - t) / total, 0).astype(a.dtype)


# What they apply to the logits. Models that end in it already are refused.
softmax_cross_entropy.takes = "softmax"  # type: ignore[attr-defined]
binary_cross_entropy.takes = "sigmoid"  # type: ignore[attr-defined]


class Counted(NamedTuple):
    """What a mask says."""

    valid: Array  # bool, of the shape of the target: which ones count
    weight: Array | int  # of each target, the largest is 1; the number 1 if all that count weigh it
    total: np.float64  # the sum of the weights; so what is divided by it is in float64 too


def counted(mask: Numbers | None, shape: tuple[int, ...]) -> Counted:
    """Which targets count in a loss, and how much; all alike where there is no mask."""
    if 0 in shape:
        raise ValueError(f"target: expected at least one, got shape {checks.shape_text(shape)}")
    if mask is None:
        return Counted(np.ones(shape, bool), 1, np.float64(math.prod(shape)))
    mask = checks.numbers(mask, "mask")
    mask = weights(checks.array(mask, "mask", shape[: max(mask.ndim, 1)], None))
    if not mask.any():
        raise ValueError("mask: expected at least one valid target, got none")
    mask = mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    valid = np.broadcast_to(mask != 0, shape)
    weight = mask / mask.max()  # only proportions matter: so no weight is too small or too large
    if np.isin(weight, (0, 1)).all():
        return Counted(valid, 1, np.float64(np.count_nonzero(valid)))
    weight = np.broadcast_to(weight, shape)
    return Counted(valid, weight, np.sum(weight, dtype=np.float64))


def weights(mask: Numbers) -> Array:
    """A mask as an array. ValueError for a weight that is negative, infinite or NaN."""
    mask = checks.numbers(mask, "mask")
    if mask.dtype.kind in "if":
        wrong = ~((mask >= 0) & (mask < np.inf))
        checks.one_wrong("0 and 1, or finite weights of at least 0", "mask", mask, wrong)
    return mask


def class_weights(target: Numbers, classes: int | None = None) -> Array:
    """Weights (V,) with which every class counts the same, however few targets it has.

    target: whole numbers, one class for each of N targets, in any shape. classes: V; by default the
    largest class and one. The mask of a loss is then ``class_weights(target)[target]``.
    The weight of class v is ``N / (K N_v)``, where K is the number of classes that occur and N_v
    the number of targets of class v: 1 on average over the targets (King & Zeng 2001). A class that
    does not occur weighs 1. Raises ValueError for a target that is not in 0..V-1.
    """
    target = checks.numbers(target, "target", "iu").ravel()
    if len(target) == 0:
        raise ValueError("target: expected at least one, got none")
    V = int(target.max()) + 1 if classes is None else checks.size(classes, "classes")
    count = np.bincount(checks.tokens(target, "target", max(V, 1)).astype(np.int64), minlength=V)
    return np.where(count, len(target) / (np.count_nonzero(count) * np.maximum(count, 1)), 1.0)
