"""Optimisers, written by hand.  They work in place on flat arrays and know nothing of layers."""

import contextlib
import math
import numbers

import numpy as np

from numcnn.errors import ConfigError

# What the running averages of parameters and state are called among the moments.
AVERAGE, AVERAGE_STATE = "average", "average state"


def clip_gradients(grads, max_norm):
    """Scale grads (P,) down in place so that their Euclidean norm is at most ``max_norm``.  Return the norm before."""
    norm = math.sqrt(np.dot(grads, grads))
    if norm > max_norm:
        grads *= max_norm / norm
    return norm


class Optimizer:
    """What both optimisers share.  params, grads: flat arrays (P,) of one dtype, kept and updated in place.

    decay (P,), 1 or 0 per parameter: where weight decay applies (None: everywhere).  kernels: a back-end's module.
    average: the share that a running average of the parameters keeps of itself in a step (Polyak & Juditsky 1992, the
    exponential form); 0: no average.  state: a network's state (S,), such as BatchNorm's statistics, which no step
    changes: it is averaged alike, for it has to suit the averaged parameters.
    """

    # Names of the arrays (P,) that a subclass keeps between steps; they start at zero.
    MOMENTS = ()

    def __init__(self, params, grads, kernels, *, decay=None, weight_decay=0.0, average=0.0, state=None):
        self.params, self.grads, self.kernels = params, grads, kernels
        self.decay = np.ones_like(params) if decay is None else np.asarray(decay, params.dtype)
        self.weight_decay = _in_range("weight decay", weight_decay, 0, math.inf)
        self.average = _in_range("average", average, 0, 1)
        self.steps = 0
        self.moments = {name: np.zeros_like(params) for name in self.MOMENTS}
        self._averaged = {}  # name among the moments -> what it is the average of
        if self.average:
            self._averaged[AVERAGE] = params
            if state is not None and state.size:
                self._averaged[AVERAGE_STATE] = state
        self.moments.update({name: array.copy() for name, array in self._averaged.items()})

    def step(self, lr):
        """Take one step with learning rate ``lr`` down the gradients as they are now."""
        self.steps += 1
        self._step(lr)
        if self.average:
            # The first averages are over fewer steps, so that they soon forget where training began.
            rate = 1 - min(self.average, self.steps / (self.steps + 9))
            for name, array in self._averaged.items():
                self.kernels.average_step(self.moments[name], array, rate)

    def take_average(self):
        """Put the averages in the place of parameters and state; without them all stays what it is."""
        for name, array in self._averaged.items():
            array[...] = self.moments[name]

    @contextlib.contextmanager
    def averaged(self):
        """Put the averages in the place of parameters and state for a while; without them all stays what it is."""
        latest = [array.copy() for array in self._averaged.values()]
        self.take_average()
        try:
            yield
        finally:
            for array, values in zip(self._averaged.values(), latest, strict=True):
                array[...] = values


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013) and decoupled weight decay."""

    MOMENTS = ("velocity",)

    def __init__(self, params, grads, kernels, *, momentum=0.9, nesterov=False, **shared):
        super().__init__(params, grads, kernels, **shared)
        self.momentum = _in_range("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)

    def _step(self, lr):
        self.kernels.sgd_step(
            self.params,
            self.grads,
            self.moments["velocity"],
            self.decay,
            lr,
            self.momentum,
            self.nesterov,
            self.weight_decay,
        )


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015); with weight_decay it is AdamW (Loshchilov & Hutter 2019)."""

    MOMENTS = ("m", "v")

    def __init__(self, params, grads, kernels, *, beta1=0.9, beta2=0.999, eps=1e-8, **shared):
        super().__init__(params, grads, kernels, **shared)
        self.beta1 = _in_range("beta1", beta1, 0, 1)
        self.beta2 = _in_range("beta2", beta2, 0, 1)
        self.eps = _in_range("eps", eps, 0, math.inf)

    def _step(self, lr):
        self.kernels.adam_step(
            self.params,
            self.grads,
            self.moments["m"],
            self.moments["v"],
            self.decay,
            self.steps,
            lr,
            self.beta1,
            self.beta2,
            self.eps,
            self.weight_decay,
        )


def _in_range(what, value, low, high):
    """Return ``value`` as a float; ConfigError unless low <= value < high."""
    if not isinstance(value, numbers.Real) or not low <= value < high:
        upper = "" if high == math.inf else f" and below {high}"
        raise ConfigError(f"{what} is {value!r}; wants a number, {low} or more{upper}")
    return float(value)
