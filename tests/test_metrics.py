"""Metrics: values by hand, masks, weights and lengths, and what is refused."""

import math

import numpy as np
import pytest

import minirnn as mr
from minirnn import metrics

# Six targets of three classes, and what was predicted.
TRUE = np.array([0, 0, 0, 1, 1, 2])
GIVEN = np.array([0, 0, 1, 1, 0, 1])
LOGITS = np.eye(3)[GIVEN] * 2.0
MATRIX = [[2, 1, 0], [1, 1, 0], [0, 1, 0]]


@pytest.mark.parametrize("y", [GIVEN, LOGITS, LOGITS.astype("float32"), GIVEN.astype("uint8")])
def test_classes_by_hand(y):
    assert metrics.accuracy(y, TRUE) == 3 / 6
    matrix = metrics.confusion_matrix(y, TRUE, classes=3)
    assert matrix.tolist() == MATRIX and matrix.dtype.kind == "i"
    assert metrics.confusion_matrix(y, TRUE, [0.5] * 6, classes=3)[0].tolist() == [1, 0.5, 0]
    assert metrics.precision(y, TRUE) == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert metrics.recall(y, TRUE) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metrics.f1(y, TRUE) == pytest.approx((2 / 3 + 2 / 5 + 0) / 3)


def test_figures_of_each_class_are_nan_where_there_is_nothing_to_divide_by():
    found = metrics.by_class(MATRIX)
    assert found.precision[:2].tolist() == [2 / 3, 1 / 3] and np.isnan(found.precision[2])
    assert found.recall.tolist() == [2 / 3, 1 / 2, 0]
    assert found.f1.tolist() == [2 / 3, 2 / 5, 0]
    assert found.number.tolist() == [3, 2, 1]


def test_a_class_that_occurs_nowhere_does_not_count_in_a_mean():
    assert metrics.recall(np.eye(9)[[0, 8]], [0, 8]) == 1
    assert metrics.confusion_matrix(np.eye(9)[[0, 8]], [0, 8]).shape == (9, 9)


def test_the_classes_of_sequences_are_those_of_the_last_axis():
    y, target = data("logits")  # (6, 4, 3)
    flat = metrics.confusion_matrix(y.reshape(24, 3), target.ravel())
    assert np.array_equal(metrics.confusion_matrix(y, target), flat) and flat.shape == (3, 3)
    target[0, 0] = 3
    with pytest.raises(ValueError, match=r"target: expected whole numbers in 0..2, got 3"):
        metrics.accuracy(y, target)


def test_two_classes_from_one_logit():
    logits, target = np.array([[1.0], [-1.0], [0.0], [3.0]]), np.array([[1], [1], [0], [0]])
    assert metrics.binary_accuracy(logits, target) == 2 / 4
    assert metrics.binary_accuracy(logits, target.astype(float)) == 2 / 4
    assert metrics.accuracy(logits > 0, target) == 2 / 4


def test_numbers_by_hand():
    y, target = np.array([[1.0], [2.0], [5.0]]), np.array([[1.0], [4.0], [4.0]])
    assert metrics.rmse(y, target) == pytest.approx(math.sqrt((0 + 4 + 1) / 3))
    assert metrics.mae(y, target) == pytest.approx((0 + 2 + 1) / 3)
    assert metrics.coverage(y - 1, y + 1, target) == pytest.approx(2 / 3)  # bounds are inside
    assert metrics.perplexity(np.zeros((4, 7)), [0, 1, 2, 6]) == pytest.approx(7)


METRICS = {
    "accuracy": (metrics.accuracy, "logits"),
    "binary_accuracy": (metrics.binary_accuracy, "signs"),
    "precision": (metrics.precision, "logits"),
    "recall": (metrics.recall, "logits"),
    "f1": (metrics.f1, "logits"),
    "perplexity": (metrics.perplexity, "logits"),
    "rmse": (metrics.rmse, "numbers"),
    "mae": (metrics.mae, "numbers"),
    "coverage": (lambda y, t, *a: metrics.coverage(y - 1, y + 1, t, *a), "numbers"),
    "coverage of bounds": (lambda y, t, *a: metrics.coverage(y - 1, y + y**2, t, *a), "numbers"),
}


def data(kind, T=6, B=4):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(T, B, 3 if kind == "logits" else 1))
    target = {
        "logits": lambda: rng.integers(0, 3, (T, B)),
        "signs": lambda: rng.integers(0, 2, y.shape),
        "numbers": lambda: rng.normal(size=y.shape),
    }[kind]()
    return y, target


@pytest.mark.parametrize("name", METRICS)
def test_what_a_mask_or_an_end_leaves_out_may_be_anything(name):
    metric, kind = METRICS[name]
    y, target = data(kind)
    ends = np.array([6, 0, 2, 5])
    inside = np.arange(6)[:, None] < ends
    expected = metric(y[inside], target[inside])
    y[~inside], target[~inside] = np.nan, 99
    assert metric(y, target, inside) == pytest.approx(expected, rel=1e-14)
    assert metric(y, target, None, ends) == pytest.approx(expected, rel=1e-14)
    assert metric(y, target, None, (None, ends)) == pytest.approx(expected, rel=1e-14)
    assert metric(y, target, np.ones((6, 4)), ends) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("name", METRICS)
