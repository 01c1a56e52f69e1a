"""Write a whole model as an ONNX file, to run it without minirnn: on a server, a phone, a browser.

What differs there: the gates stand in the order i o f c (LSTM) or z r h (GRU), each weight is
transposed and has a leading axis of directions, there are two biases, and the outputs have an axis
of directions. ONNX's GRU has both reset variants, ``linear_before_reset`` 1 and 0. See the ONNX
operators RNN, LSTM and GRU, opset 17. The numbers are float32, which is what most runtimes compute
in. Needs the package onnx (``pip install 'minirnn[exchange]'``).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.cells.lstm import LSTM
from minirnn.exchange.cells import CELLS, OUR_ORDER, cell_params
from minirnn.exchange.checked import ANY, SIZES, Table, compared, finite, parameters, reorder
from minirnn.exchange.graph import Graph
from minirnn.files.atomic import write
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding, Unembedding
from minirnn.layers.last import Last
from minirnn.layers.learned_state import LearnedState
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.layers.recurrent_dropout import RecurrentDropout
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer, Shape, named_leaves, optional, output_shape

ORDER = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
ELEMENTWISE = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}
ACTIVATIONS = ELEMENTWISE | {"softmax": "Softmax", "log_softmax": "LogSoftmax"}

# What is written; see ``weights``. The function for each class is in ``WRITERS``, below.
ONNX: Table = {
    **CELLS,
    LSTM: SIZES | {"peephole": [False, True]},
    Embedding: {"num_embeddings": ANY, "embedding_dim": ANY, "dtype": ANY},
    Unembedding: {"embedding": ANY},
    Linear: {"in_features": ANY, "out_features": ANY, "dtype": ANY},
    LayerNorm: {"num_features": ANY, "eps": ANY, "dtype": ANY},
    Activation: {"function": list(ACTIVATIONS)},
    Dropout: {"p": ANY, "per_sequence": [False, True]},
    RecurrentDropout: {"cell": ANY, "p": ANY, "on": ["hidden", "candidate"]},
    Last: {"both": [False, True]},
    Sequential: {"layers": ANY},
    Checkpoint: {"model": ANY, "every": ANY},
    LearnedState: {"layer": ANY},
    Bidirectional: {
        "forward_layer": ANY, "backward_layer": ANY, "merge": ["concat", "sum", "mean"],
    },
}  # fmt: skip


def to_onnx(
    model: Layer, path: str | os.PathLike[str], lengths: bool = False, states: bool = False
) -> None:
    """Write ``model`` to ``path``, with input ``x`` and output ``y`` as in ``forward``.

    model: an RNN, LSTM (with peepholes or without) or GRU, ``Embedding``, ``Unembedding``,
        ``Linear``, ``LayerNorm``, ``Activation``, ``Dropout`` (which does nothing there), ``Last``,
        ``Bidirectional``, ``Checkpoint`` (of which nothing is left), ``LearnedState``, or a
        ``Sequential`` of them. Time and batch may have any size. An array at two places is written
        once.
    lengths: whether there is an input ``lengths`` (B,) of int32; otherwise sequences are whole.
    states: whether the initial states are inputs, and the final ones outputs, under the names that
        ``mr.trace`` gives them ("0.h", "0.c") with ``_in`` and ``_out`` behind them. Otherwise a
        sequence begins with zeros, or with what was learned.

    What ``forward`` refuses fails there as well: an x without steps or sequences, tokens that are
    not in the table (to ONNX -1 would be the last), lengths that are not in 0..T.

    Raises TypeError for a layer that it cannot write, ValueError for parameters that have a wrong
    shape or are not finite in float32, ImportError without onnx, and OSError.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("to_onnx needs the package onnx: pip install onnx") from error
    checks.path(path, "path")
    graph, shape = Graph(onnx, bool(states)), _input_shape(model)
    x = graph.input("x", shape, "FLOAT" if len(shape) == 3 else "INT64")
    x = _not_empty(graph, x, shape)
    if lengths:
        _add_lengths(graph, x)
    y, _ = add(graph, model, x, True, "")
    graph.op("Identity", [y], out="y")
    graph.output("y", output_shape(model, shape))  # here the parts are checked to fit
    write(path, graph.model().SerializeToString())


def _input_shape(model: Any) -> Shape:
    """The shape of x: (T, B) of tokens, or (T, B, D)."""
    first = model
    while parts := optional(first, "parts"):
        first = next(iter(parts.values()))
    if type(first) is Embedding:
        return "T", "B"
    if type(first) in CELLS:  # a cell
        return "T", "B", first.input_size
    return "T", "B", first.in_features if type(first) in (Linear, Unembedding, LayerNorm) else "D"


