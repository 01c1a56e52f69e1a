"""Dynamic time warping (Sakoe & Chiba 1978): how words were recognised before there were networks.

The same word spoken twice is two sequences of different length, stretched here and squeezed there.
The distance of a (I, D) and b (J, D) is that of the best way to walk through both from beginning to
end, where each step goes on in a, in b, or in both. With d[i, j] = |a[i] - b[j]|::

    g[i, j]  = min(g[i-1, j] + d[i, j],  g[i-1, j-1] + 2 d[i, j],  g[i, j-1] + d[i, j])
    distance = g[I-1, J-1] / (I + J)

A recording is what its nearest neighbour among those of the training set is. Nothing is trained.
(The lattice of ``training/ctc.py`` is its descendant: sums in place of minima.)
"""

import numpy as np

from minirnn.engine import threads
from minirnn.engine.jit import jit, wide_vectors


def nearest(train, test):
    """For each of the sequences ``test`` the number of the nearest in ``train``; both are lists of
    arrays (n, D)."""
    one, others = (np.concatenate(part).astype(np.float32) for part in (test, train))
    ends = [np.cumsum([0, *map(len, part)]) for part in (test, train)]
    found = np.zeros(len(test), np.int64)
    longest = max(map(len, train))

    def run(share):
        scratch = np.empty((2, longest + 1)), np.empty(longest)
        neighbours(*share, one, ends[0], others, ends[1], *scratch, found)

    n = min(threads.get_num_threads(), len(test))
    threads.each(run, [(len(test) * k // n, len(test) * (k + 1) // n) for k in range(n)])
    return found


@jit
def neighbours(first, last, a, a_ends, b, b_ends, g, d, found):
    """g: two rows of the table, of which only the row before is needed; d: one row of distances."""
    for n in range(first, last):
        n_a, best = a_ends[n + 1] - a_ends[n], np.inf
        for m in range(len(b_ends) - 1):
            n_b = b_ends[m + 1] - b_ends[m]
            before, now = g[0], g[1]
            before[:] = np.inf
            before[0] = 0
            for i in range(n_a):
                distances(a[a_ends[n] + i], b[b_ends[m] : b_ends[m + 1]], d)
                now[0] = np.inf
                for j in range(n_b):  # g[i, j] stands at j + 1
                    way = min(before[j + 1] + d[j], before[j] + 2 * d[j])
                    now[j + 1] = min(way, now[j] + d[j])
                before, now = now, before
            if before[n_b] / (n_a + n_b) < best:
                best, found[n] = before[n_b] / (n_a + n_b), m


@jit
def distances(row, others, d):
    """d[j] = |row - others[j]|."""
    wide_vectors()
    for j in range(len(others)):
        total = row[0] - row[0]
        for k in range(len(row)):
            difference = row[k] - others[j, k]
            total += difference * difference
        d[j] = np.sqrt(total)
