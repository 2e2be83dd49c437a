"""Turn any picture of a digit into the 28x28 that MNIST's makers would have made of it.

MNIST's pictures come from bilevel scans (facebookresearch/qmnist, `making_qmnist/xnist.lsh`): tight ink box, widened to
a square, resized to 20x20 by area averaging, then centred in 28x28 by its centre of mass.  Here the same steps follow a
search for the ink: a user's picture has paper of any tone, noise and shades.  Commands, pad and generator all use this.
"""

from __future__ import annotations

import math
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from numcnn.errors import DataError, ShapeError
from numcnn.kernels.arrays import AnyArray, Bytes, Float64s, Floats

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "npt.ArrayLike | str | os.PathLike[str] | Image.Image"  # see ``prepare``

SIDE = 28  # a finished picture
BOX = 20  # the digit's square inside it
LARGE = 2 * BOX  # from this ink box on, a pixel of the picture is at most half a pixel of the result
MIN_CONTRAST = 10  # of 255 levels; less is the shade of a blank sheet
NOISE_REACH = 4  # sigmas of the paper's noise that are cut off: all but one pixel in 30,000
LEAST_NOISE = 6  # sigmas of the paper's noise that ink must exceed: more than 16 million blank pixels reach (5.3)
LEAST_SHADE = 5  # times the border's unevenness that ink must exceed; an even slope of light reaches 2
QUARTILE = 0.25  # of the border's values, nearest to paper: they are paper even if a tight crop cuts through ink
MAX_FAINT = 0.45  # faint per clear ink pixel: at most 0.38 in 99.9% of MNIST, at least 0.53 in 99% of JPEG copies

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # none that runs a program, like EPS
MAX_PIXELS = 64_000_000  # phones make 12 to 50 million; RGB of this size takes 192 MB
WORKING_SIDE = 2048  # larger pictures are averaged down by a whole number: 20 of these pixels make a digit


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
    pixel_centres = np.arange(BOX) + 0.5
    top = np.clip(15 - mass_by_row @ pixel_centres / mass, 0, SIDE - BOX).astype(np.intp)
    left = np.clip(15 - mass_by_column @ pixel_centres / mass, 0, SIDE - BOX).astype(np.intp)
    rows = top[:, None] + np.arange(BOX)
    columns = left[:, None] + np.arange(BOX)
    out = np.zeros((len(boxes), SIDE, SIDE), box20.dtype)
    out[np.arange(len(boxes))[:, None, None], rows[:, :, None], columns[:, None, :]] = boxes
    return out.reshape(*box20.shape[:-2], SIDE, SIDE)


def prepare(picture: Picture) -> Bytes:
    """Turn a picture of one digit into an MNIST picture.  -> (28,28) uint8, ink high, strongest pixel 255.

    picture: a path, a PIL image, or an array of any size: grey (H,W) or (H,W,1), RGB (H,W,3) or RGBA (H,W,4).  Values
    are bool, 0..255 in any whole-number dtype, uint16 up to 65535, or float 0..1; dark ink on light paper or light on
    dark.  Colours count with 8 bits, as in a PNG file.  Raises ShapeError for another rank or dtype, and DataError for
    values out of range, for a damaged file and when no ink is found.
    """
    if isinstance(picture, (str, os.PathLike)):
        return prepare_file(picture)
    grey = grey_of_image(picture, "picture") if is_pil_image(picture) else grey_of_array(np.asarray(picture))
    ink = separate_ink(as_grey(grey))
    box = area_average(square_crop(ink))
    return centre_in_28(np.floor(255 * box / box.max() + 0.5).astype(np.uint8))


def prepare_file(path: str | os.PathLike[str]) -> Bytes:
    """Turn a picture file of one digit into an MNIST picture.  -> (28,28) uint8.  Raises DataError with the path."""
    try:
        return prepare(load_picture(path))
    except DataError as error:
        text = str(error)
        raise (error if text.startswith(str(path)) else DataError(f"{path}: {text}")) from None


