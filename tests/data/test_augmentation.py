"""Augmentation: each change does what it says, both back-ends alike, and nothing depends on who computes it."""

import dataclasses

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits

from numcnn.data import augmentation
from numcnn.data.augmentation import FULL, Augmentation, Changes
from numcnn.data.batches import Batches, Examples
from numcnn.errors import ConfigError
from numcnn.kernels import BACKENDS, get_backend, reference_augment
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network

EVERYTHING = Augmentation(20, 0.2, 0.2, 0.3, 3, 1.5, 2, 1, 0.4, 0.5, 0.6, 8)
ALONE = {field.name: getattr(EVERYTHING, field.name) for field in dataclasses.fields(Augmentation)}
KEY = augmentation.make_key(3)
MIDDLE = 13.5


def digits(n):
    return draw_digits(600, 11)[0][:n]


def changed(augmentation, images, backend=BACKEND, first=0, scale=1.0, shift=0.0):
    index = np.arange(len(images))
    out = np.empty((*images.shape, 1), np.float32)
    get_backend(backend).augment_images(images, index, index + first, KEY, augmentation, scale, shift, out)
    return out[..., 0]


def spot(y, x, shape=(28, 28)):
    image = np.zeros(shape, np.uint8)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def centre(image):
    y, x = np.indices(image.shape)
    return np.array([(y * image).sum(), (x * image).sum()]) / image.sum()


@pytest.mark.parametrize("name", [*ALONE, "everything"])
def test_back_ends_agree(name):
    strengths = EVERYTHING if name == "everything" else Augmentation(**{name: ALONE[name]})
    images = digits(40 if COMPILED else 6)
    want, got = (changed(strengths, images, backend, first=5) for backend in BACKENDS)
    np.testing.assert_allclose(got, want, atol=0.02)  # of 255; places are rounded


@pytest.mark.parametrize("shape", [(28, 28), (9, 11), (1, 1), (32, 20)])
def test_pictures_of_any_size(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.uint8)
    want, got = (changed(EVERYTHING, images, backend) for backend in BACKENDS)
    np.testing.assert_allclose(got, want, atol=0.05)
    assert got.min() >= 0 and got.max() <= 255


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_change_is_none(backend):
    images = digits(10)
    np.testing.assert_array_equal(changed(Augmentation(), images, backend), images)
    got = changed(Augmentation(), images, backend, scale=1 / 255 / 0.3, shift=-0.4)
    np.testing.assert_allclose(got, images / 255 / 0.3 - 0.4, atol=1e-5)


def test_pictures_differ_each_time_and_come_again():
    images = np.repeat(digits(1), 30, axis=0)
    first = changed(FULL, images)
    assert len(np.unique(first.reshape(30, -1), axis=0)) == 30
    np.testing.assert_array_equal(changed(FULL, images), first)
    np.testing.assert_array_equal(changed(FULL, images[:5], first=7), first[7:12])


def test_random_numbers_are_evenly_spread_and_not_related():
    u = reference_augment.random_numbers(KEY, np.arange(200_000, dtype=np.uint64)).astype(float)
    assert u.min() >= 0 and u.max() < 1
    counts = np.histogram(u, 50, (0, 1))[0]
    assert (((counts - 4000) ** 2) / 4000).sum() < 95  # chi-squared of 49 degrees: one in ten thousand is above
    for lag in (1, 2, 28, 898):
        assert abs(np.corrcoef(u[:-lag], u[lag:])[0, 1]) < 0.01
    other = reference_augment.random_numbers(augmentation.make_key(4), np.arange(200_000, dtype=np.uint64))
    assert abs(np.corrcoef(u, other)[0, 1]) < 0.01


def test_a_shift_moves_evenly_up_to_its_strength():
    places = np.array(
        [centre(image) for image in changed(Augmentation(shift=3), np.repeat(spot(14, 14)[None], 400, 0))]
    )
    moves = places - 14
    assert np.abs(moves).max() <= 3.01 and (np.abs(moves).max(axis=0) > 2.8).all()
    assert (np.abs(moves.mean(axis=0)) < 0.3).all()
    assert np.std(moves[:, 0]) == pytest.approx(3 / np.sqrt(3), rel=0.1)


def test_a_rotation_keeps_the_distance_to_the_middle():
    places = np.array(
        [centre(image) for image in changed(Augmentation(rotation=30), np.repeat(spot(14, 22)[None], 400, 0))]
    )
    along = places - MIDDLE
    np.testing.assert_allclose(np.hypot(*along.T), np.hypot(0.5, 8.5), atol=0.15)
    angles = np.rad2deg(np.arctan2(along[:, 0], along[:, 1]) - np.arctan2(0.5, 8.5))
    assert 28 < angles.max() < 30.5 and -30.5 < angles.min() < -28


@pytest.mark.parametrize(("name", "least", "most"), [("scale", 1 / 1.25, 1.25), ("stretch", 1 / 1.25, 1.25)])
def test_sizes_change_by_their_share(name, least, most):
    pair = np.maximum(spot(14, 6), spot(14, 21))
    images = changed(Augmentation(**{name: 0.25}), np.repeat(pair[None], 400, 0))
    widths = np.array([centre(im[:, 14:])[1] + 14 - centre(im[:, :14])[1] for im in images]) / 15
    assert widths.min() == pytest.approx(least, abs=0.02) and widths.max() == pytest.approx(most, abs=0.02)


