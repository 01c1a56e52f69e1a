"""From the output of a network that was trained with ``ctc`` to labels, and how many are wrong.

Each label sequence has many paths. The best path is found at once: the likeliest label at each
step. But it may spell an unlikely sequence. With the probabilities 0.6 of a blank and 0.4 of "a" at
each of two steps the best path is "--", 0.36. It spells nothing. "a" is spelled by three paths,
0.24 + 0.24 + 0.16 = 0.64. The prefix beam search adds up the paths with the same beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.protocol import Array, Numbers
from minirnn.training.ctc import (
    check_paths,
    checked_target,
    each_sequence,
    label_of_blank,
    lattice,
)


class Labels(NamedTuple):
    """What ``ctc_decode`` has read."""

    tokens: Array  # (S, B): the labels; after its end a sequence holds -1, like a target of ``ctc``
    lengths: Array  # (B,): how many labels there are
    log_probability: Array  # (B,): natural logarithm of p(labels), the sum over *all* their paths


def ctc_decode(
    logits: Numbers,
    lengths: Numbers | None = None,
    beam: int = 1,
    blank: int = 0,
    bigram: Numbers | None = None,
) -> Labels:
    """The labels that the logits (T, B, V) of a network spell.

    lengths: (B,), of the sequences. beam: 1 takes the best path; more searches for the likeliest
    labels, and keeps this many beginnings at each step (Hannun et al. 2014). blank: as in ``ctc``.
    bigram: (V, V), what is added to the logarithm of the probability where label j follows label i,
    say its own logarithm times a factor; row ``blank``: where j is the first label, column
    ``blank``: where i is the last, and both: where there is no label. For a search only.

    Raises ValueError or TypeError for wrong arguments, and ValueError for logits that are NaN or
    +inf, or all -inf.
    """
    logits, log_y, steps = _logits(logits, lengths)
    _, B, V = logits.shape
    blank, beam = label_of_blank(blank, V), checks.size(beam, "beam")
    if bigram is not None and beam == 1:
        raise ValueError("bigram: expected None with beam=1, which takes the best path")
    score = _bigram(bigram, V)
    found: list[list[int]] = []
    for b in range(B):
        own = log_y[: steps[b], b]
        found.append(best_path(own, blank) if beam == 1 else search(own, beam, blank, score))
    tokens = padded(found)
    return Labels(tokens, np.array([len(f) for f in found]), _log_p(logits, tokens, steps, blank))


def best_path(log_y: Array, blank: int) -> list[int]:
    """What the likeliest labels of each step (T, V) spell."""
    path = np.argmax(log_y, axis=1)
    new = np.append(True, path[1:] != path[:-1])[: len(path)]
    return [int(k) for k in path[new & (path != blank)]]


def search(log_y: Array, beam: int, blank: int, bigram: Array) -> list[int]:
    """The likeliest labels for log_y (T, V) that the prefix beam search finds.

    A *prefix* is what a beginning of a path spells. For each, the probabilities of the beginnings
    that end in a blank and of those that end in its last label are kept apart: that label once more
    is a new label after a blank only.
    """
    prefixes: list[tuple[int, ...]] = [()]
    in_blank, in_label = np.zeros(1), np.full(1, -np.inf)  # logarithms
    for now in log_y:
        last = np.array([p[-1] if p else blank for p in prefixes])
        both = np.logaddexp(in_blank, in_label)
        grown = both[:, None] + bigram[last] + now  # (K, V): each prefix with one label more
        each = np.arange(len(last))
        grown[each, last] = in_blank + bigram[last, last] + now[last]
        grown[:, blank] = -np.inf
        in_blank, in_label = both + now[blank], in_label + now[last]
        _merge(prefixes, grown, in_label)
        scores = np.append(np.logaddexp(in_blank, in_label), grown)
        best = np.argsort(-scores, kind="stable")[:beam]
        best = best[scores[best] > -np.inf] if scores[best[0]] > -np.inf else best[:1]
        K, V = grown.shape
        stay, new = best[best < K], best[best >= K] - K
        prefixes = [prefixes[k] for k in stay] + [(*prefixes[n // V], int(n % V)) for n in new]
        in_blank = np.append(in_blank[stay], np.full(len(new), -np.inf))
        in_label = np.append(in_label[stay], grown.ravel()[new])
    last = np.array([p[-1] if p else blank for p in prefixes])
    return list(prefixes[np.argmax(np.logaddexp(in_blank, in_label) + bigram[last, blank])])


def _merge(prefixes: list[tuple[int, ...]], grown: Array, in_label: Array) -> None:
    """Where a prefix with one label more is itself among the prefixes, add the two up."""
    number = {p: k for k, p in enumerate(prefixes)}
    for k, p in enumerate(prefixes):
        if p and p[:-1] in number:
            place = number[p[:-1]], p[-1]
            in_label[k] = np.logaddexp(in_label[k], grown[place])
            grown[place] = -np.inf


def ctc_align(
    logits: Numbers, target: Numbers, lengths: Numbers | None = None, blank: int = 0
) -> Array:
    """The likeliest path (T, B) among those that spell the target (S, B): which label stands at
    which step. After its end a sequence holds -1. (Viterbi's algorithm, over the lattice of
    ``ctc``.)

    Raises ValueError for a target that no path can spell, or where all have the probability 0.
    """
    logits, log_y, steps = _logits(logits, lengths)
    T, B, V = logits.shape
    blank = label_of_blank(blank, V)
    target, n_labels = checked_target(target, B, V, blank)
    check_paths(target, n_labels, steps)
    label, skip = lattice(target, blank)
    paths = np.full((T, B), -1)
    for b in range(B):
        L = 2 * n_labels[b] + 1
        states = likeliest_states(log_y[: steps[b], b, label[b, :L]], skip[b, :L])
        if states is None:
            raise ValueError(f"logits: expected a path with p > 0 in sequence {b}, got none")
        paths[: steps[b], b] = label[b, states]
    return paths


def likeliest_states(log_y: Array, skip: Array) -> Array | None:
    """The likeliest states (T,) of a path through a lattice, for log_y (T, L) of its states.

    best[s]: the logarithm of the likeliest beginning that is in state s; with two states before the
    first, as in ``lattice``. None where no path is possible.
    """
    T, L = log_y.shape
    best, back = np.full(L + 2, -np.inf), np.zeros((T, L), int)
    best[1] = 0
    for t in range(T):
        ways = np.array([best[2:], best[1:-1], best[:-2] + skip])  # from s, s - 1 and s - 2
        back[t] = np.argmax(ways, axis=0)
        best[:2], best[2:] = -np.inf, np.max(ways, axis=0) + log_y[t]
    if best[-2:].max() == -np.inf:
        return None
    states = np.zeros(T, int)
    s = L - 1 if best[-1] >= best[-2] else L - 2
    for t in reversed(range(T)):
        states[t] = s
        s -= back[t, s]
    return states


# ---- Errors -------------------------------------------------------------------------------------


def edit_distance(a: Sequence[Any], b: Sequence[Any]) -> int:
    """How many labels must be put in, left out or replaced to make b of a (Levenshtein 1966).

    a, b: texts, or sequences of labels. With d[i, j] the distance of the first i of a and the first
    j of b, d[i, j] is the least of d[i-1, j] + 1, d[i, j-1] + 1 and d[i-1, j-1] + (a[i-1] !=
    b[j-1]).
    """
    for name, value in (("a", a), ("b", b)):
        if not hasattr(value, "__len__") or not hasattr(value, "__getitem__") or np.ndim(value) > 1:
            raise TypeError(f"{name}: expected a text or a sequence of labels, got {value!r:.80}")
    d = list(range(len(b) + 1))  # row i of d
    for i in range(len(a)):
        above, d[0] = d[0], i + 1
        for j in range(len(b)):
            replaced = above + (a[i] != b[j])
            above, d[j + 1] = d[j + 1], int(min(d[j + 1] + 1, d[j] + 1, replaced))
    return d[-1]


def label_error_rate(tokens: Numbers, target: Numbers) -> float:
    """The edit distances of all sequences, over the number of all labels in the target.

    tokens, target: (S, B) whole numbers, padded with -1 after the end; the two S may differ. It can
    be more than 1. Raises ValueError for a target without any label.
    """
    found, right = columns(tokens, "tokens"), columns(target, "target")
    if len(found) != len(right):
        raise ValueError(f"tokens: expected {len(right)} sequences, as target, got {len(found)}")
    n = sum(map(len, right))
    if n == 0:
        raise ValueError("target: expected at least one label, got none")
    return sum(edit_distance(a, b) for a, b in zip(found, right, strict=True)) / n


def columns(target: Any, name: str) -> list[list[int]]:
    """The labels of each column of (S, B), without the padding."""
    target = checks.numbers(target, name, "iu")
    if target.ndim != 2:
        got = checks.shape_text(target.shape)
        raise ValueError(f"{name}: expected labels of shape (S, B), got {got}")
    there = target >= 0
    checks.one_wrong("labels, or -1 after the end", name, target, target < -1)
    checks.one_wrong("-1 after the first -1", name, target[1:], there[1:] & ~there[:-1])
    return [column[column >= 0].tolist() for column in target.T]


def padded(labels: Sequence[Sequence[int]]) -> Array:
    """Label sequences as columns (S, B), padded with -1: the target of ``ctc``."""
    target = np.full((max(map(len, labels), default=0), len(labels)), -1)
    for b, own in enumerate(labels):
        target[: len(own), b] = own
    return target


# ---- Checks -------------------------------------------------------------------------------------


def _logits(logits: Any, lengths: Any) -> tuple[Array, Array, Array]:
    """Logits (T, B, V) float64, the logarithm of their softmax, and the steps of each sequence."""
    logits = checks.array(logits, "logits", ("T", "B", "V"), np.float64)
    T, B, _ = logits.shape
    steps = checks.lengths(lengths, T, B)
    counts = np.arange(T)[:, None] < steps
    logits = np.where(counts[..., None], logits, 0.0)
    largest = logits.max(axis=2)
    wrong = ~np.isfinite(largest)
    checks.one_wrong("finite numbers or -inf, not all -inf", "logits", largest, wrong)
    log_y = logits - largest[..., None]
    return logits, log_y - np.log(np.exp(log_y).sum(axis=2, keepdims=True)), steps


def _bigram(bigram: Any, V: int) -> Array:
    if bigram is None:
        return np.zeros((V, V))
    bigram = checks.array(bigram, "bigram", (V, V), np.float64)
    checks.one_wrong("logarithms, below inf", "bigram", bigram, ~(bigram < np.inf))
    return bigram


def _log_p(logits: Array, tokens: Array, steps: Array, blank: int) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return 0.0 - each_sequence(logits, tokens, steps, blank)[0]  # not -0.0
