"""What each operator of ONNX does to the numbers of x: it moves them, or it is a layer here.

A value in the graph is ``Known`` (it does not depend on the numbers in x), or ``Data``: addresses
of numbers that a layer gives. See ``addresses.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minirnn.exchange.addresses import CELL_STATE, OTHER, ZERO, Addresses, CannotTakeError, Source
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.elementwise import Activation
from minirnn.layers.embedding import Embedding, Unembedding
from minirnn.layers.linear import Linear
from minirnn.protocol import Array


class Known(NamedTuple):
    """An array that does not depend on x, the inputs of the graph that it depends on, a name."""

    array: Array
    uses: frozenset[str]
    name: str


class Data(NamedTuple):
    """Numbers of x, or computed from it, by their addresses; whether they are whole numbers."""

    ids: Array
    tokens: bool = False


class Negative(NamedTuple):
    """Which of these numbers are negative."""

    ids: Array


class Node(NamedTuple):
    """An operator with its attributes, and ``run``, which computes it from arrays."""

    kind: str
    attributes: dict[str, Any]
    values: list[Any]  # None where an input is left out
    run: Callable[[list[Any]], list[Array]]
    book: Addresses

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def known(self, k: int, name: str) -> Known:
        """An input that must be a constant."""
        value = self.values[k] if k < len(self.values) else None
        if not isinstance(value, Known):
            raise CannotTakeError(f"expected a constant {name}")
        return value


Operator: TypeAlias = Callable[[Node], list[Any]]

# ---- Numbers that move ---------------------------------------------------------------------------

# By operator, which of its inputs hold the numbers that it moves.
MOVES: dict[str, tuple[int, ...]] = {
    "Transpose": (0,), "Reshape": (0,), "Squeeze": (0,), "Unsqueeze": (0,), "Flatten": (0,),
    "Slice": (0,), "Gather": (0,), "GatherElements": (0,), "GatherND": (0,), "Split": (0,),
    "ReverseSequence": (0,), "Expand": (0,), "Tile": (0,), "Pad": (0, 2), "Where": (1, 2),
    "Concat": tuple(range(99)),
}  # fmt: skip


def move(node: Node) -> list[Any]:
    """Run an operator on addresses."""
    arrays: list[Any] = []
    tokens = False
    for k, value in enumerate(node.values):
        if isinstance(value, Data) and k in MOVES[node.kind]:
            arrays.append(value.ids)
            tokens |= value.tokens
        elif isinstance(value, (Data, Negative)):
            raise CannotTakeError("moves numbers to places that depend on x")
        elif value is not None and k in MOVES[node.kind]:
            arrays.append(np.where(value.array == 0, ZERO, OTHER))
        else:
            arrays.append(None if value is None else value.array)
    return [Data(np.asarray(a), tokens) for a in node.run(arrays)]


def concat(node: Node) -> list[Any]:
    """Two branches are joined where they meet, if all their features meet."""
    (result,) = move(node)
    if node.get("axis", 0) in (-1, result.ids.ndim - 1):
        with contextlib.suppress(CannotTakeError):  # perhaps it can be taken at the next layer
            result = Data(node.book.joined(result.ids), result.tokens)
    return [result]


def same(node: Node) -> list[Any]:
    given = len(node.values) > 2 and node.values[2] is not None  # of a Dropout
    if given and node.known(2, "training_mode").array.any():
        raise CannotTakeError("expected training_mode false")
    return [node.values[0], None]


def cast(node: Node) -> list[Any]:
    data, kind = node.values[0], node.get("to", 1)
    to_tokens, to_numbers = kind in (6, 7, 12, 13), kind in (1, 10, 11, 16)
    if (data.tokens and to_tokens) or (not data.tokens and to_numbers):
        return [data]
    source, _ = node.book.resolve(data.ids[..., None])
    if to_tokens and source.layer is None:  # x is given as real numbers that are tokens
        return [Data(data.ids, True)]
    raise CannotTakeError("casts numbers so that digits are lost, or tokens to features")


def less(node: Node) -> list[Any]:
    if isinstance(node.values[0], Data) and not node.known(1, "bound").array.any():
        return [Negative(node.values[0].ids)]
    raise CannotTakeError("compares numbers that depend on x")


def where(node: Node) -> list[Any]:
    """A token that is negative may be replaced by another one that is not in the table."""
    negative, _, data = node.values
    guarded = isinstance(negative, Negative) and isinstance(data, Data)
    if guarded and np.array_equal(negative.ids, data.ids):
        return [data]
    return move(node)


# ---- The same at every step ----------------------------------------------------------------------


def per_step(
    book: Addresses, data: Data, axis: int, make: Callable[[Source], tuple[Any, int]]
) -> Data:
    """A layer on the features, which stand along an axis."""
    source, rows = book.resolve(np.moveaxis(data.ids, axis, -1))
    made, K = make(source)
    new = made if isinstance(made, Source) else book.above(made, source, K)
    ids = np.full((*rows.shape, K), OTHER)
    ids[rows >= 0] = new.rows()[rows[rows >= 0]]
    return Data(np.moveaxis(ids, -1, axis))


def elementwise(book: Addresses, data: Data, make: Callable[[Source], Any]) -> Data:
    """A layer that treats every number by itself, wherever it stands."""
    ids = book.joined(data.ids)
    (source,) = book.sources_of(ids)
    if source.layer is CELL_STATE:
        raise CannotTakeError("reads the cells of an LSTM, which are no output here")
    made = make(source)
    new = made if isinstance(made, Source) else book.above(made, source, source.K)
    ids = book.translate(np.where(ids == ZERO, OTHER, ids), source, new.ids)
    return Data(ids)


def numbers(data: Any) -> Data:
    """Data that are no tokens."""
    if not isinstance(data, Data):
        raise CannotTakeError("computes with what depends on x in more than one way")
    if data.tokens:
        raise CannotTakeError("computes with tokens as if they were features")
    return data


def activation(node: Node) -> list[Any]:
    name = FUNCTIONS[node.kind]
    layer = node.book.layer(name, lambda: Activation(name))
    return [elementwise(node.book, numbers(node.values[0]), lambda source: layer)]


def softmax(node: Node) -> list[Any]:
    data, name = numbers(node.values[0]), FUNCTIONS[node.kind]
    old = node.get("opset", 13) < 13  # all axes from this one on were one
    axis = node.get("axis", 1 if old else -1)
    if old and axis not in (-1, data.ids.ndim - 1):
        raise CannotTakeError("expected the sum over the last axis")
    try:
        layer = node.book.layer(name, lambda: Activation(name))
    except ValueError as error:
        raise CannotTakeError(f"there is no such layer ({error})") from None
    return [per_step(node.book, data, axis, lambda source: (layer, source.K))]


FUNCTIONS: dict[str, Any] = {
    "Tanh": "tanh", "Sigmoid": "sigmoid", "Relu": "relu", "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
}  # fmt: skip


def gather(node: Node) -> list[Any]:
    """Rows of a table for tokens: an Embedding. Else numbers that move."""
    table, tokens = node.values[:2]
    if not isinstance(table, Known) or not isinstance(tokens, Data):
        return move(node)
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
    c = finite(constant.array)
    with np.errstate(divide="ignore"):
        scale = {"Mul": c, "Div": 1 / c if kind == "Div" else c}.get(kind, np.float64(1))
    shift = {"Add": c, "Sub": -c}.get(kind, np.zeros_like(c))
    if kind == "Sub" and data is other:
        scale, shift = np.float64(-1), c
    return [affine(node.book, numbers(data), scale, shift)]


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
    elif type(layer) is Unembedding and (s == 1).all():
        made = book.layer(key, lambda: Unembedding(layer.embedding))
        made.params["b"][...] = layer.params["b"] + t
    elif type(layer) is Bidirectional and layer.merge == "sum" and (s == 0.5).all() and not t.any():
        parts = layer.forward_layer, layer.backward_layer
        made = book.layer(key, lambda: Bidirectional(*parts, "mean"))
    else:
        diagonal = np.diag(np.broadcast_to(s, K))
        return book.above(book.layer(key, lambda: book.linear(diagonal, t)), source, K)
    shape = source.ids.shape
    return book.source(shape, made, source.below, source.backwards, source.timed)


def total(book: Addresses, one: Data, other: Data) -> Data:
    """The sum of two directions, or of two parts of the features."""
    if one.ids.shape != other.ids.shape:
        raise CannotTakeError("adds results of different shapes")
    K = one.ids.shape[-1]

    def make(source: Source) -> tuple[Any, int]:
        layer = source.layer
        if type(layer) is Bidirectional and layer.merge == "concat":
            parts = layer.forward_layer, layer.backward_layer
            made = book.layer(("sum", id(layer)), lambda: Bidirectional(*parts, "sum"))
            shape = (*source.ids.shape[:-1], K)
            return book.source(shape, made, source.below, source.backwards, True), K
        return book.linear(np.vstack([np.eye(K), np.eye(K)])), K

    return per_step(book, Data(np.concatenate([one.ids, other.ids], axis=-1)), -1, make)


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


def finite(a: Array) -> Array:
    if not np.isfinite(a).all():
        raise CannotTakeError("expected finite constants")
    return a


LAYERS: dict[str, Operator] = {
    **dict.fromkeys(MOVES, move), "Concat": concat, "Where": where, "Less": less, "Cast": cast,
    "Identity": same, "Dropout": same, "Gather": gather, "OneHot": one_hot, "MatMul": matmul,
    "Gemm": gemm, "Conv": convolution, "BatchNormalization": batch_norm, "Softmax": softmax,
    "LogSoftmax": softmax, **dict.fromkeys(("Tanh", "Sigmoid", "Relu"), activation),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), arithmetic),
}  # fmt: skip
