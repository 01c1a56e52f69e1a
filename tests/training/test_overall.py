"""Metrics in fit: the same for any batches, kept in the history and the checkpoint; on_epoch."""

import importlib
import math
import sys

import numpy as np
import pytest

import minirnn as mr
from minirnn.training.overall import Overall

ENDS = np.array([5, 1, 0, 3, 5, 2])
RNG = np.random.default_rng(0)
X, WEIGHTS = RNG.normal(size=(5, 6, 2)), RNG.uniform(0, 2, (5, 6))
CLASSES, NUMBERS = RNG.integers(0, 3, (5, 6)), RNG.normal(size=(5, 6, 3))


def median(y, target, mask=None):
    """A metric that no sum gives."""
    errors = np.abs(y - target)
    return np.median(errors if mask is None else errors[mask > 0.5])


def without_mask(y, target):
    return np.median(np.abs(y - target))


BY_CLASS = {name: getattr(mr.metrics, name) for name in ("accuracy", "precision", "recall", "f1")}
METRICS = {
    "classes": (mr.softmax_cross_entropy, CLASSES, {**BY_CLASS, "ppl": mr.metrics.perplexity}),
    "numbers": (
        mr.mse, NUMBERS, {"rmse": mr.metrics.rmse, "mae": mr.metrics.mae, "median": median},
    ),
    "signs": (
        mr.binary_cross_entropy, (NUMBERS > 0) * 1.0, {"accuracy": mr.metrics.binary_accuracy},
    ),
}  # fmt: skip


def model(last=False):
    layers = [mr.GRU(2, 4, rng=0), *([mr.Last()] if last else []), mr.Linear(4, 3, rng=1)]
    return mr.Sequential(*layers)


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("form", ["all", "lengths", "mask", "weights", "outputs", "answers"])
def test_a_metric_is_that_of_all_targets_whatever_the_batches(kind, form):
    loss, target, chosen = METRICS[kind]
    if form == "outputs" and kind == "classes":
        return
    ends, mask = (ENDS if form == "lengths" else None), None
    if form in ("mask", "weights"):
        mask = WEIGHTS if form == "weights" else WEIGHTS > 1
    if form == "outputs":
        mask = NUMBERS > 0
    if form == "answers":
        target = target[0]
    net = model(form == "answers")
    y = net.forward(X, None, ends)[0]
    inside = np.arange(5)[:, None] < ENDS if form == "lengths" else mask
    if form == "mask" or form == "lengths":
        expected = {name: metric(y[inside], target[inside]) for name, metric in chosen.items()}
    else:
        expected = {name: metric(y, target, inside) for name, metric in chosen.items()}

    def part(rows):
        own = target[rows] if form == "answers" else target[:, rows]
        n, m = (None if a is None else a[..., rows] for a in (ends, None))
        m = None if mask is None else mask[:, rows]
        return X[:, rows], own, n if ends is None else ends[rows], m

    for sizes in ([6], [3, 3], [1, 2, 3], [1] * 6):
        data = [part(rows) for rows in np.split(np.arange(6), np.cumsum(sizes)[:-1])]
        history = mr.fit(
            net, loss, data, mr.SGD(0), 2, validation=data, metrics=chosen, progress=False
        )
        found = {name: values[1] for name, values in history.metrics.items()}
        assert found == pytest.approx(expected, rel=1e-13)


def test_a_metric_of_one_s_own_needs_a_mask_only_where_targets_weigh_different_amounts():
    options = {"metrics": {"median": without_mask}, "progress": False}
    for mask in (None, WEIGHTS > 1, np.full((5, 6), 1)):
        data = (X, NUMBERS, None, mask)
        history = mr.fit(model(), mr.mse, data, mr.SGD(0), 1, validation=data, **options)
        assert history.metrics["median"][0] > 0
    data = (X, NUMBERS, None, WEIGHTS)
    with pytest.raises(
        TypeError, match=r"metrics\['median'\]: expected a function that takes mask"
    ):
        mr.fit(model(), mr.mse, data, mr.SGD(0), 1, validation=data, **options)


def test_sums_are_kept_of_known_metrics_and_no_outputs():
    overall = Overall(mr.metrics.rmse, "rmse")
    for _ in range(3):
        overall.add(NUMBERS, NUMBERS + 1, None)
    assert overall.value() == pytest.approx(1) and overall.total.shape == (2,)
    assert overall.rows == []


