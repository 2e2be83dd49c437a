"""Learn one person's handwriting: fine-tune a network on their digits, mixed with what it knows already.

Twenty drawings are few, so each is rendered many times with other pens and slants.  Two things keep the network from
forgetting: most pictures in a batch are of the kinds it was first trained on, and after every step the parameters are
pulled back a little towards their initial values (L2-SP, in ``optim``).  The settings were chosen on the digits of ten
simulated users; ``simulated_users.py`` measures the result.
"""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from numcnn.data import generated, handwriting, mnist, nondigits
from numcnn.data.pendigits import PenDigits
from numcnn.errors import DataError
from numcnn.files import as_path
from numcnn.imaging.preprocess import SIDE
from numcnn.kernels.arrays import Bytes, Ints
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.monitor import Monitor, TrainState
from numcnn.training.optim import make_optimizer

Pictures: TypeAlias = tuple[Bytes, Bytes]  # images (N,28,28) and labels (N,)
Progress: TypeAlias = Callable[[float], object]  # called with the fraction done, 0..1

LEAST_TO_HOLD_OUT = 20  # own digits; a quarter of fewer would be too small a sample
HELD_OUT = 1 / 4
CHECKED = 1000  # held-out pictures of the first training's kinds, which show whether the network forgot
PREPARED = 0.25  # about the fraction of the time that preparing the pictures takes
# The kinds of non-digits that a pen draws on a pad.
NON_DIGITS = ("written letters", "written signs", "scribbles", "lines", "figures", "two digits")
# Added to seeds, so that the random numbers differ from those of the first training.
REPLAY_SEED = 1_000_003


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune.  copies: of each own digit, fewer where that would exceed ``own_images``.

    replay: pictures of the kinds that the network knows already.  pull: see ``optim.Optimizer``.
    """

    copies: int = 40
    own_images: int = 2000
    replay: int = 2000
    epochs: int = 3
    batch_size: int = 128
    lr: float = 1e-3
    augment: float = 0.6
    label_smoothing: float = 0.05
    pull: float = 0.01

    def copies_of(self, digits: int) -> int:
        """Return how many copies of each own digit to render, 1 or more, for this many digits."""
        return max(1, min(self.copies, self.own_images // digits))


RECIPE = Recipe()


@dataclass(frozen=True, eq=False)
class Crops:
    """Pictures of single digits from one source, such as a meter: images (N,28,28) and labels (N,), both uint8."""

    images: Bytes
    labels: Bytes

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, rows: Ints) -> "Crops":
        """Return the pictures in these rows (n,)."""
        return Crops(self.images[rows], self.labels[rows])


@dataclass(frozen=True, eq=False)
class DrawnAndCrops:
    """Digits of which some were drawn and some are pictures; in this order."""

    drawn: PenDigits
    crops: Crops

    @property
    def labels(self) -> Bytes:
        """The label of each digit (n,)."""
        return np.concatenate([self.drawn.labels, self.crops.labels])

    def __len__(self) -> int:
        return len(self.drawn) + len(self.crops)

    def at(self, rows: Ints) -> "People":
        """Return the digits in these rows (n,)."""
        drawn, crops = rows[rows < len(self.drawn)], rows[rows >= len(self.drawn)] - len(self.drawn)
        return joined(self.drawn.at(drawn), self.crops.at(crops))


People: TypeAlias = PenDigits | Crops | DrawnAndCrops  # what to learn


def joined(drawn: PenDigits, crops: Crops) -> People:
    """Return drawn digits and pictures as one; either may be none."""
    return DrawnAndCrops(drawn, crops) if len(drawn) and len(crops) else crops if len(crops) else drawn


class Labelled(Protocol):
    """A labelled drawing, or a picture instead of strokes, such as ``pad.store.OwnDigit``."""

    @property
    def label(self) -> int: ...  # noqa: D102

    @property
    def strokes(self) -> Sequence[Any]: ...  # noqa: D102

    @property
    def image(self) -> Bytes | None: ...  # noqa: D102


class Fraction(Monitor):
    """Reports after each step which fraction of the training is done."""

    def __init__(self, report: Progress, epochs: int) -> None:
        self._report, self._epochs, self._images = report, epochs, 0

    def on_start(self, network: Network, state: TrainState, images_per_epoch: int) -> None:
        """Note how long an epoch is."""
        self._images = images_per_epoch

    def on_batch(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """Report."""
        self._report((state.epoch + state.seen / self._images) / self._epochs)


def as_people(digits: Sequence[Labelled]) -> People:
    """Return own digits: those drawn as the ``PenDigits`` of one writer.  Raises DataError if there are none."""
    if not digits:
        raise DataError("there are no digits to learn from; label some in the pad: numcnn draw")
    drawn = [digit for digit in digits if digit.image is None]
    strokes = [[np.asarray(stroke, np.float64) for stroke in digit.strokes if len(stroke)] for digit in drawn]
    people = PenDigits(strokes, _labels(drawn), np.zeros(len(drawn), np.uint8))
    found = [digit for digit in digits if digit.image is not None]
    images = np.array([digit.image for digit in found], np.uint8).reshape(-1, SIDE, SIDE)
    return joined(people, Crops(images, _labels(found)))


def _labels(digits: Sequence[Labelled]) -> Bytes:
    return np.array([digit.label for digit in digits], np.uint8)


def pictures_of(people: People, backend: str = "fast") -> Pictures:
    """Return a picture of each digit -> images (N,28,28), labels (N,)."""
    if isinstance(people, DrawnAndCrops):
        return _one_after_other(pictures_of(people.drawn, backend), pictures_of(people.crops, backend))
    return (
        handwriting.render_plain(people, backend) if isinstance(people, PenDigits) else (people.images, people.labels)
    )


def fine_tune(
    network: Network,
    people: People,
    replay: Pictures,
    *,
    seed: int = 0,
    recipe: Recipe = RECIPE,
    backend: str = "fast",
    progress: Progress | None = None,
) -> Network:
    """Return a copy of ``network`` that has also learned a person's digits, or a source's.

    people: one or more digits; each copy of a drawing differs in pen and slant, of a picture by augmentation.  replay:
    as `replay_for` returns it; the label 10 marks non-digits.  progress: called after each step.  Temperature and
    ``info`` stay the network's.  Equal seeds give equal weights.
    """
    images, labels = _copies(people, recipe.copies_of(len(people)), seed, backend)
    learner = network.copy(backend=backend)
    config = TrainConfig(
        outliers=bool((replay[1] == nondigits.NO_DIGIT).any()),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        weight_decay=0.0,
        augment=recipe.augment,
        label_smoothing=recipe.label_smoothing,
        seed=seed,
    )
    fit(
        learner,
        (np.concatenate([images, replay[0]]), np.concatenate([labels, replay[1]])),
        None,
        config,
        monitor=Fraction(progress, recipe.epochs) if progress else None,
        optimizer=make_optimizer(learner, config, pull=recipe.pull),
    )
    learner.temperature, learner.info = network.temperature, dict(network.info)
    return learner


def replay_for(
    network: Network, count: int, *, seed: int = 0, data_dir: str | Path | None = None, backend: str = "fast"
) -> tuple[Bytes, Bytes, str]:
    """Draw pictures of the kinds that ``network`` knows already -> images (count,28,28), labels (count,), source.

    Half of the digits are MNIST's training images, if those are on this machine; the others are generated.  For a
    network that can refuse non-digits, an eighth are non-digits.  Nothing is downloaded.
    data_dir: MNIST's folder, by default ``NUMCNN_DATA``, else the cache.
    """
    refuses = "refuse_below" in network.info
    scans = local_mnist(("train_images", "train_labels"), data_dir)
    none = count // 8 if refuses else 0
    scanned = (count - none) // 2 if scans else 0
    parts: list[Pictures] = [generated.generate(count - none - scanned, REPLAY_SEED + seed, backend=backend)]
    if scans:
        rows = np.random.default_rng([seed, REPLAY_SEED]).permutation(len(scans["train_labels"]))[:scanned]
        parts.append((scans["train_images"][rows], scans["train_labels"][rows]))
    if none:
        parts.append((_non_digits(none, seed, backend), np.full(none, nondigits.NO_DIGIT, np.uint8)))
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.random.default_rng([seed, REPLAY_SEED, 1]).permutation(count)
    sources = [*(["MNIST"] if scans else []), "generated digits", *(["non-digits"] if none else [])]
    return images[order], labels[order], ", ".join(sources)


def local_mnist(roles: Sequence[str], data_dir: str | Path | None = None) -> dict[str, Bytes] | None:
    """Return MNIST's arrays by role if they are on this machine, else None.  Downloads nothing.

    Raises DataError when ``data_dir`` is given and doesn't hold them.
    """
    folder = as_path(data_dir or os.environ.get("NUMCNN_DATA") or mnist.cache_folder())
    try:
        return mnist.read_mnist(folder, roles)
    except DataError:
        if data_dir:
            raise
        return None


def _non_digits(count: int, seed: int, backend: str) -> Bytes:
    counts = np.diff(np.linspace(0, count, len(NON_DIGITS) + 1).astype(int))
    drawn = [
        nondigits.generate_kind(kind, n, REPLAY_SEED + seed, backend=backend)
        for kind, n in zip(NON_DIGITS, counts, strict=True)
    ]
    return np.concatenate(drawn)


def learn(
    network: Network,
    digits: Sequence[Labelled] | Crops,
    *,
    seed: int = 0,
    data_dir: str | Path | None = None,
    recipe: Recipe = RECIPE,
    backend: str = "fast",
    progress: Progress | None = None,
) -> tuple[Network, dict[str, Any]]:
    """Return a copy of ``network`` that has learned the own ``digits``, and a report for JSON.

    With 20 digits or more, a quarter is held out first and tests a network that has learned the others; the returned
    network has learned all.  progress: called when the pictures are ready, and after each step.
    Raises DataError if there are no digits.
    """
    report_progress: Progress = progress or _ignore
    people = digits if isinstance(digits, Crops) else as_people(digits)
    reader = network.copy(backend=backend)
    images, labels, source = replay_for(reader, recipe.replay + CHECKED, seed=seed, data_dir=data_dir, backend=backend)
    replay, check = (images[CHECKED:], labels[CHECKED:]), (images[:CHECKED], labels[:CHECKED])
    report_progress(PREPARED)
    tune = functools.partial(fine_tune, reader, replay=replay, seed=seed, recipe=recipe, backend=backend)
    middle = (1 + PREPARED) / 2 if len(people) >= LEAST_TO_HOLD_OUT else PREPARED  # it learns twice, or once
    report: dict[str, Any] = {
        "digits": len(people),
        "labels": np.bincount(people.labels, minlength=10).tolist(),
        "held_out": None,
    }
    if len(people) >= LEAST_TO_HOLD_OUT:
        some, rest = _hold_out(people, seed)
        judge = tune(some, progress=_span(report_progress, PREPARED, middle))
        report["held_out"] = _before_and_after(reader, judge, pictures_of(rest, backend))
    learner = tune(people, progress=_span(report_progress, middle, 1.0))
    report["own"] = _before_and_after(reader, learner, pictures_of(people, backend))
    real = check[1] != nondigits.NO_DIGIT
    report["known"] = _before_and_after(reader, learner, (check[0][real], check[1][real])) | {"source": source}
    known = {key: value for key, value in network.info.items() if key != "risks"}  # nobody has measured the learner
    learner.info = {**known, "personal": {key: report[key] for key in ("digits", "labels")}}
    return learner, report


def accuracy(network: Network, images: Bytes, labels: Bytes) -> float:
    """Return the fraction of pictures, 0..1, that the network reads correctly."""
    return float((network.predict(images) == labels).mean())


def _copies(people: People, times: int, seed: int, backend: str) -> Pictures:
    """Return what the network trains on: ``times`` pictures of each digit."""
    if isinstance(people, DrawnAndCrops):
        parts = (_copies(part, times, seed, backend) for part in (people.drawn, people.crops))
        return _one_after_other(*parts)
    if isinstance(people, PenDigits):
        return handwriting.rewritten(people, times, seed, backend=backend)
    return np.tile(people.images, (times, 1, 1)), np.tile(people.labels, times)


def _one_after_other(one: Pictures, other: Pictures) -> Pictures:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])


def _span(progress: Progress, start: float, end: float) -> Progress:
    """Return a callback that reports a fraction of the way from ``start`` to ``end``."""
    return lambda fraction: progress(start + fraction * (end - start))


def _ignore(fraction: float) -> None:
    pass


def _hold_out(people: People, seed: int) -> tuple[People, People]:
    """Return three quarters of the digits to learn, and the rest to test with."""
    order = np.random.default_rng([seed, REPLAY_SEED, 2]).permutation(len(people))
    count = round(HELD_OUT * len(people))
    return people.at(order[count:]), people.at(order[:count])


def _before_and_after(network: Network, learner: Network, pictures: Pictures) -> dict[str, Any]:
    """Return the number of pictures, and the accuracy of both networks on them."""
    return {"n": len(pictures[1]), "before": accuracy(network, *pictures), "after": accuracy(learner, *pictures)}
