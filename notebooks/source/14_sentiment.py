# %% [markdown]
# # 14. Did they like it?
#
# **The question.** "I did not see it, but I did like it." "I did see it, but I did not like it."
# The same words, and the opposite opinion. What must a model be able to do to tell them apart? And
# how do you put sentences of different lengths into one array, so that the empty places do not
# change the answer?
#
# You need: the GRU of [chapter 8](08_gru.ipynb), tokens from [chapter 11](11_language.ipynb), and
# for one section attention, [chapter 13](13_attention.ipynb).

# %%
import time

import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets import batches, files, texts
from minirnn.experiments import polarity, sentiment

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Two kinds of sentences
#
# The *made-up* ones have two clauses, and one of the two has a "not". The label is whether they
# liked it ([`negation`](../minirnn/experiments/polarity.py)). Before or after these clauses there
# are up to six others that have nothing to do with the question. The *real* ones are from film
# reviews (rt-polarity, Pang & Lee 2005), if they are on this machine.

# %%
ASIDES = ["it was a monday", "my sister came too", "we had good seats", "the hall was full",
          "it rained all day", "they began late"]  # fmt: skip


def tell(rng, N):
    """Sentences (N lists of words) and labels (N,), 1 for those who liked it."""
    told, labels = polarity.negation(rng, N)
    for k, sentence in enumerate(told):
        for aside in rng.integers(0, len(ASIDES), rng.integers(0, 7)):
            more = [*ASIDES[aside].split(), "."]
            sentence = more + sentence if rng.random() < 0.5 else sentence + more
        told[k] = sentence
    return told, labels


made_up, labels = tell(rng, 3000)
sentences = made_up
if files.local("rt-polarity/rt-polarity.neg"):
    lines, opinions = texts.polarity()
    sentences = real = [texts.words(line) for line in lines]
else:
    real = None
    print("rt-polarity is not here (see MINIRNN_DATA): the made-up sentences only.")
for k in (0, 1):
    print("made up:", labels[k], " ".join(made_up[k]))
    if real:
        print("real:   ", opinions[-1 - k], " ".join(real[-1 - k]))

# %% [markdown]
# ## Side by side
#
# A batch is one array $(T, B)$. `T` is the length of the longest sentence; the others are filled up
# with the token 0. Beside it there is `lengths` $(B,)$. Without it, nobody knows any more which
# zeros mean something.
#
# **Exercise 1.** Write `pad`. `sequences` is a list of lists of tokens, each with at least one
# token. Returns the array of tokens $(T, B)$, time first, filled up *behind* with 0, and the
# lengths $(B,)$.


# %% tags=["exercise"]
def pad(sequences):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def pad(sequences):
    lengths = np.array([len(s) for s in sequences])
    tokens = np.zeros((lengths.max(), len(sequences)), dtype=int)
    for b, s in enumerate(sequences):
        tokens[: len(s), b] = s
    return tokens, lengths


# %% tags=["check"]
exercises.check(pad)

# %% [markdown]
# **Predict, then run:** batches of 32 sentences, drawn at random. What share of the array is
# padding? And if each batch is made of sentences of similar length
# ([`buckets`](../minirnn/datasets/batches.py))?

# %%
index = texts.vocabulary(sentences, 20000)
coded = [texts.encode(s, index) for s in sentences]


def at_random(coded, targets, rng, size=32):
    """Batches (x, target, lengths) in an order drawn from rng."""
    order = rng.permutation(len(coded))
    for rows in np.split(order, np.arange(size, len(order), size)):
        x, lengths = batches.pad([coded[k] for k in rows])
        yield x, targets[rows], lengths


nothing = np.zeros(len(coded), int)
kinds = {
    "at random": list(at_random(coded, nothing, np.random.default_rng(1))),
    "in buckets": batches.buckets(coded, nothing, 32, rng=1),
}
share = {}
for name, listed in kinds.items():
    places = sum(x.size for x, _, _ in listed)
    share[name] = 1 - sum(n.sum() for _, _, n in listed) / places
    print(f"{name:<11} {len(listed)} batches, {places:7} places, {share[name]:6.1%} padding")
