# %% [markdown]
# # 0. Start here
#
# **The question.** A picture has all its pixels at once; a sentence, a melody, a share price come
# one piece after the other, and there may be any number of pieces. What kind of function can take
# such a thing? This course builds the answer by hand: recurrent networks, forward and backward,
# with nothing hidden.
#
# You need: Python with NumPy, the product of matrices, and to know what a derivative is. No
# machine-learning library is used, and no program computes derivatives for you.
#
# **To install** and open the notebooks, from the folder of the README:
#
# ```sh
# python3 -m venv .venv && .venv/bin/pip install '.[notebooks]'
# .venv/bin/jupyter lab --ServerApp.root_dir=. notebooks/00_start.ipynb
# ```
#
# No notebook needs the internet. Each has **exercises**: a cell with a function that raises
# `NotImplementedError`. Write it, run it, run the `check` below it. The check says what is wrong,
# not only that something is. As long as you have not written it, the check stops with a message.
# The cells after it still run. Where it says *Predict, then run*, write your guess down first: a
# wrong guess is what you learn from.

# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.cells.textbook import rnn_step
from minirnn.datasets import batches, images

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# (The first call of a layer compiles its loops, which takes some seconds. After that, the compiled
# loops are on disk.)
#
# ## Shapes: time first
#
# A network reads several sequences side by side, a *batch*. So there are three axes, always in this
# order:
#
# | letter | what | index |
# |---|---|---|
# | `T` | steps of time | `x[t]` is what all sequences get at step `t` |
# | `B` | sequences in the batch | `x[t, b]` is what sequence `b` gets, a row of numbers |
# | `D` | features: numbers per step | `x[t, b, d]` is one number |
#
# `H` is the number of hidden units of a layer: the same axis as `D`, one layer further up. Time
# comes first because the loop runs over it: `for t in range(T): ... x[t] ...`.

# %%
T, B, D = 4, 3, 5
x = rng.normal(size=(T, B, D))
t, b, d = 2, 1, 3

figure, axes = plt.subplots(1, T, figsize=(8.5, 2.1), sharey=True)
for step, ax in enumerate(axes):
    ax.imshow(x[step], vmin=-2.5, vmax=2.5)
    ax.set(title=f"x[{step}]", xticks=range(D), yticks=range(B), xlabel="D: feature d")
    ax.spines[:].set_visible(False)
axes[0].set_ylabel("B: sequence b")
for k, (corner, width, name) in enumerate(
    [
        ((-0.5, -0.5), (D, B), f"x[{t}] {x[t].shape}"),
        ((-0.5, b - 0.5), (D, 1), f"x[{t}, {b}] {x[t, b].shape}"),
        ((d - 0.5, b - 0.5), (1, 1), f"x[{t}, {b}, {d}], a number"),
    ]
):
    look = {"edgecolor": plot.STYLES[k]["color"], "linewidth": 3.5 - k, "label": name}
    axes[t].add_patch(plt.Rectangle(corner, *width, fill=False, clip_on=False, zorder=3, **look))
figure.legend(loc="outside right center")
figure.suptitle("T: one sheet a step, from left to right")
plt.show()
assert x[t].shape == (B, D) and x[t, b].shape == (D,)

# %% [markdown]
# Each sheet is one step, its rows are the sequences, its columns the features. A sequence is not a
# sheet: it is the same row on all the sheets, `x[:, b]`.
#
# **Exercise 1.** Data often come the other way: one sequence after the other, $(B, T, D)$. Write
# `time_first(x)`, which returns them as $(T, B, D)$, so that the result at `[t, b]` is `x[b, t]`.


# %% tags=["exercise"]
def time_first(x):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def time_first(x):
    return x.transpose(1, 0, 2)


# %% tags=["check"]
exercises.check(time_first)

# %% [markdown]
# Stuck? `exercises.hint("time_first")`, and again with `2` and `3`.
#
# Now real sequences. The 8 x 8 digits come with the package. Read row by row, a picture is a
# sequence of `T` = 8 steps with `D` = 8 numbers each. `np.moveaxis` puts time first.

# %%
(train, y), (test, y_test) = images.digits()
x, x_test = (np.moveaxis(pictures / 16, 1, 0) for pictures in (train, test))
mixed = (train / 16).reshape(8, -1, 8)
print("pictures", train.shape, "-> sequences", x.shape, "; the reshaped ones", mixed.shape)
assert x.shape == mixed.shape == (8, 1297, 8)

# %% [markdown]
# **Predict, then run:** `mixed` has the right shape too, and the same numbers in it. What do you
# see if you look at its sequence 0, `mixed[:, 0]`?

