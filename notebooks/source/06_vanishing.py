# %% [markdown]
# # 6. Vanishing and exploding gradients
#
# **The question.** The answer at step 100 depends on the input at step 0. The chain rule is exact,
# and your backward pass is right. How much of the gradient is left when it arrives at step 0?
#
# You need: [chapter 3](03_bptt.ipynb), eigenvalues. You will set the radius of a recurrent matrix, and
# write gradient clipping.

# %%
import matplotlib.pyplot as plt
import numpy as np

import minirnn as mr
from minirnn import exercises, measure, plot
from minirnn.cells.initializers import identity, orthogonal
from minirnn.datasets.synthetic import adding

plot.style()
rng = np.random.default_rng(0)

# %% [markdown]
# ## Measured first
#
# Three tanh networks of 64 units. Each `W_h` is a random orthogonal matrix
# ([`orthogonal`](../minirnn/cells/initializers.py)), which changes no length, times 0.8, 1 or 1.2.
# All three read 100 steps of weak noise. A gradient of length 1 starts at the last state, and
# [`trace`](../minirnn/measure.py) records its length at every step before.
#
# **Predict, then run:** what is left at step 0, in each of the three?

# %%
T, B, H = 100, 8, 64
x, dy = 0.1 * rng.normal(size=(T, B, 1)), np.zeros((T, B, H))
dy[-1] = rng.normal(size=(B, H))
dy /= np.linalg.norm(dy)
Q = orthogonal(rng, H)
W_x = mr.RNN(1, H, rng=rng).params["W_x"]


def tanh_rnn(W_h):
    layer = mr.RNN(1, H)
    layer.params["W_x"][...], layer.params["W_h"][...] = W_x, W_h
    return layer


def traced(layer):
    return measure.trace(layer, x, lambda y, target: (0.0, target), dy)  # dy is given, not a loss


radii = (0.8, 1.0, 1.2)
layers = {f"radius {r}": tanh_rnn(r * Q) for r in radii}
traces = {name: traced(layer) for name, layer in layers.items()}
norms = {name: measure.gradient_norms(t) for name, t in traces.items()}
plot.gradient_norms(norms)
plt.show()
print("left at step 0:", {name: f"{n[0]:.0e}" for name, n in norms.items()})
assert norms["radius 0.8"][0] < 1e-9 and 0.01 < norms["radius 1.0"][0] < 1
assert norms["radius 1.2"][0] > 10

# %% [markdown]
# Across: the step; read it from right to left, as the gradient goes. Up: its length, logarithmic.
# With radius 0.8 it falls by the same factor at each step: a straight line. 0.8 does not look
# small, but multiplied by itself a hundred times it is $2 \cdot 10^{-10}$. With 1.2 the gradient
# grows, but less evenly; the reason comes below.
#
# What do you do with a gradient of $10^{-10}$? It is there, and it is right. But it is added to the
# gradients of the late steps, which are of size 1, and it is lost in them. The network learns from
# what is near, and hardly anything from what is far.
#
# ## The factor of one step
#
# How much does the state $h_t$ change when $h_{t-1}$ changes? The answer is a matrix, the Jacobian.
# With $h_t = \tanh(a_t)$, $a_t = x_t W_x + h_{t-1} W_h + b$:
#
# $$J_t = \frac{\partial h_t}{\partial h_{t-1}} = \mathrm{diag}(1 - h_t^2)\, W_h^T \qquad\qquad
# \frac{\partial h_T}{\partial h_t} = J_T\, J_{T-1} \cdots J_{t+1}$$
#
# There are as many matrices in the product as there are steps in between. Its norm is at most the
# product of their norms (Pascanu et al. 2013):
#
# $$\Big\lVert \frac{\partial h_T}{\partial h_t} \Big\rVert \le \prod_k \lVert J_k \rVert \le
# \big(\lVert W_h \rVert \cdot \max (1 - h^2)\big)^{T-t}$$
#
# [`jacobians`](../minirnn/measure.py) measures all of that. Let us compare it with the formula.

# %%
layer = layers["radius 1.2"]
h, _, _ = layer.forward(x[:, :1])
product, by_hand = np.eye(H), [1.0]
for t in reversed(range(T)):
    J = np.diag(1 - h[t, 0] ** 2) @ layer.params["W_h"].T
    product = product @ J
    by_hand.insert(0, np.linalg.norm(product, 2))
