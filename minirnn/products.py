"""The matrix products over all time steps at once, outside every time loop.

One product of a (T*B, D) matrix runs near the peak of the processor; T products of (B, D) do not.
"""

import numpy as np

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
    product(x.reshape(-1, x.shape[-1]), W, xW.reshape(-1, W.shape[1]))
    return xW


def weight_gradient(x: np.ndarray, da: np.ndarray) -> np.ndarray:
    """dW of ``a = x W``, summed over all steps and rows: x (..., D), da (..., K), to (D, K)."""
    dW = np.empty((x.shape[-1], da.shape[-1]), x.dtype)
    product(x.reshape(-1, x.shape[-1]).T, da.reshape(-1, da.shape[-1]), dW)
    return dW


def bias_gradient(da: np.ndarray) -> np.ndarray:
    """db of ``a = ... + b``, summed over all steps and rows: da (..., K), to (K,)."""
    return da.reshape(-1, da.shape[-1]).sum(axis=0)
