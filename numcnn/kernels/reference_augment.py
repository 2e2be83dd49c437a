"""The arithmetic of augmentation in plain NumPy: the specification.  ``fast.augment`` is its compiled twin.

``numcnn.data.augmentation`` says how strongly pictures are changed, and what for.  A picture's changes depend on its
random numbers alone, and these on a key and a counter (Widynski 2020): the same in any order, on any number of threads.
"""

import math
from typing import Any, TypeAlias

import numpy as np

from numcnn.kernels.arrays import AnyArray, Floats, Ints, Pair

# The fields of ``data.augmentation.Augmentation``, which the kernels read but don't import.
Strengths: TypeAlias = Any

# The layout of a picture's random numbers: one for each single change, three for each point of the lattice (the
# elastic's rows, its columns, the light), and one for each pixel's noise.
ROTATION, SCALE, STRETCH, SHEAR, SHIFT_X, SHIFT_Y, THICKNESS, CONTRAST = range(8)
LIGHT, NOISE, CUT, CUT_X, CUT_Y, TURN = range(8, 14)
LATTICE = 14

# Pixels between the points of the lattice that smooth fields are made from.  A cubic B-spline between them smooths like
# Simard's Gaussian of 4 pixels (Simard, Steinkraus & Platt 2003).
SPACING = 7

# A patch in which the ink is lost is smaller than an inverted one, by this factor: a lost loop makes another digit.
LOST = 0.5

# Root mean square of the elastic's displacement when the lattice's numbers are uniform in -1 to 1.
LATTICE_RMS = 0.277


def random_numbers(key: np.uint64, counters: AnyArray) -> Floats:
    """Return a number in [0, 1) for each counter (any shape, uint64), float32: Widynski's "squares", four rounds."""
    with np.errstate(over="ignore"):
        half = np.uint64(32)
        x = y = counters * key
        z = y + key
        for add in (y, z, y):
            x = x * x + add
            x = (x >> half) | (x << half)
        bits = (x * x + z) >> half
    return (bits >> np.uint64(8)).astype(np.float32) * np.float32(2**-24)


def numbers_each(shape: Pair) -> int:
    """Return how many random numbers a picture of this shape (H, W) has."""
    H, W = shape
    return LATTICE + 3 * _lattice_points(H) * _lattice_points(W) + H * W


