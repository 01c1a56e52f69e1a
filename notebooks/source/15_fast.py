# %% [markdown]
# # 15. Making it fast
#
# **The question.** One line, `a = x W_x + h W_h + b`, takes more than twenty times as long in one
# program as in another. The multiplications are the same. Where does the time go?
#
# You need: [chapter 2](02_by_hand.ipynb) for the forward pass, [chapter 3](03_bptt.ipynb) for the
# backward pass. You will take two products out of a loop. Everything here is float64.
#
# The times on this page are from one machine at one moment. Run it on yours: the order of some bars
# may change. What is true on any machine stands in the `assert`s.

# %%
import importlib.util
import json
import math
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numba
import numpy as np
from threadpoolctl import threadpool_limits

import minirnn as mr
from minirnn import exercises, plot
from minirnn.activations import tanh
from minirnn.engine.jit import OPTIONS
from minirnn.engine.products import add_product, panels, times

plot.style()
rng = np.random.default_rng(0)
one_thread = threadpool_limits(1, "blas")  # NumPy's products too, to compare like with like

T, D, H = 100, 64, 128
layer = mr.RNN(D, H, rng=rng)
W_x, W_h = layer.params["W_x"], layer.params["W_h"]
b = rng.normal(size=H)
layer.params["b"][...] = b
inputs = {B: (rng.normal(size=(T, B, D)), np.zeros((B, H)), W_x, W_h, b) for B in (1, 32)}

# %% [markdown]
# The inputs are there for a batch of 1 and of 32, always in the order `x, h0, W_x, W_h, b`. Each
# version below is a function of them, and returns `h` $(T+1, B, H)$ with `h[0]` the initial state.
#
# ## The equations, letter by letter
#
# $$a_{tj} = \sum_k x_{tk} W_{x,kj} + \sum_k h_{t-1,k} W_{h,kj} + b_j \qquad h_{tj} = \tanh a_{tj}$$
#
# Here are the sums as loops, in Python, and as products, in NumPy.


# %%
def python_loops(x, h0, W_x, W_h, b):
    x, W_x, W_h, b = x.tolist(), W_x.tolist(), W_h.tolist(), b.tolist()
    h = [h0.tolist()]
    for x_t in x:
        new = []
        for x_row, h_row in zip(x_t, h[-1], strict=True):
            row = []
            for j in range(len(b)):
                a = b[j]
                for k in range(len(x_row)):
                    a += x_row[k] * W_x[k][j]
                for k in range(len(h_row)):
                    a += h_row[k] * W_h[k][j]
                row.append(math.tanh(a))
            new.append(row)
        h.append(new)
    return np.array(h)


def numpy_each_step(x, h0, W_x, W_h, b):
    h = np.empty((len(x) + 1, *h0.shape))
    h[0] = h0
    for t in range(len(x)):
        h[t + 1] = np.tanh(x[t] @ W_x + h[t] @ W_h + b)
    return h


right = {B: numpy_each_step(*inputs[B]) for B in inputs}


def agree(function, B=32):
    """The largest difference to NumPy's result."""
    return float(np.abs(function(*inputs[B]) - right[B]).max())


assert agree(python_loops, 1) < 1e-13
print("the same numbers, to rounding:", agree(python_loops, 1) < 1e-13)

# %% [markdown]
# **Predict, then run:** a step of this network is 192 times 128 multiplications. How many can
# Python do in a second, and how many can NumPy?


# %% tags=["clock"]
def best(functions, seconds, *arguments):
    """The shortest time of each in ms. They take turns, so that all see the same disturbances."""
    found = dict.fromkeys(functions, np.inf)
    for function in functions.values():
        function(*arguments)  # the first call compiles, and touches memory
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for name, function in functions.items():
            before = time.perf_counter()
            function(*arguments)
            found[name] = min(found[name], 1000 * (time.perf_counter() - before))
    return found


first = best({"Python": python_loops, "NumPy": numpy_each_step}, 0.8, *inputs[1])
for name, ms in first.items():
    rate = T * H * (D + H) / ms * 1000
    print(f"{name:<7} {ms:8.2f} ms    {rate / 1e6:8.0f} million multiplications a second")
