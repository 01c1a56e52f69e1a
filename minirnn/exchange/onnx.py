"""Write a whole model as an ONNX file, to run it without minirnn: on a server, a phone, a browser.

What differs there: the gates stand in the order i o f c (LSTM) or z r h (GRU), each weight is
transposed and has a leading axis of directions, there are two biases, and the outputs have an axis
of directions. ONNX's GRU has both reset variants, ``linear_before_reset`` 1 and 0. See the ONNX
operators RNN, LSTM and GRU, opset 17. The numbers are float32, which is what most runtimes compute
in. Needs the package onnx (``pip install 'minirnn[exchange]'``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import __version__
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.rnn import RNN
from minirnn.exchange.weights import OUR_ORDER, reorder
from minirnn.files.npz import write
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding
from minirnn.layers.last import Last
from minirnn.layers.linear import Linear
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer

OPSET = 17
ORDER = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
ELEMENTWISE = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}


def to_onnx(
    model: Layer, path: str | os.PathLike[str], lengths: bool = False, states: bool = False
) -> None:
    """Write ``model`` to ``path``, with input ``x`` and output ``y`` as in ``forward``.

    model: an RNN, LSTM (with peepholes or without) or GRU, ``Embedding``, ``Linear``,
        ``Activation``, ``Dropout`` (which does nothing there), ``Last``, ``Bidirectional``, or a
        ``Sequential`` of them. Time and batch may have any size.
    lengths: whether there is an input ``lengths`` (B,) of int32; otherwise sequences are whole.
    states: whether the initial states are inputs, and the final ones outputs, under the names that
        ``mr.trace`` gives them ("0.h", "0.c") with ``_in`` and ``_out`` behind them. Otherwise a
        sequence begins with zeros.

    Raises TypeError for a layer that it cannot write, ImportError without onnx, and OSError.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("to_onnx needs the package onnx: pip install onnx") from error
    graph = Graph(onnx, states)
    features = _features(model)
    x = graph.input("x", ["T", "B", *features], "FLOAT" if features else "INT64")
    if lengths:
        graph.lengths = graph.input("lengths", ["B"], "INT32")
        graph.valid = _valid_steps(graph, x)
    y, sequence = add(graph, model, x, True, "")
    graph.op("Identity", [y], out="y")
    graph.output("y", ["T", "B", None] if sequence else ["B", None])
    write(path, graph.model().SerializeToString())


class Graph:
    """An ONNX graph that grows: its operators, constants, inputs and outputs."""

    def __init__(self, onnx: Any, states: bool) -> None:
        self.onnx, self.states = onnx, states
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.lengths = self.valid = ""  # names, if the graph has an input of lengths

    def op(
        self, kind: str, inputs: Sequence[str], outputs: int = 1, out: str = "", **attributes: Any
    ) -> Any:
        """Add an operator; returns the name of its output, or a list of them."""
        names = [out or f"{kind}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        array = np.asarray(value, dtype, order="C")
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def input(self, name: str, shape: Sequence[Any], kind: str = "FLOAT") -> str:
        dtype = getattr(self.onnx.TensorProto, kind)
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, shape: Sequence[Any]) -> None:
        kind = self.onnx.TensorProto.FLOAT
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))

    def model(self) -> Any:
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, "minirnn", self.inputs, self.outputs, initializer=self.constants
        )
        opset = [helper.make_opsetid("", OPSET)]
        made = helper.make_model(
            graph, opset_imports=opset, ir_version=8, producer_name="minirnn",
            producer_version=__version__,
        )  # fmt: skip
        self.onnx.checker.check_model(made)
        return made


def add(graph: Graph, layer: Any, x: str, sequence: bool, name: str) -> tuple[str, bool]:
    """Add a layer that reads x; returns its output, and whether that is still a sequence."""
    kind = type(layer)
    if kind is Sequential:
        for part, below in layer.parts.items():
            x, sequence = add(graph, below, x, sequence, f"{name}{part}.")
        return x, sequence
    if kind in (RNN, LSTM, GRU):
        return add_cell(graph, layer, x, name), True
    if kind is Bidirectional:
        return add_both_directions(graph, layer, x, name), True
    if kind is Last:
        return add_last(graph, layer, x), False
    if kind is Dropout:
        return x, sequence
    if kind is Embedding:
        if graph.lengths:  # the padding may hold numbers that are no tokens
            x = graph.op("Where", [graph.valid, x, graph.constant(0, np.int64)])
        y = graph.op("Gather", [graph.constant(layer.params["W"]), x])
    elif kind is Linear:
        y = graph.op("MatMul", [x, graph.constant(layer.params["W"])])
        y = graph.op("Add", [y, graph.constant(layer.params["b"])])
    elif kind is Activation:
        y = graph.op(ELEMENTWISE[layer.function], [x])
    else:
        raise TypeError(f"model: {kind.__name__} cannot be written as ONNX")
    return (zero_past_end(graph, y) if sequence else y), sequence