measured = {name: measure.jacobians(layer, x[:, :1]) for name, layer in layers.items()}
assert np.allclose(by_hand, measured["radius 1.2"].norms, rtol=1e-7)

fig, axes = plt.subplots(1, 3, figsize=(9, 3.2), sharey=True)
for ax, (name, found) in zip(axes, measured.items(), strict=True):
    plot.jacobians(found, ax=ax)
    ax.set(title=name, ylabel="" if ax is not axes[0] else ax.get_ylabel())
    if ax is not axes[2]:
        ax.get_legend().remove()
plt.show()
for name, found in measured.items():
    print(f"{name}: product {found.norms[0]:.1e}, bound {found.bounds[0]:.1e}")
    assert found.norms[0] <= found.bounds[0]
assert measured["radius 0.8"].norms[0] > 0.01 * measured["radius 0.8"].bounds[0]
assert measured["radius 1.2"].norms[0] < 1e-3 * measured["radius 1.2"].bounds[0]

# %% [markdown]
# Across: the step, 0 the initial state. Up: how strongly the last state ($s$ in the label, here
# $h$) depends on the state at that step, and the bound. With radius 0.8 the two lines stay
# together: the factor in the bound is below 1, so the gradient *must* vanish. With 1.2 the bound
# only says that it *may* explode. It does grow, but by far less than the bound. Something holds it
# back.
#
# ## What holds it back
#
# The other factor, $\tanh'(a) = 1 - \tanh(a)^2$. It is 1 at zero and below 1 everywhere else.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3))
a = np.linspace(-4, 4, 200)
axes[0].plot(a, np.tanh(a), color=plot.GATES["h"], label="tanh(a)")
axes[0].plot(
    a, 1 - np.tanh(a) ** 2, color=plot.STYLES[0]["color"], linestyle="--", label="1 - tanh(a)²"
)
axes[0].set(xlabel="a", ylabel="value")
axes[0].legend()
slopes = {name: np.mean(1 - t["h"] ** 2, axis=(1, 2)) for name, t in traces.items()}
plot.curves(slopes, "step t", "mean of 1 - h²", np.arange(T), log=False, ax=axes[1])
axes[1].set_ylim(0, 1.05)
plt.show()
late = {name: s[-20:].mean() for name, s in slopes.items()}
print("mean of 1 - h² over the last 20 steps:", {name: f"{s:.2f}" for name, s in late.items()})
assert (
    late["radius 0.8"] > 0.98 and late["radius 1.2"] < 0.9 and 0.9 < 1.2 * late["radius 1.2"] < 1.1
)
growth = norms["radius 1.2"][:-1] / norms["radius 1.2"][1:]
assert growth[:5].min() > 1.1 > 1.05 > growth[40:].mean()

# %% [markdown]
# Left: tanh (black) and its derivative (orange) against $a$. Right: the mean derivative at each
# step. With radius 1.2 the states grow until tanh flattens, and the flat part multiplies each step
# by less than 1: $1.2 \cdot 0.82 \approx 1$. Only in the first steps, where the states are still
# small, does the gradient grow by 1.2 a step: look at the left end of the pictures above. So a tanh
# network does not explode without end. But it pays a price: on average its units react to a change
# with only 0.82 of the strength that they have at zero. With relu, the derivative is 1 wherever the
# unit is on, and nothing holds the growth back.
#
# ## Eigenvalues
#
# With the derivative near 1, the product is $W_h$ to the power $T-t$. The **eigenvalues** tell what
# a power does: an eigenvalue of size $|\lambda|$ becomes $|\lambda|^{T-t}$. Inside the unit circle
# it fades, outside it grows. The largest size is the *spectral radius*.
#
# It is not the norm. The norm is the most that *one* multiplication can stretch; the radius is what
# counts in the long run. Compare the orthogonal matrix with Gaussian numbers of
# variance $1/H$.

# %% tags=["cover"]
G = rng.normal(size=(H, H)) / np.sqrt(H)
fig, axes = plt.subplots(1, 4, figsize=(9, 2.9), sharex=True, sharey=True)
matrices = {"0.8 Q": 0.8 * Q, "Q": Q, "1.2 Q": 1.2 * Q, "Gaussian": G}
for ax, (name, W) in zip(axes, matrices.items(), strict=True):
    plot.eigenvalues(W, ax=ax)
    ax.set_title(f"{name}\n{ax.get_title()}\nnorm {np.linalg.norm(W, 2):.2f}", fontsize=9)
    if ax is not axes[0]:
        ax.set_ylabel("")
