"""What the experiments with long lags share: which network still learns how long a lag.

Every network has 64 units and a linear layer, float32, Adam, batches of 64 new sequences. ``LSTM,
truncated`` is trained with gradients through the last 10 steps only; ``tanh RNN, not clipped``
without a bound on the gradient's norm, which for all others is 1.
"""

from contextlib import suppress
from typing import Any

import numpy as np

import minirnn as mr

H, BATCH, TRUNCATED = 64, 64, 10
MODELS: dict[str, Any] = {
    "tanh RNN": mr.RNN,
    "tanh RNN, not clipped": mr.RNN,
    "GRU": mr.GRU,
    "LSTM": mr.LSTM,
    "LSTM, truncated": mr.LSTM,
}


def sweep(task, lags, classes, score, batches, lr, seed, progress, practice=None):
    """Train every model for every lag; returns {model: {lag: score}}.

    task: a function (rng, lag, B) to x, target, mask; practice: another one to train with. score: a
    function (logits, target, mask).
    """
    from tqdm import tqdm

    result: dict[str, dict[str, float]] = {name: {} for name in MODELS}
    disable = None if progress is None else not progress
    with tqdm(total=len(lags) * len(MODELS) * batches, disable=disable, unit="batch") as bar:
        for lag in lags:
            x, target, mask = task(np.random.default_rng([seed, 1]), lag, 500)
            for name, cell in MODELS.items():
                bar.set_description(f"{name}, lag {lag}")
                o = {"rng": (rng := np.random.default_rng(seed)), "dtype": np.float32}
                model = mr.Sequential(cell(x.shape[2], H, **o), mr.Linear(H, classes, **o))
                with suppress(FloatingPointError):  # it has exploded: its score says so
                    train(model, practice or task, lag, name, batches, lr, rng, bar)
                y, _, _ = model.forward(x)
                result[name][f"lag {lag}"] = score(y, target, mask)
    return result


def train(model, task, lag, name, batches, lr, rng, bar):
    optimizer, k = mr.Adam(), TRUNCATED
    schedule = mr.cosine(lr, batches)
    for batch in range(batches):
        optimizer.lr = schedule(batch)
        x, target, mask = task(rng, lag, BATCH)
        arguments = (model, mr.softmax_cross_entropy, x, target)
        steps = (
            mr.truncated_bptt(*arguments, k, k, mask=mask)
            if "truncated" in name
            else [mr.bptt(*arguments, mask=mask)]
        )
        for loss, grads, _ in steps:
            norm = mr.clip_grad_norm(grads, np.inf if "not clipped" in name else 1.0)
            if not (np.isfinite(loss) and np.isfinite(norm)):
                raise FloatingPointError(f"batch {batch}: loss {loss}, gradient {norm}")
            optimizer.step(model.params, grads)
        bar.update()


def percent_right(logits, target, mask):
    """The percentage of the answers that count which are right."""
    return 100 * float(np.mean((logits.argmax(axis=-1) == target)[mask]))


def nats(logits, target, mask):
    """Cross-entropy."""
    return mr.softmax_cross_entropy(logits, target, mask=mask)[0]


def draw(out, name, result, ylabel, baseline):
    """Score against lag for all models, and the baseline."""
    from minirnn import plot

    out.mkdir(parents=True, exist_ok=True)
    lags = [int(lag.split()[1]) for lag in result["LSTM"]]
    lines = {model: list(result[model].values()) for model in MODELS}
    ax = plot.curves(lines, "lag, steps", ylabel, x=lags, log=False)
    base = [baseline[f"lag {lag}"] for lag in lags]
    ax.plot(lags, base, color="grey", lw=1, label="without memory")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    plot.save(ax, out / f"{name}.png")
