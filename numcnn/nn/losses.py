"""The loss that training minimises."""

import numbers

import numpy as np

from numcnn.errors import ConfigError, ShapeError


def softmax(logits):
    """Turn logits (N,C) into probabilities (N,C): exp(logits) / sum(exp(logits)), without overflow."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def checked_labels(where, labels, n, classes, outliers=False):
    """Return labels as an array (n,) of integers from 0 to classes - 1, or to classes with outliers, else ShapeError.

    where: what the error begins with.
    """
    labels = np.asarray(labels)
    largest = classes if outliers else classes - 1
    in_range = labels.dtype.kind in "ui" and (labels.size == 0 or 0 <= labels.min() <= labels.max() <= largest)
    if labels.shape != (n,) or not in_range:
        raise ShapeError(f"{where}: labels are {_describe(labels)}; wants shape ({n},), integers from 0 to {largest}")
    return labels


class SoftmaxCrossEntropy:
    """Softmax and cross-entropy in one, with label smoothing s: the target is (1-s) on the label plus s/C everywhere.

    Taken together their gradient is simply softmax - target, and no logit overflows.
    """

    def __init__(self, kernels, smoothing=0.0, outliers=False):
        """outliers: take the label C, too: a picture of none of the classes, whose target is 1/C everywhere.

        So a network learns to be unsure of what it doesn't know (Hendrycks, Mazeika & Dietterich 2019).
        """
        if not isinstance(smoothing, numbers.Real) or not 0 <= smoothing < 1:
            raise ConfigError(f"label smoothing is {smoothing!r}; wants a number from 0 up to, not including, 1")
        self.kernels = kernels
        self.smoothing, self.outliers = float(smoothing), bool(outliers)
        self._log_probs = self._dlogits = self._losses = self._labels = None
        self._n = self._of = 0

    def replica(self):
        """Return a loss of the same kind with memory of its own."""
        return type(self)(self.kernels, self.smoothing, self.outliers)

    def forward(self, logits, labels, of=None):
        """Return the mean loss, a float, of logits (N,C) against integer labels (N,) in 0..C-1, or C for an outlier.

        Raises ShapeError.

        of: when these are only some images of a batch, how many that has: their part in its mean is returned.
        """
        N, C = logits.shape
        labels = checked_labels("loss", labels, N, C, self.outliers)
        kept = self._log_probs
        if kept is None or len(kept) < N or kept.shape[1] != C or kept.dtype != logits.dtype:
            self._log_probs, self._dlogits = np.empty_like(logits), np.empty_like(logits)
            self._losses, self._labels = np.empty(N, logits.dtype), np.empty(N, np.intp)
        self._n, self._of = N, of or N
        self._labels[:N] = labels
        losses = self._losses[:N]
        self.kernels.softmax_cross_entropy_forward(
            logits, self._labels[:N], self.smoothing, self._log_probs[:N], losses
        )
        return float(losses.sum(dtype=np.float64) / self._of)

    def backward(self):
        """Return dlogits (N,C), the gradient of the mean loss of the last forward."""
        dlogits, labels = self._dlogits[: self._n], self._labels[: self._n]
        self.kernels.softmax_cross_entropy_backward(self.log_probs, labels, self._of, self.smoothing, dlogits)
        return dlogits

    @property
    def log_probs(self):
        """The log-probabilities (N,C) of the last forward."""
        return self._log_probs[: self._n]


def _describe(labels):
    values = f" from {labels.min()} to {labels.max()}" if labels.size and labels.dtype.kind in "uif" else ""
    return f"shape {labels.shape}, {labels.dtype}{values}"
