"""The three cells in plain NumPy are right, and the compiled ones are held to them."""

import ast
from pathlib import Path

import numpy as np
import pytest
from cases import CELLS, point, randomised, same
from hypothesis import given
from hypothesis import strategies as st

import minirnn as mr
from minirnn.cells import textbook

shapes = st.tuples(*(st.integers(1, 6) for _ in range(4)))
PLAIN = [name for name in CELLS if name in ("RNN", "RNN relu", "LSTM", "GRU after", "GRU before")]
TOLERANCE = 1e-12  # of the largest number in an array


class Textbook:
    """The plain cell of the same kind as a layer, with the layer's own parameters."""

    def __init__(self, layer):
        kind = type(layer).__name__.lower()
        self.params = layer.params
        self.state_names, self.hidden_size = layer.state_names, layer.hidden_size
        self.options = {"relu": True} if getattr(layer, "nonlinearity", "") == "relu" else {}
        self.run = getattr(textbook, f"{kind}_forward"), getattr(textbook, f"{kind}_backward")

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        return self.run[0](self.params, x, state, **self.options)

    def backward(self, dy, cache, dstate=None):
        return self.run[1](self.params, dy, dstate, cache, **self.options)


def close(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= TOLERANCE * np.abs(b).max()


def arrays(y, state, dx, dstate, grads):
    pairs = [*state, *dstate] if isinstance(state, tuple) else [state, dstate]
    return [y, *pairs, dx, *(grads[name] for name in sorted(grads))]


def test_all_three_cells_with_both_resets_are_compared():
    assert len(PLAIN) == 5


@pytest.mark.parametrize("name", PLAIN)
@given(shape=shapes, seed=st.integers(0, 10**6))
def test_the_compiled_cell_computes_what_the_textbook_says(name, shape, seed):
    T, B, D, H = shape
    layer = randomised(name, seed, D, H)
    x, state, dy, dstate = point(layer, T, B, D, seed)
    results = []
    for one in (layer, Textbook(layer)):
        y, final, cache = one.forward(x, state)
        results.append(arrays(y, final, *one.backward(dy, cache, dstate)))
    close(*results)


@pytest.mark.parametrize("name", PLAIN)
def test_the_textbook_passes_the_gradient_check(name):
    layer = randomised(name)
    x, state, _, _ = point(layer)
    report = mr.gradcheck(Textbook(layer), x, state)
    assert report.ok, str(report)
    assert len(report.rows) == 1 + len(layer.state_names) + len(layer.params)


@pytest.mark.parametrize("name", PLAIN)
def test_the_textbook_agrees_with_the_complex_step(name):
    """... which needs no differences: Im f(v + ih) / h, for each entry of x and W_h."""
    layer, h = Textbook(randomised(name)), 1e-30
    x, state, dy, dstate = point(randomised(name))

    def loss(x, params):
        y, final, _ = layer.run[0](params, x, state, **layer.options)
        finals = final if isinstance(final, tuple) else [final]
        gradients = dstate if isinstance(dstate, tuple) else [dstate]
        return np.sum(y * dy) + sum(np.sum(a * b) for a, b in zip(finals, gradients, strict=True))

    _, _, steps = layer.forward(x, state)
    dx, _, grads = layer.backward(dy, steps, dstate)
    for written, moved in ((dx, "x"), (grads["W_h"], "W_h")):
        measured = np.zeros_like(written)
        for index in np.ndindex(written.shape):
            x_moved = x + 0j
            params = {name: p + 0j for name, p in layer.params.items()}
            (x_moved if moved == "x" else params["W_h"])[index] += 1j * h
            measured[index] = loss(x_moved, params).imag / h
        same(written, measured, 1e-12)


def test_a_step_worked_out_by_hand():
    """One unit, one input: numbers that a pocket calculator gives."""
    one = {name: np.full((1, 4), 0.5) for name in ("W_x", "W_h")} | {"b": np.array([0, 1, 0, 0.0])}
    step = textbook.lstm_step(one, np.array([[2.0]]), np.array([[1.0]]), np.array([[0.4]]))
    a = 0.5 * 2 + 0.5 * 1
    i = o = 1 / (1 + np.exp(-a))
    f, g = 1 / (1 + np.exp(-a - 1)), np.tanh(a)
    np.testing.assert_allclose(step.c, f * 0.4 + i * g, rtol=1e-15)
    np.testing.assert_allclose(step.h, o * np.tanh(step.c), rtol=1e-15)
    assert (i, f, g) == pytest.approx((0.8175745, 0.9241418, 0.9051483))
    assert step.c == pytest.approx(1.1096831)


def test_the_textbook_is_short_and_needs_numpy_alone():
    text = Path(textbook.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 220
    imports = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)]
    froms = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    assert [alias.name for node in imports for alias in node.names] == ["numpy"]
    assert [node.module for node in froms] == ["collections"]  # namedtuple
