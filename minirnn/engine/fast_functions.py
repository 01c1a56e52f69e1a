"""The activation functions for kernels, on one float32 or float64 at a time.

Inside a kernel Numba puts these functions in the place of those in ``activations``. Their only
purpose is speed. ``math.tanh`` is a call into the C library, which takes some 10 ns a value, and a
loop with a call is not vectorised. These are arithmetic without branches, so that LLVM works on 4
to 16 values at once; a value takes 0.4 to 1.5 ns.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.core import errors
from numba.extending import overload

from minirnn.activations import (
    derivatives,
    drelu,
    dsigmoid,
    dtanh,
    exp,
    relu,
    sigmoid,
    tanh,
)
from minirnn.engine.jit import OPTIONS, inline

DERIVATIVES = dsigmoid, dtanh, drelu  # in the order in which ``derivatives`` makes them


def _exp_parts(dtype, int_type, mantissa_bits, exponent_bias, degree, ln2, ln2_low):
    """Make a function of x that returns ``two_k, p`` with ``exp(x) = two_k * (1 + p)``.

    Range reduction as in fdlibm (Sun Microsystems, 1993): with k the integer nearest to
    x / ln 2, the rest r = x - k ln 2 lies within +-0.35, and the first term that the Taylor
    polynomial of exp(r) - 1 leaves out is below its last bit. ln 2 comes in two parts (in float32
    those of Cephes), so that k times the first one is exact. degree: of the polynomial, odd.

    An addition does the rounding to k. Floats from 2**mantissa_bits to twice that are whole
    numbers. So x / ln 2 + 1.5 * 2**mantissa_bits, which lies there for every x allowed, is rounded
    to a whole number, and k stands in its last bits. If exponent_bias is added too, these bits are
    the exponent of the float 2**k. Shifted to where a float has its exponent they are 2**k itself;
    the shift pushes out the bits of the 1.5.

    At the lowest x, two_k is 0; exp(x) is not 0 there, but smaller than every float of full
    precision. From x = (exponent_bias + 1/2) ln 2 on, a little before exp overflows, two_k is
    infinite. For k > exponent_bias + 1 it means nothing, so the caller must not go that far.
    """
    log2_e, ln2, ln2_low = dtype(1 / math.log(2)), dtype(ln2), dtype(ln2_low)
    whole, bits = dtype(1.5 * 2**mantissa_bits + exponent_bias), int_type(mantissa_bits)
    lowest = dtype(-exponent_bias * math.log(2))
    taylor = [dtype(1 / math.factorial(n)) for n in range(degree, 1, -1)]
    odd_first, even_first, *rest = taylor
    pairs = tuple(zip(rest[::2], rest[1::2], strict=True))

    @inline
    def exp_parts(x):
        x = lowest if x < lowest else x  # a NaN fails the comparison, and stays
        sum_with_k = x * log2_e + whole
        k = sum_with_k - whole
        r = x - k * ln2 - k * ln2_low
        # The odd and the even powers of r by themselves: two short chains of sums, each of which
        # has to wait for the one before, take less time than a long one.
        r2, odd, even = r * r, odd_first, even_first
        for odd_coefficient, even_coefficient in pairs:
            odd = odd * r2 + odd_coefficient
            even = even * r2 + even_coefficient
        p = r + r2 * (even + odd * r)
        two_k = int_type(dtype(sum_with_k).view(int_type) << bits).view(dtype)
        return two_k, p

    return exp_parts


def _kernel_functions(dtype, exp_parts, highest):
    """The functions of ``activations`` for a scalar x of one dtype.

    highest: an x for which exp_parts gives infinity. Every constant has that dtype: to Numba
    ``1 - s`` with a float32 ``s`` is a float64.
    """
    zero, one, two, highest = dtype(0), dtype(1), dtype(2), dtype(highest)

    def sigmoid_(x):
        # With e = exp(-|x|), which cannot overflow: 1 / (1 + e), or e / (1 + e) where x < 0.
        two_k, p = exp_parts(-abs(x))
        e = two_k + two_k * p
        return (e if x < zero else one) / (one + e)

    def tanh_(x):
        # With e = exp(-2|x|) - 1: tanh|x| = -e / (2 + e). Nothing cancels, however small x is.
        two_k, p = exp_parts(-two * abs(x))
        e = two_k * p + (two_k - one)
        return np.copysign(e / (two + e), x)

    def relu_(x):
        return zero if x < zero else x

    def exp_(x):
        two_k, p = exp_parts(highest if x > highest else x)
        return two_k * (one + p)

    return {tanh: tanh_, sigmoid: sigmoid_, relu: relu_, exp: exp_} | dict(
        zip(DERIVATIVES, derivatives(one), strict=True)
    )


_EXP64 = _exp_parts(np.float64, np.int64, 52, 1023, 13,
                    6.93147180369123816490e-01, 1.90821492927058770002e-10)  # fmt: skip
_EXP32 = _exp_parts(np.float32, np.int32, 23, 127, 7, 0.693359375, -2.12194440e-4)
_BY_DTYPE = {
    types.float64: _kernel_functions(np.float64, _EXP64, 709.7),
    types.float32: _kernel_functions(np.float32, _EXP32, 88.7),
}
_JIT_OPTIONS: Any = {"forceinline": True, **OPTIONS}


def _version(function, kind):
    if kind not in _BY_DTYPE:
        raise errors.TypingError(f"{function.__name__} in a kernel: of a float only, got {kind}")
    return _BY_DTYPE[kind][function]


def _use_in_kernels(function):
    # Numba wants one name for the argument in ``choose`` and in the function that it chooses. The
    # derivatives call it s, the others x.
    if function in DERIVATIVES:

        def choose(s):
            return _version(function, s)
    else:

        def choose(x):
            return _version(function, x)

    overload(function, jit_options=_JIT_OPTIONS)(choose)


for _function in (tanh, sigmoid, relu, exp, *DERIVATIVES):
    _use_in_kernels(_function)
