"""Windows of a series: what a window sees, what a scaler is fitted on, what a forecast knows."""

import textwrap

import numpy as np
import pytest

import minirnn as mr
from minirnn.datasets import forecasts, rolling, series
from minirnn.datasets.scaling import from_json, last_known

RNG = np.random.default_rng(0)
Y = 20 + np.cumsum(RNG.normal(size=(90, 2)), axis=0)
PARTS = ("train", "validation", "test")
SCALES = [
    (kind, log, m) for kind in ("standard", "minmax") for log in (False, True) for m in (0, 1, 4)
]


def rows_seen(windows):
    """All rows of the series that are in a window of this part."""
    R, H = len(windows.past), len(windows.future)
    return {int(row) + k for row in windows.rows for k in range(-R, H)}


def test_windows_are_pieces_of_the_series_and_what_comes_after_them():
    parts = series.split(Y, 5, 3, target=1, difference=2)
    for name in PARTS:
        w = getattr(parts, name)
        for n, row in enumerate(w.rows):
            assert np.array_equal(w.past[:, n], Y[row - 7 : row])
            assert np.array_equal(w.future[:, n], Y[row : row + 3, [1]])
        assert w.x.shape == (5, len(w.rows), 4)
        assert w.target.shape == (len(w.rows), 3)


@pytest.mark.parametrize("horizon", [1, 4])
@pytest.mark.parametrize("difference", [0, 1, 6])
def test_no_row_is_in_windows_of_two_parts(difference, horizon):
    parts = series.split(Y, 6, horizon, difference=difference, validation=20, test=20)
    seen = [rows_seen(getattr(parts, name)) for name in PARTS]
    assert max(seen[0]) < min(seen[1]) and max(seen[1]) < min(seen[2])
    assert (max(seen[0]), max(seen[2])) == (49, 89)  # and no room is wasted


def test_with_look_back_what_is_forecast_is_still_in_one_part_alone():
    parts = series.split(Y, 6, 2, look_back=True, validation=20, test=20)
    assert [int(getattr(parts, name).rows[0]) for name in PARTS] == [6, 50, 70]
    assert [int(getattr(parts, name).rows[-1]) for name in PARTS] == [48, 68, 88]


@pytest.mark.parametrize(("kind", "log", "difference"), SCALES)
def test_nothing_of_later_parts_changes_the_scaler_or_the_training_windows(kind, log, difference):
    options = {"scaler": kind, "log": log, "difference": difference, "inputs": Y[:, :1]}
    spoiled = Y.copy()
    spoiled[60:] *= 100
    parts, others = (
        series.split(y, 4, 2, **options | {"inputs": y[:, :1]}, validation=15, test=15)
        for y in (Y, spoiled)
    )
    assert parts.about == others.about
    assert np.array_equal(parts.train.x, others.train.x)
    assert np.array_equal(parts.train.target, others.train.target)
    assert not np.array_equal(parts.test.target, others.test.target)


@pytest.mark.parametrize(("kind", "log", "difference"), SCALES)
def test_undo_is_the_inverse_of_scaling_also_beyond_a_season(kind, log, difference):
    parts = series.split(Y, 4, 9, scaler=kind, log=log, difference=difference, look_back=True)
    scaler = from_json(parts.about["scaler"])
    for name in PARTS:
        w = getattr(parts, name)
        scaled = scaler.targets(w.past, w.future)
        assert np.allclose(scaler.undo(scaled, w.past), w.future, rtol=1e-12)
        assert np.allclose(scaled.transpose(1, 0, 2).reshape(len(w.rows), -1), w.target)
        wider = scaler.undo(scaled + 0.1, w.past)  # ends of intervals keep their order
        assert (wider > w.future).all()


def test_scaled_training_windows_have_the_mean_and_size_that_is_promised():
    standard = series.split(Y, 4, 3).train
    assert np.allclose(standard.x.mean(axis=(0, 1)), 0) and np.allclose(standard.x.std((0, 1)), 1)
    assert np.allclose(standard.target.mean(axis=0), 0)
    assert np.allclose(standard.target.std(axis=0), 1)
    minmax = series.split(Y, 4, 3, scaler="minmax", difference=1).train
    assert np.allclose([minmax.x.min(), minmax.x.max()], [0, 1])
    changes, distances = np.split(series.split(Y, 4, difference=3).train.x, 2, axis=2)
    assert not np.ptp(distances[-1], axis=0).any()  # the last value is at no distance from itself


