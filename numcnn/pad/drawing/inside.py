"""The panel that shows the inside of the network, from the picture at the top to the answer at the bottom."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import pygame

from numcnn.evaluation.metrics import percent
from numcnn.kernels.arrays import Bytes, Floats
from numcnn.nn.inspection import DENSE, MAPS, POOLED, Inspection, Stage
from numcnn.nn.layers import Conv2D, MaxPool2D
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import RGB, Theme, Type, heat, rgb, rounded, signed

TIMES = "\N{MULTIPLICATION SIGN}"
COLUMNS = 16  # of feature maps; lengths "in columns" below are multiples of a column's width
MANY, COLUMNS_OF_MANY = 64, 32  # more maps than MANY are drawn smaller, more in a row
SIZES = {MAPS: (1.0, 0.62), POOLED: (0.55, 0.4)}  # a map's side, in columns: of the first such stage and of later ones
PICTURE, FILTER, OUTPUT = 2.0, 0.42, 1.2  # heights, in columns; OUTPUT without its words
DENSE_COLUMNS = 64
CAPTION, LINE = 1.75, 1.35  # heights of a caption above its body and of a line beside it, in heights of the text
OUTPUT_TEXT = 3.2  # heights of the text
SCORE = 0.92  # size of the scores, in heights of the text
GAPS = 0.6, 1.3  # smallest and largest gap between bands, in heights of the text; more space goes to the outputs
BESIDE = 0.66  # of the panel's width: a narrower body has its caption beside it
EVEN_ENOUGH = 3  # screen pixels per pixel of a map: from here on it isn't visible that some are wider by one
GREYS = [(level, level, level) for level in range(256)]


class Band(NamedTuple):
    """The place of a stage in the panel: its caption, and its body."""

    kind: str  # a stage's kind, "picture" or "outputs"
    stage: Stage | None
    words: str
    shape: str  # of the body's array, as "26 x 26 x 32"
    caption: pygame.Rect
    body: pygame.Rect

    @property
    def beside(self) -> bool:
        """Whether the caption is beside the body, not above it."""
        return self.caption.left >= self.body.right


class _Output(NamedTuple):
    """What a column of the outputs shows."""

    length: int  # of the filled part of the bar, in pixels
    score: str
    name: str
    best: bool


class _Plan(NamedTuple):
    """A band before it has a place."""

    kind: str
    stage: Stage | None
    height: float  # of the body, in columns
    words: str
    shape: str


class Inside:
    """Draws an ``Inspection``, with words in a given type."""

    def __init__(self, type_: Type) -> None:
        self.type = type_

    def parts(
        self, rect: pygame.Rect, theme: Theme, text: int, maps: Inspection, inspection: Inspection, bars: Floats
    ) -> list[Part]:
        """Return the parts that show a network's inside in a Rect: the outputs of ``inspection``, all else of ``maps``.

        bars (10,), 0..1: the lengths of the bars, which follow the probabilities gently.
        """
        parts: list[Part] = []
        for number, band in enumerate(bands(maps.stages, rect, text), 1):
            parts.append(Part(f"caption {number}", band.caption, (band.words, band.shape), lambda s, b=band, n=number:
                              self._caption(s, b, theme, text, n)))  # fmt: skip
            if band.kind == "outputs":
                parts += self._outputs(band.body, theme, text, inspection, bars)
                continue
            parts.append(Part(f"band {number}", band.body, (maps,), lambda s, b=band: _maps(s, b, theme, maps)))
            if band.stage and band.stage is maps.stages[0] and band.kind == MAPS:
                above = pygame.Rect(band.body.left, band.caption.bottom, band.body.width, 0)
                above.height = max(0, band.body.top - above.top)
                layer, body = cast(Conv2D, band.stage.layer), band.body
                parts.append(Part("filters", above, (layer,), lambda s, f=layer, b=body: _filters(s, b, f, theme)))
        return parts

    def _caption(self, surface: pygame.Surface, band: Band, theme: Theme, text: int, number: int) -> None:
        rect = band.caption
        if not band.beside:
            left = self._number(surface, theme, text, number, rect.left, rect.centery)
            words = self.type.fitted(band.words, text, rect.right - left)
            if left + self.type.width(f"{words}  {band.shape}", text) < rect.right:
                self.type.write(surface, band.shape, 0.92 * text, theme.muted, midright=rect.midright)
            self.type.write(surface, words, text, theme.ink, midleft=(left, rect.centery))
            return
        room = rect.right - rect.left - text
        lines = self.type.wrapped(band.words, text, room)
        with_shape = LINE * text * (len(lines) + 1) <= rect.height
        y = rect.centery - LINE * text * (len(lines) - 1 + with_shape) / 2
        left = self._number(surface, theme, text, number, rect.left, y)
        for line in lines:
            self.type.write(surface, line, text, theme.ink, midleft=(left, y))
            y += LINE * text
        if with_shape:
            self.type.write(surface, band.shape, 0.92 * text, theme.muted, midleft=(left, y))

    def _number(self, surface: pygame.Surface, theme: Theme, text: int, number: int, left: float, middle: float) -> int:
        """Write the number of a step; return the left edge of its words."""
        right = self.type.write(surface, f"{number}", text, theme.accent, True, midleft=(left, middle)).right
        return right + round(0.6 * text)

    def _outputs(self, rect: pygame.Rect, theme: Theme, text: int, inspection: Inspection, bars: Floats) -> list[Part]:
        """Return the parts of the ten output columns: score, bar of the probability, digit."""
        scores, seen = inspection.scores, inspection.image.any()
        count = len(scores)
        parts: list[Part] = []
        for digit in range(count):
            left, right = (rect.left + round(rect.width * (digit + i) / count) for i in (0, 1))
            column = pygame.Rect(left, rect.top, right - left, rect.height)
            bar = pygame.Rect(0, rect.top + round(1.5 * text), round(0.5 * column.width), 0)
            bar.height = max(1, rect.bottom - round(1.5 * text) - text // 4 - bar.top)
            bar.centerx = column.centerx
            best = bool(seen and digit == inspection.answer)
            score = self._score(scores[digit], text, column.width) if seen else ""
            name = f"{digit}"
            if best and column.width > 6.5 * text:
                name += f"  {percent(inspection.probabilities[digit])}"
            shown = _Output(round(bars[digit] * bar.height), score, name, best)
            parts.append(Part(f"output {digit}", column, shown, lambda surface, c=column, b=bar, o=shown: self._output(
                surface, theme, text, c, b, o)))  # fmt: skip
        return parts

    def _score(self, score: float, text: int, room: int) -> str:
        """Return a score as it is written above its bar: with one decimal where there is room for it."""
        exact = f"{score:+.1f}"
        return exact if self.type.width(exact, SCORE * text, True) < room else f"{score:+.0f}"

    def _output(
        self, surface: pygame.Surface, theme: Theme, text: int, column: pygame.Rect, bar: pygame.Rect, shown: _Output
    ) -> None:
        color = theme.accent if shown.best else theme.muted
        rounded(surface, bar, theme.track, text // 5)
        if shown.length:
            filled = pygame.Rect(bar.left, bar.bottom - shown.length, bar.width, shown.length)
            rounded(surface, filled, theme.accent if shown.best else theme.other, text // 5)
        bold = shown.best and column.width > 3 * text
        self.type.write(surface, shown.score, SCORE * text, color, bold, midtop=column.midtop)
        below = column.centerx, column.bottom - round(1.5 * text)
        self.type.write(surface, shown.name, 1.1 * text, color, shown.best, midtop=below)


def _filters(surface: pygame.Surface, body: pygame.Rect, layer: Conv2D, theme: Theme) -> None:
    """Draw a layer's filters above the body of its maps, in the same rows and columns."""
    w = layer.params["w"].mean(axis=2)  # (KH,KW,F); the pictures have one channel
    count = w.shape[2]
    columns, rows = _grid(count)
    pitch = body.width / columns
    side = max(3, round(FILTER * pitch))
    index = np.rint(127.5 + 127.5 * w / (np.abs(w).max() or 1)).astype(np.uint8)
    colors = signed(theme)[index]  # (KH,KW,F,3)
    top = body.top - rows * 1.1 * side - 0.06 * pitch
    for i in range(count):
        row, column = divmod(i, columns)
        place = pygame.Rect(0, 0, side, side)
        place.topleft = round(body.left + column * pitch), round(top + row * 1.1 * side)
        picture = pygame.surfarray.make_surface(colors[:, :, i].swapaxes(0, 1))
        surface.blit(pygame.transform.scale(picture, place.size), place)
        pygame.draw.rect(surface, theme.line, place, 1)


