# %% [markdown]
# # 4. Break it
#
# **The question.** Your network trains: the loss goes to nearly zero, and it is right on data it has
# never seen. Is its backward pass right, then?
#
# You need: [chapter 3](03_bptt.ipynb), and the equations of the LSTM, which stand below. You will
# name ten bugs from pictures of their errors, and repair an LSTM.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot
from minirnn.exercises import broken

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Ten wrong ones, trained
#
# `broken.broken_lstm(k)` is an LSTM with a right forward pass and a bug in its backward pass, for
# `k` from 1 to 10. All ten are bugs that people write. `broken.broken_lstm(None)` has none.
# ([`TextbookLSTM`](../minirnn/exercises/broken.py) is its class. Do not read on in that file: the
# bugs stand there.)
#
# The task: was the first of six signs a plus? The answer is asked for after the last.
#
# **Predict, then run:** how many of the ten learn it?


# %%
def first_sign(rng, B, T=6):
    x = rng.choice([-1.0, 1.0], size=(T, B, 1))
    return x, (x[0] > 0).astype(float)


def train(k, task, epochs, H=16, seed=1):
    """The loss of each epoch, and the share of right answers on 1000 new sequences."""
    rng = np.random.default_rng(seed)
    cell = broken.broken_lstm(k, 1, H, rng)
    model = mr.Sequential(cell, mr.Last(), mr.Linear(H, 1, rng=rng))
    history = mr.fit(
        model, mr.binary_cross_entropy, lambda rng: [task(rng, 64)], mr.Adam(0.01), epochs,
        max_norm=1.0, rng=rng, progress=False,
    )  # fmt: skip
    x, target = task(rng, 1000)
    logits, _, _ = model.forward(x)
    return np.array(history.loss), np.mean((logits > 0) == (target > 0))


easy = {k: train(k, first_sign, 200) for k in (None, *broken.NUMBERS)}
guess = np.log(2)  # the loss of who always says "half and half"
print(f"guessing: loss {guess:.4f}, right 50%")
for k, (loss, right) in easy.items():
    print(f"{'no bug' if k is None else f'bug {k}':>8}: loss {loss[-1]:.4f}, right {right:.1%}")
assert all(loss[-1] < 0.001 and right == 1 for loss, right in easy.values())
same = [k for k in broken.NUMBERS if np.allclose(easy[k][0], easy[None][0], rtol=1e-6)]
print(f"the same loss in every epoch as without a bug: {len(same)} of the ten")
assert len(same) == 2

# %%
fig, ax = plt.subplots()
for k in broken.NUMBERS:
    ax.plot(easy[k][0], color="#999999", linewidth=0.9, label="ten with a bug" if k == 1 else None)
ax.plot(easy[None][0], color=plot.STYLES[1]["color"], linestyle="--", linewidth=2, label="no bug")
ax.axhline(guess, color="black", linewidth=0.8, label="guessing")
ax.set(yscale="log", xlabel="epoch", ylabel="loss")
ax.legend()
plt.show()

# %% [markdown]
# Across: the epoch. Up: the loss, logarithmic. All eleven lines end below 0.001, and all eleven
# networks are right on every new sequence. You could not pick out the right one from this picture.
#
# Why does it work? The optimizer needs no exact gradient. A direction that has some part in common
# with the right one leads downhill too, only less steeply. And here that was enough. (Two of the
# ten even have the same losses as the right one. Their bugs are in parts of the gradient that this
# training never uses. Another use of the same layer would need these parts.) So
#
# > **Training is no test.** A loss that falls says that *something* of the gradient is right.
#
# On a harder task some of them do fail. Now 20 signs: are the first *two* the same? Three networks:
# the right one, one bug that still works, and one that does not.


# %%
def two_alike(rng, B, T=20):
    x = rng.choice([-1.0, 1.0], size=(T, B, 1))
    return x, (x[0] * x[1] > 0).astype(float)


