"""The strokes as they look on the sheet, kept between frames: only what is new gets drawn, by the project's brush."""

import math
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.imaging import raster

THIN = 1 / 8  # of the pen's width: points that are nearer than this to the last are passed over
UNSEEN = 0.1  # pixels: unless they lie that far beside the line
LEAST_PEN = 1.0  # pixels


class _Tile(NamedTuple):
    """What of a stroke is drawn: its first ``count`` points, as alpha (w,h) uint8 at ``rect`` of the layer."""

    stroke: list
    count: int
    rect: pygame.Rect
    alpha: np.ndarray


class Ink:
    """A transparent layer as large as the sheet, with the strokes on it."""

    def __init__(self):
        self.layer = None
        self._geometry = self._color = None
        self._tiles = {}  # id of a stroke -> its _Tile, in the order of drawing

    def update(self, strokes, place, pen, color):
        """Bring the layer up to date.  pen in pixels, color (r, g, b).  Return the Rect of the window that changed."""
        changed, size = [], place.sheet.size
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

    def of(self, strokes, rect):
        """Return the ink of some strokes alone, in a Rect of the layer: alpha (w,h) uint8."""
        alpha = np.zeros(rect.size, np.uint8)
        for stroke in strokes:
            _lay(alpha, rect, self._tiles[id(stroke)])
        return alpha

    def _draw(self, stroke, tile, place, pen):
        """Draw what of a stroke isn't yet, and return its Rect of the layer."""
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

    def _wipe(self, rects):
        """Take ink away in some Rects, and draw again there what belongs to other strokes."""
        for rect in rects:
            pygame.surfarray.pixels_alpha(self.layer)[rect.left : rect.right, rect.top : rect.bottom] = 0
            self._blend(rect)

    def _blend(self, rect):
        for tile in self._tiles.values():
            self._paint(tile, rect)

    def _paint(self, tile, rect):
        """Paint the part of a tile that lies in a Rect of the layer."""
        _lay(pygame.surfarray.pixels_alpha(self.layer)[rect.left : rect.right, rect.top : rect.bottom], rect, tile)


def _joined(one, other):
    """Return a tile that holds what two do."""
    if one.rect.contains(other.rect):
        rect, alpha = one.rect, one.alpha
    else:
        rect = one.rect.union(other.rect)
        alpha = np.zeros(rect.size, np.uint8)
        _lay(alpha, rect, one)
    _lay(alpha, rect, other)
    return _Tile(other.stroke, other.count, rect, alpha)


def _lay(alpha, rect, tile):
    """Lay the part of a tile that lies in a Rect onto alpha (w,h) there; where lines meet the stronger ink counts."""
    part = tile.rect.clip(rect)
    if part.width and part.height:
        window, inside = (part.move(-left, -top) for left, top in (rect.topleft, tile.rect.topleft))
        window = alpha[window.left : window.right, window.top : window.bottom]
        np.maximum(window, tile.alpha[inside.left : inside.right, inside.top : inside.bottom], out=window)


def _thinned(points, least):
    """Return the points (n,2) but for those nearer than ``least`` to the one before, as long as nobody sees it."""
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
