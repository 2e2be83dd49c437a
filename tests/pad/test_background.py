"""The pad's background tasks, without a window: no failure loses anything, and each is reported."""

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
from numcnn.pad import app, store, window
from numcnn.pad.background import PERSONAL, BackgroundTasks
from numcnn.pad.learner import Learner

SHIPPED = small()


@pytest.fixture(autouse=True)
def empty_home(home):
    """Make the folder of the pad's user."""
    home.mkdir()


@pytest.fixture
def tasks():
    tasks = BackgroundTasks(store.OwnSet(), store.Autosave(), shipped=SHIPPED, weights="everyone")
    yield tasks
    tasks.close([])


def ended(tasks):
    """Wait until no task is running; return what came of all of them."""
    found = []

    def idle():
        found.extend(tasks.results())
        return not tasks.busy

    wait_for(idle, "tasks to end")
    return found + tasks.results()


def swapped(tasks):
    """Press B; return what came of it."""
    tasks.swap()
    (result,) = ended(tasks)
    return result


def files(home):
    return {path.name: path.read_bytes() for path in home.glob("*.npz")}


DAMAGED = {"cut off": lambda whole: whole[:1000], "a text": lambda whole: b"not weights", "empty": lambda whole: b""}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("aside", [False, True])
def test_damaged_weights_of_ones_own_stay_where_they_are_and_are_reported(tasks, home, damage, aside):
    path = store.forgotten_weights() if aside else store.personal_weights()
    small(seed=5).save(path)
    path.write_bytes(damage(path.read_bytes()))
    before = files(home)
    assert tasks.own_network() is None
    reported = tasks.results()
    assert len(reported) == (0 if aside else 1)
    for result in (*reported, swapped(tasks), swapped(tasks)):
        assert result.kind == "bad" and result.network is None
        assert str(path) in result.words and "can't be used" in result.words and "T learns" in result.words
        assert files(home) == before and tasks.note == ""
    small(seed=5).save(path)  # mended
    assert swapped(tasks).network is not None and tasks.note == PERSONAL


def test_a_network_that_reads_no_digits_is_reported_with_its_file(tasks, home):
    small(classes=26).save(store.personal_weights())
    before = files(home)
    result = swapped(tasks)
    assert "personal.npz can't be used" in result.words and "to ten digits" in result.words
    assert files(home) == before and tasks.note == ""


def test_b_goes_by_the_network_that_is_shown_not_by_the_files(tasks, home):
    small(seed=5).save(store.personal_weights())  # there, but other weights were named and are shown
    result = swapped(tasks)
    assert tasks.note == PERSONAL and store.personal_weights().exists()
    np.testing.assert_array_equal(result.network.params, small(seed=5).params)
    store.personal_weights().unlink()
    result = swapped(tasks)
    assert result.network is SHIPPED and tasks.note == "" and "B brings" not in result.words
    assert "no weights of yours yet" in swapped(tasks).words


def test_b_pressed_quickly_ends_where_as_many_slow_ones_would(tasks):
    small(seed=5).save(store.personal_weights())
    for _ in range(4):
        tasks.swap()
    shown = [result.network is SHIPPED for result in ended(tasks)]
    assert shown == [False, True, False, True] and tasks.note == ""
    assert not store.personal_weights().exists() and store.forgotten_weights().exists()


@pytest.mark.parametrize("aside", [False, True])
def test_weights_that_cannot_be_moved_leave_the_network_that_is_shown(tasks, aside):
    small(seed=5).save(store.personal_weights())
    if aside:
        assert store.forget()
        obstacle = store.personal_weights()
    else:
        assert swapped(tasks).network is not None
        obstacle = store.forgotten_weights()
    note = tasks.note
    (obstacle / "full").mkdir(parents=True)
    result = swapped(tasks)
    assert result.kind == "bad" and result.network is None and tasks.note == note
    (obstacle / "full").rmdir()
    obstacle.rmdir()
    assert swapped(tasks).network is not None and tasks.note != note


def test_of_labels_for_the_same_strokes_the_last_one_holds(tasks):
    one, other = [[(0.1, 0), (0, 9)]], [[(0.1, 0), (0, 9)], [(3, 3)]]

    def reported(label, strokes):
        tasks.keep(label, strokes)
        (result,) = ended(tasks)
        assert result.button == "Undo"
        return result.words, [digit.label for digit in store.OwnSet().read()[0]]

    assert reported(4, one) == ("kept: this is a 4  (1 of yours)", [4])
    assert reported(4, one) == ("kept already: this is a 4  (1 of yours)", [4])
    assert reported(9, one) == ("was 4, now 9  (1 of yours)", [9])
    assert reported(9, other) == ("kept: this is a 9  (2 of yours)", [9, 9])
    assert reported(0, other) == ("was 9, now 0  (2 of yours)", [9, 0])
    assert reported(5, one) == ("was 9, now 5  (2 of yours)", [0, 5])  # not the last one
    tasks.take_back()
    assert [result.words for result in ended(tasks)] == ["taken back: the 5"]
    assert [digit.label for digit in store.OwnSet().read()[0]] == [0]
    again = BackgroundTasks(store.OwnSet())  # after a restart
    again.keep(9, other)
    assert [result.words for result in ended(again)] == ["was 0, now 9  (1 of yours)"]
    again.keep(9, other)
    assert [result.words for result in ended(again)] == ["kept already: this is a 9  (1 of yours)"]
    again.close([])


class Lesson:
    """What ``numcnn learn`` would do, as far as the tasks see it, at the moment that the test chooses."""

    progress = 0.5

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
def lesson(tasks, monkeypatch):
    """A lesson under way, in place of the process."""
    lesson = Lesson()
    monkeypatch.setattr("numcnn.pad.background.Learner", lambda weights: lesson)
    tasks.own.add(1, [[(0, 0), (0, 9)]])
    tasks.learn()
    wait_for(lambda: tasks.progress, "the lesson to begin")
    return lesson


