"""Forecast airline passengers: the classic LSTM, naive forecasts, and what it takes to beat them.

``classic`` is the experiment of many introductions: values scaled by mean and standard deviation,
the first 80 % for training, windows of 5 months, an LSTM of 100 units that predicts the next
month at every step. It does about as well as "next month will be like this month".

``seasonal`` predicts what those naive forecasts leave over. With y the passengers, the growth over
the year ``u[t] = log y[t] - log y[t-12]`` has no trend and no season; an LSTM sees the last 6
months of it and predicts its change. The number of epochs is chosen on the last two years *of the
training part*; the test months decide nothing.
"""

import numpy as np

import minirnn as mr
from minirnn.datasets import airline
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="monthly airline passengers: one step ahead and free-running, and naive forecasts",
    unit="RMSE, thousand passengers",
    seconds=3,
    reference="Keras, look-back 1: 52.5 (48.3 to 57.3)",
    options={
        "protocol": {
            "choices": ("classic", "lookback1"),
            "default": "classic",
            "help": "lookback1: each month from the one before it, an LSTM of 4 units; no picture",
        }
    },
)
YLABEL = "thousand passengers"
WINDOW = 5  # months, of the classic protocol
GROWTH_WINDOW = 6  # months, of the seasonal one
VALIDATION = 24  # months


def run(settings: Settings, protocol: str = "classic") -> Result:
    """Train both, draw ``predictions.png`` and ``hallucinations.png`` into ``out``.

    Returns the RMSE by forecaster and part: "train" (1950-07 to 1958-07), "test" (1959-02 to
    1960-11, the last column of the windows, each month from the 5 before it), "test, 1st column"
    (1958-10 to 1960-07, each from a single month), and "free-running" (all test months, none of
    them seen).
    """
    seed, _, epochs, quick, progress = settings
    months, y = airline.load()
    if protocol == "lookback1":
        return look_back_1(y, epochs or (2 if quick else 100), seed, progress)
    split = int(np.ceil(0.8 * len(y)))  # the first test month
    epochs = epochs or (20 if quick else 300)
    classic = train_classic(y, split, epochs, np.random.default_rng(seed), progress)
    seasonal = train_seasonal(y, split, epochs, np.random.default_rng(seed), progress)
    forecasters = {
        "classic LSTM": classic,
        "seasonal LSTM": seasonal,
        "persistence": lambda t, history: history[t - 1],
        "same month last year": lambda t, history: history[t - 12],
        "last year times its growth": lambda t, h: h[t - 12] * h[t - 1] / h[t - 13],
    }
    last, first = test_months(y, split, column=-1), test_months(y, split, column=0)
    parts = {"train": np.arange(12 + GROWTH_WINDOW, split - 1), "test": last}
    test = np.arange(split, len(y))
    result, free = {}, {}
    for name, f in forecasters.items():
        free[name] = free_run(f, y, split)
        result[name] = {part: rmse(f(t, y), y[t]) for part, t in parts.items()}
        f_first = classic_first(classic) if f is classic else f
        result[name]["test, 1st column"] = rmse(f_first(first, y), y[first])
        result[name]["free-running"] = rmse(free[name], y[test])
    settings.draw(draw, months, y, split, forecasters, free)
    return result


def look_back_1(y, epochs, seed, progress):
    """The other protocol of many programs: scaled to 0..1, the first 67 % for training, each month
    from the one before it, an LSTM of 4 units, one month at a time; and what beats it."""
    split, rng = int(0.67 * len(y)), np.random.default_rng(seed)
    low, high = y.min(), y.max()
    scaled = ((y - low) / (high - low))[:, None]
    model = mr.Sequential(mr.LSTM(1, 4, rng=rng), mr.Last(), mr.Linear(4, 1, rng=rng))
    x, target = scaled[None, : split - 2], scaled[1 : split - 1]

    def one_by_one(rng):
        for k in rng.permutation(len(target)):
            yield x[:, k : k + 1], target[k : k + 1]

    mr.fit(model, mr.mse, one_by_one, mr.Adam(), epochs, rng=rng, progress=progress)
    best = train_seasonal(y, split, 3 * epochs, np.random.default_rng(seed), progress)
    forecasters = {
        "LSTM(4), look-back 1": lambda t, h: (
            low + (high - low) * model.forward((h[None, t - 1, None] - low) / (high - low))[0][:, 0]
        ),
        "seasonal LSTM": best,
        "persistence": lambda t, h: h[t - 1],
        "same month last year": lambda t, h: h[t - 12],
        "last year times its growth": lambda t, h: h[t - 12] * h[t - 1] / h[t - 13],
    }
    train, test = np.arange(1, split - 1), np.arange(split + 1, len(y) - 1)
    late = np.arange(12 + GROWTH_WINDOW, split - 1)  # the others need a year and more
    result = {}
    for k, (name, f) in enumerate(forecasters.items()):
        parts = {"train": late if k else train, "test": test}
        result[name] = {part: rmse(f(t, y), y[t]) for part, t in parts.items()}
    return result


