"""What the pad shows, without a window: drawings made to fit the sheet, what the panels need, screenshots."""

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pygame

from numcnn.errors import DataError
from numcnn.imaging import raster
from numcnn.imaging.preprocess import BOX
from numcnn.kernels.arrays import Float64s
from numcnn.nn.network import Network
from numcnn.pad import pictures
from numcnn.pad.background import write_png
from numcnn.pad.canvas import Canvas
from numcnn.pad.drawing.layout import Layout, Place, layout, place
from numcnn.pad.drawing.picture import Picture, picture_place
from numcnn.pad.drawing.view import Scene, View
from numcnn.recognition.reading import Recognizer
from numcnn.recognition.spots import Judge

SHEET = 560  # width and height of the canvas; a window that isn't square shows more than that
PEN, PENS = 0.032, (0.012, 0.15)  # width of the brush, its smallest and largest, in sides of the sheet


def complete(scene: Scene, recognizer: Recognizer, *, gradient: bool = True) -> None:
    """Fill in what the open panels show.  gradient: with that on the drawing, which takes as long as all the rest."""
    if scene.why is not None and gradient:
        reading = scene.reading
        scene.why = recognizer.explain(reading, scene.canvas) if reading else None
    if scene.inside:
        if scene.reading is None:
            scene.blank = recognizer.blank()
        scene.maps = scene.reading.inspection if scene.reading else scene.blank


def lengths(scene: Scene) -> Float64s:
    """Return the final lengths of the bars: the probabilities of the reading in focus, or zeros."""
    return np.zeros(10) if scene.reading is None else scene.reading.inspection.probabilities.astype(np.float64)


def screenshot(
    network: Network,
    path: str | os.PathLike[str],
    size: tuple[int, int],
    strokes: Sequence[npt.ArrayLike] = (),
    *,
    theme: str = "light",
    inside: bool = False,
    why: bool = False,
    picture: str | os.PathLike[str] | None = None,
) -> None:
    """Write what the pad would show to ``path``, as PNG, without opening a window.  Raises NumcnnError.

    inside, why: open these panels.  picture: the path of one on the sheet.
    """
    recognizer = Recognizer(network)
    canvas = fitted_canvas(strokes, recognizer.judge)
    scene = Scene(canvas, recognizer.read(canvas), theme=theme, pen=suited_pen(canvas), inside=inside)
    if picture is not None:
        scene.picture = _read_now(picture, network)
        scene.readings = scene.picture.readings or ()
    if scene.readings:
        scene.focus = 0 if scene.picture else len(scene.readings) - 1
    if scene.reading and why:
        scene.why = recognizer.explain(scene.reading, canvas)
    complete(scene, recognizer)
    scene.bars = lengths(scene)
    surface, places = pygame.Surface(size), layout(size, inside)
    pygame.font.init()
    View().draw(surface, scene, places, place_of(scene, places))
    write_png(surface, path)


def _read_now(path: str | os.PathLike[str], network: Network) -> Picture:
    """Return a picture with its digits.  Raises DataError."""
    found = pictures.decode(pictures.from_file(path))
    found = found if found.problem else pictures.read(found, network)
    if found.problem:
        raise DataError(found.problem)
    return found


def place_of(scene: Scene, places: Layout) -> Place:
    """Return how the canvas, or the picture on it, is mapped to the sheet."""
    if scene.picture is not None:
        return picture_place(scene.picture, places.sheet, places.text)
    return place(scene.canvas, places.sheet)


def fitted_canvas(strokes: Sequence[npt.ArrayLike], judge: Judge | None = None) -> Canvas:
    """Return a canvas with strokes, in any unit, scaled to fit and centred.  judge: see ``Canvas``."""
    canvas = Canvas(SHEET, SHEET, judge)
    box = round(0.7 * SHEET)
    for points in raster.fit(strokes, box=box):
        canvas.stroke(points + (SHEET - box) / 2)
    return canvas


def suited_pen(canvas: Canvas) -> float:
    """Return the brush for a drawing: the usual one, finer for digits so small that it would fill them in."""
    heights = [bottom - top for _, top, _, bottom in canvas.boxes()] or [SHEET]
    return min(PEN, max(PENS[0], raster.PEN_WIDTH / BOX * max(heights) / SHEET))
