"""Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078), compiled: ``textbook.py`` has it in
plain NumPy.

Axes: T time, B batch, D input, H hidden. Gates: r reset, z update, n candidate, stored in this
order side by side, as in PyTorch (Keras and ONNX: z r h).

Forward, for t = 0 ... T-1 (``*`` is elementwise, two names side by side are a matrix product. The
code keeps the initial state first, so that there h[t-1] is ``h[t]``)::

    a_r = x[t] W_xr + h[t-1] W_hr + b_r          r = sigmoid(a_r)
    a_z = x[t] W_xz + h[t-1] W_hz + b_z          z = sigmoid(a_z)
    a_n = x[t] W_xn + b_n + s                    n = tanh(a_n)
    h[t] = (1 - z) * n + z * h[t-1]

where s is what the candidate sees of the past; the two versions do *not* share weights::

    reset="after"     s = r * m,  m = h[t-1] W_hn + b_hn     (cuDNN, PyTorch, Keras' default)
    reset="before"    s = q W_hn,  q = r * h[t-1]            (the paper)

Here z = 1 keeps the old state; many texts swap z and 1 - z.

Backward, for t = T-1 ... 0; ``dname`` is the derivative of the loss with respect to ``name``. Let
dh be that of h[t]: dy[t] plus what step t+1 handed back (at the last step: plus the gradient of the
final state). Then, line by line from the last one::

    dz = dh * (h[t-1] - n)     da_z = dz * z (1 - z)
    dn = dh * (1 - z)          da_n = dn * (1 - n^2)
    after:    dr = da_n * m          dm = da_n * r
    before:   dq = da_n W_hn^T       dr = dq * h[t-1]
    da_r = dr * r (1 - r)

and the gradient of h[t-1] has one term for each place where h[t-1] stands on a right side::

    after:    dh * z + da_r W_hr^T + da_z W_hz^T + dm W_hn^T
    before:   dh * z + dq * r + da_r W_hr^T + da_z W_hz^T

As in the vanilla network dx[t] = da[t] W_x^T, dW_x = sum_t x[t]^T da[t], db = sum_t da[t]; and
dW_h = sum_t h[t-1]^T (da_r, da_z, dm) with db_hn = sum_t dm ("after"); for "before" the last block
is sum_t q[t]^T da_n[t].
"""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.activations import dsigmoid, dtanh, sigmoid, tanh
from minirnn.cells import textbook
from minirnn.cells.common import PIECE, Cell
from minirnn.cells.initializers import glorot_uniform, orthogonal
from minirnn.engine import threads
from minirnn.engine.jit import inline, jit, wide_vectors
from minirnn.engine.memory import empty, for_kernels
from minirnn.engine.products import add_product, panels, product_of_step, weight_gradients
from minirnn.padding import padding, zero_at
from minirnn.protocol import Backward, Forward, Numbers, Seed, caching, quiet


