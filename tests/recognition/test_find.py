"""The steps of finding digits, on small pictures, with a judge that is as sure as the test wants."""

from types import SimpleNamespace

import numpy as np
import pytest
from papers import lines

from numcnn.imaging.parts import Part, parts_of
from numcnn.imaging.sheet import lay_out
from numcnn.recognition import find
from numcnn.recognition.find import Found
from numcnn.recognition.spots import Spot
from numcnn.recognition.touching import Cut

SURE = 0.9


def of(label, probability):
    """Return probabilities (10,): that of a label, and the rest evenly."""
    probabilities = np.full(10, (1 - probability) / 9)
    probabilities[label] = probability
    return probabilities


def judging(probability, label=3):
    """Return a judge that is equally sure of all pictures."""
    return lambda images: np.tile(of(label, probability), (len(images), 1))


def spot(box, probability=0.95, **more):
    return Spot(box, np.zeros((28, 28), np.uint8), of(3, probability), more.pop("line", 0), **more)


def part(left, top, width, height):
    return Part((left, top, left + width, top + height), np.ones((height, width), bool))


def ground(*papers_of_channels):
    """Return a sheet of which only its paper is known."""
    shape = papers_of_channels[0].shape
    return SimpleNamespace(clear=np.zeros(shape, bool), ink=SimpleNamespace(papers=list(papers_of_channels)))


# Evidence, patches of another ground


def test_evidence_is_how_far_from_a_half_times_height():
    assert find._evidence([spot((0, 0, 5, 10), 0.9), spot((0, 0, 5, 20), 0.6), spot((0, 0, 5, 30), 0.4)]) == (
        pytest.approx(0.4 * 10 + 0.1 * 20 - 0.1 * 30)
    )


def rows_of(height, which, one, other, turned=False):
    values = np.full((height, height), other, np.uint8)
    values[which] = one
    return values.T if turned else values


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("height", "dark", "has"),
    [
        (100, slice(1, 6), False),  # 5%
        (100, slice(1, 7), True),
        (100, slice(1, 96), False),  # 95%
        (100, slice(1, 95), True),
        (50, slice(1, None, 2), True),  # every pixel counts
        (200, slice(1, None, 2), False),  # of a large picture every second one
        (201, slice(0, None, 2), False),
    ],
)
def test_patches_are_more_than_5_percent_of_the_picture(height, dark, has, turned):
    assert find._has_patches(ground(rows_of(height, dark, 99, 100, turned))) == has


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("height", "light", "stands"),
    [
        (51, [*range(1, 51, 2), 2, 4], True),  # most of all pixels are light
        (51, [*range(1, 51, 2)], False),
        (200, [*range(2, 200, 2)], True),  # most of every second one are light
    ],
)
def test_the_usual_paper_is_the_median(height, light, stands, turned):
    paper = rows_of(height, light, 200, 100, turned)
    paper[-10:, -10:] = 120
    assert find._stands_apart(spot((height - 10, height - 10, height, height)), [], ground(paper), SURE) == stands


@pytest.mark.parametrize(
    ("found", "others", "there", "stands"),
    [
        (spot((40, 40, 45, 49)), [], 139, True),
        (spot((40, 40, 45, 49)), [], 140, False),  # 0.7 of the light
        (spot((40, 40, 45, 49), SURE), [], 100, True),
        (spot((40, 40, 45, 49), 0.89), [], 100, False),
        (spot((40, 40, 45, 49)), [20], 100, True),  # 0.45 as high
        (spot((40, 40, 45, 48)), [20], 100, False),
        (spot((40, 40, 45, 49)), [10, 20, 40], 100, True),
        (spot((10, 0, 15, 20)), [20], 100, False),  # it shares pixels with another digit
    ],
)
def test_a_digit_of_the_other_polarity_stands_apart_on_a_patch(found, others, there, stands):
    paper, (left, top, right, bottom) = np.full((60, 60), 200, np.uint8), found.box
    paper[top:bottom, left:right] = there
    spots = [spot((15 * i, 0, 15 * i + 12, height)) for i, height in enumerate(others)]
    sheet = ground(np.zeros_like(paper), paper)  # of two channels the lighter paper counts
    assert find._stands_apart(found, spots, sheet, SURE) == stands


# The whole picture


