"""Three layers that belong to no package, in plain NumPy: what a user would write."""

import numpy as np

from numcnn import Layer, ParamSpec, ShapeError, StateSpec, register_layer


@register_layer
class MyTanh(Layer):
    """Squash each value to -1..1.  Any shape."""

    def _build(self, in_shape):
        return in_shape, []

    def _forward(self, x, training):
        out = np.tanh(x)
        if training:
            self._saved = out
        return out

    def _backward(self, dout, need_dx):
        return dout * (1 - self._saved**2)


@register_layer
class MyAveragePool2D(Layer):
    """Take the mean of each window of size x size.  (N,H,W,C) -> (N,H/size,W/size,C)."""

    def __init__(self, size=2):
        super().__init__()
        self.size = size  # under the argument's own name, by which copy and save look for it

    def _build(self, in_shape):
        H, W, C = in_shape
        if H % self.size or W % self.size:
            raise ShapeError(f"{self.name}: {H}x{W} pixels can't be cut into windows of {self.size}x{self.size}")
        return (H // self.size, W // self.size, C), []

    def _forward(self, x, training):
        OH, OW, C = self.out_shape
        return x.reshape(len(x), OH, self.size, OW, self.size, C).mean(axis=(2, 4))

    def _backward(self, dout, need_dx):
        return (dout / self.size**2).repeat(self.size, axis=1).repeat(self.size, axis=2)


@register_layer
class MyBatchNorm(Layer):
    """Normalise each channel: by the batch in training, else by running statistics.  (N,...,C) -> (N,...,C)."""

    def _build(self, in_shape):
        C = in_shape[-1:]
        return in_shape, [
            ParamSpec("gamma", C, "ones", decay=False),
            ParamSpec("beta", C, "zeros", decay=False),
            StateSpec("mean", C, 0.0),
            StateSpec("var", C, 1.0),
        ]

    def _forward(self, x, training):
        mean, var = self.state["mean"], self.state["var"]
        if training and not self.frozen:  # frozen: as in inference
            axes = tuple(range(x.ndim - 1))
            mean, var = x.mean(axis=axes), x.var(axis=axes)
            self.next_state["mean"] += 0.1 * (mean - self.state["mean"])
            self.next_state["var"] += 0.1 * (var - self.state["var"])
        scale = 1 / np.sqrt(var + 1e-5)
        xhat = (x - mean) * scale
        if training:
            self._saved = xhat, scale
        return self.params["gamma"] * xhat + self.params["beta"]

    def _backward(self, dout, need_dx):
        xhat, scale = self._saved
        axes, M = tuple(range(dout.ndim - 1)), dout.size // dout.shape[-1]
        dgamma, dbeta = self.grads["gamma"], self.grads["beta"]
        dgamma[...] = (dout * xhat).sum(axis=axes)  # fill the arrays, don't replace them
        dbeta[...] = dout.sum(axis=axes)
        if self.frozen:  # mean and var were constants
            return self.params["gamma"] * scale * dout
        return self.params["gamma"] * scale * (dout - dbeta / M - xhat * dgamma / M)
