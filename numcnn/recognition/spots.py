"""What may be a digit: a ``Spot``, and how likely the network finds it; the size of digits."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from numcnn.evaluation.calibration import certainty
from numcnn.imaging.parts import Box, Part, is_frame, portraits
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Bytes, Floats

Judge: TypeAlias = Callable[[Bytes], Floats]  # pictures (N,28,28) -> probabilities (N,10)
CERTAIN = 0.99  # probability from which a digit is taken for certain, and speaks for or against what is around it
SMALLER = 0.45  # of a digit's height: smaller parts are parts of one, or dust, or stand in a line of small digits
SLIM = 0.4  # most width of a slim digit, in heights: to the network a line looks like one
SIMILAR, LEVEL, NEAR = 0.6, 0.5, 2.0  # of the higher one's height; of the lower one's; heights between neighbours


class Spot(NamedTuple):
    """What may be a digit: its box, what the network sees of it and what it says; its line of text; whether
    what stands around it makes it doubtful."""

    box: Box
    image: Bytes
    probabilities: Floats
    line: int
    doubtful: bool = False

    @property
    def probability(self) -> float:
        """Of the likeliest digit."""
        return float(self.probabilities.max())

    @property
    def height(self) -> int:
        """In pixels."""
        return self.box[3] - self.box[1]

    @property
    def is_slim(self) -> bool:
        """Whether it is as slim as a line."""
        return is_slim(self.box)

    @property
    def certainty(self) -> float:
        """How certain the network is of its answer, 0..1."""
        return float(certainty(self.probabilities[None])[0])

    @property
    def is_stroke(self) -> bool:
        """Whether it is as slim as a line, or a 1."""
        return self.is_slim or int(self.probabilities.argmax()) == 1


def is_slim(box: Box) -> bool:
    """Return whether a box is as slim as a line."""
    return box[2] - box[0] < SLIM * (box[3] - box[1])


def highest_of(sheet: Sheet, parts: list[Part], judge: Judge) -> Floats:
    """Return how likely each part is the digit that it is most like, (N,)."""
    return judge(portraits(sheet, parts)).max(axis=1) if parts else np.empty(0, np.float32)


def typical_height(parts: Sequence[Part], highest: Floats, sure_from: float) -> float:
    """Return the height of a digit: the median over sure parts, each weighted by its height; else the largest part."""
    if not parts:
        return 1.0
    heights = np.array([part.height for part in parts], np.float64)
    likely = (highest >= sure_from).tolist()
    sure = np.array([one and not is_frame(part.mask) for part, one in zip(parts, likely, strict=True)], bool)
    if not sure.any():
        return float(max(heights.max(), 1))
    heights = np.sort(heights[sure])
    return float(heights[np.searchsorted(np.cumsum(heights), heights.sum() / 2)])


def are_near(one: Box, other: Box, reach: float) -> bool:
    """Return whether two boxes are no more than ``reach`` pixels apart, along each axis."""
    return (
        one[2] >= other[0] - reach
        and one[0] <= other[2] + reach
        and one[3] >= other[1] - reach
        and one[1] <= other[3] + reach
    )


def overlap(one: Box, other: Box) -> bool:
    """Return whether two boxes share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def are_level(one: Box, other: Box, near: float = NEAR) -> bool:
    """Return whether two boxes about as high as each other stand in one line, at most ``near`` heights apart."""
    low, high = sorted((one[3] - one[1], other[3] - other[1]))
    shared = min(one[3], other[3]) - max(one[1], other[1])
    apart = max(one[0], other[0]) - min(one[2], other[2])
    return low >= SIMILAR * high and shared >= LEVEL * low and apart <= near * high
