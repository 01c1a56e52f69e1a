"""Linear, Last and Sequential."""

import numpy as np
import pytest
from cases import flatten, point, randomised, same

import minirnn as mr


def test_linear_is_the_same_at_every_step():
    layer = randomised("Linear")
    x, _, dy, _ = point(layer)
    y, state, cache = layer.forward(x)
    assert state is None
    np.testing.assert_allclose(
        y, np.einsum("tbd,dk->tbk", x, layer.params["W"]) + layer.params["b"]
    )
    dx, _, grads = layer.backward(dy, cache)
    np.testing.assert_allclose(dx, np.einsum("tbk,dk->tbd", dy, layer.params["W"]))
    np.testing.assert_allclose(grads["W"], np.einsum("tbd,tbk->dk", x, dy))
    np.testing.assert_allclose(grads["b"], dy.sum(axis=(0, 1)))
    same(y[1], layer.forward(x[1])[0])


def test_last_is_the_last_valid_step():
    x = np.arange(12.0).reshape(4, 3, 1)
    y, _, cache = mr.Last().forward(x, lengths=[4, 1, 2])
    assert y[:, 0].tolist() == [9, 1, 5]
    dx, _, _ = mr.Last().backward([[1.0], [2.0], [3.0]], cache)
    expected = np.zeros((4, 3))
    expected[3, 0], expected[0, 1], expected[1, 2] = 1, 2, 3
    assert np.array_equal(dx[..., 0], expected)
    assert mr.Last().forward(x)[0].tolist() == x[-1].tolist()


def test_last_refuses_an_empty_sequence():
    with pytest.raises(ValueError, match="empty sequence has no last step"):
        mr.Last().forward(np.ones((2, 2, 1)), lengths=[0, 1])


def test_sequential_is_its_layers_one_after_the_other():
    model = randomised("GRU LSTM Linear")
    x, state, _, _ = point(model)
    y, final, _ = model.forward(x, state)
    z, expected = x, []
    for layer, s in zip(model.layers, state, strict=True):
        z, s, _ = layer.forward(z, s)
        expected.append(s)
    assert np.array_equal(y, z)
    same(final, expected, 0)
    assert list(model.params)[:2] == ["0.W_x", "0.W_h"]
    assert model.params["2.W"] is model.layers[2].params["W"]


def test_sequential_parameters_cannot_be_assigned_in_vain():
    with pytest.raises(TypeError):
        randomised("GRU LSTM Linear").params["2.W"] = np.zeros((2, 3))


def test_a_model_can_be_part_of_a_model():
    inner = mr.Sequential(mr.RNN(2, 3, rng=0), mr.LSTM(3, 2, rng=1))
    model = mr.Sequential(inner, mr.Last(), mr.Linear(2, 1, rng=2))
    assert "0.1.W_h" in model.params
    report = mr.gradcheck(model, np.random.default_rng(0).normal(size=(3, 2, 2)), lengths=[3, 1])
    assert report.ok, str(report)
    assert mr.gradcheck(model, np.ones((2, 1, 2)), method="complex").ok


def test_lengths_reach_the_layers_behind_and_stop_at_last():
    model = mr.Sequential(
        mr.RNN(2, 3, rng=0), mr.Linear(3, 2, rng=0), mr.Last(), mr.Linear(2, 1, rng=0)
    )
    x = np.random.default_rng(0).normal(size=(4, 2, 2))
    y, _, _ = model.forward(x, lengths=[4, 2])
    alone, _, _ = model.forward(x[:2, 1:])
    same(y[1], alone[0])


def test_gradients_have_the_order_of_the_parameters():
    model = randomised("LSTM Last Linear")
    x, state, dy, _ = point(model)
    _, _, cache = model.forward(x, state)
    _, _, grads = model.backward(dy, cache)
    assert list(grads) == list(model.params)
    assert [g.shape for g in flatten(list(grads.values()))] == [
        p.shape for p in model.params.values()
    ]


class Spy:
    """Remembers the lengths it got."""

    def __init__(self):
        self.params = {}

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        self.lengths = lengths
        return x, None, None

    def backward(self, dy, cache, dstate=None):
        return dy, None, {}


def test_layers_behind_last_get_no_lengths():
    before, behind = Spy(), Spy()
    mr.Sequential(before, mr.Last(), behind).forward(np.ones((3, 2, 1)), lengths=[3, 1])
    assert before.lengths == [3, 1]
    assert behind.lengths is None


def test_what_lies_past_the_end_does_not_matter_to_linear():
    layer = randomised("Linear")
    x, _, dy, _ = point(layer)
    results = []
    for padding in (0.0, np.nan):
        x[2:, 1] = padding
        y, _, cache = layer.forward(x, lengths=[4, 2, 4])
        results.append([y, *layer.backward(dy, cache)])
        assert not y[2:, 1].any()
    same(*results, tol=0)


def test_layers_without_time_can_be_checked_by_the_complex_step():
    x = np.random.default_rng(0).normal(size=(3, 2))
    assert mr.gradcheck(mr.Linear(2, 3, rng=0), x, method="complex").ok
    assert mr.gradcheck(mr.Linear(2, 3, rng=0), x).ok
