# %% [markdown]
# # 12. Patterns: what goes in, what comes out, what comes back
#
# **The question.** A recurrent layer turns a sequence into a sequence of the same length. A
# sentence has one sentiment; a picture has a caption of many words; a translation is longer than
# what it translates. How does one layer serve for all of these? And what if a model gets back its
# own last *output*, instead of a hidden state? What does it lose, and how do its errors grow?
#
# You need: [chapter 3](03_bptt.ipynb) for the backward pass, an LSTM or GRU as a box
# ([chapter 7](07_lstm.ipynb), [chapter 8](08_gru.ipynb)).

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot

plot.style()
rng = np.random.default_rng(0)
board = {}  # pattern: (ours, baseline, what the baseline does)


def learn(model, loss_fn, x, target, epochs=150, lr=0.02):
    return mr.fit(model, loss_fn, (x, target), mr.Adam(lr=lr), epochs, rng=0, progress=False)


# %% [markdown]
# ## The five patterns
#
# Karpathy (2015) drew five. Here, each is built from the same boxes, drawn from what the model
# really does, and trained on the smallest possible task.
#
# In every picture below: time goes across, layers go up. An arrow up is an output with its shape;
# an arrow to the side is a state, handed to the next step.
#
# **1. One to one.** There is no sequence and no state: it is an ordinary network. The task is
# exclusive or, which no linear layer can do.

# %%
x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
target = np.array([[0.0], [1], [1], [0]])
one_to_one = mr.Sequential(mr.Linear(2, 8, rng=0), mr.Activation("tanh"), mr.Linear(8, 1, rng=1))
learn(one_to_one, mr.mse, x, target, 400)
with_one = np.hstack([x, np.ones((4, 1))])
linear = with_one @ np.linalg.lstsq(with_one, target, rcond=None)[0]
errors = [np.mean((y - target) ** 2) for y in (one_to_one.forward(x)[0], linear)]
print(f"mean squared error {errors[0]:.1e}, best linear layer {errors[1]:.2f}")
plot.unrolled(one_to_one, x[None])  # as a sequence of one step
plt.show()
assert errors[0] < 1e-3 and abs(errors[1] - 0.25) < 1e-9

# %% [markdown]
# **2. One to many.** Only the first step gets an input (a label, or a picture that needs a
# caption). The later inputs are padding, here token 4. The task: count on from the label, modulo 4.

# %%
T, labels = 6, np.arange(4)
target = (labels + np.arange(T)[:, None]) % 4
x = np.full((T, 4), 4)
x[0] = labels
one_to_many = mr.Sequential(
    mr.Embedding(5, 8, rng=0), mr.GRU(8, 16, rng=1), mr.Linear(16, 4, rng=2)
)
learn(one_to_many, mr.softmax_cross_entropy, x, target)
right = np.mean(one_to_many.forward(x)[0].argmax(axis=-1) == target)
board["one to many"] = right, np.mean(target == 0), "always 0"
plot.unrolled(one_to_many, x)
plt.show()
print("inputs ", x[:, 2], "\nwritten", one_to_many.forward(x)[0].argmax(axis=-1)[:, 2])

# %% [markdown]
# **3. Many to one.** [`Last`](../minirnn/layers/last.py) keeps only the last step: after it there
# is no sequence any more. The task: the sign of the *first* number, asked after six. Tested on new
# sequences.

# %%
x, new = rng.normal(size=(6, 256, 1)), rng.normal(size=(6, 1000, 1))
many_to_one = mr.Sequential(mr.LSTM(1, 8, rng=0), mr.Last(), mr.Linear(8, 1, rng=1))
learn(many_to_one, mr.binary_cross_entropy, x, (x[0] > 0).astype(float))
right = np.mean((many_to_one.forward(new)[0] > 0) == (new[0] > 0))
board["many to one"] = right, np.mean((new[-1] > 0) == (new[0] > 0)), "sign of the last number"
plot.unrolled(many_to_one, x)
plt.show()

# %% [markdown]
# **4. Many to many, in step.** An answer at every step. The task: is the number of minus signs so
# far even? Tested on sequences of 10 signs that were not in the training set.


# %%
def signs(codes):
    return ((codes >> np.arange(10)[:, None] & 1) * 2.0 - 1)[..., None]


def even(x):
    return np.cumprod(x, axis=0) > 0


