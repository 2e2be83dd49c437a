"""Values that fill vector registers, for kernels that have to keep their sums out of memory.

LLVM turns plain loops into vector instructions, but it decides itself what stays in a register, and an accumulator
that is an array goes to memory and back with every multiply-add.  A ``Row`` is a value instead, like a float: a fixed
number of vector registers, LANES numbers in each.  ``total = multiply_add(total, x[i], load(w, at, 4))`` is then four
machine instructions that touch memory only to read ``w``.

Each operation is written twice: in NumPy, where a Row is an array of count * LANES numbers and which is what runs
without compilation, and as the LLVM code that Numba puts in its place.  Tests hold the two together.  Nothing here is
tied to one machine: LLVM has its own way to add 16 numbers everywhere, if need be four at a time.

``array`` is flat and C-contiguous, ``at`` counts its elements; nothing checks that they fit.
"""

import inspect

from numcnn.kernels.fast.jit import (  # before Numba itself, which asks once where to keep what it compiles
    COMPILED,
    numba,
)

# isort: split
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from numcnn.kernels.fused_shapes import DEAD


def _lanes():
    """Return how many float32 one register holds here: 16 with AVX-512, else 8 (for Neon and SSE that is two)."""
    features = numba.config.CPU_FEATURES or ""
    if numba.config.CPU_NAME in (None, "", "host") and not features:
        return 16 if binding.get_host_cpu_features().get("avx512f") else 8
    return 16 if "+avx512f" in features.split(",") else 8


LANES = _lanes()

# A product and the sum it goes into may be rounded once, together: the fused multiply-add; and the sign of a zero
# doesn't matter, so that adding zeros where a mask says so can be left out.  Every sum and product says
# so: to those that say nothing Numba gives leave to change the order of sums too, and numbers that are equal by the
# order they were computed in would no longer be (a window's ties would go to another position).
_FUSED = ("contract", "nsz")


class Row(types.Type):
    """Numba's type of ``count`` registers of LANES numbers."""

    def __init__(self, dtype, count):
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Row({dtype}, {count} x {LANES})")


@register_model(Row)
class _RowModel(models.PrimitiveModel):
    """For LLVM a Row is an array of vectors, which it takes apart into registers."""

    def __init__(self, manager, row):
        vector = ir.VectorType(manager.lookup(row.dtype).get_value_type(), LANES)
        super().__init__(manager, row, ir.ArrayType(vector, row.count))


class _Emitter:
    """Numba's context and LLVM's builder, with what all operations need."""

    def __init__(self, context, builder):
        self.context, self.builder = context, builder

    def vector(self, dtype):
        """Return the LLVM type of one register of a Numba dtype."""
        return ir.VectorType(self.context.get_value_type(dtype), LANES)

    def registers(self, row):
        return [self.builder.extract_value(row, i) for i in range(row.type.count)]

    def row(self, registers):
        row = ir.Constant(ir.ArrayType(registers[0].type, len(registers)), ir.Undefined)
        for i, register in enumerate(registers):
            row = self.builder.insert_value(row, register, i)
        return row

    def filled(self, scalar):
        """Return a register with ``scalar`` in all lanes."""
        nothing = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, nothing, lanes)

    def element(self, kind, array, at):
        """Return the pointer to ``array[at]``; ``kind`` is the array's Numba type."""
        return self.builder.gep(self.context.make_array(kind)(self.context, self.builder, array).data, [at])

    def _pointer(self, kind, array, at, vector):
        return self.builder.bitcast(self.element(kind, array, at), vector.as_pointer())

    def load(self, kind, array, at, register=0):
        """Load LANES numbers of ``array``, whose Numba type is ``kind``, that begin at ``at + register * LANES``."""
        at = self.builder.add(at, ir.Constant(at.type, register * LANES))
        vector = self.builder.load(self._pointer(kind, array, at, self.vector(kind.dtype)))
        vector.align = kind.dtype.bitwidth // 8
        return vector

    def store(self, kind, array, at, vector, register=0):
        at = self.builder.add(at, ir.Constant(at.type, register * LANES))
        self.builder.store(vector, self._pointer(kind, array, at, vector.type)).align = kind.dtype.bitwidth // 8

    def multiply_add(self, total, a, b):
        return self.builder.fadd(total, self.builder.fmul(a, b, flags=_FUSED), flags=_FUSED)

    def compare(self, how, kind, flags, at, value, register=0):
        """Return a register of bits: which of the LANES ``flags`` are ("==") or aren't ("!=") ``value``."""
        value = self.builder.trunc(value, self.context.get_value_type(kind.dtype))
        return self.builder.icmp_unsigned(how, self.load(kind, flags, at, register), self.filled(value))


