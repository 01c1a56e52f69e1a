"""Where a student's function is run, and what it returns is made plain.

All other files of this package see plain data only: numbers, text, None, NumPy arrays of numbers,
and lists, tuples and dictionaries of these, all copied. So whatever a student's function or the
objects that it returns can do wrong, they do it here, and it becomes ``Wrong``.
"""

import contextlib
import copy
import inspect
import signal
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

MOST = 10**5  # numbers in an answer; the right ones have fewer than a thousand
DEEPEST = 20  # lists in lists


class Wrong(Exception):
    """What is wrong with a student's answer. A notebook shows the message and no traceback."""

    def _render_traceback_(self):
        return str(self).splitlines()


class TooLong(BaseException):
    """The time is over. No Exception, so that an ``except Exception`` in a loop lets it pass."""


class CtrlC(BaseException):
    """Somebody pressed Ctrl-C. (A KeyboardInterrupt may have been raised by the student's code.)"""


def call(student: Callable, *arguments: Any, also: Callable | None = None) -> Any:
    """What the student's function returns for copies of the arguments, as plain data.

    also(result, *copies): what to return instead of the result, where an argument is to be changed.
    Raises ``Wrong`` if the function stops with an error, does not stop, changes an array that it is
    given, or returns nothing or what is not made of numbers.
    """
    given = copy.deepcopy(arguments)
    result = guarded(lambda: student(*given), lambda error: _stopped(error, arguments))
    changed = [not _equal(*pair) for pair in zip(arguments, given, strict=True)]
    if any(changed):
        k = changed.index(True)
        name = guarded(lambda: _name(student, k), lambda error: "It changes an argument.")
        raise Wrong(_changed(name, isinstance(arguments[k], Mapping)))
    if result is None:
        raise Wrong("It returns None: is the `return` missing?")
    return guarded(
        lambda: plain(result if also is None else also(result, *given)),
        lambda error: _unusable(error, result),
    )


def guarded(action: Callable[[], Any], told: Callable[[BaseException], str]) -> Any:
    """What ``action()`` returns, which runs code of a student. If it stops: ``Wrong`` with
    ``told(error)``, or with a sentence if that fails too, since the error is a student's object."""
    try:
        with np.errstate(all="ignore"), _time_limit():
            return action()
    except CtrlC:
        raise KeyboardInterrupt from None
    except TooLong as late:
        words = str(late)
    except BaseException as error:
        try:
            with _time_limit():
                words = told(error)
        except BaseException:
            words = "It stops, or returns something, with what cannot even be shown."
    raise Wrong(words)


@contextlib.contextmanager
def _time_limit(seconds: float = 20):
    """Stop the block if it takes longer, or if Ctrl-C is pressed, on systems that can do so."""
    main = threading.current_thread() is threading.main_thread()
    if not (hasattr(signal, "setitimer") and main):
        yield
        return

    def stop(number, frame):
        raise TooLong(f"It is still running after {seconds} s: does a loop never end?")

    def interrupt(number, frame):
        raise CtrlC

    alarm, ctrl_c = signal.signal(signal.SIGALRM, stop), signal.getsignal(signal.SIGINT)
    own_ctrl_c = ctrl_c is signal.default_int_handler
    if own_ctrl_c:
        signal.signal(signal.SIGINT, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again each second, should it be caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        if own_ctrl_c:
            signal.signal(signal.SIGINT, ctrl_c)


def plain(value: Any) -> Any:
    """A copy of an answer that is made of plain data; raises ``Wrong`` for what cannot be."""
    return _plain(value, [MOST], 0)


def _plain(value: Any, left: list[int], depth: int) -> Any:
    where = "In what it returns there is" if depth else "It returns"
    left[0] -= 1
    if left[0] < 0:
        raise Wrong(f"It returns more than {MOST} numbers, far more than the answer has.")
    if depth > DEEPEST:
        raise Wrong(f"It returns lists in lists, more than {DEEPEST} deep.")
    if value is None or type(value) in (bool, float, complex):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {_key(k): _plain(v, left, depth + 1) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(v, left, depth + 1) for v in tuple.__iter__(value))
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_plain(v, left, depth + 1) for v in value]
    if hasattr(type(value), "__array__"):
        return _plain_array(value, left, depth, where)
    if hasattr(type(value), "__float__"):  # Fraction and Decimal too
        return _number(value, where)
    raise Wrong(f"{where} {_kind(value)} Expected are numbers.")


