"""Photos: light, lens, sensor and JPEG each do what they say, to every colour alike, and leave their input alone."""

import numpy as np
import pytest

from numcnn.imaging import photo

GREY = np.full((60, 90, 3), 0.8, np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


EFFECTS = {
    "shadow_edge": lambda picture: photo.shadow_edge(picture, 0.5, rng()),
    "slope": lambda picture: photo.slope(picture, 0.5, rng()),
    "vignette": lambda picture: photo.vignette(picture, 0.5),
    "uneven_paper": lambda picture: photo.uneven_paper(picture, 0.02, rng()),
    "blur": lambda picture: photo.blur(picture, 1.5),
    "sensor_noise": lambda picture: photo.sensor_noise(picture, 0.05, rng()),
    "jpeg": lambda picture: photo.jpeg(picture, 20),
}


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("shape", [(60, 90, 3), (1, 1, 3), (8, 200, 3)])
def test_an_effect_returns_a_new_picture_in_range(name, shape):
    picture = rng(1).uniform(0, 1, shape).astype(np.float32)
    before = picture.copy()
    out = EFFECTS[name](picture)
    np.testing.assert_array_equal(picture, before)
    assert out.shape == shape and out.dtype == np.float32 and not np.may_share_memory(out, picture)
    assert out.min() >= 0 and out.max() <= 1
    np.testing.assert_array_equal(EFFECTS[name](picture), out)


def test_a_hard_shadow_has_two_tones_and_a_narrow_edge():
    for seed in range(10):
        out = photo.shadow_edge(GREY, 0.6, rng(seed))[..., 0]
        dark, light = np.isclose(out, 0.8 * 0.4, atol=1e-6), np.isclose(out, 0.8, atol=1e-6)
        assert dark.any() and light.any()
        assert (~dark & ~light).mean() < 0.1


def test_a_slope_is_even_and_reaches_its_depth():
    out = photo.slope(GREY, 0.6, rng(3))[..., 1].astype(float)
    assert out.max() == pytest.approx(0.8, abs=1e-6) and out.min() == pytest.approx(0.32, abs=1e-6)
    for axis in (0, 1):
        np.testing.assert_allclose(np.diff(out, 2, axis=axis), 0, atol=1e-6)


def test_a_vignette_spares_the_middle_and_darkens_the_corners():
    out = photo.vignette(GREY, 0.6)[..., 2]
    assert out[30, 45] == pytest.approx(0.8, abs=1e-3)
    np.testing.assert_allclose(out[[0, 0, -1, -1], [0, -1, 0, -1]], 0.32, rtol=1e-5)


def test_blur_spreads_a_point_and_keeps_even_paper():
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1
    spread = photo.blur(point, 2.0)[..., 0].astype(float)
    assert spread.sum() == pytest.approx(1, abs=1e-5)
    places = np.arange(41) - 20
    assert np.sqrt((spread.sum(axis=0) * places**2).sum()) == pytest.approx(2, rel=0.02)
    np.testing.assert_allclose(photo.blur(GREY, 2.0), GREY, atol=1e-6)
    np.testing.assert_array_equal(photo.blur(GREY, 0), GREY)


def test_noise_has_the_strength_it_says_and_partly_goes_through_all_colours():
    noise = photo.sensor_noise(np.full((300, 300, 3), 0.5, np.float32), 0.05, rng()) - 0.5
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.05, rtol=0.02)
    correlation = np.corrcoef(noise.reshape(-1, 3).T)
    np.testing.assert_allclose(correlation[np.triu_indices(3, 1)], 1 - photo.COLOUR_NOISE**2, atol=0.02)


def test_uneven_paper_varies_by_what_it_says():
    out = photo.uneven_paper(np.full((300, 300, 3), 0.5, np.float32), 0.02, rng()) / 0.5
    assert 0.01 < out.std() < 0.03 and out.mean() == pytest.approx(1, abs=0.01)


def test_a_worse_jpeg_differs_more():
    picture = rng(2).uniform(0, 1, (40, 40, 1)).astype(np.float32).repeat(3, axis=2)
    worse, better = (np.abs(photo.jpeg(picture, quality) - picture).mean() for quality in (10, 90))
    assert worse > 2 * better > 0


def test_grain_lies_evenly_in_its_range():
    grain = photo.pencil_grain((200, 200), rng())
    assert grain.shape == (200, 200) and 0 <= grain.min() < 0.1 and 0.9 < grain.max() <= 1
    assert grain.mean() == pytest.approx(0.5, abs=0.02)


def test_bytes_are_rounded_and_clipped_and_grey_is_pillows():
    np.testing.assert_array_equal(photo.to_bytes(np.array([-1, 0, 0.5, 1, 2])), [0, 0, 128, 255, 255])
    colours = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]], np.float32)
    np.testing.assert_allclose(photo.luminance(colours), [[0.299, 0.587, 0.114, 1]], rtol=1e-6)
