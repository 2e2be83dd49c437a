"""Calibration: a temperature makes probabilities match accuracies, a threshold says when the answer is "not sure".

The threshold is one of ``certainty``: the probability of the answer at a higher temperature.  A non-digit often has one
digit that is likelier than the others by far, and none that is likely by itself; the higher temperature counts that.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, DataError
from numcnn.kernels.arrays import AnyArray, Bools, Float64s

LOWEST, HIGHEST = 0.05, 20.0  # temperature
BISECTIONS = 60
REFUSED = 0.008  # share of the digits that set the threshold which may be refused
CERTAINTY = 3.0  # temperature of ``certainty``; chosen on validation data: 2 to 4 do about as well

# Shares of the digits that are answered, the most certain first: where the risk is looked at.
COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.992, 0.994, 0.996,
             0.998, 1.0)  # fmt: skip
CONFIDENCE = 0.95  # of the one-sided bound


class Risk(NamedTuple):
    """What a threshold does: of ``n`` digits, ``answered`` reach this probability; ``wrong`` of these are misread.

    bound: the share of wrong answers, 0..1, that the true one exceeds with a probability of 5% at most.
    """

    threshold: float
    n: int
    answered: int
    wrong: int
    bound: float


def certainty(probabilities: npt.ArrayLike, temperature: float = CERTAINTY) -> Float64s:
    """Return how certain each answer is, (N,), 0..1: the largest probability (N,C) once a temperature flattens them.

    It is the largest of softmax(logits / temperature) where the probabilities are softmax(logits), after Liang, Li and
    Srikant (2018).  With temperature 1 it is the largest probability itself.
    """
    flat = np.asarray(probabilities, np.float64) ** (1 / temperature)
    return flat.max(axis=-1) / flat.sum(axis=-1)


class Threshold(NamedTuple):
    """When an answer is sure: from this certainty on, and from this probability on, both 0..1.

    temperature: that of ``certainty``, which tells digits from other things; the probability tells right from wrong.
    """

    certainty: float = 0.0
    temperature: float = CERTAINTY
    probability: float = 0.0

    def sure(self, probabilities: npt.ArrayLike) -> Bools:
        """Return which answers are sure, (N,): the one place that compares.  probabilities (N,C)."""
        found = np.asarray(probabilities, np.float64)
        return (certainty(found, self.temperature) >= self.certainty) & (found.max(axis=-1) >= self.probability)

    @property
    def refuses(self) -> bool:
        """Whether any answer can be not sure."""
        return self.certainty > 0 or self.probability > 0

    def __str__(self) -> str:
        """Return in words what an answer that is not sure lacks."""
        wanted = {"certainty": self.certainty, "probability": self.probability}
        return " or ".join(f"{name} below {exact_percent(least)}" for name, least in wanted.items() if least)


def risks(confidence: npt.ArrayLike, right: npt.ArrayLike, people: npt.ArrayLike | None = None) -> list[Risk]:
    """Return a ``Risk`` for each of ``COVERAGES``.  confidence (N,): probabilities of the answers; right (N,) bool.

    people (N,): who wrote each digit.  One person's mistakes resemble each other, so ten from one say less than one
    from each of ten: the bounds count fewer digits then, by the design effect (Kish 1965).
    Raises DataError for no answers, other lengths, or values outside 0..1.
    """
    values, right = _checked_confidence(confidence), np.asarray(right)
    if right.shape != values.shape or right.dtype != bool:
        raise DataError(f"risks: got {right.dtype} {right.shape} for {len(values)} answers; wants bool, one for each")
    effect = 1.0 if people is None else design_effect(~right, np.asarray(people))
    ordered, n = np.sort(values)[::-1], len(values)
    thresholds = dict.fromkeys(float(ordered[max(1, math.ceil(share * n)) - 1]) for share in COVERAGES)
    found: list[Risk] = []
    for threshold in thresholds:
        sure = values >= threshold
        answered, wrong = int(sure.sum()), int((sure & ~right).sum())
        bound = wrong_at_most(math.ceil(wrong / effect), max(1, math.floor(answered / effect)))
        found.append(Risk(threshold, n, answered, wrong, bound))
    return found


def design_effect(wrong: Bools, people: AnyArray) -> float:
    """Return by how much mistakes that gather in some people widen the error of their share; 1 if they don't.

    wrong, people (N,): which digits were misread, and who wrote them.  It is the variance of the share, estimated from
    the people's own (as a ratio, Cochran 1977), over that of independent digits.
    """
    who, index = np.unique(people, return_inverse=True)
    share, n, m = float(wrong.mean()), len(wrong), len(who)
    if m < 2 or share in (0.0, 1.0):
        return 1.0
    errors, digits = np.bincount(index, wrong, m), np.bincount(index, minlength=m)
    variance = m / (m - 1) * float(((errors - share * digits) ** 2).sum()) / n**2
    return max(1.0, variance / (share * (1 - share) / n))


def wrong_at_most(wrong: int, answered: int) -> float:
    """Return the share of wrong answers, 0..1, that is exceeded with a probability of 5% at most.

    The one-sided bound of Clopper and Pearson (1934): the p at which ``wrong`` or fewer of ``answered`` have a
    probability of 5%, by bisection.
    """
    if wrong >= answered:
        return 1.0

    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, answered + 1)))])
    k = np.arange(wrong + 1)
    log_ways = log_factorials[answered] - log_factorials[k] - log_factorials[answered - k]  # to be wrong k times

    def chance(p: float) -> float:
        return float(np.exp(log_ways + k * math.log(p) + (answered - k) * math.log1p(-p)).sum())

    low, high = wrong / answered, 1.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) > 1 - CONFIDENCE else (low, middle)
    return high


def threshold_for(rows: Iterable[Risk], at_most: float) -> Risk | None:
    """Return the row that answers most digits with at most this share of wrong answers (0..1); None if none does.

    The rows are tested from the strictest on, each by its bound, up to the first that fails.  So the chance that the
    true share of the row returned is larger is 5% in all, though many are looked at (fixed-sequence testing).  That
    holds for digits like those measured: other people writing in the same way, with the same kind of pen.
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

    confidence (N,): the ``certainty`` of the answers to digits that were not trained on.
    Raises DataError for none or values outside 0..1, and ConfigError for a share outside 0..1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"the share of digits that may be refused is {share}; wants 0 or more, and below 1")
    ordered = np.sort(_checked_confidence(confidence))
    return float(ordered[int(share * len(ordered))])


def _checked_confidence(confidence: npt.ArrayLike) -> Float64s:
    values = np.asarray(confidence, np.float64)
    if values.ndim != 1 or len(values) == 0 or not ((values >= 0) & (values <= 1 + 1e-6)).all():
        seen = f", from {values.min()} to {values.max()}" if values.size else ""
        raise DataError(f"confidence: got shape {values.shape}{seen}; wants (N,), one answer or more, each from 0 to 1")
    return values


def exact_percent(share: float) -> str:
    """Format a share near 100% with as many digits as tell it from 100%: 93.1%, 99.97%."""
    for digits in (1, 2, 3, 4):
        text = f"{share:.{digits}%}"
        if share >= 1 or not text.startswith("100"):
            return text
    return ">99.9999%"
