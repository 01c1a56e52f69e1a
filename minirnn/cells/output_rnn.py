"""Output recurrence (Jordan 1986): a step gets the previous *output*, not the hidden state.

Axes: T time, B batch, D input, H hidden, K output. With y[-1] the initial state::

    a[t] = x[t] W_x + u[t] W_y + b      u[t] = y[t-1], or the true output of step t-1
    h[t] = tanh(a[t])
    y[t] = h[t] W_o + b_o

Such a network is weaker than one with h[t-1] W_h, unless all that matters is in the outputs. But in
training the outputs are known. *Teacher forcing* (Williams & Zipser 1989) takes u[t] from them:
then no step waits for another, and training needs no loop over time, only a product over all steps
at once. In use u[t] is the network's own output with its errors (*free-running*). To get used to
that, the network may be given both in training, mixed at random (scheduled sampling, Bengio et al.
2015). Outside of training nothing is drawn: a network with such a mixture then runs free.

Backward, for t = T-1 ... 0, with do[t] the gradient of y[t] through all paths::

    do[t] = dy[t] + du[t+1]             du[t+1] only where u[t+1] was y[t]
    da[t] = do[t] W_o^T * (1 - h[t]^2)
    du[t] = da[t] W_y^T

and dW_o = sum h^T do, db_o = sum do, dW_x = sum x^T da, dW_y = sum u^T da, db = sum da.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.activations import dtanh, tanh
from minirnn.cells.initializers import glorot_uniform
from minirnn.description import Shown
from minirnn.engine.jit import jit
from minirnn.engine.products import add_product, panels, times, weight_gradients
from minirnn.padding import padding, zero_at
from minirnn.protocol import Backward, Forward, Numbers, Seed, Shape, fitting, quiet


class OutputRNNCache(NamedTuple):
    """What ``OutputRNN.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, D)
    u: np.ndarray  # (T, B, K)
    told: np.ndarray  # (T, B) bool: whether u is the true output (or, at t = 0, the initial state)
    h: np.ndarray  # (T, B, H)
    lengths: np.ndarray  # (B,)
    paired: bool  # whether true outputs were given


@jit
def free_forward(h, y, u, told, W_y, W_o):
    """Turn h (T, B, H) from x W_x + b into the hidden units' values and y (T, B, K) from b_o into
    the outputs, and fill u (T, B, K) where it was not told. W_y and W_o in panels."""
    (T, B, H), K = h.shape, y.shape[2]
    for t in range(T):
        for row in range(B):
            if not told[t, row]:
                for k in range(K):
                    u[t, row, k] = y[t - 1, row, k]
        add_product(h[t], u[t], W_y, h[t])
        for row in range(B):
            h_row = h[t, row]
            for j in range(H):
                h_row[j] = tanh(h_row[j])
        add_product(y[t], h[t], W_o, y[t])


@jit
def free_backward(da, do, du, told, h, W_y_T, W_o_T):
    """Turn da (T, B, H) and du (T, B, K) from zeros into gradients. do (T, B, K) enters as dy and
    leaves with du of the next step added, where u was y."""
    (T, B, H), K = h.shape, du.shape[2]
    for t in range(T - 1, -1, -1):
        add_product(da[t], do[t], W_o_T, da[t])
        for row in range(B):
            da_row, h_row = da[t, row], h[t, row]
            for j in range(H):
                da_row[j] *= dtanh(h_row[j])
        add_product(du[t], da[t], W_y_T, du[t])
        for row in range(B):
            if not told[t, row]:
                for k in range(K):
                    do[t - 1, row, k] += du[t, row, k]


