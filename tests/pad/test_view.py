"""How the pad looks: where things lie, what is drawn anew, ink, the network's inside, and screenshots."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pygame
import pytest
from pads import SIZE, count, picture_region, region, small

from numcnn import Conv2D, Dense, Flatten, MaxPool2D, ReLU
from numcnn.cli import main
from numcnn.data.generated import digit_strokes
from numcnn.evaluation.metrics import percent
from numcnn.imaging import raster
from numcnn.nn.inspection import inspect_picture
from numcnn.nn.losses import softmax
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network
from numcnn.pad import Canvas, still
from numcnn.pad.drawing.icons import STROKES
from numcnn.pad.drawing.ink import Ink
from numcnn.pad.drawing.inside import Inside
from numcnn.pad.drawing.inside_layout import bands
from numcnn.pad.drawing.layout import BUTTONS, layout, place
from numcnn.pad.drawing.overlays import TIPS, Toast
from numcnn.pad.drawing.painter import Painter, Part
from numcnn.pad.drawing.theme import THEMES, Type, grey_surface
from numcnn.pad.drawing.view import WORDS, Scene, View, _apart, _around_focus
from numcnn.pad.keys import DRAWING
from numcnn.recognition.reading import Recognizer, square_of

LIGHT = THEMES["light"]
LINE = [(100.0, 100.0), (120.0, 300.0), (300.0, 320.0)]
SIZES = [(640, 480), (900, 600), (1280, 800), (1920, 1080), (3840, 2160), (600, 900), (1600, 500)]


@pytest.fixture(autouse=True)
def fonts():
    pygame.font.init()


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "small.npz"
    small().save(path)
    return str(path)


def scene_of(canvas, network=None, *, recognizer=None, **settings):
    """Return the scene of a canvas, all bars in place."""
    recognizer = recognizer or Recognizer(network or small())
    scene = Scene(canvas, recognizer.read(canvas), blank=recognizer.blank(), **settings)
    scene.focus = len(scene.readings) - 1 if scene.readings else None
    scene.bars = still.lengths(scene)
    return scene


def draw(scene, size=SIZE, view=None, surface=None):
    """Draw a scene; return the surface, the layout and what changed."""
    surface = surface or pygame.Surface(size)
    places = layout(size, scene.inside)
    changed = (view or View()).draw(surface, scene, places, place(scene.canvas, places.sheet))
    return surface, places, changed


# Where things lie


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inside", [False, True])
def test_everything_has_its_own_place_in_the_window(size, inside):
    places = layout(size, inside)
    window = pygame.Rect(0, 0, *size)
    panel = [places.inside] if inside else [places.bars]
    rects = [places.sheet, places.answer, places.seen, places.status, *panel, *places.buttons.values()]
    for rect in rects:
        assert window.contains(rect) and rect.width > 0 and rect.height > 0
        assert len(rect.collidelistall(rects)) == 1  # itself
    assert places.text >= 12 and places.seen.height % 28 == 0
    assert min(places.sheet.size) >= (0.3 if inside else 0.4) * min(size)
    if not inside:
        assert places.bars.height >= 10 * places.text
    for name, rect in places.buttons.items():
        assert places.button_at(rect.center) == name and min(rect.size) >= 24


@pytest.mark.parametrize("size", [(1, 1), (200, 3000), (3000, 120), (300, 300)])
@pytest.mark.parametrize("inside", [False, True])
def test_a_window_too_small_for_the_pad_is_drawn_all_the_same(size, inside):
    scene = scene_of(still.fitted_canvas([LINE]), inside=inside, toast=Toast("words " * 20, "bad", "Undo"))
    surface, _, changed = draw(scene, size)
    assert surface.get_at((0, 0)) == pygame.Color(LIGHT.background) and changed == [surface.get_rect()]
    scene.help = True
    draw(scene, size)


def test_the_canvas_lies_in_the_middle_and_goes_there_and_back():
    canvas, sheet = Canvas(560, 560), pygame.Rect(50, 20, 900, 500)
    where = place(canvas, sheet)
    assert where.to_window(280, 280) == sheet.center and where.scale == 500 / 560
    assert where.to_canvas(where.to_window(30, 400)) == pytest.approx((30, 400))
    assert where.to_window(*where.to_canvas((0, 5000))) == pytest.approx(sheet.bottomleft)
    canvas.stroke([(-1000, 280), (200, 280)])
    x, _ = place(canvas, sheet).to_window(-1000, 280)
    assert x == pytest.approx(sheet.left)


def test_every_button_has_a_word_a_tip_and_a_picture_and_the_keys_are_listed():
    names = {name for name in BUTTONS if name}
    assert names == set(WORDS) == set(TIPS) == set(STROKES)
    listed = " ".join(row.names for row in DRAWING)
    for key in ("E", "C", "S", "F", "W", "U", "T", "B", "D", "H", "Esc", "Ctrl Z", "Ctrl C", "Ctrl V", "[", "0 to 9"):
        assert key in listed


@pytest.mark.parametrize("theme", THEMES)
def test_text_can_be_read_on_what_it_lies_on(theme):
    colors = THEMES[theme]
    for ground in (colors.background, colors.paper, colors.card):
        assert contrast(colors.ink, ground) > 10 and contrast(colors.muted, ground) > 4.5
        assert contrast(colors.accent, ground) > 4.4
    assert contrast(colors.accent, colors.track) > 3 and contrast(colors.other, colors.track) > 1.5


def contrast(one, other):
    """Return the contrast of two colours as WCAG 2 defines it, 1 to 21."""
    lights = []
    for color in (one, other):
        shares = np.array(pygame.Color(color)[:3]) / 255
        linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
        lights.append(linear @ (0.2126, 0.7152, 0.0722) + 0.05)
    return max(lights) / min(lights)


def lines_of_ones(*counts):
    """Return a canvas with so many ones in each line."""
    return still.fitted_canvas(
        [[(60 * i, 160 * n), (60 * i, 100 + 160 * n)] for n, k in enumerate(counts) for i in range(k)]
    )


@pytest.mark.parametrize("size", [(480, 480), (640, 480), (1280, 800)])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("counts", [(5, 5), (2, 7, 1), (3,) * 12])
def test_several_lines_are_answered_one_below_the_other_in_their_place(size, inside, counts):
    scene = scene_of(lines_of_ones(*counts), inside=inside)
    assert [reading.line for reading in scene.readings] == [n for n, k in enumerate(counts) for _ in range(k)]
    surface, places, _ = draw(scene, size)
    blank, _, _ = draw(replace(scene, readings=(), focus=None, bars=np.zeros(10)), size)
    window = pygame.Rect(0, 0, *size)
    room = [places.sheet.inflate(4, 4), places.answer.inflate(2, 2), places.seen.inflate(10, 10)]
    room.append(places.inside if inside else places.bars)
    differ = (region(surface, window) != region(blank, window)).any(axis=-1)
    assert differ[tuple(slice(*span) for span in ((room[1].left, room[1].right), (room[1].top, room[1].bottom)))].any()
    for rect in room:
        differ[rect.left : rect.right, rect.top : rect.bottom] = False
    assert not differ.any()  # nothing sticks out


def test_of_more_lines_than_fit_those_around_the_focus_are_shown():
    scene = scene_of(lines_of_ones(*(3,) * 12))
    lines = [[1, 2], [3], [4, 5], [6]]
    assert _around_focus(lines, 4, 2) == lines[1:3] and _around_focus(lines, 6, 3) == lines[1:]
    assert _around_focus(lines, None, 2) == lines[:2] and _around_focus(lines, 1, 0) == lines[:1]
    first, places, _ = draw(replace(scene, focus=0))
    last, _, _ = draw(scene)
    assert (region(first, places.answer) != region(last, places.answer)).any()
    tiles = region(last, places.seen)
    assert count(tiles, "white") > 0 and places.seen.height >= 28  # one picture, that of the digit in focus


# What is drawn anew


def test_only_what_differs_is_drawn_again_and_that_completely():
    painter, surface, drawn = Painter(), pygame.Surface((100, 100)), []

    def part(name, rect, key, color):
        def draw(target):
            drawn.append(name)
            target.fill(color, rect)

        return Part(name, pygame.Rect(rect), (key,), draw)

    under, beside = part("under", (0, 0, 50, 50), 1, "red"), part("beside", (60, 60, 20, 20), 1, "blue")
    painter.paint(surface, "black", [under, beside], "frame")
    assert drawn == ["under", "beside"]
    drawn.clear()
    assert painter.paint(surface, "black", [under, beside], "frame") == [] and drawn == []
    above = part("above", (40, 40, 20, 15), 1, "green")
    assert painter.paint(surface, "black", [under, beside, above], "frame") == [above.rect] and "beside" not in drawn
    assert surface.get_at((45, 45)) == pygame.Color("green")
    painter.paint(surface, "black", [under, beside], "frame")
    assert surface.get_at((45, 45)) == pygame.Color("red") and surface.get_at((55, 52)) == pygame.Color("black")
    drawn.clear()
    assert painter.paint(surface, "black", [part("under", (0, 0, 50, 50), 2, "white"), beside], "frame")
    assert drawn == ["under"] and surface.get_at((5, 5)) == pygame.Color("white")
    drawn.clear()
    painter.paint(surface, "black", [under, beside], "another frame")
    assert drawn == ["under", "beside"]


def test_a_scene_drawn_after_others_looks_like_one_drawn_afresh():
    canvas = still.fitted_canvas([LINE])
    recognizer = Recognizer(small())  # one for all: what it has read stays the same object
    view, surface = View(), pygame.Surface(SIZE)
    rng, explained = np.random.default_rng(0), False
    for _ in range(25):
        corner = rng.uniform(0, 430, 2)
        canvas.stroke(corner + rng.uniform(0, 130, (4, 2))) if rng.random() < 0.6 else canvas.undo()
        if rng.random() < 0.5:
            canvas.erase(rng.uniform(0, 560, 2) + rng.uniform(-40, 40, (2, 2)))
        choice, explained = rng.random(5) < 0.3, explained ^ (rng.random() < 0.2)
        scene = scene_of(canvas, recognizer=recognizer, inside=bool(choice[0]), help=bool(choice[1]))
        scene.hovered = "why" if choice[2] else None
        scene.toast = Toast("kept", "good", "Undo") if choice[3] else None
        scene.pointer = (300, 300, 20) if choice[4] else None
        scene.focus = int(rng.integers(len(scene.readings))) if scene.readings else None
        scene.why = recognizer.explain(scene.reading, canvas) if explained and scene.reading else None
        draw(scene, view=view, surface=surface)
        assert_as_if_afresh(scene, surface)


def assert_as_if_afresh(scene, surface):
    """Compare what was drawn over an earlier scene with the scene drawn on nothing."""
    afresh, _, _ = draw(scene, surface.get_size())
    np.testing.assert_array_equal(pygame.surfarray.array3d(surface), pygame.surfarray.array3d(afresh))


def test_the_glow_follows_when_only_the_digit_beside_changes():
    canvas, recognizer = Canvas(560, 560), Recognizer(small())
    canvas.stroke([(100, 330), (165, 335), (110, 360)])
    canvas.stroke([(180, 150), (240, 220), (182, 360)])
    view, surface = View(), pygame.Surface((1100, 700))
    whys = []
    for _ in range(2):
        scene = scene_of(canvas, recognizer=recognizer)
        scene.why = recognizer.explain(scene.reading, canvas)
        whys.append(scene.why)
        draw(scene, surface.get_size(), view, surface)
        assert_as_if_afresh(scene, surface)
        canvas.erase([(166, 335), (163, 335)], 4)
    assert whys[0] is whys[1] and len(scene.readings) == 2


def test_captions_follow_when_another_network_makes_maps_of_another_size():
    canvas, view, surface = still.fitted_canvas([LINE]), View(), pygame.Surface((1280, 800))
    for padding in ("valid", "same"):
        layers = [Conv2D(4, 3, padding=padding), ReLU(), MaxPool2D(2), Flatten(), Dense(10)]
        scene = scene_of(canvas, Network(layers, backend="reference", seed=0), inside=True)
        draw(scene, surface.get_size(), view, surface)
        assert_as_if_afresh(scene, surface)


def test_ink_is_the_brush_s_and_undone_ink_leaves_no_trace():
    canvas, sheet = Canvas(560, 560), pygame.Rect(10, 20, 280, 280)
    canvas.stroke(LINE)
    ink, where = Ink(), place(canvas, sheet)
    assert ink.update(canvas.strokes, where, 9, (0, 0, 0)) == sheet
    one = pygame.surfarray.array_alpha(ink.layer)
    brush = raster.draw([np.array(LINE) / 2], (280, 280), 9)
    np.testing.assert_allclose(one.T, 255 * brush, atol=0.51)
    canvas.stroke([(110, 90), (200, 400)])
    changed = ink.update(canvas.strokes, where, 9, (0, 0, 0))
    assert changed.width < 80 and sheet.contains(changed)
    assert ink.update(canvas.strokes, where, 9, (0, 0, 0)).width == 0
    canvas.undo()
    ink.update(canvas.strokes, where, 9, (0, 0, 0))
    np.testing.assert_array_equal(pygame.surfarray.array_alpha(ink.layer), one)
    ink.update(canvas.strokes, where, 9, (255, 0, 0))
    np.testing.assert_array_equal(pygame.surfarray.array_alpha(ink.layer), one)
    assert ink.layer.get_at((60, 140))[:3] == (255, 0, 0)


def test_points_that_are_left_out_of_the_ink_change_nothing_one_could_see():
    canvas, sheet = Canvas(560, 560), pygame.Rect(0, 0, 560, 560)
    turns = np.linspace(0, 4 * np.pi, 3000)
    spiral = 280 + (40 + 15 * turns)[:, None] * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    canvas.stroke(np.concatenate([spiral, [(280, 280), (280, 250), (280, 280.5)]]))
    ink = Ink()
    ink.update(canvas.strokes, place(canvas, sheet), 20, (0, 0, 0))
    whole = 255 * raster.draw(canvas.strokes, (560, 560), 20)
    assert np.abs(pygame.surfarray.array_alpha(ink.layer).T - whole).max() < 30


# What the network says


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, ">99.9%"), (0.9996, ">99.9%"), (0.999, "99.9%"), (0.25, "25.0%"), (0.0006, "0.1%"), (1e-4, "<0.1%")],
)
def test_no_probability_is_rounded_to_certainty(share, text):
    assert percent(share) == text


def test_a_bar_is_as_long_as_its_probability_says():
    scene = scene_of(still.fitted_canvas([LINE]))
    answer = scene.reading.inspection.answer
    scene.bars = np.full(10, 0.4)
    scene.bars[answer] = 0.75
    surface, places, _ = draw(scene)
    for digit, share in enumerate(scene.bars):
        y = round(places.bars.top + (digit + 0.5) * places.bars.height / 10)
        row = region(surface, pygame.Rect(places.bars.left, y, places.bars.width, 1))
        color = LIGHT.accent if digit == answer else LIGHT.other
        assert count(row, color) / (count(row, color) + count(row, LIGHT.track)) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("size", [SIZE, (500, 1200), (1280, 800)])
def test_bars_are_not_thick_and_small_shares_look_small(size):
    scene = scene_of(still.fitted_canvas([LINE]))
    scene.bars = np.array([0, 0.01, 0.048, 0.1, 0.2, 0.5, 1, 0, 0, 0])
    surface, places, _ = draw(scene, size)
    colors = {pygame.Color(color)[:3] for color in (LIGHT.accent, LIGHT.other)}
    wide = places.bars.width - 6.8 * places.text
    for digit, share in enumerate(scene.bars):
        top = places.bars.top + round(digit * places.bars.height / 10)
        row = region(surface, pygame.Rect(places.bars.left, top, places.bars.width, places.bars.height // 10))
        row = row[round(1.6 * places.text) : -round(5.2 * places.text)]
        filled = sum((row == color).all(axis=-1) for color in colors)
        tall, long = filled.any(axis=0).sum(), filled.any(axis=1).sum()
        assert tall <= 1.2 * places.text + 1 and long == pytest.approx(share * wide, abs=3)  # round ends are mixed


def test_a_number_of_several_digits_is_written_whole_and_each_has_its_picture_and_mark():
    canvas = Canvas(560, 560)
    for left in (60, 220, 380):
        canvas.stroke([(left, 200), (left + 60, 350)])
    scene = scene_of(canvas)
    surface, places, _ = draw(scene)
    assert len(scene.readings) == 3 and scene.focus == 2
    columns = (region(surface, places.answer) == pygame.Color(LIGHT.accent)[:3]).all(axis=-1).any(axis=1)
    assert np.count_nonzero(np.diff(columns.astype(int)) == 1) >= 3  # digits stand apart
    tiles = region(surface, places.seen)[:, places.seen.height // 4]
    assert count(tiles, "#000000") > 50
    where = place(canvas, places.sheet)
    for i, reading in enumerate(scene.readings):
        rect = where.rect(reading.box).inflate(2 * places.text + 40, 2 * places.text + 40)
        marked = count(region(surface, rect), LIGHT.accent)
        assert (marked > 100) == (i == scene.focus)


@pytest.mark.parametrize("focus", [0, 1])
def test_the_glow_of_a_saliency_keeps_off_the_digit_beside(focus):
    canvas = Canvas(560, 560)
    for left in (100, 190):  # so close that the picture of one reaches over the other
        canvas.stroke([(left, 200), (left + 60, 220), (left + 10, 360)])
    scene = scene_of(canvas)
    assert len(scene.readings) == 2
    scene.focus = focus
    scene.why = Recognizer(small()).explain(scene.reading, canvas)
    glowing, places, _ = draw(scene, (1100, 700))
    scene.why = replace(scene.why, saliency=np.zeros((28, 28)))
    pale, _, _ = draw(scene, (1100, 700))
    where = place(canvas, places.sheet)
    own, other = (where.rect(scene.readings[i].box) for i in (focus, 1 - focus))
    assert where.rect(square_of([canvas.strokes[focus]], scene.reading.image)).colliderect(other)
    changed = (region(glowing, places.sheet) != region(pale, places.sheet)).any(axis=-1)
    painted = changed[own.left - places.sheet.left : own.right - places.sheet.left]
    assert painted.mean() > 0.2
    left = (own.right + other.left) // 2 if focus == 0 else 0
    right = (other.right + own.left) // 2 if focus == 1 else places.sheet.right
    assert not changed[max(0, left - places.sheet.left) : right - places.sheet.left].any()


def test_rects_that_overlap_are_cut_half_way():
    one, beside, below = pygame.Rect(0, 0, 60, 100), pygame.Rect(50, 10, 60, 100), pygame.Rect(0, 90, 40, 80)
    rects = [one, beside, below]
    assert _apart(rects, 0) == pygame.Rect(0, 0, 55, 95)
    assert _apart(rects, 1) == pygame.Rect(55, 10, 55, 100) and _apart(rects, 2) == pygame.Rect(0, 95, 40, 75)
    assert one == pygame.Rect(0, 0, 60, 100)


@pytest.mark.parametrize("model", ["canonical", "best"])
@pytest.mark.parametrize("size", SIZES)
def test_the_inside_goes_from_the_picture_to_ten_probabilities(model, size):
    network = Network(make_layers(model), backend="reference")
    rect, text = layout(size, inside=True).inside, layout(size).text
    shown = bands(inspect_picture(network, raster.mnist_image([LINE])).stages, rect, text)
    assert [band.kind for band in shown] == ["picture", "maps", "pooled", "maps", "pooled", "dense", "outputs"]
    corners = [(band.body.left, band.body.top) for band in shown]
    assert corners == sorted(corners)  # one below the other, then on in the next column
    boxes = [box for band in shown for box in (band.caption, band.body)]
    for box in boxes:
        assert box.width > text and box.height > 0
        assert len(box.collidelistall(boxes)) == 1  # itself
        assert rect.inflate(4, 4).contains(box) or min(size) < 600  # it is drawn even where there is little room


def test_the_inside_shows_the_maps_the_network_has():
    network = small(seed=3)
    scene = scene_of(still.fitted_canvas([LINE]), network, inside=True)
    surface, places, _ = draw(scene, (1280, 800))
    inspection = scene.reading.inspection
    band = bands(inspection.stages, places.inside, places.text)[1]
    maps = inspection.stages[0].out
    brightest = np.unravel_index(maps.argmax(), maps.shape)
    assert band.count == maps.shape[2]
    for i in range(maps.shape[2]):
        part = region(surface, band.cell(i))
        dark = np.abs(part.astype(int) - pygame.Color(LIGHT.track)[:3]).max(axis=-1) < 4
        assert dark.any() == (maps[..., i].min() == 0)
    y, x, i = brightest
    strongest = surface.get_at(band.pixel(i, y, x).center)
    assert np.abs(np.subtract(strongest[:3], pygame.Color(LIGHT.ink)[:3])).max() < 40


@pytest.mark.parametrize("size", [(640, 480), (1280, 800)])
def test_the_inside_shows_scores_whose_softmax_is_the_probabilities_shown(size):
    network = small(seed=3)
    network.temperature = 0.1
    inspection = inspect_picture(network, raster.mnist_image([LINE]))
    places, type_ = layout(size, inside=True), Type()
    parts = Inside(type_).parts(places.inside, LIGHT, places.text, inspection, inspection, inspection.probabilities)
    columns = [part for part in parts if part.name.startswith("output")]
    scores = [part.key.score for part in columns]
    assert np.ptp(inspection.scores) > 9  # or the temperature would hardly matter
    np.testing.assert_allclose(np.array(scores, float), inspection.scores, atol=0.0501 if "." in scores[0] else 0.501)
    np.testing.assert_allclose(softmax(inspection.scores[None])[0], inspection.probabilities, rtol=1e-5)
    for part, score in zip(columns, scores, strict=True):
        assert type_.width(score, part.key.size) < part.rect.width


def test_a_grey_picture_is_shown_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    pixels = pygame.surfarray.array3d(grey_surface(image))
    np.testing.assert_array_equal(pixels, np.stack(3 * [image.T], axis=-1))


def test_words_fit_where_they_should():
    type_ = Type()
    assert type_.fitted("short", 20, 500) == "short"
    shorter = type_.fitted("a long line of words that goes on", 20, 100)
    assert shorter.endswith("…") and type_.width(shorter, 20) <= 100
    lines = type_.wrapped("a long line of words that goes on", 20, 100)
    assert " ".join(lines) == "a long line of words that goes on"
    assert all(type_.width(line, 20) <= 100 for line in lines)
    lines = type_.wrapped("four words of length", 20, type_.width("four words of", 20))
    assert lines == ["four words", "of length"]  # not "length" by itself


def test_words_and_fonts_that_are_kept_have_a_bound():
    type_ = Type()
    for height in range(1, 3 * Type.MOST_FONTS):
        type_.image(f"numbers like {height}", height, "black")
        assert 0 < sum(math.prod(image.get_size()) for image in type_._words.values()) <= Type.MOST_PIXELS
        assert 0 < len(type_._fonts) <= Type.MOST_FONTS
    for number in range(2 * Type.MOST_CACHED):
        type_.image(f"{number}", 8, "black")
        assert 0 < len(type_._words) <= Type.MOST_CACHED
    assert type_.image("3999", 8, "black") is type_.image("3999", 8, "black")


# Screenshots


def screenshot(tmp_path, weights, strokes, *options, size="900x600"):
    """Take a screenshot with the command, from strokes as a JSON file; return its path."""
    source, path = tmp_path / "strokes.json", tmp_path / "pad.png"
    source.write_text(json.dumps([np.asarray(stroke).tolist() for stroke in strokes]))
    command = ["draw", "--weights", weights, "--strokes", str(source), "--screenshot", str(path), "--size", size]
    assert main([*command, *options]) == 0
    return path


@pytest.mark.parametrize("size", [(640, 480), (900, 600), (1600, 1000)])
def test_a_screenshot_shows_the_strokes_and_what_the_network_sees(tmp_path, weights, size):
    strokes = digit_strokes(3, np.random.default_rng(1))
    path = screenshot(tmp_path, weights, strokes, size=f"{size[0]}x{size[1]}")
    places = layout(size)
    sheet = picture_region(path, places.sheet)
    ink = (sheet == pygame.Color(LIGHT.ink)[:3]).all(axis=-1)
    assert 0.01 < ink.mean() < 0.3
    rows, columns = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    for found, length in ((rows, places.sheet.height), (columns, places.sheet.width)):  # in the middle, and large
        assert (found[0] + found[-1]) / 2 == pytest.approx(length / 2, abs=3)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.6 * min(places.sheet.size)
    whole = places.seen.height // 28
    seen = picture_region(path, places.seen)[: places.seen.height]
    seen = seen[whole // 2 :: whole, whole // 2 :: whole, 0].T
    assert np.abs(seen.astype(int) - raster.mnist_image(strokes)).max() <= 1
    assert count(picture_region(path, places.answer), LIGHT.accent) > 200


@pytest.mark.parametrize("strokes", [[], [[]]])
def test_a_screenshot_of_an_empty_pad_gives_no_answer(tmp_path, weights, strokes):
    path = screenshot(tmp_path, weights, strokes)
    places = layout(SIZE)
    sheet = picture_region(path, places.sheet)
    assert sheet[..., 0].size > count(sheet, LIGHT.paper) > 0.97 * sheet[..., 0].size  # but for "draw a digit"
    assert count(picture_region(path, places.answer), LIGHT.accent) == 0
    assert count(picture_region(path, places.bars), LIGHT.accent) == 0
    assert count(picture_region(path, places.seen), LIGHT.track) == places.seen.height**2


def test_a_screenshot_shows_the_panels_and_the_theme_that_were_asked_for(tmp_path, weights, capsys):
    strokes = digit_strokes(3, np.random.default_rng(1))
    plain = picture_region(screenshot(tmp_path, weights, strokes), layout(SIZE).sheet)
    why = picture_region(screenshot(tmp_path, weights, strokes, "--saliency"), layout(SIZE).sheet)
    assert count(plain, LIGHT.ink) > 1000 > 500 > count(why, LIGHT.ink)
    dark = picture_region(screenshot(tmp_path, weights, strokes, "--theme", "dark"), layout(SIZE).sheet)
    assert count(dark, THEMES["dark"].ink) == count(plain, LIGHT.ink)
    inside = picture_region(screenshot(tmp_path, weights, strokes, "--inside"), layout(SIZE, inside=True).inside)
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) > 200
    assert main(["draw", "--weights", weights, "--inside"]) == 2
    assert "in the window press F" in capsys.readouterr().err


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"", "it is not a JSON file"),
        (b"0,0 50,80", "it is not a JSON file"),
        (b"\xff\xfe\x00", "it is not a JSON file"),
        (b"[" * 100_000, "it is not a JSON file"),
        (b'{"strokes": []}', "expected a list of strokes"),
        (b"[[1, 2], [3, 4]]", "expected a list of strokes"),
        (b"[[[1, 2, 3]]]", "expected a list of strokes"),
        (b'[[["1", "2"]]]', "expected a list of strokes"),
        (b"[[[true, 2]]]", "expected a list of strokes"),
        (b"[[], [[1, 2], [NaN, 4]]]", "stroke 1 has a coordinate that is NaN, infinite or beyond"),
        (b"[[[1, 2], [1e999, 4]]]", "stroke 0 has a coordinate that is NaN, infinite or beyond"),
        (b"[[[1, 2], [3, 1e300]]]", "stroke 0 has a coordinate that is NaN, infinite or beyond"),
        (b"[[[1, 2], [3, 1" + 400 * b"0" + b"]]]", "too large"),
    ],
)
def test_a_bad_strokes_file_is_named_in_one_line(tmp_path, weights, capsys, content, complaint):
    source, path = tmp_path / "strokes.json", tmp_path / "pad.png"
    if content is not None:
        source.write_bytes(content)
    assert main(["draw", "--weights", weights, "--strokes", str(source), "--screenshot", str(path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("numcnn draw: ") and str(source) in err and complaint in err and err.count("\n") == 1
    assert not path.exists()


def test_a_screenshot_that_cannot_be_written_is_named(tmp_path, weights, capsys):
    path = tmp_path / "no folder" / "pad.png"
    assert main(["draw", "--weights", weights, "--screenshot", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"numcnn draw: --screenshot is {path}, which can't be written: No such file or directory; name another file\n"
    )


@pytest.mark.parametrize("size", ["900", "900x", "0x0", "100x600", "900x99999", "-900x600", "900x600x3"])
def test_a_size_that_is_none_is_refused(size, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["draw", f"--size={size}"])
    assert stopped.value.code == 2
    assert "must be WIDTHxHEIGHT in pixels, 480 to 8192, as 900x600" in capsys.readouterr().err


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_a_window_dragged_to_200_to_960_pixels_keeps_a_sheet_beside_a_training_run(inside, large):
    for size in itertools.product(range(200, 1000, 40), repeat=2):
        sheet = layout(size, inside, large, training=True).sheet
        assert min(sheet.size) > 0, f"{size}: {sheet}"
