# %% [markdown]
# # 8. The GRU
#
# **The question.** The LSTM of [chapter 7](07_lstm.ipynb) has a cell beside its state, and three
# gates: one to write, one to forget, one to show. Could *one* gate decide both what to keep and what
# to write? And if two libraries both have a "GRU", can you carry weights from one to the other?
#
# You need: chapter 7. You will write one step, and find out how the same weights can mean two
# different networks.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exchange, exercises, measure, plot
from minirnn.datasets import synthetic

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## One gate between the old and the new
#
# Cho et al. (2014) let a single gate $z$, the *update* gate, choose between the old state and a
# candidate $n$, for each unit:
#
# $$h_t = (1 - z) * n + z * h_{t-1}$$
#
# With $z = 1$ the unit keeps what it has. With $z = 0$ it takes the candidate. In between it takes
# some of both. Keeping and writing share one number, so the more is kept, the less is written. This
# is the LSTM with $f$ and $i$ tied by $i = 1 - f$. There is no cell; the state itself is the
# conveyor belt.
#
# (About half of the texts have $z$ and $1 - z$ the other way round. Here $z$ means "keep", as in
# the code of PyTorch and Keras.)
#
# Before anything is learned: what does a fixed $z$ do to a signal? If your notebook can show a
# slider, `exercises.play` gives you one. The picture that came with the notebook has $z = 0.9$.

# %%
steps = np.arange(60)
signal = np.where((steps > 10) & (steps < 30), 1.0, 0.0)


def smoothed(z):
    h = [0.0]
    for n in signal:
        h.append((1 - z) * n + z * h[-1])
    return np.array(h[1:])


def draw(z):
    ax = plot.curves({"candidate n": signal, f"state h, z = {z:.2f}": smoothed(z)}, "step t", "value",
                     steps, log=False)  # fmt: skip
    ax.set_ylim(-0.1, 1.1)
    plt.show()


exercises.play(draw, z=(0.0, 0.99, 0.9))
assert smoothed(0.0)[20] == 1 and smoothed(1.0).max() == 0 and 0 < smoothed(0.9)[35] < 1

# %% [markdown]
# Across: steps. Up: the candidate (orange) and the state (blue). A fixed $z$ makes a running
# average: it follows late, and forgets with $z^t$. The GRU is a memory because $z$ is *computed* at
# each step, from the input and the state.
#
# ## The whole step
#
# Sometimes the candidate should ignore the past, and start again from nothing. That is what the
# *reset* gate $r$ is for:
#
# $$r = \sigma(x_t W_{xr} + h_{t-1} W_{hr} + b_r) \qquad z = \sigma(x_t W_{xz} + h_{t-1} W_{hz} + b_z)$$
#
# $$n = \tanh(x_t W_{xn} + b_n + r * (h_{t-1} W_{hn} + b_{hn})) \qquad h_t = (1 - z) * n + z * h_{t-1}$$
#
# The columns of `W_x`, `W_h` and `b` are stored side by side in the order r, z, n
# ([`gru_step`](../minirnn/cells/textbook.py), in plain NumPy). The second bias $b_{hn}$ cannot be
# merged into $b_n$, because $r$ multiplies $b_{hn}$ but not $b_n$.
#
# **Predict:** with all weights and biases zero, and $h_{t-1} = 1$, what is $h_t$?
#
# **Exercise 1.** Write one step. `x` $(B, D)$, `h_prev` $(B, H)$, `W_x` $(D, 3H)$, `W_h` $(H, 3H)$,
# `b` $(3H)$, `b_hn` $(H)$; return the new `h` $(B, H)$.


