"""The pad's window: the real one, under SDL's dummy driver, with real events posted to it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pygame
import pytest
from conftest import COMPILED
from pads import SIZE, click, count, drag, mouse, press, region, settle, small, words
from PIL import Image
from processes import ROOT, wait_for

import numcnn
from numcnn.cli import main
from numcnn.data.generated import digit_strokes
from numcnn.errors import ConfigError
from numcnn.imaging import raster
from numcnn.pad import app, still, store
from numcnn.pad.background import BackgroundTasks
from numcnn.pad.drawing.layout import BUTTONS
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.keys import DRAWING
from numcnn.pad.learner import Learner

LIGHT = THEMES["light"]
NO_DISPLAY = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_display")]


@pytest.fixture
def pad(open_pad, tmp_path):
    return open_pad(tasks=BackgroundTasks(store.OwnSet(), store.Autosave(), tmp_path))


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "small.npz"
    small().save(path)
    return str(path)


def screen():
    return pygame.display.get_surface()


def sheet_of(pad):
    return pad.places().sheet


# Drawing


def test_a_stroke_by_mouse_is_drawn_read_and_shown(pad):
    places = pad.places()
    blank = {name: region(screen(), getattr(places, name)) for name in ("answer", "seen", "bars")}
    assert pad.scene.readings == () and count(blank["answer"], LIGHT.accent) == 0
    x, y = places.sheet.topleft
    drag(pad, (x + 150, y + 100), (x + 160, y + 250), (x + 170, y + 400))
    settle(pad)
    drawn = np.array(pad.canvas.strokes[0])
    np.testing.assert_allclose(np.diff(drawn, axis=0), np.array([(10, 150), (10, 150)]) / pad.where().scale)
    (reading,) = pad.scene.readings
    np.testing.assert_array_equal(reading.image, pad.canvas.prepared())
    np.testing.assert_allclose(
        reading.inspection.probabilities, pad.recognizer.network.predict_proba(reading.image)[0], atol=1e-6
    )

    sheet = region(screen(), places.sheet)
    assert count(sheet[155:157, 160:230], LIGHT.ink) > 100
    assert count(sheet[250:, :], LIGHT.paper) == sheet[250:, :, 0].size  # no ink, nor the hint, where nobody drew
    whole = places.seen.height // 28
    tile = region(screen(), places.seen)[: places.seen.height]
    np.testing.assert_array_equal(tile[whole // 2 :: whole, whole // 2 :: whole, 0].T, reading.image)
    assert count(region(screen(), places.answer), LIGHT.accent) > 200
    assert (region(screen(), places.bars) != blank["bars"]).any()


def test_a_dot_is_a_stroke_too(pad):
    drag(pad, sheet_of(pad).center)
    assert [len(stroke) for stroke in pad.canvas.strokes] == [1] and len(pad.scene.readings) == 1
    press(pad, pygame.K_w)  # a dot has no size to paint on, but that is no reason to fall over


def test_bars_move_gently_and_then_stand_still(pad):
    drag(pad, *[(x, 300) for x in range(150, 400, 50)])
    target = pad.scene.reading.inspection.probabilities
    assert pad.moving and np.abs(pad.scene.bars - target).max() > 0.01
    assert np.abs(pad.scene.bars).sum() > 0  # they have set out
    frames = 0
    while pad.moving:
        assert pad.step()
        frames += 1
    assert 1 < frames < 120  # at 60 a second: two seconds, where the machine keeps up
    settle(pad)
    np.testing.assert_allclose(pad.scene.bars, target, atol=1e-6)
    before = region(screen(), screen().get_rect())
    screen().fill("red")
    pad.step()  # at rest nothing is drawn at all
    assert count(region(screen(), screen().get_rect()), "red") == SIZE[0] * SIZE[1] < before.size


def test_drawing_bit_by_bit_looks_like_drawing_at_once(pad):
    sheet = sheet_of(pad)
    for stroke in digit_strokes(4, np.random.default_rng(2)):
        drag(pad, *((round(sheet.centerx + 120 * x), round(sheet.centery + 120 * y)) for x, y in stroke))
    settle(pad)
    live = region(screen(), sheet)
    pad.view = app.View()
    pad.step()
    afresh = region(screen(), sheet)
    assert count(live, LIGHT.ink) > 1000
    assert np.abs(live.astype(int) - afresh).max() <= 30


@pytest.mark.parametrize("size", [SIZE, (640, 480), (1100, 700), (500, 1200)])
def test_nothing_of_the_words_before_is_left_under_the_answer(open_pad, size):
    pad = open_pad(size)
    x, y = sheet_of(pad).center
    drag(pad, (x, y - 80), (x, y + 80))
    settle(pad)
    afresh = pygame.Surface(size)
    app.View().draw(afresh, pad.scene, pad.places(), pad.where())
    answer = pad.places().answer.inflate(0, pad.places().text)
    np.testing.assert_array_equal(region(screen(), answer), region(afresh, answer))


def test_every_key_and_button_has_an_action_and_every_action_a_key_or_button(pad):
    keys = {name for row in DRAWING for some in (row.keys, row.control, row.characters) for name in some.values()}
    names = {*keys, *filter(None, BUTTONS)}
    assert names == set(pad.actions) and all(map(callable, pad.actions.values()))


def test_keys_and_buttons_undo_redo_and_clear(pad):
    sheet, buttons = sheet_of(pad), pad.places().buttons
    x, y = sheet.center
    blank = region(screen(), sheet)
    drag(pad, (x, y - 100), (x + 50, y + 50))
    one = region(screen(), sheet)
    drag(pad, (x + 20, y - 100), (x + 70, y + 50))
    two = region(screen(), sheet)
    assert (one != blank).any() and (two != one).any()
    ctrl, shift = pygame.KMOD_LCTRL, pygame.KMOD_LSHIFT
    for key, mod, expected in (
        (pygame.K_z, ctrl, one),
        (pygame.K_z, ctrl, blank),
        (pygame.K_y, ctrl, one),
        (pygame.K_z, ctrl | shift, two),
        (pygame.K_e, ctrl, two),  # Ctrl+E is no E
        (pygame.K_c, 0, blank),
        (pygame.K_z, ctrl, two),
        (pygame.K_SPACE, 0, blank),
        (pygame.K_z, pygame.KMOD_LMETA, two),
    ):
        press(pad, key, mod=mod)
        np.testing.assert_array_equal(region(screen(), sheet), expected)
    for name, expected in (("undo", one), ("redo", two), ("clear", blank)):
        click(pad, buttons[name])
        mouse(pygame.MOUSEMOTION, (5, 5))  # away, or a tooltip lies on the sheet
        pad.step()
        np.testing.assert_array_equal(region(screen(), sheet), expected)


def test_only_the_left_button_on_the_sheet_draws_and_a_drag_stays_on_it(pad):
    sheet = sheet_of(pad)
    drag(pad, (sheet.right + 20, 300), sheet.center)
    drag(pad, sheet.center, sheet.topleft, button=2)
    assert pad.canvas.strokes == ()
    drag(pad, sheet.center, (sheet.right + 500, sheet.top - 500))
    x, y = pad.where().to_window(*pad.canvas.strokes[0][1])
    assert (x, y) == pytest.approx(sheet.topright)


def test_the_right_button_and_the_eraser_erase_in_one_step_of_undo(pad):
    x, y = sheet_of(pad).center
    line = [(x - 150 + 10 * i, y) for i in range(31)]
    drag(pad, *line)
    drag(pad, (x, y - 60), (x, y + 60), button=3)
    assert len(pad.canvas.strokes) == 2
    settle(pad)
    assert count(region(screen(), pygame.Rect(x - 3, y - 3, 6, 6)), LIGHT.paper) == 36
    press(pad, pygame.K_e)
    assert pad.scene.erasing
    drag(pad, (x - 80, y - 60), (x - 80, y), (x - 80, y + 60))
    assert len(pad.canvas.strokes) == 3 and pad.scene.pointer
    press(pad, pygame.K_e)
    press(pad, pygame.K_z, pygame.K_z, mod=pygame.KMOD_CTRL)
    assert len(pad.canvas.strokes) == 1 and not pad.scene.pointer
    click(pad, pad.places().buttons["erase"])
    assert pad.scene.erasing


def test_wheel_and_brackets_set_the_brush_on_the_screen_alone(pad):
    drag(pad, *[(x, 300) for x in range(200, 400, 20)])
    ink, image = count(region(screen(), sheet_of(pad)), LIGHT.ink), pad.scene.reading.image
    pygame.event.post(pygame.event.Event(pygame.MOUSEWHEEL, x=0, y=3, flipped=False))
    pad.step()
    thicker = count(region(screen(), sheet_of(pad)), LIGHT.ink)
    assert thicker > 1.2 * ink
    press(pad, pygame.K_LEFTBRACKET)
    press(pad, pygame.K_8, unicode="[")  # where a bracket is on another key
    assert count(region(screen(), sheet_of(pad)), LIGHT.ink) < thicker
    for _ in range(100):
        pad.act("thicker")
    pad.step()
    assert pad.scene.pen == still.PENS[1]
    np.testing.assert_array_equal(pad.scene.reading.image, image)
    assert not pad.scene.toast  # the 8 labelled nothing


def test_fingers_and_pens_draw_no_stroke_twice(pad):
    sheet = sheet_of(pad)
    path = [(sheet.centerx + 10 * i, sheet.centery) for i in range(5)]
    for kind, finger, position in (
        (pygame.MOUSEBUTTONDOWN, pygame.FINGERDOWN, path[0]),
        *((pygame.MOUSEMOTION, pygame.FINGERMOTION, position) for position in path[1:]),
        (pygame.MOUSEBUTTONUP, pygame.FINGERUP, path[-1]),
    ):
        at = {"x": position[0] / SIZE[0], "y": position[1] / SIZE[1], "dx": 0.0, "dy": 0.0}
        pygame.event.post(pygame.event.Event(finger, touch_id=1, finger_id=1, pressure=1.0, **at))
        mouse(kind, position, touch=True)
        pad.step()
    assert [len(stroke) for stroke in pad.canvas.strokes] == [5]


def test_losing_the_focus_lifts_the_pen(pad):
    mouse(pygame.MOUSEBUTTONDOWN, (200, 200))
    pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    mouse(pygame.MOUSEMOTION, (300, 300))
    pad.step()
    assert [len(stroke) for stroke in pad.canvas.strokes] == [1]


def test_a_window_resized_while_drawing_shows_the_same_drawing_and_goes_on_with_it(pad):
    mouse(pygame.MOUSEBUTTONDOWN, sheet_of(pad).center)
    pad.step()
    image = pad.scene.reading.image
    for size in ((640, 480), (1200, 500), (500, 1100), (1200, 900)):
        surface = pygame.display.set_mode(size, pygame.RESIZABLE)
        pad.step()
        sheet = sheet_of(pad)
        assert surface.get_at(sheet.center) == pygame.Color(LIGHT.ink)
        assert surface.get_at((sheet.left + 5, sheet.centery)) == pygame.Color(LIGHT.paper)
        np.testing.assert_array_equal(pad.scene.reading.image, image)
    mouse(pygame.MOUSEMOTION, sheet.topleft)
    pad.step()
    (begin, end) = pad.canvas.strokes[0]
    np.testing.assert_allclose(pad.where().to_window(*begin), sheet.center, atol=2)
    np.testing.assert_allclose(pad.where().to_window(*end), sheet.topleft, atol=1)


def test_ink_at_the_edge_stays_in_sight_when_the_window_becomes_narrow(pad):
    pygame.display.set_mode((1600, 500), pygame.RESIZABLE)
    pad.step()
    sheet = sheet_of(pad)
    drag(pad, (sheet.left + 5, sheet.top + 50), (sheet.left + 5, sheet.bottom - 50))
    pygame.display.set_mode((600, 900), pygame.RESIZABLE)
    settle(pad)
    x, _ = pad.where().to_window(*pad.canvas.strokes[0][0])
    assert sheet_of(pad).left - 1 <= x
    assert count(region(screen(), sheet_of(pad)), LIGHT.ink) > 50


def test_a_storm_of_events_leaves_the_pad_working(pad):
    rng = np.random.default_rng(0)
    kinds = (pygame.MOUSEBUTTONDOWN, pygame.MOUSEMOTION, pygame.MOUSEMOTION, pygame.MOUSEBUTTONUP)
    keys = [getattr(pygame, f"K_{name}") for name in "zyzcefwdhubqt15"] + [pygame.K_TAB, pygame.K_LCTRL, pygame.K_F1]
    sizes = ((640, 480), (900, 600), (1300, 500))
    for i in range(10_000):
        chance = rng.random()
        if chance < 0.8:
            place = tuple(int(v) for v in rng.integers(-100, 1000, 2))
            mouse(kinds[rng.integers(4)], place, int(rng.integers(1, 4)))
        elif chance < 0.82:
            pygame.event.post(pygame.event.Event(pygame.MOUSEWHEEL, x=0, y=int(rng.integers(-3, 4)), flipped=False))
        elif chance < 0.84:
            name = ("WINDOWFOCUSLOST", "WINDOWLEAVE", "WINDOWEXPOSED", "FINGERDOWN", "ACTIVEEVENT")[rng.integers(5)]
            pygame.event.post(pygame.event.Event(getattr(pygame, name)))
        else:
            mod = int(rng.choice([0, pygame.KMOD_LCTRL, pygame.KMOD_LSHIFT], p=[0.2, 0.7, 0.1]))
            key = keys[rng.integers(len(keys))]
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod, unicode=""))
        if i % 500 == 0:
            pygame.display.set_mode(sizes[i // 500 % 3], pygame.RESIZABLE)
        if i % 100 == 99:
            assert pad.step()
    settle(pad)
    while pad.scene.help or pad.scene.inside or pad.scene.why is not None or pad.scene.picture:
        press(pad, pygame.K_ESCAPE)
    pad.scene.erasing = False
    press(pad, pygame.K_c)
    sheet = sheet_of(pad)
    drag(pad, sheet.center, (sheet.centerx + 20, sheet.centery + 50))
    assert len(pad.canvas.strokes) == 1
    assert pad.scene.reading.inspection.probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_mouse_at_no_place_is_a_message_and_costs_nothing(pad):
    drag(pad, (200, 200), (300, 300))
    for position in ((float("nan"), 5), (200, float("inf"))):
        mouse(pygame.MOUSEBUTTONDOWN, position)
        assert pad.step()
        assert "is not finite" in words(pad) and pad.scene.toast.kind == "bad"
    assert len(pad.canvas.strokes) == 1


# Panels


def test_hovering_over_a_digit_shows_its_bars(pad):
    sheet = sheet_of(pad)
    for left in (sheet.left + 60, sheet.left + 300):
        drag(pad, (left, sheet.top + 150), (left + 30, sheet.top + 300))
    assert len(pad.scene.readings) == 2 and pad.scene.focus == 1
    mouse(pygame.MOUSEMOTION, (sheet.left + 75, sheet.top + 225))
    pad.step()
    assert pad.scene.focus == 0
    before = region(screen(), pad.places().seen)
    mouse(pygame.MOUSEMOTION, (sheet.left + 315, sheet.top + 225))
    settle(pad)
    assert pad.scene.focus == 1 and (region(screen(), pad.places().seen) != before).any()
    drag(pad, (sheet.left + 60, sheet.top + 200), (sheet.left + 90, sheet.top + 200))
    assert pad.scene.focus == 0  # it was written last


def test_the_inside_is_live_and_fits_beside_the_drawing(pad):
    press(pad, pygame.K_f)
    settle(pad)
    inside = pad.places().inside
    assert inside.width > 0.4 * SIZE[0] and not inside.colliderect(sheet_of(pad))
    blank = region(screen(), inside)
    x, y = sheet_of(pad).center
    drag(pad, (x, y - 50), (x + 10, y + 60))
    one = region(screen(), inside)
    drag(pad, (x - 50, y), (x + 50, y))
    two = region(screen(), inside)
    assert (one != blank).any() and (two != one).any()
    click(pad, pad.places().buttons["inside"])
    assert not pad.scene.inside and pad.places().inside.width == 0


def test_why_paints_the_ink_for_and_against(pad):
    press(pad, pygame.K_w)
    assert "draw a digit first" in words(pad) and pad.scene.why is None
    x, y = sheet_of(pad).center
    drag(pad, *[(x - 100 + 10 * i, y + (i - 10) ** 2) for i in range(20)])
    settle(pad)
    place = pygame.Rect(x - 100, y - 20, 200, 60)
    assert count(region(screen(), place), LIGHT.ink) > 100
    press(pad, pygame.K_w)
    painted = region(screen(), place).astype(int)
    assert count(painted, LIGHT.ink) == 0
    assert np.ptp(painted[..., 0] - painted[..., 2]) > 50  # from blue to orange
    press(pad, pygame.K_c)
    assert pad.scene.why is None  # nothing to explain


def test_not_sure_below_the_network_s_threshold(open_pad):
    network = small()
    network.info["refuse_below"] = 1.1
    pad = open_pad(network=network)
    drag(pad, (200, 200), (300, 300))
    settle(pad)
    assert not pad.scene.reading.sure
    assert count(region(screen(), pad.places().answer), LIGHT.accent) == 0
    assert count(region(screen(), pad.places().answer), LIGHT.muted) > 100
    assert pad.scene.bars.sum() == pytest.approx(1, abs=1e-5)


def test_help_theme_and_escape(pad):
    press(pad, pygame.K_h)
    assert pad.scene.help
    drag(pad, sheet_of(pad).center)  # a click closes it, and draws nothing
    assert not pad.scene.help and pad.canvas.strokes == ()
    press(pad, pygame.K_SLASH, unicode="?")
    press(pad, pygame.K_d)
    assert screen().get_at((2, 2)) == pygame.Color(THEMES["dark"].background)
    press(pad, pygame.K_f)
    assert pad.scene.help and pad.scene.inside
    press(pad, pygame.K_ESCAPE)
    assert not pad.scene.help and pad.scene.inside
    drag(pad, sheet_of(pad).center, sheet_of(pad).midtop)
    press(pad, pygame.K_w)
    assert pad.scene.why is not None
    press(pad, pygame.K_ESCAPE, pygame.K_ESCAPE)
    assert pad.scene.why is None and not pad.scene.inside
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE, mod=0, unicode=""))
    assert not pad.step()


def test_a_tooltip_names_the_button_under_the_mouse_and_goes_with_it(pad):
    before = region(screen(), screen().get_rect())
    mouse(pygame.MOUSEMOTION, pad.places().buttons["save"].center)
    pad.step()
    assert pad.scene.hovered == "save" and (region(screen(), screen().get_rect()) != before).any()
    mouse(pygame.MOUSEMOTION, sheet_of(pad).center)
    pad.step()
    np.testing.assert_array_equal(region(screen(), screen().get_rect()), before)


def test_a_window_that_was_covered_is_drawn_again(pad):
    screen().fill("red")
    mouse(pygame.MOUSEMOTION, (200, 200))  # the pen is up
    pad.step()
    assert count(region(screen(), screen().get_rect()), "red") == SIZE[0] * SIZE[1]
    pygame.event.post(pygame.event.Event(pygame.WINDOWEXPOSED))
    pad.step()
    assert count(region(screen(), screen().get_rect()), "red") == 0


# Files


def test_saving_numbers_the_files_and_a_saved_drawing_is_read_alike(pad, tmp_path):
    press(pad, pygame.K_s)
    assert "nothing to save" in words(pad)
    sheet = sheet_of(pad)
    for stroke in digit_strokes(5, np.random.default_rng(2)):
        drag(pad, *((round(sheet.centerx + 150 * x), round(sheet.centery + 150 * y)) for x, y in stroke))
    for number in (1, 2):
        press(pad, pygame.K_s)
        settle(pad)
        assert words(pad) == f"saved as {tmp_path / f'drawing-{number}.png'}"
    with Image.open(tmp_path / "drawing-2.png") as picture:
        assert picture.size == sheet.size
        grey = np.asarray(picture.convert("L"))
    assert grey.max() == 255 and 0.01 < (grey < 50).mean() < 0.2
    seen = pad.scene.reading.image.astype(int)
    assert np.abs(numcnn.imaging.preprocess.prepare(grey) - seen).mean() < 25


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_what_cannot_be_written_is_a_message_and_the_drawing_stays(open_pad, tmp_path, home):
    full = home / "own.jsonl"
    full.parent.mkdir()
    full.symlink_to("/dev/full")
    pad = open_pad(tasks=BackgroundTasks(store.OwnSet(full), None, tmp_path / "no such folder"))
    drag(pad, (200, 200), (300, 300))
    for key, complaint in ((pygame.K_4, "is no regular file"), (pygame.K_s, "No such file or directory")):
        press(pad, key)
        settle(pad)
        assert complaint in words(pad) and pad.scene.toast.kind == "bad"
    assert len(pad.canvas.strokes) == 1


def test_a_digit_key_keeps_the_drawing_as_one_s_own_and_u_or_the_button_takes_it_back(pad, home):
    press(pad, pygame.K_7)
    assert "draw a digit first" in words(pad)
    drag(pad, (200, 200), (300, 300))
    press(pad, pygame.K_7)
    settle(pad)
    assert "this is a 7" in words(pad) and pad.scene.toast.button
    digits, _ = store.OwnSet().read()
    assert [digit.label for digit in digits] == [7]
    np.testing.assert_allclose(digits[0].strokes[0], pad.canvas.strokes[0])
    click(pad, pad.view.toast_button)
    settle(pad)
    assert "taken back: the 7" in words(pad) and store.OwnSet().read()[0] == []
    press(pad, pygame.K_KP3)
    settle(pad)
    press(pad, pygame.K_u)
    settle(pad)
    press(pad, pygame.K_u)
    settle(pad)
    assert "nothing to take back" in words(pad) and len(pad.canvas.strokes) == 1


def test_of_several_digits_the_one_in_focus_is_kept(pad):
    sheet = sheet_of(pad)
    for left in (sheet.left + 60, sheet.left + 300):
        drag(pad, (left, sheet.top + 150), (left + 30, sheet.top + 300))
    mouse(pygame.MOUSEMOTION, (sheet.left + 75, sheet.top + 225))
    press(pad, pygame.K_1)
    settle(pad)
    (digit,), _ = store.OwnSet().read()
    np.testing.assert_allclose(digit.strokes, [pad.canvas.strokes[0]])


def test_the_last_drawing_comes_back(pad, open_pad, home):
    drag(pad, (200, 200), (300, 300))
    settle(pad)
    assert (home / "drawing.json").exists()  # long before the end, which may be a crash
    drag(pad, (210, 200), (310, 300))
    strokes = pad.canvas.strokes
    pad.tasks.close(pad.canvas.strokes)
    again = open_pad(tasks=BackgroundTasks(autosave=store.Autosave()))
    assert [list(map(tuple, stroke)) for stroke in again.canvas.strokes] == [list(stroke) for stroke in strokes]
    assert "last drawing is back" in words(again)
    (home / "drawing.json").write_text("[[[1, 2], [3")
    damaged = open_pad(tasks=BackgroundTasks(autosave=store.Autosave()))
    assert damaged.canvas.strokes == () and "the last drawing is lost" in words(damaged)


def test_b_goes_from_the_shipped_weights_to_one_s_own_and_back(open_pad, home):
    home.mkdir()
    shipped, personal = small(), small(seed=5)
    tasks = BackgroundTasks(shipped=shipped)
    pad = open_pad(network=tasks.own_network() or shipped, tasks=tasks)
    press(pad, pygame.K_b)
    settle(pad)
    assert "no weights of yours yet" in words(pad)
    personal.save(store.personal_weights())
    tasks = BackgroundTasks(shipped=shipped)
    pad = open_pad(network=tasks.own_network() or shipped, tasks=tasks)
    drag(pad, (200, 200), (300, 300))
    image = pad.scene.reading.image
    for network, note in ((personal, "your weights"), (shipped, ""), (personal, "your weights")):
        np.testing.assert_allclose(
            pad.scene.reading.inspection.probabilities, network.predict_proba(image)[0], atol=1e-6
        )
        assert pad.scene.note == note
        press(pad, pygame.K_b)
        settle(pad)
    store.restore()
    shipped.info["dataset_sha256"] = "of what a newer network learned from"
    tasks = BackgroundTasks(shipped=shipped)
    assert "come from an earlier network" in words(open_pad(network=tasks.own_network() or shipped, tasks=tasks))
    store.personal_weights().write_bytes(b"not weights")
    tasks = BackgroundTasks(shipped=shipped)
    assert tasks.own_network() is None
    pad = open_pad(network=shipped, tasks=tasks)
    assert str(store.personal_weights()) in words(pad)


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="learning takes minutes without compiled kernels")
def test_it_learns_in_the_background_and_shows_before_and_after(open_pad, weights, tmp_path, home, monkeypatch):
    reported = []  # by the process: a slow machine shows few of these

    def report(learner, value):
        reported.append(value)
        vars(learner)["progress"] = value

    monkeypatch.setattr(Learner, "progress", property(lambda learner: vars(learner)["progress"], report), raising=False)
    network, own = numcnn.load(weights, backend="reference"), store.OwnSet()
    pad = open_pad(network=network, tasks=BackgroundTasks(own, None, tmp_path, network, weights))
    press(pad, pygame.K_t)
    settle(pad)
    assert "no digits of yours yet" in words(pad)
    drag(pad, (200, 200), (300, 300))
    press(pad, pygame.K_7)
    settle(pad)
    click(pad, pad.places().buttons["learn"])
    while not pad.scene.progress:
        pad.step()
    assert pad.scene.progress[0] == "learning your digits" and 0 <= pad.scene.progress[1] < 1
    drag(pad, (300, 250), (200, 400))  # meanwhile one goes on drawing
    press(pad, pygame.K_t)
    assert words(pad) == "already learning" and len(pad.canvas.strokes) == 2
    shares = []
    while pad.scene.progress:
        shares.append(pad.scene.progress[1])
        pad.step()
    assert shares == sorted(shares)
    assert set(reported) & {round(0.01 * i, 2) for i in range(30, 100)}  # every step is reported
    settle(pad)
    assert words(pad).startswith("learned 1 digit in ") and "your digits: " in words(pad) and " → " in words(pad)
    assert pad.scene.progress is None and pad.scene.note == "your weights"
    learned = numcnn.load(store.personal_weights(), backend="reference")
    image = pad.scene.reading.image
    np.testing.assert_allclose(pad.scene.reading.inspection.probabilities, learned.predict_proba(image)[0], atol=1e-6)
    assert np.abs(learned.params - network.params).max() > 0


def test_closing_the_pad_ends_what_it_is_learning(open_pad, weights, tmp_path, home):
    own = store.OwnSet()
    own.add(1, [[(0, 0), (0, 9)]])
    tasks = BackgroundTasks(own, None, tmp_path, small(), weights)
    tasks.learn()
    process = wait_for(lambda: tasks._learner, "learning to begin")._process
    tasks.close([])
    assert process.poll() not in (None, 0)  # killed: it was not waited for until it had learned
    assert not tasks.progress and not store.personal_weights().exists()


# Start and end


def test_pygame_waits_for_the_window():
    code = "import numcnn, numcnn.pad.canvas, numcnn.commands.draw, sys; print('pygame' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("event", [{"type": pygame.QUIT}, {"type": pygame.KEYDOWN, "key": pygame.K_ESCAPE, "mod": 0}])
def test_closing_the_window_or_escape_ends_the_run(event, weights):
    pygame.display.init()
    pygame.event.post(pygame.event.Event(event.pop("type"), event))
    assert main(["draw", "--weights", weights]) == 0
    assert not pygame.display.get_init()


def test_ctrl_c_in_the_terminal_closes_the_window(monkeypatch, capsys, weights):
    show = app.Pad._show

    def show_and_interrupt(pad):
        show(pad)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(app.Pad, "_show", show_and_interrupt)
    assert main(["draw", "--weights", weights]) == 130
    assert capsys.readouterr().err == "numcnn draw: interrupted\n"
    assert not pygame.display.get_init()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display to open a window on")
@pytest.mark.parametrize("settings", [{}, {"DISPLAY": ":987"}, {"SDL_VIDEODRIVER": "no-such-driver"}])
def test_without_a_display_one_line_says_so(settings, weights):
    environment = {**NO_DISPLAY, "XDG_RUNTIME_DIR": str(ROOT), **settings}
    if "SDL_VIDEODRIVER" not in settings:
        environment.pop("SDL_VIDEODRIVER", None)
    command = [sys.executable, ROOT / "scripts" / "draw.py", "--weights", weights]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("numcnn draw: no display to open a window on (")
    assert done.stderr.endswith("); --screenshot FILE --strokes FILE draws without one\n")
    assert done.stderr.count("\n") == 1


def test_a_network_for_other_pictures_or_classes_is_refused(weights, tmp_path, capsys):
    with pytest.raises(ConfigError, match=r"from \(28, 28, 1\) to ten digits; this one goes from .* to \(26,\)"):
        app.run(small(classes=26))
    broken = small()
    broken.params[3] = np.nan
    with pytest.raises(ConfigError, match="weights that are NaN or infinite"):
        app.run(broken)
    letters = tmp_path / "letters.npz"
    small(classes=26).save(letters)
    assert main(["draw", "--weights", str(letters), "--screenshot", str(tmp_path / "x.png")]) == 2
    assert "to ten digits" in capsys.readouterr().err
    letters.write_bytes(letters.read_bytes()[:1000])
    assert main(["draw", "--weights", str(letters)]) == 2
    assert str(letters) in capsys.readouterr().err


def test_strokes_to_begin_with_fill_the_sheet_and_leave_the_last_drawing_alone(open_pad, home):
    home.mkdir()
    (home / "drawing.json").write_text(json.dumps([[[1, 2], [3, 4]]]))
    strokes = [np.array([(0, 0), (1, 2)])]
    pad = open_pad(strokes=strokes)
    np.testing.assert_allclose(raster.fit(pad.canvas.strokes), raster.fit(strokes))
    assert np.ptp(pad.canvas.strokes[0], axis=0).max() > 0.6 * still.SHEET
