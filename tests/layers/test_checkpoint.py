"""Gradient checkpointing through time gives what plain BPTT gives."""

import tracemalloc

import numpy as np
import pytest
from cases import flatten

import minirnn as mr
from minirnn.engine import memory as _memory


@pytest.mark.parametrize("every", [1, 4, 7, 20])
def test_the_same_as_without(every):
    rng = np.random.default_rng(0)
    plain = mr.Sequential(mr.LSTM(3, 4, rng=0), mr.GRU(4, 2, rng=1))
    model = mr.Checkpoint(plain, every)
    x, lengths = rng.normal(size=(20, 5, 3)), np.array([20, 0, 7, 8, 13])
    state = [(rng.normal(size=(5, 4)), rng.normal(size=(5, 4))), rng.normal(size=(5, 2))]
    y, final, cache = plain.forward(x, state, lengths)
    y_, (final_,), cache_ = model.forward(x, [state], lengths)
    dy = rng.normal(size=y.shape)
    dfinal = [(np.ones((5, 4)), np.ones((5, 4))), np.ones((5, 2))]
    expected = [y, final, *plain.backward(dy, cache, dfinal)]
    dx, (dstate,), grads = model.backward(dy, cache_, [dfinal])
    found = [y_, final_, dx, dstate, grads]
    assert list(grads) == list(model.params)
    for a, b in zip(flatten(expected), flatten(found), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    dx, _, _ = model.backward(None, cache_, [dfinal])
    np.testing.assert_allclose(dx, plain.backward(None, cache, dfinal)[0], atol=1e-12)


def test_its_memory_is_small():
    """What a training step holds at its peak, beside x, dy, dx and y."""
    x, peaks = np.zeros((20000, 1, 1)), []
    for model in (mr.LSTM(1, 16, rng=0), mr.Checkpoint(mr.LSTM(1, 16, rng=0), every=200)):
        dy = np.ones((20000, 1, 16))
        model.backward(dy[:200], model.forward(x[:200])[2])
        _memory._store.clear()  # what it would take from there is not counted
        tracemalloc.start()
        y, _, cache = model.forward(x)
        del y
        model.backward(dy, cache)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        del cache
    assert peaks[0] > 10 * dy.nbytes > 5 * peaks[1]


def test_dropout_is_the_same_in_both_passes():
    model = mr.Checkpoint(mr.Dropout(0.5), every=3)
    x = np.ones((10, 2, 4))
    y, _, cache = model.forward(x, training=True, rng=0)
    dx, _, _ = model.backward(x, cache)
    assert np.array_equal(y, dx) and 0 < y.mean() < 2


@pytest.mark.parametrize("model", [mr.Last(), mr.Bidirectional(mr.RNN(2, 3), mr.RNN(2, 3))])
def test_what_needs_the_whole_sequence_is_refused(model):
    with pytest.raises(ValueError, match="needs the whole sequence"):
        mr.Checkpoint(model, 4).forward(np.zeros((5, 2, 2)))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="every: expected a whole number"):
        mr.Checkpoint(mr.RNN(1, 2), 0)
    model = mr.Checkpoint(mr.RNN(1, 2), 3)
    with pytest.raises(TypeError, match="cache: expected"):
        model.backward(None, None)
    with pytest.raises(TypeError, match="state: expected a list of 1"):
        model.forward(np.zeros((5, 2, 1)), np.zeros((2, 2)))
