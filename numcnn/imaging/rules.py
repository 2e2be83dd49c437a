"""Printed lines out of ink: frames, tables, ruled and squared paper, and the strokes that cross them kept whole.

A rule is a straight line that is longer than strokes are and as thin as a line.  It is looked for along rows and
columns, turned by up to 6 degrees.  Of its pixels those go where the ink is no thicker, measured across the rule, than
the rule itself: where a stroke crosses or runs along it, the ink is thicker and stays.
"""

import functools
import math
from itertools import groupby
from typing import TypeAlias

import numpy as np

from numcnn.imaging.pieces import find_pieces
from numcnn.kernels.arrays import AnyArray, Bools, Bytes, Ints

MOST_TURN = 0.105  # radians, 6 degrees
REACH = 2  # pixels that a rule may leave its straight line, to either side
THICKEST = 1 / 7  # of the length that is looked for; a thicker line is a stroke
LINE_THICKEST = 1 / 4  # of its length, of any line
THICKER = 1.6  # times a rule's thickness: from here on, something else crosses it
PAGE_PART, SPAN = 0.3, 0.8  # of a picture's side: how straight, and how long the lines printed across it are at least
INTERRUPTED, MANY = 0.12, 3  # of a side: also shorter lines that end at an edge are rules where so many are
THIN, THIN_PIXELS = 0.03, 8  # the most that they are thick: of the picture's other side, or pixels if that is more
ALONG, BESIDE, GAP = 10, 7, 3  # pixels: averaged to each side along a rule; compared with beside it; closed
STRIP = 0.6  # of a picture's other side: across a shorter one a row's strokes run as far as rules
FINER = 0.7  # of the width of strokes: rules across a strip are as fine
STRIP_ROOM = 0.1  # of its shorter side: where other ink leaves that free at both ends, no stroke runs across
RIDGE = 0.4  # of the least strength of ink: how much a rule is darker than what is beside it, on average
ALIKE, UNEVEN = 1.35, 0.75  # times as thick, and as dark: printed in one go; pixels more that a thickness may differ
UNCROSSED = 0.25  # of the columns of a page's rules, at least, hold nothing else
DARKER = 1.5  # times a rule's strength: stronger ink on it is not the rule's
NEAR, AT_EDGE = 2 * REACH + 1, 3  # pixels from an edge: where lines end there, and where the ink of one shows
LEAST_RULED = 96  # pixels: in a smaller picture a digit's strokes may be as long as rules
LARGE = 600_000  # pixels; rules in larger masks are looked for at half the size or less


