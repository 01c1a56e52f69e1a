# %% [markdown]
# # 7. The LSTM
#
# **The question.** A number comes in at step 0. You need it at step 100, and 99 other numbers come
# in between. What must a network look like, so that it still has this number?
#
# You need: the backward pass of [chapter 3](03_bptt.ipynb), and that gradients vanish
# ([chapter 6](06_vanishing.ipynb)). You will write one step of an LSTM, forward and backward.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## A vanilla network cannot keep a number
#
# Take one unit, no input, no bias: $h_t = \tanh(w\,h_{t-1})$. There is only one number to choose.
#
# **Predict, then run:** the unit begins with 0.5. With which `w` does it still have 0.5 after 100
# steps: 0.9, 1 or 1.5?

# %%
kept = {}
for w, first in ((0.9, 0.5), (1.0, 0.5), (1.5, 0.5), (1.5, 0.2)):
    h = [first]
    for _t in range(100):
        h.append(np.tanh(w * h[-1]))
    kept[f"w = {w}, from {first}"] = np.array(h)
ax = plot.curves(kept, "step t", "h[t]", np.arange(101), log=False)
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()
last = [h[-1] for h in kept.values()]
print("after 100 steps:", np.round(last, 4))
assert last[0] < 1e-4 and 0.1 < last[1] < 0.15 and abs(last[2] - last[3]) < 1e-12

# %% [markdown]
# Across: the step. Up: the state. The answer: with none of them. Below 1 the number fades. At 1 it
# fades more slowly, because the tanh takes away a little at each step. Above 1 both starts, 0.5 and
# 0.2, end at the same value: such a unit keeps *one bit*, the sign, but not a number.
#
# ## The conveyor belt
#
# Hochreiter and Schmidhuber gave each unit a second state, the **cell** $c$, which goes from step to
# step through no tanh and no matrix. Three gates, numbers between 0 and 1, decide what happens to it:
#
# $$c_t = f * c_{t-1} + i * g \qquad\qquad h_t = o * \tanh(c_t)$$
#
# `f` is how much is kept (forget gate), `i` how much of the candidate `g` is put in (input gate), `o`
# how much is shown (output gate). With $f = 1$ and $i = 0$ the cell keeps its number for ever.
#
# The gates are computed as a vanilla network computes its state, each with a block of columns of the
# same matrices, in the order i f g o:
#
# $$a = x_t W_x + h_{t-1} W_h + b \qquad i, f, o = \sigma(a_i), \sigma(a_f), \sigma(a_o) \qquad
# g = \tanh(a_g)$$
#
# In the library these lines are in [`lstm_step`](../minirnn/cells/textbook.py), in plain NumPy.
# (The compiled cell has them in [`cell_state`](../minirnn/cells/lstm.py) and
# [`hidden_state`](../minirnn/cells/lstm.py).)
#
# | equation | code |
# |---|---|
# | $a = x_t W_x + h_{t-1} W_h + b$ | `a = x @ params["W_x"] + h_prev @ params["W_h"] + params["b"]` |
# | $c_t = f * c_{t-1} + i * g$ | `c = f * c_prev + i * g` |
# | $h_t = o * \tanh(c_t)$ | `h = o * tanh_c` |
#
# ## Each gate by hand
#
# A sigmoid of 10 is nearly 1, of -10 nearly 0. So a gate whose bias is 10 is open, and one whose
# bias is -10 is shut. Here are four settings of one unit. All start from `c = 0.8`, and the input
# goes only to `g`.


# %%
def one_unit(D, **bias):
    """An LSTM of one unit whose weights are all zero, with these biases."""
    layer = mr.LSTM(D, 1, rng=0)
    for p in layer.params.values():
        p[...] = 0
    layer.params["b"][:] = [bias[gate] for gate in "ifgo"]
    return layer