hard = {k: train(k, two_alike, 300) for k in (None, 4, 8)}
names = {None: "no bug", 4: "bug 4", 8: "bug 8"}
ax = plot.curves({names[k]: loss for k, (loss, _) in hard.items()}, "epoch", "loss")
ax.axhline(guess, color="black", linewidth=0.8)
plt.show()
print("right:", {names[k]: f"{right:.1%}" for k, (_, right) in hard.items()}, "guessing: 50%")
assert hard[None][1] > 0.99 and hard[4][1] > 0.99 and abs(hard[8][1] - 0.5) < 0.05
assert abs(np.mean(hard[8][0][-50:]) - guess) < 0.01

# %% [markdown]
# Up: the loss again; the black line is guessing. Bug 8 stays on it. But whoever sees such a curve
# says "the task is too hard, it needs more units", and not "there is a bug". And bug 4 learns even
# this task.
#
# ## A picture of an error
#
# So measure the gradients. You can always get a right gradient to compare with: from
# `mr.gradcheck`, or, as here, from `mr.LSTM`, which has been checked. The backward pass is linear
# in `dy`. So we can ask it about **one loss at a time**: only the output of step 0 counts, only
# that of step 1, and so on; only the final `h`, only the final `c`. For each of these we cut the
# gradients into blocks, gate by gate and step by step, and take the relative error of each block:
#
# $$\frac{\lVert \text{written} - \text{right} \rVert}{\max(\lVert \text{written} \rVert, \lVert
# \text{right} \rVert)}$$
#
# These are the equations; the names are those of the rows below.
#
# $$i, f, o = \sigma(a_i), \sigma(a_f), \sigma(a_o) \qquad g = \tanh(a_g) \qquad a = x W_x + h_{t-1} W_h + b$$
# $$c_t = f * c_{t-1} + i * g \qquad h_t = o * \tanh(c_t)$$
# $$dh_t = dy_t + da_{t+1} W_h^T \qquad dc_t = dc_{t+1} * f_{t+1} + dh_t * o * (1 - \tanh(c_t)^2)$$
# $$da_i = dc * g * i (1 - i) \quad da_f = dc * c_{t-1} * f (1 - f) \quad da_g = dc * i * (1 - g^2)
# \quad da_o = dh * \tanh(c) * o (1 - o)$$
# $$dx_t = da_t W_x^T \qquad dW_x = \sum_t x_t^T da_t \qquad dW_h = \sum_t h_{t-1}^T da_t \qquad
# db = \sum_t da_t$$
#
# One example with its answer. This one has `da_g = dc * i * g * (1 - g)`: somebody gave `g` the
# derivative of a sigmoid.

# %%
example = broken.error_map(broken.broken_lstm(0))


def draw(errors, ax=None):
    ax = plot.error_map(errors, ax=ax)
    ax.set_xticks(range(len(broken.COLUMNS)), broken.COLUMNS)
    ax.set_xlabel("the loss is that of this step, or of the final h or c")
    return ax


draw(example)
plt.show()
dark = [row for row, errors in example.items() if errors[0] > broken.WRONG_FROM]
print("dark in column 0:", ", ".join(dark))
assert dark == ["dh0", "dx[0]", "dW_x g", "dW_h g", "db g"]
assert np.all(example["db g"] > broken.WRONG_FROM) and example["dx[3]"][2] == 0
nothing_wrong = broken.error_map(broken.broken_lstm(None))
assert max(errors.max() for errors in nothing_wrong.values()) < 1e-13  # white all over