figure, axes = plt.subplots(1, 3, figsize=(8.6, 2.8))
axes[0].hist([len(s) for s in sentences], bins=range(0, 62, 2), color=plot.STYLES[1]["color"])
axes[0].set(xlabel="words in a sentence", ylabel="sentences")
for ax, (name, listed) in zip(axes[1:], kinds.items(), strict=True):
    x, _, n = listed[2]
    ax.imshow(np.arange(60)[:, None] < n, cmap="gray_r", vmax=2, aspect="auto")
    ax.axhline(len(x) - 0.5, color=plot.STYLES[0]["color"], linewidth=1.5)
    ax.set(xlabel="row of the batch", ylabel="step t", title=name)
plt.show()
assert share["at random"] > 0.25 and share["in buckets"] < 0.05

# %% [markdown]
# Left: how long the sentences are. Middle and right: one batch of each kind, a column for each
# sentence, time downwards. Grey means words; white, down to the orange line, is padding. Padding
# takes space, and time:

# %% tags=["clock"]
gru = mr.GRU(32, 32, rng=0, dtype=np.float32)
seconds = {}
for name, listed in kinds.items():
    least = []
    for _ in range(2):
        begin = time.perf_counter()
        for x, _, n in listed:
            y, _, cache = gru.forward(np.zeros((*x.shape, 32), np.float32), None, n)
            gru.backward(y, cache)
        least.append(time.perf_counter() - begin)
    seconds[name] = min(least)
    print(f"{name:<11} {1000 * seconds[name]:5.0f} ms for all batches, forward and backward")

# %% [markdown]
# Buckets have a price: the order of the sentences is no longer fully random. The batches themselves
# are still shuffled.
#
# ## A bag of words
#
# This is the simplest thing that reads: every word has a number for each class, and a sentence gets
# the sum of its words' numbers. A GRU reads in order and answers once, at its last *valid* step
# $n$:
#
# $$\text{bag: logits} = \sum_{t<n} W[x_t] \qquad\qquad
# \text{GRU: } h_t = \text{GRU}(E[x_t], h_{t-1}), \quad \text{logits} = h_n W + b$$
#
# **Predict, then run:** how often is the bag right on new made-up sentences, after as much training
# as you like? (Both labels are equally likely.)

# %%
train, test = sentiment.split(made_up, labels, np.random.default_rng(2), 1 / 3)
words = texts.vocabulary(train[0], 200)


def encode(part):
    return [texts.encode(s, words) for s in part[0]], part[1]


train, test = encode(train), encode(test)
x_test, n_test = batches.pad(test[0])


def train_on(model, part, epochs, lr=0.005, seed=1):
    return mr.fit(
        model, mr.softmax_cross_entropy, lambda rng: batches.buckets(*part, 32, rng), mr.Adam(lr),
        epochs, max_norm=1.0, rng=seed, progress=False,
    )  # fmt: skip


def reader(cell, V, pool=None, E=16, H=32, drop=0.0):
    """Words, one recurrent layer, one answer."""
    o = {"rng": np.random.default_rng(0), "dtype": np.float32}
    layers = [mr.Embedding(V, E, **o), cell(E, H, **o), pool or mr.Last()]
    if drop:
        layers = [layers[0], mr.Dropout(drop), *layers[1:], mr.Dropout(drop)]
    return mr.Sequential(*layers, mr.Linear(H, 2, **o))


def accuracy(model, x, target, lengths=None):
    return 100 * np.mean(model.forward(x, None, lengths)[0].argmax(axis=1) == target)


bag = sentiment.BagOfWords(len(words), 2, rng=0)
train_on(bag, train, 10)
models = {"tanh RNN": reader(mr.RNN, len(words)), "GRU": reader(mr.GRU, len(words))}
histories = {name: train_on(model, train, 10) for name, model in models.items()}
result = {name: accuracy(m, x_test, test[1], n_test) for name, m in {"bag": bag, **models}.items()}
result["always the same answer"] = 100 * np.mean(test[1] == np.bincount(train[1]).argmax())
for name, percent in result.items():
    print(f"{name:<22} {percent:5.1f} % of {len(test[1])} new sentences")
