"""Losses of forecasts that say how sure they are: a Gaussian density, or quantiles.

The output layer is wider than the target: for K outputs it holds K means and then K logarithms of
variances, or for each quantile K numbers. Masks, weights and means are those of ``losses.py``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from minirnn import checks
from minirnn.protocol import Array, Numbers, quiet
from minirnn.training.losses import counted


@quiet
def gaussian_nll(y: Numbers, target: Numbers, mask: Numbers | None = None) -> tuple[float, Array]:
    """Negative log-likelihood of a normal distribution, in nats: the mean over all valid targets of
    ``(log(2 pi) + s + z^2) / 2`` with ``z = (m - target) exp(-s / 2)``.

    y: (..., 2 K), the means m (..., K) and then s, the logarithms of the variances; so any real
    numbers are right (Nix & Weigend 1994). target: (..., K), real numbers.
    The gradient of a target is ``weight / sum of the weights`` times ``z exp(-s / 2)`` with respect
    to m, and ``(1 - z^2) / 2`` with respect to s.
    Returns the loss and dy like y. Raises ValueError where the shapes or the mask do not fit. See
    also ``gaussian_interval``.
    """
    m, s = _parts(checks.floats(y, "y"), 2, "means and log variances")
    target = _like(m, target, 2)
    valid, weight, total = counted(mask, m.shape)
    scale = np.exp(-s / 2)
    z = (m - target) * scale
    nats = np.where(valid, weight * (math.log(2 * math.pi) + s + z * z) / 2, 0)
    dm, ds = (weight * d / total for d in (z * scale, (1 - z * z) / 2))
    valid = np.concatenate([valid, valid], axis=-1)
    dy = np.where(valid, np.concatenate([dm, ds], axis=-1), 0)
    return float(np.sum(nats, dtype=np.float64) / total), dy.astype(m.dtype)


@quiet
def quantile_loss(
    y: Numbers, target: Numbers, mask: Numbers | None = None,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
) -> tuple[float, Array]:  # fmt: skip
    """Mean over all valid targets and quantiles q of ``max(q u, (q - 1) u)``, ``u = target - y_q``.

    y: (..., Q K), for each of Q quantiles the K numbers below which a target lies with that
    probability. target: (..., K), real numbers. quantiles: (Q,), rising, between 0 and 1; for
    others than the usual three give ``fit`` the loss
    ``functools.partial(mr.quantile_loss, quantiles=(0.05, 0.95))``.
    The loss is lowest at the true quantiles (Koenker & Bassett 1978). With ``quantiles=(0.5,)`` it
    is half the mean absolute error. The gradient of a target is ``weight / (Q sum of the weights)``
    times -q below the target, 1 - q above it, and 0 where y_q equals it. Nothing keeps a network's
    quantiles in order: sort them before use.
    Returns the loss and dy like y. Raises ValueError where shapes, mask or quantiles do not fit.
    """
    q = checks.array(quantiles, "quantiles", ("Q",), np.float64)
    if not (np.all(q > 0) and np.all(q < 1) and np.all(np.diff(q) > 0)):
        raise ValueError(f"quantiles: expected rising numbers between 0 and 1, got {quantiles!r}")
    parts = _parts(checks.floats(y, "y"), len(q), "one number for each quantile")
    target = _like(parts[0], target, len(q))
    valid, weight, total = counted(mask, target.shape)
    loss, dy = 0.0, []
    for y_q, level in zip(parts, q.tolist(), strict=True):
        u = np.where(valid, target - y_q, 0)
        loss += float(np.sum(weight * np.maximum(level * u, (level - 1) * u), dtype=np.float64))
        dy.append(weight * np.where(u > 0, -level, np.where(u < 0, 1 - level, 0)))
    share = 1 / (len(q) * total)
    return float(loss * share), (np.concatenate(dy, axis=-1) * share).astype(target.dtype)


def gaussian_interval(y: Numbers, coverage: float = 0.9) -> tuple[Array, Array]:
    """The bounds (low, high), each (..., K), between which a target lies with this probability.

    y: (..., 2 K), the prediction of a model that was trained with ``gaussian_nll``. The interval is
    central: as much of the distribution is below it as above.
    """
    m, s = _parts(checks.floats(y, "y"), 2, "means and log variances")
    coverage = checks.number(coverage, "coverage", 0, 1, low_included=False)
    if coverage == 1:
        raise ValueError("coverage: expected a number below 1, got 1; no bounds hold everything")
    half = NormalDist().inv_cdf((1 + coverage) / 2) * np.exp(s / 2)
    return m - half, m + half


def _parts(y: Array, n: int, what: str) -> list[Array]:
    """The last axis of a prediction in n parts of K numbers."""
    K, rest = divmod(y.shape[-1] if y.ndim else 0, n)
    if rest or K == 0:
        expected = f"(..., {n} K), {what}" if n > 1 else "(..., K)"
        raise ValueError(f"y: expected shape {expected}, got {checks.shape_text(y.shape)}")
    return np.split(y, n, axis=-1)


def _like(part: Array, target: Numbers, n: int) -> Array:
    """The target as an array like one of n parts of a prediction."""
    target = checks.numbers(target, "target")
    if target.shape != part.shape:
        y = (*part.shape[:-1], n * part.shape[-1])
        raise ValueError(
            f"target: expected shape {checks.shape_text(part.shape)}, since y {y} holds {n} "
            f"numbers for each, got {checks.shape_text(target.shape)}"
        )
    return checks.array(target, "target", part.shape, part.dtype)