def is_pil_image(thing: object) -> TypeGuard[Image.Image]:
    """Return whether this is a PIL image, without loading PIL: if it isn't loaded, there are no PIL images."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(thing, module.Image)


def grey_of_array(picture: AnyArray) -> AnyArray:
    """Convert an RGB (H,W,3) or RGBA (H,W,4) array to grey as its PNG file would be; (H,W,1) to (H,W); keep others."""
    if picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or picture.size == 0:
        return picture
    if picture.shape[2] == 1:
        return picture[:, :, 0]
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    H, W, _ = picture.shape
    check_size("picture", (W, H))
    values = as_grey(picture.reshape(H, -1))  # 0..255, checked
    pixels = np.rint(values).astype(np.uint8).reshape(picture.shape)
    return grey_of(Image.fromarray(pixels))


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
    ring = np.ones(grey.shape, bool)
    ring[width:-width, width:-width] = False
    return grey[ring]


def separate_ink(grey: Floats) -> Floats:
    """Separate ink from paper.  grey (H,W) float 0..255 -> ink (H,W) float >= 0, paper exactly 0.

    Paper is the border's median.  Ink is what differs from it to the side, darker or lighter, with the larger sum of
    cubed differences: a few strong marks outweigh much faint shade.  Raises DataError when nothing stands out.
    """
    if grey.min() == grey.max():
        raise DataError("the picture is all one shade; a digit needs lines that are darker or lighter than the paper")
    ring = border(grey)
    paper = np.median(ring)
    ink = grey - paper
    if np.sum(ink * ink * ink, dtype=np.float64) < 0:
        ink = -ink
    peak = float(ink.max())
    shade = float(np.quantile(np.abs(ring - paper), QUARTILE))
    sigma = noise_sigma(grey)
    needed = max(MIN_CONTRAST, LEAST_SHADE * shade, LEAST_NOISE * sigma)
    if peak < needed:
        raise DataError(
            f"no ink found: the strongest mark differs from the paper by {peak:.0f} of 255 levels, too little beside "
            "the paper's own shades and noise; the digit needs stronger lines, or even paper on all sides of it"
        )
    return drop_paper(np.maximum(ink, 0), NOISE_REACH * sigma)


def noise_sigma(grey: Floats) -> float:
    """Estimate the standard deviation of the paper's noise, hardly affected by shade and ink.  (H,W) -> float.

    From the lower quartile of neighbours' absolute differences: 0.3186 sqrt(2) sigma for Gaussian noise.  64 to 127
    rows are enough.
    """
    if grey.shape[1] < 2:
        return 0.0
    rows = grey[:: max(1, len(grey) // 64)]
    return float(np.quantile(np.abs(np.diff(rows, axis=1)), QUARTILE)) / (0.3186 * math.sqrt(2))


def drop_paper(ink: Floats, noise: float) -> Floats:
    """Set paper to 0.  ink (H,W) >= 0; noise: the strength paper may show -> (H,W) >= 0.

    Strokes have about twice the strength t that Otsu's method finds.  In a large picture, marks below t/2 or the noise
    are paper and the greys run from there to full at the same distance above t: nearly the bilevel scan MNIST was made
    of.  In a small one every grey is part of the shape and stays, unless there are too many faint ones, as JPEG leaves
    around strokes: then marks below t/4 or the noise are paper.
    """
    threshold = otsu_threshold(ink)
    strongest_paper = 0.9 * threshold
    if max(tight_box(ink >= threshold).shape) >= LARGE:
        low = min(max(threshold / 2, noise), strongest_paper)
        return np.clip((ink - low) / (2 * (threshold - low)), 0, 1)
    faint = threshold / 4
    clear_count = np.count_nonzero(ink >= faint)
    if np.count_nonzero(ink) - clear_count <= MAX_FAINT * clear_count:
        return ink
    return np.where(ink > min(max(faint, noise), strongest_paper), ink, 0)


def otsu_threshold(values: Floats) -> float:
    """Return the level that best splits values >= 0, not all 0, in two: most variance between classes (Otsu 1979).

    Where a range of levels splits equally well, as between the two tones of a clean scan, it is the middle of it.
    """
    peak = float(values.max())
    levels = np.arange(256)
    counts = np.bincount((values / peak * 255).astype(np.uint8).ravel(), minlength=256)
    below = np.cumsum(counts)[:-1]
    above = values.size - below  # never 0: the peak alone has level 255
    sum_below = np.cumsum(counts * levels)[:-1]
    gap = (counts @ levels - sum_below) / above - sum_below / np.maximum(below, 1)
    between = below * above * gap**2
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))
    return float(1 + best.mean()) / 255 * peak


def tight_box(ink: AnyArray) -> AnyArray:
    """Return the smallest box, a view, that holds all ink.  (H,W) -> (h,w)."""
    rows = np.flatnonzero(ink.any(axis=1))
    columns = np.flatnonzero(ink.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def square_crop(ink: Floats) -> Floats:
    """Cut out the tight box and pad its shorter side to a square, evenly on both sides.  (H,W) -> (S,S)."""
    box = tight_box(ink)
    missing = [max(box.shape) - side for side in box.shape]
    return np.pad(box, [(gap // 2, gap - gap // 2) for gap in missing])


def area_average(square: Floats) -> Float64s:
    """Resize by exact area averaging.  (S,S) -> (20,20) float64; the identity for S = 20.

    A new pixel is the mean of the pixels that it covers, weighted by the covered area.  MNIST's makers doubled
    the pixels of crops under 20 px first; an exact average is the same with and without that.
    """
    size = len(square)
    # Measured in twentieths of an old pixel every edge is a whole number: new pixels are `size` wide and old ones 20.
    new = np.arange(BOX)[:, None] * size
    old = np.arange(size)[None, :] * BOX
    overlap = np.minimum(new + size, old + BOX) - np.maximum(new, old)
    weights = np.maximum(overlap, 0) / size  # (20,S); each row sums to 1
    return weights @ square.astype(np.float64) @ weights.T


def load_picture(path: str | os.PathLike[str]) -> Bytes | Floats:
    """Read a picture file as grey.  -> (H,W) uint8, or float32 0..1 from files with more than 8 bits.

    Colour becomes luminance; transparency is laid on white, or on black if white would hide everything; the camera's
    rotation mark is applied; of an animation, the first frame counts; sides over 2048 are averaged
    down by whole numbers.
    Raises DataError, with the path, for a file that is missing, damaged, too large or in no known picture format.
    """
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    check_file(path)
    with reading(str(path)), Image.open(path, formats=FORMATS) as image:
        return grey_of_image(image, str(path), in_place=True)


def grey_of_image(image: Image.Image, name: str, in_place: bool = False) -> Bytes | Floats:
    """Convert a PIL image to grey, upright: see ``load_picture``.  Raises DataError, which begins with ``name``.

    in_place: the image may be turned itself, which copies only pictures that need it.
    """
    from PIL import ImageOps  # noqa: PLC0415  (loads slowly)

    with reading(name):
        check_size(name, image.size)
        if in_place:
            ImageOps.exif_transpose(image, in_place=True)
        else:
            image = ImageOps.exif_transpose(image)
        return grey_of(image)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn all that PIL raises over a bad picture into a DataError that begins with ``name``."""
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415  (loads slowly)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata, and about sizes that MAX_PIXELS refuses anyway
            yield
    except DataError:
        raise
    except UnidentifiedImageError:
        formats = ", ".join(FORMATS)
        raise DataError(f"{name}: not a picture in a known format ({formats}); save it as PNG") from None
    except Image.DecompressionBombError:
        raise DataError(f"{name}: the picture declares more than {MAX_PIXELS:,} pixels; make it smaller") from None
    except Exception as error:  # damaged bytes can raise anything: OSError, SyntaxError, struct.error ...
        raise DataError(f"{name}: damaged or incomplete picture ({error}); save it again as PNG") from None


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise DataError unless path is a readable regular file with something in it; a pipe could block for ever."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else error
        raise DataError(f"{path}: {reason}; check the path") from None
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path}: is a folder; name a picture file in it")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: is not a regular file; name a picture file")
    if status.st_size == 0:
        raise DataError(f"{path}: the file is empty; save the picture again")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: no permission to read it; change the file's mode or owner")


