"""Attention: every query looks at all steps of a memory, and gets a weighted mean of them.

Axes: S queries, T steps of memory, B batch; features Q of a query, M of the memory, A in between.
The weights come from a score of each query against the *key* of each step of the memory::

    k[t] = m[t] W_m                                 (additive: + b)
    e[s,t] = score(q[s], k[t])
    alpha[s] = softmax(e[s]) over the valid t       0 for those past the memory's end
    y[s] = sum_t alpha[s,t] m[t]                    the "context"

    additive (Bahdanau et al. 2015)                 score = v . tanh(q[s] W_q + k[t])
    multiplicative (Luong et al. 2015, "general")   score = q[s] . k[t]

Backward, line by line from the last (``dname``: derivative of the loss with respect to ``name``)::

    dalpha[s,t] = dy[s] . m[t]                      dm[t] = sum_s alpha[s,t] dy[s]
    de[s,t] = alpha[s,t] (dalpha[s,t] - sum_t' alpha[s,t'] dalpha[s,t'])
    multiplicative:  dq[s] = sum_t de[s,t] k[t]     dk[t] = sum_s de[s,t] q[s]
    additive, with u = tanh(...):    dv = sum de u       da = de v * (1 - u^2)
                     dq[s] = sum_t da[s,t] W_q^T         dW_q = sum q[s]^T da[s,t]
                     dk[t] = sum_s da[s,t]
    dm[t] += dk[t] W_m^T     dW_m = sum_t m[t]^T dk[t]     db = sum_t dk[t]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.cells.initializers import glorot_uniform
from minirnn.description import Shown
from minirnn.engine.products import times, weight_gradients
from minirnn.padding import padding_of, zero_at
from minirnn.protocol import Array, Backward, Numbers, Seed, Shape, fitting, quiet

Grads = dict[str, Array]


class AttentionCache(NamedTuple):
    """What ``backward`` needs to know of the forward pass, and the weights, to be looked at."""

    q: Array  # (S, B, Q)
    m: Array  # (T, B, M)
    k: Array  # (T, B, A): keys
    weights: Array  # (S, B, T): alpha
    u: Array | None  # additive: (S, B, T, A), the tanh of the score
    past_end: Array | None  # (T, B) bool
    made_by: str  # the kind and the sizes of the layer


class LuongAttention(Shown):
    """Multiplicative attention: queries x (S, B, query_size) to contexts y (S, B, memory_size).

    Parameters: ``W_m`` (memory_size, query_size). The memory (T, B, memory_size) is passed as
    ``state``: it is read and stays as it is, and ``dstate`` is its gradient. ``lengths`` (B,) are
    those of the memory. The weights are in ``cache.weights`` (S, B, T).
    In a ``Seq2Seq`` the query is the decoder's output, *after* its step.
    """

    state_names: tuple[str, ...] = ("memory",)
    before_step: bool | None = False  # in a Seq2Seq: whether it looks before the decoder's step

    def __init__(
        self, query_size: int, memory_size: int, rng: Seed = None, dtype: DTypeLike = np.float64
    ) -> None:
        self._set_sizes(query_size, memory_size, query_size, dtype)
        W_m = glorot_uniform(checks.generator(rng), memory_size, query_size)
        self._set_params({"W_m": W_m})

    def _set_sizes(
        self, query_size: int, memory_size: int, attention_size: int, dtype: DTypeLike
    ) -> None:
        self.query_size = checks.size(query_size, "query_size", 0)
        self.memory_size = checks.size(memory_size, "memory_size")
        self.attention_size = checks.size(attention_size, "attention_size")
        self.dtype = checks.float_dtype(dtype)

    def _set_params(self, initial: Grads) -> None:
        self.params = {name: p.astype(self.dtype) for name, p in initial.items()}
        self.param_shapes = {name: p.shape for name, p in self.params.items()}

    def _checked_params(self) -> Grads:
        shapes = self.param_shapes
        return dict(zip(shapes, checks.params(self, shapes), strict=True))

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("S", "B", self.query_size))
        return "S", "B", self.memory_size

    def keys(self, m: Array) -> Array:
        """What the queries are compared with, computed once for a memory m: (T, B, A)."""
        p = self._checked_params()
        k = times(m, p["W_m"])
        return k + p["b"] if "b" in p else k

    def keys_backward(self, dk: Array, m: Array) -> tuple[Array, Grads]:
        """Returns dm, and the gradients of the parameters that the keys are computed with."""
        dW_m, db = weight_gradients(dk, m, 1)
        grads = {"W_m": dW_m}
        if "b" in self.params:
            grads["b"] = db
        return times(dk, self._checked_params()["W_m"].T), grads

    def look(
        self, q: Array, m: Array, k: Array, past_end: Array | None = None
    ) -> tuple[Array, AttentionCache]:
        """Contexts (S, B, M) of the queries q (S, B, Q), and the cache."""
        e, u = self._score(q, k)
        weights = masked_softmax(e, past_end)
        y = np.einsum("sbt,tbm->sbm", weights, m)
        return y, AttentionCache(q, m, k, weights, u, past_end, self._kind())

    def look_backward(self, dy: Array, cache: AttentionCache) -> tuple[Array, Array, Array, Grads]:
        """Returns dq, dm (without the part through the keys), dk, and the gradients."""
        q, m, k, alpha, u, *_ = cache
        dalpha = np.einsum("sbm,tbm->sbt", dy, m)
        dm = np.einsum("sbt,sbm->tbm", alpha, dy)
        de = alpha * (dalpha - np.sum(alpha * dalpha, axis=-1, keepdims=True))
        dq, dk, grads = self._score_backward(de, q, k, u)
        return dq, dm, dk, grads

    def _score(self, q: Array, k: Array) -> tuple[Array, Array | None]:
        """The scores e (S, B, T), and what ``_score_backward`` needs of the way to them."""
        return np.einsum("sba,tba->sbt", q, k), None

    def _score_backward(self, de: Array, q: Array, k: Array, u: Any) -> tuple[Array, Array, Grads]:
        """Returns dq, dk, and the gradients of the score's own parameters."""
        return np.einsum("sbt,tba->sba", de, k), np.einsum("sbt,sba->tba", de, q), {}

    @quiet
    def forward(
        self,
        x: Numbers,
        state: Any = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, Any, AttentionCache]:
        """Returns the contexts y (S, B, M), the memory, and the cache. x, state: see the class."""
        if state is None:
            raise TypeError(f"state: expected the memory (T, B, {self.memory_size}), got None")
        m = checks.array(state, "state", ("T", "B", self.memory_size), self.dtype)
        q = checks.array(x, "x", ("S", m.shape[1], self.query_size), self.dtype)
        past_end = padding_of(lengths, m)
        m = zero_at(past_end, m)
        y, cache = self.look(q, m, self.keys(m), past_end)
        return y, m, cache

    def checked(self, cache: AttentionCache) -> AttentionCache:
        """The cache; ValueError if a layer of another kind or size made it."""
        cache = checks.cache_type(cache, AttentionCache)
        if cache.made_by != self._kind():
            raise ValueError(f"cache: made by {cache.made_by}, given to {self._kind()}")
        return cache

    def _kind(self) -> str:
        return f"{type(self).__name__} {checks.shape_text(p.shape for p in self.params.values())}"

    @quiet
    def backward(self, dy: Numbers | None, cache: AttentionCache, dstate: Any = None) -> Backward:
        """Returns the gradients of the queries, of the memory, and of the parameters."""
        q, m, _, _, _, past_end, _ = self.checked(cache)
        dy = checks.gradient(dy, (*q.shape[:2], m.shape[-1]), self.dtype)
        dq, dm, dk, grads = self.look_backward(dy, cache)
        dm_keys, grads_keys = self.keys_backward(dk, m)
        dm += dm_keys
        if dstate is not None:
            dm += checks.array(dstate, "dstate", m.shape, self.dtype)
        grads |= grads_keys
        return dq, zero_at(past_end, dm), {name: grads[name] for name in self.params}


