"""A data set: images and labels to train on and to test with, and how the training images are split."""

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping

import numpy as np

from numcnn.data import idx
from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Bytes, Ints

MIXTURES = ("everyone", *(f"everyone-{fold}" for fold in range(5)))  # see mixture.py
KEYWORDS = ("auto", "mnist", "generated", *MIXTURES)  # what `data.load` takes besides a folder
VALIDATION_FRACTION = 1 / 12  # of the training images, 5,000 of MNIST's 60,000, by default


@dataclasses.dataclass(frozen=True, repr=False)
class Dataset:
    """Images uint8 (N,H,W) and labels uint8 (N,), for training and for testing; `load` makes one.

    name: "mnist" only for the real MNIST (by SHA-256), "generated" only for generated digits, "everyone" and
        "everyone-0" to "everyone-4" only for the mixture, else the folder's name.
    source: one line that says where it came from.
    validation_rows: the training images to validate with, if the data set defines them; None: a random split.
    """

    name: str
    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes
    source: str
    validation_rows: Ints | None = None

    @classmethod
    def from_arrays(cls, name: str, source: str, arrays: Mapping[str, Bytes]) -> "Dataset":
        """Make a data set of {"train_images": ..., ...}; without training arrays, its training set is empty."""
        test_images = arrays["test_images"]
        return cls(
            name,
            arrays.get("train_images", np.empty((0, *test_images.shape[1:]), np.uint8)),
            arrays.get("train_labels", np.empty(0, np.uint8)),
            test_images,
            arrays["test_labels"],
            source,
        )

    def __repr__(self) -> str:
        counts = f"{len(self.train_labels):,} images to train on, {len(self.test_labels):,} to test with"
        return f"<Dataset {self.name}: {counts}; {self.source}>"

    @property
    def is_mnist(self) -> bool:
        """Whether this is the real MNIST, or a part of it."""
        return self.name == "mnist"

    @property
    def classes(self) -> int:
        """The number of classes: ten digits, or one more than the largest label of another data set.

        The label 10 of the mixture marks training images of non-digits; it is not a class.
        """
        if self.name in KEYWORDS:
            return 10
        return 1 + max(int(labels.max(initial=0)) for labels in (self.train_labels, self.test_labels))

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the four arrays as uncompressed IDX files, one after the other: train, then test."""
        return idx.sha256(self.train_images, self.train_labels, self.test_images, self.test_labels)

    def split(self, val: float | None, seed: int) -> tuple[Ints, Ints]:
        """Split the training set -> (train indices, validation indices), each sorted.

        val: how many images to validate with, drawn at random with ``seed``, or, below 1, which fraction of them.
        None: the images that the data set defines for this, else a twelfth.  If it defines some, they are never
        trained on, and 0 is the only other choice.  Raises ConfigError.
        """
        n = len(self.train_labels)
        if self.validation_rows is not None:
            if val:
                raise ConfigError(
                    f"The data set {self.name} brings its own validation set, of {len(self.validation_rows):,} images: "
                    "leave out `val`, or give 0 for none."
                )
            train = np.setdiff1d(np.arange(n), self.validation_rows)
            return train, np.sort(self.validation_rows) if val is None else self.validation_rows[:0]
        count = int(n * VALIDATION_FRACTION) if val is None else _validation_count(val, n)
        order = np.random.default_rng(check_seed(seed)).permutation(n)
        return np.sort(order[count:]), np.sort(order[:count])

    def limited(self, limit: int | None, seed: int) -> "Dataset":
        """Return the data set with ``limit`` random training images; the test set stays whole.

        Validation images that the data set defines stay too, in addition to these.
        """
        own = np.empty(0, np.intp) if self.validation_rows is None else self.validation_rows
        rest = np.setdiff1d(np.arange(len(self.train_labels)), own)
        if limit is None or limit >= len(rest):
            return self
        chosen = np.sort(np.random.default_rng(check_seed(seed)).permutation(rest)[:limit])
        rows = np.concatenate([chosen, own])
        return dataclasses.replace(
            self,
            train_images=self.train_images[rows],
            train_labels=self.train_labels[rows],
            validation_rows=None if self.validation_rows is None else np.arange(limit, len(rows)),
        )


def check_seed(seed: object) -> int:
    """Return ``seed`` as an int.  Raises ConfigError unless it is a whole number from 0, as NumPy wants it."""
    try:
        number = operator.index(seed)  # pyright: ignore[reportArgumentType]  (raises TypeError unless it is an integer)
    except TypeError:
        number = -1
    if number < 0:
        raise ConfigError(f"The seed must be a whole number, 0 or more, not {seed!r}.")
    return number


def _validation_count(val: float, n: int) -> int:
    """Return how many of ``n`` training images a count or a fraction means.  Raises ConfigError."""
    if not 0 <= val < math.inf:
        raise ConfigError(f"The validation set cannot have {val} images: give a count, or a fraction below 1.")
    if val < 1:
        count = max(round(val * n), 1) if val else 0
    elif val == int(val):
        count = int(val)
    else:
        raise ConfigError(f"The validation set cannot have {val} images: above 1 it must be a whole number.")
    if count >= n:
        raise ConfigError(
            f"A validation set of {count:,} leaves nothing to train on: the training set has "
            f"{'1 image' if n == 1 else f'{n:,} images'}."
        )
    return count
