"""Seeing inside: states, gates, their gradients, Jacobians, the bias of truncation."""

import numpy as np
import pytest
from cases import CELLS, arrays, point, randomised, same

import minirnn as mr
from minirnn import measure


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, [4, 2, 0]])
def test_trace_shows_what_forward_computes(name, lengths):
    """... and each value under its own name: the states follow from the gates."""
    layer = randomised(name)
    x, state, _, _ = point(layer)
    traced = mr.trace(layer, x, state=state, lengths=lengths)
    assert set(traced) == {*layer.state_names, *layer.cached_gates}
    same(traced["h"], layer.forward(x, state, lengths)[0])
    before = dict(zip(layer.state_names, arrays(state), strict=True))
    for b, n in enumerate(lengths or [4, 4, 4]):
        now = {key: a[:n, b] for key, a in traced.items()}
        last = {key: np.concatenate([s[b : b + 1], now[key][:-1]])[:n] for key, s in before.items()}
        assert not any(a[n:, b].any() for a in traced.values())
        if "c" in now:
            same(now["c"], now["f"] * last["c"] + now["i"] * now["g"])
            same(now["h"], now["o"] * (now["c"] if name == "LSTM NOAF" else np.tanh(now["c"])))
        if "z" in now:
            same(now["h"], (1 - now["z"]) * now["n"] + now["z"] * last["h"])


def test_trace_tells_the_gates_apart():
    """... by their biases, which are all that goes into them here."""
    for layer in (mr.LSTM(1, 1), mr.GRU(1, 1)):
        for name in ("W_x", "W_h"):
            layer.params[name][...] = 0
        layer.params["b"][...] = np.arange(1, 1 + layer.params["b"].size)
        traced = mr.trace(layer, np.ones((2, 1, 1)))
        for bias, gate in enumerate(layer.gates, start=1):
            value = np.tanh(bias) if gate in "gn" else 1 / (1 + np.exp(-bias))
            same(traced[gate], np.full((2, 1, 1), value))


@pytest.mark.parametrize("name", [*CELLS, "GRU LSTM Linear"])
def test_trace_shows_gradients_that_add_up_to_those_of_bptt(name):
    model = randomised(name)
    x, state, target, _ = point(model)
    lengths = [4, 2, 3]
    traced = mr.trace(model, x, mr.mse, target, state, lengths)
    _, grads, _ = mr.bptt(model, mr.mse, x, target, state, lengths)
    layers = {"": (model, x)}
    if name not in CELLS:
        layers = {"0.": (model.parts["0"], x), "1.": (model.parts["1"], traced["0.h"])}
    for place, (layer, layer_x) in layers.items():
        names = [f"da_{gate}" for gate in layer.gates] or ["da"]
        da = np.concatenate([traced[place + n] for n in names], axis=-1)
        same(da.sum(axis=(0, 1)), grads[place + "b"])
        same(np.einsum("tbd,tbk->dk", layer_x, da), grads[place + "W_x"])


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU before"])
def test_dh_is_the_derivative_by_the_hidden_state(name):
    """Differences: push h[t] of one unit, let the rest of the sequence run."""
    layer = randomised(name)
    x, state, target, _ = point(layer, T=5, B=2)
    traced = mr.trace(layer, x, mr.mse, target, state)
    for t, name_ in [(0, "h"), (2, "h"), (4, "h"), (1, "c")]:
        if name_ not in traced:
            continue
        push = np.zeros((2, 3))
        push[1, 2] = 1e-5
        losses = []
        for sign in (1, -1):
            y, s, _ = layer.forward(x[: t + 1], state)
            y = y.copy()
            if name_ == "h":
                y[t] += sign * push
            if name == "LSTM":
                s = (s[0] + sign * push * (name_ == "h"), s[1] + sign * push * (name_ == "c"))
            else:
                s = s + sign * push
            rest = layer.forward(x[t + 1 :], s)[0] if t < 4 else y[:0]
            losses.append(mr.mse(np.concatenate([y, rest]), target)[0])
        measured = (losses[0] - losses[1]) / 2e-5
        assert traced[f"d{name_}"][t, 1, 2] == pytest.approx(measured, rel=1e-6, abs=1e-10)


def test_output_recurrence_is_traced_by_its_outputs():
    layer, x, target = mr.OutputRNN(2, 4, 3, rng=0), np.ones((4, 2, 2)), np.ones((4, 2, 3))
    traced = mr.trace(layer, x, mr.mse, target, lengths=[4, 2])
    assert {name: a.shape[-1] for name, a in traced.items()} == {"y": 3, "dy": 3, "da": 4}
    _, grads, _ = mr.bptt(layer, mr.mse, x, target, lengths=[4, 2])
    same(traced["da"].sum(axis=(0, 1)), grads["b"])
    same(traced["y"], layer.forward(x, lengths=[4, 2])[0])


def test_empty_sequences_have_names_too():
    assert list(mr.trace(mr.LSTM(1, 2), np.ones((3, 1, 1)), lengths=[0])) == list("hcifgo")


def test_trace_needs_a_cache():
    with mr.no_cache(), pytest.raises(TypeError, match="None, as under no_cache"):
        mr.trace(mr.LSTM(1, 2), np.zeros((2, 1, 1)))