class OutputRNN(Shown):
    """Layer with output recurrence: x (T, B, input_size) to y (T, B, output_size).

    With x alone it runs free. With the pair x = (x, outputs), where outputs (T, B, K) are the true
    outputs of the same steps, it is told them (teacher forcing). The state is the last output
    (B, K). Parameters: ``W_x`` (D, H), ``W_y`` (K, H), ``b`` (H,), ``W_o`` (H, K), ``b_o`` (K,).

    teacher_forcing: the probability, at each step of each sequence, of being told the true output
        where there are any; an attribute that may be lowered from epoch to epoch. With 1 the
        network is told in validation too, so that a validation loss is that of the next step. With
        less it runs free there, as it will in use.
    """

    state_names = ("y",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int,
        teacher_forcing: float = 1.0,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self.input_size = D = checks.size(input_size, "input_size")
        self.hidden_size = H = checks.size(hidden_size, "hidden_size")
        self.output_size = K = checks.size(output_size, "output_size")
        self.teacher_forcing = teacher_forcing
        self.dtype, rng = checks.float_dtype(dtype), checks.generator(rng)
        weights = {"W_x": (D, H), "W_y": (K, H), "W_o": (H, K)}
        initial = {name: glorot_uniform(rng, *shape) for name, shape in weights.items()}
        initial |= {"b": np.zeros(H), "b_o": np.zeros(K)}
        order = ("W_x", "W_y", "b", "W_o", "b_o")
        self.params = {name: initial[name].astype(self.dtype) for name in order}
        self.param_shapes = {name: p.shape for name, p in self.params.items()}

    @property
    def teacher_forcing(self) -> float:
        """The probability of being told, in 0..1."""
        return self._teacher_forcing

    @teacher_forcing.setter
    def teacher_forcing(self, value: float) -> None:
        self._teacher_forcing = checks.probability(value, "teacher_forcing")

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", self.input_size))
        return "T", "B", self.output_size

    def zero_state(self, B):
        """The state of zeros that ``forward`` starts from."""
        return np.zeros((B, self.output_size), self.dtype)

    @quiet
    def forward(
        self, x: Any, state: Numbers | None = None, lengths: Numbers | None = None,
        training: bool = False, rng: Seed = None,
    ) -> Forward:  # fmt: skip
        """Run over a whole sequence.

        x: (T, B, input_size), or the pair (x, outputs) with outputs (T, B, K). state: the output
        (B, K) before the first step, None for zeros. lengths: (B,) in 0..T, None for T each. rng:
        while training, with a teacher_forcing between 0 and 1, it draws which steps are told.

        Returns y (T, B, K), the final state (B, K), and the cache. Raises ValueError or TypeError
        for a wrong shape or kind.
        """
        x, outputs = checks.pair(x, "x") if isinstance(x, tuple) else (x, None)
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        (T, B, _), K = x.shape, self.output_size
        state = self.zero_state(B) if state is None else state
        state = checks.array(state, "state", (B, K), self.dtype)
        lengths = checks.lengths(lengths, T, B)
        past_end = padding(lengths, T)
        x = zero_at(past_end, x)
        u, told = np.zeros((T, B, K), self.dtype), np.zeros((T, B), bool)
        u[0], told[0] = state, True
        if outputs is not None:
            u[1:] = zero_at(past_end, checks.array(outputs, "x[1]", u.shape, self.dtype))[:-1]
            told[1:] = self._told(T - 1, B, training, rng)
        W_x, W_y, b, W_o, b_o = checks.params(self, self.param_shapes)
        if told.all():  # no step waits for another
            h = np.tanh(times(x, W_x, b) + times(u, W_y))
            y = times(h, W_o, b_o)
        else:
            h, y = times(x, W_x, b), np.zeros_like(u) + b_o
            free_forward(h, y, u, told, panels(W_y), panels(W_o))
        final = np.where(lengths[:, None] > 0, y[lengths - 1, np.arange(B)], state)
        cache = OutputRNNCache(x, u, told, h, lengths, outputs is not None)
        return zero_at(past_end, y), final, cache

    def _told(self, T: int, B: int, training: bool, rng: Seed) -> Any:
        """At which steps the true output is told."""
        if not training:
            return self.teacher_forcing == 1
        return checks.generator(rng).random((T, B)) < self.teacher_forcing

    @quiet
    def backward(self, dy: Numbers | None, cache: Any, dstate: Numbers | None = None) -> Backward:
        """Returns dx (T, B, D), for a pair (dx, doutputs); the gradient of the initial state
        (B, K); and the parameters' gradients."""
        x, u, told, h, lengths, paired = checks.cache_type(cache, OutputRNNCache)
        T, B, K = u.shape
        past_end = padding(lengths, T)
        do = zero_at(past_end, checks.gradient(dy, u.shape, self.dtype)).copy()
        dfinal = np.zeros((B, K), self.dtype)
        if dstate is not None:
            dfinal += checks.array(dstate, "dstate", (B, K), self.dtype)
        begun = lengths > 0  # an empty sequence hands its state on
        do[lengths[begun] - 1, np.flatnonzero(begun)] += dfinal[begun]
        W_x, W_y, _, W_o, _ = checks.params(self, self.param_shapes)
        if told.all():
            da = times(do, W_o.T) * dtanh(h)
            du = times(da, W_y.T)
        else:
            da, du = np.zeros_like(h), np.zeros_like(u)
            free_backward(da, do, du, told, h, panels(W_y.T), panels(W_o.T))
        dx, dstate = times(da, W_x.T), np.where(begun[:, None], du[0], dfinal)
        doutputs = np.zeros_like(u)
        doutputs[:-1] = np.where(told[1:, :, None], du[1:], 0)
        dW_x, dW_y, db = weight_gradients(da, x, u, 1)
        dW_o, db_o = weight_gradients(do, h, 1)
        grads = {"W_x": dW_x, "W_y": dW_y, "b": db, "W_o": dW_o, "b_o": db_o}
        return (dx, doutputs) if paired else dx, dstate, grads

    def step(self, x, state=None, params=None):
        """One free-running time step in plain NumPy, of any dtype: x (B, D). Returns y (B, K) and
        the new state, which is y."""
        p = self.params if params is None else params
        x = checks.array(x, "x", ("B", self.input_size), None, "biufc")
        u = self.zero_state(len(x)) if state is None else state
        y = np.tanh(x @ p["W_x"] + u @ p["W_y"] + p["b"]) @ p["W_o"] + p["b_o"]
        return y, y
