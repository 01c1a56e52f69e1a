"""Forward and backward pass of each cell against PyTorch's, as the ratio of their times.

    pip install '.[bench]'
    python benchmarks/against_torch.py --threads 1

Both libraries do the same work in one process, in turns, with the same number of threads. In each
turn the first call is not counted, since a library's idle threads may still wait, busily, for more
work when the other begins; nor is compilation. A figure is the median of the turns' medians.
"""

import argparse
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

    module = getattr(torch.nn, cell)(x.shape[2], dy.shape[2], dtype=getattr(torch, dtype))
    x, dy = torch.tensor(x, requires_grad=True), torch.tensor(dy)

    def step():
        y, _ = module(x)
        y.backward(dy)

    return step


def turn(step, seconds):
    """The median time of a call, in seconds."""
    step()
    times, started = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return np.median(times)


def ratio(cell, dtype, shape, turns=7, seconds=0.15):
    """PyTorch's time / ours."""
    B, T, D, H = shape
    x = np.random.default_rng(0).normal(size=(T, B, D)).astype(dtype)
    steps = [make(cell, dtype, x, np.ones((T, B, H), dtype)) for make in (ours, theirs)]
    times = [[turn(step, seconds) for step in steps] for _ in range(turns)]
    mine, other = np.median(times, axis=0)
    return other / mine


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    import torch

    import minirnn as mr

    mr.set_num_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    print(f"PyTorch's time / ours, {arguments.threads} threads; (B, T, D, H) = ")
    print(f"{'':<14}" + "".join(f"{shape!s:>20}" for shape in SHAPES) + f"{'geometric mean':>17}")
    everything = []
    for cell in CELLS:
        for dtype in DTYPES:
            ratios = [ratio(cell, dtype, shape) for shape in SHAPES]
            everything += ratios
            cells = "".join(f"{r:>20.2f}" for r in ratios)
            print(f"{cell:<5}{dtype:<9}{cells}{np.exp(np.mean(np.log(ratios))):>17.2f}", flush=True)
    mean = np.exp(np.mean(np.log(everything)))
    print(f"all: geometric mean {mean:.2f}, worst {min(everything):.2f}")


if __name__ == "__main__":
    main()
