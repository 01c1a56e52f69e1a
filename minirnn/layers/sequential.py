"""Layers one after the other: the output of each is the input of the next."""

from typing import Any

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, join
from minirnn.protocol import Backward, Forward


class Sequential(Container):
    """A stack of layers, itself a layer: ``Sequential(LSTM(1, 50), LSTM(50, 50), Linear(50, 1))``.

    Parameters are named after the layer's place, "0.W_x", "2.b". The state is a list with one entry
    a layer, None where a layer has none. ``lengths`` go to all layers that see whole sequences, so
    not to those behind a ``Last``.
    """

    def __init__(self, *layers):
        if not layers:
            raise ValueError("layers: expected at least one, got none")
        super().__init__(**{str(k): layer for k, layer in enumerate(layers)})
        self.layers = layers

    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, the list of the layers' final states, and the list of their caches.

        Arguments as for each of the layers; ``rng`` is shared by those that draw.
        """
        y: Any = x
        states, caches = [], []
        rng = None if rng is None else checks.generator(rng)
        for layer, s in zip(self.layers, self.split(state, "state"), strict=True):
            y, s, cache = layer.forward(y, s, lengths, training, rng)
            if np.ndim(y) < 3:  # no sequence any more
                lengths = None
            states.append(s)
            caches.append(cache)
        return y, states, caches

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx, the list of the initial states' gradients, and all parameters' by name."""
        caches, dstates = self.split(cache, "cache"), self.split(dstate, "dstate")
        dx, grads = dy, dict.fromkeys(self.parts)
        for k in reversed(range(len(self.layers))):
            dx, dstates[k], grads[str(k)] = self.layers[k].backward(dx, caches[k], dstates[k])
        return dx, dstates, join(grads)

    def step(self, x, state=None, params=None):
        """One time step through all layers: x (B, D); returns y and the states."""
        y, states = x, self.split(state, "state")
        for k, layer in enumerate(self.layers):
            y, states[k] = layer.step(y, states[k], self.own_params(params, str(k)))
        return y, states