def _operation(returns, emit):
    """Make a NumPy function the plain form of an operation that ``emit`` writes in LLVM code.

    returns: from the arguments' Numba types to the result's; emit: from _Emitter, types and values to the result.
    """

    def decorate(plain):
        if not COMPILED:
            return plain

        def typed(typing_context, *kinds):
            def code(context, builder, signature, values):
                result = emit(_Emitter(context, builder), kinds, values)
                return context.get_dummy_value() if result is None else result

            return returns(*kinds)(*kinds), code

        # Numba wants to see each argument, and the names are the plain form's.
        context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        typed.__signature__ = inspect.Signature([context, *inspect.signature(plain).parameters.values()])
        typed.__name__, typed.__doc__ = plain.__name__, plain.__doc__
        operation = intrinsic(prefer_literal=True)(typed)
        operation.plain = plain
        return operation

    return decorate


def _emit_load(emitter, kinds, values):
    array, at, _ = values
    return emitter.row([emitter.load(kinds[0], array, at, i) for i in range(kinds[2].literal_value)])


@_operation(lambda array, at, count: Row(array.dtype, count.literal_value), _emit_load)
def load(array, at, count):
    """Return the ``count`` * LANES numbers that begin at ``array[at]``; count is written out, not computed."""
    return array[at : at + count * LANES].copy()


def _emit_load_lines(emitter, kinds, values):
    array, at, step, _, _ = values
    builder, registers = emitter.builder, []
    for line in range(kinds[3].literal_value):
        start = builder.add(at, builder.mul(step, ir.Constant(step.type, line)))
        registers += [emitter.load(kinds[0], array, start, i) for i in range(kinds[4].literal_value)]
    return emitter.row(registers)


@_operation(
    lambda array, at, step, lines, count: Row(array.dtype, lines.literal_value * count.literal_value),
    _emit_load_lines,
)
def load_lines(array, at, step, lines, count):
    """Return ``lines`` times ``count`` registers in one row; the lines are ``step`` apart in ``array``."""
    return np.concatenate([array[at + i * step : at + i * step + count * LANES] for i in range(lines)])


def _emit_store(emitter, kinds, values):
    array, at, row = values
    for i, register in enumerate(emitter.registers(row)):
        emitter.store(kinds[0], array, at, register, i)


@_operation(lambda array, at, row: types.void, _emit_store)
def store(array, at, row):
    """Write a row to ``array[at:]``."""
    array[at : at + row.size] = row


def _emit_fill(emitter, kinds, values):
    return emitter.row([emitter.filled(values[0])] * kinds[1].literal_value)


@_operation(lambda value, count: Row(value, count.literal_value), _emit_fill)
def fill(value, count):
    """Return a row of ``count`` registers with ``value``, whose dtype counts, everywhere."""
    return np.full(count * LANES, value)


def _emit_by_register(operation):
    def emit(emitter, _, values):
        pairs = zip(emitter.registers(values[0]), emitter.registers(values[1]), strict=True)
        return emitter.row([getattr(emitter.builder, operation)(a, b, flags=_FUSED) for a, b in pairs])

    return emit


@_operation(lambda a, b: a, _emit_by_register("fadd"))
def add(a, b):
    """Return a + b, of two rows of one size."""
    return a + b


@_operation(lambda a, b: a, _emit_by_register("fsub"))
def subtract(a, b):
    """Return a - b, of two rows of one size."""
    return a - b


def _emit_scale(emitter, _, values):
    factor = emitter.filled(values[0])
    registers = emitter.registers(values[1])
    return emitter.row([emitter.builder.fmul(factor, register, flags=_FUSED) for register in registers])


@_operation(lambda factor, row: row, _emit_scale)
def scale(factor, row):
    """Return factor * row."""
    return factor * row


def _emit_multiply_add(emitter, _, values):
    total, factor, row = values
    factor = emitter.filled(factor)
    pairs = zip(emitter.registers(total), emitter.registers(row), strict=True)
    return emitter.row([emitter.multiply_add(a, factor, b) for a, b in pairs])


@_operation(lambda total, factor, row: total, _emit_multiply_add)
def multiply_add(total, factor, row):
    """Return total + factor * row, rounded once where the machine can."""
    return total + factor * row


def _emit_first(emitter, kinds, values):
    return emitter.row(emitter.registers(values[0])[: kinds[1].literal_value])


@_operation(lambda row, count: Row(row.dtype, count.literal_value), _emit_first)
def first(row, count):
    """Return the first ``count`` registers of a row."""
    return row[: count * LANES]


def _emit_shift(emitter, kinds, values):
    registers, count = emitter.registers(values[0]), kinds[1].literal_value
    zero = ir.Constant(registers[0].type, [0.0] * LANES)
    return emitter.row(registers[count:] + [zero] * count)


