"""Weights from and to Keras: plain functions over lists of arrays.

Keras is not imported. The layout is ours, but for the order of the gates. A GRU that resets after
the product has two biases, in one array of two rows. Whole models are in ``keras_models.py``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.exchange.cells import (
    CELLS,
    GATES,
    OUR_ORDER,
    Kind,
    Nonlinearity,
    biases,
    cell_params,
    gates,
    made,
)
from minirnn.exchange.checked import ANY, Table, compared, parameters, reorder, taker
from minirnn.exchange.keras_files import layer_of_file, model_of_file, names_in_file
from minirnn.exchange.keras_models import Described, described, one_layer, whole_model
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.embedding import Embedding
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer

KERAS_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "zrn"}  # Keras calls g c, and n h
KerasKind: TypeAlias = Kind | Literal["Linear", "Embedding", "LayerNorm"]
STATELESS = ("Linear", "Embedding", "LayerNorm")
KERAS: Table = {
    **CELLS,
    Linear: {"in_features": ANY, "out_features": ANY, "dtype": ANY},
    Embedding: {"num_embeddings": ANY, "embedding_dim": ANY, "dtype": ANY},
    LayerNorm: {"num_features": ANY, "eps": ANY, "dtype": ANY},
    Bidirectional: {
        "forward_layer": ANY, "backward_layer": ANY, "merge": ["concat", "sum", "mean"],
    },
    Sequential: {"layers": ANY},
}  # fmt: skip


def to_keras(cell: Layer) -> list[Any]:
    """What ``set_weights`` of Keras' layer takes: kernel, recurrent kernel, bias.

    cell: an RNN, a GRU, or an LSTM without peepholes. A GRU with ``reset="after"`` belongs to
        Keras' ``reset_after=True``, an RNN with "relu" to ``activation="relu"``. A
        ``Bidirectional`` of two gives the arrays of both, its merge "mean" is Keras' "ave". A
        ``Linear`` (Keras' ``Dense``), an ``Embedding`` and a ``LayerNorm`` (with
        ``epsilon=layer.eps``) give theirs. A ``Sequential`` gives a list of such lists, one for
        each of its layers.

    Returns new arrays of the cell's dtype. Raises TypeError for other layers and options, and
    ValueError for parameters that have a wrong shape or are not finite.
    """
    layer: Any = cell
    compared(layer, KERAS, "Keras", "cell")
    if type(layer) in (Sequential, Bidirectional):
        lists = []
        for name in layer.parts:
            with layer.at(name) as part:
                if type(layer) is Bidirectional:
                    compared(part, CELLS, "a Bidirectional of Keras", "cell")
                lists.append(to_keras(part))
        return lists if type(layer) is Sequential else [*lists[0], *lists[1]]
    if type(layer) is Embedding:
        V, E = layer.num_embeddings, layer.embedding_dim
        return [parameters(layer, {"W": (V, E)})["W"]]
    if type(layer) is Linear:
        D, K = layer.in_features, layer.out_features
        return list(parameters(layer, {"W": (D, K), "b": (K,)}).values())
    if type(layer) is LayerNorm:
        shape = (layer.num_features,)
        return list(parameters(layer, {"g": shape, "b": shape}).values())
    kind, p = type(layer).__name__, cell_params(layer)
    W_x, W_h, b = (reorder(p[n], OUR_ORDER[kind], KERAS_ORDER[kind]) for n in ("W_x", "W_h", "b"))
    if "b_hn" in p:
        second = np.zeros_like(b)
        second[2 * layer.hidden_size :] = p["b_hn"]
        b = np.stack([b, second])
    return [W_x, W_h, b]


def from_keras(
    weights: Any,
    kind: KerasKind | None = None,
    nonlinearity: Nonlinearity = "tanh",
    layer: str | None = None,
) -> Any:
    """The layer or the model that computes what Keras' layer or model does.

    weights: one of

        - the ``get_weights()`` of a layer: kernel (D, G*H), recurrent kernel (H, G*H), bias (G*H,),
          of a GRU also (2, G*H), with G the number of gates. Without a bias (``use_bias=False``) it
          is zero here. Twice as many arrays are those of a ``Bidirectional``, a list of such lists
          is a stack. All are float32 or all float64; float16 becomes float32.
        - a layer, which says itself what it is;
        - a model whose layers stand one after the other, or its file, ``.keras`` or ``.h5`` (for
          this h5py is needed): then the ``Sequential`` that computes the same. What Keras masks is
          said by ``lengths`` here. x is (T, B, D) here, where there the batch comes first.

    kind: for arrays, "RNN", "LSTM" or "GRU", "Linear" (Keras' ``Dense``), "Embedding" or
        "LayerNorm". The shape of a GRU's bias shows whether it resets before or after.
    layer: the name of the one layer of a file that is wanted.

    Raises ValueError or TypeError for shapes or dtypes that are not those of such a layer, for
    numbers that are not finite, for layers that are not known here, each with its name, and for a
    file that is none; ImportError without h5py, and OSError.
    """
    if isinstance(weights, (str, os.PathLike)):
        return _from_file(checks.path(weights, "weights"), kind, nonlinearity, layer)
    if layer is not None:
        raise TypeError(f"layer: expected None, since weights is no file, got {layer!r:.80}")
    if callable(getattr(weights, "get_weights", None)) and not isinstance(weights, type):
        found: Any = described(weights)
        if isinstance(found, Described):
            return one_layer(found, from_arrays, kind)
        return whole_model(found, from_arrays)
    if kind is None:
        raise TypeError(f"kind: expected one of {', '.join((*OUR_ORDER, *STATELESS))}, got None")
    return from_arrays(weights, kind, nonlinearity)


def _from_file(path: str, kind: Any, nonlinearity: Nonlinearity, layer: str | None) -> Any:
    layers = model_of_file(path)
    if layers is None:  # weights only, which do not say of which kind they are
        if layer is None or kind is None:
            raise ValueError(
                f"layer: expected one of {', '.join(map(repr, names_in_file(path))):.300}, and its "
                f"kind, since {path!r:.80} has weights only, got {layer!r} and kind {kind!r}"
            )
        return from_arrays(layer_of_file(path, layer), kind, nonlinearity)
    if layer is None:
        return whole_model(layers, from_arrays)
    checks.choice(layer, "layer", [one.name for one in layers])
    return one_layer(next(one for one in layers if one.name == layer), from_arrays, kind)


def from_arrays(weights: Any, kind: KerasKind, nonlinearity: Nonlinearity = "tanh") -> Any:
    """The layer of these arrays, or a ``Sequential`` of the layers of several lists of them."""
    checks.choice(kind, "kind", (*OUR_ORDER, *STATELESS))
    if not isinstance(weights, (list, tuple)):
        raise ValueError(
            "weights: expected kernel, recurrent kernel, bias, that is layer.get_weights(), or the "
            f"layer itself, got {type(weights).__name__}"
        )
    if weights and all(isinstance(one, (list, tuple)) and _holds_arrays(one) for one in weights):
        layers = [from_arrays(one, kind, nonlinearity) for one in weights]
        return layers[0] if len(layers) == 1 else Sequential(*layers)
    if kind == "Linear" or kind == "Embedding" or kind == "LayerNorm":
        return _stateless(weights, kind)
    if len(weights) in (4, 6):
        half = len(weights) // 2
        return _both_directions(weights[:half], weights[half:], kind, nonlinearity)
    return _cell(weights, kind, nonlinearity)


def _holds_arrays(one: Sequence[Any]) -> bool:
    return bool(one) and all(hasattr(a, "shape") for a in one)


def _both_directions(
    first: Sequence[Any], second: Sequence[Any], kind: Kind, nonlinearity: Nonlinearity
) -> Any:
    if np.shape(first[0]) != np.shape(second[0]):
        raise ValueError(
            f"weights: expected two directions with kernels of one shape, got {np.shape(first[0])} "
            f"and {np.shape(second[0])}; for a stack pass a list with one get_weights() a layer"
        )
    return Bidirectional(*(_cell(own, kind, nonlinearity) for own in (first, second)))


def _cell(weights: Sequence[Any], kind: Kind, nonlinearity: Nonlinearity) -> Any:
    n = gates(kind, nonlinearity)
    if len(weights) not in (2, 3):
        why = ": call the layer once, so that it is built" if not weights else ""
        got = f"{len(weights)}{why}"
        raise ValueError(f"weights: expected kernel, recurrent kernel, bias, got {got}")
    names = ("kernel", "recurrent kernel", "bias")
    take = taker(dict(zip(names, weights, strict=False)), "weights: {} of kind " + repr(kind))
    H = len(take("recurrent kernel", "H", GATES[n]))
    W_h, W_x = take("recurrent kernel", H, n * H), take("kernel", "D", n * H)
    b: Array = np.zeros(n * H, W_x.dtype)
    if len(weights) == 3:
        if np.shape(weights[2]) == (2 * n * H,) and kind != "RNN":  # of CuDNNLSTM or CuDNNGRU
            W_x, W_h = _from_cudnn(W_x, W_h, n)
            b = take("bias", 2 * n * H).reshape(2, n * H)
        elif np.ndim(weights[2]) == 2 and kind != "RNN":
            b = take("bias", 2, n * H)
        else:
            b = take("bias", n * H)

    def ours(a: Array) -> Array:
        return reorder(a, KERAS_ORDER[kind], OUR_ORDER[kind])

    own = biases(kind, *ours(b)) if b.ndim == 2 else {"b": ours(b)}
    return made(kind, nonlinearity, W_x=ours(W_x), W_h=ours(W_h), **own)


def _from_cudnn(W_x: Array, W_h: Array, n: int) -> tuple[Array, Array]:
    """The kernels of Keras 2's CuDNN layers, which keep each gate's block transposed."""
    blocks = [k.T.reshape(k.shape, order="F") for k in np.split(W_x, n, axis=1)]
    return np.hstack(blocks), np.hstack([k.T for k in np.split(W_h, n, axis=1)])


def _stateless(weights: Sequence[Any], kind: str) -> Any:
    names = {"Embedding": ["table"], "LayerNorm": ["gamma", "beta"], "Linear": ["kernel", "bias"]}
    if not 1 <= len(weights) <= len(names[kind]):
        raise ValueError(f"weights: expected {', '.join(names[kind])}, got {len(weights)}")
    given = dict(zip(names[kind], weights, strict=False))
    take = taker(given, "weights: {} of kind " + repr(kind))
    layer: Any
    if kind == "LayerNorm":
        g = take("gamma", "D")
        layer, arrays = LayerNorm(len(g), 1e-3, dtype=g.dtype), {"g": g}
        if "beta" in given:
            arrays["b"] = take("beta", len(g))
    else:
        W = take(names[kind][0], "D", "K")
        layer = (Linear if kind == "Linear" else Embedding)(W.shape[0], W.shape[1], 0, W.dtype)
        arrays = {"W": W}
        if "bias" in given:
            arrays["b"] = take("bias", W.shape[1])
    for name, a in arrays.items():
        layer.params[name][...] = a
    return layer
