"""One picture through a network with minimal overhead around the arithmetic: for drawing pads and cameras.

A *stage* is a compiled kernel with all its arguments bound: calling the stages in turn reads a picture.  Weights are
converted to the kernels' layout once (``conv_weights``, ``dense_weights``), so stages don't see later changes, and the
stages of several threads share them.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from numcnn.kernels.arrays import AnyArray, Floats, Ints
from numcnn.kernels.buffers import zeros
from numcnn.kernels.fast import conv_relu_pool, ops
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.fast.simd import LANES, load, multiply_add, store
from numcnn.kernels.fused_shapes import Shape, forward_way

Stage: TypeAlias = Callable[[], None]


def gather_stage(images: AnyArray, scale: float, shift: float, out: Floats) -> Stage:
    """Return the stage that writes images (1,H,W) * scale + shift to out (1,H,W,1)."""
    dtype = out.dtype.type
    flat = images.reshape(1, -1), np.zeros(1, np.intp)
    return functools.partial(ops._gather_images, *flat, dtype(scale), dtype(shift), out.reshape(1, -1))


def _aligned(w: Floats) -> Floats:
    weights = zeros(w.shape, w.dtype)
    weights[...] = w
    return weights.reshape(-1)


def conv_weights(w: Floats, windows: int) -> Floats:
    """Convert weights (KH,KW,C,F) for ``conv_relu_pool_stage``, with ``windows`` pooled windows in an image."""
    if forward_way(w.shape, windows) != "winograd":
        return _aligned(w)
    _, _, C, F = w.shape
    u = zeros((16 * C * F,), w.dtype)
    conv_relu_pool._transform_weights(w.reshape(-1), u, C, F)
    return u


def conv_relu_pool_stage(x: Floats, w_shape: Shape, weights: Floats, b: Floats, out: Floats) -> Stage:
    """Return the stage for ``reference.conv_relu_pool_forward`` of one picture, for shapes that the kernel supports."""
    shape = conv_relu_pool.geometry(x, w_shape, out)
    _, _, _, C, _, _, F, PH, PW = shape
    which = zeros((out.size,), np.uint8)
    arguments = x.reshape(-1), weights, b, out.reshape(-1), which
    if forward_way(w_shape, PH * PW) == "winograd":
        v, m = (zeros((16 * PH * PW * n,), x.dtype) for n in (C, F))
        block = conv_relu_pool._winograd(conv_relu_pool._columns(F, conv_relu_pool.WINDOWS))
        arguments += v, m
    else:
        block = conv_relu_pool.direct_kernel(w_shape)
    return functools.partial(block, *arguments, shape)


@functools.cache
def _dense(columns: int) -> Callable[..., None]:
    """Return the kernel that takes ``columns`` registers of outputs at a time."""

    @kernel
    def dense(x: Floats, w: Floats, b: Floats, out: Floats, alive: Ints, relu: bool) -> None:
        """out = x w + b, and ReLU of it if ``relu``.  x (D,), w (D*F,), out (F,); alive (D,): scratch for indices."""
        F = out.size
        # About half of a ReLU's outputs are zero: their weights aren't even read.
        count = 0
        for i in range(x.size):
            alive[count] = i
            count += 1 if x[i] != 0 else 0
        for f in range(0, F, columns * LANES):
            total = load(b, f, columns)
            for j in range(count):
                i: int = alive[j]
                total = multiply_add(total, x[i], load(w, i * F + f, columns))
            store(out, f, total)
        if relu:
            for f in range(F):
                out[f] = max(out[f], out.dtype.type(0))

    return dense


@kernel
def _dense_few(x: Floats, w: Floats, b: Floats, out: Floats, relu: bool) -> None:
    """Do as ``dense``, for outputs that don't fill registers."""
    F = out.size
    for f in range(F):
        out[f] = b[f]
    for i in range(x.size):
        for f in range(F):
            out[f] += x[i] * w[i * F + f]
    if relu:
        for f in range(F):
            out[f] = max(out[f], out.dtype.type(0))


def dense_weights(w: Floats) -> Floats:
    """Convert weights (D,F) for ``dense_stage``."""
    return _aligned(w)


def dense_stage(x: Floats, weights: Floats, b: Floats, out: Floats, relu: bool) -> Stage:
    """Return the stage for a dense layer, x (1,D) to out (1,F), with ReLU if ``relu``."""
    arguments = x.reshape(-1), weights, b, out.reshape(-1)
    columns = next((n for n in (8, 4, 2, 1) if out.size % (n * LANES) == 0), 0)
    if columns:
        return functools.partial(_dense(columns), *arguments, np.zeros(x.size, np.int64), relu)
    return functools.partial(_dense_few, *arguments, relu)
