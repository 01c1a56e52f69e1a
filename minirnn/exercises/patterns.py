"""Patterns of input and output: teacher forcing's inputs, and running free."""

import contextlib
from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import Wrong, exercise, judge_against, results


def _shifted(target, first, by=1):
    """The target moved by some steps; what comes in at the front is ``first``."""
    u = np.roll(target, by, axis=0)
    u[:by] = first
    return u


def _to_the_left(target, first):
    u = np.roll(target, -1, axis=0)
    u[-1] = first
    return u


def _left_and_first(target, first):
    """The step after, but step 0 is right."""
    u = np.roll(target, -1, axis=0)
    u[0] = first
    return u


def _left_repeated(target, first):
    return np.concatenate([target[1:], target[-1:]])


def _zeros_first(target, first):
    return _shifted(target, np.zeros_like(target[0]))


def _first_replaced(target, first):
    u = target.copy()
    u[0] = first
    return u


def _other_rows(target, first):
    u = np.roll(target, 1, axis=1)
    u[0] = first
    return u


def _along_axis_1(target, first):
    return np.concatenate([first[:, None], target[:, :-1]], axis=1)


def _numbered(T, B, K):
    """Values that say where they come from: step, row and feature are the digits."""
    t, b, k = np.indices((T, B, K))
    return 100.0 * (t + 1) + 10 * b + k


@exercise(
    "What was the true output one step *before* step t? And what is before step 0?",
    "The result is as long as the target: first goes in at the front, and the last true output, "
    "which nobody needs as an input, drops out.",
    "np.concatenate([first[None], target[:-1]]): time is axis 0.",
)
def teacher_inputs(student: Callable) -> str:
    """``teacher_inputs(target, first)``: the target, shifted right by a step, first in front."""
    one, square = np.full((1, 1), 9.0), (_numbered(3, 3, 1), np.array([[7.0], [8.0], [9.0]]))
    got = None
    with contextlib.suppress(Wrong):  # other shapes would only end in an error
        (got,) = results(student(*square), {"u": square[0].shape})
    if got is not None and np.array_equal(got, _along_axis_1(*square)):
        raise Wrong(
            "With as many rows as steps, first is put in along axis 1 and the target shifted along "
            "it. Axis 1 is the batch: a row gets what another row did. Time is axis 0."
        )
    return judge_against(
        student,
        _shifted,
        {
            "one step: its input is first (T, B, K = 1, 1, 1)": (_numbered(1, 1, 1), one),
            "two steps, one row, one value (2, 1, 1)": (_numbered(2, 1, 1), one),
            "four steps, one row, one value (4, 1, 1)": (_numbered(4, 1, 1), one),
            "as many rows as steps (3, 3, 1)": square,
            "four steps, two rows, three values (4, 2, 3)": (
                _numbered(4, 2, 3),
                -_numbered(1, 2, 3)[0],
            ),
            "tokens, (T, B) = (5, 3), first (3,)": (
                np.arange(15).reshape(5, 3),
                np.array([90, 91, 92]),
            ),
        },
        {
            "the target is shifted to the left: step t gets the output of step t + 1, which it has "
            "to find": _to_the_left,
            "from step 1 on, the target is shifted to the left: step t gets the output of step t "
            "+ 1": _left_and_first,
            "the target is shifted to the left, its last step twice": _left_repeated,
            "the target is not shifted: each step gets its own answer": lambda t, f: t,
            "the target is not shifted, only its first step replaced: each later step gets its own "
            "answer": _first_replaced,
            "first is missing; step 0 gets zeros": _zeros_first,
            "first is missing; step 0 gets its own answer": lambda t, f: _shifted(t, t[0]),
            "first is missing; np.roll leaves the *last* output at step 0": lambda t, f: np.roll(
                t, 1, axis=0
            ),
            "first is in front, but the last step is still there; drop it": lambda t, f: (
                np.concatenate([f[None], t])
            ),
            "one step too few: first is missing": lambda t, f: t[:-1],
            "shifted by two steps": lambda t, f: _shifted(t, f, by=2),
            "shifted along the batch, not along time: a row gets what another row did. Time is "
            "axis 0": _other_rows,
            "every step gets first": lambda t, f: np.broadcast_to(f, t.shape),
            "time runs backwards": lambda t, f: _shifted(t, f)[::-1],
        },
        {"u": ("step t", "row", "value")},
    )


def _run(step, first, n, skip=0):
    outputs, y = [], first
    for _ in range(n + skip):
        y = step(y)
        outputs.append(y)
    return np.array(outputs[skip:])


def _same_input(step, first, n):
    return np.array([step(first) for _ in range(n)])


def _with_first(step, first, n):
    return np.array([first, *_run(step, first, n)])


def _one_behind(step, first, n):
    """The output goes in one step too late: the first input is used twice."""
    outputs, before, y = [], first, first
    for _ in range(n):
        outputs.append(step(before))
        before, y = y, outputs[-1]
    return np.array(outputs)


def _grown(step, first, n):
    return _run(lambda y: y + step(y), first, n)


def _added(step, first, n):
    outputs, y = [], first
    for _ in range(n):
        outputs.append(step(y))
        y = y + outputs[-1]
    return np.array(outputs)


@exercise(
    "Which input does the second call of step get?",
    "Keep the newest output in a variable y, which begins as first. In a loop of n steps: y = "
    "step(y), and append it to a list.",
    "y, outputs = first, []; for _ in range(n): y = step(y); outputs.append(y); then return "
    "np.array(outputs).",
)
def free_run(student: Callable) -> str:
    """``free_run(step, first, n)``: n outputs (n, ...), each the step of the one before it."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(3, 3))

    def double(y):
        return 2 * y

    def rotate(y):
        return np.tanh(y @ W) + 0.1

    one = np.array([3.0])
    return judge_against(
        student,
        _run,
        {
            "n = 1, step(y) = 2 y, first 3: the only output is 6": (double, one, 1),
            "n = 2: 6, 12": (double, one, 2),
            "n = 4: 6, 12, 24, 48": (double, one, 4),
            "n = 3, step(y) = y squared, first 2: 4, 16, 256": (np.square, np.array([2.0]), 3),
            "n = 5, two rows of three values, step(y) = tanh(y W) + 0.1": (
                rotate,
                rng.normal(size=(2, 3)),
                5,
            ),
        },
        {
            "step gets first every time; from the second call on it has to get the output before "
            "it": _same_input,
            "first is among the outputs; the last output is missing": lambda s, f, n: _with_first(
                s, f, n - 1
            ),
            "first is among the outputs: they are n + 1": _with_first,
            "n - 1 outputs, not n": lambda s, f, n: _run(s, f, n - 1),
            "n + 1 outputs, not n": lambda s, f, n: _run(s, f, n + 1),
            "the first output is left out, and one more made at the end": lambda s, f, n: _run(
                s, f, n, skip=1
            ),
            "only the last output is returned": lambda s, f, n: _run(s, f, n)[-1],
            "the outputs are in reverse order": lambda s, f, n: _run(s, f, n)[::-1],
            "each output goes in one step too late": _one_behind,
            "the input is added up; it has to be replaced by the output": _added,
            "the output is added to the value before it; it has to replace it": _grown,
            "step is applied twice for each output": lambda s, f, n: _run(lambda y: s(s(y)), f, n),
        },
        {"outputs": ("step", "row", "value")},
    )
