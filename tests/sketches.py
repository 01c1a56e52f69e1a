"""Models to be: shown as the Python expressions that make them, and built from these."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from test_protocol import MyCell

import minirnn as mr

WITH_DTYPE = (
    "RNN", "LSTM", "GRU", "LSTMVariant", "ProjectedLSTM", "OutputRNN", "Linear", "Embedding",
    "CausalConv", "Scale", "LayerNorm", "AttentionPool", "LuongAttention", "BahdanauAttention",
)  # fmt: skip


class Sketch(NamedTuple):
    """A layer to be: its repr is the expression that makes it."""

    kind: str
    args: tuple[Any, ...] = ()  # sizes, words, and the layers within
    options: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        if self.kind == "named":  # (name, layer): the first place of a layer that is used twice
            return "({} := {!r})".format(*self.args)
        if self.kind == "again":  # (name,): the second
            return self.args[0]
        words = [repr(a) for a in self.args] + [f"{name}={value!r}" for name, value in self.options]
        return f"{self.kind}({', '.join(words)})"

    def with_options(self, **more: Any) -> Sketch:
        return self._replace(options=(*self.options, *more.items()))


class Scale:
    """The least that a user's own layer needs to have: ``y = x * w``."""

    def __init__(self, size, dtype="float64"):
        self.size, self.dtype = size, dtype
        self.params = {"w": np.ones(size, dtype)}

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        if np.ndim(x) < 2 or np.shape(x)[-1] != self.size:
            raise ValueError(f"x: expected {self.size} features, got shape {np.shape(x)}")
        if lengths is not None and x.ndim == 3:
            x = np.where(np.arange(len(x))[:, None, None] < np.asarray(lengths)[:, None], x, 0)
        return x * self.params["w"], None, (x, lengths)

    def backward(self, dy, cache, dstate=None):
        x, lengths = cache
        dy = np.zeros_like(x) if dy is None else dy
        if lengths is not None and x.ndim == 3:
            dy = np.where(np.arange(len(x))[:, None, None] < np.asarray(lengths)[:, None], dy, 0)
        dw = (x * dy).reshape(-1, x.shape[-1]).sum(axis=0)
        return dy * self.params["w"], None, {"w": dw}


OWN = {"MyCell": MyCell, "Scale": Scale}


def build(sketch: Sketch) -> Any:
    """The model, with the initial values of its parameters."""
    return eval(repr(sketch), vars(mr) | OWN)


def walk(sketch: Sketch, path: tuple[int, ...] = ()) -> Any:
    """Each layer of a sketch with its path, from the outermost."""
    yield path, sketch
    for k, part in enumerate(sketch.args):
        if isinstance(part, Sketch):
            yield from walk(part, (*path, k))


def replaced(sketch: Sketch, path: tuple[int, ...], new: Any) -> Any:
    """The sketch with another part in one place."""
    if not path:
        return new
    args = list(sketch.args)
    args[path[0]] = replaced(args[path[0]], path[1:], new)
    return sketch._replace(args=tuple(args))


def of_dtype(sketch: Sketch, dtype: str) -> Sketch:
    """The same with another dtype in all layers that have one."""
    args = tuple(of_dtype(a, dtype) if isinstance(a, Sketch) else a for a in sketch.args)
    sketch = sketch._replace(args=args)
    if dtype == "float64" or sketch.kind not in WITH_DTYPE:
        return sketch
    return sketch.with_options(dtype=dtype)


def kinds(sketch: Sketch) -> str:
    """The shape of the tree: the kinds of its layers, without sizes and options."""
    parts = [kinds(a) for a in sketch.args if isinstance(a, Sketch)]
    return sketch.kind + (f"({', '.join(parts)})" if parts else "")
