"""Every vector operation, compiled and in its plain form, against the NumPy that one would write for it."""

import functools
import types

import numba
import numpy as np
import pytest
from conftest import COMPILED

from numcnn.kernels import fused_shapes
from numcnn.kernels.fast import simd
from numcnn.kernels.fast.simd import LANES

OPERATIONS = (
    "load", "load_lines", "store", "fill", "add", "subtract", "scale", "multiply_add", "first", "shift", "where_equal",
    "add_products", "add_outer", "store_winner", "pack", "pack_others", "transpose",
)  # fmt: skip

# Without compilation an operation is its plain form itself.
PLAIN = types.SimpleNamespace(**{n: getattr(getattr(simd, n), "plain", getattr(simd, n)) for n in OPERATIONS})

FORMS = [
    "plain",
    pytest.param("compiled", marks=pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: nothing is compiled")),
]
DTYPES = [np.float32, np.float64]

# What untouched memory holds.
BLANK = 77


@functools.cache
def prepared(program, form, *sizes):
    """Return what ``program`` makes of a form's operations, with ``sizes`` as constants, compiled or not."""
    if form == "plain":
        return program(PLAIN, *sizes)
    # Not through Numba's cache, whose key doesn't contain changes of ``simd``.
    return numba.njit(nogil=True, error_model="numpy")(program(simd, *sizes))


def numbers(size, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


def blank(size, dtype):
    return np.full(size, BLANK, dtype)


def assert_only(array, start, stop):
    """Nothing is written outside ``array[start:stop]``."""
    assert (array[:start] == BLANK).all() and (array[stop:] == BLANK).all()


def arithmetic(ops, count):
    """Every operation from rows to a row, each result stored behind the last."""
    load, store, fill, add, subtract = ops.load, ops.store, ops.fill, ops.add, ops.subtract
    scale, multiply_add, first, shift = ops.scale, ops.multiply_add, ops.first, ops.shift
    size = count * LANES

    def run(a, b, at, factor, out, to):
        x = load(a, at, count)
        y = load(b, at, count)
        store(out, to, add(x, y))
        store(out, to + size, subtract(x, y))
        store(out, to + 2 * size, scale(factor, y))
        store(out, to + 3 * size, multiply_add(x, factor, y))
        store(out, to + 4 * size, fill(factor, count))
        store(out, to + 5 * size, shift(x, 1))
        store(out, to + 6 * size, shift(x, count))
        store(out, to + 7 * size, first(x, 1))
        store(out, to + 7 * size + LANES, x)  # none of it has changed a row

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_arithmetic_from_any_place_to_any_place(count, dtype, form):
    run, size = prepared(arithmetic, form, count), count * LANES
    a, b, factor = numbers(size + 9, dtype), numbers(size + 9, dtype, seed=1), dtype(1.7)
    zeros = np.zeros(size, dtype)
    for at, to in ((0, 0), (1, 3), (7, 2)):
        out = blank(8 * size + LANES + 9, dtype)
        run(a, b, at, factor, out, to)
        x, y = a[at : at + size], b[at : at + size]
        want = [x + y, x - y, factor * y, x + factor * y, zeros + factor]
        want += [np.append(x[LANES:], zeros[:LANES]), zeros, x[:LANES], x]
        end = to + 8 * size + LANES
        got = np.split(out[to:end], [*range(size, 8 * size, size), 7 * size + LANES])
        for i, (result, right) in enumerate(zip(got, want, strict=True)):
            if i == 3:  # a fused multiply-add keeps the digits that the product alone would lose
                rounding = np.finfo(dtype).eps * (abs(x) + abs(factor * y))
                assert (abs(result - right) <= rounding).all()
            else:
                np.testing.assert_array_equal(result, right)
        assert_only(out, to, end)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_go_through_the_arithmetic(dtype, form):
    a, b = np.ones(2 * LANES, dtype), np.ones(2 * LANES, dtype)
    a[3], a[LANES + 1], a[5], b[5], b[LANES] = np.nan, np.inf, np.inf, np.inf, np.nan
    out, size = blank(17 * LANES, dtype), 2 * LANES
    with np.errstate(invalid="ignore"):
        prepared(arithmetic, form, 2)(a, b, 0, dtype(0), out, 0)
        for i, want in enumerate((a + b, a - b, 0 * b, a + 0 * b)):
            np.testing.assert_array_equal(out[i * size : (i + 1) * size], want)


def weighted_sum(ops, count):
    """Two sums over a loop, kept in registers: all weights times x, and the same moved along by a register a time."""
    load, store, fill, multiply_add, shift = ops.load, ops.store, ops.fill, ops.multiply_add, ops.shift
    size = count * LANES

    def run(x, w, out):
        total = fill(x.dtype.type(0), count)
        moving = total
        for i in range(x.size):
            weights = load(w, i * size, count)
            total = multiply_add(total, x[i], weights)
            moving = multiply_add(shift(moving, 1), x[i], weights)
        store(out, 0, total)
        store(out, size, moving)

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 3, 12])
def test_sums_of_several_registers_in_a_loop(count, dtype, form):
    size, terms = count * LANES, 50
    x, w = numbers(terms, dtype), numbers((terms, size), dtype, seed=1)
    out = blank(2 * size, dtype)
    prepared(weighted_sum, form, count)(x, w.reshape(-1), out)
    rounding = terms * np.finfo(dtype).eps * (abs(x).astype(float) @ abs(w).astype(float))
    assert (abs(out[:size] - x.astype(float) @ w) <= rounding).all()
    moving = np.zeros(size)
    for factor, weights in zip(x.astype(float), w, strict=True):
        moving = np.append(moving[LANES:], np.zeros(LANES)) + factor * weights
    assert (abs(out[size:] - moving) <= rounding).all()


