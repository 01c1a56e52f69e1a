"""Forward and backward pass of each cell against PyTorch's, as the ratio of their times.

    pip install '.[bench]'
    python benchmarks/against_torch.py --threads 1

Each library runs in processes of its own, with that many threads, since the idle threads of one
slow down the other's. A figure is the median over the runs of about half a second, and of three
processes. Compilation is not counted.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np

SHAPES = [
    (1, 100, 1, 32),
    (32, 28, 28, 64),
    (32, 100, 64, 128),
    (128, 28, 28, 128),
    (64, 50, 128, 256),
    (64, 35, 512, 512),
]  # (B, T, D, H)
CELLS = ("RNN", "LSTM", "GRU")
DTYPES = ("float32", "float64")


def ours(cell, dtype, x, dy):
    import minirnn as mr

    layer = getattr(mr, cell)(x.shape[2], dy.shape[2], rng=0, dtype=dtype)

    def step():
        _, _, cache = layer.forward(x)
        layer.backward(dy, cache)

    return step


def theirs(cell, dtype, x, dy):
    import torch

    torch.set_num_threads(int(os.environ["OPENBLAS_NUM_THREADS"]))
    module = getattr(torch.nn, cell)(x.shape[2], dy.shape[2], dtype=getattr(torch, dtype))
    x, dy = torch.tensor(x, requires_grad=True), torch.tensor(dy)

    def step():
        y, _ = module(x)
        y.backward(dy)

    return step


def measure(library):
    """Milliseconds for each case, as JSON on standard output."""
    result = {}
    for cell in CELLS:
        for dtype in DTYPES:
            for B, T, D, H in SHAPES:
                x = np.random.default_rng(0).normal(size=(T, B, D)).astype(dtype)
                step = library(cell, dtype, x, np.ones((T, B, H), dtype))
                step()
                times, started = [], time.perf_counter()
                while len(times) < 5 or time.perf_counter() - started < 0.5:
                    before = time.perf_counter()
                    step()
                    times.append(time.perf_counter() - before)
                result[f"{cell} {dtype} {B} {T} {D} {H}"] = 1e3 * float(np.median(times))
    print(json.dumps(result))


def run(library, threads):
    environment = dict(os.environ, OPENBLAS_NUM_THREADS=str(threads), OMP_NUM_THREADS=str(threads))
    command = [sys.executable, __file__, "--measure", library]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--measure", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        return measure({"ours": ours, "theirs": theirs}[arguments.measure])
    runs = {"ours": [], "theirs": []}
    for _ in range(3):
        for library, results in runs.items():
            results.append(run(library, arguments.threads))
    median = {
        library: {case: np.median([r[case] for r in results]) for case in results[0]}
        for library, results in runs.items()
    }
    print(f"PyTorch's time / ours, {arguments.threads} threads; (B, T, D, H) = ")
    print(f"{'':<14}" + "".join(f"{shape!s:>20}" for shape in SHAPES) + f"{'geometric mean':>17}")
    everything = []
    for cell in CELLS:
        for dtype in DTYPES:
            cases = [f"{cell} {dtype} {B} {T} {D} {H}" for B, T, D, H in SHAPES]
            ratios = [median["theirs"][case] / median["ours"][case] for case in cases]
            everything += ratios
            cells = "".join(f"{ratio:>20.2f}" for ratio in ratios)
            print(f"{cell:<5}{dtype:<9}{cells}{np.exp(np.mean(np.log(ratios))):>17.2f}")
    mean = np.exp(np.mean(np.log(everything)))
    print(f"all: geometric mean {mean:.2f}, worst {min(everything):.2f}")


if __name__ == "__main__":
    main()
