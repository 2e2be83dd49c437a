"""Calibration: a temperature makes probabilities match accuracies, a threshold says when the answer is "not sure"."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, DataError
from numcnn.kernels.arrays import Bools, Float64s

LOWEST, HIGHEST = 0.05, 20.0  # temperature
BISECTIONS = 60
REFUSED = 0.008  # of the digits that set the threshold; other people's digits are less certain: 1% of them is the goal


# Shares of the digits that are answered, the most certain first: where the risk is looked at.
SHARES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.992, 0.994, 0.996,
          0.998, 1.0)  # fmt: skip
CONFIDENCE = 0.95  # of the one-sided bound


class Risk(NamedTuple):
    """What a threshold does: of ``n`` digits, ``answered`` reach this probability; ``wrong`` of these are misread."""

    threshold: float
    n: int
    answered: int
    wrong: int

    @property
    def bound(self) -> float:
        """The upper 95% bound of the share of wrong answers, 0..1."""
        return wrong_at_most(self.wrong, self.answered)


def risks(confidence: npt.ArrayLike, right: Bools) -> list[Risk]:
    """Return a ``Risk`` for each of ``SHARES``.  confidence (N,): probabilities of the answers; right (N,): which are.

    Raises DataError for no answers or values outside 0..1.
    """
    values = _checked_confidence(confidence)
    ordered, n = np.sort(values)[::-1], len(values)
    thresholds = dict.fromkeys(float(ordered[max(1, math.ceil(share * n)) - 1]) for share in SHARES)
    found: list[Risk] = []
    for threshold in thresholds:
        answered = values >= threshold
        found.append(Risk(threshold, n, int(answered.sum()), int((answered & ~right).sum())))
    return found


def wrong_at_most(wrong: int, answered: int) -> float:
    """Return the share of wrong answers, 0..1, that is exceeded with a probability of 5% at most.

    The one-sided bound of Clopper and Pearson (1934): the p at which ``wrong`` or fewer of ``answered`` have a
    probability of 5%, by bisection.
    """
    if wrong >= answered:
        return 1.0

    def chance(p: float) -> float:
        logs = (
            math.lgamma(answered + 1) - math.lgamma(k + 1) - math.lgamma(answered - k + 1)
            + k * math.log(p) + (answered - k) * math.log1p(-p)
            for k in range(wrong + 1)
        )  # fmt: skip
        return sum(map(math.exp, logs))

    low, high = wrong / answered, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > 1 - CONFIDENCE else (low, middle)
    return high


def threshold_for(rows: Iterable[Risk], at_most: float) -> Risk | None:
    """Return the row that answers most digits with at most this share of wrong answers (0..1); None if none does.

    The rows are tested from the strictest on, each by its bound, up to the first that fails.  So the chance that the
    true share of the row returned is larger is 5% in all, though many are looked at (fixed-sequence testing).
    """
    chosen = None
    for row in sorted(rows, key=lambda row: -row.threshold):
        if row.bound > at_most:
            break
        chosen = row
    return chosen


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
