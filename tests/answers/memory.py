"""Wrong answers to the exercises of chapter 1."""

import numpy as np


def recurrence(step, keep="after"):
    """A student's function whose step is s = step(s, onehot, decay)."""

    def decayed_sum(digits, decay):
        s, rows = np.zeros(10), []
        for digit in digits:
            before, s = s, step(s, np.eye(10)[digit], decay)
            rows.append(before if keep == "before" else s)
        return np.array(rows)

    return decayed_sum


def last_only(digits, decay):
    s = np.zeros(10)
    for digit in digits:
        s = decay * s + np.eye(10)[digit]
    return s


def aliased(digits, decay):
    s, rows = np.zeros(10), []
    for digit in digits:
        s *= decay
        s[digit] += 1
        rows.append(s)
    return np.array(rows)


def set_to_one(digits, decay):
    """A digit that comes again is set to 1, not increased by 1."""
    s, rows = np.zeros(10), []
    for digit in digits:
        s = decay * s
        s[digit] = 1
        rows.append(s)
    return np.array(rows)


def reader(line):
    """The reference with another body of its loop, as a function."""
    text = f"""
def read_back(s, T):
    s, digits = s.copy(), []
    for _ in range(T):
        k = int(np.argmax(s))
        digits.append(k)
        {line}
    return digits[::-1]
"""
    scope = {"np": np}
    exec(text, scope)
    return scope["read_back"]


def newest_first(s, T):
    return reader("s[k] -= 1; s = 2 * s")(s, T)[::-1]


def in_place(s, T):
    digits = []
    for _ in range(T):
        digits.append(int(np.argmax(s)))
        s[digits[-1]] -= 1
        s *= 2
    return digits[::-1]


WRONG = {
    "decayed_sum": [
        (recurrence(lambda s, v, d: s + d * v), "the old sum is not"),
        (recurrence(lambda s, v, d: d * (s + v)), "multiplied by decay too"),
        (recurrence(lambda s, v, d: d * s + (1 - d) * v), "moving average"),
        (recurrence(lambda s, v, d: s + v), "decay is not used"),
        (recurrence(lambda s, v, d: v), "overwritten"),
        (recurrence(lambda s, v, d: d * s + v, "before"), "kept too early"),
        (last_only, "one row after each step"),
        (aliased, "all rows are the last sum"),
        (set_to_one, "the same digit twice"),
    ],
    "read_back": [
        (newest_first, "Reverse the order"),
        (reader("s[k] = 0; s = 2 * s"), "entry of a digit is removed"),
        (reader("s[k] -= 1"), "not doubled"),
        (reader("s = 2 * s; s[k] -= 1"), "doubled before 1 is subtracted"),
        (reader("pass"), "nothing is subtracted"),
        (lambda s, T: list(np.argsort(-s)[:T][::-1]), "sorted by their sums"),
        (in_place, "changes its argument 's'"),
    ],
}
