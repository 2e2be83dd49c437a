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


def line(*points):
    return np.array(points, float)


ZERO = line((50, 0), (10, 20), (0, 50), (10, 80), (50, 100), (90, 80), (100, 50), (90, 20), (50, 0))
SEVEN, ONE = line((0, 0), (60, 0), (40, 50), (30, 100)), line((50, 0), (50, 50), (50, 100))


def test_some_zeros_are_slashed_some_sevens_barred_and_some_ones_get_flag_and_foot():
    rng = np.random.default_rng(0)
    found = {
        label: [handwriting.with_habits([stroke], label, rng) for _ in range(600)]
        for label, stroke in ((0, ZERO), (7, SEVEN), (1, ONE), (3, SEVEN))
    }
    added = {label: np.mean([len(strokes) > 1 for strokes in digits]) for label, digits in found.items()}
    assert added[3] == 0 and all(0.04 < added[label] < 0.2 for label in (0, 7, 1))
    slashes = [strokes[1] for strokes in found[0] if len(strokes) > 1]
    assert np.mean([slash[0, 0] > slash[-1, 0] and slash[0, 1] < slash[-1, 1] for slash in slashes]) > 0.6  # rising
    assert np.mean([slash[:, 1].min() < 0 or slash[:, 1].max() > 100 for slash in slashes]) > 0.3  # beyond the loop
    for strokes in found[7]:
        if len(strokes) > 1 and np.ptp(strokes[0][:, 0]) == 60:  # not flattened
            bar = strokes[1]
            assert bar[0, 0] < bar[1, 0] < bar[2, 0] and 30 < bar[1, 1] < 70
            assert min(np.abs(SEVEN[2:] - bar[1]).sum(axis=1)) < 40  # it crosses the stem
    flags = [strokes[0] for strokes in found[1] if len(strokes[0]) > len(ONE)]
    assert flags and all(flag[0, 1] > flag[2, 1] for flag in flags)


def test_a_few_digits_are_flat_and_dots_stay_dots():
    rng = np.random.default_rng(1)
    widths = [np.ptp(handwriting.with_habits([SEVEN], 3, rng)[0][:, 0]) / 60 for _ in range(500)]
    assert 0.01 < np.mean(np.array(widths) > 1.3) < 0.1 and max(widths) < 2.5 and min(widths) == 1
    assert len(handwriting.with_habits([np.zeros((1, 2))], 0, rng)) == 1


def test_a_one_drawn_upwards_gets_its_flag_at_the_top():
    rng = np.random.default_rng(2)
    for _ in range(200):
        (stroke, *_) = handwriting.with_habits([ONE[::-1]], 1, rng)
        if len(stroke) > len(ONE):
            assert stroke[2].tolist() == [50, 0] and stroke[-1].tolist() == [50, 100]
            return
    raise AssertionError("no 1 got a flag")
