"""Batch normalisation: the one layer whose output for an image depends, in training, on the other images.

Each thread normalises its share of a batch with that share's own statistics, as data-parallel training commonly does:
threads that wait for each other in every layer would lose what they gain.  So with T threads the statistics are over
about batch_size / T images, results depend on T a little more than by rounding, and the running variance is the mean of
the variances *within* shares.  That is the one which training divided by.  Equal seed, threads and batch size still
give equal bytes.
"""

import math
import numbers

from numcnn.errors import ConfigError
from numcnn.nn.layers import Layer, ParamSpec, StateSpec, register_layer


@register_layer
class BatchNorm(Layer):
    """Normalise each channel to mean 0 and variance 1, then scale and shift it: (Ioffe & Szegedy 2015).  Any shape.

    Statistics are per channel, the last dimension: of (N,H,W,C) over N, H and W, of (N,D) over N.  Training uses the
    batch's; inference uses the running ones, of which each step keeps the share ``momentum``.  ``eps`` is added to the
    variance.  Parameters: ``gamma``, ``beta``, without weight decay.  State: ``mean``, ``var``.
    """

    short_name = "bn"

    def __init__(self, momentum=0.9, eps=1e-5):
        super().__init__()
        if not isinstance(momentum, numbers.Real) or not 0 <= momentum < 1:
            raise ConfigError(f"BatchNorm momentum is {momentum!r}; wants a number from 0 up to, not including, 1")
        if not isinstance(eps, numbers.Real) or not 0 < eps < math.inf:
            raise ConfigError(f"BatchNorm eps is {eps!r}; wants a number above 0")
        self.momentum, self.eps = float(momentum), float(eps)

    def _build(self, in_shape):
        C = in_shape[-1:]
        gamma, beta = ParamSpec("gamma", C, "ones", decay=False), ParamSpec("beta", C, "zeros", decay=False)
        return in_shape, [gamma, beta, StateSpec("mean", C, 0.0), StateSpec("var", C, 1.0)]

    def _columns(self, array):
        """See an array (N, ..., C) as (M,C): M values of each channel."""
        return array.reshape(-1, array.shape[-1])

    def _forward(self, x, training):
        out, columns = self._out(len(x), training), self._columns(x)
        mean, var = self.state["mean"], self.state["var"]
        if training:
            mean, var = (self.buffer(f"batch {name}", mean.shape) for name in ("mean", "var"))
            self.kernels.batchnorm_statistics(columns, mean, var)
            M = len(columns)
            self._keep("mean", mean)
            self._keep("var", var * (M / max(1, M - 1)))  # the unbiased estimate, as in the paper
            self._saved = columns, mean, var
        gamma, beta = self.params["gamma"], self.params["beta"]
        self.kernels.batchnorm_forward(columns, mean, var, gamma, beta, self.eps, self._columns(out))
        return out

    def _keep(self, name, of_batch):
        """Move a running statistic towards the batch's."""
        running = self.next_state[name]
        running += (1 - self.momentum) * (of_batch - running)

    def _backward(self, dout, need_dx):
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
