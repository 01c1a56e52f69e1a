# %% [markdown]
# # 13. Attention
#
# **The question.** An encoder reads a word, a decoder writes it down backwards. Between the two
# there is *one vector*. How long a word fits through it? And what changes if the decoder may look
# back at every letter while it writes?
#
# You need: encoder and decoder from [chapter 12](12_patterns.ipynb), the GRU of
# [chapter 8](08_gru.ipynb), the softmax of [chapter 11](11_language.ipynb).

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.datasets.synthetic import END, START, reverse
from minirnn.experiments import dates
from minirnn.layers.seq2seq import attention_weights

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The task
#
# The words have 1 to 10 random letters, and must be written from the last letter to the first.
# [`reverse`](../minirnn/datasets/synthetic.py) draws them: `source` $(T, B)$ filled up with end
# tokens, its `lengths` $(B,)$, and `target`, which begins with the start token. The letters are
# random, so no letter helps to guess another: all of them must be remembered, with their places.

# %%
LONGEST, LETTERS, V = 10, 26, 28  # tokens 0 and 1 are start and end


def spell(tokens):
    return "".join(chr(t - 2 + ord("a")) for t in tokens if t > END)


source, lengths, target = reverse(rng, 2000, LONGEST, LETTERS)  # 2000 words for testing
for b in range(3):
    print(f"{spell(source[:, b]):<12} {spell(target[:, b]):<12} length {lengths[b]}")

# %% [markdown]
# The encoder is a GRU in both directions. Its final state goes through a linear layer and a tanh,
# and becomes the first state of the decoder. That is all that the decoder knows of the word
# ([`Seq2Seq`](../minirnn/layers/seq2seq.py)):
#
# $$m, s = \text{encoder}(\text{source}) \qquad s_0 = \tanh(s W + b) \qquad
# h_t, s_{t+1} = \text{decoder}(e_t, s_t)$$
#
# A word counts as right only if every letter is right, and the end too.


