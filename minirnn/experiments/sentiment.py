"""What imdb.py and polarity.py share: reviews to batches, and the bag of words."""

from typing import Any

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, texts
from minirnn.experiments.common import accuracy


def split(sentences, labels, rng, share=0.1):
    """Shuffled, in two parts; the second holds ``share`` of them."""
    order = rng.permutation(len(labels))
    cut = round((1 - share) * len(labels))
    return [([sentences[k] for k in own], labels[own]) for own in (order[:cut], order[cut:])]


def encode(sentences, index, last):
    """Each text as the tokens of its last words, at least one."""
    found = (texts.encode(s[-last:], index) for s in sentences)
    return [tokens if len(tokens) else np.array([1]) for tokens in found]


def train(model, part, validation, size, lr, epochs, rng, progress, patience=None, **options):
    """``fit`` on batches of similar length; returns its history."""

    def of(data):
        return lambda rng: batches.buckets(*data, size, rng)

    return mr.fit(
        model, mr.softmax_cross_entropy, of(part), mr.Adam(lr), epochs, validation=of(validation),
        patience=patience, max_norm=1.0, rng=rng, progress=progress, **options,
    )  # fmt: skip


def score(model, data) -> float:
    """Accuracy in percent."""
    return accuracy(model, batches.buckets(*data, 500, 0))


class BagOfWords(mr.Embedding):
    """The sum over a text of one learned vector a word: (T, B) to (B, K). Order is lost."""

    streams = False
    step: Any = None

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        y, state, cache = super().forward(x, state, lengths, training, rng)
        return y.sum(axis=0), state, (cache, len(x), lengths)

    def backward(self, dy, cache, dstate=None):
        cache, T, lengths = cache
        dy = np.repeat(np.asarray(dy)[None], T, axis=0)
        if lengths is not None:
            dy[np.arange(T)[:, None] >= np.asarray(lengths)] = 0
        return super().backward(dy, cache, dstate)


def bag_of_words(V, part, validation, rng, epochs):
    """Logistic regression on the words' counts, with early stopping; returns the model."""
    model = BagOfWords(V, 2, rng=rng, dtype="float32")
    model.params["W"][...] = 0
    train(model, part, validation, 64, 1e-3, epochs, rng, False, patience=2)
    return model