assert abs(result["bag"] - 50) < 6 and result["GRU"] > 99 and result["tanh RNN"] > 95

# %% [markdown]
# The bag cannot do it, and no training will help: both sentences of a pair have the same words, so
# the same sum, so the same logits, to the last digit:

# %%
liked = texts.words("I did not see it, but I did like it.")
disliked = texts.words("I did see it, but I did not like it.")
assert sorted(liked) == sorted(disliked)
pair, n_pair = batches.pad([texts.encode(s, words) for s in (liked, disliked)])
for name, model in (("bag", bag), ("GRU", models["GRU"])):
    first, second = model.forward(pair, None, n_pair)[0].astype(float).round(3).tolist()
    print(f"{name}: logits {first}, {second}")
both = bag.forward(pair, None, n_pair)[0]
assert np.allclose(both[0], both[1])

# %% [markdown]
# ## What happens without a mask
#
# A layer that is given `lengths` stops each sequence at its end. After the end, the state stays as
# it is and the output is zero. In the backward pass nothing comes from there
# ([`gru_forward`](../minirnn/cells/gru.py)):
#
# $$t \ge n: \quad h_t = h_{t-1}, \quad y_t = 0$$
#
# Without `lengths` it goes on reading. The padding is a token like any other, and changes the
# state.
#
# **Predict, then run:** the trained models read the test sentences, each followed by `k` steps of
# padding. Does it change the answers of the tanh RNN? Of the GRU?

# %%
extra = np.arange(25)
some = test[0][:300]
moved, percent, masked = {}, {}, []
for name, model in models.items():
    moved[name], percent[name] = [], []
    embedding, cell, _, _ = model.layers
    x, n = batches.pad(some)
    _, final, _ = cell.forward(embedding.forward(x)[0], None, n)
    for k in extra:
        longer = [np.append(s, np.zeros(k, int)) for s in some]
        x, n_all = batches.pad(longer)
        _, state, _ = cell.forward(embedding.forward(x)[0], None, n_all)  # reads the padding
        away = np.linalg.norm(state - final, axis=1) / np.linalg.norm(final, axis=1)
        moved[name].append(np.mean(away))
        percent[name].append(accuracy(model, x, test[1][:300], n_all))
        if name == "GRU":
            masked.append(accuracy(model, x, test[1][:300], n))
percent["GRU, with lengths"] = masked
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3))
plot.curves(moved, "steps of padding read", "state moved, relative", extra, log=False, ax=axes[0])
plot.curves(percent, "steps of padding read", "right, %", extra, log=False, ax=axes[1])
axes[1].axhline(50, color="grey", linewidth=0.8)
axes[1].set_ylim(-5, 105)
handles, names = axes[1].get_legend_handles_labels()
for ax in axes:
    ax.get_legend().remove()
figure.legend(handles, names, loc="outside upper center", ncols=3)
plt.show()
for name, values in percent.items():
    print(f"{name:<18} right: {min(values):5.1f} to {max(values):5.1f} % (guessing: 50 %)")
assert min(moved["GRU"][1:]) > 0.01 and np.ptp(masked) == 0
assert min(percent["tanh RNN"]) < 40 and min(percent["GRU"]) > 90

# %% [markdown]
# Left: how far the state has moved away from where the sentence ended, relative to its own size.
# Right: how many answers are right; the grey line is guessing. Both models were trained with
# lengths. So neither has ever read padding, and the vector of the padding token is still the random
# one from the start. The state moves in both. That of the tanh RNN jumps: with some numbers of
# steps, far more than half of its answers are *wrong*. The GRU has a gate that it can close, and on
# this easy task it keeps its answer. This is luck, not safety, as the real sentences will show.
#
# The worst part: *how much* padding there is depends on the neighbours in the batch. The same
# sentence gets one answer when it is alone, and another beside a long sentence. With lengths, the
# answer is always the same.

