"""MNIST row by row: 28 steps of 28 pixels, one answer.

``classic`` is the protocol of many introductions: an LSTM of 30 units, RMSProp, batches of 128, ten
epochs. ``GRU(128)`` shows what reaches 98.5 % in a few minutes: more units, Adam with a falling
learning rate, clipped gradients, dropout before the answer. To compare with: one linear layer that
sees all 784 pixels at once, and the most frequent class.
"""

import time

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, images
from minirnn.experiments import Experiment, Result, Settings
from minirnn.experiments.common import image_baselines, rows, scores

EXPERIMENT = Experiment(
    title="MNIST read row by row: LSTM(30) as in the books, and 98.5 % with GRU(128)",
    unit="right, %",
    digits=".2f",
    seconds=120,
    data="12 MB",
    reference="Keras 96.7 (96.1 to 97.0) for LSTM(30)",
)


def run(settings: Settings) -> Result:
    """Train both, draw ``mnist-rows.png`` into ``out``; returns accuracy and seconds by model."""
    seed, _, epochs, quick, progress = settings
    (train, y), (test, y_test) = images.mnist(progress)
    n = 2000 if quick else len(y)
    x, y, x_test, y_test = rows(train[:n]), y[:n], rows(test[:n]), y_test[:n]
    result, curves = {}, {}
    parts = (x, y), (x_test, y_test)
    for name, default in (("classic LSTM(30)", 10), ("GRU(128)", 8)):
        rng, k = np.random.default_rng(seed), epochs or (1 if quick else default)
        o = {"rng": rng, "dtype": np.float32}
        if name.startswith("classic"):
            layers = (mr.LSTM(28, 30, **o), mr.Last(), mr.Linear(30, 10, **o))
            optimizer, options = mr.RMSProp(1e-3), {}
        else:
            layers = (mr.GRU(28, 128, **o), mr.Last(), mr.Dropout(0.3), mr.Linear(128, 10, **o))
            optimizer, options = mr.Adam(), {"schedule": mr.cosine(0.006, k), "max_norm": 1.0}
        model, started = mr.Sequential(*layers), time.perf_counter()
        history = mr.fit(
            model, mr.softmax_cross_entropy, lambda rng: batches.shuffled(x, y, 128, rng),
            optimizer, k, rng=rng, progress=progress, **options,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        curves[name] = history.loss
        result[name] = scores(model, *parts) | {"seconds": seconds}
    result |= image_baselines(*parts, 1 if quick else 5, rng)
    settings.draw(draw, curves)
    return result


def draw(out, curves):
    from minirnn import plot

    ax = plot.losses(curves)
    ax.set_ylabel("cross-entropy of the training part, nats")
    plot.save(ax, out / "mnist-rows.png")
