"""Whatever a student's function does or returns, the checker answers with a sentence."""

import collections
import contextlib
import decimal
import fractions
import functools
import itertools
import os
import signal

import numpy as np
import pytest
from test_exercises import SOLUTIONS, run

from minirnn import exercises
from minirnn.exercises import gate


class Evil:
    """An object whose every special function raises."""

    def _raise(self, *_, **__):
        raise RuntimeError("evil")

    __len__ = __iter__ = __eq__ = __getitem__ = __array__ = __float__ = __bool__ = _raise
    __repr__ = __getattr__ = _raise
    __hash__ = object.__hash__


class EvilText(str):
    __str__ = __repr__ = __format__ = Evil._raise


class EvilList(list):
    __iter__ = __len__ = __getitem__ = Evil._raise


class LiesAboutItsClass:
    __class__ = property(Evil._raise)


class EvilError(Exception):
    __str__ = __repr__ = Evil._raise


class Nameless(type):
    __name__ = property(Evil._raise)


class OfAnEvilClass(metaclass=Nameless):
    __array__ = Evil._raise


class EndlessSequence(collections.abc.Sequence):
    def __len__(self):
        return 10**12

    def __getitem__(self, k):
        return 0.0


def filled(shape, value):
    array = np.empty(shape, object)
    for k in np.ndindex(shape):
        array[k] = value
    return array


LOOP: list = []
LOOP.append(LOOP)

# What is no answer to any exercise.
VALUES = {
    "a huge whole number": 10**400,
    "a list of it": [1.0, 10**400],
    "nothing": None,
    "a number": 0.5,
    "a NumPy scalar": np.float32(0.5),
    "a flag": True,
    "not a number": float("nan"),
    "a complex number": 1 + 2j,
    "text": "abc",
    "bytes": b"abc",
    "an empty tuple": (),
    "an empty list": [],
    "an empty dictionary": {},
    "a dictionary": {"W": [1], "b": None},
    "a dictionary with a strange key": {(1, 2): 3},
    "a set": {1, 2},
    "rows of different lengths": [[1, 2], [3]],
    "two of them": ([[1, 2], [3]], [[1], [2, 3]]),
    "a pair of None": (None, None),
    "a pair of text": ("a", "b"),
    "a pair of dictionaries": ({}, {}),
    "five zeros": (0, 0, 0, 0, 0),
    "three arrays": (np.zeros(2), np.zeros((2, 3)), np.zeros(1)),
    "a list that holds itself": LOOP,
    "a generator": (k for k in range(3)),
    "an endless iterator": itertools.count(),
    "an endless sequence": EndlessSequence(),
    "a huge array": np.broadcast_to(0.0, (10**6, 10**6)),
    "an array of objects": filled((3,), Evil()),
    "an array of texts": np.array(["a", "b"]),
    "an array of dates": np.array(["2020-01-01"], "M8[D]"),
    "a structured array": np.zeros(2, [("a", float), ("b", int)]),
    "a masked array": np.ma.masked_array([1.0, 2.0], [True, False]),
    "the masked constant": np.ma.masked,
    "a function": np.tanh,
    "a class": dict,
    "an evil object": Evil(),
    "a list of evil objects": [Evil(), Evil()],
    "evil text": EvilText("abc"),
    "an evil list": EvilList([1, 2]),
    "an object that lies about its class": LiesAboutItsClass(),
    "an object of an evil class": OfAnEvilClass(),
}


def raises(error):
    def function(*_):
        raise error

    return function


def deep(*_):
    return deep()


def changes(*arguments):
    for a in arguments:
        if isinstance(a, np.ndarray):
            a.resize(0, refcheck=False)
        if isinstance(a, dict):
            a.clear()
            a[Evil()] = Evil()


def swaps(*arguments):
    for a in arguments:
        if isinstance(a, np.ndarray) and a.size:
            a[...] = 5
        if isinstance(a, dict):
            a.update(dict.fromkeys(a, Evil()))


FUNCTIONS = {
    "too few arguments": lambda: 0,
    "an error that cannot be shown": raises(EvilError()),
    "an end of the program": raises(SystemExit(3)),
    "its own Ctrl-C": raises(KeyboardInterrupt()),
    "no memory": raises(MemoryError()),
    "the end of an iterator": raises(StopIteration()),
    "the end of a generator": raises(GeneratorExit()),
    "a Wrong of its own": raises(gate.Wrong(Evil())),
    "an endless recursion": deep,
    "all arguments emptied": changes,
    "all arguments overwritten": swaps,
    "a class": type("Answer", (), {"__init__": lambda self, *_: None}),
}


def every(make):
    """A change of every array in an answer."""

    def change(found):
        if isinstance(found, (tuple, list)):
            return type(found)(change(f) for f in found)
        if isinstance(found, dict):
            return {k: change(f) for k, f in found.items()}
        return make(np.asarray(found))

    return change


# What becomes of the right answer.
CHANGES = {
    "NaN": every(lambda a: a * np.nan if a.dtype.kind in "iufb" else "?"),
    "huge numbers": every(lambda a: (a * 0.0 - 1) * 1e308 if a.dtype.kind in "iufb" else "?"),
    "complex": every(lambda a: a + 1j if a.dtype.kind in "iufb" else 1j),
    "texts": every(lambda a: a.astype(object).astype(str) if a.dtype.kind in "iufb" else {}),
    "objects": every(lambda a: filled(a.shape, Evil())),
    "masked": every(lambda a: np.ma.masked_array(a, np.ones(a.shape, bool))),
    "no last entry": every(lambda a: a[..., :-1] if a.ndim else None),
    "transposed or none": every(lambda a: a.T if a.ndim > 1 and a.shape != a.T.shape else None),
    "twice": lambda found: (found, found),
    "a view that says it is evil": every(lambda a: Evil()),
}


