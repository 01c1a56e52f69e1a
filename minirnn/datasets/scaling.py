"""Scale the windows of a series, fitted on its training part only, and undo it in forecasts.

A ``Scaler`` works on windows: the ``past`` rows (R, N, D) that a forecast may know, and the ``H``
rows to come. In this order it takes

* the logarithm, with ``log``,
* a difference, with ``difference=m``: a value of the past becomes two numbers, its change since m
  rows before and its distance from the last known value; a value to come becomes its change since
  the last known row of the same season. For m = 1 that is the change since the last known value,
* the mean and the standard deviation ("standard"), or the minimum and the maximum ("minmax").

A difference of a value to come is always taken to a row of the past. So to undo it is to add a
known number, step by step: no forecast is made of forecasts, and no value of the future can slip
in. What is added keeps the order of numbers, so quantiles and ends of intervals are undone alike.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.protocol import Array


@dataclass(frozen=True)
class Scaler:
    """What is needed to scale windows and to undo it. ``fit_scaler`` makes one."""

    kind: str  # "standard" or "minmax"
    log: bool
    difference: int  # rows; 0 for none
    target: tuple[int, ...]  # the K columns to be forecast
    shift: Array  # (D,), of the inputs; (2 * D,) with a difference
    size: Array
    target_shift: Array  # (H, K), of the targets, for each step ahead
    target_size: Array  # (H, K)

    def inputs(self, past: Array) -> Array:
        """The past (R, N, D) as a network gets it, (R, N, D). With a difference it is (R -
        difference, N, 2 * D): first the changes of all columns, then the distances."""
        x, m = self._level(past), self.difference
        if m:
            x = np.concatenate([x[m:] - x[:-m], x[m:] - x[-1]], axis=2)
        return (x - self.shift) / self.size

    def targets(self, past: Array, future: Array) -> Array:
        """The values to come (H, N, K) as a network shall forecast them, (H, N, K)."""
        change = self._level(future) - self._known(past)
        return (change - self.target_shift[:, None]) / self.target_size[:, None]

    def undo(self, scaled: Array, past: Array) -> Array:
        """Forecasts (H, N, K), or ends of their intervals, in the units of the series."""
        level = scaled * self.target_size[:, None] + self.target_shift[:, None] + self._known(past)
        return np.exp(level) if self.log else level

    def _level(self, values: Array) -> Array:
        return np.log(values) if self.log else values

    def _known(self, past: Array) -> Array:
        """What the targets are differences to, (H, N, K): rows of the past, or 0."""
        H, m = len(self.target_shift), self.difference
        if m == 0:
            return np.zeros((H, 1, 1))
        return self._level(past[last_known(len(past), H, m)][..., list(self.target)])

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` makes a scaler of again, to be saved with a model."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in asdict(self).items()}


def from_json(settings: dict[str, Any]) -> Scaler:
    """The scaler that ``as_json`` has described."""
    arrays = {k: np.array(v, float) if isinstance(v, list) else v for k, v in settings.items()}
    return Scaler(**arrays | {"target": tuple(settings["target"])})


def last_known(R: int, horizon: int, season: int) -> Array:
    """For each step ahead (H,), the last of R known rows that lies whole seasons before it."""
    steps = np.arange(horizon)
    return R + steps - season * (steps // season + 1)


def carry(values: Array, season: int = 0) -> Array:
    """Rows (T, D) without NaN: from the row ``season`` before, or else the last one. Only earlier
    rows are looked at; so rows before the first known value of a column stay NaN."""
    filled = values.copy()
    for t, d in np.argwhere(np.isnan(values)):  # in order of time
        before = filled[t - season, d] if season and t >= season else np.nan
        filled[t, d] = before if np.isfinite(before) or t == 0 else filled[t - 1, d]
    return filled


def fit_scaler(
    past: Array, future: Array, options: tuple[str, bool, int], target: tuple[int, ...]
) -> Scaler:
    """A scaler fitted on windows of the training part, past (R, N, D) and future (H, N, K).

    Values to come may be NaN: they do not count. Raises ValueError for a column that the logarithm
    or the scale does not fit.
    """
    kind, log, difference = options
    D, (H, _, K) = past.shape[2], future.shape
    plain = [np.zeros((H, K)), np.ones((H, K))]
    one = Scaler(kind, log, difference, target, np.zeros(1), np.ones(1), *plain)
    shift, size = _fit(one.inputs(past), kind, (0, 1))
    for d in range(D):
        if not size[d] > 1e-12 * np.abs(shift[d]):
            raise ValueError(
                "values: expected numbers that vary in the training part, got a constant in "
                f"column {d}"
            )
    own = _fit(one.targets(past, future), kind, (1,))
    own_size = np.where(own[1] > 0, own[1], 1.0)  # a step that never changes there
    return Scaler(kind, log, difference, target, shift, size, own[0], own_size)


def _fit(values: Array, kind: str, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """What is subtracted from the values, and what they are divided by."""
    if kind == "minmax":
        low = np.nanmin(values, axis)
        return low, np.nanmax(values, axis) - low
    return np.nanmean(values, axis), np.nanstd(values, axis)


def check_options(kind: Any, log: Any, difference: Any) -> tuple[str, bool, int]:
    """The three options of a scaler, checked."""
    kind = checks.choice(kind, "scaler", ("standard", "minmax"))
    return kind, flag(log, "log"), checks.size(difference, "difference", 0)


def flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected True or False, got {value!r:.80}")
    return bool(value)
