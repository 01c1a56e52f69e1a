"""Token embedding: a table with one row of numbers for each token.

Forward: ``y = W[x]``, which equals x, written as one-hot rows, times W. Backward: each dy is added
to the row of dW whose token it belongs to. x is a whole number and has no gradient.

A language model ends with the way back, from a row of numbers to one logit for each token. It can
use the same table there (Press & Wolf 2017; Inan et al. 2017): one matrix in place of two, and each
row learns from both uses. This output layer is *tied* to the embedding::

    y = x W^T + b          dx = dy W      dW = sum dy^T x      db = sum dy

A container adds this dW to the one of the embedding.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.engine.jit import jit
from minirnn.engine.memory import empty, for_kernels
from minirnn.engine.products import times, weight_gradients
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
    1 / embedding_dim, so that a row has about the length 1. What x holds past the end of a sequence
    does not matter; elsewhere a token out of range is a ValueError.
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
        x = checks.array(x, "x", ("B",), None, "iu")
        return params["W"][checks.tokens(x, "x", self.num_embeddings)]


class Unembedding(Stateless):
    """Output layer tied to an embedding: x (T, B, embedding_dim) or (B, embedding_dim) to logits
    (..., num_embeddings).

    Parameters: ``W`` (num_embeddings, embedding_dim), which *is* the embedding's array, and ``b``
    (num_embeddings,), zero at the start. ``backward`` returns the part of W's gradient that comes
    from this layer. In a container the shared array is one parameter, with the sum of both parts::

        words = Embedding(10000, 200)
        model = Sequential(words, LSTM(200, 200), Unembedding(words))
    """

    in_features: int
    out_features: int

    def __init__(self, embedding: Embedding) -> None:
        if not isinstance(embedding, Embedding):
            raise TypeError(f"embedding: expected an Embedding, got {embedding!r:.80}")
        self.embedding = embedding
        self.in_features, self.out_features = embedding.embedding_dim, embedding.num_embeddings
        self.dtype = embedding.dtype
        b = np.zeros(self.out_features, self.dtype)
        self.params = {"W": embedding.params["W"], "b": b}

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array]:
        W, b = self._checked_params()
        return times(x, W.T, b), x

    def _backward(self, dy: Array, x: Array) -> tuple[Array, dict[str, Array]]:
        W, _ = self._checked_params()
        (dW,), (db,) = weight_gradients(x, dy), weight_gradients(dy, 1)
        return times(dy, W), {"W": dW, "b": db}

    def _step(self, params: Mapping[str, Array], x: Array) -> Array:
        x = checks.array(x, "x", ("B", self.in_features), None, "biufc")
        return x @ params["W"].T + params["b"]

    def _checked_params(self) -> list[Array]:
        V, E = self.out_features, self.in_features
        return checks.params(self, {"W": (V, E), "b": (V,)})
