# %% [markdown]
# # 9. Forecasting
#
# **The question.** A network forecasts the airline passengers of next month. In the picture its
# line lies nearly on the true one. Its error is about 50 thousand passengers. Is that good?
#
# You need: the LSTM of [chapter 7](07_lstm.ipynb), as a box that reads a sequence. You will cut a
# series into windows, scale it without looking ahead, let a forecaster run on its own forecasts,
# and measure four ways to fool yourself.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets import airline, batches, files, stock

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The series, and three forecasts that cost nothing
#
# There are 144 months, in thousand passengers. The first 80 % are for training. The last 28 months
# are the test, and none of our choices may depend on them.
#
# A score means something only beside another score. Three forecasts need no network at all:
#
# $$\hat y_t = y_{t-1} \qquad\qquad \hat y_t = y_{t-12} \qquad\qquad
# \hat y_t = y_{t-12} \, \frac{y_{t-1}}{y_{t-13}}$$
#
# *Persistence*: as last month. *Season*: as the same month last year. *Season and growth*: the same
# month last year, times the growth over the year that was seen last. To compare errors $e$ with
# those of persistence, $b$, we use the **skill**: the share of the squared error that the forecast
# takes away.
#
# $$\text{skill} = 1 - \frac{\text{mean}(e^2)}{\text{mean}(b^2)}$$
#
# 1 is perfect, 0 is as good as persistence, and below 0 is worse.

# %%
months, y = airline.load()
months = months.astype("datetime64[D]")
N, split = len(y), 116  # the first test month
test = np.arange(split, N)


def rmse(e):
    return np.sqrt(np.mean(e**2))


def skill(e, b):
    return 1 - np.mean(e**2) / np.mean(b**2)


def table(forecasts):
    """Root mean squared error and skill on the test months; several runs are averaged."""
    print(f"{'thousand passengers':<26}  RMSE  skill")
    for name, runs in forecasts.items():
        runs = np.atleast_2d(runs)
        each = [rmse(f - y[test]) for f in runs]
        s = np.mean([skill(f - y[test], y[test - 1] - y[test]) for f in runs])
        spread = f"   ({min(each):.1f} to {max(each):.1f})" if len(runs) > 1 else ""
        print(f"{name:<26} {np.mean(each):5.1f}  {s:5.2f}{spread}")


naive = {
    "persistence": y[test - 1],
    "season": y[test - 12],
    "season and growth": y[test - 12] * y[test - 1] / y[test - 13],
}
table(naive)
plot.forecast(months, y, {}, months[split], "thousand passengers", plt.subplots()[1])
plt.show()
assert np.sort(y[test])[-6:].min() > y[:split].max()

# %% [markdown]
# Across: the months, from 1949 to 1960. Up: passengers. The series grows, and it has a season that
# grows with it. The peaks of the test part are higher than anything before the line.
#
# ## Windows
#
# A network gets pairs: the last `length` values, and the value that comes after them. Out of $N$
# values come $B = N - \text{length}$ pairs:
#
# $$x_{t,b} = s_{b+t} \quad (t = 0 \ldots \text{length}-1) \qquad\qquad
# \text{target}_b = s_{b+\text{length}}$$
#
# **Exercise 1.** Write it. `series` is $(N,)$; return `x` $(\text{length}, B, 1)$, time first with one
# feature, and `target` $(B,)$.


# %% tags=["exercise"]
def cut_windows(series, length):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def cut_windows(series, length):
    B = len(series) - length
    x = np.array([series[t : t + B] for t in range(length)])
    return x[..., None], series[length:]


# %% tags=["check"]
exercises.check(cut_windows)

# %% [markdown]
# ## Scaling
#
# Networks start with weights below 1, and their gates are steep around 0. So the series is scaled
# by the mean and the standard deviation: $s = (y - \text{mean}) / \text{std}$.
# **But the mean of what?** In the real world, at the split, the future is not there yet. So it must
# be the mean of the training part.
#
# **Exercise 2.** `series` is $(N,)$, the training part is everything before index `split`. Return the
# whole series, scaled, and the two numbers `mean` and `std` that undo it.