COLUMN = {"i": 0, "f": 1, "g": 2, "o": 3}  # of each gate, when there is one unit
x = rng.uniform(-1, 1, size=(20, 1, 1))
start = (np.zeros((1, 1)), np.full((1, 1), 0.8))
settings = {
    "ignore: i shut, f open, o open": {"i": -10, "f": 10, "o": 10},
    "erase: i shut, f shut, o open": {"i": -10, "f": -10, "o": 10},
    "follow: i open, f shut, o open": {"i": 10, "f": -10, "o": 10},
    "hide: i shut, f open, o shut": {"i": -10, "f": 10, "o": -10},
}
fig, axes = plt.subplots(2, 2, figsize=(8, 4.2), sharex=True, sharey=True)
cells = {}
for ax, (title, bias) in zip(axes.flat, settings.items(), strict=True):
    layer = one_unit(1, g=0, **bias)
    layer.params["W_x"][0, COLUMN["g"]] = 1
    cells[title.split(":")[0]] = traced = mr.trace(layer, x, state=start)
    plot.gates(traced, "gch", ax=ax)
    ax.set(title=title, xlabel="", ylabel="", ylim=(-1.05, 1.05))
    ax.get_legend().remove()
axes[0, 1].legend(loc="center left", bbox_to_anchor=(1, 0.5))
fig.supxlabel("step t", fontsize=9)
plt.show()
c = {name: traced["c"][:, 0, 0] for name, traced in cells.items()}
assert np.all(abs(c["ignore"] - 0.8) < 2e-3) and np.all(abs(c["erase"]) < 1e-3)
assert np.all(abs(c["follow"] - cells["follow"]["g"][:, 0, 0]) < 1e-3)
assert np.all(abs(c["hide"] - 0.8) < 2e-3) and np.all(abs(cells["hide"]["h"]) < 1e-3)

# %% [markdown]
# Across: the step. Up: the candidate `g` (green), which is new at each step, the cell `c` (grey),
# and what is shown of it, `h` (black). *Ignore* keeps 0.8, whatever `g` does. *Erase* has nothing
# left after one step. *Follow* has the newest `g` and nothing else. *Hide* keeps 0.8 like the
# first, but shows nothing.
#
# Biases cannot change with time, but inputs can. Now each input has four entries: a value and three
# marks, *write*, *erase* and *read*. Each mark switches one gate: its weight is 20 or -20, against
# a bias of the other sign.
#
# **Predict, then run:** a 1 is written at step 2 (its value is 3, and $\tanh 3 = 0.995$), erased at
# step 9; a -1 is written at step 12. The cell is read at steps 5, 10 and 15. What is `h` at these
# three steps, and what is it at step 6?

# %% tags=["cover"]
marks = {2: "write", 5: "read", 9: "erase", 10: "read", 12: "write", 15: "read"}
x = np.zeros((18, 1, 4))
x[:, 0, 0] = rng.uniform(-1, 1, size=18)  # noise, except where something is written
for t, mark in marks.items():
    x[t, 0, 1 + ["write", "erase", "read"].index(mark)] = 1
x[2, 0, 0], x[12, 0, 0] = 3, -3
latch = one_unit(4, i=-10, f=10, g=0, o=-10)
for row, gate, weight in ((0, "g", 1), (1, "i", 20), (2, "f", -20), (3, "o", 20)):
    latch.params["W_x"][row, COLUMN[gate]] = weight
traced = mr.trace(latch, x)
fig, axes = plt.subplots(2, 1, figsize=(8, 4.2))
plot.gates(traced, "ifo", ax=axes[0])
axes[0].set(xlabel="", ylabel="gates")
plot.gates(traced, "gch", ax=axes[1], tokens=[marks.get(t, t) for t in range(18)])
axes[1].set(xlabel="step t, or what is marked there", ylabel="values")
plt.show()
h, c = traced["h"][:, 0, 0], traced["c"][:, 0, 0]
print("h at steps 5, 6, 10, 15:", np.round(h[[5, 6, 10, 15]], 3) + 0.0)
assert abs(c[8] - np.tanh(3)) < 2e-3 and abs(c[9]) < 1e-3 and abs(c[17] + np.tanh(3)) < 2e-3
assert abs(h[5] - np.tanh(np.tanh(3))) < 2e-3 and abs(h[[6, 10]]).max() < 1e-3

# %% [markdown]
# Above: the three gates. Below: candidate, cell and output. At each mark one gate moves, for one
# step. The bit is stored at step 2, shown at step 5 only, and gone at step 9. Between the marks the
# noise in `g` does nothing. This is a memory with a write line, an erase line and a read line. All
# that training has to do is to find such weights.
#
# ## How open is open?
#
# What is left of a number after $t$ steps is $f^t$. Move the sliders (where there are any): `f` and
# `i` stay the same at all steps, the cell begins with 1, and `g` is noise.

