"""Fifteen ways to spoil a picture of a digit that a person still reads: how much of its accuracy does a network keep?

The kinds are those of MNIST-C (N. Mu and J. Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision", 2019,
arXiv:1906.02337), written anew.  Where its published settings carry over (shot noise, glass, slant, size, turn, shift,
light, stripe), they are used; the others were set so that two plain networks (``numcnn train --epochs 3 --augment 0``)
read about as many of MNIST's validation images as such networks read of MNIST-C's files: 80% on average here and 78%
there; of fog and impulse noise less than half, of translated digits and edges 50 to 70%, and under most others 85% or
more.  Networks differ most in brightness and stripe.  So results compare with published ones in kind, not to the point.

A function takes images (N,28,28) uint8, ink high, and a generator of random numbers, from which it draws one array
with a row for each image: so an image is spoilt alike, whatever the others are and however many follow it.
"""

import numpy as np

from numcnn.errors import ConfigError, ShapeError
from numcnn.evaluation.metrics import robustness
from numcnn.imaging import raster
from numcnn.imaging.preprocess import SIDE
from numcnn.kernels.reference_augment import sample

BLOCK = 200  # images at a time: bounds the memory

PHOTONS = 3  # that a white pixel catches on average
IMPULSES = 0.27  # share of the pixels that are black or white whatever was there
GLASS_BLUR, GLASS_PASSES = 0.7, 2  # pixels; how often each pixel changes places with a neighbour
MOTION_ANGLE, MOTION_SIGMA, MOTION_LENGTH = 45, 3, 10  # degrees either way, pixels, columns
SHEAR = 0.4  # columns for each row
SCALE = 0.7
ROTATION = 0.4  # radians
SHIFT = 3  # pixels, in each direction
BRIGHTNESS = 0.5
STRIPE = 7  # columns, on either side
FOG, FOG_DECAY = 3.0, 1.4  # weight beside the digit's; how much weaker each finer octave is
SPATTER_LEVEL, SPATTER_GREY = 1.2, 0.25  # standard deviations above which it is wet; what wet is
DOTS_APART, DOT = 4.0, 2.0  # pixels
ZIGZAG, ZIGZAG_PEN, ZIGZAG_SLOPE = 2.0, 1.2, 0.2  # half a tooth, pixels; the line's slope at most
CANNY_SIGMA, CANNY_WEAK, CANNY_STRONG = 1.0, 0.1, 0.2  # pixels; slopes of Sobel's, for ink 0..1


def identity(images, rng):
    """Change nothing."""
    return images.copy()


def shot_noise(images, rng):
    """Let every pixel count photons: Poisson noise, with as many as make white at most."""
    mean = _floats(images) * PHOTONS
    # By the inverse of the distribution: rng.poisson would take more random numbers for one picture than for another.
    chance = rng.random(images.shape)
    counts, term, total = 0, np.exp(-mean), 0
    for count in range(PHOTONS):
        total = total + term  # the probability of so many or fewer
        counts = counts + (chance >= total)
        term = term * mean / (count + 1)
    return _bytes(counts / PHOTONS)


def impulse_noise(images, rng):
    """Sprinkle salt and pepper."""
    chance = rng.random(images.shape, np.float32)
    return np.where(chance < IMPULSES / 2, np.uint8(0), np.where(chance > 1 - IMPULSES / 2, np.uint8(255), images))


def glass_blur(images, rng):
    """Look through frosted glass: pixels change places with neighbours, between two blurs."""
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


def motion_blur(images, rng):
    """Move the camera to the right and up or down while the shutter is open: half a Gaussian along the way."""
    angles = np.deg2rad(MOTION_ANGLE) * (2 * rng.random((len(images), 1, 1)) - 1)
    reach = MOTION_LENGTH + 1
    padded = np.pad(_floats(images), ((0, 0), (reach, reach), (0, reach)))
    every, rows = np.arange(len(images))[:, None], np.arange(SIDE) + reach
    blurred, total = 0, 0
    for right in range(reach):
        down = right * np.tan(angles)
        whole, part = np.floor(down).astype(int)[..., 0], down % 1
        upper, lower = (padded[every, rows + whole + k, right : right + SIDE] for k in (0, 1))
        weight = np.exp(-((right / np.cos(angles)) ** 2) / (2 * MOTION_SIGMA**2))
        blurred, total = blurred + weight * (upper * (1 - part) + lower * part), total + weight
    return _bytes(blurred / total)


