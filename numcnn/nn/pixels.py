"""From pictures to a network's input: which shapes and dtypes are accepted, and normalisation."""

import os
from typing import Any, Protocol, TypeAlias, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from numcnn.errors import ShapeError
from numcnn.imaging import preprocess
from numcnn.imaging.picture_files import is_pil_image
from numcnn.kernels.arrays import AnyArray, Floats, Ints, as_array
from numcnn.kernels.protocol import Kernels

# What inference takes: see ``as_pictures``.
Pictures: TypeAlias = preprocess.Picture


# What the kernels read without conversion.
_READ_AS_IT_IS = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))

PREPARED = (preprocess.SIDE, preprocess.SIDE, 1)  # the shape that ``preprocess.prepare`` makes


def as_pictures(images: Pictures, input_shape: tuple[int, ...]) -> AnyArray:
    """Return pictures as (N,H,W) or (N,H,W,C), for a network of ``input_shape`` (H,W,C).

    Arrays of that shape, (H,W), (N,H,W), (H,W,C) or (N,H,W,C), are the network's input unchanged.  A path, the bytes
    of a file, a PIL image and an array (height, width, 3 or 4) of another shape are pictures of one digit, RGB or RGBA:
    ``preprocess.prepare`` turns them into the input, and so each path, file and PIL image of a list.  Raises ShapeError
    for any other shape, and for values out of range; DataError, with the path, for a file that isn't a picture.
    """
    if _is_list_of_files(images):
        return np.concatenate([as_pictures(one, input_shape) for one in images])
    if not _is_file_or_pil(images):
        array = as_array("pictures", images)
        if _fits(array.shape, input_shape) or array.ndim != 3 or array.shape[2] not in (3, 4):
            return check_images(array, input_shape)
    if input_shape != PREPARED:
        raise ShapeError(
            f"a picture file, PIL image or colour picture becomes {PREPARED}, but this network reads {input_shape}; "
            "give it an array of that shape"
        )
    return preprocess.prepare(images)[None]


def _is_file_or_pil(picture: object) -> bool:
    return isinstance(picture, (str, os.PathLike, bytes)) or is_pil_image(picture)


def _is_list_of_files(images: object) -> TypeGuard[list[Any]]:
    """Say whether there is a path or PIL image in a list; NumPy would take a PIL image's pixels as they are."""
    return isinstance(images, (list, tuple)) and any(map(_is_file_or_pil, cast("list[object]", images)))


def check_images(images: npt.ArrayLike, input_shape: tuple[int, ...]) -> AnyArray:
    """Return arrays of the network's input shape as (N,H,W) or (N,H,W,C).  Raises ShapeError: see ``as_pictures``."""
    images = as_array("pictures", images)
    if not _fits(images.shape, input_shape):
        H, W, C = input_shape
        advice = "; of any other picture numcnn.preprocess.prepare(picture) makes (28, 28)"
        raise ShapeError(
            f"pictures are {images.shape}; wants ({H}, {W}), (N, {H}, {W}) or (N, {H}, {W}, {C})"
            + (advice if input_shape == PREPARED else "")
        )
    check_values(images)
    return images[None] if images.shape in (input_shape, input_shape[:2]) else images


def _fits(shape: tuple[int, ...], input_shape: tuple[int, ...]) -> bool:
    """Return whether an array of this shape fits a network of ``input_shape``, with or without N."""
    shapes = {input_shape, input_shape[:2]} if input_shape[2] == 1 else {input_shape}
    return shape in shapes or shape[1:] in shapes


def check_values(pictures: AnyArray) -> None:
    """Raise ShapeError unless pictures are integers 0..255, bool, or floats 0..1, of any size and byte order."""
    kind = pictures.dtype.kind
    if pictures.dtype == np.uint8 or kind == "b":
        return
    if kind not in "uif":
        raise ShapeError(f"pictures are {pictures.dtype}; wants integers from 0 to 255, floats from 0 to 1 or bool")
    most = 1 if kind == "f" else 255
    if pictures.size and not 0 <= pictures.min() <= pictures.max() <= most:
        found = f"pictures are {pictures.dtype} and go from {pictures.min()} to {pictures.max()}; wants 0 to {most}"
        raise ShapeError(found + (" (divide by 255, or pass uint8)" if kind == "f" else ""))


def readable(pictures: AnyArray, dtype: "np.dtype[Any]") -> AnyArray:
    """Return checked pictures as the kernels read them: uint8, float32 or float64, in the machine's byte order.

    Other integers become uint8, other floats and bool (0 or 1) become ``dtype``.  Copies only what it converts.
    """
    if pictures.dtype in _READ_AS_IT_IS and pictures.dtype.isnative:
        return pictures
    return pictures.astype(np.uint8 if pictures.dtype.kind in "ui" else dtype)


class Changes(Protocol):
    """How pictures are changed: see ``data.augmentation.Changes``."""

    key: np.uint64
    augmentation: Any

    def numbers(self, rows: Ints, images: int) -> Ints:
        """Return the number that decides each picture's changes, for ``rows`` (n,) of ``images`` pictures."""
        ...


class PixelReader:
    """Writes normalised pictures to a network's input array: (pixel - mean) / std, pixels on the scale 0..1."""

    def __init__(self, normalisation: tuple[float, float], kernels: Kernels) -> None:
        """normalisation: (mean, std) of pixels on the scale 0..1."""
        self._mean, self._std = normalisation
        self._kernels = kernels

    def read(self, images: AnyArray, rows: Ints, x: Floats) -> Floats:
        """Fill x (n, *input_shape) with images[rows] and return it.  images: as ``readable`` returns them."""
        scale = 1 / 255 if images.dtype == np.uint8 else 1.0
        self._kernels.gather_images(images, rows, scale / self._std, -self._mean / self._std, x)
        return x

    def read_augmented(self, images: AnyArray, rows: Ints, changes: Changes, x: Floats) -> Floats:
        """Fill x (n, H, W, 1) with images[rows], changed by ``changes``, and return it.  images: uint8."""
        numbers = changes.numbers(rows, len(images))
        scale, shift = 1 / 255 / self._std, -self._mean / self._std
        self._kernels.augment_images(images, rows, numbers, changes.key, changes.augmentation, scale, shift, x)
        return x
