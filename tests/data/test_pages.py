"""Pages: the truth says what stands on a picture and where, the same arguments give the same picture, and every
condition makes the difficulty that it names."""

import numpy as np
import pytest

from numcnn.data import hands, page_conditions, pages
from numcnn.data.page_conditions import CONDITIONS
from numcnn.data.page_subjects import SUBJECTS
from numcnn.errors import ConfigError
from numcnn.imaging import photo

HAND = hands.Generated()


def make(kind="row", condition="clean", number=0, **more):
    return pages.make(kind, condition, HAND, number=number, **more)


def several(kind, condition, count=8):
    return list(pages.sheets(kind, condition, HAND, count))


def drawn_on_screen(kind, count):
    """Return clean pictures that are black on white, without noise."""
    found = []
    for number in range(100):
        sheet = make(kind, number=number)
        if sheet.picture.ndim == 2 and len(np.unique(sheet.picture[[0, -1]])) == 1 and sheet.picture[0, 0] == 255:
            found.append(sheet)
        if len(found) == count:
            return found
    raise AssertionError("there are too few")


def grey(picture):
    return picture.astype(float) if picture.ndim == 2 else 255 * photo.luminance(picture / np.float32(255))


def inside(sheet):
    """Return which pixels lie in a digit's box."""
    boxes = np.zeros(sheet.picture.shape[:2], bool)
    for x, y, width, height in (digit.box for digit in sheet.digits):
        boxes[y : y + height, x : x + width] = True
    return boxes


# The truth


@pytest.mark.parametrize("kind", pages.KINDS)
def test_a_kind_has_as_many_lines_and_digits_as_it_says(kind):
    limits = pages.KINDS[kind]
    for sheet in several(kind, "clean", 5):
        assert limits.lines[0] <= len(sheet.lines) <= limits.lines[1]
        assert all(limits.digits[0] <= len(line) <= limits.digits[1] for line in sheet.lines)
        assert sheet.text.split("\n") == sheet.lines and sheet.picture.dtype == np.uint8
        assert (sheet.kind, sheet.condition) == (kind, "clean")
        assert [digit.line for digit in sheet.digits] == sorted(digit.line for digit in sheet.digits)


@pytest.mark.parametrize("kind", ["digit", "row", "page"])
def test_boxes_hold_all_ink_and_are_tight(kind):
    for sheet in drawn_on_screen(kind, 3):
        ink = sheet.picture < 250
        assert not ink[~inside(sheet)].any()
        for x, y, width, height in (digit.box for digit in sheet.digits):
            own = sheet.picture[y : y + height, x : x + width] < 255
            rows, columns = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
            assert rows[0] <= 1 and rows[-1] >= height - 2 and columns[0] <= 1 and columns[-1] >= width - 2


def test_digits_stand_in_reading_order():
    for sheet in several("page", "clean", 4):
        middles = np.array([(y + h / 2, x + w / 2) for x, y, w, h in (digit.box for digit in sheet.digits)])
        lines = np.array([digit.line for digit in sheet.digits])
        for line in range(lines.max() + 1):
            assert (np.diff(middles[lines == line, 1]) > 0).all()
        tops = [middles[lines == line, 0].mean() for line in range(lines.max() + 1)]
        assert (np.diff(tops) > 0).all()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_boxes_lie_in_the_picture_where_something_is_written(condition):
    for sheet in several("row", condition, 4):
        height, width = sheet.picture.shape[:2]
        colours = np.atleast_3d(sheet.picture).astype(float)
        for x, y, w, h in (digit.box for digit in sheet.digits):
            assert 0 <= x < x + w <= width and 0 <= y < y + h <= height
            assert colours[y : y + h, x : x + w].std(axis=(0, 1)).max() > 2


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_arguments_give_the_same_picture_and_others_another(condition):
    one, *others = (make(condition=condition, **more) for more in ({}, {"number": 1}, {"seed": 1}, {"kind": "digit"}))
    again = next(iter(pages.sheets("row", condition, HAND, 1)))
    np.testing.assert_array_equal(one.picture, again.picture)
    assert one.digits == again.digits
    for other in others:
        assert other.picture.shape != one.picture.shape or (other.picture != one.picture).any()


def test_wrong_names_and_strengths_are_refused():
    with pytest.raises(ConfigError, match="there is no kind 'book' of pages; choose one of digit, row,"):
        make("book")
    with pytest.raises(ConfigError, match="there is no condition 'rain'; choose one of clean, shadow edge,"):
        make(condition="rain")
    with pytest.raises(ConfigError, match=r"strength is 1\.5; wants 0 to 1"):
        make(strength=1.5)


# The conditions


def test_a_shadow_makes_two_papers_and_a_slope_many():
    def tones(condition):
        """Return the light of clean paper: the largest values of 8 x 8 parts of each picture, darkest and lightest."""
        found = []
        for sheet in several("digit", condition, 10):
            picture = grey(sheet.picture)
            rows, columns = (np.array_split(np.arange(side), 8) for side in picture.shape)
            parts = [picture[np.ix_(r, c)].max() for r in rows for c in columns]
            found.append(min(parts) / max(parts))
        return np.median(found)

    assert tones("clean") > 0.85
    for condition in ("shadow edge", "vignette", "slope of light"):
        assert tones(condition) < 0.8, condition


