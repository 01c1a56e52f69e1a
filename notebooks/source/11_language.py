# %% [markdown]
# # 11. Language, character by character
#
# **The question.** Read a play with a finger on the page, and guess each next letter before you
# uncover it. How well can you guess? One way is to count which letter usually follows. Another is
# an LSTM with 128 units. What does the network know that counting does not, and *where* does it
# keep it?
#
# You need: the LSTM of [chapter 7](07_lstm.ipynb), truncated back-propagation of
# [chapter 5](05_truncated.ipynb), softmax and cross-entropy.

# %%
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets import batches, files, texts
from minirnn.experiments.char_lm import witten_bell

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The text
#
# One megabyte of Shakespeare as a sequence of *tokens*: the number of each character in the
# alphabet. Nine tenths are for training; the rest is the test. To keep this chapter short, we train
# only on the last half million characters before the split.

# %%
STREAMS, STEPS, BATCHES = 16, 64, 500
path = files.local("tinyshakespeare/input.txt")  # in MINIRNN_DATA or the cache; nothing is fetched
if path is not None:
    text = texts.read(path)
else:
    print("Shakespeare was not found: here is the source of this library instead. What is said")
    print("about plays below then holds for programs, more or less.\n")
    folder = Path(mr.__file__).parent
    text = "".join(p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*.py")))
    text = text.encode("ascii", "ignore").decode()
tokens, alphabet = texts.characters(text)
V, split = len(alphabet), int(0.9 * len(tokens))
BATCHES = min(BATCHES, (split - 1) // (STREAMS * STEPS))
train = tokens[split - STREAMS * STEPS * BATCHES - 1 : split]
test = tokens[split : split + 20001]
newline = alphabet.index("\n")
print(f"{len(tokens)} characters, {V} different ones; training {len(train)}, test {len(test)}")
print(text[split : split + 160])
assert path is None or V == 65

# %% [markdown]
# ## How well was that guessed?
#
# A model gives a probability to each character that may come next. Its **surprise** at the one that
# does come is $-\log_2 p$ *bits*: 1 bit for $p = 1/2$, 3 bits for $p = 1/8$. You can think of bits
# as yes-or-no questions. The mean over a text is the score:
#
# $$\text{bits} = -\frac{1}{N} \sum_t \log_2 p_t \qquad\qquad
# \text{perplexity} = 2^{\,\text{bits}} = \exp\Big(-\frac{1}{N} \sum_t \ln p_t\Big)$$
#
# Perplexity is the same thing, read differently: the model is as uncertain as somebody who has to
# choose among that many equally likely characters. A loss such as
# [`softmax_cross_entropy`](../minirnn/training/losses.py) is in *nats* (natural logarithm): divide
# it by $\ln 2$ for bits.
#
# **Predict, then run:** how many bits does it take if all characters are equally likely? And if you
# know how frequent each one is, but nothing of what came before?

# %%
frequency = (np.bincount(train, minlength=V) + 1) / (len(train) + V)
for name, log_p in {
    "all equally likely": np.full(len(test), -np.log(V)),
    "by frequency": np.log(frequency[test]),
}.items():
    bits = -np.mean(log_p) / np.log(2)
    print(f"{name:<20} {bits:.2f} bits, perplexity {2**bits:.1f}")
assert bits < np.log2(V) - 0.5

# %% [markdown]
# **Exercise 1.** `log_probs` $(N,)$ holds $\ln p_t$ of each character that really came. Return the
# perplexity.


# %% tags=["exercise"]
def perplexity(log_probs):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def perplexity(log_probs):
    return np.exp(-np.mean(log_probs))


# %% tags=["check"]
exercises.check(perplexity)

# %% [markdown]
# ## Counting pairs
#
# After `q` comes `u`. A **bigram** model is a table $P$ $(V, V)$: in row $a$, the probability of
# each character $b$ after $a$. It is made by counting. We add $s$ to every count, so that a pair
# that was never seen is unlikely but not impossible:
#
# $$P_{ab} = p(b \mid a) = \frac{n_{ab} + s}{\sum_{b'} n_{ab'} + s V}$$
#
# **Exercise 2.** `text_tokens` $(N,)$ are whole numbers from 0 to $V-1$. Return $P$ $(V, V)$; each
# row sums to 1.


# %% tags=["exercise"]
def bigram(text_tokens, V, smoothing):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def bigram(text_tokens, V, smoothing):
    n = np.zeros((V, V))
    np.add.at(n, (text_tokens[:-1], text_tokens[1:]), 1)  # every pair, repeated ones too
    return (n + smoothing) / (n.sum(axis=1, keepdims=True) + smoothing * V)


# %% tags=["check"]
exercises.check(bigram)

# %% [markdown]
# (The notebook counts pairs with a function for histograms, and does not need your answer.)

# %%
pairs = np.histogram2d(train[:-1], train[1:], bins=np.arange(V + 1))[0]


def bits_of_pairs(s, given):
    with np.errstate(divide="ignore", invalid="ignore"):  # s = 0 makes log 0, and 0 / 0
        P = (pairs + s) / (pairs.sum(axis=1, keepdims=True) + s * V)
        return -np.mean(np.log2(np.nan_to_num(P)[given[:-1], given[1:]]))


for s in (0, 0.1, 1, 100):
    print(f"s = {s:<6g} training {bits_of_pairs(s, train):.3f}   test {bits_of_pairs(s, test):.3f}")
shown = np.argsort(-frequency, kind="stable")[:20]
names = [{"\n": "\\n", " ": "_"}.get(alphabet[k], alphabet[k]) for k in shown]
P = pairs[np.ix_(shown, shown)] / pairs.sum(axis=1)[shown][:, None]
fig, ax = plt.subplots(figsize=(4.6, 4))
image = ax.imshow(P, cmap="gray_r", vmin=0)
ax.set_xticks(range(20), names)
ax.set_yticks(range(20), names)
ax.set(xlabel="next character", ylabel="character")
fig.colorbar(image, ax=ax, label="p(next | character)")
plt.show()
assert path is None or np.isinf(bits_of_pairs(0, test))
assert np.isfinite(bits_of_pairs(0, train))
assert bits_of_pairs(0.1, test) < bits_of_pairs(100, test) < np.log2(V)

# %% [markdown]
# Without smoothing, the test costs infinitely many bits: one pair that was never seen is enough.
# With too much smoothing, the counts no longer matter.
#
# In the picture each row is a distribution: what comes after the character on the left (`_` is the
# space, `\n` the end of a line). Dark is likely. The dark cells show what counting knows: which
# letters end words, and which often stand together.
#
# ## Counting more
#
# Why stop at one character? An **n-gram** model counts what followed the last $n-1$ characters, the
# context. A longer context says more, but is seen more rarely. For a context that was hardly ever
# seen, the model must use a shorter one. Witten & Bell (1991) do it like this, where $k$ is the
# number of *different* characters seen after the context:
#
# $$p(b \mid \text{context}) = \frac{n_{\text{context}, b} + k \, p(b \mid \text{shorter context})}
# {n_{\text{context}} + k}$$
#
# The code is [`witten_bell`](../minirnn/experiments/char_lm.py).
#
# **Predict, then run:** our LSTM will read the half million characters *once*. Which
# n-gram model will it match: 1, 2, 3 or 5? Write your guess down.

# %%
ngrams = {n: witten_bell(train, test, V, n) for n in (1, 2, 3, 5)}
print(f"{'uniform':<10} {np.log2(V):.3f} bits")
for n, value in ngrams.items():
    print(f"{n}-gram     {value:.3f} bits, perplexity {2**value:.1f}")
assert ngrams[5] < ngrams[3] < ngrams[2] < ngrams[1]

# %% [markdown]
# ## The network
#
# Embedding, LSTM, linear layer. There are logits at every step, $p = \text{softmax}(h_t W + b)$.
# The text is cut into 16 streams, side by side. After every 64 steps the gradient goes back through
# those 64, and the **state runs on**: [`truncated_bptt`](../minirnn/training/bptt.py) with
# $k_1 = k_2 = 64$.


# %%
def make(seed=0):
    o = {"rng": np.random.default_rng(seed), "dtype": np.float32}
    return mr.Sequential(mr.Embedding(V, 64, **o), mr.LSTM(64, 128, **o), mr.Linear(128, V, **o))


x, target = next(batches.stream(train, STREAMS, STEPS * BATCHES))  # (T, B): 16 long rows
model, optimizer, losses = make(), mr.Adam(lr=5e-3), []
for loss, grads, _ in mr.truncated_bptt(model, mr.softmax_cross_entropy, x, target, STEPS, STEPS):
    mr.clip_grad_norm(grads, 1.0)
    optimizer.step(model.params, grads)
    losses.append(loss / np.log(2))


def surprise(model, x, target, state=None):
    """Bits at every step, (T, B)."""
    logits, _, _ = model.forward(x, state)
    z = logits - logits.max(axis=-1, keepdims=True)
    z -= np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(z, target[..., None], axis=-1)[..., 0] / np.log(2)


bits = surprise(model, test[:-1, None], test[1:, None])[:, 0]
lstm = bits.mean()
parts = np.array_split(losses, 25)
middles = np.cumsum([len(p) for p in parts]) - len(parts[0]) / 2
ax = plot.curves(
    {"LSTM": [p.mean() for p in parts]}, "batches read", "bits per character", middles, log=False
)
for n, value in ngrams.items():
    ax.axhline(value, color="grey", linewidth=0.8)
    ax.annotate(f"{n}-gram", (BATCHES, value), va="bottom", ha="right", fontsize=8, color="dimgrey")
plt.show()
print(f"LSTM on the test part: {lstm:.3f} bits, perplexity {2**lstm:.1f}")
print(f"3-gram {ngrams[3]:.3f}, 5-gram {ngrams[5]:.3f}, uniform {np.log2(V):.3f}")
assert ngrams[5] < lstm < ngrams[2] and (path is None or lstm < ngrams[3] - 0.1)

# %% [markdown]
# Across: batches. Up: bits per character of each batch *before* the network has learned from it
# (the orange line), and of the n-grams on the test part (grey). After one reading, the LSTM is
# better than the three-letter statistics, but not as good as the five-letter ones. A table of
# counts learns from a single example; gradient descent needs many. With two layers of 512 units and
# seven epochs, the LSTM of `minirnn char-lm` overtakes the 5-gram (see the table of the
# [experiments](../minirnn/experiments/README.md)).
#
# **Predict, then run:** where in a word is the surprise largest?

# %%
chars = np.array([alphabet[k] for k in test])
letter = np.char.isalpha(chars)
place = np.zeros(len(chars), int)  # 1 for the first letter of a word, 2 for the second, ...
for k in range(1, len(chars)):
    place[k] = place[k - 1] + 1 if letter[k] else 0
by_place = [[bits[place[1:] == k].mean() for k in range(1, 9)]]
pair_bits = -np.log2((pairs + 0.1) / (pairs.sum(axis=1, keepdims=True) + 0.1 * V))
by_place.append([pair_bits[test[:-1], test[1:]][place[1:] == k].mean() for k in range(1, 9)])
plot.curves(
    {"LSTM": by_place[0], "bigram": by_place[1]}, "which letter of a word", "bits", log=False
)
plt.show()
gain = np.subtract(by_place[1], by_place[0])
print("bits less than the bigram, by letter:", np.round(gain, 2))
assert path is None or np.argmax(by_place[0]) == 0
assert path is None or gain[0] < 0.3 < 0.7 < gain[1:].min()

# %% [markdown]
# Across: the letter's place in its word. Up: the mean surprise. The first letter is the hardest,
# and there the network gains least over the bigram. Inside a word it gains most: the bigram has
# forgotten how the word began. (The line does not fall all the way, because on the far right there
# are only long words, and those are rare.)
#
# ## What the state brings
#
# In training the state ran on from batch to batch. What if every batch of 64 steps began with
# zeros? [`fit`](../minirnn/training/fit.py) does that with `stateful=False`. We train a second
# network in this way, and test both in two ways: in pieces of 64 characters that begin with zeros,
# and with the state running on.

# %%
forgetful = make()
mr.fit(
    forgetful, mr.softmax_cross_entropy, lambda rng: batches.stream(train, STREAMS, STEPS),
    mr.Adam(lr=5e-3), 1, stateful=False, max_norm=1.0, progress=False,
)  # fmt: skip
count = (len(test) - 1) // STEPS
x_cut = test[: count * STEPS].reshape(count, STEPS).T  # (64, pieces)
t_cut = test[1 : count * STEPS + 1].reshape(count, STEPS).T
zero, on = {}, {}
for name, net in {"state carried": model, "state zero": forgetful}.items():
    zero[name] = surprise(net, x_cut, t_cut)
    on[name] = surprise(net, test[:-1, None], test[1:, None])
    print(f"trained with {name:<14} tested from zeros {zero[name].mean():.3f} bits, "
          f"running on {on[name].mean():.3f}; trigram {ngrams[3]:.3f}")  # fmt: skip
lines = {f"trained with {name}": b.mean(axis=1).reshape(-1, 4).mean(axis=1)
         for name, b in zero.items()}  # fmt: skip
ax = plot.curves(
    lines, "characters read since the zero state", "bits", np.arange(2.5, 64, 4), log=False
)
ax.axhline(on["state carried"].mean(), color="grey", linewidth=0.8)
ax.annotate("carried, running on", (0, on["state carried"].mean()), va="top", fontsize=8)
plt.show()
assert path is None or on["state carried"].mean() < on["state zero"].mean()
assert path is None or zero["state carried"].mean() > zero["state zero"].mean()
first, later = (np.array([b[k].mean() for b in zero.values()]) for k in (slice(4), slice(20, 64)))
assert path is None or (np.all(first > later + 0.3) and first[0] > first[1] + 0.3)

# %% [markdown]
# Across: how many characters were read since the state was zero, in groups of four. Up: bits. You
# can see two things. First, context helps: both lines fall over the first 20 characters or so.
# Second, each network is best at what it was trained for. With the state running on, the network
# that was trained this way is a little better. But it has met a zero state just once, at the very
# beginning, and starts badly from it. If you train with a state carried on, *use* it with a state
# carried on.
#
# ## Writing, and temperature
#
# A language model can write: draw a character, feed it back, draw the next. Before drawing, the
# logits are divided by a **temperature** $T$:
#
# $$p_k = \frac{\exp(z_k / T)}{\sum_j \exp(z_j / T)}$$
#
# **Exercise 3.** `logits` is $(..., V)$: one axis or more, with the classes on the last. Return the
# probabilities, of the same shape. Logits may be as large as 1000, where `np.exp` overflows.


# %% tags=["exercise"]
def temperature(logits, T):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def temperature(logits, T):
    z = (logits - logits.max(axis=-1, keepdims=True)) / T
    p = np.exp(z)
    return p / p.sum(axis=-1, keepdims=True)


# %% tags=["check"]
exercises.check(temperature)

# %% [markdown]
# Here is what may follow a given beginning, at several temperatures. In your own copy there is also
# a slider.

# %%
begin = "\nThe c" if path is not None else "\n    re"
logits = model.forward(np.array([[alphabet.index(c)] for c in begin]))[0][-1, 0].astype(float)
best = np.argsort(-logits)[:12]


def heated(T):
    return np.exp((logits - np.logaddexp.reduce(logits / T) * T) / T)


def draw(T):
    fig, ax = plt.subplots(figsize=(7, 2))
    ax.bar(range(12), heated(T)[best], color=plot.STYLES[1]["color"])
    ax.set_xticks(range(12), [repr(alphabet[k])[1:-1].replace(" ", "_") for k in best])
    ax.set(ylim=(0, 1), ylabel="probability", title=f"after {begin!r}, T = {T:.2f}")
    plt.show()


exercises.play(draw, T=(0.1, 2.0, 1.0))
fig, axes = plt.subplots(1, 4, figsize=(9, 2), sharey=True)
entropies = []
for ax, T in zip(axes, (0.3, 0.7, 1.0, 1.5), strict=True):
    p = heated(T)
    ax.bar(range(12), p[best], color=plot.STYLES[1]["color"])
    entropies.append(-np.sum(p * np.log2(p)))
    ax.set(ylim=(0, 1), title=f"T = {T}: {entropies[-1]:.2f} bits")
    ax.set_xticks(range(12), [repr(alphabet[k])[1:-1].replace(" ", "_") for k in best], fontsize=7)
axes[0].set_ylabel("probability")
plt.show()
assert entropies == sorted(entropies)

# %% [markdown]
# Across: the twelve most likely next characters, in the same order in all pictures. Up: the
# probability. In the titles: the entropy, which is the mean surprise at one's own draws. A low
# temperature makes the most likely character even more likely. A high temperature makes all
# characters more *equal*. The order never changes.
#
# [`sample`](../minirnn/generate.py) does the feeding back. Beside each text you see which share of
# its words occur in the training text, and how many of its words are different. The baseline is a
# writer who draws each character by its frequency.


# %%
def words(s):
    return re.findall(r"[A-Za-z']+", s)


known, share = set(words("".join(alphabet[k] for k in train))), {}


def rate(name, s):
    share[name] = np.mean([w in known for w in words(s)]), len(set(words(s))) / len(words(s))
    print(
        f"--- {name}: {share[name][0]:.0%} of the words are known, {share[name][1]:.0%} different"
    )


for T in (0.3, 0.7, 1.0, 1.5):
    dice, written = np.random.default_rng(1), ""
    for k in range(10):  # ten times it goes on from a hundred letters of the test text
        drawn = mr.sample(model, test[1000 * k : 1000 * k + 100], T, rng=dice)
        written += "".join(alphabet[next(drawn)[0]] for _ in range(200))
    rate(f"T = {T}", written)
    print(written[:180] + "\n")
rate("by frequency", "".join(alphabet[k] for k in rng.choice(V, 2000, p=frequency)))
rate("the test text", "".join(chars[:2000]))
assert share["T = 0.3"][0] > share["T = 1.0"][0] > share["T = 1.5"][0]
assert share["T = 0.3"][1] < share["T = 1.0"][1] < share["T = 1.5"][1]
assert path is None or (share["T = 0.3"][0] > 0.8 and share["T = 1.5"][0] < 0.5)

# %% [markdown]
# Cold: real words, but the same again and again. Hot: most of the words do not exist. Neither share
# alone says what is good. The last line shows both shares for real text.
#
# ## What single units track
#
# The network has 128 cells $c_t$. Does one of them stand for something that we have a name for?
# Karpathy, Johnson & Fei-Fei (2015) looked and found cells that follow the position in a line, or
# quotation marks. Let us *search* instead: [`trace`](../minirnn/measure.py) gives all $c$ over 4000
# characters. For each feature that we can think of, we take the unit with the largest correlation
# on the first half.
#
# The best of 128 correlations is never zero. So we compare it with three others: the same unit on
# the *second* half; the best unit of a network that was *never trained*; and the best unit for the
# feature *shifted* by a thousand characters, which then has nothing to do with the text.


# %%
def since(mark):
    """Steps since mark was last true."""
    when = np.where(mark, np.arange(len(mark)), 0)
    return np.arange(len(mark)) - np.maximum.accumulate(when)


N, half = 4000, 2000
seen = chars[:N]
inside = np.char.isalpha(seen) | (seen == "'")
features = {
    "steps since newline": since(seen == "\n"),
    "inside a word": inside,
    "letters of this word": since(~inside),
    "capital letter": np.char.isupper(seen),
}


def correlation(c, feature):
    c, f = c - c.mean(axis=0), feature - np.mean(feature)
    return f @ c / np.sqrt((c**2).sum(axis=0) * (f**2).sum())


traced = {k[2:]: v for k, v in mr.trace(model, test[:N, None]).items()}
c = traced["c"][:, 0]
c_raw = mr.trace(make(), test[:half, None])["1.c"][:, 0]
best_unit, table = {}, {}
print(f"{'':<22}unit  found  2nd half   untrained   shifted")
for name, f in features.items():
    found = correlation(c[:half], f[:half])
    unit = best_unit[name] = int(np.argmax(abs(found)))
    again = correlation(c[half:], f[half:])[unit]
    raw = abs(correlation(c_raw, f[:half])).max()
    shifted = abs(correlation(c[:half], np.roll(f, 1234)[:half])).max()
    table[name] = abs(again), raw, shifted
    print(f"{name:<22}{unit:4} {found[unit]:6.2f} {again:9.2f} {raw:11.2f} {shifted:9.2f}")
u = best_unit["steps since newline"]
assert path is None or all(r[0] > max(r[1:]) for r in table.values())
assert path is None or table["steps since newline"][0] > 0.8

# %% [markdown]
# (An untrained LSTM also contains a little of everything: it is a fading memory of its inputs.) One
# unit follows the position in the line closely. Here it is over some lines of the second half.

# %% tags=["cover"]
fig, ax = plt.subplots(figsize=(9, 3.2))
start = half + int(np.argmax(seen[half:] == "\n")) + 1
rows = "".join(seen[start:]).split("\n")[:12]
width = min(max(len(r) for r in rows) + 1, 64)
grid, k = np.full((len(rows), width), np.nan), start
for i, r in enumerate(rows):
    n = min(len(r) + 1, width)
    grid[i, :n] = c[k : k + n, u]
    for j, ch in enumerate((r + "¶")[:n]):
        ax.text(j, i, ch, ha="center", va="center", fontsize=7, family="monospace")
    k += len(r) + 1
size = np.nanmax(abs(grid))
image = ax.imshow(grid, aspect="auto", cmap="PuOr", vmin=-1.6 * size, vmax=1.6 * size)
fig.colorbar(image, ax=ax, label=f"c of unit {u}")
ax.set(xlabel="place in the line", ylabel="line", xticks=range(0, width, 10), yticks=[])
plt.show()
ax = plot.gates(traced | {"c": traced["c"] / abs(c[:, u]).max()}, "ifgc", unit=u)
ax.set(xlim=(start, start + 120), ylabel=f"unit {u} (c scaled)")
for k in np.flatnonzero(seen == "\n"):
    ax.axvline(k, color="0.8", linewidth=0.8, zorder=0)
plt.show()
at_end = seen == "\n"
f_gate = traced["f"][:, 0, u]
last = {r: grid[i, len(r) - 1] for i, r in enumerate(rows) if 0 < len(r) < width}
names, spoken = ([abs(v) for r, v in last.items() if r.isupper() == k] for k in (True, False))
assert path is None or 2 * max(names) < min(spoken)
print(f"forget gate: {f_gate[at_end].mean():.2f} at the end of a line,", end=" ")
print(f"{f_gate[~at_end].mean():.2f} elsewhere")
assert path is None or (f_gate[at_end].mean() < 0.15 and f_gate[~at_end].mean() > 0.85)

# %% [markdown]
# First picture: lines of the text; the colour is $c_t$ of that unit when it has read the character
# (¶ is the end of the line). The colour gets stronger along each line of speech, and begins again
# in the next; it does not count in the names of speakers. Second picture: its gates over the first
# of these lines; vertical lines are newlines. The forget gate stays near 1, so that
# $c_t = f c_{t-1} + i g$ adds up step by step. At the newline the gate closes. Nobody told the
# network to build a counter with a reset.
#
# **Predict, then run.** Cut this unit off: set its row in `W_h` and in the linear layer to zero, so
# that nobody sees it. By how much does the network's surprise at the *ends of lines* rise?

# %%
L, B = 250, 32
x_ab, t_ab = test[: L * B].reshape(B, L).T, test[1 : L * B + 1].reshape(B, L).T
ends = t_ab == newline
whole = surprise(model, x_ab, t_ab)
W_h, W = model.params["1.W_h"], model.params["2.W"]
costs = []
for k in range(128):
    kept = W_h[k].copy(), W[k].copy()
    W_h[k], W[k] = 0, 0
    costs.append((surprise(model, x_ab, t_ab) - whole)[ends].mean())
    W_h[k], W[k] = kept
print(f"surprise at line ends: {whole[ends].mean():.3f} bits; without unit {u}: {costs[u]:+.3f}")
worst = int(np.argmax(costs))
print(f"without another unit: median {np.median(costs):+.3f},", end=" ")
print(f"most for unit {worst}: {costs[worst]:+.3f}")
assert path is None or (u != worst and costs[u] < 0.5 * costs[worst])

# %% [markdown]
# The unit that *tracks* the line best is not the one that the network *needs* most at the end of a
# line: without some other units it loses more. Several units carry the position, and the output
# layer reads those that suit it. A correlation shows that something is in the state. To see whether
# it is used, you must change something and look at the effect.
#
# ## Read next
#
# - Shannon 1951, *Prediction and entropy of printed English*: people guess letters, and the first
#   estimate of bits per character.
# - Graves 2013, *Generating sequences with recurrent neural networks*.
# - Karpathy, Johnson & Fei-Fei 2015, *Visualizing and understanding recurrent networks*.
# - Witten & Bell 1991, *The zero-frequency problem*: what to do about contexts that were never
#   seen.
#
# **A question without an answer here:** a text has some number of bits per character that no model
# can go below. How would you find out how far away you are, if you have nothing but models?
