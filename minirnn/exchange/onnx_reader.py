"""Read a whole model from an ONNX file, whoever wrote it.

The graph is run twice, for two numbers of steps and sequences. What does not depend on x is
computed, by the package onnx itself; what does is followed by its addresses, see ``addresses.py``.
Both times the same layers must come out.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.description import arguments
from minirnn.exchange.addresses import Addresses, CannotTakeError, model_of
from minirnn.exchange.operators import LAYERS, TRANSPOSED, Data, Known, Negative, Node
from minirnn.exchange.recurrent import recurrent
from minirnn.protocol import Array, optional

OPERATORS = LAYERS | dict.fromkeys(("RNN", "LSTM", "GRU"), recurrent)
RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
          "Multinomial")  # fmt: skip
# How x may stand in the graph, by its number of axes. ".": one sequence without an axis for it.
REAL = {3: ("TBD", "BTD", "BDT"), 2: ("BD", "T.D", "TB", "BT"), 1: ("T.",)}
WHOLE = {2: ("TB", "BT"), 1: ("T.",)}
SIZES = ({"T": 5, "B": 3}, {"T": 4, "B": 6})  # of the two runs


class Graph(NamedTuple):
    """What is needed of a graph for one output."""

    onnx: Any
    opset: int
    nodes: list[Any]
    constants: dict[str, Known]
    x: str
    y: str
    inputs: dict[str, Any]  # name to dtype and axes, each a number, a name or None


def from_onnx(model: Any, input: str | None = None, output: str | None = None) -> Any:
    """The layer, or the ``Sequential``, that computes what an ONNX model does.

    model: the name of a file, its bytes, or what ``onnx.load`` returns.
    input, output: the name of x and of y in the graph, by default its first input and its output.
        Any numbers between two operators have a name, so a part of a graph can be taken, too.

    x is (T, B, D) here, or (T, B) of tokens, also where there the batch comes first. y is (T, B, K)
    or (B, K), whatever axes are moved or dropped at the end there. Initial states that are inputs
    there are given to ``forward`` here, and so are ``lengths``; what y holds past the end of a
    sequence is zero here. Numbers are float32, or float64 if the weights are.

    Known are RNN, LSTM (with peepholes) and GRU, in both directions, Gather, OneHot, MatMul, Gemm,
    Conv with windows of one step, Add, Sub, Mul and Div by constants, BatchNormalization,
    Tanh, Sigmoid, Relu, Softmax, LogSoftmax, Dropout, and all that moves numbers. Features that are
    chosen or scaled with no Linear beside them become a ``Linear`` of ones, zeros and the scales.
    All else, such as attention, is refused by the operator's name, and so are initial states that
    are computed, cells with other options, and a backward direction by itself.

    Raises TypeError for a model that has not all of its layers here, ValueError for what is no ONNX
    file and for names that are not in it, ImportError without onnx, and OSError.
    """
    try:
        import onnx.reference
    except ImportError as error:
        raise ImportError("from_onnx needs the package onnx: pip install onnx") from error
    graph = _graph(_loaded(onnx, model), onnx, input, output)
    tried: list[list[str]] = []
    for layout, D in _layouts(graph):
        found, wrong = _read(graph, layout, D, SIZES[0])
        if not wrong:
            again, wrong = _read(graph, layout, D, SIZES[1])
            if not wrong and _text(again) == _text(found):
                return found
            wrong = wrong or ["other layers for another number of steps or sequences"]
        tried.append(wrong)
    # Of the ways in which x may stand there, the one that came furthest says most.
    places = {_place(node): k for k, node in enumerate(graph.nodes)}
    tried.sort(key=lambda wrong: -places.get(wrong[0].split(":")[0], len(places)))
    raise TypeError(_refusal(tried[0] if tried else [f"an x of shape {graph.inputs[graph.x][1]}"]))


def _place(node: Any) -> str:
    """How errors call a node."""
    name = (node.name or node.output[0]).replace(":", ".")
    return f"{node.op_type} {name!r}"


def _refusal(wrong: Sequence[str]) -> str:
    more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
    return (
        f"model: expected what layers here compute (a part can be taken with input= and output=), "
        f"got {'; '.join(wrong[:8])}{more}"
    )


def _text(layer: Any) -> Any:
    """A layer with its arguments and parameters, to compare it with another."""
    parts = [_text(part) for part in optional(layer, "parts").values()]
    own = [repr(value) for _, value in arguments(layer)] if not parts else []
    numbers = [] if parts else [p.tobytes() for p in layer.params.values()]
    return type(layer).__name__, own, parts, numbers


# ---- The graph -----------------------------------------------------------------------------------


def _loaded(onnx: Any, model: Any) -> Any:
    if hasattr(model, "graph") and hasattr(model, "opset_import"):
        return model
    is_bytes = isinstance(model, (bytes, bytearray))
    try:
        if is_bytes:
            return onnx.load_from_string(bytes(model))
        return onnx.load(os.fspath(checks.path(model, "model")))
    except (OSError, TypeError):
        raise
    except Exception as error:  # of protobuf, whose classes are not ours to know
        got = "bytes that are none" if is_bytes else f"{model!r:.80}"
        raise ValueError(f"model: expected an ONNX file, got {got} ({error!s:.80})") from None


def _graph(model: Any, onnx: Any, x: str | None, y: str | None) -> Graph:
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    g = model.graph
    opset = max([o.version for o in model.opset_import if o.domain in ("", "ai.onnx")], default=0)
    if opset < 7:
        raise ValueError(f"model: expected a graph of opset 7 or newer, got {opset}")
    constants = {
        a.name: Known(_plain(onnx.numpy_helper.to_array(a)), frozenset(), a.name)
        for a in g.initializer
    }
    given = [i.name for i in g.input if i.name not in constants]
    made = {name: node for node in g.node for name in node.output if name}
    outputs = [o.name for o in g.output]
    if (not given and x is None) or (not outputs and y is None):
        raise ValueError("model: expected a graph with an input and an output, got none")
    answers = [name for name in outputs if not _is_state(name, made)] or outputs
    if y is None and len(answers) > 1:
        names = ", ".join(map(repr, answers))
        raise ValueError(f"output: expected one of {names}, since the graph has several, got None")
    x, y = given[0] if x is None else x, answers[0] if y is None else y
    for name, value in (("input", x), ("output", y)):
        checks.choice(value, name, [*given, *made])
    nodes = _needed(g.node, made, x, y)
    shapes = _shapes(onnx, model, [x, *given])
    return Graph(onnx, opset, nodes, constants, x, y, shapes)


def _plain(a: Array) -> Array:
    """The array, in float32 if it is of half precision."""
    return a.astype(np.float32) if a.dtype.name in ("float16", "bfloat16") else a


def _is_state(name: str, made: dict[str, Any]) -> bool:
    """Whether an output is a final state, moved at most."""
    node = made.get(name)
    if node is None:
        return False
    if node.op_type in ("RNN", "LSTM", "GRU"):
        return name != node.output[0]
    moves = ("Squeeze", "Unsqueeze", "Identity", "Transpose", "Reshape", "Concat", "Cast", "Slice")
    if node.op_type == "Where":
        return _is_state(node.input[2], made)
    wanted = node.input if node.op_type == "Concat" else node.input[:1]
    return node.op_type in moves and all(_is_state(n, made) for n in wanted)


def _needed(nodes: Sequence[Any], made: dict[str, Any], x: str, y: str) -> list[Any]:
    """The nodes between x and y, in the order of the graph."""
    todo, wanted = [y], set()
    while todo:
        name = todo.pop()
        if name != x and name in made and id(made[name]) not in wanted:
            wanted.add(id(made[name]))
            todo += made[name].input
    return [node for node in nodes if id(node) in wanted]


def _shapes(onnx: Any, model: Any, names: Sequence[str]) -> dict[str, Any]:
    """The dtype and the axes of these arrays, as far as they are known."""
    found: dict[str, Any] = dict.fromkeys(names, (np.dtype("float32"), None))
    g = model.graph
    if names[0] not in [i.name for i in g.input]:  # numbers between two operators
        g = onnx.shape_inference.infer_shapes(model).graph
    for info in [*g.input, *g.value_info]:
        kind = info.type.tensor_type
        if info.name in found and kind.elem_type:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            axes = [d.dim_value or d.dim_param or None for d in kind.shape.dim]
            found[info.name] = dtype, axes if kind.HasField("shape") else None
    return found


def _layouts(graph: Graph) -> Iterator[tuple[str, int]]:
    """How x may stand in the graph, and how many features it may have."""
    dtype, axes = graph.inputs[graph.x]
    known = WHOLE if dtype.kind in "iu" else REAL
    weights = [
        n
        for node in graph.nodes
        if node.op_type in ("RNN", "LSTM", "GRU", "MatMul", "Gemm")
        for name in node.input[1:2]
        if name in graph.constants
        for n in graph.constants[name].array.shape[-2:]
    ]
    for layout in itertools.chain(*(known.get(n, ()) for n in ([len(axes)] if axes else known))):
        order = layout.replace(".", "")
        D = axes[order.index("D")] if axes and "D" in order else None
        for features in (
            [D] if isinstance(D, int) or "D" not in order else dict.fromkeys([*weights[:12], 3])
        ):
            yield layout, features or 1


# ---- One run -------------------------------------------------------------------------------------


def _read(graph: Graph, layout: str, D: int, sizes: dict[str, int]) -> tuple[Any, list[str]]:
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
    book.states = frozenset(name for name, k in values.items() if k.array.dtype.kind == "f")
    shape = [size[letter] for letter in ("BD" if layout == "BD" else "TBD")]
    source = book.source(tuple(shape[:-1]) + (1 if "D" not in order else D,), None)
    values[graph.x] = Data(_as_in_graph(source.ids, layout), dtype.kind in "iu")
    wrong: list[str] = []
    unknown: set[str] = set()
    for node in graph.nodes:
        _run(graph, node, book, values, unknown, wrong)
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
        elif dtype.kind in "iu" and len(shape) == 1:
            a = size["T"] - np.arange(shape[0]) % max(size["T"] - 1, 1)  # from T down to 2
        else:
            continue
        values[name] = Known(a.astype(dtype), frozenset([name]), name)
    return values


def _run(
    graph: Graph, node: Any, book: Addresses, values: dict[str, Any], unknown: set[str],
    wrong: list[str],
) -> None:  # fmt: skip
    """What comes out of one node, or a line that says why it cannot be taken."""
    get = graph.onnx.helper.get_attribute_value
    given: list[Any] = []
    for name in node.input:
        given.append(values.get(name) or graph.constants.get(name) if name else None)
    lost = any(n in unknown for n in node.input)
    from_x = lost or any(isinstance(v, (Data, Negative)) for v in given)
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
        wrong.append(f"{_place(node)}: {error}")
        unknown.update(node.output)


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
    return [Known(_plain(np.asarray(a)), uses, n) for a, n in zip(arrays, names, strict=False)]


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
        found, n = rows.squeeze(), source.ids[..., 0].size
        plain = np.arange(n).reshape(source.ids.shape[:-1]).squeeze()
        for order in (plain, plain.T):
            same = (found == order) if found.shape == order.shape else np.array(False)
            if found.size == n and found.ndim == 1 and order.ndim == 2:
                same = (found == order.ravel()).reshape(order.shape)
            if same.shape == order.shape and (same | (found.reshape(order.shape) < 0)).all():
                return source
        reason = CannotTakeError("has its steps in another order")
    raise reason
