"""Which layers run together: the one place where what a network is and how it is computed part ways.

A network's layers say what it is: they are saved, counted and read.  ``fuse`` turns them into the steps that run:
every Conv2D, ReLU, MaxPool2D in a row that suits becomes one ``ConvReluPool`` over the same parameters, every other
layer is its own step.  Fused or not, outputs and gradients are the same to rounding; only where two values of a window
agree to rounding another one may win, and get the gradient.
"""

import numpy as np

from numcnn.kernels.fused_shapes import backward_way, forward_way
from numcnn.nn.layers import Conv2D, Layer, MaxPool2D, ReLU


def fuse(layers):
    """Return the steps that compute ``layers``, which are built: a ConvReluPool where three suit, else the layer."""
    steps, i = [], 0
    while i < len(layers):
        block = layers[i : i + 3]
        if _suits(block):
            steps.append(ConvReluPool(*block))
        else:
            steps.append(layers[i])
        i += len(block) if steps[-1] is not layers[i] else 1
    return steps


def describe(steps):
    """Return lines that say how each step runs: "conv1 relu1 pool1  one kernel, forward winograd, backward lists"."""
    width = max((len(_name(step)) for step in steps), default=0)
    return [f"{_name(step):<{width}}  {step.how()}" for step in steps]


def _name(step):
    return step.name.replace("+", " ")


def _suits(layers):
    """Say whether these are a convolution of stride 1, a ReLU and a 2x2 pool, of shapes that the kernel is made for."""
    # Subclasses may do something else, so only these very types.
    if [type(layer) for layer in layers] != [Conv2D, ReLU, MaxPool2D]:
        return False
    conv, _, pool = layers
    if conv.stride != (1, 1) or (pool.pool_size, pool.stride) != ((2, 2), (2, 2)):
        return False
    shape = conv.params["w"].shape
    return forward_way(shape, _windows(pool)) is not None and backward_way(shape) is not None


def _windows(pool):
    PH, PW, _ = pool.out_shape
    return PH * PW


class ConvReluPool(Layer):
    """A convolution, its ReLU and its 2x2 pool in one step, over their parameters.  (N,H,W,C) -> (N,PH,PW,F)."""

    def __init__(self, conv, relu, pool):
        super().__init__()
        self.layers = (conv, relu, pool)
        self.name = f"{conv.name}+{relu.name}+{pool.name}"
        self.in_shape, self.out_shape, self.dtype = conv.in_shape, pool.out_shape, conv.dtype
        self.specs, self.params, self.grads = conv.specs, conv.params, conv.grads

    def _build(self, in_shape):
        raise NotImplementedError("a fused step is made of layers that are built already")

    def how(self):
        """See ``Layer``: which way the kernel goes for these shapes."""
        w_shape = self.params["w"].shape
        return f"one kernel: forward {forward_way(w_shape, _windows(self))}, backward {backward_way(w_shape)}"

    def decisions(self):
        """See ``Layer``: who won each window, or that ReLU cut off the winner."""
        return (self._saved[1],)

    def _forward(self, x, training):
        conv = self.layers[0]
        padded = conv.pad(x, self.buffer, training)
        out = self._out(len(x), training)
        which = self.buffer("which" if training else "inference which", out.shape, np.uint8)
        self.kernels.conv_relu_pool_forward(padded, self.params["w"], self.params["b"], out, which)
        if training:
            self._saved = padded, which
        return out

    def _backward(self, dout, need_dx):
        conv, (padded, which) = self.layers[0], self._saved
        dpadded = self.buffer("padded dx", padded.shape) if need_dx else None
        w, dw, db = self.params["w"], self.grads["w"], self.grads["b"]
        self.kernels.conv_relu_pool_backward(dout, which, padded, w, dpadded, dw, db)
        return conv.unpad(dpadded, self.buffer)
