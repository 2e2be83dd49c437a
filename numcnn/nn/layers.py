"""The layers of the shipped networks: geometry and buffers.  The arithmetic is in ``kernels``.

More layers are in ``activations``, ``pooling`` and ``batchnorm``; the base class is in ``layer``.
"""

import math
from abc import abstractmethod
from typing import Self

import numpy as np

from numcnn.errors import ShapeError
from numcnn.kernels.arrays import AnyArray, Floats, Pair
from numcnn.nn.checks import batch_of, image_shape, known_init, pair, real_number, whole_number, window_positions
from numcnn.nn.initializers import Initializer
from numcnn.nn.layer import Built, Layer, ParamSpec, Shape, register_layer


@register_layer
class Conv2D(Layer):
    """Slide ``filters`` kernels over the image.  (N,H,W,C) -> (N,OH,OW,filters).

    kernel_size and stride are an int or a pair (rows, columns); padding is "valid" (none), "same" (output is
    ceil(input / stride), as in Keras) or an int, zeros on every side.  Cross-correlation, as in all frameworks.
    init: initialises the weights, a name in ``initializers`` or a function f(rng, shape).
    """

    short_name = "conv"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: str | int = "valid",
        init: str | Initializer = "he_normal",
    ) -> None:
        super().__init__()
        self.filters = whole_number("Conv2D filters", filters)
        self.kernel_size = pair("Conv2D kernel_size", kernel_size)
        self.stride = pair("Conv2D stride", stride)
        if padding not in ("valid", "same"):
            padding = whole_number("Conv2D padding", padding, 0, "'valid', 'same' or a whole number, 0 or more")
        self.padding = padding
        self.init = known_init("Conv2D", init)

    def _build(self, in_shape: Shape) -> Built:
        H, W, C = image_shape(self.name, in_shape)
        self._pads = [self._pad(size, k, s) for size, k, s in zip((H, W), self.kernel_size, self.stride, strict=True)]
        (top, bottom), (left, right) = self._pads
        PH, PW = H + top + bottom, W + left + right
        self.padded_shape = (PH, PW, C)
        OH, OW = window_positions(self.name, (PH, PW), self.kernel_size, self.stride)
        w = ParamSpec("w", (*self.kernel_size, C, self.filters), self.init, decay=True)
        b = ParamSpec("b", (self.filters,), "zeros", decay=False)
        return (OH, OW, self.filters), [w, b]

    def _pad(self, size: int, kernel: int, stride: int) -> Pair:
        """Return the number of zeros before and after one axis; an odd one goes after, as in Keras."""
        if isinstance(self.padding, int):
            return self.padding, self.padding
        if self.padding == "same":
            total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            return total // 2, total - total // 2
        return 0, 0

    def flops(self) -> int:
        """See ``Layer``: a multiply-add for every output, kernel position and input channel."""
        OH, OW, F = self.out_shape
        return 2 * OH * OW * F * math.prod(self.kernel_size) * self.in_shape[2]

    def _inside(self, padded: Floats) -> Floats:
        """Return the view of padded images without their border."""
        (top, _), (left, _) = self._pads
        H, W, _ = self.in_shape
        return padded[:, top : top + H, left : left + W]

    def pad(self, x: Floats, padded: Floats) -> Floats:
        """Copy x (N,H,W,C) into ``padded`` (N, *padded_shape), whose border is zero; return it."""
        self._inside(padded)[...] = x
        return padded

    def unpad(self, dpadded: Floats, dx: Floats) -> Floats:
        """Copy the gradient of the padded image, without its border, into dx (N,H,W,C); return it."""
        dx[...] = self._inside(dpadded)
        return dx

    @property
    def pads(self) -> bool:
        """Whether the padding adds a border."""
        return self.padded_shape != self.in_shape

    @property
    def border(self) -> Pair:
        """How many rows and columns of zeros the padding adds above and left of the picture."""
        (top, _), (left, _) = self._pads
        return top, left

    def _forward(self, x: Floats, training: bool) -> Floats:
        if self.pads:  # buffers start as zeros, and the border is never written
            purpose = "padded x" if training else "inference padded x"
            x = self.pad(x, self.buffer(purpose, (len(x), *self.padded_shape)))
        out = self._out(len(x), training)
        self.kernels.conv2d_forward(x, self.params["w"], self.params["b"], out, self.stride)
        if training:
            self._saved = x
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        x, w = self._saved, self.params["w"]
        dw, db = self.grads["w"], self.grads["b"]
        dpadded = self.buffer("padded dx", x.shape) if need_dx else None  # the gradient of the padded input
        self.kernels.conv2d_backward(dout, x, w, dpadded, dw, db, self.stride)
        return self.unpad(dpadded, self._dx(len(dpadded))) if dpadded is not None and self.pads else dpadded


class Pool2D(Layer):
    """The geometry of pooling windows.  (N,H,W,C) -> (N,OH,OW,C).

    pool_size and stride (default: pool_size) are an int or a pair.  Rows and columns that fill no window are ignored.
    """

    def __init__(self, pool_size: int | Pair = 2, stride: int | Pair | None = None) -> None:
        super().__init__()
        self.pool_size = pair(f"{type(self).__name__} pool_size", pool_size)
        self.stride = self.pool_size if stride is None else pair(f"{type(self).__name__} stride", stride)

    def _build(self, in_shape: Shape) -> Built:
        H, W, C = image_shape(self.name, in_shape)
        OH, OW = window_positions(self.name, (H, W), self.pool_size, self.stride)
        return (OH, OW, C), []


