"""Batch normalisation: the one layer whose output for an image depends, in training, on the other images.

Each thread normalises its shard of a batch with that shard's own statistics, as is common in data-parallel training:
synchronising the threads in every layer would cost more than it gains.  So with T threads the statistics are over about
batch_size / T images, results depend on T by a little more than rounding, and the running variance is the mean of the
variances *within* shards, which training divides by.  Equal seed, threads and batch size still give equal bytes.
"""

import math

import numpy as np

from numcnn.kernels.arrays import Floats
from numcnn.nn.checks import real_number
from numcnn.nn.layer import Built, Layer, ParamSpec, Shape, StateSpec, register_layer


@register_layer
class BatchNorm(Layer):
    """Normalise each channel to mean 0 and variance 1, then scale and shift it (Ioffe & Szegedy 2015).  Any shape.

    Statistics are per channel, the last dimension: of (N,H,W,C) over N, H and W, of (N,D) over N.  Training uses those
    of the batch, inference running averages: running = momentum * running + (1 - momentum) * batch.  ``eps`` is added
    to the variance.  Parameters: ``gamma``, ``beta``, without weight decay.  State: ``mean``, ``var``.
    """

    short_name = "bn"

    def __init__(self, momentum: float = 0.9, eps: float = 1e-5) -> None:
        super().__init__()
        wants = "a number from 0 up to, not including, 1"
        self.momentum = real_number("BatchNorm momentum", momentum, 0, 1, wants, least_too=True)
        self.eps = real_number("BatchNorm eps", eps, 0, math.inf, "a number above 0")

    def _build(self, in_shape: Shape) -> Built:
        C = in_shape[-1:]
        gamma, beta = ParamSpec("gamma", C, "ones", decay=False), ParamSpec("beta", C, "zeros", decay=False)
        return in_shape, [gamma, beta, StateSpec("mean", C, 0.0), StateSpec("var", C, 1.0)]

    def _columns(self, array: Floats) -> Floats:
        """Return a view of an array (N, ..., C) as (M,C): M values per channel."""
        return array.reshape(-1, array.shape[-1])

    def _forward(self, x: Floats, training: bool) -> Floats:
        out, columns = self._out(len(x), training), self._columns(x)
        mean, var = self.state["mean"], self.state["var"]
        if training and not self.frozen:
            mean, var = (self.buffer(f"batch {name}", mean.shape) for name in ("mean", "var"))
            self.kernels.batchnorm_statistics(columns, mean, var)
            M = len(columns)
            self._update("mean", mean)
            self._update("var", var * (M / max(1, M - 1)))  # the unbiased estimate, as in the paper
        if training:
            self._saved = columns, mean, var
        gamma, beta = self.params["gamma"], self.params["beta"]
        self.kernels.batchnorm_forward(columns, mean, var, gamma, beta, self.eps, self._columns(out))
        return out

    def _update(self, name: str, of_batch: Floats) -> None:
        """Move a running statistic towards the batch's."""
        running = self.next_state[name]
        running += (1 - self.momentum) * (of_batch - running)

    def _backward(self, dout: Floats, need_dx: bool) -> Floats | None:
        if self.frozen:
            return self._frozen_backward(dout)
        columns, mean, var = self._saved
        dx = self._dx(len(dout)) if need_dx else None
        self.kernels.batchnorm_backward(
            self._columns(dout),
            columns,
            mean,
            var,
            self.params["gamma"],
            self.eps,
            None if dx is None else self._columns(dx),
            self.grads["gamma"],
            self.grads["beta"],
        )
        return dx

    def _frozen_backward(self, dout: Floats) -> Floats:
        """Send dout back through gamma * (x - mean) / std + beta, whose mean and std are constants."""
        columns, mean, var = self._saved
        dcolumns, scale = self._columns(dout), 1 / np.sqrt(var + self.eps)
        self.grads["gamma"][...] = (dcolumns * (columns - mean) * scale).sum(axis=0)
        self.grads["beta"][...] = dcolumns.sum(axis=0)
        return dout * (self.params["gamma"] * scale)
