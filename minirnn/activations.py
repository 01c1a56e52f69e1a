"""Activation functions: tanh, sigmoid and relu, with their derivatives.

Outside a kernel the functions are what they look like: short NumPy expressions on arrays of any
kind, complex ones included. Inside a kernel, on one float at a time, Numba puts the functions of
the second half of this file in their place. Their only purpose is speed: ``math.tanh`` is a call
into the C library, some 10 ns a value, and no call can be vectorised. Written as arithmetic
without branches, LLVM works on 4 to 16 values at once, and a value costs 0.4 to 1.5 ns.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from minirnn._jit import OPTIONS, inline


def tanh(a):
    """Hyperbolic tangent, elementwise."""
    return np.tanh(a)


def sigmoid(a):
    """Logistic function, elementwise. Where exp(-a) is infinite, it is 0, as it should be."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def relu(a):
    """Rectifier ``max(a, 0)``, elementwise; a NaN stays a NaN."""
    return np.maximum(a, 0)


def exp(a):
    """Exponential function, elementwise."""
    return np.exp(a)


# Derivatives *in terms of the output*: if s = sigmoid(a), then ds/da = s (1 - s), and so on.
# This is why the forward pass keeps the values of the gates and forgets what went into them.


def dsigmoid(s):
    """Derivative of the sigmoid where its value is ``s``."""
    return s * (1 - s)


def dtanh(s):
    """Derivative of the hyperbolic tangent where its value is ``s``."""
    return 1 - s * s


def drelu(s):
    """Derivative of the rectifier where its value is ``s`` (0 at the kink)."""
    return np.where(s <= 0, 0, 1)


FUNCTIONS = (tanh, sigmoid, relu, exp, dtanh, dsigmoid, drelu)


# ---- The same functions for the kernels, on one float32 or float64 ------------------------------


def _exp_parts(
    dtype, int_type, mantissa_bits, exponent_bias, lowest, highest, degree, ln2, ln2_low
):
    """Make a function of x that returns ``two_k, p`` with ``exp(x) = two_k * (1 + p)``.

    Range reduction as in fdlibm (Sun Microsystems, 1993): with k the integer nearest to
    x / ln 2, the rest r = x - k ln 2 lies within +-0.35, where a Taylor polynomial of exp(r) - 1
    is exact to the last bit. ln 2 comes in two parts, so that k times the first one is exact.
    2**k is built from its bits. From
    (exponent_bias + 1/2) ln 2 on, just below where exp itself overflows, two_k is infinite.
    """
    log2_e, half, zero = dtype(1 / math.log(2)), dtype(0.5), dtype(0)
    lowest, highest, ln2, ln2_low = dtype(lowest), dtype(highest), dtype(ln2), dtype(ln2_low)
    bits, bias = int_type(mantissa_bits), int_type(exponent_bias)
    coefficients = tuple(dtype(1 / math.factorial(n)) for n in range(degree, 1, -1))

    @inline
    def exp_parts(x):
        # Comparisons with NaN are false, so that a NaN passes both lines and ends up in r.
        x = lowest if x < lowest else x
        x = highest if x > highest else x
        k = np.floor(x * log2_e + half)
        r = x - k * ln2 - k * ln2_low
        q = zero
        for coefficient in coefficients:
            q = q * r + coefficient
        p = r + r * r * q
        two_k = int_type((int_type(k) + bias) << bits).view(dtype)
        return two_k, p

    return exp_parts


def _kernel_functions(dtype, exp_parts, lowest):
    """Versions of the seven functions above for scalars of one dtype.

    Every constant has that dtype: to Numba ``1 - s`` with a float32 ``s`` is a float64.
    """
    zero, one, two, lowest = dtype(0), dtype(1), dtype(2), dtype(lowest)

    @inline
    def sigmoid_(a):
        two_k, p = exp_parts(-a)
        return one / (one + two_k * (one + p))

    @inline
    def tanh_(a):
        # With e = exp(-2|a|) - 1: tanh|a| = -e / (2 + e). Nothing cancels, however small a is.
        two_k, p = exp_parts(-two * abs(a))
        e = two_k * p + (two_k - one)
        return np.copysign(e / (two + e), a)

    @inline
    def relu_(a):
        return zero if a < zero else a

    @inline
    def exp_(a):
        two_k, p = exp_parts(a)
        return zero if a < lowest else two_k * (one + p)

    @inline
    def dsigmoid_(s):
        return s * (one - s)

    @inline
    def dtanh_(s):
        return one - s * s

    @inline
    def drelu_(s):
        return zero if s <= zero else one

    versions = tanh_, sigmoid_, relu_, exp_, dtanh_, dsigmoid_, drelu_
    return dict(zip(FUNCTIONS, versions, strict=True))


_EXP64 = _exp_parts(np.float64, np.int64, 52, 1023, -708.0, 709.9, 13,
                    6.93147180369123816490e-01, 1.90821492927058770002e-10)  # fmt: skip
_EXP32 = _exp_parts(np.float32, np.int32, 23, 127, -87.3, 88.8, 7, 0.693359375, -2.12194440e-4)
_BY_DTYPE = {
    types.float64: _kernel_functions(np.float64, _EXP64, -708.0),
    types.float32: _kernel_functions(np.float32, _EXP32, -87.3),
}
_JIT_OPTIONS: Any = {"forceinline": True, **OPTIONS}


def _use_in_kernels(function):
    @overload(function, jit_options=_JIT_OPTIONS)
    def choose(s):
        kernel_function = _BY_DTYPE[s][function]
        return lambda s: kernel_function(s)


for _function in FUNCTIONS:
    _use_in_kernels(_function)
