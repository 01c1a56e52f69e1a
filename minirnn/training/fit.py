"""The training loop: epochs of batches, validation, early stopping."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.files.progress import read_progress, settings_of, write_progress
from minirnn.padding import padding, zero_at
from minirnn.protocol import Array, Layer, Seed, State
from minirnn.training.arguments import check_arguments, check_checkpoint, check_extras
from minirnn.training.bptt import NO_TARGETS, batch_gradients, evaluate
from minirnn.training.data import Data, WholeBatch, batches_of
from minirnn.training.history import History, add_epoch, as_from_the_start, waited
from minirnn.training.losses import Loss
from minirnn.training.optim import Optimizer, clip_grad_norm
from minirnn.training.overall import Overall
from minirnn.training.terminal import ctrl_c, progress_bar

HELP = "A lower learning rate, max_norm=1.0 or scaled inputs usually help."


def fit(
    model: Layer, loss_fn: Loss, data: Data, optimizer: Optimizer, epochs: int, *,
    validation: Data | None = None, patience: int | None = None,
    schedule: Callable[[int], float] | None = None, max_norm: float | None = None,
    stateful: bool = False, rng: Seed = None, progress: bool | None = None,
    checkpoint: str | os.PathLike[str] | None = None, resume: bool = False,
    metrics: Mapping[str, Callable[..., float]] | None = None,
    on_epoch: Callable[[History], Any] | None = None,
) -> History:  # fmt: skip
    """Train ``model`` in place and return what happened.

    data: what an epoch consists of. One batch, a tuple ``(x, target)``, ``(x, target, lengths)`` or
        ``(x, target, lengths, mask)``; or a list of batches; or a function of a numpy Generator
        that returns the batches, shuffled for instance (see ``datasets.batches``). Time comes
        first: x is (T, B, D), or (T, B) of tokens, and targets are (T, B, ...) or (B, ...). A mask
        may hold weights (see ``losses``).
    validation: data in one of the same forms, whose loss is measured after each epoch. With
        ``patience``, training ends when that many epochs in a row brought no new lowest loss. With
        it the parameters of the best epoch are put back at the end, whatever ends the training.
    metrics: name to a function ``metric(y, target)`` or ``metric(y, target, mask=mask)``, of
        ``mr.metrics`` or your own, measured on the validation data after each epoch and kept in
        ``history.metrics``. It is the metric of all targets that count, whatever the batches. A
        function of your own is given them in one call: y (n, K) and target (n, ...), with a mask
        only if they weigh different amounts.
    on_epoch: a function that is called with the history after each epoch, before it reaches the
        checkpoint. If it returns ``"stop"``, the training ends, with ``asked_to_stop`` True;
        otherwise it returns None.
    schedule: a function from the epoch's number (from 0) to its learning rate.
    max_norm: clip the joint norm of each batch's gradients to this.
    stateful: whether a batch begins in the final state of the batch before it, for the pieces of a
        stream. The first batch of an epoch begins with zeros; without ``stateful``, every batch.
    rng: a seed or Generator, for shuffling, dropout and the like.
    progress: whether to draw a progress bar on stderr; None draws one on a terminal only.
    checkpoint: a file to which progress is written after each epoch.
    resume: whether to continue from that file, if it exists, until ``epochs`` epochs are done in
        all. With the same arguments the result is the same to the last bit as without the
        interruption, if ``data`` draws only from the generator that it is given. Patience, epochs
        and validation may be others than before: the result is as if they had been given from the
        start (except that earlier epochs without validation have no ``val_loss``, nor metrics). A
        training that ``on_epoch`` has ended goes on only without ``on_epoch``.

    Losses are means over all targets that count, whatever the batches: the loss of a batch counts
    by the sum of its mask, by the number of numbers in its target, or for ``ctc`` by the number of
    its sequences (see ``number_of_targets``).
    So ``exp(val_loss)`` of a cross-entropy is a perplexity. The gradient of a batch is that of the
    mean over its own targets. A batch in which no target counts changes nothing.

    Ctrl-C ends the training after the current batch, or after the validation and the checkpoint if
    it comes there: the history is returned, with ``interrupted`` True. A second Ctrl-C interrupts
    at once.

    Raises FloatingPointError at the first loss or gradient that is not finite, before it reaches
    the parameters; the message names the step and the array. It is raised too if the parameters are
    not finite after an epoch, before they reach the checkpoint. Raises TypeError or ValueError for
    arguments and batches that do not fit, for a checkpoint that is damaged or belongs to another
    model, loss or optimizer, and for a file of another kind in its place. An error in the middle
    of the training has the epochs until then in its attribute ``history``.
    """
    epochs, generator = checks.size(epochs, "epochs"), checks.generator(rng)
    check_arguments(model, loss_fn, optimizer, schedule, validation, patience, max_norm, stateful)
    measured = check_extras(metrics, on_epoch, validation)
    check_checkpoint(checkpoint, resume, optimizer)
    history = History()
    best: dict[str, Array] = {}  # the parameters of the best epoch
    settings = {} if checkpoint is None else settings_of(model, loss_fn, optimizer)
    carried = (settings, model, optimizer, history, best, generator)
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        accept = functools.partial(as_from_the_start, checkpoint, epochs, patience, on_epoch)
        read_progress(checkpoint, *carried, accept)
    begin = epochs if history.stopped_early or history.asked_to_stop else len(history.loss)
    train_step = functools.partial(_train_step, model, loss_fn, optimizer, max_norm, generator)
    with ctrl_c() as pressed, progress_bar(epochs, begin, progress) as show:
        try:
            for epoch in range(begin, epochs):
                if schedule is not None:
                    optimizer.lr = checks.number(schedule(epoch), f"schedule({epoch})", 0)
                batches = batches_of(data, generator, "data")
                loss, norm = _epoch(train_step, batches, epoch, stateful, pressed)
                _check_finite(model, epoch)
                val_loss, values = None, dict[str, float]()
                if validation is not None:
                    batches = batches_of(validation, generator, "validation")
                    val_loss, values = _validate(model, loss_fn, batches, stateful, epoch, measured)
                add_epoch(history, loss, norm, optimizer.lr, val_loss, values)
                if history.best_epoch == epoch and (patience or checkpoint is not None):
                    best.update({name: p.copy() for name, p in model.params.items()})
                if patience is not None:
                    history.stopped_early = waited(history) >= patience
                if on_epoch is not None:
                    history.asked_to_stop = _asks_to_stop(on_epoch(history))
                if checkpoint is not None:
                    write_progress(checkpoint, *carried)
                show(history)
                if history.stopped_early or history.asked_to_stop or pressed:
                    break
        except KeyboardInterrupt:
            pressed.append(True)
        except Exception as error:
            _hand_over(history, error)
            if pressed:
                raise KeyboardInterrupt from error
            raise
        finally:
            if patience is not None:
                _put_back(best, model)
    history.interrupted = bool(pressed)
    return history


def _epoch(
    train_step: Callable[[WholeBatch, State, str], tuple[float, float, float, State]],
    batches: Iterable[WholeBatch], epoch: int, stateful: bool, pressed: list[bool],
) -> tuple[float, float]:  # fmt: skip
    """Train on each batch once; returns the mean loss of all targets, and that of the norms."""
    total, number, norms = 0.0, 0.0, []
    state: State = None
    for k, batch in enumerate(batches):
        place = f"epoch {epoch + 1}, batch {k + 1}"
        loss, norm, n, state = train_step(batch, state if stateful else None, place)
        if n != 0:
            total += n * loss
            number += n
            norms.append(norm)
        if pressed:
            raise KeyboardInterrupt  # between two batches, where no harm is done
    if number == 0:
        raise ValueError(f"data: {NO_TARGETS}")
    return total / number, float(np.mean(norms))


def _train_step(
    model: Layer, loss_fn: Loss, optimizer: Optimizer, max_norm: float | None, rng: Seed,
    batch: WholeBatch, state: State, place: str,
) -> tuple[float, float, float, State]:  # fmt: skip
    """One batch; returns its loss, the gradient's norm, how many targets count, and the state."""
    where = f"step {optimizer.steps + 1} ({place})"
    x, target, lengths, mask = batch
    loss, grads, state, n = batch_gradients(
        model, loss_fn, x, target, state, lengths, mask, rng=rng
    )
    if n == 0:
        return 0.0, 0.0, n, state
    if not np.isfinite(loss):
        raise FloatingPointError(_why_not_finite(where, loss, model, batch))
    norm = clip_grad_norm(grads, np.inf if max_norm is None else max_norm)
    if not np.isfinite(norm):
        raise FloatingPointError(_which_not_finite(where, loss, grads))
    optimizer.step(model.params, grads)
    return loss, norm, n, state


