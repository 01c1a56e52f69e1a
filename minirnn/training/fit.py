"""The training loop: epochs of batches, validation, early stopping."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.files.progress import read_progress, write_progress
from minirnn.padding import padding, zero_at
from minirnn.protocol import Array, Layer, Numbers, Seed, State
from minirnn.training.bptt import bptt, evaluate
from minirnn.training.losses import Loss
from minirnn.training.optim import Optimizer, clip_grad_norm

# (x, target), (x, target, lengths) or (x, target, lengths, mask)
BatchLike: TypeAlias = (
    tuple[Numbers, Numbers]
    | tuple[Numbers, Numbers, Any]
    | tuple[Numbers, Numbers, Any, Numbers | None]
)
Batches: TypeAlias = Iterable[BatchLike]
Data: TypeAlias = BatchLike | Batches | Callable[[np.random.Generator], Batches]
WholeBatch: TypeAlias = tuple[Any, Any, Any, Any]  # with None in place of what is not there

HELP = "A lower learning rate, max_norm=1.0 or scaled inputs usually help."


@dataclass(repr=False)
class History:
    """What happened in each epoch, and why it ended."""

    loss: list[float] = field(default_factory=list)  # mean over the epoch's batches
    val_loss: list[float] = field(default_factory=list)  # after the epoch; empty without validation
    grad_norm: list[float] = field(default_factory=list)  # mean over the batches, before clipping
    lr: list[float] = field(default_factory=list)
    best_epoch: int | None = None  # the one of the lowest val_loss, counted from 0
    stopped_early: bool = False
    interrupted: bool = False  # by Ctrl-C

    def __repr__(self) -> str:
        parts = [f"{len(self.loss)} epochs" if len(self.loss) != 1 else "1 epoch"]
        if self.loss:
            parts.append(f"loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}")
        if self.best_epoch is not None:
            best = f"{self.val_loss[self.best_epoch]:.4g}"
            parts.append(f"lowest val_loss {best} at best_epoch={self.best_epoch}")
        ends = {"stopped early": self.stopped_early, "interrupted by Ctrl-C": self.interrupted}
        parts += [end for end, so in ends.items() if so]
        return f"History({', '.join(parts)})"


def fit(
    model: Layer, loss_fn: Loss, data: Data, optimizer: Optimizer, epochs: int, *,
    validation: Data | None = None, patience: int | None = None,
    schedule: Callable[[int], float] | None = None, max_norm: float | None = None,
    stateful: bool = False, rng: Seed = None, progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None, resume: bool = False,
) -> History:  # fmt: skip
    """Train ``model`` in place and return what happened.

    data: what an epoch consists of. One batch, a tuple ``(x, target)``, ``(x, target, lengths)`` or
        ``(x, target, lengths, mask)``; or a list of batches; or a function of a numpy Generator
        that returns the batches, shuffled for instance (see ``batches``).
    validation: data in one of the same forms, whose loss is measured after each epoch. With
        ``patience``, training ends when that many epochs in a row brought no new lowest loss, and
        then the parameters of the best epoch are put back.
    schedule: a function from the epoch's number (from 0) to its learning rate.
    max_norm: clip the joint norm of each batch's gradients to this.
    stateful: whether a batch begins in the final state of the batch before it, for the pieces of a
        stream. The first batch of an epoch begins with zeros; without ``stateful``, every batch.
    rng: a seed or Generator, for shuffling, dropout and the like.
    progress: whether to draw a progress bar on stderr; None draws one on a terminal only.
    checkpoint: a file to which progress is written after each epoch.
    resume: whether to continue from that file, if it exists, until ``epochs`` epochs are done in
        all. With the same arguments the result is the same to the last bit as without the
        interruption, if ``data`` draws only from the generator that it is given.

    Ctrl-C ends the training after the current batch: the history is returned, and with ``patience``
    the best parameters are put back. A second Ctrl-C interrupts at once.

    Raises FloatingPointError at the first loss or gradient that is not finite, before it reaches
    the parameters; the message names the step and the array. Raises ValueError if the checkpoint is
    damaged, or belongs to another model or optimizer.
    """
    epochs, generator = checks.size(epochs, "epochs"), checks.generator(rng)
    _check_arguments(loss_fn, optimizer, schedule, validation, patience)
    _check_checkpoint(checkpoint, resume, optimizer)
    history = History()
    best: dict[str, Array] = {}  # the parameters of the best epoch
    carried = (model, optimizer, history, best, generator)
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        read_progress(checkpoint, *carried)
    begin = epochs if history.stopped_early else len(history.loss)
    train_step = functools.partial(_train_step, model, loss_fn, optimizer, max_norm, generator)
    with _progress_bar(epochs, begin, progress) as bar, _ctrl_c() as pressed:
        try:
            for epoch in range(begin, epochs):
                if schedule is not None:
                    optimizer.lr = checks.number(schedule(epoch), f"schedule({epoch})", 0)
                batches = batches_of(data, generator, "data")
                losses, norms = _epoch(train_step, batches, epoch, stateful, pressed)
                val_loss = None
                if validation is not None:
                    batches = batches_of(validation, generator, "validation")
                    val_loss = _validate(model, loss_fn, batches, stateful, epoch)
                _after_epoch(history, losses, norms, optimizer.lr, val_loss)
                if patience is not None:
                    _stop_early(history, best, model, patience)
                if checkpoint is not None:
                    write_progress(checkpoint, *carried)
                _show(bar, history.loss[-1], val_loss)
                if history.stopped_early:
                    break
        except KeyboardInterrupt:
            history.interrupted = True
    for name, value in best.items():
        model.params[name][...] = value
    return history


def _epoch(
    train_step: Callable[[WholeBatch, State, str], tuple[float, float, State]],
    batches: Iterable[WholeBatch], epoch: int, stateful: bool, pressed: list[bool],
) -> tuple[list[float], list[float]]:  # fmt: skip
    """Train on each batch once; returns their losses and the norms of their gradients."""
    losses, norms = [], []
    state: State = None
    for number, batch in enumerate(batches):
        place = f"epoch {epoch + 1}, batch {number + 1}"
        loss, norm, state = train_step(batch, state if stateful else None, place)
        losses.append(loss)
        norms.append(norm)
        if pressed:
            raise KeyboardInterrupt  # between two batches, where no harm is done
    return losses, norms


def _train_step(
    model: Layer, loss_fn: Loss, optimizer: Optimizer, max_norm: float | None, rng: Seed,
    batch: WholeBatch, state: State, place: str,
) -> tuple[float, float, State]:  # fmt: skip
    """One batch; returns its loss, the gradient's norm, and the final state."""
    where = f"step {optimizer.steps + 1} ({place})"
    x, target, lengths, mask = batch
    loss, grads, state = bptt(model, loss_fn, x, target, state, lengths, mask, rng=rng)
    if not np.isfinite(loss):
        raise FloatingPointError(_why_not_finite(where, loss, model, batch))
    norm = clip_grad_norm(grads, np.inf if max_norm is None else max_norm)
    if not np.isfinite(norm):
        raise FloatingPointError(_which_not_finite(where, loss, grads))
    optimizer.step(model.params, grads)
    return loss, norm, state


