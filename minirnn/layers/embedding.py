"""Token embedding: a table with one row of numbers for each token.

Forward: ``y = W[x]``, which equals x, written as one-hot rows, times W. Backward: each dy is added
to the row of dW whose token it belongs to. x is a whole number and has no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.engine.jit import for_kernels, jit
from minirnn.engine.memory import empty
from minirnn.layers.stateless import Stateless
from minirnn.protocol import Array, Numbers, Seed, Shape, fitting


@jit
def add_rows(dW, x, dy):
    """dW[x[n]] += dy[n] for each n: a token that occurs twice gets both."""
    for n in range(len(x)):
        row, dy_row = dW[x[n]], dy[n]
        for j in range(row.size):
            row[j] += dy_row[j]


class Embedding(Stateless):
    """Embedding layer: tokens x (T, B) or (B,), in 0..num_embeddings-1, to y (..., embedding_dim).

    Parameters: ``W`` (num_embeddings, embedding_dim), drawn from ``rng`` as normal with variance
    1 / embedding_dim, so that a row has about the length 1. Tokens past the end may be anything.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.num_embeddings = V = checks.size(num_embeddings, "num_embeddings")
        self.embedding_dim = E = checks.size(embedding_dim, "embedding_dim")
        self.dtype = checks.float_dtype(dtype)
        W = checks.generator(rng).normal(scale=E**-0.5, size=(V, E))
        self.params = {"W": W.astype(self.dtype)}

    def _input(self, x: Numbers) -> Array:
        x = checks.numbers(x, "x", "iu")
        return checks.array(x, "x", "TB"[x.ndim == 1 :], np.int64)

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        if x is not None and isinstance(x[-1], int):
            raise ValueError(f"x: expected tokens (T, B), got features {checks.shape_text(x)}")
        return *fitting(x, ("T", "B"), ("B",)), self.embedding_dim

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array]:
        checks.tokens(x, "x", self.num_embeddings)
        (W,) = checks.params(self, {"W": (self.num_embeddings, self.embedding_dim)})
        y = empty((*x.shape, self.embedding_dim), self.dtype)
        return np.take(W, x, axis=0, out=y, mode="clip"), x  # W[x]

    def _backward(self, dy: Array, x: Array) -> tuple[None, dict[str, Array]]:
        dW = empty(self.params["W"].shape, self.dtype)
        dW[...] = 0
        add_rows(dW, for_kernels(x).ravel(), for_kernels(dy).reshape(-1, dy.shape[-1]))
        return None, {"W": dW}

    def _step(self, params: Mapping[str, Array], x: Array) -> Array:
        return params["W"][checks.tokens(x, "x", self.num_embeddings)]