# %%
def make(H, attention=None, rng=None, E=32, letters=V):
    """Encoder and decoder with H hidden units, and attention of one kind or none."""
    o = {"rng": rng, "dtype": np.float32}
    both = mr.Bidirectional(mr.GRU(E, H // 2, **o), mr.GRU(E, H // 2, **o))
    encoder = mr.Sequential(mr.Embedding(letters, E, **o), both)
    look, D, K = None, E, H  # D: what the decoder's step gets, K: what the output gets
    if attention == "Luong":
        look, K = mr.LuongAttention(H, H, **o), 2 * H
    elif attention == "Bahdanau":
        look, D, K = mr.BahdanauAttention(H, H, 32, **o), E + H, 2 * H
    decoder, bridge = mr.GRU(D, H, **o), mr.Linear(H, H, **o)
    return mr.Seq2Seq(
        encoder, mr.Embedding(letters, E, **o), decoder, mr.Linear(K, letters, **o), look, bridge
    )


def train(model, batches, epochs, seed=0):
    schedule = mr.cosine(0.01, epochs, warmup=1)
    return mr.fit(
        model, mr.softmax_cross_entropy, batches, mr.Adam(), epochs, schedule=schedule,
        max_norm=1.0, rng=seed, progress=False,
    )  # fmt: skip


def words(rng):
    """An epoch: 100 batches of 128 new words."""
    for _ in range(100):
        source, lengths, target = reverse(rng, 128, LONGEST, LETTERS)
        yield (source, target[:-1]), target[1:], (lengths, lengths + 1)


def right(written):
    """(N,): which of the test words are right from the first letter to the end."""
    full = np.full_like(target[1:], END)
    full[: len(written)] = written
    return np.all(full == target[1:], axis=0)


def by_length(flags):
    return [100 * flags[lengths == n].mean() for n in range(1, LONGEST + 1)]


# %% [markdown]
# ## The bottleneck, measured
#
# **Predict, then run:** three epochs of 12 800 words each, with 16, 32 and 64 hidden units. Does
# the share of right words fall slowly with the length, or is there a sharp edge? And with twice the
# units, is the edge at twice the length?
#
# The baseline writes the word *as it is*, which is right for the palindromes.

# %%
as_it_is = right(np.vstack([source, np.full(len(lengths), END)]))
shares = {}
for H in (16, 32, 64):
    model = make(H, rng=np.random.default_rng(0))
    train(model, words, epochs=3)
    flags = right(mr.decode(model, source, START, END, LONGEST + 1, lengths).tokens)
    shares[f"{H} units"] = by_length(flags)
    print(f"{H:3} units: {100 * flags.mean():5.1f} % of all words")
print(f"the word as it is: {100 * as_it_is.mean():.1f} %")
ax = plot.curves(
    shares | {"the word as it is": by_length(as_it_is)}, "letters in the word", "words right, %",
    log=False,
)  # fmt: skip
plt.show()
small, middle, large = (np.array(shares[f"{H} units"]) for H in (16, 32, 64))
edges = [1 + int(np.argmax(share < 50)) for share in (small, middle, large)]
print("first length at which less than half are right:", edges)
assert np.all(large[:3] > 97) and large[-1] < 30 and small[5:].max() < 5
assert np.all(np.isin(np.diff(edges), (1, 2, 3)))

# %% [markdown]
# Across: the length of the word. Up: the share that is right. All is well up to some length, and a
# few letters later nearly nothing is right. Twice the units move the edge to the right by about two
# letters: each further letter costs more units than the one before. (Longer training moves the edge
# too. The edge shows what this training and this vector can do together.)
#
# The vector has the same size for a word of one letter and for a novel. That is its fault, and no
# better cell can repair it.
#
# ## Looking back, by hand
#
# The encoder has more to offer than its last state: an output $m_t$ for every letter, the
# **memory**. Bahdanau, Cho & Bengio (2015) let the decoder ask for what it needs. A *query* $q$
# (the decoder's state) is compared with a *key* $k_t$, made from each step of the memory. The
# scores become weights. The answer is the weighted mean of the memory, the **context** $y$.
#
# For one query and one sequence, with one equation for each line below:
#
# $$k_t = m_t W_m + b \qquad e_t = v \cdot \tanh(q W_q + k_t) \qquad
# \alpha_t = \frac{\exp(e_t)}{\sum_{t'} \exp(e_{t'})} \qquad y = \sum_t \alpha_t m_t$$

# %%
T, Q, M, A = 5, 4, 6, 3
layer = mr.BahdanauAttention(Q, M, A, rng=rng)
W_m, b, v, W_q = (layer.params[name] for name in ("W_m", "b", "v", "W_q"))
b[...] = rng.normal(size=A)  # it begins with zeros
q, m = 3 * rng.normal(size=Q), rng.normal(size=(T, M))

k = m @ W_m + b  # (T, A): keys
e = np.tanh(q @ W_q + k) @ v  # (T,): scores
alpha = np.exp(e) / np.exp(e).sum()  # (T,): weights
y = alpha @ m  # (M,): the context

theirs, _, cache = layer.forward(q[None, None], m[:, None])  # (S, B, Q) and (T, B, M)
print("scores ", np.round(e, 2))
print("weights", np.round(alpha, 2), "sum", alpha.sum().round(12))
print("as mr.BahdanauAttention, to 1e-14:", abs(theirs[0, 0] - y).max() < 1e-14)
assert np.allclose(theirs[0, 0], y, rtol=1e-12, atol=1e-14)
assert np.allclose(cache.weights[0, 0], alpha, rtol=1e-12)

# %% [markdown]
# The library does the same for `S` queries and `B` sequences at once, in
# [`LuongAttention.look`](../minirnn/layers/attention.py) (Bahdanau's class inherits it, and has its
# own score). A mean with weights that are all positive is *soft*: it has a derivative with respect
# to every score. So the network can learn where to look, as it learns anything else. Through the
# softmax the derivative is
#
# $$de_t = \alpha_t \left(d\alpha_t - \sum_{t'} \alpha_{t'} d\alpha_{t'}\right)$$
#
# What counts is whether the $d\alpha_t$ of a step is above or below the weighted average. Only
# differences matter, and all $de_t$ add up to 0.

# %%
dy = rng.normal(size=M)
dalpha = m @ dy
de = alpha * (dalpha - np.sum(alpha * dalpha))
print("de", np.round(de, 3), " sum", abs(de.sum()).round(12))
report = mr.gradcheck(layer, rng.normal(size=(2, 3, Q)), state=rng.normal(size=(T, 3, M)))
print("gradients of the layer right to 1e-7:", report.ok)
assert report.ok and abs(de.sum()) < 1e-12

# %% [markdown]
# ## Padding must not be looked at
#
# In a batch, short words are filled up to the longest. Those steps have scores like any other.
# **Predict:** a word of 3 letters in a batch of length 10, all scores equal: how much of the
# attention goes to nothing?
#
# The remedy comes *before* the softmax: the score of a step past the end becomes $-\infty$, its
# weight $e^{-\infty} = 0$, and the others still add up to 1. One more thing: $e^{1000}$ overflows.
# Only differences of scores count, so first subtract the largest **valid** score of each query.
#
# **Exercise 1.** Write the softmax. `e` $(S, B, T)$ are the scores of `S` queries; `lengths`
# $(B,)$, each at least 1, says how many of the `T` steps of each sequence are valid. Returns the
# weights $(S, B, T)$, which add up to 1 over the valid steps and are 0 past the end.


# %% tags=["exercise"]
def masked_softmax(e, lengths):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def masked_softmax(e, lengths):
    past_end = np.arange(e.shape[2]) >= lengths[:, None]  # (B, T)
    e = np.where(past_end, -np.inf, e)
    p = np.exp(e - e.max(axis=2, keepdims=True))
    return p / p.sum(axis=2, keepdims=True)


# %% tags=["check"]
exercises.check(masked_softmax)

# %% [markdown]
# **Exercise 2.** Now the whole of it. Queries `q` $(S, B, Q)$, memory `m` $(T, B, M)$, `lengths`
# $(B,)$ of the memory; `W_q` $(Q, A)$, `W_m` $(M, A)$, `b` and `v` $(A,)$. Returns the weights
# `alpha` $(S, B, T)$ and the contexts `y` $(S, B, M)$:
#
# $$e_{s,t} = v \cdot \tanh(q_s W_q + m_t W_m + b) \qquad
# \alpha_s = \mathrm{softmax}_{t\,\text{valid}}(e_s) \qquad y_s = \sum_t \alpha_{s,t} m_t$$


# %% tags=["exercise"]
def attend(q, m, lengths, W_q, W_m, b, v):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def attend(q, m, lengths, W_q, W_m, b, v):
    k = (m @ W_m + b).transpose(1, 0, 2)  # (B, T, A)
    u = np.tanh((q @ W_q)[:, :, None] + k)  # (S, B, 1, A) + (B, T, A): (S, B, T, A)
    e = u @ v  # (S, B, T)
    past_end = np.arange(len(m)) >= lengths[:, None]  # (B, T)
    e = np.where(past_end, -np.inf, e)
    alpha = np.exp(e - e.max(axis=2, keepdims=True))
    alpha = alpha / alpha.sum(axis=2, keepdims=True)
    y = np.einsum("sbt,tbm->sbm", alpha, m)
    return alpha, y


# %% tags=["check"]
exercises.check(attend)

# %% [markdown]
# Stuck? `exercises.hint("attend")`, and again with `2` and `3`.
#
# ## A decoder that looks
#
# Before each step the decoder asks with its state $s_t$. It gets the context as an input, beside
# the last letter:
#
# $$c_t = \text{attention}(s_t, m) \qquad h_t, s_{t+1} = \text{decoder}([e_t, c_t], s_t) \qquad
# \text{logits}_t = [h_t, c_t] W + b$$
#
# **Predict, then run:** we draw the weights as a picture, with a row for each letter written and a
# column for each letter read. What will it look like before training? And after?

# %% tags=["cover"]
WORD = "attention"
read = np.array([[2 + ord(letter) - ord("a")] for letter in WORD])  # (T, 1)
given = np.vstack([[[START]], read[::-1]])  # what the decoder has before each step
model = make(64, "Bahdanau", np.random.default_rng(0))
_, _, cache = model.forward((read, given))
before = attention_weights(cache)[:, 0]

history = train(model, words, epochs=3)
_, _, cache = model.forward((read, given))
after = attention_weights(cache)[:, 0]
letters = [*WORD[::-1], "end"]
figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.6))
for ax, weights, title in zip(axes, (before, after), ("before", "after"), strict=True):
    plot.attention(weights, list(WORD), letters, ax=ax)
    ax.set_title(f"{title} training")
