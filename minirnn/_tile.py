"""The innermost part of every matrix product, in the compiler's own language.

A processor multiplies and adds whole vectors of 4 to 16 numbers, two vectors at a time, if they
are at hand. A sum that grows in memory must be fetched and put back for each product that goes
into it. Hence the sums of a *tile*, ``ROWS`` rows of two vectors each, stay in registers until they
are complete. NumPy has no word for a register, nor has plain Numba; but LLVM, with which Numba
compiles, takes vectors as values, and keeps in registers what fits.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, errors
from numba.core.registry import cpu_target
from numba.extending import intrinsic, overload
from numba.np import arrayobj

# Of the processor that Numba compiles for, by which it also keeps machine code apart on disk.
_, _, _features = cpu_target.target_context.codegen().magic_tuple()
# 32 registers of 64 bytes hold 8 x 2 sums and what goes into them; 16 of 32 bytes hold 4 x 2.
VECTOR, ROWS = (64, 8) if "+avx512f" in _features.split(",") else (32, 4)
WIDTH = 2 * VECTOR  # bytes in a row of a tile
MOST_ROWS = 64  # for which one panel is used: their left factors stay in the second cache
MOST_TERMS = 256  # of a sum that are added at once: 32 kB of a panel, for the nearest cache
MOST_PANELS = 4  # at once for a single row: 8 sums, as 2 additions begin in a cycle and take 4


def tile(start, left, panels, out):
    """``out = start + left [panels side by side]``, with the sum over k in order.

    out (m, n), start (m, n) or one row (1, n) for all, left (m, K), panels (P, K, C), where C
    numbers fill ``WIDTH`` bytes, n is at most P*C, m at most ``MOST_ROWS``, and P is 1, or at most
    ``MOST_PANELS`` where m is 1. The numbers of a row lie side by side in memory, except in left,
    which may have any strides. start may be out, since a tile loads all of it before it stores;
    left may not. Not compiled, it is these lines, but for rounding:
    """
    out[:] = start + (left @ np.concatenate(panels, axis=1))[:, : out.shape[1]]


@overload(tile)
def _compiled(start, left, panels, out):
    if not start.dtype == left.dtype == panels.dtype == out.dtype:
        raise errors.TypingError("a product of numbers of several kinds")
    if out.dtype not in (types.float32, types.float64):
        raise errors.TypingError(f"a product of {out.dtype}, expected float32 or float64")

    def run(start, left, panels, out):
        (m, n), (P, _, C) = out.shape, panels.shape
        whole_start, whole_out = start, out
        if n < P * C:  # vectors are loaded and stored whole, so in a matrix of full width
            whole_start = whole_out = _scratch(out, P)  # type: ignore[call-arg]
            for row in range(m):
                for j in range(P * C):
                    whole_start[row, j] = start[row % len(start), j] if j < n else 0
        _tile(whole_start, left, panels, whole_out)  # type: ignore[call-arg]
        if n < P * C:
            for row in range(m):
                for j in range(n):
                    out[row, j] = whole_out[row, j]

    return run


@intrinsic
def _scratch(typing_context, out, P):
    """A matrix with as many rows as out, as wide as P panels, until the function returns. It has
    memory for ``MOST_ROWS`` rows of one panel, which is enough for one row of ``MOST_PANELS``."""

    def write(context, builder, signature, arguments):
        array, size = context.make_array(out), out.dtype.bitwidth // 8
        with builder.goto_entry_block():  # else, in a loop, the stack would grow
            place = builder.alloca(ir.ArrayType(ir.IntType(8), MOST_ROWS * WIDTH))
            place.align = VECTOR
        matrix = array(context, builder)
        rows, _ = cgutils.unpack_tuple(builder, array(context, builder, arguments[0]).shape, 2)
        columns = builder.mul(arguments[1], rows.type(WIDTH // size))
        itemsize, stride = rows.type(size), builder.mul(arguments[1], rows.type(WIDTH))
        arrayobj.populate_array(
            matrix,
            data=builder.bitcast(place, matrix.data.type),
            shape=(rows, columns),
            strides=(stride, itemsize),
            itemsize=itemsize,
            meminfo=None,
        )
        return matrix._getvalue()

    return out(out, P), write


@intrinsic
def _tile(typing_context, start, left, panels, out):
    return types.void(start, left, panels, out), _write


def _write(context, builder, signature, arguments):
    """Write the instructions: for a single row a version for each number of panels; for more a loop
    over whole tiles, and a version for each number of rows that can be left over."""
    matrices = [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]
    number = context.get_value_type(signature.args[0].dtype)
    M = cgutils.unpack_tuple(builder, matrices[-1].shape, 2)[0]
    P = cgutils.unpack_tuple(builder, matrices[2].shape, 3)[0]
    zero, whole = ir.Constant(M.type, 0), ir.Constant(M.type, ROWS)
    end = builder.append_basic_block()

    def versions(choice, numbers, write):
        for n in numbers:
            block = builder.append_basic_block()
            choice.add_case(ir.Constant(M.type, n), block)
            builder.position_at_end(block)
            write(n)
            builder.branch(end)

    one_panel = builder.append_basic_block()
    versions(
        builder.switch(P, one_panel),
        range(2, MOST_PANELS + 1),
        lambda n: _write_rows(builder, number, zero, 1, n, None, *matrices),
    )
    builder.position_at_end(one_panel)
    tiles, rest = builder.udiv(M, whole), builder.urem(M, whole)
    with cgutils.for_range(builder, tiles) as loop:
        first = builder.mul(loop.index, whole)
        _write_rows(builder, number, first, ROWS, 1, (loop.index, tiles), *matrices)
    versions(
        builder.switch(rest, end),
        range(1, ROWS),
        lambda n: _write_rows(builder, number, builder.sub(M, rest), n, 1, None, *matrices),
    )
    builder.position_at_end(end)
    return context.get_dummy_value()


def _write_fetch(builder, place):
    """Write the instruction that brings what is at an address into the second cache."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
    fetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
    to_read, second_cache, data = number(0), number(2), number(1)
    builder.call(fetch, [place, to_read, second_cache, data])


