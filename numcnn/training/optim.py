"""Optimisers, written by hand.  They work in place on flat arrays and know nothing of layers."""

import contextlib
import math
import numbers

import numpy as np

from numcnn.errors import ConfigError

# What the running average is called among the moments.
AVERAGE = "average"


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
    exponential form); 0: no average.
    """

    # Names of the arrays (P,) that a subclass keeps between steps; they start at zero.
    MOMENTS = ()

    def __init__(self, params, grads, kernels, *, decay=None, weight_decay=0.0, average=0.0):
        self.params, self.grads, self.kernels = params, grads, kernels
        self.decay = np.ones_like(params) if decay is None else np.asarray(decay, params.dtype)
        self.weight_decay = _in_range("weight decay", weight_decay, 0, math.inf)
        self.average = _in_range("average", average, 0, 1)
        self.steps = 0
        self.moments = {name: np.zeros_like(params) for name in self.MOMENTS}
        if self.average:
            self.moments[AVERAGE] = params.copy()

    def step(self, lr):
        """Take one step with learning rate ``lr`` down the gradients as they are now."""
        self.steps += 1
        self._step(lr)
        if self.average:
            # The first averages are over fewer steps, so that they soon forget where training began.
            rate = 1 - min(self.average, self.steps / (self.steps + 9))
            self.kernels.average_step(self.moments[AVERAGE], self.params, rate)

    @contextlib.contextmanager
    def averaged(self):
        """Put the average in the place of the parameters for a while; without one they stay what they are."""
        if not self.average:
            yield
            return
        latest = self.params.copy()
        self.params[...] = self.moments[AVERAGE]
        try:
            yield
        finally:
            self.params[...] = latest


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