def find_rules(ink: Bools, length: int, thickest: float = THICKEST) -> Bools:
    """Return the pixels of level lines at least ``length`` pixels long, without what crosses them.  (H,W) -> (H,W).

    thickest: the most that a rule may be thick, in lengths.
    """
    factor = max(1, math.ceil(math.sqrt(ink.size / LARGE)))
    band = long_lines(thicken(any_of(ink, factor), REACH), max(4, length // factor))
    return _thin_ink(ink, _enlarged(band, factor, ink.shape), thickest * length)


def lines_in(ink: Bools, length: int, reach: int, gap: int = 0) -> Bools:
    """Return the ink on straight, nearly level lines at least ``length`` long, which may bend by ``reach`` pixels.

    (H,W) -> (H,W).  gap: half of the pixels that may be missing in a place.  What crosses the lines, or is thicker than
    a line of this length, does not count.
    """
    return _thin_ink(ink, bands_in(ink, length, reach, gap), LINE_THICKEST * length)


def bands_in(ink: Bools, length: int, reach: int, gap: int = 0) -> Bools:
    """Return where the lines of ``lines_in`` may be, and what crosses them.  (H,W) -> (H,W)."""
    if not 5 <= length <= ink.shape[1]:
        return np.zeros_like(ink)
    padded = thicken(np.pad(ink, ((reach, reach), (0, 0))), reach)
    return long_lines(thicken(padded.T, gap).T, length)[reach:-reach]


def rows_of_lines(length: int) -> int:
    """Return how many rows a line so long may rise or fall, at most, as ``long_lines`` draws it: in rounded steps."""
    return math.ceil(MOST_TURN * length + length.bit_length() / 2)


def _ending_at(band: Bools, across: Bools, strength: Bytes, least: int, factor: int) -> Bools:
    """Return the lines of a band that end at upright lines on both sides, and are as thick and as dark as these.

    band, across: shrunk by ``factor``.  What is thicker or darker is written: a 1 from one rule to the next.
    """
    found = find_pieces(band)
    near = GAP + 1
    ink = strength >= least
    usual = _look(ink.T, strength.T, _enlarged(across, factor, ink.shape).T)
    kept: list[int] = []
    for k, (left, top, right, bottom) in enumerate(found.boxes.tolist()):
        ends = (
            across[top:bottom, max(0, left - near) : left + near],
            across[top:bottom, max(0, right - near) : right + near],
        )
        if not all(end.any() for end in ends):
            continue
        inside = slice(factor * top, factor * bottom), slice(factor * left, factor * right)
        own = _enlarged(found.mask([k], (left, top, right, bottom)), factor, ink[inside].shape)
        if are_alike(_look(ink[inside], strength[inside], own), usual):
            kept.append(k)
    return found.mask(kept, (0, 0, band.shape[1], band.shape[0]))


def _look(ink: Bools, strength: Bytes, band: Bools) -> tuple[float, float]:
    """Return how thick and how dark level lines are, in their middle: medians over their ink."""
    inside = band & ink
    if not inside.any():
        return 0.0, 0.0
    return float(np.median(runs_across(ink)[inside])), float(np.median(strength[inside]))


def are_alike(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Return whether two lines, their thickness in pixels and their strength, look as if printed in one go."""
    (thick, dark), (thick_too, dark_too) = one, other
    even = abs(thick - thick_too) <= UNEVEN + (ALIKE - 1) * min(thick, thick_too)
    return even and max(dark, dark_too) <= ALIKE * min(dark, dark_too)


def rules_of_the_page(strength: Bytes, least: int, known: Bools | None = None, erased: Bools | None = None) -> Bools:
    """Return the pixels of level and upright lines that run across all of a picture.  (H,W) uint8 -> (H,W).

    Ink is averaged along the lines first, so that rules as faint as the paper's noise are found too.  least: the
    strength from which a pixel is ink.  known (H,W): bands of level lines that are found already.  erased
    (H,W): where ink was taken away before.
    """
    ink = strength >= least
    erased = np.zeros_like(ink) if erased is None else erased
    level = _page_band(strength, least, erased)
    upright = _page_band(strength.T, least, erased.T, level.T).T
    if upright.any():
        level |= _page_band(strength, least, erased, upright)
    gone = level & upright & ink  # where rules cross, both are thick
    if known is not None:
        level &= ~known
    return gone | _ink_of_rules(ink, level, strength, erased) | _ink_of_rules(ink.T, upright.T, strength.T, erased.T).T


def _ink_of_rules(ink: Bools, band: Bools, strength: Bytes, erased: Bools) -> Bools:
    """Return the ink of bands of level rules; none if a row that fills its picture may have strokes as long.

    erased (H,W): where other lines were; those of squared paper run across.
    """
    H, W = ink.shape
    found = _own_ink(ink, band, strength, max(THIN_PIXELS, THIN * H))
    if W >= STRIP * H or _is_finer(found, ink, band):
        return found
    others = erased[:, :NEAR].any() and erased[:, -NEAR:].any()
    several = others or len(find_pieces(band)) > 1  # a lone line may be a 1, higher than the other digits
    return found if several and _leaves_room(ink & ~thicken(band, REACH)) else np.zeros_like(found)


def _leaves_room(ink: Bools) -> bool:
    """Return whether there is ink, and none near the left or the right edge of a picture."""
    columns = np.flatnonzero(ink.any(axis=0))
    W = ink.shape[1]
    return bool(len(columns) and columns[0] >= STRIP_ROOM * W and columns[-1] < (1 - STRIP_ROOM) * W)


def _is_finer(lines: Bools, ink: Bools, band: Bools) -> bool:
    """Return whether level lines are finer than the strokes of the ink beside their bands."""
    if not lines.any():
        return False
    others = ink & ~band
    widths = np.minimum(runs_across(ink), runs_across(ink.T).T)
    return bool(others.any() and np.median(widths[lines]) <= FINER * np.median(widths[others]))


def _own_ink(ink: Bools, band: Bools, strength: Bytes, thickest: float) -> Bools:
    """Return the ink of bands of level rules, without strokes that cross them or run along them; none if it is thick.

    The columns in which little crosses them show how thick the rules are, or most of their ink if that is thinner.
    Most columns of a band show how dark its rule is: ink much darker than that is a stroke along it.
    """
    own = np.zeros_like(ink)
    found = find_pieces(band)
    bands = [
        ((slice(top, bottom), slice(left, right)), found.mask([k], (left, top, right, bottom)))
        for k, (left, top, right, bottom) in enumerate(found.boxes.tolist())
    ]
    in_columns = np.concatenate([(ink[inside] & lines).sum(axis=0) for inside, lines in bands] or [[0]])
    if not in_columns.any():
        return own
    runs = runs_across(ink)
    thickness = float(min(np.quantile(in_columns[in_columns > 0], UNCROSSED), np.median(runs[ink & band])))
    if thickness > thickest:
        return own
    thin = ink & (runs <= THICKER * thickness + 1)
    for inside, lines in bands:
        seen = np.where(thin[inside] & lines, strength[inside], 0)
        peaks = seen.max(axis=0)
        if peaks.any():
            own[inside] |= (seen > 0) & (seen <= DARKER * np.median(peaks[peaks > 0]))
    return own


def _page_band(strength: Bytes, least: int, erased: Bools, across: Bools | None = None) -> Bools:
    """Return where level lines run across a picture: ridges of its ink, averaged along the rows.

    across: where upright lines run; level lines from one of them to another are found too.
    """
    H, W = strength.shape
    factor = max(1, math.ceil(math.sqrt(strength.size / LARGE)))
    shorter = max(4, round(max(INTERRUPTED * W, PAGE_PART * min(H, W)) / factor))
    reach = min(ALONG, W // 8)
    # 16 bits are enough: differences of sums are right modulo 65,536, and (2 * ALONG + 1) * 255 is less.
    sums = np.cumsum(np.pad(strength, ((0, 0), (reach + 1, reach)), mode="edge"), axis=1, dtype=np.uint16)
    mean = (sums[:, 2 * reach + 1 :] - sums[:, : -2 * reach - 1]) // (2 * reach + 1)
    ridge = _ridge(mean.astype(np.int16), least)
    gap = max(1, GAP // factor)
    ends = reach + factor * (gap + NEAR + 1)  # so far a stroke may be averaged and closed towards an edge
    for step in (1, -1):  # from the left edge, and from the right one: the views change the ridge itself
        ridge[:, ::step][:, :ends] &= _reaches_edge(strength[:, ::step], least, erased[:, ::step])[:, None]
    small = thicken(thicken(any_of(ridge, factor), REACH).T, gap).T
    inked = small & thicken(thicken(any_of(strength >= least, factor), REACH).T, gap).T
    extended = -(-reach // factor) + gap
    band, many = _spanning(long_lines(small, max(4, round(PAGE_PART * W / factor))), extended)
    many = many or _crosses_many(erased)
    crossed = across is not None and across.any()
    parts = long_lines(inked, shorter) if many or crossed else np.zeros_like(inked)
    if many:
        band |= _spanning(parts, extended, 1)[0]
    if across is not None and crossed:
        band |= _ending_at(parts, any_of(across, factor), strength, least, factor)
    return _enlarged(band, factor, strength.shape)


def _crosses_many(lines: Bools) -> bool:
    """Return whether columns of a picture mostly cross many lines."""
    starts = lines[1:] & ~lines[:-1]
    return bool(np.median(starts.sum(axis=0)) >= MANY)


def _reaches_edge(strength: Bytes, least: int, erased: Bools) -> Bools:
    """Return in which rows (H,), or right beside them, a ridge of the ink begins at the left edge.

    An upright line of squared paper there, and with it where it crosses others, may have been erased.
    """
    width = AT_EDGE + int(erased[:, : 2 * AT_EDGE].any(axis=0).sum())
    at_edge = strength[:, :width].max(axis=1, keepdims=True).astype(np.int16)
    return thicken(_ridge(at_edge, least), 2 * REACH)[:, 0]


def _ridge(mean: AnyArray, least: int) -> Bools:
    """Return where averaged ink (H,W) is stronger than what lies above and below it, beyond a line's thickness."""
    padded = np.pad(mean, ((BESIDE, BESIDE), (0, 0)), mode="edge")
    return mean - np.maximum(padded[: -2 * BESIDE], padded[2 * BESIDE :]) >= max(3, round(RIDGE * least))


def _enlarged(band: Bools, factor: int, shape: tuple[int, int]) -> Bools:
    return np.repeat(np.repeat(band, factor, axis=0), factor, axis=1)[: shape[0], : shape[1]]


def _thin_ink(ink: Bools, band: Bools, thickest: float) -> Bools:
    """Return the ink of a band of level rules, without what crosses them: no pixel if it is thicker than a rule."""
    if not band.any():
        return np.zeros_like(ink)
    thickness = runs_across(ink)
    inside = thickness[band & ink]
    typical = float(np.median(inside)) if inside.size else 0.0
    if not 0 < typical <= thickest:
        return np.zeros_like(ink)
    return band & ink & (thickness <= THICKER * typical + 1)


def _spanning(band: Bools, extended: int, least_edges: int = 2) -> tuple[Bools, bool]:
    """Return the lines that end at edges of the picture, or are nearly as long as it; and whether they are many.

    extended: by how many pixels a line that ends elsewhere is longer in its band.
    """
    found = find_pieces(band)
    if not len(found):
        return band, False
    H, W = band.shape
    left, top, right, bottom = found.boxes.T
    edges = (left <= NEAR).astype(int) + (top <= NEAR) + (right >= W - NEAR) + (bottom >= H - NEAR)
    length = right - left - extended * ((left > NEAR).astype(int) + (right < W - NEAR))
    long = (length >= SPAN * W) & (W >= STRIP * H)
    kept = np.flatnonzero((edges >= least_edges) | (long & (long.sum() >= MANY)))
    return found.mask(kept.tolist(), (0, 0, W, H)), len(kept) >= MANY


def without_rules(ink: Bools, level: int, upright: int, thickest: float = THICKEST) -> Bools:
    """Return ink without level rules of length ``level`` and upright ones of length ``upright``.  (H,W) -> (H,W)."""
    ink = np.logical_and(ink, ~find_rules(ink, level, thickest))
    return np.logical_and(ink, ~find_rules(ink.T, upright, thickest).T)


def runs_across(ink: Bools) -> Ints:
    """Return for each pixel of ink how many pixels of ink lie in one column around it, else 0.  (H,W) -> (H,W)."""
    padded = np.zeros((ink.shape[1], ink.shape[0] + 2), bool)
    padded[:, 1:-1] = ink.T
    flat = padded.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = changes[1::2] - changes[::2]
    out = np.zeros(padded.shape, np.int32)
    out.ravel()[flat] = np.repeat(lengths, lengths)
    return out[:, 1:-1].T


def any_of(ink: Bools, factor: int) -> Bools:
    """Return whether there is ink in each square of ``factor`` x ``factor`` pixels."""
    for axis in (0, 1) if factor > 1 else ():
        lines = np.moveaxis(ink, axis, 0)
        out = lines[::factor].copy(order="K")
        for k in range(1, factor):
            more = lines[k::factor]
            out[: len(more)] |= more
        ink = np.moveaxis(out, 0, axis)
    return ink


def thicken(ink: Bools, reach: int) -> Bools:
    """Return the pixels up to ``reach`` above and below ink."""
    out = ink.copy(order="K")
    for step in range(1, reach + 1):
        out[step:] |= ink[:-step]
        out[:-step] |= ink[step:]
    return out


# The steps that may come next, each so far down and to the right, and those after it; all have the last step in common.
Ways: TypeAlias = "tuple[tuple[int, int, Ways], ...]"


@functools.lru_cache(maxsize=1000)
def _ways(length: int) -> Ways:
    """Return the first steps of straight lines of a length, at slopes so near that none leaves the reach between two.

    A line's pixels are its first and those so far from it as sums of some of its steps: each step doubles the length.
    """
    count = math.ceil(MOST_TURN / (2 * (REACH + 0.5) / length))
    return _steps(np.linspace(-MOST_TURN, MOST_TURN, 2 * count + 1).tolist(), 1, length)


def _steps(slopes: list[float], done: int, length: int) -> Ways:
    """Return the steps after ``done`` pixels: slopes, in order, that go equally far down with one take it together."""
    right = min(done, length - done)
    alike = groupby(slopes, key=lambda slope: round(slope * right)) if right else ()
    return tuple((down, right, _steps(list(some), done + right, length)) for down, some in alike)


def long_lines(ink: Bools, length: int) -> Bools:
    """Return the pixels on straight, nearly level lines of ink of this length: an opening for each slope."""
    H, W = ink.shape
    if length > W or not ink.any():
        return np.zeros_like(ink)
    flat = np.zeros((H, W + 1), bool)  # rows one after the other; no line goes on across the empty column between two
    flat[:, :W] = ink
    found = _opened(flat.ravel(), _ways(length), W + 1)
    return np.zeros_like(ink) if found is None else found.reshape(H, W + 1)[:, :W]


def _opened(starts: Bools, ways: Ways, stride: int) -> Bools | None:
    """Return the pixels of lines that begin in ``starts`` (N,) and have ink after each step; None if there are none.

    stride: from row to row.
    """
    if not ways:
        return starts
    found: Bools | None = None
    for down, right, further in ways:
        far = down * stride + right
        if abs(far) >= len(starts):
            continue
        near, there = (slice(-far), slice(far, None)) if far > 0 else (slice(-far, None), slice(far))
        going = np.zeros(len(starts), bool)
        np.logical_and(starts[near], starts[there], out=going[near])
        lines = _opened(going, further, stride) if going.any() else None
        if lines is not None:
            found = np.zeros(len(starts), bool) if found is None else found
            found |= lines
            found[there] |= lines[near]
    return found
