"""What surrounds digits: an edge close by, dotted paper, a wooden desk, scribbles, and the ground between strokes."""

import numpy as np
import papers
import pytest
from papers import reads
from PIL import Image, ImageDraw

import numcnn
from numcnn.imaging.parts import parts_of
from numcnn.imaging.rules import rules_of_the_page
from numcnn.imaging.sheet import lay_out
from numcnn.recognition.evidence import is_written

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


@pytest.mark.parametrize(("width", "found"), [(3, True), (7, False)])
def test_across_a_strip_rules_are_finer_than_strokes(width, found):
    """A row that is cropped at its ink has strokes from edge to edge."""
    strength = np.zeros((120, 400), np.uint8)
    strength[:, 200 : 200 + width] = 200
    strength[(papers.row("25", 70, (120, 400), np.random.default_rng(0), 7) > 0.5)] = 200
    gone = rules_of_the_page(strength, 40)
    assert gone[:, 200 : 200 + width].all() == found == gone.any()


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


def on_desk(text, rng, desk, sheet):
    """Draw digits on a sheet that lies on a desk with streaks; two colours -> (H,W,3) uint8."""
    shape = (420, 760)
    streaks = [np.array([(x, y), (x + rng.uniform(-4, 4), y + rng.uniform(40, 80))]) for x, y in places(rng)]
    picture = np.ones((*shape, 3)) * desk
    picture *= (1 - 0.45 * papers.ink_of(streaks, shape, 7))[:, :, None]
    picture[90:330, 190:570] = sheet
    ink = papers.row(text, 70, shape, rng, 6, top=170)
    ink = np.roll(ink, 190, axis=1)[:, :, None]
    return papers.noisy(picture + (45 - picture) * ink, rng)


def places(rng):
    """Return where streaks are, beside the sheet."""
    return [(x, y) for x in (40, 90, 620, 700) for y in rng.uniform(10, 330, 3)]


@pytest.mark.parametrize("text", ["439", "581"])
@pytest.mark.parametrize("sheet", [(235, 235, 228), (225, 140, 160)])
def test_streaks_of_a_wooden_desk_around_a_sheet_are_no_ones(text, sheet):
    reads(on_desk(text, np.random.default_rng(3), (150, 115, 78), sheet), text)


def test_a_one_in_the_shadow_stays_beside_digits_in_the_light():
    """A shadow changes all colours alike."""
    rng = np.random.default_rng(0)
    shape = (420, 600)
    ink = np.maximum(papers.row("5326", 70, shape, rng, 7, top=60), papers.row("1", 70, shape, rng, 7, top=280))
    picture = np.ones((*shape, 3)) * (240, 225, 190)
    picture[210:] *= 0.55
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
