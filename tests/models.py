"""Random models: a hypothesis strategy for any legal model, three levels deep, with an input for it.

A model is drawn as a ``Sketch`` first, and built from that. So a failing one shrinks to the smallest
that fails, and shows itself as the Python expression that makes it. What is drawn depends on what a
layer reads (D features or tokens) and must give (K features at every step, or one answer).

    python tests/models.py --count 3000       # draw so many, try all properties, and report
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import hypothesis.strategies as st
import numpy as np
from hypothesis import assume
from test_protocol import MyCell

import minirnn as mr
from minirnn.protocol import leaves, zero_state

V = 5  # tokens
TOKENS = "tokens"  # in place of a number of features
VARIANTS = ("NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG")
WITH_DTYPE = (
    "RNN", "LSTM", "GRU", "LSTMVariant", "OutputRNN", "Linear", "Embedding", "CausalConv", "Scale",
    "AttentionPool", "LuongAttention", "BahdanauAttention",
)  # fmt: skip
WHOLE = (  # those that need the whole sequence at once
    "Bidirectional", "CausalConv", "Last", "AttentionPool", "Hierarchical", "Seq2Seq",
)  # fmt: skip


class Sketch(NamedTuple):
    """A layer to be: its repr is the expression that makes it."""

    kind: str
    args: tuple[Any, ...] = ()  # sizes, words, and the layers within
    options: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        if self.kind == "named":  # (name, layer): the first place of a layer that is used twice
            return "({} := {!r})".format(*self.args)
        if self.kind == "again":  # (name,): the second
            return self.args[0]
        words = [repr(a) for a in self.args] + [f"{name}={value!r}" for name, value in self.options]
        return f"{self.kind}({', '.join(words)})"

    def with_options(self, **more: Any) -> Sketch:
        return self._replace(options=(*self.options, *more.items()))


class Scale:
    """The least that a user's own layer needs to have: ``y = x * w``."""

    def __init__(self, size, dtype="float64"):
        self.size, self.dtype = size, dtype
        self.params = {"w": np.ones(size, dtype)}

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        if np.ndim(x) < 2 or np.shape(x)[-1] != self.size:
            raise ValueError(f"x: expected {self.size} features, got shape {np.shape(x)}")
        if lengths is not None and x.ndim == 3:
            x = np.where(np.arange(len(x))[:, None, None] < np.asarray(lengths)[:, None], x, 0)
        return x * self.params["w"], None, (x, lengths)

    def backward(self, dy, cache, dstate=None):
        x, lengths = cache
        dy = np.zeros_like(x) if dy is None else dy
        if lengths is not None and x.ndim == 3:
            dy = np.where(np.arange(len(x))[:, None, None] < np.asarray(lengths)[:, None], dy, 0)
        dw = (x * dy).reshape(-1, x.shape[-1]).sum(axis=0)
        return dy * self.params["w"], None, {"w": dw}


OWN = {"MyCell": MyCell, "Scale": Scale}


def build(sketch: Sketch) -> Any:
    """The model, with the initial values of its parameters."""
    return eval(repr(sketch), vars(mr) | OWN)


def walk(sketch: Sketch, path: tuple[int, ...] = ()) -> Any:
    """Each layer of a sketch with its path, from the outermost."""
    yield path, sketch
    for k, part in enumerate(sketch.args):
        if isinstance(part, Sketch):
            yield from walk(part, (*path, k))


def replaced(sketch: Sketch, path: tuple[int, ...], new: Any) -> Any:
    """The sketch with another part in one place."""
    if not path:
        return new
    args = list(sketch.args)
    args[path[0]] = replaced(args[path[0]], path[1:], new)
    return sketch._replace(args=tuple(args))


def of_dtype(sketch: Sketch, dtype: str) -> Sketch:
    """The same with another dtype in all layers that have one."""
    args = tuple(of_dtype(a, dtype) if isinstance(a, Sketch) else a for a in sketch.args)
    sketch = sketch._replace(args=args)
    if dtype == "float64" or sketch.kind not in WITH_DTYPE:
        return sketch
    return sketch.with_options(dtype=dtype)


