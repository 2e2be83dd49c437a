"""What isn't written isn't read: empty and odd sheets, letters, rules, edges; and digits that look like these stay."""

import numpy as np
import papers
import pytest
from papers import reads, rng_of
from PIL import Image

import numcnn
from numcnn.data import generated, hands, pages
from numcnn.imaging.parts import Part, parts_of
from numcnn.imaging.sheet import lay_out
from numcnn.recognition.clutter import without_doubts, without_edges
from numcnn.recognition.evidence import is_written
from numcnn.recognition.spots import Spot


def blank(rng):
    return papers.noisy(np.full((300, 400), 215.0), rng, 4)


def sloping(rng):
    return papers.noisy(papers.vignette(papers.slope(np.full((400, 300), 230.0), rng)), rng)


def ruled_paper(rng):
    return papers.noisy(papers.grid(np.full((500, 400), 225.0), rng, 40, 0.6, 2, only_level=True), rng)


def squared_paper(rng):
    return papers.noisy(papers.grid(np.full((500, 400), 225.0), rng, 25, 0.7), rng)


def empty_table(rng):
    picture = np.full((400, 500), 240.0)
    for row in range(5):
        for column in range(4):
            picture = papers.frame(picture, (40 + 100 * column, 50 + 50 * row, 142 + 100 * column, 102 + 50 * row), 30)
    return papers.noisy(picture, rng)


def clouds(rng):
    coarse = rng.normal(0, 1, (12, 12))
    picture = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((360, 360), Image.Resampling.BICUBIC))
    return papers.noisy(130 + 50 * picture, rng, 3)


def texture(rng):
    coarse = rng.normal(0, 1, (70, 70))
    picture = np.asarray(Image.fromarray(coarse.astype(np.float32)).resize((420, 420), Image.Resampling.BICUBIC))
    return papers.noisy(140 + 40 * picture, rng, 3)


def edge_of_a_table(rng):
    picture = np.full((300, 300), 220.0)
    picture[:, 180:] = 60
    return papers.noisy(picture, rng)


def shaded_and_packed(rng):
    picture = papers.vignette(papers.slope(np.full((420, 560), 235.0), rng), 0.4)
    return papers.jpeg(picture.astype(np.uint8), 15)


def squared_and_packed(rng):
    picture = papers.slope(papers.grid(np.full((300, 400), 235.0), rng, 26, 0.85), rng)
    return papers.jpeg(papers.noisy(picture, rng), 80)


def comb(rng):
    """A form's comb that nobody has filled in: ticks on a line, as straight as only printers make them."""
    picture = np.full((400, 420), 240.0)
    for row in range(4):
        foot = 90 + 90 * row
        picture[foot : foot + 2, 30:390] = 70
        for x in range(30, 391, 60):
            picture[foot - 34 : foot, x : x + 3] = 70
    return papers.noisy(picture, rng)


def dark_edge(rng):
    picture = np.full((300, 380), 250.0)
    picture[:, 372:] = 60
    return papers.noisy(picture, rng)


def shapes(rng):
    """Where three even colours meet there is no stroke, though what lies between two lighter ones looks like one."""
    y, x = np.mgrid[:360, :480]
    picture = np.full((360, 480, 3), (170.0, 150, 175))
    picture[(x - 130) ** 2 + (y - 150) ** 2 < 120**2] = (190, 40, 200)
    picture[(x - 330) ** 2 + (y - 220) ** 2 < 115**2] = (240, 240, 160)
    picture[y - 0.6 * x > 170] = (30, 170, 50)
    return papers.noisy(picture, rng)


def face(rng):
    angle = np.linspace(0, 2 * np.pi, 40)
    oval = np.stack([np.cos(angle), 1.25 * np.sin(angle)], axis=1)
    size = rng.uniform(80, 120)
    middle = np.array([200, 190])
    strokes = [middle + size * oval]
    for side in (-0.35, 0.35):
        strokes.append(middle + size * ((side, -0.35) + 0.14 * oval))
    strokes.append(middle + size * np.array([(0, -0.1), (-0.1, 0.25), (0.08, 0.28)]))
    strokes.append(middle + size * np.array([(-0.4, 0.6), (-0.1, 0.75), (0.15, 0.74), (0.4, 0.58)]))
    return papers.noisy(papers.on_paper(papers.ink_of(strokes, (400, 400), 6)), rng)


