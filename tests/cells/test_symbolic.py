"""The written derivatives are those of the equations, exactly, not only at some points.

The functions of the package run on SymPy's symbols instead of numbers, in arrays of objects, and
SymPy differentiates what the forward pass returned. What the backward pass returned must be the
same formula. For the time of a test, tanh and exp are SymPy's, products are NumPy's, and what asks
for the kind of a number accepts symbols. The equations are those that train a network.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
from cases import CELLS, flatten, make, tree
from test_textbook import PLAIN, Textbook

from minirnn import activations, cells, checks
from minirnn.cells import gru, lstm, output_rnn, rnn
from minirnn.engine import products
from minirnn.engine.jit import plain
from minirnn.layers import attention
from minirnn.training import losses, uncertainty

CELL_FILES = [import_module(f"minirnn.cells.{m.name}") for m in iter_modules(cells.__path__)]


class Sigmoid(sp.Function):
    """A name for the logistic function, so that the gates stay short formulas."""

    def fdiff(self, argindex=1):  # the first test proves it
        return self * (1 - self)


class Exp(sp.Function):
    """The exponential function, of which SymPy rearranges nothing by itself."""

    @classmethod
    def eval(cls, a):
        if a.is_zero:
            return sp.Integer(1)
        return 1 / cls(-a) if a.could_extract_minus_sign() else None

    def fdiff(self, argindex=1):
        return self


def elementwise(function, arguments=1):
    return np.frompyfunc(function, arguments, 1)


def zeros(shape, dtype=None):
    return np.zeros(shape, object)


def add_product(start, left, W, out):
    out[...] = start + left @ W


def total(a, **options):
    options.pop("dtype", None)
    return np.sum(a, **options)


NUMPY = SimpleNamespace(**vars(np) | {
    "tanh": elementwise(sp.tanh),
    "exp": elementwise(lambda a: Exp(sp.sympify(a))),
    "log": elementwise(sp.log),
    "logaddexp": elementwise(lambda a, b: sp.log(Exp(sp.sympify(a)) + Exp(b)), 2),
    "empty": zeros,
    "sum": total,
})  # fmt: skip
SYMBOLIC = {
    "np": NUMPY,
    "tanh": NUMPY.tanh,
    "exp": NUMPY.exp,
    "sigmoid": elementwise(Sigmoid),
    "add_product": add_product,
    "panels": lambda W: W,
    "for_kernels": np.array,
    "empty": zeros,
    "largest_of": lambda row, scratch: row[0],  # for a softmax any number will do
    "masked_softmax": lambda e, _: NUMPY.exp(e) / np.sum(NUMPY.exp(e), axis=-1, keepdims=True),
}


@pytest.fixture(autouse=True)
def symbols_for_numbers(monkeypatch):
    """Kernels as plain Python, functions that take symbols, and checks that let them pass."""
    for module in (*CELL_FILES, products, attention, losses, uncertainty):
        for name, value in list(vars(module).items()):
            replaced = SYMBOLIC.get(name, plain(value) if callable(value) else value)
            if replaced is not value:
                monkeypatch.setattr(module, name, replaced)
    monkeypatch.setattr(rnn, "drelu", lambda h: activations.drelu(np.atleast_1d(h)).item())
    monkeypatch.setattr(activations, "np", NUMPY)
    monkeypatch.setattr(losses, "sigmoid", activations.sigmoid)  # its formula
    for module in (losses, uncertainty):
        monkeypatch.setattr(module, "float", lambda number: number, raising=False)
    monkeypatch.setattr(checks, "numbers", lambda value, *rest: np.asarray(value))
    monkeypatch.setattr(checks, "floats", lambda value, *rest: np.asarray(value))


def symbols(name, shape=(1,), **assumptions):
    """An array of symbols; one number is positive or negative if the assumptions say so."""
    a = np.empty(shape, object)
    for index in np.ndindex(shape):
        a[index] = sp.Symbol(name + "_".join(map(str, index)), real=True, **assumptions)
    return a


def assert_derivatives(outputs, d_outputs, inputs, written):
    """Whether ``written`` are the derivatives of sum(outputs * d_outputs) by the inputs."""
    pairs = zip(flatten(outputs), flatten(d_outputs), strict=True)
    loss = sum(np.sum(a * d) for a, d in pairs)
    for v, dv in zip(flatten(inputs), flatten(written), strict=True):
        assert v.shape == dv.shape
        for index in np.ndindex(v.shape):
            assert is_zero(sp.diff(loss, v[index]) - dv[index]), f"d{v[index]} = {dv[index]}"


def is_zero(difference):
    """... as a rational function of the symbols and of the values of sigmoid, tanh and exp."""
    values = difference.atoms(sp.Function)
    named = difference.xreplace({value: sp.Dummy() for value in values})
    if named.has(sp.Float):
        named = sp.nsimplify(named, rational=True)
    named = sp.expand(named)
    return named == 0 or sp.expand(sp.fraction(sp.together(named))[0]) == 0


# ---- The functions of one unit, and their mirrors -----------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_the_derivative_in_terms_of_the_output(name):
    a = symbols("a")
    s = getattr(activations, name)(a)
    assert_derivatives(s, [np.array([1])], a, getattr(activations, "d" + name)(s))


@pytest.mark.parametrize("sign, slope", [("positive", 1), ("negative", 0)])
def test_relu_has_a_slope_on_either_side(sign, slope):
    a, dh = symbols("a", **{sign: True}), symbols("dh")
    h = activations.relu(a)
    assert h.tolist() == (slope * a).tolist()
    assert activations.drelu(h).tolist() == [slope]
    h = rnn.hidden_state(a, True)
    assert_derivatives(h, dh, a, rnn.hidden_state_backward(dh, h, True))


def test_the_unit_of_a_vanilla_network():
    a, dh = symbols("a"), symbols("dh")
    h = rnn.hidden_state(a, False)
    assert_derivatives(h, dh, a, rnn.hidden_state_backward(dh, h, False))


@pytest.mark.parametrize("tanh_in", [True, False])
def test_the_cell_of_an_lstm_unit(tanh_in):
    *a, c_prev, dc = map(symbols, ("a_i", "a_f", "a_g", "c_prev", "dc"))
    i, f, g, c = lstm.cell_state(*a, c_prev, tanh_in)
    written = lstm.cell_state_backward(dc, i, f, g, c_prev, tanh_in)
    assert_derivatives(c, dc, [*a, c_prev], written)


@pytest.mark.parametrize("tanh_out", [True, False])
def test_the_output_of_an_lstm_unit(tanh_out):
    a_o, c, dh, dc = map(symbols, ("a_o", "c", "dh", "dc"))
    o, tanh_c, h = lstm.hidden_state(a_o, c, tanh_out)
    written = lstm.hidden_state_backward(dh, dc, o, tanh_c, tanh_out)
    assert_derivatives([h, c], [dh, dc], [a_o, c], written)


def test_the_unit_of_a_gru():
    a_r, a_z, a_n, h_prev, dh = map(symbols, ("a_r", "a_z", "a_n", "h_prev", "dh"))
    _, z = gru.reset_update(a_r, a_z)
    n, h = gru.hidden_state(a_n, z, h_prev)
    written = gru.hidden_state_backward(dh, z, n, h_prev)
    assert_derivatives(h, dh, [a_z, a_n, h_prev], written)


# ---- Whole layers: every parameter, the input and the state are symbols -------------------------


def on_symbols(layer):
    layer.params = {key: symbols(key, p.shape) for key, p in layer.params.items()}
    layer.dtype = np.dtype(object)
    return layer


def assert_layer(layer, x, state, lengths=None):
    y, final, cache = layer.forward(x, state, lengths)
    dy, dfinal = symbols("dy", y.shape), tree(lambda s: symbols(f"d{s.flat[0]}", s.shape), state)
    dx, dstate, grads = layer.backward(dy, cache, dfinal)
    assert_derivatives([y, final], [dy, dfinal], [x, state, layer.params], [dx, dstate, grads])


def symbols_of_state(layer, B):
    parts = [symbols(name, (B, 1)) for name in layer.state_names]
    return tuple(parts) if len(parts) > 1 else parts[0]


# A step with any state before it and any gradient after it: longer sequences are made of these.
@pytest.mark.parametrize("name", [name for name in CELLS if "relu" not in name])
def test_a_step_of_every_cell(name):
    layer = on_symbols(make(name, 1, 1))
    x, state = symbols("x", (1, 2, 1)), symbols_of_state(layer, 2)
    assert_layer(layer, x, state, lengths=[1, 0])


@pytest.mark.parametrize("name", [name for name in PLAIN if "relu" not in name])
def test_a_step_of_every_cell_of_the_textbook(name):
    layer = on_symbols(make(name, 1, 1))
    assert_layer(Textbook(layer), symbols("x", (1, 1, 1)), symbols_of_state(layer, 1))


@pytest.mark.parametrize("kind", [lambda layer: layer, Textbook], ids=["compiled", "textbook"])
def test_a_step_with_one_unit_above_the_kink_of_relu_and_one_below(kind):
    layer = on_symbols(make("RNN relu", 1, 2))
    for key, p in layer.params.items():
        above, below = symbols(key, p.shape, positive=True), symbols(key, p.shape, negative=True)
        layer.params[key] = np.stack([above[..., 0], below[..., 1]], axis=-1)
    x, state = symbols("x", (1, 1, 1), positive=True), symbols("h", (1, 2), positive=True)
    y, final, cache = kind(layer).forward(x, state)
    assert y[0, 0, 1] == 0
    dy, dfinal = np.array([[[2, 3]]]), np.array([[5, 7]])  # SymPy multiplies no True and False
    dx, dstate, grads = kind(layer).backward(dy, cache, dfinal)
    assert_derivatives([y, final], [dy, dfinal], [x, state, layer.params], [dx, dstate, grads])


@pytest.mark.parametrize("forced", [False, True])
def test_two_steps_of_output_recurrence(forced):
    layer = on_symbols(output_rnn.OutputRNN(1, 1, 1))
    x, u = symbols("x", (2, 1, 1)), symbols("u", (2, 1, 1))
    assert_layer(layer, (x, u) if forced else x, symbols("y", (1, 1)))


@pytest.mark.parametrize("kind", [attention.LuongAttention, attention.BahdanauAttention])
def test_attention_to_a_memory_of_two_steps(kind):
    layer = on_symbols(kind(*(1,) * (3 if "Bahdanau" in kind.__name__ else 2)))
    assert_layer(layer, symbols("q", (1, 1, 1)), symbols("m", (2, 1, 1)))


# ---- Losses -------------------------------------------------------------------------------------


def assert_loss(loss_fn, y, target, mask):
    loss, dy = loss_fn(y, np.array(target), np.array(mask))
    assert_derivatives([np.array([loss])], [np.array([1])], y, dy)


def test_the_squared_error():
    y, target = symbols("y", (3, 2)), symbols("t", (3, 2))
    assert_loss(losses.mse, y, target, [1, 0, 1])


def test_the_density_of_a_normal_distribution():
    y, target = symbols("y", (3, 2)), symbols("t", (3, 1))
    assert_loss(uncertainty.gaussian_nll, y, target, [1, 0, 1])


def test_the_cross_entropy_of_a_softmax():
    assert_loss(losses.softmax_cross_entropy, symbols("a", (3, 3)), [0, 1, 2], [1, 0, 1])


def test_the_cross_entropy_of_a_sigmoid():
    target = [sp.Integer(0), sp.Rational(1, 4), sp.Integer(1), sp.Rational(1, 2)]
    assert_loss(losses.binary_cross_entropy, symbols("a", (4,)), target, [1, 1, 1, 0])
