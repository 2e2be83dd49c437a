"""Whether what looks like a digit is written ink: its width, its strength, and whether it is a piece of printed lines.

A straight stroke looks like a 1 to the network, a corner of squared paper like a 7, and a frame like a 0.  What tells
them apart lies outside the 28x28 pixels that it sees: how thin the ink is for its size, how little stronger than what
the paper's noise leaves, and where the lines go on.
"""

from collections.abc import Sequence

import numpy as np

from numcnn.imaging import paper, pieces, rules
from numcnn.imaging.parts import LOOKED_AT, Box, Part, straight_share, stroke_width, tones
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import AnyArray, Bools, Floats, Ints
from numcnn.recognition.spots import CERTAIN, Spot, are_level, is_slim
from numcnn.recognition.text_lines import text_lines

# Heights: no unlikely digit and no 1 is wider; to the network a level stroke looks like a 1, too.
WIDEST, WIDEST_ONE = 1.6, 1.1
WIDEST_LIKELY = 2.1  # heights of what the network finds likely
THINNEST = 0.012  # of its longer side: a thinner line all along is a frame's or a table's
# Of its longer side: thicker ink is a shade. The most in 400 of MNIST's test digits; and of what is likely a digit.
THICKEST, THICKEST_LIKELY = 0.3, 0.38
WIDEST_ALONE, THICKEST_ALONE = 3.0, 0.45  # of all ink that stands clear in a picture, if it is likely a digit
FAINTEST = 24  # of 255 levels: what JPEG makes of a slope of light is fainter
FAINT, FAINT_TO = 1.8, 64  # times the least strength of ink, and of 255 levels: traces of noise are fainter
WEAKER = 0.5  # of the strength of most digits: so much weaker marks are none of them
MOST_CLEAR, TEXTURE = 3, 4  # as few parts, and so many times as many that do not stand clear: a texture
# As many digits, such a share of them sure, and as many in a line on average: writing, however faint.
WRITTEN, WRITTEN_SURE, IN_LINE = 6, 0.8, 2
# Probability and width, in heights, from which the only wide part may lie across an edge of the light; and by how much
# of its contrast the ground around it must differ.
ALONE, ALONE_WIDTH, UNEVEN = 0.999, 0.45, 0.25
STREAK = 0.3  # of the strength of sure digits: a fainter slim one is a streak of the ground
AS_FAINT = 1.5  # how many times as strong as a streak the weakest of these is, at least
FEW_CERTAIN = 2  # certain digits that show how thick the pen is
MOST_INK = 6.5  # how long a digit's strokes are together, at most, in sides of its box
OFF_LINES = 4  # pixels around a part: an erased line in these comes near it
JPEG = 8  # pixels: the squares that JPEG makes of a faint slope of light
SIDE, UNLIKE = 0.05, 0.35  # sizes beside a stroke, and of its contrast: where both sides differ more, it is no stroke
HOLE = 2  # stroke widths: if the ground of another tone ends nearer than this, it is a stroke and not a patch
BORDERED = 0.4  # of what lies beside a part: more erased lines are all along one side of it, and it is a rest of them
STRAIGHT = 0.97  # of the ink lies in straight level and upright lines along the sides of the box: corners, ticks
NEARLY_STRAIGHT = 0.6  # where many are straight, such a share is enough
CORNER, CORNER_THIN = 0.3, 0.13  # width in heights, from which on lines are a corner; and the most that they are thick
AS_GROUND = 0.35  # of the way from a stroke's ink to its paper: what is no lighter beyond its ends is the same ground
GOES_ON = 1.6  # sizes of a part: a longer line goes on beyond it
GAP_WIDTH, GAP_STRAIGHT = 0.35, 0.95  # width in heights, at most, and straight share, at least, of a gap between fields
ON_LINES, ALL_ON_LINES = 0.7, 0.9  # of a straight part's ink, and of any other's, on such lines, and it is of them
TICKS, TICK_OFF, MOST_TICKS = 4, 0.015, 0.8  # as many strokes whose ends, to this part of their length, most are level
REPEATED, REPEATED_OFF, REPEATED_STRAIGHT = 3, 0.03, 0.8  # as many strokes; heights they differ by; straight ink
LEANING = 0.06  # radians off a right angle to the line of its ends: a photographed tick, but not a slanting 1
REGION, MOST_REGIONS = 0.002, 3  # of a part's side squared: a digit's strokes enclose at most so many larger regions
LONGEST_LINE = 4.5  # sides of a part: a longer line, all strokes together, is a drawing
# A staple: nearer to two edges than this share of the picture's sides, leaning more radians to the left or to the
# right, its ink at most so many times as broad as its stroke; beside as many other sure digits that are not slim.
IN_CORNER, LEANS_LEFT, LEANS_RIGHT, AS_BROAD, WIDE_DIGITS = 0.25, 0.4, 0.65, 1.4, 2
MANY, MUCH = 6, 0.4  # as many printed strokes, and such a share of all: what is like them is printed too