def add(graph: Graph, layer: Any, x: str, sequence: bool, name: str) -> tuple[str, bool]:
    """Add a layer that reads x; returns its output, and whether that is still a sequence."""
    compared(layer, ONNX, "ONNX", "model")
    kind = type(layer)
    if kind is LearnedState:
        for key, s in named_leaves(layer, layer.zero_state(1)):
            graph.learned[f"{name}{key}"] = finite(f"{key}_0", s[0], np.float32)
    if kind in (Sequential, Checkpoint, LearnedState):
        for part in layer.parts:
            with layer.at(part) as below:
                x, sequence = add(graph, below, x, sequence, f"{name}{part}.")
        return x, sequence
    if kind is RecurrentDropout:
        with layer.at("cell") as cell:
            return add(graph, cell, x, sequence, f"{name}cell.")
    if kind is Bidirectional:
        return add_both_directions(graph, layer, x, name), True
    if kind is Last:
        return add_last(graph, layer, x), False
    if kind in CELLS:  # a cell
        y = add_cell(graph, layer, x, name)
    else:
        y = STATELESS[kind](graph, layer, x)
    return (zero_past_end(graph, y) if sequence else y), sequence


# ---- Layers without a state ---------------------------------------------------------------------


def add_embedding(graph: Graph, layer: Any, x: str) -> str:
    V, E = layer.num_embeddings, layer.embedding_dim
    p = parameters(layer, {"W": (V, E)}, np.float32)
    if graph.lengths:  # the padding may hold numbers that are no tokens
        x = graph.op("Where", [graph.valid, x, graph.constant(0, np.int64)])
    x = not_negative(graph, x, graph.constant(V, np.int64))
    return str(graph.op("Gather", [graph.constant(p["W"]), x]))


def add_linear(graph: Graph, layer: Any, x: str) -> str:
    D, K = layer.in_features, layer.out_features
    p = parameters(layer, {"W": (D, K), "b": (K,)}, np.float32)
    return affine(graph, x, graph.constant(p["W"]), graph.constant(p["b"]))


def add_unembedding(graph: Graph, layer: Any, x: str) -> str:
    D, K = layer.in_features, layer.out_features
    p = parameters(layer, {"W": (K, D), "b": (K,)}, np.float32)
    W_T = graph.op("Transpose", [graph.constant(p["W"])], perm=[1, 0])  # W stands in the file once
    return affine(graph, x, W_T, graph.constant(p["b"]))


def add_norm(graph: Graph, layer: Any, x: str) -> str:
    shape = (layer.num_features,)
    p = parameters(layer, {"g": shape, "b": shape}, np.float32)
    weights = [graph.constant(p["g"]), graph.constant(p["b"])]
    return str(graph.op("LayerNormalization", [x, *weights], axis=-1, epsilon=layer.eps))


def affine(graph: Graph, x: str, W: str, b: str) -> str:
    return str(graph.op("Add", [graph.op("MatMul", [x, W]), b]))


STATELESS: dict[type, Callable[[Graph, Any, str], str]] = {
    Embedding: add_embedding,
    Unembedding: add_unembedding,
    Linear: add_linear,
    LayerNorm: add_norm,
    Activation: lambda graph, layer, x: graph.op(ACTIVATIONS[layer.function], [x]),
    Dropout: lambda graph, layer, x: x,
}


# ---- Cells and directions -----------------------------------------------------------------------


def add_cell(graph: Graph, cell: Any, x: str, name: str) -> str:
    """One recurrent operator in one direction, on x (T, B, D)."""
    kind, H = type(cell).__name__, cell.hidden_size
    p = cell_params(cell, np.float32)

    def there(a: Array) -> Array:
        return reorder(a, OUR_ORDER[kind], ORDER[kind])

    second = np.zeros_like(p["b"])
    if "b_hn" in p:
        second[2 * H :] = p["b_hn"]
    bias = np.concatenate([there(p["b"]), there(second)])
    weights = [graph.constant(a[None]) for a in (there(p["W_x"]).T, there(p["W_h"]).T, bias)]
    states = cell.state_names if graph.states else ()
    given = [graph.input(f"{name}{s}_in", ["B", H]) for s in states]
    initial = [graph.op("Unsqueeze", [s, graph.constant([0], np.int64)]) for s in given]
    if not graph.states and f"{name}h" in graph.learned:
        initial = [
            for_all_sequences(graph, graph.learned[f"{name}{s}"], x) for s in cell.state_names
        ]
    attributes: dict[str, Any] = {"hidden_size": H}
    if kind == "RNN":
        attributes["activations"] = [ELEMENTWISE[cell.nonlinearity]]
    if kind == "GRU":
        attributes["linear_before_reset"] = int(cell.reset == "after")
    inputs = [zero_past_end(graph, x), *weights, graph.lengths_32, *initial]
    if kind == "LSTM" and cell.peephole:
        inputs += [""] * (7 - len(inputs))
        inputs.append(graph.constant(np.concatenate([p["p_i"], p["p_o"], p["p_f"]])[None]))
    while not inputs[-1]:
        inputs.pop()
    y, *final = graph.op(kind, inputs, 1 + len(cell.state_names), **attributes)
    for s, before, after in zip(states, given, final, strict=False):
        after = graph.op("Squeeze", [after, graph.constant([0], np.int64)])
        if graph.lengths:  # the state of an empty sequence stays, while ONNX Runtime's is zero
            empty = graph.op("Equal", [graph.lengths, graph.constant(0, np.int64)])
            empty = graph.op("Unsqueeze", [empty, graph.constant([1], np.int64)])
            after = graph.op("Where", [empty, before, after])
        graph.op("Identity", [after], out=f"{name}{s}_out")
        graph.output(f"{name}{s}_out", ["B", H])
    return str(graph.op("Squeeze", [y, graph.constant([1], np.int64)]))


