"""Any picture of digits: each kind of picture that people take, drawn here with other digits, sizes and places."""

import contextlib
import io

import numpy as np
import papers
import pytest
from papers import reads, rng_of
from PIL import Image

import numcnn
from numcnn.data import generated
from numcnn.errors import ConfigError, DataError, ShapeError
from numcnn.recognition import page, text_lines

DIGITS = range(10)


# single digits, one difficulty at a time


def plain(label, rng):
    return papers.noisy(papers.on_paper(papers.one(label, rng)), rng)


def shadow(label, rng):
    return papers.noisy(papers.corner_shadow(papers.on_paper(papers.one(label, rng), 200), rng), rng)


def shadow_over_the_digit(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 220, 50)
    picture[:, int(rng.uniform(135, 165)) :] *= 0.55
    return papers.noisy(picture, rng)


def vignette(label, rng):
    return papers.noisy(papers.vignette(papers.on_paper(papers.one(label, rng), 205), 0.6), rng)


def slope(label, rng):
    return papers.noisy(papers.slope(papers.on_paper(papers.one(label, rng), 240), rng, 0.7), rng)


def squared(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 205)
    return papers.noisy(papers.grid(picture, rng, rng.uniform(28, 60), rng.uniform(0.75, 0.9)), rng)


def squared_as_dark_as_the_ink(label, rng):
    picture = papers.on_paper(papers.one(label, rng, pen=12), 205, 60)
    return papers.noisy(papers.grid(picture, rng, 60, 0.35), rng)


def squared_and_thin(label, rng):
    picture = papers.on_paper(papers.one(label, rng, pen=2.2), 205, 90)
    return papers.noisy(papers.grid(picture, rng, 28, 0.9), rng)


def ruled(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 225, 50)
    return papers.noisy(papers.grid(picture, rng, 70, 0.5, 2, only_level=True), rng)


def bar_along_an_edge(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 255, 0)
    width = int(rng.integers(2, 9))
    sides = [(0, 0), (0, 0)]
    sides[label % 2] = (width, 0) if label < 5 else (0, width)
    return np.pad(picture, sides).astype(np.uint8)


def stray_bar(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 255, 0)
    left = int(rng.integers(40, 180))
    picture[:12, left : left + 60] = 0
    return np.ascontiguousarray(picture).astype(np.uint8)


def frame(label, rng):
    picture = papers.on_paper(papers.one(label, rng, height=110), 245, 30)
    return papers.noisy(papers.frame(picture, (60, 60, 240, 240), width=int(rng.integers(1, 5))), rng)


def frame_round_the_picture(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 245, 30)
    return papers.noisy(papers.frame(picture, (0, 0, 300, 300), 0.0, width=int(rng.integers(2, 14))), rng)


def frame_that_touches(label, rng):
    coverage = papers.one(label, rng, height=110, pen=9)
    rows = np.flatnonzero(coverage.any(axis=1))
    picture = papers.on_paper(coverage, 245, 30)
    bottom = int(rows[-1]) - 1
    return papers.noisy(papers.frame(picture, (60, bottom - 180, 240, bottom), width=3), rng)


def dust(label, rng):
    return papers.noisy(papers.dust(papers.on_paper(papers.one(label, rng)), rng, 60, 4), rng)


def light_on_dark(label, rng):
    return papers.noisy(papers.on_paper(papers.one(label, rng), 40, 225), rng)


def light_on_dark_in_a_light_frame(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 40, 225)
    return papers.noisy(np.pad(picture, 20, constant_values=230), rng)


def dark_table(label, rng):
    picture = np.full((400, 420), 45.0)
    picture[60:360, 70:370] = papers.on_paper(papers.one(label, rng), 230, 50)
    return papers.noisy(picture, rng)


def felt_pen(label, rng):
    return papers.noisy(papers.on_paper(papers.one(label, rng, pen=24)), rng)


def pencil(label, rng):
    return papers.noisy(papers.on_paper(papers.one(label, rng, pen=2.5), 230, 180), rng)


def worst_jpeg(label, rng):
    return papers.jpeg(papers.noisy(papers.on_paper(papers.one(label, rng), 220, 60), rng), 15)


def small_on_a_large_sheet(label, rng):
    picture = papers.on_paper(papers.one(label, rng, (900, 1200), height=rng.uniform(28, 60)), 215, 60)
    return papers.jpeg(papers.noisy(papers.slope(papers.vignette(picture), rng), rng), 80)


