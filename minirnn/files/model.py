"""Save a model to one file, and load it in another process.

The file (see ``npz``) holds an array for each parameter, and what the model is made of: the kind
of each layer with its arguments. minirnn's layers are known by name. Layers of your own are saved
too, if they keep each argument of their constructor (except rng) as an attribute of the same name;
to load them, name their classes: ``load(path, layers=[MyCell])``.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.lstm_variants import LSTMVariant
from minirnn.cells.output_rnn import OutputRNN
from minirnn.cells.projected_lstm import ProjectedLSTM
from minirnn.cells.rnn import RNN
from minirnn.description import MISSING, OF_INITIAL_VALUES, arguments
from minirnn.files.npz import read_arrays, write_arrays
from minirnn.layers.attention import BahdanauAttention, LuongAttention
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.checkpoint import Checkpoint
from minirnn.layers.container import first_names
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
from minirnn.protocol import Array, Layer, is_layer, optional

KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        RNN, LSTM, GRU, LSTMVariant, ProjectedLSTM, OutputRNN, RecurrentDropout, Zoneout,
        Linear, Embedding, Unembedding, LayerNorm, Activation, Dropout, Last, CausalConv,
        Sequential, Bidirectional, Checkpoint, LearnedState, LuongAttention, BahdanauAttention,
        AttentionPool, Hierarchical, Seq2Seq,
    )
}  # fmt: skip
# Arguments that are the length of an axis of a parameter, so at most the number of all parameters.
SIZE = re.compile(r"\w+_(size|features|dim)|num_embeddings")


def save(
    model: Layer, path: str | os.PathLike[str], about: Mapping[str, Any] | None = None
) -> None:
    """Write a model to ``path``: its layers, their sizes and options, and all parameters.

    about: what else is needed to use the model, an alphabet or the mean of the data say: a
        dictionary of numbers, texts, lists and dictionaries (arrays and tuples become lists).
        ``mr.about(path)`` reads it.

    Before an old file is touched the model is built again, as ``load`` will do it. Raises TypeError
    for a layer that cannot be saved, and for something in ``about`` that JSON cannot hold;
    ValueError for parameters or options that ``load`` would refuse, and OSError.
    """
    path = checks.path(path, "path")
    if about is not None and not isinstance(about, Mapping):
        raise TypeError(f"about: expected a dictionary, got {about!r:.80}")
    notes = {} if about is None else {"about": plain(about, "about")}
    kinds = dict(KINDS)
    try:
        description = describe(model, kinds)
        text = json.dumps(description)
    except RecursionError:
        raise ValueError("model: its layers are nested too deep to be saved") from None
    arrays = {name: _array(p, name) for name, p in model.params.items()}
    ties = tied(model)
    try:
        other = rebuilt(json.loads(text), ties, arrays, kinds)
    except ValueError as error:
        raise ValueError(f"model: {error}") from error
    again = json.dumps(describe(other))
    if again != text:
        raise ValueError(f"model: expected to be built again as {text:.500}, got {again:.500}")
    header = {"model": description} | ({"tied": ties} if ties else {})
    write_arrays(path, header | notes, arrays)


def plain(value: Any, name: str) -> Any:
    """A value as JSON gives it back: dictionaries by text, lists, numbers, texts, None.

    Raises TypeError, with the place, for anything else: an integer as a key, which JSON would turn
    into a text, or a function.
    """
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufU":
        value = value.tolist()
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{name}: expected texts as keys, got {wrong[0]!r:.80}")
        return {str(key): plain(v, f"{name}[{key!r}]") for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, f"{name}[{k}]") for k, v in enumerate(value)]
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(
            f"{name}: expected numbers, texts, lists or dictionaries, got {value!r:.80}"
        )
    return value


def load(path: str | os.PathLike[str], layers: Sequence[type] = ()) -> Layer:
    """The model that ``save`` has written.

    layers: the classes of layers that are not minirnn's own. They are called with the arguments
    that the file holds, and with ``rng=0`` if they take it.

    Raises ValueError for a file that is cut off, changed, of another kind, or of a later version,
    and OSError. The memory that this takes is a few times the size of the file, at most.
    """
    if not isinstance(layers, (list, tuple)) or not all(isinstance(c, type) for c in layers):
        raise TypeError(f"layers: expected a list of classes, got {layers!r:.80}")
    kinds = KINDS | {kind.__name__: kind for kind in layers}
    path = checks.path(path, "path")
    header, arrays = read_arrays(path)
    if "model" not in header:
        raise ValueError(f"{path}: no model can be built of it: it is the progress of a training")
    try:
        model = rebuilt(header["model"], header.get("tied", {}), arrays, kinds)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    for name, p in model.params.items():
        p[...] = arrays[name]
    return model


def about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``save`` was told about a model: a dictionary, empty if it was told nothing.

    Raises ValueError and OSError as ``load`` does.
    """
    path = checks.path(path, "path")
    header, _ = read_arrays(path)
    if "model" not in header or not isinstance(header.get("about", {}), dict):
        raise ValueError(f"{path}: it holds no model")
    return dict(header.get("about", {}))


def places(layer: Any, before: str = "") -> dict[str, tuple[Any, str]]:
    """{name of a parameter: the layer that has it, its name there}, for each place where it is."""
    parts = optional(layer, "parts")
    found = {} if parts else {before + name: (layer, name) for name in layer.params}
    for name, part in parts.items():
        found |= places(part, f"{before}{name}.")
    return found


