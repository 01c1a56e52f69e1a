"""Dropout within the recurrence of an RNN, an LSTM or a GRU.

Axes: B batch, H hidden. One mask k (B, H), 0 with probability p and else 1 / (1 - p), is drawn for
a whole sequence. It stands where no memory passes, since what is dropped of the state itself is
lost for all steps to come. There are two such places::

    on="hidden"       (Gal & Ghahramani 2016, arXiv:1512.05287)
                      in every product with W_h:   (k * h[t-1]) W_h   in place of   h[t-1] W_h
    on="candidate"    (Semeniuta, Severyn & Barth 2016, arXiv:1603.05118)
                      LSTM:   c[t] = f * c[t-1] + i * (k * g)
                      GRU:    h[t] = (1 - z) * (k * n) + z * h[t-1]

To drop k in front of a product is to drop rows of W_h: Gal & Ghahramani's approximate posterior
over weights. (Merity et al. 2018, arXiv:1708.02182, drop single weights instead, for all sequences
of a batch the same ones. That needs a single matrix, but then the sequences of a batch are not
independent.) For the inputs, Gal & Ghahramani's x[t] * k is ``Dropout(p, per_sequence=True)`` below
the layer.

In use nothing is dropped, and the layer is the cell. While training it is run here, in plain NumPy.
Where all k are 1, the lines below are those of ``cells/textbook.py``, forward and backward.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.activations import dsigmoid, dtanh, sigmoid
from minirnn.cells.common import as_state, columns
from minirnn.cells.gru import GRU
from minirnn.cells.lstm import LSTM
from minirnn.cells.rnn import RNN
from minirnn.description import layer_text
from minirnn.engine.products import times, weight_gradients
from minirnn.engine.threads import OneBlasThread
from minirnn.layers.container import Container, PartShapes
from minirnn.layers.elementwise import Dropout
from minirnn.padding import padding, zero_at
from minirnn.protocol import Array, Numbers, Seed, Shape, State, quiet

Params = Mapping[str, Array]


class Masks(NamedTuple):
    """The mask (B, H) at the one place, and 1 at the other."""

    hidden: Any
    candidate: Any


# ---- One step of each cell, and its mirror ------------------------------------------------------
#
# A step gets xW = x[t] W_x + b (B, G*H), the masks and the states before it; it returns the states
# after it, and what its mirror needs. The mirror returns the gradients of xW, of the states before
# the step, of the parameters within it, and of the masks.


def rnn_step(p: Params, relu: bool, xW: Array, k: Masks, h_prev: Array) -> Any:
    u = k.hidden * h_prev
    a = xW + u @ p["W_h"]
    h = np.maximum(a, 0) if relu else np.tanh(a)
    return (h,), (h_prev, u, h)


def rnn_step_backward(p: Params, relu: bool, k: Masks, dstates: Any, values: Any) -> Any:
    h_prev, u, h = values
    (dh,) = dstates
    da = dh * (h > 0) if relu else dh * dtanh(h)
    du = da @ p["W_h"].T
    return da, (du * k.hidden,), {"W_h": u.T @ da}, Masks(du * h_prev, 0)


def lstm_step(p: Params, xW: Array, k: Masks, h_prev: Array, c_prev: Array) -> Any:
    u = k.hidden * h_prev
    a_i, a_f, a_g, a_o = columns(xW + u @ p["W_h"], 4)
    i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
    c = f * c_prev + i * (k.candidate * g)
    tanh_c = np.tanh(c)
    return (o * tanh_c, c), (h_prev, c_prev, u, i, f, g, o, tanh_c)


def lstm_step_backward(p: Params, k: Masks, dstates: Any, values: Any) -> Any:
    h_prev, c_prev, u, i, f, g, o, tanh_c = values
    dh, dc = dstates
    do = dh * tanh_c  # h = o * tanh_c
    dc = dc + dh * o * dtanh(tanh_c)
    df, dc_prev = dc * c_prev, dc * f  # c = f * c_prev + i * (k * g)
    di, dkg = dc * k.candidate * g, dc * i
    dg = dkg * k.candidate
    da = np.hstack([di * dsigmoid(i), df * dsigmoid(f), dg * dtanh(g), do * dsigmoid(o)])
    du = da @ p["W_h"].T
    return da, (du * k.hidden, dc_prev), {"W_h": u.T @ da}, Masks(du * h_prev, dkg * g)


def gru_step(p: Params, xW: Array, k: Masks, h_prev: Array) -> Any:
    xW_r, xW_z, xW_n = columns(xW, 3)
    W_hr, W_hz, W_hn = columns(p["W_h"], 3)
    u = k.hidden * h_prev
    r, z = sigmoid(xW_r + u @ W_hr), sigmoid(xW_z + u @ W_hz)
    if "b_hn" in p:  # reset="after"
        past = u @ W_hn + p["b_hn"]
        s = r * past
    else:
        past = r * u
        s = past @ W_hn
    n = np.tanh(xW_n + s)
    return ((1 - z) * (k.candidate * n) + z * h_prev,), (h_prev, u, r, z, n, past)


def gru_step_backward(p: Params, k: Masks, dstates: Any, values: Any) -> Any:
    h_prev, u, r, z, n, past = values
    W_hr, W_hz, W_hn = columns(p["W_h"], 3)
    (dh,) = dstates
    dz = dh * (h_prev - k.candidate * n)  # h = (1 - z) * (k * n) + z * h_prev
    dkn = dh * (1 - z)
    ds = dkn * k.candidate * dtanh(n)  # n = tanh(xW_n + s)
    grads = {}
    if "b_hn" in p:
        dr, dm = ds * past, ds * r  # s = r * m, m = u W_hn + b_hn
        grads["b_hn"] = dm.sum(axis=0)
        dW_hn, du = u.T @ dm, dm @ W_hn.T
    else:
        dW_hn, dq = past.T @ ds, ds @ W_hn.T  # s = q W_hn, q = r * u
        dr, du = dq * u, dq * r
    da_r, da_z = dr * dsigmoid(r), dz * dsigmoid(z)
    du = du + da_r @ W_hr.T + da_z @ W_hz.T
    grads["W_h"] = np.hstack([u.T @ da_r, u.T @ da_z, dW_hn])
    dh_prev = dh * z + du * k.hidden
    return np.hstack([da_r, da_z, ds]), (dh_prev,), grads, Masks(du * h_prev, dkn * n)


def steps_of(cell: Any) -> Any:
    """The two functions above for a cell; None if there are none."""
    if type(cell) is LSTM and not cell.peephole:
        return lstm_step, lstm_step_backward
    if type(cell) is GRU:
        return gru_step, gru_step_backward
    if type(cell) is RNN:
        relu = cell.nonlinearity == "relu"
        return (
            lambda p, *rest: rnn_step(p, relu, *rest),
            lambda p, *rest: rnn_step_backward(p, relu, *rest),
        )
    return None


# ---- The layer ----------------------------------------------------------------------------------


class DroppedRun(NamedTuple):
    """What the way back through a run with a mask needs to know."""

    x: Array  # (T, B, D)
    k: Masks
    steps: list[Any]  # the values of each
    valid: Array  # (T, B, 1) bool: the steps before the end of each sequence


class RecurrentDropoutCache(NamedTuple):
    """What ``RecurrentDropout.backward`` needs to know of the forward pass."""

    run: Any  # a DroppedRun; where nothing was dropped, the cache of the cell
    dropout: Any
    made_by: str


class RecurrentDropout(Container):
    """An RNN, LSTM or GRU with dropout in its recurrence while training; in use, that cell.

    cell: without peepholes. Its parameters are the layer's, named "cell.W_x" and so on. p: the
    probability of 0, which may be changed between two calls. on: "hidden" or "candidate", see
    above; an RNN has no candidate.

    The state is a list of two: that of the cell, and the mask (B, H) of the sequences, so that a
    sequence that is cut in pieces keeps its mask (see ``Dropout(per_sequence=True)``, whose rules
    hold here, too). x (T, B, D) to y (T, B, H).
    """

    def __init__(self, cell: Any, p: float, on: Literal["hidden", "candidate"] = "hidden") -> None:
        super().__init__(cell=cell, dropout=Dropout(p, per_sequence=True))
        if steps_of(cell) is None:
            raise TypeError(
                f"cell: expected RNN, LSTM without peepholes or GRU, got {layer_text(cell):.80}"
            )
        self.on = checks.choice(on, "on", ("hidden", "candidate"))
        if type(cell) is RNN and on == "candidate":
            raise ValueError(
                "on: expected 'hidden' for an RNN, which has no candidate, got 'candidate'"
            )

    @property
    def cell(self) -> Any:
        """The cell, which is what is used outside of training."""
        return self.parts["cell"]

    @property
    def p(self) -> float:
        """The probability of zero."""
        p: float = self.parts["dropout"].p
        return p

    @p.setter
    def p(self, value: float) -> None:
        self.parts["dropout"].p = value

    def split(self, state: State, name: str) -> list[Any]:
        """The cell's state and the mask. A tuple is refused: it would be the (h, c) of an LSTM."""
        if isinstance(state, tuple) and name != "cache":
            raise TypeError(f"{name}: expected a list [of the cell, mask], got a tuple")
        return super().split(state, name)

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shapes that the cell and the dropout get, and the shape of y."""
        return {"cell": x, "dropout": ("B", self.cell.hidden_size)}, self.part_output("cell", x)

    def forward(
        self,
        x: Numbers,
        state: State = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, list[State], RecurrentDropoutCache]:
        """Returns y, the final states of the cell and of the dropout (the mask), and the cache.

        rng: draws the mask of a sequence that is given none. Other arguments as for the cell.
        """
        cell = self.cell
        x = checks.array(x, "x", ("T", "B", cell.input_size), cell.dtype)
        s, mask = self.split(state, "state")
        ones = np.ones((x.shape[1], cell.hidden_size), cell.dtype)
        with self.at("dropout") as dropout:
            k, mask, of_mask = dropout.forward(ones, mask, None, training, rng)
        with self.at("cell"):
            if training and self.p > 0:
                y, s, run = self._run(x, s, lengths, k)
            else:
                y, s, run = cell.forward(x, s, lengths, training, rng)
        return y, [s, mask], RecurrentDropoutCache(run, of_mask, repr(self.cell))

    def backward(
        self, dy: Numbers | None, cache: RecurrentDropoutCache, dstate: State = None
    ) -> tuple[Array, list[State], dict[str, Array]]:
        """Returns dx, the gradients of the initial states (of a mask that was drawn, None), and
        those of the parameters."""
        run, of_mask, made_by = checks.cache_type(cache, RecurrentDropoutCache)
        if made_by != repr(self.cell):
            given = repr(self.cell)
            raise ValueError(f"cache: made by a layer with {made_by}, given to one with {given}")
        ds, dmask = self.split(dstate, "dstate")
        dk: Any = None
        with self.at("cell") as cell:
            if isinstance(run, DroppedRun):
                dx, ds, grads, dk = self._run_backward(dy, run, ds)
            else:
                dx, ds, grads = cell.backward(dy, run, ds)
        with self.at("dropout") as dropout:
            _, dmask, _ = dropout.backward(dk, of_mask, dmask)
        return dx, [ds, dmask], self.join_grads({"cell": grads})

    def step(
        self, x: Any, state: State = None, params: Params | None = None
    ) -> tuple[Array, list[State]]:
        """One time step in use: that of the cell. A mask is handed on."""
        s, mask = self.split(state, "state")
        with self.at("cell") as cell:
            y, s = cell.step(x, s, self.own_params(params, "cell"))
        return y, [s, mask]

    # ---- While training -------------------------------------------------------------------------

    def _params(self) -> dict[str, Array]:
        cell = self.cell
        names = cell.param_shapes
        return dict(zip(names, checks.params(cell, names), strict=True))

    @quiet
    def _run(self, x: Array, state: State, lengths: Any, k: Array) -> tuple[Array, Any, DroppedRun]:
        """All steps with the mask k (B, H)."""
        (T, B, _), cell, p = x.shape, self.cell, self._params()
        states = checks.state(state, "state", cell, B, cell.dtype)
        past_end = padding(checks.lengths(lengths, T, B), T)
        x, valid = zero_at(past_end, x), ~past_end[..., None]
        masks = Masks(k, 1) if self.on == "hidden" else Masks(1, k)
        y, steps = np.empty((T, B, cell.hidden_size), cell.dtype), []
        step, _ = steps_of(cell)
        xW = times(x, p["W_x"], p["b"])
        with OneBlasThread():  # so that the bits do not depend on the number of threads
            for t in range(T):
                new, values = step(p, xW[t], masks, *states)
                # Past its end a sequence keeps its state.
                states = [np.where(valid[t], n, s) for n, s in zip(new, states, strict=True)]
                steps.append(values)
                y[t] = np.where(valid[t], new[0], 0)
        final = as_state([s.copy() for s in states])
        return y, final, DroppedRun(x, masks, steps, valid)

    @quiet
    def _run_backward(self, dy: Any, run: DroppedRun, dstate: State) -> tuple[Any, ...]:
        """Returns dx, the gradients of the first state and of the parameters, and dk (B, H)."""
        x, masks, steps, valid = run
        (T, B, _), cell, p = x.shape, self.cell, self._params()
        dy = checks.gradient(dy, (T, B, cell.hidden_size), cell.dtype)
        ds = checks.state(dstate, "dstate", cell, B, cell.dtype)
        grads = {name: np.zeros_like(a) for name, a in p.items()}
        dxW = np.empty((T, B, p["W_x"].shape[1]), cell.dtype)
        dk: Any = np.zeros((B, cell.hidden_size), cell.dtype)
        _, step_backward = steps_of(cell)
        with OneBlasThread():
            for t in reversed(range(T)):
                # The gradients that go into the step; past the end they are handed on instead.
                own = [np.where(valid[t], d, 0) for d in (ds[0] + dy[t], *ds[1:])]
                dxW[t], before, of_step, of_masks = step_backward(p, masks, own, steps[t])
                ds = [np.where(valid[t], b, d) for b, d in zip(before, ds, strict=True)]
                dk = dk + (of_masks.hidden if self.on == "hidden" else of_masks.candidate)
                for name, g in of_step.items():
                    grads[name] += g
        grads["W_x"], grads["b"] = weight_gradients(dxW, x, 1)
        return times(dxW, p["W_x"].T), as_state(ds), grads, dk
