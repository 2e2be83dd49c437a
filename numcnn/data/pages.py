"""Synthetic pictures of handwritten digits with the truth: single digits, rows, pages, forms, and none at all.

`make` draws one picture: a hand writes (`data/hands.py`), a condition says how it is written and photographed
(`data/page_conditions.py`), and the picture comes with each digit's box, label and line.  Everything is drawn as
strokes by the one brush, `imaging/raster.py`: a turned or tilted sheet turns and tilts the strokes, so that nothing is
resampled.

    people = hands.People(pendigits.load().of(writers))
    for sheet in pages.sheets("row", "shadow edge", people, 100):
        numcnn.read(sheet.picture).text == sheet.text
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from numcnn.data.hands import Hand, Rng, dense, side_by_side, standing
from numcnn.data.page_conditions import CONDITIONS, Cells, Colour, Page, Plan, Print, plain
from numcnn.data.page_subjects import SUBJECTS
from numcnn.errors import ConfigError
from numcnn.imaging import photo, raster
from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Bytes, Float64s, Floats

STREAM = 1005  # which of a seed's streams of random numbers the pages are drawn from; scanners.py has 1004
WEAKEST = 0.4  # a picture's strength is at least this fraction of the one asked for
PIECE = 40.0  # pixels: longer lines on a turned sheet are drawn piece by piece, which is faster
CAMERA = 1.7  # distance of the camera, in the sheet's longer side
BLANK = ((5.0, 4.0), (14.0, 10.0))  # the least and the largest sheet without anything on it, in heights
DESK = (0.03, 0.1)  # how much of the desk shows on each side, in the picture's side


class Kind(NamedTuple):
    """What is written: the least and most lines, the least and most digits in each, and the most pixels of a digit."""

    lines: tuple[int, int]
    digits: tuple[int, int]
    most_pixels: float = 200.0


KINDS = {
    "digit": Kind((1, 1), (1, 1)),
    "row": Kind((1, 1), (2, 6), 90.0),
    "row of four": Kind((1, 1), (4, 4), 90.0),
    "short page": Kind((2, 4), (2, 7), 64.0),
    "page": Kind((5, 10), (3, 8), 52.0),
}
# Conditions that say nothing about a single digit.
BETWEEN_DIGITS = ("touching digits",)


class Written(NamedTuple):
    """One digit of a picture.

    box: x, y, width and height of its ink in pixels; line: 0, 1, ... from the top.
    """

    box: tuple[int, int, int, int]
    label: int
    line: int


@dataclass(frozen=True, eq=False)
class Sheet:
    """A picture, (H,W) or (H,W,3) uint8, and its digits, line by line and from left to right."""

    picture: Bytes
    digits: tuple[Written, ...]
    kind: str
    condition: str

    @property
    def lines(self) -> list[str]:
        """The text of each line."""
        count = max((digit.line for digit in self.digits), default=-1) + 1
        return ["".join(str(digit.label) for digit in self.digits if digit.line == k) for k in range(count)]

    @property
    def text(self) -> str:
        """The lines, separated by newlines."""
        return "\n".join(self.lines)


def sheets(
    kind: str, condition: str, hand: Hand, count: int, *, seed: int = 0, strength: float = 1.0
) -> Iterator[Sheet]:
    """Draw ``count`` pictures; picture i does not depend on how many there are.  See `make`."""
    for number in range(count):
        yield make(kind, condition, hand, seed=seed, number=number, strength=strength)


def make(kind: str, condition: str, hand: Hand, *, seed: int = 0, number: int = 0, strength: float = 1.0) -> Sheet:
    """Draw picture ``number`` of a kind under a condition -> Sheet.  The same arguments give the same bytes.

    kind: a key of KINDS, or of SUBJECTS for a picture without digits.  condition: a key of CONDITIONS.  strength: 0..1,
    the hardest that occurs; a picture's own is drawn from 0.4 of that to all of it.  Raises ConfigError.
    """
    _check(kind, condition, strength)
    names = [*KINDS, *SUBJECTS]
    rng = np.random.default_rng([seed, STREAM, names.index(kind), list(CONDITIONS).index(condition), number])
    plan = plain(rng)
    if kind in KINDS:
        plan.unit = min(plan.unit, KINDS[kind].most_pixels)
    own_strength = strength * rng.uniform(WEAKEST, 1)
    drawings = [] if kind in KINDS else SUBJECTS[kind](plan, rng)
    CONDITIONS[condition](plan, own_strength, rng)
    text = _text(KINDS[kind], rng) if kind in KINDS else []
    layout = _composed(text, drawings, plan, hand, rng)
    return Sheet(*_rendered(layout, plan, rng), kind, condition)


def conditions_for(kind: str) -> list[str]:
    """Return the conditions that make sense for a kind of KINDS."""
    return [name for name in CONDITIONS if KINDS[kind].digits[1] > 1 or name not in BETWEEN_DIGITS]


def _check(kind: str, condition: str, strength: float) -> None:
    if kind not in KINDS and kind not in SUBJECTS:
        raise ConfigError(f"there is no kind {kind!r} of pages; choose one of {', '.join([*KINDS, *SUBJECTS])}")
    if condition not in CONDITIONS:
        raise ConfigError(f"there is no condition {condition!r}; choose one of {', '.join(CONDITIONS)}")
    if not 0 <= strength <= 1:
        raise ConfigError(f"strength is {strength}; wants 0 to 1")


def _text(kind: Kind, rng: Rng) -> list[list[int]]:
    """Draw the digits of each line."""
    lines = rng.integers(kind.lines[0], kind.lines[1] + 1)
    return [rng.integers(0, 10, rng.integers(kind.digits[0], kind.digits[1] + 1)).tolist() for _ in range(lines)]


# ------------------------------------------------------------------------------------------------------------ layout


class Placed(NamedTuple):
    """Strokes of one digit, and its label and line; label -1: no digit of the picture's."""

    strokes: Strokes
    label: int
    line: int


