"""The panel that shows the network's inside, from the picture at the top to the answer at the bottom."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.evaluation.metrics import percent
from numcnn.nn.inspection import DENSE, MAPS, POOLED
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import heat, rounded, signed

TIMES = "\N{MULTIPLICATION SIGN}"
COLUMNS = 16  # of feature maps; all lengths that follow "in columns" are in the width of one of them
MANY, COLUMNS_OF_MANY = 64, 32  # more maps than so many are smaller, more in a row
SIZES = {MAPS: (1.0, 0.62), POOLED: (0.55, 0.4)}  # a map's side, in columns: of the first such stage and of later ones
PICTURE, FILTER, OUTPUT = 2.0, 0.42, 1.2  # heights, in columns; the outputs' words come on top of that
DENSE_COLUMNS = 64
CAPTION, LINE = 1.75, 1.35  # heights of a caption above what it is about and of a line beside it, in those of the text
OUTPUT_TEXT = 3.2  # heights of the text
GAPS = 0.6, 1.3  # the least and the most between bands, in heights of the text; more makes the outputs higher
BESIDE = 0.66  # of the panel's width: what is narrower has its caption beside it
EVEN_ENOUGH = 3  # pixels for each one of a map: then nobody sees that some are wider by one
GREYS = [(level, level, level) for level in range(256)]


class Band(NamedTuple):
    """A stage's place in the panel: a line of words, and what it shows below them."""

    kind: str  # a stage's kind, "picture", "filters" or "outputs"
    stage: object  # or None
    words: str
    shape: str  # of what it shows, as "26 x 26 x 32"
    caption: pygame.Rect
    body: pygame.Rect

    @property
    def beside(self):
        """Whether the caption is beside the body, not above it."""
        return self.caption.left >= self.body.right


