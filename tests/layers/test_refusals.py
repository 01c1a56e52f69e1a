"""What a container, ``decode`` and ``trace`` cannot take is refused by name."""

import numpy as np
import pytest

import minirnn as mr

X = np.random.default_rng(0).normal(size=(4, 2, 3))
TOKENS = np.random.default_rng(1).integers(0, 5, (3, 2))


def translator(attention=None, decoder=None, **options):
    more = 3 if attention is not None else 0
    before = more if attention is not None and attention.before_step else 0
    decoder = mr.GRU(2 + before, 3, rng=0) if decoder is None else decoder
    encoder, embedding = mr.GRU(3, 3, rng=1), mr.Embedding(5, 2, rng=2)
    output = mr.Linear(3 + more, 5, rng=3)
    return mr.Seq2Seq(encoder, embedding, decoder, output, attention, **options)


ATTENTION = mr.LuongAttention(3, 3)

MODELS = {
    "attention in a stack": (
        lambda: mr.Sequential(mr.GRU(3, 3), ATTENTION),
        TypeError, r"layer 1, LuongAttention\(3, 3\): expected a layer that needs no memory",
    ),
    "attention in a checkpoint": (
        lambda: mr.Checkpoint(mr.BahdanauAttention(3, 3, 2), 2),
        TypeError, r"layer model, BahdanauAttention\(3, 3, 2\): expected a layer that needs no mem",
    ),
    "attention that is none": (
        lambda: mr.Seq2Seq(
            mr.GRU(3, 3), mr.Embedding(5, 2), mr.GRU(2, 3), mr.Linear(3, 5), mr.Linear(3, 3)
        ),
        TypeError, r"attention: expected LuongAttention or BahdanauAttention, got Linear\(3, 3\)",
    ),
    "a decoder without a state to ask with": (
        lambda: translator(mr.BahdanauAttention(3, 3, 2), mr.Sequential(mr.Activation("tanh"))),
        ValueError, r"layer decoder, Sequential.*: expected a recurrent layer",
    ),
    "attention of another dtype": (
        lambda: translator(mr.LuongAttention(3, 3, dtype="float32")),
        ValueError, r"one dtype, got float32 \(attention.W_m\) and float64 \(encoder.W_x\)",
    ),
    "an embedding with a state": (
        lambda: mr.Seq2Seq(
            mr.GRU(3, 3), mr.Sequential(mr.Embedding(5, 2), mr.GRU(2, 2)), mr.GRU(2, 3),
            mr.Linear(3, 5),
        ),
        ValueError, "layer embedding, Sequential.*: expected a layer without a state",
    ),
    "an output layer that looks back": (
        lambda: mr.Seq2Seq(
            mr.GRU(3, 3), mr.Embedding(5, 2), mr.GRU(2, 3), mr.CausalConv(3, 5, 2)
        ),
        ValueError, "layer output, CausalConv.*: model: CausalConv needs the whole sequence",
    ),
    "a Seq2Seq after a layer": (
        lambda: mr.Sequential(mr.GRU(3, 3), translator()),
        ValueError, r"layer 1, Seq2Seq.*: x: expected a pair \(source, target\), got one array",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_models_that_cannot_be_right_are_refused_when_they_are_made(name):
    make, error, words = MODELS[name]
    with pytest.raises(error, match=words):
        make()


PAIR = X, np.ones((4, 2, 2))

CALLS = {
    "a pair for two directions": (
        lambda: mr.Bidirectional(mr.OutputRNN(3, 4, 2), mr.OutputRNN(3, 4, 2)).forward(PAIR),
        TypeError, "x: expected one array, got a tuple of 2",
    ),
    "a pair for pieces": (
        lambda: mr.Checkpoint(mr.OutputRNN(3, 4, 2), 2).forward(PAIR),
        TypeError, "x: expected one array, got a tuple of 2",
    ),
    "trace of a pair": (
        lambda: mr.trace(mr.OutputRNN(3, 4, 2), PAIR),
        TypeError, "x: expected one array, got a tuple of 2",
    ),
    "documents without an axis": (
        lambda: mr.Hierarchical(mr.Dropout(0.5), mr.LSTM(3, 2)).forward(X),
        ValueError, r"words: expected one answer for each of 6 sentences, got shape \(4, 6\)",
    ),
    "attention without a memory": (
        lambda: ATTENTION.forward(X),
        TypeError, r"state: expected the memory \(T, B, 3\), got None",
    ),
    "trace of documents": (
        lambda: mr.trace(
            mr.Sequential(
                mr.Hierarchical(mr.Sequential(mr.RNN(3, 2), mr.Last()), mr.GRU(2, 2)), mr.GRU(2, 2)
            ),
            np.ones((2, 3, 2, 3)),
        ),
        TypeError, "model: trace cannot look into Hierarchical",
    ),
    "decode of another model": (
        lambda: mr.decode(mr.GRU(3, 3), X, 0, 1, 5),
        TypeError, r"model: expected a Seq2Seq, got GRU\(3, 3\)",
    ),
    "an end that is no token": (
        lambda: mr.decode(translator(), X, 0, 5, 3),
        ValueError, r"end: expected a token in 0..4, got 5",
    ),
    "an empty prompt": (
        lambda: next(mr.sample(mr.Embedding(3, 3), [])),
        ValueError, r"prompt: expected shape \(T,\), got \(0,\): it is empty",
    ),
    "an embedding of features, one step": (
        lambda: mr.Embedding(5, 2).step(np.ones(2)),
        TypeError, "x: expected whole numbers, got float64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls_that_cannot_be_right_are_refused(name):
    call, error, words = CALLS[name]
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("attention", [None, ATTENTION, mr.BahdanauAttention(3, 3, 2)], ids=repr)
def test_decode_refuses_logits_that_are_no_numbers(attention, wrong):
    model = translator(attention)
    model.params["output.b"][2] = wrong
    for beam in (1, 3):
        with pytest.raises(ValueError, match=f"finite logits or -inf, got {wrong} in sequence 0"):
            mr.decode(model, X, 0, 1, 5, beam=beam)


def test_tokens_may_be_impossible_but_not_all():
    model = mr.Sequential(mr.Embedding(5, 3, rng=0), mr.Linear(3, 5, rng=1))
    model.params["1.b"][1:] = -np.inf
    assert next(mr.sample(model, [2]))[0] == 0
    model.params["1.b"][0] = -np.inf
    with pytest.raises(ValueError, match="finite logits or -inf, got -inf in sequence 0"):
        next(mr.sample(model, [2]))


def test_attention_asks_with_the_state_of_the_top_layer_whatever_is_around_it():
    o = {"rng": 0}

    def stack(wrap):
        cells = wrap(mr.Sequential(mr.GRU(5, 4, **o), mr.LSTM(4, 3, **o)))
        decoder = mr.Sequential(cells, mr.Dropout(0.5, per_sequence=True))
        return translator(mr.BahdanauAttention(3, 3, 2, **o), decoder, bridge=mr.Linear(3, 10, **o))

    plain, wrapped = stack(lambda m: m), stack(lambda m: mr.Checkpoint(mr.Sequential(m), 2))
    y, _, _ = plain.forward((X, TOKENS))
    assert np.array_equal(y, wrapped.forward((X, TOKENS))[0])
    with pytest.raises(ValueError, match=r"layer attention, BahdanauAttention\(4, 3, 2\): x:"):
        decoder = mr.Sequential(mr.GRU(5, 4), mr.LSTM(4, 3))
        translator(mr.BahdanauAttention(4, 3, 2), decoder, bridge=mr.Linear(3, 10))


def test_padding_sentences_of_a_document_may_have_no_words():
    words = mr.Sequential(mr.Embedding(5, 3, rng=0), mr.GRU(3, 3, rng=1), mr.Last())
    model = mr.Hierarchical(words, mr.Sequential(mr.GRU(3, 2, rng=2), mr.Last()))
    x = np.random.default_rng(2).integers(0, 5, (6, 3, 2))
    x[:, 2, 1] = -1  # no sentence, no token
    lengths = np.array([[6, 2], [3, 5], [4, 0]]), np.array([3, 2])
    y, _, _ = model.forward(x, None, lengths)
    alone, _, _ = model.forward(x[:5, :2, 1:], None, (lengths[0][:2, 1:], lengths[1][1:]))
    np.testing.assert_allclose(y[1:], alone, rtol=1e-12)
    report = mr.gradcheck(model, x, lengths=lengths)
    assert report.ok, report
    with pytest.raises(ValueError, match=r"layer words.2, Last.*: lengths: expected at least 1"):
        model.forward(x, None, (lengths[0], np.array([3, 3])))


class Silent(mr.Activation):
    """A layer that does not tell the shape of its output."""

    output_shape = None


def test_a_shape_that_is_not_known_is_not_guessed():
    words = mr.Sequential(mr.Last(), Silent("tanh"), mr.Linear(2, 1))
    model = mr.Hierarchical(words, mr.AttentionPool(1, 1))
    assert model.forward(np.ones((2, 3, 2, 2)))[0].shape == (2, 1)
    with pytest.raises(ValueError, match=r"layer 3, GRU\(4, 2\): x: expected shape \(T, B, 4\)"):
        mr.Sequential(mr.Linear(2, 3), Silent("tanh"), mr.GRU(3, 3), mr.GRU(4, 2))


def test_decode_refuses_a_layer_of_ones_own_with_a_state():
    class Counting(mr.Embedding):
        def forward(self, *arguments):
            y, _, cache = super().forward(*arguments)
            return y, np.ones(y.shape[1:]), cache

    model = mr.Seq2Seq(mr.GRU(3, 3), Counting(5, 2), mr.GRU(2, 3), mr.Linear(3, 5))
    with pytest.raises(
        ValueError, match=r"layer embedding, Counting.*: expected a layer without a"
    ):
        mr.decode(model, X, 0, 1, 3)
