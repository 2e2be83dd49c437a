"""Whose hand writes a page: people of UCI's pen digits, or generated digits; and how they put digits side by side.

Everything is in heights of a digit: a digit is about 1 high, its foot stands at y = 0, y runs downwards.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from numcnn.data import generated
from numcnn.data.pendigits import PenDigits
from numcnn.errors import DataError
from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Float64s

Rng = np.random.Generator

SIZE, BASELINE, DRIFT = 0.08, 0.04, 0.012  # standard deviations: a height's logarithm, a foot's place, a line's slope
FLATTEST = 1.5  # a digit wider than this many heights is scaled by its width
LEAST_GAP, GAP_SHAPE, GAP_SCALE = 0.1, 4, 0.05  # of the ink of neighbours: the least, and a gamma distribution on top
WIDE_GAP, WIDE_GAPS = 0.5, 0.06  # what a wide gap has more, and how many are wide
NESTED, NESTED_TOUCHING = 0.15, 0.35  # how far the boxes of neighbours may overlap, apart and when they touch
DENSE = 0.04  # between the points of a stroke, where distances are measured


class Hand(Protocol):
    """Somebody who writes."""

    def write(self, labels: Sequence[int], rng: Rng) -> list[Strokes]:
        """Write digits -> each one's strokes, (n,2) with y downwards, in any unit."""
        ...


class People:
    """The people of UCI's pen digits.  Each time one of them, drawn at random, writes all labels."""

    def __init__(self, digits: PenDigits) -> None:
        """Take the digits of the writers that may write.  Raises DataError unless they have all ten labels."""
        missing = sorted(set(range(10)) - set(digits.labels.tolist()))
        if missing:
            raise DataError(f"the pen digits lack {', '.join(map(str, missing))}; take more writers")
        self.digits = digits

    def write(self, labels: Sequence[int], rng: Rng) -> list[Strokes]:
        """See ``Hand``.  Somebody else writes a label that this writer has no digit of."""
        writer = rng.choice(np.unique(self.digits.writers))
        written: list[Strokes] = []
        for label in labels:
            same = self.digits.labels == label
            own = np.flatnonzero(same & (self.digits.writers == writer))
            chosen = rng.choice(own if len(own) else np.flatnonzero(same))
            written.append(smoothed(self.digits.strokes[chosen]))
        return written


class Generated:
    """Digits written by program, each in another hand."""

    def write(self, labels: Sequence[int], rng: Rng) -> list[Strokes]:
        """See ``Hand``.  Nothing lies flat, as a 1 of MNIST's may: in a row nobody would take it for a digit."""
        written: list[Strokes] = []
        for label in labels:
            strokes = generated.digit_strokes(label, rng)
            while _is_flat(strokes):
                strokes = generated.digit_strokes(label, rng)
            written.append(strokes)
        return written


def _is_flat(strokes: Strokes) -> bool:
    width, height = np.ptp(np.concatenate(strokes), axis=0)
    return bool(width > FLATTEST * height)


def smoothed(strokes: Strokes) -> list[Float64s]:
    """Round off the corners that a tablet leaves in quick strokes, of which it reports ten points a second."""
    smooth = [np.asarray(stroke, np.float64) for stroke in strokes]
    return [generated.curve(own[None], np.ones((1, len(own))))[0] if len(own) > 2 else own for own in smooth]


def standing(strokes: Strokes, rng: Rng) -> list[Float64s]:
    """Scale a digit to a height of about 1, with its left end at x = 0 and its foot at y = 0."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = high - low
    scale = np.exp(rng.normal(0, SIZE)) / (max(height, width / FLATTEST) or 1)
    return [(np.asarray(stroke) - (low[0], high[1])) * scale for stroke in strokes]


def side_by_side(digits: Sequence[Strokes], pen: float, rng: Rng, touching: float = 0.0) -> list[list[Float64s]]:
    """Put digits on a line, the first at x = 0, with gaps as people leave them.

    pen: the width of the strokes, in heights.  touching: the fraction, 0..1, of neighbours whose ink runs together.
    """
    slope = rng.normal(0, DRIFT)
    placed: list[list[Float64s]] = []
    for digit in digits:
        own = standing(digit, rng)
        x = _beside(placed[-1], own, pen, rng, touching) if placed else 0.0
        shift = np.array([x, slope * x + rng.normal(0, BASELINE)])
        placed.append([stroke + shift for stroke in own])
    return placed


def _beside(left: Strokes, right: Strokes, pen: float, rng: Rng, touching: float) -> float:
    """Return how far to move ``right``, which begins at x = 0, so that it stands beside ``left``."""
    touch, closeness, gap, wide = rng.random(), rng.uniform(0.3, 0.9), rng.gamma(GAP_SHAPE, GAP_SCALE), rng.random()
    if touch < touching:
        distance, nested = closeness * pen, NESTED_TOUCHING
    else:
        distance, nested = pen + LEAST_GAP + gap + WIDE_GAP * (wide < WIDE_GAPS), NESTED
    ours, theirs = dense(left), dense(right)
    above = ours[:, None, 1] - theirs[None, :, 1]
    near = np.abs(above) < distance
    needed = ours[:, None, 0] - theirs[None, :, 0] + np.sqrt(np.maximum(distance**2 - above**2, 0))
    end = float(ours[:, 0].max())
    return max(float(needed[near].max()) if near.any() else end + distance, end - nested)


def dense(strokes: Strokes, step: float = DENSE) -> Float64s:
    """Return points along strokes (n,2), at most ``step`` apart -> (m,2)."""
    points = []
    for stroke in map(np.asarray, strokes):
        lengths = np.hypot(*np.diff(stroke, axis=0).T) if len(stroke) > 1 else np.zeros(0)
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        places = np.linspace(0, along[-1], 1 + int(np.ceil(along[-1] / step)))
        points.append(np.column_stack([np.interp(places, along, stroke[:, axis]) for axis in (0, 1)]))
    return np.concatenate(points)
