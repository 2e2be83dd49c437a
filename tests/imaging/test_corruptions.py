"""Corruptions: each does what its name says, reproducibly, and leaves the digit readable."""

import numpy as np
import pytest
from conftest import draw_digits

from numcnn import Conv2D, Dense, Flatten, MaxPool2D, Network
from numcnn.errors import ConfigError, ShapeError
from numcnn.evaluation.metrics import robustness
from numcnn.imaging import corruptions, raster
from numcnn.imaging.corruptions import CORRUPTIONS, corrupt

SPOILING = [name for name in CORRUPTIONS if name != "identity"]


def digits(n=210):
    """Return generated digits: more than one block of them."""
    return draw_digits(600, 11)[0][:n]


def square(side=12):
    """Return three pictures of a white square in the middle."""
    images = np.zeros((3, 28, 28), np.uint8)
    low = 14 - side // 2
    images[:, low : low + side, low : low + side] = 255
    return images


def middle(images):
    """Return each picture's centre of ink as (N,2): row, column."""
    places = np.mgrid[:28, :28].reshape(2, -1)
    ink = images.reshape(len(images), -1).astype(float)
    return ink @ places.T / ink.sum(axis=1, keepdims=True)


def test_there_are_fifteen_and_the_reference():
    assert len(SPOILING) == 15
    np.testing.assert_array_equal(corrupt(digits(), "identity"), digits())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_spoilt_alike_whatever_the_others_are(name):
    images = digits()
    before = images.copy()
    spoilt = corrupt(images, name, seed=3)
    np.testing.assert_array_equal(images, before)
    assert spoilt.shape == images.shape and spoilt.dtype == np.uint8 and not np.may_share_memory(spoilt, images)
    np.testing.assert_array_equal(corrupt(images[:205], name, seed=3), spoilt[:205])
    np.testing.assert_array_equal(corrupt(images[:7], name, seed=3), spoilt[:7])
    assert corrupt(images[:0], name).shape == (0, 28, 28)
    others = images.copy()
    others[:5] = [[[0]], [[1]], [[9]], [[128]], [[255]]]
    np.testing.assert_array_equal(corrupt(others, name, seed=3)[5:], spoilt[5:])


@pytest.mark.parametrize("name", SPOILING)
def test_every_image_changes_and_its_digit_is_left(name):
    images = digits()
    spoilt = corrupt(images, name)
    assert (spoilt != images).any(axis=(1, 2)).all()
    if name not in ("translate", "rotate", "shear", "canny_edges"):  # which take the ink elsewhere
        likeness = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(images, spoilt, strict=True)]
        assert np.mean(likeness) > (0.1 if name == "stripe" else 0.25)


@pytest.mark.parametrize("name", sorted(set(SPOILING) - {"scale", "brightness", "stripe", "canny_edges"}))
def test_chance_depends_on_the_seed_and_on_the_image(name):
    images = np.repeat(digits(1), 220, axis=0)
    spoilt = corrupt(images, name, seed=1)
    assert (corrupt(images, name, seed=2) != spoilt).any()
    assert (spoilt[:20] != spoilt[200:]).any()  # the second block isn't the first once more
    assert len(np.unique(spoilt.reshape(220, -1), axis=0)) > (3 if name == "translate" else 1)


def test_noise_has_the_strength_it_says():
    grey = np.full((200, 28, 28), 128, np.uint8)
    counts = corrupt(grey, "shot_noise") * (corruptions.PHOTONS / 255)
    np.testing.assert_allclose(counts, np.rint(counts), atol=0.02)  # photons come whole
    mean = 128 / 255 * corruptions.PHOTONS
    fractions = np.exp(-mean) * mean ** np.arange(3) / [1, 1, 2]
    for count, fraction in enumerate([*fractions, 1 - fractions.sum()]):  # three photons or more are white
        assert np.mean(np.rint(counts) == count) == pytest.approx(fraction, abs=0.005)
    assert not corrupt(grey * 0, "shot_noise").any()
    impulses = corrupt(grey, "impulse_noise")
    assert set(np.unique(impulses)) == {0, 128, 255}
    for extreme in (0, 255):
        assert np.mean(impulses == extreme) == pytest.approx(corruptions.IMPULSES / 2, abs=0.005)


@pytest.mark.parametrize("name", ["glass_blur", "motion_blur"])
def test_blurs_keep_the_ink_and_spread_it(name):
    images = square()
    blurred = corrupt(images, name)
    np.testing.assert_allclose(blurred.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=0.02)
    assert (blurred > 10).sum() > 1.15 * (images > 10).sum()


def test_motion_goes_along_a_line_of_at_most_45_degrees():
    point = np.zeros((300, 28, 28), np.uint8)
    point[:, 14, 14] = 255
    rows, columns = (middle(corrupt(point, "motion_blur")) - 14).T
    assert (columns < -1).all()  # one way, as half a Gaussian
    slopes = rows / columns
    assert np.abs(slopes).max() <= 1.1 and slopes.min() < -0.8 and slopes.max() > 0.8


def test_moves_are_those_of_the_paper():
    images = square()
    many = np.repeat(images[:1], 40, axis=0)
    moved = middle(corrupt(many, "translate")) - middle(many)
    np.testing.assert_allclose(np.abs(moved), corruptions.SHIFT)
    assert len(np.unique(np.rint(moved), axis=0)) == 4  # corners
    small = corrupt(images, "scale")
    assert small.sum() / images.sum() == pytest.approx(corruptions.SCALE**2, rel=0.08)
    np.testing.assert_allclose(middle(small), middle(images), atol=1e-6)
    tall = np.zeros((40, 28, 28), np.uint8)
    tall[:, 4:24, 13:15] = 255
    for name, slant in (("shear", corruptions.SHEAR), ("rotate", np.tan(corruptions.ROTATION))):
        slanted = corrupt(tall, name).astype(float)
        rows = np.arange(9, 19)  # far from the ends
        columns = (slanted[:, rows] @ np.arange(28)) / slanted[:, rows].sum(axis=2)
        slopes = np.array([np.polyfit(rows, places, 1)[0] for places in columns])
        np.testing.assert_allclose(np.abs(slopes), slant, rtol=0.03)
        assert slopes.min() < 0 < slopes.max()