plt.show()
mirror = after[np.arange(9), np.arange(9)[::-1]]
print("weight on the letter that is to be written:", np.round(mirror, 2))
assert before.max() < 0.3 and np.mean(mirror) > 0.65 and np.argmin(mirror) in (6, 7)

# %% [markdown]
# Across: the letters read, from the first to the last. Down: the letters written. Dark is a weight
# of 1. Before training all letters get about the same weight, which says nothing. After training
# there is the diagonal from the top right to the bottom left: the model looks at each letter where
# it stands. Nobody told the model which letter to look at. Its target was only what to write.
#
# It is least sure at the two t's next to each other. Here the same letter comes twice, so that only
# the place is different (and it costs nothing to confuse them).
#
# ## Luong's score
#
# Luong, Pham & Manning (2015) asked for less: no tanh, no $v$, a product of query and key, and the
# query is the decoder's output *after* its step, which goes into the logits only.
#
# $$e_{s,t} = q_s \cdot (m_t W_m)$$
#
# Then the decoder's steps do not wait for the context, and one product answers all queries.

# %%
simple = mr.LuongAttention(Q, M, rng=rng)
e = (m @ simple.params["W_m"]) @ q  # (T,)
alpha = np.exp(e - e.max()) / np.exp(e - e.max()).sum()
theirs, _, cache = simple.forward(q[None, None], m[:, None])
assert np.allclose(cache.weights[0, 0], alpha) and np.allclose(theirs[0, 0], alpha @ m)