def tied(model: Layer) -> dict[str, str]:
    """{name: the first name of the same array}, for each array that stands at several places."""
    at = places(model)
    first = first_names({name: layer.params[n] for name, (layer, n) in at.items()})
    return {name: of for name, of in first.items() if name != of}


def tie(model: Layer, ties: Mapping[str, str]) -> None:
    """Give a model's parameters to further places, as ``tied`` has found them."""
    at = places(model)
    for name, of in ties.items():
        (layer, n), (first, m) = at[name], at[of]
        if layer.params[n] is not first.params[m]:  # layers at two places are tied already
            layer.params[n] = first.params[m]


def rebuilt(
    description: Any, ties: Mapping[str, str], arrays: Mapping[str, Array], kinds: Mapping[str, Any]
) -> Layer:
    """A new model as described, whose parameters have the names, shapes and dtypes of ``arrays``.

    Raises ValueError if there is none, before it takes more memory than the arrays do.
    """
    numbers = sum(a.size for a in arrays.values())
    try:
        model: Layer = build(description, kinds, Sparing(numbers), [])
        tie(model, ties)
    except Exception as error:  # a layer of the user's own may raise anything
        raise ValueError(f"no model can be built of it ({error!r})") from error
    expected = {name: _form(p) for name, p in model.params.items()}
    found = {name: _form(a) for name, a in arrays.items()}
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            needed, got = (forms.get(name, "none") for forms in (expected, found))
            raise ValueError(
                f"its parameters do not fit its model: {name}: expected {needed}, got {got}"
            )
    return model


def _form(a: Array) -> str:
    return f"{a.dtype.str} {checks.shape_text(a.shape)}"


def _array(p: Any, name: str) -> Array:
    if not isinstance(p, np.ndarray):
        raise TypeError(f"model: params[{name!r}]: expected an array, got {type(p).__name__}")
    return p


class Sparing(np.random.Generator):
    """A generator for initial values that will be overwritten: it draws no more of them than twice
    the parameters in the file, as a variant of the LSTM draws a whole one and keeps a part. So a
    small file cannot ask for a large model."""

    def __init__(self, numbers: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.numbers, self.left = numbers, 2 * numbers

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return super().normal(loc, scale, self._allowed(size))

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return super().uniform(low, high, self._allowed(size))

    def _allowed(self, size: Any) -> Any:
        self.left -= math.prod(np.atleast_1d(size).tolist()) if size is not None else 1
        if self.left < 0:
            raise ValueError(f"it needs more parameters than the {self.numbers} that there are")
        return size


def describe(
    layer: Any, kinds: dict[str, Any] | None = None, described: dict[int, int] | None = None
) -> dict[str, Any]:
    """What a layer was made with, as JSON; the values of its parameters are left out.

    The class of each layer is added to ``kinds``, under its name. A layer that stands at two places
    is described at the first, and has a number at the second: how many were described before it.
    """
    if not is_layer(layer):
        raise TypeError(f"model: expected a layer, got {layer!r:.80}")
    kinds = dict(KINDS) if kinds is None else kinds
    described = {} if described is None else described
    if id(layer) in described:
        return {"number": described[id(layer)]}
    kind = type(layer).__name__
    if kinds.setdefault(kind, type(layer)) is not type(layer):
        whose = "minirnn's" if kind in KINDS else "another layer's"
        raise TypeError(f"model: expected a layer of another name than {whose} {kind}")
    values = {p.name: _as_json(v, kind, p.name, kinds, described) for p, v in arguments(layer)}
    described[id(layer)] = len(described)
    return {"kind": kind} | values


def _as_json(
    value: Any, kind: str, name: str, kinds: dict[str, Any], described: dict[int, int]
) -> Any:
    if value is MISSING:
        raise TypeError(
            f"model: {kind} does not keep its argument {name} as an attribute, which save needs"
        )
    if is_layer(value):
        return describe(value, kinds, described)
    if isinstance(value, (tuple, list)):
        return [_as_json(v, kind, name, kinds, described) for v in value]
    value = value.item() if isinstance(value, np.generic) else value
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise TypeError(f"model: {name} of {kind}: expected a number or a text, got {value!r:.80}")
    return value


def build(description: Any, kinds: Mapping[str, Any], rng: Sparing, built: list[Any]) -> Any:
    """The layer that ``describe`` has described. ``built``: those before it, in their order."""
    described = dict(description)
    if described.keys() == {"number"}:
        return built[checks.size(described["number"], "number", 0)]
    name = described.pop("kind")
    if name not in kinds:
        raise KeyError(f"{name} is not a layer of minirnn; pass its class, layers=[{name}]")
    names = inspect.signature(kinds[name]).parameters
    if unknown := described.keys() - (names.keys() - set(OF_INITIAL_VALUES)):
        raise ValueError(f"{name} has no {sorted(unknown)}")
    own = kinds[name] is KINDS.get(name)

    def value_of(value: Any) -> Any:
        if isinstance(value, list):
            return [value_of(v) for v in value]
        return build(value, kinds, rng, built) if isinstance(value, dict) else value

    positional: list[Any] = []
    named: dict[str, Any] = {"rng": rng if own else 0} if "rng" in names else {}
    for argument, value in described.items():
        if own and SIZE.fullmatch(argument) and isinstance(value, int) and value > rng.numbers:
            raise ValueError(f"{name}: {argument}={value} is more than its parameters")
        if names[argument].kind is inspect.Parameter.VAR_POSITIONAL:
            positional = value_of(value)
        else:
            named[argument] = value_of(value)
    built.append(kinds[name](*positional, **named))
    return built[-1]