class BahdanauAttention(LuongAttention):
    """Additive attention: queries x (S, B, query_size) to contexts y (S, B, memory_size).

    Parameters: ``W_m`` (memory_size, attention_size), ``b`` and ``v`` (attention_size,), ``W_q``
    (query_size, attention_size). Everything else is as in ``LuongAttention``, except that in a
    ``Seq2Seq`` the query is the decoder's hidden state *before* its step. The step then gets the
    context as an input.
    """

    before_step: bool | None = True

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        attention_size: int,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        self._set_sizes(query_size, memory_size, attention_size, dtype)
        Q, M, A, rng = self.query_size, memory_size, attention_size, checks.generator(rng)
        initial = {"W_m": glorot_uniform(rng, M, A), "b": np.zeros(A)}
        initial["v"] = glorot_uniform(rng, A, 1)[:, 0]
        if Q:  # with 0 there is no query, see pooling
            initial["W_q"] = glorot_uniform(rng, Q, A)
        self._set_params(initial)

    def _score(self, q: Array, k: Array) -> tuple[Array, Array]:
        a = k.transpose(1, 0, 2)[None]  # (1, B, T, A)
        p = self._checked_params()
        u = np.tanh(times(q, p["W_q"])[:, :, None] + a if "W_q" in p else a)
        return np.einsum("sbta,a->sbt", u, p["v"]), u

    def _score_backward(
        self, de: Array, q: Array, k: Array, u: Array
    ) -> tuple[Array, Array, Grads]:
        p = self._checked_params()
        dv = np.einsum("sbt,sbta->a", de, u)
        da = de[..., None] * p["v"] * (1 - u * u)
        dk, dqW = da.sum(axis=0).transpose(1, 0, 2), da.sum(axis=2)
        if "W_q" not in p:  # q has no features, and so has its gradient
            return q, dk, {"v": dv}
        return times(dqW, p["W_q"].T), dk, {"v": dv, "W_q": weight_gradients(dqW, q)[0]}


def masked_softmax(e: Array, past_end: Array | None = None) -> Array:
    """Softmax of e (..., B, T) over T, zero where past_end (T, B); zero for an empty sequence."""
    if past_end is not None:
        e = np.where(past_end.T, -np.inf, e)
    largest = e.max(axis=-1, keepdims=True)
    p = np.exp(e - np.where(largest == -np.inf, 0, largest))
    total = p.sum(axis=-1, keepdims=True)
    return p / np.where(total == 0, 1, total)
