"""Operators that move numbers, or leave them as they are."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from minirnn.exchange.reading.addresses import OTHER, ZERO, CannotTakeError
from minirnn.exchange.reading.values import Data, Negative, Node

# By operator, which of its inputs hold the numbers that it moves.
MOVES: dict[str, tuple[int, ...]] = {
    "Transpose": (0,), "Reshape": (0,), "Squeeze": (0,), "Unsqueeze": (0,), "Flatten": (0,),
    "Slice": (0,), "Gather": (0,), "GatherElements": (0,), "GatherND": (0,), "Split": (0,),
    "ReverseSequence": (0,), "Expand": (0,), "Tile": (0,), "Pad": (0, 2), "Where": (1, 2),
    "Concat": tuple(range(99)),
}  # fmt: skip


def move(node: Node) -> list[Any]:
    """Run an operator on addresses."""
    arrays: list[Any] = []
    tokens = False
    for k, value in enumerate(node.values):
        if isinstance(value, Data) and k in MOVES[node.kind]:
            arrays.append(value.ids)
            tokens |= value.tokens
        elif isinstance(value, (Data, Negative)):
            raise CannotTakeError("moves numbers to places that depend on x")
        elif value is not None and k in MOVES[node.kind]:
            arrays.append(np.where(value.array == 0, ZERO, OTHER))
        else:
            arrays.append(None if value is None else value.array)
    return [Data(np.asarray(a), tokens) for a in node.run(arrays)]


def concat(node: Node) -> list[Any]:
    """Two branches are joined where they meet, if all their features meet."""
    (result,) = move(node)
    if node.get("axis", 0) in (-1, result.ids.ndim - 1):
        with contextlib.suppress(CannotTakeError):  # perhaps it can be taken at the next layer
            result = Data(node.book.joined(result.ids), result.tokens)
    return [result]


def same(node: Node) -> list[Any]:
    given = len(node.values) > 2 and node.values[2] is not None  # of a Dropout
    if given and node.known(2, "training_mode").array.any():
        raise CannotTakeError("expected training_mode false")
    return [node.values[0], None]


def cast(node: Node) -> list[Any]:
    data, kind = node.values[0], node.get("to", 1)
    to_tokens, to_numbers = kind in (6, 7, 12, 13), kind in (1, 10, 11, 16)
    if (data.tokens and to_tokens) or (not data.tokens and to_numbers):
        return [data]
    source, _ = node.book.resolve(data.ids[..., None])
    if to_tokens and source.layer is None:  # x is given as real numbers that are tokens
        return [Data(data.ids, True)]
    raise CannotTakeError("casts numbers so that digits are lost, or tokens to features")


def less(node: Node) -> list[Any]:
    if isinstance(node.values[0], Data) and not node.known(1, "bound").array.any():
        return [Negative(node.values[0].ids)]
    raise CannotTakeError("compares numbers that depend on x")


def where(node: Node) -> list[Any]:
    """A token that is negative may be replaced by another one that is not in the table."""
    negative, _, data = node.values
    guarded = isinstance(negative, Negative) and isinstance(data, Data)
    if guarded and np.array_equal(negative.ids, data.ids):
        return [data]
    return move(node)
