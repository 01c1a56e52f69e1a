"""Attention: every query looks at all steps of a memory, and gets a weighted mean of them.

Axes: S queries, T steps of memory, B batch; features Q of a query, M of the memory, A in between.
The weights come from a score of each query against a *key* made of each step of the memory::

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

from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.cells.initializers import glorot_uniform
from minirnn.engine.products import times, weight_gradients
from minirnn.padding import padding_of, zero_at
from minirnn.protocol import Backward, Forward, quiet


class AttentionCache(NamedTuple):
    """What ``backward`` needs to know of the forward pass, and what is worth looking at."""

    q: np.ndarray  # (S, B, Q)
    m: np.ndarray  # (T, B, M)
    k: np.ndarray  # (T, B, A): keys
    weights: np.ndarray  # (S, B, T): alpha
    kept: Any  # of the score
    past_end: np.ndarray | None  # (T, B) bool
    made_by: str  # the kind and the sizes of the layer


class LuongAttention:
    """Multiplicative attention: queries x (S, B, query_size) to contexts y (S, B, memory_size).

    Parameters: ``W_m`` (memory_size, query_size). The memory (T, B, memory_size) is passed as
    ``state``: it is read and stays as it is, and ``dstate`` is its gradient. ``lengths`` (B,) are
    those of the memory. The weights are in ``cache.weights`` (S, B, T), to be looked at.
    In a ``Seq2Seq`` the query is the decoder's output, *after* its step.
    """

    state_names = ("memory",)
    before_step = False  # whether a Seq2Seq asks before the decoder's step, and tells it the answer

    def __init__(self, query_size, memory_size, rng=None, dtype=np.float64):
        self._set_sizes(query_size, memory_size, query_size, dtype)
        W_m = glorot_uniform(checks.generator(rng), memory_size, query_size)
        self.params = {"W_m": W_m.astype(self.dtype)}

    def _set_sizes(self, query_size, memory_size, attention_size, dtype):
        self.query_size = checks.size(query_size, "query_size", 0)
        self.memory_size = checks.size(memory_size, "memory_size")
        self.attention_size = checks.size(attention_size, "attention_size")
        self.dtype = checks.float_dtype(dtype)

    def keys(self, m):
        """What the queries are compared with, computed once for a memory m: (T, B, A)."""
        k = times(m, self.params["W_m"])
        return k + self.params["b"] if "b" in self.params else k

    def keys_backward(self, dk, m):
        """Returns dm, and the gradients of the parameters that the keys are made with."""
        dW_m, db = weight_gradients(dk, m, 1)
        grads = {"W_m": dW_m}
        if "b" in self.params:
            grads["b"] = db
        return times(dk, self.params["W_m"].T), grads

    def look(self, q, m, k, past_end=None):
        """Contexts (S, B, M) of the queries q (S, B, Q), and the cache."""
        e, kept = self._score(q, k)
        weights = masked_softmax(e, past_end)
        y = np.einsum("sbt,tbm->sbm", weights, m)
        return y, AttentionCache(q, m, k, weights, kept, past_end, self._kind())

    def look_backward(self, dy, cache):
        """Returns dq, dm (but for the part through the keys), dk, and the gradients."""
        q, m, k, alpha, kept, *_ = cache
        dalpha = np.einsum("sbm,tbm->sbt", dy, m)
        dm = np.einsum("sbt,sbm->tbm", alpha, dy)
        de = alpha * (dalpha - np.sum(alpha * dalpha, axis=-1, keepdims=True))
        dq, dk, grads = self._score_backward(de, q, k, kept)
        return dq, dm, dk, grads

    def _score(self, q, k):
        return np.einsum("sba,tba->sbt", q, k), None

    def _score_backward(self, de, q, k, kept):
        return np.einsum("sbt,tba->sba", de, k), np.einsum("sbt,sba->tba", de, q), {}

    @quiet
    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns the contexts y (S, B, M), the memory, and the cache. x, state: see the class."""
        m = checks.array(state, "state", ("T", "B", self.memory_size), self.dtype)
        q = checks.array(x, "x", ("S", m.shape[1], self.query_size), self.dtype)
        past_end = padding_of(lengths, m)
        m = zero_at(past_end, m)
        y, cache = self.look(q, m, self.keys(m), past_end)
        return y, m, cache

    def checked(self, cache):
        """The cache, if it is one of a layer like this."""
        cache = checks.cache_type(cache, AttentionCache)
        if cache.made_by != self._kind():
            raise ValueError(f"cache: made by {cache.made_by}, given to {self._kind()}")
        return cache

    def _kind(self):
        return f"{type(self).__name__} {checks.shape_text(p.shape for p in self.params.values())}"

    @quiet
    def backward(self, dy, cache, dstate=None) -> Backward:
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
    (query_size, attention_size). All else as in ``LuongAttention``, but that in a ``Seq2Seq`` the
    query is the decoder's hidden state *before* its step, which then gets the context as an input.
    """

    before_step = True

    def __init__(self, query_size, memory_size, attention_size, rng=None, dtype=np.float64):
        self._set_sizes(query_size, memory_size, attention_size, dtype)
        Q, M, A, rng = query_size, memory_size, attention_size, checks.generator(rng)
        initial = {"W_m": glorot_uniform(rng, M, A), "b": np.zeros(A)}
        initial["v"] = glorot_uniform(rng, A, 1)[:, 0]
        if Q:  # 0: there is nothing to ask, see pooling
            initial["W_q"] = glorot_uniform(rng, Q, A)
        self.params = {name: p.astype(self.dtype) for name, p in initial.items()}

    def _score(self, q, k):
        a = k.transpose(1, 0, 2)[None]  # (1, B, T, A)
        u = np.tanh(times(q, self.params["W_q"])[:, :, None] + a if "W_q" in self.params else a)
        return np.einsum("sbta,a->sbt", u, self.params["v"]), u

    def _score_backward(self, de, q, k, u):
        dv = np.einsum("sbt,sbta->a", de, u)
        da = de[..., None] * self.params["v"] * (1 - u * u)
        dk, dqW = da.sum(axis=0).transpose(1, 0, 2), da.sum(axis=2)
        if "W_q" not in self.params:
            return q, dk, {"v": dv}
        return times(dqW, self.params["W_q"].T), dk, {"v": dv, "W_q": weight_gradients(dqW, q)[0]}


def masked_softmax(e, past_end=None):
    """Softmax of e (..., B, T) over T, zero where past_end (T, B); zero for an empty sequence."""
    if past_end is not None:
        e = np.where(past_end.T, -np.inf, e)
    largest = e.max(axis=-1, keepdims=True)
    p = np.exp(e - np.where(largest == -np.inf, 0, largest))
    total = p.sum(axis=-1, keepdims=True)
    return p / np.where(total == 0, 1, total)
