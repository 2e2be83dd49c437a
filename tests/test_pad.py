"""The drawing pad: the real window under SDL's dummy driver with posted events, and screenshots."""

import _thread
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pygame
import pytest
from PIL import Image

import numcnn
from numcnn import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU, raster
from numcnn.cli import main
from numcnn.data.strokes import digit_strokes
from numcnn.errors import ConfigError
from numcnn.metrics import percent
from numcnn.pad import Canvas, app
from numcnn.pad.view import ACCENT, INK, PAPER, TRACK, View, layout

ROOT = Path(numcnn.__file__).parents[1]
SIZE = (900, 600)
LINE = [(100.0, 100.0), (120.0, 300.0), (300.0, 320.0)]
NO_DISPLAY = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}


def small(classes=10):
    return Network([Conv2D(4, 3), ReLU(), MaxPool2D(4), Flatten(), Dense(classes)], backend="reference")


@pytest.fixture
def pad(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pad = app.Pad(small(), SIZE)
    pad.step()
    yield pad
    pad.close()


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "small.npz"
    small().save(path)
    return str(path)


def mouse(kind, position, button=1):
    extra = {"rel": (0, 0), "buttons": (1, 0, 0)} if kind == pygame.MOUSEMOTION else {"button": button}
    pygame.event.post(pygame.event.Event(kind, pos=position, **extra))


def press(key, mod=0):
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod, unicode=""))


def drag(pad, *positions):
    """Draw a stroke with the left button, a frame for every event."""
    for kind, position in (
        (pygame.MOUSEBUTTONDOWN, positions[0]),
        *((pygame.MOUSEMOTION, position) for position in positions[1:]),
        (pygame.MOUSEBUTTONUP, positions[-1]),
    ):
        mouse(kind, position)
        assert pad.step()


def region(surface, rect):
    """Return a copy of a part of a surface as (width, height, 3)."""
    return pygame.surfarray.array3d(surface.subsurface(rect))


