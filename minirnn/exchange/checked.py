"""What is checked before a model goes elsewhere, and before numbers come in.

A table says what the other library has. A layer is compared with it as a whole: its class, each
argument that it was made with, and each of its parameters. So what nobody thought of is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.description import arguments, layer_text
from minirnn.protocol import Array

# By class, each argument of the constructor with the values that the other library has, too. An
# argument that is not listed, one that a layer gets in future say, has no such value.
Table: TypeAlias = Mapping[type, Mapping[str, Sequence[Any] | None]]
ANY = None
SIZES: dict[str, Any] = dict.fromkeys(("input_size", "hidden_size", "dtype"), ANY)


def compared(layer: Any, table: Table, library: str, name: str = "layer") -> dict[str, Any]:
    """The arguments that the layer was made with. TypeError unless the library has all of it."""
    kind = type(layer)
    if kind not in table:
        kinds = " or ".join(known.__name__ for known in table)
        raise TypeError(f"{name}: expected {kinds}, for {library}, got {kind.__name__}")
    found = {}
    for parameter, value in arguments(layer):
        found[parameter.name] = value
        known = table[kind].get(parameter.name, ())
        if known is not ANY and value not in known:
            expected = " or ".join(f"{parameter.name}={v!r}" for v in known)
            raise TypeError(
                f"{name}: expected {kind.__name__} with {expected or 'fewer arguments'}, for "
                f"{library}, got {parameter.name}={value!r:.80} in {layer_text(layer)}"
            )
    return found


def parameters(
    layer: Any, shapes: Mapping[str, tuple[int, ...]], dtype: Any = None
) -> dict[str, Array]:
    """The parameters as ``forward`` takes them, in new arrays of ``dtype``, by default the layer's.
    ValueError unless there are these and no more, of these shapes, with finite numbers."""
    found = dict(zip(shapes, checks.params(layer, dict(shapes)), strict=True))
    return {name: finite(name, p, dtype or p.dtype) for name, p in found.items()}


def finite(name: str, p: Array, dtype: Any) -> Array:
    """A parameter in a new array of ``dtype``, in which all its numbers must be finite."""
    with np.errstate(over="ignore"):
        a = p.astype(dtype)
    expected = f"numbers that are finite in {a.dtype}"
    checks.one_wrong(expected, f"params[{name!r}]", p, ~np.isfinite(a))
    return a


def taker(given: Mapping[str, Any], label: str) -> Callable[..., Array]:
    """``take(name, n, m)``, which returns one of the given arrays or tensors, of shape (n, m).

    Raises ValueError or TypeError unless all are finite numbers of one dtype, float32 or float64.
    float16 and bfloat16 become float32, which has all their numbers. Nothing else is cast, since
    that would lose digits, and nothing is broadcast. label: what errors call an array, with {} for
    its name.
    """
    found: dict[str, Array] = {}
    for name, value in given.items():
        place = label.format(name)
        found[name] = a = checks.numbers(as_array(value, place), place)
        first = next(iter(found))
        if a.dtype not in (np.float32, np.float64):
            raise ValueError(f"{place}: expected float16, float32 or float64, got {a.dtype}")
        if a.dtype != found[first].dtype:
            expected = f"{found[first].dtype}, as {first} has"
            raise ValueError(f"{place}: expected {expected}, got {a.dtype}")
        checks.one_wrong("finite numbers", place, a, ~np.isfinite(a))

    def take(name: str, *shape: int | str) -> Array:
        return checks.array(found[name], label.format(name), shape, None)

    return take


def as_array(value: Any, place: str) -> Any:
    """A tensor as an array, and half precision in float32; all else as it is."""
    if hasattr(value, "detach"):  # a tensor, which may need a gradient or lie on a GPU
        value = value.detach()
        try:
            if str(value.dtype).endswith("float16"):  # NumPy has no bfloat16
                value = value.float()
            value = value.cpu().numpy()
        except (AttributeError, RuntimeError, TypeError) as error:
            raise TypeError(f"{place}: expected a tensor that NumPy takes ({error})") from None
    dtype = getattr(value, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.name in ("float16", "bfloat16"):
        return np.asarray(value).astype(np.float32)
    return value


def reorder(a: Array, order: str, wanted: str) -> Array:
    """The blocks of gates along the last axis in another order."""
    blocks = dict(zip(order, np.split(a, len(order), axis=-1), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted], axis=-1)