class Inside:
    """Draws an ``Insight``.  type: the ``theme.Type`` to write with."""

    def __init__(self, type_):
        self.type = type_

    def parts(self, rect, theme, text, maps, insight, bars):
        """Return the parts that show an insight in a Rect; ``maps`` is the one from which all but the outputs come.

        bars (10,): the probabilities as long as they are shown now.
        """
        parts = []
        for number, band in enumerate(bands(maps.stages, rect, text), 1):
            parts.append(Part(f"caption {number}", band.caption, (band.words, band.shape), lambda s, b=band, n=number:
                              self._caption(s, b, theme, text, n)))  # fmt: skip
            if band.kind == "outputs":
                parts += self._outputs(band.body, theme, text, insight, bars)
                continue
            parts.append(Part(f"band {number}", band.body, (maps,), lambda s, b=band: _maps(s, b, theme, maps)))
            if band.stage is maps.stages[0] and band.kind == MAPS:
                above = pygame.Rect(band.body.left, band.caption.bottom, band.body.width, 0)
                above.height = max(0, band.body.top - above.top)
                layer = band.stage.layer
                parts.append(Part("filters", above, (layer,), lambda s, b=band: self._filters(s, b, theme)))
        return parts

    def _caption(self, surface, band, theme, text, number):
        rect = band.caption
        if not band.beside:
            left = self._number(surface, theme, text, number, rect.left, rect.centery)
            words = self.type.fitted(band.words, text, rect.right - left)
            if left + self.type.width(f"{words}  {band.shape}", text) < rect.right:
                self.type.write(surface, band.shape, 0.92 * text, theme.muted, midright=rect.midright)
            self.type.write(surface, words, text, theme.ink, midleft=(left, rect.centery))
            return
        room = rect.right - rect.left - text
        lines = self.type.folded(band.words, text, room)
        with_shape = LINE * text * (len(lines) + 1) <= rect.height
        y = rect.centery - LINE * text * (len(lines) - 1 + with_shape) / 2
        left = self._number(surface, theme, text, number, rect.left, y)
        for line in lines:
            self.type.write(surface, line, text, theme.ink, midleft=(left, y))
            y += LINE * text
        if with_shape:
            self.type.write(surface, band.shape, 0.92 * text, theme.muted, midleft=(left, y))

    def _number(self, surface, theme, text, number, left, middle):
        """Write a step's number; return where its words begin."""
        right = self.type.write(surface, f"{number}", text, theme.accent, True, midleft=(left, middle)).right
        return right + round(0.6 * text)

    def _filters(self, surface, band, theme):
        """Draw the filters, each above the maps that it makes: in their rows and columns."""
        w = band.stage.layer.params["w"].mean(axis=2)  # (KH,KW,F); the pictures have one channel
        count = w.shape[2]
        columns, rows = _grid(count)
        pitch = band.body.width / columns
        side = max(3, round(FILTER * pitch))
        index = np.rint(127.5 + 127.5 * w / (np.abs(w).max() or 1)).astype(np.uint8)
        colors = signed(theme)[index]  # (KH,KW,F,3)
        top = band.body.top - rows * 1.1 * side - 0.06 * pitch
        for i in range(count):
            row, column = divmod(i, columns)
            place = pygame.Rect(0, 0, side, side)
            place.topleft = round(band.body.left + column * pitch), round(top + row * 1.1 * side)
            picture = pygame.surfarray.make_surface(colors[:, :, i].swapaxes(0, 1))
            surface.blit(pygame.transform.scale(picture, place.size), place)
            pygame.draw.rect(surface, theme.line, place, 1)

    def _outputs(self, rect, theme, text, insight, bars):
        """Return the parts that are ten columns: the score, the probability that it becomes, the digit."""
        count, seen, parts = len(insight.logits), insight.image.any(), []
        for digit in range(count):
            left, right = (rect.left + round(rect.width * (digit + i) / count) for i in (0, 1))
            column = pygame.Rect(left, rect.top, right - left, rect.height)
            bar = pygame.Rect(0, rect.top + round(1.5 * text), round(0.5 * column.width), 0)
            bar.height = max(1, rect.bottom - round(1.5 * text) - text // 4 - bar.top)
            bar.centerx = column.centerx
            best = bool(seen and digit == insight.answer)
            score = f"{insight.logits[digit]:+.1f}" if seen else ""
            name = f"{digit}"
            if best and column.width > 6.5 * text:
                name += f"  {percent(insight.probabilities[digit])}"
            key = round(bars[digit] * bar.height), score, name, best
            parts.append(Part(f"output {digit}", column, key, lambda surface, c=column, b=bar, k=key: self._output(
                surface, theme, text, c, b, *k)))  # fmt: skip
        return parts

    def _output(self, surface, theme, text, column, bar, length, score, name, best):
        color = theme.accent if best else theme.muted
        rounded(surface, bar, theme.track, text // 5)
        if length:
            filled = pygame.Rect(bar.left, bar.bottom - length, bar.width, length)
            rounded(surface, filled, theme.accent if best else theme.other, text // 5)
        bold = best and column.width > 3 * text
        self.type.write(surface, score, 0.92 * text, color, bold, midtop=column.midtop)
        self.type.write(
            surface, name, 1.1 * text, color, best, midtop=(column.centerx, column.bottom - round(1.5 * text))
        )


def _maps(surface, band, theme, insight):
    """Draw the picture, feature maps or neurons."""
    if band.kind == "picture":
        _blit(surface, insight.image.T, GREYS, band.body)
    elif band.kind == DENSE:
        _blit(surface, _cells(_share(band.stage.out)), _levels(theme), band.body)
    else:
        _blit(surface, _mosaic(_share(band.stage.out)), _levels(theme), band.body)


def bands(stages, rect, text):
    """Divide a Rect between the picture, the stages and the outputs; as large as both its sides allow."""
    plan = [("picture", None, PICTURE, "the picture, as the network sees it", f"28{TIMES}28")]
    count = {MAPS: 0, POOLED: 0, DENSE: 0}
    for stage in stages:
        plan.append((stage.kind, stage, _height(stage, count[stage.kind]), *_words(stage, count[stage.kind])))
        count[stage.kind] += 1
    plan.append(("outputs", None, OUTPUT, "ten scores, and the probabilities they become", "10"))
    beside = [_columns(kind, stage, height) < BESIDE * COLUMNS for kind, stage, height, _, _ in plan]
    captions = (CAPTION * beside.count(False) + OUTPUT_TEXT) * text
    filters = _filters_height(stages)
    columns = sum(height for _, _, height, _, _ in plan) + filters
    gaps = len(plan) - 1
    column = min(rect.width / COLUMNS, max(1.0, (rect.height - captions - GAPS[0] * text * gaps) / columns))
    spare = rect.height - captions - columns * column
    gap = min(max(spare / gaps, GAPS[0] * text), GAPS[1] * text)
    higher = OUTPUT_TEXT * text + max(0.0, spare - gap * gaps)
    placed, top = [], float(rect.top)
    for i, (kind, stage, height, words, shape) in enumerate(plan):
        start = top + (0 if beside[i] else CAPTION * text) + (filters * column if i == 1 else 0)
        wide = rect.width if kind == "outputs" else _columns(kind, stage, height) * column
        tall = height * column + (higher if kind == "outputs" else 0)
        body = pygame.Rect(rect.left, round(start), round(wide), max(1, round(tall)))
        if beside[i]:
            caption = pygame.Rect(body.right + text, body.top, rect.right - body.right - text, body.height)
            if i:
                caption.inflate_ip(0, 2 * int(0.28 * text))  # into the gaps, for two lines beside a low band
        else:
            caption = pygame.Rect(rect.left, round(top), rect.width, round(1.4 * text))
        placed.append(Band(kind, stage, words, shape, caption, body))
        top = start + tall + gap
    return placed


def _filters_height(stages):
    """Return the height of the filters' rows above the first maps, in columns."""
    if not stages or stages[0].kind != MAPS:
        return 0.0
    _, rows = _grid(stages[0].out.shape[2])
    return rows * 1.1 * FILTER * _side(MAPS, 0, stages[0].out.shape[2]) + 0.12


def _grid(count):
    """Return in how many columns and rows so many maps are shown."""
    columns = min(count, COLUMNS if count <= MANY else COLUMNS_OF_MANY)
    return columns, -(-count // columns)


def _side(kind, number, count):
    """Return how large each of so many maps is, in columns."""
    return min(SIZES[kind][min(number, 1)], COLUMNS / _grid(count)[0])


def _height(stage, number):
    """Return how high a stage's body is, in columns."""
    if stage.kind == DENSE:
        return -(-len(stage.out) // DENSE_COLUMNS) * COLUMNS / DENSE_COLUMNS
    count = stage.out.shape[2]
    return _grid(count)[1] * _side(stage.kind, number, count)


def _columns(kind, stage, height):
    """Return how wide a band's body of this height is, both in columns."""
    if kind == "picture":
        return height
    if kind == "outputs":
        return COLUMNS
    if kind == DENSE:
        return min(len(stage.out), DENSE_COLUMNS) * COLUMNS / DENSE_COLUMNS
    columns, rows = _grid(stage.out.shape[2])
    return height / rows * columns


def _words(stage, number):
    """Return what a stage does in words, and the shape of what comes out."""
    shape = TIMES.join(map(str, stage.out.shape))
    if stage.kind == DENSE:
        return f"{len(stage.out)} neurons weigh all that was found", shape
    if stage.kind == POOLED:
        window = TIMES.join(map(str, stage.layer.pool_size))
        return f"pooling keeps the strongest of {window}" if number == 0 else "pooling again", shape
    count = stage.out.shape[2]
    if number == 0:
        return f"{count} filters, each for one kind of edge", shape
    return f"{count} filters find bends, ends, crossings", shape


@lru_cache
def _levels(theme):
    """Return the colours of levels 0..255: the background, then nothing to as much as there is."""
    return [tuple(pygame.Color(theme.background)[:3]), *map(tuple, heat(theme)[:255].tolist())]


def _share(out):
    """Return values >= 0 as shares of the largest, 0..1; the root lets faint ones be seen."""
    return np.sqrt(np.maximum(out, 0) / (out.max() or 1))


def _mosaic(maps):
    """Return feature maps (H,W,F), 0..1, side by side as levels (x, y) uint8: 1..255, and 0 between them."""
    H, W, F = maps.shape
    columns, rows = _grid(F)
    gap = max(1, round(H / 12))
    levels = np.zeros((rows * columns, W + gap, H + gap), np.uint8)
    levels[:F, :W, :H] = (1.5 + 254 * maps).transpose(2, 1, 0)
    levels = levels.reshape(rows, columns, W + gap, H + gap).transpose(1, 2, 0, 3)  # column, x, row, y
    return levels.reshape(columns * (W + gap), rows * (H + gap))


def _cells(values):
    """Return values (D,), 0..1, as rows of squares: levels (x, y) uint8 as ``_mosaic`` does."""
    columns = min(DENSE_COLUMNS, len(values))
    rows = -(-len(values) // columns)
    levels = np.zeros(rows * columns, np.uint8)
    levels[: len(values)] = 1.5 + 254 * values
    squares = np.zeros((columns, 5, rows, 5), np.uint8)
    squares[:, :4, :, :4] = levels.reshape(rows, columns).T[:, None, :, None]
    return squares.reshape(5 * columns, 5 * rows)


def _blit(surface, levels, palette, rect):
    """Draw levels (x, y) scaled to a Rect so that pixels stay squares: first by a whole number, then smoothly."""
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
