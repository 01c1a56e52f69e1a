"""Models show themselves, and say where in them something does not fit."""

import re

import numpy as np
import pytest
from cases import LAYERS, point, randomised

import minirnn as mr
from minirnn.checking.catalogue import example, make
from minirnn.description import layers_in
from minirnn.files.model import KINDS, describe
from minirnn.protocol import output_shape

MODEL = mr.Sequential(
    mr.Embedding(50, 8), mr.Bidirectional(mr.LSTM(8, 4, peephole=True), mr.LSTM(8, 4), "sum"),
    mr.Dropout(0.3), mr.Last(), mr.Linear(4, 1),
)  # fmt: skip


def test_every_public_layer_stands_in_the_catalogue_and_can_be_loaded():
    public = {v for v in vars(mr).values() if isinstance(v, type) and hasattr(v, "backward")}
    checked = {type(part) for name in LAYERS for part in layers_in(make(name))}
    assert public - {mr.Layer} == checked == set(KINDS.values())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LAYERS)
def test_repr_evaluates_to_a_layer_of_the_same_shape(name, dtype):
    layer = make(name, dtype=dtype)
    other = eval(repr(layer), vars(mr))
    assert type(other) is type(layer) and describe(other) == describe(layer)
    assert [p.shape for p in other.params.values()] == [p.shape for p in layer.params.values()]
    assert "rng" not in repr(layer)


def test_repr_shows_options_only_where_they_differ():
    for text in (
        "LSTM(3, 16)", "LSTM(3, 16, peephole=True)", "GRU(2, 4, reset='before')", "Last()",
        "RNN(2, 3, dtype='float32')", "LSTMVariant(2, 3, 'NIG')", "Dropout(0.5)",
        "Bidirectional(GRU(2, 3), GRU(2, 3))", "CausalConv(2, 3, 4, dilation=2)",
    ):  # fmt: skip
        assert repr(eval(text, vars(mr))) == text
    assert repr(mr.GRU(2, 4, "after", rng=3, dtype=np.float64)) == "GRU(2, 4)"


def test_repr_of_a_layer_that_does_not_keep_its_arguments():
    class Scale(mr.Activation):
        def __init__(self, factors, name, function="tanh", *, power=2):
            super().__init__(function)
            self.factors = factors
            self.power = power

    layer = Scale(np.ones((30, 3)), "forgotten", power=3)
    assert re.fullmatch(r"Scale\(array\(\[\[1.*\.\.\., \.\.\., power=3\)", repr(layer))
    assert repr(layer).count("\n") == 0 and len(repr(layer)) < 110

    class Named(Scale):
        def __repr__(self):
            return "mine"

    assert repr(mr.Sequential(Named(1, ""), mr.Last())) == "Sequential(mine, Last())"


def test_a_model_prints_as_a_table_of_its_layers():
    assert (
        str(MODEL)
        == """\
            Sequential                  output     parameters
0           Embedding(50, 8)            (T, B, 8)         400
1           Bidirectional(merge='sum')  (T, B, 4)
1.forward   LSTM(8, 4, peephole=True)   (T, B, 4)         220
1.backward  LSTM(8, 4)                  (T, B, 4)         208
2           Dropout(0.3)                (T, B, 4)           0
3           Last()                      (B, 4)              0
4           Linear(4, 1)                (B, 1)              5
            total                                         833"""
    )
    table = MODEL._repr_html_()
    assert table.count("<tr>") == 9 and "&#x27;sum&#x27;" in table and ">833</td>" in table


@pytest.mark.parametrize("name", [n for n in LAYERS if "Seq2Seq" not in n and "Drop" not in n])
def test_the_shape_that_is_shown_is_the_shape_of_the_output(name):
    layer = randomised(name)
    x, state, _ = example(name)
    y, _, _ = layer.forward(x, state)
    given = None if "Embedding" in name or name == "Hierarchical" else ("T", "B", 2)
    shown = output_shape(layer, given)
    assert shown is not None and len(shown) == y.ndim
    assert all(isinstance(n, str) or n == m for n, m in zip(shown, y.shape, strict=True))
    assert shown[-1] == y.shape[-1]


def test_an_array_used_twice_counts_once():
    shared = mr.Linear(3, 3)
    assert str(mr.Sequential(shared, shared)).endswith(" 12")


STATES = {"encoder": mr.LSTM(2, 3), "embedding": mr.Embedding(5, 2), "decoder": mr.LSTM(2, 3)}


def seq2seq(**parts):
    return mr.Seq2Seq(**{**STATES, "output": mr.Linear(3, 5), **parts})


