"""Losses of uncertain forecasts: values by hand, their minimum, PyTorch, intervals."""

import functools
import math

import numpy as np
import pytest

import minirnn as mr


def test_the_gaussian_loss_by_hand():
    y, target = [[1.0, math.log(4)]], [[5.0]]  # two standard deviations off
    loss, dy = mr.gaussian_nll(y, target)
    assert loss == pytest.approx((math.log(2 * math.pi) + math.log(4) + 4) / 2)
    assert dy[0].tolist() == pytest.approx([-4 / 4, (1 - 4) / 2])


def test_means_stand_before_log_variances():
    y, target = np.array([[1.0, 2.0, 0.0, math.log(9)]]), np.array([[1.0, 5.0]])
    loss, dy = mr.gaussian_nll(y, target)
    assert loss == pytest.approx((2 * math.log(2 * math.pi) + 0 + math.log(9) + 1) / 4)
    assert dy[0].tolist() == pytest.approx([0, -1 / 6, 1 / 4, 0])


def test_quantiles_by_hand():
    y, target = [[1.0, 2.0, 4.0]], [[3.0]]
    loss, dy = mr.quantile_loss(y, target)
    assert loss == pytest.approx((0.1 * 2 + 0.5 * 1 + 0.1 * 1) / 3)
    assert dy[0].tolist() == pytest.approx([-0.1 / 3, -0.5 / 3, 0.1 / 3])
    loss, dy = mr.quantile_loss([[3.0]], [[3.0]], quantiles=[0.5])
    assert loss == 0 and dy.tolist() == [[0]]


def test_each_quantile_has_its_numbers_of_all_outputs():
    y = np.array([[0.0, 10.0, 1.0, 11.0]])  # two quantiles of two outputs
    loss, dy = mr.quantile_loss(y, [[0.0, 11.0]], quantiles=(0.2, 0.8))
    assert loss == pytest.approx((0 + 0.2 * 1 + 0.2 * 1 + 0) / 4)
    assert dy[0].tolist() == pytest.approx([0, -0.2 / 4, 0.2 / 4, 0])


@pytest.mark.parametrize("loss", [mr.gaussian_nll, mr.quantile_loss])
def test_a_trained_constant_is_the_distribution_of_the_targets(loss):
    target = 3 + 2 * np.random.default_rng(0).normal(size=(2000, 1))
    wide = {"gaussian_nll": 2, "quantile_loss": 3}[loss.__name__]
    model, x = mr.Linear(1, wide, rng=0), np.zeros((2000, 1))
    mr.fit(model, loss, (x, target), mr.Adam(0.1), 400, schedule=mr.cosine(0.1, 400))
    y = model.forward(x)[0]
    if loss is mr.gaussian_nll:
        assert y[0] == pytest.approx([target.mean(), math.log(target.var())], abs=1e-3)
        low, high = mr.gaussian_interval(y, 0.9)
        assert abs(np.mean((low <= target) & (target <= high)) - 0.9) < 0.02
    else:
        assert [np.mean(target[:, 0] < q) for q in y[0]] == pytest.approx([0.1, 0.5, 0.9], abs=0.01)


def test_pytorch_computes_the_same():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    y, target = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 3, 1))
    there = torch.tensor(y, requires_grad=True)
    loss = torch.nn.functional.gaussian_nll_loss(
        there[..., :1], torch.tensor(target), there[..., 1:].exp(), full=True, eps=1e-300
    )
    loss.backward()
    value, dy = mr.gaussian_nll(y, target)
    assert value == pytest.approx(loss.item(), rel=1e-14)
    np.testing.assert_allclose(dy, there.grad.numpy(), rtol=1e-12, atol=1e-16)


def test_an_interval_by_hand():
    low, high = mr.gaussian_interval([[1.0, math.log(4)]], 0.95)
    assert [low.item(), high.item()] == pytest.approx(
        [1 - 2 * 1.959964, 1 + 2 * 1.959964], rel=1e-6
    )
    y = np.zeros((3, 2, 4), np.float32)
    assert mr.gaussian_interval(y)[0].shape == (3, 2, 2)
    assert mr.gaussian_interval(y)[0].dtype == np.float32


Y = np.zeros((2, 3))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: mr.gaussian_nll(Y, Y), r"y: expected shape \(..., 2 K\), .*got \(2, 3\)"),
        (lambda: mr.gaussian_nll(Y[:, :2], Y[:, :2]), r"target: expected shape \(2, 1\)"),
        (lambda: mr.gaussian_nll(Y[:, :2], Y[:, 0]), r"target: expected shape \(2, 1\)"),
        (lambda: mr.gaussian_nll(1.0, 1.0), r"y: expected shape \(..., 2 K\)"),
        (lambda: mr.quantile_loss(Y[:, :2], Y), r"y: expected shape \(..., 3 K\)"),
        (
            lambda: mr.quantile_loss(Y, Y),
            r"target: .*\(2, 1\), since y \(2, 3\) holds 3 .*got \(2, 3\)",
        ),
        (lambda: mr.quantile_loss(Y, Y[:, :1], quantiles=(0.5, 0.1, 0.9)), "quantiles: .*rising"),
        (lambda: mr.quantile_loss(Y, Y[:, :1], quantiles=(0, 0.1, 0.9)), "quantiles: .*between"),
        (lambda: mr.quantile_loss(Y, Y[:, :1], quantiles=(0.1, 0.5, 1)), "quantiles: .*between"),
        (lambda: mr.quantile_loss(Y, Y, quantiles=0.5), "quantiles: expected shape"),
        (lambda: mr.quantile_loss(Y, Y, quantiles=()), "quantiles: expected shape"),
        (lambda: mr.quantile_loss(Y, Y, quantiles=[np.nan]), "quantiles: .*rising"),
        (lambda: mr.gaussian_interval(Y), r"y: expected shape \(..., 2 K\)"),
        (lambda: mr.gaussian_interval(Y[:, :2], 1), "coverage: expected a number below 1"),
        (lambda: mr.gaussian_interval(Y[:, :2], 0), "coverage: expected a finite number"),
    ],
)
def test_wrong_calls_are_refused_by_name(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()


def test_other_quantiles_go_to_fit_as_a_partial_function(tmp_path):
    loss = functools.partial(mr.quantile_loss, quantiles=(0.05, 0.95))
    model = mr.Sequential(mr.GRU(1, 3, rng=0), mr.Linear(3, 2, rng=0))
    x = np.random.default_rng(0).normal(size=(5, 4, 1))
    data = (x, x, [5, 3, 1, 2])
    history = mr.fit(model, loss, data, mr.Adam(), 2, checkpoint=tmp_path / "run.npz")
    assert history.loss[1] < history.loss[0]
    with pytest.raises(ValueError, match="loss_fn: expected that of"):
        mr.fit(
            model, functools.partial(mr.quantile_loss, quantiles=(0.1, 0.95)), data, mr.Adam(), 3,
            checkpoint=tmp_path / "run.npz", resume=True,
        )  # fmt: skip
