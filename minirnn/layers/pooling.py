"""A sequence as the weighted mean of its steps, and documents as sequences of sentences.

Hierarchical attention (Yang et al. 2016) reads the words of each sentence, pools them into one row
of numbers, reads the sentences' rows in turn, and pools those. To pool is to attend with a single
learned query. In additive attention this query is just v::

    k[t] = x[t] W_m + b      alpha = softmax over the valid t of v . tanh(k[t])
    y = sum_t alpha[t] x[t]
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import checks
from minirnn.layers.attention import AttentionCache, BahdanauAttention
from minirnn.layers.container import Container, PartShapes
from minirnn.padding import padding
from minirnn.protocol import Array, Layer, Numbers, Seed, Shape, fitting


class AttentionPool(BahdanauAttention):
    """Pool a sequence: x (T, B, input_size) to y (B, input_size), zero for an empty sequence.

    Parameters: ``W_m`` (input_size, attention_size), ``b`` and ``v`` (attention_size,). The weights
    are in ``cache.weights`` (1, B, T).
    """

    streams = False  # there is one answer, after the whole sequence
    state_names = ()
    before_step = None  # the memory is x itself

    def __init__(
        self,
        input_size: int,
        attention_size: int,
        rng: Seed = None,
        dtype: DTypeLike = np.float64,
    ) -> None:
        super().__init__(0, input_size, attention_size, rng, dtype)
        self.input_size = self.memory_size

    def output_shape(self, x: Shape | None) -> Shape:
        """The shape of y for an x of this shape; see ``minirnn.protocol``."""
        fitting(x, ("T", "B", self.input_size))
        return "B", self.input_size

    def forward(
        self,
        x: Numbers,
        state: None = None,
        lengths: Numbers | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, None, AttentionCache]:
        """Returns y, None (there is no state) and the cache."""
        checks.no_state(state, "state", self)
        x = checks.array(x, "x", ("T", "B", self.memory_size), self.dtype)
        y, _, cache = super().forward(np.zeros((1, x.shape[1], 0)), x, lengths)
        return y[0], None, cache

    def backward(
        self, dy: Numbers | None, cache: AttentionCache, dstate: None = None
    ) -> tuple[Array, None, dict[str, Array]]:
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

    words: a model from (T, S*B, ...) to (S*B, D), one answer for each sentence. sentences: a model
    from (S, B, D) to (B, K). lengths: None, or a pair: the number of words in each sentence (S, B),
    and the number of sentences in each document (B,). What stands past the end of a document does
    not matter, and may have no words. The state is None: each sentence, and each document, starts
    from zeros.
    """

    streams = False

    def __init__(self, words: Layer, sentences: Layer) -> None:
        super().__init__(words=words, sentences=sentences)
        self.part_shapes(None)

    def zero_state(self, B: int) -> None:
        """None: it takes no state."""

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shapes that the two models get, and the shape of y."""
        if x is not None and len(x) < 3:
            raise ValueError(f"x: expected shape (T, S, B, ...), got {checks.shape_text(x)}")
        words = None if x is None else ("T", "B", *x[3:])
        y = self.part_output("words", words)
        self._check_answers(y)
        sentences = "T", "B", "D" if y is None else y[-1]
        return {"words": words, "sentences": sentences}, self.part_output("sentences", sentences)

    def _check_answers(self, y: Shape | None) -> None:
        if y is not None and len(y) != 2:
            text = checks.shape_text(y)
            raise ValueError(f"words: expected one answer a sentence (S*B, D), got shape {text}")

    def forward(
        self,
        x: Numbers,
        state: None = None,
        lengths: tuple[Numbers, Numbers] | None = None,
        training: bool = False,
        rng: Seed = None,
    ) -> tuple[Array, None, HierarchicalCache]:
        """Returns y, None, and the cache."""
        checks.no_state(state, "state", self)
        x = checks.one_array(x, "x")
        if x.ndim < 3:
            raise ValueError(f"x: expected shape (T, S, B, ...), got {x.shape}")
        of_words, of_sentences = checks.pair(lengths, "lengths")
        T, S, B, *rest = x.shape
        if of_words is not None:
            of_words = checks.array(of_words, "lengths[0]", (S, B), None, "iu")
            # A sentence past the end gets one word, since not every model takes an empty sequence.
            past_end = padding(checks.lengths(of_sentences, S, B), S)
            of_words = np.where(past_end, 1, of_words).ravel()
            x = np.where(past_end.reshape(S, B, *(1 for _ in rest)), 0, x)
        # One generator for all parts: from the same seed, each would draw the same numbers.
        rng = None if rng is None else checks.generator(rng)
        x_words = x.reshape(T, S * B, *rest)
        with self.at("words") as words:
            y, _, word_cache = words.forward(x_words, None, of_words, training, rng)
        self._check_answers(y.shape)
        if len(y) != S * B:
            expected, got = f"one answer for each of {S * B} sentences", checks.shape_text(y.shape)
            raise ValueError(f"words: expected {expected}, got shape {got}")
        with self.at("sentences") as sentences:
            y, _, cache = sentences.forward(y.reshape(S, B, -1), None, of_sentences, training, rng)
        return y, None, HierarchicalCache(word_cache, cache, x.shape)

    def backward(
        self, dy: Numbers | None, cache: HierarchicalCache, dstate: None = None
    ) -> tuple[Any, None, dict[str, Array]]:
        """Returns dx like x (None for tokens), None, and all parameters' gradients."""
        checks.no_state(dstate, "dstate", self)
        word_cache, sentence_cache, shape = checks.cache_type(cache, HierarchicalCache)
        with self.at("sentences") as sentences:
            d, _, sentence_grads = sentences.backward(dy, sentence_cache)
        with self.at("words") as words:
            dx, _, word_grads = words.backward(d.reshape(-1, d.shape[-1]), word_cache)
        grads = self.join_grads({"words": word_grads, "sentences": sentence_grads})
        return None if dx is None else dx.reshape(shape), None, grads
