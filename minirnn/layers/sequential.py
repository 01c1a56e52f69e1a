"""Layers one after the other: the output of each is the input of the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, PartShapes
from minirnn.padding import is_pair
from minirnn.protocol import Array, Layer, Numbers, Seed, Shape, State, output_shape_of_any, require


class Sequential(Container):
    """A stack of layers, itself a layer: ``Sequential(LSTM(1, 50), LSTM(50, 50), Linear(50, 1))``.

    Parameters are named after the layer's place, "0.W_x", "2.b". The state is a list with one entry
    for each layer, None where a layer has no state. ``lengths`` go to all layers that see whole
    sequences, so not to those after a ``Last``. A layer may stand at several places. Each of its
    arrays is one parameter even then, named after the first place, and its gradient is the sum over
    the places. A layer's state at one place is not that at another.
    """

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("layers: expected at least one, got none")
        super().__init__(**{str(k): layer for k, layer in enumerate(layers)})
        self.part_shapes(None)

    @property
    def layers(self) -> tuple[Any, ...]:
        """The layers in their order."""
        return tuple(self.parts.values())

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shape that each layer gets, and the shape of y."""
        inputs: PartShapes = {}
        for name, layer in self.parts.items():
            unknown = x is None and bool(inputs)
            inputs[name] = x
            x = output_shape_of_any(layer) if unknown else self.part_output(name, x)
        return inputs, x

    def forward(
        self,
        x: Numbers,
        state: State = None,
        lengths: Any = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, list[State], list[Any]]:
        """Returns y, the list of the layers' final states, and the list of their caches.

        Arguments as for each of the layers; ``rng`` is shared by those that draw.
        """
        y: Any = x
        states, caches = [], []
        # One generator for all parts: from the same seed, each would draw the same numbers.
        rng = None if rng is None else checks.generator(rng)
        for name, s in zip(self.parts, self.split(state, "state"), strict=True):
            with self.at(name) as layer:
                y, s, cache = layer.forward(y, s, lengths, training, rng)
            if np.ndim(y) < 3:  # no longer a sequence
                lengths = None
            elif is_pair(lengths):  # of a Seq2Seq: y has the lengths of the targets
                lengths = lengths[1]
            states.append(s)
            caches.append(cache)
        return y, states, caches

    def backward(
        self, dy: Numbers | None, cache: list[Any], dstate: State = None
    ) -> tuple[Any, list[State], dict[str, Array]]:
        """Returns dx, the list of the initial states' gradients, and all parameters' by name."""
        caches, dstates = self.split(cache, "cache"), self.split(dstate, "dstate")
        dx: Any = dy
        grads: dict[str, dict[str, Array]] = {name: {} for name in self.parts}
        for k, name in reversed(list(enumerate(self.parts))):
            with self.at(name) as layer:
                dx, dstates[k], grads[name] = layer.backward(dx, caches[k], dstates[k])
        return dx, dstates, self.join_grads(grads)

    def step(
        self, x: Numbers, state: State = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, list[State]]:
        """One time step through all layers: x (B, D); returns y and the states."""
        y: Any = x
        states = self.split(state, "state")
        for k, name in enumerate(self.parts):
            with self.at(name) as layer:
                step = require(layer, "step", "Sequential.step", "")
                y, states[k] = step(y, states[k], self.own_params(params, name))
        return y, states