# %% tags=["exercise"]
def scale(series, split):
    raise NotImplementedError  # your code here: return scaled, mean, std


# %% tags=["solution"]
def scale(series, split):
    mean, std = series[:split].mean(), series[:split].std()
    return (series - mean) / std, mean, std


# %% tags=["check"]
exercises.check(scale)

# %% [markdown]
# ## A picture that looks good
#
# This is the network of many introductions: an LSTM reads the window, and a linear layer makes the
# forecast from its last state, $\hat s = h_T W + b$. We begin with windows of a single month. (The
# notebook does not need your answers. It cuts its windows with a function of NumPy.)


# %%
def pairs(s, length):
    x = np.lib.stride_tricks.sliding_window_view(s[:-1], length).T
    return x[..., None], s[length:, None]


def train(s, length, split, seed, units=32, epochs=200):
    """An LSTM that forecasts s[t] from the length values before it, for t < split."""
    rng = np.random.default_rng(seed)
    model = mr.Sequential(mr.LSTM(1, units, rng=rng), mr.Last(), mr.Linear(units, 1, rng=rng))
    x, target = pairs(s[:split], length)
    mr.fit(model, mr.mse, (x, target), mr.Adam(lr=0.01), epochs, progress=False)
    return model


mean, std = y[:split].mean(), y[:split].std()
s = (y - mean) / std


def one_step(model, length):
    """The forecast of every month from the true months before it; none for the first ones."""
    x, _ = pairs(s, length)
    return np.append(np.full(length, np.nan), mean + std * model.forward(x)[0][:, 0])


model = train(s, 1, split, seed=0)
look_back_1 = one_step(model, 1)
plot.forecast(
    months, y, {"LSTM": (months, look_back_1)}, months[split], "thousand passengers",
    plt.subplots(figsize=(8, 3.4))[1],
)  # fmt: skip
plt.show()

# %% [markdown]
# Across: the months. Up: the truth (black) and the forecasts (orange), each made one month ahead.
# It has learned the growth and the season, and foresees the peaks of years that it never saw. Or
# has it?
#
# **Predict, then run.** Below are two forecasts of the last two years. One is the network, one is
# persistence: last month's number, copied. Which is which? And what is wrong with both?

# %%
last = slice(N - 24, N)
fig, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for ax, name, f in zip(axes, "AB", (np.append(np.nan, y[:-1]), look_back_1), strict=True):
    plot.forecast(months[last], y[last], {name: (months[last], f[last])}, None, "", ax)
    ax.tick_params(axis="x", rotation=40)
axes[0].set_ylabel("thousand passengers")
plt.show()

# %% [markdown]
# Across: 1959 and 1960. A is the copy. Both lines are the true one, *moved to the right by a month*.
# The eye compares two curves by the shortest distance between them, which is sideways; the error is
# the distance up and down, and at a steep place that is large.
#
# This can be measured. Compare the forecast of month $t$ with the truth of month $t - k$: where is the
# error smallest?

# %%
shifts = np.arange(5)
errors = {
    name: np.array([rmse(f[test] - y[test - k]) for k in shifts])
    for name, f in {"LSTM": look_back_1, "persistence": np.append(np.nan, y[:-1])}.items()
}
plot.curves(errors, "shift k, months", "RMSE against month t - k", shifts, log=False)
plt.show()
table({"LSTM, 1 month": look_back_1[test], **naive})
assert errors["LSTM"].argmin() == 1 and errors["persistence"][1] == 0
assert errors["LSTM"][1] < 0.8 * errors["LSTM"][0]
gain = skill(look_back_1[test] - y[test], y[test - 1] - y[test])
assert -0.1 < gain < skill(naive["season"] - y[test], y[test - 1] - y[test])

