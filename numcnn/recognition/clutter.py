"""What is not a digit: bars and remains at the edge, rests of rules, blots, shades, faces, texture, letters."""

from collections.abc import Sequence

import numpy as np

from numcnn.evaluation.calibration import certainty
from numcnn.imaging import pieces
from numcnn.imaging.paper import median_level
from numcnn.imaging.parts import Box, Part, is_blot, is_frame, part_of, straight_share, stroke_width, tones
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import Bools, Bytes, Floats
from numcnn.recognition.frames import CURVED, MANY_HEIGHTS, rests_of_rules
from numcnn.recognition.spots import CERTAIN, SMALLER, Spot, are_level, is_slim, overlap, typical_height
from numcnn.recognition.text_lines import in_order

HAIR = 0.25  # of a digit's ink per pixel of its height: a thinner line is what is left of a rule or of a shadow's edge
TALL = 0.6  # of a digit's height: what is sure, as high and curved is no hair, however fine its pen
AROUND, CLEAR_GROUND = 0.25, 0.65  # sizes around a part, and how much of that must be paper
SHADED = 0.3  # of the way from a part's ink to its paper: a darker ground around it is no paper in a shadow
SOFT_EDGE, SOFT = 0.05, 0.35  # sizes of a part: this much of its ink, this far outside its edge, is no blur
ALL_ALONG = 0.97  # of a picture's side
CORNER = 0.25  # of a picture's shorter side: smaller parts that touch two sides are the dark of its corner
ROW, NEAR_EDGE = 2, 0.1  # as many digits inside are a row; so near the edges, in heights, it was cropped there
HARDLY = 0.4  # of a digit's height: if more of it lies at the left or right edge, it is cut
FLAT = 0.9  # probability from which a filled shape that is all there is may be a flat thick digit
HELD, MOUTH = 0.06, 0.3  # of a digit: two larger parts inside it make it no digit; specks only beside one so large
# How much likelier letters are than digits to have a certainty from 0, 0.2, 0.4 and 0.6 on, as a logarithm: of 270
# letters on synthetic pages more than half are below 0.2, of 367 digits one.
CERTAINTIES, LETTERS = (0.2, 0.4, 0.6), (3.3, 1.5, 0.2, -1.4)
LIKELIER, LIKELIER_OF_TWO = 1.0, 2.0  # by how much letters must be likelier: more than a clear digit beside one
MANY = 10  # times as many: parts that don't stand clear, beside what looks like digits
AWAY = 3  # heights: what is farther from all digits that are certain doesn't speak against them
SCATTERED = 3  # from so many spots on, certainties alone decide; fewer may stay if one is sure, else the likely ones
OTHER_COLOUR = 1.25  # by how much the channels' shares in two grounds differ that are of different colours
SAME_GROUND, ON_DESK = 0.2, 0.6  # by how much a desk's light may differ; so much of the picture's edge shows the desk
SPECK, SPECK_HEIGHT, UNCLEAR = 0.06, 24, 0.6  # of a picture's shorter side; pixels; a certainty most digits reach
# A question mark: the side of its dot, in widths of its stroke; of its hook's height, how far that lies below its foot
# and to a side; so much of its box it fills, and it is at most so many times as long as wide.
HOOK, DOT, DOT_BELOW, DOT_ASIDE, DOT_FILLED, DOT_LONGER = 7, (0.6, 2.2), 0.35, 0.2, 0.6, 2
UNREADABLE = 0.35  # probability of a sign beside a sure digit; what is likelier may be a digit in a careless hand
MAYBE = 0.45  # probability of a lone digit that is not sure; what is less likely is a sign


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
    ring &= ~pieces.dilate(sheet.erased[outer], 2)
    if not ring.any():
        return True
    shares = []
    each = zip(sheet.ink.channels, sheet.ink.papers, tones(sheet, part), strict=True)
    for values, ground, (own, light) in each:
        around, shade = values[outer][ring], ground[outer][ring]
        bright = (around >= (own + light) / 2) | ((around >= 0.8 * shade) & (around >= own + SHADED * (light - own)))
        shares.append((light - own, float(bright.mean())))
    return max(shares)[1] >= CLEAR_GROUND