def test_a_difference_is_to_the_last_known_row_of_the_season():
    assert last_known(10, 7, 3).tolist() == [7, 8, 9, 7, 8, 9, 7]
    assert last_known(10, 3, 1).tolist() == [9, 9, 9]
    parts = series.split(np.arange(60.0) ** 2, 4, 2, difference=1)
    scaler, w = from_json(parts.about["scaler"]), parts.test
    change = scaler.targets(w.past, w.future) * scaler.target_size[:, None]
    change += scaler.target_shift[:, None]
    assert np.allclose(change[:, :, 0], w.future[:, :, 0] - w.past[-1, :, 0])


def naive_model(parts):
    """A model whose scaled forecast is always 0."""
    D, n = parts.train.x.shape[2], parts.train.target.shape[1]
    model = mr.Sequential(mr.Last(), mr.Linear(D, n))
    model.params["1.W"][...] = 0
    return model


def test_a_forecast_of_no_change_is_persistence_with_the_mean_change():
    parts = series.split(Y, 4, 3, difference=1)
    forecast = forecasts.forecaster(naive_model(parts), parts.about)
    shift = np.array(parts.about["scaler"]["target_shift"])
    assert np.allclose(forecast(Y[:50]), Y[49] + shift)
    assert np.allclose(forecast(Y[:50], 2), Y[49] + shift[:2])


@pytest.mark.parametrize("missing", ["refuse", "mask"])
def test_a_forecaster_sees_what_the_windows_hold(missing):
    known = RNG.normal(size=(90, 2))
    y = Y.copy()
    if missing == "mask":
        y[[30, 31, 62, 80], [0, 1, 0, 1]] = np.nan
    parts = series.split(
        y, 5, 4, target=[1], inputs=known, missing=missing, difference=3, look_back=True
    )
    D, n = parts.train.x.shape[2], parts.train.target.shape[1]
    assert D - (2 if missing == "mask" else 0) == 4 + 4
    model = mr.Sequential(mr.GRU(D, 6, rng=0), mr.Last(), mr.Linear(6, n, rng=0))
    forecast = forecasts.forecaster(model, parts.about)
    w = parts.test
    together = forecasts.predict(model, w, parts.about)
    for k, row in enumerate(w.rows):
        alone = forecast(y[:row], 4, known[: row + 4])
        assert np.allclose(alone, together[:, k], rtol=1e-10)
    short = forecast(y[:70], 1, known[:71])
    assert short.shape == (1, 1)


def test_known_inputs_reach_the_network_at_their_row_and_ahead_of_it():
    known = np.arange(90.0)[:, None]
    parts = series.split(Y, 5, 3, inputs=known)
    w, scale = parts.validation, parts.about
    seen = w.x[:, :, 2:] * scale["inputs_size"][0] + scale["inputs_shift"][0]
    at = w.rows + np.arange(-5, 0)[:, None]
    assert np.allclose(seen[..., 0], at) and np.allclose(seen[..., 1], at + 3)


def test_missing_values_are_refused_or_do_not_count():
    y = Y.copy()
    y[40, 1] = np.nan
    with pytest.raises(ValueError, match=r'got 1, the first at \(40, 1\); missing="mask"'):
        series.split(y, 4)
    y[0, 0] = np.nan
    w = series.split(y, 4, missing="mask").train
    assert w.rows[0] == 5  # the first row is not known
    at = list(w.rows).index(40)
    assert w.mask[at].tolist() == [True, False] and w.target[at, 1] == 0
    after = list(w.rows).index(41)
    assert w.past[-1, after, 1] == y[39, 1]  # carried on
    assert w.x[-1, after].tolist()[2:] == [0, 1]  # and said to be missing
    loss, _ = mr.mse(w.target, w.target, mask=w.mask)
    assert loss == 0


def test_batches_hold_every_window_once():
    y = Y.copy()
    y[40, 1] = np.nan
    w = series.split(y, 4, missing="mask").train
    batches = list(w.batches(7)(np.random.default_rng(0)))
    assert sum(len(target) for _, target, _, _ in batches) == len(w.rows)
    assert np.isclose(sum(target.sum() for _, target, _, _ in batches), w.target.sum())
    assert [len(b) for b in series.split(Y, 4).train.batches(500)(0)] == [2]


