"""What surrounds digits: an edge close by, dotted paper, a wooden desk, scribbles, and the ground between strokes."""

import numpy as np
import papers
import pytest
from papers import reads
from PIL import Image, ImageDraw

import numcnn
from numcnn.imaging import paper
from numcnn.imaging.parts import parts_of
from numcnn.imaging.rules import rules_of_the_page
from numcnn.imaging.sheet import lay_out, without_dots
from numcnn.recognition.evidence import is_written, staples

# a staple


def with_stroke(text, corner, lean, length, width, ink=60.0):
    """A row of digits 60 high, and a straight stroke in a corner of the sheet; lean: radians off the upright."""
    rng, shape, height = papers.rng_of(corner, "staple"), (260, 460), 60
    picture = papers.on_paper(papers.row(text, height, shape, rng))
    at = np.array([45 if corner % 2 == 0 else shape[1] - 45, 40 if corner < 2 else shape[0] - 40])
    half = 0.5 * length * height * np.array([np.sin(lean), -np.cos(lean)])
    stroke = papers.ink_of([np.array([at - half, at + half])], shape, width * height)
    return papers.noisy(picture + (ink - picture) * stroke, rng)


@pytest.mark.parametrize("corner", range(4))
@pytest.mark.parametrize(("length", "width"), [(0.4, 0.1), (0.6, 0.06), (0.9, 0.14)])
def test_a_staple_in_a_corner_is_no_digit(corner, length, width):
    for lean in (0.8, 0.95, np.pi / 2, -0.95, -0.6):
        reads(with_stroke("2753", corner, lean, length, width), "2753")


@pytest.mark.parametrize("lean", [-0.1, 0.0, 0.3, 0.5])
def test_a_one_in_a_corner_is_read(lean):
    reads(with_stroke("2753", 3, lean, 0.8, 0.09), "2753\n1")


def test_a_stroke_that_leans_beside_other_digits_or_all_by_itself_is_no_staple():
    part = parts_of(lay_out(with_stroke("", 3, 0.8, 0.8, 0.09), False))[0]
    sheet = lay_out(with_stroke("", 3, 0.8, 0.8, 0.09), False)
    assert staples(sheet, [part] * 3, [0, 1, 2], np.ones(3, bool)) == {0, 1, 2}
    assert staples(sheet, [part] * 3, [0, 0, 0], np.ones(3, bool)) == set()
    assert staples(sheet, [part] * 3, [0, 1, 1], np.zeros(3, bool)) == set()
    assert staples(sheet, [part], [0], np.ones(1, bool)) == set()


# an edge close by


@pytest.mark.parametrize("text", ["84416", "61141", "17492"])
@pytest.mark.parametrize(("height", "margin"), [(64, 22), (64, 34), (90, 14), (150, 24)])
def test_upright_strokes_of_a_row_that_nearly_fills_its_picture_are_no_rules(text, height, margin):
    rng = np.random.default_rng(height)
    shape = (height + 2 * margin, round(height * (0.95 * len(text) + 0.6)))
    reads(papers.noisy(papers.on_paper(papers.row(text, height, shape, rng, 0.1 * height)), rng, 0.5), text)


@pytest.mark.parametrize(("first", "found"), [(0, True), (2, True), (9, False), (16, False)])
def test_a_line_is_a_rule_of_the_page_if_it_begins_and_ends_at_an_edge(first, found):
    strength = np.zeros((130, 200), np.uint8)
    strength[first : 130 - first, 140:144] = 200
    assert rules_of_the_page(strength, 40).any() == found
    assert rules_of_the_page(np.ascontiguousarray(strength.T), 40).any() == found