def masked(ops, count):
    load, store, where_equal = ops.load, ops.store, ops.where_equal

    def run(flags, at, value, row, out):
        store(out, 1, where_equal(flags, at, value, load(row, 0, count)))

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 3])
def test_where_equal_takes_what_is_not_flagged_for_zero(count, dtype, form):
    size = count * LANES
    row = numbers(size, dtype)
    row[:3] = np.nan, np.inf, -np.inf
    flags = np.random.default_rng(1).integers(0, 5, size + 5).astype(np.uint8)
    flags[0], flags[5], flags[6] = 255, 3, 2  # 255 is 4 + 251: no flag but its own
    for at in (0, 5):
        for value in (0, 3, 4, 255):
            out = blank(size + 2, dtype)
            prepared(masked, form, count)(flags, at, value, row, out)
            kept = flags[at : at + size] == value
            np.testing.assert_array_equal(out[1:-1][kept], row[kept])
            assert (out[1:-1][~kept] == 0).all()  # a NaN too
            assert_only(out, 1, size + 1)


def lines_apart(ops, lines, count):
    load_lines, store = ops.load_lines, ops.store

    def run(array, at, step, out):
        store(out, 1, load_lines(array, at, step, lines, count))

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lines", "count"), [(1, 1), (3, 1), (3, 2), (2, 3)])
def test_load_lines_puts_lines_that_lie_apart_into_one_row(lines, count, dtype, form):
    width = count * LANES
    array = numbers(lines * (width + 7) + 5, dtype)
    for at, step in ((0, width), (5, width + 7), (2, 3), (1, 0)):
        out = blank(lines * width + 2, dtype)
        prepared(lines_apart, form, lines, count)(array, at, step, out)
        want = [array[at + i * step : at + i * step + width] for i in range(lines)]
        np.testing.assert_array_equal(out[1:-1], np.concatenate(want))
        assert_only(out, 1, len(out) - 1)


# Lines and width of a window of an image, registers of filters.
TAPS = [(3, 3, 1), (2, 5, 2), (5, 1, 3), (1, 1, 1)]


def products(ops, lines, width, count):
    load, store, add_products = ops.load, ops.store, ops.add_products
    all_registers = lines * width * count

    def run(total, array, at, row_step, weights, out):
        row = load(total, 0, count)
        store(out, 0, add_products(row, array, at, row_step, width, load(weights, 0, all_registers)))
        store(out, count * LANES, row)  # as it was: sums for several windows begin with it

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lines", "width", "count"), TAPS)
def test_add_products_takes_the_sum_of_a_window_times_its_weights(lines, width, count, dtype, form):
    image, total = numbers((7, 7), dtype), numbers(count * LANES, dtype, seed=1)
    weights = numbers((lines, width, count * LANES), dtype, seed=2)
    out = blank(2 * total.size, dtype)
    prepared(products, form, lines, width, count)(total, image.reshape(-1), 7 + 2, 7, weights.reshape(-1), out)
    terms = image[1 : 1 + lines, 2 : 2 + width, None].astype(float) * weights
    rounding = (lines * width + 1) * np.finfo(dtype).eps * (abs(total) + abs(terms).sum(axis=(0, 1)))
    assert (abs(out[: total.size] - (total + terms.sum(axis=(0, 1)))) <= rounding).all()
    np.testing.assert_array_equal(out[total.size :], total)