def test_a_shear_moves_lines_sideways():
    images = changed(Augmentation(shear=0.3), np.repeat(np.maximum(spot(5, 14), spot(22, 14))[None], 400, 0))
    slopes = np.array([centre(im[:14])[1] - centre(im[14:])[1] for im in images]) / 17
    assert slopes.max() == pytest.approx(0.3, abs=0.03) and slopes.min() == pytest.approx(-0.3, abs=0.03)


def test_the_elastic_displacement_is_as_large_as_it_says_and_smooth():
    count = reference_augment.numbers_each((28, 28))
    u = reference_augment.random_numbers(KEY, np.arange(300 * count, dtype=np.uint64)).reshape(300, count)
    places = np.array([reference_augment.source_places((28, 28), row, Augmentation(elastic=1.5)) for row in u])
    moves = places - np.stack(np.broadcast_arrays(np.arange(28.0)[:, None], np.arange(28.0)))
    assert np.sqrt((moves**2).mean()) == pytest.approx(1.5, rel=0.05)
    assert np.abs(np.diff(moves, axis=3)).max() < 1.5  # neighbours move together
    for size in (28, 9, 1):
        np.testing.assert_allclose(reference_augment.spline_weights(size).sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("pixels", [-1, -0.5, 0.5, 1, 1.5, 2])
def test_a_pen_grows_and_shrinks_on_both_sides(pixels):
    line = np.zeros((28, 28), np.float32)
    line[:, 10:16] = 200
    width = reference_augment.thicken(line, pixels)[14].sum() / 200
    assert width == pytest.approx(6 + 2 * pixels)
    assert reference_augment.thicken(line, pixels).max() == pytest.approx(200)


def test_contrast_and_noise():
    grey = np.full((400, 28, 28), 100, np.uint8)
    gains = changed(Augmentation(contrast=0.3), grey)[:, 14, 14] / 100
    assert 0.69 < gains.min() < 0.72 and 1.28 < gains.max() < 1.31
    noisy = changed(Augmentation(noise=0.2), grey)
    levels = np.abs(noisy - 100).max(axis=(1, 2))
    assert levels.max() <= 51 + 1e-3 and levels.max() > 49 and 0.4 < (levels == 0).mean() < 0.6
    assert abs(noisy.mean() - 100) < 0.2
    assert (np.abs(noisy[levels > 40] - 100) < 5).mean() > 0.4  # cubed: most are hardly off


def test_light_makes_paper_brighter_smoothly_and_leaves_ink():
    n = 400
    lit = changed(Augmentation(light=0.8), np.zeros((n, 28, 28), np.uint8)) / 255
    means = lit.mean(axis=(1, 2))
    assert lit.min() >= 0 and lit.max() < 0.8 and 0.4 < (means == 0).mean() < 0.6 and means.max() > 0.3
    assert np.abs(np.diff(lit, axis=2)).max() < 0.2
    ink = changed(Augmentation(light=0.8), np.full((3, 28, 28), 255, np.uint8))
    np.testing.assert_allclose(ink, 255)


def test_a_patch_becomes_paper_or_its_own_negative():
    grey = np.full((400, 28, 28), 100, np.uint8)
    patched = changed(Augmentation(cutout=8), grey)
    cut, turned = ((patched == value).sum(axis=(1, 2)) for value in (0, 155))
    assert (cut + turned + (patched == 100).sum(axis=(1, 2)) == 28 * 28).all()
    assert not (cut.astype(bool) & turned.astype(bool)).any()
    for size in (cut, turned):
        assert 0.15 < (size > 0).mean() < 0.35 and 49 <= size.max() <= 81


def test_batches_are_changed_alike_on_any_number_of_threads_and_otherwise_in_each_epoch(set_threads):
    images, labels = draw_digits(600, 11)
    n = 200 if COMPILED else 4
    examples = Examples.all_of(images[:n], labels[:n])
    network = Network(make_layers("canonical"), normalisation=(0.13, 0.31), backend=BACKEND)
    batches = Batches(examples, n, 1, network.pixel_reader)
    (batch,), (later,), (again,) = (batches.epoch(number, 0, FULL) for number in (0, 1, 0))
    x, y, z = (b.fill(np.empty((n, 28, 28, 1), np.float32)) for b in (batch, later, again))
    np.testing.assert_array_equal(x, z)
    assert not np.allclose(x.mean(axis=(1, 2, 3)), y.mean(axis=(1, 2, 3)))
    part = batch.fill(np.empty((2, 28, 28, 1), np.float32), 1, 3)
    np.testing.assert_array_equal(part, x[1:3])
    plain = next(batches.epoch(0)).fill(np.empty_like(x))
    assert 0.01 < np.abs(x - plain).mean() < 1


@pytest.mark.parametrize(("name", "value"), [("rotation", -1), ("scale", 2), ("thin", 1.5), ("noise", float("nan"))])
def test_what_makes_no_sense_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"augmentation: {name} is {value}; wants a number from 0 to "):
        Augmentation(**{name: value})
    assert Changes(FULL, 0, 2).numbers([3, 4], 100).tolist() == [203, 204]


def test_training_with_it_repeats_itself_and_wants_grey_pictures():
    images, labels = draw_digits(600, 11)
    n = 64 if COMPILED else 8
    results = set()
    for _ in range(2):
        network = Network(make_layers("canonical"), backend=BACKEND)
        network.fit(images[:n], labels[:n], epochs=1, batch_size=32, augment=1.0)
        results.add(network.params.tobytes())
    assert len(results) == 1
    with pytest.raises(
        ConfigError, match=r"`augment` changes grey pictures, \(N, H, W\) uint8; these are \(8, 28, 28\) float64"
    ):
        network.fit(images[:8] / 255, labels[:8], epochs=1, augment=1.0)