def _lattice_points(size: int) -> int:
    return -(-size // SPACING) + 3


def spline_weights(size: int) -> Floats:
    """Return the cubic B-spline's weights (size, points): of each lattice point for each of ``size`` pixels."""
    weights = np.zeros((size, _lattice_points(size)), np.float32)
    for pixel in range(size):
        cell, t = pixel // SPACING, pixel % SPACING / SPACING
        four = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
        weights[pixel, cell : cell + 4] = np.array(four) / 6
    return weights


def augment_images(
    images: AnyArray,
    index: Ints,
    numbers: Ints,
    key: np.uint64,
    augmentation: Strengths,
    scale: float,
    shift: float,
    out: Floats,
) -> None:
    """Collect an augmented batch: out[i] = change(images[index[i]]) * scale + shift, changed pixels being in 0..255.

    images (M,H,W) uint8; index (n,): which pictures; numbers (n,): with ``key`` they decide each picture's changes
    -> out (n,H,W,1).  scale, shift: as for ``gather_images``.
    """
    for row, i, number in zip(out, index, numbers, strict=True):
        row[...] = (change(images[i], int(number), key, augmentation) * scale + shift)[..., None]


def change(image: AnyArray, number: int, key: np.uint64, augmentation: Strengths) -> Floats:
    """Return one picture (H,W) uint8 changed -> (H,W) float32, 0..255.  ``number`` and ``key`` decide how."""
    H, W = image.shape
    count = numbers_each((H, W))
    u = random_numbers(key, np.arange(count, dtype=np.uint64) + np.uint64(number) * np.uint64(count))
    a = augmentation
    ink = thicken(image.astype(np.float32), u[THICKNESS] * (a.thicken + a.thin) - a.thin)
    rows, columns = source_places((H, W), u, a)
    changed = sample(ink, rows, columns)
    either_way = 2 * u - 1
    every_other = np.maximum(either_way, 0)
    changed = np.minimum(changed * (1 + a.contrast * either_way[CONTRAST]), 255)
    if a.light and every_other[LIGHT]:
        light = smooth_fields((H, W), u)[2]  # 0 to 1
        changed = changed + (255 - changed) * (a.light * every_other[LIGHT] * light)
    if a.noise and every_other[NOISE]:
        # Cubed: most pixels change little, a few much.
        level = 255 * a.noise * every_other[NOISE]
        changed = np.clip(changed + level * either_way[-H * W :].reshape(H, W) ** 3, 0, 255)
    if a.cutout and every_other[CUT]:
        inverted = u[TURN] < 0.5
        side = a.cutout * every_other[CUT] * (1 if inverted else LOST)
        top, left = u[CUT_Y] * H - side / 2, u[CUT_X] * W - side / 2
        y, x = np.arange(H)[:, None], np.arange(W)
        patch = (y >= top) & (y < top + side) & (x >= left) & (x < left + side)
        changed = np.where(patch, 255 - changed if inverted else 0, changed)
    return changed.astype(np.float32)


def thicken(ink: Floats, pixels: float | np.floating[Any]) -> Floats:
    """Widen the pen by up to 2 pixels on each side, or, below 0, narrow it by up to 1.  ink (H,W) -> (H,W).

    Each pixel takes the largest (smallest) value around it: of its four neighbours in the first step, of all eight in
    the second, which together make about a disc.  A fraction of a step is mixed in linearly.
    """
    steps = (_neighbours(False), _neighbours(True)) if pixels > 0 else (_neighbours(False),)
    extreme, left = (np.maximum, pixels) if pixels > 0 else (np.minimum, -pixels)
    for places in steps:
        padded = np.pad(ink, 1)
        spread = ink
        for dy, dx in places:
            spread = extreme(spread, padded[1 + dy : 1 + dy + ink.shape[0], 1 + dx : 1 + dx + ink.shape[1]])
        ink = ink + np.float32(min(max(left, 0), 1)) * (spread - ink)
        left -= 1
    return ink


def _neighbours(corners: bool) -> list[Pair]:
    return [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y or x) and (corners or not (y and x))]


def source_places(shape: Pair, u: Floats, a: Strengths) -> tuple[Floats, Floats]:
    """Return the row and the column, (H,W) each and fractional, that each pixel of the result is sampled from."""
    H, W = shape
    e = 2 * u - 1
    angle = np.deg2rad(a.rotation) * e[ROTATION]
    size = (1 + a.scale) ** e[SCALE]
    wider = (1 + a.stretch) ** e[STRETCH]
    cos, sin, shear = np.cos(angle), np.sin(angle), a.shear * e[SHEAR]
    y, x = np.arange(H)[:, None] - (H - 1) / 2 - a.shift * e[SHIFT_Y], np.arange(W) - (W - 1) / 2 - a.shift * e[SHIFT_X]
    x, y = x / (size * wider), y * wider / size
    x = x + shear * y
    columns, rows = cos * x - sin * y + (W - 1) / 2, sin * x + cos * y + (H - 1) / 2
    if a.elastic:
        down, right, _ = smooth_fields(shape, e)
        rows, columns = rows + a.elastic / LATTICE_RMS * down, columns + a.elastic / LATTICE_RMS * right
    return rows, columns


def smooth_fields(shape: Pair, numbers: Floats) -> Floats:
    """Return three smooth fields (3,H,W): cubic B-splines over a picture's numbers at the points of the lattice."""
    H, W = shape
    points = 3, _lattice_points(H), _lattice_points(W)
    lattice = numbers[LATTICE : LATTICE + math.prod(points)].reshape(points)
    return spline_weights(H) @ lattice @ spline_weights(W).T


def sample(ink: AnyArray, rows: Floats, columns: Floats) -> Floats:
    """Return ink (H,W) at fractional places, interpolated bilinearly; outside the picture it is zero."""
    H, W = ink.shape
    padded = np.pad(ink, 2)
    rows, columns = np.clip(rows, -1, H) + 2, np.clip(columns, -1, W) + 2
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    down, right = rows - top, columns - left
    upper = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    lower = padded[top + 1, left] * (1 - right) + padded[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down
