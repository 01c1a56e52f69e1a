"""How an exercise is checked: simple cases first, then what the wrong numbers look like."""

import contextlib
import copy
import functools
import importlib
import inspect
import os
import pkgutil
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Wrong(Exception):
    """What is wrong with a student's answer. A notebook shows the message and no traceback."""

    def _render_traceback_(self):
        return str(self).splitlines()


class Exercise(NamedTuple):
    """An exercise of a notebook."""

    judge: Callable[[Callable], str]  # raises Wrong, or returns what was found right
    hints: Sequence[str]  # three, each nearer to the answer


EXERCISES: dict[str, Exercise] = {}


def exercise(*hints: str) -> Callable:
    """Decorator of a function that judges a student's function: with three hints, an exercise."""
    if len(hints) != 3:
        raise ValueError(f"hints: expected three, got {len(hints)}")

    def register(judge: Callable) -> Callable:
        known = EXERCISES.get(judge.__name__)
        if known and known.judge.__module__ != judge.__module__:
            raise ValueError(f"{judge.__name__}: there is one already in {known.judge.__module__}")
        EXERCISES[judge.__name__] = Exercise(judge, hints)
        return judge

    return register


def check(student: Callable, name: str | None = None) -> None:
    """Judge a student's function; name: that of the exercise, by default the function's own.

    Prints that it is right, or raises ``Wrong``, whose message says what is wrong.
    """
    name = name or str(getattr(student, "__name__", student))
    try:
        found = _exercise(name).judge(student)
    except Wrong as wrong:
        raise Wrong(f"{name}: not right yet.\n{wrong}\nStuck? hint({name!r})") from None
    print(f"{name}: right. {found}".strip())


def hint(name: str, level: int = 1) -> None:
    """Print the first, second or third hint to an exercise."""
    hints = _exercise(name).hints
    if level not in (1, 2, 3):
        raise ValueError(f"level: expected 1, 2 or 3, got {level!r}")
    more = f" (hint({name!r}, {level + 1}) says more)" if level < 3 else ""
    print(f"Hint {level} of 3: {hints[level - 1]}{more}")


def _exercise(name: str) -> Exercise:
    import minirnn.exercises as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    if name not in EXERCISES:
        raise ValueError(f"name: expected one of {', '.join(sorted(EXERCISES))}, got {name!r}")
    return EXERCISES[name]


def call(student: Callable, *arguments: Any) -> Any:
    """What the student's function returns for copies of the arguments.

    Raises ``Wrong`` if it stops with an error, does not stop, changes an argument, or returns
    nothing.
    """
    given = copy.deepcopy(arguments)
    try:
        with np.errstate(all="ignore"), _time_limit():
            result = student(*given)
    except Wrong:
        raise
    except NotImplementedError:
        raise Wrong("The function is still to be written: it raises NotImplementedError.") from None
    except Exception as error:
        # The last line of the student's own code, not one of a library that it called.
        frames = traceback.extract_tb(error.__traceback__)[1:]
        own = getattr(getattr(student, "__code__", None), "co_filename", "")
        lines = [frame.line for frame in frames if frame.filename == own and frame.line]
        line = f"\n  in the line: {lines[-1]}" if lines else ""
        shapes = ", ".join(_described(argument) for argument in arguments)
        raise Wrong(
            f"It stops with {type(error).__name__}: {error}{line}\n  when given {shapes}."
        ) from None
    for name, before, after in zip(_names(student, arguments), arguments, given, strict=True):
        if not _equal(before, after) and isinstance(before, Mapping):
            raise Wrong(
                f"It changes the arrays in its argument {name!r}: make a new dictionary of new "
                "arrays. (The .copy() of a dictionary holds the same arrays.)"
            )
        if not _equal(before, after):
            raise Wrong(
                f"It changes its argument {name!r}: work on a copy, {name}.copy(), or make a new "
                "array, h = h + a instead of h += a. (Adding and then subtracting leaves rounding "
                "errors.)"
            )
    if result is None:
        raise Wrong("It returns None: is the `return` missing?")
    return result