# %%
rnn = models["tanh RNN"]
alone = np.array([rnn.forward(s[:, None])[0][0] for s in some])
x, n = batches.pad(some)
masked, unmasked = rnn.forward(x, None, n)[0], rnn.forward(x)[0]
changed = np.mean(unmasked.argmax(axis=1) != alone.argmax(axis=1))
print("with lengths the logits are as alone, to 1e-4:", abs(masked - alone).max() < 1e-4)
print(f"without, they differ by up to {abs(unmasked - alone).max():.1f}", end=", and ")
print(f"{changed:.1%} of the answers change with the neighbours")
loss, dy = mr.softmax_cross_entropy(masked, test[1][:300])
y, _, cache = rnn.forward(x, None, n)
_, _, grads = rnn.backward(dy, cache)
print("gradient of the padding's vector:", abs(grads["0.W"][0]).max())
assert abs(masked - alone).max() < 1e-4 and changed > 0.02 and not grads["0.W"][0].any()

# %% [markdown]
# ## A mean without the padding
#
# Instead of the last step, you can take the mean of all outputs. Again only the valid steps count:
#
# $$p_b = \frac{1}{n_b} \sum_{t < n_b} y_{t,b}$$
#
# **Exercise 2.** Write it. `y` $(T, B, H)$, `lengths` $(B,)$, each at least 1; returns $(B, H)$. Do
# not rely on zeros in the padding: it may hold anything.


# %% tags=["exercise"]
def masked_mean(y, lengths):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def masked_mean(y, lengths):
    valid = np.arange(len(y))[:, None] < lengths  # (T, B)
    return np.where(valid[:, :, None], y, 0).sum(axis=0) / lengths[:, None]


# %% tags=["check"]
exercises.check(masked_mean)

# %% [markdown]
# Stuck? `exercises.hint("masked_mean")`, and again with `2` and `3`.
#
# ## Which word decides
#
# The GRU was asked at the end only. But its output layer can be asked after every word: what would
# you say if the sentence ended here? And how far does each word move the state?
#
# **Predict:** after which word does the answer to "I did not see it, but I did like it" become
# clear?


# %% tags=["cover"]
def softmax(logits):
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)


def after_each_word(model, tokens):
    """The probability of 1 after each word (T,), and the distance that the state has gone (T,)."""
    h = tokens[:, None]
    for layer in model.layers[:-1]:
        if not isinstance(layer, (mr.Last, mr.Dropout)):
            h, _, _ = layer.forward(h)
    p = softmax(model.layers[-1].forward(h)[0])[:, 0, 1]
    return p, np.linalg.norm(np.diff(h[:, 0], axis=0, prepend=0), axis=1)


def draw_words(ax, sentence, p, steps):
    ax.bar(range(len(p)), steps / steps.max(), color="0.85", label="state moved (largest: 1)")
    ax.plot(p, color=plot.STYLES[0]["color"], marker="o", markersize=4, label="probability of 1")
    ax.axhline(0.5, color="grey", linewidth=0.8)
    ax.set_xticks(range(len(p)), sentence, rotation=50, ha="right", rotation_mode="anchor")
    ax.set_ylim(-0.03, 1.05)


figure, axes = plt.subplots(1, 2, figsize=(8.6, 3), sharey=True)
said = []
for ax, sentence in zip(axes, (liked, disliked), strict=True):
    p, steps = after_each_word(models["GRU"], texts.encode(sentence, words))
    draw_words(ax, sentence, p, steps)
    said.append(p)
handles, names = axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside upper center", ncols=2)
plt.show()
neither, _ = after_each_word(
    models["GRU"], texts.encode(texts.words("I did see it, but I did like it."), words)
)
print(f"I did see it, but I did like it: {neither[-1]:.3f}")
assert said[0][-1] > 0.9 and said[1][-1] < 0.1
assert said[0][6] > 0.8 and said[1][6] < 0.2 and neither[-1] < 0.5