# %%
noise = rng.uniform(-1, 1, size=100)


def decay(f, i):
    c = [1.0]
    for g in noise:
        c.append(f * c[-1] + i * g)
    alone = f ** np.arange(101)
    lines = {"c": np.array(c), "its first number alone, f^t": alone}
    ax = plot.curves(lines, "step t", "cell", np.arange(101), log=False)
    half = "for ever" if f == 1 else f"half in {np.log(0.5) / np.log(max(f, 1e-9)):.1f} steps"
    ax.set(title=f"f = {f:.3f}: {half};  i = {i:.2f}", ylim=(-1.5, 2))
    plt.show()


exercises.play(decay, f=(0.8, 1.0, 0.97), i=(0.0, 1.0, 0.1))

# %% [markdown]
# Across: the step. Up: the cell (orange) and what is left of its first number (blue). Even 0.97,
# which looks like "open", loses half in 23 steps. And even a small `i` is enough to bury the rest
# in noise. To keep a number for 100 steps, the bias of the forget gate must be much larger than one
# might think:

# %%
print("bias  f = sigmoid(bias)   left after 30   left after 100")
left = {}
for bias in (0, 1, 3, np.log(99), 10):
    f = 1 / (1 + np.exp(-bias))
    left[bias] = f**100
    print(f"{bias:4.1f}  {f:.5f}             {f**30:.1e}         {f**100:.1e}")
assert left[1] < 1e-13 and 0.36 < left[np.log(99)] < 0.37 and left[10] > 0.99

# %% [markdown]
# ## Counting
#
# The cell has no bound. `h` lies between -1 and 1, but `c` may grow, by up to 1 a step. With
# $f = i = 1$ and $g = \pm 1$ it *counts*. Sigmoid and tanh of 50 are 1 to the last bit, so it
# counts exactly. Here a letter "a" is +1, and a "b" is -1: 1000 times a, then 1000 times b.

