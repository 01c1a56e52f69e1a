"""Activation functions: tanh, sigmoid and relu, with their derivatives; softmax and its logarithm.

They take arrays of any kind, complex ones included; kernels call them on one float at a time. The
derivatives below are what the kernels compile, too: there is no other text of them. Only tanh,
sigmoid, relu and exp have a second, faster text for kernels, in ``engine/fast_functions.py``: who
changes one must change both, and a test compares them.
"""

import numpy as np


def tanh(a):
    """Hyperbolic tangent, elementwise."""
    return np.tanh(a)


def sigmoid(a):
    """Logistic function, elementwise. Where exp(-a) is infinite, the result is 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-a))


def relu(a):
    """Rectifier ``max(a, 0)``, elementwise; a NaN stays a NaN."""
    return np.maximum(a, 0)


def exp(a):
    """Exponential function, elementwise."""
    return np.exp(a)


def softmax(a):
    """Shares ``exp(a) / sum exp(a)`` along the last axis: above 0, with the sum 1."""
    e = np.exp(_below_largest(a))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(a):
    """``log softmax(a) = a - log sum exp(a)``, finite also where the share itself rounds to 0."""
    a = _below_largest(a)
    return a - np.log(np.exp(a).sum(axis=-1, keepdims=True))


def _below_largest(a):
    """a minus its largest number. That changes no share, and no exp of it is infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return a - a.real.max(axis=-1, keepdims=True)


def derivatives(one):
    """Make the three derivatives, each *in terms of the output*.

    If s = sigmoid(a), then ds/da = s (1 - s), and so on. This is why the forward pass keeps the
    values of the gates and forgets what went into them. ``one`` is 1 in the numbers' own dtype: in
    a kernel, ``1 - s`` of a float32 s would be a float64.
    """

    def dsigmoid(s):
        return s * (one - s)

    def dtanh(s):
        return one - s * s

    def drelu(s):  # 0 at the kink; a NaN counts as positive, so that it is not lost
        return one - one * (s <= 0)

    return dsigmoid, dtanh, drelu


dsigmoid, dtanh, drelu = derivatives(1)


def softmax_backward(dy, y):
    """The gradient of a from that of y = softmax(a). Each share depends on all of a::

    dy_j/da_k = y_j ((j == k) - y_k)      da_k = y_k (dy_k - sum_j dy_j y_j)
    """
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def log_softmax_backward(dy, y):
    """The same of y = log_softmax(a), where ``da_k = dy_k - exp(y_k) sum_j dy_j``."""
    return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)