def shear(images, rng):
    """Slant to the left or to the right."""
    return _affine(images, [[(1, 0), (SHEAR * sign, 1)] for sign in _signs(rng, images)])


def scale(images, rng):
    """Make it smaller."""
    return _affine(images, np.eye(2) / SCALE)


def rotate(images, rng):
    """Turn to the left or to the right."""
    cos, sin = np.cos(ROTATION), np.sin(ROTATION)
    return _affine(images, [[(cos, sign * sin), (-sign * sin, cos)] for sign in _signs(rng, images)])


def brightness(images, rng):
    """Add light everywhere."""
    return _bytes(_floats(images) + BRIGHTNESS)


def translate(images, rng):
    """Move towards one of the corners."""
    return _affine(images, np.eye(2), SHIFT * _signs(rng, images, 2))


def stripe(images, rng):
    """Invert a stripe at the left and one at the right."""
    striped = images.copy()
    for columns in (slice(STRIPE), slice(SIDE - STRIPE, None)):
        striped[..., columns] = 255 - images[..., columns]
    return striped


def fog(images, rng):
    """Add clouds: random lattices, each twice as fine as the one before and weaker."""
    sizes = [2**k + 1 for k in range(1, 6)]
    lattices = rng.random((len(images), sum(size**2 for size in sizes)))
    clouds, first = 0, 0
    for octave, size in enumerate(sizes):
        lattice = lattices[:, first : first + size**2].reshape(-1, size, size)
        spread = _between(size)
        clouds = clouds + spread @ lattice @ spread.T / FOG_DECAY**octave
        first += size**2
    low, high = clouds.min(axis=(1, 2), keepdims=True), clouds.max(axis=(1, 2), keepdims=True)
    return _bytes((_floats(images) + FOG * (clouds - low) / (high - low)) / (1 + FOG))


def spatter(images, rng):
    """Splash grey drops over it."""
    field = _blur(rng.standard_normal(images.shape), 1)
    wet = (field > SPATTER_LEVEL * field.std(axis=(1, 2), keepdims=True)).astype(np.float32)
    drops = np.clip(1.5 * _blur(wet, 0.6), 0, 1)
    return _bytes(_floats(images) * (1 - drops) + SPATTER_GREY * drops)


def dotted_line(images, rng):
    """Draw a dotted line from the left border to the right one."""
    x = np.arange(0, SIDE + 1, DOTS_APART)
    left, right = SIDE * rng.random((len(images), 2, 1)).swapaxes(0, 1)
    dots = _points(x, left + (right - left) * x / SIDE)
    return _draw_over(images, dots, dots, DOT)


def zigzag(images, rng):
    """Draw a zigzag from the left to the right."""
    x = np.arange(2, SIDE - 1, ZIGZAG)
    teeth = np.where(np.arange(len(x)) % 2, ZIGZAG, -ZIGZAG)
    height, slope = rng.random((len(images), 2, 1)).swapaxes(0, 1)
    corners = _points(x, SIDE * height + ZIGZAG_SLOPE * (2 * slope - 1) * x + teeth)
    return _draw_over(images, corners[:-1], corners[1:], ZIGZAG_PEN)


def canny_edges(images, rng):
    """Keep the edges alone (J. Canny, "A computational approach to edge detection", 1986), one pixel wide, white."""
    ink = np.pad(_blur(_floats(images), CANNY_SIGMA), ((0, 0), (1, 1), (1, 1)), mode="edge")
    smooth, slope = np.array([1, 2, 1]), np.array([-1, 0, 1])
    down, right = _cross(ink, slope, smooth), _cross(ink, smooth, slope)
    strength = np.hypot(down, right)
    padded = np.pad(strength, ((0, 0), (1, 1), (1, 1)))
    # The direction across the edge, as one of four: 0 right, 1 down and right, 2 down, 3 down and left.
    across = np.rint(np.arctan2(down, right) / (np.pi / 4)).astype(int) % 4
    crest = np.zeros(images.shape, bool)
    for which, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        higher = np.maximum(_moved(padded, dy, dx), _moved(padded, -dy, -dx))
        crest |= (across == which) & (strength >= higher)
    weak, edges = crest & (strength > CANNY_WEAK), crest & (strength > CANNY_STRONG)
    while True:  # what touches an edge is part of it
        padded = np.pad(edges, ((0, 0), (1, 1), (1, 1)))
        grown = weak & np.any([_moved(padded, dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)], axis=0)
        if (grown == edges).all():
            return np.where(edges, np.uint8(255), np.uint8(0))
        edges = grown


