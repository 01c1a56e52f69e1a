# %% [markdown]
# # 2. A network by hand
#
# **The question.** A recurrent network has three matrices, and training finds the numbers in them. Is
# there anything in these numbers that you could have written down yourself?
#
# You need: [chapter 1](01_why_memory.ipynb), and how a row times a matrix is computed. You will write
# one step of a recurrent network, and then a whole sequence.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The room-mate who cooks
#
# He knows three dishes, in this order: apple pie, burger, chicken, and apple pie again. On a sunny
# day he goes out, and makes *the same as yesterday*. On a rainy day he stays at home, and makes
# *the next on the list*. You see the weather. What is for dinner?
#
# As numbers: dishes 0, 1, 2, weather 0 (sunny) or 1 (rainy), and today's dish is
# `(yesterday + weather) % 3`.

# %%
DISHES, WEATHERS = ("apple pie", "burger", "chicken"), ("sunny", "rainy")


def diary(rng, T, B):
    """Weather (T, B, 2), one-hot, and dishes (T, B); before the first day there was apple pie."""
    rainy = rng.integers(0, 2, (T, B))
    return np.eye(2)[rainy], np.cumsum(rainy, axis=0) % 3


x, dishes = diary(rng, 7, 1)
for day in range(7):
    print(f"day {day}: {WEATHERS[x[day, 0].argmax()]:<6} -> {DISHES[dishes[day, 0]]}")

# %% [markdown]
# You cannot know the dish from today's weather, nor from the weather of the last few days. What
# counts is the number of *all* rainy days since the first. Something must be carried from day to
# day.
#
# ## Why not simply add?
#
# Suppose for a moment that yesterday's dish is given. Is one linear layer enough? It gives each
# dish a score: a number for yesterday's dish plus a number for today's weather.
#
# **Predict, then run:** there are six cases in all, three dishes by two weathers. A linear layer is
# trained on exactly these six. What probability will it give to the right dish in each case?

# %%
pairs = [(d, w) for d in range(3) for w in range(2)]
both = np.array([[*np.eye(3)[d], *np.eye(2)[w]] for d, w in pairs])  # (6, 5)
today = np.array([(d + w) % 3 for d, w in pairs])
linear = mr.Linear(5, 3, rng=rng)
history = mr.fit(
    linear, mr.softmax_cross_entropy, (both, today), mr.Adam(0.05), 1000, progress=False
)
scores = linear.forward(both)[0]
p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
print(f"{'yesterday':<10} {'today':<6} probability of each dish today")
for (d, w), row, right in zip(pairs, p, today, strict=True):
    print(f"{DISHES[d]:<10} {WEATHERS[w]:<6} {np.round(row, 2)}   right: {DISHES[right]}")
print(f"loss {history.loss[-1]:.3f}, ln 2 = {np.log(2):.3f}")
assert abs(history.loss[-1] - np.log(2)) < 0.001
assert np.allclose(p[np.arange(6), today], 0.5, atol=0.03)

# %% [markdown]
# It knows that the dish is yesterday's or the next one, but not which: a loss of ln 2 is a coin
# toss, and more training would not help. A sum of two scores cannot say "this dish *and* this
# weather". (Weights set by hand get five of the six right, none gets six.) So there must be a layer
# in between. The simplest has a unit for each *pair* of dish and weather.
#
# ## An AND, with a relu
#
# A unit that is 1 if both of its inputs are 1, and 0 otherwise:
#
# $$h = \mathrm{relu}(\mathrm{dish} + \mathrm{weather} - 1)$$

# %%
for dish in (0, 1):
    for weather in (0, 1):
        h = max(dish + weather - 1, 0)
        print(f"dish {dish}, weather {weather}: a = {dish + weather - 1:2}, h = {h}")
        assert h == (dish and weather)

# %% [markdown]
# ## Three matrices: in, across, out
#
# The hidden units are the six pairs. Unit (d, w) is 1 today if *yesterday's* dish was d and
# *today's* weather is w. (So d is not the dish of today. Today's dish is the one that this pair
# leads to.) Exactly one unit is 1 on each day: the state is a one-hot row. Now the matrices. A row
# of a matrix says where a 1 at that place goes.
#
# - **in**, `W_x` (2, 6): a weather goes to the three pairs that it takes part in.
# - **out**, `W_out` (6, 3): a pair goes to the dish that it leads to.
# - **across**, `W_h` (6, 6): yesterday's pair goes to *the dish that it led to*, and from there to
#   the two pairs that begin with this dish. These are two matrices, one after the other:
#   `W_out @ pair_of_dish`, where `pair_of_dish` (3, 6) takes a dish to its two pairs.
# - `b` is -1 everywhere, so that both inputs must be there.
#
# **Predict** one row: yesterday the unit (burger, rainy) was on. Which two units can be on today?

