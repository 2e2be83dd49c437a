"""The ink on the sheet, kept from frame to frame: only new ink is drawn, by the project's own brush."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.imaging import raster
from numcnn.kernels.arrays import Bytes, Float64s
from numcnn.pad.drawing.layout import Place
from numcnn.pad.drawing.theme import RGB
from numcnn.pad.eraser import Stroke

THIN = 1 / 8  # of the pen's width: points nearer than this to the last one are skipped
UNSEEN = 0.1  # pixels: unless they are this far beside the line
LEAST_PEN = 1.0  # pixels


class _Tile(NamedTuple):
    """The drawn part of a stroke: its first ``count`` points, as alpha (w,h) at ``rect`` of the layer."""

    stroke: Stroke
    count: int
    rect: pygame.Rect
    alpha: Bytes


class Ink:
    """A transparent layer as large as the sheet, with the strokes on it."""

    def __init__(self) -> None:
        self.layer = pygame.Surface((0, 0))
        self._geometry: tuple[object, ...] | None = None
        self._color: RGB | None = None
        self._tiles: dict[int, _Tile] = {}  # by the id of the stroke, in the order of drawing

    def update(self, strokes: Sequence[Stroke], place: Place, pen: float, color: RGB) -> pygame.Rect:
        """Bring the layer up to date.  pen in pixels.  Return the Rect of the window that changed."""
        changed: list[pygame.Rect] = []
        size = place.sheet.size
        geometry = size, place.scale, place.left - place.sheet.left, place.top - place.sheet.top, pen
        if geometry != self._geometry or color != self._color:
            if geometry != self._geometry:
                self._tiles = {}
            self._geometry, self._color = geometry, color
            self.layer = pygame.Surface(size, pygame.SRCALPHA)
            self.layer.fill((*color, 0))
            changed.append(self.layer.get_rect())
            self._blend(changed[0])
        here = {id(stroke) for stroke in strokes}
        gone = [key for key, tile in self._tiles.items() if key not in here or len(tile.stroke) < tile.count]
        changed += [self._tiles.pop(key).rect for key in gone]
        if gone:
            self._wipe(changed[-len(gone) :])
        for stroke in strokes:
            tile = self._tiles.get(id(stroke))
            if tile is None or tile.count < len(stroke):
                changed.append(self._draw(stroke, tile, place, pen))
        changed = [rect for rect in changed if rect.width and rect.height]
        return changed[0].unionall(changed[1:]).move(place.sheet.topleft) if changed else pygame.Rect(0, 0, 0, 0)

    def alpha_of(self, strokes: Iterable[Stroke], rect: pygame.Rect) -> Bytes:
        """Return the ink of some strokes alone, in a Rect of the layer: alpha (w,h)."""
        alpha = np.zeros(rect.size, np.uint8)
        for stroke in strokes:
            _lay(alpha, rect, self._tiles[id(stroke)])
        return alpha

    def _draw(self, stroke: Stroke, tile: _Tile | None, place: Place, pen: float) -> pygame.Rect:
        """Draw the part of a stroke that isn't drawn yet, and return its Rect of the layer."""
        done = tile.count if tile else 0
        offset = np.subtract((place.left, place.top), place.sheet.topleft)
        points = _thinned(place.scale * np.array(stroke[max(done - 1, 0) :]) + offset, THIN * pen)
        width = max(LEAST_PEN, pen)
        size = np.array(self.layer.get_size())
        reach = width / 2 + 1
        low = np.clip(np.floor(points.min(axis=0) - reach), 0, size).astype(int)
        high = np.clip(np.ceil(points.max(axis=0) + reach), 0, size).astype(int)
        rect = pygame.Rect(*low.tolist(), *(high - low).tolist())
        ink = raster.draw([points - low], (rect.height, rect.width), width)
        new = _Tile(stroke, len(stroke), rect, np.rint(255 * ink.T).astype(np.uint8))
        self._tiles[id(stroke)] = _joined(tile, new) if tile else new
        self._paint(new, rect)
        return rect

    def _wipe(self, rects: Iterable[pygame.Rect]) -> None:
        """Clear some Rects, and redraw the ink of the remaining strokes there."""
        for rect in rects:
            pygame.surfarray.pixels_alpha(self.layer)[rect.left : rect.right, rect.top : rect.bottom] = 0
            self._blend(rect)

    def _blend(self, rect: pygame.Rect) -> None:
        for tile in self._tiles.values():
            self._paint(tile, rect)

    def _paint(self, tile: _Tile, rect: pygame.Rect) -> None:
        """Paint the part of a tile inside a Rect of the layer."""
        _lay(pygame.surfarray.pixels_alpha(self.layer)[rect.left : rect.right, rect.top : rect.bottom], rect, tile)


def _joined(one: _Tile, other: _Tile) -> _Tile:
    """Return the union of two tiles of a stroke."""
    if one.rect.contains(other.rect):
        rect, alpha = one.rect, one.alpha
    else:
        rect = one.rect.union(other.rect)
        alpha = np.zeros(rect.size, np.uint8)
        _lay(alpha, rect, one)
    _lay(alpha, rect, other)
    return _Tile(other.stroke, other.count, rect, alpha)


def _lay(alpha: Bytes, rect: pygame.Rect, tile: _Tile) -> None:
    """Merge the part of a tile inside a Rect into alpha (w,h) of that Rect, by the maximum."""
    part = tile.rect.clip(rect)
    if part.width and part.height:
        window, inside = (part.move(-left, -top) for left, top in (rect.topleft, tile.rect.topleft))
        window = alpha[window.left : window.right, window.top : window.bottom]
        np.maximum(window, tile.alpha[inside.left : inside.right, inside.top : inside.bottom], out=window)


def _thinned(points: Float64s, least: float) -> Float64s:
    """Drop points (n,2) that are nearer than ``least`` to the one before, where that makes no visible difference."""
    kept, places = [0], points.tolist()
    for i in range(1, len(points) - 1):
        (x, y), (here_x, here_y), (next_x, next_y) = places[kept[-1]], places[i], places[i + 1]
        dx, dy, to_x, to_y = here_x - x, here_y - y, next_x - x, next_y - y
        length = math.hypot(to_x, to_y)
        aside = abs(dx * to_y - dy * to_x) / length if length > 0 else math.inf
        backwards = dx * to_x + dy * to_y > length * length
        if backwards or aside > UNSEEN or math.hypot(dx, dy) >= least:
            kept.append(i)
    return points[[*kept, len(points) - 1]] if len(points) > 1 else points
