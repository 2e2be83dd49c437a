"""A network learns one person's handwriting: it trains a little on digits of his own, mixed with what it knows already.

Twenty drawings are little, so each is written many times over with other pens and slants.  Two things keep the network
from forgetting: most pictures in a batch are of the kinds that it learnt from at first, and after every step its
parameters are pulled a little back to where they were.  The settings were chosen on ten simulated users' digits; see
``pad/simulate.py``, which measures what comes of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numcnn.data import generated, handwriting, mnist, nondigits
from numcnn.data.pendigits import PenDigits
from numcnn.errors import DataError
from numcnn.training.monitor import Monitor

LEAST_TO_HOLD_OUT = 20  # own digits; with fewer, a quarter of them would say nothing
HELD_OUT = 1 / 4
CHECKED = 1000  # pictures of what it knew already, not trained on, that tell whether it forgot
PREPARED = 0.25  # of the time, about, is gone when the pictures to learn from are ready
# Of the things that are no digit, those that a pen draws on a pad.
NO_DIGITS = ("written letters", "written signs", "scribbles", "lines", "figures")
# Random numbers apart from those that drew what the network first learnt from.
REPLAY_SEED = 1_000_003


@dataclass(frozen=True)
class Recipe:
    """How much is trained on, and how.  copies: of each own digit, fewer as soon as they come to ``own_images``.

    replay: pictures of what the network knew already.  pull: the share of the way back that parameters go each step.
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

    def copies_of(self, digits):
        """Return how often each of so many own digits is written: many times, and a few only once."""
        return max(1, min(self.copies, self.own_images // digits))


RECIPE = Recipe()


class Tether(Monitor):
    """Pulls the parameters back to their start after each step: L2-SP (Li, Grandvalet & Davoine 2018), decoupled.

    progress: is called after each step with the number of epochs done, 0.25 after a quarter of the first.
    """

    def __init__(self, network, pull, progress=None):
        self._params, self._start, self._pull = network.params, network.params.copy(), pull
        self._progress, self._images = progress, 0

    def on_start(self, network, state, images_per_epoch):
        """Hear how long an epoch is."""
        self._images = images_per_epoch

    def on_batch(self, state, images, loss, accuracy):
        """Go a part of the way back."""
        self._params += self._params.dtype.type(self._pull) * (self._start - self._params)
        if self._progress:
            self._progress(state.epoch + state.seen / self._images)


def as_people(digits):
    """Return own digits (objects with ``strokes`` and ``label``) as ``PenDigits`` of one writer.  Raises DataError."""
    drawn = [[np.asarray(stroke, np.float64) for stroke in digit.strokes if len(stroke)] for digit in digits]
    if not drawn:
        raise DataError("there are no digits to learn from; label some in the pad: numcnn draw")
    labels = np.array([digit.label for digit in digits], np.uint8)
    return PenDigits(drawn, labels, np.zeros(len(drawn), np.uint8))


def fine_tune(network, people, replay, *, seed=0, recipe=RECIPE, backend="fast", progress=None):
    """Return a copy of ``network`` that has also learnt a person's digits.

    people: ``PenDigits``, 1 or more.  replay: images (M,28,28) uint8 and labels (M,), as `replay_for` makes them; the
    label 10 is a picture of no digit.  Temperature and ``info`` stay the network's.  Equal seeds give equal weights.
    progress: is called after each step with the share that is done, 0..1.
    """
    copies = recipe.copies_of(len(people))
    images, labels = handwriting.rewritten(people, copies, seed, backend=backend)
    learner = network.copy(backend=backend)
    learner.fit(
        np.concatenate([images, replay[0]]),
        np.concatenate([labels, replay[1]]),
        monitor=Tether(learner, recipe.pull, progress and (lambda epochs: progress(epochs / recipe.epochs))),
        outliers=bool((replay[1] == nondigits.NO_DIGIT).any()),
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        lr=recipe.lr,
        weight_decay=0.0,
        augment=recipe.augment,
        label_smoothing=recipe.label_smoothing,
        seed=seed,
    )
    learner.temperature = network.temperature
    return learner


def replay_for(network, count, *, seed=0, data_dir=None, backend="fast"):
    """Draw ``count`` pictures of what ``network`` knows already -> images (count,28,28) uint8, labels, where from.

    Half of the digits are MNIST's training images, if those are on this machine, the others are generated.  For a
    network that was taught to be unsure of what is no digit, an eighth are that.  Nothing is downloaded.
    data_dir: MNIST's folder, by default ``NUMCNN_DATA``, else the cache.
    """
    refuses = "refuse_below" in network.info
    scans = mnist_at_hand(("train_images", "train_labels"), data_dir)
    none = count // 8 if refuses else 0
    scanned = (count - none) // 2 if scans else 0
    parts = [generated.generate(count - none - scanned, REPLAY_SEED + seed, backend=backend)]
    if scans:
        rows = np.random.default_rng([seed, REPLAY_SEED]).permutation(len(scans["train_labels"]))[:scanned]
        parts.append((scans["train_images"][rows], scans["train_labels"][rows]))
    if none:
        parts.append((_no_digits(none, seed, backend), np.full(none, nondigits.NO_DIGIT, np.uint8)))
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.random.default_rng([seed, REPLAY_SEED, 1]).permutation(count)
    sources = [*(["MNIST"] if scans else []), "generated digits", *(["things that are no digit"] if none else [])]
    return images[order], labels[order], ", ".join(sources)


def mnist_at_hand(roles, data_dir=None):
    """Return MNIST's arrays by role if they are on this machine, else None; nothing is downloaded.

    Raises DataError when ``data_dir`` is given and doesn't hold them.
    """
    folder = Path(data_dir or os.environ.get("NUMCNN_DATA") or mnist.cache_folder()).expanduser()
    try:
        return mnist.read_mnist(folder, roles)
    except DataError:
        if data_dir:
            raise
        return None


def _no_digits(count, seed, backend):
    counts = np.diff(np.linspace(0, count, len(NO_DIGITS) + 1).astype(int))
    drawn = [
        nondigits.generate_kind(kind, n, REPLAY_SEED + seed, backend=backend)
        for kind, n in zip(NO_DIGITS, counts, strict=True)
    ]
    return np.concatenate(drawn)


def learn(network, digits, *, seed=0, data_dir=None, recipe=RECIPE, backend="fast", progress=None):
    """Return a copy of ``network`` that has learnt the own ``digits``, and what came of it, as JSON can hold it.

    digits: objects with ``strokes`` and ``label``, such as ``pad.store.OwnDigit``.
    With 20 or more, a quarter is held out at first and read by a network that has learnt from the others; the one that
    is returned has learnt from all.  Raises DataError for no digits.
    progress: is called with the share that is done, 0..1, when the pictures are ready and after each step.
    """
    told = progress or (lambda share: None)
    people = as_people(digits)
    reader = network.copy(backend=backend)
    images, labels, source = replay_for(reader, recipe.replay + CHECKED, seed=seed, data_dir=data_dir, backend=backend)
    replay, check = (images[CHECKED:], labels[CHECKED:]), (images[:CHECKED], labels[:CHECKED])
    told(PREPARED)
    settings = {"seed": seed, "recipe": recipe, "backend": backend}
    middle = (1 + PREPARED) / 2 if len(people) >= LEAST_TO_HOLD_OUT else PREPARED  # it learns twice, or once
    report = {
        "digits": len(people),
        "labels": np.bincount(people.labels, minlength=10).tolist(),
        "held_out": _held_out(reader, people, replay, settings, _span(told, PREPARED, middle)),
    }
    learner = fine_tune(reader, people, replay, **settings, progress=_span(told, middle, 1.0))
    plain = handwriting.render_plain(people, backend)
    report["own"] = {"n": len(people), "before": accuracy(reader, *plain), "after": accuracy(learner, *plain)}
    real = check[1] != nondigits.NO_DIGIT
    check = check[0][real], check[1][real]
    report["known"] = {
        "n": len(check[1]),
        "before": accuracy(reader, *check),
        "after": accuracy(learner, *check),
        "source": source,
    }
    learner.info = {**network.info, "personal": {key: report[key] for key in ("digits", "labels")}}
    return learner, report


def accuracy(network, images, labels):
    """Return the share of pictures, 0..1, that the network reads rightly."""
    return float((network.predict(images) == labels).mean())


def _span(progress, start, end):
    """Return what tells ``progress`` a share of the way from one share to another."""
    return lambda share: progress(start + share * (end - start))


def _held_out(network, people, replay, settings, progress):
    """Learn from three quarters of the digits and read the rest: what can be expected of digits still to come."""
    if len(people) < LEAST_TO_HOLD_OUT:
        return None
    order = np.random.default_rng([settings["seed"], REPLAY_SEED, 2]).permutation(len(people))
    count = round(HELD_OUT * len(people))
    rest, some = (people.at(rows) for rows in (order[:count], order[count:]))
    learner = fine_tune(network, some, replay, **settings, progress=progress)
    plain = handwriting.render_plain(rest, settings["backend"])
    return {"n": count, "before": accuracy(network, *plain), "after": accuracy(learner, *plain)}
