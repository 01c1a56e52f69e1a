# %% [markdown]
# # 1. Why memory
#
# **The question.** 2 3 4, what comes next? 5. And 6 5 4? 3. The last digit is the same, so the answer
# needs what came before it. What is the *least* that must be kept of a sequence of any length, in a
# form that does not grow?
#
# You need: [chapter 0](00_start.ipynb) for the shapes. You will write the simplest memory that works,
# and get a whole sequence back out of ten numbers.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets import batches

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The task
#
# A sequence goes up or down by one, and around: 0 comes after 9. There are 20 sequences of each
# length. We train on those of 2 to 6 digits. Those of 7 and 8, and of 20, are only for the test.
# (`minirnn next-digit` is the same task without going around; see
# [`sequences`](../minirnn/experiments/next_digit.py).)


# %%
def sequences(lengths):
    found = []
    for n in lengths:
        for first in range(10):
            for step in (1, -1):
                run = (first + step * np.arange(n + 1)) % 10
                found.append((run[:-1], run[-1]))
    return found


parts = {
    "2 to 6 digits": sequences(range(2, 7)),
    "7 and 8": sequences((7, 8)),
    "20 digits": sequences([20]),
}
short = parts["2 to 6 digits"]
print({name: len(data) for name, data in parts.items()}, "sequences; for instance")
for digits, answer in (short[8], short[47], parts["7 and 8"][-1]):
    print(f"   {' '.join(map(str, digits))}  ->  {answer}")

# %% [markdown]
# ## Three ways to keep it
#
# A digit is a row of ten numbers, nine zeros and a one: `onehot = np.eye(10)[digit]`. A network takes
# an input of a fixed size, so all the one-hot rows must become *one* row.
#
# - **Concatenation**: six places of ten numbers, filled from the left.
# - **Sum** of the rows.
# - **Decaying sum**: the last digit counts 1, the one before it 1/2, then 1/4, ...


# %%
def concatenation(digits, places=6):
    if len(digits) > places:
        return None  # no room
    rows = np.zeros((places, 10))
    rows[: len(digits)] = np.eye(10)[digits]
    return rows.ravel()


def total(digits):
    return np.eye(10)[digits].sum(axis=0)


def halved(digits, decay=0.5, dtype=float):
    age = np.arange(len(digits))[::-1]  # the last digit has age 0
    return (decay ** age.astype(dtype)) @ np.eye(10, dtype=dtype)[digits]


figure, axes = plt.subplots(2, 2, figsize=(8, 3.2), sharex=True, sharey=True)
for row, (name, memory) in zip(axes, (("sum", total), ("decaying sum", halved)), strict=True):
    for ax, digits in zip(row, ([2, 3], [3, 2]), strict=True):
        ax.bar(range(10), memory(np.array(digits)), color="0.4")
        ax.set(title=f"{name} of {digits[0]}, then {digits[1]}", xticks=range(10))
for ax in axes[1]:
    ax.set_xlabel("digit")
plt.show()
assert np.array_equal(total([2, 3]), total([3, 2]))
assert not np.array_equal(halved([2, 3]), halved([3, 2]))

# %% [markdown]
# Across: the ten entries of the row. Up: their values. In the sum (above) 2 3 and 3 2 look alike: the
# order is lost. In the decaying sum (below) the later digit is the higher one.
#
# ## Where each fails
#
# One thing is known before any training. If two sequences with different answers have the same
# memory, no function of that memory gets both right. So count: among all sequences with the same
# memory, at best those with the most frequent answer can be right.
#
# **Predict, then run:** which of these reaches 100 % on 2 to 6 digits, which on 7 and 8, and on 20?
# And what about keeping the last digit alone?


# %%
def best_possible(memory, data):
    answers = {}
    for digits, answer in data:
        kept = memory(digits)
        if kept is not None:
            answers.setdefault(np.asarray(kept).tobytes(), []).append(answer)
    return sum(np.bincount(a).max() for a in answers.values()) / len(data)


