"""Calibration: that a network which says "90%" is right nine times in ten."""

import numpy as np

from numcnn.errors import DataError

LEAST, MOST = 0.05, 20.0  # temperature
HALVINGS = 60


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
