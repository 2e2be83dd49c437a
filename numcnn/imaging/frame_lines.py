"""The lines of printed frames, combs and tables: straight thin lines that hold each other.

A digit has straight strokes too.  A frame's line differs in where it ends: at two other lines of the frame, or at one
and at the picture's edge; the ticks of a comb end at one line only, but are equal.  Lines that end nowhere
are dropped, then those that ended at them, until nothing changes.  What stays is erased, but for strokes across it.

Several 1s on ruled paper stand on lines too, as ticks do.  But no line ends a rule of the page: across such open lines
only those are printed that are as thick and as dark as these, square to them, and end at them.
"""

import functools
import math
from dataclasses import dataclass, replace

import numpy as np

from numcnn.imaging import rules
from numcnn.imaging.paper import closing, median_level
from numcnn.imaging.pieces import Pieces, find_pieces
from numcnn.imaging.preprocess import quantile
from numcnn.kernels.arrays import AnyArray, Bools, Bytes, Ints

LEAST_SIDE = 32  # pixels: smaller pictures aren't looked at
LEAST_LENGTH, STROKES = 12, 3  # pixels, and widths of a stroke: shorter lines are not looked for
SLENDER, TICK = 8, 5  # times its thickness: a line, and a comb's tick, is at least this long
SHORT_TICK, MANY_TICKS = 4, 3  # and one of so many equal ticks
MOST_IN_BAND = 3  # lines that are so near to each other that they are found as one
GAP = 2  # pixels along a line that may be missing
MEETS = 0.03  # of a line's length: it may end this far before or beyond the line that it ends at
CONTINUES = 0.5  # of the length of two lines in a row: the gap between them, at most
COVERED, HELD = 0.65, 0.5  # of a line's length: how much of it is ink; how far apart the lines are that it ends at
THICKER = 1.5  # times the usual thickness of a frame's lines: a thicker one is a stroke
EVEN = 0.8  # of the columns of a line between the others' middles, that its middle must lie on
EQUAL = 0.08  # of their length: how much the ends of a comb's ticks differ
DARKER = 1.3  # times a line's strength: darker ink on it is a stroke's
UNEQUAL = 2.0  # times the usual strength of a frame's lines: a stronger one has a stroke on it
VISIBLE = 0.2  # of a line's length, that shows how strong it is by itself where a stroke runs along the rest
SQUARE = 0.06  # radians off a right angle: lines printed across others, also when they are photographed
RULE_INKED, RULE_THICKEST = 0.95, 1 / 60  # of a picture's width: a rule's ink, and the most that it is thick
LOOKED_AT = 50_000  # pixels, times slopes, that are looked at together
LARGE = 1_500_000  # pixels; lines in larger pictures are looked for at half the size or less


@dataclass
class Line:
    """A nearly level line: from column ``first`` to before ``last``, at row ``at + slope * column``; its thickness.

    inked: how many of its columns hold ink; even: in which part of
    them their middle lies on it; whole: it has no large gaps.
    """

    first: float
    last: float
    at: float
    slope: float
    thickness: float
    inked: float = 0.0
    even: float = 1.0
    whole: bool = True

    @property
    def length(self) -> float:
        """In pixels."""
        return self.last - self.first

    @property
    def near(self) -> float:
        """How far from an end it may meet another line, in pixels."""
        return GAP + 0.75 * self.thickness + MEETS * self.length

    def row(self, column: float) -> float:
        """Return where the line is in a column."""
        return self.at + self.slope * column


def frame_lines(strength: Bytes, least: int) -> Bools:
    """Return the pixels of the lines of frames and tables, without what crosses them.  (H,W) uint8 -> (H,W).

    least: the strength from which a pixel is ink.
    """
    return printed_lines(strength, least)[0]


