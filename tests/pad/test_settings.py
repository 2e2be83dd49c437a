"""What the pad remembers from one start to the next of how it was set up."""

import json

import pygame
import pytest
from pads import press, settle, small

from numcnn.pad import app, store
from numcnn.pad.background import BackgroundTasks
from numcnn.pad.drawing.theme import THEMES

pytestmark = pytest.mark.usefixtures("no_display")


@pytest.fixture
def start():
    """Give a function that starts the pad as ``numcnn draw`` does, a running one being closed before."""
    pads = []

    def started(**settings):
        while pads:
            pads.pop().close()
        pads.append(app.Pad(small(), (640, 480), tasks=BackgroundTasks(settings=store.Settings()), **settings))
        assert pads[-1].step()
        return pads[-1]

    yield started
    for pad in pads:
        pad.close()


def ground():
    """Return the name of the theme that is on the screen."""
    color = pygame.display.get_surface().get_at((2, 2))
    return {tuple(pygame.Color(theme.background)): name for name, theme in THEMES.items()}[tuple(color)]


def test_theme_and_brush_are_as_they_were_left(start):
    pad = start()
    assert ground() == "light" and pad.scene.pen == app.PEN
    press(pad, pygame.K_d)
    settle(pad)
    assert json.loads(store.Settings().path.read_text()) == {"theme": "dark"}  # long before the end
    press(pad, pygame.K_RIGHTBRACKET)
    pen = pad.scene.pen
    again = start()
    assert ground() == "dark" and again.scene.pen == pen > app.PEN
    press(again, pygame.K_d)
    start()
    assert ground() == "light"


def test_a_pad_keeps_only_what_was_set_in_it(start):
    start()
    start()  # closes the one before, in which nothing was set
    assert not store.Settings().path.exists()
    store.Settings().change({"theme": "dark", "pen": 0.05})  # another pad
    start()
    assert store.Settings().read() == {"theme": "dark", "pen": 0.05}
    pad = start()
    press(pad, pygame.K_RIGHTBRACKET)
    pen = pad.scene.pen
    store.Settings().change({"theme": "light"})
    start()
    assert store.Settings().read() == {"theme": "light", "pen": pen}


def test_settings_that_cannot_be_kept_when_the_pad_closes_are_handed_on_to_be_reported(start):
    store.make_home()
    pad = start()
    press(pad, pygame.K_RIGHTBRACKET)
    store.Settings().path.mkdir()
    start()
    (reported,) = pad.tasks.lost
    assert reported.startswith(f"cannot use {store.Settings().path}: ")


def test_a_theme_that_is_asked_for_comes_before_the_kept_one_and_does_not_replace_it(start):
    store.Settings().change({"theme": "dark"})
    start(theme="light")
    assert ground() == "light"
    start()
    assert ground() == "dark"


def test_a_drawing_to_begin_with_has_the_brush_that_suits_it(start):
    store.Settings().change({"pen": app.PENS[1]})
    assert start(strokes=[[(0, 0), (1, 9)]]).scene.pen == app.PEN


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"theme": 3, "pen": "thick"}', '{"theme": ["dark"], "pen": NaN}', '{"theme": "pink", "pen": 1e9}'],
)
def test_damaged_settings_are_as_good_as_none(start, content):
    store.make_home()
    store.Settings().path.write_text(content)
    pad = start()
    assert ground() == "light" and pad.scene.pen == app.PEN and pad.scene.toast is None


def test_settings_that_cannot_be_kept_are_a_message(start):
    store.make_home()
    store.Settings().path.mkdir()
    pad = start()
    press(pad, pygame.K_d)
    settle(pad)
    assert ground() == "dark"
    assert pad.scene.toast.kind == "bad" and str(store.Settings().path) in pad.scene.toast.words
