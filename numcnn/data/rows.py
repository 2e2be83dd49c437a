"""Rows of digits side by side, composed of single ones: test data for the pad, which must separate them again."""

from collections.abc import Sequence

import numpy as np

from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Float64s

SIZE, BASELINE = 0.08, 0.05  # standard deviations of a digit's height (of its logarithm) and of where it stands
CLOSEST, FARTHEST = -0.05, 0.5  # gaps between the boxes of neighbours, which may overlap a little
FLATTEST = 1.5  # a digit wider than this many heights is scaled by its width
LATE_BARS = (4, 5, 7)  # digits whose last stroke may come after the next digit


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
