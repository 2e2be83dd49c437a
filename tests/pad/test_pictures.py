"""Pictures on the pad: dropped, pasted, read in the background, explained, labelled, and taken off again."""

import stat
import sys
import threading

import numpy as np
import pygame
import pytest
from pads import SIZE, click, count, drag, mouse, press, region, settle, small, words
from PIL import Image
from processes import PATIENCE_SECONDS, wait_for

import numcnn
from numcnn.data.generated import digit_strokes
from numcnn.data.rows import make_row
from numcnn.imaging import raster
from numcnn.pad import pictures, store
from numcnn.pad.background import BackgroundTasks
from numcnn.pad.drawing.picture import ON_PICTURE
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.pictures import Source
from numcnn.recognition.reading import text_of

CTRL = pygame.KMOD_LCTRL

pytestmark = pytest.mark.usefixtures("no_display")


@pytest.fixture(scope="module")
def network():
    return numcnn.load(backend="reference")


@pytest.fixture
def pad(open_pad, network, tmp_path):
    return open_pad(network=network, tasks=BackgroundTasks(store.OwnSet(), store.Autosave(), tmp_path))


@pytest.fixture
def page_file(tmp_path):
    """A picture of 314 above 27, as with a pen on paper, and what it shows."""
    return saved(tmp_path / "page.png", [3, 1, 4], [2, 7])


def saved(path, *lines):
    """Save a picture of lines of digits; return its path."""
    rng = np.random.default_rng(4)
    strokes = []
    for number, labels in enumerate(lines):
        row, _, _ = make_row([(digit_strokes(label, rng), label) for label in labels], rng)
        strokes += [60 * (stroke + np.array([0.5, 1.3 + 1.6 * number])) for stroke in row]
    ink = raster.draw(strokes, (40 + 100 * len(lines), 320), 5)
    Image.fromarray((250 - 220 * ink).astype(np.uint8)).save(path)
    return path


def drop(pad, path):
    """Drop a file onto the pad and wait for what comes of it."""
    pygame.event.post(pygame.event.Event(pygame.DROPFILE, file=str(path)))
    settle(pad)


def screen():
    return pygame.display.get_surface()


def box_of(pad, i):
    return pad.where().rect(pad.scene.readings[i].box)


# Read


def test_a_dropped_picture_is_shown_and_read_as_read_does(pad, page_file, network):
    found = numcnn.read(page_file, network=network)
    assert found.text == "314\n27"
    blank = region(screen(), pad.places().answer)
    drop(pad, page_file)
    readings = pad.scene.readings
    assert text_of(readings) == found.text and pad.scene.focus == 0
    for reading, digit in zip(readings, found, strict=True):
        x, y, width, height = digit.box
        assert (reading.box, reading.line) == ((x, y, x + width, y + height), digit.line)
        assert reading.sure == digit.sure
        np.testing.assert_array_equal(reading.image, digit.image)
        np.testing.assert_allclose(reading.inspection.probabilities, digit.probabilities, atol=1e-5)
    assert words(pad) == "5 digits in page.png; C takes the picture off"
    sheet = region(screen(), pad.places().sheet)
    assert count(sheet, (250, 250, 250)) > 10_000 and count(sheet, (30, 30, 30)) > 500
    for i in range(5):  # a frame around each digit
        frame = region(screen(), box_of(pad, i).inflate(12, 12))
        assert count(frame, ON_PICTURE.accent) > 50, i
    answer = region(screen(), pad.places().answer)
    assert (answer != blank).any() and count(answer, THEMES["light"].accent) > 100


def test_a_picture_without_digits_says_so(pad, tmp_path):
    drag(pad, (200, 200), (300, 300))
    Image.new("L", (200, 150), 240).save(tmp_path / "blank.png")
    drop(pad, tmp_path / "blank.png")
    assert words(pad) == "no digits found in blank.png; C takes the picture off"
    assert pad.scene.picture and pad.scene.readings == () and not pad.scene.bars.any()
    press(pad, pygame.K_w, pygame.K_3, pygame.K_RIGHT, pygame.K_UP)
    assert "there is no digit here yet" in words(pad) and pad.scene.why is None


