"""Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078).

Axes: T time, B batch, D input, H hidden. Gates: r reset, z update, n candidate, stored in this
order side by side, as in PyTorch (Keras and ONNX: z r h).

Forward, for t = 0 ... T-1 (``*`` is elementwise, a juxtaposed matrix a product; the code keeps the
initial state first, so that h[t-1] is ``h[t]`` there)::

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

from typing import NamedTuple

import numpy as np

from minirnn import checks
from minirnn.activations import dsigmoid, dtanh, sigmoid, tanh
from minirnn.cells.common import Cell, columns, split3, stacked, steps_kept
from minirnn.cells.initializers import glorot_uniform, orthogonal
from minirnn.engine.jit import for_kernels, inline, jit, plain, wide_vectors
from minirnn.engine.memory import empty
from minirnn.engine.products import add_product, panels, weight_gradients


class GRUCache(NamedTuple):
    """What ``GRU.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    h: np.ndarray  # (T+1, B, H): h[0] is the initial state, h[t+1] the state after step t
    gates: np.ndarray  # (T, B, 3H): the values of r, z, n
    past: np.ndarray  # (T, B, H): m for reset="after", q for reset="before"
    lengths: np.ndarray  # (B,)
    variant: str  # of the layer that made it


@inline
def reset_update(a_r, a_z):
    """Equations of the two gates of one unit."""
    return sigmoid(a_r), sigmoid(a_z)


@inline
def hidden_state(a_n, z, h_prev):
    """Equations of the candidate and the new state of one unit."""
    n = tanh(a_n)
    h = n + z * (h_prev - n)  # (1 - z) * n + z * h_prev, with one product less
    return n, h


@inline
def hidden_state_backward(dh, z, n, h_prev):
    """Mirror of ``hidden_state``: da_z, da_n, and the part of dh that goes straight to h_prev."""
    da_z = dh * (h_prev - n) * dsigmoid(z)
    da_n = (dh - dh * z) * dtanh(n)  # dh * (1 - z), but to Numba 1 - z would be a float64
    return da_z, da_n, dh * z


def gru_step(params, x, h_prev):
    """One time step in plain NumPy: x (B, D), h_prev (B, H); returns h (B, H)."""
    W_hr, W_hz, W_hn = columns(params["W_h"], 3)
    a_r, a_z, a_n = columns(x @ params["W_x"] + params["b"], 3)
    r, z = plain(reset_update)(a_r + h_prev @ W_hr, a_z + h_prev @ W_hz)
    if "b_hn" in params:
        s = r * (h_prev @ W_hn + params["b_hn"])
    else:
        s = (r * h_prev) @ W_hn
    n, h = plain(hidden_state)(a_n + s, z, h_prev)
    return h


@inline
def reset_update_row(gates, past, hW, h_prev, W_hn):
    """The two gates of all units of one row, and what the candidate sees of the past: gates (3H,)
    enter as x W_x + b and leave as r, z, a_n (for reset="before" without s); fill past (H,), which
    is m or q. hW (3H,), or (2H,) for "before"; h_prev (H,). W_hn only tells the version: it is
    None for "after"."""
    wide_vectors()
    H = len(h_prev)
    xW_r, xW_z, a_n = split3(gates)
    r, z = xW_r, xW_z  # the same memory
    hW_r, hW_z = hW[:H], hW[H : 2 * H]
    m = q = past
    for j in range(H):
        r[j], z[j] = reset_update(xW_r[j] + hW_r[j], xW_z[j] + hW_z[j])
    if W_hn is None:
        hW_n = hW[2 * H :]
        for j in range(H):
            m[j] = hW_n[j]
            a_n[j] += r[j] * m[j]
    else:
        for j in range(H):
            q[j] = r[j] * h_prev[j]


@inline
def hidden_state_row(h, gates, h_prev):
    """The candidate and the new state of all units of one row: gates (3H,) enter as r, z, a_n and
    leave as r, z, n; fill h (H,)."""
    wide_vectors()
    _, z, a_n = split3(gates)
    n = a_n
    for j in range(len(h)):
        n[j], h[j] = hidden_state(a_n[j], z[j], h_prev[j])


