"""What a layer is: a dictionary of parameters and two functions. There is no base class to inherit.

Any object with ``params``, ``forward`` and ``backward`` can be trained by ``fit``, stacked in a
``Sequential`` and gradient-checked. More members are optional; each makes one more thing work, and
``OPTIONAL`` lists them with what is assumed of a layer that does not have them. A complete cell is
in ``tests/test_protocol.py``.
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


# What can be given for an array of numbers. (NumPy's own ArrayLike includes texts.)
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
    """One layer or a whole model. Axes: T time, B batch; x is (T, B, D), or as the layer says."""

    @property
    def params(self) -> Mapping[str, Array]:
        """The parameters by name; optimizers change the arrays in place. An array that is used at
        several places is one parameter, and its gradient is the sum over the places."""
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

        lengths: (B,), for padded sequences. Past the end of a sequence its state stays as it is,
            its y is zero, and what x holds does not matter.
        training, rng: for layers that draw random numbers while training.
        """
        ...

    def backward(self, dy: Any, cache: Any, dstate: State = None) -> Backward:
        """Given dy and the gradient of the final state (None for zeros), returns dx (None where x
        holds tokens), the gradient of the initial state, and those of the parameters, under the
        same names as in ``params``.
        """
        ...


# Members that a layer may have, and what is assumed where it has none.
OPTIONAL: dict[str, Any] = {
    # step(x, state=None, params=None) -> (y, state): one time step, x (B, D). With params, a
    # dictionary used in place of the layer's own, it must also compute with complex numbers.
    # Enables: streaming, fast sampling, gradcheck with method="complex".
    "step": None,
    # The names of the arrays in the state, in their order; the first is the layer's output.
    # Enables: names in gradcheck; with zero_state also ``trace``.
    "state_names": (),
    # zero_state(B) -> the state that forward starts from, for B sequences.
    # Enables: ``trace``, ``rtrl``, ``jacobians``, a decoder in a Seq2Seq.
    "zero_state": None,
    # True: while training, ``forward`` draws a state if it is given none, such as a mask for the
    # whole sequence. There is no zero_state then. Enables: truncated BPTT, whose windows overlap,
    # goes on with the state that was drawn.
    "draws_state": False,
    # True: without a state ``forward`` starts from parameters, not from zeros. Enables: gradcheck
    # checks these; what always gives a state, such as a Seq2Seq to its decoder, refuses the layer.
    "learns_state": False,
    # One letter for each block of columns in the parameters. A block has hidden_size columns.
    # Enables: gradcheck says which gate is wrong; ``trace`` shows da_i, da_f, ... from grads["b"].
    "gates": (),
    # The gates that keep the old state, each with the sign of the bias with which it does: of an
    # LSTM (("f", 1), ("i", -1)). Enables: ``initializers.chrono``.
    "keeping": (),
    "hidden_size": None,
    # gate_values(cache) -> {"i": (T, B, H), ...}. Enables: gates in ``trace``.
    "gate_values": None,
    # output_shape(x) -> the shape of y for an x of this shape, such as ("T", "B", 3). Letters are
    # sizes that are not known. Where nothing is known, x is None; the answer may be None too.
    # Raises ValueError where x does not fit. Enables: a wrong model is refused when it is built,
    # not when it is first called; its table shows shapes.
    "output_shape": None,
    # False: the layer needs the whole sequence at once. Then truncated BPTT, Checkpoint and
    # ``sample`` refuse it.
    "streams": True,
    # Of attention: whether it looks at its memory before the decoder's step. Enables: attention in
    # a Seq2Seq. Every other container refuses a layer that has it, as it has no memory to give.
    "before_step": None,
    # The layers that this one is made of, by name. The state is then a list with one entry for
    # each, and their parameters are named "part.name".
    "parts": {},
    # part_shapes(x) -> ({part: the shape that it gets}, the shape of y), for a layer with parts.
    # Enables: the shapes of the parts in the model's table.
    "part_shapes": None,
}
# To be saved and shown, a layer keeps each argument of its constructor (except rng) as an attribute
# of the same name; see ``minirnn.description``.


def is_layer(value: Any) -> bool:
    """Whether a value has the two functions of a layer."""
    return hasattr(value, "forward") and hasattr(value, "backward") and not isinstance(value, type)


def check_layer(value: Any, name: str = "model") -> None:
    """Raise TypeError unless the value is a layer."""
    if not is_layer(value):
        raise TypeError(f"{name}: expected a layer, with forward and backward, got {value!r:.80}")


def check_logits(model: Any, function: str | None, user: str) -> None:
    """Raise ValueError if a model ends in the function that its user applies to the output."""
    last = model
    while parts := optional(last, "parts"):
        last = parts.get("output", list(parts.values())[-1])
    if function is not None and getattr(last, "function", None) == function:
        raise ValueError(
            f"model: expected logits, as {user} takes the {function} itself, got what {last!r} "
            "makes of them; leave that layer out"
        )


def optional(layer: Any, name: str) -> Any:
    """An optional member of a layer, or what is assumed where the layer does not have it."""
    return getattr(layer, name, OPTIONAL[name])


def require(layer: Any, member: str, user: str, place: str = "model: ") -> Any:
    """An optional member without which ``user`` cannot work. Raises TypeError if it is missing."""
    value = optional(layer, member)
    if value is None or value == ():
        raise TypeError(f"{place}{type(layer).__name__} has no {member}, which {user} needs")
    return value


Shape: TypeAlias = tuple[int | str, ...]


def output_shape(layer: Any, x: Shape | None) -> Shape | None:
    """The shape of a layer's output for an x of this shape; None where it is not known."""
    own = optional(layer, "output_shape")
    return None if own is None else own(x)