def kinds(sketch: Sketch) -> str:
    """The shape of the tree: the kinds of its layers, without sizes and options."""
    parts = [kinds(a) for a in sketch.args if isinstance(a, Sketch)]
    return sketch.kind + (f"({', '.join(parts)})" if parts else "")


# ---- Layers -------------------------------------------------------------------------------------


def one_of(draw, *values):
    return draw(st.sampled_from(values))


def size(draw, largest=3):
    return draw(st.integers(1, largest))


def cell(draw, D, K):
    """A recurrent layer from D features to K."""
    kind = one_of(draw, "RNN", "LSTM", "GRU", "LSTMVariant", "OutputRNN", "MyCell")
    if kind == "RNN":
        return Sketch("RNN", (D, K, one_of(draw, "tanh", "relu")))
    if kind == "LSTM":
        return Sketch("LSTM", (D, K), (("peephole", draw(st.booleans())),))
    if kind == "GRU":
        return Sketch("GRU", (D, K, one_of(draw, "after", "before")))
    if kind == "LSTMVariant":
        return Sketch("LSTMVariant", (D, K, one_of(draw, *VARIANTS)))
    if kind == "OutputRNN":
        return Sketch("OutputRNN", (D, size(draw), K))
    return Sketch(kind, (D, K))


def elementwise(draw, D):
    """A layer that takes sequences and rows, and gives as many features as it gets."""
    kind = one_of(draw, "Dropout", "Activation", "Dropout", "Scale")
    if kind == "Activation":
        return Sketch(kind, (one_of(draw, "tanh", "relu", "sigmoid"),))
    if kind == "Dropout":
        return Sketch(
            kind, (one_of(draw, 0.5, 0.5, 0.0),), (("per_sequence", draw(st.booleans())),)
        )
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
    containers = 2 * [stack, stack, checkpoint, both_ways, twice]
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
    H, kind = size(draw), one_of(draw, "LSTM", "GRU", "RNN")
    both = draw(st.booleans())
    layers = []
    for _ in range(size(draw)):
        one = Sketch(kind, (D, H))
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


# ---- Anything at all ----------------------------------------------------------------------------

# All sizes are 2, so that whatever gets the wrong axis still fits.
SINGLE = (
    Sketch("GRU", (2, 2)), Sketch("LSTM", (2, 2)), Sketch("RNN", (2, 2)), Sketch("MyCell", (2, 2)),
    Sketch("OutputRNN", (2, 2, 2)), Sketch("Embedding", (V, 2)), Sketch("Linear", (2, 2)),
    Sketch("Linear", (4, 2)), Sketch("Linear", (2, 4)), Sketch("Activation", ("tanh",)),
    Sketch("Dropout", (0.5,)), Sketch("Dropout", (0.5, True)), Sketch("Scale", (2,)),
    Sketch("CausalConv", (2, 2, 2)), Sketch("Last"), Sketch("Last", (True,)),
    Sketch("AttentionPool", (2, 2)),
)  # fmt: skip
ATTENTION = Sketch("LuongAttention", (2, 2)), Sketch("BahdanauAttention", (2, 2, 2))


@st.composite
def anything(draw) -> Case:
    """Layers put together without a look at what they are, and an input for the first of them."""
    sketch = any_layer(draw, 3)
    first = sketch
    while first.args and isinstance(first.args[0], Sketch) and first.kind in PASSING:
        first = first.args[0]
    leaf = first
    while leaf.args and isinstance(leaf.args[0], Sketch):
        leaf = leaf.args[0]
    D = TOKENS if leaf.kind == "Embedding" else 2
    reads = {"Hierarchical": "documents", "Seq2Seq": "translation"}.get(first.kind, "features")
    if reads == "features" and D == TOKENS:
        reads = TOKENS
    if leaf.kind == "OutputRNN" and reads == "features" and draw(st.booleans()):
        reads = "pair"
    fewest = int("Last" in kinds(sketch))
    lengths = ends(draw, reads, fewest, 2, 2, 2) if draw(st.booleans()) else None
    return Case(sketch, reads, D, 2, 2, 2, 2, lengths, draw(st.integers(0, 9)))


