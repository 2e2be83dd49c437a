"""Convolution, ReLU and 2x2 max-pool in one kernel, which skips the products that are zero or discarded.

Forward.  A pool reads windows of 2x2 outputs of the convolution and keeps one.  So the four of a window are computed
together, in registers, and only the winner is stored, with a byte that says which it was (4: none, ReLU cut it off).
Outputs that fill no window aren't computed at all: the second layer's 11x11 become 10x10.  A 3x3 kernel over many
channels uses Winograd's algorithm, 16 products for the 36 of a window; any other kernel is computed directly.

Backward.  Each pooled value has one winner, so three quarters of the convolution's gradient is zero even before ReLU
cuts off its part.  The winners are collected in lists, and only they are visited:

* by channel, for the weights: the gradient of a channel's weights is the sum of the patches under its winners, each
  times the winner's gradient.  It stays in registers while the list of patches is read.
* by position, for the input: the patch under a position gets the weights of the channels that won there, each times
  its gradient.  Neighbouring patches overlap, so the sums stay in registers and move along the row with them.

Arrays are flat.  N images, padded already, H x W pixels, C channels; F filters of KH x KW; PH x PW pooled windows.
Unsupported shapes (a channel count that doesn't fill registers) use the general kernels of ``ops``.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from numcnn.kernels.arrays import Bytes, Floats, Ints
from numcnn.kernels.buffers import flat, scratch
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.fast.product import product1, product2, product4
from numcnn.kernels.fast.simd import (
    LANES,
    Registers,
    add,
    add_outer,
    add_products,
    fill,
    first,
    load,
    load_lines,
    multiply_add,
    pack,
    pack_others,
    scale,
    shift,
    store,
    store_winner,
    subtract,
    transpose,
    where_equal,
)
from numcnn.kernels.fused_shapes import DEAD, MOST_WEIGHTS, WINDOWS, Shape, backward_way, forward_way

# (N, H, W, C, KH, KW, F, PH, PW).  A plain tuple: a NamedTuple costs a microsecond more in every call of a kernel.
Geometry: TypeAlias = tuple[int, int, int, int, int, int, int, int, int]

# Lists of winners: offsets, gradients, ends.
Lists: TypeAlias = tuple[Ints, Floats, Ints]

# A kernel that is compiled for constants like a number of registers, by the function that returns it.
Kernel: TypeAlias = Callable[..., None]

# Registers that LLVM has for a kernel's sums: of 32 with AVX-512, of 16 otherwise.
REGISTERS = 29 if LANES == 16 else 14


def geometry(x: Floats, w_shape: Shape, out: Floats) -> Geometry:
    """Return the dimensions of a convolution of x (N,H,W,C) with weights of w_shape, pooled to out (N,PH,PW,F)."""
    N, H, W, C = x.shape
    KH, KW, _, F = w_shape
    _, PH, PW, _ = out.shape
    return N, H, W, C, KH, KW, F, PH, PW


def _columns(F: int, sums: int) -> int:
    """Return how many registers of filters to take at a time, with ``sums`` sums of each; 0: F is no multiple."""
    return next((n for n in (4, 2, 1) if F % (n * LANES) == 0 and n * sums <= REGISTERS), 0)


# Forward, directly


@functools.cache
def _direct(columns: int, lines: int, run: int) -> Kernel:
    """Return the kernel for ``lines`` lines of ``run`` weights for each filter.

    It computes ``columns`` registers of filters for a window's four outputs at a time.
    """

    @kernel
    def direct(x: Floats, w: Floats, b: Floats, out: Floats, which: Bytes, shape: Geometry) -> None:
        N, H, W, C, _, _, F, PH, PW = shape
        line = W * C
        for n in range(N):
            for py in range(PH):
                for px in range(PW):
                    corner = (n * H + 2 * py) * line + 2 * px * C
                    for f in range(0, F, columns * LANES):
                        top_left = load(b, f, columns)
                        top_right = top_left
                        bottom_left = top_left
                        bottom_right = top_left
                        for ky in range(lines):
                            at = corner + ky * line
                            for t in range(run):
                                weights = load(w, (ky * run + t) * F + f, columns)
                                top_left = multiply_add(top_left, x[at + t], weights)
                                top_right = multiply_add(top_right, x[at + t + C], weights)
                                bottom_left = multiply_add(bottom_left, x[at + t + line], weights)
                                bottom_right = multiply_add(bottom_right, x[at + t + line + C], weights)
                        target = ((n * PH + py) * PW + px) * F + f
                        store_winner(out, which, target, top_left, top_right, bottom_left, bottom_right)

    return direct


@functools.cache
def _direct_few(columns: int, taps: int, run: int) -> Kernel:
    """Return the kernel for few channels: ``taps`` weights for each filter, ``run`` in each line of its kernel.

    The weights of ``columns`` registers of filters stay in registers for all images.
    """

    @kernel
    def direct_few(x: Floats, w: Floats, b: Floats, out: Floats, which: Bytes, shape: Geometry) -> None:
        N, H, W, C, _, _, F, PH, PW = shape
        line = W * C
        for f in range(0, F, columns * LANES):
            weights = load_lines(w, f, F, taps, columns)
            bias = load(b, f, columns)
            for row in range(N * PH):
                n = row // PH
                py = row - n * PH
                for px in range(PW):
                    at = (n * H + 2 * py) * line + 2 * px * C
                    top_left = add_products(bias, x, at, line, run, weights)
                    top_right = add_products(bias, x, at + C, line, run, weights)
                    bottom_left = add_products(bias, x, at + line, line, run, weights)
                    bottom_right = add_products(bias, x, at + line + C, line, run, weights)
                    target = ((n * PH + py) * PW + px) * F + f
                    store_winner(out, which, target, top_left, top_right, bottom_left, bottom_right)

    return direct_few


def direct_kernel(w_shape: Shape) -> Kernel:
    """Return the kernel that computes all products, for weights (KH, KW, C, F)."""
    KH, KW, C, F = w_shape
    taps, run = KH * KW * C, KW * C
    if taps <= MOST_WEIGHTS:
        return _direct_few(max(1, _columns(F, taps + 5)), taps, run)
    return _direct(_columns(F, 4), KH, run)


# Forward, Winograd's algorithm F(2x2, 3x3) (Lavin & Gray 2016): with three small matrices of 0, 1, -1 and 1/2 the
# outputs of a window are A' [(G w G') * (B' x B)] A, where x is the 4x4 patch under it, w the 3x3 kernel and * is
# elementwise.  The sums over the channels are then 16 matrix products, (windows, C) by (C, F).


@kernel
def _transform_weights(w: Floats, u: Floats, C: int, F: int) -> None:
    """u = G w G' for each pair of channels.  w (3,3,C,F) -> u (4,4,C,F)."""
    half = w.dtype.type(0.5)
    size = C * F
    for at in range(0, size, LANES):
        # The kernel's three columns first ...
        for kx in range(3):
            top, middle, bottom = (
                load(w, kx * size + at, 1),
                load(w, (3 + kx) * size + at, 1),
                load(w, (6 + kx) * size + at, 1),
            )
            ends = add(top, bottom)
            store(u, kx * size + at, top)
            store(u, (4 + kx) * size + at, scale(half, add(ends, middle)))
            store(u, (8 + kx) * size + at, scale(half, subtract(ends, middle)))
            store(u, (12 + kx) * size + at, bottom)
        # ... then the four lines they have become.
        for ky in range(4):
            place = 4 * ky * size + at
            left, middle, right = load(u, place, 1), load(u, place + size, 1), load(u, place + 2 * size, 1)
            ends = add(left, right)
            store(u, place + size, scale(half, add(ends, middle)))
            store(u, place + 2 * size, scale(half, subtract(ends, middle)))
            store(u, place + 3 * size, right)


