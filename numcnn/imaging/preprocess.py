"""Turn any picture of a digit into the 28x28 that MNIST's makers would have made of it.

MNIST's pictures come from bilevel scans (facebookresearch/qmnist, `making_qmnist/xnist.lsh`): tight ink box, widened to
a square, resized to 20x20 by area averaging, then centred in 28x28 by its centre of mass.  Here the same steps follow a
search for the ink: a user's picture has paper of any tone, noise and shades.  Commands, pad and generator all use this.
"""

from __future__ import annotations

import functools
import math
import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from numcnn.errors import DataError, ShapeError
from numcnn.imaging.picture_files import (
    MIN_CONTRAST,
    check_size,
    grey_of_colours,
    is_pil_image,
    load_picture,
    page_of_image,
)
from numcnn.kernels.arrays import AnyArray, Bytes, Float64s, Floats, as_array

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "npt.ArrayLike | str | os.PathLike[str] | bytes | Image.Image"  # see ``prepare``

SIDE = 28  # a finished picture
BOX = 20  # the digit's square inside it
LARGE = 2 * BOX  # from this ink box on, a pixel of the picture is at most half a pixel of the result
NOISE_REACH = 4  # sigmas of the paper's noise that are cut off: all but one pixel in 30,000
LEAST_NOISE = 6  # sigmas of the paper's noise that ink must exceed: more than 16 million blank pixels reach (5.3)
LEAST_SHADE = 5  # times the border's unevenness that ink must exceed; an even slope of light reaches 2
QUARTILE = 0.25  # of the border's values, nearest to paper: they are paper even if a tight crop cuts through ink
CACHED_SIZE = 200  # pixels of a side up to which weights of means are kept, 3 MB for all sizes
MAX_FAINT = 0.45  # faint per clear ink pixel: at most 0.38 in 99.9% of MNIST, at least 0.53 in 99% of JPEG copies
_LEVELS = np.arange(256)
_CENTRES = np.arange(BOX) + 0.5  # of pixels


def centre_in_28(box20: AnyArray) -> AnyArray:
    """Move the centre of mass to the middle.  (20,20) -> (28,28) or (N,20,20) -> (N,28,28); ink is high.

    The rule of MNIST's makers: with barycentre b, pixel centres at i + 0.5, the box moves down and right by the whole
    number int(15 - b), so that the centre of mass gets index 13.5 to 14.5 (not 13.5).  Clamped to 0..8, which keeps
    the box inside.  The dtype is kept; uint8 is exact, float sums may round differently at the edge of a whole number.
    Raises ShapeError for another shape and DataError for a box without ink.
    """
    box20 = np.asarray(box20)
    if box20.ndim not in (2, 3) or box20.shape[-2:] != (BOX, BOX):
        raise ShapeError(f"centre_in_28: got shape {box20.shape}; wants (20, 20) or (N, 20, 20)")
    boxes = box20.reshape(-1, BOX, BOX)
    mass_by_row = boxes.sum(axis=2, dtype=np.float64)
    mass_by_column = boxes.sum(axis=1, dtype=np.float64)
    mass = mass_by_row.sum(axis=1)
    if not np.all((mass > 0) & np.isfinite(mass)):
        raise DataError("centre_in_28: no ink found in a box; check for blank pictures first")
    top = np.clip(15 - mass_by_row @ _CENTRES / mass, 0, SIDE - BOX).astype(np.intp)
    left = np.clip(15 - mass_by_column @ _CENTRES / mass, 0, SIDE - BOX).astype(np.intp)
    rows = top[:, None] + np.arange(BOX)
    columns = left[:, None] + np.arange(BOX)
    out = np.zeros((len(boxes), SIDE, SIDE), box20.dtype)
    out[np.arange(len(boxes))[:, None, None], rows[:, :, None], columns[:, None, :]] = boxes
    return out.reshape(*box20.shape[:-2], SIDE, SIDE)


def centre_one(box20: Bytes) -> Bytes:
    """Do as ``centre_in_28`` with one box (20,20) uint8 that has ink, in a third of the time.  -> (28,28) uint8."""
    rows, columns = (box20.sum(axis=axis, dtype=np.float64) for axis in (1, 0))
    mass = float(rows.sum())  # these sums are whole numbers and halves, so they are exact in any order
    top, left = (min(max(int(15 - float(sums @ _CENTRES) / mass), 0), SIDE - BOX) for sums in (rows, columns))
    out = np.zeros((SIDE, SIDE), np.uint8)
    out[top : top + BOX, left : left + BOX] = box20
    return out


