"""Fully connected layer.

Axes: T time, B batch, D input, K output. Forward: ``y = x W + b``, at every step alike. Backward:
``dx = dy W^T``, ``dW = sum x^T dy``, ``db = sum dy``, summed over all steps and rows.
"""

import numpy as np

from minirnn import checks
from minirnn.cells.initializers import glorot_uniform
from minirnn.engine.products import times, weight_gradients
from minirnn.layers.stateless import Stateless


class Linear(Stateless):
    """Linear layer: x (T, B, in_features) or (B, in_features) to y (..., out_features).

    Parameters: ``W`` (in_features, out_features), drawn from ``rng`` as Glorot uniform, and ``b``
    (out_features,), zero at the start.
    """

    def __init__(self, in_features, out_features, rng=None, dtype=np.float64):
        self.in_features = D = checks.size(in_features, "in_features")
        self.out_features = K = checks.size(out_features, "out_features")
        self.dtype = checks.float_dtype(dtype)
        W = glorot_uniform(checks.generator(rng), D, K)
        self.params = {"W": W.astype(self.dtype), "b": np.zeros(K, self.dtype)}

    def _forward(self, x, training, rng):
        W, b = self._checked_params()
        return times(x, W, b), x

    def _backward(self, dy, x):
        W, _ = self._checked_params()
        dW, db = weight_gradients(dy, x, 1)
        return times(dy, W.T), {"W": dW, "b": db}

    def _step(self, params, x):
        return (
            checks.array(x, "x", ("B", self.in_features), None, "biufc") @ params["W"] + params["b"]
        )

    def _checked_params(self):
        D, K = self.in_features, self.out_features
        return checks.params(self, {"W": (D, K), "b": (K,)})
