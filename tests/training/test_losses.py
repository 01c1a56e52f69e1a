"""Losses: values by hand, gradients by differences, masks, and extreme predictions."""

import functools
import math

import numpy as np
import pytest

import minirnn as mr

RNG = np.random.default_rng(0)
SHAPE = (3, 2, 4)
CASES = {
    "mse": (mr.mse, RNG.normal(size=SHAPE), RNG.normal(size=SHAPE)),
    "softmax": (mr.softmax_cross_entropy, RNG.normal(size=SHAPE), RNG.integers(0, 4, SHAPE[:2])),
    "binary": (mr.binary_cross_entropy, RNG.normal(size=SHAPE), RNG.uniform(size=SHAPE)),
    "gaussian": (mr.gaussian_nll, RNG.normal(size=SHAPE), RNG.normal(size=(3, 2, 2))),
    "quantiles": (
        functools.partial(mr.quantile_loss, quantiles=(0.2, 0.7)),
        RNG.normal(size=SHAPE),
        RNG.normal(size=(3, 2, 2)),
    ),
}
MASK = np.array([[1, 1], [1, 0], [0, 1]])
WEIGHTS = np.array([[0.5, 2.0], [0.0, 1.25], [3.0, 0.0]])
MASKS = {"no mask": None, "int": MASK, "bool": MASK.astype(bool), "weights": WEIGHTS}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_the_gradient_is_that_of_the_value(name, mask):
    loss_fn, y, target = CASES[name]
    _, dy = loss_fn(y, target, mask)
    assert dy.shape == y.shape
    for index in np.ndindex(y.shape):
        values = []
        for sign in (1, -1):
            moved = y.copy()
            moved[index] += sign * 1e-5
            values.append(loss_fn(moved, target, mask)[0])
        assert dy[index] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-9)


def test_values_by_hand():
    assert mr.mse([1.0, 2.0], [0.0, 4.0])[0] == pytest.approx((1 + 4) / 2)
    loss, d = mr.softmax_cross_entropy([[0.0, math.log(3)]], [0])
    assert loss == pytest.approx(math.log(4))
    assert d[0].tolist() == pytest.approx([-0.75, 0.75])
    loss, d = mr.binary_cross_entropy([math.log(3)], [0.0])
    assert loss == pytest.approx(math.log(4))
    assert d.item() == pytest.approx(0.75)


@pytest.mark.parametrize("name", CASES)
def test_what_is_masked_does_not_count_not_even_nan(name):
    loss_fn, y, target = CASES[name]
    keep = MASK.astype(bool)
    loss, dy = loss_fn(y, target, MASK)
    alone, dy_alone = loss_fn(y[keep], target[keep])
    assert loss == pytest.approx(alone, rel=1e-14)
    np.testing.assert_allclose(dy[keep], dy_alone)
    spoiled, bad_target = y.copy(), target.copy()
    spoiled[~keep] = np.nan
    bad_target[~keep] = 99
    again, dy_again = loss_fn(spoiled, bad_target, MASK)
    assert again == loss
    assert np.array_equal(dy_again, dy)
    assert not dy[~keep].any()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 1e-320, 1e300, np.float32(0.1)])
def test_weights_make_a_weighted_mean_whatever_their_size(name, size):
    loss_fn, y, target = CASES[name]
    spoiled = y.copy()
    spoiled[WEIGHTS == 0] = np.nan
    loss, dy = loss_fn(spoiled, target, WEIGHTS * size)
    share = WEIGHTS / WEIGHTS.sum()
    each = {at: loss_fn(y[at], target[at]) for at in np.ndindex(share.shape)}
    tolerance = 1e-3 if size == 1e-320 else 1e-12  # so small a number has few digits
    assert loss == pytest.approx(sum(share[at] * each[at][0] for at in each), rel=tolerance)
    for at in each:
        np.testing.assert_allclose(dy[at], share[at] * each[at][1], tolerance)


@pytest.mark.parametrize("name", CASES)
def test_weights_that_are_all_equal_give_the_bits_of_a_mask(name):
    loss_fn, y, target = CASES[name]
    found, expected = loss_fn(y, target, MASK * 0.3), loss_fn(y, target, MASK)
    assert found[0] == expected[0] and np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("name", CASES)