# %%
counter = one_unit(2, i=50, f=50, g=0, o=50)
counter.params["W_x"][:, COLUMN["g"]] = [50, -50]
n = 1000
letters = np.eye(2)[np.repeat([0, 1], n)][:, None]
traced = mr.trace(counter, letters)
c, h = traced["c"][:, 0, 0], traced["h"][:, 0, 0]
fig, axes = plt.subplots(1, 2, figsize=(8, 2.4))
axes[0].plot(c, color=plot.GATES["c"])
axes[0].set(xlabel="step t", ylabel="cell c")
axes[1].plot(h, color=plot.GATES["h"])
axes[1].set(xlabel="step t", ylabel="output h")
plt.show()
assert np.array_equal(c, np.cumsum(np.repeat([1, -1], n)))  # equal, not nearly equal
assert c[-1] == 0 and h[n] == h[n // 2] == 1  # but tanh(c) cannot tell 500 from 999

# %% [markdown]
# Left: the cell. Right: the output. Both are drawn over the steps. In the end the cell is exactly 0
# again, so it can tell $a^n b^n$ from $a^n b^{n+1}$ for any `n` that a float can count to. The
# output shows only whether the count is far from 0, because it is flat nearly everywhere.
#
# What does this cost? There are four blocks of weights instead of one. And all that the backward
# pass needs must be kept until then. Both can be counted exactly:

# %%
T, B, D, H = 100, 1, 10, 64
layer = mr.LSTM(D, H, rng=0)
_, _, cache = layer.forward(np.zeros((T, B, D)))
numbers = sum(p.size for p in layer.params.values())
kept_bytes = sum(a.nbytes for a in (cache.x, cache.h, cache.c, cache.gates, cache.tanh_c))
print(f"parameters: {numbers:,}; a vanilla network: {D * H + H * H + H:,}")
print(
    f"kept for the backward pass: {kept_bytes / 1e6:.2f} MB, {kept_bytes // (T * B)} bytes a step"
)
assert numbers == 4 * (D * H + H * H + H)
assert kept_bytes == 8 * B * (T * (D + 4 * H + H) + 2 * (T + 1) * H)

# %% [markdown]
# Per step and sequence that is the input, four gates, `tanh_c`, `h` and `c`
# ([`LSTMCache`](../minirnn/cells/lstm.py)): $D + 7H$ numbers of 8 bytes, and the initial state once.
#
# **Exercise 1.** Write one step. `x` $(B, D)$, `h_prev` and `c_prev` $(B, H)$, `W_x` $(D, 4H)$, `W_h`
# $(H, 4H)$, `b` $(4H,)$, columns in the order i f g o. Return `h` and `c`, both $(B, H)$.


# %% tags=["exercise"]
def lstm_step(x, h_prev, c_prev, W_x, W_h, b):
    raise NotImplementedError  # your code here, then: return h, c


# %% tags=["solution"]
def lstm_step(x, h_prev, c_prev, W_x, W_h, b):
    a = x @ W_x + h_prev @ W_h + b
    a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
    i, f, o = (1 / (1 + np.exp(-a)) for a in (a_i, a_f, a_o))
    g = np.tanh(a_g)
    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c


# %% tags=["check"]
exercises.check(lstm_step)

# %% [markdown]
# Stuck? `exercises.hint("lstm_step")`, and again with `2` and `3`.
#
# ## Where to begin: the bias of the forget gate
#
# Now the opening question as a task to learn. At each step a number from -1 to 1 comes in. The
# first one is marked, and at the end it is asked for. Without knowing it, the best answer is 0,
# with a mean squared error of 1/3. The table above says how much of the number an untrained LSTM
# has left.
#
# **Predict, then run:** which biases learn it over 30 steps, and which over 100?


# %%
def keep(rng, T, B):
    x = np.zeros((T, B, 2))
    x[..., 0] = rng.uniform(-1, 1, (T, B))
    x[0, :, 1] = 1
    return x, x[0, :, :1].copy()


def train(make, T, seed):
    """The error on 500 new sequences after each epoch of 25 batches."""
    rng, test = np.random.default_rng(seed), keep(np.random.default_rng(99), T, 500)
    cell = make(rng)
    model = mr.Sequential(cell, mr.Last(), mr.Linear(cell.hidden_size, 1, rng=rng))
    history = mr.fit(
        model, mr.mse, lambda rng: [keep(rng, T, 32) for _ in range(25)], mr.Adam(0.01), 16,
        validation=test, max_norm=1.0, rng=rng, progress=False,
    )  # fmt: skip
    return np.array(history.val_loss)


def with_bias(bias):
    return lambda rng: mr.LSTM(2, 16, forget_bias=bias, rng=rng)


tasks = {30: {"0": (0, 3), "1": (1, 3), "3": (3, 3)}, 100: {"1": (1, 2), "ln 99": (np.log(99), 6)}}
errors = {
    (T, name): [train(with_bias(bias), T, seed) for seed in range(seeds)]
    for T, biases in tasks.items()
    for name, (bias, seeds) in biases.items()
}
always_0 = {T: np.mean(keep(np.random.default_rng(99), T, 500)[1] ** 2) for T in tasks}
print("steps   bias    error at the end, one number a seed   (always 0)")
for (T, name), runs in errors.items():
    shown = "  ".join(f"{run[-1]:.3f}" for run in runs)
    print(f"{T:5}   {name:<6}  {shown:<40} ({always_0[T]:.3f})")
assert all(run[-1] > 0.3 for key in ((30, "0"), (100, "1")) for run in errors[key])
assert all(run[-1] < 0.03 for key in ((30, "1"), (30, "3")) for run in errors[key])
assert any(run[-1] < 0.1 for run in errors[100, "ln 99"])

# %%
fig, axes = plt.subplots(1, 2, figsize=(8.5, 3), sharey=True)
looks = dict(zip(("0", "1", "3", "ln 99"), plot.STYLES, strict=False))
for ax, (T, biases) in zip(axes, tasks.items(), strict=True):
    for name in biases:
        for k, run in enumerate(errors[T, name]):
            look = {**looks[name], "marker": "", "linewidth": 1.4}
            ax.plot(np.arange(1, 17), run, label="" if k else f"bias {name}", **look)
    ax.axhline(always_0[T], color="black", linewidth=0.8, label="always 0")
    ax.set(yscale="log", xlabel="epoch", title=f"{T} steps")
    ax.legend(loc="lower left")
axes[0].set_ylabel("error on new sequences")
plt.show()

# %% [markdown]
# Across: epochs. Up: the mean squared error on new sequences, logarithmic, a line for each seed;
# the black line is "always 0". With a bias of 0, half of everything is gone at each step, and
# nothing is learned within these 400 batches. A bias of 1, the library's default
# (`forget_bias=1.0`), is enough for 30 steps, but not for 100. Compare the table further up. It
# says what is left of the number, and of its gradient along the cell: $10^{-4}$ for 30 steps, and
# $10^{-14}$ for 100.
#
# For 100 steps, begin with a forget gate whose memory is 100 steps long: $f = 0.99$, a bias of
# $\ln 99$ (Tallec & Ollivier 2018 draw it at random from such a range). That makes learning
# *possible*, not certain: a line that stays on the black one is a seed that has not learned the
# task. A cell that forgets nothing also keeps all the noise that `i` lets in, as you saw with the
# sliders.
#
# ## The backward pass, derived
#
# Read the forward lines from the last to the first. Each line passes its gradient on to what stands
# on its right side. `dname` is $\partial L/\partial\text{name}$. Two gradients come back from step
# $t+1$: one for what $h_t$ did there, and one for what $c_t$ did there.
#
# $h_t$ is an output, and an input of step $t+1$:
#
# $$dh_t = dy_t + da_{t+1} W_h^T$$
#
# $h = o * \tanh(c)$ passes its gradient on to $o$ and to $c$. Step $t+1$ used $c$ too, as
# $f_{t+1} * c_t$:
#
# $$do = dh * \tanh(c) \qquad dc_t = dc_{t+1} * f_{t+1} + dh * o * (1 - \tanh(c)^2)$$
#
# In $c = f * c_{t-1} + i * g$, each factor gets $dc$ times the other factor:
#
# $$di = dc * g \qquad df = dc * c_{t-1} \qquad dg = dc * i \qquad dc_{t-1}: \; dc * f$$
#
# And the activations, in terms of their outputs:
#
# $$da_i = di * i (1 - i) \qquad da_f = df * f (1 - f) \qquad da_g = dg * (1 - g^2) \qquad
# da_o = do * o (1 - o)$$
#
# The rest is as in the vanilla network, with the four side by side as $da$. Line by line, all of
# this is [`lstm_step_backward`](../minirnn/cells/textbook.py). (Do exercise 2 before you look.)
#
# `mr.trace` returns all of these numbers from the library's backward pass. Let us compare each
# equation with them, at all steps at once.

# %%
T, B, D, H = 12, 3, 2, 4
layer = mr.LSTM(D, H, rng=rng)
x, target = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
v = mr.trace(layer, x, mr.mse, target)
i, f, g, o, h, c, dh = (v[name] for name in ("i", "f", "g", "o", "h", "c", "dh"))
tanh_c, handed = np.tanh(c), v["dc"]  # "dc" in the trace: what later steps handed back
c_prev = np.concatenate([np.zeros((1, B, H)), c[:-1]])
dy = mr.mse(h, target)[1]
da = np.concatenate([v[f"da_{gate}"] for gate in "ifgo"], axis=2)

dc = handed + dh * o * (1 - tanh_c**2)
equations = {
    "dh": (dh[:-1], dy[:-1] + da[1:] @ layer.params["W_h"].T),
    "dc * f": (handed[:-1], dc[1:] * f[1:]),
    "da_i": (v["da_i"], dc * g * i * (1 - i)),
    "da_f": (v["da_f"], dc * c_prev * f * (1 - f)),
    "da_g": (v["da_g"], dc * i * (1 - g**2)),
    "da_o": (v["da_o"], dh * tanh_c * o * (1 - o)),
}
for name, (library, ours) in equations.items():
    print(f"{name:<7} largest difference {abs(library - ours).max():.0e}")
    assert abs(library - ours).max() < 1e-13
assert mr.gradcheck(layer, x[:4]).ok  # and the library's against measured slopes

# %% [markdown]
# Look at the path from cell to cell once more: $dc_{t-1}$ gets $dc_t * f_t$. No matrix, no
# derivative of a tanh. On this path a gradient loses as much as the number itself lost on its way:
# a factor of $f$ at each step. Here it is measured, with a loss at the last of 60 steps and
# untrained networks:

# %%
steps, norms, along = rng.normal(size=(60, 8, 2)), {}, {}
only_last = np.zeros((60, 8, 16))  # the gradient of the loss: that of the last step's outputs
only_last[-1] = 1
for name, make in {
    "LSTM, bias 0": with_bias(0),
    "LSTM, bias 1": with_bias(1),
    "LSTM, bias 3": with_bias(3),
    "vanilla, 0.9 W_h": lambda rng: mr.RNN(2, 16, rng=rng),
}.items():
    cell = make(np.random.default_rng(1))
    if "vanilla" in name:
        cell.params["W_h"] *= 0.9  # from orthogonal, so all its eigenvalues have size 0.9
    v = mr.trace(cell, steps, lambda y, w: (np.sum(y * w), w), only_last)
    if "c" in v:
        path = v["dc"] + v["dh"] * v["o"] * (1 - np.tanh(v["c"]) ** 2)
        kept = np.cumprod(v["f"][:0:-1], axis=0)[::-1]  # f[t+1] * f[t+2] * ... to the last step
        along[name] = np.sqrt(np.sum((path[-1] * kept) ** 2, axis=(1, 2)))
    else:
        path = v["dh"]
    norms[name] = np.sqrt(np.sum(path**2, axis=(1, 2)))
ax = plot.gradient_norms(norms)
ax.set_ylabel("size of dc[t] (vanilla: dh[t])")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()


def a_step(sizes):
    return f"x {(sizes[10] / sizes[50]) ** (1 / 40):.2f}"


for name in norms:
    print(f"{name:<16} {a_step(norms[name])} a step", end="")
    print(f"; along the cell alone {a_step(along[name])}" if name in along else "")

# %% [markdown]
# Across: the step. Up: the size of the gradient, logarithmic. Along the cell alone, the factor is
# about $f$ a step; the sigmoid of 0, 1 and 3 is 0.5, 0.73 and 0.95. The whole gradient loses less,
# or even grows, because some of it comes back through $h$, the gates and $W_h$, as in a vanilla
# network.

# %% [markdown]
# **Exercise 2.** Write the middle of it, for one step. All arguments are $(B, H)$: `dh` is the
# whole gradient of $h_t$; `dc` is what step $t+1$ handed back to $c_t$ (its $dc * f$, so you must
# still add the way through $h_t$). Then come the values kept from the forward pass. Return `da`
# $(B, 4H)$ in the order i f g o, and `dc_prev` $(B, H)$, which is handed to step $t-1$. The checker
# shuts gates to see which part of your answer is wrong.


# %% tags=["exercise"]
def lstm_step_backward(dh, dc, i, f, g, o, c_prev, tanh_c):
    raise NotImplementedError  # your code here, then: return da, dc_prev


# %% tags=["solution"]
def lstm_step_backward(dh, dc, i, f, g, o, c_prev, tanh_c):
    da_o = dh * tanh_c * o * (1 - o)
    dc = dc + dh * o * (1 - tanh_c**2)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g**2)
    dc_prev = dc * f
    return np.hstack([da_i, da_f, da_g, da_o]), dc_prev