memories = {
    "the last digit": lambda digits: np.eye(10)[digits[-1]],
    "concatenation": concatenation,
    "sum": total,
    "decaying sum": halved,
}


def table(shares):
    print(f"{'':<15}" + "".join(f"{part:>15}" for part in parts))
    for name, row in shares.items():
        print(f"{name:<15}" + "".join(f"{value:15.0%}" for value in row))


limit = {
    name: [best_possible(memory, data) for data in parts.values()]
    for name, memory in memories.items()
}
print("the best that any function of it can do")
table(limit)
assert limit["the last digit"] == [0.5, 0.5, 0.5] and limit["sum"] == [0.5, 0.5, 0.1]
assert limit["concatenation"] == [1, 0, 0] and limit["decaying sum"] == [1, 1, 1]

# %% [markdown]
# In a sequence of 20 digits each digit occurs twice. So all sums are the same, and one can only
# guess.
#
# These are limits. What can a network do with each memory? We put the same small network, with one
# hidden layer, on top of each, and train it on the short sequences alone. (The first column says
# only whether it could fit what it was shown. The other two are the test.)


# %%
def share(answer_to, data):
    return np.mean([answer_to(digits) == answer for digits, answer in data])


def trained(memory):
    rng = np.random.default_rng(0)
    x = np.array([memory(digits) for digits, _ in short])
    y = np.array([answer for _, answer in short])
    model = mr.Sequential(
        mr.Linear(x.shape[1], 32, rng=rng), mr.Activation("tanh"), mr.Linear(32, 10, rng=rng)
    )
    mr.fit(model, mr.softmax_cross_entropy, (x, y), mr.Adam(0.01), 600, progress=False)

    def answer_to(digits):
        kept = memory(digits)
        return None if kept is None else model.forward(kept[None])[0].argmax()

    return answer_to


result = {}
for name, memory in memories.items():
    answer_to = trained(memory)
    result[name] = [share(answer_to, data) for data in parts.values()]
result["always 0"] = [share(lambda _: 0, data) for data in parts.values()]
table(result)
assert all(r <= m for name in memories for r, m in zip(result[name], limit[name], strict=True))
assert result["concatenation"] == [1, 0, 0] and result["decaying sum"] == [1, 1, 1]

# %% [markdown]
# Concatenation is exact, but has no room for a seventh digit. More room would not help: the answer
# would depend on weights that no training sequence ever used. The sum takes any length, but cannot
# pass its limit. The decaying sum can do both, order and length.
#
# ## The decaying sum as a recurrence
#
# Above, it was computed from all digits at once. But it does not need to see the old digits again:
#
# $$s_t = d \, s_{t-1} + \mathrm{onehot}(x_t) \qquad s_{-1} = 0$$
#
# Old sum in, new digit in, new sum out: ten numbers are carried along, however long the sequence.
#
# **Exercise 1.** Write `decayed_sum(digits, decay)` in this way. `digits` $(T,)$ are whole numbers;
# return the sums after *each* step, `s` $(T, 10)$.


# %% tags=["exercise"]
def decayed_sum(digits, decay):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def decayed_sum(digits, decay):
    s, rows = np.zeros(10), []
    for digit in digits:
        s = decay * s + np.eye(10)[digit]
        rows.append(s)
    return np.array(rows)


# %% tags=["check"]
exercises.check(decayed_sum)

# %% tags=["cover"]
digits = np.array([2, 3, 4, 5, 4, 3, 3])
sums = np.array([halved(digits[: n + 1]) for n in range(len(digits))])
ax = plot.heat(sums, digits, "s")
ax.set(ylabel="digit", yticks=range(10))
plt.show()
assert np.all(np.argmax(sums, axis=1) == digits)

