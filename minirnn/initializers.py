"""Initial values of weights.

Glorot & Bengio (2010) keep the variance of signals and gradients the same across a layer; Saxe et
al. (2014) keep their *length* the same across many products with the same matrix, which is what
``W_h`` is for: an orthogonal matrix has only eigenvalues of size 1. Each gate is a matrix of its
own, so every gate's block of columns is drawn on its own.
"""

from __future__ import annotations

import numpy as np


def glorot_uniform(
    rng: np.random.Generator, fan_in: int, fan_out: int, blocks: int = 1
) -> np.ndarray:
    """Draw ``blocks`` matrices (fan_in, fan_out) side by side: uniform in +-sqrt(6 / (in + out)).

    Returns float64 of shape (fan_in, blocks * fan_out).
    """
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, (fan_in, blocks * fan_out))


def orthogonal(rng: np.random.Generator, size: int, blocks: int = 1) -> np.ndarray:
    """Draw ``blocks`` random orthogonal matrices (size, size) side by side.

    Returns float64 of shape (size, blocks * size). The Q of a Gaussian matrix's QR factors, with
    the signs of R's diagonal moved into it, is uniform over all rotations (Mezzadri 2007).
    """
    matrices = []
    for _ in range(blocks):
        q, r = np.linalg.qr(rng.normal(size=(size, size)))
        matrices.append(q * np.sign(np.diag(r)))
    return np.hstack(matrices)
