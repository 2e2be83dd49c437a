"""Augmentation of whole batches in Numba: the arithmetic of ``reference_augment.py``, on the same random numbers."""

import dataclasses
import functools
from typing import TypeAlias

import numpy as np

from numcnn.kernels.arrays import AnyArray, Floats, Ints, Scalar
from numcnn.kernels.buffers import scratch
from numcnn.kernels.fast.elementary import exp, log, sin_cos
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.reference_augment import (
    CONTRAST,
    CUT,
    CUT_X,
    CUT_Y,
    LATTICE,
    LATTICE_RMS,
    LIGHT,
    LOST,
    NOISE,
    ROTATION,
    SCALE,
    SHEAR,
    SHIFT_X,
    SHIFT_Y,
    STRETCH,
    THICKNESS,
    TURN,
    Strengths,
    numbers_each,
    spline_weights,
)

# Arguments that belong together; plain tuples, because they are cheap to pass to compiled code.
Random: TypeAlias = tuple[Ints, np.uint64]  # the pictures' numbers (n,) and the key
Grid: TypeAlias = tuple[int, int, Floats, Floats]  # H, W, and the splines' weights along y and x, flat
Work: TypeAlias = tuple[Floats, Floats, Floats, Floats, Floats]  # scratch: u, ink, along, rows, columns

HALF, LOW = np.uint64(32), np.uint64(8)
UNIT = np.float32(2**-24)


@kernel
def _fill_random(key: np.uint64, counter: np.uint64, out: Floats) -> None:
    """Fill out (n,) with the random numbers in [0, 1) of ``counter`` and the following ones."""
    for i in range(out.size):
        y = (counter + np.uint64(i)) * key
        z = y + key
        x = y * y + y
        x = (x >> HALF) | (x << HALF)
        x = x * x + z
        x = (x >> HALF) | (x << HALF)
        x = x * x + y
        x = (x >> HALF) | (x << HALF)
        out[i] = np.float32(((x * x + z) >> HALF) >> LOW) * UNIT


@kernel
def _grow(ink: Floats, W: int, H: int, corners: bool, amount: Scalar, out: Floats) -> None:
    """Take one step of ``reference_augment.thicken`` that widens the pen.

    ink, out (H+4,W+4), flat: the picture with a border of two pixels.
    """
    P = W + 4
    for y in range(2, H + 2):
        middle, upper, lower = ink[y * P : (y + 1) * P], ink[(y - 1) * P : y * P], ink[(y + 1) * P : (y + 2) * P]
        target = out[y * P : (y + 1) * P]
        for x in range(2, W + 2):
            best = max(max(max(middle[x - 1], middle[x + 1]), max(upper[x], lower[x])), middle[x])
            if corners:
                best = max(best, max(max(upper[x - 1], upper[x + 1]), max(lower[x - 1], lower[x + 1])))
            target[x] = middle[x] + amount * (best - middle[x])


@kernel
def _shrink(ink: Floats, W: int, H: int, amount: Scalar, out: Floats) -> None:
    """Take the one step of ``reference_augment.thicken`` that narrows the pen."""
    P = W + 4
    for y in range(2, H + 2):
        middle, upper, lower = ink[y * P : (y + 1) * P], ink[(y - 1) * P : y * P], ink[(y + 1) * P : (y + 2) * P]
        target = out[y * P : (y + 1) * P]
        for x in range(2, W + 2):
            least = min(min(min(middle[x - 1], middle[x + 1]), min(upper[x], lower[x])), middle[x])
            target[x] = middle[x] + amount * (least - middle[x])


@kernel
def _smooth(
    lattice: Floats,
    strength: Scalar,
    weights_y: Floats,
    weights_x: Floats,
    H: int,
    W: int,
    along: Floats,
    places: Floats,
) -> None:
    """places (H*W,) = strength * the spline between lattice points: one of ``reference_augment.smooth_fields``.

    weights_y (points,H) and weights_x (points,W) are flat.  Three in seven of them are zero, but to multiply whole rows
    costs less than to skip them.
    """
    GY, GX = weights_y.size // H, weights_x.size // W
    for y in range(H):
        for g in range(GX):
            along[g] = 0
        for k in range(GY):
            weight = weights_y[k * H + y] * strength
            for g in range(GX):
                along[g] += weight * lattice[k * GX + g]
        row = places[y * W : (y + 1) * W]
        for x in range(W):
            row[x] = 0
        for g in range(GX):
            for x in range(W):
                row[x] += along[g] * weights_x[g * W + x]


