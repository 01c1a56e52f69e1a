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

The backward pass goes through the same lines from the last to the first. Only Bahdanau's attention
ties each step to the one before it in a new way; all else takes the S steps in one *run*.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import checks
from minirnn.layers.container import Container, join
from minirnn.padding import padding
from minirnn.protocol import Backward, Forward, leaves, map_tree, zero_state


class Memory(NamedTuple):
    """What the decoder looks at."""

    m: np.ndarray  # (T, B, M): the encoder's outputs
    k: np.ndarray | None  # (T, B, A): the keys that attention makes of them
    past_end: np.ndarray | None  # (T, B) bool


class Seq2SeqCache(NamedTuple):
    """What ``Seq2Seq.backward`` needs to know of the forward pass."""

    read: Any  # of the source
    embedding: Any
    runs: list[Any]  # of the decoder, one or one a step
    output: Any


class Seq2Seq(Container):
    """x = (source, target before each step) to logits (S, B, V).

    encoder: from the source, tokens (T, B) say, to (T, B, M). embedding: target tokens (S, B) to
    (S, B, E). decoder: from E (Bahdanau: E + M) to H features. output: from H (with attention:
    H + M) to V. attention: ``LuongAttention(H, M)`` or ``BahdanauAttention(H, M, A)``. bridge:
    ``Linear(n, m)`` from all numbers of the encoder's final state to all of the decoder's first
    one; without it the two must be of the same form. lengths: None, or the pair of (B,), of the
    sources, and (B,), of the targets. The state is None; to write without a target, see
    ``minirnn.generate.decode``.
    """

    streams = False

    def __init__(self, encoder, embedding, decoder, output, attention=None, bridge=None):
        optional = {"attention": attention, "bridge": bridge}
        optional = {name: layer for name, layer in optional.items() if layer is not None}
        super().__init__(
            encoder=encoder, embedding=embedding, decoder=decoder, output=output, **optional
        )
        self.attention, self.bridge = attention, bridge

    def forward(self, x, state=None, lengths=None, training=False, rng=None) -> Forward:
        """Returns the logits (S, B, V), None, and the cache; attention's weights (S, B, T) are
        ``attention_weights(cache)``."""
        checks.no_state(state, "state", self)
        source, tokens = checks.pair(x, "x")
        of_source, of_target = checks.pair(lengths, "lengths")
        rng = None if rng is None else checks.generator(rng)
        memory, s, read_cache = self.read(source, of_source, training, rng)
        e, _, e_cache = self.parts["embedding"].forward(tokens, None, of_target, training, rng)
        S = len(e)
        step = 1 if self.attention is not None and self.attention.before_step else S
        features, runs = [], []
        for t in range(0, S, step):
            f, s, cache = self.run(e[t : t + step], s, memory, training, rng)
            features.append(f)
            runs.append(cache)
        y, _, y_cache = self.parts["output"].forward(
            np.concatenate(features), None, of_target, training, rng
        )
        return y, None, Seq2SeqCache(read_cache, e_cache, runs, y_cache)

    def backward(self, dy, cache, dstate=None) -> Backward:
        """Returns the gradients of x (a pair, each None for tokens; None if both are), None,
        and those of the parameters."""
        checks.no_state(dstate, "dstate", self)
        read_cache, e_cache, runs, y_cache = checks.cache_type(cache, Seq2SeqCache)
        memory = read_cache[0]
        df, _, out_grads = self.parts["output"].backward(dy, y_cache)
        ds, grads = None, {"output": out_grads}
        de: list[np.ndarray] = []
        dmemory = [None if a is None else np.zeros_like(a) for a in memory[:2]]
        step = len(df) // len(runs)
        for n in reversed(range(len(runs))):
            own = df[n * step : (n + 1) * step]
            de_run, ds, run_grads = self.run_backward(own, ds, dmemory, runs[n])
            de.insert(0, de_run)
            for part, more in run_grads.items():
                before = grads.get(part, dict.fromkeys(more, 0.0))
                grads[part] = {name: before[name] + g for name, g in more.items()}
        dtokens, _, grads["embedding"] = self.parts["embedding"].backward(
            np.concatenate(de), e_cache
        )
        dsource, read_grads = self.read_backward(dmemory, ds, read_cache)
        for part, more in read_grads.items():
            grads[part] = {**grads.get(part, {}), **more}
        grads = join(grads)
        dx = None if dsource is None and dtokens is None else (dsource, dtokens)
        return dx, None, {name: grads[name] for name in self.params}

    # ---- The source -----------------------------------------------------------------------------

    def read(self, source, lengths=None, training=False, rng=None):
        """The memory, the decoder's first state, and the cache of the encoder."""
        m, s, cache = self.parts["encoder"].forward(source, None, lengths, training, rng)
        past_end = None if lengths is None else padding(np.asarray(lengths), len(m))
        memory = Memory(m, self.attention.keys(m) if self.attention else None, past_end)
        like = zero_state(self.parts["decoder"], m.shape[1])
        found, wanted = ([a.shape[1] for a in leaves(tree)] for tree in (s, like))
        if self.bridge is None and found != wanted:
            raise ValueError(
                f"bridge: expected Linear({sum(found)}, {sum(wanted)}), since the encoder's "
                f"state has parts of {found} numbers and the decoder's has {wanted}"
            )
        start, bridge_cache = leaves(s), None
        if self.bridge is not None:
            a, _, bridge_cache = self.bridge.forward(np.hstack(start))
            start = np.split(np.tanh(a), np.cumsum(wanted)[:-1], axis=1)
        parts = iter(start)
        state = map_tree(lambda _: next(parts), like)
        return memory, state, (memory, cache, s, start, bridge_cache)

    def read_backward(self, dmemory, dstate, read_cache):
        """Returns the source's gradient and those of the encoder, the bridge, and the keys."""
        memory, cache, s, start, bridge_cache = read_cache
        (dm, dk), grads, dstart = dmemory, {}, leaves(dstate)
        if self.attention is not None:
            dm_keys, grads["attention"] = self.attention.keys_backward(dk, memory.m)
            dm = dm + dm_keys
        if self.bridge is not None:
            da = np.hstack(dstart) * (1 - np.hstack(start) ** 2)
            da, _, grads["bridge"] = self.bridge.backward(da, bridge_cache)
            dstart = np.split(da, np.cumsum([a.shape[1] for a in leaves(s)])[:-1], axis=1)
        parts = iter(dstart)
        ds = map_tree(lambda _: next(parts), s)
        dsource, _, grads["encoder"] = self.parts["encoder"].backward(dm, cache, ds)
        return dsource, grads

    # ---- The target -----------------------------------------------------------------------------

    def run(self, e, s, memory, training=False, rng=None):
        """Some steps of the decoder: features (S, B, H or H + M), the new state, the cache."""
        c, look_cache, before = None, None, self.attention and self.attention.before_step
        if before:
            q = top(self.parts["decoder"], s)[None]
            c, look_cache = self.attention.look(q, *memory)
            e = np.concatenate([e, c], axis=-1)
        # No lengths: what the decoder does past the end of a target is masked with its logits.
        h, s, cache = self.parts["decoder"].forward(e, s, None, training, rng)
        if self.attention is not None and not before:
            c, look_cache = self.attention.look(h, *memory)
        features = h if c is None else np.concatenate([h, c], axis=-1)
        return features, s, (h.shape[-1], cache, look_cache)

    def run_backward(self, df, ds, dmemory, run_cache):
        """Returns de, the gradient of the old state, the parameters'; adds to ``dmemory``."""
        H, cache, look_cache = run_cache
        before, grads = self.attention and self.attention.before_step, {}
        dh, dc = df[..., :H], df[..., H:]

        def look_backward(dc):
            dq, dm, dk, grads["attention"] = self.attention.look_backward(dc, look_cache)
            dmemory[0] += dm
            dmemory[1] += dk
            return dq

        if self.attention is not None and not before:
            dh = dh + look_backward(dc)
        de, ds, grads["decoder"] = self.parts["decoder"].backward(dh, cache, ds)
        if before:
            M = dc.shape[-1]
            dq = look_backward(dc + de[..., -M:])
            de = de[..., :-M]
            top(self.parts["decoder"], ds)[...] += dq[0]
        return de, ds, grads


def top(layer: Any, state: Any) -> np.ndarray:
    """The hidden state (B, H) of the last recurrent layer."""
    for part, s in reversed(list(zip(getattr(layer, "layers", ()), state, strict=False))):
        if s is not None:
            return top(part, s)
    return leaves(state)[0]


def attention_weights(cache: Any) -> np.ndarray:
    """The weights (S, B, T) in the cache of a ``Seq2Seq`` with attention."""
    return np.concatenate([look_cache.weights for _, _, look_cache in cache.runs])