codes = rng.permutation(1024)
x, new = signs(codes[:512]), signs(codes[512:])
many_to_many = mr.Sequential(mr.GRU(1, 16, rng=0), mr.Linear(16, 1, rng=1))
learn(many_to_many, mr.binary_cross_entropy, x, even(x).astype(float), 300)
right = np.mean((many_to_many.forward(new)[0] > 0) == even(new))
board["many to many"] = right, np.mean((new > 0) == even(new)), "the sign itself"
plot.unrolled(many_to_many, x)
plt.show()

# %% [markdown]
# **5. Encoder and decoder.** First read everything, then write; the two lengths may differ. The
# state in which the first network ends is the state in which the second begins, and that is *all*
# that the second knows of the source (until [chapter 13](13_attention.ipynb)). The task: four
# letters, written backwards, tested on words that were not in the training set. It is
# [`Seq2Seq`](../minirnn/layers/seq2seq.py).

# %%
codes = rng.permutation(6**4)
source = codes // 6 ** np.arange(4)[:, None] % 6 + 2  # (4, N); token 0 is the start, 1 the end
N = source.shape[1]
target = np.vstack([np.zeros((1, N), int), source[::-1], np.ones((1, N), int)])
encoder = mr.Sequential(mr.Embedding(8, 8, rng=0), mr.LSTM(8, 32, rng=1))
embedding, decoder = mr.Embedding(8, 8, rng=2), mr.LSTM(8, 32, rng=3)
output = mr.Linear(32, 8, rng=4)
model = mr.Seq2Seq(encoder, embedding, decoder, output)
known, new = slice(0, 600), slice(600, N)
told = source[:, known], target[:-1, known]  # what the encoder reads, what the decoder is told
learn(model, mr.softmax_cross_entropy, told, target[1:, known], 180)
written = mr.decode(model, source[:, new], start=0, end=1, max_length=5).tokens
right = np.mean(np.all(written == target[1:, new], axis=0))
same = np.mean(np.all(source[::-1, new] == source[:, new], axis=0))
board["encoder, decoder"] = right, same, "the word as it is"
fig, (left, right_) = plt.subplots(1, 2, figsize=(12, 4.8))
plot.unrolled(encoder, source[:, known], ax=left)
plot.unrolled(mr.Sequential(embedding, decoder, output), target[:-1, known], ax=right_)
left.set_title("encoder: its final state (h, c) ...")
right_.set_title("... is the decoder's first state")
plt.show()
print(f"{'share right':<18}  ours  baseline")
for name, (ours, base, what) in board.items():
    print(f"{name:<18}{ours:6.1%}  {base:6.1%}  ({what})")
assert all(ours > 0.9 and ours > base + 0.3 for ours, base, _ in board.values())

# %% [markdown]
# Left: the encoder. Right: the decoder, whose inputs are the start token and the letters written so
# far. (For encoder and decoder the share is of whole words.)
#
# Look at patterns 2 and 5 once more. In both, something is *written*, step by step. In pattern 2
# the network gets nothing after the first step. In pattern 5 the decoder gets back what it has
# written. The rest of this chapter is about that loop.
#
# ## What comes back: the state, or the output
#
# There are two ways to give a step something from the step before. **Hidden recurrence** (Elman
# 1990), as in all chapters so far, and **output recurrence** (Jordan 1986):
#
# $$\text{hidden:} \quad h_t = \tanh(x_t W_x + h_{t-1} W_h + b) \qquad
# \text{output:} \quad h_t = \tanh(x_t W_x + y_{t-1} W_y + b), \quad y_t = h_t W_o + b_o$$
#
# The second is [`OutputRNN`](../minirnn/cells/output_rnn.py). Its state is $y$: all that it knows
# of the past is what it has *said*.
#
# Two tasks. At step 0 a sign is shown, +1 or -1, then nothing for six steps, then a signal that the
# answer is due. *Silent*: the outputs in between have to be 0. *Aloud*: the sign has to be said at
# every step.
#
# **Predict, then run:** which of the two networks can do which of the two tasks?


# %%
def remember(rng, B, aloud, T=8):
    sign = rng.choice([-1.0, 1.0], B)
    x, y = np.zeros((T, B, 2)), np.zeros((T, B, 1))
    x[0, :, 0], x[-1, :, 1] = sign, 1  # shown at the beginning; asked at the end
    y[slice(None) if aloud else -1, :, 0] = sign
    return x, y


