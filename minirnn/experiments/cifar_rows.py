"""CIFAR-10 row by row: 32 steps of 96 values, 32 pixels of three colours.

A tanh RNN of 64 units and an LSTM of 64, Adam, batches of 64, ten epochs. To compare with: one
linear layer that sees all 3072 values at once, and the most frequent class. A sample of 3500 images
for training and 500 for testing, if that is what the data folder has, will do; its figures say
little.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, images
from minirnn.experiments import Experiment, Result, Settings
from minirnn.experiments.common import image_baselines, in_order, rows, scores

EXPERIMENT = Experiment(
    title="CIFAR-10 read row by row: RNN, LSTM and a linear layer",
    unit="right, %",
    seconds=15,
    data="170 MB",
    reference="Keras-like start, on the sample: RNN 28.7 (28.2 to 29.4), LSTM 36",
)


def run(settings: Settings) -> Result:
    """Train both, draw ``cifar-rows.png`` into ``out``; returns the accuracy by model and part."""
    seed, _, epochs, quick, progress = settings
    epochs = epochs or (1 if quick else 10)
    (train, y), (test, y_test) = images.cifar10(progress)
    if quick:
        train, y = train[:500], y[:500]
    mean = train.mean(axis=(0, 1, 2)) / 255
    x, x_test = (rows(p) - np.tile(mean, 32).astype(np.float32) for p in (train, test))
    parts = (x, y), (x_test, y_test)
    result, curves = {}, {}
    for name, cell in (("tanh RNN(64)", mr.RNN), ("LSTM(64)", mr.LSTM)):
        rng = np.random.default_rng(seed)
        o = {"rng": rng, "dtype": np.float32}
        model = mr.Sequential(cell(96, 64, **o), mr.Last(), mr.Linear(64, 10, **o))
        history = mr.fit(
            model, mr.softmax_cross_entropy, lambda rng: batches.shuffled(x, y, 64, rng),
            mr.Adam(), epochs, validation=lambda rng: in_order(*parts[1]), rng=rng,
            progress=progress,
        )  # fmt: skip
        curves |= {f"{name}, train": history.loss, f"{name}, test": history.val_loss}
        result[name] = scores(model, *parts)
    result |= image_baselines(*parts, epochs, rng, 64, kind="class")
    settings.draw(draw, curves)
    return result


def draw(out, curves):
    from minirnn import plot

    ax = plot.curves(curves, "epoch", "cross-entropy, nats", log=False)
    plot.save(ax, out / "cifar-rows.png")
