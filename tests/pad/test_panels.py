"""That nothing in the window overlaps or is cut off, at every size and in both themes."""

import numpy as np
import pygame
import pytest

import numcnn
from numcnn.data.generated import digit_strokes
from numcnn.pad import still
from numcnn.pad.drawing.layout import layout
from numcnn.pad.drawing.theme import Type
from numcnn.pad.drawing.view import Scene, View
from numcnn.recognition.reading import Recognizer

SIZES = [(500, 350), (700, 900), (1300, 420), (1600, 1000), (3840, 2160)]
TOUCHING = 2  # pixels: so far may two Rects reach into each other


class Recorder(pygame.Surface):
    """A surface that notes each whole picture or word that is blitted to it, and where."""

    def __init__(self, size):
        super().__init__(size)
        self.blitted = []

    def blit(self, source, dest=(0, 0), area=None, special_flags=0):
        rect = source.get_rect(topleft=dest if len(dest) == 2 else dest[:2])
        if area is None and not source.get_flags() & pygame.SRCALPHA:
            self.blitted.append(("picture", rect))
        return super().blit(source, dest, area, special_flags)


class RecordingType(Type):
    """Type that notes what it writes, where and how high."""

    def __init__(self):
        super().__init__()
        self.written = []

    def write(self, surface, words, height, color, bold=False, **anchor):
        rect = super().write(surface, words, height, color, bold, **anchor)
        if words:
            ink = self.image(words, height, color, bold).get_bounding_rect().move(rect.topleft)
            self.written.append((words, ink, height))
        return rect


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
    return view.type.written, [rect for _, rect in surface.blitted]


def assert_apart(size, texts, pictures):
    """Check that no text or picture overlaps another or leaves the window."""
    window = pygame.Rect(0, 0, *size)
    things = [(f"{words!r}", rect) for words, rect, _ in texts] + [("a picture", rect) for rect in pictures]
    for i, (name, rect) in enumerate(things):
        assert window.contains(rect), f"{name} at {rect} is cut at {size}"
        for other, there in things[i + 1 :]:
            shared = rect.clip(there)
            assert min(shared.size) <= TOUCHING, f"{name} at {rect} overlaps {other} at {there} at {size}"
    for words, _, _ in texts:
        assert "…" not in words, f"{words!r} is cut at {size}"


def seven():
    return digit_strokes(7, np.random.default_rng(2))


def row():
    return [
        60 * stroke + [130 * i, 0]
        for i, d in enumerate((2, 0, 2, 6))
        for stroke in digit_strokes(d, np.random.default_rng(i))
    ]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("drawing", [list, seven, row])
def test_no_text_or_picture_overlaps_another_or_is_cut(network, size, inside, large, drawing):
    texts, pictures = drawn(network, size, drawing(), large, inside=inside)
    assert len(texts) > 15 and (not inside or len(pictures) > 10)
    assert_apart(size, texts, pictures)
    if large:
        assert min(height for _, _, height in texts) >= 0.03 * size[1]
