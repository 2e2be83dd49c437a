"""Which pieces are a broken digit's: near each other, certainly one digit, and no two digits."""

import numpy as np
import pytest

from numcnn.imaging.parts import Part
from numcnn.imaging.sheet import lay_out
from numcnn.recognition.joining import join, mended
from numcnn.recognition.spots import CERTAIN

SHEET = lay_out(np.full((300, 300), 235, np.uint8))


def part(left, top, right, bottom):
    return Part((left, top, right, bottom), np.ones((bottom - top, right - left), bool))


def boxes_of(parts, *, labels=(1, 1), together=0.991, label=8, highest=None):
    """Return what parts are joined to.  labels: of the certain ones; label, together: of several, how probable."""

    def judge(images):
        said = np.full((len(images), 10), 0.001, np.float32)
        said[:, label] = together
        if not asked and chances_before.max() >= CERTAIN:
            said[np.arange(len(images)), labels[: len(images)]] = 0.995
        asked.append(len(images))
        return said

    asked = []
    chances_before = np.full(len(parts), 0.5, np.float32) if highest is None else np.array(highest, np.float32)
    found, chances = mended(SHEET, parts, chances_before, judge, 0.78)
    assert len(found) == len(chances)
    return [one.box for one in found]


@pytest.mark.parametrize(("gap", "is_one"), [(8, True), (9, False)])
def test_pieces_are_joined_across_a_tenth_of_the_digit(gap, is_one):
    parts = [part(50, 50, 70, 86), part(50, 86 + gap, 70, 130)]
    assert (boxes_of(parts) == [(50, 50, 70, 130)]) == is_one


@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize(("gap", "are_one"), [(3, True), (4, False)])
def test_ones_below_each_other_are_no_longer_one_unless_they_nearly_touch(count, gap, are_one):
    parts = [part(50, 20 + (40 + gap) * k, 56, 60 + (40 + gap) * k) for k in range(count)]
    found = boxes_of(parts, labels=(1,) * count, label=1, together=0.999, highest=[0.995] * count)
    assert len(found) == (1 if are_one else count)


@pytest.mark.parametrize(("gap", "is_one"), [(2, True), (3, False)])
def test_small_pieces_are_joined_across_two_pixels(gap, is_one):
    parts = [part(50, 50, 54, 56), part(50, 56 + gap, 54, 64)]
    assert (boxes_of(parts) == [(50, 50, 54, 64)]) == is_one


@pytest.mark.parametrize(
    ("gap", "label", "beside", "is_one"), [(2, 8, 0, True), (5, 8, 0, False), (2, 6, 0, False), (2, 8, 1, False)]
)
def test_two_zeros_that_nearly_touch_are_an_8_if_they_are_all_there_is(gap, label, beside, is_one):
    parts = [part(50, 50, 86, 70), part(52, 70 + gap, 86, 100), *[part(150, 50, 186, 100)] * beside]
    found = boxes_of(parts, labels=(0,) * len(parts), label=label, highest=[0.995] * len(parts))
    assert (len(found) == 1 + beside) == is_one


def test_the_ink_counts_and_not_its_box():
    corner = np.zeros((80, 60), bool)
    corner[:10], corner[:, :10] = True, True
    parts = [Part((50, 50, 110, 130), corner), part(90, 90, 105, 125)]  # in the same box, thirty pixels away
    assert len(boxes_of(parts)) == 2


@pytest.mark.parametrize(("together", "is_one"), [(0.99, True), (0.98, False)])
def test_only_what_is_certain_together_is_joined(together, is_one):
    parts = [part(50, 50, 70, 88), part(50, 92, 70, 130)]
    assert (len(boxes_of(parts, together=together)) == 1) == is_one


@pytest.mark.parametrize(("others", "left"), [([], 1), ([part(200, 200, 240, 280)], 3)])
def test_what_looks_like_a_1_together_is_one_if_there_is_nothing_else(others, left):
    parts = [part(50, 50, 70, 88), part(50, 92, 70, 130), *others]
    assert len(boxes_of(parts, label=1)) == left


@pytest.mark.parametrize(("width", "is_one"), [(128, True), (129, False)])
def test_what_is_wider_than_a_digit_is_not_joined(width, is_one):
    parts = [part(50, 50, 50 + width, 88), part(50, 92, 50 + width, 130)]
    assert (len(boxes_of(parts)) == 1) == is_one


@pytest.mark.parametrize(
    ("labels", "highest", "is_one"),
    [((0, 0), (0.99, 0.99), False), ((0, 0), (0.99, 0.98), True), ((0, 1), (0.99, 0.99), True)],
)
def test_two_certain_digits_stay_two_unless_one_is_a_stroke(labels, highest, is_one):
    parts = [part(50, 50, 70, 88), part(50, 92, 70, 130)]
    assert (len(boxes_of(parts, labels=labels, highest=highest)) == 1) == is_one


@pytest.mark.parametrize(
    ("other", "is_one"),
    [((74, 50, 94, 106), False), ((74, 50, 94, 105), True), ((63, 50, 83, 130), True), ((64, 50, 84, 130), False)],
)
def test_high_pieces_side_by_side_are_two_digits(other, is_one):
    """From 0.7 of the height, and if they share no more than 0.3 of their width."""
    assert (len(boxes_of([part(50, 50, 70, 130), part(*other)])) == 1) == is_one


@pytest.mark.parametrize(("height", "is_one"), [(54, True), (53, False), (177, True), (178, False)])
def test_a_broken_digit_is_as_high_as_the_others(height, is_one):
    """They are joined only up to 1.5 times as high as these, and not as what is too small for a digit beside them."""
    parts = [part(50, 50, 70, 88), part(50, 92, 70, 130), part(150, 50, 190, 50 + height)]
    assert (len(boxes_of(parts, highest=[0.5, 0.5, 0.9])) == 2) == is_one


def test_as_high_as_certain_digits_rather_than_as_strokes():
    pieces, stroke = [part(50, 50, 70, 68), part(50, 72, 70, 90)], part(150, 50, 160, 90)
    digit = part(200, 50, 260, 140)
    assert len(boxes_of([*pieces, stroke, digit], highest=[0.5, 0.5, 0.98, 0.5])) == 3
    assert len(boxes_of([*pieces, stroke, digit], highest=[0.5, 0.5, 0.98, 0.995])) == 4


def test_up_to_four_pieces_are_one_and_more_are_texture():
    four = [part(50, 50 + 25 * k, 70, 72 + 25 * k) for k in range(4)]
    assert boxes_of(four) == [(50, 50, 70, 147)]
    many = [part(10 * x, 10 * y, 10 * x + 8, 10 * y + 8) for x in range(12) for y in range(12)]
    assert len(boxes_of(many)) == len(many)


@pytest.mark.parametrize(
    ("small", "probability", "is_digit"),
    [
        ((20, 25), 0.99, True),
        ((20, 25), 0.98, False),
        ((20, 24), 0.99, False),
        ((11, 26), 0.99, True),
        ((10, 26), 0.99, False),  # a stroke
        ((20, 45), 0.98, True),
    ],
)
def test_what_is_much_smaller_than_its_line_is_a_digit_if_it_is_certain_and_no_stroke(small, probability, is_digit):
    """From a quarter of the line's height; from 0.45 on it is as any other part."""
    width, height = small
    parts = [part(150 - width, 150 - height, 150, 150), part(200, 50, 260, 150)]

    def judge(images):
        return np.full((len(images), 10), probability, np.float32)

    assert join(SHEET, parts, 100, judge) == ([[0], [1]] if is_digit else [[1]])
