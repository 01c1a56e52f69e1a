"""Weights from and to Keras: plain functions over lists of arrays.

Keras is not imported. The layout is ours, but for the order of the gates. A GRU that resets after
the product has two biases, in one array of two rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

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
from minirnn.exchange.checked import compared, reorder, taker
from minirnn.protocol import Array, Layer

KERAS_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "zrn"}  # Keras calls g c, and n h


def to_keras(cell: Layer) -> list[Array]:
    """What ``set_weights`` of a ``keras.layers.SimpleRNN``, ``LSTM`` or ``GRU`` takes: kernel,
    recurrent kernel, bias.

    cell: an RNN, a GRU, or an LSTM without peepholes. A GRU with ``reset="after"`` belongs to
        Keras' ``reset_after=True``, an RNN with "relu" to ``activation="relu"``.

    Returns new arrays of the cell's dtype. Raises TypeError for other layers and options, and
    ValueError for parameters that have a wrong shape or are not finite.
    """
    plain: Any = cell
    compared(plain, CELLS, "Keras", "cell")
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
    n = gates(kind, nonlinearity)
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
        own = biases(kind, *ours(take("bias", 2, n * H)))
    else:
        own = {"b": ours(take("bias", n * H))}
    return made(kind, nonlinearity, W_x=W_x, W_h=W_h, **own)
