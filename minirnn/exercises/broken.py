"""An LSTM with planted bugs, for students to name from the picture of its errors.

Do not read on before you have done the exercises of chapter 4: all the bugs are below.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.cells import textbook
from minirnn.exercises.bptt import judge_gradients
from minirnn.exercises.common import Wrong, exercise, results

STEPS, ROWS, D, H = 4, 3, 2, 3  # of the sequence that the error maps are measured on
WRONG_FROM = 1e-8  # a relative error: rounding is far below, every planted bug far above


class TextbookLSTM:
    """The LSTM of ``cells/textbook.py`` as a layer. functions: where lstm_forward and lstm_backward
    are found, by name."""

    gates = ("i", "f", "g", "o")
    state_names = ("h", "c")

    def __init__(self, input_size, hidden_size, rng=None, functions=vars(textbook)):  # noqa: B008
        self.input_size, self.hidden_size = input_size, hidden_size
        self.params = dict(mr.LSTM(input_size, hidden_size, rng=rng).params)
        self.functions = functions

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        state = np.zeros((2, x.shape[1], self.hidden_size)) if state is None else state
        return self.functions["lstm_forward"](self.params, x, state)

    def backward(self, dy, steps, dstate=None):
        dstate = np.zeros((2, *dy[0].shape)) if dstate is None else dstate
        return self.functions["lstm_backward"](self.params, dy, dstate, steps)


def planted(right: str, wrong: str) -> dict[str, Any]:
    """The textbook's functions, by name, with one line of the LSTM's backward pass replaced."""
    functions = textbook.lstm_step_backward, textbook.lstm_backward
    text = "\n\n".join(inspect.getsource(function) for function in functions)
    if text.count(right) != 1:
        raise ValueError(f"right: expected a line of the backward pass, got {right!r}")
    scope = dict(vars(textbook))
    exec(text.replace(right, wrong), scope)
    return scope


EXAMPLE = (
    "the candidate g gets the derivative of a sigmoid",
    "da_g = dg * (1 - g**2)",
    "da_g = dg * g * (1 - g)",
)

# letter: (description, the right line, what stands in its place)
HAND_ON = "dx[t], dh_next, dc_next, step_grads = lstm_step_backward(params, dh, dc_next, steps[t])"
ADD_UP = "grads[name] += step_grads[name]"
BUGS = {
    "A": (
        "dh_next is never assigned: it stays what it was before the loop",
        HAND_ON,
        HAND_ON.replace("dh_next, dc_next, step_grads", "_, dc_next, step_grads"),
    ),
    "B": (
        "dc_next is never assigned: it stays what it was before the loop",
        HAND_ON,
        HAND_ON.replace("dc_next, step_grads", "_, step_grads"),
    ),
    "C": (
        "dh_next piles up: the new one is added to the old one, += instead of =",
        HAND_ON,
        HAND_ON.replace("dh_next, dc_next, step_grads", "more, dc_next, step_grads")
        + "; dh_next = dh_next + more",
    ),
    "D": (
        "the gradient of the final state is ignored: the loop starts from zeros",
        "dh_next, dc_next = dstate",
        "dh_next, dc_next = np.zeros_like(dstate)",
    ),
    "E": (
        "da_i takes the sigmoid of i, which is a sigmoid already",
        "da_i = di * i * (1 - i)",
        "s = sigmoid(i); da_i = di * s * (1 - s)",
    ),
    "F": (
        "da_f lacks the derivative f (1 - f)",
        "da_f = df * f * (1 - f)",
        "da_f = df",
    ),
    "G": (
        "da_o uses c where tanh(c) belongs",
        "do = dh * tanh_c",
        "do = dh * c",
    ),
    "H": (
        "dc takes the tanh of tanh(c)",
        "dc = dc + dtanh_c * (1 - tanh_c**2)",
        "dc = dc + dtanh_c * (1 - np.tanh(tanh_c) ** 2)",
    ),
    "I": (
        "dW_x is not summed over time: = instead of +=",
        ADD_UP,
        'grads[name] = step_grads[name] + (0 if name == "W_x" else grads[name])',
    ),
    "J": (
        "db is not summed over time: = instead of +=",
        ADD_UP,
        'grads[name] = step_grads[name] + (0 if name == "b" else grads[name])',
    ),
    "K": (
        "the forget gate's db is a copy of the input gate's",
        "db = da.sum(axis=0)",
        "db = np.hstack([da_i, da_i, da_g, da_o]).sum(axis=0)",
    ),
    "L": (
        "dW_h uses the state after the step instead of the one before it",
        "dW_h = h_prev.T @ da",
        "dW_h = h.T @ da",
    ),
    "M": (
        "dx comes out in the order of the backward loop, last step first",
        "dx[t], ",
        "dx[-1 - t], ",
    ),
    "N": (
        "dx is made without the output gate's part of da",
        'dx = da @ params["W_x"].T',
        'dx = np.hstack([da_i, da_f, da_g, 0 * da_o]) @ params["W_x"].T',
    ),
}
DECOYS = "CHJN"  # in the list, but none of the ten
NUMBERS = range(1, len(BUGS) - len(DECOYS) + 1)


def _letter(k: int) -> str:
    """The letter of bug k, in an order that says nothing."""
    planted = [letter for letter in BUGS if letter not in DECOYS]
    return planted[np.random.default_rng(1997).permutation(len(planted))[k - 1]]


def descriptions() -> dict[str, str]:
    """What may be wrong, by letter: the ten bugs and some that are not among them."""
    return {letter: description for letter, (description, _, _) in BUGS.items()}


def broken_lstm(k: int | None, input_size: int = D, hidden_size: int = H, rng: Any = 0) -> Any:
    """A ``TextbookLSTM`` whose backward pass has bug k; 0 is the example, None has no bug."""
    if k not in (None, 0, *NUMBERS):
        raise ValueError(f"k: expected 1 to {NUMBERS[-1]}, 0 (the example) or None, got {k!r}")
    if k is None:
        return TextbookLSTM(input_size, hidden_size, rng)
    _, right, wrong = BUGS[_letter(k)] if k else EXAMPLE
    return TextbookLSTM(input_size, hidden_size, rng, planted(right, wrong))


COLUMNS = [*(str(t) for t in range(STEPS)), "h", "c"]


def error_map(layer: Any) -> dict[str, np.ndarray]:
    """The relative error of each block of a layer's gradients: block to (6,).

    One column for each loss: a random projection of the output of step 0, 1, 2, 3 alone, then of
    the final h and the final c alone. The right gradients are those of ``mr.LSTM``.
    """
    rng = np.random.default_rng(2)
    reference = mr.LSTM(layer.input_size, layer.hidden_size)
    for name, p in layer.params.items():
        reference.params[name][...] = p
    x, dy = (rng.normal(size=(STEPS, ROWS, n)) for n in (layer.input_size, layer.hidden_size))
    state, dstate = rng.normal(size=(2, 2, ROWS, layer.hidden_size))
    columns = []
    for column in range(STEPS + 2):
        alone = dy * (np.arange(STEPS) == column)[:, None, None]
        final = tuple(d * (column == STEPS + k) for k, d in enumerate(dstate))
        found = []
        for one in (layer, reference):
            _, _, cache = one.forward(x, tuple(state))
            found.append(blocks(*one.backward(alone, cache, final)))
        columns.append([relative(found[0][name], found[1][name]) for name in found[0]])
    return dict(zip(found[0], np.array(columns).T, strict=True))


def blocks(dx, dstate, grads) -> dict[str, np.ndarray]:
    """Gradients of an LSTM cut in blocks: by gate, by step."""
    found = {"dh0": dstate[0], "dc0": dstate[1]}
    found |= {f"dx[{t}]": dx[t] for t in range(len(dx))}
    for name, g in grads.items():
        parts = np.split(np.asarray(g), 4, axis=-1)
        found |= {f"d{name} {gate}": part for gate, part in zip("ifgo", parts, strict=True)}
    return found


def relative(got: np.ndarray, right: np.ndarray) -> float:
    """||got - right|| over the larger of the two norms; 0 if both are 0."""
    size = max(np.linalg.norm(got), np.linalg.norm(right))
    return float(np.linalg.norm(got - right) / size) if size else 0.0


def _loss_words(column: str) -> str:
    return f"the loss of step {column}" if column.isdigit() else f"a loss of the final {column}"


def _contradiction(letter: str, k: int) -> str:
    """Where the map of bug k is not that of the bug with this letter: the simplest loss first."""
    _, right, wrong = BUGS[letter]
    claimed = TextbookLSTM(D, H, 0, planted(right, wrong))
    theirs, ours = error_map(claimed), error_map(broken_lstm(k))
    for column, name in enumerate(COLUMNS):
        differing = [
            (bool(ours[row][column] > WRONG_FROM), row)
            for row in ours
            if (ours[row][column] > WRONG_FROM) != (theirs[row][column] > WRONG_FROM)
        ]
        if differing:
            dark, row = min(differing)  # what should be dark and is white comes first
            if dark:
                error = f"is dark (error {ours[row][column]:.0e})"
                return f"that would leave row {row} white for {_loss_words(name)}, but it {error}"
            return f"that would make row {row} dark for {_loss_words(name)}, but it is white"
    return "the map is a different one"


@exercise(
    "Begin with column 0: a single step, so nothing is passed on. Which rows are dark there? If "
    "none, the fault is in what goes from step to step, or in the sum.",
    "Rows dW_x, dW_h, db of one gate dark together: its da. One of the three alone: that product. "
    "If everything is dark except at the left edge: which of dh0, dc0 is dark in column 0?",
    "Print one map as numbers: broken.error_map(broken.broken_lstm(k)). Then say for each letter "
    "which rows it must darken in column 0, and rule out those that do not.",
)
def name_the_bugs(student: Callable) -> str:
    """``name_the_bugs()``: a dictionary from the number of a bug, 1 to 10, to its letter."""
    named = student()
    if isinstance(named, (list, tuple)):
        named = dict(enumerate(named, 1))
    if not isinstance(named, dict):
        raise Wrong(
            f"Expected a dictionary such as {{1: 'C', 2: 'H'}}, got {type(named).__name__}."
        )
    strange = [k for k in named if k not in NUMBERS]
    if strange:
        raise Wrong(f"There is no bug {strange[0]!r:.60}: they are numbered 1 to {NUMBERS[-1]}.")
    faults = []
    for k in NUMBERS:
        letter = str(named.get(k, "")).strip().upper()
        if letter not in BUGS:
            got = f"{named[k]!r:.60}" if k in named else "no answer yet"
            faults.append(f"bug {k}: {got}; the letters are A to {max(BUGS)}.")
        elif letter != _letter(k):
            faults.append(f"bug {k}: you say {letter} ({BUGS[letter][0]}),")
            faults.append(f"    {_contradiction(letter, k)}.")
    if faults:
        count = sum(not fault.startswith(" ") for fault in faults)
        raise Wrong(f"{NUMBERS[-1] - count} of {NUMBERS[-1]} are right.\n  " + "\n  ".join(faults))
    return "(all ten)"


@exercise(
    "Four lines compute da, two lines compute what the step before gets. Which of them need dh, "
    "and which need dc? c reaches the loss in two ways: the next step, and h = o * tanh(c).",
    "tanh_c = np.tanh(c); dc = dc_next + dh * o * (1 - tanh_c**2). Then i, f, g get theirs from "
    "dc, o gets its own from dh, each times the derivative of its sigmoid or tanh.",
    "da_i = dc * g * i * (1 - i); da_f = dc * c_prev * f * (1 - f); da_g = dc * i * (1 - g**2); "
    "da_o = dh * tanh_c * o * (1 - o); da = np.hstack of the four; dh_prev = da @ W_h.T; "
    "dc_prev = dc * f.",
)
def lstm_carry(student: Callable) -> str:
    """``lstm_carry(dh, dc_next, i, f, g, o, c_prev, c, W_h)``: da, dh_prev, dc_prev of one step.

    All (B, H), W_h (H, 4H), da (B, 4H) in the order i f g o.
    """
    rng = np.random.default_rng(0)
    layer = mr.LSTM(2, 3, rng=rng)

    def backward(dy, cache, dstate=None):
        W_x, W_h = layer.params["W_x"], layer.params["W_h"]
        dh_next, dc_next = dstate if dstate is not None else np.zeros((2, *dy[0].shape))
        x, h, states = cache.x, cache.h, cache.c
        da_all: list[np.ndarray] = []
        for t in reversed(range(len(x))):
            gates = [np.array(gate) for gate in np.split(cache.gates[t], 4, axis=-1)]
            c_prev, c = np.array(states[t]), np.array(states[t + 1])
            found = student(dy[t] + dh_next, dc_next, *gates, c_prev, c, W_h)
            shapes = {"da": cache.gates[t].shape, "dh_prev": c.shape, "dc_prev": c.shape}
            da, dh_next, dc_next = results(found, shapes)
            if not all(np.isfinite(a).all() for a in (da, dh_next, dc_next)):
                raise Wrong("Some of the numbers returned are not finite.")
            da_all.insert(0, da)
        da = np.array(da_all)
        grads = {"W_x": np.einsum("tbi,tbj->ij", x, da), "b": da.sum(axis=(0, 1)),
                 "W_h": np.einsum("tbi,tbj->ij", h[:-1], da)}  # fmt: skip
        return da @ W_x.T, (dh_next, dc_next), {name: grads[name] for name in layer.params}

    try:
        return judge_gradients(layer, backward, rng.normal(size=(4, 2, 2)))
    except Wrong as wrong:
        if "gradient check" not in str(wrong):
            raise
        if "gradient of the final state" in str(wrong):
            raise Wrong(
                "What c gets from the next step is not used correctly: c reaches the loss "
                "through h = o * tanh(c) and through the next step, so dc begins with dc_next as "
                "it is."
            ) from None
        raise Wrong(
            f"{wrong}\n  In the names of this exercise: dh0 and dc0 are dh_prev and dc_prev of the "
            "first step; the gradient of the final state comes in by dh and dc_next of the last."
        ) from None