def test_a_whole_weight_is_as_often_the_same_target(name):
    loss_fn, y, target = CASES[name]
    loss, dy = loss_fn(y, target, [[3, 1]] * 3)
    again, dy_again = loss_fn(y[:, [0, 0, 0, 1]], target[:, [0, 0, 0, 1]])
    assert loss == pytest.approx(again, rel=1e-14)
    np.testing.assert_allclose(dy, np.stack([3 * dy_again[:, 0], dy_again[:, 3]], axis=1), 1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_a_weight_that_is_none_is_refused(name, bad):
    loss_fn, y, target = CASES[name]
    wrong = WEIGHTS.copy()
    wrong[1, 1] = bad
    with pytest.raises(ValueError, match=rf"mask: .*weights of at least 0, got {bad} at \(1, 1\)"):
        loss_fn(y, target, wrong)


def test_weights_of_single_outputs():
    y, target = np.array([[1.0, 2.0]]), np.zeros((1, 2))
    loss, dy = mr.mse(y, target, [[3.0, 0.5]])
    assert loss == pytest.approx((3 * 1 + 0.5 * 4) / 3.5)
    np.testing.assert_allclose(dy, [[2 * 3 / 3.5, 2 * 0.5 * 2 / 3.5]])


def test_class_weights_give_every_class_the_same_part():
    target = np.array([[0, 0, 2], [0, 2, 0]])
    weights = mr.class_weights(target, 4)
    assert weights.tolist() == [6 / (2 * 4), 1, 6 / (2 * 2), 1]
    assert weights[target].mean() == 1
    assert np.sum(weights[target][target == 0]) == np.sum(weights[target][target == 2])
    assert mr.class_weights(target).shape == (3,)
    for bad, words in (([-1], r"target: .*0..0, got -1"), ([0.5], "target: expected whole")):
        with pytest.raises((ValueError, TypeError), match=words):
            mr.class_weights(bad)
    with pytest.raises(ValueError, match=r"target: .*in 0..1, got 2"):
        mr.class_weights(target, 2)
    with pytest.raises(ValueError, match="target: expected at least one"):
        mr.class_weights([])


@pytest.mark.parametrize("name", CASES)
def test_the_dtype_is_that_of_the_prediction(name):
    loss_fn, y, target = CASES[name]
    loss, dy = loss_fn(y.astype(np.float32), target)
    assert type(loss) is float
    assert dy.dtype == np.float32
    assert loss == pytest.approx(loss_fn(y, target)[0], rel=1e-5)


def test_a_gradient_in_single_precision_is_rounded_once():
    y, target = (RNG.normal(size=(7, 3)).astype(np.float32) for _ in range(2))
    expected = ((y - target).astype(np.float64) * (2 / 21)).astype(np.float32)
    for mask in (None, np.ones((7, 3)), np.full(7, 0.3)):
        assert np.array_equal(mr.mse(y, target, mask)[1], expected)


@pytest.mark.parametrize("size", [1e2, 1e4, 1e300])
def test_no_logit_is_too_large(size):
    loss, d = mr.softmax_cross_entropy([[size, -size, 0.0]] * 2, [0, 1])
    assert loss == pytest.approx(size, rel=1e-12)
    np.testing.assert_allclose(d, [[0, 0, 0], [0.5, -0.5, 0]], atol=1e-40)
    loss, d = mr.binary_cross_entropy([size, -size, size], [1.0, 0.0, 0.0])
    assert loss == pytest.approx(size / 3, rel=1e-12)
    np.testing.assert_allclose(d, [0, 0, 1 / 3], atol=1e-40)


def test_a_logit_of_minus_infinity_excludes_a_class():
    loss, d = mr.softmax_cross_entropy([[-np.inf, 0.0, 0.0]], [1])
    assert loss == pytest.approx(math.log(2))
    assert d[0].tolist() == [0, -0.5, 0.5]


@pytest.mark.parametrize("name", CASES)
def test_a_nan_that_counts_shows(name):
    loss_fn, y, target = CASES[name]
    y = y.copy()
    y[0, 0, 0] = np.nan
    assert np.isnan(loss_fn(y, target)[0])


@pytest.mark.parametrize("name", CASES)
def test_arguments_are_not_changed(name):
    loss_fn, y, target = CASES[name]
    before = y.tobytes(), target.tobytes(), MASK.tobytes()
    loss_fn(y, target, MASK)
    assert (y.tobytes(), target.tobytes(), MASK.tobytes()) == before


def test_infinite_logits_have_their_limits():
    a, t = np.array([np.inf, -np.inf, np.inf, -np.inf]), np.array([1.0, 0.0, 0.0, 1.0])
    values = [mr.binary_cross_entropy(a[k : k + 1], t[k : k + 1])[0] for k in range(4)]
    assert values == [0, 0, np.inf, np.inf]
    assert mr.binary_cross_entropy(a, t)[1].tolist() == [0, 0, 0.25, -0.25]
    loss, d = mr.softmax_cross_entropy([[np.inf, 1.0, -np.inf]], [0])
    assert loss == 0
    assert d.tolist() == [[0, 0, 0]]


def test_a_target_too_large_for_the_prediction_s_dtype_is_infinite_without_a_word():
    assert mr.mse(np.zeros(2, np.float32), [1e300, 0.0])[0] == np.inf


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_logit_is_found_wherever_it_is(dtype):
    # exp of a difference to any other than the largest would be more than 1, or infinite.
    for V in range(1, 70):
        logits = np.full((V, V), -1e4, dtype)
        np.fill_diagonal(logits, 1e4)
        loss, d = mr.softmax_cross_entropy(logits, np.arange(V))
        assert loss == 0
        assert not d.any()


def test_a_nan_beside_an_infinite_logit_is_not_swallowed():
    for row in ([np.inf, np.nan, 0.0], [np.nan, np.inf, 0.0], [0.0, 1.0, np.nan]):
        loss, d = mr.softmax_cross_entropy([row, [0.0, 0.0, 0.0]], [0, 0])
        assert np.isnan(loss)
        assert np.isnan(d[0]).any()
        assert np.isfinite(d[1]).all()
