"""Where a random model is tried: its parameters, an input, the gradient of its output; and how two
results are compared."""

from __future__ import annotations

import re

import numpy as np
from cases import flatten
from models import TOKENS, WHOLE, Case, V
from sketches import build, kinds

from minirnn.protocol import map_tree

SKIPPED, REFUSED = "skipped", "refused"
# An error says where it is: the place of a layer, or the name of an argument.
PLACED = re.compile(r"^(layer [\w.]+, .*|[\w\[\].']+( \w+)?): .", re.DOTALL)
# Words of NumPy and Numba, and of Python about what is no layer.
FOREIGN = re.compile("broadcast|inhomogeneous|mismatch|einsum|concatenat|object|numba|axis|reshape")


def model_of(case: Case):
    model, rng = build(case.model), np.random.default_rng(case.seed)
    for p in model.params.values():
        p[...] = 0.6 * rng.normal(size=p.shape)
    return model


def input_of(case: Case):
    """x; the padding holds what must not matter."""
    rng = np.random.default_rng(case.seed + 100)
    T, B, S, lengths = case.T, case.B, case.S, case.lengths

    def sequence(*shape, ends=None):
        x = rng.integers(0, V, shape) if case.D == TOKENS else rng.normal(size=(*shape, case.D))
        if ends is not None:
            x[np.arange(len(x)).reshape(-1, *[1] * (len(shape) - 1)) >= np.asarray(ends)] = (
                99 if case.D == TOKENS else np.nan
            )
        return x

    if case.reads == "documents":
        return sequence(T, S, B, ends=None if lengths is None else lengths[0])
    if case.reads == "translation":
        target = rng.integers(0, V, (S, B))
        return sequence(T, B, ends=None if lengths is None else lengths[0]), target
    if case.reads == "pair":
        return sequence(T, B, ends=lengths), rng.normal(size=(T, B, case.K))
    return sequence(S, B) if case.reads == "queries" else sequence(T, B, ends=lengths)


def start_of(case: Case):
    """The initial state: None, or the memory that attention looks at."""
    if case.reads != "queries":
        return None
    rng = np.random.default_rng(case.seed + 400)
    return rng.normal(size=(case.T, case.B, case.model.args[1]))


def lengths_of(case: Case):
    return map_tree(np.asarray, _nested(case.lengths))


def _nested(lengths):
    """The lengths with lists for the arrays that they become."""
    if lengths is None or isinstance(lengths[0], int):
        return None if lengths is None else np.array(lengths)
    return tuple(np.array(part) for part in lengths)


def gradients_like(case: Case, *trees):
    rng = np.random.default_rng(case.seed + 200)
    return [map_tree(lambda a: rng.normal(size=a.shape).astype(a.dtype), tree) for tree in trees]


def tolerance(case: Case):
    return 2e-4 if "float32" in repr(case.model) else 1e-10


def close(case: Case, a, b, what=""):
    for u, v in zip(flatten(a), flatten(b), strict=True):
        tol = tolerance(case) * max(1, np.abs(v).max(initial=0))
        np.testing.assert_allclose(u, v, rtol=0, atol=tol, err_msg=what)


def equal(a, b, what=""):
    for u, v in zip(flatten(a), flatten(b), strict=True):
        assert u.dtype == v.dtype, f"{what}: {u.dtype}, {v.dtype}"
        np.testing.assert_array_equal(u, v, err_msg=what)


def streams(case: Case) -> bool:
    words = set(re.findall(r"\w+", kinds(case.model)))
    return not words & set(WHOLE) and case.reads != "pair"


def alone(case: Case, x, b: int):
    """Sequence b of the batch by itself, without padding: x and lengths; None if it is empty."""
    lengths = case.lengths
    if case.reads == "documents":
        words, n = (np.full((case.S, case.B), case.T), np.full(case.B, case.S))
        if lengths is not None:
            words, n = map(np.asarray, lengths)
        if n[b] == 0:
            return None
        own = words[: n[b], b : b + 1]
        return (x[: max(own.max(), 1), : n[b], b : b + 1], (own, n[b : b + 1])) if lengths else (
            x[:, :, b : b + 1], None)  # fmt: skip
    if case.reads == "translation":
        source, target = x
        n, s = (case.T, case.S) if lengths is None else (lengths[0][b], lengths[1][b])
        return None if n == 0 or s == 0 else ((source[:n, b : b + 1], target[:s, b : b + 1]), None)
    n = case.T if lengths is None else lengths[b]
    if case.reads == "queries":
        return None if n == 0 else (x[:, b : b + 1], None)
    part = map_tree(lambda a: a[:n, b : b + 1], x)
    return None if n == 0 else (part, None)


def row(tree, b):
    """Sequence b of a state; in a memory (T, B, M) the batch is the second axis."""
    return map_tree(lambda a: a[b : b + 1] if a.ndim < 3 else a[:, b : b + 1], tree)


def loss_of(case: Case, y):
    """A target for the model's output, the same for every way of cutting the data."""
    return np.random.default_rng(case.seed + 300).normal(size=y.shape).astype(y.dtype)


def valid_steps(case: Case, y):
    """How many targets of each sequence count."""
    if y.ndim == 2 or case.lengths is None or case.reads == "queries":
        return np.full(y.shape[-2], len(y) if y.ndim == 3 else 1)
    return np.asarray(case.lengths[1] if isinstance(case.lengths[0], tuple) else case.lengths)


def refused(error):
    assert PLACED.match(str(error)), f"an error without a place: {error}"
    return REFUSED