@kernel
def _sample(
    plane: Floats, rows: Floats, columns: Floats, H: Scalar, W: Scalar, P: int, gain: Scalar, out: Floats
) -> None:
    """out = ``plane`` at these places, times ``gain`` and at most 255.  See ``reference_augment.sample``.

    Indices are unsigned: negative ones would count from the end, and LLVM couldn't vectorise the loop.
    """
    one, two = np.float32(1), np.float32(2)
    for i in range(out.size):
        row = min(max(rows[i], -one), H) + two
        column = min(max(columns[i], -one), W) + two
        top, left = np.int32(row), np.int32(column)
        down, right = row - np.float32(top), column - np.float32(left)
        at = np.uint32(top * np.int32(P) + left)
        below = at + np.uint32(P)
        upper = plane[at] * (one - right) + plane[at + np.uint32(1)] * right
        lower = plane[below] * (one - right) + plane[below + np.uint32(1)] * right
        out[i] = min((upper * (one - down) + lower * down) * gain, np.float32(255))


@kernel
def _change_pen(image: AnyArray, width: Scalar, W: int, H: int, ink: Floats) -> int:
    """Copy ``image`` (H*W,) into a plane of ink (2, (H+4)*(W+4)) and thicken it; return the number of the plane."""
    P, one = W + 4, np.float32(1)
    for y in range(H):
        for x in range(W):
            ink[0, (y + 2) * P + x + 2] = image[y * W + x]
    if width < 0:
        _shrink(ink[0], W, H, min(-width, one), ink[1])
        return 1
    steps = int(width > 0) + int(width > 1)
    for step in range(steps):  # one call, for Numba would compile ``_grow`` once for True and once for False
        _grow(ink[step], W, H, step == 1, min(width - np.float32(step), one), ink[1 - step])
    return steps % 2


@kernel
def _find_places(strengths: Floats, grid: Grid, u: Floats, along: Floats, rows: Floats, columns: Floats) -> None:
    """Fill rows and columns (H*W,) with the places to sample from, as ``reference_augment.source_places``."""
    rotation, scaling, stretch, shearing, shifting, elastic, _, _, _, _, _, _ = strengths
    H, W, weights_y, weights_x = grid
    points = weights_y.size // H * (weights_x.size // W)
    one, two = np.float32(1), np.float32(2)
    middle_y, middle_x = np.float32(H - 1) / two, np.float32(W - 1) / two
    angle = rotation * np.float32(np.pi / 180) * (two * u[ROTATION] - one)
    size = np.float32(exp((two * u[SCALE] - one) * log(one + scaling)))  # a power of 1 + scaling
    wider = np.float32(exp((two * u[STRETCH] - one) * log(one + stretch)))
    sin64, cos64 = sin_cos(angle)
    sin, cos, shear = np.float32(sin64), np.float32(cos64), shearing * (two * u[SHEAR] - one)
    # Columns and rows that a step to the right, and one down, go in the source.
    right_x, right_y = cos / (size * wider), sin / (size * wider)
    down_x, down_y = (cos * shear - sin) * wider / size, (sin * shear + cos) * wider / size
    start_y = -middle_y - shifting * (two * u[SHIFT_Y] - one)
    start_x = -middle_x - shifting * (two * u[SHIFT_X] - one)
    if elastic > 0:
        for i in range(LATTICE, LATTICE + 2 * points):
            u[i] = two * u[i] - one
        strength = elastic / np.float32(LATTICE_RMS)
        lattice = u[LATTICE : LATTICE + 2 * points]
        _smooth(lattice[:points], strength, weights_y, weights_x, H, W, along, rows)
        _smooth(lattice[points:], strength, weights_y, weights_x, H, W, along, columns)
    else:
        rows[:] = np.float32(0)
        columns[:] = np.float32(0)
    for y in range(H):
        dy = start_y + y
        for x in range(W):
            dx = start_x + x
            rows[y * W + x] += right_y * dx + down_y * dy + middle_y
            columns[y * W + x] += right_x * dx + down_x * dy + middle_x