@kernel
def _store_patch_line(v: Floats, at: int, step: int, a: Registers, b: Registers, c: Registers, d: Registers) -> None:
    """Write [a-c, b+c, c-b, b-d], a line of B' x times B, ``step`` apart."""
    store(v, at, subtract(a, c))
    store(v, at + step, add(b, c))
    store(v, at + 2 * step, subtract(c, b))
    store(v, at + 3 * step, subtract(b, d))


@kernel
def _transform_patches(x: Floats, start: int, v: Floats, W: int, C: int, PH: int, PW: int) -> None:
    """v = B' x B for the patch of each window of the image at ``start``.  -> v (4,4,windows,C)."""
    line = W * C
    step = PH * PW * C
    for py in range(PH):
        for px in range(PW):
            for c in range(0, C, LANES):
                at = start + 2 * py * line + 2 * px * C + c
                a0, a1, a2, a3 = load(x, at, 1), load(x, at + C, 1), load(x, at + 2 * C, 1), load(x, at + 3 * C, 1)
                at += line
                b0, b1, b2, b3 = load(x, at, 1), load(x, at + C, 1), load(x, at + 2 * C, 1), load(x, at + 3 * C, 1)
                at += line
                c0, c1, c2, c3 = load(x, at, 1), load(x, at + C, 1), load(x, at + 2 * C, 1), load(x, at + 3 * C, 1)
                at += line
                d0, d1, d2, d3 = load(x, at, 1), load(x, at + C, 1), load(x, at + 2 * C, 1), load(x, at + 3 * C, 1)
                to = (py * PW + px) * C + c
                _store_patch_line(v, to, step, subtract(a0, c0), subtract(a1, c1), subtract(a2, c2), subtract(a3, c3))
                to += 4 * step
                _store_patch_line(v, to, step, add(b0, c0), add(b1, c1), add(b2, c2), add(b3, c3))
                to += 4 * step
                _store_patch_line(v, to, step, subtract(c0, b0), subtract(c1, b1), subtract(c2, b2), subtract(c3, b3))
                to += 4 * step
                _store_patch_line(v, to, step, subtract(b0, d0), subtract(b1, d1), subtract(b2, d2), subtract(b3, d3))