def prepare(picture: Picture) -> Bytes:
    """Turn a picture of one digit into an MNIST picture.  -> (28,28) uint8, ink high, strongest pixel 255.

    picture: a path, the bytes of a file, a PIL image, or an array of any size: grey (H,W) or (H,W,1), RGB (H,W,3) or
    RGBA (H,W,4).  Of a file with several pages, the first counts.  Values are bool, 0..255 in any whole-number dtype,
    uint16 up to 65535, or float 0..1; dark ink on light paper or light on dark.  Colours count with 8 bits, as in a PNG
    file.  Raises ShapeError for another rank or dtype, and DataError for values out of range, for a damaged file and
    when no ink is found.
    """
    if isinstance(picture, (str, os.PathLike)):
        return prepare_file(picture)
    if isinstance(picture, bytes):
        grey = load_picture(picture)
    elif is_pil_image(picture):
        grey = page_of_image(picture, "picture", grey=True).pixels
    else:
        grey = grey_of_array(as_array("picture", picture))
    return centred(separate_ink(as_grey(grey)))


def centred(ink: Floats) -> Bytes:
    """Turn the ink of one digit into an MNIST picture.  ink (H,W) >= 0, paper 0, not all 0 -> (28,28) uint8."""
    box = area_average(square_crop(ink))
    return centre_one(np.floor(255 * box / box.max() + 0.5).astype(np.uint8))


def prepare_file(path: str | os.PathLike[str]) -> Bytes:
    """Turn a picture file of one digit into an MNIST picture.  -> (28,28) uint8.  Raises DataError with the path."""
    try:
        return prepare(load_picture(path))
    except DataError as error:
        text = str(error)
        raise (error if text.startswith(str(path)) else DataError(f"{path}: {text}")) from None


def grey_of_array(picture: AnyArray) -> AnyArray:
    """Convert an RGB (H,W,3) or RGBA (H,W,4) array to grey as its PNG file would be; (H,W,1) to (H,W); keep others."""
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or picture.size == 0:
        return picture
    if picture.shape[2] == 1:
        return picture[:, :, 0]
    H, W, _ = picture.shape
    check_size("picture", (W, H))
    if picture.dtype != np.uint8:
        values = as_grey(picture.reshape(H, -1))  # 0..255, checked
        picture = np.rint(values).astype(np.uint8).reshape(picture.shape)
    return grey_of_colours(picture)


def as_grey(picture: npt.ArrayLike) -> Floats:
    """Check a picture and scale it to the range 0..255.  (H,W) -> (H,W) float32.  Raises ShapeError, DataError.

    In this range 8-bit greys are whole numbers, so that a picture and its negative give the same bits.
    """
    picture = np.asarray(picture)
    if picture.ndim != 2 or picture.size == 0:
        raise ShapeError(
            f"picture: got shape {picture.shape}; wants one grey picture (H, W), or (H, W, 3 or 4) in colour, not empty"
        )
    if picture.dtype.kind not in "buif":
        raise ShapeError(f"picture: got dtype {picture.dtype}; wants bool, whole numbers 0..255 or float 0..1")
    low, high = picture.min(), picture.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError("picture: contains NaN or infinity; wants finite numbers")
    full = 1 if picture.dtype.kind in "bf" else 65535 if picture.dtype.newbyteorder("=") == np.uint16 else 255
    if low < 0 or high > full:
        raise DataError(f"picture: values run from {low} to {high}; dtype {picture.dtype} wants 0..{full}")
    return picture.astype(np.float32) / np.float32(full / 255)


def border(grey: Floats) -> Floats:
    """Return the values of the outermost ring, 2% of the shorter side wide: usually paper.  (H,W) -> (K,)."""
    width = max(1, round(0.02 * min(grey.shape)))
    if 2 * width >= min(grey.shape):
        return grey.ravel()
    sides = grey[width:-width]
    parts = grey[:width], sides[:, :width], sides[:, -width:], grey[-width:]
    return np.concatenate([part.ravel() for part in parts])


def separate_ink(grey: Floats) -> Floats:
    """Separate ink from paper.  grey (H,W) float 0..255 -> ink (H,W) float >= 0, paper exactly 0.

    Paper is the border's median.  Ink is what differs from it to the side, darker or lighter, with the larger sum of
    cubed differences: a few strong marks outweigh much faint shade.  Raises DataError when nothing stands out.
    """
    if grey.min() == grey.max():
        raise DataError("the picture is all one shade; a digit needs lines that are darker or lighter than the paper")
    ring = border(grey)
    paper = median(ring)
    ink = grey - paper
    if np.sum(ink * ink * ink, dtype=np.float64) < 0:
        ink = -ink
    peak = float(ink.max())
    shade = float(quantile(np.abs(ring - paper), QUARTILE))
    sigma = noise_sigma(grey)
    needed = max(MIN_CONTRAST, LEAST_SHADE * shade, LEAST_NOISE * sigma)
    if peak < needed:
        raise DataError(
            f"no ink found: the strongest mark differs from the paper by {peak:.0f} of 255 levels, too little beside "
            "the paper's own shades and noise; the digit needs stronger lines, or even paper on all sides of it"
        )
    return drop_paper(np.maximum(ink, 0), NOISE_REACH * sigma)


