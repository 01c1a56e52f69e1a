"""Naive Bayes on n-grams agrees with counting by hand."""

import numpy as np
import pytest

from minirnn.commands import bayes

TEXTS = ["aab", "ab", "b", "bb", "ba"]
LABELS = np.array([0, 0, 1, 1, 1])


def softmax(a):
    p = np.exp(a - a.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def test_the_probabilities_are_those_of_counting_by_hand():
    counted = bayes.count(TEXTS, LABELS, 2, n=1, alpha=1.0)
    # Pieces: a, b, and a mark at both ends; by label 3 2 4 of 9, and 1 4 6 of 11. One is added.
    ends = (5 / 12) ** 2, (7 / 14) ** 2
    a, b = (4 / 12, 2 / 14), (3 / 12, 5 / 14)
    p = np.array([3 / 7 * ends[0] * a[0] * b[0], 4 / 7 * ends[1] * a[1] * b[1]])
    np.testing.assert_allclose(softmax(bayes.scores(counted, ["ab"]))[0], p / p.sum())
    unknown = softmax(bayes.scores(counted, ["abz"]))[0]  # what was never seen is left out
    np.testing.assert_allclose(unknown, p / p.sum())


def test_pieces_have_up_to_n_tokens_and_know_the_ends():
    found = bayes.pieces(["x", "y"], 2)
    assert found == ["\n", "x", "y", "\n", "\n\x1fx", "x\x1fy", "y\x1f\n"]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_scores_of_others_are_those_without_the_own_fold(n):
    counted = bayes.count(TEXTS, LABELS, 2, n, alpha=0.5)
    folds = np.array([0, 1, 1, 0, 2])
    found = bayes.scores_of_others(counted, TEXTS, LABELS, folds)
    for fold in range(3):
        rest = np.flatnonzero(folds != fold)
        others = bayes.count([TEXTS[k] for k in rest], LABELS[rest], 2, n, alpha=0.5)
        # The same pieces count, those that are only in the own fold too.
        table = np.zeros_like(counted.counts)
        for piece, row in others.rows.items():
            table[counted.rows[piece]] = others.counts[row]
        others = counted._replace(counts=table, texts=others.texts)
        own = np.flatnonzero(folds == fold)
        np.testing.assert_allclose(found[own], bayes.scores(others, [TEXTS[k] for k in own]))


def test_the_scale_is_that_of_the_lowest_cross_entropy():
    rng = np.random.default_rng(0)
    true = rng.normal(size=(4000, 3))
    labels = np.array([rng.choice(3, p=p) for p in softmax(true)])
    assert bayes.scale(4 * true, labels) == pytest.approx(0.25, abs=0.06)


def test_the_best_is_chosen_on_the_validation_part():
    # Which letter stands first says nothing, which pair there is says all.
    train = ["abab", "baba", "aabb", "bbaa"] * 5
    labels = np.array([0, 0, 1, 1] * 5)
    best = bayes.best(train, labels, ["ababab", "bbbaaa"], np.array([0, 1]), 2, 3)
    assert best.n == 2 and bayes.scores(best, ["ababab"]).argmax() == 0


def test_it_is_the_same_after_it_was_packed():
    counted = bayes.count(TEXTS, LABELS, 2, 3, 0.3)
    again = bayes.unpacked(bayes.packed(counted))
    assert again.rows == counted.rows and (again.n, again.alpha) == (3, 0.3)
    np.testing.assert_array_equal(again.counts, counted.counts)
    np.testing.assert_array_equal(bayes.scores(again, TEXTS), bayes.scores(counted, TEXTS))


def test_of_too_many_pieces_the_most_frequent_are_kept(monkeypatch):
    monkeypatch.setattr(bayes, "MOST", 2)
    assert set(bayes.count(TEXTS, LABELS, 2, 1, 1.0).rows) == {"\n", "b"}
    monkeypatch.setattr(bayes, "LARGEST", 2)  # of two labels one piece
    assert set(bayes.count(TEXTS, LABELS, 2, 1, 1.0).rows) == {"\n"}