def test_months(y, split, column):
    """The test months that the protocol predicts in a column of its windows.

    As in the classic programs, the windows of the test part lie within it, and there are WINDOW + 1
    fewer of them than test months.
    """
    return split + np.arange(len(y) - split - WINDOW - 1) + np.arange(WINDOW)[column] + 1


def rmse(forecast, actual):
    return float(np.sqrt(np.mean((forecast - actual) ** 2)))


def train_classic(y, split, epochs, rng, progress):
    """Returns a function: the forecasts of months t, each from the ``window`` months before it."""
    mean, std = y[:split].mean(), y[:split].std()
    starts = np.arange(split - WINDOW - 1)
    steps = starts + np.arange(WINDOW)[:, None]  # (T, B)
    x, target = ((y[at][..., None] - mean) / std for at in (steps, steps + 1))
    model = mr.Sequential(mr.LSTM(1, 100, rng=rng), mr.Linear(100, 1, rng=rng))
    mr.fit(model, mr.mse, (x, target), mr.Adam(lr=0.01), epochs, progress=progress)

    def forecast(t, history, window=WINDOW):
        x = history[t - window + np.arange(window)[:, None]][..., None]
        prediction, _, _ = model.forward((x - mean) / std)
        return mean + std * prediction[-1, :, 0]

    return forecast


def classic_first(classic):
    """The first column of the windows: forecasts from one month alone."""
    return lambda t, history: classic(t, history, window=1)


def train_seasonal(y, split, epochs, rng, progress):
    """Returns a function: the forecasts of months t, each from the 18 months before it."""
    u = np.log(y[12:split] / y[: split - 12])
    mean, std = u.mean(), u.std()

    def growth(t, history):
        """The scaled u of the GROWTH_WINDOW months before t, as an input (T, B, 1)."""
        at = t - GROWTH_WINDOW + np.arange(GROWTH_WINDOW)[:, None]
        return ((np.log(history[at] / history[at - 12]) - mean) / std)[..., None]

    def sample(t):
        target = (np.log(y[t] / y[t - 12]) - mean) / std
        x = growth(t, y)
        return x, target[:, None] - x[-1]

    def fit(months, epochs, **options):
        model = mr.Sequential(mr.LSTM(1, 16, rng=rng), mr.Last(), mr.Linear(16, 1, rng=rng))
        model.params["2.W"][...] *= 0.1  # starts near "the growth stays as it is"
        adam = mr.Adam(lr=0.003)
        return model, mr.fit(
            model, mr.mse, sample(months), adam, epochs, progress=progress, **options
        )

    months = np.arange(12 + GROWTH_WINDOW, split)
    early, late = months[:-VALIDATION], months[-VALIDATION:]
    _, history = fit(early, epochs, validation=sample(late), patience=30)
    model, _ = fit(months, history.best_epoch + 1)

    def forecast(t, history):
        x = growth(t, history)
        change, _, _ = model.forward(x)
        return history[t - 12] * np.exp(mean + std * (x[-1] + change)[:, 0])

    return forecast


def free_run(forecast, y, split):
    """From the first test month on, every forecast becomes the input of the next."""
    history = y.copy()
    history[split:] = np.nan  # so that no true value can slip in
    for t in range(split, len(y)):
        history[t] = forecast(np.array([t]), history)[0]
    return history[split:]


def draw(out, months, y, split, forecasters, free):
    import matplotlib.pyplot as plt

    from minirnn import plot

    when = months.astype("datetime64[D]")
    seen = np.arange(12 + GROWTH_WINDOW, len(y))
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(10, 6.5), height_ratios=(2, 1), sharex=True, layout="constrained"
    )
    lines = {name: forecasters[name](seen, y) for name in ("classic LSTM", "seasonal LSTM")}
    plot.forecast(
        when, y, {n: (when[seen], f) for n, f in lines.items()}, when[split], YLABEL, upper
    )
    upper.set_title("One step ahead: every month forecast from the true months before it")
    errors = {name: (when[seen], f - y[seen]) for name, f in lines.items()}
    plot.forecast(when, 0 * y, errors, when[split], "forecast - actual", lower)
    lower.get_legend().remove()
    plot.save(figure, out / "predictions.png")

    names = ("classic LSTM", "seasonal LSTM", "same month last year")
    runs, shown = {name: (when[split:], free[name]) for name in names}, slice(split - 36, None)
    figure, ax = plt.subplots(figsize=(10, 4.5), layout="constrained")
    plot.forecast(when[shown], y[shown], runs, when[split], YLABEL, ax)
    ax.set_title("Free-running: from the split on, every forecast is made of forecasts")
    plot.save(figure, out / "hallucinations.png")
