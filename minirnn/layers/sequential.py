"""Layers one after the other: the output of each is the input of the next."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from minirnn import checks


class Sequential:
    """A stack of layers, itself a layer: ``Sequential(LSTM(1, 50), LSTM(50, 50), Linear(50, 1))``.

    Parameters are named after the layer's place, "0.W_x", "2.b". The state is a list with one entry
    a layer, None where a layer has none. ``lengths`` go to all layers that see whole sequences, so
    not to those behind a ``Last``.
    """

    def __init__(self, *layers: Any) -> None:
        if not layers:
            raise ValueError("layers: expected at least one, got none")
        for k, layer in enumerate(layers):
            if not (hasattr(layer, "forward") and hasattr(layer, "backward")):
                raise TypeError(
                    f"layers[{k}]: expected forward and backward methods, got {layer!r}"
                )
        self.layers = layers

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        """All parameters by name: the layers' own arrays, to be changed in place."""
        # Read-only, since assigning to a name here would not reach the layer.
        return MappingProxyType(
            {
                f"{k}.{name}": p
                for k, layer in enumerate(self.layers)
                for name, p in layer.params.items()
            }
        )

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        """Returns y, the list of the layers' final states, and the list of their caches.

        Arguments as for each of the layers; ``rng`` is shared by those that draw.
        """
        states, caches = [], []
        rng = None if rng is None else checks.generator(rng)
        for layer, s in zip(self.layers, self._split_state(state, "state"), strict=True):
            x, s, cache = layer.forward(x, s, lengths, training, rng)
            if np.ndim(x) < 3:  # no sequence any more
                lengths = None
            states.append(s)
            caches.append(cache)
        return x, states, caches

    def backward(self, dy, cache, dstate=None):
        """Returns dx, the list of the gradients of the initial states, and all gradients by name."""
        if not isinstance(cache, list) or len(cache) != len(self.layers):
            raise TypeError(f"cache: expected the list of {len(self.layers)} that forward returned")
        grads: dict[str, np.ndarray] = {}
        dstates = self._split_state(dstate, "dstate")
        for k in reversed(range(len(self.layers))):
            dy, dstates[k], layer_grads = self.layers[k].backward(dy, cache[k], dstates[k])
            grads |= {f"{k}.{name}": g for name, g in layer_grads.items()}
        return dy, dstates, {name: grads[name] for name in self.params}

    def step(self, x, state=None, params=None):
        """One time step through all layers in plain NumPy: x (B, D); returns y and the states."""
        params = params or self.params
        states = self._split_state(state, "state")
        for k, layer in enumerate(self.layers):
            own = {name: params[f"{k}.{name}"] for name in layer.params}
            x, states[k] = layer.step(x, states[k], own)
        return x, states

    def _split_state(self, state, name):
        if state is None:
            return [None] * len(self.layers)
        if not isinstance(state, (list, tuple)) or len(state) != len(self.layers):
            n = len(self.layers)
            raise TypeError(f"{name}: expected a list of {n}, one entry a layer, got {state!r:.80}")
        return list(state)