# %% tags=["cover"]
W_out = np.array([[(d + w) % 3 == k for k in range(3)] for d, w in pairs], float)  # (6, 3)
pair_of_dish = np.array([[d == k for d, w in pairs] for k in range(3)], float)  # (3, 6)
W_x = np.array([[w == k for d, w in pairs] for k in range(2)], float)  # (2, 6)
W_h = W_out @ pair_of_dish  # (6, 6)
b = -np.ones(6)

names = [f"{DISHES[d]}, {WEATHERS[w]}" for d, w in pairs]
figure, axes = plt.subplots(1, 3, figsize=(10, 4.1), width_ratios=(6, 6, 3))
for ax, (W, title, down, along) in zip(
    axes,
    (
        (W_x, "in: W_x", WEATHERS, names),
        (W_h, "across: W_h", names, names),
        (W_out, "out: W_out", names, DISHES),
    ),
    strict=True,
):
    ax.imshow(W, cmap="gray_r", vmax=1.4)
    ax.set_xticks(range(len(along)), along, rotation=60, ha="right")
    ax.set_yticks(range(len(down)), down)
    ax.set_title(title)
    for (i, j), value in np.ndenumerate(W):
        ax.text(j, i, int(value), ha="center", va="center", color="w" if value else "k")
plt.show()
assert [names[k] for k in np.flatnonzero(W_h[names.index("burger, rainy")])] == [
    "chicken, sunny",
    "chicken, rainy",
]

# %% [markdown]
# Down: where the signal comes from. Across: where it goes to. The row (burger, rainy) of `W_h` has
# its ones at the pairs with chicken: rain after a burger leads to chicken, and on the next day
# chicken is "yesterday's dish". The library's [`by_hand`](../minirnn/experiments/cook.py) is the
# same network.
#
# ## Step by step
#
# $$a_t = x_t W_x + h_{t-1} W_h + b \qquad h_t = \mathrm{relu}(a_t) \qquad y_t = h_t W_{out}$$
#
# It needs a state to start from: a pair that leads to apple pie.

# %%
h = np.zeros(6)
h[names.index("apple pie, sunny")] = 1
for day in range(4):
    a = x[day, 0] @ W_x + h @ W_h + b
    h = np.maximum(a, 0)
    y = h @ W_out
    print(f"day {day} {WEATHERS[x[day, 0].argmax()]}: a {a.astype(int)}  h {h.astype(int)}", end="")
    print(f"  y {y.astype(int)} -> {DISHES[y.argmax()]}")
    assert sorted(a) == [-1, -1, -1, 0, 0, 1] or sorted(a) == [-1, -1, 0, 0, 0, 1]
    assert h.sum() == 1 and y.argmax() == dishes[day, 0]

# %% [markdown]
# Look at one line. In `a`, a pair has 1 if the weather *and* yesterday's dish are there, 0 if only
# one of them is, and -1 if none is. After the relu only the 1 is left.
#
# The same as layers of the library: [`RNN`](../minirnn/cells/rnn.py) with `nonlinearity="relu"`, then
# [`Linear`](../minirnn/layers/linear.py). Unrolled over the days, each arrow to the side is a `W_h`,
# and it is the *same* `W_h`:

# %%
exact = mr.Sequential(mr.RNN(2, 6, "relu", rng=0), mr.Linear(6, 3, rng=0))
for name, value in {"0.W_x": W_x, "0.W_h": W_h, "0.b": b, "1.W": W_out, "1.b": 0}.items():
    exact.params[name][...] = value


def start(B):
    h = np.zeros((B, 6))
    h[:, names.index("apple pie, sunny")] = 1
    return [h, None]  # a state for each layer; Linear has none


plot.unrolled(exact, x)
plt.show()

