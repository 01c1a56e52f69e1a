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
    with pytest.raises(TypeError, match="does not support item assignment"):
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


def test_embedding_is_one_hot_times_the_table():
    layer = mr.Embedding(5, 3, rng=0)
    x = np.array([[0, 4], [1, 1]])
    y, _, cache = layer.forward(x)
    np.testing.assert_allclose(y, np.eye(5)[x] @ layer.params["W"])
    dy = np.random.default_rng(0).normal(size=y.shape)
    dx, _, grads = layer.backward(dy, cache)
    assert dx is None
    np.testing.assert_allclose(grads["W"], np.einsum("tbv,tbe->ve", np.eye(5)[x], dy))


@pytest.mark.parametrize("token", [-1, 5, 10**9])
def test_embedding_refuses_a_token_that_is_not_in_the_table_unless_it_is_padding(token):
    x = np.array([[0, 4], [1, token]])
    with pytest.raises(ValueError, match=rf"x: expected whole numbers in 0..4, got {token} at"):
        mr.Embedding(5, 3).forward(x)
    y, _, _ = mr.Embedding(5, 3).forward(x, lengths=[2, 1])
    assert not y[1, 1].any()


def test_embedding_of_one_step():
    layer = mr.Embedding(5, 3, rng=0)
    assert np.array_equal(layer.forward([4, 2])[0], layer.params["W"][[4, 2]])
    assert np.array_equal(layer.step([4, 2])[0], layer.params["W"][[4, 2]])


@pytest.mark.parametrize("per_sequence", [False, True])
def test_dropout_keeps_the_mean_and_the_gradient_has_the_same_mask(per_sequence):
    layer, x = mr.Dropout(0.25, per_sequence), np.ones((50, 40, 30))
    y, _, cache = layer.forward(x, training=True, rng=0)
    assert set(np.unique(y)) == {0, 1 / 0.75}
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.03)
    assert np.array_equal(layer.backward(x, cache)[0], y)
    assert (y == y[:1]).all() == per_sequence
    assert np.array_equal(y, layer.forward(x, training=True, rng=0)[0])
    assert not np.array_equal(y, layer.forward(x, training=True, rng=1)[0])


def test_dropout_does_nothing_in_use():
    x = np.random.default_rng(0).normal(size=(3, 2, 2))
    y, _, cache = mr.Dropout(0.9).forward(x)
    assert np.array_equal(x, y)
    assert np.array_equal(x, mr.Dropout(0.9).backward(x, cache)[0])


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid"])
def test_activation(name):
    x = np.random.default_rng(0).normal(size=(3, 2, 2))
    layer = mr.Activation(name)
    expected = {"tanh": np.tanh(x), "relu": np.maximum(x, 0), "sigmoid": 1 / (1 + np.exp(-x))}
    np.testing.assert_allclose(layer.forward(x)[0], expected[name])
    assert mr.gradcheck(layer, x).ok


def test_layer_norm_normalises_each_step_of_each_sequence_by_itself():
    layer, x = mr.LayerNorm(4), 50 + 3 * np.random.default_rng(0).normal(size=(3, 2, 4))
    y, _, _ = layer.forward(x)
    np.testing.assert_allclose(y.mean(axis=-1), 0, atol=1e-13)
    np.testing.assert_allclose(y.std(axis=-1), 1, rtol=1e-5)
    np.testing.assert_allclose(y, layer.forward(5 * x - 7)[0], rtol=1e-5)
    layer.params["g"][...], layer.params["b"][...] = [2, 1, 0, 1], [0, 0, 7, 0]
    np.testing.assert_allclose(layer.forward(x)[0], y * [2, 1, 0, 1] + [0, 0, 7, 0])
    assert not layer.forward(np.ones((1, 4)))[0][0, :2].any()  # nothing to normalise
    assert mr.LayerNorm(4, rng=0).eps == 1e-5


