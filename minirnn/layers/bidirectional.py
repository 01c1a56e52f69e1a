"""Two layers that read the sequence in the two directions (Schuster & Paliwal 1997).

With n the length of a sequence and R its reversal, ``(R x)[t] = x[n-1-t]``::

    u = forward_layer(x)        v = R backward_layer(R x)
    y = [u, v]   or   u + v   or   (u + v) / 2

The reversal is its own inverse and only moves numbers, so that its backward pass is R as well. Each
sequence is reversed within its own length; what lies past the end stays where it is.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, join
from minirnn.protocol import Backward, Forward


class BidirectionalCache(NamedTuple):
    """What ``Bidirectional.backward`` needs to know of the forward pass."""

    u: Any  # the caches of the two layers
    v: Any
    shape: tuple[int, ...]  # of u
    lengths: np.ndarray  # (B,)


class Bidirectional(Container):
    """x (T, B, D) to y (T, B, 2H) for merge "concat", (T, B, H) for "sum" and "mean".

    forward_layer, backward_layer: two layers of their own parameters, from D features to H. The
    state is the list of the two layers' states. Where a model answers once, follow it by
    ``Last(both=True)``: the last step has seen only one step of the backward direction.
    """

    streams = False  # the future is needed before the present is known

    def __init__(self, forward_layer, backward_layer, merge="concat"):
        if forward_layer is backward_layer:
            raise ValueError("backward_layer: expected another layer than forward_layer")
        super().__init__(forward=forward_layer, backward=backward_layer)
        self.merge = checks.choice(merge, "merge", ("concat", "sum", "mean"))

    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, the two final states (each at the end of its direction), and the cache."""
        x = checks.numbers(x, "x")
        if x.ndim < 2:
            raise ValueError(f"x: expected a sequence (T, B, ...), got shape {x.shape}")
        lengths = checks.lengths(lengths, *x.shape[:2])
        rng = None if rng is None else checks.generator(rng)
        s_u, s_v = self.split(state, "state")
        one, two = self.parts.values()
        u, s_u, cache_u = one.forward(x, s_u, lengths, training, rng)
        v, s_v, cache_v = two.forward(reverse(x, lengths), s_v, lengths, training, rng)
        v = reverse(v, lengths)
        if self.merge == "concat":
            y = np.concatenate([u, v], axis=-1)
        else:
            y = u + v if self.merge == "sum" else (u + v) / 2
        return y, [s_u, s_v], BidirectionalCache(cache_u, cache_v, u.shape, lengths)

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx, the gradients of the two initial states, and all parameters' by name."""
        cache_u, cache_v, shape, lengths = checks.cache_type(cache, BidirectionalCache)
        K = shape[-1] * (2 if self.merge == "concat" else 1)
        du, dv = self.split_gradient(checks.gradient(dy, (*shape[:-1], K)))
        ds_u, ds_v = self.split(dstate, "dstate")
        one, two = self.parts.values()
        dx, ds_u, grads_u = one.backward(du, cache_u, ds_u)
        dRx, ds_v, grads_v = two.backward(reverse(dv, lengths), cache_v, ds_v)
        if dx is not None:
            dx = dx + reverse(dRx, lengths)
        return dx, [ds_u, ds_v], join({"forward": grads_u, "backward": grads_v})

    def split_gradient(self, dy):
        """What of dy each of the two directions gets."""
        if self.merge == "concat":
            return np.split(dy, 2, axis=-1)
        return (dy, dy) if self.merge == "sum" else (dy / 2, dy / 2)


def reverse(x, lengths):
    """Each sequence of x (T, B, ...) from its last valid step to its first."""
    t = np.arange(len(x))[:, None]
    return x[np.where(t < lengths, lengths - 1 - t, t), np.arange(x.shape[1])]
