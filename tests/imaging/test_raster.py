"""The brush: geometry against supersampling, MNIST's preparation, the compiled twin against the specification."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numcnn.errors import ConfigError, DataError, NumcnnError, ShapeError
from numcnn.imaging import raster
from numcnn.kernels import thread_team


def supersampled(strokes, shape, width, n=16):
    """Draw by brute force: the fraction of n x n points in each pixel that a pen of this width covers."""
    y, x = ((np.arange(side * n) + 0.5) / n for side in shape)
    x, y = np.meshgrid(x, y)
    inside = np.zeros(x.shape, bool)
    for stroke in strokes:
        for a, b in pairwise(stroke):
            along = np.clip(((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1)
            inside |= np.hypot(x - a[0] - along * (b - a)[0], y - a[1] - along * (b - a)[1]) < width / 2
    return inside.reshape(shape[0], n, shape[1], n).mean(axis=(1, 3))


def random_digits(n, seed=0):
    """Return scribbles of 0 to 3 strokes of 0 to 7 points, in units of their own, far from the origin."""
    rng = np.random.default_rng(seed)
    return [
        [
            rng.normal(size=(rng.integers(8), 2)).cumsum(axis=0) * 10.0 ** rng.integers(-3, 4) + 100
            for _ in range(rng.integers(4))
        ]
        for _ in range(n)
    ]


@pytest.mark.parametrize("width", [0.5, 1, 2.6, 5])
def test_a_line_along_the_grid_is_covered_exactly(width):
    line = np.array([[-5, 3.3], [25, 3.3]])
    drawn = raster.draw([line], (8, 20), width)
    np.testing.assert_allclose(drawn, supersampled([line], (8, 20), width, 200), atol=0.01)
    np.testing.assert_allclose(drawn.sum(axis=0), width, atol=1e-12)
    np.testing.assert_allclose(raster.draw([line[:, ::-1]], (20, 8), width), drawn.T, atol=1e-12)


def test_slanted_strokes_are_covered_nearly_exactly():
    bent, straight = np.array([[3, 4], [11, 9], [5, 14.5]]), np.array([[2, 15], [14, 2]])
    for strokes, tolerance in (([straight], 0.12), ([bent], 0.12), ([bent, straight], 0.25)):  # worst where they cross
        drawn = raster.draw(strokes, (18, 16), 2.6)
        expected = supersampled(strokes, (18, 16), 2.6)
        assert np.abs(drawn - expected).max() < tolerance
        assert abs(drawn.sum() / expected.sum() - 1) < 0.01


def test_one_point_is_a_round_dot_and_none_draws_nothing():
    dot = raster.draw([[[5.5, 3.5]]], (7, 11), 3)
    assert dot[3, 5] == 1
    np.testing.assert_array_equal(dot, dot[::-1])
    np.testing.assert_array_equal(dot[:, 2:9], dot[:, 2:9].T)
    assert abs(dot.sum() - np.pi * 1.5**2) < 0.3
    np.testing.assert_array_equal(raster.draw([[[5.5, 3.5], [5.5, 3.5]]], (7, 11), 3), dot)
    assert not raster.draw([], (7, 11)).any()
    assert not raster.draw([np.empty((0, 2)), []], (7, 11)).any()


def test_strokes_unite_by_their_maximum_and_are_cut_at_the_edge():
    a, b = [[2, 2], [30, 9]], [[-4, 8], [9, -1], [1e6, 20]]
    both = raster.draw([a, b], (10, 12))
    np.testing.assert_array_equal(both, np.maximum(raster.draw([a], (10, 12)), raster.draw([b], (10, 12))))
    assert both.shape == (10, 12) and both.max() == 1
    assert not raster.draw([[[50, 50], [60, 50]]], (10, 12)).any()


@pytest.mark.parametrize("width", [0.5, 2.6, 12])
def test_segments_drawn_in_runs_look_like_segments_drawn_one_by_one(width):
    rng = np.random.default_rng(5)
    dense = np.cumsum(rng.normal(0, 0.05, (1500, 2)), axis=0) + 12
    mixed = np.cumsum(rng.normal(size=(40, 2)) * rng.choice([0, 0.01, 1, 100], (40, 1)), axis=0)
    for stroke in (dense, mixed):
        one_by_one = np.max([raster.draw([segment], (24, 25), width) for segment in pairwise(stroke)], axis=0)
        np.testing.assert_array_equal(raster.draw([stroke], (24, 25), width), one_by_one)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_coordinates_that_are_not_finite_are_refused(bad):
    strokes = [[[1, 1], [2, 2]], [[3.0, bad]]]
    for draw in (
        raster.draw,
        raster.fit,
        raster.mnist_image,
        lambda s: raster.mnist_images([s]),
        lambda s: raster.mnist_images([s], backend="reference"),
    ):
        with pytest.raises(DataError, match="stroke 1 has a coordinate that is NaN, infinite or beyond 1e\\+100"):
            draw(strokes)


def test_wrong_shapes_pens_and_backends_are_refused():
    with pytest.raises(ShapeError, match=r"stroke 0 has shape \(3,\): a stroke is an \(n,2\) array"):
        raster.draw([[1, 2, 3]])
    with pytest.raises(ShapeError, match=r"stroke 1 has shape \(1, 3\)"):
        raster.mnist_image([[[1, 2]], [[1, 2, 3]]])
    for width in (0, -1, np.nan, 0.4):
        with pytest.raises(ConfigError, match=r"the pen's width is .* pixels: it must be at least 0\.5 and below inf"):
            raster.draw([[[1, 2]]], width=width)
    for backend in ("fast", "reference"):
        with pytest.raises(
            ConfigError, match=r"the pen's width is 20\.0 pixels: it must be at least 0\.5 and below 20"
        ):
            raster.mnist_images([[[[1, 2]]]] * 2, [2, 20], backend)
    with pytest.raises(ConfigError, match="backend 'gpu' is unknown; choose one of reference, fast"):
        raster.mnist_images([], backend="gpu")


def test_fit_fills_the_box_and_keeps_the_aspect():
    stroke = np.array([[100, 7], [103, 1], [101, 9]])
    (fitted,) = raster.fit([stroke], pen_width=3)
    np.testing.assert_allclose(fitted[:, 1].min(), 1.5)
    np.testing.assert_allclose(fitted[:, 1].max(), 18.5)
    np.testing.assert_allclose(fitted[:, 0].min() + fitted[:, 0].max(), 20)
    scale = 17 / 8
    np.testing.assert_allclose(np.diff(fitted, axis=0), np.diff(stroke, axis=0) * scale)
    np.testing.assert_allclose(raster.fit([[[4, 5]], []])[0], [[10, 10]])
    assert raster.fit([]) == []


def test_mnist_image_is_prepared_like_mnist():
    seven = [[[10, 10], [60, 10], [30, 90]]]
    image = raster.mnist_image(seven)
    assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    assert rows[-1] - rows[0] + 1 == 20
    assert columns[-1] - columns[0] + 1 < 20
    index = np.arange(28)
    for axis in (0, 1):
        assert 13.5 <= (image.sum(axis=axis) @ index) / image.sum() <= 14.5
    moved = [np.array(seven[0]) * 0.013 + [-700, 12]]
    np.testing.assert_array_equal(raster.mnist_image(moved), image)
    assert raster.mnist_image(seven, 5).sum() > 1.5 * image.sum()
    assert raster.mnist_image(seven, 0.5).max() == 255


def test_nothing_drawn_is_an_empty_image():
    assert not raster.mnist_image([]).any()
    for backend in ("fast", "reference"):
        images = raster.mnist_images([[], [[]], [[[1, 2]]]], backend=backend)
        assert images.shape == (3, 28, 28) and images.dtype == np.uint8
        assert [bool(image.any()) for image in images] == [False, False, True]
        assert raster.mnist_images([], backend=backend).shape == (0, 28, 28)


def test_the_compiled_twin_agrees_with_the_specification():
    digits = random_digits(150)
    pens = np.clip(np.random.default_rng(1).lognormal(1, 0.5, len(digits)), 0.5, 12)
    slow = raster.mnist_images(digits, pens, "reference")
    fast = raster.mnist_images(digits, pens, "fast")
    assert np.abs(slow.astype(int) - fast).max() <= 1
    for i in (3, 7, 20):
        np.testing.assert_array_equal(slow[i], raster.mnist_image(digits[i], pens[i]))


numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)
scribbles = st.lists(st.lists(st.tuples(numbers, numbers), max_size=4), max_size=3)


@settings(max_examples=150, deadline=None)
@given(scribbles, st.floats(0.5, 19))
def test_any_scribble_is_drawn_alike_or_refused_alike(strokes, pen):
    results = []
    for backend in ("reference", "fast"):
        try:
            results.append(raster.mnist_images([strokes], pen, backend)[0])
        except NumcnnError as error:
            results.append(str(error))
    slow, fast = results
    if isinstance(slow, str):
        assert slow == fast
    else:
        assert slow.max() == (255 if any(strokes) else 0)
        # Rounding may put one grey level, and so the centre of mass, on either side of a whole number.
        assert (
            min(np.abs(np.roll(fast, (i, j), (0, 1)) - slow.astype(int)).max() for i in (0, -1, 1) for j in (0, -1, 1))
            <= 1
        )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing(threads):
    digits = random_digits(200, seed=3)
    before = thread_team.the_team().threads
    expected = raster.mnist_images(digits)
    try:
        thread_team.set_threads(threads)
        np.testing.assert_array_equal(raster.mnist_images(digits), expected)
    finally:
        thread_team.set_threads(before)
