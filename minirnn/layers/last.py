"""The last step of a sequence, for models that read a sequence and then answer once.

Axes: T time, B batch, D features. Forward: ``y[b] = x[lengths[b] - 1, b]``. Backward: dx is zero
but for ``dx[lengths[b] - 1, b] = dy[b]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.protocol import State


class LastCache(NamedTuple):
    """What ``Last.backward`` needs to know of the forward pass."""

    shape: tuple[int, int, int]  # of x
    last: np.ndarray  # (B,): the index of each sequence's last valid step


class Last:
    """Pick the last *valid* step of each sequence: x (T, B, D) to y (B, D).

    Without ``lengths`` this is ``x[-1]``; with padded sequences ``x[-1]`` would be padding.
    """

    def __init__(self) -> None:
        self.params: dict[str, np.ndarray] = {}

    def forward(
        self,
        x: ArrayLike,
        state: State = None,
        lengths: ArrayLike | None = None,
        training: bool = False,
        rng: Any = None,
    ) -> tuple[np.ndarray, State, Any]:
        """Returns y (B, D), None (there is no state) and the cache. lengths: (B,) in 1..T."""
        x = checks.numbers(x, "x")
        dtype = np.result_type(x.dtype, np.float32)
        x = checks.array(x, "x", ("T", "B", "D"), dtype)
        checks.no_state(state, "state", self)
        T, B, _ = x.shape
        last = checks.lengths(lengths, T, B) - 1
        if last.min() < 0:
            raise ValueError(
                "lengths: expected at least 1, since an empty sequence has no last step"
            )
        return x[last, np.arange(B)], None, LastCache(x.shape, last)

    def backward(
        self, dy: ArrayLike | None, cache: Any, dstate: State = None
    ) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
        """Returns dx (T, B, D), None, and an empty dictionary."""
        checks.no_state(dstate, "dstate", self)
        (T, B, D), last = checks.cache_type(cache, LastCache)
        dy = checks.numbers(np.zeros((B, D)) if dy is None else dy, "dy")
        dy = checks.array(dy, "dy", (B, D), np.result_type(dy.dtype, np.float32))
        dx = np.zeros((T, B, D), dy.dtype)
        dx[last, np.arange(B)] = dy
        return dx, None, {}

    def step(
        self, x: ArrayLike, state: State = None, params: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, State]:
        """The last of the steps so far is the one that came: returns x and None."""
        return np.asarray(x), None