assert first["Python"] > 20 * first["NumPy"]

# %% [markdown]
# For Python each number is an object: to multiply two, it looks up their types, unpacks them, makes a
# new object. NumPy asks once for a whole array.
#
# ## What need not wait
#
# `h[t] @ W_h` has to wait for the step before. `x[t] @ W_x` does not: `x` is known from the start.
# Put all $T \cdot B$ rows of `x` under each other, and it is *one* product. The library does so in
# [`times`](../minirnn/engine/products.py), for its `Linear` layer.
#
# **Exercise 1.** Write the forward pass with one product for `x W_x` of all steps. `x` $(T, B, D)$,
# `h0` $(B, H)$, `W_x` $(D, H)$, `W_h` $(H, H)$, `b` $(H,)$; it returns `h` $(T+1, B, H)$, with `h0`
# as its first entry. The checker counts your products with `W_x`.


# %% tags=["exercise"]
def rnn_forward_fast(x, h0, W_x, W_h, b):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def rnn_forward_fast(x, h0, W_x, W_h, b):
    (T, B, D), H = x.shape, len(b)
    xW = (x.reshape(T * B, D) @ W_x).reshape(T, B, H)
    h = np.empty((T + 1, B, H))
    h[0] = h0
    for t in range(T):
        h[t + 1] = np.tanh(xW[t] + h[t] @ W_h + b)
    return h


# %% tags=["check"]
exercises.check(rnn_forward_fast)

# %% [markdown]
# **Why not `W_h` as well?** Without the tanh, you could multiply out
# $h_2 = (h_0 W_h + x_1 W_x) W_h + x_2 W_x$, and compute the powers of `W_h` beforehand. The tanh in
# between makes that impossible: there is no matrix that takes every $h_0$ to its $h_2$. (Networks
# with a *linear* recurrence give up the tanh for this reason; see *Read next*.)


# %%
def two_steps(h, f):
    return f(f(h @ W_h) @ W_h)


u, v = rng.normal(size=(2, 1, H))
for name, f in {"without tanh": lambda a: a, "with tanh": np.tanh}.items():
    gap = two_steps(u + v, f) - two_steps(u, f) - two_steps(v, f)
    print(f"{name:<13} f(u + v) - f(u) - f(v): {np.abs(gap).max():.0e}")
    assert (np.abs(gap).max() < 1e-12) == (name == "without tanh")

# %% [markdown]
# ## Compiled: the loops as they stand
#
# Numba compiles Python functions on numbers and arrays to machine code. These are the three loops
# again, and then the same with the order of two loops changed. The number of multiplications is the
# same.


# %%
@numba.njit
def numba_loops(x, h0, W_x, W_h, b):
    T, B, D = x.shape
    H = len(b)
    h = np.empty((T + 1, B, H))
    h[0] = h0
    for t in range(T):
        for row in range(B):
            for j in range(H):
                a = b[j]
                for k in range(D):
                    a += x[t, row, k] * W_x[k, j]  # goes down a column of W_x
                for k in range(H):
                    a += h[t, row, k] * W_h[k, j]
                h[t + 1, row, j] = math.tanh(a)
    return h


@numba.njit
def numba_turned(x, h0, W_x, W_h, b):
    T, B, D = x.shape
    H = len(b)
    h = np.empty((T + 1, B, H))
    h[0] = h0
    a = np.empty(H)
    for t in range(T):
        for row in range(B):
            a[:] = b
            for k in range(D):
                for j in range(H):
                    a[j] += x[t, row, k] * W_x[k, j]  # goes along a row of W_x
            for k in range(H):
                for j in range(H):
                    a[j] += h[t, row, k] * W_h[k, j]
            for j in range(H):
                h[t + 1, row, j] = math.tanh(a[j])
    return h


assert max(agree(numba_loops), agree(numba_turned)) < 1e-13

# %% [markdown]
# **Predict, then run:** compiled, which of the two is faster? And do they beat NumPy, at batch 1 and
# at batch 32?