def _plain_array(value: Any, left: list[int], depth: int, where: str) -> Any:
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise Wrong(f"{where} a masked array, in which some numbers are masked: fill them.")
    array = np.asarray(value)
    left[0] -= array.size
    if left[0] < 0:
        raise Wrong(f"{where} an array {array.shape}, far more numbers than the answer has.")
    if array.dtype.kind == "O":
        return _plain(array.tolist(), left, depth + 1)
    if array.dtype.kind not in "biufc":
        raise Wrong(f"{where} an array of the dtype {array.dtype}. Expected are numbers.")
    return np.array(array) if array.ndim else array.item()


def _number(value: Any, where: str) -> int | float:
    if type(value) is int and abs(value) < 2**63:
        return value
    try:
        return float(value)
    except OverflowError:
        raise Wrong(f"{where} a number that is too large: float64 ends at 1.8e308.") from None


def _key(key: Any) -> str | int:
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, (int, np.integer)):
        return int(key)
    raise Wrong(f"It returns a dictionary with a {type(key).__name__} as a key.")


def _kind(value: Any) -> str:
    if inspect.isgenerator(value):
        return "a generator. Is there a `yield` for a `return`, or are [ ] around it missing?"
    if isinstance(value, type):
        return f"the class {value.__name__}."
    if callable(value):
        return f"the {type(value).__name__} {value.__name__} itself. Is it to be called, f(x)?"
    return f"an object of the type {type(value).__name__}."


def _equal(before: Any, after: Any) -> bool:
    """Whether an argument is what it was; a student may have put anything in its place."""
    if isinstance(before, (dict, list, tuple, np.ndarray)) and type(before) is not type(after):
        return False
    if isinstance(before, dict):
        kept = {k: v for k, v in after.items() if type(k) is str}
        return kept.keys() == before.keys() and all(_equal(before[k], kept[k]) for k in kept)
    if isinstance(before, (tuple, list)):
        return len(before) == len(after) and all(map(_equal, before, after))
    if isinstance(before, np.ndarray):
        a, b = np.asarray(before), np.asarray(after)
        same = (a.shape, a.dtype) == (b.shape, b.dtype)
        return same and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    return True


def _changed(name: str, is_dict: bool) -> str:
    if is_dict:
        return (
            f"It changes the arrays in its argument {name!r}: make a new dictionary of new "
            "arrays. (The .copy() of a dictionary holds the same arrays.)"
        )
    return (
        f"It changes its argument {name!r}: work on a copy, {name}.copy(), or make a new array, "
        "h = h + a instead of h += a. (Adding and then subtracting leaves rounding errors.)"
    )


def _name(student: Callable, k: int) -> str:
    """What the student calls argument k."""
    try:
        return list(inspect.signature(student).parameters)[k]
    except (TypeError, ValueError, IndexError):
        return f"number {k + 1}"


def _stopped(error: BaseException, arguments: tuple) -> str:
    """In words, how a student's function stopped, where, and what it was given."""
    if isinstance(error, NotImplementedError):
        return "The function is still to be written: it raises NotImplementedError."
    given = ", ".join(_described(argument) for argument in arguments) or "no arguments"
    return f"It stops with {_words(error)}{_place(error)}\n  when given {given}."


def _unusable(error: BaseException, result: Any) -> str:
    if type(error) is Wrong:
        return str(error)
    return (
        f"Nothing can be computed with the {type(result).__name__} that it returns: to look at it "
        f"stops with {_words(error)}."
    )


def _words(error: BaseException) -> str:
    """An error's name and text; the text is made by the error, which may be of the student's."""
    if isinstance(error, SystemExit):
        return "SystemExit, which ends the whole program"
    try:
        text = f": {error!s:.300}" if str(error) else ""
    except BaseException:
        text = ", whose text cannot be shown"
    return type(error).__name__ + text


def _place(error: BaseException) -> str:
    """The last line of the student's own code, not one of a library that it called."""
    ours = guarded.__code__.co_filename
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != ours]
    own = [f for f in frames if f.filename == frames[0].filename]
    if not own:  # the call itself failed, for want of an argument say
        return ""
    if not own[-1].line:  # there is no text of it, after exec for instance
        return f"\n  in line {own[-1].lineno} of {own[-1].name}"
    return f"\n  in the line: {own[-1].line:.200}"


def _described(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        return f"an array {argument.shape}"
    if isinstance(argument, Mapping):
        return f"a dictionary of {', '.join(argument)}"
    if callable(argument):
        return f"a function {getattr(argument, '__name__', '')}".strip()
    text = repr(argument)
    return text if len(text) < 60 else type(argument).__name__
