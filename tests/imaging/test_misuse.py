"""Each misuse does what its name says, and preprocessing undoes those that leave the ink as it is."""

import numpy as np
import pytest
from conftest import draw_digits

import numcnn
from numcnn.imaging import misuse, photo, preprocess


@pytest.fixture
def picture():
    return draw_digits(600, 11)[0][7]


def ink_height(picture):
    rows = np.flatnonzero((picture > 100).any(axis=1))
    return rows[-1] - rows[0] + 1


def test_place_inversion_and_contrast_are_undone(picture):
    plain = preprocess.prepare(picture)
    for name in ("anywhere on the sheet", "dark on light"):
        np.testing.assert_array_equal(misuse.misused(picture[None], name)[0], plain)
    pale = misuse.misused(picture[None], "a quarter of the contrast")[0]
    assert np.abs(pale.astype(int) - plain).max() <= 5


@pytest.mark.parametrize(("name", "factor"), [("14 pixels high", 0.7), ("28 pixels high", 1.4), ("100 pixels high", 5)])
def test_sizes(picture, name, factor):
    """Small pictures have lost detail, but the digit stays where it is."""
    changed = misuse.MISUSES[name](picture, np.random.default_rng(0))
    assert ink_height(changed) == pytest.approx(factor * ink_height(picture), abs=2)
    assert np.abs(misuse.misused(picture[None], name)[0].astype(int) - preprocess.prepare(picture)).mean() < 32


def test_the_pen_grows_and_shrinks_by_so_many_pixels():
    line = np.zeros((28, 28), np.uint8)
    line[4:24, 12:16] = 255
    for pixels in (2, 1, -1):
        width = misuse.redraw_with_pen(line, pixels)[60].sum() / 255 / misuse.FINER
        assert width == pytest.approx(4 + pixels, abs=0.3)


def test_accuracy_drops_by_what_misuse_makes_the_network_misread():
    images, labels = (some[:20] for some in draw_digits(600, 11))
    accuracy, lost = misuse.accuracy_drop(numcnn.load("canonical"), images, labels)
    assert accuracy >= 0.9 and list(lost) == list(misuse.MISUSES)
    assert abs(lost["dark on light"]) == 0 and max(lost.values()) < 20


@pytest.mark.parametrize("name", misuse.HANDED_IN)
def test_what_is_handed_in_is_a_picture_of_the_same_digit(name, picture):
    handed_in = misuse.HANDED_IN[name](picture, np.random.default_rng(0))
    again = misuse.HANDED_IN[name](picture, np.random.default_rng(0))
    np.testing.assert_array_equal(handed_in, again)
    assert handed_in.dtype == np.uint8 and (handed_in.ndim == 3) == ("ground" in name)
    if name != "half the size":
        difference = preprocess.prepare(handed_in).astype(int) - preprocess.prepare(picture)
        assert np.abs(difference).mean() < 40


def test_handed_in_sizes_contrast_and_ground(picture):
    def hand_in(name, seed=0):
        return misuse.HANDED_IN[name](picture, np.random.default_rng(seed))

    sizes = [ink_height(hand_in(name)) for name in list(misuse.HANDED_IN)[:5]]
    assert np.array(sizes) / ink_height(picture) == pytest.approx([0.5, 1, 2, 5, 14], rel=0.15)
    assert hand_in("dark on light")[0, 0] == 255 and np.ptp(hand_in("a quarter of the contrast")) <= 64
    coloured, other, textured = hand_in("on coloured ground"), hand_in("on coloured ground", 1), None
    assert (coloured[0, 0] != other[0, 0]).any() and np.ptp(coloured[0, 0].astype(int)) > 0
    textured = hand_in("on textured ground")
    assert (
        np.ptp(textured.astype(int), axis=2).max() == 0 and textured[:10].std() > 2 and coloured[:10, :, 0].std() == 0
    )


def test_on_any_ground_the_digit_can_be_seen(picture):
    """Ink takes at least about a fifth of the light of white."""
    for name in ("on coloured ground", "on textured ground"):
        for seed in range(40):
            grey = misuse.HANDED_IN[name](picture, np.random.default_rng(seed)).astype(float) @ photo.LUMINANCE
            middle = grey[28:-28, 28:-28]
            ink = misuse.resized(picture, 2)[28:-28, 28:-28]
            assert middle[ink == 0].mean() - middle[ink > 250].mean() > 0.15 * 255, (name, seed)