@pytest.mark.parametrize(
    ("width", "top", "height", "count", "found"),
    [(3, 25, 70, 2, True), (7, 25, 70, 2, True), (3, 3, 114, 2, True), (7, 3, 114, 2, False), (7, 3, 70, 2, False),
     (7, 47, 70, 2, False), (7, 25, 70, 1, False), (3, 25, 70, 1, True)],
)  # fmt: skip
def test_across_a_strip_rules_are_finer_than_strokes_or_several_while_strokes_end_before_its_edges(
    width, top, height, count, found
):
    """A row that is cropped at its ink has strokes from edge to edge, and a 1 may be the only one."""
    strength = np.zeros((120, 400), np.uint8)
    for left in (240, 340)[:count]:
        strength[:, left : left + width] = 200
    strength[(papers.row("25", height, (120, 400), np.random.default_rng(0), 7, top) > 0.5)] = 200
    gone = rules_of_the_page(strength, 40)
    assert gone[:, 240 : 240 + width].all() == found == gone.any()


@pytest.mark.parametrize(("left", "found"), [(0, True), (20, False)])
def test_where_others_ran_across_a_lone_line_is_a_rule_too(left, found):
    strength, erased = np.zeros((120, 400), np.uint8), np.zeros((120, 400), bool)
    strength[papers.row("25", 70, (120, 400), np.random.default_rng(0), 7, 25) > 0.5] = 200
    strength[:, 240:247] = 200
    erased[left : 120 - left, 340:344] = True
    assert rules_of_the_page(strength, 40, erased=erased).any() == found