def outer(ops, lines, width, count):
    load, store, add_outer = ops.load, ops.store, ops.add_outer
    all_registers = lines * width * count

    def run(totals, array, at, row_step, row):
        store(totals, 0, add_outer(load(totals, 0, all_registers), array, at, row_step, width, load(row, 0, count)))

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("lines", "width", "count"), TAPS)
def test_add_outer_takes_each_number_of_a_window_times_the_row(lines, width, count, dtype, form):
    image, row = numbers((7, 7), dtype), numbers(count * LANES, dtype, seed=1)
    totals = numbers((lines, width, count * LANES), dtype, seed=2)
    got = totals.copy()
    prepared(outer, form, lines, width, count)(got.reshape(-1), image.reshape(-1), 7 + 2, 7, row)
    terms = image[1 : 1 + lines, 2 : 2 + width, None] * row
    assert (abs(got - (totals + terms)) <= np.finfo(dtype).eps * (abs(totals) + abs(terms))).all()


def winner(ops, count):
    load, store_winner = ops.load, ops.store_winner
    size = count * LANES

    def run(rows, out, which, at):
        a = load(rows, 0, count)
        b = load(rows, size, count)
        c = load(rows, 2 * size, count)
        d = load(rows, 3 * size, count)
        store_winner(out, which, at, a, b, c, d)

    return run


NAN, INF = np.nan, np.inf

