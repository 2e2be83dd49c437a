"""Which strokes make a digit, by where they lie: so the pad reads "2026" as four digits.

Strokes are joined, the likeliest first, for as long as what speaks for it outweighs what speaks against.  Joined ones
are one shape from then on.  The order of writing doesn't matter, so a bar added later finds its digit.  All lengths are
in heights of a digit, so neither do size and place.
"""

import numpy as np

from numcnn.imaging.raster import TINY

STEP = 0.04  # heights: distances are taken between points so far apart
MOST_POINTS = 1000  # of all strokes together; more ink is measured in wider steps
MOST_STROKES = 200  # more are no row of digits, and would take long
STEM = 0.2  # heights: an overlap of so much is whole, however narrow a stroke is
LEAST = 0.75  # of the highest stroke: what two shapes are together counts as at least so high

# What each of `_evidence` weighs: positive speaks for one digit.  Found by logistic regression on pairs of strokes in
# rows of UCI's pen digits, by half of its writers, and of generated digits; then rounded.
WEIGHTS = np.array([7, 5, -30, 8, -4, -2.5, -14.5])


def group(strokes):
    """Return which strokes make a digit: a tuple of indices per digit, from left to right.  strokes: list of (n,2).

    Strokes without points belong to none.  More than 200 strokes are one.
    """
    indices = [i for i, points in enumerate(strokes) if len(points)]
    if not indices or len(indices) > MOST_STROKES:
        return [tuple(indices)] if indices else []
    strokes = [np.asarray(strokes[i], np.float64) for i in indices]
    boxes = np.array([box([points]) for points in strokes])
    width, height = (boxes[:, 2:] - boxes[:, :2]).max(axis=0)
    height = max(height, width / 2, TINY)  # bars alone have none
    groups, boxes = _join(boxes, _distances(strokes, STEP * height), LEAST * height)
    order = np.argsort([boxes[g[0], 0] + boxes[g[0], 2] for g in groups], kind="stable")
    return [tuple(sorted(indices[i] for i in groups[k])) for k in order]


def box(strokes):
    """Return the box (left, top, right, bottom) of the points of strokes, a list of (n,2)."""
    points = np.concatenate([np.asarray(points, np.float64) for points in strokes])
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def _join(boxes, distances, least):
    """Join strokes while it is likely that two shapes are one digit -> groups, and boxes of each one's first stroke.

    boxes (n,4), distances (n,n) and least, the least height of a digit.  Groups are lists of strokes.
    """
    n = len(boxes)
    boxes, distances = boxes.copy(), distances.copy()
    groups = [[i] for i in range(n)]
    scores = np.full((n, n), -np.inf)  # only above the diagonal
    for i in range(n - 1):
        scores[i, i + 1 :] = WEIGHTS @ _evidence(boxes[i], boxes[i + 1 :], distances[i, i + 1 :], least)
    while True:
        i, j = np.unravel_index(scores.argmax(), scores.shape)
        if scores[i, j] <= 0:
            break
        groups[i] += groups[j]
        groups[j] = []
        boxes[i] = (*np.minimum(boxes[i, :2], boxes[j, :2]), *np.maximum(boxes[i, 2:], boxes[j, 2:]))
        distances[i] = distances[:, i] = np.minimum(distances[i], distances[j])
        scores[[i, j]] = scores[:, [i, j]] = -np.inf
        others = np.array([k for k in range(n) if groups[k] and k != i], int)
        scores[np.minimum(others, i), np.maximum(others, i)] = WEIGHTS @ _evidence(
            boxes[i], boxes[others], distances[i, others], least
        )
    return [g for g in groups if g], boxes


def _evidence(one, others, distances, least):
    """Measure what tells whether one shape and each of others are one digit.  boxes (4,), (n,4) -> (7,n).

    The rows: always 1; how much they overlap from left to right, -1 to 1, in widths of the narrower; and in heights of
    both together, but at least of `least`: the distance between their ink; the height of the lower one (a bar belongs
    to something); the width of the narrower, and of both together; the height on which they stand side by side,
    negative when one is above the other.
    """
    low, high = np.minimum(one, others), np.maximum(one, others)
    narrower, lower = np.minimum(one[2:] - one[:2], others[:, 2:] - others[:, :2]).T
    width, height = (high[:, 2:] - low[:, :2]).T
    overlap, beside = (low[:, 2:] - high[:, :2]).T
    unit = np.maximum(height, least)
    overlap = np.clip(overlap / np.maximum(narrower, STEM * unit), -1, 1)
    lengths = np.stack([distances, lower, narrower, width, beside]) / unit
    return np.stack([np.ones(len(others)), overlap, *lengths])


def _distances(strokes, step):
    """Return the least distances between points along each two strokes (n,2), a `step` apart -> (n,n)."""
    lengths = [np.hypot(*np.diff(points, axis=0).T) for points in strokes]
    step = max(step, sum(each.sum() for each in lengths) / MOST_POINTS)
    points = [_along(points, each, step) for points, each in zip(strokes, lengths, strict=True)]
    x, y = np.concatenate(points).T
    starts = np.cumsum([0, *(len(each) for each in points[:-1])])
    squares = np.empty((len(points), len(points)))
    for row, own in zip(squares, points, strict=True):
        to_all = (own[:, :1] - x) ** 2 + (own[:, 1:] - y) ** 2
        row[...] = np.minimum.reduceat(to_all.min(axis=0), starts)
    return np.sqrt(squares)


def _along(points, lengths, step):
    """Return points at even distances of at most `step` along a stroke (n,2) with segments of these lengths (n-1,)."""
    to = np.concatenate([[0], np.cumsum(lengths)])
    at = np.linspace(0, to[-1], int(np.ceil(to[-1] / step)) + 1)
    return np.stack([np.interp(at, to, points[:, 0]), np.interp(at, to, points[:, 1])], axis=1)
