"""Words of the Penn Treebank: the small model of Zaremba et al. (2014, arXiv:1409.2329).

Two LSTM layers of 200 units, 20 streams that continue with their state, gradients through 20 steps,
plain gradient descent with rate 1, halved after each epoch from the fifth on, gradients clipped to
norm 5, all weights at first uniform in -0.1..0.1, 13 epochs. The paper's figure for it, without
dropout, is a test perplexity of 114.5 (validation 120.7). As there, the loss is the sum over the 20
steps, and the mean over the streams. To compare with: how often each word occurs at all; and the
same model with its output layer tied to the embedding (Press & Wolf 2017, arXiv:1608.05859), which
has 2 million parameters less.
"""

import math
import time

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, texts
from minirnn.experiments import Experiment, Result, Settings
from minirnn.training.bptt import evaluate

EXPERIMENT = Experiment(
    title="Penn Treebank words: the small LSTM of Zaremba et al. 2014",
    unit="perplexity",
    seconds=4800,
    data="6 MB",
    reference="Zaremba et al. 2014: test 114.5, validation 120.7",
)
V_H, STREAMS, STEPS = 200, 20, 20


def run(settings: Settings) -> Result:
    """Train both, draw ``ptb.png`` into ``out``; returns perplexities and seconds by model."""
    parts, vocabulary = texts.penn_treebank(settings.progress)
    if settings.quick:
        parts = [part[: 401 * 20] for part in parts]
    V, histories, result = len(vocabulary), {}, {}
    for name, tied in (("2 x LSTM 200", False), ("output tied to the embedding", True)):
        result[name], histories[name] = trained(parts, V, tied, settings)
    counts = np.bincount(parts[0], minlength=V) + 1
    nats = np.log(counts.sum()) - np.log(counts)
    result["frequency of the word"] = {
        name: math.exp(nats[part].mean())
        for name, part in zip(("train", "validation", "test"), parts, strict=True)
    }
    settings.draw(draw, histories)
    return result


def trained(parts, V, tied, settings):
    """Perplexities and seconds of a new model, and its history."""
    (train, validation, test), (seed, _, epochs, quick, progress) = parts, settings
    rng = np.random.default_rng(seed)
    o = {"rng": rng, "dtype": np.float32}
    words = mr.Embedding(V, V_H, **o)
    output = mr.Unembedding(words) if tied else mr.Linear(V_H, V, **o)
    model = mr.Sequential(words, mr.LSTM(V_H, V_H, **o), mr.LSTM(V_H, V_H, **o), output)
    for p in model.params.values():
        p[...] = rng.uniform(-0.1, 0.1, p.shape)

    def streams(part, size=STREAMS, steps=STEPS):
        return lambda rng=None: batches.stream(part, size, steps)

    started = time.perf_counter()
    history = mr.fit(
        model, summed, streams(train), mr.SGD(1.0), epochs or (1 if quick else 13),
        validation=streams(validation), schedule=lambda epoch: 0.5 ** max(epoch - 3, 0),
        max_norm=5.0, stateful=True, rng=rng, progress=progress,
    )  # fmt: skip
    seconds = time.perf_counter() - started

    def perplexity(part):
        # One stream, in long pieces, so that every word but the first is predicted.
        data = ((*batch, None, None) for batch in streams(part, 1, 500)())
        return math.exp(evaluate(model, mr.softmax_cross_entropy, data, stateful=True))

    return {
        "train": math.exp(history.loss[-1]), "validation": perplexity(validation),
        "test": perplexity(test), "parameters": sum(p.size for p in model.params.values()),
        "seconds": seconds,
    }, history  # fmt: skip


def summed(logits, target):
    """The loss of a step, with the gradient of the sum over the steps."""
    loss, dlogits = mr.softmax_cross_entropy(logits, target)
    return loss, dlogits * len(target)


def draw(out, histories):
    from minirnn import plot

    lines = {name: np.exp(history.val_loss) for name, history in histories.items()}
    ax = plot.curves(lines, "epoch", "perplexity (validation)")
    plot.save(ax, out / "ptb.png")
