"""Judge forecasts of a series: rolling origins, and intervals from errors.

A forecast is a function, as in ``forecasts``, or one of your own. ``rolling`` moves the origin
through the test part, one row at a time, and hands each function the rows before the origin only
(Tashman 2000, "Out-of-sample tests of forecasting accuracy"). So no forecast can look ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks, metrics
from minirnn.datasets.forecasts import Ends, Forecast
from minirnn.datasets.scaling import flag
from minirnn.datasets.series import as_series, columns_of
from minirnn.protocol import Array, Numbers


class Rolling(NamedTuple):
    """Forecasts from many origins, and what came. NaN where a value is missing."""

    rows: Array  # (N,): the first row that is forecast; all rows before it are known
    forecast: Array  # (H, N, K)
    actual: Array  # (H, N, K)
    low: Array | None = None  # (H, N, K): the interval, of forecasts that have one
    high: Array | None = None

    def rmse(self) -> float:
        """Root of the mean squared error, over all values that are there."""
        return metrics.rmse(self.forecast, self.actual, np.isfinite(self.actual))

    def mae(self) -> float:
        """Mean absolute error."""
        return metrics.mae(self.forecast, self.actual, np.isfinite(self.actual))

    def coverage(self) -> float:
        """The share of values that came to lie in their interval; NaN without intervals."""
        if self.low is None or self.high is None:
            return float("nan")
        return metrics.coverage(self.low, self.high, self.actual, np.isfinite(self.actual))

    def width(self) -> float:
        """The mean width of the intervals, over the values that coverage is of."""
        if self.low is None or self.high is None:
            return float("nan")
        return float((self.high - self.low)[np.isfinite(self.actual)].mean())


def rolling(
    forecast: Forecast, values: Numbers, begin: int, horizon: int, *, end: int | None = None,
    every: int = 1, target: Any = None, inputs: Numbers | None = None,
    tick: Callable[[], None] | None = None,
) -> Rolling:  # fmt: skip
    """Forecast from each origin in turn, with the rows before it.

    values: (T,) or (T, D). begin, end: the rows to be forecast, all of them at least ``begin`` and
    below ``end`` (all rows without it). every: how many rows the origin moves on. target: the
    columns that are judged; all without it. inputs: (T, F), known in advance: the function gets
    those of the history and of the horizon. tick: called after each forecast.

    Returns the forecasts (H, N, K). Raises ValueError for rows that leave no room for a forecast,
    and for a function that returns another shape or NaN.
    """
    series, H = as_series(values), checks.size(horizon, "horizon")
    every, begin = checks.size(every, "every"), checks.size(begin, "begin")
    T = len(series)
    stop = T if end is None else checks.size(end, "end")
    if not begin + H <= stop <= T:
        expected = f"rows with room for a horizon of {H} in 1..{T}"
        raise ValueError(f"begin, end: expected {expected}, got {begin}..{stop}")
    columns = list(columns_of(target, series.shape[1]))
    checks.function(forecast, "forecast")
    known = None if inputs is None else as_series(inputs, "inputs")
    rows = np.arange(begin, stop - H + 1, every)
    found = []
    for t in rows:
        ahead = () if known is None else (known[: t + H].copy(),)
        y = forecast(series[:t].copy(), H, *ahead)  # a copy: from a view the future can be reached
        found.append(_checked(y, H, series.shape[1], columns))
        if tick is not None:
            tick()
    actual = series[rows + np.arange(H)[:, None]][..., columns]
    return Rolling(rows, *_ends(np.stack(found, axis=2), actual))


def _ends(found: Array, actual: Array) -> tuple[Any, ...]:
    """From (1 or 3, H, N, K) to what ``Rolling`` holds."""
    low, high = (found[1], found[2]) if len(found) == 3 else (None, None)
    return found[0], actual, low, high


def _checked(y: Any, H: int, D: int, columns: list[int]) -> Array:
    """One forecast as (1, H, K), or (3, H, K) with the ends of its interval."""
    values = [checks.floats(v, "forecast", np.float64) for v in (y if isinstance(y, Ends) else [y])]
    for k, v in enumerate(values):
        if v.shape == (H, D) and len(columns) != D:
            values[k] = v = v[:, columns]
        if v.shape != (H, len(columns)) or np.isnan(v).any():
            got = checks.shape_text(v.shape) + (" with NaN" if np.isnan(v).any() else "")
            raise ValueError(f"forecast: expected ({H}, {len(columns)}) without NaN, got {got}")
    return np.stack(values)


def with_interval(
    forecast: Forecast, errors: Rolling, level: float = 0.9, relative: bool = False
) -> Forecast:
    """The same forecast with an interval, as wide as its errors on other data were.

    errors: of this forecast on rows that it was not trained on, and that are not judged: those of
    the validation part. Each step ahead and each column has its own. The interval runs from one
    quantile of the errors to another, so that a share ``level`` of errors like them lies inside
    (split conformal prediction: Vovk et al. 2005; Lei et al. 2018). For few errors the quantiles
    are moved outwards, as that needs. relative: errors are quotients, for series above 0 whose
    ups and downs grow with them.

    Returns a function whose result is an ``Ends`` (forecast, low, high), each (horizon, K).
    """
    low, high = quantiles(errors_of(errors, relative), level)

    def ends(history: Numbers, horizon: int, inputs: Any = None) -> Any:
        y = forecast(history, horizon, *(() if inputs is None else (inputs,)))
        move = np.multiply if relative else np.add
        columns = y if y.shape[1] == low.shape[1] else y[:, : low.shape[1]]
        return Ends(columns, move(columns, low[:horizon]), move(columns, high[:horizon]))

    return ends


def intervals(
    result: Rolling, errors: Rolling, level: float = 0.9, relative: bool = False
) -> Rolling:
    """The same forecasts with intervals, made at each origin of all errors that are known there.

    Those are ``errors``, as for ``with_interval``, and the errors of the earlier origins of
    ``result`` whose rows have all come by then. So an interval widens when a series becomes harder
    to forecast. (The errors are looked at anew at twenty origins, not at each of thousands.)
    """
    past, own = errors_of(errors, relative, "errors"), errors_of(result, relative, "result")
    H, n = len(result.forecast), len(result.rows)
    ends = np.empty((2, *result.forecast.shape))
    for at in np.array_split(np.arange(n), min(n, 20)):
        come = result.rows + H <= result.rows[at[0]]
        for k, e in enumerate(quantiles(np.concatenate([past, own[:, come]], axis=1), level)):
            e, y = e[:, None], result.forecast[:, at]
            ends[k][:, at] = y * e if relative else y + e
    return result._replace(low=ends[0], high=ends[1])


def errors_of(result: Rolling, relative: bool, name: str = "errors") -> Array:
    """What has to be added to the forecasts, or multiplied with them, to be right; (H, N, K)."""
    if not isinstance(result, Rolling):
        raise TypeError(f"{name}: expected what rolling returns, got {result!r:.80}")
    if not flag(relative, "relative"):
        return result.actual - result.forecast
    if not (np.nanmin(result.actual) > 0 and result.forecast.min() > 0):
        raise ValueError("relative: expected values and forecasts above 0")
    return result.actual / result.forecast


def quantiles(error: Array, level: float) -> tuple[Array, Array]:
    """The ends (H, K) between which a share ``level`` of further errors (H, N, K) is to lie."""
    level = checks.number(level, "level", 0, 1, low_included=False)
    error = checks.array(error, "error", ("H", "N", "K"), np.float64)
    H, _, K = error.shape
    low, high = np.empty((2, H, K))
    for h in range(H):
        for k in range(K):
            e = np.sort(error[h, np.isfinite(error[h, :, k]), k])
            if len(e) < 2:
                raise ValueError(f"errors: expected at least 2 for step {h + 1}, got {len(e)}")
            # Of n errors and one more, each is equally likely to be the largest: (n + 1) places.
            outside = int((1 - level) / 2 * (len(e) + 1) + 1e-9)
            at = max(outside - 1, 0)
            low[h, k], high[h, k] = e[at], e[-1 - at]
    return low, high


def compare(
    forecasts: Mapping[str, Forecast], values: Numbers, begin: int, horizon: int, **options: Any
) -> dict[str, Rolling]:
    """``rolling`` of several forecasts, over the same origins: name to result."""
    if not isinstance(forecasts, Mapping) or not forecasts:
        raise TypeError(f"forecasts: expected functions by name, got {forecasts!r:.80}")
    return {
        name: rolling(checks.function(f, f"forecasts[{name!r}]"), values, begin, horizon, **options)
        for name, f in forecasts.items()
    }
