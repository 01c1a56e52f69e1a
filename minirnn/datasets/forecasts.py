"""Forecasts of a series as functions: naive ones to compare with, and a trained network.

Each is a function ``forecast(history, horizon, inputs=None)`` of the rows so far, history (T, D),
that returns the next rows, (horizon, K). Axes are those of ``series``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.datasets.scaling import Scaler, carry, from_json, last_known
from minirnn.datasets.series import Windows, as_series, extra_columns, filled
from minirnn.protocol import Array, Layer, Numbers, check_layer, no_cache
from minirnn.training.uncertainty import gaussian_interval

# forecast(history (T, D), horizon, inputs (T + horizon, F) or None) -> (horizon, K), or ``Ends``
Forecast: TypeAlias = Callable[..., Any]


class Ends(NamedTuple):
    """A forecast with its interval."""

    forecast: Array  # (H, K)
    low: Array
    high: Array


def persistence(history: Numbers, horizon: int, inputs: Any = None) -> Array:
    """Every value to come is the last known one. history (T, D); returns (horizon, D)."""
    rows = carry(as_series(history, "history"))
    return np.repeat(rows[-1:], checks.size(horizon, "horizon"), axis=0)


def drift(history: Numbers, horizon: int, inputs: Any = None) -> Array:
    """The line through the first and the last known value goes on (Hyndman & Athanasopoulos,
    "Forecasting: Principles and Practice", 5.2). history (T, D); returns (horizon, D)."""
    rows = as_series(history, "history")
    ahead = np.arange(1, checks.size(horizon, "horizon") + 1)
    result = np.empty((len(ahead), rows.shape[1]))
    for d, column in enumerate(rows.T):
        known = np.flatnonzero(np.isfinite(column))
        first, last = (known[0], known[-1]) if len(known) else (0, len(column) - 1)
        slope = (column[last] - column[first]) / max(last - first, 1)
        result[:, d] = column[last] + slope * (len(column) - 1 - last + ahead)
    return result


def same_season(season: int) -> Forecast:
    """A forecast: every value to come is the last known one of its season, ``season`` rows before
    or a multiple of that. Before a whole season is known, it is the last value."""
    season = checks.size(season, "season")

    def forecast(history: Numbers, horizon: int, inputs: Any = None) -> Array:
        rows = carry(as_series(history, "history"), season)
        steps = checks.size(horizon, "horizon")
        if len(rows) < season:
            return persistence(rows, steps)
        return rows[last_known(len(rows), steps, season)]

    return forecast


def naive(season: int | None = None) -> dict[str, Forecast]:
    """The naive forecasts by name: persistence, drift and, with a season, the same season."""
    m = 1 if season is None else checks.size(season, "season")
    own = {} if m == 1 else {f"same season ({m} back)": same_season(m)}
    return {"persistence": persistence, **own, "drift": drift}


# ---- A trained network --------------------------------------------------------------------------


def forecaster(
    model: Layer, about: dict[str, Any], kind: str = "value", coverage: float = 0.9
) -> Forecast:
    """A trained model as a function ``forecast(history, horizon, inputs=None)``.

    about: ``Split.about``; saved with the model as ``mr.save(model, path, about=parts.about)``, it
    comes back from ``mr.about(path)``.

    The function takes history (T, D), all rows before the first to be forecast, and inputs (T +
    horizon, F), if the model was trained with some; and returns forecasts (horizon, K) in the units
    of the series. Only the last R rows of the history are used. The horizon is at most that of the
    training. NaN in the history are replaced if the model was trained with ``missing="mask"``.

    kind: "value", for a model with H * K outputs; "gaussian", for one that was trained with
    ``gaussian_nll``, or "quantiles", with ``quantile_loss`` and an odd number of quantiles: then
    the function returns ``Ends``, from the middle quantile, the lowest and the highest, or from the
    normal distribution so that the interval holds the share ``coverage``.
    """
    kind = checks.choice(kind, "kind", ("value", "gaussian", "quantiles"))
    check_layer(model, "model")
    scaler, about = _scaler(about), dict(about)
    L, H, D = about["window"], about["horizon"], about["columns"]
    R = L + scaler.difference
    shift, size = np.array(about["inputs_shift"]), np.array(about["inputs_size"])

    def forecast(history: Numbers, horizon: int = H, inputs: Numbers | None = None) -> Any:
        rows, steps = as_series(history, "history"), checks.size(horizon, "horizon")
        if rows.shape[1] != D or len(rows) < R:
            raise ValueError(f"history: expected at least {R} rows of {D}, got {rows.shape}")
        if steps > H:
            raise ValueError(f"horizon: expected at most {H}, as trained, got {horizon}")
        known = _known_ahead(inputs, len(rows), steps, H, len(shift))
        past = rows[-R:]
        if np.isnan(past).any():  # else no row before them matters
            past = filled(rows, scaler.difference, about["missing"], "history")[-R:]
        if np.isnan(past).any():
            raise ValueError(f"history: expected known values in its last {R} rows, got NaN")
        at = np.array([len(rows)])
        gaps = np.isnan(rows) if about["missing"] == "mask" else None
        extra = extra_columns(gaps, (known - shift) / size, at, L, H)
        x = np.concatenate([scaler.inputs(past[:, None]), extra], axis=2)
        with no_cache():
            y, _, _ = model.forward(x)
        lines = _lines(np.asarray(y, np.float64), kind, H * len(scaler.target), coverage)
        found = [_undone(line, past[:, None], scaler)[:steps, 0] for line in lines]
        return found[0] if kind == "value" else Ends(*found)

    return forecast


def _lines(y: Array, kind: str, n: int, coverage: float) -> list[Array]:
    """A network's output (N, ...) as the forecast (N, n), and the ends of its interval."""
    parts, rest = divmod(y.shape[-1], n)
    right = {"value": parts == 1, "gaussian": parts == 2, "quantiles": parts >= 3 and parts % 2}
    if rest or not right[kind]:
        outputs = {"value": "", "gaussian": "2 * ", "quantiles": "an odd number, times "}[kind]
        raise ValueError(f"model: expected {outputs}{n} outputs for {kind!r}, got {y.shape[-1]}")
    if kind == "gaussian":
        return [y[:, :n], *gaussian_interval(y, coverage)]
    each = np.sort(y.reshape(-1, parts, n), axis=1)  # nothing else keeps quantiles in order
    return [each[:, parts // 2], each[:, 0], each[:, -1]] if kind == "quantiles" else [y]


def predict(model: Layer, windows: Windows, about: dict[str, Any]) -> Array:
    """The forecasts (H, N, K) of all windows of a part at once, in the units of the series: the
    same as those of ``forecaster``, one after the other."""
    check_layer(model, "model")
    scaler = _scaler(about)
    if not isinstance(windows, Windows):
        raise TypeError(f"windows: expected those of a Split, got {windows!r:.80}")
    parts = np.array_split(np.arange(len(windows.rows)), -(-len(windows.rows) // 512))
    found = []
    with no_cache():
        for at in parts:
            y, _, _ = model.forward(windows.x[:, at])
            found.append(_undone(y, windows.past[:, at], scaler))
    return np.concatenate(found, axis=1)


def _scaler(about: Any) -> Scaler:
    """The scaler in what ``split`` says about itself; TypeError if it is something else."""
    needed = {"window", "horizon", "columns", "missing", "inputs_shift", "inputs_size", "scaler"}
    if not isinstance(about, Mapping) or not needed <= about.keys():
        raise TypeError(f"about: expected Split.about, got {about!r:.80}")
    try:
        return from_json(about["scaler"])
    except (TypeError, ValueError, KeyError) as error:
        raise TypeError(f"about: expected Split.about, got another scaler ({error})") from None


def _undone(y: Any, past: Array, scaler: Scaler) -> Array:
    """A network's output (N, H * K) as forecasts (H, N, K)."""
    H, K = scaler.target_size.shape
    scaled = np.asarray(y, np.float64).reshape(-1, H, K).transpose(1, 0, 2)
    return scaler.undo(scaled, past)


def _known_ahead(inputs: Numbers | None, T: int, steps: int, H: int, F: int) -> Array:
    """The inputs of the history and of H steps more. Those past the horizon asked for do not
    matter: the last ones are repeated."""
    if inputs is None and F == 0:
        return np.empty((T + H, 0))
    if inputs is None:
        raise ValueError(f"inputs: expected ({T + steps}, {F}), those of the horizon too, got none")
    known = as_series(inputs, "inputs")
    if known.shape != (T + steps, F) or np.isnan(known).any():
        got = checks.shape_text(known.shape) + (" with NaN" if np.isnan(known).any() else "")
        raise ValueError(
            f"inputs: expected ({T + steps}, {F}), of the history and the horizon, got {got}"
        )
    return np.concatenate([known, np.repeat(known[-1:], H - steps, axis=0)])