plt.show()
powers = [np.linalg.norm(np.linalg.matrix_power(G, n), 2) for n in (1, 10, 100)]
print("norm of the Gaussian matrix to the power 1, 10, 100:", [f"{p:.2g}" for p in powers])
print("norm to the power 100 by its norm alone:", f"{powers[0] ** 100:.0e}")
assert powers[0] > 1.8 and powers[2] < 1e6 < 1e20 < powers[0] ** 100

# %% [markdown]
# Each point is an eigenvalue in the complex plane; the grey circle has radius 1. Those of an
# orthogonal matrix lie *on* a circle. Those of the Gaussian matrix fill the disc: most directions
# fade, and a few at the edge stay or grow a little at each step (1.11 a step is $3 \cdot 10^4$
# after 100 steps). Its norm is near 2, and $2^{100}$ is too large by more than twenty powers of
# ten.
#
# **Exercise 1.** Write `spectral_scale(W, radius)`: `W` $(H, H)$, multiplied by the one number
# that makes its spectral radius `radius`. (`np.linalg.eigvals` gives the eigenvalues.)


# %% tags=["exercise"]
def spectral_scale(W, radius):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def spectral_scale(W, radius):
    return W * (radius / np.abs(np.linalg.eigvals(W)).max())


# %% tags=["check"]
exercises.check(spectral_scale)

# %% [markdown]
# Stuck? `exercises.hint("spectral_scale")`, and again with `2` and `3`.
#
# ## Explosion: a wall
#
# The smallest recurrent network: one unit, no input, no tanh. It starts at 0.5 and should be at 1
# after 50 steps:
#
# $$h_t = w\, h_{t-1} \qquad L(w) = (0.5\, w^{50} - 1)^2$$
#
# Gradient descent starts at $w = 1.05$, on the right of the lowest point, $w = 2^{1/50} = 1.014$.
#
# **Predict, then run:** where does it end, with a learning rate of 0.0001?


# %%
def loss(w):
    return (0.5 * w**50 - 1) ** 2


def slope(w):
    return 2 * (0.5 * w**50 - 1) * 25 * w**49


def descend(largest, w=1.05, lr=1e-4, steps=200):
    path = [w]
    for _ in range(steps):
        g = slope(w)
        w = w - lr * g * min(1, largest / abs(g))
        path.append(w)
    return np.array(path)


w = np.linspace(0.75, 1.06, 400)
fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharex=True, sharey=True)
ends = {}
for ax, (name, largest) in zip(
    axes, {"not clipped": np.inf, "clipped to 100": 100}.items(), strict=True
):
    path = descend(largest)
    ends[name] = path[-1]
    ax.plot(w, loss(w), color="grey", linewidth=1)
    ax.plot(
        path, loss(path), color=plot.STYLES[0]["color"], marker="o", markersize=4, linewidth=0.8
    )
    ax.set(title=name, xlabel="w", ylabel="loss" if ax is axes[0] else "", ylim=(-1, 30))
plt.show()
print(f"slope at the start: {slope(1.05):.0f}")
for name, end in ends.items():
    print(f"{name}: ends at w = {end:.4f}, loss {loss(end):.4f}, slope there {slope(end):.1e}")
assert ends["not clipped"] < 0.8 and loss(ends["not clipped"]) > 0.99
assert loss(ends["clipped to 100"]) < 1e-6

# %% [markdown]
# Across: the weight. Up: the loss (grey), and the steps of the descent (orange). On the right is a
# wall, because $w^{50}$ explodes. On the left is a plain, because $w^{50}$ vanishes. Without
# clipping, the first step is as long as the wall is steep: it goes far over the valley and out to
# the plain. There the slope is nearly zero, so the descent stays there for ever. With clipping,
# each step is at most 0.01 long, and the descent walks down.
#
# The direction of the gradient was right all the time. Its *length* was useless: a gradient sees
# the slope of the wall, but not how soon the wall ends. So keep the direction and cut the length:
#
# $$g \leftarrow g \cdot \min\!\Big(1, \frac{\text{max\_norm}}{\lVert g \rVert}\Big)$$
#
# **Exercise 2.** Write `clip_by_norm(grads, max_norm)`. `grads` is a dictionary of arrays. The norm
# is that of all numbers in all arrays *together*. Return a new dictionary (do not change the arrays
# that you get), and the norm *before* clipping, which is worth watching.