@dataclass
class Layout:
    """A sheet before it is photographed: first in heights of a digit, then, as ``_on_page`` returns it, in pixels."""

    placed: list[Placed]
    frames: list[Float64s]
    feet: list[float]
    width: float = 0.0
    height: float = 0.0


def _composed(text: list[list[int]], drawings: list[Strokes], plan: Plan, hand: Hand, rng: Rng) -> Layout:
    """Write the lines of digits, or take the drawings, and put them on a sheet -> Layout in pixels."""
    written = iter(hand.write([label for line in text for label in line], rng))
    lines = [[(next(written), label) for label in line] for line in text]
    if plan.cells:
        layout = _in_cells(lines, plan, plan.cells, rng)
    else:
        layout = Layout([], [], [])
        for k, line in enumerate(lines):
            foot, left = k * plan.pitch, rng.uniform(0, 0.5) if len(lines) > 1 else 0.0
            row = side_by_side([strokes for strokes, _ in line], plan.pen, rng, plan.touching)
            for strokes, (_, label) in zip(row, line, strict=True):
                layout.placed.append(Placed(_moved(strokes, (left, foot)), label, k))
            layout.feet.append(foot)
    layout.placed += [Placed(strokes, -1, 0) for strokes in drawings]
    layout = _on_page(layout, plan, rng)
    if plan.cut:
        layout.placed += _cut(layout, plan.unit, hand, rng)
    return layout