@pytest.mark.parametrize("pen", [4, 6])
@pytest.mark.parametrize("text", ["4092", "71583"])
def test_lines_as_thick_as_the_pen_between_the_fields_of_a_strip_are_no_ones(text, pen):
    height, cell = 65, 98
    strokes = [s for k, c in enumerate(text) for s in papers.strokes_of(int(c), height, (cell * (k + 0.25), 32))]
    ink = papers.ink_of(strokes, (130, cell * len(text)), pen)
    for k in range(1, len(text)):
        ink[:, cell * k - pen // 2 : cell * k + pen // 2] = 1
    reads(papers.noisy(papers.on_paper(ink), np.random.default_rng(0)), text)


@pytest.mark.parametrize("first", [0, 2, 4])
def test_a_line_of_squared_paper_is_a_rule_where_an_upright_one_lies_at_the_edge(first):
    """The upright one, and what it crosses, is erased before."""
    rng = np.random.default_rng(1)
    picture = papers.on_paper(papers.row("4892", 60, (110, 330), rng, 4))
    grid = np.full(picture.shape, 235.0)
    for x in range(first, 330, 18):
        grid[:, x : x + 2] = 115
    for y in range(9, 110, 18):
        grid[y : y + 2] = 115
    reads(papers.noisy(np.minimum(picture, grid), rng), "4892")


@pytest.mark.parametrize(
    ("pen", "likely", "written"), [(24, False, True), (32, False, False), (32, True, True), (44, True, False)]
)
def test_a_small_zero_by_a_thick_pen_is_written_if_the_network_finds_it_likely(pen, likely, written):
    """Its stroke is a third as wide as it is high; what is thicker is a shade."""
    turn = np.linspace(0, 2 * np.pi, 40)
    half = (96 - pen) / 2
    ring = np.stack([90 + half * np.cos(turn), 90 + half * np.sin(turn)], axis=1)
    sheet = lay_out(papers.noisy(papers.on_paper(papers.ink_of([ring], (180, 180), pen)), np.random.default_rng(0)))
    (part,) = parts_of(sheet)
    assert is_written(sheet, part, likely=likely) == written


@pytest.mark.parametrize("text", ["61146", "2050"])
@pytest.mark.parametrize("margin", [0, 1])
def test_the_first_and_the_last_digit_of_a_row_cropped_at_its_ink_are_read(text, margin):
    shape = (200, 100 * len(text) + 40)
    ink = papers.row(text, 100, shape, np.random.default_rng(0), 7)
    top, bottom, left, right = papers.ink_box(ink > 0.3)
    picture = papers.on_paper(np.pad(ink[top : bottom + 1, left : right + 1], margin))
    reads(papers.noisy(picture, np.random.default_rng(0), 0.5), text)


@pytest.mark.parametrize(
    ("text", "tall", "pen", "seed"),
    [("8069", 3, 0.11, 0), ("8069", 3, 0.11, 1), ("2071", 2.5, 0.13, 1), ("3793", 4, 0.13, 4), ("3793", 4, 0.13, 6)],
)
def test_no_line_of_dark_squared_paper_is_left_that_many_strokes_cross(text, tall, pen, seed):
    """tall: the picture's height in digits; pen: in heights; each digit is more than two squares high."""
    rng, height = np.random.default_rng(seed), 60
    shape = (round(tall * height), round(4.6 * height))
    picture = papers.on_paper(papers.row(text, height, shape, rng, pen * height))
    lines = papers.grid(np.full(shape, 235.0), rng, height / 2.2, 0.5, 2)
    reads(papers.noisy(np.minimum(picture, lines), rng), text)


@pytest.mark.parametrize("text", ["9668", "5180", "7922"])
def test_a_row_cropped_at_its_left_and_right_ends_alone_is_read_whole(text):
    """One stroke of the first and of the last digit lies at an edge; above and below there is room."""
    ink = papers.row(text, 90, (150, 110 * len(text)), np.random.default_rng(3), 8)
    _, _, left, right = papers.ink_box(ink > 0.3)
    reads(papers.noisy(papers.on_paper(ink[:, left : right + 1]), np.random.default_rng(0)), text)


@pytest.mark.parametrize("shown", [0.3, 0.5, 0.65])
def test_the_remains_of_neighbours_at_the_edges_are_not_read(shown):
    """However little of them lies at the edge itself: above and below the row there is room."""
    text, rng = "85032", np.random.default_rng(4)
    strokes = papers.row_strokes(text, 90, (160, 900), rng, left=60, gap=0.3)
    ink = papers.ink_of(strokes, (160, 900), 8)
    columns = np.flatnonzero(np.diff((ink > 0.3).any(axis=0).astype(int), prepend=0))
    (left, right), (left_last, right_last) = columns[:2], columns[-2:]
    cut = slice(round(right - shown * (right - left)), round(left_last + shown * (right_last - left_last)))
    reads(papers.noisy(papers.on_paper(ink[:, cut]), rng), text[1:-1])


# dots and scribbles


@pytest.mark.parametrize("text", ["76071", "392", "5306"])
@pytest.mark.parametrize(("apart", "dot"), [(42, 8), (50, 9)])
def test_the_dots_of_dotted_paper_between_strokes_make_no_face(text, apart, dot):
    rng = np.random.default_rng(apart)
    shape = (280, 140 * len(text) + 60)
    dots = [np.array([(x, y)] * 2, float) for y in range(11, 280, apart) for x in range(9, shape[1], apart)]
    picture = papers.on_paper(papers.ink_of(dots, shape, dot), 252, 170)
    picture += (40 - picture) * papers.row(text, 120, shape, rng, 10)
    reads(papers.noisy(picture, rng, 0.5), text)


def test_round_pieces_of_two_sizes_are_no_dots_and_end_nothing():
    """The median of their sides lies between both."""
    strength = np.full((200, 700), 235, np.uint8)
    for k in range(10):
        strength[40:46, 30 + 60 * k : 36 + 60 * k] = 40
        strength[100:140, 20 + 60 * k : 60 + 60 * k] = 40
    assert not lay_out(strength).erased[40:46].any()


@pytest.mark.parametrize("apart", [190, 220])
def test_round_digits_in_the_fields_of_a_form_are_no_dots(apart):
    """Nearly all of them are round, and as far apart as each other."""
    texts = ["000430", "024440", "200000", "010000", "004000"]
    strokes = [
        stroke
        for row, text in enumerate(texts)
        for column, character in enumerate(text)
        for stroke in papers.strokes_of(int(character), 50, (apart * (column + 0.5), apart * (row + 0.5)))
    ]
    ink = papers.ink_of(strokes, (round(5.5 * apart), round(6.7 * apart)), 13.5)
    reads(papers.noisy(papers.on_paper(ink), np.random.default_rng(50)), "\n".join(texts))


@pytest.mark.parametrize(("height", "found"), [(30, True), (22, False), (0, False)])
def test_dots_are_much_smaller_than_what_else_is_there(height, found):
    """Filled squares of 12 pixels: dots beside strokes of 30, but no dots beside such of 22, or if they are all."""
    picture = np.full((300, 300), 235, np.uint8)
    for y, x in np.ndindex(5, 6):
        picture[20 + 50 * y : 32 + 50 * y, 20 + 45 * x : 32 + 45 * x] = 60
    for x in (47, 92, 137):
        picture[40 : 40 + height, x : x + 5] = 60
    assert without_dots(paper.ink_on_paper(picture, 60))[1].any() == found


@pytest.mark.parametrize("pen", [4, 6])
def test_small_zeros_below_a_large_heading_are_no_dots(pen):
    """They are as small beside it as dots beside digits, but have a hole."""
    strokes = papers.row_strokes("58", 60, (480, 500), np.random.default_rng(0), top=20)
    for row, column in np.ndindex(4, 6):
        strokes += papers.strokes_of(0, 20, (30 + 80 * column, 130 + 80 * row))
    picture = papers.on_paper(papers.ink_of(strokes, (480, 500), pen))
    reads(papers.noisy(picture, np.random.default_rng(0)), "58" + 4 * "\n000000")


@pytest.mark.parametrize(("count", "found"), [(90, True), (105, False)])
def test_more_than_ten_thousand_dots_are_noise(count, found):
    """How far each is from the others would take gigabytes."""
    picture = np.full((9 * count, 9 * count), 235, np.uint8)
    for y, x in np.ndindex(2, 2):
        picture[4 + y :: 9, 4 + x :: 9] = 120
    picture[100:140, 100:107] = 30
    erased = without_dots(paper.ink_on_paper(picture, 60))[1]
    assert erased[4::9, 4::9].mean() > 0.9 if found else not erased.any()


@pytest.mark.parametrize("text", ["305", "638"])
@pytest.mark.parametrize(("count", "pen", "width"), [(9, 9, 110), (15, 7, 70), (15, 9, 110)])
def test_a_scribble_over_digits_is_not_cut_into_digits(text, count, pen, width):
    rng = np.random.default_rng(count)
    shape = (220, 150 * len(text) + 190)
    strokes = papers.row_strokes(text, 100, shape, rng, left=width + 90)
    for y in np.linspace(64, 156, count):
        left, right, turn = 40 + rng.uniform(-12, 12), 40 + width + rng.uniform(-12, 12), rng.uniform(-5, 5)
        strokes.append(np.array([(left, y), (right, y + turn)]))
    strokes += papers.row_strokes("26" if width > 80 else "2", 95, shape, rng, left=45, gap=0.05)
    reads(papers.noisy(papers.on_paper(papers.ink_of(strokes, shape, pen)), rng), text)


# desks and patches


def on_desk(text, rng, desk, sheet, streak=0.45, pen=45):
    """Draw digits on a sheet that lies on a desk; two colours -> (H,W,3) uint8.

    streak: how much of the desk's light its streaks take.  pen: the digits' tone.
    """
    shape = (420, 760)
    streaks = [np.array([(x, y), (x + rng.uniform(-4, 4), y + rng.uniform(40, 80))]) for x, y in places(rng)]
    picture = np.ones((*shape, 3)) * desk
    picture *= (1 - streak * papers.ink_of(streaks, shape, 7))[:, :, None]
    picture[90:330, 190:570] = sheet
    ink = papers.row(text, 70, shape, rng, 6, top=170)
    ink = np.roll(ink, 190, axis=1)[:, :, None]
    return papers.noisy(picture + (pen - picture) * ink, rng)


def places(rng):
    """Return where streaks are, beside the sheet."""
    return [(x, y) for x in (40, 90, 620, 700) for y in rng.uniform(10, 330, 3)]


@pytest.mark.parametrize("text", ["439", "581"])
@pytest.mark.parametrize("sheet", [(235, 235, 228), (225, 140, 160)])
def test_streaks_of_a_wooden_desk_around_a_sheet_are_no_ones(text, sheet):
    reads(on_desk(text, np.random.default_rng(3), (150, 115, 78), sheet), text)


@pytest.mark.parametrize(("streak", "pen"), [(0.8, 45), (0.45, 120)])
def test_streaks_of_a_desk_may_be_as_dark_as_the_pen(streak, pen):
    reads(on_desk("439", np.random.default_rng(3), (150, 115, 78), (235, 235, 228), streak, pen), "439")


@pytest.mark.parametrize("field", [(250, 190, 200), (255, 240, 120), (180, 210, 250), (205, 170, 120), (120, 160, 210)])
@pytest.mark.parametrize(("text", "pencil"), [("1", 40), ("11", 40), ("71", 40), ("1", 110), ("11", 110)])
def test_a_one_on_a_field_of_another_colour_stays(text, pencil, field):
    """A desk would be at most of the picture's edge."""
    rng = np.random.default_rng(len(text))
    picture = np.ones((360, 520, 3)) * (240, 240, 235)
    picture[190:340, 20:480] = field
    picture += (40 - picture) * papers.row("5826", 80, (360, 520), rng, 7, top=50)[:, :, None]
    picture += (pencil - picture) * papers.row(text, 80, (360, 520), rng, 7, 225)[:, :, None]
    reads(papers.noisy(picture, rng), "5826\n" + text)


@pytest.mark.parametrize("shadow", [(0.55, 0.55, 0.55), (0.45, 0.55, 0.7)])
def test_a_one_in_the_shadow_stays_beside_digits_in_the_light(shadow):
    rng = np.random.default_rng(0)
    shape = (420, 600)
    ink = np.maximum(papers.row("5326", 70, shape, rng, 7, top=60), papers.row("1", 70, shape, rng, 7, top=280))
    picture = np.ones((*shape, 3)) * (240, 225, 190)
    picture[210:] *= shadow
    picture += (30 - picture) * ink[:, :, None]
    reads(papers.noisy(picture, rng), "5326\n1")


@pytest.mark.parametrize("shape", ["triangles", "gaps"])
def test_the_ground_between_strokes_is_no_digit_of_the_other_polarity(shape):
    lines = {
        "triangles": [((40, 200), (220, 190)), ((70, 60), (60, 205)), ((68, 62), (105, 200)), ((150, 50), (140, 200))],
        "gaps": [((60, 60), (60, 220)), ((95, 60), (92, 220)), ((130, 60), (127, 220)), ((50, 62), (140, 60)),
                 ((50, 218), (140, 216))],
    }  # fmt: skip
    image = Image.new("L", (250, 300), 150)
    pen = ImageDraw.Draw(image)
    for line in lines[shape]:
        pen.line(line, fill=25, width=18)
    page = numcnn.read(image)
    assert not [digit for digit in page if digit.sure], page


@pytest.mark.parametrize(("text", "margin", "pen"), [("8224", 14, 8), ("2635", 14, 8), ("3506", 18, 11)])
def test_light_digits_on_narrow_dark_stickers_are_no_gaps(text, margin, pen):
    rng = np.random.default_rng(margin)
    picture, ink, x = np.full((220, 700), 235.0), np.zeros((220, 700)), 30.0
    for character in text:
        strokes = papers.strokes_of(int(character), 90, (x + margin + pen / 2, 65))
        right = np.concatenate(strokes)[:, 0].max() + margin + pen / 2
        picture[round(65 - margin - pen / 2) : round(155 + margin + pen / 2), round(x) : round(right)] = 30
        ink = np.maximum(ink, papers.ink_of(strokes, ink.shape, pen))
        x = right + 20
    reads(papers.noisy(picture + (235 - picture) * ink, rng), text)