def dashes(rng):
    picture = np.full((300, 400), 240.0)
    for top, left in rng.integers((40, 40), (260, 300), (4, 2)):
        picture[top : top + 6, left : left + int(rng.integers(12, 60))] = 50
    return papers.noisy(picture, rng)


def flower(rng):
    strokes = [np.array([(200.0, 190), (195, 370)])]
    angle = np.linspace(0, 2 * np.pi, 40)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for turn in np.arange(7) * 2 * np.pi / 7 + rng.uniform(0, 1):
        strokes.append((200, 120) + 50 * np.array([np.cos(turn), np.sin(turn)]) + 24 * circle)
    return papers.noisy(papers.on_paper(papers.ink_of([*strokes, (200, 120) + 26 * circle], (400, 400), 6)), rng)


EMPTY = [
    *(blank, sloping, ruled_paper, squared_paper, empty_table, clouds, texture, edge_of_a_table, shaded_and_packed),
    *(squared_and_packed, comb, dark_edge, shapes, face, dashes),
    flower,
]


@pytest.mark.parametrize("kind", EMPTY, ids=lambda kind: kind.__name__)
def test_no_digits_are_made_up(kind):
    for seed in range(5):
        found = numcnn.read(kind(np.random.default_rng(seed)))
        assert len(found) == 0, found.text


SMILEY = "50,0 0,18 -12,60 24,96 78,96 112,58 100,16 50,0 / 28,34 28,42 / 72,34 72,42 / 16,62 50,80 84,60"


@pytest.mark.parametrize("pen", [0.08, 0.11, 0.15])
def test_a_small_face_is_no_zero(pen):
    """Its eyes are blots."""
    strokes = []
    for control, corners in generated.Glyph(0, "smiley", 1, SMILEY).strokes():
        points = generated.curve(control[None], np.where(corners, 0.0, 1.0)[None])[0]
        strokes.append(70 * points * (0.8, 1) + (90, 70))
    assert numcnn.read(papers.on_paper(papers.ink_of(strokes, (210, 280), 70 * pen)).astype(np.uint8)).text == ""


def test_a_sheet_of_letters_holds_no_digits_though_most_look_like_one():
    sheet = pages.make("letters", "clean", hands.Generated(), seed=1, number=3)
    assert numcnn.read(sheet.picture).text == ""


def spots_of(*probabilities):
    """Return spots with these probabilities, the rest of each even over the other digits."""
    rows = [np.where(np.arange(10) == 1, p, (1 - p) / 9).astype(np.float32) for p in probabilities]
    return [Spot((40 * k, 0, 40 * k + 30, 50), np.zeros((28, 28), np.uint8), row, 0) for k, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("probabilities", "stay"),
    [
        pytest.param([0.999] * 20 + [0.12] * 4, 24, id="a word beside a page of digits"),
        pytest.param([0.999] * 6 + [0.12] * 4, 0, id="letters, most of which look like digits"),
        pytest.param([0.999, 0.999, 0.999, 0.7, 0.6], 5, id="a careless hand"),
        pytest.param([0.999, 0.12, 0.9], 0, id="drawn signs"),
        pytest.param([0.9, 0.2], 0, id="two drawn signs"),
        pytest.param([0.7, 0.7], 0, id="two signs that may be digits"),
        pytest.param([0.999, 0.2], 1, id="a digit beside a sign"),
        pytest.param([0.97, 0.7], 2, id="two digits in a careless hand"),
        pytest.param([0.6], 1, id="one that may be a digit"),
        pytest.param([0.3], 0, id="one that is none"),
    ],
)
def test_letters_are_told_from_digits_by_all_of_them_together(probabilities, stay):
    assert len(without_doubts(spots_of(*probabilities), 0.78)) == stay


@pytest.mark.parametrize("number", [0, 11])
def test_a_digit_across_a_shadow_s_edge_is_read_beside_others(number):
    sheet = pages.make("row", "shadow edge", hands.Generated(), seed=1, number=number)
    reads(sheet.picture, sheet.text)