def test_light_stripes_and_fog():
    images = digits()
    bright = corrupt(images, "brightness")
    assert bright.min() == round(255 * corruptions.BRIGHTNESS) and bright.max() == 255
    np.testing.assert_array_equal(bright[images == 0], bright.min())
    striped, kept = corrupt(images, "stripe"), slice(corruptions.STRIPE, 28 - corruptions.STRIPE)
    np.testing.assert_array_equal(striped[..., kept], images[..., kept])
    np.testing.assert_array_equal(striped[..., : corruptions.STRIPE], 255 - images[..., : corruptions.STRIPE])
    np.testing.assert_array_equal(striped[..., -corruptions.STRIPE :], 255 - images[..., -corruptions.STRIPE :])
    fog = corrupt(np.zeros((300, 28, 28), np.uint8), "fog")
    thickest = round(255 * corruptions.FOG / (1 + corruptions.FOG))
    assert (fog.min(axis=(1, 2)) == 0).all() and (fog.max(axis=(1, 2)) == thickest).all()
    next_to = np.mean([np.corrcoef(f[:, :-1].ravel(), f[:, 1:].ravel())[0, 1] for f in fog])
    assert 0.6 < next_to < 0.95  # clouds: neither noise nor a gradient


def test_drops_cover_a_part_with_one_grey():
    drops = corrupt(np.full((100, 28, 28), 255, np.uint8), "spatter")
    assert drops.min() == round(255 * corruptions.SPATTER_GREY)
    assert 0.05 < np.mean(drops == drops.min()) < 0.3 and np.mean(drops == 255) > 0.4


def test_lines_are_those_of_the_one_brush_and_only_add_ink():
    empty = np.zeros((50, 28, 28), np.uint8)
    for name in ("dotted_line", "zigzag"):
        assert (corrupt(digits(), name) >= digits()).all()
        columns = np.nonzero(corrupt(empty, name).any(axis=(0, 1)))[0]
        assert columns.min() <= 2 and columns.max() >= 25 and len(columns) >= 14  # from left to right
    corners = np.array([(3.0, 4.0), (9.5, 20.0), (20.0, 6.0)])
    points = corners[:, :, None, None, None]
    drawn = corruptions._draw_over(empty[:1], points[:-1], points[1:], 2.0)
    np.testing.assert_array_equal(drawn[0], np.rint(255 * raster.draw([corners], width=2.0)))
    dots = corruptions._draw_over(empty[:1], points, points, 2.0)
    np.testing.assert_array_equal(dots[0], np.rint(255 * raster.draw(list(corners[:, None]), width=2.0)))


def test_edges_of_a_square_are_its_outline():
    edges = corrupt(square(), "canny_edges")[0]
    assert set(np.unique(edges)) == {0, 255}
    rows, columns = np.nonzero(edges)
    assert {*rows, *columns} <= set(range(7, 21))
    inside = edges[10:18, 10:18]
    assert not inside.any()
    for side in (edges[10:18, 7:9], edges[10:18, 19:21]):  # the border is between two pixels: one of them, or both
        assert side.any(axis=1).all()
    assert not corrupt(np.zeros((2, 28, 28), np.uint8), "canny_edges").any()
    faint = square()
    faint[0] //= 60  # slopes below the strong threshold: no edge of its own
    assert not corrupt(faint, "canny_edges")[0].any()


def test_weak_edges_count_where_they_touch_strong_ones():
    ramp = np.zeros((1, 28, 28), np.uint8)
    ramp[0, 4:24, 14:] = np.linspace(0, 60, 20).astype(np.uint8)[:, None]
    edges = corrupt(ramp, "canny_edges")[0]
    strongest = corruptions.CANNY_STRONG
    try:
        corruptions.CANNY_WEAK, weak = strongest, corruptions.CANNY_WEAK
        fewer = corrupt(ramp, "canny_edges")[0]
    finally:
        corruptions.CANNY_WEAK = weak
    assert 0 < fewer.sum() < edges.sum()


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="there is no corruption 'rain'; choose one of identity, shot_noise"):
        corrupt(digits(), "rain")
    with pytest.raises(ShapeError, match=r"got uint8 \(3, 20, 28\); wants uint8 \(N, 28, 28\)"):
        corrupt(np.zeros((3, 20, 28), np.uint8), "fog")
    with pytest.raises(ShapeError, match=r"got float64 \(28, 28\)"):
        corrupt(np.zeros((28, 28)), "fog")


def test_a_network_is_measured_on_the_very_pictures_that_corrupt_gives():
    network = Network([Conv2D(2, 5, stride=3), MaxPool2D(2), Flatten(), Dense(10)], backend="reference")
    images, labels = draw_digits(200, 12)
    right = corruptions.read_correctly(network, images[:60], labels[:60], seed=5)
    assert list(right) == ["identity", *SPOILING]
    np.testing.assert_array_equal(right["identity"], network.predict(images[:60]) == labels[:60])
    np.testing.assert_array_equal(right["fog"], network.predict(corrupt(images[:60], "fog", seed=5)) == labels[:60])
    found = robustness(right.pop("identity"), right)
    assert found.n == 60 and list(found.corruptions) == SPOILING
    assert found.mean.accuracy == pytest.approx(np.mean(list(right.values())))