def test_the_whole_picture_is_one_digit_of_the_first_line():
    whole = find.whole_picture(lines((60, 80), [(20, 10), (60, 50)]), judging(0.8, 7))
    assert whole.box == (0, 0, 80, 60) and whole.line == 0 and not whole.doubtful
    assert whole.image.shape == (28, 28) and whole.image.max() == 255
    np.testing.assert_array_equal(whole.probabilities, of(7, 0.8))


@pytest.mark.parametrize(
    ("probability", "spots", "is_whole"),
    [
        (0.3, [], True),
        (0.5, [0.5], True),
        (0.49, [0.5], False),
        (0.89, [0.95], False),
        (SURE, [0.95, 0.2], True),
    ],
)
def test_a_small_picture_is_one_digit_if_that_is_sure_or_as_likely_as_any_spot(probability, spots, is_whole):
    picture, found = lines((30, 30), [(5, 5), (25, 25)]), [spot((0, 0, 9, 9), each) for each in spots]
    chosen = find._or_whole(found, picture, judging(probability), SURE)
    assert [one.box for one in chosen] == ([(0, 0, 30, 30)] if is_whole else [one.box for one in found])
    assert find._or_whole(found, np.full((30, 30), 235, np.uint8), judging(probability), SURE) is found


@pytest.mark.parametrize(("side", "whole"), [(40, True), (41, False)])
def test_only_a_picture_of_at_most_40_pixels_is_taken_as_a_whole(side, whole):
    picture = lines((side, side), [(12, 8), (26, 30)], pen=4)
    (found,) = find.find(picture, judging(0.95), SURE).spots
    assert (found.box == (0, 0, side, side)) == whole


@pytest.mark.parametrize(
    ("box", "room"),
    [
        ((20, 10, 60, 50), (16, 6, 64, 54)),
        ((2, 3, 60, 50), (0, 0, 64, 54)),
        ((20, 10, 98, 69), (16, 6, 100, 70)),
    ],
)
def test_all_in_a_box_is_looked_at_with_four_pixels_of_paper(box, room):
    picture = lines((70, 100), [(25, 15), (55, 45)])
    for colours in (picture, np.stack(3 * [picture], axis=-1)):
        (whole,) = find._as_one(box, colours, judging(0.8))
        assert whole.box == room
    assert find._as_one((80, 0, 90, 9), picture, judging(0.8)) == []


# The one digit of a picture that is known to hold one


WIDE, HIGH = (100, 200, 150, 220), (100, 200, 120, 250)


@pytest.mark.parametrize(
    ("digit", "other", "near"),
    [
        (WIDE, part(75, 205, 10, 10), True),  # 15 pixels, 0.3 of 50
        (WIDE, part(74, 205, 10, 10), False),
        (WIDE, part(165, 205, 10, 10), True),
        (WIDE, part(166, 205, 10, 10), False),
        (WIDE, part(110, 175, 10, 10), True),
        (WIDE, part(110, 174, 10, 10), False),
        (WIDE, part(110, 235, 10, 10), True),
        (WIDE, part(110, 236, 10, 10), False),
        (WIDE, part(100, 205, 100, 10), True),  # twice as long
        (WIDE, part(100, 205, 101, 10), False),
        (HIGH, part(75, 205, 10, 10), True),
        (HIGH, part(74, 205, 10, 10), False),
        (HIGH, part(105, 205, 10, 101), False),
        (WIDE, part(0, 0, 10, 10), False),
    ],
)
def test_a_part_belongs_to_a_digit_that_it_is_near(digit, other, near):
    assert find._is_near(other, spot(digit)) == near


def strokes_on(*columns, small=(), tall=()):
    """Return picture, sheet and parts: strokes 60 high at these columns, small and tall ones; the parts by column."""
    strokes = [[(x, 40), (x + 8, 95)] for x in columns] + [[(x, 80), (x + 2, 90)] for x in small]
    picture = lines((140, 300), *strokes, *([(x, 15), (x + 30, 70), (x, 120)] for x in tall))
    sheet = lay_out(picture)
    return picture, sheet, sorted(parts_of(sheet), key=lambda one: one.box[0])


def the_one(columns, spots, judge, with_parts=True, **more):
    """Return what `only_one` finds, and the parts' boxes.  spots: (number of the part, probability)."""
    picture, sheet, parts = strokes_on(*columns, **more)
    found = [spot(parts[k].box, each, line=3, doubtful=True) for k, each in spots]
    one = find.only_one(Found(found, sheet, parts if with_parts else []), picture, judging(judge))
    assert one.line == 0 and not one.doubtful
    return one, [p.box for p in parts]


