"""Generated digits: the ways people write 0-9 as pen strokes, and how their hands vary them.

`GLYPHS` holds the ways of writing as control points, `_Writers` the ways in which people differ.
`raster.mnist_images` draws them and prepares them like MNIST.  Nothing here is copied from anybody's data.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numcnn.errors import ConfigError
from numcnn.imaging import raster
from numcnn.kernels.arrays import Bools, Bytes, Float64s, Ints

CHUNK = 2000  # images drawn from one random stream, so that image i does not depend on how many there are
THICKNESS = 0.25  # standard deviation of the pen width's logarithm
LEAST_PEN, MOST_PEN = 1.4, 4.6  # pixels, around raster.PEN_WIDTH
FLAT = 0.04  # fraction of people who write wide, flat digits
SAMPLES = 7  # points along the curve from one control point to the next


class Glyph(NamedTuple):
    """One way of writing a digit: its weight among that digit's ways, and its strokes as control points.

    The box is 100 x 100, y downwards.  "x,y" is a point on a smooth curve, "x,y!" a corner, "/" lifts the pen.
    """

    digit: int
    name: str
    weight: float
    path: str

    def strokes(self) -> list[tuple[Float64s, Bools]]:
        """Return per stroke its control points (n,2) and which of them are corners (n,)."""
        strokes: list[tuple[Float64s, Bools]] = []
        for part in self.path.split("/"):
            points = part.split()
            xy = [point.rstrip("!").split(",") for point in points]
            strokes.append((np.array(xy, np.float64) / 100, np.array([point.endswith("!") for point in points])))
        return strokes


GLYPHS = (
    Glyph(0, "oval from the top", 4, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0"),
    Glyph(0, "oval from the right", 3, "80,12 46,0 15,22 5,58 22,90 52,100 84,82 96,46 78,10"),
    Glyph(0, "oval from the left", 2, "14,20 4,55 20,90 52,100 86,82 96,45 78,10 45,0 14,22"),
    Glyph(0, "open at the top", 2, "36,2 12,24 4,58 20,90 50,100 80,88 96,55 88,20 62,2"),
    Glyph(0, "pointed", 2, "70,0 38,22 8,68 14,94 48,100 84,80 94,40 72,2"),
    Glyph(0, "curled end", 2, "62,5 25,15 4,52 20,90 52,100 86,85 96,46 82,14 56,3 42,16 58,28"),
    Glyph(0, "lid across", 1.5, "84,2 50,8 18,20 4,58 22,92 52,100 84,84 92,48 74,22 44,14 20,16"),
    Glyph(0, "ends crossing", 1.5, "88,2 60,6 16,26 4,60 24,94 54,99 84,82 94,44 78,14 46,2"),
    Glyph(0, "slashed", 0.7, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0 / 86,6 14,94"),
    Glyph(0, "slash beyond the loop", 1.2, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0 / 110,-14 -10,114"),
    Glyph(0, "slash beyond the top", 0.6, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0 / 110,-12 26,76"),
    Glyph(0, "slash beyond the foot", 0.5, "80,12 46,0 15,22 5,58 22,90 52,100 84,82 96,46 78,10 / 72,26 -10,112"),
    Glyph(0, "slash in one stroke", 0.5, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 86,10! 12,96"),
    Glyph(0, "slash the other way", 0.2, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0 / -8,-8 108,108"),
    Glyph(0, "level bar", 0.5, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0 / -12,54 112,48"),
    Glyph(0, "level bar inside", 0.3, "80,12 46,0 15,22 5,58 22,90 52,100 84,82 96,46 78,10 / 14,54 86,50"),
    Glyph(0, "upright bar", 0.4, "50,0 18,16 4,52 18,86 50,100 82,86 96,50 82,14 48,0 / 54,-14 48,114"),
    Glyph(1, "bare", 8, "50,0 50,50 50,100"),
    Glyph(1, "hooked", 1, "46,2 50,30 48,70 56,98"),
    Glyph(1, "flag", 2, "28,22 52,0! 52,50 52,100"),
    Glyph(1, "long flag", 1, "14,42 54,0! 52,50 50,100"),
    Glyph(1, "flag and foot", 1.5, "22,26 52,0! 52,50 52,100 / 18,100 86,100"),
    Glyph(1, "hooked flag", 0.7, "8,24 12,36 32,28 64,2! 58,50 48,100"),
    Glyph(1, "long flag and wide foot", 1.2, "8,44 54,0! 54,50 54,100 / -4,101 108,99"),
    Glyph(1, "long flag and foot in one stroke", 0.4, "10,40 54,0! 54,50 52,97! 6,99! 50,101 104,98"),
    Glyph(1, "hook at the foot", 0.7, "48,0 48,60 54,94 80,88"),
    Glyph(1, "hook at the foot, to the left", 0.4, "54,0 54,60 48,95 22,90"),
    Glyph(1, "flag and hook", 0.3, "26,24 52,0! 50,60 54,95 78,90"),
    Glyph(1, "level", 0.3, "0,50 50,50 100,50"),
    Glyph(1, "lying", 0.5, "96,8 50,50 4,92"),
    Glyph(1, "falling", 0.2, "14,0 50,50 86,100"),
    Glyph(2, "straight foot", 3, "10,24 32,3 66,2 84,24 68,56 36,80 6,98! 50,96 96,97"),
    Glyph(2, "looped foot", 4, "12,22 38,2 72,5 82,28 62,60 30,92 10,92 14,76 40,78 66,92 98,88"),
    Glyph(2, "large loop", 4, "14,18 42,0 74,10 76,40 56,76 26,98 4,86 14,64 44,70 70,88 92,100"),
    Glyph(2, "loop right under the head", 2, "20,14 46,0 74,14 74,50 58,84 30,100 8,86 20,62 52,62 96,58"),
    Glyph(2, "wavy foot", 2, "12,24 36,2 74,6 80,34 44,72 8,96 34,88 62,96 96,88"),
    Glyph(2, "round corner", 2.5, "8,12 36,2 72,6 74,26 34,62 12,88 40,98 100,86"),
    Glyph(2, "long foot", 2, "8,20 28,3 54,8 52,40 30,72 6,92! 50,90 120,84"),
    Glyph(2, "like a Z", 1.5, "6,10 45,6 84,8! 42,52 6,94! 50,92 96,94"),
    Glyph(2, "flat shoulder", 2, "6,14 45,3 84,12 70,42 38,70 8,96! 50,92 96,94"),
    Glyph(2, "curled start", 2, "36,34 18,28 26,5 64,1 82,26 62,62 6,98! 50,94 96,96"),
    Glyph(2, "curled start and loop", 1.5, "34,36 14,28 26,4 64,0 82,26 62,66 26,96 6,86 18,70 46,76 92,96"),
    Glyph(2, "flat loop", 1.5, "10,22 36,2 74,6 80,32 46,74 12,92 6,84 32,82 64,93 104,92"),
    Glyph(2, "large flat loop", 0.7, "8,18 38,0 76,8 76,38 40,80 8,98 -6,86 22,80 60,96 110,96"),
    Glyph(3, "round", 5, "8,16 38,0 76,8 76,32 42,46! 80,56 88,78 60,99 24,98 4,84"),
    Glyph(3, "smooth waist", 2, "8,16 38,0 76,8 74,34 48,46 78,58 88,78 60,99 24,98 4,84"),
    Glyph(3, "looped waist", 2, "10,16 42,0 80,12 66,38 38,50 36,42 62,46 90,66 74,96 34,100 4,86"),
    Glyph(3, "shallow waist", 2, "14,10 46,0 78,14 74,36 60,46! 78,58 80,80 54,99 10,96"),
    Glyph(3, "small head", 2, "26,10 50,0 72,10 66,26 42,38! 82,48 92,72 66,98 30,100 2,88"),
    Glyph(3, "flat top", 1.5, "8,5 45,4 82,4! 42,40! 80,52 88,78 58,100 22,97 2,84"),
    Glyph(3, "short tail", 1.5, "8,12 44,0 78,8 70,32 40,46! 76,52 90,72 78,92 56,100"),
    Glyph(4, "open, two strokes", 4, "22,2 12,30 8,56! 50,56 96,54 / 74,4 72,50 70,100"),
    Glyph(4, "open, round corner", 3, "20,2 10,34 18,56 50,58 90,52 / 78,2 72,50 66,100"),
    Glyph(4, "open, one stroke", 3, "16,4 10,40 28,58 62,52 84,4! 78,50 70,100"),
    Glyph(4, "closed, one stroke", 1.5, "94,68 50,68 6,66! 36,34 68,0! 66,50 66,100"),
    Glyph(4, "closed, two strokes", 1.5, "66,0 36,34 6,64! 50,66 96,66 / 66,2 66,50 66,100"),
    Glyph(4, "leaning, low stem", 2, "42,0 24,30 6,60! 50,56 98,52 / 72,26 64,62 54,100"),
    Glyph(4, "looped corner", 0.7, "38,2 18,36 4,62 16,66 30,52 60,50 98,46 / 74,10 68,56 60,100"),
    Glyph(4, "loop before the stem", 1.2, "18,2 6,48 34,62 78,50 88,20 74,8 66,44 60,100"),
    Glyph(4, "loop at the corner, one stroke", 0.5, "24,0 6,58 16,66 26,54 60,52 82,6! 76,50 68,100"),
    Glyph(4, "short stem", 0.8, "22,2 12,30 8,56! 50,56 96,54 / 68,38 66,58 64,82"),
    Glyph(4, "stem from the bar down", 0.6, "22,2 12,30 8,56! 50,56 94,53 / 70,50 66,74 62,100"),
    Glyph(4, "short crossing stem", 0.5, "20,0 8,60! 50,60 98,56 / 70,46 66,60 64,74"),
    Glyph(5, "one stroke", 3, "90,2 58,3 30,4! 22,42! 56,36 86,58 78,90 42,100 4,90"),
    Glyph(5, "two strokes", 3, "30,4 26,24 20,44! 56,38 86,60 76,92 40,100 4,90 / 30,4 60,3 94,1"),
    Glyph(5, "like an S", 3, "90,5 54,3 28,16 34,40 72,58 80,84 44,100 6,90"),
    Glyph(5, "small head", 1.5, "84,0 56,6 38,10! 32,30! 62,28 88,52 82,86 44,100 4,84"),
    Glyph(5, "long bar", 2, "40,8 32,26 28,42! 56,44 68,64 54,92 28,100 4,88 / 40,8 80,6 120,0"),
    Glyph(5, "round bowl", 1.5, "86,2 36,4! 26,40! 58,32 88,54 82,88 48,100 18,90 12,70"),
    Glyph(5, "low bowl", 1.5, "90,4 50,2 26,8! 24,52! 52,48 72,66 66,92 38,100 14,92"),
    Glyph(5, "detached bar", 1.5, "28,10 24,28 20,46! 56,40 84,62 74,92 40,100 6,90 / 40,2 68,1 98,0"),
    Glyph(5, "short bar apart", 1.2, "28,10 24,28 22,44! 56,40 82,62 74,90 44,100 8,92 / 32,6 46,4 60,3"),
    Glyph(5, "short bar above", 0.6, "30,16 24,32 22,46! 56,42 84,64 76,92 44,102 8,92 / 36,-4 54,-6 72,-8"),
    Glyph(5, "no bar", 1.2, "32,2 26,24 24,42! 58,38 84,60 76,90 44,100 8,90"),
    Glyph(6, "straight", 4, "62,0 34,30 14,66 26,96 60,98 80,74 56,56 18,76"),
    Glyph(6, "curled", 2, "82,12 56,0 20,26 4,66 28,98 68,97 82,72 54,54 10,72"),
    Glyph(6, "loop inside", 2, "64,0 30,28 8,66 24,97 62,96 78,70 54,56 32,74 46,88"),
    Glyph(6, "small loop", 3, "50,0 22,34 6,74 30,98 70,98 94,78 80,62 58,70 50,94"),
    Glyph(6, "wide bowl", 2, "34,0 10,36 8,78 40,100 84,92 98,64 76,48 54,64 52,88"),
    Glyph(6, "like a b", 2, "30,0 18,34 12,70 28,98 66,96 82,72 58,54 16,76"),
    Glyph(6, "loop through the stem", 1.5, "58,0 26,34 8,74 24,98 58,96 76,74 56,58 26,76 6,104"),
    Glyph(7, "plain", 4, "6,8 46,6 90,4! 62,50 38,100"),
    Glyph(7, "round shoulder", 3, "6,10 52,1 86,10 66,52 44,100"),
    Glyph(7, "serif", 3, "8,24 12,6! 50,6 90,4! 64,50 44,100"),
    Glyph(7, "long serif", 1, "10,38 16,8! 50,8 88,4! 76,50 70,100"),
    Glyph(7, "wavy bar", 1, "2,30 14,10 50,14 92,2! 60,50 34,100"),
    Glyph(7, "barred", 2, "6,8 46,6 90,4! 62,50 38,100 / 24,52 80,48"),
    Glyph(7, "serif and bar", 1.5, "8,24 12,6! 50,6 90,4! 64,50 44,100 / 26,54 88,50"),
    Glyph(7, "hooked stem", 1, "6,10 48,6 86,6! 60,44 44,80 62,100"),
    Glyph(7, "bar joins the stem", 1.2, "6,8 48,6 92,4! 62,52 42,98 24,76 44,54 86,50"),
    Glyph(7, "bar joins the stem, sharply", 0.7, "8,10 50,6 90,5! 62,50 44,100! 22,56! 54,52 84,49"),
    Glyph(7, "serif and hooked stem", 0.2, "8,26 12,8! 50,8 90,6! 62,50 44,96 62,100 78,88"),
    Glyph(8, "one stroke, from the right", 5, "78,12 50,0 22,18 46,44 78,70 56,99 24,92 20,72 50,46 82,14"),
    Glyph(8, "long tail", 2, "88,10 50,2 18,18 44,42 72,68 52,98 22,90 24,68 60,40 104,0"),
    Glyph(8, "straight return", 2, "80,12 46,0 18,16 40,44 70,68 56,98 22,94 34,62 84,6"),
    Glyph(8, "open to the right", 2, "84,8 48,2 24,16 42,40 64,64 48,98 18,96 16,74 46,50 92,30"),
    Glyph(8, "slim foot", 0.7, "84,6 48,0 14,18 34,42 66,56 68,84 50,100 32,86 44,56 76,30 86,4"),
    Glyph(8, "small head", 1, "66,12 50,0 34,14 50,32 88,66 60,100 14,88 20,56 52,32 68,10"),
    Glyph(8, "one stroke, from the left", 2, "22,12 50,0 78,18 54,44 22,70 44,99 76,92 80,72 50,46 20,14"),
    Glyph(8, "from the waist", 2, "50,46 22,24 48,0 78,22 50,46 20,74 48,100 82,76 50,46"),
    Glyph(8, "two circles", 2, "50,0 22,12 24,36 50,46 76,36 78,12 50,0 / 50,46 16,60 16,90 50,100 84,90 84,60 50,46"),
    Glyph(8, "open foot", 0.7, "20,100 36,70 72,26 60,2 30,4 28,28 66,70 86,98"),
    Glyph(8, "open at the foot", 0.7, "42,40 52,10 82,0 92,18 62,44 68,76 52,99 24,98 10,78 22,62"),
    Glyph(9, "straight stem", 4, "82,14 48,0 14,18 20,46 54,44 82,14! 78,56 72,100"),
    Glyph(9, "open top", 3, "66,6 26,10 10,36 40,50 78,30 88,0! 78,50 64,100"),
    Glyph(9, "flag beyond the stem", 1.5, "90,6 48,2 14,26 28,46 58,40 76,20! 70,54 56,100"),
    Glyph(9, "round into the stem", 3, "78,22 50,0 16,16 18,46 50,50 76,26 80,56 72,100"),
    Glyph(9, "small loop", 2.5, "76,12 50,0 24,12 26,32 52,34 76,10! 72,54 58,100"),
    Glyph(9, "large loop", 2, "86,8 42,0 4,26 14,62 54,60 84,12! 88,56 90,100"),
    Glyph(9, "loop left open", 1.5, "62,10 30,6 8,30 26,50 60,38 82,10! 82,56 88,100"),
    Glyph(9, "curled stem", 1.5, "80,14 46,0 14,18 20,46 54,46 82,16 84,62 62,98 24,94"),
    Glyph(9, "like a g", 1, "78,6 40,0 18,20 30,44 62,38 78,8! 84,62 70,96 36,100 4,88"),
    Glyph(9, "loop first, stem apart", 1, "50,0 14,12 16,42 50,50 76,34 76,10 48,0 / 80,6 78,54 70,100"),
    Glyph(9, "small loop, curled tail", 1.5, "66,8 48,2 36,14 48,28 66,20 68,8 70,34 84,62 72,92 40,99 4,96"),
    Glyph(9, "tiny loop, long tail", 1, "60,8 48,3 42,12 52,20 62,12 60,4 66,36 72,70 56,96 28,100"),
    Glyph(9, "curled loop, bent tail", 1.2, "66,16 54,24 42,14 52,2 68,4 74,22 74,50 60,84 30,100 8,88"),
    Glyph(9, "loop curled inside", 0.7, "56,22 46,12 30,14 26,32 46,42 68,28 72,8 76,44 72,76 44,100 14,94"),
    Glyph(9, "loop open on the left", 1, "44,46 18,42 12,18 38,0 74,6 84,30 80,62 72,100"),
    Glyph(9, "loop open to the stem", 0.7, "68,14 40,2 14,14 10,36 34,50 64,42 / 74,4 73,50 68,100"),
)


def generate(n: int, seed: int, *, backend: str = "fast") -> tuple[Bytes, Bytes]:
    """Generate digits, prepared like MNIST -> images (n,28,28) uint8, labels (n,) uint8.

    Every ten in a row hold each digit once, in random order.  The same seed, a whole number from 0, gives the same
    bytes with any number of threads, and image i does not depend on n.  backend is that of `raster.mnist_images`.
    Raises ConfigError.
    """
    for name, value in (("n", n), ("seed", seed)):
        if not isinstance(value, (int, np.integer)) or value < 0:
            raise ConfigError(f"{name} is {value!r}: it must be a whole number, 0 or more")
    images = np.empty((n, 28, 28), np.uint8)
    labels = np.empty(n, np.uint8)
    for start in range(0, n, CHUNK):
        rng = np.random.default_rng([seed, start // CHUNK])
        chunk_labels = rng.permuted(np.tile(np.arange(10), (CHUNK // 10, 1)), axis=1).ravel()
        digits, pens = _write_labels(chunk_labels, rng)
        count = min(CHUNK, n - start)
        images[start : start + count] = raster.mnist_images(digits[:count], pens[:count], backend)
        labels[start : start + count] = chunk_labels[:count]
    return images, labels


def digit_strokes(label: int, rng: np.random.Generator) -> list[Float64s]:
    """Write one digit -> list of strokes (n,2): x,y with y downwards, about 1 high, around 0.  Raises ConfigError."""
    if label not in range(10):
        raise ConfigError(f"label is {label!r}: it must be a digit, 0 to 9")
    return _write_labels(np.array([label]), rng)[0][0]


def _write_labels(labels: Ints, rng: np.random.Generator) -> tuple[list[list[Float64s]], Float64s]:
    """Write digits (N,) -> N lists of strokes, and pen widths (N,) in MNIST's pixels, in randomly drawn ways."""
    way = np.empty(len(labels), int)
    for digit in np.unique(labels):
        ways = [i for i, glyph in enumerate(GLYPHS) if glyph.digit == digit]
        weights = np.array([GLYPHS[i].weight for i in ways])
        mine = np.flatnonzero(labels == digit)
        way[mine] = rng.choice(ways, len(mine), p=weights / weights.sum())
    return write(GLYPHS, way, rng)


