"""The matrix product, written in the vector registers of ``simd``.

BLAS adds up in an order of its own for each kind of processor and size of matrix.  Here each number of the result is
one chain of fused multiply-adds, from the first term to the last, whatever the machine, the sizes and the other rows:
equal numbers give equal bytes everywhere, and a picture's result doesn't depend on those beside it.
"""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from numcnn.kernels.arrays import Floats
from numcnn.kernels.buffers import scratch
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.fast.simd import LANES, fill, load, multiply_add, store, transpose

# Rows of the result that are computed together, so that each register that is loaded serves so many products.
ROWS = 5


@functools.cache
def product_kernel(registers: int) -> Callable[..., None]:
    """Return the kernel that computes ``registers`` of the result's columns at a time, a panel."""
    columns = registers * LANES

    @kernel
    def product(
        a: Floats,
        steps: tuple[int, int],
        b: Floats,
        pitch: tuple[int, int],
        out: Floats,
        tile: Floats,
        size: tuple[int, int, int],
    ) -> None:
        """Out (M,F) = a (M,K) times b (K,F), all flat.  size (M, K, F); tile: scratch of ROWS * columns.

        The steps down and along a are to the next row and column; the pitch of b is from a row to the next, and from a
        panel to the next.  Past the last column of b there are any numbers.
        """
        M, K, F = size
        down, along = steps
        line, panel = pitch
        for first in range(0, F, columns):
            begin = first // columns * panel
            width = min(columns, F - first)
            for start in range(0, M, ROWS):
                count = min(M, ROWS)
                row = min(start, M - count)  # the last few may be computed twice
                at = row * down
                to = row * F + first
                total0 = fill(out.dtype.type(0), registers)
                if count < ROWS:
                    for m in range(count):
                        total = total0
                        for k in range(K):
                            weights = load(b, begin + k * line, registers)
                            total = multiply_add(total, a[np.uintp(at + m * down + k * along)], weights)
                        store(tile, m * columns, total)
                else:
                    total1 = total0
                    total2 = total0
                    total3 = total0
                    total4 = total0
                    for k in range(K):
                        weights = load(b, begin + k * line, registers)
                        place = at + k * along
                        # Unsigned, as a negative index would count from the end, and LLVM would care for that.
                        total0 = multiply_add(total0, a[np.uintp(place)], weights)
                        total1 = multiply_add(total1, a[np.uintp(place + down)], weights)
                        total2 = multiply_add(total2, a[np.uintp(place + 2 * down)], weights)
                        total3 = multiply_add(total3, a[np.uintp(place + 3 * down)], weights)
                        total4 = multiply_add(total4, a[np.uintp(place + 4 * down)], weights)
                    target, step, to_tile = (out, F, to) if width == columns else (tile, columns, 0)
                    store(target, to_tile, total0)
                    store(target, to_tile + step, total1)
                    store(target, to_tile + 2 * step, total2)
                    store(target, to_tile + 3 * step, total3)
                    store(target, to_tile + 4 * step, total4)
                if count < ROWS or width < columns:
                    for m in range(count):
                        for f in range(width):
                            out[to + m * F + f] = tile[m * columns + f]

    return product


@kernel
def _transpose_to_panels(b: Floats, K: int, F: int, columns: int, panels: Floats) -> None:
    """Write the transpose of b (F,K), flat, to panels (F // columns, K, columns), of which the last may not be full."""
    if K % LANES == 0:
        for f in range(0, F, LANES):
            to = f // columns * columns * K + f % columns
            for k in range(0, K, LANES):
                transpose(b, f * K + k, K, min(F - f, LANES), panels, to + k * columns, columns)
        return
    for f in range(F):
        to = f // columns * columns * K + f % columns
        for k in range(K):
            panels[to + k * columns] = b[f * K + k]


# By names of the module: a kernel that took one from the function around it would not be found in the cache on disk.
product1, product2, product4 = product_kernel(1), product_kernel(2), product_kernel(4)


def panel_registers(F: int, dtype: npt.DTypeLike) -> int:
    """Return how many registers of F columns ``product_kernel`` should take at a time."""
    most = (4 if LANES == 16 else 2) // (np.dtype(dtype).itemsize // 4)  # float64 takes twice the registers
    return next(n for n in (1, 2, 4) if n * LANES >= F or n == most)


def multiply(a: Floats, b: Floats, out: Floats) -> None:
    """Fill out (M,F) with a (M,K) times b (K,F).  a, b: C-contiguous, or the transpose of such an array."""
    (M, K), F = a.shape, b.shape[1]
    registers = panel_registers(F, out.dtype)
    columns = registers * LANES
    if not b.flags.c_contiguous:
        panels = scratch("panels", (-(-F // columns) * columns * K,), b.dtype)
        _transpose_to_panels(b.T.reshape(-1), K, F, columns, panels)
        values, pitch = panels, (columns, columns * K)
    else:
        values, pitch = b.reshape(-1), (F, columns)
        if F % columns:  # the last row is read past its end
            values = scratch("panels", (b.size + columns,), b.dtype)
            values[: b.size] = b.reshape(-1)
            values[b.size :] = 0
    if a.flags.c_contiguous:
        rows, steps = a.reshape(-1), (K, 1)
    else:
        rows, steps = a.T.reshape(-1), (1, M)
    tile = scratch("tile", (ROWS * columns,), out.dtype)
    product_kernel(registers)(rows, steps, values, pitch, out.reshape(-1), tile, (M, K, F))