def add_cell(graph: Graph, cell: Any, x: str, name: str) -> str:
    """One recurrent operator in one direction, on x (T, B, D)."""
    kind, H, p = type(cell).__name__, cell.hidden_size, cell.params

    def there(a: Array) -> Array:
        return reorder(a, OUR_ORDER[kind], ORDER[kind])

    second = np.zeros_like(p["b"])
    if "b_hn" in p:
        second[2 * H :] = p["b_hn"]
    bias = np.concatenate([there(p["b"]), there(second)])
    weights = [graph.constant(a[None]) for a in (there(p["W_x"]).T, there(p["W_h"]).T, bias)]
    initial = ["" for _ in cell.state_names]
    if graph.states:
        given = [graph.input(f"{name}{s}_in", ["B", H]) for s in cell.state_names]
        axis = graph.constant([0], np.int64)
        initial = [graph.op("Unsqueeze", [s, axis]) for s in given]
    more: list[str] = []
    attributes: dict[str, Any] = {}
    if kind == "LSTM" and cell.peephole:
        more = [graph.constant(np.concatenate([p["p_i"], p["p_o"], p["p_f"]])[None])]
    if kind == "GRU":
        attributes["linear_before_reset"] = int(cell.reset == "after")
    if kind == "RNN":
        attributes["activations"] = [ELEMENTWISE[cell.nonlinearity]]
    inputs = [zero_past_end(graph, x), *weights, graph.lengths, *initial, *more]
    while not inputs[-1]:
        inputs.pop()
    y, *final = graph.op(kind, inputs, 1 + len(initial), hidden_size=H, **attributes)
    for s, value in zip(cell.state_names, final if graph.states else [], strict=False):
        graph.op("Squeeze", [value, graph.constant([0], np.int64)], out=f"{name}{s}_out")
        graph.output(f"{name}{s}_out", ["B", H])
    return graph.op("Squeeze", [y, graph.constant([1], np.int64)])


def add_both_directions(graph: Graph, layer: Any, x: str, name: str) -> str:
    """Both layers, the second on the reversed sequence, each within its own length."""
    if graph.lengths:
        lengths = graph.op("Cast", [graph.lengths], to=graph.onnx.TensorProto.INT64)
    else:
        T, B = (graph.op("Shape", [x], start=k, end=k + 1) for k in (0, 1))
        lengths = graph.op("Expand", [T, B])

    def reverse(a: str) -> Any:
        return graph.op("ReverseSequence", [a, lengths], time_axis=0, batch_axis=1)

    u, _ = add(graph, layer.parts["forward"], x, True, f"{name}forward.")
    v, _ = add(graph, layer.parts["backward"], reverse(x), True, f"{name}backward.")
    if layer.merge == "concat":
        return graph.op("Concat", [u, reverse(v)], axis=2)
    total = graph.op("Add", [u, reverse(v)])
    half = graph.constant(0.5)
    return total if layer.merge == "sum" else graph.op("Mul", [total, half])


def add_last(graph: Graph, layer: Any, x: str) -> str:
    """The last valid step; with ``both``, the first step of the second half of the features."""
    parts = [x]
    if layer.both:
        parts = graph.op("Split", [x], 2, axis=2)
    if graph.lengths:
        at = graph.op("Cast", [graph.lengths], to=graph.onnx.TensorProto.INT64)
        at = graph.op("Sub", [at, graph.constant(1, np.int64)])
        at = graph.op("Unsqueeze", [at, graph.constant([0, 2], np.int64)])  # (1, B, 1)
        shape = graph.op("Shape", [parts[0]], start=1)
        shape = graph.op("Concat", [graph.constant([1], np.int64), shape], axis=0)
        at = graph.op("Expand", [at, shape])
        last = graph.op("GatherElements", [parts[0], at], axis=0)
        last = graph.op("Squeeze", [last, graph.constant([0], np.int64)])
    else:
        last = graph.op("Gather", [parts[0], graph.constant(-1, np.int64)], axis=0)
    if not layer.both:
        return last
    first = graph.op("Gather", [parts[1], graph.constant(0, np.int64)], axis=0)
    return graph.op("Concat", [last, first], axis=1)


def zero_past_end(graph: Graph, y: str) -> str:
    """y (T, B, K) with zeros in the padding."""
    if not graph.lengths:
        return y
    valid = graph.op("Unsqueeze", [graph.valid, graph.constant([2], np.int64)])
    return graph.op("Where", [valid, y, graph.constant(0)])


def _valid_steps(graph: Graph, x: str) -> str:
    """(T, B) bool: which steps are not past the end."""
    T = graph.op("Shape", [x], end=1)
    T = graph.op("Squeeze", [T, graph.constant([0], np.int64)])
    zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
    t = graph.op("Range", [zero, T, one])
    t = graph.op("Unsqueeze", [t, graph.constant([1], np.int64)])
    ends = graph.op("Cast", [graph.lengths], to=graph.onnx.TensorProto.INT64)
    return graph.op("Less", [t, ends])


def _features(model: Any) -> list[int]:
    """The number of features that the model reads at each step, in a list; none for tokens."""
    while hasattr(model, "parts"):
        model = next(iter(model.parts.values()))
    if isinstance(model, Embedding):
        return []
    for name in ("input_size", "in_features"):
        if hasattr(model, name):
            return [getattr(model, name)]
    kind = type(model).__name__
    raise TypeError(f"model: expected a recurrent layer, Embedding or Linear first, got {kind}")
