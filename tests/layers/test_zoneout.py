"""Zoneout: units that keep their state by chance, whatever the cell is."""

import numpy as np
import pytest
from cases import flatten, same
from test_protocol import MyCell

import minirnn as mr
from minirnn.cells.initializers import chrono
from minirnn.protocol import map_tree

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3, 2))
CELLS = {
    "RNN": (mr.RNN(2, 4, rng=0), 0.4),
    "LSTM": (mr.LSTM(2, 4, peephole=True, rng=0), (0.05, 0.5)),
    "GRU": (mr.GRU(2, 4, "before", rng=0), 0.1),
    "ProjectedLSTM": (mr.ProjectedLSTM(2, 5, 4, rng=0), (0.3, 0.6)),
    "LSTMVariant": (mr.LSTMVariant(2, 4, "CIFG", rng=0), 0.2),
    "OutputRNN": (mr.OutputRNN(2, 5, 4, rng=0), 0.3),
    "MyCell": (MyCell(2, 4, rng=0), 0.5),
}


def layer_of(name):
    return mr.Zoneout(*CELLS[name])


@pytest.mark.parametrize("name", CELLS)
def test_in_use_each_unit_takes_the_mean(name):
    cell, p = CELLS[name]
    y, final, _ = layer_of(name).forward(X)
    state = cell.zero_state(3)
    for t in range(len(X)):
        _, new, _ = cell.forward(X[t : t + 1], state)
        each = p if isinstance(p, tuple) else [p] * len(flatten(new))
        arrays = zip(each, flatten(state), flatten(new), strict=True)
        mixed = iter([q * o + (1 - q) * n for q, o, n in arrays])
        state = map_tree(lambda _: next(mixed), state)
        same(y[t], flatten(state)[0])
    same(final, state)


@pytest.mark.parametrize("name", CELLS)
def test_while_training_each_unit_keeps_its_state_or_takes_the_new_one(name):
    cell, p = CELLS[name]
    layer = layer_of(name)
    state = map_tree(lambda a: RNG.normal(size=(300, a.shape[1])), cell.zero_state(1))
    x = RNG.normal(size=(1, 300, 2))
    _, final, _ = layer.forward(x, state, training=True, rng=0)
    _, new, _ = cell.forward(x, state)
    each = p if isinstance(p, tuple) else [p] * len(flatten(new))
    for q, old, made, found in zip(each, *map(flatten, (state, new, final)), strict=True):
        kept = found == old
        assert np.array_equal(found, np.where(kept, old, made))
        assert np.mean(kept) == pytest.approx(q, abs=0.06)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("training", [False, True])
def test_gradients(name, training):
    layer, x = layer_of(name), X[:3, :2]
    report = mr.gradcheck(layer, x, lengths=[3, 1], training=training)
    assert report.ok, report
    report = mr.gradcheck(layer, X, lengths=[5, 0, 2], training=training, method="directional")
    assert report.ok, report
    assert training or mr.gradcheck(layer, x, method="complex").ok


@pytest.mark.parametrize("name", CELLS)
def test_never_and_always(name):
    cell = CELLS[name][0]
    never, always = mr.Zoneout(cell, 0), mr.Zoneout(cell, 1)
    state = map_tree(lambda a: RNG.normal(size=(3, a.shape[1])), cell.zero_state(1))
    for training in (False, True):
        expected = cell.forward(X, state, [5, 0, 2])[:2]
        same(never.forward(X, state, [5, 0, 2], training)[:2], expected)
        y, final, cache = always.forward(X, state, training=training)
        same((y, final), (np.broadcast_to(flatten(state)[0], y.shape), state), 0)
        dx, dstate, grads = always.backward(None, cache, state)
        assert not dx.any() and not any(g.any() for g in grads.values())
        same(dstate, state, 0)


@pytest.mark.parametrize("rng", [None, 0])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: mr.Checkpoint(m, 2), mr.LearnedState])
def test_two_backward_passes_of_one_cache_are_equal(wrap, rng):
    model = wrap(layer_of("GRU"))
    y, _, cache = model.forward(X, training=True, rng=rng)
    same(model.backward(y, cache), model.backward(y, cache), 0)
    report = mr.gradcheck(model, X, training=True, method="directional")
    assert report.ok, report


