"""Other scanners: digits as coarser, black-and-white or distorted scans show them, prepared like MNIST.

MNIST's digits are grey, 20 pixels high, in their own proportions.  Other collections hold bitmaps of 8 to 32 pixels,
black and white or grey, stretched to a square, enlarged, or packed as JPEG; some digits are outlines, to be coloured
in.  `rescanned` shows digits in such ways, all drawn at random and none taken from a data set.
"""

import io

import numpy as np

from numcnn.imaging.preprocess import area_weights, centred, tight_box
from numcnn.kernels.arrays import Bytes, Float64s

STREAM = 1004  # which of a seed's streams of random numbers the scanners are drawn from; mixture.py has 1003
# Pixels of a scan's longer side, and how often each occurs.
SIDES, FRACTIONS = (8, 10, 12, 14, 16, 20, 24, 32), (0.05, 0.08, 0.12, 0.15, 0.3, 0.1, 0.1, 0.1)
SQUARE, STRETCHED = 0.35, 0.3  # fractions that are stretched to a square, or towards one
WIDEST = 2.5  # how many times wider a digit may become when it is stretched to a square
BILEVEL = 0.55  # fraction of the scans that are black and white
HOLLOW = 0.06  # fraction of which only the outlines are left, as in digits to be coloured in
JPEG = 0.1  # fraction that is packed as JPEG
WORST_JPEG, BEST_JPEG = 8, 50  # JPEG's quality

Rng = np.random.Generator


def rescanned(images: Bytes, seed: int) -> Bytes:
    """Scan digits (N,28,28) uint8 once more, each by another scanner -> (N,28,28) uint8.  Blank pictures stay blank."""
    rng = np.random.default_rng([seed, STREAM])
    out = np.zeros_like(images)
    for i, image in enumerate(images):
        if image.any():
            out[i] = _rescan(image / 255, rng)
    return out


def _rescan(image: Float64s, rng: Rng) -> Bytes:
    """Scan one digit (H,W), ink 0..1 -> (28,28) uint8."""
    ink = tight_box(image)
    height, width = _size(ink.shape, rng)
    ink = resize(ink, height, width, smooth=True)
    if rng.random() < BILEVEL:
        ink = _black_and_white(ink, rng)
    enlarge = int(rng.integers(1, 4))
    ink = resize(ink, enlarge * height, enlarge * width, smooth=bool(rng.integers(2)))
    if rng.random() < HOLLOW:
        ink = _outline(np.pad(ink, 1))
    if rng.random() < JPEG:
        ink = _packed(ink, rng)
    return centred(ink)


def _size(shape: tuple[int, ...], rng: Rng) -> tuple[int, int]:
    """Draw a scan's height and width, for a digit of this shape: its own proportions, a square, or in between."""
    longer = int(rng.choice(SIDES, p=FRACTIONS))
    kind = rng.random()
    squareness = 1.0 if kind < SQUARE else rng.random() if kind < SQUARE + STRETCHED else 0.0
    slimness = max(shape) / min(shape)
    shorter = max(2, round(longer / slimness * min(slimness, WIDEST) ** squareness))
    return (longer, shorter) if shape[0] > shape[1] else (shorter, longer)


def _black_and_white(ink: Float64s, rng: Rng) -> Float64s:
    """Set ink (H,W) to 0 or 1, at a random level; to its strongest marks if nothing else would be left."""
    level = rng.uniform(0.25, 0.6) * ink.max()
    return (ink >= level).astype(np.float64)


def _outline(ink: Float64s) -> Float64s:
    """Return what is beside ink (H,W) 0..1 but not ink itself."""
    around = np.pad(ink, 1)
    height, width = ink.shape
    widened = np.max([around[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)
    return widened - ink


def _packed(ink: Float64s, rng: Rng) -> Float64s:
    """Pack ink (H,W) 0..1 as JPEG, enlarged as on a sheet of paper, and unpack it; faint traces become paper."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    sheet = np.pad(np.kron(ink, np.ones((2, 2))), 4)
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * (1 - sheet)).astype(np.uint8)).save(
        file, "JPEG", quality=int(rng.integers(WORST_JPEG, BEST_JPEG))
    )
    found = 1 - np.asarray(Image.open(file), np.float64) / 255
    return tight_box(np.where(found > 0.2 * found.max(), found, 0))


def resize(ink: Float64s, height: int, width: int, *, smooth: bool) -> Float64s:
    """Resize ink (H,W) -> (height,width): the average where it shrinks; where it grows, smooth or in blocks."""
    return resampling(ink.shape[0], height, smooth) @ ink @ resampling(ink.shape[1], width, smooth).T


def resampling(old: int, new: int, smooth: bool) -> Float64s:
    """Return the weights (new, old) of old pixels in each new one; each row sums to 1."""
    if smooth and new > old:
        places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old)))
    return area_weights(old, new)
