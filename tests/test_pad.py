"""The pad's canvas.  The window is in test_pad_window.py, how it looks in test_pad_view.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numcnn
from numcnn import raster
from numcnn.data.strokes import digit_strokes
from numcnn.errors import DataError, ShapeError
from numcnn.pad import Canvas

ROOT = Path(numcnn.__file__).parents[1]
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


def test_pygame_waits_for_the_window():
    code = "import numcnn, numcnn.pad.canvas, numcnn.commands.draw, sys; print('pygame' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"
