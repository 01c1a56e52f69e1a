"""The vanilla recurrent network (Elman 1990).

Axes: T time, B batch, D input, H hidden. A step is one row of the batch at a time, ``x`` (D,) and
``h`` (H,); all rows together are a matrix product.

Forward, for t = 0 ... T-1, with f the activation (tanh or relu; the code keeps the initial state
first, so that h[t-1] is ``h[t]`` there)::

    a[t] = x[t] W_x + h[t-1] W_h + b
    h[t] = f(a[t])

Backward (back-propagation through time, Werbos 1990). Write ``dname`` for the derivative of the
loss with respect to ``name``. The hidden state h[t] reaches the loss by two ways: as the output
of step t, whose gradient dy[t] is given, and through the next step. So, for t = T-1 ... 0::

    dh[t] = dy[t] + da[t+1] W_h^T            (at the last step: dy[t] + gradient of the final state)
    da[t] = dh[t] * f'(a[t])                 (tanh: 1 - h[t]^2;  relu: 1 where h[t] > 0)

and a[t] is a sum of products, each of which passes da[t] on to its two factors::

    dx[t] = da[t] W_x^T
    dW_x = sum_t x[t]^T da[t]      dW_h = sum_t h[t-1]^T da[t]      db = sum_t da[t]

Only h[t-1] W_h and da[t+1] W_h^T must wait for another step. x[t] W_x and dx[t] of all steps could
be one product each, outside of the loop; but their many numbers would have to go to the memory and
come back, while in the loop they are still in the processor's cache when they are needed. The sums
over t are one product, after the loop.
"""

from typing import NamedTuple

import numpy as np

from minirnn import checks
from minirnn.activations import drelu, dtanh, relu, tanh
from minirnn.cells.common import Cell, stacked
from minirnn.cells.initializers import glorot_uniform, orthogonal
from minirnn.engine.jit import for_kernels, inline, jit, plain, wide_vectors
from minirnn.engine.memory import empty
from minirnn.engine.products import add_product, panels, weight_gradients


class RNNCache(NamedTuple):
    """What ``RNN.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    h: np.ndarray  # (T+1, B, H): h[0] is the initial state, h[t+1] the state after step t
    lengths: np.ndarray  # (B,)
    variant: str  # of the layer that made it


@inline
def hidden_state(a, use_relu):
    """Equation of one hidden unit."""
    return relu(a) if use_relu else tanh(a)


@inline
def hidden_state_backward(dh, h, use_relu):
    """da of one hidden unit, with f' in terms of its output h."""
    return dh * (drelu(h) if use_relu else dtanh(h))


def rnn_step(params, x, h_prev, use_relu=False):
    """One time step in plain NumPy: x (B, D), h_prev (B, H); returns h (B, H)."""
    a = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]
    return plain(hidden_state)(a, use_relu)


@jit
def rnn_forward(first, last, h, x, W_x, W_h, b, use_relu, lengths):
    """Fill h[1:] (T+1, B, H) in the rows first:last of the batch. W_x and W_h as panels (see
    ``products``); b (1, H); lengths (B,)."""
    wide_vectors()
    (T, _, _), (_, H) = x.shape, b.shape
    for t in range(T):
        a = h[t + 1, first:last]  # the same memory: the new states overwrite the sums
        add_product(b, x[t, first:last], W_x, a)
        add_product(a, h[t, first:last], W_h, a)
        for row in range(first, last):
            h_prev, h_new = h[t, row], h[t + 1, row]
            if t < lengths[row]:
                for j in range(H):
                    h_new[j] = hidden_state(h_new[j], use_relu)  # it held a
            else:  # past its end the state is carried on
                for j in range(H):
                    h_new[j] = h_prev[j]


@jit
def rnn_backward(first, last, dx, da, dh, dy, h, W_x_T, W_h_T, use_relu, lengths):
    """Fill dx (T, B, D) and da (T, B, H) in the rows first:last of the batch; dh (B, H) enters as
    the gradient of the final state, leaves as dh0. W_x_T and W_h_T: the panels of W_x^T, W_h^T."""
    T, _, H = da.shape
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            dx[t, row] = 0
            if t >= lengths[row]:  # the final state is the state at the sequence's own end
                da[t, row] = 0
                continue
            da_row, dh_row, dy_row, h_row = da[t, row], dh[row], dy[t, row], h[t + 1, row]
            for j in range(H):
                da_row[j] = hidden_state_backward(dh_row[j] + dy_row[j], h_row[j], use_relu)
            dh_row[:] = 0  # becomes da W_h^T below; where da is 0, past an end, dh stays as it is
        add_product(dh[first:last], da[t, first:last], W_h_T, dh[first:last])
        add_product(dx[t, first:last], da[t, first:last], W_x_T, dx[t, first:last])


class RNN(Cell):
    """Vanilla recurrent layer: x (T, B, input_size) to y (T, B, hidden_size).

    Parameters: ``W_x`` (D, H), ``W_h`` (H, H), ``b`` (H,). The state is h (B, H).

    nonlinearity: "tanh" or "relu".
    rng: a seed or a numpy Generator, from which ``W_x`` is drawn as Glorot uniform and ``W_h`` as
        an orthogonal matrix (see ``initializers``); ``b`` starts as zero.
    dtype: float64 or float32, in which the layer computes.
    """

    cache_type = RNNCache

    def __init__(self, input_size, hidden_size, nonlinearity="tanh", rng=None, dtype=np.float64):
        super().__init__(input_size, hidden_size, dtype)
        self.nonlinearity = checks.choice(nonlinearity, "nonlinearity", ("tanh", "relu"))
        self.variant = f"nonlinearity {nonlinearity}"
        D, H, rng = self.input_size, self.hidden_size, checks.generator(rng)
        self._set_params(
            W_x=glorot_uniform(rng, D, H),
            W_h=orthogonal(rng, H),
            b=np.zeros(H),
        )

    def _step(self, params, x, h_prev):
        return (rnn_step(params, x, h_prev, self.nonlinearity == "relu"),)

    def _forward(self, x, state, lengths):
        W_x, W_h, b = self._checked_params()
        (T, B, _), use_relu = x.shape, self.nonlinearity == "relu"
        h = stacked(state[0], T)
        weights = panels(W_x), panels(W_h), for_kernels(b)[None]
        self._run(rnn_forward, T, B, h, for_kernels(x), *weights, use_relu, lengths)
        return RNNCache(x, h, lengths, self.variant)

    def _backward(self, dy, cache, dstate):
        W_x, W_h, _ = self._checked_params()
        x, h, lengths, _ = cache
        (T, B, _), use_relu = dy.shape, self.nonlinearity == "relu"
        dx, da = empty(x.shape, self.dtype), empty(dy.shape, self.dtype)
        known = for_kernels(dy), h, panels(W_x.T), panels(W_h.T), use_relu, lengths
        self._run(rnn_backward, T, B, dx, da, *dstate, *known)
        dW_x, dW_h, db = weight_gradients(da, x, h[:-1], 1)
        return dx, {"W_x": dW_x, "W_h": dW_h, "b": db}
