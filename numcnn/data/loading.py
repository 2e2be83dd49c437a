"""A data set, and the one function that gets one: MNIST, a folder of IDX files, generated digits, the pad's mixture."""

import dataclasses
import functools
import math
import operator
import os
import textwrap
from pathlib import Path

import numpy as np

from numcnn.data import idx, mnist
from numcnn.errors import ConfigError, DataError

MIXTURES = ("pad", "pad-0", "pad-1", "pad-2", "pad-3", "pad-4")  # see handwriting.py
KEYWORDS = ("auto", "mnist", "generated", *MIXTURES)
VALIDATION_SHARE = 1 / 12  # of the training images, 5,000 of MNIST's, where nobody says otherwise
TEST_SEED = 1  # of the generated test set; seeds for training are doubled, so that none is equal to it


def title_of(name):
    """Return how a data set is to be called where people read results: nobody must take generated digits for MNIST."""
    titles = {"mnist": "MNIST", "generated": "GENERATED DIGITS, not MNIST", "pad": "pad (tested on MNIST)"}
    titles |= {name: f"{name} (tested on strangers' pen strokes)" for name in MIXTURES[1:]}
    return titles.get(name, str(name))


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Images uint8 (N,H,W) and labels uint8 (N,), for training and for testing; `load` makes one.

    name: "mnist" only for the real MNIST (by SHA-256), "generated" only for generated digits, "pad" and "pad-0" to
        "pad-4" only for the pad's mixture, else the folder's name.
    source: one line that says where it came from.
    validation_rows: which training images validate, where the data set itself says so; None: left to chance.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    validation_rows: np.ndarray | None = None

    @property
    def is_mnist(self):
        """Whether this is the real MNIST, or a part of it."""
        return self.name == "mnist"

    @property
    def classes(self):
        """How many classes there are, counted from 0: ten digits, or one more than the largest label of another set.

        The label 10 of the pad's mixture, which says that a training image is no digit, is not a class.
        """
        if self.name in KEYWORDS:
            return 10
        return 1 + max(int(labels.max(initial=0)) for labels in (self.train_labels, self.test_labels))

    @functools.cached_property
    def sha256(self):
        """SHA-256 of the four arrays as uncompressed IDX files, one after the other: train, then test."""
        return idx.sha256(self.train_images, self.train_labels, self.test_images, self.test_labels)

    def split(self, val, seed):
        """Divide the training set -> (train indices, validation indices), each sorted.

        val: how many images to set aside for validation, chosen by chance that ``seed`` fixes, or, below 1, which
        fraction.  None: the images that the data set has for that, else a twelfth.  Where it has some, they are never
        trained on, and 0 is the only other choice.  Raises ConfigError.
        """
        n = len(self.train_labels)
        if self.validation_rows is not None:
            if val:
                raise ConfigError(
                    f"The data set {self.name} brings its own validation set, of {len(self.validation_rows):,} images: "
                    "leave out --val, or give 0 for none."
                )
            train = np.setdiff1d(np.arange(n), self.validation_rows)
            return train, np.sort(self.validation_rows) if val is None else self.validation_rows[:0]
        count = int(n * VALIDATION_SHARE) if val is None else _validation_count(val, n)
        order = np.random.default_rng(_checked_seed(seed)).permutation(n)
        return np.sort(order[count:]), np.sort(order[:count])

    def limited(self, limit, seed):
        """Return the data set with ``limit`` of its training images, chosen by chance; the test set stays whole.

        So do images that the data set has for validation; they come on top.
        """
        own = np.empty(0, np.intp) if self.validation_rows is None else self.validation_rows
        rest = np.setdiff1d(np.arange(len(self.train_labels)), own)
        if limit is None or limit >= len(rest):
            return self
        chosen = np.sort(np.random.default_rng(_checked_seed(seed)).permutation(rest)[:limit])
        rows = np.concatenate([chosen, own])
        return dataclasses.replace(
            self,
            train_images=self.train_images[rows],
            train_labels=self.train_labels[rows],
            validation_rows=None if self.validation_rows is None else np.arange(limit, len(rows)),
        )