# %% [markdown]
# Across: how far the truth is moved. Up: the error. The forecast for month $t$ is a much better
# forecast of month $t - 1$, which was its input. In numbers, it is hardly better than the copy, and
# worse than last year's number.
#
# So the first rule: **no picture and no score without a naive forecast beside it.** If a plot of a
# one-step forecast impresses you, draw persistence into it.
#
# ## A longer window, and three seeds
#
# From one month you cannot see the season. From twelve you can. A single run says little, so there
# are three.

# %%
runs = [train(s, 12, split, seed) for seed in (0, 1, 2)]
look_back_12 = np.array([one_step(run, 12) for run in runs])
known = np.arange(13, split)
fits = [rmse(f[known] - y[known]) for f in look_back_12]
before = rmse(y[known - 1] - y[known])
print(f"training months: LSTM, 12 months {np.mean(fits):.1f}, persistence {before:.1f}\n")
table({"LSTM, 1 month": look_back_1[test], "LSTM, 12 months": look_back_12[:, test], **naive})
each = [rmse(f[test] - y[test]) for f in look_back_12]
assert max(fits) < 0.5 * before and np.mean(each) > rmse(naive["season"] - y[test])
assert min(each) > 2 * rmse(naive["season and growth"] - y[test])

# %% [markdown]
# In the training months the errors are less than half of persistence's. In the test months the
# network is, on average, no better than persistence. It is worse than *season*, and its error is
# more than twice that of *season and growth*, which has no weights at all. The range over seeds is
# wide: with one run each, you could report nearly any result you like.
#
# ## Free-running
#
# So far, each forecast was made from true values. To see a year ahead, the forecaster must go on
# from its own forecasts: predict a month, append it to the window, drop the oldest, predict again.
#
# **Exercise 3.** `step(window)` takes the last values $(T,)$, the newest at the end, and returns
# the next one. `first` is the window $(T,)$ to begin with. Return $n$ forecasts $(n,)$. The window
# always keeps its length.


# %% tags=["exercise"]
def free_run_by_hand(step, first, n):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def free_run_by_hand(step, first, n):
    window, forecasts = first, []
    for _ in range(n):
        forecasts.append(step(window))
        window = np.append(window[1:], forecasts[-1])
    return np.array(forecasts)


# %% tags=["check"]
exercises.check(free_run_by_hand)

# %% [markdown]
# In the library this is [`free_run`](../minirnn/generate.py), for models that answer at every step;
# they need no window, since the state goes on.
#
# **Predict, then run:** what will the forecasts of the network with one month look like when it
# runs free?


# %% tags=["cover"]
def alone(forecast, begin=split):
    """From a month on, every forecast is made of forecasts. forecast: (history, t) to a number."""
    history = y.copy()
    history[begin:] = np.nan  # so that no true value can slip in
    for t in range(begin, N):
        history[t] = forecast(history, t)
    return history[begin:]


def of_model(model, length):
    return lambda history, t: mean + std * one_number(model, (history[t - length : t] - mean) / std)


def one_number(model, window):
    return model.forward(window[:, None, None])[0][0, 0]


free = {
    "LSTM, 1 month": alone(of_model(model, 1)),
    "LSTM, 12 months": np.array([alone(of_model(run, 12)) for run in runs]),
    "season, repeated": alone(lambda history, t: history[t - 12]),
    "persistence, a flat line": alone(lambda history, t: history[t - 1]),
}
shown = slice(split - 30, N)
lines = {
    name: (months[test], np.atleast_2d(f)[0]) for name, f in free.items() if "flat" not in name
}
plot.forecast(
    months[shown], y[shown], lines, months[split], "thousand passengers",
    plt.subplots(figsize=(8, 3.4))[1],
)  # fmt: skip
plt.show()
print("up to 28 months ahead; the skill is still against persistence one month ahead")
table(free)
end = free["LSTM, 1 month"][-12:]
assert np.ptp(end) < 0.1 * np.ptp(y[-12:])
wide = np.mean([rmse(f - y[test]) for f in free["LSTM, 12 months"]])
assert abs(wide / rmse(free["season, repeated"] - y[test]) - 1) < 0.15

