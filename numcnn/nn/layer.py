"""The layer's contract with its network, and the names of layers in weights files.

A layer is built once for its input's shape (``build``), gets its parameters' arrays from the network, and then runs
``forward`` and ``backward``.  It owns the arrays it returns, and its next call overwrites them: copy what you want to
keep.  Shapes in docstrings are complete: N images, H x W pixels, C channels, F filters, OH x OW outputs, D features.
"""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, ShapeError
from numcnn.kernels.arrays import AnyArray, Floats
from numcnn.kernels.buffers import zeros
from numcnn.kernels.protocol import Kernels
from numcnn.nn.checks import check_array, check_result
from numcnn.nn.initializers import Initializer, register

Shape: TypeAlias = tuple[int, ...]  # of one image, without N


@dataclass(frozen=True)
class ParamSpec:
    """One parameter array of a layer: offsets, views, checkpoint keys and the weight-decay mask follow from these."""

    name: str
    shape: Shape
    init: str | Initializer  # a name in INITIALIZERS, or f(rng, shape) -> array
    decay: bool


@dataclass(frozen=True)
class StateSpec:
    """One array that a layer learns without gradients, such as a running mean; it starts at ``initial``.

    It is saved, loaded and copied like a parameter.
    """

    name: str
    shape: Shape
    initial: float = 0.0


# What a layer's ``_build`` returns: its output's shape, and the arrays it wants.
Built: TypeAlias = tuple[Shape, list[ParamSpec | StateSpec]]


class Layer(ABC):
    """The base class of all layers.  A subclass defines ``_build``, ``_forward`` and ``_backward``.

    Once built it has: ``name`` ("conv1"), ``in_shape`` and ``out_shape`` (of one image), ``dtype``, ``specs`` and
    ``state_specs``, ``params`` and ``grads`` (name -> array), ``state`` and ``next_state`` (name -> array), ``kernels``
    (the back-end), ``rng`` (for dropout).

    State: a forward pass only reads ``state``; a training forward may write new values into ``next_state``, which
    starts as a copy.  The network adopts it at the end of the backward pass.  When a batch is cut into shards, each
    shard has its own ``next_state``, and the new state is their mean, weighted by their numbers of images; so the state
    must be something that can be averaged.
    """

    # Names the layers of a kind in a network: conv1, conv2 ...; None: the class's name in lower case.
    short_name: ClassVar[str | None] = None
    in_network = False  # a layer holds buffers for one network, so it can't be in two
    # Behave as in inference even if training is True: keep what backward needs, but change no state, drop nothing and
    # normalise by running statistics.  Then backward differentiates what inference computes: see ``input_gradient``.
    frozen = False

    in_shape: Shape
    out_shape: Shape
    dtype: "np.dtype[Any]"
    kernels: Kernels
    rng: np.random.Generator

    def __init__(self) -> None:
        self.name = type(self).__name__
        self.specs: list[ParamSpec] = []
        self.state_specs: list[StateSpec] = []
        self.params: dict[str, Floats] = {}
        self.grads: dict[str, Floats] = {}
        self.state: dict[str, Floats] = {}
        self.next_state: dict[str, Floats] = {}
        self._buffers: dict[str, AnyArray] = {}
        self._saved: Any = None  # what the last training forward keeps for backward
        self._n: int | None = None  # the number of images of the last training forward

    # What a subclass defines

    @abstractmethod
    def _build(self, in_shape: Shape) -> Built:
        """Return the output's shape and a list of ParamSpec and StateSpec, for an input of ``in_shape``.

        Shapes are of one image.  Raise ShapeError for an input that doesn't fit.
        """

    @abstractmethod
    def _forward(self, x: Floats, training: bool) -> Floats:
        """Return the output; when training, keep in ``self._saved`` what ``_backward`` needs."""

    @abstractmethod
    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        """Fill ``self.grads`` and return dx, or None when it isn't needed."""

    def flops(self) -> int:
        """Return the floating-point operations of one image's forward pass; a multiply-add counts two."""
        return 0

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments as a dict that JSON can hold: ``type(self)(**config)`` makes a copy.

        An initialiser that is a function is returned as such; ``Network.save`` writes its name.
        """
        names = settings_of(type(self))
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise ConfigError(
                f"{type(self).__name__} takes {missing[0]} but has no attribute {missing[0]}; keep it in __init__ "
                f"(self.{missing[0]} = {missing[0]}) or write config()"
            )
        return {name: getattr(self, name) for name in names}

    # What a network calls

    def build(self, in_shape: Iterable[int], dtype: npt.DTypeLike, name: str | None = None) -> Shape:
        """Fix the geometry for images of ``in_shape``, and the dtype.  Return the shape of one output."""
        self.name = name or self.name
        self.in_shape, self.dtype = tuple(in_shape), np.dtype(dtype)
        self.out_shape, self.specs, self.state_specs = _checked_build(type(self), self._build(self.in_shape))
        self.forget()
        return self.out_shape

    def forward(self, x: Floats, training: bool = False) -> Floats:
        """Compute the output (N, *out_shape) of x (N, *in_shape).  If training, keep what backward needs.

        Raises ShapeError (a ValueError) for another rank, size or dtype.
        """
        if not hasattr(self, "kernels"):
            raise ConfigError(f"{self.name} is not built yet; put it into a Network")
        check_array(self.name, "input", x, self.in_shape, self.dtype)
        if training:
            self._n = len(x)
            for name, values in self.state.items():
                self.next_state[name][...] = values
        out = self._forward(np.ascontiguousarray(x), training)
        check_result(self.name, f"{type(self).__name__}._forward", out, (len(x), *self.out_shape), self.dtype)
        return out

    def backward(self, dout: Floats, need_dx: bool = True) -> Floats | None:
        """Turn dout (N, *out_shape) into dx (N, *in_shape) and overwrite ``grads``.  Needs a training forward before.

        dx is dout of the layer before.
        """
        if self._n is None:
            raise ShapeError(f"{self.name}: backward needs a forward(x, training=True) before it")
        check_array(self.name, "gradient", dout, self.out_shape, self.dtype)
        if len(dout) != self._n:
            raise ShapeError(f"{self.name}: gradient is of {len(dout)} images; the forward before it had {self._n}")
        dx = self._backward(np.ascontiguousarray(dout), need_dx)
        if need_dx:
            check_result(self.name, f"{type(self).__name__}._backward", dx, (self._n, *self.in_shape), self.dtype)
        return dx

    def forget(self) -> None:
        """Free all buffers and forget the last forward: backward then needs another one first."""
        self._buffers, self._saved, self._n = {}, None, None

    # Buffers for a subclass

    def buffer(self, purpose: str, shape: Shape, dtype: npt.DTypeLike | None = None) -> AnyArray:
        """Return the first ``shape[0]`` rows of the array kept for ``purpose``; reallocate it only if too small."""
        array = self._buffers.get(purpose)
        if array is None or len(array) < shape[0] or array.shape[1:] != shape[1:]:
            array = self._buffers[purpose] = zeros(shape, dtype or self.dtype)
        return array[: shape[0]]

    def _out(self, n: int, training: bool) -> Floats:
        """Return the output buffer for n images.  Inference has another, so it never disturbs a training step."""
        return self.buffer("out" if training else "inference out", (n, *self.out_shape))

    def _dx(self, n: int) -> Floats:
        return self.buffer("dx", (n, *self.in_shape))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Layer":
        """Return a new layer of the same settings, not built, for another network; networks copy their weights."""
        return type(self)(**self.config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.config().items())
        return f"{type(self).__name__}({arguments})"


@functools.cache
def settings_of(kind: type[Layer]) -> tuple[str, ...]:
    """Return the names of a layer's constructor arguments, which are also those of its attributes."""
    return tuple(inspect.signature(kind).parameters)