def later(solution, change, after):
    """The right answer for some calls, then another."""
    calls = itertools.count()

    def function(*arguments):
        found = solution(*arguments)
        return found if next(calls) < after else change(found)

    return function


def told(name, student):
    """What the checker tells; None if the answer is accepted."""
    with contextlib.redirect_stdout(None):
        try:
            exercises.check(student, name)
        except exercises.Wrong as wrong:
            assert wrong.__cause__ is None, wrong  # a fault of the checker
            return str(wrong)
    return None


@pytest.mark.parametrize("name", SOLUTIONS)
def test_no_answer_ends_in_a_traceback(name):
    solution = run(name, SOLUTIONS)
    students = {**FUNCTIONS}
    students |= {text: lambda *_, v=value: v for text, value in VALUES.items()}
    students |= {text: lambda *a, c=c: c(solution(*a)) for text, c in CHANGES.items()}
    for after in (1, 4):
        for text, value in (("zero", 0.0), ("a pair", ([], "a"))):
            change = lambda found, v=value: v  # noqa: E731
            students[f"{text} after {after} calls"] = later(solution, change, after)
        students[f"NaN after {after} calls"] = later(solution, CHANGES["NaN"], after)
    for text, student in students.items():
        with np.errstate(all="ignore"):
            message = told(name, student)
        if " calls" not in text:  # so many there may not be
            assert message, text


SEEN = {
    "a huge whole number": "It returns a number that is too large",
    "a list that holds itself": "lists in lists, more than 20 deep",
    "an endless sequence": "more than 100000 numbers",
    "a huge array": r"an array \(1000000, 1000000\), far more numbers",
    "a generator": "a generator. Is there a `yield`",
    "a set": "an object of the type set. Expected are numbers",
    "a function": "the ufunc tanh itself. Is it to be called",
    "a class": "the class dict",
    "a masked array": "some numbers are masked",
    "an array of dates": r"an array of the dtype datetime64\[D\]",
    "an evil object": "the Evil that it returns: to look at it stops with RuntimeError: evil",
    "an object of an evil class": "what cannot even be shown",
    "rows of different lengths": "slope: rows of different lengths",
    "text": "slope: expected numbers, got str",
    "nothing": "is the `return` missing",
}


@pytest.mark.parametrize("text", SEEN)
def test_what_is_not_made_of_numbers_is_named(text):
    with pytest.raises(exercises.Wrong, match=SEEN[text]):
        exercises.check(lambda *_: VALUES[text], "slope")


def test_two_results_are_expected_not_one_number():
    with pytest.raises(exercises.Wrong, match="Expected 2 results, h, c, got one float"):
        exercises.check(lambda *_: 0.5, "lstm_step")


def slope(f, w, k, eps, kind=float):
    up, down = w.copy(), w.copy()
    up[k] += eps
    down[k] -= eps
    return kind((f(up) - f(down)) / (2 * eps))


@pytest.mark.parametrize(
    "kind",
    [
        np.float32, np.longdouble, complex, decimal.Decimal, np.ma.masked_array,
        lambda v: fractions.Fraction(float(v)), lambda v: filled((), v),
    ],
)  # fmt: skip
def test_every_kind_of_number_is_one(kind):
    assert told("slope", functools.partial(slope, kind=kind)) is None


def test_the_line_of_the_student_s_own_code_is_shown():
    def helper(w):
        return w.nope

    def answer(f, w, k, eps):
        return helper(w)

    for student in (answer, functools.partial(answer)):
        assert "AttributeError" in told("slope", student)
        assert "in the line: return w.nope" in told("slope", student)
    scope: dict = {}
    exec("def answer(*_):\n    return 1 / 0", scope)
    assert "ZeroDivisionError: division by zero\n  in line 2 of answer" in told(
        "slope", scope["answer"]
    )


def test_what_is_no_function_is_told():
    with pytest.raises(exercises.Wrong, match="slope: expected a function, got float"):
        exercises.check(0.5, "slope")
    with pytest.raises(exercises.Wrong, match="has no name"):
        exercises.check(Evil())
    with pytest.raises(ValueError, match=r"name: expected one of .*, got 5"):
        exercises.check(slope, 5)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system cannot stop a loop")
def test_a_loop_that_catches_every_error_is_stopped(monkeypatch):
    def answer(*_):
        while True:
            with contextlib.suppress(Exception):
                while True:
                    pass

    monkeypatch.setattr(gate._time_limit.__wrapped__, "__defaults__", (0.1,))
    assert "still running after 0.1 s" in told("slope", answer)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")
def test_ctrl_c_ends_the_check_but_an_error_of_that_name_does_not():
    def presses(*_):
        os.kill(os.getpid(), signal.SIGINT)

    # What was started in the background ignores this signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            exercises.check(presses, "slope")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "It stops with KeyboardInterrupt" in told("slope", raises(KeyboardInterrupt()))


def test_a_fault_of_the_checker_is_not_called_the_student_s(monkeypatch):
    broken = exercises.EXERCISES["slope"]._replace(judge=lambda student: student(1) / 0)
    monkeypatch.setitem(exercises.EXERCISES, "slope", broken)
    with pytest.raises(exercises.Wrong, match="the checker itself stops with Zero") as raised:
        exercises.check(lambda x: x, "slope")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_student_may_change_what_is_trained_but_not_lose_it():
    def empties(model, *_):
        vars(model).clear()
        return [0.0]

    assert "to look at it stops with AttributeError" in told("train_stream", empties)
