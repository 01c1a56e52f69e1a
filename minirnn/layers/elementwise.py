"""Layers without weights that leave the shape as it is: activations and dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from minirnn import activations, checks
from minirnn.layers.stateless import Stateless, StatelessCache
from minirnn.padding import padding_of, zero_at
from minirnn.protocol import Array, Numbers, Seed

Function = Literal["tanh", "relu", "sigmoid", "softmax", "log_softmax"]


class Activation(Stateless):
    """``y = f(x)`` with f one of "tanh", "relu", "sigmoid"; ``dx = dy * f'``, f' in terms of y.

    Or, over the features k of each step, the probabilities of a model that is ready for use (see
    ``minirnn.activations``)::

        "softmax"        y_k = exp(x_k) / sum_j exp(x_j)      dx_k = y_k (dy_k - sum_j dy_j y_j)
        "log_softmax"    y_k = x_k - log sum_j exp(x_j)       dx_k = dy_k - exp(y_k) sum_j dy_j

    ``softmax_cross_entropy`` and ``sample`` take a softmax themselves. Give them the x of this
    layer, or its "log_softmax", with which they compute the same, but never its "softmax".
    """

    def __init__(self, function: Function) -> None:
        self.function = checks.choice(function, "function", get_args(Function))
        self.params = {}

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array]:
        y = getattr(activations, self.function)(x)
        return y, y

    def _backward(self, dy: Array, y: Array) -> tuple[Array, dict[str, Array]]:
        if self.function.endswith("softmax"):
            return getattr(activations, f"{self.function}_backward")(dy, y), {}
        return dy * getattr(activations, f"d{self.function}")(y), {}

    def _kind(self) -> str:
        return f"Activation {self.function}"


class Dropout(Stateless):
    """While training, sets each number to zero with probability p and divides the others by 1 - p,
    so that the mean stays as it is (Srivastava et al. 2014). When not training it does nothing.

    Between the layers of a deep network this is the dropout of Zaremba et al. (2014): on the
    connections that are not recurrent. per_sequence: draw one mask (B, D) for all steps of a
    sequence (Gal & Ghahramani 2016) instead of one for every step. This mask is the layer's state
    (unlike the other layers here, it has one), so that a sequence that is cut in pieces keeps its
    mask from piece to piece. With p = 0, or when not training, a mask that is given is handed on
    and not applied. Else ::

        y[t] = x[t] * mask      dx[t] = dy[t] * mask      dmask = sum_t dy[t] * x[t]
    """

    def __init__(self, p: float, per_sequence: bool = False) -> None:
        self.p = p
        self.per_sequence = bool(per_sequence)
        self.params = {}

    @property
    def p(self) -> float:
        """The probability of zero."""
        return self._p

    @p.setter
    def p(self, value: float) -> None:
        self._p = checks.probability(value, "p", 1 - 1e-9)  # not 1: ``forward`` divides by 1 - p

    @property
    def state_names(self) -> tuple[str, ...]:
        """("mask",) with ``per_sequence``, else ()."""
        return ("mask",) if self.per_sequence else ()

    @property
    def draws_state(self) -> bool:
        """Whether ``forward`` draws a state if it is given none."""
        return self.per_sequence

    def forward(
        self,
        x: Numbers,
        state: Numbers | None = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, Any, StatelessCache]:
        """Returns y, the mask (B, D) of the sequences or None, and the cache.

        x: (T, B, D) or (B, D). state: None, or the mask (B, D) to go on with. rng: a seed or a
        Generator, which draws the mask. Raises TypeError for a state without ``per_sequence``,
        ValueError for one of another shape.
        """
        x = self._input(x)
        if state is not None:
            if not self.per_sequence:
                checks.no_state(state, "state", self)
            state = checks.array(state, "state", x.shape[-2:], x.dtype)
        past_end = padding_of(lengths, x)
        x = zero_at(past_end, x)
        y, mask, final = x, None, state
        if training and self.p > 0:
            mask = self._draw(x, rng) if state is None else state
            y, final = x * mask, mask if self.per_sequence else None
        seen = x if state is not None else None  # the gradient of a mask that was given needs x
        cache = StatelessCache(self._kind(), y.shape, (mask, seen), past_end)
        return y, final, cache

    def _draw(self, x: Array, rng: Seed) -> Array:
        shape = x.shape[-2:] if self.per_sequence else x.shape
        keep = checks.generator(rng).random(shape) >= self.p
        mask: Array = keep.astype(x.dtype) / x.dtype.type(1 - self.p)
        return mask

    def backward(
        self, dy: Numbers | None, cache: StatelessCache, dstate: Numbers | None = None
    ) -> tuple[Array, Any, dict[str, Array]]:
        """Returns dx like x, the gradient of a mask that was given or None, and an empty
        dictionary."""
        shape, (mask, x), past_end = self.checked(cache)
        dy = zero_at(past_end, checks.gradient(dy, shape))
        if not self.per_sequence:
            checks.no_state(dstate, "dstate", self)
        dx = dy if mask is None else dy * mask
        if x is None:  # no mask was given: its gradient leads nowhere
            return dx, None, {}
        dmask = np.zeros(shape[-2:], x.dtype)
        if dstate is not None:
            dmask += checks.array(dstate, "dstate", dmask.shape, x.dtype)
        if mask is not None:
            dmask += (dy * x).reshape(-1, *dmask.shape).sum(axis=0)
        return dx, dmask, {}

    def step(
        self, x: Numbers, state: Any = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, Any]:
        """One time step in use: x (B, D); returns x and the state as they are."""
        return np.asarray(x), state
