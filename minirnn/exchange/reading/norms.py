"""Normalisations, as operators of their own and as the steps that older files are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn.exchange.reading.addresses import CannotTakeError
from minirnn.exchange.reading.products import affine, arithmetic, normal
from minirnn.exchange.reading.values import Data, Known, Node, numbers, per_step
from minirnn.protocol import Array


def batch_norm(node: Node) -> list[Any]:
    """In use the mean and the variance are constants."""
    if node.get("training_mode", 0):
        raise CannotTakeError("expected training_mode 0")
    names = ("scale", "bias", "mean", "variance")
    gain, bias, mean, variance = (
        node.known(k, name).array.astype(np.float64) for k, name in enumerate(names, 1)
    )
    data = numbers(node.values[0])
    s = gain / np.sqrt(variance + node.get("epsilon", 1e-5))
    axes = [-1, *[1] * (data.ids.ndim - 2)]  # of the second axis
    t = bias - mean * s
    return [affine(node.book, data, s.reshape(axes), t.reshape(axes))]


def layer_norm(node: Node) -> list[Any]:
    data = numbers(node.values[0])
    if node.get("axis", -1) not in (-1, data.ids.ndim - 1):
        raise CannotTakeError("expected axis -1")
    g = node.known(1, "gain").array.ravel()
    b = node.known(2, "bias").array.ravel() if len(node.values) > 2 else np.zeros_like(g)
    return [_normalised(node, data.ids, float(str(np.float32(node.get("epsilon", 1e-5)))), g, b)]


def _normalised(node: Node, ids: Array, eps: float, g: Any = 1.0, b: Any = 0.0) -> Data:
    K = ids.shape[-1]
    if np.size(g) not in (1, K) or np.size(b) not in (1, K):
        raise CannotTakeError(f"expected {K} gains and biases, got {np.size(g)} and {np.size(b)}")
    layer = normal(K, eps, np.asarray(g), np.asarray(b), node.book.dtype)
    return per_step(node.book, Data(ids), -1, lambda source: (layer, K))


# ---- The steps of a LayerNorm --------------------------------------------------------------------


class Moment(NamedTuple):
    """A result between two of them, of the numbers with these addresses."""

    what: str  # mean, centred, square, variance, deviation
    ids: Array
    eps: float = 0.0


def mean(node: Node) -> list[Any]:
    """The mean over the features, of numbers or of their squares."""
    value = node.values[0]
    axes = node.known(1, "axes").array.tolist() if len(node.values) > 1 else node.get("axes", [])
    over_features = list(axes) in ([-1], [value.ids.ndim - 1]) and node.get("keepdims", 1)
    if over_features and isinstance(value, Data) and not value.tokens:
        return [Moment("mean", value.ids)]
    if over_features and isinstance(value, Moment) and value.what == "square":
        return [value._replace(what="variance")]
    raise CannotTakeError("takes a mean that is no part of a LayerNorm")


def moment(node: Node) -> list[Any]:
    """The next step, if it is one; else arithmetic."""
    if not any(isinstance(v, Moment) for v in node.values) and node.kind not in ("Pow", "Sqrt"):
        return arithmetic(node)
    one, other = (*node.values, None)[:2]
    step = node.kind, _what(one), _what(other)
    same = not isinstance(one, Moment) or not isinstance(other, Moment) or one.ids is other.ids
    if step == ("Sub", "data", "mean") and np.array_equal(one.ids, other.ids):
        return [other._replace(what="centred")]
    if (step == ("Mul", "centred", "centred") and same) or step == ("Pow", "centred", "2.0"):
        return [one._replace(what="square")]
    if node.kind == "Add" and {"variance"} < {step[1], step[2]}:
        variance, eps = (one, other) if step[1] == "variance" else (other, one)
        if isinstance(eps, Known) and eps.array.size == 1 and not eps.uses:
            return [variance._replace(eps=float(eps.array.ravel()[0]))]
    if step == ("Sqrt", "variance", "none"):
        return [one._replace(what="deviation")]
    if step == ("Div", "centred", "deviation") and same:
        return [_normalised(node, one.ids, other.eps)]
    raise CannotTakeError("is no part of a LayerNorm, and no layer here does this")


def _what(value: Any) -> str:
    if isinstance(value, Moment):
        return value.what
    if isinstance(value, Known) and value.array.size == 1:
        return str(float(value.array.ravel()[0]))
    return {type(None): "none", Data: "data"}.get(type(value), "other")