@pytest.mark.parametrize("merge", ["concat", "mean"])
def test_trace_goes_into_both_directions_and_into_models_of_models(merge):
    both = mr.Bidirectional(mr.GRU(3, 4, rng=1), mr.LSTM(3, 4, rng=2), merge)
    D = 8 if merge == "concat" else 4
    model = mr.Sequential(mr.Sequential(mr.RNN(2, 3, rng=0), both), mr.GRU(D, 2, rng=3))
    rng, lengths = np.random.default_rng(0), [5, 3]
    x, target = rng.normal(size=(5, 2, 2)), rng.normal(size=(5, 2, 2))
    traced = mr.trace(model, x, mr.mse, target, lengths=lengths)
    y, _, _ = model.parts["0"].forward(x, lengths=lengths)
    h = [traced[f"0.1.{way}.h"] for way in ("forward", "backward")]
    same(y, np.concatenate(h, axis=-1) if merge == "concat" else (h[0] + h[1]) / 2)
    _, grads, _ = mr.bptt(model, mr.mse, x, target, lengths=lengths)
    for prefix in ("0.0.", "0.1.forward.", "0.1.backward.", "1."):
        own = [traced[n].sum(axis=(0, 1)) for n in traced if n.startswith(prefix + "da")]
        same(np.concatenate(own), grads[prefix + "b"])


def test_gradient_norms():
    layer = randomised("LSTM")
    x, state, target, _ = point(layer)
    traced = mr.trace(layer, x, mr.mse, target, state)
    norms = measure.gradient_norms(traced)
    assert norms == pytest.approx([np.linalg.norm(traced["dh"][t]) for t in range(4)])
    with pytest.raises(ValueError, match="name: expected one of"):
        measure.gradient_norms(traced, "dz")


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU after"])
def test_jacobians_are_those_of_the_state(name):
    layer = randomised(name, scale=0.4)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 2))
    found = measure.jacobians(layer, x)
    from minirnn.protocol import zero_state
    from minirnn.training.rtrl import flat, shaped

    states = [zero_state(layer, 1)]
    for t in range(5):
        states.append(layer.forward(x[t : t + 1], states[-1])[1])
    for t in range(6):  # differences
        s = flat(states[t])
        J = np.zeros((s.size, s.size))
        for k in range(s.size):
            ends = []
            for h in (1e-6, -1e-6):
                moved = shaped(s + h * np.eye(s.size)[k], states[t])
                ends.append(flat(layer.forward(x[t:], moved)[1]) if t < 5 else flat(moved))
            J[:, k] = (ends[0] - ends[1]) / 2e-6
        assert found.norms[t] == pytest.approx(np.linalg.norm(J, 2), rel=1e-6)
    assert (found.norms <= found.bounds * (1 + 1e-12)).all()
    assert found.bounds[3] == pytest.approx(found.steps[3] * found.steps[4])
    assert found.norms[5] == found.bounds[5] == 1


def test_the_tanh_rnn_s_steps_are_bounded_by_its_matrix():
    layer = mr.RNN(2, 6, rng=0)
    layer.params["W_h"][...] *= 0.9  # orthogonal times 0.9
    found = measure.jacobians(layer, np.random.default_rng(0).normal(size=(20, 1, 2)))
    assert (found.steps <= 0.9 + 1e-12).all()
    assert 0 < found.norms[0] < 0.9**20


def test_the_bias_of_truncation_falls_to_zero():
    model = randomised("GRU LSTM Linear", scale=0.4)
    x, _, target, _ = point(model, T=8)
    biases = measure.truncation_bias(model, mr.mse, x, target, [1, 2, 4, 8])
    assert biases[0] > biases[1] > biases[2] > 1e-6
    assert biases[3] < 1e-12


def test_saturation_counts_open_and_shut_steps():
    values = np.zeros((12, 1, 2))  # the last two past the end
    values[:10, 0, 0] = [0.05] * 4 + [0.5] * 3 + [0.95] * 3
    values[:10, 0, 1] = 0.5
    shut, open_ = measure.saturation({"f": values}, "f")
    assert shut.tolist() == [0.4, 0] and open_.tolist() == [0.3, 0]
    with pytest.raises(ValueError, match=r"gate: expected one of \['f'\], got 'o'"):
        measure.saturation({"f": values}, "o")


@pytest.mark.parametrize(
    "call, error, words",
    [
        (
            lambda: mr.trace(mr.Linear(2, 3), np.ones((2, 1, 2))),
            TypeError,
            "expected a recurrent layer",
        ),
        (
            lambda: measure.jacobians(mr.RNN(2, 3), np.ones((2, 3, 2))),
            ValueError,
            "a single sequence",
        ),
        (
            lambda: measure.truncation_bias(mr.RNN(2, 3), mr.mse, *np.zeros((2, 3, 1, 2)), 3),
            TypeError,
            "k2s: expected whole numbers, got 3",
        ),
        (
            lambda: measure.truncation_bias(
                mr.RNN(2, 3), mr.mse, np.zeros((3, 1, 2)), np.zeros((3, 1, 3)), [1]
            ),
            ValueError,
            "target: expected one with which the gradient is not zero",
        ),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()
