"""Optimizers: first steps by hand, convergence, and clipping (against PyTorch: test_torch.py)."""

import math

import numpy as np
import pytest

import minirnn as mr
from minirnn.cells import initializers

ALL = {
    "SGD": lambda: mr.SGD(0.1),
    "momentum": lambda: mr.SGD(0.05, momentum=0.8),
    "Nesterov": lambda: mr.SGD(0.05, momentum=0.8, nesterov=True),
    "RMSProp": lambda: mr.RMSProp(0.02),
    "Adagrad": lambda: mr.Adagrad(0.5),
    "Adam": lambda: mr.Adam(0.05),
}


def two_steps(optimizer, g1=0.5, g2=-0.25):
    params = {"w": np.array([1.0])}
    for g in (g1, g2):
        optimizer.step(params, {"w": np.array([g])})
    return params["w"].item()


def test_two_steps_by_hand():
    assert two_steps(mr.SGD(0.1)) == pytest.approx(1 - 0.1 * 0.5 + 0.1 * 0.25)
    assert two_steps(mr.SGD(0.1, momentum=0.9)) == pytest.approx(1 - 0.05 - 0.1 * (0.45 - 0.25))
    nesterov = 1 - 0.1 * (0.5 + 0.9 * 0.5) - 0.1 * (-0.25 + 0.9 * 0.2)
    assert two_steps(mr.SGD(0.1, momentum=0.9, nesterov=True)) == pytest.approx(nesterov)
    adagrad = 1 - 0.1 * 1 + 0.1 * 0.25 / np.sqrt(0.25 + 0.0625)
    assert two_steps(mr.Adagrad(0.1)) == pytest.approx(adagrad)
    rmsprop = 1 - 0.1 / np.sqrt(0.1) + 0.1 * 0.25 / np.sqrt(0.9 * 0.025 + 0.1 * 0.0625)
    assert two_steps(mr.RMSProp(0.1)) == pytest.approx(rmsprop, rel=1e-5)
    m, v = 0.9 * 0.05 - 0.025, 0.999 * 0.00025 + 0.001 * 0.0625
    adam = 1 - 0.1 - 0.1 * (m / 0.19) / np.sqrt(v / (1 - 0.999**2))
    assert two_steps(mr.Adam(0.1)) == pytest.approx(adam, rel=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_bowl_is_descended_in_place(name, dtype):
    w = np.array([[2.0, -1.5]], dtype)
    params, optimizer = {"w": w}, ALL[name]()
    for _ in range(300):
        optimizer.step(params, {"w": 2 * w})
    assert params["w"] is w
    assert w.dtype == dtype
    assert np.abs(w).max() < 0.05
    assert optimizer.steps == 300


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_not_changed(name):
    g = np.array([0.3, 0.4])
    ALL[name]().step({"w": np.zeros(2)}, {"w": g})
    assert g.tolist() == [0.3, 0.4]


def test_a_wrong_gradient_changes_nothing():
    params = {"a": np.ones(2), "b": np.ones(3)}
    optimizer = mr.Adam()
    with pytest.raises(ValueError, match=r"only one of them has \['b'\]"):
        optimizer.step(params, {"a": np.ones(2)})
    with pytest.raises(ValueError, match=r"grads\['b'\]: expected shape \(3,\), got \(1, 3\)"):
        optimizer.step(params, {"a": np.ones(2), "b": np.ones((1, 3))})
    params["b"].flags.writeable = False
    with pytest.raises(ValueError, match=r"params\['b'\]: expected an array to change, got a con"):
        optimizer.step(params, {"a": np.ones(2), "b": np.ones(3)})
    assert optimizer.steps == 0
    assert (params["a"] == 1).all()
    assert (params["b"] == 1).all()


@pytest.mark.parametrize("name", ALL)
def test_an_optimizer_knows_its_own_parameters(name):
    optimizer = ALL[name]()
    optimizer.step({"a": np.ones((2, 3))}, {"a": np.ones((2, 3))})
    for a, got in (
        (np.ones((20, 30)), r"\(20, 30\) float64"),
        (np.ones((2, 3), np.float32), r"\(2, 3\) float32"),
    ):
        before = a.copy()
        with pytest.raises(
            ValueError, match=r"expected \(2, 3\) float64.*got " + got + ".*new opt"
        ):
            optimizer.step({"a": a}, {"a": np.ones_like(a)})
        assert np.array_equal(a, before)
    with pytest.raises(ValueError, match=r"params\['b'\]: expected real numbers, got int64"):
        ALL[name]().step({"b": np.ones(3, int)}, {"b": np.ones(3)})


def test_constant_averages_are_refused():
    optimizer, params = mr.Adam(), {"a": np.ones(3)}
    optimizer.step(params, params)
    optimizer.state["a"]["m"].flags.writeable = False
    with pytest.raises(ValueError, match=r"state\['a'\]: expected arrays to change"):
        optimizer.step(params, params)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(), (0, 3), (1, 1)])
