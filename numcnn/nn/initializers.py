"""First values of parameters.  Each is ``f(rng, shape) -> float64 array``; shape is that of a weight or bias array."""

import math

import numpy as np


def fan_in_out(shape):
    """Return how many values one output sums up, and how many outputs one value goes to: dense and conv weights."""
    *kernel, inputs, outputs = shape
    window = math.prod(kernel)
    return window * inputs, window * outputs


def he_normal(rng, shape):
    """Draw from a normal distribution of variance 2 / fan_in, which keeps variance through ReLUs (He et al. 2015)."""
    fan_in, _ = fan_in_out(shape)
    return rng.standard_normal(shape) * math.sqrt(2 / fan_in)


def glorot_uniform(rng, shape):
    """Draw evenly from +-sqrt(6 / (fan_in + fan_out)): for an output without ReLU (Glorot & Bengio 2010)."""
    limit = math.sqrt(6 / sum(fan_in_out(shape)))
    return rng.uniform(-limit, limit, shape)


def zeros(rng, shape):
    """Return zeros: biases start neutral."""
    return np.zeros(shape)


INITIALIZERS = {f.__name__: f for f in (he_normal, glorot_uniform, zeros)}
