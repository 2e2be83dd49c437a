"""Desks, forms and careless hands: what is left of printed lines and streaks isn't read; digits like it are."""

import numpy as np
import papers
import pytest
from papers import reads
from PIL import Image, ImageDraw, ImageFont

from numcnn.data import generated
from numcnn.imaging import raster
from numcnn.imaging.parts import Part, parts_of, straight_share
from numcnn.imaging.sheet import lay_out
from numcnn.recognition.clutter import is_one_of_many, without_edges
from numcnn.recognition.evidence import crossed_out, faint_ones, printed_strokes
from numcnn.recognition.frames import rests_of_rules, take_rules_out
from numcnn.recognition.joining import completed
from numcnn.recognition.spots import Spot

# digits in pieces


def broken_five(pen, bar, lift, shape=(240, 280)):
    """Draw a 5 whose bar is as thick as a blot and stands a little off its short stem -> coverage."""
    turn = np.linspace(-0.62 * np.pi, 0.75 * np.pi, 30)
    bowl = np.stack([112 + 28 * np.cos(turn), 130 + 30 * np.sin(turn)], axis=1)
    body = np.concatenate([[(bowl[0, 0] + 2, bowl[0, 1] - 10)], bowl])
    left, top = body[0] + (pen / 2 + bar / 2 + 3 + lift, -10)
    ink = papers.ink_of([body], shape, pen)
    return np.maximum(ink, papers.ink_of([np.array([(left, top), (left + 0.55 * bar, top - 2)])], shape, bar))


@pytest.mark.parametrize(("pen", "bar", "lift"), [(8, 18, 2.4), (12, 18, 2.4), (12, 24, 2.4), (8, 24, 6), (12, 30, 6)])
def test_a_thick_bar_apart_comes_to_its_five(pen, bar, lift):
    reads(papers.noisy(papers.on_paper(broken_five(pen, bar, lift)), np.random.default_rng(0)), "5")


@pytest.mark.parametrize(("label", "seed"), [(3, 11), (3, 22), (5, 13), (5, 15), (5, 24)])
@pytest.mark.parametrize("gap", [4, 7])
def test_the_lower_end_of_a_broken_digit_comes_to_its_upper_part(label, seed, gap):
    rng = np.random.default_rng([label, seed])
    strokes = generated.digit_strokes(label, rng)
    points = np.concatenate(strokes)
    low, height = points.min(axis=0), np.ptp(points[:, 1])
    strokes = [100 * (stroke - low) / height + (90, 60) for stroke in strokes]
    ink = papers.ink_of(strokes, (220, 280), rng.uniform(6, 11))
    y, x = np.mgrid[:220, :280]
    angle, at = rng.uniform(-0.6, 0.6), rng.uniform(0.45, 0.85)
    ink[np.abs((y - 60 - 100 * at) * np.cos(angle) + (x - 120) * np.sin(angle)) < gap / 2] = 0
    reads(papers.noisy(papers.on_paper(ink), rng), str(label))


def wide_is_sure(images):
    """Find all ink unsure but for what is wide, so that all that may be joined is."""
    wide = (images > 0).any(axis=1).sum(axis=1) > 9
    return (np.where(wide, 0.95, 0.3)[:, None] * np.eye(10)[[3] * len(images)]).astype(np.float32)


def bars(*widths, gap=3):
    """Return a sheet with bars side by side, and these as parts."""
    picture, parts, left = np.full((60, 120), 255, np.uint8), [], 10
    for width in widths:
        picture[10:50, left : left + width] = 0
        parts.append(Part((left, 10, left + width, 50), np.ones((40, width), bool)))
        left += width + gap
    return lay_out(picture), parts


@pytest.mark.parametrize(("widths", "rest"), [((10, 10, 10), None), ((16, 8, 16), 1)])
def test_what_comes_to_digits_is_in_one_of_them(widths, rest):
    """Three unsure digits in a row; and a bar between two."""
    sheet, parts = bars(*widths)
    found = completed(sheet, [(part, 0) for k, part in enumerate(parts) if k != rest], parts, wide_is_sure, 0.78)
    together = sum(digit.within(0, 0, (60, 120)).astype(int) for digit, _ in found)
    assert together.max() == 1, "some ink is in two digits"
    assert together.sum() == sum(part.mask.sum() for part in parts), "some ink is lost"