def is_written(
    sheet: Sheet,
    part: Part,
    *,
    likely: bool = False,
    edge: bool = False,
    alone: bool = False,
    straight: float | None = None,
) -> bool:
    """Return whether a part has the shape and the strength of a written digit.

    likely: the network finds it so; then it may be wider and thicker, most so as a picture's only ink, ``alone``.
    edge: it may lie across an edge of the light, if it is straight mostly, else all along printed lines, and away from
    such have a perfect corner, as a 1 with a foot.  straight: its ``straight_share``, if that is known.
    """
    widest, thickest = (WIDEST_LIKELY, THICKEST_LIKELY) if likely else (WIDEST, THICKEST)
    if likely and alone:
        widest, thickest = WIDEST_ALONE, THICKEST_ALONE
    if part.width > widest * part.height:
        return False
    width = stroke_width(part.mask)
    if is_tangle(part.mask, width):
        return False
    if not THINNEST * part.side <= width <= thickest * part.side or _is_jpeg(sheet, part):
        return False
    if not _has_ground(sheet, part) or _borders_on_lines(sheet, part) or (is_edge(sheet, part) and not edge):
        return False
    straight = straight_share(part.mask) if straight is None else straight
    if straight >= GAP_STRAIGHT and _is_gap(sheet, part):
        return False
    if straight < NEARLY_STRAIGHT:
        return edge or not sheet.erased.any() or not on_longer_lines(sheet, part, ALL_ON_LINES)
    corner = (
        not (edge and _is_off_lines(sheet, part))
        and straight >= STRAIGHT
        and part.width > CORNER * part.height
        and width < CORNER_THIN * part.side
    )
    return not (corner or on_longer_lines(sheet, part, ALL_ON_LINES if edge else ON_LINES))


def _is_off_lines(sheet: Sheet, part: Part) -> bool:
    """Return whether no erased line comes near a part."""
    left, top, right, bottom = part.box
    near = slice(max(0, top - OFF_LINES), bottom + OFF_LINES), slice(max(0, left - OFF_LINES), right + OFF_LINES)
    return not sheet.erased[near].any()


