"""Sampling from a language model, free-running forecasts."""

import itertools

import numpy as np
import pytest
from cases import same

import minirnn as mr


def language_model(V=6):
    return mr.Sequential(mr.Embedding(V, 4, rng=0), mr.LSTM(4, 5, rng=1), mr.Linear(5, V, rng=2))


KINDS = {  # a model, x and lengths
    "every step": (
        lambda: mr.Sequential(mr.GRU(2, 3, rng=0), mr.Linear(3, 4, rng=1)),
        np.random.default_rng(0).normal(size=(6, 5, 2)), [6, 1, 0, 3, 2],
    ),
    "one answer": (
        lambda: mr.Sequential(mr.LSTM(2, 3, rng=0), mr.Last(), mr.Linear(3, 4, rng=1)),
        np.random.default_rng(1).normal(size=(6, 5, 2)), (6, 1, 4, 3, 2),
    ),
    "tokens": (language_model, np.random.default_rng(2).integers(0, 6, (7, 5)), None),
    "as many tokens as features": (
        lambda: mr.Sequential(mr.Embedding(6, 5, rng=0), mr.Linear(5, 2, rng=0)),
        np.random.default_rng(2).integers(0, 6, (7, 5)), None,
    ),
    "rows": (
        lambda: mr.Sequential(mr.Activation("tanh"), mr.Linear(5, 2, rng=0)),
        np.random.default_rng(3).integers(0, 6, (7, 5)), None,
    ),
    "one token each": (lambda: mr.Embedding(6, 3, rng=0), np.arange(5), None),
    "translation": (
        lambda: mr.Seq2Seq(
            mr.Sequential(mr.Embedding(6, 3, rng=0), mr.LSTM(3, 4, rng=0)),
            mr.Embedding(6, 3, rng=1), mr.LSTM(3, 4, rng=1), mr.Linear(4, 6, rng=2),
        ),
        tuple(np.random.default_rng(4).integers(0, 6, (2, 7, 5))),
        (np.array([7, 1, 2, 3, 4]), np.array([1, 2, 7, 0, 3])),
    ),
    "documents": (
        lambda: mr.Sequential(
            mr.Hierarchical(
                mr.Sequential(mr.Embedding(6, 3, rng=0), mr.GRU(3, 2, rng=0), mr.Last()),
                mr.Sequential(mr.GRU(2, 3, rng=0), mr.Last()),
            ),
            mr.Linear(3, 2, rng=0),
        ),
        np.random.default_rng(5).integers(0, 6, (4, 3, 5)),
        (np.random.default_rng(6).integers(1, 5, (3, 5)), np.array([1, 2, 3, 3, 1])),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_lengths", [True, False])
def test_a_prediction_is_the_output_of_all_sequences_in_batches(kind, with_lengths):
    model, x, lengths = KINDS[kind]
    model, lengths, seen = model(), lengths if with_lengths else None, []
    y, _, _ = model.forward(x, None, lengths)
    forward = model.forward

    def watched(x, state=None, lengths=None, training=False, rng=None):
        y, state, cache = forward(x, state, lengths, training, rng)
        seen.append(y.shape[y.ndim > 2])
        return y, state, cache

    model.forward = watched
    for size in (1, 2, 5, 100):
        same(mr.predict(model, x, lengths, size), y)
    N = y.shape[y.ndim > 2]
    two = [2] * (N // 2) + [1]
    assert seen == [1] * N + two + ([5] if N == 5 else [5, 2]) + [N]


def test_a_prediction_keeps_neither_caches_nor_more_than_a_batch():
    import tracemalloc

    model = mr.Sequential(mr.LSTM(8, 64, rng=0), mr.Last(), mr.Linear(64, 1, rng=0))
    x = np.zeros((50, 1024, 8))
    peaks = []
    for N in (128, 1024):
        tracemalloc.start()
        mr.predict(model, x[:, :N])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 8 * 1024


class Flat:
    """A layer of one's own whose output has no axis of features."""

    params = {}  # noqa: RUF012

    def forward(self, x, state=None, lengths=None, training=False, rng=None):
        return x.sum(axis=-1).T[0], None, None

    def backward(self, dy, cache, dstate=None):
        raise NotImplementedError


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m, x: mr.predict(None, x), "model: expected a layer"),
        (lambda m, x: mr.predict(m, x, batch_size=0), "batch_size: .*at least 1, got 0"),
        (
            lambda m, x: mr.predict(m, x, [1, 2]),
            r"lengths: .*each of 5 sequences, got shape \(2,\)",
        ),
        (lambda m, x: mr.predict(m, x, [6] * 6), r"lengths: .*got shape \(6,\); is x batch first"),
        (lambda m, x: mr.predict(m, x, [0.5] * 5), "lengths: expected whole numbers"),
        (lambda m, x: mr.predict(m, x, [7] * 5), r"lengths: expected values in 0..6"),
        (lambda m, x: mr.predict(m, x[:, :0]), r"x: expected shape \(T, B, 2\).*empty"),
        (lambda m, x: mr.predict(m, x[0]), r"x: expected shape \(T, B, 2\)"),
        (lambda m, x: mr.predict(m, 1.0), "x: expected sequences"),
        (lambda m, x: mr.predict(m, [x[:, 0], x[:4, 0]]), "x: .*got a list of 2 arrays; .*pad"),
        (lambda m, x: mr.predict(m, [x[:, 0], x[:, 1]]), "x: .*time first, got a list of 2 arrays"),
        (lambda m, x: mr.predict(m, [[[1.0, 2.0]], [[1.0]]]), "x: expected an array of numbers"),
        (lambda m, x: mr.predict(m, (x, x[:, :2])), r"x: expected a pair \(T, N, ...\)"),
        (lambda m, x: mr.predict(m, (x,)), "x: expected a tuple of two"),
        (lambda m, x: mr.predict(Flat(), x), r"model: expected y \(T, 5, K\) or \(5, K\)"),
    ],
)
def test_what_cannot_be_predicted_is_named(call, words):
    model, x, _ = KINDS["every step"]
    with pytest.raises((ValueError, TypeError), match=words):
        call(model(), x)