@contextlib.contextmanager
def _time_limit(seconds: float = 20):
    """Raise ``Wrong`` if the block takes longer, on systems that can stop it."""
    main = threading.current_thread() is threading.main_thread()
    if not (hasattr(signal, "setitimer") and main):
        yield
        return

    def stop(number, frame):
        raise Wrong(f"It is still running after {seconds} s: does a loop never end?")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def judge_against(
    student: Callable,
    right: Callable,
    cases: Mapping[str, tuple],
    mistakes: Mapping[str, Callable] | None = None,
    outputs: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Compare a student's function with the right one.

    right: a function that computes the right answer.
    cases: arguments, from the simplest case to the general one; the keys say what is special.
    mistakes: functions that make one slip each; the key is a sentence about it. If one returns
        the same as the student's function in all cases, the message has its sentence.
    outputs: the names of the returned arrays with the names of their axes, as in
        ``{"h": ("step t", "row", "unit")}``. "gate ifgo" names an axis of blocks of gates.
    """
    outputs = outputs or {"result": ()}
    answers, first = [], None
    for label, arguments in cases.items():
        got = call(student, *arguments)
        answers.append(got)
        fault = compare(got, right(*arguments), outputs)
        if fault and first is None:
            first = f"First wrong case: {label}.\n  {fault}"
    if first is None:
        return f"({len(cases)} cases)"
    for sentence, slip in (mistakes or {}).items():
        if all(_same(a, _quietly(slip, c)) for a, c in zip(answers, cases.values(), strict=True)):
            raise Wrong(f"{first}\n  It looks like this: {sentence}.")
    raise Wrong(first)


def compare(got: Any, right: Any, outputs: Mapping[str, Sequence[str]]) -> str:
    """The first difference in words; empty if there is none."""
    if len(outputs) > 1:
        if not isinstance(got, (tuple, list)) or len(got) != len(outputs):
            count = f"{len(got)}" if isinstance(got, (tuple, list)) else f"one {type(got).__name__}"
            return f"Expected {len(outputs)} results, {', '.join(outputs)}, got {count}."
    else:
        got, right = (got,), (right,)
    for (name, axes), mine, ours in zip(outputs.items(), got, right, strict=True):
        fault = _difference(name, axes, mine, ours)
        if fault:
            return fault
    return ""


def _difference(name: str, axes: Sequence[str], got: Any, right: Any) -> str:
    if isinstance(right, (str, bool, list)) and not _numeric(right):
        return "" if got == right else f"{name}: expected {right!r}, got {got!r}."
    try:
        got = np.asarray(got)
        if np.iscomplexobj(got) and got.imag.any():
            return (
                f"{name}: expected real numbers, got complex ones. Do you need their size, np.abs?"
            )
        got = got.real.astype(np.float64)
    except (TypeError, ValueError):
        return f"{name}: expected numbers, got {type(got).__name__}."
    right = np.asarray(right, np.float64)
    if got.ndim == right.ndim == 1 and len(got) != len(right):
        return f"{name}: expected a length of {len(right)}, got {len(got)}."
    if got.shape != right.shape:
        return f"{name}: expected the shape {right.shape}, got {got.shape}."
    wrong = ~np.isclose(got, right, rtol=1e-7, atol=1e-10, equal_nan=True)
    if not wrong.any():
        return ""
    where = tuple(int(k) for k in np.argwhere(wrong)[0])
    digits = 6 if f"{got[where]:.6g}" != f"{right[where]:.6g}" else 12
    values = f"yours {got[where]:.{digits}g}, right {right[where]:.{digits}g}"
    if not where:
        return f"{name}: {values}."
    place = ", ".join(
        _axis(axes[k] if k < len(axes) else f"axis {k}", index, right.shape[k])
        for k, index in enumerate(where)
    )
    return f"{name}: {wrong.sum()} of {wrong.size} numbers differ, first at {place}: {values}."


def _axis(axis: str, index: int, size: int) -> str:
    if axis.startswith("gate "):
        H = size // len(axis[5:])
        return f"gate {axis[5:][index // H]}, unit {index % H}"
    return f"{axis} = {index}" if axis.startswith("step") else f"{axis} {index}"


def _same(got: Any, other: Any) -> bool:
    if isinstance(other, (tuple, list)):
        return (
            isinstance(got, (tuple, list))
            and len(got) == len(other)
            and all(_same(a, b) for a, b in zip(got, other, strict=True))
        )
    try:
        a, b = np.asarray(got, np.complex128), np.asarray(other, np.complex128)
    except (TypeError, ValueError):
        return type(got) is type(other) and bool(got == other)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-7, atol=1e-10, equal_nan=True)


def _quietly(function: Callable, arguments: tuple) -> Any:
    """What a slip returns; None if it raises an error."""
    with np.errstate(all="ignore"):
        try:
            return function(*copy.deepcopy(arguments))
        except Exception:
            return None


def _numeric(value: Any) -> bool:
    try:
        np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return False
    return not isinstance(value, (str, bool))


def _equal(before: Any, after: Any) -> bool:
    if isinstance(before, Mapping):
        return before.keys() == after.keys() and all(_equal(before[k], after[k]) for k in before)
    if isinstance(before, (tuple, list)):
        return len(before) == len(after) and all(map(_equal, before, after))
    if isinstance(before, np.ndarray):
        return bool(np.array_equal(before, after, equal_nan=before.dtype.kind in "fc"))
    return True


def _described(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        return f"an array {argument.shape}"
    if isinstance(argument, Mapping):
        return f"a dictionary of {', '.join(argument)}"
    if callable(argument):
        return f"a function {getattr(argument, '__name__', '')}".strip()
    text = repr(argument)
    return text if len(text) < 60 else type(argument).__name__


def _names(student: Callable, arguments: tuple) -> list[str]:
    try:
        names = list(inspect.signature(student).parameters)
    except (TypeError, ValueError):
        names = []
    return [*names, *(f"number {k + 1}" for k in range(len(names), len(arguments)))][
        : len(arguments)
    ]


def play(draw: Callable, **ranges: tuple[float, float, float]) -> None:
    """Draw a picture with sliders: name to (lowest, highest, value to begin with).

    Without sliders (no ipywidgets, or ``MINIRNN_STATIC`` is set, as for the committed notebooks)
    the picture is drawn once.
    """
    begin = {name: value for name, (_, _, value) in ranges.items()}
    if not os.environ.get("MINIRNN_STATIC"):
        try:
            import ipywidgets
        except ImportError:
            pass
        else:
            sliders = {
                name: ipywidgets.FloatSlider(
                    value, min=low, max=high, step=(high - low) / 100, continuous_update=False
                )
                for name, (low, high, value) in ranges.items()
            }
            ipywidgets.interact(functools.wraps(draw)(lambda **v: draw(**v)), **sliders)
            return
    draw(**begin)