# %% [markdown]
# Across: the months around the split. Up: passengers; of the three runs with 12 months the first is
# drawn. The network with one month ends at a constant: it *never knew a season*, it only got to
# know each month where the series was. Those with 12 months do have a season of their own. Their
# error is about that of last year's season, repeated. A free run shows what a model knows. A
# one-step forecast shows what its input tells it.
#
# ## Take the season out
#
# What is hard for the network is easy with a pencil. The growth over the year,
#
# $$u_t = \log y_t - \log y_{t-12}$$
#
# has no season any more. (The logarithm turns a season that grows in proportion into one that is
# added.) The network forecasts by how much $u$ *changes*,
# $\hat u_t = u_{t-1} + \text{std}_u \, \hat v_t$ ($\hat v_t$ is its answer, $\text{std}_u$ the
# standard deviation of $u$ in the training part), and the forecast of $y$ is
# $\hat y_t = y_{t-12} \exp(\hat u_t)$. With a change of 0 this is *season and growth*. So the
# network begins at the best baseline, and has to learn only the rest.

# %%
u = np.append(np.full(12, np.nan), np.log(y[12:] / y[:-12]))
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8))
plot.forecast(months, y, {}, months[split], "thousand passengers", left)
plot.forecast(months, u, {}, months[split], "u, growth over the year", right)
for ax in (left, right):
    ax.get_legend().remove()
plt.show()

# %% [markdown]
# Across: the months. Up, on the left the series, on the right its growth over the year, in which
# you see no season. The training is stopped early; the last two years *of the training part* decide
# when.


# %%
def growth(history, t, length=6):
    """u at the length months before t (an array of months), as (length, B)."""
    at = t - length + np.arange(length)[:, None]
    return np.log(history[at] / history[at - 12])


std_u = np.std(u[12:split])
mean_u = np.mean(u[12:split])
usable = np.arange(18, split)
early, late = usable[:-24], usable[-24:]


def sample(t):
    x = growth(y, t)
    return ((x - mean_u) / std_u)[..., None], ((u[t] - x[-1]) / std_u)[:, None]


def train_seasonal(seed):
    rng = np.random.default_rng(seed)
    model = mr.Sequential(mr.LSTM(1, 16, rng=rng), mr.Last(), mr.Linear(16, 1, rng=rng))
    model.params["2.W"][...] *= 0.1  # begins near "no change"
    mr.fit(
        model, mr.mse, sample(early), mr.Adam(lr=0.003), 200,
        validation=sample(late), patience=30, progress=False,
    )  # fmt: skip

    def forecast(history, t):
        x = growth(history, np.atleast_1d(t))
        v = model.forward(((x - mean_u) / std_u)[..., None])[0][:, 0]
        return history[np.atleast_1d(t) - 12] * np.exp(x[-1] + std_u * v)

    return forecast


seasonal = [train_seasonal(seed) for seed in (0, 1, 2)]
steps = np.array([f(y, test) for f in seasonal])
frees = np.array([alone(lambda h, t, f=f: f(h, t)[0]) for f in seasonal])
by_growth = alone(lambda h, t: h[t - 12] * h[t - 1] / h[t - 13])
print("one month ahead")
table({"seasonal LSTM": steps, "LSTM, 12 months": look_back_12[:, test], **naive})
print("\nfree-running")
table({"seasonal LSTM": frees, "season and growth": by_growth, **free})
own = np.mean([rmse(f - y[test]) for f in steps])
simple = rmse(naive["season and growth"] - y[test])
assert own < 0.6 * min(each) and abs(own / simple - 1) < 0.1
far = np.mean([rmse(f - y[test]) for f in frees])
assert rmse(by_growth - y[test]) < far < 0.6 * rmse(free["season, repeated"] - y[test])

