"""Padding, buckets of similar length, and the pieces of a stream."""

import numpy as np
import pytest
from cases import same
from hypothesis import given
from hypothesis import strategies as st

import minirnn as mr
from minirnn.datasets import batches

sequences = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=30)


@given(sequences=sequences, value=st.integers(-3, 3))
def test_padding_keeps_every_sequence(sequences, value):
    x, lengths = batches.pad(sequences, value)
    assert x.shape == (max(map(len, sequences)), len(sequences))
    for b, sequence in enumerate(sequences):
        assert x[: lengths[b], b].tolist() == sequence
        assert (x[lengths[b] :, b] == value).all()


@given(sequences=sequences, size=st.integers(1, 7), seed=st.integers(0, 99), stepwise=st.booleans())
def test_buckets_hold_every_sequence_once_with_its_target(sequences, size, seed, stepwise):
    targets = [[-t for t in s] for s in sequences] if stepwise else [sum(s) for s in sequences]
    found, padding = [], 0
    for x, target, lengths in batches.buckets(sequences, targets, size, seed):
        assert x.shape[1] <= size and x.shape[0] == lengths.max()
        padding += np.sum(lengths.max() - lengths)
        for b, n in enumerate(lengths):
            own = target[:n, b].tolist() if stepwise and target.ndim == 2 else target[b]
            found.append((x[:n, b].tolist(), own))
    assert sorted(found) == sorted(zip(sequences, targets, strict=True))
    ordered = sorted(map(len, sequences))
    least = sum(max(g) * len(g) - sum(g) for g in (ordered[k : k + size] for k in range(0, len(ordered), size)))  # fmt: skip  # noqa: E501
    assert padding == least


def test_buckets_are_shuffled_the_same_way_for_the_same_seed():
    sequences = [[k] * (1 + k % 3) for k in range(30)]
    first, again, other = (batches.buckets(sequences, range(30), 4, seed) for seed in (1, 1, 2))
    same(first, again, 0)
    assert [b[1].tolist() for b in first] != [b[1].tolist() for b in other]
    assert [len(b[0]) for b in first] != sorted(len(b[0]) for b in first)


@given(n=st.integers(2, 60), B=st.integers(1, 5), steps=st.integers(1, 9))
def test_a_stream_goes_on_from_batch_to_batch(n, B, steps):
    tokens = np.arange(n)
    if n - 1 < B:
        with pytest.raises(ValueError, match="tokens: expected at least batch_size"):
            list(batches.stream(tokens, B, steps))
        return
    pieces = list(batches.stream(tokens, B, steps))
    x, target = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    assert (np.diff(x, axis=0) == 1).all() and np.array_equal(target, x + 1)
    assert all(len(p) == steps for p, _ in pieces[:-1])
    assert x[0].tolist() == [len(x) * b for b in range(B)]
    assert n - 1 - x.size < B  # no more than that is left out


def test_a_batch_is_a_tuple_that_shows_its_shapes():
    x, target = np.zeros((5, 6, 2), np.float32), np.arange(6)
    batch = next(batches.shuffled(x, target, 4, 0))
    assert repr(batch) == "Batch(x (5, 4, 2) float32, target (4,) int64)"
    (batch,) = batches.buckets([[1.0, 2.0], [3.0]], [0, 1], 2, 0)
    assert repr(batch) == "PaddedBatch(x (2, 2) float64, target (2,) int64, lengths (2,) int64)"
    assert batch == (batch.x, batch.target, batch.lengths) and isinstance(batch, tuple)


def test_stateful_training_is_truncated_bptt_over_the_stream():
    tokens = np.random.default_rng(0).integers(0, 5, 81)
    results = []
    for stateful in (True, False):
        model = mr.Sequential(
            mr.Embedding(5, 3, rng=0), mr.GRU(3, 4, rng=1), mr.Linear(4, 5, rng=2)
        )
        mr.fit(
            model, mr.softmax_cross_entropy, lambda rng: batches.stream(tokens, 4, 5),
            mr.SGD(lr=0.1), 2, stateful=stateful, progress=False,
        )  # fmt: skip
        results.append({k: p.copy() for k, p in model.params.items()})
    model = mr.Sequential(mr.Embedding(5, 3, rng=0), mr.GRU(3, 4, rng=1), mr.Linear(4, 5, rng=2))
    x, target = next(batches.stream(tokens, 4, 20))
    sgd = mr.SGD(lr=0.1)
    for _ in range(2):
        for _, grads, _ in mr.truncated_bptt(model, mr.softmax_cross_entropy, x, target, 5, 5):
            sgd.step(model.params, grads)
    same(results[0], dict(model.params), 1e-12)
    assert not np.allclose(results[1]["1.W_h"], model.params["1.W_h"], rtol=1e-6)


def test_stateful_validation_carries_the_state_too():
    from minirnn.training.bptt import evaluate
    from minirnn.training.fit import batches_of

    tokens = np.random.default_rng(0).integers(0, 5, 80)
    model = mr.Sequential(mr.Embedding(5, 3, rng=0), mr.GRU(3, 4, rng=1), mr.Linear(4, 5, rng=2))
    pieces = list(batches.stream(tokens, 4, 6))
    ((x, target),) = batches.stream(tokens, 4, 100)
    whole = mr.softmax_cross_entropy(model.forward(x)[0], target)[0]
    loss = evaluate(model, mr.softmax_cross_entropy, batches_of(pieces, None, ""), stateful=True)
    assert loss == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: batches.pad([]), "sequences: expected at least one"),
        (lambda: batches.pad([np.ones((2, 3)), np.ones((2, 4))]), "sequences: .*except for n"),
        (
            lambda: batches.buckets([[1], [2]], [1], 2),
            "targets: expected one for each of 2 .*got 1",
        ),
        (lambda: batches.buckets([[1]], [1], 0), "batch_size: .*at least 1"),
    ],
)
def test_wrong_calls(call, words):
    with pytest.raises(ValueError, match=words):
        call()
