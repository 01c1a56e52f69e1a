# %% [markdown]
# # 16. After recurrent networks
#
# **The question.** A recurrent network carries what it has seen in its state, from step to step.
# Why carry it? All the inputs are still there. What if a network looks back at them instead: at
# fixed places (a *dilated convolution*), or at those that matter (*attention*)? Is anything lost?
#
# You need: [chapter 8](08_gru.ipynb) for the GRU, [chapter 13](13_attention.ipynb) for attention. You
# will write a causal convolution, its receptive field, and a causal mask.

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets import synthetic

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Looking back at fixed places
#
# A causal convolution with `K` taps and dilation `d` sees the step itself and `K - 1` earlier ones, at
# distances $d, 2d, \dots$ Before the beginning there are zeros:
#
# $$y_t = \sum_{k=0}^{K-1} x_{t - k d} W_k \qquad x_s = 0 \text{ for } s < 0$$
#
# **Exercise 1.** `causal_conv(x, W, dilation)`: `x` $(T, B, D)$, `W` $(K, D, H)$, result $(T, B, H)$.
# `W[0]` is the tap of the step itself. No loop over steps is needed, only one over taps.


# %% tags=["exercise"]
def causal_conv(x, W, dilation):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def causal_conv(x, W, dilation):
    T, B, _ = x.shape
    y = np.zeros((T, B, W.shape[2]))
    for k in range(len(W)):
        back = k * dilation
        if back < T:
            y[back:] += x[: T - back] @ W[k]
    return y


# %% tags=["check"]
exercises.check(causal_conv)

# %% [markdown]
# In the library this is [`CausalConv`](../minirnn/layers/conv.py), with a bias and a backward pass.
# Which inputs does one output depend on? The backward pass knows: let only the last output have a
# gradient, and see where `dx` is not zero. Here for six layers with dilations 1, 2, 4, ..., 32.
#
# **Predict, then run:** each layer has only two taps. How many steps back do six of them see?


# %%
def conv_stack(D, H, dilations, o, taps=2):
    """Convolutions, each followed by a relu."""
    layers = []
    for n, d in enumerate(dilations):
        layers += [mr.CausalConv(H if n else D, H, taps, dilation=d, **o), mr.Activation("relu")]
    return layers


def seen(layers, D, T=100):
    """How many steps the last output depends on, the last one among them, measured."""
    stack = mr.Sequential(*layers)
    y, _, cache = stack.forward(rng.normal(size=(T, 8, D)))
    dy = np.zeros_like(y)
    dy[-1] = 1
    return int(np.sum(np.any(stack.backward(dy, cache)[0] != 0, axis=(1, 2))))


fields = {
    "dilations 1, 2, 4, ...": [seen(conv_stack(1, 16, [2**k for k in range(n)], {"rng": 0}), 1)
                               for n in range(1, 7)],
    "dilation 1 everywhere": [seen(conv_stack(1, 16, [1] * n, {"rng": 0}), 1) for n in range(1, 7)],
}  # fmt: skip
ax = plot.curves(fields, "layers", "steps seen", log=False)
ax.set_yscale("log", base=2)
plt.show()
print(fields)
assert fields["dilations 1, 2, 4, ..."] == [2, 4, 8, 16, 32, 64]
assert fields["dilation 1 everywhere"] == [2, 3, 4, 5, 6, 7]

# %% [markdown]
# Across: layers. Up: steps that the last output depends on, measured, on a logarithmic axis. If the
# dilation doubles from layer to layer, each layer doubles the reach, for the same number of
# weights. A drawing of four layers shows how. It shows what the last output needs, layer by layer
# down to the inputs.

# %% tags=["cover"]
T, needed = 16, {15}
fig, ax = plt.subplots(figsize=(7, 2.6))
for level, d in zip((4, 3, 2, 1), (8, 4, 2, 1), strict=True):
    below = {t - k * d for t in needed for k in (0, 1)}
    for t in needed:
        for k in (0, 1):
            ax.plot([t - k * d, t], [level - 1, level], color=plot.STYLES[1]["color"], linewidth=1)
    for row, used in ((level, needed), (level - 1, below)):
        ax.scatter(range(T), [row] * T, s=30, color="white", edgecolor="0.6", zorder=2)
        ax.scatter(sorted(used), [row] * len(used), s=30, color=plot.STYLES[0]["color"], zorder=3)
    needed = below
names = ["inputs", *(f"dilation {d}" for d in (1, 2, 4, 8))]
ax.set_yticks(range(5), names)
ax.set(xlabel="step t", xticks=range(T))
plt.show()
assert needed == set(range(T))

