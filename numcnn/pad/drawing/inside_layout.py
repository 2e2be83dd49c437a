"""Where the stages of a network lie in the inside panel, as large as the panel allows.  Nothing is drawn here."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple, cast

import pygame

from numcnn.nn.inspection import DENSE, MAPS, POOLED, Stage
from numcnn.nn.layers import MaxPool2D

TIMES = "\N{MULTIPLICATION SIGN}"
PICTURE, OUTPUTS = "picture", "outputs"  # the kinds of the two bands that are no stages
# A map's side, as a multiple of that of the first stage: of the first such stage and of later ones.
SIDES = {MAPS: (1.0, 0.62), POOLED: (0.6, 0.42), DENSE: (0.3, 0.3), PICTURE: (2.0, 2.0)}
ON_FILTER = -1  # in place of a row of a map
FILTER = 0.45  # side of a filter, in sides of its map
OUTPUT = 1.3  # least height of the bars, in sides of the first maps
CAPTION = 1.6  # height of a caption above its body, in heights of the text
OUTPUT_TEXT = 3.4  # height of the words above and below the bars, in heights of the text
GAPS = 0.5, 1.6  # smallest and largest gap between bands, in heights of the text
BETWEEN = 1.6  # gap between columns of bands, in heights of the text
HIGHEST_BARS = 0.45  # of the panel's height
MOST_COLUMNS = 3  # of bands
# The least width of a column of several, in heights of the text; the smaller one if maps would else be lower than text.
NARROWEST, SQUEEZED = 12, 8.4
UNEVEN = 1.5  # a column of bands may be drawn larger than the smallest one by this factor


class Band(NamedTuple):
    """The place of a stage in the panel: its caption, and its body, a grid of maps, neurons or bars."""

    kind: str  # a stage's kind, PICTURE or OUTPUTS
    stage: Stage | None
    words: tuple[str, ...]  # of the caption: the longest that fits is shown
    shape: str  # of the body's array, as "26 x 26 x 32"
    caption: pygame.Rect
    body: pygame.Rect
    columns: int = 1  # of the grid
    count: int = 1  # how many maps, neurons or bars
    strip: float = 0.0  # height of the filter above each map, in sides of the map

    @property
    def beside(self) -> bool:
        """Whether the caption is beside the body, not above it."""
        return self.caption.left >= self.body.right

    @property
    def rows(self) -> int:
        """The number of rows of the grid."""
        return -(-self.count // self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a map in its own pixels; of neurons (1, 1)."""
        if self.stage is None:
            return (28, 28) if self.kind == PICTURE else (1, 1)
        return (self.stage.out.shape[0], self.stage.out.shape[1]) if self.stage.out.ndim == 3 else (1, 1)

    @property
    def gap(self) -> float:
        """The space between maps, in their pixels."""
        if self.kind in (PICTURE, OUTPUTS):
            return 0.0
        return 0.25 if self.kind == DENSE else max(1, round(self.size[0] / 12))

    def row(self, number: int) -> pygame.Rect:
        """Return the Rect of a row of maps, with the gaps right of and below them, without the filters above."""
        pitch = self.body.height / self.rows
        top = self.body.top + round(number * pitch + pitch * self.strip / (1 + self.strip))
        return pygame.Rect(self.body.left, top, self.body.width, self.body.top + round((number + 1) * pitch) - top)

    def above(self, number: int) -> pygame.Rect:
        """Return the Rect of the filters above a row of maps."""
        row, before = self.row(number), self.row(number - 1).bottom if number else self.body.top
        return pygame.Rect(row.left, before, row.width, row.top - before)

    def pixel(self, i: int, y: float = 0, x: float = 0, high: float = 1, wide: float = 1) -> pygame.Rect:
        """Return the Rect of pixel (y, x) of map i, or of ``high`` x ``wide`` pixels from there on."""
        row, column = self.row(i // self.columns), i % self.columns
        (H, W), gap = self.size, self.gap
        across, down = self.body.width / self.columns / (W + gap), row.height / (H + gap)
        left, top = row.left + column * (W + gap) * across + x * across, row.top + y * down
        rect = pygame.Rect(round(left), round(top), 0, 0)
        rect.width = max(1, round(left + wide * across) - rect.left)
        rect.height = max(1, round(top + high * down) - rect.top)
        return rect

    def cell(self, i: int) -> pygame.Rect:
        """Return the Rect of map, neuron or bar i, without the gap around it."""
        return self.pixel(i, 0, 0, *self.size)

    def filter(self, i: int) -> pygame.Rect:
        """Return the Rect of the filter above map i; empty where there are none."""
        cell = self.cell(i)
        side = round(0.92 * self.strip * cell.height)
        return pygame.Rect(cell.left, cell.top - side - max(1, round(0.05 * side)), side, side)

    def at(self, position: Sequence[float]) -> tuple[int, int, int] | None:
        """Return the map and its pixel (i, y, x) at a position of the window, or nearest to it within the grid.

        The filter above a map counts as y = ``ON_FILTER``.
        """
        left, top = position[0] - self.body.left, position[1] - self.body.top
        if not self.body.collidepoint(position[0], position[1]):
            return None
        column, row = int(left * self.columns / self.body.width), int(top * self.rows / self.body.height)
        i = row * self.columns + column
        if i >= self.count:
            return None
        cell, (H, W) = self.cell(i), self.size
        if self.strip and position[1] < cell.top:
            return i, ON_FILTER, 0
        y, x = (position[1] - cell.top) * H / cell.height, (position[0] - cell.left) * W / cell.width
        return i, min(max(int(y), 0), H - 1), min(max(int(x), 0), W - 1)


class _Plan(NamedTuple):
    """What a band needs, before it has a place."""

    kind: str
    side: float  # of a map, as a multiple of that of the first stage
    count: int
    strip: float


class _Spot(NamedTuple):
    """A band's place: caption and body as (left, top, width, height), and the columns of its grid."""

    caption: tuple[int, int, int, int]
    body: tuple[int, int, int, int]
    columns: int


def bands(stages: Sequence[Stage], rect: pygame.Rect, text: int) -> list[Band]:
    """Divide a Rect among the picture, the stages and the outputs, as large as its width and height allow."""
    plan, words = _plan(stages)
    spots = _arranged(plan, (rect.left, rect.top, rect.width, rect.height), text)
    whole = [None, *stages, None]
    return [
        Band(p.kind, stage, *said, pygame.Rect(s.caption), pygame.Rect(s.body), s.columns, p.count, p.strip)
        for p, stage, said, s in zip(plan, whole, words, spots, strict=True)
    ]


def _plan(stages: Sequence[Stage]) -> tuple[tuple[_Plan, ...], list[tuple[tuple[str, ...], str]]]:
    """Return what the bands need from top to bottom, and the words and shape of each."""
    plan = [_Plan(PICTURE, SIDES[PICTURE][0], 1, 0.0)]
    words: list[tuple[tuple[str, ...], str]] = [
        (("the picture, as the network sees it", "what the network sees", "picture"), f"28{TIMES}28")
    ]
    seen = {MAPS: 0, POOLED: 0, DENSE: 0}
    for stage in stages:
        number = seen[stage.kind]
        seen[stage.kind] += 1
        first = stage is stages[0] and stage.kind == MAPS
        plan.append(_Plan(stage.kind, SIDES[stage.kind][min(number, 1)], stage.out.shape[-1], FILTER if first else 0.0))
        words.append((_words(stage, number), TIMES.join(map(str, stage.out.shape))))
    plan.append(_Plan(OUTPUTS, OUTPUT, 10, 0.0))
    words.append((("ten scores; their softmax is the probabilities", "ten scores, softmax", "ten scores"), "10"))
    return tuple(plan), words


def _words(stage: Stage, number: int) -> tuple[str, ...]:
    """Return what a stage does in words, the longest first."""
    count = stage.out.shape[-1]
    if stage.kind == DENSE:
        return f"{count} neurons weigh all that was found", f"{count} neurons weigh it", f"{count} neurons"
    if stage.kind == POOLED:
        window = TIMES.join(map(str, cast(MaxPool2D, stage.layer).pool_size))
        again = "pooling again", "pooling"
        return (f"pooling keeps the strongest of {window}", f"pooling {window}", "pooling") if number == 0 else again
    if number == 0:
        return f"{count} filters, each for one kind of edge", f"{count} filters for edges", f"{count} filters"
    return f"{count} filters find bends, ends, crossings", f"{count} filters for bends", f"{count} filters"


# Arranging: bands are laid one below the other in one to three columns, all maps as large as they fit


@lru_cache(maxsize=16)
def _arranged(plan: tuple[_Plan, ...], rect: tuple[int, int, int, int], text: int) -> tuple[_Spot, ...]:
    """Return the place of each band in a rect (left, top, width, height)."""
    left, top, width, height = rect
    between = BETWEEN * text
    best: tuple[float, list[tuple[_Plan, ...]], list[float]] = (-1.0, [plan], [0.0])
    for count in range(1, min(MOST_COLUMNS, len(plan)) + 1):
        wide = (width - (count - 1) * between) / count
        if count > 1 and wide < (SQUEEZED if best[0] < text else NARROWEST) * text:
            break
        for cuts in combinations(range(1, len(plan)), count - 1):
            edges = (0, *cuts, len(plan))
            columns = [plan[a:b] for a, b in pairwise(edges)]
            scales = [_scale(column, wide, height, text) for column in columns]
            if min(scales) > 1.02 * best[0]:  # more columns only where they help
                best = min(scales), columns, scales
    least, columns, scales = best
    wide = (width - (len(columns) - 1) * between) / len(columns)
    spots: list[_Spot] = []
    for number, (column, scale) in enumerate(zip(columns, scales, strict=True)):
        scale = max(1.0, min(scale, UNEVEN * least))
        spots += _stacked(column, (left + number * (wide + between), top, wide, height), text, scale)
    return tuple(spots)


def _scale(column: Sequence[_Plan], width: float, height: float, text: int) -> float:
    """Return the largest side of a first map with which a column of bands fits; 0 if none does."""
    low, high = 0.0, max(width, height)
    for _ in range(20):
        middle = (low + high) / 2
        needed = sum(_height(each, width, middle, text) for each in column) + GAPS[0] * text * (len(column) - 1)
        fits = needed <= height and all(_columns(each, width, middle) for each in column)
        low, high = (middle, high) if fits else (low, middle)
    return low


def _columns(each: _Plan, width: float, scale: float) -> int:
    """Return the number of columns of a band's grid, with full rows if possible; 0 if not even one fits."""
    if each.kind == OUTPUTS:
        return each.count
    most = min(each.count, int(width / (each.side * scale + 1e-9)))
    full = next((columns for columns in range(most, int(0.8 * most), -1) if each.count % columns == 0), 0)
    return full or (most and -(-each.count // -(-each.count // most)))


def _height(each: _Plan, width: float, scale: float, text: int) -> float:
    """Return the height of a band with its caption; the picture's caption is beside it."""
    if each.kind == PICTURE:
        return max(each.side * scale, 1.4 * text)
    if each.kind == OUTPUTS:
        return CAPTION * text + OUTPUT_TEXT * text + each.side * scale
    rows = -(-each.count // max(1, _columns(each, width, scale)))
    return CAPTION * text + rows * each.side * scale * (1 + each.strip)


def _stacked(column: Sequence[_Plan], rect: tuple[float, float, float, float], text: int, scale: float) -> list[_Spot]:
    """Place a column's bands one below the other; what is left of the height goes to the bars, then to the gaps."""
    left, top, width, height = rect
    gaps = max(1, len(column) - 1)
    spare = height - sum(_height(each, width, scale, text) for each in column)
    bars = 0.0
    if column[-1].kind == OUTPUTS:
        bars = min(spare - GAPS[0] * text * gaps, HIGHEST_BARS * height - column[-1].side * scale)
        bars = max(0.0, bars)
    gap = min(max((spare - bars) / gaps, GAPS[0] * text), GAPS[1] * text)
    spots: list[_Spot] = []
    for each in column:
        tall = _height(each, width, scale, text) + (bars if each.kind == OUTPUTS else 0.0)
        columns = max(1, _columns(each, width, scale))
        if each.kind == PICTURE:
            side = min(each.side * scale, width)
            body = round(left), round(top), max(1, round(side)), max(1, round(side))
            caption = body[0] + body[2] + text // 2, body[1], max(1, round(width - side) - text // 2), round(tall)
        else:
            wide = width if each.kind == OUTPUTS else min(width, columns * each.side * scale)
            down = top + CAPTION * text
            caption = round(left), round(top), round(width), round(1.4 * text)
            body = round(left), round(down), max(1, round(wide)), max(1, round(top + tall - down))
        spots.append(_Spot(caption, body, columns))
        top += tall + gap
    return spots