def _check_finite(model: Layer, epoch: int) -> None:
    """Raise FloatingPointError if the last updates have spoiled a parameter."""
    for name, p in model.params.items():
        square = np.vdot(p, p)  # one quick call; it may overflow
        if not math.isfinite(square) and not np.isfinite(p).all():
            bad = f"parameter {name!r} has {p.size - np.count_nonzero(np.isfinite(p))}"
            raise FloatingPointError(
                f"epoch {epoch + 1}: after the update {bad} values that are not finite. {HELP}"
            )


def _validate(
    model: Layer, loss_fn: Loss, batches: Iterable[WholeBatch], stateful: bool, epoch: int,
    metrics: Mapping[str, Callable[..., float]],
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """The loss over the validation data after an epoch, and the metrics."""
    overall = {name: Overall(metric, f"metrics[{name!r}]") for name, metric in metrics.items()}
    loss = evaluate(model, loss_fn, batches, stateful, "validation", [*overall.values()])
    if not np.isfinite(loss):
        raise FloatingPointError(f"epoch {epoch + 1}: the validation loss is {loss}")
    return loss, {name: metric.value() for name, metric in overall.items()}


def _asks_to_stop(answer: Any) -> bool:
    """Whether ``on_epoch`` has returned "stop", and not None."""
    if answer is not None and not (isinstance(answer, str) and answer == "stop"):
        expected = 'None, or "stop" to end the training'
        raise TypeError(f"on_epoch: expected it to return {expected}, got {answer!r:.80}")
    return answer is not None


def _put_back(best: dict[str, Array], model: Layer) -> None:
    """Give the model the parameters of its best epoch."""
    try:
        for name, value in best.items():
            model.params[name][...] = value
    except KeyboardInterrupt:  # a second Ctrl-C: not half of them
        _put_back(best, model)
        raise


def _hand_over(history: History, error: Exception) -> None:
    """Keep the history with the error that ends the training: it may be that of many hours."""
    with contextlib.suppress(AttributeError):  # an error that takes no attributes
        error.history = history  # type: ignore[attr-defined]
        if history.loss:
            error.add_note(f"fit: the attribute history of this error is {history!r}")


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
