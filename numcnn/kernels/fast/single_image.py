"""One picture through a network, with as little as possible around the arithmetic: for drawing pads and cameras.

A *stage* is a compiled kernel with all its arguments, so that a picture is read by calling the stages in turn.  Weights
are turned into the form that the kernels want once, when the stage is made, so a stage doesn't see later changes.
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


def conv_relu_pool_stage(x, w, b, out):
    """Return the stage for ``reference.conv_relu_pool_forward`` of one picture, for shapes that suit the block."""
    _, H, W, C = x.shape
    F = w.shape[3]
    _, PH, PW, _ = out.shape
    which = zeros((out.size,), np.uint8)
    flat = x.reshape(-1), out.reshape(-1)
    if forward_way(w.shape, PH * PW) == "winograd":
        u, v, m = (zeros((16 * n,), w.dtype) for n in (C * F, PH * PW * C, PH * PW * F))
        conv_relu_pool._transform_weights(w.reshape(-1), u, C, F)
        block = conv_relu_pool._winograd(conv_relu_pool._columns(F, conv_relu_pool.WINDOWS))
        arguments = flat[0], u, b.copy(), flat[1], which, v, m
    else:
        weights = zeros(w.shape, w.dtype)
        weights[...] = w
        block = conv_relu_pool.direct_kernel(w.shape)
        arguments = flat[0], weights.reshape(-1), b.copy(), flat[1], which
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


def dense_stage(x, w, b, out, relu):
    """Return the stage for a dense layer, x (1,D) to out (1,F), with ReLU if ``relu``."""
    weights = zeros(w.shape, w.dtype)
    weights[...] = w
    arguments = x.reshape(-1), weights.reshape(-1), b.copy(), out.reshape(-1)
    columns = next((n for n in (8, 4, 2, 1) if out.size % (n * LANES) == 0), 0)
    if columns:
        return functools.partial(_dense(columns), *arguments, np.zeros(x.size, np.int64), relu)
    return functools.partial(_dense_few, *arguments, relu)
