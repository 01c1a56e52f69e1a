"""From logits to labels: against the sum over all paths, and distances against a recursion."""

import functools
import itertools

import numpy as np
import pytest

import minirnn as mr
from minirnn.labelling import padded


def spelled(path, blank=0):
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def all_labels(logits, blank=0):
    """The probability of every label sequence, for logits (T, V): over all paths."""
    T, V = logits.shape
    y = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = {}
    for path in itertools.product(range(V), repeat=T):
        labels = spelled(path, blank)
        found[labels] = found.get(labels, 0) + np.prod(y[range(T), path])
    return found


def draw(seed, T=5, B=4, V=3):
    return np.random.default_rng(seed).normal(size=(T, B, V)) * 1.5


def lists(labels):
    return [tuple(labels.tokens[:n, b]) for b, n in enumerate(labels.lengths)]


@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_finds_the_likeliest_labels(seed):
    blank, logits = seed % 3, draw(seed)
    found = mr.ctc_decode(logits, beam=200, blank=blank)
    for b, labels in enumerate(lists(found)):
        p = all_labels(logits[:, b], blank)
        assert labels == max(p, key=p.get)
        assert found.log_probability[b] == pytest.approx(np.log(p[labels]), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_bigram_changes_what_is_likeliest(seed):
    logits = draw(seed)
    bigram = np.random.default_rng(seed + 10).normal(size=(3, 3)) * 2
    found = mr.ctc_decode(logits, beam=200, bigram=bigram)
    for b, labels in enumerate(lists(found)):
        score = {
            own: np.log(p) + sum(bigram[i, j] for i, j in itertools.pairwise((0, *own, 0)))
            for own, p in all_labels(logits[:, b]).items()
        }
        # Nothing at all has no pair of labels; it begins and ends in the blank.
        score[()] = np.log(all_labels(logits[:, b])[()]) + bigram[0, 0]
        assert labels == max(score, key=score.get)


def test_a_wider_beam_finds_no_less_likely_labels_here():
    logits = draw(7, T=12, B=6, V=4)
    found = [mr.ctc_decode(logits, beam=n).log_probability for n in (2, 8, 64)]
    assert (found[0] <= found[1] + 1e-12).all() and (found[1] <= found[2] + 1e-12).all()


def test_the_best_path_need_not_spell_the_likeliest_labels():
    logits = np.log([[[0.6, 0.4]], [[0.6, 0.4]]])
    best, likeliest = mr.ctc_decode(logits), mr.ctc_decode(logits, beam=2)
    assert lists(best) == [()]
    assert lists(likeliest) == [(1,)]
    assert np.exp([best.log_probability, likeliest.log_probability]).ravel() == pytest.approx(
        [0.36, 0.64]
    )


@pytest.mark.parametrize("beam", [1, 3])
def test_what_a_clear_path_spells(beam):
    path = [0, 1, 1, 0, 1, 2, 2, 0, 0, 3]
    logits = np.full((10, 1, 4), -50.0)
    logits[range(10), 0, path] = 0
    found = mr.ctc_decode(logits, beam=beam)
    assert found.tokens.ravel().tolist() == [1, 1, 2, 3]
    assert found.log_probability[0] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("beam", [1, 4])
def test_what_is_past_the_end_says_nothing(beam):
    logits, lengths = draw(0, T=6), np.array([6, 2, 0, 4])
    found = mr.ctc_decode(logits, lengths, beam)
    spoiled = np.where(np.arange(6)[:, None, None] < lengths[:, None], logits, np.nan)
    again = mr.ctc_decode(spoiled, lengths, beam)
    for a, b in zip(found, again, strict=True):
        assert np.array_equal(a, b)
    alone = [mr.ctc_decode(logits[:n, [b]], None, beam) for b, n in enumerate(lengths) if n]
    assert [lists(a)[0] for a in alone] == [
        own for own, n in zip(lists(found), lengths, strict=True) if n
    ]
    assert found.lengths[2] == found.log_probability[2] == 0


def test_labels_that_are_impossible_are_not_read():
    logits = np.zeros((4, 1, 3))
    logits[..., 1:] = -np.inf
    for beam in (1, 5):
        found = mr.ctc_decode(logits, beam=beam)
        assert found.lengths.tolist() == [0]
        assert found.log_probability.tolist() == [0]


# ---- Alignment ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_alignment_is_the_likeliest_path_that_spells_the_target(seed):
    logits, target = draw(seed), padded([[1, 2], [], [1, 1], [2]])
    lengths = np.array([5, 3, 4, 1])
    paths = mr.ctc_align(logits, target, lengths)
    for b, n in enumerate(lengths):
        labels = tuple(target[target[:, b] >= 0, b])
        every = [p for p in itertools.product(range(3), repeat=int(n)) if spelled(p) == labels]
        best = max(every, key=lambda p: sum(logits[t, b, k] for t, k in enumerate(p)))
        assert paths[:n, b].tolist() == list(best)
        assert (paths[n:, b] == -1).all()


# ---- Errors -------------------------------------------------------------------------------------


@functools.cache
def distance(a, b):
    """By the definition: what to do with the last of each."""
    if not a or not b:
        return len(a) + len(b)
    return min(
        distance(a[:-1], b) + 1, distance(a, b[:-1]) + 1,
        distance(a[:-1], b[:-1]) + (a[-1] != b[-1]),
    )  # fmt: skip


def test_the_edit_distance_is_that_of_its_definition():
    assert mr.edit_distance("kitten", "sitting") == 3
    rng = np.random.default_rng(0)
    for _ in range(100):
        a, b = (tuple(rng.integers(0, 3, rng.integers(0, 7)).tolist()) for _ in range(2))
        assert mr.edit_distance(a, b) == distance(a, b)
    assert mr.edit_distance(np.array([1, 2]), [1, 3, 2]) == 1


def test_the_label_error_rate_counts_by_labels():
    target = padded([[1, 2, 3], [4], []])
    assert mr.label_error_rate(target, target) == 0
    assert mr.label_error_rate(padded([[1, 3], [4, 4], [1]]), target) == pytest.approx(3 / 4)
    assert mr.label_error_rate(padded([[], [], []]), target) == 1


# ---- What cannot be right -----------------------------------------------------------------------

X, ONE = np.zeros((4, 2, 3)), [[1, 1]]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: mr.ctc_decode(X[0]), r"logits: expected shape \(T, B, V\), got \(2, 3\)"),
        (lambda: mr.ctc_decode(X + np.nan), r"logits: expected finite.*got nan at \(0, 0\)"),
        (lambda: mr.ctc_decode(X + np.inf), "logits: expected finite numbers or -inf.*got inf"),
        (lambda: mr.ctc_decode(X - np.inf), "logits: expected .* not all -inf, got -inf"),
        (lambda: mr.ctc_decode(X, [5, 1]), r"lengths: expected values in 0..4, got 1..5"),
        (lambda: mr.ctc_decode(X, beam=0), "beam: expected a whole number of at least 1, got 0"),
        (lambda: mr.ctc_decode(X, blank=3), r"blank: expected a label in 0..2, got 3"),
        (lambda: mr.ctc_decode(X, bigram=np.zeros((3, 3))), "bigram: expected None with beam=1"),
        (lambda: mr.ctc_decode(X, beam=2, bigram=np.zeros(3)), r"bigram: expected shape \(3, 3\)"),
        (lambda: mr.ctc_decode(X, beam=2, bigram=np.full((3, 3), np.nan)), "bigram: .*got nan"),
        (lambda: mr.ctc_align(X, ONE * 3), "target: expected labels that 4 steps can spell"),
        (lambda: mr.ctc_align(X, [[3, 1]]), r"target: expected whole numbers in 0..2"),
        (lambda: mr.ctc_align(np.where(np.arange(3) == 1, -np.inf, X), ONE),
         "logits: expected a path with p > 0 in sequence 0"),
        (lambda: mr.label_error_rate([[1]], ONE), "tokens: expected 2 sequences.*got 1"),
        (lambda: mr.label_error_rate([1], ONE), r"tokens: expected labels of shape \(S, B\)"),
        (lambda: mr.label_error_rate(ONE, [[-1, -1]]), "target: expected at least one label"),
        (lambda: mr.label_error_rate(ONE, [[-1, 1], [1, 1]]), "target: expected -1 after"),
        (lambda: mr.label_error_rate([[-2, 1]], ONE), "tokens: expected labels, or -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("bad", [1, None, {1, 2}, [[1, 2], [3, 4]]])
def test_an_edit_distance_is_of_sequences(bad):
    with pytest.raises(TypeError, match="b: expected a text or a sequence of labels, got"):
        mr.edit_distance([1], bad)
