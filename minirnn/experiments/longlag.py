"""Which networks still learn when the lag gets long? Three tasks, one way to train.

``copy``: remember ten symbols over a pause, and write them down again. ``temporal-order``: in which
order came two symbols, X or Y each, among noise? Four classes: chance is 25 %. ``parity``: is the
number of ones among some bits even or odd? Chance is 50 %. It is the one task here in which *every*
step matters: overlook one bit, and the answer is a coin toss. Trained on long sequences alone,
none of the networks learns anything; so each batch has a length drawn from 1 to the one that is
tested. The tasks are in ``datasets.synthetic``.

Every network has 64 units and a linear layer, float32, Adam, batches of 64 new sequences. ``LSTM,
truncated`` is trained with gradients through the last 10 steps only; ``tanh RNN, not clipped``
without a bound on the gradient's norm, which is 1 for all others.
"""

import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

import minirnn as mr
from minirnn.datasets.synthetic import copy_memory, parity, temporal_order
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENTS = {
    "copy": Experiment(
        title="ten symbols to be remembered over a pause: success against lag",
        unit="cross-entropy, nats a step",
        digits=".4f",
        seconds=700,
        reference="without memory 0.1733 at lag 100",
    ),
    "temporal-order": Experiment(
        title="the order of two symbols among noise: success against lag",
        unit="right, %",
        seconds=180,
        reference="lag 50: LSTM 100, tanh RNN 25",
    ),
    "parity": Experiment(
        title="even or odd? success against length",
        unit="right, %",
        seconds=120,
        reference="50 is chance",
    ),
}
H, BATCH, TRUNCATED = 64, 64, 10
MODELS: dict[str, Any] = {
    "tanh RNN": mr.RNN,
    "tanh RNN, not clipped": mr.RNN,
    "GRU": mr.GRU,
    "LSTM": mr.LSTM,
    "LSTM, truncated": mr.LSTM,
}


def percent_right(logits, target, mask):
    """The percentage of right answers, where there is one to give."""
    return 100 * float(np.mean((logits.argmax(axis=-1) == target)[mask]))


def nats(logits, target, mask):
    """Cross-entropy."""
    return mr.softmax_cross_entropy(logits, target, mask=mask)[0]


def shorter_parity(rng, lag, B):
    """The task with 1 to ``lag`` bits."""
    return parity(rng, int(rng.integers(1, lag + 1)), B)


class Task(NamedTuple):
    tested: Callable  # a function of (rng, lag, B) that draws x, target, mask
    trained: Callable  # the same for the training
    lags: tuple[int, ...]
    classes: int
    score: Callable  # a function of (logits, target, mask)
    without_memory: Callable[[int], float]  # the score at a lag of a network that forgets all
    epochs: int  # of 100 batches
    lr: float


TASKS = {
    "copy": Task(
        copy_memory, copy_memory, (10, 30, 100), 10, nats,
        lambda lag: 10 * math.log(8) / (lag + 20), 40, 0.01),
    "temporal-order": Task(
        temporal_order, temporal_order, (20, 50, 100), 4, percent_right,
        lambda lag: 100 / 4, 10, 0.005),
    "parity": Task(
        parity, shorter_parity, (5, 10, 20, 40), 2, percent_right,
        lambda lag: 100 / 2, 15, 0.005),
}  # fmt: skip


def run(settings: Settings, name: str) -> Result:
    """Train all models for all lags of the task of this name, draw a picture of that name into
    ``out``; returns the score by model and lag. epochs: of 100 batches."""
    from tqdm import tqdm

    seed, _, epochs, quick, progress = settings
    task = TASKS[name]
    lags, batches = (task.lags[:1], 3) if quick else (task.lags, 100 * (epochs or task.epochs))
    result: Result = {model: {} for model in MODELS}
    disable = None if progress is None else not progress
    with tqdm(total=len(lags) * len(MODELS) * batches, disable=disable, unit="batch") as bar:
        for lag in lags:
            x, target, mask = task.tested(np.random.default_rng([seed, 1]), lag, 500)
            for kind, cell in MODELS.items():
                bar.set_description(f"{kind}, lag {lag}")
                o = {"rng": (rng := np.random.default_rng(seed)), "dtype": np.float32}
                model = mr.Sequential(cell(x.shape[2], H, **o), mr.Linear(H, task.classes, **o))
                with suppress(FloatingPointError):  # it has exploded: its score says so
                    train(model, task, lag, kind, batches, rng, bar)
                y, _, _ = model.forward(x)
                result[kind][f"lag {lag}"] = task.score(y, target, mask)
    result["without memory"] = {f"lag {lag}": task.without_memory(lag) for lag in lags}
    settings.draw(draw, name, lags, result)
    return result


def train(model, task, lag, kind, batches, rng, bar):
    optimizer, k = mr.Adam(), TRUNCATED
    schedule = mr.cosine(task.lr, batches)
    for batch in range(batches):
        optimizer.lr = schedule(batch)
        x, target, mask = task.trained(rng, lag, BATCH)
        arguments = (model, mr.softmax_cross_entropy, x, target)
        steps = (
            mr.truncated_bptt(*arguments, k, k, mask=mask)
            if "truncated" in kind
            else [mr.bptt(*arguments, mask=mask)]
        )
        for loss, grads, _ in steps:
            norm = mr.clip_grad_norm(grads, np.inf if "not clipped" in kind else 1.0)
            if not (np.isfinite(loss) and np.isfinite(norm)):
                raise FloatingPointError(f"batch {batch}: loss {loss}, gradient {norm}")
            optimizer.step(model.params, grads)
        bar.update()


def draw(out, name, lags, result):
    """Score against lag for all models, and without memory."""
    from minirnn import plot

    lines = {model: list(result[model].values()) for model in MODELS}
    ax = plot.curves(lines, "lag, steps", EXPERIMENTS[name].unit, x=list(lags), log=False)
    ax.plot(
        lags, list(result["without memory"].values()), color="grey", lw=1, label="without memory"
    )
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    plot.save(ax, out / f"{name}.png")
