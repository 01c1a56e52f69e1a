"""Run all benchmarks: ``python -m benchmarks [--quick] [--out DIR]``.

Beside minirnn it needs ``pip install '.[bench]'``; peers that are missing are named as missing. Our
functions and the others' take turns in one process, with the same number of threads. In each turn
the first call is not counted, since a library's idle threads may still wait, busily, for more work
when the other begins; nor is compilation. A time is the median of the turns' medians, a ratio that
of the turns' ratios: a machine that others use too may be half as fast from one second to the next,
and so may PyTorch's turns be lucky and ours not, but hardly the two halves of most turns. The turns
of the two main tables are taken in two parts, some minutes apart.

``python -m benchmarks --compare OLD.json NEW.json`` lists what has become slower by a tenth or
more, and ends with code 1 if there is anything.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

import minirnn as mr
from benchmarks import processes, report, work


def grid(section, make, quick, threads, turns, seconds, shapes=None):
    """Yield (section, case, function) for each cell, dtype and shape, timed in this process."""
    for cell in work.CELLS:
        for dtype in work.DTYPES[: 1 if quick else None]:
            for shape in shapes or work.SHAPES[: 3 if quick else None]:
                names = {"cell": cell, "dtype": dtype, "shape": shape, "threads": threads}
                yield section, names, timed(make, (cell, dtype, shape), threads, turns, seconds)


def timed(make, arguments, threads, turns, seconds):
    def measure():
        work.set_threads(threads)
        return work.turn_times(make(*arguments), turns, seconds)

    return measure


def whole_sequences(quick, turns, seconds):
    for n in work.thread_counts(quick):
        yield from grid("forward and backward", work.forward_backward, quick, n, turns, seconds)
        yield from grid("forward", work.forward, quick, n, turns, seconds)
    one_row = work.SHAPES[:1] + work.FEW_ROWS
    yield from grid("a single row", work.forward, True, 1, turns, seconds, one_row)


def further(quick, *effort):
    for n in work.thread_counts(quick):
        yield from grid("lengths", work.lengths, quick, n, *effort)
    yield from grid("numpy loop", work.numpy_loop, quick, 1, *effort)
    large = [s for s in work.SHAPES[: 3 if quick else None] if s[3] >= 128]
    yield from grid("matrix products", work.products, quick, 1, *effort, large)
    yield from grid("streaming", work.streaming, quick, 1, *effort, [(1, 1, 64, 128)])
    for dtype in () if quick or len(work.thread_counts(quick)) == 1 else work.DTYPES:
        for shape in work.SHAPES:
            names = {"cell": "LSTM", "dtype": dtype, "shape": shape}
            yield "threads", names, timed(work.scaling, tuple(names.values()), 1, *effort)
    for axis in range(4):  # time against B, T, H
        for n in () if quick or axis == 2 else (1, 4, 16, 64, 256):
            shape = [32, 50, 64, 64]
            shape[axis] = n * (2 if axis == 3 else 1)
            what = "LSTM", "float32", shape
            names = {"cell": "LSTM", "dtype": "float32", "axis": "BTDH"[axis], "shape": shape}
            yield "against size", names | {"threads": 1}, timed(work.products, what, 1, *effort)


def machine():
    packages = ("numpy", "numba", "torch", "jax", "scipy", "onnxruntime")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((s.split(":")[1].strip() for s in lines if s.startswith("model name")), model)
    return {
        "date": datetime.date.today().isoformat(),
        "processor": model,
        "threads at the most": mr.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        **versions,
    }


def main():
    parser = argparse.ArgumentParser(description="Run all benchmarks.")
    parser.add_argument("--quick", action="store_true", help="some of them, in two minutes")
    parser.add_argument(
        "--only", help="sections whose name contains this; the others stay as they are in --out"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OLD", "NEW"))
    arguments = parser.parse_args()
    if arguments.compare:
        old, new = (json.loads(file.read_text()) for file in arguments.compare)
        raise SystemExit(1 if report.compare(old, new) else 0)
    quick = arguments.quick
    turns, later, seconds = (2, 1, 0.03) if quick else (5, 4, 0.03)
    cases = [
        *whole_sequences(quick, turns, seconds),
        *further(quick, turns, seconds),
        *processes.cases(quick, turns + later, seconds),
        *whole_sequences(quick, later, seconds),
    ]
    cases = [c for c in cases if arguments.only is None or arguments.only in c[0]]
    for name in work.PEERS:
        if not work.PEERS[name]:
            print(f"{name} is missing: install it to be compared with it")
    found, results = {"machine": machine(), "quick": quick}, {}
    started = time.perf_counter()
    with tqdm(cases, unit="case") as bar:
        for section, case, measure in bar:
            bar.set_description(section)
            result = {"section": section, **case, "figures": {}}
            figures = results.setdefault(report.key(result), result)["figures"]
            try:
                measured = measure()
            except Exception as error:
                bar.write(f"{section} {case}: not measured: {type(error).__name__}: {error!s:.300}")
                continue
            for name, values in measured.items():
                figures.setdefault(name, []).extend(np.ravel(values))
    for result in results.values():
        turns_of = result["figures"]
        result["figures"] = {n: float(np.median(v)) for n, v in turns_of.items()}
        result["ratios"] = report.ratios_of_turns(turns_of)
    found["results"] = list(results.values())
    found["minutes"] = round((time.perf_counter() - started) / 60, 1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "results.json"
    if arguments.only is not None and file.exists():
        before, new = json.loads(file.read_text()), {c[0] for c in cases}
        found["results"] += [r for r in before["results"] if r["section"] not in new]
        found["minutes"] = before["minutes"]
    file.write_text(json.dumps(found, indent=1) + "\n")
    text = report.markdown(found)
    (arguments.out / "results.md").write_text(text)
    print(text)
    for file in report.figures(found, arguments.out):
        print(file)


if __name__ == "__main__":
    main()