# %% [markdown]
# Across: what the loss is. Down: which block of the gradient. White is right to rounding, black is
# wrong by as much as the gradient itself.
#
# How to read it:
#
# 1. **Column 0 first.** There only step 0 has a loss, so nothing has been handed back from a later
#    step. `dW_x`, `dW_h` and `db` are dark for gate `g`, and for no other gate. All three are made
#    from $da_g$, so $da_g$ is wrong.
# 2. **What follows from it.** `dx[0]` and `dh0` are sums over all four gates, so they are wrong
#    too. `dc0` is right: it is $dc * f$, and $da_g$ has no part in it.
# 3. **Later columns** are dark nearly everywhere. The wrong $da_g$ goes into $dh$ of the step before, and
#    from there into all gates. That is damage, not cause.
# 4. **White below the diagonal** of the rows `dx`: the loss of step 2 does not depend on `x[3]`. So
#    this gradient must be zero, and it is.
#
# **Predict:** how would the map look if all the `da` were right, and `dW_x` alone were wrong? And
# if all of column 0 were white?
#
# ## The ten

# %% tags=["cover"]
maps = {k: broken.error_map(broken.broken_lstm(k)) for k in broken.NUMBERS}
fig, axes = plt.subplots(2, 5, figsize=(9, 8), sharex=True, sharey=True)
for ax, (k, errors) in zip(axes.flat, maps.items(), strict=True):
    draw(errors, ax)
    ax.images[0].colorbar.remove()
    ax.set_title(f"bug {k}", fontsize=10)
    ax.set_xlabel("")
    ax.tick_params(labelsize=7)
fig.supxlabel("the loss is that of this step, or of the final h or c", fontsize=9)
plt.show()
patterns = {tuple(np.ravel(list(m.values())) > broken.WRONG_FROM) for m in maps.values()}
assert len(patterns) == 10  # no two are alike in black and white

# %% [markdown]
# The axes and the scale of grey are as above. For a closer look, draw one alone: `draw(maps[3])`.
# For the numbers: `maps[3]["db f"]`.
#
# **Exercise 1.** Name them. These are the descriptions. Ten of them belong to one picture each,
# four belong to none. `name_the_bugs()` takes nothing and returns a dictionary from the number of
# the bug to the letter, such as `{1: "C", 2: "H", ...}`. The checker says which are wrong, and what
# in the picture contradicts your choice.

# %%
for letter, description in broken.descriptions().items():
    print(f"{letter}  {description}")


# %% tags=["exercise"]
def name_the_bugs():
    raise NotImplementedError  # return {1: "...", 2: "...", ...}


# %% tags=["solution"]
def name_the_bugs():
    return {
        1: "M", 2: "E", 3: "I", 4: "L", 5: "K", 6: "D", 7: "B", 8: "A", 9: "F", 10: "G",
    }  # fmt: skip


# %% tags=["check"]
exercises.check(name_the_bugs)

# %% [markdown]
# Stuck? `exercises.hint("name_the_bugs")`, and again with `2` and `3`.
#
# ## Repair it
#
# Seven of the fourteen descriptions are about the same few lines: from `dh` and `dc` to the four
# `da`, and to what is handed on.
#
# **Exercise 2.** Write those lines for one step. `dh` $(B, H)$ is the whole gradient of $h_t$;
# `dc_next` $(B, H)$ is what step $t+1$ has handed to $c_t$ (its $dc * f$); `i, f, g, o` are
# the values of the gates, `c_prev` and `c` the cell before and after the step, all $(B, H)$; `W_h` is
# $(H, 4H)$. Return `da` $(B, 4H)$ in the order i f g o, then `dh_prev` and `dc_prev`, which are
# handed to step $t-1$. The checker puts your lines into a loop and has `mr.gradcheck` look at it.


# %% tags=["exercise"]
def lstm_carry(dh, dc_next, i, f, g, o, c_prev, c, W_h):
    raise NotImplementedError  # your code here, then: return da, dh_prev, dc_prev


