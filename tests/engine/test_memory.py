"""Reused memory: to its user an array from here is one from np.empty, and nobody else's."""

import gc
import threading

import numpy as np
import pytest

import minirnn as mr
from minirnn.engine import memory as _memory
from minirnn.engine.memory import empty

BIG = (_memory.SMALLEST // 8, 2)  # of float64: twice the smallest size that is kept


@pytest.fixture(autouse=True, scope="module")
def older_objects():
    """The garbage collector need not look at what the other tests have loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """An empty store for each test."""
    gc.collect()
    monkeypatch.setattr(_memory, "_store", [])
    return lambda: _memory._store


def address(a):
    return a.__array_interface__["data"][0]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3), BIG, (2, *BIG)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_array_is_like_one_of_numpy(shape, dtype):
    a = empty(shape, dtype)
    assert a.shape == shape
    assert a.dtype == dtype
    assert a.flags.c_contiguous and a.flags.writeable and a.flags.aligned


def test_what_is_given_back_is_used_again(store):
    a = empty(BIG, np.float64)
    where = address(a)
    del a
    assert len(store()) == 1
    b = empty((2, *BIG[:1]), np.float64)  # another shape of the same number of bytes
    assert address(b) == where
    assert store() == []


def test_memory_of_another_size_is_not_taken(store):
    del_me = empty(BIG, np.float64)
    del del_me
    empty((BIG[0] + 1, 2), np.float64)
    assert len(store()) == 2


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[5],
        lambda a: a[1:, :1].T,
        lambda a: a.reshape(-1)[::-1],
        lambda a: a.view(np.int64)[3:],
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=0)[7],
        lambda a: np.asarray(memoryview(a)),
        lambda a: np.broadcast_to(a[3], (4, 2)),
    ],
)
def test_memory_stays_as_long_as_any_view_of_it(view, store):
    a = empty(BIG, np.float64)
    a[...] = 7
    kept = view(a)
    expected = kept.tobytes()
    del a
    gc.collect()
    assert store() == []
    empty(BIG, np.float64)[...] = -1
    assert kept.tobytes() == expected
    del kept
    gc.collect()
    assert len(store()) == 2


def test_two_arrays_in_use_never_share_memory():
    rng = np.random.default_rng(0)
    held = []
    for k in range(300):
        size = int(rng.integers(1, 4))
        a = empty((size, *BIG), np.float64)
        a[...] = k
        held.append((k, a))
        if len(held) > 5:
            held.pop(int(rng.integers(6)))
        assert all((b == j).all() for j, b in held)


def test_two_arrays_in_use_never_share_memory_in_threads():
    wrong = []

    def work(number):
        held = []
        for k in range(150):
            a = empty(BIG, np.float64)
            a[...] = 1000 * number + k
            held = [*held[-2:], (1000 * number + k, a)]
            if not all((b == value).all() for value, b in held):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_arrays_in_a_cycle_come_back_through_the_garbage_collector(store):
    cycle = [empty(BIG, np.float64)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert len(store()) == 1


def test_the_store_is_bounded(store, monkeypatch):
    monkeypatch.setattr(_memory, "LARGEST_STORE", 3 * (_memory.SMALLEST * 2 + _memory.LINE))
    held = [empty(BIG, np.float64) for _ in range(8)]
    last = address(held[-1])
    while held:
        held.pop(0)
    assert len(store()) == 3
    assert 0 <= last - address(store()[-1]) < _memory.LINE


def test_a_block_too_large_for_the_store_leaves_the_others(store, monkeypatch):
    monkeypatch.setattr(_memory, "LARGEST_STORE", 2 * _memory.SMALLEST)
    a, b = empty((_memory.SMALLEST,), np.uint8), empty((3 * _memory.SMALLEST,), np.uint8)
    del a
    assert len(store()) == 1
    del b
    assert len(store()) == 1


def test_outputs_outlive_what_they_share_memory_with():
    """y and the state are views of the cache: a later call must not write into them."""
    layer = mr.LSTM(2, 64, rng=0)
    x = np.random.default_rng(0).normal(size=(40, 32, 2))
    y, (h, c), cache = layer.forward(x)
    kept = y.copy(), h.copy(), c.copy()
    dx, _, _ = layer.backward(y, cache)
    kept_dx = dx.copy()
    del cache
    for _ in range(3):
        layer.backward(y, layer.forward(-x)[2])
    assert all(np.array_equal(a, b) for a, b in zip((y, h, c), kept, strict=True))
    assert np.array_equal(dx, kept_dx)


def test_the_content_of_reused_memory_does_not_matter():
    """All that a layer takes from the store it fills itself: a NaN there must not show."""
    x = np.random.default_rng(0).normal(size=(24, 64, 3))
    lengths = np.random.default_rng(1).integers(0, 25, 64)
    for cell in (mr.RNN, mr.LSTM, mr.GRU, lambda *a, **k: mr.GRU(*a, reset="before", **k)):
        layer, results = cell(3, 24, rng=0), []
        for _ in range(2):
            y, state, cache = layer.forward(x, lengths=lengths)
            dx, dstate, grads = layer.backward(np.ones_like(y), cache, state)
            results.append([np.copy(a) for a in (y, dx, *np.atleast_3d(dstate), *grads.values())])
            del y, state, cache, dx, dstate, grads
            assert _memory._store
            for block in _memory._store:
                block[...] = 255  # as floats: NaN
        for a, b in zip(*results, strict=True):
            assert np.array_equal(a, b)
