"""Matrix products: one over all time steps at once, and one at every step.

Outside of a loop over time, a product with all its T*B rows is left to NumPy's BLAS, which runs
near the peak of the processor. Within, there are only the B rows of a step, and the BLAS, made for
large matrices, copies both factors into an order of its own for each product; but the weights are
the same at every step, and to copy them takes as long as to multiply by them. Here this is done
once for the whole sequence, by ``panels``, and ``add_product`` multiplies by those.
"""

import numpy as np

from minirnn import threads
from minirnn._jit import jit
from minirnn._memory import empty
from minirnn._tile import ROWS, WIDTH, tile

# Infinities and NaN go through layers without a word: ``fit`` stops at them and says where.
quiet = np.errstate(over="ignore", invalid="ignore")

SOME_ROWS = 64  # of a left factor: these stay in the cache nearest to the processor


def times(x: np.ndarray, W: np.ndarray) -> np.ndarray:
    """``x W`` at every step: x (..., D), W (D, K), to (..., K)."""
    xW = empty((*x.shape[:-1], W.shape[1]), x.dtype)
    rows, out = x.reshape(-1, x.shape[-1]), xW.reshape(-1, W.shape[1])
    blocks = threads.blocks(len(rows), rows.size * W.shape[1])
    threads.each(lambda block: np.matmul(rows[block], W, out=out[block]), blocks)
    return xW


def weight_gradient(x: np.ndarray, da: np.ndarray) -> np.ndarray:
    """dW of ``a = x W``, summed over all steps and rows: x (..., D), da (..., K), to (D, K)."""
    rows, da = x.reshape(-1, x.shape[-1]), da.reshape(-1, da.shape[-1])
    blocks = threads.blocks(len(rows), rows.size * da.shape[1])
    parts = threads.each(lambda block: np.matmul(rows[block].T, da[block]), blocks)
    return sum_in_order(parts)


def sum_in_order(parts: list[np.ndarray]) -> np.ndarray:
    """The sum of the parts, from the first to the last; they are added into the first one."""
    for part in parts[1:]:
        parts[0] += part
    return parts[0]


def bias_gradient(da: np.ndarray) -> np.ndarray:
    """db of ``a = ... + b``, summed over all steps and rows: da (..., K), to (K,)."""
    return da.reshape(-1, da.shape[-1]).sum(axis=0)


# ---- Within a loop over time --------------------------------------------------------------------


@jit
def panels(W):
    """W (K, N) as P panels (P, K, C): panel p is ``W[:, p*C : p*C + C]`` in memory of its own, as
    wide as a tile; the last one is filled up with zeros."""
    K, N = W.shape
    C = WIDTH // W.itemsize
    cut = np.zeros((-(-N // C), K, C), W.dtype)
    for p in range(len(cut)):
        copy(W[:, p * C : p * C + C], cut[p])
    return cut


@jit
def copy(source, out):
    """Copy source into the top left corner of out."""
    for k in range(len(source)):
        row, out_row = source[k], out[k]
        for j in range(len(row)):
            out_row[j] = row[j]


@jit
def add_product(start, left, W, out):
    """``out = start + left W``: start and out (M, N), which may be the same, left (M, K), and W
    (P, K, C), the panels of a matrix (K, N). Each sum runs over k = 0 ... K-1 in this order, so
    that a row's result does not depend on how many rows there are."""
    (M, N), (P, K, C) = out.shape, W.shape
    if start.shape != out.shape or left.shape != (M, K) or not 0 <= P * C - N < C:
        raise ValueError("matrices whose sizes do not fit")
    scratch = np.zeros((ROWS if N < P * C else 0, C), out.dtype)
    for first in range(0, M, SOME_ROWS):
        for p in range(P):
            for m in range(first, min(first + SOME_ROWS, M), ROWS):
                place = slice(m, m + ROWS), slice(p * C, p * C + C)
                start_tile, left_rows, out_tile = start[place], left[m : m + ROWS], out[place]
                if out_tile.shape[1] == C:
                    tile(start_tile, left_rows, W[p], out_tile)
                else:  # the last panel is wider than out: work in scratch, copy back what fits
                    copy(start_tile, scratch)
                    wide = scratch[: len(left_rows)]
                    tile(wide, left_rows, W[p], wide)
                    copy(wide[:, : out_tile.shape[1]], out_tile)