# %% tags=["solution"]
def lstm_carry(dh, dc_next, i, f, g, o, c_prev, c, W_h):
    tanh_c = np.tanh(c)
    dc = dc_next + dh * o * (1 - tanh_c**2)
    da_i = dc * g * i * (1 - i)
    da_f = dc * c_prev * f * (1 - f)
    da_g = dc * i * (1 - g**2)
    da_o = dh * tanh_c * o * (1 - o)
    da = np.hstack([da_i, da_f, da_g, da_o])
    dh_prev = da @ W_h.T
    dc_prev = dc * f
    return da, dh_prev, dc_prev


# %% tags=["check"]
exercises.check(lstm_carry)

# %% [markdown]
# In plain NumPy these lines are in [`lstm_step_backward`](../minirnn/cells/textbook.py). In the
# compiled cell they are [`hidden_state_backward`](../minirnn/cells/lstm.py) and
# [`cell_state_backward`](../minirnn/cells/lstm.py), and the loop around them is
# [`lstm_backward`](../minirnn/cells/lstm.py).
#
# ## A program that reads the pictures
#
# You have read the pictures from the simple case to the general one: one step, then several. A
# program can do that too. `mr.gradcheck` tries one step from a zero state, one step from any state,
# two steps, and more. Then it looks which blocks are wrong. Here is what it says about the ten,
# **in alphabetical order**, so that you can compare it with your own answers.

# %%
x = rng.normal(size=(4, 2, 2))
reports = [mr.gradcheck(broken.broken_lstm(k), x) for k in broken.NUMBERS]
for verdict in sorted(report.verdict for report in reports):
    print("-", verdict)
assert not any(report.ok for report in reports)
assert len({report.verdict for report in reports}) == 10
assert mr.gradcheck(broken.broken_lstm(None), x).ok
smallest = min(report.max_rel_error for report in reports)
print(f"\nthe smallest of the ten errors: {smallest:.0e}; allowed: {reports[0].tol:.0e}")
assert smallest > 0.01

# %% [markdown]
# All ten are refused, with errors far above the limit, and each gets its own verdict. For one bug
# alone: `print(mr.gradcheck(broken.broken_lstm(3), x))`. The rules are in
# [`interpret`](../minirnn/checking/diagnose.py), a table of symptoms.
#
# A verdict says *where* the first wrong number is, not what you typed. For two of the ten it names
# `dh0` or `dc0` at a single step, although the error happens between steps: the last gradient that
# is handed back *is* `dh0`.
#
# To find all ten, the check needs:
#
# - a **random initial state**. From a zero state, one step does not show a bug of the forget gate,
#   because $c_{t-1}$ is zero there;
# - the **final state in the loss**. One of the ten has white columns for the losses of all steps;
# - **more than one step**. Two of the ten are right at a single step, and two more are wrong there
#   in `dh0` or `dc0` only, which few people look at.

# %%
white_in_all_steps = [k for k, m in maps.items() if max(e[:4].max() for e in m.values()) < 1e-13]
white_at_step_0 = [k for k, m in maps.items() if max(e[0] for e in m.values()) < 1e-13]
print(f"seen in the final state only: {len(white_in_all_steps)} of the ten")
print(
    f"white in column 0: {len(white_at_step_0)} of the ten (not the two that are right at one step)"
)
assert len(white_in_all_steps) == 1 and len(white_at_step_0) == 2
named = [v.verdict for v in reports if v.verdict.startswith(("dh0", "dc0"))]
assert len(named) == 2 and sum("T = 2" in v.verdict for v in reports) == 2

# %% [markdown]
# ## Read next
#
# - Werbos 1990, *Backpropagation through time: what it does and how to do it*.
# - Lillicrap et al. 2016, *Random synaptic feedback weights support error backpropagation for deep
#   learning*: a network learns even if its errors are sent back through random weights. This
#   explains why networks train with wrong gradients.
# - [Chapter 5](05_truncated.ipynb) has a gradient that is wrong on purpose.
#
# **A question without an answer here:** `mr.gradcheck` compares the backward pass with the forward
# pass. What if the *forward* pass is wrong, and the backward pass is exactly its derivative? What
# would you compare it with?