def load(
    dataset="auto",
    data_dir=None,
    *,
    seed=0,
    limit=None,
    test_only=False,
    generated_train=60_000,
    generated_test=10_000,
    backend="fast",
    progress=True,
    report=mnist.to_stderr,
    origin=mnist.OFFICIAL,
):
    """Get a data set -> Dataset.

    dataset: "mnist" (looked for in ``data_dir``, else ``NUMCNN_DATA``, else the user's cache, else downloaded),
        "generated" (digits drawn by numcnn; the test set is the same for every seed), "auto" (MNIST if it can be had,
        else generated), "pad" or "pad-0" to "pad-4" (the pad's mixture, see `handwriting.load`), or a folder with four
        IDX files that bear MNIST's names.
    seed, limit: keep ``limit`` of the training images, chosen by chance; the test set stays whole.
    test_only: don't look for the training set; it comes out with no images in it.
    backend: which kernels draw the generated digits.
    progress: show a bar while downloading, on a terminal.
    report: called with each line that a person should see, such as why "auto" fell back.
    origin: where MNIST is downloaded from and kept, and what its hashes are.

    Raises ConfigError for settings that make no sense, DataError for data that is missing or damaged.
    """
    _check_settings(dataset, data_dir, seed, limit)
    roles = tuple(role for role in mnist.FILES if role.startswith("test") or not test_only)
    n_train = 0 if test_only else min(generated_train, limit or generated_train)
    draw = functools.partial(_generated, n_train, generated_test, seed, backend, report)
    if str(dataset) not in KEYWORDS:
        whole = _from_folder(Path(dataset), roles, origin.files)
    elif dataset == "generated":
        whole = draw()
    elif dataset in MIXTURES:
        whole = _mixture(dataset, data_dir, seed, test_only, backend, progress, report, origin)
    else:
        try:
            whole = _mnist(roles, data_dir, origin, progress, report)
        except mnist.UnavailableError as error:
            if dataset == "mnist":
                raise
            report("MNIST can't be downloaded: going on with generated digits instead.")
            report(textwrap.shorten(f"The reason: {error.reason}", 80, placeholder=" ..."))
            report("To use MNIST, name the folder of its files with NUMCNN_DATA or --data-dir.")
            whole = draw()
    return whole.limited(limit, seed)


def _mnist(roles, data_dir, origin, progress, report):
    """Get MNIST from the folder that somebody named, and only from there; else from the cache or a mirror."""
    named = data_dir or os.environ.get("NUMCNN_DATA")
    if named:
        try:
            arrays = mnist.read_mnist(Path(named).expanduser(), roles, origin.files)
        except DataError as error:
            given_by = "--data-dir" if data_dir else "NUMCNN_DATA"
            raise DataError(f"{error} (The folder was given by {given_by}.)") from error
    else:
        arrays = mnist.fetch(roles, origin, progress=progress, report=report)
    return _dataset("mnist", f"MNIST, SHA-256 verified, from {named or 'the cache'}", arrays)


def _from_folder(folder, roles, files):
    """Read any data set in MNIST's form.  It is called after its folder, but "mnist" if that is what it is."""
    arrays = mnist.read_folder(folder.expanduser(), roles)
    name = folder.resolve().name
    if mnist.stranger(arrays, files) is None:
        name = "mnist"
    elif name in KEYWORDS:
        name = f"custom-{name}"
    return _dataset(name, f"IDX files from {folder}", arrays)


def _generated(n_train, n_test, seed, backend, report):
    from numcnn.data import generated

    training = f"{n_train:,} for training and " if n_train else ""
    report(f"Drawing digits: {training}{n_test:,} for testing.")
    arrays = {}
    for part, n, stream in (("train", n_train, 2 * seed), ("test", n_test, TEST_SEED)):
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = generated.generate(n, stream, backend=backend)
    return _dataset("generated", f"digits drawn by numcnn, seed {seed}", arrays)


def _mixture(name, data_dir, *settings):
    from numcnn.data import handwriting

    names = ("seed", "test_only", "backend", "progress", "report", "origin")
    return handwriting.load(name, data_dir, **dict(zip(names, settings, strict=True)))


def _dataset(name, source, arrays):
    """Make a Dataset; a training set that was not asked for is empty."""
    none = {
        "train_images": np.empty((0, *arrays["test_images"].shape[1:]), np.uint8),
        "train_labels": np.empty(0, np.uint8),
    }
    return Dataset(name=name, source=source, **(none | arrays))


def _validation_count(val, n):
    """Return how many of ``n`` training images a count or a fraction means."""
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


def _check_settings(dataset, data_dir, seed, limit):
    _checked_seed(seed)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}: at least 1 training image is needed.")
    if data_dir and str(dataset) not in ("auto", "mnist", *MIXTURES):
        raise ConfigError(f"--data-dir is where MNIST is looked for; it cannot be used with --dataset {dataset}.")
    if str(dataset) not in KEYWORDS and not Path(dataset).expanduser().is_dir():
        raise ConfigError(f"--dataset {dataset} is neither a folder nor one of {', '.join(KEYWORDS)}.")


def _checked_seed(seed):
    """Return ``seed`` as an int; NumPy's generators take no negative one."""
    try:
        number = operator.index(seed)
    except TypeError:
        number = -1
    if number < 0:
        raise ConfigError(f"The seed must be a whole number, 0 or more, not {seed!r}.")
    return number