def pen_widths(count: int, rng: np.random.Generator) -> Float64s:
    """Draw random pen widths (count,) in pixels, distributed like MNIST's."""
    return np.clip(raster.PEN_WIDTH * np.exp(THICKNESS * rng.standard_normal(count)), LEAST_PEN, MOST_PEN)


def write(glyphs: Sequence[Glyph], which: Ints, rng: np.random.Generator) -> tuple[list[list[Float64s]], Float64s]:
    """Write glyphs[i] for each i of ``which`` (N,), each in another hand -> N lists of strokes, pen widths (N,).

    The widths are in MNIST's pixels.  For speed, all digits of one glyph are written together.
    """
    written: list[list[Float64s]] = [[] for _ in which]
    pens = np.empty(len(which))
    for i in np.unique(which):
        mine = np.flatnonzero(which == i)
        strokes, pens[mine] = _write(glyphs[i], _Writers(len(mine), rng))
        for k, own in zip(mine, zip(*strokes, strict=True), strict=True):
            written[k] = list(own)
    return written, pens


class _Writers:
    """``count`` people, each with random habits of writing.  Lengths are in heights of a digit."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.count, self.rng = count, rng
        # Of the pen's path.
        self.care = 0.027 * np.exp(self.spread(0.4, 1, 1))  # how far control points are off
        self.roundness = 1 + self.spread(0.2, 1)  # of curves: 1 is Catmull-Rom
        self.corner_roundness = rng.uniform(0, 0.7, (count, 1))
        # Of the whole digit.
        self.waist = self.spread(0.08, 1)  # the middle moves down
        self.top_heaviness = self.spread(0.18, 1)  # the top is wider than the foot
        self.bow = self.spread(0.06, 1)  # the middle moves right
        # Four waves in random directions: radians per height along x and y, phase, shift of x and y.
        self.waves = [[self.spread(deviation, 1) for deviation in (4, 4, 3, 0.03, 0.03)] for _ in range(4)]
        self.width = 0.75 * np.exp(self.spread(0.28, 1))
        self.width = np.where(rng.random((count, 1)) < FLAT, self.width * rng.uniform(1.5, 2.6, (count, 1)), self.width)
        self.slant = 0.15 + self.spread(0.28, 1)  # most people lean to the right
        self.turn = self.spread(0.08, 1)  # radians, clockwise
        self.pen = np.exp(self.spread(0.26))

    def spread(self, deviation: float, *shape: int) -> Float64s:
        """Draw normally distributed numbers (count, *shape) with this standard deviation."""
        return deviation * self.rng.standard_normal((self.count, *shape))

    def bend(self, points: Float64s) -> Float64s:
        """Bend the digit's plane, so that strokes that touch still do.  points (count,P,2) in 0..1."""
        x, y = points[..., 0] - 0.5, points[..., 1] - 0.5
        for along_x, along_y, phase, by_x, by_y in self.waves:
            wave = np.sin(along_x * x + along_y * y + phase)
            x, y = x + by_x * wave, y + by_y * wave
        arch = np.cos(np.pi * y)
        x = x * (1 - 2 * self.top_heaviness * y) + self.bow * arch
        y = y + self.waist * arch
        x = self.width * x - self.slant * y
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)

    def pen_widths(self, digit: int) -> Float64s:
        """Return pen widths (count,) in pixels: MNIST's spread, but none that fills the digit's loops."""
        if digit == 1:
            return np.clip(2.5 * self.pen * np.exp(self.spread(0.15)), 1.2, 7)
        across = (self.width / np.hypot(1, self.slant))[:, 0]
        return np.clip(np.minimum(2.5 * self.pen, 6 * across), 1.2, 6)


