"""Where sequences end: a batch holds sequences of several lengths, padded to the longest."""

from __future__ import annotations

from typing import Any

import numpy as np

from minirnn import checks
from minirnn.protocol import Array


def padding(lengths: Array, T: int) -> Array:
    """(T, B) bool: where a step lies past the end of its sequence."""
    return np.arange(T)[:, None] >= lengths


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
