"""What has been drawn: strokes as points, with eraser, undo and redo, and the pictures the network reads.

No pygame.  Strokes stay points until `raster` draws them at MNIST's size with MNIST's pen: the size of the window, the
size and place of the drawing and the brush on the screen make no difference.
"""

import json
import math
import os
from collections import deque
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, DataError, NumcnnError
from numcnn.files import read_at_most
from numcnn.imaging import raster
from numcnn.kernels.arrays import Bytes, Float64s, Floats
from numcnn.pad import eraser
from numcnn.pad.eraser import Point, Stroke
from numcnn.recognition import grouping
from numcnn.recognition.grouping import Box
from numcnn.recognition.spots import Judge

ERASER = 0.06  # radius, in shorter sides of the sheet
UNDO_STEPS = 1000

# Of a drawing in a file.  A mouse leaves some hundred points for a digit, so this is a sheet of hundreds of digits; to
# draw as many points as a picture takes 1 to 2 s.
MAX_STROKES, MAX_POINTS = 5000, 50_000
MAX_BYTES = 1 << 22  # a point takes 40 at most

Result = TypeVar("Result")


class Canvas:
    """A sheet of width x height pixels, y downwards.

    ``strokes`` is a tuple of lists of (x, y) in the order of writing; a stroke of one point is a dot.  ``revision``
    changes with every change.  Points beyond the edges of the sheet are kept.  `prepared`, `groups`, `lines`, `digits`
    and `boxes` compute their results once a revision: don't modify them.  Digits are in the order of reading: lines
    from top to bottom, in each from left to right.
    """

    def __init__(self, width: float, height: float, judge: Judge | None = None) -> None:
        """Make a blank sheet.  Raises ConfigError for a size that is not a number above 0.

        judge: a network's probabilities of pictures (N,28,28) -> (N,10), such as ``Recognizer.judge``: it is asked
        which strokes make a digit where their positions leave doubt.
        """
        for name, side in (("width", width), ("height", height)):
            if not (isinstance(side, Real) and 0 < float(side) < math.inf):  # NaN is not
                raise ConfigError(f"the canvas's {name} is {side!r}: it must be a number of pixels above 0")
        self.width, self.height = width, height
        self.strokes: tuple[Stroke, ...] = ()
        self.revision = 0
        self._open: Stroke | None = None  # the stroke that is being drawn
        self._eraser: tuple[Point, float] | None = None  # its position and radius while it is down
        self._erased = False  # whether it has removed something since it was put down
        # Earlier and later tuples of strokes.  They share the strokes, so a step of undo takes little memory.
        self._past: deque[tuple[Stroke, ...]] = deque(maxlen=UNDO_STEPS)
        self._future: deque[tuple[Stroke, ...]] = deque(maxlen=UNDO_STEPS)
        self._cache: dict[str, Any] = {}  # what has been computed for the revision `_cached_at`
        self._cached_at = 0
        # Kept from one revision to the next, by the ids of what they are made of, which they hold so that ids stay
        # unique: a stroke as an array, and a digit's arrays as a picture.
        self._arrays: dict[int, tuple[Stroke, Float64s]] = {}
        self._images: dict[tuple[int, ...], tuple[list[Float64s], Bytes]] = {}
        self._judge = judge
        self._judged: dict[tuple[int, ...], tuple[list[Float64s], Bytes, Floats]] = {}  # the picture, its probabilities

    def ask(self, judge: Judge | None) -> None:
        """Ask another network, or none, which strokes make a digit; see ``__init__``."""
        self._judge, self._judged = judge, {}
        self.revision += 1

    def stroke(self, points: npt.ArrayLike) -> None:
        """Add a whole stroke, points (n,2).  No points add nothing.  Raises ShapeError, DataError."""
        checked = _checked(points)
        self.end()
        if checked:
            self._remember((*self.strokes, checked))

    def begin(self, x: float, y: float) -> None:
        """Put the pen down.  Raises DataError, as `extend` does, for a coordinate that is NaN or infinite."""
        self.stroke([(x, y)])
        self._open = self.strokes[-1]

    def extend(self, x: float, y: float) -> None:
        """Move the pen or the eraser; nothing happens while both are up."""
        point = float(x), float(y)
        if not (abs(point[0]) <= raster.LARGEST and abs(point[1]) <= raster.LARGEST):  # NaN is not
            _checked([point])  # raises
        if self._open is not None and point != self._open[-1]:
            self._open.append(point)
            self.revision += 1
        elif self._eraser is not None:
            self._wipe(*self._eraser, point)

    def end(self) -> None:
        """Lift the pen or the eraser."""
        self._open = self._eraser = None

    @property
    def drawing(self) -> bool:
        """Whether the pen is down."""
        return self._open is not None

    @property
    def erasing(self) -> bool:
        """Whether the eraser is down."""
        return self._eraser is not None

    def begin_erase(self, x: float, y: float, radius: float | None = None) -> None:
        """Put the eraser down: until `end` it removes ink within ``radius``, all as one step of `undo`.

        Raises DataError for a coordinate that is NaN or infinite, ConfigError for a radius that is not above 0.
        """
        (point,) = _checked([(x, y)])
        radius = ERASER * min(self.width, self.height) if radius is None else radius
        if not 0 < radius <= raster.LARGEST:
            raise ConfigError(f"the eraser's radius is {radius}: it must be a number above 0")
        self.end()
        self._erased = False
        self._wipe(point, radius, point)

    def erase(self, points: npt.ArrayLike, radius: float | None = None) -> None:
        """Remove ink within ``radius`` of the line through points (n,2); a stroke that is cut in two becomes two.

        One step of `undo`.  Raises as `begin_erase` does.
        """
        checked = _checked(points)
        if checked:
            self.begin_erase(*checked[0], radius)
            for point in checked[1:]:
                self.extend(*point)
        self.end()

    def clear(self) -> None:
        """Remove all strokes; `undo` restores them."""
        self.end()
        if self.strokes:
            self._remember(())

    def undo(self) -> None:
        """Undo the last stroke, erasure or clearing, if there is one; the last thousand are kept."""
        self._step(self._past, self._future)

    def redo(self) -> None:
        """Redo what was undone last, unless something has changed since."""
        self._step(self._future, self._past)

    def prepared(self) -> Bytes | None:
        """Return all ink as one digit as the network sees it, (28,28), or None if nothing is drawn."""
        return self._cached("prepared", lambda: raster.mnist_image(self._points()) if self.strokes else None)

    def groups(self) -> list[tuple[int, ...]]:
        """Return the indices of each digit's strokes."""
        return self._cached("groups", lambda: [digit for line in self._grouped() for digit in line])

    def lines(self) -> list[int]:
        """Return for each digit on which line it is: 0, 1, ..."""
        return [number for number, line in enumerate(self._grouped()) for _ in line]

    def digits(self) -> list[Bytes]:
        """Return each digit as the network sees it, (28,28)."""
        return self._cached("digits", self._digits)

    def boxes(self) -> list[Box]:
        """Return the bounding box of each digit's points."""
        return self._cached("boxes", lambda: [grouping.box(strokes) for strokes in self._digit_strokes()])

    def _grouped(self) -> list[list[tuple[int, ...]]]:
        return self._cached("lines", self._group)

    def _group(self) -> list[list[tuple[int, ...]]]:
        """Group the strokes; keep what the network said of those that it was asked about again."""
        points, before = self._points(), self._judged
        self._judged = {}

        def read(groups: Sequence[tuple[int, ...]]) -> Floats:
            assert self._judge is not None
            strokes = [[points[i] for i in group] for group in groups]
            keys = [tuple(map(id, some)) for some in strokes]
            new = [k for k, key in enumerate(keys) if key not in self._judged and key not in before]
            images = [self._image(keys[k], strokes[k]) for k in new]
            said = zip(new, images, self._judge(np.stack(images)), strict=True) if new else ()
            self._judged |= {keys[k]: (strokes[k], image, probabilities) for k, image, probabilities in said}
            self._judged |= {key: before[key] for key in keys if key not in self._judged}
            return np.stack([self._judged[key][2] for key in keys])

        return grouping.group_lines(points, read if self._judge else None)

    def _digit_strokes(self) -> list[list[Float64s]]:
        points = self._points()
        return [[points[i] for i in indices] for indices in self.groups()]

    def _points(self) -> list[Float64s]:
        """Return the strokes as arrays (n,2); a stroke that hasn't grown keeps its array."""
        return self._cached("points", self._as_arrays)

    def _as_arrays(self) -> list[Float64s]:
        before, self._arrays = self._arrays, {}
        for stroke in self.strokes:
            _, array = before.get(id(stroke), (None, np.empty(0)))
            self._arrays[id(stroke)] = stroke, array if len(array) == len(stroke) else np.array(stroke)
        return [self._arrays[id(stroke)][1] for stroke in self.strokes]

    def _digits(self) -> list[Bytes]:
        strokes = self._digit_strokes()
        keys = [tuple(map(id, some)) for some in strokes]
        self._images = {key: (some, self._image(key, some)) for key, some in zip(keys, strokes, strict=True)}
        return [image for _, image in self._images.values()]

    def _image(self, key: tuple[int, ...], strokes: list[Float64s]) -> Bytes:
        """Return what the network sees of some strokes, drawn only if neither a digit nor a judge needed it before."""
        known = self._images.get(key) or self._judged.get(key)
        return known[1] if known else raster.mnist_image(strokes)

    def _cached(self, name: str, compute: Callable[[], Result]) -> Result:
        if self._cached_at != self.revision:
            self._cache.clear()
            self._cached_at = self.revision
        if name not in self._cache:
            self._cache[name] = compute()
        return self._cache[name]

    def _wipe(self, start: Point, radius: float, end: Point) -> None:
        """Move the eraser from one point to another."""
        self._eraser = end, radius
        left = eraser.erase(self.strokes, start, end, radius)
        if self._erased:  # one step of undo for the whole gesture
            self.revision += left != self.strokes
            self.strokes = left
        elif left != self.strokes:
            self._remember(left)
            self._erased = True

    def _remember(self, strokes: tuple[Stroke, ...]) -> None:
        self._past.append(self.strokes)
        self._future.clear()
        self.strokes = strokes
        self.revision += 1

    def _step(self, source: deque[tuple[Stroke, ...]], target: deque[tuple[Stroke, ...]]) -> None:
        self.end()
        if source:
            target.append(self.strokes)
            self.strokes = source.pop()
            self.revision += 1


