"""The vanilla recurrent network (Elman 1990), compiled: ``textbook.py`` has it in plain NumPy.

Axes: T time, B batch, D input, H hidden. The equations are those of one row of the batch, ``x``
(D,) and ``h`` (H,); the code multiplies all rows at once, as matrices.

Forward, for t = 0 ... T-1, with f the activation (tanh or relu; the code keeps the initial state
first, so that h[t-1] is ``h[t]`` there)::

    a[t] = x[t] W_x + h[t-1] W_h + b
    h[t] = f(a[t])

Backward (back-propagation through time, Werbos 1990). Write ``dname`` for the derivative of the
loss with respect to ``name``. The hidden state h[t] reaches the loss by two paths: as the output
of step t, whose gradient dy[t] is given, and through the next step. So, for t = T-1 ... 0::

    dh[t] = dy[t] + da[t+1] W_h^T            (at the last step: dy[t] + gradient of the final state)
    da[t] = dh[t] * f'(a[t])                 (tanh: 1 - h[t]^2;  relu: 1 where h[t] > 0)

and a[t] is a sum of products, each of which passes da[t] on to its two factors::

    dx[t] = da[t] W_x^T
    dW_x = sum_t x[t]^T da[t]      dW_h = sum_t h[t-1]^T da[t]      db = sum_t da[t]

Only h[t-1] W_h and da[t+1] W_h^T must wait for another step. x[t] W_x and dx[t] of all steps could
be one product each, outside of the loop; but their many numbers would have to go to the memory and
come back, while in the loop they are still in the processor's cache when they are needed. (With few
rows they are so few that the products of some steps are made at once, see ``product_of_step``.)
Each sum over t is one product, after the loop.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.activations import drelu, dtanh, relu, tanh
from minirnn.cells import textbook
from minirnn.cells.common import Cell
from minirnn.cells.initializers import glorot_uniform, orthogonal
from minirnn.engine import threads
from minirnn.engine.jit import inline, jit, wide_vectors
from minirnn.engine.memory import empty, for_kernels
from minirnn.engine.products import add_product, panels, product_of_step, weight_gradients
from minirnn.padding import padding, zero_at
from minirnn.protocol import Backward, Forward, Numbers, Seed, caching, quiet


class RNNCache(NamedTuple):
    """What ``RNN.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    h: np.ndarray  # (T+1, B, H): h[0] is the initial state, h[t+1] the state after step t
    lengths: np.ndarray  # (B,)
    variant: str  # of the layer that made it


class RNNWeights(NamedTuple):
    """What the loops need to know of the layer. Matrices are cut in panels, see engine/products.py;
    for the backward loop they are W_x^T and W_h^T."""

    W_x: np.ndarray
    W_h: np.ndarray
    b: np.ndarray  # (1, H); for the backward loop zeros (1, D)
    use_relu: bool


# ---- One unit: the equation, and its mirror -----------------------------------------------------


@inline
def hidden_state(a, use_relu):
    """The new state of one hidden unit."""
    return relu(a) if use_relu else tanh(a)


@inline
def hidden_state_backward(dh, h, use_relu):
    """da of one hidden unit, with f' in terms of its output h."""
    return dh * (drelu(h) if use_relu else dtanh(h))


# ---- The loop over time, and its mirror ---------------------------------------------------------


@jit
def rnn_forward(first, last, x, h, lengths, weights):
    """Fill h[1:] (T+1, B, H) in the rows first:last of the batch."""
    wide_vectors()
    W_x, W_h, b, use_relu = weights
    for t in range(len(x)):
        product_of_step(t, first, last, b, x, W_x, h[1:])  # x W_x + b
        a_then_h = h[t + 1, first:last, :]
        add_product(a_then_h, h[t, first:last, :], W_h, a_then_h)
        for row in range(first, last):
            h_prev, h_new = h[t, row], h[t + 1, row]
            if t < lengths[row]:
                for j in range(len(h_new)):
                    h_new[j] = hidden_state(h_new[j], use_relu)  # it held a
            else:  # past its end the state is carried on
                for j in range(len(h_new)):
                    h_new[j] = h_prev[j]


@jit
def rnn_backward(first, last, dx, da, dh_inout, dy, h, lengths, weights):
    """Fill dx (T, B, D) and da (T, B, H) in the rows first:last of the batch; dh_inout (B, H)
    enters as the gradient of the final state and leaves as that of the initial one."""
    W_x_T, W_h_T, zeros, use_relu = weights
    for t in range(len(da) - 1, -1, -1):
        for row in range(first, last):
            if t >= lengths[row]:  # the final state is the state at the sequence's own end
                da[t, row] = 0
                continue
            da_t, dh, dy_t, h_t = da[t, row], dh_inout[row], dy[t, row], h[t + 1, row]
            for j in range(len(dh)):
                da_t[j] = hidden_state_backward(dh[j] + dy_t[j], h_t[j], use_relu)
            dh[:] = 0  # becomes da W_h^T below
        dh_rows = dh_inout[first:last, :]
        add_product(dh_rows, da[t, first:last, :], W_h_T, dh_rows)
        product_of_step(t, first, last, zeros, da, W_x_T, dx)


