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
    for x, target, lengths in batches.buckets(sequences, targets, size, seed, stepwise):
        assert x.shape[1] <= size and x.shape[0] == lengths.max()
        padding += np.sum(lengths.max() - lengths)
        for b, n in enumerate(lengths):
            own = target[:n, b].tolist() if stepwise and target.ndim == 2 else target[b]
            found.append((x[:n, b].tolist(), own))
    assert sorted(found) == sorted(zip(sequences, targets, strict=True))
    ordered = sorted(map(len, sequences))
    least = sum(max(g) * len(g) - sum(g) for g in (ordered[k : k + size] for k in range(0, len(ordered), size)))  # fmt: skip  # noqa: E501
    assert padding == least


def test_a_vector_a_sequence_is_never_taken_for_a_target_a_step():
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=(n, 2)) for n in (3, 3, 3, 5, 5, 5)]
    ts = [np.array([k, 10.0 * k, 100.0 * k]) for k in range(6)]
    for x, target, lengths in batches.buckets(xs, ts, 3, rng=0):
        assert target.shape == (3, 3)
        for b, n in enumerate(lengths):
            own = next(k for k in range(6) if np.array_equal(xs[k], x[:n, b]))
            assert np.array_equal(target[b], ts[own])


def test_where_a_target_a_step_and_a_vector_would_both_fit_one_has_to_say():
    xs = [np.full((3, 1), k) for k in range(3)]
    ts = [np.array([k, 10 * k, 100 * k]) for k in range(3)]
    with pytest.raises(ValueError, match=r"stepwise: expected True .* or False .*fit both"):
        batches.buckets(xs, ts, 3, 0)
    for stepwise in (False, True):
        ((x, target, _),) = batches.buckets(xs, ts, 3, 0, stepwise)
        target = target if stepwise else target.T
        assert np.array_equal(target, x[..., 0] * [[1], [10], [100]])
    x, t = np.zeros((3, 3, 1)), np.arange(9).reshape(3, 3)
    with pytest.raises(ValueError, match="stepwise: expected True"):
        next(batches.shuffled(x, t, 3, 0))
    assert np.array_equal(np.sort(next(batches.shuffled(x, t, 3, 0, True)).target, axis=1), t)
    assert np.array_equal(np.sort(next(batches.shuffled(x, t, 3, 0, False)).target, axis=0), t)


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
    batch = next(batches.shuffled(x, target, 4, 0, mask=np.ones(6)))
    assert repr(batch) == (
        "MaskedBatch(x (5, 4, 2) float32, target (4,) int64, lengths None, mask (4,) float64)"
    )


X = np.arange(5 * 7.0).reshape(5, 7, 1)  # (T, N, 1)
ENDS = np.array([5, 1, 3, 2, 5, 4, 1])
TARGETS = {True: 100 + X, False: 100 + X[0]}
MASKS = {
    "none": None,
    "a sequence": np.arange(7) / 2,
    "a target": {True: X[..., 0] + 1, False: np.arange(7.0)[:, None] + 1},
    "an output": {True: X + 1, False: np.arange(7.0)[:, None] + 1},
}


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("stepwise", [True, False])
@pytest.mark.parametrize("ends", [None, ENDS], ids=["equal", "ends"])
@pytest.mark.parametrize("how", ["shuffled", "buckets"])
def test_every_target_keeps_its_sequence_its_end_and_its_weight(how, ends, stepwise, kind):
    target, mask = TARGETS[stepwise], MASKS[kind]
    mask = mask[stepwise] if isinstance(mask, dict) else mask
    lengths = np.full(7, 5) if ends is None else ends
    if how == "shuffled":
        found = list(batches.shuffled(X, target, 3, 0, lengths=ends, mask=mask))
        assert [batch.x.shape for batch in found] == [(5, 3, 1), (5, 3, 1), (5, 1, 1)]
    else:
        cut = lambda a, k: a[: lengths[k], k] if stepwise and a.ndim > 1 else a[k]  # noqa: E731
        xs = [X[: lengths[k], k] for k in range(7)]
        masks = None if mask is None else [cut(mask, k) for k in range(7)]
        found = batches.buckets(xs, [cut(target, k) for k in range(7)], 3, 0, stepwise, masks)
    seen = []
    for batch in found:
        x, own, n, m = (*batch, None, None)[:4]
        has_ends = ends is not None or how == "buckets"
        assert len(batch) == (4 if mask is not None else 3 if has_ends else 2)
        assert (n is not None) == has_ends
        for b in range(x.shape[1]):
            k = int(x[0, b, 0])
            seen.append(k)
            T = lengths[k]
            assert n is None or n[b] == T
            assert np.array_equal(x[:T, b], X[:T, k])
            if stepwise:
                assert np.array_equal(own[:T, b], target[:T, k])
            else:
                assert np.array_equal(own[b], target[k])
            if mask is None:
                continue
            assert m.shape == own.shape[: m.ndim]
            if stepwise:
                right = mask[k] if mask.ndim == 1 else mask[:T, k]
                assert (m[:T, b] == right).all() and not m[T:, b].any()
            else:
                assert np.array_equal(m[b], mask[k])
    assert sorted(seen) == list(range(7))


