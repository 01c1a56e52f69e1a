"""A training that tells how it goes, and that the same command takes up again after Ctrl-C.

In the folder of a command stand, until its training is finished, ``unfinished.json``, which says
of what data and options the training is, and ``unfinished.npz``, its progress (see
``files/progress.py``). Whoever gives the same command again goes on from there, and gets the same
bits as without the break.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import minirnn as mr
from minirnn.commands.common import duration
from minirnn.files.atomic import write
from minirnn.files.npz import read_arrays


class Job(NamedTuple):
    """A training in a folder."""

    note: Path  # unfinished.json
    progress: Path  # unfinished.npz
    plan: dict[str, Any]  # what was decided when it began


def begin(
    out: Path, of: Mapping[str, Any], plan: Callable[[], dict[str, Any]], fresh: bool = False
) -> Job:
    """The unfinished training of ``of`` in the folder, or a new one.

    of: all that the result depends on, data too, as JSON. plan: a function that decides the rest,
    from the speed of the machine say; called only where a training begins. fresh: begin anew.

    Raises ValueError if another training is unfinished in this folder.
    """
    note, progress = out / "unfinished.json", out / "unfinished.npz"
    key = hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()
    if note.exists() and not fresh:
        try:
            found = json.loads(note.read_text("utf-8"))
            same, decided = found["of"] == key, dict(found["plan"])
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{note}: damaged; --fresh begins anew") from None
        if not same:
            raise ValueError(
                f"--out: in {out} a training of other data, or with other options, is unfinished; "
                "give its command again to go on with it, add --fresh to begin this one in its "
                "place, or choose another folder"
            )
        return Job(note, progress, decided)
    progress.unlink(missing_ok=True)
    decided = plan()
    write(note, (json.dumps({"of": key, "plan": decided}) + "\n").encode())
    return Job(note, progress, decided)


def end(job: Job) -> None:
    """Remove the files of a training that is finished and saved."""
    job.progress.unlink(missing_ok=True)
    job.note.unlink(missing_ok=True)


def train(
    job: Job,
    fit: Callable[..., mr.History],
    epochs: int,
    tell: Callable[[mr.History], str],
    of: str = "epoch",
) -> mr.History:
    """Train, and print a line after each epoch.

    fit: ``mr.fit`` with all arguments except those of this function. tell: what to print of the
    history.
    """
    before = 0
    if job.progress.exists():
        _, arrays = read_arrays(job.progress)
        before = len(arrays["history/loss"])
        print(f"going on after {of} {before} of {epochs}", flush=True)
    began = time.perf_counter()

    def say(history: mr.History) -> None:
        done, took = len(history.loss), time.perf_counter() - began
        left = took / (done - before) * (epochs - done)
        rest = f", at most {duration(left)} to go" if done < epochs else ""
        line = f"{of} {done:>2} of {epochs}: {tell(history)}; {duration(took)}{rest}"
        print(line, flush=True)

    with resumable():
        history = fit(
            epochs=epochs, progress=False, checkpoint=job.progress, resume=True, on_epoch=say
        )
        if history.interrupted:
            raise KeyboardInterrupt
    return history


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Say how to go on, whatever ends the block before its time."""
    try:
        yield
    except Exception:
        raise
    except BaseException:  # Ctrl-C
        print("\nminirnn: the same command goes on from here", file=sys.stderr)
        raise
