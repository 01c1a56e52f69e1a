"""A sequence as the weighted mean of its steps, and documents as sequences of sentences.

Hierarchical attention (Yang et al. 2016) reads the words of each sentence, pools them into one row
of numbers, reads the sentences' rows in turn, and pools those. Axes: T time, B batch, D features, A
attention units. The pooling is additive attention with a single learned query v::

    u[t] = tanh(x[t] W + b)      alpha = softmax over the valid t of u[t] . v
    y = sum_t alpha[t] x[t]

Backward::

    dalpha[t] = dy . x[t]        de[t] = alpha[t] (dalpha[t] - sum_t' alpha[t'] dalpha[t'])
    dv = sum_t de[t] u[t]        da[t] = de[t] v * (1 - u[t]^2)
    dx[t] = alpha[t] dy + da[t] W^T      dW = sum_t x[t]^T da[t]      db = sum_t da[t]
"""

from typing import NamedTuple

import numpy as np

from minirnn import checks
from minirnn.initializers import glorot_uniform
from minirnn.layers.attention import masked_softmax
from minirnn.layers.container import Container, join
from minirnn.products import bias_gradient, quiet, times, weight_gradient
from minirnn.protocol import Backward, Forward


class PoolCache(NamedTuple):
    """What ``AttentionPool.backward`` needs to know; ``weights`` (B, T) are worth looking at."""

    x: np.ndarray  # (T, B, D)
    u: np.ndarray  # (T, B, A)
    weights: np.ndarray  # (B, T): alpha


class AttentionPool:
    """Pool a sequence: x (T, B, input_size) to y (B, input_size), zero for an empty sequence.

    Parameters: ``W`` (input_size, attention_size), ``b`` and ``v`` (attention_size,).
    """

    streams = False  # there is one answer, after the whole sequence

    def __init__(self, input_size, attention_size, rng=None, dtype=np.float64):
        self.input_size = D = checks.size(input_size, "input_size")
        A, rng = checks.size(attention_size, "attention_size"), checks.generator(rng)
        self.dtype = checks.float_dtype(dtype)
        W, v = glorot_uniform(rng, D, A), glorot_uniform(rng, A, 1)[:, 0]
        self.params = {
            k: p.astype(self.dtype) for k, p in {"W": W, "b": np.zeros(A), "v": v}.items()
        }

    @quiet
    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, None (there is no state) and the cache."""
        x = checks.array(x, "x", ("T", "B", self.input_size), self.dtype)
        checks.no_state(state, "state", self)
        past_end = checks.past_end(lengths, x)
        x = checks.zero_at(past_end, x)
        u = np.tanh(times(x, self.params["W"]) + self.params["b"])
        weights = masked_softmax(np.einsum("tba,a->bt", u, self.params["v"]), past_end)
        return np.einsum("bt,tbd->bd", weights, x), None, PoolCache(x, u, weights)

    @quiet
    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx (T, B, D), None, and the gradients of the parameters."""
        checks.no_state(dstate, "dstate", self)
        x, u, alpha = checks.cache_type(cache, PoolCache)
        dy = checks.gradient(dy, x.shape[1:], self.dtype)
        dalpha = np.einsum("bd,tbd->bt", dy, x)
        de = alpha * (dalpha - np.sum(alpha * dalpha, axis=-1, keepdims=True))
        da = de.T[..., None] * self.params["v"] * (1 - u * u)
        dx = alpha.T[..., None] * dy + times(da, self.params["W"].T)
        dv = np.einsum("bt,tba->a", de, u)
        return dx, None, {"W": weight_gradient(x, da), "b": bias_gradient(da), "v": dv}


class Hierarchical(Container):
    """Documents x (T, S, B, ...), T words a sentence and S sentences a document, to y (B, K).

    words: a model from (T, S*B, ...) to (S*B, D), that answers once a sentence; sentences: one from
    (S, B, D) to (B, K). lengths: None, or the pair of (S, B), words in each sentence, and (B,),
    sentences in each document. The state is None: every sentence starts afresh.
    """

    streams = False

    def __init__(self, words, sentences):
        super().__init__(words=words, sentences=sentences)

    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, None, and the pair of the parts' caches."""
        checks.no_state(state, "state", self)
        x = np.asarray(x)
        if x.ndim < 3:
            raise ValueError(f"x: expected shape (T, S, B, ...), got {x.shape}")
        of_words, of_sentences = checks.pair(lengths, "lengths")
        T, S, B, *rest = x.shape
        if of_words is not None:
            of_words = checks.array(of_words, "lengths[0]", (S, B), None, "iu").ravel()
        rng = None if rng is None else checks.generator(rng)
        words, sentences = self.parts.values()
        y, s, word_cache = words.forward(x.reshape(T, S * B, *rest), None, of_words, training, rng)
        if y.ndim != 2:
            raise ValueError(f"words: expected one answer a sentence (S*B, D), got shape {y.shape}")
        y, _, cache = sentences.forward(y.reshape(S, B, -1), None, of_sentences, training, rng)
        return y, None, [(word_cache, x.shape), cache]

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx like x (None for tokens), None, and all parameters' gradients."""
        checks.no_state(dstate, "dstate", self)
        (word_cache, shape), sentence_cache = self.split(cache, "cache")
        words, sentences = self.parts.values()
        dy, _, sentence_grads = sentences.backward(dy, sentence_cache)
        dx, _, word_grads = words.backward(dy.reshape(-1, dy.shape[-1]), word_cache)
        grads = join({"words": word_grads, "sentences": sentence_grads})
        return None if dx is None else dx.reshape(shape), None, grads