LAST = mr.Sequential(mr.LSTM(3, 4), mr.Last())
REFUSED = {
    "sizes": (
        lambda: mr.Sequential(mr.LSTM(3, 4), mr.Linear(5, 1)),
        "layer 1, Linear(5, 1): x: expected shape (T, B, 5), got (T, B, 4)",
    ),
    "behind dropout": (
        lambda: mr.Sequential(mr.GRU(3, 4), mr.Dropout(0.5), mr.Activation("tanh"), mr.RNN(5, 1)),
        "layer 3, RNN(5, 1): x: expected shape (T, B, 5), got (T, B, 4)",
    ),
    "within": (
        lambda: mr.Sequential(mr.Linear(2, 3), mr.Sequential(mr.Dropout(0.5), mr.LSTM(4, 5))),
        "layer 1.1, LSTM(4, 5): x: expected shape (T, B, 4), got (T, B, 3)",
    ),
    "behind both directions": (
        lambda: mr.Sequential(mr.Bidirectional(mr.GRU(2, 3), mr.GRU(2, 3)), mr.CausalConv(3, 1, 2)),
        "layer 1, CausalConv(3, 1, 2): x: expected shape (T, B, 3), got (T, B, 6)",
    ),
    "one direction": (
        lambda: mr.Sequential(mr.GRU(2, 3), mr.Bidirectional(mr.GRU(3, 2), mr.GRU(2, 2))),
        "layer 1.backward, GRU(2, 2): x: expected shape (T, B, 2), got (T, B, 3)",
    ),
    "behind a checkpoint": (
        lambda: mr.Sequential(mr.Checkpoint(mr.GRU(2, 3), 4), mr.AttentionPool(4, 2)),
        "layer 1, AttentionPool(4, 2): x: expected shape (T, B, 4), got (T, B, 3)",
    ),
    "in a checkpoint": (
        lambda: mr.Sequential(mr.RNN(2, 3), mr.Checkpoint(mr.GRU(2, 3), 4)),
        "layer 1.model, GRU(2, 3): x: expected shape (T, B, 2), got (T, B, 3)",
    ),
    "output recurrence": (
        lambda: mr.Sequential(mr.OutputRNN(2, 9, 3), mr.OutputRNN(9, 1, 1)),
        "layer 1, OutputRNN(9, 1, 1): x: expected shape (T, B, 9), got (T, B, 3)",
    ),
    "no sequence": (
        lambda: mr.Sequential(LAST, mr.LSTM(4, 5)),
        "layer 1, LSTM(4, 5): x: expected shape (T, B, 4), got (B, 4)",
    ),
    "no tokens": (
        lambda: mr.Sequential(mr.LSTM(2, 3), mr.Embedding(5, 3)),
        "layer 1, Embedding(5, 3): x: expected tokens (T, B), got features (T, B, 3)",
    ),
    "no halves": (
        lambda: mr.Sequential(mr.LSTM(2, 3), mr.Last(both=True)),
        "layer 1, Last(both=True): x: expected two halves of features, got 3",
    ),
    "directions of two sizes": (
        lambda: mr.Bidirectional(mr.LSTM(3, 4), mr.GRU(3, 5)),
        "backward_layer: expected as many features as forward_layer has, 4, got 5",
    ),
    "directions of two dtypes": (
        lambda: mr.Bidirectional(mr.LSTM(3, 4), mr.GRU(3, 4, dtype="float32")),
        "layers: expected parameters of one dtype, got float32 (backward.W_x) and float64 "
        "(forward.W_x)",
    ),
    "layers of two dtypes": (
        lambda: mr.Sequential(mr.GRU(3, 4), mr.Sequential(mr.Linear(4, 2, dtype="float32"))),
        "layers: expected parameters of one dtype, got float32 (1.0.W) and float64 (0.W_x)",
    ),
    "a direction that answers once": (
        lambda: mr.Bidirectional(mr.LSTM(3, 4), LAST),
        "backward_layer: expected an output at every step (T, B, H), got (B, 4)",
    ),
    "a checkpoint of what needs all": (
        lambda: mr.Checkpoint(mr.Bidirectional(mr.GRU(2, 3), mr.GRU(2, 3)), 4),
        "model: Bidirectional needs the whole sequence, and cannot take it in pieces",
    ),
    "words that do not answer once": (
        lambda: mr.Hierarchical(mr.GRU(2, 3), mr.GRU(3, 4)),
        "words: expected one answer a sentence (S*B, D), got shape (T, B, 3)",
    ),
    "sentences": (
        lambda: mr.Hierarchical(LAST, mr.GRU(3, 4)),
        "layer sentences, GRU(3, 4): x: expected shape (T, B, 3), got (T, B, 4)",
    ),
    "an encoder that answers once": (
        lambda: seq2seq(encoder=LAST),
        "encoder: expected an output at every step (T, B, M), got (B, 4)",
    ),
    "a decoder that needs all": (
        lambda: seq2seq(decoder=mr.Bidirectional(mr.GRU(2, 3), mr.GRU(2, 3))),
        "layer decoder, Bidirectional(GRU(2, 3), GRU(2, 3)): model: Bidirectional needs the whole",
    ),
    "decoder": (
        lambda: seq2seq(attention=mr.BahdanauAttention(3, 3, 2)),
        "layer decoder, LSTM(2, 3): x: expected shape (T, B, 2), got (T, B, 5)",
    ),
    "attention's query": (
        lambda: seq2seq(attention=mr.LuongAttention(4, 3)),
        "layer attention, LuongAttention(4, 3): x: expected shape (S, B, 4), got (T, B, 3)",
    ),
    "attention's memory": (
        lambda: seq2seq(attention=mr.LuongAttention(3, 4)),
        "attention: expected memory_size 3, the encoder's, got 4",
    ),
    "output": (
        lambda: seq2seq(attention=mr.LuongAttention(3, 3)),
        "layer output, Linear(3, 5): x: expected shape (T, B, 3), got (T, B, 6)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_when_a_model_is_built(name):
    build, words = REFUSED[name]
    with pytest.raises(ValueError, match="^" + re.escape(words)):
        build()


class Unknown:
    """A layer that does not tell its output_shape: it doubles."""

    def __init__(self):
        self.params = {}

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        return np.concatenate([x, x], axis=-1), None, None

    def backward(self, dy, cache, dstate=None):
        return np.add(*np.split(dy, 2, axis=-1)), None, {}

    def step(self, x, state=None, params=None):
        return np.concatenate([x, x], axis=-1), None


X = np.zeros((5, 2, 2))
HALF_KNOWN = mr.Sequential(Unknown(), mr.Sequential(Unknown(), mr.Linear(7, 1)))


def test_what_is_known_only_later_is_refused_at_the_first_call():
    words = r"^layer 1\.1, Linear\(7, 1\): x: expected shape \({}B, 7\), got \({}2, 8\)"
    with pytest.raises(ValueError, match=words.format("T, ", "5, ")):
        HALF_KNOWN.forward(X)
    with pytest.raises(ValueError, match=words.format("", "")):
        HALF_KNOWN.step(X[0])
    both = mr.Bidirectional(Unknown(), mr.Linear(2, 3))
    with pytest.raises(ValueError, match=r"backward_layer: expected .* 4, got 3"):
        both.forward(X)
    assert "Unknown()      " in str(both) and "Linear(2, 3)   (T, B, 3)" in str(both)


@pytest.mark.parametrize("name", ["GRU LSTM Linear", "Bidirectional", "Checkpoint", "Hierarchical"])
def test_backward_names_the_place_too(name):
    layer = randomised(name)
    x, state, dy, _ = point(layer)
    _, _, cache = layer.forward(x, state)
    layer.parts[next(reversed(layer.parts))].backward = lambda *a: np.zeros(3) @ np.zeros(2)
    place = next(reversed(layer.parts))
    with pytest.raises(ValueError, match=rf"^layer {place}, \w+\(.*\): "):
        layer.backward(dy, cache)


def test_the_kind_and_the_origin_of_an_error_are_kept():
    class Broken(Unknown):
        def forward(self, x, state=None, lengths=None, training=False, rng=None):
            if training:
                raise TypeError("not in training")
            raise IndexError("out of reach")

    model = mr.Sequential(mr.Sequential(Broken()))
    with pytest.raises(TypeError, match=r"^layer 0\.0, Broken\(\): not in training$") as raised:
        model.forward(X, training=True)
    assert raised.traceback[-1].frame.code.name == "forward"
    assert "not in training" in str(raised.traceback[-1].statement)
    with pytest.raises(IndexError, match=r"^out of reach$"):
        model.forward(X)


def test_a_part_that_is_replaced_is_the_one_that_runs():
    model = mr.Sequential(mr.Linear(2, 3), mr.Linear(3, 1))
    assert model.layers[1].out_features == 1
    model.parts["1"] = mr.Linear(3, 2)
    assert model.forward(X)[0].shape == (5, 2, 2) and model.layers[1].out_features == 2


def test_dropout_in_a_checkpoint_draws_the_same_again_without_a_seed():
    model, x = mr.Checkpoint(mr.Dropout(0.5), 2), np.ones((6, 4, 5))
    y, _, cache = model.forward(x, training=True)
    assert np.array_equal(model.backward(x, cache)[0], y)