def test_weights_put_aside_at_the_moment_that_they_were_learned_are_taken_up_all_the_same(tasks, lesson):
    small(seed=5).save(store.personal_weights())
    assert swapped_meanwhile(tasks).network is not None and tasks.note == PERSONAL
    small(seed=6).save(store.personal_weights())  # the process has written, and ends in a moment
    assert swapped_meanwhile(tasks).network is SHIPPED and not store.personal_weights().exists()
    lesson.go_on.set()
    (result,) = ended(tasks)
    assert result.words.startswith("learned 1 digit in ") and tasks.note == PERSONAL
    np.testing.assert_array_equal(result.network.params, small(seed=6).params)
    assert store.personal_weights().exists()
    assert swapped(tasks).network is SHIPPED and store.forgotten_weights().exists()


def swapped_meanwhile(tasks):
    """Press B while a lesson goes on; return what came of it."""
    tasks.swap()
    return wait_for(tasks.results, "a task to end")[0]


def test_what_is_learned_is_shown_after_what_was_asked_before(tasks, lesson):
    small(seed=5).save(store.personal_weights())
    tasks.learn()
    assert [result.words for result in tasks.results()] == ["already learning"]
    tasks.swap()  # yours
    tasks.swap()  # shipped
    tasks._worker.submit(lambda: None).result()
    lesson.go_on.set()
    tasks._lesson.result()
    shown = [result.network is SHIPPED for result in ended(tasks)]
    assert shown == [False, True, False] and tasks.note == PERSONAL
    np.testing.assert_array_equal(numcnn.load(store.personal_weights()).params, small(seed=5).params)


class Vanishing(BackgroundTasks):
    """Tasks whose process is gone as soon as one has looked at it."""

    _learner = property(
        lambda self: self.__dict__.pop("there", None), lambda self, learner: self.__dict__.update(there=learner)
    )


def test_a_lesson_that_ends_while_the_pad_closes_costs_nothing(tasks, lesson):
    tasks.__class__, tasks.there = Vanishing, tasks.__dict__.pop("_learner")
    tasks.close([])
    assert lesson.stopped


def test_a_drawing_that_cannot_be_kept_is_reported_once_until_it_could(tasks, home, no_display, monkeypatch):
    pad = app.Pad(SHIPPED, SIZE, tasks=tasks)
    reported = []
    say = pad.say
    monkeypatch.setattr(pad, "say", lambda words, *more: reported.append(words) or say(words, *more))

    def draw(top):
        drag(pad, (200, top), (300, top + 60))
        settle(pad)

    obstacle = home / "drawing.json"
    obstacle.mkdir()
    draw(200)
    assert len(reported) == 1 and reported[0].startswith(f"cannot keep the drawing in {obstacle}: ")
    assert (pad.scene.toast.words, pad.scene.toast.kind) == (reported[0], "bad")
    draw(220)
    draw(240)
    assert len(reported) == 1 and len(pad.canvas.strokes) == 3
    obstacle.rmdir()
    draw(260)
    assert len(reported) == 1 and len(store.Autosave().restore()) == 4
    obstacle.unlink()
    obstacle.mkdir()
    draw(280)
    assert len(reported) == 2  # reported again, because saving worked in between
    obstacle.rmdir()
    pad.close()
    assert len(store.Autosave().restore()) == 5


@pytest.fixture
def draw_and_quit(tmp_path, no_display, monkeypatch):
    """Give a function that runs ``numcnn draw``, does something as soon as the window is open, and quits."""
    SHIPPED.save(tmp_path / "small.npz")
    opened = window.open_window

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


def test_a_drawing_that_cannot_be_kept_when_the_pad_closes_is_reported_in_the_terminal(home, draw_and_quit, capsys):
    assert draw_and_quit(draw_a_line) == 0 and capsys.readouterr().err == ""
    assert len(store.Autosave().restore()) == 1
    (home / "drawing.json").unlink()
    home.rmdir()
    home.write_text("no folder")
    assert draw_and_quit(draw_a_line) == 1
    reported = capsys.readouterr().err
    assert reported.startswith(f"numcnn draw: cannot keep the drawing in {home / 'drawing.json'}: ")
    assert "is lost" in reported and reported.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there it ends a process at once")
def test_a_pad_that_is_terminated_keeps_the_drawing_and_says_so(home, tmp_path):
    SHIPPED.save(tmp_path / "small.npz")
    with running("-c", DRAW_AND_WAIT, tmp_path / "small.npz", SDL_VIDEODRIVER="dummy") as process:
        read_until(process.stdout, "drawn")
        process.send_signal(signal.SIGTERM)
        _, reported = process.communicate()
    assert process.returncode == 143 and reported == "numcnn draw: terminated\n"
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


def test_settings_that_cannot_be_kept_when_the_pad_closes_are_reported_in_the_terminal(home, draw_and_quit, capsys):
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
def test_a_report_of_learning_that_is_none_is_reported(tasks, stand_in, out):
    stand_in(f"echo '{out}'")
    tasks.own.add(1, [[(0, 0), (0, 9)]])
    tasks.learn()
    (result,) = ended(tasks)
    assert result.kind == "bad" and result.words.startswith("learning failed: ")


def test_the_seconds_are_those_that_one_has_waited(stand_in):
    stand_in(f"sleep 0.3\necho '{json.dumps({'digits': 3, 'seconds': 0.01})}'")
    report = Learner("everyone").report()
    assert report["digits"] == 3 and 0.3 <= report["seconds"] < PATIENCE_SECONDS
