"""The brush of ``imaging/raster.py`` for whole batches, in Numba: it fits each digit into its 20x20 box and draws it.

``fit_box`` is `raster.fit`, ``approach`` is `raster._approach`, ``draw_boxes`` is `raster._box_image` of each digit.
"""

import numpy as np

from numcnn.kernels.arrays import Bytes, Float64s, Ints
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.thread_team import the_team


@kernel
def fit_box(points: Float64s, pen_width: float, box: int, tiny: float) -> None:
    """Scale and move points (n,2) in place so that their ink, pen included, fills box x box pixels."""
    low_x = high_x = points[0, 0]
    low_y = high_y = points[0, 1]
    for i in range(1, len(points)):
        low_x, high_x = min(low_x, points[i, 0]), max(high_x, points[i, 0])
        low_y, high_y = min(low_y, points[i, 1]), max(high_y, points[i, 1])
    extent = max(high_x - low_x, high_y - low_y)
    scale = (box - pen_width) / extent if extent > tiny else 0.0
    for i in range(len(points)):
        points[i, 0] = (points[i, 0] - (low_x + high_x) / 2) * scale + box / 2
        points[i, 1] = (points[i, 1] - (low_y + high_y) / 2) * scale + box / 2


@kernel
def approach(nearest: Float64s, x0: float, y0: float, x1: float, y1: float, reach: float) -> None:
    """Lower ``nearest`` (H,W) to the squared distance from the segment, in its bounding box widened by ``reach``."""
    height, width = nearest.shape
    left = max(0, int(np.floor(min(x0, x1) - reach)))
    right = min(width, int(np.ceil(max(x0, x1) + reach)))
    top = max(0, int(np.floor(min(y0, y1) - reach)))
    bottom = min(height, int(np.ceil(max(y0, y1) + reach)))
    along_x, along_y = x1 - x0, y1 - y0
    length2 = along_x * along_x + along_y * along_y
    inverse = 1 / length2 if length2 > 0 else 0.0
    for row in range(top, bottom):
        y = row + 0.5 - y0
        for column in range(left, right):
            x = column + 0.5 - x0
            along = min(max((x * along_x + y * along_y) * inverse, 0.0), 1.0)
            off_x, off_y = x - along * along_x, y - along * along_y
            nearest[row, column] = min(nearest[row, column], off_x * off_x + off_y * off_y)


@kernel
def draw_boxes(
    first: int,
    last: int,
    points: Float64s,
    stroke_ends: Ints,
    digit_ends: Ints,
    pen_widths: Float64s,
    tiny: float,
    out: Bytes,
) -> None:
    """Draw the digits from ``first`` to before ``last``: see ``box_images``."""
    for n in range(first, last):
        box = out.shape[1]
        radius = pen_widths[n] / 2
        one, end = digit_ends[n], digit_ends[n + 1]
        own = points[stroke_ends[one] : stroke_ends[end]].copy()
        nearest = np.full((box, box), np.inf)
        if len(own) > 0:
            fit_box(own, pen_widths[n], box, tiny)
        for s in range(one, end):
            start, stop = stroke_ends[s] - stroke_ends[one], stroke_ends[s + 1] - stroke_ends[one]
            for i in range(start, max(stop - 1, min(start + 1, stop))):  # one point is a segment of length 0
                j = min(i + 1, stop - 1)
                approach(nearest, own[i, 0], own[i, 1], own[j, 0], own[j, 1], radius + 0.5)
        strongest = 0.0
        for row in range(box):
            for column in range(box):
                ink = max(0.0, min(radius + 0.5 - np.sqrt(nearest[row, column]), 1.0, 2 * radius))
                nearest[row, column] = ink
                strongest = max(strongest, ink)
        scale = 255 / strongest if strongest > 0 else 0.0
        for row in range(box):
            for column in range(box):
                out[n, row, column] = np.uint8(np.rint(scale * nearest[row, column]))


def box_images(
    points: Float64s, stroke_ends: Ints, digit_ends: Ints, pen_widths: Float64s, tiny: float, out: Bytes
) -> None:
    """Draw N digits, each into its own box.  out (N,S,S) uint8, strongest pixel 255; a digit without points is empty.

    points (P,2) of all strokes, joined; stroke s is points[stroke_ends[s]:stroke_ends[s + 1]], digit n the strokes
    digit_ends[n] to digit_ends[n + 1]; pen_widths (N,) in pixels; a digit of size ``tiny`` or less is a dot.
    """

    def task(_: int, first: int, last: int) -> None:
        draw_boxes(first, last, points, stroke_ends, digit_ends, pen_widths, tiny, out)

    the_team().run_parallel(len(out), task, least=64)
