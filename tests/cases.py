"""Random points for the layers of the catalogue: no zeros that could hide an error."""

import numpy as np

from minirnn.cells.common import Cell
from minirnn.checking.catalogue import LAYERS, example, make
from minirnn.protocol import leaves as arrays
from minirnn.protocol import map_tree as tree

CELLS = [name for name in LAYERS if isinstance(make(name), Cell)]
# Those with a state and an output at every step.
RECURRENT = [*CELLS, "ProjectedLSTM", "GRU LSTM Linear"]


def randomised(name, seed=0, D=2, H=3, dtype="float64", scale=0.7):
    """The layer with all its parameters drawn at random, biases and peepholes too."""
    rng = np.random.default_rng(seed)
    layer = make(name, D, H, rng=rng, dtype=dtype)
    for p in layer.params.values():
        p[...] = scale * rng.normal(size=p.shape)
    layer.catalogue_name = name
    return layer


def point(layer, T=4, B=3, D=2, seed=1):
    """x, an initial state, dy and dstate for the layer."""
    rng = np.random.default_rng(seed)
    x, given, _ = example(getattr(layer, "catalogue_name", ""), rng, T, B, D, layer_hidden(layer))
    y, state, _ = layer.forward(x, given)

    def draw(s):
        return rng.normal(size=s.shape)

    return x, tree(draw, state), draw(y), tree(draw, state)


def layer_hidden(layer):
    return getattr(layer, "memory_size", 3)


def same(a, b, tol=1e-13):
    """Whether two results, nested in any way, are equal up to rounding."""
    flat_a, flat_b = flatten(a), flatten(b)
    assert len(flat_a) == len(flat_b)
    for u, v in zip(flat_a, flat_b, strict=True):
        np.testing.assert_allclose(u, v, rtol=tol, atol=tol)


def flatten(result):
    if result is None:
        return []
    if isinstance(result, dict):
        return [leaf for name in sorted(result) for leaf in flatten(result[name])]
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in flatten(part)]
    return [np.asarray(result)]


__all__ = ["CELLS", "RECURRENT", "arrays", "flatten", "point", "randomised", "same", "tree"]