def red_on_green(label, rng):
    coverage = papers.one(label, rng)[:, :, None]
    green, red = np.array([90.0, 150, 90]), np.array([216.0, 88, 80])  # of the same luminance
    return papers.noisy(green + (red - green) * coverage, rng)


def blue_on_yellow(label, rng):
    coverage = papers.one(label, rng)[:, :, None]
    return papers.noisy(np.array([235.0, 225, 150]) + np.array([-195.0, -165, 0]) * coverage, rng)


def neighbours_cut(label, rng):
    strokes = papers.strokes_of(label, 140, (110, 80)) + papers.strokes_of(3, 140, (-68, 84))
    strokes += papers.strokes_of(8, 140, (278, 78))
    return papers.noisy(papers.on_paper(papers.ink_of(strokes, (300, 300), 11)), rng)


def holes(label, rng):
    picture = papers.on_paper(papers.one(label, rng), 230, 50)
    y, x = np.mgrid[:300, :300]
    for middle in (70, 230):
        picture[(y - middle) ** 2 + (x - 18) ** 2 < 100] = 70
    return papers.noisy(picture, rng)


SINGLE = [
    *(plain, shadow, shadow_over_the_digit, vignette, slope, squared, squared_as_dark_as_the_ink, squared_and_thin),
    *(ruled, bar_along_an_edge, stray_bar, frame, frame_round_the_picture, frame_that_touches, dust, light_on_dark),
    *(light_on_dark_in_a_light_frame, dark_table, felt_pen, pencil, worst_jpeg, small_on_a_large_sheet, red_on_green),
    *(blue_on_yellow, neighbours_cut, holes),
]


@pytest.mark.parametrize("kind", SINGLE)
def test_each_digit_is_read(kind):
    for label in DIGITS:
        reads(kind(label, rng_of(label, kind.__name__)), str(label))


@pytest.mark.parametrize(
    ("label", "way"),
    [(1, "flag"), (1, "flag and foot"), (7, "barred"), (7, "serif"), (4, "open, two strokes"), (5, "detached bar")],
)
@pytest.mark.parametrize("pen", [0.03, 0.08, 0.15])
def test_ways_of_writing_at_any_width(label, way, pen):
    coverage = papers.one(label, rng_of(label, way), height=150, pen=150 * pen, way=way)
    reads(papers.on_paper(coverage, 255, 0).astype(np.uint8), str(label))


# several digits


def beside_other_ink(kind):
    """Return strokes, the pen, the picture's size and what its digits say: rules about drawings must leave them."""
    if kind == "slanted 1s":
        return [np.array([(160.0 + 24 * k, 90), (116 + 24 * k, 180)]) for k in range(4)], 5, (400, 300), "1111"
    if kind in ("11", "00"):
        strokes = [
            stroke for top in (60, 175) for stroke in papers.strokes_of(int(kind[0]), 70, (150, top), slant=0.05)
        ]
        return strokes, 9, (300, 320), "\n".join(kind)
    scribble = np.array([(60.0 + 20 * k, 240 + 40 * (k % 2)) for k in range(10)])
    return [*papers.row_strokes("53", 90, (320, 340), np.random.default_rng(4), top=60), scribble], 9, (320, 340), "53"


@pytest.mark.parametrize("kind", ["slanted 1s", "11", "00", "a scribble below"])
def test_digits_of_which_much_looks_like_a_drawing_are_read(kind):
    strokes, pen, shape, text = beside_other_ink(kind)
    rng = np.random.default_rng(1)
    reads(papers.noisy(papers.on_paper(papers.ink_of(strokes, shape, pen)), rng), text)


def test_a_row_is_read_from_left_to_right():
    for text in ("2026", "31", "905178", "44", "7071"):
        picture = papers.on_paper(papers.row(text, 110, (200, 160 * len(text)), rng_of(0, text)))
        found = reads(papers.noisy(picture, rng_of(1, text)), text)
        lefts = [digit.box[0] for digit in found]
        assert lefts == sorted(lefts)
        assert {digit.line for digit in found} == {0}


@pytest.mark.parametrize("turn", [-5, 0, 5])
def test_lines_of_a_turned_page_are_read_in_order(turn):
    rng = rng_of(5 + turn, "page")
    lines = ["31415", "92653", "58979", "32384"]
    strokes = []
    for k, line in enumerate(lines):
        strokes += papers.row_strokes(line, 80, (800, 900), rng, 90 + 160 * k, 0.9, 120)
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = [(stroke - (450, 400)) @ rotation + (450, 400) for stroke in strokes]
    picture = papers.on_paper(papers.ink_of(turned, (800, 900), 7))
    found = reads(papers.noisy(picture, rng), "\n".join(lines))
    assert [digit.line for digit in found] == [k for k in range(4) for _ in range(5)]


