"""How ``minirnn label`` splits, reads and learns: what is left of it without files and printing.

The network begins from the answer of n-grams (see ``bayes``) and learns what they leave over: its
logits are added to theirs. In training these are of counts in other lines, as if each line were
new; else the network would learn to trust in n-grams that have been counted in this very line.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, texts
from minirnn.protocol import Array, Layer

CUT = {"characters": 100, "words": 200}  # tokens that are read of a text, its last ones
UNSEEN = 0.05  # of the tokens are hidden in training, so that <unk> gets a meaning
MOST_WORDS = 20_000
UPDATES, TOKENS = 1200, 5_000_000  # at most; they take a minute or less


class Lines(NamedTuple):
    """Lines with a label, read and split."""

    texts: list[str]
    at: list[int]  # their lines in the file
    names: list[str]  # of the labels
    labels: Array  # (N,), numbers of these
    tokens: list[list[str]]
    by: str  # "characters" or "words"
    parts: tuple[Array, Array, Array]  # which lines are for training, validation and testing


def kind_of(lines: Sequence[str]) -> str:
    """How to read texts: most short ones by characters, sentences by words."""
    return "characters" if np.median([len(line.split()) for line in lines]) <= 3 else "words"


def tokens_of(line: str, by: str) -> list[str]:
    """The characters of a text, or its words in lower case. An accent is part of its letter,
    however the file writes it."""
    line = unicodedata.normalize("NFC", line)
    found = list(" ".join(line.split())) if by == "characters" else texts.words_of(line)
    return found[-CUT[by] :]


def same(line: str) -> str:
    """Equal for texts that differ in nothing but capitals, blanks and the writing of accents."""
    return " ".join(unicodedata.normalize("NFC", line).casefold().split())


def split(
    lines: Sequence[str], labels: Array, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Which lines are for training, validation and testing: 80, 10 and 10 %, drawn by chance.

    Each label is divided in these proportions, as far as possible. Lines of the same text are
    in one part together: a text that was learned would test the memory.
    """
    together: dict[str, list[int]] = {}
    for k, line in enumerate(lines):
        together.setdefault(same(line), []).append(k)
    by_label: dict[int, list[list[int]]] = {}
    for group in together.values():
        often = Counter(labels[group].tolist()).most_common(1)[0][0]
        by_label.setdefault(often, []).append(group)
    parts: tuple[list[int], ...] = ([], [], [])
    dealt = int(rng.integers(10))
    for label in sorted(by_label):
        groups = by_label[label]
        first, *others = rng.permutation(len(groups))
        parts[0].extend(groups[first])  # so that no label is unknown
        for k in others:
            dealt += 1
            parts[{4: 1, 9: 2}.get(dealt % 10, 0)].extend(groups[k])
    train, validation, test = (np.array(sorted(part), np.int64) for part in parts)
    return train, validation, test


def folds(lines: Sequence[str], rng: np.random.Generator, k: int = 10) -> Array:
    """One of k numbers for each line, drawn by chance; lines of the same text have the same."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(same(line), int(rng.integers(k))) for line in lines])


def alphabet(tokens: Sequence[Sequence[str]]) -> dict[str, int]:
    """The number of each character or word that occurs at least twice; 0 is padding, 1 unknown."""
    counts = Counter(token for own in tokens for token in own)
    often = sum(n > 1 for n in counts.values())
    return texts.vocabulary(tokens, min(often, MOST_WORDS) + 2)


def encode(tokens: Sequence[str], index: dict[str, int]) -> Array:
    """A text as numbers, at least one."""
    return texts.encode(tokens or [texts.UNKNOWN], index)


def epochs_for(lengths: Sequence[int], size: int) -> int:
    """How often to read the training part: until ``UPDATES`` batches, or ``TOKENS``, are done."""
    wanted = min(UPDATES / (len(lengths) / size), TOKENS / sum(lengths))
    return min(max(round(wanted), 2), 15)


def make(V: int, K: int, by: str, rng: np.random.Generator) -> mr.Sequential:
    """Embedding, a GRU in both directions, and a logit for each label, which is 0 at first."""
    E, H, before = (32, 96, 0.2) if by == "characters" else (64, 64, 0.5)
    o: Any = {"rng": rng, "dtype": "float32"}
    output = mr.Linear(2 * H, K, **o)
    output.params["W"][...] = 0
    return mr.Sequential(
        mr.Embedding(V, E, **o),
        mr.Dropout(before),
        mr.Bidirectional(mr.GRU(E, H, **o), mr.GRU(E, H, **o)),
        mr.Last(both=True),
        mr.Dropout(0.5),
        output,
    )


def added_to(
    y: Array, target: Array, mask: Array | None = None
) -> tuple[float | np.floating[Any], Array]:
    """The cross-entropy of logits y (B, K) that are added to others. target: (B, 1 + K), the label
    and the others."""
    logits = y + target[:, 1:].astype(y.dtype)
    return mr.softmax_cross_entropy(logits, target[:, 0].astype(np.int64), mask)


def shuffled(
    sequences: Sequence[Array], targets: Sequence[Array], weights: Array, size: int, hide: float,
    rng: np.random.Generator,
) -> Iterator[tuple[Array, ...]]:  # fmt: skip
    """Batches (x, target, lengths, mask) for ``fit`` with ``added_to``. weights: (K,), of each
    label. hide: this share of the tokens becomes ``<unk>``."""
    for x, target, lengths, *_ in batches.buckets(sequences, targets, size, rng):
        if hide:
            x = np.where((x > 0) & (rng.random(x.shape) < hide), 1, x)
        yield x, target, lengths, weights[target[:, 0].astype(np.int64)]


def probabilities(
    model: Layer, sequences: Sequence[Array], start: Array, size: int = 1000
) -> Array:
    """The probability of each label, (N, K). start: logits (N, K) to which those of the model are
    added."""
    order = np.argsort([len(own) for own in sequences], kind="stable")  # so that little is padding
    logits = start.copy()
    for k in range(0, len(order), size):
        own = order[k : k + size]
        x, lengths = batches.pad([sequences[i] for i in own])
        logits[own] += mr.predict(model, x, lengths)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)