# %% tags=["exercise"]
def gru_step(x, h_prev, W_x, W_h, b, b_hn):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def gru_step(x, h_prev, W_x, W_h, b, b_hn):
    H = len(b_hn)
    xW, hW = x @ W_x + b, h_prev @ W_h
    r = 1 / (1 + np.exp(-(xW[:, :H] + hW[:, :H])))
    z = 1 / (1 + np.exp(-(xW[:, H : 2 * H] + hW[:, H : 2 * H])))
    n = np.tanh(xW[:, 2 * H :] + r * (hW[:, 2 * H :] + b_hn))
    return (1 - z) * n + z * h_prev


# %% tags=["check"]
exercises.check(gru_step)

# %% [markdown]
# Stuck? `exercises.hint("gru_step")`, then `2`, then `3`. The answer to the question: all sums are
# zero, so $r = z = 1/2$ and $n = \tanh(0) = 0$. Half of the old state is left.

# %%
cell = mr.GRU(1, 1, rng=0)
for p in cell.params.values():
    p[...] = 0
_, h, _ = cell.forward(np.zeros((1, 1, 1)), np.ones((1, 1)))
print("h after a step with nothing but zeros:", h[0, 0])
assert h[0, 0] == 0.5

# %% [markdown]
# ## Gates by hand
#
# A sigmoid is nearly 0 at -10 and nearly 1 at +10. So we can set the gates by hand. The input has two
# numbers: a value, and a flag that says *remember this*. We want a unit that takes the value when the
# flag is 1, and keeps it otherwise.
#
# **Predict:** which sign must the weight from the flag to $z$ have?

# %% tags=["cover"]
latch = mr.GRU(2, 1, rng=0)
for p in latch.params.values():
    p[...] = 0
W_x, b = latch.params["W_x"], latch.params["b"]  # columns r, z, n
b[1] = 10  # z: keep, as a rule,
W_x[1, 1] = -20  # but not where the flag is 1
W_x[0, 2] = 1  # n: the value
value = np.round(rng.uniform(-1, 1, 24), 2)
flag = np.zeros(24)
flag[[3, 9, 16]] = 1
traced = mr.trace(latch, np.stack([value, flag], axis=1)[:, None])
plot.gates(traced, "zhn", tokens=["!" if f else "" for f in flag])
plt.show()
kept = traced["h"][:, 0, 0]
print("value at the flag, and the state until the next one:")
for t in (3, 9, 16):
    print(
        f"   tanh({value[t]:5.2f}) = {np.tanh(value[t]):5.2f}   {kept[t]:5.2f} {kept[t + 5]:5.2f}"
    )
    assert abs(kept[t + 5] - np.tanh(value[t])) < 0.01

# %% [markdown]
# Across: steps, a `!` where the flag is 1. Light blue: $z$, down only at the flags. Green: the candidate,
# which follows the value all the time. Black: the state, which moves only where $z$ is down.
#
# **Try:** set `b[0] = -10` and give $n$ some weight from the state. What does the reset gate do
# now?
#
# ## Two GRUs under one name
#
# Where exactly does $r$ work? In the paper it multiplies the *state*, before the product:
#
# $$\text{before:} \quad n = \tanh(x_t W_{xn} + b_n + (r * h_{t-1}) W_{hn})$$
#
# In cuDNN, PyTorch and Keras (by default) it multiplies the *product*:
#
# $$\text{after:} \quad n = \tanh(x_t W_{xn} + b_n + r * (h_{t-1} W_{hn} + b_{hn}))$$
#
# The second was invented for speed: $h_{t-1} W_h$ is one product for all three gates, while
# "before" must wait for $r$ and then multiply once more.
#
# **Predict:** with one unit ($H = 1$), is there a difference? With two?


# %%
def both(H, seed=0):
    """The outputs of the two variants with the same weights (b_hn is zero)."""
    after, before = mr.GRU(3, H, "after", rng=seed), mr.GRU(3, H, "before", rng=seed)
    for name, p in before.params.items():
        p[...] = after.params[name] = np.random.default_rng(seed).normal(size=p.shape)
    after.params["b_hn"] = np.zeros(H)
    x = np.random.default_rng(1).normal(size=(20, 4, 3))
    return after.forward(x)[0], before.forward(x)[0]