@pytest.mark.parametrize("content", [b"just some text", b"\x89PNG\r\n\x1a\n broken", b"", None])
@pytest.mark.parametrize("before", ["drawing", "picture"])
def test_a_file_that_is_no_picture_is_a_message_and_no_old_answer_stays(pad, page_file, tmp_path, content, before):
    drag(pad, (200, 200), (300, 300))
    if before == "picture":
        drop(pad, page_file)
    path = tmp_path / "dropped.png"
    if content is not None:
        path.write_bytes(content)
    drop(pad, path)
    assert str(path) in words(pad) and pad.scene.toast.kind == "bad"
    assert_no_answer(pad)
    press(pad, pygame.K_ESCAPE)  # the drawing is still there
    assert pad.scene.picture is None and len(pad.canvas.strokes) == 1
    assert [reading.strokes for reading in pad.scene.readings] == [(0,)]


def assert_no_answer(pad):
    """Check that neither an answer nor bars are beside the message that nothing could be read."""
    assert pad.scene.toast.kind == "bad" and pad.scene.picture.problem and pad.scene.readings == ()
    assert pad.scene.reading is None and not pad.scene.bars.any()
    assert count(region(screen(), pad.places().answer), THEMES["light"].accent) == 0


@pytest.mark.parametrize("before", ["drawing", "picture"])
def test_a_text_that_names_no_file_leaves_no_old_answer_beside_its_message(pad, page_file, before):
    drag(pad, (200, 200), (300, 300))
    if before == "picture":
        drop(pad, page_file)
    pygame.event.post(pygame.event.Event(pygame.DROPTEXT, text="no file"))
    settle(pad)
    assert "names no file" in words(pad)
    assert_no_answer(pad)
    drag(pad, pad.places().sheet.center)  # a click takes the message off, and draws nothing
    assert pad.scene.picture is None and len(pad.canvas.strokes) == 1 and len(pad.scene.readings) == 1


def test_a_picture_that_is_read_anew_by_the_network_that_is_swapped_in(open_pad, network, page_file):
    store.make_home()
    other = network.copy()
    other.params *= 0.97
    other.save(store.personal_weights())
    pad = open_pad(network=network, tasks=BackgroundTasks(shipped=network, weights="everyone"))
    drop(pad, page_file)
    page_file.unlink()
    before = pad.scene.readings
    press(pad, pygame.K_b)
    settle(pad)
    assert [reading.box for reading in pad.scene.readings] == [reading.box for reading in before]
    now = pad.scene.reading.inspection.probabilities
    np.testing.assert_allclose(now, other.predict_proba(before[0].image)[0], atol=1e-5)
    assert (now != before[0].inspection.probabilities).any()


# In the background


class Slow:
    """A source whose picture comes when the test says so."""

    def __init__(self, path):
        self.come, self.began = threading.Event(), threading.Event()
        self.source = Source("slow.png", self._get)
        self._path = path

    def _get(self):
        self.began.set()
        assert self.come.wait(PATIENCE_SECONDS)
        return str(self._path)


def test_the_window_goes_on_while_a_picture_is_read_and_shows_that_it_is(pad, page_file):
    drag(pad, (200, 200), (300, 300))
    slow = Slow(page_file)
    pad._open(slow.source)
    wait_for(slow.began.is_set, "decoding to begin")
    assert pad.step() and pad.scene.readings == () and pad.scene.picture.name == "slow.png"
    one = region(screen(), screen().get_rect())
    press(pad, pygame.K_f)  # the window answers
    assert pad.scene.inside and not pad.scene.reading
    press(pad, pygame.K_f)
    for _ in range(20):
        pad.step()
    assert (region(screen(), pad.places().sheet) == one[tuple(slice(*span) for span in spans(pad))]).all()
    slow.come.set()
    settle(pad)
    assert text_of(pad.scene.readings) == "314\n27"


def spans(pad):
    sheet = pad.places().sheet
    return (sheet.left, sheet.right), (sheet.top, sheet.bottom)


