"""What may be a digit: its size, how likely it is, the typical height, and boxes that share pixels."""

import numpy as np
import pytest

from numcnn.imaging.parts import Part
from numcnn.imaging.sheet import lay_out
from numcnn.recognition.spots import Spot, highest_of, overlap, typical_height


def part(height, width=4):
    return Part((0, 0, width, height), np.ones((height, width), bool))


def frame(side):
    mask = np.ones((side, side), bool)
    mask[2:-2, 2:-2] = False
    return Part((0, 0, side, side), mask)


def test_a_spot_is_as_high_as_its_box_and_as_likely_as_its_likeliest_digit():
    spot = Spot((5, 20, 15, 50), np.zeros((28, 28), np.uint8), np.array([0.2, 0.7, 0.1]), 0)
    assert spot.height == 30 and spot.probability == 0.7 and not spot.doubtful


def test_the_highest_probability_is_that_of_each_part():
    picture = np.full((60, 60), 235, np.uint8)
    picture[10:50, 10:16] = picture[10:50, 40:46] = 40
    parts = [Part((left, 10, left + 6, 50), np.ones((40, 6), bool)) for left in (10, 40)]
    said = np.array([[0.1, 0.9], [0.6, 0.4]])
    assert highest_of(lay_out(picture), parts, lambda images: said[: len(images)]).tolist() == [0.9, 0.6]
    assert len(highest_of(lay_out(picture), [], lambda images: said)) == 0


@pytest.mark.parametrize(
    ("parts", "highest", "height"),
    [
        ([], [], 1.0),
        ([part(10), part(30), part(20)], [0.5, 0.5, 0.5], 30),  # the largest if none is sure
        ([part(1, 9), part(1, 9)], [0.5, 0.5], 1),
        ([part(10), part(30), part(20)], [0.9, 0.5, 0.5], 10),  # just sure enough
        ([part(10), part(10), part(10), part(30)], [1, 1, 1, 1], 10),  # half of all height is 10 high
        ([part(10), part(10), part(30)], [1, 1, 1], 30),
        ([frame(90), part(10)], [1, 1], 10),
        ([part(10), part(90)], [1, 0.5], 10),
    ],
)
def test_the_typical_height_is_the_median_of_sure_parts_by_height(parts, highest, height):
    assert typical_height(parts, np.array(highest), 0.9) == height


@pytest.mark.parametrize(
    ("other", "shares"),
    [
        ((19, 35, 29, 45), True),
        ((20, 35, 29, 45), False),  # it begins where the first ends
        ((0, 35, 11, 45), True),
        ((0, 35, 10, 45), False),
        ((12, 49, 18, 60), True),
        ((12, 50, 18, 60), False),
        ((12, 0, 18, 31), True),
        ((12, 0, 18, 30), False),
        ((60, 70, 80, 90), False),
    ],
)
def test_boxes_overlap_that_share_a_pixel(other, shares):
    one = (10, 30, 20, 50)
    assert overlap(one, other) == overlap(other, one) == shares
