"""The pad's errands, without a window: no failure costs anything that was there before, and each is told."""

import json
import signal
import sys
import threading

import numpy as np
import pygame
import pytest
from pads import SIZE, drag, mouse, settle, small
from processes import PATIENCE_SECONDS, read_until, running, wait_for

import numcnn
from numcnn.cli import main
from numcnn.pad import app, store
from numcnn.pad.background import PERSONAL, Keeper
from numcnn.pad.learner import Learner

SHIPPED = small()


@pytest.fixture(autouse=True)
def empty_home(home):
    """Make the folder of the pad's user."""
    home.mkdir()


@pytest.fixture
def keeper():
    keeper = Keeper(store.OwnSet(), store.Autosave(), shipped=SHIPPED, weights="pad")
    yield keeper
    keeper.close([])


def ended(keeper):
    """Wait until no errand is under way; return what came of all of them."""
    found = []

    def idle():
        found.extend(keeper.done())
        return not keeper.busy

    wait_for(idle, "errands to end")
    return found + keeper.done()


def swapped(keeper):
    """Press B; return what came of it."""
    keeper.swap()
    (done,) = ended(keeper)
    return done


def files(home):
    return {path.name: path.read_bytes() for path in home.glob("*.npz")}


DAMAGED = {"cut off": lambda whole: whole[:1000], "a text": lambda whole: b"not weights", "empty": lambda whole: b""}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("aside", [False, True])
def test_damaged_weights_of_ones_own_stay_where_they_are_and_are_told(keeper, home, damage, aside):
    path = store.forgotten_weights() if aside else store.personal_weights()
    small(seed=5).save(path)
    path.write_bytes(damage(path.read_bytes()))
    before = files(home)
    assert keeper.own_network() is None
    told = keeper.done()
    assert len(told) == (0 if aside else 1)
    for done in (*told, swapped(keeper), swapped(keeper)):
        assert done.kind == "bad" and done.network is None
        assert str(path) in done.words and "can't be used" in done.words and "T learns" in done.words
        assert files(home) == before and keeper.note == ""
    small(seed=5).save(path)  # mended
    assert swapped(keeper).network is not None and keeper.note == PERSONAL


def test_a_network_that_reads_no_digits_is_told_with_its_file(keeper, home):
    small(classes=26).save(store.personal_weights())
    before = files(home)
    done = swapped(keeper)
    assert "personal.npz can't be used" in done.words and "to ten digits" in done.words
    assert files(home) == before and keeper.note == ""


def test_b_goes_by_the_network_that_is_shown_not_by_the_files(keeper, home):
    small(seed=5).save(store.personal_weights())  # there, but other weights were named and are shown
    done = swapped(keeper)
    assert keeper.note == PERSONAL and store.personal_weights().exists()
    np.testing.assert_array_equal(done.network.params, small(seed=5).params)
    store.personal_weights().unlink()
    done = swapped(keeper)
    assert done.network is SHIPPED and keeper.note == "" and "B brings" not in done.words
    assert "no weights of yours yet" in swapped(keeper).words


def test_b_pressed_quickly_ends_where_as_many_slow_ones_would(keeper):
    small(seed=5).save(store.personal_weights())
    for _ in range(4):
        keeper.swap()
    shown = [done.network is SHIPPED for done in ended(keeper)]
    assert shown == [False, True, False, True] and keeper.note == ""
    assert not store.personal_weights().exists() and store.forgotten_weights().exists()


@pytest.mark.parametrize("aside", [False, True])
def test_weights_that_cannot_be_moved_leave_the_network_that_is_shown(keeper, aside):
    small(seed=5).save(store.personal_weights())
    if aside:
        assert store.forget()
        obstacle = store.personal_weights()
    else:
        assert swapped(keeper).network is not None
        obstacle = store.forgotten_weights()
    note = keeper.note
    (obstacle / "full").mkdir(parents=True)
    done = swapped(keeper)
    assert done.kind == "bad" and done.network is None and keeper.note == note
    (obstacle / "full").rmdir()
    obstacle.rmdir()
    assert swapped(keeper).network is not None and keeper.note != note