# %% [markdown]
# One free run is *one* sample, however many months it has. So begin at each of the first 17 test
# months, with the true values up to there, and run free for a year.

# %%
begins = np.arange(split, N - 11)


def year_ahead(forecast):
    return np.array([rmse(alone(forecast, k)[:12] - y[k : k + 12]) for k in begins])


year = {
    f"seasonal LSTM, seed {k}": year_ahead(lambda h, t, f=f: f(h, t)[0])
    for k, f in enumerate(seasonal)
}
year["season and growth"] = year_ahead(lambda h, t: h[t - 12] * h[t - 1] / h[t - 13])
year["season, repeated"] = year_ahead(lambda h, t: h[t - 12])
shown_too = ("seasonal LSTM, seed 0", "season and growth", "season, repeated")
plot.curves(
    {k: year[k] for k in shown_too}, "first month of the free run, counted from the split",
    "RMSE over the year", log=False, ax=plt.subplots()[1],
)  # fmt: skip
plt.show()
for name, e in year.items():
    print(f"{name:<24} mean {e.mean():4.1f} ({e.min():.1f} to {e.max():.1f}, {len(e)} beginnings)")
means = [e.mean() / year["season and growth"].mean() for k, e in year.items() if "seed" in k]
assert min(means) > 0.7 and max(means) < 0.9 and len(begins) == 17
assert all(e.max() > 2 * e.min() for k, e in year.items() if "repeated" not in k)

# %% [markdown]
# Across: the beginning. Up: the error over the following year. From one beginning to another it
# changes by a factor of two and more, for both.
#
# Now read all three results together. The errors are less than 0.6 of those of the best network
# before. But one month ahead, *season and growth* comes within a tenth of the network. In the one
# free run from the split it was better. Over all beginnings, the errors of the network are 10 to 30
# % lower on average. (These runs overlap, so they are worth far fewer than 17 independent ones.)
# Most of the gain came from the differencing, and a little from the network. A table without that
# row would have sold you an LSTM; a table with a single free run would have sold you a rule.
#
# ## Prices
#
# Now the price of a share: Microsoft, 2012 to 2017, the mean of the day's open, high, low and
# close.

# %%
if files.local("msft/MSFT_2012_2017.csv") is not None:
    days, price = stock.load(progress=False)
else:
    print("no file of prices was found (MINIRNN_DATA): here is a generated random walk instead")
    days = np.datetime64("2012-01-03") + np.arange(1509)
    quarters = np.random.default_rng(7).normal(0.01, 0.3, 4 * len(days))
    price = 27 + np.cumsum(quarters).reshape(-1, 4).mean(axis=1)
cut = int(0.7 * len(price))
after = np.arange(cut, len(price))
mean_p, std_p = price[:cut].mean(), price[:cut].std()
level = (price - mean_p) / std_p


def train_in_batches(x, target, units=16, epochs=20, seed=0, lr=0.005, **options):
    rng = np.random.default_rng(seed)
    model = mr.Sequential(mr.LSTM(1, units, rng=rng), mr.Last(), mr.Linear(units, 1, rng=rng))
    model.params["2.W"][...] *= 0.1
    mr.fit(
        model, mr.mse, lambda rng: batches.shuffled(x, target, 32, rng),
        mr.Adam(lr, **options), epochs, rng=rng, progress=False,
    )  # fmt: skip
    return model


model = train_in_batches(*pairs(level[:cut], 10))
x, _ = pairs(level, 10)
classic = mean_p + std_p * model.forward(x)[0][:, 0]  # of the days 10, 11, ...
ax = plot.forecast(
    days, price, {"LSTM": (days[10:], classic)}, days[cut], "dollars",
    plt.subplots(figsize=(8, 3.4))[1],
)  # fmt: skip
plt.setp(ax.lines, marker="")
plt.show()
for part, at in {"training": np.arange(10, cut), "test": after}.items():
    e, b = rmse(classic[at - 10] - price[at]), rmse(price[at - 1] - price[at])
    print(f"{part:<9} LSTM {e:.2f}   persistence {b:.2f}   dollars")
