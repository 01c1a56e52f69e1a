"""Fully connected layer.

Axes: T time, B batch, D input, K output. Forward: ``y = x W + b``, at every step alike. Backward:
``dx = dy W^T``, ``dW = sum x^T dy``, ``db = sum dy``, summed over all steps and rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.initializers import glorot_uniform
from minirnn.products import bias_gradient, quiet, times, weight_gradient
from minirnn.protocol import State


class LinearCache(NamedTuple):
    """What ``Linear.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D) or (B, D)
    past_end: np.ndarray | None  # (T, B, 1) bool; None without lengths


class Linear:
    """Linear layer: x (T, B, in_features) or (B, in_features) to y (..., out_features).

    Parameters: ``W`` (in_features, out_features), drawn from ``rng`` as Glorot uniform, and ``b``
    (out_features,), zero at the start.
    """

    def __init__(
        self, in_features: int, out_features: int, rng: Any = None, dtype: Any = np.float64
    ) -> None:
        self.in_features = D = checks.size(in_features, "in_features")
        self.out_features = K = checks.size(out_features, "out_features")
        self.dtype = checks.float_dtype(dtype)
        W = glorot_uniform(checks.generator(rng), D, K)
        self.params = {"W": W.astype(self.dtype), "b": np.zeros(K, self.dtype)}

    @quiet
    def forward(
        self,
        x: ArrayLike,
        state: State = None,
        lengths: ArrayLike | None = None,
        training: bool = False,
        rng: Any = None,
    ) -> tuple[np.ndarray, State, Any]:
        """Returns y, None (there is no state) and the cache.

        x: (T, B, D) or (B, D). lengths: (B,), for x (T, B, D): past its end a sequence's y is zero.
        """
        x = checks.numbers(x, "x")
        leading = ("B",) if x.ndim == 2 else ("T", "B")
        x = checks.array(x, "x", (*leading, self.in_features), self.dtype)
        checks.no_state(state, "state", self)
        W, b = self._params()
        past_end = None
        if lengths is not None and x.ndim == 3:
            past_end = checks.padding(checks.lengths(lengths, *x.shape[:2]), len(x))[..., None]
            x = np.where(past_end, 0, x)
        y = times(x, W)
        y += b if past_end is None else np.where(past_end, 0, b)
        return y, None, LinearCache(x, past_end)

    @quiet
    def backward(
        self, dy: ArrayLike | None, cache: Any, dstate: State = None
    ) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
        """Returns dx like x, None, and the gradients of ``W`` and ``b``."""
        checks.no_state(dstate, "dstate", self)
        x, past_end = checks.cache_type(cache, LinearCache)
        dy = checks.gradient(dy, (*x.shape[:-1], self.out_features), self.dtype)
        if past_end is not None:
            dy = np.where(past_end, 0, dy)
        W, _ = self._params()
        return times(dy, W.T), None, {"W": weight_gradient(x, dy), "b": bias_gradient(dy)}

    def step(
        self, x: ArrayLike, state: State = None, params: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, State]:
        """One time step in plain NumPy, of any dtype: x (B, D); returns y (B, K) and None."""
        x = checks.array(x, "x", ("B", self.in_features), None, "biufc")
        params = params or self.params
        return x @ params["W"] + params["b"], None

    def _params(self):
        D, K = self.in_features, self.out_features
        return checks.params(self, {"W": (D, K), "b": (K,)})