def test_a_form_of_framed_cells():
    rng = rng_of(0, "form")
    text = "6204817395"
    picture = np.full((140, 900), 245.0)
    strokes = []
    for k, character in enumerate(text):
        strokes += papers.strokes_of(int(character), 56, (40 + 80 * k, 42))
    picture = papers.on_paper(papers.ink_of(strokes, picture.shape, 5), 245, 40)
    for k in range(10):
        picture = papers.frame(picture, (25 + 80 * k, 28, 107 + 80 * k, 112), 90)
    reads(papers.noisy(picture, rng), text)


@pytest.mark.parametrize("text", ["019", "107", "5301"])
@pytest.mark.parametrize("size", [0.3, 0.4])
def test_a_0_written_much_smaller_than_its_neighbours_is_read(text, size):
    strokes, left = [], 60.0
    for character in text:
        height = 90 * size if character == "0" else 90
        own = papers.strokes_of(int(character), height, (left, 150 - height))
        strokes += own
        left = np.concatenate(own)[:, 0].max() + 30
    reads(papers.on_paper(papers.ink_of(strokes, (220, 380), 7)).astype(np.uint8), text)


def test_touching_digits_are_cut():
    for text in ("37", "20", "64", "853"):
        picture = papers.on_paper(papers.row(text, 110, (200, 130 * len(text) + 60), rng_of(0, text), 9, gap=-0.03))
        reads(papers.noisy(picture, rng_of(1, text)), text)


def test_flat_thick_digits_are_no_blots():
    for label in (0, 2, 3, 5, 6, 8, 9):
        for aspect in (1.6, 2.4):
            strokes = [stroke * (aspect, 1) + (60, 60) for stroke in papers.strokes_of(label, 60, slant=0)]
            reads(papers.on_paper(papers.ink_of(strokes, (190, 260), 17)).astype(np.uint8), str(label))


def test_a_broken_digit_is_joined():
    for label in (0, 4, 5, 8):
        picture = papers.on_paper(papers.one(label, rng_of(label, "broken"), height=150, pen=13))
        picture[:, 150:154] = np.maximum(picture[:, 150:154], 230)
        reads(picture.astype(np.uint8), str(label))


@pytest.mark.parametrize(
    ("label", "height", "stretch", "pen"),
    [pytest.param(2, 60, 3.8, 8, id="wide"), pytest.param(9, 100, 1.3, 48, id="thick")],
)
def test_the_only_ink_of_a_picture_may_be_a_very_wide_or_thick_digit(label, height, stretch, pen):
    strokes = [
        stroke * (stretch, 1) + (80, 80) for stroke in papers.strokes_of(label, height, slant=0.1 if pen > 40 else 0)
    ]
    reads(papers.on_paper(papers.ink_of(strokes, (280, 320), pen)).astype(np.uint8), str(label))


@pytest.mark.parametrize(
    ("label", "aspect", "height", "pen"),
    [
        *((3, 1.2, 90, 32), (5, 1.6, 90, 32), (6, 1.2, 90, 32), (8, 1.6, 90, 26), (9, 0.8, 90, 32)),  # nearly filled
        *((2, 2.4, 70, 20), (5, 2.6, 70, 20), (6, 2.6, 70, 9)),  # wide, and not quite likely
    ],
)
def test_the_only_ink_of_a_picture_may_be_a_nearly_filled_or_an_unlikely_wide_digit(label, aspect, height, pen):
    strokes = papers.strokes_of(label, height - pen, slant=0.05)
    stretch = (aspect * height - pen) / np.ptp(np.concatenate(strokes)[:, 0])
    wide = [stroke * (stretch, 1) for stroke in strokes]
    corner = np.concatenate(wide).min(axis=0) - (80, 70)
    picture = papers.on_paper(papers.ink_of([stroke - corner for stroke in wide], (height + 140, 350), pen))
    found = numcnn.read(papers.noisy(picture, np.random.default_rng(0)))
    assert [digit.label for digit in found] == [label]


@pytest.mark.parametrize("label", DIGITS)
def test_a_digit_in_up_to_four_pieces_is_joined(label):
    picture = papers.on_paper(papers.one(label, rng_of(label, "broken"), height=150, pen=13))
    rows, columns = (int(np.median(places)) for places in np.nonzero(picture < 200))
    picture[rows : rows + 5] = 235
    reads(picture.astype(np.uint8), str(label))
    picture[:, columns : columns + 5] = 235
    reads(picture.astype(np.uint8), str(label))


