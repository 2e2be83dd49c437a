"""Lines of text: which parts stand side by side, on a page that may lie a little askew, in reading order."""

from typing import NamedTuple

import numpy as np

from numcnn.imaging.parts import Part
from numcnn.kernels.arrays import Floats, Ints
from numcnn.recognition.spots import SMALLER, Spot

GAP = 2.0  # heights between two blocks of text, at least
LEVEL = 0.35  # heights by which lines of a table differ from column to column, at most
SPECK = 0.15  # heights: smaller parts belong to a digit only if they nearly touch it
ROW_REACH, ROW_SPAN = 0.9, 1.2  # heights between two halves of a row, and between its highest and its lowest digit
SHARED_WIDTH = 0.3  # of its width, that a digit of a row may stand above another
ATTACHED, TOUCHED = 0.5, 0.05  # heights: how near a small part is to the digit that it may belong to, and a speck


def text_lines(boxes: Ints) -> list[list[int]]:
    """Order boxes (N,4) as people read: lines from top to bottom, each from left to right -> indices.

    Neighbours side by side are linked; their links tell how the page is turned; then what stands level is one line.
    Columns whose lines stand level with each other are a table, read line by line; other blocks beside a wide gap are
    read one after the other, from left to right.
    """
    if len(boxes) == 0:
        return []
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    slope = _slope(boxes, x, y)
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T.astype(np.float64)
    return _in_blocks(np.arange(len(boxes)), _Places(x + slope * y, y - slope * x, widths, heights))


class _Places(NamedTuple):
    """Middles and sizes of boxes on the page laid straight, (N,) each."""

    x: Floats
    y: Floats
    widths: Floats
    heights: Floats


def _in_blocks(which: Ints, places: _Places) -> list[list[int]]:
    """Return the lines of some boxes; those of a block after those of the block to its left."""
    for left, right in _sides_of_gaps(which, places):
        one, other = _level_lines(left, places), _level_lines(right, places)
        if min(len(one), len(other)) > 1 and _apart(one, other, places):
            return _in_blocks(left, places) + _in_blocks(right, places)
    return _level_lines(which, places)


def _sides_of_gaps(which: Ints, places: _Places) -> list[tuple[Ints, Ints]]:
    """Return what stands on each side of each gap that is wide from top to bottom, the widest gap first."""
    starts = places.x[which] - places.widths[which] / 2
    order = np.argsort(starts, kind="stable")
    reached = np.maximum.accumulate((starts + places.widths[which])[order])
    gaps = starts[order][1:] - reached[:-1]
    wide = np.flatnonzero(gaps >= GAP * np.median(places.heights[which]))
    return [(which[order[: k + 1]], which[order[k + 1 :]]) for k in wide[np.argsort(-gaps[wide], kind="stable")]]


def _apart(one: list[list[int]], other: list[list[int]], places: _Places) -> bool:
    """Return whether two blocks stand side by side, and most of their lines are not level with each other."""
    a, b = (np.array([np.median(places.y[line]) for line in lines]) for lines in (one, other))
    if a[0] > b[-1] or b[0] > a[-1]:
        return False
    fewer, more = sorted((a, b), key=len)
    height = float(np.median(places.heights[[k for line in one + other for k in line]]))
    level = np.abs(fewer[:, None] - more).min(axis=1) < LEVEL * height
    return bool(level.mean() < 0.5)


def _level_lines(which: Ints, places: _Places) -> list[list[int]]:
    """Return the lines of some boxes, from top to bottom: what stands level."""
    x, y, heights = places.x, places.y, places.heights
    lines: list[list[int]] = []
    medians: list[tuple[float, float]] = []  # of each line's places and heights
    for k in which[np.argsort(y[which], kind="stable")].tolist():
        own, least = float(y[k]), 0.8 * float(heights[k])
        near = [(abs(at - own), n) for n, (at, high) in enumerate(medians) if abs(at - own) < 0.5 * max(high, least)]
        n = min(near)[1] if near else len(lines)
        if not near:
            lines.append([])
            medians.append((0.0, 0.0))
        lines[n].append(k)
        medians[n] = float(np.median(y[lines[n]])), float(np.median(heights[lines[n]]))
    lines = sorted(lines, key=lambda line: float(np.median(y[line])))
    return [sorted(line, key=lambda k: x[k]) for line in _interleaved(lines, places)]


