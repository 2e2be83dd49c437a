"""Calibration: a temperature makes probabilities match accuracies, a threshold says when the answer is "not sure"."""

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, DataError
from numcnn.kernels.arrays import Float64s

LOWEST, HIGHEST = 0.05, 20.0  # temperature
BISECTIONS = 60
REFUSED = 0.008  # of the digits that set the threshold; other people's digits are less certain: 1% of them is the goal


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return the temperature T, 0.05 to 20, that calibrates softmax(logits / T).  logits (N,C), labels (N,).

    The images must not have been trained on.  T minimises their cross-entropy (Guo et al. 2017) and changes no answer.
    With b = 1 / T the mean loss log(sum(exp(b z))) - b z[label] is convex in b, and its slope, the mean of
    sum(p z) - z[label], rises: bisection finds its zero.  Raises DataError for no images or logits that are not finite.
    """
    z, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if len(z) == 0 or not np.isfinite(z).all():
        raise DataError(f"temperature: got logits {z.shape}; wants finite ones, of one image or more")
    of_label = z[np.arange(len(labels)), labels].mean()

    def slope(b: float) -> float:
        exponentials = np.exp(b * (z - z.max(axis=1, keepdims=True)))
        p = exponentials / exponentials.sum(axis=1, keepdims=True)
        return (p * z).sum(axis=1).mean() - of_label

    low, high = 1 / HIGHEST, 1 / LOWEST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(2 / (low + high))


def refusal_threshold(confidence: npt.ArrayLike, share: float = REFUSED) -> float:
    """Return the largest threshold that refuses at most ``share`` of real digits: less certain answers are refused.

    confidence (N,): the probability of the most likely class, for digits that were not trained on.
    Raises DataError for none or values outside 0..1, and ConfigError for a share outside 0..1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"the share of digits that may be refused is {share}; wants 0 or more, and below 1")
    ordered = np.sort(_checked_confidence(confidence))
    return float(ordered[int(share * len(ordered))])


def refused(confidence: npt.ArrayLike, threshold: float) -> float:
    """Return the share of answers, 0..1, whose confidence (N,) is below the threshold.  Raises DataError."""
    return float(np.mean(_checked_confidence(confidence) < threshold))


def _checked_confidence(confidence: npt.ArrayLike) -> Float64s:
    values = np.asarray(confidence, np.float64)
    if values.ndim != 1 or len(values) == 0 or not ((values >= 0) & (values <= 1 + 1e-6)).all():
        raise DataError(f"confidence: got shape {values.shape}; wants (N,), one answer or more, each from 0 to 1")
    return values
