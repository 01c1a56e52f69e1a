"""A metric over several batches: what ``fit`` measures on the validation data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.metrics import SUMS, weights_like
from minirnn.protocol import Array, Numbers
from minirnn.training.bptt import takes_mask


class Overall:
    """A metric over several batches: the same number as over all of their targets at once.

    Of a metric in ``SUMS`` only sums are kept. Any other function is called once, with all rows
    that count: y (n, K), target (n, ...), and ``mask``, like target, if they weigh different
    amounts.
    """

    def __init__(self, metric: Callable[..., Any], name: str) -> None:
        self.metric, self.name = metric, name
        self.parts = next((parts for own, parts in SUMS.items() if own is metric), None)
        self.total: Any = 0.0
        self.rows: list[tuple[Array, Array, Array]] = []

    def add(self, y: Array, target: Any, mask: Numbers | None) -> None:
        """Count one batch."""
        if self.parts is not None:
            self.total = self.total + self.parts[0](y, target, mask, None)
        else:
            self.rows.append(_rows_that_count(y, target, mask))

    def value(self) -> float:
        """The metric of all batches."""
        if self.parts is not None:
            return self.parts[1](self.total)
        y, target, weight = (np.concatenate(part) for part in zip(*self.rows, strict=True))
        if (weight == 1).all():
            result = self.metric(y, target)
        elif takes_mask(self.metric):
            result = self.metric(y, target, mask=weight)
        else:
            raise TypeError(
                f"{self.name}: expected a function that takes mask, since not all targets weigh 1"
            )
        if np.ndim(result) or np.asarray(result).dtype.kind not in "biuf":
            raise TypeError(f"{self.name}: expected it to return one number, got {result!r:.80}")
        return float(result)


def _rows_that_count(y: Array, target: Any, mask: Any) -> tuple[Array, Array, Array]:
    """One row for each step, or sequence, that counts: y (n, K), target and weights (n, ...)."""
    target, axes = checks.numbers(target, "target"), max(1, y.ndim - 1)
    if target.shape[:axes] != y.shape[:axes]:
        expected = checks.shape_text((*y.shape[:axes], "..."))
        raise ValueError(
            f"target: expected shape {expected}, like y, got {checks.shape_text(target.shape)}"
        )
    weight = weights_like(target.shape, mask, None, False)
    y, target, weight = (a.reshape(-1, *a.shape[axes:]) for a in (y, target, weight))
    counts = weight.reshape(len(weight), -1).any(axis=1)
    return y[counts], target[counts], weight[counts]
