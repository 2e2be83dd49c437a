"""The mixture that the pad's network learns from: scans, generated digits, pen strokes of thirty people, and no digits.

"pad" trains on MNIST, numcnn's generator and most of UCI's pen digits, each written several times with another pen and
another hand, and is tested on MNIST.  "pad-0" to "pad-4" say what strangers at the pad can expect: the people of one
fold are tested on, those of the next set temperature and threshold, the others train.  Nobody is on two sides.
"""

import re

import numpy as np

from numcnn.data import generated as strokes
from numcnn.data import loading, mnist, nondigits, pendigits
from numcnn.errors import ConfigError
from numcnn.imaging import raster

FOLDS = 5
STREAM = 1000  # which of a seed's streams of random numbers the hands are drawn from; nondigits.py has 1001 and 1002
VALIDATION_WRITERS = (26, 27, 28, 29, 30)  # of "pad"
# How the pen is followed: how often, every which point, and whether smoothly.  The tablet reports ten points a second,
# which leaves corners in quick strokes; a mouse reports a hundred.
SAMPLINGS = ((0.3, 1, False), (0.4, 1, True), (0.15, 2, True), (0.1, 3, True), (0.05, 2, False))
TAPER = 0.5  # standard deviation of how a digit grows from head to foot (its size's logarithm)
CHUNK = 5000  # digits rewritten and drawn at a time, for their points take more memory than their pictures


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


def not_learnt_by(network):
    """Return the writers that a network was only tested on, as its ``info`` tells, and those it only validated on.

    One that learnt from another data set than the mixture has learnt from nobody: then all are to test on.
    """
    name = network.info.get("dataset")
    return writers_of(name) if name in loading.MIXTURES else (tuple(range(1, pendigits.WRITERS + 1)), ())