assert e > 3 * b

# %% [markdown]
# Across: the days. Up: dollars. In training you cannot tell the two lines apart. In the test part
# the network falls behind, further and further, and its error is many times that of persistence.
#
# The reason is in the equations. $h$ is an output gate times a tanh, so each $|h_k| < 1$, and
#
# $$|\hat s| = |h W + b| \le \sum_k |W_k| + |b|$$
#
# There is a highest price that this network can forecast. Here is what it answers to ten days of
# the same price:

# %%
asked = np.linspace(0, 2 * price.max(), 200)
flat = np.repeat((asked - mean_p) / std_p, 10).reshape(-1, 10).T[..., None]
said = mean_p + std_p * model.forward(flat)[0][:, 0]
highest = mean_p + std_p * (np.abs(model.params["2.W"]).sum() + np.abs(model.params["2.b"])[0])
ax = plot.curves(
    {"LSTM": said, "persistence": asked},
    "price of the last ten days, dollars", "forecast, dollars", asked, log=False,
)  # fmt: skip
ax.axvspan(price[:cut].min(), price[:cut].max(), color="0.9", zorder=0)
ax.text(price[:cut].mean(), asked.max(), "seen in training", ha="center", va="top")
plt.show()
print(
    f"forecast at twice the highest price: {said[-1]:.1f}; no forecast above {highest:.1f} dollars"
)
inside = (asked > price[:cut].min()) & (asked < price[:cut].max())
assert (
    np.abs(said - asked)[inside].max() < 6 and said[-1] < 0.6 * asked[-1] and said.max() < highest
)

# %% [markdown]
# Across: the price of the ten days. Up: the forecast. Grey is the range of the training part.
# Inside this range, the network has learned persistence (blue). Outside, it becomes flat, like
# every gate and tanh in it. Scaling cannot repair that. Predicting *changes* can, since tomorrow's
# changes are about as large as yesterday's.

# %%
change = np.diff(price, prepend=price[0])
std_c = change[1:cut].std()
x, target = pairs(change[1:] / std_c, 10)  # the target of pair k is the change of day k + 11
learn = slice(0, cut - 11)
model = train_in_batches(x[:, learn], target[learn], 8, 15, lr=0.001, weight_decay=0.1)
guess = std_c * model.forward(x)[0][after - 11, 0]
trailing = np.corrcoef(change[1 : cut - 1], change[2:cut])[0, 1]
gain = skill(guess - change[after], change[after])
print(f"test: LSTM of changes {rmse(guess - change[after]):.3f}, ", end="")
print(f"persistence {rmse(change[after]):.3f} dollars; skill {gain:.3f}")
walk = np.cumsum(rng.normal(size=(20_000, 4))).reshape(-1, 4)  # four prices a day, pure chance
of = {name: np.diff(p) for name, p in {"mean": walk.mean(axis=1), "close": walk[:, -1]}.items()}
chance = {name: np.corrcoef(c[:-1], c[1:])[0, 1] for name, c in of.items()}
print(f"correlation of a change with the next: prices {trailing:.2f}; pure chance, ", end="")
print(f"daily means {chance['mean']:.2f}, closing prices {chance['close']:.2f}")
assert (
    abs(gain - trailing**2) < 0.02
    and abs(chance["mean"] - 0.227) < 0.02
    and abs(chance["close"]) < 0.02
)

