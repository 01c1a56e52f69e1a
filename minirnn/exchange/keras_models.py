"""Whole models of Keras, from what its layers say of themselves (their class and ``get_config()``).

Each layer becomes one or several here: an LSTM with ``return_sequences=False`` is an LSTM and a
``Last``, a Dense with an activation a ``Linear`` and an ``Activation``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minirnn.exchange.checked import as_array
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.elementwise import Activation, Dropout
from minirnn.layers.last import Last
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.layers.sequential import Sequential

FromArrays: TypeAlias = Callable[..., Any]

CELLS = {
    "SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU", "CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU",
}  # fmt: skip
ACTIVATIONS = ("tanh", "relu", "sigmoid", "softmax", "log_softmax")
# Nothing in use. What Masking and mask_zero do is said by ``lengths`` here.
NOTHING = ("InputLayer", "Masking", "NotEqual", "GaussianNoise", "GaussianDropout",
           "AlphaDropout", "ActivityRegularization")  # fmt: skip


class Described(NamedTuple):
    """A layer as it describes itself, with its arrays."""

    kind: str
    config: Mapping[str, Any]
    weights: Sequence[Any]

    @property
    def name(self) -> str:
        """Its name in the model."""
        return str(self.config.get("name", ""))

    @property
    def place(self) -> str:
        """How errors call it."""
        return f"{self.kind} {self.name!r}"


class CannotTakeError(TypeError):
    """A layer of Keras that has no equal here."""


def described(given: Any) -> Described | list[Described]:
    """What a layer, or each layer of a model, says of itself."""
    if not hasattr(given, "layers"):
        config = given.get_config() if hasattr(given, "get_config") else {}
        return Described(type(given).__name__, config, given.get_weights())
    config = given.get_config()
    check_chain(config if isinstance(config, Mapping) else {})
    found = [described(layer) for layer in given.layers]
    return [one for part in found for one in ([part] if isinstance(part, Described) else part)]


def check_chain(config: Mapping[str, Any]) -> None:
    """TypeError unless each layer of a model reads the one before it, once."""
    before: list[str] = []
    for one in config.get("layers", []):
        nodes = one.get("inbound_nodes") or []
        read = [name for node in nodes for name in _read_by(node)]
        name = one.get("config", {}).get("name")
        if one.get("class_name") == "NotEqual":  # the mask of an Embedding
            continue
        if len(nodes) > 1 or (read and read != before[-1:]):
            raise TypeError(
                f"weights: expected layers one after the other, got {one['class_name']} {name!r}, "
                f"which reads {read!r:.80}"
            )
        before.append(name)


def _read_by(node: Any) -> list[str]:
    """The names of the layers that a call of a layer reads, in Keras 2's text and in Keras 3's."""
    if isinstance(node, Mapping):
        if "keras_history" in node:
            return [node["keras_history"][0]]
        return [
            name for v in (node.get("args", ()), node.get("config", ())) for name in _read_by(v)
        ]
    if isinstance(node, (list, tuple)):
        if len(node) > 2 and isinstance(node[0], str) and isinstance(node[1], int):
            return [node[0]]
        return [name for part in node for name in _read_by(part)]
    return []


# ---- Layers --------------------------------------------------------------------------------------


def whole_model(layers: Sequence[Described], from_arrays: FromArrays) -> Any:
    """The ``Sequential`` of a model's layers. TypeError with all layers that are not known here."""
    made: list[Any] = []
    wrong = []
    for one in layers:
        try:
            made += _converted(one, from_arrays)
        except CannotTakeError as error:
            wrong.append(f"{one.place} ({error})")
        except (TypeError, ValueError) as error:
            text = str(error).removeprefix("weights: ")
            raise type(error)(f"weights: {one.place}: {text}") from None
    if wrong:
        raise TypeError(f"weights: expected layers that are known here, got {'; '.join(wrong)}")
    if not made:
        raise ValueError("weights: expected a model with layers, got none")
    return made[0] if len(made) == 1 else Sequential(*made)


def one_layer(one: Described, from_arrays: FromArrays, kind: str | None = None) -> Any:
    """One layer by itself: of a cell, which it is, whatever it returns."""
    config = {**one.config, "return_sequences": True}
    if "layer" in config:
        config["layer"] = _with_sequences(config["layer"])
    layer = whole_model([one._replace(config=config)], from_arrays)
    found = layer.forward_layer if isinstance(layer, Bidirectional) else layer
    if kind is not None and type(found).__name__ != kind:
        raise ValueError(f"kind: expected {type(found).__name__!r}, got {kind!r}")
    return layer


def _with_sequences(described: Mapping[str, Any]) -> dict[str, Any]:
    return {**described, "config": {**described["config"], "return_sequences": True}}


def _converted(one: Described, from_arrays: FromArrays) -> list[Any]:
    """The layers here for one of Keras."""
    kind, config, weights = one
    if kind in NOTHING:
        return []
    if kind in ("Dropout", "SpatialDropout1D"):
        return [Dropout(config["rate"], per_sequence=kind != "Dropout")]
    if kind == "TimeDistributed":
        inner = config["layer"]
        return _converted(Described(inner["class_name"], inner["config"], weights), from_arrays)
    if kind in CELLS:
        last = [] if config.get("return_sequences") else [Last()]
        return [_cell(kind, config, weights, from_arrays), *last]
    if kind == "Bidirectional":
        return _both_directions(config, weights, from_arrays)
    if kind == "Embedding":
        table = from_arrays(weights, "Embedding")
        _check_size("input_dim", config, table.num_embeddings)
        return [table]
    if kind == "Dense":
        linear = from_arrays(weights, "Linear")
        _check_size("units", config, linear.out_features)
        return [linear, *_activation(config)]
    if kind in ("Activation", "ReLU", "Softmax"):
        return _activation(config if kind == "Activation" else _function(kind, config))
    if kind == "LayerNormalization":
        return [_layer_norm(config, weights, from_arrays)]
    if kind == "BatchNormalization":
        return [_batch_norm(config, weights)]
    raise CannotTakeError("no layer here does this")


