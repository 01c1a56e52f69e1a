"""Gradient checks: is the written backward pass the derivative of the forward pass?

The loss is a random projection of everything that comes out, ``sum(R_y * y) + sum(R_s * state)``,
so that no error can hide in an output that the loss does not see. Its derivative by each single
entry of each parameter, of the input and of the initial state is measured and compared with what
``backward`` returns. Two ways to measure:

- ``central``: finite differences of ``forward``. D(s) = (f(v + s) - f(v - s)) / 2s has an error in
  s^2, s^4, ...; from D(s), D(s/2), D(s/4) Richardson's extrapolation removes the first two, and how
  much the last extrapolation changed says how far to trust it. Where it changed much (a kink, a
  large input), s is made smaller. So a wrong gradient is told from rounding.
- ``complex``: the complex step ``Im f(v + ih) / h`` with h = 1e-30 (Squire & Trapp 1998), through a
  loop of the layer's plain one-step function. Nothing cancels: it is exact to rounding.

All is done for every *source* apart: the output of each step, and each part of the final state.
``backward`` is linear in dy and dstate, so that it can be asked for one source at a time, and an
error is traced to the step at which it enters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.protocol import Layer

COMPLEX_STEP = 1e-30
TOLERANCE = {"central": 1e-7, "complex": 1e-12}


@dataclass
class Row:
    """The comparison of one array of gradients."""

    name: str  # "dW_x", "dx", "dh0"
    shape: tuple[int, ...]
    error: float  # the largest relative error
    index: tuple[int, ...]  # where that is
    written: float  # what backward says there
    measured: float
    where: str  # the same place in words: "gate f", "t = 3"
    wrong: list[str]  # all gates or steps with an error above the tolerance, "all" for others


@dataclass
class Report:
    """The result of ``gradcheck``; ``print`` it for the table and the verdict."""

    ok: bool
    max_rel_error: float
    tol: float
    method: str
    rows: list[Row]
    sources: dict[str, float]  # the largest relative error of what each output alone brings back
    verdict: str = ""
    hint: str = ""
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{'gradient':<12}{'shape':<15}{'rel. error':>11}   worst at"]
        for row in self.rows:
            place = f"{list(row.index)} {row.where}".strip()
            lines.append(f"{row.name:<12}{row.shape!s:<15}{row.error:>11.1e}   {place}")
            if row.wrong:
                lines[-1] += f": written {row.written:.6g}, measured {row.measured:.6g}"
                lines.append(f"{'':<12}wrong: {', '.join(row.wrong)}")
        worst = max(self.sources, key=lambda name: self.sources[name])
        lines.append(f"{'by output':<27}{self.sources[worst]:>11.1e}   {worst}")
        verdict = "ok" if self.ok else "WRONG: " + self.verdict
        lines.append(
            f"{verdict}   (largest {self.max_rel_error:.1e}, allowed {self.tol:.0e}, {self.method})"
        )
        return "\n".join(lines + [f"  {line}" for line in [*self.problems, self.hint] if line])


def gradcheck(
    layer: Layer,
    x: ArrayLike,
    state: Any = None,
    lengths: ArrayLike | None = None,
    *,
    method: str = "central",
    tol: float | None = None,
    training: bool = False,
    rng: int = 0,
    jitter: float = 0.1,
) -> Report:
    """Compare ``layer.backward`` with the measured derivative of ``layer.forward``.

    layer: any object with ``params`` (arrays of float64), ``forward`` and ``backward``; for
        ``method="complex"`` also ``step``. A cell of your own, or a whole model.
    x: an input for it; keep it small, since every entry of everything is measured.
    state: the initial state; None takes a random one, since zeros would hide errors.
    lengths: (B,), as for ``forward``.
    tol: the largest relative error allowed, by default 1e-7 ("central") or 1e-12 ("complex").
    training, rng: passed to ``forward``; rng is a seed, so that every pass draws the same masks.
    jitter: the parameters are moved at random by about this much while they are checked (and put
        back), since a parameter that is zero hides errors in what it is multiplied with.

    Returns a ``Report``: ``report.ok``, ``report.max_rel_error``, ``print(report)``. If the
    gradient is wrong, its ``verdict`` says where the error was first seen when going from one
    step to many. Raises ValueError where there is nothing to check (float32, a missing method).
    """
    method = checks.choice(method, "method", TOLERANCE)
    tol = TOLERANCE[method] if tol is None else checks.number(tol, "tol", 0, low_included=False)
    for name, p in layer.params.items():
        if p.dtype != np.float64:
            raise ValueError(
                f"params[{name!r}]: expected float64, got {p.dtype}: float32 cannot tell"
            )
    original = {name: p.copy() for name, p in layer.params.items()}
    generator = np.random.default_rng(rng)
    try:
        for p in layer.params.values():
            p += jitter * generator.normal(size=p.shape)
        problem = Problem(layer, x, state, lengths, training, rng, generator)
        report = compare(problem, method, tol)
        if not report.ok:
            from minirnn.diagnose import diagnose  # it needs this module in turn

            report.verdict, report.hint = diagnose(problem, report, method, tol)
    finally:
        for name, p in original.items():
            layer.params[name][...] = p
    return report


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
        kept = R_y.copy()
        _, _, cache = self.layer.forward(self.x, self.state, self.lengths, self.training, self.rng)
        dx, dstate, grads = self.layer.backward(R_y, cache, R_s)
        if not np.array_equal(kept, R_y):
            raise ValueError("backward: it changed dy, which belongs to the caller")
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
        flat = array.reshape(-1)  # a view: arrays are contiguous
        for k in range(array.size):
            measured[name][:, k], doubt[name][:, k] = _derivative(problem, flat, k, tol)
    return measured, doubt


def _derivative(problem: Problem, flat: np.ndarray, k: int, tol: float) -> tuple:
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
        flat, columns = array.reshape(-1), []
        for k in range(flat.size):
            flat[k] += 1j * COMPLEX_STEP
            columns.append(problem.by_source(problem.outputs_by_steps(arrays).imag) / COMPLEX_STEP)
            flat[k] = flat[k].real
        measured[name] = np.array(columns).T
        doubt[name] = np.zeros_like(measured[name])
    return measured, doubt


def compare(problem: Problem, method: str, tol: float) -> Report:
    """Measure, ask ``backward``, and say where they differ."""
    measure: Callable = measure_complex if method == "complex" else measure_central
    measured, doubt = measure(problem) if method == "complex" else measure(problem, tol)
    written = problem.written()
    rows = []
    for name, array in problem.arrays().items():
        total = measured[name].sum(axis=0).reshape(array.shape)
        error = relative_error(
            written[name], total, doubt[name].sum(axis=0).reshape(array.shape), tol
        )
        index = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
        labels = block_labels(problem.layer, name, array.shape)
        wrong = [label for label, block in labels if (error[block] > tol).any()]
        where = next(label for label, block in labels if _inside(index, block, array.shape))
        rows.append(
            Row(
                name,
                array.shape,
                float(error[index]),
                index,
                float(written[name][index]),
                float(total[index]),
                "" if where == "all" else where,
                wrong,
            )
        )
    sources = {}
    for s, source in enumerate(problem.source_names):
        alone = problem.written(s)
        sources[source] = max(
            float(relative_error(alone[n].ravel(), measured[n][s], doubt[n][s], tol).max())
            for n in alone
        )
    worst = max(row.error for row in rows)
    return Report(worst <= tol, worst, tol, method, rows, sources)


def relative_error(written, measured, doubt, tol):
    """|difference| over the larger of the two; where both are within rounding, the error is 0.

    Rounding is what the measurement leaves in doubt, and 1e-14 of the array's largest entry.
    """
    size = np.maximum(np.abs(written), np.abs(measured))
    rounding = doubt + 1e-14 * size.max(initial=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(written - measured) / np.maximum(size, rounding / tol)
    error[size == 0] = 0
    return np.where(np.isfinite(error), error, np.inf)


def block_labels(layer: Any, name: str, shape: tuple[int, ...]) -> list[tuple[str, Any]]:
    """The parts of a gradient worth telling apart, as (label, index): gates, or steps of dx."""
    if name == "dx":
        return [(f"t = {t}", t) for t in range(shape[0])] if len(shape) == 3 else [("all", ...)]
    param = name[1:]
    while "." in param and hasattr(layer, "layers"):
        place, param = param.split(".", 1)
        layer = layer.layers[int(place)]
    gates = getattr(layer, "gates", ())
    if gates and param in getattr(layer, "params", ()):
        H = layer.hidden_size
        if shape[-1] == len(gates) * H:
            return [(f"gate {g}", (..., slice(k * H, (k + 1) * H))) for k, g in enumerate(gates)]
        if param[-1] in gates:  # p_i, b_hn
            return [(f"gate {param[-1]}", ...)]
    return [("all", ...)]


def _inside(index, block, shape):
    inside = np.zeros(shape, bool)
    inside[block] = True
    return inside[index]


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
