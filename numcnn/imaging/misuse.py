"""Misused input, which makes digit demos disappoint: off-centre, too small, inverted, pale, too bold or too fine.

Each function takes one of MNIST's pictures and returns the picture that a careless user might hand in.  ``preprocess``
should undo the misuse; `accuracy_drop` measures what it still costs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from numcnn.imaging import photo, preprocess
from numcnn.kernels.arrays import Bytes, Ints

if TYPE_CHECKING:
    from PIL import Image

ROOM = 3  # a larger sheet's side, in sides of the digit's picture
FINER = 4  # how much the picture is enlarged before its pen is changed
PALE = 0.25  # the fraction of the contrast that is left
LEAST_CONTRAST = 0.2  # between coloured ground and ink, of the light of white
TEXTURE = 0.03  # standard deviation of the light on textured ground


class HasAccuracy(Protocol):
    """What `accuracy_drop` needs of an ``evaluation.metrics.Evaluation``."""

    @property
    def accuracy(self) -> float:
        """The fraction of pictures that were read correctly."""
        ...


class Evaluates(Protocol):
    """What `accuracy_drop` needs of a network."""

    def evaluate(self, images: Bytes, labels: Ints, /) -> HasAccuracy:
        """Classify images (N,28,28) and compare with labels (N,)."""
        ...


def resized(picture: Bytes, factor: float) -> Bytes:
    """Scale a picture (H,W) uint8 by ``factor``, on a sheet with room around it -> (h,w) uint8."""
    height, width = (max(1, round(side * factor)) for side in picture.shape)
    return np.pad(np.asarray(_resize(picture, height, width)), max(height, width) // 2)


def moved(picture: Bytes, rng: np.random.Generator) -> Bytes:
    """Put a picture (H,W) uint8 anywhere on a larger sheet -> (3H,3W) uint8."""
    sheet = np.zeros([ROOM * side for side in picture.shape], np.uint8)
    top, left = (rng.integers(0, (ROOM - 1) * side + 1) for side in picture.shape)
    sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def redraw_with_pen(picture: Bytes, pixels: float) -> Bytes:
    """Make the pen ``pixels`` broader (above 0) or finer: a picture (H,W) uint8 -> (4H+16,4W+16) uint8, enlarged."""
    from PIL import ImageFilter  # noqa: PLC0415  (loads slowly)

    height, width = (FINER * (side + 4) for side in picture.shape)
    large = _resize(np.pad(picture, 2), height, width)
    reach = 1 + 2 * round(abs(pixels) / 2 * FINER)
    return np.asarray(large.filter(ImageFilter.MaxFilter(reach) if pixels > 0 else ImageFilter.MinFilter(reach)))


def _resize(picture: Bytes, height: int, width: int) -> Image.Image:
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    return Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)


MISUSES: dict[str, Callable[[Bytes, np.random.Generator], Bytes]] = {
    "anywhere on the sheet": moved,
    "14 pixels high": lambda picture, rng: resized(picture, 0.7),
    "28 pixels high": lambda picture, rng: resized(picture, 1.4),
    "100 pixels high": lambda picture, rng: resized(picture, 5),
    "dark on light": lambda picture, rng: 255 - picture,
    "a quarter of the contrast": lambda picture, rng: (60 + PALE * picture).astype(np.uint8),
    "pen 2 pixels broader": lambda picture, rng: redraw_with_pen(picture, 2),
    "pen 1 pixel broader": lambda picture, rng: redraw_with_pen(picture, 1),
    "pen 1 pixel finer": lambda picture, rng: redraw_with_pen(picture, -1),
}


def on_ground(picture: Bytes, rng: np.random.Generator, *, textured: bool) -> Bytes:
    """Write a digit (H,W) uint8, ink high, on coloured or on textured ground -> (4H,4W,3) uint8."""
    ink = np.asarray(resized(picture, 2), np.float32)[..., None] / 255
    while True:
        paper, pen = rng.uniform(0.3, 1, 3), rng.uniform(0, 0.7, 3)
        if textured:
            paper, pen = paper[[0, 0, 0]], pen[[0, 0, 0]]
        if (paper - pen) @ photo.LUMINANCE > LEAST_CONTRAST:
            break
    sheet = (paper + (pen - paper) * ink).astype(np.float32)
    return photo.to_bytes(photo.uneven_paper(sheet, TEXTURE, rng) if textured else sheet)


# Kinds of picture files that users make of one digit, from (28,28) uint8, ink high; for `evaluate --pages`.
HANDED_IN: dict[str, Callable[[Bytes, np.random.Generator], Bytes]] = {
    "half the size": lambda picture, rng: resized(picture, 0.5),
    "the same size": lambda picture, rng: resized(picture, 1),
    "twice the size": lambda picture, rng: resized(picture, 2),
    "5 times the size": lambda picture, rng: resized(picture, 5),
    "14 times the size": lambda picture, rng: resized(picture, 14),
    "dark on light": lambda picture, rng: 255 - resized(picture, 2),
    "a quarter of the contrast": lambda picture, rng: (60 + PALE * resized(picture, 2)).astype(np.uint8),
    "on coloured ground": lambda picture, rng: on_ground(picture, rng, textured=False),
    "on textured ground": lambda picture, rng: on_ground(picture, rng, textured=True),
}


def misused(images: Bytes, name: str, seed: int = 0) -> Bytes:
    """Return pictures (N,28,28) uint8 as ``preprocess`` recovers them after the misuse ``name`` -> (N,28,28) uint8."""
    out = np.empty_like(images)
    for i, picture in enumerate(images):
        out[i] = preprocess.prepare(MISUSES[name](picture, np.random.default_rng([seed, i])))
    return out


def accuracy_drop(network: Evaluates, images: Bytes, labels: Ints, seed: int = 0) -> tuple[float, dict[str, float]]:
    """Measure what misuse costs -> accuracy (0..1) of pictures (N,28,28) uint8 as they are, {misuse: points lost}."""
    plain = np.array([preprocess.prepare(picture) for picture in images])
    accuracy = network.evaluate(plain, labels).accuracy
    lost = {name: 100 * (accuracy - network.evaluate(misused(images, name, seed), labels).accuracy) for name in MISUSES}
    return accuracy, lost