# %% [markdown]
# Across: the words, as they are read. Orange: the probability that they liked it, if the sentence
# ended here. Grey: how far the word has moved the state; the largest is 1. Before the end, these
# are answers to a question that was never asked in training. So do not read them as what the model
# believes.
#
# But look: at the word "but" both are decided, and "like" has not been read yet. Exactly one of the
# two clauses has a "not", so the first clause already tells everything. Nobody wanted to put that
# into the sentences, and 100 % on new sentences of the same kind cannot show it. The last line
# does. It is a sentence with no "not" at all: they liked it, and the GRU thinks that they did not.
#
# ## Look at all words
#
# With [`AttentionPool`](../minirnn/layers/pooling.py) in place of the last step, the model takes a
# weighted mean of all outputs, and you can look at the weights:
#
# $$\alpha = \mathrm{softmax}_{t<n}\left(v \cdot \tanh(y_t W_m + b)\right) \qquad
# p = \sum_t \alpha_t y_t$$

# %%
pooling = reader(mr.GRU, len(words), mr.AttentionPool(32, 16, rng=5, dtype=np.float32))
history = train_on(pooling, train, 6)
pooled = accuracy(pooling, x_test, test[1], n_test)
print(
    f"attention {pooled:.1f} %, bag {result['bag']:.1f} %; loss by epoch", np.round(history.loss, 3)
)
print("the GRU with the last step:", np.round(histories["GRU"].loss, 3))
y = pooling.layers[1].forward(pooling.layers[0].forward(pair)[0], None, n_pair)[0]
alpha = pooling.layers[2].forward(y, None, n_pair)[2].weights[0]
figure, axes = plt.subplots(1, 2, figsize=(8.6, 2.4), sharey=True)
for ax, sentence, weights in zip(axes, (liked, disliked), alpha, strict=True):
    ax.bar(range(len(sentence)), weights, color=plot.STYLES[1]["color"])
    ax.set_xticks(range(len(sentence)), sentence, rotation=50, ha="right", rotation_mode="anchor")
axes[0].set_ylabel("weight")
plt.show()
assert pooled > 99 and np.allclose(alpha.sum(axis=1), 1)
assert history.loss[1] < histories["GRU"].loss[1]

# %% [markdown]
# Across: the words; up: the weight of the output *at* that word, which has read all words before
# it. So a high bar at a word says that the answer was ready there, not that this word alone is the
# answer. It also learns in fewer epochs: the gradient reaches every step directly, and does not
# have to go through all the other clauses first.
#
# ## Real sentences
#
# **Predict, then run:** 10 662 sentences from film reviews, real language with all its forms. How
# much better than the bag of words is a model that reads in order?

# %%
if real:
    o = np.random.default_rng(3)
    rest, last = sentiment.split(real, opinions, o)
    first, middle = sentiment.split(*rest, o, 1 / 9)
    index = texts.vocabulary(first[0], 10000)
    parts = [(sentiment.encode(s, index, 60), y) for s, y in (first, middle, last)]
    assert len(real) == 10662 and len(first[0]) == 8530
    naive = 100 * np.mean(parts[2][1] == np.bincount(parts[0][1]).argmax())
    real_bag = sentiment.bag_of_words(len(index), *parts[:2], o, 40)
    critic = reader(mr.GRU, len(index), E=32, drop=0.5)
    history = sentiment.train(critic, *parts[:2], 32, 3e-3, 6, o, False, patience=2)
    found = {"bag of words": real_bag, "GRU": critic}
    found = {name: [sentiment.score(m, part) for part in parts] for name, m in found.items()}
    for name, figures in found.items():
        shown = dict(
            zip(("train", "validation", "test"), np.round(figures, 1).tolist(), strict=True)
        )
        print(f"{name:<14} right, %: {shown}")
    error = 100 * np.sqrt(0.25 * 0.75 / len(parts[2][1]))
    print(f"always the same answer: test {naive:.1f} %; one standard error is {error:.1f}")
    assert abs(found["GRU"][2] - found["bag of words"][2]) < 4
    assert min(found["GRU"][2], found["bag of words"][2]) > 71
else:
    print("not here: rt-polarity")

# %% [markdown]
# It is not better, or not by more than chance could explain. Most reviews show their opinion in
# single words. And 8530 short sentences are few, if a model must learn from nothing how English
# says "not". The made-up sentences have shown that the GRU *can* use the order. That does not mean
# that the order is worth anything here. Without the bag beside it, the GRU's number would have
# looked like a success of its memory.
#
# Here is what the two have learned: the bag for each word, the GRU along a sentence about which
# they disagree.