class GRUCache(NamedTuple):
    """What ``GRU.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    h: np.ndarray  # (T+1, B, H): h[0] is the initial state, h[t+1] the state after step t
    gates: np.ndarray  # (T, B, 3H): the values of r, z, n
    past: np.ndarray  # (T, B, H): m for reset="after", q for reset="before"
    lengths: np.ndarray  # (B,)
    variant: str  # of the layer that made it


class GRUWeights(NamedTuple):
    """What the loops need to know of the layer. Matrices are cut in panels, see engine/products.py;
    for the backward loop they are transposed. For reset="before" W_h holds the columns of r and z
    only, and W_hn, those of n, is passed beside it; for "after" that is None, and Numba leaves out
    the lines for it."""

    W_x: np.ndarray
    W_h: np.ndarray
    b: np.ndarray  # (1, 3H); for the backward loop zeros (1, D)
    b_h: np.ndarray  # (1, 3H): 0, 0, b_hn; for "before" (1, 2H): 0, 0


# ---- One unit: the equations, and their mirror --------------------------------------------------


@inline
def reset_update(a_r, a_z):
    """The two gates of one unit."""
    return sigmoid(a_r), sigmoid(a_z)


@inline
def hidden_state(a_n, z, h_prev):
    """The candidate and the new state of one unit."""
    n = tanh(a_n)
    h = n + z * (h_prev - n)  # (1 - z) * n + z * h_prev, with one multiplication less
    return n, h


@inline
def hidden_state_backward(dh, z, n, h_prev):
    """Mirror of ``hidden_state``: da_z, da_n, and the part of dh that goes straight to h_prev."""
    da_z = dh * (h_prev - n) * dsigmoid(z)
    da_n = (dh - dh * z) * dtanh(n)  # dh (1 - z); in Numba, 1 - z of a float32 z is a float64
    return da_z, da_n, dh * z


# ---- All units of one sequence at one step ------------------------------------------------------


@inline
def split3(row):
    """Three views (H,) of a row (3H,), for the gates of a kernel."""
    H = row.size // 3
    return row[:H], row[H : 2 * H], row[2 * H :]


@inline
def reset_update_units(gates_inout, past, hW, h_prev, W_hn):
    """The two gates, and what the candidate sees of the past. gates_inout (3H,) enters as x W_x + b
    and leaves as r, z, and a_n (for reset="before" without s); fill past (H,), which is m or q. hW
    is (3H,), or (2H,) for "before"."""
    wide_vectors()
    H = len(h_prev)
    r, z, a_n = split3(gates_inout)
    for j in range(H):
        r[j], z[j] = reset_update(r[j] + hW[j], z[j] + hW[H + j])
    if W_hn is None:
        for j in range(H):
            past[j] = hW[2 * H + j]  # m
            a_n[j] += r[j] * past[j]
    else:
        for j in range(H):
            past[j] = r[j] * h_prev[j]  # q


@inline
def hidden_state_units(h, gates_inout, h_prev):
    """The candidate and the new state: gates_inout (3H,) enters as r, z, a_n and leaves as r, z, n;
    fill h (H,)."""
    wide_vectors()
    _, z, n = split3(gates_inout)
    for j in range(len(h)):
        n[j], h[j] = hidden_state(n[j], z[j], h_prev[j])


# ---- The loop over time, and its mirror ---------------------------------------------------------


@jit
def gru_forward(first, last, cache, weights, W_hn, hW):
    """Fill h[1:], gates and past of the cache, in the rows first:last of the batch. hW (B, 3H or
    2H) is scratch memory."""
    x, h, gates, past, lengths = cache
    W_x, W_h, b, b_h = weights
    H = h.shape[2]
    for t in range(len(x)):
        product_of_step(t, first, last, b, x, W_x, gates)  # x W_x + b
        add_product(b_h[:, :], h[t, first:last, :], W_h, hW[first:last, :])
        for row in range(first, last):
            if t < lengths[row]:
                reset_update_units(gates[t, row], past[t, row], hW[row], h[t, row], W_hn)
        if W_hn is not None:  # a_n += q W_hn, for all rows at once
            a_n = gates[t, first:last, 2 * H :]
            add_product(a_n, past[t, first:last, :], W_hn, a_n)
        for row in range(first, last):
            h_prev, h_new = h[t, row], h[t + 1, row]
            if t < lengths[row]:
                hidden_state_units(h_new, gates[t, row], h_prev)
            else:  # past its end the state is carried on
                for j in range(H):
                    h_new[j] = h_prev[j]


@jit
def gru_backward(first, last, dx, da, dhW, dh_inout, dq, dy, cache, weights, W_hn_T):
    """Fill, in the rows first:last of the batch, dx (T, B, D), da (T, B, 3H), the gradient of
    x W_x + b, and dhW, that of h W_h + b_h: (da_r, da_z, dm), or (da_r, da_z) for "before".
    dh_inout (B, H) enters as the gradient of the final state and leaves as that of the initial one;
    dq (B, H) is scratch memory."""
    _, h, gates, past, lengths = cache
    W_x_T, W_h_T, zeros, _ = weights
    T, _, H = past.shape
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            if t >= lengths[row]:  # the final state is the state at the sequence's own end
                da[t, row] = 0
                dhW[t, row] = 0
                continue
            (_, z, n), (_, da_z, da_n) = split3(gates[t, row]), split3(da[t, row])
            dh, dy_t, h_prev = dh_inout[row], dy[t, row], h[t, row]
            dhW_z, dq_t = dhW[t, row, H : 2 * H], dq[row]
            for j in range(H):
                da_z[j], da_n[j], dh[j] = hidden_state_backward(
                    dh[j] + dy_t[j], z[j], n[j], h_prev[j]
                )
            for j in range(H):
                dhW_z[j], dq_t[j] = da_z[j], 0
        if W_hn_T is not None:  # dq = da_n W_hn^T, for all rows at once
            dq_rows, da_n_rows = dq[first:last, :], da[t, first:last, 2 * H :]
            add_product(dq_rows, da_n_rows, W_hn_T, dq_rows)
        for row in range(first, last):
            if t >= lengths[row]:
                continue
            # Only now the reset gate: with "before" its gradient comes through dq.
            (r, _, _), (da_r, _, da_n) = split3(gates[t, row]), split3(da[t, row])
            dhW_r = dhW[t, row, :H]
            if W_hn_T is None:
                m, dm = past[t, row], dhW[t, row, 2 * H :]
                for j in range(H):
                    da_r[j] = dhW_r[j] = da_n[j] * m[j] * dsigmoid(r[j])
                    dm[j] = da_n[j] * r[j]
            else:
                dq_t, dh, h_prev = dq[row], dh_inout[row], h[t, row]
                for j in range(H):
                    da_r[j] = dhW_r[j] = dq_t[j] * h_prev[j] * dsigmoid(r[j])
                    dh[j] += dq_t[j] * r[j]
        dh_rows = dh_inout[first:last, :]
        add_product(dh_rows, dhW[t, first:last, :], W_h_T, dh_rows)
        product_of_step(t, first, last, zeros, da, W_x_T, dx)


@jit
def gru_forward_in_pieces(first, last, cache, weights, W_hn, hW):
    """``gru_forward`` with memory for the gates of a few steps only. The lengths are counted down
    to what is left of each sequence."""
    x, h, gates, past, lengths_inout = cache
    steps = len(gates)
    for t in range(0, len(x), steps):
        piece = x[t : t + steps], h[t:], gates, past, lengths_inout
        gru_forward(first, last, piece, weights, W_hn, hW)
        for row in range(first, last):
            lengths_inout[row] -= steps


@jit
def gru_one_step(h, gates_inout, m, hW_inout, b, b_hn, h_prev):
    """A single step for reset="after": fill h and m (B, H). gates_inout (B, 3H) enters as x W_x and
    hW_inout (B, 3H) as h_prev W_h; b (3H,), b_hn (H,)."""
    for row in range(len(h)):
        gates, hW = gates_inout[row], hW_inout[row]
        for k in range(len(b)):
            gates[k] += b[k]
        for j in range(len(b_hn)):
            hW[2 * len(b_hn) + j] += b_hn[j]
        reset_update_units(gates, m[row], hW, h_prev[row], None)
        hidden_state_units(h[row], gates, h_prev[row])


# ---- The layer ----------------------------------------------------------------------------------


class GRU(Cell):
    """GRU layer: x (T, B, input_size) to y (T, B, hidden_size).

    Parameters: ``W_x`` (D, 3H), ``W_h`` (H, 3H), ``b`` (3H,), columns in the order r, z, n; for
    ``reset="after"`` also ``b_hn`` (H,), which r multiplies. The state is h (B, H).

    reset: "after" or "before" the product with ``W_hn``.
    rng: a seed or a numpy Generator, from which ``W_x`` is drawn as Glorot uniform and ``W_h`` as
        orthogonal matrices, gate by gate (see ``initializers``); the biases start as zero.
    dtype: float64 or float32, in which the layer computes.
    """

    gates = cached_gates = ("r", "z", "n")
    keeping = (("z", 1),)
    cache_type = GRUCache

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        reset: Literal["after", "before"] = "after",
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(input_size, hidden_size, dtype)
        D, H, rng = self.input_size, self.hidden_size, checks.generator(rng)
        self.reset = checks.choice(reset, "reset", ("after", "before"))
        self.variant = self.reset
        self._set_params(
            W_x=glorot_uniform(rng, D, H, blocks=3),
            W_h=orthogonal(rng, H, blocks=3),
            b=np.zeros(3 * H),
            **({"b_hn": np.zeros(H)} if self.reset == "after" else {}),
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
        weights, W_hn = self._weights()
        # Without caches, memory for the gates of a few steps is used again and again.
        keep = caching.get()
        steps = T if keep else min(T, 1 + PIECE // (B * 3 * H))
        h, gates = empty((T + 1, B, H), self.dtype), empty((steps, B, 3 * H), self.dtype)
        # Zeros, since past a sequence's end nothing is filled in, and 0 * anything may be NaN.
        past, hW = np.zeros((steps, B, H), self.dtype), empty((B, weights.b_h.size), self.dtype)
        h[0] = h_0
        run = gru_forward if keep else gru_forward_in_pieces
        work = T * B * (weights.W_x.size + 3 * H * H)
        arrays = for_kernels(x), h, gates, past, ends
        threads.each_row(run, B, work, arrays, weights, W_hn, hW)
        y = h[1:] if past_end is None else zero_at(past_end, h[1:])
        final = h[T].copy()
        y.flags.writeable = final.flags.writeable = False
        cache = GRUCache(x, h, gates, past, ends, self.variant) if keep else None
        return y, final, cache

    @quiet
    def backward(self, dy: Numbers | None, cache: Any, dstate: Numbers | None = None) -> Backward:
        """Back-propagate through time.

        dy: (T, B, H), the gradient of the loss with respect to y; None for zeros.
        cache: what ``forward`` returned, with x and the parameters still as they were.
        dstate: the gradient with respect to the final state (B, H); None for zeros.

        Returns dx (T, B, input_size), the gradient of the initial state, and the dictionary of the
        parameters' gradients. Raises ValueError or TypeError for a wrong shape or kind.
        """
        x, h, gates, past, ends, _ = checks.cache(cache, self)
        (T, B, _), H = x.shape, self.hidden_size
        weights, W_hn_T = self._weights(backward=True)
        dy = for_kernels(checks.gradient(dy, (T, B, H), self.dtype))
        (dh,) = (d.copy() for d in checks.state(dstate, "dstate", self, B, self.dtype))
        dx, da = empty(x.shape, self.dtype), empty(gates.shape, self.dtype)
        dhW, dq = empty((T, B, weights.b_h.size), self.dtype), np.zeros_like(dh)
        arrays = for_kernels(x), h, gates, past, ends
        work = T * B * (weights.W_x.size + 3 * H * H)
        arguments = dx, da, dhW, dh, dq, dy, arrays, weights, W_hn_T
        threads.each_row(gru_backward, B, work, *arguments)
        dW_x, db = weight_gradients(da, x, 1)
        dW_h, db_h = weight_gradients(dhW, h[:-1], 1)
        grads = {"W_x": dW_x, "W_h": dW_h, "b": db}
        if self.reset == "after":
            grads["b_hn"] = db_h[2 * H :]
        else:
            grads["W_h"] = np.hstack([dW_h, *weight_gradients(da[..., 2 * H :], past)])
        return dx, dh, grads

    def _weights(self, backward=False):
        """The parameters as the loops take them, and W_hn, which is None for reset="after"; for the
        backward loop all of them transposed."""
        W_x, W_h, b, *b_hn = checks.params(self, self.param_shapes)
        W_hn, H = None, self.hidden_size
        if self.reset == "before":
            W_h, W_hn = np.split(W_h, [2 * H], axis=1)
        b_h = np.zeros((1, W_h.shape[1]), self.dtype)
        if b_hn:
            b_h[0, 2 * H :] = b_hn[0]
        if backward:
            W_x, W_h, W_hn = W_x.T, W_h.T, None if W_hn is None else W_hn.T
        b = np.zeros((1, self.input_size), self.dtype) if backward else for_kernels(b)[None]
        weights = GRUWeights(panels(W_x), panels(W_h), b, b_h)
        return weights, None if W_hn is None else panels(W_hn)

    def _step(self, params, x, h_prev):
        return (textbook.gru_step(params, x, h_prev).h,)

    def _quick_step(self, x, h_prev):
        if self.reset == "before":  # q W_hn is a product between the gates and the candidate
            return self._step(self.params, x, h_prev)
        W_x, W_h, b, b_hn = checks.params(self, self.param_shapes)
        h, m = np.empty(h_prev.shape, self.dtype), np.empty(h_prev.shape, self.dtype)
        gates, hW, h_prev = x @ W_x, h_prev @ W_h, for_kernels(h_prev)
        gru_one_step(h, gates, m, hW, for_kernels(b), for_kernels(b_hn), h_prev)
        return (h,)
