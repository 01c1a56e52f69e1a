"""What the three cells share around their kernels: arguments, states, and the end of a sequence."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn import checks, threads
from minirnn._jit import inline
from minirnn._memory import empty
from minirnn.products import quiet, sum_in_order
from minirnn.protocol import Backward, Forward


class Cell:
    """A recurrent layer: x (T, B, input_size) to y (T, B, hidden_size).

    A kind of cell adds its parameters and three methods: ``_step``, one time step in plain NumPy;
    ``_forward``, which returns the cache; ``_backward``, which returns dx and the gradients and
    turns the gradients of the final state, in place, into those of the initial one.
    """

    gates: tuple[str, ...] = ()  # the letters of the blocks of columns of W_x, W_h and b
    cached_gates: tuple[str, ...] = ()  # of those of the values in the cache
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

        Returns y (T, B, H), the final state, and the cache for ``backward``: one of the cell's own
        kind, or a list of them where the batch was cut in blocks (see ``threads``). y and the state
        may share memory with it and are read-only. Raises ValueError or TypeError for a wrong shape
        or kind.
        """
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        T, B, _ = x.shape
        state = checks.state(state, "state", self, B, self.dtype)
        lengths = checks.lengths(lengths, T, B)
        past_end = checks.padding(lengths, T)
        x = checks.zero_at(past_end, x)

        def run(rows):
            own = np.ascontiguousarray(x[:, rows])
            return self._forward(own, [s[rows] for s in state], lengths[rows])

        caches = threads.each(run, threads.blocks(B, self._work(T, B)))
        final = [joined([getattr(c, name)[T] for c in caches], 0) for name in self.state_names]
        y = checks.zero_at(past_end, joined([c.h[1:] for c in caches], 1))
        cache = caches[0] if len(caches) == 1 else caches
        return read_only(y), as_state([read_only(s) for s in final]), cache

    @quiet
    def backward(self, dy, cache, dstate=None) -> Backward:
        """Back-propagate through time.

        dy: (T, B, H), the gradient of the loss with respect to y; None for zeros.
        cache: what ``forward`` returned, with the parameters still as they were.
        dstate: the gradient with respect to the final state; None for zeros.

        Returns dx (T, B, input_size), the gradient of the initial state, and the dictionary of the
        parameters' gradients. Raises ValueError or TypeError for a wrong shape or kind.
        """
        caches = cache if isinstance(cache, list) and cache else [cache]
        for part in caches:
            checks.cache(part, self)
        T, B = len(caches[0].x), sum(part.x.shape[1] for part in caches)
        dy = checks.gradient(dy, (T, B, self.hidden_size), self.dtype)
        dfinal = checks.state(dstate, "dstate", self, B, self.dtype)

        def run(pair):
            rows, own = pair
            ds = [d[rows].copy() for d in dfinal]
            dx, grads = self._backward(np.ascontiguousarray(dy[:, rows]), own, ds)
            return dx, ds, grads

        rows = threads.blocks(B, self._work(T, B)) if len(caches) > 1 else [slice(0, B)]
        dxs, ds, grads = zip(*threads.each(run, list(zip(rows, caches, strict=True))), strict=True)
        dstate = [joined(parts, 0) for parts in zip(*ds, strict=True)]
        total = {name: sum_in_order([g[name] for g in grads]) for name in self.params}
        return joined(dxs, 1), as_state(dstate), total

    def _work(self, T, B):
        """Multiplications of a forward pass."""
        columns = self.hidden_size * max(1, len(self.gates))
        return T * B * columns * (self.input_size + self.hidden_size)

    def step(self, x, state=None, params=None):
        """One time step in plain NumPy, as the equations stand, in the dtype of the arguments.

        x: (B, input_size), complex numbers included; state as in ``forward``; params: a dictionary
        to use in place of the layer's own. Returns y (B, H) and the new state.
        """
        x = checks.array(x, "x", ("B", self.input_size), None, "biufc")
        state = checks.state(state, "state", self, len(x), None, "biufc")
        new = self._step(self.params if params is None else params, x, *state)
        return new[0], as_state(list(new))


def as_state(arrays):
    """A state of one array is that array, one of several is a tuple."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def joined(parts, axis):
    """What the blocks of a batch have computed, side by side; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    return np.concatenate(parts, axis, out=empty(tuple(shape), parts[0].dtype))


def read_only(a: np.ndarray) -> np.ndarray:
    """A view that cannot be written to, so that nobody spoils the cache through an output."""
    view = a.view()
    view.flags.writeable = False
    return view


def stacked(initial: np.ndarray, T: int) -> np.ndarray:
    """Room for the states at 0..T, (T+1, B, H), with the initial one filled in."""
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
