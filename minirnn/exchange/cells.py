"""The parameters of a cell, and the cell that has given parameters: what all exchanges share."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.projected_lstm import ProjectedLSTM
from minirnn.cells.rnn import RNN
from minirnn.exchange.checked import SIZES, Table, parameters
from minirnn.protocol import Array

OUR_ORDER = {"RNN": "h", "LSTM": "ifgo", "GRU": "rzn"}  # and PyTorch's
GATES = {1: "H", 3: "3H", 4: "4H"}  # an axis of the weights, by the number of gates

Kind: TypeAlias = Literal["RNN", "LSTM", "GRU"]
Nonlinearity: TypeAlias = Literal["tanh", "relu"]

# What the other libraries have, too.
CELLS: Table = {
    RNN: SIZES | {"nonlinearity": ["tanh", "relu"]},
    LSTM: SIZES | {"peephole": [False]},
    GRU: SIZES | {"reset": ["after", "before"]},
}


def cell_params(cell: Any, dtype: Any = None) -> dict[str, Array]:
    """``parameters`` of an RNN, LSTM or GRU. Which there are follows from what it was made with."""
    if type(cell) is ProjectedLSTM:
        D, H, P = cell.input_size, cell.hidden_size, cell.proj_size
        return parameters(
            cell, {"W_x": (D, 4 * H), "W_h": (P, 4 * H), "b": (4 * H,), "W_r": (H, P)}, dtype
        )
    D, H, n = cell.input_size, cell.hidden_size, len(OUR_ORDER[type(cell).__name__])
    shapes: dict[str, tuple[int, ...]] = {"W_x": (D, n * H), "W_h": (H, n * H), "b": (n * H,)}
    if type(cell) is GRU and cell.reset == "after":
        shapes["b_hn"] = (H,)
    if type(cell) is LSTM and cell.peephole:
        shapes |= dict.fromkeys(("p_i", "p_f", "p_o"), (H,))
    return parameters(cell, shapes, dtype)


def made(kind: Kind, nonlinearity: Nonlinearity, **params: Array) -> Any:
    """The cell with these parameters."""
    D, H, dtype = len(params["W_x"]), len(params["W_h"]), params["W_x"].dtype
    cell: Any
    if kind == "RNN":
        cell = RNN(D, H, nonlinearity, rng=0, dtype=dtype)
    elif "W_r" in params:
        H, P = params["W_r"].shape
        cell = ProjectedLSTM(D, H, P, rng=0, dtype=dtype)
    elif kind == "LSTM":
        cell = LSTM(D, H, peephole="p_i" in params, rng=0, dtype=dtype)
    else:
        cell = GRU(D, H, "after" if "b_hn" in params else "before", rng=0, dtype=dtype)
    cell.params = {name: np.array(p, order="C") for name, p in params.items()}
    cell_params(cell)  # the sum of two finite biases may be infinite
    return cell


def biases(kind: Kind, first: Array, second: Array) -> dict[str, Array]:
    """Our biases for two of which one belongs to the input, and one to the state."""
    with np.errstate(over="ignore"):
        b = first + second
    if kind != "GRU":
        return {"b": b}
    n = len(b) // 3 * 2
    b[n:] = first[n:]
    return {"b": b, "b_hn": second[n:]}


def gates(kind: Kind, nonlinearity: Nonlinearity) -> int:
    """The number of gates, after a check of the arguments."""
    checks.choice(kind, "kind", OUR_ORDER)
    known = ["tanh", "relu"] if kind == "RNN" else ["tanh"]  # no other cell has a choice
    checks.choice(nonlinearity, "nonlinearity", known)
    return len(OUR_ORDER[kind])