def _checked(points: npt.ArrayLike) -> Stroke:
    """Return points as a list of (x, y) floats, after the brush's own checks."""
    (array,) = raster.check_strokes([points])
    return [(x, y) for x, y in array.tolist()]


def read_strokes(path: str | os.PathLike[str]) -> list[Float64s]:
    """Read strokes from a JSON file: a list of strokes, each a list of [x, y].  Raises DataError, with the path."""
    text = read_at_most(path, MAX_BYTES, "name a strokes file")
    try:
        strokes = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: it is not a JSON file ({error})") from error
    try:
        return strokes_from_json(strokes)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def strokes_from_json(value: object) -> list[Float64s]:
    """Return the strokes, a list of (n,2) arrays, in a value from a JSON file.  Raises DataError."""
    if not (isinstance(value, list) and all(isinstance(s, list) and all(map(_is_point, s)) for s in value)):
        raise DataError("expected a list of strokes, each a list of points [x, y], as in [[[0, 0], [50, 80]]]")
    if len(value) > MAX_STROKES or sum(map(len, value)) > MAX_POINTS:
        raise DataError(f"more than {MAX_STROKES:,} strokes or {MAX_POINTS:,} points are too many to draw")
    try:
        return raster.check_strokes(value)
    except (NumcnnError, OverflowError) as error:
        raise DataError(str(error)) from error


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
