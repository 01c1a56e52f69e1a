"""The products within the kernels against NumPy's."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from minirnn.engine import tile
from minirnn.engine.jit import jit
from minirnn.engine.memory import for_kernels
from minirnn.engine.products import (
    AT_ONCE,
    FEW_ROWS,
    add_product,
    panels,
    product_of_step,
    times,
    weight_gradients,
)

SHAPES = [(1, 1, 1), (3, 5, 7), (8, 4, 32), (9, 16, 31), (65, 130, 33), (20, 3, 200), (1, 40, 64),
          (10, 700, 40), (1, 3, 40), (1, 7, 100), (1, 300, 200), (2, 6, 40), (4, 8, 32),
          (5, 9, 64), (14, 258, 50)]  # fmt: skip


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-4), ("float64", 1e-12)])
@pytest.mark.parametrize("M, K, N", SHAPES)
def test_add_product(M, K, N, dtype, tolerance):
    rng = np.random.default_rng(0)
    start, a, W = (rng.normal(size=s).astype(dtype) for s in ((M, N), (M, K), (K, N)))
    expected = start.astype(np.float64) + a.astype(np.float64) @ W.astype(np.float64)
    whole = np.full((M, N + 3), np.nan, dtype)
    for factor in (W, np.asfortranarray(W)):
        add_product(start, a, panels(factor), whole[:, :N])
        np.testing.assert_allclose(whole[:, :N], expected, atol=tolerance)
        assert np.isnan(whole[:, N:]).all()
    add_product(start[:1], a, panels(W), whole[:, :N])  # one row for all
    np.testing.assert_allclose(whole[:, :N] - start[:1], expected - start, atol=2 * tolerance)
    assert np.isnan(whole[:, N:]).all()
    add_product(start, a, panels(W), start)  # in place
    np.testing.assert_allclose(start, expected, atol=tolerance)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="not of the uncompiled products")
def test_a_row_has_the_same_bits_in_any_batch():
    rng = np.random.default_rng(0)
    a, W, out = rng.normal(size=(70, 50)), panels(rng.normal(size=(50, 200))), np.zeros((70, 200))
    add_product(np.zeros_like(out), a, W, out)
    for rows in (slice(0, 1), slice(3, 10), slice(1, 70), slice(69, 70)):
        part = np.zeros_like(out[rows])
        add_product(part, a[rows], W, part)
        assert np.array_equal(part, out[rows])


@jit
def loop_over_steps(first, last, backwards, start, left, W, out):
    T = len(left)
    for n in range(T):
        product_of_step(T - 1 - n if backwards else n, first, last, start, left, W, out)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="not of the uncompiled products")
@pytest.mark.parametrize("T", [1, AT_ONCE, AT_ONCE + 5])
@pytest.mark.parametrize("backwards", [False, True])
def test_steps_multiplied_at_once_have_the_same_bits(T, backwards):
    rng, B = np.random.default_rng(0), FEW_ROWS + 2
    x, start, W = rng.normal(size=(T, B, 7)), rng.normal(size=(1, 50)), rng.normal(size=(7, 50))
    expected = np.empty((T, B, 50))
    for t in range(T):
        add_product(start, x[t], panels(W), expected[t])
    for first, last in ((0, 1), (2, 2 + FEW_ROWS), (1, B), (0, B)):
        out = np.full((T + 3, B, 50), np.nan)  # it may be longer than x
        loop_over_steps(first, last, backwards, start, x, panels(W), out)
        assert np.array_equal(out[:T, first:last], expected[:, first:last])
        out[:T, first:last] = np.nan
        assert np.isnan(out).all()


def test_what_is_not_finite_stays_in_its_row_and_column():
    a, W, out = np.ones((10, 5)), np.ones((5, 40)), np.zeros((10, 40))
    a[3, 2], W[1, 35] = np.nan, np.inf
    add_product(out, a, panels(W), out)
    expected = np.full((10, 40), 5.0)
    expected[:, 35], expected[3] = np.inf, np.nan
    assert np.array_equal(out, expected, equal_nan=True)


@pytest.mark.parametrize("a, W, out", [
    ((4, 5), (6, 8), (4, 8)), ((3, 5), (5, 8), (4, 8)), ((4, 5), (5, 8), (4, 80)),
    ((4, 5), (5, 80), (4, 8)), ((4, 0), (0, 8), (4, 8)),
])  # fmt: skip
def test_sizes_that_do_not_fit(a, W, out):
    out = np.zeros(out)
    with pytest.raises(ValueError, match="do not fit"):
        add_product(out, np.ones(a), panels(np.ones(W)), out)


@pytest.mark.parametrize("start", [(2, 8), (5, 8), (1, 7), (4, 7)])
def test_sizes_of_a_start_that_do_not_fit(start):
    with pytest.raises(ValueError, match="do not fit"):
        add_product(np.zeros(start), np.ones((4, 5)), panels(np.ones((5, 8))), np.zeros((4, 8)))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="not of the uncompiled products")
def test_numbers_of_several_kinds_do_not_fit():
    out, a, W = np.zeros((9, 8)), np.ones((9, 5), np.float32), panels(np.ones((5, 8)))
    with pytest.raises(numba.errors.TypingError, match="several kinds"):
        add_product(out, a, W, out)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="not of the uncompiled products")
def test_products_of_whole_numbers_are_refused():
    out, a, W = np.zeros((9, 8), int), np.ones((9, 5), int), panels(np.ones((5, 8), int))
    with pytest.raises(numba.errors.TypingError, match="expected float32 or float64"):
        add_product(out, a, W, out)


def test_panels_that_do_not_lie_in_rows():
    out, a, W = np.zeros((9, 4)), np.ones((9, 5)), panels(np.ones((10, 4)))
    for part in (np.asfortranarray(W[:, :5]), W[:, ::2], W[:, :5, :4], np.ones((1, 5, 4))):
        with pytest.raises(ValueError, match="side by side"):
            add_product(out, a, part, out)


def test_left_factors_that_do_not_lie_in_rows():
    out, a, W = np.zeros((9, 8)), np.ones((9, 5)), panels(np.ones((5, 8)))
    with pytest.raises(ValueError, match="side by side"):
        add_product(out, np.asfortranarray(a), W, out)
    add_product(out[:, :1], np.ones((1, 9)).T, panels(np.ones((1, 1))), out[:, :1])
    assert (out[:, 0] == 1).all()  # a single one does, whatever its strides


def test_a_single_column_lies_in_rows_whatever_its_strides():
    out = np.zeros((1, 9)).T  # NumPy calls this contiguous
    add_product(out, np.ones((9, 5)), panels(np.ones((5, 1))), out)
    assert (out == 5).all()


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="of machine code kept on disk")
def test_code_kept_for_one_processor_is_not_used_for_another(tmp_path):
    """Vectors are as wide as those of the processor that Numba compiles for, not of this one."""
    program = """