def _maps(surface: pygame.Surface, band: Band, theme: Theme, inspection: Inspection) -> None:
    """Draw the picture, feature maps or neurons."""
    if band.stage is None:
        _blit(surface, inspection.image.T, GREYS, band.body)
        return
    arrange = _cells if band.kind == DENSE else _mosaic
    _blit(surface, arrange(_brightness(band.stage.out)), _levels(theme), band.body)


def bands(stages: Sequence[Stage], rect: pygame.Rect, text: int) -> list[Band]:
    """Divide a Rect among the picture, the stages and the outputs, as large as its width and height allow."""
    plan = _plan(stages)
    beside = [_columns(each) < BESIDE * COLUMNS for each in plan]
    captions = (CAPTION * beside.count(False) + OUTPUT_TEXT) * text
    filters = _filters_height(stages)
    columns = sum(each.height for each in plan) + filters
    gaps = len(plan) - 1
    column = min(rect.width / COLUMNS, max(1.0, (rect.height - captions - GAPS[0] * text * gaps) / columns))
    spare = rect.height - captions - columns * column
    gap = min(max(spare / gaps, GAPS[0] * text), GAPS[1] * text)
    higher = OUTPUT_TEXT * text + max(0.0, spare - gap * gaps)
    placed: list[Band] = []
    top = float(rect.top)
    for i, each in enumerate(plan):
        start = top + (0 if beside[i] else CAPTION * text) + (filters * column if i == 1 else 0)
        wide = rect.width if each.kind == "outputs" else _columns(each) * column
        tall = each.height * column + (higher if each.kind == "outputs" else 0)
        body = pygame.Rect(rect.left, round(start), round(wide), max(1, round(tall)))
        if beside[i]:
            caption = pygame.Rect(body.right + text, body.top, rect.right - body.right - text, body.height)
            if i:
                caption.inflate_ip(0, 2 * int(0.28 * text))  # into the gaps, for two lines beside a low band
        else:
            caption = pygame.Rect(rect.left, round(top), rect.width, round(1.4 * text))
        placed.append(Band(each.kind, each.stage, each.words, each.shape, caption, body))
        top = start + tall + gap
    return placed


