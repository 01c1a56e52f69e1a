"""A share's price one day ahead, and why a network is worse at it than doing nothing.

``classic`` is what many introductions do: the mean of open, high, low and close of Microsoft,
2012 to 2017, scaled to 0..1 by the minimum and maximum (of the whole series, as those programs do,
though the future's are not known), the first 70 % for training, an LSTM of 25 units with Keras'
initial weights that gets yesterday's price, five epochs, one day at a time in their order. It is
far off where the price is higher than it ever was in training: its hidden units, each within -1..1,
have nothing to say there. ``classic, shuffled`` is the same with the days in random order.

``change`` predicts the change instead, from the last ten changes, all divided by their standard
deviation in training: whatever the price, its inputs look like those of the training part. It is as
good as persistence, "tomorrow equals today", and a little better for a reason that earns nothing:
the mean of a day is behind its close, so that changes of daily means are correlated (Working 1960).
Do not expect to beat persistence by more: if yesterday's prices could predict tomorrow's, somebody
would have traded on it. ``drift`` is persistence plus the mean change in training.

Put the prices into msft/MSFT_2012_2017.csv in the folder MINIRNN_DATA: one line a day from
2012-01-03 to 2017-12-29, with the columns Date, Open, High, Low, Close.
"""

import numpy as np

import minirnn as mr
from minirnn.cells.initializers import glorot_uniform
from minirnn.datasets import batches, stock
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="a share's price one day ahead: the classic LSTM, and why persistence beats it",
    unit="RMSE, dollars",
    digits=".2f",
    seconds=10,
    data="by hand",
    reference="Keras: in order 3.63 (3.42 to 3.77), shuffled 1.25 (0.82 to 2.20); persistence 0.59",
)
WINDOW = 10  # days of changes


def run(settings: Settings) -> Result:
    """Train the three, draw ``stock.png`` into ``out``; returns the RMSE by forecaster and part."""
    seed, _, epochs, quick, progress = settings
    days, price = stock.load(progress)
    split = int(0.7 * len(price))
    epochs = epochs or (1 if quick else 5)
    rng = np.random.default_rng(seed)
    t = np.arange(1, len(price))
    forecasts = {
        "classic": classic(price, split, epochs, False, np.random.default_rng(seed), progress),
        "classic, shuffled": classic(price, split, epochs, True, rng, progress),
        "change": change(price, split, 20 * epochs, np.random.default_rng(seed), progress),
        "drift": price[:-1] + np.mean(np.diff(price[:split])),
        "persistence": price[:-1],
    }
    parts = {"train": (t > WINDOW) & (t < split), "test": t > split}
    result = {
        name: {part: rmse((f - price[1:])[own]) for part, own in parts.items()}
        for name, f in forecasts.items()
    }
    settings.draw(draw, days, price, split, forecasts)
    return result


def rmse(error):
    return float(np.sqrt(np.mean(error**2)))


def classic(price, split, epochs, shuffle, rng, progress):
    """Forecasts of the days 1, 2, ..., each from the price of the day before."""
    low, high = price.min(), price.max()
    scaled = ((price - low) / (high - low))[:, None]
    model = mr.Sequential(mr.LSTM(1, 25, rng=rng), mr.Last(), mr.Linear(25, 1, rng=rng))
    model.params["0.W_x"][...] = glorot_uniform(rng, 1, 100)  # over all gates at once, as Keras
    x, target = scaled[None, : split - 1], scaled[1:split]

    def one_by_one(rng):
        for k in rng.permutation(len(target)) if shuffle else range(len(target)):
            yield x[:, k : k + 1], target[k : k + 1]

    mr.fit(model, mr.mse, one_by_one, mr.Adam(1e-3), epochs, rng=rng, progress=progress)
    y, _, _ = model.forward(scaled[None, :-1])
    return low + (high - low) * y[:, 0]


def change(price, split, epochs, rng, progress):
    """Forecasts of the same days: yesterday's price, and a change predicted from the WINDOW changes
    before it."""
    steps = np.diff(price)
    mean, std = steps[: split - 1].mean(), steps[: split - 1].std()
    scaled = (steps - mean) / std
    ends = np.arange(WINDOW, len(steps))  # of the windows; what follows is the target
    x = scaled[ends - WINDOW + np.arange(WINDOW)[:, None]][..., None]
    target = scaled[ends][:, None]
    train = ends < split - 1
    early, late = np.flatnonzero(train)[:-200], np.flatnonzero(train)[-200:]
    model = mr.Sequential(mr.LSTM(1, 8, rng=rng), mr.Last(), mr.Linear(8, 1, rng=rng))
    model.params["2.W"][...] *= 0.1  # starts near the mean change
    mr.fit(
        model, mr.mse, lambda rng: batches.shuffled(x[:, early], target[early], 32, rng),
        mr.Adam(1e-3, weight_decay=0.1), epochs, validation=(x[:, late], target[late]), patience=5,
        rng=rng, progress=progress,
    )  # fmt: skip
    forecast = price[:-1] + mean
    forecast[ends] += std * model.forward(x)[0][:, 0]
    return forecast


def draw(out, days, price, split, forecasts):
    import matplotlib.pyplot as plt

    from minirnn import plot

    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(10, 6.5), height_ratios=(2, 1), sharex=True, layout="constrained"
    )
    lines = {name: (days[1:], forecasts[name]) for name in ("classic", "classic, shuffled")}
    plot.forecast(days, price, lines, days[split], "dollars", upper)
    upper.axhline(price[:split].max(), color="grey", lw=0.8)
    upper.annotate("highest price in training", (days[5], price[:split].max()), va="bottom")
    upper.set_title("One day ahead: above what was seen in training, the network saturates")
    errors = {name: (days[1:], forecasts[name] - price[1:]) for name in ("change", "persistence")}
    plot.forecast(days, 0 * price, errors, days[split], "forecast - actual, dollars", lower)
    lower.set_title("The model of changes and persistence: hardly a difference")
    plot.save(figure, out / "stock.png")