def test_layer_norm_refuses_what_it_cannot_divide_by():
    for eps in (0, -1, 1e-20, np.nan, np.inf):
        with pytest.raises(ValueError, match="eps: expected a finite number in"):
            mr.LayerNorm(4, eps)
    with pytest.raises(ValueError, match=r"cache: made by a layer LayerNorm .*eps=0.1, given to"):
        mr.LayerNorm(2).backward(None, mr.LayerNorm(2, 0.1).forward(np.ones((1, 2)))[2])


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_probabilities_at_every_step_and_zeros_past_the_end(name):
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    layer, shares = mr.Activation(name), np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    expected = shares if name == "softmax" else np.log(shares)
    y, _, cache = layer.forward(x, lengths=[3, 1])
    np.testing.assert_allclose(y[:, 0], expected[:, 0])
    np.testing.assert_allclose(y[0, 1], expected[0, 1])
    assert not y[1:, 1].any() and not layer.backward(x, cache)[0][1:, 1].any()
    for a in (x, x[0], x[:, :, :1]):
        assert mr.gradcheck(layer, a).ok and mr.gradcheck(layer, a, method="complex").ok


def test_the_cross_entropy_of_log_softmax_is_that_of_the_logits():
    x, target = np.random.default_rng(0).normal(size=(6, 4)), [0, 3, 1, 2, 2, 0]
    y, _, cache = mr.Activation("log_softmax").forward(x)
    (loss, dy), (expected, dx) = (mr.softmax_cross_entropy(a, target) for a in (y, x))
    assert loss == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(mr.Activation("log_softmax").backward(dy, cache)[0], dx, atol=1e-15)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean"])
def test_bidirectional_reads_every_sequence_from_its_own_end(merge):
    one, two = mr.GRU(2, 3, rng=0), mr.LSTM(2, 3, rng=1)
    layer = mr.Bidirectional(one, two, merge)
    x, lengths = np.random.default_rng(0).normal(size=(5, 3, 2)), [5, 2, 0]
    y, (state_u, state_v), _ = layer.forward(x, lengths=lengths)
    for b, n in enumerate(lengths):
        assert not y[n:, b].any()
        if n == 0:
            continue
        u, s_u, _ = one.forward(x[:n, b : b + 1])
        v, s_v, _ = two.forward(x[:n, b : b + 1][::-1])
        v = v[::-1]
        merged = {"concat": np.dstack([u, v]), "sum": u + v, "mean": 0.5 * (u + v)}[merge]
        same(y[:n, b : b + 1], merged)
        same([state_u[b], state_v[0][b], state_v[1][b]], [s_u[0], s_v[0][0], s_v[1][0]])


def test_last_of_both_directions_has_read_the_whole_sequence():
    layer = mr.Bidirectional(mr.GRU(2, 3, rng=0), mr.GRU(2, 3, rng=1))
    x, lengths = np.random.default_rng(0).normal(size=(5, 3, 2)), [5, 2, 1]
    y, (u, v), _ = layer.forward(x, lengths=lengths)
    same(mr.Last(both=True).forward(y, lengths=lengths)[0], np.hstack([u, v]), tol=0)
    with pytest.raises(ValueError, match="two halves"):
        mr.Last(both=True).forward(np.ones((2, 2, 3)))


def test_a_cache_of_another_layer_is_refused():
    _, _, cache = mr.Activation("tanh").forward(np.ones((2, 2, 3)))
    for layer in (mr.Activation("relu"), mr.Dropout(0.5), mr.Linear(3, 3)):
        with pytest.raises(ValueError, match="cache: made by a layer Activation tanh"):
            layer.backward(np.ones((2, 2, 3)), cache)


@pytest.mark.parametrize("right", [True, False])
def test_the_directional_check_takes_a_large_model(right):
    model = mr.Sequential(
        mr.Embedding(500, 128, rng=0), mr.LSTM(128, 400, rng=1), mr.Dropout(0.3), mr.Last(),
        mr.Linear(400, 500, rng=2),
    )  # fmt: skip
    assert sum(p.size for p in model.params.values()) > 1e6
    if not right:
        lstm, backward = model.parts["1"], model.parts["1"].backward

        def wrong(*arguments):
            dx, dstate, grads = backward(*arguments)
            grads["W_h"][:, 400:800] *= 1.001  # the forget gate's, by one in a thousand
            return dx, dstate, grads

        lstm.backward = wrong
    x = np.random.default_rng(0).integers(0, 500, (3, 2))
    report = mr.gradcheck(model, x, lengths=[3, 2], method="directional", training=True)
    assert report.ok == right, str(report)
    assert [row.name for row in report.rows if row.wrong] == ([] if right else ["d1.W_h"])
