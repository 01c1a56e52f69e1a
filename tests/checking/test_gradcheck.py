"""The gradient check accepts what is right, refuses what is wrong, and says where."""

import numpy as np
import pytest
from cases import RECURRENT, randomised, tree
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn as mr
from minirnn.checking.catalogue import LAYERS, example
from minirnn.exercises.broken import TextbookLSTM
from minirnn.protocol import without_step


@pytest.mark.parametrize(
    "shape, scale, ragged", [((3, 2, 1, 2), 0.7, False), ((4, 3, 2, 2), 2.0, True)]
)
@pytest.mark.parametrize("name", LAYERS)
def test_every_gradient_of_every_layer(name, shape, scale, ragged):
    T, B, D, H = shape
    layer = randomised(name, 0, D, H, scale=scale)
    report = mr.gradcheck(layer, *example(name, 0, T, B, D, H, ragged), training=True, rng=0)
    assert report.ok, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=12)
@given(
    shape=st.tuples(*(st.integers(1, n) for n in (5, 3, 3, 3))),
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([0.3, 1.0, 2.0]),
    ragged=st.booleans(),
)
def test_every_gradient_of_every_layer_at_points_drawn_at_random(name, shape, seed, scale, ragged):
    T, B, D, H = shape
    layer = randomised(name, seed, D, H, scale=scale)
    given = example(name, seed, T, B, D, H, ragged)
    report = mr.gradcheck(layer, *given, training=True, rng=seed)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("lengths", [None, [6, 4, 1]])
def test_the_complex_step_agrees_to_1e_12(name, lengths):
    if without_step(randomised(name)):
        pytest.skip("it has no function of one step")
    x = example(name, 0, 6).x
    if isinstance(x, tuple):
        pytest.skip("the function of one step runs free")
    report = mr.gradcheck(randomised(name), x, lengths=lengths, method="complex")
    assert report.tol == 1e-12
    assert report.ok, str(report)


def test_most_layers_have_a_complex_step():
    with_step = [name for name in LAYERS if not without_step(randomised(name))]
    assert len(with_step) >= 20 and "LSTM CIFG" in with_step


def all_gates():
    # One layer for each set of gates and parameters: a variant leaves some of the LSTM's out.
    for name in ("RNN", "LSTM peephole", "GRU after", "GRU before", "Linear", "GRU LSTM Linear"):
        layer = randomised(name)
        for param in layer.params:
            own = layer
            if "." in param:
                own = layer.parts[param[0]]
            gates = getattr(own, "gates", ()) or ("all",)
            blocked = param[-1] in gates and len(gates) > 1
            for k, gate in enumerate(gates):
                case = (name, param, gate, 0, 1) if blocked else (name, param, gate, k, len(gates))
                # The other gates of a cell in a model: as those of the cell alone.
                slow = own is not layer and not blocked and k > 0
                if not blocked or gate == param[-1]:
                    yield pytest.param(*case, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("name, param, gate, k, count", list(all_gates()))
def test_one_per_cent_in_one_gate_of_one_parameter_is_caught(name, param, gate, k, count):
    layer = randomised(name)
    right = layer.backward

    def backward(dy, cache, dstate=None):
        dx, dstate, grads = right(dy, cache, dstate)
        grads[param] = grads[param].copy()
        n = grads[param].shape[-1] // count
        grads[param][..., k * n : (k + 1) * n] *= 1.01
        return dx, dstate, grads

    layer.backward = backward
    report = mr.gradcheck(layer, np.random.default_rng(0).normal(size=(3, 2, 2)))
    assert not report.ok
    assert report.max_rel_error == pytest.approx(0.01, rel=0.02)
    assert [row.name for row in report.rows if row.wrong] == [f"d{param}"]
    (row,) = (row for row in report.rows if row.wrong)
    assert row.wrong == ["all" if gate == "all" else f"gate {gate}"]
    assert "d" + param.split(".")[-1] in report.verdict


@pytest.mark.parametrize("part", ["dx", "state"])
@pytest.mark.parametrize("name", RECURRENT)
def test_an_error_in_dx_or_in_the_state_s_gradient_is_caught_at_its_step(name, part):
    layer = randomised(name)
    right = layer.backward

    def backward(dy, cache, dstate=None):
        dx, dstate, grads = right(dy, cache, dstate)
        if part == "dx" and len(dx) > 2:
            dx = dx.copy()
            dx[2] *= 1.01
        if part == "state":
            dstate = tree(lambda d: 1.01 * d, dstate)
        return dx, dstate, grads

    layer.backward = backward
    report = mr.gradcheck(layer, np.random.default_rng(0).normal(size=(4, 2, 2)))
    assert not report.ok
    wrong = {row.name: row.wrong for row in report.rows if row.wrong}
    if part == "dx":
        assert wrong == {"dx": ["t = 2"]}
    else:
        assert all(row[-1] == "0" for row in wrong)


def test_the_report_is_a_table():
    report = mr.gradcheck(randomised("LSTM"), np.ones((3, 2, 2)))
    text = repr(report)
    assert text == str(report)
    for piece in ("dx", "dW_x", "dh0", "dc0", "(2, 12)", "gate", "t = ", "ok", "1e-07"):
        assert piece in text
    assert report.max_rel_error == max(row.error for row in report.rows) < 1e-8
    _, *lines, _ = text.splitlines()
    assert [repr(row).split() for row in report.rows] == [line.split() for line in lines]


@pytest.mark.parametrize("fails", [False, True])
def test_the_layer_is_afterwards_as_before(fails):
    layer, x = randomised("GRU after"), np.ones((2, 2, 2))
    before = {name: p.tobytes() for name, p in layer.params.items()}
    held = dict(layer.params)
    if fails:
        layer.backward = lambda *a: 1 / 0
        with pytest.raises(ZeroDivisionError):
            mr.gradcheck(layer, x)
    else:
        mr.gradcheck(layer, x)
    assert {name: p.tobytes() for name, p in layer.params.items()} == before
    assert all(layer.params[name] is p for name, p in held.items())
    assert (x == 1).all()


def test_float32_is_refused_with_the_reason():
    with pytest.raises(ValueError, match=r"params\['W_x'\]: expected float64, got float32"):
        mr.gradcheck(randomised("RNN", dtype="float32"), np.ones((2, 1, 2)))


class Wrapped:
    """A right layer that misbehaves in one way."""

    gates, state_names, hidden_size = (), ("h",), 3

    def __init__(self, **methods):
        self.layer = randomised("RNN")
        self.params = self.layer.params
        for name, method in methods.items():
            setattr(self, name, method.__get__(self))

    def forward(self, *args):
        return self.layer.forward(*args)

    def backward(self, *args):
        return self.layer.backward(*args)


def scale_dy(self, dy, cache, dstate=None):
    result = self.layer.backward(dy, cache, dstate)
    dy *= 0.5
    return result


def spoil_cache(self, dy, cache, dstate=None):
    result = self.layer.backward(dy, cache, dstate)
    cache.h[1:] *= 0.5
    return result


def clip(self, dy, cache, dstate=None):
    dx, dstate, grads = self.layer.backward(dy, cache, dstate)
    return dx, dstate, {k: np.clip(g, -0.5, 0.5) for k, g in grads.items()}


def draw(self, *args):
    y, state, cache = self.layer.forward(*args)
    return y * np.random.default_rng().normal(size=y.shape), state, cache


@pytest.mark.parametrize(
    "methods, words",
    [
        ({"backward": scale_dy}, "backward changes dy"),
        ({"backward": spoil_cache}, "backward changes the cache"),
        ({"backward": clip}, "backward is not linear in dy"),
        ({"forward": draw}, "forward gives two results for one input"),
    ],
)
def test_what_would_fool_the_check_is_named(methods, words):
    report = mr.gradcheck(Wrapped(**methods), np.ones((3, 2, 2)))
    assert not report.ok
    assert words in report.verdict


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda g: g.pop("b"), r"db: expected shape \(3,\), got none"),
        (
            lambda g: g.update(b=np.zeros((1, 3))),
            r"db: expected shape \(3,\), got \(1, 3\)",
        ),
    ],
)
def test_a_gradient_that_is_missing_or_misshapen_is_named(change, words):
    def backward(self, dy, cache, dstate=None):
        dx, dstate, grads = self.layer.backward(dy, cache, dstate)
        change(grads)
        return dx, dstate, grads

    with pytest.raises(ValueError, match=words):
        mr.gradcheck(Wrapped(backward=backward), np.ones((3, 2, 2)))


