# %% [markdown]
# # 5. Truncated back-propagation through time
#
# **The question.** A sensor, a text, a market: the sequence does not end. Back-propagation through
# time goes back to the beginning, and must keep every state for that. Is this necessary? What do
# you lose if you go back only ten steps?
#
# You need: [chapter 3](03_bptt.ipynb). You will write the windows of the general algorithm, and a
# training loop for a stream.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, measure, plot
from minirnn.training.rtrl import flat

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Two numbers
#
# [`truncated_bptt`](../minirnn/training/bptt.py) has two numbers. After every `k1` steps it takes
# the losses of *these* `k1` steps, the block. It propagates them back through the last `k2` steps;
# the block is part of these. The *state* runs on without a break. So `k1` says how often there is a
# gradient, `k2` how far it reaches.
#
# Do not just believe it: let us look at the windows. Give every step its own parameter: an
# `Embedding` with token `t` at step `t`. Row `t` of its gradient is zero if and only if step `t` is
# outside the window.

# %% tags=["cover"]
T = 12
model = mr.Sequential(mr.Embedding(T, 3, rng=rng), mr.RNN(3, 8, rng=rng), mr.Linear(8, 1, rng=rng))
tokens, target = np.arange(T)[:, None], rng.normal(size=(T, 1, 1))


def reach(k1, k2):
    """Norm of the gradient that arrives at each step (columns), for each block (rows)."""
    blocks = mr.truncated_bptt(model, mr.mse, tokens, target, k1, k2)
    return np.array([np.linalg.norm(grads["0.W"], axis=1) for _, grads, _ in blocks])


pairs = ((2, 5), (4, 4), (1, 12))
fig, axes = plt.subplots(1, 3, figsize=(9, 3.2))
for ax, (k1, k2) in zip(axes, pairs, strict=True):
    norms = reach(k1, k2)
    ax.imshow(np.where(norms > 0, 0.25 + norms / norms.max(), 0), cmap="Blues", vmin=0, vmax=1.4)
    for block in range(len(norms)):
        first = block * k1
        ax.add_patch(plt.Rectangle((first - 0.5, block - 0.5), k1, 1, fill=False, linewidth=1.4))
    ax.set(title=f"k1 = {k1}, k2 = {k2}", xlabel="step", ylabel="block")
    ax.set_aspect("auto")
    ax.locator_params(integer=True)
plt.show()
assert list(reach(2, 5)[3] > 0) == [False] * 3 + [True] * 5 + [False] * 4
assert np.all(reach(1, 12)[-1] > 0)

# %% [markdown]
# Across: the step. Down: the block. The frames show the steps whose losses count. Blue is where
# their gradient arrives; a darker blue means more of it. On the left the windows overlap. In the
# middle, with `k1 = k2`, they do not: those are the usual chunks. On the right `k2` is the whole
# length, and nothing is cut.
#
# **Exercise 1.** Write `bptt_windows(T, k1, k2)`. It returns a list with one `(begin, first, end)`
# for each block: the block is `first` to `end`, the gradient goes back to `begin`, and all three
# are used as in Python's slices, `x[begin:end]`. The last block may be shorter.


# %% tags=["exercise"]
def bptt_windows(T, k1, k2):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def bptt_windows(T, k1, k2):
    found = []
    for first in range(0, T, k1):
        end = min(first + k1, T)
        found.append((max(end - k2, 0), first, end))
    return found


# %% tags=["check"]
exercises.check(bptt_windows)

# %% [markdown]
# Stuck? `exercises.hint("bptt_windows")`, and again with `2` and `3`.
#
# ## What is neglected, exactly
#
# Only one thing: the state at the beginning of a window is taken as *given*. In truth, this state
# depends on the weights, too. With the block's loss $L$, the state $h_{\text{begin}}$ and the
# weights $w$:
#
# $$\frac{dL}{dw} = \underbrace{\frac{\partial L}{\partial w}}_{\text{inside the window}} +
# \underbrace{\frac{\partial L}{\partial h_{\text{begin}}} \frac{d h_{\text{begin}}}{dw}}_{\text{cut}}$$
#
# So a truncated gradient is not vague. It is the exact slope of another function: that of the block's
# loss with this state frozen. Measure both slopes, along a random direction in $W_h$.

# %%
layer, readout = mr.RNN(2, 8, rng=rng), mr.Linear(8, 1, rng=rng)
model = mr.Sequential(layer, readout)
x, target = rng.normal(size=(20, 3, 2)), rng.normal(size=(20, 3, 1))
begin, first, end = 9, 12, 14  # the block of steps 12 and 13, with k2 = 5
direction, W_h = rng.normal(size=(8, 8)), layer.params["W_h"].copy()
_, frozen, _ = model.forward(x[:begin])


