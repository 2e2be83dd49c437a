"""What a network makes of what people draw: strangers' digits, rows of digits, and things that are no digit.

Digits go stroke by stroke through the pad's own canvas.
"""

import numpy as np

from numcnn import metrics
from numcnn.calibration import refused
from numcnn.data import nondigits
from numcnn.data.rows import make_row
from numcnn.pad.canvas import Canvas

SHEET = 500
MOST_IN_A_ROW = 6
LATE = 0.1  # share of barred digits whose bar is drawn after the next digit


def drawn(strokes):
    """Draw strokes, (n,2) each, one by one on a canvas -> the canvas."""
    canvas = Canvas(SHEET, SHEET)
    for points in strokes:
        canvas.stroke(points)
    return canvas


def prepared(people):
    """Draw each pen digit (``pendigits.PenDigits``) on a canvas of its own -> what the network sees, (N,28,28)."""
    return np.stack([drawn(strokes).prepared() for strokes in people.strokes])


def rows(network, people, count=300, seed=0):
    """Read ``count`` rows of 2 to 6 digits, each in one person's hand -> (digits right, digits).

    A digit is right when just its strokes were taken for one digit, and that was read as what it is.
    """
    rng, right, total = np.random.default_rng([seed, 6]), 0, 0
    for _ in range(count):
        own = np.flatnonzero(people.writers == rng.choice(people.writers))
        chosen = rng.choice(own, min(len(own), rng.integers(2, MOST_IN_A_ROW + 1)), replace=False)
        digits = [(people.strokes[i], int(people.labels[i])) for i in chosen]
        strokes, labels, owners = make_row(digits, rng, LATE)
        canvas = drawn(strokes)
        read = dict(zip(map(frozenset, canvas.groups()), network.predict(np.stack(canvas.digits())), strict=True))
        for k, label in enumerate(labels):
            right += read.get(frozenset(np.flatnonzero(np.array(owners) == k).tolist())) == label
        total += len(labels)
    return right, total


def refusals(network, digits, count=5000, seed=7):
    """Return how many per kind are answered with "not sure", as shares (0..1): dict of digits and no digits.

    digits (N,28,28) uint8.  "known kinds" of what is no digit are those that the pad learns from, drawn anew; "other
    kinds" have nothing in common with them.  The threshold is the network's own, ``info["refuse_below"]``.
    """
    threshold = network.info.get("refuse_below", 0.0)
    pictures = {
        "digits": digits,
        "known kinds": nondigits.generate(count, seed),
        "other kinds": nondigits.generate(count, seed, held_out=True),
    }
    sure = {name: network.predict_proba(some).max(axis=1) for name, some in pictures.items()}
    return {name: refused(confidence, threshold) for name, confidence in sure.items()}


def measure(network, people, seed=0):
    """Measure all of it for these people's pen digits -> a dict that JSON can hold, accuracies with their intervals."""
    pictures = prepared(people)
    alone = network.evaluate(pictures, people.labels)
    right, total = rows(network, people, seed=seed)
    return {
        "people": len(np.unique(people.writers)),
        "alone": {"accuracy": alone.accuracy, "interval": list(alone.interval), "n": alone.n},
        "in_rows": {"accuracy": right / total, "interval": list(metrics.accuracy_interval(right, total)), "n": total},
        "refused": refusals(network, pictures),
        "refuse_below": network.info.get("refuse_below", 0.0),
    }
