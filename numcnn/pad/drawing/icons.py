"""The icons of the buttons: strokes on a grid of 24 x 24, drawn by the project's own brush."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pygame

from numcnn.imaging import raster
from numcnn.kernels.arrays import Float64s
from numcnn.pad.drawing.theme import RGB, ink_surface

GRID, PEN = 24, 1.9


def _arc(x: float, y: float, radius: float, start: float, end: float, points: int = 20) -> Float64s:
    """Return the points of an arc; angles in degrees, 0 to the right, growing clockwise."""
    angles = np.radians(np.linspace(start, end, points))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def _box(left: float, top: float, right: float, bottom: float) -> list[tuple[float, float]]:
    return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def _mirrored(strokes: Sequence[npt.ArrayLike]) -> list[Float64s]:
    return [np.array([GRID, 0]) + np.array([-1, 1]) * np.asarray(stroke) for stroke in strokes]


_UNDO = [[(8, 4), (4, 8), (8, 12)], [(4, 8), (14, 8)], _arc(14, 13.5, 5.5, -90, 90), [(14, 19), (8, 19)]]

_ERASER = [(9, 20), (3.5, 14.5), (13.5, 4.5), (20, 11), (11, 20), (9, 20)]
_SHADE = [[(x, 12 - half), (x, 12 + half)] for x, half in ((13, 7.8), (14.8, 7.2), (16.6, 6.2), (18.3, 4.6))]
_LID = [[(4, 7), (20, 7)], [(9, 7), (9, 4), (15, 4), (15, 7)]]

STROKES: dict[str, Sequence[npt.ArrayLike]] = {
    "undo": _UNDO,
    "redo": _mirrored(_UNDO),
    "erase": [_ERASER, [(8.5, 9.5), (15, 16)], [(11, 20), (20, 20)]],
    "clear": [*_LID, [(6, 7), (7, 20.5), (17, 20.5), (18, 7)], [(10, 11), (10, 16.5)], [(14, 11), (14, 16.5)]],
    "inside": [_box(3.5, 8.5, 9, 15.5), _box(12, 4, 15, 20), *(_arc(19.5, y, 1.2, 0, 360) for y in (6.5, 12, 17.5))],
    "why": [_arc(12, 9, 4.6, -200, 70), [(13.6, 13.2), (12, 14.5), (12, 16)], [(12, 20)]],
    "train": [[(4, 4), (4, 20), (20, 20)], [(4.5, 6), (6.5, 12.5), (9.5, 15.5), (13, 17), (20, 17.5)], [(17, 7)]],
    "learn": [
        [(3, 9), (12, 5), (21, 9), (12, 13), (3, 9)],
        [(6.5, 11), (6.5, 16)],
        _arc(12, 11.5, 7.1, 140, 40),
        [(17.5, 11), (17.5, 16)],
        [(21, 9), (21, 15)],
    ],
    "save": [[(12, 4), (12, 15)], [(7.5, 10.5), (12, 15), (16.5, 10.5)], [(4, 16), (4, 20), (20, 20), (20, 16)]],
    "theme": [_arc(12, 12, 8, 0, 360, 40), *_SHADE],
    "help": [_arc(12, 12, 8.6, 0, 360, 40), _arc(12, 10, 2.6, -190, 60), [(13, 12.4), (12, 13.6)], [(12, 16.6)]],
}


@lru_cache(maxsize=256)
def icon(name: str, side: int, color: RGB) -> pygame.Surface:
    """Return a button's icon as a transparent surface of side x side pixels."""
    scale = side / GRID
    strokes = [scale * np.asarray(stroke, float) for stroke in STROKES[name]]
    return ink_surface(raster.draw(strokes, (side, side), max(1, PEN * scale)), color)
