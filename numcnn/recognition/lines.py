"""Which strokes stand on one line, by their positions: "01234" above "56789" is two lines of five digits.

Strokes beside each other are on one line, strokes one above the other with paper between them are not.  The nearest
neighbours are put on one line first; a pair that would bring strokes from above each other together is passed over.
So a line may slant, be short or begin anywhere, and a tall stroke may reach into the next one.  Bars and dots tell
nothing of lines: each goes to the ink that it is nearest to.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numcnn.kernels.arrays import Bools, Float64s, Ints

# In heights of the tallest stroke of all.
DOT, BAR = 0.15, 0.4  # a lower stroke is a dot; lower than this, and flat, it is a bar
PAPER, CLEAR = 0.06, 0.16  # between two strokes of which one is above the other; somewhere between lines, as much
ASIDE = 0.25  # a stroke stands above another that is no further to its left or right
WHOLE = 1.2  # strokes that reach no further together may be one digit, as the two arcs of a 3
TOUCHING, OVER = 0.06, 0.1  # strokes that are nearer, and share this height, are on one line, as the two of a 4

FLAT = 0.6  # heights in widths of a bar, at most
BESIDE = 0.5  # of the lower stroke's height: two strokes share it if they stand beside each other
NEIGHBOURS = 3  # of a stroke to its right, the nearest, which may be on its line


def split(boxes: Float64s, distances: Float64s, height: float) -> list[Ints]:
    """Return the indices of each line's strokes, from top to bottom.

    boxes (n,4): left, top, right, bottom; distances (n,n) between the strokes' ink; height of the tallest.
    """
    wide, high = (boxes[:, 2:] - boxes[:, :2]).T
    marks = (high < DOT * height) | ((high < BAR * height) & (high < FLAT * wide))
    body = np.flatnonzero(~marks)
    pairs = _pairs(boxes[body], distances[np.ix_(body, body)])
    if not _stacked(pairs, height, CLEAR).any():
        return [np.arange(len(boxes))]
    stacked = _stacked(pairs, height, PAPER)
    line_of = np.empty(len(boxes), int)
    line_of[body] = _lines(boxes[body], pairs, stacked, height)
    if marks.any():
        line_of[marks] = line_of[body][distances[np.ix_(marks, body)].argmin(axis=1)]
    lines = [np.flatnonzero(line_of == line) for line in np.unique(line_of)]
    return _from_top_to_bottom(lines, boxes)


class _Pairs(NamedTuple):
    """How each two strokes lie to each other, (n,n) each."""

    overlap: Float64s  # in x; negative: the gap
    beside: Float64s  # the same in y
    together: Float64s  # height of both
    distances: Float64s  # between their ink


def _pairs(boxes: Float64s, distances: Float64s) -> _Pairs:
    low, high = np.minimum(boxes[:, None], boxes), np.maximum(boxes[:, None], boxes)
    overlap, beside = np.moveaxis(low[..., 2:] - high[..., :2], 2, 0)
    return _Pairs(overlap, beside, high[..., 3] - low[..., 1], distances)


def _stacked(pairs: _Pairs, height: float, paper: float) -> Bools:
    """Say for each two strokes whether one stands above the other, with so much paper between them -> (n,n)."""
    apart = (pairs.beside < -paper * height) & (pairs.distances > paper * height)
    return apart & (pairs.overlap > -ASIDE * height) & (pairs.together > WHOLE * height)


def _lines(boxes: Float64s, pairs: _Pairs, stacked: Bools, height: float) -> Ints:
    """Return the number of each stroke's line (n,), in no order."""
    line_of = np.arange(len(boxes))
    for i, j in _neighbours(boxes, pairs, height):
        one, other = line_of == line_of[i], line_of == line_of[j]
        if line_of[i] != line_of[j] and not stacked[one][:, other].any():
            line_of[other] = line_of[i]
    return line_of


def _neighbours(boxes: Float64s, pairs: _Pairs, height: float) -> list[tuple[int, int]]:
    """Return which strokes may be on one line: neighbours side by side, the nearest first, then those that touch."""
    high, middle = boxes[:, 3] - boxes[:, 1], boxes[:, 0] + boxes[:, 2]
    side_by_side = pairs.beside >= BESIDE * np.minimum(high[:, None], high)
    gaps = np.where(side_by_side & (middle >= middle[:, None]), -pairs.overlap, np.inf)
    np.fill_diagonal(gaps, np.inf)
    near = np.argsort(gaps, axis=1, kind="stable")[:, :NEIGHBOURS]
    beside = np.stack([np.repeat(np.arange(len(boxes)), near.shape[1]), near.ravel()], axis=1)
    far = gaps[*beside.T]
    beside = beside[np.argsort(far, kind="stable")[: np.isfinite(far).sum()]]
    touching = np.argwhere(np.triu((pairs.distances < TOUCHING * height) & (pairs.beside > OVER * height), 1))
    return [(i, j) for i, j in np.concatenate([beside, touching]).tolist()]


def _from_top_to_bottom(lines: Sequence[Ints], boxes: Float64s) -> list[Ints]:
    """Sort lines: of two, the one is above whose ink is above where they are nearest to each other in x."""
    x, y = (boxes[:, :2] + boxes[:, 2:]).T / 2
    ordered: list[Ints] = []
    for line in sorted(lines, key=lambda line: y[line].mean()):
        place = len(ordered)
        while place > 0 and _is_above(line, ordered[place - 1], x, y):
            place -= 1
        ordered.insert(place, line)
    return ordered


def _is_above(one: Ints, other: Ints, x: Float64s, y: Float64s) -> bool:
    apart = np.abs(x[one][:, None] - x[other])
    i, j = np.unravel_index(apart.argmin(), apart.shape)
    return bool(y[one[i]] < y[other[j]])
