"""Hands: one person writes a page, digits stand on a line, and neighbours touch only where they should."""

import itertools

import numpy as np
import pytest
from conftest import unipen

from numcnn.data import hands, pendigits
from numcnn.data.hands import dense, side_by_side, standing
from numcnn.errors import DataError

LABELS, WRITERS = [*range(10), *range(10)], [4] * 10 + [9] * 10
PEN = 0.1


def people(labels=LABELS, writers=WRITERS):
    return pendigits.parse(unipen(labels, writers))


def nearest(left, right):
    """Return the smallest distance between points of two digits."""
    a, b = dense(left, 0.02), dense(right, 0.02)
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=2)).min()


def test_one_person_writes_all_and_each_digit_is_the_one_asked_for():
    digits = people()
    hand, rng = hands.People(digits), np.random.default_rng(0)
    known = [[tuple(point) for stroke in strokes for point in stroke] for strokes in digits.strokes]
    writers = set()
    for _ in range(20):
        labels = rng.integers(0, 10, 6).tolist()
        found = []
        for strokes, label in zip(hand.write(labels, rng), labels, strict=True):
            points = {tuple(point) for stroke in strokes for point in stroke}
            (own,) = [i for i, original in enumerate(known) if set(original) <= points]
            assert digits.labels[own] == label
            found.append(int(digits.writers[own]))
        assert len(set(found)) == 1
        writers.add(found[0])
    assert writers == {4, 9}


def test_somebody_else_writes_what_a_person_never_wrote():
    hand, rng = hands.People(people([*range(10), 3], [4] * 10 + [9])), np.random.default_rng(1)
    assert all(len(hand.write([7, 3], rng)) == 2 for _ in range(10))
    with pytest.raises(DataError, match="the pen digits lack 5, 8; take more writers"):
        hands.People(people([0, 1, 2, 3, 4, 6, 7, 9], [4] * 8))


def test_smoothing_goes_through_the_tablets_points_and_leaves_short_strokes():
    corner, line, dot = np.array([[0, 0], [10, 0], [10, 10.0]]), np.array([[0, 0], [3, 4.0]]), np.array([[5, 5.0]])
    smooth, *short = hands.smoothed([corner, line, dot])
    assert len(smooth) > 10 and all((np.abs(smooth - point).sum(axis=1) < 1e-9).any() for point in corner)
    turns = np.diff(np.unwrap(np.arctan2(*np.diff(smooth, axis=0).T[::-1])))
    assert np.abs(turns).max() < 0.7  # the corner turned by 1.57 at once
    for got, given in zip(short, (line, dot), strict=True):
        np.testing.assert_array_equal(got, given)


def test_digits_stand_on_their_feet_about_one_high():
    rng = np.random.default_rng(2)
    heights = []
    for strokes in hands.Generated().write([2] * 200, rng):
        points = np.concatenate(standing(strokes, rng))
        assert points[:, 0].min() == pytest.approx(0, abs=1e-12) and points[:, 1].max() == pytest.approx(0, abs=1e-12)
        heights.append(np.ptp(points[:, 1]))
    assert 0.95 < np.median(heights) < 1.05
    wide = np.concatenate(standing([np.array([[0, 0], [90.0, 1.0]])], rng))
    assert 1.1 < np.ptp(wide[:, 0]) < 2
    assert np.concatenate(standing([np.array([[5.0, 5.0]])], rng)).tolist() == [[0, 0]]


@pytest.mark.parametrize(("touching", "least", "most"), [(0.0, PEN + 0.05, 2.0), (1.0, 0.0, PEN)])
def test_neighbours_touch_only_where_they_should(touching, least, most):
    rng = np.random.default_rng(3)
    distances = []
    for _ in range(40):
        row = side_by_side(hands.Generated().write([3, 5, 0, 2], rng), PEN, rng, touching)
        lefts = [np.concatenate(own)[:, 0].min() for own in row]
        assert lefts == sorted(lefts) and lefts[0] == pytest.approx(0)
        distances += [nearest(a, b) for a, b in itertools.pairwise(row)]
    assert np.mean((least <= np.array(distances)) & (np.array(distances) <= most)) > 0.9
    assert side_by_side([], PEN, rng) == []


def test_points_along_strokes_are_close_and_on_them():
    points = dense([np.array([[0, 0], [1, 0], [1, 0.5]]), np.array([[7.0, 7.0]])], 0.04)
    steps = np.hypot(*np.diff(points[:-1], axis=0).T)
    assert steps.max() <= 0.04 + 1e-9 and points[-1].tolist() == [7, 7]
    assert points[0].tolist() == [0, 0] and points[-2].tolist() == [1, 0.5]


def test_no_generated_digit_lies_flat():
    rng = np.random.default_rng(5)
    for strokes in hands.Generated().write([1] * 300, rng):
        width, height = np.ptp(np.concatenate(strokes), axis=0)
        assert width <= hands.FLATTEST * height