# %% tags=["clock"]
three = {
    "NumPy, each step": numpy_each_step,
    "Numba, three loops": numba_loops,
    "Numba, loops turned": numba_turned,
}
for B in inputs:
    measured = best(three, 0.7, *inputs[B])
    print(f"batch {B:<3}", "   ".join(f"{name} {ms:.2f} ms" for name, ms in measured.items()))
assert measured["Numba, three loops"] > 3 * measured["NumPy, each step"]  # at batch 32

# %% [markdown]
# Compiled is not the same as fast. At batch 32 the three loops are slower than NumPy by far more than
# the factor 3 that the cell asserts. Two reasons:
#
# - A processor fetches memory in **cache lines** of 64 bytes, eight numbers that are neighbours.
#   Along a row of `W_h`, all eight are used. Down a column, only one is used, and the other seven
#   came for nothing.
# - It has **vector registers** of 2 to 8 float64, and adds or multiplies all of them with one
#   instruction. The compiler can use them where neighbours in memory go into *different* sums. But
#   the numbers of one running sum must be added in the written order, one after the other, unless
#   you allow the compiler to change the order.
#
# A third cost is hidden in `np.empty`. The operating system gives out memory in **pages** of 4096
# bytes, when each is touched for the first time. This is a *page fault*, in which it also fills the
# page with zeros. Here are all three costs, measured alone:


# %%
@numba.njit
def row_sums(M):
    total = 0.0
    for k in range(M.shape[0]):
        for j in range(M.shape[1]):
            total += M[k, j]
    return total


# The same, with leave to add in another order: several partial sums at a time.
in_vectors = numba.njit(fastmath={"reassoc"})(row_sums.py_func)


def fill(memory):
    memory[...] = 1.0


M, warm = rng.normal(size=(2048, 2048)), np.zeros((2048, 2048))
assert np.allclose([row_sums(M.T), in_vectors(M)], row_sums(M))

# %% tags=["clock"]
memory = best(
    {
        "sum, column by column": lambda: row_sums(M.T),
        "sum, row by row": lambda: row_sums(M),
        "sum, by rows, in vectors": lambda: in_vectors(M),
        "fill, fresh memory": lambda: fill(np.empty((2048, 2048))),
        "fill, memory used before": lambda: fill(warm),
    },
    0.6,
)


