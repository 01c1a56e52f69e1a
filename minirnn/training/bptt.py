"""Back-propagation through time for a whole model: all of it, or the last k2 steps.

``truncated_bptt`` is the general algorithm of Williams & Peng (1990). After every k1 steps their
losses are propagated back through at most the last k2 steps::

    k1 = 2, k2 = 5      0 1 2 3 4 5 6 7
                        [-+]                    loss of steps 0 1
                        [- - -+]                loss of steps 2 3
                          [- - - -+]            loss of steps 4 5, back to step 1
                              [- - - -+]        loss of steps 6 7, back to step 3

The state in which a window begins is taken as given: that is all that truncation neglects. So each
gradient is exact: it is the derivative of its block's loss with this state held constant, and can
be checked by finite differences. The state itself is carried through the whole sequence.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.padding import is_pair, padding
from minirnn.protocol import (
    Array,
    Layer,
    Numbers,
    Seed,
    State,
    check_layer,
    check_logits,
    check_streaming,
    check_streams,
    keep_drawn,
    no_cache,
)
from minirnn.training.data import batch_first, shape_of
from minirnn.training.losses import Loss, weights

Result: TypeAlias = tuple[float, dict[str, Array], State]  # loss, gradients, final state


def bptt(
    model: Layer, loss_fn: Loss, x: Numbers, target: Numbers, state: State = None,
    lengths: Any = None, mask: Numbers | None = None, training: bool = True, rng: Seed = None,
) -> Result:  # fmt: skip
    """Loss of one batch, the gradients of all parameters, and the final state.

    model: a layer; its ``forward`` takes x, state, lengths, training and rng.
    loss_fn: ``loss_fn(y, target)`` or ``loss_fn(y, target, mask=mask)``, returning loss and dy.
        It is given a mask only where one is needed.
    lengths: (B,). If the model's output is a sequence (T, B, K) and there is no mask, the steps
        past each sequence's end do not count.

    Raises TypeError for a model, a loss or a result of the loss that is none, and ValueError for a
    batch in which no target counts.
    """
    check_model(model, loss_fn)
    loss, grads, state, n = batch_gradients(
        model, loss_fn, x, target, state, lengths, mask, training, rng
    )
    if n == 0:
        name = "lengths" if mask is None else "mask"
        raise ValueError(f"{name}: expected at least one target that counts, got none")
    return loss, grads, state


def batch_gradients(
    model: Layer, loss_fn: Loss, x: Numbers, target: Numbers, state: State, lengths: Any,
    mask: Numbers | None, training: bool = True, rng: Seed = None,
) -> tuple[float, dict[str, Array], State, float]:  # fmt: skip
    """What ``bptt`` returns, and the number of targets that count. If it is 0, there are no
    gradients."""
    y, state, cache = model.forward(x, state, lengths, training, rng)
    mask = mask_of(y, lengths, mask)
    n = number_of_targets(y, target, mask, loss_fn)
    if n == 0:
        return 0.0, {}, state, n
    loss, dy = loss_and_gradient(loss_fn, y, target, mask, x)
    _, _, grads = model.backward(dy, cache)
    return loss, grads, state, n


def truncated_bptt(
    model: Layer, loss_fn: Loss, x: Numbers, target: Numbers, k1: int, k2: int,
    state: State = None, lengths: Numbers | None = None, mask: Numbers | None = None,
    training: bool = True, rng: Seed = None,
) -> Iterator[Result]:  # fmt: skip
    """Yield the loss of every k1 steps, its gradient through the last k2, and the state after them.

    x, target: sequences (T, B, ...); the model's output must be a sequence too. k2 >= k1. The loss
    is the mean over the k1 steps of the block (the last block may be shorter). ``k1 = k2 = T`` is
    BPTT, ``k1 = k2`` the usual chunks (a shorter last one still goes back k2 steps), ``k1 = 1`` the
    online form. The parameters may be changed between two blocks: each window is computed with the
    parameters of its time, at the cost of running forward over k2 steps instead of k1. A block in
    which no target counts is left out. loss_fn: as for ``bptt``.

    Raises ValueError for a model that needs the whole sequence at once.
    """
    check_model(model, loss_fn)
    check_stepwise(loss_fn)
    k1, k2 = checks.size(k1, "k1"), checks.size(k2, "k2")
    if k2 < k1:
        raise ValueError(f"k2: expected at least k1 = {k1}, got {k2}")
    x, target = checks.numbers(x, "x"), checks.numbers(target, "target")
    check_streams(model, x, target)
    T, B = x.shape[:2]
    ends = checks.lengths(lengths, T, B)
    counts = ~padding(ends, T) if mask is None else weights(mask)
    if counts.shape[:2] != (T, B):
        expected, got = checks.shape_text((T, B)), checks.shape_text(counts.shape)
        raise ValueError(f"mask: expected shape {expected}, got {got}")
    rng = None if rng is None else checks.generator(rng)
    begin = 0  # of the window; ``state`` is the state there
    for block in range(0, T, k1):
        end = min(block + k1, T)
        # The next window begins inside this one: run to there first, and keep the state.
        later = min(max(end + min(k1, T - end) - k2, 0), end)
        runs, final, kept = [], state, state
        for first, last in ((begin, later), (later, end)):
            if first < last:
                part = np.clip(ends - first, 0, last - first)
                y, final, cache = model.forward(x[first:last], final, part, training, rng)
                runs.append((y, cache))
                if first == begin:  # the next window may begin here too: with the same masks
                    state = keep_drawn(model, state, final)
            if last == later:
                kept = final
        if counts[block:end].any():
            y = np.concatenate([y for y, _ in runs])
            dy, own = np.zeros_like(y), slice(block - begin, None)
            part_mask: Any = counts[block:end]
            if mask is None and part_mask.all():
                part_mask = None
            loss, dy[own] = loss_and_gradient(loss_fn, y[own], target[block:end], part_mask, x)
            yield loss, _backward(model, runs, dy), final
        begin, state = later, state if later == begin else kept


def _backward(model: Layer, runs: list[tuple[Array, Any]], dy: Array) -> dict[str, Array]:
    """The parameters' gradients over several runs of forward, each with its own cache."""
    dstate: State = None
    total: dict[str, Any] = dict.fromkeys(model.params, 0.0)
    for y, cache in reversed(runs):
        dy, own = dy[: -len(y)], dy[-len(y) :]
        _, dstate, grads = model.backward(own, cache, dstate)
        total = {name: total[name] + g for name, g in grads.items()}
    return total


