r"""Connectionist temporal classification: labels without a clock (Graves et al. 2006).

A recording of T steps is known to say "two", but nobody knows which step belongs to which letter.
The network says one label at each step, or the *blank* "-", which says nothing. Such a row of T
labels is a *path*. It spells what is left of it when equal neighbours are merged, and then the
blanks removed: ``-tt-woo`` and ``t-www-o`` both spell two. (Only a blank in between makes a label
count twice: ``to-o`` spells too, ``t-oo`` spells to.) With y[t] the softmax at step t::

    p(path)   = y[0, path[0]] y[1, path[1]] ... y[T-1, path[T-1]]
    p(target) = the sum of p(path) over all paths that spell the target
    loss      = -log p(target), the mean over the sequences of a batch

There are far too many paths to write down, but all of them run through one small lattice. Its
states are the labels, with a blank before, between and after them: label = - t - w - o -, L = 2 S +
1 states for S labels. A path begins in one of the first two, and ends in one of the last two. At
each step it stays (---), or goes on to the next state (\), or skips a blank between two unlike
labels (from t to w; not drawn). Between two equal labels it cannot: the blank keeps them apart::

    state s      0   1   2   3   4   5   6   step t
    0   -        o---o---o---o
                   \   \   \   \
    1   t        o---o---o---o---o
                   \   \   \   \
    2   -            o---o---o---o
                       \   \   \   \
    3   w            o---o---o---o---o
                       \   \   \   \
    4   -                o---o---o---o
                           \   \   \   \
    5   o                o---o---o---o---o
                           \   \   \   \
    6   -                    o---o---o---o

**Forward.** alpha[t, s] is the probability of all beginnings that are in state s at step t::

    alpha[t, s] = y[t, label[s]] (alpha[t-1, s] + alpha[t-1, s-1] + alpha[t-1, s-2] if skip[s])
    p(target)   = alpha[T-1, L-1] + alpha[T-1, L-2]

**Backward.** beta[t, s] is the probability of all ends, *after* step t, of paths that are in s::

    beta[t, s]  = the sum over s' = s, s+1, and s+2 if skip[s+2] of y[t+1, label[s']] beta[t+1, s']

**The gradient.** alpha[t, s] beta[t, s] is the probability of all paths that spell the target and
are in state s at step t. Divided by p(target) it is the probability that a path is there, if it is
one that spells the target: visits[t, s], with the sum 1 over s. In p(target) = sum over s of
alpha[t, s] beta[t, s], the factor y[t, k] stands once in each alpha[t, s] with label[s] = k, and
nowhere else. With visits[t, k] the sum over these states, and dy[t, k] / dlogits[t, j] as for every
softmax::

    d log p(target) / d log y[t, k] = visits[t, k]
    d log y[t, k] / d logits[t, j]  = (1 if j == k else 0) - y[t, j]
    dlogits[t, j] = - sum over k of visits[t, k] ((1 if j == k else 0) - y[t, j])
                  = y[t, j] - visits[t, j]

the softmax minus the expected visits. It is the gradient of a cross-entropy whose targets are what
the network itself believes about the clock. (It is right with respect to the logits only. PyTorch
returns the same as the gradient with respect to log y, where minus the visits would be right; after
its log_softmax the difference is gone.)

All of this is computed with logarithms, since a product of a thousand probabilities is less than
the smallest float. ``textbook`` is the specification, ``ctc`` its fast twin.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.activations import exp
from minirnn.engine import threads
from minirnn.engine.jit import inline, jit, wide_vectors
from minirnn.engine.memory import empty, for_kernels
from minirnn.protocol import Array, Numbers, quiet
from minirnn.training.losses import largest_of, sum_of

# ---- The specification --------------------------------------------------------------------------


def textbook(logits: Array, labels: Any, blank: int = 0) -> tuple[Any, Array]:
    """-log p(labels) in nats and dlogits (T, V) of one sequence, as in the equations above.

    logits: (T, V), real or complex. labels: a list of whole numbers. There must be a path.
    """
    T = len(logits)
    log_y = np.array([a - log_sum(a) for a in logits])
    label = with_blanks(labels, blank)
    L = len(label)
    skip = [s > 1 and label[s] != blank and label[s] != label[s - 2] for s in range(L)]

    alpha = np.full((T, L), -np.inf, log_y.dtype)
    alpha[0, :2] = log_y[0, label[:2]]
    for t in range(1, T):
        for s in range(L):
            begin = max(0, s - 2 if skip[s] else s - 1)
            alpha[t, s] = log_y[t, label[s]] + log_sum(alpha[t - 1, begin : s + 1])
    log_p = log_sum(alpha[T - 1, -2:])

    beta = np.full((T, L), -np.inf, log_y.dtype)
    beta[T - 1, -2:] = 0
    for t in reversed(range(T - 1)):
        for s in range(L):
            end = s + 3 if s + 2 < L and skip[s + 2] else s + 2
            beta[t, s] = log_sum(log_y[t + 1, label[s:end]] + beta[t + 1, s:end])

    dlogits = np.exp(log_y)
    for s in range(L):
        dlogits[:, label[s]] -= np.exp(alpha[:, s] + beta[:, s] - log_p)
    return -log_p, dlogits


def with_blanks(labels: Any, blank: int) -> list[int]:
    """The states of the lattice: a blank before, between and after the labels."""
    states = [blank]
    for label in labels:
        states += [int(label), blank]
    return states


def log_sum(a: Array) -> Any:
    """The logarithm of a sum of exponentials; -inf, the logarithm of 0, is one of the numbers."""
    largest = a.real.max()
    return -np.inf if largest == -np.inf else largest + np.log(np.sum(np.exp(a - largest)))


# ---- The loss -----------------------------------------------------------------------------------


@quiet
def ctc(
    logits: Numbers, target: Numbers, mask: Numbers | None = None, blank: int = 0
) -> tuple[float, Array]:
    """Connectionist temporal classification in nats: the mean over sequences of -log p(target).

    logits: (T, B, V), any real numbers; the softmax is taken here. target: (S, B) whole numbers in
    0..V-1 without the blank, after the end of each sequence -1. mask: (T, B) of 0 and 1 (or bool),
    or None: the steps of each sequence, which come first in its column; what is behind them may be
    anything, NaN included. blank: the number of the label that says nothing.

    Returns the loss and dlogits like logits. The mean is over all B sequences; one without labels
    counts too, as the probability that nothing is said. Where every path has the probability 0 (by
    logits of -inf) the loss is inf, and the gradient has NaN.

    Raises ValueError for labels or a mask that cannot be right, and for a target that no path of
    that length can spell: S labels need S steps, and one more for each that is like the one before.
    """
    logits = checks.array(checks.floats(logits, "logits"), "logits", ("T", "B", "V"), None)
    T, B, _ = logits.shape
    nats, dlogits = each_sequence(logits, target, steps_of(mask, T, B), blank)
    return float(np.sum(nats) / B), dlogits


def each_sequence(logits: Array, target: Any, steps: Array, blank: Any) -> tuple[Array, Array]:
    """-log p(target) of each sequence, (B,), and the gradient of their mean, like logits."""
    T, B, V = logits.shape
    blank = label_of_blank(blank, V)
    target, n_labels = checked_target(target, B, V, blank)
    check_paths(target, n_labels, steps)
    label, skip = lattice(target, blank)
    dlogits, nats = empty(logits.shape, logits.dtype), np.empty(B)
    share = logits.dtype.type(1 / B)
    arrays = for_kernels(logits), label, skip, n_labels, steps, share, dlogits, nats
    L = label.shape[1]
    work = 4 * threads.PER_NUMBER * T * B * L
    n = min(threads.get_num_threads(), B) if work >= threads.ENOUGH else 1

    def run(k: int) -> None:
        scratch = empty((T + 1, L + 2), np.float64), np.empty(T), np.empty((3, L + 2))
        ctc_rows(B * k // n, B * (k + 1) // n, *arrays, *scratch)

    threads.each(run, range(n))
    return nats, dlogits


# One target for each sequence, however many steps: by this ``fit`` weighs batches.
ctc.per_sequence = True  # type: ignore[attr-defined]
ctc.takes = "softmax"  # type: ignore[attr-defined]


def label_of_blank(blank: Any, V: int) -> int:
    """The blank as one of V labels."""
    blank = checks.size(blank, "blank", 0)
    if blank >= V:
        raise ValueError(f"blank: expected a label in 0..{V - 1}, got {blank}")
    return blank


def checked_target(target: Any, B: int, V: int, blank: int) -> tuple[Array, Array]:
    """Labels (S, B) int64, padded with -1, and how many there are in each column, (B,)."""
    target = checks.numbers(target, "target", "iu")
    if target.ndim != 2 or target.shape[1] != B:
        got = checks.shape_text(target.shape)
        raise ValueError(f"target: expected labels of shape (S, {B}), one column each, got {got}")
    there = target >= 0
    label = f"whole numbers in 0..{V - 1} other than the blank {blank}, or -1 after the end"
    checks.one_wrong(label, "target", target, (target < -1) | (target >= V) | (target == blank))
    checks.one_wrong("-1 after the first -1", "target", target[1:], there[1:] & ~there[:-1])
    return target.astype(np.int64), np.count_nonzero(there, axis=0)


def steps_of(mask: Any, T: int, B: int) -> Array:
    """How many steps each sequence has, (B,)."""
    if mask is None:
        return np.full(B, T)
    mask = checks.array(mask, "mask", (T, B), None)
    checks.one_wrong("0 and 1 (or bool)", "mask", mask, (mask != 0) & (mask != 1))
    mask = mask.astype(bool)
    later = np.zeros((T, B), bool)
    later[1:] = mask[1:] & ~mask[:-1]
    checks.one_wrong("the steps of each sequence first, then 0", "mask", mask, later)
    return np.count_nonzero(mask, axis=0)


def check_paths(target: Array, n_labels: Array, steps: Array) -> None:
    """Raise ValueError for a target that is longer than all paths."""
    repeats = np.count_nonzero((target[1:] == target[:-1]) & (target[1:] >= 0), axis=0)
    for b in np.flatnonzero(n_labels + repeats > steps):
        raise ValueError(
            f"target: expected labels that {steps[b]} steps can spell in sequence {b}, got "
            f"{n_labels[b]}, of which {repeats[b]} are like the one before: they need "
            f"{n_labels[b] + repeats[b]} steps"
        )


def lattice(target: Array, blank: int) -> tuple[Array, Array]:
    """The label (B, L) of each state, and skip (B, L + 2): 0 where a path may come from the
    state two before, -inf where not, to be added to its logarithm.

    Outside of the lattice there are two more states. All paths come from state -1, and go to the
    state after the last. Then the first and the last step are like all others: from -1 on to 0 or,
    skipping, to 1. (After the labels stands -1, unlike the last label, so that the end can be
    reached by a skip too.)
    """
    S, B = target.shape
    label = np.full((B, 2 * S + 1), blank)
    label[:, 1::2] = np.where(target < 0, blank, target).T
    ended = np.vstack([target, np.full((1, B), -1)])
    skip = np.full((B, 2 * S + 3), -np.inf)
    skip[:, 1] = 0
    skip[:, 3::2] = np.where(ended[1:] == ended[:-1], -np.inf, 0).T
    return label, skip


# ---- Its kernel ---------------------------------------------------------------------------------


@jit
def ctc_rows(
    first,
    last,
    logits,
    label,
    skip,
    n_labels,
    steps,
    share,
    dlogits,
    nats,
    alpha,
    log_total,
    scratch,
):
    """Fill dlogits (T, B, V) and nats (B,) in the sequences first:last; share: of one in the mean.

    Scratch for one sequence, all logarithms: alpha (T + 1, L + 2), where alpha[t + 1, s + 2] is
    alpha[t, s] of the equations and row 0 the state that paths come from; log_total (T,), of the
    softmax; and three rows.
    """
    log_y, later, visits = scratch[0], scratch[1], scratch[2]
    for b in range(first, last):
        T, L = steps[b], 2 * n_labels[b] + 1
        states = label[b, :L]
        alpha[0, :] = -np.inf
        alpha[0, 1] = 0
        for t in range(T):
            log_total[t] = softmax_of(logits[t, b], share, dlogits[t, b])
            log_y_of(logits[t, b], states, log_total[t], log_y)
            forward(alpha[t], skip[b], log_y[:L], alpha[t + 1])
        nats[b] = -log_add(alpha[T, L + 1], alpha[T, L], -np.inf)
        later[:] = -np.inf
        later[L] = 0
        for t in range(T - 1, -1, -1):
            log_y_of(logits[t, b], states, log_total[t], log_y)
            backward(later, skip[b], log_y[:L], alpha[t + 1], visits[:L])
            scale = share / sum_to_visits(visits[:L])
            for s in range(L):
                dlogits[t, b, states[s]] -= scale * visits[s]
        for t in range(T, len(dlogits)):
            dlogits[t, b, :] = 0


@jit
def softmax_of(row, share, p):
    """p (V,): the softmax times share. Returns log_total: log y = row - log_total, if finite."""
    wide_vectors()
    largest = largest_of(row, p)
    if largest == np.inf:  # the others have the probability 0
        for j in range(len(p)):
            p[j] = 1 if row[j] == largest else exp(row[j] - largest)
    else:
        for j in range(len(p)):
            p[j] = exp(row[j] - largest)
    total = sum_of(p)
    scale = share / total
    for j in range(len(p)):
        p[j] *= scale
    return np.float64(largest) + np.log(np.float64(total))


@inline
def log_y_of(row, states, log_total, log_y):
    """log_y (L,): the logarithm of the softmax at each state."""
    for s in range(len(states)):
        log_y[s] = np.float64(row[states[s]]) - log_total
    if log_total == np.inf:
        alike = 0
        for j in range(len(row)):
            alike += row[j] == np.inf
        for s in range(len(states)):
            log_y[s] = -np.log(alike) if row[states[s]] == np.inf else -np.inf


@jit
def forward(before, skip, log_y, now):
    """alpha at one step, now (L + 2,), from that of the step before."""
    wide_vectors()
    now[0] = now[1] = -np.inf
    for s in range(len(log_y)):
        now[s + 2] = log_y[s] + log_add(before[s + 2], before[s + 1], before[s] + skip[s])


@jit
def backward(later, skip, log_y, alpha, visits):
    """visits = alpha + beta at one step, from ``later`` (L + 2,): log y[t+1] + beta[t+1], with the
    state after the last, where all paths go. Then later is what the step before will need."""
    wide_vectors()
    L = len(log_y)
    for s in range(L):
        visits[s] = log_add(later[s], later[s + 1], later[s + 2] + skip[s + 2])
    for s in range(L):
        later[s] = log_y[s] + visits[s]
        visits[s] += alpha[s + 2]
    later[L] = -np.inf


@jit
def sum_to_visits(visits):
    """From logarithms (L,) to numbers, the largest of which is 1. Returns their sum.

    It is p(target) at every step, up to rounding. Divided by what it is here, the visits of a step
    have the sum 1, however large the logits are.
    """
    wide_vectors()
    largest = visits[0]
    for s in range(1, len(visits)):
        largest = visits[s] if visits[s] > largest else largest
    for s in range(len(visits)):
        visits[s] = exp(visits[s] - largest)
    return sum_of(visits)


@inline
def log_add(a, b, c):
    """The logarithm of exp(a) + exp(b) + exp(c); -inf where all are. A NaN stays a NaN."""
    largest = b if b > a else a
    largest = c if c > largest else largest
    largest = largest if largest > -np.inf else 0.0
    total = exp(a - largest) + exp(b - largest) + exp(c - largest)
    return -np.inf if total == 0 else largest + log_to_3(total)


LOG_2, SERIES = math.log(2), tuple(1 / n for n in range(23, 2, -2))


@inline
def log_to_3(y):
    """The logarithm of a number in 1..3, without a call, so that LLVM can work on many at once.

    With z = (y - 1) / (y + 1) it is 2 (z + z^3 / 3 + z^5 / 5 + ...). y > 3/2 is halved first. Then
    z <= 1/5, and the first term that is left out is below 1e-18.
    """
    halved = y > 1.5
    y = 0.5 * y if halved else y
    z = (y - 1) / (y + 1)
    z2, terms = z * z, 1 / 25
    for factor in SERIES:
        terms = terms * z2 + factor
    return (LOG_2 if halved else 0.0) + 2 * (z + z * z2 * terms)
