"""How every kernel is compiled, in one place.

A *kernel* is a loop written with plain arrays, over time above all. With ``NUMBA_DISABLE_JIT=1``
in the environment the very same text runs as ordinary Python, so it can be stepped through in a
debugger.
"""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import event
from numba.extending import intrinsic, overload

OPTIONS: dict[str, Any] = {
    # A division that could raise ZeroDivisionError keeps LLVM from using vector instructions.
    "error_model": "numpy",
    # Two kernels may run in two Python threads at once.
    "nogil": True,
    # Kernels make no arrays, they fill those they are given. So Numba need not count who refers to
    # which memory, which would take as long as some hundred multiplications for each row. To
    # assign an array (``a[0] = b``, not ``a[0] = 0``) counts too; it is written as a loop.
    "_nrt": False,
    # Fused multiply-add, and no care for the sign of zero. Not "fast": that would let the compiler
    # assume that NaN never occurs, and then a NaN in the data could vanish without a trace.
    "fastmath": {"contract", "nsz"},
    # Nobody calls them from C, and to compile a way in for it takes a twentieth of the time.
    "no_cfunc_wrapper": True,
}


def jit(function: Callable) -> Callable:
    """Compile a kernel at its first call; keep the machine code on disk for the next process.

    Numba looks only at the file of the kernel itself to decide whether the code on disk is still
    good: after editing a function that kernels of *another* file call, delete ``__pycache__``.
    """
    return _kept(function, OPTIONS)


def in_any_order(function: Callable) -> Callable:
    """``jit`` for a sum, of which LLVM may then take 4 to 16 numbers at a time."""
    options = {"fastmath": {*OPTIONS["fastmath"], "reassoc"}, "forceinline": True}
    return _kept(function, OPTIONS | options)


def _kept(function, options):
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep machine code in: compile afresh in each process
        return numba.njit(**options)(function)


class _Notice(event.Listener):
    """In a terminal, say once why nothing happens for some seconds."""

    told = False

    def on_start(self, notice):
        kernel = getattr(notice.data["dispatcher"], "py_func", None)
        ours = str(getattr(kernel, "__module__", None)).startswith("minirnn.")
        if ours and not self.told and sys.stderr.isatty():
            print("minirnn: compiling for the first use, some seconds ...", file=sys.stderr)
            self.told = True

    def on_end(self, notice):
        pass


event.register("numba:compile", _Notice())


def inline(function: Callable) -> Callable:
    """Compile a function into the loops that call it.

    Without ``forceinline`` LLVM calls the longer ones, and a loop over units with a call in it is
    not vectorised. What each of these tricks is worth, ``python -m benchmarks --only tricks`` says.
    """
    return numba.njit(forceinline=True, **OPTIONS)(function)


def wide_vectors() -> None:
    """Said in a kernel: use the widest vectors that the processor has.

    LLVM prefers vectors of 32 bytes where 64 would do, because some processors slow down for the
    latter. The products use them anyway; with them in the gates as well, their exponentials and
    divisions take a sixth less. Not compiled, it does nothing.
    """


@overload(wide_vectors, inline="always")
def _wide_vectors():
    return lambda: _prefer_wide_vectors()  # type: ignore[call-arg]


@intrinsic
def _prefer_wide_vectors(typing_context):
    def write(context, builder, signature, arguments):
        # llvmlite has a list of the attributes that it knows; LLVM knows more.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), write


def for_kernels(a: np.ndarray) -> np.ndarray:
    """The array as every kernel takes it, C-contiguous and not read-only: to Numba any other is
    another type, for which it would compile the kernel once more. Of a read-only array it is a view
    of the same memory, since kernels write only to what they are to fill."""
    if not a.flags.c_contiguous:
        return a.copy()
    if a.flags.writeable:
        return a
    pointer = a.__array_interface__ | {"data": (a.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=pointer, owner=a))


def plain(function: Callable) -> Callable:
    """The Python function behind a compiled one: it also takes arrays, and complex numbers."""
    return getattr(function, "py_func", function)
