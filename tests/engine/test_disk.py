"""What one edits is what runs, also with machine code on disk; damaged code does not matter."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest

import minirnn
from minirnn.engine import disk

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")

# Does the gradient check of a layer, or of a loss, say that all is well?
LAYER = """
import numpy as np, minirnn as mr
x = np.random.default_rng(0).normal(size=(3, 2, 2))
print(mr.gradcheck({layer}, {x}).ok)
"""
LOSS = """
import numpy as np, minirnn as mr
a, t, h = np.random.default_rng(0).normal(size=(4, 3)), np.array([0, 2, 1, 1]), 1e-6
up, down = a.copy(), a.copy()
up[0, 0] += h
down[0, 0] -= h
slope = (mr.softmax_cross_entropy(up, t)[0] - mr.softmax_cross_entropy(down, t)[0]) / (2 * h)
print(abs(slope - mr.softmax_cross_entropy(a, t)[1][0, 0]) < 1e-8)
"""
ALIGNMENT = """
import numpy as np, minirnn as mr
from minirnn.training.ctc import textbook
a = np.random.default_rng(0).normal(size=(4, 1, 3))
print(np.allclose(mr.ctc(a, [[1], [2]])[1][:, 0], textbook(a[:, 0], [1, 2])[1]))
"""
WARPING = """
import numpy as np
from minirnn.experiments.dtw import nearest
far, near, word = np.full((4, 2), 9.0), np.ones((3, 2)), np.ones((5, 2))
print(nearest([far, near], [word]).tolist() == [1])
"""
OPTIMIZER = """
import numpy as np, minirnn as mr
p, g = np.ones(3), np.full(3, 2.0)
mr.Adam(0.5).step({"p": p}, {"p": g})
print(bool(np.allclose(p, 0.5)))
"""
RNN = LAYER.format(layer="mr.RNN(2, 3, rng=0)", x="x")
# file: (program, the right line, a wrong one)
EDITS = {
    "activations.py": (RNN, "return one - s * s", "return one - s"),
    "engine/fast_functions.py": (RNN, "return np.copysign(e / (two + e), x)", "return e"),
    "engine/products.py": (RNN, "out[row, j] = whole_out[row, j]", "out[row, j] = 0"),
    "engine/tile.py": (RNN, "builder.fmul(left_rk, w_k", "builder.fadd(left_rk, w_k"),
    "cells/rnn.py": (RNN, "dh[j] + dy_t[j]", "dh[j] - dy_t[j]"),
    "cells/lstm.py": (
        LAYER.format(layer="mr.LSTM(2, 3, rng=0)", x="x"), "dc_prev = dc * f", "dc_prev = dc",
    ),
    "cells/gru.py": (
        LAYER.format(layer="mr.GRU(2, 3, rng=0)", x="x"), "dm[j] = da_n[j] * r[j]", "dm[j] = 0",
    ),
    "cells/output_rnn.py": (
        LAYER.format(layer="mr.OutputRNN(2, 3, 2, rng=0)", x="x"),
        "da_row[j] *= dtanh(h_row[j])", "da_row[j] *= h_row[j]",
    ),
    "layers/embedding.py": (
        LAYER.format(layer="mr.Embedding(3, 2, rng=0)", x="np.zeros((3, 2), int)"),
        "row[j] += dy_row[j]", "row[j] = dy_row[j]",
    ),
    "training/ctc.py": (
        ALIGNMENT, "dlogits[t, b, states[s]] -= scale", "dlogits[t, b, states[s]] += scale",
    ),
    "experiments/dtw.py": (WARPING, "(n_a + n_b) < best", "(n_a + n_b) > best"),
    "training/losses.py": (LOSS, "p[index[n]] -= share", "p[index[n]] += share"),
}  # fmt: skip


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of minirnn to be edited, with a folder of its own for machine code."""
    folder = tmp_path_factory.mktemp("copy")
    source = Path(minirnn.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, folder / "minirnn", ignore=ignored)
    return folder


def says(package, program):
    environment = {
        **os.environ, "PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(package / "c"),
        "NUMBA_OPT": "0",  # compiles in less time
    }  # fmt: skip
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=environment, cwd=package, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def see_an_edit(package, name):
    program, right, wrong = EDITS[name]
    file = package / "minirnn" / name
    text = file.read_text(encoding="utf-8")
    assert text.count(right) == 1, right
    assert says(package, program) == "True"  # and now its machine code is on disk
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    try:
        assert says(package, program) == "False"
    finally:
        file.write_text(text, encoding="utf-8")


def test_an_edited_derivative_is_what_runs_and_so_is_the_old_text_put_back(package):
    see_an_edit(package, "activations.py")
    assert says(package, RNN) == "True"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EDITS)[1:])
def test_an_edit_in_any_file_that_kernels_use_is_what_runs(package, name):
    see_an_edit(package, name)


def test_every_file_with_kernels_is_edited_above_and_in_the_stamp():
    root = Path(minirnn.__file__).parent
    stamped = {path for path, _, _ in disk.stamp_of_sources()}
    for file in root.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        name = file.relative_to(root).as_posix()
        if "\n@jit\n" in text or "\n@inline" in text or "@overload(" in text:
            assert str(file) in stamped, name
            assert name in {*EDITS, "engine/jit.py", "training/optim.py"}, name


def test_code_on_disk_that_is_cut_empty_or_changed_is_made_again(package):
    assert says(package, OPTIMIZER) == "True"
    folder = package / "c"
    index, code = (sorted(folder.rglob(f"*{kind}")) for kind in (".nbi", ".nbc"))
    assert index and code
    for file, damage in (
        (index, lambda b: b""),
        (index, lambda b: b[: len(b) // 2]),
        (code, lambda b: b""),
        (code, lambda b: b[:-1] + bytes([b[-1] ^ 1]) if b else b),
    ):
        for one in file:
            one.write_bytes(damage(one.read_bytes()))
        assert says(package, OPTIMIZER) == "True"
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.nb?")}
    assert says(package, OPTIMIZER) == "True"
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*.nb?")}
    assert after == before  # found, and used again
