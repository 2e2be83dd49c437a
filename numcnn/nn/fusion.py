"""Which layers run together: the one place where a network's definition and its computation differ.

A network's layers define it: they are saved and counted.  ``fuse`` turns them into the steps that run: a Conv2D, ReLU
and MaxPool2D in a row become one ``ConvReluPool`` over the same parameters if a kernel can do it; every other layer is
a step of its own.  Fused or not, outputs and gradients are equal up to rounding, with one exception: where two values
of a window are equal up to rounding, another one may win and get the gradient.
"""

from collections.abc import Sequence

import numpy as np

from numcnn.kernels.arrays import AnyArray, Floats
from numcnn.kernels.fused_shapes import backward_way, forward_way
from numcnn.nn.layer import Built, Layer, Shape
from numcnn.nn.layers import Conv2D, MaxPool2D, ReLU


def fuse(layers: Sequence[Layer]) -> list[Layer]:
    """Return the steps that compute ``layers``, which are built already."""
    steps: list[Layer] = []
    i = 0
    while i < len(layers):
        step = _fused(layers[i : i + 3])
        steps.append(step or layers[i])
        i += 3 if step else 1
    return steps


def describe(steps: Sequence[Layer]) -> list[str]:
    """Return a line for each step of several layers: "conv1, relu1, pool1 in one kernel: forward ..., backward ..."."""
    fused = [step for step in steps if isinstance(step, ConvReluPool)]
    return [f"{step.name.replace('+', ', ')} in {step.how()}" for step in fused]


def _fused(layers: Sequence[Layer]) -> "ConvReluPool | None":
    """Return a convolution of stride 1, a ReLU and a 2x2 pool as one step; None unless a kernel can do it."""
    # Exactly these types: subclasses may compute something else.
    if [type(layer) for layer in layers] != [Conv2D, ReLU, MaxPool2D]:
        return None
    conv, relu, pool = layers
    assert isinstance(conv, Conv2D) and isinstance(pool, MaxPool2D)
    if conv.stride != (1, 1) or (pool.pool_size, pool.stride) != ((2, 2), (2, 2)):
        return None
    shape = conv.params["w"].shape
    if forward_way(shape, _windows(pool)) is None or backward_way(shape) is None:
        return None
    return ConvReluPool(conv, relu, pool)


def _windows(pool: Layer) -> int:
    PH, PW, _ = pool.out_shape
    return PH * PW


class ConvReluPool(Layer):
    """A convolution, its ReLU and its 2x2 pool in one step, over their parameters.  (N,H,W,C) -> (N,PH,PW,F)."""

    def __init__(self, conv: Conv2D, relu: Layer, pool: Layer) -> None:
        super().__init__()
        self.conv, self.layers = conv, (conv, relu, pool)
        self.name = f"{conv.name}+{relu.name}+{pool.name}"
        self.in_shape, self.out_shape, self.dtype = conv.in_shape, pool.out_shape, conv.dtype
        self.specs, self.params, self.grads = conv.specs, conv.params, conv.grads  # so dw and db go to network.grads

    def _build(self, in_shape: Shape) -> Built:
        raise NotImplementedError("a fused step consists of layers that are built already")

    def how(self) -> str:
        """Return in words which algorithms the kernel uses for these shapes."""
        w_shape = self.params["w"].shape
        return f"one kernel: forward {forward_way(w_shape, _windows(self))}, backward {backward_way(w_shape)}"

    def decisions(self) -> tuple[AnyArray, ...]:
        """Return which position won each window, or that ReLU cut off the winner: see ``gradient_check.HasKinks``."""
        return (self._saved[1],)

    def _forward(self, x: Floats, training: bool) -> Floats:
        if self.conv.pads:
            purpose = "padded x" if training else "inference padded x"
            x = self.conv.pad(x, self.buffer(purpose, (len(x), *self.conv.padded_shape)))
        out = self._out(len(x), training)
        which = self.buffer("which", out.shape, np.uint8) if training else None
        self.kernels.conv_relu_pool_forward(x, self.params["w"], self.params["b"], out, which)
        if training:
            self._saved = x, which
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        x, which = self._saved
        dpadded = self.buffer("padded dx", x.shape) if need_dx else None  # the gradient of the padded input
        w, dw, db = self.params["w"], self.grads["w"], self.grads["b"]
        # Backward through pool, ReLU and convolution in one call.
        self.kernels.conv_relu_pool_backward(dout, which, x, w, dpadded, dw, db)
        if dpadded is None or not self.conv.pads:
            return dpadded
        return self.conv.unpad(dpadded, self._dx(len(dpadded)))