def train_told(model, x, y, batches=400):
    """Teacher forcing: the true outputs go in beside x."""
    adam = mr.Adam(lr=0.01)
    for _ in range(batches):
        out, _, cache = model.forward((x, y))
        _, dy = mr.mse(out, y)
        adam.step(model.params, model.backward(dy, cache)[2])


fig, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True)
print(f"{'answers that are right':<24}hidden  output  always +1")
for ax, name in zip(axes, ("silent", "aloud"), strict=True):
    x, y = remember(np.random.default_rng(0), 64, name == "aloud")
    hidden = mr.Sequential(mr.RNN(2, 16, rng=0), mr.Linear(16, 1, rng=1))
    learn(hidden, mr.mse, x, y, 400, 0.01)
    output_only = mr.OutputRNN(2, 16, 1, rng=0)
    train_told(output_only, x, y)
    x, y = remember(np.random.default_rng(1), 1000, name == "aloud")
    said = {
        "hidden recurrence": hidden.forward(x)[0],
        "output recurrence": output_only.forward(x)[0],
    }
    right = [np.mean((o[-1] > 0) == (y[-1] > 0)) for o in said.values()]
    print(f"{name:<24}{right[0]:6.1%}  {right[1]:6.1%}  {np.mean(y[-1] > 0):6.1%}")
    row = int(np.argmax(x[0, :, 0] < 0))  # a sequence that begins with -1
    lines = {label: o[:, row, 0] for label, o in said.items()}
    plot.curves(
        {"truth": y[:, row, 0], **lines}, "step t", "output", np.arange(8), log=False, ax=ax
    )
    ax.set_title(name)
    assert right[0] == 1 and (right[1] == 1 if name == "aloud" else 0.45 < right[1] < 0.55)
axes[0].legend(loc="center left")
axes[1].get_legend().remove()
plt.show()

# %% [markdown]
# Across: the step. Up: the output for a sequence that began with -1. If a line seems to be missing,
# it lies under another one. Left, the task *silent*: hidden recurrence keeps the sign and says it
# at the end. Output recurrence cannot do better than a coin: six outputs of 0 have erased what it
# knew. Right, *aloud*: the outputs carry the sign themselves, and both can do it. So output
# recurrence is enough **exactly when everything that matters has been said aloud**.
#
# ## Teacher forcing
#
# Why would anybody want the weaker network? Because in training its loop can be cut. The outputs
# $y_{t-1}$ *should* be the true ones, and those are known. So use them as inputs:
#
# $$u_0 = \text{first}, \quad u_t = \text{target}_{t-1} \qquad\qquad
# h_t = \tanh(x_t W_x + u_t W_y + b)$$
#
# Now no step waits for another one: all steps are one single matrix product. That is
# **teacher forcing** (Williams & Zipser 1989). A decoder is trained in the same way (`told`,
# above), although it also has a hidden state.
#
# **Exercise 1.** Make the inputs: `target` is $(T, B, K)$ (or tokens, $(T, B)$), `first` is one
# step of it, $(B, K)$ (or $(B,)$). Return `u` of the shape of `target`.


# %% tags=["exercise"]
def teacher_inputs(target, first):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def teacher_inputs(target, first):
    return np.concatenate([first[None], target[:-1]])


# %% tags=["check"]
exercises.check(teacher_inputs)

# %% [markdown]
# Now a longer task: continue a wave. At every step the input is the frequency $f$; the outputs are
# $\sin(f t + p)$ and $\cos(f t + p)$; the first values are given. Both together say where the wave
# is and in which direction it goes, so output recurrence has all that it needs. Three networks,
# three seeds, trained with teacher forcing. Each batch has new waves.

# %%
T, H = 60, 32


def waves(rng, B=64):
    """x (T, B, 1), the frequency, and y (T+1, B, 2), sine and cosine; y[0] is given."""
    f, p = rng.uniform(0.1, 0.4, B), rng.uniform(0, 2 * np.pi, B)
    angle = f * np.arange(T + 1)[:, None] + p
    x = np.broadcast_to(f * 5 - 1.25, (T, B))[..., None].copy()
    return x, np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def train_wave(seed, forcing, K=2, batches=500):
    """forcing: from the share of training that is done to the probability of being told."""
    rng = np.random.default_rng(seed)
    model, adam, rate = mr.OutputRNN(1, H, K, rng=rng), mr.Adam(), mr.cosine(0.005, batches)
    for k in range(batches):
        adam.lr, model.teacher_forcing = rate(k), forcing(k / batches)
        x, y = waves(rng)
        y = y[..., :K]
        out, _, cache = model.forward((x, y[1:]), y[0], training=True, rng=rng)
        _, dy = mr.mse(out, y[1:])
        grads = model.backward(dy, cache)[2]
        mr.clip_grad_norm(grads, 1.0)
        adam.step(model.params, grads)
    model.teacher_forcing = 1.0
    return model


