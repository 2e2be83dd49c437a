"""Printed lines out of ink: frames, tables, ruled and squared paper, and the strokes that cross them kept whole.

A rule is a straight line that is longer than strokes are and as thin as a line.  It is looked for along rows and
columns, turned by up to 6 degrees.  Of its pixels those go where the ink is no thicker, measured across the rule, than
the rule itself: where a stroke crosses or runs along it, the ink is thicker and stays.
"""

import math

import numpy as np

from numcnn.imaging.pieces import find_pieces
from numcnn.kernels.arrays import Bools, Float64s, Ints

MOST_TURN = 0.105  # radians, 6 degrees
REACH = 2  # pixels that a rule may leave its straight line, to either side
THICKEST = 1 / 7  # of the length that is looked for; a thicker line is a stroke
THICKER = 1.6  # times a rule's thickness: from here on, something else crosses it
PAGE_PART, SPAN = 0.3, 0.8  # of a picture's side: how straight, and how long the lines printed across it are at least
THIN = 1 / 12  # of the part that is looked for, the most that they are thick
LARGE = 600_000  # pixels; rules in larger masks are looked for at half the size or less


def find_rules(ink: Bools, length: int, thickest: float = THICKEST, span: float = 0.0) -> Bools:
    """Return the pixels of level lines at least ``length`` pixels long, without what crosses them.  (H,W) -> (H,W).

    thickest: the most that a rule may be thick, in lengths.  span: only lines as long as this part of the width, or
    from edge to edge.
    """
    factor = max(1, math.ceil(math.sqrt(ink.size / LARGE)))
    small = _any_of(ink, factor)
    long = max(4, length // factor)
    band = _long_lines(_thicken(small, REACH), long)
    if span:
        band = _spanning(band, span)
    if not band.any():
        return np.zeros_like(ink)
    band = np.repeat(np.repeat(band, factor, axis=0), factor, axis=1)[: ink.shape[0], : ink.shape[1]]
    thickness = runs_across(ink)
    inside = thickness[band & ink]
    if inside.size == 0:
        return np.zeros_like(ink)
    typical = float(np.median(inside))
    if typical > thickest * length:
        return np.zeros_like(ink)
    return band & ink & (thickness <= THICKER * typical + 1)


def _spanning(band: Bools, span: float) -> Bools:
    """Return the lines that are as long as a part of the width, or that run from edge to edge."""
    found = find_pieces(band)
    H, W = band.shape
    left, top, right, bottom = found.boxes.T
    near = 2 * REACH + 1
    edges = (left <= near).astype(int) + (top <= near) + (right >= W - near) + (bottom >= H - near)
    kept = np.flatnonzero((right - left >= span * W) | (edges >= 2))
    return found.mask(kept.tolist(), (0, 0, W, H)) if len(kept) else np.zeros_like(band)


def rules_of_the_page(ink: Bools) -> Bools:
    """Return the pixels of level and upright lines that run across all of a picture.  (H,W) -> (H,W)."""
    H, W = ink.shape
    level = find_rules(ink, round(PAGE_PART * W), THIN, SPAN)
    upright = find_rules((ink & ~level).T, round(PAGE_PART * H), THIN, SPAN).T
    return level | upright


def without_rules(ink: Bools, level: int, upright: int, thickest: float = THICKEST) -> Bools:
    """Return ink without level rules of length ``level`` and upright ones of length ``upright``.  (H,W) -> (H,W)."""
    ink = ink & ~find_rules(ink, level, thickest)
    return ink & ~find_rules(ink.T, upright, thickest).T


def runs_across(ink: Bools) -> Ints:
    """Return for each pixel of ink how many pixels of ink lie in one column around it, else 0.  (H,W) -> (H,W)."""
    padded = np.zeros((ink.shape[1], ink.shape[0] + 2), np.int8)
    padded[:, 1:-1] = ink.T
    changes = np.flatnonzero(np.diff(padded, axis=1).ravel())
    lengths = changes[1::2] - changes[::2]
    out = np.zeros(ink.shape[::-1], np.int32)
    out[ink.T] = np.repeat(lengths, lengths)
    return out.T


def _any_of(ink: Bools, factor: int) -> Bools:
    """Return whether there is ink in each square of ``factor`` x ``factor`` pixels."""
    if factor == 1:
        return ink
    H, W = (-(-side // factor) * factor for side in ink.shape)
    padded = np.zeros((H, W), bool)
    padded[: ink.shape[0], : ink.shape[1]] = ink
    return padded.reshape(H // factor, factor, W // factor, factor).any(axis=(1, 3))


def _thicken(ink: Bools, reach: int) -> Bools:
    """Return the pixels up to ``reach`` above and below ink."""
    out = ink.copy()
    for step in range(1, reach + 1):
        out[step:] |= ink[:-step]
        out[:-step] |= ink[step:]
    return out


def _angles(length: int) -> Float64s:
    """Return the slopes at which to look, so that no line leaves the reach over this length."""
    step = 2 * (REACH + 0.5) / length
    count = math.ceil(MOST_TURN / step)
    return np.linspace(-MOST_TURN, MOST_TURN, 2 * count + 1)


def _long_lines(ink: Bools, length: int) -> Bools:
    """Return the pixels on straight, nearly level lines of ink of this length: an opening for each slope."""
    found = np.zeros_like(ink)
    if length > ink.shape[1]:
        return found
    for slope in _angles(length):
        start = _along(ink, length, slope, np.logical_and)
        if start.any():
            found |= _along(start, length, slope, np.logical_or, -1)
    return found


def _along(ink: Bools, length: int, slope: float, combine: np.ufunc, direction: int = 1) -> Bools:
    """Combine each pixel with the ``length - 1`` next ones along a line; each step doubles how many."""
    now, done = ink, 1
    while 2 * done <= length:
        now = combine(now, _shift(now, direction * round(slope * done), direction * done))
        done *= 2
    if done < length:
        rest = length - done
        now = combine(now, _shift(now, direction * round(slope * rest), direction * rest))
    return now


def _shift(ink: Bools, down: int, right: int) -> Bools:
    """Return the picture whose pixel (y, x) is that of (y + down, x + right); outside there is no ink."""
    H, W = ink.shape
    out = np.zeros_like(ink)
    if abs(down) >= H or abs(right) >= W:
        return out
    to_rows, from_rows = slice(max(0, -down), min(H, H - down)), slice(max(0, down), min(H, H + down))
    to_columns, from_columns = slice(max(0, -right), min(W, W - right)), slice(max(0, right), min(W, W + right))
    out[to_rows, to_columns] = ink[from_rows, from_columns]
    return out
