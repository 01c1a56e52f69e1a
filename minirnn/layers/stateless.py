"""What layers without a state share: arguments, shapes, and the end of a sequence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.description import Shown
from minirnn.padding import padding_of, zero_at
from minirnn.protocol import Array, Numbers, Seed, Shape, fitting, quiet


class StatelessCache(NamedTuple):
    """What ``backward`` needs to know of the forward pass."""

    made_by: str  # the kind of the layer, with the shapes of its parameters
    shape: tuple[int, ...]  # of y
    values: Any  # what this kind of layer needs
    past_end: Array | None  # (T, B) bool; None without lengths


class Stateless(Shown):
    """A layer that keeps no state: x (T, B, D) or (B, D) to y with the same first axes.

    A subclass defines ``_forward(x, training, rng)``, which returns y and the values that
    ``_backward(dy, values)`` needs, and ``_backward``, which returns dx and the gradients of the
    parameters. (``Dropout(per_sequence=True)`` has a state; it replaces ``forward`` and
    ``backward``.)
    """

    params: dict[str, Array]
    dtype: Any = None  # None: computes in the dtype of x
    in_features: int | str = "D"  # a letter: any number
    out_features: int | None = None  # None: as many as come in
    _forward: Callable[..., tuple[Array, Any]]
    _backward: Callable[..., tuple[Any, dict[str, Array]]]

    def _input(self, x: Numbers) -> Array:
        x = checks.floats(x, "x", self.dtype)
        return checks.array(x, "x", (*"TB"[x.ndim == 2 :], self.in_features), x.dtype)

    def output_shape(self, x: Shape | None) -> Shape | None:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        shape = fitting(x, ("T", "B", self.in_features), ("B", self.in_features))
        return x if self.out_features is None else (*shape[:-1], self.out_features)

    @quiet
    def forward(
        self,
        x: Numbers,
        state: None = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, None, StatelessCache]:
        """Returns y, None (there is no state) and the cache.

        x: (T, B, D) or (B, D). lengths: (B,), for x (T, B, D): past the end of a sequence y is 0.
        Raises ValueError or TypeError for a wrong shape or kind.
        """
        x = self._input(x)
        checks.no_state(state, "state", self)
        past_end = padding_of(lengths, x)
        y, values = self._forward(zero_at(past_end, x), training, rng)
        return zero_at(past_end, y), None, StatelessCache(self._kind(), y.shape, values, past_end)

    @quiet
    def backward(
        self, dy: Numbers | None, cache: StatelessCache, dstate: None = None
    ) -> tuple[Any, None, dict[str, Array]]:
        """Returns dx like x (None where x holds tokens), None, and the parameters' gradients."""
        checks.no_state(dstate, "dstate", self)
        shape, values, past_end = self.checked(cache)
        dy = checks.gradient(dy, shape, self.dtype)
        dx, grads = self._backward(zero_at(past_end, dy), values)
        return dx, None, grads

    def checked(self, cache: StatelessCache) -> tuple[tuple[int, ...], Any, Array | None]:
        """What is in a cache; ValueError if a layer of another kind or size made it."""
        made_by, *rest = checks.cache_type(cache, StatelessCache)
        if made_by != self._kind():
            raise ValueError(f"cache: made by a layer {made_by}, given to one {self._kind()}")
        return tuple(rest)

    def _kind(self) -> str:
        return f"{type(self).__name__} {checks.shape_text(p.shape for p in self.params.values())}"

    def step(
        self, x: Numbers, state: None = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, None]:
        """One time step, of any dtype: x (B, D); returns y (B, K) and None."""
        return self._step(self.params if params is None else params, np.asarray(x)), None

    def _step(self, params: Mapping[str, Array], x: Array) -> Array:
        return self._forward(x, False, None)[0]