def bars(times, ax, limits=None):
    names = list(times)
    ax.barh(names, times.values(), color=plot.STYLES[1]["color"], height=0.6)
    for name, ms in times.items():
        ax.annotate(f" {ms:.3g}" if ms < 100 else f" {ms:.0f}", (ms, name), va="center", fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set(xscale="log", xlabel="ms (logarithmic)")
    ax.set_xlim(0.5 * min([*times.values(), *(limits or {}).values()]), 4 * max(times.values()))
    for (name, ms), look in zip((limits or {}).items(), ("-", ":"), strict=False):
        ax.axvline(ms, color=plot.STYLES[0]["color"], linestyle=look, linewidth=1.5, label=name)


_, ax = plt.subplots(figsize=(7, 2.2))
bars(memory, ax)
ax.set_title("4 million numbers, 34 MB", fontsize=9)
plt.show()

# %% [markdown]
# Up and down: five ways to touch the same number of numbers. Across: milliseconds, on a logarithmic
# axis. The first two bars differ in the order of two loops. The third is allowed to add in another
# order. The last two differ in who had the memory before. The library keeps large arrays that
# nobody needs any more, and uses their pages again: [`empty`](../minirnn/engine/memory.py).
#
# ## The tanh is not free
#
# `math.tanh` is a call into the C library, for one number at a time. A loop with a call in it
# cannot use vectors. [`fast_functions.py`](../minirnn/engine/fast_functions.py) writes tanh as arithmetic
# without a branch: [`exp_parts`](../minirnn/engine/fast_functions.py) splits $x = k \ln 2 + r$, so that
# $e^x = 2^k (1 + p)$ with $p = e^r - 1$. To round to $k$, it adds a number so large that the sum
# has no bits left for a fraction. The last bits of the sum, moved to the place of the exponent, are
# $2^k$. And $p$ is a polynomial. From $m = e^{-2|a|} - 1 = 2^k p + (2^k - 1)$, where nothing
# cancels however small $a$ is, comes $\tanh|a| = -m / (2 + m)$.


# %%
@numba.njit
def c_tanh(a, out):
    for k in range(a.size):
        out[k] = math.tanh(a[k])


@numba.njit(**OPTIONS)
def vector_tanh(a, out):
    for k in range(a.size):
        out[k] = tanh(a[k])  # minirnn.activations


a = rng.normal(size=4096)
by_c, by_us = np.empty_like(a), np.empty_like(a)
c_tanh(a, by_c)
vector_tanh(a, by_us)
print(f"largest relative difference: {np.max(np.abs(by_us / by_c - 1)):.0e}")
assert np.max(np.abs(by_us / by_c - 1)) < 1e-15

# %% tags=["clock"]
tanhs = best(
    {
        "math.tanh, compiled loop": lambda: c_tanh(a, by_c),
        "np.tanh": lambda: np.tanh(a, out=by_c),
        "minirnn's, compiled loop": lambda: vector_tanh(a, by_us),
    },
    0.5,
)
for name, ms in tanhs.items():
    print(f"{name:<26} {1e6 * ms / a.size:5.1f} ns a value")

# %% [markdown]
# ## All of it together
#
# First there are products by the BLAS, the library of matrix products behind `@`, called from
# compiled code, with one tanh or the other. Then there are minirnn's own products. The BLAS is made
# for large matrices: for each product it rearranges both factors in memory. But `W_h` is the same
# at every step. So minirnn rearranges it once, in [`panels`](../minirnn/engine/products.py), and
# [`add_product`](../minirnn/engine/products.py) keeps the sums of a *tile* of rows and columns in
# registers for up to 256 terms ([`tile`](../minirnn/engine/products.py)). Eight rows are enough for
# such a tile. So minirnn's loop also computes `x W_x` at its own step, and leaves it in the
# processor's cache for what comes next. (A single row is multiplied by four panels at once, because
# the few sums of one panel would wait for each other.)
#
# One option of minirnn's kernels must be switched off for the BLAS: the kernels make no arrays, and
# so they do not count how many references to an array there are (`_nrt`).


# %%
def compiled_blas(activation, **options):
    @numba.njit(**options)
    def forward(x, h0, W_x, W_h, b):
        T, B, D = x.shape
        H = len(b)
        h, a = np.empty((T + 1, B, H)), np.empty((B, H))
        h[0] = h0
        xW = np.dot(x.reshape(T * B, D), W_x).reshape(T, B, H)
        for t in range(T):
            np.dot(h[t], W_h, a)
            for row in range(B):
                for j in range(H):
                    h[t + 1, row, j] = activation(xW[t, row, j] + a[row, j] + b[j])
        return h

    return forward


@numba.njit(**OPTIONS)
def over_panels(h, xW, a, W_h, b):
    T, B, H = xW.shape
    for t in range(T):
        add_product(xW[t], h[t], W_h, a)
        for row in range(B):
            for j in range(H):
                h[t + 1, row, j] = tanh(a[row, j] + b[j])


def numba_panels(x, h0, W_x, W_h, b):
    h = np.empty((len(x) + 1, *h0.shape))
    h[0] = h0
    over_panels(h, times(x, W_x), np.empty_like(h0), panels(W_h), b)
    return h


def numpy_x_once(x, h0, W_x, W_h, b):
    (T, B, D), H = x.shape, len(b)
    xW = (x.reshape(T * B, D) @ W_x).reshape(T, B, H)
    h = np.empty((T + 1, B, H))
    h[0] = h0
    for t in range(T):
        h[t + 1] = np.tanh(xW[t] + h[t] @ W_h + b)
    return h


def library(threads):
    def forward(x, h0, W_x, W_h, b):
        mr.set_num_threads(threads)
        return layer.forward(x, h0)[2]

    return forward


versions = {"NumPy, each step": numpy_each_step, "NumPy, x W_x once": numpy_x_once} | three
if importlib.util.find_spec("scipy"):  # which brings Numba its BLAS
    versions["Numba, BLAS, math.tanh"] = compiled_blas(math.tanh)
    versions["Numba, BLAS, vector tanh"] = compiled_blas(tanh, **OPTIONS | {"_nrt": True})
else:
    print("Without SciPy Numba has no BLAS: two versions are left out.")
versions["Numba, panels, vector tanh"] = numba_panels
assert max(agree(f, B) for f in versions.values() for B in inputs) < 1e-13
versions |= {"minirnn, 1 thread": library(1), "minirnn, 2 threads": library(2)}
assert np.abs(layer.forward(inputs[32][0])[0] - right[32][1:]).max() < 1e-13

# %% [markdown]
# Two marks to compare with. *The products alone*: `x W_x` as one product and `h W_h` as a hundred,
# by NumPy, into memory that is already there, and nothing else. (But NumPy has a hundred calls, so
# at batch 1 compiled code can be faster.) *At the rate of a large product*: the same number of
# multiplications, if they went as fast as those of two 512 by 512 matrices. At batch 1 the second
# is out of reach: every number of `W_h` is fetched for a single multiplication.


# %%
def products_alone(B):
    x, h, out = inputs[B][0].reshape(T * B, D), right[B], np.empty((B, H))
    xW = np.empty((T * B, H))

    def run(*_):
        np.matmul(x, W_x, out=xW)
        for t in range(T):
            np.matmul(h[t], W_h, out=out)

    return run


large, room = rng.normal(size=(2, 512, 512))


def large_product(*_):
    np.matmul(large, large, out=room)


# %% tags=["cover", "clock"]
figures = {}
fig, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True)
for B, ax in zip(inputs, axes, strict=True):
    limits = {"products alone": products_alone(B), "large": large_product}
    ms = best(versions | limits, {1: 1.0, 32: 3.0}[B], *inputs[B])
    steps = {1: T, 32: 2}[B]  # for Python's three loops: at batch 32 two steps stand for all
    before = time.perf_counter()
    python_loops(inputs[B][0][:steps], *inputs[B][1:])
    python_ms = 1000 * (time.perf_counter() - before) * T / steps
    limits = {
        "the products alone": ms.pop("products alone"),
        "at the rate of a large product": ms.pop("large") * T * B * H * (D + H) / 512**3,
    }
    figures[B] = {"Python, three loops": python_ms, **ms, **limits}
    bars({"Python, three loops": python_ms, **ms}, ax, limits)
    ax.set_title(f"batch {B}", fontsize=9)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8)
