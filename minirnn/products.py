"""Matrix products, on which a network spends most of its time.

A BLAS, made for large matrices, copies both factors into an order of its own for each product. In
a loop over time there are only the B rows of a step, and the weights are the same at every step: to
copy them takes as long as to multiply by them. Here this is done once for the whole sequence, by
``panels``, and ``add_product`` multiplies by those, within the loop or, in ``times``, over all
steps at once. Where both factors are as long as the sequence, for the gradients of the weights,
NumPy's BLAS is faster.
"""

import itertools

import numpy as np

from minirnn import threads
from minirnn._jit import for_kernels, jit
from minirnn._memory import empty
from minirnn._tile import MOST_ROWS, MOST_TERMS, WIDTH, tile

# Infinities and NaN go through layers without a word: ``fit`` stops at them and says where.
quiet = np.errstate(over="ignore", invalid="ignore")


def times(x: np.ndarray, W: np.ndarray, b: np.ndarray | float = 0) -> np.ndarray:
    """``x W + b`` at every step: x (..., D), W (D, K), b (K,) or a number, to (..., K)."""
    D, K = W.shape
    a = empty((*x.shape[:-1], K), x.dtype)
    rows, out = for_kernels(x).reshape(-1, D), a.reshape(-1, K)
    start, W_panels = np.full((1, K), b, x.dtype), panels(W)

    def some(first, last):
        add_product(start, rows[first:last], W_panels, out[first:last])

    threads.each_row(some, len(rows), rows.size * K)
    return a


def weight_gradients(da: np.ndarray, *inputs: np.ndarray | int) -> list[np.ndarray]:
    """The gradients of W_x, W_h and so on in ``a = x W_x + h W_h + b``, from da (..., K).

    Of each input x (..., D) it is ``x^T da``, (D, K), summed over all steps and rows. The bias is
    the weight of an input that is always 1; its gradient (K,) is the sum of da. With the inputs
    side by side, ``[x h 1]^T da``, this is a single product.
    """
    da = da.reshape(-1, da.shape[-1])
    n, K = da.shape
    rows = [np.full((n, 1), x) if isinstance(x, int) else x.reshape(n, x.shape[-1]) for x in inputs]
    ends = list(itertools.accumulate(x.shape[1] for x in rows))
    columns = [slice(end - x.shape[1], end) for x, end in zip(rows, ends, strict=True)]
    side_by_side = empty((n, ends[-1]), da.dtype)

    def lay(block):
        for x, those in zip(rows, columns, strict=True):
            side_by_side[block, those] = x[block]

    def of_rows(block):
        lay(block)
        return side_by_side[block].T @ da[block]

    def of_columns(block):
        np.matmul(side_by_side.T, da[:, block], out=total[:, block])

    with threads.OneBlasThread():
        if n < K:  # two halves of the longer side
            lay(slice(n))
            total = empty((ends[-1], K), da.dtype)
            threads.each(of_columns, threads.blocks(K, side_by_side.size * K))
        else:
            total, *others = threads.each(of_rows, threads.blocks(n, side_by_side.size * K))
            for part in others:
                total += part
    return [
        total[c][0] if isinstance(x, int) else total[c]
        for c, x in zip(columns, inputs, strict=True)
    ]


def panels(W: np.ndarray) -> np.ndarray:
    """W (K, N) as P panels (P, K, C): panel p is ``W[:, p*C : p*C + C]`` in memory of its own, as
    wide as a tile; the last one is filled up with zeros."""
    K, N = W.shape
    C = WIDTH // W.itemsize
    cut = empty((-(-N // C), K, C), W.dtype)
    cut[-1:] = 0
    at_once = 16 if W.flags.c_contiguous else K  # rows of W: to go through memory in its order
    threads.each_row(cut_up, len(cut), threads.PER_NUMBER * W.size, W, cut, at_once)
    return cut


@jit
def cut_up(first, last, W, cut, at_once):
    """Fill the panels first:last with the columns of W."""
    _, K, C = cut.shape
    for k in range(0, K, at_once):
        for p in range(first, last):
            for r in range(k, min(k + at_once, K)):
                row, panel_row = W[r, p * C : p * C + C], cut[p, r]
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
        for k in range(0, K, MOST_TERMS):
            terms = slice(k, k + MOST_TERMS)
            for p in range(P):
                columns = slice(p * C, p * C + C)
                so_far = start[start_rows, columns] if k == 0 else out[rows, columns]
                tile(so_far, left[rows, terms], W[p, terms], out[rows, columns])
