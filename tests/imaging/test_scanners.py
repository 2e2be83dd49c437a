"""Other scanners: the digit stays the same, its resolution, proportions and greys don't."""

import numpy as np
import pytest
from conftest import draw_digits

from numcnn.imaging import scanners


@pytest.fixture(scope="module")
def digits():
    return draw_digits(300, 3)[0]


def test_pictures_are_prepared_like_mnists_and_each_looks_different(digits):
    scanned = scanners.rescanned(digits, 0)
    assert scanned.shape == digits.shape and scanned.dtype == np.uint8 and (scanned.max(axis=(1, 2)) == 255).all()
    for image in scanned:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    assert (scanned != digits).any(axis=(1, 2)).mean() > 0.95


def test_equal_seeds_give_equal_bytes_and_blank_pictures_stay_blank(digits):
    np.testing.assert_array_equal(scanners.rescanned(digits[:40], 5), scanners.rescanned(digits[:40], 5))
    assert (scanners.rescanned(digits[:40], 5) != scanners.rescanned(digits[:40], 6)).any()
    assert not scanners.rescanned(np.zeros((2, 28, 28), np.uint8), 0).any()


def test_all_kinds_of_scans_occur(digits):
    scanned = scanners.rescanned(digits, 1)
    before, after = (np.array([_proportion(image) for image in some]) for some in (digits, scanned))
    slim = before < 0.6
    assert 0.3 < np.mean(after[slim] > 1.2 * before[slim]) < 0.9  # stretched, or left as they were
    greys = np.array([np.mean((image > 40) & (image < 215)) / np.mean(image > 40) for image in scanned])
    assert (greys < 0.35).sum() > 20 and (greys > 0.5).sum() > 20  # black and white, and blurred


def _proportion(image):
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return (np.ptp(columns) + 1) / (np.ptp(rows) + 1)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("old", "new"), [(20, 8), (8, 20), (16, 16), (5, 32)])
def test_resizing_keeps_the_mean_and_an_even_grey(old, new, smooth):
    weights = scanners.resampling(old, new, smooth)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    if not (smooth and new > old):
        np.testing.assert_allclose(weights.sum(axis=0) * old / new, 1)  # each old pixel counts alike
    if old == new:
        np.testing.assert_array_equal(weights, np.eye(old))
    even = scanners.resize(np.full((old, old), 0.5), new, new + 1, smooth=smooth)
    np.testing.assert_allclose(even, 0.5)
    assert even.shape == (new, new + 1)