def _write_rows(builder, number, first, rows, count, share, start, left, panels, out):
    """Write the instructions for::

        sums[r] = start[r]                          for r in 0 ... rows-1, two vectors a panel
        for k in 0 ... K-1:                         the only loop at run time
            sums[r] += left[r, k] * panels[:, k]    for every r
        out[r] = sums[r]

    Python's own loops are over by then: each turn of them has written one instruction.

    count: the number of panels. share: (number of this tile, number of tiles), or None for rows
    that are left over. While at work on a panel, or 256 rows of it, each tile sends for its share
    of as many bytes behind these, which are wanted next (and behind the last ones for what happens
    to be there, or for nothing: this is allowed). Weights of 512 units are more than the
    processor's inner caches hold, and the first tile would wait for them.
    """
    size = 4 if isinstance(number, ir.FloatType) else 8
    vector = ir.VectorType(number, VECTOR // size)
    _, K, _ = cgutils.unpack_tuple(builder, panels.shape, 3)
    panel_stride, k_stride, _ = cgutils.unpack_tuple(builder, panels.strides, 3)
    strides = [cgutils.unpack_tuple(builder, m.strides, 2) for m in (start, left, out)]
    (start_stride, _), (left_stride, left_k_stride), (out_stride, _) = strides
    one_row = builder.icmp_signed("==", cgutils.unpack_tuple(builder, start.shape, 2)[0], K.type(1))
    start_stride = builder.select(one_row, K.type(0), start_stride)

    def address(matrix, kind, *bytes_from_start):
        place = builder.bitcast(matrix.data, ir.IntType(8).as_pointer())
        for n in bytes_from_start:
            place = builder.gep(place, [n])
        return builder.bitcast(place, kind.as_pointer())

    def scaled(stride, n):
        return builder.mul(stride, builder.add(first, K.type(n)))

    def broadcast(value):
        some = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
        lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
        return builder.shuffle_vector(some, some, lane_zero)

    offsets = [K.type(v * VECTOR) for v in range(2 * count)]  # of the vectors in a row, in bytes

    def rows_of(matrix, stride):
        for r in range(rows):
            yield [address(matrix, vector, scaled(stride, r), v) for v in offsets]

    sums = [  # LLVM turns these variables into registers
        [cgutils.alloca_once_value(builder, builder.load(s, align=size)) for s in row]
        for row in rows_of(start, start_stride)
    ]
    if share is not None:
        this, tiles = share
        fetch_stride = builder.udiv(k_stride, tiles)
        next_share = builder.mul(K, builder.add(k_stride, builder.mul(fetch_stride, this)))
    with cgutils.for_range(builder, K) as loop:
        if share is not None:
            place = builder.mul(loop.index, fetch_stride)
            _write_fetch(builder, address(panels, ir.IntType(8), next_share, place))
        k_offset = builder.mul(loop.index, k_stride)
        left_offset = builder.mul(loop.index, left_k_stride)
        w = [
            builder.load(address(panels, vector, panel_offset, k_offset, v), align=size)
            for panel_offset in [builder.mul(panel_stride, K.type(p)) for p in range(count)]
            for v in offsets[:2]
        ]
        for r in range(rows):
            place = address(left, number, scaled(left_stride, r), left_offset)
            left_rk = broadcast(builder.load(place))
            for v in range(2 * count):
                product = builder.fmul(left_rk, w[v], flags=("contract",))
                total = builder.fadd(builder.load(sums[r][v]), product, flags=("contract",))
                builder.store(total, sums[r][v])
    for row_sums, row in zip(sums, rows_of(out, out_stride), strict=True):
        for total, place in zip(row_sums, row, strict=True):
            builder.store(builder.load(total), place, align=size)