@pytest.mark.parametrize("lines", [False, True])
def test_a_digit_that_has_become_sure_gets_no_other_where_lines_were_erased(lines):
    sheet, parts = bars(10, 10, 10)
    sheet.erased[0, 0] = lines
    found = completed(sheet, [(part, 0) for part in parts], parts, wide_is_sure, 0.78)
    assert [digit.width for digit, _ in found] == ([23, 10] if lines else [36])


def test_digits_that_were_cut_apart_stay_so_also_where_each_has_a_bit_of_its_own():
    sheet, (left, right) = bars(10, 10, gap=0)
    left.mask[3:6], left.mask[:6, 5:] = False, False
    right.mask[3:6], right.mask[:6, :5] = False, False
    assert len(completed(sheet, [(left, 0), (right, 0)], [left, right], wide_is_sure, 0.78)) == 2


@pytest.mark.parametrize(("tone", "dark"), [(110, 60), (90, 40), (60, 40)])
@pytest.mark.parametrize("off", [0.5, 2])
def test_steep_ones_from_rule_to_rule_are_no_pair_of_lines(tone, dark, off):
    rng = np.random.default_rng([tone, 2])
    rules = [np.array([(20.0, y), (500, y)]) for y in (66.5 - off, 143.5 + off)]
    strokes = [*papers.strokes_of(3, 60, (60, 74)), *papers.strokes_of(5, 60, (340, 74))]
    strokes += [np.array([(x + 2, 70.0), (x, 140)]) for x in (180, 260)]
    picture = papers.on_paper(raster.draw(rules, (230, 520), 2), 240, tone)
    reads(papers.noisy(picture + (dark - picture) * papers.ink_of(strokes, (230, 520), 4.4), rng), "3115")


@pytest.mark.parametrize("gap", [3, 4, 5])
@pytest.mark.parametrize("text", ["10", "17", "61", "371", "54"])
def test_digits_right_beside_each_other_stay_several(text, gap):
    rng = np.random.default_rng(gap)
    height, pen = 80, 6
    strokes = papers.row_strokes(text, height, (160, 300), rng, gap=(pen + gap) / height, left=40)
    reads(papers.noisy(papers.on_paper(papers.ink_of(strokes, (160, 300), pen)), rng), text)


@pytest.mark.parametrize("text", ["38701", "65698", "2045", "237"])
def test_strokes_that_rough_paper_cuts_to_pieces_are_joined(text):
    """A pencil's grain: gaps of a pixel or two all along its strokes."""
    rng = np.random.default_rng(len(text))
    ink = papers.row(text, 60, (120, 60 * len(text) + 60), rng, 3)
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
    ink[(0.7 * y + 1.1 * x) % 9 < 2] = 0
    reads(papers.noisy(papers.on_paper(ink, 245, 170), rng), text)


@pytest.mark.parametrize("size", [16, 20, 24])
def test_digits_a_pixel_or_two_apart_are_no_grain(size):
    image = Image.new("L", (300, 120), 250)
    for top, line in ((20, "4096318"), (70, "7250834")):
        ImageDraw.Draw(image).text((30, top), line, 10, ImageFont.load_default(size))
    sheet = lay_out(np.asarray(image))
    assert len(sheet.pieces) >= 14


# forms


def boxes(text, apart, turn, width, tone):
    """Draw digits in boxes of their own that stand apart by a hair, turned by some degrees -> (H,W) uint8."""
    rng = np.random.default_rng(0)
    strokes, lines = [], []
    for k, sign in enumerate(text):
        strokes += papers.strokes_of(int(sign), 56, (52 + 80 * k + rng.uniform(-5, 5), 50 + rng.uniform(-5, 5)))
        left, right = 30 + 80 * k + apart / 2, 110 + 80 * k - apart / 2
        corners = [(left, 30), (right, 30), (right, 118), (left, 118), (left, 30)]
        lines += [np.array(corners[i : i + 2], float) for i in range(4)]
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = [[(stroke - (150, 75)) @ rotation + (150, 75) for stroke in each] for each in (lines, strokes)]
    shape = (150, 60 + 80 * len(text))
    picture = papers.on_paper(raster.draw(turned[0], shape, width), 245, tone)
    return papers.noisy(picture + (40 - picture) * papers.ink_of(turned[1], shape, 5), rng)


@pytest.mark.parametrize("text", ["1171", "3141"])
@pytest.mark.parametrize(
    ("apart", "turn", "width", "tone"), [(2, 2, 1.3, 150), (2, 3, 1.3, 150), (3, 0, 2, 90), (3, 2, 2, 90)]
)
def test_uprights_of_boxes_a_hair_apart_are_no_ones(text, apart, turn, width, tone):
    reads(boxes(text, apart, turn, width, tone), text)