@jit
def gru_forward(first, last, h, gates, past, hW, x, W_x, W_h, W_hn, b, b_h, lengths):
    """Fill, in the rows first:last of the batch, h[1:] (T+1, B, H), gates (T, B, 3H) with r, z, n,
    and past (T, B, H), m or q, with hW (B, 3H or 2H) to work in. As panels (see ``products``): W_x;
    W_h (H, 3H) with None as W_hn for reset="after", and then Numba leaves out the branches for
    "before", where they are (H, 2H) and (H, H). As a row: b (1, 3H), and b_h, which is (0, 0, b_hn)
    or, for "before", (0, 0). Under ``no_cache`` gates and past have a place for one step only."""
    T, H = len(x), h.shape[2]
    for t in range(T):
        now = t % len(gates)  # with a cache t
        # The last colon makes these of the same type as a_n, and the product is compiled once only.
        add_product(b[:, :], x[t, first:last, :], W_x, gates[now, first:last, :])
        add_product(b_h[:, :], h[t, first:last, :], W_h, hW[first:last, :])
        for row in range(first, last):
            if t < lengths[row]:
                reset_update_row(gates[now, row], past[now, row], hW[row], h[t, row], W_hn)
        if W_hn is not None:
            a_n = gates[now, first:last, 2 * H :]
            add_product(a_n, past[now, first:last, :], W_hn, a_n)
        for row in range(first, last):
            h_prev, h_new = h[t, row], h[t + 1, row]
            if t < lengths[row]:
                hidden_state_row(h_new, gates[now, row], h_prev)
            else:  # past its end the state is carried on
                for j in range(H):
                    h_new[j] = h_prev[j]


@jit
def gru_rows(h, gates, hW, b, b_hn, h_prev):
    """A single step for reset="after": fill h (B, H). gates (B, 3H) enters as x W_x, hW (B, 3H) as
    h[t-1] W_h, and both are overwritten; b (3H,), b_hn (H,), h_prev (B, H)."""
    for row in range(len(h)):
        gates_row, hW_row = gates[row], hW[row]
        _, _, hW_n = split3(hW_row)
        for k in range(len(b)):
            gates_row[k] += b[k]
        for j in range(len(b_hn)):
            hW_n[j] += b_hn[j]
        m = hW_n  # the same memory
        reset_update_row(gates_row, m, hW_row, h_prev[row], None)
        hidden_state_row(h[row], gates_row, h_prev[row])