@pytest.mark.parametrize("condition", ["ruled", "squared", "thin grid", "framed cells", "table"])
def test_lines_are_printed_beyond_the_digits(condition):
    for sheet in several("row", condition, 5):
        paper = grey(sheet.picture)
        rows = np.median(paper, axis=1)  # a line all across shows in the median of its row
        columns = np.sort(paper, axis=1)[:, paper.shape[1] // 4]
        assert rows.max() - min(rows.min(), columns.min()) > 12


def test_equal_luminance_shows_in_colour_only():
    for sheet in several("digit", "equal luminance"):
        assert sheet.picture.ndim == 3
        x, y, w, h = sheet.digits[0].box
        part = sheet.picture[y : y + h, x : x + w].astype(float)
        paper = np.median(sheet.picture[: max(1, y // 2)].reshape(-1, 3), axis=0)
        distance = np.sqrt(((part - paper) ** 2).sum(axis=2))
        ink = part[distance > 0.8 * np.quantile(distance, 0.99)].mean(axis=0)
        assert np.linalg.norm(ink - paper) > 60
        assert abs((ink - paper) @ photo.LUMINANCE) < 14


def test_light_on_dark_is_lighter_and_all_others_are_darker():
    for condition in ("clean", "light on dark", "felt pen", "faint pencil"):
        for sheet in several("digit", condition, 5):
            x, y, w, h = sheet.digits[0].box
            own, paper = grey(sheet.picture)[y : y + h, x : x + w], np.median(grey(sheet.picture))
            darker, lighter = paper - np.quantile(own, 0.02), np.quantile(own, 0.98) - paper
            assert (lighter > darker) == (condition == "light on dark")


def test_sizes_are_what_the_conditions_say():
    def heights(condition):
        return [sheet.digits[0].box[3] for sheet in several("digit", condition)]

    assert max(heights("low resolution")) <= 28
    for sheet in several("digit", "large sheet"):
        assert max(sheet.digits[0].box[2:]) < 0.2 * max(sheet.picture.shape[:2])
    fat, thin = (np.mean([plan(condition).pen for _ in range(10)]) for condition in ("felt pen", "faint pencil"))
    assert fat > 2 * thin


def plan(condition, seed=0):
    rng = np.random.default_rng(seed)
    made = page_conditions.plain(rng)
    CONDITIONS[condition](made, 1.0, rng)
    return made


def test_a_turned_sheet_turns_by_up_to_5_degrees_and_a_tilted_one_by_up_to_15():
    turns = [abs(np.rad2deg(plan("turned", seed).turn)) for seed in range(20)]
    assert max(turns) == pytest.approx(5) and min(turns) == pytest.approx(5)
    tilts = [np.rad2deg(np.hypot(*plan("perspective", seed).tilt)) for seed in range(20)]
    np.testing.assert_allclose(tilts, 15)
    desks = [plan("perspective", seed).desk is not None for seed in range(40)]
    assert 5 < sum(desks) < 35


def test_projection_keeps_lines_straight_and_makes_the_far_side_smaller():
    layout = pages.Layout([], [], [], 400.0, 300.0)
    tilted = plan("perspective", 4)
    tilted.turn, tilted.tilt, tilted.desk = 0.0, (np.deg2rad(15), 0.0), None
    view = pages._view(layout, tilted, np.random.default_rng(0))
    top, bottom = view.corners[1] - view.corners[0], view.corners[2] - view.corners[3]
    assert abs(np.hypot(*top) / np.hypot(*bottom) - 1) > 0.05
    line = view.project(np.linspace((0, 0), (400, 300), 9))
    (along,) = np.linalg.svd(line - line.mean(axis=0), full_matrices=False)[1:2]
    assert along[1] < 1e-9 * along[0]
    assert not view.straight and pages._view(layout, plan("clean"), np.random.default_rng(0)).straight


def test_dust_holes_and_cut_digits_lie_outside_the_boxes():
    """There is no ink beyond the boxes on a clean picture; these conditions put some there."""
    for condition in ("dust", "holes and staple", "cut neighbours", "scanner border"):
        dark = 0
        for sheet in several("digit", condition, 10):
            beyond = grey(sheet.picture)[~inside(sheet)]
            dark += (beyond < 0.75 * np.median(beyond)).mean() > 1e-4
        assert dark >= 8, condition


def test_cut_neighbours_lie_on_the_edge():
    for sheet in several("digit", "cut neighbours", 6):
        picture = grey(sheet.picture)
        ring = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert ring.min() < 0.75 * np.median(picture)
        x, y, w, h = sheet.digits[0].box
        assert x > 0 and y > 0 and x + w < picture.shape[1] and y + h < picture.shape[0]


def test_cells_hold_their_digits_and_some_touch_the_frame():
    touched = 0
    for seed in range(30):
        own = plan("framed cells", seed)
        own.cells.style = "joined"
        layout = pages._composed([[1, 2, 3], [4, 5, 6]], [], own, HAND, np.random.default_rng(seed))
        frame = np.concatenate(layout.frames) / own.unit
        for one in layout.placed:
            points = np.concatenate(one.strokes) / own.unit
            over = np.maximum(frame.min(axis=0) - points.min(axis=0), points.max(axis=0) - frame.max(axis=0))
            assert over.max() < 2 * own.pen
        edges = np.unique(np.round(frame[:, 1], 6))
        for one in layout.placed:
            y = np.concatenate(one.strokes)[:, 1] / own.unit
            touched += min(np.abs(edges - y.min()).min(), np.abs(edges - y.max()).min()) < own.pen / 2
    assert 5 < touched < 120  # of 180, at full strength about 0.4 times the half of them that goes up or down


# No digits


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_is_a_picture_without_digits(subject):
    pictures = [make(subject, number=number) for number in range(3)]
    for sheet in pictures:
        assert sheet.digits == () and sheet.text == "" and sheet.lines == []
        assert min(sheet.picture.shape[:2]) >= 8
    marked = max(np.ptp(photo.blur(np.atleast_3d(grey(sheet.picture) / 255), 1.0)) for sheet in pictures)
    assert (marked > 0.15) == (subject != "blank paper")
