"""The panel that shows the inside of the network, from the picture at the top to the answer at the bottom."""

import functools
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import pygame

from numcnn.evaluation.metrics import percent
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.nn.inspection import DENSE, Inspection
from numcnn.nn.layers import Conv2D
from numcnn.pad.drawing.inside_layout import OUTPUTS, Band, bands
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import Color, Theme, Type, heat, rgb, rounded, signed

SCORE = SMALLER = 0.92  # size of scores and shapes, in heights of the text
SMALLEST_SCORE = 0.72  # where columns are narrow
LINE = 1.35  # from line to line, in heights of the text
EVEN_ENOUGH = 3  # screen pixels per pixel of a map: from here on it isn't visible that some are wider by one
GREYS = np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 3)


class _Output(NamedTuple):
    """What a column of the outputs shows."""

    length: int  # of the filled part of the bar, in pixels
    score: str
    size: float  # of the score, in pixels
    name: str
    best: bool


class Inside:
    """Draws an ``Inspection``, with words in a given type."""

    def __init__(self, type_: Type) -> None:
        self.type = type_
        self.large = False  # for a presentation: no word is smaller than others

    def parts(
        self, rect: pygame.Rect, theme: Theme, text: int, maps: Inspection, inspection: Inspection, bars: Floats
    ) -> list[Part]:
        """Return the parts that show a network's inside in a Rect: the outputs of ``inspection``, all else of ``maps``.

        bars (10,), 0..1: the lengths of the bars, which follow the probabilities gently.
        """
        parts: list[Part] = []
        for number, band in enumerate(bands(maps.stages, rect, text), 1):
            parts.append(self.caption_part(band, theme, text, number))
            if band.kind == OUTPUTS:
                parts += self._outputs(band, theme, text, inspection, bars)
                continue
            if not (band.stage and band.strip):
                draw = functools.partial(_maps, band=band, theme=theme, inspection=maps)
                parts.append(Part(f"band {number}", band.body, (maps,), draw, opaque=True))
                continue
            layer = cast(Conv2D, band.stage.layer)  # its filters, between the maps, are drawn only when they change
            for row in range(band.rows):
                draw = functools.partial(_filters, band=band, layer=layer, theme=theme, row=row)
                parts.append(Part(f"filters {row}", band.above(row), (layer,), draw))
                draw = functools.partial(_maps, band=band, theme=theme, inspection=maps, row=row)
                parts.append(Part(f"maps {row}", band.row(row), (maps,), draw, opaque=True))
        return parts

    def caption_part(self, band: Band, theme: Theme, text: int, number: int) -> Part:
        """Return the part that writes a band's number, words and shape."""
        key = band.words, band.shape
        return Part(f"caption {number}", band.caption, key, lambda s: self._caption(s, band, theme, text, number))

    def _caption(self, surface: pygame.Surface, band: Band, theme: Theme, text: int, number: int) -> None:
        rect, write = band.caption, self.type.write
        middle = rect.centery - (LINE * text / 2 if band.beside and rect.height > 3 * text else 0)
        left = write(surface, f"{number}", text, theme.accent, True, midleft=(rect.left, middle)).right
        left += round(0.6 * text)
        fitting = (words for words in band.words if left + self.type.width(words, text) <= rect.right)
        words = next(fitting, "") or self.type.fitted(band.words[-1], text, rect.right - left)
        right = write(surface, words, text, theme.ink, midleft=(left, middle)).right
        if middle < rect.centery:
            write(surface, band.shape, SMALLER * text, theme.muted, midleft=(left, middle + LINE * text))
        elif not band.beside and right + text + self.type.width(band.shape, SMALLER * text) <= rect.right:
            write(surface, band.shape, SMALLER * text, theme.muted, midright=rect.midright)

    def _outputs(self, band: Band, theme: Theme, text: int, inspection: Inspection, bars: Floats) -> list[Part]:
        """Return the parts of the ten output columns: score, bar of the probability, digit."""
        seen = inspection.image.any()
        scores, size = self._scores(inspection.scores, text, output_column(band, 0).width)
        parts: list[Part] = []
        for digit, written in enumerate(scores):
            score = written if seen else ""
            column, bar = output_column(band, digit), output_bar(band, digit, text)
            best = bool(seen and digit == inspection.answer)
            name = f"{digit}"
            if best and column.width > 6.5 * text:
                name += f"  {percent(inspection.probabilities[digit])}"
            shown = _Output(round(bars[digit] * bar.height), score, size, name, best)
            parts.append(Part(f"output {digit}", column, shown, lambda s, d=digit, o=shown: self._output(
                s, theme, text, band, d, o)))  # fmt: skip
        return parts

    def _scores(self, scores: Floats, text: int, room: int) -> tuple[list[str], float]:
        """Return the scores as they are written above the bars, and how high: with one decimal if there is room."""
        for decimals, size in ((1, SCORE), (0, SCORE), (0, SMALLEST_SCORE)):
            written = [f"{score:+.{decimals}f}" for score in scores]
            if size < SCORE and self.large:
                break
            if all(self.type.width(score, size * text) < room for score in written):
                return written, size * text
        return [""] * len(scores), text

    def _output(self, surface: pygame.Surface, theme: Theme, text: int, band: Band, digit: int, shown: _Output) -> None:
        column, bar, key = output_column(band, digit), output_bar(band, digit, text), output_key(band, digit, text)
        color = theme.accent if shown.best else theme.muted
        rounded(surface, bar, theme.track, text // 5)
        if shown.length:
            filled = pygame.Rect(bar.left, bar.bottom - shown.length, bar.width, shown.length)
            rounded(surface, filled, theme.accent if shown.best else theme.other, text // 5)
        self.type.write(surface, shown.score, shown.size, color, midtop=column.midtop)
        rounded(surface, key, theme.active if shown.best else theme.hover, text // 3)
        self.type.write(surface, shown.name, 1.1 * text, color, shown.best, center=key.center)


def output_column(band: Band, digit: int) -> pygame.Rect:
    """Return the column of a digit in the outputs' band."""
    body = band.body
    left, right = (body.left + round(body.width * (digit + i) / band.count) for i in (0, 1))
    return pygame.Rect(left, body.top, right - left, body.height)


def output_bar(band: Band, digit: int, text: int) -> pygame.Rect:
    """Return the Rect of a digit's whole bar."""
    column = output_column(band, digit)
    bar = pygame.Rect(0, column.top + round(1.4 * text), round(0.5 * column.width), 0)
    bar.height = max(1, column.bottom - round(1.9 * text) - bar.top)
    bar.centerx = column.centerx
    return bar


def output_key(band: Band, digit: int, text: int) -> pygame.Rect:
    """Return the key below a digit's bar: a tap says that the drawing is this digit."""
    column = output_column(band, digit)
    key = pygame.Rect(0, 0, column.width - max(2, text // 6), round(1.6 * text))
    key.midbottom = column.midbottom
    return key


def _filters(surface: pygame.Surface, band: Band, layer: Conv2D, theme: Theme, row: int) -> None:
    """Draw a row of a layer's filters, each above its map."""
    draw_filters(surface, band, layer.params["w"], theme, theme.line, row)


def draw_filters(
    surface: pygame.Surface, band: Band, w: AnyArray, theme: Theme, edge: Color, row: int | None = None
) -> None:
    """Draw filters w (KH,KW,C,F), each above its map, the mean over C; of one row of maps, or of all."""
    w = w.mean(axis=2)  # (KH,KW,F); the pictures have one channel
    colors = signed(theme)[np.rint(127.5 + 127.5 * w / (np.abs(w).max() or 1)).astype(np.uint8)]  # (KH,KW,F,3)
    first, last = (0, band.count) if row is None else (row * band.columns, (row + 1) * band.columns)
    for i in range(first, min(last, band.count)):
        place = band.filter(i)
        if place.width >= w.shape[1]:
            picture = pygame.surfarray.make_surface(colors[:, :, i].swapaxes(0, 1))
            surface.blit(pygame.transform.scale(picture, place.size), place)
            pygame.draw.rect(surface, edge, place, 1)


def _maps(surface: pygame.Surface, band: Band, theme: Theme, inspection: Inspection, row: int | None = None) -> None:
    """Draw the picture, feature maps or neurons; of all maps, or of one row."""
    if band.stage is None:
        _blit(surface, inspection.image.T, GREYS, band.body)
        return
    draw_levels(surface, band, (1.5 + 254 * brightness(band.stage.out)).astype(np.uint8), _levels(theme), row)


def draw_levels(surface: pygame.Surface, band: Band, levels: Bytes, palette: Bytes, row: int | None = None) -> None:
    """Draw maps (H,W,F) or neurons (D,), as indices 1..255 into a palette, in a band's grid; 0 lies between them.

    palette (256,3).  row: only this row of maps.
    """
    arranged = _cells if band.kind == DENSE else _mosaic
    if row is None and not band.strip:
        _blit(surface, arranged(levels, band.columns), palette, band.body)
        return
    for number in range(band.rows) if row is None else (row,):
        some = levels[..., number * band.columns : (number + 1) * band.columns]
        _blit(surface, arranged(some, band.columns), palette, band.row(number))


@lru_cache
def _levels(theme: Theme) -> Bytes:
    """Return the colours of levels 0..255: 0 is the background, 1 to 255 run from nothing to the maximum."""
    return np.array([rgb(theme.background), *heat(theme)[:255]], np.uint8)


@lru_cache
def signed_levels(theme: Theme) -> Bytes:
    """Return the colours of levels 0..255: 0 is the background, 1 to 255 run from negative over 128, zero."""
    return np.array([rgb(theme.background), *signed(theme)[1:]], np.uint8)


def brightness(out: Floats) -> Floats:
    """Return the square root of values in fractions of the largest, 0..1: it makes faint ones visible."""
    return np.sqrt(np.maximum(out, 0) / (out.max() or 1))


def _mosaic(maps: Bytes, columns: int) -> Bytes:
    """Return maps (H,W,F) in rows side by side as levels (x, y), with 0 between them."""
    H, W, F = maps.shape
    rows, gap = -(-F // columns), max(1, round(H / 12))
    levels = np.zeros((rows * columns, W + gap, H + gap), np.uint8)
    levels[:F, :W, :H] = maps.transpose(2, 1, 0)
    levels = levels.reshape(rows, columns, W + gap, H + gap).transpose(1, 2, 0, 3)  # column, x, row, y
    return levels.reshape(columns * (W + gap), rows * (H + gap))


def _cells(values: Bytes, columns: int) -> Bytes:
    """Return values (D,) as rows of squares: levels (x, y) as of ``_mosaic``."""
    rows = -(-len(values) // columns)
    levels = np.zeros(rows * columns, np.uint8)
    levels[: len(values)] = values
    squares = np.zeros((columns, 5, rows, 5), np.uint8)
    squares[:, :4, :, :4] = levels.reshape(rows, columns).T[:, None, :, None]
    return squares.reshape(5 * columns, 5 * rows)


def _blit(surface: pygame.Surface, levels: Bytes, palette: Bytes, rect: pygame.Rect) -> None:
    """Draw levels (x, y) scaled to a Rect, with square pixels: first by a whole factor, then smoothly."""
    picture = pygame.Surface(levels.shape, 0, 32)
    packed = palette.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    pygame.surfarray.blit_array(picture, packed[levels])
    width, height = levels.shape
    factor = -(-rect.width // width)
    if factor > EVEN_ENOUGH:
        surface.blit(pygame.transform.scale(picture, rect.size), rect)
        return
    if factor > 1:
        picture = pygame.transform.scale(picture, (factor * width, factor * height))
    surface.blit(pygame.transform.smoothscale(picture, rect.size), rect)
