"""Initial values of weights.

Glorot & Bengio (2010) keep the variance of signals and gradients the same across a layer; Saxe et
al. (2014) keep their *length* the same across many products with the same matrix, which is what
``W_h`` is for: an orthogonal matrix has only eigenvalues of size 1. Each gate is a matrix of its
own, so every gate's block of columns is drawn on its own.
"""

from typing import Any

import numpy as np

from minirnn import checks
from minirnn.protocol import optional


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


def identity(size: int, scale: float = 1.0) -> np.ndarray:
    """The identity matrix times ``scale``: with relu, a state that stays as it is (Le et al. 2015).

    ``rnn.params["W_h"][...] = identity(H)`` with ``rnn = RNN(D, H, "relu")`` is their IRNN.
    """
    return scale * np.eye(checks.size(size, "size"))


def chrono(layer: Any, longest: int, rng: Any = None) -> None:
    """Set the bias of an LSTM or GRU, in place, for a memory of 1 to ``longest`` steps.

    With u uniform in 1..longest-1 for each unit, an LSTM gets ``b_f = log u``, ``b_i = -log u``, so
    that its cell forgets 1/u of itself a step; a GRU, where z keeps, ``b_z = log u`` (Tallec &
    Ollivier 2018, arXiv:1804.11188). Raises TypeError for a layer without these gates, ValueError
    for a ``longest`` below 3.
    """
    gates, keeping = optional(layer, "gates"), optional(layer, "keeping")
    if not keeping or keeping[0][0] not in gates:
        raise TypeError(f"layer: expected an LSTM or a GRU, got {type(layer).__name__}")
    longest = checks.size(longest, "longest")
    if longest < 3:
        raise ValueError(f"longest: expected at least 3 steps, got {longest}")
    log_u = np.log(checks.generator(rng).uniform(1, longest - 1, layer.hidden_size))
    for gate, sign in keeping:
        if gate in gates:
            np.split(layer.params["b"], len(gates))[gates.index(gate)][...] = sign * log_u