models = {"Bahdanau": model, "Luong": make(64, "Luong", np.random.default_rng(0))}
train(models["Luong"], words, epochs=4)
with_attention = {
    name: right(mr.decode(one, source, START, END, LONGEST + 1, lengths).tokens)
    for name, one in models.items()
}
for name, flags in with_attention.items():
    print(f"{name:<18} {100 * flags.mean():5.1f} % of all words")
print(f"{'the word as it is':<18} {100 * as_it_is.mean():5.1f} %")
lines = {name: by_length(flags) for name, flags in with_attention.items()}
lines |= {"no attention": large, "the word as it is": by_length(as_it_is)}
plot.curves(lines, "letters in the word", "words right, %", log=False)
plt.show()
assert all(flags.mean() > 0.97 for flags in with_attention.values())

# %% [markdown]
# The axes are as above. All have 64 units and three epochs, except Luong's score with a fourth,
# since it needs a little longer. With attention of either kind, there is no edge left up to 10
# letters. The vector between encoder and decoder is as small as before, but it has less to carry.
#
# **Predict:** and words of 11 to 16 letters, longer than any that it was trained on?

# %%
longer, n, answer = reverse(np.random.default_rng(7), 1200, 16, LETTERS, shortest=11)
written = mr.decode(model, longer, START, END, 17, n).tokens
full = np.full_like(answer[1:], END)
full[: len(written)] = written
flags = np.all(full == answer[1:], axis=0)
copied = np.all(np.vstack([longer, np.full(1200, END)]) == answer[1:], axis=0)
for k in (11, 12, 13, 14, 16):
    own = n == k
    share, baseline = 100 * flags[own].mean(), 100 * copied[own].mean()
    print(f"{k} letters: {share:5.1f} % right, the word as it is {baseline:.1f} %")
assert flags[n == 11].mean() > 0.5 and flags[n == 16].mean() < 0.1

# %% [markdown]
# It does not work. The memory grows with the word. But the state that asks for "the letter before
# the last one" has learned its way through 10 places, and gets lost a few places further on.
# Attention takes away the limit on *what* is kept; *where* to look is still computed by a recurrent
# state.
#
# ## What the mask is worth
#
# **Predict:** the trained model and the same test words. Which is worse: an encoder that does not
# know the lengths, or a decoder that does not?

# %%
memory, s, _ = model.read(source, lengths)
short, q = lengths == 3, s[None]  # the decoder's first state is the first query
looks = {
    "with the mask": model.attention.look(q, *memory)[1].weights[0, short],
    "without": model.attention.look(q, memory.m, memory.k)[1].weights[0, short],
    "all scores equal": np.full((1, LONGEST), 1 / LONGEST),
}
print("weight past the end, first look, words of 3 letters:")
for name, weights in looks.items():
    print(f"    {name:<18} {weights[:, 3:].sum(axis=1).mean():.3f}")
assert looks["with the mask"][:, 3:].max() == 0 < looks["without"][:, 3:].min()


class Unmasked(mr.Seq2Seq):
    """The encoder knows the lengths, the attention does not."""

    def read(self, *arguments):
        memory, s, cache = super().read(*arguments)
        return memory._replace(past_end=None), s, cache


parts = [model.parts[k] for k in ("encoder", "embedding", "decoder", "output", "attention")]
unmasked = Unmasked(*parts, bridge=model.bridge)
flags = {
    "with lengths": with_attention["Bahdanau"],
    "no mask in the attention": right(
        mr.decode(unmasked, source, START, END, LONGEST + 1, lengths).tokens
    ),
    "no lengths at all": right(mr.decode(model, source, START, END, LONGEST + 1).tokens),
    "the word as it is": as_it_is,
}
for name, each in flags.items():
    print(f"{name:<25} {100 * each.mean():5.1f} % of all words right")