# ---- The layer ----------------------------------------------------------------------------------


class RNN(Cell):
    """Vanilla recurrent layer: x (T, B, input_size) to y (T, B, hidden_size).

    Parameters: ``W_x`` (D, H), ``W_h`` (H, H), ``b`` (H,). The state is h (B, H).

    nonlinearity: "tanh" or "relu".
    rng: a seed or a numpy Generator, from which ``W_x`` is drawn as Glorot uniform and ``W_h`` as
        an orthogonal matrix (see ``initializers``); ``b`` starts as zero.
    dtype: float64 or float32, in which the layer computes.
    """

    cache_type = RNNCache

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(input_size, hidden_size, dtype)
        self.nonlinearity = checks.choice(nonlinearity, "nonlinearity", ("tanh", "relu"))
        self.variant = self.nonlinearity
        D, H, rng = self.input_size, self.hidden_size, checks.generator(rng)
        self._set_params(
            W_x=glorot_uniform(rng, D, H),
            W_h=orthogonal(rng, H),
            b=np.zeros(H),
        )

    @quiet
    def forward(
        self, x: Numbers, state: Numbers | None = None, lengths: Numbers | None = None,
        training: bool = False, rng: Seed = None,
    ) -> Forward:  # fmt: skip
        """Run over a whole sequence.

        x: (T, B, input_size), cast to the layer's dtype.
        state: the initial state h (B, H), None for zeros.
        lengths: (B,) whole numbers in 0..T, None for T each. After a sequence's end its state is
            carried on unchanged and its outputs are zero; what x holds there does not matter.
        training, rng: for layers that differ between training and use; ignored here.

        Returns y (T, B, H), read-only, the final state, and the cache for ``backward`` (None under
        ``no_cache``). Raises ValueError or TypeError for a wrong shape or kind.
        """
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        (T, B, _), H = x.shape, self.hidden_size
        (h_0,) = checks.state(state, "state", self, B, self.dtype)
        ends = checks.lengths(lengths, T, B)
        past_end = None if lengths is None else padding(ends, T)
        x = x if past_end is None else zero_at(past_end, x)
        weights = self._weights()
        h = empty((T + 1, B, H), self.dtype)
        h[0] = h_0
        work = T * B * (weights.W_x.size + weights.W_h.size)
        threads.each_row(rnn_forward, B, work, for_kernels(x), h, ends, weights)
        y = h[1:] if past_end is None else zero_at(past_end, h[1:])
        final = h[T].copy()
        y.flags.writeable = final.flags.writeable = False
        return y, final, RNNCache(x, h, ends, self.variant) if caching.get() else None

    @quiet
    def backward(self, dy: Numbers | None, cache: Any, dstate: Numbers | None = None) -> Backward:
        """Back-propagate through time.

        dy: (T, B, H), the gradient of the loss with respect to y; None for zeros.
        cache: what ``forward`` returned, with x and the parameters still as they were.
        dstate: the gradient with respect to the final state (B, H); None for zeros.

        Returns dx (T, B, input_size), the gradient of the initial state, and the dictionary of the
        parameters' gradients. Raises ValueError or TypeError for a wrong shape or kind.
        """
        x, h, ends, _ = checks.cache(cache, self)
        (T, B, _), H, weights = x.shape, self.hidden_size, self._weights(backward=True)
        dy = for_kernels(checks.gradient(dy, (T, B, H), self.dtype))
        (dh,) = (d.copy() for d in checks.state(dstate, "dstate", self, B, self.dtype))
        dx, da = empty(x.shape, self.dtype), empty(dy.shape, self.dtype)
        work = T * B * (weights.W_x.size + weights.W_h.size)
        threads.each_row(rnn_backward, B, work, dx, da, dh, dy, h, ends, weights)
        dW_x, dW_h, db = weight_gradients(da, x, h[:-1], 1)
        return dx, dh, {"W_x": dW_x, "W_h": dW_h, "b": db}

    def _weights(self, backward=False):
        """The parameters as the loops take them."""
        W_x, W_h, b = checks.params(self, self.param_shapes)
        W_x, W_h = (W_x.T, W_h.T) if backward else (W_x, W_h)
        b = np.zeros((1, self.input_size), self.dtype) if backward else for_kernels(b)[None]
        return RNNWeights(panels(W_x), panels(W_h), b, self.nonlinearity == "relu")

    def _step(self, params, x, h_prev):
        return (textbook.rnn_step(params, x, h_prev, self.nonlinearity == "relu").h,)