@kernel
def _store_windows(m: Floats, b: Floats, out: Floats, which: Bytes, start: int, T: int, F: int) -> None:
    """Take A' m A, four outputs for each of T windows, add the bias and keep the winner.  m (4,4,windows,F)."""
    step = T * F
    for window in range(T):
        for f in range(0, F, LANES):
            at = window * F + f
            a0, a1, a2, a3 = load(m, at, 1), load(m, at + step, 1), load(m, at + 2 * step, 1), load(m, at + 3 * step, 1)
            at += 4 * step
            b0, b1, b2, b3 = load(m, at, 1), load(m, at + step, 1), load(m, at + 2 * step, 1), load(m, at + 3 * step, 1)
            at += 4 * step
            c0, c1, c2, c3 = load(m, at, 1), load(m, at + step, 1), load(m, at + 2 * step, 1), load(m, at + 3 * step, 1)
            at += 4 * step
            d0, d1, d2, d3 = load(m, at, 1), load(m, at + step, 1), load(m, at + 2 * step, 1), load(m, at + 3 * step, 1)
            p0, p1, p2, p3 = add(add(a0, b0), c0), add(add(a1, b1), c1), add(add(a2, b2), c2), add(add(a3, b3), c3)
            q0, q1 = subtract(subtract(b0, c0), d0), subtract(subtract(b1, c1), d1)
            q2, q3 = subtract(subtract(b2, c2), d2), subtract(subtract(b3, c3), d3)
            bias = load(b, f, 1)
            store_winner(
                out,
                which,
                start + window * F + f,
                add(bias, add(add(p0, p1), p2)),
                add(bias, subtract(subtract(p1, p2), p3)),
                add(bias, add(add(q0, q1), q2)),
                add(bias, subtract(subtract(q1, q2), q3)),
            )


@functools.cache
def _winograd(columns: int) -> Kernel:
    """Return the kernel whose products take ``columns`` registers of filters at a time."""
    width = columns * LANES

    @kernel
    def winograd(
        x: Floats, u: Floats, b: Floats, out: Floats, which: Bytes, v: Floats, m: Floats, shape: Geometry
    ) -> None:
        N, H, W, C, _, _, F, PH, PW = shape
        T = PH * PW
        for n in range(N):
            _transform_patches(x, n * H * W * C, v, W, C, PH, PW)
            for i in range(16):
                patches, weights = v[i * T * C : (i + 1) * T * C], u[i * C * F : (i + 1) * C * F]
                to = m[i * T * F : (i + 1) * T * F]
                # The panels are full: no tile is used.  Numba compiles the one branch that is taken.
                if columns == 1:
                    product1(patches, (C, 1), weights, (F, width), to, to, (T, C, F))
                elif columns == 2:
                    product2(patches, (C, 1), weights, (F, width), to, to, (T, C, F))
                else:
                    product4(patches, (C, 1), weights, (F, width), to, to, (T, C, F))
            _store_windows(m, b, out, which, n * T * F, T, F)

    return winograd


