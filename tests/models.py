"""Random models: a hypothesis strategy for any legal model, three levels deep, with an input.

A model is drawn as a ``Sketch`` and built from that. So one that fails shrinks to the smallest that
fails, and shows itself as the Python expression that makes it. What is drawn depends on what a
layer reads (D features or tokens) and must give (K features at every step, or one answer).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import hypothesis.strategies as st
from sketches import Sketch, build, kinds, of_dtype, walk

from minirnn.protocol import leaves, zero_state

V = 5  # tokens
TOKENS = "tokens"  # in place of a number of features
ACTIVATIONS = ("tanh", "relu", "sigmoid", "softmax", "log_softmax")
VARIANTS = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG")
DROPPED = (  # cells, and where RecurrentDropout drops in them
    (("RNN", "relu"), "hidden"), (("LSTM",), "hidden"), (("LSTM",), "candidate"),
    (("GRU",), "hidden"), (("GRU", "before"), "candidate"),
)  # fmt: skip
WHOLE = (  # those that need the whole sequence at once
    "Bidirectional", "CausalConv", "Last", "AttentionPool", "Hierarchical", "Seq2Seq",
)  # fmt: skip


# ---- Layers -------------------------------------------------------------------------------------


def one_of(draw, *values):
    return draw(st.sampled_from(values))


def size(draw, largest=3):
    return draw(st.integers(1, largest))


def cell(draw, D, K):
    """A recurrent layer from D features to K."""
    kind = one_of(draw, "RNN", "LSTM", "GRU", "LSTMVariant", "ProjectedLSTM", "OutputRNN", "MyCell",
        "RecurrentDropout", "Zoneout",
    )  # fmt: skip
    if kind == "RNN":
        return Sketch("RNN", (D, K, one_of(draw, "tanh", "relu")))
    if kind == "LSTM":
        return Sketch("LSTM", (D, K), (("peephole", draw(st.booleans())),))
    if kind == "GRU":
        return Sketch("GRU", (D, K, one_of(draw, "after", "before")))
    if kind == "LSTMVariant":
        return Sketch("LSTMVariant", (D, K, one_of(draw, *VARIANTS)))
    if kind == "Zoneout":
        inner = one_of(draw, "RNN", "GRU", "LSTM", "MyCell")
        return Sketch(kind, (Sketch(inner, (D, K)), 0.5 if inner != "LSTM" else (0.1, 0.5)))
    if kind == "RecurrentDropout":
        cell, on = one_of(draw, *DROPPED)
        return Sketch(kind, (Sketch(cell[0], (D, K, *cell[1:])), 0.5, on))
    if kind == "ProjectedLSTM":
        return Sketch(kind, (D, K + size(draw), K))
    if kind == "OutputRNN":
        return Sketch("OutputRNN", (D, size(draw), K))
    return Sketch(kind, (D, K))


def elementwise(draw, D):
    """A layer that takes sequences and rows, and gives as many features as it gets."""
    kind = one_of(draw, "Dropout", "Activation", "Dropout", "Scale", "LayerNorm")
    if kind == "Activation":
        return Sketch(kind, (one_of(draw, *ACTIVATIONS),))
    if kind == "Dropout":
        return Sketch(
            kind, (one_of(draw, 0.5, 0.5, 0.0),), (("per_sequence", draw(st.booleans())),)
        )
    if kind == "LayerNorm":  # with a tiny eps two features are a step, which has no slope
        return Sketch(kind, (D,), (("eps", one_of(draw, 0.1, 1.0)),))
    return Sketch(kind, (D,))


def single(draw, D, K, streams):
    """One layer, no container, from D to K at every step."""
    if D == TOKENS:
        return Sketch("Embedding", (V, K))
    kind = one_of(draw, cell, cell, "Linear", "CausalConv", elementwise, elementwise)
    if kind == "CausalConv" and not streams:
        return Sketch("CausalConv", (D, K, size(draw)), (("dilation", size(draw, 2)),))
    if kind == elementwise and D == K:
        return elementwise(draw, D)
    return Sketch("Linear", (D, K)) if kind == "Linear" else cell(draw, D, K)


def stepwise(draw, D, depth, K=None, streams=False):
    """A model with an output at every step, and the number of its features."""
    containers = 2 * [stack, stack, checkpoint, both_ways, twice] + [learned, learned]
    choices = [single] if depth == 0 else [single, *containers]
    if streams:
        choices = [kind for kind in choices if kind != both_ways]
    if D == TOKENS or K not in (None, D):  # what it gives, it must be able to read
        choices = [kind for kind in choices if kind != twice]
    kind = one_of(draw, *choices)
    if kind == single:
        K = K or (size(draw) if D == TOKENS or draw(st.booleans()) else D)
        return single(draw, D, K, streams), K
    return kind(draw, D, depth - 1, K, streams)


def learned(draw, D, depth, K, streams):
    model, K = stepwise(draw, D, depth, K, streams)
    if "LearnedState" in kinds(model) or not state_sizes(model):
        return model, K
    return Sketch("LearnedState", (model,)), K


def not_learned(sketch):
    """The same from zeros: a decoder is given its first state."""
    args = tuple(not_learned(a) if isinstance(a, Sketch) else a for a in sketch.args)
    return args[0] if sketch.kind == "LearnedState" else sketch._replace(args=args)


def stack(draw, D, depth, K, streams):
    layers, n = [], size(draw)
    for k in range(n):
        layer, D = stepwise(draw, D, depth, K if k == n - 1 else None, streams)
        layers.append(layer)
    return Sketch("Sequential", tuple(layers)), D


def twice(draw, D, depth, K, streams):
    """One layer at two places."""
    name = "abc"[depth]  # no other layer has it from its first place to its second
    layer, _ = stepwise(draw, D, depth, D, streams)
    between = [elementwise(draw, D)] if draw(st.booleans()) else []
    first, second = Sketch("named", (name, layer)), Sketch("again", (name,))
    return Sketch("Sequential", (first, *between, second)), D


def checkpoint(draw, D, depth, K, streams):
    model, K = stepwise(draw, D, depth, K, streams=True)
    return Sketch("Checkpoint", (model, size(draw))), K


def both_ways(draw, D, depth, K, streams):
    merge = one_of(draw, "concat", "sum", "mean")
    if merge == "concat" and K is not None and K % 2:
        merge = "sum"
    double = 2 if merge == "concat" else 1
    one, H = stepwise(draw, D, depth, None if K is None else K // double)
    if one_of(draw, False, False, True):
        one, other = Sketch("named", ("abc"[depth], one)), Sketch("again", ("abc"[depth],))
    else:
        other, _ = stepwise(draw, D, depth, H)
    return Sketch("Bidirectional", (one, other), (("merge", merge),)), double * H


def on_rows(draw, D, depth, K=None):
    """A model from rows (B, D) to (B, K)."""
    kind = one_of(draw, "Linear", *[elementwise] * (K in (None, D)), *["Sequential"] * bool(depth))
    if kind == elementwise:
        return elementwise(draw, D), D
    if kind == "Linear":
        K = K or size(draw)
        return Sketch("Linear", (D, K)), K
    first, H = on_rows(draw, D, depth - 1)
    second, K = on_rows(draw, H, depth - 1, K)
    return Sketch("Sequential", (first, second)), K


def answer(draw, D, depth):
    """A model with one answer for a sequence, and the number of its features."""
    body, K = stepwise(draw, D, depth - 1)
    kind = one_of(draw, "Last", "AttentionPool", *["both"] * (K % 2 == 0))
    if kind == "AttentionPool":
        pool = Sketch(kind, (K, size(draw)))
    else:
        pool = Sketch("Last", (), (("both", True),) if kind == "both" else ())
    layers = [body, pool]
    if draw(st.booleans()):
        head, K = on_rows(draw, K, depth - 1)
        layers.append(head)
    return Sketch("Sequential", tuple(layers)), K


def documents(draw, D, depth):
    """A model for sequences of sequences."""
    words, K = answer(draw, D, depth - 1)
    sentences, K = answer(draw, K, depth - 1)
    model = Sketch("Hierarchical", (words, sentences))
    if draw(st.booleans()):
        head, K = on_rows(draw, K, depth - 1)
        model = Sketch("Sequential", (model, head))
    return model, K


def streaming(draw, D, depth):
    """A model that can run on from a state."""
    return stepwise(draw, D, depth, streams=True)


def peers(draw, D, depth):
    """What other libraries have too: several layers of one kind, in one direction or both."""
    H, kind = size(draw), one_of(draw, "LSTM", "GRU", "RNN", "ProjectedLSTM")
    both = draw(st.booleans())
    layers = []
    for _ in range(size(draw)):
        one = Sketch(kind, (D, H + 1, H) if kind == "ProjectedLSTM" else (D, H))
        layers.append(Sketch("Bidirectional", (one, one)) if both else one)
        D = 2 * H if both else H
    return layers[0] if len(layers) == 1 else Sketch("Sequential", tuple(layers)), D


def language(draw, D, depth):
    """A language model, whose output layer is tied to its embedding."""
    E = size(draw)
    body, _ = stepwise(draw, E, depth - 1, E)
    words, tied = Sketch("named", ("w", Sketch("Embedding", (V, E)))), Sketch("again", ("w",))
    return Sketch("Sequential", (words, body, Sketch("Unembedding", (tied,)))), V


def translator(draw, D, depth):
    """An encoder and a decoder."""
    if D == TOKENS and draw(st.booleans()):  # one table for both languages
        E = M = size(draw)
        encoder, embedding = (
            Sketch("named", ("w", Sketch("Embedding", (V, E)))),
            Sketch("again", ("w",)),
        )
    else:
        encoder, M = stepwise(draw, D, depth - 1)
        embedding, E = stepwise(draw, TOKENS, 0)
    if draw(st.booleans()):
        embedding = Sketch("Sequential", (embedding, elementwise(draw, E)))
    kind = one_of(draw, None, "LuongAttention", "BahdanauAttention")
    inputs = E + M if kind == "BahdanauAttention" else E
    decoder, H = stepwise(draw, inputs, depth - 1, streams=True)
    decoder = not_learned(decoder)
    sizes = [state_sizes(part) for part in (encoder, decoder)]
    if kind == "BahdanauAttention" or not sizes[0] or not sizes[1]:  # a state that is at the top
        encoder = Sketch("Sequential", (encoder, cell(draw, M, M)))
        decoder = Sketch("Sequential", (decoder, cell(draw, H, H)))
        sizes = [state_sizes(part) for part in (encoder, decoder)]
    options = []
    if kind == "LuongAttention":
        options = [("attention", Sketch(kind, (H, M)))]
    if kind == "BahdanauAttention":
        options = [("attention", Sketch(kind, (H, M, size(draw))))]
    if sizes[0] != sizes[1] or draw(st.booleans()):
        options.append(("bridge", Sketch("Linear", (sum(sizes[0]), sum(sizes[1])))))
    features = H if kind is None else H + M
    output = Sketch("Linear", (features, V))
    if embedding.kind == "again" and draw(st.booleans()):
        tied = Sketch("Unembedding", (embedding,))
        output = Sketch("Sequential", (Sketch("Linear", (features, E)), tied))
    if draw(st.booleans()):
        output = Sketch("Sequential", (elementwise(draw, features), output))
    none = () if not options or options[0][0] == "attention" else (None,)
    extra = (*none, *(layer for _, layer in options))
    return Sketch("Seq2Seq", (encoder, embedding, decoder, output, *extra)), V


def state_sizes(sketch: Sketch) -> list[int]:
    return [a.shape[1] for a in leaves(zero_state(build(sketch), 1))]


def attention(draw, D, depth):
    """Attention by itself: queries of D features to a memory that is passed as the state."""
    M = size(draw)
    if draw(st.booleans()):
        return Sketch("LuongAttention", (D, M)), M
    return Sketch("BahdanauAttention", (D, M, size(draw))), M


def told(draw, D, depth):
    """An OutputRNN that is given the true outputs, alone or under other layers."""
    K = size(draw)
    first = Sketch("OutputRNN", (D, size(draw), K, one_of(draw, 1.0, 0.5, 0.0)))
    if not draw(st.booleans()):
        return first, K
    rest, H = stepwise(draw, K, depth - 1)
    return Sketch("Sequential", (first, rest)), H


# ---- A model, and an input for it ---------------------------------------------------------------


class Case(NamedTuple):
    """A model, and what it is tried on."""

    model: Sketch
    reads: str  # features, tokens, documents, pair (of x and outputs), translation, queries
    D: Any  # features, or TOKENS
    T: int
    B: int
    S: int  # sentences in a document, steps of a target, queries
    K: int  # true outputs, of a pair
    lengths: Any  # as the model takes them
    seed: int  # of the parameters and the input


READS = {told: "pair", documents: "documents", translator: "translation", attention: "queries"}


@st.composite
def cases(draw, depth: int = 3, least: int = 1) -> Case:
    """Any legal model, up to so many containers within each other, and an input for it, with at
    least so many steps, sequences, and sentences."""
    makers = [stepwise, streaming, answer, documents, translator, language]
    make = one_of(draw, *3 * makers, peers, told, attention)
    features = make in (peers, told, attention) or (make != language and draw(st.booleans()))
    D = size(draw) if features else TOKENS
    sketch, _ = make(draw, D, depth)
    reads = READS.get(make, "features" if features else TOKENS)
    if "MyCell" not in kinds(sketch) and draw(st.booleans()) and draw(st.booleans()):
        sketch = of_dtype(sketch, "float32")
    T, B, S = (draw(st.integers(least, most)) for most in (5, 3, 3))
    fewest = int("Last" in kinds(sketch))  # an empty sequence has no last step
    lengths = None
    if draw(st.booleans()):
        lengths = ends(draw, reads, fewest, T, B, S)
    return Case(sketch, reads, D, T, B, S, outputs(sketch), lengths, draw(st.integers(0, 9)))


def outputs(sketch: Sketch) -> int:
    return next((part.args[2] for _, part in walk(sketch) if part.kind == "OutputRNN"), 1)


def ends(draw, reads, fewest, T, B, S):
    def some(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(B))

    if reads == "documents":
        return tuple(some(fewest, T) for _ in range(S)), some(fewest, S)
    return (some(fewest, T), some(0, S)) if reads == "translation" else some(fewest, T)
