"""Frames, tables and rules out of the parts of a sheet that hold some."""

import numpy as np

from numcnn.imaging import pieces, rules
from numcnn.imaging.parts import (
    FRAME_BAND,
    LEAST_SIDE,
    MARGIN,
    Box,
    Part,
    is_frame,
    part_of,
    straight_share,
    stroke_width,
)
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Bools, Bytes, Floats
from numcnn.recognition.spots import CERTAIN, SMALLER, Judge, highest_of, typical_height

EQUAL = 0.08  # of their length: how much the ends of equal lines differ
FRAME_THICKEST = 0.35  # of the length of its shortest side that is looked for, a frame's line
RULE_PART, SHORT_RULE_PART = 0.6, 0.85  # of a piece's longer and shorter side that a rule along it has at least
LONGEST_RULE = 200  # pixels; longer rules are found by a part of them
CURVED = 0.6  # share of straight ink, below which a certain digit keeps its strokes
ROW_HEIGHT = 1.7  # heights of a digit: a row of touching digits is no higher
SLIM = 0.35  # of its length: the most width of a line's rest
STRAIGHT = 0.9  # share of straight ink in a rest of lines, at least
SLIMMEST = 0.1  # of its length: a rest that lies askew is no wider
AS_THICK, AS_DARK = 1.05, 1.5  # times the lines around it: no thicker, and hardly darker, is a rest of them
# Times the lines around it: two lines a hair apart look thicker and, with paper between them, paler.
PAIR_THICK, PAIR_DARK = 3.0, 0.95
LINE_WIDER = 2.0  # times a rest's width: with a line went its soft edge, too
WHOLE_TICK = 0.9  # of a tick's height that an erased one beside it fills
SIBLINGS = 8  # heights of a tick: an erased one as high may be so far away
DARKER_PART = 0.75  # quantile of an erased line's darkness: with the line went its soft edge
MANY_HEIGHTS = 2.5  # heights of a digit: a longer thin piece is a rule


def take_rules_out(sheet: Sheet, parts: list[Part], judge: Judge, sure_from: float) -> tuple[list[Part], Floats]:
    """Take frames and rules out of the parts that hold some; what goes is erased from the sheet.

    Return the parts, and how likely each is a digit.  A frame loses its rules, and so does a part much larger than a
    digit, unless it is a certain digit with curves; of an unsure part rules go only if that leaves one sure digit.
    """
    highest = highest_of(sheet, parts, judge)
    height = typical_height(parts, highest, sure_from)
    kept: list[Part] = []
    likely: list[float] = []
    for part, probability in zip(parts, highest.tolist(), strict=True):
        framed = is_frame(part.mask)
        large = framed or (
            part.side >= MANY_HEIGHTS * height
            and not _is_row(part, height)
            and (probability < CERTAIN or straight_share(part.mask) >= CURVED)
        )
        inside = _rules_out(part, framed) if large or probability < sure_from else None
        if inside is None:
            kept.append(part)
            likely.append(probability)
            continue
        rest, pieces_left = inside
        before = _erase(sheet, part, part.mask & ~rest)
        chances = highest_of(sheet, pieces_left, judge).tolist()
        if not large and not _leaves_a_digit(part, pieces_left, chances, sure_from):
            _restore(sheet, part, before)
            kept.append(part)
            likely.append(probability)
            continue
        kept += pieces_left
        likely += chances
    return kept, np.array(likely, np.float32)


def _is_row(part: Part, height: float) -> bool:
    """Return whether a part is as high as digits, as a row of touching ones."""
    return part.width > part.height >= SMALLER * height and part.height <= ROW_HEIGHT * height


def _rules_out(part: Part, framed: bool) -> tuple[Bools, list[Part]] | None:
    """Return what is left of a part, a frame or not, without rules, and its pieces; None if it holds none."""
    if part.side < 16:
        return None
    level, upright = (
        min(LONGEST_RULE, round((RULE_PART if side > other else SHORT_RULE_PART) * side)) if side >= 16 else 10**9
        for side, other in ((part.width, part.height), (part.height, part.width))
    )
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
    sheet.portraits.clear()
    before = sheet.strength[inside].copy(), sheet.clear[inside].copy(), sheet.erased[inside].copy()
    sheet.strength[top:bottom, left:right][gone] = 0
    sheet.clear[top:bottom, left:right][gone] = False
    sheet.erased[top:bottom, left:right] |= gone
    return before