@_operation(lambda row, count: row, _emit_shift)
def shift(row, count):
    """Return the row without its first ``count`` registers, zeros behind it.  (Registers are renamed, not moved.)"""
    return np.concatenate([row[count * LANES :], np.zeros_like(row[: count * LANES])])


def _emit_where_equal(emitter, kinds, values):
    flags, at, value, row = values
    registers = emitter.registers(row)
    zero = ir.Constant(registers[0].type, [0.0] * LANES)
    kept = [emitter.compare("==", kinds[0], flags, at, value, i) for i in range(len(registers))]
    return emitter.row([emitter.builder.select(k, r, zero) for k, r in zip(kept, registers, strict=True)])


@_operation(lambda flags, at, value, row: row, _emit_where_equal)
def where_equal(flags, at, value, row):
    """Return the row with zeros where ``flags[at:]`` (uint8) isn't ``value``."""
    return np.where(flags[at : at + row.size] == value, row, row.dtype.type(0))


def _window(emitter, kind, array, at, row_step, width, size):
    """Return a register for each of ``size`` numbers of a window of ``array``, with that number in all lanes."""
    builder, pixels = emitter.builder, []
    for ky, kx in (divmod(i, width) for i in range(size)):
        place = builder.add(at, builder.add(builder.mul(row_step, ir.Constant(at.type, ky)), ir.Constant(at.type, kx)))
        pixels.append(emitter.filled(builder.load(emitter.element(kind, array, place))))
    return pixels


