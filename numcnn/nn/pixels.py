"""From the pictures people have to the numbers a network reads: which dtypes are taken, and normalisation."""

import numpy as np

from numcnn.errors import ShapeError

# What the kernels read as it is.  Everything else is converted first.
_READ_AS_IT_IS = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))


def check_values(pictures):
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


def readable(pictures, dtype):
    """Return checked pictures as the kernels read them: uint8, float32 or float64, in the machine's byte order.

    Other integers become uint8, other floats and bool (0 or 1) become ``dtype``.  Copies only what it converts.
    """
    if pictures.dtype in _READ_AS_IT_IS and pictures.dtype.isnative:
        return pictures
    return pictures.astype(np.uint8 if pictures.dtype.kind in "ui" else dtype)


class PixelReader:
    """Writes normalised pictures to a network's input array: (pixel - mean) / std, pixels on the scale 0..1."""

    def __init__(self, normalisation, kernels):
        """normalisation: (mean, std) of pixels on the scale 0..1.  kernels: the back-end's module."""
        self._mean, self._std = normalisation
        self._kernels = kernels

    def read(self, images, rows, x):
        """Fill x (n, *input_shape) with images[rows] and return it.  images: as ``readable`` returns them."""
        pixel = 1 / 255 if images.dtype == np.uint8 else 1.0
        self._kernels.gather_images(images, rows, pixel / self._std, -self._mean / self._std, x)
        return x

    def read_augmented(self, images, rows, changes, x):
        """Fill x (n, H, W, 1) with images[rows], changed by an ``augment.Changes``, and return it.  images: uint8."""
        numbers = changes.numbers(rows, len(images))
        scale, shift = 1 / 255 / self._std, -self._mean / self._std
        self._kernels.augment_images(images, rows, numbers, changes.key, changes.augmentation, scale, shift, x)
        return x