# %% [markdown]
# A column is the memory after one more digit; the digit is written below. Each digit lights up when it
# comes, and fades by half at every later step. The brightest entry is always the last digit.
#
# ## What is still in it?
#
# A fading memory sounds like a loss. With exact numbers, nothing is lost. The last digit has an
# entry of at least 1, and no other entry can have that, because
# $\frac12 + \frac14 + \dots + \frac1{2^{T-1}} < 1$. So you know the last digit, and can undo the
# step. Then you know the digit before it, and so on.
#
# **Exercise 2.** Write `read_back(s, T)`: given the sum `s` (10,) of `T` digits, made with decay
# 1/2, it returns all the digits in their order, oldest first.


# %% tags=["exercise"]
def read_back(s, T):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def read_back(s, T):
    s, digits = s.copy(), []
    for _ in range(T):
        k = np.argmax(s)
        digits.append(k)
        s[k] -= 1
        s = 2 * s
    return np.array(digits[::-1])


# %% tags=["check"]
exercises.check(read_back)

# %% [markdown]
# Ten numbers for any number of digits: too good to be true?
#
# **Predict, then run:** a float32 has 24 binary digits, a float64 has 53. How many decimal digits can
# be read back from ten of them?
#
# (The cell reads back in another way. The digit of age `n` is the one whose sum has a 1 in its `n`th
# place behind the binary point.)


# %%
def survives(digits, dtype):
    s = np.zeros(10, dtype)
    for digit in digits:
        s = dtype(0.5) * s
        s[digit] += 1
    age = np.arange(len(digits))[::-1]
    places = np.floor(s.astype(float) * 2.0 ** age[:, None]) % 2
    return np.array_equal(places.argmax(axis=1), digits)


lengths = np.arange(4, 89, 2)
kept = {
    name: np.array(
        [np.mean([survives(rng.integers(0, 10, n), dtype) for _ in range(40)]) for n in lengths]
    )
    for name, dtype in (("float32", np.float32), ("float64", np.float64))
}
ax = plot.curves(kept, "digits in the sequence", "share read back whole", lengths, log=False)
for places in (24, 53):
    ax.axvline(places, color="grey", linewidth=0.8)
plt.show()
for name, places in (("float32", 24), ("float64", 53)):
    assert (
        np.all(kept[name][lengths <= places] == 1) and kept[name][lengths > places + 20].max() < 0.1
    )

# %% [markdown]
# Across: the length of a random sequence. Up: the share of 40 such sequences that come back without
# a mistake; the grey lines are at 24 and 53. Up to these lines nothing is lost at all. A little
# further on, the 1 of an early digit no longer fits beside the 1 of a late digit, and is rounded
# away.
#
# So memory *in principle* is not the problem: even a fixed rule that nobody has learned keeps
# everything for a while. But what is old sits in the last places. A network that wants to use it
# must tell 0.5000001 from 0.5. And a rule that forgets more slowly seems better, but can be worse:

# %%
golden = (np.sqrt(5) - 1) / 2  # d with d + d^2 = 1
a, b = np.array([3, 3, 5]), np.array([5, 5, 3])
for d in (golden, 0.5):
    for digits in (a, b):
        print(f"decay {d:.3f}, digits {digits}: s[3] = {halved(digits, d)[3]:.3f}", end=", ")
        print(f"s[5] = {halved(digits, d)[5]:.3f}")
assert np.allclose(halved(a, golden), halved(b, golden), atol=1e-15)
assert not np.allclose(halved(a), halved(b))

