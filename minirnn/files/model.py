"""Save a model to one file, and load it in another process.

The file (see ``npz``) holds an array for each parameter, and what the model is made of: the kind
of each layer with its arguments. minirnn's layers are known by name. Layers of your own are saved
too, if they keep each argument of their constructor (except rng) as an attribute of the same name;
to load them, name their classes: ``load(path, layers=[MyCell])``.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.lstm_variants import LSTMVariant
from minirnn.cells.output_rnn import OutputRNN
from minirnn.cells.rnn import RNN
from minirnn.description import MISSING, arguments, is_layer
from minirnn.files.npz import read_arrays, write_arrays
from minirnn.layers.attention import BahdanauAttention, LuongAttention
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.conv import CausalConv
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding, Unembedding
from minirnn.layers.last import Last
from minirnn.layers.linear import Linear
from minirnn.layers.pooling import AttentionPool, Hierarchical
from minirnn.layers.seq2seq import Seq2Seq
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Layer

KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        RNN, LSTM, GRU, LSTMVariant, OutputRNN, Linear, Embedding,
        Activation, Dropout, Last, CausalConv, Sequential, Bidirectional,
        Checkpoint, LuongAttention, BahdanauAttention, AttentionPool, Hierarchical,
        Seq2Seq, Unembedding,
    )
}  # fmt: skip


def save(model: Layer, path: str | os.PathLike[str]) -> None:
    """Write a model to ``path``: its layers, their sizes and options, and all parameters.

    Raises TypeError for a layer that cannot be saved, and OSError.
    """
    write_arrays(checks.path(path, "path"), {"model": describe(model)}, model.params)


def load(path: str | os.PathLike[str], layers: Sequence[type] = ()) -> Layer:
    """The model that ``save`` has written.

    layers: the classes of layers that are not minirnn's own. They are called with the arguments
    that the file holds, and with ``rng=0`` if they take it.

    Raises ValueError for a file that is cut off, changed, of another kind, or of a later version,
    and OSError.
    """
    if not isinstance(layers, (list, tuple)) or not all(isinstance(c, type) for c in layers):
        raise TypeError(f"layers: expected a list of classes, got {layers!r:.80}")
    kinds = KINDS | {kind.__name__: kind for kind in layers}
    header, arrays = read_arrays(checks.path(path, "path"))
    try:
        model = build(header["model"], kinds)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no model can be built of it ({error!r})") from None
    expected = {name: (p.shape, p.dtype) for name, p in model.params.items()}
    if {name: (a.shape, a.dtype) for name, a in arrays.items()} != expected:
        raise ValueError(f"{path}: its parameters do not fit its model")
    for name, p in model.params.items():
        p[...] = arrays[name]
    return model


def describe(layer: Any) -> dict[str, Any]:
    """What a layer was made with, as JSON; the values of its parameters are left out."""
    if not is_layer(layer):
        raise TypeError(f"model: expected a layer, got {layer!r:.80}")
    kind = type(layer).__name__
    if KINDS.get(kind, type(layer)) is not type(layer):
        raise TypeError(f"model: expected a layer of another name than minirnn's {kind}")
    return {"kind": kind} | {p.name: _as_json(value, kind, p.name) for p, value in arguments(layer)}


def _as_json(value: Any, kind: str, name: str) -> Any:
    if value is MISSING:
        raise TypeError(
            f"model: {kind} does not keep its argument {name} as an attribute, which save needs"
        )
    if is_layer(value):
        return describe(value)
    if isinstance(value, (tuple, list)):
        return [_as_json(v, kind, name) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"model: {name} of {kind}: expected a number or a text, got {value!r:.80}")
    return value


def build(description: dict[str, Any], kinds: dict[str, Any] = KINDS) -> Any:
    """The layer that ``describe`` has described."""
    described = dict(description)
    name = described.pop("kind")
    if name not in kinds:
        raise KeyError(f"{name} is not a layer of minirnn; pass its class, layers=[{name}]")
    names = inspect.signature(kinds[name]).parameters
    if unknown := described.keys() - names.keys():
        raise ValueError(f"{name} has no {sorted(unknown)}")

    def value_of(value: Any) -> Any:
        if isinstance(value, list):
            return [value_of(v) for v in value]
        return build(value, kinds) if isinstance(value, dict) else value

    positional: list[Any] = []
    named = {"rng": 0} if "rng" in names else {}
    for argument, value in described.items():
        if names[argument].kind is inspect.Parameter.VAR_POSITIONAL:
            positional = value_of(value)
        else:
            named[argument] = value_of(value)
    return kinds[name](*positional, **named)
