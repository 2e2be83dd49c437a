"""Fifteen corruptions of digits that people can still read: how much accuracy does a network keep?

The kinds are those of MNIST-C (N. Mu and J. Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision", 2019,
arXiv:1906.02337), implemented again.  Its published settings are used where they carry over (shot noise, glass, slant,
size, turn, shift, light, stripe).  The others were set so that two plain networks (``numcnn train --epochs 3 --augment
0``) reach about the same accuracy on MNIST's validation images as such networks on MNIST-C's files: 80% on average
here and 78% there; less than half for fog and impulse noise, 50 to 70% for translated digits and edges, and 85% or more
for most others.  Networks differ most in brightness and stripe.  So results compare with published ones only roughly.

A function takes images (N,28,28) uint8, ink high, and a generator of random numbers, from which it draws one array
with a row for each image: so what happens to an image depends neither on the others nor on how many follow it.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, ShapeError
from numcnn.imaging import raster
from numcnn.imaging.preprocess import SIDE
from numcnn.kernels.arrays import AnyArray, Bools, Bytes, Float64s, Floats, Ints
from numcnn.kernels.reference_augment import sample

BLOCK = 200  # images at a time: bounds the memory

Rng = np.random.Generator

PHOTONS = 3  # that a white pixel catches on average
IMPULSES = 0.27  # fraction of the pixels that turn black or white
GLASS_BLUR, GLASS_PASSES = 0.7, 2  # pixels; how often each pixel is swapped with a neighbour
MOTION_ANGLE, MOTION_SIGMA, MOTION_LENGTH = 45, 3, 10  # degrees either way, pixels, columns
SHEAR = 0.4  # columns for each row
SCALE = 0.7
ROTATION = 0.4  # radians
SHIFT = 3  # pixels, in each direction
BRIGHTNESS = 0.5
STRIPE = 7  # columns, on either side
FOG, FOG_DECAY = 3.0, 1.4  # weight beside the digit's; how much weaker each finer octave is
SPATTER_LEVEL, SPATTER_GREY = 1.2, 0.25  # standard deviations above which a pixel is wet; grey of wet pixels
DOTS_APART, DOT = 4.0, 2.0  # pixels
ZIGZAG, ZIGZAG_PEN, ZIGZAG_SLOPE = 2.0, 1.2, 0.2  # half a tooth, pixels; the line's slope at most
CANNY_SIGMA, CANNY_WEAK, CANNY_STRONG = 1.0, 0.1, 0.2  # pixels; slopes of Sobel's, for ink 0..1


def identity(images: Bytes, rng: Rng) -> Bytes:
    """Change nothing."""
    return images.copy()


def shot_noise(images: Bytes, rng: Rng) -> Bytes:
    """Poisson noise: every pixel counts photons, up to as many as make it white."""
    mean = _floats(images) * PHOTONS
    # Inverts the distribution function: rng.poisson draws more random numbers for some pictures than for others.
    chance = rng.random(images.shape)
    counts, term, total = np.zeros(images.shape, int), np.exp(-mean), np.zeros_like(mean)
    for count in range(PHOTONS):
        total = total + term  # the probability of this count or fewer
        counts = counts + (chance >= total)
        term = term * mean / (count + 1)
    return _bytes(counts / PHOTONS)


def impulse_noise(images: Bytes, rng: Rng) -> Bytes:
    """Sprinkle salt and pepper."""
    chance = rng.random(images.shape, np.float32)
    return np.where(chance < IMPULSES / 2, np.uint8(0), np.where(chance > 1 - IMPULSES / 2, np.uint8(255), images))


def glass_blur(images: Bytes, rng: Rng) -> Bytes:
    """Look through frosted glass: swap pixels with neighbours, between two blurs."""
    ink = _blur(_floats(images), GLASS_BLUR)
    steps = rng.integers(-1, 2, (len(images), GLASS_PASSES, SIDE - 2, SIDE - 2, 2))
    every = np.arange(len(images))
    for which in range(GLASS_PASSES):
        for row, column in np.ndindex(SIDE - 2, SIDE - 2):
            down, right = steps[:, which, row, column].T
            there = every, row + 1 + down, column + 1 + right
            own = ink[:, row + 1, column + 1].copy()
            ink[:, row + 1, column + 1] = ink[there]
            ink[there] = own
    return _bytes(_blur(ink, GLASS_BLUR))


def motion_blur(images: Bytes, rng: Rng) -> Bytes:
    """Move the camera to the right and up or down while the shutter is open: half a Gaussian along its path."""
    angles = np.deg2rad(MOTION_ANGLE) * (2 * rng.random((len(images), 1, 1)) - 1)
    reach = MOTION_LENGTH + 1
    padded = np.pad(_floats(images), ((0, 0), (reach, reach), (0, reach)))
    every, rows = np.arange(len(images))[:, None], np.arange(SIDE) + reach
    blurred, total = np.zeros(images.shape), np.zeros_like(angles)
    for right in range(reach):
        down = right * np.tan(angles)
        whole, part = np.floor(down).astype(int)[..., 0], down % 1
        upper, lower = (padded[every, rows + whole + k, right : right + SIDE] for k in (0, 1))
        weight = np.exp(-((right / np.cos(angles)) ** 2) / (2 * MOTION_SIGMA**2))
        blurred, total = blurred + weight * (upper * (1 - part) + lower * part), total + weight
    return _bytes(blurred / total)


def shear(images: Bytes, rng: Rng) -> Bytes:
    """Slant to the left or right."""
    return affine(images, [[(1, 0), (SHEAR * sign, 1)] for sign in _signs(rng, images)])


def scale(images: Bytes, rng: Rng) -> Bytes:
    """Make the digit smaller."""
    return affine(images, np.eye(2) / SCALE)


def rotate(images: Bytes, rng: Rng) -> Bytes:
    """Rotate to the left or right."""
    cos, sin = np.cos(ROTATION), np.sin(ROTATION)
    return affine(images, [[(cos, sign * sin), (-sign * sin, cos)] for sign in _signs(rng, images)])


def brightness(images: Bytes, rng: Rng) -> Bytes:
    """Add light everywhere."""
    return _bytes(_floats(images) + BRIGHTNESS)


def translate(images: Bytes, rng: Rng) -> Bytes:
    """Move towards one of the corners."""
    return affine(images, np.eye(2), SHIFT * _signs(rng, images, 2))


def stripe(images: Bytes, rng: Rng) -> Bytes:
    """Invert a stripe at the left border and one at the right border."""
    striped = images.copy()
    for columns in (slice(STRIPE), slice(SIDE - STRIPE, None)):
        striped[..., columns] = 255 - images[..., columns]
    return striped


def fog(images: Bytes, rng: Rng) -> Bytes:
    """Add clouds: random lattices, each twice as fine as the one before and weaker."""
    sizes = [2**k + 1 for k in range(1, 6)]
    lattices = rng.random((len(images), sum(size**2 for size in sizes)))
    clouds, first = np.zeros(images.shape), 0
    for octave, size in enumerate(sizes):
        lattice = lattices[:, first : first + size**2].reshape(-1, size, size)
        spread = _between(size)
        clouds = clouds + spread @ lattice @ spread.T / FOG_DECAY**octave
        first += size**2
    low, high = clouds.min(axis=(1, 2), keepdims=True), clouds.max(axis=(1, 2), keepdims=True)
    return _bytes((_floats(images) + FOG * (clouds - low) / (high - low)) / (1 + FOG))


def spatter(images: Bytes, rng: Rng) -> Bytes:
    """Splash grey drops over the picture."""
    field = _blur(rng.standard_normal(images.shape), 1)
    wet = (field > SPATTER_LEVEL * field.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    drops = np.clip(1.5 * _blur(wet, 0.6), 0, 1)
    return _bytes(_floats(images) * (1 - drops) + SPATTER_GREY * drops)


def dotted_line(images: Bytes, rng: Rng) -> Bytes:
    """Draw a dotted line from the left border to the right border."""
    x = np.arange(0, SIDE + 1, DOTS_APART)
    left, right = SIDE * rng.random((len(images), 2, 1)).swapaxes(0, 1)
    dots = _points(x, left + (right - left) * x / SIDE)
    return _draw_over(images, dots, dots, DOT)


def zigzag(images: Bytes, rng: Rng) -> Bytes:
    """Draw a zigzag from left to right."""
    x = np.arange(2, SIDE - 1, ZIGZAG)
    teeth = np.where(np.arange(len(x)) % 2, ZIGZAG, -ZIGZAG)
    height, slope = rng.random((len(images), 2, 1)).swapaxes(0, 1)
    corners = _points(x, SIDE * height + ZIGZAG_SLOPE * (2 * slope - 1) * x + teeth)
    return _draw_over(images, corners[:-1], corners[1:], ZIGZAG_PEN)


def canny_edges(images: Bytes, rng: Rng) -> Bytes:
    """Keep only the edges (J. Canny, "A computational approach to edge detection", 1986), one pixel wide, white."""
    ink = np.pad(_blur(_floats(images), CANNY_SIGMA), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth, slope = np.array([1, 2, 1]), np.array([-1, 0, 1])
    down, right = _correlate(ink, slope, smooth), _correlate(ink, smooth, slope)
    strength = np.hypot(down, right)
    padded = np.pad(strength, ((0, 0), (1, 1), (1, 1)))
    # The direction across the edge, as one of four: 0 right, 1 down and right, 2 down, 3 down and left.
    across = np.rint(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    crest = np.zeros(images.shape, bool)
    for which, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        higher = np.maximum(_moved(padded, dy, dx), _moved(padded, -dy, -dx))
        crest |= (across == which) & (strength >= higher)
    weak, edges = crest & (strength > CANNY_WEAK), crest & (strength > CANNY_STRONG)
    while True:  # weak pixels that touch an edge are part of it
        padded = np.pad(edges, ((0, 0), (1, 1), (1, 1)))
        grown = weak & np.any([_moved(padded, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
        if (grown == edges).all():
            return np.where(edges, np.uint8(255), np.uint8(0))
        edges = grown


# In the order of the paper's table; the others are compared with identity.
CORRUPTIONS = {
    function.__name__: function
    for function in (
        identity, shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness, translate,
        stripe, fog, spatter, dotted_line, zigzag, canny_edges,
    )
}  # fmt: skip


def corrupt(images: Bytes, name: str, seed: int = 0) -> Bytes:
    """Return images (N,28,28) uint8 under the corruption ``name``; image i does not depend on the others.

    Raises ConfigError for an unknown name, ShapeError for other pictures.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(f"there is no corruption {name!r}; choose one of {', '.join(CORRUPTIONS)}")
    images = np.asarray(images)
    if images.shape[1:] != (SIDE, SIDE) or images.dtype != np.uint8:
        raise ShapeError(f"corrupt: got {images.dtype} {images.shape}; wants uint8 (N, {SIDE}, {SIDE})")
    out = np.empty_like(images)
    for first in range(0, len(images), BLOCK):
        rng = np.random.default_rng([seed, first])
        out[first : first + BLOCK] = CORRUPTIONS[name](images[first : first + BLOCK], rng)
    return out