def test_a_nan_in_a_gradient_is_wrong():
    def backward(self, dy, cache, dstate=None):
        dx, dstate, grads = self.layer.backward(dy, cache, dstate)
        return dx, dstate, grads | {"b": np.full(3, np.nan)}

    report = mr.gradcheck(Wrapped(backward=backward), np.ones((3, 2, 2)))
    assert not report.ok
    assert report.max_rel_error == np.inf


class Table:
    """Token embedding: x (T, B) whole numbers, which have no gradient."""

    def __init__(self):
        self.params = {"W": np.random.default_rng(0).normal(size=(5, 2))}

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        return self.params["W"][x], None, x

    def backward(self, dy, x, dstate=None):
        dW = np.zeros((5, 2))
        np.add.at(dW, x, dy)
        return None, None, {"W": dW}


def test_tokens_have_no_gradient_but_the_table_has():
    tokens = np.array([[0, 4], [1, 1], [0, 2]])
    model = mr.Sequential(Table(), mr.GRU(2, 3, rng=0), mr.Last(), mr.Linear(3, 1, rng=0))
    report = mr.gradcheck(model, tokens, lengths=[3, 2])
    assert report.ok, str(report)
    assert "dx" not in {row.name for row in report.rows}
    assert "d0.W" in {row.name for row in report.rows}


def test_whole_numbers_as_ordinary_input_are_differentiated():
    report = mr.gradcheck(mr.Sequential(mr.RNN(2, 3, rng=0)), np.arange(8).reshape(2, 2, 2))
    assert report.ok
    assert "dx" in {row.name for row in report.rows}


def test_the_complex_step_needs_a_step_function():
    with pytest.raises(
        ValueError, match="'complex' needs a step function, and TextbookLSTM has none"
    ):
        mr.gradcheck(TextbookLSTM(2, 3), np.ones((2, 1, 2)), method="complex")


def test_kinks_do_not_make_a_right_gradient_wrong():
    layer = randomised("RNN relu")
    for p in layer.params.values():
        p[...] = np.round(p, 1)
    for seed in range(20):
        x = np.round(np.random.default_rng(seed).normal(size=(3, 2, 2)), 1)
        report = mr.gradcheck(layer, x, rng=seed)
        assert report.ok, str(report)