# %% [markdown]
# Across: steps. Up: the layers. Orange: what the output at step 15 depends on, through the lines. A
# step outside this *receptive field* is not remembered badly. It does not exist for the output.
#
# **Exercise 2.** `receptive_field(kernel, dilations)`: how many steps, including the present one, a
# stack of causal convolutions sees, with `kernel` taps in each layer and a list of dilations.


# %% tags=["exercise"]
def receptive_field(kernel, dilations):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def receptive_field(kernel, dilations):
    return 1 + (kernel - 1) * sum(dilations)


# %% tags=["check"]
exercises.check(receptive_field)

# %% [markdown]
# ## Looking back at what matters
#
# In attention every step makes a *query* $q_t$, a *key* $k_t$ and a *value* $v_t$, of $D$ numbers
# each. Its query is compared with the keys of all steps up to its own. Its answer is the mean of
# their values, weighted by how well query and key fit. (Here $t$ looks and $s$ is looked at; in
# [chapter 13](13_attention.ipynb) it was the other way round.)
#
# $$e_{ts} = \frac{q_t \cdot k_s}{\sqrt{D}} \qquad \alpha_t = \text{softmax}_{s \le t}\, e_{ts}
# \qquad y_t = \sum_{s \le t} \alpha_{ts} v_s$$
#
# Only the mask makes it causal. Here is the forward pass by hand, for one sequence:


# %%
def causal_attention(q, k, v):
    e = q @ k.T / np.sqrt(q.shape[1])
    for t in range(len(e)):
        e[t, t + 1 :] = -np.inf  # what comes later does not count
    alpha = np.exp(e - e.max(axis=1, keepdims=True))
    alpha /= alpha.sum(axis=1, keepdims=True)
    return alpha @ v, alpha


q, k, v = rng.normal(size=(3, 10, 4)) * 1.5
y, alpha = causal_attention(q, k, v)
q[6:], k[6:], v[6:] = rng.normal(size=(3, 4, 4))  # another future
print(
    "the first six outputs with another future:",
    np.array_equal(causal_attention(q, k, v)[0][:6], y[:6]),
)
assert np.array_equal(causal_attention(q, k, v)[0][:6], y[:6]) and np.all(np.triu(alpha, 1) == 0)
ax = plot.attention(alpha, range(10), range(10))
ax.set(xlabel="step s, looked at", ylabel="step t, that looks")
plt.show()

# %% [markdown]
# Across: the steps looked at. Down: the steps that look. Each row sums to 1, and everything above
# the diagonal is zero. No dilation decides what is in reach: step 9 sees step 0 as well as step 8.
#
# **Exercise 3.** `causal_mask(T)`: an array of True and False $(T, T)$; in row `t`, column `s` it is
# True where step `t` may look at step `s`.


# %% tags=["exercise"]
def causal_mask(T):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def causal_mask(T):
    steps = np.arange(T)
    return steps[:, None] >= steps


# %% tags=["check"]
exercises.check(causal_mask)

# %% [markdown]
# **Predict, then run:** shuffle the steps of a sequence, and give it to
# [`AttentionPool`](../minirnn/layers/pooling.py), which pools a sequence with one learned query. What
# happens to its answer?

# %%
pool, x = mr.AttentionPool(4, 8, rng=0), rng.normal(size=(10, 1, 4))
change = pool.forward(x[rng.permutation(10)])[0] - pool.forward(x)[0]
print(f"largest change: {np.abs(change).max():.0e}")
assert np.abs(change).max() < 1e-14

# %% [markdown]
# Nothing. A weighted mean has no order. One layer of attention needs the position of a step as an
# *input*: a learned row of numbers for each position is added to the input. (Several layers with a
# causal mask can find out something by themselves, since the mask has an order.) The library has no
# such layer, but a layer is only `params` and two functions ([`Layer`](../minirnn/protocol.py)).
# Here is one, and its check.


# %%
class Positions:
    """y[t] = x[t] + P[t], with P learned."""

    state_names = ()

    def __init__(self, steps, D, rng, dtype=np.float64):
        self.params = {"P": (rng.normal(size=(steps, D)) / np.sqrt(D)).astype(dtype)}

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        return x + self.params["P"][: len(x), None], None, None

    def backward(self, dy, cache, dstate=None):
        dP = np.zeros_like(self.params["P"])
        dP[: len(dy)] = dy.sum(axis=1)
        return dy, None, {"P": dP}


assert mr.gradcheck(Positions(5, 4, rng), rng.normal(size=(5, 2, 4))).ok

