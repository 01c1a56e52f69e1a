"""Stop a training, and continue it later with the same result, to the last bit.

After each epoch all that the next one depends on is written: the parameters, those of the best
epoch so far, the optimizer's running averages and number of steps, the history, and the state of
the random generator from which shuffling and dropout draw. (Each epoch starts a stream again from
its beginning.) What the model, the loss and the optimizer are is written too, as they were when
``fit`` was called, so that others are refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from minirnn.description import MISSING, arguments
from minirnn.files.npz import read_arrays, write_arrays
from minirnn.protocol import Array, Layer, is_layer

Arrays: TypeAlias = dict[str, Array]
Settings: TypeAlias = dict[str, Any]

PLAIN = (bool, int, float, str)
# What may change from epoch to epoch, and so from one call of ``fit`` to the next.
MAY_CHANGE = ("lr", "steps", "state", "teacher_forcing")


def settings_of(model: Any, loss_fn: Any, optimizer: Any) -> Settings:
    """What a training is made of, as JSON: the kinds and options of its three parts."""
    options = getattr(optimizer, "__dict__", {})
    own = {k: described(v) for k, v in options.items() if k not in MAY_CHANGE}
    return {
        "model": described(model),
        "loss_fn": described(loss_fn),
        "optimizer": {"kind": type(optimizer).__name__} | own,
    }


def described(value: Any) -> Any:
    """A layer, a function or an option, as JSON; of other objects their kind and plain options."""
    if is_layer(value):
        options = {p.name: v for p, v in arguments(value) if v is not MISSING}
        own = {k: described(v) for k, v in options.items() if k not in MAY_CHANGE}
        return {"kind": type(value).__name__} | own
    if isinstance(value, functools.partial):
        return [described(v) for v in (value.func, value.args, value.keywords)]
    value = inspect.unwrap(value) if callable(value) else value  # as functools.wraps says it
    if hasattr(value, "__qualname__"):  # a function or a class
        ours = str(value.__module__).startswith("minirnn.")
        name = f"minirnn.{value.__qualname__}" if ours else value.__qualname__
        enclosed = [v for v in _enclosed(value) if isinstance(v, PLAIN)]
        return [name, *enclosed] if enclosed else name
    if isinstance(value, np.ndarray):
        return f"an array {value.shape} {value.dtype} {zlib.crc32(value.tobytes())}"
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (tuple, list)):
        return [described(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): described(v) for k, v in value.items()}
    if value is None or isinstance(value, PLAIN):
        return value
    own = {k: v for k, v in getattr(value, "__dict__", {}).items() if isinstance(v, PLAIN)}
    return {"kind": type(value).__name__} | own


def _enclosed(function: Any) -> Iterator[Any]:
    """The values that a function made by another one has from there."""
    for cell in getattr(function, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # it has none yet
            yield cell.cell_contents


def write_progress(
    path: str | os.PathLike[str], settings: Settings, model: Layer, optimizer: Any, history: Any,
    best: Arrays, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Write all that ``fit`` carries from one epoch to the next."""
    averages = {
        f"optimizer/{name}/{slot}": a
        for name, slots in optimizer.state.items()
        for slot, a in slots.items()
    }
    progress = dataclasses.asdict(history)
    metrics = progress.pop("metrics")
    # As arrays: a header has a largest size, an epoch after the other does not.
    by_epoch = {k: np.array(v, float) for k, v in progress.items() if isinstance(v, list)}
    by_epoch["metrics"] = np.array([*metrics.values()], float)
    progress["metrics"] = list(metrics)  # their names
    header = {
        "settings": settings,
        "progress": {k: v for k, v in progress.items() if k == "metrics" or k not in by_epoch},
        "steps": optimizer.steps,
        "rng": listed(rng.bit_generator.state),
        "seed": seed_of(rng),
    }
    parts = {"history": by_epoch, "params": model.params, "best": best}
    whole = {f"{part}/{name}": a for part, own in parts.items() for name, a in own.items()}
    write_arrays(path, header, {**averages, **whole})


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if there is a file at ``path`` that is not the progress of a training."""
    if not os.path.isfile(path) or os.path.getsize(path) == 0:
        return
    try:
        header, _ = read_arrays(path)
        got = "" if "progress" in header else "a saved model"
    except ValueError:
        got = "a file of another kind, or a damaged one"
    if got:
        raise ValueError(
            f"checkpoint: expected a new file or the progress of a training, but {path} is {got}"
        )


def read_progress(
    path: str | os.PathLike[str], settings: Settings, model: Layer, optimizer: Any, history: Any,
    best: Arrays, rng: np.random.Generator, accept: Callable[[Any], None],
) -> None:  # fmt: skip
    """Put all that ``write_progress`` has written back in place.

    accept: is given the history before anything else is put back, to refuse it by an error.

    Raises OSError, and ValueError if the file is damaged, or of another model, loss, optimizer or
    kind of generator. Then nothing has been changed.
    """
    header, arrays = read_arrays(path)
    if "progress" not in header:
        raise ValueError(f"{path}: a saved model, not the progress of a training")
    made_of = header.get("settings", {})
    for name, now in settings.items():
        if (was := made_of.get(name)) != now:
            was, now = difference(was, now)
            raise ValueError(f"{name}: expected that of {path}, {was}, got {now}")
    try:
        check_generator(path, header, rng)
        parts: dict[str, Arrays] = {"params": {}, "best": {}, "optimizer": {}, "history": {}}
        for key, a in arrays.items():
            part, name = key.split("/", 1)
            parts[part][name] = a
        averages: dict[str, Arrays] = {}
        for key, a in parts["optimizer"].items():
            name, slot = key.rsplit("/", 1)
            averages.setdefault(name, {})[slot] = a.copy()
        by_epoch = {name: a.tolist() for name, a in parts["history"].items()}
        names = header["progress"].get("metrics", [])  # older files have none
        by_epoch["metrics"] = dict(zip(names, by_epoch.get("metrics", []), strict=False))
        progress = {"asked_to_stop": False} | header["progress"] | by_epoch
        steps = int(header["steps"])
        if progress.keys() != dataclasses.asdict(history).keys():
            raise KeyError("history")
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the progress of a training ({error!r})") from None
    _check_arrays(path, model, optimizer, parts["params"], parts["best"], averages)
    for name, value in progress.items():
        setattr(history, name, value)
    accept(history)
    rng.bit_generator.state = header["rng"]
    if missing := header["seed"][0] - seed_of(rng)[0]:
        rng.spawn(max(0, missing))
    for name, p in model.params.items():
        p[...] = parts["params"][name]
    best.update({name: a.copy() for name, a in parts["best"].items()})
    optimizer.steps, optimizer.state = steps, averages


def check_generator(path: Any, header: Settings, rng: np.random.Generator) -> None:
    """Raise ValueError if this generator cannot go on from the state in the file."""
    kind = rng.bit_generator.state["bit_generator"]
    if header["rng"]["bit_generator"] != kind:
        raise ValueError(f"rng: expected {header['rng']['bit_generator']} as in {path}, got {kind}")
    was, now = header["seed"], seed_of(rng)
    if was[0] and was[1:] != now[1:]:  # generators that it spawns depend on its seed
        raise ValueError(f"rng: expected the seed of {path}, {was[1]}, got {now[1]}")
    type(rng.bit_generator)().state = header["rng"]  # raises what is wrong with it


def seed_of(rng: np.random.Generator) -> list[Any]:
    """How many generators have been spawned from this one, and its seed. Its state does not tell
    them."""
    seed: Any = rng.bit_generator.seed_seq  # type: ignore[attr-defined]
    key = list(getattr(seed, "spawn_key", ()))
    return [getattr(seed, "n_children_spawned", 0), str(getattr(seed, "entropy", None)), key]


def _check_arrays(
    path: Any, model: Layer, optimizer: Any, params: Arrays, best: Arrays,
    averages: dict[str, Arrays],
) -> None:  # fmt: skip
    """Raise ValueError unless all arrays fit the model's parameters."""
    shapes = {name: (p.shape, p.dtype) for name, p in model.params.items()}
    for part in (params, *([best] if best else [])):
        if (saved := {name: (a.shape, a.dtype) for name, a in part.items()}) != shapes:
            odd = sorted(n for n in saved.keys() | shapes.keys() if saved.get(n) != shapes.get(n))
            raise ValueError(f"model: expected the one of {path}; its parameters {odd} differ")
    slots = getattr(optimizer, "slots", None)
    for name, own in averages.items():
        fits = name in shapes and (slots is None or own.keys() == set(slots))
        if slots is not None:  # those of an optimizer of the user's own may have any shape
            fits = fits and all((a.shape, a.dtype) == shapes[name] for a in own.values())
        if not fits:
            raise ValueError(f"optimizer: its averages of {name!r} in {path} do not fit the model")


def difference(was: Any, now: Any, place: str = "") -> tuple[str, str]:
    """Where two descriptions differ first, in words: only this part of a large model is shown."""
    if isinstance(was, dict) and isinstance(now, dict) and was.get("kind") == now.get("kind"):
        for key in (*was, *now):
            if was.get(key) != now.get(key):
                return difference(was.get(key), now.get(key), f"{place}{was.get('kind')}.{key} ")
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        k = next(k for k in range(len(was)) if was[k] != now[k])
        return difference(was[k], now[k], place)
    kinds = [v["kind"] if isinstance(v, dict) and "kind" in v else v for v in (was, now)]
    was, now = kinds if kinds[0] != kinds[1] else (was, now)
    return f"{place}{was!r:.200}", f"{now!r:.200}"


def listed(value: Any) -> Any:
    """A generator's state with lists for arrays, as JSON holds it."""
    if isinstance(value, dict):
        return {key: listed(v) for key, v in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
