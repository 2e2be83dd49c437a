"""Augmentation of whole batches in Numba: ``reference_augment.py`` picture by picture, number by number."""

import dataclasses
import functools

import numpy as np

from numcnn.kernels.buffers import scratch
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.reference_augment import (
    CONTRAST,
    CUT,
    CUT_X,
    CUT_Y,
    LATTICE,
    LATTICE_RMS,
    LIGHT,
    NOISE,
    ROTATION,
    SCALE,
    SHEAR,
    SHIFT_X,
    SHIFT_Y,
    STRETCH,
    THICKNESS,
    TURN,
    numbers_each,
    spline_weights,
)

HALF, LOW = np.uint64(32), np.uint64(8)
UNIT = np.float32(2**-24)


@kernel
def _fill_random(key, counter, out):
    """Fill out (n,) with the random numbers, 0 to 1, of ``counter`` and those that follow."""
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
def _grow(ink, W, H, corners, amount, out):
    """One step of `reference_augment.thicken`.  ink, out (H+4,W+4), flat: the picture with a border of two pixels."""
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
def _shrink(ink, W, H, amount, out):
    """The one step of `reference_augment.thicken` that shrinks."""
    P = W + 4
    for y in range(2, H + 2):
        middle, upper, lower = ink[y * P : (y + 1) * P], ink[(y - 1) * P : y * P], ink[(y + 1) * P : (y + 2) * P]
        target = out[y * P : (y + 1) * P]
        for x in range(2, W + 2):
            least = min(min(min(middle[x - 1], middle[x + 1]), min(upper[x], lower[x])), middle[x])
            target[x] = middle[x] + amount * (least - middle[x])


@kernel
def _smooth(lattice, strength, weights_y, weights_x, H, W, along, places):
    """places (H*W,) = strength * the spline between lattice points: one of `reference_augment.smooth_fields`.

    weights_y (points,H) and weights_x (points,W) are flat; three in seven of them are zero, but a row at a time that
    costs less than to leave them out.
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
def _sample(plane, rows, columns, H, W, P, gain, out):
    """out = ``plane`` at these places, times ``gain`` and at most 255.  See `reference_augment.sample`.

    Unsigned places have no way to count from the end: only so LLVM takes many at a time.
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
def _augment(
    images, index, numbers, H, W, key, a, weights_y, weights_x, scale, shift, u, ink, along, rows, columns, out
):
    """See `reference_augment.augment_images`.  a: `_strengths`; from u to columns it is scratch."""
    rotation, scaling, stretch, shearing, shifting, elastic, thick, thin, contrast, light, noise, cutout = a
    points = weights_y.size // H * (weights_x.size // W)
    P, one, two, white = W + 4, np.float32(1), np.float32(2), np.float32(255)
    first, count = LATTICE + 3 * points, LATTICE + 3 * points + H * W
    middle_y, middle_x = np.float32(H - 1) / two, np.float32(W - 1) / two
    for n in range(index.size):
        image, target = images[index[n]], out[n]
        counter = np.uint64(numbers[n]) * np.uint64(count)
        _fill_random(key, counter, u[:first])
        for y in range(H):
            for x in range(W):
                ink[0, (y + 2) * P + x + 2] = image[y * W + x]
        plane = 0
        width = u[THICKNESS] * (thick + thin) - thin
        if width > 0:
            _grow(ink[0], W, H, False, min(width, one), ink[1])
            plane = 1
            if width > 1:
                _grow(ink[1], W, H, True, width - one, ink[0])
                plane = 0
        elif width < 0:
            _shrink(ink[0], W, H, min(-width, one), ink[1])
            plane = 1

        angle = rotation * np.float32(np.pi / 180) * (two * u[ROTATION] - one)
        size = (one + scaling) ** (two * u[SCALE] - one)
        wider = (one + stretch) ** (two * u[STRETCH] - one)
        cos, sin, shear = np.cos(angle), np.sin(angle), shearing * (two * u[SHEAR] - one)
        # Columns and rows that a step to the right, and one down, go in the source.
        right_x, right_y = cos / (size * wider), sin / (size * wider)
        down_x, down_y = (cos * shear - sin) * wider / size, (sin * shear + cos) * wider / size
        start_y = -middle_y - shifting * (two * u[SHIFT_Y] - one)
        start_x = -middle_x - shifting * (two * u[SHIFT_X] - one)
        if elastic > 0:
            for i in range(LATTICE, LATTICE + 2 * points):
                u[i] = two * u[i] - one
            strength = elastic / np.float32(LATTICE_RMS)
            lattice = u[LATTICE:first]
            _smooth(lattice[:points], strength, weights_y, weights_x, H, W, along, rows)
            _smooth(lattice[points : 2 * points], strength, weights_y, weights_x, H, W, along, columns)
        else:
            rows[:] = np.float32(0)
            columns[:] = np.float32(0)
        for y in range(H):
            dy = start_y + y
            for x in range(W):
                dx = start_x + x
                rows[y * W + x] += right_y * dx + down_y * dy + middle_y
                columns[y * W + x] += right_x * dx + down_x * dy + middle_x
        gain = one + contrast * (two * u[CONTRAST] - one)
        _sample(ink[plane], rows, columns, np.float32(H), np.float32(W), P, gain, target)
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
        side = cutout * (two * u[CUT] - one)
        if side > 0:
            top_edge, left_edge = u[CUT_Y] * H - side / two, u[CUT_X] * W - side / two
            for y in range(H):
                for x in range(W):
                    if top_edge <= y < top_edge + side and left_edge <= x < left_edge + side:
                        target[y * W + x] = white - target[y * W + x] if u[TURN] < 0.5 else np.float32(0)
        for i in range(H * W):
            target[i] = target[i] * scale + shift


@functools.cache
def _weights(size):
    return spline_weights(size).T.reshape(-1)


@functools.cache
def _strengths(augmentation):
    """Return the strengths in the order of the fields, (12,) float32."""
    return np.array(dataclasses.astuple(augmentation), np.float32)


def augment_images(images, index, numbers, key, augmentation, scale, shift, out):
    """See ``reference_augment.augment_images``."""
    H, W = images.shape[1:3]
    count, kind = numbers_each((H, W)), np.float32
    ink = scratch("augmented ink", (2, (H + 4) * (W + 4)), kind)  # before and after the pen changed, or the reverse
    ink[...] = 0
    with np.errstate(over="ignore"):  # random numbers wrap around; not compiled, NumPy would warn of it
        _augment(
            images.reshape(len(images), -1),
            index,
            numbers,
            H,
            W,
            key,
            _strengths(augmentation),
            _weights(H),
            _weights(W),
            kind(scale),
            kind(shift),
            scratch("random numbers", (count,), kind),
            ink,
            scratch("lattice along a row", (_weights(W).size // W,), kind),
            scratch("rows", (H * W,), kind),
            scratch("columns", (H * W,), kind),
            out.reshape(len(out), -1),
        )
