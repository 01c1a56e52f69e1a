"""Checks of arguments: each error names the argument, what was expected, and what came instead."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def size(value: Any, name: str, low: int = 1) -> int:
    """A whole number of at least ``low`` that can be the size of an axis."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, got {value!r:.80}") from None
    if isinstance(value, (bool, np.bool_)) or not low <= number < 2**31:
        raise ValueError(f"{name}: expected a whole number of at least {low}, got {value!r}")
    return number


def function(value: Any, name: str) -> Any:
    """Something to be called."""
    if not callable(value):
        raise TypeError(f"{name}: expected a function, got {value!r:.80}")
    return value


def by_name(value: Any, name: str) -> Mapping[str, NDArray[Any]]:
    """Arrays by name, such as ``layer.params``."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected arrays by name, got {type(value).__name__}")
    return value


def path(value: Any, name: str) -> str:
    """The name of a file."""
    try:
        result = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"{name}: expected the name of a file, got {value!r:.80}") from None
    if not result or "\0" in result:
        raise ValueError(f"{name}: expected the name of a file, got {result!r:.80}")
    return result


def number(
    value: Any, name: str, low: float = -np.inf, high: float = np.inf, low_included: bool = True,
    finite: bool = True,
) -> float:  # fmt: skip
    """A number between ``low`` and ``high``; infinity only with ``finite=False``."""
    try:
        result = float(value + 0)  # the text "0.1" is not a number
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}: expected a number, got {value!r:.80}") from None
    inside = (low <= result if low_included else low < result) and result <= high
    if not inside or (finite and np.isinf(result)):  # NaN is not inside
        expected = "a finite number" if finite else "a number"
        bounds = f"{'[' if low_included else '('}{low:g}, {high:g}]"
        raise ValueError(f"{name}: expected {expected} in {bounds}, got {value!r}")
    return result


def probability(value: Any, name: str, high: float = 1.0) -> float:
    """A number in 0..high. One that is outside of 0..1 by a rounding error, such as 1 after it was
    lowered twenty times by 0.05, is set to the bound."""
    result = number(value, name)
    inside = min(max(result, 0.0), 1.0)
    return number(inside if abs(result - inside) < 1e-9 else value, name, 0, high)


def choice(value: Any, name: str, options: Iterable[str]) -> str:
    """One of a few words."""
    options = tuple(options)
    if not isinstance(value, str) or value not in options:
        expected = " or ".join(repr(option) for option in options)
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return value


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64."""
    try:
        result = np.dtype(dtype)
    except TypeError:
        result = None
    # Not "result in (...)": to NumPy None equals float64.
    if result is None or result not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(f"dtype: expected float32 or float64, got {dtype!r}")
    return result


