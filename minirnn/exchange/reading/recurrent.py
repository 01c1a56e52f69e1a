"""The operators RNN, LSTM and GRU of ONNX as cells, with their directions and initial states.

The gates stand there in the order i o f c (LSTM) or z r h (GRU), each weight is transposed and has
a leading axis of directions, and there are two biases. Inputs: X, W, R, B, lengths, the initial
states, and an LSTM's peepholes P. Outputs: Y (T, directions, B, H), and the final states.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.exchange.cells import OUR_ORDER, biases, made
from minirnn.exchange.checked import reorder
from minirnn.exchange.reading.addresses import CELL_STATE, Addresses, CannotTakeError
from minirnn.exchange.reading.values import Data, Known, Node, finite, numbers
from minirnn.layers.bidirectional import Bidirectional, reverse
from minirnn.layers.learned_state import LearnedState
from minirnn.protocol import Array

ORDER = {"RNN": "h", "LSTM": "iofg", "GRU": "zrn"}
ACTIVATIONS = {"RNN": ["tanh"], "LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"]}


def recurrent(node: Node) -> list[Any]:
    """One operator, in one direction or both: the addresses of its outputs."""
    book, by_batch = node.book, bool(node.get("layout", 0))
    data = numbers(node.values[0])
    ids = data.ids.swapaxes(0, 1) if by_batch else data.ids
    below, rows = book.resolve(ids)
    direction = node.get("direction", "forward")
    turned = direction == "reverse"
    n = 2 if direction == "bidirectional" else 1
    lengths = _lengths(node, direction)
    backwards = _runs_backwards(book, rows)
    cells = [_cell(node, k, n, below.K) for k in range(n)]
    H = cells[0].hidden_size
    cells = _started(node, cells, by_batch)
    shape = book.T, book.B, n * H
    if n == 2:
        key = "Bidirectional op", *(id(cell) for cell in cells)
        layer = book.layer(key, lambda: Bidirectional(*cells))
        source = book.source(shape, layer, below, backwards, timed=True)
    else:
        source = book.source(shape, cells[0], below, backwards != turned, timed=True)
    y = reverse(source.ids, lengths) if turned else source.ids
    y = np.stack(np.split(y, n, axis=2), axis=1)
    # The last step that each direction computes: of a backward layer the first of the sequence.
    last = source.ids[lengths - 1, np.arange(book.B), :H]
    final = np.stack([last, source.ids[0, :, H:]][:n])
    cells_ids = book.source((n, book.B, H), CELL_STATE, source).ids
    if by_batch:
        y = y.transpose(2, 0, 1, 3)
        final, cells_ids = final.swapaxes(0, 1), cells_ids.swapaxes(0, 1)
    return [Data(y), Data(final), Data(cells_ids)]


def _runs_backwards(book: Addresses, rows: Array) -> bool:
    """Whether the steps come from the last to the first."""
    plain = np.arange(book.T * book.B).reshape(book.T, book.B)
    if rows.shape == plain.shape:
        for backwards, order in ((False, plain), (True, reverse(plain, book.lengths))):
            if (rows == order)[book.valid].all():
                return backwards
    raise CannotTakeError("expected x of axes (T, B, D), with all steps in their order")


def _lengths(node: Node, direction: str) -> Array:
    book = node.book
    whole = np.full(book.B, book.T)
    if len(node.values) < 5 or node.values[4] is None:
        if direction != "forward" and (book.lengths != whole).any():
            raise CannotTakeError("expected sequence_lens: a backward direction begins at the end")
        return whole
    given = node.known(4, "sequence_lens", True).array.ravel()
    if np.array_equal(given, book.lengths) or np.array_equal(given, whole):
        return given.astype(np.int64)
    raise CannotTakeError("expected the lengths that are given with x")


def _cell(node: Node, k: int, n: int, D: int) -> Any:
    """The cell of one direction."""
    kind: Any = node.kind
    gates = len(ORDER[kind])
    inputs = [*node.values, *[None] * 8]
    W, R = node.known(1, "W"), node.known(2, "R")
    H = R.array.shape[-1]
    shapes = {1: (n, gates * H, D), 2: (n, gates * H, H), 3: (n, 2 * gates * H), 7: (n, 3 * H)}
    used = [j for j in shapes if inputs[j] is not None and (j < 7 or kind == "LSTM")]
    for j in used:
        found = node.known(j, "weight").array.shape
        if found != shapes[j]:
            raise CannotTakeError(f"expected weights {shapes[j]}, got {found}")
    nonlinearity = _options(node, k, n, H)
    reset = bool(node.get("linear_before_reset", 0))

    def ours(a: Array) -> Array:
        return reorder(a, ORDER[kind], OUR_ORDER[kind])

    def make() -> Any:
        params = {"W_x": ours(W.array[k].T), "W_h": ours(R.array[k].T)}
        b = np.zeros(2 * gates * H) if inputs[3] is None else inputs[3].array[k]
        own = biases(kind, *map(ours, np.split(b, 2)))
        if kind == "GRU" and not reset:
            own = {"b": ours(b[: gates * H]) + ours(b[gates * H :])}
        if 7 in used:
            own |= zip(("p_i", "p_o", "p_f"), np.split(inputs[7].array[k], 3), strict=True)
        dtype = node.book.dtype
        params = {name: finite(p).astype(dtype) for name, p in (params | own).items()}
        return made(kind, nonlinearity, **params)

    names = tuple(inputs[j].name for j in used)
    return node.book.layer((kind, k, names, nonlinearity, reset), make)


def _options(node: Node, k: int, n: int, H: int) -> Any:
    """The nonlinearity of an RNN; CannotTakeError for options that no cell here has."""
    if node.get("hidden_size", H) != H:
        raise CannotTakeError(
            f"expected hidden_size {H}, as R has, got {node.get('hidden_size', H)}"
        )
    if node.get("direction", "forward") not in ("forward", "reverse", "bidirectional"):
        raise CannotTakeError(f"got direction {node.get('direction', '')!r}")
    for name in ("clip", "input_forget", "activation_alpha", "activation_beta"):
        if node.get(name, 0) not in (0, []):
            raise CannotTakeError(f"expected no {name}, got {node.get(name, 0)}")
    standard = ACTIVATIONS[node.kind]
    found = [a.lower() for a in node.get("activations", standard * n)]
    own = found[k * len(standard) : (k + 1) * len(standard)]
    if own != standard and (node.kind != "RNN" or own != ["relu"]):
        raise CannotTakeError(f"expected activations {standard}, got {found}")
    return own[0] if node.kind == "RNN" else "tanh"


def _started(node: Node, cells: list[Any], by_batch: bool) -> list[Any]:
    """The cells, with learned initial states where these are constants other than zero. An input of
    the graph is given to ``forward`` here."""
    book, n, H = node.book, len(cells), cells[0].hidden_size
    shape = (book.B, n, H) if by_batch else (n, book.B, H)
    learned: list[dict[str, Array]] = [{} for _ in cells]
    for name, value in zip("hc", node.values[5:7], strict=False):
        if value is None or (isinstance(value, Known) and not value.array.any()):
            continue
        if not isinstance(value, Known):
            raise CannotTakeError(f"initial_{name} depends on x, as of a decoder; see Seq2Seq")
        if value.array.shape != shape:
            got = value.array.shape
            raise CannotTakeError(f"initial_{name}: expected shape {shape}, got {got}")
        if value.uses & book.states:
            plain = value.uses <= book.states and np.isin(value.array, book.state_numbers).all()
            if not plain:
                raise CannotTakeError(f"initial_{name} is computed from an input")
            continue
        if value.uses:
            raise CannotTakeError(f"initial_{name} depends on an input that is no state")
        a = value.array.swapaxes(0, 1) if by_batch else value.array
        if (a != a[:, :1]).any():
            raise CannotTakeError(f"initial_{name}: expected one state for all sequences")
        for k, own in enumerate(learned):
            own[name] = finite(a[k, 0])
    return [_learning(book, *both) for both in zip(cells, learned, strict=True)]


def _learning(book: Addresses, cell: Any, learned: dict[str, Array]) -> Any:
    if not any(s.any() for s in learned.values()):
        return cell

    def make() -> LearnedState:
        layer = LearnedState(cell)
        for name, s in learned.items():
            layer.params[f"layer.{name}_0"][...] = s
        return layer

    return book.layer(("learned", id(cell), *(s.tobytes() for s in learned.values())), make)
