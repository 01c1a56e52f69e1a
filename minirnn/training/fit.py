"""The training loop: epochs of batches, validation, early stopping."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.files.progress import read_progress, write_progress
from minirnn.padding import padding, zero_at
from minirnn.training.bptt import bptt, evaluate
from minirnn.training.optim import clip_grad_norm

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
    model, loss_fn, data, optimizer, epochs, *, validation=None, patience=None, schedule=None,
    max_norm=None, stateful=False, rng=None, progress=None, checkpoint=None, resume=False,
) -> History:  # fmt: skip
    """Train ``model`` in place and return what happened.

    data: what an epoch consists of. One batch, a tuple ``(x, target)``, ``(x, target, lengths)`` or
        ``(x, target, lengths, mask)``; or a list of batches; or a function of a numpy Generator
        that returns the batches, shuffled for instance (see ``batches``).
    validation: likewise; its loss is measured after each epoch. With ``patience``, training ends
        when that many epochs in a row brought no new lowest loss, and in the end the parameters of
        the best epoch are put back.
    schedule: a function from the epoch's number (from 0) to its learning rate.
    max_norm: clip the joint norm of each batch's gradients to this.
    stateful: whether a batch begins in the state in which the one before it ended, for the pieces
        of a stream; the first of an epoch, and without it every batch, begins with zeros.
    rng: a seed or Generator, for shuffling, dropout and the like.
    progress: whether to draw a progress bar on stderr; None draws one on a terminal only.
    checkpoint: a file to which progress is written after each epoch.
    resume: whether to go on from that file, if there is one, to ``epochs`` in all: with the same
        arguments the result is bitwise that of a training never interrupted, as long as ``data``
        draws from the generator that it is given.

    Ctrl-C ends the training after the batch at work: the history is returned, and with ``patience``
    the best parameters are put back. Pressed again, it interrupts at once.

    Raises FloatingPointError at the first loss or gradient that is not finite, before it reaches
    the parameters, saying at which step and where. Raises ValueError if the checkpoint is damaged,
    or of another model or optimizer.
    """
    epochs, rng = checks.size(epochs, "epochs"), checks.generator(rng)
    _check_arguments(loss_fn, optimizer, schedule, validation, patience)
    _check_checkpoint(checkpoint, resume, optimizer)
    history, best = History(), dict[str, np.ndarray]()
    progress_of = (model, optimizer, history, best, rng)
    if resume and os.path.exists(checkpoint):
        read_progress(checkpoint, *progress_of)
    begin = epochs if history.stopped_early else len(history.loss)
    with _progress_bar(epochs, begin, progress) as bar, _ctrl_c() as pressed:
        try:
            for epoch in range(begin, epochs):
                if schedule is not None:
                    optimizer.lr = checks.number(schedule(epoch), f"schedule({epoch})", 0)
                batches = batches_of(data, rng, "data")
                losses, norms = _epoch(
                    model, loss_fn, batches, optimizer, max_norm, stateful, rng, epoch, pressed
                )
                val_loss = None
                if validation is not None:
                    batches = batches_of(validation, rng, "validation")
                    val_loss = _validate(model, loss_fn, batches, stateful, epoch)
                _after_epoch(history, losses, norms, optimizer.lr, val_loss)
                if patience is not None:
                    _stop_early(history, best, model, patience)
                if checkpoint is not None:
                    write_progress(checkpoint, *progress_of)
                _show(bar, history.loss[-1], val_loss)
                if history.stopped_early:
                    break
        except KeyboardInterrupt:
            history.interrupted = True
    for name, value in best.items():
        model.params[name][...] = value
    return history


def _epoch(model, loss_fn, batches, optimizer, max_norm, stateful, rng, epoch, pressed):
    """Train on each batch once; returns their losses and the norms of their gradients."""
    losses, norms, state = [], [], None
    for number, batch in enumerate(batches):
        where = f"step {optimizer.steps + 1} (epoch {epoch + 1}, batch {number + 1})"
        arguments = (model, loss_fn, batch, state, optimizer, max_norm, rng, where)
        loss, norm, state = _train_step(*arguments)
        state = state if stateful else None
        losses.append(loss)
        norms.append(norm)
        if pressed:
            raise KeyboardInterrupt  # between two batches, where no harm is done
    return losses, norms


def _train_step(model, loss_fn, batch, state, optimizer, max_norm, rng, where):
    """One batch; returns its loss, the gradient's norm, and the final state."""
    x, target, lengths, mask = batch
    loss, grads, state = bptt(model, loss_fn, x, target, state, lengths, mask, rng=rng)
    if not np.isfinite(loss):
        raise FloatingPointError(_why_not_finite(where, loss, model, batch))
    norm = clip_grad_norm(grads, np.inf if max_norm is None else max_norm)
    if not np.isfinite(norm):
        raise FloatingPointError(_which_not_finite(where, loss, grads))
    optimizer.step(model.params, grads)
    return loss, norm, state