plt.show()
for B, ms in figures.items():
    numpy = ms["NumPy, each step"]
    tanh_ms = tanhs["math.tanh, compiled loop"] * T * B * H / a.size
    print(
        f"batch {B}: math.tanh alone, {T * B * H} times: {tanh_ms:.2f} ms; NumPy, all: {numpy:.2f}"
    )
    print("times as fast as NumPy at each step:")
    print("   ", "\n    ".join(f"{name:<31} {numpy / t:8.3g}" for name, t in ms.items()))
    assert ms["Python, three loops"] > 20 * numpy and (B == 1 or tanh_ms > numpy / 3)
    assert min(ms[name] for name in versions) > ms["the products alone"] / 4
    assert ms["minirnn, 1 thread"] < 3 * min(numpy, ms["Numba, three loops"])

# %% [markdown]
# Up and down: the versions. Across: milliseconds for 100 steps, logarithmic: a third of the way
# from 1 to 10 is about a factor of two. Orange: the two marks. (At batch 32, Python was timed on
# two steps.) Read it like this:
#
# - *Batch 1* is about overhead. NumPy pays for each call, whatever the call does, and a step has
#   several calls. Code that is compiled as a whole avoids them. The library also pays something: it
#   checks its arguments, and rearranges `W_h` for only a hundred rows.
# - *Batch 32* is about arithmetic. A step does 32 times the work in the same number of calls.
#   Compiling alone gains nothing here. The line above the table shows why: `math.tanh` alone takes
#   a good part of the time in which NumPy, whose tanh uses vectors, does everything (asserted: at
#   least a third). Compare *BLAS, math.tanh* with *BLAS, vector tanh*. What then remains is mostly
#   products: compare with *the products alone*.
# - And exercise 1? At batch 1 *x W_x once* saves a hundred calls. At batch 32 each call has enough
#   to do, and nothing is gained. It may even be slower, since `xW` is 3 MB of fresh pages, which
#   are fetched once more step by step. The library gains there by its products: with `W_h`
#   rearranged once, it may even beat *the products alone*, which are NumPy's, although it also
#   keeps what the backward pass needs. It gains at least as much by memory that was used before:
#   *Numba, panels* has the same products, but a fresh `h`.
# - Two threads help where there is enough to share and both cores are free. At batch 1 there is one
#   row and nothing to share: a difference there is noise.
#
# ## Threads, and the same bits
#
# Sums of floats depend on their order: `(a + b) + c` is not `a + (b + c)`. If the number of threads
# decided who sums what, a result would depend on the machine. In the library it does not
# ([`threads.py`](../minirnn/engine/threads.py)). In the loop over time, each row of the batch
# belongs to one thread, and depends on no other row. Where rows are summed, as in $dW_h$,
# [`blocks`](../minirnn/engine/threads.py) uses only the *shapes* to cut them into blocks, and the
# sums of the blocks are added up in their order.

