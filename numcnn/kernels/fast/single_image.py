"""One picture through a network, with as little as possible around the arithmetic: for drawing pads and cameras.

A *stage* is a compiled kernel with all its arguments, so that a picture is read by calling the stages in turn.  Weights
are turned into the form that the kernels want once (``conv_weights``, ``dense_weights``), so stages don't see later
changes, and the stages of several threads share them.
"""

import functools

import numpy as np

from numcnn.kernels.buffers import zeros
from numcnn.kernels.fast import conv_relu_pool, ops
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.fast.simd import LANES, load, multiply_add, store
from numcnn.kernels.fused_shapes import forward_way


def gather_stage(images, scale, shift, out):
    """Return the stage that writes images (1,H,W) * scale + shift to out (1,H,W,1)."""
    dtype = out.dtype.type
    flat = images.reshape(1, -1), np.zeros(1, np.intp)
    return functools.partial(ops._gather_images, *flat, dtype(scale), dtype(shift), out.reshape(1, -1))


def _aligned(w):
    weights = zeros(w.shape, w.dtype)
    weights[...] = w
    return weights.reshape(-1)


def conv_weights(w, windows):
    """Return what ``conv_relu_pool_stage`` wants of weights (KH,KW,C,F), for so many pooled windows in an image."""
    if forward_way(w.shape, windows) != "winograd":
        return _aligned(w)
    _, _, C, F = w.shape
    u = zeros((16 * C * F,), w.dtype)
    conv_relu_pool._transform_weights(w.reshape(-1), u, C, F)
    return u


def conv_relu_pool_stage(x, w_shape, weights, b, out):
    """Return the stage for ``reference.conv_relu_pool_forward`` of one picture, for shapes that suit the block."""
    _, H, W, C = x.shape
    F = w_shape[3]
    _, PH, PW, _ = out.shape
    which = zeros((out.size,), np.uint8)
    arguments = x.reshape(-1), weights, b, out.reshape(-1), which
    if forward_way(w_shape, PH * PW) == "winograd":
        v, m = (zeros((16 * PH * PW * n,), x.dtype) for n in (C, F))
        block = conv_relu_pool._winograd(conv_relu_pool._columns(F, conv_relu_pool.WINDOWS))
        arguments += v, m
    else:
        block = conv_relu_pool.direct_kernel(w_shape)
    return functools.partial(block, *arguments, 1, H, W, C, F, PH, PW)


@functools.cache
def _dense(columns):
    """Return the kernel that takes ``columns`` registers of outputs at a time."""

    @kernel
    def dense(x, w, b, out, alive, relu):
        """out = x w + b, and ReLU of it if ``relu``.  x (D,), w (D*F,), out (F,); alive (D,) is for the places of x."""
        F = out.size
        # About half of what a ReLU lets through is zero: the weights that would be multiplied by it aren't even read.
        count = 0
        for i in range(x.size):
            alive[count] = i
            count += 1 if x[i] != 0 else 0
        for f in range(0, F, columns * LANES):
            total = load(b, f, columns)
            for j in range(count):
                total = multiply_add(total, x[alive[j]], load(w, alive[j] * F + f, columns))
            store(out, f, total)
        if relu:
            for f in range(F):
                out[f] = max(out[f], out.dtype.type(0))

    return dense


@kernel
def _dense_few(x, w, b, out, relu):
    """The same for a few outputs that fill no registers."""
    F = out.size
    for f in range(F):
        out[f] = b[f]
    for i in range(x.size):
        for f in range(F):
            out[f] += x[i] * w[i * F + f]
    if relu:
        for f in range(F):
            out[f] = max(out[f], out.dtype.type(0))


def dense_weights(w):
    """Return what ``dense_stage`` wants of weights (D,F)."""
    return _aligned(w)


def dense_stage(x, weights, b, out, relu):
    """Return the stage for a dense layer, x (1,D) to out (1,F), with ReLU if ``relu``."""
    arguments = x.reshape(-1), weights, b, out.reshape(-1)
    columns = next((n for n in (8, 4, 2, 1) if out.size % (n * LANES) == 0), 0)
    if columns:
        return functools.partial(_dense(columns), *arguments, np.zeros(x.size, np.int64), relu)
    return functools.partial(_dense_few, *arguments, relu)
