"""Drawn signs and rests of print are no digits, though a piece of them looks like one; and digits like these stay."""

import numpy as np
import papers
import pytest
from papers import reads
from test_page_no_digits import spots_of

import numcnn
from numcnn.data import hands, pages
from numcnn.imaging.parts import Part
from numcnn.recognition.clutter import beside, without_doubts, without_specks
from numcnn.recognition.evidence import repeated_strokes
from numcnn.recognition.spots import Spot
from numcnn.recognition.steady import UNSTEADY, VERY_UNSTEADY, is_steady, steadiness

HOOK = [(6, 26), (12, 10), (30, 0), (48, 4), (58, 18), (54, 34), (38, 50), (32, 62), (30, 74)]


def drawn(shape, *strokes, pen=6, ink=40):
    """Return a picture of strokes, each a list of (x, y), with a camera's noise."""
    coverage = papers.ink_of([np.array(stroke, float) for stroke in strokes], shape, pen)
    return papers.noisy(papers.on_paper(coverage, 235, ink), np.random.default_rng(len(strokes)))


def placed(points, width, height, at):
    """Return points of a square of 100 as high and as wide as that, at (x, y)."""
    return np.array(points, float) * (width / 100, height / 100) + at


@pytest.mark.parametrize(
    ("kind", "condition", "number"),
    [
        ("signs", "clean", 9),
        ("signs", "shadow edge", 19),
        ("signs", "perspective", 33),
        ("signs", "noisy", 40),
        ("signs", "shadow edge", 46),
        ("signs", "jpeg", 48),
        ("signs", "perspective", 51),
        ("empty form", "dust", 14),
    ],
)
def test_drawn_signs_and_dust_are_no_digits(kind, condition, number):
    """Hearts, an envelope, stars, faces: the sides of an outline look like a 1 and a 7."""
    assert numcnn.read(pages.make(kind, condition, hands.Generated(), seed=21, number=number).picture).text == ""


def dot(place, right, down):
    """Return a dot beside a place (x, y)."""
    at = np.add(place, (right, down))
    return np.array([at, np.add(at, (0.5, 0))])


@pytest.mark.parametrize(("side", "pen"), [(60, 7), (80, 7), (110, 8), (80, 5)])
def test_a_question_mark_is_no_seven(side, pen):
    hook = placed(HOOK, side, side, (80, 60))
    reads(drawn((240, 260), hook, dot(hook[-1], 0, 0.18 * side), pen=pen), "")
    reads(drawn((240, 260), hook, pen=pen), "7")
    reads(drawn((240, 260), hook, dot(hook[-1], 0.4 * side, 0.18 * side), pen=pen), "7")  # dust, or a point


def test_a_seven_in_a_row_of_digits_may_stand_above_a_dot():
    two, seven, four = (papers.strokes_of(label, 70, (left, 50)) for label, left in ((2, 20), (7, 90), (4, 160)))
    reads(drawn((200, 260), *two, *seven, *four, dot(seven[0][-1], 0, 16), pen=6), "274")


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        ((60, 2, 110, 50), True),
        ((60, 2, 75, 50), False),  # slim: a rule between fields
        ((60, 2, 110, 20), False),  # much lower: a signature, a line below
        ((60, 90, 110, 140), False),  # in another line
        ((300, 2, 350, 50), False),  # far away
        ((-10, -8, 40, 58), False),  # around it: a circle
    ],
)
def test_what_stands_level_beside_a_digit_counts(box, counts):
    part = Part(box, np.ones((box[3] - box[1], box[2] - box[0]), bool))
    assert beside([part], spots_of(0.999)) == ([part] if counts else [])


def test_drawings_beside_what_looks_like_a_digit_speak_against_it():
    assert len(without_doubts(spots_of(0.999), 0.78, 1)) == 1  # a drawing beside a number
    assert len(without_doubts(spots_of(0.999), 0.78, 2)) == 0  # a row of drawings
    assert len(without_doubts(spots_of(0.95), 0.78, 1)) == 0
    assert len(without_doubts(spots_of(*[0.999] * 5), 0.78, 2)) == 5
    assert without_doubts([], 0.78, 2) == []


def test_what_can_t_be_read_beside_a_sure_digit_is_a_sign():
    assert len(without_doubts(spots_of(0.999, 0.2), 0.78)) == 1
    assert len(without_doubts(spots_of(0.999, 0.4), 0.78)) == 2


def slim_spot(height, probability=0.999, width=0.2):
    (one,) = spots_of(probability)
    return one._replace(box=(0, 0, round(width * height), height))


