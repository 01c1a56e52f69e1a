"""The last step of a sequence, for models that read a sequence and then answer once.

Axes: T time, B batch, D features. Forward: ``y[b] = x[lengths[b] - 1, b]``. Backward: dx is zero
except ``dx[lengths[b] - 1, b] = dy[b]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from minirnn import checks
from minirnn.description import Shown
from minirnn.protocol import Array, Numbers, Seed, Shape, fitting


class LastCache(NamedTuple):
    """What ``Last.backward`` needs to know of the forward pass."""

    shape: tuple[int, int, int]  # of x
    at: Array  # (B, D): the step that each feature is taken from


class Last(Shown):
    """Pick the last *valid* step of each sequence: x (T, B, D) to y (B, D).

    Without ``lengths`` this is ``x[-1]``; with padded sequences ``x[-1]`` would be padding.
    both: x is the output of a ``Bidirectional`` that concatenates. Its second half has read the
    whole sequence at step *0*, and is taken from there. At the last step it has seen only one step.
    """

    streams = False  # there is one answer, after the whole sequence

    def __init__(self, both: bool = False) -> None:
        self.both = bool(both)
        self.params: dict[str, Array] = {}

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", "D"))
        _, B, D = x or ("T", "B", "D")
        if self.both and isinstance(D, int) and D % 2:
            raise ValueError(f"x: expected two halves of features, got {D}")
        return B, D

    def forward(
        self,
        x: Numbers,
        state: None = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, None, LastCache]:
        """Returns y, None (there is no state) and the cache. lengths: (B,) in 1..T."""
        x = checks.floats(x, "x")
        x = checks.array(x, "x", ("T", "B", "D"), x.dtype)
        checks.no_state(state, "state", self)
        T, B, D = x.shape
        lengths = checks.lengths(lengths, T, B)
        if lengths.min() < 1:
            raise ValueError("lengths: expected at least 1: an empty sequence has no last step")
        if self.both and D % 2:
            raise ValueError(f"x: expected two halves of features, got {D}")
        at = np.repeat(lengths[:, None] - 1, D, axis=1)
        if self.both:
            at[:, D // 2 :] = 0
        return np.take_along_axis(x, at[None], axis=0)[0], None, LastCache(x.shape, at)

    def backward(
        self, dy: Numbers | None, cache: LastCache, dstate: None = None
    ) -> tuple[Array, None, dict[str, Array]]:
        """Returns dx (T, B, D), None, and an empty dictionary."""
        checks.no_state(dstate, "dstate", self)
        (T, B, D), at = checks.cache_type(cache, LastCache)
        dy = checks.gradient(dy, (B, D))
        dx = np.zeros((T, B, D), dy.dtype)
        np.put_along_axis(dx, at[None], dy[None], axis=0)
        return dx, None, {}

    def step(
        self, x: Numbers, state: None = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, None]:
        """The last step so far is the current one: returns x and None."""
        return np.asarray(x), None