def test_a_saved_model_forecasts_the_same(tmp_path):
    parts = series.split(Y, 4, 2, difference=1, log=True)
    model = mr.Sequential(mr.GRU(4, 3, rng=0), mr.Last(), mr.Linear(3, 4, rng=0))
    mr.save(model, tmp_path / "m.npz", about=parts.about)
    again = forecasts.forecaster(mr.load(tmp_path / "m.npz"), mr.about(tmp_path / "m.npz"))
    assert np.array_equal(again(Y), forecasts.forecaster(model, parts.about)(Y))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"window": 0}, "window: expected a whole number of at least 1"),
        ({"window": 4, "horizon": 1.5}, "horizon: expected a whole number"),
        ({"window": 30}, "values: expected at least 31 rows in each part.*or look_back=True"),
        ({"window": 80}, "values: expected at least 81 rows.*the training part has"),
        ({"window": 4, "target": 2}, r"target: expected different columns in 0\.\.1, got 2"),
        ({"window": 4, "target": [0, 0]}, "target: expected different columns"),
        ({"window": 4, "inputs": Y[1:]}, "inputs: expected 90 rows, as of values, got 89"),
        ({"window": 2, "horizon": 3, "inputs": Y}, "window: expected at least the horizon 3"),
        ({"window": 4, "test": 1.5}, r"test: expected a finite number in \(0, 1\]"),
        ({"window": 4, "test": 80, "validation": 20}, "fewer than the 90 rows of values, got 100"),
        ({"window": 4, "scaler": "robust"}, "scaler: expected 'standard' or 'minmax'"),
        ({"window": 4, "difference": -1}, "difference: expected a whole number of at least 0"),
        ({"window": 4, "missing": "skip"}, "missing: expected 'refuse' or 'mask'"),
        ({"window": 4, "look_back": 1}, "look_back: expected True or False"),
        ({"window": 4, "log": None}, "log: expected True or False"),
    ],
)
def test_split_refuses(arguments, says):
    with pytest.raises((TypeError, ValueError), match=says):
        series.split(Y, **arguments)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((0, 2)), r"values: expected \(T,\) or \(T, D\)"),
        (
            np.where(np.arange(90) == 7, np.inf, Y[:, 0]),
            r"finite numbers or NaN, got inf at \(7, 0\)",
        ),
        (np.ones(90), "numbers that vary in the training part, got a constant in column 0"),
        (["a"] * 90, "values: expected real numbers"),
    ],
)
def test_split_refuses_values(values, says):
    with pytest.raises((TypeError, ValueError), match=says):
        series.split(values, 4)


def test_the_logarithm_refuses_what_is_not_above_0():
    with pytest.raises(ValueError, match=r"values above 0 for the logarithm, got 0.0 at \(85, 0\)"):
        series.split(np.where(np.arange(90) == 85, 0, Y[:, 0]), 4, log=True)


def test_a_forecaster_refuses_what_it_was_not_trained_for():
    parts = series.split(Y, 4, 2, inputs=Y)
    forecast = forecasts.forecaster(naive_model(parts), parts.about)
    for arguments, says in (
        ((Y[:3], 2, Y[:5]), r"history: expected at least 4 rows of 2, got \(3, 2\)"),
        ((Y[:9, :1], 2, Y[:11]), "history: expected at least 4 rows of 2"),
        ((Y[:9], 3, Y[:12]), "horizon: expected at most 2, as trained, got 3"),
        ((Y[:9], 2), r"inputs: expected \(11, 2\), those of the horizon too, got none"),
        ((Y[:9], 2, Y[:10]), r"inputs: expected \(11, 2\).*got \(10, 2\)"),
        ((np.full((9, 2), np.nan), 2, Y[:11]), "history: expected no missing values, got 18"),
    ):
        with pytest.raises(ValueError, match=says):
            forecast(*arguments)
    with pytest.raises(TypeError, match="about: expected Split"):
        forecasts.forecaster(naive_model(parts), {})


def test_the_program_at_the_head_of_the_module_runs(capsys):
    text = series.__doc__.split("::\n")[1].split("Whoever")[0]
    month = np.arange(240)
    values = month / 9 + np.sin(month / 12 * 2 * np.pi) + 0.1 * RNG.normal(size=240)
    exec(
        textwrap.dedent(text).replace("100,", "2,"),
        {"series": series, "forecasts": forecasts, "rolling": rolling, "mr": mr, "values": values},
    )
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(("kind", "outputs"), [("gaussian", 2), ("quantiles", 3)])
def test_a_network_that_says_how_sure_it_is_gives_intervals(kind, outputs):
    parts = series.split(Y, 4, 2, difference=1, log=True)
    D, n = parts.train.x.shape[2], parts.train.target.shape[1]
    model = mr.Sequential(mr.Last(), mr.Linear(D, outputs * n, rng=0))
    loss = {"gaussian": mr.gaussian_nll, "quantiles": mr.quantile_loss}[kind]
    mr.fit(model, loss, parts.train.batches(16), mr.Adam(0.01), 30, rng=0, progress=False)
    forecast = forecasts.forecaster(model, parts.about, kind, coverage=0.8)
    result = rolling.rolling(forecast, Y, parts.begins[1], 2)
    assert (result.low < result.forecast).all() and (result.forecast < result.high).all()
    assert 0.6 < result.coverage() < 0.95
    with pytest.raises(ValueError, match="model: expected 4 outputs for 'value', got"):
        forecasts.forecaster(model, parts.about)(Y)
