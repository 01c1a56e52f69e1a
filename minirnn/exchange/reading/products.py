"""Tables and products: Embedding, Linear, Unembedding; a factor and a bias for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.exchange.reading.addresses import ZERO, Addresses, CannotTakeError, Source
from minirnn.exchange.reading.moves import move
from minirnn.exchange.reading.values import (
    Data,
    Known,
    Node,
    elementwise,
    finite,
    numbers,
    per_step,
)
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.embedding import Embedding, Unembedding
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.protocol import Array


def gather(node: Node) -> list[Any]:
    """Rows of a table for tokens: an Embedding. Else numbers that move."""
    table, tokens = node.values[:2]
    if not isinstance(table, Known) or not isinstance(tokens, Data):
        return move(node)
    table = node.known(0, "table")
    if table.array.ndim != 2 or node.get("axis", 0) != 0:
        raise CannotTakeError("expected a table (V, E), of which tokens choose rows")
    return [embedded(node.book, tokens, table.array, ("table", table.name))]


def embedded(book: Addresses, tokens: Data, table: Array, key: Any) -> Data:
    V, E = table.shape

    def make() -> Embedding:
        layer = Embedding(V, E, rng=0, dtype=book.dtype)
        layer.params["W"][...] = finite(table)
        return layer

    layer = book.layer(key, make)
    return per_step(book, Data(tokens.ids[..., None]), -1, lambda source: (layer, E))


def one_hot(node: Node) -> list[Any]:
    """Ones at the place of a token, zeros else: an Embedding with the table of ones and zeros."""
    depth = node.known(1, "depth").array.reshape(-1)
    if not np.array_equal(node.known(2, "values").array, [0, 1]) or node.get("axis", -1) != -1:
        raise CannotTakeError("expected values [0, 1] along the last axis")
    return [embedded(node.book, node.values[0], np.eye(int(depth[0])), ("one hot", int(depth[0])))]


def matmul(node: Node) -> list[Any]:
    return [product(node.book, numbers(node.values[0]), node.known(1, "matrix"), False)]


def product(book: Addresses, data: Data, W: Known, transposed: bool, axis: int = -1) -> Data:
    if W.array.ndim != 2:
        raise CannotTakeError(f"expected a matrix (D, K), got shape {W.array.shape}")
    array = W.array.T if transposed else W.array
    table = ("table", W.name if transposed else W.name.removesuffix(TRANSPOSED))
    if table in book.made and (transposed or W.name.endswith(TRANSPOSED)):
        words: Any = book.made[table]
        layer: Any = book.layer(("tied", table), lambda: Unembedding(words))
    else:
        layer = book.layer(("product", *table, transposed), lambda: book.linear(finite(array)))
    return per_step(book, data, axis, lambda source: (_fits(layer, source), array.shape[1]))


TRANSPOSED = "^T"  # behind the name of a constant that was transposed


def _fits(layer: Any, source: Source) -> Any:
    if layer.in_features != source.K:
        raise CannotTakeError(f"expected {layer.in_features} features, got {source.K}")
    return layer


def gemm(node: Node) -> list[Any]:
    if node.get("transA", 0):
        raise CannotTakeError("expected transA 0")
    W = node.known(1, "matrix")
    data = product(node.book, numbers(node.values[0]), W, bool(node.get("transB", 0)))
    if node.get("alpha", 1.0) != 1:
        data = affine(node.book, data, np.float64(node.get("alpha", 1.0)), 0.0)
    if len(node.values) > 2 and node.values[2] is not None:
        data = affine(node.book, data, 1.0, node.get("beta", 1.0) * node.known(2, "bias").array)
    return [data]


def convolution(node: Node) -> list[Any]:
    """With one step in each window it is a Linear, on the second axis."""
    W, n = node.known(1, "weights"), node.get("group", 1)
    plain = {*node.get("strides", [1]), n} == {1} and not any(node.get("pads", []))
    if W.array.ndim != 3 or W.array.shape[2] != 1 or not plain:
        raise CannotTakeError("expected windows of one step, with stride 1 and no padding")
    one = Known(W.array[:, :, 0], W.uses, W.name)
    data = product(node.book, numbers(node.values[0]), one, True, axis=1)
    if len(node.values) > 2 and node.values[2] is not None:
        b = node.known(2, "bias").array
        data = affine(node.book, data, 1.0, b.reshape(-1, 1))
    return [data]


# ---- A factor and a bias for each feature --------------------------------------------------------


def arithmetic(node: Node) -> list[Any]:
    one, other = node.values
    kind = node.kind
    if isinstance(one, Data) and isinstance(other, Data):
        if kind != "Add":
            raise CannotTakeError("computes with two results that depend on x")
        return [total(node.book, numbers(one), numbers(other))]
    data, constant = (one, other) if isinstance(one, Data) else (other, one)
    if not isinstance(constant, Known) or (kind == "Div" and data is other):
        raise CannotTakeError("computes with what depends on x in more than one way")
    if constant.uses:
        return [_masked(kind, numbers(data), constant.array)]
    c = finite(constant.array)
    with np.errstate(divide="ignore"):
        scale = {"Mul": c, "Div": 1 / c if kind == "Div" else c}.get(kind, np.float64(1))
    shift = {"Add": c, "Sub": -c}.get(kind, np.zeros_like(c))
    if kind == "Sub" and data is other:
        scale, shift = np.float64(-1), c
    return [affine(node.book, numbers(data), scale, shift)]


def _masked(kind: str, data: Data, mask: Array) -> Data:
    """Zeros past the end of each sequence, by a product with a mask."""
    if kind != "Mul" or not np.isin(mask, [0, 1]).all():
        raise CannotTakeError("computes with an input that is neither lengths nor a state")
    return Data(np.where(mask == 0, ZERO, data.ids))


def affine(book: Addresses, data: Data, scale: Any, shift: Any) -> Data:
    """``x * scale + shift``, for each feature or for all."""
    s, t = np.broadcast_arrays(np.asarray(scale, np.float64), np.asarray(shift, np.float64))
    if s.size == 1:
        s, t = s.ravel(), t.ravel()
        return elementwise(book, data, lambda source: _scaled(book, source, s, t))
    axes = [k - s.ndim for k in range(s.ndim) if s.shape[k] > 1]
    if len(axes) != 1 or data.ids.ndim < s.ndim:
        raise CannotTakeError("expected one constant for each feature, got some for each step")
    if data.ids.shape[axes[0]] != s.size:
        raise CannotTakeError(f"expected {data.ids.shape[axes[0]]} constants, got {s.size}")
    s, t = s.ravel(), t.ravel()
    return per_step(book, data, axes[0], lambda source: (_scaled(book, source, s, t), source.K))


def _scaled(book: Addresses, source: Source, s: Array, t: Array) -> Source:
    """The source times s plus t: in the layer itself, where it is linear."""
    layer, K = source.layer, source.K
    key = ("affine", id(layer), s.tobytes(), t.tobytes())
    if type(layer) is Linear:
        W, b = layer.params["W"] * s, layer.params["b"] * s + t
        made: Any = book.layer(key, lambda: book.linear(finite(W), finite(b)))
    elif type(layer) is LayerNorm:
        g, b = layer.params["g"] * s, layer.params["b"] * s + t
        made = book.layer(key, lambda: normal(K, layer.eps, g, b, book.dtype))
    elif type(layer) is Unembedding and (s == 1).all():
        made = book.layer(key, lambda: Unembedding(layer.embedding))
        made.params["b"][...] = layer.params["b"] + t
    elif type(layer) is Bidirectional and layer.merge == "sum" and (s == 0.5).all() and not t.any():
        parts = layer.forward_layer, layer.backward_layer
        made = book.layer(key, lambda: Bidirectional(*parts, "mean"))
    else:
        diagonal = np.diag(np.broadcast_to(s, K))
        return book.above(book.layer(key, lambda: book.linear(finite(diagonal), t)), source, K)
    shape = source.ids.shape
    return book.source(shape, made, source.below, source.backwards, source.timed)


def normal(K: int, eps: float, g: Array, b: Array, dtype: Any) -> LayerNorm:
    """The LayerNorm with these parameters."""
    try:
        layer = LayerNorm(K, eps, dtype=dtype)
    except ValueError as error:
        raise CannotTakeError(str(error)) from None
    layer.params["g"][...], layer.params["b"][...] = finite(g), finite(b)
    return layer


def total(book: Addresses, one: Data, other: Data) -> Data:
    """The sum of two directions, or of two parts of the features."""
    if one.ids.shape != other.ids.shape:
        raise CannotTakeError("adds results of different shapes")
    K = one.ids.shape[-1]
    turned = np.concatenate([other.ids, one.ids], axis=-1)
    if type(book.resolve(turned)[0].layer) is Bidirectional:  # the order of a sum is free
        one, other = other, one

    def make(source: Source) -> tuple[Any, int]:
        layer = source.layer
        if type(layer) is Bidirectional and layer.merge == "concat":
            parts = layer.forward_layer, layer.backward_layer
            made = book.layer(("sum", id(layer)), lambda: Bidirectional(*parts, "sum"))
            shape = (*source.ids.shape[:-1], K)
            return book.source(shape, made, source.below, source.backwards, True), K
        return book.linear(np.vstack([np.eye(K), np.eye(K)])), K

    return per_step(book, Data(np.concatenate([one.ids, other.ids], axis=-1)), -1, make)
