"""Touching digits: seams cross little ink, pairs are cut, and wide digits and letters are not."""

import numpy as np
import papers
import pytest
from PIL import Image

import numcnn
from numcnn.data import hands, pages
from numcnn.imaging.parts import Part
from numcnn.imaging.pieces import find_pieces
from numcnn.recognition import touching
from numcnn.recognition.arbiter import worth, worth_apart
from numcnn.recognition.glance import glance
from numcnn.recognition.touching import may_be_several, seams


def side_by_side(text, gap, height=90, pen=8):
    """Draw digits whose middle lines are this many heights apart -> (H,W) uint8."""
    rng = np.random.default_rng(len(text))
    picture = papers.on_paper(papers.row(text, height, (160, 100 * len(text) + 60), rng, pen, gap=gap))
    return papers.noisy(picture, rng)


@pytest.mark.parametrize("text", ["37", "20", "64", "853", "09", "58", "92", "4051", "3650", "78"])
def test_digits_that_touch_are_read(text):
    found = numcnn.read(side_by_side(text, 0.02))
    assert found.text == text


def test_drawings_that_enclose_paper_are_not_cut_through_it():
    assert numcnn.read(pages.make("signs", "clean", hands.Generated(), seed=1, number=13).picture).text == ""


def test_a_seam_crosses_a_hole_if_much_of_it_runs_there():
    mask = np.ones((100, 90), bool)
    mask[:, 40:60] = False
    mask[[0, -1]] = True
    sides = [np.zeros(100, np.intp), np.full(100, 92)]  # seams of shrunk parts may end beyond
    assert touching._crosses_hole(mask, [np.full(100, 50)])
    assert not touching._crosses_hole(mask, [*sides, np.full(100, 20)])
    mask[0, 40:60] = False  # open above: no hole
    assert not touching._crosses_hole(mask, [np.full(100, 50)])


@pytest.mark.parametrize("number", [36, 37])
def test_a_row_whose_strokes_run_into_each_other_is_read(number):
    sheet = pages.make("row", "touching digits", hands.Generated(), seed=1, number=number)
    found = numcnn.read(sheet.picture)
    assert found.text == sheet.text


def test_digits_share_half_a_stroke_freely_and_more_at_a_cost():
    """A ring cut in two looks like a 6 and a 7, both likely, if either may have all of a stroke."""
    mask = np.zeros((100, 90), bool)
    mask[:, :10] = mask[:, 40:50] = mask[:, 80:] = True
    cuts = [np.full(100, column) for column in (0, 40, 44, 50, 90)]
    costs = touching._shared(Part((0, 0, 90, 100), mask), cuts)
    assert costs[1, 1] == costs[1, 2] == 0
    assert costs[1, 3] == touching.SHARED_COST / 2
    assert np.isinf(costs[1, 4])
    total, way = touching._best_way({(0, 3): -0.1, (1, 4): -0.1}, costs)
    assert way == [(0, 3), (1, 4)]
    assert total == pytest.approx(-0.2 - touching.CUT_COST - costs[1, 3])


@pytest.mark.parametrize("together", [1_000_000, 2_000])
def test_what_lies_between_two_cuts_is_that_ink_without_crumbs(together, monkeypatch):
    monkeypatch.setattr(touching, "MOST_PIXELS", together)  # all at once, or a few at a time
    rng = np.random.default_rng(0)
    mask = rng.random((30, 50)) < 0.3
    ends = np.sort(rng.integers(0, 51, 6)).tolist()
    columns = [np.zeros(30, int), *(np.clip(rng.integers(-4, 5, 30) + end, 0, 50) for end in ends), np.full(30, 50)]
    found = touching._segments(Part((7, 9, 57, 39), mask), columns)
    count = 0
    for i in range(8):
        for j in range(i + 1, 8):
            between = (np.arange(50) >= columns[i][:, None]) & (np.arange(50) < columns[j][:, None]) & mask
            pieces = find_pieces(between)
            kept = np.flatnonzero(pieces.areas >= touching.CRUMB * between.sum())
            whole = pieces.mask(kept, (0, 0, 50, 30))
            rows, across = np.flatnonzero(whole.any(axis=1)), np.flatnonzero(whole.any(axis=0))
            height, width = (np.ptp(each) + 1 if len(each) else 0 for each in (rows, across))
            wide = np.median(columns[j] - columns[i]) > (1.3 + 2 * 0.2) * 30
            if (i, j) == (0, 7) or wide or height < 0.65 * 30 or not 0.08 * 30 <= width <= 1.3 * 30:
                assert (i, j) not in found
                continue
            count += 1
            left, top, right, bottom = across[0], rows[0], across[-1] + 1, rows[-1] + 1
            assert found[i, j].box == (7 + left, 9 + top, 7 + right, 9 + bottom)
            np.testing.assert_array_equal(found[i, j].mask, whole[top:bottom, left:right])
    assert count == len(found) > 5


def test_what_is_nothing_but_crumbs_is_no_digit():
    mask = np.zeros((20, 40), bool)
    mask[::4, ::4] = True
    cuts = [np.full(20, column) for column in (0, 20, 40)]
    assert touching._segments(Part((0, 0, 40, 20), mask), cuts) == {}


