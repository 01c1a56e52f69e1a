"""The derivative of a layer's forward pass, measured entry by entry, and what ``backward`` returns.

The loss is a random projection of all outputs, ``sum(R_y * y) + sum(R_s * state)``, so that no
error can hide in an output that the loss does not see. Its derivative is measured for each *source*
by itself: the output of each step, and each part of the final state.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.protocol import (
    Array,
    Forward,
    Layer,
    Numbers,
    Seed,
    State,
    learns_state,
    leaves,
    map_tree,
    named_leaves,
    without_learned,
    without_step,
)

Arrays: TypeAlias = dict[str, Array]  # by the name of the gradient

COMPLEX_STEP = 1e-30
FIRST_STEP = 0.02  # of finite differences, relative to the value, or absolute for values below 1
SHORTER = 8  # a step with which the result is in doubt is divided by this ...
STEPS = 6  # ... and so many steps are tried
ROUNDING = 3e-15  # the error of a sum of outputs, relative to the largest output
ENOUGH = 0.1  # a doubt below this times the tolerance is small enough


class Problem:
    """A layer, a point at which to check it, and the projection that makes its outputs a loss."""

    def __init__(
        self, layer: Layer, x: Numbers, state: State, lengths: Any, training: bool, rng: Seed,
        generator: np.random.Generator,
    ) -> None:  # fmt: skip
        self.layer: Any = layer
        self.rest, self.generator = (lengths, training, rng), generator
        self.state = state
        # Whole numbers may be tokens. If backward returns a dx for them, they are not: see below.
        parts = [
            np.array(checks.numbers(part, "x")) for part in (x if isinstance(x, tuple) else (x,))
        ]
        self.x: Any = tuple(parts) if isinstance(x, tuple) else parts[0]
        y, final, cache = self.forward()
        dx = layer.backward(np.zeros_like(y), cache, map_tree(np.zeros_like, final))[0]
        self.x = _as_float(self.x, dx)
        if state is None:
            state = map_tree(lambda s: generator.normal(size=s.shape), final)
            state = without_learned(layer, state)
        self.state = map_tree(lambda s: np.array(s, np.float64), state)
        self.steps = len(y) if y.ndim == 3 else 0
        self.R_y = generator.normal(size=y.shape)
        self.R_s = map_tree(lambda s: generator.normal(size=s.shape), final)
        names = [f"y[{t}]" for t in range(self.steps)] or ["y"]
        self.source_names = names + [f"final {name}" for name, _ in named_leaves(layer, self.R_s)]
        self.inputs = _by_name(self.x, dx)

    def at(self, steps: int, zero_state: bool = False) -> Problem:
        """The same problem on the first ``steps`` steps only, without lengths."""
        state = map_tree(np.zeros_like, self.state) if zero_state else self.state
        _, training, rng = self.rest
        return Problem(self.layer, self.x[:steps], state, None, training, rng, self.generator)

    def forward(self) -> Forward:
        result: Forward = self.layer.forward(self.x, self.state, *self.rest)
        return result

    def arrays(self) -> Arrays:
        """Everything to differentiate with respect to, by the name of its gradient."""
        states = {f"d{name}0": s for name, s in named_leaves(self.layer, self.state)}
        params = {f"d{name}": p for name, p in self.layer.params.items()}
        return {**self.inputs, **states, **params}

    def outputs(self) -> Array:
        """All outputs of the forward pass, in one row."""
        y, final, _ = self.forward()
        return _row(y, final)

    def outputs_by_steps(self, arrays: Arrays) -> Array:
        """The outputs once more, by a loop of ``step``, whose arrays may be complex."""
        x = arrays.get("dx", self.x)
        values = iter([arrays[f"d{name}0"] for name, _ in named_leaves(self.layer, self.state)])
        state = map_tree(lambda s: next(values), self.state)
        params = {name: arrays[f"d{name}"] for name in self.layer.params}
        if not self.steps and x.ndim == 2 and "dx" in arrays:  # no sequence
            return _row(*self.layer.step(x, state, params))
        ys, (T, B) = [], x.shape[:2]
        lengths = np.full(B, T) if self.rest[0] is None else np.asarray(self.rest[0])
        for t in range(T):
            y, new = self.layer.step(x[t], state, params)
            valid = (t < lengths)[:, None]
            if valid.all():  # at the first step this starts from a state that may be learned
                state = new
            else:
                state = map_tree(lambda n, o: np.where(valid, n, o), new, state)  # noqa: B023
            ys.append(np.where(valid, y, 0))
        last = np.array(ys)[lengths - 1, np.arange(B)]
        return _row(np.array(ys) if self.steps else last, state)

    def written(self, source: int | None = None) -> Arrays:
        """What ``backward`` returns, for the whole loss or for one source of it."""
        R_y, R_s = self.R_y.copy(), map_tree(np.copy, self.R_s)
        for k, R in enumerate([*(R_y if self.steps else [R_y]), *leaves(R_s)]):
            R *= source is None or k == source
        dx, dstate, grads = self.layer.backward(R_y, self.forward()[2], R_s)
        result = _by_name(dx, dx)
        result |= {f"d{name}0": d for name, d in named_leaves(self.layer, dstate)}
        result |= {f"d{name}": g for name, g in grads.items()}
        for name, a in self.arrays().items():
            got = np.shape(result[name]) if name in result else f"none, only {list(result)}"
            if got != a.shape:
                raise ValueError(f"backward: {name}: expected shape {a.shape}, got {got}")
        return {name: np.asarray(result[name]) for name in self.arrays()}

    def faults(self) -> list[str]:
        """What a layer does that would make the comparison meaningless."""
        if not np.array_equal(self.outputs(), self.outputs()):
            return ["forward gives two results for one input: draw from rng alone"]
        _, _, cache = self.forward()

        def grads(scale: float, dy: Array) -> list[Array]:
            dx, _, grads = self.layer.backward(dy, cache, map_tree(lambda R: scale * R, self.R_s))
            return [np.array(g) for g in (*grads.values(), *_by_name(dx, dx).values())]

        faults, dy = [], self.R_y.copy()
        first = grads(1, dy)
        if not np.array_equal(dy, self.R_y):
            faults.append("backward changes dy, which belongs to the caller")
        again = zip(first, grads(1, self.R_y.copy()), strict=True)
        if not all(np.array_equal(a, b, equal_nan=True) for a, b in again):
            faults.append("backward changes the cache: a second call returns something else")
        twice = grads(2, 2 * self.R_y)
        pairs = zip(first, twice, strict=True)
        if not faults and not all(np.allclose(2 * a, b, equal_nan=True) for a, b in pairs):
            faults.append("backward is not linear in dy: does it clip or normalise?")
        return faults

    def by_source(self, row: Array) -> Array:
        """Project a row of outputs: one sum for each source."""
        sizes = [self.R_y[0].size] * self.steps or [self.R_y.size]
        sizes += [s.size for s in leaves(self.R_s)]
        return np.add.reduceat(row * _row(self.R_y, self.R_s), np.cumsum([0, *sizes[:-1]]))


def _as_float(x: Any, dx: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(_as_float(*pair) for pair in zip(x, dx or [None] * len(x), strict=True))
    return x if dx is None else x.astype(np.float64)


def _by_name(x: Any, dx: Any) -> Arrays:
    """The real inputs among x: {"dx": x}, or {"dx[0]": x[0], ...} where x is a tuple."""
    if isinstance(x, tuple):
        return {f"dx[{k}]": x[k] for k in range(len(x)) if dx is not None and dx[k] is not None}
    return {} if dx is None else {"dx": x}


def _row(y: Array, final: State) -> Array:
    return np.concatenate([np.ravel(a) for a in [y, *leaves(final)]])


def directions_in(problem: Problem, one: bool) -> Arrays:
    """For each array the directions (n, size) to change it in: each entry alone, or, if ``one``, a
    single random direction of length 1."""
    found = {}
    for name, array in problem.arrays().items():
        v = problem.generator.normal(size=(1, array.size)) if one else np.eye(array.size)
        found[name] = v / np.linalg.norm(v, axis=1, keepdims=True)
    return found


def measure_central(problem: Problem, tol: float, directions: Arrays) -> tuple[Arrays, Arrays]:
    """Derivatives by finite differences, for each array (sources, directions), and their doubt."""
    measured, doubt = {}, {}
    for name, array in problem.arrays().items():
        both = np.array([_derivative(problem, array, v, tol) for v in directions[name]])
        measured[name], doubt[name] = both[:, 0].T, both[:, 1].T
    return measured, doubt


def _derivative(
    problem: Problem, array: Array, direction: Array, tol: float
) -> tuple[Array, Array]:
    """The derivative along one direction, for each source, and how far it is in doubt.

    d1, d2, d4 are the differences for the steps s, s/2, s/4; r2, r4 and result are Richardson's
    extrapolations of them (see ``gradcheck``).
    """
    original, direction = array.copy(), direction.reshape(array.shape)

    def difference(step: float) -> tuple[Array, Any]:
        array[...] = original + step * direction
        above = problem.outputs()
        array[...] = original - step * direction
        below = problem.outputs()
        array[...] = original
        return problem.by_source(above - below) / (2 * step), np.abs(above).max()

    best: Any = ()
    least = np.inf
    step = FIRST_STEP * max(1.0, np.abs(original * direction).max())
    for _ in range(STEPS):
        (d1, size), (d2, _), (d4, _) = difference(step), difference(step / 2), difference(step / 4)
        r2, r4 = (4 * d2 - d1) / 3, (4 * d4 - d2) / 3
        result = (16 * r4 - r2) / 15
        rounding = ROUNDING * size / step
        doubt = np.abs(result - r4) / 4 + rounding
        if not best or doubt.max() < least:
            best, least = (result, doubt), doubt.max()
        if np.all(doubt <= ENOUGH * tol * np.abs(result).max() + 2 * rounding):
            break
        step /= SHORTER
    return best


def measure_complex(problem: Problem) -> tuple[Arrays, Arrays]:
    """Derivatives by the complex step, for each array (sources, entries), and their doubt: none."""
    if without_step(problem.layer):
        kind = without_step(problem.layer)
        raise ValueError(f"method: 'complex' needs a step function, and {kind} has none")
    if isinstance(problem.x, tuple):
        raise ValueError("method: 'complex' needs a single input, and x is a tuple of several")
    lengths = problem.rest[0]
    if learns_state(problem.layer) and lengths is not None and np.min(lengths) < 1:
        raise ValueError("lengths: expected at least 1, since the initial state is learned")
    arrays = {name: a.astype(complex) for name, a in problem.arrays().items()}
    measured, doubt = {}, {}
    for name, array in arrays.items():
        flat, columns = array.flat, []
        for k in range(array.size):
            flat[k] += 1j * COMPLEX_STEP
            columns.append(problem.by_source(problem.outputs_by_steps(arrays).imag) / COMPLEX_STEP)
            flat[k] = flat[k].real
        measured[name] = np.array(columns).T
        doubt[name] = np.zeros_like(measured[name])
    return measured, doubt
