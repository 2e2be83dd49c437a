"""The ink on the sheet is a smooth curve through the points of a stroke."""

from itertools import pairwise

import numpy as np
import pygame
import pytest

from numcnn.pad import Canvas
from numcnn.pad.drawing.ink import Ink, curve
from numcnn.pad.drawing.layout import place


def around(count, radius=100):
    turns = np.linspace(0, 2 * np.pi, count)
    return radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)


def test_a_circle_of_a_few_points_is_round_and_passes_through_them():
    points = around(13)
    made = curve(points, 0, 12, 10)
    inner = np.hypot(*curve(points, 1, 11, 10).T)
    chord = 100 * np.cos(np.pi / 12)  # how near the middle of a straight piece comes to the centre
    assert np.abs(inner - 100).max() < 0.2 * (100 - chord)
    for point in points:
        assert np.hypot(*(made - point).T).min() < 1e-9


@pytest.mark.parametrize("turn", [(0, 40), (-40, 0), (-30, 30)])
def test_a_sharp_corner_stays_one(turn):
    points = np.array([(0.0, 0), (40, 0), np.add((40, 0), turn)])
    made = curve(points, 0, 2, 8)
    first, second = made[: len(made) // 2], made[len(made) // 2 :]
    assert (first[:, 1] == 0).all() and (made == points[1]).all(axis=1).any()
    along = (second - points[1]) @ np.array([turn[1], -turn[0]])
    np.testing.assert_allclose(along, 0, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 2, 5, 40])
def test_ink_that_grows_looks_like_ink_drawn_at_once(batch):
    points = 280 + np.random.default_rng(3).normal(0, 14, (40, 2)).cumsum(axis=0)
    canvas, sheet = Canvas(560, 560), pygame.Rect(0, 0, 560, 560)
    canvas.stroke([(50, 50), (500, 470)])  # ink below it, which must not suffer
    ink, where = Ink(), place(canvas, sheet)
    canvas.begin(*points[0])
    for start in range(1, len(points), batch):
        for point in points[start : start + batch]:
            canvas.extend(*point)
        before = pygame.surfarray.array_alpha(ink.layer) if ink.layer.get_width() else np.zeros((560, 560))
        changed = ink.update(canvas.strokes, where, 12, (0, 0, 0))
        differ = before != pygame.surfarray.array_alpha(ink.layer)
        differ[changed.left : changed.right, changed.top : changed.bottom] = False
        assert not differ.any()  # what has changed is reported
    afresh = Ink()
    afresh.update(canvas.strokes, where, 12, (0, 0, 0))
    grown, whole = (pygame.surfarray.array_alpha(each.layer).astype(int) for each in (ink, afresh))
    assert whole.max() == 255 and np.abs(grown - whole).max() <= 30
    alone = ink.alpha_of([canvas.strokes[1]], sheet).astype(int)
    assert alone.max() == 255 and (alone <= grown).all() and (alone < grown).any()


def test_a_stroke_is_rounded_on_the_screen_and_not_for_the_network():
    corners = 280 + around(9, 150)
    one, other = Canvas(560, 560), Canvas(560, 560)
    one.stroke(corners)
    other.stroke(np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(corners)]))
    np.testing.assert_allclose(one.prepared().astype(int), other.prepared(), atol=2)
    sheet, layers = pygame.Rect(0, 0, 560, 560), []
    for canvas in (one, other):
        ink = Ink()
        ink.update(canvas.strokes, place(canvas, sheet), 10, (0, 0, 0))
        layers.append(pygame.surfarray.array_alpha(ink.layer))
    assert (layers[0] != layers[1]).mean() > 0.005
