"""What layers without a state share: arguments, and the end of a sequence."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.padding import padding_of, zero_at
from minirnn.protocol import Backward, Forward, quiet


class StatelessCache(NamedTuple):
    """What ``backward`` needs to know of the forward pass."""

    kind: str  # of the layer that made it
    shape: tuple[int, ...]  # of y
    kept: Any  # what the kind of layer wants to know
    past_end: np.ndarray | None  # (T, B) bool; None without lengths


class Stateless:
    """A layer that keeps no state: x (T, B, D) or (B, D) to y with the same first axes.

    A kind of layer adds ``_forward(x, training, rng)``, which returns y and what is to be kept for
    ``_backward(dy, kept)``, which returns dx and the parameters' gradients.
    """

    params: dict[str, np.ndarray]
    dtype: Any = None  # None: computes in the dtype of x
    in_features: Any = "D"
    _forward: Callable[..., tuple[np.ndarray, Any]]
    _backward: Callable[..., tuple[Any, dict[str, np.ndarray]]]

    def _input(self, x):
        x = checks.floats(x, "x", self.dtype)
        return checks.array(x, "x", (*"TB"[x.ndim == 2 :], self.in_features), x.dtype)

    @quiet
    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, None (there is no state) and the cache.

        x: (T, B, D) or (B, D). lengths: (B,), for x (T, B, D): past its end a sequence's y is zero.
        """
        x = self._input(x)
        checks.no_state(state, "state", self)
        past_end = padding_of(lengths, x)
        y, kept = self._forward(zero_at(past_end, x), training, rng)
        return (
            zero_at(past_end, y),
            None,
            StatelessCache(self._kind(), y.shape, kept, past_end),
        )

    @quiet
    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx like x, None, and the gradients of the parameters."""
        checks.no_state(dstate, "dstate", self)
        kind, shape, kept, past_end = checks.cache_type(cache, StatelessCache)
        if kind != self._kind():
            raise ValueError(f"cache: made by a layer {kind}, given to one {self._kind()}")
        dy = checks.gradient(dy, shape, self.dtype)
        dx, grads = self._backward(zero_at(past_end, dy), kept)
        return dx, None, grads

    def _kind(self):
        return f"{type(self).__name__} {checks.shape_text(p.shape for p in self.params.values())}"

    def step(self, x, state=None, params=None):
        """One time step, of any dtype: x (B, D); returns y (B, K) and None."""
        return self._step(self.params if params is None else params, np.asarray(x)), None

    def _step(self, params, x):
        return self._forward(x, False, None)[0]