forced = [train_wave(seed, lambda share: 1.0) for seed in range(3)]
x, y = waves(np.random.default_rng(99), 500)
told = [m.forward((x, y[1:]), y[0])[0] for m in forced]
one_step = np.mean([(o - y[1:]) ** 2 for o in told])
print(f"mean squared error one step ahead {one_step:.5f}, of the value before", end=" ")
print(f"{np.mean((y[:-1] - y[1:]) ** 2):.5f}")
assert one_step < 0.1 * np.mean((y[:-1] - y[1:]) ** 2)

# %% [markdown]
# ## Running free
#
# In real use there is no teacher. The network gets back its own outputs, with their errors.
#
# **Exercise 2.** `step(y)` takes the last output and returns the next one. Return the `n` outputs
# that follow `first`, as an array $(n, ...)$.


# %% tags=["exercise"]
def free_run(step, first, n):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def free_run(step, first, n):
    y, outputs = first, []
    for _ in range(n):
        y = step(y)
        outputs.append(y)
    return np.array(outputs)


# %% tags=["check"]
exercises.check(free_run)

# %% [markdown]
# (`OutputRNN` runs free when it is given `x` alone; for other models there is
# [`free_run`](../minirnn/generate.py) in the library.)
#
# One step ahead, the error is tiny. **Predict, then run:** how many steps does it take, running
# free, until the forecast is worth no more than always saying 0?

# %% tags=["cover"]
free = [m.forward(x, y[0])[0] for m in forced]


def by_step(outputs):
    """Mean squared error at each step (T,), over waves and seeds."""
    return np.mean([np.mean((o - y[1:]) ** 2, axis=(1, 2)) for o in outputs], axis=0)


steps = np.arange(1, T + 1)
zero = np.mean(y[1:] ** 2, axis=(1, 2))  # 0.5: the mean of sin and cos squared
plot.curves(
    {"told the truth": by_step(told), "running free": by_step(free), "always 0": zero},
    "step", "mean squared error", steps,
)  # fmt: skip
plt.show()
worst = by_step([free[0]])
print(f"seed 0 is as bad as always 0 after {np.argmax(worst > zero) + 1} steps")
print(f"error at the last step: told {by_step(told)[-1]:.5f}, free {by_step(free)[-1]:.3f}, "
      f"always 0 {zero[-1]:.3f}")  # fmt: skip
assert by_step(free)[0] < 2 * one_step and by_step(free)[-1] > 100 * by_step(told)[-1]

# %% [markdown]
# Across: steps since the start. Up: the error, on a logarithmic scale. With the true inputs, the
# error is the same at step 60 as at step 1. Running free, it is just as small at the first step,
# but more than a hundred times as large at the end. Nothing about the network is different; only
# its inputs are.
#
# ## Two suspects
#
# *Exposure bias.* All true inputs lie on a circle, since $\sin^2 + \cos^2 = 1$, and the network has
# never seen any other. Its own outputs lie a little off the circle, and nobody has trained it for
# that. So on its own outputs it makes larger errors than on true inputs, and these lead it even
# further away.
#
# *Accumulation.* On its own outputs it is as good as on true inputs. But each step is a little
# wrong, always in the same direction, and sixty small errors add up.
#
# We can find out which of the two it is. Take the inputs of the free run, and ask for
# *each single step*: how far is its output from the right continuation
# **of the input that it got**? For a wave this is known: the right next point is the input, turned
# by the angle $f$.
#
# **Predict, then run:** which of the two suspects is it?


# %%
def turned(u, f):
    """The right outputs (T, B, 2) for inputs u: each point turned by the angle f (B,)."""
    s, c = u[..., 0], u[..., 1]
    return np.stack([s * np.cos(f) + c * np.sin(f), c * np.cos(f) - s * np.sin(f)], axis=-1)


f = (x[0, :, 0] + 1.25) / 5
assert np.allclose(turned(y[:-1], f), y[1:])


