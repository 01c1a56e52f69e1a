"""Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000).

Axes: T time, B batch, D input, H hidden. Gates: i input, f forget, g candidate, o output, stored
in this order side by side, as in PyTorch (Keras: i f c o; ONNX: i o f c).

Forward, for t = 0 ... T-1 (``*`` is elementwise, a juxtaposed matrix a product; the code keeps the
initial state first, so that h[t-1] is ``h[t]`` there, and c[t-1] is ``c[t]``)::

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
p_i * da_i + p_f * da_f; and dp_i = sum_t da_i * c[t-1], dp_f likewise, dp_o = sum_t da_o * c[t].

The four da side by side are da[t], and as in the vanilla network::

    dx[t] = da[t] W_x^T
    dW_x = sum_t x[t]^T da[t]      dW_h = sum_t h[t-1]^T da[t]      db = sum_t da[t]

The cell is why it works: where f is near 1, dc goes back through time nearly unchanged.
"""

from typing import NamedTuple

import numpy as np

from minirnn import checks
from minirnn.activations import dsigmoid, dtanh, sigmoid, tanh
from minirnn.cells.common import Cell, columns, split4, stacked, steps_kept
from minirnn.cells.initializers import glorot_uniform, orthogonal
from minirnn.engine.jit import for_kernels, inline, jit, plain, wide_vectors
from minirnn.engine.memory import empty
from minirnn.engine.products import add_product, panels, weight_gradients