def test_slim_strokes_as_small_as_dust_are_specks():
    large = (600, 900, 3)
    small, taller = slim_spot(20), slim_spot(26)  # a hand may write as small as that
    assert without_specks([small, small], large) == []
    assert without_specks([small, taller], large) == [taller]
    assert without_specks([small], (200, 300)) == [small]  # not so small a part of that
    seven = slim_spot(20, width=0.8)._replace(probabilities=np.eye(10, dtype=np.float32)[7])
    assert without_specks([seven, small], large) == [seven, small]
    assert without_specks([seven._replace(probabilities=np.full(10, 0.1, np.float32)), small], large) == []


def strokes_at(*corners, height=60, width=6):
    """Return upright parts and their shares of straight ink; corners: (left, top)."""
    return [Part((x, y, x + width, y + height), np.ones((height, width), bool)) for x, y in corners]


def test_strokes_that_repeat_below_each_other_are_printed():
    column = strokes_at((50, 10), (51, 110), (50, 210))
    assert repeated_strokes(column, np.ones(3)) == {0, 1, 2}
    assert repeated_strokes(column[:2], np.ones(2)) == set()
    assert repeated_strokes(column, np.array([1, 1, 0.7])) == set()  # one is curved
    assert repeated_strokes(strokes_at((50, 10), (58, 110), (50, 210)), np.ones(3)) == set()  # written by hand
    assert repeated_strokes([*column[:2], *strokes_at((50, 210), height=66)], np.ones(3)) == set()


def unsure(certain, views):
    """Return a spot whose answer has this certainty, and a judge whose answers to views of it have that one, or None:
    another label."""

    def of(label, least):
        chances = np.full(10, (1 - least) / 9) ** 3
        chances[label] = least**3
        return (chances / chances.sum()).astype(np.float32)

    image = np.zeros((28, 28), np.uint8)
    image[4:24, 10:18] = 255
    spot = Spot((0, 0, 30, 60), image, of(4, certain), 0)
    return spot, lambda images: np.tile(of(7, 0.9) if views is None else of(4, views), (len(images), 1))


@pytest.mark.parametrize(
    ("certain", "views", "steady"),
    [
        (0.3, UNSTEADY + 0.02, True),
        (0.3, UNSTEADY - 0.02, False),
        (0.45, UNSTEADY - 0.02, True),
        (0.45, VERY_UNSTEADY - 0.02, False),
        (0.45, None, False),
        (0.6, None, True),
    ],
)
def test_an_unsure_answer_counts_if_it_holds_in_most_views(certain, views, steady):
    assert is_steady(*unsure(certain, views)) == steady


def test_the_views_of_a_digit_differ():
    seen = []

    def judge(images):
        seen.extend(images)
        return np.tile(np.eye(10, dtype=np.float32)[1], (len(images), 1))

    spot, _ = unsure(0.3, 0.3)
    assert steadiness(spot, judge) == 0
    assert len({image.tobytes() for image in seen}) == len(seen) == 10
    assert all(image.sum() > 0.5 * spot.image.sum() for image in seen)


@pytest.mark.parametrize("text", ["1", "111", "7"])
@pytest.mark.parametrize(("ground", "ink"), [(110, 230), (90, 180), (150, 240)])
def test_light_strokes_on_a_grey_ground_are_read(text, ground, ink):
    """The grey is no dark ground, so that dark ink is looked for first."""
    rng = np.random.default_rng(ground)
    reads(papers.noisy(papers.on_paper(papers.row(text, 80, (300, 400), rng, pen=7), ground, ink), rng), text)


@pytest.mark.parametrize("side", [110, 200])
def test_a_light_one_on_a_dark_sticker_is_read(side):
    rng = np.random.default_rng(side)
    picture = np.full((600, 800), 235.0)
    picture[200 : 200 + side, 300 : 300 + side] = 50
    one = papers.ink_of(papers.strokes_of(1, 70, (285 + side / 2, 165 + side / 2)), picture.shape, 7)
    reads(papers.noisy(picture + (230 - picture) * one, rng), "1")


@pytest.mark.parametrize("number", [13, 18, 20, 26, 38, 39])
def test_the_paper_between_a_face_s_hair_is_no_one(number):
    rng, size = np.random.default_rng(number), 110 + 12 * (number % 5)
    angle = np.linspace(0, 2 * np.pi, 60)
    oval = np.stack([np.cos(angle), 1.2 * np.sin(angle)], axis=1)
    strokes = [oval, (-0.35, -0.35) + 0.08 * oval, (0.35, -0.35) + 0.08 * oval]
    for x in np.linspace(-0.6, 0.6, int(rng.integers(7, 13))):
        root = np.array([x, -1.2 * np.sqrt(1 - x * x)])
        strokes.append(np.array([root, root + rng.uniform((-0.15, -0.45), (0.15, -0.2))]))
    assert (
        numcnn.read(drawn((520, 500), *((250, 270) + size * each for each in strokes), pen=4 + number % 5)).text == ""
    )