def check_size(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Raise DataError if a picture declares more than MAX_PIXELS, before its data is decoded."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise DataError(f"{path}: {width} x {height} pixels are more than {MAX_PIXELS:,}; make the picture smaller")


def grey_of(image: Image.Image) -> Bytes | Floats:
    """Convert a Pillow image of any mode to grey.  -> (H,W) uint8, or float32 0..1 from 16- and 32-bit greys."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    deep = image.mode.startswith(("I", "F"))
    transparent = image.has_transparency_data and not deep
    mode = "RGBA" if transparent else "L"
    if deep:
        image = deep_grey(np.asarray(image))
    elif image.mode != mode:
        image = image.convert(mode)
    factor = math.ceil(max(image.size) / WORKING_SIDE)
    if factor > 1:
        image = image.reduce(factor)
    if not transparent:
        return np.asarray(image)
    on_white, on_black = (
        np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, paper), image).convert("L"))
        for paper in ("white", "black")
    )
    hidden = on_white.min() > 255 - MIN_CONTRAST  # white ink on nothing
    return on_black if hidden else on_white


def deep_grey(values: AnyArray) -> Image.Image:
    """Scale greys of more than 8 bits by the smallest range they fit: 1, 255 or 65535.  (H,W) -> Pillow image, 0..1.

    Pillow's own conversion to 8 bits clips at 255, which turns a 16-bit scan white.  Raises ValueError beyond 65535.
    """
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 65535):  # also if one of them is NaN
        raise ValueError(f"greys run from {low} to {high}; wants 0 to 65535 at most")
    fits = (1, 255, 65535) if values.dtype.kind == "f" else (65535,)
    full = next(limit for limit in fits if high <= limit)
    return Image.fromarray(values.astype(np.float32) / np.float32(full))
