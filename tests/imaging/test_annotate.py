"""Boxes and labels are where they belong, and every step of a reading is on the sheet."""

import numpy as np
import pytest
from PIL import Image

from numcnn.imaging.annotate import SURE, UNSURE, Label, annotated, as_image, save_steps, sheet


def count(image, colour, box=None):
    pixels = np.asarray(image.crop(box) if box else image)
    return int((pixels == colour).all(axis=2).sum())


def test_a_box_surrounds_its_digit_and_leaves_it_visible():
    picture = np.full((400, 600), 255, np.uint8)
    picture[100:160, 200:240] = 0
    image = annotated(picture, [Label((200, 100, 40, 60), "7", True)])
    assert image.size == (600, 400)
    np.testing.assert_array_equal(np.asarray(image)[100:160, 200:240], 0)  # nothing is drawn on the digit
    assert count(image, SURE, (198, 98, 242, 162)) == 44 * 64 - 40 * 60
    label = count(image, SURE, (198, 60, 260, 98))
    assert label > 100 and count(image, UNSURE) == 0
    written = np.asarray(image.crop((199, 60, 260, 97)).convert("L"))
    assert written.max() > 240


def test_an_unsure_digit_looks_different():
    image = annotated(np.full((300, 300, 3), 255, np.uint8), [Label((50, 100, 40, 60), "7?", False)])
    assert count(image, UNSURE) > 300 and count(image, SURE) == 0


@pytest.mark.parametrize(
    "box", [(0, 0, 30, 40), (270, 0, 30, 40), (270, 260, 30, 40), (0, 260, 30, 40), (0, 0, 300, 300)]
)
def test_a_label_stays_in_the_picture(box):
    image = annotated(np.full((300, 300), 255, np.uint8), [Label(box, "8", True)])
    assert image.size == (300, 300) and count(image, SURE) > 200
    assert np.asarray(image).min(axis=2).max() == 255  # its text is on it


def test_a_small_picture_is_enlarged_so_that_its_label_can_be_read():
    image = annotated(np.full((28, 28), 255, np.uint8), [Label((9, 4, 10, 20), "1", True)])
    assert image.size == (252, 252)
    assert count(image, SURE) > 500


def test_arrays_of_every_kind_become_pictures():
    np.testing.assert_array_equal(np.asarray(as_image(np.array([[True, False]]))), [[255, 0]])
    np.testing.assert_array_equal(np.asarray(as_image(np.array([[-1.0, 0.0, 3.0]]))), [[0, 64, 255]])
    np.testing.assert_array_equal(np.asarray(as_image(np.full((2, 2), np.nan))), 0)
    colours = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(np.asarray(as_image(colours)), colours)
    many = np.asarray(as_image(np.full((6, 28, 28), 200, np.uint8)))
    assert (many == 200).sum() == 6 * 28 * 28 and (many == 128).any()
    assert as_image(np.zeros((0, 28, 28), np.uint8)).size[0] > 0


def test_every_step_is_a_numbered_file_and_on_the_sheet(tmp_path):
    steps = {
        "original": np.full((50, 40, 3), 90, np.uint8),
        "ink / paper": np.eye(600) > 0,
        "boxes": np.full((28, 28), 0.5),
        "each 28x28": np.zeros((3, 28, 28), np.uint8),
        "feature maps": np.zeros((32, 13, 13), np.float32),
    }
    save_steps(steps, tmp_path / "all")
    names = sorted(path.name for path in (tmp_path / "all").iterdir())
    assert names == [
        "01-original.png", "02-ink-paper.png", "03-boxes.png", "04-each-28x28.png", "05-feature-maps.png", "sheet.png",
    ]  # fmt: skip
    with Image.open(tmp_path / "all" / "01-original.png") as image:
        np.testing.assert_array_equal(np.asarray(image), steps["original"])
    whole = sheet(steps)
    assert 0 <= count(whole, (90, 90, 90)) - (6 * 50) * (6 * 40) < 100  # enlarged as far as it fits 320 pixels
    assert whole.width == 12 + 4 * 332 and whole.height > 600  # two rows
