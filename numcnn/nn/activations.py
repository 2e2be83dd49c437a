"""Activations beside ReLU: tanh, sigmoid and the leaky ReLU.  Each keeps its output alone for backward."""

import numbers

from numcnn.errors import ConfigError
from numcnn.nn.layers import Layer, register_layer


class _Activation(Layer):
    """A function of each value by itself, whose derivative can be written in terms of its output.  Any shape."""

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        out = self._out(len(x), training)
        self._apply(x, out)
        if training:
            self._saved = out
        return out

    def _backward(self, dout, need_dx):
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self._apply_gradient(dout, self._saved, dx)
        return dx


@register_layer
class Tanh(_Activation):
    """Squash each value to -1..1.  Any shape."""

    short_name = "tanh"

    def _apply(self, x, out):
        self.kernels.tanh_forward(x, out)

    def _apply_gradient(self, dout, out, dx):
        self.kernels.tanh_backward(dout, out, dx)


@register_layer
class Sigmoid(_Activation):
    """Squash each value to 0..1: 1 / (1 + exp(-x)).  Any shape."""

    short_name = "sigmoid"

    def _apply(self, x, out):
        self.kernels.sigmoid_forward(x, out)

    def _apply_gradient(self, dout, out, dx):
        self.kernels.sigmoid_backward(dout, out, dx)


@register_layer
class LeakyReLU(_Activation):
    """Scale what is negative by ``slope`` (0 < slope < 1).  Any shape."""

    short_name = "leakyrelu"

    def __init__(self, slope=0.01):
        super().__init__()
        if not isinstance(slope, numbers.Real) or not 0 < slope < 1:
            raise ConfigError(f"LeakyReLU slope is {slope!r}; wants a number between 0 and 1 (for 0 there is ReLU)")
        self.slope = float(slope)

    def decisions(self):
        """See ``Layer``: which values came through whole."""
        return (self._saved > 0,)

    def _apply(self, x, out):
        self.kernels.leaky_relu_forward(x, self.slope, out)

    def _apply_gradient(self, dout, out, dx):
        self.kernels.leaky_relu_backward(dout, out, self.slope, dx)
