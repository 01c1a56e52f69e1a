"""Where numbers come from: how a graph of operators is read as layers.

Between two layers an ONNX graph has operators that only move numbers: Transpose, Reshape, Slice,
Concat and many more, in as many patterns as there are exporters. None of these patterns is known
here. Each number that a layer gives has an *address*, a whole number, and the operators are run on
arrays of addresses. What arrives at the next layer says which numbers it reads: all as they are,
each sequence from its end, the last step only, or some of the features.

Axes: T time, B batch, K features. A ``Source`` has T * B * K addresses, or B * K where it has one
row for each sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn.layers.bidirectional import Bidirectional, reverse
from minirnn.layers.elementwise import Dropout
from minirnn.layers.last import Last
from minirnn.layers.linear import Linear
from minirnn.layers.sequential import Sequential
from minirnn.protocol import Array

ZERO, OTHER = 0, -1  # in place of an address: the number zero, another constant


class CannotTakeError(Exception):
    """Why a node of the graph is no layer here; caught where the node's name is known."""


class Source:
    """What one layer gives. ``backwards``: it reads ``below`` from the end, and its own steps stand
    in the order in which it computes them. ``timed``: it computes from step to step."""

    def __init__(
        self, start: int, shape: tuple[int, ...], layer: Any, below: Source | None,
        backwards: bool = False, timed: bool = False,
    ) -> None:  # fmt: skip
        self.layer, self.below, self.backwards, self.timed = layer, below, backwards, timed
        self.start, self.end, self.K = start, start + int(np.prod(shape)), shape[-1]
        self.ids = np.arange(start, self.end).reshape(shape)

    def rows(self) -> Array:
        """The addresses with one axis for steps and sequences: (T*B, K), or (B, K)."""
        return self.ids.reshape(-1, self.K)

    def chain(self) -> list[Source]:
        """The source and all below it, from the bottom, which is x."""
        return [*(self.below.chain() if self.below else []), self]


