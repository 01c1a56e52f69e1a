"""Naive forecasts, rolling origins, and intervals from errors."""

import numpy as np
import pytest

from minirnn.datasets import forecasts, rolling

Y = np.cumsum(np.random.default_rng(0).normal(size=(80, 2)), axis=0)


def test_the_naive_forecasts_by_hand():
    history = np.array([1.0, 2, 4, 7])
    assert forecasts.persistence(history, 2).tolist() == [[7], [7]]
    assert forecasts.drift(history, 2).tolist() == [[9], [11]]
    assert forecasts.same_season(3)(history, 5).tolist() == [[2], [4], [7], [2], [4]]
    assert forecasts.same_season(9)(history, 1).tolist() == [[7]]
    assert list(forecasts.naive(12)) == ["persistence", "same season (12 back)", "drift"]
    assert list(forecasts.naive(1)) == list(forecasts.naive()) == ["persistence", "drift"]


def test_the_naive_forecasts_bridge_gaps():
    history = np.array([1.0, np.nan, 5, 7, np.nan])
    assert forecasts.persistence(history, 1).tolist() == [[7]]
    assert forecasts.drift(history, 1).tolist() == [[11]]
    assert forecasts.same_season(2)(history, 2).tolist() == [[7], [5]]


def test_each_forecast_gets_the_rows_before_its_origin_and_no_others():
    known, seen = np.arange(80.0), []

    def forecast(history, horizon, inputs):
        seen.append((len(history), len(inputs)))
        assert history.base is None and inputs.base is None  # no way to the rest of the array
        assert np.array_equal(history, Y[: len(history)])
        return history[-1:].repeat(horizon, axis=0)

    result = rolling.rolling(forecast, Y, 70, 3, inputs=known)
    assert result.rows.tolist() == [70, 71, 72, 73, 74, 75, 76, 77]
    assert seen == [(int(t), int(t) + 3) for t in result.rows]
    assert np.array_equal(result.forecast[2], Y[result.rows - 1])
    assert np.array_equal(result.actual[2], Y[result.rows + 2])


def test_the_errors_are_those_of_all_steps_and_columns():
    result = rolling.rolling(forecasts.persistence, Y, 60, 2, end=70, every=3)
    assert result.rows.tolist() == [60, 63, 66]
    error = np.array([[Y[t + h] - Y[t - 1] for t in result.rows] for h in range(2)])
    assert np.isclose(result.rmse(), np.sqrt(np.mean(error**2)))
    assert np.isclose(result.mae(), np.abs(error).mean())
    own = rolling.rolling(forecasts.persistence, Y, 60, 2, end=70, every=3, target=1)
    assert np.isclose(own.mae(), np.abs(error[..., 1]).mean())


def test_missing_values_are_not_judged():
    y = Y[:, 0].copy()
    y[75] = np.nan
    result = rolling.rolling(forecasts.persistence, y, 74, 1)
    assert np.isnan(result.actual).sum() == 1 and np.isfinite(result.rmse())


def test_an_interval_covers_as_many_further_errors_as_it_promises():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(300):
        low, high = rolling.quantiles(rng.normal(size=(1, 39, 1)), 0.9)
        inside.append(np.mean((low < (e := rng.normal(size=(1, 50, 1)))) & (e < high)))
    assert 0.89 < np.mean(inside) < 0.915


def test_intervals_come_from_errors_on_other_rows():
    errors = rolling.rolling(forecasts.persistence, Y, 40, 2, end=60)
    forecast = rolling.with_interval(forecasts.persistence, errors, level=0.8)
    result = rolling.rolling(forecast, Y, 60, 2)
    assert np.array_equal(
        result.forecast, rolling.rolling(forecasts.persistence, Y, 60, 2).forecast
    )
    low, high = rolling.quantiles(errors.actual - errors.forecast, 0.8)
    assert np.allclose(result.low, result.forecast + low[:, None])
    inside = (result.low <= result.actual) & (result.actual <= result.high)
    assert np.isclose(result.coverage(), inside.mean())
    assert np.isclose(result.width(), (high - low).mean())
    assert np.isnan(errors.coverage()) and np.isnan(errors.width())


def test_relative_intervals_grow_with_the_forecast():
    y = np.exp(Y[:, 0] / 10)
    errors = rolling.rolling(forecasts.persistence, y, 40, 1, end=60)
    forecast = rolling.with_interval(forecasts.persistence, errors, relative=True)
    small, large = forecast(y[:60], 1), forecast(10 * y[:60], 1)
    assert np.allclose(10 * (small.high - small.low), large.high - large.low)
    with pytest.raises(ValueError, match="relative: expected values and forecasts above 0"):
        rolling.with_interval(
            forecasts.persistence, rolling.rolling(forecasts.persistence, -y, 40, 1), relative=True
        )


def test_intervals_at_an_origin_are_made_of_what_is_known_there():
    before = rolling.rolling(forecasts.persistence, Y, 40, 2, end=60)
    result = rolling.rolling(forecasts.persistence, Y, 60, 2)
    for relative in (False, True):
        a, b = (
            (r._replace(actual=np.exp(r.actual), forecast=np.exp(r.forecast)) if relative else r)
            for r in (result, before)
        )
        whole = rolling.intervals(a, b, 0.8, relative)
        for n in range(len(a.rows)):
            known = a.rows[:n] + 2 <= a.rows[n]
            past = b._replace(
                forecast=np.concatenate([b.forecast, a.forecast[:, :n][:, known]], axis=1),
                actual=np.concatenate([b.actual, a.actual[:, :n][:, known]], axis=1),
            )
            ends = rolling.quantiles(rolling.errors_of(past, relative), 0.8)
            for end, e in zip((whole.low, whole.high), ends, strict=True):
                y = a.forecast[:, n]
                assert np.allclose(end[:, n], y * e if relative else y + e)
    with pytest.raises(TypeError, match="result: expected what rolling returns"):
        rolling.intervals(Y, before)


@pytest.mark.parametrize(
    ("forecast", "says"),
    [
        (
            lambda history, horizon: history,
            r"forecast: expected \(2, 2\) without NaN, got \(70, 2\)",
        ),
        (lambda history, horizon: np.full((2, 2), np.nan), r"got \(2, 2\) with NaN"),
        (lambda history, horizon: None, "forecast: expected real numbers"),
    ],
)
def test_rolling_refuses_what_is_no_forecast(forecast, says):
    with pytest.raises((TypeError, ValueError), match=says):
        rolling.rolling(forecast, Y, 70, 2)


def test_rolling_refuses_rows_without_room():
    for begin, end in ((79, None), (70, 71), (70, 90)):
        with pytest.raises(ValueError, match="begin, end: expected rows with room for a horizon"):
            rolling.rolling(forecasts.persistence, Y, begin, 2, end=end)
    with pytest.raises(TypeError, match="forecasts: expected functions by name"):
        rolling.compare([forecasts.persistence], Y, 70, 2)
    with pytest.raises(TypeError, match=r"forecasts\['mine'\]: expected a function"):
        rolling.compare({"mine": 3}, Y, 70, 2)
    few = rolling.rolling(forecasts.persistence, Y, 78, 2)
    with pytest.raises(ValueError, match="errors: expected at least 2 for step 1, got 1"):
        rolling.with_interval(forecasts.persistence, few)
    with pytest.raises(TypeError, match="errors: expected what rolling returns"):
        rolling.with_interval(forecasts.persistence, Y)