@pytest.mark.parametrize("label", [0, 2, 3, 5, 6, 8, 9])
@pytest.mark.parametrize("lean", [0, 30])
def test_a_lone_digit_across_a_shadow_s_edge_is_read(label, lean):
    rng = np.random.default_rng([label, lean])
    picture = papers.on_paper(papers.one(label, rng, (200, 200), 90), 235, 50)
    y, x = np.mgrid[:200, :200]
    picture[x > 100 + lean * (y - 100) / 100] *= 0.45
    reads(papers.noisy(picture, rng), str(label))


@pytest.mark.parametrize(("label", "number"), [(2, 5), (3, 1)])
def test_a_lone_digit_that_an_edge_of_the_light_cuts_from_its_paper_is_read(label, number):
    """These don't stand clear; so nothing but the uneven ground and the network's certainty speaks for them."""
    rng = np.random.default_rng([4242, label, number])
    ink = papers.one(label, rng, (200, 200), rng.uniform(60, 110))
    picture = papers.on_paper(ink, 235, rng.uniform(30, 80))
    y, x = np.mgrid[:200, :200] - 100
    turn, off = rng.uniform(0, 2 * 3.14), rng.uniform(-12, 12)
    picture[x * np.cos(turn) + y * np.sin(turn) > off] *= rng.uniform(0.4, 0.7)
    reads(papers.noisy(picture, rng), str(label))


@pytest.mark.parametrize("margin", [0, 1, 3])
@pytest.mark.parametrize(("ground", "tone"), [(38, 5), (235, 40), (90, 40)])
def test_a_dark_digit_that_fills_its_picture_is_read_or_not_but_ends_nothing(margin, ground, tone):
    strokes = papers.strokes_of(0, 60, slant=0)
    points = np.concatenate(strokes)
    shape = (64 + 2 * margin, round(np.ptp(points[:, 0])) + 5 + 2 * margin)
    ink = papers.ink_of([stroke - points.min(axis=0) + 2 + margin for stroke in strokes], shape, 6)
    assert len(numcnn.read(papers.on_paper(ink, ground, tone).astype(np.uint8))) <= 1


@pytest.mark.parametrize("text", ["1", "7"])
def test_a_ring_around_a_thin_sign_is_no_lone_digit(text):
    """A traffic sign: inside the ring is other ground than outside, but outside it is alike on all sides."""
    y, x = np.mgrid[:240, :240] - 120
    far = np.hypot(x, y)[:, :, None]
    picture = np.where(far < 70, (240, 240, 240), (60, 90, 60))
    picture = np.where((far < 66) & (far > 54), (190, 30, 40), picture)
    ink = papers.row(text, 46, (240, 240), np.random.default_rng(0), 6, top=97)[:, :, None]
    found = numcnn.read(papers.noisy(picture + (20 - picture) * ink, np.random.default_rng(2)))
    assert not [digit for digit in found if digit.box[2] > 100]


def test_a_rest_along_erased_ink_is_not_written():
    """As between a sheet that lies askew and the dark desk, erased as a bar; rules across a 1 don't harm it."""
    strokes = [np.array([(60.0, 30.0), (60.0, 90.0)])]
    sheet = lay_out(papers.on_paper(papers.ink_of(strokes, (120, 120), 4), 230, 40).astype(np.uint8))
    (part,) = parts_of(sheet)
    sheet.erased[40:44] = sheet.erased[70:74] = True
    assert is_written(sheet, part)
    sheet.erased[:, 63:] = True
    assert not is_written(sheet, part)


@pytest.mark.parametrize(
    ("condition", "number"), [("cut neighbours", 4), ("turned", 18), ("scanner border", 3), ("holes and staple", 1)]
)
def test_what_lies_far_from_a_sure_digit_is_no_part_of_it(condition, number):
    """Of a picture known to hold one digit, the sheet's edge, a hole and a neighbour's remains are none of it."""
    sheet = pages.make("digit", condition, hands.Generated(), seed=1, number=number)
    assert numcnn.read(sheet.picture, single=True).text == sheet.text