# Backward


@kernel
def _list_by_channel(
    dout: Floats, which: Bytes, image: int, unpacked: tuple[Ints, Ints, Floats], lists: Lists, shape: Geometry
) -> None:
    """List for each channel the winners of one image: where the patch under each begins, and its gradient.

    The lists follow each other in offsets and gradients; ends (F+1,) are their ends: that of channel f is ends[f]
    to ends[f+1].  unpacked: scratch for all windows, by_window (T,F), all_offsets and all_gradients (F, room).
    """
    by_window, all_offsets, all_gradients = unpacked
    offsets, gradients, ends = lists
    _, _, W, C, _, _, F, PH, PW = shape
    T = PH * PW
    room = all_offsets.size // F
    start = image * T * F
    for window in range(T):
        py = window // PW
        corner = (2 * py * W + 2 * (window - py * PW)) * C
        for f in range(F):
            k = np.int32(which[start + window * F + f])
            by_window[window * F + f] = -1 if k == DEAD else corner + ((k >> 1) * W + (k & 1)) * C
    for f in range(0, F, LANES):
        for window in range(0, room, LANES):
            lines = min(T - window, LANES)
            transpose(by_window, window * F + f, F, lines, all_offsets, f * room + window, room)
            transpose(dout, start + window * F + f, F, lines, all_gradients, f * room + window, room)
    end = 0
    ends[0] = end
    for f in range(F):
        for window in range(T, room):
            all_offsets[f * room + window] = -1
        for at in range(f * room, f * room + room, LANES):
            pack_others(all_offsets, at, -1, all_gradients, at, gradients, end)
            end += pack_others(all_offsets, at, -1, all_offsets, at, offsets, end)
        ends[f + 1] = end


@functools.cache
def _weights_gradient(lines: int, run: int) -> Kernel:
    """Return the kernel for many channels that takes ``lines`` lines of the weights, ``run`` registers, at a time."""
    together = lines * run

    @kernel
    def weights_gradient(
        dout: Floats,
        which: Bytes,
        x: Floats,
        dw: Floats,
        db: Floats,
        unpacked: tuple[Ints, Ints, Floats],
        lists: Lists,
        shape: Geometry,
    ) -> None:
        """Overwrite dw (F,KH,run) and db (F,) with the sums over all images."""
        N, H, W, C, KH, _, F, _, _ = shape
        offsets, gradients, ends = lists
        dw[:] = dw.dtype.type(0)
        db[:] = db.dtype.type(0)
        for n in range(N):
            _list_by_channel(dout, which, n, unpacked, lists, shape)
            for f in range(F):
                for ky in range(0, KH, lines):
                    patches = (n * H + ky) * W * C
                    at = (f * KH + ky) * run * LANES
                    total = load(dw, at, together)
                    for i in range(ends[f], ends[f + 1]):
                        patch = load_lines(x, patches + offsets[i], W * C, lines, run)
                        total = multiply_add(total, gradients[i], patch)
                    store(dw, at, total)
                for i in range(ends[f], ends[f + 1]):
                    db[f] += gradients[i]

    return weights_gradient


@kernel
def _list_by_position(dout: Floats, which: Bytes, image: int, rows: Ints, lists: Lists, T: int, F: int) -> None:
    """List for each of the 4 T positions of one image the channels that won there: where their weights lie, gradients.

    rows (F,): where each channel's weights begin.  The lists follow each other in offsets and gradients; ends (T*4+1,)
    are their ends: that of a position is ends[position] to ends[position+1].
    """
    offsets, gradients, ends = lists
    end = 0
    ends[0] = end
    for window in range(T):
        at = (image * T + window) * F
        for k in range(4):
            for f in range(0, F, LANES):
                pack(which, at + f, k, rows, f, offsets, end)
                end += pack(which, at + f, k, dout, at + f, gradients, end)
            ends[4 * window + k + 1] = end


