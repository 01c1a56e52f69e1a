"""Which arrays in a dictionary of PyTorch's belong to the one module that is wanted.

``net.state_dict()`` of a whole model has the arrays of all its modules, each under the module's
place and a dot: "encoder.rnn.weight_ih_l0". What stands before the last name is the *prefix*.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

CELL_NAME = re.compile(r"(weight|bias)_(ih|hh|hr)(_l\d+(_reverse)?)?")


def arrays_of_module(
    given: Any, kind: str, gates: int, prefix: str | None
) -> tuple[str, dict[str, Any]]:
    """The place of one module, and its arrays under the names that it gives them itself.

    given: a module, or a dictionary. kind, gates: of a cell, the number of its gates, else 0.
    prefix: where the module is; None to find the only one that can be meant.
    """
    groups = by_prefix(state_dict_of(given))
    fitting = {p: own for p, own in groups.items() if _fits(own, kind, gates)}
    if prefix is not None:
        return _with_prefix(groups, list(fitting), prefix)
    if not fitting and gates:  # a cell of another kind, whose shapes are an error of their own
        fitting = {p: own for p, own in groups.items() if any(map(CELL_NAME.fullmatch, own))}
    if len(fitting) > 1:
        raise ValueError(
            f"prefix: expected one of {_texts(fitting)}, since each may be the {kind} that is "
            "meant, got None"
        )
    return next(iter(fitting.items()), ("", groups.get("", {})))


def state_dict_of(given: Any) -> Mapping[str, Any]:
    """The dictionary itself, or the one of a module. TypeError for all else."""
    if callable(getattr(given, "state_dict", None)) and not isinstance(given, type):
        given = given.state_dict()
    if not isinstance(given, Mapping):
        raise TypeError(
            "state_dict: expected arrays by name, such as net.state_dict(), or net itself, "
            f"got {type(given).__name__}"
        )
    for name, value in given.items():
        if not isinstance(name, str):
            raise TypeError(f"state_dict: expected names that are texts, got {name!r:.80}")
        if isinstance(value, Mapping) and any(hasattr(a, "shape") for a in value.values()):
            raise TypeError(
                f"state_dict: expected arrays by name, got a dictionary in {name!r}; pass the "
                f"dictionary of the weights, such as checkpoint[{name!r}]"
            )
    return given


def by_prefix(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The arrays of each module: prefix to names to arrays."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        prefix, dot, own = name.rpartition(".")
        groups.setdefault(prefix + dot, {})[own] = value
    return groups


def module_at(given: Any, place: str) -> Any:
    """The module that these arrays belong to, if a module was given that can say it; else None."""
    for name in filter(None, place.split(".")):
        given = getattr(given, name, None)
    return given if callable(getattr(given, "state_dict", None)) else None


def _fits(own: Mapping[str, Any], kind: str, gates: int) -> bool:
    """Whether these arrays can be those of a module of this kind."""
    if gates == 4 and any(name.startswith("weight_hr") for name in own):  # with proj_size
        return True
    if gates:
        shapes = [np.shape(a) for name, a in own.items() if name.startswith("weight_hh")]
        return any(len(s) == 2 and s[0] == gates * s[1] for s in shapes)
    axes = len(np.shape(own.get("weight", 0)))
    if kind == "Embedding":
        return axes == 2 and len(own) == 1
    return axes == (2 if kind == "Linear" else 1) and own.keys() <= {"weight", "bias"}


def _with_prefix(
    groups: Mapping[str, dict[str, Any]], fitting: list[str], prefix: str
) -> tuple[str, dict[str, Any]]:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: expected a text or None, got {prefix!r:.80}")
    for place in (prefix, f"{prefix}."):
        if place in groups:
            return place, groups[place]
    expected = f"one of {_texts(fitting or groups)}"
    raise ValueError(f"prefix: expected {expected}, got {prefix!r:.80}")


def _texts(prefixes: Any) -> str:
    texts = [repr(p) for p in prefixes]
    return ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")