def block_loss(eps, freeze):
    layer.params["W_h"][...] = W_h + eps * direction
    state = frozen if freeze else model.forward(x[:begin])[1]
    y, _, _ = model.forward(x[begin:end], state)
    layer.params["W_h"][...] = W_h
    return mr.mse(y[first - begin :], target[first:end])[0]


def slope(freeze, eps=1e-5):
    return (block_loss(eps, freeze) - block_loss(-eps, freeze)) / (2 * eps)


written = list(mr.truncated_bptt(model, mr.mse, x, target, k1=2, k2=5))[6][1]["0.W_h"]
print(f"written by truncated_bptt:     {np.sum(written * direction):.6f}")
print(f"measured, the state frozen:    {slope(freeze=True):.6f}")
print(f"measured, the state not frozen: {slope(freeze=False):.6f}")
assert np.isclose(np.sum(written * direction), slope(True), rtol=1e-7)
assert not np.isclose(slope(True), slope(False), rtol=0.01)

# %% [markdown]
# ## How wrong is it?
#
# Take `k1 = 1` and compare the mean of all truncated gradients with the full one:
# $\lVert g_{k2} - g \rVert / \lVert g \rVert$ ([`truncation_bias`](../minirnn/measure.py)). Four
# networks with random weights: a vanilla RNN, and LSTMs with a forget bias of 0, 1 and 4. (The bias sets how far
# the forget gate is open at first: $\sigma(0) = 0.5$, $\sigma(1) = 0.73$, $\sigma(4) = 0.98$.)
#
# **Predict, then run:** for which of the four does the cut do most harm?

# %%
T, H = 60, 16
x, target = rng.normal(size=(T, 4, 2)), rng.normal(size=(T, 4, 1))
k2s = [1, 2, 3, 5, 8, 12, 20, 30, 45]
cells = {"RNN": mr.RNN(2, H, rng=1)}
cells |= {f"LSTM, forget bias {n}": mr.LSTM(2, H, forget_bias=n, rng=1) for n in (0, 1, 4)}
biases = {}
for name, cell in cells.items():
    model = mr.Sequential(cell, mr.Linear(H, 1, rng=2))
    *biases[name], whole = measure.truncation_bias(model, mr.mse, x, target, [*k2s, T])
    assert whole < 1e-12  # k2 = T: nothing is cut
plot.truncation_bias(k2s, biases)
plt.show()
for name, values in biases.items():
    print(f"{name:<21}", "  ".join(f"k2 = {k}: {values[k2s.index(k)]:.1e}" for k in (5, 20, 45)))
at_20 = [values[k2s.index(20)] for values in biases.values()]
assert at_20[1] < at_20[0] < at_20[2] < at_20[3] and at_20[3] > 0.7
assert biases["LSTM, forget bias 4"][-1] > 0.1

# %% [markdown]
# Across: `k2`. Up: the relative error, logarithmic. For the RNN, and for the LSTM with a half-open
# gate, the error falls fast: what is cut off had already faded. For the LSTM with the open gate it
# is still above 0.7 at 20 steps, and not small even at 45 of the 60.
# **The better the memory, the more a truncation takes away.** If your network can use a long past,
# a short `k2` will not let it learn to.
#
# ## What it costs
#
# Suppose that you want a gradient after *every* step of a stream, and that `T` steps have gone by.
# Full BPTT goes back through all of them. Truncated BPTT goes back through `k2`. And there is a
# third way, the other extreme: **real-time recurrent learning**
# ([`rtrl`](../minirnn/training/rtrl.py)) carries the derivatives of the state *forward*, and keeps
# nothing of the past:
#
# $$P_t = \frac{\partial h_t}{\partial h_{t-1}} P_{t-1} + \frac{\partial h_t}{\partial w}
# \qquad\qquad \frac{dL_t}{dw} = \frac{\partial L_t}{\partial h_{t-1}} P_{t-1} + \frac{\partial
# L_t}{\partial w}$$
#
# ($P_t$ is $dh_t/dw$ through the whole past; $\partial h_t / \partial w$ is what $w$ does within the step.)
# It is exact. $P$ has a row for each unit and a column for each weight, about $H \cdot H^2$ numbers.

# %%
H, k2 = 16, 20
model = mr.Sequential(mr.RNN(2, H, rng=1), mr.Linear(H, 1, rng=2))
x, target = rng.normal(size=(12_500, 1, 2)), rng.normal(size=(12_500, 1, 1))
weights = sum(p.size for p in model.params.values())


def kilobytes(T):
    """What BPTT keeps for its backward pass over T steps: x and h."""
    cache = model.layers[0].forward(x[:T])[2]
    return (cache.x.nbytes + cache.h.nbytes) / 1000