def _write(glyph: Glyph, writers: _Writers) -> tuple[list[Float64s], Float64s]:
    """Write the glyph in each writer's hand -> one array (count, points, 2) per stroke, and pen widths (count,)."""
    strokes: list[Float64s] = []
    for points, corners in glyph.strokes():
        control = points + writers.care * writers.spread(1, *points.shape)
        if strokes:  # the pen was lifted, and lands a little off
            control += writers.spread(0.03, 1, 2)
        for end, inner in ((0, 1), (-1, -2)):  # strokes begin and end early or late
            control[:, end] += (0.02 + writers.spread(0.08, 1)) * (control[:, end] - control[:, inner])
        path = curve(control, np.where(corners, writers.corner_roundness, writers.roundness))
        strokes.append(writers.bend(path + _tremor(path.shape[1], writers)))
    return strokes, writers.pen_widths(glyph.digit)


def curve(control: Float64s, roundness: Float64s) -> Float64s:
    """Return a smooth curve through control points (N,K,2) -> (N, (K-1)*SAMPLES+1, 2).

    Cubic Hermite pieces; the tangents are Catmull-Rom's times roundness (N,K), 0 makes a corner.
    """
    tangents = np.empty_like(control)
    tangents[:, 1:-1] = (control[:, 2:] - control[:, :-2]) / 2
    # At the ends the curve runs out straight, as a natural spline does: 0 = p'' = 6 chord - 4 end tangent - 2 inner.
    for end, inner, sign in ((0, 1, 1), (-1, -2, -1)):
        chord = sign * (control[:, inner] - control[:, end])
        tangents[:, end] = chord if control.shape[1] == 2 else 1.5 * chord - tangents[:, inner] / 2
    tangents *= roundness[..., None]
    t = (np.arange(SAMPLES) / SAMPLES)[:, None]
    p0, p1, m0, m1 = (a[:, :, None] for a in (control[:, :-1], control[:, 1:], tangents[:, :-1], tangents[:, 1:]))
    pieces = p0 + (3 * t**2 - 2 * t**3) * (p1 - p0) + (t**3 - 2 * t**2 + t) * m0 + (t**3 - t**2) * m1
    return np.concatenate([pieces.reshape(len(control), -1, 2), control[:, -1:]], axis=1)


def _tremor(length: int, writers: _Writers) -> Float64s:
    """Return a tremor of the hand (count,length,2): a few sine waves along the stroke, the slow ones larger."""
    along = np.arange(length)[:, None] / SAMPLES
    tremor = np.zeros((writers.count, length, 2))
    for speed, amount in ((0.5, 0.03), (1.2, 0.015), (3, 0.006)):
        tremor += writers.spread(amount, 1, 2) * np.sin(speed * along)
        tremor += writers.spread(amount, 1, 2) * np.cos(speed * along)
    return tremor
