"""Random models that nobody looked at first: layers put together as they come, and legal models
with a part in them that does not fit."""

from __future__ import annotations

import re
from typing import NamedTuple

import hypothesis.strategies as st
from hypothesis import assume
from models import TOKENS, Case, V, cases, ends, one_of, size
from sketches import WITH_DTYPE, Sketch, kinds, of_dtype, replaced, walk

# ---- Anything at all ----------------------------------------------------------------------------

# All sizes are 2, so that whatever gets the wrong axis still fits.
SINGLE = (
    Sketch("GRU", (2, 2)), Sketch("LSTM", (2, 2)), Sketch("RNN", (2, 2)), Sketch("MyCell", (2, 2)),
    Sketch("OutputRNN", (2, 2, 2)), Sketch("Embedding", (V, 2)), Sketch("Linear", (2, 2)),
    Sketch("Linear", (4, 2)), Sketch("Linear", (2, 4)), Sketch("Activation", ("tanh",)),
    Sketch("Activation", ("softmax",)), Sketch("Dropout", (0.5,)), Sketch("Dropout", (0.5, True)),
    Sketch("Scale", (2,)), Sketch("CausalConv", (2, 2, 2)), Sketch("Last"), Sketch("Last", (True,)),
    Sketch("AttentionPool", (2, 2)), Sketch("LayerNorm", (2, 0.1)),
    Sketch("Zoneout", (Sketch("LSTM", (2, 2)), 0.5)),
    Sketch("ProjectedLSTM", (2, 3, 2)), Sketch("RecurrentDropout", (Sketch("GRU", (2, 2)), 0.5)),
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
PASSING = ("Sequential", "Bidirectional", "Checkpoint", "LearnedState")


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
    if kind == "LearnedState":
        return Sketch(kind, (some(),))
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
    first = (re.search(rf"\b{name}\b( :=)?", text) for name in used)
    assume(all(found and found[1] for found in first))  # the first place of a layer is left
    return Misfit(case._replace(model=model), what, path)


def below(places, wanted):
    """The paths of the parts that such containers have at such places."""
    return [p for p in places if p and p[-1] in wanted.get(places[p[:-1]].kind, ())]


def may_change_dtype(whole, part):
    others = [kind for _, (kind, _, _) in walk(whole) if kind in (*WITH_DTYPE, "MyCell")]
    return part.kind in WITH_DTYPE and len(others) > 1 and "float32" not in repr(whole)