def printed_lines(strength: Bytes, least: int) -> tuple[Bools, Bools, Bools]:
    """Return what ``frame_lines`` does, the same for thin level lines from edge to edge, and the bands of these."""
    ink = strength >= least
    along = np.zeros_like(ink)
    if min(ink.shape) < LEAST_SIDE or not ink.any():
        return along, along, along
    high, wide = rules.runs_across(ink), rules.runs_across(ink.T).T
    shortest = max(LEAST_LENGTH, round(STROKES * median_level(np.minimum(high, wide)[ink])))
    level, upright = _lines(ink, high, shortest), _lines(ink.T, wide.T, shortest)
    level, upright = (
        _without_writing(level, upright, (ink.T, strength.T), (ink, strength)),
        _without_writing(upright, level, (ink, strength), (ink.T, strength.T)),
    )
    across = [replace(line) for line in level if _is_rule(line, ink.shape)]
    held = _holding(level, upright, ink.shape)
    for line in across:
        _draw(along, replace(line, thickness=3 * line.thickness + 6))
    return _ink_of(*held, strength, ink, high, wide), _ink_of(across, [], strength, ink, high, wide), along


def _ink_of(level: list[Line], upright: list[Line], strength: Bytes, ink: Bools, high: Ints, wide: Ints) -> Bools:
    """Return the ink of some lines, without what crosses them, (H,W).  high, wide: how far ink reaches, each way."""
    gone = np.zeros_like(ink)
    if not level and not upright:
        return gone
    usual = _usual_thickness(level, upright)
    thin = [line.thickness <= usual for line in [*level, *upright]]
    for line in level:
        _refit(line, usual, ink, high)
    for line in upright:
        _refit(line, usual, ink.T, wide.T)
    crossed, down = np.zeros_like(ink), np.zeros_like(ink)
    peaks = [_peaks(ink, strength, line) for line in level] + [_peaks(ink.T, strength.T, line) for line in upright]
    darkest = [DARKER * tone for tone in _own_tones(peaks, thin)]
    for line, dark in zip(level, darkest, strict=False):
        _erase(gone, ink, high, strength, dark, line)
        _draw(crossed, line)
    for line, dark in zip(upright, darkest[len(level) :], strict=True):
        _erase(gone.T, ink.T, wide.T, strength.T, dark, line)
        _draw(down.T, line)
    gone |= crossed & down & ink & (strength <= max(darkest))  # where lines cross, both are thick
    reach = math.ceil(max(line.thickness for line in [*level, *upright]) / 2) + 1
    strokes = 255 * (ink & ~gone).astype(np.uint8)
    return gone & (closing(strokes, reach) == 0)  # what lies between strokes on both sides is a stroke's