def test_fit_takes_every_batch_and_counts_what_the_mask_says():
    model = mr.Sequential(mr.GRU(1, 3, rng=0), mr.Linear(3, 1, rng=1))
    x, weights = X / 10, np.arange(7) / 2
    inside = np.arange(5)[:, None] < ENDS
    expected, _ = mr.mse(model.forward(x)[0], x, inside * weights)
    listed = [x[:n, k] for k, n in enumerate(ENDS)]
    for data in (
        list(batches.shuffled(x, x, 3, 0, lengths=ENDS, mask=weights)),
        batches.buckets(listed, listed, 3, 0, masks=weights),
    ):
        history = mr.fit(model, mr.mse, data, mr.SGD(0), 1)
        assert history.loss[0] == pytest.approx(expected, rel=1e-13)


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
        (lambda: batches.buckets([[1], [2, 3]], [[1], [2]], 2, 0, True), "targets: .*got neither"),
        (lambda: batches.buckets([[1], [2, 3]], [[1], [2, 3, 4]], 2), "targets: .*got neither"),
        (lambda: batches.buckets([[1], 2], [1, 2], 2), "sequences: .*got a single number"),
        (lambda: batches.buckets([[1]], [np.ma.masked], 1), r"targets\[0\]: .*without gaps"),
        (lambda: batches.pad([[1], ["a"]]), r"sequences\[1\]: expected real numbers"),
        (lambda: batches.pad(None), "sequences: expected a list of arrays, got None"),
        (lambda: batches.pad({1: 2}), "sequences: expected a list of arrays"),
        (lambda: batches.pad([[1]], np.nan), "value: expected a number that int64 can hold"),
        (lambda: batches.pad([[1]], 0.5), "value: expected a number that int64 can hold"),
        (lambda: batches.stream([1, 1j], 1, 1).__next__(), "tokens: expected real numbers"),
        (
            lambda: next(batches.shuffled(np.zeros((9, 5, 1)), np.zeros(9), 3)),
            r"target: expected one for each sequence of x \(9, 5, 1\).*batch first, but time",
        ),
        (
            lambda: next(batches.shuffled(X, X, 3, lengths=[1] * 5)),
            r"lengths: expected one for each of 7 .*got shape \(5,\); x may be batch first",
        ),
        (
            lambda: next(batches.shuffled(X, X, 3, lengths=[6] * 7)),
            "lengths: expected values in 0..5",
        ),
        (
            lambda: next(batches.shuffled(X, X, 3, mask=np.ones(5))),
            r"mask: expected shape \(7,\), one for each sequence, or .*got \(5,\); x may be batch",
        ),
        (
            lambda: next(batches.shuffled(X, X[0], 3, mask=np.ones((5, 7)))),
            r"mask: expected shape \(7,\).*target's shape \(7, 1\), got \(5, 7\)",
        ),
        (
            lambda: batches.buckets([[1], [2, 3]], [[1], [2, 3]], 2, masks=[1]),
            "masks: expected one for each of 2 targets, got 1",
        ),
        (
            lambda: batches.buckets([[1], [2, 3]], [[1], [2, 3]], 2, masks=[[1], [1]]),
            r"masks\[1\]: expected one number, or .*target \(2,\), .*got shape \(1,\)",
        ),
        (
            lambda: batches.buckets([[1], [2, 3]], [[1], [2, 3]], 2, masks=[[1], 1]),
            r"masks\[1\]: expected one number.*alike for all",
        ),
    ],
)
def test_wrong_calls(call, words):
    with pytest.raises((ValueError, TypeError), match=words):
        call()
