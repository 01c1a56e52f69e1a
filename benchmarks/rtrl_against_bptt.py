"""The two ends of the trade: gradients carried forward (RTRL) or back (BPTT), in time and memory.

Memory is the peak of what Python and NumPy allocate while a gradient of one sequence is computed;
time is that of one step. ``python benchmarks/rtrl_against_bptt.py``
"""

import time
import tracemalloc

import numpy as np

import minirnn as mr


def measure(run, *arguments):
    run(*arguments)  # compiled, warm
    started = time.perf_counter()
    run(*arguments)
    seconds = time.perf_counter() - started
    tracemalloc.start()
    run(*arguments)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak


def bptt(layer, x, target):
    mr.bptt(layer, mr.mse, x, target)


def rtrl(layer, x, target):
    for _ in mr.rtrl(layer, mr.mse, x, target):
        pass


def main():
    rng = np.random.default_rng(0)
    print(f"{'H':>4}{'T':>7}{'parameters':>12}", end="")
    print(f"{'BPTT us/step':>14}{'RTRL us/step':>14}{'BPTT kB':>10}{'RTRL kB':>10}")
    for H, T in ((4, 100), (8, 100), (16, 100), (32, 100), (16, 1000), (16, 4000)):
        layer = mr.RNN(2, H, rng=0)
        x, target = rng.normal(size=(T, 1, 2)), rng.normal(size=(T, 1, H))
        p = sum(a.size for a in layer.params.values())
        cells = [measure(f, layer, x, target) for f in (bptt, rtrl)]
        times = "".join(f"{1e6 * seconds / T:>14.1f}" for seconds, _ in cells)
        print(f"{H:>4}{T:>7}{p:>12}{times}" + "".join(f"{peak / 1e3:>10.0f}" for _, peak in cells))


if __name__ == "__main__":
    main()
