"""From sequences to batches (T, B): padded and of like length, or cut from one long stream."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks


def pad(sequences: Sequence[ArrayLike], value: Any = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of shape (n, ...) side by side, (T, B, ...), filled up with ``value``.

    T is the length of the longest. Returns the array and the lengths (B,).
    """
    arrays = [np.asarray(s) for s in sequences]
    if not arrays or any(a.ndim < 1 or a.shape[1:] != arrays[0].shape[1:] for a in arrays):
        raise ValueError("sequences: expected at least one, all of shape (n, ...) alike but for n")
    lengths = np.array([len(a) for a in arrays])
    shape = (max(1, lengths.max()), len(arrays), *arrays[0].shape[1:])
    padded = np.full(shape, value, np.result_type(*arrays))
    for b, a in enumerate(arrays):
        padded[: len(a), b] = a
    return padded, lengths


def shuffled(
    x: ArrayLike, target: ArrayLike, batch_size: int, rng: Any = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of sequences of one length: x (T, N, ...) and target (N, ...), in an order drawn from
    rng. For ``fit``: ``data=lambda rng: shuffled(x, target, 32, rng)``."""
    x, target = np.asarray(x), np.asarray(target)
    size, rng = checks.size(batch_size, "batch_size"), checks.generator(rng)
    if x.ndim < 2 or x.shape[1] != len(target):
        raise ValueError(f"target: expected one a sequence of x {x.shape}, got {target.shape}")
    order = rng.permutation(len(target))
    for k in range(0, len(order), size):
        rows = order[k : k + size]
        yield x[:, rows], target[rows]


def buckets(
    sequences: Sequence[Any], targets: Sequence[Any], batch_size: int, rng: Any = None
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Batches (x, target, lengths) of sequences of like length, so that little is padding.

    targets: one a sequence; if they are sequences (of the same lengths) they are padded likewise.
    The order of the batches, and of the sequences of equal length, is drawn from rng: the same for
    the same seed. For ``fit``: ``data=lambda rng: buckets(sequences, targets, 32, rng)``.
    """
    size, rng = checks.size(batch_size, "batch_size"), checks.generator(rng)
    if len(targets) != len(sequences) or not len(sequences):
        got = f"{len(sequences)} sequences, got {len(targets)}"
        raise ValueError(f"targets: expected one for each of {got}")
    lengths = np.array([len(s) for s in sequences])
    order = rng.permutation(len(sequences))
    order = order[np.argsort(lengths[order], kind="stable")]
    batches = []
    for group in np.split(order, np.arange(size, len(order), size)):
        x, n = pad([sequences[k] for k in group])
        own = [np.asarray(targets[k]) for k in group]
        stepwise = all(t.ndim and len(t) == k for t, k in zip(own, n, strict=True))
        batches.append((x, pad(own)[0] if stepwise else np.array(own), n))
    rng.shuffle(batches)  # type: ignore[arg-type]
    return batches


def stream(tokens: ArrayLike, batch_size: int, steps: int) -> Iterator[tuple]:
    """Batches (x, target), each (steps, batch_size), that go on where the one before them ended.

    tokens: (N, ...), one long sequence. It is cut into ``batch_size`` rows, and the rows into
    pieces; the target of a step is the next token. With ``fit(..., stateful=True)`` the state goes
    on too. The last piece may be shorter; up to ``batch_size`` tokens at the end are left out.
    """
    tokens = np.asarray(tokens)
    B, steps = checks.size(batch_size, "batch_size"), checks.size(steps, "steps")
    T = (len(tokens) - 1) // B if tokens.ndim else 0
    if T < 1:
        raise ValueError(f"tokens: expected at least batch_size + 1 = {B + 1}, got {tokens.shape}")
    rows = np.arange(T)[:, None] + T * np.arange(B)
    for t in range(0, T, steps):
        at = rows[t : t + steps]
        yield tokens[at], tokens[at + 1]
