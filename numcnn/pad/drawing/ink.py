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
SHARPEST = 0.5  # the cosine of the sharpest turn that is rounded: 60 degrees
STEP, MOST_STEPS = 0.25, 16  # of the curve between two points: their length in widths of the pen, and how many


class _Piece(NamedTuple):
    """Some ink: alpha (w,h) at a Rect of the layer."""

    rect: pygame.Rect
    alpha: Bytes


class _Tile(NamedTuple):
    """The drawn part of a stroke: its first ``count`` points.

    ink: up to the last point but one; tail: from there on, which the next point will bend.
    """

    stroke: Stroke
    count: int
    ink: _Piece | None
    tail: _Piece

    @property
    def pieces(self) -> list[_Piece]:
        """The ink and the tail."""
        return [self.ink, self.tail] if self.ink else [self.tail]

    @property
    def rect(self) -> pygame.Rect:
        """The Rect that both cover."""
        return self.tail.rect.union(self.ink.rect) if self.ink else self.tail.rect


class Ink:
    """A transparent layer as large as the sheet, with the strokes on it, as smooth curves through their points."""

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
            for piece in self._tiles[id(stroke)].pieces:
                _lay(alpha, rect, piece)
        return alpha

    def _draw(self, stroke: Stroke, tile: _Tile | None, place: Place, pen: float) -> pygame.Rect:
        """Draw the part of a stroke that isn't drawn yet, and return its Rect of the layer."""
        settled = max(0, tile.count - 2) if tile else 0  # up to this point the ink stays as it is
        first, last = max(0, settled - 1), len(stroke) - 2
        points = place.scale * np.array(stroke[first:]) + np.subtract((place.left, place.top), place.sheet.topleft)
        ink = tile.ink if tile else None
        fresh: list[_Piece] = []
        if last > settled:
            fresh.append(self._piece(curve(points, settled - first, last - first, pen), pen))
            ink = _joined(ink, fresh[0]) if ink else fresh[0]
        fresh.append(self._piece(curve(points, max(0, last - first), len(points) - 1, pen), pen))
        changed = [piece.rect for piece in fresh]
        self._tiles[id(stroke)] = _Tile(stroke, len(stroke), ink, fresh[-1])
        if tile:
            self._wipe([tile.tail.rect])
            changed.append(tile.tail.rect)
        for piece in fresh:
            self._paint(piece, piece.rect)
        return changed[0].unionall(changed[1:])

    def _piece(self, points: Float64s, pen: float) -> _Piece:
        """Draw a line through points of the layer."""
        points, width = _thinned(points, THIN * pen), max(LEAST_PEN, pen)
        size = np.array(self.layer.get_size())
        reach = width / 2 + 1
        low = np.clip(np.floor(points.min(axis=0) - reach), 0, size).astype(int)
        high = np.clip(np.ceil(points.max(axis=0) + reach), 0, size).astype(int)
        rect = pygame.Rect(*low.tolist(), *(high - low).tolist())
        ink = raster.draw([points - low], (rect.height, rect.width), width)
        return _Piece(rect, np.rint(255 * ink.T).astype(np.uint8))

    def _wipe(self, rects: Iterable[pygame.Rect]) -> None:
        """Clear some Rects, and redraw the ink of the remaining strokes there."""
        for rect in rects:
            pygame.surfarray.pixels_alpha(self.layer)[rect.left : rect.right, rect.top : rect.bottom] = 0
            self._blend(rect)

    def _blend(self, rect: pygame.Rect) -> None:
        for tile in self._tiles.values():
            for piece in tile.pieces:
                self._paint(piece, rect)

    def _paint(self, piece: _Piece, rect: pygame.Rect) -> None:
        """Paint what is inside a Rect of the layer."""
        _lay(pygame.surfarray.pixels_alpha(self.layer)[rect.left : rect.right, rect.top : rect.bottom], rect, piece)


def curve(points: Float64s, start: int, end: int, pen: float) -> Float64s:
    """Return a smooth curve through points (n,2), from that with index ``start`` to that with index ``end``.

    Cubic pieces (Catmull & Rom 1974), as long in both directions as their chords.  A turn sharper than ``SHARPEST`` is
    a corner that was meant, and stays one.  pen: the width of the brush; in smaller steps nothing could be seen.
    """
    if end <= start:
        return points[start : start + 1]
    chords = np.diff(points, axis=0)
    lengths = np.hypot(*chords.T)
    along = chords / np.maximum(lengths, 1e-9)[:, None]
    turns = np.zeros((len(points), 2))  # the direction at each point; zero at ends and corners
    turns[1:-1] = along[:-1] + along[1:]
    sharp = (along[:-1] * along[1:]).sum(axis=1) < SHARPEST
    turns[1:-1][sharp] = 0
    sizes = np.hypot(*turns.T)[:, None]
    smooth, turns = sizes > 0, turns / np.maximum(sizes, 1e-9)
    pieces = np.arange(start, end)
    counts = np.clip(np.ceil(lengths[pieces] / max(2.0, STEP * pen)), 1, MOST_STEPS).astype(int)
    which = np.repeat(pieces, counts)
    steps = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    t = (steps / np.repeat(counts, counts))[:, None]
    leave, arrive = (np.where(smooth[i], turns[i] * lengths[which, None], chords[which]) for i in (which, which + 1))
    made = (
        (1 + 2 * t) * (1 - t) ** 2 * points[which]
        + t * (1 - t) ** 2 * leave
        + t**2 * (3 - 2 * t) * points[which + 1]
        - t**2 * (1 - t) * arrive
    )
    return np.concatenate([made, points[end : end + 1]])


def _joined(one: _Piece, other: _Piece) -> _Piece:
    """Return the union of two pieces of ink."""
    if one.rect.contains(other.rect):
        rect, alpha = one.rect, one.alpha
    else:
        rect = one.rect.union(other.rect)
        alpha = np.zeros(rect.size, np.uint8)
        _lay(alpha, rect, one)
    _lay(alpha, rect, other)
    return _Piece(rect, alpha)


def _lay(alpha: Bytes, rect: pygame.Rect, piece: _Piece) -> None:
    """Merge the part of a piece inside a Rect into alpha (w,h) of that Rect, by the maximum."""
    part = piece.rect.clip(rect)
    if part.width and part.height:
        window, inside = (part.move(-left, -top) for left, top in (rect.topleft, piece.rect.topleft))
        window = alpha[window.left : window.right, window.top : window.bottom]
        np.maximum(window, piece.alpha[inside.left : inside.right, inside.top : inside.bottom], out=window)


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
