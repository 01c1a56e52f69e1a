"""Zoneout: units that keep their old state, by chance (Krueger et al. 2017, arXiv:1606.01305).

Dropout sets a unit to zero, and so breaks a memory. Zoneout leaves a unit as it was one step
before. Axes: B batch, H hidden. With s~[t] what the cell makes of s[t-1], and d[t] (B, H) drawn at
each step, 1 with probability p and else 0, for each array s of the state (of an LSTM: h and c)::

    training    s[t] = d[t] * s[t-1] + (1 - d[t]) * s~[t]
    in use      s[t] =   p  * s[t-1] + (1 - p)   * s~[t]          the mean over d

Backward, with ds[t] the gradient of s[t] through all paths::

    ds~[t] = (1 - d[t]) * ds[t]         goes back through the cell, to ds[t-1]
    ds[t-1] gains d[t] * ds[t]          a way back through time on which nothing is lost
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.description import Shown, layer_text
from minirnn.padding import padding, zero_at
from minirnn.protocol import (
    Array,
    Seed,
    Shape,
    State,
    check_layer,
    check_streaming,
    leaves,
    map_tree,
    optional,
    output_shape,
    quiet,
    require,
)


class ZoneoutCache(NamedTuple):
    """What ``Zoneout.backward`` needs to know of the forward pass."""

    steps: list[Any]  # the caches of the cell
    kept: list[list[Array]]  # of each step and array: d or p, and 1 past the end of a sequence
    past_end: Array  # (T, B) bool
    final: State  # for its form


class Zoneout(Shown):
    """A recurrent cell with zoneout: x, y, parameters and state are those of the cell.

    cell: an RNN, LSTM, GRU, or another that has ``state_names`` and ``zero_state`` and returns the
    first array of its state. It is run one step at a time. p: the probability of keeping the old
    state, or one for each array of it: ``Zoneout(LSTM(2, 8), (0.05, 0.5))`` for h and c, the values
    of the paper. p may be changed between two calls.
    """

    def __init__(self, cell: Any, p: Any) -> None:
        check_layer(cell, "cell")
        self.state_names = require(cell, "state_names", "Zoneout", "cell: ")
        require(cell, "zero_state", "Zoneout", "cell: ")
        if optional(cell, "parts") or optional(cell, "before_step") is not None:
            raise TypeError(f"cell: expected a recurrent cell, got {layer_text(cell):.80}")
        check_streaming(cell)
        self.cell, self.p = cell, p

    @property
    def p(self) -> Any:
        """The probability of keeping the old state, or one for each array of the state."""
        return self._p

    @p.setter
    def p(self, value: Any) -> None:
        names = self.state_names
        if not isinstance(value, (tuple, list)):
            self._p: Any = checks.probability(value, "p")
        elif len(value) == len(names):
            self._p = tuple(checks.probability(v, "p") for v in value)
        else:
            text = checks.shape_text(names)
            raise ValueError(f"p: expected one number, or one for each of {text}, got {value!r}")

    def _each_p(self) -> tuple[float, ...]:
        return self._p if isinstance(self._p, tuple) else (self._p,) * len(self.state_names)

    # ---- What is the cell's own -----------------------------------------------------------------

    @property
    def params(self) -> Mapping[str, Array]:
        """The parameters of the cell."""
        params: Mapping[str, Array] = self.cell.params
        return params

    @property
    def gates(self) -> tuple[str, ...]:
        """The letters of the cell's gates."""
        return tuple(optional(self.cell, "gates"))

    @property
    def keeping(self) -> Any:
        """The gates of the cell that keep the old state."""
        return optional(self.cell, "keeping")

    @property
    def hidden_size(self) -> Any:
        """Columns of a block of the cell's parameters."""
        return optional(self.cell, "hidden_size")

    def zero_state(self, B: int) -> State:
        """The state of zeros that ``forward`` starts from."""
        return self.cell.zero_state(B)

    def output_shape(self, x: Shape | None) -> Shape | None:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        return output_shape(self.cell, x)

    @property
    def gate_values(self) -> Any:
        """The cell's function of a cache, if it has one, over all steps; for ``trace``."""
        own = optional(self.cell, "gate_values")
        return None if own is None else lambda cache: _over_time([own(c) for c in cache.steps])

    # ---- Forward and backward -------------------------------------------------------------------

    @quiet
    def forward(
        self,
        x: Any,
        state: State = None,
        lengths: Any = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, State, ZoneoutCache]:
        """Returns y, the final state, and the cache. Arguments as for the cell; rng draws, while
        training, which units keep their state."""
        x = checks.one_array(x, "x")
        if x.ndim < 2 or 0 in x.shape[:2]:
            raise ValueError(f"x: expected a sequence (T, B, ...), got shape {x.shape}")
        T, B = x.shape[:2]
        past_end = padding(checks.lengths(lengths, T, B), T)
        x, rng = zero_at(past_end, x), checks.generator(rng)
        state = self.cell.zero_state(B) if state is None else state
        ys, steps, kept = [], [], []
        for t in range(T):
            _, new, cache = self.cell.forward(x[t : t + 1], state, None, training, rng)
            kept.append(self._kept(leaves(new), past_end[t, :, None], training, rng))
            state = self._mixed(new, state, kept[t])
            steps.append(cache)
            ys.append(leaves(state)[0])
        y = zero_at(past_end, np.array(ys))
        return y, state, ZoneoutCache(steps, kept, past_end, state)

    def _kept(self, new: list[Array], ended: Array, training: bool, rng: Any) -> list[Array]:
        """Of each array of the state, how much of the old one stays."""
        return [
            np.where(ended, 1, rng.random(a.shape) < p if training else p).astype(a.dtype)
            for a, p in zip(new, self._each_p(), strict=True)
        ]

    def _mixed(self, new: State, old: State, kept: Any) -> State:
        of_array = iter(kept)

        def mix(n: Array, o: Any) -> Array:
            d = next(of_array)
            return d * np.asarray(o, n.dtype) + (1 - d) * n

        return map_tree(mix, new, old)

    @quiet
    def backward(
        self, dy: Any, cache: ZoneoutCache, dstate: State = None
    ) -> tuple[Any, State, dict[str, Array]]:
        """Returns dx, the gradient of the initial state, and those of the parameters."""
        steps, kept, past_end, final = checks.cache_type(cache, ZoneoutCache)
        like = leaves(final)
        dy = checks.gradient(dy, (len(steps), *like[0].shape), like[0].dtype)
        dy, ds = zero_at(past_end, dy), self._gradients(dstate, like)
        no_dy, dxs = np.zeros_like(dy[:1]), []
        total: dict[str, Any] = dict.fromkeys(self.params, 0.0)
        for t in reversed(range(len(steps))):
            ds[0] = ds[0] + dy[t]
            into_cell = iter([(1 - d) * a for d, a in zip(kept[t], ds, strict=True)])
            dnew = map_tree(lambda _: next(into_cell), final)  # noqa: B023
            dx, dold, grads = self.cell.backward(no_dy, steps[t], dnew)
            ds = [d * a + b for d, a, b in zip(kept[t], ds, leaves(dold), strict=True)]
            dxs.append(dx)
            total = {name: total[name] + g for name, g in grads.items()}
        arrays = iter(ds)
        dstate = map_tree(lambda _: next(arrays), final)
        return None if dxs[0] is None else np.concatenate(dxs[::-1]), dstate, total

    def _gradients(self, dstate: State, like: list[Array]) -> list[Array]:
        """The gradients of the final state's arrays; zeros for None."""
        if dstate is None:
            return [np.zeros_like(a) for a in like]
        arrays = dstate if isinstance(dstate, (tuple, list)) else (dstate,)
        if len(arrays) != len(like):
            text = checks.shape_text(self.state_names)
            raise TypeError(f"dstate: expected gradients of {text}, got {len(arrays)} of them")
        named = zip(self.state_names, arrays, like, strict=True)
        return [checks.array(a, f"dstate {k}", b.shape, b.dtype) for k, a, b in named]

    def step(
        self, x: Any, state: State = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, State]:
        """One time step in use: x (B, D) of any dtype; returns y and the new state."""
        step = require(self.cell, "step", "Zoneout.step", "cell: ")
        if state is None:
            state = self.cell.zero_state(len(np.atleast_1d(checks.numbers(x, "x", "biufc"))))
        _, new = step(x, state, params)
        state = map_tree(
            lambda n, o, p: p * np.asarray(o) + (1 - p) * n, new, state, self._each_as(new)
        )
        return leaves(state)[0], state

    def _each_as(self, new: State) -> State:
        of_array = iter(self._each_p())
        return map_tree(lambda _: next(of_array), new)


def _over_time(each: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([values[name] for values in each]) for name in each[0]}
