"""Words of the Penn Treebank: the small model of Zaremba et al. (2014, arXiv:1409.2329).

Two LSTM layers of 200 units, 20 streams that continue with their state, gradients through 20 steps,
plain gradient descent with rate 1, halved after each epoch from the fifth on, gradients clipped to
norm 5, all weights at first uniform in -0.1..0.1, 13 epochs. The paper's figure for it, without
dropout, is a test perplexity of 114.5 (validation 120.7). As there, the loss is the sum over the 20
steps, and the mean over the streams. To compare with: how often each word occurs at all.
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
    seconds=2400,
    data="6 MB",
    reference="Zaremba et al. 2014: test 114.5, validation 120.7",
)
V_H, STREAMS, STEPS = 200, 20, 20


def run(settings: Settings) -> Result:
    """Train, draw ``ptb.png`` into ``out``; returns perplexities and seconds by model."""
    seed, _, epochs, quick, progress = settings
    epochs = epochs or (1 if quick else 13)
    parts, vocabulary = texts.penn_treebank(progress)
    if quick:
        parts = [part[: 401 * 20] for part in parts]
    train, validation, test = parts
    rng, V = np.random.default_rng(seed), len(vocabulary)
    o = {"rng": rng, "dtype": np.float32}
    model = mr.Sequential(
        mr.Embedding(V, V_H, **o), mr.LSTM(V_H, V_H, **o), mr.LSTM(V_H, V_H, **o),
        mr.Linear(V_H, V, **o),
    )  # fmt: skip
    for p in model.params.values():
        p[...] = rng.uniform(-0.1, 0.1, p.shape)

    def summed(logits, target):
        loss, dlogits = mr.softmax_cross_entropy(logits, target)
        return loss, dlogits * len(target)

    def streams(part, size=STREAMS, steps=STEPS):
        return lambda rng=None: batches.stream(part, size, steps)

    started = time.perf_counter()
    history = mr.fit(
        model, summed, streams(train), mr.SGD(1.0), epochs, validation=streams(validation),
        schedule=lambda epoch: 0.5 ** max(epoch - 3, 0), max_norm=5.0, stateful=True, rng=rng,
        progress=progress,
    )  # fmt: skip
    seconds = time.perf_counter() - started

    def perplexity(part):
        # One stream, in long pieces, so that every word but the first is predicted.
        data = ((*batch, None, None) for batch in streams(part, 1, 500)())
        return math.exp(evaluate(model, mr.softmax_cross_entropy, data, stateful=True))

    result = {
        "2 x LSTM 200": {
            "train": math.exp(history.loss[-1]), "validation": perplexity(validation),
            "test": perplexity(test), "seconds": seconds,
        }
    }  # fmt: skip
    counts = np.bincount(train, minlength=V) + 1
    nats = np.log(counts.sum()) - np.log(counts)
    result["frequency of the word"] = {
        name: math.exp(nats[part].mean())
        for name, part in (("train", train), ("validation", validation), ("test", test))
    }
    settings.draw(draw, history)
    return result


def draw(out, history):
    from minirnn import plot

    lines = {"training": np.exp(history.loss), "validation": np.exp(history.val_loss)}
    ax = plot.curves(lines, "epoch", "perplexity")
    plot.save(ax, out / "ptb.png")