# %% tags=["exercise"]
def clip_by_norm(grads, max_norm):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def clip_by_norm(grads, max_norm):
    norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    scale = max_norm / norm if norm > max_norm else 1.0
    return {name: scale * g for name, g in grads.items()}, norm


# %% tags=["check"]
exercises.check(clip_by_norm)

# %% [markdown]
# In the library this is [`clip_grad_norm`](../minirnn/training/optim.py);
# `mr.fit(..., max_norm=1.0)` calls it.
#
# Clipping helps against explosion. It does nothing against vanishing: a gradient of $10^{-10}$
# cannot be told from no gradient.
#
# ## Better starts
#
# Against vanishing a good start helps: eigenvalues of size 1, and an activation of slope one. Le et
# al. (2015) take both literally: `W_h` the [`identity`](../minirnn/cells/initializers.py), and
# relu. At first such a network only adds up its inputs, and its Jacobian is the identity wherever a
# unit is on.
#
# The task is *adding*: of 50 numbers from 0 to 1, two are marked. What is their sum? If you always
# answer 1, your mean squared error is about 1/6. Four networks of 32 units, Adam, clipped to 1.
#
# **Predict, then run:** which of them get below the black line?


# %%
def network(start, rng, H=32):
    options = {"rng": rng, "dtype": np.float32}
    if start == "LSTM":
        cell = mr.LSTM(2, H, **options)
    else:
        cell = mr.RNN(2, H, "relu" if "relu" in start else "tanh", **options)
    if start == "tanh, radius 0.5":
        cell.params["W_h"] *= 0.5
    if start == "relu, identity":
        cell.params["W_h"][...] = identity(H)
    return mr.Sequential(cell, mr.Last(), mr.Linear(H, 1, **options))


def train(start, batches=800, max_norm=1.0, optimizer=None):
    rng = np.random.default_rng(0)
    model, optimizer = network(start, rng), optimizer or mr.Adam(0.005)
    losses, norms = [], []
    for _ in range(batches):
        x, target = adding(rng, 50, 64)
        loss, grads, _ = mr.bptt(model, mr.mse, x, target)
        losses.append(loss)
        norms.append(mr.clip_grad_norm(grads, max_norm))
        if not np.isfinite(norms[-1]):
            break
        optimizer.step(model.params, grads)
    return model, np.array(losses), np.array(norms)


x_test, target_test = adding(np.random.default_rng(9), 50, 1000)
always_1 = np.mean((target_test - 1) ** 2)
runs = {s: train(s) for s in ("tanh, radius 0.5", "tanh, orthogonal", "relu, identity", "LSTM")}
smooth = {name: losses.reshape(-1, 20).mean(axis=1) for name, (_, losses, _) in runs.items()}
ax = plot.curves(smooth, "batch", "mean squared error", 20 * np.arange(1, 41))
ax.axhline(always_1, color="black", linewidth=0.8)
ax.set_ylim(1e-3, 2)
plt.show()
errors = {
    name: mr.mse(model.forward(x_test)[0], target_test)[0] for name, (model, _, _) in runs.items()
}
print("error on 1000 new sequences:")
for name, error in {**errors, "always answering 1": always_1}.items():
    print(f"  {name:<20}{error:.3f}")
assert min(errors["tanh, radius 0.5"], errors["tanh, orthogonal"]) > 0.9 * always_1
assert max(errors["relu, identity"], errors["LSTM"]) < 0.5 * always_1

# %% [markdown]
# Across: batches. Up: the mean squared error, means of 20 batches; the black line is "always 1".
# (The identity with relu begins above the picture.) Neither tanh network gets far below the line.
# For the one with radius 0.5 that is no surprise. But the orthogonal start is not enough by itself,
# either: tanh forgets as soon as the states are not small. The identity with relu learns, and so
# does the LSTM.
#
# The price of relu is that nothing holds it back. Here is the same network with plain gradient
# descent, with and without clipping:

# %%
with np.errstate(all="ignore"):  # it will overflow
    wild = train("relu, identity", 100, np.inf, mr.SGD(0.01))[2]
