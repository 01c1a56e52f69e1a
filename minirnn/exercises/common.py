"""How an exercise is checked: simple cases first, then what the wrong numbers look like."""

import copy
import functools
import importlib
import os
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.exercises.gate import Wrong, call, guarded


class Exercise(NamedTuple):
    """An exercise of a notebook."""

    # Given a function that returns plain data or raises Wrong: raises Wrong, or returns what was
    # found right.
    judge: Callable[[Callable], str]
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
    if name is None:
        name = guarded(
            lambda: str(getattr(student, "__name__", student)),
            lambda error: "The function has no name: check(function, name).",
        )
    judge = _exercise(name).judge
    if not callable(student):
        raise Wrong(
            f"{name}: expected a function, got {type(student).__name__}. Check it uncalled."
        )
    try:
        with np.errstate(all="ignore"):
            found = judge(functools.partial(call, student))
    except Wrong as wrong:
        raise Wrong(f"{name}: not right yet.\n{wrong}\nStuck? hint({name!r})") from None
    except Exception as error:  # of ours: a student's has become Wrong in ``call``
        raise Wrong(
            f"{name}: not right yet. But what is wrong cannot be told: the checker itself stops "
            f"with {type(error).__name__}: {error}. Please report it, with your function."
        ) from error
    print(f"{name}: right. {found}".strip())


def hint(name: str, level: int = 1) -> None:
    """Print the first, second or third hint to an exercise."""
    hints = _exercise(name).hints
    if not isinstance(level, int) or level not in (1, 2, 3):
        raise ValueError(f"level: expected 1, 2 or 3, got {level!r}")
    more = f" (hint({name!r}, {level + 1}) says more)" if level < 3 else ""
    print(f"Hint {level} of 3: {hints[level - 1]}{more}")


def _exercise(name: str) -> Exercise:
    import minirnn.exercises as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    if not isinstance(name, str) or name not in EXERCISES:
        raise ValueError(f"name: expected one of {', '.join(sorted(EXERCISES))}, got {name!r:.80}")
    return EXERCISES[name]


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
        got = student(*arguments)
        answers.append(got)
        fault = difference(got, right(*arguments), outputs)
        if fault and first is None:
            first = f"First wrong case: {label}.\n  {fault}"
    if first is None:
        return f"({len(cases)} cases)"
    for sentence, slip in (mistakes or {}).items():
        if all(_same(a, _quietly(slip, c)) for a, c in zip(answers, cases.values(), strict=True)):
            raise Wrong(f"{first}\n  It looks like this: {sentence}.")
    raise Wrong(first)


def difference(got: Any, right: Any, outputs: Mapping[str, Sequence[str]]) -> str:
    """The first difference in words; empty if there is none. got: plain data."""
    rights = right if len(outputs) > 1 else (right,)
    like = {name: np.shape(r) for name, r in zip(outputs, rights, strict=True)}
    try:
        arrays = results(got, like)
    except Wrong as wrong:
        return str(wrong)
    for (name, axes), mine, ours in zip(outputs.items(), arrays, rights, strict=True):
        fault = _unequal(name, axes, mine, np.asarray(ours, np.float64))
        if fault:
            return fault
    return ""


def results(got: Any, shapes: Mapping[str, tuple[int, ...]]) -> list[np.ndarray]:
    """Plain data as arrays, float64, of these shapes by name; raises ``Wrong`` if they are not."""
    if len(shapes) == 1:
        got = (got,)
    elif not isinstance(got, (tuple, list)) or len(got) != len(shapes):
        count = f"{len(got)}" if isinstance(got, (tuple, list)) else f"one {type(got).__name__}"
        raise Wrong(f"Expected {len(shapes)} results, {', '.join(shapes)}, got {count}.")
    return [_numbers(a, name, shape) for a, (name, shape) in zip(got, shapes.items(), strict=True)]


def _numbers(value: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        got = np.asarray(value)
    except ValueError:
        raise Wrong(f"{name}: rows of different lengths; they do not form an array.") from None
    if got.dtype.kind not in "biufc":
        raise Wrong(f"{name}: expected numbers, got {type(value).__name__}.")
    if np.iscomplexobj(got) and got.imag.any():
        raise Wrong(
            f"{name}: expected real numbers, got complex ones. Do you need their size, np.abs?"
        )
    if got.ndim == len(shape) == 1 and got.shape != shape:
        raise Wrong(f"{name}: expected a length of {shape[0]}, got {len(got)}.")
    if got.shape != shape:
        raise Wrong(f"{name}: expected the shape {shape}, got {got.shape}.")
    return got.real.astype(np.float64)


def _unequal(name: str, axes: Sequence[str], got: np.ndarray, right: np.ndarray) -> str:
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
        a, b = np.asarray(got), np.asarray(other)
    except ValueError:  # rows of different lengths
        return False
    numbers = {a.dtype.kind, b.dtype.kind} <= set("biufc")
    return (
        numbers and a.shape == b.shape and np.allclose(a, b, rtol=1e-7, atol=1e-10, equal_nan=True)
    )


def _quietly(function: Callable, arguments: tuple) -> Any:
    """What a slip returns; None if it raises an error."""
    with np.errstate(all="ignore"):
        try:
            return function(*copy.deepcopy(arguments))
        except Exception:
            return None


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