@functools.cache
def _input_gradient(pixel: int, run: int) -> Kernel:
    """Return the kernel for pixels of ``pixel`` registers, ``run`` of them under one line of the convolution's."""

    rest = run - pixel

    @kernel
    def input_gradient(
        dout: Floats, which: Bytes, w: Floats, dx: Floats, rows: Ints, lists: Lists, shape: Geometry
    ) -> None:
        """Overwrite dx.  w (KH,F,run): one of its KH parts stays in the first-level cache for a whole image."""
        N, H, W, C, KH, _, F, PH, PW = shape
        offsets, gradients, ends = lists
        T = PH * PW
        zero = dx.dtype.type(0)
        for n in range(N):
            dx[n * H * W * C : (n + 1) * H * W * C] = zero
            _list_by_position(dout, which, n, rows, lists, T, F)
            for ky in range(KH):
                weights = ky * F * run * LANES
                for y in range(2 * PH):
                    # Along a row of positions: a position's leftmost pixel gets its last addend there.
                    at = (n * H + y + ky) * W * C
                    total = fill(zero, run)
                    for x in range(2 * PW):
                        position = 4 * ((y // 2) * PW + x // 2) + 2 * (y % 2) + x % 2
                        for i in range(ends[position], ends[position + 1]):
                            total = multiply_add(total, gradients[i], load(w, weights + offsets[i], run))
                        store(dx, at, add(load(dx, at, pixel), first(total, pixel)))
                        total = shift(total, pixel)
                        at += C
                    if rest > 0:
                        store(dx, at, add(load(dx, at, rest), first(total, rest)))

    return input_gradient


@functools.cache
def _first_weights_gradient(columns: int, taps: int, run: int) -> Kernel:
    """Return the kernel for few channels: ``taps`` weights for each filter, ``run`` in each line of its kernel."""

    all_columns = taps * columns

    @kernel
    def first_weights_gradient(dout: Floats, which: Bytes, x: Floats, dw: Floats, db: Floats, shape: Geometry) -> None:
        """Overwrite dw (taps,F) and db (F,) with the sums over all images.

        A window's losers are multiplied by zero, which is fast enough for few channels.
        """
        N, H, W, C, _, _, F, PH, PW = shape
        line = W * C
        zero = dw.dtype.type(0)
        for f in range(0, F, columns * LANES):
            totals = fill(zero, all_columns)
            total = fill(zero, columns)
            for n in range(N):
                for py in range(PH):
                    for px in range(PW):
                        at = ((n * PH + py) * PW + px) * F + f
                        corner = (n * H + 2 * py) * line + 2 * px * C
                        gradient = load(dout, at, columns)
                        for k in range(4):
                            won = where_equal(which, at, k, gradient)
                            patch = corner + (k // 2) * line + (k % 2) * C
                            totals = add_outer(totals, x, patch, line, run, won)
                            total = add(total, won)
            store(db, f, total)
            for tap in range(taps):
                store(dw, tap * F + f, first(totals, columns))
                totals = shift(totals, columns)

    return first_weights_gradient


@kernel
def _transpose_planes(source: Floats, target: Floats, rows: int, columns: int) -> None:
    """target (planes, columns, rows) = source (planes, rows, columns), both numbers multiples of LANES."""
    for start in range(0, source.size, rows * columns):
        for row in range(0, rows, LANES):
            for column in range(0, columns, LANES):
                at, to = start + row * columns + column, start + column * rows + row
                transpose(source, at, columns, LANES, target, to, rows)


@kernel
def _few_channels_input_gradient(dout: Floats, which: Bytes, w: Floats, dx: Floats, shape: Geometry) -> None:
    """Overwrite dx, element by element: a first layer's input gradient is needed only for saliency maps."""
    N, H, W, C, KH, KW, F, PH, PW = shape
    for n in range(N):
        dx[n * H * W * C : (n + 1) * H * W * C] = dx.dtype.type(0)
        for py in range(PH):
            for px in range(PW):
                for f in range(F):
                    k = int(which[((n * PH + py) * PW + px) * F + f])
                    if k == DEAD:
                        continue
                    gradient = dout[((n * PH + py) * PW + px) * F + f]
                    for ky in range(KH):
                        at = ((n * H + 2 * py + k // 2 + ky) * W + 2 * px + k % 2) * C
                        for t in range(KW * C):
                            dx[at + t] += gradient * w[(ky * KW * C + t) * F + f]


# The kernels of the back-end


@functools.cache
def _row_starts(F: int, size: int) -> Ints:
    """Return where each of F rows of ``size`` numbers begins: (F,) int32."""
    return np.arange(F, dtype=np.int32) * np.int32(size)


def conv_relu_pool_forward(x: Floats, w: Floats, b: Floats, out: Floats, which: Bytes | None) -> None:
    """See ``reference.conv_relu_pool_forward``."""
    if which is None:
        which = scratch("which", out.shape, np.uint8)
    shape = geometry(x, w.shape, out)
    _, _, _, C, _, _, F, PH, PW = shape
    images, weights, pooled, winners = flat(x, w, out, which)
    if forward_way(w.shape, PH * PW) == "winograd":
        u = scratch("winograd weights", (16 * C * F,), w.dtype)
        v = scratch("winograd patches", (16 * PH * PW * C,), x.dtype)
        m = scratch("winograd products", (16 * PH * PW * F,), x.dtype)
        _transform_weights(weights, u, C, F)
        _winograd(_columns(F, WINDOWS))(images, u, b, pooled, winners, v, m, shape)
    else:
        direct_kernel(w.shape)(images, weights, b, pooled, winners, shape)


def conv_relu_pool_backward(
    dout: Floats, which: Bytes, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats
) -> None:
    """See ``reference.conv_relu_pool_backward``."""
    if backward_way(w.shape) == "lists":
        _backward_by_lists(dout, which, x, w, dx, dw, db)
    else:
        _backward_by_masks(dout, which, x, w, dx, dw, db)


def _backward_by_lists(
    dout: Floats, which: Bytes, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats
) -> None:
    shape = geometry(x, w.shape, dout)
    _, _, _, C, KH, KW, F, PH, PW = shape
    T, line, dtype = PH * PW, KW * C, x.dtype
    run = line // LANES
    gradients, winners, images = flat(dout, which, x)

    room = -(-T // LANES) * LANES
    longest = T * F + LANES  # every window has one winner in every channel
    unpacked = (
        scratch("offsets by window", (T * F,), np.int32),
        scratch("offsets by channel", (F * room,), np.int32),
        scratch("by channel", (F * room,), dtype),
    )
    lists = (
        scratch("offsets", (longest,), np.int32),
        scratch("gradients", (longest,), dtype),
        scratch("ends", (max(F, 4 * T) + 1,), np.int32),
    )

    # All lines of a channel's gradient at once, if there are registers for so many sums.
    weights_gradient = _weights_gradient(KH if KH * run <= REGISTERS - 4 else 1, run)
    dw_by_filter = scratch("dw by filter", (F * KH * line,), dtype)
    weights_gradient(gradients, winners, images, dw_by_filter, db, unpacked, lists, shape)
    _transpose_planes(dw_by_filter, dw.reshape(-1), F, KH * line)
    if dx is not None:
        by_line = scratch("weights by line", (KH * F * line,), w.dtype)
        _transpose_planes(w.reshape(-1), by_line, line, F)
        input_gradient = _input_gradient(C // LANES, run)
        input_gradient(gradients, winners, by_line, dx.reshape(-1), _row_starts(F, line), lists, shape)


def _backward_by_masks(
    dout: Floats, which: Bytes, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats
) -> None:
    KH, KW, C, F = w.shape
    taps, shape = KH * KW * C, geometry(x, w.shape, dout)
    gradients, winners, images = flat(dout, which, x)
    first_weights_gradient = _first_weights_gradient(max(1, _columns(F, taps + 2)), taps, KW * C)
    first_weights_gradient(gradients, winners, images, dw.reshape(-1), db, shape)
    if dx is not None:
        _few_channels_input_gradient(gradients, winners, w.reshape(-1), dx.reshape(-1), shape)
