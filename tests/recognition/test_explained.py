"""The steps of a reading as pictures: each can be shown."""

import numpy as np
import pytest
from papers import lines
from restless_layer import Restless

import numcnn
from numcnn import Conv2D, Dense, Flatten, Network
from numcnn.imaging.annotate import as_image, sheet
from numcnn.imaging.sheet import lay_out
from numcnn.recognition.explained import explained_steps
from numcnn.recognition.page import Digit, Page

NAMES = ["original", "paper", "light divided out", "ink", "pieces", "lines", "boxes", "each 28x28"]


def digit(box, line=0):
    image = np.zeros((28, 28), np.uint8)
    image[5:23, 13:15] = 255
    return Digit(box, 1, 0.99, True, line, np.eye(10)[1], image)


def steps_of(picture, digits=(), size=None):
    return explained_steps(lay_out(picture), Page(digits, size or picture.shape[1::-1]), picture, numcnn.load())


def test_the_steps_of_finding_are_pictures_of_the_sheet():
    picture = lines((100, 160), [(30, 20), (40, 80)], [(90, 20), (100, 80)])
    laid = lay_out(picture)
    steps = steps_of(picture)
    assert list(steps) == NAMES and steps["original"] is picture and steps["paper"].shape == picture.shape
    np.testing.assert_array_equal(steps["light divided out"], 255 - laid.ink.strength)
    assert steps["ink"].dtype == np.uint8 and set(np.unique(steps["ink"]).tolist()) == {0, 255}
    np.testing.assert_array_equal(steps["ink"] == 255, laid.clear)
    assert steps["each 28x28"].shape == (0, 28, 28)


@pytest.mark.parametrize("scale", [1, 2])  # boxes are in pixels of a picture that was read at half its size
def test_a_way_leads_from_digit_to_digit_along_a_line(scale):
    picture = lines((100, 160), [(30, 20), (40, 80)], [(90, 20), (100, 80)])
    boxes = [(28, 20, 14, 60), (88, 20, 14, 60)]
    digits = [digit(tuple(scale * edge for edge in box)) for box in boxes]
    steps = steps_of(picture, digits, (160 * scale, 100 * scale))
    way = steps["lines"] == 255
    assert way[50, 35:96].all() and way.sum() == 61 and (steps["lines"][~way] == 110).any()
    assert steps["boxes"].shape == (200, 320, 3)  # enlarged, so that labels can be read
    np.testing.assert_array_equal(steps["each 28x28"], [one.image for one in digits])
    apart = steps_of(picture, [digit(boxes[0]), digit(boxes[1], line=1)])
    assert not (apart["lines"] == 255).any()


def test_a_layer_without_a_gradient_for_one_picture_leaves_out_what_spoke_for_the_answers():
    picture = lines((100, 160), [(30, 20), (40, 80)])
    network = Network([Conv2D(2, 3), Restless(), Flatten(), Dense(10)], backend="reference", seed=0)
    steps = explained_steps(lay_out(picture), Page([digit((28, 20, 14, 60))], (160, 100)), picture, network)
    assert list(steps) == [*NAMES, "maps of conv1", "maps of restless1"]


def test_paper_of_two_colours_is_two_pictures_side_by_side():
    """As when ink darkens two of three colours; as (H,W,2) it would be taken for H pictures that are 2 wide."""
    picture = lines((100, 160), [(30, 20), (40, 80)], [(90, 20), (100, 80)])
    found = steps_of(np.stack([picture, picture, 255 - picture // 8], axis=-1))
    assert found["paper"].shape == (2, 100, 160) and as_image(found["paper"]).size[0] >= 160
    assert sheet(found, columns=2, side=100).size == (12 + 2 * 112, sheet(found, columns=2, side=100).size[1])
