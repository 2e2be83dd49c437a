"""The layers: geometry, buffers, and what backward needs to remember.  The arithmetic is in ``kernels``.

A layer is told its input's shape once (``build``), is given its parameters (``bind``), and then runs ``forward`` and
``backward``.  It owns the arrays it returns: they hold until its next call, so copy what you want to keep.
Shapes in comments leave nothing out: N images, H x W pixels, C channels, F filters, OH x OW outputs, D features.
"""

import copy
import inspect
import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from numcnn.errors import ConfigError, ShapeError
from numcnn.kernels.buffers import zeros
from numcnn.nn.initializers import INITIALIZERS, register


@dataclass(frozen=True)
class ParamSpec:
    """One parameter array of a layer: from these come offsets, views, checkpoint keys and the weight-decay mask."""

    name: str
    shape: tuple
    init: str | Callable  # a name in INITIALIZERS, or f(rng, shape) -> array
    decay: bool


@dataclass(frozen=True)
class StateSpec:
    """One array that a layer learns otherwise than by gradients, such as a running mean; it starts at ``initial``.

    It is saved, loaded and copied like a parameter.
    """

    name: str
    shape: tuple
    initial: float = 0.0


class Layer(ABC):
    """What every layer is.  A subclass writes ``_build``, ``_forward`` and ``_backward``.

    Attributes: ``name`` ("conv1"), ``in_shape`` and ``out_shape`` (of one image), ``dtype``, ``specs`` (a list of
    ParamSpec), ``params`` and ``grads`` (dicts of arrays), ``state_specs`` (a list of StateSpec), ``state`` and
    ``next_state`` (dicts of arrays), ``kernels`` (the back-end's module), ``rng`` (for dropout).

    State goes like parameters and gradients: a forward pass only reads ``state``; a training forward may write what is
    to become of it into ``next_state``, which begins as a copy.  The network takes it over at the end of the backward
    pass.  When a batch is cut into shares, every share has a ``next_state`` of its own and the new state is their mean,
    weighted with their numbers of images: choose state that may be averaged.
    """

    # The first layer of a kind is called so in a network, with a 1; None: the class's name in lower case.
    short_name = None
    specs = state_specs = ()
    in_network = False  # a layer keeps the memory of one network, so it can't be in two

    def __init__(self):
        self.name = type(self).__name__
        self.in_shape = self.out_shape = self.dtype = self.kernels = self.rng = None
        self.params, self.grads, self.state, self.next_state = {}, {}, {}, {}
        self._buffers, self._saved, self._n = {}, None, None

    # What a subclass writes

    @abstractmethod
    def _build(self, in_shape):
        """Return the output's shape and a list of ParamSpec and StateSpec, for an input of ``in_shape``.

        Shapes are of one image.  Raise ShapeError for an input that doesn't suit.
        """

    @abstractmethod
    def _forward(self, x, training):
        """Return the output; when training, keep in ``self._saved`` what ``_backward`` needs."""

    @abstractmethod
    def _backward(self, dout, need_dx):
        """Fill ``self.grads`` and return dx, or None when it isn't needed."""

    def flops(self):
        """Return the floating-point operations of one image's forward pass; a multiply-add counts two."""
        return 0

    def how(self):
        """Return in a few words how the layer is computed: the general kernels of its back-end."""
        return "on its own"

    def decisions(self):
        """Return the arrays that say which of its linear pieces the layer was on in the last training forward."""
        return ()

    # What every layer does alike

    def build(self, in_shape, dtype, name=None):
        """Fix the geometry for images of ``in_shape``, and the dtype.  Return the shape of one output."""
        self.name = name or self.name
        self.in_shape, self.dtype = tuple(in_shape), np.dtype(dtype)
        self.out_shape, self.specs, self.state_specs = self._checked_build(self._build(self.in_shape))
        self.forget()
        return self.out_shape

    def bind(self, params, grads, state, next_state):
        """Take the arrays of parameters, gradients, state and next state: views into a network's flat buffers."""
        self.params, self.grads, self.state, self.next_state = params, grads, state, next_state

    def forward(self, x, training=False):
        """Compute the output (N, *out_shape) of x (N, *in_shape).  ``training`` remembers what backward needs.

        Raises ShapeError (a ValueError) for another rank, size or dtype.
        """
        if self.kernels is None:
            raise ConfigError(f"{self.name} is not built yet; put it into a Network")
        self.check_input(x)
        if training:
            self._n = len(x)
            for name, values in self.state.items():
                self.next_state[name][...] = values
        out = self._forward(np.ascontiguousarray(x), training)
        self._check_result("_forward", out, (len(x), *self.out_shape))
        return out

    def backward(self, dout, need_dx=True):
        """Turn dout (N, *out_shape) into dx (N, *in_shape) and overwrite ``grads``.  Follows a training forward."""
        if self._n is None:
            raise ShapeError(f"{self.name}: backward needs a forward(x, training=True) before it")
        self.check_gradient(dout, self._n)
        dx = self._backward(np.ascontiguousarray(dout), need_dx)
        if need_dx:
            self._check_result("_backward", dx, (self._n, *self.in_shape))
        return dx

    def forget(self):
        """Forget the last forward, and let go of all buffers: a backward needs another forward first."""
        self._buffers, self._saved, self._n = {}, None, None

    # What a network asks of them that has several threads; see ``sharing``

    def replica(self, grads, next_state=None):
        """Return a layer over the same parameters and state, with gradients, next state and memory of its own.

        next_state: None for a replica whose next state nobody asks for.
        """
        twin = copy.copy(self)
        twin.grads = grads
        twin.next_state = {k: v.copy() for k, v in self.state.items()} if next_state is None else next_state
        twin.forget()
        return twin

    def draw(self, n):
        """Draw the random numbers of a training forward of ``n`` images; most layers want none."""
        return

    def take_drawn(self, layer, first, last):
        """Take for the next forward what ``layer`` drew for the images from ``first`` to ``last``."""
        return

    def buffer(self, purpose, shape, dtype=None):
        """Return the first ``shape[0]`` rows of the array kept for ``purpose``, made again only when too small."""
        array = self._buffers.get(purpose)
        if array is None or len(array) < shape[0] or array.shape[1:] != shape[1:]:
            array = self._buffers[purpose] = zeros(shape, dtype or self.dtype)
        return array[: shape[0]]

    def _out(self, n, training):
        """Return the output buffer for n images.  Inference has its own, so it never disturbs a training step."""
        return self.buffer("out" if training else "inference out", (n, *self.out_shape))

    def _dx(self, n):
        return self.buffer("dx", (n, *self.in_shape))

    def check_input(self, x):
        """Raise ShapeError unless x is (N, *in_shape), of the layer's dtype."""
        self._check("input", x, self.in_shape)

    def check_gradient(self, dout, n):
        """Raise ShapeError unless dout is (n, *out_shape), of the layer's dtype."""
        self._check("gradient", dout, self.out_shape)
        if len(dout) != n:
            raise ShapeError(f"{self.name}: gradient is of {len(dout)} images; the forward before it had {n}")

    def _check(self, what, array, shape):
        if (
            not isinstance(array, np.ndarray)
            or array.shape[1:] != shape
            or array.ndim == 0
            or array.dtype != self.dtype
        ):
            got = (
                f"shape {array.shape}, {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            )
            raise ShapeError(f"{self.name}: {what} is {got}; wants shape {_batch_of(shape)}, {self.dtype}")

    def _check_result(self, method, array, shape):
        """Raise ShapeError unless what a subclass's method returned is what its ``_build`` promised."""
        if isinstance(array, np.ndarray) and array.shape == shape and array.dtype == self.dtype:
            return
        got = f"{array.shape}, {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
        promised = "for its input" if method == "_backward" else "for its output"
        raise ShapeError(
            f"{self.name}: {type(self).__name__}.{method} returned {got}; _build promised {shape}, {self.dtype}, "
            f"{promised}"
        )

    def _checked_build(self, built):
        """Return output shape, parameters and state apart, of what ``_build`` returned; raise ConfigError."""
        method = f"{type(self).__name__}._build"
        try:
            shape, specs = built
            shape, specs = tuple(int(size) for size in shape), list(specs)
        except (TypeError, ValueError):
            raise ConfigError(
                f"{method} returned {built!r}; wants the output's shape and a list of ParamSpec and StateSpec"
            ) from None
        params = [spec for spec in specs if isinstance(spec, ParamSpec)]
        state = [spec for spec in specs if isinstance(spec, StateSpec)]
        if len(params) + len(state) < len(specs):
            raise ConfigError(f"{method} returned {specs!r}; wants a list of ParamSpec and StateSpec")
        names = [spec.name for spec in specs]
        if len(set(names)) < len(names):
            raise ConfigError(f"{method} gives a name twice: {', '.join(names)}")
        return shape, params, state

    def config(self):
        """Return the constructor's arguments as a dict that JSON can hold: ``type(self)(**config)`` makes a twin.

        An initialiser that is a function stays one here; ``Network.save`` writes its name.
        """
        names = inspect.signature(type(self)).parameters
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise ConfigError(
                f"{type(self).__name__} takes {missing[0]} but has no attribute {missing[0]}; keep it in __init__ "
                f"(self.{missing[0]} = {missing[0]}) or write config()"
            )
        return {name: getattr(self, name) for name in names}

    def __repr__(self):
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({arguments})"


# What a weights file calls the layers, and which class each is.  Other modules of the package add theirs.
LAYERS = {}


def register_layer(cls):
    """Let ``load`` find a Layer subclass by its name in a weights file; return it, so this is a class decorator too.

    Raises ConfigError when another layer has that name.
    """
    if not (isinstance(cls, type) and issubclass(cls, Layer)):
        raise ConfigError(f"register_layer got {cls!r}; wants a subclass of numcnn.Layer")
    return register(LAYERS, cls, "layer")


@register_layer
class Conv2D(Layer):
    """Slide ``filters`` kernels over the image.  (N,H,W,C) -> (N,OH,OW,filters).

    kernel_size and stride are an int or a pair (rows, columns); padding is "valid" (none), "same" (output is
    ceil(input / stride), as in Keras) or an int, zeros on every side.  Cross-correlation, as in all frameworks.
    init: how the weights start, a name in ``initializers`` or a function f(rng, shape).
    """

    short_name = "conv"

    def __init__(self, filters, kernel_size, stride=1, padding="valid", init="he_normal"):
        super().__init__()
        self.filters = _positive("Conv2D filters", filters)
        self.kernel_size = _pair("Conv2D kernel_size", kernel_size)
        self.stride = _pair("Conv2D stride", stride)
        if padding not in ("valid", "same"):
            padding = _natural("Conv2D padding", padding, "'valid', 'same' or a whole number, 0 or more")
        self.padding = padding
        self.init = _known_init("Conv2D", init)

    def _build(self, in_shape):
        H, W, C = image_shape(self, in_shape)
        self._pads = [self._pad(size, k, s) for size, k, s in zip((H, W), self.kernel_size, self.stride, strict=True)]
        (top, bottom), (left, right) = self._pads
        self.padded_shape = (H + top + bottom, W + left + right, C)
        OH, OW = _window_positions(self, self.padded_shape, self.kernel_size, self.stride)
        w = ParamSpec("w", (*self.kernel_size, C, self.filters), self.init, decay=True)
        b = ParamSpec("b", (self.filters,), "zeros", decay=False)
        return (OH, OW, self.filters), [w, b]

    def _pad(self, size, kernel, stride):
        """Return the zeros before and after one axis; an odd one goes after, as in Keras."""
        if self.padding == "valid":
            return 0, 0
        if self.padding == "same":
            total = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
            return total // 2, total - total // 2
        return self.padding, self.padding

    def flops(self):
        """See ``Layer``: a multiply-add for every output, kernel position and input channel."""
        OH, OW, F = self.out_shape
        return 2 * OH * OW * F * math.prod(self.kernel_size) * self.in_shape[2]

    def _inside(self, padded):
        """Return the view of a padded image that holds the image itself."""
        (top, _), (left, _) = self._pads
        H, W, _ = self.in_shape
        return padded[:, top : top + H, left : left + W]

    def pad(self, x, buffer, training):
        """Return x (N,H,W,C) with its border of zeros: itself if there is none.  ``buffer`` makes the array."""
        if self.padded_shape == self.in_shape:
            return x
        # The border is zero from the start and stays so.
        padded = buffer("padded x" if training else "inference padded x", (len(x), *self.padded_shape))
        self._inside(padded)[...] = x
        return padded

    def unpad(self, dpadded, buffer):
        """Return the gradient (N,H,W,C) of what was padded, or None of None: the border's goes nowhere."""
        if dpadded is None or self.padded_shape == self.in_shape:
            return dpadded
        dx = buffer("dx", (len(dpadded), *self.in_shape))
        dx[...] = self._inside(dpadded)
        return dx

    def _forward(self, x, training):
        x = self.pad(x, self.buffer, training)
        out = self._out(len(x), training)
        self.kernels.conv2d_forward(x, self.params["w"], self.params["b"], out, self.stride)
        if training:
            self._saved = x
        return out

    def _backward(self, dout, need_dx):
        x, w = self._saved, self.params["w"]
        dpadded = self.buffer("padded dx", x.shape) if need_dx else None
        self.kernels.conv2d_backward(dout, x, w, dpadded, self.grads["w"], self.grads["b"], self.stride)
        return self.unpad(dpadded, self.buffer)


class Pool2D(Layer):
    """What pools share: how windows lie.  (N,H,W,C) -> (N,OH,OW,C).

    pool_size and stride (default: pool_size) are an int or a pair.  Rows and columns that fill no window are left out.
    """

    def __init__(self, pool_size=2, stride=None):
        super().__init__()
        self.pool_size = _pair(f"{type(self).__name__} pool_size", pool_size)
        self.stride = self.pool_size if stride is None else _pair(f"{type(self).__name__} stride", stride)

    def _build(self, in_shape):
        H, W, C = image_shape(self, in_shape)
        OH, OW = _window_positions(self, (H, W), self.pool_size, self.stride)
        return (OH, OW, C), []


@register_layer
class MaxPool2D(Pool2D):
    """Keep the largest value of each window.  (N,H,W,C) -> (N,OH,OW,C).  Arguments: see ``Pool2D``."""

    short_name = "pool"

    def decisions(self):
        """See ``Layer``: which position won each window."""
        return (self._saved,)

    def _forward(self, x, training):
        out = self._out(len(x), training)
        which = None
        if training:
            which = self.buffer("which", out.shape, np.min_scalar_type(math.prod(self.pool_size) - 1))
            self._saved = which
        self.kernels.maxpool2d_forward(x, out, which, self.pool_size, self.stride)
        return out

    def _backward(self, dout, need_dx):
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self.kernels.maxpool2d_backward(dout, self._saved, dx, self.pool_size, self.stride)
        return dx


@register_layer
class ReLU(Layer):
    """Cut off what is negative: max(x, 0).  Any shape."""

    short_name = "relu"

    def _build(self, in_shape):
        return in_shape, []

    def decisions(self):
        """See ``Layer``: which values came through."""
        return (self._saved > 0,)

    def _forward(self, x, training):
        out = self._out(len(x), training)
        self.kernels.relu_forward(x, out)
        if training:
            self._saved = out
        return out

    def _backward(self, dout, need_dx):
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self.kernels.relu_backward(dout, self._saved, dx)
        return dx


@register_layer
class Flatten(Layer):
    """See each image as one row of numbers.  (N,H,W,C) -> (N,H*W*C).  Nothing is copied."""

    short_name = "flatten"

    def _build(self, in_shape):
        return (math.prod(in_shape),), []

    def _forward(self, x, training):
        return x.reshape(len(x), *self.out_shape)

    def _backward(self, dout, need_dx):
        return dout.reshape(len(dout), *self.in_shape) if need_dx else None


@register_layer
class Dense(Layer):
    """Take ``units`` weighted sums of all inputs.  (N,D) -> (N,units)."""

    short_name = "dense"

    def __init__(self, units, init="he_normal"):
        super().__init__()
        self.units = _positive("Dense units", units)
        self.init = _known_init("Dense", init)

    def _build(self, in_shape):
        if len(in_shape) != 1:
            raise ShapeError(f"{self.name}: input is {_batch_of(in_shape)}; wants (N, D): put a Flatten before it")
        w = ParamSpec("w", (in_shape[0], self.units), self.init, decay=True)
        b = ParamSpec("b", (self.units,), "zeros", decay=False)
        return (self.units,), [w, b]

    def flops(self):
        """See ``Layer``: a multiply-add for every input and output."""
        return 2 * self.in_shape[0] * self.units

    def _forward(self, x, training):
        out = self._out(len(x), training)
        self.kernels.dense_forward(x, self.params["w"], self.params["b"], out)
        if training:
            self._saved = x
        return out

    def _backward(self, dout, need_dx):
        dx = self._dx(len(dout)) if need_dx else None
        self.kernels.dense_backward(dout, self._saved, self.params["w"], dx, self.grads["w"], self.grads["b"])
        return dx


@register_layer
class Dropout(Layer):
    """While training, drop each value with probability ``rate`` (0 <= rate < 1) and scale up the rest.  Any shape."""

    short_name = "dropout"

    def __init__(self, rate):
        super().__init__()
        if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
            raise ConfigError(f"Dropout rate is {rate!r}; wants a number from 0 up to, not including, 1")
        self.rate = float(rate)
        self._drawn = None

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        if not training:
            return x
        if self._drawn is None:  # nobody has drawn before, so this layer runs alone
            self.draw(len(x))
        u, self._drawn = self._drawn, None
        out = self._out(len(x), training)
        self.kernels.dropout_forward(x, u, self.rate, out)
        self._saved = u
        return out

    def draw(self, n):
        """See ``Layer``: a number from 0 to 1 for each value, that decides whether it is dropped."""
        self._drawn = self.buffer("u", (n, *self.in_shape))
        self.rng.random(out=self._drawn, dtype=self.dtype)

    def take_drawn(self, layer, first, last):
        """See ``Layer``."""
        self._drawn = layer._drawn[first:last]

    def _backward(self, dout, need_dx):
        if not need_dx:
            return None
        dx = self._dx(len(dout))
        self.kernels.dropout_backward(dout, self._saved, self.rate, dx)
        return dx


# Checks of arguments and shapes


def _is_int(value):
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _positive(what, value, wants="a whole number, 1 or more"):
    if not _is_int(value) or value < 1:
        raise ConfigError(f"{what} is {value!r}; wants {wants}")
    return int(value)


def _natural(what, value, wants):
    if not _is_int(value) or value < 0:
        raise ConfigError(f"{what} is {value!r}; wants {wants}")
    return int(value)


def _pair(what, value):
    wants = "a whole number, 1 or more, or a pair of them (rows, columns)"
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if len(value) != 2:
        raise ConfigError(f"{what} is {value!r}; wants {wants}")
    return tuple(_positive(what, v, wants) for v in value)


def _known_init(what, init):
    if not callable(init) and init not in INITIALIZERS:
        raise ConfigError(
            f"{what} init is {init!r}; wants one of {', '.join(INITIALIZERS)}, or a function (rng, shape)"
        )
    return init


def _batch_of(shape):
    return f"({', '.join(['N', *map(str, shape)])})"


def image_shape(layer, in_shape):
    """Return ``in_shape``, (H, W, C); ShapeError, which names the layer, if it isn't that of an image."""
    if len(in_shape) != 3:
        raise ShapeError(f"{layer.name}: input is {_batch_of(in_shape)}; wants images (N, H, W, C)")
    return in_shape


def _window_positions(layer, image, window, stride):
    """Return how many places a window has down and across an image; ShapeError when it doesn't fit once."""
    positions = [(size - k) // s + 1 for size, k, s in zip(image, window, stride, strict=False)]
    if min(positions) < 1 or image[0] < window[0] or image[1] < window[1]:
        raise ShapeError(
            f"{layer.name}: a {window[0]}x{window[1]} window doesn't fit an input of {image[0]}x{image[1]} pixels; "
            "use a smaller window or padding"
        )
    return positions
