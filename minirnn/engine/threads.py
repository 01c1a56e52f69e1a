"""Several threads, and the same result to the last bit for any number of them.

In the loops over time a row of the batch depends on no other, so that the threads share out the
rows as they like (``shares``). Where a sum goes over rows, or the BLAS makes it, the work is cut
into blocks by the shapes alone; each block is one thread's, and sums of blocks are added up in
their order (``blocks``). The BLAS would order its sums by its own number of threads. So it gets one
thread while it works for us, and afterwards as many as before.
"""

import contextvars
import os
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from minirnn import checks

# The cost of reading a number, changing it a little and writing it back, in multiplications.
PER_NUMBER = 20
ENOUGH = 1e7  # multiplications; for less a second thread costs more than it brings
MOST_BLOCKS = 16
FEWEST_ROWS = 8  # for one thread: a product with fewer rows takes nearly as long as with eight
LARGE = 1 << 18  # numbers; arrays that do not stay in the second cache

_threads: int | None = None
_jobs: queue.SimpleQueue | None = None  # what the other threads have to do; None: none started yet
_thread = threading.local()  # .busy: already within a block, so that ``each`` runs in line
_blas: list[Any] | None = None
_blas_users = 0
_blas_before: list[tuple[Any, int]] = []
_lock = threading.Lock()


def get_num_threads() -> int:
    """How many threads are used at the most; at first as many as the process has cores."""
    if _threads is not None:
        return _threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(n: int) -> None:
    """Use at most n threads, from the next call on. No result depends on it."""
    global _threads, _jobs
    n = checks.size(n, "n")
    with _lock:
        if _jobs is not None:
            _jobs.put(None)  # the threads finish what they were given, and end
        _threads, _jobs = n, None


