"""What the three cells share around their kernels: arguments, states, and the end of a sequence."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.description import Shown
from minirnn.engine import threads
from minirnn.engine.jit import inline
from minirnn.engine.memory import empty
from minirnn.padding import padding_of, zero_at
from minirnn.protocol import Backward, Forward, Shape, caching, fitting, quiet


def steps_kept(T: int) -> int:
    """Of how many steps a cell keeps the gates: of all T, or of one under ``no_cache``."""
    return T if caching() else 1


class Cell(Shown):
    """A recurrent layer: x (T, B, input_size) to y (T, B, hidden_size).

    A kind of cell adds its parameters and three methods: ``_step``, one time step in plain NumPy;
    ``_forward``, which returns the cache; ``_backward``, which returns dx and the gradients and
    turns the gradients of the final state, in place, into those of the initial one. Both run their
    kernel, the loop over time, by ``_run``. In NumPy a step is some twenty calls of a microsecond
    each; a cell may add ``_quick_step``, which calls the kernel's own loop over the units.
    """

    gates: tuple[str, ...] = ()  # the letters of the blocks of columns of W_x, W_h and b
    cached_gates: tuple[str, ...] = ()  # the letters of the blocks of cache.gates
    state_names: tuple[str, ...] = ("h",)  # also the names under which the cache stacks the states
    cache_type: type
    variant: str  # of the equations, as the cache remembers it
    _step: Callable[..., tuple]
    _forward: Callable[..., Any]
    _backward: Callable[..., tuple[np.ndarray, dict[str, np.ndarray]]]

    def __init__(self, input_size, hidden_size, dtype):
        self.input_size = checks.size(input_size, "input_size")
        self.hidden_size = checks.size(hidden_size, "hidden_size")
        self.dtype = checks.float_dtype(dtype)

    def _set_params(self, **initial: np.ndarray) -> None:
        self.params = {name: p.astype(self.dtype) for name, p in initial.items()}
        self._shapes = {name: p.shape for name, p in initial.items()}

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", self.input_size))
        return "T", "B", self.hidden_size

    def gate_values(self, cache: Any) -> dict[str, np.ndarray]:
        """Each gate's values at every step (T, B, H), for ``trace``."""
        gates = columns(cache.gates, len(self.cached_gates)) if self.cached_gates else []
        return dict(zip(self.cached_gates, gates, strict=True))

    def zero_state(self, B):
        """The state of zeros that ``forward`` starts from."""
        return as_state(checks.state(None, "state", self, B, self.dtype))

    def _checked_params(self) -> list[np.ndarray]:
        """The parameters in their order, of the shapes that the kernels rely on."""
        return checks.params(self, self._shapes)

    @quiet
    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Run over a whole sequence.

        x: (T, B, input_size), cast to the layer's dtype.
        state: the initial state, None for zeros. h (B, H), or the pair (h, c) for an LSTM.
        lengths: (B,) whole numbers in 0..T, None for T each. After a sequence's end its state is
            carried on unchanged and its outputs are zero; what x holds there does not matter.
        training, rng: for layers that differ between training and use; ignored here.

        Returns y (T, B, H), the final state, and the cache for ``backward``, of the cell's own
        kind (None under ``no_cache``). y and the state may share memory with it and are read-only.
        Raises ValueError or TypeError for a wrong shape or kind.
        """
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        T, B, _ = x.shape
        state = checks.state(state, "state", self, B, self.dtype)
        past_end = padding_of(lengths, x)
        lengths = checks.lengths(lengths, T, B)
        cache = self._forward(zero_at(past_end, x), state, lengths)
        states = [getattr(cache, name) for name in self.state_names]
        final = as_state([read_only(s[T % len(s)]) for s in states])  # see ``stacked``
        y = read_only(zero_at(past_end, cache.h[1:]))
        return y, final, cache if caching() else None

    @quiet
    def backward(self, dy, cache, dstate=None) -> Backward:
        """Back-propagate through time.

        dy: (T, B, H), the gradient of the loss with respect to y; None for zeros.
        cache: what ``forward`` returned, with x and the parameters still as they were.
        dstate: the gradient with respect to the final state; None for zeros.

        Returns dx (T, B, input_size), the gradient of the initial state, and the dictionary of the
        parameters' gradients. Raises ValueError or TypeError for a wrong shape or kind.
        """
        checks.cache(cache, self)
        T, B, _ = cache.x.shape
        dy = checks.gradient(dy, (T, B, self.hidden_size), self.dtype)
        dstate = [d.copy() for d in checks.state(dstate, "dstate", self, B, self.dtype)]
        dx, grads = self._backward(dy, cache, dstate)
        return dx, as_state(dstate), grads

    def _run(self, kernel, T, B, *arguments) -> None:
        """Run a kernel over all rows of the batch, each thread some of them."""
        width = self.hidden_size * max(1, len(self.gates))
        work = T * B * width * (self.input_size + self.hidden_size)
        threads.each_row(kernel, B, work, *arguments)

    def step(self, x, state=None, params=None):
        """One time step: to write a text, or to follow measurements as they come.

        x: (B, input_size); state as in ``forward``; params: a dictionary to use in place of the
        layer's own. Computes in the dtype of the arguments, complex numbers included, in plain
        NumPy; with the layer's own parameters and dtype perhaps by ``_quick_step``. Returns y
        (B, H), read-only, and the new state.
        """
        pair = isinstance(state, tuple) and len(self.state_names) > 1
        states: Sequence[Any] = state if pair else (state,)
        usual = params is None and self._usual(x, states)
        if not usual:
            x = checks.array(x, "x", ("B", self.input_size), None, "biufc")
            dtype = self.dtype if state is None else None
            states = checks.state(state, "state", self, len(x), dtype, "biufc")
            usual = params is None and self._usual(x, states)
        if usual:
            new = self._quick_step(x, *states)
        else:
            new = self._step(self.params if params is None else params, x, *states)
        new[0].setflags(write=False)  # it is y and h at once
        return new[0], as_state(new)

    def _usual(self, x, states):
        """Whether x and the states are plain arrays of the right shapes and the layer's dtype. Told
        quickly, since all the checks would take a quarter of the 15 us of a small layer's step."""
        if type(x) is not np.ndarray or x.ndim != 2 or len(states) != len(self.state_names):
            return False
        B, D, H, dtype = len(x), self.input_size, self.hidden_size, self.dtype
        shape = B, H
        return (
            B > 0
            and checks.exactly(x, (B, D), dtype)
            and checks.exactly(states[0], shape, dtype)
            and checks.exactly(states[-1], shape, dtype)  # of an RNN or a GRU the same one
        )

    def _quick_step(self, x, *state):
        return self._step(self.params, x, *state)


