"""Encoder and decoder (Sutskever et al. 2014; Cho et al. 2014), with or without attention.

Axes: T steps of source, S of target, B batch. The encoder reads the source; its final state starts
the decoder, which predicts each target token from those before it (teacher forcing: from the true
ones, so that all S steps are trained at once)::

    m, s = encoder(source)                s[0] = s, or tanh(s W + b) with a bridge
    e[t] = embedding(target[t-1])         target[-1] is the start token

    without attention     h[t], s[t+1] = decoder(e[t], s[t])                features = h[t]
    Luong, after a step   h[t], s[t+1] = decoder(e[t], s[t])                features = [h[t], c[t]]
                          c[t] = attention(h[t], m)
    Bahdanau, before it   c[t] = attention(top hidden state of s[t], m)     features = [h[t], c[t]]
                          h[t], s[t+1] = decoder([e[t], c[t]], s[t])
    logits[t] = output(features)

The backward pass goes through the same lines from the last to the first. With Bahdanau's attention
each step of the decoder needs the one before it, so it is run one step at a time. Otherwise all S
steps are one *run*.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, PartShapes
from minirnn.padding import padding
from minirnn.protocol import (
    Array,
    Layer,
    Numbers,
    Seed,
    Shape,
    State,
    check_streaming,
    learns_state,
    leaves,
    map_tree,
    optional,
    require,
    without_drawn,
    zero_state,
)

Grads = dict[str, dict[str, Array]]  # by part


class Memory(NamedTuple):
    """What attention looks at."""

    m: Array  # (T, B, M): the encoder's outputs
    k: Array | None  # (T, B, A): the keys that attention computes from them
    past_end: Array | None  # (T, B) bool


class ReadCache(NamedTuple):
    """What ``Seq2Seq.read_backward`` needs to know."""

    memory: Memory
    encoder: Any
    final: State  # of the encoder
    start: list[Array]  # the arrays of the decoder's first state
    bridge: Any


class RunCache(NamedTuple):
    """What ``Seq2Seq.run_backward`` needs to know."""

    H: int  # features of the decoder
    decoder: Any
    look: Any  # of the attention


class Seq2SeqCache(NamedTuple):
    """What ``Seq2Seq.backward`` needs to know of the forward pass."""

    read: ReadCache  # of the source
    embedding: Any
    runs: list[RunCache]  # of the decoder: one run, or one for each step
    output: Any


class Seq2Seq(Container):
    """x = (source, target before each step) to logits (S, B, V).

    encoder: from the source, tokens (T, B) say, to (T, B, M). embedding: target tokens (S, B) to
    (S, B, E). decoder: from E (Bahdanau: E + M) to H features. output: from H (with attention:
    H + M) to V. attention: ``LuongAttention(H, M)`` or ``BahdanauAttention(H, M, A)``. bridge:
    ``Linear(n, m)`` from all numbers of the encoder's final state to all numbers of the decoder's
    first state; without it the two states must have the same sizes. lengths: None, or the pair of
    (B,), of the sources, and (B,), of the targets. The state is None; to write without a target,
    see ``minirnn.generate.decode``.
    """

    streams = False

    def __init__(
        self, encoder: Layer, embedding: Layer, decoder: Layer, output: Layer,
        attention: Any = None, bridge: Layer | None = None,
    ) -> None:  # fmt: skip
        extra = {"attention": attention, "bridge": bridge}
        given = {name: layer for name, layer in extra.items() if layer is not None}
        super().__init__(
            encoder=encoder, embedding=embedding, decoder=decoder, output=output, **given
        )
        if attention is not None and optional(attention, "before_step") is None:
            expected = "LuongAttention or BahdanauAttention"
            raise TypeError(f"attention: expected {expected}, got {attention!r:.80}")
        self.attention, self.bridge = attention, bridge
        with self.at("decoder"):
            check_streaming(decoder)
            if learns_state(decoder):
                raise ValueError(
                    "state: expected one that is not learned: a decoder starts from the encoder's"
                )
            if attention is not None and attention.before_step:
                require(decoder, "zero_state", "BahdanauAttention", "")
                if not leaves(zero_state(decoder, 1)):
                    raise ValueError("expected a recurrent layer: attention asks with its state")
        for name in ("embedding", "output"):
            with self.at(name) as part:
                check_streaming(part)
                if leaves(zero_state(part, 1)):  # decode writes one token after another
                    raise ValueError("expected a layer without a state, for each step by itself")
        self.part_shapes(None)
        encoded, first = zero_state(encoder, 1), zero_state(decoder, 1)
        if leaves(encoded) and leaves(first):  # else a zero_state may be missing: see forward
            self._bridge_sizes(encoded, first)

    def zero_state(self, B: int) -> None:
        """None: it takes no state."""

    def part_shapes(self, x: Shape | None) -> tuple[PartShapes, Shape | None]:
        """The shape that each part gets, and the shape of y. x, a pair, has none."""
        if x is not None:
            got = checks.shape_text(x)
            raise ValueError(f"x: expected a pair (source, target), got one array {got}")
        m = self.part_output("encoder", None)
        if m is not None and len(m) != 3:
            text = checks.shape_text(m)
            raise ValueError(f"encoder: expected an output at every step (T, B, M), got {text}")
        inputs: PartShapes = {"encoder": None, "embedding": None}
        e = self.part_output("embedding", None)
        before = self.attention is not None and self.attention.before_step
        inputs["decoder"] = joined(e, m) if before else e
        h = self.part_output("decoder", inputs["decoder"])
        features = h
        if self.attention is not None:
            query = h
            if before:  # the hidden state, which may have another size than the output
                s = zero_state(self.parts["decoder"], 1)
                query = None if s is None else ("S", "B", top(self.parts["decoder"], s).shape[1])
            inputs["attention"] = query
            c = self.part_output("attention", query)
            if c is not None and m is not None and c[-1] != m[-1]:
                raise ValueError(
                    f"attention: expected memory_size {m[-1]}, the encoder's, got {c[-1]}"
                )
            features = joined(h, c)
        inputs["output"] = features
        return inputs, self.part_output("output", features)

    def _bridge_sizes(self, encoded: State, first: State) -> list[int]:
        """The sizes of the arrays of the decoder's state, if the encoder's state can become it."""
        sizes, wanted = ([a.shape[1] for a in leaves(tree)] for tree in (encoded, first))
        fits = sizes == wanted
        if self.bridge is not None and sizes:
            y = self.part_output("bridge", ("B", sum(sizes)))
            fits = y is None or y == ("B", sum(wanted))
        if not sizes and wanted:
            raise ValueError(
                "encoder: expected a final state for the decoder to start from, got none"
            )
        if not fits:
            raise ValueError(
                f"bridge: expected Linear({sum(sizes)}, {sum(wanted)}), since the encoder's "
                f"state has parts of {sizes} numbers and the decoder's has {wanted}"
            )
        return wanted

    def forward(
        self, x: tuple[Numbers, Numbers], state: None = None,
        lengths: tuple[Numbers | None, Numbers | None] | None = None,
        training: bool = False, rng: Seed = None,
    ) -> tuple[Array, None, Seq2SeqCache]:  # fmt: skip
        """Returns the logits (S, B, V), None, and the cache; attention's weights (S, B, T) are
        ``attention_weights(cache)``.

        x: the pair of the source, tokens (T, B) or features (T, B, D), and the target tokens
        *before* each step, (S, B), the first of them the start token. lengths: see the class.
        Raises ValueError or TypeError for a wrong shape or kind.
        """
        checks.no_state(state, "state", self)
        source, tokens = checks.pair(x, "x")
        of_source, of_target = checks.pair(lengths, "lengths")
        # One generator for all parts: from the same seed, each would draw the same numbers.
        rng = None if rng is None else checks.generator(rng)
        memory, s, read_cache = self.read(source, of_source, training, rng)
        with self.at("embedding") as embedding:
            e, _, e_cache = embedding.forward(tokens, None, of_target, training, rng)
        S = len(e)
        step = 1 if self.attention is not None and self.attention.before_step else S
        features, runs = [], []
        for t in range(0, S, step):
            f, s, cache = self.run(e[t : t + step], s, memory, training, rng)
            features.append(f)
            runs.append(cache)
        with self.at("output") as output:
            y, _, y_cache = output.forward(np.concatenate(features), None, of_target, training, rng)
        return y, None, Seq2SeqCache(read_cache, e_cache, runs, y_cache)

    def backward(
        self, dy: Numbers | None, cache: Seq2SeqCache, dstate: None = None
    ) -> tuple[Any, None, dict[str, Array]]:
        """Returns the gradients of x (a pair, each None for tokens; None if both are), None,
        and those of the parameters."""
        checks.no_state(dstate, "dstate", self)
        read_cache, e_cache, runs, y_cache = checks.cache_type(cache, Seq2SeqCache)
        memory = read_cache.memory
        with self.at("output") as output:
            df, _, out_grads = output.backward(dy, y_cache)
        ds, grads = None, {"output": out_grads}
        de: list[Array] = []
        dmemory = [None if a is None else np.zeros_like(a) for a in memory[:2]]
        step = len(df) // len(runs)
        for n in reversed(range(len(runs))):
            df_run = df[n * step : (n + 1) * step]
            de_run, ds, run_grads = self.run_backward(df_run, ds, dmemory, runs[n])
            de.insert(0, de_run)
            for part, more in run_grads.items():
                before = grads.get(part, dict.fromkeys(more, 0.0))
                grads[part] = {name: before[name] + g for name, g in more.items()}
        with self.at("embedding") as embedding:
            dtokens, _, grads["embedding"] = embedding.backward(np.concatenate(de), e_cache)
        dsource, read_grads = self.read_backward(dmemory, ds, read_cache)
        for part, more in read_grads.items():
            grads[part] = {**grads.get(part, {}), **more}
        dx = None if dsource is None and dtokens is None else (dsource, dtokens)
        return dx, None, self.join_grads({name: grads[name] for name in self.parts})

    # ---- The source -----------------------------------------------------------------------------

    def read(
        self, source: Numbers, lengths: Numbers | None = None, training: bool = False,
        rng: Seed = None,
    ) -> tuple[Memory, State, ReadCache]:  # fmt: skip
        """The memory, the decoder's first state, and the cache of the encoder."""
        with self.at("encoder") as encoder:
            m, s, cache = encoder.forward(source, None, lengths, training, rng)
        s = without_drawn(self.parts["encoder"], s)  # a mask is no memory of the source
        past_end = None if lengths is None else padding(np.asarray(lengths), len(m))
        memory = Memory(m, self.attention.keys(m) if self.attention else None, past_end)
        like = zero_state(self.parts["decoder"], m.shape[1])
        if like is None and s is not None:
            kind = type(self.parts["decoder"]).__name__
            raise TypeError(f"decoder: {kind} has no zero_state, which Seq2Seq needs")
        wanted = self._bridge_sizes(s, like)
        start, bridge_cache = leaves(s), None
        if self.bridge is not None:
            with self.at("bridge") as bridge:
                a, _, bridge_cache = bridge.forward(np.hstack(start))
            start = np.split(np.tanh(a), np.cumsum(wanted)[:-1], axis=1)
        parts = iter(start)
        state = map_tree(lambda _: next(parts), like)
        return memory, state, ReadCache(memory, cache, s, start, bridge_cache)

    def read_backward(
        self, dmemory: Any, dstate: State, read_cache: ReadCache
    ) -> tuple[Any, Grads]:
        """Returns the source's gradient and those of the encoder, the bridge, and the keys."""
        memory, cache, s, start, bridge_cache = read_cache
        (dm, dk), dstart = dmemory, leaves(dstate)
        grads: Grads = {}
        if self.attention is not None:
            dm_keys, grads["attention"] = self.attention.keys_backward(dk, memory.m)
            dm = dm + dm_keys
        if self.bridge is not None:
            da = np.hstack(dstart) * (1 - np.hstack(start) ** 2)
            with self.at("bridge") as bridge:
                da, _, grads["bridge"] = bridge.backward(da, bridge_cache)
            dstart = np.split(da, np.cumsum([a.shape[1] for a in leaves(s)])[:-1], axis=1)
        parts = iter(dstart)
        ds = map_tree(lambda _: next(parts), s)
        with self.at("encoder") as encoder:
            dsource, _, grads["encoder"] = encoder.backward(dm, cache, ds)
        return dsource, grads

    # ---- The target -----------------------------------------------------------------------------

    def run(
        self, e: Array, s: State, memory: Memory, training: bool = False, rng: Seed = None
    ) -> tuple[Array, State, RunCache]:
        """Some steps of the decoder: features (S, B, H or H + M), the new state, the cache."""
        c, look_cache, before = None, None, self.attention and self.attention.before_step
        if before:
            q = top(self.parts["decoder"], s)[None]
            c, look_cache = self.attention.look(q, *memory)
            e = np.concatenate([e, c], axis=-1)
        # No lengths: what the decoder does past the end of a target is masked with its logits.
        with self.at("decoder") as decoder:
            h, s, cache = decoder.forward(e, s, None, training, rng)
        if self.attention is not None and not before:
            c, look_cache = self.attention.look(h, *memory)
        features = h if c is None else np.concatenate([h, c], axis=-1)
        return features, s, RunCache(h.shape[-1], cache, look_cache)

    def run_backward(
        self, df: Array, ds: State, dmemory: list[Any], run_cache: RunCache
    ) -> tuple[Array, State, Grads]:
        """Returns de and the gradients of the first state and of the parameters. Adds to
        ``dmemory``."""
        H, cache, look_cache = run_cache
        before = self.attention and self.attention.before_step
        grads: Grads = {}
        dh, dc = df[..., :H], df[..., H:]

        def look_backward(dc: Array) -> Array:
            dq, dm, dk, grads["attention"] = self.attention.look_backward(dc, look_cache)
            dmemory[0] += dm
            dmemory[1] += dk
            return dq

        if self.attention is not None and not before:
            dh = dh + look_backward(dc)
        with self.at("decoder") as decoder:
            de, ds, grads["decoder"] = decoder.backward(dh, cache, ds)
        if before:
            M = dc.shape[-1]
            dq = look_backward(dc + de[..., -M:])
            # The query was one array of the first state, so dq belongs to the gradient of that one.
            de, dtop = de[..., :-M], top(self.parts["decoder"], ds)
            ds = map_tree(lambda d: d + dq[0] if d is dtop else d, ds)
        return de, ds, grads


def joined(x: Shape | None, more: Shape | None) -> Shape | None:
    """The shape of two arrays side by side."""
    if x is None or more is None:
        return None
    n, m = x[-1], more[-1]
    return (*x[:-1], n + m if isinstance(n, int) and isinstance(m, int) else "D")


def top(layer: Any, state: State) -> Array:
    """The hidden state (B, H) of the last recurrent layer, whatever stands around or after it."""
    parts = optional(layer, "parts").values()
    for part, s in reversed(list(zip(parts, state, strict=True)) if parts else []):
        if leaves(zero_state(part, 1)):
            return top(part, s)
    return leaves(state)[0]


def attention_weights(cache: Seq2SeqCache) -> Array:
    """The weights (S, B, T) in the cache of a ``Seq2Seq`` with attention."""
    return np.concatenate([run.look.weights for run in cache.runs])
