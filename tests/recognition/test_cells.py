"""Digits in the cells of forms: every kind of frame, drawn here with all digits, alone and in rows."""

import numpy as np
import papers
import pytest
from PIL import Image

import numcnn
from numcnn.imaging import raster

PAPER, INK = 245.0, 35.0
LEFT, TOP, RIGHT, BOTTOM = 40, 30, 150, 170  # of a cell in a sheet of 200 x 190


def cell(label, lines, *, width=3.0, tone=60.0, at=(62, 52), height=95):
    """Draw a digit in a cell with these lines (x, y, x, y) -> (H,W) float."""
    strokes = [np.array([(x, y), (u, v)], float) for x, y, u, v in lines]
    picture = papers.on_paper(raster.draw(strokes, (200, 190), width), PAPER, tone)
    digit = papers.ink_of(papers.strokes_of(label, height, at), (200, 190), 9)
    return picture + (INK - picture) * digit


def sides(left=LEFT, top=TOP, right=RIGHT, bottom=BOTTOM):
    return [
        (left, top, right, top),
        (right, top, right, bottom),
        (left, bottom, right, bottom),
        (left, top, left, bottom),
    ]


def framed(label):
    return cell(label, sides())


def thick(label):
    return cell(label, sides(), width=10)


def thin_and_grey(label):
    return cell(label, sides(), width=1.2, tone=170)


def crossing_the_foot(label):
    return cell(label, sides(), at=(62, BOTTOM - 85))


def crossing_a_side(label):
    return cell(label, sides(), at=(RIGHT - 45, 52))


def broken(label):
    lines = []
    for x, y, u, v in sides():
        lines += [(x, y, x + 0.4 * (u - x), y + 0.4 * (v - y)), (x + 0.6 * (u - x), y + 0.6 * (v - y), u, v)]
    return cell(label, lines)


def turned(label):
    picture = Image.fromarray(framed(label).round().astype(np.uint8))
    return np.asarray(picture.rotate(4, Image.Resampling.BICUBIC, fillcolor=int(PAPER)), float)


def cropped_close(label):
    return framed(label)[TOP - 4 : BOTTOM + 5, LEFT - 3 : RIGHT + 4]


def two_sides(label):
    return framed(label)[40:, 50:]


def three_sides(label):
    return framed(label)[40:, 20:]


def one_of_many(label):
    lines = [*sides(), (0, TOP, 190, TOP), (0, BOTTOM, 190, BOTTOM), (LEFT, 0, LEFT, 200), (RIGHT, 0, RIGHT, 200)]
    return cell(label, lines)


def comb(label):
    return cell(label, [(LEFT, BOTTOM, RIGHT, BOTTOM), (LEFT, 120, LEFT, BOTTOM), (RIGHT, 120, RIGHT, BOTTOM)])


KINDS = [
    *(framed, thick, thin_and_grey, crossing_the_foot, crossing_a_side, broken, turned, cropped_close),
    *(two_sides, three_sides, one_of_many, comb),
]


def reads(picture, text, seed=0):
    found = numcnn.read(papers.noisy(picture, np.random.default_rng(seed)))
    assert found.text == text, [(digit.box, digit.label, round(digit.probability, 3)) for digit in found]


@pytest.mark.parametrize("kind", KINDS)
def test_each_digit_in_a_cell_is_read(kind):
    for label in range(10):
        reads(kind(label), str(label), label)


def test_coloured_cells():
    for label, colour in zip((2, 5, 8), ((210, 90, 80), (90, 140, 210), (110, 180, 120)), strict=True):
        grey = cell(label, sides(), tone=0)
        frame = papers.on_paper(
            raster.draw([np.array(line, float).reshape(2, 2) for line in sides()], (200, 190), 3), 1, 0
        )
        digit = papers.ink_of(papers.strokes_of(label, 95, (62, 52)), (200, 190), 9)
        picture = PAPER * frame[..., None] + (1 - frame[..., None]) * np.array(colour)
        reads(picture + (INK - picture) * digit[..., None], str(label))
        assert grey.shape == picture.shape[:2]


def test_a_row_of_cells_is_one_line_wherever_the_digits_stand():
    text = "4081726359"
    shape = (150, 80 * len(text) + 40)
    lines = [line for k in range(len(text)) for line in sides(20 + 80 * k, 20, 100 + 80 * k, 130)]
    strokes = [np.array([(x, y), (u, v)], float) for x, y, u, v in lines]
    picture = papers.on_paper(raster.draw(strokes, shape, 3), PAPER, 60)
    rng = np.random.default_rng(3)
    digits = []
    for k, sign in enumerate(text):
        digits += papers.strokes_of(int(sign), 58, (38 + 80 * k + rng.uniform(-6, 6), rng.choice((27, 45, 66))))
    picture += (INK - picture) * papers.ink_of(digits, shape, 5)
    reads(picture, text)
