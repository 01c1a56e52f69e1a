# %% [markdown]
# # 3. Back-propagation through time
#
# **The question.** A recurrent network uses the *same* matrix `W_h` at every step. The last answer
# is wrong. How much of the blame goes to the use of `W_h` at step 0, and how much to its use at
# step 3? And how would you know that your answer to that is right?
#
# You need: the forward pass of [chapter 2](02_by_hand.ipynb), the chain rule, matrix products. You
# will write a backward pass, and see a test that catches wrong ones.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, plot

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## The network, step by step
#
# Axes throughout: `T` steps, `B` sequences side by side (the batch), `D` inputs, `H` hidden units.
# One step, as in [`rnn_step`](../minirnn/cells/textbook.py) in `textbook.py`, the cells in plain
# NumPy:
#
# $$a_t = x_t W_x + h_{t-1} W_h + b \qquad h_t = \tanh(a_t)$$
#
# In code `h` has one entry more than `x`: `h[0]` is the state before the first step, and `h[t + 1]`
# is what step `t` computes.

# %%
T, B, D, H = 4, 2, 3, 5
W_x = rng.normal(size=(D, H)) / np.sqrt(D)
W_h = rng.normal(size=(H, H)) / np.sqrt(H)
b = rng.normal(size=H)
x = rng.normal(size=(T, B, D))
target = rng.normal(size=(B, H))


def forward(x, W_x, W_h, b):
    h = [np.zeros((x.shape[1], len(b)))]
    for t in range(len(x)):
        a = x[t] @ W_x + h[t] @ W_h + b
        h.append(np.tanh(a))
    return np.array(h)


h = forward(x, W_x, W_h, b)
loss = 0.5 * np.sum((h[T] - target) ** 2)
print(f"h {h.shape}, loss {loss:.4f}")

# %% [markdown]
# Unrolled over time, the network is a deep one, with as many layers as there are steps. An arrow to
# the side is the state that one step hands to the next; each carries a `W_h`.

# %%
layer = mr.RNN(D, H, rng=rng)
plot.unrolled(layer, x)
plt.show()

# %% [markdown]
# ## The slope, measured
#
# A derivative can always be *measured*: change one number a little (nudge it), and see how the loss
# changes. A nudge to both sides is far better than a nudge to one side:
#
# $$\frac{\partial L}{\partial w_k} \approx \frac{L(w_k + \epsilon) - L(w_k - \epsilon)}{2 \epsilon}$$
#
# **Exercise 1.** Write it. `f` takes an array and returns a number; `k` is the index of the entry
# to nudge (a tuple for a matrix); the array that you get must not change.


# %% tags=["exercise"]
def slope(f, w, k, eps):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def slope(f, w, k, eps):
    up, down = w.copy(), w.copy()
    up[k] += eps
    down[k] -= eps
    return (f(up) - f(down)) / (2 * eps)


# %% tags=["check"]
exercises.check(slope)

# %% [markdown]
# (The rest of the notebook does not need your answer; it uses this one line, which nudges an entry
# of `W_h` to one side or to both.)
#
# **Predict, then run:** the smaller `eps`, the better? Where would the best `eps` be?


# %% tags=["cover"]
def loss_of(W_h):
    return 0.5 * np.sum((forward(x, W_x, W_h, b)[T] - target) ** 2)


def nudged(eps):
    entry = np.zeros_like(W_h)
    entry[1, 2] = 1
    return loss_of(W_h + eps * entry)


sizes = 10.0 ** np.arange(-14, 0)
one_sided = np.array([(nudged(e) - nudged(0)) / e for e in sizes])
two_sided = np.array([(nudged(e) - nudged(-e)) / (2 * e) for e in sizes])
exact = nudged(1e-30j).imag / 1e-30  # the complex step: no difference, so nothing cancels
ax = plot.curves(
    {"one-sided": abs(one_sided / exact - 1), "two-sided": abs(two_sided / exact - 1)},
    "eps",
    "relative error of the slope",
    sizes,
)
ax.set_xscale("log")
plt.show()
best = sizes[np.argmin(abs(two_sided / exact - 1))]
assert 1e-5 <= best <= 1e-3 and 1e-10 < abs(two_sided / exact - 1).min() < 1e-8

