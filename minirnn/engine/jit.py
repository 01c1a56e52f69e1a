"""How every kernel is compiled, in one place.

A *kernel* is a loop written with plain arrays, over time above all. With ``NUMBA_DISABLE_JIT=1``
in the environment the same text runs as ordinary Python, so it can be stepped through in a
debugger.
"""

import sys
from collections.abc import Callable
from typing import Any

import numba
from numba import types
from numba.core import event
from numba.extending import intrinsic, overload

from minirnn.engine.disk import guarded

OPTIONS: dict[str, Any] = {
    # A division that could raise ZeroDivisionError keeps LLVM from using vector instructions.
    "error_model": "numpy",
    # Two kernels may run in two Python threads at once.
    "nogil": True,
    # Kernels make no arrays, they fill those they are given. So Numba need not count the references
    # to arrays, which would take as long as some hundred multiplications for each row. An
    # assignment of an array (``a[0] = b``, not ``a[0] = 0``) would need this count; it is written
    # as a loop.
    "_nrt": False,
    # Fused multiply-add, and no care for the sign of zero. Not "fast": that would let the compiler
    # assume that NaN never occurs, and then a NaN in the data could vanish without a trace.
    "fastmath": {"contract", "nsz"},
    # Nobody calls them from C; to compile the function for such calls takes 5 % of the time.
    "no_cfunc_wrapper": True,
}


def jit(function: Callable) -> Callable:
    """Compile a kernel at its first call; keep the machine code on disk for the next process, as
    long as no source file changes that kernels are made of (see ``disk``)."""
    return _kept(function, OPTIONS)


def in_any_order(function: Callable) -> Callable:
    """``jit`` for a sum, of which LLVM may then take 4 to 16 numbers at a time."""
    options = {"fastmath": {*OPTIONS["fastmath"], "reassoc"}, "forceinline": True}
    return _kept(function, OPTIONS | options)


def _kept(function, options):
    try:
        return guarded(numba.njit(cache=True, **options)(function))
    except RuntimeError:  # no folder to keep machine code in: compile afresh in each process
        return numba.njit(**options)(function)


def inline(function: Callable) -> Callable:
    """Compile a function into the loops that call it.

    Without ``forceinline`` LLVM calls the longer ones, and a loop over units with a call in it is
    not vectorised. ``python -m benchmarks --only tricks`` measures what each of these tricks saves.
    """
    return numba.njit(forceinline=True, **OPTIONS)(function)


def in_place(function: Callable) -> Callable:
    """Put a function of some lines into the text of the loops that call it, before these are
    compiled. With ``inline`` it would be compiled by itself first, with all that it calls."""
    return numba.njit(inline="always", **OPTIONS)(function)


def inline_unfused(function: Callable) -> Callable:
    """``inline`` for a function whose products are rounded before they are added to anything.

    LLVM may otherwise round a product and a sum in one operation, or not, depending on the code
    around them: then a change elsewhere in the loop would change the last bit of the result.
    """
    return numba.njit(forceinline=True, **(OPTIONS | {"fastmath": {"nsz"}}))(function)


class _Notice(event.Listener):
    """In a terminal, say once why nothing happens for some seconds."""

    printed = False

    def on_start(self, notice):
        kernel = getattr(notice.data["dispatcher"], "py_func", None)
        ours = str(getattr(kernel, "__module__", None)).startswith("minirnn.")
        if ours and not self.printed and sys.stderr is not None and sys.stderr.isatty():
            print("minirnn: compiling for the first use, some seconds ...", file=sys.stderr)
            self.printed = True

    def on_end(self, notice):
        pass


event.register("numba:compile", _Notice())


def wide_vectors() -> None:
    """Call this inside a function of a kernel to request the processor's widest vectors.

    LLVM prefers vectors of 32 bytes where 64 would do, because some processors slow down for the
    latter. The products use them anyway. With them in the gates as well, a forward pass takes 5 to
    15 % less. Where nothing is compiled, it does nothing.
    """


def compiled_once() -> None:
    """Call this inside a function of a kernel, if it is long: the kernels then call it. LLVM would
    rather put a copy in the place of each call, and each takes a second to compile."""


@overload(wide_vectors, inline="always")
def _wide_vectors():
    return lambda: _prefer_wide_vectors()  # type: ignore[call-arg]


@overload(compiled_once, inline="always")
def _compiled_once():
    return lambda: _never_inline()  # type: ignore[call-arg]


def _sets(attribute):
    """A function for kernels that gives this attribute to the function that it is called in."""

    @intrinsic
    def set_it(typing_context):
        def write(context, builder, signature, arguments):
            # llvmlite has a list of the attributes that it knows; LLVM knows more.
            set.add(builder.function.attributes, attribute)
            return context.get_dummy_value()

        return types.void(), write

    return set_it


_prefer_wide_vectors = _sets('"prefer-vector-width"="512"')
_never_inline = _sets("noinline")


def plain(function: Callable) -> Callable:
    """The Python function behind a compiled one: it also takes arrays, and complex numbers."""
    return getattr(function, "py_func", function)
