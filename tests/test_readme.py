"""The README's program runs and prints what the README says it prints."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

import minirnn as mr

README = Path(__file__).parent.parent / "README.md"


def test_the_program_prints_what_the_readme_shows():
    text = README.read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    shown = re.search(r"```text\n(.*?)```", text, re.S).group(1)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(program, {})

    def without_digits(s):  # of errors, which are rounding, and of the place of the largest
        s = re.sub(r"\d\.\d+e-\d+", "#", s)
        return re.sub(r" +\S*\[.*| +(y|final) ?\S*$", "", s, flags=re.M)

    assert without_digits(printed.getvalue()) == without_digits(shown)


def test_every_linked_file_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert len(links) > 10
    for link in links:
        assert (README.parent / link).exists(), link


def test_the_map_names_every_source_file():
    text = README.read_text(encoding="utf-8")
    for file in (README.parent / "minirnn").rglob("*.py"):
        a_chapter_s = file.parent.name == "exercises"  # the README names their folder
        if file.name not in ("__init__.py", "__main__.py") and not a_chapter_s:
            assert file.name in text, file


def test_the_five_patterns_of_the_readme_are_models():
    text = README.read_text(encoding="utf-8")
    program = re.search(r"```python\n(one_to_one.*?)```", text, re.S).group(1)
    models = {"V": 7, "mr": mr}
    exec(program, models)
    tokens = np.ones((4, 2), int)
    assert models["one_to_one"].forward(np.ones((3, 2)))[0].shape == (3, 1)
    assert models["one_to_many"].forward(tokens)[0].shape == (4, 2, 7)
    assert models["many_to_one"].forward(np.ones((4, 2, 1)))[0].shape == (2, 1)
    assert models["many_to_many"].forward(np.ones((4, 2, 1)))[0].shape == (4, 2, 1)
    assert models["encoder_decoder"].forward((tokens, tokens[:3]))[0].shape == (3, 2, 7)


def test_what_the_readme_says_of_other_libraries_holds(tmp_path, monkeypatch, capsys):
    for library in ("torch", "onnx", "onnxruntime"):
        pytest.importorskip(library, reason=f"{library} is not installed")
    text = README.read_text(encoding="utf-8")
    program = re.search(r"```python\n(import onnxruntime.*?)```\n\n```text\n(.*?)```", text, re.S)
    monkeypatch.chdir(tmp_path)
    exec(program.group(1), {"np": np, "mr": mr, "rng": np.random.default_rng(0)})
    assert capsys.readouterr().out == program.group(2)
