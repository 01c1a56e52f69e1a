"""What needs a process of its own: training with a given number of threads (see
``work.cores_of_jax``), memory at its peak, first use, and each trick switched off.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile

from benchmarks import work
from benchmarks.work import MODELS, PEERS

TRAINING = """
import json
from benchmarks import work
work.set_threads({threads})
who = work.training({shape}, {threads})
print(json.dumps(work.turn_times(who, {turns}, {seconds})))
"""

PEAK = """
import json, resource, time
def peak():  # of this process, in MB; Linux counts in kB
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1000
"""

MEMORY = {
    "minirnn": """
import numpy as np, minirnn as mr
T, B, D, H = {shape}
layer, x = mr.LSTM(D, H, rng=0, dtype="float32"), np.ones((T, B, D), "float32")
dy = np.ones((T, B, H), "float32")
def step(x, dy):
    y, _, cache = layer.forward(x)
    layer.backward(dy, cache)
""",
    "torch": """
import torch
T, B, D, H = {shape}
module, x = torch.nn.LSTM(D, H), torch.ones(T, B, D, requires_grad=True)
dy = torch.ones(T, B, H)
def step(x, dy):
    y, _ = module(x)
    y.backward(dy)
""",
}
MEMORY_RUN = """
step(x[:2], dy[:2]); before = peak()
for _ in range(3): step(x, dy)
print(json.dumps(peak() - before))
"""

LONG = """
import numpy as np, minirnn as mr
mr.set_num_threads(1)
T, H = 100_000, 128
layer = mr.LSTM(1, H, rng=0)
model = mr.Checkpoint(layer, 300) if {checkpoint} else layer
x, dy = np.ones((T, 1, 1)), np.full((T, 1, H), 1e-3)
y, _, cache = model.forward(x[:600]); model.backward(dy[:600], cache); del y, cache
before, start = peak(), time.perf_counter()
y, _, cache = model.forward(x); model.backward(dy, cache)
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""

IMPORT = """
import json, time
t = time.perf_counter(); import numba
u = time.perf_counter(); import minirnn
print(json.dumps([u - t, time.perf_counter() - u]))
"""

FIRST = """
import json, time
import numpy as np, minirnn as mr
t = time.perf_counter()
layer = mr.{cell}(8, 16, rng=0)
y, _, cache = layer.forward(np.ones((5, 2, 8))); layer.backward(np.ones_like(y), cache)
print(json.dumps(time.perf_counter() - t))
"""

# Each is run before the kernels are compiled, and puts the plain thing in a trick's place.
TRICKS = {
    "as it is": "",
    "tanh and exp of the C library": """
import math
import minirnn.activations as A
for table in A._BY_DTYPE.values():
    table[A.sigmoid] = lambda x: 1 / (1 + math.exp(-x))
    table[A.tanh] = lambda x: math.tanh(x)
""",
    "functions not forced inline": """
import numba, numba.extending
njit, overload = numba.njit, numba.extending.overload
def without(options):
    return {name: value for name, value in options.items() if name != "forceinline"}
numba.njit = lambda *function, **o: njit(*function, **without(o))
numba.extending.overload = lambda f, jit_options={}, **o: overload(f, without(jit_options), **o)
""",
    "references counted": """
import minirnn
from numba.core.dispatcher import Dispatcher
for d in [v for m in modules() for v in vars(m).values() if isinstance(v, Dispatcher)]:
    d.targetoptions.pop("_nrt", None)
""",
    "no panel fetched ahead": "import minirnn.engine.tile as t; t._write_fetch = lambda *_: None",
    "a term a turn": "import minirnn.engine.tile as t; t.UNROLL = 1",
    "sums of any length at once": "import minirnn.engine.products as p; p.MOST_TERMS = 1 << 30",
    "vectors of 32 bytes outside of products": """
import numba
import minirnn.engine.jit as j
j._prefer_wide_vectors = numba.njit(lambda: None)
""",
    "memory that begins anywhere": "import minirnn.engine.memory as M; M.LINE = 1",
    "a BLAS call each step": """
import minirnn, numba, numpy as np, scipy.linalg, threadpoolctl
threadpoolctl.threadpool_limits(1)
@numba.njit(nogil=True, _nrt=True)
def add_product(start, a, W, out):
    out[:] = start + np.dot(a, W)
for m in modules():
    for name, value in dict(add_product=add_product, panels=np.ascontiguousarray).items():
        if hasattr(m, name): setattr(m, name, value)
""",
    "fresh memory each time": "import minirnn.engine.memory as M; M.SMALLEST = 1 << 60",
}
TRICK_RUN = """
import json, sys
def modules():
    return [m for name, m in sys.modules.items() if name.startswith("minirnn")]
{trick}
import numpy as np, minirnn as mr
from benchmarks import work
mr.set_num_threads({threads})
B, T, D, H = {shape}
layer, x = mr.LSTM(D, H, rng=0, dtype="{dtype}"), np.ones((T, B, D), "{dtype}")
dy = np.ones((T, B, H), "{dtype}")
def step():
    y, _, cache = layer.forward(x); layer.backward(dy, cache)
step()
print("compiled", flush=True)
for line in sys.stdin:
    print(json.dumps(work.turn_times({{"LSTM": step}}, 1, {seconds})["LSTM s"][0]), flush=True)
"""


