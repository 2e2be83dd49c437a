"""See at a glance that a small picture is plain: one piece of ink in the middle of even paper, as most crops are.

``find`` comes to the same answer in twenty times the time, and reads all others.  So this must never be mistaken: what
is large, in colour, faint, in several pieces, near the border, or like a frame is not plain; and of what is, only
answers count that the network is very sure of: surer for wide ink, which may be two digits; what is as wide as two
mostly are is never plain.
"""

from typing import NamedTuple

import numpy as np

from numcnn.errors import DataError
from numcnn.imaging.parts import stroke_width
from numcnn.imaging.pieces import dilate, find_pieces
from numcnn.imaging.preprocess import as_grey, border, centred, separate_ink
from numcnn.kernels.arrays import Bools, Bytes
from numcnn.recognition.evidence import is_tangle

MOST_SIDE = 160  # pixels of a plain picture
LEAST_HEIGHT = 12  # pixels of its digit
WIDE, WIDEST = 0.9, 1.4  # heights: wider ink may be two digits; and from here on even if the network is sure
LEAST_CONTRAST = 60  # of 255 levels
INK, STAIN = 0.3, 0.12  # of the strongest ink: from here on it is ink; at most this much may be elsewhere
NEAR = 2  # pixels around ink that are its soft edge
FINE = 40  # pixels: lower ink shows no tangle of strokes
FILLED = 0.8  # of a side of the box: three or more such sides are a frame's
# Probabilities from which the answer counts: ``touching`` cuts no wide ink from the second on.
SURE, WIDE_SURE = 0.9, 0.99


class Plain(NamedTuple):
    """The one piece of ink in a plain picture: what the network reads, (28,28), and its box: x, y, width, height."""

    image: Bytes
    box: tuple[int, int, int, int]

    @property
    def least(self) -> float:
        """The probability from which the network's answer counts."""
        _, _, width, height = self.box
        return WIDE_SURE if width > WIDE * height else SURE


def glance(colours: Bytes) -> Plain | None:
    """Return the one piece of ink of a picture (H,W) or (H,W,3), or None if it is not plain."""
    if colours.ndim != 2 or max(colours.shape) > MOST_SIDE:
        return None
    grey = as_grey(colours)
    try:
        ink = separate_ink(grey)
    except DataError:
        return None
    ring = border(grey)
    paper = ring[0]
    away = np.abs(grey - paper)
    peak = float(away.max())
    if peak < LEAST_CONTRAST or np.abs(ring - paper).max() > STAIN * peak:
        return None
    clear = away >= INK * peak
    found = find_pieces(clear)
    if len(found) != 1:
        return None
    left, top, right, bottom = found.boxes[0].tolist()
    wide = right - left > WIDEST * (bottom - top)
    own = clear[top:bottom, left:right]
    if wide or bottom - top < LEAST_HEIGHT or _is_frame(own):
        return None
    if bottom - top > FINE and is_tangle(own, stroke_width(own)):
        return None
    if np.where(dilate(clear, NEAR), np.float32(0), away).max() > STAIN * peak:
        return None
    return Plain(centred(ink), (left, top, right - left, bottom - top))


def _is_frame(clear: Bools) -> bool:
    """Return whether three sides of a box are filled with ink, as those of a frame, or of a dense blot."""
    sides = clear[0], clear[-1], clear[:, 0], clear[:, -1]
    return sum(int(np.count_nonzero(side)) > FILLED * len(side) for side in sides) >= 3
