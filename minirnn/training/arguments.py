"""What ``fit`` refuses before it begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirnn import checks
from minirnn.files.progress import check_replaceable
from minirnn.protocol import check_streaming
from minirnn.training.bptt import check_model


def check_arguments(
    model: Any, loss_fn: Any, optimizer: Any, schedule: Any, validation: Any, patience: Any,
    max_norm: Any, stateful: bool,
) -> None:  # fmt: skip
    if not hasattr(optimizer, "step") or isinstance(optimizer, type):
        raise TypeError(f"optimizer: expected one such as Adam(lr=0.001), got {optimizer!r:.80}")
    checks.function(loss_fn, "loss_fn")
    if schedule is not None:
        checks.function(schedule, "schedule")
    if patience is not None:
        checks.size(patience, "patience")
        if validation is None:
            raise ValueError("patience: expected validation data with it, got none")
    if max_norm is not None:
        checks.number(max_norm, "max_norm", 0, low_included=False, finite=False)
    check_model(model, loss_fn)
    if stateful:
        check_streaming(model)


def check_extras(
    metrics: Any, on_epoch: Any, validation: Any
) -> Mapping[str, Callable[..., float]]:
    """The metrics by name; none where there are none."""
    if on_epoch is not None:
        checks.function(on_epoch, "on_epoch")
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping) or not all(isinstance(name, str) for name in metrics):
        raise TypeError(
            f'metrics: expected a dictionary such as {{"accuracy": mr.metrics.accuracy}}, got '
            f"{metrics!r:.80}"
        )
    for name, metric in metrics.items():
        checks.function(metric, f"metrics[{name!r}]")
    if metrics and validation is None:
        raise ValueError("metrics: expected validation data with them, got none")
    return metrics


def check_checkpoint(checkpoint: Any, resume: bool, optimizer: Any) -> None:
    """Raise now the errors that would otherwise come after the first epoch."""
    if not isinstance(resume, (bool, np.bool_)):
        raise TypeError(f"resume: expected True or False, got {resume!r:.80}")
    if checkpoint is None:
        if resume:
            raise ValueError("resume: expected a checkpoint to go on from, got none")
        return
    folder = os.path.dirname(os.path.abspath(checks.path(checkpoint, "checkpoint")))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"checkpoint: there is no folder {folder}")
    if os.path.isdir(checkpoint):
        raise IsADirectoryError(f"checkpoint: expected a file, but {checkpoint} is a folder")
    if os.path.exists(checkpoint) and not os.path.isfile(checkpoint):
        raise ValueError(f"checkpoint: expected a file to read again, got {checkpoint}, a device")
    if not isinstance(getattr(optimizer, "state", None), dict):
        raise TypeError(
            "optimizer: expected one with its averages in a dictionary 'state', to save"
        )
    if not resume:
        check_replaceable(checkpoint)
