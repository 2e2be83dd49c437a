"""Draw strokes as a grey image: the one brush of this project, for the pad and for generated digits.

A stroke is an (n,2) array of x,y points, y downwards; a digit is a list of strokes.  Pixel [row, col] covers the unit
square with its centre at (col + 0.5, row + 0.5).  Here is the specification, in plain NumPy; ``kernels/fast/brush.py``
is its compiled twin for whole batches.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, DataError, ShapeError
from numcnn.imaging.preprocess import BOX, SIDE, centre_in_28
from numcnn.kernels import get_backend, name_of
from numcnn.kernels.arrays import AnyArray, Bytes, Float64s

Strokes: TypeAlias = Sequence[Float64s]  # one digit: per stroke its points (n,2)
AnyStrokes: TypeAlias = Sequence[npt.ArrayLike]  # the same, as users may write it: [[(0, 0), (50, 80)], ...]

LARGEST = 1e100  # coordinate; squares of larger ones, and of quotients by less than TINY, could overflow
TINY = 1 / LARGEST
THINNEST = 0.5  # pixels; a thinner dot could slip through between the centres of four pixels
PEN_WIDTH = 2.6  # MNIST's median stroke width, in pixels of the 20x20 box
RUN_LENGTH, RUN_SEGMENTS = 8, 256  # pixels and segments drawn at once, for speed


def draw(strokes: AnyStrokes, shape: tuple[int, int] = (28, 28), width: float = PEN_WIDTH) -> Float64s:
    """Draw strokes with a round pen.  strokes list of (n,2), width in pixels -> (H,W) float64, coverage 0..1.

    A stroke of one point is a dot, one of no points draws nothing, and anything outside the image is cut off.
    Where strokes overlap, the maximum counts.  Raises ShapeError, DataError (a coordinate is NaN or infinite),
    ConfigError (the pen's width).
    """
    strokes = check_strokes(strokes)
    radius = _check_pen(width) / 2
    height, columns = shape
    nearest = np.full((height, columns), np.inf)  # squared distance from each pixel's centre to the nearest stroke
    for points in strokes:
        starts, ends = (points[:-1], points[1:]) if len(points) > 1 else (points, points)
        for first, last in _runs(starts, ends, max(width, RUN_LENGTH)):
            _approach(nearest, starts[first:last], ends[first:last], radius + 0.5)
    return coverage(np.sqrt(nearest), radius)


def coverage(distance: AnyArray, radius: float) -> AnyArray:
    """Return how much of a pixel (0..1) is covered by a line of this radius whose middle is at this distance.

    Exact for a straight line along the pixel's grid: the overlap of the pixel [d - 1/2, d + 1/2] with [-r, r].
    """
    return np.clip(radius + 0.5 - distance, 0, min(1, 2 * radius))


def _runs(starts: Float64s, ends: Float64s, length: float) -> Iterable[tuple[int, int]]:
    """Return pairs first, last of segments (n,2), (n,2) to draw together: runs not much longer than `length`.

    A mouse leaves many points per pixel of a small picture.  Then a run's box is hardly larger than each segment's, and
    one call of NumPy handles all of them.
    """
    lengths = np.hypot(*(ends - starts).T)
    new = np.arange(len(lengths)) % RUN_SEGMENTS == 0
    new[1:] |= (np.diff(np.cumsum(lengths) // length) > 0) | (lengths[:-1] > length)
    return pairwise([*np.flatnonzero(new).tolist(), len(lengths)])


def _approach(nearest: Float64s, starts: Float64s, ends: Float64s, reach: float) -> None:
    """Lower `nearest` (H,W) to the squared distance from segments (k,2), (k,2), in their box widened by `reach`."""
    height, width = nearest.shape
    low = np.minimum(starts, ends).min(axis=0) - reach
    high = np.maximum(starts, ends).max(axis=0) + reach
    left, right = (int(v) for v in np.clip([np.floor(low[0]), np.ceil(high[0])], 0, width))
    top, bottom = (int(v) for v in np.clip([np.floor(low[1]), np.ceil(high[1])], 0, height))
    columns, rows = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
    segments = np.ascontiguousarray(starts.T), np.ascontiguousarray((ends - starts).T)
    axis = 0 if len(starts) < right - left else -1  # the longer axis goes last, for NumPy's innermost loop
    if axis == 0:
        (start_x, start_y), (along_x, along_y) = (values[..., None, None] for values in segments)
    else:
        (start_x, start_y), (along_x, along_y) = segments
        columns, rows = columns[:, None], rows[:, None]
    x, y = columns - start_x, rows - start_y
    length2 = along_x**2 + along_y**2
    along = x * along_x + y * along_y
    along /= np.where(length2 > 0, length2, 1)
    np.minimum(np.maximum(along, 0, out=along), 1, out=along)
    distance2 = np.square(x - along * along_x)
    distance2 += np.square(y - along * along_y)
    window = nearest[top:bottom, left:right]
    np.minimum(window, distance2.min(axis=axis), out=window)


def fit(strokes: AnyStrokes, pen_width: float = PEN_WIDTH, box: float = BOX) -> list[Float64s]:
    """Scale and move strokes so that their ink, pen included, fills a box x box square, aspect kept and centred.

    The longer side of the ink is then exactly `box` pixels.  Strokes of no extent become a dot in the middle.
    """
    strokes = check_strokes(strokes)
    pen_width = _check_pen(pen_width, box)
    points = np.concatenate([np.empty((0, 2)), *strokes])
    if len(points) == 0:
        return []
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    scale = (box - pen_width) / extent if extent > TINY else 0.0
    middle = (low + high) / 2
    return [(stroke - middle) * scale + box / 2 for stroke in strokes]


def mnist_image(strokes: AnyStrokes, pen_width: float = PEN_WIDTH) -> Bytes:
    """Prepare strokes as MNIST prepared its scans.  strokes list of (n,2), in any unit -> (28,28) uint8, ink high.

    The ink fits a 20x20 box, the strongest pixel is 255, and `centre_in_28` does the rest.  pen_width counts pixels of
    the result.  No strokes give an empty image.  Raises ShapeError, DataError (NaN or infinity), ConfigError.
    """
    return _centre_those_with_ink(_box_image(strokes, pen_width)[None])[0]


def mnist_images(digits: Sequence[AnyStrokes], pen_width: npt.ArrayLike = PEN_WIDTH, backend: str = "fast") -> Bytes:
    """Prepare many digits as `mnist_image` does.  N lists of strokes, pen_width one or (N,) -> (N,28,28) uint8.

    backend "fast" is compiled and parallel and differs from "reference" by at most one grey level; the number of
    threads doesn't matter.  Raises as `mnist_image` does.
    """
    pen_widths = np.broadcast_to(np.asarray(pen_width, np.float64), (len(digits),))
    boxes = np.empty((len(digits), BOX, BOX), np.uint8)
    if name_of(get_backend(backend)) != "fast":
        for box, strokes, width in zip(boxes, digits, pen_widths, strict=True):
            box[...] = _box_image(strokes, width)
    else:
        from numcnn.kernels.fast import brush  # noqa: PLC0415  (loads Numba)

        for width in pen_widths:
            _check_pen(width, BOX)
        strokes = check_strokes([stroke for digit in digits for stroke in digit])
        points = np.concatenate([np.empty((0, 2)), *strokes])
        stroke_ends = np.cumsum([0, *(len(stroke) for stroke in strokes)])
        digit_ends = np.cumsum([0, *(len(digit) for digit in digits)])
        brush.box_images(points, stroke_ends, digit_ends, pen_widths, TINY, boxes)
    return _centre_those_with_ink(boxes)


def check_strokes(strokes: Iterable[npt.ArrayLike]) -> list[Float64s]:
    """Return strokes as a list of (n,2) float64 arrays.  Raises ShapeError, DataError (not numbers, NaN, infinity)."""
    checked = [_as_points(i, stroke) for i, stroke in enumerate(strokes)]
    for i, points in enumerate(checked):
        if points.size == 0:
            checked[i] = np.empty((0, 2))
        elif points.ndim != 2 or points.shape[1] != 2:
            raise ShapeError(f"stroke {i} has shape {points.shape}: a stroke is an (n,2) array of x,y points")
        elif not (np.abs(points) <= LARGEST).all():  # NaN is not
            raise DataError(
                f"stroke {i} has a coordinate that is NaN, infinite or beyond {LARGEST:g}; wants finite numbers"
            )
    return checked


def _as_points(i: int, stroke: npt.ArrayLike) -> Float64s:
    try:
        return np.asarray(stroke, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"stroke {i} is no list of x,y points, as in [(0, 0), (50, 80)]: {error}") from error


def _check_pen(width: float, limit: float = np.inf) -> float:
    if not THINNEST <= width < limit:
        raise ConfigError(f"the pen's width is {width} pixels: it must be at least {THINNEST} and below {limit:g}")
    return float(width)


def _box_image(strokes: AnyStrokes, pen_width: float) -> Bytes:
    """Draw strokes into the 20x20 box -> (20,20) uint8, strongest pixel 255."""
    ink = draw(fit(strokes, pen_width), (BOX, BOX), pen_width)
    return np.rint(255 / (ink.max() or 1) * ink).astype(np.uint8)


def _centre_those_with_ink(boxes: Bytes) -> Bytes:
    """Centre (N,20,20) -> (N,28,28); a box without ink has no barycentre and stays empty."""
    images = np.zeros((len(boxes), SIDE, SIDE), np.uint8)
    with_ink = boxes.any(axis=(1, 2))
    images[with_ink] = centre_in_28(boxes[with_ink])
    return images
