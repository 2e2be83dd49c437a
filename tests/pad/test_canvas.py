"""The canvas: strokes in, pictures out, whatever the size; eraser against brute force; undo against a plain history."""

from itertools import pairwise

import numpy as np
import pytest

import numcnn
from numcnn.data.generated import digit_strokes
from numcnn.errors import ConfigError, DataError, ShapeError
from numcnn.imaging import raster
from numcnn.pad import Canvas
from numcnn.pad import canvas as canvas_module

LINE = [(100.0, 100.0), (120.0, 300.0), (300.0, 320.0)]


def test_a_blank_canvas_prepares_nothing_and_a_drawn_one_what_the_brush_makes_of_it():
    canvas = Canvas(400, 400)
    assert canvas.prepared() is None
    canvas.stroke(LINE)
    np.testing.assert_array_equal(canvas.prepared(), raster.mnist_image([LINE]))
    assert canvas.prepared().dtype == np.uint8 and canvas.prepared().max() == 255


def test_place_and_size_of_a_drawing_do_not_matter():
    large, little = Canvas(400, 400), Canvas(400, 400)
    for stroke in digit_strokes(5, np.random.default_rng(0)):
        large.stroke(200 + 150 * stroke)
        little.stroke(50 + 20 * stroke)
    assert np.abs(large.prepared().astype(int) - little.prepared()).max() <= 1


def test_a_single_dot_counts():
    canvas = Canvas(400, 400)
    canvas.begin(30, 30)
    canvas.end()
    assert canvas.strokes == ([(30, 30)],)
    assert canvas.prepared().max() == 255


def test_the_pen_draws_only_while_it_is_down_and_repeats_no_point():
    canvas = Canvas(400, 400)
    canvas.extend(1, 1)
    assert canvas.strokes == () and not canvas.drawing
    canvas.begin(1, 2)
    for _ in range(3):
        canvas.extend(3, 4)
    assert canvas.drawing
    canvas.end()
    canvas.extend(5, 6)
    assert canvas.strokes == ([(1, 2), (3, 4)],)


def test_undo_and_redo_go_through_strokes_and_clearings():
    canvas = Canvas(400, 400)
    canvas.undo()
    canvas.redo()
    canvas.clear()
    assert canvas.strokes == () and canvas.revision == 0
    canvas.stroke(LINE)
    canvas.stroke([(5, 5)])
    canvas.clear()
    assert canvas.strokes == ()
    canvas.undo()
    assert canvas.strokes == (LINE, [(5, 5)])
    canvas.undo()
    assert canvas.strokes == (LINE,)
    canvas.redo()
    canvas.redo()
    canvas.redo()
    assert canvas.strokes == ()
    canvas.undo()
    canvas.stroke([(6, 6)])
    canvas.redo()  # a new stroke closes the way forward
    assert canvas.strokes == (LINE, [(5, 5)], [(6, 6)])


@pytest.mark.parametrize("change", [Canvas.undo, Canvas.clear, lambda canvas: canvas.stroke([(9, 9)])])
def test_what_happens_while_the_pen_is_down_lifts_it(change):
    canvas = Canvas(400, 400)
    canvas.begin(1, 1)
    canvas.extend(2, 2)
    change(canvas)
    before = canvas.strokes
    canvas.extend(50, 50)
    assert canvas.strokes == before and not canvas.drawing


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
def test_coordinates_that_are_no_place_are_refused_and_change_nothing(bad):
    canvas = Canvas(400, 400)
    canvas.begin(1, 1)
    for draw in (
        lambda: canvas.extend(bad, 3),
        lambda: canvas.begin(3, bad),
        lambda: canvas.stroke([(1, 1), (2, bad)]),
    ):
        with pytest.raises(DataError, match="stroke 0 has a coordinate that is NaN, infinite or beyond"):
            draw()
        assert canvas.strokes == ([(1, 1)],) and canvas.revision == 1
    with pytest.raises(ShapeError, match=r"a stroke is an \(n,2\) array"):
        canvas.stroke([1, 2, 3])
    canvas.stroke([])
    assert canvas.revision == 1