# %% [markdown]
# A skill of a few hundredths. Before you buy shares: these are *means over a day*, and the mean
# trails the close. Take a random walk with four prices a day. The changes of its closing prices
# have no correlation, but the changes of its daily means do (Working 1960). A correlation $r$ is
# worth a skill of $r^2$, here about 0.04. So the averaging is all that the network found, and
# nobody can trade at yesterday's mean.
#
# Why persistence is hard to beat here: for a random walk, $y_t = y_{t-1} + \epsilon_t$ with
# $\epsilon_t$ independent of the past, the best forecast *is* $y_{t-1}$; no network can have a
# skill above 0, except by luck. Prices are nearly like that for a reason: if you could tell
# tomorrow's prices from yesterday's, somebody would trade on that, until you no longer could.
#
# ## Four ways to fool yourself
#
# This makes random walks a good laboratory. **The true skill of every forecaster is at most 0. Any
# skill that we measure is our own mistake.** Here are four mistakes. Each is measured as its author
# would report it, and then on data that had no part in it.
#
# **1. Scaling with the test part.** Many short walks, each scaled to 0..1 by its own minimum and
# maximum. The last value is the one to forecast. Does the scaling include it?

# %%
found = {}


def short_walks(n, leak, rng):
    walks = np.cumsum(rng.normal(size=(11, n)), axis=0)
    seen = walks if leak else walks[:-1]
    low, high = seen.min(axis=0), seen.max(axis=0)
    scaled = (walks - low) / (high - low)
    return scaled[:-1, :, None], (scaled[-1] - scaled[-2])[:, None]


for leak in (False, True):
    model = train_in_batches(*short_walks(2000, leak, rng), epochs=15, lr=0.01)
    measured = []
    for world in (leak, False):  # as it is reported; as it is used, when the future is not there
        x, target = short_walks(4000, world, rng)
        measured.append(skill(model.forward(x)[0] - target, target))
    print(f"scaled {'with' if leak else 'without'} the last value: ", end="")
    print(f"reported {measured[0]:.2f}, in use {measured[1]:.2f}   (persistence: 0)")
    found["scaled with\nthe test part"] = measured
assert measured[0] > 0.2 and measured[1] < -0.1

# %% [markdown]
# With the leak, a walk in which no 1 has come yet must end in a 1. The network learns that, and so
# its skill comes from the future itself. Used without the future, it is worse than nothing.
#
# **2. Validating on the test part.** Stop at the epoch at which the *test* error is lowest.
# **3. The best seed.** Do it with 20 seeds and report the best one. The test part has 30 steps,
# about as many as the airline's. The fresh data have 5000.

# %%
steps = rng.normal(size=5300)  # the changes of one long random walk
x, target = pairs(steps[:220], 10)
x_test, test_target = pairs(steps[220:260], 10)
x_fresh, fresh_target = pairs(steps[260:], 10)


def both(model):
    return [
        skill(model.forward(x)[0] - target, target)
        for x, target in ((x_test, test_target), (x_fresh, fresh_target))
    ]


fixed, stopped = [], []
for seed in range(20):
    for results, options in (
        (fixed, {}),
        (stopped, {"validation": (x_test, test_target), "patience": 25}),
    ):
        r = np.random.default_rng(seed)
        model = mr.Sequential(mr.LSTM(1, 8, rng=r), mr.Last(), mr.Linear(8, 1, rng=r))
        mr.fit(model, mr.mse, (x, target), mr.Adam(lr=0.01), 25, progress=False, **options)
        results.append(both(model))
fixed, stopped = np.array(fixed), np.array(stopped)
found["none of these"] = fixed.mean(axis=0)
found["stopped on\nthe test part"] = stopped.mean(axis=0)
found["and the best\nof 20 seeds"] = stopped[stopped[:, 0].argmax()]
for name in list(found)[1:]:
    reported, fresh = found[name]
    print(
        f"{name.replace(chr(10), ' '):<26} reported {reported:5.2f}, fresh {fresh:5.2f}   (persistence: 0)"
    )
best = found["and the best\nof 20 seeds"]
assert best[0] > found["stopped on\nthe test part"][0] > found["none of these"][0]
assert best[0] > 0.02 and all(found[name][1] < 0 for name in list(found)[1:])