def _in_cells(lines: list[list[tuple[Strokes, int]]], plan: Plan, cells: Cells, rng: Rng) -> Layout:
    """Write each line into a row of cells, one digit or a number of some digits in each."""
    layout = Layout([], [], [])
    width = rng.uniform(1.15, 1.6) if cells.most == 1 else 0.9 * cells.most + 0.4
    beside = rng.uniform(0.15, 0.4) if cells.style == "apart" else 0.0
    below = 0.0 if cells.around else rng.uniform(0.25, 0.8)
    columns = 0
    for row, line in enumerate(lines):
        top, column, rest = (row + cells.around) * (cells.height + below), cells.around, list(line)
        while rest:
            count = int(rng.integers(1, cells.most + 1))
            group, rest = rest[:count], rest[count:]
            left = column * (width + beside)
            placed = side_by_side([strokes for strokes, _ in group], plan.pen, rng, plan.touching)
            placed = _fitted(placed, (left, top, width, cells.height), plan.pen, cells.touched, rng)
            layout.placed += [Placed(own, label, row) for own, (_, label) in zip(placed, group, strict=True)]
            column += 1
        layout.feet.append(top + cells.height)
        columns = max(columns, column)
    columns = max(columns, cells.around) + cells.around
    for row in range(len(lines) + 2 * cells.around):
        top = row * (cells.height + below)
        for column in range(columns):
            left = column * (width + beside)
            layout.frames += _frame(left, top, left + width, top + cells.height, cells.style)
    return layout


def _frame(left: float, top: float, right: float, bottom: float, style: str) -> list[Float64s]:
    if style != "comb":
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        return [np.array(corners[k : k + 2]) for k in range(4)]
    tick = bottom - 0.35 * (bottom - top)
    sides = [((x, tick), (x, bottom)) for x in (left, right)]
    return [np.array(line) for line in (*sides, ((left, bottom), (right, bottom)))]


def _fitted(
    digits: list[list[Float64s]], cell: tuple[float, float, float, float], pen: float, touched: float, rng: Rng
) -> list[list[Float64s]]:
    """Move digits into a cell (left, top, width, height), smaller if need be; some touch a side of it."""
    points = np.concatenate([stroke for own in digits for stroke in own])
    low, size = points.min(axis=0), np.ptp(points, axis=0) + 1e-9
    corner, room = np.array(cell[:2]), np.array(cell[2:])
    scale = min(1.0, float(((room - 0.15 - 1.5 * pen) / size).min()))
    free = room - scale * size
    place = free * (0.5 + 0.5 * rng.uniform(-0.5, 0.5, 2))
    if rng.random() < touched:
        side, over = rng.integers(4), pen * rng.uniform(-0.4, 1.0)  # beyond the frame's middle
        place[side % 2] = -over if side < 2 else free[side % 2] + over
    return [[corner + place + scale * (stroke - low) for stroke in own] for own in digits]


def _moved(strokes: Strokes, shift: Sequence[float] | Float64s) -> list[Float64s]:
    return [stroke + shift for stroke in strokes]


def _on_page(layout: Layout, plan: Plan, rng: Rng) -> Layout:
    """Put the writing on a sheet with margins, or anywhere on a large one, and scale it to pixels."""
    points = [stroke for one in layout.placed for stroke in one.strokes] + layout.frames
    if points:
        low, high = np.concatenate(points).min(axis=0), np.concatenate(points).max(axis=0)
    else:
        low, high = np.zeros(2), rng.uniform(*BLANK)
    before, after = rng.uniform(*plan.margins, (2, 2)) + plan.pen / 2
    size = high - low + before + after
    free = np.maximum(plan.sheet - size, 0)
    shift = before - low + rng.uniform(0, 1, 2) * free
    width, height = (plan.unit * (size + free)).tolist()
    return Layout(
        [one._replace(strokes=[plan.unit * (stroke + shift) for stroke in one.strokes]) for one in layout.placed],
        [plan.unit * (line + shift) for line in layout.frames],
        [plan.unit * (foot + float(shift[1])) for foot in layout.feet] or [0.5 * height],
        width,
        height,
    )


