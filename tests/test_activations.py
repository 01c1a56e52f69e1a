"""tanh, sigmoid and relu inside a kernel: as exact as the C library's, and honest about NaN."""

import numba
import numpy as np
import pytest

from minirnn import activations
from minirnn.activations import dsigmoid, dtanh, exp, relu, sigmoid, tanh
from minirnn.engine.jit import jit


@jit
def kernel(out, a):
    for k in range(a.size):
        out[0, k] = tanh(a[k])
        out[1, k] = sigmoid(a[k])
        out[2, k] = relu(a[k])
        out[3, k] = dtanh(out[0, k])
        out[4, k] = dsigmoid(out[1, k])
        out[5, k] = exp(-abs(a[k]))
        out[6, k] = exp(a[k])


def run(a):
    out = np.empty((7, a.size), a.dtype)
    with np.errstate(
        over="ignore"
    ):  # as plain Python, exp is NumPy's, which warns; compiled, none do
        kernel(out, a)
    return out


def points(dtype):
    rng = np.random.default_rng(0)
    scales = [1e-30, 1e-8, 1e-4, 1e-2, 0.1, 0.5, 1, 3, 10, 30]
    return np.concatenate([s * rng.normal(size=2000) for s in scales]).astype(dtype)


def ulps(value, exact):
    """The error in units of the last place of the exact value."""
    exact_here = np.abs(exact).astype(value.dtype)
    return np.abs(value - exact).astype(np.float64) / np.spacing(exact_here)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_are_right_to_a_few_units_in_the_last_place(dtype):
    a = points(dtype)
    wide = a.astype(np.longdouble)
    s = 1 / (1 + np.exp(-wide))
    out = run(a)
    assert ulps(out[0], np.tanh(wide)).max() < 4
    normal = s > np.finfo(dtype).tiny
    assert ulps(out[1], s)[normal].max() < 4
    assert np.array_equal(out[2], np.maximum(a, 0))
    e = np.exp(-np.abs(wide))
    normal = e > np.finfo(dtype).tiny
    assert ulps(out[5], e)[normal].max() < 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanh_of_a_tiny_number_is_that_number(dtype):
    tiny = np.finfo(dtype).tiny
    a = np.array([tiny, -tiny, 1e4 * tiny, 1e-12, -1e-12, 0.0], dtype)
    np.testing.assert_allclose(run(a)[0], a, rtol=1e-7 if dtype == "float32" else 1e-15, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_ends_are_exact_and_nan_stays_nan(dtype):
    a = np.array([np.inf, 1e30, -np.inf, -1e30, np.nan], dtype)
    out = run(a)
    assert out[0, :4].tolist() == [1, 1, -1, -1]
    assert out[1, :4].tolist() == [1, 1, 0, 0]
    assert out[2, :4].tolist() == [np.inf, a[1], 0, 0]
    assert out[5, :4].tolist() == [0, 0, 0, 0]
    assert out[6, :4].tolist() == [np.inf, np.inf, 0, 0]
    assert np.isnan(out[:, 4]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_next_to_the_ends_nothing_jumps(dtype):
    largest = np.log(np.finfo(dtype).max)
    a = np.linspace(-1.1 * largest, 1.1 * largest, 20_001).astype(dtype)
    tanh_, sigmoid_, _, _, _, _, exp_ = run(a)
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    for value, exact in ((sigmoid_, sigmoid(a.astype(np.longdouble))),
                         (exp_, np.exp(a.astype(np.longdouble)))):  # fmt: skip
        inside = (exact > tiny) & (exact < huge / 2)
        assert ulps(value[inside], exact[inside]).max() < 4
        assert (np.abs(value[exact <= tiny]) <= tiny).all()
        assert (value[exact > huge] == np.inf).all()
        assert (np.diff(value[np.isfinite(value)]) >= 0).all()
    assert (tanh_ == np.sign(a))[np.abs(a) > 20].all()


def test_values_rise_with_their_argument_where_range_reduction_changes():
    a = np.arange(-40, 40) * np.log(2) / 2
    a = np.sort(np.concatenate([a, np.nextafter(a, 9), np.nextafter(a, -9)]))
    out = run(a)
    for row in out[:2]:
        assert (np.diff(row) > -3 * np.spacing(np.abs(row[1:]))).all()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy's take any number")
@pytest.mark.parametrize("a", [3, True, 1j])
def test_in_a_kernel_what_is_not_a_float_is_refused(a):
    with pytest.raises(numba.errors.TypingError, match="of a float only"):
        jit(lambda a: tanh(a))(a)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_plain_functions_agree_without_a_warning(dtype):
    a = np.concatenate([points(dtype), np.array([1e30, -1e30, np.inf, -np.inf, 0], dtype)])
    tol = 1e-6 if dtype == "float32" else 1e-15
    for row, function in zip(run(a), (tanh, sigmoid, relu), strict=False):
        plain = function(a)
        assert plain.dtype == dtype
        np.testing.assert_allclose(row, plain, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "relu"])
def test_derivatives_in_terms_of_the_output_equal_the_complex_step(name):
    function, derivative = getattr(activations, name), getattr(activations, "d" + name)
    a = np.random.default_rng(0).normal(size=50)
    measured = function(a + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(derivative(function(a)), measured, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_and_its_logarithm_of_huge_numbers_are_right_without_a_warning(dtype):
    largest = np.finfo(dtype).max
    for a, p, log_p in [
        ([1000, 1000, 0], [0.5, 0.5, 0], [-np.log(2), -np.log(2), -1000 - np.log(2)]),
        ([-9e3, -9e3 - 1, -9e4], [0.7310586, 0.2689414, 0], [-0.3132617, -1.3132617, -81000.3125]),
        ([largest, -largest, 0], [1, 0, 0], [0, -np.inf, -largest]),
        ([-np.inf, 2, 2], [0, 0.5, 0.5], [-np.inf, -np.log(2), -np.log(2)]),
    ]:
        a = np.array(a, dtype)
        with np.errstate(over="ignore"):
            p, log_p = np.array(p, dtype), np.array(log_p, dtype)
        found, log_found = activations.softmax(a), activations.log_softmax(a)
        assert found.dtype == log_found.dtype == dtype
        np.testing.assert_allclose(found, p, rtol=1e-6)
        np.testing.assert_allclose(log_found, log_p, rtol=1e-6)
        for dy in np.eye(3, dtype=dtype):
            assert np.isfinite(activations.softmax_backward(dy, found)).all()
            assert np.isfinite(activations.log_softmax_backward(dy, log_found)).all()


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_the_jacobian_of_softmax_equals_the_complex_step(name):
    function, backward = (getattr(activations, name + end) for end in ("", "_backward"))
    a = np.random.default_rng(0).normal(size=(2, 5))
    y = function(a)
    for k in range(5):
        dy = function(a + 1e-30j * np.eye(5)[k]).imag / 1e-30  # of all y by a[:, k]
        for j in range(5):
            da = backward(np.eye(5)[j] * np.ones((2, 1)), y)
            np.testing.assert_allclose(da[:, k], dy[:, j], rtol=1e-13, atol=1e-15)