def _interleaved(lines: list[list[int]], places: _Places) -> list[list[int]]:
    """Join lines that are nearer than lines of text can be, and fill each other's gaps: digits of one row, some higher.

    lines: from top to bottom.
    """
    found: list[list[int]] = []
    for line in lines:
        if found and _is_same_row(found[-1], line, places):
            found[-1] = found[-1] + line
        else:
            found.append(line)
    return found


def _is_same_row(upper: list[int], lower: list[int], places: _Places) -> bool:
    x, y, widths, heights = places
    high = float(np.quantile(heights[[*upper, *lower]], 0.75))
    apart = float(np.median(y[lower]) - np.median(y[upper]))
    if apart > ROW_REACH * high or y[lower].max() - y[upper].min() > ROW_SPAN * high:
        return False
    lefts, rights = x - widths / 2, x + widths / 2
    shared = np.minimum(rights[upper, None], rights[lower]) - np.maximum(lefts[upper, None], lefts[lower])
    return bool((shared <= SHARED_WIDTH * np.minimum.outer(widths[upper], widths[lower])).all())


def _slope(boxes: Ints, x: Floats, y: Floats) -> float:
    """Return by how many pixels lines of text fall per pixel to the right: the median over links of neighbours."""
    slopes, weights = [], []
    for k, (_, top, right, bottom) in enumerate(boxes):
        others = (x > right) & (x - right < 4 * (bottom - top))
        shared = np.minimum(boxes[:, 3], bottom) - np.maximum(boxes[:, 1], top)
        heights = boxes[:, 3] - boxes[:, 1]
        others &= shared > 0.4 * np.maximum(heights, bottom - top)
        if others.any():
            nearest = int(np.flatnonzero(others)[np.argmin(x[others])])
            slopes.append((y[nearest] - y[k]) / (x[nearest] - x[k]))
            weights.append(x[nearest] - x[k])
    if len(slopes) < 3:
        return 0.0
    order = np.argsort(slopes)
    total = np.cumsum(np.array(weights)[order])
    return float(np.clip(np.array(slopes)[order][np.searchsorted(total, total[-1] / 2)], -0.25, 0.25))


def is_core(part: Part, probability: float, height: float, sure_from: float) -> bool:
    """Return whether a part is large enough to be a digit of its own, or sure to be one."""
    return part.height >= SMALLER * height or (
        probability >= sure_from and part.height >= 0.25 * height and part.width < 2 * part.height
    )


def is_line(line: list[Part], height: float) -> bool:
    """Return whether some parts are a line of text: not one much smaller than the digits of the sheet."""
    return len(line) > 1 or line[0].height >= SMALLER * height


def attach(parts: list[Part], rest: set[int], members: list[list[int]], heights: list[float]) -> None:
    """Give each small part to the line of the digit that it is nearest to, if it is near."""
    boxes = np.array([part.box for part in parts])
    cores = [list(line) for line in members]
    for k in sorted(rest):
        best, owner = np.inf, None
        for number, line in enumerate(cores):
            apart = np.maximum(boxes[line, :2] - boxes[k, 2:], boxes[k, :2] - boxes[line, 2:]).max(axis=1)
            distance = float(np.maximum(apart, 0).min()) / heights[number]
            near = ATTACHED if parts[k].side >= SPECK * heights[number] else TOUCHED
            if distance < min(best, near):
                best, owner = distance, number
        if owner is not None:
            members[owner].append(k)


def in_order(spots: list[Spot]) -> list[Spot]:
    """Number the lines of text again, and sort."""
    lines = text_lines(np.array([spot.box for spot in spots]).reshape(-1, 4))
    return [spots[k]._replace(line=number) for number, line in enumerate(lines) for k in line]
