"""Other hands: pen digits written once more, by hands that lean and shake differently, with other pens and devices.

Some hands add what many people add (a slash through a zero, a bar through a 7, a flag and a foot to a 1), and some
write wide and flat.
"""

from collections.abc import Sequence

import numpy as np

from numcnn.data import generated
from numcnn.data.pendigits import PenDigits
from numcnn.imaging import raster
from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Bytes, Float64s

STREAM = 1000  # which of a seed's streams of random numbers the hands are drawn from; nondigits.py has 1001 and 1002
# How the pen is sampled: how often (fraction of the digits), every which point, and whether smoothed.  The tablet
# reports ten points a second, which leaves corners in quick strokes; a mouse reports a hundred.
SAMPLINGS = ((0.3, 1, False), (0.4, 1, True), (0.15, 2, True), (0.1, 3, True), (0.05, 2, False))
TAPER = 0.5  # standard deviation of how a digit grows from head to foot (its size's logarithm)
# How often a hand adds to a digit.
SLASHED, BARRED, FLAGGED, FOOTED = 0.12, 0.12, 0.08, 0.08
FLAT = 0.04  # fraction of the digits that are written wide and flat
SLIM = 0.4  # width of a 1, in its heights: a wider one has a flag or a foot already
CHUNK = 5000  # digits rewritten and drawn at a time: their points take more memory than their pictures


def render_plain(people: PenDigits, backend: str = "fast") -> tuple[Bytes, Bytes]:
    """Draw pen digits unchanged, with the pad's pen -> images (N,28,28) uint8, labels (N,)."""
    return raster.mnist_images(people.strokes, backend=backend), people.labels


def rewritten(people: PenDigits, times: int, seed: int, *, backend: str = "fast") -> tuple[Bytes, Bytes]:
    """Draw each pen digit several times, each time in another hand and pen -> images (times N,28,28), labels."""
    rng = np.random.default_rng([seed, STREAM])
    images = np.empty((times * len(people), raster.SIDE, raster.SIDE), np.uint8)
    order = np.tile(np.arange(len(people)), times)
    for first in range(0, len(order), CHUNK):
        rows = order[first : first + CHUNK]
        digits = vary([with_habits(people.strokes[row], int(people.labels[row]), rng) for row in rows], rng)
        images[first : first + CHUNK] = raster.mnist_images(digits, generated.pen_widths(len(digits), rng), backend)
    return images, people.labels[order]


