"""The projected LSTM is an LSTM whose recurrent matrix has two factors."""

import numpy as np
import pytest
from cases import point, randomised, same

import minirnn as mr
from minirnn.cells.initializers import chrono


def test_from_zeros_it_is_the_lstm_with_the_product_of_the_two_matrices():
    layer = randomised("ProjectedLSTM", D=2, H=3)
    p = layer.params
    lstm = mr.LSTM(2, layer.hidden_size)
    for name, a in (("W_x", p["W_x"]), ("W_h", p["W_r"] @ p["W_h"]), ("b", p["b"])):
        lstm.params[name][...] = a
    x, _, dy, _ = point(layer)
    for lengths in (None, [4, 0, 2]):
        y, (h, c), cache = layer.forward(x, lengths=lengths)
        m, (m_last, c_last), lstm_cache = lstm.forward(x, lengths=lengths)
        same((y, h, c), (m @ p["W_r"], m_last @ p["W_r"], c_last))
        dx, _, grads = layer.backward(dy, cache)
        dx_lstm, _, of_lstm = lstm.backward(dy @ p["W_r"].T, lstm_cache)
        same((dx, grads["W_x"], grads["b"]), (dx_lstm, of_lstm["W_x"], of_lstm["b"]), 1e-12)
        same(grads["W_h"], p["W_r"].T @ of_lstm["W_h"], 1e-12)


def test_it_has_fewer_recurrent_weights():
    def size(layer):
        return sum(layer.params[name].size for name in ("W_h", "W_r") if name in layer.params)

    assert size(mr.ProjectedLSTM(10, 64, 16)) == 16 * 4 * 64 + 64 * 16
    assert size(mr.LSTM(10, 64)) == 64 * 4 * 64


def test_its_forget_gate_can_be_set_for_a_memory():
    layer = mr.ProjectedLSTM(2, 4, 3, forget_bias=2.0)
    assert layer.params["b"].tolist() == 4 * [0] + 4 * [2] + 8 * [0]
    chrono(layer, 50, 0)
    assert (layer.params["b"][4:8] > 0).all()


def test_its_arrays_of_two_sizes_are_kept_apart():
    layer, x = mr.ProjectedLSTM(2, 4, 3, rng=0), np.ones((2, 1, 2))
    h, c = np.ones((1, 3)), np.ones((1, 4))
    y, (h_last, c_last), cache = layer.forward(x, (h, c))
    assert y.shape == (2, 1, 3) and h_last.shape == h.shape and c_last.shape == c.shape
    for call in (layer.forward, lambda x, s: layer.step(x[0], s)):
        with pytest.raises(ValueError, match=r"state h: expected shape \(1, 3\), got \(1, 4\)"):
            call(x, (c, c))
        with pytest.raises(TypeError, match=r"state: expected a pair \(h, c\) of arrays \(B, 3\)"):
            call(x, h)
    with pytest.raises(ValueError, match=r"dstate c: expected shape \(1, 4\), got \(1, 3\)"):
        layer.backward(y, cache, (h, h))
    other = mr.ProjectedLSTM(2, 5, 3)
    words = r"cache: made by a layer ProjectedLSTM\(2, 4, 3\), given to one ProjectedLSTM\(2, 5"
    with pytest.raises(ValueError, match=words):
        other.backward(y, cache)
    for P in (4, 5):
        with pytest.raises(ValueError, match=f"proj_size: expected less than .*, 4, got {P}"):
            mr.ProjectedLSTM(2, 4, P)
    with pytest.raises(ValueError, match="read-only"):
        layer.step(x[0])[0][...] = 0
