"""MNIST pixel by pixel: 784 steps of one number each (Le et al. 2015, arXiv:1504.00941).

An LSTM of 128 units whose gates start at the time scale of the image (chrono initialisation, Tallec
& Ollivier 2018), and the relu RNN of 100 units that starts as the identity (IRNN), trained for 20
minutes in all: an epoch of the RNN takes a fifth of the LSTM's time, so it gets 16 epochs and the
LSTM 3. Published after long training: LSTM about 98 %, IRNN 95 to 97 %. To compare with: one
linear layer that sees all pixels at once, and the most frequent class.
"""

import time

import numpy as np

import minirnn as mr
from minirnn.cells.initializers import chrono, identity
from minirnn.datasets import batches, images
from minirnn.experiments import Experiment, Result, Settings
from minirnn.experiments.common import accuracy, image_baselines, in_order, recording, rows

EXPERIMENT = Experiment(
    title="MNIST pixel by pixel, 784 steps: LSTM with chrono and RNN with identity start",
    unit="right, %",
    seconds=1200,
    data="12 MB",
    reference="published, after long training: LSTM 98, IRNN 95 to 97",
)
EPOCHS = {"LSTM(128), chrono": 3, "IRNN(100)": 16}


def make(name, o):
    """The network, and its learning rate."""
    if name.startswith("LSTM"):
        cell, H, lr = mr.LSTM(1, 128, **o), 128, 2e-3
        chrono(cell, 784, o["rng"])
    else:
        cell, H, lr = mr.RNN(1, 100, "relu", **o), 100, 2e-4
        cell.params["W_h"][...] = identity(H)
        cell.params["W_x"][...] = o["rng"].normal(scale=1e-3**0.5, size=(1, H))
    return mr.Sequential(cell, mr.Last(), mr.Linear(H, 10, **o)), lr


def run(settings: Settings) -> Result:
    """Train both, draw ``pixel-mnist.png`` into ``out``; returns accuracy and seconds by model."""
    seed, _, epochs, quick, progress = settings
    (train, y), (test, y_test) = images.mnist(progress)
    n = 200 if quick else len(y)

    def pixels(part):
        return part.reshape(len(part), 784, 1, 1)[:, :, 0]

    x, y, x_test, y_test = rows(pixels(train[:n])), y[:n], rows(pixels(test[:n])), y_test[:n]
    result, curves = {}, {}
    for name, default in EPOCHS.items():
        k = epochs or (1 if quick else default)
        rng = np.random.default_rng(seed)
        model, lr = make(name, {"rng": rng, "dtype": np.float32})
        started, losses = time.perf_counter(), []
        mr.fit(
            model, recording(losses), lambda rng: batches.shuffled(x, y, 100, rng), mr.Adam(),
            k, schedule=mr.cosine(lr, k), max_norm=1.0, rng=rng, progress=progress,
        )  # fmt: skip
        curves[name] = np.array(losses).reshape(-1, min(20, len(losses))).mean(axis=1)
        result[name] = {"test": accuracy(model, in_order(x_test, y_test))}
        result[name]["seconds"] = time.perf_counter() - started
    baselines = image_baselines((x, y), (x_test, y_test), 1 if quick else 5, rng)
    result |= {name: {"test": own["test"]} for name, own in baselines.items()}
    settings.draw(draw, curves)
    return result


def draw(out, curves):
    from minirnn import plot

    ax = plot.curves(curves, "20 batches of 100", "cross-entropy, nats", log=False)
    plot.save(ax, out / "pixel-mnist.png")
