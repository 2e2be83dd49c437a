"""Values that fill vector registers, for kernels that must keep their sums out of memory.

LLVM turns plain loops into vector instructions, but it decides itself what stays in a register, and an accumulator
that is an array is loaded and stored with every multiply-add.  ``Registers`` are a value instead, like a float: a fixed
number of vector registers with LANES numbers in each.  ``total = multiply_add(total, x[i], load(w, at, 4))`` is then
four machine instructions that access memory only to read ``w``.

Each operation is written twice: in NumPy, where Registers are an array of count * LANES numbers, which runs when
nothing is compiled; and as the LLVM code that Numba compiles instead.  Tests hold the two together.  Nothing here is
tied to one machine: LLVM can add 16 numbers on every one, if need be four at a time.

``array`` is flat and C-contiguous, ``at`` is an index into it; no bounds are checked.  ``count``, ``width`` and the
``lines`` of ``load_lines`` must be constants when a kernel is compiled.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from numcnn.kernels.arrays import AnyArray, Bools, Bytes, Floats, Ints, Scalar
from numcnn.kernels.fast.jit import (  # before Numba itself, whose cache folder it sets
    COMPILED,
    Emit,
    Function,
    NumbaObject,
    kernel,
    numba,
)

# isort: split
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, codegen, types
from numba.extending import models, register_model

from numcnn.kernels.fused_shapes import DEAD

# ``count`` registers; in NumPy, an array of count * LANES numbers.
Registers: TypeAlias = AnyArray

# An array of numbers of any kind, flat.
Flat: TypeAlias = AnyArray


def _has_avx512() -> bool:
    """Return whether the processor that kernels are compiled for has AVX-512; one of a user's choice must say so."""
    features = numba.config.CPU_FEATURES or ""
    if numba.config.CPU_NAME in (None, "", "host") and not features:
        return binding.get_host_cpu_features().get("avx512f", False)
    return "+avx512f" in features.split(",")


def _has_fma() -> bool:
    """Return whether the processor that kernels are compiled for has fused multiply-add: else LLVM calls C's fmaf."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = numba.config.CPU_FEATURES
    machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        cpu=numba.config.CPU_NAME or binding.get_host_cpu_name(),
        features=codegen.get_host_cpu_features() if features is None else features,
    )
    return "fmaf" not in machine.emit_assembly(binding.parse_assembly(_MULTIPLY_ADD))


_MULTIPLY_ADD = """
declare float @llvm.fma.f32(float, float, float)
define float @multiply_add(float %a, float %b, float %total) {
  %sum = call float @llvm.fma.f32(float %a, float %b, float %total)
  ret float %sum
}
"""

# How many float32 a register is taken to hold: 16 with AVX-512, else 8 (two registers of Neon or SSE).
LANES = 16 if _has_avx512() else 8

# Whether products are added by fused multiply-add, rounded once.  Processors without it (x86 before 2013) would take
# a hundred times as long to imitate it, so there both are rounded.
FUSED = COMPILED and _has_fma()

Kinds: TypeAlias = Sequence[NumbaObject]  # Numba types of the arguments
Values: TypeAlias = Sequence[NumbaObject]  # LLVM values of the arguments


class RegistersType(types.Type):
    """Numba's type of ``count`` registers of LANES numbers."""

    def __init__(self, dtype: NumbaObject, count: int) -> None:
        self.dtype, self.count = dtype, count
        super().__init__(name=f"Registers({dtype}, {count} x {LANES})")


@register_model(RegistersType)
class _RegistersModel(models.PrimitiveModel):
    """For LLVM they are an array of vectors, which it splits into registers."""

    def __init__(self, manager: NumbaObject, row: RegistersType) -> None:
        vector = ir.VectorType(manager.lookup(row.dtype).get_value_type(), LANES)
        super().__init__(manager, row, ir.ArrayType(vector, row.count))