@pytest.mark.parametrize("corners", [(0, 0, -31, 360, 551, 360, 520, 0), (0, 0, 0, 360, 520, 324, 520, 36)])
@pytest.mark.parametrize("lines", [("8652", "3094"), ("4579", "1182")])
def test_a_page_photographed_at_an_angle_is_read(lines, corners):
    """corners: which points of the page are seen in the picture's corners, from the upper left one on downwards."""
    rng = rng_of(len(lines), lines[0])
    inks = [papers.row(text, 70, (360, 520), rng, 6, top=70 + 140 * k) for k, text in enumerate(lines)]
    page = Image.fromarray(papers.on_paper(np.maximum(*inks)).astype(np.uint8))
    seen = page.transform(page.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor=235)
    reads(np.asarray(seen), "\n".join(lines))


# blocks of text


def block(lines, left, top, pitch=110):
    return [
        stroke
        for k, line in enumerate(lines)
        for stroke in papers.row_strokes(line, 55, (0, 0), rng_of(k, line), top + pitch * k, 0.35, left)
    ]


def test_columns_of_a_table_are_read_line_by_line():
    strokes = [
        *block(["31", "59", "28"], 40, 60),
        *block(["42", "65", "30"], 420, 64),
        *block(["7", "8", "9"], 800, 58),
    ]
    picture = papers.on_paper(papers.ink_of(strokes, (420, 960), 5))
    reads(papers.noisy(picture, rng_of(0, "table")), "31427\n59658\n28309")


def test_blocks_whose_lines_are_not_level_are_read_one_after_the_other():
    strokes = [*block(["314", "592", "658"], 40, 40), *block(["27", "18", "46"], 560, 95)]
    picture = papers.on_paper(papers.ink_of(strokes, (420, 800), 5))
    found = reads(papers.noisy(picture, rng_of(0, "blocks")), "314\n592\n658\n27\n18\n46")
    assert [digit.line for digit in found] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5]


# small and odd pictures


def test_finished_pictures_are_read_as_they_are():
    images, labels = generated.generate(100, 7, backend="reference")
    network = numcnn.load()
    known = network.predict(images) == labels
    right = 0
    for image, label in zip(images[known], labels[known], strict=True):
        found = numcnn.read(image)
        right += len(found) == 1 and found[0].label == label
    assert right >= known.sum() - 1


def test_a_crop_without_any_margin_is_read():
    for label in DIGITS:
        coverage = papers.one(label, rng_of(label, "crop"))
        rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
        crop = coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for paper, ink in ((240, 30), (20, 240)):
            reads(papers.on_paper(crop, paper, ink).astype(np.uint8), str(label))


def test_any_input_that_prepare_takes_is_read(tmp_path):
    picture = papers.on_paper(papers.row("58", 80, (160, 260), rng_of(0, "58"))).astype(np.uint8)
    image = Image.fromarray(picture)
    image.save(tmp_path / "58.png")
    file = io.BytesIO()
    image.save(file, "PNG")
    boxes = [digit.box for digit in reads(picture, "58")]
    for same in (tmp_path / "58.png", str(tmp_path / "58.png"), file.getvalue(), image, image.convert("RGBA")):
        assert [digit.box for digit in reads(same, "58")] == boxes
    assert [digit.box for digit in reads(picture / 255, "58")] == boxes


def test_boxes_are_those_of_the_upright_picture_in_its_own_pixels(tmp_path):
    coverage = papers.ink_of(papers.strokes_of(5, 700, (2000, 1200)), (2600, 3600), 60)
    rows, columns = (np.flatnonzero(coverage.any(axis=axis)) for axis in (1, 0))
    turned = Image.fromarray(np.rot90(papers.on_paper(coverage).astype(np.uint8)))
    exif = Image.Exif()
    exif[274] = 6  # the camera lay on its side
    for name in ("turned.png", "turned.jpg"):
        turned.save(tmp_path / name, exif=exif)
        found = reads(tmp_path / name, "5")
        assert found.size == (3600, 2600)
        want = columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]
        np.testing.assert_allclose(found[0].box, want, atol=6)


