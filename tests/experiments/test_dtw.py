"""Dynamic time warping against its definition."""

import functools

import numpy as np

import minirnn as mr
from minirnn.experiments.dtw import nearest


def distance(a, b):
    """By the definition, as a recursion."""

    @functools.cache
    def g(i, j):
        d = np.sqrt(np.sum((a[i] - b[j]) ** 2))
        if i == j == 0:
            return 2 * d
        ways = [g(i - 1, j) + d] if i else []
        ways += [g(i, j - 1) + d] if j else []
        ways += [g(i - 1, j - 1) + 2 * d] if i and j else []
        return min(ways)

    return g(len(a) - 1, len(b) - 1) / (len(a) + len(b))


def draw(seed, n):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(rng.integers(1, 8), 3)) for _ in range(n)]


def test_the_nearest_is_that_of_the_definition_for_any_number_of_threads():
    train, test = draw(0, 12), draw(1, 7)
    expected = [int(np.argmin([distance(a, b) for b in train])) for a in test]
    before = mr.get_num_threads()
    try:
        for n in (1, 3):
            mr.set_num_threads(n)
            assert nearest(train, test).tolist() == expected
    finally:
        mr.set_num_threads(before)


def test_a_sequence_is_nearest_to_itself_spoken_slowly():
    train = draw(2, 10)
    slow = [np.repeat(a, 3, axis=0) for a in train]
    assert nearest(train, slow).tolist() == list(range(10))