def test_the_desk_in_a_corner_does_not_make_fine_digits_hairs():
    """Where the network takes the desk for a digit, its thickness says nothing about that of the strokes."""
    rng = np.random.default_rng(0)
    ink = papers.row("358", 60, (240, 420), rng, 3, top=30)
    sheet = lay_out(papers.noisy(papers.on_paper(ink), rng))
    desk = np.zeros((180, 100), bool)
    desk[:, :4] = desk[100:] = True
    parts = [*parts_of(sheet), Part((320, 60, 420, 240), desk)]
    kept, _ = without_edges(sheet, parts, np.full(len(parts), 0.99, np.float32), 0.78)
    assert sum(part.box[2] < 320 for part in kept) == 3


def test_a_one_mostly_along_a_rule_is_written_only_beside_other_digits():
    strokes = [np.array([(60.0, 30.0), (60.0, 90.0)]), np.array([(60.0, 32.0), (48.0, 44.0)])]
    sheet = lay_out(papers.on_paper(papers.ink_of(strokes, (120, 120), 4), 230, 40).astype(np.uint8))
    (part,) = parts_of(sheet)
    assert is_written(sheet, part)
    sheet.erased[:28, 58:63] = sheet.erased[93:, 58:63] = True
    assert not is_written(sheet, part)
    assert is_written(sheet, part, edge=True)


LETTERS = {
    "A": "50,0 28,50 4,100 / 50,0 74,50 96,100 / 20,62 80,60",
    "H": "8,0 8,100 / 92,0 92,100 / 8,50 92,50",
    "C": "95,15 70,2 38,2 10,25 2,50 10,75 38,98 70,98 95,85",
}


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize("height", [40, 110, 200])
@pytest.mark.parametrize("pen", [0.06, 0.1])
def test_letters_are_not_sure(letter, height, pen):
    glyph = generated.Glyph(0, "letter", 1, LETTERS[letter])
    strokes = [height * points * (0.8, 1) + (100, 90) for points, _ in glyph.strokes()]
    shape = (height + 180, height + 200)
    found = numcnn.read(papers.on_paper(papers.ink_of(strokes, shape, pen * height)).astype(np.uint8))
    assert not any(digit.sure for digit in found), found.text


def test_straight_ones_are_no_printed_lines():
    """A 1 is a straight stroke, alone and in a row of its kind."""
    for text in ("1", "11", "111", "1411"):
        rng = rng_of(3, text)
        picture = papers.on_paper(papers.row(text, 90, (220, 120 * len(text) + 60), rng), 235, 50)
        reads(papers.noisy(picture, rng), text)


@pytest.mark.parametrize("text", ["11", "111", "1411", "1771", "71111"])
@pytest.mark.parametrize(("height", "pen"), [(90, 0.08), (60, 0.05), (50, 0.11)])
@pytest.mark.parametrize(("pitch", "width", "tone"), [(0.71, 2, 0.7), (1.05, 3, 0.55), (1.4, 1, 0.8)])
def test_ones_on_ruled_paper_are_no_frame(text, height, pen, pitch, width, tone):
    """Long stems across rules, from one to the next, and on one."""
    rng = rng_of(height, f"{text} {pitch}")
    shape = round(2.4 * height), round(1.33 * height * len(text) + 0.7 * height)
    picture = papers.on_paper(papers.row(text, height, shape, rng, pen * height), 235, 50)
    reads(papers.noisy(papers.grid(picture, rng, pitch * height, tone, width, only_level=True), rng), text)


def test_lines_of_ones_on_ruled_paper():
    for lines in (["1111", "111"], ["11", "11111", "111"]):
        rng = rng_of(1, "/".join(lines))
        strokes = []
        for k, line in enumerate(lines):
            strokes += papers.row_strokes(line, 60, (0, 0), rng, 40 + 100 * k, 0.6, 30 + 10 * k)
        picture = papers.on_paper(papers.ink_of(strokes, (60 + 100 * len(lines), 360), 5), 235, 60)
        reads(papers.noisy(papers.grid(picture, rng, 50, 0.7, 2, only_level=True), rng), "\n".join(lines))