# %% [markdown]
# With this decay, 3 3 5 and 5 5 3 give the same sum: two older digits together weigh as much as the
# newest. With a decay of 1/2 or less that cannot happen.
#
# ## The state as an answer
#
# Do we need everything, though? For the next digit, the last *two* digits would do. But there are
# tasks for which no fixed number of last digits is enough. **Parity**: is the number of ones among
# all bits so far even or odd? If you overlook one bit, however old, the answer is wrong. Yet the
# memory that it needs is tiny:
#
# $$h_t = h_{t-1} \ \mathrm{xor}\ x_t$$
#
# One bit, which *is* the answer so far. All of the above have this form, a function `f` of the old
# state and the new input, used again at every step:
#
# | memory | new state `f(h, x)` | learned? |
# |---|---|---|
# | the last digit | `x` | no |
# | sum | `h + x` | no |
# | decaying sum | `d * h + x` | no |
# | parity | `h xor x` | no: made for the task |
# | recurrent network | `tanh(x W_x + h W_h + b)` | **yes**: `W_x`, `W_h`, `b` |
#
# In the last row, nobody decides in advance what is kept. The weights are trained to keep what the
# answer needs. That is the idea of this course.
#
# ## A memory that is learned
#
# First the next digit again. [`Embedding`](../minirnn/layers/embedding.py) turns a digit into a row
# of numbers, which is `onehot` times a matrix; [`RNN`](../minirnn/cells/rnn.py) is the last row of
# the table; `buckets` puts sequences of similar length side by side.

# %%
model = mr.Sequential(
    mr.Embedding(10, 16, rng=rng), mr.RNN(16, 32, rng=rng), mr.Last(), mr.Linear(32, 10, rng=rng)
)
listed, answers = zip(*short, strict=True)
mr.fit(
    model,
    mr.softmax_cross_entropy,
    lambda rng: batches.buckets(listed, answers, 32, rng),
    mr.Adam(0.005),
    200,
    max_norm=1.0,
    rng=rng,
    progress=False,
)


def rnn(digits):
    return model.forward(digits[:, None])[0].argmax()


result["RNN"] = [share(rnn, data) for data in parts.values()]
table(result)
assert result["RNN"][0] == 1 and min(result["RNN"]) >= 0.9

# %% [markdown]
# What is in its state? Two sequences that end in the same digit:

# %%
cells = mr.Sequential(*model.layers[:2])
figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.2))
for ax, digits in zip(axes, (np.array([2, 3, 4, 5]), np.array([8, 7, 6, 5])), strict=True):
    h = cells.forward(digits[:, None])[0][:, 0]
    plot.heat(h, digits, "h", ax=ax)
    ax.set_title(f"then {rnn(digits)}")
plt.show()

every = short + parts["7 and 8"]
states = np.array([cells.forward(d[:, None])[0][-1, 0] for d, _ in every])
nexts = np.array([answer for _, answer in every])
last = np.array([d[-1] for d, _ in every])
apart = np.linalg.norm(states[:, None] - states, axis=-1)
other = ~np.eye(len(states), dtype=bool)
same_run = (nexts[:, None] == nexts) & (last[:, None] == last) & other
same_last = (last[:, None] == last) & (nexts[:, None] != nexts)
print(f"mean distance of final states: same last digit and direction {apart[same_run].mean():.1f},")
print(f"    same last digit, other direction {apart[same_last].mean():.1f}")
assert 2 * apart[same_run].mean() < apart[same_last].mean()

# %% [markdown]
# Across: the digits read. Down: the 32 units; grey is 0, black -1, white 1. After the 5 the two
# states are different, though the last digit is the same. Now take *all* sequences. States with the
# same last digit and the same direction are near each other, however long the sequence was. States
# with the other direction are far away. The network has found out what it must keep.
#
# ## Parity, learned
#
# Three RNNs, from different seeds, see random bits, never more than 10. Their target is the parity
# at each step. Beside them, fixed memories get the same training: the number of ones so far, and
# the decaying sum, each with a network of one hidden layer on top. And there is the one bit
# `h xor x`, by hand.
#
# **Predict, then run:** which of them still works for 100 bits?


# %%
def bits(rng, T, B):
    x = rng.integers(0, 2, (T, B))
    return 2.0 * x[..., None] - 1, np.cumsum(x, axis=0) % 2  # input -1 or 1, parity so far


def fixed(x, decay):
    s, rows = np.zeros((x.shape[1], 2)), []
    for x_t in x:
        s = decay * s + np.concatenate([x_t > 0, x_t < 0], axis=1)  # ones, zeros
        rows.append(s)
    return np.array(rows)