def test_a_picture_that_is_none_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png: not a picture"):
        numcnn.read(tmp_path / "a.png")
    with pytest.raises(DataError, match="picture: not a picture"):
        numcnn.read(b"no picture")
    with pytest.raises(ShapeError, match="got shape"):
        numcnn.read(np.zeros((3, 4, 5, 6)))
    with pytest.raises(ConfigError, match="at_most"):
        numcnn.read(np.zeros((30, 30), np.uint8), at_most=2)


def test_single_returns_exactly_one_digit():
    rng = rng_of(0, "single")
    picture = papers.noisy(papers.dust(papers.on_paper(papers.one(4, rng)), rng, 40, 5), rng)
    found = numcnn.read(picture, single=True)
    assert [digit.label for digit in found] == [4]
    letter = papers.on_paper(
        papers.ink_of([np.array([(60, 60), (240, 240)]), np.array([(240, 60), (60, 240)])], (300, 300), 12)
    )
    assert len(numcnn.read(letter.astype(np.uint8), single=True)) == 1
    with pytest.raises(DataError):
        numcnn.read(np.full((60, 60), 200, np.uint8), single=True)


@pytest.mark.parametrize("light", [False, True])
def test_pictures_of_eight_by_eight_pixels_are_read(light):
    """Nearly all are right; one that ink fills to its edges may be taken for noise."""
    rng, right, found = papers.rng_of(8, "small"), 0, 0
    for number in range(40):
        height = 240 * rng.uniform(0.7, 0.9)
        large = papers.on_paper(papers.one(number % 10, rng, (240, 240), height, rng.uniform(0.08, 0.14) * height))
        small = papers.noisy(large.reshape(8, 30, 8, 30).mean(axis=(1, 3)), rng)
        small = 255 - small if light else small
        with contextlib.suppress(DataError):
            (digit,) = numcnn.read(small, single=True)
            right += digit.label == number % 10
        found += [digit.label for digit in numcnn.read(small)] == [number % 10]
    assert right >= 37 and found >= 30


def test_a_page_is_a_sequence_and_explains_its_steps():
    picture = papers.on_paper(papers.row("58", 80, (160, 260), rng_of(0, "58"))).astype(np.uint8)
    found = numcnn.read(picture, explain=True)
    assert [digit.label for digit in found] == [5, 8]
    assert found[-1].label == 8
    assert [digit.label for digit in found[:1]] == [5]
    assert found.size == (260, 160)
    assert found.steps is not None
    names = ["original", "paper", "light divided out", "ink", "pieces", "lines", "boxes", "each 28x28"]
    assert list(found.steps)[:8] == names
    maps = [f"maps of {layer}{k}" for k in (1, 2) for layer in ("conv", "relu", "pool")]
    assert list(found.steps)[8:] == [*maps, "what spoke for each answer"]
    np.testing.assert_array_equal(found.steps["each 28x28"], [digit.image for digit in found])
    np.testing.assert_array_equal(found.steps["original"], picture)
    assert all(found.steps[name].shape[:2] == picture.shape for name in names[:-1])
    assert found.steps["what spoke for each answer"].shape == (2, 28, 28)
    assert numcnn.read(picture).steps is None


def test_text_lines_follow_a_slope():
    boxes = np.array(
        [
            (x, 100 * line + 0.09 * x, x + 30, 100 * line + 0.09 * x + 45)
            for line in range(3)
            for x in range(20, 600, 70)
        ]
    )
    order = np.random.default_rng(0).permutation(len(boxes))
    lines = text_lines.text_lines(np.rint(boxes[order]).astype(int))
    assert [order[line].tolist() for line in lines] == np.arange(len(boxes)).reshape(3, -1).tolist()


def test_the_shipped_network_is_loaded_once():
    assert page._shipped() is page._shipped()


@pytest.mark.parametrize("most_known", [page.MOST_KNOWN, 3])
def test_the_network_reads_each_picture_of_a_page_once_while_it_is_kept(most_known, monkeypatch):
    rng = np.random.default_rng(2)
    picture = papers.noisy(papers.on_paper(papers.row("375", 90, (200, 500), rng, gap=-0.08)), rng)
    network, asked, ask = numcnn.load(), [], numcnn.Network.predict_proba

    def counted(self, images):
        asked.extend(image.tobytes() for image in images)
        return ask(self, images)

    monkeypatch.setattr(page, "MOST_KNOWN", most_known)
    monkeypatch.setattr(numcnn.Network, "predict_proba", counted)
    assert numcnn.read(picture, network=network).text == "375"
    assert len(set(asked)) > 3 and (len(set(asked)) == len(asked)) == (most_known > 3)
