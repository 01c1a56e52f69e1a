"""MNIST at 16 x 16 pixels, 16 steps of 16: what do other kinds of network add?

Every image is reduced by the exact average over areas. Four networks, each trained with Adam at
0.01 on 100 batches of 500: a tanh RNN of 64 units; two of them, one for each direction; three
layers of GRU; an LSTM with a forget bias of 1. The bidirectional one is shown twice: with the final
states of both directions, and with the output at the last row alone, where the backward direction
has seen one row only.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import images
from minirnn.experiments import Experiment, Result, Settings
from minirnn.experiments.common import image_baselines, recording, scores

EXPERIMENT = Experiment(
    title="MNIST at 16 x 16: RNN, bidirectional, three GRU layers, LSTM, 100 batches each",
    unit="right, %",
    seconds=40,
    data="12 MB",
    reference="PyTorch: RNN 90.6, bidirectional 93.1 or 91.2 (last row), 3 x GRU 94.6, LSTM 90.5",
)
H = 64


def models(o):
    """The networks by name."""

    def both():
        return mr.Bidirectional(mr.RNN(16, H, **o), mr.RNN(16, H, **o))

    return {
        "tanh RNN": lambda: (mr.RNN(16, H, **o), mr.Last(), mr.Linear(H, 10, **o)),
        "bidirectional": lambda: (both(), mr.Last(both=True), mr.Linear(2 * H, 10, **o)),
        "bidirectional, last row": lambda: (both(), mr.Last(), mr.Linear(2 * H, 10, **o)),
        "3 x GRU": lambda: (
            mr.GRU(16, H, **o), mr.GRU(H, H, **o), mr.GRU(H, H, **o), mr.Last(),
            mr.Linear(H, 10, **o),
        ),
        "LSTM": lambda: (mr.LSTM(16, H, **o), mr.Last(), mr.Linear(H, 10, **o)),
    }  # fmt: skip


def run(settings: Settings) -> Result:
    """Train all, draw ``mnist16.png`` into ``out``; returns the accuracy by model and part.

    epochs: of 100 batches.
    """
    seed, _, epochs, quick, progress = settings
    (train, y), (test, y_test) = images.mnist(progress)
    n, steps = (2000, 4) if quick else (len(y), 100)
    x, x_test = (
        np.moveaxis(images.smaller(part[:n], 16), 1, 0).astype(np.float32) / 255
        for part in (train, test)
    )
    y, y_test = y[:n], y_test[:n]
    result, curves = {}, {}
    for name in models({}):
        rng = np.random.default_rng(seed)
        model = mr.Sequential(*models({"rng": rng, "dtype": np.float32})[name]())
        curves[name] = []

        def some(rng):
            for _ in range(steps):
                chosen = rng.integers(0, len(y), 500)
                yield x[:, chosen], y[chosen]

        loss_fn = recording(curves[name])
        mr.fit(model, loss_fn, some, mr.Adam(0.01), epochs or 1, rng=rng, progress=progress)
        result[name] = scores(model, (x[:, :10000], y[:10000]), (x_test, y_test))
    result |= image_baselines((x, y), (x_test, y_test), 1, rng, 500, 0.01)
    settings.draw(draw, curves)
    return result


def draw(out, curves):
    from minirnn import plot

    ax = plot.curves(curves, "batch of 500 images", "cross-entropy, nats")
    plot.save(ax, out / "mnist16.png")
