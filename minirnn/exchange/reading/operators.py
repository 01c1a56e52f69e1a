"""What each operator of ONNX does to the numbers of x: it moves them, or it is a layer here."""

from __future__ import annotations

from typing import Any

from minirnn.exchange.reading.addresses import CannotTakeError
from minirnn.exchange.reading.moves import MOVES, cast, concat, less, move, same, where
from minirnn.exchange.reading.norms import batch_norm, layer_norm, mean, moment
from minirnn.exchange.reading.products import convolution, gather, gemm, matmul, one_hot
from minirnn.exchange.reading.recurrent import recurrent
from minirnn.exchange.reading.values import Node, Operator, elementwise, numbers, per_step
from minirnn.layers.elementwise import Activation


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


OPERATORS: dict[str, Operator] = {
    **dict.fromkeys(MOVES, move), "Concat": concat, "Where": where, "Less": less, "Cast": cast,
    "Identity": same, "Dropout": same, "Gather": gather, "OneHot": one_hot, "MatMul": matmul,
    "Gemm": gemm, "Conv": convolution, "BatchNormalization": batch_norm, "Softmax": softmax,
    "LogSoftmax": softmax, **dict.fromkeys(("Tanh", "Sigmoid", "Relu"), activation),
    "LayerNormalization": layer_norm, "ReduceMean": mean,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Sqrt"), moment),
    **dict.fromkeys(("RNN", "LSTM", "GRU"), recurrent),
}  # fmt: skip
