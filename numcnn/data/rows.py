"""Rows of digits, alone or below each other, composed of single ones: test data for the pad, which separates them."""

from collections.abc import Sequence

import numpy as np

from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Float64s

SIZE, BASELINE = 0.08, 0.05  # standard deviations of a digit's height (of its logarithm) and of where it stands
CLOSEST, FARTHEST = -0.05, 0.5  # gaps between the boxes of neighbours, which may overlap a little
FLATTEST = 1.5  # a digit wider than this many heights is scaled by its width
LATE_BARS = (4, 5, 7)  # digits whose last stroke may come after the next digit

# Of rows below each other, in heights of a digit.
BETWEEN_ROWS = (0.25, 0.9)  # paper between the lower edge of one row and the upper edge of the next
STEEPEST, ROW_SLOPE = 0.12, 0.02  # by how much all rows rise or fall, and the standard deviation of one of them
ROW_SIZE, INDENT = 0.15, 1.0  # the standard deviation of a row's size (of its logarithm); where rows begin, at most
TALL, OFTEN_TALL = 1.3, 0.2  # a digit may be this much taller; probability that it may


def make_row(
    digits: Sequence[tuple[Strokes, int]], rng: np.random.Generator, late: float = 0.0
) -> tuple[list[Float64s], list[int], list[int]]:
    """Write digits side by side -> strokes, labels, owners.  digits: list of (strokes, label), from left to right.

    strokes are (n,2), y downwards, in the order of writing; stroke i belongs to digit owners[i].  Digits are about 1
    high and stand near y = 0.  Gaps reach from -0.05 to 0.5; the middle half is between 0.12 and 0.26.  With
    probability `late` the last of several strokes of a 4, 5 or 7 is written after the next digit.
    """
    strokes: list[Float64s] = []
    times: list[float] = []
    owners: list[int] = []
    right = 0.0
    for k, (own, label) in enumerate(digits):
        points = np.concatenate(own)
        low, high = points.min(axis=0), points.max(axis=0)
        width, height = high - low
        scale = np.exp(rng.normal(0, SIZE)) / (max(height, width / FLATTEST) or 1)
        left = right + min(CLOSEST + rng.gamma(5, 0.05), FARTHEST)
        right = left + scale * width
        foot = rng.normal(0, BASELINE)
        strokes += [(np.asarray(stroke) - (low[0], high[1])) * scale + (left, foot) for stroke in own]
        times += [k] * len(own)
        if len(own) > 1 and label in LATE_BARS and rng.random() < late:
            times[-1] = k + 1.5
        owners += [k] * len(own)
    order = np.argsort(times, kind="stable")
    return [strokes[i] for i in order], [label for _, label in digits], [owners[i] for i in order]


def make_lines(
    lines: Sequence[Sequence[tuple[Strokes, int]]], rng: np.random.Generator, late: float = 0.0
) -> tuple[list[Float64s], list[int], list[int]]:
    """Write rows below each other -> strokes, labels, owners, as ``make_row`` returns them, in the order of reading.

    lines: a list of digits for each row, from top to bottom.  The paper between two rows is 0.25 to 0.9 high where
    digits are 1 high.  Rows differ in size and where they begin, all rise or fall by up to 0.12 of their length, each
    a little differently, and one digit in ten reaches 0.3 further up or down.
    """
    strokes: list[Float64s] = []
    labels: list[int] = []
    owners: list[int] = []
    slope, foot = rng.uniform(-STEEPEST, STEEPEST), 0.0
    for row in lines:
        points, own, whose = make_row(row, rng, late)
        reach = [rng.choice([1.0, TALL]) if rng.random() < OFTEN_TALL else 1.0 for _ in own]
        hangs = rng.random(len(own)) < 0.5
        points = [_longer(stroke, reach[k], bool(hangs[k])) for stroke, k in zip(points, whose, strict=True)]
        scale = np.exp(rng.normal(0, ROW_SIZE))
        foot += scale * (1 + rng.uniform(*BETWEEN_ROWS)) if strokes else 0.0
        slant, left = slope + rng.normal(0, ROW_SLOPE), rng.uniform(0, INDENT)
        for stroke in points:
            x, y = stroke.T
            strokes.append(np.stack([left + scale * x, foot + scale * (y + slant * x)], axis=1))
        owners += [len(labels) + k for k in whose]
        labels += own
    return strokes, labels, owners


def _longer(stroke: Float64s, factor: float, hangs: bool) -> Float64s:
    """Stretch a stroke of a row up from the line, or down from the height of digits."""
    x, y = stroke.T
    return np.stack([x, factor * (y + hangs) - hangs], axis=1)
