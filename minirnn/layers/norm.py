"""Layer normalisation (Ba, Kiros & Hinton 2016, arXiv:1607.06450).

Axes: T time, B batch, D features. Each step of each sequence is normalised by itself, over its own
features k = 1 ... D, so that neither the batch nor the length of a sequence matters::

    mu = mean_k x_k        v = mean_k (x_k - mu)^2
    n = (x - mu) / sqrt(v + eps)
    y = g * n + b

Backward. mu and v depend on all features, so each dx does, too. With dn = dy * g::

    dx = (dn - mean_k dn_k - n * mean_k (dn_k n_k)) / sqrt(v + eps)
    dg = sum dy * n        db = sum dy                over all steps and rows

The two means take out of dn what x cannot change: the mean of n, and its length.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.layers.stateless import Stateless
from minirnn.protocol import Array, Seed


class LayerNorm(Stateless):
    """Layer normalisation: x (T, B, num_features) or (B, num_features) to y of the same shape.

    Parameters: the gain ``g`` (num_features,), one at the start, and ``b`` (num_features,), zero;
    PyTorch calls them ``weight`` and ``bias``. With a single feature y is b, whatever x is.

    eps: at least 1e-12. It is added to the variance, so that n is 0 where all features are equal.
    rng: as all layers with parameters take it; nothing is drawn.
    """

    in_features: int
    out_features: int

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.num_features = D = checks.size(num_features, "num_features")
        self.in_features = self.out_features = D
        self.eps = checks.number(eps, "eps", 1e-12)
        checks.generator(rng)
        self.dtype = checks.float_dtype(dtype)
        self.params = {"g": np.ones(D, self.dtype), "b": np.zeros(D, self.dtype)}

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, tuple[Array, Array]]:
        g, b = self._checked_params()
        n, scale = self._normalised(x)
        return g * n + b, (n, scale)

    def _normalised(self, x: Array) -> tuple[Array, Array]:
        """n, and 1 / sqrt(v + eps) of each row."""
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.eps)
        return centred * scale, scale

    def _backward(self, dy: Array, values: tuple[Array, Array]) -> tuple[Array, dict[str, Array]]:
        (g, _), (n, scale) = self._checked_params(), values
        dn = dy * g
        along_n = (dn * n).mean(axis=-1, keepdims=True)
        dx = (dn - dn.mean(axis=-1, keepdims=True) - n * along_n) * scale
        rows = tuple(range(dy.ndim - 1))
        return dx, {"g": (dy * n).sum(axis=rows), "b": dy.sum(axis=rows)}

    def _step(self, params: Mapping[str, Array], x: Array) -> Array:
        x = checks.array(x, "x", ("B", self.num_features), None, "biufc")
        return params["g"] * self._normalised(x)[0] + params["b"]

    def _checked_params(self) -> list[Array]:
        shape = (self.num_features,)
        return checks.params(self, {"g": shape, "b": shape})

    def _kind(self) -> str:
        return f"{super()._kind()}, eps={self.eps}"
