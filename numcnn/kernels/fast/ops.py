"""The kernels in Numba: names, signatures and results of ``reference``; tests hold the two together.

A convolution is a matrix product: ``im2col`` copies the pixels under each kernel position to a row, and ``product``
multiplies all rows by the weights.  It takes a few images at a time, so that the rows are still in the cache then.

Equal numbers give equal bytes on every processor with fused multiply-add: sums run in one order, products and sums
are rounded as they are written, and exp and log are numcnn's own (``jit``, ``product``, ``elementary``).

All of it is serial and releases the GIL: a network gives each thread a part of the batch to take through all its layers
(``nn/data_parallel.py``).  Convolution, ReLU and max-pool in one kernel are in ``conv_relu_pool``, optimiser steps
in ``updates``.
"""

from collections.abc import Callable, Iterator

import numpy as np

from numcnn.errors import ShapeError
from numcnn.kernels.arrays import AnyArray, Float64s, Floats, Ints, Pair, Scalar
from numcnn.kernels.buffers import flat, scratch
from numcnn.kernels.fast import elementary, product, spin_wait
from numcnn.kernels.fast.conv_relu_pool import conv_relu_pool_backward, conv_relu_pool_forward  # noqa: F401
from numcnn.kernels.fast.jit import COMPILED, kernel
from numcnn.kernels.fast.simd import FUSED  # noqa: F401
from numcnn.kernels.fast.updates import adam_step, add, average_step, sgd_step  # noqa: F401
from numcnn.kernels.reference import computing  # noqa: F401
from numcnn.kernels.reference_augment import Strengths
from numcnn.kernels.thread_team import set_spin_wait, the_team

if COMPILED:
    set_spin_wait(spin_wait)

multiply = product.multiply if COMPILED else np.matmul  # as loops in Python it would take minutes

# Bytes of im2col rows made at a time: they should fit in the second-level cache while they are multiplied.
CHUNK_BYTES = 1 << 19


def threads() -> int:
    """See ``reference.threads``."""
    return the_team().threads


def run_parallel(size: int, task: Callable[[int, int, int], object]) -> None:
    """See ``reference.run_parallel``."""
    the_team().run_parallel(size, task)


