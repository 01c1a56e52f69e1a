"""How layers show themselves: ``repr``, a model as a tree, and the place of an error in a model.

All of it, and what ``save`` writes, comes from one source: the arguments of the constructor, each
of which a layer keeps as an attribute (or a part) of the same name.
"""

from __future__ import annotations

import html
import inspect
import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.protocol import Shape, is_layer, optional, output_shape

# Arguments of the initial values only. They are neither kept nor shown nor saved.
OF_INITIAL_VALUES = ("rng", "forget_bias")
MISSING: Any = inspect.Parameter.empty


def arguments(layer: Any) -> Iterator[tuple[inspect.Parameter, Any]]:
    """The parameters of a layer's constructor, each with its value, ``MISSING`` where the layer
    does not keep it."""
    try:
        parameters = inspect.signature(type(layer)).parameters
    except ValueError:  # some classes written in C have none
        return
    for name, parameter in parameters.items():
        if name in OF_INITIAL_VALUES:
            continue
        value = optional(layer, "parts").get(name, getattr(layer, name, MISSING))
        yield parameter, _dtype_name(value) if name == "dtype" else value


def _dtype_name(dtype: Any) -> Any:
    return dtype if dtype is MISSING else str(np.dtype(dtype))


def layer_text(layer: Any, parts: bool = True) -> str:
    """A layer as it is written in Python: ``GRU(2, 4, reset='before')``.

    Options are shown where they differ from their default. A layer that is used twice gets a name
    at its first place: ``Sequential(a := RNN(3, 3), a)``. parts: whether to show layers within.
    """
    uses = Counter(map(id, layers_in(layer)))
    shared = [key for key, n in uses.items() if n > 1]
    return _layer_text(layer, parts, dict(zip(shared, _names(), strict=False)), set())


def layers_in(value: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """A layer and all layers within it. One that is used at two places comes twice."""
    seen = set() if seen is None else seen
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from layers_in(v, seen)
    elif is_layer(value):
        yield value
        if id(value) not in seen:
            seen.add(id(value))
            yield from layers_in([v for _, v in arguments(value)], seen)


def _names() -> Iterator[str]:
    yield from "abcdefghijklmnopqrstuvwxyz"
    yield from (f"a{k}" for k in itertools.count())


def _layer_text(layer: Any, parts: bool, names: dict[int, str], written: set[int]) -> str:
    if type(layer).__repr__ not in (object.__repr__, Shown.__repr__):
        return repr(layer)  # a layer of the user's own that knows how to show itself

    def text_of(value: Any) -> str:
        name = names.get(id(value)) if is_layer(value) else None
        if name is None or id(value) in written:
            return name or _value_text(value, names, written)
        written.add(id(value))
        return f"{name} := {_value_text(value, names, written)}"

    words, own_parts = [], list(map(id, optional(layer, "parts").values()))
    for parameter, value in arguments(layer):
        if parameter.kind is parameter.VAR_POSITIONAL and isinstance(value, (tuple, list)):
            words += [text_of(v) for v in value if parts]
            continue
        if id(value) in own_parts and not parts:
            continue
        default, text = parameter.default, text_of(value)
        default = _dtype_name(default) if parameter.name == "dtype" else default
        # Not shown: an option that is its default, or that the layer does not keep.
        if default is not MISSING and text in (_value_text(default), _value_text(MISSING)):
            continue
        positional = default is MISSING and parameter.kind is not parameter.KEYWORD_ONLY
        text = f"({text})" if " := " in text and not positional else text
        words.append(text if positional else f"{parameter.name}={text}")
    return f"{type(layer).__name__}({', '.join(words)})"


def _value_text(value: Any, names: dict[int, str] | None = None, written: Any = ()) -> str:
    if value is MISSING:
        return "..."
    if is_layer(value):
        return _layer_text(value, True, names or {}, written)
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."  # an array, say


class Shown:
    """A layer whose ``repr`` is the Python expression that makes one like it."""

    def __repr__(self) -> str:
        return layer_text(self)


# ---- A model as a tree --------------------------------------------------------------------------


class Row(NamedTuple):
    """One layer of a model."""

    place: str  # "1.forward", as in the names of its parameters
    text: str
    shape: str  # of its output
    parameters: str  # their number


def rows(
    layer: Any, place: str = "", x: Shape | None = None, counted: set[int] | None = None
) -> list[Row]:
    """A layer and those that it is made of, from the first to the last. An array that is used at
    two places is counted at the first of them; ``counted``: the arrays counted so far, by id."""
    counted = set() if counted is None else counted
    parts = optional(layer, "parts")
    y = output_shape(layer, x)
    shape = "" if y is None else checks.shape_text(y)
    number = ""  # of a container, since its parts show theirs
    if not parts:
        own = {id(p): p.size for p in layer.params.values()}
        new = own.keys() - counted
        number = f"{sum(own[key] for key in new):,}" if new or not own else "shared"
        counted.update(own)
    listed = [Row(place, layer_text(layer, parts=False), shape, number)]
    part_shapes = optional(layer, "part_shapes")
    inputs = part_shapes(x)[0] if part_shapes else {}
    for name, part in parts.items():
        listed += rows(part, f"{place}.{name}".lstrip("."), inputs.get(name), counted)
    of_parts = {id(p) for part in parts.values() for p in part.params.values()} | counted
    for name, p in layer.params.items() if parts else ():
        if id(p) not in of_parts:  # of the container itself
            counted.add(id(p))
            listed.append(Row(f"{place}.{name}".lstrip("."), "", "", f"{p.size:,}"))
    return listed


def _table(model: Any) -> list[Row]:
    own, *listed = rows(model)
    total = {id(p): p.size for p in model.params.values()}
    title = Row(
        "", type(model).__name__ if own.text.endswith("()") else own.text, "output", "parameters"
    )
    return [title, *listed, Row("", "total", "", f"{sum(total.values()):,}")]


def tree(model: Any) -> str:
    """A model as a table: the place of each layer, the layer, its output and its parameters."""
    table = _table(model)
    a, b, c, d = (max(len(row[k]) for row in table) for k in range(4))
    lines = [f"{r.place:<{a}}  {r.text:<{b}}  {r.shape:<{c}}  {r.parameters:>{d}}" for r in table]
    return "\n".join(line.rstrip() for line in lines)


def html_table(model: Any) -> str:
    """The same for a notebook."""

    def line(row: Row, cell: str) -> str:
        left = "".join(
            f"<{cell} style='text-align:left'>{html.escape(t)}</{cell}>" for t in row[:3]
        )
        return f"<tr>{left}<{cell} style='text-align:right'>{row.parameters}</{cell}></tr>"

    title, *listed = _table(model)
    body = "".join(line(row, "td") for row in listed)
    return f"<table><thead>{line(title, 'th')}</thead><tbody>{body}</tbody></table>"


# ---- The place of an error ----------------------------------------------------------------------


class At:
    """``with At("1", layer):`` puts the place in front of an error that is raised in the block:
    "layer 1, Linear(5, 1): ..."."""

    __slots__ = ("layer", "place")

    def __init__(self, place: str, layer: Any) -> None:
        self.place, self.layer = place, layer

    def __enter__(self) -> Any:
        return self.layer

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if kind is not ValueError and kind is not TypeError:
            return
        # An inner layer has noted its place in the error; those of the layers around go before it.
        place, text = getattr(error, "in_layer", ("", f"{layer_text(self.layer)}: {error}"))
        error.in_layer = f"{self.place}.{place}".rstrip("."), text
        error.args = ("layer {}, {}".format(*error.in_layer),)
