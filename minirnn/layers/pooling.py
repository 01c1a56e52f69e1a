"""A sequence as the weighted mean of its steps, and documents as sequences of sentences.

Hierarchical attention (Yang et al. 2016) reads the words of each sentence, pools them into one row
of numbers, reads the sentences' rows in turn, and pools those. To pool is to attend with a single
learned query, which in additive attention is v alone::

    k[t] = x[t] W_m + b      alpha = softmax over the valid t of v . tanh(k[t])
    y = sum_t alpha[t] x[t]
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.attention import BahdanauAttention
from minirnn.layers.container import Container, join
from minirnn.protocol import Backward, Forward


class AttentionPool(BahdanauAttention):
    """Pool a sequence: x (T, B, input_size) to y (B, input_size), zero for an empty sequence.

    Parameters: ``W_m`` (input_size, attention_size), ``b`` and ``v`` (attention_size,). The weights
    are in ``cache.weights`` (1, B, T).
    """

    streams = False  # there is one answer, after the whole sequence

    def __init__(self, input_size, attention_size, rng=None, dtype=np.float64):
        super().__init__(0, input_size, attention_size, rng, dtype)

    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns y, None (there is no state) and the cache."""
        checks.no_state(state, "state", self)
        x = checks.array(x, "x", ("T", "B", self.memory_size), self.dtype)
        y, _, cache = super().forward(np.zeros((1, x.shape[1], 0)), x, lengths)
        return y[0], None, cache

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx (T, B, D), None, and the gradients of the parameters."""
        checks.no_state(dstate, "dstate", self)
        B, D = self.checked(cache).m.shape[1:]
        dy = checks.gradient(dy, (B, D), self.dtype)
        _, dx, grads = super().backward(dy[None], cache)
        return dx, None, grads


class HierarchicalCache(NamedTuple):
    """What ``Hierarchical.backward`` needs to know of the forward pass."""

    words: Any  # the caches of the two parts
    sentences: Any
    shape: tuple[int, ...]  # of x


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
        """Returns y, None, and the cache."""
        checks.no_state(state, "state", self)
        x = checks.numbers(x, "x")
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
        return y, None, HierarchicalCache(word_cache, cache, x.shape)

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns dx like x (None for tokens), None, and all parameters' gradients."""
        checks.no_state(dstate, "dstate", self)
        word_cache, sentence_cache, shape = checks.cache_type(cache, HierarchicalCache)
        words, sentences = self.parts.values()
        dy, _, sentence_grads = sentences.backward(dy, sentence_cache)
        dx, _, word_grads = words.backward(dy.reshape(-1, dy.shape[-1]), word_cache)
        grads = join({"words": word_grads, "sentences": sentence_grads})
        return None if dx is None else dx.reshape(shape), None, grads