for H in (1, 2, 8):
    a, b = both(H)
    print(f"H = {H}: largest difference of the outputs {abs(a - b).max():.2g}")
    assert (abs(a - b).max() < 1e-12) == (H == 1)

# %% [markdown]
# With one unit $r h W = r (h W)$, and the two agree up to rounding. With two or more, $r$ is a
# vector. Before the product it scales what each unit *sends*; after the product it scales what each
# unit *gets*. Both networks learn, but weights learned for one are wrong for the other. How wrong?
# We train one and run the other with its weights. The task needs memory: among noise there are two
# marked symbols, and the question is which of four orders they had
# ([`temporal_order`](../minirnn/datasets/synthetic.py)). Guessing is right in 25 %.
#
# **Predict, then run:** how many per cent are still right?

# %%
T = 30


def batch(seed, B=64):
    x, target, mask = synthetic.temporal_order(np.random.default_rng(seed), T, B)
    return x, target[-1]


def trained(cell, seed, batches=150, H=32, lr=0.01):
    o = {"rng": np.random.default_rng(seed), "dtype": np.float32}
    model = mr.Sequential(cell(6, H, o), mr.Last(), mr.Linear(H, 4, **o))
    data = [batch([seed, k]) for k in range(batches)]
    history = mr.fit(model, mr.softmax_cross_entropy, data, mr.Adam(lr), 1, max_norm=1.0,
                     progress=False)  # fmt: skip
    return model, history


def right(model):
    """The percentage right of 1000 new sequences, and the loss."""
    x, target = batch(99, 1000)
    y = model.forward(x)[0]
    return 100 * np.mean(y.argmax(axis=1) == target), mr.softmax_cross_entropy(y, target)[0]


table = []
for seed in range(3):
    after, _ = trained(lambda D, H, o: mr.GRU(D, H, "after", **o), seed)
    before, _ = trained(lambda D, H, o: mr.GRU(D, H, "before", **o), seed)
    carried = mr.Sequential(mr.GRU(6, 32, "before", dtype=np.float32), mr.Last(), after.layers[2])
    for name in ("W_x", "W_h", "b"):
        carried.layers[0].params[name][...] = after.layers[0].params[name]
    table.append([right(after), right(before), right(carried)])
table = np.array(table)  # (seeds, ways, right and loss)
print(f"{'right, % (loss, nats)':<32}" + "".join(f"{f'seed {k}':>17}" for k in range(3)))
for k, way in enumerate(("trained and run as after", "trained and run as before",
                         "trained as after, run as before")):  # fmt: skip
    print(f"{way:<32}" + "".join(f"{r:>7.0f} ({loss:.4f})" for r, loss in table[:, k]))
print(f"{'guessing':<32}" + f"{25:>7.0f} ({np.log(4):.4f})" * 3)
assert table[:, :2, 0].min() > 95
assert np.all(table[:, 2, 1] > 3 * table[:, 0, 1]) and table[:, 2, 0].min() < 90

# %% [markdown]
# Both variants learn the task. With weights carried over, the loss is ten to a thousand times as
# large, or more. Sometimes the answers are still right, sometimes many of them are wrong. That is
# the worst kind of bug: there is no error message, often no visible harm, and sometimes a network
# that fails. A saved weight matrix does not say which variant it belongs to.
#
# ## Carrying weights over correctly
#
# Between libraries three more things differ: the order of the gates (Keras has z, r, n), whether a
# matrix is stored transposed (PyTorch: `weight_ih_l0` is $(3H, D)$), and the number of biases
# (PyTorch and Keras keep two, of which only the candidate's must stay apart).
#
# **Exercise 2.** Write `from_keras_order(W)`: the last axis holds three blocks of equal width in the
# order z, r, n; return them in the order r, z, n. It must work for matrices and for biases.


