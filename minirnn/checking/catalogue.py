"""Every layer once, small: what gradient checks, property tests and benchmarks run over.

A layer that is missing here is a layer without a gradient check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.lstm_variants import VARIANTS, LSTMVariant
from minirnn.cells.output_rnn import OutputRNN
from minirnn.cells.projected_lstm import ProjectedLSTM
from minirnn.cells.rnn import RNN
from minirnn.layers.attention import BahdanauAttention, LuongAttention
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.conv import CausalConv
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding, Unembedding
from minirnn.layers.last import Last
from minirnn.layers.learned_state import LearnedState
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.layers.pooling import AttentionPool, Hierarchical
from minirnn.layers.recurrent_dropout import RecurrentDropout
from minirnn.layers.seq2seq import Seq2Seq
from minirnn.layers.sequential import Sequential
from minirnn.layers.zoneout import Zoneout
from minirnn.protocol import Layer, Seed

V = 5  # how many different tokens there are, for layers that take tokens


def two_ways(D: int, H: int, merge: Any = "concat", **options: Any) -> Bidirectional:
    """A different cell in each direction."""
    return Bidirectional(GRU(D, H, **options), LSTM(D, H, **options), merge)


def tied(D: int, H: int, **options: Any) -> Sequential:
    """One matrix as the first layer and the last."""
    words = Embedding(V, D, **options)
    return Sequential(words, LSTM(D, H, **options), GRU(H, D, **options), Unembedding(words))


def twice(D: int, H: int, **options: Any) -> Sequential:
    """One cell at two places, at two depths."""
    cell = RNN(D, D, **options)
    return Sequential(cell, Dropout(0.4), Sequential(cell, Linear(D, H, **options)))


# Name to a function (input_size, hidden_size, **options); the options are rng and dtype.
LAYERS: dict[str, Callable[..., Layer]] = {
    "RNN": RNN,
    "RNN relu": lambda D, H, **o: RNN(D, H, "relu", **o),
    "LSTM": LSTM,
    "LSTM peephole": lambda D, H, **o: LSTM(D, H, peephole=True, **o),
    "GRU after": GRU,
    "GRU before": lambda D, H, **o: GRU(D, H, reset="before", **o),
    **{
        f"LSTM {variant}": lambda D, H, variant=variant, **o: LSTMVariant(D, H, variant, **o)
        for variant in VARIANTS[1:-1]  # V and NP are the LSTMs above
    },
    "ProjectedLSTM": lambda D, H, **o: ProjectedLSTM(D, H + 2, H, **o),
    "OutputRNN": lambda D, H, **o: OutputRNN(D, 4, H, **o),
    "OutputRNN forced": lambda D, H, **o: OutputRNN(D, 4, H, **o),
    "OutputRNN sampled": lambda D, H, **o: OutputRNN(D, 4, H, teacher_forcing=0.5, **o),
    "CausalConv": lambda D, H, **o: CausalConv(D, H, 3, dilation=2, **o),
    "Linear": Linear,
    "Embedding": lambda D, H, **o: Embedding(V, H, **o),
    "LayerNorm": lambda D, H, **o: LayerNorm(D, eps=0.1, **o),
    "Activation": lambda D, H, **o: Activation("sigmoid"),
    "Activation softmax": lambda D, H, **o: Activation("softmax"),
    "Activation log_softmax": lambda D, H, **o: Activation("log_softmax"),
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
    "Checkpoint": lambda D, H, **o: Checkpoint(
        Sequential(LSTM(D, H, **o), Dropout(0.4), GRU(H, 2, **o)), every=3
    ),
    "LearnedState": lambda D, H, **o: LearnedState(LSTM(D, H, **o)),
    "LearnedState of a model": lambda D, H, **o: LearnedState(
        Sequential(two_ways(D, H, **o), Dropout(0.4, per_sequence=True), RNN(2 * H, H, **o))
    ),
    "RecurrentDropout": lambda D, H, **o: RecurrentDropout(LSTM(D, H, **o), 0.4),
    "RecurrentDropout candidate": lambda D, H, **o: RecurrentDropout(
        GRU(D, H, **o), 0.4, "candidate"
    ),
    "Zoneout": lambda D, H, **o: Zoneout(LSTM(D, H, **o), (0.1, 0.5)),
    "RNN twice": twice,
    "AttentionPool": lambda D, H, **o: AttentionPool(D, H, **o),
    "Hierarchical": lambda D, H, **o: Hierarchical(
        Sequential(Embedding(V, D, **o), two_ways(D, H, **o), AttentionPool(2 * H, 2, **o)),
        Sequential(GRU(2 * H, H, **o), AttentionPool(H, 2, **o), Linear(H, 2, **o)),
    ),
    "LuongAttention": lambda D, H, **o: LuongAttention(D, H, **o),
    "BahdanauAttention": lambda D, H, **o: BahdanauAttention(D, H, 4, **o),
    "Seq2Seq": lambda D, H, **o: Seq2Seq(
        LSTM(D, H, **o), Embedding(V, D, **o), LSTM(D, H, **o), Linear(H, V, **o)
    ),
    "Seq2Seq Luong": lambda D, H, **o: Seq2Seq(
        Sequential(Embedding(V, D, **o), two_ways(D, H, **o)), Embedding(V, 2, **o),
        Sequential(GRU(2, H, **o), LSTM(H, 3, **o)), Linear(3 + 2 * H, V, **o),
        LuongAttention(3, 2 * H, **o), Linear(3 * H, H + 6, **o),
    ),
    "Seq2Seq Bahdanau": lambda D, H, **o: Seq2Seq(
        GRU(D, H, **o), Embedding(V, 2, **o), Sequential(RNN(2 + H, H, **o), Dropout(0.4)),
        Linear(2 * H, V, **o), BahdanauAttention(H, H, 3, **o),
    ),
    "Embedding Bidirectional Dropout Last Linear": lambda D, H, **o: Sequential(
        Embedding(V, D, **o), two_ways(D, H, **o), Dropout(0.4), Last(both=True),
        Linear(2 * H, 2, **o),
    ),
    "Embedding LSTM GRU Unembedding": tied,
}  # fmt: skip


def make(name: str, D: int = 2, H: int = 3, rng: Seed = 0, dtype: Any = "float64") -> Layer:
    """The layer of that name, from D features to H."""
    return LAYERS[name](D, H, rng=rng, dtype=dtype)


class Example(NamedTuple):
    """Arguments of ``forward``."""

    x: Any
    state: Any = None
    lengths: Any = None


def example(
    name: str, rng: Seed = 0, T: int = 4, B: int = 3, D: int = 2, H: int = 3, ragged: bool = False
) -> Example:
    """A random input of the kind that the layer takes, with lengths if ``ragged``."""
    rng = np.random.default_rng(rng)
    real, tokens = rng.normal(size=(T, B, D)), rng.integers(0, V, (T, B))
    lengths = rng.integers(1, T + 1, B) if ragged else None
    if name == "Hierarchical":
        of_words = rng.integers(0, T + 1, (2, B))
        x = rng.integers(0, V, (T, 2, B))
        return Example(x, None, (of_words, rng.integers(1, 3, B)) if ragged else None)
    if name.startswith("Seq2Seq"):
        source, target = tokens if "Luong" in name else real, rng.integers(0, V, (3, B))
        of_target = rng.integers(1, 4, B)
        return Example((source, target), None, (lengths, of_target) if ragged else None)
    if name in ("LuongAttention", "BahdanauAttention"):
        return Example(rng.normal(size=(3, B, D)), rng.normal(size=(T, B, H)), lengths)
    if name in ("OutputRNN forced", "OutputRNN sampled"):
        return Example((real, rng.normal(size=(T, B, H))), None, lengths)
    return Example(tokens if name.startswith("Embedding") else real, None, lengths)