def test_of_labels_for_the_same_strokes_the_last_one_holds(keeper):
    one, other = [[(0.1, 0), (0, 9)]], [[(0.1, 0), (0, 9)], [(3, 3)]]

    def told(label, strokes):
        keeper.keep(label, strokes)
        (done,) = ended(keeper)
        assert done.button == "Undo"
        return done.words, [digit.label for digit in store.OwnSet().read()[0]]

    assert told(4, one) == ("kept: this is a 4  (1 of yours)", [4])
    assert told(4, one) == ("kept already: this is a 4  (1 of yours)", [4])
    assert told(9, one) == ("was 4, now 9  (1 of yours)", [9])
    assert told(9, other) == ("kept: this is a 9  (2 of yours)", [9, 9])
    assert told(0, other) == ("was 9, now 0  (2 of yours)", [9, 0])
    keeper.take_back()
    assert [done.words for done in ended(keeper)] == ["taken back: the 0"]
    assert [digit.label for digit in store.OwnSet().read()[0]] == [9]


class Lesson:
    """What ``numcnn learn`` would do, as far as the keeper sees it, at the moment that the test chooses."""

    share = 0.5

    def __init__(self):
        self.go_on, self.stopped = threading.Event(), False

    def report(self):
        assert self.go_on.wait(PATIENCE_SECONDS)
        same = {"before": 1.0, "after": 1.0}
        return {"digits": 1, "seconds": 1.0, "held_out": None, "own": same, "known": same}

    def stop(self):
        self.stopped = True
        self.go_on.set()


@pytest.fixture
def lesson(keeper, monkeypatch):
    """A lesson under way, in place of the process."""
    lesson = Lesson()
    monkeypatch.setattr("numcnn.pad.background.Learner", lambda weights: lesson)
    keeper.own.add(1, [[(0, 0), (0, 9)]])
    keeper.learn()
    wait_for(lambda: keeper.progress, "the lesson to begin")
    return lesson


def test_weights_put_aside_at_the_moment_that_they_were_learnt_are_taken_up_all_the_same(keeper, lesson):
    small(seed=5).save(store.personal_weights())
    assert swapped_meanwhile(keeper).network is not None and keeper.note == PERSONAL
    small(seed=6).save(store.personal_weights())  # the process has written, and ends in a moment
    assert swapped_meanwhile(keeper).network is SHIPPED and not store.personal_weights().exists()
    lesson.go_on.set()
    (done,) = ended(keeper)
    assert done.words.startswith("learnt 1 digit in ") and keeper.note == PERSONAL
    np.testing.assert_array_equal(done.network.params, small(seed=6).params)
    assert store.personal_weights().exists()
    assert swapped(keeper).network is SHIPPED and store.forgotten_weights().exists()


def swapped_meanwhile(keeper):
    """Press B while a lesson goes on; return what came of it."""
    keeper.swap()
    return wait_for(keeper.done, "an errand to end")[0]


def test_what_is_learnt_is_shown_after_what_was_asked_before(keeper, lesson):
    small(seed=5).save(store.personal_weights())
    keeper.learn()
    assert [done.words for done in keeper.done()] == ["already learning"]
    keeper.swap()  # yours
    keeper.swap()  # shipped
    keeper._worker.submit(lambda: None).result()
    lesson.go_on.set()
    keeper._lesson.result()
    shown = [done.network is SHIPPED for done in ended(keeper)]
    assert shown == [False, True, False] and keeper.note == PERSONAL
    np.testing.assert_array_equal(numcnn.load(store.personal_weights()).params, small(seed=5).params)


class Vanishing(Keeper):
    """A keeper whose process is gone as soon as one has looked at it."""

    _learner = property(
        lambda self: self.__dict__.pop("there", None), lambda self, learner: self.__dict__.update(there=learner)
    )


def test_a_lesson_that_ends_while_the_pad_closes_costs_nothing(keeper, lesson):
    keeper.__class__, keeper.there = Vanishing, keeper.__dict__.pop("_learner")
    keeper.close([])
    assert lesson.stopped


def test_a_drawing_that_cannot_be_kept_is_told_once_until_it_could(keeper, home, no_display, monkeypatch):
    pad = app.Pad(SHIPPED, SIZE, keeper=keeper)
    told = []
    say = pad.say
    monkeypatch.setattr(pad, "say", lambda words, *more: told.append(words) or say(words, *more))

    def draw(top):
        drag(pad, (200, top), (300, top + 60))
        settle(pad)

    obstacle = home / "drawing.json"
    obstacle.mkdir()
    draw(200)
    assert len(told) == 1 and told[0].startswith(f"cannot keep the drawing in {obstacle}: ")
    assert (pad.scene.toast.words, pad.scene.toast.kind) == (told[0], "bad")
    draw(220)
    draw(240)
    assert len(told) == 1 and len(pad.canvas.strokes) == 3
    obstacle.rmdir()
    draw(260)
    assert len(told) == 1 and len(store.Autosave().restore()) == 4
    obstacle.unlink()
    obstacle.mkdir()
    draw(280)
    assert len(told) == 2  # it is no old news: in between it went well
    obstacle.rmdir()
    pad.close()
    assert len(store.Autosave().restore()) == 5


