"""The derivative of a layer's forward pass, measured entry by entry, and what ``backward`` says.

The loss is a random projection of everything that comes out, ``sum(R_y * y) + sum(R_s * state)``,
so that no error can hide in an output that the loss does not see. All is done for every *source*
apart: the output of each step, and each part of the final state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

COMPLEX_STEP = 1e-30


class Problem:
    """A layer, a point at which to check it, and the projection that makes its outputs a loss."""

    def __init__(self, layer, x, state, lengths, training, rng, generator):
        self.layer, self.lengths, self.training, self.rng = layer, lengths, training, rng
        y, final, cache = layer.forward(x, state, lengths, training, rng)
        dx, _, _ = layer.backward(np.zeros_like(y), cache, _map(np.zeros_like, final))
        self.discrete = dx is None  # tokens, say: there is nothing to differentiate
        self.x = np.array(x) if self.discrete else np.array(x, np.float64)
        if state is None:
            state = _map(lambda s: generator.normal(size=s.shape), final)
        self.state = _map(lambda s: np.array(s, np.float64), state)
        self.generator = generator
        self.steps = len(self.x) if y.ndim == 3 else 0
        self.R_y = generator.normal(size=y.shape)
        self.R_s = _map(lambda s: generator.normal(size=s.shape), final)
        names = [f"y[{t}]" for t in range(self.steps)] or ["y"]
        self.source_names = names + [f"final {name}" for name, _ in leaves(layer, self.R_s)]

    def at(self, steps: int, zero_state: bool = False) -> Problem:
        """The same layer on the first ``steps`` steps only."""
        state = _map(np.zeros_like, self.state) if zero_state else self.state
        rest = (self.training, self.rng, self.generator)
        return Problem(self.layer, self.x[:steps], state, None, *rest)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything to differentiate with respect to, by the name of its gradient."""
        arrays = {} if self.discrete else {"dx": self.x}
        arrays |= {f"d{name}0": s for name, s in leaves(self.layer, self.state)}
        return arrays | {f"d{name}": p for name, p in self.layer.params.items()}

    def outputs(self) -> np.ndarray:
        """Everything that comes out of the forward pass, in one row."""
        y, final, _ = self.layer.forward(self.x, self.state, self.lengths, self.training, self.rng)
        return self._row(y, final)

    def outputs_by_steps(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        """The same by a loop of one-step functions, at arrays that may be complex."""
        x = arrays.get("dx", self.x)
        values = iter([arrays[f"d{name}0"] for name, _ in leaves(self.layer, self.state)])
        state = _map(lambda s: next(values), self.state)
        params = {name: arrays[f"d{name}"] for name in self.layer.params}
        if x.ndim == 2:  # no sequence
            return self._row(*self.layer.step(x, state, params))
        ys, T = [], len(x)
        lengths = np.full(x.shape[1], T) if self.lengths is None else np.asarray(self.lengths)
        for t in range(T):
            y, new = self.layer.step(x[t], state, params)
            valid = (t < lengths)[:, None]
            state = _map(lambda n, o: np.where(valid, n, o), new, state)  # noqa: B023
            ys.append(np.where(valid, y, 0))
        last = np.array(ys)[lengths - 1, np.arange(x.shape[1])]
        return self._row(np.array(ys) if self.steps else last, state)

    def written(self, source: int | None = None) -> dict[str, np.ndarray]:
        """What ``backward`` returns, for the whole loss or for one source of it."""
        R_y, R_s = self.R_y.copy(), _map(np.copy, self.R_s)
        if source is not None:
            for k, R in enumerate(
                [*(R_y if self.steps else [R_y]), *(s for _, s in leaves(self.layer, R_s))]
            ):
                R *= k == source
        _, _, cache = self.layer.forward(self.x, self.state, self.lengths, self.training, self.rng)
        dx, dstate, grads = self.layer.backward(R_y, cache, R_s)
        result = {} if self.discrete else {"dx": dx}
        result |= {f"d{name}0": d for name, d in leaves(self.layer, dstate)}
        result |= {f"d{name}": g for name, g in grads.items()}
        for name, a in self.arrays().items():
            if name not in result:
                raise ValueError(f"backward: it returned no {name}, only {', '.join(result)}")
            if np.shape(result[name]) != a.shape:
                shapes = f"expected {a.shape}, got {np.shape(result[name])}"
                raise ValueError(f"backward: {name} has the wrong shape: {shapes}")
        return {name: np.asarray(result[name]) for name in self.arrays()}

    def faults(self) -> list[str]:
        """What would make right mathematics look wrong, or wrong mathematics right."""
        if not np.array_equal(self.outputs(), self.outputs()):
            return ["forward gives two answers to one question: draw from rng alone"]
        y, final, cache = self.layer.forward(
            self.x, self.state, self.lengths, self.training, self.rng
        )

        def grads(scale, dy):
            dstate = _map(lambda R: scale * R, self.R_s)
            dx, _, grads = self.layer.backward(dy, cache, dstate)
            return [*grads.values(), *([] if dx is None else [dx])]

        faults, dy = [], self.R_y.copy()
        first = grads(1, dy)
        if not np.array_equal(dy, self.R_y):
            faults.append("backward changes dy, which belongs to the caller")
        first, again = [g.copy() for g in first], grads(1, self.R_y.copy())
        if not all(np.array_equal(*pair) for pair in zip(first, again, strict=True)):
            faults.append("backward changes the cache: a second call returns something else")
        twice = grads(2, 2 * self.R_y)
        if not faults and not all(np.allclose(2 * a, b) for a, b in zip(first, twice, strict=True)):
            faults.append("backward is not linear in dy: does it clip or normalise?")
        return faults

    def by_source(self, row: np.ndarray) -> np.ndarray:
        """Project a row of outputs, one sum a source."""
        R = self._row(self.R_y, self.R_s)
        sizes = [self.R_y[0].size] * self.steps or [self.R_y.size]
        sizes += [s.size for _, s in leaves(self.layer, self.R_s)]
        return np.add.reduceat(row * R, np.cumsum([0, *sizes[:-1]]))

    def _row(self, y, final):
        return np.concatenate(
            [np.ravel(a) for a in [y, *(s for _, s in leaves(self.layer, final))]]
        )


def measure_central(problem: Problem, tol: float) -> tuple[dict, dict]:
    """Derivatives by finite differences, for each array (sources, size), and their uncertainty."""
    measured, doubt = {}, {}
    for name, array in problem.arrays().items():
        n = len(problem.source_names)
        measured[name], doubt[name] = np.zeros((n, array.size)), np.zeros((n, array.size))
        for k in range(array.size):
            measured[name][:, k], doubt[name][:, k] = _derivative(problem, array.flat, k, tol)
    return measured, doubt


def _derivative(problem: Problem, flat: np.flatiter, k: int, tol: float) -> tuple:
    value = flat[k]

    def difference(step):
        flat[k] = value + step
        high, above = flat[k], problem.outputs()
        flat[k] = value - step
        low, below = flat[k], problem.outputs()
        flat[k] = value
        return problem.by_source(above - below) / (high - low), np.abs(above).max()

    best: tuple = ()
    least = np.inf
    step = 0.02 * max(1.0, abs(value))
    for _ in range(6):
        (d1, size), (d2, _), (d4, _) = difference(step), difference(step / 2), difference(step / 4)
        r2, r4 = (4 * d2 - d1) / 3, (4 * d4 - d2) / 3
        result = (16 * r4 - r2) / 15
        rounding = 1e-15 * size / step
        doubt = np.abs(result - r4) / 4 + rounding
        if not best or doubt.max() < least:
            best, least = (result, doubt), doubt.max()
        if np.all(doubt <= 0.1 * tol * np.abs(result).max() + 2 * rounding):
            break
        step /= 8
    return best


def measure_complex(problem: Problem) -> tuple[dict, dict]:
    """Derivatives by the complex step, likewise."""
    parts = getattr(problem.layer, "layers", [problem.layer])
    lacking = [type(part).__name__ for part in parts if not hasattr(part, "step")]
    if lacking:
        raise ValueError(f"method: 'complex' needs a step function, which {lacking[0]} has not")
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


def leaves(layer: Any, state: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a state with their names: h, c; of a model 0.h, 0.c, 1.h, ..."""
    if state is None:
        return
    if isinstance(state, (tuple, list)):
        parts = getattr(layer, "layers", None)
        names = getattr(layer, "state_names", None) or [str(k) for k in range(len(state))]
        for k, s in enumerate(state):
            if parts is not None:
                yield from ((f"{k}.{name}", leaf) for name, leaf in leaves(parts[k], s))
            else:
                yield names[k], s
    else:
        yield getattr(layer, "state_names", ("state",))[0], state


def _map(function, *trees):
    if trees[0] is None:
        return None
    if isinstance(trees[0], (tuple, list)):
        return type(trees[0])(_map(function, *parts) for parts in zip(*trees, strict=True))
    return function(*trees)