def take(model, prompt, n, **options):
    return [token for token, _ in itertools.islice(mr.sample(model, prompt, **options), n)]


def test_sampling_is_the_model_on_what_it_wrote():
    model, prompt = language_model(), [3, 1, 4]
    written = take(model, prompt, 8, temperature=0)
    for k in range(8):
        logits, _, _ = model.forward(np.array([*prompt, *written[:k]])[:, None])
        assert written[k] == np.argmax(logits[-1, 0])


@pytest.mark.parametrize("temperature, top_k", [(1.0, None), (0.5, None), (2.0, 3), (1.0, 1)])
def test_tokens_are_drawn_with_their_probabilities(temperature, top_k):
    model = language_model()
    model.params["2.b"][...] = [0, 1, -1, 2, 0.5, 0]
    rng, n = np.random.default_rng(0), 4000
    drawn = [
        take(model, [2], 1, temperature=temperature, top_k=top_k, rng=rng)[0] for _ in range(n)
    ]
    logits = model.forward([[2]])[0][0, 0] / temperature
    p = np.exp(logits)
    if top_k is not None:
        p[np.argsort(-logits)[top_k:]] = 0
    np.testing.assert_allclose(np.bincount(drawn, minlength=6) / n, p / p.sum(), atol=0.03)


def test_a_stream_of_tokens_can_be_taken_up_again():
    model = language_model()
    whole = take(model, [1], 10, temperature=0)
    first = list(itertools.islice(mr.sample(model, [1], temperature=0), 4))
    token, state = first[-1]
    rest = take(model, [token], 6, temperature=0, state=state)
    assert [t for t, _ in first] + rest == whole