def test_escape_ends_the_wait_for_a_picture_and_its_result_never_comes(pad, page_file):
    drag(pad, (200, 200), (300, 300))
    slow = Slow(page_file)
    pad._open(slow.source)
    wait_for(slow.began.is_set, "decoding to begin")
    press(pad, pygame.K_ESCAPE)
    assert pad.scene.picture is None and len(pad.scene.readings) == 1 and not pad.tasks.pictures.busy
    slow.come.set()
    pad.tasks.pictures._thread.submit(lambda: None).result()  # the old task has ended
    settle(pad)
    assert pad.scene.picture is None and len(pad.scene.readings) == 1


def test_of_several_pictures_the_last_one_is_read(pad, page_file, tmp_path):
    slow = Slow(page_file)
    pad._open(slow.source)
    wait_for(slow.began.is_set, "decoding to begin")
    for name, labels in (("second.png", [5]), ("third.png", [8, 0])):
        pygame.event.post(pygame.event.Event(pygame.DROPFILE, file=str(saved(tmp_path / name, labels))))
    pad.step()
    assert pad.scene.picture.name == "third.png"
    slow.come.set()
    settle(pad)
    assert pad.scene.picture.name == "third.png" and text_of(pad.scene.readings) == "80"


# Select, explain, label


def test_a_click_selects_and_neither_pen_nor_eraser_change_a_picture(pad, page_file):
    drag(pad, (200, 200), (300, 300))
    strokes = pad.canvas.strokes
    drop(pad, page_file)
    for i in (4, 1, 3):
        drag(pad, box_of(pad, i).center)
        settle(pad)
        assert pad.scene.focus == i
        probabilities = pad.scene.readings[i].inspection.probabilities
        np.testing.assert_allclose(pad.scene.bars, probabilities, atol=1e-6)
    shown = region(screen(), pad.places().sheet)
    mouse(pygame.MOUSEMOTION, box_of(pad, 0).center)  # on the way to a button
    pad.step()
    assert pad.scene.focus == 3 and (region(screen(), pad.places().sheet) == shown).all()
    corner = pad.places().sheet.move(8, 8).topleft
    for button in (1, 3):
        drag(pad, corner, (300, 300), (350, 300), button=button)
        assert pad.canvas.strokes == strokes and pad.scene.picture and not pad.scene.pointer
        assert "C takes the picture off" in words(pad)


def test_arrow_keys_go_from_digit_to_digit_and_from_line_to_line(pad, page_file):
    drop(pad, page_file)
    for key, focus in (
        ("RIGHT", 1), ("RIGHT", 2), ("RIGHT", 3), ("RIGHT", 4), ("RIGHT", 4), ("UP", 2), ("UP", 2), ("LEFT", 1),
        ("LEFT", 0), ("LEFT", 0), ("DOWN", 3), ("DOWN", 3),
    ):  # fmt: skip
        press(pad, getattr(pygame, f"K_{key}"))
        assert pad.scene.focus == focus, key


def test_arrow_keys_select_drawn_digits_too(pad):
    press(pad, pygame.K_RIGHT)
    assert pad.scene.focus is None
    for x in (180, 300):
        drag(pad, (x, 150), (x + 10, 300))
    assert pad.scene.focus == 1
    press(pad, pygame.K_LEFT)
    assert pad.scene.focus == 0


def test_why_paints_the_selected_digit_of_a_picture(pad, page_file):
    drop(pad, page_file)
    first, second = box_of(pad, 0), box_of(pad, 1)
    plain = region(screen(), first).astype(int)
    press(pad, pygame.K_w)
    settle(pad)
    assert pad.scene.why.answer == pad.scene.reading.inspection.answer
    painted = region(screen(), first).astype(int)
    assert np.ptp(plain[2:-2, 2:-2, 0] - plain[2:-2, 2:-2, 2]) == 0
    assert np.ptp(painted[..., 0] - painted[..., 2]) > 50  # from blue to orange
    before = region(screen(), second).astype(int)
    press(pad, pygame.K_RIGHT)
    settle(pad)
    assert pad.scene.why.answer == 1 and (region(screen(), second) != before).any()
    press(pad, pygame.K_ESCAPE)
    assert pad.scene.why is None and pad.scene.picture
    press(pad, pygame.K_ESCAPE)
    assert pad.scene.picture is None


