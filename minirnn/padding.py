"""Where sequences end: batches hold sequences of several lengths, filled up to the longest."""

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks


def padding(lengths: np.ndarray, T: int) -> np.ndarray:
    """(T, B) bool: where a step lies past the end of its sequence."""
    return np.arange(T)[:, None] >= lengths


def padding_of(lengths: ArrayLike | None, x: np.ndarray) -> np.ndarray | None:
    """The padding of sequences x (T, B, ...); None where there are no lengths, or no sequences."""
    if lengths is None or x.ndim + (x.dtype.kind in "iu") < 3:
        return None
    return padding(checks.lengths(lengths, *x.shape[:2]), len(x))


def zero_at(past_end: np.ndarray | None, x: np.ndarray) -> np.ndarray:
    """x (T, B, ...) with zeros in the padding; x itself where there is none."""
    if past_end is None or not past_end.any():
        return x
    return np.where(past_end.reshape(past_end.shape + (1,) * (x.ndim - 2)), 0, x)
