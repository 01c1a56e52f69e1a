"""From a failed gradient check to the line that is wrong.

A check of a whole sequence fails nearly everywhere, whatever the bug. So probe from simple to hard:
one step from a zero state, one step from any state, two steps, and more. What can go wrong in one
step cannot be the fault of the loop; what is right in one step and wrong in two is. Then look at
*which* gradients are wrong: an error in da of a gate shows in that gate's part of dW_x, dW_h and db
alike, and an error in one product shows in that product alone.
"""

from collections.abc import Callable
from typing import Any

from minirnn.checking.derivatives import Problem

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
    parts = getattr(problem.layer, "parts", None)
    if parts is not None:
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
    """An error spreads from a layer to those before it, so the last wrong one is where it began."""
    wrong = [row.name[1:].split(".", 1) for row in report.rows if row.wrong and "." in row.name]
    last = max((part for part, _ in wrong), key=list(parts).index, default=next(iter(parts)))
    names = ", ".join("d" + name for part, name in wrong if part == last) or "dx"
    kind = type(parts[last]).__name__
    hint = f"Check that {kind} alone: gradcheck(model.parts[{last!r}], ...)"
    return f"layer {last} ({kind}), {names}", hint


def interpret(layer: Any, report: Any) -> tuple[str, str]:
    """What is wrong in the words of the equations, and the key of its hint."""
    wrong = {row.name: row.wrong for row in report.rows if row.wrong}
    bad_outputs = [name for name, error in report.sources.items() if error > report.tol]
    only_finals = bad_outputs and all(name.startswith("final") for name in bad_outputs)
    if only_finals and not set(wrong) <= {"dh0", "dc0"}:
        finals = " and ".join(name.replace("final ", "d") for name in bad_outputs)
        return f"gradient of the final state ({finals})", "final"

    gates = tuple(getattr(layer, "gates", ()))
    gates_in = {name: [g for g in gates if f"gate {g}" in labels] for name, labels in wrong.items()}
    pre = [g for g in gates if g in gates_in.get("dW_x", ()) and g in gates_in.get("db", ())]
    T = next((row.shape[0] for row in report.rows if row.name == "dx" and len(row.shape) == 3), 1)
    if T > 1:
        # One step is right, so what is wrong is what is handed from step to step, or the sum.
        if set(wrong) <= {row.name for row in report.rows if row.name[1:] in layer.params}:
            return f"{', '.join(wrong)}, sum over time", "sum"
        if set(wrong) == {"dx"}:
            return "dx, the order of its steps", "order"
        if "c" in getattr(layer, "state_names", ()) and "o" not in pre:
            return "dc handed from step t+1 to step t", "dc carry"
        return "dh handed from step t+1 to step t", "dh carry"
    if pre or (not gates and "dW_x" in wrong and "db" in wrong):
        if set(pre) == set(gates):
            return "dh or the derivative of the activation", "derivative"
        if "o" in gates and "o" not in pre and {"i", "g"} <= set(pre):
            return "dc, the path from the hidden state to the cell", "cell path"
        if set(pre) == {"r", "n"}:  # dr comes out of da_n
            pre = ["n"]
        return f"{' and '.join(GATE_WORDS.get(g, g) for g in pre)}, derivative", "derivative"
    name = next((n for n in ("dW_x", "dW_h", "db", "dx", "dh0", "dc0") if n in wrong), "")
    listed = []
    for n, letters in gates_in.items():
        words = ", ".join(GATE_WORDS.get(g, g) for g in letters)
        listed.append(f"{n} of the {words}" if words else n)
    return " and ".join(listed) or "the sum of all outputs' gradients", name