class LSTMCache(NamedTuple):
    """What ``LSTM.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    h: np.ndarray  # (T+1, B, H): h[0] is the initial state, h[t+1] the state after step t
    c: np.ndarray  # (T+1, B, H), likewise
    gates: np.ndarray  # (T, B, 4H): the values of i, f, g, o
    tanh_c: np.ndarray  # (T, B, H): tanh(c[t+1]), kept because a tanh costs more than memory
    lengths: np.ndarray  # (B,)
    variant: str  # of the layer that made it


@inline
def cell_state(a_i, a_f, a_g, c_prev, tanh_in):
    """Equations of the new cell of one unit. tanh_in is False in the variant NIAF only (see
    ``lstm_variants``)."""
    i = sigmoid(a_i)
    f = sigmoid(a_f)
    g = tanh(a_g) if tanh_in else a_g
    c = f * c_prev + i * g
    return i, f, g, c


@inline
def hidden_state(a_o, c, tanh_out):
    """Equations of the new hidden state of one unit. tanh_out is False in the variant NOAF only;
    tanh_c is c itself then."""
    o = sigmoid(a_o)
    tanh_c = tanh(c) if tanh_out else c
    h = o * tanh_c
    return o, tanh_c, h


@inline
def hidden_state_backward(dh, dc, o, tanh_c, tanh_out):
    """Mirror of ``hidden_state``: da_o, and dc with the part that came through h."""
    da_o = dh * tanh_c * dsigmoid(o)
    dc = dc + (dh * o * dtanh(tanh_c) if tanh_out else dh * o)
    return da_o, dc


@inline
def cell_state_backward(dc, i, f, g, c_prev, tanh_in):
    """Mirror of ``cell_state``: da_i, da_f, da_g, dc_prev."""
    da_i = dc * g * dsigmoid(i)
    da_f = dc * c_prev * dsigmoid(f)
    da_g = dc * i * dtanh(g) if tanh_in else dc * i
    dc_prev = dc * f
    return da_i, da_f, da_g, dc_prev


def lstm_step(params, x, h_prev, c_prev, tanh_in=True, tanh_out=True):
    """One time step in plain NumPy: x (B, D), h_prev and c_prev (B, H); returns h, c."""
    a = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]
    a_i, a_f, a_g, a_o = columns(a, 4)
    if "p_i" in params:
        a_i = a_i + params["p_i"] * c_prev
        a_f = a_f + params["p_f"] * c_prev
    i, f, g, c = plain(cell_state)(a_i, a_f, a_g, c_prev, tanh_in)
    if "p_o" in params:
        a_o = a_o + params["p_o"] * c
    o, tanh_c, h = plain(hidden_state)(a_o, c, tanh_out)
    return h, c


@inline
def lstm_row(h, c, gates, tanh_c, c_prev, p, tanh_in, tanh_out):
    """All units of one row of the batch: gates (4H,) enter as the sums a and leave as the values of
    i, f, g, o; fill h, c and tanh_c (H,) from them and c_prev (H,)."""
    wide_vectors()
    H = len(c)
    a_i, a_f, a_g, a_o = split4(gates)
    i, f, g, o = a_i, a_f, a_g, a_o  # the same memory
    if p is not None:
        p_i, p_f = p[0], p[1]
        for j in range(H):
            a_i[j] += p_i[j] * c_prev[j]
            a_f[j] += p_f[j] * c_prev[j]
    for j in range(H):
        i[j], f[j], g[j], c[j] = cell_state(a_i[j], a_f[j], a_g[j], c_prev[j], tanh_in)
    if p is not None:
        p_o = p[2]
        for j in range(H):
            a_o[j] += p_o[j] * c[j]
    for j in range(H):
        o[j], tanh_c[j], h[j] = hidden_state(a_o[j], c[j], tanh_out)


@jit
def lstm_forward(first, last, h, c, gates, tanh_c, x, W_x, W_h, b, p, lengths, tanh_in, tanh_out):
    """Fill, in the rows first:last of the batch, h[1:] and c[1:] (T+1, B, H), gates (T, B, 4H) and
    tanh_c (T, B, H). W_x and W_h as panels (see ``products``); b (1, 4H); p (3, H): p_i, p_f, p_o,
    or None. Under ``no_cache`` c has two places, used in turns, gates and tanh_c have one."""
    T, H = len(x), h.shape[2]
    for t in range(T):
        now, old, new = t % len(gates), t % len(c), (t + 1) % len(c)  # with a cache t, t, t + 1
        a = gates[now, first:last]
        add_product(b, x[t, first:last], W_x, a)
        add_product(a, h[t, first:last], W_h, a)
        for row in range(first, last):
            h_new, c_new, c_prev = h[t + 1, row], c[new, row], c[old, row]
            if t < lengths[row]:
                gates_row, tanh_c_row = gates[now, row], tanh_c[now, row]
                lstm_row(h_new, c_new, gates_row, tanh_c_row, c_prev, p, tanh_in, tanh_out)
            else:  # past its end the state is carried on
                for j in range(H):
                    h_new[j], c_new[j] = h[t, row, j], c_prev[j]


@jit
def lstm_rows(h, c, gates, hW, b, c_prev, p, tanh_in, tanh_out):
    """A single step: fill h and c (B, H). gates (B, 4H) enters as x W_x, hW (B, 4H) as h[t-1] W_h,
    and both are overwritten; b (4H,), c_prev (B, H), the rest as above."""
    for row in range(len(h)):
        gates_row, hW_row, h_row, c_row = gates[row], hW[row], h[row], c[row]
        for k in range(len(b)):
            gates_row[k] += hW_row[k] + b[k]
        tanh_c = hW_row  # the same memory, of which it takes the first H: hW is not needed any more
        lstm_row(h_row, c_row, gates_row, tanh_c, c_prev[row], p, tanh_in, tanh_out)


@jit
def lstm_backward(
    first, last, dx, da, dh, dc, dy, c, gates, tanh_c, W_x_T, W_h_T, p, lengths, tanh_in, tanh_out
):
    """Fill, in the rows first:last of the batch, dx (T, B, D) and da (T, B, 4H); dh and dc (B, H)
    enter as the gradients of the final state and leave as those of the initial one. W_x_T and
    W_h_T: the panels of W_x^T and W_h^T."""
    T, _, H = tanh_c.shape
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            dx[t, row] = 0
            if t >= lengths[row]:  # the final state is the state at the sequence's own end
                da[t, row] = 0
                continue
            da_row, gates_row = da[t, row], gates[t, row]
            # One copy, then changed in place: four gates and four da where they are would be eight
            # streams of memory, more than the processor fetches ahead.
            for k in range(4 * H):
                da_row[k] = gates_row[k]
            i, f, g, o = split4(da_row)
            da_i, da_f, da_g, da_o = i, f, g, o  # the same memory: gradients overwrite the values
            dh_row, dc_row, dy_row = dh[row], dc[row], dy[t, row]
            c_prev, tanh_c_row = c[t, row], tanh_c[t, row]
            for j in range(H):
                da_o[j], dc_row[j] = hidden_state_backward(
                    dh_row[j] + dy_row[j], dc_row[j], o[j], tanh_c_row[j], tanh_out
                )
            if p is not None:
                p_o = p[2]
                for j in range(H):
                    dc_row[j] += p_o[j] * da_o[j]
            for j in range(H):
                da_i[j], da_f[j], da_g[j], dc_row[j] = cell_state_backward(
                    dc_row[j], i[j], f[j], g[j], c_prev[j], tanh_in
                )
            if p is not None:
                p_i, p_f = p[0], p[1]
                for j in range(H):
                    dc_row[j] += p_i[j] * da_i[j] + p_f[j] * da_f[j]
            dh_row[:] = 0  # becomes da W_h^T below; where da is 0, past an end, dh stays as it is
        add_product(dh[first:last], da[t, first:last], W_h_T, dh[first:last])
        add_product(dx[t, first:last], da[t, first:last], W_x_T, dx[t, first:last])


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
    state_names = ("h", "c")
    cache_type = LSTMCache
    tanhs = (True, True)  # at the input g and at the output h; see lstm_variants for others

    def __init__(
        self, input_size, hidden_size, forget_bias=1.0, peephole=False, rng=None, dtype=np.float64
    ):
        super().__init__(input_size, hidden_size, dtype)
        D, H, rng = self.input_size, self.hidden_size, checks.generator(rng)
        self.peephole = bool(peephole)
        self.variant = f"peephole {self.peephole}"
        b = np.zeros(4 * H)
        b[H : 2 * H] = checks.number(forget_bias, "forget_bias")
        self._set_params(
            W_x=glorot_uniform(rng, D, H, blocks=4),
            W_h=orthogonal(rng, H, blocks=4),
            b=b,
            **{name: np.zeros(H) for name in ("p_i", "p_f", "p_o") if self.peephole},
        )

    def _step(self, params, x, h_prev, c_prev):
        return lstm_step(params, x, h_prev, c_prev, *self.tanhs)

    def _weights(self):
        """W_x, W_h, b and p as the kernels take them."""
        W_x, W_h, b, *peepholes = self._checked_params()
        # Where p is None, Numba leaves out the lines for peepholes.
        return W_x, W_h, b, np.stack(peepholes) if peepholes else None

    def _quick_step(self, x, h_prev, c_prev):
        W_x, W_h, b, p = self._weights()
        gates, hW = x @ W_x, h_prev @ W_h
        h, c = np.empty(h_prev.shape, self.dtype), np.empty(h_prev.shape, self.dtype)
        lstm_rows(h, c, gates, hW, for_kernels(b), for_kernels(c_prev), p, *self.tanhs)
        return h, c

    def _forward(self, x, state, lengths):
        W_x, W_h, b, p = self._weights()
        (T, B, _), H = x.shape, self.hidden_size
        kept = steps_kept(T)
        h, c = stacked(state[0], T), stacked(state[1], kept)
        gates, tanh_c = (empty((kept, B, n * H), self.dtype) for n in (4, 1))
        weights = panels(W_x), panels(W_h), for_kernels(b)[None], p
        known = for_kernels(x), *weights, lengths, *self.tanhs
        self._run(lstm_forward, T, B, h, c, gates, tanh_c, *known)
        return LSTMCache(x, h, c, gates, tanh_c, lengths, self.variant)

    def _backward(self, dy, cache, dstate):
        W_x, W_h, _, p = self._weights()
        x, h, c, gates, tanh_c, lengths, _ = cache
        dx, da = empty(x.shape, self.dtype), empty(gates.shape, self.dtype)
        weights = panels(W_x.T), panels(W_h.T), p
        known = for_kernels(dy), c, gates, tanh_c, *weights, lengths, *self.tanhs
        self._run(lstm_backward, *dy.shape[:2], dx, da, *dstate, *known)
        dW_x, dW_h, db = weight_gradients(da, x, h[:-1], 1)
        grads = {"W_x": dW_x, "W_h": dW_h, "b": db}
        if self.peephole:
            da_i, da_f, _, da_o = columns(da, 4)
            grads["p_i"] = (da_i * c[:-1]).sum(axis=(0, 1))
            grads["p_f"] = (da_f * c[:-1]).sum(axis=(0, 1))
            grads["p_o"] = (da_o * c[1:]).sum(axis=(0, 1))
        return dx, grads
