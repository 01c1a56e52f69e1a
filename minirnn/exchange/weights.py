"""Weights from and to PyTorch and Keras: plain functions over dictionaries and lists of arrays.

Neither library is imported; ``safetensors.numpy.save_file(to_torch(layer), path)`` writes such a
dictionary to a file. ``to_onnx`` takes whole models to other runtimes. The layouts differ: PyTorch
keeps W transposed and two biases whose sum is b; Keras has our layout, but other orders of the
gates. The GRU's second bias of the candidate, ``b_hn``, is not added to b, since r multiplies it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.rnn import RNN
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array, Layer

KERAS_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "zrn"}  # Keras calls g c, and n h
OUR_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "rzn"}

Kind: TypeAlias = Literal["RNN", "LSTM", "GRU"]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]


def to_torch(layer: Layer) -> dict[str, Array]:
    """The ``state_dict`` of the ``torch.nn.RNN``, ``LSTM`` or ``GRU`` that computes the same.

    layer: a cell, a concatenating ``Bidirectional`` of two, or a ``Sequential`` of several of one
    kind and size, PyTorch's ``num_layers``. Raises TypeError for other layers.
    """
    found: dict[str, Array] = {}
    for k, one in enumerate(layer.layers if isinstance(layer, Sequential) else [layer]):
        directions: dict[str, Any] = {"": one}
        if isinstance(one, Bidirectional):
            checks.choice(one.merge, "merge", ["concat"])
            directions = {"": one.parts["forward"], "_reverse": one.parts["backward"]}
        for end, cell in directions.items():
            p = _plain(cell).params
            second = np.zeros_like(p["b"])
            if "b_hn" in p:
                second[2 * cell.hidden_size :] = p["b_hn"]
            found |= {
                f"weight_ih_l{k}{end}": p["W_x"].T.copy(),
                f"weight_hh_l{k}{end}": p["W_h"].T.copy(),
                f"bias_ih_l{k}{end}": p["b"].copy(),
                f"bias_hh_l{k}{end}": second,
            }
    return found


def from_torch(
    state_dict: Mapping[str, Any], kind: Kind, nonlinearity: Nonlinearity = "tanh"
) -> Any:
    """The layer that computes what a ``torch.nn.RNN``, ``LSTM`` or ``GRU`` does.

    state_dict: name to array, or to a tensor on the CPU. kind: "RNN", "LSTM" or "GRU". Returns a
    cell, a ``Bidirectional``, or a ``Sequential`` of them.
    """
    checks.choice(kind, "kind", OUR_ORDER)
    arrays = {name: np.asarray(a) for name, a in state_dict.items()}
    layers: list[Any] = []
    while f"weight_ih_l{len(layers)}" in arrays:
        ends = [e for e in ("", "_reverse") if f"weight_ih_l{len(layers)}{e}" in arrays]
        cells = []
        for end in ends:
            try:
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                own = [arrays.pop(f"{name}_l{len(layers)}{end}") for name in names]
            except KeyError as error:
                raise ValueError(
                    f"state_dict: expected also {error}, for a layer with biases"
                ) from None
            cells.append(_from_torch(kind, nonlinearity, *own))
        layers.append(cells[0] if len(cells) == 1 else Bidirectional(*cells))
    if arrays or not layers:
        expected = "weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, ... and no more"
        raise ValueError(f"state_dict: expected {expected}, got {sorted(arrays) or 'nothing'}")
    return layers[0] if len(layers) == 1 else Sequential(*layers)


def _from_torch(
    kind: Kind, nonlinearity: Nonlinearity, W_ih: Array, W_hh: Array, b_ih: Array, b_hh: Array
) -> Any:
    n, H = len(OUR_ORDER[kind]), W_hh.shape[-1]
    if W_ih.ndim != 2 or W_hh.shape != (n * H, H) or len(W_ih) != n * H:
        raise ValueError(
            f"state_dict: weights {W_ih.shape}, {W_hh.shape} are not those of a {kind}"
        )
    cell = _make(kind, W_ih.shape[1], H, nonlinearity, W_ih.dtype)
    b = b_ih + b_hh
    if kind == "GRU":
        b[2 * H :] = b_ih[2 * H :]
        cell.params["b_hn"][...] = b_hh[2 * H :]
    cell.params["W_x"][...], cell.params["W_h"][...], cell.params["b"][...] = W_ih.T, W_hh.T, b
    return cell


def to_keras(cell: Layer) -> list[Array]:
    """What ``set_weights`` of a ``keras.layers.SimpleRNN``, ``LSTM`` or ``GRU`` takes: kernel,
    recurrent kernel, bias. A GRU with ``reset="after"`` belongs to Keras' ``reset_after=True``."""
    plain = _plain(cell)
    kind, p = type(plain).__name__, plain.params
    W_x, W_h, b = (reorder(p[n], OUR_ORDER[kind], KERAS_ORDER[kind]) for n in ("W_x", "W_h", "b"))
    if "b_hn" in p:
        second = np.zeros_like(b)
        second[2 * plain.hidden_size :] = p["b_hn"]
        b = np.stack([b, second])
    return [W_x, W_h, b]


def from_keras(weights: Sequence[Any], kind: Kind, nonlinearity: Nonlinearity = "tanh") -> Any:
    """The cell that computes what Keras' layer with these ``get_weights()`` does.

    kind: "RNN", "LSTM" or "GRU"; the shape of a GRU's bias shows whether it resets before or after.
    """
    checks.choice(kind, "kind", OUR_ORDER)
    if len(weights) != 3:
        raise ValueError(f"weights: expected kernel, recurrent kernel, bias, got {len(weights)}")
    W_x, W_h, b = (np.asarray(w) for w in weights)
    H = len(W_h)
    two = b.ndim == 2 and kind == "GRU"
    if W_h.shape != (H, len(OUR_ORDER[kind]) * H) or b.shape[-1:] != W_h.shape[1:]:
        raise ValueError(
            f"weights: shapes {W_x.shape}, {W_h.shape}, {b.shape} are not those of a {kind}"
        )
    cell = _make(kind, len(W_x), H, nonlinearity, W_x.dtype, "after" if two else "before")
    if two:
        first, second = (reorder(row, KERAS_ORDER[kind], OUR_ORDER[kind]) for row in b)
        cell.params["b_hn"][...] = second[2 * H :]
        second[2 * H :] = 0
        cell.params["b"][...] = first + second
    else:
        cell.params["b"][...] = reorder(b, KERAS_ORDER[kind], OUR_ORDER[kind])
    for name, W in (("W_x", W_x), ("W_h", W_h)):
        cell.params[name][...] = reorder(W, KERAS_ORDER[kind], OUR_ORDER[kind])
    return cell


def _make(
    kind: Kind, D: int, H: int, nonlinearity: Nonlinearity, dtype: Any, reset: Any = "after"
) -> Any:
    if kind == "RNN":
        return RNN(D, H, nonlinearity, rng=0, dtype=dtype)
    return LSTM(D, H, rng=0, dtype=dtype) if kind == "LSTM" else GRU(D, H, reset, 0, dtype)


def _plain(cell: Any) -> Any:
    """A cell of the three kinds without peepholes."""
    if type(cell) not in (RNN, LSTM, GRU) or getattr(cell, "peephole", False):
        expected = "an RNN, a GRU or an LSTM without peepholes"
        raise TypeError(f"layer: expected {expected}, got {type(cell).__name__}")
    return cell


def reorder(a: Array, order: str, wanted: str) -> Array:
    """The blocks of gates along the last axis in another order."""
    blocks = dict(zip(order, np.split(a, len(order), axis=-1), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted], axis=-1)
