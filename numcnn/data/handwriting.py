"""The mixture that the pad's network learns from: scans, generated digits, pen strokes of thirty people, and no digits.

"pad" trains on MNIST, numcnn's generator and most of UCI's pen digits, each written several times with another pen and
another hand, and is tested on MNIST.  "pad-0" to "pad-4" say what strangers at the pad can expect: the people of one
fold are tested on, those of the next choose the epoch, the others train.  Nobody is on two sides.
"""

import dataclasses
import re

import numpy as np

from numcnn import raster
from numcnn.data import datasets, mnist, nondigits, pendigits, strokes
from numcnn.errors import ConfigError

FOLDS = 5
NO_DIGIT = 10  # the label of what is none of the ten; only training images have it
VALIDATION_WRITERS = (26, 27, 28, 29, 30)  # of "pad"
CHUNK = 2000  # digits rewritten and drawn at a time, for their points take more memory than their pictures
THICKNESS = 0.25  # standard deviation of the pen width's logarithm
LEAST_PEN, MOST_PEN = 1.4, 4.6  # pixels, around raster.PEN_WIDTH


def writers_of(name):
    """Return the writers that data set ``name`` tests on, and those it validates on.  Raises ConfigError."""
    if name == "pad":
        return (), VALIDATION_WRITERS
    found = re.fullmatch(rf"pad-([0-{FOLDS - 1}])", name)
    if not found:
        raise ConfigError(f"there is no mixture {name!r}; choose pad or pad-0 to pad-{FOLDS - 1}")
    fold = int(found[1])
    everyone = range(1, pendigits.WRITERS + 1)
    return tuple(
        tuple(writer for writer in everyone if (writer - 1) % FOLDS == wanted) for wanted in (fold, (fold + 1) % FOLDS)
    )


def load(
    name="pad",
    data_dir=None,
    *,
    seed=0,
    pens=None,
    leave_out=(),
    test_only=False,
    generated=30_000,
    renderings=4,
    no_digits=15_000,
    validation=5_000,
    backend="fast",
    progress=True,
    report=mnist.to_stderr,
    origin=mnist.OFFICIAL,
    pens_origin=pendigits.OFFICIAL,
):
    """Make the mixture -> Dataset, with validation rows of its own: digits only, drawn plainly, and MNIST's.

    name: "pad", or "pad-0" to "pad-4".  data_dir: where MNIST is; pens: where UCI's pen digits are.
    leave_out: further writers whose digits are not trained on.
    generated, no_digits: how many images of them to train on; renderings: how many of each pen digit; validation: how
    many of MNIST's training images, the last ones, validate instead.
    The others are those of `data.load`.  Raises DataError for what can't be had, ConfigError.
    """
    test_writers, validation_writers = writers_of(name)
    source = f"MNIST, generated digits, UCI pen digits and things that are no digit, seed {seed}"
    scans = None
    if not (test_only and test_writers):
        scans = datasets.load("mnist", data_dir, test_only=test_only, progress=progress, report=report, origin=origin)
        test = scans.test_images, scans.test_labels
    if test_writers or not test_only:
        people = pendigits.load(pens, origin=pens_origin, progress=progress, report=report)
    if test_writers:
        test = drawn_plainly(people.of(test_writers), backend)
    if test_only:
        nothing = np.empty((0, raster.SIDE, raster.SIDE), np.uint8), np.empty(0, np.uint8)
        return datasets.Dataset(name, *nothing, *test, source)

    if not 0 <= validation < len(scans.train_labels):
        raise ConfigError(f"validation is {validation}; wants 0 or more, and fewer than MNIST's training images")
    report(f"Drawing {name}: {generated:,} digits, {renderings} times each person's, {no_digits:,} that are no digit.")
    kept = set(range(1, pendigits.WRITERS + 1)) - {*test_writers, *validation_writers, *leave_out}
    plain = drawn_plainly(people.of(validation_writers), backend)
    parts = [
        (scans.train_images, scans.train_labels),
        strokes.generate(generated, 2 * seed, backend=backend),  # the seeds of "generated", whose test set is another
        rewritten(people.of(kept), renderings, seed, backend=backend),
        (nondigits.generate(no_digits, seed, backend=backend), np.full(no_digits, NO_DIGIT, np.uint8)),
        plain,
    ]
    total = sum(len(labels) for _, labels in parts)
    last_scan = len(scans.train_labels)
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    rows = np.r_[last_scan - validation : last_scan, total - len(plain[1]) : total]
    return datasets.Dataset(name, images, labels, *test, source, validation_rows=rows)


