"""Matrix products, on which a network spends most of its time.

The BLAS (NumPy's library for products) is made for large matrices. For each product it copies both
factors into an order of its own. In a loop over time a step has B rows only, and the weights are
the same at every step: to copy them takes as long as to multiply by them. Here they are copied once
for the whole sequence, by ``panels``. ``add_product`` multiplies by these panels, within the loop
or, in ``times``, over all steps at once. For the gradients of the weights both factors are as long
as the sequence, and there the BLAS is faster.
"""

import itertools

import numpy as np
from numba import types
from numba.core import errors
from numba.extending import overload

from minirnn.engine import threads
from minirnn.engine.jit import compiled_once, in_place, jit
from minirnn.engine.memory import empty, for_kernels
from minirnn.engine.tile import MOST_PANELS, MOST_ROWS, MOST_TERMS, WIDTH, multiply_tiles, scratch

FEW_ROWS, AT_ONCE = 8, 32  # see product_of_step
ROWS_OF_A_BLOCK, COLUMNS_OF_A_BLOCK = 800, 512  # or more, for a product of the BLAS


def times(x: np.ndarray, W: np.ndarray, b: np.ndarray | float = 0) -> np.ndarray:
    """``x W + b`` at every step: x (..., D), W (D, K), b (K,) or a number, to (..., K)."""
    K = W.shape[1]
    a = empty((*x.shape[:-1], K), x.dtype)
    rows, out = for_kernels(x).reshape(-1, x.shape[-1]), a.reshape(-1, K)
    start, W_panels = np.full((1, K), b, x.dtype), panels(W)

    def of_rows(first, last):
        add_product(start, rows[first:last], W_panels, out[first:last])

    threads.each_row(of_rows, len(rows), rows.size * K)
    return a


def weight_gradients(da: np.ndarray, *inputs: np.ndarray | int) -> list[np.ndarray]:
    """The gradients of W_x, W_h and so on in ``a = x W_x + h W_h + b``, from da (..., K).

    Of each input x (..., D) it is ``x^T da``, (D, K), summed over all steps and rows. The bias is
    the weight of an input that is always 1; its gradient (K,) is the sum of da. With the inputs
    side by side, ``[x h 1]^T da``, this is a single product.

    The threads share it where that pays. A long sum over the rows is cut, and the parts are added.
    If there are more columns than rows, the columns are cut, and nothing need be added.
    """
    da = da.reshape(-1, da.shape[-1])
    n, K = da.shape
    xs = [np.full((n, 1), x) if isinstance(x, int) else x.reshape(n, x.shape[-1]) for x in inputs]
    ends = list(itertools.accumulate(x.shape[1] for x in xs))
    columns = [slice(end - x.shape[1], end) for x, end in zip(xs, ends, strict=True)]
    side_by_side = empty((n, ends[-1]), da.dtype)

    def fill(block):
        for x, those in zip(xs, columns, strict=True):
            side_by_side[block, those] = x[block]

    def of_rows(block):
        fill(block)
        return side_by_side[block].T @ da[block]

    def of_columns(block):
        np.matmul(side_by_side.T, da[:, block], out=total[:, block])

    def add_up(first, last):
        for part in parts:
            total[first:last] += part[first:last]

    work = side_by_side.size * K
    with threads.OneBlasThread():
        if n < K:
            fill(slice(n))
            total = empty((ends[-1], K), da.dtype)
            threads.each(of_columns, threads.blocks(K, work, COLUMNS_OF_A_BLOCK))
        else:
            total, *parts = threads.each(of_rows, threads.blocks(n, work, ROWS_OF_A_BLOCK))
            threads.each_row(add_up, len(total), threads.PER_NUMBER * total.size * len(parts))
    return [
        total[c][0] if isinstance(x, int) else total[c]
        for c, x in zip(columns, inputs, strict=True)
    ]


def panels(W: np.ndarray) -> np.ndarray:
    """W (K, N) as P panels (P, K, C): panel p is ``W[:, p*C : p*C + C]`` in memory of its own, as
    wide as a tile; the last one is filled up with zeros."""
    K, N = W.shape
    C = WIDTH // W.itemsize
    whole, rest = divmod(N, C)
    cut = empty((whole + (rest > 0), K, C), W.dtype)
    W_in_panels = W[:, : whole * C].reshape(K, whole, C).transpose(1, 0, 2)

    if W.size < threads.LARGE:
        cut[:whole] = W_in_panels
    else:

        def copy(first, last):
            cut[first:last] = W_in_panels[first:last]

        threads.each_row(copy, whole, threads.PER_NUMBER * W.size)
    if rest:
        cut[whole, :, :rest], cut[whole, :, rest:] = W[:, whole * C :], 0
    return cut