short_x, short_target = x[:50], target[:50]
_, full, _ = mr.bptt(model, mr.mse, short_x, short_target)
forward_in_time = [
    flat(list(g.values())) for _, g, _ in mr.rtrl(model, mr.mse, short_x, short_target)
]
difference = np.max(abs(np.mean(forward_in_time, axis=0) - flat(list(full.values()))))
print("RTRL agrees with BPTT over 50 steps to 1e-13:", difference < 1e-13)
assert difference < 1e-13
lengths = [20, 100, 500, 2500, 12_500]
memory = {
    "BPTT": [kilobytes(T) for T in lengths],
    "truncated, k2 = 20": [kilobytes(k2)] * len(lengths),
    "RTRL": [H * weights * 8 / 1000] * len(lengths),
}
assert memory["BPTT"][-1] > 40 * memory["RTRL"][-1]
assert memory["RTRL"][-1] > 10 * memory["truncated, k2 = 20"][-1]


# %% tags=["clock"]
def milliseconds(function, repeats=5):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)


stream = mr.rtrl(model, mr.mse, x, target)
next(stream)
forward_step = milliseconds(lambda: next(stream), 20)
cost = {
    "BPTT": [milliseconds(lambda T=T: mr.bptt(model, mr.mse, x[:T], target[:T])) for T in lengths],
    "truncated, k2 = 20": [milliseconds(lambda: mr.bptt(model, mr.mse, x[:k2], target[:k2]))] * 5,
    "RTRL": [forward_step] * 5,
}
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2))
plot.curves(cost, "steps behind, T", "ms for one gradient", lengths, ax=axes[0])
plot.curves(memory, "steps behind, T", "kB kept", lengths, ax=axes[1])
for ax in axes:
    ax.set_xscale("log")
axes[0].set_ylim(0.02, 50)
axes[1].get_legend().remove()
plt.show()
print(f"{'T':>8}" + "".join(f"{name:>24}" for name in cost))
for n, T in enumerate(lengths):
    row = [f"{cost[name][n]:.2f} ms {memory[name][n]:>7.0f} kB" for name in cost]
    print(f"{T:>8}" + "".join(f"{cell:>24}" for cell in row))
assert min(cost["BPTT"][-1], forward_step) > 2 * cost["truncated, k2 = 20"][0]

# %% [markdown]
# Across: how many steps have gone by. Up: the time for one more gradient (left), and what must be
# kept for it (right), both logarithmic. BPTT grows with `T` in both. Truncated BPTT is flat and
# cheap. (It and RTRL were measured once: neither looks at `T`.) RTRL is flat too, but its line is
# high, and it rises steeply with `H`: memory as $H^3$, time as $H^4$. That is why hardly anybody
# uses it, although it needs no past.
#
# Truncation saves memory, and waiting. If the sequence does end, and you need only one gradient, at
# its end, then full BPTT is the cheapest of all: it goes through every step once.
#
# ## Too short for the lag
#
# Now train. Each step gets a random bit, and the target is the bit of *six steps ago*. A vanilla
# RNN with 16 units, `k1 = 1`. A guess is right in half of the cases.
#
# **Predict, then run:** which is the smallest `k2` with which this can be learned? 5, 6, 7, or
# more? Or is none too small, because the state runs on?

# %%
LAG, H = 6, 16


def echo(rng, T, B):
    bits = rng.integers(0, 2, (T, B, 1))
    target, counts = np.roll(bits, LAG, axis=0), np.ones((T, B, 1), bool)
    counts[:LAG] = False
    return 2.0 * bits - 1, target.astype(float), counts


def train(k2, seed):
    rng = np.random.default_rng(seed)
    model = mr.Sequential(mr.RNN(1, H, rng=rng), mr.Linear(H, 1, rng=rng))
    optimizer = mr.Adam(0.01)
    for _ in range(15):
        x, target, counts = echo(rng, 40, 32)
        blocks = mr.truncated_bptt(model, mr.binary_cross_entropy, x, target, 1, k2, mask=counts)
        for _, grads, _ in blocks:
            mr.clip_grad_norm(grads, 1.0)
            optimizer.step(model.params, grads)
    return model


def right(model):
    x, target, counts = echo(np.random.default_rng(99), 100, 100)
    logits, _, _ = model.forward(x)
    return np.mean(((logits > 0) == target)[counts])


