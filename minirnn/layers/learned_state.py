"""Learned initial states: where a sequence begins is a parameter (Forcada & Carrasco 1995).

A recurrent layer that is given no state starts from zeros, a point that means nothing. It can be
learned like a weight. Axes: B batch, H hidden. With one s_0 (H,) for all sequences b::

    s[b] = s_0                  the state before the first step
    ds_0 = sum_b ds[b]          ds is what ``backward`` of the layer returns in any case
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.description import layer_text
from minirnn.layers.container import Container, PartShapes
from minirnn.protocol import (
    Array,
    Layer,
    Seed,
    Shape,
    State,
    learns_state,
    leaves,
    map_tree,
    named_leaves,
    require,
    zero_state,
)


class LearnedStateCache(NamedTuple):
    """What ``LearnedState.backward`` needs to know of the forward pass."""

    layer: Any  # the cache of the layer
    learned: frozenset[str]  # the parts of the state that were not given, by name


class LearnedState(Container):
    """A recurrent layer, or a model, that starts from a learned state if it is given none.

    layer: any with a state, such as a cell, a ``Sequential`` with cells in it, or a
    ``Bidirectional``; x, y and lengths are as for that. The state is a list with one entry, the
    state of the layer. Where an entry is None, at any depth, the layer there starts from its
    learned state; a state that is given wins.

    Parameters: those of the layer, and for each array of its state one number a unit, zero at the
    start: ``layer.h_0`` (H,) of a GRU, ``layer.1.c_0`` of an LSTM at place 1 of a ``Sequential``.
    A decoder of a ``Seq2Seq`` cannot learn its first state, since it is given one.
    """

    learns_state = True

    def __init__(self, layer: Layer) -> None:
        self.initial: dict[str, Array] = {}
        super().__init__(layer=layer)
        zeros = zero_state(layer, 1)
        if not leaves(zeros):
            raise TypeError(
                f"layer: expected a recurrent one, with zero_state, got {layer_text(layer):.80}"
            )
        if learns_state(layer):
            raise ValueError(
                "layer: expected one that does not learn its initial state already, got "
                f"{layer_text(layer):.80}"
            )
        self.initial = {name: a[0].copy() for name, a in named_leaves(layer, zeros)}
        self._check_params()
        self.part_shapes(None)

    def _all_params(self) -> dict[str, Array]:
        return super()._all_params() | {f"layer.{n}_0": a for n, a in self.initial.items()}

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shape that the layer gets, and the shape of y."""
        return {"layer": x}, self.part_output("layer", x)

    def zero_state(self, B: int) -> list[State]:
        """The learned state, for B sequences."""
        return [self._learned(B, self.params)]

    def start(self, state: State, B: int, params: Mapping[str, Array] | None = None) -> State:
        """The state of the layer before the first step: what was given, and what is learned."""
        (given,) = self.split(state, "state")
        return _filled(given, self._learned(B, self.params if params is None else params))

    def _learned(self, B: int, params: Mapping[str, Array]) -> State:
        names = iter(self.initial)

        def of_batch(zeros: Array) -> Array:
            name = f"layer.{next(names)}_0"
            p = checks.array(params[name], f"params[{name!r}]", zeros.shape[1:], None, "fc")
            return np.repeat(p[None], B, axis=0)

        return map_tree(of_batch, zero_state(self.parts["layer"], 1))

    def forward(
        self,
        x: Any,
        state: State = None,
        lengths: Any = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, list[State], LearnedStateCache]:
        """Returns y, the final state, and the cache. Arguments as for the layer."""
        first = x[0] if isinstance(x, tuple) and x else x  # of a pair, see ``OutputRNN``
        shape = checks.numbers(first, "x").shape
        if len(shape) < 2:
            raise ValueError(f"x: expected a sequence (T, B, ...), got shape {shape}")
        learned = self._learned(shape[1], self.params)
        (given,) = self.split(state, "state")
        start = _filled(given, learned)
        used = [id(a) for a in leaves(start)]
        names = zip(self.initial, leaves(learned), strict=True)
        with self.at("layer") as layer:
            y, final, cache = layer.forward(x, start, lengths, training, rng)
        return y, [final], LearnedStateCache(cache, frozenset(n for n, a in names if id(a) in used))

    def backward(
        self, dy: Any, cache: LearnedStateCache, dstate: State = None
    ) -> tuple[Any, list[State], dict[str, Array]]:
        """Returns dx, the gradient of the state that the layer started from, and those of the
        parameters; that of a learned state that was not used is zero."""
        inner, learned = checks.cache_type(cache, LearnedStateCache)
        (dstate,) = self.split(dstate, "dstate")
        with self.at("layer") as layer:
            dx, dstate, grads = layer.backward(dy, inner, dstate)
        by_name = dict(named_leaves(self.parts["layer"], dstate))
        own = {
            f"{name}_0": by_name[name].sum(axis=0) if name in learned else np.zeros_like(p)
            for name, p in self.initial.items()
        }
        return dx, [dstate], self.join_grads({"layer": {**grads, **own}})

    def step(
        self, x: Any, state: State = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, list[State]]:
        """One time step of the layer; the first starts from the learned state."""
        B = len(np.atleast_1d(checks.numbers(x, "x", "biufc")))
        start = self.start(state, B, params)
        with self.at("layer") as layer:
            step = require(layer, "step", "LearnedState.step", "")
            y, state = step(x, start, self.own_params(params, "layer"))
        return y, [state]


def _filled(given: State, learned: State) -> State:
    """The state that was given, with the learned one for each layer that was given none."""
    if given is None:
        return learned
    by_layer = isinstance(learned, list) and isinstance(given, (list, tuple))
    if by_layer and len(given) == len(learned):
        return [_filled(*of_layer) for of_layer in zip(given, learned, strict=True)]
    return given
