"""From a failed gradient check to the line that is wrong.

A check of a whole sequence fails nearly everywhere, whatever the bug. So the probes go from simple
to hard: one step from a zero state, one step from any state, two steps, and more. What is wrong in
one step is not the fault of the loop; what is right in one step and wrong in two is. Then look at
*which* gradients are wrong: an error in da of a gate shows in that gate's part of dW_x, dW_h and
db, and an error in one product shows only in that product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minirnn.checking.derivatives import Problem
from minirnn.protocol import optional

GATE_WORDS = {"i": "input gate", "f": "forget gate", "g": "candidate g", "o": "output gate",
              "r": "reset gate", "z": "update gate", "n": "candidate n"}  # fmt: skip

HINTS = {
    "derivative": "In terms of the output s the derivative of a sigmoid is s (1 - s), of a tanh "
    "1 - s^2. Is it applied twice, to the wrong gate, or to a value before the activation? If it "
    "is right: the other factor (da_f has c before the step), the sign, the order of the gates.",
    "cell path": "c reaches the loss through h = o * tanh(c): dc gains dh * o * (1 - tanh(c)^2).",
    "dh carry": "h[t] is an input of step t+1: dh[t] = dy[t] + da[t+1] W_h^T. Is it assigned?",
    "dc carry": "c[t] is an input of step t+1: dc[t] starts from dc[t+1] * f[t+1]. Is it assigned?",
    "dW_x": "dW_x = sum over t of x[t]^T da[t].",
    "dW_h": "dW_h = sum over steps of (the state *before* the step)^T da. In an array of T + 1 "
    "states that begins with the initial one, the state before step t is h[t].",
    "db": "db = sum of da over steps and rows, each gate's from its own da.",
    "dx": "dx[t] = da[t] W_x^T, with the da of all gates. Transposed, or one gate left out?",
    "dh0": "dh0 = da[0] W_h^T: what step 0 hands back. Is it assigned at every step, and with the "
    "transposed W_h? (With gates: the da of all of them; in a GRU also dh * z.)",
    "dc0": "dc0 = dc[0] * f[0].",
    "sum": "The same parameter is used at every step: add up over time (+=), from zero.",
    "order": "dx[t] belongs to x[t], though the loop runs from the last step to the first.",
    "final": "The loss may depend on the final state too: start the loop from dstate, not zero.",
    "lengths": "Past its end a sequence has da = 0, and dh and dc go through unchanged.",
}


def diagnose(problem: Problem, report: Any, compare: Callable[[Problem], Any]) -> tuple[str, str]:
    """A verdict such as "forget gate, derivative: first seen at T = 1", and a hint.

    report: the ``gradcheck.Report`` that ``compare(problem)`` has made.
    """
    parts = optional(problem.layer, "parts")
    if parts:
        return _which_part(parts, report)
    if isinstance(problem.x, tuple):
        return "wrong: " + ", ".join(row.name for row in report.rows if row.wrong), ""
    T = len(problem.x) if problem.steps else 1
    first, seen = report, f"T = {T}"
    if problem.steps:
        for n in dict.fromkeys((1, 2, 3, T)):
            if n > T:
                break
            zero = compare(problem.at(n, zero_state=True)) if n == 1 else None
            probe = compare(problem.at(n))
            if not probe.ok:
                first, seen = probe, f"T = {n}"
                if zero is not None:
                    seen += " with a non-zero state" if zero.ok else ""
                break
        else:
            return "right without lengths, wrong with them", HINTS["lengths"]
    what, hint = interpret(problem.layer, first)
    return f"{what}: first seen at {seen}", HINTS.get(hint, "")


def _which_part(parts: Any, report: Any) -> tuple[str, str]:
    """An error spreads from a layer to all layers before it, so it began in the last wrong one."""
    wrong = [row.name[1:].split(".", 1) for row in report.rows if row.wrong and "." in row.name]
    last = max((part for part, _ in wrong), key=list(parts).index, default=next(iter(parts)))
    names = ", ".join("d" + name for part, name in wrong if part == last) or "dx"
    kind = type(parts[last]).__name__
    hint = f"Check that {kind} alone: gradcheck(model.parts[{last!r}], ...)"
    return f"layer {last} ({kind}), {names}", hint


class Symptoms:
    """Which gradients are wrong, as the table below asks for them."""

    def __init__(self, layer: Any, report: Any) -> None:
        parts = {row.name: row.wrong for row in report.rows if row.wrong}
        self.wrong = set(parts)
        self.params = {row.name for row in report.rows if row.name[1:] in layer.params}
        self.gates = tuple(optional(layer, "gates"))
        self.has_c = "c" in optional(layer, "state_names")
        self.steps = next(
            (row.shape[0] for row in report.rows if row.name == "dx" and len(row.shape) == 3), 1
        )
        # The outputs whose gradients are passed back wrongly: only those of the final state?
        outputs = [name for name, error in report.sources.items() if error > report.tol]
        self.only_finals = bool(outputs) and all(name.startswith("final") for name in outputs)
        # A gate whose part of dW_x and of db is wrong has a wrong da.
        of_gates = {n: [g for g in self.gates if f"gate {g}" in own] for n, own in parts.items()}
        in_W, in_b = of_gates.get("dW_x", ()), of_gates.get("db", ())
        self.da = [g for g in self.gates if g in in_W and g in in_b]
        self.any_da = bool(self.da) or (not self.gates and {"dW_x", "db"} <= self.wrong)
        # The same in words.
        self.names = ", ".join(parts)
        self.finals = " and ".join(name.replace("final ", "d") for name in outputs)
        self.wrong_gates = " and ".join(GATE_WORDS.get(g, g) for g in self.da)
        self.places = " and ".join(
            f"{name} of the {', '.join(GATE_WORDS.get(g, g) for g in own)}" if own else name
            for name, own in of_gates.items()
        )


# Condition, words, key of the hint. The first condition that holds is the diagnosis. In the rows
# with ``steps > 1`` a single step is right, so the error is in what one step hands to another, or
# in a sum over steps.
TABLE: list[tuple[Callable[[Symptoms], bool], str, str]] = [
    (lambda s: s.only_finals and not s.wrong <= {"dh0", "dc0"},
     "gradient of the final state ({s.finals})", "final"),
    (lambda s: s.steps > 1 and s.wrong <= s.params, "{s.names}, sum over time", "sum"),
    (lambda s: s.steps > 1 and s.wrong == {"dx"}, "dx, the order of its steps", "order"),
    (lambda s: s.steps > 1 and s.has_c and "o" not in s.da,
     "dc handed from step t+1 to step t", "dc carry"),
    (lambda s: s.steps > 1, "dh handed from step t+1 to step t", "dh carry"),
    (lambda s: s.any_da and set(s.da) == set(s.gates),
     "dh or the derivative of the activation", "derivative"),
    (lambda s: s.any_da and "o" in s.gates and "o" not in s.da and {"i", "g"} <= set(s.da),
     "dc, the path from the hidden state to the cell", "cell path"),
    (lambda s: s.any_da and set(s.da) == {"r", "n"},  # dr is computed from da_n
     "candidate n, derivative", "derivative"),
    (lambda s: s.any_da, "{s.wrong_gates}, derivative", "derivative"),
    (lambda s: "dW_x" in s.wrong, "{s.places}", "dW_x"),
    (lambda s: "dW_h" in s.wrong, "{s.places}", "dW_h"),
    (lambda s: "db" in s.wrong, "{s.places}", "db"),
    (lambda s: "dx" in s.wrong, "{s.places}", "dx"),
    (lambda s: "dh0" in s.wrong, "{s.places}", "dh0"),
    (lambda s: "dc0" in s.wrong, "{s.places}", "dc0"),
    (lambda s: bool(s.wrong), "{s.places}", ""),
    (lambda s: True, "the sum of all outputs' gradients", ""),
]  # fmt: skip


def interpret(layer: Any, report: Any) -> tuple[str, str]:
    """What is wrong in the words of the equations, and the key of its hint."""
    symptoms = Symptoms(layer, report)
    words, hint = next((words, hint) for holds, words, hint in TABLE if holds(symptoms))
    return words.format(s=symptoms), hint