def noise_sigma(grey: AnyArray) -> float:
    """Estimate the standard deviation of the paper's noise, hardly affected by shade and ink.  (H,W) -> float.

    From the lower quartile of neighbours' absolute differences: 0.3186 sqrt(2) sigma for Gaussian noise.  64 to 127
    rows are enough.
    """
    if grey.shape[1] < 2:
        return 0.0
    rows = grey[:: max(1, len(grey) // 64)].astype(np.float32, copy=False)
    return float(quantile(np.abs(rows[:, 1:] - rows[:, :-1]).ravel(), QUARTILE)) / (0.3186 * math.sqrt(2))


def median(values: Floats) -> np.floating[Any]:
    """Return ``np.median`` of finite values (N,), to the bit, in a fraction of its time for a few."""
    ordered = np.sort(values)  # NumPy sorts with vector instructions, and takes five times as long to partition
    middle = len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(values: AnyArray, share: float) -> np.number[Any]:
    """Return ``np.quantile`` of finite values (N,), in a fraction of its time for a few.

    The same to the last bit for whole numbers, and for floats if ``share`` is a quarter.
    """
    ordered = np.sort(values)
    place = (len(values) - 1) * share
    first = int(place)
    below, above = ordered[first], ordered[min(first + 1, len(values) - 1)]
    kind = values.dtype.type if values.dtype.kind == "f" else np.float64
    part, gap = kind(place - first), above - below
    return above - gap * (1 - part) if part >= 0.5 else below + gap * part


def drop_paper(ink: Floats, noise: float) -> Floats:
    """Set paper to 0.  ink (H,W) >= 0; noise: the strength paper may show -> (H,W) >= 0.

    Strokes have about twice the strength t that Otsu's method finds.  In a large picture, marks below t/2 or the noise
    are paper and the greys run from there to full at the same distance above t: nearly the bilevel scan MNIST was made
    of.  In a small one every grey is part of the shape and stays, unless there are too many faint ones, as JPEG leaves
    around strokes: then marks below t/4 or the noise are paper.
    """
    small = max(ink.shape) < LARGE
    if small and _few_faint(ink, float(ink.max()) / 4):
        return ink  # nor are there more below t/4, as t is at most the strongest ink
    threshold = otsu_threshold(ink)
    strongest_paper = 0.9 * threshold
    if not small and max(tight_box(ink >= threshold).shape) >= LARGE:
        low = min(max(threshold / 2, noise), strongest_paper)
        return np.clip((ink - low) / (2 * (threshold - low)), 0, 1)
    faint = threshold / 4
    if _few_faint(ink, faint):
        return ink
    return np.where(ink > min(max(faint, noise), strongest_paper), ink, 0)


def _few_faint(ink: Floats, faint: float) -> bool:
    """Return whether so few marks are weaker than ``faint`` that all may be part of the shape."""
    clear_count = np.count_nonzero(ink >= faint)
    return bool(np.count_nonzero(ink) - clear_count <= MAX_FAINT * clear_count)


def otsu_threshold(values: Floats) -> float:
    """Return the level that best splits values >= 0, not all 0, in two: most variance between classes (Otsu 1979).

    Where a range of levels splits equally well, as between the two tones of a clean scan, it is the middle of it.
    """
    peak = float(values.max())
    counts = np.bincount((values / peak * 255).astype(np.uint8).ravel(), minlength=256)
    below = np.cumsum(counts)[:-1]
    above = values.size - below  # never 0: the peak alone has level 255
    sums = np.cumsum(counts * _LEVELS)
    sum_below = sums[:-1]
    gap = (sums[-1] - sum_below) / above - sum_below / np.maximum(below, 1)
    between = below * above * gap**2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(1 + best.mean()) / 255 * peak


def tight_box(ink: AnyArray) -> AnyArray:
    """Return the smallest box, a view, that holds all ink.  (H,W) -> (h,w)."""
    rows, columns = (np.nonzero(ink.any(axis=axis))[0] for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def square_crop(ink: Floats) -> Floats:
    """Cut out the tight box and pad its shorter side to a square, evenly on both sides.  (H,W) -> (S,S)."""
    box = tight_box(ink)
    height, width = box.shape
    side = max(box.shape)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), box.dtype)
    square[top : top + height, left : left + width] = box
    return square


def area_average(square: Floats) -> Float64s:
    """Resize by exact area averaging.  (S,S) -> (20,20) float64; the identity for S = 20.

    A new pixel is the mean of the pixels that it covers, weighted by the covered area.  MNIST's makers doubled
    the pixels of crops under 20 px first; an exact average is the same with and without that.
    """
    size = len(square)
    if size == BOX:
        return square.astype(np.float64)
    weights = area_weights(size, BOX) if size <= CACHED_SIZE else area_weights.__wrapped__(size, BOX)
    return weights @ square.astype(np.float64) @ weights.T


@functools.lru_cache(maxsize=2 * CACHED_SIZE)
def area_weights(size: int, means: int) -> Float64s:
    """Return which share of each of ``means`` means each of ``size`` values has.  -> (means,size); rows sum to 1."""
    # In units of 1/means of an old pixel every edge is a whole number: new pixels are `size` wide, old ones `means`.
    new = np.arange(means)[:, None] * size
    old = np.arange(size)[None, :] * means
    overlap = np.minimum(new + size, old + means) - np.maximum(new, old)
    return np.maximum(overlap, 0) / size