@jit
def add_product(start, left, W, out):
    """``out = start + left W``.

    out: (M, N). start: out itself, or (M, N), or one row (1, N) for all that does not overlap out.
    left: (M, K); it must not overlap out. W: (P, K, C), the panels of a matrix (K, N). The numbers
    of a row lie side by side in memory, and so do the rows of a panel. Each sum runs over
    k = 0 ... K-1 in this order, so that (compiled) a row's result does not depend on how many rows
    there are.

    64 rows of left at a time, which stay in the second cache, are multiplied by panel after panel,
    and by 256 rows of a panel at a time, which stay in the first.
    """
    compiled_once()
    (M, N), (P, K, C) = out.shape, W.shape
    fit = start.shape in ((M, N), (1, N)) and left.shape == (M, K) and 0 <= P * C - N < C
    if not fit or K == 0:
        raise ValueError("matrices whose sizes do not fit")
    rows_of_out = out.strides[1] == start.strides[1] == out.itemsize or N == 1
    rows_of_left = left.strides[1] == out.itemsize or K == 1
    rows_of_W = W.strides[2] == out.itemsize and (W.strides[1] == WIDTH or K == 1)
    if not (rows_of_out and rows_of_left and rows_of_W and C * out.itemsize == WIDTH):
        raise ValueError("a matrix whose rows do not lie side by side")
    at_once = MOST_PANELS if M == 1 else 1
    for first in range(0, M, MOST_ROWS):
        rows = slice(first, first + MOST_ROWS)
        start_rows = rows if len(start) == M else slice(0, 1)
        for p in range(0, P, at_once):
            columns = slice(p * C, (p + at_once) * C)
            out_part, so_far = out[rows, columns], start[start_rows, columns]
            for k in range(0, K, MOST_TERMS):
                terms = slice(k, k + MOST_TERMS)
                tile(so_far, left[rows, terms], W[p : p + at_once, terms], out_part)
                so_far = out_part


@in_place
def product_of_step(t, first, last, start, left, W, out):
    """``out[t] = start + left[t] W`` in the rows first:last, for a loop over t that has no other
    use for the products: left (T, B, K), start one row (1, N), W in panels, out (T, B, N).

    Few rows: the products of ``AT_ONCE`` steps are made at once, row by row, when t is the first of
    these steps. (One row by a matrix takes as long as to read the matrix.) So left must be known
    for all of them: in a loop that goes back in time, t is the last one that is reached. The bits
    do not change, see ``add_product``.
    """
    # The last colon changes the type only: the numbers of a row need not be followed by those of
    # the next one. So that Numba compiles one ``add_product``, it stands in the cells' loops, too.
    if last - first > FEW_ROWS:
        add_product(start[:, :], left[t, first:last, :], W, out[t, first:last, :])
    elif t % AT_ONCE == 0:
        steps = slice(t, min(t + AT_ONCE, len(left)))
        for row in range(first, last):
            add_product(start[:, :], left[steps, row, :], W, out[steps, row, :])


def tile(start, left, panels, out):
    """``out = start + left [panels side by side]``, with the sum over k in order.

    out (m, n), start (m, n) or one row (1, n) for all, left (m, K), panels (P, K, C), where C
    numbers fill ``WIDTH`` bytes, n is at most P*C, m at most ``MOST_ROWS``, and P is 1, or at most
    ``MOST_PANELS`` where m is 1. The numbers of a row lie side by side in memory, and so do the
    rows of a panel. start may be out, since a tile loads all of it before it stores; left may not.
    Where nothing is compiled, the line below runs, which rounds differently.
    """
    out[:] = start + (left @ np.concatenate(panels, axis=1))[:, : out.shape[1]]


@overload(tile)
def _compiled_tile(start, left, panels, out):
    if not start.dtype == left.dtype == panels.dtype == out.dtype:
        raise errors.TypingError("a product of numbers of several kinds")
    if out.dtype not in (types.float32, types.float64):
        raise errors.TypingError(f"a product of {out.dtype}, expected float32 or float64")

    def run(start, left, panels, out):
        (m, n), (P, _, C) = out.shape, panels.shape
        whole_start, whole_out = start, out
        if n < P * C:  # vectors are loaded and stored whole, so in a matrix of full width
            whole_start = whole_out = scratch(out, P)  # type: ignore[call-arg]
            for row in range(m):
                for j in range(P * C):
                    whole_start[row, j] = start[row % len(start), j] if j < n else 0
        multiply_tiles(whole_start, left, panels, whole_out)  # type: ignore[call-arg]
        if n < P * C:
            for row in range(m):
                for j in range(n):
                    out[row, j] = whole_out[row, j]

    return run
