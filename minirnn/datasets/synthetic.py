"""Artificial tasks, each of which asks one question of a network."""

from __future__ import annotations

import numpy as np

from minirnn.protocol import Array


def adding(rng: np.random.Generator, T: int, B: int) -> tuple[Array, Array]:
    """The adding problem (Hochreiter & Schmidhuber 1997): can two numbers be remembered for long?

    Each step has a number in 0..1 and a mark, which is 1 at two steps, one in each half, and 0 at
    all others. The target is the sum of the two marked numbers: its mean is 1, its variance 1/6.
    Returns x (T, B, 2) and target (B, 1).
    """
    x = np.zeros((T, B, 2))
    x[..., 0] = rng.random((T, B))
    for low, high in ((0, T // 2), (T // 2, T)):
        x[rng.integers(low, high, B), np.arange(B), 1] = 1
    return x, np.sum(x[..., 0] * x[..., 1], axis=0)[:, None]


START, END = 0, 1  # tokens of ``reverse``; its letters begin at 2


def reverse(
    rng: np.random.Generator, B: int, longest: int, letters: int, shortest: int = 1
) -> tuple[Array, Array, Array]:
    """Sequences of letters to be written backwards: where in the source is the next letter?

    Returns the source (longest, B), its lengths (B,), and the target (longest + 2, B): the start
    token, the letters of the source from the last to the first, and end tokens.
    """
    lengths = rng.integers(shortest, longest + 1, B)
    source = rng.integers(2, 2 + letters, (longest, B))
    target = np.full((longest + 2, B), END)
    target[0] = START
    for b, n in enumerate(lengths):
        source[n:, b] = END
        target[1 : n + 1, b] = source[:n, b][::-1]
    return source, lengths, target


# ---- Long lags: x (T, B, D), target (T, B) whole numbers, and mask (T, B), which steps count ----


def copy_memory(rng: np.random.Generator, lag: int, B: int) -> tuple[Array, ...]:
    """Ten symbols of eight, ``lag`` blanks, then a mark and blanks: write the ten down again.

    The copy task of Hochreiter & Schmidhuber (1997) in the form of Arjovsky et al. (2016). A model
    that remembers nothing, so answers blank first and guesses one of eight at the end, has a
    cross-entropy of ``10 ln 8 / (lag + 20)`` nats: 0.1733 for a lag of 100.
    """
    blank, mark, T = 8, 9, lag + 20
    symbols, given = rng.integers(0, 8, (10, B)), np.full((T, B), blank)
    target = given.copy()
    given[:10], given[lag + 9] = symbols, mark
    target[lag + 10 :] = symbols
    return np.eye(10)[given], target, np.ones((T, B), bool)


def temporal_order(rng: np.random.Generator, lag: int, B: int) -> tuple[Array, ...]:
    """Among noise two symbols, X or Y each, the second ``lag`` / 2 or more steps before the end: in
    which order? (Hochreiter & Schmidhuber 1997, task 6a.) Four classes, answered at the last step.
    """
    T = lag
    given = rng.integers(2, 6, (T, B))  # X and Y are 0 and 1
    order, column = rng.integers(0, 2, (2, B)), np.arange(B)
    given[rng.integers(T // 10, max(T // 5, T // 10 + 1), B), column] = order[0]
    given[rng.integers(T // 2, max(6 * T // 10, T // 2 + 1), B), column] = order[1]
    target, mask = np.zeros((T, B), np.int64), np.zeros((T, B), bool)
    target[-1], mask[-1] = 2 * order[0] + order[1], True
    return np.eye(6)[given], target, mask


def parity(rng: np.random.Generator, lag: int, B: int) -> tuple[Array, ...]:
    """``lag`` bits: is the number of ones even or odd? Answered at the last step."""
    bits = rng.integers(0, 2, (lag, B))
    target, mask = np.cumsum(bits, axis=0) % 2, np.zeros((lag, B), bool)
    mask[-1] = True
    return bits[..., None] * 2.0 - 1, target, mask


# From a node of Reber's graph, two letters and the nodes that they lead to.
REBER = {0: "T1 P2", 1: "S1 X3", 2: "T2 V4", 3: "X2 S5", 4: "P3 V5"}
LETTERS = "BTPSXVE"


def reber(rng: np.random.Generator) -> tuple[str, list[str]]:
    """A word of the embedded Reber grammar, and for each of its letters those that may follow it.

    B, then T or P, then a word of Reber's grammar, then T or P *as before*, then E.
    """
    word, node, follow = "B", 0, []
    while node != 5:
        ways = REBER[node].split()
        follow.append("".join(way[0] for way in ways))
        way = ways[rng.integers(2)]
        word, node = word + way[0], int(way[1])
    word, follow = word + "E", [*follow, "E"]
    ends = "TP"[rng.integers(2)]
    return f"B{ends}{word}{ends}E", ["TP", "B", *follow, ends, "E", ""]
