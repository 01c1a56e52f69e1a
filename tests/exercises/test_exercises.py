"""Every exercise of the notebooks: the solution is accepted, a wrong answer is explained."""

import functools
import importlib
import pkgutil
import signal
from pathlib import Path

import answers
import numpy as np
import pytest

import minirnn as mr
from minirnn import exercises
from minirnn.exercises import gate

SOURCES = sorted((Path(__file__).parents[2] / "notebooks" / "source").glob("*.py"))


def tables():
    """The wrong answers of all chapters, by exercise."""
    found = {}
    for module in pkgutil.iter_modules(answers.__path__):
        found |= importlib.import_module(f"answers.{module.name}").WRONG
    return found


def solutions():
    """The text of all solution cells and stubs, by the name of the function they define."""
    found = {"solution": {}, "exercise": {}}
    for source in SOURCES:
        for cell in ("\n" + source.read_text(encoding="utf-8")).split("\n# %%")[1:]:
            head, _, body = cell.partition("\n")
            for tag, texts in found.items():
                if f'"{tag}"' in head:
                    name = body.split("def ", 1)[1].split("(")[0]
                    assert name not in texts, f"{name}: twice"
                    texts[name] = body
    return found["solution"], found["exercise"]


WRONG = tables()
SOLUTIONS, STUBS = solutions()
CASES = [(name, k) for name, listed in WRONG.items() for k in range(len(listed))]


def run(name, texts):
    """The function of a cell, which needs numpy and minirnn only."""
    scope = {"np": np, "mr": mr}
    exec(texts[name], scope)
    return scope[name]


def test_each_exercise_has_a_stub_a_solution_and_four_wrong_answers():
    exercises.common._exercise(next(iter(SOLUTIONS)))  # imports all chapters
    assert set(SOLUTIONS) == set(STUBS) == set(exercises.EXERCISES) == set(WRONG)
    assert all(len(listed) >= 4 for listed in WRONG.values())


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_solution_is_accepted(name, capsys):
    exercises.check(run(name, SOLUTIONS))
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize("name", SOLUTIONS)
def test_the_stub_is_told_to_be_written(name):
    with pytest.raises(exercises.Wrong, match="still to be written"):
        exercises.check(run(name, STUBS))


@functools.cache
def told(name, k):
    """What is said of a wrong answer."""
    with pytest.raises(exercises.Wrong) as raised:
        exercises.check(WRONG[name][k][0], name)
    return str(raised.value)


@pytest.mark.parametrize(("name", "k"), CASES)
def test_a_wrong_answer_is_told_what_is_wrong(name, k):
    assert WRONG[name][k][1] in told(name, k)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_answers_are_told_apart(name):
    assert len({told(name, k) for k in range(len(WRONG[name]))}) == len(WRONG[name])


@pytest.mark.parametrize("name", SOLUTIONS)
def test_there_are_three_hints(name, capsys):
    for level in (1, 2, 3):
        exercises.hint(name, level)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 and len({line[12:] for line in said}) == 3
    with pytest.raises(ValueError, match="1, 2 or 3"):
        exercises.hint(name, 4)


def test_an_unknown_exercise_is_refused():
    with pytest.raises(ValueError, match="slope"):
        exercises.check(lambda: 0, "slop")


def test_an_endless_loop_is_stopped(monkeypatch):
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system cannot stop a loop")

    def slope(f, w, k, eps):
        while True:
            pass

    monkeypatch.setattr(gate._time_limit.__wrapped__, "__defaults__", (0.1,))
    with pytest.raises(exercises.Wrong, match="does a loop never end"):
        exercises.check(slope)


def test_the_line_shown_is_the_student_s():
    def slope(f, w, k, eps):
        return mr.RNN(w, 2)  # the error is raised within the library

    with pytest.raises(exercises.Wrong, match=r"in the line: return mr.RNN\(w, 2\)"):
        exercises.check(slope)


def test_sliders_or_one_picture(monkeypatch):
    drawn = []
    monkeypatch.setenv("MINIRNN_STATIC", "1")
    exercises.play(lambda **values: drawn.append(values), f=(0, 1, 0.5), i=(-1, 1, 0))
    assert drawn == [{"f": 0.5, "i": 0}]
    monkeypatch.delenv("MINIRNN_STATIC")
    widgets = pytest.importorskip("ipywidgets", reason="ipywidgets is not installed ('notebooks')")
    made = []
    monkeypatch.setattr(widgets, "interact", lambda draw, **sliders: made.append((draw, sliders)))
    exercises.play(lambda **values: drawn.append(values), f=(0, 1, 0.5))
    ((draw, sliders),) = made
    assert (sliders["f"].min, sliders["f"].max, sliders["f"].value) == (0, 1, 0.5)
    draw(f=0.25)
    assert drawn[-1] == {"f": 0.25}