import numpy as np
from minirnn.engine import tile
from minirnn.engine import products
a, W, out = np.ones((20, 5)), np.ones((5, 70)), np.zeros((20, 70))
products.add_product(out, a, products.panels(W), out)
assert (out == 5).all()
print(tile.VECTOR)
"""
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    for processor, vector in ((plain, 32), ({}, tile.VECTOR)):
        given = os.environ | processor | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_OPT": "0"}
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
        assert done.stdout.strip() == str(vector), done.stderr


def test_a_matrix_that_does_not_lie_in_rows():
    out, a, W = np.zeros((9, 16)), np.ones((9, 5)), panels(np.ones((5, 8)))
    for start, place in ((out[:, :8], out[:, ::2]), (out[:, ::2], out[:, :8])):
        with pytest.raises(ValueError, match="side by side"):
            add_product(start, a, W, place)


def test_weights_for_another_number_of_inputs():
    with pytest.raises(ValueError, match="do not fit"):
        times(np.ones((4, 2, 3)), np.ones((6, 5)))


@pytest.mark.parametrize("K", [1, 200, 2500])  # the last is more than there are rows
def test_products_over_all_steps(K):
    rng = np.random.default_rng(0)
    x, W, b, da = (rng.normal(size=s) for s in ((50, 40, 30), (30, K), K, (50, 40, K)))
    np.testing.assert_allclose(times(x, W), x @ W, atol=1e-12)
    np.testing.assert_allclose(times(x, W, b), x @ W + b, atol=1e-12)
    np.testing.assert_allclose(times(da, W.T, 3), da @ W.T + 3, atol=1e-11)
    expected = x.reshape(-1, 30).T @ da.reshape(-1, K)
    dW, db, again = weight_gradients(da, x, 1, x)
    np.testing.assert_allclose(dW, expected, atol=1e-10)
    np.testing.assert_allclose(again, expected, atol=1e-10)
    np.testing.assert_allclose(db, da.sum(axis=(0, 1)), atol=1e-10)


def test_kernels_see_the_memory_of_a_read_only_array():
    a = np.arange(6.0).reshape(2, 3)
    assert for_kernels(a) is a
    constant = a.copy()
    constant.flags.writeable = False
    view = for_kernels(constant)
    assert np.shares_memory(view, constant)
    assert view.flags.writeable and not constant.flags.writeable
    del constant  # of which the view must keep the memory
    other = [np.full((2, 3), 7.0) for _ in range(100)]
    assert np.array_equal(view, a) and len(other) == 100
    assert for_kernels(np.asfortranarray(a)).flags.c_contiguous
    assert np.array_equal(for_kernels(np.asfortranarray(a)), a)
