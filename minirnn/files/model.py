"""Save a model to one file, and load it in another process.

The file (see ``npz``) holds an array for each parameter, and what the model is made of: the kind
of each layer with its arguments. Only minirnn's own layers are known by name.
"""

import inspect
import os
from typing import Any

from minirnn import checks
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.lstm_variants import LSTMVariant
from minirnn.cells.output_rnn import OutputRNN
from minirnn.cells.rnn import RNN
from minirnn.files.npz import read_arrays, write_arrays
from minirnn.layers.attention import BahdanauAttention, LuongAttention
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.conv import CausalConv
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.embedding import Embedding
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
        Seq2Seq,
    )
}  # fmt: skip
ELSEWHERE = {  # arguments that a layer keeps under another name
    ("Bidirectional", "forward_layer"): "forward",
    ("Bidirectional", "backward_layer"): "backward",
    ("AttentionPool", "input_size"): "memory_size",
}


def save(model: Layer, path: str | os.PathLike) -> None:
    """Write a model to ``path``: its layers, their sizes and options, and all parameters.

    Raises TypeError for a layer that is not one of minirnn's own, and OSError.
    """
    write_arrays(checks.path(path, "path"), {"model": describe(model)}, model.params)


def load(path: str | os.PathLike) -> Layer:
    """The model that ``save`` has written.

    Raises ValueError for a file that is cut off, changed, of another kind, or of a later version,
    and OSError.
    """
    header, arrays = read_arrays(checks.path(path, "path"))
    try:
        model = build(header["model"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no model can be built of it ({error!r})") from None
    expected = {name: (p.shape, p.dtype) for name, p in model.params.items()}
    if {name: (a.shape, a.dtype) for name, a in arrays.items()} != expected:
        raise ValueError(f"{path}: its parameters do not fit its model")
    for name, p in model.params.items():
        p[...] = arrays[name]
    return model


def describe(layer: Any) -> dict[str, Any]:
    """What a layer was made with, as JSON; its parameters' values are left out."""
    kind = type(layer).__name__
    if KINDS.get(kind) is not type(layer):
        raise TypeError(f"model: expected minirnn's own layers, got {type(layer)!r}")
    own: dict[str, Any] = {"kind": kind}
    for name, argument in inspect.signature(type(layer)).parameters.items():
        if name in ("rng", "forget_bias"):  # of the values at the start
            continue
        if argument.kind is argument.VAR_POSITIONAL:
            own[name] = [describe(part) for part in layer.layers]
            continue
        name_there = ELSEWHERE.get((kind, name), name)
        value = getattr(layer, "parts", {}).get(name_there)
        value = getattr(layer, name_there, None) if value is None else value
        if (kind, name) == ("LSTMVariant", "variant"):
            value = str(value).removeprefix("variant ")
        if hasattr(value, "forward"):
            own[name] = describe(value)
        else:
            own[name] = str(value) if name == "dtype" else value
    return own


def build(own: dict[str, Any]) -> Any:
    """The layer that ``describe`` has described."""
    own = dict(own)
    kind = KINDS[own.pop("kind")]
    names = inspect.signature(kind).parameters
    if unknown := own.keys() - names.keys():
        raise ValueError(f"{kind.__name__} has no {sorted(unknown)}")
    positional: list[Any] = []
    for name, value in own.items():
        if names[name].kind is inspect.Parameter.VAR_POSITIONAL:
            positional = [build(part) for part in value]
        elif isinstance(value, dict):
            own[name] = build(value)
    named = {n: v for n, v in own.items() if names[n].kind is not inspect.Parameter.VAR_POSITIONAL}
    return kind(*positional, **named, **({"rng": 0} if "rng" in names else {}))
