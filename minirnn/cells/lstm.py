"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000), compiled:
``textbook.py`` has it in plain NumPy.

Axes: T time, B batch, D input, H hidden. Gates: i input, f forget, g candidate, o output, stored
in this order side by side, as in PyTorch (Keras: i f c o; ONNX: i o f c).

Forward, for t = 0 ... T-1 (``*`` is elementwise, two names side by side are a matrix product. The
code keeps the initial state first, so that there h[t-1] is ``h[t]`` and c[t-1] is ``c[t]``)::

    a[t] = x[t] W_x + h[t-1] W_h + b          split into a_i, a_f, a_g, a_o
    i = sigmoid(a_i)    f = sigmoid(a_f)    g = tanh(a_g)
    c[t] = f * c[t-1] + i * g
    o = sigmoid(a_o)
    h[t] = o * tanh(c[t])

With peepholes (Gers & Schmidhuber 2000) the gates see the cell: a_i and a_f gain p_i * c[t-1] and
p_f * c[t-1], and a_o gains p_o * c[t], the new cell.

Backward, for t = T-1 ... 0. ``dname`` is the derivative of the loss with respect to ``name``. Two
things are handed from step t+1 to step t: da[t+1] W_h^T and dc[t+1] * f[t+1] (to the last step: the
gradients of the final h and c). Read the forward lines from the last to the first; each passes its
gradient on to what stands on its right side::

    dh = dy[t] + da[t+1] W_h^T                     h[t] is an output, and an input of step t+1
    do = dh * tanh(c[t])                           h = o * tanh(c)
    da_o = do * o (1 - o)
    dc = dc[t+1] * f[t+1] + dh * o (1 - tanh(c[t])^2)     c[t] is seen by step t+1 and by h[t]
    di = dc * g     df = dc * c[t-1]     dg = dc * i      c = f * c[t-1] + i * g
    da_i = di * i (1 - i)     da_f = df * f (1 - f)     da_g = dg * (1 - g^2)

With peepholes dc gains p_o * da_o, and what is handed to step t-1, dc * f, gains
p_i * da_i + p_f * da_f; and dp_i = sum_t da_i * c[t-1], dp_f = sum_t da_f * c[t-1],
dp_o = sum_t da_o * c[t].

The four da side by side are da[t], and as in the vanilla network::

    dx[t] = da[t] W_x^T
    dW_x = sum_t x[t]^T da[t]      dW_h = sum_t h[t-1]^T da[t]      db = sum_t da[t]

The cell is why it works: where f is near 1, dc goes back through time nearly unchanged.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.activations import dsigmoid, dtanh, sigmoid, tanh
from minirnn.cells import textbook
from minirnn.cells.common import PIECE, Cell, columns
from minirnn.cells.initializers import glorot_uniform, orthogonal
from minirnn.engine import threads
from minirnn.engine.jit import inline, inline_unfused, jit, plain, wide_vectors
from minirnn.engine.memory import empty, for_kernels
from minirnn.engine.products import add_product, panels, product_of_step, weight_gradients
from minirnn.padding import padding, zero_at
from minirnn.protocol import Array, Backward, Forward, LSTMState, Numbers, Seed, caching, quiet


