"""Gradient checkpointing through time (Chen et al. 2016; Gruslys et al. 2016): memory for time.

BPTT keeps the gates of every step until the backward pass. For a very long sequence that is too
much. Here the sequence is run in pieces, and only the states between them are kept. ``backward``
goes from the last piece to the first, and runs each forward once more to get its cache::

    forward     piece 0  s1  piece 1  s2  piece 2            keeps x and the states
    backward    piece 2 again from s2, and back;  piece 1 again from s1, and back;  ...

The result is that of BPTT, except for the rounding of the sum over the steps. Random numbers are
drawn again as they were drawn first, and a mask for a whole sequence is one mask for all pieces,
since it is a part of the state. Besides x and y, it needs memory for ``T / every`` states and for
the cache of one piece. The price is one more forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, PartShapes
from minirnn.protocol import (
    Array,
    Layer,
    Numbers,
    Seed,
    Shape,
    State,
    check_streaming,
    map_tree,
    no_cache,
    require,
)


class CheckpointCache(NamedTuple):
    """What ``Checkpoint.backward`` needs to know of the forward pass."""

    x: Array  # (T, B, ...)
    states: list[Any]  # at the beginning of each piece, and the final one
    seeds: list[int]  # of each piece
    lengths: Array  # (B,)
    training: bool
    shape: tuple[int, ...]  # of y


class Checkpoint(Container):
    """A model run in pieces of ``every`` steps: x (T, B, ...) to y (T, B, K), as the model does.

    model: any that can go on from a state, with an output at every step. The state is a list with
    one entry, that of the model.
    """

    def __init__(self, model: Layer, every: int) -> None:
        super().__init__(model=model)
        self.every = checks.size(every, "every")
        check_streaming(model)
        self.part_shapes(None)

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shape that the model gets, and the shape of y."""
        y = self.part_output("model", x)
        if y is not None and len(y) != 3:
            text = checks.shape_text(y)
            raise ValueError(f"model: expected an output at every step (T, B, K), got {text}")
        return {"model": x}, y

    def _pieces(self, T: int) -> list[slice]:
        return [slice(t, min(t + self.every, T)) for t in range(0, T, self.every)]

    def forward(
        self,
        x: Numbers,
        state: State = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, list[State], CheckpointCache]:
        """Returns y, the final state, and the cache. Arguments as for the model."""
        x = checks.one_array(x, "x")
        (state,) = self.split(state, "state")
        if x.ndim < 2:
            raise ValueError(f"x: expected a sequence (T, B, ...), got shape {x.shape}")
        lengths = checks.lengths(lengths, *x.shape[:2])
        # What a piece draws must be drawn again in backward, so each has its own seed.
        rng = checks.generator(rng)
        states: list[State] = [state]
        seeds: list[int] = []
        for piece in self._pieces(len(x)):
            seeds.append(int(rng.integers(2**63)))
            with no_cache():
                y_piece, state, _ = self._run(x, piece, states[-1], lengths, training, seeds[-1])
            # Copies, since what forward returns may be a view of its cache.
            states.append(map_tree(np.copy, state))
            if piece.start == 0:
                y = np.empty((len(x), *y_piece.shape[1:]), y_piece.dtype)
            y[piece] = y_piece
        cache = CheckpointCache(x, states, seeds, lengths, training, y.shape)
        return y, [states[-1]], cache

    def _run(
        self,
        x: Array,
        piece: slice,
        state: State,
        lengths: Array,
        training: bool,
        seed: int,
    ) -> Any:
        rest = np.clip(lengths - piece.start, 0, piece.stop - piece.start)
        with self.at("model") as model:
            return model.forward(x[piece], state, rest, training, seed)

    def backward(
        self, dy: Numbers | None, cache: CheckpointCache, dstate: State = None
    ) -> tuple[Any, list[State], dict[str, Array]]:
        """Returns dx, the gradient of the initial state, and those of the parameters."""
        x, states, seeds, lengths, training, shape = checks.cache_type(cache, CheckpointCache)
        (dstate,) = self.split(dstate, "dstate")
        dy = None if dy is None else checks.gradient(dy, shape)
        dxs = []
        total = {name: np.zeros_like(p) for name, p in self.params.items()}
        pieces = self._pieces(len(x))
        for k in reversed(range(len(pieces))):
            _, _, again = self._run(x, pieces[k], states[k], lengths, training, seeds[k])
            dy_piece = None if dy is None else dy[pieces[k]]
            with self.at("model") as model:
                dx, dstate, grads = model.backward(dy_piece, again, dstate)
            dxs.append(dx)
            for name, g in grads.items():
                total[f"model.{name}"] += g
        return None if dxs[0] is None else np.concatenate(dxs[::-1]), [dstate], total

    def step(
        self, x: Numbers, state: State = None, params: Mapping[str, Array] | None = None
    ) -> tuple[Array, list[State]]:
        """One time step of the model."""
        (state,) = self.split(state, "state")
        with self.at("model") as model:
            step = require(model, "step", "Checkpoint.step", "")
            y, state = step(x, state, self.own_params(params, "model"))
        return y, [state]
