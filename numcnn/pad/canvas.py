"""What has been drawn: strokes as points, with eraser, undo and redo, and the pictures they make for the network.

No pygame.  Strokes stay points until `raster` draws them at MNIST's size, with MNIST's pen: the window's size, the
drawing's size and place and the brush on the screen make no difference.
"""

import json
from collections import deque
from numbers import Real

import numpy as np

from numcnn.errors import ConfigError, DataError, NumcnnError
from numcnn.imaging import raster
from numcnn.pad import eraser
from numcnn.recognition import grouping

ERASER = 0.06  # radius, in shorter sides of the sheet
UNDO_STEPS = 1000


class Canvas:
    """A sheet of width x height pixels, y downwards.

    ``strokes`` is a tuple of lists of (x, y) in the order of writing; a stroke of one point is a dot.  ``revision``
    changes with every change.  Points beyond the sheet's edges are kept.  What `prepared`, `groups`, `digits` and
    `boxes` return is computed once a revision: leave it unchanged.
    """

    def __init__(self, width, height):
        """Take a blank sheet.  Raises ConfigError for a size that is no number above 0."""
        for name, side in (("width", width), ("height", height)):
            if not (isinstance(side, Real) and 0 < side < np.inf):  # NaN is not
                raise ConfigError(f"the canvas's {name} is {side!r}: it must be a number of pixels above 0")
        self.width, self.height = width, height
        self.strokes = ()
        self.revision = 0
        self._open = None  # the stroke that is being drawn
        self._eraser = None  # while it is down: where it is and its radius
        self._erased = False  # whether it has taken something away since
        # The tuples of strokes before and after this one.  They share the strokes, so a step costs next to nothing.
        self._past, self._future = deque(maxlen=UNDO_STEPS), deque(maxlen=UNDO_STEPS)
        self._known = {}  # what has been computed since the revision `_known_at`
        self._known_at = 0
        self._arrays, self._images = {}, {}  # of strokes and digits that may still be there at the next revision

    def stroke(self, points):
        """Add a whole stroke, points (n,2).  No points add nothing.  Raises ShapeError, DataError."""
        points = _checked(points)
        self.end()
        if points:
            self._remember((*self.strokes, points))

    def begin(self, x, y):
        """Put the pen down.  Raises DataError, as `extend` does, for a coordinate that is NaN or infinite."""
        self.stroke([(x, y)])
        self._open = self.strokes[-1]

    def extend(self, x, y):
        """Move the pen or the eraser; nothing happens while both are up."""
        point = float(x), float(y)
        if not (abs(point[0]) <= raster.LARGEST and abs(point[1]) <= raster.LARGEST):  # NaN is not
            _checked([point])  # which raises
        if self._open is not None and point != self._open[-1]:
            self._open.append(point)
            self.revision += 1
        elif self._eraser is not None:
            self._wipe(point)

    def end(self):
        """Lift the pen or the eraser."""
        self._open = self._eraser = None

    @property
    def drawing(self):
        """Whether the pen is down."""
        return self._open is not None

    @property
    def erasing(self):
        """Whether the eraser is down."""
        return self._eraser is not None

    def begin_erase(self, x, y, radius=None):
        """Put the eraser down: until `end` it takes away what comes within `radius` of it, all as one step of `undo`.

        Raises DataError for a coordinate that is NaN or infinite, ConfigError for a radius that is not above 0.
        """
        (point,) = _checked([(x, y)])
        radius = ERASER * min(self.width, self.height) if radius is None else radius
        if not 0 < radius <= raster.LARGEST:
            raise ConfigError(f"the eraser's radius is {radius}: it must be a number above 0")
        self.end()
        self._eraser, self._erased = (point, radius), False
        self._wipe(point)

    def erase(self, points, radius=None):
        """Take away what lies within `radius` of the line through points (n,2); what is cut in two becomes two strokes.

        One step of `undo`.  Raises as `begin_erase` does.
        """
        points = _checked(points)
        if points:
            self.begin_erase(*points[0], radius)
            for point in points[1:]:
                self.extend(*point)
        self.end()

    def clear(self):
        """Take all strokes away; `undo` brings them back."""
        self.end()
        if self.strokes:
            self._remember(())

    def undo(self):
        """Take back the last stroke, erasure or clearing, if there is one; a thousand are remembered."""
        self._step(self._past, self._future)

    def redo(self):
        """Do again what was undone last, unless something else was done since."""
        self._step(self._future, self._past)

    def prepared(self):
        """Return all ink as one digit, as the network sees it, (28,28) uint8, or None when nothing is drawn."""
        return self._computed("prepared", lambda: raster.mnist_image(self._points()) if self.strokes else None)

    def groups(self):
        """Return which strokes make a digit: a tuple of indices of ``strokes`` per digit, from left to right."""
        return self._computed("groups", lambda: grouping.group(self._points()))

    def digits(self):
        """Return each digit as the network sees it, a list of (28,28) uint8, from left to right."""
        return self._computed("digits", self._digits)

    def boxes(self):
        """Return the box (left, top, right, bottom) of each digit's points, from left to right."""
        return self._computed("boxes", lambda: [grouping.box(strokes) for strokes in self._digit_strokes()])

    def _digit_strokes(self):
        points = self._points()
        return [[points[i] for i in indices] for indices in self.groups()]

    def _points(self):
        """Return the strokes as arrays (n,2); those that haven't grown are the same ones as before."""
        return self._computed("points", self._as_arrays)

    def _as_arrays(self):
        before, self._arrays = self._arrays, {}
        for stroke in self.strokes:
            _, array = before.get(id(stroke), (None, ()))
            # The stroke itself is kept too, so that its id stays its own.
            self._arrays[id(stroke)] = stroke, array if len(array) == len(stroke) else np.array(stroke)
        return [self._arrays[id(stroke)][1] for stroke in self.strokes]

    def _digits(self):
        before, self._images = self._images, {}
        for strokes in self._digit_strokes():
            key = tuple(map(id, strokes))  # of arrays, which are kept with their picture
            self._images[key] = before.get(key) or (strokes, raster.mnist_image(strokes))
        return [image for _, image in self._images.values()]

    def _computed(self, name, compute):
        if self._known_at != self.revision:
            self._known.clear()
            self._known_at = self.revision
        if name not in self._known:
            self._known[name] = compute()
        return self._known[name]

    def _wipe(self, point):
        """Move the eraser to a point."""
        start, radius = self._eraser
        self._eraser = point, radius
        left = eraser.erase(self.strokes, start, point, radius)
        if self._erased:  # one step of undo for the whole gesture
            self.revision += left != self.strokes
            self.strokes = left
        elif left != self.strokes:
            self._remember(left)
            self._erased = True

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