def _column_chunks(x: Floats, w: Floats, OH: int, OW: int) -> Iterator[tuple[int, int, Floats]]:
    """Yield ``(first, last, columns)``: for these images the scratch rows (n*OH*OW, KH*KW*C), a few at a time."""
    K = w.shape[0] * w.shape[1] * w.shape[2]
    images = max(1, CHUNK_BYTES // (OH * OW * K * x.itemsize))
    for first in range(0, len(x), images):
        last = min(first + images, len(x))
        yield first, last, scratch("columns", ((last - first) * OH * OW, K), x.dtype)


@kernel
def _im2col(x: Floats, KH: int, SH: int, SW: int, columns: Floats) -> None:
    """Copy the pixels under each kernel position to a row.  x (N,H,W*C) -> columns (N,OH,OW,KH,KW*C); SW in values."""
    N, OH, OW, _, run = columns.shape
    for n in range(N):
        for oy in range(OH):
            for ox in range(OW):
                for ky in range(KH):
                    # A slice of known length keeps Python's negative indices out of the loop, so LLVM can vectorise it.
                    source = x[n, oy * SH + ky, ox * SW : ox * SW + run]
                    target = columns[n, oy, ox, ky]
                    for t in range(run):
                        target[t] = source[t]


@kernel
def _col2im(dcolumns: Floats, KH: int, SH: int, SW: int, dx: Floats) -> None:
    """Add each row back to the pixels it was copied from: the transpose of ``_im2col``.  Overwrites dx (N,H,W*C)."""
    N, OH, OW, _, run = dcolumns.shape
    for n in range(N):
        dx[n] = 0
        for oy in range(OH):
            for ox in range(OW):
                for ky in range(KH):
                    source = dcolumns[n, oy, ox, ky]
                    target = dx[n, oy * SH + ky, ox * SW : ox * SW + run]
                    for t in range(run):
                        target[t] += source[t]


@kernel
def _add_bias(rows: Floats, b: Floats) -> None:
    """rows += b, in place; NumPy would use a buffer."""
    N, F = rows.shape
    for n in range(N):
        for f in range(F):
            rows[n, f] += b[f]


@kernel
def _add_rows(rows: Floats, total: Floats) -> None:
    """total += the sum of all rows, one after another."""
    N, F = rows.shape
    for n in range(N):
        for f in range(F):
            total[f] += rows[n, f]


def _rows(x: Floats) -> Floats:
    """View images (N,H,W,C) as rows of values (N,H,W*C)."""
    N, H, W, C = x.shape
    return x.reshape(N, H, W * C)


def conv2d_forward(x: Floats, w: Floats, b: Floats, out: Floats, stride: Pair) -> None:
    """See ``reference.conv2d_forward``."""
    _, OH, OW, F = out.shape
    KH, KW, C, _ = w.shape
    SH, SW = stride
    for first, last, columns in _column_chunks(x, w, OH, OW):
        _im2col(_rows(x[first:last]), KH, SH, SW * C, columns.reshape(last - first, OH, OW, KH, KW * C))
        products = out[first:last].reshape(-1, F)
        multiply(columns, w.reshape(-1, F), products)
        _add_bias(products, b)


def conv2d_backward(
    dout: Floats, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats, stride: Pair
) -> None:
    """See ``reference.conv2d_backward``."""
    _, OH, OW, F = dout.shape
    KH, KW, C, _ = w.shape
    SH, SW = stride
    dw[...] = 0
    db[...] = 0
    dw_of_chunk = scratch("dw of chunk", (KH * KW * C, F), dw.dtype)
    for first, last, columns in _column_chunks(x, w, OH, OW):
        by_kernel_row = columns.reshape(last - first, OH, OW, KH, KW * C)
        dout_rows = dout[first:last].reshape(-1, F)
        _im2col(_rows(x[first:last]), KH, SH, SW * C, by_kernel_row)
        multiply(columns.T, dout_rows, dw_of_chunk)
        dw += dw_of_chunk.reshape(dw.shape)
        _add_rows(dout_rows, db)
        if dx is not None:
            multiply(dout_rows, w.reshape(-1, F).T, columns)  # dcolumns, in the memory of the rows
            _col2im(by_kernel_row, KH, SH, SW * C, _rows(dx[first:last]))


def dense_forward(x: Floats, w: Floats, b: Floats, out: Floats) -> None:
    """See ``reference.dense_forward``."""
    multiply(x, w, out)
    _add_bias(out, b)


def dense_backward(dout: Floats, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats) -> None:
    """See ``reference.dense_backward``."""
    multiply(x.T, dout, dw)
    if dx is not None:
        multiply(dout, w.T, dx)
    db[...] = 0
    _add_rows(dout, db)


@kernel
def _relu_forward(x: Floats, out: Floats) -> None:
    zero = x.dtype.type(0)
    for i in range(x.size):
        # "not <=" instead of ">": a comparison with NaN is false, and NaN must come through.
        out[i] = x[i] if not x[i] <= zero else zero


def relu_forward(x: Floats, out: Floats) -> None:
    """See ``reference.relu_forward``."""
    _relu_forward(*flat(x, out))


@kernel
def _relu_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    one = dout.dtype.type(1)
    zero = dout.dtype.type(0)
    for i in range(dout.size):
        dx[i] = dout[i] * (one if out[i] > zero else zero)


def relu_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    """See ``reference.relu_backward``."""
    _relu_backward(*flat(dout, out, dx))


@kernel
def _leaky_relu(x: Floats, sign: Floats, slope: Scalar, out: Floats) -> None:
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for i in range(x.size):
        out[i] = x[i] * (one if sign[i] > zero else slope)


def leaky_relu_forward(x: Floats, slope: float, out: Floats) -> None:
    """See ``reference.leaky_relu_forward``."""
    values, result = flat(x, out)
    _leaky_relu(values, values, x.dtype.type(slope), result)


def leaky_relu_backward(dout: Floats, out: Floats, slope: float, dx: Floats) -> None:
    """See ``reference.leaky_relu_backward``."""
    gradients, sign, result = flat(dout, out, dx)
    _leaky_relu(gradients, sign, dout.dtype.type(slope), result)


@kernel
def _tanh_forward(x: Floats, out: Floats) -> None:
    for i in range(x.size):
        out[i] = elementary.tanh(x[i])


def tanh_forward(x: Floats, out: Floats) -> None:
    """See ``reference.tanh_forward``."""
    _tanh_forward(*flat(x, out))


@kernel
def _tanh_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    one = dout.dtype.type(1)
    for i in range(dout.size):
        dx[i] = dout[i] * (one - out[i] * out[i])


def tanh_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    """See ``reference.tanh_backward``."""
    _tanh_backward(*flat(dout, out, dx))


@kernel
def _sigmoid_forward(x: Floats, out: Floats) -> None:
    for i in range(x.size):
        e = elementary.exp(-abs(x[i]))  # never overflows
        out[i] = (1 if x[i] >= 0 else e) / (1 + e)


def sigmoid_forward(x: Floats, out: Floats) -> None:
    """See ``reference.sigmoid_forward``."""
    _sigmoid_forward(*flat(x, out))


@kernel
def _sigmoid_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    one = dout.dtype.type(1)
    for i in range(dout.size):
        dx[i] = dout[i] * out[i] * (one - out[i])


def sigmoid_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    """See ``reference.sigmoid_backward``."""
    _sigmoid_backward(*flat(dout, out, dx))


@kernel
def _dropout(x: Floats, u: Floats, out: Floats, rate: Scalar, scale: Scalar) -> None:
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = x[i] * (scale if u[i] >= rate else zero)


def dropout_forward(x: Floats, u: Floats, rate: float, out: Floats) -> None:
    """See ``reference.dropout_forward``."""
    dtype = x.dtype.type
    values, numbers, dropped = flat(x, u, out)
    _dropout(values, numbers, dropped, dtype(rate), dtype(1 / (1 - rate)))


def dropout_backward(dout: Floats, u: Floats, rate: float, dx: Floats) -> None:
    """See ``reference.dropout_backward``."""
    dropout_forward(dout, u, rate, dx)


@kernel
def _maxpool2d_forward(x: Floats, out: Floats, which: AnyArray, PH: int, PW: int, SH: int, SW: int) -> None:
    """Take the windows' largest values, all channels of a window together."""
    N, OH, OW, C = out.shape
    for n in range(N):
        for oy in range(OH):
            for ox in range(OW):
                best = out[n, oy, ox]
                winner = which[n, oy, ox]
                first = x[n, oy * SH, ox * SW]
                for c in range(C):
                    best[c] = first[c]
                    winner[c] = 0
                for k in range(1, PH * PW):
                    ky = k // PW
                    pixel = x[n, oy * SH + ky, ox * SW + k - ky * PW]
                    for c in range(C):
                        # A NaN beats a number (the second test) and nothing beats a NaN (both tests fail).
                        if pixel[c] > best[c] or (pixel[c] != pixel[c] and best[c] == best[c]):
                            best[c] = pixel[c]
                            winner[c] = k


def maxpool2d_forward(x: Floats, out: Floats, which: AnyArray | None, window: Pair, stride: Pair) -> None:
    """See ``reference.maxpool2d_forward``."""
    if which is None:
        which = scratch("which", out.shape, np.min_scalar_type(window[0] * window[1] - 1))
    _maxpool2d_forward(x, out, which, *window, *stride)


@kernel
def _maxpool2d_backward(dout: Floats, which: AnyArray, dx: Floats, PH: int, PW: int, SH: int, SW: int) -> None:
    """Visit each window's positions in turn and add its gradient where the position is the winner's."""
    N, OH, OW, C = dout.shape
    zero = dout.dtype.type(0)
    for n in range(N):
        dx[n] = zero
        for oy in range(OH):
            for ox in range(OW):
                gradient = dout[n, oy, ox]
                winner = which[n, oy, ox]
                for k in range(PH * PW):
                    ky = k // PW
                    dpixel = dx[n, oy * SH + ky, ox * SW + k - ky * PW]
                    for c in range(C):
                        dpixel[c] += gradient[c] if winner[c] == k else zero


def maxpool2d_backward(dout: Floats, which: AnyArray, dx: Floats, window: Pair, stride: Pair) -> None:
    """See ``reference.maxpool2d_backward``."""
    _maxpool2d_backward(dout, which, dx, *window, *stride)


@kernel
def _averagepool2d_forward(x: Floats, out: Floats, PH: int, PW: int, SH: int, SW: int) -> None:
    """Add up each window's pixels, all channels together."""
    N, OH, OW, C = out.shape
    size = x.dtype.type(PH * PW)
    for n in range(N):
        for oy in range(OH):
            for ox in range(OW):
                total = out[n, oy, ox]
                total[:] = 0
                for ky in range(PH):
                    for kx in range(PW):
                        pixel = x[n, oy * SH + ky, ox * SW + kx]
                        for c in range(C):
                            total[c] += pixel[c]
                for c in range(C):
                    total[c] /= size


def averagepool2d_forward(x: Floats, out: Floats, window: Pair, stride: Pair) -> None:
    """See ``reference.averagepool2d_forward``."""
    _averagepool2d_forward(x, out, *window, *stride)


@kernel
def _averagepool2d_backward(dout: Floats, dx: Floats, PH: int, PW: int, SH: int, SW: int) -> None:
    N, OH, OW, C = dout.shape
    share = dout.dtype.type(1) / dout.dtype.type(PH * PW)
    for n in range(N):
        dx[n] = 0
        for oy in range(OH):
            for ox in range(OW):
                gradient = dout[n, oy, ox]
                for ky in range(PH):
                    for kx in range(PW):
                        dpixel = dx[n, oy * SH + ky, ox * SW + kx]
                        for c in range(C):
                            dpixel[c] += gradient[c] * share


def averagepool2d_backward(dout: Floats, dx: Floats, window: Pair, stride: Pair) -> None:
    """See ``reference.averagepool2d_backward``."""
    _averagepool2d_backward(dout, dx, *window, *stride)


@kernel
def _add_up_squares(x: Floats, mean: Floats, total: Float64s) -> None:
    M, C = x.shape
    for m in range(M):
        for c in range(C):
            difference = x[m, c] - mean[c]
            total[c] += difference * difference


def batchnorm_statistics(x: Floats, mean: Floats, var: Floats) -> None:
    """See ``reference.batchnorm_statistics``."""
    M, C = x.shape
    totals = np.zeros((2, C))
    _add_rows(x, totals[0])
    mean[...] = totals[0] / M  # not in the loop, where 1/M is rounded and a constant has a variance
    _add_up_squares(x, mean, totals[1])
    var[...] = totals[1] / M


@kernel
def _batchnorm_forward(x: Floats, mean: Floats, scale: Floats, beta: Floats, out: Floats) -> None:
    M, C = x.shape
    for m in range(M):
        for c in range(C):
            out[m, c] = (x[m, c] - mean[c]) * scale[c] + beta[c]


def batchnorm_forward(
    x: Floats, mean: Floats, var: Floats, gamma: Floats, beta: Floats, eps: float, out: Floats
) -> None:
    """See ``reference.batchnorm_forward``."""
    _batchnorm_forward(x, mean, gamma / np.sqrt(var + x.dtype.type(eps)), beta, out)


@kernel
def _batchnorm_sums(dout: Floats, x: Floats, mean: Floats, scale: Floats, dgamma: Floats, dbeta: Floats) -> None:
    M, C = x.shape
    along_xhat, along_one = np.zeros(C), np.zeros(C)
    for m in range(M):
        for c in range(C):
            along_xhat[c] += dout[m, c] * ((x[m, c] - mean[c]) * scale[c])
            along_one[c] += dout[m, c]
    for c in range(C):
        dgamma[c] = along_xhat[c]
        dbeta[c] = along_one[c]


@kernel
def _batchnorm_dx(
    dout: Floats,
    x: Floats,
    mean: Floats,
    scale: Floats,
    gamma: Floats,
    mean_along_xhat: Floats,
    mean_dout: Floats,
    dx: Floats,
) -> None:
    M, C = x.shape
    for m in range(M):
        for c in range(C):
            xhat = (x[m, c] - mean[c]) * scale[c]
            dx[m, c] = gamma[c] * scale[c] * (dout[m, c] - mean_dout[c] - xhat * mean_along_xhat[c])


def batchnorm_backward(
    dout: Floats,
    x: Floats,
    mean: Floats,
    var: Floats,
    gamma: Floats,
    eps: float,
    dx: Floats | None,
    dgamma: Floats,
    dbeta: Floats,
) -> None:
    """See ``reference.batchnorm_backward``."""
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    _batchnorm_sums(dout, x, mean, scale, dgamma, dbeta)
    if dx is not None:
        _batchnorm_dx(dout, x, mean, scale, gamma, dgamma / len(x), dbeta / len(x), dx)


@kernel
def _softmax_cross_entropy_forward(
    logits: Floats, labels: Ints, smoothing: Scalar, log_probs: Floats, losses: Floats
) -> None:
    N, C = logits.shape
    one = logits.dtype.type(1)
    per_class = one / logits.dtype.type(C)
    for n in range(N):
        largest = logits[n, 0]
        for c in range(1, C):
            largest = max(largest, logits[n, c])
        total = 0.0
        for c in range(C):
            log_probs[n, c] = logits[n, c] - largest
            total += elementary.exp(log_probs[n, c])
        log_total = elementary.log(total)
        mean = 0.0
        for c in range(C):
            log_probs[n, c] -= log_total
            mean += log_probs[n, c] * per_class
        spread = smoothing if labels[n] < C else one
        losses[n] = -(one - smoothing) * log_probs[n, labels[n]] if labels[n] < C else one - one
        if spread > 0:  # 0 * inf is NaN
            losses[n] -= spread * mean


def softmax_cross_entropy_forward(
    logits: Floats, labels: Ints, smoothing: float, log_probs: Floats, losses: Floats
) -> None:
    """See ``reference.softmax_cross_entropy_forward``."""
    _softmax_cross_entropy_forward(logits, labels, logits.dtype.type(smoothing), log_probs, losses)


@kernel
def _softmax_cross_entropy_backward(
    log_probs: Floats, labels: Ints, of: int, smoothing: Scalar, dlogits: Floats
) -> None:
    N, C = log_probs.shape
    one = log_probs.dtype.type(1)
    per_class, share = one / log_probs.dtype.type(C), one / log_probs.dtype.type(of)
    for n in range(N):
        everywhere = (smoothing if labels[n] < C else one) * per_class
        for c in range(C):
            dlogits[n, c] = (elementary.exp(log_probs[n, c]) - everywhere) * share
        if labels[n] < C:
            dlogits[n, labels[n]] -= (one - smoothing) * share


def softmax_cross_entropy_backward(log_probs: Floats, labels: Ints, of: int, smoothing: float, dlogits: Floats) -> None:
    """See ``reference.softmax_cross_entropy_backward``."""
    _softmax_cross_entropy_backward(log_probs, labels, of, log_probs.dtype.type(smoothing), dlogits)


@kernel
def _gather_images(images: AnyArray, index: Ints, scale: Scalar, shift: Scalar, out: Floats) -> None:
    for i in range(index.size):
        source = images[index[i]]
        target = out[i]
        for p in range(source.size):
            target[p] = source[p] * scale + shift


def gather_images(images: AnyArray, index: Ints, scale: float, shift: float, out: Floats) -> None:
    """See ``reference.gather_images``."""
    dtype = out.dtype.type
    pixels, rows = images.reshape(len(images), -1), out.reshape(len(out), -1)
    if pixels.shape[1] != rows.shape[1] or len(index) != len(rows):  # compiled code checks no bounds
        raise ShapeError(f"gather: {len(index)} images of {pixels.shape[1]} pixels don't fill {rows.shape}")
    _gather_images(pixels, index, dtype(scale), dtype(shift), rows)


def augment_images(
    images: AnyArray,
    index: Ints,
    numbers: Ints,
    key: np.uint64,
    augmentation: Strengths,
    scale: float,
    shift: float,
    out: Floats,
) -> None:
    """See ``reference_augment.augment_images``."""
    from numcnn.kernels.fast import augment  # noqa: PLC0415  (inference needn't load its kernels)

    augment.augment_images(images, index, numbers, key, augmentation, scale, shift, out)