def _plain_window(array, at, row_step, width, size):
    return np.array([array[at + i // width * row_step + i % width] for i in range(size)], array.dtype)


def _emit_add_products(emitter, kinds, values):
    total, array, at, row_step, _, weights = values
    total, weights = emitter.registers(total), emitter.registers(weights)
    size = len(weights) // len(total)
    for i, pixel in enumerate(_window(emitter, kinds[1], array, at, row_step, kinds[4].literal_value, size)):
        for j in range(len(total)):
            total[j] = emitter.multiply_add(total[j], pixel, weights[i * len(total) + j])
    return emitter.row(total)


@_operation(lambda total, array, at, row_step, width, weights: total, _emit_add_products)
def add_products(total, array, at, row_step, width, weights):
    """Add to ``total`` each number of a window of ``array`` times its part of ``weights``, as long as the total.

    The window is ``width`` numbers wide and begins at ``at``; its lines are ``row_step`` apart.
    """
    parts = weights.reshape(-1, total.size)
    return total + _plain_window(array, at, row_step, width, len(parts)) @ parts


def _emit_add_outer(emitter, kinds, values):
    totals, array, at, row_step, _, row = values
    totals, row = emitter.registers(totals), emitter.registers(row)
    size = len(totals) // len(row)
    for i, pixel in enumerate(_window(emitter, kinds[1], array, at, row_step, kinds[4].literal_value, size)):
        for j, register in enumerate(row, start=i * len(row)):
            totals[j] = emitter.multiply_add(totals[j], pixel, register)
    return emitter.row(totals)


@_operation(lambda totals, array, at, row_step, width, row: totals, _emit_add_outer)
def add_outer(totals, array, at, row_step, width, row):
    """Add a window of ``array``, as in ``add_products``, times ``row`` to ``totals``: to a part for each number."""
    window = _plain_window(array, at, row_step, width, totals.size // row.size)
    return totals + np.outer(window, row).reshape(-1)


def _emit_store_winner(emitter, kinds, values):
    out, which, at, *candidates = values
    builder = emitter.builder
    byte = ir.VectorType(ir.IntType(8), LANES)
    for i, registers in enumerate(zip(*map(emitter.registers, candidates), strict=True)):
        best, winner = registers[0], ir.Constant(byte, [0] * LANES)
        for k in (1, 2, 3):
            # "Not less or equal" and "not NaN yet": a NaN beats a number, and nothing beats a NaN.
            better = builder.fcmp_unordered(">", registers[k], best)
            better = builder.and_(better, builder.fcmp_ordered("ord", best, best))
            best = builder.select(better, registers[k], best)
            winner = builder.select(better, ir.Constant(byte, [k] * LANES), winner)
        zero = ir.Constant(best.type, [0.0] * LANES)
        dead = builder.fcmp_ordered("<=", best, zero)
        emitter.store(kinds[0], out, at, builder.select(dead, zero, best), i)
        emitter.store(kinds[1], which, at, builder.select(dead, ir.Constant(byte, [DEAD] * LANES), winner), i)


@_operation(lambda out, which, at, a, b, c, d: types.void, _emit_store_winner)
def store_winner(out, which, at, a, b, c, d):
    """Write the largest of four rows, 0 if it isn't positive, to ``out[at:]``; and who won, 0-3, to ``which[at:]``.

    A winner that isn't positive is noted as DEAD.  The first of equals wins, and a NaN wins over numbers.
    """
    candidates = np.stack([a, b, c, d])
    winner = candidates.argmax(axis=0)
    best = np.take_along_axis(candidates, winner[None], axis=0)[0]
    out[at : at + a.size] = np.where(best <= 0, 0, best)
    which[at : at + a.size] = np.where(best <= 0, DEAD, winner)


def _emit_pack(how):
    def emit(emitter, kinds, values):
        flags, at, value, source, source_at, target, target_at = values
        builder = emitter.builder
        kept = emitter.compare(how, kinds[0], flags, at, value)
        numbers = emitter.load(kinds[3], source, source_at)
        count = builder.zext(builder.ctpop(builder.bitcast(kept, ir.IntType(LANES))), ir.IntType(64))
        if LANES == 16 and kinds[3].dtype.bitwidth == 32:
            # AVX-512 has an instruction for it.
            element = "i32" if isinstance(kinds[3].dtype, types.Integer) else "f32"
            kind = ir.FunctionType(numbers.type, [numbers.type, kept.type, numbers.type])
            name = f"llvm.experimental.vector.compress.v{LANES}{element}"
            compress = cgutils.get_or_insert_function(builder.module, kind, name)
            packed = builder.call(compress, [numbers, kept, ir.Constant(numbers.type, ir.Undefined)])
            emitter.store(kinds[5], target, target_at, packed)
            return count
        # Elsewhere one after the other, without a jump: what isn't kept is overwritten by the next.
        place = target_at
        for lane in range(LANES):
            lane = ir.Constant(ir.IntType(32), lane)
            builder.store(builder.extract_element(numbers, lane), emitter.element(kinds[5], target, place))
            place = builder.add(place, builder.zext(builder.extract_element(kept, lane), place.type))
        return count

    return emit


def _plain_pack(kept, source, source_at, target, target_at):
    numbers = source[source_at : source_at + LANES][kept]
    target[target_at : target_at + numbers.size] = numbers
    return numbers.size


@_operation(lambda *_: types.int64, _emit_pack("=="))
def pack(flags, at, value, source, source_at, target, target_at):
    """Copy those of LANES numbers whose flag is ``value`` to ``target[target_at:]``, close together; return how many.

    The flags, integers, begin at ``flags[at]``, the numbers at ``source[source_at]``.  All of LANES places of the
    target are written: what lies behind those that were kept is rubbish, to be overwritten by the next.
    """
    return _plain_pack(flags[at : at + LANES] == value, source, source_at, target, target_at)


@_operation(lambda *_: types.int64, _emit_pack("!="))
def pack_others(flags, at, value, source, source_at, target, target_at):
    """Do as ``pack``, with those whose flag is not ``value``."""
    return _plain_pack(flags[at : at + LANES] != value, source, source_at, target, target_at)


def _emit_transpose(emitter, kinds, values):
    source, at, step, lines, target, target_at, target_step = values
    builder = emitter.builder

    def place(start, apart, line):
        return builder.add(start, builder.mul(apart, line))

    rows = []
    for i in range(LANES):
        line = ir.Constant(lines.type, i)
        last = builder.sub(lines, ir.Constant(lines.type, 1))
        line = builder.select(builder.icmp_signed("<", line, last), line, last)
        rows.append(emitter.load(kinds[0], source, place(at, step, line)))
    # Eklundh's way: exchange the quarters of ever larger blocks across the diagonal, 1 x 1, 2 x 2, 4 x 4 ...
    size = 1
    while size < LANES:
        for i in (i for i in range(LANES) if not i & size):
            upper, lower = rows[i], rows[i + size]
            # A lane number from LANES on means the second of the two registers.
            kept = [j if not j & size else LANES + j - size for j in range(LANES)]
            given = [j + size if not j & size else LANES + j for j in range(LANES)]
            rows[i], rows[i + size] = (
                builder.shuffle_vector(upper, lower, ir.Constant(ir.VectorType(ir.IntType(32), LANES), lanes))
                for lanes in (kept, given)
            )
        size *= 2
    for i, row in enumerate(rows):
        emitter.store(kinds[4], target, place(target_at, target_step, ir.Constant(target_step.type, i)), row)


@_operation(lambda *_: types.void, _emit_transpose)
def transpose(source, at, step, lines, target, target_at, target_step):
    """Write a block of LANES x LANES numbers of ``source`` to ``target``, lines as columns.

    The lines begin at ``source[at]``, ``step`` apart, and at ``target[target_at]``, ``target_step`` apart.  Of the
    source ``lines`` are read, 1 or more; the last of them stands for those that are missing.
    """
    places = [at + min(i, lines - 1) * step for i in range(LANES)]
    block = np.stack([source[place : place + LANES] for place in places]).T
    for i in range(LANES):
        target[target_at + i * target_step : target_at + i * target_step + LANES] = block[i]