# %%
print("(0.1 + 0.2) + 0.3 == 0.1 + (0.2 + 0.3):", (0.1 + 0.2) + 0.3 == 0.1 + (0.2 + 0.3))
lstm, x = mr.LSTM(D, H, rng=0), inputs[32][0]
results = []
for threads in (1, 2):
    mr.set_num_threads(threads)
    y, _, cache = lstm.forward(x)
    dx, _, grads = lstm.backward(np.ones_like(y), cache)
    results.append([y, dx, *grads.values()])
same = all(np.array_equal(one, two) for one, two in zip(*results, strict=True))
print(f"the same bits with 1 thread and with 2: {same}")
assert same

# %% [markdown]
# ## The sum over time in the backward pass
#
# The backward pass has the products $dW_x$, $dW_h$, $dx$ and $da_{t+1} W_h^T$. Only the last one
# must wait for another step. When all `da` are there, the sum over time *is* a matrix product:
#
# $$dW_h = \sum_t h_{t-1}^T\, da_t = \begin{pmatrix} h_0 \\ h_1 \\ \vdots \end{pmatrix}^T
# \begin{pmatrix} da_1 \\ da_2 \\ \vdots \end{pmatrix}$$
#
# **Exercise 2.** `weight_gradient(h, da)`: `dW_h` $(H, H)$, summed over all steps and rows, as one
# product of two matrices with $T \cdot B$ rows. `h` $(T+1, B, H)$, where `h[0]` is the initial state,
# and `da` $(T, B, H)$, where `da[t]` belongs to the step that made `h[t + 1]`.


# %% tags=["exercise"]
def weight_gradient(h, da):
    raise NotImplementedError  # your code here


# %% tags=["solution"]
def weight_gradient(h, da):
    H = da.shape[2]
    return h[:-1].reshape(-1, H).T @ da.reshape(-1, H)


# %% tags=["check"]
exercises.check(weight_gradient)


# %% tags=["clock"]
def looped(h, da):
    dW_h = np.zeros((H, H))
    for t in range(len(da)):
        dW_h += h[t].T @ da[t]
    return dW_h


def at_once(h, da):
    return h[:-1].reshape(-1, H).T @ da.reshape(-1, H)


for B, h in right.items():
    da = rng.normal(size=(T, B, H))
    assert np.allclose(looped(h, da), at_once(h, da))
    ms = best({"a loop": looped, "one product": at_once}, 0.3, h, da)
    print(f"dW_h, batch {B}:", "   ".join(f"{name} {value:.3f} ms" for name, value in ms.items()))
    assert B > 1 or ms["a loop"] > 3 * ms["one product"]