def test_a_parameter_of_any_shape(name, shape):
    p, g = {"p": np.ones(shape)}, {"p": np.ones(shape)}
    optimizer = ALL[name]()
    for _ in range(2):
        optimizer.step(p, g)
    assert p["p"].shape == shape and (p["p"] < 1).all()


def test_clipping_keeps_the_direction_and_returns_the_norm_before():
    grads = {"a": np.array([3.0]), "b": np.array([0.0, 4.0], np.float32)}
    assert mr.clip_grad_norm(grads, 10) == pytest.approx(5)
    assert grads["a"].item() == 3
    assert mr.clip_grad_norm(grads, 1) == pytest.approx(5)
    assert grads["a"].item() == pytest.approx(0.6)
    assert grads["b"].tolist() == pytest.approx([0, 0.8])
    assert grads["b"].dtype == np.float32


def test_clipping_squares_do_not_overflow():
    grads = {"a": np.array([3e30, 4e30], np.float32)}
    assert mr.clip_grad_norm(grads, 1.0) == pytest.approx(5e30, rel=1e-6)
    assert grads["a"].tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_clipping_leaves_what_no_scale_can_mend(value):
    grads = {"a": np.array([1.0, value])}
    assert not np.isfinite(mr.clip_grad_norm(grads, 1.0))
    assert grads["a"][0] == 1


def test_an_infinite_gradient_has_an_infinite_norm_and_nan_has_none():
    empty, one, inf, nan = (np.array(v, float) for v in ([], [1], [1, -np.inf], [np.nan, 1]))
    assert mr.clip_grad_norm({"a": empty, "b": inf}, 1.0) == np.inf
    assert np.isnan(mr.clip_grad_norm({"a": nan, "b": inf}, 1.0))
    assert np.isnan(mr.clip_grad_norm({"a": inf, "b": nan}, 1.0))
    assert mr.clip_grad_norm({"a": empty, "b": one}, 1.0) == 1
    assert mr.clip_grad_norm({"a": empty}, 1.0) == mr.clip_grad_norm({}, 1.0) == 0
    tiny = {"a": np.array([3e-200, 4e-200])}
    assert mr.clip_grad_norm(tiny, 1e-200) == pytest.approx(5e-200, rel=1e-12)
    assert tiny["a"] == pytest.approx([0.6e-200, 0.8e-200], rel=1e-12)


@pytest.mark.parametrize("inf", [np.inf, math.inf, np.float64("inf"), np.float32("inf")])
def test_any_infinity_is_no_limit(inf):
    grads = {"a": np.array([3.0, -4.0])}
    assert mr.clip_grad_norm(grads, inf) == 5
    mr.clip_grad_value(grads, inf)
    assert grads["a"].tolist() == [3, -4]
    for bad in (-inf, math.nan):
        with pytest.raises(ValueError, match=r"max_norm: expected a number in \(0, inf\], got"):
            mr.clip_grad_norm(grads, bad)


def shared():
    """One array under two names: as it is, and as views of it."""
    a = np.ones((2, 2))
    return [(a, a), (a, a.T), (a[:1], a), (a.ravel()[1:], a.ravel()[:2])]


@pytest.mark.parametrize("k", range(4))
def test_one_array_under_two_names_would_move_twice(k):
    one, two = shared()[k]
    arrays, others = {"a": one, "b": two}, {"a": one.copy(), "b": two.copy()}
    words = "expected different arrays, got one array twice: 'a' and 'b'"
    for call, name in (
        (lambda: mr.clip_grad_norm(arrays, 1e-9), "grads"),
        (lambda: mr.clip_grad_value(arrays, 1e-9), "grads"),
        (lambda: mr.SGD(0.1).step(arrays, others), "params"),
        (lambda: mr.Adam(0.1).step(others, arrays), "grads"),
    ):
        with pytest.raises(ValueError, match=f"{name}: {words}"):
            call()
    assert (one == 1).all()


def test_parts_of_one_array_that_do_not_overlap_are_different_arrays():
    whole = np.ones(5)
    params = {"a": whole[:2], "b": whole[2:]}
    mr.SGD(1.0).step(params, {"a": np.ones(2), "b": np.ones(3)})
    assert not whole.any()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "wrong, got",
    [([1.0, 2.0], "list"), (None, "NoneType"), (np.ones(2) + 1j, "complex128"),
     (np.ones(2, object), "object"), (np.ma.masked_array([1.0, 2.0]), "MaskedArray")],
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_no_parameter_and_no_gradient(name, wrong, got):
    right, words = {"w": np.ones(2)}, f"expected an array of real numbers, got {got}"
    for call, argument in (
        (lambda: ALL[name]().step({"w": wrong}, right), "params"),
        (lambda: ALL[name]().step(right, {"w": wrong}), "grads"),
        (lambda: mr.clip_grad_norm({"w": wrong}, 1.0), "grads"),
        (lambda: mr.clip_grad_value({"w": wrong}, 1.0), "grads"),
    ):
        with pytest.raises(TypeError, match=rf"{argument}\['w'\]: {words}"):
            call()
    assert right["w"].tolist() == [1, 1]