def _validate(
    model: Layer, loss_fn: Loss, batches: Iterable[WholeBatch], stateful: bool, epoch: int
) -> float:
    """The loss over the validation data after an epoch."""
    loss = evaluate(model, loss_fn, batches, stateful)
    if not np.isfinite(loss):
        raise FloatingPointError(f"epoch {epoch + 1}: the validation loss is {loss}")
    return loss


def _after_epoch(
    history: History, losses: list[float], norms: list[float], lr: float, val_loss: float | None
) -> None:
    """Add an epoch to the history."""
    history.loss.append(float(np.mean(losses)))
    history.grad_norm.append(float(np.mean(norms)))
    history.lr.append(float(lr))
    if val_loss is not None:
        if val_loss < min(history.val_loss, default=np.inf):
            history.best_epoch = len(history.val_loss)
        history.val_loss.append(float(val_loss))


def _stop_early(history: History, best: dict[str, Array], model: Layer, patience: int) -> None:
    """Keep the parameters of the best epoch so far, and stop if it is ``patience`` epochs ago."""
    epoch = len(history.loss) - 1
    if history.best_epoch == epoch:
        best.update({name: p.copy() for name, p in model.params.items()})
    history.stopped_early = epoch - (history.best_epoch or 0) >= patience


def _show(bar: Any, loss: float, val_loss: float | None) -> None:
    """Move the progress bar on by one epoch."""
    shown = {"loss": loss} if val_loss is None else {"loss": loss, "val": val_loss}
    bar.set_postfix({name: f"{value:.4g}" for name, value in shown.items()})
    bar.update()


