"""What layers made of layers share: the names of the parameters, and the list of the states."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from minirnn.protocol import zero_state


class Container:
    """A layer made of ``parts``, a dictionary of layers.

    Parameters are named after the part, "0.W_x", "forward.b". The state is a list with one entry a
    part, None where it has none. A kind of container adds ``forward`` and ``backward``.
    """

    def __init__(self, **parts):
        for name, layer in parts.items():
            methods = hasattr(layer, "forward") and hasattr(layer, "backward")
            if isinstance(layer, type) or not methods:
                raise TypeError(
                    f"layer {name}: expected one with forward and backward, got {layer!r:.80}"
                )
        self.parts = parts

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        """All parameters by name: the layers' own arrays, to be changed in place."""
        # Read-only, since assigning to a name here would not reach the layer.
        return MappingProxyType(join({name: part.params for name, part in self.parts.items()}))

    def own_params(self, params, name):
        """The entries of ``params`` that belong to a part, under the names that it uses; None (the
        part's own parameters) where there are none."""
        if params is None:
            return None
        return {n: params[f"{name}.{n}"] for n in self.parts[name].params}

    def zero_state(self, B):
        """The state of zeros that ``forward`` starts from."""
        return [zero_state(part, B) for part in self.parts.values()]

    def split(self, state, name):
        """A state, or a cache, as the list of what belongs to each part."""
        n = len(self.parts)
        if state is None and name != "cache":
            return [None] * n
        if not isinstance(state, (list, tuple)) or len(state) != n:
            raise TypeError(f"{name}: expected a list of {n}, one entry a layer, got {state!r:.80}")
        return list(state)


def join(by_part):
    """{part: {name: array}} to {"part.name": array}."""
    return {f"{part}.{name}": a for part, own in by_part.items() for name, a in own.items()}