assert flags["no mask in the attention"].mean() > 0.9 and flags["no lengths at all"].mean() < 0.5

# %% [markdown]
# The encoder. It reads on over the padding, and its backward half even *begins* there, so it comes
# into states that it has never seen. Without the mask in the attention, this trained model loses
# almost nothing: here the outputs of the padding are zero, and no query looks for zeros. Do not
# rely on that: an untrained model has scores that are nearly equal, and then it loses the share of
# the padding.

# %% [markdown]
# ## Dates
#
# A second task, closer to real use: from dates as people write them, in thirteen ways, to
# `1979-05-03` ([`WAYS`](../minirnn/experiments/dates.py)). The target always has ten characters.
# The baseline is a rule of a few lines that knows three of these ways, all of them with digits
# only.
#
# **Predict:** which characters will it look at to write the month of "3 may 1979"? And the "19" of
# a date that is written "3.5.79"?

# %%
spelled, answers = dates.draw_dates(np.random.default_rng(1), 1000)
assert len(dates.WAYS) == 13
print(*(f"{a:<28} {b}" for a, b in zip(spelled[:4], answers[:4], strict=True)), sep="\n")


def dates_drawn(rng):
    for _ in range(100):
        texts, wanted = dates.draw_dates(rng, 64)
        x, n = dates.tokens(texts)
        target, _ = dates.tokens(["\0" + date for date in wanted], end=True)
        yield (x, target[:-1]), target[1:], (n, np.full(64, len(target) - 1))


def write_dates(model, texts):
    x, n = dates.tokens(texts)
    written = mr.decode(model, x, dates.START, dates.END, 11, n)
    kept = ("".join(dates.ALPHABET[t] for t in row if t != dates.END) for row in written.tokens.T)
    return list(kept), written.weights


clerk = make(48, "Bahdanau", np.random.default_rng(0), E=24, letters=len(dates.ALPHABET))
train(clerk, dates_drawn, epochs=3)
found = dates.score(write_dates(clerk, spelled)[0], answers)
rule = dates.score([dates.rule(text) for text in spelled], answers)
for name, result in (("attention", found), ("the rule", rule)):
    print(
        f"{name:<12} {result['dates']:5.1f} % of dates, {result['characters']:.1f} % of characters"
    )
assert found["dates"] > 90 and rule["dates"] < 30

# %%
texts = ["3 may 1979", "thursday, may 3, 1979", "3.5.79"]
figure, axes = plt.subplots(
    1, 3, figsize=(8.6, 3), gridspec_kw={"width_ratios": [len(text) + 3 for text in texts]}
)
looked = []  # for each text, the step with the largest weight, by character written
for ax, text in zip(axes, texts, strict=True):
    date, weights = write_dates(clerk, [text])
    looked.append(weights[:, 0].argmax(axis=1))
    plot.attention(weights[:, 0], list(text), [*date[0], "end"][: len(weights)], ax=ax)
    ax.images[0].colorbar.remove()
    ax.set_aspect("auto")
    assert date == ["1979-05-03"]
plt.show()
assert all(k >= 6 for k in looked[0][:4]) and looked[0][6] in (2, 3, 4) and looked[0][9] == 0
assert looked[2][0] == 4 and looked[2][3] == 5

# %% [markdown]
# Across: the characters of the source. Down: those written; dark is a weight of 1. The model no
# longer looks in the order of the source. It looks at the year first, then at the month, then at
# the day, wherever they stand. For the "1" of 1979, which "3.5.79" does not have, it looks at the
# 7: the century follows from the year. Be careful with such pictures. They show what the decoder
# *read*: outputs of a recurrent encoder, which also know their neighbours. A dark square on a comma
# may well carry the year.
#
# ## Read next
#
# - Bahdanau, Cho & Bengio 2015, *Neural machine translation by jointly learning to align and
#   translate*: where it comes from; figure 2 is the bottleneck, figure 3 the heat maps.
# - Luong, Pham & Manning 2015, *Effective approaches to attention-based neural machine
#   translation*.
# - Jain & Wallace 2019, *Attention is not explanation*: how far one can believe such pictures.
# - Vaswani et al. 2017, *Attention is all you need*: no recurrence at all.
# - In [chapter 14](14_sentiment.ipynb) a single learned query pools a sentence.
#
# **A question without an answer here:** each of the `S` steps of the decoder looks at all `T` steps
# of the source. If the memory has every letter anyway, what is the recurrent state still good for?
# And how would a model without one know the order of the letters?
