"""What ``fit`` has to do with the terminal: the progress bar, and Ctrl-C."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from minirnn.training.history import History


@contextlib.contextmanager
def ctrl_c() -> Iterator[list[bool]]:
    """A list that is empty until Ctrl-C is pressed. A second Ctrl-C interrupts as usual.

    So no optimizer is stopped halfway through the parameters. Nothing is changed where the signal
    has another handler already, or in a thread other than the main one.
    """
    pressed: list[bool] = []

    def press(number: int, frame: Any) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    usual = signal.default_int_handler
    ours = threading.current_thread() is threading.main_thread()
    ours = ours and signal.getsignal(signal.SIGINT) is usual
    if ours:
        signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        if ours:
            signal.signal(signal.SIGINT, usual)


@contextlib.contextmanager
def progress_bar(
    epochs: int, begin: int, progress: bool | None
) -> Iterator[Callable[[History], None]]:
    """A function that moves the progress bar on by one epoch. No trouble with it, such as a
    terminal that has gone, ends the training."""
    from tqdm import tqdm  # only here, since importing it takes a while

    trouble = (OSError, ValueError, AttributeError)  # the last: without a stderr
    bar: Any = None
    with contextlib.suppress(*trouble):
        drawn = sys.stderr.isatty() if progress is None else bool(progress)
        if drawn and sys.stderr is not None:
            bar = tqdm(total=epochs, initial=begin, unit="epoch", file=sys.stderr)

    def show(history: History) -> None:
        shown = {"loss": history.loss[-1], "val": (history.val_loss or [math.nan])[-1]}
        shown |= {name: values[-1] for name, values in history.metrics.items()}
        texts = {name: f"{value:.4g}" for name, value in shown.items() if not math.isnan(value)}
        with contextlib.suppress(*trouble):
            if bar is not None:
                bar.set_postfix(texts)
                bar.update()

    try:
        yield show
    finally:
        with contextlib.suppress(*trouble):
            if bar is not None:
                bar.close()
