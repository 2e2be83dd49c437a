"""Parts to digits: those are joined that the network finds likelier together, along a line and above each other."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from numcnn.imaging import pieces, rules
from numcnn.imaging.parts import LOOKED_AT, Box, Part, joined, portraits
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Floats, Ints
from numcnn.recognition.arbiter import worth
from numcnn.recognition.spots import CERTAIN, SMALLER, Judge, are_near, highest_of, is_slim, overlap, typical_height

MOST_JOINED = 4  # parts of one digit
JOIN_GAP = 0.4  # heights between parts of one digit, at most
JOIN_WIDTH, JOIN_HEIGHT = 1.5, 1.5  # heights of a line's digits: the largest digit joined of several parts
SMALL_DIGIT = 0.25  # of a line's height: a certain digit beside others is as high at least
JOIN_COST, GAP_COST = 0.1, 3.0  # of worth: for each part joined, and for each height of gap beside it
DROP_COST = 16.0  # of worth, for dropping a part as large as a digit; less for smaller ones
NESTED = 0.6  # of a digit's probability, which it must have with what stands inside it, for this to be a part of it
STACK_HEIGHT = 1.6  # heights of the others: parts one above the other that are higher make no digit
STACK_GAP = 0.15  # heights between parts above each other in one digit, at most; lines of text are farther apart
BROKEN_GAP, LEAST_BROKEN_GAP = 0.1, 2  # of the longer side of two pieces together, between them at most; and pixels
BROKEN_HEIGHT, BROKEN_WIDTH = 1.5, 1.6  # of the other digits' height, and of its own: no broken digit is larger
UPRIGHT, SHARED_WIDTH = 0.7, 0.3  # of a broken digit's height, and of a piece's width: pieces beside each other are two
STROKES_APART = 0.04  # of the height of two strokes, between them if they are one broken 1
LOOPS_APART, ROUND = 0.05, 0.9  # of an 8's height, between its loops at most; of their height, how wide they are
MOST_BROKEN = 200  # ways to join pieces; more are texture
REST_GAP, REST_SIDE = 0.12, 0.08  # sides of an unsure digit: how near its rest is, and how large at least
WHOLE = 0.9  # probability from which an unsure digit and its rest are one


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
    together = [joined([parts[k] for k in run]) for run in runs]
    said = judge(portraits(sheet, together))
    worths = worth(said, np.array([part.width / part.height for part in together]))
    small = [part.height < SMALLER * line_height for part in together]
    worths[small & (said.max(axis=1) < CERTAIN)] = -np.inf
    best: list[tuple[float, list[list[int]]]] = [(0.0, [])]
    for j in range(1, len(parts) + 1):
        size = parts[j - 1].side / line_height
        options = [(best[j - 1][0] - DROP_COST * size**2, best[j - 1][1])]
        for run, value in zip(runs, worths.tolist(), strict=True):
            if run[-1] == j - 1:
                total = best[run[0]][0] + value - _join_cost([parts[k] for k in run], line_height)
                options.append((total, [*best[run[0]][1], list(run)]))
        best.append(max(options, key=lambda option: option[0]))
    return best[-1][1]


def _joinable(some: list[Part], line_height: float) -> bool:
    """Return whether some parts may be one digit: one of them is large, and they lie near each other.

    A part as small as a 0 that somebody writes small may be one alone, if it is no stroke and the network is certain.
    """
    if max(part.height for part in some) < SMALLER * line_height:
        part = some[0]
        return len(some) == 1 and part.height >= SMALL_DIGIT * line_height and not is_slim(part.box)
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


def mended(
    sheet: Sheet, parts: list[Part], highest: Floats, judge: Judge, sure_from: float
) -> tuple[list[Part], Floats]:
    """Join the pieces of a broken digit, two to four that lie right beside each other, if that is certainly one digit.

    At most one of them may be a certain digit itself: a 0 below a 0 is no 8, unless they nearly touch and are all there
    is.  Two high pieces side by side are two digits.  What looks like a 1 together may be a line, unless it is all
    there is, and 1s below each other, unless they nearly touch.
    """
    groups = _broken(parts, highest, sure_from)
    if not groups:
        return parts, highest
    certain = sorted({k for group in groups for k in group if highest[k] >= CERTAIN})
    labels = judge(portraits(sheet, [parts[k] for k in certain])).argmax(axis=1).tolist() if certain else []
    strokes = {k for k, label in zip(certain, labels, strict=True) if label == 1}
    whole = {*certain} - strokes
    sure = {*np.flatnonzero(highest >= sure_from).tolist()}
    groups = [
        group
        for group in groups
        if len(whole & {*group}) < 2 or (sure == {*group} and _may_be_loops([parts[k] for k in group]))
    ]
    together = [joined([parts[k] for k in group]) for group in groups]
    said = judge(portraits(sheet, together))
    chances = said.max(axis=1)
    for k, (group, answer) in enumerate(zip(groups, said.argmax(axis=1).tolist(), strict=True)):
        is_loops = len(whole & {*group}) > 1
        is_line = len(group) < len(parts) or not _is_one_stroke([parts[i] for i in group if i in strokes])
        if (is_loops and answer != 8) or (is_line and answer == 1):
            chances[k] = 0
    gone: set[int] = set()
    new: list[tuple[Part, float]] = []
    for k in sorted(range(len(groups)), key=lambda k: (-len(groups[k]), -float(chances[k]))):
        if chances[k] >= CERTAIN and not gone & {*groups[k]}:
            gone |= {*groups[k]}
            new.append((together[k], float(chances[k])))
    kept = [(part, float(chance)) for k, (part, chance) in enumerate(zip(parts, highest, strict=True)) if k not in gone]
    return [part for part, _ in kept + new], np.array([chance for _, chance in kept + new], np.float32)


def _is_one_stroke(strokes: Sequence[Part]) -> bool:
    """Return whether strokes, if there are several, nearly touch each other from top to bottom."""
    boxes = sorted((part.box for part in strokes), key=lambda box: box[1])
    return all(_nearly_touch(upper, lower, STROKES_APART) for upper, lower in pairwise(boxes))


def _nearly_touch(upper: Box, lower: Box, apart: float) -> bool:
    """Return whether a box is at most so far below another one, in their height together."""
    return lower[1] - upper[3] <= apart * (lower[3] - upper[1])


def _may_be_loops(parts: Sequence[Part]) -> bool:
    """Return whether one of two round parts is right above the other: the loops of an 8 that hardly meet."""
    if len(parts) != 2 or any(part.width < ROUND * part.height for part in parts):
        return False
    upper, lower = sorted(parts, key=lambda part: part.box[1])
    shared = min(upper.box[2], lower.box[2]) - max(upper.box[0], lower.box[0])
    return _nearly_touch(upper.box, lower.box, LOOPS_APART) and shared >= 0.5 * min(upper.width, lower.width)


def _broken(parts: Sequence[Part], highest: Floats, sure_from: float) -> list[tuple[int, ...]]:
    """Return which parts, two to four, may be one digit's pieces by their places; nothing if these are too many."""
    near: list[set[int]] = [set() for _ in parts]
    for i, j in _close_pairs(parts):
        near[i].add(j)
        near[j].add(i)
    groups = {(i, j) for i, others in enumerate(near) for j in others if i < j}
    found = set(groups)
    for _ in range(MOST_JOINED - 2):
        groups = {
            tuple(sorted({*group, k})) for group in groups for k in set().union(*(near[i] for i in group)) - {*group}
        }
        found |= groups
        if len(found) > MOST_BROKEN:
            return []
    return [group for group in sorted(found) if _may_be_broken(group, parts, highest, sure_from)]