def _checked_build(
    kind: type[Layer],
    built: object,
) -> tuple[Shape, list[ParamSpec], list[StateSpec]]:
    """Check what ``_build`` returned.  Return the output's shape, the parameters and the state; raise ConfigError."""
    method = f"{kind.__name__}._build"
    try:
        shape, specs = cast(Any, built)
        shape, specs = tuple(int(size) for size in shape), list(specs)
    except (TypeError, ValueError):
        raise ConfigError(
            f"{method} returned {built!r}; wants the output's shape and a list of ParamSpec and StateSpec"
        ) from None
    params = [spec for spec in specs if isinstance(spec, ParamSpec)]
    state = [spec for spec in specs if isinstance(spec, StateSpec)]
    if len(params) + len(state) < len(specs):
        raise ConfigError(f"{method} returned {specs!r}; wants a list of ParamSpec and StateSpec")
    names: list[str] = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise ConfigError(f"{method} gives a name twice: {', '.join(names)}")
    return shape, params, state


# Name in weights files -> class.
LAYERS: dict[str, type[Layer]] = {}

LayerClass = TypeVar("LayerClass", bound=type[Layer])


def register_layer(cls: LayerClass) -> LayerClass:
    """Let ``load`` find a Layer subclass by its name in a weights file; return it, so it is a class decorator too.

    Raises ConfigError when another layer has that name.
    """
    if not _is_layer_class(cls):
        raise ConfigError(f"register_layer got {cls!r}; wants a subclass of numcnn.Layer")
    register(LAYERS, cls, "layer")
    return cls


def _is_layer_class(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Layer)


def unknown_types(architecture: Iterable[Mapping[str, Any]], known: Mapping[str, Any]) -> list[str]:
    """Return which layer types a weights file names that aren't in ``known``, each once."""
    return list(dict.fromkeys(layer["type"] for layer in architecture if layer["type"] not in known))


def layer_from(arguments: Mapping[str, Any], known: Mapping[str, Any]) -> Layer:
    """Return the layer that a weights file describes: its "type", a name in ``known``, and its arguments."""
    arguments = dict(arguments)
    kind = arguments.pop("type")
    if not _is_layer_class(known[kind]):
        raise ConfigError(f"layers has {kind!r}: {known[kind]!r}; wants a subclass of numcnn.Layer")
    return known[kind](**arguments)


def checked_layers(layers: Iterable[Any]) -> list[Layer]:
    """Return layers as a list; ConfigError for objects that aren't layers, or are in a network already."""
    try:
        checked = list(layers)
    except TypeError:
        raise ConfigError(f"a network is made of a list of layers, not of {layers!r}") from None
    seen: set[int] = set()
    for i, layer in enumerate(checked):
        if not isinstance(layer, Layer):
            raise ConfigError(f"layer {i} is {layer!r}; wants a Layer, such as Dense(10)")
        if not hasattr(layer, "next_state"):
            raise ConfigError(f"layer {i}: {type(layer).__name__}.__init__ doesn't call super().__init__(), as it must")
        if id(layer) in seen:
            raise ConfigError(f"layer {i}, {layer!r}, is in the network twice; it keeps one memory: make two layers")
        if layer.in_network:
            raise ConfigError(
                f"layer {i}, {layer!r}, is in another network already; make new layers, or copy the whole network "
                "with network.copy()"
            )
        seen.add(id(layer))
    return checked
