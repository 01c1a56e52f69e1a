"""The same bits in a new process, whatever the threads and the cache; and no need of a home."""

import concurrent.futures
import itertools
import multiprocessing
import os
import subprocess
import sys
import time

import numpy as np
import pytest

import minirnn as mr

PROGRAM = """
import hashlib, socket, sys
def no_network(*a, **k): raise OSError("no network here")
socket.socket.connect = no_network
import matplotlib
import numpy as np
import minirnn as mr
from minirnn import plot
from minirnn.datasets import batches

mr.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
x = rng.normal(size=(30, 96, 8)).astype("float32")
y = (x[0, :, 0] > 0).astype(int)
cells = mr.LSTM(8, 64, rng=0, dtype="float32"), mr.GRU(64, 64, rng=1, dtype="float32")
model = mr.Sequential(*cells, mr.Dropout(0.2), mr.Last(), mr.Linear(64, 2, rng=2, dtype="float32"))
history = mr.fit(
    model, mr.softmax_cross_entropy, lambda rng: batches.shuffled(x, y, 64, rng), mr.Adam(), 3,
    max_norm=1.0, rng=0,
)
plot.save(plot.losses({"loss": history.loss}), sys.argv[2])
digest = hashlib.sha256(b"".join(p.tobytes() for p in model.params.values()))
print(digest.hexdigest(), history.loss)
"""


def run(folder, threads=2, **environment):
    """What the program prints in a process of its own; None takes a variable away."""
    given = os.environ | {"MPLCONFIGDIR": str(folder)} | environment
    given = {name: value for name, value in given.items() if value is not None}
    command = [sys.executable, "-c", PROGRAM, str(threads), str(folder / "loss.png")]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (folder / "loss.png").stat().st_size > 1000
    return done.stdout


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return run(tmp_path_factory.mktemp("usual"))


def test_a_new_process_with_other_threads_comes_to_the_same_bits(usual, tmp_path):
    one = {name: "1" for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    assert run(tmp_path, threads=8, **one) == usual


def test_neither_home_nor_display_is_needed(usual, tmp_path):
    nowhere = str(tmp_path / "nowhere")
    gone = {"HOME": nowhere, "USERPROFILE": nowhere, "XDG_CACHE_HOME": None, "DISPLAY": None}
    assert run(tmp_path, threads=1, MPLBACKEND=None, **gone) == usual


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs a folder nobody can write to")
def test_a_cache_folder_that_cannot_be_written_is_done_without(usual, tmp_path):
    assert run(tmp_path, NUMBA_CACHE_DIR="/proc/minirnn") == usual


SMALL = """
import hashlib
import numpy as np
import minirnn as mr
layer, x = mr.RNN(3, 40, rng=0), np.random.default_rng(0).normal(size=(9, 5, 3))
y, _, cache = layer.forward(x)
dx, _, grads = layer.backward(y, cache)
print(hashlib.sha256(b"".join(a.tobytes() for a in (y, dx, *grads.values()))).hexdigest())
"""


def test_one_cell_comes_to_the_same_bits_from_a_cold_and_a_warm_cache(tmp_path, capsys):
    exec(SMALL, {})
    expected, given = capsys.readouterr().out, os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        command = [sys.executable, "-c", SMALL]
        done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300)
        assert done.stdout == expected, done.stderr
        assert any(tmp_path.rglob("*.nbc"))


@pytest.mark.slow
def test_a_whole_training_comes_to_the_same_bits_from_a_cold_and_a_warm_cache(usual, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    assert run(tmp_path, NUMBA_CACHE_DIR=str(cache)) == usual
    assert any(cache.rglob("*.nbc"))
    assert run(tmp_path, NUMBA_CACHE_DIR=str(cache)) == usual


def train(seed):
    """Some training, for a worker process."""
    x = np.random.default_rng(seed).normal(size=(10, 64, 4))
    model = mr.Sequential(mr.GRU(4, 32, rng=seed), mr.Last(), mr.Linear(32, 1, rng=seed))
    return mr.fit(model, mr.mse, (x, x[0, :, :1]), mr.Adam(), 3, rng=seed).loss


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_worker_processes_come_to_the_same_bits(method):
    expected = [train(seed) for seed in range(3)]
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(train, range(3))) == expected


def resident():
    """Memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads memory from /proc")
def test_hours_of_work_take_no_more_memory_than_minutes(tmp_path):
    """30 minutes of training, sampling, saving and loading; MINIRNN_SOAK gives other minutes."""
    minutes = float(os.environ.get("MINIRNN_SOAK", 30))
    rng, file, began = np.random.default_rng(0), tmp_path / "model.npz", time.monotonic()
    model = mr.Sequential(mr.Embedding(30, 16), mr.LSTM(16, 64), mr.Dropout(0.1), mr.Linear(64, 30))
    optimizer, memory, rounds = mr.Adam(), [], 0
    while time.monotonic() - began < 60 * minutes:
        T, B = int(rng.integers(5, 60)), int(rng.integers(1, 80))
        x = rng.integers(30, size=(T + 1, B))
        mr.fit(
            model, mr.softmax_cross_entropy, (x[:-1], x[1:]), optimizer, 2, max_norm=1.0, rng=rng
        )
        list(itertools.islice(mr.sample(model, [1, 2], rng=rng), 40))
        mr.gradcheck(mr.RNN(2, 3, rng=rng), rng.normal(size=(3, 2, 2)), rng=0)
        mr.save(model, file)
        loaded = mr.load(file)
        assert all(np.array_equal(p, loaded.params[n]) for n, p in model.params.items())
        model, rounds = loaded, rounds + 1
        memory.append(resident())
    quarter = len(memory) // 4
    early, late = max(memory[quarter : 2 * quarter]), max(memory[-quarter:])
    print(f"{rounds} rounds; {early / 2**20:.1f} MB early, {late / 2**20:.1f} MB late")
    assert late < 1.05 * early  # the allocator of the C library moves by some per cent
