"""Touching digits: a part that the network does not know is cut where its ink is narrow, if that is likelier."""

import numpy as np

from numcnn.imaging.parts import Part, portraits
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Bools
from numcnn.recognition.spots import Judge

SLANTS = (0.0, 0.25, -0.15)  # columns to the left per row down, of a cut
MOST_CUTS = 6  # for each height of the part's width
CUT_COST = 0.25  # of log probability, for every cut
ONE_COST = 0.5  # of log probability, for a 1: the stem of a letter looks like one
DIGIT_WIDTHS = (0.08, 1.3)  # heights: the least and the largest width of one of several touching digits
TOUCHING_WIDTH, ALONE_WIDTH = 0.7, 1.05  # heights: narrower parts aren't cut, beside sure digits and without
WIDE, WIDE_COST = 1.2, 0.2  # heights: a part this wide is rather two digits, by this much log probability
LEAST_CUT, LEAST_ALONE = 0.6, 0.9  # the least probability of each digit cut out, beside sure digits and without


def cut_apart(sheet: Sheet, part: Part, judge: Judge, whole: float, alone: bool) -> list[Part]:
    """Cut a part into digits if that is likelier than one digit of probability ``whole``; else return it alone.

    alone: there are no sure digits beside it, so that it may as well be a letter.
    """
    best, chosen = float(np.log(max(whole, 1e-6))), [part]
    if part.width > WIDE * part.height:
        best -= WIDE_COST
    if part.width < (ALONE_WIDTH if alone else TOUCHING_WIDTH) * part.height:
        return chosen
    least = LEAST_ALONE if alone else LEAST_CUT
    options: list[tuple[float, list[int]]] = [(slant, _cuts(part, slant)) for slant in SLANTS]
    segments: list[Part | None] = []
    places: list[tuple[int, int, int]] = []
    for s, (slant, cuts) in enumerate(options):
        for i in range(len(cuts)):
            for j in range(i + 1, len(cuts)):
                if (i, j) != (0, len(cuts) - 1):
                    segments.append(_between(part, slant, cuts[i], cuts[j]))
                    places.append((s, i, j))
    usable = [k for k, segment in enumerate(segments) if segment is not None]
    if not usable:
        return chosen
    images = portraits(sheet, [segment for segment in segments if segment is not None])
    probabilities = judge(images)
    costs = ONE_COST * (1 + alone) * (probabilities.argmax(axis=1) == 1)
    values = dict(zip(usable, (np.log(probabilities.max(axis=1)) - costs).tolist(), strict=True))
    likely = dict(zip(usable, probabilities.max(axis=1).tolist(), strict=True))
    score = {places[k]: (values[k], segments[k]) for k in usable if likely[k] >= least}
    for s, (_, cuts) in enumerate(options):
        total, way = _best_way(len(cuts), {(i, j): value for (t, i, j), (value, _) in score.items() if t == s})
        if way and total > best:
            best = total
            chosen = [piece for i, j in way if (piece := score[s, i, j][1]) is not None]
    return chosen


def _best_way(count: int, scores: dict[tuple[int, int], float]) -> tuple[float, list[tuple[int, int]]]:
    """Return the best sum of scores over steps (i, j) from place 0 to the last, each step after the first at a cost."""
    best: list[tuple[float, list[tuple[int, int]]]] = [(0.0, [])] + [(-np.inf, [])] * (count - 1)
    for (i, j), value in sorted(scores.items(), key=lambda item: item[0][1]):
        total = best[i][0] + value - (CUT_COST if i else 0)
        if total > best[j][0]:
            best[j] = total, [*best[i][1], (i, j)]
    return best[-1] if count > 1 else (-np.inf, [])


def _cuts(part: Part, slant: float) -> list[int]:
    """Return where to cut, in columns of the slanted part: its two ends, and where little ink would be cut between."""
    sheared = _sheared(part.mask, slant)
    ink = sheared.sum(axis=0).astype(np.float64)
    used = np.flatnonzero(ink)
    first, last = int(used[0]), int(used[-1]) + 1
    soft = np.convolve(np.pad(ink, 2, mode="edge"), np.array([1, 2, 3, 2, 1]) / 9, mode="valid")
    spacing = max(2, round(0.08 * part.height))
    inner = np.arange(first + spacing, last - spacing)
    cuts: list[int] = []
    for x in inner[np.argsort(soft[inner], kind="stable")]:
        if all(abs(x - other) >= spacing for other in cuts):
            cuts.append(int(x))
            if len(cuts) >= MOST_CUTS * max(1, part.width / part.height):
                break
    return [first, *sorted(cuts), last]


def _sheared(mask: Bools, slant: float) -> Bools:
    """Move each row to the right by slant times how far it is from the top, or from the foot if negative."""
    h, w = mask.shape
    moves = np.rint(slant * (np.arange(h) if slant >= 0 else np.arange(h) - (h - 1))).astype(int)
    out = np.zeros((h, w + int(moves.max()) + 1), bool)
    rows, columns = np.nonzero(mask)
    out[rows, columns + moves[rows]] = True
    return out


def _between(part: Part, slant: float, first: int, last: int) -> Part | None:
    """Return what lies between two cuts; None if that can't be a digit."""
    h, w = part.mask.shape
    if not DIGIT_WIDTHS[0] * h <= last - first <= DIGIT_WIDTHS[1] * h:
        return None
    moves = np.rint(slant * (np.arange(h) if slant >= 0 else np.arange(h) - (h - 1))).astype(int)
    columns = np.arange(w) + moves[:, None]
    mask = part.mask & (columns >= first) & (columns < last)
    rows, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) < 0.45 * h:
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, across[0], across[-1] + 1
    x, y = part.box[0], part.box[1]
    return Part((int(x + left), int(y + top), int(x + right), int(y + bottom)), mask[top:bottom, left:right])