@register_layer
class MaxPool2D(Pool2D):
    """Keep the largest value of each window.  (N,H,W,C) -> (N,OH,OW,C).  Arguments: see ``Pool2D``."""

    short_name = "pool"

    def decisions(self) -> tuple[AnyArray, ...]:
        """Return which position won each window: see ``gradient_check.HasKinks``."""
        return (self._saved,)

    def _forward(self, x: Floats, training: bool) -> Floats:
        out = self._out(len(x), training)
        which = None  # the position of each window's largest value
        if training:
            which = self.buffer("which", out.shape, np.min_scalar_type(math.prod(self.pool_size) - 1))
            self._saved = which
        self.kernels.maxpool2d_forward(x, out, which, self.pool_size, self.stride)
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self.kernels.maxpool2d_backward(dout, self._saved, dx, self.pool_size, self.stride)
        return dx


class Activation(Layer):
    """An elementwise function whose derivative can be written in terms of its output.  Any shape."""

    def _build(self, in_shape: Shape) -> Built:
        return in_shape, []

    @abstractmethod
    def _apply(self, x: Floats, out: Floats) -> None:
        """Fill ``out``."""

    @abstractmethod
    def _apply_gradient(self, dout: Floats, out: Floats, dx: Floats) -> None:
        """Fill ``dx``."""

    def _forward(self, x: Floats, training: bool) -> Floats:
        out = self._out(len(x), training)
        self._apply(x, out)
        if training:
            self._saved = out
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self._apply_gradient(dout, self._saved, dx)
        return dx


@register_layer
class ReLU(Activation):
    """Replace negative values by zero: max(x, 0).  Any shape."""

    short_name = "relu"

    def decisions(self) -> tuple[AnyArray, ...]:
        """Return which values are positive: see ``gradient_check.HasKinks``."""
        return (self._saved > 0,)

    def _apply(self, x: Floats, out: Floats) -> None:
        self.kernels.relu_forward(x, out)

    def _apply_gradient(self, dout: Floats, out: Floats, dx: Floats) -> None:
        self.kernels.relu_backward(dout, out, dx)


@register_layer
class Flatten(Layer):
    """View each image as one row of numbers.  (N,H,W,C) -> (N,H*W*C).  Copies nothing."""

    short_name = "flatten"

    def _build(self, in_shape: Shape) -> Built:
        return (math.prod(in_shape),), []

    def _forward(self, x: Floats, training: bool) -> Floats:
        return x.reshape(len(x), *self.out_shape)

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        return dout.reshape(len(dout), *self.in_shape) if need_dx else None


@register_layer
class Dense(Layer):
    """Take ``units`` weighted sums of all inputs.  (N,D) -> (N,units)."""

    short_name = "dense"

    def __init__(self, units: int, init: str | Initializer = "he_normal") -> None:
        super().__init__()
        self.units = whole_number("Dense units", units)
        self.init = known_init("Dense", init)

    def _build(self, in_shape: Shape) -> Built:
        if len(in_shape) != 1:
            raise ShapeError(f"{self.name}: input is {batch_of(in_shape)}; wants (N, D): put a Flatten before it")
        w = ParamSpec("w", (in_shape[0], self.units), self.init, decay=True)
        b = ParamSpec("b", (self.units,), "zeros", decay=False)
        return (self.units,), [w, b]

    def flops(self) -> int:
        """See ``Layer``: a multiply-add for every input and output."""
        return 2 * self.in_shape[0] * self.units

    def _forward(self, x: Floats, training: bool) -> Floats:
        out = self._out(len(x), training)
        self.kernels.dense_forward(x, self.params["w"], self.params["b"], out)
        if training:
            self._saved = x
        return out

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        x, w = self._saved, self.params["w"]
        dw, db = self.grads["w"], self.grads["b"]
        dx = self._dx(len(dout)) if need_dx else None
        self.kernels.dense_backward(dout, x, w, dx, dw, db)
        return dx


@register_layer
class Dropout(Layer):
    """While training, drop each value with probability ``rate`` (0 <= rate < 1) and scale up the rest.  Any shape."""

    short_name = "dropout"

    def __init__(self, rate: float) -> None:
        super().__init__()
        wants = "a number from 0 up to, not including, 1"
        self.rate = real_number("Dropout rate", rate, 0, 1, wants, least_too=True)
        self._drawn: Floats | None = None  # the random numbers of the next forward

    def _build(self, in_shape: Shape) -> Built:
        return in_shape, []

    def _forward(self, x: Floats, training: bool) -> Floats:
        if not training or self.frozen:
            return x
        if self._drawn is None:  # the layer was called directly, not through ``Replicas``
            self.draw(len(x))
        self._saved, self._drawn = self._drawn, None
        out = self._out(len(x), training)
        self.kernels.dropout_forward(x, self._saved, self.rate, out)
        return out

    def draw(self, n: int) -> None:
        """Draw a number from 0 to 1 for each value of n images: see ``data_parallel.DrawsNumbers``."""
        self._drawn = self.buffer("u", (n, *self.in_shape))
        # float32 or float64, as Generator.random takes them
        self.rng.random(out=self._drawn, dtype=self.dtype)  # pyright: ignore[reportCallIssue, reportArgumentType]

    def take_drawn(self, layer: Self, first: int, last: int) -> None:
        """Use in the next forward the numbers that ``layer`` drew for the images from ``first`` to ``last``."""
        assert layer._drawn is not None
        self._drawn = layer._drawn[first:last]

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        if not need_dx or self.frozen:
            return dout if need_dx else None
        dx = self._dx(len(dout))
        self.kernels.dropout_backward(dout, self._saved, self.rate, dx)
        return dx