def generator(rng: Any) -> np.random.Generator:
    """A random generator from a Generator, a seed, or None (a new one each time)."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        expected = "a numpy.random.Generator, a whole number >= 0 or None"
        raise TypeError(f"rng: expected {expected}, got {rng!r}") from None


def shape_text(shape: Iterable[Any]) -> str:
    """Write a shape whose sizes are numbers or names: ``(T, B, 3)``."""
    shape = tuple(shape)
    return "(" + ", ".join(str(n) for n in shape) + ("," if len(shape) == 1 else "") + ")"


def numbers(value: Any, name: str, kinds: str = "biuf") -> NDArray[Any]:
    """An array of numbers of the given kinds (``numpy.dtype.kind``), by default all real ones.

    What marks some of its numbers as missing is refused, since NumPy would lose the mark.
    """
    result = value if type(value) is np.ndarray else _as_array(value, name)
    if result.dtype.kind not in kinds:
        expected = {"iu": "whole numbers", "biuf": "real numbers"}.get(kinds, "numbers")
        got = f"{result.dtype} ({type(value).__name__})"
        raise TypeError(f"{name}: expected {expected}, got {got}")
    return result


WITHOUT_GAPS = {int, float, bool, np.ndarray, np.float64, np.float32, np.int64}


def _as_array(value: Any, name: str) -> NDArray[Any]:
    got = type(value).__name__
    if _has_gaps(value):
        raise TypeError(
            f"{name}: expected numbers without gaps, got {got} with missing values or a mask; put "
            "numbers there, and say which ones count with the argument mask of the loss"
        )
    try:
        result = np.asarray(value)
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        why = ", whose parts differ in shape" if "inhomogeneous" in str(error) else ""
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: expected an array of numbers, got {got}{why}") from None
    if result.size == 0 and isinstance(value, (list, tuple)):
        result = result.astype(np.int64)  # to NumPy an empty list holds floats
    return result


def _has_gaps(value: Any, depth: int = 8) -> bool:
    """Whether a value is a masked array, has one in it, or is a column with missing values."""
    if isinstance(value, (list, tuple)):
        plain = set(map(type, value)) <= WITHOUT_GAPS  # a fast answer for long lists
        return not plain and depth > 0 and any(_has_gaps(v, depth - 1) for v in value)
    if isinstance(value, np.ma.MaskedArray):
        return True
    # Columns of pandas, if they are not NumPy's own, and of Polars and Arrow, by their own words.
    own: Any = getattr(value, "dtypes", getattr(value, "dtype", None))
    missing = getattr(value, "isna", None)
    if callable(missing) and not all(isinstance(dtype, np.dtype) for dtype in np.ravel(own)):
        return bool(np.any(missing()))
    missing = getattr(value, "null_count", 0)
    return bool(np.any(missing() if callable(missing) else missing))


def one_array(value: Any, name: str) -> NDArray[Any]:
    """An array of real numbers, where a pair of two arrays might be given instead."""
    if isinstance(value, tuple):
        raise TypeError(f"{name}: expected one array, got a tuple of {len(value)}")
    return numbers(value, name)


def array(
    value: Any, name: str, shape: Sequence[int | str], dtype: Any, kinds: str = "biuf"
) -> NDArray[Any]:
    """A C-contiguous array of ``dtype``, without a copy where it is one already.

    ``shape`` holds the size of each axis, or a letter where any size except 0 is right.
    """
    result = numbers(value, name, kinds)
    fits = result.ndim == len(shape)
    for n, m in zip(result.shape, shape, strict=False):
        fits = fits and (n == m or (isinstance(m, str) and n > 0))
    if not fits:
        got = shape_text(result.shape) + (": it is empty" if 0 in result.shape else "")
        raise ValueError(f"{name}: expected shape {shape_text(shape)}, got {got}")
    if result.flags.c_contiguous and (dtype is None or result.dtype == dtype):
        return result
    with np.errstate(over="ignore"):  # a float64 too large for float32 becomes infinite
        return np.require(result, dtype, "C")


def exactly(a: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether a already is a plain C-contiguous array of this shape and dtype. A fast test."""
    return type(a) is np.ndarray and a.shape == shape and a.dtype == dtype and a.flags.c_contiguous