def drawn_plainly(people, backend="fast"):
    """Draw pen digits as the pad draws what is on its canvas -> images (N,28,28) uint8, labels (N,)."""
    return raster.mnist_images(people.strokes, backend=backend), people.labels


def rewritten(people, times, seed, *, backend="fast"):
    """Draw each pen digit several times, each time by another hand and pen -> images (times N,28,28), labels."""
    rng = np.random.default_rng([seed, 1])
    images = np.empty((times * len(people), raster.SIDE, raster.SIDE), np.uint8)
    order = np.tile(np.arange(len(people)), times)
    for first in range(0, len(order), CHUNK):
        digits = [vary(people.strokes[row], rng) for row in order[first : first + CHUNK]]
        images[first : first + CHUNK] = raster.mnist_images(digits, pen_widths(len(digits), rng), backend)
    return images, people.labels[order]


def pen_widths(count, rng):
    """Draw pen widths (count,) in pixels, spread as MNIST's are."""
    return np.clip(raster.PEN_WIDTH * np.exp(THICKNESS * rng.standard_normal(count)), LEAST_PEN, MOST_PEN)


def vary(digit, rng):
    """Write a digit, a list of strokes (n,2), once more: sampled otherwise, by a hand that leans and shakes otherwise.

    -> list of strokes, about 1 high, around 0.
    """
    points = np.concatenate(digit)
    low, high = points.min(axis=0), points.max(axis=0)
    height = max((high - low).max(), 1)
    step, smooth = _sampling(rng)
    shake = 0.012 * rng.random() ** 2
    hand = _hand(rng)
    strokes_now = []
    for stroke in digit:
        path = (stroke - (low + high) / 2) / height
        if step > 1 and len(path) > 3 * step:
            path = np.concatenate([path[:-1:step], path[-1:]])
        path = path + shake * rng.standard_normal(path.shape)
        if smooth and len(path) > 2:
            path = strokes.curve(path[None], np.ones((1, len(path))))[0]
        if strokes_now:  # the pen was lifted, and comes down a little off
            path = path + 0.02 * rng.standard_normal(2)
        strokes_now.append(_other_ends(path, rng) @ hand)
    return strokes_now


def _sampling(rng):
    """Draw how the pen is followed: every which point, and whether smoothly.

    The tablet reports ten points a second, which leaves corners in quick strokes; a mouse reports a hundred.
    """
    chance = rng.random()
    if chance < 0.3:
        return 1, False
    return (1, True) if chance < 0.7 else (int(rng.integers(2, 4)), chance < 0.95)


def _hand(rng):
    """Draw slant, turn and proportions -> matrix (2,2), for points in rows."""
    slant, turn = rng.normal(0, (0.18, 0.1))
    wide = np.exp(rng.normal(0, 0.14))
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([[wide, 0], [-slant, 1]]) @ np.array([[cos, sin], [-sin, cos]])


def _other_ends(path, rng):
    """Let a stroke (n,2) begin and end a little earlier or later."""
    few = len(path) // 20
    early, late = rng.integers(-few, few + 1, 2) if few else (0, 0)
    path = path[max(early, 0) : len(path) - max(late, 0)]
    reach = np.abs(rng.normal(0, 0.03, 2))
    ends = [path]
    if early <= 0:
        ends.insert(0, _beyond(path[0], path[1:4], reach[0]))
    if late <= 0:
        ends.append(_beyond(path[-1], path[-4:-1], reach[1]))
    return np.concatenate(ends)


def _beyond(end, before, reach):
    """Return the point (1,2) that lies ``reach`` beyond a stroke's end, or none (0,2) for a dot."""
    direction = end - before.mean(axis=0) if len(before) else np.zeros(2)
    length = np.hypot(*direction)
    return (end + reach / length * direction)[None] if length > 1e-6 else np.empty((0, 2))
