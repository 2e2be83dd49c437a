"""The mixture that the shipped network learns from: scans, generated digits, pen strokes of thirty people, non-digits.

"everyone" trains on MNIST, generated digits and most of UCI's pen digits, each drawn several times with another pen and
in another hand; some of all these are scanned once more by other scanners.  It is tested on MNIST.  "everyone-0" to
"everyone-4" estimate the accuracy on strangers: the writers of one fold are tested on, those of the next set the
temperature and the threshold, the others train.  No writer is on two sides.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from numcnn.data import generated, handwriting, nondigits, pendigits
from numcnn.data.dataset import MIXTURES, Dataset
from numcnn.data.sources import DEFAULT, Sources
from numcnn.errors import ConfigError
from numcnn.imaging import scanners
from numcnn.kernels.arrays import Bytes

STREAM = 1003  # which of a seed's streams of random numbers chooses what is scanned once more
FOLDS = len(MIXTURES) - 1
# What the mixtures were called once; the same writers train, validate and test.
EARLIER = {name.replace("everyone", "pad"): name for name in MIXTURES}
VALIDATION_WRITERS = (26, 27, 28, 29, 30)  # of "everyone"
ALL_WRITERS = range(1, pendigits.WRITERS + 1)


@dataclass(frozen=True)
class Recipe:
    """How much of each part is in the mixture.  Raises ConfigError.

    scanned: how often each of MNIST's images is trained on in an epoch, 1 or more.  generated, no_digits: how many
    generated digits and non-digits.  renderings: how many images of each pen digit.  rescanned: how many images, drawn
    at random from all these digits, are scanned once more.  validation: how many of MNIST's training images, the last
    ones, validate instead.  leave_out: further writers not to train on.
    """

    scanned: int = 2
    generated: int = 40_000
    renderings: int = 8
    rescanned: int = 40_000
    no_digits: int = 40_000
    validation: int = 5_000
    leave_out: Collection[int] = ()

    def __post_init__(self) -> None:
        if self.scanned < 1:
            raise ConfigError(f"scanned is {self.scanned}; wants 1 or more")


SHIPPED = Recipe()  # what the shipped network learned from


class HasInfo(Protocol):
    """A network that says in ``info`` what it learned from."""

    info: dict[str, Any]


def writers_of(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the writers that mixture ``name`` tests on, and those it validates on.  Raises ConfigError."""
    if name not in MIXTURES:
        raise ConfigError(f"there is no mixture {name!r}; choose everyone or everyone-0 to everyone-{FOLDS - 1}")
    if name == "everyone":
        return (), VALIDATION_WRITERS
    fold = int(name.removeprefix("everyone-"))
    return _writers_in(fold), _writers_in((fold + 1) % FOLDS)


def _writers_in(fold: int) -> tuple[int, ...]:
    return tuple(writer for writer in ALL_WRITERS if (writer - 1) % FOLDS == fold)


def not_learned_by(network: HasInfo) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the writers that a network was tested on, as its ``info`` says, and those it was validated on.

    A network that learned from another data set has not seen any of these writers: all of them may test it.
    """
    name = EARLIER.get(str(network.info.get("dataset")), network.info.get("dataset"))
    return writers_of(name) if name in MIXTURES else (tuple(ALL_WRITERS), ())


def load(
    name: str = "everyone",
    sources: Sources = DEFAULT,
    *,
    seed: int = 0,
    recipe: Recipe = SHIPPED,
    test_only: bool = False,
) -> Dataset:
    """Make the mixture -> Dataset that defines its validation rows: MNIST's scans and unchanged pen digits.

    name: "everyone", or "everyone-0" to "everyone-4".  Only what is needed is loaded: with test_only, MNIST for
    "everyone" and the pen digits for the folds.  Raises DataError for data that is missing or damaged, ConfigError.
    """
    test_writers, validation_writers = writers_of(name)
    if test_only:
        if not test_writers:
            scans = sources.load_mnist(test_only=True)
            test, source = (scans.test_images, scans.test_labels), scans.source
        else:
            test, source = _strangers(sources.load_pendigits(), test_writers, sources.backend)
        nothing = np.empty((0, *test[0].shape[1:]), np.uint8), np.empty(0, np.uint8)
        return Dataset(name, *nothing, *test, source)

    scans = sources.load_mnist()
    people = sources.load_pendigits()
    test = scans.test_images, scans.test_labels
    if test_writers:
        test, _ = _strangers(people, test_writers, sources.backend)
    last_scan = len(scans.train_labels)
    if not 0 <= recipe.validation < last_scan:
        raise ConfigError(f"validation is {recipe.validation}; wants 0 or more, and fewer than MNIST's training images")
    sources.report(
        f"Drawing {name}: {recipe.generated:,} digits, {recipe.renderings} images of each pen digit, "
        f"{recipe.rescanned:,} by other scanners, {recipe.no_digits:,} non-digits."
    )
    train_writers = set(ALL_WRITERS) - {*test_writers, *validation_writers, *recipe.leave_out}
    validating = handwriting.render_plain(people.of(validation_writers), sources.backend)
    trained = slice(last_scan - recipe.validation)
    once = scans.train_images[trained], scans.train_labels[trained]
    drawn = _drawn(people.of(train_writers), recipe, seed, sources.backend)
    whole = scans.train_images, scans.train_labels
    images, labels = _joined(
        whole,
        *[once] * (recipe.scanned - 1),
        *drawn,
        _rescanned([once, *drawn], recipe.rescanned, seed),
        _no_digits(recipe.no_digits, seed, sources.backend),
        validating,
    )
    end = len(labels)
    rows = np.r_[last_scan - recipe.validation : last_scan, end - len(validating[1]) : end]
    source = f"MNIST, generated digits, UCI pen digits and non-digits, seed {seed}"
    return Dataset(name, images, labels, *test, source, validation_rows=rows)


Part = tuple[Bytes, Bytes]  # images (N,28,28) and labels (N,)


def _strangers(people: pendigits.PenDigits, writers: tuple[int, ...], backend: str) -> tuple[Part, str]:
    """Return the test set of some writers' digits, and where it came from."""
    test = handwriting.render_plain(people.of(writers), backend)
    return test, f"UCI pen digits of writers {', '.join(map(str, writers))}"


def _drawn(people: pendigits.PenDigits, recipe: Recipe, seed: int, backend: str) -> list[Part]:
    """Draw the digits: generated ones, and the pen digits by other hands."""
    return [
        # The training seeds of the data set "generated", whose test set has another.
        generated.generate(recipe.generated, 2 * seed, backend=backend),
        handwriting.rewritten(people, recipe.renderings, seed, backend=backend),
    ]


def _rescanned(parts: list[Part], count: int, seed: int) -> Part:
    """Scan ``count`` random images of these parts once more."""
    images, labels = _joined(*parts)
    chosen = np.random.default_rng([seed, STREAM]).integers(0, len(labels), count)
    return scanners.rescanned(images[chosen], seed), labels[chosen]


def _no_digits(count: int, seed: int, backend: str) -> Part:
    return nondigits.generate(count, seed, backend=backend), np.full(count, nondigits.NO_DIGIT, np.uint8)


def _joined(*parts: Part) -> Part:
    """Return the images and labels of several parts in a row."""
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)
