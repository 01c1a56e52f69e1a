"""The toy of many introductions: three short series, their running sums of two, and a saved model.

Each answer is the sum of a number and the one before it: 1 2 5 6 gives 1 3 7 11. An LSTM of 10
units learns it from three series in 1000 steps of Adam, is saved to a file, loaded by *another
process*, and gets two new series, whose answers are 1 3 5 7 and 4 9 11 13.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import minirnn as mr
from minirnn.cells.initializers import glorot_uniform
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="three series of four numbers: train, save, load elsewhere, predict two new ones",
    unit="RMSE",
    digits=".2f",
    seconds=5,
    reference="PyTorch, 10 seeds: 0.53 (0.36 to 0.81) at 0.001, 0.49 at 0.01",
)
X = np.array([[1, 2, 5, 6], [5, 7, 7, 8], [3, 4, 5, 7]], float).T[..., None]
Y = np.array([[1, 3, 7, 11], [5, 12, 14, 15], [3, 7, 9, 12]], float).T[..., None]
X_NEW = np.array([[1, 2, 3, 4], [4, 5, 6, 7]], float).T[..., None]
Y_NEW = np.array([[1, 3, 5, 7], [4, 9, 11, 13]], float).T[..., None]
PREDICT = """
import sys
import numpy as np, minirnn as mr
from minirnn.experiments.series_predictor import X_NEW
y, _, _ = mr.load(sys.argv[1]).forward(X_NEW)
print(*y.ravel().tolist())
"""


def run(settings: Settings) -> Result:
    """Train with two learning rates, draw ``series-predictor.png`` into ``out``; returns the RMSE
    by model and part."""
    seed, _, epochs, quick, progress = settings
    result, predictions = {}, {}
    for lr in (1e-3, 1e-2):
        rng = np.random.default_rng(seed)
        model = make(rng)
        steps = epochs or (50 if quick else 1000)
        mr.fit(model, mr.mse, (X, Y), mr.Adam(lr), steps, progress=progress)
        y = elsewhere(model)
        predictions[f"LSTM(10), lr {lr:g}"] = y
        result[f"LSTM(10), lr {lr:g}"] = {
            "train": rmse(model.forward(X)[0] - Y), "test": rmse(y - Y_NEW)
        }  # fmt: skip
    for name, f in (("the number itself", 1), ("twice the number", 2)):
        result[name] = {"train": rmse(f * X - Y), "test": rmse(f * X_NEW - Y_NEW)}
    settings.draw(draw, predictions)
    return result


def make(rng):
    """The network with the weights of the classic program: Glorot uniform over all gates at once,
    standard normal at the output, which is to grow to 15."""
    model = mr.Sequential(mr.LSTM(1, 10, forget_bias=0, rng=rng), mr.Linear(10, 1, rng=rng))
    for name in ("0.W_x", "0.W_h"):
        p = model.params[name]
        p[...] = glorot_uniform(rng, *p.shape)
    for name in ("1.W", "1.b"):
        p = model.params[name]
        p[...] = rng.normal(size=p.shape)
    return model


def elsewhere(model):
    """Save the model, and let a new process load it and predict."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.npz"
        mr.save(model, file)
        done = subprocess.run(
            [sys.executable, "-c", PREDICT, str(file)], capture_output=True, text=True, check=True
        )
    return np.array(done.stdout.split(), float).reshape(Y_NEW.shape)


def rmse(error):
    return float(np.sqrt(np.mean(error**2)))


def draw(out, predictions):
    import matplotlib.pyplot as plt

    from minirnn import plot

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    for b, (ax, series) in enumerate(zip(axes, ("1 2 3 4", "4 5 6 7"), strict=True)):
        lines = {"right answer": Y_NEW[:, b, 0]} | {n: y[:, b, 0] for n, y in predictions.items()}
        plot.curves(lines, "step", "answer", log=False, ax=ax)
        ax.set_title(f"{series}, not in training")
    plot.save(figure, out / "series-predictor.png")