def _validate(model, loss_fn, batches, stateful, epoch):
    """The loss over the validation data after an epoch."""
    loss = evaluate(model, loss_fn, batches, stateful)
    if not np.isfinite(loss):
        raise FloatingPointError(f"epoch {epoch + 1}: the validation loss is {loss}")
    return loss


def _after_epoch(history, losses, norms, lr, val_loss):
    """Add an epoch to the history."""
    history.loss.append(float(np.mean(losses)))
    history.grad_norm.append(float(np.mean(norms)))
    history.lr.append(float(lr))
    if val_loss is not None:
        if val_loss < min(history.val_loss, default=np.inf):
            history.best_epoch = len(history.val_loss)
        history.val_loss.append(float(val_loss))


def _stop_early(history, best, model, patience):
    """Keep the parameters of the best epoch so far, and see whether it is too long ago."""
    epoch = len(history.loss) - 1
    if history.best_epoch == epoch:
        best.update({name: p.copy() for name, p in model.params.items()})
    history.stopped_early = epoch - (history.best_epoch or 0) >= patience


def _show(bar, loss, val_loss):
    """Move the progress bar on by one epoch."""
    shown = {"loss": loss} if val_loss is None else {"loss": loss, "val": val_loss}
    bar.set_postfix({name: f"{value:.4g}" for name, value in shown.items()})
    bar.update()


def _check_arguments(loss_fn, optimizer, schedule, validation, patience):
    if not hasattr(optimizer, "step") or isinstance(optimizer, type):
        raise TypeError(f"optimizer: expected one such as Adam(lr=0.001), got {optimizer!r}")
    checks.function(loss_fn, "loss_fn")
    if schedule is not None:
        checks.function(schedule, "schedule")
    if patience is not None:
        checks.size(patience, "patience")
        if validation is None:
            raise ValueError("patience: expected validation data with it, got none")


def _check_checkpoint(checkpoint, resume, optimizer):
    """Say now what would fail after the first epoch."""
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
def _ctrl_c():
    """A list that Ctrl-C puts something into; the second time it interrupts as usual.

    So no optimizer is stopped halfway through the parameters. Whoever has taken the signal already,
    and threads other than the first, are left alone.
    """
    pressed: list[bool] = []

    def press(number, frame):
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


def batches_of(data: Any, rng: np.random.Generator, name: str) -> Iterable[tuple]:
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
        yield (*batch, None, None)[:4]
    if empty:
        raise ValueError(
            f"{name}: expected at least one batch, got none (a generator that is used up?)"
        )


def _progress_bar(epochs: int, begin: int, progress: bool | None) -> Any:
    from tqdm import tqdm  # only here, since importing it takes a while

    disable = None if progress is None else not progress
    return tqdm(total=epochs, initial=begin, unit="epoch", disable=disable, file=sys.stderr)


def _why_not_finite(where: str, loss: float, model: Any, batch: tuple) -> str:
    x, target, lengths, _ = batch
    if lengths is not None and not isinstance(x, tuple):  # what lies past the end is no reason
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


def _which_not_finite(where: str, loss: float, grads: dict[str, np.ndarray]) -> str:
    counts = {name: g.size - np.count_nonzero(np.isfinite(g)) for name, g in grads.items()}
    bad = ", ".join(f"{k!r} ({n} of {grads[k].size} values)" for k, n in counts.items() if n)
    bad = f"not finite in {bad or 'its norm'}; the loss was {loss:.6g}"
    return f"{where}: the gradient is {bad}. {HELP}"