# In the order of the paper's table; identity is what the others are compared with.
CORRUPTIONS = {
    function.__name__: function
    for function in (
        identity, shot_noise, impulse_noise, glass_blur, motion_blur, shear, scale, rotate, brightness, translate,
        stripe, fog, spatter, dotted_line, zigzag, canny_edges,
    )
}  # fmt: skip


def corrupt(images, name, seed=0):
    """Return images (N,28,28) uint8 spoilt by the corruption ``name``; image i alike, whatever the others are.

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


def measure(network, images, labels, seed=0):
    """Let a network read images (N,28,28) uint8 as they are and under each corruption -> ``metrics.Robustness``."""
    right = {name: network.predict(corrupt(images, name, seed)) == labels for name in CORRUPTIONS}
    return robustness(right.pop("identity"), right)


def _floats(images):
    return images.astype(np.float32) / 255


def _bytes(ink):
    """Return ink, 0..1 and what is beyond cut off, as uint8."""
    return np.rint(255 * np.clip(ink, 0, 1)).astype(np.uint8)


def _signs(rng, images, *each):
    """Return -1 or 1 for each image, or ``each`` of them."""
    return 2 * rng.integers(0, 2, (len(images), *each)) - 1


def _blur(ink, sigma):
    """Blur ink (N,28,28) by a Gaussian of ``sigma`` pixels; around it there is none."""
    places = np.arange(SIDE)
    weights = np.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))
    return weights.astype(np.float32) @ ink @ weights.astype(np.float32).T


def _affine(images, matrices, shifts=(0, 0)):
    """Sample images anew: each place of the result, counted from the middle, at matrix @ place + shift.

    matrices (2,2) or (N,2,2), shifts (2,) or (N,2), of (row, column).
    """
    middle = (SIDE - 1) / 2
    places = (np.mgrid[:SIDE, :SIDE] - middle).reshape(2, -1)
    sources = matrices @ places + np.zeros((len(images), 1, 1)) + middle + np.reshape(shifts, (-1, 2, 1))
    rows, columns = sources.reshape(-1, 2, SIDE, SIDE).swapaxes(0, 1)
    return _bytes(_sampled(images, rows, columns) / 255)


def _sampled(images, rows, columns):
    """Sample images (N,28,28) at places (N,28,28) between their pixels: see ``reference_augment.sample``."""
    # One below the other, with two empty rows between, they are a single picture.
    column = np.pad(images, ((0, 0), (0, 2), (0, 0))).reshape(-1, SIDE)
    tops = (SIDE + 2) * np.arange(len(images))[:, None, None]
    return sample(column, np.clip(rows, -1, SIDE) + tops, columns)


def _between(size):
    """Return the weights (28,size) of a lattice's points for each pixel, linear between them."""
    places = np.linspace(0, size - 1, SIDE)[:, None]
    return np.maximum(0, 1 - np.abs(places - np.arange(size)))


def _points(x, y):
    """Return points for every image as (P,2,N,1,1), from x (P,) and y (N,P)."""
    return np.stack([np.broadcast_to(x, y.shape), y]).transpose(2, 0, 1)[..., None, None]


def _draw_over(images, starts, ends, width):
    """Draw straight lines over images, as ``raster.draw`` would.  starts, ends: see ``_points``."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    nearest = np.full(images.shape, np.inf)
    for (x0, y0), (x1, y1) in zip(starts, ends, strict=True):
        length2 = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / np.maximum(length2, raster.TINY), 0, 1)
        distance2 = (x - x0 - along * (x1 - x0)) ** 2 + (y - y0 - along * (y1 - y0)) ** 2
        np.minimum(nearest, distance2, out=nearest)
    return np.maximum(images, _bytes(raster.coverage(np.sqrt(nearest), width / 2)))


def _cross(padded, down, right):
    """Correlate padded ink (N,30,30) with the 3x3 kernel down x right."""
    rows = sum(weight * padded[:, k : k + SIDE] for k, weight in enumerate(down))
    return sum(weight * rows[:, :, k : k + SIDE] for k, weight in enumerate(right))


def _moved(padded, down, right):
    """Return of padded (N,30,30) what lies so many pixels further down and right (N,28,28)."""
    return padded[:, 1 + down : 1 + down + SIDE, 1 + right : 1 + right + SIDE]
