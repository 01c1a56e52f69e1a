"""What layers made of layers share: the names of parameters, the list of states, the tree.

One array is one parameter. A layer that is used at two places, or an output layer that is tied to
an embedding, is listed in ``params`` once, under the first of its names, and its gradients are
summed: with ``w`` used as ``u`` and as ``v``, ``dw = du + dv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from minirnn import checks
from minirnn.description import At, Shown, html_table, tree
from minirnn.protocol import (
    Array,
    Layer,
    Shape,
    State,
    is_layer,
    optional,
    output_shape,
    zero_state,
)

PartShapes = dict[str, Shape | None]


class Container(Shown):
    """A layer made of ``parts``, a dictionary of layers.

    Parameters are named after the part, "0.W_x", "forward.b"; all have one dtype. The state is a
    list with one entry for each part, None where it has no state. A subclass defines ``forward``,
    ``backward`` and ``part_shapes``.
    """

    def __init__(self, **parts: Layer) -> None:
        for name, layer in parts.items():
            if not is_layer(layer):
                raise TypeError(
                    f"layer {name}: expected one with forward and backward, got {layer!r:.80}"
                )
            if name != "attention" and optional(layer, "before_step") is not None:
                raise TypeError(
                    f"layer {name}, {layer!r}: expected a layer that needs no memory; attention is "
                    "for Seq2Seq(attention=...)"
                )
        self.parts: dict[str, Any] = parts
        self._check_params()

    def _check_params(self) -> None:
        """Raise ValueError unless all parameters have one dtype, and any two of them are one array
        or have no memory in common."""
        params = self.params
        dtypes = {str(p.dtype): name for name, p in reversed(list(params.items()))}
        if len(dtypes) > 1:
            got = " and ".join(f"{dtype} ({name})" for dtype, name in sorted(dtypes.items()))
            raise ValueError(f"layers: expected parameters of one dtype, got {got}")
        checks.apart(params, "layers")

    @property
    def params(self) -> Mapping[str, Array]:
        """All parameters by name: the layers' own arrays, to be changed in place."""
        # Read-only, since assigning to a name here would not reach the layer.
        return MappingProxyType(EachOnce(self._all_params()))

    def _all_params(self) -> dict[str, Array]:
        """The parameters of all parts. An array that is used at two places is here twice."""
        return join({name: part.params for name, part in self.parts.items()})

    def join_grads(self, by_part: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
        """The parts' gradients under the names of ``params``, those of one array summed."""
        names, grads = first_names(self._all_params()), join(by_part)
        total: dict[str, Array] = {}
        # In the order of ``params``. Names that are not in it, of a wrong backward, come last.
        for name in [*(n for n in names if n in grads), *(grads.keys() - names)]:
            first = names.get(name, name)
            total[first] = total[first] + grads[name] if first in total else grads[name]
        return total

    def own_params(
        self, params: Mapping[str, Array] | None, name: str
    ) -> Mapping[str, Array] | None:
        """The entries of ``params`` that belong to a part, under the names that the part uses.

        None stands for the part's own parameters.
        """
        if params is None:
            return None
        names = first_names(self._all_params())
        return {n: params[names[f"{name}.{n}"]] for n in self.parts[name].params}

    def zero_state(self, B: int) -> State:
        """The state of zeros that ``forward`` starts from."""
        return [zero_state(part, B) for part in self.parts.values()]

    def split(self, state: State, name: str) -> list[Any]:
        """A state, or a cache, as the list of what belongs to each part. name: of the argument, for
        errors; a state may be None, a cache may not."""
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
        """``with self.at(name) as part:`` errors from the block begin with the part's place."""
        return At(name, self.parts[name])

    def __str__(self) -> str:
        return tree(self)

    def _repr_html_(self) -> str:
        return html_table(self)


class EachOnce(dict[str, Array]):
    """Arrays by name, each listed once; it is also found under its other names."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        super().__init__({name: arrays[name] for name in first_names(arrays).values()})
        self.all = arrays

    def __missing__(self, name: str) -> Array:
        return self.all[name]


def first_names(arrays: Mapping[str, Array]) -> dict[str, str]:
    """{name: the first name under which the same array is listed}."""
    first: dict[int, str] = {}
    return {name: first.setdefault(id(a), name) for name, a in arrays.items()}


def join(by_part: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
    """{part: {name: array}} to {"part.name": array}."""
    return {f"{part}.{name}": a for part, own in by_part.items() for name, a in own.items()}