class _Emitter:
    """Numba's context and LLVM's builder, and what several operations emit.  ``kind``: an array's Numba type."""

    def __init__(self, context: NumbaObject, builder: NumbaObject) -> None:
        self.context, self.builder = context, builder

    def vector(self, dtype: NumbaObject) -> NumbaObject:
        """Return the LLVM type of one register of a Numba dtype."""
        return ir.VectorType(self.context.get_value_type(dtype), LANES)

    def registers(self, row: NumbaObject) -> list[NumbaObject]:
        return [self.builder.extract_value(row, i) for i in range(row.type.count)]

    def row(self, registers: Sequence[NumbaObject]) -> NumbaObject:
        row = ir.Constant(ir.ArrayType(registers[0].type, len(registers)), ir.Undefined)
        for i, register in enumerate(registers):
            row = self.builder.insert_value(row, register, i)
        return row

    def filled(self, scalar: NumbaObject) -> NumbaObject:
        """Return a register with ``scalar`` in all lanes."""
        nothing = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, nothing, lanes)

    def element(self, kind: NumbaObject, array: NumbaObject, at: NumbaObject) -> NumbaObject:
        """Return the pointer to ``array[at]``."""
        return self.builder.gep(self.context.make_array(kind)(self.context, self.builder, array).data, [at])

    def _pointer(self, kind: NumbaObject, array: NumbaObject, at: NumbaObject, vector: NumbaObject) -> NumbaObject:
        return self.builder.bitcast(self.element(kind, array, at), vector.as_pointer())

    def load(self, kind: NumbaObject, array: NumbaObject, at: NumbaObject, register: int = 0) -> NumbaObject:
        """Load LANES numbers of ``array`` from ``at + register * LANES`` on."""
        at = self.builder.add(at, ir.Constant(at.type, register * LANES))
        vector = self.builder.load(self._pointer(kind, array, at, self.vector(kind.dtype)))
        vector.align = kind.dtype.bitwidth // 8
        return vector

    def store(
        self, kind: NumbaObject, array: NumbaObject, at: NumbaObject, vector: NumbaObject, register: int = 0
    ) -> None:
        at = self.builder.add(at, ir.Constant(at.type, register * LANES))
        self.builder.store(vector, self._pointer(kind, array, at, vector.type)).align = kind.dtype.bitwidth // 8

    def multiply_add(self, total: NumbaObject, a: NumbaObject, b: NumbaObject) -> NumbaObject:
        if not FUSED:
            return self.builder.fadd(total, self.builder.fmul(a, b))
        kind = ir.FunctionType(total.type, [total.type] * 3)
        name = f"llvm.fma.v{LANES}{'f32' if isinstance(total.type.element, ir.FloatType) else 'f64'}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name), [a, b, total])

    def compare(
        self, how: str, kind: NumbaObject, flags: NumbaObject, at: NumbaObject, value: NumbaObject, register: int = 0
    ) -> NumbaObject:
        """Return a register of bits: which of the LANES ``flags`` are ("==") or aren't ("!=") ``value``."""
        value = self.builder.trunc(value, self.context.get_value_type(kind.dtype))
        return self.builder.icmp_unsigned(how, self.load(kind, flags, at, register), self.filled(value))


