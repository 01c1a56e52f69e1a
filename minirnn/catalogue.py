"""Every layer once, small: what gradient checks, property tests and benchmarks run over.

A layer that is missing here is a layer without a gradient check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.rnn import RNN
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding
from minirnn.layers.last import Last
from minirnn.layers.linear import Linear
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Layer

V = 5  # tokens, of the layers that take tokens


def two_ways(D, H, merge="concat", **options):
    return Bidirectional(GRU(D, H, **options), LSTM(D, H, **options), merge)


# Name to a function (input_size, hidden_size, **options); the options are rng and dtype.
LAYERS: dict[str, Callable[..., Layer]] = {
    "RNN": RNN,
    "RNN relu": lambda D, H, **o: RNN(D, H, "relu", **o),
    "LSTM": LSTM,
    "LSTM peephole": lambda D, H, **o: LSTM(D, H, peephole=True, **o),
    "GRU after": GRU,
    "GRU before": lambda D, H, **o: GRU(D, H, reset="before", **o),
    "Linear": Linear,
    "Embedding": lambda D, H, **o: Embedding(V, H, **o),
    "Activation": lambda D, H, **o: Activation("sigmoid"),
    "Dropout": lambda D, H, **o: Dropout(0.4),
    "Dropout per sequence": lambda D, H, **o: Dropout(0.4, per_sequence=True),
    "Last": lambda D, H, **o: Last(),
    "Bidirectional": two_ways,
    "Bidirectional sum": lambda D, H, **o: two_ways(D, H, "sum", **o),
    "Bidirectional mean": lambda D, H, **o: two_ways(D, H, "mean", **o),
    "GRU LSTM Linear": lambda D, H, **o: Sequential(
        GRU(D, H, **o), LSTM(H, 2, **o), Linear(2, H, **o)
    ),
    "LSTM Last Linear": lambda D, H, **o: Sequential(
        LSTM(D, H, **o), Last(), Linear(H, 2, **o)
    ),
    "Embedding Bidirectional Dropout Last Linear": lambda D, H, **o: Sequential(
        Embedding(V, D, **o), two_ways(D, H, **o), Dropout(0.4), Last(both=True),
        Linear(2 * H, 2, **o),
    ),
}  # fmt: skip


def make(name: str, D: int = 2, H: int = 3, rng: Any = 0, dtype: Any = "float64") -> Layer:
    """The layer of that name, from D features to H."""
    return LAYERS[name](D, H, rng=rng, dtype=dtype)


def example(name: str, rng: np.random.Generator, T: int = 4, B: int = 3, D: int = 2) -> np.ndarray:
    """A random input x for it: (T, B, D), or tokens (T, B)."""
    if name.startswith("Embedding"):
        return rng.integers(0, V, (T, B))
    return rng.normal(size=(T, B, D))