def as_state(arrays):
    """A state of one array is that array, one of several is a tuple."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def read_only(a: np.ndarray) -> np.ndarray:
    """A view that cannot be written to, so that nobody spoils the cache through an output."""
    view = a.view()
    view.flags.writeable = False
    return view


def stacked(initial: np.ndarray, T: int) -> np.ndarray:
    """Room for the states at 0..T, (T+1, B, H), with the initial one filled in. Where only the
    state before and the one after a step are kept, T is 1, and the two places are used in turns:
    the state at t is in ``t % len(states)``."""
    states = empty((T + 1, *initial.shape), initial.dtype)
    states[0] = initial
    return states


def columns(a: np.ndarray, n: int) -> list[np.ndarray]:
    """n blocks of the last axis, a gate each: ``np.split``, which takes 5 us, in one."""
    H = a.shape[-1] // n
    return [a[..., k * H : (k + 1) * H] for k in range(n)]


@inline
def split3(row):
    """Three views (H,) of a row (3H,), for the gates of a kernel."""
    H = row.size // 3
    return row[:H], row[H : 2 * H], row[2 * H :]


@inline
def split4(row):
    """Four views (H,) of a row (4H,), likewise."""
    H = row.size // 4
    return row[:H], row[H : 2 * H], row[2 * H : 3 * H], row[3 * H :]