def _restore(sheet: Sheet, part: Part, before: tuple[Bytes, Bools, Bools]) -> None:
    left, top, right, bottom = part.box
    inside = slice(top, bottom), slice(left, right)
    sheet.strength[inside], sheet.clear[inside], sheet.erased[inside] = before
    sheet.portraits.clear()


def rests_of_rules(sheet: Sheet, parts: list[Part]) -> set[int]:
    """Return which parts are lines between erased rules, or ticks on them, or what noise left of a line.

    Ticks are several equal ones, or one as high as an erased one beside it.  Rests are as thick and as
    dark as all erased rules, or as those around them; then one that ends at the picture's edge is one, too.
    """
    if not sheet.erased.any():
        return set()
    thickness = min(pieces.find_pieces(lines).typical_run() for lines in (sheet.erased, sheet.erased.T))
    darkest = rules.ALIKE * _tone(sheet, (0, 0, *sheet.erased.shape[::-1]), sheet.erased)
    ends = [_ends_at_rules(sheet, part) for part in parts]
    lines = [
        count > 0 and _is_line(part, 1.5 * thickness + 1, darkest, sheet)
        for part, count in zip(parts, ends, strict=True)
    ]
    alike = [
        line or (count > 0 and _is_like_lines_around(sheet, part))
        for part, count, line in zip(parts, ends, lines, strict=True)
    ]
    rests = {k for k, count in enumerate(ends) if count == 2 and (alike[k] or _fills_a_gap(sheet, parts[k]))}
    rests |= {k for k, part in enumerate(parts) if _is_cut(sheet, part) and _is_like_lines_around(sheet, part)}
    standing = [k for k, count in enumerate(ends) if count == 1 and alike[k]]
    for k in standing:
        level = 0 if parts[k].width > parts[k].height else 1
        if level and _has_sibling(sheet.erased, parts[k].box):
            rests.add(k)
        for other in standing:
            apart = np.abs(np.subtract(parts[k].box, parts[other].box))[[level, level + 2]].max()
            if other != k and lines[k] and lines[other] and apart <= EQUAL * parts[k].side:
                rests.add(k)
    return rests


def _has_sibling(erased: Bools, box: Box) -> bool:
    """Return whether an upright erased line near a tick, with this box, is as high and ends as high."""
    left, top, right, bottom = box
    height = bottom - top
    off = max(2, round(EQUAL * height))
    columns = slice(max(0, left - SIBLINGS * height), right + SIBLINGS * height)
    beside = erased[top + off : bottom, columns].mean(axis=0) >= WHOLE_TICK
    over = erased[max(0, top - 2 * off) : max(0, top - off), columns].any(axis=0)
    return bool((beside & ~over).any())


def _tone(sheet: Sheet, box: Box, mask: Bools, quantile: float = 0.5) -> float:
    """Return how much darker than the paper some pixels of a box are, erased or not, as a share: this quantile."""
    left, top, right, bottom = box
    inside = slice(top, bottom), slice(left, right)
    shares = [
        float(np.quantile(1 - values[inside][mask] / np.maximum(ground[inside][mask], 1.0), quantile))
        for values, ground in zip(sheet.ink.channels, sheet.ink.papers, strict=True)
    ]
    return max(shares)


def _is_line(part: Part, thickest: float, darkest: float, sheet: Sheet) -> bool:
    """Return whether a part is a straight level or upright line, at most so thick and so dark."""
    thickness = float(part.mask.sum()) / part.side
    straight = min(part.width, part.height) <= 1.6 * thickness + 1 and part.side >= 5 * thickness
    return straight and thickness <= thickest and _tone(sheet, part.box, part.mask) <= darkest