def test_a_whole_weight_is_as_often_the_same_target(name):
    metric, kind = METRICS[name]
    y, target = data(kind)
    weights = np.random.default_rng(4).integers(0, 4, (6, 4))
    again = [np.repeat(a.reshape(24, *a.shape[2:]), weights.ravel(), axis=0) for a in (y, target)]
    assert metric(y, target, weights) == pytest.approx(metric(*again), rel=1e-14)
    assert metric(y, target, weights / 8) == pytest.approx(metric(*again), rel=1e-14)


def test_lengths_do_not_matter_where_there_is_one_answer_a_sequence():
    assert metrics.accuracy(LOGITS, TRUE, None, [1] * 6) == 3 / 6
    assert metrics.rmse(np.ones((4, 4)), np.zeros((4, 4)), None, [0] * 4) == 1
    classes, target = np.array([[0, 1], [0, 1]]), np.array([[0, 1], [1, 0]])
    assert metrics.accuracy(classes, target, lengths=[1, 1]) == 1  # these are sequences


def test_perplexity_is_the_exponential_of_the_loss():
    y, target = data("logits")
    loss, _ = mr.softmax_cross_entropy(y, target)
    assert metrics.perplexity(y, target) == pytest.approx(math.exp(loss))
    assert metrics.perplexity([[1e4, 0.0]], [1]) == math.inf


def test_a_nan_shows_in_an_error_and_is_refused_where_it_would_be_a_class():
    assert math.isnan(metrics.rmse([math.nan], [0.0]))
    assert math.isnan(metrics.mae([0.0], [math.nan]))
    bad = LOGITS.copy()
    bad[2, 1] = math.nan
    for call, words in (
        (lambda: metrics.accuracy(bad, TRUE), r"y: expected numbers, got nan at \(2, 1\)"),
        (lambda: metrics.coverage([math.nan], [1.0], [0.0]), "low: expected numbers, got nan"),
        (lambda: metrics.binary_accuracy([math.nan], [1]), "logits: expected numbers, got nan"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: metrics.accuracy(LOGITS, TRUE[:5]),
            r"y: expected logits \(5, V\), or classes.*6, 3",
        ),
        (
            lambda: metrics.accuracy(GIVEN * 1.0, TRUE),
            r"y: .*whole numbers \(6,\).*got float64 \(6,\); .* see binary_accuracy",
        ),
        (
            lambda: metrics.accuracy(LOGITS, TRUE * 1.0),
            "target: expected whole numbers, got float64",
        ),
        (
            lambda: metrics.accuracy(LOGITS, TRUE + 1),
            r"target: expected whole numbers in 0..2, got 3",
        ),
        (lambda: metrics.accuracy(GIVEN, TRUE - 1), "target: expected classes, .*got -1"),
        (lambda: metrics.accuracy(GIVEN - 1, TRUE), "y: expected classes, .*got -1"),
        (lambda: metrics.accuracy(LOGITS, TRUE, np.zeros(6)), "mask: expected at least one target"),
        (lambda: metrics.f1(LOGITS, TRUE, np.zeros(6)), "mask: expected at least one target"),
        (
            lambda: metrics.perplexity(LOGITS, TRUE, np.zeros(6)),
            "mask: expected at least one target",
        ),
        (
            lambda: metrics.rmse(LOGITS, LOGITS, -np.ones(6)),
            "mask: .*weights of at least 0, got -1",
        ),
        (
            lambda: metrics.rmse(LOGITS, LOGITS, np.ones(5)),
            r"mask: expected shape \(6,\), got \(5,\)",
        ),
        (lambda: metrics.rmse(LOGITS[:, :1], TRUE), r"target: expected shape \(6, 1\), got \(6,\)"),
        (lambda: metrics.rmse([], []), "target: expected at least one"),
        (lambda: metrics.accuracy([], []), "target: expected at least one"),
        (
            lambda: metrics.binary_accuracy([1.0], [2]),
            r"target: expected 0 or 1, got 2.0 at \(0,\)",
        ),
        (lambda: metrics.coverage([0.0], [1.0, 2.0], [0.0]), r"high: expected shape \(1,\)"),
        (lambda: metrics.confusion_matrix(GIVEN, TRUE, classes=2), "classes: .*at least 3, got 2"),
        (
            lambda: metrics.by_class(np.ones((2, 3))),
            r"matrix: expected shape \(V, V\), got \(2, 3\)",
        ),
        (
            lambda: metrics.rmse(np.ones((4, 3, 1)), np.ones((4, 3, 1)), None, [5, 1, 1]),
            "lengths: expected values in 0..4",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