@jit
def gru_backward(
    first, last, dx, da, dhW, dh, dq, dy, h, gates, past, W_x_T, W_h_T, W_hn_T, lengths
):
    """Fill, in the rows first:last of the batch, dx (T, B, D), da (T, B, 3H), the gradient of
    x W_x + b, and dhW, that of h W_h: (da_r, da_z, dm), or (da_r, da_z) for "before". dh (B, H)
    enters as the gradient of the final state and leaves as that of the initial one; dq (B, H) is
    to work in. W_x_T, W_h_T, W_hn_T: the panels of W_x^T, W_h^T, W_hn^T, the last
    None for "after"."""
    T, _, H = past.shape
    for t in range(T - 1, -1, -1):
        for row in range(first, last):
            dx[t, row] = 0
            if t >= lengths[row]:  # the final state is the state at the sequence's own end
                da[t, row] = 0
                dhW[t, row] = 0
                continue
            (_, z, n), (_, da_z, da_n) = split3(gates[t, row]), split3(da[t, row])
            dh_row, dy_row, h_prev = dh[row], dy[t, row], h[t, row]
            dhW_z, dq_row = dhW[t, row, H : 2 * H], dq[row]
            for j in range(H):
                da_z[j], da_n[j], dh_row[j] = hidden_state_backward(
                    dh_row[j] + dy_row[j], z[j], n[j], h_prev[j]
                )
            for j in range(H):
                dhW_z[j], dq_row[j] = da_z[j], 0
        if W_hn_T is not None:
            # With the last colon here and below for the same reason as in the forward pass.
            dq_rows, da_n_rows = dq[first:last, :], da[t, first:last, 2 * H :]
            add_product(dq_rows, da_n_rows, W_hn_T, dq_rows)
        for row in range(first, last):
            if t >= lengths[row]:
                continue
            (r, _, _), (da_r, _, da_n) = split3(gates[t, row]), split3(da[t, row])
            dhW_r = dhW[t, row, :H]
            if W_hn_T is None:
                m, dm = past[t, row], dhW[t, row, 2 * H :]
                for j in range(H):
                    da_r[j] = dhW_r[j] = da_n[j] * m[j] * dsigmoid(r[j])
                    dm[j] = da_n[j] * r[j]
            else:
                dq_row, dh_row, h_prev = dq[row], dh[row], h[t, row]
                for j in range(H):
                    da_r[j] = dhW_r[j] = dq_row[j] * h_prev[j] * dsigmoid(r[j])
                    dh_row[j] += dq_row[j] * r[j]
        dh_rows, dx_rows = dh[first:last, :], dx[t, first:last, :]
        add_product(dh_rows, dhW[t, first:last, :], W_h_T, dh_rows)
        add_product(dx_rows, da[t, first:last, :], W_x_T, dx_rows)


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
    cache_type = GRUCache

    def __init__(self, input_size, hidden_size, reset="after", rng=None, dtype=np.float64):
        super().__init__(input_size, hidden_size, dtype)
        D, H, rng = self.input_size, self.hidden_size, checks.generator(rng)
        self.reset = checks.choice(reset, "reset", ("after", "before"))
        self.variant = f"reset {reset}"
        self._set_params(
            W_x=glorot_uniform(rng, D, H, blocks=3),
            W_h=orthogonal(rng, H, blocks=3),
            b=np.zeros(3 * H),
            **({"b_hn": np.zeros(H)} if self.reset == "after" else {}),
        )

    def _recurrent_weights(self, W_h):
        """W_h and W_hn as the kernels take them: None for W_hn unless r works before it."""
        if self.reset == "after":
            return W_h, None
        return np.split(W_h, [2 * self.hidden_size], axis=1)

    def _step(self, params, x, h_prev):
        return (gru_step(params, x, h_prev),)

    def _quick_step(self, x, h_prev):
        if self.reset == "before":  # there is a product in between
            return super()._quick_step(x, h_prev)
        W_x, W_h, b, b_hn = self._checked_params()
        gates, hW, h = x @ W_x, h_prev @ W_h, np.empty(h_prev.shape, self.dtype)
        gru_rows(h, gates, hW, for_kernels(b), for_kernels(b_hn), for_kernels(h_prev))
        return (h,)

    def _forward(self, x, state, lengths):
        W_x, W_h, b, *b_hn = self._checked_params()
        W_h, W_hn = self._recurrent_weights(W_h)
        b_h = np.zeros(W_h.shape[1], self.dtype)
        if b_hn:
            b_h[2 * self.hidden_size :] = b_hn[0]
        (T, B, _), h = x.shape, stacked(state[0], len(x))
        # Zeros, since past a sequence's end nothing is filled in, and 0 * anything may be NaN.
        kept = steps_kept(T)
        gates, past = empty((kept, B, W_x.shape[1]), self.dtype), np.zeros_like(h[:kept])
        hW = np.empty((B, len(b_h)), self.dtype)
        W_hn = None if W_hn is None else panels(W_hn)
        weights = panels(W_x), panels(W_h), W_hn, for_kernels(b)[None], b_h[None]
        self._run(gru_forward, T, B, h, gates, past, hW, for_kernels(x), *weights, lengths)
        return GRUCache(x, h, gates, past, lengths, self.variant)

    def _backward(self, dy, cache, dstate):
        W_x, W_h, *_ = self._checked_params()
        W_h, W_hn = self._recurrent_weights(W_h)
        x, h, gates, past, lengths, _ = cache
        shapes = x.shape, gates.shape, (*dy.shape[:2], W_h.shape[1])
        dx, da, dhW = (empty(shape, self.dtype) for shape in shapes)
        dq = np.zeros_like(dstate[0])
        W_hn_T = None if W_hn is None else panels(W_hn.T)
        weights = panels(W_x.T), panels(W_h.T), W_hn_T
        known = for_kernels(dy), h, gates, past, *weights, lengths
        self._run(gru_backward, *dy.shape[:2], dx, da, dhW, *dstate, dq, *known)
        H = self.hidden_size
        dW_x, db = weight_gradients(da, x, 1)
        dW_h, db_h = weight_gradients(dhW, h[:-1], 1)
        grads = {"W_x": dW_x, "W_h": dW_h, "b": db}
        if self.reset == "after":
            grads["b_hn"] = db_h[2 * H :]
        else:
            grads["W_h"] = np.hstack([dW_h, *weight_gradients(da[..., 2 * H :], past)])
        return dx, grads
