"""The matrix product: shapes that fill its panels and rows or don't, compiled and in plain Python."""

import numpy as np
import pytest

from numcnn.kernels.fast.product import ROWS, multiply, panel_registers, product_kernel
from numcnn.kernels.fast.simd import LANES


def numbers(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "size",
    [(1, 1, 1), (4, 3, 10), (ROWS, 7, LANES), (13, LANES, 4 * LANES), (12, 2 * LANES, 5 * LANES + 3), (7, 1, 65)],
)
def test_every_size_as_arrays_and_as_their_transposes(size, dtype):
    M, K, F = size
    a, b = numbers((M, K), dtype, 1), numbers((K, F), dtype, 2)
    out = np.full((M, F), np.nan, dtype)
    for left in (a, np.ascontiguousarray(a.T).T):
        for right in (b, np.ascontiguousarray(b.T).T):
            out[...] = np.nan
            multiply(left, right, out)
            np.testing.assert_allclose(out, a.astype(np.float64) @ b, rtol=0, atol=30 * np.finfo(dtype).eps * K)


def test_a_row_has_the_same_bytes_whatever_the_other_rows():
    a, b = numbers((3 * ROWS + 2, 50), np.float32, 3), numbers((50, 70), np.float32, 4)
    whole, part = np.empty((len(a), 70), np.float32), np.empty((ROWS - 1, 70), np.float32)
    multiply(a, b, whole)
    for first in (0, 1, 9):
        multiply(a[first : first + len(part)], b, part)
        assert part.tobytes() == whole[first : first + len(part)].tobytes()


def test_nan_and_infinity_stay_in_their_rows():
    a, b = numbers((8, 6), np.float32, 5), numbers((6, 10), np.float32, 6)
    a[2, 3], a[5, 0] = np.nan, np.inf
    out = np.empty((8, 10), np.float32)
    multiply(a, b, out)
    assert np.isnan(out[2]).all() and np.isinf(out[5]).all()
    assert np.isfinite(np.delete(out, [2, 5], axis=0)).all()


def test_the_result_lies_in_one_order_of_sums():
    """2^24 + 1 - 2^24 in float32 is 0 from left to right, and 1 in other orders."""
    a = np.array([[2.0**24, 1, -(2.0**24)]] * ROWS, np.float32)
    out = np.empty((ROWS, 1), np.float32)
    multiply(a, np.ones((3, 1), np.float32), out)
    assert (out == 0).all()


def test_panels_are_wide_enough_but_not_wider_than_registers_allow():
    assert panel_registers(1, np.float32) == 1
    assert product_kernel(panel_registers(10_000, np.float32)) is product_kernel(LANES // 4)
    assert panel_registers(10_000, np.float64) == LANES // 8
