"""From sequences to batches (T, B): padded and of similar length, or cut from one long stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.protocol import Array, Numbers, Seed


class Batch(NamedTuple):
    """Sequences of one length; a tuple, which shows itself by shapes and dtypes."""

    x: Array  # (T, B, ...)
    target: Array  # (B, ...), or (T, B, ...)

    def __repr__(self) -> str:
        return _shapes(self)


class PaddedBatch(NamedTuple):
    """Sequences of several lengths."""

    x: Array  # (T, B, ...)
    target: Array  # (B, ...), or (T, B, ...)
    lengths: Array  # (B,)

    def __repr__(self) -> str:
        return _shapes(self)


def _shapes(batch: Any) -> str:
    parts = [f"{name} {a.shape} {a.dtype}" for name, a in batch._asdict().items()]
    return f"{type(batch).__name__}({', '.join(parts)})"


def pad(sequences: Sequence[Numbers], value: Any = 0) -> tuple[Array, Array]:
    """Sequences of shape (n, ...) side by side, (T, B, ...), filled up with ``value``.

    T is the length of the longest. Returns the array and the lengths (B,).
    """
    arrays = [np.asarray(s) for s in sequences]
    if not arrays or any(a.ndim < 1 or a.shape[1:] != arrays[0].shape[1:] for a in arrays):
        raise ValueError(
            "sequences: expected at least one, with equal shapes (n, ...) except for n"
        )
    lengths = np.array([len(a) for a in arrays])
    shape = (max(1, lengths.max()), len(arrays), *arrays[0].shape[1:])
    padded = np.full(shape, value, np.result_type(*arrays))
    for b, a in enumerate(arrays):
        padded[: len(a), b] = a
    return padded, lengths


def shuffled(x: Numbers, target: Numbers, batch_size: int, rng: Seed = None) -> Iterator[Batch]:
    """Batches of sequences of one length: x (T, N, ...) and target (N, ...), in an order drawn from
    rng. For ``fit``: ``data=lambda rng: shuffled(x, target, 32, rng)``."""
    x, target = np.asarray(x), np.asarray(target)
    size, generator = checks.size(batch_size, "batch_size"), checks.generator(rng)
    if x.ndim < 2 or x.shape[1] != len(target):
        raise ValueError(
            f"target: expected one for each sequence of x {x.shape}, got {target.shape}"
        )
    order = generator.permutation(len(target))
    for k in range(0, len(order), size):
        rows = order[k : k + size]
        yield Batch(x[:, rows], target[rows])


def buckets(
    sequences: Sequence[Any], targets: Sequence[Any], batch_size: int, rng: Seed = None
) -> list[PaddedBatch]:
    """Batches (x, target, lengths) of sequences of similar length, so that little is padding.

    targets: one for each sequence. Targets that are sequences too, of the same lengths, are padded
    in the same way. The order of the batches, and of the sequences of equal length, is drawn from
    rng: the same for the same seed. For ``fit``:
    ``data=lambda rng: buckets(sequences, targets, 32, rng)``.
    """
    size, generator = checks.size(batch_size, "batch_size"), checks.generator(rng)
    if len(targets) != len(sequences) or not len(sequences):
        got = f"{len(sequences)} sequences, got {len(targets)}"
        raise ValueError(f"targets: expected one for each of {got}")
    lengths = np.array([len(s) for s in sequences])
    order = generator.permutation(len(sequences))
    order = order[np.argsort(lengths[order], kind="stable")]
    batches = []
    for group in np.split(order, np.arange(size, len(order), size)):
        x, n = pad([sequences[k] for k in group])
        own = [np.asarray(targets[k]) for k in group]
        stepwise = all(t.ndim and len(t) == k for t, k in zip(own, n, strict=True))
        batches.append(PaddedBatch(x, pad(own)[0] if stepwise else np.array(own), n))
    generator.shuffle(batches)
    return batches


def stream(tokens: Numbers, batch_size: int, steps: int) -> Iterator[Batch]:
    """Batches (x, target), each (steps, batch_size), that continue where the one before ended.

    tokens: (N, ...), one long sequence. It is cut into ``batch_size`` rows, and the rows into
    pieces; the target of a step is the next token. With ``fit(..., stateful=True)`` the state is
    carried on too. The last piece may be shorter; up to ``batch_size`` tokens at the end are left
    out.
    """
    tokens = np.asarray(tokens)
    B, steps = checks.size(batch_size, "batch_size"), checks.size(steps, "steps")
    T = (len(tokens) - 1) // B if tokens.ndim else 0
    if T < 1:
        raise ValueError(f"tokens: expected at least batch_size + 1 = {B + 1}, got {tokens.shape}")
    rows = np.arange(T)[:, None] + T * np.arange(B)
    for t in range(0, T, steps):
        at = rows[t : t + steps]
        yield Batch(tokens[at], tokens[at + 1])