def evaluate(
    model: Layer, loss_fn: Loss, batches: Iterable[tuple[Any, ...]], stateful: bool = False,
    name: str = "batches", metrics: Sequence[Any] = (),
) -> float:  # fmt: skip
    """The mean loss over all targets of the batches ``(x, target, lengths, mask)`` that count.

    It does not depend on how the targets are shared out among the batches, since the loss of each
    batch counts by its ``number_of_targets``. stateful: as in ``fit``. metrics: each an
    ``Overall``, to which the batches are added.

    Raises ValueError, with the ``name`` of the batches, if no target counts, and for ``stateful``
    with a model that needs the whole sequence at once.
    """
    check_model(model, loss_fn)
    if stateful:
        check_streaming(model)
    total, number, state = 0.0, 0.0, None
    for x, target, lengths, mask in batches:
        with no_cache():
            y, final, _ = model.forward(x, state, lengths)
        state = final if stateful else None
        mask = mask_of(y, lengths, mask)
        n = number_of_targets(y, target, mask, loss_fn)
        if n != 0:
            total += n * loss_and_gradient(loss_fn, y, target, mask, x)[0]
            number += n
            for metric in metrics:
                metric.add(y, target, mask)
    if number == 0:
        raise ValueError(f"{name}: {NO_TARGETS}")
    return total / number


NO_TARGETS = (
    "expected at least one target that counts, but lengths or masks leave out all of all batches"
)


def block_loss(
    loss_fn: Loss, y: Array, target: Any, lengths: Any, mask: Numbers | None
) -> tuple[Any, Array]:
    """Loss and dy of an output y. Without a mask, all steps up to each sequence's end count."""
    return loss_and_gradient(loss_fn, y, target, mask_of(y, lengths, mask))


