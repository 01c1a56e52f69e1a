"""Layers that treat every number by itself: activations and dropout."""

from minirnn import activations, checks
from minirnn.layers.stateless import Stateless


class Activation(Stateless):
    """``y = f(x)`` with f one of "tanh", "relu", "sigmoid"; ``dx = dy * f'``, written in y."""

    def __init__(self, function):
        self.function = checks.choice(function, "function", ("tanh", "relu", "sigmoid"))
        self.params = {}

    def _forward(self, x, training, rng):
        y = getattr(activations, self.function)(x)
        return y, y

    def _backward(self, dy, y):
        return dy * getattr(activations, "d" + self.function)(y), {}

    def _kind(self):
        return f"Activation {self.function}"


class Dropout(Stateless):
    """While training, sets each number to zero with probability p and divides the others by 1 - p,
    so that the mean stays as it is (Srivastava et al. 2014); otherwise it does nothing.

    Between the layers of a deep network this is the dropout of Zaremba et al. (2014): on the
    connections that are not recurrent. per_sequence: draw one mask (B, D) for all steps of a
    sequence (Gal & Ghahramani 2016) in place of one at every step. ``dx = dy * mask``.
    """

    def __init__(self, p, per_sequence=False):
        self.p = checks.number(p, "p", 0, 1 - 1e-9)
        self.per_sequence = bool(per_sequence)
        self.params = {}

    def _forward(self, x, training, rng):
        if not training or self.p == 0:
            return x, None
        shape = x.shape[-2:] if self.per_sequence else x.shape
        kept = checks.generator(rng).random(shape) >= self.p
        mask = kept.astype(x.dtype) / x.dtype.type(1 - self.p)
        return x * mask, mask

    def _backward(self, dy, mask):
        return dy if mask is None else dy * mask, {}