def united(*boxes):
    boxes = np.array(boxes)
    return (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())


@pytest.mark.parametrize(("judge", "together"), [(0.95, True), (find.WHOLE, True), (0.89, False)])
def test_parts_beside_an_unsure_spot_are_one_digit_if_the_network_is_sure(judge, together):
    one, boxes = the_one((60, 90), [(0, 0.5)], judge)
    assert one.box == (united(*boxes) if together else boxes[0])
    assert one.probability == (judge if together else 0.5)


def test_one_part_is_not_looked_at_again():
    one, boxes = the_one((60,), [(0, 0.5)], 0.99)
    assert one.box == boxes[0] and one.probability == 0.5


@pytest.mark.parametrize("probability", [find.WHOLE, 0.95])
def test_a_likely_spot_takes_only_what_is_near(probability):
    one, boxes = the_one((60, 200), [(0, probability)], 0.99)
    assert one.box == boxes[0] and one.probability == probability
    one, boxes = the_one((60, 75, 200), [(0, probability)], 0.99)
    assert one.box == united(*boxes[:2]) and one.probability == 0.99
    one, boxes = the_one((60, 200), [(0, 0.89)], 0.99)
    assert one.box == united(*boxes)


def test_of_two_spots_all_parts_count_and_both_together_are_looked_at():
    one, boxes = the_one((60, 90), [(0, 0.95), (1, 0.5)], 0.99, tall=(250,))
    assert one.box == united(*boxes)
    one, boxes = the_one((60, 90), [(0, 0.5), (1, 0.5)], 0.8, with_parts=False)
    left, top, right, bottom = united(*boxes)
    assert one.box == (left - 4, top - 4, right + 4, bottom + 4) and one.probability == 0.8


def test_the_likelier_and_higher_of_two_spots_is_the_one():
    picture, sheet, parts = strokes_on(60, small=(90,))
    spots = [spot(parts[0].box, 0.8), spot(parts[1].box, 0.9)]
    assert find.only_one(Found(spots, sheet, []), picture, judging(0.1)).box == parts[0].box


@pytest.mark.parametrize(("side", "counts"), [(10, True), (9, False)])
def test_dust_is_no_part_of_the_digit(side, counts):
    """What is less than a quarter of the largest part."""
    picture, digit, speck = np.full((140, 200), 235, np.uint8), part(60, 50, 6, 40), part(90, 60, 6, side)
    for left, top, right, bottom in (digit.box, speck.box):
        picture[top:bottom, left:right] = 40
    found = Found([spot(digit.box, 0.5)], lay_out(picture), [digit, speck])
    assert find.only_one(found, picture, judging(0.99)).box == (united(digit.box, speck.box) if counts else digit.box)


def test_a_frame_is_no_part_of_the_digit():
    ring = np.ones((60, 60), bool)
    ring[3:-3, 3:-3] = False
    picture = lines((140, 300), [(60, 40), (68, 95)], [(150, 40), (210, 40), (210, 100), (150, 100), (150, 40)])
    sheet, framed = lay_out(picture), Part((150, 40, 210, 100), ring)
    digit = min(parts_of(sheet), key=lambda one: one.box[0])
    found = Found([spot(digit.box, 0.5)], sheet, [digit, framed])
    assert find.only_one(found, picture, judging(0.99)).box == digit.box


def test_without_spots_the_whole_picture_is_the_one():
    picture, sheet, parts = strokes_on(60)
    assert find.only_one(Found([], sheet, parts), picture, judging(0.2)).box == (0, 0, 300, 140)


# A line of text


def digits_of(line, height, shape=(400, 400), probability=0.99, monkeypatch=None):
    """Return the boxes of a line's digits, and what was cut: (box, alone).  line: (part, its probability)."""
    picture = np.full(shape, 235, np.uint8)
    for one, _ in line:
        left, top, right, bottom = one.box
        picture[top:bottom, left:right][one.mask] = 40
    cut = []

    def cut_apart(sheet, one, judge, whole, alone):
        np.testing.assert_array_equal(whole, of(3, probability))
        cut.append((one.box, alone))
        return Cut([one])

    monkeypatch.setattr(find, "cut_apart", cut_apart)
    monkeypatch.setattr(find, "join", lambda sheet, own, height, judge: [[k] for k in range(len(own))])
    found = find._digits_of_line(lay_out(picture), line, height, judging(probability), SURE)
    return [one.box for one in found], cut


