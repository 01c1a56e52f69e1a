"""Large arrays from memory that is already warm.

The operating system gives a program new memory page by page: it interrupts the program at the first
use of each page. For the megabytes of a cache this takes as long as computing what goes into them.
So an array made here gives its memory back to a small store when nobody refers to it any more, and
the next array of about the same size takes it from there. For its user it is like ``np.empty``.
"""

import ctypes
import math
import os
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np

SMALLEST = 1 << 16  # bytes; below, the allocator of the C library does the same
LARGEST_STORE = 1 << 28  # bytes; the store holds no more unused memory than this
LINE = 64  # bytes, of the cache
SMALL = 1 << 14  # bytes; below, to begin at a line takes longer than it saves

_store: list[np.ndarray] = []  # the block that was given back last is at the end
_lock = threading.Lock()


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array with arbitrary content, C-contiguous, like ``np.empty``. Unless it is small, it
    begins where a line of the processor's cache begins, since a vector that lies in two lines takes
    twice as long to load."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALL:
        return np.empty(shape, dtype)
    if size < SMALLEST:
        room_for_it = np.empty(size + LINE, np.uint8)
        return np.ndarray(shape, dtype, room_for_it, _to_line(room_for_it))
    # Sequences differ in length, so a block of exactly the right size would hardly ever fit again.
    # There are eight sizes only between each power of two and the next.
    unit = 1 << (size.bit_length() - 4)
    room = -(-size // unit) * unit + LINE
    with _lock:
        k = next((k for k in reversed(range(len(_store))) if _store[k].size == room), None)
        block: Any = np.empty(room, np.uint8) if k is None else _store.pop(k)
    # The memoryview in between makes ``whole`` the base of every view of it, so that the block
    # comes back only when the last view is gone.
    whole = np.frombuffer(memoryview(block), dtype, size // dtype.itemsize, _to_line(block))
    loan = _Loan(whole, _give_back)
    loan.block = block
    _loans[id(loan)] = loan
    return whole.reshape(shape)


def for_kernels(a: np.ndarray) -> np.ndarray:
    """The array as every kernel takes it, C-contiguous and not read-only. Any other array has
    another type in Numba, for which the kernel would be compiled once more. For a read-only array
    the result is a writeable view of the same memory: kernels write only to what they fill."""
    if not a.flags.c_contiguous:
        return a.copy()
    if a.flags.writeable:
        return a
    pointer = a.__array_interface__ | {"data": (a.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=pointer, owner=a))


def _to_line(block):
    """How many bytes into the block a line begins."""
    return -ctypes.addressof(ctypes.c_char.from_buffer(block)) % LINE


class _Loan(weakref.ref):
    """A block that is in use. The callback is called when nobody uses it any more."""

    __slots__ = ("block",)
    block: np.ndarray


_loans: dict[int, _Loan] = {}  # a weak reference must be kept, or its callback is not called


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()  # whoever held it is not in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _give_back(loan: _Loan) -> None:
    block = _loans.pop(id(loan)).block
    # The garbage collector may call this in the middle of ``empty``: then the block is just freed,
    # as is one so large that it would drive out all others.
    if block.size > LARGEST_STORE or not _lock.acquire(blocking=False):
        return
    try:
        _store.append(block)
        while sum(block.size for block in _store) > LARGEST_STORE:
            _store.pop(0)
    finally:
        _lock.release()