def _check_arguments(
    loss_fn: Any, optimizer: Any, schedule: Any, validation: Any, patience: Any
) -> None:
    if not hasattr(optimizer, "step") or isinstance(optimizer, type):
        raise TypeError(f"optimizer: expected one such as Adam(lr=0.001), got {optimizer!r}")
    checks.function(loss_fn, "loss_fn")
    if schedule is not None:
        checks.function(schedule, "schedule")
    if patience is not None:
        checks.size(patience, "patience")
        if validation is None:
            raise ValueError("patience: expected validation data with it, got none")


def _check_checkpoint(checkpoint: Any, resume: bool, optimizer: Any) -> None:
    """Raise now the errors that would otherwise come after the first epoch."""
    if checkpoint is None:
        if resume:
            raise ValueError("resume: expected a checkpoint to go on from, got none")
        return
    folder = os.path.dirname(os.path.abspath(checks.path(checkpoint, "checkpoint")))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"checkpoint: there is no folder {folder}")
    if not isinstance(getattr(optimizer, "state", None), dict):
        raise TypeError(
            "optimizer: expected one with its averages in a dictionary 'state', to save"
        )


@contextlib.contextmanager
def _ctrl_c() -> Iterator[list[bool]]:
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


def batches_of(data: Any, rng: Any, name: str) -> Iterator[WholeBatch]:
    """The batches (x, target, lengths, mask) of one epoch, None where there are no last two."""
    if callable(data):
        data = data(rng)
    elif isinstance(data, tuple) and len(data) >= 2 and not isinstance(data[1], (tuple, list)):
        data = [data]
    if not hasattr(data, "__iter__") or getattr(data, "shape", None) == ():
        raise TypeError(f"{name}: expected (x, target), batches or a function, got {data!r:.80}")
    empty = True
    for batch in data:
        if not isinstance(batch, (tuple, list)) or not 2 <= len(batch) <= 4:
            got = f"{type(batch).__name__} of {len(batch)}" if hasattr(batch, "__len__") else batch
            raise TypeError(
                f"{name}: expected batches (x, target), (x, target, lengths) or "
                f"(x, target, lengths, mask), got {got}"
            )
        empty = False
        x, target, lengths, mask = (*batch, None, None)[:4]
        yield x, target, lengths, mask
    if empty:
        raise ValueError(
            f"{name}: expected at least one batch, got none (a generator that is used up?)"
        )


def _progress_bar(epochs: int, begin: int, progress: bool | None) -> Any:
    from tqdm import tqdm  # only here, since importing it takes a while

    disable = None if progress is None else not progress
    return tqdm(total=epochs, initial=begin, unit="epoch", disable=disable, file=sys.stderr)


def _why_not_finite(where: str, loss: float, model: Layer, batch: WholeBatch) -> str:
    x, target, lengths, _ = batch
    if lengths is not None and not isinstance(x, tuple):  # padding is not the cause
        x = zero_at(padding(np.asarray(lengths), len(x)), np.asarray(x))
    suspects = {"x": x, "target": target} | {f"parameter {n!r}": p for n, p in model.params.items()}
    for name, value in suspects.items():
        value = np.hstack([np.ravel(v) for v in value]) if isinstance(value, tuple) else value
        value = np.asarray(value)
        bad = value.size - np.count_nonzero(np.isfinite(value))
        if bad:
            return f"{where}: the loss is {loss}, since {name} has {bad} values that are not finite"
    cause = "x, target and all parameters are finite, so the prediction has overflowed"
    return f"{where}: the loss is {loss}; {cause}. {HELP}"


def _which_not_finite(where: str, loss: float, grads: dict[str, Array]) -> str:
    counts = {name: g.size - np.count_nonzero(np.isfinite(g)) for name, g in grads.items()}
    bad = ", ".join(f"{k!r} ({n} of {grads[k].size} values)" for k, n in counts.items() if n)
    bad = f"not finite in {bad or 'its norm'}; the loss was {loss:.6g}"
    return f"{where}: the gradient is {bad}. {HELP}"
