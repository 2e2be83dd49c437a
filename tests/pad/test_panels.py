"""That nothing in the window overlaps or is cut off, at every size and in both themes."""

import numpy as np
import pygame
import pytest
from pads import SIZES
from recording import Recorder, RecordingType, assert_apart, assert_parts_apart

import numcnn
from numcnn.data.generated import digit_strokes
from numcnn.pad import keys, still
from numcnn.pad.drawing import overlays
from numcnn.pad.drawing.layout import layout
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.drawing.view import Scene, View
from numcnn.recognition.reading import Recognizer

UPRIGHT = 1080, 1920  # a screen on its side


@pytest.fixture(autouse=True)
def fonts():
    pygame.font.init()


@pytest.fixture(scope="module")
def network():
    return numcnn.load(backend="reference")


def drawn(network, size, strokes, large=False, **settings):
    """Draw a scene; return the texts [(words, Rect, height)] and the pictures [Rect] on it."""
    recognizer, canvas = Recognizer(network), still.fitted_canvas(strokes)
    scene = Scene(canvas, recognizer.read(canvas), **settings)
    scene.focus = len(scene.readings) - 1 if scene.readings else None
    still.complete(scene, recognizer)
    scene.bars = still.lengths(scene)
    surface, view = Recorder(size), View(RecordingType())
    places = layout(size, scene.inside, large)
    view.draw(surface, scene, places, still.place_of(scene, places))
    return view.type.written, surface.pictures


def seven():
    return digit_strokes(7, np.random.default_rng(2))


def row():
    return [
        60 * stroke + [130 * i, 0]
        for i, d in enumerate((2, 0, 2, 6))
        for stroke in digit_strokes(d, np.random.default_rng(i))
    ]


@pytest.mark.parametrize("size", [*SIZES, UPRIGHT])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("drawing", [list, seven, row])
def test_no_text_or_picture_overlaps_another_or_is_cut(network, size, inside, large, drawing):
    texts, pictures = drawn(network, size, drawing(), large, inside=inside)
    assert len(texts) > 15 and (not inside or len(pictures) > 10)
    assert_apart(pygame.Rect(0, 0, *size), texts, pictures)
    if large:
        assert min(height for _, _, height in texts) >= 0.03 * min(size[1], 1.25 * size[0])


@pytest.mark.parametrize("size", [*SIZES, UPRIGHT])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_message_is_whole_also_where_the_sheet_is_small(size, large, training):
    type_, places = RecordingType(), layout(size, training, large, training)
    shown = overlays.Toast("learning rate 0.012; - and + change it, Enter starts again")
    rect, draw, _ = overlays.toast(type_, THEMES["dark"], places, shown, legend=True)
    texts, _ = assert_parts_apart([Part("toast", rect, (), draw)], size, type_, pygame.Rect(0, 0, *size))
    assert " ".join(word for word, _, _ in texts) == shown.words
    assert min(area.left for _, area, _ in texts) >= places.sheet.left


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("mode", keys.LISTS)
def test_the_lists_of_keys_are_whole_and_those_of_the_mode_come_first(size, large, mode):
    type_, places = RecordingType(), layout(size, False, large)
    rect, draw = overlays.help_card(type_, THEMES["dark"], places, mode)
    texts, _ = assert_parts_apart([Part("help", rect, (), draw)], size, type_, pygame.Rect(0, 0, *size))
    title, rows = keys.LISTS[mode]
    assert [word for word, _, _ in texts][: 2 * len(rows) + 1] == [title, *(w for row in rows for w in row[:2])]
    everything = 3 + 2 * sum(len(rows) for _, rows in keys.LISTS.values())
    assert len(texts) in (everything, 2 * len(rows) + 1) and (large or size[0] < 700 or len(texts) == everything)
    if large:
        assert min(height for _, _, height in texts) >= 0.03 * size[1]
