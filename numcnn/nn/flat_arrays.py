"""The memory of a network's layers: one flat array of parameters, one of gradients, and two of state."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Floats
from numcnn.kernels.buffers import zeros
from numcnn.nn import initializers
from numcnn.nn.checks import whole_number
from numcnn.nn.layer import Layer, ParamSpec, StateSpec


class FlatArrays:
    """Flat arrays, into which the layers' arrays are views: ``params``, ``grads`` (P,), ``state``, ``next_state`` (S,).

    Also ``decay`` (P,), 1 where weight decay applies, and ``slices``: "conv1.w" -> its slice of the flat arrays.
    """

    def __init__(
        self, layers: Sequence[Layer], input_shape: tuple[int, ...], dtype: "np.dtype[Any]", most: int
    ) -> None:
        """Allocate zeros for built layers, and bind the layers to them.

        input_shape: of one image.  Raises ConfigError for more than ``most`` parameters, before allocating them.
        """
        self.layers, self.input_shape, self.dtype = layers, input_shape, dtype
        self._state_size = sum(size(spec) for layer in layers for spec in layer.state_specs)
        most = whole_number("most_parameters", most, 0, "a whole number, 0 or more", most=math.inf)
        total = sum(size(spec) for layer in layers for spec in layer.specs)
        if total + self._state_size > most:
            raise ConfigError(f"the network has {total + self._state_size:,} parameters; {most:,} are the most here")
        self.params, self.decay = zeros((total,), dtype), zeros((total,), dtype)
        self.slices: dict[str, slice] = {}
        start = 0
        for layer in layers:
            for spec in layer.specs:
                place = slice(start, start + size(spec))
                self.slices[f"{layer.name}.{spec.name}"] = place
                self.decay[place] = spec.decay
                start = place.stop
        self.grads, self.next_state = self.new_gradients()
        self.state = zeros((self._state_size,), dtype)
        self._bind()

    def _bind(self) -> None:
        """Give each layer its views, and set its state to the initial values."""
        params, grads = self.of_layers(self.params), self.of_layers(self.grads)
        state, next_state = self.state_of_layers(self.state), self.state_of_layers(self.next_state)
        for i, layer in enumerate(self.layers):
            layer.params, layer.grads, layer.state, layer.next_state = params[i], grads[i], state[i], next_state[i]
            for spec in layer.state_specs:
                layer.state[spec.name][...] = spec.initial
        self.next_state[...] = self.state

    def new_gradients(self) -> tuple[Floats, Floats]:
        """Return zeros like ``grads`` and ``next_state``, for a replica."""
        return zeros(self.params.shape, self.dtype), zeros((self._state_size,), self.dtype)

    def draw(self, rng: np.random.Generator) -> None:
        """Draw initial values for all parameters, layer by layer."""
        for layer in self.layers:
            for spec in layer.specs:
                values = initializers.draw(spec.init, rng, f"{layer.name}.{spec.name}", spec.shape)
                layer.params[spec.name][...] = values

    def of_layers(self, flat: Floats) -> list[dict[str, Floats]]:
        """Return for each layer name -> view, shaped like the parameter, of a flat array (P,)."""
        return [
            {spec.name: flat[self.slices[f"{layer.name}.{spec.name}"]].reshape(spec.shape) for spec in layer.specs}
            for layer in self.layers
        ]

    def named(self, flat: Floats) -> dict[str, Floats]:
        """Return "conv1.w" -> view, shaped like the parameter, of a flat array (P,)."""
        views = zip(self.layers, self.of_layers(flat), strict=True)
        return {f"{layer.name}.{name}": view for layer, names in views for name, view in names.items()}

    def state_of_layers(self, flat: Floats) -> list[dict[str, Floats]]:
        """Return for each layer name -> view, shaped as declared, of a flat array (S,) like ``state``."""
        views: list[dict[str, Floats]] = []
        start = 0
        for layer in self.layers:
            views.append({})
            for spec in layer.state_specs:
                views[-1][spec.name] = flat[start : start + size(spec)].reshape(spec.shape)
                start += size(spec)
        return views

    def named_state(self) -> dict[str, Floats]:
        """Return "bn1.mean" -> view, shaped as declared, of the state; empty for most networks."""
        return {f"{layer.name}.{name}": values for layer in self.layers for name, values in layer.state.items()}


def size(spec: ParamSpec | StateSpec) -> int:
    """Return how many values a parameter or state array has."""
    return math.prod(spec.shape)
