"""Wrong answers to the exercises of chapter 12."""

import numpy as np


def left(target, first):
    return np.concatenate([target[1:], first[None]])


def zeros_first(target, first):
    u = np.zeros_like(target)
    u[1:] = target[:-1]
    return u


def along_the_batch(target, first):
    u = np.roll(target, 1, axis=1)
    u[0] = first
    return u


def in_place(target, first):
    target[1:] = target[:-1]
    target[0] = first
    return target


def not_shifted(target, first):
    u = target.copy()
    u[0] = first
    return u


def second_axis(target, first):
    return np.concatenate([first[:, None], target[:, :-1]], axis=1)


def run(line_wrong="", line_right=""):
    """The reference with one line replaced, as a function."""
    text = """
def free_run(step, first, n):
    y, outputs = first, []
    for _ in range(n):
        y = step(y)
        outputs.append(y)
    return np.array(outputs)
"""
    assert line_right in text
    scope = {"np": np}
    exec(text.replace(line_right, line_wrong), scope)
    return scope["free_run"]


def appended_before(step, first, n):
    y, outputs = first, []
    for _ in range(n):
        outputs.append(y)
        y = step(y)
    return np.array(outputs)


WRONG = {
    "teacher_inputs": [
        (left, "shifted to the left"),
        (lambda target, first: target, "not shifted: each step"),
        (zeros_first, "step 0 gets zeros"),
        (lambda target, first: np.roll(target, 1, axis=0), "np.roll leaves"),
        (not_shifted, "only its first step replaced"),
        (along_the_batch, "along the batch"),
        (lambda target, first: np.concatenate([first[None], target]), "drop it"),
        (lambda target, first: target[:-1], "one step too few"),
        (in_place, "changes its argument 'target'"),
        (second_axis, "put in along axis 1"),
    ],
    "free_run": [
        (run("outputs.append(step(first))", "outputs.append(y)"), "gets first every time"),
        (appended_before, "first is among the outputs; the last"),
        (run("range(n - 1)", "range(n)"), "n - 1 outputs"),
        (run("range(n + 1)", "range(n)"), "n + 1 outputs"),
        (run("first, [first]", "first, []"), "they are n + 1"),
        (run("np.array(y)", "np.array(outputs)"), "only the last"),
        (run("y = y + step(y)", "y = step(y)"), "added to the value before"),
        (run("pass", "return np.array(outputs)"), "returns None"),
    ],
}