# %% [markdown]
# ## The same task for all
#
# *Temporal order* ([`temporal_order`](../minirnn/datasets/synthetic.py)): among noise there are two
# symbols, X or Y each, one near the beginning, one in the middle. Which symbol was the first, and
# which the second? There are four answers, asked for at the end. Guessing is right in 25 % of the
# cases.
#
# There are five networks with about the same number of parameters (for attention it grows with the
# length, because of the positions). The attention here is the smallest kind: there is only one
# answer, at the end, so one learned query looks at all steps (`AttentionPool`), and no mask is
# needed. All get 200 batches of 32 new sequences, the same optimizer, the same schedule and three
# seeds. All are tested on the same 1000 sequences.
#
# **Predict, then run:** the first symbol is at a tenth to a fifth of the sequence, the second at
# half of it or a little later. For sequences of 20, 40 and 80 steps: which answers can a
# convolution give that sees 32 steps? Which can attention give if it knows no positions?


# %%
def gru(D, K, T, o):
    return mr.Sequential(mr.GRU(D, 32, **o), mr.Last(), mr.Linear(32, K, **o))


def conv(layers, H):
    def make(D, K, T, o):
        dilations = [2**n for n in range(layers)]
        return mr.Sequential(*conv_stack(D, H, dilations, o), mr.Last(), mr.Linear(H, K, **o))

    return make


def attention(H, positions=True):
    def make(D, K, T, o):
        where = [Positions(T, H, o["rng"], o["dtype"])] if positions else []
        return mr.Sequential(
            mr.Linear(D, H, **o), *where, mr.Activation("relu"),
            mr.Linear(H, H, **o), mr.Activation("tanh"), mr.AttentionPool(H, H, **o),
            mr.Linear(H, H, **o), mr.Activation("relu"), mr.Linear(H, K, **o),
        )  # fmt: skip

    return make


MODELS = {
    "GRU": gru,
    "convolutions, seeing 32": conv(5, 20),
    "convolutions, seeing 128": conv(7, 17),
    "attention": attention(28),
    "attention, no positions": attention(32, positions=False),
}
LAGS, SEEDS = (20, 40, 80), (0, 1, 2)


def order(rng, T, B):
    x, target, _ = synthetic.temporal_order(rng, T, B)
    return x, target[-1]


def trained(make, T, seed, epochs=10, batches_each=20):
    rng = np.random.default_rng(seed)
    model = make(6, 4, T, {"rng": rng, "dtype": np.float32})
    mr.fit(
        model, mr.softmax_cross_entropy, lambda r: (order(r, T, 32) for _ in range(batches_each)),
        mr.Adam(), epochs, schedule=mr.cosine(0.01, epochs), max_norm=1.0, rng=rng, progress=False,
    )  # fmt: skip
    return model


score, kept = {name: [] for name in MODELS}, {}
for T in LAGS:
    x, target = order(np.random.default_rng(99), T, 1000)
    for name, make in MODELS.items():
        models = [trained(make, T, seed) for seed in SEEDS]
        right = [100 * np.mean(m.forward(x)[0].argmax(axis=1) == target) for m in models]
        score[name].append(right)
        kept[name, T] = models[int(np.argmax(right))]
score = {name: np.array(right) for name, right in score.items()}  # (lags, seeds)

print("right, %, mean (lowest to highest of three seeds); guessing: 25")
print(f"{'':<26}{'parameters':>12}" + "".join(f"{f'{T} steps':>18}" for T in LAGS))
for name, right in score.items():
    numbers = [sum(p.size for p in kept[name, T].params.values()) for T in LAGS]
    row = "".join(f"{f'{r.mean():.0f} ({r.min():.0f} to {r.max():.0f})':>18}" for r in right)
    print(f"{name:<26}{f'{min(numbers)}-{max(numbers)}':>12}{row}")

# %%
ax = plot.curves({name: right.mean(axis=1) for name, right in score.items()}, "steps",
                 "right, %, mean of three seeds", LAGS, log=False)  # fmt: skip
for right, look in zip(score.values(), plot.STYLES, strict=True):
    ax.vlines(LAGS, right.min(axis=1), right.max(axis=1), color=look["color"], alpha=0.4)
ax.axhline(25, color="grey", linewidth=0.8)
ax.set(xticks=LAGS, ylim=(0, 105))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
short, far = score["convolutions, seeing 32"], score["convolutions, seeing 128"]
assert short[0].min() > 95 and 40 < short[1].mean() < 60 and short[2].max() < 35
assert np.median(far, axis=1).min() > 95 and np.median(score["attention"], axis=1).min() > 95
assert score["attention, no positions"].max() < 82
assert score["GRU"][:2].min() > 90 and score["GRU"][2].max() < 40

