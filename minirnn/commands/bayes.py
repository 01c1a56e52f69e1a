"""Naive Bayes on n-grams: what a network for short texts has to beat, or to begin from.

The probability of a label k given a text is taken to be proportional to ``p(k)`` times the product
of ``p(g | k)`` over all pieces g of the text, of 1 to n neighbouring characters or words, as if the
pieces had nothing to do with each other. The probabilities are counts in the training part, with
alpha added to each (Manning, Raghavan & Schuetze 2008, chapter 13). n and alpha are those that are
right most often on the validation part.

The product is far too sure of itself, since neighbouring pieces do have to do with each other. So
whoever adds something to its logarithm first multiplies it by a ``scale``.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.protocol import Array

ALPHAS = (0.03, 0.1, 0.3, 1.0)
MOST = 200_000  # pieces; of more the most frequent are kept
LARGEST = 30_000_000  # numbers in a table of counts: of many labels fewer pieces are kept
BETWEEN = "\x1f"  # between the tokens of a piece; a control character that no text has

Tokens = Sequence[Sequence[str]]  # the characters or words of each text


class Bayes(NamedTuple):
    """What was counted."""

    n: int  # pieces of at most this many tokens
    alpha: float
    rows: dict[str, int]  # the row of each piece
    counts: Array  # (rows, K): how often a piece is in texts with a label
    texts: Array  # (K,): the number of texts with each label


def pieces(tokens: Sequence[str], n: int) -> list[str]:
    """All pieces of 1 to n neighbouring tokens, with a mark at both ends."""
    whole = ("\n", *tokens, "\n")  # which is in no line
    return [
        BETWEEN.join(whole[k : k + length])
        for length in range(1, n + 1)
        for k in range(len(whole) - length + 1)
    ]


def count(texts: Tokens, labels: Array, K: int, n: int, alpha: float) -> Bayes:
    """Count in texts with labels (N,), numbers below K."""
    found = [pieces(text, n) for text in texts]
    every = Counter(piece for own in found for piece in own)
    often = every.most_common(min(MOST, LARGEST // K))
    rows = {piece: row for row, (piece, _) in enumerate(often)}
    at = _at(found, rows)
    return Bayes(
        n, alpha, rows, _counts(at, labels, len(rows), K), np.bincount(labels, minlength=K)
    )


def _at(found: Iterable[Sequence[str]], rows: Mapping[str, int]) -> list[Array]:
    """The rows of each text's pieces; those never counted are left out."""
    return [np.array([rows[g] for g in own if g in rows], np.int64) for own in found]


def _counts(at: Sequence[Array], labels: Array, rows: int, K: int) -> Array:
    cells = np.concatenate(at) * K + np.repeat(labels, [len(own) for own in at])
    return np.bincount(cells, minlength=rows * K).reshape(rows, K)


def _scores(at: Sequence[Array], counts: Array, texts: Array, alpha: float) -> Array:
    smooth = counts + alpha
    log_p = np.log(smooth) - np.log(smooth.sum(axis=0))
    prior = np.log((texts + 1) / np.sum(texts + 1))
    found = np.array([log_p[own].sum(axis=0) for own in at]) + prior
    return found - found.max(axis=1, keepdims=True)


def scores(bayes: Bayes, texts: Tokens) -> Array:
    """The logarithm of each label's probability, (N, K), up to a constant for each text."""
    at = _at((pieces(text, bayes.n) for text in texts), bayes.rows)
    return _scores(at, bayes.counts, bayes.texts, bayes.alpha)


def scores_of_others(bayes: Bayes, texts: Tokens, labels: Array, folds: Array) -> Array:
    """The scores (N, K) of the texts that were counted, each from the counts of the other folds
    alone, as if it were new. folds: (N,), to which fold each text belongs."""
    at = _at((pieces(text, bayes.n) for text in texts), bayes.rows)
    K = len(bayes.texts)
    found = np.empty((len(at), K))
    for fold in np.unique(folds):
        own = np.flatnonzero(folds == fold)
        mine = [at[k] for k in own]
        counts = bayes.counts - _counts(mine, labels[own], len(bayes.rows), K)
        others = bayes.texts - np.bincount(labels[own], minlength=K)
        found[own] = _scores(mine, counts, others, bayes.alpha)
    return found


def best(
    train: Tokens, labels: Array, validation: Tokens, wanted: Array, K: int, longest: int
) -> Bayes:
    """The one, among n up to ``longest`` and ``ALPHAS``, that is right most often on the validation
    part, whose labels are ``wanted``."""
    tried = []
    for n in range(1, longest + 1):
        counted = count(train, labels, K, n, 1.0)
        at = _at((pieces(text, n) for text in validation), counted.rows)
        for alpha in ALPHAS:
            answers = _scores(at, counted.counts, counted.texts, alpha).argmax(axis=1)
            tried.append((np.mean(answers == wanted), counted._replace(alpha=alpha)))
    return max(tried, key=lambda own: own[0])[1]


def scale(found: Array, labels: Array) -> float:
    """The factor for scores (N, K) of new texts with which their softmax is nearest to the labels:
    that of the lowest cross-entropy."""

    def loss(factor: float) -> float:
        a = factor * found
        log_sum = np.log(np.exp(a - a.max(axis=1, keepdims=True)).sum(axis=1)) + a.max(axis=1)
        return float(np.mean(log_sum - a[np.arange(len(a)), labels]))

    return min((float(f) for f in np.linspace(0.05, 1.5, 30)), key=loss)


def packed(bayes: Bayes) -> dict[str, Any]:
    """All of it as JSON, the counts as compressed bytes in letters."""
    letters = base64.b64encode(zlib.compress(bayes.counts.astype("<u4").tobytes())).decode()
    return {
        "n": bayes.n, "alpha": bayes.alpha, "pieces": list(bayes.rows), "counts": letters,
        "texts": bayes.texts.tolist(),
    }  # fmt: skip


def unpacked(found: Mapping[str, Any]) -> Bayes:
    """What ``packed`` was given."""
    rows = {piece: row for row, piece in enumerate(found["pieces"])}
    texts = np.array(found["texts"])
    size = 4 * len(rows) * len(texts)
    data = zlib.decompressobj().decompress(base64.b64decode(found["counts"]), size + 1)
    counts = np.frombuffer(data, "<u4").reshape(len(rows), len(texts)).astype(np.int64)
    return Bayes(int(found["n"]), float(found["alpha"]), rows, counts, texts)
