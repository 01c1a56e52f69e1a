"""Fully connected layer.

Axes: T time, B batch, D input, K output. Forward: ``y = x W + b``, the same at every step.
Backward: ``dx = dy W^T``, ``dW = sum x^T dy``, ``db = sum dy``, summed over all steps and rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.cells.initializers import glorot_uniform
from minirnn.engine.products import times, weight_gradients
from minirnn.layers.stateless import Stateless
from minirnn.protocol import Array, Seed


class Linear(Stateless):
    """Linear layer: x (T, B, in_features) or (B, in_features) to y (..., out_features).

    Parameters: ``W`` (in_features, out_features), drawn from ``rng`` as Glorot uniform, and ``b``
    (out_features,), zero at the start. For an output layer with the weights of an embedding see
    ``Unembedding``.
    """

    in_features: int
    out_features: int

    def __init__(
        self,
        in_features: int,
        out_features: int,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.in_features = D = checks.size(in_features, "in_features")
        self.out_features = K = checks.size(out_features, "out_features")
        self.dtype = checks.float_dtype(dtype)
        W = glorot_uniform(checks.generator(rng), D, K)
        self.params = {"W": W.astype(self.dtype), "b": np.zeros(K, self.dtype)}

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array]:
        W, b = self._checked_params()
        return times(x, W, b), x

    def _backward(self, dy: Array, x: Array) -> tuple[Array, dict[str, Array]]:
        W, _ = self._checked_params()
        dW, db = weight_gradients(dy, x, 1)
        return times(dy, W.T), {"W": dW, "b": db}

    def _step(self, params: Mapping[str, Array], x: Array) -> Array:
        x = checks.array(x, "x", ("B", self.in_features), None, "biufc")
        return x @ params["W"] + params["b"]

    def _checked_params(self) -> list[Array]:
        D, K = self.in_features, self.out_features
        return checks.params(self, {"W": (D, K), "b": (K,)})