def run(code, **environment):
    """What the code prints, as JSON."""
    out = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True
    )
    if out.returncode:
        raise RuntimeError(out.stderr[-2000:])
    return json.loads(out.stdout.splitlines()[-1])


def cases(quick, turns, seconds):
    """Yield (section, case, a function that returns the figures by name)."""
    for threads in work.thread_counts(quick):
        for shape in MODELS[: 1 if quick else None]:
            # Longer turns than for a layer: after another's, the first steps of a library are slow.
            code = TRAINING.format(threads=threads, shape=shape, turns=turns, seconds=5 * seconds)
            yield "training step", {"shape": shape, "threads": threads}, lambda code=code: run(code)
    for shape in [(100, 32, 64, 128), (50, 64, 128, 256)][: 1 if quick else None]:
        yield (
            "memory",
            {"T, B, D, H": shape},
            lambda shape=shape: {
                f"{who} MB": run(PEAK + code.format(shape=shape) + MEMORY_RUN)
                for who, code in MEMORY.items()
                if who == "minirnn" or PEERS[who]
            },
        )
    yield "import", {}, lambda: dict(zip(("numba s", "minirnn s"), run(IMPORT), strict=True))
    for cell in ("RNN", "LSTM", "GRU"):
        yield "first use", {"cell": cell}, lambda cell=cell: first_use(cell, 1 if quick else 3)
    if not quick:
        for checkpoint in (False, True):
            name = "Checkpoint(LSTM, 300)" if checkpoint else "LSTM"
            code = PEAK + LONG.format(checkpoint=checkpoint)
            yield (
                "T = 100 000, B = 1, H = 128",
                {"model": name},
                lambda code=code: dict(zip(("s", "MB"), run(code), strict=True)),
            )
    at = [((32, 100, 64, 128), 1), ((64, 35, 512, 512), 2)]
    for shape, threads in at[: 1 if quick else None]:
        names = {"shape": shape, "dtype": "float32", "threads": threads}
        yield "tricks", names, lambda names=names: tricks(names, turns // 2 + 1, 5 * seconds)


def first_use(cell, times):
    figures = {"cold s": [], "from disk s": []}
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            for measured in figures.values():
                measured.append(run(FIRST.format(cell=cell), NUMBA_CACHE_DIR=folder))
    return figures


@functools.cache
def folder_of(trick):
    """Where the machine code without this trick is kept, for both shapes."""
    return tempfile.TemporaryDirectory()


def tricks(names, turns, seconds):
    """The LSTM's times by turns: for each trick a process waits for its own."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, trick in TRICKS.items():
            if "scipy" in trick and not PEERS["scipy"]:
                continue
            code = TRICK_RUN.format(trick=trick, **names, seconds=seconds)
            environment = os.environ | {"NUMBA_CACHE_DIR": folder_of(name).name}
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            worker = subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)
            workers[name] = stack.enter_context(worker)
            if not worker.stdout.readline():  # what went wrong it has said itself
                raise RuntimeError(f"{name}: its process ended")
        figures = {f"{name} s": [] for name in workers}
        for _ in range(turns):
            for name, worker in workers.items():
                print(file=worker.stdin, flush=True)
                figures[f"{name} s"].append(json.loads(worker.stdout.readline()))
    return figures