# %% [markdown]
# Across: the size of the nudge. Up: the error of the slope that it measures. Go from the right to
# the left: first the errors fall, with `eps` and with `eps` squared. Then they rise again, because
# two nearly equal losses are subtracted and only rounding is left. So there is a best `eps`, around
# $10^{-4}$, and it leaves an error of some $10^{-9}$. Remember that number: a gradient check that
# finds $10^{-3}$ has not found rounding.
#
# The exact value came from the complex step, $\mathrm{Im}\,L(w + i\epsilon)/\epsilon$, which has no
# subtraction at all. `mr.gradcheck(..., method="complex")` uses it.
#
# **Why not train that way?** One slope costs two forward passes, and there is one slope for each
# weight. The backward pass gets *all* of them for about the price of two forward passes.

# %% [markdown]
# ## The backward pass, derived
#
# Write `dname` for $\partial L / \partial \text{name}$: an array of the same shape as `name`. Read
# the forward lines from the last to the first. Each line passes its gradient on to what stands on
# its right side.
#
# The state $h_t$ reaches the loss by **two ways**: as the output of step $t$ (gradient `dy[t]`), and
# as an input of step $t+1$. Both ways add up:
#
# $$dh_t = dy_t + da_{t+1} W_h^T$$
#
# (In code $h_t$ is `h[t + 1]` and $h_{t-1}$ is `h[t]`; $x_t$, $a_t$ and $y_t$ keep their `[t]`.)
#
# Through the tanh, in terms of its *output*: $\tanh'(a) = 1 - \tanh(a)^2$, so
#
# $$da_t = dh_t * (1 - h_t^2)$$
#
# And $a_t$ is a sum of products. Each factor of a product gets `da` times the other factor:
#
# $$dx_t = da_t W_x^T \qquad dW_x = \sum_t x_t^T da_t \qquad dW_h = \sum_t h_{t-1}^T da_t
# \qquad db = \sum_t da_t$$
#
# The sums are the answer to the opening question: `W_h` gets the blame for each of its uses, and
# all the blame is added up. Shapes tell you where the transposes go: $dW_h$ is $(H, H)$, so it must
# be $(H, B)(B, H)$.
#
# **Predict:** in our loss only the last state counts, so `dy` is zero at steps 0, 1 and 2. Is
# `dW_x` then made of the last input alone? (Look at `dx` below: `dW_x` has a part from each step at
# which `dx` is not zero.)
#
# **Exercise 2.** Write the backward pass. `dy` $(T, B, H)$, `x` $(T, B, D)$, `h` $(T+1, B, H)$ with
# `h[0]` the initial state. The checker compares with measured slopes, and says which equation is
# wrong.


# %% tags=["exercise"]
def rnn_backward(dy, x, h, W_x, W_h):
    dx, dW_x, dW_h = np.zeros_like(x), np.zeros_like(W_x), np.zeros_like(W_h)
    db, dh_next = np.zeros(h.shape[2]), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        raise NotImplementedError  # your code here
    dh0 = dh_next
    return dx, dh0, dW_x, dW_h, db


# %% tags=["solution"]
def rnn_backward(dy, x, h, W_x, W_h):
    dx, dW_x, dW_h = np.zeros_like(x), np.zeros_like(W_x), np.zeros_like(W_h)
    db, dh_next = np.zeros(h.shape[2]), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = dy[t] + dh_next
        da = dh * (1 - h[t + 1] ** 2)
        dx[t] = da @ W_x.T
        dW_x += x[t].T @ da
        dW_h += h[t].T @ da
        db += da.sum(axis=0)
        dh_next = da @ W_h.T
    dh0 = dh_next
    return dx, dh0, dW_x, dW_h, db


# %% tags=["check"]
exercises.check(rnn_backward)

# %% [markdown]
# Stuck? `exercises.hint("rnn_backward")`, and again with `2` and `3`.
#
# ## The one in the library
#
# Compare yours with [`rnn_backward`](../minirnn/cells/textbook.py) and
# [`rnn_step_backward`](../minirnn/cells/textbook.py) in plain NumPy. The compiled
# [`rnn_backward`](../minirnn/cells/rnn.py) computes the same. Inside its loop stands only what must
# be there: the product $da_{t+1} W_h^T$, since step $t$ has to wait for it. All other products are
# done after the loop, over all steps at once.