def picture_region(path, rect):
    """Return a part of a picture file as (width, height, 3)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        left, top, right, bottom = rect.left, rect.top, rect.right, rect.bottom
        return np.asarray(image.convert("RGB").crop((left, top, right, bottom))).transpose(1, 0, 2)


def count(pixels, color):
    return int((pixels == pygame.Color(color)[:3]).all(axis=-1).sum())


def test_pygame_waits_for_the_window():
    code = "import numcnn, numcnn.pad.canvas, numcnn.commands.draw, sys; print('pygame' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "False\n"


# View


@pytest.mark.parametrize("size", [(640, 480), (900, 600), (1600, 1000), (3840, 2160), (600, 900), (1600, 500)])
def test_everything_has_its_own_place_in_the_window(size):
    places = layout(size, Canvas(560, 560))
    window = pygame.Rect(0, 0, *size)
    rects = [places.sheet, places.answer, places.seen, places.bars, places.keys]
    for rect in rects:
        assert window.contains(rect) and rect.width > 0 and rect.height > 0
        assert len(rect.collidelistall(rects)) == 1  # itself
    assert places.sheet.width == places.sheet.height and places.sheet.width > min(0.5 * size[0], 0.7 * size[1])
    assert places.seen.width == places.seen.height and places.seen.width % 28 == 0
    assert places.bars.height >= 10 * places.text


@pytest.mark.parametrize("size", [(1, 1), (200, 3000), (3000, 120)])
def test_a_window_too_small_for_the_pad_is_drawn_all_the_same(size):
    pygame.font.init()
    surface = pygame.Surface(size)
    canvas = app.fitted_canvas([LINE])
    View().draw(surface, canvas, *app.read(small(), canvas))
    assert pygame.Color(surface.get_at((0, 0))) == pygame.Color("#f3f5f7")


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, ">99.9%"), (0.9996, ">99.9%"), (0.999, "99.9%"), (0.25, "25.0%"), (0.0006, "0.1%"), (1e-4, "<0.1%")],
)
def test_no_probability_is_rounded_to_certainty(share, text):
    assert percent(share) == text


# The window


def test_a_stroke_by_mouse_is_drawn_read_and_shown(pad):
    screen = pygame.display.get_surface()
    places = layout(SIZE, pad.canvas)
    blank = {name: region(screen, getattr(places, name)) for name in ("answer", "seen", "bars")}
    assert pad.seen is None and pad.probabilities is None
    assert count(blank["answer"], ACCENT) == 0 and count(blank["seen"], TRACK) == places.seen.width**2

    x, y = places.sheet.topleft
    drag(pad, (x + 150, y + 100), (x + 160, y + 250), (x + 170, y + 400))
    scale = pad.canvas.width / places.sheet.width
    np.testing.assert_allclose(pad.canvas.strokes[0], scale * np.array([(150, 100), (160, 250), (170, 400)]))
    np.testing.assert_array_equal(pad.seen, pad.canvas.prepared())
    np.testing.assert_array_equal(pad.probabilities, pad.network.predict_proba(pad.seen)[0])

    sheet = region(screen, places.sheet)
    assert count(sheet[145:155, 95:105], INK) == count(sheet[158:162, 240:260], INK) + 20 == 100
    assert count(sheet[250:, :], PAPER) == sheet[250:, :, 0].size  # no ink, nor the hint, where nobody drew
    whole = places.seen.width // 28
    np.testing.assert_array_equal(region(screen, places.seen)[whole // 2 :: whole, whole // 2 :: whole, 0].T, pad.seen)
    assert count(region(screen, places.answer), ACCENT) > 200
    bars = region(screen, places.bars)
    assert count(bars, ACCENT) > 0 and (bars != blank["bars"]).any()


def test_the_longest_bar_is_the_answer_s_and_as_long_as_its_probability():
    pygame.font.init()
    surface, canvas = pygame.Surface(SIZE), app.fitted_canvas([LINE])
    probabilities = np.array([0.05, 0, 0, 0.75, 0, 0.1, 0.1, 0, 0, 0])
    View().draw(surface, canvas, canvas.prepared(), probabilities)
    bars = layout(SIZE, canvas).bars
    row = region(surface, bars)[:, round((3 + 0.5) / 10 * bars.height)]
    assert count(row, ACCENT) / (count(row, ACCENT) + count(row, TRACK)) == pytest.approx(0.75, abs=0.02)


def test_drawing_bit_by_bit_looks_like_drawing_at_once(pad):
    sheet = layout(SIZE, pad.canvas).sheet
    strokes = [200 + 120 * stroke for stroke in digit_strokes(4, np.random.default_rng(2))]
    for stroke in strokes:
        drag(pad, *((round(sheet.x + x), round(sheet.y + y)) for x, y in stroke))
    live = region(pygame.display.get_surface(), sheet)
    afresh = pygame.Surface(SIZE)
    View().draw(afresh, pad.canvas, pad.seen, pad.probabilities)
    assert count(live, INK) > 1000
    assert np.abs(live.astype(int) - region(afresh, sheet)).max() <= 1


def test_keys_undo_redo_and_clear(pad):
    screen = pygame.display.get_surface()
    sheet = layout(SIZE, pad.canvas).sheet
    blank = region(screen, sheet)
    drag(pad, (150, 100), (200, 300))
    one = region(screen, sheet)
    drag(pad, (300, 100), (320, 300))
    two = region(screen, sheet)
    assert (one != blank).any() and (two != one).any()
    ctrl, shift = pygame.KMOD_LCTRL, pygame.KMOD_LSHIFT
    for key, mod, expected in (
        (pygame.K_z, ctrl, one),
        (pygame.K_z, ctrl, blank),
        (pygame.K_y, ctrl, one),
        (pygame.K_z, ctrl | shift, two),
        (pygame.K_c, ctrl, two),  # Ctrl+C is no C
        (pygame.K_c, 0, blank),
        (pygame.K_z, ctrl, two),
        (pygame.K_SPACE, 0, blank),
        (pygame.K_z, pygame.KMOD_LMETA, two),
    ):
        press(key, mod)
        assert pad.step()
        np.testing.assert_array_equal(region(screen, sheet), expected)
    assert len(pad.canvas.strokes) == 2


def test_only_the_left_button_on_the_sheet_draws_and_a_drag_stays_on_it(pad):
    sheet = layout(SIZE, pad.canvas).sheet
    drag(pad, (sheet.right + 20, 300), (200, 300))
    mouse(pygame.MOUSEBUTTONDOWN, (200, 200), button=3)
    mouse(pygame.MOUSEMOTION, (250, 250))
    pad.step()
    assert pad.canvas.strokes == ()
    drag(pad, sheet.center, (sheet.right + 500, sheet.top - 500))
    assert pad.canvas.strokes[0][1] == (pad.canvas.width, 0)


def test_losing_the_focus_lifts_the_pen(pad):
    mouse(pygame.MOUSEBUTTONDOWN, (200, 200))
    pygame.event.post(pygame.event.Event(pygame.WINDOWFOCUSLOST))
    mouse(pygame.MOUSEMOTION, (300, 300))
    pad.step()
    assert [len(stroke) for stroke in pad.canvas.strokes] == [1]


def test_a_resized_window_shows_the_same_drawing_and_goes_on_with_it(pad):
    mouse(pygame.MOUSEBUTTONDOWN, layout(SIZE, pad.canvas).sheet.center)
    pad.step()
    seen = pad.seen
    for size in ((640, 480), (1200, 900)):
        screen = pygame.display.set_mode(size, pygame.RESIZABLE)
        pad.step()
        sheet = layout(size, pad.canvas).sheet
        assert screen.get_at(sheet.center) == pygame.Color(INK)
        assert screen.get_at((sheet.left + 5, sheet.centery)) == pygame.Color(PAPER)
        np.testing.assert_array_equal(pad.seen, seen)
    mouse(pygame.MOUSEMOTION, (sheet.left, sheet.top))
    pad.step()
    half = pad.canvas.width / 2
    np.testing.assert_allclose(pad.canvas.strokes, [[(half, half), (0, 0)]], atol=1)


def test_nothing_is_drawn_until_something_changes_or_the_window_was_covered(pad):
    screen = pygame.display.get_surface()
    screen.fill("red")
    pad.step()
    mouse(pygame.MOUSEMOTION, (200, 200))  # the pen is up
    pad.step()
    assert count(region(screen, screen.get_rect()), "red") == SIZE[0] * SIZE[1]
    pygame.event.post(pygame.event.Event(pygame.WINDOWEXPOSED))
    pad.step()
    assert count(region(screen, screen.get_rect()), "red") == 0


def test_a_storm_of_events_leaves_the_pad_working(pad):
    rng = np.random.default_rng(0)
    kinds = (pygame.MOUSEBUTTONDOWN, pygame.MOUSEMOTION, pygame.MOUSEMOTION, pygame.MOUSEBUTTONUP)
    keys = (pygame.K_z, pygame.K_y, pygame.K_z, pygame.K_c, pygame.K_a, pygame.K_LCTRL)
    for i in range(600):
        if rng.random() < 0.75:
            mouse(kinds[rng.integers(4)], tuple(int(v) for v in rng.integers(-100, 1000, 2)), int(rng.integers(1, 4)))
        else:
            press(keys[rng.integers(6)], pygame.KMOD_LCTRL if rng.random() < 0.9 else 0)
        if i % 10 == 9:
            assert pad.step()
    press(pygame.K_c)
    pad.step()
    drag(pad, (100, 100), (200, 300))
    assert len(pad.canvas.strokes) == 1 and pad.probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("event", [{"type": pygame.QUIT}, {"type": pygame.KEYDOWN, "key": pygame.K_ESCAPE, "mod": 0}])
def test_closing_the_window_or_escape_ends_the_run(event, monkeypatch, weights):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    pygame.event.post(pygame.event.Event(event.pop("type"), event))
    assert main(["draw", "--weights", weights]) == 0
    assert not pygame.display.get_init()


def test_ctrl_c_in_the_terminal_closes_the_window(monkeypatch, capsys, weights):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    opened = app.open_window

    def open_and_interrupt(size):
        opened(size)
        threading.Timer(0.1, _thread.interrupt_main).start()

    monkeypatch.setattr(app, "open_window", open_and_interrupt)
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


# Screenshots


def screenshot(tmp_path, weights, strokes, size="900x600"):
    """Take a screenshot with the command, from strokes as a JSON file; return its path."""
    source, path = tmp_path / "strokes.json", tmp_path / "pad.png"
    source.write_text(json.dumps([np.asarray(stroke).tolist() for stroke in strokes]))
    command = ["draw", "--weights", weights, "--strokes", str(source), "--screenshot", str(path), "--size", size]
    assert main(command) == 0
    return path


@pytest.mark.parametrize("size", [(640, 480), (900, 600), (1600, 1000)])
def test_a_screenshot_shows_the_strokes_and_what_the_network_sees(tmp_path, weights, size):
    strokes = digit_strokes(3, np.random.default_rng(1))
    path = screenshot(tmp_path, weights, strokes, f"{size[0]}x{size[1]}")
    places = layout(size, Canvas(1, 1))
    sheet = picture_region(path, places.sheet)
    ink = (sheet == pygame.Color(INK)[:3]).all(axis=-1)
    assert 0.02 < ink.mean() < 0.3
    rows, columns = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    for first, last in ((rows[0], rows[-1]), (columns[0], columns[-1])):  # in the middle, and large
        assert (first + last) / 2 == pytest.approx(places.sheet.width / 2, abs=2)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.6 * places.sheet.width
    whole = places.seen.width // 28
    seen = picture_region(path, places.seen)[whole // 2 :: whole, whole // 2 :: whole, 0].T
    assert np.abs(seen.astype(int) - raster.mnist_image(strokes)).max() <= 1
    assert count(picture_region(path, places.answer), ACCENT) > 200


@pytest.mark.parametrize("strokes", [[], [[]]])
def test_a_screenshot_of_an_empty_pad_gives_no_answer(tmp_path, weights, strokes):
    path = screenshot(tmp_path, weights, strokes)
    places = layout(SIZE, Canvas(1, 1))
    sheet = picture_region(path, places.sheet)
    middle = sheet[sheet.shape[0] // 4 : -sheet.shape[0] // 4, sheet.shape[1] // 2 - 30 : sheet.shape[1] // 2 + 30]
    assert count(sheet, PAPER) > 0.98 * sheet[..., 0].size > count(middle, PAPER)  # but for "draw a digit"
    assert count(middle, PAPER) < middle[..., 0].size
    assert count(picture_region(path, places.answer), ACCENT) == count(picture_region(path, places.bars), ACCENT) == 0
    assert count(picture_region(path, places.seen), TRACK) == places.seen.width**2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file"),
        (b"", "it is no JSON file"),
        (b"0,0 50,80", "it is no JSON file"),
        (b"\xff\xfe\x00", "it is no JSON file"),
        (b"[" * 100_000, "it is no JSON file"),
        (b'{"strokes": []}', "wants a list of strokes"),
        (b"[[1, 2], [3, 4]]", "wants a list of strokes"),
        (b"[[[1, 2, 3]]]", "wants a list of strokes"),
        (b'[[["1", "2"]]]', "wants a list of strokes"),
        (b"[[[true, 2]]]", "wants a list of strokes"),
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
    assert "wants WIDTHxHEIGHT in pixels, 480 to 8192, as 900x600" in capsys.readouterr().err