# %%
figure, axes = plt.subplots(1, 8, figsize=(8.5, 1.5))
for k, ax in enumerate(axes):
    ax.imshow((x if k < 4 else mixed)[:, k % 4], cmap="gray_r")
    ax.set(title=f"{'x' if k < 4 else 'mixed'}[:, {k % 4}]", xticks=[], yticks=[])
plt.show()
assert np.array_equal(x[:, 0], train[0] / 16) and not np.array_equal(mixed[:, 0], train[0] / 16)
assert np.array_equal(mixed[0, :8], train[0] / 16)

# %% [markdown]
# Left: four sequences of `x`, time from the top down, each a digit. Right: four sequences of
# `mixed`. Each of these has rows of eight different pictures, because `reshape` leaves the numbers
# in their order in memory. Nothing raises an error, and a network would train on it, badly. Check
# shapes *and* look.
#
# ## What a layer is
#
# A dictionary `params` and two functions. `forward` computes, `backward` says how a loss would
# change. All that `backward` needs to know is in the `cache`. Nothing is kept inside the layer.

# %%
layer = mr.RNN(8, 6, rng=rng)
out, state, cache = layer.forward(x[:, :3])  # `out`, since `y` is the labels
dout = np.ones_like(out)  # pretend: the loss is the sum of all outputs
dx, dstate, grads = layer.backward(dout, cache)
for name, p in layer.params.items():
    print(f"{name:<5} {p.shape!s:<8} its gradient {grads[name].shape}")
print("out", out.shape, " state", state.shape, " dx", dx.shape)
assert np.array_equal(out[-1], state) and dx.shape == x[:, :3].shape

# %% [markdown]
# For an RNN the output at a step *is* its state at that step, so the final state is `out[-1]`. You
# can give `state` to the next call of `forward`, which then goes on where this one ended.
#
# Here is one whole step, [`rnn_step`](../minirnn/cells/textbook.py):
#
# $$a_t = x_t W_x + h_{t-1} W_h + b \qquad h_t = \tanh(a_t)$$

# %%
print(inspect.getsource(rnn_step))
h = np.zeros((3, 6))
for t in range(8):
    h = rnn_step(layer.params, x[t, :3], h).h
assert abs(h - state).max() < 1e-14
print("eight calls of it and one of layer.forward: the same state, to 1e-14")

# %% [markdown]
# (The step returns all that it computed, by name; `.h` is the new state.)
#
# ## How to read the source
#
# Begin with the cells in plain NumPy. There each line is an equation. The files after it do the
# same, but compiled, and so they are longer: equations and their derivation, the loop over time,
# the same loop backwards, and last the class around them. Read in this order:
#
# | file | what you find |
# |---|---|
# | [`cells/textbook.py`](../minirnn/cells/textbook.py) | the three cells in plain NumPy, forward and backward; begin here, and read it all |
# | [`protocol.py`](../minirnn/protocol.py) | what a layer is, in one page |
# | [`cells/rnn.py`](../minirnn/cells/rnn.py), then [`cells/lstm.py`](../minirnn/cells/lstm.py), [`cells/gru.py`](../minirnn/cells/gru.py) | the same three cells, compiled |
# | [`layers/sequential.py`](../minirnn/layers/sequential.py), [`layers/last.py`](../minirnn/layers/last.py) | layers on top of each other; the last step |
# | [`losses.py`](../minirnn/training/losses.py), [`bptt.py`](../minirnn/training/bptt.py), [`optim.py`](../minirnn/training/optim.py), [`fit.py`](../minirnn/training/fit.py) | from a loss to a trained network |
#
# Skip the folder `engine/` when you read for the first time: it only makes things fast. All files
# are in the [map of the source](../minirnn/README.md). The symbols are the same everywhere, in the
# equations and in the code: `a` is what goes into an activation, `h` the hidden state, `c` the cell
# of an LSTM, `W_x`, `W_h`, `b` the parameters, and `dname` the derivative of the loss with respect
# to `name`. The gates of an LSTM are i, f, g, o. They stand in this order, side by side, in one
# matrix. The gates of a GRU are r, z, n.
#
# **With a debugger.** The loops are compiled by Numba, and a breakpoint does not stop there. With
# `NUMBA_DISABLE_JIT=1` in the environment they run as ordinary Python: slowly, but you can step
# through every unit of every step.
#
# ```sh
# NUMBA_DISABLE_JIT=1 python -m pdb my_script.py
# ```

# %%
shapes = {name: p.shape for name, p in mr.LSTM(8, 6, rng=0).params.items()}
print("an LSTM with D = 8, H = 6:", shapes)
assert shapes == {"W_x": (8, 24), "W_h": (6, 24), "b": (24,)}