def is_tangle(mask: Bools, width: float) -> bool:
    """Return whether strokes so wide are too long together for a digit, or enclose too many regions, as in a flower.

    Large ones are looked at in less detail: the grain of pencil and chalk makes no edges.
    """
    if (factor := max(mask.shape) // LOOKED_AT) > 1:
        mask = rules.any_of(mask, factor)
        width = stroke_width(mask)
    side = max(mask.shape)
    if mask.sum() > LONGEST_LINE * width * side:
        return True
    areas = pieces.find_pieces(~np.pad(mask, 1)).areas
    return int((areas >= REGION * side**2).sum()) > MOST_REGIONS + 1  # one lies outside


def is_level_stroke(spot: Spot) -> bool:
    """Return whether what the network takes for a 1 lies."""
    left, _, right, _ = spot.box
    return int(spot.probabilities.argmax()) == 1 and right - left > WIDEST_ONE * spot.height


def across_edges(sheet: Sheet, parts: Sequence[Part], highest: Floats, known: Bools) -> Bools:
    """Return which parts (N,) may be digits across an edge of the light, as of a shadow.

    highest (N,): how likely each is a digit; known (N,): sure digits on even ground.  Those are meant that are certain,
    and stand level with a known one as high, and not more of them than are known.  Where none is known, the only part
    that is wider than edges are, from the probability ALONE on, if the ground around it is uneven.
    """
    if not known.any():
        wide = [k for k, part in enumerate(parts) if part.width > ALONE_WIDTH * part.height]
        lone = np.zeros(len(parts), bool)
        if len(wide) == 1 and highest[wide[0]] >= ALONE:
            lone[wide[0]] = _is_ground_uneven(sheet, parts[wide[0]])
        return lone
    certain = highest >= CERTAIN
    found = np.array(
        [
            bool(certain[k])
            and not known[k]
            and any(are_level(part.box, other.box) for other, is_known in zip(parts, known, strict=True) if is_known)
            for k, part in enumerate(parts)
        ],
        bool,
    )
    return found if found.sum() <= known.sum() else np.zeros(len(parts), bool)


def _is_ground_uneven(sheet: Sheet, part: Part) -> bool:
    """Return whether the ground outside one side of a part's box is lighter than outside another, as at an edge."""
    reach = max(2, round(SIDE * part.side))
    left, top, right, bottom = part.box
    rows, columns = slice(max(0, top - reach), bottom + reach), slice(max(0, left - reach), right + reach)
    sides = [(slice(rows.start, top), columns), (slice(bottom, rows.stop), columns)]
    sides += [(rows, slice(columns.start, left)), (rows, slice(right, columns.stop))]
    bare = ~pieces.dilate(sheet.clear | sheet.erased, 1)
    sides = [side for side in sides if bare[side].any()]
    if len(sides) < 2:
        return False
    for values, (own, light) in zip(sheet.ink.channels, tones(sheet, part), strict=True):
        grounds = [float(values[side][bare[side]].mean()) for side in sides]
        contrast = light - own
        if contrast > 0 and max(grounds) - min(grounds) > max(FAINTEST, UNEVEN * contrast):
            return True
    return False


def is_hole(sheet: Sheet, part: Part) -> bool:
    """Return whether a part is ground between strokes of the other polarity, such as the middle of a # or a window.

    At a distance of HOLE times its own stroke width, most of the picture has its own tone again: what surrounds it is
    thin.  A patch with a digit on it goes on farther, unless its margin is thin.
    """
    far = max(2, round(HOLE * stroke_width(part.mask)))
    own = np.pad(part.mask, far)
    rows, columns = np.nonzero(pieces.dilate(own, far) & ~pieces.dilate(own, far - 1))
    left, top, _, _ = part.box
    H, W = sheet.clear.shape
    rows, columns = rows + top - far, columns + left - far
    inside = (rows >= 0) & (columns >= 0) & (rows < H) & (columns < W)
    most, share = 0.0, 0.0
    for values, (ink, ground) in zip(sheet.ink.channels, tones(sheet, part), strict=True):
        if ground - ink > most:
            most = ground - ink
            share = int((values[rows[inside], columns[inside]] < (ground + ink) / 2).sum()) / len(rows)
    return share > 0.5


def _has_ground(sheet: Sheet, part: Part) -> bool:
    """Return whether a part lies on a ground to write on.

    One darker than ``paper.DARKEST`` does not show dark ink, and one as light not light ink.
    """
    left, top, right, bottom = part.box
    return max(paper.median_level(ground[top:bottom, left:right]) for ground in sheet.ink.papers) >= paper.DARKEST


def _borders_on_lines(sheet: Sheet, part: Part) -> bool:
    """Return whether erased ink lies all along one side of a part: it is a rest of that, as of a sheet's dark edge."""
    far = max(3, round(SIDE * part.side))
    left, top, right, bottom = part.box
    x, y = max(0, left - far), max(0, top - far)
    erased = sheet.erased[y : bottom + far, x : right + far]
    if not erased.any():
        return False
    own = part.within(x, y, erased.shape)
    return bool(erased[pieces.dilate(own, far) & ~pieces.dilate(own, 1)].mean() >= BORDERED)


def _is_gap(sheet: Sheet, part: Part) -> bool:
    """Return whether a straight part is the ground between two fields: slim, upright, and going on beyond both ends.

    Not so a 1 from one thick line to the next: there is paper between.
    """
    if part.width > GAP_WIDTH * part.height:
        return False
    far = max(3, part.width)
    left, top, right, bottom = part.box
    above, below = slice(max(0, top - far - 2), max(0, top - 2)), slice(bottom + 2, bottom + far + 2)
    own_tones = tones(sheet, part)
    goes_on = []
    for rows in (above, below):
        shares = []
        for seen, (own, light) in zip(sheet.ink.channels, own_tones, strict=True):
            beyond = seen[rows, left:right]
            if beyond.size:
                lightest = float(np.median(beyond, axis=1).max())
                shares.append((light - own, (lightest - own) / max(1.0, light - own)))
        goes_on.append(bool(shares) and max(shares)[1] <= AS_GROUND)
    return all(goes_on)


def _strength(sheet: Sheet, part: Part) -> float:
    left, top, right, bottom = part.box
    return paper.median_level(sheet.ink.strength[top:bottom, left:right][part.mask])


def is_faint(sheet: Sheet, box: Box) -> bool:
    """Return whether the ink in a box is so weak that noise and JPEG make such."""
    left, top, right, bottom = box
    clear = sheet.clear[top:bottom, left:right]
    return not clear.any() or paper.median_level(sheet.ink.strength[top:bottom, left:right][clear]) < FAINT_TO


def _is_jpeg(sheet: Sheet, part: Part) -> bool:
    """Return whether a part is faint and made of the squares that JPEG makes of a slope of light."""
    return all(edge % JPEG == 0 for edge in part.box) and _strength(sheet, part) < FAINT_TO


def faint_ones(sheet: Sheet, parts: Sequence[Part], lines: Sequence[int], sure: Bools) -> set[int]:
    """Return which parts are hardly stronger than the weakest that counts as ink, if most are or others are not.

    Also slim ones much fainter than all sure digits that are not slim: streaks of the ground, as of wood.
    lines (N,): which line each stands on; sure (N,): of which the network is sure.  Noise does not make many digits,
    nearly all of them sure, several in a line: where there are, somebody writes faintly.
    """
    strengths = np.array([_strength(sheet, part) for part in parts])
    weak = (strengths < FAINT_TO) & (strengths < max(FAINTEST, FAINT * sheet.ink.least))
    written = len(parts) >= max(WRITTEN, IN_LINE * len(set(lines))) and sure.mean() >= WRITTEN_SURE
    if weak.mean() < 0.5 or written:
        weak &= strengths < WEAKER * np.median(strengths)
    slim = np.array([is_slim(part.box) for part in parts])
    wide = strengths[sure & ~slim]
    if len(wide):  # a fainter 1 than all digits that a line can't look like is a streak of the ground, as of wood
        streak = (strengths < STREAK * np.median(wide)) & (strengths * AS_FAINT < wide.min())
        weak |= slim & streak
    return set(np.flatnonzero(weak).tolist())


def staples(sheet: Sheet, parts: Sequence[Part], lines: list[int], sure: Bools) -> set[int]:
    """Return which parts are staples: a straight stroke alone in a corner, which leans as hardly any 1 does.

    lines (N,): which line each stands on; sure (N,): of which the network is sure.  An upright one may be a page's
    number, and counts as a 1.
    """
    wide = sure & ~np.array([is_slim(part.box) for part in parts], bool)
    alone = [lines.count(line) == 1 and wide.sum() - wide[k] >= WIDE_DIGITS for k, line in enumerate(lines)]
    return {k for k, part in enumerate(parts) if alone[k] and _is_in_corner(sheet, part) and _leans_too_far(part)}


def _is_in_corner(sheet: Sheet, part: Part) -> bool:
    left, top, right, bottom = part.box
    H, W = sheet.clear.shape
    x, y = (left + right) / (2 * W), (top + bottom) / (2 * H)
    return min(x, 1 - x) < IN_CORNER and min(y, 1 - y) < IN_CORNER


def _leans_too_far(part: Part) -> bool:
    """Return whether a part is one straight stroke that leans too far for a 1."""
    places = np.argwhere(part.mask).astype(np.float64)
    spreads, axes = np.linalg.eigh(np.cov(places.T)) if len(places) > 2 else (np.zeros(2), np.eye(2))
    if (12 * spreads[0]) ** 0.5 > AS_BROAD * stroke_width(part.mask):
        return False
    down, right = axes[:, 1]
    lean = np.arctan2(-right * np.sign(down), abs(down))  # of its upper end, to the right
    return bool(lean < -LEANS_LEFT or lean > LEANS_RIGHT)


def crossed_out(parts: Sequence[Part], certain: Bools) -> set[int]:
    """Return which uncertain parts hold more ink than a digit can, written with the pen of the certain ones (N,)."""
    if certain.sum() < FEW_CERTAIN:
        return set()
    pen = float(np.median([stroke_width(part.mask) for part, one in zip(parts, certain, strict=True) if one]))
    most = np.array([MOST_INK * pen * part.side for part in parts])
    ink = np.array([int(part.mask.sum()) for part in parts])
    return set(np.flatnonzero(~certain & (ink > most)).tolist())


def is_texture(sheet: Sheet, clear: Sequence[Part], count: int) -> bool:
    """Return whether of very many parts only a few faint ones stand clear on their ground, as in clouds and cloth."""
    highest = max((part.height for part in clear), default=0)
    large = [part for part in clear if part.height >= highest / 2]
    few = len(large) <= MOST_CLEAR and count >= TEXTURE * (1 + len(clear))
    return few and all(_strength(sheet, part) < FAINT_TO for part in large)


def is_edge(sheet: Sheet, part: Part) -> bool:
    """Return whether the ground differs from one side of a part's strokes to the other, as where two shapes meet."""
    far = max(3, round(SIDE * part.side))
    left, top, right, bottom = part.box
    x, y = max(0, left - far), max(0, top - far)
    inside = slice(y, bottom + far), slice(x, right + far)
    ink = sheet.clear[inside] | sheet.erased[inside]
    own = part.within(x, y, ink.shape)
    best, unlike = 0.0, 0.0
    for channel in sheet.ink.channels:
        values = channel[inside].astype(np.int16)
        differences, grounds = _beside(values, own, ink, far)
        if not len(differences):
            continue
        best = max(best, paper.median_level(grounds) - paper.median_level(values[own]))
        unlike = max(unlike, paper.median_level(differences))
    return best > 0 and unlike > UNLIKE * best


def _beside(values: AnyArray, own: Bools, ink: Bools, far: int) -> tuple[AnyArray, AnyArray]:
    """Return by how much the two sides of each stroke differ, and what is there, along rows and columns."""
    differences, grounds = [], []
    for turned in (False, True):
        v, o, taken = (array.T if turned else array for array in (values, own, ink))
        W = v.shape[1]
        padded = np.pad(o, ((0, 0), (1, 1)))
        rows, places = np.nonzero(padded[:, 1:] != padded[:, :-1])
        starts, stops, rows = places[::2] - far, places[1::2] + far - 1, rows[::2]
        good = (starts >= 0) & (stops < W)
        starts, stops, rows = starts[good], stops[good], rows[good]
        free = ~(taken[rows, starts] | taken[rows, stops])
        before, after = v[rows, starts][free], v[rows, stops][free]
        differences.append(np.abs(before - after))
        grounds += [before, after]
    return np.concatenate(differences), np.concatenate(grounds)


def on_longer_lines(sheet: Sheet, part: Part, least: float) -> bool:
    """Return whether this share of a part's ink lies on lines that go on beyond the part: erased ones count."""
    H, W = sheet.clear.shape
    left, top, right, bottom = part.box
    x, y = max(0, left - part.side), max(0, top - part.side)
    inside = slice(y, min(H, bottom + part.side)), slice(x, min(W, right + part.side))
    ink = sheet.clear[inside] | sheet.erased[inside]
    reach = 2 if part.side >= 32 else 1
    length = round(GOES_ON * part.side)
    own = slice(top - y, bottom - y), slice(left - x, right - x)
    most = int(part.mask.sum())

    def share(ways: list[Bools]) -> float:
        level, upright = ways
        return int(((level | upright.T) & part.mask).sum()) / most

    # Most parts have too little ink even on bands that only cross what lies around them.
    far = rules.rows_of_lines(length) + reach
    turned = (ink, own), (ink.T, own[::-1])
    bands = []
    for seen, (rows, columns) in turned:
        first = max(0, rows.start - far)
        band = rules.bands_in(seen[first : rows.stop + far], length, reach, reach)
        bands.append(band[rows.start - first : rows.stop - first, columns])
    if share(bands) < least:
        return False
    lines = [rules.lines_in(seen, length, reach, reach)[box] for seen, box in turned]
    return share(lines) >= least


def printed_strokes(parts: Sequence[Part], shares: Floats) -> set[int]:
    """Return which parts are straight lines as only printers make them: several in a row whose ends lie on two lines.

    shares (N,): the ``straight_share`` of each.  People write a row of 1s less evenly.  Where very many are printed,
    what is nearly straight is of the same lines.
    """
    straight = np.flatnonzero(shares >= STRAIGHT)
    boxes = np.array([parts[k].box for k in straight.tolist()]).reshape(-1, 4)
    own = np.array([stroke_width(parts[k].mask) for k in straight.tolist()])
    found = {int(straight[k]) for row in text_lines(boxes) if _is_comb(boxes[row], own[row]) for k in row}
    if len(found) < max(MANY, MUCH * len(parts)):
        return found
    return set(np.flatnonzero(shares >= NEARLY_STRAIGHT).tolist())


def repeated_strokes(parts: Sequence[Part], shares: AnyArray) -> set[int]:
    """Return which parts are printed strokes, one below the other: three or more mostly straight ones that are as high
    as each other and begin, or end, in the same column.  shares (N,): their ``straight_share``."""
    found: set[int] = set()
    straight = [k for k, share in enumerate(shares) if share >= REPEATED_STRAIGHT and parts[k].height > parts[k].width]
    for k in straight:
        left, _, right, _ = parts[k].box
        off = max(1.0, REPEATED_OFF * parts[k].height)
        alike = [
            n
            for n in straight
            if abs(parts[n].height - parts[k].height) <= off
            and min(abs(parts[n].box[0] - left), abs(parts[n].box[2] - right)) <= off
        ]
        if len(alike) >= REPEATED:
            found |= {*alike}
    return found


def _is_comb(boxes: Ints, strokes: AnyArray) -> bool:
    """Return whether the upper and the lower ends of a row of strokes each lie on a straight line, square to them.

    boxes: (N,4); strokes: their widths, (N,).
    """
    if len(boxes) < TICKS:
        return False
    middles = (boxes[:, 0] + boxes[:, 2]) / 2
    off = max(1.0, TICK_OFF * float(np.median(boxes[:, 3] - boxes[:, 1])))
    for ends in (boxes[:, 1], boxes[:, 3]):
        slope, at = np.polyfit(middles, ends, 1).tolist()
        away = np.abs(ends - at - slope * middles)
        lean = np.median((boxes[:, 2] - boxes[:, 0] - strokes) / (boxes[:, 3] - boxes[:, 1]))
        if np.quantile(away, MOST_TICKS) > off or abs(lean - abs(slope)) > LEANING:
            return False
    return True