def is_clear(sheet: Sheet, part: Part) -> bool:
    """Return whether a part stands clear on its ground, with edges that are not soft."""
    return stands_clear(sheet, part) and not is_soft(sheet, part)


def is_soft(sheet: Sheet, part: Part) -> bool:
    """Return whether a part has no edge: around it there is much of the ink in it, as in a shade of the light."""
    reach = max(3, round(SOFT_EDGE * part.side))
    if part.side < 16:
        return False
    left, top, right, bottom = part.box
    x, y = max(0, left - reach), max(0, top - reach)
    around = sheet.ink.strength[y : bottom + reach, x : right + reach]
    step = max(1, part.side // 64)
    own = part.within(x, y, around.shape)
    own, around = own[::step, ::step], around[::step, ::step]
    near = pieces.dilate(own, -(-reach // step))
    ring = near & ~pieces.dilate(own, max(1, reach // step - 1))
    inside = median_level(around[own]) if own.any() else 0.0
    return bool(ring.any() and median_level(around[ring]) > SOFT * inside)


def without_edges(sheet: Sheet, parts: list[Part], highest: Floats, sure_from: float) -> tuple[list[Part], Floats]:
    """Drop rules, and what the picture's edge cuts: bars, the remains of neighbours, corners of shadows.

    A picture cropped to its digits touches them on all four sides: then nothing is cut.  Beside a row, what hardly
    touches the edge isn't cut either: in one place, or in several if the row comes near the edges above and below.
    """
    H, W = sheet.clear.shape
    touched = np.array([(p.box[0] <= 0, p.box[1] <= 0, p.box[2] >= W, p.box[3] >= H) for p in parts]).reshape(-1, 4)
    bars = np.array([_is_bar(part, sides) for part, sides in zip(parts, touched, strict=True)], bool)
    sure = highest >= sure_from
    tight = bool(touched[~bars].any(axis=0).all()) if len(parts) else False
    inner = sure & ~touched.any(axis=1)
    height = typical_height(parts, np.where(bars, 0, highest), sure_from)
    rests = rests_of_rules(sheet, parts)
    may_tell = inner if inner.any() else sure
    known = [
        part for k, part in enumerate(parts) if may_tell[k] and not (bars[k] or is_blot(part) or is_frame(part.mask))
    ]
    ends = np.array([(part.box[1], H - part.box[3]) for k, part in enumerate(parts) if inner[k]]).reshape(-1, 2)
    cropped = len(ends) > 0 and bool((ends.min(axis=0) <= NEAR_EDGE * height).all())
    most = max(known, key=lambda part: int(part.mask.sum()), default=None)
    usual = float(most.mask.sum()) / most.side if most else 0.0
    kept = []
    for k, part in enumerate(parts):
        thickness = float(part.mask.sum()) / part.side
        narrow = min(part.width, part.height) < SMALLER * height
        rule = part.side > MANY_HEIGHTS * height and part.side > 10 * thickness and narrow
        spans = part.side >= 0.95 * max(H, W) and part.side > 20 * thickness and len(parts) > 1
        beside = bool(touched[k, 0] or touched[k, 2]) and bool(inner.any())
        beside = beside and not (inner.sum() >= ROW and _hardly_touches(part, touched[k], one_place=not cropped))
        corner = touched[k].sum() > 1 and part.side < CORNER * min(H, W)
        whole = sure[k] and 0.7 <= part.height / height <= 1.5 and not (beside or corner)
        cut = touched[k].any() and not (tight or whole) and (corner or len(parts) > 1)
        bar = bars[k] and not (bars.all() and (tight or not _runs_along(part, (H, W))))
        hair = thickness < HAIR * usual and part.side > 5 * thickness and len(parts) > 1
        hair = hair and not (sure[k] and part.height >= TALL * height and straight_share(part.mask) < CURVED)
        blot = is_blot(part) and (len(parts) > 1 or highest[k] < FLAT)
        odd = k in rests or hair or is_frame(part.mask) or blot
        if not (rule or spans or cut or bar or odd):
            kept.append(k)
    return [parts[k] for k in kept], highest[kept]


def _hardly_touches(part: Part, touched: Bools, *, one_place: bool) -> bool:
    """Return whether little of a part lies at the picture's left or right edge: it isn't cut.  Or in one place only."""
    at_edge = [part.mask[:, column] for column, side in ((0, 0), (-1, 2)) if touched[side]]
    if any(column.sum() > HARDLY * part.height for column in at_edge):
        return False
    places = [np.diff(column, prepend=False, append=False).sum() // 2 for column in at_edge]
    return not one_place or max(places, default=0) <= 1


def _runs_along(part: Part, shape: tuple[int, int]) -> bool:
    """Return whether a part is as long as the picture, (H, W): the dark beyond a sheet's edge."""
    return part.height >= ALL_ALONG * shape[0] or part.width >= ALL_ALONG * shape[1]


def _is_bar(part: Part, touched: Bools) -> bool:
    """Return whether a part lies along an edge of the picture.  touched (4,): left, top, right, bottom."""
    mask = part.mask
    contact = (mask[:, 0].sum(), mask[0].sum(), mask[:, -1].sum(), mask[-1].sum())
    lengths = (part.height, part.width, part.height, part.width)
    return any(
        touches and along >= 0.6 * length and length >= 0.8 * part.side
        for touches, along, length in zip(touched, contact, lengths, strict=True)
    )


def holds_others(digit: Part, parts: Sequence[Part], everything: Sequence[Part]) -> bool:
    """Return whether two or more parts stand inside the largest piece of a digit, apart from it: a face.

    parts: what may be digits; everything: also specks, as eyes may look, which count beside a large part, as a mouth.
    """
    found = pieces.find_pieces(digit.mask)
    main = part_of(found, [int(np.argmax(found.areas))])
    place = digit.box[0] + main.box[0], digit.box[1] + main.box[1]
    if sum(_is_within(part, main, place) for part in parts) >= 2:
        return True
    sides = [part.side for part in everything if _is_within(part, main, place)]
    return len(sides) >= 2 and max(sides) >= MOUTH * main.side


def _is_within(part: Part, main: Part, place: tuple[int, int]) -> bool:
    """Return whether a part that is no speck stands inside another one, whose left upper corner is there."""
    x, y = part.box[0] - place[0], part.box[1] - place[1]
    if x <= 0 or y <= 0 or x + part.width >= main.width or y + part.height >= main.height:
        return False
    own = main.mask[y : y + part.height, x : x + part.width]
    return part.side >= HELD * main.side and not bool((own & part.mask).any())


def is_one_of_many(spots: Sequence[Spot], unclear: Sequence[Part]) -> bool:
    """Return whether many parts as high as the spots don't stand clear on their ground: a pattern, not writing.

    If the network is certain of some, only parts around these count: a sheet may lie on a desk.
    """
    if not spots:
        return bool(len(unclear) >= MANY)
    height = float(np.median([spot.height for spot in spots]))
    known = [spot for spot in spots if spot.probability >= CERTAIN]
    if known:
        boxes = np.array([spot.box for spot in known])
        (x1, y1), (x2, y2) = boxes[:, :2].min(axis=0) - AWAY * height, boxes[:, 2:].max(axis=0) + AWAY * height
        unclear = [part for part in unclear if overlap(part.box, (x1, y1, x2, y2))]
    return sum(part.height >= 0.5 * height for part in unclear) >= MANY * len(spots)


def without_streaks(spots: list[Spot], colours: Bytes, sure_from: float) -> list[Spot]:
    """Drop 1s, slim or unsure spots that are streaks of a desk, around a sheet with other digits.

    Their ground has another colour than that of all other digits, and is that of the picture's edge.  A shadow changes
    all colours alike.  colours: the picture, uint8 (H,W) or (H,W,3).
    """
    streaks = [spot.is_slim or int(spot.probabilities.argmax()) == 1 or spot.probability < sure_from for spot in spots]
    known = [spot.box for spot, streak in zip(spots, streaks, strict=True) if not streak]
    if colours.ndim == 2 or not known or not any(streaks):
        return spots
    grounds = np.array([_ground(colours, box) for box in known])
    edge = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]]).astype(np.float32)
    kept = []
    for spot, streak in zip(spots, streaks, strict=True):
        ground = _ground(colours, spot.box)
        shares = ground / grounds
        other_colour = bool((shares.max(axis=1) > OTHER_COLOUR * shares.min(axis=1)).all())
        on_desk = (np.abs(edge / ground - 1) < SAME_GROUND).all(axis=1).mean() >= ON_DESK
        if not (streak and other_colour and on_desk):
            kept.append(spot)
    return kept if len(kept) == len(spots) else in_order(kept)


def _ground(colours: Bytes, box: Box) -> Floats:
    """Return the colour around and between the strokes in a box, (3,), at least 1: the median."""
    left, top, right, bottom = box
    margin = max(2, (bottom - top) // 4)
    around = colours[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    return np.array([max(1.0, median_level(around[:, :, i])) for i in range(3)], np.float32)


def without_specks(spots: list[Spot], shape: tuple[int, ...]) -> list[Spot]:
    """Drop slim spots, 1s and unclear ones as small as dust and rests of lines, unless a clear digit that is no stroke
    shows that somebody wrote there.  shape: of the picture, (H,W) or (H,W,3)."""
    highest = min(SPECK_HEIGHT, SPECK * min(shape[:2]))
    if any(not spot.is_stroke and spot.certainty >= UNCLEAR for spot in spots):
        return spots
    return [spot for spot in spots if spot.height >= highest]


def question_marks(spots: Sequence[Spot], parts: Sequence[Part], sure_from: float) -> list[Spot]:
    """Return the hooks, 7s to the network, with a dot beneath their foot, unless sure digits stand in their line."""
    found = []
    for spot in spots:
        beside = [other for other in spots if other is not spot and other.line == spot.line]
        settled = sum(other.probability >= sure_from for other in beside) >= ROW
        if int(spot.probabilities.argmax()) == HOOK and not settled:
            own = [part for part in parts if overlap(part.box, spot.box)]
            hook = max(own, key=lambda part: int(part.mask.sum()), default=None)
            if hook is not None and any(_is_dot_beneath(part, hook) for part in parts):
                found.append(spot)
    return found


def _is_dot_beneath(part: Part, hook: Part) -> bool:
    """Return whether a part is a dot, as large as a pen's, right below the foot of another one."""
    narrow = min(part.width, part.height)
    if not DOT[0] <= part.side / stroke_width(hook.mask) <= DOT[1] or part.side > DOT_LONGER * narrow:
        return False
    low = hook.mask[-max(1, narrow // 2) :].any(axis=0)
    foot = hook.box[0] + float(np.flatnonzero(low).mean())
    aside = abs((part.box[0] + part.box[2]) / 2 - foot)
    below = part.box[1] - hook.box[3]
    return part.mask.mean() >= DOT_FILLED and 0 <= below <= DOT_BELOW * hook.height and aside <= DOT_ASIDE * hook.height


def beside(parts: Sequence[Part], spots: Sequence[Spot]) -> list[Part]:
    """Return the parts that stand level with a spot, about as high, and apart from all; not slim ones, as rules are."""
    return [
        part
        for part in parts
        if not is_slim(part.box)
        and any(are_level(part.box, spot.box) for spot in spots)
        and not any(overlap(part.box, spot.box) for spot in spots)
    ]


def without_doubts(spots: list[Spot], sure_from: float, signs: int = 0) -> list[Spot]:
    """Drop everything if that is rather letters, signs or texture; one or two that may be digits stay, doubtful.

    Of two, one that the network reads clearly stays, and the other if it may be a digit.  signs: how much ink as large
    as a digit stands in line with the spots and is none: each speaks for letters as a spot that can't be read.
    """
    if spots and len(spots) + signs > 1:
        certainties = certainty(np.array([spot.probabilities for spot in spots]))
        speaks_for_letters = float(np.array(LETTERS)[np.searchsorted(CERTAINTIES, certainties, side="right")].sum())
        speaks_for_letters += signs * LETTERS[0]
        if speaks_for_letters > (LIKELIER if len(spots) >= SCATTERED else LIKELIER_OF_TWO):
            return []
        if len(spots) >= SCATTERED:
            return spots
    if any(spot.probability >= sure_from and not spot.doubtful for spot in spots):
        return [spot for spot in spots if spot.probability >= UNREADABLE]
    return [spot._replace(doubtful=True) for spot in spots if spot.probability >= MAYBE]
