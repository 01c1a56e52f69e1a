"""Attention, encoder and decoder, hierarchical attention."""

import itertools

import numpy as np
import pytest
from cases import randomised, same

import minirnn as mr
from minirnn.checking.catalogue import V, example
from minirnn.layers.seq2seq import attention_weights

KINDS = ["LuongAttention", "BahdanauAttention"]
MODELS = ["Seq2Seq", "Seq2Seq Luong", "Seq2Seq Bahdanau"]


def naive_score(layer, q, m):
    """Of one query (Q,) and one step of memory (M,)."""
    p = layer.params
    k = np.einsum("m,ma->a", m, p["W_m"])
    if "v" in p:
        return np.sum(p["v"] * np.tanh(k + p["b"] + np.einsum("q,qa->a", q, p["W_q"])))
    return np.sum(q * k)


@pytest.mark.parametrize("name", KINDS)
def test_attention_is_a_weighted_mean_of_the_valid_memory(name):
    layer = randomised(name)
    q, m, _ = example(name, T=5)
    lengths = [5, 2, 1]
    y, memory, cache = layer.forward(q, m, lengths)
    for s, (b, n) in itertools.product(range(len(q)), enumerate(lengths)):
        scores = np.array([naive_score(layer, q[s, b], m[t, b]) for t in range(n)])
        alpha = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        same(cache.weights[s, b, :n], alpha)
        assert not cache.weights[s, b, n:].any()
        same(y[s, b], sum(a * m[t, b] for t, a in enumerate(alpha)))
    assert np.array_equal(memory[:2, 1], m[:2, 1]) and not memory[2:, 1].any()


@pytest.mark.parametrize("name", KINDS)
def test_what_lies_past_the_memory_s_end_does_not_matter(name):
    layer = randomised(name)
    q, m, _ = example(name, T=4)
    results = []
    for padding in (0.0, np.nan):
        m[2:, 1] = padding
        y, _, cache = layer.forward(q, m, [4, 2, 3])
        dq, dm, grads = layer.backward(np.ones_like(y), cache)
        assert not dm[2:, 1].any() and not dm[3, 2].any()
        results.append([y, dq, dm, grads])
    same(*results, tol=0)


@pytest.mark.parametrize("name", KINDS)
def test_an_empty_memory_gives_zero_and_takes_no_gradient(name):
    layer = randomised(name)
    q, m, _ = example(name)
    y, _, cache = layer.forward(q, m, [4, 0, 4])
    dq, dm, _ = layer.backward(np.ones_like(y), cache)
    assert not y[:, 1].any() and not dq[:, 1].any() and not dm[:, 1].any()


@pytest.mark.parametrize("scale", [1e3, 1e200])
def test_large_scores_overflow_nowhere(scale):
    layer = mr.LuongAttention(2, 3, rng=0)
    q, m, _ = example("LuongAttention")
    y, _, cache = layer.forward(scale * q, m)
    assert np.isfinite(y).all()
    np.testing.assert_allclose(cache.weights.sum(axis=-1), 1)


