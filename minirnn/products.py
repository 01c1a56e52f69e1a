"""Matrix products: one over all time steps at once, and one at every step.

Outside of a loop over time, a product with all its T*B rows is left to NumPy's BLAS, which runs
near the peak of the processor. Within, there are only the B rows of a step, and the BLAS, made for
large matrices, copies both factors into an order of its own for each product; but the weights are
the same at every step, and to copy them takes as long as to multiply by them. Here this is done
once for the whole sequence, by ``panels``, and ``add_product`` multiplies by those.
"""

import itertools

import numpy as np

from minirnn import threads
from minirnn._jit import jit
from minirnn._memory import empty
from minirnn._tile import MOST_ROWS, MOST_TERMS, WIDTH, tile

# Infinities and NaN go through layers without a word: ``fit`` stops at them and says where.
quiet = np.errstate(over="ignore", invalid="ignore")


def times(x: np.ndarray, W: np.ndarray, b: np.ndarray | float = 0) -> np.ndarray:
    """``x W + b`` at every step: x (..., D), W (D, K), b (K,), to (..., K)."""
    a = empty((*x.shape[:-1], W.shape[1]), x.dtype)
    rows, out = x.reshape(-1, x.shape[-1]), a.reshape(-1, W.shape[1])

    def of_some(block):
        np.matmul(rows[block], W, out=out[block])
        if np.ndim(b):
            out[block] += b

    with threads.OneBlasThread():
        threads.each(of_some, threads.blocks(len(rows), rows.size * W.shape[1]))
    return a


def weight_gradients(da: np.ndarray, *inputs: np.ndarray | int) -> list[np.ndarray]:
    """The gradients of W_x, W_h and so on in ``a = x W_x + h W_h + b``, from da (..., K).

    Of each input x (..., D) it is ``x^T da``, (D, K), summed over all steps and rows. The bias is
    the weight of an input that is always 1; its gradient (K,) is the sum of da. With the inputs
    side by side, ``[x h 1]^T da``, this is a single product.
    """
    da = da.reshape(-1, da.shape[-1])
    n = len(da)
    rows = [np.full((n, 1), x) if isinstance(x, int) else x.reshape(n, x.shape[-1]) for x in inputs]
    ends = list(itertools.accumulate(x.shape[1] for x in rows))
    columns = [slice(end - x.shape[1], end) for x, end in zip(rows, ends, strict=True)]
    side_by_side = empty((n, ends[-1]), da.dtype)

    def of_some(block):
        for x, those in zip(rows, columns, strict=True):
            side_by_side[block, those] = x[block]
        return side_by_side[block].T @ da[block]

    with threads.OneBlasThread():
        blocks = threads.blocks(n, side_by_side.size * da.shape[1])
        total, *others = threads.each(of_some, blocks)
    for part in others:
        total += part
    return [
        total[c][0] if isinstance(x, int) else total[c]
        for c, x in zip(columns, inputs, strict=True)
    ]


# ---- Within a loop over time --------------------------------------------------------------------


def panels(W: np.ndarray) -> np.ndarray:
    """W (K, N) as P panels (P, K, C): panel p is ``W[:, p*C : p*C + C]`` in memory of its own, as
    wide as a tile; the last one is filled up with zeros."""
    K, N = W.shape
    C = WIDTH // W.itemsize
    cut = empty((-(-N // C), K, C), W.dtype)
    cut[-1:] = 0
    threads.each_row(cut_up, len(cut), 20 * W.size, W, cut)
    return cut


@jit
def cut_up(first, last, W, cut):
    """Fill the panels first:last with the columns of W."""
    _, K, C = cut.shape
    for p in range(first, last):
        for k in range(K):
            row, panel_row = W[k, p * C : p * C + C], cut[p, k]
            for j in range(len(row)):
                panel_row[j] = row[j]


@jit
def add_product(start, left, W, out):
    """``out = start + left W``: out (M, N), start likewise, which may be the same, or one row
    (1, N) for all, left (M, K), and W (P, K, C), the panels of a matrix (K, N). Each sum runs over
    k = 0 ... K-1 in this order, so that a row's result does not depend on how many rows there are.
    """
    (M, N), (P, K, C) = out.shape, W.shape
    if start.shape not in ((M, N), (1, N)) or left.shape != (M, K) or not 0 <= P * C - N < C:
        raise ValueError("matrices whose sizes do not fit")
    for first in range(0, M, MOST_ROWS):
        rows = slice(first, first + MOST_ROWS)
        start_rows = rows if len(start) == M else slice(0, 1)
        for p in range(P):
            columns = slice(p * C, p * C + C)
            out_part, so_far = out[rows, columns], start[start_rows, columns]
            for k in range(0, K, MOST_TERMS):
                terms = slice(k, k + MOST_TERMS)
                tile(so_far, left[rows, terms], W[p, terms], out_part)
                so_far = out_part