# %%
x, dishes = diary(np.random.default_rng(6), 20, 1)
h, _, _ = exact.layers[0].forward(x, start(1)[0])
ax = plot.heat(h[:, 0], [WEATHERS[k][0] for k in x[:, 0].argmax(axis=1)], "h")
ax.set_yticks(range(6), names)
ax.set(ylabel="", xlabel="weather of each day: sunny or rainy")
plt.show()
assert np.all(h.sum(axis=-1) == 1) and np.all((h == 0) | (h == 1)) and h.any(axis=0).all()
assert np.array_equal(h[:, 0].argmax(axis=1) % 2, x[:, 0].argmax(axis=1))
assert np.array_equal(h[1:, 0].argmax(axis=1) // 2, dishes[:-1, 0])

# %% [markdown]
# Across: twenty days. Down: the six units; white is 1. Exactly one is on at each time. The weather
# in the name of a unit is that of the day, the dish in its name is *yesterday's*: after a sunny day
# the same as before, after a rainy day the next one, and after chicken comes apple pie again.
#
# ## The step that is usually taken
#
# With a relu and weights of 0, 1 and -1 everything is exact. A network that is *trained* usually
# has a tanh, with states between -1 and 1:
#
# $$a_t = x_t W_x + h_{t-1} W_h + b \qquad h_t = \tanh(a_t)$$
#
# **Exercise 1.** Write one step, for `B` sequences at once: `x` $(B, D)$, `h` $(B, H)$, `W_x`
# $(D, H)$, `W_h` $(H, H)$, `b` $(H,)$. It returns the new state $(B, H)$.


# %% tags=["exercise"]
def rnn_step(x, h, W_x, W_h, b):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def rnn_step(x, h, W_x, W_h, b):
    a = x @ W_x + h @ W_h + b
    return np.tanh(a)


# %% tags=["check"]
exercises.check(rnn_step)

# %% [markdown]
# **Exercise 2.** The whole sequence: `x` $(T, B, D)$, `h0` $(B, H)$ the state before the first
# step. Return *all* states, `h` $(T+1, B, H)$: `h[0]` is `h0`, and `h[t + 1]` is what step `t`
# computes from `x[t]` and `h[t]`. (Do not call your first function: this one has to stand alone.)


# %% tags=["exercise"]
def rnn_forward(x, h0, W_x, W_h, b):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def rnn_forward(x, h0, W_x, W_h, b):
    h = [h0]
    for t in range(len(x)):
        h.append(np.tanh(x[t] @ W_x + h[t] @ W_h + b))
    return np.array(h)


# %% tags=["check"]
exercises.check(rnn_forward)

# %% [markdown]
# Stuck? `exercises.hint("rnn_forward")`, and again with `2` and `3`.
#
# The library has both too. [`textbook.py`](../minirnn/cells/textbook.py) has them in plain NumPy,
# one line an equation. `layer.step` is one step, `layer.forward` the whole sequence, compiled; it
# does all products $x_t W_x$ at once before the loop ([`rnn_forward`](../minirnn/cells/rnn.py)).
# The two must agree, up to rounding, since sums are taken in another order.
#
# **Predict, then run:** we run the first 30 steps, and then the last 30 from the state in which the
# first ended. Is that the same as 60 steps at once?

# %%
layer = mr.RNN(3, 5, rng=rng)
x = rng.normal(size=(60, 4, 3))
h0 = rng.normal(size=(4, 5))
y, final, _ = layer.forward(x, h0)

h, difference = h0, 0.0
for t in range(60):
    h, _ = layer.step(x[t], h)
    difference = max(difference, abs(h - y[t]).max())
print("step by step and forward agree to 1e-13:", difference < 1e-13)

first, state, _ = layer.forward(x[:30], h0)
second, state, _ = layer.forward(x[30:], state)
parts = abs(np.concatenate([first, second]) - y).max()
print("in two parts and at once agree to 1e-13:", parts < 1e-13)
assert difference < 1e-13 and parts < 1e-13 and np.array_equal(final, y[-1])

# %% [markdown]
# All that the second half needs to know about the first is the state: 5 numbers for each sequence. You
# can stop anywhere, keep it, and go on tomorrow. ([Chapter 5](05_truncated.ipynb) uses this for
# sequences that are too long to train on at once.)
#
# ## A network that finds it out
#
# Now nobody writes weights down. An RNN of 8 tanh units sees the weather of 20 days; its target is
# the dish of each day. It gets no dish as input. It must keep yesterday's dish in its state, in its
# own way. Three such networks, from three seeds:


# %%
def learn(seed, epochs=40):
    rng = np.random.default_rng(seed)
    model = mr.Sequential(mr.RNN(2, 8, rng=rng), mr.Linear(8, 3, rng=rng))
    history = mr.fit(
        model,
        mr.softmax_cross_entropy,
        lambda rng: [diary(rng, 20, 50) for _ in range(20)],
        mr.Adam(),
        epochs,
        schedule=mr.cosine(0.02, epochs),
        max_norm=1.0,
        rng=rng,
        progress=False,
    )
    return model, history.loss


trained, losses = zip(*(learn(seed) for seed in (1, 2, 3)), strict=True)
ax = plot.losses({f"RNN(8), seed {k + 1}": loss for k, loss in enumerate(losses)})
ax.axhline(np.log(3), color="grey", linewidth=0.8)
ax.text(20, np.log(3), "any of three: ln 3", va="bottom", fontsize=8)
ax.set_ylim(top=3)
plt.show()
assert all(loss[0] > 1 and loss[-1] < 0.05 for loss in losses)

# %% [markdown]
# Across: epochs of 20 batches. Up: the loss, logarithmic. It begins at the loss of guessing, stays
# there for a while, and falls when the network has found something to keep.
#
# **Predict, then run:** they were trained on 20 days. Are they still right for 200? The one by hand
# is.

# %%
print(f"{'days right':<22}{'20 days':>9}{'200 days':>9}")
right = {}
for T in (20, 200):
    x, dishes = diary(np.random.default_rng(T), T, 100)
    answers = {"by hand": exact.forward(x, start(100))[0].argmax(axis=-1)}
    for k, model in enumerate(trained):
        answers[f"trained, seed {k + 1}"] = model.forward(x)[0].argmax(axis=-1)
    answers["apple pie every day"] = np.zeros_like(dishes)
    answers["a dish per weather"] = x.argmax(axis=-1)
    for name, answer in answers.items():
        right.setdefault(name, []).append(np.mean(answer == dishes))
for name, (short, long) in right.items():
    print(f"{name:<22}{short:9.1%}{long:9.1%}")
assert right["by hand"] == [1, 1]
assert all(min(row) > 0.95 for name, row in right.items() if "seed" in name)
assert max(right["apple pie every day"] + right["a dish per weather"]) < 0.4

# %% [markdown]
# What do they keep? The weights are not zeros and ones. But look at the *states*, those of days 20
# to 200 in five diaries, in the two directions in which they differ most:

# %%
figure, axes = plt.subplots(1, 4, figsize=(10.5, 3.3))
W = trained[0].params["0.W_h"]
axes[0].imshow(W, vmin=-abs(W).max(), vmax=abs(W).max())
axes[0].set(title="seed 1: W_h", xlabel="to unit", ylabel="from unit")
dish, weather = dishes[20:, :5].ravel(), x[20:, :5, 1].ravel()
for seed, (model, ax) in enumerate(zip(trained, axes[1:], strict=True), 1):
    states = model.layers[0].forward(x)[0][20:, :5].reshape(-1, 8)
    directions = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)[2][:2]
    for k, d in enumerate(DISHES):
        color = plot.STYLES[k]["color"]
        for w, filled in ((0, "none"), (1, color)):
            chosen = (states[(dish == k) & (weather == w)] - states.mean(axis=0)) @ directions.T
            look = {"color": color, "marker": "o^s"[k], "facecolors": filled}
            label = f"{d}, {WEATHERS[w]}" if seed == 1 else None
            ax.scatter(*chosen.T, s=20, linewidths=0.8, label=label, **look)
    ax.set(title=f"seed {seed}: states", xlabel="first direction")
    apart = np.linalg.norm(states[:, None] - states, axis=-1) + np.diag([np.inf] * len(states))
    same = np.mean(dish[apart.argmin(axis=1)] == dish)
    print(f"seed {seed}: the state nearest to a state has the same dish: {same:.1%}", end=", ")
    print(f"one at random: {np.mean(dish[:, None] == dish):.1%}")
    assert same > 0.99