def _plan(stages: Sequence[Stage]) -> list[_Plan]:
    """Return the bands of these stages from top to bottom."""
    plan = [_Plan("picture", None, PICTURE, "the picture, as the network sees it", f"28{TIMES}28")]
    count = {MAPS: 0, POOLED: 0, DENSE: 0}
    for stage in stages:
        number = count[stage.kind]
        plan.append(_Plan(stage.kind, stage, _height(stage, number), *_words(stage, number)))
        count[stage.kind] += 1
    plan.append(_Plan("outputs", None, OUTPUT, "ten scores; their softmax is the probabilities", "10"))
    return plan


def _filters_height(stages: Sequence[Stage]) -> float:
    """Return the height of the rows of filters above the first maps, in columns."""
    if not stages or stages[0].kind != MAPS:
        return 0.0
    _, rows = _grid(stages[0].out.shape[2])
    return rows * 1.1 * FILTER * _side(MAPS, 0, stages[0].out.shape[2]) + 0.12


def _grid(count: int) -> tuple[int, int]:
    """Return the number of columns and rows for a number of maps."""
    columns = min(count, COLUMNS if count <= MANY else COLUMNS_OF_MANY)
    return columns, -(-count // columns)


def _side(kind: str, number: int, count: int) -> float:
    """Return the side of each map, in columns, of the stage with this number among its kind and ``count`` maps."""
    return min(SIZES[kind][min(number, 1)], COLUMNS / _grid(count)[0])


def _height(stage: Stage, number: int) -> float:
    """Return the height of a stage's body, in columns."""
    if stage.kind == DENSE:
        return -(-len(stage.out) // DENSE_COLUMNS) * COLUMNS / DENSE_COLUMNS
    count = stage.out.shape[2]
    return _grid(count)[1] * _side(stage.kind, number, count)


def _columns(band: _Plan) -> float:
    """Return the width of a band's body, in columns."""
    if band.stage is None:
        return COLUMNS if band.kind == "outputs" else band.height
    if band.kind == DENSE:
        return min(len(band.stage.out), DENSE_COLUMNS) * COLUMNS / DENSE_COLUMNS
    columns, rows = _grid(band.stage.out.shape[2])
    return band.height / rows * columns


def _words(stage: Stage, number: int) -> tuple[str, str]:
    """Return what a stage does in words, and the shape of its output."""
    shape = TIMES.join(map(str, stage.out.shape))
    if stage.kind == DENSE:
        return f"{len(stage.out)} neurons weigh all that was found", shape
    if stage.kind == POOLED:
        window = TIMES.join(map(str, cast(MaxPool2D, stage.layer).pool_size))
        return f"pooling keeps the strongest of {window}" if number == 0 else "pooling again", shape
    count = stage.out.shape[2]
    if number == 0:
        return f"{count} filters, each for one kind of edge", shape
    return f"{count} filters find bends, ends, crossings", shape


@lru_cache
def _levels(theme: Theme) -> list[RGB]:
    """Return the colours of levels 0..255: 0 is the background, 1 to 255 run from nothing to the maximum."""
    return [rgb(theme.background), *((r, g, b) for r, g, b in heat(theme)[:255].tolist())]


def _brightness(out: Floats) -> Floats:
    """Return the square root of values in fractions of the largest, 0..1: it makes faint ones visible."""
    return np.sqrt(np.maximum(out, 0) / (out.max() or 1))


def _mosaic(maps: Floats) -> Bytes:
    """Return feature maps (H,W,F), 0..1, side by side as levels (x, y): 1..255, and 0 between them."""
    H, W, F = maps.shape
    columns, rows = _grid(F)
    gap = max(1, round(H / 12))
    levels = np.zeros((rows * columns, W + gap, H + gap), np.uint8)
    levels[:F, :W, :H] = (1.5 + 254 * maps).transpose(2, 1, 0)
    levels = levels.reshape(rows, columns, W + gap, H + gap).transpose(1, 2, 0, 3)  # column, x, row, y
    return levels.reshape(columns * (W + gap), rows * (H + gap))


def _cells(values: Floats) -> Bytes:
    """Return values (D,), 0..1, as rows of squares: levels (x, y) as of ``_mosaic``."""
    columns = min(DENSE_COLUMNS, len(values))
    rows = -(-len(values) // columns)
    levels = np.zeros(rows * columns, np.uint8)
    levels[: len(values)] = 1.5 + 254 * values
    squares = np.zeros((columns, 5, rows, 5), np.uint8)
    squares[:, :4, :, :4] = levels.reshape(rows, columns).T[:, None, :, None]
    return squares.reshape(5 * columns, 5 * rows)


def _blit(surface: pygame.Surface, levels: Bytes, palette: Sequence[RGB], rect: pygame.Rect) -> None:
    """Draw levels (x, y) scaled to a Rect, with square pixels: first by a whole factor, then smoothly."""
    picture = pygame.surfarray.make_surface(levels)
    picture.set_palette(palette)
    picture = picture.convert(24)
    width, height = picture.get_size()
    factor = -(-rect.width // width)
    if factor > EVEN_ENOUGH:
        surface.blit(pygame.transform.scale(picture, rect.size), rect)
        return
    if factor > 1:
        picture = pygame.transform.scale(picture, (factor * width, factor * height))
    surface.blit(pygame.transform.smoothscale(picture, rect.size), rect)