# %% tags=["check"]
exercises.check(lstm_step_backward)

# %% [markdown]
# ## Peepholes: gates that see the cell
#
# The gates see $x_t$ and $h_{t-1}$. If the output gate is shut, $h$ is 0, and
# *the gates are blind*: they cannot know whether the cell holds 1 or 4. Peepholes (Gers &
# Schmidhuber 2000) let the gates see the cell:
#
# $$a_i \mathrel{+}= p_i * c_{t-1} \qquad a_f \mathrel{+}= p_f * c_{t-1} \qquad a_o \mathrel{+}= p_o *
# c_t$$
#
# With peepholes, one unit without any input can be a clock. It counts. `o` opens when the count is
# 5, since $a_o = 40 c - 180$. `f` shuts at the step after, since $a_f = 180 - 40 c_{t-1}$.

# %%
clock = mr.LSTM(1, 1, peephole=True, rng=0)
for p in clock.params.values():
    p[...] = 0
clock.params["b"][:] = [50, 180, 50, -180]
clock.params["p_f"][:], clock.params["p_o"][:] = -40, 40
traced = mr.trace(clock, np.zeros((24, 1, 1)))
ax = plot.gates(traced, "cfoh")
ax.set_ylabel("values")
plt.show()
ticks = np.flatnonzero(traced["h"][:, 0, 0] > 0.5)
print("h is above 0.5 at steps", ticks)
assert np.array_equal(ticks, [4, 9, 14, 19])