def _lines(ink: Bools, high: Ints, shortest: int) -> list[Line]:
    """Find straight, nearly level, thin lines in ink (H,W), from ``shortest`` pixels on.  high: how high ink is."""
    factor = max(1, math.ceil(math.sqrt(ink.size / LARGE)))
    small = rules.thicken(rules.any_of(ink, factor), rules.REACH)
    small = rules.thicken(small.T, max(1, GAP // factor)).T
    found = find_pieces(rules.long_lines(small, max(4, shortest // factor)))
    lines = [line for k in range(len(found)) for line in _fitted(found, k, factor, ink, high, shortest)]
    lines = _continued(sorted(lines, key=lambda line: line.first))
    lines = [line for line in lines if line.length >= SHORT_TICK * line.thickness]
    return [line for line in lines if line.length >= TICK * line.thickness or _is_one_of_many(line, lines)]


def _fitted(found: Pieces, k: int, factor: int, ink: Bools, high: Ints, shortest: int) -> list[Line]:
    """Return the lines through one band of a picture's; none if its ink is no thin line."""
    left, top, right, bottom = found.boxes[k].tolist()
    band = found.mask([k], (left, top, right, bottom)).repeat(factor, axis=0).repeat(factor, axis=1)
    x, y = factor * left, factor * top
    own = ink[y : y + band.shape[0], x : x + band.shape[1]]
    rows, columns = np.nonzero(own & band[: own.shape[0], : own.shape[1]])
    rows, columns = rows + y, columns + x
    lines: list[Line] = []
    for _ in range(MOST_IN_BAND):
        long_enough = len(_different(columns)) >= COVERED * shortest  # no line has more inked columns
        line = _line_through(rows, columns, high) if long_enough else None
        if line is None:
            break
        if line.length >= shortest and line.inked >= COVERED * line.length:
            lines.append(line)
        apart = np.abs(rows - line.at - line.slope * columns) > line.thickness / 2 + 1
        rows, columns = rows[apart], columns[apart]
    return lines


def _line_through(rows: Ints, columns: Ints, high: Ints) -> Line | None:
    """Return the line that most of some pixels lie on, or None."""
    runs = high[rows, columns]
    thickness = float(quantile(runs, 0.15))
    thin = runs <= rules.THICKER * thickness + 1
    if not thin.any():
        return None
    at, slope = _straightest(rows[thin], columns[thin], thickness)
    near = np.abs(rows - at - slope * columns) <= thickness / 2 + 1
    near &= _without_ends(columns, near, 2 * thickness + 2)
    if not near.any():
        return None
    line = Line(float(columns[near].min()), float(columns[near].max() + 1), at, slope, thickness)
    line.even = _evenness(rows[near & thin], columns[near & thin], line)
    line.inked = float(len(_different(columns[near])))
    return line if abs(slope) <= 1.2 * rules.MOST_TURN else None


def _without_ends(columns: Ints, near: Bools, longest: float) -> Bools:
    """Return which columns lie between a line's ends, without short pieces beyond gaps: what it nearly reaches."""
    own = _different(columns[near])
    for _ in range(2):  # from the right, then from the left
        gaps = np.flatnonzero(np.diff(own[::-1]) < -1) if len(own) else own
        if len(gaps) and gaps[0] + 1 <= longest:
            own = own[: len(own) - gaps[0] - 1]
        own = -own[::-1]
    return (columns >= own[0]) & (columns <= own[-1]) if len(own) else near


def _different(columns: Ints) -> Ints:
    """Return ``np.unique`` of columns, in a fraction of its time."""
    return np.flatnonzero(np.bincount(columns)) if len(columns) else columns


def _evenness(rows: Ints, columns: Ints, line: Line) -> float:
    """Return in which part of the columns of some of a line's pixels their middle lies on the line: not in an arc."""
    counts = np.bincount(columns - int(line.first))
    middles = np.bincount(columns - int(line.first), rows)[counts > 0] / counts[counts > 0]
    away = np.abs(middles - line.at - line.slope * (np.flatnonzero(counts) + line.first))
    return float(np.mean(away <= max(0.75, 0.15 * line.thickness))) if len(away) else 0.0


def _straightest(rows: Ints, columns: Ints, thickness: float) -> tuple[float, float]:
    """Return the line, its row at column 0 and its slope, that most of some pixels lie on."""
    middle = float(columns.mean())
    width = max(1, round(thickness))
    count = math.ceil(rules.MOST_TURN * max(1, np.ptp(columns)) / 2)
    slopes = np.linspace(-rules.MOST_TURN, rules.MOST_TURN, 2 * min(count, 30) + 1)
    runs, pixels = _runs(rows, columns), (rows, rows + 1, columns)
    most_off = rules.MOST_TURN * float(np.abs(columns - middle).max()) + 1
    low = math.floor(float(rows.min()) - most_off)
    span = math.ceil(float(rows.max()) + most_off) - low + 1 + width
    best, found = -1, (0.0, 0.0)
    together = max(1, LOOKED_AT // len(runs[0]))
    for some in (slopes[k : k + together] for k in range(0, len(slopes), together)):
        starts, stops, places = runs if _round_alike(some, runs[2] - middle) else pixels
        first = np.rint(starts - some[:, None] * (places - middle)).astype(np.intp)
        first += np.arange(len(some))[:, None] * span - low
        after = first + (stops - starts)
        begun, ended = (np.bincount(each.ravel(), minlength=len(some) * span) for each in (first, after))
        below = np.concatenate([np.zeros(width, np.intp), np.cumsum(np.cumsum(begun - ended))])
        sums = (below[width:] - below[:-width]).reshape(len(some), span)  # of so many rows, up to each
        k, most = divmod(int(sums.argmax()), span)
        if sums[k, most] > best:
            best = int(sums[k, most])
            found = low + most - (width - 1) / 2 - float(some[k]) * middle, float(some[k])
    at, slope = found
    near = np.abs(rows - at - slope * columns) <= thickness / 2 + 0.5
    right, down = float(columns[near].mean()), float(rows[near].mean())
    away = columns[near] - right
    spread = float((away**2).sum())
    slope = float((away * (rows[near] - down)).sum()) / spread if spread else 0.0
    return down - slope * right, slope


def _runs(rows: Ints, columns: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the runs of pixels below each other: their first rows, those after their last ones, their columns."""
    stride = int(rows.max()) + 2
    pixels = np.sort(columns * stride + rows)
    begins = np.flatnonzero(np.diff(pixels, prepend=-2) != 1)
    places, starts = np.divmod(pixels[begins], stride)
    return starts, starts + np.diff(begins, append=len(pixels)), places


def _round_alike(slopes: AnyArray, away: AnyArray) -> bool:
    """Return whether all rows less a slope times ``away`` round in the same direction: none is half way."""
    turned = slopes[:, None] * away
    return bool((np.abs(turned - np.floor(turned) - 0.5) > 1e-6).all())


def _continued(lines: list[Line]) -> list[Line]:
    """Join lines that continue each other across a gap.  lines: sorted by their first columns."""
    found: list[Line] = []
    for line in lines:
        for k, before in enumerate(found):
            gap, between = line.first - before.last, (line.first + before.last) / 2
            apart = abs(before.row(between) - line.row(between))
            level = apart <= 1.5 + 0.5 * before.thickness
            if level and -GAP <= gap <= CONTINUES * (before.length + line.length):
                start, stop = (before.first + before.last) / 2, (line.first + line.last) / 2
                slope = (line.row(stop) - before.row(start)) / max(stop - start, 1)
                thickness = max(before.thickness, line.thickness)
                whole = before.whole and line.whole and gap <= 2 * GAP + thickness
                at = before.row(start) - slope * start
                even = min(before.even, line.even)
                inked = before.inked + line.inked
                found[k] = Line(before.first, max(before.last, line.last), at, slope, thickness, inked, even, whole)
                break
        else:
            found.append(line)
    return found


def _holding(level: list[Line], upright: list[Line], shape: tuple[int, int]) -> tuple[list[Line], list[Line]]:
    """Return the lines that hold each other.  upright: in the transposed picture."""
    H, W = shape
    while True:
        held = _held(level, upright, W), _held(upright, level, H)
        if [len(lines) for lines in held] == [len(level), len(upright)]:
            usual = _usual_thickness(*held)
            thinner = _without_strokes(*held, usual), _without_strokes(*held[::-1], usual)
            if [len(lines) for lines in thinner] == [len(lines) for lines in held]:
                return held
            held = thinner
        level, upright = held


def _without_writing(
    lines: list[Line], others: list[Line], across: tuple[Bools, Bytes], along: tuple[Bools, Bytes]
) -> list[Line]:
    """Return lines without those that only meet open ones, as rules of a page are, and differ from them: written 1s.

    along, across: the ink and its strength as ``lines``, and as ``others``, see it.
    """
    are_open = [_is_open(other, lines) for other in others]
    tones = functools.cache(lambda k: _tone(*across, others[k]))
    kept: list[Line] = []
    for line in lines:
        met = [(place, k) for k, other in enumerate(others) if (place := _meeting(line, other)) is not None]
        if not met or not all(are_open[k] for _, k in met):
            kept.append(line)
            continue
        places = [0, along[0].shape[1], *(place for place, _ in met)]
        ends = all(min(abs(end - place) for place in places) <= line.near for end in (line.first, line.last))
        square = np.median([abs(line.slope + others[k].slope) for _, k in met]) <= SQUARE
        usual = [(others[k].thickness, tones(k)) for _, k in met]
        thickness, tone = np.median(usual, axis=0).tolist()
        if ends and square and rules.are_alike((line.thickness, _tone(*along, line)), (thickness, tone)):
            kept.append(line)
    return kept


def _is_rule(line: Line, shape: tuple[int, int]) -> bool:
    """Return whether a level line runs from edge to edge of a picture (H,W), as thin and even as a page's rule."""
    H, W = shape
    spans = line.first <= GAP + 1 and line.last >= W - GAP - 1 and line.inked >= RULE_INKED * W
    return spans and line.even >= RULE_INKED and line.thickness <= RULE_THICKEST * W and min(H, W) >= rules.LEAST_RULED


def _is_open(line: Line, others: list[Line]) -> bool:
    """Return whether no other line stands at either end of a line."""
    return not any(
        (place := _meeting(line, other)) is not None
        and min(abs(place - line.first), abs(place - line.last)) <= line.near
        for other in others
    )


def _usual_thickness(level: list[Line], upright: list[Line]) -> float:
    return float(np.median([line.thickness for line in [*level, *upright]])) if level or upright else 0.0


def _without_strokes(lines: list[Line], others: list[Line], usual: float) -> list[Line]:
    """Return lines without thick or uneven ones between the others' middles: a 1 as high as its frame."""
    return [
        line
        for line in lines
        if (line.thickness <= THICKER * usual + 0.5 and line.even >= EVEN) or _is_side(line, others)
    ]


def _is_side(line: Line, others: list[Line]) -> bool:
    """Return whether a line ends at the ends of all lines that it meets, as a frame's sides do."""
    return all(
        min(abs(row - other.first), abs(row - other.last)) <= other.near + line.thickness / 2
        for other in others
        if (column := _meeting(line, other)) is not None
        for row in (line.row(column),)
    )


def _held(lines: list[Line], others: list[Line], side: int) -> list[Line]:
    """Return the lines that end at two others, or at one and at the picture's edge, and the ticks of combs."""
    kept: list[Line] = []
    ticks: list[tuple[Line, Line]] = []  # with the line that each stands on
    for line in lines:
        edges = [edge for edge, end in ((0.0, line.first), (float(side), line.last)) if abs(edge - end) <= GAP + 1]
        firm = [other for other in others if max(line.even, other.even) >= EVEN]  # an arc is not held by an arc
        met = [(place, other) for other in firm if (place := _meeting(line, other)) is not None]
        if not met:
            continue
        places = [place for place, _ in met]
        places += [place for other in firm if (place := _corner(line, other)) is not None]
        ends = [min([*places, *edges]), max([*places, *edges])]
        span = ends[1] - ends[0]
        if max(HELD * line.length, SLENDER * line.thickness) <= span <= line.inked / COVERED:
            kept.append(_cropped(line, ends))
        elif len(met) == 1 and line.whole and met[0][1].whole and _ends_at(line, met[0][0]):
            ticks.append((line, met[0][1]))
    ticks = [(_without_stroke(line, foot, ticks), foot) for line, foot in ticks]
    return [*kept, *(line for line, foot in ticks if _is_tick(line, foot, ticks))]


def _ends_at(line: Line, column: float) -> bool:
    """Return whether a line ends in a column."""
    return min(abs(column - line.first), abs(column - line.last)) <= line.near


def _without_stroke(line: Line, foot: Line, ticks: list[tuple[Line, Line]]) -> Line:
    """Return a tick at an end of its foot without the stroke that continues it: as long as another tick there."""
    column = line.at + line.slope * foot.at
    if min(abs(column - foot.first), abs(column - foot.last)) > foot.near:
        return line
    row = foot.row(column)
    stands = abs(line.last - row) < abs(line.first - row)
    for other, below in ticks:
        foot_of_other = other.last if stands else other.first
        if below is not foot or abs(foot_of_other - row) > other.near or other.even < EVEN:
            continue
        beyond = line.length - other.length
        if line.even < EVEN and (1 - line.even) * line.length <= beyond + GAP:  # all that is uneven may lie there
            ends = {"first": line.last - other.length} if stands else {"last": line.first + other.length}
            return replace(line, **ends, thickness=min(line.thickness, other.thickness), even=1.0)
    return line


def _is_tick(line: Line, foot: Line, ticks: list[tuple[Line, Line]]) -> bool:
    """Return whether others equal this one, one if both are long, or another stands on the other end of its foot."""
    if min(line.even, foot.even) < EVEN:
        return False
    if _is_one_of_many(line, [other for other, _ in ticks]):
        return True
    if line.length < TICK * line.thickness:
        return False
    others = [(o, below) for o, below in ticks if o is not line and _are_parallel(line, o)]
    column = line.at + line.slope * foot.at
    first, last = abs(column - foot.first) <= foot.near, abs(column - foot.last) <= foot.near
    far = foot.last if first else foot.first
    for other, below in others:
        if other.length < TICK * other.thickness:
            continue
        on_far_end = below is foot and (first or last) and abs(other.at + other.slope * foot.at - far) <= foot.near
        if on_far_end or _are_equal(line, other):
            return True
    return False


def _cropped(line: Line, ends: list[float]) -> Line:
    """Return a line from one end to the other: without strokes that continue it, with the corners."""
    return replace(line, first=ends[0] - line.thickness / 2 - 1, last=ends[1] + line.thickness / 2 + 1)


def _meeting(line: Line, other: Line) -> float | None:
    """Return the column in which a level line meets an upright one; None if it does not.

    Corners may be round or broken; a line that ends within another must reach it.
    """
    column = (other.at + other.slope * line.at) / (1 - other.slope * line.slope)
    row = line.row(column)
    corner = _ends_at(other, row) and _ends_at(line, column)
    reach = (line.near, other.near) if corner else (other.thickness / 2 + 1.5, line.thickness / 2 + 1.5)
    meets = line.first - reach[0] <= column <= line.last + reach[0]
    return column if meets and other.first - reach[1] <= row <= other.last + reach[1] else None


def _corner(line: Line, other: Line) -> float | None:
    """Return the column in which a level line would meet the end of an upright one if both went on; None if not."""
    column = (other.at + other.slope * line.at) / (1 - other.slope * line.slope)
    row = line.row(column)
    missing = max(line.first - column, column - line.last), max(other.first - row, row - other.last)
    lengths = line.length, other.length
    gaps = [gap > each.near for gap, each in zip(missing, (line, other), strict=True)]
    near = all(gap <= CONTINUES * length for gap, length in zip(missing, lengths, strict=True))
    at_end = min(abs(row - other.first), abs(row - other.last)) <= other.near or missing[1] > 0
    return column if near and at_end and sum(gaps) == 1 else None


def _is_one_of_many(line: Line, lines: list[Line]) -> bool:
    """Return whether a comb's ticks may be so short: enough of the lines are parallel to this one, and as long."""
    alike = (_are_parallel(line, other) and _are_equal(line, other) for other in lines if other is not line)
    return sum(alike) >= MANY_TICKS - 1


def _are_parallel(one: Line, other: Line) -> bool:
    return abs(one.slope - other.slope) <= SQUARE


def _are_equal(one: Line, other: Line) -> bool:
    reach = EQUAL * one.length + 2 + abs(one.at - other.at) * rules.MOST_TURN
    return abs(one.first - other.first) <= reach and abs(one.last - other.last) <= reach


def _area(line: Line, shape: tuple[int, int]) -> tuple[Ints, Ints]:
    """Return the rows and columns of the pixels of a line, and a pixel beside it: (K,), (K,)."""
    columns = np.arange(max(0, round(line.first - GAP)), min(shape[1], round(line.last + GAP)))
    reach = line.thickness / 2 + 1.5
    middles = line.at + line.slope * columns
    steps = np.arange(-math.ceil(reach), math.ceil(reach) + 1)
    rows = np.rint(middles)[None] + steps[:, None]
    inside = (np.abs(rows - middles) <= reach) & (rows >= 0) & (rows < shape[0])
    return rows[inside].astype(int), np.broadcast_to(columns, rows.shape)[inside]


def _draw(band: Bools, line: Line) -> None:
    band[_area(line, band.shape)] = True


def _refit(line: Line, usual: float, ink: Bools, high: Ints) -> None:
    """Lay a line that looks thicker than usual through where it is not: a stroke runs along it elsewhere."""
    if line.thickness <= 1.2 * usual:
        return
    line.thickness += 2  # for the ink beside it
    rows, columns = _area(line, ink.shape)
    thin = ink[rows, columns] & (high[rows, columns] <= 1.3 * usual + 1)
    if len(_different(columns[thin])) >= 0.1 * line.length:
        line.at, line.slope = _straightest(rows[thin], columns[thin], usual)
    line.thickness = min(line.thickness - 2, THICKER * usual + 0.5) if not thin.any() else usual


def _tone(ink: Bools, strength: Bytes, line: Line) -> float:
    """Return how strong a line's ink is, in its middle: the median along it."""
    return median_level(_peaks(ink, strength, line))


def _peaks(ink: Bools, strength: Bytes, line: Line) -> Bytes:
    """Return how strong a line's ink is in its middle, in each column that has some; 0 if there is none."""
    rows, columns = _area(line, ink.shape)
    peaks = np.zeros(ink.shape[1], np.uint8)
    np.maximum.at(peaks, columns, np.where(ink[rows, columns], strength[rows, columns], 0))
    return peaks[peaks > 0] if peaks.any() else np.zeros(1, np.uint8)


def _own_tones(peaks: list[Bytes], thin: list[bool]) -> list[float]:
    """Return how strong each line of a frame is by itself, from its ``_peaks``: strokes along it may be stronger.

    thin: whether each is no thicker than usual.  What is thin and hardly stronger than the others all along has its
    own tone, as a line on whole pixels has; where only some of a line is, all of it is as strong as they are.
    """
    tones = [median_level(own) for own in peaks]
    usual = float(np.median(tones))
    alike = [float((own <= rules.ALIKE * usual).mean()) for own in peaks]
    most = [
        tone if share >= EVEN and is_thin else usual if share >= VISIBLE else UNEQUAL * usual
        for tone, share, is_thin in zip(tones, alike, thin, strict=True)
    ]
    return [min(tone, bound) for tone, bound in zip(tones, most, strict=True)]


def _erase(gone: Bools, ink: Bools, high: Ints, strength: Bytes, darkest: float, line: Line) -> None:
    """Mark the ink of a line in ``gone``, but for where strokes cross it: it is thicker, with ink on both sides.

    darkest: the most strength that ink of the lines has.
    """
    rows, columns = _area(line, ink.shape)
    if not len(rows):
        return
    first = int(columns.min())
    count = int(columns.max()) + 1 - first
    middles = line.at + line.slope * np.arange(first, first + count)
    reach = 0.6 * line.thickness + 2.5
    beside = [_touching(ink, np.rint(middles + side * reach).astype(int), first) for side in (-1, 1)]
    near = 2 * round(reach) + 1
    crossed = np.logical_and(*(np.convolve(one, np.ones(near), mode="same") > 0.5 for one in beside))
    thick = high[rows, columns] > rules.THICKER * line.thickness + 1
    own = ink[rows, columns] & ~(thick & crossed[columns - first]) & (strength[rows, columns] <= darkest)
    gone[rows[own], columns[own]] = True


def _touching(ink: Bools, rows: Ints, first: int) -> Bools:
    """Return whether there is ink in each row, one column after the other from ``first`` on."""
    inside = (rows >= 0) & (rows < len(ink))
    return inside & ink[np.clip(rows, 0, len(ink) - 1), first + np.arange(len(rows))]