axes[1].set_ylabel("second direction")
figure.legend(loc="outside lower center", ncols=6, fontsize=8)
plt.show()

# %% [markdown]
# Left: one learned `W_h`, from unit (down) to unit (across); black is negative, white positive. You
# cannot see the cook in it. The other pictures: each point is the state after one day. Shape and
# colour show the dish that was made; filled means a rainy day. There are nine hundred days, and the
# states lie in small heaps. States that are close together have the same dish. Each network has
# made something like our pairs, in its own code, some with more heaps than needed. (Where two heaps
# cover each other, other directions tell them apart.) You do not read such a state unit by unit,
# but by what follows from it.
#
# How does training find such weights, when all it gets is the dish? It must find out which entry of
# `W_h`, used on which day, was to blame: [chapter 3](03_bptt.ipynb).
#
# ## Read next
#
# - Kleene 1956, *Representation of events in nerve nets and finite automata*: what networks of
#   on-off units can keep in mind, and what not.
# - Minsky 1967, *Computation: Finite and Infinite Machines*: every finite machine is such a network;
#   the units for pairs of state and input are there.
# - Giles et al. 1992, *Learning and extracting finite state automata with second-order recurrent
#   neural networks*: trains one, and reads the machine out of the heaps of its states.
#
# **A question without an answer here:** our network has 6 units, one for each pair. With tanh units
# and any weights you like, what is the smallest network that never makes a mistake?
