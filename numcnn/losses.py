"""The loss that training minimises."""

import numbers

import numpy as np

from numcnn.errors import ConfigError, ShapeError


def softmax(logits):
    """Turn logits (N,C) into probabilities (N,C): exp(logits) / sum(exp(logits)), without overflow."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


class SoftmaxCrossEntropy:
    """Softmax and cross-entropy in one, with label smoothing s: the target is (1-s) on the label plus s/C everywhere.

    Taken together their gradient is simply softmax - target, and no logit overflows.
    """

    def __init__(self, kernels, smoothing=0.0):
        if not isinstance(smoothing, numbers.Real) or not 0 <= smoothing < 1:
            raise ConfigError(f"label smoothing is {smoothing!r}; wants a number from 0 up to, not including, 1")
        self.kernels = kernels
        self.smoothing = float(smoothing)
        self._log_probs = self._dlogits = self._losses = self._labels = None

    def forward(self, logits, labels):
        """Return the mean loss, a float, of logits (N,C) against integer labels (N,) in 0..C-1.  Raises ShapeError."""
        N, C = logits.shape
        labels = np.asarray(labels)
        if labels.shape != (N,) or labels.dtype.kind not in "ui" or (N and not 0 <= labels.min() <= labels.max() < C):
            raise ShapeError(f"loss: labels are {_describe(labels)}; wants shape ({N},), integers from 0 to {C - 1}")
        if self._losses is None or len(self._losses) < N or self._losses.dtype != logits.dtype:
            self._log_probs, self._dlogits = np.empty_like(logits), np.empty_like(logits)
            self._losses = np.empty(N, logits.dtype)
        self._labels = labels
        losses = self._losses[:N]
        self.kernels.softmax_cross_entropy_forward(logits, labels, self.smoothing, self._log_probs[:N], losses)
        return float(losses.mean())

    def backward(self):
        """Return dlogits (N,C), the gradient of the mean loss of the last forward."""
        N = len(self._labels)
        dlogits = self._dlogits[:N]
        self.kernels.softmax_cross_entropy_backward(self._log_probs[:N], self._labels, self.smoothing, dlogits)
        return dlogits

    @property
    def log_probs(self):
        """The log-probabilities (N,C) of the last forward."""
        return self._log_probs[: len(self._labels)]


def _describe(labels):
    values = f" from {labels.min()} to {labels.max()}" if labels.size and labels.dtype.kind in "uif" else ""
    return f"shape {labels.shape}, {labels.dtype}{values}"
