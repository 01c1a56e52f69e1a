"""Weights from and to PyTorch and Keras: plain functions over dictionaries and lists of arrays.

Neither library is imported; ``safetensors.numpy.save_file(to_torch(layer), path)`` writes such a
dictionary to a file. ``to_onnx`` takes whole models to other runtimes. The layouts differ: PyTorch
keeps W transposed and two biases whose sum is b; Keras has our layout, but other orders of the
gates. The GRU's second bias of the candidate, ``b_hn``, is not added to b, since r multiplies it.

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
from minirnn.cells.lstm import LSTM
from minirnn.cells.rnn import RNN
from minirnn.description import At
from minirnn.exchange.checked import ANY, SIZES, Table, compared, parameters, reorder, taker
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer

OUR_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "rzn"}  # and PyTorch's
KERAS_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "zrn"}  # Keras calls g c, and n h
GATES = {1: "H", 3: "3H", 4: "4H"}  # an axis of the weights, by the number of gates

Kind: TypeAlias = Literal["RNN", "LSTM", "GRU"]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]

# What the other library has, too.
KERAS: Table = {
    RNN: SIZES | {"nonlinearity": ["tanh", "relu"]},
    LSTM: SIZES | {"peephole": [False]},
    GRU: SIZES | {"reset": ["after", "before"]},
}
PYTORCH: Table = {**KERAS, GRU: SIZES | {"reset": ["after"]}}
PYTORCH_STACKS: Table = {
    Sequential: {"layers": ANY},
    Bidirectional: {"forward_layer": ANY, "backward_layer": ANY, "merge": ["concat"]},
}


def cell_params(cell: Any, dtype: Any = None) -> dict[str, Array]:
    """``parameters`` of an RNN, LSTM or GRU. Which there are follows from what it was made with."""
    D, H, n = cell.input_size, cell.hidden_size, len(OUR_ORDER[type(cell).__name__])
    shapes: dict[str, tuple[int, ...]] = {"W_x": (D, n * H), "W_h": (H, n * H), "b": (n * H,)}
    if type(cell) is GRU and cell.reset == "after":
        shapes["b_hn"] = (H,)
    if type(cell) is LSTM and cell.peephole:
        shapes |= dict.fromkeys(("p_i", "p_f", "p_o"), (H,))
    return parameters(cell, shapes, dtype)


def _made(kind: Kind, nonlinearity: Nonlinearity, **params: Array) -> Any:
    """The cell with these parameters."""
    D, H, dtype = len(params["W_x"]), len(params["W_h"]), params["W_x"].dtype
    cell: Any
    if kind == "RNN":
        cell = RNN(D, H, nonlinearity, rng=0, dtype=dtype)
    elif kind == "LSTM":
        cell = LSTM(D, H, rng=0, dtype=dtype)
    else:
        cell = GRU(D, H, "after" if "b_hn" in params else "before", rng=0, dtype=dtype)
    cell.params = {name: np.array(p, order="C") for name, p in params.items()}
    cell_params(cell)  # the sum of two finite biases may be infinite
    return cell


def _biases(kind: Kind, first: Array, second: Array) -> dict[str, Array]:
    """Our biases for two of which one belongs to the input, and one to the state."""
    with np.errstate(over="ignore"):
        b = first + second
    if kind != "GRU":
        return {"b": b}
    n = len(b) // 3 * 2
    b[n:] = first[n:]
    return {"b": b, "b_hn": second[n:]}


def _gates(kind: Kind, nonlinearity: Nonlinearity) -> int:
    """The number of gates, after a check of the arguments."""
    checks.choice(kind, "kind", OUR_ORDER)
    known = ["tanh", "relu"] if kind == "RNN" else ["tanh"]  # no other cell has a choice
    checks.choice(nonlinearity, "nonlinearity", known)
    return len(OUR_ORDER[kind])


# ---- PyTorch ------------------------------------------------------------------------------------

TORCH_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def to_torch(layer: Layer) -> dict[str, Array]:
    """The ``state_dict`` of the ``torch.nn.RNN``, ``LSTM`` or ``GRU`` that computes the same.

    layer: an RNN, a GRU with ``reset="after"`` or an LSTM without peepholes, a concatenating
        ``Bidirectional`` of two, or a ``Sequential`` of several of one kind and size, PyTorch's
        ``num_layers``. The module is to be made with the same sizes and ``nonlinearity``. It stacks
        states in one array: layer by layer, forward before backward.

    Returns new arrays of the layer's dtype, of which ``from_torch`` makes an equal layer. Raises
    TypeError for what a ``state_dict`` cannot say: other layers and options, ``Dropout`` between
    two layers (in PyTorch an argument of the module), one array at two places. Raises ValueError
    for parameters that have a wrong shape or are not finite.
    """
    found: dict[str, Array] = {}
    used: dict[str, Array] = {}
    expected: dict[str, Any] = {}
    for k, directions, end, place, cell in _torch_cells(layer):
        with At(place, cell) if place else contextlib.nullcontext():
            own = {"kind": type(cell).__name__, **compared(cell, PYTORCH, "PyTorch")}
            own["directions"] = directions
            expected = expected or own
            if k > 0:
                expected["input_size"] = expected["directions"] * expected["hidden_size"]
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
        own_arrays = p["W_x"].T.copy(), p["W_h"].T.copy(), p["b"], second
        names = (f"{name}_l{k}{end}" for name in TORCH_NAMES)
        found |= zip(names, own_arrays, strict=True)
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


def from_torch(
    state_dict: Mapping[str, Any], kind: Kind, nonlinearity: Nonlinearity = "tanh"
) -> Any:
    """The layer that computes what a ``torch.nn.RNN``, ``LSTM`` or ``GRU`` does.

    state_dict: name to array, or to a tensor on the CPU, all float32 or all float64.
    kind: "RNN", "LSTM" or "GRU". It and the nonlinearity of an RNN do not stand in a
        ``state_dict``. Of the module's other options ``bias=False`` and ``proj_size`` are not
        known here, and ``batch_first`` does not matter: x is (T, B, D).

    Returns a cell, a ``Bidirectional``, or a ``Sequential`` of them. Raises ValueError or TypeError
    for names, shapes or dtypes that are not those of one such module, and for numbers that are not
    finite.
    """
    n = _gates(kind, nonlinearity)
    given = checks.by_name(state_dict, "state_dict")
    number = next(k for k in itertools.count() if f"weight_ih_l{k}" not in given)
    ends = ["", "_reverse"] if "weight_ih_l0_reverse" in given else [""]
    names = [f"{a}_l{k}{end}" for k in range(max(number, 1)) for end in ends for a in TORCH_NAMES]
    if missing := [name for name in names if name not in given]:
        got = f"{list(given)!r:.80}"
        raise ValueError(f"state_dict: expected also {', '.join(missing)}, got {got}")
    if more := [name for name in given if name not in names]:
        raise ValueError(f"state_dict: expected {', '.join(names)} and no more, got {more!r:.80}")
    take = taker(given, "state_dict: {} of kind " + repr(kind))
    H = take("weight_hh_l0", GATES[n], "H").shape[1]
    take("weight_hh_l0", n * H, H)  # the other shapes follow from it
    D = take("weight_ih_l0", n * H, "D").shape[1]
    layers: list[Any] = []
    for k in range(number):
        cells = []
        for end in ends:
            shapes = [(n * H, D), (n * H, H), (n * H,), (n * H,)]
            W_ih, W_hh, b_ih, b_hh = (
                take(f"{name}_l{k}{end}", *shape)
                for name, shape in zip(TORCH_NAMES, shapes, strict=True)
            )
            biases = _biases(kind, b_ih, b_hh)
            cells.append(_made(kind, nonlinearity, W_x=W_ih.T, W_h=W_hh.T, **biases))
        layers.append(cells[0] if len(cells) == 1 else Bidirectional(*cells))
        D = len(ends) * H
    return layers[0] if len(layers) == 1 else Sequential(*layers)


# ---- Keras --------------------------------------------------------------------------------------


def to_keras(cell: Layer) -> list[Array]:
    """What ``set_weights`` of a ``keras.layers.SimpleRNN``, ``LSTM`` or ``GRU`` takes: kernel,
    recurrent kernel, bias.

    cell: an RNN, a GRU, or an LSTM without peepholes. A GRU with ``reset="after"`` belongs to
        Keras' ``reset_after=True``, an RNN with "relu" to ``activation="relu"``.

    Returns new arrays of the cell's dtype. Raises TypeError for other layers and options, and
    ValueError for parameters that have a wrong shape or are not finite.
    """
    plain: Any = cell
    compared(plain, KERAS, "Keras", "cell")
    kind, p = type(plain).__name__, cell_params(plain)
    W_x, W_h, b = (reorder(p[n], OUR_ORDER[kind], KERAS_ORDER[kind]) for n in ("W_x", "W_h", "b"))
    if "b_hn" in p:
        second = np.zeros_like(b)
        second[2 * plain.hidden_size :] = p["b_hn"]
        b = np.stack([b, second])
    return [W_x, W_h, b]


def from_keras(weights: Sequence[Any], kind: Kind, nonlinearity: Nonlinearity = "tanh") -> Any:
    """The cell that computes what Keras' layer with these ``get_weights()`` does.

    weights: kernel (D, G*H), recurrent kernel (H, G*H), bias (G*H,), of a GRU also (2, G*H), in
        this order, with G the number of gates; all float32 or all float64.
    kind: "RNN", "LSTM" or "GRU"; the shape of a GRU's bias shows whether it resets before or after.

    Raises ValueError or TypeError for shapes or dtypes that are not those of such a layer, and for
    numbers that are not finite.
    """
    n = _gates(kind, nonlinearity)
    if not isinstance(weights, (list, tuple)) or len(weights) != 3:
        got = len(weights) if isinstance(weights, (list, tuple)) else type(weights).__name__
        raise ValueError(f"weights: expected kernel, recurrent kernel, bias, got {got}")
    names = ("kernel", "recurrent kernel", "bias")
    take = taker(dict(zip(names, weights, strict=True)), "weights: {} of kind " + repr(kind))
    H = len(take("recurrent kernel", "H", GATES[n]))

    def ours(a: Array) -> Array:
        return reorder(a, KERAS_ORDER[kind], OUR_ORDER[kind])

    W_h, W_x = ours(take("recurrent kernel", H, n * H)), ours(take("kernel", "D", n * H))
    if kind == "GRU" and np.ndim(weights[2]) == 2:
        biases = _biases(kind, *ours(take("bias", 2, n * H)))
    else:
        biases = {"b": ours(take("bias", n * H))}
    return _made(kind, nonlinearity, W_x=W_x, W_h=W_h, **biases)