blind = {}  # the same gates without peepholes, when the cell holds 1 and when it holds 4
for held in (1.0, 4.0):
    layer = mr.LSTM(1, 3, rng=0)
    start = (np.zeros((1, 3)), np.full((1, 3), held))
    traced = mr.trace(layer, np.ones((1, 1, 1)), state=start)
    blind[held] = np.concatenate([traced[gate] for gate in "ifgo"])
assert np.array_equal(blind[1.0], blind[4.0])

# %% [markdown]
# Across: the step. Up: the cell counts from 1 to 5, the output gate opens at 5, the forget gate
# shuts for the step after. Without peepholes and with a shut output gate all four gates are the
# same for `c = 1` and `c = 4` (the last lines check it). `LSTM(..., peephole=True)` has them. Most
# libraries do not.
#
# ## What is each part good for?
#
# Take one part away and train again (Greff et al. 2017 did so on three large tasks). Our task is
# the one from above, with 30 steps and a forget bias of 1. `LSTMVariant` is the layer;
# [`VARIANTS`](../minirnn/cells/lstm_variants.py) lists what can be taken away.
#
# **Predict, then run:** which part does this task really need?


# %%
def coupled(rng):
    layer = mr.LSTMVariant(2, 16, "CIFG", rng=rng)
    layer.params["b"][:16] = -1  # of a_i: the input gate begins nearly shut, so f = 1 - i = 0.73
    return layer