def floats(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    """An array of ``dtype``; by default float32 or float64 as it is, float64 for other kinds."""
    result = numbers(value, name)
    if dtype is None:
        dtype = result.dtype if result.dtype in (np.float32, np.float64) else np.float64
    return array(result, name, result.shape, dtype)


def tokens(value: NDArray[Any], name: str, V: int) -> NDArray[Any]:
    """Whole numbers in 0..V-1."""
    one_wrong(f"whole numbers in 0..{V - 1}", name, value, (value < 0) | (value >= V))
    return value


def one_wrong(expected: str, name: str, value: NDArray[Any], wrong: NDArray[Any]) -> None:
    """Raise ValueError with the first value that is wrong, if there is one."""
    if wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: expected {expected}, got {value[at]} at {at}")


def lengths(value: Any, T: int, B: int) -> NDArray[Any]:
    """The number of valid steps of each sequence, (B,) int64 in 0..T; None means all T."""
    if value is None:
        return np.full(B, T, np.int64)
    result = array(value, "lengths", (B,), None, kinds="iu")
    if result.min() < 0 or result.max() > T:
        raise ValueError(f"lengths: expected values in 0..{T}, got {result.min()}..{result.max()}")
    return result.astype(np.int64)


def pair(value: Any, name: str) -> tuple[Any, Any]:
    """A tuple of two; None means (None, None)."""
    if value is None:
        return None, None
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError(f"{name}: expected a tuple of two, got {type(value).__name__}")
    return value


def params(layer: Any, shapes: dict[str, tuple[int, ...]]) -> list[NDArray[Any]]:
    """The layer's parameters, in the order and with the shapes that a kernel relies on."""
    dtype, found = layer.dtype, []
    if layer.params.keys() != shapes.keys():
        raise ValueError(f"params: expected the names {sorted(shapes)}, got {sorted(layer.params)}")
    for name, shape in shapes.items():
        p = layer.params[name]
        right = type(p) is np.ndarray and p.shape == shape and p.dtype == dtype
        right = right and p.flags.c_contiguous
        found.append(p if right else array(p, f"params[{name!r}]", shape, dtype))
    return found


def apart(params: Mapping[str, NDArray[Any]], place: str) -> None:
    """Parameters that have no memory in common, unless they are one and the same array."""
    for name, p in params.items():
        if p.base is None:  # it owns its memory, so that only a view, seen as p below, can share it
            continue
        for other, q in params.items():
            if q is not p and np.shares_memory(p, q):
                raise ValueError(
                    f"{place}: expected one array for each parameter, got two views of the same "
                    f"memory, {other} and {name}; to share weights, use one layer at both places, "
                    "or Unembedding(embedding)"
                )


def state(
    value: Any, name: str, layer: Any, B: int, dtype: Any, kinds: str = "biuf"
) -> list[NDArray[Any]]:
    """The arrays (B, H) of a recurrent state or of its gradient; zeros where ``value`` is None.

    ``layer.state_names`` says what they are: ("h",) where the state is one array, ("h", "c") where
    it is a pair.
    """
    names, shape = layer.state_names, (B, layer.hidden_size)
    if value is None:
        return [np.zeros(shape, dtype) for _ in names]
    if len(names) == 1:
        return [array(value, name, shape, dtype, kinds)]
    if not isinstance(value, (tuple, list)) or len(value) != len(names):
        got = f"{len(value)} of them" if isinstance(value, (tuple, list)) else type(value).__name__
        expected = f"a pair {shape_text(names)} of arrays {shape_text(shape)}"
        raise TypeError(f"{name}: expected {expected}, got {got}")
    return [array(v, f"{name} {k}", shape, dtype, kinds) for k, v in zip(names, value, strict=True)]


def gradient(dy: Any, shape: tuple[int, ...], dtype: Any = None) -> NDArray[Any]:
    """The gradient of an output, zeros where it is None."""
    if dy is None:
        return np.zeros(shape, dtype)
    return array(floats(dy, "dy", dtype), "dy", shape, None)


def no_state(value: Any, name: str, layer: Any) -> None:
    """None, for a layer that keeps no state."""
    if value is not None:
        raise TypeError(f"{name}: expected None, since {type(layer).__name__} has no state")


def cache_type(value: Any, kind: type) -> Any:
    """A cache of this kind."""
    if not isinstance(value, kind):
        got = "None, as under no_cache" if value is None else type(value).__name__
        raise TypeError(f"cache: expected the {kind.__name__} that forward returned, got {got}")
    return value


def cache(value: Any, layer: Any) -> Any:
    """A cache that a recurrent layer like this one made in its forward pass."""
    value = cache_type(value, layer.cache_type)
    made = (value.x.shape[-1], value.h.shape[-1]), value.h.dtype, value.variant
    given = (layer.input_size, layer.hidden_size), layer.dtype, layer.variant
    if made != given:
        kind = "sizes {}, {}, {}".format
        raise ValueError(f"cache: made by a layer of {kind(*made)}, given to one of {kind(*given)}")
    return value
