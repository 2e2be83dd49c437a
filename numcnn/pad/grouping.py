"""Which strokes make a digit."""

import numpy as np

STEP = 0.04  # of the tallest stroke: the distance of the points between which distances are measured
OVERLAP = 0.35  # of the narrower one's width: strokes that overlap by more are one digit
NEAR = 0.08  # of the tallest stroke: so are strokes that come nearer than this


def group(strokes):
    """Return which strokes make a digit: a tuple of indices per digit, from left to right.  strokes list of (n,2)."""
    strokes = [np.asarray(points, np.float64) for points in strokes]
    indices = [i for i, points in enumerate(strokes) if len(points)]
    boxes = {i: box([strokes[i]]) for i in indices}
    height = max((bottom - top for _, top, _, bottom in boxes.values()), default=0)
    along = {i: resample(strokes[i], STEP * height) for i in indices}
    groups = []
    for i in indices:
        mine = [g for g in groups if any(_belong(boxes, along, i, j, height) for j in g)]
        groups = [g for g in groups if g not in mine] + [[i, *(j for g in mine for j in g)]]
    groups.sort(key=lambda g: sum(box([strokes[i] for i in g])[::2]))
    return [tuple(sorted(g)) for g in groups]


def box(strokes):
    """Return the box (left, top, right, bottom) of strokes' points."""
    points = np.concatenate([np.asarray(points, np.float64) for points in strokes])
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def resample(points, step):
    """Return points along a stroke (n,2) at even distances of about `step`, its ends included."""
    lengths = np.hypot(*np.diff(points, axis=0).T)
    along = np.concatenate([[0], np.cumsum(lengths)])
    count = int(np.ceil(along[-1] / step)) if step > 0 else 0
    at = np.linspace(0, along[-1], count + 1)
    return np.stack([np.interp(at, along, points[:, 0]), np.interp(at, along, points[:, 1])], axis=1)


def _belong(boxes, along, i, j, height):
    (left, _, right, _), (other_left, _, other_right, _) = boxes[i], boxes[j]
    overlap = min(right, other_right) - max(left, other_left)
    narrower = min(right - left, other_right - other_left)
    if overlap < -NEAR * height:
        return False
    if narrower > 0.1 * height and overlap > OVERLAP * narrower:
        return True
    gaps = along[i][:, None] - along[j]
    return np.hypot(gaps[..., 0], gaps[..., 1]).min() < NEAR * height
