"""Find the digits in a picture, step by step: light, ink, pieces, rules, lines of text, digits.

1. ``sheet.lay_out``: the light is divided out, what is left of the paper's light is ink; frames, combs, tables and
   lines across the page leave it; ink that touches is one piece.
2. ``frames.take_rules_out``: what is left of frames and rules leaves the pieces that hold it; strokes across them stay.
3. ``clutter``: drop what is not a digit.  ``joining.mended``, ``stacked`` and ``nested``: pieces that are one digit are
   joined.
4. ``text_lines``: pieces side by side make a line of text, on a page that may lie a little askew.
5. ``touching.cut_apart``: a piece that the network doesn't know is cut along seams that cross little ink.
6. ``joining.join``: along a line pieces are joined to digits; ``arbiter.worth`` decides both.  ``joining.completed``:
   what lies right beside an unsure digit and makes it a sure one comes to it.
7. ``evidence``: what is no written ink, though it looks like a digit, goes.

Both dark ink on light paper and light ink on dark paper are tried if the first leaves doubts; the one whose digits the
network finds likelier counts.  The network is the arbiter in all of this: it was trained to be unsure of two digits at
once, of parts and of letters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numcnn.errors import DataError
from numcnn.imaging import paper
from numcnn.imaging.parts import Part, is_frame, joined, parts_of, portraits, straight_share, stroke_width
from numcnn.imaging.preprocess import prepare
from numcnn.imaging.sheet import Sheet, lay_out
from numcnn.kernels.arrays import Bytes
from numcnn.recognition.clutter import (
    beside,
    holds_others,
    is_clear,
    is_one_of_many,
    question_marks,
    without_doubts,
    without_edges,
    without_specks,
    without_streaks,
)
from numcnn.recognition.evidence import (
    across_edges,
    crossed_out,
    faint_ones,
    is_faint,
    is_hole,
    is_level_stroke,
    is_texture,
    is_written,
    printed_strokes,
    repeated_strokes,
    staples,
)
from numcnn.recognition.frames import take_rules_out
from numcnn.recognition.joining import completed, join, mended, nested, stacked
from numcnn.recognition.spots import (
    CERTAIN,
    SMALLER,
    Judge,
    Spot,
    are_level,
    are_near,
    highest_of,
    overlap,
    typical_height,
)
from numcnn.recognition.steady import is_steady
from numcnn.recognition.text_lines import attach, in_order, is_core, is_line, text_lines
from numcnn.recognition.touching import Cut, cut_apart, may_be_several

WHOLE = 0.9  # probability from which all parts of a picture are its one digit
LIKELY = 0.9  # probability from which a digit may be very wide, beside others
DUST = 0.25  # of the largest part's side: smaller parts are none of a digit of many
NEAR_ONE = 0.3  # of a sure digit's side: what is farther from it is none of its parts
ROOM = 4  # pixels of paper around digits that are looked at as one
LEAST_PART, LEAST_HEIGHT = 0.03, 20  # of a picture's shorter side, and pixels: smaller digits can't be told from dust
SMALL = 40  # pixels: a picture this small may be one digit that fills it
DARK = 0.35  # of the way from a picture's darkest to its lightest pixels: below, most of it is a dark ground
FEW_BESIDE = 0.34  # of the parts of a line: fewer sure digits, and what looks like two digits may as well be a letter
MOST_BESIDE = 0.55  # of the digits of a line: if more are certain, it is written, and a cut that is doubtful is made
DRAWING = 2  # heights of a stroke: a drawing in which it is a detail is as large both ways
SETTLED = 0.6  # of a picture's digits: if more are sure, the other polarity would only bring doubts
PATCH = 0.7  # of the light on the sheet: less is a patch of another ground


class Found(NamedTuple):
    """What may be digits in a picture, in reading order; the sheet, and its parts; what looks like digits and is
    rather something else, unless the picture is known to hold one."""

    spots: list[Spot]
    sheet: Sheet
    parts: list[Part]
    doubted: Sequence[Spot] = ()


class Seen(NamedTuple):
    """What one polarity of a picture shows: what may be digits, in reading order; all parts, without frames and rules;
    and how much ink beside the digits is none."""

    spots: list[Spot]
    parts: list[Part]
    signs: int


def find(colours: Bytes, judge: Judge, sure_from: float) -> Found:
    """Find what may be digits in a picture -> ``Found``.

    colours: uint8 (H,W) or (H,W,3).  judge: pictures (N,28,28) -> probabilities (N,10).  sure_from: the probability of
    a sure answer.  The polarity of the majority, dark ink if most of the picture is light, is tried first.
    """
    low, high = np.quantile(paper.grey_of_colours(colours[:: max(1, len(colours) // 300)]), [0.02, 0.98])
    light = bool(paper.median_grey(colours) < low + DARK * (high - low))
    sheet = lay_out(colours, light)
    spots, parts, signs = find_on(sheet, judge, sure_from)
    sure = sum(spot.probability >= sure_from for spot in spots)
    if sure <= SETTLED * len(spots) or _has_patches(sheet):
        other = lay_out(colours, not light)
        others, other_parts, other_signs = find_on(other, judge, sure_from)
        others = _without_holes(other, others, other_parts)
        if all(spot.is_stroke or spot.probability < sure_from for spot in others):
            others = [spot for spot in others if not _is_beside_strokes(spot, other, sheet, parts)]
        spots = [spot for spot in spots if not any(_is_hole_in(spot, one) for one in others)]
        height = max((spot.height for spot in others), default=0)
        settled = any(spot.probability >= sure_from and spot.height >= 0.5 * height for spot in spots)
        if not settled and _evidence(others) > _evidence(spots):
            sheet, spots, others, parts, signs = other, others, spots, other_parts, other_signs
        spots = in_order(spots + [spot for spot in others if _stands_apart(spot, spots, sheet, sure_from)])
    small = max(colours.shape[:2]) <= SMALL
    if small:
        spots = _or_whole(spots, colours, judge, sure_from)
    hooks = [spot.box for spot in question_marks(spots, parts, sure_from)]
    left = [spot for spot in without_streaks(spots, colours, sure_from) if spot.box not in hooks]
    left = without_doubts(left, sure_from, signs + len(hooks))
    left = without_specks(left, colours.shape)
    if len(left) == 1 and not small and not is_steady(left[0], judge):
        left = []
    return Found(left, sheet, parts, spots)


def find_on(sheet: Sheet, judge: Judge, sure_from: float) -> Seen:
    """Find what may be digits on a sheet -> ``Seen``."""
    everything, highest = take_rules_out(sheet, parts_of(sheet), judge, sure_from)
    parts, highest = without_edges(sheet, everything, highest, sure_from)
    stands = np.array([is_clear(sheet, part) for part in parts], bool)
    stands |= across_edges(sheet, parts, highest, stands & (highest >= sure_from))
    clear = np.flatnonzero(stands).tolist()
    if is_texture(sheet, [parts[k] for k in clear], len(parts)):
        return Seen([], everything, 0)
    unclear = [parts[k] for k in sorted({*range(len(parts))} - {*clear})]
    parts, highest = mended(sheet, [parts[k] for k in clear], highest[clear], judge, sure_from)
    parts, highest = stacked(sheet, parts, highest, judge, sure_from)
    parts, highest = nested(sheet, parts, highest, judge, sure_from)
    gone = crossed_out(parts, highest >= CERTAIN)  # also here: cut apart, a scribble has less ink in each piece
    left = [k for k in range(len(parts)) if k not in gone]
    parts, highest = [parts[k] for k in left], highest[left]
    if not parts:
        return Seen([], everything, 0)
    height = typical_height(parts, highest, sure_from)
    boxes = np.array([part.box for part in parts])
    core = [k for k, part in enumerate(parts) if is_core(part, float(highest[k]), height, sure_from)]
    lines = [[core[k] for k in line] for line in text_lines(boxes[core])]
    members = [line for line in lines if is_line([parts[k] for k in line], height)]
    rest = set(range(len(parts))) - {k for line in members for k in line}
    heights = [float(np.median([parts[k].height for k in line])) for line in members]
    attach(parts, rest, members, heights)
    found = [
        (digit, number)
        for number, line in enumerate(members)
        for digit in _digits_of_line(
            sheet, [(parts[k], float(highest[k])) for k in line], heights[number], judge, sure_from
        )
        if not holds_others(digit, parts, everything)
    ]
    found = completed(sheet, found, everything, judge, sure_from)
    spots = _written_ones(sheet, found, judge, sure_from, alone=len(clear) == 1)
    if is_one_of_many(spots, unclear):
        return Seen([], everything, 0)
    return Seen(spots, everything, _signs(sheet, [digit for digit, _ in found], parts, spots, judge, sure_from))


def _signs(
    sheet: Sheet, digits: Sequence[Part], parts: Sequence[Part], spots: Sequence[Spot], judge: Judge, sure_from: float
) -> int:
    """Return how many parts beside the spots are no digits: none was made of them, or it is not written.

    What the network is sure of, though it is not written, is no letter: an edge of the light looks like a digit.
    """
    own = {spot.box for spot in spots}
    unused = [part for part in parts if not any(overlap(part.box, digit.box) for digit in digits)]
    unwritten = beside([digit for digit in digits if digit.box not in own], spots)
    return len(beside(unused, spots)) + int((highest_of(sheet, unwritten, judge) < sure_from).sum())


def _written_ones(
    sheet: Sheet, found: list[tuple[Part, int]], judge: Judge, sure_from: float, *, alone: bool
) -> list[Spot]:
    """Return those of the digits, each with its line, that are written ink.  alone: one part is all that is clear."""
    if not found:
        return []
    digits = [digit for digit, _ in found]
    images = portraits(sheet, digits)
    probabilities = judge(images)
    highest = probabilities.max(axis=1)
    likely = (highest >= (sure_from if alone else LIKELY)).tolist()
    straight = [straight_share(digit.mask) for digit in digits]
    each = list(zip(digits, likely, straight, strict=True))
    written = np.array(
        [is_written(sheet, digit, likely=one, alone=alone, straight=share) for digit, one, share in each], bool
    )
    across = across_edges(sheet, digits, highest, written & (highest >= sure_from))
    written |= [
        bool(may) and is_written(sheet, digit, likely=True, edge=True, straight=share)
        for (digit, _, share), may in zip(each, across, strict=True)
    ]
    kept = np.flatnonzero(written).tolist()
    left = [digits[k] for k in kept]
    gone: set[int] = set()
    if left:
        lines, sure = [found[k][1] for k in kept], highest[kept] >= sure_from
        gone = printed_strokes(left, np.array(straight)[kept]) | faint_ones(sheet, left, lines, sure)
        gone |= repeated_strokes(left, np.array(straight)[kept]) if sheet.erased.any() else set()
        gone |= crossed_out(left, highest[kept] >= CERTAIN) | staples(sheet, left, lines, sure)
    spots = [Spot(digits[k].box, images[k], probabilities[k], found[k][1]) for n, k in enumerate(kept) if n not in gone]
    return [spot for spot in spots if not is_level_stroke(spot)]


def _digits_of_line(
    sheet: Sheet, line: list[tuple[Part, float]], height: float, judge: Judge, sure_from: float
) -> list[Part]:
    """Cut and join the parts of a line of text, each with its probability of being a digit, to digits."""
    sizable = [highest >= sure_from for part, highest in line if part.height >= SMALLER * height]
    alone = float(np.mean(sizable)) < FEW_BESIDE
    cuts: list[tuple[Part, Cut]] = []
    for part, highest in sorted(line, key=lambda one: one[0].box[0] + one[0].box[2]):
        cut = Cut([part])
        if part.height >= SMALLER * height and may_be_several(part, highest, sure_from):
            cut = cut_apart(sheet, part, judge, judge(portraits(sheet, [part]))[0], alone)
        cuts.append((part, cut))
    if any(cut.doubtful for _, cut in cuts):
        others = [digit for part, cut in cuts for digit in ([part] if cut.doubtful else cut.digits)]
        others = [digit for digit in others if digit.height >= SMALLER * height]
        if float((highest_of(sheet, others, judge) >= CERTAIN).mean()) < MOST_BESIDE:
            cuts = [(part, Cut([part]) if cut.doubtful else cut) for part, cut in cuts]
    own = [digit for _, cut in cuts for digit in cut.digits]
    digits = [joined([own[k] for k in run]) for run in join(sheet, own, height, judge)]
    least_side = np.clip(LEAST_PART * min(sheet.clear.shape), 0, LEAST_HEIGHT)
    return [digit for digit in digits if digit.side >= least_side]


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


def only_one(found: Found, colours: Bytes, judge: Judge) -> Spot:
    """Return the one digit of a picture that is known to hold one.  Raises DataError if it is blank.

    A digit of many parts, as on a meter, is all spots together, or all parts that stand clear, without frames, rules
    and dust, if the network is sure of it.
    """
    spots, sheet, parts = found.spots or list(found.doubted), found.sheet, found.parts
    if not spots:
        return whole_picture(colours, judge)
    candidates = list(spots)
    if len(spots) > 1:
        boxes = np.array([spot.box for spot in spots])
        (left, top), (right, bottom) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
        candidates += _as_one((left, top, right, bottom), colours, judge)
    clear = [part for part in parts if is_clear(sheet, part) and not is_frame(part.mask)]
    largest = max((part.side for part in clear), default=0)
    clear = [part for part in clear if part.side >= DUST * largest]
    if len(spots) == 1 and spots[0].probability >= WHOLE:
        clear = [part for part in clear if _is_near(part, spots[0])]
    if len(clear) > 1:
        whole = joined(clear)
        (image,) = portraits(sheet, [whole])
        together = Spot(whole.box, image, judge(image[None])[0], 0)
        candidates += [together] if together.probability >= WHOLE else []
    best = max(candidates, key=lambda spot: spot.probability * spot.height)
    return best._replace(line=0, doubtful=False)


def _is_near(part: Part, spot: Spot) -> bool:
    """Return whether a part may belong to a spot: not the rest of a sheet's edge, a hole, or a neighbour's remains."""
    side = max(spot.height, spot.box[2] - spot.box[0])
    return are_near(part.box, spot.box, NEAR_ONE * side) and part.side <= 2 * side


def _as_one(box: tuple[int, int, int, int], colours: Bytes, judge: Judge) -> list[Spot]:
    """Return all that is in a box as one spot; nothing if that shows no ink."""
    H, W = colours.shape[:2]
    left, top = max(0, box[0] - ROOM), max(0, box[1] - ROOM)
    right, bottom = min(W, box[2] + ROOM), min(H, box[3] + ROOM)
    try:
        whole = whole_picture(np.ascontiguousarray(colours[top:bottom, left:right]), judge)
    except DataError:
        return []
    return [whole._replace(box=(left, top, right, bottom))]


def _without_holes(sheet: Sheet, spots: list[Spot], parts: list[Part]) -> list[Spot]:
    """Drop ground between strokes of the other polarity; what stands level beside a certain digit is a sticker."""
    certain = [spot for spot in spots if spot.probability >= CERTAIN and not spot.is_slim]
    part_of_box = {part.box: part for part in parts}
    return [
        spot
        for spot in spots
        if spot.box not in part_of_box
        or any(one is not spot and are_level(spot.box, one.box) for one in certain)
        or not is_hole(sheet, part_of_box[spot.box])
    ]


def _is_beside_strokes(spot: Spot, own: Sheet, sheet: Sheet, parts: Sequence[Part]) -> bool:
    """Return whether a spot on its own sheet is ground between strokes of the other polarity, on that sheet.

    Faint, it lies at rules, as what JPEG makes of them; or it lies at the strokes of a large drawing.  A patch that the
    spot stands on is broader than a stroke, and what is beside it no larger.
    """
    left, top, right, bottom = spot.box
    reach = max(2, min(right - left, bottom - top))
    around = slice(max(0, top - reach), bottom + reach), slice(max(0, left - reach), right + reach)
    if sheet.erased[around].any() and is_faint(own, spot.box):
        return True
    near = [part for part in parts if are_near(part.box, spot.box, reach)]
    large = [part for part in near if min(part.width, part.height) >= DRAWING * spot.height]
    return any(stroke_width(part.mask) < spot.height / 2 for part in large)


def _is_hole_in(spot: Spot, other: Spot) -> bool:
    """Return whether a digit lies within a more certain one of the other polarity: paper between that one's strokes."""
    (x1, y1, x2, y2), (left, top, right, bottom) = spot.box, other.box
    within = left <= x1 and top <= y1 and x2 <= right and y2 <= bottom
    return within and other.probability >= max(CERTAIN, spot.probability)


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
    if any(overlap(spot.box, other.box) for other in spots):
        return False
    H, W = sheet.clear.shape
    left, top, right, bottom = spot.box
    paper_there = max(float(np.median(ground[top:bottom, left:right])) for ground in sheet.ink.papers)
    usual = max(float(np.median(ground[:: max(1, H // 100), :: max(1, W // 100)])) for ground in sheet.ink.papers)
    return paper_there < PATCH * usual