def test_what_is_as_wide_as_two_digits_is_cut_for_a_try_however_sure_the_network_is():
    """Of 8 and 2 that touch it may see the 2, and be sure."""
    for stretch, plain in ((1.7, True), (2.8, False)):
        strokes = [stroke * (stretch, 1) + (22, 20) for stroke in papers.strokes_of(2, 50)]
        picture = papers.on_paper(papers.ink_of(strokes, (90, 150), 4), 250, 20).astype(np.uint8)
        assert (glance(picture) is not None) == plain
    for width, several in ((155, True), (120, False)):
        part = Part((0, 0, width, 100), np.ones((100, width), bool))
        assert may_be_several(part, 0.996, 0.9) == several


@pytest.mark.parametrize("label", [0, 2, 4, 5, 7])
def test_a_wide_digit_stays_one(label):
    strokes = [stroke * (1.7, 1) + (20, 0) for stroke in papers.strokes_of(label, 100, (20, 30))]
    found = numcnn.read(papers.on_paper(papers.ink_of(strokes, (160, 220), 9)).astype(np.uint8))
    assert found.text == str(label)


@pytest.mark.parametrize("label", [0, 2, 3, 5, 7])
@pytest.mark.parametrize(("aspect", "height", "pen"), [(1.7, 80, 7), (1.9, 60, 4), (1.9, 110, 14)])
def test_a_digit_nearly_twice_as_wide_as_high_is_found_in_a_larger_picture(label, aspect, height, pen):
    strokes = papers.strokes_of(label, height, slant=0.05)
    stretch = (aspect * (height + pen) - pen) / np.ptp(np.concatenate(strokes)[:, 0])
    picture = papers.on_paper(papers.ink_of([s * (stretch, 1) + (90, 70) for s in strokes], (260, 440), pen))
    papers.reads(papers.noisy(picture, np.random.default_rng(0)), str(label))


@pytest.mark.parametrize(("number", "label"), [(12, "8"), (178, "3"), (183, "7"), (212, "4")])
def test_a_stretched_digit_that_looks_like_two_whose_boxes_overlap_stays_one(number, label):
    picture = Image.fromarray(pages.make("digit", "clean", hands.Generated(), seed=3, number=number).picture)
    papers.reads(np.asarray(picture.resize((round(1.6 * picture.width), picture.height))), label)


def test_boxes_of_neighbours_overlap_by_their_columns_at_most():
    first, second, third = (Part((x, 0, x + 30, 50), np.ones((50, 30), bool)) for x in (0, 25, 48))
    assert touching._overlap([first, second, third]) == 7
    assert touching._overlap([first, third]) == touching._overlap([first]) == 0


@pytest.mark.parametrize("text", ["27", "25", "37", "52", "75", "57", "64"])
@pytest.mark.parametrize(("stretch", "height", "pen"), [(1.0, 80, 7), (1.25, 80, 7), (1.5, 110, 14)])
def test_two_touching_digits_as_wide_stay_two(text, stretch, height, pen):
    strokes = papers.row_strokes(text, height, (300, 500), np.random.default_rng(0), gap=0.01, left=0)
    ink = papers.ink_of([stroke * (stretch, 1) + (90, 0) for stroke in strokes], (300, 500), pen)
    papers.reads(papers.noisy(papers.on_paper(ink), np.random.default_rng(0)), text)


@pytest.mark.parametrize(
    ("width", "probability", "several"),
    [(200, 0.9985, False), (200, 0.9975, True), (215, 0.9999, True), (130, 0.995, False)],
)
def test_the_wider_a_part_the_surer_the_network_must_be(width, probability, several):
    part = Part((0, 0, width, 100), np.ones((100, width), bool))
    assert may_be_several(part, probability, 0.9) == several


def test_a_seam_goes_between_two_strokes_that_lean_over_each_other():
    mask = papers.ink_of([np.array([(10, 90), (40, 10)]), np.array([(30, 90), (60, 10)])], (100, 70), 5) > 0.5
    best = min(seams(mask)[1:-1], key=lambda seam: abs(seam.mean() - 35))
    left = np.arange(70) < best[:, None]
    assert not mask[np.arange(100), best].any()
    assert 0.4 < mask[left].sum() / mask.sum() < 0.6


def test_seams_are_ordered_and_the_sides_are_the_first_and_the_last():
    mask = papers.row("36", 90, (100, 160), np.random.default_rng(0), 8, gap=0.0) > 0.5
    found = seams(mask)
    assert (found[0] == 0).all()
    assert (found[-1] == 160).all()
    middles = [seam.mean() for seam in found]
    assert middles == sorted(middles)
    assert all(len(seam) == 100 for seam in found)


def test_worth_prefers_sure_and_narrow_digits():
    probabilities = np.full((3, 10), 0.001, np.float32)
    probabilities[:, 3] = (0.99, 0.7, 0.99)
    values = worth(probabilities, np.array([0.6, 0.6, 1.6]))
    assert values[0] > values[2] > values[1]


def test_a_digit_that_the_network_is_certain_of_is_worth_as_much_as_none_and_two_as_much_as_one():
    rest = np.full((3, 10), 1e-6, np.float32)
    rest[0, 4] = 1 - 9e-6
    rest[1:, 4], rest[1:, 9] = 0.9, 0.1
    values = worth_apart(rest, np.array([0.6, 0.6, 1.6], np.float32))
    assert values[0] == 0 > values[1] > values[2]