# %% [markdown]
# At batch 1 a step's product is a column times a row: 16384 sums are fetched and stored again for
# one multiplication each. In the one product they stay in registers while all steps go into them.
# At batch 32 each step has 32 multiplications for every sum, and there is less to gain, or nothing.

# %% [markdown]
# ## Against others
#
# To be faster than your own other versions proves little. Here is PyTorch's forward and backward
# pass of the same layer, if PyTorch is installed:

# %% tags=["clock"]
if importlib.util.find_spec("torch"):
    import torch

    def ours(x, dy, *_):
        layer.backward(dy, layer.forward(x)[2])

    def theirs(x, dy, module, x_torch, dy_torch):
        module(x_torch)[0].backward(dy_torch)

    torch.set_num_threads(1)
    mr.set_num_threads(1)
    for B in inputs:
        module = torch.nn.RNN(D, H, dtype=torch.float64)
        x, dy = inputs[B][0], np.ones((T, B, H))
        with torch.no_grad():  # its weights are laid out the other way, and its biases are two
            for name, w in (("weight_ih_l0", W_x.T), ("weight_hh_l0", W_h.T), ("bias_ih_l0", b)):
                getattr(module, name).copy_(torch.tensor(np.ascontiguousarray(w)))
            module.bias_hh_l0.zero_()
        x_torch, dy_torch = torch.tensor(x, requires_grad=True), torch.tensor(dy)
        assert np.allclose(module(x_torch)[0].detach(), right[B][1:])
        ms = best({"minirnn": ours, "PyTorch": theirs}, 0.7, x, dy, module, x_torch, dy_torch)
        print(f"batch {B:<3}", "   ".join(f"{name} {value:.2f} ms" for name, value in ms.items()))
else:
    print("PyTorch is not installed here: nothing to compare with.")

# %% [markdown]
# This was one shape, one dtype, one thread. `python -m benchmarks` makes the whole table, with
# three cells, two dtypes and six shapes. It is kept with its date in
# [results.md](../benchmarks/results/results.md), and explained in
# [benchmarks](../benchmarks/README.md). From its numbers:

# %% tags=["clock"]
path = Path("../benchmarks/results/results.json")
if path.exists():
    stored = json.loads(path.read_text())
    print(f"measured on {stored['machine']['date']}, {stored['machine']['processor']}:")
    for row in stored["results"]:
        if row["section"] == "tricks" and row["shape"] == [32, 100, 64, 128]:
            seconds = row["figures"]
            print(
                f"\nLSTM, forward and backward, (B, T, D, H) = (32, 100, 64, 128), {row['dtype']}"
            )
            for name, value in seconds.items():
                factor = value / seconds["as it is s"]
                print(f"    {name.removesuffix(' s'):<40} {1000 * value:6.1f} ms   x {factor:.2f}")
else:
    print("benchmarks/results/results.json is not here (it is in the repository).")

# %% [markdown]
# Each line except the first takes away one trick. The factors go from two down to none; near 1, or
# below, a trick gains nothing at this shape. Four tricks are new here. While the library works on
# one panel, it *fetches the next ahead*. Each turn of a tile's loop adds *four terms*, since the
# loop's own instructions cost time too. It adds at most 256 terms *of a sum* at once, so that this
# part of a panel stays in the cache next to the processor. And memory *begins* where a line of the
# cache begins.
#
# ## Read next
#
# - Goto & van de Geijn 2008, *Anatomy of high-performance matrix multiplication*: panels, tiles,
#   registers, and why a product can run near the peak of a processor.
# - Appleyard, Kočiský & Blunsom 2016, *Optimizing performance of recurrent neural networks on GPUs*: the
#   same ladder, on other hardware.
# - Drepper 2007, *What every programmer should know about memory*: lines, pages, and more.
# - Martin & Cundy 2018, *Parallelizing linear recurrent neural nets over sequence length*; Gu & Dao
#   2023, *Mamba: linear-time sequence modeling with selective state spaces*: what is gained if the
#   recurrence is linear.
#
# **A question without an answer here:** at batch 1 every number of `W_h` is fetched again at each step,
# for a single multiplication. Could two steps share one fetch, although the second must wait for the
# first?