def _cut(layout: Layout, unit: float, hand: Hand, rng: Rng) -> list[Placed]:
    """Write one to three more digits across the sheet's edges, at most a third of each on it."""
    found = []
    size = np.array([layout.width, layout.height])
    for strokes in hand.write(rng.integers(0, 10, rng.integers(1, 4)).tolist(), rng):
        own = [unit * stroke for stroke in standing(strokes, rng)]
        points = np.concatenate(own)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        place = rng.uniform(0, 1, 2) * np.maximum(size - extent, 0)
        side = rng.integers(4)
        inside = rng.uniform(0.1, 0.33) * extent[side % 2]
        place[side % 2] = inside - extent[side % 2] if side < 2 else size[side % 2] - inside
        found.append(Placed(_moved(own, place - low), -1, 0))
    return found


# ----------------------------------------------------------------------------------------------------------- picture


@dataclass
class View:
    """From the sheet's pixels to the picture's: matrix (3,3) of a projection; width and height of the picture."""

    matrix: Float64s
    width: int
    height: int
    corners: Float64s = field(default_factory=lambda: np.zeros((4, 2)))

    @property
    def straight(self) -> bool:
        """Whether nothing is turned or tilted."""
        return bool(np.allclose(self.matrix[:2, :2], np.eye(2)) and np.allclose(self.matrix[2, :2], 0))

    def project(self, points: Float64s) -> Float64s:
        """Return where points (n,2) of the sheet are in the picture."""
        flat = np.column_stack([points, np.ones(len(points))]) @ self.matrix.T
        return flat[:, :2] / flat[:, 2:]

    def scale(self, at: Float64s) -> float:
        """Return how many of the picture's pixels one of the sheet's is, at a point (2,)."""
        around = self.project(at + np.array([(0, 0), (1, 0), (0, 1)]))
        return float(np.sqrt(abs(np.linalg.det(around[1:] - around[0]))))


def _view(layout: Layout, plan: Plan, rng: Rng) -> View:
    """Return how the camera sees the sheet; the picture holds all of it, and some of the desk if there is one."""
    middle = np.array([[1, 0, -layout.width / 2], [0, 1, -layout.height / 2], [0, 0, 1]])
    cos, sin = np.cos(plan.turn), np.sin(plan.turn)
    about_x, about_y = plan.tilt
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    tilt_x = np.array([[1, 0, 0], [0, np.cos(about_x), -np.sin(about_x)], [0, np.sin(about_x), np.cos(about_x)]])
    tilt_y = np.array([[np.cos(about_y), 0, np.sin(about_y)], [0, 1, 0], [-np.sin(about_y), 0, np.cos(about_y)]])
    space = (tilt_x @ tilt_y @ turn)[:, :2]  # of a point of the sheet, its middle at 0
    distance = CAMERA * max(layout.width, layout.height)
    seen = np.column_stack([space, (0, 0, 0)])
    seen[2] = space[2, 0] / distance, space[2, 1] / distance, 1
    matrix = seen @ middle
    corners = np.array([(0, 0), (layout.width, 0), (layout.width, layout.height), (0, layout.height)], np.float64)
    view = View(matrix, 0, 0)
    low, high = (side(view.project(corners), axis=0) for side in (np.min, np.max))
    if plan.desk:
        low, high = low - rng.uniform(*DESK, 2) * (high - low), high + rng.uniform(*DESK, 2) * (high - low)
    shift = np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]])
    width, height = (max(8, round(side)) for side in (high - low).tolist())
    view = View(shift @ matrix, width, height)
    view.corners = view.project(corners)
    return view


def _rendered(layout: Layout, plan: Plan, rng: Rng) -> tuple[Bytes, tuple[Written, ...]]:
    """Print, write and photograph a sheet -> the picture, and the digits in it."""
    view = _view(layout, plan, rng)
    picture = np.empty((view.height, view.width, 3), np.float32)
    picture[:] = plan.paper
    page = Page(layout.width, layout.height, layout.feet, plan.unit)
    for printer in plan.printers:
        for printed in printer(page, rng):
            _print(picture, printed, view)
    if plan.cells:
        _print(picture, Print(layout.frames, max(1.0, plan.cells.line * plan.unit), plan.cells.colour), view)
    digits = []
    for one in layout.placed:
        box = _write(picture, one.strokes, plan, view, rng)
        if one.label >= 0:
            digits.append(Written(box, one.label, one.line))
    if plan.desk:
        picture = _on_desk(picture, plan.desk, view, rng)
    for effect in plan.effects:
        picture = effect(picture, rng)
    return photo.to_bytes(photo.luminance(picture) if plan.grey else picture), tuple(digits)