def _is_like_lines_around(sheet: Sheet, part: Part) -> bool:
    """Return whether a straight or very slim part is as thick and as dark as the erased lines around it, or as two."""
    far = max(part.side, 8)
    left, top, right, bottom = (max(0, edge) for edge in np.add(part.box, (-far, -far, far, far)).tolist())
    lines = sheet.erased[top:bottom, left:right]
    slim, straight = min(part.width, part.height) <= SLIMMEST * part.side, straight_share(part.mask) >= STRAIGHT
    if not (slim or straight) or not lines.any():
        return False
    thickness = stroke_width(part.mask) / stroke_width(lines)
    pair = slim and straight and thickness > AS_THICK
    around = _tone(sheet, (left, top, right, bottom), lines, DARKER_PART)
    dark = _tone(sheet, part.box, part.mask) <= (PAIR_DARK if pair else AS_DARK) * around
    return dark and thickness <= (PAIR_THICK if pair else AS_THICK)


def _is_cut(sheet: Sheet, part: Part) -> bool:
    """Return whether a slim part ends at an edge of the picture, as the lines printed on a sheet do."""
    if min(part.width, part.height) > SLIM * part.side:
        return False
    H, W = sheet.erased.shape
    left, top, right, bottom = part.box
    return left <= 0 or right >= W if part.width > part.height else top <= 0 or bottom >= H


def _fills_a_gap(sheet: Sheet, part: Part) -> bool:
    """Return whether an erased line, about as thick and as dark, goes on right beyond both ends of a part."""
    level = part.width > part.height
    erased = sheet.erased.T if level else sheet.erased
    left, top, right, bottom = np.array(part.box)[[1, 0, 3, 2] if level else [0, 1, 2, 3]].tolist()  # of one upright
    width = right - left
    near = slice(max(0, left - width), right + width)
    for row in (top - MARGIN, bottom + MARGIN - 1):
        if not 0 <= row < len(erased) or not erased[row, left:right].all():
            return False
        if erased[row, near].sum() > LINE_WIDER * width + 1:
            return False
    aside, down = (part.side, MARGIN) if level else (MARGIN, part.side)
    x, y, u, v = (max(0, edge) for edge in np.add(part.box, (-aside, -down, aside, down)).tolist())
    around = _tone(sheet, (x, y, u, v), sheet.erased[y:v, x:u], DARKER_PART)
    return _tone(sheet, part.box, part.mask) <= AS_DARK * around


def _ends_at_rules(sheet: Sheet, part: Part) -> int:
    """Return at how many of its ends a slim part meets erased rules; if one does, the picture's edge counts too."""
    if min(part.width, part.height) > SLIM * part.side:
        return 0
    left, top, right, bottom = part.box
    H, W = sheet.erased.shape
    near = MARGIN + 2
    if part.width > part.height:
        ends = (
            (top - MARGIN, bottom + MARGIN, left - near, left + near),
            (top - MARGIN, bottom + MARGIN, right - near, right + near),
        )
        cut = left <= near, right >= W - near
    else:
        ends = (
            (top - near, top + near, left - MARGIN, right + MARGIN),
            (bottom - near, bottom + near, left - MARGIN, right + MARGIN),
        )
        cut = top <= near, bottom >= H - near
    meets = [bool(sheet.erased[max(0, y) : v, max(0, x) : w].any()) for y, v, x, w in ends]
    return sum(meets) + (any(meets) and any(edge and not end for edge, end in zip(cut, meets, strict=True)))


def _leaves_a_digit(part: Part, left: list[Part], chances: list[float], sure_from: float) -> bool:
    """Return whether without rules one sure digit is left of a part, shorter than the part along one side."""
    if not left:
        return False
    k = int(np.argmax([one.mask.sum() for one in left]))
    whole = left[k].mask.sum() > 0.85 * sum(one.mask.sum() for one in left)
    shorter = left[k].width < 0.87 * part.width or left[k].height < 0.87 * part.height
    return bool(whole and shorter and chances[k] >= sure_from and left[k].side > 0.4 * part.side)