# %% tags=["exercise"]
def from_keras_order(W):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def from_keras_order(W):
    z, r, n = np.split(W, 3, axis=-1)
    return np.concatenate([r, z, n], axis=-1)


# %% tags=["check"]
exercises.check(from_keras_order)

# %% [markdown]
# [`to_torch`](../minirnn/exchange/weights.py) and the three functions beside it do all of this,
# with plain arrays and without these libraries. `tests/exchange/test_exchange.py` checks that the
# outputs there are the same as ours. Here we look at the layout, and go there and back.

# %%
gru = mr.GRU(3, 2, rng=0)
gru.params["b_hn"][...] = [0.5, -0.5]
for name, a in exchange.to_torch(gru).items():
    print(f"PyTorch  {name:<14} {a.shape}")
for name, a in zip(("kernel", "recurrent_kernel", "bias"), exchange.to_keras(gru), strict=True):
    print(f"Keras    {name:<16} {a.shape}")
x = rng.normal(size=(5, 2, 3))
back = [exchange.from_torch(exchange.to_torch(gru), "GRU"),
        exchange.from_keras(exchange.to_keras(gru), "GRU")]  # fmt: skip
assert all(np.allclose(one.forward(x)[0], gru.forward(x)[0], atol=1e-14) for one in back)
assert exchange.from_keras(exchange.to_keras(mr.GRU(3, 2, "before")), "GRU").reset == "before"

# %% [markdown]
# Keras' bias has two rows, $(2, 3H)$, for "after", and one for "before": from this shape alone,
# `from_keras` knows which variant it is.
#
# ## What it costs
#
# Per unit an RNN has one set of weights, a GRU three, an LSTM four.
#
# **Predict:** is a GRU's step three times as slow as an RNN's, and an LSTM's four times?

# %%
cells = {"RNN": mr.RNN, "GRU": mr.GRU, "LSTM": mr.LSTM}
D, H = 64, 128
numbers = {name: sum(p.size for p in kind(D, H).params.values()) for name, kind in cells.items()}
for name, n in numbers.items():
    print(f"{name:<5} {n:>7} numbers, {n / numbers['RNN']:.2f} times the RNN's")
assert 3 < numbers["GRU"] / numbers["RNN"] < 3.01 and numbers["LSTM"] == 4 * numbers["RNN"]

# %% tags=["clock"]
x = rng.normal(size=(50, 32, D)).astype(np.float32)
milliseconds = {}
for name, kind in cells.items():
    layer, taken = kind(D, H, rng=0, dtype=np.float32), []
    for _ in range(12):
        started = time.perf_counter()
        y, _, cache = layer.forward(x)
        layer.backward(y, cache)
        taken.append(1e3 * (time.perf_counter() - started))
    milliseconds[name] = np.median(taken)
ax = plt.subplots(figsize=(5, 2))[1]
ax.barh(list(cells), list(milliseconds.values()), color=plot.STYLES[1]["color"])
ax.bar_label(ax.containers[0], [f"{ms:.1f} ms" for ms in milliseconds.values()], padding=3)
ax.set_xlabel("milliseconds, forward and backward, T = 50, B = 32, D = 64, H = 128")
plt.show()

# %% [markdown]
# Across: the time of one pass, measured when this notebook was made. The ratios need not be those of
# the numbers: a step has fixed costs too, and the elementwise part of each cell differs.
#
# ## Is it as good?
#
# A fair comparison has the same number of *parameters*, not of units: 48 units of the RNN, 26 of
# the GRU and 22 of the LSTM have nearly the same number. We take three seeds each, and look at the
# loss while they learn.