# %% [markdown]
# Across: the length of the sequence, and with it the distance to what must be remembered. Up: right
# answers, mean and range of three seeds; the grey line is guessing. What to see:
#
# - *Convolutions that see 32 steps* are right while both symbols are within reach. With 40 steps they
#   see only the second one, and are right half of the time; with 80 they see neither. No training
#   helps: the inputs are not there. *Seeing 128*, at least two of three seeds are right at each length.
# - *Attention without positions* knows which symbols there were, but not in which order: XY and YX
#   look the same to it. So it is right in three of four cases at best, except by luck.
# - *Attention with positions* is right in at least two of three seeds at each length.
# - The *GRU* carries the symbols for 20 and 40 steps. For 80 steps it has not learned that in this
#   short training.
#
# What is fair here: the same sequences, the same number of batches, about as many parameters (the
# table; at 80 steps attention has the most), the same optimizer and learning rate for all. What is
# not compared: longer training, a learning rate tuned for each, several layers of attention, and
# any other task. So do not read it as "convolutions win". Read it as
# *what you must know beforehand*: the reach of the convolution, the longest position of the
# attention. The GRU needs neither.
#
# ## What it costs
#
# If an answer is needed after each new step, what must be kept of the past? The GRU keeps its
# state. A stack of convolutions keeps, for each layer, the inputs that its taps will still ask for.
# Attention keeps everything.
#
# **Predict:** for 100 000 steps, 32 units each, how many numbers is that?

# %%
H, layers = 32, 6


def numbers_kept(T):
    """Numbers that must be kept to go on after T steps, for one sequence."""
    taps = (
        sum(min(T, 2**n) for n in range(layers)) * H
    )  # K = 2: the input 2**n steps back and later
    return {"GRU": H, f"{layers} convolutions": taps, "attention": 2 * T * H}  # keys and values


lengths = 10 ** np.arange(1, 6)
needs = {name: [numbers_kept(T)[name] for T in lengths] for name in numbers_kept(1)}
ax = plot.curves(needs, "steps so far", "numbers kept", lengths)
ax.set_xscale("log")
plt.show()
print(numbers_kept(100_000))
assert needs["GRU"][-1] == 32 and needs["attention"][-1] == 6_400_000
assert needs[f"{layers} convolutions"][-1] == 63 * 32

# %% [markdown]
# Across: steps so far. Up: numbers kept, both axes logarithmic. The memory of the recurrent network
# does not grow. This is a strength with streams. It is a weakness when things must be looked up:
# all that the network will ever need must fit into those 32 numbers *before* it knows the question.
#
# And the time of a forward pass over a whole sequence, measured when this notebook was made:

# %% tags=["clock"]
o = {"rng": 0, "dtype": np.float32}
gru_layer = mr.GRU(H, H, **o)
stack = mr.Sequential(*conv_stack(H, H, [2**n for n in range(layers)], o))


def milliseconds(function):
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        function()
        taken.append(1e3 * (time.perf_counter() - started))
    return np.median(taken)


Ts, taken = (64, 128, 256, 512, 1024, 2048), {"GRU": [], "convolutions": [], "attention": []}
for T in Ts:
    x = rng.normal(size=(T, 1, H)).astype(np.float32)
    taken["GRU"].append(milliseconds(lambda x=x: gru_layer.forward(x)))
    taken["convolutions"].append(milliseconds(lambda x=x: stack.forward(x)))
    taken["attention"].append(milliseconds(lambda x=x: causal_attention(x[:, 0], x[:, 0], x[:, 0])))
ax = plot.curves(taken, "steps T", "milliseconds", Ts)
ax.set_xscale("log", base=2)
plt.show()
for name, ms in taken.items():
    print(f"{name:<14} {Ts[-2]} steps {ms[-2]:6.1f} ms, {Ts[-1]} steps {ms[-1]:6.1f} ms")

# %% [markdown]
# Across: steps. Up: milliseconds, one sequence, one layer of attention against six of convolutions
# and one GRU. Doubling $T$ doubles a cost that grows with $T$, and quadruples one that grows with
# $T^2$, as attention's does: every step looks at every one before. On this processor the GRU is far
# ahead of attention at 2048 steps. On a machine with thousands of arithmetic units the picture is
# different (not measured here): with attention and convolutions no step waits for another, but each
# step of the GRU waits for the step before.
#
# ## Read next
#
# - van den Oord et al. 2016, *WaveNet: a generative model for raw audio*: dilated causal convolutions.
# - Bai, Kolter & Koltun 2018, *An empirical evaluation of generic convolutional and recurrent networks
#   for sequence modeling*.
# - Vaswani et al. 2017, *Attention is all you need*.
# - Gu & Dao 2023, *Mamba: linear-time sequence modeling with selective state spaces*: a recurrence
#   again, but one whose steps do not have to wait.
#
# **A question without an answer here:** a state of fixed size must decide what to keep before it
# knows the question; attention does not have to decide, and pays with memory. Is there something in
# between that keeps more where more is worth keeping?
