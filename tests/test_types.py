"""Type checkers accept an ordinary program, and name each wrong line of others."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "types"
ROOT = HERE.parents[1]


def mypy(file, cache):
    """The lines that mypy --strict names, with its words."""
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--ignore-missing-imports", "--follow-imports=silent", "--cache-dir", str(cache)]
    run = subprocess.run(
        [*command, "--no-error-summary", str(file)], cwd=HERE, text=True, capture_output=True,
        env=os.environ | {"MYPYPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode < 2, run.stdout + run.stderr
    found = re.findall(rf"^{re.escape(file.name)}:(\d+): error: (.*)$", run.stdout, re.M)
    return {int(line): words for line, words in found}


def pyright(file, cache):
    """The lines that pyright names; it needs Node.js, and a network when it is first used."""
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    settings = cache / "pyrightconfig.json"
    settings.write_text(json.dumps({"include": [str(HERE)], "extraPaths": [str(ROOT)]}))
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--project", str(settings), "--outputjson",
         "--pythonpath", sys.executable, str(file)],
        text=True, capture_output=True,
    )  # fmt: skip
    try:
        found = json.loads(run.stdout)["generalDiagnostics"]
    except ValueError:
        pytest.skip(f"pyright does not start here: {run.stderr.strip()[-200:]}")
    return {
        d["range"]["start"]["line"] + 1: d["message"] for d in found if d["severity"] == "error"
    }


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_an_ordinary_program_is_accepted(checker, tmp_path):
    assert checker(HERE / "right.py", tmp_path) == {}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_each_wrong_line_is_named(checker, tmp_path):
    lines = (HERE / "wrong.py").read_text().splitlines()
    expected = [n for n, line in enumerate(lines, 1) if line.endswith("# expect: error")]
    named = checker(HERE / "wrong.py", tmp_path)
    not_named = [lines[n - 1] for n in expected if n not in named]
    by_mistake = {lines[n - 1]: words for n, words in named.items() if n not in expected}
    assert not not_named and not by_mistake


def test_the_ordinary_program_runs(tmp_path):
    subprocess.run(
        [sys.executable, str(HERE / "right.py")], cwd=tmp_path, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