DATA = (X, NUMBERS)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"metrics": [mr.metrics.rmse]}, "metrics: expected a dictionary such as"),
        ({"metrics": {1: mr.metrics.rmse}}, "metrics: expected a dictionary such as"),
        ({"metrics": {"a": "rmse"}}, r"metrics\['a'\]: expected a function, got 'rmse'"),
        ({"metrics": {"a": mr.metrics.rmse}, "validation": None}, "metrics: expected validation"),
        ({"metrics": {"a": lambda y, t: y}}, r"metrics\['a'\]: expected it to return one number"),
        ({"metrics": {"a": lambda y, t: "1"}}, r"metrics\['a'\]: expected it to return one number"),
        ({"metrics": {"a": mr.metrics.accuracy}}, "target: expected whole numbers, got float64"),
        ({"on_epoch": "stop"}, "on_epoch: expected a function, got 'stop'"),
        ({"on_epoch": lambda h: True}, 'on_epoch: expected it to return None, or "stop".*got True'),
        ({"on_epoch": lambda h: np.ones(2)}, "on_epoch: expected it to return None"),
    ],
)
def test_what_is_no_metric_and_no_answer_is_named(options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        mr.fit(model(), mr.mse, DATA, mr.SGD(0.1), 2, **{"validation": DATA} | options)


def train(epochs, file=None, net=None, **options):
    net = net or model()
    given = {"validation": DATA, "metrics": METRICS["numbers"][2], "progress": False} | options
    history = mr.fit(
        net, mr.mse, DATA, mr.Adam(0.01), epochs, checkpoint=file, resume=file is not None, **given
    )
    return history, net


def test_metrics_go_on_after_a_stop_and_have_gaps_where_they_were_not_measured(tmp_path):
    whole, _ = train(6)
    assert list(whole.metrics) == ["rmse", "mae", "median"]
    train(2, tmp_path / "run.npz")
    resumed, _ = train(6, tmp_path / "run.npz")
    assert resumed == whole
    train(2, tmp_path / "other.npz", metrics=None)
    train(3, tmp_path / "other.npz", metrics={"mae": mr.metrics.mae})
    resumed, _ = train(4, tmp_path / "other.npz", metrics={"rmse": mr.metrics.rmse})
    gap, mae, rmse = math.nan, whole.metrics["mae"], whole.metrics["rmse"]
    expected = {"mae": [gap, gap, mae[2], gap], "rmse": [gap, gap, gap, rmse[3]]}
    np.testing.assert_equal(resumed.metrics, expected)
    patient, _ = train(6, tmp_path / "other.npz", metrics=None, patience=1)
    assert {len(values) for values in patient.metrics.values()} == {len(patient.loss)}


def test_a_file_from_before_there_were_metrics_goes_on(tmp_path, monkeypatch):
    progress = importlib.import_module("minirnn.files.progress")
    write = progress.write_arrays

    def as_before(path, header, arrays):
        header["progress"] = {
            k: v for k, v in header["progress"].items() if k not in ("metrics", "asked_to_stop")
        }
        write(path, header, {k: a for k, a in arrays.items() if k != "history/metrics"})

    monkeypatch.setattr(progress, "write_arrays", as_before)
    train(2, tmp_path / "run.npz", metrics=None)
    monkeypatch.undo()
    assert train(4, tmp_path / "run.npz", metrics=None)[0] == train(4, metrics=None)[0]


def test_on_epoch_sees_every_epoch_and_may_end_the_training(tmp_path):
    seen = []

    def watch(history):
        seen.append((len(history.loss), history.metrics["mae"][-1]))
        return "stop" if len(history.loss) == 3 else None

    history, net = train(9, tmp_path / "run.npz", on_epoch=watch)
    assert [n for n, _ in seen] == [1, 2, 3] and history.metrics["mae"] == [m for _, m in seen]
    assert history.asked_to_stop and repr(history).endswith("stopped by on_epoch)")
    assert not (history.stopped_early or history.interrupted)
    again, other = train(9, tmp_path / "run.npz", on_epoch=watch)
    assert again == history and len(seen) == 3  # it had ended
    assert all(np.array_equal(p, other.params[k]) for k, p in net.params.items())
    longer, _ = train(9, tmp_path / "run.npz")
    assert longer == train(9)[0] and not longer.asked_to_stop


def test_a_training_that_on_epoch_breaks_loses_only_that_epoch(tmp_path):
    def broken(history):
        if len(history.loss) == 3:
            raise OSError("no more paper")

    with pytest.raises(OSError, match="no more paper") as caught:
        train(9, tmp_path / "run.npz", on_epoch=broken)
    assert len(caught.value.history.loss) == 3
    assert train(5, tmp_path / "run.npz")[0] == train(5)[0]


def test_patience_before_the_end_that_on_epoch_asked_for(tmp_path):
    def stop(history):
        return "stop" if len(history.loss) == 4 else None

    options = {"validation": (X, -NUMBERS), "on_epoch": stop}
    first, _ = train(9, tmp_path / "run.npz", **options)
    assert first.asked_to_stop and len(first.loss) == 4


def test_the_bar_shows_the_metrics(monkeypatch):
    import io

    monkeypatch.setattr("sys.stderr", io.StringIO())
    train(2, progress=True)
    text = sys.stderr.getvalue()
    assert "mae=" in text and "rmse=" in text and "val=" in text


def test_a_history_is_a_picture_in_jupyter_and_a_text_elsewhere(monkeypatch):
    history, _ = train(3)
    assert history._repr_png_().startswith(b"\x89PNG")
    mae = history.metrics["mae"]
    assert f"mae {mae[0]:.4g} to {mae[-1]:.4g}" in repr(history)
    assert mr.History()._repr_png_() is None
    assert train(1)[0]._repr_png_() is None  # one point is no line
    assert train(2, metrics=None, validation=None)[0]._repr_png_().startswith(b"\x89PNG")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert history._repr_png_() is None
