"""Layers one after the other: the output of each is the input of the next."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.protocol import State


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
            methods = hasattr(layer, "forward") and hasattr(layer, "backward")
            if isinstance(layer, type) or not methods:
                raise TypeError(f"layers[{k}]: expected a layer (forward, backward), got {layer!r}")
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

    def forward(
        self,
        x: ArrayLike,
        state: State = None,
        lengths: ArrayLike | None = None,
        training: bool = False,
        rng: Any = None,
    ) -> tuple[np.ndarray, State, Any]:
        """Returns y, the list of the layers' final states, and the list of their caches.

        Arguments as for each of the layers; ``rng`` is shared by those that draw.
        """
        y: Any = x
        states, caches = [], []
        rng = None if rng is None else checks.generator(rng)
        for layer, s in zip(self.layers, self._split_state(state, "state"), strict=True):
            y, s, cache = layer.forward(y, s, lengths, training, rng)
            if np.ndim(y) < 3:  # no sequence any more
                lengths = None
            states.append(s)
            caches.append(cache)
        return y, states, caches

    def backward(
        self, dy: ArrayLike | None, cache: Any, dstate: State = None
    ) -> tuple[np.ndarray, State, dict[str, np.ndarray]]:
        """Returns dx, the list of the initial states' gradients, and all parameters' by name."""
        if not isinstance(cache, list) or len(cache) != len(self.layers):
            raise TypeError(f"cache: expected the list of {len(self.layers)} that forward returned")
        dx: Any = dy
        grads: dict[str, np.ndarray] = {}
        dstates = self._split_state(dstate, "dstate")
        for k in reversed(range(len(self.layers))):
            dx, dstates[k], layer_grads = self.layers[k].backward(dx, cache[k], dstates[k])
            grads |= {f"{k}.{name}": g for name, g in layer_grads.items()}
        return dx, dstates, {name: grads[name] for name in self.params}

    def step(
        self, x: ArrayLike, state: State = None, params: Mapping[str, np.ndarray] | None = None
    ) -> tuple[np.ndarray, State]:
        """One time step through all layers in plain NumPy: x (B, D); returns y and the states."""
        y: Any = x
        params = params or self.params
        states = self._split_state(state, "state")
        for k, layer in enumerate(self.layers):
            own = {name: params[f"{k}.{name}"] for name in layer.params}
            y, states[k] = layer.step(y, states[k], own)
        return y, states

    def _split_state(self, state, name):
        if state is None:
            return [None] * len(self.layers)
        if not isinstance(state, (list, tuple)) or len(state) != len(self.layers):
            n = len(self.layers)
            raise TypeError(f"{name}: expected a list of {n}, one entry a layer, got {state!r:.80}")
        return list(state)