# %% [markdown]
# **Exercise 2.** Four gates side by side, so 24 columns where there are 6 units. Write
# `lstm_size(D, H)`: how many numbers must an LSTM with `D` inputs and `H` units learn in all?
#
# **Predict:** if you double `H`, is it twice as many?


# %% tags=["exercise"]
def lstm_size(D, H):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def lstm_size(D, H):
    return 4 * (D * H + H * H + H)


# %% tags=["check"]
exercises.check(lstm_size)


# %%
def size(cell, H, D=8):
    return sum(p.size for p in cell(D, H, rng=0).params.values())


units = np.array([4, 8, 16, 32, 64, 128])
ax = plot.curves(
    {cell.__name__: [size(cell, H) for H in units] for cell in (mr.RNN, mr.LSTM, mr.GRU)},
    "hidden units H",
    "parameters",
    units,
)
ax.set_xscale("log", base=2)
plt.show()
assert 3.7 < size(mr.LSTM, 128) / size(mr.LSTM, 64) < 4
assert size(mr.LSTM, 64) == 4 * size(mr.RNN, 64) and size(mr.GRU, 64) > 3 * size(mr.RNN, 64)

# %% [markdown]
# Across: the units, doubling. Up: the parameters, with 8 inputs; both scales are logarithmic. For
# many units each doubling costs nearly four times as many, because `W_h` is square. The LSTM (dashed)
# has exactly four times as many as the RNN. A GRU has three blocks, and one
# extra bias of H numbers ([chapter 8](08_gru.ipynb)).
#
# ## One network, trained
#
# A GRU reads the 8 rows of a digit. [`Last`](../minirnn/layers/last.py) takes the state after the
# last row; a linear layer turns it into ten scores.

# %%
H = 64
model = mr.Sequential(mr.GRU(8, H, rng=rng), mr.Last(), mr.Linear(H, 10, rng=rng))
plot.unrolled(model, x[:, :32])
plt.show()

# %% [markdown]
# From left to right the steps (the first two and the last), upwards the layers, with the shapes of
# what goes over each arrow, for a batch of 32. The arrows to the side carry the state: all that the
# network knows of the rows above. There is no other way from the earlier rows to the answer.
#
# **Predict, then run:** one linear layer on all 64 pixels at once gets about nine in ten right. Will
# the GRU, which sees 8 pixels at a time, get more, or fewer?
#
# (You need not know the GRU, Adam, the schedule or `max_norm` yet: read `fit` as *change the
# parameters, a little at a time, until the loss is small*.)

# %%
epochs = 40
history = mr.fit(
    model,
    mr.softmax_cross_entropy,
    lambda rng: batches.shuffled(x, y, 32, rng),
    mr.Adam(),
    epochs,
    schedule=mr.cosine(0.01, epochs),
    max_norm=5.0,
    rng=rng,
    progress=False,
)
linear = mr.Linear(64, 10, rng=rng)
flat, flat_test = train.reshape(-1, 64) / 16, test.reshape(-1, 64) / 16
beside = mr.fit(linear, mr.softmax_cross_entropy, (flat, y), mr.Adam(0.03), 300, progress=False)

answer = model.forward(x_test)[0].argmax(axis=-1)
right = {
    "GRU, row by row": np.mean(answer == y_test),
    "linear layer, all pixels": np.mean(linear.forward(flat_test)[0].argmax(axis=-1) == y_test),
    "most frequent digit": np.mean(y_test == np.bincount(y).argmax()),
}
for name, share in right.items():
    print(f"{name:<26} {share:6.1%} of {len(y_test)} test digits right")
assert right["GRU, row by row"] > max(0.93, right["linear layer, all pixels"])
assert 0.88 < right["linear layer, all pixels"] < 0.94 and right["most frequent digit"] < 0.12

# %%
plot.losses({"GRU, training loss": history.loss})
plt.axhline(np.log(10), color="grey", linewidth=0.8)
plt.text(epochs, np.log(10), "guessing: ln 10", ha="right", va="bottom", fontsize=8)
plt.ylim(top=6)
plt.show()
assert history.loss[-1] < 0.01

# %% [markdown]
# Across: epochs. In each of them the network sees all 1297 digits once. Up: the mean loss,
# logarithmic. It falls far below the loss of guessing. But by now the network knows the training
# digits by heart. What counts is the test: digits that it has never seen.
#
# What does it get wrong? Look at the pictures before you believe a percentage.

# %%
wrong = np.flatnonzero(answer != y_test)
figure, axes = plt.subplots(2, 8, figsize=(8.5, 2.9))
for ax, k in zip(axes.flat, wrong, strict=False):
    ax.imshow(test[k], cmap="gray_r")
    ax.set_title(f"{y_test[k]}, read as {answer[k]}", fontsize=8)