def with_habits(digit: Strokes, label: int, rng: np.random.Generator) -> list[Float64s]:
    """Return a digit's strokes (n,2), y downwards, some with what other people add to this digit, or flattened."""
    strokes = list(digit)
    points = np.concatenate(strokes)
    low, size = points.min(axis=0), np.ptp(points, axis=0)
    if size.max() == 0:
        return strokes
    if label == 0 and rng.random() < SLASHED:
        strokes.append(low + size * _slash(rng))
    elif label == 7 and len(strokes) == 1 and rng.random() < BARRED:
        strokes.append(_level(points[len(points) // 2 :], rng.uniform(0.4, 0.6), low, size, rng))
    elif label == 1 and size[0] < SLIM * size[1]:
        if rng.random() < FLAGGED:
            strokes[0] = _flagged(strokes[0], size[1], rng)
        if rng.random() < FOOTED:
            strokes.append(_level(points, 1.0, low, size, rng))
    if rng.random() < FLAT:
        wider = rng.uniform(1.4, 2.4), 1.0
        strokes = [low + (stroke - low) * wider for stroke in strokes]
    return strokes


def _slash(rng: np.random.Generator) -> Float64s:
    """Return a bar through a zero, (3,2) in fractions of its box: mostly a rising slash, often beyond the loop."""
    reach = rng.uniform(-0.12, 0.25, 2)  # beyond each corner, or short of it
    kind = rng.choice(4, p=[0.75, 0.08, 0.1, 0.07])  # rising, falling, level, upright
    start, end = np.array([((1, 0), (0, 1)), ((0, 0), (1, 1)), ((0, 0.5), (1, 0.5)), ((0.5, 0), (0.5, 1))][kind], float)
    outwards = end - start
    ends = np.array([start - reach[0] * outwards, end + reach[1] * outwards])
    ends += 0.06 * rng.standard_normal((2, 2))
    return np.array([ends[0], ends.mean(axis=0) + 0.02 * rng.standard_normal(2), ends[1]])


def _level(stem: Float64s, at: float, low: Float64s, size: Float64s, rng: np.random.Generator) -> Float64s:
    """Return a level bar (3,2) across a stem (n,2), at this fraction of the digit's height."""
    y = low[1] + at * size[1]
    x = stem[np.abs(stem[:, 1] - y).argmin(), 0]
    left, right = rng.uniform(0.2, 0.5, 2) * size[1]
    tilt = 0.05 * size[1] * rng.standard_normal(2)
    return np.array([[x - left, y + tilt[0]], [x, y + tilt.mean()], [x + right, y + tilt[1]]])


def _flagged(stroke: Float64s, height: float, rng: np.random.Generator) -> Float64s:
    """Return the stroke (n,2) of a 1 with a flag before its upper end; a stroke drawn upwards is turned round."""
    if stroke[0, 1] > stroke[-1, 1]:
        stroke = stroke[::-1]
    flag = stroke[0] + height * np.array([-rng.uniform(0.15, 0.5), rng.uniform(0.12, 0.45)])
    return np.concatenate([[flag, (flag + stroke[0]) / 2 + 0.02 * height * rng.standard_normal(2)], stroke])


def vary(digits: Sequence[Strokes], rng: np.random.Generator) -> list[list[Float64s]]:
    """Write digits once more, in other hands and sampled by other devices.

    digits: N lists of strokes (n,2), in any unit -> N lists of strokes, about 1 high, around 0.
    For speed, strokes of one length and sampling are changed together.
    """
    flat = [stroke for digit in digits for stroke in digit]
    owners = np.repeat(np.arange(len(digits)), [len(digit) for digit in digits])
    middles, heights = _frames(digits)
    hands, shakes = _hands(len(digits), rng), 0.012 * rng.random(len(digits)) ** 2
    tapers = TAPER * rng.standard_normal(len(digits))
    sampling = rng.choice(len(SAMPLINGS), len(digits), p=[fraction for fraction, _, _ in SAMPLINGS])
    kinds = np.column_stack([[len(stroke) for stroke in flat], sampling[owners]])
    varied: list[Float64s] = [stroke[:0] for stroke in flat]
    for kind in np.unique(kinds, axis=0):
        mine = np.flatnonzero((kinds == kind).all(axis=1))
        own = owners[mine]
        _, step, smooth = SAMPLINGS[kind[1]]
        paths = (np.stack([flat[i] for i in mine]) - middles[own, None]) / heights[own, None, None]
        paths = _sampled(_other_ends(paths, rng), step)
        paths += shakes[own, None, None] * rng.standard_normal(paths.shape)
        paths += 0.012 * rng.standard_normal((len(mine), 1, 2))  # the pen lands a little off
        paths = _tapered(paths, tapers[own, None])
        if smooth and paths.shape[1] > 2:
            paths = generated.curve(paths, np.ones(paths.shape[:2]))
        for i, path in zip(mine, paths @ hands[own], strict=True):
            varied[i] = path
    following = iter(varied)
    return [[next(following) for _ in digit] for digit in digits]


def _frames(digits: Sequence[Strokes]) -> tuple[Float64s, Float64s]:
    """Return the middles (N,2) of digits and their larger sides (N,), 1 for a dot."""
    points = [np.concatenate(digit) for digit in digits]
    low, high = (np.array([side(some, axis=0) for some in points]) for side in (np.min, np.max))
    extents = (high - low).max(axis=1)
    return (low + high) / 2, np.where(extents > 0, extents, 1)


def _hands(count: int, rng: np.random.Generator) -> Float64s:
    """Draw slant, turn and proportions -> matrices (count,2,2), for points in rows."""
    slant, turn, wide = (spread * rng.standard_normal(count) for spread in (0.18, 0.1, 0.14))
    none, one = np.zeros(count), np.ones(count)
    lean = np.array([[np.exp(wide), none], [-slant, one]])
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.einsum("ijn,jkn->nik", lean, rotation)


def _tapered(paths: Float64s, taper: Float64s) -> Float64s:
    """Scale strokes (n,K,2) by exp(taper y) at height y, so that they grow or shrink towards the foot; taper (n,1).

    One 9 gets a small loop, another a large one.
    """
    x, y = paths[..., 0], paths[..., 1]
    size = np.exp(taper * y)
    return np.stack([x * size, y * (1 + size) / 2], axis=-1)


def _sampled(paths: Float64s, step: int) -> Float64s:
    """Keep every ``step``-th point of strokes (n,K,2), and the last; short strokes keep all."""
    if paths.shape[1] <= 3 * step:
        return paths
    return np.concatenate([paths[:, :-1:step], paths[:, -1:]], axis=1)


def _other_ends(paths: Float64s, rng: np.random.Generator) -> Float64s:
    """Start and end strokes (n,K,2) a little earlier or later."""
    count, length = paths.shape[:2]
    if length < 2:
        return paths
    early, late = rng.integers(0, 1 + length // 20, (2, count, 1))
    kept = np.clip(np.arange(length), early, length - 1 - late)  # points that are cut off fall on the new end
    paths = np.take_along_axis(paths, kept[..., None], axis=1)
    for end, inner in ((0, min(3, length - 1)), (-1, -min(4, length))):
        direction = paths[:, end] - paths[:, inner]
        direction /= np.maximum(np.hypot(*direction.T), 0.02)[:, None]  # a pen at rest has no direction
        paths[:, end] += np.abs(0.03 * rng.standard_normal((count, 1))) * direction
    return paths
