"""What a network makes of what people draw: strangers' digits, rows of digits, and things that are no digit.

Digits go stroke by stroke through the pad's own canvas.
"""

import numpy as np

from numcnn.data import mixture, nondigits
from numcnn.data.rows import make_row
from numcnn.evaluation import metrics
from numcnn.evaluation.calibration import refused
from numcnn.imaging import misuse
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


def rows(network, people, count, seed=0):
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


def refusals(network, digits, count, seed=7):
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


def people_for(network):
    """Return the writers of UCI's pen digits, numbers, whom a network did not learn from, and what they are to it."""
    tested, validated = mixture.not_learnt_by(network)
    return (tested, "people it did not learn from") if tested else (validated, "people who only set its threshold")


def measure(network, people, images, labels, *, who="people", row_count=300, no_digits=5000, seed=0):
    """Measure all that the pad asks of a network -> a dict that JSON can hold, accuracies with their intervals.

    people: ``pendigits.PenDigits`` of persons that are to be called ``who``.  images (N,28,28) uint8, labels (N,):
    MNIST's, which are handed in with every slip.  row_count: rows to write; no_digits: things that are none, a sort.
    """
    pictures = prepared(people)
    alone = network.evaluate(pictures, people.labels)
    right, total = rows(network, people, row_count, seed)
    plain, lost = misuse.accuracy_drop(network, images, labels, seed)
    return {
        "people": len(np.unique(people.writers)),
        "who": who,
        "alone": {"accuracy": alone.accuracy, "interval": list(alone.interval), "n": alone.n},
        "in_rows": {"accuracy": right / total, "interval": list(metrics.accuracy_interval(right, total)), "n": total},
        "refuse_below": network.info.get("refuse_below", 0.0),
        "refused": refusals(network, pictures, no_digits),
        "handed_in": {"accuracy": plain, "n": len(labels), "points_lost": lost},
    }


def to_text(found):
    """Write what `measure` found as a table of at most 80 columns."""
    lines = [f"drawn with a pen by {found['people']} {found['who']}"]
    for name, key in (("digits alone", "alone"), ("digits in rows", "in_rows")):
        low, high = found[key]["interval"]
        interval = f"(95% interval {low:.2%} to {high:.2%}; {found[key]['n']:,} digits)"
        lines.append(f"{name:<25}{found[key]['accuracy']:>7.2%}  {interval}")
    lines += ["", f'answered with "not sure", for less than {metrics.percent(found["refuse_below"])} sure']
    lines += [f"{name:<25}{share:>7.2%}" for name, share in found["refused"].items()]
    handed_in = found["handed_in"]
    lines += ["", f"{handed_in['n']:,} pictures handed in as they are: {handed_in['accuracy']:.2%}; points lost if"]
    lines += [f"{name:<25}{points:>7.2f}" for name, points in handed_in["points_lost"].items()]
    return "\n".join(lines)
