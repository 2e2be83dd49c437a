"""Which strokes make a digit, by their positions and by what they are read as: the pad reads "2026" as four digits.

The two shapes that most probably belong together are joined, then the next two, until no pair is more likely one digit
than two.  Where the positions leave doubt, a network is asked too, by the arbiter that also joins and cuts the ink of
pictures.  The order of writing doesn't matter, so a bar added later finds its digit.  All lengths are relative to the
height of a digit, so size and place don't matter either.  Strokes on different lines are
told apart before that, by ``lines``.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from numcnn.imaging.raster import TINY
from numcnn.kernels.arrays import Float64s, Floats, Ints
from numcnn.recognition import lines
from numcnn.recognition.arbiter import worth

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom
Read: TypeAlias = Callable[[Sequence[tuple[int, ...]]], Floats]  # N digits' strokes -> the probabilities (N,10)

STEP = 0.04  # heights: spacing of the points between which distances are measured
MOST_POINTS = 1000  # of all strokes together; more ink is measured with wider spacing
MOST_STROKES = 200  # more are not a row of digits, and would take long
STEM = 0.2  # heights: an overlap this wide is complete, however narrow a stroke is; no ink counts as lower
LEAST_HEIGHT = 0.75  # of the highest stroke: two shapes together count as at least this high

# Weights of the rows of `_evidence`; positive speaks for one digit.  Found by logistic regression on pairs of strokes
# in rows of UCI's pen digits, by half of its writers, with slashes, bars, flags and feet added as other people write
# them, and in rows of generated digits; then rounded.
WEIGHTS = np.array([5.5, 12, -1, 2.5, -6, -1, -7])

# The sum is the logarithm of the odds that two shapes are one digit.  In between these it is added what the network
# finds one digit worth more than two, and BIAS; all three chosen on rows and lines of the pen digits' other writers.
DOUBT = (-2.0, 3.0)
BIAS = -0.5
MOST_ASKED = 30  # strokes of a line; more are no row of digits, and their positions alone decide
MOST_DOUBTFUL = 3  # neighbours of a shape that may be asked about; more are a scribble, and would take long


def group(strokes: Sequence[npt.ArrayLike], read: Read | None = None) -> list[tuple[int, ...]]:
    """Return a tuple of stroke indices for each digit, in the order of reading.  See ``group_lines``."""
    return [digit for line in group_lines(strokes, read) for digit in line]


def group_lines(strokes: Sequence[npt.ArrayLike], read: Read | None = None) -> list[list[tuple[int, ...]]]:
    """Return for each line, from top to bottom, a tuple of stroke indices for each digit, from left to right.

    strokes: list of (n,2).  Strokes without points belong to no digit.  More than 200 strokes are one digit.
    read: what a network reads in some of the strokes together; without it, their positions alone decide.
    """
    points = [np.asarray(stroke, np.float64) for stroke in strokes]
    indices = [i for i, stroke in enumerate(points) if len(stroke)]
    if not indices or len(indices) > MOST_STROKES:
        return [[tuple(indices)]] if indices else []
    points = [points[i] for i in indices]
    boxes = np.array([box([stroke]) for stroke in points])
    distances = _distances(points, STEP * _height(boxes))
    found: list[list[tuple[int, ...]]] = []
    for line in lines.split(boxes, distances, _height(boxes)):
        own = boxes[line]
        asked = read if len(line) <= MOST_ASKED else None
        shapes = _Shapes(own, distances[np.ix_(line, line)], asked, [indices[i] for i in line])
        groups, joined = shapes.join()
        order = np.argsort([joined[g[0], 0] + joined[g[0], 2] for g in groups], kind="stable")
        found.append([tuple(sorted(indices[line[i]] for i in groups[k])) for k in order])
    return found


def _height(boxes: Float64s) -> float:
    """Return the height of the tallest stroke; horizontal bars alone have no height.  boxes (n,4)."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).max(axis=0)
    return max(height, width / 2, TINY)


def box(strokes: Sequence[npt.ArrayLike]) -> Box:
    """Return the bounding box of the points of strokes, a list of (n,2)."""
    points = np.concatenate([np.asarray(stroke, np.float64) for stroke in strokes])
    left, top = points.min(axis=0).tolist()
    right, bottom = points.max(axis=0).tolist()
    return left, top, right, bottom