tame = train("relu, identity", 100, 1.0, mr.SGD(0.01))[2]
adam = runs["relu, identity"][2]
print("norm of the gradient, not clipped:", [f"{n:.1e}" for n in wild])
print("clipped (norm before), first five:", [f"{n:.1e}" for n in tame[:5]])
print(f"with Adam and clipping, the largest of all 800 batches: {adam.max():.1e}")
assert len(wild) < 5 and not np.isfinite(wild[-1])
assert len(tame) == 100 and np.isfinite(tame).all() and adam.max() > 1e4

# %% [markdown]
# Without clipping, the training is lost after a step or two. With clipping it goes on, with
# gradients of any size in between.
#
# ## What the LSTM does about it
#
# It hands on a second state, the cell, along a path without a matrix and without a squashing function:
#
# $$c_t = f_t * c_{t-1} + i_t * g_t \qquad\Rightarrow\qquad \frac{\partial c_t}{\partial c_{t-1}} =
# \mathrm{diag}(f_t) \ \text{(on this path)}$$
#
# The factor of a step is the forget gate, which the network can *learn*, unit by unit. To see this
# path alone, set `W_h` to zero, so that the gates do not see `h`. Then what is left of `dc` is the
# product of the forget gates and nothing else.
#
# **Predict, then run:** an LSTM begins with a forget bias of 1, $\sigma(1) = 0.73$. How much is left
# after 98 steps? More than in the tanh network of radius 0.8?

# %%
kept = {}
for bias in (0, 1, 3, 5):
    lstm = mr.LSTM(1, H, forget_bias=bias, rng=1)
    lstm.params["W_h"][...] = 0
    inside = traced(lstm)
    kept[f"forget bias {bias}"] = measure.gradient_norms(inside, "dc")
    # dc holds what comes from later steps: at step T-2 it is what step T-1 handed back.
    products = np.cumprod(inside["f"][:0:-1], axis=0)[::-1]
    assert np.allclose(inside["dc"][:-1], products * (inside["dc"][-2] / inside["f"][-1]))
values = {name: n[:-1] for name, n in kept.items()}
plot.curves(values, "step t", r"$\|\partial L/\partial c_t\|$", np.arange(T - 1))
plt.show()
print("left at step 0, of step 98:", {name: f"{n[0] / n[-2]:.1e}" for name, n in kept.items()})
left = {name: n[0] / n[-2] for name, n in kept.items()}
assert left["forget bias 1"] < 1e-10 < 1e-3 < left["forget bias 3"] < 0.1 < left["forget bias 5"]
assert left["forget bias 1"] < norms["radius 0.8"][0]

# %% [markdown]
# Across: the step. Up: the gradient of the cell. Straight lines again. **An LSTM vanishes too**, with
# a bias of 1 even faster than the tanh network of radius 0.8. What it has is a factor that can *be* near 1 and
# stay there: with a bias of 5 about half is left, and training can move every unit's gate
# to where it is needed. In a tanh network the matrix is the same
# at all steps, whatever is read; the forget gate is computed anew at each step, and can be open while
# there is something to keep and shut when there is not.
#
# The paths through `W_h` are still there too, and they can explode as before. So LSTMs are also
# trained with clipping.

# %%
full = {}
for bias in (1, 3):
    lstm = mr.LSTM(1, H, forget_bias=bias, rng=1)
    full[bias] = measure.gradient_norms(traced(lstm), "dh")[0]
print("left of dh at step 0, with all paths:", {f"bias {b}": f"{n:.1e}" for b, n in full.items()})
assert full[1] > 1e6 * left["forget bias 1"] and full[3] > 10

# %% [markdown]
# ## Read next
#
# - Bengio, Simard & Frasconi 1994, *Learning long-term dependencies with gradient descent is
#   difficult*.
# - Pascanu, Mikolov & Bengio 2013, *On the difficulty of training recurrent neural networks*: the
#   bound, the wall, clipping.
# - Le, Jaitly & Hinton 2015, *A simple way to initialize recurrent networks of rectified linear units*.
# - Saxe, McClelland & Ganguli 2014, *Exact solutions to the nonlinear dynamics of learning in deep
#   linear neural networks*: why orthogonal.
# - [Chapter 7](07_lstm.ipynb) looks inside the LSTM.
#
# **A question without an answer here:** keep `W_h` orthogonal *during* training, and use an
# activation of slope 1, and nothing vanishes or explodes. Then why does not everybody do this? What
# can a network not do, if it forgets nothing?
