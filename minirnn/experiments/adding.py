"""The adding problem: which cell can remember two numbers over a hundred steps?

A sequence of 100 random numbers in 0..1, two of them marked, one in each half; the answer is their
sum (Hochreiter & Schmidhuber 1997). Always answering 1 has a mean squared error of 1/6 = 0.167; a
network that finds the marked numbers gets near 0. All cells have 64 units, Adam, gradients clipped
to norm 1, and new sequences in every batch. The test set is 2000 sequences that were not in the
training.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import synthetic
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="the adding problem of length 100: tanh RNN, LSTM and GRU",
    unit="mean squared error",
    digits=".4f",
    seconds=75,
    reference="0.005 for LSTM and GRU, 0.167 for always 1",
)
T, H, BATCH, EPOCH = 100, 64, 64, 100  # steps, units, sequences a batch, batches an epoch
CELLS = {"tanh RNN": mr.RNN, "LSTM": mr.LSTM, "GRU": mr.GRU}


def run(settings: Settings) -> Result:
    """Train the three cells, draw ``adding.png`` into ``out``; returns the test error by model."""
    seed, _, epochs, quick, progress = settings
    epochs = epochs or (1 if quick else 20)
    x, target = synthetic.adding(np.random.default_rng([seed, 1]), T, 2000)
    result, curves = {}, {}
    for name, cell in CELLS.items():
        rng = np.random.default_rng(seed)
        options = {"rng": rng, "dtype": np.float32}
        model = mr.Sequential(cell(2, H, **options), mr.Last(), mr.Linear(H, 1, **options))
        history = mr.fit(
            model, mr.mse, batches, mr.Adam(), epochs, validation=(x, target),
            schedule=mr.cosine(0.01, epochs), max_norm=1.0, rng=rng, progress=progress,
        )  # fmt: skip
        curves[name] = history.val_loss
        result[name] = {"test": history.val_loss[-1]}
    result["always answer 1"] = {"test": float(np.mean((target - 1) ** 2))}
    settings.draw(draw, curves, result["always answer 1"]["test"])
    return result


def batches(rng):
    for _ in range(EPOCH):
        yield synthetic.adding(rng, T, BATCH)


def draw(out, curves, baseline):
    from minirnn import plot

    ax = plot.losses(curves)
    ax.axhline(baseline, color="grey", linewidth=1, label="always answer 1")
    ax.legend(frameon=False)
    ax.set_ylabel("mean squared error on the test set")
    ax.set_title(f"The adding problem, {T} steps")
    plot.save(ax, out / "adding.png")
