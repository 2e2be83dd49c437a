"""What has been drawn: strokes as points, with undo and redo, and the picture they make for the network.  No pygame."""

import json

from numcnn import raster
from numcnn.errors import DataError, NumcnnError


class Canvas:
    """A sheet of width x height pixels, y downwards.

    ``strokes`` is a tuple of lists of (x, y); a stroke of one point is a dot.  ``revision`` grows with every change.
    Points beyond the sheet's edges are kept.
    """

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.strokes = ()
        self.revision = 0
        self._open = None  # the stroke that is being drawn
        self._past, self._future = [], []  # the tuples of strokes before and after this one

    def stroke(self, points):
        """Add a whole stroke, points (n,2).  No points add nothing.  Raises ShapeError, DataError (NaN, infinity)."""
        points = _checked(points)
        self.end()
        if points:
            self._remember((*self.strokes, points))

    def begin(self, x, y):
        """Put the pen down.  Raises DataError, as `extend` does, for a coordinate that is NaN or infinite."""
        self.stroke([(x, y)])
        self._open = self.strokes[-1]

    def extend(self, x, y):
        """Move the pen; nothing happens while it is up."""
        (point,) = _checked([(x, y)])
        if self._open is not None and point != self._open[-1]:
            self._open.append(point)
            self.revision += 1

    def end(self):
        """Lift the pen."""
        self._open = None

    @property
    def drawing(self):
        """Whether the pen is down."""
        return self._open is not None

    def clear(self):
        """Take all strokes away; `undo` brings them back."""
        self.end()
        if self.strokes:
            self._remember(())

    def undo(self):
        """Take back the last stroke or clearing, if there is one."""
        self._step(self._past, self._future)

    def redo(self):
        """Do again what was undone last, unless something else was drawn since."""
        self._step(self._future, self._past)

    def prepared(self):
        """Return the drawing as the network sees it, (28,28) uint8, or None when nothing is drawn."""
        return raster.mnist_image(self.strokes) if self.strokes else None

    def _remember(self, strokes):
        self._past.append(self.strokes)
        self._future.clear()
        self.strokes = strokes
        self.revision += 1

    def _step(self, source, target):
        self.end()
        if source:
            target.append(self.strokes)
            self.strokes = source.pop()
            self.revision += 1


def _checked(points):
    """Return points as a list of (x, y) floats, after the brush's own checks."""
    (points,) = raster.check_strokes([points])
    return [(x, y) for x, y in points.tolist()]


def read_strokes(path):
    """Read strokes from a JSON file: a list of strokes, each a list of [x, y].  Raises DataError, with the path."""
    try:
        with open(path, encoding="utf-8") as file:
            strokes = json.load(file)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: it is no JSON file ({error})") from error
    try:
        return strokes_from_json(strokes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def strokes_from_json(value):
    """Return the strokes, a list of (n,2) arrays, that a value out of a JSON file stands for.  Raises DataError."""
    if not (isinstance(value, list) and all(isinstance(s, list) and all(map(_is_point, s)) for s in value)):
        raise DataError("wants a list of strokes, each a list of points [x, y], as in [[[0, 0], [50, 80]]]")
    try:
        return raster.check_strokes(value)
    except (NumcnnError, OverflowError) as error:
        raise DataError(str(error)) from error


def _is_point(value):
    return isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
