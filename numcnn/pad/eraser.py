"""The eraser's geometry: what is left of strokes after a round eraser has moved along a straight line."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from numcnn.kernels.arrays import Float64s

Point: TypeAlias = tuple[float, float]
Stroke: TypeAlias = list[Point]

CRUMB = 0.1  # of the eraser's radius: pieces shorter than this would remain as unintended dots


def erase(strokes: Sequence[Stroke], start: Point, end: Point, radius: float) -> tuple[Stroke, ...]:
    """Return strokes without the parts within ``radius`` of the straight line from start to end.

    A stroke that is cut becomes its pieces; the others stay the same lists.
    """
    left: list[Stroke] = []
    for stroke in strokes:
        low, high = _erased_spans(np.array(stroke), np.array(start), np.array(end), radius)
        left.extend(_pieces(stroke, low, high, CRUMB * radius) if (low < high).any() else [stroke])
    return tuple(left)


def _erased_spans(points: Float64s, start: Float64s, end: Float64s, radius: float) -> tuple[Float64s, Float64s]:
    """Return the span, 0..1, that the eraser takes from each segment of a stroke (n,2) -> low, high, each (n-1,).

    low >= high is nothing.  A dot counts as one segment.  The erased area is convex, so each segment has one span at
    most.  Its ends lie on the circles around start and end, or on the two straight lines between these.
    """
    length = np.hypot(*(end - start))
    cos, sin = (end - start) / length if length > 0 else (1.0, 0.0)
    x, y = (points - start) @ (cos, sin), (points - start) @ (-sin, cos)  # along the eraser's path, and across
    if len(points) == 1:
        return np.zeros(1), (np.hypot(x - np.clip(x, 0, length), y) <= radius).astype(float)
    along_x, along_y = np.diff(x), np.diff(y)
    lengths = np.hypot(along_x, along_y)
    x, y = x[:-1], y[:-1]
    ends: list[Float64s] = []
    with np.errstate(all="ignore"):  # no crossing is NaN, which fmin and fmax ignore
        along_x, along_y = np.where(lengths > 0, along_x / lengths, 1), np.where(lengths > 0, along_y / lengths, 0)
        for centre in (0, length):
            middle = (centre - x) * along_x - y * along_y
            half = np.sqrt(radius**2 - ((centre - x) * along_y + y * along_x) ** 2)
            ends += [middle - half, middle + half]
        for side in (-radius, radius):
            at = (side - y) / along_y
            ends.append(np.where(np.abs(x + at * along_x - length / 2) <= length / 2, at, np.nan))
        low, high = np.fmin.reduce(ends) / lengths, np.fmax.reduce(ends) / lengths
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def _pieces(stroke: Stroke, low: Float64s, high: Float64s, shortest: float) -> list[Stroke]:
    """Cut the spans out of a stroke -> the pieces that are at least ``shortest`` long or high."""
    if len(stroke) == 1:
        return []
    pieces: list[Stroke] = []
    piece: Stroke = []
    for i, (first, last) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        a, b = stroke[i], stroke[i + 1]
        if not first < last:  # nothing, or NaN
            piece = piece or [a]
            piece.append(b)
            continue
        if first > 0:
            pieces.append([*(piece or [a]), _between(a, b, first)])
        piece = [_between(a, b, last), b] if last < 1 else []
    return [p for p in (*pieces, piece) if p and np.ptp(p, axis=0).max() >= shortest]


def _between(a: Point, b: Point, fraction: float) -> Point:
    return (a[0] + fraction * (b[0] - a[0]), a[1] + fraction * (b[1] - a[1]))
