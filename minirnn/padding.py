"""Where sequences end: a batch holds sequences of several lengths, padded to the longest."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn import checks
from minirnn.protocol import Array


def padding(lengths: Array, T: int) -> Array:
    """(T, B) bool: where a step lies past the end of its sequence."""
    return np.arange(T)[:, None] >= lengths


def is_pair(lengths: Any) -> bool:
    """Whether lengths are a pair, of a model with two inputs, and not a tuple of numbers (B,)."""
    return isinstance(lengths, tuple) and any(n is None or np.ndim(n) > 0 for n in lengths)


def padding_of(lengths: Any, x: Array) -> Array | None:
    """The padding of sequences x (T, B, ...); None where there are no lengths, or no sequences."""
    if lengths is None or x.ndim + (x.dtype.kind in "iu") < 3:
        return None
    return padding(checks.lengths(lengths, *x.shape[:2]), len(x))


def zero_at(past_end: Array | None, x: Array) -> Array:
    """x (T, B, ...) with zeros in the padding; x itself where there is none."""
    if past_end is None or not past_end.any():
        return x
    return np.where(past_end.reshape(past_end.shape + (1,) * (x.ndim - 2)), 0, x)