def _option(config: Mapping[str, Any], name: str, *known: Any) -> None:
    if config.get(name, known[0]) not in known:
        expected = " or ".join(repr(value) for value in known)
        raise CannotTakeError(f"expected {name} {expected}, got {config[name]!r:.80}")


def _check_size(name: str, config: Mapping[str, Any], size: int) -> None:
    """ValueError unless the arrays are those of the layer that is described."""
    if config.get(name, size) != size:
        raise ValueError(f"expected arrays for {name} {config[name]}, got {size}")


def _activation(config: Mapping[str, Any]) -> list[Any]:
    _option(config, "activation", "linear", None, *ACTIVATIONS)
    name: Any = config.get("activation") or "linear"
    return [] if name == "linear" else [Activation(name)]


def _function(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """A ReLU or a Softmax as an activation."""
    for name in ("max_value", "negative_slope", "threshold"):
        _option(config, name, None, 0)
    axis = config.get("axis", -1)
    _option({"axis": axis[0] if isinstance(axis, list) and len(axis) == 1 else axis}, "axis", -1)
    return {"activation": kind.lower()}


def _cell(
    kind: str, config: Mapping[str, Any], weights: Sequence[Any], from_arrays: FromArrays,
    backwards: bool = False,
) -> Any:  # fmt: skip
    activations = ("tanh", "relu") if kind == "SimpleRNN" else ("tanh",)
    _option(config, "activation", *activations)
    _option(config, "recurrent_activation", "sigmoid")
    _option(config, "go_backwards", backwards)
    _option(config, "time_major", False)
    _option(config, "return_state", False)
    nonlinearity = config.get("activation", "tanh")
    cell = from_arrays(list(weights), CELLS[kind], nonlinearity)
    _check_size("units", config, cell.hidden_size)
    return cell


def _both_directions(
    config: Mapping[str, Any], weights: Sequence[Any], from_arrays: FromArrays
) -> list[Any]:
    merges: dict[str, Any] = {"concat": "concat", "sum": "sum", "ave": "mean"}
    _option(config, "merge_mode", *merges)
    inner = config["layer"]
    other = config.get("backward_layer") or inner
    kinds = inner["class_name"], other["class_name"]
    if not set(kinds) <= CELLS.keys():
        raise CannotTakeError(f"expected two of {', '.join(CELLS)}, got {' and '.join(kinds)}")
    half = len(weights) // 2
    backwards = other is not inner
    both = [
        _cell(kinds[0], inner["config"], weights[:half], from_arrays),
        _cell(kinds[1], other["config"], weights[half:], from_arrays, backwards),
    ]
    merge = merges[config.get("merge_mode", "concat")]
    if inner["config"].get("return_sequences"):
        return [Bidirectional(both[0], both[1], merge)]
    answer = [Bidirectional(*both), Last(both=True)]
    if merge == "concat":
        return answer
    H, dtype = both[0].hidden_size, both[0].dtype
    layer = Linear(2 * H, H, 0, dtype)
    layer.params["W"][...] = np.vstack([np.eye(H), np.eye(H)]) / (2 if merge == "mean" else 1)
    return [*answer, layer]


def _layer_norm(
    config: Mapping[str, Any], weights: Sequence[Any], from_arrays: FromArrays
) -> LayerNorm:
    axis = config.get("axis", -1)
    _option({"axis": axis[0] if isinstance(axis, list) and len(axis) == 1 else axis}, "axis", -1)
    _option(config, "rms_scaling", False)
    if not weights:
        raise CannotTakeError("expected center or scale, got neither")
    arrays = [as_array(a, "weights") for a in weights]
    if not config.get("scale", True):
        arrays = [np.ones_like(arrays[0]), *arrays]
    found: LayerNorm = from_arrays(arrays, "LayerNorm")
    layer = LayerNorm(found.num_features, config.get("epsilon", 1e-3), dtype=found.dtype)
    for name, p in found.params.items():
        layer.params[name][...] = p
    return layer


def _batch_norm(config: Mapping[str, Any], weights: Sequence[Any]) -> Linear:
    """In use it is a factor and a bias for each feature."""
    axis = config.get("axis", -1)
    if (axis[0] if isinstance(axis, list) else axis) not in (-1, 2):
        raise CannotTakeError(f"expected axis -1, got {axis}")
    arrays = [as_array(a, "weights") for a in weights]
    *learned, mean, variance = (np.asarray(a, np.float64) for a in arrays)
    scale, center = config.get("scale", True), config.get("center", True)
    gamma = learned[0] if scale else np.ones_like(mean)
    beta = learned[-1] if center else np.zeros_like(mean)
    s = gamma / np.sqrt(variance + config.get("epsilon", 1e-3))
    if not np.isfinite(s).all() or not np.isfinite(beta - mean * s).all():
        raise ValueError("expected finite numbers")
    layer = Linear(len(s), len(s), 0, arrays[-1].dtype)
    layer.params["W"][...], layer.params["b"][...] = np.diag(s), beta - mean * s
    return layer
