"""What layers made of layers share: the names of parameters, the list of states, the tree."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from minirnn.description import At, Shown, html_table, is_layer, tree
from minirnn.protocol import Array, Layer, Shape, State, output_shape, zero_state

PartShapes = dict[str, Shape | None]


class Container(Shown):
    """A layer made of ``parts``, a dictionary of layers.

    Parameters are named after the part, "0.W_x", "forward.b". The state is a list with one entry
    for each part, None where it has no state. A subclass defines ``forward``, ``backward`` and
    ``part_shapes``.
    """

    def __init__(self, **parts: Layer) -> None:
        for name, layer in parts.items():
            if not is_layer(layer):
                raise TypeError(
                    f"layer {name}: expected one with forward and backward, got {layer!r:.80}"
                )
        self.parts: dict[str, Any] = parts

    @property
    def params(self) -> Mapping[str, Array]:
        """All parameters by name: the layers' own arrays, to be changed in place."""
        # Read-only, since assigning to a name here would not reach the layer.
        return MappingProxyType(join({name: part.params for name, part in self.parts.items()}))

    def own_params(
        self, params: Mapping[str, Array] | None, name: str
    ) -> Mapping[str, Array] | None:
        """The entries of ``params`` that belong to a part, under the names that the part uses.

        None stands for the part's own parameters.
        """
        if params is None:
            return None
        return {n: params[f"{name}.{n}"] for n in self.parts[name].params}

    def zero_state(self, B: int) -> list[State]:
        """The state of zeros that ``forward`` starts from."""
        return [zero_state(part, B) for part in self.parts.values()]

    def split(self, state: State, name: str) -> list[Any]:
        """A state, or a cache, as the list of what belongs to each part."""
        n = len(self.parts)
        if state is None and name != "cache":
            return [None] * n
        if not isinstance(state, (list, tuple)) or len(state) != n:
            raise TypeError(f"{name}: expected a list of {n}, one entry a layer, got {state!r:.80}")
        return list(state)

    # ---- What is known before the first call ----------------------------------------------------

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shape that each part gets, and the shape of y; None where it is not known.

        Raises ValueError, with the place of the part, where two of them do not fit.
        """
        return {}, None

    def output_shape(self, x: Shape | None) -> Shape | None:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        return self.part_shapes(x)[1]

    def part_output(self, name: str, x: Shape | None) -> Shape | None:
        """The shape of a part's output."""
        with self.at(name) as part:
            return output_shape(part, x)

    def at(self, name: str) -> At:
        """``with self.at(name) as part:`` errors within begin with the place of the part."""
        return At(name, self.parts[name])

    def __str__(self) -> str:
        return tree(self)

    def _repr_html_(self) -> str:
        return html_table(self)


def join(by_part: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """{part: {name: array}} to {"part.name": array}."""
    return {f"{part}.{name}": a for part, own in by_part.items() for name, a in own.items()}