for ax in axes.flat:
    ax.set_axis_off()
plt.show()
print(f"{len(wrong)} of {len(y_test)} are wrong, the first {min(16, len(wrong))} of them above")

# %% [markdown]
# Above each picture: what it is, and what the network says. For some of them you may agree with the
# network.
#
# Because the network reads in time, there is a question that makes no sense for a linear layer: what
# would it say *before the end*? The same linear layer can be asked after every row.
#
# **Predict, then run:** after how many of the 8 rows is the network right for half of the test
# digits?

# %% tags=["cover"]
states, _, _ = model.layers[0].forward(x_test)
scores, _, _ = model.layers[2].forward(states)  # (T, N, 10): an answer after every row
share = np.mean(scores.argmax(axis=-1) == y_test, axis=1)
p = np.exp(scores - scores.max(axis=-1, keepdims=True))
p /= p.sum(axis=-1, keepdims=True)
which = int(np.flatnonzero((answer == y_test) & (p[3].argmax(axis=-1) != y_test))[0])

figure, axes = plt.subplots(1, 3, figsize=(8.5, 2.7), width_ratios=(3, 1.8, 3))
guess = np.full(8, right["most frequent digit"])
plot.curves(
    {"GRU so far": share, "most frequent digit": guess},
    "rows read",
    "share right",
    log=False,
    ax=axes[0],
)
axes[1].imshow(test[which], cmap="gray_r")
axes[1].set(title=f"a {y_test[which]}", xticks=[], yticks=range(8), yticklabels=range(1, 9))
axes[1].set_ylabel("row")
axes[2].imshow(p[:, which], cmap="gray_r", vmin=0, vmax=1)
axes[2].set(title="probability of each digit", xticks=range(10), xlabel="digit")
axes[2].set(yticks=range(8), yticklabels=range(1, 9), ylabel="rows read")
plt.show()
half = 1 + int(np.argmax(share >= 0.5))
print("share right after each row:", np.round(share, 2), f"; half after row {half}")
assert half >= 5 and share[-1] == right["GRU, row by row"]
assert p[-1, which].argmax() == y_test[which] != p[3, which].argmax()

# %% [markdown]
# Left: across the rows read so far, up the share of test digits that would be right if the network
# had to answer there. The other line always says the most frequent digit. The network was trained
# to answer after the last row only, and its early answers are of little use. Middle and right: one
# test digit, and what the network thinks of it row by row (dark is probable). After four rows its
# guess is wrong; later rows correct it.
#
# ## The chapters
#
# | | question |
# |---|---|
# | [1 Why memory](01_why_memory.ipynb) | what must be kept of a sequence, and in what form? |
# | [2 By hand](02_by_hand.ipynb) | can you write the weights down yourself? |
# | [3 Back-propagation through time](03_bptt.ipynb) | which use of `W_h` is to blame? |
# | [4 Break it](04_break_it.ipynb) | it trains; is its backward pass right? |
# | [5 Truncated](05_truncated.ipynb) | how far back must a gradient go? |
# | [6 Vanishing](06_vanishing.ipynb) | why does the distant past get no blame? |
# | [7 LSTM](07_lstm.ipynb), [8 GRU](08_gru.ipynb) | what do gates change? |
# | [9 Forecasting](09_forecasting.ipynb) | is it better than "as yesterday"? |
# | [10 Images](10_images.ipynb) | what if there is no time, only rows? |
# | [11 Language](11_language.ipynb) | which letter comes next? |
# | [12 Patterns](12_patterns.ipynb), [13 Attention](13_attention.ipynb) | one to many, many to one, and looking back |
# | [14 Sentiment](14_sentiment.ipynb) | did they like it, or "not"? |
# | [15 Fast](15_fast.ipynb) | where does the time go? |
# | [16 After](16_after.ipynb) | what came after recurrent networks? |
# | [17 Speech](17_speech.ipynb) | which letter was said when, if nobody knows? |
#
# Chapters 1 to 4, then 6 to 8, build on each other. After these you can read the others in any
# order.
#
# ## Read next
#
# - Elman 1990, *Finding structure in time*: the network of chapters 1 to 4, and why time is better
#   represented by what it does than by an axis of the input.
# - Lipton, Berkowitz & Elkan 2015, *A critical review of recurrent neural networks for sequence
#   learning*: an overview of the subject.
#
# **A question without an answer here:** the rows were read from the top down. From the bottom up, or
# column by column, would the same digits be wrong? If not, what would several readers together get?