def comb(text, *, width, tone, shift=0.0, pen=5.0):
    """Draw digits over a comb, some cells empty; shift: how far off the middle of their cells -> (H,W) uint8."""
    rng = np.random.default_rng(0)
    count = len(text) + 2
    shape = (150, 60 + 50 * count)
    lines = [np.array([(30.0, 110), (30 + 50 * count, 110)])]
    lines += [np.array([(30.0 + 50 * k, 76), (30 + 50 * k, 110)]) for k in range(count + 1)]
    strokes = []
    for k, sign in enumerate(text):
        own = papers.strokes_of(int(sign), 56, (0, 0))
        left = 30 + 50 * (k + 0.5 + shift) - np.concatenate(own)[:, 0].max() / 2
        strokes += [np.array([left, 46 + rng.uniform(-3, 3)]) + stroke for stroke in own]
    picture = papers.on_paper(raster.draw(lines, shape, width), 245, tone)
    return papers.noisy(picture + (35 - picture) * papers.ink_of(strokes, shape, pen), rng)


@pytest.mark.parametrize(
    ("text", "width", "tone", "shift", "pen"),
    [
        ("62048", 2, 90, 0, 3),
        ("62048", 3, 60, 0.2, 5),
        ("27252", 3, 60, 0, 5),
        ("27252", 1.5, 150, 0, 3),
        ("3141", 3, 60, 0.2, 3),
    ],
)
def test_a_tick_of_a_comb_that_a_digit_cuts_short_is_no_one(text, width, tone, shift, pen):
    reads(comb(text, width=width, tone=tone, shift=shift, pen=pen), text)


@pytest.mark.parametrize("text", ["3141", "11715"])
@pytest.mark.parametrize(("width", "tone", "pen"), [(3, 60, 3), (2, 90, 5), (2, 90, 7), (1.5, 150, 3), (1.5, 150, 7)])
def test_ones_that_stand_on_a_comb_s_base_line_are_read(text, width, tone, pen):
    """They are about as high as each other, as ticks are, but thicker, darker or slanted."""
    reads(comb(text, width=width, tone=tone, shift=0.4, pen=pen), text)


