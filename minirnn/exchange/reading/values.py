"""The values in a graph, and a layer on what stands along one axis.

A value is ``Known``, which does not depend on the numbers in x, or ``Data``: addresses of numbers
that a layer gives. See ``addresses.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minirnn.exchange.reading.addresses import (
    CELL_STATE,
    OTHER,
    ZERO,
    Addresses,
    CannotTakeError,
    Source,
)
from minirnn.protocol import Array


class Known(NamedTuple):
    """An array that does not depend on x, the inputs of the graph that it depends on, a name."""

    array: Array
    uses: frozenset[str]
    name: str


class Data(NamedTuple):
    """Numbers of x, or computed from it, by their addresses; whether they are whole numbers."""

    ids: Array
    tokens: bool = False


class Negative(NamedTuple):
    """Which of these numbers are negative."""

    ids: Array


class Node(NamedTuple):
    """An operator with its attributes, and ``run``, which computes it from arrays."""

    kind: str
    attributes: dict[str, Any]
    values: list[Any]  # None where an input is left out
    run: Callable[[list[Any]], list[Array]]
    book: Addresses

    def get(self, name: str, default: Any) -> Any:
        return self.attributes.get(name, default)

    def known(self, k: int, name: str, of_inputs: bool = False) -> Known:
        """An input that must be a constant; with of_inputs it may depend on inputs of the graph."""
        value = self.values[k] if k < len(self.values) else None
        if not isinstance(value, Known):
            raise CannotTakeError(f"expected a constant {name}")
        if value.uses and not of_inputs:
            raise CannotTakeError(f"expected a constant {name}, got one that depends on an input")
        return value


Operator: TypeAlias = Callable[[Node], list[Any]]


def per_step(
    book: Addresses, data: Data, axis: int, make: Callable[[Source], tuple[Any, int]]
) -> Data:
    """A layer on the features, which stand along an axis."""
    source, rows = book.resolve(np.moveaxis(data.ids, axis, -1))
    made, K = make(source)
    new = made if isinstance(made, Source) else book.above(made, source, K)
    ids = np.full((*rows.shape, K), OTHER)
    ids[rows >= 0] = new.rows()[rows[rows >= 0]]
    return Data(np.moveaxis(ids, -1, axis))


def elementwise(book: Addresses, data: Data, make: Callable[[Source], Any]) -> Data:
    """A layer that treats every number by itself, wherever it stands."""
    ids = book.joined(data.ids)
    (source,) = book.sources_of(ids)
    if source.layer is CELL_STATE:
        raise CannotTakeError("reads the cells of an LSTM, which are no output here")
    made = make(source)
    new = made if isinstance(made, Source) else book.above(made, source, source.K)
    ids = book.translate(np.where(ids == ZERO, OTHER, ids), source, new.ids)
    return Data(ids)


def numbers(data: Any) -> Data:
    """Data that are no tokens."""
    if not isinstance(data, Data):
        raise CannotTakeError("computes with what depends on x in more than one way")
    if data.tokens:
        raise CannotTakeError("computes with tokens as if they were features")
    return data


def finite(a: Array) -> Array:
    if not np.isfinite(a).all():
        raise CannotTakeError("expected finite constants")
    return a
