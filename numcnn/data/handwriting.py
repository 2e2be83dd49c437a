"""Other hands: pen digits written once more, by hands that lean and shake differently, with other pens and devices."""

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
        digits = vary([people.strokes[row] for row in order[first : first + CHUNK]], rng)
        images[first : first + CHUNK] = raster.mnist_images(digits, generated.pen_widths(len(digits), rng), backend)
    return images, people.labels[order]


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
