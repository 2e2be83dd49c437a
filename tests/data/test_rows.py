"""Rows of digits: every digit in its place and size, and strokes in the order of writing."""

import numpy as np
import pytest

from numcnn.data.generated import digit_strokes
from numcnn.data.rows import make_row

FOUR = [np.array([[10, 0], [0, 50], [60, 50]]), np.array([[40, 20], [40, 100]])]
ONE = [np.array([[0.0, 0.0], [0.0, 3.0]])]


def boxes(strokes, owners):
    """Return low (K,2) and high (K,2) corners of each digit."""
    own = [np.concatenate([s for s, k in zip(strokes, owners, strict=True) if k == i]) for i in range(max(owners) + 1)]
    return np.array([p.min(axis=0) for p in own]), np.array([p.max(axis=0) for p in own])


def test_digits_stand_side_by_side_about_as_high_as_one_another():
    rng = np.random.default_rng(0)
    gaps, heights, feet = [], [], []
    for _ in range(100):
        digits = [(digit_strokes(label, rng), label) for label in rng.integers(0, 10, 5).tolist()]
        strokes, labels, owners = make_row(digits, rng)
        assert labels == [label for _, label in digits] and owners == sorted(owners)
        low, high = boxes(strokes, owners)
        gaps += (low[1:, 0] - high[:-1, 0]).tolist()
        heights += (high - low)[:, 1].tolist()
        feet += high[:, 1].tolist()
    assert min(gaps) >= -0.05 - 1e-9 and max(gaps) <= 0.5 + 1e-9
    np.testing.assert_allclose(np.percentile(gaps, [25, 75]), [0.12, 0.26], atol=0.03)
    assert 0.9 < np.median(heights) < 1.1 and 0.04 < np.std(heights) < 0.15
    assert abs(np.mean(feet)) < 0.02 and 0.03 < np.std(feet) < 0.07


def test_shapes_are_kept_and_a_flat_digit_is_scaled_by_its_width():
    rng = np.random.default_rng(1)
    strokes, _, owners = make_row([(FOUR, 4), ([np.array([[0, 0], [30, 1]])], 1), ([np.array([[5, 5]])], 0)], rng)
    assert owners == [0, 0, 1, 2]
    scale = np.ptp(strokes[0][:, 0]) / 60
    np.testing.assert_allclose(np.diff(strokes[1], axis=0), scale * np.array([[0, 80]]), atol=1e-12)
    np.testing.assert_allclose(strokes[1][0] - strokes[0][0], scale * np.array([30, 20]))
    assert 1.1 < np.ptp(strokes[2][:, 0]) < 1.9
    assert make_row([], rng) == ([], [], [])


@pytest.mark.parametrize(("late", "owners"), [(0, [0, 0, 1, 2, 2]), (1, [0, 1, 0, 2, 2])])
def test_a_late_bar_comes_after_the_next_digit(late, owners):
    digits = [(FOUR, 4), (ONE, 1), (FOUR, 4)]
    strokes, labels, got = make_row(digits, np.random.default_rng(2), late)
    assert got == owners and labels == [4, 1, 4]
    low, high = boxes(strokes, got)
    assert (np.diff(low[:, 0]) > 0).all() and (np.diff(high[:, 0]) > 0).all()
    assert make_row([(FOUR, 9), *digits[1:]], np.random.default_rng(2), 1)[2] == [0, 0, 1, 2, 2]