@pytest.fixture
def draw_and_quit(tmp_path, no_display, monkeypatch):
    """Give a function that runs ``numcnn draw``, does something as soon as the window is open, and quits."""
    SHIPPED.save(tmp_path / "small.npz")
    opened = app.open_window

    def run(do):
        def open_and_quit(size):
            opened(size)
            do()
            pygame.event.post(pygame.event.Event(pygame.QUIT))

        monkeypatch.setattr(app, "open_window", open_and_quit)
        return main(["draw", "--weights", str(tmp_path / "small.npz")])

    return run


def draw_a_line():
    mouse(pygame.MOUSEBUTTONDOWN, (300, 300))
    mouse(pygame.MOUSEMOTION, (340, 390))
    mouse(pygame.MOUSEBUTTONUP, (340, 390))


def test_a_drawing_that_cannot_be_kept_when_the_pad_closes_is_told_in_the_terminal(home, draw_and_quit, capsys):
    assert draw_and_quit(draw_a_line) == 0 and capsys.readouterr().err == ""
    assert len(store.Autosave().restore()) == 1
    (home / "drawing.json").unlink()
    home.rmdir()
    home.write_text("no folder")
    assert draw_and_quit(draw_a_line) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"numcnn draw: cannot keep the drawing in {home / 'drawing.json'}: ")
    assert "is lost" in told and told.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there it ends a process at once")
def test_a_pad_that_is_terminated_keeps_the_drawing_and_says_so(home, tmp_path):
    SHIPPED.save(tmp_path / "small.npz")
    with running("-c", DRAW_AND_WAIT, tmp_path / "small.npz", SDL_VIDEODRIVER="dummy") as process:
        read_until(process.stdout, "drawn")
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate()
    assert process.returncode == 143 and told == "numcnn draw: terminated\n"
    assert len(store.Autosave().restore()) == 1


DRAW_AND_WAIT = """
import sys
from numcnn.cli import main
from numcnn.pad import app
look = app.Pad._show
def show(pad):
    look(pad)
    if not pad.canvas.strokes:
        pad.canvas.begin(100, 100)  # while the pen is down nothing is kept
        print("drawn", flush=True)
app.Pad._show = show
sys.exit(main(["draw", "--weights", sys.argv[1]]))
"""


def test_nothing_is_lost_where_nothing_was_drawn(home, draw_and_quit, capsys):
    home.rmdir()
    home.write_text("no folder")
    assert draw_and_quit(lambda: None) == 0 and capsys.readouterr().err == ""


def test_settings_that_cannot_be_kept_when_the_pad_closes_are_told_in_the_terminal(home, draw_and_quit, capsys):
    (home / "settings.json").mkdir()
    assert draw_and_quit(lambda: None) == 0 and capsys.readouterr().err == ""
    thicker = pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RIGHTBRACKET, mod=0)
    assert draw_and_quit(lambda: pygame.event.post(thicker)) == 1
    assert capsys.readouterr().err.startswith(f"numcnn draw: cannot use {home / 'settings.json'}: ")


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Give a function that lets a script of the shell stand in for Python."""
    if sys.platform == "win32":
        pytest.skip("a script of the shell stands in for Python")

    def made(script):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(python))

    return made


@pytest.mark.parametrize("out", ["", "warning: no JSON", "[]", "{}", json.dumps({"digits": 3, "held_out": 4})])
def test_a_report_of_learning_that_is_none_is_told(keeper, stand_in, out):
    stand_in(f"echo '{out}'")
    keeper.own.add(1, [[(0, 0), (0, 9)]])
    keeper.learn()
    (done,) = ended(keeper)
    assert done.kind == "bad" and done.words.startswith("learning failed: ")


def test_the_seconds_are_those_that_one_has_waited(stand_in):
    stand_in(f"sleep 0.3\necho '{json.dumps({'digits': 3, 'seconds': 0.01})}'")
    report = Learner("pad").report()
    assert report["digits"] == 3 and 0.3 <= report["seconds"] < PATIENCE_SECONDS
