"""The same bits for any number of threads; nobody's BLAS setting is changed."""

import contextvars
import multiprocessing
import os
import signal
import threading
import time
import weakref

import numba
import numpy as np
import pytest
from cases import arrays, flatten
from threadpoolctl import threadpool_info, threadpool_limits

import minirnn as mr
from minirnn.engine import memory, products, threads

SHAPES = [(40, 32, 64, 64), (30, 130, 20, 96), (8, 33, 60, 200)]  # (T, B, D, H)


@pytest.fixture(autouse=True)
def as_before():
    before = mr.get_num_threads()
    yield
    mr.set_num_threads(before)


def blas_threads():
    """How many threads the BLAS has that NumPy calls: its own, if others are loaded too."""
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    own = [library for library in found if "numpy" in os.path.dirname(library["filepath"])]
    return {library["num_threads"] for library in own or found}


def results(layer, x, lengths=None):
    y, final, cache = layer.forward(x, lengths=lengths)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(y.dtype)
    dfinal = [np.ones_like(s) for s in arrays(final)]
    dstate = {0: None, 1: dfinal[:1]}.get(len(dfinal), tuple(dfinal))
    dstate = dstate[0] if isinstance(dstate, list) else dstate
    return [a.tobytes() for a in flatten([y, final, *layer.backward(dy, cache, dstate)])]


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="not of the uncompiled products")
@pytest.mark.parametrize(
    "T, B, D, H, dtype",
    [(*shape, "float32") for shape in SHAPES]
    + [
        pytest.param(*s, "float64", marks=[pytest.mark.slow] * (s is not SHAPES[0])) for s in SHAPES
    ],
)
@pytest.mark.parametrize("cell", [mr.RNN, mr.LSTM, mr.GRU])
def test_any_number_of_threads_gives_the_same_bits(cell, T, B, D, H, dtype, monkeypatch):
    layer, cuts, shares = cell(D, H, rng=0, dtype=dtype), [], threads.shares
    monkeypatch.setattr(threads, "shares", lambda *a: cuts.append(shares(*a)) or cuts[-1])
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(T, B, D)), rng.integers(0, T + 1, B)
    for n in (None, lengths):
        seen = []
        for count, blas in ((1, 1), (1, 2), (2, 2), (3, 1), (7, 2)):
            mr.set_num_threads(count)
            with threadpool_limits(blas):
                seen.append(results(layer, x, n))
        assert all(s == seen[0] for s in seen)
    assert {len(cut) for cut in cuts} == {1, 2, 3, min(7, B // 8)}


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="not of the uncompiled products")
@pytest.mark.parametrize("cell", [mr.RNN, mr.LSTM, mr.GRU])
def test_up_to_64_threads_in_any_order_give_the_same_bits(cell, monkeypatch):
    """The jobs of the other threads are done one after another, in an order that is drawn."""
    layer, rng = cell(6, 7, rng=0, dtype="float32"), np.random.default_rng(0)
    x, lengths = rng.normal(size=(20, 40, 6)), rng.integers(0, 21, 40)
    monkeypatch.setattr(threads, "ENOUGH", 1)  # so that so small a layer is shared out at all
    monkeypatch.setattr(threads, "FEWEST_ROWS", 1)
    monkeypatch.setattr(products, "ROWS_OF_A_BLOCK", 60)
    at_once = []

    def hand_out(jobs):
        at_once.append(1 + len(jobs))
        for k in rng.permutation(len(jobs)):
            jobs[k]()

    monkeypatch.setattr(threads, "_hand_out", hand_out)
    mr.set_num_threads(1)
    expected = results(layer, x, lengths)
    for n in (2, 3, 16, 40, 64):
        mr.set_num_threads(n)
        assert results(layer, x, lengths) == expected
    assert set(at_once) >= {2, 3, 13, 16, 40}  # 13 blocks of the BLAS


def test_blocks_are_the_whole_batch():
    layer = mr.LSTM(64, 64, rng=0)
    x = np.random.default_rng(0).normal(size=(40, 130, 64))
    y, (h, c), cache = layer.forward(x)
    dx, _, grads = layer.backward(np.ones_like(y), cache)
    halves = [layer.forward(x[:, rows]) for rows in (slice(0, 20), slice(20, 130))]
    np.testing.assert_allclose(y, np.concatenate([p[0] for p in halves], axis=1), atol=1e-13)
    np.testing.assert_allclose(c, np.vstack([p[1][1] for p in halves]), atol=1e-13)
    parts = [layer.backward(np.ones_like(p[0]), p[2]) for p in halves]
    np.testing.assert_allclose(dx, np.concatenate([p[0] for p in parts], axis=1), atol=1e-12)
    for name, g in grads.items():
        np.testing.assert_allclose(g, parts[0][2][name] + parts[1][2][name], rtol=1e-10, atol=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        y[0] = 0


@pytest.mark.parametrize("D, K", [(300, 200), (30, 2500)])
def test_products_do_not_depend_on_the_number_of_threads(D, K):
    layer = mr.Linear(D, K, rng=0)
    x = np.random.default_rng(0).normal(size=(50, 40, D))
    seen = []
    for count, blas in ((1, 1), (1, 2), (2, 2), (3, 1)):
        mr.set_num_threads(count)
        with threadpool_limits(blas):
            seen.append(results(layer, x))
    assert all(s == seen[0] for s in seen)


@pytest.mark.parametrize("n", [1, 2])
def test_the_setting_of_the_blas_is_put_back(n):
    layer = mr.LSTM(64, 64, rng=0)
    results(layer, np.ones((40, 64, 64)))  # what it imports may bring a BLAS along
    with threadpool_limits(n):
        before = [(m["filepath"], m["num_threads"]) for m in threadpool_info()]
        results(layer, np.ones((40, 64, 64)))
        with pytest.raises(ValueError, match="x: expected"):
            layer.forward(np.ones((40, 64, 3)))
        assert [(m["filepath"], m["num_threads"]) for m in threadpool_info()] == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_of_adam_does_not_depend_on_the_number_of_threads(dtype):
    rng, found = np.random.default_rng(0), []
    p, *gradients = (rng.normal(size=(701, 801)).astype(dtype) for _ in range(3))
    for n in (1, 2, 3):
        mr.set_num_threads(n)
        params, adam = {"p": p.copy()}, mr.Adam()
        for g in gradients:
            adam.step(params, {"p": g})
        found.append(params["p"])
    assert not np.array_equal(p, found[0])
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_the_blas_has_one_thread_in_every_block_and_blocks_share_the_threads():
    mr.set_num_threads(2)
    barrier, seen = threading.Barrier(2, timeout=20), []

    def work(item):
        barrier.wait()  # passes only if two run at once
        seen.append(blas_threads())
        assert (
            threads.each(lambda k: threading.get_ident(), [1, 2, 3]) == [threading.get_ident()] * 3
        )
        return item

    with threads.OneBlasThread():
        assert threads.each(work, [5, 6]) == [5, 6]
    assert seen == [{1}, {1}]


def test_the_blas_listens_to_every_python_thread():
    with threadpool_limits(2):
        with threads.OneBlasThread():  # the first to set it
            pass
        seen = []

        def work():
            with threads.OneBlasThread():
                seen.append(blas_threads())
            seen.append(blas_threads())

        other = threading.Thread(target=work)
        other.start()
        other.join(20)
        assert seen == [{1}, {2}] and blas_threads() == {2}


def test_an_error_in_a_block_reaches_the_caller():
    def fail(item):
        if item == 2:
            raise ZeroDivisionError("in block 2")

    with pytest.raises(ZeroDivisionError, match="in block 2"):
        threads.each(fail, [1, 2, 3])


def test_after_an_error_nobody_goes_on_writing():
    mr.set_num_threads(2)
    a, begun = np.zeros(1), threading.Event()

    def fill(item):
        if item == 0:
            begun.wait(10)
            raise ZeroDivisionError
        begun.set()
        time.sleep(0.1)
        a[0] = 1

    with pytest.raises(ZeroDivisionError):
        threads.each(fill, [0, 1])
    assert a[0] == 1


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="interrupts itself by a timer")
def test_ctrl_c_waits_for_the_other_threads():
    mr.set_num_threads(2)
    done = []

    def work(k):
        time.sleep(0.6 * k)
        done.append(k)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for after in (0.2, 0.4):  # while the caller waits, once and twice
            signal.setitimer(signal.ITIMER_REAL, 0.2, after if after == 0.4 else 0)
            with pytest.raises(KeyboardInterrupt):
                threads.each(work, [0, 1])
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert sorted(done) == [0, 1]
            done.clear()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert threads.each(lambda k: k, [3, 4]) == [3, 4]


def test_if_no_thread_can_start_the_next_call_tries_again(monkeypatch):
    def fail(self):
        raise RuntimeError("can't start new thread")

    mr.set_num_threads(2)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start"):
        patch.setattr(threading.Thread, "start", fail)
        threads.each(lambda k: k, [1, 2])
    assert threads.each(lambda k: k, [1, 2]) == [1, 2]


def test_another_number_may_be_set_in_the_middle_of_a_call(monkeypatch):
    mr.set_num_threads(2)
    copy = contextvars.copy_context  # called when the work is shared out, and not handed out yet
    monkeypatch.setattr(contextvars, "copy_context", lambda: mr.set_num_threads(1) or copy())
    assert threads.each(lambda k: k, [1, 2]) == [1, 2]
    assert mr.get_num_threads() == 1


def test_other_threads_end_when_another_number_is_set():
    mr.set_num_threads(3)
    threads.each(lambda k: k, [1, 2, 3])
    ours = [t for t in threading.enumerate() if t.name.startswith("minirnn")]
    assert len(ours) >= 2
    mr.set_num_threads(2)
    for thread in ours:
        thread.join(10)
    assert not any(thread.is_alive() for thread in ours)


def test_a_thread_that_waits_keeps_nothing_alive():
    mr.set_num_threads(2)
    a = np.ones(3)
    gone = threading.Event()
    weakref.finalize(a, gone.set)
    assert threads.each(lambda some: some.sum(), [a[:1], a]) == [1, 3]
    del a
    assert gone.wait(10)


def test_two_python_threads_may_train_at_once():
    x = np.random.default_rng(0).normal(size=(40, 64, 64))
    alone = [results(mr.GRU(64, 64, rng=seed), x) for seed in range(2)]
    found = [[], []]

    def train(k):
        for _ in range(5):
            found[k].append(results(mr.GRU(64, 64, rng=k), x))

    workers = [threading.Thread(target=train, args=(k,)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert all(r == alone[k] for k in range(2) for r in found[k]) and len(found[1]) == 5


def child(queue):
    queue.put(results(mr.GRU(64, 64, rng=0), np.ones((40, 64, 64))))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("owner, function, call", [
    (np, "empty", lambda: memory.empty((memory.SMALLEST,), np.uint8)),
    (threading.Thread, "start", lambda: threads.each(str, [1, 2])),
], ids=["memory", "threads"])  # fmt: skip
def test_a_lock_that_another_thread_held_at_the_fork_does_not_stop_the_child(
    owner, function, call, monkeypatch
):
    """The other thread is stopped within the call, where it has the lock."""
    layer, x = mr.LSTM(30, 40, rng=0), np.zeros((60, 40, 30))
    held, release = threading.Event(), threading.Event()
    right = getattr(owner, function)
    monkeypatch.setattr(memory, "_store", [])  # a block from there would need no new memory

    def stop_the_other(*arguments, **options):
        if threading.current_thread() is other:
            held.set()
            release.wait(60)
        return right(*arguments, **options)

    mr.set_num_threads(2)  # so that the next call must start threads
    other = threading.Thread(target=call)
    monkeypatch.setattr(owner, function, stop_the_other)
    other.start()
    assert held.wait(20)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        layer.backward(*layer.forward(x)[::2])
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    release.set()
    other.join()
    assert status == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_within_a_product_gives_the_blas_of_the_child_its_threads_back():
    with threadpool_limits(2):
        before = blas_threads()
        with threads.OneBlasThread():
            child = os.fork()
            if child == 0:
                found = blas_threads() == before
                threads.OneBlasThread().__exit__()  # the child leaves the block, too
                with threads.OneBlasThread():
                    found = found and blas_threads() == {1}
                os._exit(0 if found and blas_threads() == before else 1)
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_computes_the_same():
    mr.set_num_threads(2)
    expected = results(mr.GRU(64, 64, rng=0), np.ones((40, 64, 64)))  # the pool has threads now
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get(timeout=60) == expected
    process.join(20)


@pytest.mark.parametrize("n, error", [(0, ValueError), (1.5, TypeError), (-1, ValueError)])
def test_wrong_numbers_of_threads(n, error):
    with pytest.raises(error, match="n: expected a whole number"):
        mr.set_num_threads(n)


def test_the_number_of_threads_can_be_set_and_read():
    mr.set_num_threads(3)
    assert mr.get_num_threads() == 3