def test_each_step_draws_anew_and_the_seed_says_all():
    layer = mr.Zoneout(mr.RNN(2, 50, rng=0), 0.5)
    y, _, cache = layer.forward(X, training=True, rng=3)
    assert np.array_equal(y, layer.forward(X, training=True, rng=3)[0])
    assert len({kept[0].tobytes() for kept in cache.kept}) == len(X)


def test_it_stands_wherever_its_cell_may():
    layer = layer_of("LSTM")
    cell = layer.cell
    assert list(layer.params) == list(cell.params) and layer.state_names == ("h", "c")
    seen = mr.trace(layer, X, mr.mse, RNG.normal(size=(5, 3, 4)))
    same(seen["h"], layer.forward(X)[0])
    assert {"i", "f", "g", "o", "dc", "da_i"} <= seen.keys()
    _, of_cell, _ = cell.forward(X)
    assert layer.forward(X, of_cell)[0].shape == (5, 3, 4)
    model = mr.Seq2Seq(layer, mr.Embedding(5, 2, rng=0), layer_of("LSTM"), mr.Linear(4, 5, rng=1))
    assert mr.decode(model, X, 0, 1, 3).tokens.shape[1] == 3
    chrono(mr.Zoneout(mr.GRU(2, 4), 0.1), 20)


REFUSED = {
    "no recurrence": (
        lambda: mr.Zoneout(mr.Linear(2, 3), 0.1),
        TypeError, "cell: Linear has no state_names, which Zoneout needs",
    ),
    "a model": (
        lambda: mr.Zoneout(mr.Sequential(mr.GRU(2, 3)), 0.1),
        TypeError, "cell: Sequential has no state_names, which Zoneout needs",
    ),
    "a mask": (
        lambda: mr.Zoneout(mr.Dropout(0.5, True), 0.1),
        TypeError, "cell: .*Dropout has no zero_state, which Zoneout needs",
    ),
    "attention": (
        lambda: mr.Zoneout(mr.LuongAttention(2, 3), 0.1), TypeError, "cell: LuongAttention has no",
    ),
    "no layer": (
        lambda: mr.Zoneout("GRU", 0.1), TypeError, "cell: expected a layer, with forward and",
    ),
    "a probability above 1": (
        lambda: mr.Zoneout(mr.GRU(2, 3), 1.5), ValueError, "p: expected a finite number in",
    ),
    "two probabilities for one array": (
        lambda: mr.Zoneout(mr.GRU(2, 3), (0.1, 0.2)),
        ValueError, r"p: expected one number, or one for each of \(h,\), got \(0.1, 0.2\)",
    ),
    "a text": (lambda: mr.Zoneout(mr.GRU(2, 3), "0.1"), TypeError, "p: expected a number"),
    "a pair of inputs": (
        lambda: layer_of("OutputRNN").forward((X, X)), TypeError, "x: expected one array, got a t",
    ),
    "a state of another size": (
        lambda: layer_of("GRU").forward(X, np.ones((3, 5))),
        ValueError, r"state: expected shape \(3, 4\), got \(3, 5\)",
    ),
    "a gradient too few": (
        lambda: layer_of("LSTM").backward(None, layer_of("LSTM").forward(X)[2], np.ones((3, 4))),
        TypeError, r"dstate: expected gradients of \(h, c\), got 1 of them",
    ),
    "a cache of another cell": (
        lambda: layer_of("LSTM").backward(None, layer_of("GRU").forward(X)[2]),
        (TypeError, ValueError), "cache: ",
    ),
    "a step without one": (
        lambda: mr.Zoneout(Stepless(2, 4, rng=0), 0.1).step(X[0]),
        TypeError, "cell: Stepless has no step, which Zoneout.step needs",
    ),
}  # fmt: skip


class Stepless(MyCell):
    step = None


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_by_name(name):
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call()
