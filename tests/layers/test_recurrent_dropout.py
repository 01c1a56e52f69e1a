"""Dropout within a recurrence: where the mask stands, and that it is one for a whole sequence."""

import numpy as np
import pytest
from cases import same

import minirnn as mr
from minirnn.cells import textbook

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 3, 2))
TOKENS = RNG.integers(0, 5, (3, 3))
CELLS = {
    "RNN": lambda: mr.RNN(2, 3, rng=0),
    "RNN relu": lambda: mr.RNN(2, 3, "relu", rng=0),
    "LSTM": lambda: mr.LSTM(2, 3, rng=0),
    "GRU after": lambda: mr.GRU(2, 3, rng=0),
    "GRU before": lambda: mr.GRU(2, 3, "before", rng=0),
}
PLACES = [(name, on) for name in CELLS for on in ("hidden", "candidate")]
PLACES = [place for place in PLACES if "RNN" not in place[0] or place[1] == "hidden"]


def layer_of(name, on="hidden", p=0.5):
    layer = mr.RecurrentDropout(CELLS[name](), p, on)
    for a in layer.params.values():
        a[...] = 0.7 * np.random.default_rng(1).normal(size=a.shape)
    return layer


def by_the_equations(name, on, params, x, mask, h, c):
    """One step: the values of ``textbook.py``, put together by the lines of the papers."""
    u = mask * h if on == "hidden" else h
    k = mask if on == "candidate" else 1
    if name.startswith("RNN"):
        return textbook.rnn_step(params, x, u, name == "RNN relu").h, c
    if name == "LSTM":
        s = textbook.lstm_step(params, x, u, c)
        c = s.f * c + s.i * (k * s.g)
        return s.o * np.tanh(c), c
    s = textbook.gru_step(params, x, u)
    return (1 - s.z) * (k * s.n) + s.z * h, c


@pytest.mark.parametrize("name, on", PLACES)
def test_a_mask_stands_where_the_papers_put_it(name, on):
    layer = layer_of(name, on)
    y, (s, mask), _ = layer.forward(X, training=True, rng=0)
    assert set(np.unique(mask)) == {0, 2}
    h, c, params = np.zeros((3, 3)), np.zeros((3, 3)), layer.cell.params
    for t in range(len(X)):
        h, c = by_the_equations(name, on, params, X[t], mask, h, c)
        same(y[t], h)
    same(s, (h, c) if name == "LSTM" else h)


@pytest.mark.parametrize("name, on", PLACES)
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
def test_with_a_mask_of_ones_it_is_the_cell(name, on, lengths):
    layer, ones = layer_of(name, on), np.ones((3, 3))
    cell = layer.cell
    y, (s, mask), cache = layer.forward(X, [None, ones], lengths, training=True)
    expected, final, cell_cache = cell.forward(X, None, lengths)
    same((y, s, mask), (expected, final, ones))
    dy = RNG.normal(size=y.shape)
    dx, (ds, _), grads = layer.backward(dy, cache)
    dx_cell, ds_cell, of_cell = cell.backward(dy, cell_cache)
    same((dx, ds, list(grads.values())), (dx_cell, ds_cell, list(of_cell.values())))


@pytest.mark.parametrize("name, on", PLACES)
def test_gradients_while_training_that_of_the_mask_too(name, on):
    layer = layer_of(name, on)
    for state, lengths in ((None, [4, 1]), ([None, None], None)):
        report = mr.gradcheck(layer, X[:, :2], state, lengths, training=True)
        assert report.ok, report
        assert ("ddropout.mask0" in {r.name for r in report.rows}) == (state is None)
    assert mr.gradcheck(layer, X[:2], method="complex").ok


@pytest.mark.parametrize("name, on", PLACES)
def test_in_use_it_is_the_cell_to_the_last_bit(name, on):
    layer, mask = layer_of(name, on), np.zeros((3, 3))
    for training, p in ((False, 0.5), (True, 0.0)):
        layer.p = p
        y, (s, handed_on), cache = layer.forward(X, [None, mask], [4, 0, 2], training)
        expected, final, cell_cache = layer.cell.forward(X, None, [4, 0, 2])
        same((y, s, handed_on), (expected, final, mask), 0)
        dx, (_, dmask), grads = layer.backward(y, cache, [None, mask + 3])
        dx_cell, _, of_cell = layer.cell.backward(y, cell_cache)
        same((dx, dmask, list(grads.values())), (dx_cell, mask + 3, list(of_cell.values())), 0)
    y, state = layer.step(X[0])
    same((y, state), (layer.cell.step(X[0])[0], [layer.cell.step(X[0])[1], None]), 0)


@pytest.mark.parametrize("on", ["hidden", "candidate"])
def test_no_memory_is_lost(on):
    """z is 1 to the last bit, so that the GRU keeps what it has. Dropout of h would not."""
    layer, h = mr.RecurrentDropout(mr.GRU(2, 3, rng=0), 0.9, on), RNG.normal(size=(3, 3))
    layer.params["cell.b"][3:6] = 50
    y, (s, mask), _ = layer.forward(X, [h, None], training=True, rng=0)
    assert not mask.all()
    same(y, np.broadcast_to(h, y.shape), 0)


@pytest.mark.parametrize("on", ["hidden", "candidate"])
def test_pieces_of_a_sequence_have_one_mask(on):
    layer = layer_of("LSTM", on)
    y, final, _ = layer.forward(X, training=True, rng=5)
    first, state, _ = layer.forward(X[:2], training=True, rng=5)
    second, last, _ = layer.forward(X[2:], state, training=True)
    same((y, final), (np.concatenate([first, second]), last), 0)
    other, _, _ = layer.forward(X, training=True, rng=6)
    assert not np.allclose(other, y)
    in_pieces = mr.Checkpoint(layer, 2)
    report = mr.gradcheck(in_pieces, X, [None], method="directional", training=True)
    assert report.ok, report