def _close_pairs(parts: Sequence[Part]) -> list[tuple[int, int]]:
    """Return which two parts lie so near to each other as the ends of a broken stroke."""
    boxes = np.array([part.box for part in parts]).reshape(-1, 4)
    starts, stops = boxes[:, :2], boxes[:, 2:]
    sides = (np.maximum(stops[:, None], stops) - np.minimum(starts[:, None], starts)).max(axis=2)
    apart = np.maximum(starts[:, None] - stops, starts - stops[:, None]).max(axis=2)
    far = 1 + np.maximum(LEAST_BROKEN_GAP, np.rint(BROKEN_GAP * sides).astype(np.intp))
    pairs = np.argwhere(np.triu(apart < far, 1)).tolist()
    return [(i, j) for i, j in pairs if _are_within(parts[i], parts[j], int(far[i, j]))]


def _are_within(one: Part, other: Part, far: int) -> bool:
    """Return whether the ink of two parts is at most so many pixels apart; large ones are looked at in less detail."""
    left, top = min(one.box[0], other.box[0]), min(one.box[1], other.box[1])
    shape = max(one.box[3], other.box[3]) - top, max(one.box[2], other.box[2]) - left
    factor = -(-max(shape) // LOOKED_AT)
    first, second = (rules.any_of(part.within(left, top, shape), factor) for part in (one, other))
    return bool((pieces.dilate(first, far // factor) & second).any())


def _may_be_broken(group: tuple[int, ...], parts: Sequence[Part], highest: Floats, sure_from: float) -> bool:
    """Return whether some parts together are as high as other digits, not too wide, and no two stand side by side."""
    own = [parts[k] for k in group]
    boxes = np.array([part.box for part in own])
    width, height = (boxes[:, 2:].max(axis=0) - boxes[:, :2].min(axis=0)).tolist()
    if width > BROKEN_WIDTH * height:
        return False
    others = [k for k in range(len(parts)) if k not in group and highest[k] >= sure_from]
    curved = [k for k in others if highest[k] >= CERTAIN and not is_slim(parts[k].box)]
    others = curved or others
    if others:
        usual = typical_height([parts[k] for k in others], highest[others], sure_from)
        if not SMALLER * usual <= height <= BROKEN_HEIGHT * usual:
            return False
    high = [part for part in own if part.height >= UPRIGHT * height]
    return all(
        min(one.box[2], other.box[2]) - max(one.box[0], other.box[0]) > SHARED_WIDTH * min(one.width, other.width)
        for k, one in enumerate(high)
        for other in high[k + 1 :]
    )


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
    pairs = [(i, j) for i, j in pairs if not _are_lines(parts, i, j)]
    if not pairs:
        return parts, highest
    together = [joined([parts[i], parts[j]]) for i, j in pairs]
    chances = highest_of(sheet, together, judge)
    gone: set[int] = set()
    new: list[tuple[Part, float]] = []
    for k in np.argsort(-chances, kind="stable").tolist():
        i, j = pairs[k]
        if chances[k] >= max(sure_from, float(highest[i] * highest[j])) and not {i, j} & gone:
            gone |= {i, j}
            new.append((together[k], float(chances[k])))
    kept = [(part, float(chance)) for k, (part, chance) in enumerate(zip(parts, highest, strict=True)) if k not in gone]
    return [part for part, _ in kept + new], np.array([chance for _, chance in kept + new], np.float32)


def _are_lines(parts: list[Part], i: int, j: int) -> bool:
    """Return whether two parts above each other are as high as most others, each in its own line of text."""
    least = 0.5 * max(parts[i].height, parts[j].height)
    others = [part.height for k, part in enumerate(parts) if k not in (i, j) and part.height >= least]
    return len(others) > 1 and parts[j].box[3] - parts[i].box[1] > STACK_HEIGHT * float(np.median(others))


def _is_stacked(one: Part, other: Part) -> bool:
    """Return whether the second part stands right below the first, and both are parts of a digit by size."""
    shared = min(one.box[2], other.box[2]) - max(one.box[0], other.box[0])
    gap = other.box[1] - one.box[3]
    high = max(one.height, other.height)
    similar = min(one.height, other.height) >= 0.3 * high
    return similar and shared >= 0.5 * min(one.width, other.width) and -0.3 * high < gap < STACK_GAP * high


def nested(
    sheet: Sheet, parts: list[Part], highest: Floats, judge: Judge, sure_from: float
) -> tuple[list[Part], Floats]:
    """Give the one part that stands inside a sure digit to it, as the slash of a zero, or drop it."""
    held: dict[int, list[int]] = {}
    for i, outer in enumerate(parts):
        inside = [j for j, inner in enumerate(parts) if j != i and _is_inside(inner, outer)]
        if len(inside) == 1 and highest[i] >= sure_from:
            held[i] = inside
    together = [joined([parts[i], parts[j]]) for i, (j,) in held.items()]
    parts, highest = list(parts), highest.copy()
    gone: set[int] = set()
    for (i, (j,)), both, chance in zip(held.items(), together, highest_of(sheet, together, judge), strict=True):
        if chance >= NESTED * highest[i]:
            parts[i], highest[i] = both, chance
        gone.add(j)
    kept = [k for k in range(len(parts)) if k not in gone]
    return [parts[k] for k in kept], highest[kept]


def _is_inside(inner: Part, outer: Part) -> bool:
    a, b = inner.box, outer.box
    return a[0] > b[0] and a[1] > b[1] and a[2] < b[2] and a[3] < b[3]


def completed(
    sheet: Sheet, found: Sequence[tuple[Part, int]], parts: Sequence[Part], judge: Judge, sure_from: float
) -> list[tuple[Part, int]]:
    """Give each digit that is not sure what lies right beside it, if the network is sure of both together.

    So a thick bar comes to its 5, which alone would be a blot, and the lower end of a broken 3 to its upper part.
    found: digits, each with its line.  parts: all parts of the sheet.  A part that belongs to no digit may be added,
    and so may another digit; one that is sure, only on paper without printed lines.
    """
    digits = [digit for digit, _ in found]
    highest = highest_of(sheet, digits, judge)
    whole = dict(enumerate(digits))
    no_lines = not sheet.erased.any()
    may_be_joined = (highest < sure_from) | no_lines
    for k in np.flatnonzero(highest < sure_from).tolist():
        if k not in whole:
            continue
        own = whole[k]
        near = [
            part for part in parts if _is_rest(part, own) and not any(_share_ink(part, one) for one in whole.values())
        ]
        ways = [(k, joined([own, *near]))] if near else []
        ways += [
            (j, joined([own, other]))
            for j, other in whole.items()
            if j != k and may_be_joined[j] and _are_apart(other, own)
        ]
        chances = highest_of(sheet, [both for _, both in ways], judge)
        if ways and chances.max() >= WHOLE:
            j, both = ways[int(chances.argmax())]
            whole.pop(max(j, k))
            whole[min(j, k)] = both
            may_be_joined[min(j, k)] = no_lines
    return [(whole[k], found[k][1]) for k in sorted(whole)]


def _are_apart(one: Part, other: Part) -> bool:
    """Return whether two digits lie right beside each other, but do not touch: so they were not cut apart."""
    near = _is_rest(one, other) or _is_rest(other, one)
    return near and _count_pieces(joined([one, other])) == _count_pieces(one) + _count_pieces(other)


def _count_pieces(part: Part) -> int:
    return len(pieces.find_pieces(part.mask))


def _is_rest(part: Part, digit: Part) -> bool:
    """Return whether a part lies right beside a digit, and is neither too small nor too large to be some of it."""
    return are_near(part.box, digit.box, REST_GAP * digit.side) and REST_SIDE * digit.side <= part.side <= digit.side


def _share_ink(one: Part, other: Part) -> bool:
    """Return whether two parts have pixels in common."""
    if not overlap(one.box, other.box):
        return False
    both = joined([one, other])
    return int(both.mask.sum()) < int(one.mask.sum()) + int(other.mask.sum())