NONE = Sketch("again", ("None",))
PASSING = ("Sequential", "Bidirectional", "Checkpoint")


def any_layer(draw, depth):
    def some():
        return any_layer(draw, depth - 1)

    kind = "single"
    if depth:
        kind = one_of(draw, "Sequential", *PASSING, "single", "Hierarchical", "Seq2Seq")
    if kind == "single":
        return one_of(draw, *SINGLE)
    if kind == "Sequential":
        return Sketch(kind, tuple(some() for _ in range(size(draw))))
    if kind == "Bidirectional":
        return Sketch(kind, (some(), some(), one_of(draw, "sum", "mean", "concat")))
    if kind == "Checkpoint":
        return Sketch(kind, (some(), size(draw, 2)))
    if kind == "Hierarchical":
        return Sketch(kind, (some(), some()))
    kind, attention = "Seq2Seq", one_of(draw, NONE, *ATTENTION)
    gru, tokens = SINGLE[0], SINGLE[5]
    looks = 2 if attention is NONE else 4
    encoder = one_of(draw, gru, Sketch("Sequential", (tokens, gru)), some())
    embedding = one_of(draw, tokens, Sketch("Sequential", (tokens, some())))
    decoder = one_of(draw, gru, some())
    if attention.kind == "BahdanauAttention":
        decoder = Sketch("Sequential", (Sketch("Linear", (4, 2)), decoder))
    output = Sketch("Linear", (looks, V))
    if draw(st.booleans()):
        output = Sketch(
            "Sequential", (Sketch("Linear", (looks, 2)), some(), Sketch("Linear", (2, V)))
        )
    bridge = one_of(draw, NONE, NONE, Sketch("Linear", (2, 2)))
    return Sketch(kind, (encoder, embedding, decoder, output, attention, bridge))


# ---- Models that must be refused ----------------------------------------------------------------

STREAMED = {"Checkpoint": (0,), "Seq2Seq": (2,)}  # parts that must run on from a state
EVERY_STEP = STREAMED | {"Bidirectional": (0, 1), "Seq2Seq": (0, 2)}


class Misfit(NamedTuple):
    """A case that must be refused, and what was done to a legal one."""

    case: Case
    what: str
    path: tuple[int, ...]


@st.composite
def misfits(draw) -> Misfit:
    """A legal model with one part in it that does not fit."""
    case = draw(cases())
    whole = case.model
    places = dict(walk(whole))
    inside = {path: part for path, part in places.items() if path and path[-1] < 4}
    choices = {"of another size": list(places), "no layer": list(inside)}
    choices["of another dtype"] = [p for p, part in places.items() if may_change_dtype(whole, part)]
    choices["one answer"] = below(places, EVERY_STEP)
    choices["not streaming"] = below(places, STREAMED)
    what = one_of(draw, *(name for name, paths in choices.items() if paths))
    path = one_of(draw, *choices[what])
    part = places[path]
    new = {
        "of another size": one_of(draw, Sketch("Linear", (99, 2)), Sketch("GRU", (99, 2))),
        "no layer": one_of(draw, 3, "tanh", Sketch("again", ("LSTM",))),
        "of another dtype": of_dtype(part, "float32"),
        "one answer": Sketch("Sequential", (part, Sketch("Last"))),
        "not streaming": Sketch("Bidirectional", (part, part), (("merge", "mean"),)),
    }[what]
    model = replaced(whole, path, new)
    text = repr(model)
    used = set(re.findall(r"\b[abcw]\b", text))
    assume(all(f"({name} := " in text for name in used))  # the first place of a layer is left
    return Misfit(case._replace(model=model), what, path)


def below(places, wanted):
    """The paths of the parts that such containers have at such places."""
    return [p for p in places if p and p[-1] in wanted.get(places[p[:-1]].kind, ())]


def may_change_dtype(whole, part):
    others = [kind for _, (kind, _, _) in walk(whole) if kind in (*WITH_DTYPE, "MyCell")]
    return part.kind in WITH_DTYPE and len(others) > 1 and "float32" not in repr(whole)
