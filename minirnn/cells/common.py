"""What the three cells share: sizes, parameters, states, and one step at a time.

``forward`` and ``backward`` stand in each cell's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.description import Shown
from minirnn.protocol import Array, Shape, State, fitting

# Under ``no_cache`` there is memory for about so many values of gates, and for one step at least.
PIECE = 1 << 15


class Cell(Shown):
    """A recurrent layer: x (T, B, input_size) to y (T, B, hidden_size).

    A subclass defines its parameters, ``forward``, ``backward``, and ``_step``: one time step in
    plain NumPy, for numbers of any kind. That takes some twenty calls of NumPy, a microsecond each.
    So a subclass may also define ``_quick_step``, which calls a kernel.
    """

    gates: tuple[str, ...] = ()  # the letters of the blocks of columns of W_x, W_h and b
    cached_gates: tuple[str, ...] = ()  # the letters of the blocks of cache.gates
    keeping: tuple[tuple[str, int], ...] = ()  # gates that keep the state; see protocol.OPTIONAL
    state_names: tuple[str, ...] = ("h",)  # the cache has the states of all steps by these names
    cache_type: type
    variant: str  # the version of the equations, which the cache remembers
    _step: Callable[..., tuple]
    _quick_step: Callable[..., tuple] | None = None

    def __init__(self, input_size: int, hidden_size: int, dtype: DTypeLike) -> None:
        self.input_size = checks.size(input_size, "input_size")
        self.hidden_size = checks.size(hidden_size, "hidden_size")
        self.dtype = checks.float_dtype(dtype)

    def _set_params(self, **initial: Array) -> None:
        self.params = {name: p.astype(self.dtype) for name, p in initial.items()}
        self.param_shapes = {name: p.shape for name, p in initial.items()}

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", self.input_size))
        return "T", "B", self.hidden_size

    def gate_values(self, cache: Any) -> dict[str, Array]:
        """Each gate's values at every step (T, B, H), for ``trace``."""
        n = len(self.cached_gates)
        gates = np.split(cache.gates, n, axis=-1) if n else []
        return dict(zip(self.cached_gates, gates, strict=True))

    def zero_state(self, B: int) -> State:
        """The state of zeros that ``forward`` starts from."""
        return as_state(checks.state(None, "state", self, B, self.dtype))

    def step(
        self, x: Any, state: State = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, State]:
        """One time step: to write a text, or to follow measurements as they come.

        x: (B, input_size); state as in ``forward``; params: a dictionary to use in place of the
        layer's own. Computes in the dtype of the arguments, complex numbers included. Returns y
        (B, H), read-only, and the new state. Raises ValueError or TypeError for a wrong shape or
        kind.
        """
        pair = isinstance(state, tuple) and len(self.state_names) > 1
        states: Sequence[Any] = state if pair else (state,)
        quick = params is None and self._quick(x, states)
        if not quick:  # a list, another dtype, no state, ...: perhaps after the checks
            x = checks.array(x, "x", ("B", self.input_size), None, "biufc")
            dtype = self.dtype if state is None else None
            states = checks.state(state, "state", self, len(x), dtype, "biufc")
            quick = params is None and self._quick(x, states)
        if quick and self._quick_step is not None:
            new = self._quick_step(x, *states)
        else:
            new = self._step(self.params if params is None else params, x, *states)
        new[0].setflags(write=False)  # it is y and h at once
        return new[0], as_state(new)

    def _quick(self, x, states):
        """Whether ``_quick_step`` takes x and the states as they are: arrays of the right shapes
        and dtype. A short test, since all checks would take a quarter of a small step."""
        if self._quick_step is None or type(x) is not np.ndarray or x.ndim != 2:
            return False
        if len(states) != len(self.state_names):
            return False
        B, D, H, dtype = len(x), self.input_size, self.hidden_size, self.dtype
        shape = B, H
        return (
            B > 0
            and checks.exactly(x, (B, D), dtype)
            and checks.exactly(states[0], shape, dtype)
            and checks.exactly(states[-1], shape, dtype)  # c; without a c it is h again
        )


def as_state(arrays):
    """The state as a user sees it: h itself, or the tuple (h, c)."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def columns(a: np.ndarray, n: int) -> list[np.ndarray]:
    """The last axis in n equal blocks, one for each gate. (``np.split`` does the same, but in 5 us
    instead of one.)"""
    H = a.shape[-1] // n
    return [a[..., k * H : (k + 1) * H] for k in range(n)]