@pytest.mark.parametrize("points", ["abc", [("a", "b")], [(1, 2), (3,)], [(10**400, 1)], {"x": 1}])
def test_what_is_no_list_of_points_is_refused_with_a_text_and_changes_nothing(points):
    canvas = Canvas(400, 400)
    with pytest.raises(DataError, match=r"stroke 0 is no list of x,y points, as in \[\(0, 0\)"):
        canvas.stroke(points)
    assert canvas.strokes == () and canvas.revision == 0


@pytest.mark.parametrize(
    ("size", "wrong"),
    [((0, 0), "width is 0"), ((-5, 3), "width is -5"), ((np.nan, 1), "width is nan"), (("a", 2), "width is 'a'"),
     ((3, np.inf), "height is inf"), ((3, None), "height is None")],
)  # fmt: skip
def test_a_sheet_without_a_size_is_refused(size, wrong):
    with pytest.raises(ConfigError, match=f"the canvas's {wrong}: it must be a number of pixels above 0"):
        Canvas(*size)


def test_a_size_may_be_any_kind_of_number():
    assert Canvas(0.5, np.float32(3)).height == Canvas(np.int64(3), 3).width == 3


# Which strokes make a digit

THREE, STEM = [(0, 0), (50, 10), (10, 45), (50, 80), (0, 100)], [(35, 0), (35, 100)]  # by their positions one digit


def test_a_network_is_asked_only_once_which_strokes_make_a_digit():
    seen, network = [], numcnn.load()

    def judge(images):
        seen.append(len(images))
        return network.predict_proba(images)

    canvas = Canvas(400, 400, judge)
    for points in (THREE, STEM):
        canvas.stroke(points)
    assert canvas.groups() == [(0,), (1,)] and seen == [3]  # each alone, and both
    canvas.stroke([(300, 0), (300, 100)])
    assert canvas.groups() == [(0,), (1,), (2,)] and seen == [3]
    canvas.undo()
    assert canvas.groups() == [(0,), (1,)] and seen == [3]
    np.testing.assert_array_equal(canvas.digits()[0], raster.mnist_image([THREE]))
    canvas.begin(37, 50)
    canvas.extend(37, 60)
    assert canvas.groups() and len(seen) > 1
    canvas.undo()
    canvas.ask(None)
    assert canvas.groups() == [(0, 1)]
    canvas.ask(judge)
    assert canvas.groups() == [(0,), (1,)]


# What the network sees


def test_a_fast_mouse_leaves_no_gaps_and_a_slow_one_changes_nothing():
    fast, slow = Canvas(560, 560), Canvas(560, 560)
    for stroke in digit_strokes(3, np.random.default_rng(1)):
        points = 280 + 200 * stroke
        fast.stroke(points)
        shares = np.linspace(0, 1, 20, endpoint=False)[:, None]
        slow.stroke(np.concatenate([*(a + shares * (b - a) for a, b in pairwise(points)), points[-1:]]))
    assert len(slow.strokes[0]) > 300
    assert np.abs(fast.prepared().astype(int) - slow.prepared()).max() <= 1