@kernel
def _augment(
    images: AnyArray,
    index: Ints,
    random: Random,
    strengths: Floats,
    grid: Grid,
    work: Work,
    affine: tuple[Scalar, Scalar],
    out: Floats,
) -> None:
    """See ``reference_augment.augment_images``.  strengths: ``_strengths``; affine: scale and shift."""
    _, _, _, _, _, _, thick, thin, contrast, light, noise, cutout = strengths
    (numbers, key), (H, W, weights_y, weights_x), (scale, shift) = random, grid, affine
    u, ink, along, rows, columns = work
    points = weights_y.size // H * (weights_x.size // W)
    one, two, white = np.float32(1), np.float32(2), np.float32(255)
    first, count = LATTICE + 3 * points, LATTICE + 3 * points + H * W
    for n in range(index.size):
        target = out[n]
        counter = np.uint64(numbers[n]) * np.uint64(count)
        _fill_random(key, counter, u[:first])
        plane = _change_pen(images[index[n]], u[THICKNESS] * (thick + thin) - thin, W, H, ink)
        _find_places(strengths, grid, u, along, rows, columns)
        gain = one + contrast * (two * u[CONTRAST] - one)
        _sample(ink[plane], rows, columns, np.float32(H), np.float32(W), W + 4, gain, target)
        level = light * (two * u[LIGHT] - one)
        if level > 0:
            _smooth(u[first - points : first], level, weights_y, weights_x, H, W, along, rows)
            for i in range(H * W):
                target[i] += (white - target[i]) * rows[i]
        level = white * noise * (two * u[NOISE] - one)
        if level > 0:
            _fill_random(key, counter + np.uint64(first), u[first:count])
            for i in range(H * W):
                off = two * u[first + i] - one
                target[i] = min(max(target[i] + level * off * off * off, np.float32(0)), white)
        inverted = u[TURN] < 0.5
        side = cutout * (two * u[CUT] - one) * (one if inverted else np.float32(LOST))
        if side > 0:
            top_edge, left_edge = u[CUT_Y] * H - side / two, u[CUT_X] * W - side / two
            for y in range(H):
                for x in range(W):
                    if top_edge <= y < top_edge + side and left_edge <= x < left_edge + side:
                        target[y * W + x] = white - target[y * W + x] if inverted else np.float32(0)
        for i in range(H * W):
            target[i] = target[i] * scale + shift


@functools.cache
def _weights(size: int) -> Floats:
    return spline_weights(size).T.reshape(-1)


@functools.cache
def _strengths(augmentation: Strengths) -> Floats:
    """Return the strengths in the order of the fields, (12,) float32."""
    return np.array(dataclasses.astuple(augmentation), np.float32)


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
    """See ``reference_augment.augment_images``."""
    H, W = images.shape[1:3]
    kind, grid = np.float32, (H, W, _weights(H), _weights(W))
    work = (
        scratch("random numbers", (numbers_each((H, W)),), kind),
        scratch("augmented ink", (2, (H + 4) * (W + 4)), kind),  # before and after the pen changed, or the reverse
        scratch("lattice along a row", (_weights(W).size // W,), kind),
        scratch("rows", (H * W,), kind),
        scratch("columns", (H * W,), kind),
    )
    work[1][...] = 0
    pictures, results = images.reshape(len(images), -1), out.reshape(len(out), -1)
    affine, strengths = (kind(scale), kind(shift)), _strengths(augmentation)
    with np.errstate(over="ignore"):  # random numbers wrap around; when not compiled, NumPy would warn of it
        _augment(pictures, index, (numbers, key), strengths, grid, work, affine, results)