# %%
if real:
    weight = real_bag.params["W"][:, 1] - real_bag.params["W"][:, 0]
    counts = np.bincount(np.concatenate(parts[0][0]), minlength=len(index))
    names, order = list(index), [k for k in np.argsort(weight) if k > 1 and counts[k] > 20]
    print("bag, negative:", *(names[k] for k in order[:10]))
    print("bag, positive:", *(names[k] for k in order[:-11:-1]))
    x, n = batches.pad(parts[2][0])
    logits = np.array([np.diff(m.forward(x, None, n)[0])[:, 0] for m in (real_bag, critic)])
    judged = np.where(parts[2][1] == 1, logits, -logits)  # above 0: right
    odd, even = (judged[0] < 0) & (judged[1] > 0), (judged[0] > 0) & (judged[1] < 0)
    print(f"only the GRU is right: {odd.sum()}, only the bag: {even.sum()}")
    assert abs(odd.sum() - even.sum()) < 2 * np.sqrt(odd.sum() + even.sum())
    k = np.argmax(np.where(odd & (n < 24), judged[1], -np.inf))
    p, steps = after_each_word(critic, parts[2][0][k])
    figure, ax = plt.subplots(figsize=(8.6, 3))
    draw_words(ax, [names[t] for t in parts[2][0][k]], p, steps)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    print(f"label {parts[2][1][k]}, GRU {p[-1]:.2f}, bag {1 / (1 + np.exp(-logits[0, k])):.2f}")
    plt.show()

# %% [markdown]
# The axes are as before; a word that is rare in training is `<unk>`. One sentence, chosen because
# the two disagree about it, proves nothing. The two counts above say more: where the models differ,
# neither is right more often than a coin could be (the difference is below twice the square root of
# their sum).
#
# And the mask? Here is the same GRU without lengths, in random batches, and one that was also
# *trained* without lengths:

# %%
if real:

    def without(part):
        return lambda rng: ((x, target) for x, target, _ in at_random(*part, rng))

    blind = reader(mr.GRU, len(index), E=32, drop=0.5)
    mr.fit(
        blind, mr.softmax_cross_entropy, without(parts[0]), mr.Adam(3e-3), 3, max_norm=1.0, rng=1,
        progress=False,
    )  # fmt: skip
    drawn = list(at_random(*parts[2], np.random.default_rng(4)))

    def score(model, masked):
        flags = [
            model.forward(x, None, n if masked else None)[0].argmax(axis=1) == target
            for x, target, n in drawn
        ]
        return 100 * np.concatenate(flags).mean()

    table = {
        "trained with lengths, tested with": score(critic, True),
        "trained with lengths, tested without": score(critic, False),
        "trained without, tested without, 3 epochs": score(blind, False),
        "always the same answer": naive,
    }
    for name, percent in table.items():
        print(f"{name:<42} {percent:5.1f} %")
    print("best epoch of the one trained with lengths:", 1 + history.best_epoch)
    assert 1 + history.best_epoch <= 3
    figures = list(table.values())
    assert figures[0] - figures[1] > 3 and figures[2] < figures[0] - 5

# %% [markdown]
# There was no warning, and no shape was wrong. That is the danger of a missing mask: the model is
# worse, or learns nothing, and you look for the fault in the model. The test that finds it takes
# one line: *does the answer change if I append padding?*
#
# ## Read next
#
# - Pang & Lee 2005, *Seeing stars: exploiting class relationships for sentiment categorization with
#   respect to rating scales*: the sentences.
# - Wang & Manning 2012, *Baselines and bigrams: simple, good sentiment and topic classification*:
#   how hard a bag of words is to beat.
# - Yang et al. 2016, *Hierarchical attention networks for document classification*: attention
#   pooling, of words and of sentences.
# - Socher et al. 2013, *Recursive deep models for semantic compositionality over a sentiment
#   treebank*: negation, with a label on every part of a sentence.
#
# **A question without an answer here:** the bag fails on the made-up sentences, and is as good as
# the others on the real ones. What would a *bag of pairs* of neighbouring words do on both? And is
# there a task with real sentences that shows for certain whether a model reads the word "not"?
