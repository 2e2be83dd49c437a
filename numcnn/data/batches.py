"""Examples in the order that training wants them, gathered into buffers that are made once."""

from dataclasses import dataclass

import numpy as np

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


class Batches:
    """The training examples, epoch by epoch, each epoch in an order of its own that only ``seed`` and epoch decide.

    So a run can go on from any batch of any epoch without having seen the ones before.  The last batch may be short.
    """

    def __init__(self, examples, batch_size, seed, network):
        self._examples, self._size, self._seed, self._network = examples, batch_size, seed, network
        largest = min(batch_size, len(examples))
        self._x = np.empty((largest, *network.input_shape), network.dtype)
        self._labels = np.empty(largest, examples.labels.dtype)

    def __len__(self):
        return -(-len(self._examples) // self._size)

    def epoch(self, number, start=0):
        """Yield x (n, *input_shape), normalised, and labels (n,) of each batch from ``start`` on.  They are buffers."""
        order = np.random.default_rng([self._seed, ORDER, number]).permutation(self._examples.index)
        for first in range(start * self._size, len(order), self._size):
            rows = order[first : first + self._size]
            x, labels = self._x[: len(rows)], self._labels[: len(rows)]
            self._network.gather(self._examples.images, rows, out=x)
            np.take(self._examples.labels, rows, out=labels)
            yield x, labels