# Four candidates, what is written, who won.
WINDOWS = [
    ((1, 2, 3, 4), 4, 3),
    ((4, 3, 2, 1), 4, 0),
    ((1, 5, 5, 2), 5, 1),  # the first of equals
    ((2, 2, 2, 2), 2, 0),
    ((1, 1, 3, 3), 3, 2),
    ((-1, -2, -3, -4), 0, 4),  # nobody is positive
    ((0, 0, 0, 0), 0, 4),
    ((-0.0, 0.0, -0.0, -0.0), 0, 4),
    ((-0.0, -1, -1, -1), 0, 4),
    ((-1, -0.0, 1e-30, 0), 1e-30, 2),
    ((NAN, 1, 2, 3), NAN, 0),  # a NaN wins over numbers, the first of them over all
    ((1, 2, NAN, 3), NAN, 2),
    ((INF, 2, 3, NAN), NAN, 3),
    ((1, NAN, NAN, INF), NAN, 1),
    ((NAN, NAN, NAN, NAN), NAN, 0),
    ((-1, -2, -3, NAN), NAN, 3),
    ((-INF, NAN, -1, -INF), NAN, 1),
    ((1, INF, 2, INF), INF, 1),
    ((-INF, -INF, -INF, 1), 1, 3),
    ((-INF, -INF, -INF, -INF), 0, 4),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_store_winner_keeps_the_largest_and_notes_who_it_was(count, dtype, form):
    size = count * LANES
    for start in range(0, len(WINDOWS), size - 1):  # every window comes to lie in another lane
        table = [WINDOWS[(start + i) % len(WINDOWS)] for i in range(size)]
        candidates, values, winners = zip(*table, strict=True)
        rows = np.array(candidates, dtype).T.reshape(-1)
        for at in (0, 3):
            out, which = blank(size + 8, dtype), blank(size + 8, np.uint8)
            prepared(winner, form, count)(rows, out, which, at)
            np.testing.assert_array_equal(out[at : at + size], np.array(values, dtype))
            np.testing.assert_array_equal(which[at : at + size], winners)
            assert not np.signbit(out[at : at + size][~np.isnan(values)]).any()  # no -0.0
            assert_only(out, at, at + size)
            assert_only(which, at, at + size)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_store_winner_on_many_random_windows_with_ties(dtype, form):
    run, size = prepared(winner, form, 2), 2 * LANES
    values = np.array([-1, -0.0, 0, 1, 2, 2, NAN, INF], dtype)
    rng = np.random.default_rng(3)
    for _ in range(50):
        rows = rng.choice(values, (4, size))
        out, which = blank(size, dtype), blank(size, np.uint8)
        run(rows.reshape(-1), out, which, 0)
        best, first = rows.max(axis=0), rows.argmax(axis=0)
        dead = best <= 0
        np.testing.assert_array_equal(out, np.where(dead, 0, best))
        np.testing.assert_array_equal(which, np.where(dead, 4, first))


def packed(ops, name):
    pack = getattr(ops, name)

    def run(flags, at, value, source, source_at, target, target_at):
        return pack(flags, at, value, source, source_at, target, target_at)

    return run


KEPT = {
    "none": [],
    "all": range(LANES),
    "the first": [0],
    "the last": [LANES - 1],
    "every other": range(1, LANES, 2),
    "a few": [0, 1, 5, LANES - 2],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("flag", [np.uint8, np.int32])
@pytest.mark.parametrize("kept", KEPT)
def test_pack_puts_what_is_kept_close_together(kept, flag, dtype, form):
    source = (100 + np.arange(LANES + 7)).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        source[5:8] = np.nan, -np.inf, np.inf
    places = np.array(KEPT[kept], int)
    for at, source_at, target_at, value in ((0, 0, 0, 1), (3, 5, 1, 0), (1, 2, 7, 4), (2, 0, 3, np.iinfo(flag).min)):
        want = source[source_at + places]
        for name, filled, set_to in (("pack", 9, value), ("pack_others", value, 9)):
            flags, target = np.full(LANES + 3, filled, flag), blank(LANES + 20, dtype)
            flags[at + places] = set_to
            count = prepared(packed, form, name)(flags, at, int(value), source, source_at, target, target_at)
            assert count == len(want)
            np.testing.assert_array_equal(target[target_at : target_at + count], want)
            assert_only(target, target_at, target_at + LANES)  # the rubbish behind reaches no further


def packed_one_after_the_other(ops, name):
    pack = getattr(ops, name)

    def run(flags, value, source, target):
        end = 0
        for at in range(0, flags.size, LANES):
            end += pack(flags, at, value, source, at, target, end)
        return end

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("name", ["pack", "pack_others"])
def test_lists_packed_one_after_the_other_have_no_gaps(name, dtype, form):
    flags = np.random.default_rng(4).integers(-1, 2, 8 * LANES).astype(np.int32)
    source, target = np.arange(8 * LANES).astype(dtype), blank(9 * LANES, dtype)
    for value in (-1, 0, 1, 2):
        count = prepared(packed_one_after_the_other, form, name)(flags, value, source, target)
        kept = flags == value if name == "pack" else flags != value
        np.testing.assert_array_equal(target[:count], source[kept])


def transposed(ops):
    transpose = ops.transpose

    def run(source, at, step, lines, target, target_at, target_step):
        transpose(source, at, step, lines, target, target_at, target_step)

    return run


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_transpose_makes_lines_columns_and_repeats_the_last(dtype, form):
    whole = np.arange(LANES * (LANES + 5) + 3).astype(dtype)
    for lines in (1, 2, LANES - 1, LANES):
        for at, step, target_at, target_step in ((0, LANES, 0, LANES), (3, LANES + 5, 1, LANES + 2)):
            source = whole[: at + (lines - 1) * step + LANES].copy()  # no more than is promised to be read
            target = blank(2 + LANES * (LANES + 2), dtype)
            prepared(transposed, form)(source, at, step, lines, target, target_at, target_step)
            rows = np.minimum(np.arange(LANES), lines - 1)
            want = whole[at + rows[:, None] * step + np.arange(LANES)].T
            places = target_at + np.arange(LANES)[:, None] * target_step + np.arange(LANES)
            np.testing.assert_array_equal(target[places], want)
            target[places] = BLANK
            assert (target == BLANK).all()


def test_channels_fill_registers_on_every_machine():
    assert fused_shapes.UNIT % LANES == 0


@pytest.mark.skipif(not COMPILED, reason="NUMBA_DISABLE_JIT: a plain function doesn't show that it is an operation")
def test_every_operation_is_tested_here():
    assert {name for name, value in vars(simd).items() if hasattr(value, "plain")} == set(OPERATIONS)
