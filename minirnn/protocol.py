"""What a layer is: a dictionary of parameters and two functions. There is no base class to inherit;
any object of this form can be trained, stacked and gradient-checked.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from minirnn import checks

# ---- The names of types, as ``help`` shows them -------------------------------------------------

Array: TypeAlias = NDArray[Any]


class HasArray(Protocol):
    """Anything that NumPy can turn into an array: an array, a number of NumPy, a pandas Series."""

    def __array__(self) -> Array: ...


# What stands for an array of numbers. Unlike NumPy's ArrayLike it is not a text.
_Row: TypeAlias = Sequence[float] | Sequence[HasArray]
Numbers: TypeAlias = HasArray | float | _Row | Sequence[_Row] | Sequence[Sequence[_Row]]

Seed: TypeAlias = np.random.Generator | int | None  # None: draw afresh each time

LSTMState: TypeAlias = tuple[Array, Array]  # h and c, each (B, H)
State: TypeAlias = Any  # h, (h, c), for a stack a list with one entry for each layer, or None
Forward: TypeAlias = tuple[Array, State, Any]  # y, the final state, the cache
Backward: TypeAlias = tuple[Any, State, dict[str, Array]]  # dx, dstate, the parameters' gradients

F = TypeVar("F", bound=Callable[..., Any])


def quiet(function: F) -> F:
    """Let infinities and NaN pass through a layer without a warning. ``fit`` stops at them and says
    where they came from."""
    decorated: Any = np.errstate(over="ignore", invalid="ignore")(function)
    return decorated


class Layer(Protocol):
    """One layer or a whole model. Axes: T time, B batch; x is (T, B, D), or what the layer says."""

    @property
    def params(self) -> Mapping[str, np.ndarray]:
        """The parameters by name; optimizers change the arrays in place."""
        ...

    def forward(
        self,
        x: Any,
        state: State = None,
        lengths: Any = None,
        training: bool = False,
        rng: Any = None,
    ) -> Forward:
        """Returns y, the final state, and the cache: all that ``backward`` needs to know.

        lengths: (B,), for padded sequences. Past its end a sequence's state is carried on, its y is
        zero, and what x holds does not matter. training, rng: for layers that draw while training.
        """
        ...

    def backward(self, dy: Any, cache: Any, dstate: State = None) -> Backward:
        """Given dy and the gradient of the final state, returns dx (None where x is not real), the
        gradient of the initial state, and those of the parameters, with the keys of ``params``.
        """
        ...


def map_tree(function: Callable, *trees: Any) -> Any:
    """Apply a function to the arrays of a state, or of several of the same form."""
    if trees[0] is None:
        return None
    if isinstance(trees[0], (tuple, list)):
        return type(trees[0])(map_tree(function, *parts) for parts in zip(*trees, strict=True))
    return function(*trees)


def leaves(tree: Any) -> list[np.ndarray]:
    """The arrays of a state, in their order."""
    found: list[np.ndarray] = []
    map_tree(found.append, tree)
    return found


def named_leaves(layer: Any, state: State) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a state with their names: h, c; of a model 0.h, 0.c, 1.h, ..."""
    parts = getattr(layer, "parts", {})
    if parts and state is not None:
        for (name, part), s in zip(parts.items(), state, strict=True):
            yield from ((f"{name}.{leaf}", a) for leaf, a in named_leaves(part, s))
    else:
        arrays = leaves(state)
        names = getattr(layer, "state_names", None) or [f"state{k}" for k in range(len(arrays))]
        yield from zip(names, arrays, strict=False)


def zero_state(layer, B):
    """The initial state of a layer for B sequences; None for one without a state."""
    return layer.zero_state(checks.size(B, "B")) if hasattr(layer, "zero_state") else None


def without_step(layer) -> str:
    """The name of a part that has no one-step function; empty if all have one."""
    for part in getattr(layer, "parts", {}).values():
        if without_step(part):
            return without_step(part)
    return "" if getattr(layer, "step", None) else type(layer).__name__


def check_streams(model, x, target):
    """Raise ValueError unless the model can run on from a state, with an output at every step."""
    for part in getattr(model, "parts", {}).values():
        check_streams(part, x, target)
    if not getattr(model, "streams", True):
        kind = type(model).__name__
        raise ValueError(f"model: {kind} needs the whole sequence, and cannot take it in pieces")
    if x.ndim < 2 or target.shape[:2] != x.shape[:2]:
        raise ValueError(f"target: expected one a step, {x.shape[:2]}, got shape {target.shape}")


_caching = contextvars.ContextVar("caching", default=True)


@contextlib.contextmanager
def no_cache() -> Iterator[None]:
    """``with no_cache():`` recurrent layers compute the same, but keep nothing for ``backward``.

    ``RNN.forward``, ``LSTM.forward`` and ``GRU.forward`` then return None in the cache's place,
    and take less time and memory: for the use of a model, like PyTorch's ``no_grad``. It holds for
    the thread that says it, and ends with the block. (A generator that yields within the block
    leaves it on for its caller.)
    """
    before = _caching.set(False)
    try:
        yield
    finally:
        _caching.reset(before)


def caching() -> bool:
    """Whether layers keep what ``backward`` needs: always, except under ``no_cache``."""
    return _caching.get()