@pytest.mark.parametrize("name", MODELS)
def test_sequences_in_a_batch_are_as_each_alone(name):
    model = randomised(name)
    (source, target), _, _ = example(name)
    lengths, of_target = np.array([4, 2, 3]), np.array([3, 1, 2])
    y, _, cache = model.forward((source, target), None, (lengths, of_target))
    dy = np.random.default_rng(0).normal(size=y.shape)
    _, _, grads = model.backward(dy, cache)
    total = dict.fromkeys(grads, 0)
    for b, (n, k) in enumerate(zip(lengths, of_target, strict=True)):
        row = slice(b, b + 1)
        alone, _, cache_b = model.forward((source[:n, row], target[:k, row]))
        same(y[:k, row], alone)
        assert not y[k:, row].any()
        _, _, grads_b = model.backward(dy[:k, row], cache_b)
        total = {key: total[key] + g for key, g in grads_b.items()}
    same(total, grads, 1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_teacher_forcing_is_decoding_step_by_step(name):
    """The logits of all steps at once are those of decoding with the same tokens."""
    model = randomised(name)
    (source, target), _, _ = example(name)
    y, _, _ = model.forward((source, target))
    memory, state, _ = model.read(source)
    for t in range(len(target)):
        e, _, _ = model.parts["embedding"].forward(target[t : t + 1])
        features, state, _ = model.run(e, state, memory)
        same(y[t], model.parts["output"].forward(features)[0][0])


def log_probability(model, source, tokens, start):
    """Of a target (S,) for each source of the batch, by teacher forcing."""
    B = source.shape[1]
    inputs = np.repeat(np.array([start, *tokens[:-1]])[:, None], B, axis=1)
    logits, _, _ = model.forward((source, inputs))
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return sum(log_p[t, :, token] for t, token in enumerate(tokens))


@pytest.mark.parametrize("name", MODELS)
def test_a_wide_beam_finds_the_likeliest_target_of_all(name):
    model, end, S = randomised(name, scale=1.5), 1, 3
    (source, _), _, _ = example(name)
    targets = [[*w, end] for n in range(S) for w in itertools.product([0, 2, 3, 4], repeat=n)]
    targets += [list(w) for w in itertools.product([0, 2, 3, 4], repeat=S)]
    scores = np.array([log_probability(model, source, t, 0) for t in targets])
    found = mr.decode(model, source, 0, end, S, beam=V**S)
    same(found.log_probability, scores.max(axis=0), 1e-10)
    for b, k in enumerate(scores.argmax(axis=0)):
        expected = [*targets[k], *[end] * S][:S]
        assert found.tokens[:, b].tolist() == expected[: len(found.tokens)]
        assert found.lengths[b] == len([t for t in targets[k] if t != end])
    greedy = mr.decode(model, source, 0, end, S)
    assert (greedy.log_probability <= found.log_probability + 1e-12).all()


@pytest.mark.parametrize("name", MODELS)
def test_greedy_takes_the_likeliest_token_at_each_step(name):
    model = randomised(name, scale=1.5)
    (source, _), _, _ = example(name, B=4)
    found = mr.decode(model, source, 0, 1, 6)
    for b in range(4):
        tokens, total = [], 0.0
        while len(tokens) < 6 and (not tokens or tokens[-1] != 1):
            y, _, _ = model.forward((source[:, b : b + 1], np.array([[0], *[[t] for t in tokens]])))
            log_p = y[-1, 0] - np.log(np.exp(y[-1, 0]).sum())
            tokens.append(int(log_p.argmax()))
            total += log_p.max()
        assert found.tokens[:, b].tolist() == [*tokens, *[1] * 6][: len(found.tokens)]
        assert found.log_probability[b] == pytest.approx(total, rel=1e-10)


def test_decoding_returns_where_it_looked():
    model = randomised("Seq2Seq Bahdanau")
    (source, _), _, _ = example("Seq2Seq Bahdanau")
    found = mr.decode(model, source, 0, 1, 4, lengths=[4, 2, 3], beam=3)
    inputs = np.vstack([np.zeros((1, 3), int), found.tokens[:-1]])
    _, _, cache = model.forward((source, inputs), None, (np.array([4, 2, 3]), None))
    weights = attention_weights(cache)
    for b in range(3):
        n = min(found.lengths[b] + 1, len(found.tokens))
        same(found.weights[:n, b], weights[:n, b])
    assert mr.decode(randomised("Seq2Seq"), source, 0, 1, 4).weights is None


def test_a_bridge_is_asked_for_where_the_states_do_not_fit():
    parts = mr.LSTM(2, 3), mr.Embedding(5, 2), mr.GRU(2, 4), mr.Linear(4, 5)
    x = np.ones((3, 1, 2)), np.zeros((2, 1), int)
    for bridge in (None, mr.Linear(6, 5)):
        with pytest.raises(ValueError, match=r"bridge: expected Linear\(6, 4\)"):
            mr.Seq2Seq(*parts, bridge=bridge)
    with pytest.raises(ValueError, match=r"layer bridge, Linear\(5, 4\): x: .*, got \(B, 6\)"):
        mr.Seq2Seq(*parts, bridge=mr.Linear(5, 4))
    bridged = mr.Seq2Seq(*parts, bridge=mr.Linear(6, 4))
    stateless = mr.Seq2Seq(mr.Linear(2, 3), *parts[1:])
    with pytest.raises(ValueError, match=r"encoder: expected a final state for the decoder"):
        stateless.forward(x)
    with pytest.raises(ValueError, match=r"state has parts of \[3, 3\] numbers .* has \[\]"):
        decoder = mr.Sequential(mr.Linear(2, 4), mr.Dropout(0.5))
        mr.Seq2Seq(*parts[:2], decoder, mr.Linear(4, 5)).forward(x)
    assert bridged.forward(x)[0].shape == (2, 1, 5)


def test_hierarchical_attention_reads_each_sentence_alone():
    model = randomised("Hierarchical")
    x, _, (words, sentences) = example("Hierarchical", ragged=True, rng=4)
    y, _, _ = model.forward(x, None, (words, sentences))
    for b, n in enumerate(sentences):
        rows = []
        for s in range(n):
            if words[s, b]:
                rows.append(model.parts["words"].forward(x[: words[s, b], s, b][:, None])[0])
            else:
                rows.append(np.zeros_like(rows[0] if rows else np.zeros((1, 6))))
        same(y[b : b + 1], model.parts["sentences"].forward(np.array(rows))[0])


def test_pooling_weights_sum_to_one_over_the_valid_steps():
    layer = randomised("AttentionPool")
    x = example("AttentionPool").x
    y, _, cache = layer.forward(x, lengths=[4, 2, 0])
    np.testing.assert_allclose(cache.weights[0].sum(axis=1), [1, 1, 0])
    same(y[1], sum(cache.weights[0, 1, t] * x[t, 1] for t in range(2)))
    assert not y[2].any()


@pytest.mark.parametrize("kernel_size, dilation, T", [(1, 1, 4), (3, 1, 7), (3, 2, 7), (2, 9, 5)])
def test_causal_convolution(kernel_size, dilation, T):
    layer = mr.CausalConv(2, 3, kernel_size, dilation, rng=0)
    layer.params["b"][...] = 0.5
    x = np.random.default_rng(0).normal(size=(T, 2, 2))
    y, _, _ = layer.forward(x)
    for t in range(T):
        expected = 0.5
        for k in range(kernel_size):
            if t - k * dilation >= 0:
                expected = expected + x[t - k * dilation] @ layer.params["W"][k]
        same(y[t], np.broadcast_to(expected, y[t].shape))
    x[-1] += 1  # the future
    assert np.array_equal(layer.forward(x)[0][:-1], y[:-1])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: mr.LuongAttention(2, 3).forward(np.ones((1, 2, 2))), "state: expected"),
        (lambda: randomised("Seq2Seq").forward(np.ones((3, 1, 2))), "x: expected a tuple of two"),
        (
            lambda: randomised("Seq2Seq").forward(example("Seq2Seq").x, None, [3, 3, 3]),
            "lengths: expected a tuple of two, got list",
        ),
    ],
)
def test_wrong_calls(call, words):
    with pytest.raises(TypeError, match=words):
        call()