# %% [markdown]
# Each choice that looks at the test part raises the reported number. The skill on fresh data stays
# below 0. With 30 test steps, chance alone makes differences of this size, and a search among
# epochs and seeds finds them.
#
# **4. Shuffled windows.** Forecast 20 steps ahead from 20 values, and split the windows *at random*
# into training and test. Neighbouring windows share 19 of their values and 19 of the 20 steps
# ahead. Take the simplest model of all: look up the nearest training window, and answer what came
# after it. **Predict:** what is its skill on pure chance?

# %%
walk = np.cumsum(rng.normal(size=1200))
at = np.arange(20, 1180)  # forecast walk[t + 19] from walk[t - 20 : t]
seen = np.array([walk[t - 20 : t] for t in at])
ahead = walk[at + 19] - walk[at - 1]


def look_up(known, asked):
    distance = ((seen[asked][:, None] - seen[known][None]) ** 2).sum(axis=-1)
    return ahead[known][distance.argmin(axis=1)]


def with_lstm(known, asked):
    scaled = ((seen - seen[known].mean()) / seen[known].std()).T[..., None]
    size = ahead[known].std()
    model = train_in_batches(scaled[:, known], ahead[known][:, None] / size, 32, 80, lr=0.01)
    return size * model.forward(scaled[:, asked])[0][:, 0]


for name, forecaster in {"nearest window": look_up, "LSTM": with_lstm}.items():
    measured = []
    for order in (rng.permutation(len(at)), np.arange(len(at))):
        known, asked = order[:800], order[840:]  # a gap: nothing overlaps when they are in order
        measured.append(skill(forecaster(known, asked) - ahead[asked], ahead[asked]))
    found[f"shuffled,\n{name}"] = measured
    print(f"{name:<15} shuffled {measured[0]:.2f}, in order {measured[1]:.2f}   (persistence: 0)")
    assert measured[0] > 0.15 and measured[1] < 0

# %% [markdown]
# The look-up finds the neighbour from one step before or after, which has seen nearly the same
# future. An LSTM learns some of that table by heart. When the windows are split in order, both are
# worse than nothing. All four mistakes together:

# %%
fig, ax = plt.subplots(figsize=(8.5, 3.2))
found = {"none of these": found.pop("none of these"), **found}
place = np.arange(len(found))
for k, label in enumerate(("as reported", "on data that had no part in it")):
    values = [v[k] for v in found.values()]
    ax.bar(place + 0.38 * k - 0.19, values, 0.36, label=label, color=plot.STYLES[k]["color"])
ax.axhline(0, color="black", linewidth=0.8)
ax.set_xticks(place, list(found), fontsize=8)
ax.set(ylabel="skill against persistence", ylim=(-1.2, 1))
ax.legend(loc="lower left")
plt.show()

# %% [markdown]
# Across: the mistakes. Up: the skill; in all of these worlds the truth is 0 or less. Before you
# believe a forecast, and first of all your own, ask: what does persistence score on the same steps?
# Was anything (a mean, an epoch, a seed, a window) chosen with the test part in sight?
#
# ## Read next
#
# - Box & Jenkins 1970, *Time Series Analysis: Forecasting and Control*: the airline series, and
#   differencing in practice.
# - Working 1960, *Note on the correlation of first differences of averages in a random chain*: the
#   daily means.
# - Makridakis, Spiliotis & Assimakopoulos 2018, *Statistical and machine learning forecasting methods:
#   concerns and ways forward*: simple methods against networks on a thousand series.
# - Kaufman, Rosset, Perlich & Stitelman 2012, *Leakage in data mining*.
# - The same series as scripts: `minirnn airline`, `minirnn stock`; the code is
#   [airline.py](../minirnn/experiments/airline.py) and [stock.py](../minirnn/experiments/stock.py).
# - [Chapter 10](10_images.ipynb): sequences that have nothing to do with time.
#
# **A question without an answer here:** we knew to take differences over 12 months because we looked
# at the picture, test part included. Is that a leak? How would you find the season without looking,
# and how would a network?
