"""Models that go elsewhere: weights from and to PyTorch and Keras, whole models as ONNX files."""

from minirnn.exchange.keras import from_keras, to_keras
from minirnn.exchange.onnx import to_onnx
from minirnn.exchange.reading.model import from_onnx
from minirnn.exchange.weights import from_torch, to_torch

__all__ = ["from_keras", "from_onnx", "from_torch", "to_keras", "to_onnx", "to_torch"]