# %%
layer = mr.RNN(D, H, rng=rng)
y, state, cache = layer.forward(x)
dy = np.zeros_like(y)
dy[-1] = y[-1] - target
dx, dh0, grads = layer.backward(dy, cache)
print({name: g.shape for name, g in grads.items()}, "dx", dx.shape)
print("size of dx at each step:", np.round(np.linalg.norm(dx, axis=(1, 2)), 3))
assert np.all(np.linalg.norm(dx, axis=(1, 2)) > 0)

# %% [markdown]
# All steps of `dx` are non-zero: the last answer depends on every input, through the states between.
# How *strongly* it depends on early ones is the subject of
# [chapter 6](06_vanishing.ipynb). Here is a first look: how large is `dx[t]`, when the loss is that of the last step, and when every step has a loss?

# %%
long = rng.normal(size=(30, 1, D))
y, _, cache = layer.forward(long)
norms = {}
for name in ("loss at the last step", "a loss at each step"):
    dy = np.ones_like(y) if "each" in name else np.zeros_like(y)
    dy[-1] = 1
    dx, _, _ = layer.backward(dy, cache)
    norms[name] = np.linalg.norm(dx, axis=(1, 2))
plot.curves(norms, "step t", "size of dx[t]", np.arange(30))
plt.show()
assert norms["loss at the last step"][0] < 0.1 * norms["loss at the last step"][-1]

# %% [markdown]
# Across: the step. Up: the size of the gradient of the input at that step, on a logarithmic scale.
# With one loss at the end (orange), less and less arrives towards the beginning. With a loss at
# each step (blue), the size stays about the same.
#
# ## A test that catches wrong gradients
#
# `mr.gradcheck` compares every entry of every gradient with a measured slope. It takes a random
# projection of *all* outputs and of the final state as its loss, so that no output is left out. It
# measures each slope with several `eps` and extrapolates. So its error is below the $10^{-9}$ from
# above.

# %%
report = mr.gradcheck(layer, x)
print(report)
assert report.ok

# %% [markdown]
# Now three bugs that people really write ([chapter 4](04_break_it.ipynb) shows that networks with
# such bugs still train, so that nobody notices). Watch what the check says. It goes from one step
# to many. If the gradient is right for one step and wrong for two, the bug must be in what one step
# hands to another.


# %%
def with_bug(bug):
    """A layer like mr.RNN whose backward pass has one bug."""

    def backward(dy, cache, dstate=None):
        x, h, (W_x, W_h) = cache.x, cache.h, (layer.params["W_x"], layer.params["W_h"])
        dx, dW_x, dW_h, db = np.zeros_like(x), 0 * W_x, 0 * W_h, 0 * layer.params["b"]
        dh_next = np.zeros_like(h[0]) if dstate is None else dstate
        for t in reversed(range(len(x))):
            dh = dy[t] + dh_next
            da = dh * (1 - np.tanh(h[t + 1]) ** 2 if bug == 1 else 1 - h[t + 1] ** 2)
            dx[t] = da @ W_x.T
            dW_x += x[t].T @ da
            dW_h += (h[t + 1] if bug == 2 else h[t]).T @ da
            db += da.sum(axis=0)
            if bug != 3 or t == 0:
                dh_next = da @ W_h.T
        return dx, dh_next, {"W_x": dW_x, "W_h": dW_h, "b": db}

    wrong = mr.RNN(D, H, rng=0)
    wrong.params = layer.params
    wrong.backward = backward
    return wrong


bugs = {1: "tanh of what is a tanh already", 2: "the state after the step for the one before",
        3: "dh_next assigned at step 0 only"}  # fmt: skip
for bug, name in bugs.items():
    report = mr.gradcheck(with_bug(bug), x)
    print(f"{name}:\n    {report.verdict}\n    {report.hint}\n")
    assert not report.ok

# %% [markdown]
# The checker of exercise 2 does nothing else. You can check any layer of your own with it. The
# layer needs `params`, `forward` and `backward`, as described in [`Layer`](../minirnn/protocol.py).
#
# ## Read next
#
# - Rumelhart, Hinton & Williams 1986, *Learning representations by back-propagating errors*: the
#   chain rule, and already the network unrolled in time.
# - Werbos 1990, *Backpropagation through time: what it does and how to do it*: with pseudo-code.
# - [Chapter 4](04_break_it.ipynb) has ten such bugs in an LSTM, for you to name.
#
# **A question without an answer here:** the backward loop needs every `h[t]`. What if there are a
# million steps? Could you store fewer of them, and what would it cost? Could you store *none*?