def _operation(returns: Callable[..., NumbaObject], emit: Emit) -> Callable[[Function], Function]:
    """Make a NumPy function the plain form of an operation whose LLVM code is emitted by ``emit``.

    returns: from the arguments' Numba types to the result's; emit: from _Emitter, types and values to the result.
    """

    def decorate(plain: Function) -> Function:
        if not COMPILED:
            return plain

        def typed(typing_context: NumbaObject, *kinds: NumbaObject) -> tuple[NumbaObject, Emit]:
            def code(
                context: NumbaObject, builder: NumbaObject, signature: NumbaObject, values: NumbaObject
            ) -> NumbaObject:
                result = emit(_Emitter(context, builder), kinds, values)
                return context.get_dummy_value() if result is None else result

            return returns(*kinds)(*kinds), code

        # Numba inspects the signature: the arguments are the plain form's.
        context = inspect.Parameter("typing_context", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = inspect.Signature([context, *inspect.signature(plain).parameters.values()])
        setattr(typed, "__signature__", signature)  # noqa: B010  (which functions have, but not to the type checker)
        typed.__name__, typed.__doc__ = plain.__name__, plain.__doc__
        operation = numba.extending.intrinsic(prefer_literal=True)(typed)
        operation.plain = plain
        return cast(Function, operation)

    return decorate


def _emit_load(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    array, at, _ = values
    return emitter.row([emitter.load(kinds[0], array, at, i) for i in range(kinds[2].literal_value)])


@_operation(lambda array, at, count: RegistersType(array.dtype, count.literal_value), _emit_load)
def load(array: Flat, at: int, count: int) -> Registers:
    """Return the ``count`` * LANES numbers that begin at ``array[at]``."""
    return array[at : at + count * LANES].copy()


def _emit_load_lines(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    array, at, step, _, _ = values
    builder, registers = emitter.builder, []
    for line in range(kinds[3].literal_value):
        start = builder.add(at, builder.mul(step, ir.Constant(step.type, line)))
        registers += [emitter.load(kinds[0], array, start, i) for i in range(kinds[4].literal_value)]
    return emitter.row(registers)


@_operation(
    lambda array, at, step, lines, count: RegistersType(array.dtype, lines.literal_value * count.literal_value),
    _emit_load_lines,
)
def load_lines(array: Flat, at: int, step: int, lines: int, count: int) -> Registers:
    """Return ``lines`` times ``count`` registers, joined; the lines are ``step`` apart in ``array``."""
    return np.concatenate([array[at + i * step : at + i * step + count * LANES] for i in range(lines)])


def _emit_store(emitter: _Emitter, kinds: Kinds, values: Values) -> None:
    array, at, row = values
    for i, register in enumerate(emitter.registers(row)):
        emitter.store(kinds[0], array, at, register, i)


@_operation(lambda array, at, row: types.void, _emit_store)
def store(array: Flat, at: int, row: Registers) -> None:
    """Write registers to ``array[at:]``."""
    array[at : at + row.size] = row


def _emit_fill(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    return emitter.row([emitter.filled(values[0])] * kinds[1].literal_value)


@_operation(lambda value, count: RegistersType(value, count.literal_value), _emit_fill)
def fill(value: Scalar, count: int) -> Registers:
    """Return ``count`` registers filled with ``value``, of its dtype."""
    return np.full(count * LANES, value)


def _emit_by_register(operation: str) -> Emit:
    def emit(emitter: _Emitter, _: Kinds, values: Values) -> NumbaObject:
        pairs = zip(emitter.registers(values[0]), emitter.registers(values[1]), strict=True)
        return emitter.row([getattr(emitter.builder, operation)(a, b) for a, b in pairs])

    return emit


@_operation(lambda a, b: a, _emit_by_register("fadd"))
def add(a: Registers, b: Registers) -> Registers:
    """Return a + b; both have as many registers."""
    return a + b


@_operation(lambda a, b: a, _emit_by_register("fsub"))
def subtract(a: Registers, b: Registers) -> Registers:
    """Return a - b; both have as many registers."""
    return a - b


def _emit_scale(emitter: _Emitter, _: Kinds, values: Values) -> NumbaObject:
    factor = emitter.filled(values[0])
    registers = emitter.registers(values[1])
    return emitter.row([emitter.builder.fmul(factor, register) for register in registers])


@_operation(lambda factor, row: row, _emit_scale)
def scale(factor: Scalar, row: Registers) -> Registers:
    """Return factor * row."""
    return factor * row


def _emit_multiply_add(emitter: _Emitter, _: Kinds, values: Values) -> NumbaObject:
    total, factor, row = values
    factor = emitter.filled(factor)
    pairs = zip(emitter.registers(total), emitter.registers(row), strict=True)
    return emitter.row([emitter.multiply_add(a, factor, b) for a, b in pairs])


@_operation(lambda total, factor, row: total, _emit_multiply_add)
def multiply_add(total: Registers, factor: Scalar, row: Registers) -> Registers:
    """Return total + factor * row, rounded once where the machine has the instruction."""
    return total + factor * row


def _emit_first(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    return emitter.row(emitter.registers(values[0])[: kinds[1].literal_value])


@_operation(lambda row, count: RegistersType(row.dtype, count.literal_value), _emit_first)
def first(row: Registers, count: int) -> Registers:
    """Return the first ``count`` registers."""
    return row[: count * LANES]


def _emit_shift(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    registers, count = emitter.registers(values[0]), kinds[1].literal_value
    zero = ir.Constant(registers[0].type, [0.0] * LANES)
    return emitter.row(registers[count:] + [zero] * count)


@_operation(lambda row, count: row, _emit_shift)
def shift(row: Registers, count: int) -> Registers:
    """Drop the first ``count`` registers and append zeros.  No number moves: LLVM renames registers."""
    return np.concatenate([row[count * LANES :], np.zeros_like(row[: count * LANES])])


def _emit_where_equal(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    flags, at, value, row = values
    registers = emitter.registers(row)
    zero = ir.Constant(registers[0].type, [0.0] * LANES)
    kept = [emitter.compare("==", kinds[0], flags, at, value, i) for i in range(len(registers))]
    return emitter.row([emitter.builder.select(k, r, zero) for k, r in zip(kept, registers, strict=True)])


@_operation(lambda flags, at, value, row: row, _emit_where_equal)
def where_equal(flags: Ints, at: int, value: int, row: Registers) -> Registers:
    """Return ``row`` with zeros where ``flags[at:]`` (uint8) isn't ``value``."""
    return np.where(flags[at : at + row.size] == value, row, row.dtype.type(0))


def _window(
    emitter: _Emitter,
    kind: NumbaObject,
    array: NumbaObject,
    at: NumbaObject,
    row_step: NumbaObject,
    width: int,
    size: int,
) -> list[NumbaObject]:
    """Return a register for each of ``size`` numbers of a window of ``array``, with that number in all lanes."""
    builder, pixels = emitter.builder, []
    for ky, kx in (divmod(i, width) for i in range(size)):
        place = builder.add(at, builder.add(builder.mul(row_step, ir.Constant(at.type, ky)), ir.Constant(at.type, kx)))
        pixels.append(emitter.filled(builder.load(emitter.element(kind, array, place))))
    return pixels


def _plain_window(array: Flat, at: int, row_step: int, width: int, size: int) -> AnyArray:
    return np.array([array[at + i // width * row_step + i % width] for i in range(size)], array.dtype)


def _emit_add_products(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    total, array, at, row_step, _, weights = values
    total, weights = emitter.registers(total), emitter.registers(weights)
    size = len(weights) // len(total)
    for i, pixel in enumerate(_window(emitter, kinds[1], array, at, row_step, kinds[4].literal_value, size)):
        for j in range(len(total)):
            total[j] = emitter.multiply_add(total[j], pixel, weights[i * len(total) + j])
    return emitter.row(total)


@_operation(lambda total, array, at, row_step, width, weights: total, _emit_add_products)
def add_products(total: Registers, array: Flat, at: int, row_step: int, width: int, weights: Registers) -> Registers:
    """Add to ``total`` each number of a window of ``array`` times its weights: one ``total``-sized part of ``weights``.

    The window is ``width`` numbers wide and begins at ``at``; its lines are ``row_step`` apart.
    """
    parts = weights.reshape(-1, total.size)
    return total + _plain_window(array, at, row_step, width, len(parts)) @ parts


def _emit_add_outer(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
    totals, array, at, row_step, _, row = values
    totals, row = emitter.registers(totals), emitter.registers(row)
    size = len(totals) // len(row)
    for i, pixel in enumerate(_window(emitter, kinds[1], array, at, row_step, kinds[4].literal_value, size)):
        for j, register in enumerate(row, start=i * len(row)):
            totals[j] = emitter.multiply_add(totals[j], pixel, register)
    return emitter.row(totals)


@_operation(lambda totals, array, at, row_step, width, row: totals, _emit_add_outer)
def add_outer(totals: Registers, array: Flat, at: int, row_step: int, width: int, row: Registers) -> Registers:
    """Add the outer product of a window of ``array``, as in ``add_products``, and ``row`` to ``totals``."""
    window = _plain_window(array, at, row_step, width, totals.size // row.size)
    return totals + np.outer(window, row).reshape(-1)


def _emit_store_winner(emitter: _Emitter, kinds: Kinds, values: Values) -> None:
    out, which, at, *candidates = values
    builder = emitter.builder
    byte = ir.VectorType(ir.IntType(8), LANES)
    for i, registers in enumerate(zip(*map(emitter.registers, candidates), strict=True)):
        best, winner = registers[0], ir.Constant(byte, [0] * LANES)
        for k in (1, 2, 3):
            # "Not less or equal" and "best isn't NaN": a NaN beats a number, and nothing beats a NaN.
            better = builder.fcmp_unordered(">", registers[k], best)
            better = builder.and_(better, builder.fcmp_ordered("ord", best, best))
            best = builder.select(better, registers[k], best)
            winner = builder.select(better, ir.Constant(byte, [k] * LANES), winner)
        zero = ir.Constant(best.type, [0.0] * LANES)
        dead = builder.fcmp_ordered("<=", best, zero)
        emitter.store(kinds[0], out, at, builder.select(dead, zero, best), i)
        emitter.store(kinds[1], which, at, builder.select(dead, ir.Constant(byte, [DEAD] * LANES), winner), i)


@_operation(lambda out, which, at, a, b, c, d: types.void, _emit_store_winner)
def store_winner(out: Floats, which: Bytes, at: int, a: Registers, b: Registers, c: Registers, d: Registers) -> None:
    """Write the largest of a, b, c, d to ``out[at:]``, 0 if it isn't positive, and its position 0-3 to ``which[at:]``.

    The position of one that isn't positive is DEAD.  The first of equals wins, and a NaN wins over numbers.
    """
    candidates = np.stack([a, b, c, d])
    winner = candidates.argmax(axis=0)
    best = np.take_along_axis(candidates, winner[None], axis=0)[0]
    out[at : at + a.size] = np.where(best <= 0, 0, best)
    which[at : at + a.size] = np.where(best <= 0, DEAD, winner)


def _emit_pack(how: str) -> Emit:
    def emit(emitter: _Emitter, kinds: Kinds, values: Values) -> NumbaObject:
        flags, at, value, source, source_at, target, target_at = values
        builder = emitter.builder
        kept = emitter.compare(how, kinds[0], flags, at, value)
        numbers = emitter.load(kinds[3], source, source_at)
        count = builder.zext(builder.ctpop(builder.bitcast(kept, ir.IntType(LANES))), ir.IntType(64))
        if LANES == 16 and kinds[3].dtype.bitwidth == 32:
            # AVX-512 has an instruction for this.
            element = "i32" if isinstance(kinds[3].dtype, types.Integer) else "f32"
            kind = ir.FunctionType(numbers.type, [numbers.type, kept.type, numbers.type])
            name = f"llvm.experimental.vector.compress.v{LANES}{element}"
            compress = cgutils.get_or_insert_function(builder.module, kind, name)
            packed = builder.call(compress, [numbers, kept, ir.Constant(numbers.type, ir.Undefined)])
            emitter.store(kinds[5], target, target_at, packed)
            return count
        # Elsewhere one by one, without branches: the next number overwrites one that isn't kept.
        place = target_at
        for lane in range(LANES):
            lane = ir.Constant(ir.IntType(32), lane)
            builder.store(builder.extract_element(numbers, lane), emitter.element(kinds[5], target, place))
            place = builder.add(place, builder.zext(builder.extract_element(kept, lane), place.type))
        return count

    return emit


def _plain_pack(kept: Bools, source: Flat, source_at: int, target: Flat, target_at: int) -> int:
    numbers = source[source_at : source_at + LANES][kept]
    target[target_at : target_at + numbers.size] = numbers
    return numbers.size


@_operation(lambda *_: types.int64, _emit_pack("=="))
def pack(flags: Ints, at: int, value: int, source: Flat, source_at: int, target: Flat, target_at: int) -> int:
    """Copy those of LANES numbers whose flag is ``value`` to ``target[target_at:]``, without gaps; return how many.

    The flags, integers, begin at ``flags[at]``, the numbers at ``source[source_at]``.  LANES elements of the target are
    written: those after the kept ones are undefined, for the next call to overwrite.
    """
    return _plain_pack(flags[at : at + LANES] == value, source, source_at, target, target_at)


@_operation(lambda *_: types.int64, _emit_pack("!="))
def pack_others(flags: Ints, at: int, value: int, source: Flat, source_at: int, target: Flat, target_at: int) -> int:
    """Do as ``pack`` with the numbers whose flag is not ``value``."""
    return _plain_pack(flags[at : at + LANES] != value, source, source_at, target, target_at)


def _emit_transpose(emitter: _Emitter, kinds: Kinds, values: Values) -> None:
    source, at, step, lines, target, target_at, target_step = values
    builder = emitter.builder

    def place(start: NumbaObject, apart: NumbaObject, line: NumbaObject) -> NumbaObject:
        return builder.add(start, builder.mul(apart, line))

    rows = []
    for i in range(LANES):
        line = ir.Constant(lines.type, i)
        last = builder.sub(lines, ir.Constant(lines.type, 1))
        line = builder.select(builder.icmp_signed("<", line, last), line, last)
        rows.append(emitter.load(kinds[0], source, place(at, step, line)))
    # Eklundh's algorithm: exchange the off-diagonal quarters of ever larger blocks, 1 x 1, 2 x 2, 4 x 4 ...
    size = 1
    while size < LANES:
        for i in (i for i in range(LANES) if not i & size):
            upper, lower = rows[i], rows[i + size]
            # Lanes from LANES on are those of the second register.
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
def transpose(source: Flat, at: int, step: int, lines: int, target: Flat, target_at: int, target_step: int) -> None:
    """Write the transpose of a block of LANES x LANES numbers of ``source`` to ``target``.

    The lines begin at ``source[at]``, ``step`` apart, and at ``target[target_at]``, ``target_step`` apart.  Only
    ``lines`` of the source, 1 or more, are read; the last one is repeated for the others.
    """
    places = [at + min(i, lines - 1) * step for i in range(LANES)]
    block = np.stack([source[place : place + LANES] for place in places]).T
    for i in range(LANES):
        target[target_at + i * target_step : target_at + i * target_step + LANES] = block[i]


@kernel
def _uses_all_kinds(numbers: Flat, flags: Bytes, out: Flat, which: Bytes) -> int:
    row = load(numbers, 0, 1)
    total = add(multiply_add(fill(numbers[0], 1), numbers[1], row), where_equal(flags, 0, 0, row))
    store_winner(out, which, 0, total, row, row, row)
    transpose(numbers, 0, LANES, LANES, out, LANES, LANES)
    return pack(flags, 0, 1, numbers, 0, out, LANES + LANES * LANES)


def check() -> None:
    """Compile and run operations of each kind, with the parts of Numba and LLVM that aren't public.

    Raises what these raise if they have changed; RuntimeError for wrong numbers.
    """
    numbers = np.arange(1, LANES * LANES + 1, dtype=np.float32)
    flags, which = (np.arange(LANES) % 2).astype(np.uint8), np.full(LANES, DEAD, np.uint8)
    out = np.zeros(2 * LANES + LANES * LANES, np.float32)
    count = _uses_all_kinds(numbers, flags, out, which)
    block = numbers.reshape(LANES, LANES)
    total = numbers[0] + numbers[1] * block[0] + np.where(flags == 0, block[0], 0)
    want = np.concatenate([total, block.T.ravel(), block[0][flags == 1]])
    if count != LANES // 2 or which.any() or (out[: len(want)] != want).any():
        raise RuntimeError("vector operations compute wrong numbers")
