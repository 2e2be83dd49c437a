"""The same kernels in Numba and BLAS: names, signatures and results of ``reference``; tests hold them together.

A convolution is a matrix product in disguise: ``im2col`` lays the pixels under each kernel position out as a row, and
BLAS multiplies all rows with the weights.  It is done for a few images at a time, so that the rows are still in the
cache when BLAS reads them.  The products stay outside the compiled functions: inside, Numba would ask for SciPy.

The compiled functions (with a leading underscore) are serial; a team of threads gives each a share of the images.
Convolution, ReLU and pool in one are in ``fast_blocks``.
"""

import contextlib
import math

import numpy as np

from numcnn.errors import ShapeError
from numcnn.kernels import fast_wait, reference
from numcnn.kernels.fast_blocks import conv_relu_pool_backward, conv_relu_pool_forward  # noqa: F401
from numcnn.kernels.jit import COMPILED, kernel
from numcnn.kernels.memory import scratch
from numcnn.kernels.team import one_blas_thread, the_team, wait_by

if COMPILED:
    wait_by(fast_wait)

# Bytes of im2col rows made at a time: they should lie in the second-level cache while BLAS reads them.
CHUNK_BYTES = 1 << 19

# Values below which waking another thread costs more than it saves.
LEAST_VALUES = 1 << 16


@contextlib.contextmanager
def computing():
    """Wrap a long computation: BLAS keeps to one thread, since the team is parallel; overflow as in ``reference``."""
    with one_blas_thread, reference.computing():
        yield