class LSTMCache(NamedTuple):
    """What ``LSTM.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    h: np.ndarray  # (T+1, B, H): h[0] is the initial state, h[t+1] the state after step t
    c: np.ndarray  # (T+1, B, H), in the same order
    gates: np.ndarray  # (T, B, 4H): the values of i, f, g, o
    tanh_c: np.ndarray  # (T, B, H): tanh(c[t+1]); reading it is faster than a second tanh
    lengths: np.ndarray  # (B,)
    variant: str  # of the layer that made it


class LSTMWeights(NamedTuple):
    """What the loops need to know of the layer. Matrices are cut in panels, see engine/products.py;
    for the backward loop they are W_x^T and W_h^T."""

    W_x: np.ndarray
    W_h: np.ndarray
    b: np.ndarray  # (1, 4H); for the backward loop zeros (1, D)
    p: np.ndarray | None  # (3, H): p_i, p_f, p_o. If None, Numba leaves out the lines for them
    tanh_in: bool  # False in the variant NIAF: g = a_g
    tanh_out: bool  # False in the variant NOAF: h = o * c


# ---- One unit: the equations, and each one's mirror ---------------------------------------------


@inline
def cell_state(a_i, a_f, a_g, c_prev, tanh_in):
    """The new cell of one unit."""
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    g = tanh(a_g) if tanh_in else a_g
    c = f * c_prev + i * g
    return i, f, g, c


@inline
def cell_state_backward(dc, i, f, g, c_prev, tanh_in):
    """Mirror of ``cell_state``: da_i, da_f, da_g, dc_prev."""
    da_i = dc * g * dsigmoid(i)
    da_f = dc * c_prev * dsigmoid(f)
    da_g = dc * i * dtanh(g) if tanh_in else dc * i
    dc_prev = dc * f
    return da_i, da_f, da_g, dc_prev


@inline
def hidden_state(a_o, c, tanh_out):
    """The new hidden state of one unit."""
    o = sigmoid(a_o)
    tanh_c = tanh(c) if tanh_out else c
    h = o * tanh_c
    return o, tanh_c, h


@inline_unfused
def hidden_state_backward(dh, dc, o, tanh_c, tanh_out):
    """Mirror of ``hidden_state``: da_o, and dc with the part that came through h."""
    da_o = dh * tanh_c * dsigmoid(o)
    dc = dc + (dh * o * dtanh(tanh_c) if tanh_out else dh * o)
    return da_o, dc


# ---- The loop over time -------------------------------------------------------------------------


@inline
def lstm_units(gates_inout, tanh_c, c, h, c_prev, p, tanh_in, tanh_out):
    """All units of one sequence at one step: gates_inout (4H,) enters as a and leaves as i, f, g,
    o; fill tanh_c, c and h (H,)."""
    wide_vectors()
    H, g_ = len(c), gates_inout
    # Each of these names holds a before the loops below, and the gate's value after them.
    i, f, g, o = g_[:H], g_[H : 2 * H], g_[2 * H : 3 * H], g_[3 * H :]
    if p is not None:
        for j in range(H):
            i[j] += p[0, j] * c_prev[j]
            f[j] += p[1, j] * c_prev[j]
    for j in range(H):
        i[j], f[j], g[j], c[j] = cell_state(i[j], f[j], g[j], c_prev[j], tanh_in)
    if p is not None:
        for j in range(H):
            o[j] += p[2, j] * c[j]
    for j in range(H):
        o[j], tanh_c[j], h[j] = hidden_state(o[j], c[j], tanh_out)


@inline
def lstm_units_backward(da_inout, dc_inout, dh, c_prev, tanh_c, p, tanh_in, tanh_out):
    """Mirror of ``lstm_units``: da_inout (4H,) enters as i, f, g, o and leaves as da. dc_inout (H,)
    enters as the gradient of c that came from the next step and leaves as that of c_prev."""
    H, dc, d = len(dh), dc_inout, da_inout
    i, f, g, o = d[:H], d[H : 2 * H], d[2 * H : 3 * H], d[3 * H :]  # o becomes da_o, i da_i, ...
    for j in range(H):
        o[j], dc[j] = hidden_state_backward(dh[j], dc[j], o[j], tanh_c[j], tanh_out)
    if p is not None:
        for j in range(H):
            dc[j] += p[2, j] * o[j]
    for j in range(H):
        i[j], f[j], g[j], dc[j] = cell_state_backward(dc[j], i[j], f[j], g[j], c_prev[j], tanh_in)
    if p is not None:
        for j in range(H):
            dc[j] += p[0, j] * i[j] + p[1, j] * f[j]


@jit
def lstm_forward(first, last, cache, weights):
    """Fill h[1:], c[1:], gates and tanh_c of the cache, in the rows first:last of the batch."""
    x, h, c, gates, tanh_c, lengths = cache
    W_x, W_h, b, p, tanh_in, tanh_out = weights
    for t in range(len(x)):
        product_of_step(t, first, last, b, x, W_x, gates)  # x W_x + b
        a_then_gates = gates[t, first:last, :]
        add_product(a_then_gates, h[t, first:last, :], W_h, a_then_gates)
        for row in range(first, last):
            gates_t, tanh_c_t, c_prev = gates[t, row], tanh_c[t, row], c[t, row]
            c_new, h_new = c[t + 1, row], h[t + 1, row]
            if t < lengths[row]:
                lstm_units(gates_t, tanh_c_t, c_new, h_new, c_prev, p, tanh_in, tanh_out)
            else:  # past its end the state is carried on
                for j in range(len(h_new)):
                    h_new[j], c_new[j] = h[t, row, j], c_prev[j]


@jit
def lstm_backward(first, last, dx, da, dh_inout, dc_inout, dy, cache, weights):
    """Fill dx (T, B, D) and da (T, B, 4H) in the rows first:last of the batch; dh_inout and
    dc_inout (B, H) enter as the gradients of the final state and leave as those of the initial."""
    x, h, c, gates, tanh_c, lengths = cache
    W_x_T, W_h_T, zeros, p, tanh_in, tanh_out = weights
    H = h.shape[2]
    for t in range(len(x) - 1, -1, -1):
        for row in range(first, last):
            if t >= lengths[row]:  # the final state is that of the sequence's own end
                da[t, row] = 0
                continue
            dh, dc, dy_t = dh_inout[row], dc_inout[row], dy[t, row]
            for j in range(H):
                dh[j] += dy_t[j]
            da_row, gates_row = da[t, row], gates[t, row]
            # A copy first: the loop over units is 4 % faster with one array less to write.
            for k in range(4 * H):
                da_row[k] = gates_row[k]
            lstm_units_backward(da_row, dc, dh, c[t, row], tanh_c[t, row], p, tanh_in, tanh_out)
            dh[:] = 0  # becomes da W_h^T below
        dh_rows = dh_inout[first:last, :]
        add_product(dh_rows, da[t, first:last, :], W_h_T, dh_rows)
        product_of_step(t, first, last, zeros, da, W_x_T, dx)


@jit
def lstm_forward_in_pieces(first, last, cache, weights):
    """``lstm_forward`` with memory for the cells and gates of a few steps only. The lengths are
    counted down to what is left of each sequence."""
    x, h, c, gates, tanh_c, lengths_inout = cache
    steps = len(gates)
    for t in range(0, len(x), steps):
        piece = x[t : t + steps], h[t:], c, gates, tanh_c, lengths_inout
        lstm_forward(first, last, piece, weights)
        for row in range(first, last):
            lengths_inout[row] -= steps
            if t + steps < len(x):
                for j in range(h.shape[2]):
                    c[0, row, j] = c[steps, row, j]


@jit
def lstm_one_step(h, c, tanh_c, a_inout, hW, b, c_prev, p, tanh_in, tanh_out):
    """A single step: fill h, c and tanh_c (B, H). a_inout (B, 4H) enters as x W_x and leaves as the
    gates' values; hW (B, 4H) is h_prev W_h, b (4H,)."""
    for row in range(len(h)):
        a, hW_row = a_inout[row], hW[row]
        for k in range(len(b)):
            a[k] += hW_row[k] + b[k]
        lstm_units(a, tanh_c[row], c[row], h[row], c_prev[row], p, tanh_in, tanh_out)