def for_all_sequences(graph: Graph, s: Array, x: str) -> str:
    """A learned state (H,) as the initial state (1, B, H) of each sequence of x."""
    B, one = graph.op("Shape", [x], start=1, end=2), graph.constant([1], np.int64)
    H = graph.constant([len(s)], np.int64)
    shape = graph.op("Concat", [one, B, H], axis=0)
    return str(graph.op("Expand", [graph.constant(s), shape]))


def add_both_directions(graph: Graph, layer: Any, x: str, name: str) -> str:
    """Both layers, the second on the reversed sequence, each within its own length."""
    lengths = graph.lengths
    if not lengths:
        T, B = (graph.op("Shape", [x], start=k, end=k + 1) for k in (0, 1))
        lengths = graph.op("Expand", [T, B])

    def reverse(a: str) -> Any:
        return graph.op("ReverseSequence", [a, lengths], time_axis=0, batch_axis=1)

    with layer.at("forward") as part:
        u, _ = add(graph, part, x, True, f"{name}forward.")
    with layer.at("backward") as part:
        v, _ = add(graph, part, reverse(x), True, f"{name}backward.")
    if layer.merge == "concat":
        return str(graph.op("Concat", [u, reverse(v)], axis=2))
    total = graph.op("Add", [u, reverse(v)])
    return str(total if layer.merge == "sum" else graph.op("Mul", [total, graph.constant(0.5)]))


# ---- Lengths ------------------------------------------------------------------------------------


def add_last(graph: Graph, layer: Any, x: str) -> str:
    """The last valid step; with ``both``, the first step of the second half of the features."""
    parts = [x]
    if layer.both:
        parts = graph.op("Split", [x], 2, axis=2)
    if graph.lengths:
        at = graph.op("Sub", [graph.lengths, graph.constant(1, np.int64)])
        # An empty sequence has no last step.
        at = not_negative(graph, at, graph.op("Shape", [x], end=1))
        at = graph.op("Unsqueeze", [at, graph.constant([0, 2], np.int64)])  # (1, B, 1)
        shape = graph.op("Shape", [parts[0]], start=1)
        shape = graph.op("Concat", [graph.constant([1], np.int64), shape], axis=0)
        at = graph.op("Expand", [at, shape])
        last = graph.op("GatherElements", [parts[0], at], axis=0)
        last = graph.op("Squeeze", [last, graph.constant([0], np.int64)])
    else:
        last = graph.op("Gather", [parts[0], graph.constant(-1, np.int64)], axis=0)
    if not layer.both:
        return str(last)
    first = graph.op("Gather", [parts[1], graph.constant(0, np.int64)], axis=0)
    return str(graph.op("Concat", [last, first], axis=1))


def zero_past_end(graph: Graph, y: str) -> str:
    """y (T, B, K) with zeros in the padding."""
    if not graph.lengths:
        return y
    valid = graph.op("Unsqueeze", [graph.valid, graph.constant([2], np.int64)])
    return str(graph.op("Where", [valid, y, graph.constant(0)]))


def not_negative(graph: Graph, index: str, n: str) -> str:
    """index with n in place of negative numbers, which would count from the end. Gather refuses n
    where there are n rows."""
    negative = graph.op("Less", [index, graph.constant(0, np.int64)])
    return str(graph.op("Where", [negative, n, index]))


def _not_empty(graph: Graph, x: str, shape: Shape) -> str:
    """x, of which T and B are not 0: ONNX Runtime would end the whole process at some of these.
    In the shape of a Reshape 0 is the size as it is, and -1 the only one that fits, if one does."""
    for axis in (0, 1):
        kept = [-1 if k == axis else 0 for k in range(len(shape))]
        x = graph.op("Reshape", [x, graph.constant(kept, np.int64)])
    return x


def _add_lengths(graph: Graph, x: str) -> None:
    """An input of B lengths. Gather takes each from 0..T, and refuses what does not stand there."""
    T, B = (graph.op("Shape", [x], start=k, end=k + 1) for k in (0, 1))
    T = graph.op("Squeeze", [T, graph.constant([0], np.int64)])
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    end = graph.op("Add", [T, one])
    kind = graph.onnx.TensorProto
    given = graph.op("Cast", [graph.input("lengths", ["B"], "INT32")], to=kind.INT64)
    given = not_negative(graph, graph.op("Reshape", [given, B]), end)
    graph.lengths = graph.op("Gather", [graph.op("Range", [zero, end, one]), given])
    graph.lengths_32 = graph.op("Cast", [graph.lengths], to=kind.INT32)
    t = graph.op("Range", [zero, T, one])
    t = graph.op("Unsqueeze", [t, graph.constant([1], np.int64)])
    graph.valid = graph.op("Less", [t, graph.lengths])