def test_a_bare_line_fills_the_height_and_a_dot_beside_it_is_ink():
    canvas = Canvas(560, 560)
    canvas.stroke([(300, 100), (300, 500)])
    rows, columns = (np.flatnonzero(canvas.prepared().any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) + 1 == 20 and np.ptp(columns) + 1 <= 4
    before = canvas.prepared().sum()
    canvas.stroke([(200, 100)])
    assert canvas.prepared().sum() > 1.05 * before
    assert np.ptp(np.flatnonzero(canvas.prepared().any(axis=0))) > 5


def test_digits_are_prepared_one_by_one_from_left_to_right():
    canvas = Canvas(1000, 400)
    digits = [digit_strokes(label, np.random.default_rng(label)) for label in (2, 0, 6)]
    for x in (2, 0, 1):  # the last one first
        for stroke in digits[x]:
            canvas.stroke(200 * stroke + (200 + 250 * x, 200))
    assert canvas.groups() == [(1,), (2,), (0,)]
    for digit, picture in zip(digits, canvas.digits(), strict=True):
        assert picture.dtype == np.uint8 and np.abs(picture.astype(int) - raster.mnist_image(digit)).max() <= 1
    for (left, top, right, bottom), digit, x in zip(canvas.boxes(), digits, range(3), strict=True):
        points = 200 * np.concatenate(digit) + (200 + 250 * x, 200)
        np.testing.assert_allclose([(left, top), (right, bottom)], [points.min(axis=0), points.max(axis=0)])


def test_a_blank_canvas_has_no_digits():
    canvas = Canvas(400, 400)
    assert canvas.groups() == canvas.digits() == canvas.boxes() == []


def test_what_is_computed_is_kept_until_something_changes():
    canvas = Canvas(400, 400)
    canvas.stroke(LINE)
    results = canvas.prepared(), canvas.groups(), canvas.digits(), canvas.boxes()
    again = canvas.prepared(), canvas.groups(), canvas.digits(), canvas.boxes()
    assert all(a is b for a, b in zip(results, again, strict=True))
    canvas.begin(390, 100)
    canvas.extend(390, 320)
    assert canvas.groups() == [(0,), (1,)] and len(canvas.boxes()) == 2
    canvas.undo()
    assert canvas.groups() == [(0,)]
    np.testing.assert_array_equal(canvas.prepared(), results[0])


# The eraser


def near(points, way, radius):
    """Tell which points (n,2) are within radius of a polyline (k,2)."""
    way = np.asarray(way, float)
    distances = [np.hypot(*(points - way[0]).T)]
    for a, b in pairwise(way):
        along = np.clip((points - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1)
        distances.append(np.hypot(*(points - a - along[:, None] * (b - a)).T))
    return np.min(distances, axis=0) <= radius


def samples(strokes, n=400):
    """Return points on every segment of strokes."""
    shares = np.linspace(0, 1, n)[:, None]
    return np.concatenate([a + shares * np.subtract(b, a) for s in strokes for a, b in pairwise(s)])


def test_the_eraser_cuts_a_stroke_in_two():
    canvas = Canvas(400, 400)
    other = [(0, 300), (400, 300)]
    canvas.stroke([(0, 100), (400, 100)])
    canvas.stroke(other)
    untouched = canvas.strokes[1]
    canvas.erase([(200, 50), (200, 150)], 20)
    np.testing.assert_allclose(canvas.strokes[0], [(0, 100), (180, 100)])
    np.testing.assert_allclose(canvas.strokes[1], [(220, 100), (400, 100)])
    assert canvas.strokes[2] is untouched and len(canvas.strokes) == 3
    canvas.erase([(190, 100)], 20)  # only the end of one is in reach
    np.testing.assert_allclose(canvas.strokes[0], [(0, 100), (170, 100)])
    canvas.erase([(0, 100), (400, 100)], 1)
    assert canvas.strokes == (untouched,)
    canvas.undo()
    canvas.undo()
    canvas.undo()
    assert canvas.strokes == ([(0, 100), (400, 100)], other)


@pytest.mark.parametrize("seed", range(20))
def test_exactly_what_is_in_the_eraser_s_reach_goes(seed):
    rng = np.random.default_rng(seed)
    strokes = [rng.uniform(0, 100, (rng.integers(2, 12), 2)) for _ in range(3)]
    strokes[0] = np.repeat(strokes[0], 2, axis=0)  # points that repeat
    way, radius = rng.uniform(0, 100, (rng.integers(1, 5), 2)), rng.uniform(2, 15)
    canvas = Canvas(100, 100)
    for stroke in strokes:
        canvas.stroke(stroke)
    canvas.erase(way, radius)
    assert not near(samples(canvas.strokes), way, radius - 1e-6).any()
    kept = samples(strokes)
    kept = kept[~near(kept, way, radius)]
    crumb = 0.1 * radius
    for part in canvas.strokes:
        kept = kept[~near(kept, part, 1e-6)]
    assert len(kept) == 0 or near(kept, way, radius + crumb).all()


def test_the_eraser_takes_dots_and_leaves_no_crumbs():
    canvas = Canvas(400, 400)
    canvas.stroke([(100, 100)])
    canvas.stroke([(200, 100)])
    canvas.stroke([(300, 100), (310.5, 100)])
    canvas.erase([(90, 100), (190, 100), (300, 100)], 10)
    assert canvas.strokes == ()
    canvas.undo()
    canvas.erase([(90, 100), (150, 100)], 10)
    assert canvas.strokes[0] == [(200, 100)] and len(canvas.strokes) == 2


def test_a_gesture_of_the_eraser_is_one_step_and_the_same_as_erasing_at_once():
    live, at_once = Canvas(400, 400), Canvas(400, 400)
    way = [(390, 10), (150, 90), (150, 250), (250, 330)]
    for canvas in (live, at_once):
        canvas.stroke(LINE)
        canvas.stroke([(50, 50), (50, 200)])
    live.begin_erase(*way[0], 30)
    assert live.erasing and not live.drawing and live.revision == 2
    for point in way[1:]:
        live.extend(*point)
    live.end()
    live.extend(50, 100)
    at_once.erase(way, 30)
    assert not live.erasing and live.strokes == at_once.strokes and len(live.strokes) == 3
    live.undo()
    assert live.strokes == (LINE, [(50, 50), (50, 200)])
    live.redo()
    assert live.strokes == at_once.strokes


def test_erasing_nothing_is_no_step_and_a_pen_put_down_lifts_the_eraser():
    canvas = Canvas(400, 400)
    canvas.erase([(10, 10)])
    canvas.stroke(LINE)
    canvas.undo()
    canvas.erase([], 5)
    canvas.begin_erase(390, 10)
    canvas.redo()  # nothing has changed since
    assert canvas.strokes == (LINE,) and not canvas.erasing
    canvas.begin_erase(390, 10)
    canvas.begin(5, 5)
    canvas.extend(110, 110)
    assert canvas.strokes == (LINE, [(5, 5), (110, 110)])


def test_the_eraser_s_own_radius_goes_by_the_sheet():
    for size in (100, 1000):
        canvas = Canvas(size, 2 * size)
        canvas.stroke([(0, size), (size, size)])
        canvas.erase([(size / 2, size)])
        np.testing.assert_allclose(canvas.strokes[0][-1], (0.44 * size, size))


def test_a_bad_place_or_radius_of_the_eraser_changes_nothing():
    canvas = Canvas(400, 400)
    canvas.stroke(LINE)
    for place in ([(np.nan, 3)], [(100, 100), (np.inf, 3)]):
        with pytest.raises(DataError, match="NaN, infinite or beyond"):
            canvas.erase(place, 50)
    canvas.begin_erase(390, 10, 30)
    with pytest.raises(DataError, match="NaN, infinite or beyond"):
        canvas.extend(100, np.nan)
    for radius in (0, -1, np.nan, np.inf):
        with pytest.raises(ConfigError, match=r"the eraser's radius is .*: it must be a number above 0"):
            canvas.begin_erase(100, 100, radius)
    assert canvas.strokes == (LINE,) and canvas.revision == 1


# Undo and redo


def test_a_storm_of_undo_and_redo_goes_through_the_same_states():
    rng = np.random.default_rng(0)
    canvas = Canvas(100, 100)
    history, now = [()], 0
    for action in rng.integers(0, 6, 500):
        revision = canvas.revision
        if action == 0:
            canvas.undo()
            now = max(now - 1, 0)
        elif action == 1:
            canvas.redo()
            now = min(now + 1, len(history) - 1)
        else:
            if action == 2 and rng.random() < 0.2:
                canvas.clear()
            elif action == 3:
                canvas.erase(rng.uniform(0, 100, (2, 2)), 3)
            else:
                canvas.stroke(rng.uniform(0, 100, (3, 2)))
            if canvas.strokes != history[now]:
                assert canvas.revision > revision
                history[now + 1 :] = [canvas.strokes]
                now += 1
        assert canvas.strokes == history[now]


def test_a_thousand_steps_are_remembered_and_share_their_strokes(monkeypatch):
    assert canvas_module.UNDO_STEPS == 1000
    monkeypatch.setattr(canvas_module, "UNDO_STEPS", 50)
    canvas = Canvas(100, 100)
    for i in range(80):
        canvas.stroke([(i, i), (i + 1, i)])
    strokes = canvas.strokes
    for _ in range(200):
        canvas.undo()
    assert len(canvas.strokes) == 30
    for _ in range(200):
        canvas.redo()
    assert len(canvas.strokes) == 80 and all(a is b for a, b in zip(canvas.strokes, strokes, strict=True))