def test_a_model_without_step_writes_the_same():
    model = language_model()
    whole = mr.Sequential(*model.layers)

    class NoStep:
        params = model.layers[1].params
        forward, backward = model.layers[1].forward, model.layers[1].backward

    whole.parts["1"] = NoStep()
    assert take(whole, [1, 2], 12, temperature=0) == take(model, [1, 2], 12, temperature=0)
    pairs = (itertools.islice(mr.sample(m, [3], temperature=0), 5) for m in (whole, model))
    for (_, s), (_, t) in zip(*pairs, strict=True):
        same(s, t)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("prompt", [[1], [1, 2]])
def test_no_token_is_drawn_from_what_is_no_distribution(temperature, bad, prompt):
    model = language_model()
    model.params["2.b"][3] = bad
    with pytest.raises(ValueError, match=f"model: expected finite logits or -inf, got {bad}"):
        take(model, prompt, 1, temperature=temperature)
    model.params["2.b"][3] = -np.inf
    assert 3 not in take(model, prompt, 30, temperature=2.0, rng=0)


def test_a_seed_draws_the_same():
    model = language_model()
    assert take(model, [1], 20, rng=5) == take(model, [1], 20, rng=5) != take(model, [1], 20, rng=6)


def test_free_running_feeds_forecasts_back():
    model = mr.Sequential(mr.GRU(2, 4, rng=0), mr.Linear(4, 2, rng=1))
    x = np.random.default_rng(0).normal(size=(5, 3, 2))
    forecasts = mr.free_run(model, x, 4)
    for k in range(4):
        y, _, _ = model.forward(np.concatenate([x, forecasts[:k]]))
        same(forecasts[k], y[-1])


def test_free_running_with_other_inputs():
    model = mr.Sequential(mr.GRU(2, 4, rng=0), mr.Linear(4, 1, rng=1))
    x = np.random.default_rng(0).normal(size=(5, 3, 2))
    month = np.arange(10.0)
    forecasts = mr.free_run(model, x, 3, next_x=lambda y, k: np.hstack([y, 0 * y + month[k]]))
    seen = np.concatenate([forecasts[:2], np.tile(month[:2, None, None], (1, 3, 1))], axis=-1)
    same(forecasts[2], model.forward(np.concatenate([x, seen]))[0][-1])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: next(mr.sample(language_model(), np.zeros(0, int))), "prompt: .*it is empty"),
        (
            lambda: next(mr.sample(language_model(), [9])),
            "x: expected whole numbers in 0..5, got 9",
        ),
        (lambda: next(mr.sample(language_model(), [1], temperature=-1)), "temperature: .*got -1"),
        (lambda: next(mr.sample(language_model(), [1], top_k=0)), "top_k: .*at least 1"),
        (lambda: mr.free_run(mr.GRU(2, 3), np.ones((4, 1, 2)), 0), "steps: .*at least 1"),
        (
            lambda: mr.free_run(mr.GRU(2, 3), np.ones((4, 1, 2)), 2),
            r"x: expected shape \(T, B, 2\)",
        ),
        (
            lambda: next(
                mr.sample(mr.Sequential(mr.Embedding(5, 2), mr.RNN(2, 5), mr.Last()), [1])
            ),
            "Last needs the whole sequence",
        ),
    ],
)
def test_wrong_calls(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_probabilities_are_not_taken_for_logits():
    words = mr.Embedding(5, 3, rng=0)
    language = mr.Sequential(words, mr.RNN(3, 5, rng=0), mr.Activation("softmax"))
    with pytest.raises(ValueError, match="as sample takes the softmax itself"):
        next(mr.sample(language, [0]))
    output = mr.Sequential(mr.Linear(4, 5, rng=0), mr.Activation("softmax"))
    encoder = mr.Sequential(words, mr.GRU(3, 4, rng=1))
    model = mr.Seq2Seq(encoder, words, mr.GRU(3, 4, rng=2), output)
    with pytest.raises(ValueError, match="as decode takes the softmax itself"):
        mr.decode(model, np.zeros((2, 1), int), 0, 1, 3)
