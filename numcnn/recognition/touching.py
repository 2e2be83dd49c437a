"""Touching digits: a part that the network does not know is cut along seams, if that is likelier.

A seam runs from the top of a part to its foot and crosses as little ink as it can: it goes around strokes, so that it
also parts digits that overlap.  What lies between any two seams may be a digit; the way through the part whose digits
are worth most together wins, if it beats the whole part as one digit.  Digits side by side are about equally high, and
hardly share ink: a cut that makes a low digit, or reads a stroke twice, costs more.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from numcnn.evaluation.calibration import certainty
from numcnn.imaging import pieces
from numcnn.imaging.parts import Part, portraits
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Bools, Floats, Ints
from numcnn.recognition.arbiter import WIDE, worth_apart
from numcnn.recognition.spots import Judge

SEAM_ROWS = 48  # seams are found in a part this high, or up to twice as high
CORRIDORS, SPACING = (0.2, 0.07), 0.05  # heights: how far a seam may leave its column to a side; between the columns
BEND_COST = 0.02  # of a pixel of ink, for every row in which a seam leaves its column
MOST_CROSSED = 2.2  # widths of a stroke that a seam crosses at most
APART = 0.025  # heights: seams that are nearer to each other, where they cross ink, are one
MOST_SEAMS = 10  # for each height of the part's width
CUT_COST = 0.4  # of worth, for every cut
SHARED = 1.3  # widths of a stroke that two digits may share
FREE_SHARED, SHARED_COST = 0.5, 2.0  # of an upright stroke as high as the part: two digits share less than half freely
ONE_COST = 0.3  # of worth, for a 1: the stem of another digit, or of a letter, looks like one
LOW, LOW_COST = 0.85, 4.0  # of the part's height, from which a digit costs nothing; of worth, for each height less
# Of worth: for each height by which the boxes of two neighbours overlap, at most; how many times the whole part's
# counts, and by how much a cut must be worth more.  Of 2,905 touching pairs 2,813 are cut by these, and 54 of 834
# digits that the network hardly knows; by 0, 1 and 0 as many pairs, and 104 digits.
OVERLAP_COST, WHOLE_TRUST, CUT_LEAD = 3.0, 1.5, 0.4
DIGIT_WIDTHS = (0.08, 1.3)  # heights: the least and the largest width of one of several touching digits
TOUCHING_WIDTH, ALONE_WIDTH = 0.5, 0.6  # heights: narrower parts aren't cut, beside sure digits and without
LONGEST = 8  # heights: longer parts, of more than about ten digits, are a drawing or a table
BROAD_PAIR = 0.9  # heights: two digits side by side are mostly broader
BROAD = 0.7  # heights: broader parts are cut for a try, even if the network is sure
# What the network is so certain of, and no wider in heights, is one digit: of two, wide ones, it may see only one.
# Of 703 pairs of touching digits 1.4 to 2.1 heights wide, none of which it took for one digit with more than 0.9962.
ONE_CERTAIN, ONE_WIDEST = 0.99, 1.4
WIDE_CERTAIN, WIDE_WIDEST = 0.998, 2.1
ONE_UNCUT = 0.951  # a digit that is not wide and so probable is worth more than any two with their cut
# Through a hole as high, in heights, a part no wider is cut without doubt if all its digits have such a certainty.
HOLE, HOLED_WIDEST, HOLED_CERTAIN = 0.25, 1.6, 0.65
LEAST_HEIGHT = 0.65  # of the part's height: no digit cut out of it is lower
LEAST_ALONE = 0.85, 0.97  # probability of each digit cut out of a broad or slim part with no sure digit beside it
CRUMB = 0.07  # of a digit's ink: smaller pieces, cut off by a seam, are the neighbour's
MOST_PIXELS = 1_000_000  # of what lies between seams, looked at together


def may_be_several(part: Part, probability: float, sure_from: float) -> bool:
    """Return whether a part that is one digit with this probability is worth cutting."""
    width = _width(part)
    if width > WIDE:
        certain = ONE_CERTAIN if width <= ONE_WIDEST else WIDE_CERTAIN
        return width > WIDE_WIDEST or probability < certain
    return probability < sure_from or (width > BROAD and probability < ONE_UNCUT)


class Cut(NamedTuple):
    """A part cut into digits, or alone if it is worth more as one; and whether that is doubtful, as of an outline."""

    digits: list[Part]
    doubtful: bool = False


def cut_apart(sheet: Sheet, part: Part, judge: Judge, whole: Floats, alone: bool) -> Cut:
    """Cut a part into digits if these are worth more than the part as one digit.

    whole (10,): the network's probabilities for the part.  alone: hardly any digit beside it is sure, so that it may
    as well be a letter.  Doubtful is a cut through a high hole, as of a house or a heart, unless the network is certain
    of every digit, and none is a 1: a side of the outline looks like one.
    """
    if not (ALONE_WIDTH if alone else TOUCHING_WIDTH) <= _width(part) <= LONGEST:
        return Cut([part])
    cuts = seams(part.mask)
    found = _segments(part, cuts)
    if not found:
        return Cut([part])
    probabilities = judge(portraits(sheet, list(found.values())))
    ones = probabilities.argmax(axis=1) == 1
    worths = worth_apart(probabilities, np.array([_width(segment) for segment in found.values()])) - ONE_COST * ones
    heights = np.array([segment.height for segment in found.values()]) / part.height
    worths -= LOW_COST * np.maximum(0, LOW - heights)
    likely = probabilities.max(axis=1) >= (LEAST_ALONE[int(_width(part) < BROAD_PAIR)] if alone else 0)
    values = {place: float(worths[k]) for k, place in enumerate(found) if likely[k]}
    total, way = _best_way(values, _shared(part, cuts))
    chosen = [k for k, place in enumerate(found) if place in way]
    digits = [found[place] for place in way]
    stems = alone and bool(ones[chosen].all())  # of an A, an H
    as_one = WHOLE_TRUST * float(worth_apart(whole[None], np.array([_width(part)]))[0]) + CUT_LEAD
    if not way or stems or total - OVERLAP_COST * _overlap(digits) / part.height <= as_one:
        return Cut([part])
    held = bool(certainty(probabilities[chosen]).min() >= HOLED_CERTAIN and not ones[chosen].any())
    holed = not held and _width(part) <= HOLED_WIDEST and _crosses_hole(part.mask, [cuts[i] for i, _ in way])
    return Cut(digits, holed)


def _overlap(digits: Sequence[Part]) -> int:
    """Return by how many columns the boxes of two neighbours overlap, at most."""
    return max((max(0, one.box[2] - other.box[0]) for one, other in pairwise(digits)), default=0)


def _width(part: Part) -> float:
    return part.width / part.height


def _best_way(values: dict[tuple[int, int], float], shared: Floats) -> tuple[float, list[tuple[int, int]]]:
    """Return the best sum of values over steps (i, j) from the first cut to the last, less what the cuts cost.

    shared (C,C): what it costs that one digit begins at cut i and another ends at cut j >= i; inf if it may not.
    """
    best: list[tuple[float, list[tuple[int, int]]]] = [(0.0, [])] + [(-np.inf, [])] * (len(shared) - 1)
    for (i, j), value in sorted(values.items(), key=lambda item: item[0][1]):
        for before in range(i, j):
            if (i == 0) == (before == 0):
                total = best[before][0] + value - (CUT_COST + shared[i, before] if i else 0)
                if total > best[j][0]:
                    best[j] = total, [*best[before][1], (i, j)]
    return best[-1] if len(shared) > 1 else (-np.inf, [])


def _shared(part: Part, cuts: list[Ints]) -> Floats:
    """Return what the ink costs that two digits share, the one from cut i on, the other to cut j -> (C,C).

    inf where that is more than about a stroke.
    """
    stroke = float(np.median(_thickness(part.mask.astype(np.float32))))
    middles = np.array([cut.mean() for cut in cuts])
    left = _left_of(part.mask, np.array(cuts)).sum(axis=1).astype(np.float64)
    cost = SHARED_COST * np.maximum(0, (left - left[:, None]) / (stroke * part.height) - FREE_SHARED)
    return np.where(middles - middles[:, None] <= SHARED * stroke, cost, np.inf).astype(np.float32)


def seams(mask: Bools) -> list[Ints]:
    """Return where a part (h,w) may be cut, from left to right; the first and the last seam are its two sides.

    A seam (h,) is the column from which on ink is to its right, row by row.
    """
    h, w = mask.shape
    factor = max(1, h // SEAM_ROWS)
    small = _shrunk(mask, factor)
    paths, crossed = (
        np.concatenate(each) for each in zip(*(_cheapest(small, reach) for reach in CORRIDORS), strict=True)
    )
    stroke = max(1.0, float(np.median(_thickness(small))))
    order = [k for k in np.argsort(crossed, kind="stable") if crossed[k] <= MOST_CROSSED * stroke]
    most = math.ceil(MOST_SEAMS * max(1, w / h))
    left, middles = _left_of(small > 0, paths), paths.mean(axis=1)
    inside = (middles > 0.06 * len(small)) & (middles < small.shape[1] - 0.06 * len(small))
    chosen: list[int] = []
    for k in order:
        # Where there is ink between two seams, how far they are apart, on average over their rows.
        apart = np.abs(left[k] - left[chosen]).sum(axis=1) / len(small)
        if inside[k] and apart.min(initial=np.inf) >= APART * len(small):
            chosen.append(int(k))
            if len(chosen) == most:
                break
    chosen.sort(key=lambda k: float(middles[k]))
    found = [np.repeat(paths[k] * factor, factor)[:h] for k in chosen]
    return [np.zeros(h, np.intp), *found, np.full(h, w, np.intp)]


def _crosses_hole(mask: Bools, cuts: list[Ints]) -> bool:
    """Return whether a seam of a part (h,w) runs through a high hole: a house's, or that of digits that touch twice."""
    h, w = mask.shape
    outside = pieces.find_pieces(np.pad(~mask, 1, constant_values=True)).mask([0], (1, 1, w + 1, h + 1))
    holes = np.pad(~mask & ~outside, ((0, 0), (0, 1)))
    return bool((holes[np.arange(h), np.minimum(cuts, w)].sum(axis=1) >= HOLE * h).any())