def single_steps(outputs):
    """The error of each single step of free runs, (T,)."""
    own = [np.concatenate([y[:1], o[:-1]]) for o in outputs]
    pairs = zip(outputs, own, strict=True)
    return np.mean([np.mean((o - turned(u, f)) ** 2, axis=(1, 2)) for o, u in pairs], axis=0)


sizes = np.linspace(0.25, 3, 23)
off_circle = []
for r in sizes:
    outputs = [m.forward(x[:1], r * y[0])[0] for m in forced]
    off_circle.append(np.mean([(o - turned(r * y[:1], f)) ** 2 for o in outputs]))
visited = np.quantile(np.linalg.norm(np.array(free), axis=-1), (0.05, 0.95))
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3))
plot.curves(
    {"whole run": by_step(free), "single step, own input": single_steps(free),
     "single step, true input": by_step(told)},
    "step", "mean squared error", steps, ax=left,
)  # fmt: skip
plot.curves({"single step": off_circle}, "size of the input", "error", sizes, ax=right)
right.axvspan(*visited, color="0.85", zorder=0)
right.set(xticks=[0.5, 1, 1.5, 2, 2.5, 3])
right.annotate("visited when\nrunning free", (1.15, off_circle[-1]), va="top", fontsize=8)
plt.show()
ratio = single_steps(free).mean() / by_step(told).mean()
print(f"error of a single step: own input / true input = {ratio:.2f}")
print(f"nine tenths of its own inputs have a size of {visited[0]:.2f} to {visited[1]:.2f}")
near = [e for r, e in zip(sizes, off_circle, strict=True) if visited[0] < r < visited[1]]
print(f"largest error there {max(near):.4f},", end=" ")
print(f"at size 1 {off_circle[6]:.4f}, at size 3 {off_circle[-1]:.3f}")
assert ratio < 1.2 and sizes[6] == 1 and max(near) < 2 * off_circle[6]
assert off_circle[-1] > 50 * off_circle[6] and 0.7 < visited[0] < 1 < visited[1] < 1.2

# %% [markdown]
# Left: the error of the whole run grows; the error of its single steps does not. On its own outputs
# the network is as good as on true ones, so it is **accumulation**. Right: the error of a single
# step for inputs of other sizes. Across: the distance of the input from the origin; for the true
# inputs it is always 1. Exposure bias does exist: at size 3, which the network has never seen, the
# error is more than fifty times as large. But the free run does not go there (grey), and close to
# the circle the network is as good as on it.
#
# Always measure this. People often say "exposure bias" when they have only seen an error that
# grows. But an error can grow for two reasons.
#
# What accumulates? A wave can be wrong in two ways: in its size, and in its phase.


# %%
def phase_error(outputs):
    """By how many radians the outputs run ahead of the truth, (T, B) for each seed."""
    z, true = (o[..., 1] + 1j * o[..., 0] for o in (np.array(outputs), y[1:]))
    return np.unwrap(np.angle(z / true), axis=1)


def drift(outputs):
    return np.mean(abs(phase_error(outputs)), axis=(0, 2))


per_step = phase_error(told).mean(axis=1)  # of single steps, from true inputs: (seeds, waves)
after = phase_error(free)[:, -1]
together = [np.corrcoef(a, b)[0, 1] for a, b in zip(per_step, after, strict=True)]
print(f"phase error of a single step {abs(per_step).mean():.3f},", end=" ")
print(f"of 60 steps {abs(after).mean():.2f} radians")
print("correlation of the two over waves, for each seed:", np.round(together, 3))
assert min(together) > 0.99 and 0.8 < abs(after).mean() / (60 * abs(per_step).mean()) < 1.1

# %% [markdown]
# For each wave, the network turns a little too fast or too slowly, at every step by nearly the same
# angle. In the loss of teacher forcing you hardly see that: a phase error $\phi$ costs
# $\phi^2 / 2$. Sixty steps later it is $60 \phi$, and costs 3600 times as much.
#
# ## Scheduled sampling
#
# A remedy (Bengio et al. 2015): in training, draw at every step whether the network gets the true
# value or its own output. At first it always gets the true value, at the end always its own output.
# The gradient then goes back through the steps that got their own output.
#
# **Predict:** it was proposed against exposure bias. Will it help against accumulation?

