"""Layers that treat every number by itself: activations and dropout."""

from __future__ import annotations

from typing import Literal

from minirnn import activations, checks
from minirnn.layers.stateless import Stateless
from minirnn.protocol import Array, Seed


class Activation(Stateless):
    """``y = f(x)`` with f one of "tanh", "relu", "sigmoid"; ``dx = dy * f'``, f' in terms of y."""

    def __init__(self, function: Literal["tanh", "relu", "sigmoid"]) -> None:
        self.function = checks.choice(function, "function", ("tanh", "relu", "sigmoid"))
        self.params = {}

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array]:
        y = getattr(activations, self.function)(x)
        return y, y

    def _backward(self, dy: Array, y: Array) -> tuple[Array, dict[str, Array]]:
        return dy * getattr(activations, "d" + self.function)(y), {}

    def _kind(self) -> str:
        return f"Activation {self.function}"


class Dropout(Stateless):
    """While training, sets each number to zero with probability p and divides the others by 1 - p,
    so that the mean stays as it is (Srivastava et al. 2014); otherwise it does nothing.

    Between the layers of a deep network this is the dropout of Zaremba et al. (2014): on the
    connections that are not recurrent. per_sequence: draw one mask (B, D) for all steps of a
    sequence (Gal & Ghahramani 2016) instead of one for every step. ``dx = dy * mask``.
    """

    def __init__(self, p: float, per_sequence: bool = False) -> None:
        self.p = checks.number(p, "p", 0, 1 - 1e-9)
        self.per_sequence = bool(per_sequence)
        self.params = {}

    def _forward(self, x: Array, training: bool, rng: Seed) -> tuple[Array, Array | None]:
        if not training or self.p == 0:
            return x, None
        shape = x.shape[-2:] if self.per_sequence else x.shape
        keep = checks.generator(rng).random(shape) >= self.p
        mask = keep.astype(x.dtype) / x.dtype.type(1 - self.p)
        return x * mask, mask

    def _backward(self, dy: Array, mask: Array | None) -> tuple[Array, dict[str, Array]]:
        return dy if mask is None else dy * mask, {}