def load(
    name="pad",
    data_dir=None,
    *,
    seed=0,
    pens=None,
    leave_out=(),
    test_only=False,
    scanned=2,
    generated=30_000,
    renderings=8,
    no_digits=20_000,
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
    scanned: how often each of MNIST's images is trained on in an epoch, 1 or more; renderings: how many images of each
    pen digit are; generated, no_digits: how many images of them are; validation: how many of MNIST's training images,
    the last ones, validate instead.
    The others are those of `data.load`.  Raises DataError for what can't be had, ConfigError.
    """
    test_writers, validation_writers = writers_of(name)
    if scanned < 1:
        raise ConfigError(f"scanned is {scanned}; wants 1 or more")
    if not (test_only and test_writers):
        scans = loading.load("mnist", data_dir, test_only=test_only, progress=progress, report=report, origin=origin)
        test, source = (scans.test_images, scans.test_labels), scans.source
    if test_writers or not test_only:
        people = pendigits.load(pens, origin=pens_origin, report=report)
    if test_writers:
        test = drawn_plainly(people.of(test_writers), backend)
        source = f"UCI pen digits of writers {', '.join(map(str, test_writers))}"
    if test_only:
        nothing = np.empty((0, raster.SIDE, raster.SIDE), np.uint8), np.empty(0, np.uint8)
        return loading.Dataset(name, *nothing, *test, source)

    if not 0 <= validation < len(scans.train_labels):
        raise ConfigError(f"validation is {validation}; wants 0 or more, and fewer than MNIST's training images")
    report(f"Drawing {name}: {generated:,} digits, {renderings} times each person's, {no_digits:,} that are no digit.")
    kept = set(range(1, pendigits.WRITERS + 1)) - {*test_writers, *validation_writers, *leave_out}
    trained = slice(len(scans.train_labels) - validation)
    again = scans.train_images[trained], scans.train_labels[trained]
    images, labels = _joined(
        (scans.train_images, scans.train_labels),
        *[again] * (scanned - 1),
        strokes.generate(generated, 2 * seed, backend=backend),  # the seeds of "generated", whose test set is another
        rewritten(people.of(kept), renderings, seed, backend=backend),
        (nondigits.generate(no_digits, seed, backend=backend), np.full(no_digits, nondigits.NO_DIGIT, np.uint8)),
        drawn_plainly(people.of(validation_writers), backend),
    )
    source = f"MNIST, generated digits, UCI pen digits and things that are no digit, seed {seed}"
    end, last_scan = len(labels), len(scans.train_labels)
    rows = np.r_[last_scan - validation : last_scan, end - len(people.of(validation_writers)) : end]
    return loading.Dataset(name, images, labels, *test, source, validation_rows=rows)


def _joined(*parts):
    """Return the images and labels of several parts in a row."""
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def drawn_plainly(people, backend="fast"):
    """Draw pen digits as the pad draws what is on its canvas -> images (N,28,28) uint8, labels (N,)."""
    return raster.mnist_images(people.strokes, backend=backend), people.labels


def rewritten(people, times, seed, *, backend="fast"):
    """Draw each pen digit several times, each time by another hand and pen -> images (times N,28,28), labels."""
    rng = np.random.default_rng([seed, STREAM])
    images = np.empty((times * len(people), raster.SIDE, raster.SIDE), np.uint8)
    order = np.tile(np.arange(len(people)), times)
    for first in range(0, len(order), CHUNK):
        digits = vary([people.strokes[row] for row in order[first : first + CHUNK]], rng)
        images[first : first + CHUNK] = raster.mnist_images(digits, strokes.pen_widths(len(digits), rng), backend)
    return images, people.labels[order]


def vary(digits, rng):
    """Write digits once more, by hands that lean and shake otherwise, followed by another device.

    digits: lists of strokes (n,2), in any unit -> as many lists of strokes, about 1 high, around 0.
    Strokes that are as long and sampled alike are changed at once, which makes it fast.
    """
    flat = [stroke for digit in digits for stroke in digit]
    owners = np.repeat(np.arange(len(digits)), [len(digit) for digit in digits])
    middles, heights = _frames(digits)
    hands, shakes = _hands(len(digits), rng), 0.012 * rng.random(len(digits)) ** 2
    tapers = TAPER * rng.standard_normal(len(digits))
    sampling = rng.choice(len(SAMPLINGS), len(digits), p=[share for share, _, _ in SAMPLINGS])
    kinds = np.column_stack([[len(stroke) for stroke in flat], sampling[owners]])
    varied = [None] * len(flat)
    for kind in np.unique(kinds, axis=0):
        mine = np.flatnonzero((kinds == kind).all(axis=1))
        own = owners[mine]
        _, step, smooth = SAMPLINGS[kind[1]]
        paths = (np.stack([flat[i] for i in mine]) - middles[own, None]) / heights[own, None, None]
        paths = _sampled(_other_ends(paths, rng), step)
        paths += shakes[own, None, None] * rng.standard_normal(paths.shape)
        paths += 0.012 * rng.standard_normal((len(mine), 1, 2))  # the pen comes down a little off
        paths = _tapered(paths, tapers[own, None])
        if smooth and paths.shape[1] > 2:
            paths = strokes.curve(paths, np.ones(paths.shape[:2]))
        for i, path in zip(mine, paths @ hands[own], strict=True):
            varied[i] = path
    following = iter(varied)
    return [[next(following) for _ in digit] for digit in digits]


def _frames(digits):
    """Return the middles (N,2) of digits and their larger sides (N,), 1 for a dot."""
    points = [np.concatenate(digit) for digit in digits]
    low, high = (
        np.array([side(axis=0) for side in sides]) for sides in zip(*((p.min, p.max) for p in points), strict=True)
    )
    extents = (high - low).max(axis=1)
    return (low + high) / 2, np.where(extents > 0, extents, 1)


def _hands(count, rng):
    """Draw slant, turn and proportions -> matrices (count,2,2), for points in rows."""
    slant, turn, wide = (spread * rng.standard_normal(count) for spread in (0.18, 0.1, 0.14))
    none, one = np.zeros(count), np.ones(count)
    lean = np.array([[np.exp(wide), none], [-slant, one]])
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.einsum("ijn,jkn->nik", lean, rotation)


def _tapered(paths, taper):
    """Let strokes (n,K,2) grow from top to bottom, or shrink: at height y their size goes as exp(taper y), taper (n,1).

    So one 9 gets a small loop and another a large one.
    """
    x, y = paths[..., 0], paths[..., 1]
    size = np.exp(taper * y)
    return np.stack([x * size, y * (1 + size) / 2], axis=-1)


def _sampled(paths, step):
    """Keep every ``step``-th point of strokes (n,K,2), and the last; short strokes keep all."""
    if paths.shape[1] <= 3 * step:
        return paths
    return np.concatenate([paths[:, :-1:step], paths[:, -1:]], axis=1)


def _other_ends(paths, rng):
    """Let strokes (n,K,2) begin and end a little earlier or later."""
    count, length = paths.shape[:2]
    if length < 2:
        return paths
    early, late = rng.integers(0, 1 + length // 20, (2, count, 1))
    kept = np.clip(np.arange(length), early, length - 1 - late)  # what is cut off falls on the new end
    paths = np.take_along_axis(paths, kept[..., None], axis=1)
    for end, inner in ((0, min(3, length - 1)), (-1, -min(4, length))):
        direction = paths[:, end] - paths[:, inner]
        direction /= np.maximum(np.hypot(*direction.T), 0.02)[:, None]  # a pen at rest has none
        paths[:, end] += np.abs(0.03 * rng.standard_normal((count, 1))) * direction
    return paths