# %%
sampled = [train_wave(seed, lambda share: 1 - share) for seed in range(3)]
free_sampled = [m.forward(x, y[0])[0] for m in sampled]
told_sampled = [m.forward((x, y[1:]), y[0])[0] for m in sampled]
fig, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3))
runs = {"forced": free, "scheduled sampling": free_sampled}
errors = {name: by_step(o) for name, o in runs.items()}
plot.curves({**errors, "always 0": zero}, "step", "error, running free", steps, ax=left)
drifts = {name: drift(o) for name, o in runs.items()}
plot.curves(drifts, "step", "phase error, radians", steps, log=False, ax=right)
plt.show()


def line(name, one, run):
    each = [np.mean((o - y[1:]) ** 2) for o in run]
    ahead = np.mean([(o - y[1:]) ** 2 for o in one])
    print(f"{name:<28}{ahead:8.5f}{np.mean(each):13.4f}   ({min(each):.4f} to {max(each):.4f})")
    return np.mean(each)


print(f"{'mean squared error':<28}{'one step':>8}{'free-running':>13}   (range over seeds)")
a = line("forced", told, free)
b = line("scheduled sampling", told_sampled, free_sampled)
line("the value before, always 0", [y[:-1]], [np.zeros_like(y[1:])])
assert b < 0.1 * a and b < 0.1 * zero.mean()
assert drifts["scheduled sampling"][-1] < 0.2 * drifts["forced"][-1]

# %% [markdown]
# Across: steps of the free run. Up: left the error, right the size of the phase error. Scheduled
# sampling takes away more than nine tenths of the error. A network that gets its own outputs in
# training pays for a phase error at all the later steps. So now the loss sees what it did not see
# before.
#
# ## What it cannot repair
#
# Now feed back only one output, the sine. One number says where the wave is, but not where it goes:
# with the same sine it may rise or fall. No training can give the network what its inputs do not
# contain.

# %%
print("sine only")
print(f"{'mean squared error':<26}{'one step':>10}{'free-running':>13}   size of the free outputs")
y1 = y[..., :1]
for name, forcing in {"forced": lambda s: 1.0, "scheduled sampling": lambda s: 1 - s}.items():
    m = train_wave(0, forcing, K=1)
    one, run = m.forward((x, y1[1:]), y1[0])[0], m.forward(x, y1[0])[0]
    errors = [np.mean((o - y1[1:]) ** 2) for o in (one, run)]
    size = np.sqrt(np.mean(run[30:] ** 2))
    print(f"{name:<26}{errors[0]:10.4f}{errors[1]:13.4f}   {size:.2f}")
    assert errors[0] > 0.9 * np.mean((y1[:-1] - y1[1:]) ** 2) and errors[1] > 0.4
    assert size > 0.3 if name == "forced" else size < 0.1
print(f"{'the value before, always 0':<26}{np.mean((y1[:-1] - y1[1:]) ** 2):10.4f}", end="")
print(f"{np.mean(y1[1:] ** 2):13.4f}   0.00")

# %% [markdown]
# Both fail, one step ahead (hardly better than the value before, or worse) and running free.
# Scheduled sampling looks better in the middle column, but look at the last one. It has learned to
# say almost nothing, since a guess near 0 costs least when you do not know. A smaller error is not
# always more knowledge; it can be more caution. (Huszár 2015 argues that scheduled sampling has the
# wrong objective.)
#
# ## Read next
#
# - Jordan 1986, *Serial order: a parallel distributed processing approach*; Elman 1990, *Finding
#   structure in time*: the two recurrences.
# - Williams & Zipser 1989, *A learning algorithm for continually running fully recurrent neural
#   networks*: teacher forcing.
# - Sutskever, Vinyals & Le 2014, *Sequence to sequence learning with neural networks*.
# - Bengio, Vinyals, Jaitly & Shazeer 2015, *Scheduled sampling for sequence prediction with
#   recurrent neural networks*; Huszár 2015, *How (not) to train your generative model*.
# - He, Zhang, Zhou & Glass 2021, *Exposure bias versus self-recovery*: the same suspects, in text.
# - [`output_recurrence.py`](../minirnn/experiments/output_recurrence.py): the
#   whole experiment, with hidden recurrence beside it.
#
# **A question without an answer here:** in the silent task, the network could hide the sign in
# outputs that are *nearly* 0, too small to cost much. With teacher forcing it can never learn this.
# Could it learn it when running free? What would you change to allow it?
