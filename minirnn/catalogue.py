"""Every layer once, small: what gradient checks, property tests and benchmarks run over.

A layer that is missing here is a layer without a gradient check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.rnn import RNN
from minirnn.layers.last import Last
from minirnn.layers.linear import Linear
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Layer

# Name to a function (input_size, hidden_size, **options); the options are rng and dtype.
LAYERS: dict[str, Callable[..., Layer]] = {
    "RNN": RNN,
    "RNN relu": lambda D, H, **options: RNN(D, H, "relu", **options),
    "LSTM": LSTM,
    "LSTM peephole": lambda D, H, **options: LSTM(D, H, peephole=True, **options),
    "GRU after": GRU,
    "GRU before": lambda D, H, **options: GRU(D, H, reset="before", **options),
    "Linear": Linear,
    "Last": lambda D, H, **options: Last(),
    "GRU LSTM Linear": lambda D, H, **options: Sequential(
        GRU(D, H, **options), LSTM(H, 2, **options), Linear(2, H, **options)
    ),
    "LSTM Last Linear": lambda D, H, **options: Sequential(
        LSTM(D, H, **options), Last(), Linear(H, 2, **options)
    ),
}


def make(name: str, D: int = 2, H: int = 3, rng: Any = 0, dtype: Any = "float64") -> Layer:
    """The layer of that name, from D features to H."""
    return LAYERS[name](D, H, rng=rng, dtype=dtype)
