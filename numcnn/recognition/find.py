"""Find the digits in a picture, step by step: light, ink, pieces, rules, lines of text, digits.

1. ``lay_out``: the light is divided out, what is left of the paper's light is ink; ink that touches is one piece.
2. ``take_rules_out``: frames, tables and ruled lines leave the pieces that hold them; strokes across them stay.
3. ``cut_apart``: a piece that the network doesn't know is cut where its ink is narrow, if the parts are likelier.
4. ``text_lines``: pieces side by side make a line of text, on a page that may lie a little askew.
5. ``join``: along a line the pieces are joined to digits, so that the product of their probabilities is largest.

Both dark ink on light paper and light ink on dark paper are tried if the first leaves doubts; the one whose digits the
network finds likelier counts.  The network is the arbiter in all of this: it was trained to be unsure of two digits at
once, of parts and of letters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np

from numcnn.errors import DataError
from numcnn.imaging import paper, pieces, rules
from numcnn.imaging.preprocess import centred, drop_paper, otsu_threshold, prepare
from numcnn.kernels.arrays import AnyArray, Bools, Bytes, Floats, Ints

Box: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom, the last two just outside
Judge: TypeAlias = Callable[[Bytes], Floats]  # pictures (N,28,28) -> probabilities (N,10)

CLEAR = 0.45  # of a piece's strongest ink: weaker pixels of it are paper, a rule behind it, or its blurred edge
HALO, HALO_LEAST = 12, 0.3  # pixels around strong ink, and the part of its strength that other ink there must have
STAIN = 0.15  # of the sheet's strong ink: weaker marks are stains
LEAST_RULED = 96  # pixels: in a smaller picture a digit's strokes may be as long as rules
DARKER = 1.5  # times a rule's strength: stronger ink on it is not the rule's
LARGE = 800  # pixels: a picture's shorter side, from which a quarter of the pixels tells how wide strokes are
STROKES = 4  # widths of a stroke from which on something dark is a shadow, to either side
ROOM = 4  # pixels of paper around digits that are looked at as one
MARGIN = 2  # pixels around a piece's clear ink that belong to its soft edge
LEAST_SIDE = 5  # pixels; smaller pieces are dust
MOST_PARTS = 500  # more pieces than this are texture; the largest count
FRAME_BAND, FRAME_FILLED = 0.12, 0.88  # of a side: a frame has ink this near to the side along this much of it
EQUAL = 0.08  # of their length: how much the ends of equal lines differ
HAIR = 0.25  # of a digit's ink per pixel of its height: a thinner line is what is left of a rule or of a shadow's edge
FRAME_THICKEST = 0.35  # of the length of its shortest side that is looked for, a frame's line
BLOT_FILLED = 0.68  # of its box, in a shape less than twice as long as wide: no digit fills that much
RULE_PART, SHORT_RULE_PART = 0.6, 0.85  # of a piece's longer and shorter side that a rule along it has at least
LONGEST_RULE = 200  # pixels; longer rules are found by a part of them
MANY_HEIGHTS = 2.5  # heights of a digit: a longer thin piece is a rule


@dataclass(eq=False)
class Sheet:
    """Ink of one polarity: its strength (H,W), from which rules are erased; clear ink (H,W); its pieces.

    erased (H,W): the rules.
    """

    ink: paper.Ink
    strength: Bytes
    clear: Bools
    pieces: pieces.Pieces
    erased: Bools


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


# 1. Light, ink, pieces


def lay_out(colours: Bytes, light: bool = False) -> Sheet:
    """Find the ink in a picture.  colours: uint8 (H,W) or (H,W,3) -> ``Sheet``.  light: light ink on a dark ground.

    The window that tells strokes from shadows is first a third of the picture, then eight strokes wide.
    """
    if colours.ndim == 3:
        same = [lighter == light for lighter in paper.lighter_channels(colours)]
        colours = colours[:, :, same] if any(same) else colours
    ink, erased = without_page_rules(paper.ink_on_paper(colours, _window(colours, light), light=light))
    clear = clear_ink(ink)
    found = pieces.find_pieces(clear)
    return Sheet(ink, ink.strength.copy(), clear, found, erased)


def _window(colours: Bytes, light: bool) -> int:
    """Return the reach of the window that tells strokes from shadows; in large pictures from every second pixel."""
    side = min(colours.shape[:2])
    if side < 40:
        return side
    widest = max(3, side // 6)
    step = 2 if side >= LARGE else 1
    some = np.ascontiguousarray(colours[::step, ::step])
    ink = paper.ink_on_paper(some, widest // step, light=light)
    better = max(6, round(STROKES * step * pieces.find_pieces(clear_ink(ink)).typical_run()))
    return better if better < 0.6 * widest else widest


def without_page_rules(ink: paper.Ink) -> tuple[paper.Ink, Bools]:
    """Return ink without the lines printed across all of a picture, unless there is nothing else; and these, (H,W)."""
    all_ink = ink.smooth >= ink.least
    nothing = np.zeros_like(all_ink)
    if min(all_ink.shape) < LEAST_RULED:
        return ink, nothing
    gone = rules.rules_of_the_page(ink.smooth, ink.least)
    if not gone.any():
        return ink, nothing
    gone &= ink.smooth <= DARKER * np.quantile(ink.smooth[gone], 0.6)  # darker ink crosses the rule
    if gone.sum() > 0.95 * all_ink.sum():
        return ink, nothing
    return ink._replace(strength=np.where(gone, 0, ink.strength), smooth=np.where(gone, 0, ink.smooth)), gone


def clear_ink(ink: paper.Ink) -> Bools:
    """Return where there is ink, (H,W): each piece of all that is no paper counts from half its own strength on.

    Marks much weaker than strong ink beside them are what JPEG and a lens leave around strokes; marks much weaker than
    the sheet's ink are stains.
    """
    beside = paper.running(ink.smooth, HALO, 0, largest=True)
    beside = paper.running(beside, HALO, 1, largest=True)
    found = pieces.find_pieces(ink.smooth >= ink.least)
    clear = np.zeros(ink.smooth.size, bool)
    if len(found):
        indices, owners = found.pixels()
        strengths = ink.smooth.ravel()[indices]
        peaks = _peaks(strengths, owners, found.areas)
        level = float(np.mean(strengths[strengths >= otsu_threshold(strengths.astype(np.float32))]))
        least = np.maximum(np.maximum(CLEAR * peaks, STAIN * level), ink.least)
        clear[indices] = strengths >= np.maximum(least[owners], HALO_LEAST * beside.ravel()[indices])
    return clear.reshape(ink.smooth.shape)


def _peaks(strengths: Bytes, owners: Ints, areas: Ints) -> Floats:
    """Return the strength that 0.5% of each piece's pixels, but at least three of them, exceed -> (P,)."""
    order = np.lexsort((strengths, owners))
    ends = np.cumsum(areas)
    above = np.clip(areas // 200, 2, None)
    at = np.maximum(ends - 1 - above, ends - areas)
    return strengths[order][at].astype(np.float32) if len(areas) else np.empty(0, np.float32)


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
    mask = np.zeros((bottom - top, right - left), bool)
    for part in parts:
        x, y = part.box[0] - left, part.box[1] - top
        mask[y : y + part.height, x : x + part.width] |= part.mask
    return Part((left, top, right, bottom), mask)


def portrait(sheet: Sheet, part: Part) -> Bytes:
    """Return a part as MNIST's makers would have made it, (28,28) uint8; all 0 if nothing of it is strong enough."""
    H, W = sheet.strength.shape
    left, top = max(0, part.box[0] - MARGIN), max(0, part.box[1] - MARGIN)
    right, bottom = min(W, part.box[2] + MARGIN), min(H, part.box[3] + MARGIN)
    own = np.zeros((bottom - top, right - left), bool)
    x, y = part.box[0] - left, part.box[1] - top
    own[y : y + part.height, x : x + part.width] = part.mask
    others = sheet.clear[top:bottom, left:right] & ~own
    near = pieces.dilate(own, MARGIN) & ~(pieces.dilate(others, 1) & ~own)
    ink = np.where(near, sheet.strength[top:bottom, left:right], 0).astype(np.float32)
    if not ink.any():
        return np.zeros((28, 28), np.uint8)
    return centred(drop_paper(ink, 0.8 * sheet.ink.least))


def portraits(sheet: Sheet, parts: Sequence[Part]) -> Bytes:
    """Return ``portrait`` of each part, (N,28,28)."""
    return np.array([portrait(sheet, part) for part in parts], np.uint8).reshape(-1, 28, 28)


# 2. Rules


def take_rules_out(sheet: Sheet, parts: list[Part], judge: Judge, sure_from: float) -> tuple[list[Part], Floats]:
    """Take frames and rules out of the parts that hold some; what goes is erased from the sheet.

    Return the parts, and how likely each is a digit.  A frame, or a part much larger than a digit, loses its rules; of
    an unsure part rules go only if that leaves one sure digit.
    """
    highest = _highest(sheet, parts, judge)
    height = typical_height(parts, highest, sure_from)
    kept: list[Part] = []
    likely: list[float] = []
    for part, probability in zip(parts, highest.tolist(), strict=True):
        large = is_frame(part.mask) or part.side >= MANY_HEIGHTS * height
        inside = _rules_out(part) if large or probability < sure_from else None
        if inside is None:
            kept.append(part)
            likely.append(probability)
            continue
        rest, pieces_left = inside
        before = _erase(sheet, part, part.mask & ~rest)
        chances = _highest(sheet, pieces_left, judge).tolist()
        if not large and not _leaves_a_digit(part, pieces_left, chances, sure_from):
            _restore(sheet, part, before)
            kept.append(part)
            likely.append(probability)
            continue
        kept += pieces_left
        likely += chances
    return kept, np.array(likely, np.float32)


def _rules_out(part: Part) -> tuple[Bools, list[Part]] | None:
    """Return what is left of a part without rules, and its pieces; None if it holds none."""
    if part.side < 16:
        return None
    level, upright = (
        min(LONGEST_RULE, round((RULE_PART if side > other else SHORT_RULE_PART) * side)) if side >= 16 else 10**9
        for side, other in ((part.width, part.height), (part.height, part.width))
    )
    framed = is_frame(part.mask)
    rest = rules.without_rules(part.mask, level, upright, FRAME_THICKEST if framed else rules.THICKEST)
    if rest.sum() == part.mask.sum():
        return None
    found = pieces.find_pieces(rest)
    ones = [part_of(found, [k]) for k in range(len(found))]
    left, top, _, _ = part.box
    return rest, [
        Part((one.box[0] + left, one.box[1] + top, one.box[2] + left, one.box[3] + top), one.mask)
        for one in ones
        if one.side >= LEAST_SIDE and not (framed and _is_along_a_side(one, part))
    ]


def _is_along_a_side(one: Part, part: Part) -> bool:
    """Return whether a piece, in its part's own coordinates, lies all along a side: what is left of a frame."""
    left, top, right, bottom = one.box
    across, down = max(3, round(FRAME_BAND * part.width)), max(3, round(FRAME_BAND * part.height))
    return right <= across or bottom <= down or left >= part.width - across or top >= part.height - down


def _erase(sheet: Sheet, part: Part, gone: Bools) -> tuple[Bytes, Bools, Bools]:
    """Erase some pixels of a part from the sheet; return what was in its box."""
    left, top, right, bottom = part.box
    inside = slice(top, bottom), slice(left, right)
    before = sheet.strength[inside].copy(), sheet.clear[inside].copy(), sheet.erased[inside].copy()
    sheet.strength[top:bottom, left:right][gone] = 0
    sheet.clear[top:bottom, left:right][gone] = False
    sheet.erased[top:bottom, left:right] |= gone
    return before


def _restore(sheet: Sheet, part: Part, before: tuple[Bytes, Bools, Bools]) -> None:
    left, top, right, bottom = part.box
    inside = slice(top, bottom), slice(left, right)
    sheet.strength[inside], sheet.clear[inside], sheet.erased[inside] = before


def rests_of_rules(sheet: Sheet, parts: list[Part]) -> set[int]:
    """Return which parts are lines between erased rules, or one of several equal ones that stand on them."""
    if not sheet.erased.any():
        return set()
    thickness = min(pieces.find_pieces(lines).typical_run() for lines in (sheet.erased, sheet.erased.T))
    ends = [_ends_at_rules(sheet, part, 1.5 * thickness + 1) for part in parts]
    rests = {k for k, count in enumerate(ends) if count == 2}
    standing = [k for k, count in enumerate(ends) if count == 1]
    for k in standing:
        level = 0 if parts[k].width > parts[k].height else 1
        for other in standing:
            apart = np.abs(np.subtract(parts[k].box, parts[other].box))[[level, level + 2]].max()
            if other != k and apart <= EQUAL * parts[k].side:
                rests.add(k)
    return rests


def _ends_at_rules(sheet: Sheet, part: Part, thickest: float) -> int:
    """Return at how many of its ends a straight level or upright line meets erased rules; 0 if it is no such line."""
    thickness = float(part.mask.sum()) / part.side
    straight = min(part.width, part.height) <= 1.6 * thickness + 1 and part.side >= 5 * thickness
    if not straight or thickness > thickest:
        return 0
    left, top, right, bottom = part.box
    near = MARGIN + 2
    if part.width > part.height:
        ends = ((top, bottom, left - near, left + near), (top, bottom, right - near, right + near))
    else:
        ends = ((top - near, top + near, left, right), (bottom - near, bottom + near, left, right))
    return sum(bool(sheet.erased[max(0, y) : v, max(0, x) : w].any()) for y, v, x, w in ends)


def _leaves_a_digit(part: Part, left: list[Part], chances: list[float], sure_from: float) -> bool:
    """Return whether without rules one sure digit is left of a part, shorter than the part along one side."""
    if not left:
        return False
    k = int(np.argmax([one.mask.sum() for one in left]))
    whole = left[k].mask.sum() > 0.85 * sum(one.mask.sum() for one in left)
    shorter = left[k].width < 0.87 * part.width or left[k].height < 0.87 * part.height
    return bool(whole and shorter and chances[k] >= sure_from and left[k].side > 0.4 * part.side)


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


def is_blot(part: Part) -> bool:
    """Return whether a part is a filled shape and no line: a hole, a spot, a corner of shadow."""
    filled = part.mask.mean() > BLOT_FILLED and part.side < 2 * min(part.width, part.height)
    return bool(filled and part.side >= 10)


def typical_height(parts: Sequence[Part], highest: Floats, sure_from: float) -> float:
    """Return the height of a digit: the median over sure parts, each weighted by its height; else the largest part."""
    if not parts:
        return 1.0
    heights = np.array([part.height for part in parts], np.float64)
    sure = (highest >= sure_from) & ~np.array([is_frame(part.mask) for part in parts])
    if not sure.any():
        return float(max(heights.max(), 1))
    heights = np.sort(heights[sure])
    return float(heights[np.searchsorted(np.cumsum(heights), heights.sum() / 2)])


# 3. Touching digits

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


# 4. Lines of text


def text_lines(boxes: Ints) -> list[list[int]]:
    """Order boxes (N,4) as people read: lines from top to bottom, each from left to right -> indices.

    Neighbours side by side are linked; their links tell how the page is turned; then what stands level is one line.
    """
    if len(boxes) == 0:
        return []
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    heights = (boxes[:, 3] - boxes[:, 1]).astype(np.float64)
    y = y - _slope(boxes, x, y) * x
    lines: list[list[int]] = []
    for k in np.argsort(y, kind="stable").tolist():
        near = [line for line in lines if _level(y, heights, line, k)]
        if near:
            min(near, key=lambda line: abs(float(np.median(y[line])) - y[k])).append(k)
        else:
            lines.append([k])
    lines = [sorted(line, key=lambda k: x[k]) for line in lines]
    return sorted(lines, key=lambda line: float(np.median(y[line])))


def _level(y: Floats, heights: Floats, line: list[int], k: int) -> bool:
    """Return whether box k stands on the same level as a line of boxes."""
    return bool(abs(float(np.median(y[line])) - y[k]) < 0.5 * max(float(np.median(heights[line])), 0.8 * heights[k]))


def _slope(boxes: Ints, x: Floats, y: Floats) -> float:
    """Return by how many pixels lines of text fall per pixel to the right: the median over links of neighbours."""
    slopes, weights = [], []
    for k, (_, top, right, bottom) in enumerate(boxes):
        others = (x > right) & (x - right < 4 * (bottom - top))
        shared = np.minimum(boxes[:, 3], bottom) - np.maximum(boxes[:, 1], top)
        heights = boxes[:, 3] - boxes[:, 1]
        others &= shared > 0.4 * np.maximum(heights, bottom - top)
        if others.any():
            nearest = int(np.flatnonzero(others)[np.argmin(x[others])])
            slopes.append((y[nearest] - y[k]) / (x[nearest] - x[k]))
            weights.append(x[nearest] - x[k])
    if len(slopes) < 3:
        return 0.0
    order = np.argsort(slopes)
    total = np.cumsum(np.array(weights)[order])
    return float(np.clip(np.array(slopes)[order][np.searchsorted(total, total[-1] / 2)], -0.25, 0.25))


# 5. Pieces to digits

SMALLER = 0.45  # of a digit's height: smaller parts are parts of one, or dust, or stand in a line of small digits
AROUND, CLEAR_GROUND = 0.25, 0.65  # sizes around a part, and how much of that must be paper
SHADED = 0.3  # of the way from a part's ink to its paper: a darker ground around it is no paper in a shadow
SOFT_EDGE, SOFT = 0.05, 0.35  # sizes of a part: this much of its ink, this far outside its edge, is no blur
STACK_GAP = 0.15  # heights between parts above each other in one digit, at most; lines of text are farther apart
SPECK = 0.15  # heights: smaller parts belong to a digit only if they nearly touch it
ATTACHED, TOUCHED = 0.5, 0.05  # heights: how near a small part is to the digit that it may belong to, and a speck
LEAST_PART, LEAST_HEIGHT = 0.03, 20  # of a picture's shorter side, and pixels: smaller digits can't be told from dust
MOST_JOINED = 4  # parts of one digit
JOIN_GAP = 0.4  # heights between parts of one digit, at most
JOIN_WIDTH, JOIN_HEIGHT = 1.5, 1.5  # heights of a line's digits: the largest digit joined of several parts
JOIN_COST, GAP_COST = 0.1, 3.0  # of log probability: for each part joined, and for each height of gap beside it
DROP_COST = 8.0  # of log probability, for dropping a part as large as a digit; less for smaller ones


def join(sheet: Sheet, parts: Sequence[Part], line_height: float, judge: Judge) -> list[list[int]]:
    """Join the parts of a line of text to digits -> indices of the parts of each digit; parts that are dust go."""
    runs = [
        tuple(range(i, j))
        for i in range(len(parts))
        for j in range(i + 1, min(i + MOST_JOINED, len(parts)) + 1)
        if _joinable([parts[k] for k in range(i, j)], line_height)
    ]
    if not runs:
        return []  # nothing but dust
    highest = judge(portraits(sheet, [joined([parts[k] for k in run]) for run in runs])).max(axis=1)
    best: list[tuple[float, list[list[int]]]] = [(0.0, [])]
    for j in range(1, len(parts) + 1):
        size = parts[j - 1].side / line_height
        options = [(best[j - 1][0] - DROP_COST * size**2, best[j - 1][1])]
        for run, probability in zip(runs, highest, strict=True):
            if run[-1] == j - 1:
                value = float(np.log(max(probability, 1e-9))) - _join_cost([parts[k] for k in run], line_height)
                options.append((best[run[0]][0] + value, [*best[run[0]][1], list(run)]))
        best.append(max(options, key=lambda option: option[0]))
    return best[-1][1]


def _joinable(some: list[Part], line_height: float) -> bool:
    """Return whether some parts may be one digit: one of them is large, and they lie near each other."""
    if max(part.height for part in some) < SMALLER * line_height:
        return False
    if len(some) == 1:
        return True
    boxes = np.array([part.box for part in some])
    width, height = (boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).tolist()
    if width > JOIN_WIDTH * line_height or height > JOIN_HEIGHT * line_height:
        return False
    return _widest_gap(boxes) <= JOIN_GAP * line_height


def _widest_gap(boxes: Ints) -> float:
    """Return the largest distance from a box to the nearest of those before it, along the worse axis."""
    gaps = [0.0]
    for k in range(1, len(boxes)):
        apart = np.maximum(boxes[:k, :2] - boxes[k, 2:], boxes[k, :2] - boxes[:k, 2:])
        gaps.append(float(np.maximum(apart.max(axis=1), 0).min()))
    return max(gaps)


def _join_cost(some: list[Part], line_height: float) -> float:
    """Return what joining these parts costs: more for parts side by side than for parts above each other."""
    cost = 0.0
    for before, after in pairwise(some):
        beside = max(0, after.box[0] - before.box[2], before.box[0] - after.box[2])
        cost += JOIN_COST + GAP_COST * beside / line_height
    return cost


# All together


def find_on(sheet: Sheet, judge: Judge, sure_from: float) -> list[Spot]:
    """Find what may be digits on a sheet, in reading order."""
    parts = parts_of(sheet)
    parts, highest = take_rules_out(sheet, parts, judge, sure_from)
    parts, highest = _without_edges(sheet, parts, highest, sure_from)
    clear = [k for k, part in enumerate(parts) if stands_clear(sheet, part) and not is_soft(sheet, part)]
    parts, highest = stacked(sheet, [parts[k] for k in clear], highest[clear], judge, sure_from)
    if not parts:
        return []
    height = typical_height(parts, highest, sure_from)
    boxes = np.array([part.box for part in parts])
    core = [k for k, part in enumerate(parts) if _is_core(part, float(highest[k]), height, sure_from)]
    spots: list[Spot] = []
    lines = [[core[k] for k in line] for line in text_lines(boxes[core])]
    members = [line for line in lines if _is_line([parts[k] for k in line], height)]
    rest = set(range(len(parts))) - {k for line in members for k in line}
    heights = [float(np.median([parts[k].height for k in line])) for line in members]
    _attach(parts, rest, members, heights)
    for number, line in enumerate(members):
        own: list[Part] = []
        sizable = [k for k in line if parts[k].height >= SMALLER * heights[number]]
        share = float(np.mean([highest[k] >= sure_from for k in sizable]))
        alone = share < FEW_SURE
        for k in sorted(line, key=lambda k: parts[k].box[0] + parts[k].box[2]):
            wide = parts[k].width > WIDE * parts[k].height
            unsure = (wide or highest[k] < sure_from) and parts[k].height >= 0.45 * heights[number]
            own += (
                cut_apart(sheet, parts[k], judge, float(highest[k]), alone)
                if unsure and not (alone and len(sizable) > 2)
                else [parts[k]]
            )
        digits = [joined([own[k] for k in run]) for run in join(sheet, own, heights[number], judge)]
        least_side = np.clip(LEAST_PART * min(sheet.clear.shape), 0, LEAST_HEIGHT)
        digits = [digit for digit in digits if digit.side >= least_side]
        if not digits:
            continue
        images = portraits(sheet, digits)
        probabilities = judge(images)
        hollow = [_holds_others(digit, parts) for digit in digits]
        spots += [
            Spot(digit.box, image, chances, number, doubtful)
            for digit, image, chances, doubtful in zip(digits, images, probabilities, hollow, strict=True)
        ]
    return spots


def _holds_others(digit: Part, parts: list[Part]) -> bool:
    """Return whether two or more parts stand inside a digit and are no parts of it: a face."""
    left, top, right, bottom = digit.box
    inside = 0
    for part in parts:
        x, y = part.box[0] - left, part.box[1] - top
        within = x > 0 and y > 0 and part.box[2] < right and part.box[3] < bottom
        if within and part.side >= HELD * digit.side:
            own = digit.mask[y : y + part.height, x : x + part.width]
            inside += not bool((own & part.mask).any())
    return inside >= 2


def stands_clear(sheet: Sheet, part: Part) -> bool:
    """Return whether the ground around a part is paper, and not as dark (or light) as the part itself.

    What is left of paper between two strokes is no ink on a ground of ink.
    """
    reach = max(2, round(AROUND * part.side))
    left, top, right, bottom = part.box
    outer = slice(max(0, top - reach), bottom + reach), slice(max(0, left - reach), right + reach)
    ring = np.ones(sheet.clear[outer].shape, bool)
    y, x = top - outer[0].start, left - outer[1].start
    ring[y : y + part.height, x : x + part.width] = False
    if not ring.any():
        return True
    shares = []
    for values, ground in zip(sheet.ink.channels, sheet.ink.papers, strict=True):
        own = float(np.median(values[top:bottom, left:right][part.mask]))
        light = float(np.median(ground[top:bottom, left:right]))
        around, shade = values[outer][ring], ground[outer][ring]
        bright = (around >= (own + light) / 2) | ((around >= 0.8 * shade) & (around >= own + SHADED * (light - own)))
        shares.append((light - own, float(bright.mean())))
    return max(shares)[1] >= CLEAR_GROUND


def is_soft(sheet: Sheet, part: Part) -> bool:
    """Return whether a part has no edge: around it there is much of the ink in it, as in a shade of the light."""
    reach = max(3, round(SOFT_EDGE * part.side))
    if part.side < 16:
        return False
    left, top, right, bottom = part.box
    x, y = max(0, left - reach), max(0, top - reach)
    around = sheet.ink.strength[y : bottom + reach, x : right + reach]
    step = max(1, part.side // 64)
    own = np.zeros(around.shape, bool)
    own[top - y : top - y + part.height, left - x : left - x + part.width] = part.mask
    own, around = own[::step, ::step], around[::step, ::step]
    near = pieces.dilate(own, -(-reach // step))
    ring = near & ~pieces.dilate(own, max(1, reach // step - 1))
    inside = float(np.median(around[own])) if own.any() else 0.0
    return bool(ring.any() and np.median(around[ring]) > SOFT * inside)


def stacked(
    sheet: Sheet, parts: list[Part], highest: Floats, judge: Judge, sure_from: float
) -> tuple[list[Part], Floats]:
    """Join parts that stand right above each other to one digit if that is likelier: the circles of an 8."""
    pairs = [
        (i, j)
        for i, one in enumerate(parts)
        for j, other in enumerate(parts)
        if one.box[1] < other.box[1] and _is_stacked(one, other)
    ]
    if not pairs:
        return parts, highest
    together = [joined([parts[i], parts[j]]) for i, j in pairs]
    chances = _highest(sheet, together, judge)
    gone: set[int] = set()
    new: list[tuple[Part, float]] = []
    for k in np.argsort(-chances, kind="stable").tolist():
        i, j = pairs[k]
        if chances[k] >= max(sure_from, float(highest[i] * highest[j])) and not {i, j} & gone:
            gone |= {i, j}
            new.append((together[k], float(chances[k])))
    kept = [(part, float(chance)) for k, (part, chance) in enumerate(zip(parts, highest, strict=True)) if k not in gone]
    return [part for part, _ in kept + new], np.array([chance for _, chance in kept + new], np.float32)


def _is_stacked(one: Part, other: Part) -> bool:
    """Return whether the second part stands right below the first, and both are parts of a digit by size."""
    shared = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    gap = other.box[1] - one.box[3]
    high = max(one.height, other.height)
    similar = min(one.height, other.height) >= 0.3 * high
    return similar and shared >= 0.5 * min(one.width, other.width) and -0.3 * high < gap < STACK_GAP * high


def _highest(sheet: Sheet, parts: list[Part], judge: Judge) -> Floats:
    return judge(portraits(sheet, parts)).max(axis=1) if parts else np.empty(0, np.float32)


def _is_core(part: Part, probability: float, height: float, sure_from: float) -> bool:
    """Return whether a part is large enough to be a digit of its own, or sure to be one."""
    return part.height >= SMALLER * height or (
        probability >= sure_from and part.height >= 0.25 * height and part.width < 2 * part.height
    )


def _is_line(line: list[Part], height: float) -> bool:
    """Return whether some parts are a line of text: not one much smaller than the digits of the sheet."""
    return len(line) > 1 or line[0].height >= SMALLER * height


def _attach(parts: list[Part], rest: set[int], members: list[list[int]], heights: list[float]) -> None:
    """Give each small part to the line of the digit that it is nearest to, if it is near."""
    boxes = np.array([part.box for part in parts])
    cores = [list(line) for line in members]
    for k in sorted(rest):
        best, owner = np.inf, None
        for number, line in enumerate(cores):
            apart = np.maximum(boxes[line, :2] - boxes[k, 2:], boxes[k, :2] - boxes[line, 2:]).max(axis=1)
            distance = float(np.maximum(apart, 0).min()) / heights[number]
            near = ATTACHED if parts[k].side >= SPECK * heights[number] else TOUCHED
            if distance < min(best, near):
                best, owner = distance, number
        if owner is not None:
            members[owner].append(k)


def _without_edges(sheet: Sheet, parts: list[Part], highest: Floats, sure_from: float) -> tuple[list[Part], Floats]:
    """Drop rules, and what the picture's edge cuts: bars, the remains of neighbours, corners of shadows.

    A picture cropped to its digits touches them on all four sides: then nothing is cut.
    """
    H, W = sheet.clear.shape
    touched = np.array([(p.box[0] <= 0, p.box[1] <= 0, p.box[2] >= W, p.box[3] >= H) for p in parts]).reshape(-1, 4)
    bars = np.array([_is_bar(part, sides) for part, sides in zip(parts, touched, strict=True)], bool)
    sure = highest >= sure_from
    tight = bool(touched[~bars].any(axis=0).all()) if len(parts) else False
    inner = sure & ~touched.any(axis=1)
    height = typical_height(parts, np.where(bars, 0, highest), sure_from)
    rests = rests_of_rules(sheet, parts)
    known = [part for k, part in enumerate(parts) if sure[k] and not (bars[k] or is_blot(part) or is_frame(part.mask))]
    most = max(known, key=lambda part: int(part.mask.sum()), default=None)
    usual = float(most.mask.sum()) / most.side if most else 0.0
    kept = []
    for k, part in enumerate(parts):
        thickness = float(part.mask.sum()) / part.side
        rule = part.side > MANY_HEIGHTS * height and part.side > 10 * thickness
        spans = part.side >= 0.95 * max(H, W) and part.side > 20 * thickness and len(parts) > 1
        beside = bool(touched[k, 0] or touched[k, 2]) and bool(inner.any())
        whole = sure[k] and 0.7 <= part.height / height <= 1.5 and not beside
        cut = touched[k].any() and not (tight or whole) and len(parts) > 1
        bar = bars[k] and not bars.all()
        hair = thickness < HAIR * usual and part.side > 5 * thickness and len(parts) > 1
        odd = k in rests or hair or is_frame(part.mask) or is_blot(part)
        if not (rule or spans or cut or bar or odd):
            kept.append(k)
    return [parts[k] for k in kept], highest[kept]


def _is_bar(part: Part, touched: Bools) -> bool:
    """Return whether a part lies along an edge of the picture.  touched (4,): left, top, right, bottom."""
    mask = part.mask
    contact = (mask[:, 0].sum(), mask[0].sum(), mask[:, -1].sum(), mask[-1].sum())
    lengths = (part.height, part.width, part.height, part.width)
    return any(
        touches and along >= 0.6 * length and length >= 0.8 * part.side
        for touches, along, length in zip(touched, contact, lengths, strict=True)
    )


# Both polarities

HELD = 0.06  # of a digit: larger parts inside it make it no digit
FEW_SURE = 0.55  # of what looks like digits: fewer sure ones, and they are letters
SMALL = 40  # pixels: a picture this small may be one digit that fills it
DARK = 0.35  # of the way from a picture's darkest to its lightest pixels: below, most of it is a dark ground
PATCH = 0.7  # of the light on the sheet: less is a patch of another ground
SCATTERED = 8  # as many unsure spots are texture, if none beside them is sure


def find(colours: Bytes, judge: Judge, sure_from: float) -> tuple[list[Spot], dict[str, AnyArray]]:
    """Find what may be digits in a picture, in reading order, and the steps on the way: name -> picture.

    colours: uint8 (H,W) or (H,W,3).  judge: pictures (N,28,28) -> probabilities (N,10).  sure_from: the probability of
    a sure answer.  The polarity of the majority, dark ink if most of the picture is light, is tried first.
    """
    grey = paper.grey_of_colours(colours)
    low, high = np.quantile(grey[:: max(1, len(grey) // 300)], [0.02, 0.98])
    light = bool(np.median(grey) < low + DARK * (high - low))
    sheet = lay_out(colours, light)
    spots = find_on(sheet, judge, sure_from)
    if not spots or min(spot.probability for spot in spots) < sure_from or _has_patches(sheet):
        other = lay_out(colours, not light)
        others = find_on(other, judge, sure_from)
        height = max((spot.height for spot in others), default=0)
        settled = any(spot.probability >= sure_from and spot.height >= 0.5 * height for spot in spots)
        if not settled and _evidence(others) > _evidence(spots):
            sheet, spots, others = other, others, spots
        spots = in_order(spots + [spot for spot in others if _stands_apart(spot, spots, sheet, sure_from)])
    if max(colours.shape[:2]) <= SMALL:
        spots = _or_whole(spots, colours, judge, sure_from)
    steps: dict[str, AnyArray] = {
        "original": colours,
        "paper": sheet.ink.papers[0] if len(sheet.ink.papers) == 1 else np.stack(sheet.ink.papers, axis=2),
        "light divided out": 255 - sheet.ink.strength,
        "ink": 255 * sheet.clear.astype(np.uint8),
        "pieces": pieces.as_picture(sheet.pieces),
    }
    spots = without_doubts(spots, sure_from)
    steps["boxes"] = _boxes_drawn(sheet, spots)
    steps["each 28x28"] = np.array([spot.image for spot in spots], np.uint8).reshape(-1, 28, 28)
    return spots, steps


def _boxes_drawn(sheet: Sheet, spots: list[Spot]) -> Bytes:
    """Return clear ink, grey, with a white box around each digit, (H,W)."""
    picture = 110 * sheet.clear.astype(np.uint8)
    for left, top, right, bottom in (spot.box for spot in spots):
        picture[top:bottom, [left, right - 1]] = 255
        picture[[top, bottom - 1], left:right] = 255
    return picture


def whole_picture(colours: Bytes, judge: Judge) -> Spot:
    """Return the whole picture as one digit, as `preprocess.prepare` makes it.  Raises DataError if it is blank."""
    image = prepare(np.rint(paper.grey_of_colours(colours)).astype(np.uint8))
    return Spot((0, 0, colours.shape[1], colours.shape[0]), image, judge(image[None])[0], 0)


def _or_whole(spots: list[Spot], colours: Bytes, judge: Judge, sure_from: float) -> list[Spot]:
    """Return the spots, or the whole picture as one digit if that is sure, or likelier than any of them."""
    try:
        whole = whole_picture(colours, judge)
    except DataError:
        return spots
    best = max((spot.probability for spot in spots), default=0.0)
    return [whole] if whole.probability >= min(best, sure_from) else spots


def only_one(spots: list[Spot], colours: Bytes, judge: Judge) -> Spot:
    """Return the one digit of a picture that is known to hold one.  Raises DataError if it is blank."""
    if not spots:
        return whole_picture(colours, judge)
    together = _all_as_one(spots, colours, judge) if len(spots) > 1 else []  # a digit of many parts, as on a meter
    return max([*spots, *together], key=lambda spot: spot.probability * spot.height)._replace(line=0, doubtful=False)


def _all_as_one(spots: list[Spot], colours: Bytes, judge: Judge) -> list[Spot]:
    """Return all spots as one, with what is between them; nothing if that shows no ink."""
    H, W = colours.shape[:2]
    boxes = np.array([spot.box for spot in spots])
    left, top = (boxes[:, :2].min(axis=0) - ROOM).clip(0).tolist()
    right, bottom = (boxes[:, 2:].max(axis=0) + ROOM).clip(None, (W, H)).tolist()
    try:
        whole = whole_picture(np.ascontiguousarray(colours[top:bottom, left:right]), judge)
    except DataError:
        return []
    x1, y1, x2, y2 = whole.box
    return [whole._replace(box=(left + x1, top + y1, left + x2, top + y2))]


def _evidence(spots: list[Spot]) -> float:
    """Return how much speaks for these digits: likely ones count, and large ones more than small ones."""
    return sum((spot.probability - 0.5) * spot.height for spot in spots)


def _has_patches(sheet: Sheet) -> bool:
    """Return whether the picture has dark and light regions, each more than 5% of it: digits may stand on both."""
    H, W = sheet.clear.shape
    some = sheet.ink.papers[0][:: max(1, H // 100), :: max(1, W // 100)]
    return bool(0.05 < (some < 100).mean() < 0.95)


def _stands_apart(spot: Spot, spots: list[Spot], sheet: Sheet, sure_from: float) -> bool:
    """Return whether a digit of the other polarity than the sheet's is sure, large, and on a patch of its own."""
    height = float(np.median([other.height for other in spots])) if spots else 0.0
    if spot.probability < sure_from or spot.height < SMALLER * height:
        return False
    if any(_overlap(spot.box, other.box) for other in spots):
        return False
    H, W = sheet.clear.shape
    left, top, right, bottom = spot.box
    paper_there = max(float(np.median(ground[top:bottom, left:right])) for ground in sheet.ink.papers)
    usual = max(float(np.median(ground[:: max(1, H // 100), :: max(1, W // 100)])) for ground in sheet.ink.papers)
    return paper_there < PATCH * usual


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def in_order(spots: list[Spot]) -> list[Spot]:
    """Number the lines of text again, and sort."""
    lines = text_lines(np.array([spot.box for spot in spots]).reshape(-1, 4))
    return [spots[k]._replace(line=number) for number, line in enumerate(lines) for k in line]


def without_doubts(spots: list[Spot], sure_from: float) -> list[Spot]:
    """Mark the digits of a picture in which few are sure as doubtful; drop everything if it is texture."""
    sure = sum(spot.probability >= sure_from and not spot.doubtful for spot in spots)
    if sure >= FEW_SURE * len(spots) or (sure and len(spots) == 2):
        return spots
    if len(spots) >= SCATTERED:
        return []
    return [spot._replace(doubtful=True) for spot in spots]