def _left_of(ink: Bools, paths: Ints) -> Ints:
    """Return how many pixels of ink (h,w) are left of each of K seams (K,h) in each row -> (K,h)."""
    counts = np.zeros((len(ink), ink.shape[1] + 1), np.intp)
    np.cumsum(ink, axis=1, out=counts[:, 1:])
    return counts[np.arange(len(ink)), np.minimum(paths, ink.shape[1])]


def _shrunk(mask: Bools, factor: int) -> Floats:
    """Return how much ink there is in each square of ``factor`` x ``factor`` pixels, 0..1."""
    h, w = (-(-side // factor) * factor for side in mask.shape)
    padded = np.zeros((h, w), np.float32)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    return padded.reshape(h // factor, factor, w // factor, factor).mean(axis=(1, 3))


def _thickness(ink: Floats) -> Ints:
    """Return how long each level run of ink is (K,): about a stroke's width, for most."""
    found = pieces.find_pieces(ink >= 0.5)
    return found.stops - found.starts if len(found) else np.ones(1, np.intp)


def _cheapest(ink: Floats, corridor: float) -> tuple[Ints, Floats]:
    """Return seams (K,h) from the top of ink (h,w) to its foot, near each of K columns, and what they cross (K,)."""
    h, w = ink.shape
    reach = max(1, round(corridor * h))
    middles = np.arange(0, w, max(1, round(SPACING * h)))
    padded = np.pad(ink, ((0, 0), (reach, reach)))
    places = middles[:, None] + np.arange(2 * reach + 1)  # in padded columns
    bend = BEND_COST * (np.abs(np.arange(-reach, reach + 1)) / reach).astype(np.float32)
    total = padded[0][places] + bend
    turns = np.zeros((h, *total.shape), np.int8)
    for row in range(1, h):
        sides = np.pad(total, ((0, 0), (1, 1)), constant_values=np.inf)
        options = np.stack([sides[:, :-2] + BEND_COST, total, sides[:, 2:] + BEND_COST])
        turns[row] = options.argmin(axis=0) - 1
        total = options.min(axis=0) + padded[row][places] + bend
    at = total.argmin(axis=1)
    each = np.arange(len(middles))
    paths = np.empty((len(middles), h), np.intp)
    for row in range(h - 1, -1, -1):
        paths[:, row] = at
        at = at + turns[row, each, at]
    paths += middles[:, None]
    crossed = padded[np.arange(h), paths].sum(axis=1)
    return np.clip(paths - reach, 0, w), crossed


def _segments(part: Part, cuts: list[Ints]) -> dict[tuple[int, int], Part]:
    """Return what lies between two cuts (i, j), without crumbs, for all but the whole part and what can't be a digit.

    Many are computed together, one below the other in one picture with an empty row between.
    """
    h = part.height
    sides = np.array(cuts)
    first, last = np.triu_indices(len(cuts), 1)
    narrow = np.median(sides[last] - sides[first], axis=1) <= (DIGIT_WIDTHS[1] + 2 * CORRIDORS[0]) * h
    chosen = np.flatnonzero(narrow & ((first > 0) | (last < len(cuts) - 1)))
    found: dict[tuple[int, int], Part] = {}
    lefts, rights = sides.min(axis=1)[first], sides.max(axis=1)[last]
    for some in _together(chosen, lefts, rights, h + 1):
        begin, end = int(lefts[some].min()), int(rights[some].max())
        boxes, masks = _whole_pieces(part.mask[:, begin:end], sides[first[some]] - begin, sides[last[some]] - begin)
        for k, mask, (left, top, right, bottom) in zip(some.tolist(), masks, boxes.tolist(), strict=True):
            if bottom - top >= LEAST_HEIGHT * h and DIGIT_WIDTHS[0] * h <= right - left <= DIGIT_WIDTHS[1] * h:
                x, y = part.box[0] + begin, part.box[1]
                box = x + left, y + top, x + right, y + bottom
                found[int(first[k]), int(last[k])] = Part(box, mask[top:bottom, left:right].copy())
    return found


def _together(chosen: Ints, lefts: Ints, rights: Ints, rows: int) -> Iterator[Ints]:
    """Yield the chosen indices in groups: those whose columns, of so many rows each, make at most MOST_PIXELS."""
    first = 0
    for k in range(1, len(chosen) + 1):
        some = chosen[first : k + 1]
        width = int(rights[some].max() - lefts[some].min())
        if k == len(chosen) or len(some) * rows * width > MOST_PIXELS:
            yield chosen[first:k]
            first = k


def _whole_pieces(ink: Bools, first: Ints, last: Ints) -> tuple[Ints, Bools]:
    """Return boxes (P,4) of ink (h,w) between P pairs of seams (P,h), and that ink without crumbs, (P,h,w).

    A box is left, top, right, bottom; all 0 without ink.
    """
    h, w = ink.shape
    columns = np.arange(w)
    masks = np.zeros((len(first), h + 1, w), bool)
    masks[:, :h] = ink & (columns >= first[:, :, None]) & (columns < last[:, :, None])
    found = pieces.find_pieces(masks.reshape(-1, w))
    owners = found.boxes[:, 1] // (h + 1)
    whole = found.areas >= CRUMB * np.bincount(owners, found.areas, len(masks))[owners]
    if not whole.all():
        pixels, piece = found.pixels()
        masks.reshape(-1)[pixels[~whole[piece]]] = False
    boxes = np.zeros((len(masks), 4), np.intp)
    owners, kept = owners[whole], found.boxes[whole]
    if len(owners):
        at = np.flatnonzero(np.diff(owners, prepend=-1))
        boxes[owners[at], :2] = np.minimum.reduceat(kept[:, :2], at)
        boxes[owners[at], 2:] = np.maximum.reduceat(kept[:, 2:], at)
        boxes[owners[at], 1::2] -= (owners[at] * (h + 1))[:, None]
    return boxes, masks[:, :h]