def test_what_speaks_for_an_answer_lies_on_the_ink(pad, page_file):
    drop(pad, page_file)
    for reading in pad.scene.readings:
        left, top, right, _ = pad.recognizer.explain(reading, pad.canvas).square
        box, side = reading.box, (right - left) / 28
        rows, columns = (np.flatnonzero(reading.image.any(axis=axis)) for axis in (1, 0))
        ink = (
            left + side * columns[0],
            top + side * rows[0],
            left + side * (columns[-1] + 1),
            top + side * (rows[-1] + 1),
        )
        np.testing.assert_allclose(ink, box, atol=1.5 * side)


def test_digits_of_a_picture_are_labelled_one_by_one_and_kept_as_what_was_read(pad, page_file):
    drop(pad, page_file)
    press(pad, pygame.K_3)
    settle(pad)
    assert "kept: this is a 3  (1 of yours)" in words(pad)
    press(pad, pygame.K_RIGHT, pygame.K_7)
    settle(pad)
    press(pad, pygame.K_1)
    settle(pad)
    assert "was 7, now 1  (2 of yours)" in words(pad)
    digits, problems = store.OwnSet().read()
    assert [digit.label for digit in digits] == [3, 1] and not problems
    for digit, reading in zip(digits, pad.scene.readings, strict=False):
        assert digit.strokes == []
        np.testing.assert_array_equal(digit.image, reading.image)
    click(pad, pad.view.toast_button)
    settle(pad)
    assert "taken back: the 1" in words(pad) and len(store.OwnSet()) == 1


# Taken off

TAKEN_OFF = {
    "undo": lambda pad: press(pad, pygame.K_z, mod=CTRL),
    "redo": lambda pad: press(pad, pygame.K_y, mod=CTRL),
    "clear": lambda pad: press(pad, pygame.K_c),
    "escape": lambda pad: press(pad, pygame.K_ESCAPE),
}


@pytest.mark.parametrize("take_off", TAKEN_OFF.values(), ids=TAKEN_OFF)
@pytest.mark.parametrize("drawn", [0, 1])
def test_a_picture_taken_off_leaves_the_sheet_as_it_was_before(pad, page_file, take_off, drawn):
    if drawn:
        drag(pad, (200, 200), (300, 300))
        drag(pad, (200, 250), (300, 350))
        press(pad, pygame.K_z, mod=CTRL)
    strokes = pad.canvas.strokes
    settle(pad)
    before = region(screen(), screen().get_rect())
    drop(pad, page_file)
    assert (region(screen(), screen().get_rect()) != before).any()
    take_off(pad)
    pad.scene.toast = None
    settle(pad)
    assert pad.scene.picture is None and pad.canvas.strokes == strokes and len(pad.scene.readings) == drawn
    np.testing.assert_array_equal(region(screen(), screen().get_rect()), before)
    if drawn:
        press(pad, pygame.K_y, mod=CTRL)
        assert len(pad.canvas.strokes) == 2  # what was undone before can still be done again


def test_a_picture_is_not_saved_nor_the_drawing_below_it(pad, page_file, tmp_path):
    drag(pad, (200, 200), (300, 300))
    drop(pad, page_file)
    press(pad, pygame.K_s)
    settle(pad)
    assert "that is a picture already" in words(pad) and not list(tmp_path.glob("drawing-*.png"))
    press(pad, pygame.K_c, pygame.K_s)
    settle(pad)
    assert len(list(tmp_path.glob("drawing-*.png"))) == 1


# The clipboard


def put_on_clipboard(text):
    pygame.scrap.put_text(text)


def paste(pad):
    press(pad, pygame.K_v, mod=CTRL)
    settle(pad)