@pytest.mark.parametrize("dtype", ["float16", "longdouble", ">f8"])
def test_other_floats_than_kernels_know_are_refused(dtype):
    w, right = {"w": np.ones(2, dtype)}, {"w": np.ones(2)}
    for call, argument in (
        (lambda: mr.SGD(0.1).step(w, right), "params"),
        (lambda: mr.Adam(0.1).step(w, right), "params"),
        (lambda: mr.clip_grad_norm(w, 1.0), "grads"),
        (lambda: mr.clip_grad_value(w, 1.0), "grads"),
    ):
        with pytest.raises(TypeError, match=rf"{argument}\['w'\]: expected float32 or float64"):
            call()


def test_constant_gradients_are_not_clipped():
    g = np.broadcast_to(np.ones(1), 4)
    assert mr.clip_grad_norm({"w": g}, 9.0) == 2  # nothing to change
    for call in (mr.clip_grad_norm, mr.clip_grad_value):
        with pytest.raises(ValueError, match=r"grads\['w'\]: expected an array to change"):
            call({"w": g}, 0.5)


def test_clipping_leaves_a_norm_that_is_itself_too_large_for_a_float():
    grads = {"a": np.full(4, 1.7e308)}
    assert mr.clip_grad_norm(grads, 1.0) == np.inf
    assert (grads["a"] == 1.7e308).all()


@pytest.mark.parametrize("make", [mr.SGD, mr.RMSProp, mr.Adagrad, mr.Adam])
def test_weight_decay_shrinks_matrices_and_leaves_biases(make):
    params = {"W": np.full((2, 2), 3.0), "b": np.full(2, 3.0)}
    make(lr=0.1, weight_decay=0.5).step(params, {k: np.zeros_like(p) for k, p in params.items()})
    np.testing.assert_allclose(params["W"], 3 * 0.95)
    assert (params["b"] == 3).all()


def test_schedules():
    cosine = mr.cosine(0.1, 10, warmup=2)
    rates = [cosine(epoch) for epoch in range(11)]
    assert rates[:3] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])
    assert rates[6] == pytest.approx(0.05)
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[10] == pytest.approx(0, abs=1e-18)
    steps = mr.step_decay(0.1, every=3, factor=0.1)
    assert [steps(e) for e in (0, 2, 3, 6)] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_clipping_by_value():
    grads = {"a": np.array([-3.0, 0.5, np.nan]), "b": np.array([[2.0]])}
    mr.clip_grad_value(grads, 1)
    np.testing.assert_array_equal(grads["a"], [-1, 0.5, np.nan])
    assert grads["b"].tolist() == [[1.0]]


def test_identity_and_chrono_make_long_memories():
    rnn = mr.RNN(1, 4, "relu")
    rnn.params["W_h"][...] = initializers.identity(4)
    state = np.array([[0.0, 1, 2, 3]])
    assert np.array_equal(rnn.forward(np.zeros((50, 1, 1)), state)[1], state)

    lstm, gru = mr.LSTM(1, 300), mr.GRU(1, 300)
    for layer in (lstm, gru):
        initializers.chrono(layer, 100, rng=0)
    b_i, b_f, b_g, b_o = np.split(lstm.params["b"], 4)
    assert np.array_equal(b_i, -b_f)
    assert not b_g.any() and not b_o.any()
    memory = 1 / (1 - 1 / (1 + np.exp(-b_f)))  # steps until 1/e is left, about: 1 + u
    assert memory.min() > 2 and memory.max() < 100
    assert np.mean(memory) == pytest.approx(51, abs=5)
    assert np.array_equal(np.split(gru.params["b"], 3)[1], b_f)
    with pytest.raises(TypeError, match="layer: expected an LSTM or a GRU, got RNN"):
        initializers.chrono(rnn, 100)

    class Own(mr.LSTM):
        keeping = ()  # an f of one's own may forget or keep

    with pytest.raises(TypeError, match="layer: expected an LSTM or a GRU, got Own"):
        initializers.chrono(Own(1, 3), 100)


def test_an_optimizer_shows_its_options():
    assert repr(mr.Adam()) == "Adam(lr=0.001)"
    shown = "SGD(lr=0.1, momentum=0.9, nesterov=True)"
    optimizer = mr.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0)
    assert repr(optimizer) == shown
    optimizer.lr = 0.05  # as a schedule does
    assert repr(optimizer) == shown.replace("0.1", "0.05")
