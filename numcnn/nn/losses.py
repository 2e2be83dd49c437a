"""The loss that training minimises."""

import numpy as np
import numpy.typing as npt

from numcnn.errors import ShapeError
from numcnn.kernels.arrays import AnyArray, Floats, Ints, as_array
from numcnn.kernels.protocol import Kernels
from numcnn.nn.checks import real_number


def softmax(logits: Floats) -> Floats:
    """Turn logits (N,C) into probabilities (N,C): exp(logits) / sum(exp(logits)), without overflow."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def checked_labels(where: str, labels: npt.ArrayLike, n: int, classes: int, outliers: bool = False) -> Ints:
    """Return labels as an array (n,) of integers from 0 to classes - 1, or to classes with outliers, else ShapeError.

    where: the first words of the error.
    """
    labels = as_array(f"{where}: labels", labels)
    largest = classes if outliers else classes - 1
    in_range = labels.dtype.kind in "ui" and (labels.size == 0 or 0 <= labels.min() <= labels.max() <= largest)
    if labels.shape != (n,) or not in_range:
        raise ShapeError(f"{where}: labels are {_describe(labels)}; wants shape ({n},), integers from 0 to {largest}")
    return labels


class SoftmaxCrossEntropy:
    """Softmax and cross-entropy in one, with label smoothing s: the target is (1-s) on the label plus s/C everywhere.

    Combined, the gradient with respect to the logits is simply softmax - target, and no logit overflows.
    """

    def __init__(self, kernels: Kernels, smoothing: float = 0.0, outliers: bool = False) -> None:
        """outliers: also accept the label C, for a picture of none of the classes; its target is 1/C everywhere.

        This teaches a network to be unsure about non-digits (Hendrycks, Mazeika & Dietterich 2019).
        """
        wants = "a number from 0 up to, not including, 1"
        self.kernels = kernels
        self.smoothing = real_number("label smoothing", smoothing, 0, 1, wants, least_too=True)
        self.outliers = bool(outliers)
        self._make_buffers(np.empty((0, 0), np.float32))
        self._n = self._of = 0

    def replica(self) -> "SoftmaxCrossEntropy":
        """Return a loss with the same settings and its own buffers."""
        return type(self)(self.kernels, self.smoothing, self.outliers)

    def forward(self, logits: Floats, labels: npt.ArrayLike, of: int | None = None) -> float:
        """Return the mean loss of logits (N,C) against integer labels (N,) in 0..C-1, or C for an outlier.

        of: number of images in the whole batch, if these are only a shard; the sum of their losses is divided by it.
        Raises ShapeError.
        """
        N, C = logits.shape
        labels = checked_labels("loss", labels, N, C, self.outliers)
        kept = self._log_probs
        if len(kept) < N or kept.shape[1] != C or kept.dtype != logits.dtype:
            self._make_buffers(logits)
        self._n, self._of = N, of or N
        self._labels[:N] = labels
        losses = self._losses[:N]
        self.kernels.softmax_cross_entropy_forward(
            logits, self._labels[:N], self.smoothing, self._log_probs[:N], losses
        )
        return float(losses.sum(dtype=np.float64) / self._of)

    def _make_buffers(self, logits: Floats) -> None:
        """Make the buffers that logits (N,C), or fewer rows of such, need."""
        self._log_probs, self._dlogits = np.empty_like(logits), np.empty_like(logits)
        self._losses, self._labels = np.empty(len(logits), logits.dtype), np.empty(len(logits), np.intp)

    def backward(self) -> Floats:
        """Return dlogits (N,C), the gradient of the mean loss of the last forward."""
        dlogits, labels = self._dlogits[: self._n], self._labels[: self._n]
        self.kernels.softmax_cross_entropy_backward(self.log_probs, labels, self._of, self.smoothing, dlogits)
        return dlogits

    @property
    def log_probs(self) -> Floats:
        """The log-probabilities (N,C) of the last forward."""
        return self._log_probs[: self._n]


def _describe(labels: AnyArray) -> str:
    values = f" from {labels.min()} to {labels.max()}" if labels.size and labels.dtype.kind in "uif" else ""
    return f"shape {labels.shape}, {labels.dtype}{values}"