def blocks(rows: int, work: float, fewest: int) -> list[slice]:
    """Cut ``rows`` rows into blocks for the BLAS, if there is enough to do; work: multiplications
    in all. More than two blocks have ``fewest`` rows or more: to add up their sums costs something,
    which must stay small for a single thread.
    """
    if rows < 32 or work < ENOUGH:
        return [slice(0, rows)]
    n = min(max(2, rows // fewest), MOST_BLOCKS, int(2 * work / ENOUGH))
    return [slice(rows * k // n, rows * (k + 1) // n) for k in range(n)]


def shares(rows: int, work: float) -> list[tuple[int, int]]:
    """Cut ``rows`` rows into a part first:last for each thread, where there is enough to do: for
    loops whose result in a row depends on no other row; work as in ``blocks``."""
    n = min(get_num_threads(), rows // FEWEST_ROWS) if work >= ENOUGH else 1
    n = max(n, 1)
    return [(rows * k // n, rows * (k + 1) // n) for k in range(n)]


def each(function: Callable, items: Sequence[Any]) -> list[Any]:
    """``[function(item) for item in items]``, with the items shared out among the threads."""
    if getattr(_thread, "busy", False):
        return [function(item) for item in items]

    def run(item):
        _thread.busy = True
        try:
            return function(item)
        finally:
            _thread.busy = False

    if len(items) == 1 or get_num_threads() == 1:
        return [run(item) for item in items]
    results: dict[int, Any] = {}
    errors: dict[int, BaseException] = {}
    done: queue.SimpleQueue = queue.SimpleQueue()

    def answer(k):
        try:
            results[k] = run(items[k])
        except BaseException as error:
            errors[k] = error
        done.put(k)

    # With a copy of the context, numpy's errstate for instance is the same in all threads.
    others = range(1, len(items))
    _hand_out([partial(contextvars.copy_context().run, answer, k) for k in others])
    answer(0)
    # Even after an error, or Ctrl-C, nobody goes on writing behind the caller's back.
    while len(results) + len(errors) < len(items):
        try:
            done.get()
        except KeyboardInterrupt as interrupt:
            errors[0] = interrupt
            results.pop(0, None)
    if errors:
        raise errors[min(errors)]
    return [results[k] for k in range(len(items))]


def _hand_out(jobs):
    """Give the jobs to the other threads, which are started at the first call.

    By a queue, not the standard library's executor: its bookkeeping takes 20 us or more each time,
    and a whole pass over a small network may take 500.
    """
    global _jobs
    with _lock:
        if _jobs is None:
            jobs_to_come: queue.SimpleQueue = queue.SimpleQueue()
            # At least one, whatever number another thread has set just now.
            for k in range(1, max(2, get_num_threads())):
                name = f"minirnn {k}"
                threading.Thread(target=_work, args=(jobs_to_come,), name=name, daemon=True).start()
            _jobs = jobs_to_come  # not before: if no thread can start, the next call tries again
        for job in jobs:
            _jobs.put(job)


def _work(jobs):
    while (job := jobs.get()) is not None:
        job()
        del job  # not to keep arrays alive until the next one
    jobs.put(None)  # for the others


def each_row(kernel: Callable, rows: int, work: float, *arguments: Any) -> None:
    """``kernel(first, last, *arguments)`` over all rows; each thread gets some rows (``shares``).
    work: multiplications in all."""
    if work < ENOUGH:
        kernel(0, rows, *arguments)
        return
    each(lambda share: kernel(*share, *arguments), shares(rows, work))


def in_pieces(function: Callable, *arrays: np.ndarray) -> None:
    """``function(*arrays)`` for a few rows of all the arrays at a time, which then stay in the
    cache from one line of the function to the next. It must work row by row."""
    size = arrays[0].size
    if size <= LARGE:  # a small network, for which the rest of this function would cost more
        function(*arrays)
        return
    n = 1 + LARGE * len(arrays[0]) // size

    def run(first, last):
        for k in range(first, last, n):
            m = slice(k, min(k + n, last))
            function(*(a[m] for a in arrays))

    each_row(run, len(arrays[0]), PER_NUMBER * size)


class OneBlasThread:
    """``with OneBlasThread():`` the BLAS has one thread while any of ours is in such a block."""

    def __enter__(self):
        global _blas_users, _blas_before
        with _lock:
            if _blas_users == 0:
                _blas_before = [(library, library.get_num_threads()) for library in _libraries()]
                for library, _ in _blas_before:
                    _set_threads(library, 1)
            _blas_users += 1

    def __exit__(self, *exception):
        global _blas_users
        with _lock:
            _blas_users = max(0, _blas_users - 1)  # 0 already, after a fork within
            if _blas_users == 0:
                for library, n in _blas_before:
                    _set_threads(library, n)


def _set_threads(library, n):
    library.set_num_threads(n)
    if library.get_num_threads() == n:
        return
    # Once one Python thread has set it, OpenBLAS 0.3.31 does not listen to the others. Its function
    # with another name does; NumPy's copy adds something before and behind the names.
    for name in ("scipy_goto_set_num_threads64_", "scipy_goto_set_num_threads",
                 "goto_set_num_threads64_", "goto_set_num_threads"):  # fmt: skip
        set_it = getattr(library.dynlib, name, None)
        if set_it is not None:
            set_it(n)
            return


def _libraries() -> list[Any]:
    """The BLAS that NumPy calls: the one that comes with it, if there are others too."""
    global _blas
    if _blas is None:
        from threadpoolctl import ThreadpoolController

        found = [c for c in ThreadpoolController().lib_controllers if c.user_api == "blas"]
        _blas = [c for c in found if "numpy" in os.path.dirname(c.filepath)] or found
    return _blas


def _after_fork() -> None:
    # The child has none of these threads; one of them may have been within OneBlasThread.
    global _jobs, _lock, _blas_users
    for library, n in _blas_before if _blas_users else []:
        _set_threads(library, n)
    _jobs, _lock, _blas_users = None, threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
