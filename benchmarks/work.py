"""What is measured: pairs of functions that do the same work, ours and another's.

A case is a dictionary that says what it is, and a dictionary of functions by the name of who does
the work. Peers that are not installed are left out of the latter.
"""

import contextlib
import importlib.util
import os
import tempfile
import time
import warnings

import numpy as np
import threadpoolctl

import minirnn as mr

SHAPES = [
    (1, 100, 1, 32),
    (32, 28, 28, 64),
    (32, 100, 64, 128),
    (128, 28, 28, 128),
    (64, 50, 128, 256),
    (64, 35, 512, 512),
]  # (B, T, D, H)
FEW_ROWS = [(1, 100, 64, 128), (1, 100, 256, 256)]  # for the forward pass, beside the first above
CELLS, DTYPES = ("RNN", "LSTM", "GRU"), ("float32", "float64")
CORES = mr.get_num_threads()  # before anything sets another number
PEERS = {
    name: importlib.util.find_spec(name) is not None
    for name in ("torch", "jax", "scipy", "onnxruntime")
}


def turn_times(who, turns, seconds):
    """The time of one call of each function, in seconds: for each of its turns the median."""
    found = {f"{name} s": [] for name in who}
    for _ in range(turns):
        for name, function in who.items():
            function()
            times, started = [], time.perf_counter()
            while not times or time.perf_counter() - started < seconds:
                before = time.perf_counter()
                function()
                times.append(time.perf_counter() - before)
            found[f"{name} s"].append(float(np.median(times)))
    return found


def thread_counts(quick):
    """With how many threads to measure: 1, 2, 4, ... up to the cores; if quick, only with all."""
    return sorted({2**k for k in range(20) if 2**k < CORES} | {CORES})[-1 if quick else 0 :]


def set_threads(n):
    """For us, for NumPy's products, and for PyTorch."""
    mr.set_num_threads(n)
    threadpoolctl.threadpool_limits(n, "blas")
    if PEERS["torch"]:
        import torch

        torch.set_num_threads(n)


def draw(cell, dtype, shape):
    B, T, D, H = shape
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(T, B, n)).astype(dtype) for n in (D, H))
    layer = getattr(mr, cell)(D, H, rng=0, dtype=dtype)
    lengths = np.sort(rng.integers(T // 2, T + 1, B))[::-1].copy()
    return layer, x, dy, lengths


def in_torch(cell):
    """Whether PyTorch is installed, and has this cell."""
    if not PEERS["torch"]:
        return False
    import torch

    return hasattr(torch.nn, cell)


def torch_layer(cell, dtype, shape):
    import torch

    return getattr(torch.nn, cell)(*shape[2:], dtype=getattr(torch, dtype))


def forward_backward(cell, dtype, shape, ragged=False):
    """Output, and the gradients of input, parameters and (for us) initial state."""
    layer, x, dy, lengths = draw(cell, dtype, shape)

    def ours():
        _, _, cache = layer.forward(x, lengths=lengths if ragged else None)
        layer.backward(dy, cache)

    who = {"minirnn": ours}
    if in_torch(cell):
        import torch
        from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

        module = torch_layer(cell, dtype, shape)
        tx, tdy, tn = torch.tensor(x, requires_grad=True), torch.tensor(dy), torch.tensor(lengths)

        def theirs():
            if ragged:
                y, _ = pad_packed_sequence(
                    module(pack_padded_sequence(tx, tn))[0], total_length=len(x)
                )
            else:
                y, _ = module(tx)
            y.backward(tdy)

        who["torch"] = theirs
    return who


def lengths(cell, dtype, shape):
    """The same with sequences of T/2 to T steps; PyTorch's are packed."""
    return forward_backward(cell, dtype, shape, ragged=True)


def forward(cell, dtype, shape):
    """The output alone, with nothing kept for a backward pass."""
    layer, x, _, _ = draw(cell, dtype, shape)

    def ours():
        with mr.no_cache():
            layer.forward(x)

    who = {"minirnn": ours}
    if in_torch(cell):
        import torch

        module, tx = torch_layer(cell, dtype, shape), torch.tensor(x)

        def theirs():
            with torch.no_grad():
                module(tx)

        who["torch"] = theirs
    if shape[0] == 1 and dtype == "float32" and PEERS["onnxruntime"]:
        who["onnxruntime"] = onnx_forward(layer, x, mr.get_num_threads())
    return who


def onnx_forward(layer, x, threads):
    """The same layer in ONNX Runtime, which is made for a forward pass with a single row."""
    import onnxruntime

    from minirnn import exchange

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "layer.onnx")
        exchange.to_onnx(mr.Sequential(layer), file)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["y"], {"x": x})


def numpy_loop(cell, dtype, shape):
    """The forward pass as a student writes it: a loop over ``step`` in NumPy."""
    layer, x, _, _ = draw(cell, dtype, shape)

    def loop():
        state, y = layer.zero_state(x.shape[1]), []
        for x_t in x:
            y_t, state = layer.step(x_t, state, layer.params)  # with params: in plain NumPy
            y.append(y_t)
        return np.array(y)

    return {"minirnn": lambda: layer.forward(x), "numpy loop": loop}


