"""From sequences to batches (T, B): padded and of similar length, or cut from one long stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.padding import padding, zero_at
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


class MaskedBatch(NamedTuple):
    """Sequences of which not all targets count the same."""

    x: Array  # (T, B, ...)
    target: Array  # (B, ...), or (T, B, ...)
    lengths: Array | None  # (B,)
    mask: Array  # of the shape of the target or its first axes: 0 and 1, or weights

    def __repr__(self) -> str:
        return _shapes(self)


def _batch(x: Array, target: Array, lengths: Array | None, mask: Array | None) -> Any:
    """The shortest of the three that holds everything."""
    if mask is not None:
        return MaskedBatch(x, target, lengths, mask)
    return Batch(x, target) if lengths is None else PaddedBatch(x, target, lengths)


def _shapes(batch: Any) -> str:
    own = batch._asdict().items()
    parts = [f"{name} {None if a is None else f'{a.shape} {a.dtype}'}" for name, a in own]
    return f"{type(batch).__name__}({', '.join(parts)})"


def pad(sequences: Sequence[Numbers], value: Any = 0) -> tuple[Array, Array]:
    """Sequences of shape (n, ...) side by side, (T, B, ...), filled up with ``value``.

    T is the length of the longest. Returns the array and the lengths (B,). Raises TypeError for
    what is no list of arrays, and ValueError for sequences of different shapes, and for a value
    that their dtype cannot hold.
    """
    arrays = _arrays(sequences, "sequences")
    if not arrays or any(a.ndim < 1 or a.shape[1:] != arrays[0].shape[1:] for a in arrays):
        raise ValueError(
            "sequences: expected at least one, with equal shapes (n, ...) except for n"
        )
    lengths = np.array([len(a) for a in arrays])
    shape = (max(1, lengths.max()), len(arrays), *arrays[0].shape[1:])
    padded = np.full(shape, _fitting(value, np.result_type(*arrays)))
    for b, a in enumerate(arrays):
        padded[: len(a), b] = a
    return padded, lengths


def _arrays(values: Any, name: str) -> list[Array]:
    """The elements of a list as arrays of numbers."""
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes, Mapping, Set)):
        raise TypeError(f"{name}: expected a list of arrays, got {values!r:.80}")
    if getattr(values, "shape", None) == ():
        raise TypeError(f"{name}: expected a list of arrays, got one number")
    return [checks.numbers(v, f"{name}[{k}]") for k, v in enumerate(values)]


def _fitting(value: Any, dtype: np.dtype[Any]) -> Any:
    """A number as one of this dtype; ValueError if that would be another number."""
    number = checks.numbers(value, "value")
    with np.errstate(all="ignore"):
        own = number.astype(dtype)
    if number.ndim or not (dtype.kind == "f" or own == number):
        raise ValueError(f"value: expected a number that {dtype} can hold, got {value!r:.80}")
    return own[()]


def shuffled(
    x: Numbers, target: Numbers, batch_size: int, rng: Seed = None, stepwise: bool | None = None,
    lengths: Numbers | None = None, mask: Numbers | None = None,
) -> Iterator[Any]:  # fmt: skip
    """Batches of the N sequences x (T, N, ...), time first, in an order drawn from rng. For
    ``fit``: ``data=lambda rng: shuffled(x, target, 32, rng)``.

    target: (N, ...), or (T, N, ...) with one target a step.
    stepwise: whether there is a target a step; only needed if T = N, where both would fit.
    lengths: (N,), of sequences that are padded to T steps; for a list of sequences see ``buckets``.
    mask: which targets count, or how much: (N,), a number for each sequence, or an array of the
        shape of the target or its first axes. Nothing past the end of a sequence counts.

    Yields a ``Batch`` (x, target), with lengths a ``PaddedBatch`` (x, target, lengths), with a mask
    a ``MaskedBatch`` (x, target, lengths or None, mask). Raises TypeError or ValueError for what
    does not fit.
    """
    x, target = checks.numbers(x, "x"), checks.numbers(target, "target")
    size, generator = checks.size(batch_size, "batch_size"), checks.generator(rng)
    if x.ndim < 2:
        raise ValueError(f"x: expected sequences (T, N, ...), got shape {x.shape}")
    (T, N), shape = x.shape[:2], target.shape
    stepwise = _stepwise(shape[:2] == x.shape[:2], shape[:1] == (N,), stepwise)
    if stepwise is None:
        raise ValueError(
            f"target: expected one for each sequence of x {x.shape}, got {shape}"
            + _batch_first(shape, x)
        )
    ends = None if lengths is None else _lengths(lengths, x)
    weights = None if mask is None else checks.numbers(mask, "mask")
    if weights is not None:
        weights = _mask(weights, "mask", target.shape, N, stepwise, x)
        if stepwise and ends is not None:
            weights = zero_at(padding(ends, T), weights)
    order = generator.permutation(N)
    for k in range(0, N, size):
        rows = order[k : k + size]
        at = (slice(None), rows) if stepwise else (rows,)
        yield _batch(
            x[:, rows], target[at], None if ends is None else ends[rows],
            None if weights is None else weights[at],
        )  # fmt: skip


def _batch_first(shape: tuple[int, ...], x: Array) -> str:
    """A hint, where an array belongs to the first axis of x."""
    is_first = shape[:1] == x.shape[:1] and x.shape[0] != x.shape[1]
    return "; x may be batch first, but time comes first: (T, N, ...)" if is_first else ""


def _lengths(lengths: Any, x: Array) -> Array:
    ends = checks.numbers(lengths, "lengths")
    if ends.shape != x.shape[1:2]:
        hint = _batch_first(ends.shape, x)
        raise ValueError(
            f"lengths: expected one for each of {x.shape[1]} sequences of x {x.shape}, got shape "
            f"{ends.shape}{hint}"
        )
    return checks.lengths(ends, *x.shape[:2])


def _mask(
    mask: Array, name: str, shape: tuple[int, ...], N: int, stepwise: bool, x: Array
) -> Array:
    """A mask for targets of this shape, in which the one number of a sequence is repeated at each
    of its steps."""
    if stepwise and mask.shape == (N,):
        return np.broadcast_to(mask, shape[:2])
    if mask.ndim < 1 + stepwise or mask.shape != shape[: mask.ndim]:
        raise ValueError(
            f"{name}: expected shape ({N},), one for each sequence, or the first axes of the "
            f"target's shape {checks.shape_text(shape)}, got {checks.shape_text(mask.shape)}"
            + _batch_first(mask.shape, x)
        )
    return mask


def _stepwise(fits_steps: bool, fits_sequences: bool, given: bool | None) -> bool | None:
    """Whether targets go step by step; None if they fit neither the steps nor the sequences, or
    not what is given. Never a guess: ValueError if both would do."""
    if given is not None and not isinstance(given, (bool, np.bool_)):
        raise TypeError(f"stepwise: expected True, False or None, got {given!r:.80}")
    if given is None and fits_steps and fits_sequences:
        raise ValueError(
            "stepwise: expected True (one target a step) or False (one a sequence), since the "
            "shapes of these targets fit both; got None"
        )
    stepwise = fits_steps if given is None else bool(given)
    return stepwise if (fits_steps if stepwise else fits_sequences) else None


def buckets(
    sequences: Sequence[Any], targets: Sequence[Any], batch_size: int, rng: Seed = None,
    stepwise: bool | None = None, masks: Sequence[Any] | None = None,
) -> list[Any]:  # fmt: skip
    """Batches (x, target, lengths) of sequences of similar length, so that little is padding.

    sequences: arrays (n, ...), each with its own n. targets: one for each sequence, all of one
    shape (...), which become (B, ...); or, with a target a step, sequences of the same lengths,
    which are padded in the same way to (T, B, ...). The order of the batches, and of the sequences
    of equal length, is drawn from rng: the same for the same seed. For ``fit``:
    ``data=lambda rng: buckets(sequences, targets, 32, rng)``.

    stepwise: whether there is a target a step; None says so from the shapes of all targets
        together, and raises ValueError where both would fit: sequences of one length n only, with
        targets (n, ...).
    masks: one for each sequence, which says what counts, or how much: a number, or an array of the
        shape of its target or its first axes. Padding never counts.

    Returns a list of ``PaddedBatch`` (x, target, lengths), with masks of ``MaskedBatch`` (x,
    target, lengths, mask). Raises TypeError or ValueError for what does not fit.
    """
    size, generator = checks.size(batch_size, "batch_size"), checks.generator(rng)
    xs, ts = _arrays(sequences, "sequences"), _arrays(targets, "targets")
    if len(ts) != len(xs) or not xs:
        raise ValueError(f"targets: expected one for each of {len(xs)} sequences, got {len(ts)}")
    if any(x.ndim == 0 for x in xs):
        raise ValueError("sequences: expected shapes (n, ...), got a single number as one of them")
    fits_steps = all(t.shape[:1] == x.shape[:1] for x, t in zip(xs, ts, strict=True))
    fits_steps = fits_steps and all(t.shape[1:] == ts[0].shape[1:] for t in ts)
    fits_sequences = all(t.shape == ts[0].shape for t in ts)
    stepwise = _stepwise(fits_steps, fits_sequences, stepwise)
    if stepwise is None:
        raise ValueError(
            "targets: expected arrays of one shape, or one target for each step of each sequence "
            "(stepwise=True), got neither"
        )
    ms = None if masks is None else _masks(masks, ts, stepwise)
    order = generator.permutation(len(xs))
    order = order[np.argsort(np.array([len(x) for x in xs])[order], kind="stable")]
    batches = []
    for group in np.split(order, np.arange(size, len(order), size)):
        x, n = pad([xs[k] for k in group])
        target = _side_by_side([ts[k] for k in group], stepwise)
        mask = None if ms is None else _side_by_side([ms[k] for k in group], stepwise)
        batches.append(_batch(x, target, n, mask))
    generator.shuffle(batches)
    return batches


def _side_by_side(parts: list[Array], stepwise: bool) -> Array:
    return pad(parts)[0] if stepwise else np.array(parts)


def _masks(masks: Any, targets: list[Array], stepwise: bool) -> list[Array]:
    """One mask for each target, of as many axes as all others."""
    ms = _arrays(masks, "masks")
    if len(ms) != len(targets):
        raise ValueError(f"masks: expected one for each of {len(targets)} targets, got {len(ms)}")
    for k, (m, t) in enumerate(zip(ms, targets, strict=True)):
        if m.ndim != ms[0].ndim or m.shape != t.shape[: m.ndim]:
            raise ValueError(
                f"masks[{k}]: expected one number, or the first axes of the shape of its target "
                f"{checks.shape_text(t.shape)}, alike for all sequences, got shape "
                f"{checks.shape_text(m.shape)}"
            )
    if stepwise and ms[0].ndim == 0:
        return [np.full(len(t), m) for m, t in zip(ms, targets, strict=True)]
    return ms


def stream(tokens: Numbers, batch_size: int, steps: int) -> Iterator[Batch]:
    """Batches (x, target), each (steps, batch_size), that continue where the one before ended.

    tokens: (N, ...), one long sequence. It is cut into ``batch_size`` rows, and the rows into
    pieces; the target of a step is the next token. With ``fit(..., stateful=True)`` the state is
    carried on too. The last piece may be shorter; up to ``batch_size`` tokens at the end are left
    out.
    """
    tokens = checks.numbers(tokens, "tokens")
    B, steps = checks.size(batch_size, "batch_size"), checks.size(steps, "steps")
    T = (len(tokens) - 1) // B if tokens.ndim else 0
    if T < 1:
        raise ValueError(f"tokens: expected at least batch_size + 1 = {B + 1}, got {tokens.shape}")
    rows = np.arange(T)[:, None] + T * np.arange(B)
    for t in range(0, T, steps):
        at = rows[t : t + steps]
        yield Batch(tokens[at], tokens[at + 1])
