"""Generated digits: deterministic, balanced, prepared like MNIST, written in well-formed ways, fast."""

import hashlib
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import BACKEND, COMPILED

from numcnn.data import generated
from numcnn.errors import ConfigError
from numcnn.imaging import raster


def generate(n, seed=5):
    return generated.generate(n, seed, backend=BACKEND)


def test_shapes_and_balance():
    images, labels = generate(130)
    assert images.shape == (130, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (130,) and labels.dtype == np.uint8
    np.testing.assert_array_equal(np.sort(labels.reshape(13, 10), axis=1), np.tile(np.arange(10), (13, 1)))
    assert len({tuple(ten) for ten in labels.reshape(13, 10)}) > 10
    assert generate(0)[0].shape == (0, 28, 28)


def test_an_image_depends_on_the_seed_and_its_place_alone(monkeypatch):
    monkeypatch.setattr(generated, "CHUNK", 40)
    images, labels = generate(90)
    again, same_labels = generate(53)
    np.testing.assert_array_equal(again, images[:53])
    np.testing.assert_array_equal(same_labels, labels[:53])
    other, other_labels = generate(90, seed=6)
    assert (other != images).any() and (other_labels != labels).any()
    assert len({image.tobytes() for image in images}) == 90


def test_back_ends_agree():
    fast, labels = generated.generate(40, 9, backend="fast")
    slow, slow_labels = generated.generate(40, 9, backend="reference")
    np.testing.assert_array_equal(labels, slow_labels)
    assert np.abs(fast.astype(int) - slow).max() <= 1


@pytest.mark.skipif(
    not COMPILED, reason="threads share the compiled kernel's work; without it there is nothing to share"
)
def test_the_number_of_threads_changes_no_byte():
    program = (
        "import hashlib; from numcnn.data import generated; images, labels = generated.generate(500, 3);"
        "print(hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"NUMBA_NUM_THREADS": threads},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for threads in ("1", "2")
    }
    images, labels = generated.generate(500, 3)
    assert digests == {hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()}


def test_images_are_prepared_like_mnist():
    images, labels = generate(300)
    assert (images.max(axis=(1, 2)) == 255).all()
    for image in images:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        # The longer side is 20; where a round end only brushes a pixel, rounding may leave it empty.
        assert 19 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    grey = images / 255
    assert abs(grey.mean() - 0.1307) < 0.015
    assert abs(grey.std() - 0.3081) < 0.015
    assert abs((images > 0).mean() - 0.19) < 0.02
    ones = grey[labels == 1].mean()
    assert 0.05 < ones < 0.1 and ones < 0.8 * grey[labels == 0].mean()


def test_every_way_of_writing_is_well_formed():
    names = [(glyph.digit, glyph.name) for glyph in generated.GLYPHS]
    assert len(set(names)) == len(names)
    for digit in range(10):
        assert len([name for d, name in names if d == digit]) >= 4
    for glyph in generated.GLYPHS:
        assert glyph.weight > 0
        for points, corners in glyph.strokes():
            assert len(points) >= 2 and corners.shape == points.shape[:1]
            assert points.min() >= -0.2 and points.max() <= 1.25
            assert not corners[[0, -1]].any()
    (points, corners), _ = generated.Glyph(7, "x", 1, "0,10 50,20! 5,100 / 1,2 3,4").strokes()
    np.testing.assert_array_equal(points, [[0, 0.1], [0.5, 0.2], [0.05, 1]])
    np.testing.assert_array_equal(corners, [False, True, False])


def test_digit_strokes_writes_one_digit():
    digit = generated.digit_strokes(4, np.random.default_rng(1))
    assert all(stroke.ndim == 2 and stroke.shape[1] == 2 and np.isfinite(stroke).all() for stroke in digit)
    height = np.ptp(np.concatenate(digit)[:, 1])
    assert 0.5 < height < 1.8
    for a, b in zip(digit, generated.digit_strokes(4, np.random.default_rng(1)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(len(generated.digit_strokes(4, np.random.default_rng(seed))) != len(digit) for seed in range(9))
    assert raster.mnist_image(digit).max() == 255


def test_curves_pass_through_their_control_points():
    control = np.random.default_rng(0).random((3, 5, 2))
    for roundness in (0.0, 1.0):
        curve = generated.curve(control, np.full((3, 5), roundness))
        np.testing.assert_allclose(curve[:, :: generated.SAMPLES], control, atol=1e-12)
    line = generated.curve(control[:, :2], np.ones((3, 2)))
    np.testing.assert_allclose(np.diff(line, axis=1), np.diff(line, axis=1)[:, :1].repeat(generated.SAMPLES, 1))
    t = np.arange(5)[None, :, None]
    x, y = generated.curve(np.concatenate([t, t**2], axis=2).astype(float), np.ones((1, 5)))[0].T
    inner = slice(generated.SAMPLES, -generated.SAMPLES)
    np.testing.assert_allclose(y[inner], x[inner] ** 2, atol=1e-12)
    for piece in (y[: generated.SAMPLES + 1], y[: -generated.SAMPLES - 2 : -1]):
        cubic = np.polynomial.Polynomial.fit(np.arange(generated.SAMPLES + 1), piece, 3)
        assert abs(cubic.deriv(2)(0)) < 1e-10  # the ends run out straight


@pytest.mark.parametrize(("n", "seed", "text"), [(-1, 0, "n is -1"), (3, -2, "seed is -2"), (3, 0.5, "seed is 0.5")])
def test_bad_numbers_are_refused(n, seed, text):
    with pytest.raises(ConfigError, match=f"{text}: it must be a whole number, 0 or more"):
        generated.generate(n, seed)


def test_bad_labels_and_backends_are_refused():
    with pytest.raises(ConfigError, match="label is 10: it must be a digit, 0 to 9"):
        generated.digit_strokes(10, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="backend 'gpu' is unknown; choose one of reference, fast"):
        generated.generate(10, 0, backend="gpu")


@pytest.mark.skipif(not COMPILED, reason="only speed is at stake, and without compiling there is none")
def test_generating_is_fast():
    generate(10)
    best = 0
    for _ in range(4):
        start = time.process_time()  # of both cores together, so that other programs on them don't count
        generate(4000)
        best = max(best, 4000 / (time.process_time() - start))
    assert best > 5000, f"{best:.0f} images a second of one core"
