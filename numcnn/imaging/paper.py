"""From a picture to ink: its colours, the light divided out, the noise of the paper.

Paper is what stays when everything dark and narrower than a window is painted over with what lies around it: a closing,
the largest value in a window and then the smallest of these.  A shadow is wider than the window and stays; divided by
the paper it disappears, however hard its edge is.  Light ink on a dark ground is found the same way in the negative.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

from numcnn.errors import ShapeError
from numcnn.imaging.picture_files import (
    MIN_CONTRAST,
    WORKING_SIDE,
    PictureFile,
    PicturePage,
    is_pil_image,
    page_of_image,
)
from numcnn.imaging.preprocess import Picture, as_grey, noise_sigma
from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints, as_array

DARKEST = 40  # of 255: a darker ground counts as this dark, so that its noise is not blown up
COLOURLESS = 12  # of 255: a picture whose channels differ less, but for one pixel in 200, is read as grey
BLOCKS = 4  # to the longer side, in which the tone of most pixels is the paper's
NOISE_REACH = 5  # sigmas of the paper's noise that ink must exceed
SMOOTH_FROM = 3.0  # levels of noise from which ink is averaged over 3x3 pixels before it is looked for


class Ink(NamedTuple):
    """Ink on paper of one polarity.

    strength: (H,W) uint8, 0 on paper, 255 where ink takes all the light; smooth: the same with noise averaged out, to
    look for ink in; least: the strength below which it is paper; channels and papers: for each channel of the picture,
    or of its negative for light ink, its values and those of the paper without ink, (H,W) uint8.
    """

    strength: Bytes
    smooth: Bytes
    least: int
    channels: tuple[Bytes, ...]
    papers: tuple[Bytes, ...]


def load_colours(picture: Picture) -> tuple[Bytes, tuple[int, int]]:
    """Return a picture's colours, upright -> uint8 (H,W), or (H,W,3) if it has colours; and its size, (width, height).

    picture: as ``preprocess.prepare`` takes it.  Sides over 2048 pixels are averaged down by a whole number; the size
    is that before.  Raises as ``preprocess.prepare`` does.
    """
    if isinstance(picture, (str, os.PathLike, bytes)):
        with PictureFile(picture) as file:
            page = file.page()
    elif is_pil_image(picture):
        page = page_of_image(picture, "picture")
    else:
        page = _page_of_array(as_array("picture", picture))
    deep = page.pixels.dtype != np.uint8
    pixels = (np.rint(255 * page.pixels) if deep else page.pixels).astype(np.uint8, copy=False)
    return without_grey_channels(pixels), page.size


def _page_of_array(picture: AnyArray) -> PicturePage:
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    if picture.size == 0 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))):
        raise ShapeError(f"picture: got shape {picture.shape}; wants (H, W), or (H, W, 3 or 4) in colour, not empty")
    H, W = picture.shape[:2]
    if picture.dtype == np.uint8 and picture.shape[2:] in ((), (3,)) and max(H, W) <= WORKING_SIDE:
        return PicturePage(picture, 1, (W, H), 1, 1)
    if picture.dtype != np.uint8:
        values = as_grey(picture.reshape(len(picture), -1))
        picture = np.rint(values).astype(np.uint8).reshape(picture.shape)
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    return page_of_image(Image.fromarray(np.ascontiguousarray(picture)), "picture")


def without_grey_channels(colours: Bytes) -> Bytes:
    """Return (H,W) for a picture (H,W,3) without colours, else the picture."""
    if colours.ndim == 2:
        return colours
    some = colours[:: max(1, len(colours) // 500), :: max(1, colours.shape[1] // 500)].astype(np.int16)
    spread = np.ptp(some, axis=2)
    if np.quantile(spread, 0.995) >= COLOURLESS:
        return colours
    red, green, blue = (colours[:, :, i].astype(np.uint16) for i in range(3))
    return ((77 * red + 150 * green + 29 * blue) >> 8).astype(np.uint8)  # luminance


def running(values: Bytes, reach: int, axis: int, *, largest: bool) -> Bytes:
    """Return the largest or smallest value within ``reach`` pixels along one axis.  (H,W) uint8 -> (H,W).

    Windows are cut off at the picture's edges.  Each step doubles the width that one comparison covers.
    """
    choose, neutral = (np.maximum, 0) if largest else (np.minimum, 255)
    count, width = values.shape[axis], 2 * reach + 1
    pad = [(0, 0), (0, 0)]
    pad[axis] = (reach, reach)
    now = np.pad(values, pad, constant_values=neutral)

    def cut(array: Bytes, first: int, length: int) -> Bytes:
        return array[first : first + length] if axis == 0 else array[:, first : first + length]

    done = 1
    while 2 * done <= width:
        length = now.shape[axis] - done
        now = choose(cut(now, 0, length), cut(now, done, length))
        done *= 2
    return choose(cut(now, 0, count), cut(now, width - done, count))


def lighter_channels(colours: Bytes) -> list[bool]:
    """Return for each channel of a picture (H,W,C) whether ink makes it lighter than paper.

    Paper is the median of a block, a quarter of the longer side; ink what differs from it, few and strong pixels first.
    """
    H, W = colours.shape[:2]
    step = max(1, min(H, W) // 160)
    some = colours[::step, ::step].astype(np.float32)
    side = max(4, max(some.shape[:2]) // BLOCKS)
    total = np.zeros(colours.shape[2])
    for top in range(0, some.shape[0], side):
        for left in range(0, some.shape[1], side):
            block = some[top : top + side, left : left + side].reshape(-1, colours.shape[2])
            total += ((block - np.median(block, axis=0)) ** 3).sum(axis=0, dtype=np.float64)
    return (total > 0).tolist()


def closing(values: Bytes, reach: int) -> Bytes:
    """Fill what is darker than all around it and narrower than 2 reach + 1 pixels.  (H,W) uint8 -> (H,W)."""
    for largest in (True, False):
        for axis in (0, 1):
            values = running(values, reach, axis, largest=largest)
    return values


def smooth3(values: Bytes) -> Bytes:
    """Average 3x3 pixels.  (H,W) uint8 -> (H,W) uint8."""
    padded = np.pad(values, 1, mode="edge").astype(np.uint16)
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return ((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4) // 9).astype(np.uint8)


def ink_on_paper(colours: Bytes, reach: int, *, light: bool = False) -> Ink:
    """Divide the light out and return the ``Ink``.  colours: uint8 (H,W) or (H,W,C).

    reach: pixels; strokes are narrower than twice this, shadows wider.  light: light ink on a dark ground.  In a colour
    picture the channel that the ink darkens most counts, pixel by pixel: red on green shows even at equal luminance.
    """
    channels = (colours,) if colours.ndim == 2 else tuple(colours[:, :, i] for i in range(colours.shape[2]))
    channels = tuple(255 - channel if light else np.ascontiguousarray(channel) for channel in channels)
    large = min(colours.shape[:2]) > 40
    papers = tuple(closing(smooth3(values) if large else values, reach) for values in channels)
    strength = _absorbed(channels[0], papers[0])
    for values, ground in zip(channels[1:], papers[1:], strict=True):
        np.maximum(strength, _absorbed(values, ground), out=strength)
    median = int(median_level(strength[:: max(1, len(strength) // 256)]))  # the closing keeps the noise's upper side
    if median:
        strength = np.maximum(strength, median) - np.uint8(median)
    sigma = max(
        noise_sigma(values) * 255 / max(DARKEST, median_level(ground[:: max(1, len(ground) // 256)]))
        for values, ground in zip(channels, papers, strict=True)
    )
    smooth = strength
    if sigma >= SMOOTH_FROM:
        smooth, sigma = smooth3(strength), sigma / 2
    return Ink(strength, smooth, max(MIN_CONTRAST, round(NOISE_REACH * sigma)), channels, papers)


def _missing_light() -> Bytes:
    """Return what part of a paper's light a value lacks, 255 for all of it, at index 256 paper + value: (65536,)."""
    paper, values = np.divmod(np.arange(65536), 256)
    return (255 * np.maximum(paper - values, 0) * (65536 // np.maximum(paper, DARKEST)) >> 16).astype(np.uint8)


_MISSING = _missing_light()


def _absorbed(values: Bytes, paper: Bytes) -> Bytes:
    """Return what part of the paper's light is missing, 255 for all of it.  (H,W), (H,W) uint8 -> (H,W) uint8."""
    return _MISSING[(paper.astype(np.uint16) << 8) | values]


def histograms(values: Bytes, owners: Ints, count: int) -> Ints:
    """Return how often each level occurs among each owner's values.  (K,) uint8, (K,) -> (count,256)."""
    return np.bincount(owners * 256 + values, minlength=256 * count).reshape(count, 256)


def grey_of_colours(colours: Bytes) -> Floats:
    """Return the mean of the channels, (H,W) float32."""
    return colours.astype(np.float32) if colours.ndim == 2 else colours.mean(axis=2, dtype=np.float32)


def median_level(values: AnyArray) -> float:
    """Return ``np.median`` of levels, whole numbers 0..255 of any shape but not none, in a fraction of its time."""
    below, above = _middle(values)
    return (below + above) / 2


def median_grey(colours: Bytes) -> float:
    """Return ``np.median`` of ``grey_of_colours``, in a fraction of its time."""
    channels = [colours] if colours.ndim == 2 else [colours[:, :, i] for i in range(colours.shape[2])]
    sums = channels[0].astype(np.uint16)
    for channel in channels[1:]:
        sums += channel
    middle = np.array(_middle(sums))[:, None, None]
    alike = np.clip(middle - 255 * np.arange(len(channels)), 0, 255).astype(np.uint8)  # pixels with these sums
    return float(np.median(grey_of_colours(alike)))


def _middle(levels: AnyArray) -> tuple[int, int]:
    """Return the two whole numbers >= 0 in the middle, twice the same of an odd number: there are few levels."""
    upto = np.cumsum(np.bincount(levels.ravel()))
    below, above = np.searchsorted(upto, [(levels.size - 1) // 2, levels.size // 2], side="right").tolist()
    return below, above
