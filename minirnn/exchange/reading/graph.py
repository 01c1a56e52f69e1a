"""What is needed of an ONNX graph: its constants, its nodes, and how x stands in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.exchange.reading.values import Known
from minirnn.protocol import Array

# How x may stand in the graph, by its number of axes. ".": one sequence without an axis for it.
REAL = {3: ("TBD", "BTD", "BDT"), 2: ("BD", "T.D", "TB", "BT"), 1: ("T.",)}
WHOLE = {2: ("TB", "BT"), 1: ("T.",)}


class Graph(NamedTuple):
    """What is needed of a graph for one output."""

    onnx: Any
    opset: int
    nodes: list[Any]
    constants: dict[str, Known]
    x: str
    y: str
    inputs: dict[str, Any]  # name to dtype and axes, each a number, a name or None


def loaded(onnx: Any, model: Any) -> Any:
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


def read_graph(model: Any, onnx: Any, x: str | None, y: str | None) -> Graph:
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    g = model.graph
    opset = max([o.version for o in model.opset_import if o.domain in ("", "ai.onnx")], default=0)
    if opset < 7:
        raise ValueError(f"model: expected a graph of opset 7 or newer, got {opset}")
    constants = {
        a.name: Known(plain(onnx.numpy_helper.to_array(a)), frozenset(), a.name)
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


def plain(a: Array) -> Array:
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


def for_one_sequence(graph: Graph) -> bool:
    """Whether an initial state is given for one sequence only."""
    used = {name for node in graph.nodes for name in node.input} - {graph.x}
    states = [axes for name, (dtype, axes) in graph.inputs.items() if name in used and axes]
    return any(len(axes) in (2, 3) and axes[-2] == 1 for axes in states)


def layouts(graph: Graph) -> Iterator[tuple[str, int]]:
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
    kinds = {node.op_type for node in graph.nodes}
    features_last = not kinds & {"RNN", "LSTM", "GRU", "Conv", "BatchNormalization"}
    for layout in itertools.chain(*(known.get(n, ()) for n in ([len(axes)] if axes else known))):
        if layout == "BDT" and features_last:
            continue
        order = layout.replace(".", "")
        D = axes[order.index("D")] if axes and "D" in order else None
        for features in (
            [D] if isinstance(D, int) or "D" not in order else dict.fromkeys([*weights[:12], 3])
        ):
            yield layout, features or 1