@pytest.mark.parametrize("rng", [None, 0])
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: mr.Checkpoint(m, 2), mr.LearnedState])
def test_two_backward_passes_of_one_cache_are_equal(wrap, rng):
    model = wrap(layer_of("GRU after"))
    y, _, cache = model.forward(X, training=True, rng=rng)
    same(model.backward(y, cache), model.backward(y, cache), 0)


def masks_seen(model, run):
    """The masks of all runs of one layer, each as text."""
    seen, forward = set(), model.parts["dropout"].forward

    def spy(*arguments):
        k, mask, cache = forward(*arguments)
        seen.add(k.tobytes())
        return k, mask, cache

    model.parts["dropout"].forward = spy
    run()
    del model.parts["dropout"].forward
    return seen


@pytest.mark.parametrize("k1, k2", [(1, 1), (2, 3), (1, 4)])
def test_all_windows_of_truncated_bptt_have_one_mask(k1, k2):
    layer, target = layer_of("LSTM"), RNG.normal(size=(4, 3, 3))
    model = mr.Sequential(mr.Linear(2, 2, rng=0), layer)

    def run():
        list(mr.truncated_bptt(model, mr.mse, X, target, k1, k2))

    assert len(masks_seen(layer, run)) == 1


@pytest.mark.parametrize("attention", [None, mr.BahdanauAttention(3, 3, 2, rng=0)])
def test_all_steps_of_a_decoder_have_one_mask_that_is_not_the_encoders(attention):
    encoder, decoder = (
        mr.RecurrentDropout(mr.GRU(D, 3, rng=D), 0.5) for D in (2, 2 if attention is None else 5)
    )
    features = 3 if attention is None else 6
    model = mr.Seq2Seq(
        encoder, mr.Embedding(5, 2, rng=0), decoder, mr.Linear(features, 5, rng=1), attention
    )
    seen = masks_seen(decoder, lambda: model.forward((X, TOKENS), training=True, rng=0))
    assert len(seen) == 1
    assert seen != masks_seen(encoder, lambda: model.forward((X, TOKENS), training=True, rng=0))
    report = mr.gradcheck(model, (X, TOKENS), method="directional", training=True)
    assert report.ok, report


def test_trace_looks_at_the_cell():
    model = mr.Sequential(layer_of("LSTM"))
    seen = mr.trace(model, X, mr.mse, RNG.normal(size=(4, 3, 3)))
    same(seen["0.cell.h"], model.forward(X)[0])
    assert seen["0.cell.i"].shape == seen["0.cell.dc"].shape == (4, 3, 3)


REFUSED = {
    "peepholes": (
        lambda: mr.RecurrentDropout(mr.LSTM(2, 3, peephole=True), 0.5),
        TypeError, "cell: expected RNN, LSTM without peepholes or GRU, got LSTM.*peephole=True",
    ),
    "another layer": (
        lambda: mr.RecurrentDropout(mr.Sequential(mr.GRU(2, 3)), 0.5),
        TypeError, "cell: expected RNN, LSTM without peepholes or GRU, got Sequential",
    ),
    "no layer": (
        lambda: mr.RecurrentDropout("LSTM", 0.5), TypeError, "layer cell: expected one with for",
    ),
    "a probability of 1": (
        lambda: mr.RecurrentDropout(mr.GRU(2, 3), 1), ValueError, "p: expected a finite number in",
    ),
    "another place": (
        lambda: mr.RecurrentDropout(mr.GRU(2, 3), 0.5, "cell"),
        ValueError, "on: expected 'hidden' or 'candidate', got 'cell'",
    ),
    "the candidate of an RNN": (
        lambda: mr.RecurrentDropout(mr.RNN(2, 3), 0.5, "candidate"),
        ValueError, "on: expected 'hidden' for an RNN, which has no candidate, got 'candidate'",
    ),
    "a mask of another batch": (
        lambda: layer_of("GRU after").forward(X, [None, np.ones((2, 3))], training=True),
        ValueError, r"layer dropout, .*: state: expected shape \(3, 3\), got \(2, 3\)",
    ),
    "a state of another size": (
        lambda: layer_of("GRU after").forward(X, [np.ones((3, 5)), None], training=True),
        ValueError, r"layer cell, GRU\(2, 3\): state: expected shape \(3, 3\), got \(3, 5\)",
    ),
    "the state of the cell": (
        lambda: layer_of("GRU after").forward(X, np.ones((3, 3))),
        TypeError, "state: expected a list of 2, one entry a layer, got array",
    ),
    "the state of an LSTM": (
        lambda: layer_of("GRU after").forward(X, (np.ones((3, 3)), np.ones((3, 3)))),
        TypeError, r"state: expected a list \[of the cell, mask\], got a tuple",
    ),
    "the cache of another": (
        lambda: layer_of("GRU after").backward(None, layer_of("GRU before").forward(X)[2]),
        ValueError, r"cache: made by a layer with GRU\(2, 3, reset='before'\), given to one with",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_by_name(name):
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call()


def test_a_probability_that_is_changed_counts_from_the_next_call():
    layer = layer_of("GRU after")
    layer.p -= 0.3
    assert layer.p == pytest.approx(0.2) and "0.2" in repr(layer)
    _, (_, mask), _ = layer.forward(np.ones((1, 200, 2)), training=True, rng=0)
    assert np.mean(mask == 0) == pytest.approx(0.2, abs=0.05)
    with pytest.raises(ValueError, match="p: expected a finite number in"):
        layer.p = -0.1
