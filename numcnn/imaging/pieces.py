"""Connected pieces of ink: pixels that touch at a side or a corner, in runs along the rows.

A run is a row's longest stretch of ink.  Runs of neighbouring rows that touch are joined by union-find, all at once:
every run takes the smallest number among its neighbours, then its number's number, until nothing changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from numcnn.kernels.arrays import Bools, Bytes, Ints


@dataclass(frozen=True, eq=False)
class Pieces:
    """Connected pieces, in the order of their first pixels.

    shape: of the picture.  boxes (P,4): left, top, right, bottom, the last two just outside.  areas (P,): pixels.
    rows, starts, stops (R,): the runs, sorted by piece; piece k has runs first[k] to first[k+1].
    """

    shape: tuple[int, int]
    boxes: Ints
    areas: Ints
    rows: Ints
    starts: Ints
    stops: Ints
    first: Ints

    def __len__(self) -> int:
        return len(self.areas)

    def mask(self, which: Iterable[int], box: tuple[int, int, int, int]) -> Bools:
        """Return the pixels of some pieces inside a box -> (bottom - top, right - left)."""
        left, top, right, bottom = box
        edges = np.zeros((bottom - top, right - left + 1), np.int32)
        for k in which:
            runs = slice(self.first[k], self.first[k + 1])
            rows = self.rows[runs] - top
            starts = np.clip(self.starts[runs] - left, 0, right - left)
            stops = np.clip(self.stops[runs] - left, 0, right - left)
            inside = (rows >= 0) & (rows < bottom - top)
            np.add.at(edges, (rows[inside], starts[inside]), 1)
            np.add.at(edges, (rows[inside], stops[inside]), -1)
        return np.cumsum(edges, axis=1)[:, :-1] > 0

    def pixels(self) -> tuple[Ints, Ints]:
        """Return the flat indices of all pixels of ink, and the piece each belongs to: (K,), (K,)."""
        lengths = self.stops - self.starts
        begins = self.rows * self.shape[1] + self.starts
        ends = np.cumsum(lengths)
        indices = np.arange(ends[-1] if len(ends) else 0) + np.repeat(begins - (ends - lengths), lengths)
        owners = np.repeat(np.arange(len(self)), np.diff(self.first))
        return indices, np.repeat(owners, lengths)

    def typical_run(self) -> float:
        """Return the length of the run that a typical pixel lies in: about a stroke's width.  0 without ink."""
        lengths = np.sort(self.stops - self.starts)
        if not len(lengths):
            return 0.0
        pixels = np.cumsum(lengths)
        return float(lengths[np.searchsorted(pixels, pixels[-1] / 2)])


def find_pieces(ink: Bools) -> Pieces:
    """Find the connected pieces of ink.  (H,W) -> ``Pieces``."""
    H, W = ink.shape
    padded = np.zeros((H, W + 2), bool)
    padded[:, 1:-1] = ink
    changes = (padded[:, 1:] != padded[:, :-1]).ravel().nonzero()[0]  # runs begin and end in turn
    starts, stops = changes[::2] % (W + 1), changes[1::2] % (W + 1)
    rows = changes[::2] // (W + 1)
    if len(rows) == 0:
        nothing = np.empty(0, np.intp)
        return Pieces((H, W), np.empty((0, 4), np.intp), nothing, nothing, nothing, nothing, np.zeros(1, np.intp))
    numbers = _join(rows, starts, stops, W)  # of the first run of each piece
    order = numbers.argsort(kind="stable")
    rows, starts, stops, numbers = rows[order], starts[order], stops[order], numbers[order]
    at = np.concatenate([[0], (numbers[1:] != numbers[:-1]).nonzero()[0] + 1])
    first = np.concatenate([at, [len(rows)]])
    boxes = np.empty((len(at), 4), np.intp)
    boxes[:, 0], boxes[:, 1] = np.minimum.reduceat(starts, at), rows[at]
    boxes[:, 2], boxes[:, 3] = np.maximum.reduceat(stops, at), rows[first[1:] - 1] + 1
    return Pieces((H, W), boxes, np.add.reduceat(stops - starts, at), rows, starts, stops, first)


def _join(rows: Ints, starts: Ints, stops: Ints, width: int) -> Ints:
    """Return a number for each run, equal for runs that are connected."""
    stride = width + 2
    begins, ends = rows * stride + starts, rows * stride + stops
    # Runs of the row above that touch, corners included: they end at our start or later and begin by our end.
    low = np.searchsorted(ends, begins - stride, side="left")
    high = np.searchsorted(begins, ends - stride, side="right")
    counts = np.maximum(high - low, 0)
    ours = np.repeat(np.arange(len(rows)), counts)
    theirs = np.arange(len(ours)) + np.repeat(low - (np.cumsum(counts) - counts), counts)
    numbers = np.arange(len(rows))
    while len(ours):
        mine, other = numbers[ours], numbers[theirs]
        differ = mine != other
        if not differ.any():
            break
        ours, theirs, mine, other = ours[differ], theirs[differ], mine[differ], other[differ]
        np.minimum.at(numbers, np.maximum(mine, other), np.minimum(mine, other))
        while True:
            further = numbers[numbers]
            if (further == numbers).all():
                break
            numbers = further
    return numbers


def dilate(mask: Bools, reach: int) -> Bools:
    """Return the pixels within ``reach`` rows and columns of a mask.  (H,W) -> (H,W)."""
    out = mask
    for axis in (0, 1):
        grown = out.copy()
        for step in range(1, reach + 1):
            ahead = (slice(step, None), slice(None)) if axis == 0 else (slice(None), slice(step, None))
            behind = (slice(None, -step), slice(None)) if axis == 0 else (slice(None), slice(None, -step))
            grown[ahead] |= out[behind]
            grown[behind] |= out[ahead]
        out = grown
    return out


def as_picture(pieces: Pieces) -> Bytes:
    """Colour the pieces, for people to look at: (H,W) uint8, 0 for paper."""
    out = np.zeros(pieces.shape[0] * pieces.shape[1], np.uint8)
    indices, owners = pieces.pixels()
    out[indices] = 55 + (owners * 83) % 201
    return out.reshape(pieces.shape)