FORMS = {"path": str, "quoted": lambda path: f'"{path}"', "uri": lambda path: f"{path.as_uri()}\r\n"}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_file_whose_name_was_copied_is_pasted(pad, tmp_path, form):
    (tmp_path / "with space").mkdir()
    put_on_clipboard(form(saved(tmp_path / "with space" / "ä 80.png", [8, 0])))
    paste(pad)
    assert pad.scene.picture.name == "ä 80.png" and text_of(pad.scene.readings) == "80"
    pygame.event.post(pygame.event.Event(pygame.DROPTEXT, text=form(saved(tmp_path / "5.png", [5]))))
    settle(pad)
    assert pad.scene.picture.name == "5.png" and text_of(pad.scene.readings) == "5"


@pytest.mark.parametrize(
    "text", ["hello", "", "relative.png", "/no/such/file.png", "file://", "a\0b", "x" * 5000, "~~"]
)
def test_other_texts_name_no_picture(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "relative.png", [5])
    assert pictures.from_text(text) is None


def clipboard_program(folder, monkeypatch, body):
    """Put a program into the folder that answers as wl-paste does, which Pillow asks on Linux."""
    program = folder / "wl-paste"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("WAYLAND_DISPLAY", "test")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system's own clipboard is asked")
def test_a_picture_on_the_clipboard_is_pasted_and_its_absence_is_a_message(pad, tmp_path, monkeypatch):
    path = saved(tmp_path / "80.png", [8, 0])
    put_on_clipboard("no file")
    clipboard_program(tmp_path, monkeypatch, f"cat '{path}'")
    paste(pad)
    assert pad.scene.picture.name == "the clipboard" and text_of(pad.scene.readings) == "80"
    clipboard_program(tmp_path, monkeypatch, "echo 'Nothing is copied' >&2; exit 1")
    paste(pad)
    assert "the clipboard holds no picture" in words(pad)
    assert_no_answer(pad)
    clipboard_program(tmp_path, monkeypatch, "echo 'out of order' >&2; exit 1")
    paste(pad)
    assert "out of order" in words(pad) and pad.scene.toast.kind == "bad"
    (tmp_path / "wl-paste").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    paste(pad)
    assert "wl-paste or xclip is required" in words(pad)


def test_what_was_read_is_copied_line_by_line(pad, page_file):
    press(pad, pygame.K_c, mod=CTRL)
    assert "nothing to copy" in words(pad)
    drop(pad, page_file)
    press(pad, pygame.K_c, mod=CTRL)
    assert pygame.scrap.get_text() == "314\n27" and words(pad) == "copied: 314 and 1 more lines"
    assert pad.scene.picture  # Ctrl+C is no C


# On the sheet


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", [SIZE, (480, 480), (1280, 800)])
def test_a_picture_stays_on_the_sheet_and_its_labels_too(open_pad, network, tmp_path, size, theme):
    path = saved(tmp_path / "page.png", [3, 1, 4], [2, 7])
    wide = Image.open(path).crop((0, 0, 320, 130))
    wide.save(tmp_path / "wide.png")
    pad = open_pad(size, network, theme=theme)
    for name in ("page.png", "wide.png"):
        drop(pad, tmp_path / name)
        sheet = pad.places().sheet
        assert sheet.contains(pad.where().rect((0, 0, *pad.scene.picture.size)))
        outside = region(screen(), screen().get_rect())
        pad.scene.picture = None
        pad.view.forget()
        pad.step()
        left = outside[: sheet.left - 1]
        np.testing.assert_array_equal(region(screen(), pygame.Rect(0, 0, sheet.left - 1, size[1])), left)


def test_an_odd_picture_is_shown_and_read_all_the_same(pad, tmp_path):
    for shape in ((1, 1), (1, 2000), (2000, 1)):
        Image.fromarray(np.full(shape, 200, np.uint8)).save(tmp_path / "odd.png")
        drop(pad, tmp_path / "odd.png")
        assert words(pad).startswith("no digits found") and pad.scene.picture.size == shape[::-1]


def test_a_random_network_finds_what_it_finds_without_harm(open_pad, page_file):
    pad = open_pad(network=small())
    drop(pad, page_file)
    press(pad, pygame.K_w, pygame.K_f, pygame.K_RIGHT)
    settle(pad)
    assert pad.scene.picture