class Predicts(Protocol):
    """What `measure` needs of a network."""

    def predict(self, images: Bytes, /) -> Ints:
        """Return the labels (N,) of images (N,28,28)."""
        ...


def read_correctly(network: Predicts, images: Bytes, labels: Ints, seed: int = 0) -> dict[str, Bools]:
    """Return corruption -> which of images (N,28,28) uint8 are read correctly under it (N,); "identity": as they are.

    ``evaluation.metrics.robustness`` turns that into accuracies with their intervals.
    """
    return {name: network.predict(corrupt(images, name, seed)) == labels for name in CORRUPTIONS}


def _floats(images: Bytes) -> Floats:
    return images.astype(np.float32) / 255


def _bytes(ink: Floats) -> Bytes:
    """Return ink, clipped to 0..1, as uint8."""
    return np.rint(255 * np.clip(ink, 0, 1)).astype(np.uint8)


def _signs(rng: Rng, images: Bytes, *each: int) -> Ints:
    """Return random signs, -1 or 1: one for each image, or an array of shape ``each``."""
    return 2 * rng.integers(0, 2, (len(images), *each)) - 1


def _blur(ink: Floats, sigma: float) -> Floats:
    """Blur ink (N,28,28) by a Gaussian of ``sigma`` pixels; there is no ink around the picture."""
    places = np.arange(SIDE)
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    return weights.astype(np.float32) @ ink @ weights.astype(np.float32).T