def products(cell, dtype, shape):
    """Nothing but the matrix products of a forward and backward pass, one call each."""
    layer, x, dy, _ = draw(cell, dtype, shape)
    W_x, W_h = layer.params["W_x"], layer.params["W_h"]
    rows, h = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    a, out = rows @ W_x, np.empty_like(dy[0])
    step, da = (
        np.empty((x.shape[1], W_h.shape[1]), dtype),
        np.ones((x.shape[1], W_h.shape[1]), dtype),
    )

    def bare():
        np.matmul(rows, W_x, out=a)
        for h_t in dy:
            np.matmul(h_t, W_h, out=step)
        for _ in dy:
            np.matmul(da, W_h.T, out=out)
        rows.T @ a, h.T @ a, a @ W_x.T

    return forward_backward(cell, dtype, shape) | {"products": bare}


def scaling(cell, dtype, shape):
    """A forward and backward pass with each number of threads, by turns."""

    def with_threads(n, function):
        def run():
            if mr.get_num_threads() != n:  # in the first call of a turn, which is not counted
                set_threads(n)
            function()

        return run

    who, counts = forward_backward(cell, dtype, shape).items(), thread_counts(False)
    return {f"{name}, {n}": with_threads(n, function) for name, function in who for n in counts}


def streaming(cell, dtype, shape):
    """One step for one sequence, beside its two products."""
    layer, x, _, _ = draw(cell, dtype, (1, 1, *shape[2:]))
    x, state, W_x, W_h = x[0], layer.zero_state(1), layer.params["W_x"], layer.params["W_h"]
    h = state[0] if isinstance(state, tuple) else state
    return {"minirnn": lambda: layer.step(x, state), "products": lambda: (x @ W_x, h @ W_h)}


# ---- A whole training step of a language model --------------------------------------------------

MODELS = [(32, 35, 2000, 128, 128), (20, 35, 10000, 200, 200)]  # (B, T, V, E, H)
LR, CLIP = 1e-3, 5.0


def training(shape, threads):
    """Embedding, LSTM, linear, cross-entropy, clipping, Adam, in float32."""
    B, T, V, E, H = shape
    rng = np.random.default_rng(0)
    tokens, target = rng.integers(0, V, (2, T, B))
    o = {"rng": rng, "dtype": "float32"}
    model = mr.Sequential(mr.Embedding(V, E, **o), mr.LSTM(E, H, **o), mr.Linear(H, V, **o))
    optimizer = mr.Adam(LR)

    def ours():
        _, grads, _ = mr.bptt(model, mr.softmax_cross_entropy, tokens, target)
        mr.clip_grad_norm(grads, CLIP)
        optimizer.step(model.params, grads)

    who = {"minirnn": ours}
    if PEERS["torch"]:
        who["torch"] = torch_training(tokens, target, V, E, H, compiled=False)
        who["torch.compile"] = torch_training(tokens, target, V, E, H, compiled=True)
    if PEERS["jax"] and (threads > 1 or hasattr(os, "sched_setaffinity")):
        with cores_of_jax(threads):
            step = jax_training(model, tokens, target)

        def theirs():
            with cores_of_jax(threads):
                step()

        who["jax"] = theirs
    return who


@contextlib.contextmanager
def cores_of_jax(threads):
    """JAX takes as many threads as the process has cores when it is first used, and cannot be asked
    for fewer. If this is to be one, its threads must be born, and called, on a single core; then
    a measurement with more threads needs another process."""
    if threads > 1:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def torch_training(tokens, target, V, E, H, compiled):
    import torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(V, E), nn.LSTM(E, H)
            self.linear = nn.Linear(H, V)

        def forward(self, x):
            return self.linear(self.lstm(self.embedding(x))[0])

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), LR)
    run = torch.compile(model) if compiled else model
    x, y = torch.tensor(tokens), torch.tensor(target).flatten()

    def step():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer.zero_grad()
            nn.functional.cross_entropy(run(x).flatten(0, 1), y).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()

    return step


def jax_training(model, tokens, target):
    import jax
    import jax.numpy as jnp

    params = {name: jnp.asarray(p) for name, p in model.params.items()}
    tokens, target = jnp.asarray(tokens), jnp.asarray(target)
    H = params["1.W_h"].shape[0]

    def loss(p):
        xW = p["0.W"][tokens] @ p["1.W_x"] + p["1.b"]

        def one(state, a):
            h, c = state
            i, f, g, o = jnp.split(a + h @ p["1.W_h"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zero = jnp.zeros((tokens.shape[1], H))
        _, h = jax.lax.scan(one, (zero, zero), xW)
        logits = jax.nn.log_softmax(h @ p["2.W"] + p["2.b"])
        return -jnp.take_along_axis(logits, target[..., None], axis=-1).mean()

    @jax.jit
    def update(p, m, v, t):
        g = jax.grad(loss)(p)
        norm = jnp.sqrt(sum(jnp.sum(a * a) for a in g.values()))
        g = {k: a * jnp.minimum(1, CLIP / norm) for k, a in g.items()}
        m = {k: 0.9 * m[k] + 0.1 * g[k] for k in g}
        v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in g}
        rate = LR * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        return {k: p[k] - rate * m[k] / (jnp.sqrt(v[k]) + 1e-8) for k in g}, m, v, t + 1

    zeros = {k: jnp.zeros_like(p) for k, p in params.items()}
    now = [(params, zeros, zeros, 1.0)]

    def step():
        now[0] = update(*now[0])
        now[0][0]["2.b"].block_until_ready()

    return step
