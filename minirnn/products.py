"""The matrix products over all time steps at once, outside every time loop.

One product of a (T*B, D) matrix runs near the peak of the processor; T products of (B, D) do not.
"""

import numpy as np

from minirnn import threads
from minirnn._jit import jit
from minirnn._memory import empty

# Infinities and NaN go through layers without a word: ``fit`` stops at them and says where.
quiet = np.errstate(over="ignore", invalid="ignore")


@jit
def product(a, b, out):
    """out = a b, by the BLAS that the kernels use too.

    NumPy brings a BLAS of its own. If both worked in turn, the idle threads of each, which wait in
    a loop for more, would keep the other's from their cores: two to four times slower on two cores.
    """
    np.dot(a, b, out)


def times(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``x W`` at every step: x (..., D), W (D, K), to (..., K)."""
    xW = empty((*x.shape[:-1], W.shape[1]), x.dtype)
    rows, out = x.reshape(-1, x.shape[-1]), xW.reshape(-1, W.shape[1])
    own = threads.blocks(len(rows), rows.size * W.shape[1])
    threads.each(lambda n: product(rows[n], W, out[n]), own)
    return xW


def weight_gradient(x: np.ndarray, da: np.ndarray) -> np.ndarray:
    """dW of ``a = x W``, summed over all steps and rows: x (..., D), da (..., K), to (D, K)."""
    rows, da = x.reshape(-1, x.shape[-1]), da.reshape(-1, da.shape[-1])
    own = threads.blocks(len(rows), rows.size * da.shape[1])
    parts = [np.empty((rows.shape[1], da.shape[1]), x.dtype) for _ in own]
    threads.each(lambda k: product(rows[own[k]].T, da[own[k]], parts[k]), range(len(own)))
    return in_order(parts)


def in_order(parts: list[np.ndarray]) -> np.ndarray:
    """The sum of the parts, from the first to the last; it takes the first one's place."""
    for part in parts[1:]:
        parts[0] += part
    return parts[0]


def bias_gradient(da: np.ndarray) -> np.ndarray:
    """db of ``a = ... + b``, summed over all steps and rows: da (..., K), to (K,)."""
    return da.reshape(-1, da.shape[-1]).sum(axis=0)
