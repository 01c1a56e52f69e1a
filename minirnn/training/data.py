"""The forms of data that ``fit`` takes, and what is said of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.padding import is_pair
from minirnn.protocol import Array, Numbers

# (x, target), (x, target, lengths) or (x, target, lengths, mask)
BatchLike: TypeAlias = (
    tuple[Numbers, Numbers]
    | tuple[Numbers, Numbers, Any]
    | tuple[Numbers, Numbers, Any, Numbers | None]
)
Batches: TypeAlias = Iterable[BatchLike]
Data: TypeAlias = BatchLike | Batches | Callable[[np.random.Generator], Batches]
WholeBatch: TypeAlias = tuple[Any, Any, Any, Any]  # with None in place of what is not there


def batches_of(data: Any, rng: Any, name: str) -> Iterator[WholeBatch]:
    """The batches (x, target, lengths, mask) of one epoch, None where there are no last two.

    Raises TypeError or ValueError, with the form that is expected, for anything else.
    """
    if callable(data):
        data = data(rng)
    # A tuple is one batch, or several: then its second is a tuple too, which no target is.
    if isinstance(data, tuple) and len(data) >= 2 and not isinstance(data[1], tuple):
        data = [data]
    if not hasattr(data, "__iter__") or getattr(data, "shape", None) == ():
        raise TypeError(f"{name}: expected (x, target), batches or a function, got {data!r:.80}")
    empty = True
    for batch in data:
        # A list may hold several x, or several targets: that would be another thing.
        if not isinstance(batch, tuple) or not 2 <= len(batch) <= 4:
            got = f"{type(batch).__name__} of {len(batch)}" if hasattr(batch, "__len__") else batch
            raise TypeError(f"{name}: expected {FORMS}, got {got!s:.80}")
        empty = False
        x, target, lengths, mask = (*batch, None, None)[:4]
        if isinstance(x, list) or lengths is not None:
            check_batch(x, target, lengths, name)
        yield x, target, lengths, mask
    if empty:
        raise ValueError(
            f"{name}: expected at least one batch, got none (a generator that is used up?)"
        )


FORMS = "batches (x, target), (x, target, lengths) or (x, target, lengths, mask)"


def check_batch(x: Any, target: Any, lengths: Any, name: str) -> None:
    """Raise TypeError or ValueError for a batch in which something stands in another's place."""
    if isinstance(x, list) and (
        isinstance(target, list) or any(isinstance(v, np.ndarray) for v in x[:1])
    ):
        raise TypeError(
            f"{name}: expected {FORMS} of arrays, x (T, B, ...), got a list of {len(x)} as x; for "
            "sequences in a list, see minirnn.datasets.batches.buckets"
        )
    if lengths is None or is_pair(lengths):  # which its model looks at
        return
    n, shape = checks.numbers(lengths, "lengths"), np.shape(x[0] if isinstance(x, tuple) else x)
    if n.dtype.kind not in "iu" or n.ndim != 1:
        raise TypeError(
            f"lengths: expected whole numbers (B,) in the third place of {name}, got "
            f"{n.dtype} {checks.shape_text(n.shape)}; a mask stands in the fourth: "
            "(x, target, None, mask)"
        )
    if len(shape) >= 2 and len(n) != shape[1]:
        hint = "; is x batch first? Time comes first" if len(n) == shape[0] else ""
        raise ValueError(
            f"lengths: expected {shape[1]}, one for each sequence of x {shape}, (T, B, ...), "
            f"got {len(n)}{hint}"
        )


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array or of a list that is like one; () of anything else."""
    if not (hasattr(value, "__array__") or isinstance(value, list)):
        return ()
    try:
        return checks.numbers(value, "target", kinds="biufcmMOSUV").shape
    except ValueError:  # lists of different lengths, which a loss of one's own may take
        return ()


def batch_first(x: Any, y: Array, target: Any, mask: Any) -> str:
    """What may be wrong with a target or a mask that does not fit y, where the shapes tell that
    time does not come first."""
    x, target, mask = shape_of(x), shape_of(target), shape_of(mask)
    rest = "may be batch first, but time comes first: (T, B, ...)"
    if len(x) < 2 or x[0] == x[1]:
        return ""
    if target[:1] == x[:1] and (y.shape[0] == x[1] or target[1:2] != x[1:2]):
        return f"x {x} and target {target} {rest}"
    for name, shape in (("target", target), ("mask", mask)):
        if shape[:2] == x[1::-1]:
            return f"{name} {shape} {rest}"
    if y.ndim == 3 and mask == x[1:2]:
        return "a weight of each sequence is repeated at its steps: np.broadcast_to(mask, (T, B))"
    return ""
