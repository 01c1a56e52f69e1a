"""MNIST row by row: 28 steps of 28 pixels, one answer.

``classic`` is the protocol of many introductions: an LSTM of 30 units, RMSProp, batches of 128, ten
epochs. ``GRU 128`` is what reaches 98.5 % in a few minutes: more units, Adam with a falling
learning rate, clipped gradients, dropout before the answer. Beside them: one linear layer that sees
all 784 pixels at once, and the most frequent class.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

import minirnn as mr
from minirnn.datasets import batches, images
from minirnn.experiments.common import (
    accuracy,
    in_order,
    logistic_regression,
    most_frequent,
    rows,
)

TITLE = "MNIST read row by row: LSTM(30) as in the books, and 98.5 % with GRU(128)"
SECONDS = 120
REFERENCE = "Keras 96.7 (96.1 to 97.0) for LSTM(30)"
UNIT = "right, %"
DIGITS = ".2f"


def run(
    seed: int = 0,
    out: Path | None = None,
    epochs: int | None = None,
    quick: bool = False,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train both, draw ``mnist-rows.png`` into ``out``; returns accuracy and seconds by model."""
    (train, y), (test, y_test) = images.mnist(progress)
    n = 2000 if quick else len(y)
    x, y, x_test, y_test = rows(train[:n]), y[:n], rows(test[:n]), y_test[:n]
    result, curves = {}, {}
    for name, (cell, H, optimizer, size, default) in {
        "classic LSTM(30)": (mr.LSTM, 30, mr.RMSProp(1e-3), 128, 10),
        "GRU(128)": (mr.GRU, 128, mr.Adam(), 128, 8),
    }.items():
        rng = np.random.default_rng(seed)
        o, k = {"rng": rng, "dtype": np.float32}, epochs or (1 if quick else default)
        classic = isinstance(optimizer, mr.RMSProp)
        end = (mr.Last(),) if classic else (mr.Last(), mr.Dropout(0.3))
        model = mr.Sequential(cell(28, H, **o), *end, mr.Linear(H, 10, **o))
        started = time.perf_counter()
        history = mr.fit(
            model, mr.softmax_cross_entropy,
            lambda rng, size=size: batches.shuffled(x, y, size, rng), optimizer, k,
            schedule=None if classic else mr.cosine(0.006, k), max_norm=None if classic else 1.0,
            rng=rng, progress=progress,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        curves[name] = history.loss
        parts = {"train": in_order(x, y), "test": in_order(x_test, y_test)}
        result[name] = {part: accuracy(model, data) for part, data in parts.items()}
        result[name]["seconds"] = seconds
    linear = logistic_regression((x, y), (x_test, y_test), 10, 1 if quick else 5, rng)
    result["linear layer, all pixels"] = linear
    frequent = {"train": most_frequent(y, y), "test": most_frequent(y, y_test)}
    result["most frequent digit"] = frequent
    if out is not None:
        from minirnn import plot

        out.mkdir(parents=True, exist_ok=True)
        ax = plot.losses(curves)
        ax.set_ylabel("cross-entropy of the training part, nats")
        plot.save(ax, out / "mnist-rows.png")
    return result
