"""Which strokes stand on one line, by their positions: "01234" above "56789" is two lines of five digits.

Strokes beside each other are on one line, strokes one above the other with paper between them are not.  The nearest
neighbours are put on one line first; a pair that would bring strokes from above each other together is passed over.
So a line may slant, be short or begin anywhere, and a tall stroke may reach into the next one.  Bars and dots tell
nothing of lines: each goes to the ink that it is nearest to.
"""

from collections.abc import Sequence

import numpy as np

from numcnn.kernels.arrays import Bools, Float64s, Ints

# In heights of the tallest stroke of all.
DOT, BAR = 0.15, 0.4  # a lower stroke is a dot; lower than this, and flat, it is a bar
PAPER = 0.1  # between two strokes of which one stands above the other
WHOLE = 1.35  # strokes that reach no further together may be one digit, as the two arcs of a 3

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
    stacked = _stacked(boxes[body], distances[np.ix_(body, body)], height)
    if not stacked.any():
        return [np.arange(len(boxes))]
    line_of = np.empty(len(boxes), int)
    line_of[body] = _lines(boxes[body], stacked)
    if marks.any():
        line_of[marks] = line_of[body][distances[np.ix_(marks, body)].argmin(axis=1)]
    lines = [np.flatnonzero(line_of == line) for line in np.unique(line_of)]
    return _from_top_to_bottom(lines, boxes)


def _stacked(boxes: Float64s, distances: Float64s, height: float) -> Bools:
    """Say for each two strokes whether one stands above the other, with paper between them -> (n,n)."""
    overlap, beside, together = _overlaps(boxes)
    return (overlap > 0) & (beside < -PAPER * height) & (distances > PAPER * height) & (together > WHOLE * height)


def _overlaps(boxes: Float64s) -> tuple[Float64s, Float64s, Float64s]:
    """Return how far each two boxes overlap in x, and in y (negative: the gap), and the height of both together."""
    low, high = (choose(boxes[:, None], boxes) for choose in (np.minimum, np.maximum))
    overlap, beside = np.moveaxis(low[..., 2:] - high[..., :2], 2, 0)
    return overlap, beside, high[..., 3] - low[..., 1]


def _lines(boxes: Float64s, stacked: Bools) -> Ints:
    """Return the number of each stroke's line (n,), in no order."""
    overlap, beside, _ = _overlaps(boxes)
    high = boxes[:, 3] - boxes[:, 1]
    shared = beside / np.maximum(np.minimum(high[:, None], high), np.finfo(float).tiny)
    line_of = np.arange(len(boxes))
    for i, j in _pairs(boxes, overlap, shared >= BESIDE):
        one, other = line_of == line_of[i], line_of == line_of[j]
        if line_of[i] != line_of[j] and not stacked[np.ix_(one, other)].any():
            line_of[other] = line_of[i]
    return line_of


def _pairs(boxes: Float64s, overlap: Float64s, beside: Bools) -> list[tuple[int, int]]:
    """Return which strokes may be neighbours, the nearest first."""
    middle = boxes[:, 0] + boxes[:, 2]
    found: list[tuple[float, int, int]] = []
    for i, row in enumerate(beside & (middle >= middle[:, None])):
        right = np.flatnonzero(row)
        right = right[right != i]
        gaps = -overlap[i, right]
        found += [(gaps[k], i, int(right[k])) for k in np.argsort(gaps, kind="stable")[:NEIGHBOURS]]
    return [(i, j) for _, i, j in sorted(found)]


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