def _print(picture: Floats, printed: Print, view: View) -> None:
    """Print lines and dots on the picture (H,W,3), in place."""
    strokes = printed.strokes if view.straight else [_in_pieces(stroke) for stroke in printed.strokes]
    lines = [view.project(stroke) for stroke in strokes]
    if not lines:
        return
    reach = max(raster.THINNEST, printed.width)
    x, y, width, height = _window(np.concatenate(lines), reach, view)
    ink = raster.draw(_moved(lines, (-x, -y)), (height, width), reach)
    _cover(picture[y : y + height, x : x + width], printed.cover * ink, printed.colour)


def _in_pieces(stroke: Float64s) -> Float64s:
    """Cut the lines of a stroke (n,2) into pieces."""
    return dense([stroke], PIECE) if len(stroke) > 1 else stroke


def _write(picture: Floats, strokes: Strokes, plan: Plan, view: View, rng: Rng) -> tuple[int, int, int, int]:
    """Write one digit on the picture (H,W,3), in place.  Return the box of its ink in the picture."""
    points = [view.project(stroke) for stroke in strokes]
    middle = np.concatenate(strokes).mean(axis=0)
    pen = max(raster.THINNEST, plan.pen * plan.unit * view.scale(middle))
    x, y, width, height = _window(np.concatenate(points), pen, view)
    ink = raster.draw(_moved(points, (-x, -y)), (height, width), pen)
    if plan.grain:
        ink = ink * (1 - plan.grain * photo.pencil_grain((height, width), rng)) if ink.size else ink
    _cover(picture[y : y + height, x : x + width], plan.cover * ink, plan.ink)
    return x, y, width, height


def _window(points: Float64s, pen: float, view: View) -> tuple[int, int, int, int]:
    """Return the box (x, y, width, height) of points (n,2) drawn with a pen, as far as it is in the picture."""
    most = np.array([view.width, view.height])
    low = np.clip(np.floor(points.min(axis=0) - pen / 2), 0, most).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + pen / 2), 0, most).astype(int)
    (x, y), (width, height) = low.tolist(), np.maximum(high - low, 0).tolist()
    return x, y, width, height


def _cover(part: Floats, cover: Floats, colour: Colour) -> None:
    """Lay a colour over a part of the picture (h,w,3), in place, as far as ``cover`` (h,w) says, 0..1."""
    part += cover[..., None].astype(np.float32) * (np.array(colour, np.float32) - part)


def _on_desk(picture: Floats, desk: Colour, view: View, rng: Rng) -> Floats:
    """Cut the sheet out of the picture (H,W,3) and lay it on a desk with a grain of wood."""
    y, x = np.mgrid[: view.height, : view.width].astype(np.float32) + 0.5
    inside = np.full((view.height, view.width), np.inf, np.float32)
    for start, end in zip(view.corners, np.roll(view.corners, -1, axis=0), strict=True):
        along = (end - start) / np.hypot(*(end - start))
        inside = np.minimum(inside, (y - start[1]) * along[0] - (x - start[0]) * along[1])
    sheet = np.clip(inside + 0.5, 0, 1)[..., None]
    waves = np.sin(0.05 * (y + 12 * np.sin(0.004 * x + rng.uniform(0, 6)))) + 0.4 * np.sin(0.31 * y + rng.uniform(0, 6))
    wood = np.array(desk, np.float32) * (1 + 0.12 * waves[..., None])
    return (sheet * picture + (1 - sheet) * wood).astype(np.float32)
