"""Rows of digits side by side, as people write them, made of single ones: what the pad must take apart again."""

import numpy as np

SIZE, BASELINE = 0.08, 0.05  # standard deviations of a digit's height (of its logarithm) and of where it stands
CLOSEST, FARTHEST = -0.05, 0.5  # gaps between the boxes of neighbours, which may overlap a little
FLATTEST = 1.5  # a digit wider than this many heights is scaled by its width
LATE_BARS = (4, 5, 7)  # digits whose last stroke may come after the next digit


def make_row(digits, rng, late=0.0):
    """Write digits side by side -> strokes, labels, owners.  digits: list of (strokes, label), from left to right.

    strokes are (n,2), y downwards, in the order of writing; stroke i belongs to digit owners[i].  Digits are about 1
    high and stand near y = 0.  Gaps reach from -0.05 to 0.5; the middle half lies between 0.12 and 0.26.  With
    probability `late` the last of several strokes of a 4, 5 or 7 is written after the next digit.
    """
    strokes, times, owners, right = [], [], [], 0.0
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


def right_groups(groups, owners):
    """Tell for each digit of a row whether exactly its strokes are one of the groups -> bool (digits,).

    groups: tuples of stroke numbers, as `pad.grouping.group` returns them; owners: as `make_row` does.
    """
    owners, groups = np.array(owners), set(groups)
    return np.array([tuple(np.flatnonzero(owners == k).tolist()) in groups for k in range(max(owners, default=-1) + 1)])
