"""LSTM with a recurrent projection (Sak, Senior & Beaufays 2014, arXiv:1402.1128).

Axes: T time, B batch, D input, H cells, P projected units, P < H. What a step hands to the next,
and what the layer returns, is not the output of the H cells but P mixtures of it::

    a[t] = x[t] W_x + h[t-1] W_h + b            W_h (P, 4H), no longer (H, 4H)
    i, f, g, o, c[t] and m[t] = o * tanh(c[t])  of an LSTM, see ``textbook.py``
    h[t] = m[t] W_r                             W_r (H, P)

So the memory of H cells costs 4HP + HP recurrent weights in place of 4HH. Backward, before the
lines of the LSTM, where dm stands in place of its dh::

    dm[t] = dh[t] W_r^T        dW_r = sum_t m[t]^T dh[t]

There is no new LSTM here: each step is that of ``textbook.py``, which does not ask whether W_h is
square. Being plain NumPy, it is slower than the compiled ``LSTM`` if the layer is small.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.cells import textbook
from minirnn.cells.initializers import glorot_uniform
from minirnn.description import Shown
from minirnn.engine.threads import OneBlasThread
from minirnn.padding import padding, zero_at
from minirnn.protocol import (
    Array,
    Backward,
    Forward,
    LSTMState,
    Numbers,
    Seed,
    Shape,
    fitting,
    quiet,
)


class ProjectedLSTMCache(NamedTuple):
    """What ``ProjectedLSTM.backward`` needs to know of the forward pass."""

    steps: list[textbook.LSTMStep]  # all values of each step; its h is m
    valid: Array  # (T, B, 1) bool: the steps before the end of each sequence
    made_by: str  # the sizes of the layer


class ProjectedLSTM(Shown):
    """Projected LSTM layer: x (T, B, input_size) to y (T, B, proj_size).

    Parameters: ``W_x`` (D, 4H), ``W_h`` (P, 4H), ``b`` (4H,), columns in the order i, f, g, o, and
    the projection ``W_r`` (H, P). The state is the pair (h, c) of (B, P) and (B, H). It computes
    what ``torch.nn.LSTM`` does with ``proj_size``.

    hidden_size: H, the number of cells. proj_size: P, less than that.
    forget_bias: initial value of the forget gate's part of ``b``; the rest of it starts as zero.
    rng: a seed or a Generator, from which the matrices are drawn as Glorot uniform.
    """

    gates: tuple[str, ...] = ("i", "f", "g", "o")
    keeping = (("f", 1), ("i", -1))
    state_names = ("h", "c")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        proj_size: int,
        forget_bias: float = 1.0,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.input_size = D = checks.size(input_size, "input_size")
        self.hidden_size = H = checks.size(hidden_size, "hidden_size")
        self.proj_size = P = checks.size(proj_size, "proj_size")
        if P >= H:
            raise ValueError(f"proj_size: expected less than hidden_size, {H}, got {P}")
        self.dtype, rng = checks.float_dtype(dtype), checks.generator(rng)
        b = np.zeros(4 * H)
        b[H : 2 * H] = checks.number(forget_bias, "forget_bias")
        initial = {
            "W_x": glorot_uniform(rng, D, H, blocks=4),
            "W_h": glorot_uniform(rng, P, H, blocks=4),
            "b": b,
            "W_r": glorot_uniform(rng, H, P),
        }
        self.params = {name: p.astype(self.dtype) for name, p in initial.items()}
        self.param_shapes = {name: p.shape for name, p in self.params.items()}

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", self.input_size))
        return "T", "B", self.proj_size

    def zero_state(self, B: int) -> LSTMState:
        """The state of zeros that ``forward`` starts from."""
        h, c = self._state(None, "state", B)
        return h, c

    def _checked_params(self) -> dict[str, Array]:
        shapes = self.param_shapes
        return dict(zip(shapes, checks.params(self, shapes), strict=True))

    def _state(self, value: Any, name: str, B: int, kinds: str = "biuf") -> list[Array]:
        """The pair (h, c), or that of its gradients, in this layer's dtype (of real numbers)."""
        sizes, dtype = {"h": self.proj_size, "c": self.hidden_size}, self.dtype
        if value is None:
            return [np.zeros((B, n), dtype) for n in sizes.values()]
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            expected = f"a pair (h, c) of arrays (B, {sizes['h']}) and (B, {sizes['c']})"
            raise TypeError(f"{name}: expected {expected}, got {type(value).__name__}")
        return [
            checks.array(a, f"{name} {k}", (B, n), dtype if kinds == "biuf" else None, kinds)
            for a, (k, n) in zip(value, sizes.items(), strict=True)
        ]

    def _one_step(self, p: Mapping[str, Array], x: Array, h: Array, c: Array) -> tuple[Any, Array]:
        """All values of the LSTM's step, whose h is m, and the new h."""
        step = textbook.lstm_step(p, x, h, c)
        return step, step.h @ p["W_r"]

    @quiet
    def forward(
        self,
        x: Numbers,
        state: LSTMState | None = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> Forward:
        """Run over a whole sequence.

        x: (T, B, input_size), cast to the layer's dtype. state: the pair (h, c) of (B, P) and
        (B, H), None for zeros. lengths: (B,) in 0..T, None for T each; after a sequence's end its
        state is carried on and its outputs are zero. training, rng: ignored.

        Returns y (T, B, P), the final state, and the cache. Raises ValueError or TypeError for a
        wrong shape or kind.
        """
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        T, B, _ = x.shape
        h_0, c_0 = self._state(state, "state", B)
        past_end = padding(checks.lengths(lengths, T, B), T)
        x, valid, p = zero_at(past_end, x), ~past_end[..., None], self._checked_params()
        h = np.empty((T + 1, B, self.proj_size), self.dtype)
        c = np.empty((T + 1, B, self.hidden_size), self.dtype)
        h[0], c[0], steps = h_0, c_0, []
        with OneBlasThread():  # so that the bits do not depend on the number of threads
            for t in range(T):
                step, h_new = self._one_step(p, x[t], h[t], c[t])
                h[t + 1] = np.where(valid[t], h_new, h[t])
                c[t + 1] = np.where(valid[t], step.c, c[t])
                steps.append(step)
        cache = ProjectedLSTMCache(steps, valid, repr(self))
        return zero_at(past_end, h[1:]).copy(), (h[T].copy(), c[T].copy()), cache

    @quiet
    def backward(self, dy: Numbers | None, cache: Any, dstate: LSTMState | None = None) -> Backward:
        """Back-propagate through time: dx (T, B, D), the gradients of the initial (h, c), and those
        of the parameters. dy: (T, B, P); dstate: those of the final (h, c); None for zeros."""
        steps, valid, made_by = checks.cache_type(cache, ProjectedLSTMCache)
        if made_by != repr(self):
            raise ValueError(f"cache: made by a layer {made_by}, given to one {self!r}")
        T, B, _ = valid.shape
        dy = checks.gradient(dy, (T, B, self.proj_size), self.dtype)
        (dh, dc), p = self._state(dstate, "dstate", B), self._checked_params()
        dx = np.empty((T, B, self.input_size), self.dtype)
        grads = {name: np.zeros_like(a) for name, a in p.items()}
        with OneBlasThread():
            for t in reversed(range(T)):
                # Past its end a sequence hands the gradients on, and its step has none.
                own_dh, own_dc = np.where(valid[t], dh + dy[t], 0), np.where(valid[t], dc, 0)
                dm = own_dh @ p["W_r"].T  # h = m W_r
                dx[t], dh_prev, dc_prev, of_step = textbook.lstm_step_backward(
                    p, dm, own_dc, steps[t]
                )
                of_step["W_r"] = steps[t].h.T @ own_dh
                dh, dc = np.where(valid[t], dh_prev, dh), np.where(valid[t], dc_prev, dc)
                for name, g in of_step.items():
                    grads[name] += g
        return dx, (dh, dc), grads

    def step(
        self, x: Any, state: LSTMState | None = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, LSTMState]:
        """One time step, of any dtype: x (B, D). Returns y (B, P) and the new state."""
        x = checks.array(x, "x", ("B", self.input_size), None, "biufc")
        h, c = self._state(state, "state", len(x), "biufc")
        step, y = self._one_step(self.params if params is None else params, x, h, c)
        y.setflags(write=False)  # it is y and h at once
        return y, (y, step.c)

    def gate_values(self, cache: Any) -> dict[str, Array]:
        """Each gate's values at every step (T, B, H), for ``trace``."""
        return {k: np.array([getattr(step, k) for step in cache.steps]) for k in self.gates}
