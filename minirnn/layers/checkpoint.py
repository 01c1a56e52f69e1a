"""Gradient checkpointing through time (Chen et al. 2016; Gruslys et al. 2016): memory for time.

BPTT keeps every step's gates until the backward pass comes by. For a very long sequence that is too
much. Here it is run in pieces, of which only the states between them are kept; ``backward`` goes
from the last piece to the first, and runs each forward once more to have its cache::

    forward     piece 0  s1  piece 1  s2  piece 2            keeps x and the states
    backward    piece 2 again from s2, and back;  piece 1 again from s1, and back;  ...

The result is BPTT's, but for the rounding of the sum over the steps. Beside x and y, the memory is
that of ``T / every`` states and of one piece's cache; the price is one forward pass more.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container
from minirnn.protocol import Backward, Forward, check_streams, map_tree, no_cache


class CheckpointCache(NamedTuple):
    """What ``Checkpoint.backward`` needs to know of the forward pass."""

    x: np.ndarray  # (T, B, ...)
    states: list[Any]  # at the beginning of each piece, and the final one
    seeds: list[int | None]  # of each piece
    lengths: np.ndarray  # (B,)
    training: bool
    shape: tuple[int, ...]  # of y


class Checkpoint(Container):
    """A model run in pieces of ``every`` steps: x (T, B, ...) to y (T, B, K), as the model does.

    model: any that can run on from a state, with an output at every step.
    """

    def __init__(self, model, every):
        super().__init__(model=model)
        self.every = checks.size(every, "every")

    def _pieces(self, T):
        return [slice(t, min(t + self.every, T)) for t in range(0, T, self.every)]

    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, the final state, and the cache. Arguments as for the model."""
        x = checks.numbers(x, "x")
        (state,) = self.split(state, "state")
        check_streams(self.parts["model"], x, x)  # x also as the target: only (T, B) matters
        lengths = checks.lengths(lengths, *x.shape[:2])
        # A dropout must draw the same again in backward: each piece has a seed of its own.
        rng = None if rng is None else checks.generator(rng)
        states, seeds = [state], []
        for piece in self._pieces(len(x)):
            seeds.append(None if rng is None else int(rng.integers(2**63)))
            with no_cache():
                y_piece, state, _ = self._run(x, piece, states[-1], lengths, training, seeds[-1])
            # Copies, since what forward returns may be a view of its cache.
            states.append(map_tree(np.copy, state))
            if piece.start == 0:
                y = np.empty((len(x), *y_piece.shape[1:]), y_piece.dtype)
            y[piece] = y_piece
        cache = CheckpointCache(x, states, seeds, lengths, training, y.shape)
        return y, [states[-1]], cache

    def _run(self, x, piece, state, lengths, training, seed):
        left = np.clip(lengths - piece.start, 0, piece.stop - piece.start)
        return self.parts["model"].forward(x[piece], state, left, training, seed)

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx, the gradient of the initial state, and those of the parameters."""
        x, states, seeds, lengths, training, shape = checks.cache_type(cache, CheckpointCache)
        (dstate,) = self.split(dstate, "dstate")
        dy = None if dy is None else checks.gradient(dy, shape)
        model, dxs = self.parts["model"], []
        total = {name: np.zeros_like(p) for name, p in self.params.items()}
        pieces = self._pieces(len(x))
        for k in reversed(range(len(pieces))):
            _, _, again = self._run(x, pieces[k], states[k], lengths, training, seeds[k])
            dx, dstate, grads = model.backward(None if dy is None else dy[pieces[k]], again, dstate)
            dxs.append(dx)
            for name, g in grads.items():
                total[f"model.{name}"] += g
        return None if dxs[0] is None else np.concatenate(dxs[::-1]), [dstate], total

    def step(self, x, state=None, params=None):
        """One time step of the model."""
        (state,) = self.split(state, "state")
        y, state = self.parts["model"].step(x, state, self.own_params(params, "model"))
        return y, [state]
