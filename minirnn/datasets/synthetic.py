"""Tasks that are made up, each to ask one question of a network."""

import numpy as np


def adding(rng: np.random.Generator, T: int, B: int) -> tuple[np.ndarray, np.ndarray]:
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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
