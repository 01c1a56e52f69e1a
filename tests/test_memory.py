"""Recycled memory: reused when nobody looks at it any more, and never before."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minirnn as mr
from minirnn import _memory

BIG = (1 << 16,)  # 512 kB of float64


@pytest.fixture(autouse=True)
def empty_store(monkeypatch):
    monkeypatch.setattr(_memory, "_store", [])


def test_memory_is_used_again_once_it_is_free():
    a = _memory.empty(BIG, float)
    address = a.ctypes.data
    del a
    assert _memory.empty(BIG, float).ctypes.data == address
    assert _memory.empty((2, 1 << 16), np.float32).ctypes.data == address  # same size


def test_a_view_keeps_its_memory():
    a = _memory.empty((2, *BIG), float)
    a[...] = 1
    views = [a[1:], a.T, a.reshape(-1)[3:9], np.asarray(memoryview(a))]
    del a
    while views:
        view = views.pop()
        _memory.empty((2, *BIG), float)[...] = 2
        assert (view == 1).all()
    del view
    gc.collect()
    assert len(_memory._store) == 2


def test_the_store_is_bounded():
    size = _memory.LARGEST_STORE // 3
    arrays = [_memory.empty((size,), np.uint8) for _ in range(5)]
    del arrays
    assert sum(block.size for block in _memory._store) <= _memory.LARGEST_STORE


def test_small_arrays_are_numpy_s_own():
    assert _memory.empty((3, 4), float).base is None
    assert _memory.empty((3, 4), np.float32).dtype == np.float32


def test_threads_never_share_memory():
    def work(seed):
        for k in range(50):
            a = _memory.empty(BIG, float)
            a[...] = seed * 1000 + k
            b = _memory.empty(BIG, float)
            b[...] = -1
            assert (a == seed * 1000 + k).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_outputs_outlive_their_cache():
    layer = mr.LSTM(2, 64, rng=0)
    x = np.random.default_rng(0).normal(size=(100, 16, 2))
    y, state, _ = layer.forward(x)
    copy = y.copy()
    for k in range(5):
        layer.forward(k + x)
    assert np.array_equal(y, copy)
    assert np.array_equal(y[-1], state[0])
