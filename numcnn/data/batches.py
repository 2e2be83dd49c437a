"""Training examples, batch by batch, in random order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from numcnn.data.augmentation import Augmentation, Changes
from numcnn.kernels.arrays import AnyArray, Floats, Ints

# The random stream of a seed that orders the images; ``network`` names the others.
ORDER = 3


class PixelReader(Protocol):
    """Writes pictures to a network's input: an ``nn.pixels.PixelReader``."""

    def read(self, images: AnyArray, rows: Ints, x: Floats) -> Floats:
        """Fill x (n, *input_shape) with images[rows], normalised, and return it."""
        ...

    def read_augmented(self, images: AnyArray, rows: Ints, changes: Changes, x: Floats) -> Floats:
        """Fill x (n, H, W, 1) with images[rows], changed and normalised, and return it."""
        ...


@dataclass(frozen=True)
class Examples:
    """Images (M,H,W) and labels (M,), of which only the rows in ``index`` are used: a split without copies."""

    images: AnyArray
    labels: Ints
    index: Ints

    @classmethod
    def all_of(cls, images: npt.ArrayLike, labels: npt.ArrayLike) -> Examples:
        """Return examples that use every row."""
        images = np.asarray(images)
        return cls(images, np.asarray(labels), np.arange(len(images)))

    def __len__(self) -> int:
        return len(self.index)

    def normalisation(self) -> tuple[float, float]:
        """Return mean and standard deviation of the pixels in use, on the scale 0..1; MNIST's: 0.1307, 0.3081."""
        return mean_and_std(self.images, self.index)


def mean_and_std(images: AnyArray, index: Ints) -> tuple[float, float]:
    """Return mean and standard deviation of the pixels of images[index], uint8 (N,H,W), on the scale 0..1."""
    parts = np.array_split(index, max(1, len(index) // 4096))  # to copy little at a time
    counts = np.sum([np.bincount(images[rows].reshape(-1), minlength=256) for rows in parts], axis=0)
    levels, total = np.arange(256) / 255, counts.sum()
    mean = float((counts * levels).sum() / total)
    return mean, float(np.sqrt((counts * (levels - mean) ** 2).sum() / total)) or 1.0


class Batch:
    """Some examples: labels (n,), and images that ``fill`` writes to the caller's array."""

    def __init__(
        self, images: AnyArray, rows: Ints, labels: Ints, pixels: PixelReader, augmented: Changes | None = None
    ) -> None:
        """rows (n,): which of ``images``.  augmented: how the images are changed; None: not at all."""
        self._images, self._rows, self.labels, self._pixels = images, rows, labels, pixels
        self._augmented = augmented

    def __len__(self) -> int:
        return len(self._rows)

    def fill(self, x: Floats, first: int = 0, last: int | None = None) -> Floats:
        """Write the images from ``first`` to ``last``, normalised, to x (last - first, *input_shape); return it."""
        rows = self._rows[first:last]
        if self._augmented is None:
            return self._pixels.read(self._images, rows, x)
        return self._pixels.read_augmented(self._images, rows, self._augmented, x)


class Batches:
    """The training examples, epoch by epoch, each epoch in an order that depends only on ``seed`` and epoch.

    Therefore a run can resume at any batch of any epoch.  The last batch may be short.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seed: int,
        pixels: PixelReader,
    ) -> None:
        """pixels: fills a batch's input."""
        self._examples, self._size, self._seed, self._pixels = examples, batch_size, seed, pixels
        self._labels = np.empty(min(batch_size, len(examples)), examples.labels.dtype)

    def __len__(self) -> int:
        return -(-len(self._examples) // self._size)

    def epoch(self, number: int, start: int = 0, augmentation: Augmentation | None = None) -> Iterator[Batch]:
        """Yield the batches from number ``start`` on.  Their labels are a buffer that the next batch overwrites.

        augmentation: changes the pictures, differently in each epoch; None: no changes.
        """
        order = np.random.default_rng([self._seed, ORDER, number]).permutation(self._examples.index)
        augmented = Changes(augmentation, self._seed, number) if augmentation else None
        for first in range(start * self._size, len(order), self._size):
            rows = order[first : first + self._size]
            labels = np.take(self._examples.labels, rows, out=self._labels[: len(rows)])
            yield Batch(self._examples.images, rows, labels, self._pixels, augmented)