def _share_images(array, task):
    """Call ``task(number, first, last)`` on shares of the images in ``array`` (N, ...); return how many shares."""
    values_per_image = max(1, math.prod(array.shape[1:]))
    return the_team().share(len(array), task, least=max(1, LEAST_VALUES // values_per_image))


def _column_chunks(x, w, OH, OW, first, last):
    """Yield ``(a, z, columns)``: for images a to z the scratch rows (n*OH*OW, KH*KW*C), a few images at a time."""
    K = w.shape[0] * w.shape[1] * w.shape[2]
    images = max(1, CHUNK_BYTES // (OH * OW * K * x.itemsize))
    for a in range(first, last, images):
        z = min(a + images, last)
        yield a, z, scratch("columns", ((z - a) * OH * OW, K), x.dtype)


@kernel
def _im2col(x, KH, SH, SW, columns):
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
def _col2im(dcolumns, KH, SH, SW, dx):
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
def _add_bias(rows, b):
    """rows += b, in place; NumPy would go by way of a buffer."""
    N, F = rows.shape
    for n in range(N):
        for f in range(F):
            rows[n, f] += b[f]


def _rows(x):
    """See images (N,H,W,C) as rows of values (N,H,W*C)."""
    N, H, W, C = x.shape
    return x.reshape(N, H, W * C)


def conv2d_forward(x, w, b, out, stride):
    """See ``reference.conv2d_forward``."""
    _, OH, OW, F = out.shape
    KH, KW, C, _ = w.shape
    SH, SW = stride

    def share(_, first, last):
        for a, z, columns in _column_chunks(x, w, OH, OW, first, last):
            _im2col(_rows(x[a:z]), KH, SH, SW * C, columns.reshape(z - a, OH, OW, KH, KW * C))
            products = out[a:z].reshape(-1, F)
            np.matmul(columns, w.reshape(-1, F), out=products)
            _add_bias(products, b)

    _share_images(out, share)


def conv2d_backward(dout, x, w, dx, dw, db, stride):
    """See ``reference.conv2d_backward``."""
    _, OH, OW, F = dout.shape
    KH, KW, C, _ = w.shape
    SH, SW = stride
    threads = the_team().threads
    dw_parts = scratch("dw parts", (threads, KH * KW * C, F), dw.dtype)
    db_parts = scratch("db parts", (threads, F), db.dtype)

    def share(number, first, last):
        dw_part, db_part = dw_parts[number], db_parts[number]
        dw_part[...] = 0
        db_part[...] = 0
        dw_of_chunk = scratch("dw of chunk", dw_part.shape, dw.dtype)
        for a, z, columns in _column_chunks(x, w, OH, OW, first, last):
            by_kernel_row = columns.reshape(z - a, OH, OW, KH, KW * C)
            dout_rows = dout[a:z].reshape(-1, F)
            _im2col(_rows(x[a:z]), KH, SH, SW * C, by_kernel_row)
            np.matmul(columns.T, dout_rows, out=dw_of_chunk)
            dw_part += dw_of_chunk
            db_part += dout_rows.sum(axis=0)
            if dx is not None:
                np.matmul(dout_rows, w.reshape(-1, F).T, out=columns)  # the rows are used: dcolumns take their place
                _col2im(by_kernel_row, KH, SH, SW * C, _rows(dx[a:z]))

    shares = _share_images(dout, share)
    np.sum(dw_parts[:shares], axis=0, out=dw.reshape(-1, F))  # in the order of the shares
    np.sum(db_parts[:shares], axis=0, out=db)


def dense_forward(x, w, b, out):
    """See ``reference.dense_forward``."""

    def share(_, first, last):
        np.matmul(x[first:last], w, out=out[first:last])
        _add_bias(out[first:last], b)

    _share_images(x, share)


def dense_backward(dout, x, w, dx, dw, db):
    """See ``reference.dense_backward``.  The threads share the input's features, so that no sums have to be joined."""

    def share(_, first, last):
        np.matmul(x[:, first:last].T, dout, out=dw[first:last])
        if dx is not None:
            np.matmul(dout, w[first:last].T, out=dx[:, first:last])

    the_team().share(x.shape[1], share, least=max(1, LEAST_VALUES // max(1, w.shape[1])))
    np.sum(dout, axis=0, out=db)


def _share_values(kernel_function, arrays, *arguments):
    """Call a compiled function on shares of flat views of ``arrays``, which have one size."""
    flat = [array.reshape(-1) for array in arrays]

    def share(_, first, last):
        kernel_function(*(array[first:last] for array in flat), *arguments)

    the_team().share(flat[0].size, share, least=LEAST_VALUES)


@kernel
def _relu_forward(x, out):
    zero = x.dtype.type(0)
    for i in range(x.size):
        # "not <=" and not ">": the comparison is false for NaN, which must come through.
        out[i] = x[i] if not x[i] <= zero else zero


def relu_forward(x, out):
    """See ``reference.relu_forward``."""
    _share_values(_relu_forward, (x, out))


@kernel
def _relu_backward(dout, out, dx):
    one = dout.dtype.type(1)
    zero = dout.dtype.type(0)
    for i in range(dout.size):
        dx[i] = dout[i] * (one if out[i] > zero else zero)


def relu_backward(dout, out, dx):
    """See ``reference.relu_backward``."""
    _share_values(_relu_backward, (dout, out, dx))


@kernel
def _dropout(x, u, out, rate, scale):
    zero = x.dtype.type(0)
    for i in range(x.size):
        out[i] = x[i] * (scale if u[i] >= rate else zero)


def dropout_forward(x, u, rate, out):
    """See ``reference.dropout_forward``."""
    dtype = x.dtype.type
    _share_values(_dropout, (x, u, out), dtype(rate), dtype(1 / (1 - rate)))


def dropout_backward(dout, u, rate, dx):
    """See ``reference.dropout_backward``."""
    dropout_forward(dout, u, rate, dx)


@kernel
def _maxpool2d_forward(x, out, which, PH, PW, SH, SW):
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


def maxpool2d_forward(x, out, which, window, stride):
    """See ``reference.maxpool2d_forward``."""

    def share(_, first, last):
        if which is None:
            winner = scratch("which", out[first:last].shape, np.min_scalar_type(window[0] * window[1] - 1))
        else:
            winner = which[first:last]
        _maxpool2d_forward(x[first:last], out[first:last], winner, *window, *stride)

    _share_images(x, share)


@kernel
def _maxpool2d_backward(dout, which, dx, PH, PW, SH, SW):
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


def maxpool2d_backward(dout, which, dx, window, stride):
    """See ``reference.maxpool2d_backward``."""

    def share(_, first, last):
        _maxpool2d_backward(dout[first:last], which[first:last], dx[first:last], *window, *stride)

    _share_images(dx, share)


@kernel
def _softmax_cross_entropy_forward(logits, labels, smoothing, log_probs, losses):
    N, C = logits.shape
    one = logits.dtype.type(1)
    per_class = one / logits.dtype.type(C)
    for n in range(N):
        largest = logits[n, 0]
        for c in range(1, C):
            largest = max(largest, logits[n, c])
        total = logits.dtype.type(0)
        for c in range(C):
            log_probs[n, c] = logits[n, c] - largest
            total += np.exp(log_probs[n, c])
        log_total = np.log(total)
        mean = logits.dtype.type(0)
        for c in range(C):
            log_probs[n, c] -= log_total
            mean += log_probs[n, c] * per_class
        losses[n] = -(one - smoothing) * log_probs[n, labels[n]] - smoothing * mean


def softmax_cross_entropy_forward(logits, labels, smoothing, log_probs, losses):
    """See ``reference.softmax_cross_entropy_forward``."""
    _softmax_cross_entropy_forward(logits, labels, logits.dtype.type(smoothing), log_probs, losses)


@kernel
def _softmax_cross_entropy_backward(log_probs, labels, smoothing, dlogits):
    N, C = log_probs.shape
    one = log_probs.dtype.type(1)
    everywhere, share = smoothing / log_probs.dtype.type(C), one / log_probs.dtype.type(N)
    for n in range(N):
        for c in range(C):
            dlogits[n, c] = (np.exp(log_probs[n, c]) - everywhere) * share
        dlogits[n, labels[n]] -= (one - smoothing) * share


def softmax_cross_entropy_backward(log_probs, labels, smoothing, dlogits):
    """See ``reference.softmax_cross_entropy_backward``."""
    _softmax_cross_entropy_backward(log_probs, labels, log_probs.dtype.type(smoothing), dlogits)


@kernel
def _gather_images(images, index, scale, shift, out):
    for i in range(index.size):
        source = images[index[i]]
        target = out[i]
        for p in range(source.size):
            target[p] = source[p] * scale + shift


def gather_images(images, index, scale, shift, out):
    """See ``reference.gather_images``."""
    dtype = out.dtype.type
    flat, rows = images.reshape(len(images), -1), out.reshape(len(out), -1)
    if flat.shape[1] != rows.shape[1] or len(index) != len(rows):  # compiled code looks at no bounds
        raise ShapeError(f"gather: {len(index)} images of {flat.shape[1]} pixels don't fill {rows.shape}")
    _gather_images(flat, index, dtype(scale), dtype(shift), rows)


@kernel
def _sgd_step(params, grads, velocity, decay, lr, momentum, nesterov, shrink):
    for i in range(params.size):
        v = momentum * velocity[i] + grads[i]
        velocity[i] = v
        direction = grads[i] + momentum * v if nesterov else v
        params[i] = params[i] - shrink * decay[i] * params[i] - lr * direction


def sgd_step(params, grads, velocity, decay, lr, momentum, nesterov, weight_decay):
    """See ``reference.sgd_step``."""
    dtype = params.dtype.type
    arguments = dtype(lr), dtype(momentum), nesterov, dtype(lr * weight_decay)
    _share_values(_sgd_step, (params, grads, velocity, decay), *arguments)


@kernel
def _adam_step(params, grads, m, v, decay, rate, root, beta1, beta2, eps, shrink):
    one = params.dtype.type(1)
    for i in range(params.size):
        g = grads[i]
        m[i] += (one - beta1) * (g - m[i])
        v[i] += (one - beta2) * (g * g - v[i])
        params[i] = params[i] - shrink * decay[i] * params[i] - rate * m[i] / (np.sqrt(v[i]) * root + eps)


def adam_step(params, grads, m, v, decay, step, lr, beta1, beta2, eps, weight_decay):
    """See ``reference.adam_step``.  The two bias corrections are the same for all parameters: taken out of the loop."""
    dtype = params.dtype.type
    rate, root = dtype(lr / (1 - beta1**step)), dtype(1 / np.sqrt(1 - beta2**step))
    arguments = rate, root, dtype(beta1), dtype(beta2), dtype(eps), dtype(lr * weight_decay)
    _share_values(_adam_step, (params, grads, m, v, decay), *arguments)