@pytest.mark.parametrize(
    ("beside", "alone"),
    [
        ([(100, SURE)], False),  # one of two is sure
        ([(100, SURE), (100, 0.5)], True),  # one of three
        ([(45, SURE)], False),  # 0.45 of the height
        ([(44, SURE)], True),  # too small to count
        ([(100, SURE), (44, 0.5), (44, 0.5), (44, 0.5)], False),
        (17 * [(100, SURE)] + 32 * [(100, 0.5)], False),  # 0.34
        (16 * [(100, SURE)] + 33 * [(100, 0.5)], True),
        ([], True),
    ],
)
def test_a_part_is_cut_as_one_that_stands_alone_if_few_beside_it_are_sure(monkeypatch, beside, alone):
    wide = part(10, 20, 90, 100)
    line = [(wide, 0.5), *((part(105 + 5 * i, 20, 4, height), p) for i, (height, p) in enumerate(beside))]
    _, cut = digits_of(line, 100, monkeypatch=monkeypatch)
    assert (wide.box, alone) in cut


@pytest.mark.parametrize(
    ("width", "height", "probability", "is_cut"),
    [(60, 45, 0.5, True), (60, 44, 0.5, False), (30, 100, SURE, False), (30, 100, 0.89, True)],
)
def test_what_is_high_enough_and_may_be_several_digits_is_cut(monkeypatch, width, height, probability, is_cut):
    one = part(10, 20, width, height)
    _, cut = digits_of([(one, probability), (part(200, 20, 20, 100), 0.95)], 100, monkeypatch=monkeypatch)
    assert [box for box, _ in cut] == [one.box] * is_cut


def test_the_parts_of_a_line_are_ordered_by_their_middles(monkeypatch):
    parts = [part(0, 100, 100, 20), part(30, 60, 10, 30), part(200, 10, 10, 30), part(150, 40, 60, 20)]
    boxes, _ = digits_of([(one, 0.95) for one in parts], 20, monkeypatch=monkeypatch)
    assert boxes == [parts[k].box for k in (1, 0, 3, 2)]


@pytest.mark.parametrize(("shape", "least"), [((200, 300), 6), ((900, 700), 20)])
def test_the_smallest_digits_are_3_percent_of_the_picture_at_most_20_pixels(monkeypatch, shape, least):
    parts = [part(20, 20, 3, least), part(60, 20, 3, least - 1)]
    boxes, _ = digits_of([(one, 0.95) for one in parts], least, shape, monkeypatch=monkeypatch)
    assert boxes == [parts[0].box]


# Whole pictures


def leaning(picture, tone, left, top=60, height=60, pen=6):
    """Draw a stroke from the upper left to the lower right, in one tone."""
    for row in range(height):
        at = left + round(0.6 * row)
        picture[top + row, at : at + pen] = tone


@pytest.mark.parametrize("shade", [0.5, 0.3])  # a deep one also hides that the last stroke stands clear
@pytest.mark.parametrize(
    ("probability", "sure_from", "count"),
    [(0.99, 0.99, 3), (0.98, 0.98, 2), (0.99, 0.991, 0), (0.985, SURE, 2)],
)
def test_what_is_certain_may_lie_along_a_shadow_s_edge_beside_sure_digits(probability, sure_from, count, shade):
    picture = np.full((180, 300), 230, np.uint8)
    for left in (30, 90, 150):
        leaning(picture, 40, left)
    for row in range(180):  # the shadow begins under the last stroke
        at = max(0, 153 + round(0.6 * (row - 60)))
        picture[row, at:] = (shade * picture[row, at:]).round()
    spots = find.find(picture, judging(probability), sure_from).spots
    boxes = [(30, 60, 71, 120), (90, 60, 131, 120), (150, 60, 191, 120)]
    assert [one.box for one in spots if not one.doubtful] == boxes[:count]


def test_of_a_blank_picture_the_first_polarity_is_shown():
    nothing = find.find(np.full((100, 160), 235, np.uint8), judging(0.95), SURE)
    assert nothing.spots == [] and (nothing.sheet.ink.papers[0] == 235).all()
