"""The lines of frames, combs and tables are found, digits are not, and strokes across a line stay."""

import numpy as np
import papers
import pytest

from numcnn.imaging import raster
from numcnn.imaging.frame_lines import frame_lines

LEAST = 25


def printed(lines, shape=(160, 200), pen=3.0):
    """Return the strength of ink of printed lines (x, y, x, y), (H,W) uint8."""
    strokes = [np.array([(x, y), (u, v)], float) for x, y, u, v in lines]
    return (200 * raster.draw(strokes, shape, pen)).round().astype(np.uint8)


def box(left, top, right, bottom):
    return [
        (left, top, right, top),
        (right, top, right, bottom),
        (left, bottom, right, bottom),
        (left, top, left, bottom),
    ]


def turned(lines, degrees, middle=(100, 80)):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    points = (np.array(lines, float).reshape(-1, 2) - middle) @ np.array([(cos, sin), (-sin, cos)]) + middle
    return points.reshape(-1, 4).tolist()


def broken(lines):
    """Cut a gap of a quarter into each line."""
    found = []
    for x, y, u, v in lines:
        found += [(x, y, x + 0.3 * (u - x), y + 0.3 * (v - y)), (x + 0.5 * (u - x), y + 0.5 * (v - y), u, v)]
    return found


FRAME = box(40, 25, 150, 135)
COMB = [(20, 130, 180, 130), *((x, 90, x, 130) for x in (20, 60, 100, 140, 180))]
TABLE = [*((20, y, 180, y) for y in (20, 60, 100, 140)), *((x, 20, x, 140) for x in (20, 80, 130, 180))]
KINDS = {
    "frame": FRAME,
    "turned": turned(FRAME, 4),
    "broken": broken(FRAME),
    "two frames side by side": [*box(20, 30, 90, 120), *box(98, 30, 170, 120)],
    "comb": COMB,
    "comb with short ticks": [(20, 130, 180, 130), *((x, 115, x, 130) for x in (20, 60, 100, 140, 180))],
    "table": TABLE,
    "cut by the edge": [(0, 30, 150, 30), (150, 30, 150, 160)],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pen", [1.5, 4.0])
def test_nothing_is_left_of_printed_lines(kind, pen):
    strength = printed(KINDS[kind], pen=pen)
    gone = frame_lines(strength, LEAST)
    left = (strength >= LEAST) & ~gone
    assert left.sum() <= 0.03 * (strength >= LEAST).sum()


@pytest.mark.parametrize("label", range(10))
@pytest.mark.parametrize("pen", [4, 9])
def test_digits_are_no_frames(label, pen):
    coverage = papers.ink_of(papers.strokes_of(label, 110, (60, 25)), (160, 200), pen)
    assert not frame_lines((220 * coverage).astype(np.uint8), LEAST).any()


def test_a_row_of_digits_is_no_comb():
    for text in ("1111", "7171", "4444", "0000"):
        coverage = papers.row(text, 70, (110, 320), np.random.default_rng(0), 5)
        assert not frame_lines((220 * coverage).astype(np.uint8), LEAST).any()


def test_a_stroke_across_a_line_stays_whole():
    stroke = (220 * raster.draw([np.array([(60.0, 60.0), (110.0, 155.0)])], (160, 200), 8)).astype(np.uint8)
    strength = np.maximum(printed(FRAME), stroke)
    left = (strength >= LEAST) & ~frame_lines(strength, LEAST)
    assert left[stroke > 100].mean() > 0.99
    assert (left & (stroke == 0)).sum() <= 30


def test_a_digit_that_reaches_from_side_to_side_stays():
    stroke = (220 * raster.draw([np.array([(95.0, 31.0), (95.0, 129.0)])], (160, 200), 9)).astype(np.uint8)
    strength = np.maximum(printed(FRAME), stroke)
    left = (strength >= LEAST) & ~frame_lines(strength, LEAST)
    assert left[stroke > 100].mean() > 0.9


def test_darker_ink_along_a_faint_line_stays():
    stroke = (220 * raster.draw([np.array([(60.0, 135.0), (120.0, 135.0)])], (160, 200), 3)).astype(np.uint8)
    strength = np.maximum(printed(FRAME) // 3, stroke)
    left = (strength >= LEAST) & ~frame_lines(strength, LEAST)
    assert left[stroke > 150].all()


@pytest.mark.parametrize("pen", [3.0, 6.0])  # of the stroke
@pytest.mark.parametrize(("x", "inwards"), [(20, 1), (180, -1)])
def test_a_stroke_that_continues_a_combs_last_tick_stays_and_the_comb_goes(x, inwards, pen):
    """Found as one long line, it equals no other tick, and without this one nothing holds the comb's foot."""
    comb = printed([(20, 130, 180, 130), (20, 90, 20, 130), (100, 90, 100, 130), (180, 90, 180, 130)])
    arc = np.array([(x + inwards * by, y) for by, y in ((32, 30), (4, 60), (-4, 85), (6, 100))], float)
    stroke = (200 * raster.draw([arc], comb.shape, pen)).round().astype(np.uint8)
    gone = frame_lines(np.maximum(comb, stroke), LEAST)
    assert gone[(comb >= LEAST) & (stroke == 0)].mean() > 0.97
    assert not gone[:85].any()


def test_two_stems_that_are_not_parallel_are_no_comb():
    """As those of a 9 and a 7 whose bar touches both."""
    table = printed(box(10, 10, 190, 150), pen=2)
    strokes = [[(86, 66), (128, 67)], [(128, 67), (122, 118)], [(87, 68), (86, 118)]]
    written = (200 * raster.draw([np.array(one, float) for one in strokes], table.shape, 3)).round().astype(np.uint8)
    gone = frame_lines(np.maximum(table, written), LEAST)
    assert gone[table >= LEAST].all()
    assert not gone[(written >= LEAST) & (table == 0)].any()


def test_ones_that_stand_on_a_combs_foot_stay_if_they_are_darker_and_thicker_than_the_comb():
    """Among ticks as tall as they are: a stronger line is printed only if it isn't thicker, too."""
    comb = np.zeros((120, 200), np.uint8)
    for line in [(24, 85, 136, 85), *((x, 37, x, 85) for x in (24, 61, 97, 136))]:
        stroke = raster.draw([np.array(line, float).reshape(2, 2)], comb.shape, 3.6)
        comb = np.maximum(comb, (145 * stroke).round().astype(np.uint8))
    ones = [np.array([(x + 2, 37), (x, 85)], float) for x in (43, 80)]
    written = (195 * raster.draw(ones, comb.shape, 4.6)).round().astype(np.uint8)
    gone = frame_lines(np.maximum(comb, written), LEAST)
    assert gone[(comb >= LEAST) & (written == 0)].mean() > 0.9
    assert gone[(written > 190) & (comb == 0)].mean() < 0.1


def test_a_short_thick_stroke_beside_a_comb_holds_none_of_its_ticks():
    """As a 4's bar, which may end near the end of a tick."""
    comb = printed([(25, 67, 98, 67), *((x, 50, x, 67) for x in (25, 61, 98))])
    bar = (200 * raster.draw([np.array([(34, 51), (54, 52)], float)], comb.shape, 6)).round().astype(np.uint8)
    gone = frame_lines(np.maximum(comb, bar), LEAST)
    assert gone[(comb >= LEAST) & (bar == 0)].mean() > 0.97
    assert not gone[(bar >= LEAST) & (comb == 0)].any()


@pytest.mark.parametrize("strength", [210, 233])
def test_a_line_on_whole_pixels_is_as_printed_as_those_between_two(strength):
    """It is up to twice as strong, and goes whole."""
    picture = np.zeros((160, 200), np.uint8)
    for at in (20, 60, 140):
        picture[at, 20:182], picture[at + 1, 20:182] = 177, 63
    for at in (20, 80, 130, 180):
        picture[20:142, at : at + 2] = np.maximum(picture[20:142, at : at + 2], (63, 177))
    picture[100, 20:182] = strength
    assert frame_lines(picture, 10)[picture >= 10].all()


def test_small_and_empty_pictures_have_no_frames():
    assert not frame_lines(np.zeros((100, 100), np.uint8), LEAST).any()
    assert not frame_lines(printed(box(2, 2, 20, 20), (24, 24), 1), LEAST).any()
