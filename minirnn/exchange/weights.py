"""Weights from and to PyTorch: plain functions over dictionaries of arrays.

PyTorch is not imported; ``safetensors.numpy.save_file(to_torch(layer), path)`` writes such a
dictionary to a file. ``to_onnx`` takes whole models to other runtimes. The layout differs: PyTorch
keeps W transposed and two biases whose sum is b. The GRU's second bias of the candidate, ``b_hn``,
is not added to b, since r multiplies it.

What is written computes the same there, and what is read computes the same here; all else is
refused, see ``checked.py``.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.cells.gru import GRU
from minirnn.cells.projected_lstm import ProjectedLSTM
from minirnn.description import At
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
from minirnn.exchange.checked import ANY, SIZES, Table, compared, parameters, taker
from minirnn.exchange.state_dicts import arrays_of_module, module_at
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.embedding import Embedding
from minirnn.layers.linear import Linear
from minirnn.layers.norm import LayerNorm
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer

Module: TypeAlias = Kind | Literal["Linear", "Embedding", "LayerNorm"]

# What the other library has, too.
PYTORCH: Table = {
    **CELLS,
    GRU: SIZES | {"reset": ["after"]},
    ProjectedLSTM: SIZES | {"proj_size": ANY},
}
PYTORCH_STATELESS: Table = {
    Linear: {"in_features": ANY, "out_features": ANY, "dtype": ANY},
    Embedding: {"num_embeddings": ANY, "embedding_dim": ANY, "dtype": ANY},
    LayerNorm: {"num_features": ANY, "eps": ANY, "dtype": ANY},
}
PYTORCH_STACKS: Table = {
    Sequential: {"layers": ANY},
    Bidirectional: {"forward_layer": ANY, "backward_layer": ANY, "merge": ["concat"]},
}
STATELESS = ("Linear", "Embedding", "LayerNorm")
TORCH_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def to_torch(layer: Layer) -> dict[str, Array]:
    """The ``state_dict`` of the ``torch.nn.RNN``, ``LSTM`` or ``GRU`` that computes the same, or of
    the ``Linear``, ``Embedding`` or ``LayerNorm``.

    layer: an RNN, a GRU with ``reset="after"``, an LSTM without peepholes or a ``ProjectedLSTM``,
        a concatenating ``Bidirectional`` of two, or a ``Sequential`` of several of one kind and
        size, PyTorch's ``num_layers``. The module (of a ``ProjectedLSTM``: ``torch.nn.LSTM`` with
        ``proj_size``) is to be made with the same sizes and ``nonlinearity``. It stacks
        states in one array: layer by layer, forward before backward. A ``Linear``, an
        ``Embedding`` or a ``LayerNorm`` (whose ``eps`` is an argument there) by itself.

    Returns new arrays of the layer's dtype, of which ``from_torch`` makes an equal layer. Raises
    TypeError for what a ``state_dict`` cannot say: other layers and options, ``Dropout`` between
    two layers (in PyTorch an argument of the module), one array at two places. Raises ValueError
    for parameters that have a wrong shape or are not finite.
    """
    if type(layer) in PYTORCH_STATELESS:
        compared(layer, PYTORCH_STATELESS, "PyTorch")
        return _stateless_to_torch(layer)
    found: dict[str, Array] = {}
    used: dict[str, Array] = {}
    expected: dict[str, Any] = {}
    for k, directions, end, place, cell in _torch_cells(layer):
        known = PYTORCH if place else {**PYTORCH, **PYTORCH_STATELESS}
        with At(place, cell) if place else contextlib.nullcontext():
            own = {"kind": type(cell).__name__, **compared(cell, known, "PyTorch")}
            own["directions"] = directions
            expected = expected or own
            if k > 0:
                size = expected.get("proj_size", expected["hidden_size"])
                expected["input_size"] = expected["directions"] * size
            for name, value in expected.items():
                if own.get(name) != value:
                    raise TypeError(
                        f"layer: expected {name} {value!r}, since PyTorch's layers are all of one "
                        f"kind and size, got {own.get(name)!r}"
                    )
            p = cell_params(cell)
        second = np.zeros_like(p["b"])
        if "b_hn" in p:
            second[2 * cell.hidden_size :] = p["b_hn"]
        own_arrays = [p["W_x"].T.copy(), p["W_h"].T.copy(), p["b"], second]
        own_arrays += [p["W_r"].T.copy()] if "W_r" in p else []
        names = (f"{name}_l{k}{end}" for name in (*TORCH_NAMES, "weight_hr"))
        found |= zip(names, own_arrays, strict=False)
        used |= {f"{place}.{name}".lstrip("."): a for name, a in cell.params.items()}
    for (one, a), (other, b) in itertools.combinations(used.items(), 2):
        if np.shares_memory(a, b):
            raise TypeError(
                f"layer: expected an array for each parameter, as PyTorch has, got one array for "
                f"{one} and {other}"
            )
    return found


def _torch_cells(layer: Any) -> Iterator[tuple[int, int, str, str, Any]]:
    """For each cell the number of its layer in PyTorch, that layer's directions, the end of its
    names there, the place of the cell here, and the cell."""
    layers = {"": layer}
    if type(layer) is Sequential:
        compared(layer, PYTORCH_STACKS, "PyTorch")
        layers = layer.parts
    for k, (place, one) in enumerate(layers.items()):
        if type(one) is not Bidirectional:
            yield k, 1, "", place, one
            continue
        compared(one, PYTORCH_STACKS, "PyTorch")
        for end, (name, cell) in zip(("", "_reverse"), one.parts.items(), strict=True):
            yield k, 2, end, f"{place}.{name}".lstrip("."), cell


def _stateless_to_torch(layer: Any) -> dict[str, Array]:
    if type(layer) is Embedding:
        p = parameters(layer, {"W": (layer.num_embeddings, layer.embedding_dim)})
        return {"weight": p["W"]}
    if type(layer) is LayerNorm:
        shape = (layer.num_features,)
        p = parameters(layer, {"g": shape, "b": shape})
        return {"weight": p["g"], "bias": p["b"]}
    D, K = layer.in_features, layer.out_features
    p = parameters(layer, {"W": (D, K), "b": (K,)})
    return {"weight": p["W"].T.copy(), "bias": p["b"]}


def from_torch(
    state_dict: Any,
    kind: Module,
    nonlinearity: Nonlinearity = "tanh",
    prefix: str | None = None,
) -> Any:
    """The layer that computes what one of PyTorch's modules does.

    state_dict: ``net.state_dict()`` of the module or of a whole model that has it, name to array or
        to tensor, all float32 or all float64 (float16 and bfloat16 become float32); or ``net``.
    kind: "RNN", "LSTM" or "GRU", also for ``RNNCell``, ``LSTMCell`` and ``GRUCell``; "Linear",
        "Embedding" or "LayerNorm". It and the nonlinearity of an RNN do not stand in a
        ``state_dict``. Biases that are not there (``bias=False``) are zero here. An LSTM with
        ``proj_size`` becomes a ``ProjectedLSTM``. ``batch_first`` does not matter: x is (T, B, D).
        The ``eps`` of a LayerNorm is that of the module if this is given, else 1e-5.
    prefix: where the module is in the model, "encoder.rnn" for "encoder.rnn.weight_ih_l0". None:
        the only place where the arrays are those of such a module.

    Returns a cell, a ``Bidirectional``, a ``Sequential`` of them, or a layer of the other kinds.
    Raises ValueError or TypeError for names, shapes or dtypes that are not those of one such
    module, where several are meant, and for numbers that are not finite.
    """
    checks.choice(kind, "kind", (*OUR_ORDER, *STATELESS))
    n = 0
    if kind == "RNN" or kind == "LSTM" or kind == "GRU":
        n = gates(kind, nonlinearity)
    place, given = arrays_of_module(state_dict, kind, n, prefix)
    module = module_at(state_dict, place)
    _check_module(module, kind, nonlinearity)
    label = f"state_dict: {place}{{}} of kind {kind!r}"
    if kind == "Linear" or kind == "Embedding" or kind == "LayerNorm":
        return _stateless_from_torch(given, kind, label, getattr(module, "eps", 1e-5))
    return _cells_from_torch(given, kind, nonlinearity, label)


def _stateless_from_torch(given: Mapping[str, Any], kind: str, label: str, eps: float) -> Any:
    has_bias = kind != "Embedding" and "bias" in given
    take = taker(_only(["weight", "bias"] if has_bias else ["weight"], given), label)
    layer: Any
    if kind == "LayerNorm":
        g = take("weight", "D")
        layer, arrays = LayerNorm(len(g), eps, dtype=g.dtype), {"g": g}
    elif kind == "Embedding":
        W = take("weight", "V", "E")
        layer, arrays = Embedding(W.shape[0], W.shape[1], 0, W.dtype), {"W": W}
    else:
        W = take("weight", "K", "D").T
        layer, arrays = Linear(W.shape[0], W.shape[1], 0, W.dtype), {"W": W}
    if has_bias:
        arrays["b"] = take("bias", len(given["weight"]))
    for name, a in arrays.items():
        layer.params[name][...] = a
    return layer


def _cells_from_torch(
    given: Mapping[str, Any], kind: Kind, nonlinearity: Nonlinearity, label: str
) -> Any:
    n = len(OUR_ORDER[kind])
    number = next(k for k in itertools.count() if f"weight_ih_l{k}" not in given)
    both = "weight_ih_l0_reverse" in given
    ends = [[f"_l{k}", f"_l{k}_reverse"][: 1 + both] for k in range(max(number, 1))]
    if "weight_ih" in given or "weight_hh" in given:  # of an LSTMCell
        ends = [[""]]
    bias_names = TORCH_NAMES[2:] if any(name.startswith("bias") for name in given) else ()
    projected = kind == "LSTM" and f"weight_hr{ends[0][0]}" in given
    arrays = [*TORCH_NAMES[:2], *bias_names, *["weight_hr"] * projected]
    take = taker(_only([a + end for level in ends for end in level for a in arrays], given), label)
    if projected:
        P, H = take(f"weight_hr{ends[0][0]}", "P", "H").shape
    else:
        P = H = take(f"weight_hh{ends[0][0]}", GATES[n], "H").shape[1]
    take(f"weight_hh{ends[0][0]}", n * H, P)  # the other shapes follow from it
    D = take(f"weight_ih{ends[0][0]}", n * H, "D").shape[1]
    layers: list[Any] = []
    for level in ends:
        cells = []
        for end in level:
            W_ih, W_hh = take(f"weight_ih{end}", n * H, D), take(f"weight_hh{end}", n * H, P)
            zeros = np.zeros(n * H, W_hh.dtype)
            both_b = [take(f"{name}{end}", n * H) for name in bias_names] or [zeros, zeros]
            own = biases(kind, *both_b)
            if projected:
                own["W_r"] = take(f"weight_hr{end}", P, H).T
            cells.append(made(kind, nonlinearity, W_x=W_ih.T, W_h=W_hh.T, **own))
        layers.append(cells[0] if len(cells) == 1 else Bidirectional(*cells))
        D = len(level) * P
    return layers[0] if len(layers) == 1 else Sequential(*layers)


def _only(names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of these names. ValueError unless these are all, and no more."""
    if missing := [name for name in names if name not in given]:
        got = f"{list(given)!r:.80}"
        raise ValueError(f"state_dict: expected also {', '.join(missing)}, got {got}")
    if more := [name for name in given if name not in names]:
        expected = f"{', '.join(names)} and no more"
        raise ValueError(f"state_dict: expected {expected}, got {more!r:.80}")
    return {name: given[name] for name in names}


def _check_module(module: Any, kind: Module, nonlinearity: Nonlinearity) -> None:
    """ValueError for what a module says of itself, and a ``state_dict`` does not."""
    own = getattr(module, "nonlinearity", None)
    if kind == "RNN" and own in ("tanh", "relu") and own != nonlinearity:
        raise ValueError(f"nonlinearity: expected {own!r}, as the module has, got {nonlinearity!r}")
    if getattr(module, "max_norm", None) is not None:
        got = f"max_norm={module.max_norm!r}"
        raise ValueError(f"state_dict: expected an Embedding without max_norm, got {got}")
