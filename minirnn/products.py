"""The matrix products over all time steps at once, outside every time loop.

One product of a (T*B, D) matrix runs near the peak of the processor; T products of (B, D) do not.
"""

from __future__ import annotations

import numpy as np

from minirnn._memory import empty

# Infinities and NaN go through layers without a word: ``fit`` stops at them and says where.
quiet = np.errstate(over="ignore", invalid="ignore")


def times(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``x W`` at every step: x (..., D), W (D, K), to (..., K)."""
    xW = empty((*x.shape[:-1], W.shape[1]), x.dtype)
    np.matmul(x.reshape(-1, x.shape[-1]), W, out=xW.reshape(-1, W.shape[1]))
    return xW


def weight_gradient(x: np.ndarray, da: np.ndarray) -> np.ndarray:
    """dW of ``a = x W``, summed over all steps and rows: x (..., D), da (..., K), to (D, K)."""
    return x.reshape(-1, x.shape[-1]).T @ da.reshape(-1, da.shape[-1])


def bias_gradient(da: np.ndarray) -> np.ndarray:
    """db of ``a = ... + b``, summed over all steps and rows: da (..., K), to (K,)."""
    return da.reshape(-1, da.shape[-1]).sum(axis=0)