# %%
sizes = {"RNN": 48, "GRU": 26, "LSTM": 22}
scores, losses = {}, {}
for name, H in sizes.items():
    scores[name], losses[name] = [], []
    for seed in range(3):
        o = {"rng": np.random.default_rng(seed), "dtype": np.float32}
        model = mr.Sequential(cells[name](6, H, **o), mr.Last(), mr.Linear(H, 4, **o))
        history = mr.fit(
            model, mr.softmax_cross_entropy, lambda r: (batch(r.integers(2**31)) for _ in range(10)),
            mr.Adam(0.01), 20, max_norm=1.0, rng=seed, progress=False,
        )  # fmt: skip
        scores[name].append(right(model)[0])
        losses[name].append(history.loss)
n = {k: sum(p.size for p in cells[k](6, H).params.values()) for k, H in sizes.items()}
print("right after 200 batches, %; guessing: 25")
for name, s in scores.items():
    print(f"   {name:<5} {n[name]:>5} numbers   {np.mean(s):4.0f} ({min(s):.0f} to {max(s):.0f})")
ax = plot.curves({k: np.mean(v, axis=0) for k, v in losses.items()}, "10 batches of 64",
                 "cross-entropy, nats, mean of 3 seeds", log=False)  # fmt: skip
ax.axhline(np.log(4), color="grey", linewidth=0.8)
plt.show()
assert max(n.values()) < 1.1 * min(n.values())
assert min(scores["GRU"]) > 90 and max(np.ptp(s) for s in scores.values()) > 5

# %% [markdown]
# Across: training. Up: the loss; the grey line is guessing. All GRUs and all vanilla networks have
# learned the task; one LSTM at least has not. Look at the ranges: seeds of one kind of cell differ
# by more than some kinds do. Do not conclude from three seeds that GRUs beat LSTMs, or LSTMs beat
# GRUs: larger studies (Chung et al. 2014; Jozefowicz et al. 2015; Greff et al. 2017) find that it
# depends on the task, and that an LSTM whose forget bias starts at 1 is hard to beat.
#
# What does its update gate do when it has learned? We look at one sequence, at the unit whose $z$
# moves most.

# %%
x, target = batch(7, 1)
marks = ["XYabcd"[k] if k < 2 else "" for k in x[:, 0].argmax(axis=1)]
traced = {k[2:]: a for k, a in mr.trace(after, x).items() if k.startswith("0.")}
unit = int(np.argmax(np.std(traced["z"][:, 0], axis=0)))
plot.gates(traced, "rzh", unit, tokens=marks)
plt.show()
shut, open_ = measure.saturation(traced, "z")
print(
    f"over all units z is below 0.1 in {shut.mean():.0%} of the steps, above 0.9 in {open_.mean():.0%}"
)
assert 0 <= shut.mean() <= 1 and np.std(traced["z"][:, 0, unit]) > 0.1

# %% [markdown]
# Across: the sequence, with the two marked symbols (X or Y) written where they come. Orange and
# light blue are $r$ and $z$ of this unit, black its state. The unit does not work like the one that
# we set by hand. Hardly any $z$ is ever near 1, so the state is written again at most steps, and
# $W_h$ carries what must last, as in a vanilla network. A network may solve a task in another way
# than we would.
#
# ## Read next
#
# - Cho et al. 2014, *Learning phrase representations using RNN encoder-decoder for statistical
#   machine translation*: section 2.3 has the unit, with the reset before the product.
# - Chung, Gulcehre, Cho & Bengio 2014, *Empirical evaluation of gated recurrent neural networks on
#   sequence modeling*.
# - Jozefowicz, Zaremba & Sutskever 2015, *An empirical exploration of recurrent network
#   architectures*: ten thousand cells, and none that is clearly better.
# - The backward pass of both variants, line by line:
#   [`gru_step_backward`](../minirnn/cells/textbook.py). Compiled:
#   [`gru_backward`](../minirnn/cells/gru.py).
#
# **A question without an answer here:** the GRU ties keeping and writing by $i = 1 - f$. An LSTM's
# cell can count, adding 1 at each step without forgetting ([chapter 7](07_lstm.ipynb)). Can a GRU
# count? If not, what could it do instead?