def affine(images: Bytes, matrices: npt.ArrayLike, shifts: npt.ArrayLike = (0, 0)) -> Bytes:
    """Resample images: the result at a place, counted from the middle, is the image at matrix @ place + shift.

    matrices (2,2) or (N,2,2), shifts (2,) or (N,2), of (row, column).
    """
    middle = (SIDE - 1) / 2
    places = (np.mgrid[:SIDE, :SIDE] - middle).reshape(2, -1)
    sources = np.asarray(matrices) @ places + np.zeros((len(images), 1, 1)) + middle + np.reshape(shifts, (-1, 2, 1))
    rows, columns = sources.reshape(-1, 2, SIDE, SIDE).swapaxes(0, 1)
    return _bytes(_sampled(images, rows, columns) / 255)


def _sampled(images: Bytes, rows: Float64s, columns: Float64s) -> Floats:
    """Return images (N,28,28) at places between their pixels, rows and columns (N,28,28), bilinearly."""
    # `sample` takes one picture: stack the images, with two empty rows between them.
    column = np.pad(images, ((0, 0), (0, 2), (0, 0))).reshape(-1, SIDE)
    tops = (SIDE + 2) * np.arange(len(images))[:, None, None]
    return sample(column, np.clip(rows, -1, SIDE) + tops, columns)


