"""Gradient checks: is the written backward pass the derivative of the forward pass?

The derivative of a random projection of all outputs (see ``derivatives``) by each single entry of
each parameter, of the input and of the initial state is measured and compared with what
``backward`` returns. Three ways to measure:

- ``central``: finite differences of ``forward``. D(s) = (f(v + s) - f(v - s)) / 2s has an error in
  s^2, s^4, ...; from D(s), D(s/2), D(s/4) Richardson's extrapolation removes the first two, and how
  much the last extrapolation changed says how far to trust it. Where it changed much (a kink, a
  large input), s is made smaller. What remains is the *doubt* of the measurement, so that rounding
  is not taken for a wrong gradient.
- ``complex``: the complex step ``Im f(v + ih) / h`` with h = 1e-30 (Squire & Trapp 1998), through a
  loop of the layer's plain one-step function. Nothing cancels: it is exact to rounding.
- ``directional``: finite differences along one random direction in each array. This finds whether
  an array's gradient is wrong, not where; for a model of a million parameters it takes seconds.

``backward`` is linear in dy and dstate, so that it can be asked for one source at a time (the
output of each step, each part of the final state): an error is traced to where it enters.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from minirnn import checks
from minirnn.checking.derivatives import Problem, directions_in, measure_central, measure_complex
from minirnn.checking.diagnose import diagnose
from minirnn.protocol import Array, Layer, Numbers, Seed, State, optional

TOLERANCE = {"central": 1e-7, "complex": 1e-12, "directional": 1e-7}
MOVE = 0.1  # the size of the random change of the parameters, since one that is zero hides errors
ROUNDING = 1e-14  # relative to the largest entry of an array
UNSURE = 1e-3, 1e-9  # relative and absolute: with more doubt than this an entry is not measured


@dataclass(repr=False)
class Row:
    """The comparison of one array of gradients; it shows itself as its line of the table."""

    name: str  # "dW_x", "dx", "dh0"
    shape: tuple[int, ...]
    index: tuple[int, ...]  # of the largest error
    where: str  # the same place in words: "gate f", "t = 3", "all"
    wrong: list[str]  # all gates or steps with an error above the tolerance, "all" for others
    error: float  # the largest relative error
    written: float  # what backward says there
    measured: float

    def __repr__(self) -> str:
        return self.line(len(self.name) + 2)

    def line(self, width: int) -> str:
        """One line of the table, two if the gradient is wrong; width: of the column of names."""
        place = f"{list(self.index)}" + (f" {self.where}" if self.where != "all" else "")
        line = f"{self.name:<{width}}{self.shape!s:<15}{self.error:>11.1e}   {place}"
        if self.wrong:
            line += f": written {self.written:.6g}, measured {self.measured:.6g}"
            line += f"\n{'':<{width}}wrong: {', '.join(self.wrong)}"
        return line


@dataclass(repr=False)
class Report:
    """The result of ``gradcheck``; it shows itself as the table and the verdict."""

    ok: bool
    max_rel_error: float
    tol: float
    method: str
    rows: list[Row]
    sources: dict[str, float]  # if wrong: the largest relative error of each output by itself
    verdict: str = ""
    hint: str = ""
    remarks: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        w = max([10, *(len(row.name) for row in self.rows)]) + 2
        lines = [f"{'gradient':<{w}}{'shape':<15}{'rel. error':>11}   worst at"]
        lines += [row.line(w) for row in self.rows]
        if self.sources:
            worst = max(self.sources, key=lambda name: self.sources[name])
            lines.append(f"{'by output':<{w + 15}}{self.sources[worst]:>11.1e}   {worst}")
        verdict = "ok" if self.ok else "WRONG: " + self.verdict
        worst = f"largest {self.max_rel_error:.1e}, allowed {self.tol:.0e}, {self.method}"
        lines.append(f"{verdict}   ({worst})")
        return "\n".join(lines + [f"  {line}" for line in [*self.remarks, self.hint] if line])


def gradcheck(
    layer: Layer, x: Numbers, state: State = None, lengths: Any = None, *,
    method: Literal["central", "complex", "directional"] = "central", tol: float | None = None,
    training: bool = False, rng: Seed = 0,
) -> Report:  # fmt: skip
    """Compare ``layer.backward`` with the measured derivative of ``layer.forward``.

    layer: any object with ``params`` (arrays of float64), ``forward`` and ``backward``; for
        ``method="complex"`` also ``step``. A cell of your own, or a whole model.
    x: an input for it, or a tuple of inputs; keep it small, since every entry is measured.
    state: the initial state; None takes a random one, since zeros would hide errors.
    lengths: (B,), as for ``forward``.
    tol: the largest relative error allowed, by default 1e-7 ("central") or 1e-12 ("complex").
    training, rng: passed to ``forward``; rng is a seed, so that every pass draws the same masks.

    During the check the parameters are moved at random by about 0.1, since a parameter that is zero
    hides errors in whatever it is multiplied by. Afterwards they are as before.

    Returns a ``Report``: ``report.ok``, ``report.max_rel_error``, ``print(report)``. If the
    gradient is wrong, its ``verdict`` says where the error was first seen when going from one
    step to many. Raises ValueError where there is nothing to check (float32, a missing method), and
    TypeError if ``layer`` is no layer.
    """
    if not all(hasattr(layer, name) for name in ("params", "forward", "backward")):
        raise TypeError(f"layer: expected params, forward and backward, got {layer!r:.80}")
    checks.choice(method, "method", TOLERANCE)
    tol = TOLERANCE[method] if tol is None else checks.number(tol, "tol", 0, low_included=False)
    for name, p in layer.params.items():
        if p.dtype != np.float64:
            raise ValueError(f"params[{name!r}]: expected float64, got {p.dtype}: too coarse")
    original = {name: p.copy() for name, p in layer.params.items()}
    generator = checks.generator(rng)
    try:
        for p in layer.params.values():
            p += MOVE * generator.normal(size=p.shape)
        problem = Problem(layer, x, state, lengths, training, rng, generator)
        report = compare(problem, method, tol)
        faults = problem.faults()
        if faults:
            report.ok, report.verdict = False, "; ".join(faults)
        elif not report.ok and method == "directional":
            report.verdict = ", ".join(row.name for row in report.rows if row.wrong)
        elif not report.ok:
            probe = functools.partial(compare, method=method, tol=tol)
            report.verdict, report.hint = diagnose(problem, report, probe)
    finally:
        for name, p in original.items():
            layer.params[name][...] = p
    return report


def compare(problem: Problem, method: str, tol: float) -> Report:
    """Measure the gradients, compute them by ``backward``, and report where they differ."""
    arrays, written = problem.arrays(), problem.written()
    if method == "complex":
        measured, doubt = measure_complex(problem)
    else:
        directions = directions_in(problem, one=method == "directional")
        measured, doubt = measure_central(problem, tol, directions)
    if method == "directional":
        written = {name: directions[name] @ w.ravel() for name, w in written.items()}
        arrays = written
    rows, remarks, measurable = [], [], True
    for name, array in arrays.items():
        total = measured[name].sum(axis=0).reshape(array.shape)
        unsure = doubt[name].sum(axis=0).reshape(array.shape)
        error = relative_error(written[name], total, unsure, tol)
        relative, absolute = UNSURE
        unknown = np.count_nonzero(unsure > relative * np.abs(total).max() + absolute)
        if unknown:
            remarks.append(f"{name}: {unknown} of {array.size} entries not measured, at a kink?")
            measurable = measurable and bool(unknown < array.size)
        index = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
        labels = block_labels(problem.layer, name, array.shape)
        wrong = [label for label, block in labels if (error[block] > tol).any()]
        where, _ = max(labels, key=lambda labelled: error[labelled[1]].max())
        values = [float(a[index]) for a in (error, written[name], total)]
        rows.append(Row(name, array.shape, index, where, wrong, *values))
    worst = max((row.error for row in rows), default=0.0)
    ok, sources = worst <= tol and measurable, {}
    for s, source in enumerate([] if ok or method == "directional" else problem.source_names):
        alone = problem.written(s)
        sources[source] = max(
            float(relative_error(alone[n].ravel(), measured[n][s], doubt[n][s], tol).max())
            for n in alone
        )
    return Report(ok, worst, tol, method, rows, sources, remarks=remarks)


def relative_error(written: Array, measured: Array, doubt: Array, tol: float) -> Array:
    """|difference| over the larger of the two; where both are within rounding, the error is 0.

    Rounding is the doubt of the measurement plus ``ROUNDING`` times the array's largest entry.
    """
    size = np.maximum(np.abs(written), np.abs(measured))
    rounding = doubt + ROUNDING * size.max(initial=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(written - measured) / np.maximum(size, rounding / tol)
    error[size == 0] = 0
    return np.where(np.isfinite(error), error, np.inf)


def block_labels(layer: Any, name: str, shape: tuple[int, ...]) -> list[tuple[str, Any]]:
    """The parts of a gradient reported by name, as (label, index): gates, or steps of dx."""
    if name == "dx":
        return [(f"t = {t}", t) for t in range(shape[0])] if len(shape) == 3 else [("all", ...)]
    param = name[1:]
    while "." in param and optional(layer, "parts"):
        part, param = param.split(".", 1)
        layer = layer.parts[part]
    gates = optional(layer, "gates")
    if gates and param in layer.params:
        H = optional(layer, "hidden_size")
        if H is not None and shape[-1] == len(gates) * H:
            return [(f"gate {g}", (..., slice(k * H, (k + 1) * H))) for k, g in enumerate(gates)]
        if param[-1] in gates:  # p_i, b_hn
            return [(f"gate {param[-1]}", ...)]
    return [("all", ...)]
