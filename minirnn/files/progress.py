"""Stop a training, and continue it later with the same result, to the last bit.

After each epoch all that the next one depends on is written: the parameters, those of the best
epoch so far, the optimizer's running averages and number of steps, the history, and the state of
the random generator from which shuffling and dropout draw. (Each epoch starts a stream again from
its beginning.)
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from minirnn.files.npz import read_arrays, write_arrays
from minirnn.protocol import Array, Layer

Arrays: TypeAlias = dict[str, Array]


def write_progress(
    path: str | os.PathLike[str], model: Layer, optimizer: Any, history: Any, best: Arrays,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Write all that ``fit`` carries from one epoch to the next."""
    averages = {
        f"optimizer/{name}/{slot}": a
        for name, slots in optimizer.state.items()
        for slot, a in slots.items()
    }
    header = {
        "progress": dataclasses.asdict(history),
        "optimizer": described(optimizer),
        "steps": optimizer.steps,
        "rng": listed(rng.bit_generator.state),
    }
    write_arrays(
        path, header, {**averages, **_under("params", model.params), **_under("best", best)}
    )


def read_progress(
    path: str | os.PathLike[str], model: Layer, optimizer: Any, history: Any, best: Arrays,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Put all that ``write_progress`` has written back in place.

    Raises OSError, and ValueError if the file is damaged, or of another model or optimizer.
    """
    header, arrays = read_arrays(path)
    if "progress" not in header:
        raise ValueError(f"{path}: a saved model, not the progress of a training")
    if (was := header["optimizer"]) != (now := described(optimizer)):
        raise ValueError(f"optimizer: expected that of {path}, {was}, got {now}")
    kind = rng.bit_generator.state["bit_generator"]
    if header["rng"]["bit_generator"] != kind:
        raise ValueError(f"rng: expected {header['rng']['bit_generator']} as in {path}, got {kind}")
    parts: dict[str, Arrays] = {"params": {}, "best": {}, "optimizer": {}}
    for key, a in arrays.items():
        part, name = key.split("/", 1)
        parts[part][name] = a
    shapes = {name: (p.shape, p.dtype) for name, p in model.params.items()}
    if (saved := {name: (a.shape, a.dtype) for name, a in parts["params"].items()}) != shapes:
        odd = sorted(n for n in saved.keys() | shapes.keys() if saved.get(n) != shapes.get(n))
        raise ValueError(f"model: expected the one of {path}; its parameters {odd} differ")
    for name, p in model.params.items():
        p[...] = parts["params"][name]
    best.update({name: a.copy() for name, a in parts["best"].items()})
    optimizer.steps, optimizer.state = header["steps"], {}
    for key, a in parts["optimizer"].items():
        name, slot = key.rsplit("/", 1)
        optimizer.state.setdefault(name, {})[slot] = a.copy()
    for name, value in header["progress"].items():
        setattr(history, name, value)
    rng.bit_generator.state = header["rng"]


def described(optimizer: Any) -> dict[str, Any]:
    """The kind of an optimizer and its options, except the learning rate, which may change."""
    own = {k: v for k, v in vars(optimizer).items() if k not in ("lr", "steps", "state")}
    return {"kind": type(optimizer).__name__} | own


def listed(value: Any) -> Any:
    """A generator's state with lists for arrays, as JSON holds it."""
    if isinstance(value, dict):
        return {key: listed(v) for key, v in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def _under(part: str, arrays: Mapping[str, Array]) -> Arrays:
    return {f"{part}/{name}": a for name, a in arrays.items()}
