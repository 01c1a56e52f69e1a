"""An ONNX graph that grows, operator by operator."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import __version__

OPSET = 17


class Graph:
    """An ONNX graph that grows: its operators, constants, inputs and outputs."""

    def __init__(self, onnx: Any, states: bool) -> None:
        self.onnx, self.states = onnx, states
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.names: dict[Any, str] = {}  # of constants: one that is used twice is written once
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        # Names, if the graph has an input of lengths: (B,) of int64 and int32, (T, B) of bool.
        self.lengths = self.lengths_32 = self.valid = ""
        self.learned: dict[str, Any] = {}  # initial states, by their names in the whole model

    def op(
        self, kind: str, inputs: Sequence[str], outputs: int = 1, out: str = "", **attributes: Any
    ) -> Any:
        """Add an operator; returns the name of its output, or a list of them."""
        names = [out or f"{kind}_{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        array = np.asarray(value, dtype, order="C")
        key = array.dtype, array.shape, hashlib.sha256(array.tobytes()).digest()
        if key not in self.names:
            self.names[key] = f"constant_{len(self.constants)}"
            self.constants.append(self.onnx.numpy_helper.from_array(array, self.names[key]))
        return self.names[key]

    def input(self, name: str, shape: Sequence[Any], kind: str = "FLOAT") -> str:
        dtype = getattr(self.onnx.TensorProto, kind)
        self.inputs.append(self.onnx.helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name: str, shape: Sequence[Any] | None) -> None:
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