# ---- The layer ----------------------------------------------------------------------------------


class LSTM(Cell):
    """LSTM layer: x (T, B, input_size) to y (T, B, hidden_size).

    Parameters: ``W_x`` (D, 4H), ``W_h`` (H, 4H), ``b`` (4H,), columns in the order i, f, g, o; with
    peepholes also ``p_i``, ``p_f``, ``p_o`` (H,). The state is the pair (h, c), each (B, H).

    forget_bias: initial value of the forget gate's part of ``b``. With 1 the cell remembers until
        it learns to forget (Gers et al. 2000; Jozefowicz et al. 2015).
    peephole: whether the gates see the cell.
    rng: a seed or a numpy Generator, from which ``W_x`` is drawn as Glorot uniform and ``W_h`` as
        orthogonal matrices, gate by gate (see ``initializers``); all else starts as zero.
    dtype: float64 or float32, in which the layer computes.
    """

    gates: tuple[str, ...] = ("i", "f", "g", "o")
    cached_gates = gates
    keeping = (("f", 1), ("i", -1))
    state_names = ("h", "c")
    cache_type = LSTMCache
    tanhs = (True, True)  # at the input g and at the output h; see lstm_variants for others

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        forget_bias: float = 1.0,
        peephole: bool = False,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(input_size, hidden_size, dtype)
        D, H, rng = self.input_size, self.hidden_size, checks.generator(rng)
        self.peephole = bool(peephole)
        self.variant = "with peepholes" if self.peephole else "no peepholes"
        b = np.zeros(4 * H)
        b[H : 2 * H] = checks.number(forget_bias, "forget_bias")
        self._set_params(
            W_x=glorot_uniform(rng, D, H, blocks=4),
            W_h=orthogonal(rng, H, blocks=4),
            b=b,
            **{name: np.zeros(H) for name in ("p_i", "p_f", "p_o") if self.peephole},
        )

    @quiet
    def forward(
        self, x: Numbers, state: LSTMState | None = None, lengths: Numbers | None = None,
        training: bool = False, rng: Seed = None,
    ) -> Forward:  # fmt: skip
        """Run over a whole sequence.

        x: (T, B, input_size), cast to the layer's dtype.
        state: the initial state, the pair (h, c) of (B, H); None for zeros.
        lengths: (B,) whole numbers in 0..T, None for T each. After a sequence's end its state is
            carried on unchanged and its outputs are zero; what x holds there does not matter.
        training, rng: for layers that differ between training and use; ignored here.

        Returns y (T, B, H), read-only, the final state, and the cache for ``backward`` (None under
        ``no_cache``). Raises ValueError or TypeError for a wrong shape or kind.
        """
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        (T, B, _), H = x.shape, self.hidden_size
        h_0, c_0 = checks.state(state, "state", self, B, self.dtype)
        ends = checks.lengths(lengths, T, B)
        past_end = None if lengths is None else padding(ends, T)
        x = x if past_end is None else zero_at(past_end, x)
        weights = self._weights()
        # Without caches, memory for the gates and cells of a few steps is used again and again.
        keep = caching.get()
        steps = T if keep else min(T, 1 + PIECE // (B * 4 * H))
        h, c = empty((T + 1, B, H), self.dtype), empty((steps + 1, B, H), self.dtype)
        gates, tanh_c = empty((steps, B, 4 * H), self.dtype), empty((steps, B, H), self.dtype)
        h[0], c[0] = h_0, c_0
        run = lstm_forward if keep else lstm_forward_in_pieces
        arrays = for_kernels(x), h, c, gates, tanh_c, ends
        threads.each_row(run, B, T * B * (weights.W_x.size + weights.W_h.size), arrays, weights)
        y = h[1:] if past_end is None else zero_at(past_end, h[1:])
        # Without caches, c holds the last piece only, of (T - 1) % steps + 1 steps.
        h_T, c_T = h[T].copy(), c[(T - 1) % steps + 1].copy()
        y.flags.writeable = h_T.flags.writeable = c_T.flags.writeable = False
        cache = LSTMCache(x, h, c, gates, tanh_c, ends, self.variant) if keep else None
        return y, (h_T, c_T), cache

    @quiet
    def backward(self, dy: Numbers | None, cache: Any, dstate: LSTMState | None = None) -> Backward:
        """Back-propagate through time.

        dy: (T, B, H), the gradient of the loss with respect to y; None for zeros.
        cache: what ``forward`` returned, with x and the parameters still as they were.
        dstate: the gradients with respect to the final (h, c), (B, H) each; None for zeros.

        Returns dx (T, B, input_size), the gradients of the initial (h, c), and the dictionary of
        the parameters' gradients. Raises ValueError or TypeError for a wrong shape or kind.
        """
        x, h, c, gates, tanh_c, ends, _ = checks.cache(cache, self)
        (T, B, _), H, weights = x.shape, self.hidden_size, self._weights(backward=True)
        dy = for_kernels(checks.gradient(dy, (T, B, H), self.dtype))
        dh, dc = (d.copy() for d in checks.state(dstate, "dstate", self, B, self.dtype))
        dx, da = empty(x.shape, self.dtype), empty(gates.shape, self.dtype)
        work = T * B * (weights.W_x.size + weights.W_h.size)
        arrays = for_kernels(x), h, c, gates, tanh_c, ends
        threads.each_row(lstm_backward, B, work, dx, da, dh, dc, dy, arrays, weights)
        dW_x, dW_h, db = weight_gradients(da, x, h[:-1], 1)
        grads = {"W_x": dW_x, "W_h": dW_h, "b": db}
        if self.peephole:
            da_i, da_f, _, da_o = columns(da, 4)
            grads["p_i"] = (da_i * c[:-1]).sum(axis=(0, 1))
            grads["p_f"] = (da_f * c[:-1]).sum(axis=(0, 1))
            grads["p_o"] = (da_o * c[1:]).sum(axis=(0, 1))
        return dx, (dh, dc), grads

    def step(
        self, x: Any, state: LSTMState | None = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, LSTMState]:
        """One time step, as of any cell: see ``Cell.step``. The state is the pair (h, c)."""
        return super().step(x, state, params)

    def _lstm_params(self):
        return checks.params(self, self.param_shapes)

    def _weights(self, backward=False):
        """The parameters as the loops take them."""
        W_x, W_h, b, *peepholes = self._lstm_params()
        W_x, W_h = (W_x.T, W_h.T) if backward else (W_x, W_h)
        p = np.stack(peepholes) if peepholes else None
        b = np.zeros((1, self.input_size), self.dtype) if backward else for_kernels(b)[None]
        return LSTMWeights(panels(W_x), panels(W_h), b, p, *self.tanhs)

    def _step(self, params, x, h_prev, c_prev):
        if "p_i" not in params and self.tanhs == (True, True):
            step = textbook.lstm_step(params, x, h_prev, c_prev)
            return step.h, step.c
        # With peepholes, or without one of the tanhs: the equations of one unit, for all at once.
        a = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]
        a_i, a_f, a_g, a_o = columns(a, 4)
        p_i, p_f, p_o = (params.get(name, 0) for name in ("p_i", "p_f", "p_o"))
        tanh_in, tanh_out = self.tanhs
        *_, c = plain(cell_state)(a_i + p_i * c_prev, a_f + p_f * c_prev, a_g, c_prev, tanh_in)
        *_, h = plain(hidden_state)(a_o + p_o * c, c, tanh_out)
        return h, c

    def _quick_step(self, x, h_prev, c_prev):
        W_x, W_h, b, *peepholes = self._lstm_params()
        p = np.stack(peepholes) if peepholes else None
        h, c, tanh_c = (np.empty(h_prev.shape, self.dtype) for _ in range(3))
        a, hW, c_prev = x @ W_x, h_prev @ W_h, for_kernels(c_prev)
        lstm_one_step(h, c, tanh_c, a, hW, for_kernels(b), c_prev, p, *self.tanhs)
        return h, c
