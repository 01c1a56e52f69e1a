"""What the commands share: numbers and names from the command line, and what is said of them."""

import argparse
import difflib
import math
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path


def did_you_mean(word: str, known: Iterable[str], shows_all: str) -> str:
    """The word, and what was probably meant."""
    close = difflib.get_close_matches(word.lower(), known, n=1)
    return f"{word!r}; " + (f"did you mean {close[0]!r}?" if close else f"{shows_all!r} shows all")


def whole_number(text: str, least: int = 0) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least {least}, got {text!r:.80}"
        )
    if number >= 2**31:
        raise argparse.ArgumentTypeError(f"expected at most {2**31 - 1}, got {text!r:.80}")
    return number


def positive(text: str) -> int:
    return whole_number(text, 1)


def real_number(text: str, expected: str, allowed: Callable[[float], bool]) -> float:
    """A number from the command line. expected: what it must be, in words; allowed: whether it is
    (of NaN every comparison is false)."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not allowed(number):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r:.80}")
    return number


def minutes(text: str) -> float:
    return real_number(text, "a number of minutes", lambda n: 0 < n < 1e6)


def try_folder(folder: Path, option: str) -> None:
    """Write into a folder, so that what does not work is said before the training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        why = error.strerror or error
        raise OSError(f"{option}: nothing can be written into {folder}: {why}") from None


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def in_full(error: Exception) -> str:
    kind = "" if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: "
    return f"{kind}{error}"
