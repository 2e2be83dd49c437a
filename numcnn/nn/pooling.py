"""Pools that take the mean: of each window, or of the whole image.  (MaxPool2D is in ``layers``.)"""

from numcnn.kernels.arrays import Floats
from numcnn.nn.checks import image_shape
from numcnn.nn.layer import Built, Layer, Shape, register_layer
from numcnn.nn.layers import Pool2D


@register_layer
class AveragePool2D(Pool2D):
    """Take the mean of each window.  (N,H,W,C) -> (N,OH,OW,C).  Arguments: see ``Pool2D``."""

    short_name = "avgpool"

    def _forward(self, x: Floats, training: bool) -> Floats:
        out = self._out(len(x), training)
        self.kernels.averagepool2d_forward(x, out, self.pool_size, self.stride)
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self.kernels.averagepool2d_backward(dout, dx, self.pool_size, self.stride)
        return dx


@register_layer
class GlobalAveragePool2D(Layer):
    """Take the mean of each channel over the whole image (Lin et al. 2014).  (N,H,W,C) -> (N,C)."""

    short_name = "globalpool"

    def _build(self, in_shape: Shape) -> Built:
        H, W, C = image_shape(self.name, in_shape)
        self._window = (H, W)
        return (C,), []

    def _forward(self, x: Floats, training: bool) -> Floats:
        out = self._out(len(x), training)
        self.kernels.averagepool2d_forward(x, out[:, None, None], self._window, (1, 1))
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self.kernels.averagepool2d_backward(dout[:, None, None], dx, self._window, (1, 1))
        return dx
