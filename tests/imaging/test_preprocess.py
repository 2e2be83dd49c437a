"""Pictures of every kind come out as MNIST's makers would have made them."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from papers import difference, draw, ink_box, saved
from PIL import Image

from numcnn.data import mnist
from numcnn.errors import DataError, ShapeError
from numcnn.imaging import preprocess
from numcnn.imaging.preprocess import (
    area_average,
    centre_in_28,
    otsu_threshold,
    prepare,
    prepare_file,
    square_crop,
)


def centroid(picture):
    weights = picture / picture.sum()
    steps = np.arange(len(picture))
    return np.array([weights.sum(axis=1) @ steps, weights.sum(axis=0) @ steps])


# centring


@pytest.mark.parametrize(
    ("pixel", "expected"),
    [
        ((0, 0), (8, 8)),  # int(15 - 0.5) = 14, clamped to 8
        ((19, 19), (19, 19)),  # int(15 - 19.5) = -4, clamped to 0
        ((9, 10), (14, 14)),  # int(15 - 9.5) = 5 and int(15 - 10.5) = 4
    ],
)
def test_one_pixel_is_moved_by_the_rule(pixel, expected):
    box = np.zeros((20, 20), np.uint8)
    box[pixel] = 200
    out = centre_in_28(box)
    assert np.argwhere(out).tolist() == [list(expected)]
    assert out[expected] == 200


def test_a_full_box_lies_at_five_not_four():
    out = centre_in_28(np.ones((20, 20), bool))
    assert ink_box(out) == (5, 24, 5, 24)  # int(15 - 10) = 5: a centre of mass at index 14.5


def test_centre_of_mass_lands_between_13_5_and_14_5():
    rng = np.random.default_rng(0)
    boxes = rng.integers(0, 256, (200, 20, 20), np.uint8) * (rng.random((200, 20, 20)) < 0.3)
    for box, out in zip(boxes, centre_in_28(boxes), strict=True):
        assert ((centroid(out) >= 13.5) & (centroid(out) <= 14.5)).all()
        assert out.sum() == box.sum()
        np.testing.assert_array_equal(out, centre_in_28(box))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_centring_keeps_the_dtype(dtype):
    out = centre_in_28(np.eye(20, dtype=dtype))
    assert out.dtype == dtype
    assert out.shape == (28, 28)


def test_centring_refuses_other_shapes_and_blank_boxes():
    with pytest.raises(ShapeError, match=r"got shape \(28, 28\); wants \(20, 20\) or \(N, 20, 20\)"):
        centre_in_28(np.ones((28, 28)))
    for blank in (np.zeros((20, 20)), np.full((20, 20), np.nan), np.zeros((2, 20, 20))):
        with pytest.raises(DataError, match="no ink found"):
            centre_in_28(blank)


# resizing


@pytest.mark.parametrize("size", [1, 2, 7, 13, 19, 21, 33, 47])
def test_area_average_is_the_mean_of_a_finer_picture(size):
    square = np.random.default_rng(size).random((size, size))
    finer = np.repeat(np.repeat(square, 20, axis=0), 20, axis=1)
    expected = finer.reshape(20, size, 20, size).mean(axis=(1, 3))
    np.testing.assert_allclose(area_average(square), expected, rtol=1e-12)


def test_area_average_of_20_is_the_identity_and_doubling_changes_nothing():
    square = np.random.default_rng(0).random((20, 20))
    np.testing.assert_array_equal(area_average(square), square)
    small = square[:7, :7]
    doubled = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
    np.testing.assert_allclose(area_average(doubled), area_average(small), rtol=1e-12)


def test_square_crop_widens_the_shorter_side_on_both_sides():
    ink = np.zeros((30, 40))
    ink[3:13, 20:25] = 1
    crop = square_crop(ink)
    assert crop.shape == (10, 10)
    assert ink_box(crop) == (0, 9, 2, 6)  # 5 columns to add: 2 before and 3 after


def test_otsu_agrees_with_its_definition():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(60, 20, 3000), rng.normal(190, 15, 400)]).round().clip(0, 255)

    def within(level):
        low, high = values[values < level], values[values >= level]
        return low.size * low.var() + high.size * high.var()

    values[0], values[1] = 0, 255
    spread = np.array([within(level) for level in range(1, 256)])
    best = 1 + np.flatnonzero(spread <= spread.min() * (1 + 1e-9))
    assert otsu_threshold(values) == pytest.approx(best.mean())


def test_otsu_lies_half_way_between_two_tones():
    values = np.repeat([0.0, 0.8], [900, 100])
    assert otsu_threshold(values) == pytest.approx(0.4, abs=0.01)


# whole pictures


def test_result_looks_like_mnist():
    out = prepare(draw())
    assert (out.dtype, out.shape, out.max()) == (np.uint8, (28, 28), 255)
    top, bottom, left, right = ink_box(out)
    assert max(bottom - top, right - left) + 1 == 20
    assert ((centroid(out) >= 13.5) & (centroid(out) <= 14.5)).all()


def test_paper_and_ink_may_have_any_tone():
    digit = draw().astype(float) / 255
    reference = prepare(draw())
    np.testing.assert_array_equal(prepare(255 - draw()), reference)
    for paper, ink in ((250, 40), (200, 120), (30, 220), (100, 160), (128, 0), (128, 255)):
        tones = np.round(paper + (ink - paper) * digit).astype(np.uint8)
        assert difference(prepare(tones), reference) < 1.5, (paper, ink)


def test_a_wide_faint_glow_does_not_outweigh_dark_ink():
    digit = draw(120, width=0.05)
    sheet = np.full((240, 240), 200.0)
    sheet[60:180, 60:180] -= 0.7 * digit
    sheet[5:-5, 5:-5] += 12
    assert difference(prepare(sheet.astype(np.uint8)), prepare(digit)) < 5


def test_place_on_the_paper_does_not_matter():
    digit = draw(90)
    reference = prepare(digit)
    for top, left in ((0, 0), (0, 110), (110, 3), (57, 61)):
        paper = np.zeros((200, 200), np.uint8)
        paper[top : top + 90, left : left + 90] = digit
        np.testing.assert_array_equal(prepare(paper), reference)


def test_size_does_not_matter():
    bilevel = draw(28) > 127
    reference = prepare(bilevel)
    for factor in (2, 3, 10):
        np.testing.assert_array_equal(prepare(np.repeat(np.repeat(bilevel, factor, axis=0), factor, axis=1)), reference)
    reference = prepare(draw(300))
    for side in (45, 60, 120, 801):
        assert difference(prepare(draw(side)), reference) < 4, side


def test_a_crop_without_any_margin_is_read():
    digit = draw(80)
    top, bottom, left, right = ink_box(digit)
    crop = digit[top : bottom + 1, left : right + 1]
    np.testing.assert_array_equal(prepare(crop), prepare(digit))
    np.testing.assert_array_equal(prepare(255 - crop), prepare(digit))


def test_proportions_are_kept():
    tall = draw(points=((0.5, 0.1), (0.5, 0.9)), width=0.1)
    top, bottom, left, right = ink_box(prepare(tall))
    assert bottom - top + 1 == 20
    assert 2 <= right - left + 1 <= 4


def test_dtypes_mean_the_same_picture():
    grey = draw(60)
    reference = prepare(grey)
    for same in (
        grey.astype(np.int64),
        grey.astype(np.uint16) * 257,
        (grey.astype(np.uint16) * 257).astype(">u2"),
        grey / 255,
        (grey / 255).astype(np.float32),
        np.asfortranarray(grey),
        np.pad(grey, 3)[3:-3, 3:-3],
    ):
        np.testing.assert_array_equal(prepare(same), reference)
    assert preprocess.as_grey(np.array([[0, 257, 65535]], np.uint16)).tolist() == [[0, 1, 255]]
    np.testing.assert_array_equal(prepare(grey > 127), prepare((grey > 127) * 1.0))
    assert difference(prepare(grey.astype(np.float16) / np.float16(255)), reference) < 0.5


def test_noise_jpeg_and_uneven_light_do_little_harm():
    rng = np.random.default_rng(0)
    grey = 215 - draw(120) * 0.6
    reference = prepare(draw(120))
    noisy = np.clip(grey + rng.normal(0, 14, grey.shape), 0, 255).astype(np.uint8)
    shaded = np.clip(grey + np.linspace(-25, 25, 120), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "JPEG", quality=60)
    for name, picture in (("noise", noisy), ("shade", shaded), ("JPEG", np.asarray(Image.open(file)))):
        assert difference(prepare(picture), reference) < 6, name


def test_jpeg_copy_of_a_finished_picture_keeps_its_place():
    finished = prepare(draw())
    file = io.BytesIO()
    Image.fromarray(finished).save(file, "JPEG", quality=90)
    assert difference(prepare(np.asarray(Image.open(file))), finished) < 3


def test_a_finished_picture_stays_as_it_is():
    finished = prepare(draw())
    np.testing.assert_array_equal(prepare(finished), finished)
    np.testing.assert_array_equal(prepare(255 - finished), finished)
    np.testing.assert_array_equal(prepare(finished / 255), finished)


def test_any_small_picture_gives_a_digit_or_no_ink_and_no_warning():
    rng = np.random.default_rng(0)
    found = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(300):
            height, width = rng.integers(1, 12, 2)
            picture = rng.integers(0, 256, (height, width), np.uint8) * (rng.random((height, width)) < 0.2)
            try:
                out = prepare(picture)
            except DataError as error:
                assert str(error).startswith(("no ink found", "the picture is all one shade"))
            else:
                found += 1
                assert (out.shape, out.dtype, out.max()) == ((28, 28), np.uint8, 255)
    assert found > 100


@pytest.mark.parametrize(
    "blank",
    [
        np.random.default_rng(0).normal(200, 3, (300, 300)).round().astype(np.uint8),
        np.tile(np.linspace(0.7, 0.9, 200), (150, 1)),
    ],
    ids=["noisy sheet", "sheet in uneven light"],
)
def test_blank_sheets_have_no_ink(blank):
    with pytest.raises(DataError, match=r"no ink found: the strongest mark differs from the paper by \d+ of 255"):
        prepare(blank)


@pytest.mark.parametrize(
    "blank",
    [np.zeros((28, 28), np.uint8), np.full((100, 80), 255, np.uint8), np.full((1, 1), 0.5)],
    ids=["black", "white", "one pixel"],
)
def test_a_picture_of_one_shade_is_named(blank):
    with pytest.raises(DataError, match=r"^the picture is all one shade; "):
        prepare(blank)


@pytest.mark.parametrize(
    ("picture", "error", "text"),
    [
        (np.zeros((0, 0)), ShapeError, r"got shape \(0, 0\)"),
        (np.zeros((28, 0)), ShapeError, "not empty"),
        (np.zeros((3, 28, 28)), ShapeError, r"got shape \(3, 28, 28\); wants one grey picture \(H, W\)"),
        (np.zeros(784), ShapeError, r"got shape \(784,\)"),
        (np.zeros((28, 28), complex), ShapeError, "dtype complex128"),
        (np.full((28, 28), "x"), ShapeError, "dtype <U1"),
        (np.full((28, 28), None), ShapeError, "dtype object"),
        (np.full((28, 28), np.nan), DataError, "NaN or infinity"),
        (np.where(np.eye(28), np.inf, 0.0), DataError, "NaN or infinity"),
        (np.eye(28) * 255.0, DataError, r"from 0.0 to 255.0; dtype float64 wants 0..1"),
        (np.eye(28, dtype=np.int32) * -1, DataError, r"from -1 to 0; dtype int32 wants 0..255"),
        (np.eye(28, dtype=np.int32) * 256, DataError, r"wants 0..255"),
    ],
)
def test_bad_arrays_are_refused(picture, error, text):
    with pytest.raises(error, match=text):
        prepare(picture)


def test_colour_arrays_and_pil_images_are_prepared_as_their_files(tmp_path):
    ink = (255 - draw(120)) / 255
    rgb = np.rint(ink[:, :, None] * (250, 240, 180) + (1 - ink[:, :, None]) * (20, 30, 160)).astype(np.uint8)
    rgba = np.concatenate([np.zeros_like(rgb), np.rint(255 * (1 - ink)).astype(np.uint8)[:, :, None]], axis=2)
    for colours in (rgb, rgba):
        path = saved(tmp_path, Image.fromarray(colours), "colours.png")
        want = prepare_file(path)
        with Image.open(path) as image:
            before = image.tobytes()
            np.testing.assert_array_equal(prepare(image), want)
            assert image.tobytes() == before
        same = colours, colours / 255, colours.astype(np.int64), colours.astype(np.uint16) * np.uint16(257)
        for array in same:
            np.testing.assert_array_equal(prepare(array), want)
        np.testing.assert_array_equal(prepare(path), want)
        np.testing.assert_array_equal(prepare(str(path)), want)
    grey = draw(120)
    np.testing.assert_array_equal(prepare(grey[:, :, None]), prepare(grey))
    np.testing.assert_array_equal(prepare(grey.astype(np.int64)), prepare(grey))
    np.testing.assert_array_equal(prepare(Image.fromarray(grey)), prepare(grey))


def test_a_pil_image_that_lies_on_its_side_is_turned_and_stays_as_it_was(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = saved(tmp_path, Image.fromarray(draw(120)), "turned.png", exif=exif)
    with Image.open(path) as image:
        np.testing.assert_array_equal(prepare(image), prepare_file(path))
        assert image.getexif()[274] == 6


def test_a_pil_image_of_a_damaged_file_is_a_data_error(tmp_path):
    path = saved(tmp_path, Image.fromarray(draw(120)), "digit.png")
    path.write_bytes(path.read_bytes()[:200])
    with Image.open(path) as image, pytest.raises(DataError, match="picture: damaged or incomplete picture"):
        prepare(image)


@pytest.mark.parametrize(
    ("picture", "error", "text"),
    [
        (np.zeros((28, 28, 2)), ShapeError, r"got shape \(28, 28, 2\); wants one grey picture"),
        (np.zeros((2, 28, 28, 3)), ShapeError, r"got shape \(2, 28, 28, 3\)"),
        (np.zeros((0, 5, 3)), ShapeError, "not empty"),
        (np.full((9, 9, 3), 256), DataError, r"dtype int64 wants 0..255"),
        (np.full((9, 9, 4), np.nan), DataError, "NaN or infinity"),
    ],
)
def test_bad_colour_arrays_are_refused(picture, error, text):
    with pytest.raises(error, match=text):
        prepare(picture)


def test_importing_loads_no_pillow():
    code = "import sys, numcnn.imaging.preprocess; print(sorted({'PIL', 'numba', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# the real thing


def test_real_mnist_pictures_pass_through_nearly_unchanged(real_mnist):
    images = mnist.read_folder(real_mnist, roles=("test_images",))["test_images"][:3000]
    prepared = np.stack([prepare(image) for image in images])
    same_shape = ((prepared > 0) == (images > 0)).all(axis=(1, 2))
    assert same_shape.mean() >= 0.998  # the others are the few whose box is not 20 px
    assert difference(prepared, images) < 0.05
    assert np.abs(prepared[same_shape].astype(int) - images[same_shape]).max() <= 2  # 254 becomes 255
    inverted = np.stack([prepare(255 - image) for image in images[:300]])
    np.testing.assert_array_equal(inverted > 0, prepared[:300] > 0)
    centred = np.stack([preprocess.centre_in_28(square_crop(image)) for image in images[same_shape][:300]])
    np.testing.assert_array_equal(centred, images[same_shape][:300])


# as fast as it is, it gives what its definition gives, to the bit


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_median_and_quantile_are_numpys_to_the_bit(dtype):
    rng = np.random.default_rng(0)
    for n in [*range(1, 40), 400, 999, 20_001]:
        for values in (
            rng.random(n).astype(dtype),
            rng.integers(0, 4, n).astype(dtype),
            (1000 * rng.random(n) ** 9).astype(dtype),
        ):
            assert preprocess.median(values) == np.median(values)
            for share in (0.25,) if values.dtype.kind == "f" else (0.15, 0.25):
                assert preprocess.quantile(values, share) == np.quantile(values, share)


def defined(grey):
    """Return what ``prepare`` does, each step in NumPy's own functions.  (H,W) float32 -> (28,28)."""
    width = max(1, round(0.02 * min(grey.shape)))
    ring = np.ones(grey.shape, bool)
    ring[width:-width, width:-width] = False
    paper = np.median(grey[ring])
    ink = grey - paper
    if np.sum(ink * ink * ink, dtype=np.float64) < 0:
        ink = -ink
    rows = grey[:: max(1, len(grey) // 64)]
    sigma = 0.0
    if grey.shape[1] > 1:
        sigma = float(np.quantile(np.abs(np.diff(rows, axis=1)), 0.25)) / (0.3186 * np.sqrt(2))
    shade = float(np.quantile(np.abs(grey[ring] - paper), 0.25))
    if float(ink.max()) < max(10, 5 * shade, 6 * sigma):
        raise DataError("no ink found")
    box = preprocess.tight_box(preprocess.drop_paper(np.maximum(ink, 0), 4 * sigma))
    missing = [max(box.shape) - side for side in box.shape]
    square = np.pad(box, [(gap // 2, gap - gap // 2) for gap in missing])
    size = len(square)
    new, old = np.arange(20)[:, None] * size, np.arange(size)[None, :] * 20
    overlap = np.minimum(new + size, old + 20) - np.maximum(new, old)
    weights = np.maximum(overlap, 0) / size
    mean = weights @ square.astype(np.float64) @ weights.T
    return centre_in_28(np.floor(255 * mean / mean.max() + 0.5).astype(np.uint8))


def test_prepare_gives_what_its_definition_gives_to_the_bit():
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(150):
        height, width = rng.integers(3, 150, 2)
        digit = np.asarray(Image.fromarray(draw(60)).resize((width, height), Image.Resampling.BICUBIC)).astype(float)
        grey = 230 - rng.uniform(0.2, 0.9) * digit + rng.normal(0, rng.choice([0, 3, 9]), digit.shape)
        picture = np.clip(grey + rng.choice([0, 1]) * np.linspace(-20, 20, width), 0, 255).astype(np.uint8)
        try:
            want = defined(picture.astype(np.float32))
        except DataError:
            with pytest.raises(DataError):
                prepare(picture)
            continue
        np.testing.assert_array_equal(prepare(picture), want)
        compared += 1
    assert compared > 100


def test_noise_is_estimated_from_two_columns_on():
    one_step = preprocess.noise_sigma(np.array([[0, 10]] * 4, np.float32))
    assert one_step == pytest.approx(10 / (0.3186 * np.sqrt(2)), rel=1e-6)
    assert preprocess.noise_sigma(np.array([[5]] * 4, np.float32)) == 0


def test_in_large_pictures_greys_run_from_half_the_threshold_to_as_far_above_it():
    ink = np.zeros((80, 80), np.float32)
    ink[10:70, 10:70] = 100  # Otsu's threshold is 50, in the middle between paper and strokes
    ink[:3, 0] = 40, 50, 62
    threshold = preprocess.otsu_threshold(ink)
    low, high = threshold / 2, 1.5 * threshold
    np.testing.assert_allclose(preprocess.drop_paper(ink, 0)[:3, 0], (ink[:3, 0] - low) / (high - low), rtol=1e-5)


def test_where_few_marks_are_faint_beside_the_strongest_they_are_at_any_threshold():
    rng = np.random.default_rng(0)
    few = 0
    for _ in range(200):
        ink = (rng.random((28, 28)) ** rng.uniform(0.2, 3) * (rng.random((28, 28)) < 0.2) * 200).astype(np.float32)
        if preprocess._few_faint(ink, float(ink.max()) / 4):
            few += 1
            assert preprocess._few_faint(ink, preprocess.otsu_threshold(ink) / 4)
            assert preprocess.drop_paper(ink, 30.0) is ink
    assert 20 < few < 200


@pytest.mark.parametrize(("levels", "is_read"), [(9, False), (10, True), (-9, False), (-10, True)])
def test_marks_count_from_ten_levels_on(levels, is_read):
    picture = np.full((28, 28), 128, np.uint8)
    picture[8:20, 12:15] += np.array(levels).astype(np.uint8)
    if is_read:
        assert prepare(picture).max() == 255
        return
    with pytest.raises(DataError, match="no ink found: the strongest mark differs from the paper by 9 of 255 levels"):
        prepare(picture)


@pytest.mark.parametrize(("per_light", "darker"), [(4, False), (5, True), (12, True)])
def test_ink_is_the_side_with_the_larger_sum_of_cubes(per_light, darker):
    """Light marks differ by 100 levels, dark ones by 60: 4.6 dark ones weigh as much, by squares 2.8."""
    grey = np.full((40, 40), 128, np.float32)
    grey[4 : 4 + 2 * per_light, 5:15] = 68
    grey[35:37, 5:15] = 228
    found = preprocess.separate_ink(grey)[:, 5]
    assert (found[4] > 0, found[35] > 0) == (darker, not darker)


@pytest.mark.parametrize(("faint", "few"), [(45, True), (46, False)])
def test_up_to_45_faint_marks_for_100_clear_ones_are_few(faint, few):
    ink = np.zeros((20, 20), np.float32)
    ink.flat[:100], ink.flat[100 : 100 + faint] = 80, 10
    assert preprocess._few_faint(ink, 20.0) == few


def test_in_small_pictures_marks_below_a_quarter_of_the_threshold_are_paper():
    ink = np.zeros((20, 20), np.float32)
    ink.flat[:60], ink.flat[60:120], ink.flat[120:180] = 100, 14, 16
    threshold = preprocess.otsu_threshold(ink)
    assert 14 < threshold / 4 < 16 < threshold / 3
    left = preprocess.drop_paper(ink, 0)
    assert sorted(set(left.flat)) == [0, 16, 100]
