"""Examples in the order that training wants them."""

from dataclasses import dataclass

import numpy as np

from numcnn.data.augmentation import Changes

# Which of a seed's streams of random numbers decides the order of images; ``network`` has the others.
ORDER = 3


@dataclass(frozen=True)
class Examples:
    """Images (M,H,W) and labels (M,), of which only the rows in ``index`` count: a split that copies nothing."""

    images: np.ndarray
    labels: np.ndarray
    index: np.ndarray

    @classmethod
    def all_of(cls, images, labels):
        """Return examples that count every row."""
        return cls(np.asarray(images), np.asarray(labels), np.arange(len(images)))

    def __len__(self):
        return len(self.index)

    def normalisation(self):
        """Return mean and standard deviation of the pixels that count, on the scale 0..1; MNIST's: 0.1307, 0.3081."""
        counts = np.zeros(256, np.int64)
        for rows in np.array_split(self.index, max(1, len(self.index) // 4096)):  # a part at a time: no second copy
            counts += np.bincount(self.images[rows].reshape(-1), minlength=256)
        levels, total = np.arange(256) / 255, counts.sum()
        mean = float((counts * levels).sum() / total)
        std = float(np.sqrt((counts * (levels - mean) ** 2).sum() / total))
        return mean, std or 1.0


class Batch:
    """Some examples: labels (n,), and images that whoever wants them has written to an array of his own."""

    def __init__(self, images, rows, labels, pixels, augmented=None):
        """rows (n,): which of ``images``.  pixels: a ``PixelReader``.

        augmented: how the images are changed, a ``Changes``; None: not at all.
        """
        self._images, self._rows, self.labels, self._pixels = images, rows, labels, pixels
        self._augmented = augmented

    def __len__(self):
        return len(self._rows)

    def fill(self, x, first=0, last=None):
        """Write the images from ``first`` to ``last``, normalised, to x (last - first, *input_shape); return it."""
        rows = self._rows[first:last]
        if self._augmented is None:
            return self._pixels.read(self._images, rows, x)
        return self._pixels.read_augmented(self._images, rows, self._augmented, x)


class Batches:
    """The training examples, epoch by epoch, each epoch in an order of its own that only ``seed`` and epoch decide.

    So a run can go on from any batch of any epoch without having seen the ones before.  The last batch may be short.
    """

    def __init__(self, examples, batch_size, seed, pixels, augmentation=None):
        """pixels: the ``PixelReader`` that fills a batch's input.

        augmentation: an ``augment.Augmentation``, for pictures that differ each time; None: as they are.
        """
        self._examples, self._size, self._seed, self._pixels = examples, batch_size, seed, pixels
        self._augmentation = augmentation
        self._labels = np.empty(min(batch_size, len(examples)), examples.labels.dtype)

    def __len__(self):
        return -(-len(self._examples) // self._size)

    def epoch(self, number, start=0):
        """Yield a ``Batch`` for each from ``start`` on.  Its labels are a buffer, and hold until the next."""
        order = np.random.default_rng([self._seed, ORDER, number]).permutation(self._examples.index)
        augmented = self._augmentation and Changes(self._augmentation, self._seed, number)
        for first in range(start * self._size, len(order), self._size):
            rows = order[first : first + self._size]
            labels = np.take(self._examples.labels, rows, out=self._labels[: len(rows)])
            yield Batch(self._examples.images, rows, labels, self._pixels, augmented)
