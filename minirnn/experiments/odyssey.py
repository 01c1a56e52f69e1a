"""What each part of an LSTM is worth: the ablation of Greff et al. (2017), in small.

The adding problem with 50 steps and 12 units. Each variant lacks one part: input, forget or output
gate (NIG, NFG, NOG), input or output activation (NIAF, NOAF), peepholes (NP); or has the forget
gate coupled to the input gate (CIFG); V is the full one. All have the same data, learning rate and
initial weights. The paper says that the forget gate and the output activation matter most. One run
says little: every figure is the median of five (``--seeds 5`` gives mean and range of the medians).
"""

import numpy as np

import minirnn as mr
from minirnn.cells.lstm_variants import VARIANTS
from minirnn.datasets.synthetic import adding
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="the LSTM with one part taken away, on the adding problem",
    unit="test MSE",
    digits=".4f",
    seconds=60,
    reference="CIFG .0010, NIAF .0021, V .0033, NP .0034, NFG .0036, NOAF .0050, NOG .0069, "
    "NIG .0115",
)
T, H, BATCH, EPOCH, SEEDS = 50, 12, 32, 100, 5


def run(settings: Settings) -> Result:
    """Train all variants with several seeds, draw ``odyssey.png`` into ``out``; returns the median,
    lowest and highest test error by variant. epochs: of 100 batches."""
    seed, _, epochs, quick, progress = settings
    from tqdm import tqdm

    epochs, seeds = epochs or (1 if quick else 25), 2 if quick else SEEDS
    result, found = {}, {}
    disable = None if progress is None else not progress
    for variant in tqdm(VARIANTS, disable=disable):
        found[variant] = sorted(
            error(variant, 1000 * seed + k, epochs, 5 if quick else EPOCH) for k in range(seeds)
        )
        errors = found[variant]
        result[variant] = {
            "median": float(np.median(errors)), "lowest": errors[0], "highest": errors[-1]
        }  # fmt: skip
    _, target = adding(np.random.default_rng([seed, 1]), T, 2000)
    result["always answer 1"] = {"median": float(np.mean((target - 1) ** 2))}
    settings.draw(draw, found)
    return result


def error(variant, seed, epochs, batches):
    """Test error of one run."""
    rng = np.random.default_rng(seed)
    model = mr.Sequential(
        mr.LSTMVariant(2, H, variant, rng=rng), mr.Last(), mr.Linear(H, 1, rng=rng)
    )
    mr.fit(
        model, mr.mse, lambda rng: (adding(rng, T, BATCH) for _ in range(batches)), mr.Adam(),
        epochs, schedule=mr.cosine(0.01, epochs), max_norm=1.0, rng=rng, progress=False,
    )  # fmt: skip
    x, target = adding(np.random.default_rng([seed, 1]), T, 2000)
    return mr.mse(model.forward(x)[0], target)[0]


def draw(out, found):
    """Every run as a point, the medians as lines."""
    import matplotlib.pyplot as plt

    from minirnn import plot

    names = sorted(found, key=lambda v: np.median(found[v]))
    figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
    for k, name in enumerate(names):
        ax.plot([k] * len(found[name]), found[name], "o", color="0.5", ms=5, mec="white")
        ax.hlines(np.median(found[name]), k - 0.35, k + 0.35, color="k")
    ax.set_xticks(range(len(names)), names)
    ax.set_yscale("log")
    ax.set_ylabel("test MSE (line: median)")
    ax.set_title(f"The adding problem, {T} steps, {H} units: one part taken away")
    plot.save(figure, out / "odyssey.png")
