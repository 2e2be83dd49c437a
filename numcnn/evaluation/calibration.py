"""Calibration: that a network which says "90%" is right nine times in ten, and when it should rather say nothing."""

import numpy as np

from numcnn.errors import ConfigError, DataError

LEAST, MOST = 0.05, 20.0  # temperature
HALVINGS = 60
REFUSED = 0.008  # of the digits that set the threshold: others are a little less sure, and of them it is to be 1%


def fit_temperature(logits, labels):
    """Return the temperature T by which logits (N,C) are to be divided, so that softmax says how sure one may be.

    It is the one under which the labels (N,), of images that were not trained on, are likeliest (Guo et al. 2017),
    from 0.05 to 20; no answer changes.  With b = 1 / T the mean loss log(sum(exp(b z))) - b z[label] is convex in b,
    and its slope, the mean of sum(p z) - z[label], rises: so the place where it is zero is found by halving.
    Raises DataError for no images, or logits that are not finite.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels)
    if len(logits) == 0 or not np.isfinite(logits).all():
        raise DataError(f"temperature: got logits {logits.shape}; wants finite ones, of one image or more")
    of_label = logits[np.arange(len(labels)), labels].mean()

    def slope(b):
        exponentials = np.exp(b * (logits - logits.max(axis=1, keepdims=True)))
        p = exponentials / exponentials.sum(axis=1, keepdims=True)
        return (p * logits).sum(axis=1).mean() - of_label

    low, high = 1 / MOST, 1 / LEAST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return float(2 / (low + high))


def refusal_threshold(confidence, share=REFUSED):
    """Return the largest probability under which at most ``share`` of real digits fall: what is less sure is refused.

    confidence (N,): the probability of the most likely class, for digits that were not trained on.
    Raises DataError for none, or values that are no probabilities, and ConfigError for a share outside 0..1.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"the share of digits that may be refused is {share}; wants 0 or more, and below 1")
    ordered = np.sort(_checked_confidence(confidence))
    return float(ordered[int(share * len(ordered))])


def refused(confidence, threshold):
    """Return the share of answers, 0..1, whose confidence (N,) lies below the threshold.  Raises DataError."""
    return float(np.mean(_checked_confidence(confidence) < threshold))


def _checked_confidence(confidence):
    confidence = np.asarray(confidence, np.float64)
    if confidence.ndim != 1 or len(confidence) == 0 or not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():
        raise DataError(f"confidence: got shape {confidence.shape}; wants (N,), one answer or more, each from 0 to 1")
    return confidence
