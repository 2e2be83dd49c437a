"""A page shows itself: as a figure, as PNG in a notebook, and step by step."""

import io

import numpy as np
import pytest
from PIL import Image

import numcnn
from numcnn.data.generated import digit_strokes
from numcnn.data.rows import make_row
from numcnn.errors import DataError
from numcnn.evaluation.calibration import certainty
from numcnn.evaluation.plots.style import BLUE, WARNING
from numcnn.imaging import raster
from numcnn.imaging.annotate import SURE
from numcnn.recognition.page import Page


@pytest.fixture(scope="module")
def network():
    return numcnn.load(backend="reference")


@pytest.fixture(scope="module")
def picture():
    """Return 47 above 3, dark on light, (240,300) uint8."""
    rng = np.random.default_rng(4)
    strokes = []
    for number, labels in enumerate(([4, 7], [3])):
        row, _, _ = make_row([(digit_strokes(label, rng), label) for label in labels], rng)
        strokes += [60 * (stroke + np.array([0.5, 1.3 + 1.6 * number])) for stroke in row]
    return (250 - 220 * raster.draw(strokes, (240, 300), 5)).astype(np.uint8)


def rectangles(axes):
    return [patch.get_bbox().bounds for patch in axes.patches]


def test_a_page_is_drawn_with_its_boxes_and_labels(picture, network):
    page = numcnn.read(picture, network=network)
    assert page.text == "47\n3"
    figure = page.plot()
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.images[0].get_array(), picture)
    np.testing.assert_allclose(np.array(rectangles(axes)) + np.array([0.5, 0.5, 0, 0]), [digit.box for digit in page])
    assert [text.get_text() for text in axes.texts] == ["4", "7", "3"]
    assert {text.get_color() for text in axes.texts} == {BLUE} and figure.get_suptitle() == "47\n3"


def test_what_is_not_sure_has_a_question_mark_and_another_colour(picture, network):
    temperature = network.info["certainty_temperature"]
    certain = [certainty(digit.probabilities, temperature) for digit in numcnn.read(picture, network=network)]
    doubtful = network.copy()
    doubtful.info = {**network.info, "refuse_below": float(np.median(certain))}  # the least sure one is refused
    (axes,) = numcnn.read(picture, network=doubtful).plot().axes
    least = int(np.argmin(certain))
    assert [text.get_text() for text in axes.texts] == [f"{c}?" if k == least else c for k, c in enumerate("473")]
    assert [text.get_color() == WARNING for text in axes.texts] == [k == least for k in range(3)]


def test_of_a_picture_that_was_averaged_down_the_boxes_fit_what_is_shown(picture, network, tmp_path):
    path = tmp_path / "large.png"
    Image.fromarray(picture.repeat(10, axis=0).repeat(10, axis=1)).save(path)
    page = numcnn.read(path, network=network)
    assert page.size == (3000, 2400) and page.text == "47\n3"
    (axes,) = page.plot().axes
    shown = axes.images[0].get_array()
    assert shown.shape == (1200, 1500)
    for x, y, width, height in rectangles(axes):
        box = shown[round(y) : round(y + height) + 1, round(x) : round(x + width) + 1]
        assert box.min() < 60 and 0.1 < (box < 100).mean() < 0.7
    path.unlink()
    with pytest.raises(DataError, match=r"large\.png"):
        page.plot()


def test_a_notebook_shows_the_picture_with_its_boxes(picture, network):
    page = numcnn.read(picture, network=network)
    with Image.open(io.BytesIO(page._repr_png_())) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (240, 300, 3)
    x, y, _, _ = page[0].box
    assert tuple(pixels[y + 5, x - 1]) == SURE
    assert (pixels[..., 0] == picture).mean() > 0.8


def test_with_explain_the_steps_are_drawn_to_the_last(picture, network):
    page = numcnn.read(picture, network=network, explain=True)
    (axes,) = page.plot().axes
    assert not axes.patches and axes.images[0].get_array().shape[0] > 3 * 320
    blank = numcnn.read(np.full((100, 100), 255, np.uint8), network=network, explain=True)
    assert len(blank) == 0 and blank.plot().axes


def test_a_page_without_a_picture_says_so():
    with pytest.raises(DataError, match="made without a picture"):
        Page([], (10, 10)).plot()