def _between(size: int) -> Float64s:
    """Return the weights (28,size) of a lattice's points for each pixel, linear between them."""
    places = np.linspace(0, size - 1, SIDE)[:, None]
    return np.maximum(0, 1 - np.abs(places - np.arange(size)))


def _points(x: Float64s, y: Float64s) -> Float64s:
    """Return points for every image as (P,2,N,1,1), from x (P,) and y (N,P)."""
    return np.stack([np.broadcast_to(x, y.shape), y]).transpose(2, 0, 1)[..., None, None]


def _draw_over(images: Bytes, starts: Float64s, ends: Float64s, width: float) -> Bytes:
    """Draw straight lines over images, like ``raster.draw``.  starts, ends: see ``_points``."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    nearest = np.full(images.shape, np.inf)
    for (x0, y0), (x1, y1) in zip(starts, ends, strict=True):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / np.maximum(length2, raster.TINY), 0, 1)
        distance2 = (x - x0 - along * (x1 - x0)) ** 2 + (y - y0 - along * (y1 - y0)) ** 2
        np.minimum(nearest, distance2, out=nearest)
    return np.maximum(images, _bytes(raster.coverage(np.sqrt(nearest), width / 2)))


def _correlate(padded: Floats, down: Ints, across: Ints) -> Floats:
    """Correlate padded ink (N,30,30) with the 3x3 kernel down x across -> (N,28,28)."""
    top, middle, bottom = (weight * padded[:, k : k + SIDE] for k, weight in enumerate(down))
    rows = top + middle + bottom
    left, centre, right = (weight * rows[:, :, k : k + SIDE] for k, weight in enumerate(across))
    return left + centre + right


def _moved(padded: AnyArray, down: int, right: int) -> AnyArray:
    """Return the part (N,28,28) of padded (N,30,30) that is ``down`` and ``right`` pixels off its middle."""
    return padded[:, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE]