tried = [3, 5, 6, 7, 8, 12]
trained = {k2: [train(k2, seed) for seed in (0, 1)] for k2 in tried}
scores = np.array([[right(model) for model in trained[k2]] for k2 in tried])
ax = plot.curves(
    {"seed 0": scores[:, 0], "seed 1": scores[:, 1]}, "k2", "share right", tried, log=False
)
ax.axhline(0.5, color="black", linewidth=0.8, label="guessing")
ax.axvline(LAG + 0.5, color="grey", linewidth=0.8)
ax.set(ylim=(0.4, 1.03), xticks=tried)
ax.legend(loc="center right")
plt.show()
print(
    "k2:", {k2: f"{np.mean(s):.1%}" for k2, s in zip(tried, scores, strict=True)}, "guessing: 50%"
)
assert np.all(scores[tried.index(7) :] > 0.98) and np.all(scores[: tried.index(7)] < 0.85)
assert scores[: tried.index(7)].max() > 0.55

# %% [markdown]
# Across: `k2`. Up: the share of right answers on new sequences, for two seeds. The edge is sharp: a
# window of 7 steps holds the answer's step and the six before it, and that is enough. With 6 the step that
# the bit came from is just outside. No gradient ever says "keep this".
#
# Yet with a short `k2` some are a little better than guessing. The state does run on, and a random
# recurrent matrix keeps a blurred echo of the past. The output layer can learn to use this echo.
# But no gradient *teaches* the network to keep it.
#
# **Rule:** `k2` must be longer than the longest lag that the network should learn. And nobody tells
# you how long that lag is.
#
# ## The state runs on
#
# In practice a stream is cut into pieces, `k1 = k2 = k`. The gradient stops at the edge of a piece.
# The state must not stop there. Take the network that was trained with `k2 = 12`, and feed it a
# stream in pieces of 10 steps, once with the state handed on, once with zeros at each piece.
#
# **Predict:** how much worse is the second way, and at which steps of a piece?

# %%
model, piece = trained[12][0], 10
x, target, _ = echo(np.random.default_rng(5), 10 * piece, 200)
shares = {}
for name in ("state handed on", "zeros at each piece"):
    state, answers = None, []
    for t in range(0, len(x), piece):
        logits, state, _ = model.forward(x[t : t + piece], state)
        answers.append((logits > 0) == target[t : t + piece])
        if name == "zeros at each piece":
            state = None
    shares[name] = np.mean(answers[1:], axis=(0, 2, 3))
ax = plot.curves(shares, "step of the piece", "share right", np.arange(piece), log=False)
ax.axhline(0.5, color="black", linewidth=0.8)
ax.set(ylim=(0.4, 1.03))
plt.show()
reset = shares["zeros at each piece"]
assert np.all(abs(reset[:LAG] - 0.5) < 0.1) and np.all(reset[LAG:] > 0.9)
assert np.all(shares["state handed on"] > 0.98)

# %% [markdown]
# Across: the place of a step within its piece. Up: the share of right answers; the black line is
# guessing. With zeros, the first six steps of each piece are guesses, because what they ask for was
# in the piece before. To lose the state between two pieces is one of the most common bugs in
# programs of this kind, and the loss goes down in spite of it.
#
# **Exercise 2.** Write the loop. `x` and `target` $(T, B, \cdot)$ are a stream; cut it into pieces
# of `k` steps (the last may be shorter). For each piece: forward from the state in which the last
# piece ended (`None` at first), loss, backward, one `optimizer.step(model.params, grads)`. Return
# the list of the losses. You have `y, state, cache = model.forward(x, state)`,
# `loss, dy = loss_fn(y, target)` and `dx, dstate, grads = model.backward(dy, cache)`.


# %% tags=["exercise"]
def train_stream(model, loss_fn, x, target, k, optimizer):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def train_stream(model, loss_fn, x, target, k, optimizer):
    state, losses = None, []
    for t in range(0, len(x), k):
        y, state, cache = model.forward(x[t : t + k], state)
        loss, dy = loss_fn(y, target[t : t + k])
        _, _, grads = model.backward(dy, cache)
        optimizer.step(model.params, grads)
        losses.append(loss)
    return losses


# %% tags=["check"]
exercises.check(train_stream)

# %% [markdown]
# In the library this is `mr.fit(..., stateful=True)` with the pieces of
# [`stream`](../minirnn/datasets/batches.py); [chapter 11](11_language.ipynb) trains a language
# model that way.
#
# ## Read next
#
# - Williams & Zipser 1989, *A learning algorithm for continually running fully recurrent neural
#   networks*: RTRL.
# - Williams & Peng 1990, *An efficient gradient-based algorithm for on-line training of recurrent
#   network trajectories*: `k1` and `k2`.
# - Tallec & Ollivier 2017, *Unbiasing truncated backpropagation through time*: windows of random
#   length, weighted so that the mean gradient is right.
#
# How much a truncation takes away depends on how fast the gradient fades by itself. Why it fades is
# the subject of [chapter 6](06_vanishing.ipynb).
#
# **A question without an answer here:** RTRL keeps $H^3$ numbers to be exact. Could a small random
# part of $P$ be enough, if its *mean* is right? What would you pay instead of memory?
