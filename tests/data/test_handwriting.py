"""Other hands: rewritten digits differ from their originals, but not too much."""

import numpy as np
import pytest
from conftest import BACKEND, unipen

from numcnn.data import generated, handwriting, pendigits
from numcnn.imaging import raster


def digits(count, seed=0):
    rng = np.random.default_rng(seed)
    return [[200 * stroke + 250 for stroke in generated.digit_strokes(i % 10, rng)] for i in range(count)]


def test_digits_written_once_more_are_other_but_not_much():
    originals = digits(60)
    varied = handwriting.vary(originals, np.random.default_rng(1))
    assert [len(digit) for digit in varied] == [len(digit) for digit in originals]
    before, after = (np.array([raster.mnist_image(digit) for digit in some]) for some in (originals, varied))
    assert (before != after).any(axis=(1, 2)).all()
    # Each is nearest to itself, among all, or to one that looks like it: four of five times at least.
    distance = ((before[:, None].astype(float) - after[None]) ** 2).sum(axis=(2, 3))
    assert np.mean(distance.argmin(axis=0) % 10 == np.arange(60) % 10) > 0.8
    heights = np.array([np.ptp(np.concatenate(digit), axis=0).max() for digit in varied])
    assert heights.min() > 0.6 and heights.max() < 2


def test_a_digit_is_followed_in_every_way():
    line = [np.column_stack([np.linspace(0, 100, 31), np.linspace(50, 0, 31) ** 1.2])]
    varied = handwriting.vary([line] * 300, np.random.default_rng(2))
    lengths, counts = np.unique([len(strokes_now[0]) for strokes_now in varied], return_counts=True)
    every, half, third = 31, 16, 11
    smooth = {generated.SAMPLES * (kept - 1) + 1 for kept in (every, half, third)}
    assert lengths.tolist() == sorted({every, half, *smooth})
    assert dict(zip(lengths, counts, strict=True))[every] == pytest.approx(0.3 * 300, abs=35)


def test_dots_and_pens_at_rest_stay_finite():
    still = np.full((9, 2), 7.0)
    odd = [[still[:1]], [still], [still[:1], np.array([[0.0, 0], [5, 9]])], [np.zeros((2, 2))]]
    for seed in range(20):
        varied = handwriting.vary(odd, np.random.default_rng(seed))
        assert [len(digit) for digit in varied] == [1, 1, 2, 1]
        assert all(np.isfinite(stroke).all() for digit in varied for stroke in digit)


def test_people_are_rewritten_so_many_times():
    people = pendigits.parse(unipen([3, 8], [1, 2]))
    images, labels = handwriting.rewritten(people, 4, 0, backend=BACKEND)
    assert labels.tolist() == [3, 8] * 4 and len({image.tobytes() for image in images}) == 8
    ink = (images > 128).sum(axis=(1, 2))
    assert ink.max() > 1.15 * ink.min()  # pens differ
    assert len(handwriting.rewritten(people.of([]), 4, 0, backend=BACKEND)[1]) == 0


def test_pens_are_as_thick_as_mnists():
    widths = generated.pen_widths(4000, np.random.default_rng(0))
    assert widths.min() >= 1.4 and widths.max() <= 4.6
    assert np.median(widths) == pytest.approx(2.6, abs=0.05)
    assert np.log(widths).std() == pytest.approx(0.24, abs=0.02)
