"""Two layers that read the sequence in the two directions (Schuster & Paliwal 1997).

With n the length of a sequence and R its reversal, ``(R x)[t] = x[n-1-t]``::

    u = forward_layer(x)        v = R backward_layer(R x)
    y = [u, v]   or   u + v   or   (u + v) / 2

The reversal only moves numbers and is its own inverse, so its backward pass is R as well. Each
sequence is reversed within its own length; what lies past the end stays where it is.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, PartShapes
from minirnn.protocol import Array, Layer, Numbers, Seed, Shape, State


class BidirectionalCache(NamedTuple):
    """What ``Bidirectional.backward`` needs to know of the forward pass."""

    u: Any  # the caches of the two layers
    v: Any
    shape: tuple[int, ...]  # of u
    lengths: Array  # (B,)


class Bidirectional(Container):
    """x (T, B, D) to y (T, B, 2H) for merge "concat", (T, B, H) for "sum" and "mean".

    forward_layer, backward_layer: two layers from D features to H. They may be one layer, given
    twice; then both directions have the same weights. The state is the list of the two directions'
    states. In a model that gives one answer for a sequence, put ``Last(both=True)`` after it: at
    the last step the backward layer has seen only one step.
    """

    streams = False  # the future is needed before the present is known

    def __init__(
        self,
        forward_layer: Layer,
        backward_layer: Layer,
        merge: Literal["concat", "sum", "mean"] = "concat",
    ) -> None:
        super().__init__(forward=forward_layer, backward=backward_layer)
        self.merge = checks.choice(merge, "merge", ("concat", "sum", "mean"))
        self.part_shapes(None)

    @property
    def forward_layer(self) -> Any:
        """The layer that reads from the first step to the last."""
        return self.parts["forward"]

    @property
    def backward_layer(self) -> Any:
        """The layer that reads from the last step to the first."""
        return self.parts["backward"]

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shape that each of the layers gets, and the shape of y."""
        u, v = (self.part_output(name, x) for name in self.parts)
        self._check_outputs(u, v)
        y = v if u is None or not isinstance(u[-1], int) else u
        if y is not None and self.merge == "concat" and isinstance(y[-1], int):
            y = (*y[:-1], 2 * y[-1])
        return dict.fromkeys(self.parts, x), y

    def _check_outputs(self, u: Shape | None, v: Shape | None) -> None:
        for name, shape in (("forward_layer", u), ("backward_layer", v)):
            if shape is not None and len(shape) != 3:
                text = checks.shape_text(shape)
                raise ValueError(f"{name}: expected an output at every step (T, B, H), got {text}")
        sizes = {shape[-1] for shape in (u, v) if shape and isinstance(shape[-1], int)}
        if u is not None and v is not None and len(sizes) > 1:
            raise ValueError(
                f"backward_layer: expected as many features as forward_layer has, {u[-1]}, "
                f"got {v[-1]}"
            )

    def forward(
        self,
        x: Numbers,
        state: State = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, list[State], BidirectionalCache]:
        """Returns y, the two final states (each at the end of its direction), and the cache."""
        x = checks.one_array(x, "x")
        if x.ndim < 2:
            raise ValueError(f"x: expected a sequence (T, B, ...), got shape {x.shape}")
        lengths = checks.lengths(lengths, *x.shape[:2])
        # One generator for all parts: from the same seed, each would draw the same numbers.
        rng = None if rng is None else checks.generator(rng)
        s_u, s_v = self.split(state, "state")
        with self.at("forward") as layer:
            u, s_u, cache_u = layer.forward(x, s_u, lengths, training, rng)
        with self.at("backward") as layer:
            v, s_v, cache_v = layer.forward(reverse(x, lengths), s_v, lengths, training, rng)
        self._check_outputs(u.shape, v.shape)  # of layers that do not know their output_shape
        v = reverse(v, lengths)
        if self.merge == "concat":
            y = np.concatenate([u, v], axis=-1)
        else:
            y = u + v if self.merge == "sum" else (u + v) / 2
        return y, [s_u, s_v], BidirectionalCache(cache_u, cache_v, u.shape, lengths)

    def backward(
        self, dy: Numbers | None, cache: BidirectionalCache, dstate: State = None
    ) -> tuple[Any, list[State], dict[str, Array]]:
        """Returns dx, the gradients of the two initial states, and all parameters' by name."""
        cache_u, cache_v, shape, lengths = checks.cache_type(cache, BidirectionalCache)
        K = shape[-1] * (2 if self.merge == "concat" else 1)
        du, dv = self.split_gradient(checks.gradient(dy, (*shape[:-1], K)))
        ds_u, ds_v = self.split(dstate, "dstate")
        with self.at("forward") as layer:
            dx, ds_u, grads_u = layer.backward(du, cache_u, ds_u)
        with self.at("backward") as layer:
            dRx, ds_v, grads_v = layer.backward(reverse(dv, lengths), cache_v, ds_v)
        if dx is not None:
            dx = dx + reverse(dRx, lengths)
        grads = self.join_grads({"forward": grads_u, "backward": grads_v})
        return dx, [ds_u, ds_v], grads

    def split_gradient(self, dy: Array) -> tuple[Array, Array]:
        """The part of dy that each of the two directions gets."""
        if self.merge == "concat":
            du, dv = np.split(dy, 2, axis=-1)
            return du, dv
        return (dy, dy) if self.merge == "sum" else (dy / 2, dy / 2)


def reverse(x: Array, lengths: Array) -> Array:
    """Each sequence of x (T, B, ...) from its last valid step to its first."""
    t = np.arange(len(x))[:, None]
    return x[np.where(t < lengths, lengths - 1 - t, t), np.arange(x.shape[1])]
