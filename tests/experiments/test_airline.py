"""The airline series, its protocol, and the experiment on it."""

import csv
import os

import numpy as np
import pytest

from minirnn.datasets import airline as series
from minirnn.experiments import Settings, airline


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp("airline")
    return airline.run(Settings(out=out, quick=True)), out


def test_the_embedded_series_has_the_published_facts():
    months, y = series.load()
    assert len(y) == len(months) == 144
    assert (y[0], y[-1], y.sum()) == (112, 432, 40363)
    assert (str(months[0]), str(months[-1])) == ("1949-01", "1960-12")
    assert set(np.diff(months).astype(int)) == {1}


def test_the_embedded_series_equals_the_official_file(data):
    path = os.path.join(data, "airline", "international-airline-passengers.csv")
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        official = [r for r in csv.reader(file) if len(r) == 2 and r[1].strip().isdigit()]
    months, y = series.load()
    assert [str(m) for m in months] == [month for month, _ in official]
    assert y.tolist() == [float(value) for _, value in official]


def test_the_baselines_are_those_of_the_classic_protocol(quick):
    result, _ = quick
    assert round(result["persistence"]["test"], 1) == 53.1
    assert round(result["persistence"]["test, 1st column"], 1) == 48.0
    assert round(result["same month last year"]["test"], 1) == 51.7
    assert round(result["same month last year"]["test, 1st column"], 1) == 48.4


def test_both_pictures_are_drawn(quick):
    _, out = quick
    for name in ("predictions.png", "hallucinations.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
        assert (out / name).stat().st_size > 20_000


def test_nothing_of_the_test_months_reaches_the_training_or_the_free_run():
    months, y = series.load()
    spoiled = y.copy()
    spoiled[116:] = 1e6
    for train in (airline.train_classic, airline.train_seasonal):
        forecasts = []
        for history in (y, spoiled):
            forecast = train(history, 116, 3, np.random.default_rng(0), False)
            forecasts.append(airline.free_run(forecast, history, 116))
        assert np.array_equal(*forecasts)


def test_a_forecast_does_not_see_the_month_it_forecasts():
    _, y = series.load()
    forecast = airline.train_seasonal(y, 116, 3, np.random.default_rng(0), False)
    changed = y.copy()
    changed[130:] *= 2
    t = np.array([130])
    assert forecast(t, y) == forecast(t, changed)
    changed[129] *= 2
    assert forecast(t, y) != forecast(t, changed)


@pytest.mark.slow
def test_the_full_run_is_as_good_as_the_readme_says():
    runs = [airline.run(Settings(seed)) for seed in range(3)]
    classic = [run["classic LSTM"]["test"] for run in runs]
    seasonal = [run["seasonal LSTM"]["test"] for run in runs]
    assert 35 < np.mean(classic) < 60
    assert max(seasonal) < 25 < runs[0]["same month last year"]["test"]