def output_shape_of_any(layer: Any) -> Shape | None:
    """The shape of a layer's output if its input is not known, since the layer before it has no
    ``output_shape``. None where it depends on the input: a Linear makes (T, B, K) or (B, K)."""
    y = output_shape(layer, None)
    try:
        return y if output_shape(layer, ("B", "D")) == y else None
    except ValueError:  # it takes sequences only
        return y


def fitting(x: Shape | None, *expected: Shape) -> Shape:
    """The one of the expected shapes that x has; the first of them if x is not known. A letter
    stands for any size. Raises ValueError if x has none of them."""
    for shape in expected:
        if x is None or (len(x) == len(shape) and all(map(_may_be_equal, x, shape))):
            return shape
    got = () if x is None else x
    same_axes = [shape for shape in expected if len(shape) == len(got)] or expected
    text = " or ".join(checks.shape_text(shape) for shape in same_axes)
    raise ValueError(f"x: expected shape {text}, got {checks.shape_text(got)}")


def _may_be_equal(n: int | str, m: int | str) -> bool:
    return isinstance(n, str) or isinstance(m, str) or n == m


# ---- States -------------------------------------------------------------------------------------


def map_tree(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply a function to the arrays of a state, or of several of the same form."""
    if trees[0] is None:
        return None
    if isinstance(trees[0], (tuple, list)):
        return type(trees[0])(map_tree(function, *parts) for parts in zip(*trees, strict=True))
    return function(*trees)


def leaves(tree: Any) -> list[Array]:
    """The arrays of a state, in their order."""
    arrays: list[Array] = []
    map_tree(arrays.append, tree)
    return arrays


def named_leaves(layer: Any, state: State) -> Iterator[tuple[str, Array]]:
    """The arrays of a state with their names: h, c; of a model 0.h, 0.c, 1.h, ..."""
    parts = optional(layer, "parts")
    if parts and state is not None:
        for (name, part), s in zip(parts.items(), state, strict=True):
            yield from ((f"{name}.{leaf}", a) for leaf, a in named_leaves(part, s))
    else:
        arrays = leaves(state)
        names = optional(layer, "state_names") or [f"state{k}" for k in range(len(arrays))]
        yield from zip(names, arrays, strict=False)


def zero_state(layer: Any, B: int) -> State:
    """The initial state of a layer for B sequences; None for a layer without a state."""
    own = optional(layer, "zero_state")
    return None if own is None else own(checks.size(B, "B"))


def keep_drawn(layer: Any, state: State, final: State) -> State:
    """The initial state, with what ``forward`` has drawn in place of a missing one. That is still
    in ``final``, the state after ``forward``."""
    parts = optional(layer, "parts")
    if parts and isinstance(final, (list, tuple)):
        states = [None] * len(parts) if state is None else state
        return [keep_drawn(*of_part) for of_part in zip(parts.values(), states, final, strict=True)]
    return final if state is None and optional(layer, "draws_state") else state


def without_drawn(layer: Any, state: State) -> State:
    """The state with None in place of what ``forward`` has drawn."""
    parts = optional(layer, "parts")
    if parts and isinstance(state, (list, tuple)):
        return [without_drawn(*of_part) for of_part in zip(parts.values(), state, strict=True)]
    return None if optional(layer, "draws_state") else state


def learns_state(layer: Any) -> bool:
    """Whether a layer, or one within it, starts from a state that is learned."""
    parts = optional(layer, "parts").values()
    return bool(optional(layer, "learns_state")) or any(map(learns_state, parts))


def without_learned(layer: Any, state: State) -> State:
    """The state with None in place of what can be learned."""
    if optional(layer, "learns_state"):
        return None
    parts = optional(layer, "parts")
    if parts and isinstance(state, (list, tuple)):
        return [without_learned(*of_part) for of_part in zip(parts.values(), state, strict=True)]
    return state


def without_step(layer: Any) -> str:
    """The kind of a part that has no one-step function; empty if all have one."""
    for part in optional(layer, "parts").values():
        if without_step(part):
            return without_step(part)
    return "" if optional(layer, "step") else type(layer).__name__


def check_streaming(model: Any) -> None:
    """Raise ValueError unless the model can take a sequence in pieces."""
    check_layer(model)
    for part in optional(model, "parts").values():
        check_streaming(part)
    if not optional(model, "streams"):
        kind = type(model).__name__
        raise ValueError(f"model: {kind} needs the whole sequence, and cannot take it in pieces")


def check_streams(model: Any, x: Array, target: Array) -> None:
    """Raise ValueError unless the model can take x in pieces, with a target for every step."""
    check_streaming(model)
    if x.ndim < 2 or target.shape[:2] != x.shape[:2]:
        raise ValueError(f"target: expected one a step, {x.shape[:2]}, got shape {target.shape}")


# ---- Without caches -----------------------------------------------------------------------------

# Whether layers keep what ``backward`` needs: always, except under ``no_cache``.
caching: contextvars.ContextVar[bool] = contextvars.ContextVar("caching", default=True)


@contextlib.contextmanager
def no_cache() -> Iterator[None]:
    """``with no_cache():`` recurrent layers compute the same, but keep nothing for ``backward``.

    ``RNN.forward``, ``LSTM.forward`` and ``GRU.forward`` then return None in place of the cache,
    and take less time and memory. This is for the use of a trained model, like PyTorch's
    ``no_grad``. It holds for the current thread until the end of the block. (A generator that
    yields within the block leaves it on for its caller.)
    """
    before = caching.set(False)
    try:
        yield
    finally:
        caching.reset(before)