parts = {"V": "all parts", "NIG": "no input gate", "NFG": "no forget gate", "NOG": "no output gate",
         "NIAF": "no tanh on g", "NOAF": "no tanh on c", "NP": "no peepholes",
         "CIFG": "f = 1 - i"}  # fmt: skip
ablation = {
    text: train(lambda rng, name=name: mr.LSTMVariant(2, 16, name, rng=rng), 30, 0)[-1]
    for name, text in parts.items()
}
ablation["f = 1 - i, b_i = -1"] = train(coupled, 30, 0)[-1]
fig, ax = plt.subplots()
ax.barh(list(ablation), list(ablation.values()), color=plot.STYLES[1]["color"])
ax.axvline(always_0[30], color="black", linewidth=0.8)
ax.annotate("always 0", (always_0[30], 0), (-4, 0), textcoords="offset points", ha="right")
ax.invert_yaxis()
ax.set(xscale="log", xlabel="mean squared error on new sequences")
plt.show()
assert ablation["f = 1 - i"] > 0.3 and all(
    e < 0.05 for n, e in ablation.items() if n != "f = 1 - i"
)

# %% [markdown]
# There is one bar for each variant. The end of the bar is the error, logarithmic; the black line is
# "always 0". None of the *parts* is needed here: not even a forget gate, since nothing ever has to
# be forgotten. Only $f = 1 - i$ with its usual start fails: both gates begin at 0.5, and the number
# is gone. The last bar shows that the coupling is not to blame. It begins with $f = 0.73$, and
# learns. One task and one seed are not a verdict on the LSTM. But they show what to ask of any
# ablation: was it the missing part, or was it where the rest began?
#
# ## Read next
#
# - Hochreiter & Schmidhuber 1997, *Long short-term memory*: still without a forget gate.
# - Gers, Schmidhuber & Cummins 2000, *Learning to forget: continual prediction with LSTM*.
# - Gers & Schmidhuber 2000, *Recurrent nets that time and count*: peepholes.
# - Jozefowicz, Zaremba & Sutskever 2015, *An empirical exploration of recurrent network architectures*:
#   the bias of 1.
# - Greff et al. 2017, *LSTM: a search space odyssey*.
# - Tallec & Ollivier 2018, *Can recurrent neural networks warp time?*: biases from time constants.
# - [Chapter 8](08_gru.ipynb) takes $f = 1 - i$ seriously.
#
# **A question without an answer here:** the cell counts exactly only because its weights are huge.
# Training ends with weights of ordinary size, and a count that is less and less exact. How would
# you make a network prefer exact counting, without telling it to count?