@pytest.mark.parametrize("gap", [6, 8, 12])
@pytest.mark.parametrize("tint", [190, 205])
@pytest.mark.parametrize("text", ["11715", "3141"])
def test_the_tinted_gap_between_two_white_fields_is_no_one(text, tint, gap):
    rng = np.random.default_rng(gap)
    picture = np.full((170, 60 + 80 * len(text)), float(tint))
    strokes = []
    for k, sign in enumerate(text):
        picture[40:128, 30 + 80 * k + gap // 2 : 110 + 80 * k - gap // 2] = 245
        strokes += papers.strokes_of(int(sign), 56, (52 + 80 * k + rng.uniform(-4, 4), 54 + rng.uniform(-4, 4)))
    reads(papers.noisy(picture + (40 - picture) * papers.ink_of(strokes, picture.shape, 5), rng), text)


@pytest.mark.parametrize("text", ["1", "11", "1411"])
@pytest.mark.parametrize(("gap", "pen"), [(2, 8), (4, 5), (4, 10)])
def test_ones_nearly_from_one_thick_bar_to_the_next_are_read(text, gap, pen):
    """Beyond their ends it is as dark as they are, but there is paper between."""
    rng = np.random.default_rng(0)
    shape = (200, 120 * len(text) + 80)
    ink = papers.row(text, 90, shape, rng, pen, top=50, gap=0.5)
    rows = np.flatnonzero(ink.any(axis=1))
    picture = papers.on_paper(ink, 240, 40)
    for top in (rows[0] - gap - 14, rows[-1] + 1 + gap):
        picture[top : top + 14] = 60
    reads(papers.noisy(picture, rng), text)


def upright(left, top=20, height=40, width=4):
    return Part((left, top, left + width, top + height), np.ones((height, width), bool))


def written(text, height=40, pen=4.0, shape=(100, 400)):
    """Return the parts of digits in a row."""
    ink = papers.row(text, height, shape, np.random.default_rng(0), pen)
    return parts_of(lay_out(papers.on_paper(ink).astype(np.uint8)))


def test_printed_ticks_don_t_take_handwriting_as_wide_with_them():
    digits = written("35826")
    ticks = [upright(500 + 30 * k) for k in range(8)]
    parts = [*digits, *ticks]
    found = printed_strokes(parts, np.array([straight_share(part.mask) for part in parts]))
    assert found == set(range(len(digits), len(digits) + 8))


def test_a_certain_digit_keeps_its_strokes_where_streaks_make_digits_look_low():
    rng = np.random.default_rng(0)
    strokes = papers.strokes_of(2, 130, (60, 40), slant=0)
    foot = np.array([(60.0, 168), (150, 168)])  # of a 2, as straight as a rule
    streaks = [np.array([(x, y), (x, y + 14.0)]) for x in range(250, 590, 12) for y in (40, 90, 140)]
    ink = np.maximum(papers.ink_of([*strokes, foot], (220, 600), 7), papers.ink_of(streaks, (220, 600), 3))
    sheet = lay_out(papers.noisy(papers.on_paper(ink), rng))
    parts = parts_of(sheet)
    (two,) = [part for part in parts if part.height > 100]
    before = int(two.mask.sum())

    def judge(images):
        return np.tile(np.array([0, 0, 0.995, *7 * [0.005 / 7]], np.float32), (len(images), 1))

    kept, _ = take_rules_out(sheet, parts, judge, 0.78)
    assert max(int(part.mask.sum()) for part in kept) == before

    def less_certain(images):
        return np.tile(np.array([0, 0, 0.95, *7 * [0.05 / 7]], np.float32), (len(images), 1))

    kept, _ = take_rules_out(sheet, parts, less_certain, 0.78)
    assert max(int(part.mask.sum()) for part in kept) < before  # so the streaks do make it look too large


# desks


@pytest.mark.parametrize("text", ["62048", "3152", "2117"])
@pytest.mark.parametrize(("tone", "seed"), [(170, 0), (180, 1), (195, 2)])
def test_streaks_of_a_desk_beside_dark_digits_are_no_ones(text, tone, seed):
    rng = np.random.default_rng(seed)
    shape = (300, 700)
    streaks = [
        np.array([(x, y), (x + rng.uniform(-3, 3), y + rng.uniform(50, 90))])
        for x, y in zip(rng.uniform(30, 670, 8), rng.choice([10, 210], 8), strict=True)
    ]
    picture = papers.on_paper(papers.ink_of(streaks, shape, 6), 225, tone)
    picture += (40 - picture) * papers.row(text, 80, shape, rng, 7, top=105)
    reads(papers.noisy(picture, rng), text)


@pytest.mark.parametrize(
    ("fine", "tone", "pen"),
    [
        pytest.param("1171", 60, 8, id="dark 1s of a finer pen"),
        pytest.param("1131", 170, 8, id="pencil among which a 3 is as faint"),
        pytest.param("171", 110, 8, id="1s not much fainter"),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_ones_beside_a_felt_pen_are_read(fine, tone, pen, seed):
    rng = np.random.default_rng(seed)
    shape = (260, 800)
    thick = papers.row_strokes("58206", 90, shape, rng, top=80, left=40)
    left = np.concatenate(thick)[:, 0].max() + 60
    picture = papers.on_paper(papers.ink_of(thick, shape, 11), 235, 40)
    ink = papers.ink_of(papers.row_strokes(fine, 80, shape, rng, top=85, left=left), shape, pen)
    reads(papers.noisy(picture + (tone - picture) * ink, rng), "58206" + fine)


def test_ones_in_pencil_are_read_however_faint():
    rng = np.random.default_rng(0)
    reads(papers.noisy(papers.on_paper(papers.row("1131", 80, (160, 460), rng, 5), 230, 185), rng), "1131")


def spot(left, probability):
    row = np.full(10, (1 - probability) / 9, np.float32)
    row[3] = probability
    return Spot((left, 200, left + 30, 250), np.zeros((28, 28), np.uint8), row, 0)


@pytest.mark.parametrize(
    ("probability", "away", "many"),
    [
        pytest.param(0.999, 400, False, id="far from a certain digit"),
        pytest.param(0.999, 100, True, id="around it"),
        pytest.param(0.9, 400, True, id="none is certain"),
    ],
)
def test_a_busy_desk_far_from_certain_digits_does_not_speak_against_them(probability, away, many):
    unclear = [upright(330 + away + k, 205) for k in range(30)]
    assert is_one_of_many([spot(260, 0.9), spot(300, probability)], unclear) == many


def test_many_unclear_parts_and_no_digit_are_a_pattern():
    assert is_one_of_many([], [upright(10 * k) for k in range(10)])
    assert not is_one_of_many([], [upright(10 * k) for k in range(9)])


@pytest.mark.parametrize(
    ("probability", "line", "kept"),
    [
        pytest.param(0.999, False, True, id="a fine digit with curves"),
        pytest.param(0.5, False, False, id="not sure"),
        pytest.param(0.999, True, False, id="a straight hair"),
    ],
)
def test_a_fine_digit_beside_a_thick_one_is_no_hair(probability, line, kept):
    shape = (240, 420)
    thick = papers.ink_of(papers.strokes_of(8, 110, (40, 60)), shape, 26)
    fine = [np.array([(300.0, 70), (300, 170)])] if line else papers.strokes_of(3, 90, (280, 70))
    sheet = lay_out(papers.on_paper(np.maximum(thick, papers.ink_of(fine, shape, 2.5))).astype(np.uint8))
    parts = sorted(parts_of(sheet), key=lambda part: part.box[0])
    assert len(parts) == 2
    left, _ = without_edges(sheet, parts, np.array([0.999, probability], np.float32), 0.78)
    assert len(left) == 1 + kept


# crossed out, and grain


def crossed(label, zigzags, pen=4.0):
    """Return the part of a digit that is crossed out so often."""
    across = np.stack([np.linspace(30, 70, 12), np.where(np.arange(12) % 2, 20, 70)], axis=1)
    strokes = [*papers.strokes_of(label, 50, (35, 20)), *(np.array([2 * k, 0]) + across for k in range(zigzags))]
    mask = papers.ink_of(strokes, (100, 120), pen) > 0.5
    top, bottom, left, right = papers.ink_box(mask)
    return Part((left, top, right + 1, bottom + 1), mask[top : bottom + 1, left : right + 1])


@pytest.mark.parametrize("label", [2, 3, 8])
def test_more_ink_than_a_digit_by_the_same_pen_is_crossed_out(label):
    digits = written("35826")
    parts = [*digits, crossed(label, 4)]
    certain = np.array([True] * len(digits) + [False])
    assert crossed_out(parts, certain) == {len(digits)}
    assert crossed_out(parts, np.ones(len(parts), bool)) == set()  # what is certain stays, as by a thicker pen
    assert crossed_out(parts[-2:], certain[-2:]) == set()  # one digit does not tell the pen
    assert crossed_out([*digits, crossed(label, 0)], certain) == set()


@pytest.mark.parametrize(("text", "corners"), [("58206", 8), ("58206", 10), ("942", 8)])
def test_a_crossed_out_digit_takes_no_place(text, corners):
    """However small: looked at in less detail, a scribble 100 pixels high would lose the regions that it encloses."""
    rng = np.random.default_rng(0)
    shape = (200, 110 * len(text) + 60)
    strokes, left = [], 30.0
    for k, sign in enumerate(text):
        own = papers.strokes_of(int(sign), 90, (left, 55))
        right = np.concatenate(own)[:, 0].max()
        strokes += own
        if k == 2:
            heights = np.where(np.arange(corners) % 2, 50, 150) + rng.uniform(-6, 6, corners)
            strokes.append(np.stack([np.linspace(left - 8, right + 8, corners), heights], axis=1))
        left = right + 36
    reads(papers.noisy(papers.on_paper(papers.ink_of(strokes, shape, 10)), rng), text[:2] + text[3:])


@pytest.mark.parametrize("label", [2, 3, 8])
@pytest.mark.parametrize(("height", "amount", "cell"), [(220, 0.3, 1), (220, 0.5, 2), (400, 0.3, 2)])
def test_the_grain_of_a_large_digit_makes_no_tangle(label, height, amount, cell):
    """As of pencil on light paper and chalk on a dark board."""
    rng = np.random.default_rng([label, height])
    side = round(1.8 * height)
    ink = papers.ink_of(papers.strokes_of(label, height, (0.45 * height, 0.4 * height)), (side, side), 0.06 * height)
    grain = rng.normal(0, 1, (side // cell + 1,) * 2).repeat(cell, axis=0).repeat(cell, axis=1)[:side, :side]
    tones = (45, 230) if label == 3 else (235, 70)
    reads(papers.noisy(papers.on_paper(ink * np.clip(0.8 + amount * grain, 0.1, 1), *tones), rng), str(label))


@pytest.mark.parametrize("label", [1, 4, 7, 8, 9])
@pytest.mark.parametrize("right", [0, 4, 8, 12])
def test_a_stroke_along_a_line_of_a_thin_grid_is_no_rule(label, right):
    rng = np.random.default_rng([label, right])
    ink = papers.ink_of(papers.strokes_of(label, 56, (50 + right, 40)), (140, 140), 3)
    reads(papers.noisy(papers.grid(papers.on_paper(ink, 240, 90), rng, 20, 0.86), rng), str(label))


def test_a_stroke_of_which_nothing_but_a_grid_tells_that_it_is_no_rule():
    """All of the line that it lies along has gone with the grid."""
    rng = np.random.default_rng([777, 8, 0])
    strokes = papers.strokes_of(
        8, rng.uniform(50, 70), (rng.uniform(40, 62), rng.uniform(30, 50)), slant=rng.choice([0, 0.1])
    )
    picture = papers.on_paper(papers.ink_of(strokes, (140, 140), 3), 240, 90)
    reads(papers.noisy(papers.grid(picture, rng, 20, rng.uniform(0.8, 0.9)), rng), "8")


@pytest.mark.parametrize(
    ("label", "height", "left", "off"),
    [(0, 75, True, 0), (0, 95, True, 0), (0, 75, False, 0), (0, 95, False, 0), (9, 75, False, 0), (1, 75, True, 3)],
)
def test_a_dark_stroke_along_a_side_of_a_frame_is_not_the_frames(label, height, left, off):
    rng = np.random.default_rng([label, not left])
    strokes = papers.strokes_of(label, height, slant=0)
    points = np.concatenate(strokes)
    at = (60 - points[:, 0].min() if left else 160 - points[:, 0].max()) + off, 85 - height / 2 - points[:, 1].min()
    picture = papers.frame(papers.on_paper(np.zeros((170, 220)), 255), (60, 30, 160, 140), 130, 4)
    picture *= 1 - papers.ink_of([stroke + at for stroke in strokes], (170, 220), 6)
    reads(papers.noisy(picture, rng), str(label))


def line_with_a_rest(tone, rest):
    """Return a sheet with an upright line from edge to edge, erased but for some rows, and what is left of it."""
    picture = np.full((160, 120), 240, np.uint8)
    picture[:, 59:62] = tone
    sheet = lay_out(picture)
    sheet.erased[:] = False
    sheet.erased[:, 58:63] = True
    sheet.erased[rest] = False
    return sheet, [Part((59, rest.start, 62, rest.stop), np.ones((rest.stop - rest.start, 3), bool))]


@pytest.mark.parametrize("rows", [slice(70, 80), slice(70, 84)])
def test_a_short_rest_between_the_ends_of_an_erased_line_is_no_one(rows):
    """Where noise lies on both sides of a line it looks crossed, and stays."""
    sheet, parts = line_with_a_rest(120, rows)
    assert rests_of_rules(sheet, parts) == {0}
    sheet.ink.channels[0][rows, 59:62] = 10
    assert not rests_of_rules(sheet, parts), "darker ink than the line's is written"


def test_a_line_that_ends_at_the_pictures_edge_is_a_rest_of_those_beside_it():
    """Of squared paper's last line, whose lower half alone is strong enough."""
    picture = np.full((160, 120), 240, np.uint8)
    picture[:, 30:33] = picture[:, 90:93] = picture[110:, 60:63] = 190
    sheet = lay_out(picture)
    sheet.erased[:] = False
    sheet.erased[:, 29:34] = sheet.erased[:, 89:94] = True
    bottom, inside = (Part((60, 110, 63, foot), np.ones((foot - 110, 3), bool)) for foot in (160, 150))
    assert rests_of_rules(sheet, [bottom]) == {0}
    assert not rests_of_rules(sheet, [inside])


def test_many_faint_digits_are_writing_only_if_several_stand_in_a_line():
    """Crumbs of JPEG are scattered, though the network may be sure of each."""
    picture = np.full((90, 400), 230, np.uint8)
    for x in range(20, 380, 60):
        picture[30:50, x : x + 8] = 212
    sheet = lay_out(picture)
    parts = [Part((x, 30, x + 8, 50), np.ones((20, 8), bool)) for x in range(20, 380, 60)]
    sure = np.ones(6, bool)
    assert faint_ones(sheet, parts, [0, 0, 0, 1, 1, 1], sure) == set()
    assert faint_ones(sheet, parts, [0, 1, 2, 3, 4, 4], sure) == set(range(6))