class _Shapes:
    """Strokes of a line that are joined to shapes.  A shape is in the row of its first stroke."""

    def __init__(self, boxes: Float64s, distances: Float64s, read: Read | None, names: Sequence[int]) -> None:
        """Take the strokes' boxes (n,4), the distances (n,n) between their ink, and what ``read`` calls them (n,)."""
        self._boxes, self._distances = boxes.copy(), distances.copy()
        self._groups = [[i] for i in range(len(boxes))]
        self._least_height = LEAST_HEIGHT * _height(boxes)
        self._read, self._names = read, names

    def join(self) -> tuple[list[list[int]], Float64s]:
        """Join shapes as long as two are more likely one digit than two -> groups of strokes, boxes (n,4)."""
        n, groups, boxes, distances = len(self._boxes), self._groups, self._boxes, self._distances
        scores = np.full((n, n), -np.inf)  # only above the diagonal
        for i in range(n - 1):
            scores[i, i + 1 :] = self._scores(i, np.arange(i + 1, n))
        while True:
            i, j = map(int, np.unravel_index(scores.argmax(), scores.shape))
            if scores[i, j] <= 0:
                break
            groups[i] += groups[j]
            groups[j] = []
            boxes[i] = _hull(boxes[i], boxes[j])
            distances[i] = distances[:, i] = np.minimum(distances[i], distances[j])
            scores[[i, j]] = scores[:, [i, j]] = -np.inf
            others = np.array([k for k in range(n) if groups[k] and k != i], int)
            scores[np.minimum(others, i), np.maximum(others, i)] = self._scores(i, others)
        return [g for g in groups if g], boxes

    def _scores(self, i: int, others: Ints) -> Float64s:
        """Return by how much shape ``i`` is more likely one digit with each of ``others`` (m,) than two -> (m,)."""
        scores = WEIGHTS @ _evidence(
            self._boxes[i], self._boxes[others], self._distances[i, others], self._least_height
        )
        doubtful = np.flatnonzero((scores > DOUBT[0]) & (scores < DOUBT[1]))
        if self._read is not None and 0 < len(doubtful) <= MOST_DOUBTFUL:
            scores[doubtful] += BIAS + self._gains(i, others[doubtful].tolist())
        return scores

    def _gains(self, i: int, others: Sequence[int]) -> Floats:
        """Return by how much it is worth more to read shape ``i`` as one digit with each of ``others`` than apart."""
        assert self._read is not None
        groups = [self._groups[j] for j in (i, *others)] + [self._groups[i] + self._groups[j] for j in others]
        boxes = [self._boxes[j] for j in (i, *others)] + [_hull(self._boxes[i], self._boxes[j]) for j in others]
        left, top, right, bottom = np.array(boxes).T
        widths = (right - left) / np.maximum(bottom - top, STEM * self._least_height)
        probabilities = self._read([tuple(sorted(self._names[k] for k in group)) for group in groups])
        worths = worth(probabilities, widths.astype(np.float32))
        return worths[len(others) + 1 :] - worths[0] - worths[1 : len(others) + 1]


def _hull(one: Float64s, other: Float64s) -> Float64s:
    """Return the box around two boxes (4,)."""
    return np.concatenate([np.minimum(one[:2], other[:2]), np.maximum(one[2:], other[2:])])


def _evidence(one: Float64s, others: Float64s, distances: Float64s, least_height: float) -> Float64s:
    """Measure the position of one shape relative to each of n others.  boxes (4,), (n,4), distances (n,) -> (7,n).

    The rows: 1; the horizontal overlap, -1 to 1, in widths of the narrower shape; then, in heights of both together but
    at least of ``least_height``: the distance between their ink; the height of the lower shape (a low bar belongs to
    another stroke); the width of the narrower; the width of both together; the height over which they stand side by
    side, negative when one is above the other.
    """
    low, high = np.minimum(one, others), np.maximum(one, others)
    narrower, lower = np.minimum(one[2:] - one[:2], others[:, 2:] - others[:, :2]).T
    width, height = (high[:, 2:] - low[:, :2]).T
    overlap, beside = (low[:, 2:] - high[:, :2]).T
    unit = np.maximum(height, least_height)
    overlap = np.clip(overlap / np.maximum(narrower, STEM * unit), -1, 1)
    lengths = np.stack([distances, lower, narrower, width, beside]) / unit
    return np.stack([np.ones(len(others)), overlap, *lengths])


def _distances(strokes: list[Float64s], step: float) -> Float64s:
    """Return the smallest distance between the ink of every two strokes, measured every ``step`` -> (n,n)."""
    lengths = [np.hypot(*np.diff(points, axis=0).T) for points in strokes]
    step = max(step, sum(each.sum() for each in lengths) / MOST_POINTS)
    sampled = [_resample(points, each, step) for points, each in zip(strokes, lengths, strict=True)]
    x, y = np.concatenate(sampled).T
    starts = np.cumsum([0, *(len(each) for each in sampled[:-1])])
    squares = np.empty((len(sampled), len(sampled)))
    for row, own in zip(squares, sampled, strict=True):
        to_all = (own[:, :1] - x) ** 2 + (own[:, 1:] - y) ** 2
        row[...] = np.minimum.reduceat(to_all.min(axis=0), starts)
    return np.sqrt(squares)


def _resample(points: Float64s, lengths: Float64s, step: float) -> Float64s:
    """Return evenly spaced points, at most ``step`` apart, along a stroke (n,2) with segment lengths (n-1,)."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    at = np.linspace(0, ends[-1], int(np.ceil(ends[-1] / step)) + 1)
    return np.stack([np.interp(at, ends, points[:, 0]), np.interp(at, ends, points[:, 1])], axis=1)
