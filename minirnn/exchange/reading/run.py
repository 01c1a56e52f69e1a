"""One run of a graph, for one number of steps and sequences."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.exchange.reading.addresses import Addresses, CannotTakeError, model_of
from minirnn.exchange.reading.graph import Graph, plain
from minirnn.exchange.reading.operators import OPERATORS
from minirnn.exchange.reading.products import TRANSPOSED
from minirnn.exchange.reading.values import Data, Known, Node
from minirnn.protocol import Array

RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
          "Multinomial")  # fmt: skip


def run(graph: Graph, layout: str, D: int, sizes: dict[str, int]) -> tuple[Any, list[str]]:
    """The model, or None; and what is wrong with it."""
    dtype, axes = graph.inputs[graph.x]
    order = layout.replace(".", "")
    size = {**sizes, "D": D}
    for letter, n in zip(order, axes or [], strict=False):
        size[letter] = n if isinstance(n, int) else size[letter]
    if "." in layout:
        size["B"] = 1
    names = {n: size[letter] for letter, n in zip(order, axes or [], strict=False) if n}
    values = _other_inputs(graph, size, names)
    doubles = any(
        k.array.dtype == np.float64 and k.array.ndim > 1 for k in graph.constants.values()
    )
    lengths = next((k.array for name, k in values.items() if k.array.dtype.kind in "iu"), None)
    book = Addresses(size["T"], size["B"], lengths, np.float64 if doubles else np.float32)
    states = {name: k.array for name, k in values.items() if k.array.dtype.kind == "f"}
    book.states = frozenset(states)
    book.state_numbers = np.concatenate([a.ravel() for a in states.values()] or [np.zeros(0)])
    shape = [size[letter] for letter in ("BD" if layout == "BD" else "TBD")]
    source = book.source(tuple(shape[:-1]) + (1 if "D" not in order else D,), None)
    values[graph.x] = Data(_as_in_graph(source.ids, layout), dtype.kind in "iu")
    wrong: list[str] = []
    unknown: set[str] = set()
    for node in graph.nodes:
        _run_node(graph, node, book, values, unknown, wrong)
    if not wrong:
        try:
            y = values.get(graph.y)
            if not isinstance(y, Data):
                raise CannotTakeError("does not depend on x")
            return model_of(_source_of_output(book, y.ids)), []
        except CannotTakeError as error:
            wrong.append(f"the output {graph.y!r}, which {error}")
    return None, wrong


def _as_in_graph(ids: Array, layout: str) -> Array:
    """The addresses of x (T, B, D) with the axes that it has in the graph."""
    if layout == "BD":
        return ids
    order = layout.replace(".", "")
    if "." in layout:
        ids = ids[:, :1]
    axes = [letter for letter in "TBD" if letter in order]
    ids = ids if "D" in order else ids[..., 0]
    ids = ids if "B" in order else ids[:, 0]
    return ids.transpose([axes.index(letter) for letter in order])


def _other_inputs(graph: Graph, size: dict[str, int], names: dict[Any, int]) -> dict[str, Any]:
    """Numbers for the other inputs that are needed: lengths, and initial states."""
    rng = np.random.default_rng(0)
    used = {name for node in graph.nodes for name in node.input}
    values: dict[str, Any] = {}
    for name, (dtype, axes) in graph.inputs.items():
        if name == graph.x or name not in used or axes is None:
            continue
        shape = [n if isinstance(n, int) else names.get(n, size["B"]) for n in axes]
        a: Array
        if dtype.kind == "f" and len(shape) in (2, 3):
            a = rng.normal(size=shape)
        elif dtype.kind in "iu" and shape == [size["B"]]:
            a = size["T"] - np.arange(shape[0]) % max(size["T"] - 1, 1)  # from T down to 2
        else:
            continue
        values[name] = Known(a.astype(dtype), frozenset([name]), name)
    return values


def _run_node(
    graph: Graph, node: Any, book: Addresses, values: dict[str, Any], unknown: set[str],
    wrong: list[str],
) -> None:  # fmt: skip
    """What comes out of one node, or a line that says why it cannot be taken."""
    get = graph.onnx.helper.get_attribute_value
    given: list[Any] = []
    for name in node.input:
        given.append(values.get(name) or graph.constants.get(name) if name else None)
    lost = any(n in unknown for n in node.input)
    from_x = lost or any(not isinstance(v, (Known, type(None))) for v in given)
    missing = [n for n in node.input if n and n not in values and n not in graph.constants]

    def run(arrays: list[Any]) -> list[Array]:
        return _computed(graph, node, arrays)

    try:
        if not lost and missing:
            raise CannotTakeError(
                f"needs the input {missing[0]!r}, which is no x, lengths or state"
            )
        if from_x and node.op_type not in OPERATORS and node.op_type not in ("Shape", "Size"):
            raise CannotTakeError("no layer here does this")
        if lost:
            unknown.update(node.output)
            return
        if node.op_type in ("Shape", "Size"):
            arrays = [v.ids if isinstance(v, Data) else v.array for v in given]
            outputs: list[Any] = [Known(a, frozenset(), "") for a in run(arrays)]
        elif not from_x:
            outputs = _constants(node, given, run)
        else:
            attributes = {a.name: _text_of(get(a)) for a in node.attribute}
            attributes |= {"opset": graph.opset}
            made = Node(node.op_type, attributes, given, run, book)
            outputs = OPERATORS[node.op_type](made)
        values.update(
            {n: v for n, v in zip(node.output, outputs, strict=False) if n and v is not None}
        )
    except CannotTakeError as error:
        wrong.append(f"{place(node)}: {error}")
        unknown.update(node.output)


def place(node: Any) -> str:
    """How errors call a node."""
    name = (node.name or node.output[0]).replace(":", ".")
    return f"{node.op_type} {name!r}"


def _text_of(value: Any) -> Any:
    if isinstance(value, list):
        return [_text_of(v) for v in value]
    return value.decode() if isinstance(value, bytes) else value


def _constants(node: Any, given: list[Any], run: Any) -> list[Any]:
    """An operator whose inputs do not depend on x, computed."""
    if node.op_type in RANDOM:
        raise CannotTakeError("draws random numbers")
    uses = frozenset().union(*(v.uses for v in given if v is not None))
    names = list(node.output)
    if node.op_type == "Identity":
        names = [given[0].name]
    if node.op_type == "Transpose" and given[0].array.ndim == 2:
        names = [given[0].name + TRANSPOSED]
    arrays = run([None if v is None else v.array for v in given])
    return [Known(plain(np.asarray(a)), uses, n) for a, n in zip(arrays, names, strict=False)]


def _computed(graph: Graph, node: Any, arrays: list[Any]) -> list[Array]:
    """One node computed by the package onnx."""
    onnx = graph.onnx
    given = {n: a for n, a in zip(node.input, arrays, strict=True) if n and a is not None}
    infos = [[onnx.ValueInfoProto(name=n) for n in names if n] for names in (given, node.output)]
    made = onnx.helper.make_model(
        onnx.helper.make_graph([node], "node", *infos),
        opset_imports=[onnx.helper.make_opsetid("", graph.opset)],
    )
    try:
        return list(onnx.reference.ReferenceEvaluator(made).run(None, given))
    except Exception as error:  # whatever it may raise for sizes that do not fit
        raise CannotTakeError(f"cannot be computed ({error!s:.80})") from None


def _source_of_output(book: Addresses, ids: Array) -> Any:
    """The source whose rows are the output, with its axes in any order, and some of size 1."""
    reason = CannotTakeError("is no output of a layer")
    for features in (ids, ids[..., None], *(np.moveaxis(ids, k, -1) for k in range(ids.ndim - 1))):
        try:
            source, rows = book.resolve(features)
        except CannotTakeError as error:
            reason = error if features is ids else reason
            continue
        n = source.ids[..., 0].size
        plain_order = np.arange(n).reshape(source.ids.shape[:-1])
        for order in (plain_order, plain_order.T):
            if rows.size == n and ((rows.ravel() == order.ravel()) | (rows.ravel() < 0)).all():
                return source
        model_of(source)  # which says if it runs backwards
        reason = CannotTakeError("has its steps in another order")
    raise reason