def learn(memory, seed, H=16):
    rng = np.random.default_rng(seed)
    parts = [mr.RNN(1, H, rng=rng)]
    if memory is not None:
        parts = [mr.Linear(2, H, rng=rng), mr.Activation("tanh")]

    def practice(rng):
        for _ in range(50):
            x, parity = bits(rng, int(rng.integers(1, 11)), 64)
            yield x if memory is None else memory(x), parity

    model = mr.Sequential(*parts, mr.Linear(H, 2, rng=rng))
    o = {"max_norm": 1.0, "rng": rng, "progress": False}
    mr.fit(model, mr.softmax_cross_entropy, practice, mr.Adam(0.01), 40, **o)
    return model


tests = [bits(rng, T, 500) for T in (2, 5, 10, 20, 50, 100)]
sizes = [len(x) for x, _ in tests]
scores = {}
for name, memory, seed in (
    *((f"RNN, seed {seed}", None, seed) for seed in (0, 1, 2)),
    ("number of ones", lambda x: fixed(x, 1.0), 0),
    ("decaying sum", lambda x: fixed(x, 0.5), 0),
):
    model = learn(memory, seed)
    outs = [model.forward(x if memory is None else memory(x))[0][-1] for x, _ in tests]
    scores[name] = [
        np.mean(out.argmax(axis=-1) == parity[-1])
        for out, (_, parity) in zip(outs, tests, strict=True)
    ]
h_xor_x = [np.logical_xor.reduce(x[..., 0] > 0, axis=0) for x, _ in tests]
scores["h xor x, by hand"] = [
    np.mean(h == parity[-1]) for h, (_, parity) in zip(h_xor_x, tests, strict=True)
]
scores["always even"] = [np.mean(parity[-1] == 0) for _, parity in tests]
print(f"{'bits':<16}" + "".join(f"{T:>7}" for T in sizes))
for name, row in scores.items():
    print(f"{name:<16}" + "".join(f"{v:7.0%}" for v in row))

# %%
ax = plot.curves(dict(list(scores.items())[:5]), "bits", "share right", sizes, log=False)
ax.axhline(0.5, color="grey", linewidth=0.8)
ax.axvline(10, color="grey", linewidth=0.8)
ax.set_xscale("log")
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
for name, row in scores.items():
    if name.startswith("RNN"):
        assert row[2] > 0.95 and row[3] > 0.9
    elif "hand" in name:
        assert min(row) == 1
    else:
        assert max(row[3:]) < 0.65
assert scores["number of ones"][1] > 0.8

# %% [markdown]
# Across: the number of bits, on a logarithmic scale; the vertical line is the longest in training.
# Up: the share of right answers; the horizontal line is guessing. The number of ones *contains* the
# parity, and the network on top of it finds the parity for a few bits. For 20 bits it guesses: it
# has hardly ever seen numbers as high as that. In the decaying sum the parity is hidden even
# better. The RNNs learn a rule for one step, which can be used any number of times. So they also
# work at lengths that were never trained.
#
# But look how far each of the three goes. The learned rule is made of real numbers, not of bits. A
# result that is not quite exact at one step is the input of the next. It is not easy for this
# network to *keep* a state over many steps. [Chapter 6](06_vanishing.ipynb) says why this is also
# hard to learn, and [chapter 7](07_lstm.ipynb) says what helps. First, in [chapter
# 2](02_by_hand.ipynb), you write the weights down yourself.
#
# ## Read next
#
# - Elman 1990, *Finding structure in time*: the recurrent network of this chapter. One of its tasks
#   is the exclusive or, spread over time.
# - Mozer 1993, *Neural net architectures for temporal sequence processing*: the kinds of short-term
#   memory, decaying sums among them.
# - Siegelmann & Sontag 1995, *On the computational power of neural nets*: what a network can
#   compute if it keeps unlimited digits in its state, as `read_back` does.
#
# **A question without an answer here:** the decaying sum keeps 53 digits in ten numbers of 53 bits.
# Could a state of ten such numbers keep more? How much at most, and what would a network need in
# order to read it?