def mask_of(y: Array, lengths: Any, mask: Numbers | None) -> Numbers | None:
    """The mask, or (T, B) the steps up to each sequence's end; None where all targets count."""
    if is_pair(lengths):  # of a sequence-to-sequence model: the second are of its output
        lengths = lengths[1]
    if mask is not None or lengths is None or y.ndim != 3:
        return mask
    past_end = padding(checks.lengths(lengths, *y.shape[:2]), len(y))
    return ~past_end if past_end.any() else None


def number_of_targets(y: Array, target: Any, mask: Numbers | None, loss_fn: Any = None) -> float:
    """How many targets count: by which a batch weighs in the mean over several batches.

    For a loss with one target for each sequence (T, B, V) it is the number of sequences.

    With a mask it is the sum of the mask, whose numbers may be weights, once for each number that
    the target holds there. Without one it is the number of all numbers in the target; if the target
    is no array, the number of steps or sequences in y.
    """
    if per_sequence(loss_fn):
        return float(math.prod(y.shape[1:2]))
    shape = shape_of(target) or y.shape[:-1]
    if mask is None:
        return float(math.prod(shape))
    mask = weights(mask)
    with np.errstate(over="ignore"):
        total = float(np.sum(mask, dtype=np.float64))
    if not math.isfinite(total):
        raise ValueError(f"mask: expected weights with a finite sum, got {total}")
    return total * math.prod(shape[mask.ndim :])


def per_sequence(loss_fn: Any) -> bool:
    """Whether a loss such as ``ctc`` has one target for each sequence, be it a sequence too, and
    not one for each step: then its attribute ``per_sequence`` is True. (Also in a
    ``functools.partial``.)"""
    return bool(getattr(getattr(loss_fn, "func", loss_fn), "per_sequence", False))


def check_stepwise(loss_fn: Any) -> None:
    """Raise ValueError for a loss that cannot be cut into pieces of some steps each."""
    if per_sequence(loss_fn):
        name = getattr(loss_fn, "__name__", "it")
        raise ValueError(f"loss_fn: expected one with a target for each step, got {name}")


def loss_and_gradient(
    loss_fn: Loss, y: Array, target: Any, mask: Numbers | None, x: Any = None
) -> tuple[float, Array]:
    """What a loss returns, checked. A loss without an argument ``mask`` is right where no mask is
    needed."""
    try:
        result = loss_fn(y, target) if mask is None else loss_fn(y, target, mask=mask)
    except TypeError:
        if mask is None and takes_mask(loss_fn) and not takes_mask(loss_fn, False):  # needs one
            return loss_and_gradient(loss_fn, y, target, np.ones(y.shape[:-1], bool), x)
        if mask is None or takes_mask(loss_fn):
            raise
        name = getattr(loss_fn, "__name__", type(loss_fn).__name__)
        raise TypeError(
            f"loss_fn: expected one that takes mask, since not all targets count; got {name}"
        ) from None
    except ValueError as error:
        hint = batch_first(x, y, target, mask)
        if not hint:
            raise
        raise ValueError(f"{error}; {hint}") from None
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(f"loss_fn: expected it to return (loss, dy), got {result!r:.80}")
    loss: Any
    loss, dy = result
    if type(loss) is not float and (np.ndim(loss) or np.asarray(loss).dtype.kind not in "fiub"):
        raise TypeError(f"loss_fn: expected one real number as loss, got {loss!r:.80}")
    if np.shape(dy) != y.shape:
        raise ValueError(
            f"loss_fn: expected dy of shape {checks.shape_text(y.shape)}, like y, got "
            f"{checks.shape_text(np.shape(dy))}"
        )
    return loss, dy


def takes_mask(loss_fn: Any, mask: bool = True) -> bool:
    """Whether a loss can be called with ``mask=``, or without."""
    try:
        inspect.signature(loss_fn).bind(None, None, **({"mask": None} if mask else {}))
    except TypeError:
        return False
    except ValueError:  # written in C: not known
        return True
    return True


def check_model(model: Any, loss_fn: Any) -> None:
    """Raise TypeError unless the two are a layer and a function; ValueError for a model that ends
    in a softmax or sigmoid if the loss takes another one."""
    check_layer(model)
    checks.function(loss_fn, "loss_fn")
    function = getattr(loss_fn, "func", loss_fn)  # also in a functools.partial
    name = getattr(function, "__name__", "it")
    check_logits(model, getattr(function, "takes", None), name)
