"""Output recurrence against hidden recurrence: what a step gets from the step before.

The task: a wave whose frequency is given at every step, 60 steps of sin(f t + p) after its first
value. ``OutputRNN`` gets the previous *output* only. With teacher forcing this is the true one, so
that its steps do not wait for each other and training needs no loop over time. ``RNN`` gets its
previous hidden state. One step ahead, each sees the true values up to then; free-running it sees
none. Scheduled sampling (Bengio et al. 2015) trains with the network's own outputs more and more
often.

A sine needs two numbers of the past, its value and its direction; the output is one number. So
output recurrence cannot be exact here, and free-running shows it.
"""

import time

import numpy as np

import minirnn as mr
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="output recurrence: teacher forcing, free running, and training without a loop",
    unit="MSE, or ms",
    digits=".4f",
    seconds=30,
    reference="the value before",
)
T, B, H = 60, 64, 32


def waves(rng, B=B):
    """Inputs (T, B, 1), the frequency, and outputs (T, B, 2): the sine, and the cosine."""
    f, p = rng.uniform(0.1, 0.4, B), rng.uniform(0, 2 * np.pi, B)
    t = np.arange(T + 1)[:, None]
    y = np.stack([np.sin(f * t + p), np.cos(f * t + p)], axis=-1)
    return np.broadcast_to(f * 5 - 1.25, (T, B))[..., None].copy(), y


def run(settings: Settings) -> Result:
    """Train all, draw ``output-recurrence.png`` into ``out``; returns the errors and the time of a
    training step by model."""
    seed, _, epochs, quick, progress = settings
    batches = 50 * (epochs or (1 if quick else 60))
    x, wave = waves(np.random.default_rng([seed, 1]), 500)
    result, shown = {}, {}
    for name, K, forcing in (
        ("output, forced", 1, lambda share: 1.0),
        ("output, sampled", 1, lambda share: 1 - share),
        ("output, free", 1, lambda share: 0.0),
        ("two outputs, forced", 2, lambda share: 1.0),
        ("hidden", 1, None),
    ):
        rng = np.random.default_rng(seed)
        model = make(name, K, rng)
        seconds = train(model, K, forcing, batches, rng)
        one, free = forecasts(model, x, wave[..., :K], forcing)
        result[name] = {
            "one step": float(np.mean((one[..., 0] - wave[1:, :, 0]) ** 2)),
            "free-running": float(np.mean((free[..., 0] - wave[1:, :, 0]) ** 2)),
            "ms a training step": 1e3 * seconds / batches,
        }
        shown[name] = free[:, 0, 0]
    last = wave[:-1, :, 0] - wave[1:, :, 0]
    result["the value before"] = {
        "one step": float(np.mean(last**2)),
        "free-running": float(np.mean((wave[:1, :, 0] - wave[1:, :, 0]) ** 2)),
    }
    settings.draw(draw, shown, wave[1:, 0, 0])
    return result


def make(name, K, rng):
    """OutputRNN, or an RNN that gets the first value as an input of the first step."""
    if name == "hidden":
        return mr.Sequential(mr.RNN(2, H, rng=rng), mr.Linear(H, K, rng=rng))
    return mr.OutputRNN(1, H, K, rng=rng)


def inputs(x, y):
    """What the RNN sees: the frequency, and at the first step the value before it."""
    before = np.where(np.arange(T)[:, None, None] < 1, y[:-1], 0)
    return np.concatenate([x, before], axis=-1)


def train(model, K, forcing, batches, rng):
    """Returns the seconds that the training steps took."""
    optimizer, schedule, seconds = mr.Adam(), mr.cosine(0.005, batches), 0.0
    for batch in range(batches):
        optimizer.lr = schedule(batch)
        x, wave = waves(rng)
        y = wave[..., :K]
        started = time.perf_counter()
        if forcing is None:
            out, _, cache = model.forward(inputs(x, y))
        else:
            model.teacher_forcing = forcing(batch / batches)
            out, _, cache = model.forward((x, y[1:]), y[0], training=True, rng=rng)
        _, dy = mr.mse(out, y[1:])
        _, _, grads = model.backward(dy, cache)
        mr.clip_grad_norm(grads, 1.0)
        optimizer.step(model.params, grads)
        seconds += time.perf_counter() - started
    return seconds


def forecasts(model, x, y, forcing):
    """One step ahead and free-running, each (T, B, K)."""
    if forcing is None:  # trained to run free: it sees the first value only
        free, _, _ = model.forward(inputs(x, y))
        return free, free
    model.teacher_forcing = 1.0
    return model.forward((x, y[1:]), y[0])[0], model.forward(x, y[0])[0]


def draw(out, shown, truth):
    from minirnn import plot

    ax = plot.curves(shown, "step", "value, free-running", log=False)
    ax.plot(np.arange(1, T + 1), truth, color="0.6", lw=3, zorder=0, label="true wave")
    ax.legend(frameon=False, fontsize=8)
    plot.save(ax, out / "output-recurrence.png")
