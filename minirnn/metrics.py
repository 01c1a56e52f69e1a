"""How good predictions are: accuracy, confusion, errors, perplexity, coverage of intervals.

A metric is a function ``metric(y, target, mask=None, lengths=None)`` that returns one number, the
mean over all targets that count. mask: 0 and 1, or weights, as for the losses. lengths: (B,); if y
is a sequence (T, B, K), nothing past the end of a sequence counts, whatever the mask says there.
``fit(metrics={"accuracy": metrics.accuracy})`` measures it after each epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.padding import is_pair, padding, zero_at
from minirnn.protocol import Array, Numbers, quiet
from minirnn.training.losses import softmax_cross_entropy, weights

# ---- Classes ------------------------------------------------------------------------------------


def accuracy(
    y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None
) -> float:
    """The share of targets whose class has the largest number in y.

    y: logits or probabilities (..., V), or the predicted classes themselves, whole numbers (...).
    target: (...), whole numbers in 0..V-1.
    """
    return _ratio(_hits(y, target, mask, lengths))


def binary_accuracy(
    logits: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None
) -> float:
    """The share of targets, 0 or 1, for which the logit has the right sign: more than 0 says 1.

    logits, target: of one shape, as for ``binary_cross_entropy``.
    """
    return _ratio(_right_signs(logits, target, mask, lengths))


def confusion_matrix(
    y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None,
    classes: int | None = None,
) -> Array:  # fmt: skip
    """How often class i (row) was taken for class j (column): (V, V), whole numbers unless the mask
    holds weights.

    y, target: as for ``accuracy``. classes: V, if y holds classes; by default the largest and one.
    For its picture see ``plot.confusion``.
    """
    predicted, target, weight, V = _classes(y, target, mask, lengths)
    V = V if classes is None else checks.size(classes, "classes", low=V)
    place, weight = (target * V + predicted).ravel(), weight.ravel()
    if np.isin(weight, (0, 1)).all():
        return np.bincount(place[weight != 0], minlength=V * V).reshape(V, V)
    return np.bincount(place, weight, V * V).reshape(V, V)


class ByClass(NamedTuple):
    """Figures for each of V classes, each (V,). NaN where there is nothing to divide by."""

    precision: Array  # of all that was taken for this class, the share that was of it
    recall: Array  # of all that was of this class, the share that was taken for it
    f1: Array  # their harmonic mean
    number: Array  # how many targets are of this class


@quiet
def by_class(matrix: Numbers) -> ByClass:
    """Precision and recall of each class, from a confusion matrix (V, V)."""
    matrix = checks.array(matrix, "matrix", ("V", "V"), np.float64)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix: expected shape (V, V), got {matrix.shape}")
    hits, number, taken = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(divide="ignore"):
        return ByClass(hits / taken, hits / number, 2 * hits / (taken + number), number)


def precision(
    y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None
) -> float:
    """Mean precision of all classes that occur in y or target; 0 for one that is never predicted.
    Arguments as for ``accuracy``."""
    return _macro_precision(confusion_matrix(y, target, mask, lengths))


def recall(y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None) -> float:
    """Mean recall of all classes that occur in y or target; 0 for one that no target has.
    Arguments as for ``accuracy``."""
    return _macro_recall(confusion_matrix(y, target, mask, lengths))


def f1(y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None) -> float:
    """Mean F1 score, ``2 precision recall / (precision + recall)``, of all classes that occur in y
    or target. Arguments as for ``accuracy``."""
    return _macro_f1(confusion_matrix(y, target, mask, lengths))


def perplexity(
    logits: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None
) -> float:
    """The exponential of the mean ``softmax_cross_entropy``: among how many classes a model that
    knows as little would choose. logits: (..., V), target: (...)."""
    return _exp_ratio(_nats(logits, target, mask, lengths))


# ---- Numbers ------------------------------------------------------------------------------------


def rmse(y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None) -> float:
    """Root of the mean squared error. y, target: real numbers of one shape."""
    return _root_ratio(_squares(y, target, mask, lengths))


def mae(y: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None) -> float:
    """Mean absolute error. y, target: real numbers of one shape."""
    return _ratio(_distances(y, target, mask, lengths))


def coverage(
    low: Numbers, high: Numbers, target: Numbers, mask: Numbers | None = None, lengths: Any = None
) -> float:
    """The share of targets with ``low <= target <= high``, which are real numbers of one shape.

    An interval for 90 % should cover 0.9 of targets that the model has not seen. See that it is no
    wider than a naive one: wide enough, any interval covers all.
    """
    low, target, weight = _numbers(low, target, mask, lengths, "low")
    high = checks.array(high, "high", low.shape, np.float64)
    for name, bound in (("low", low), ("high", high), ("target", target)):
        checks.one_wrong("numbers", name, bound, np.isnan(bound) & (weight != 0))
    return _ratio(_sums(weight, (low <= target) & (target <= high)))


# ---- What the metrics are made of: sums over targets, and a number from them --------------------


def _sums(weight: Array, value: Array) -> Array:
    """The weighted sum of the values, and of the weights."""
    value = np.where(weight != 0, value, 0)
    return np.array([np.sum(weight * value, dtype=np.float64), np.sum(weight)])


def _hits(y: Any, target: Any, mask: Any, lengths: Any) -> Array:
    predicted, target, weight, _ = _classes(y, target, mask, lengths)
    return _sums(weight, predicted == target)


def _right_signs(logits: Any, target: Any, mask: Any, lengths: Any) -> Array:
    logits, target, weight = _numbers(logits, target, mask, lengths, "logits")
    checks.one_wrong("0 or 1", "target", target, (weight != 0) & (target != 0) & (target != 1))
    checks.one_wrong("numbers", "logits", logits, (weight != 0) & np.isnan(logits))
    return _sums(weight, (logits > 0) == target)


def _nats(logits: Any, target: Any, mask: Any, lengths: Any) -> Array:
    logits, target = checks.floats(logits, "logits"), checks.numbers(target, "target", "iu")
    weight = weights_like(logits.shape[:-1], mask, lengths, logits.ndim == 3)
    if not weight.any():
        return np.zeros(2)
    loss, _ = softmax_cross_entropy(logits, target, weight)
    return np.array([loss, 1]) * np.sum(weight)


@quiet
def _squares(y: Any, target: Any, mask: Any, lengths: Any) -> Array:
    y, target, weight = _numbers(y, target, mask, lengths)
    return _sums(weight, np.square(y - target))


@quiet
def _distances(y: Any, target: Any, mask: Any, lengths: Any) -> Array:
    y, target, weight = _numbers(y, target, mask, lengths)
    return _sums(weight, np.abs(y - target))


def _ratio(sums: Array) -> float:
    if sums[1] == 0:
        raise ValueError("mask: expected at least one target that counts, got none")
    return float(sums[0] / sums[1])


def _root_ratio(sums: Array) -> float:
    return math.sqrt(_ratio(sums))


def _exp_ratio(sums: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(_ratio(sums)))


def _macro_precision(matrix: Array) -> float:
    return _macro(matrix, by_class(matrix).precision)


def _macro_recall(matrix: Array) -> float:
    return _macro(matrix, by_class(matrix).recall)


def _macro_f1(matrix: Array) -> float:
    return _macro(matrix, by_class(matrix).f1)


def _macro(matrix: Array, figures: Array) -> float:
    """The mean over all classes that occur in targets or predictions."""
    occurs = matrix.any(axis=0) | matrix.any(axis=1)
    if not occurs.any():
        raise ValueError("mask: expected at least one target that counts, got none")
    return float(np.mean(np.nan_to_num(figures[occurs])))


# The sums of several batches add up to those of all targets. So ``fit`` need not keep any outputs.
SUMS: dict[Callable[..., float], tuple[Callable[..., Array], Callable[[Array], float]]] = {
    accuracy: (_hits, _ratio),
    binary_accuracy: (_right_signs, _ratio),
    precision: (confusion_matrix, _macro_precision),
    recall: (confusion_matrix, _macro_recall),
    f1: (confusion_matrix, _macro_f1),
    perplexity: (_nats, _exp_ratio),
    rmse: (_squares, _root_ratio),
    mae: (_distances, _ratio),
}


# ---- Arguments ----------------------------------------------------------------------------------


def _classes(y: Any, target: Any, mask: Any, lengths: Any) -> tuple[Array, Array, Array, int]:
    """The predicted classes, the true ones, their weights, all of one shape, and V."""
    y, target = checks.numbers(y, "y"), checks.numbers(target, "target")
    if target.dtype != bool:
        target = checks.numbers(target, "target", "iu")
    shape, named = target.shape, y.dtype.kind in "biu" and y.shape == target.shape
    if not named and (y.ndim == 0 or y.shape[:-1] != shape):
        text = checks.shape_text
        hint = "; for one logit a target see binary_accuracy" if y.shape == shape else ""
        raise ValueError(
            f"y: expected logits {text((*shape, 'V'))}, or classes, whole numbers {text(shape)}, "
            f"like target, got {y.dtype} {text(y.shape)}{hint}"
        )
    weight = weights_like(shape, mask, lengths, y.ndim == (2 if named else 3))
    counts = weight != 0
    if named:
        y, target = (np.where(counts, a, 0).astype(np.int64) for a in (y, target))
        for name, a in (("y", y), ("target", target)):
            checks.one_wrong("classes, whole numbers of at least 0", name, a, a < 0)
        return y, target, weight, 1 + int(max(y.max(), target.max()))
    checks.one_wrong("numbers", "y", y, np.isnan(y) & counts[..., None])
    target = checks.tokens(np.where(counts, target, 0), "target", y.shape[-1]).astype(np.int64)
    return y.argmax(axis=-1), target, weight, y.shape[-1]


def _numbers(
    y: Any, target: Any, mask: Any, lengths: Any, name: str = "y"
) -> tuple[Array, Array, Array]:
    """Predictions, targets and their weights, all of one shape."""
    y = checks.floats(y, name, np.float64)
    target = checks.array(target, "target", y.shape, np.float64)
    return y, target, weights_like(y.shape, mask, lengths, y.ndim == 3)


def weights_like(shape: tuple[int, ...], mask: Any, lengths: Any, sequence: bool) -> Array:
    """The weight of each target; 0 past the end of a sequence."""
    if 0 in shape:
        raise ValueError(f"target: expected at least one, got shape {checks.shape_text(shape)}")
    weight = np.ones(shape)
    if mask is not None:
        mask = weights(mask)
        mask = checks.array(mask, "mask", shape[: max(mask.ndim, 1)], np.float64)
        weight *= mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim))
    if lengths is None or not sequence:
        return weight
    ends = checks.lengths(lengths[1] if is_pair(lengths) else lengths, *shape[:2])
    return zero_at(padding(ends, shape[0]), weight)
