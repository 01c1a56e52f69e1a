"""The innermost part of every matrix product, in the compiler's own language.

A processor multiplies and adds whole vectors of 4 to 16 numbers, two vectors at a time, if they
are at hand. A sum that grows in memory must be fetched and put back for each product that goes
into it. Hence the sums of a *tile*, ``ROWS`` rows of two vectors each, stay in registers until they
are complete. NumPy has no word for a register, nor has plain Numba; but LLVM, with which Numba
compiles, takes vectors as values, and keeps in registers what fits.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np import arrayobj

# Of the processor that Numba compiles for, by which it also keeps machine code apart on disk.
_, _, _features = cpu_target.target_context.codegen().magic_tuple()
# 32 registers of 64 bytes hold 8 x 2 sums and what goes into them; 16 of 32 bytes hold 4 x 2.
VECTOR, ROWS = (64, 8) if "+avx512f" in _features.split(",") else (32, 4)
WIDTH = 2 * VECTOR  # bytes in a row of a tile
HEIGHTS = ROWS, ROWS // 2, ROWS // 4  # of the tiles that are one panel wide
MOST_ROWS = 64  # for which one panel is used: their left factors stay in the second cache
MOST_TERMS = 256  # of a sum that are added at once: 32 kB of a panel, for the nearest cache
MOST_PANELS = 4  # at once for a single row: 8 sums, as 2 additions begin in a cycle and take 4
UNROLL = 4  # terms of a sum in one turn of the loop


@intrinsic
def scratch(typing_context, out, P):
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
def multiply_tiles(typing_context, start, left, panels, out):
    return types.void(start, left, panels, out), _write


def _write(context, builder, signature, arguments):
    """Write the instructions: one tile for a single row and several panels; else a loop over tiles
    of ``ROWS`` rows, of which the last one may be lower."""
    number = context.get_value_type(signature.args[0].dtype)
    matrices = [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, arguments, strict=True)
    ]
    _, _, panels, out = matrices
    M = cgutils.unpack_tuple(builder, out.shape)[0]
    P = cgutils.unpack_tuple(builder, panels.shape)[0]
    integer = M.type
    with builder.if_else(builder.icmp_signed(">", P, integer(1))) as (several_panels, one_panel):
        with several_panels:
            _write_tile(builder, number, (1, MOST_PANELS), integer(0), None, *matrices)
        with one_panel:
            tiles = builder.udiv(builder.add(M, integer(ROWS - 1)), integer(ROWS))
            with cgutils.for_range(builder, tiles) as loop:
                first, share = builder.mul(loop.index, integer(ROWS)), (loop.index, tiles)

                def of_rows(rows):
                    _write_tile(builder, number, (rows, 1), first, share, *matrices)

                _write_choice(builder, builder.sub(M, first), HEIGHTS, of_rows)
    return context.get_dummy_value()


def _write_choice(builder, n, sizes, write):
    """Write the instructions for each of the sizes, from high to low. Executed are those for the
    lowest that n fits in, or else for the first."""
    size, *smaller = sizes
    if not smaller:
        write(size)
        return
    with builder.if_else(builder.icmp_signed("<=", n, n.type(smaller[0]))) as (fits, does_not):
        with fits:
            _write_choice(builder, n, smaller, write)
        with does_not:
            write(size)


def _write_fetch(builder, place):
    """Write the instruction that brings what is at an address into the second cache."""
    number = ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
    fetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
    to_read, second_cache, data = number(0), number(2), number(1)
    builder.call(fetch, [place, to_read, second_cache, data])


def _write_tile(builder, number, size, first, share, start, left, panels, out):
    """Write the instructions for::

        sums[r] = start[r]                          for each row r of the tile, and each panel
        for k in 0 ... K-1:                         at run time four terms a turn, then the rest
            sums[r] += left[r, k] * panels[:, k]    for each row r
        out[r] = sums[r]

    Python's own loops below run while the instructions are written: each turn writes one.

    size: (rows, panels) of the tile; first: its first row. Where there are fewer rows or panels,
    the last one stands in for those that are missing, and is computed and stored more than once.
    (To have instructions for each number of rows would be faster where some are missing, by a
    quarter at the most, and takes some tenths of a second more to compile.)

    A processor begins about six instructions in a cycle, two of them products, and two threads may
    have to share these six. So there is little in the loop but products: four terms a turn, whose
    addresses differ by constants only.

    share: (number of this tile, number of tiles), or None. Weights of 512 units are more than the
    processor's inner caches hold, and the first tile would wait for them. So while the tiles work
    on a panel, or on 256 rows of it, they already ask for the bytes that follow it in memory, which
    are needed next: each tile for its share of them, one line of memory a turn. (Behind the last
    panel there are other data or nothing; to ask for that is allowed.) Eight tiles ask for all.
    """
    (rows, count), integer = size, first.type
    itemsize = 4 if isinstance(number, ir.FloatType) else 8
    vector = ir.VectorType(number, VECTOR // itemsize)
    M, P = (cgutils.unpack_tuple(builder, m.shape)[0] for m in (out, panels))
    K = cgutils.unpack_tuple(builder, panels.shape)[1]

    def at_most_last(n, end):
        return builder.select(builder.icmp_signed("<", n, end), n, builder.sub(end, integer(1)))

    def starts(matrix, numbers):
        """Where the rows, or panels, with these numbers begin, in bytes."""
        stride = cgutils.unpack_tuple(builder, matrix.strides)[0]
        return [builder.mul(stride, n) for n in numbers]

    def address(kind, matrix, *offsets):
        place = builder.bitcast(matrix.data, ir.IntType(8).as_pointer())
        for n in offsets:
            place = builder.gep(place, [n])
        return builder.bitcast(place, kind.as_pointer())

    def load(kind, matrix, *offsets):
        return builder.load(address(kind, matrix, *offsets), align=itemsize)

    def broadcast(value):
        some = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.IntType(32)(0))
        lane_zero = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
        return builder.shuffle_vector(some, some, lane_zero)

    tile_rows = [at_most_last(builder.add(first, integer(r)), M) for r in range(rows)]
    tile_panels = [at_most_last(integer(p), P) for p in range(count)]
    start_rows = [at_most_last(r, cgutils.unpack_tuple(builder, start.shape)[0]) for r in tile_rows]
    halves = [integer(0), integer(VECTOR)]  # of a row of a panel
    columns = [builder.add(builder.mul(p, integer(WIDTH)), v) for p in tile_panels for v in halves]
    left_starts, panel_starts = starts(left, tile_rows), starts(panels, tile_panels)
    sums = [  # LLVM turns these variables into registers
        [cgutils.alloca_once_value(builder, load(vector, start, r, c)) for c in columns]
        for r in starts(start, start_rows)
    ]

    def add_term(k):
        k_panel, k_left = builder.mul(k, integer(WIDTH)), builder.mul(k, integer(itemsize))
        w = [load(vector, panels, p, k_panel, v) for p in panel_starts for v in halves]
        for left_start, row_sums in zip(left_starts, sums, strict=True):
            left_rk = broadcast(load(number, left, left_start, k_left))
            for w_k, total in zip(w, row_sums, strict=True):
                product = builder.fmul(left_rk, w_k, flags=("contract",))
                product_and_sum = builder.fadd(builder.load(total), product, flags=("contract",))
                builder.store(product_and_sum, total)

    def fetch(k):
        this, tiles = share
        stride = builder.udiv(integer(WIDTH), tiles)
        next_share = builder.mul(K, builder.add(integer(WIDTH), builder.mul(stride, this)))
        place = address(ir.IntType(8), panels, next_share, builder.mul(k, stride))
        _write_fetch(builder, place)

    whole = builder.sub(K, builder.urem(K, integer(UNROLL)))
    turns = integer(0), whole, integer(UNROLL)
    with cgutils.for_range_slice(builder, *turns, integer) as (k, _):
        if share is not None:
            fetch(k)
        for n in range(UNROLL):
            add_term(builder.add(k, integer(n)))
    with cgutils.for_range_slice(builder, whole, K, integer(1), integer) as (k, _):
        add_term(k)
    for row_sums, r in zip(sums, starts(out, tile_rows), strict=True):
        for total, c in zip(row_sums, columns, strict=True):
            builder.store(builder.load(total), address(vector, out, r, c), align=itemsize)
