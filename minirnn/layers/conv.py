"""Causal dilated convolution, the layer of temporal convolutional networks (van den Oord et al.
2016; Bai et al. 2018): the past within reach is seen all at once, without a state.

Axes: T time, B batch, D input, H output; n taps, d the dilation. With zeros before the beginning::

    y[t] = sum over k = 0 ... n-1 of  x[t - k d] W[k]  + b

Nothing of the future leaks in. Every tap is one product over all steps::

    dx[t] = sum_k dy[t + k d] W[k]^T      dW[k] = sum_t x[t - k d]^T dy[t]      db = sum_t dy[t]

A stack with d = 1, 2, 4, ... reaches back (n - 1) (1 + 2 + 4 + ...) steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.cells.initializers import glorot_uniform
from minirnn.engine.products import times, weight_gradients
from minirnn.layers.stateless import Stateless
from minirnn.protocol import Array, Numbers, Seed, Shape, fitting


class CausalConv(Stateless):
    """x (T, B, in_features) to y (T, B, out_features).

    Parameters: ``W`` (kernel_size, in_features, out_features), drawn from ``rng`` as Glorot
    uniform, and ``b`` (out_features,), zero at the start.
    """

    in_features: int
    out_features: int
    streams = False  # it would have to remember its inputs
    step: Any = None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        dilation: int = 1,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.in_features = D = checks.size(in_features, "in_features")
        self.out_features = H = checks.size(out_features, "out_features")
        self.kernel_size = n = checks.size(kernel_size, "kernel_size")
        self.dilation = checks.size(dilation, "dilation")
        self.dtype, rng = checks.float_dtype(dtype), checks.generator(rng)
        W = glorot_uniform(rng, n * D, H).reshape(n, D, H)
        self.params = {"W": W.astype(self.dtype), "b": np.zeros(H, self.dtype)}

    def _input(self, x: Numbers) -> Array:
        return checks.array(x, "x", ("T", "B", self.in_features), self.dtype)

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", self.in_features))
        return "T", "B", self.out_features

    def _taps(self, T: int) -> Iterator[tuple[int, int, Array]]:
        """Each tap's weights, and how far it looks back, as far as that is within T steps."""
        W, _ = self._checked_params()
        for k in range(min(self.kernel_size, 1 + (T - 1) // self.dilation)):
            yield k, k * self.dilation, W[k]

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array]:
        y = np.empty((*x.shape[:2], self.out_features), self.dtype)
        y[...] = self._checked_params()[1]
        for _, back, W in self._taps(len(x)):
            y[back:] += times(x[: len(x) - back], W)
        return y, x

    def _backward(self, dy: Array, x: Array) -> tuple[Array, dict[str, Array]]:
        dx, dW = np.zeros_like(x), np.zeros_like(self.params["W"])
        for k, back, W in self._taps(len(x)):
            dx[: len(x) - back] += times(dy[back:], W.T)
            (dW[k],) = weight_gradients(dy[back:], x[: len(x) - back])
        (db,) = weight_gradients(dy, 1)
        return dx, {"W": dW, "b": db}

    def _checked_params(self) -> list[Array]:
        D, H = self.in_features, self.out_features
        return checks.params(self, {"W": (self.kernel_size, D, H), "b": (H,)})
