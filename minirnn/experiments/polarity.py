"""Short film reviews, and sentences with a "not": where counting words is enough, and where not.

rt-polarity (Pang & Lee 2005): 10662 sentences of reviews, 80 % for training, 10 % to decide when to
stop, 10 % for testing. A GRU of 64 units; to compare with, a logistic regression on the counts of
the words. Put rt-polarity.pos and rt-polarity.neg, from "sentence polarity dataset v1.0" at
https://www.cs.cornell.edu/people/pabo/movie-review-data, into the folder rt-polarity of
MINIRNN_DATA, as UTF-8 (iconv -f windows-1252 -t utf-8).

``negation`` is made up: "I did not see it, but I did like it" is positive, "I did see it, but I did
not like it" is negative. Both have the same words, so that a bag of words can only guess.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import texts
from minirnn.experiments import Experiment, Result, Settings, sentiment
from minirnn.experiments.common import most_frequent

EXPERIMENT = Experiment(
    title="short reviews, and sentences with a 'not': a GRU, and a bag of words",
    unit="right, %",
    seconds=40,
    data="by hand",
    reference="PyTorch GRU(64): best validation 75.3",
)


def run(settings: Settings) -> Result:
    """Train on both tasks, draw ``polarity.png`` into ``out``; returns the accuracy by model."""
    seed, _, epochs, quick, progress = settings
    rng = np.random.default_rng(seed)
    epochs = epochs or (1 if quick else 12)
    sentences, labels = texts.polarity(progress)
    sentences = [texts.words(s) for s in sentences]
    if quick:
        some = rng.permutation(len(labels))[:600]
        sentences, labels = [sentences[k] for k in some], labels[some]
    found = {
        "reviews": compare(sentences, labels, epochs, rng, progress),
        "negation": compare(*negation(rng, 200 if quick else 2000), epochs, rng, progress),
    }
    result = {
        f"{task}, {name}": figures
        for task, (by_model, _, _) in found.items()
        for name, figures in by_model.items()
    }
    settings.draw(draw, *found["negation"][1:])
    return result


def compare(sentences, labels, epochs, rng, progress):
    """Accuracies by model, the GRU, and its words."""
    rest, test = sentiment.split(sentences, labels, rng)
    train, validation = sentiment.split(*rest, rng, 1 / 9)
    index = texts.vocabulary(train[0], 20000)
    parts = [(sentiment.encode(s, index, 60), y) for s, y in (train, validation, test)]
    o = {"rng": rng, "dtype": np.float32}
    model = mr.Sequential(
        mr.Embedding(len(index), 64, **o), mr.Dropout(0.5), mr.GRU(64, 64, **o), mr.Last(),
        mr.Dropout(0.5), mr.Linear(64, 2, **o),
    )  # fmt: skip
    sentiment.train(model, *parts[:2], 32, 2e-3, epochs, rng, progress, patience=3)
    bag = sentiment.bag_of_words(len(index), *parts[:2], rng, 5 * epochs)
    names = ("train", "validation", "test")
    figures = {
        name: {part: sentiment.score(m, data) for part, data in zip(names, parts, strict=True)}
        for name, m in (("GRU(64)", model), ("bag of words", bag))
    }
    figures["most frequent"] = {"test": most_frequent(train[1], test[1])}
    return figures, model, index


def negation(rng, N):
    """Sentences of two clauses, one with a "not"; label 0 if that is the one with "like"."""
    sentences, labels = [], rng.integers(0, 2, N)
    for label in labels:
        who, it = rng.choice(["i", "we", "they", "he", "she"]), rng.choice(["it", "this", "that"])
        other = rng.choice(["see", "buy", "finish", "know", "rent", "watch"])
        clauses = [["did", other, it], ["did", "like", it]]
        clauses[0 if label else 1].insert(1, "not")
        first, second = clauses if rng.random() < 0.5 else clauses[::-1]
        sentences.append([who, *first, ",", "but", who, *second, "."])
    return sentences, labels


def draw(out, model, index):
    """How the answer forms, word by word, for the two sentences above."""
    from minirnn import plot

    lines = {}
    for text in (
        "i did not see it , but i did like it .",
        "i did see it , but i did not like it .",
    ):
        tokens = texts.encode(text.split(), index)
        answers = [model.forward(tokens[: k + 1, None])[0][0] for k in range(len(tokens))]
        lines[text] = [float(y[1] - y[0]) for y in answers]
    ax = plot.curves(lines, "words read", "log-odds of positive", log=False)
    ax.axhline(0, color="grey", lw=0.8)
    plot.save(ax, out / "polarity.png")
