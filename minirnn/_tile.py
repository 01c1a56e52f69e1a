"""The innermost part of every matrix product, in the compiler's own language.

A processor multiplies and adds whole vectors of 4 to 16 numbers, two vectors at a time, if they
are at hand. A sum that grows in memory must be fetched and put back for each product that goes
into it. Hence the sums of a *tile*, ``ROWS`` rows of two vectors each, stay in registers until they
are complete. NumPy has no word for a register, nor has plain Numba; but LLVM, with which Numba
compiles, takes vectors as values, and keeps in registers what fits.
"""

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, overload

try:
    _features = llvmlite.binding.get_host_cpu_features()
except RuntimeError:  # LLVM does not know this system
    _features = {}
# 32 registers of 64 bytes hold 8 x 2 sums and what goes into them; 16 of 32 bytes hold 4 x 2.
VECTOR, ROWS = (64, 8) if _features.get("avx512f") else (32, 4)
WIDTH = 2 * VECTOR  # bytes in a row of a tile


def tile(start, a, panel, out):
    """``out = start + a panel``, with the sum over k in order.

    start, out (m, C), a (m, K), panel (K, C), where C numbers fill ``WIDTH`` bytes and m is at most
    ``ROWS``; the rows without gaps but for those of a. Not compiled, it is this line:
    """
    out[:] = start + a @ panel


@overload(tile)
def _compiled(start, a, panel, out):
    return lambda start, a, panel, out: _tile(start, a, panel, out)  # type: ignore[call-arg]


@intrinsic
def _tile(typing_context, start, a, panel, out):
    return types.void(start, a, panel, out), _write


def _write(context, builder, signature, arguments):
    """Write the instructions: one version for each number of rows, and the choice among them."""
    matrices = [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]
    number = context.get_value_type(signature.args[0].dtype)
    m = cgutils.unpack_tuple(builder, matrices[0].shape, 2)[0]
    end = builder.append_basic_block()
    choice = builder.switch(m, end)
    for rows in range(1, ROWS + 1):
        block = builder.append_basic_block()
        choice.add_case(ir.Constant(m.type, rows), block)
        builder.position_at_end(block)
        _write_rows(builder, number, rows, *matrices)
        builder.branch(end)
    builder.position_at_end(end)
    return context.get_dummy_value()


def _write_rows(builder, number, rows, start, a, panel, out):
    size = 4 if isinstance(number, ir.FloatType) else 8
    vector = ir.VectorType(number, VECTOR // size)
    K, _ = cgutils.unpack_tuple(builder, panel.shape, 2)
    strides = [cgutils.unpack_tuple(builder, m.strides, 2) for m in (start, a, panel, out)]
    (start_row, _), (a_row, a_k), (panel_k, _), (out_row, _) = strides

    def address(matrix, kind, *bytes_from_start):
        place = builder.bitcast(matrix.data, ir.IntType(8).as_pointer())
        for n in bytes_from_start:
            place = builder.gep(place, [n])
        return builder.bitcast(place, kind.as_pointer())

    def times(stride, n):
        return builder.mul(stride, ir.Constant(K.type, n))

    def in_all_lanes(value):
        some = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
        lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
        return builder.shuffle_vector(some, some, lane_zero)

    halves = [ir.Constant(K.type, 0), ir.Constant(K.type, VECTOR)]

    def rows_of(matrix, stride):
        for r in range(rows):
            yield [address(matrix, vector, times(stride, r), v) for v in halves]

    sums = [  # LLVM turns these variables into registers
        [cgutils.alloca_once_value(builder, builder.load(s, align=size)) for s in row]
        for row in rows_of(start, start_row)
    ]
    with cgutils.for_range(builder, K) as loop:
        k_panel, k_a = builder.mul(loop.index, panel_k), builder.mul(loop.index, a_k)
        w = [builder.load(address(panel, vector, k_panel, v), align=size) for v in halves]
        for r in range(rows):
            a_rk = in_all_lanes(builder.load(address(a, number, times(a_row, r), k_a)))
            for v in range(2):
                product = builder.fmul(a_rk, w[v], flags=("contract",))
                total = builder.fadd(builder.load(sums[r][v]), product, flags=("contract",))
                builder.store(total, sums[r][v])
    for row_sums, row in zip(sums, rows_of(out, out_row), strict=True):
        for total, place in zip(row_sums, row, strict=True):
            builder.store(builder.load(total), place, align=size)
