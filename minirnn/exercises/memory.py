"""A decaying sum as a memory: the recurrence, and what can be read back from it."""

from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import exercise, judge_against


def sums(digits, decay, new=1.0, late=1.0):
    """The right answer; new: weight of the new digit, late: of both together."""
    s, rows = np.zeros(10), []
    for digit in digits:
        s = late * (decay * s + new * np.eye(10)[digit])
        rows.append(s)
    return np.array(rows)


@exercise(
    "Begin with ten zeros. At each step two things happen to s: what was there shrinks, and the "
    "new digit is added with weight 1.",
    "s = decay * s + onehot, where onehot is np.eye(10)[digit]. Keep each s: the result is (T, "
    "10), one row after each step.",
    "s = np.zeros(10); for each digit: s = decay * s + np.eye(10)[digit], and append s to a list. "
    "Return np.array of the list.",
)
def decayed_sum(student: Callable) -> str:
    """``decayed_sum(digits, decay)``: the sums after each step, (T, 10), of digits (T,)."""

    def backwards(digits, decay):
        return sums(digits[::-1], decay)

    def oldest_heaviest(digits, decay):
        return np.cumsum(
            decay ** np.arange(len(digits))[:, None] * np.eye(10)[digits].astype(float), axis=0
        )

    return judge_against(
        student,
        sums,
        {
            "one digit, 3; decay 0.5": (np.array([3]), 0.5),
            "two digits, 2 3; decay 0 (nothing is kept)": (np.array([2, 3]), 0.0),
            "two digits, 2 3; decay 1 (a plain sum)": (np.array([2, 3]), 1.0),
            "two digits, 2 3; decay 0.5": (np.array([2, 3]), 0.5),
            "the same digit twice, 4 4; decay 0.5": (np.array([4, 4]), 0.5),
            "seven digits, 3 1 4 1 5 9 2; decay 0.9": (np.array([3, 1, 4, 1, 5, 9, 2]), 0.9),
        },
        {
            "the new digit is multiplied by decay, and the old sum is not": lambda x, d: sums(
                x, 1.0, new=d
            ),
            "the new digit is multiplied by decay too. It should be added with weight 1": (
                lambda x, d: sums(x, d, new=d)
            ),
            "a moving average: the new digit has the weight 1 - decay. Here it is 1": (
                lambda x, d: sums(x, d, new=1 - d)
            ),
            "a plain sum: decay is not used": lambda x, d: sums(x, 1.0),
            "only the last digit: the old sum is overwritten, not added to": lambda x, d: sums(
                x, 0.0
            ),
            "only the last sum. Return all of them, one row after each step": lambda x, d: sums(
                x, d
            )[-1],
            "all rows are the last sum: the same array was appended each time and changed "
            "afterwards. s = decay * s + ... makes a new one": lambda x, d: np.tile(
                sums(x, d)[-1], (len(x), 1)
            ),
            "the sums *before* each step: s is kept too early": lambda x, d: np.concatenate(
                [np.zeros((1, 10)), sums(x, d)[:-1]]
            ),
            "ten zeros come first. Return one row after each step, (T, 10)": lambda x, d: (
                np.concatenate([np.zeros((1, 10)), sums(x, d)])
            ),
            "the digits are read from the last to the first": backwards,
            "the oldest digit has weight 1 and the newest the least: it must be the reverse": (
                oldest_heaviest
            ),
        },
        {"s": ("step t", "digit")},
    )


def peel(s, T, taken=1.0, grow=2.0, newest_first=False, all_at_once=False):
    """The right answer, and what can go wrong in it."""
    digits, s = [], s.copy()
    for _ in range(T):
        digit = int(np.argmax(s))
        digits.append(digit)
        s[digit] = 0.0 if all_at_once else s[digit] - taken
        s = s * grow
    return np.array(digits if newest_first else digits[::-1])


@exercise(
    "Which entry of s is at least 1, and why can there be only one? (1/2 + 1/4 + ... + 1/2^(T-1) "
    "< 1.)",
    "The largest entry belongs to the last digit. Subtract its 1 again, and undo the halving: "
    "then s is what it was one step earlier. Do that T times.",
    "s = s.copy(); T times: k = np.argmax(s); digits.append(k); s[k] -= 1; s = 2 * s. That gives "
    "the newest first: return digits[::-1].",
)
def read_back(student: Callable) -> str:
    """``read_back(s, T)``: the T digits, oldest first, of which s (10,) is the sum of decay 1/2."""
    lists = {
        "one digit, 7": [7],
        "two different digits, 2 3": [2, 3],
        "the same digit twice, 4 4": [4, 4],
        "one that occurs again later, 2 3 2": [2, 3, 2],
        "a zero among them, 0 5 0 0": [0, 5, 0, 0],
        "twelve digits, 3 1 4 1 5 9 2 6 5 3 5 8": [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8],
        "fifty digits": list(np.random.default_rng(0).integers(0, 10, 50)),
    }
    cases = {label: (sums(digits, 0.5)[-1], len(digits)) for label, digits in lists.items()}
    return judge_against(
        student,
        peel,
        cases,
        {
            "the newest digit is first. Reverse the order": lambda s, T: peel(
                s, T, newest_first=True
            ),
            "the whole entry of a digit is removed, with its earlier occurrences. Subtract 1, "
            "the weight of the newest": lambda s, T: peel(s, T, all_at_once=True),
            "the sum is not doubled after each digit: what was halved must be doubled again": (
                lambda s, T: peel(s, T, grow=1.0)
            ),
            "the sum is doubled before 1 is subtracted. First subtract 1, then double": (
                lambda s, T: peel(s, T, taken=0.5)
            ),
            "the digits are sorted by their sums. One that occurs twice is then in one place "
            "only": lambda s, T: np.argsort(-s)[:T][::-1],
            "the newest digit is found again and again: nothing is subtracted from s": (
                lambda s, T: peel(s, T, taken=0.0)
            ),
        },
        {"digits": ("step t",)},
    )
