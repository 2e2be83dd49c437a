"""Parts of a sheet's ink: one piece or several, what they look like, and what the network sees of them."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from numcnn.imaging import pieces, rules
from numcnn.imaging.paper import median_level
from numcnn.imaging.preprocess import centred, drop_paper
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Bools, Bytes

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom, the last two just outside
MARGIN = 2  # pixels around a piece's clear ink that belong to its soft edge
LEAST_SIDE = 5  # pixels; smaller pieces are dust
MOST_PARTS = 500  # more pieces than this are texture; the largest count
FRAME_BAND, FRAME_FILLED = 0.12, 0.88  # of a side: a frame has ink this near to the side along this much of it
BLOT_FILLED = 0.68  # of its box, in a shape less than twice as long as wide: only flat thick digits fill that much
BLOT_WIDTH = 0.42  # of its shorter side: a disc's stroke is half as wide, and that of a digit leaves room for others

ALONG = 0.75  # of a side of the box: lines along it are at least this long
LOOKED_AT = 96  # pixels of the longer side, at most, when lines are looked for in a part


class Part(NamedTuple):
    """Some ink of a sheet: its box and its pixels within it."""

    box: Box
    mask: Bools

    @property
    def width(self) -> int:
        """In pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.box[3] - self.box[1]

    @property
    def side(self) -> int:
        """The longer of both."""
        return max(self.width, self.height)

    def within(self, left: int, top: int, shape: tuple[int, ...]) -> Bools:
        """Return its pixels in a window of this shape (h, w) that holds all of it and begins at ``left``, ``top``."""
        own = np.zeros(shape, bool)
        x, y = self.box[0] - left, self.box[1] - top
        own[y : y + self.height, x : x + self.width] = self.mask
        return own


def parts_of(sheet: Sheet) -> list[Part]:
    """Return the pieces of a sheet that are no dust, the largest if there are very many."""
    boxes = sheet.pieces.boxes
    sides = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) if len(boxes) else np.empty(0)
    chosen = np.flatnonzero(sides >= min(LEAST_SIDE, max(3, min(sheet.clear.shape) // 3)))
    if len(chosen) > MOST_PARTS:
        chosen = np.sort(chosen[np.argsort(-sides[chosen], kind="stable")[:MOST_PARTS]])
    return [part_of(sheet.pieces, [int(k)]) for k in chosen]


def part_of(found: pieces.Pieces, which: Sequence[int]) -> Part:
    """Return some pieces as one part."""
    boxes = found.boxes[list(which)]
    left, top = boxes[:, :2].min(axis=0).tolist()
    right, bottom = boxes[:, 2:].max(axis=0).tolist()
    return Part((left, top, right, bottom), found.mask(which, (left, top, right, bottom)))


def joined(parts: Sequence[Part]) -> Part:
    """Return several parts as one."""
    if len(parts) == 1:
        return parts[0]
    corners = np.array([part.box for part in parts])
    left, top = corners[:, :2].min(axis=0).tolist()
    right, bottom = corners[:, 2:].max(axis=0).tolist()
    mask = np.any([part.within(left, top, (bottom - top, right - left)) for part in parts], axis=0)
    return Part((left, top, right, bottom), mask)


def portrait(sheet: Sheet, part: Part) -> Bytes:
    """Return a part as MNIST's makers would have made it, (28,28) uint8; all 0 if nothing of it is strong enough."""
    H, W = sheet.strength.shape
    left, top = max(0, part.box[0] - MARGIN), max(0, part.box[1] - MARGIN)
    right, bottom = min(W, part.box[2] + MARGIN), min(H, part.box[3] + MARGIN)
    own = part.within(left, top, (bottom - top, right - left))
    others = sheet.clear[top:bottom, left:right] & ~own
    near = pieces.dilate(own, MARGIN) & ~(pieces.dilate(others, 1) & ~own)
    ink = np.where(near, sheet.strength[top:bottom, left:right], 0).astype(np.float32)
    if not ink.any():
        return np.zeros((28, 28), np.uint8)
    return centred(drop_paper(ink, 0.8 * sheet.ink.least))


def portraits(sheet: Sheet, parts: Sequence[Part]) -> Bytes:
    """Return ``portrait`` of each part, (N,28,28).  The sheet keeps them: several steps ask for the same."""
    found = np.empty((len(parts), 28, 28), np.uint8)
    for out, part in zip(found, parts, strict=True):
        key = part.box, np.packbits(part.mask).tobytes()
        if key not in sheet.portraits:
            sheet.portraits[key] = portrait(sheet, part)
        out[...] = sheet.portraits[key]
    return found


def is_frame(mask: Bools) -> bool:
    """Return whether ink runs along three or four sides of its box, as no digit's does."""
    h, w = mask.shape
    if min(h, w) < 16:
        return False
    down, across = max(2, round(FRAME_BAND * h)), max(2, round(FRAME_BAND * w))
    sides = (
        mask[:down].any(axis=0).mean(),
        mask[-down:].any(axis=0).mean(),
        mask[:, :across].any(axis=1).mean(),
        mask[:, -across:].any(axis=1).mean(),
    )
    return sum(side >= FRAME_FILLED for side in sides) >= 3


def straight_share(mask: Bools) -> float:
    """Return which share of some ink lies in straight lines along the sides of its box, at most 6 degrees askew."""
    factor = -(-max(mask.shape) // LOOKED_AT)
    small = rules.any_of(mask, factor)
    found = np.zeros_like(small)
    for turned in (False, True):
        ink = small.T if turned else small
        lines = rules.lines_in(ink, round(ALONG * ink.shape[1]), 1) & ink
        found |= lines.T if turned else lines
    return float(found.sum() / small.sum())


def tones(sheet: Sheet, part: Part) -> list[tuple[float, float]]:
    """Return for each channel how light a part's ink is, and the paper in its box: medians, 0..255."""
    inside = slice(part.box[1], part.box[3]), slice(part.box[0], part.box[2])
    return [
        (median_level(values[inside][part.mask]), median_level(ground[inside]))
        for values, ground in zip(sheet.ink.channels, sheet.ink.papers, strict=True)
    ]


def stroke_width(mask: Bools) -> float:
    """Return how wide the strokes of some ink are, in pixels: twice its area for each pixel of its edge."""
    padded = np.pad(mask, 1)
    inner = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    area = int(mask.sum())
    return 2 * area / max(1, area - int(inner.sum()))


def is_blot(part: Part) -> bool:
    """Return whether a part is a filled shape and no line: a hole, a spot, a corner of shadow."""
    narrow = min(part.width, part.height)
    if part.side < 10 or part.side >= 2 * narrow or part.mask.mean() <= BLOT_FILLED:
        return False
    return stroke_width(part.mask) > BLOT_WIDTH * narrow
