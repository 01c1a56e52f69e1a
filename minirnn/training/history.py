"""What ``fit`` tells of a training: the history of its epochs, and when patience ends it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(repr=False)
class History:
    """What happened in each epoch, and why it ended."""

    loss: list[float] = field(default_factory=list)  # mean over all targets that count
    # After the epoch; empty without validation, NaN for a single epoch without it.
    val_loss: list[float] = field(default_factory=list)
    grad_norm: list[float] = field(default_factory=list)  # mean over the batches, before clipping
    lr: list[float] = field(default_factory=list)
    best_epoch: int | None = None  # the one of the lowest val_loss, counted from 0
    stopped_early: bool = False
    interrupted: bool = False  # by Ctrl-C
    # By name, after each epoch; NaN for an epoch in which it was not measured.
    metrics: dict[str, list[float]] = field(default_factory=dict)
    asked_to_stop: bool = False  # by on_epoch

    def __repr__(self) -> str:
        parts = [f"{len(self.loss)} epochs" if len(self.loss) != 1 else "1 epoch"]
        if self.loss:
            parts.append(f"loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}")
        if self.best_epoch is not None:
            best = f"{self.val_loss[self.best_epoch]:.4g}"
            parts.append(f"lowest val_loss {best} at best_epoch={self.best_epoch}")
        parts += [f"{name} {v[0]:.4g} to {v[-1]:.4g}" for name, v in self.metrics.items()]
        ends = {
            "stopped early": self.stopped_early,
            "stopped by on_epoch": self.asked_to_stop,
            "interrupted by Ctrl-C": self.interrupted,
        }
        parts += [end for end, so in ends.items() if so]
        return f"History({', '.join(parts)})"

    def _repr_png_(self) -> bytes | None:
        """The picture that Jupyter shows, if there are lines to draw, and matplotlib."""
        if len(self.loss) < 2:
            return None
        try:
            from minirnn.plot import scores  # only here, since importing matplotlib takes a while

            return scores.history_png(self)
        except ImportError:
            return None


def add_epoch(
    history: History, loss: float, norm: float, lr: float, val_loss: float | None,
    metrics: Mapping[str, float],
) -> None:  # fmt: skip
    """Add an epoch to the history."""
    for name in [*history.metrics, *metrics]:
        values = history.metrics.setdefault(name, [math.nan] * len(history.loss))
        if len(values) == len(history.loss):
            values.append(metrics.get(name, math.nan))
    if val_loss is not None or history.val_loss:
        missing = [math.nan] * (len(history.loss) - len(history.val_loss))  # before validation
        history.val_loss += missing
        _add_val_loss(history, math.nan if val_loss is None else val_loss)
    history.loss.append(float(loss))
    history.grad_norm.append(norm)
    history.lr.append(float(lr))


def _add_val_loss(history: History, loss: float) -> None:
    lowest = math.inf if history.best_epoch is None else history.val_loss[history.best_epoch]
    if loss < lowest:
        history.best_epoch = len(history.val_loss)
    history.val_loss.append(float(loss))


def waited(history: History) -> int:
    """The number of validated epochs since the best one."""
    if history.best_epoch is None:
        return 0
    return sum(not math.isnan(loss) for loss in history.val_loss[history.best_epoch + 1 :])


def as_from_the_start(
    path: str | os.PathLike[str], epochs: int, patience: int | None, on_epoch: Any,
    history: History,
) -> None:  # fmt: skip
    """Make the history from a file what it were with these arguments; ValueError if it is gone."""
    history.interrupted = history.stopped_early = False
    history.asked_to_stop = history.asked_to_stop and on_epoch is not None
    end = None if patience is None else _end_of_patience(history.val_loss, patience)
    if end is not None:
        if (history.best_epoch or 0) >= end:
            raise ValueError(
                f"patience: {patience} would have ended the training in {path} after epoch {end}, "
                f"and its best parameters are gone, since epoch {(history.best_epoch or 0) + 1} "
                "was better; expected a higher patience, or None"
            )
        history.asked_to_stop = history.asked_to_stop and end == len(history.loss)
        for values in (
            history.loss, history.val_loss, history.grad_norm, history.lr, *history.metrics.values()
        ):  # fmt: skip
            del values[end:]
        history.stopped_early = True
    if epochs < len(history.loss):
        n = len(history.loss)
        raise ValueError(f"epochs: expected at least {n}, which {path} has behind it, got {epochs}")


def _end_of_patience(val_loss: list[float], patience: int) -> int | None:
    """The number of epochs after which patience would have ended; None if it would not."""
    seen = History()
    for loss in val_loss:
        _add_val_loss(seen, loss)
        if waited(seen) >= patience:
            return len(seen.val_loss)
    return None