class Addresses:
    """All sources of one reading of a graph, for T steps, B sequences and their lengths."""

    def __init__(self, T: int, B: int, lengths: Array | None, dtype: Any) -> None:
        self.T, self.B, self.dtype = T, B, dtype
        self.lengths = np.full(B, T) if lengths is None else lengths
        self.states: frozenset[str] = frozenset()  # the inputs that are initial states
        self.state_numbers = np.zeros(0)  # all numbers in them
        self.valid = np.arange(T)[:, None] < self.lengths
        self.sources: list[Source] = []
        self.made: dict[Any, Source] = {}

    def source(
        self, shape: tuple[int, ...], layer: Any, below: Source | None = None,
        backwards: bool = False, timed: bool = False,
    ) -> Source:  # fmt: skip
        """The source of what a layer gives. The same layer on the same numbers is one source."""
        key = id(layer), id(below), backwards
        if layer is None or key not in self.made:
            start = self.sources[-1].end if self.sources else 1
            self.made[key] = Source(start, shape, layer, below, backwards, timed)
            self.sources.append(self.made[key])
        return self.made[key]

    def above(self, layer: Any, below: Source, K: int) -> Source:
        """The source of a layer that computes the same at every step."""
        return self.source((*below.ids.shape[:-1], K), layer, below)

    def translate(self, ids: Array, old: Source, new: Array) -> Array:
        """The addresses with those of a source replaced by others, in an array like its ids."""
        inside = (ids >= old.start) & (ids < old.end)
        result = ids.copy()
        result[inside] = new.ravel()[ids[inside] - old.start]
        return result

    def sources_of(self, ids: Array) -> list[Source]:
        """The sources of these addresses, in the order in which the last axis has them."""
        starts = [s.start for s in self.sources]
        which = np.searchsorted(starts, ids.reshape(-1, ids.shape[-1]), "right") - 1
        first: dict[int, int] = {}
        for column, own in enumerate(which.T):
            for k in np.unique(own[own >= 0]):
                first.setdefault(int(k), column)
        return [self.sources[k] for k in first]

    # ---- What a layer reads ---------------------------------------------------------------------

    def resolve(self, ids: Array) -> tuple[Source, Array]:
        """The source whose features stand along the last axis, and which of its rows stands in each
        place, -1 where a row is none of it. What must be computed before, such as the last step, is
        a new source. Raises CannotTakeError."""
        ids = self.joined(ids)
        (source,) = self.sources_of(ids)
        if source.layer is CELL_STATE:
            raise CannotTakeError("reads the cells of an LSTM, which are no output here")
        flat = ids.reshape(-1, ids.shape[-1])
        empty = (flat == ZERO) | (flat == OTHER)
        whole = ~empty.any(axis=1)
        if (empty[~whole] != 1).any():
            raise CannotTakeError("reads numbers of x beside constants")
        row, feature = np.divmod(flat[whole] - source.start, source.K)
        if (feature != feature[0]).any():
            raise CannotTakeError("reads other features at other steps")
        if source.ids.ndim == 3 and not self._covers(row):
            source, row = self._last(source, row, feature[0])
        if (row != row[:, :1]).any():
            raise CannotTakeError("mixes the numbers of several steps or sequences")
        if source.ids.ndim == 2 and set(row[:, 0]) != set(range(self.B)):
            raise CannotTakeError("reads some of the sequences only")
        if not np.array_equal(feature[0], np.arange(source.K)):
            source = self._selected(source, feature[0])
        rows = np.full(len(flat), -1)
        rows[whole] = row[:, 0]
        return source, rows.reshape(ids.shape[:-1])

    def _covers(self, row: Array) -> bool:
        """Whether all valid steps are there."""
        return set(np.flatnonzero(self.valid)) <= set(row[:, 0])

    def _last(self, source: Source, row: Array, feature: Array) -> tuple[Source, Array]:
        """The last step of each sequence, or for the second half of the features the first."""
        t, b = np.divmod(row, self.B)
        last, first = (t == self.lengths[b] - 1).all(axis=0), (t == 0).all(axis=0)
        both = not last.all()
        if not np.where(feature < source.K / 2, last, first if both else last).all():
            raise CannotTakeError(
                "reads neither all steps nor the last of each sequence (of a backward direction "
                "the first, where it has read everything)"
            )
        layer = self.layer(("Last", both), lambda: Last(both))
        return self.source((self.B, source.K), layer, source), b

    def _selected(self, source: Source, feature: Array) -> Source:
        """Some of the features, in another order: a product with ones and zeros."""
        W = np.zeros((source.K, len(feature)))
        W[feature, np.arange(len(feature))] = 1
        return self.above(self.linear(W), source, len(feature))

    def linear(self, W: Array, b: Any = 0.0) -> Linear:
        """The Linear with these parameters."""
        layer = Linear(W.shape[0], W.shape[1], rng=0, dtype=self.dtype)
        layer.params["W"][...], layer.params["b"][...] = W, b
        return layer

    def layer(self, key: Any, make: Any) -> Any:
        """A layer that is made once for each key, so that equal ones are one."""
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    # ---- Two directions -------------------------------------------------------------------------

    def joined(self, ids: Array) -> Array:
        """The addresses with all in one source: of two branches a Bidirectional is made."""
        while len(found := self.sources_of(ids)) > 1:
            one, other = found[:2]
            joined, of_one, of_other = self._join(one, other, ids)
            ids = self.translate(self.translate(ids, one, of_one), other, of_other)
        if not found:
            raise CannotTakeError("reads no numbers that come from x")
        return ids

    def _in_turn(self, ids: Array, source: Source) -> bool:
        """Whether the steps of a source stand from the last to the first."""
        own = ids[(ids >= source.start) & (ids < source.end)] - source.start
        b, k = own[0] // source.K % self.B, own[0] % source.K
        t = own[(own // source.K % self.B == b) & (own % source.K == k)] // (self.B * source.K)
        t = t[t < self.lengths[b]]
        return bool(t[0] > t[-1])

    def _join(self, one: Source, other: Source, ids: Array) -> tuple[Source, Array, Array]:
        """A Bidirectional of two branches, and in its addresses those of each of them."""
        base = [s for s in one.chain() if s in other.chain()][-1]
        paths = [s.chain()[len(base.chain()) :] for s in (one, other)]
        if one.ids.ndim == 2 or other.ids.ndim == 2:
            raise CannotTakeError("joins two branches that have one row for each sequence")
        if one.K != other.K:
            raise CannotTakeError(f"joins two branches of {one.K} and {other.K} features")
        (fixed, first), (fixed_2, second) = map(_direction, paths)
        frame = self._in_turn(ids, one) != first  # the order in which they are joined
        in_order = (not fixed or first == frame) and (not fixed_2 or second != frame)
        swapped = (not fixed_2 or second == frame) and (not fixed or first != frame)
        if not in_order and not swapped:
            raise CannotTakeError("joins two branches that run in the same direction")
        branches = [_stack([s.layer for s in path]) for path in paths]
        both = branches if in_order else branches[::-1]
        key = tuple(id(s.layer) for path in paths for s in path)
        layer = self.layer(
            ("Bidirectional", key, len(paths[0]), in_order), lambda: Bidirectional(both[0], both[1])
        )
        shape = self.T, self.B, 2 * one.K
        joined = self.source(shape, layer, base, frame, timed=True)
        parts = np.split(joined.ids, 2, axis=2)
        parts = parts if in_order else parts[::-1]
        turned = [
            part if direction == frame else reverse(part, self.lengths)
            for part, direction in zip(parts, (first, second), strict=True)
        ]
        return joined, turned[0], turned[1]


CELL_STATE = object()  # in place of the layer of an LSTM's cells


def _direction(path: list[Source]) -> tuple[bool, bool]:
    """Whether it matters in which direction a branch runs, and whether it runs backwards."""
    timed = [s for s in path if s.timed]
    if any(s.backwards for s in timed[1:]):
        raise CannotTakeError("turns the steps round between two layers")
    return bool(timed), bool(timed) and timed[0].backwards


def _stack(layers: list[Any]) -> Any:
    """One layer that does what these do one after the other."""
    if len(layers) == 1:
        return layers[0]
    return Sequential(*layers) if layers else Dropout(0.0)


def model_of(source: Source) -> Any:
    """The model that gives the numbers of a source."""
    path = source.chain()[1:]
    if any(s.backwards for s in path):
        raise CannotTakeError("runs backwards, and no layer in the other direction is joined to it")
    return _stack([s.layer for s in path])
