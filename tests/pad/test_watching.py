"""Training in the pad: a real run in its process, a real window under SDL's dummy driver, posted events."""

import itertools
import os
import signal
import sys

import numpy as np
import pygame
import pytest
from conftest import BACKEND, write_digits
from pads import SIZES, drag, mouse, opened_pads, press, small, words
from PIL import Image
from processes import ROOT, alive, running, wait_for
from recording import RecordingType, assert_parts_apart

from numcnn.data.generated import digit_strokes
from numcnn.imaging import raster
from numcnn.pad import store
from numcnn.pad.background import BackgroundTasks, TaskResult
from numcnn.pad.drawing.layout import layout
from numcnn.pad.drawing.live_view import PACES, LivePanel, TrainingScene, panel_places
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.live import FAILED, FINISHED, GENERATED, PAUSED, RUNNING, LiveRun
from numcnn.pad.timeline import Timeline, Validation
from numcnn.pad.watching import Watching

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_display")]
SEVEN = digit_strokes(7, np.random.default_rng(3))
COMMA, STOP = pygame.K_COMMA, pygame.K_PERIOD


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder of a few hundred digits of our own, as IDX files."""
    return write_digits(tmp_path_factory.mktemp("digits") / "own")


@pytest.fixture
def open_pad(folder, tmp_path):
    """Give a function that opens a pad with a 7 on it, whose runs learn from the folder."""
    with opened_pads() as opened:

        def new(**settings):
            tasks = BackgroundTasks(store.OwnSet(), None, tmp_path)
            pad = opened((900, 600), small(), strokes=SEVEN, tasks=tasks)
            ours = {"dataset": str(folder), "backend": BACKEND, "epochs": 2, "batch_size": 8, "limit": 150}
            pad.watching = Watching(**ours | settings)
            return pad

        yield new


def until(pad, condition, what="the pad to get there"):
    wait_for(lambda: pad.step() and condition(), what)


def panel(pad):
    places = pad.places()
    return panel_places(pad.view.type, places.training, places.text)


def click(pad, position):
    drag(pad, position)


def finished(pad):
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.state == FINISHED and pad.watching._shown == pad.watching.run.timeline.steps)
    return pad.watching.run


def same_weights(network, params):
    return network.params.tobytes() == params.tobytes()


def test_a_network_learns_while_the_drawing_stays(open_pad):
    pad = open_pad()
    before, strokes, network = pad.scene.reading.inspection, pad.canvas.strokes, pad.recognizer.network
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.state == FINISHED and not pad.watching.run.waiting)
    press(pad, pygame.K_HOME)
    until(pad, lambda: pad.watching._shown == 0, "the first weights, before any step")
    noise = pad.scene.reading.inspection
    press(pad, pygame.K_END)
    until(pad, lambda: pad.watching._shown == pad.watching.run.timeline.steps)
    learned = pad.scene.reading.inspection
    timeline = pad.watching.run.timeline
    assert timeline.done == timeline.steps and len(timeline.validations) >= 3
    assert np.mean(timeline.losses[-5:]) < np.mean(timeline.losses[:5])
    for one, other in ((before, noise), (noise, learned)):
        assert not np.array_equal(one.probabilities, other.probabilities)
    assert noise.stages[0].out.shape == (26, 26, 32)  # of the network that learns
    assert pad.scene.maps is learned and pad.scene.why is not None and pad.scene.inside
    until(pad, lambda: not pad.moving, "the bars")
    np.testing.assert_allclose(pad.scene.bars, learned.probabilities, atol=1e-6)
    assert pad.canvas.strokes is strokes
    press(pad, pygame.K_ESCAPE)
    assert not pad.watching.open and pad.recognizer.network is network and not pad.scene.inside
    np.testing.assert_array_equal(pad.scene.reading.inspection.probabilities, before.probabilities)
    assert pad.scene.why is None and not pad.places().training.width


def test_drawing_goes_on_while_it_trains(open_pad):
    pad = open_pad(epochs=1000)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching._shown > 0)
    x, y = pad.places().sheet.topleft
    drag(pad, (x + 20, y + 20), (x + 30, y + 60), (x + 30, y + 90))
    assert len(pad.canvas.strokes) == len(SEVEN) + 1
    shown = pad.watching._shown
    until(pad, lambda: pad.watching._shown > shown)
    assert len(pad.scene.readings) >= 1


def test_pause_go_on_and_step_by_step(open_pad):
    pad = open_pad(epochs=1000)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.step >= 5)
    press(pad, pygame.K_SPACE)
    assert pad.canvas.strokes, "Space clears the sheet only while nothing trains"
    until(pad, lambda: pad.watching.run.state == PAUSED and pad.watching._shown == pad.watching.run.step)
    paused_at = pad.watching.run.step
    press(pad, pygame.K_h, STOP)  # also while the keys are listed
    assert pad.scene.help
    press(pad, pygame.K_h)
    until(pad, lambda: pad.watching._shown == paused_at + 1)
    click(pad, panel(pad).controls["step"].center)
    until(pad, lambda: pad.watching._shown == paused_at + 2)
    assert pad.watching.run.step == paused_at + 2 and pad.watching.run.state == PAUSED
    press(pad, pygame.K_SPACE)
    until(pad, lambda: pad.watching.run.step > paused_at + 10)


def test_the_slider_sets_the_pace(open_pad):
    pad = open_pad(epochs=1000)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.state == RUNNING)
    slider = panel(pad).slider.line
    drag(pad, slider.midright, slider.center, slider.midleft)  # one step
    assert PACES[pad.scene.training.notch] == 0.0
    until(pad, lambda: pad.watching.run.state == PAUSED and pad.watching._shown == pad.watching.run.step)
    at = pad.watching.run.step
    press(pad, pygame.K_SPACE)
    until(pad, lambda: pad.watching._shown == at + 1 and pad.watching.run.state == PAUSED)
    drag(pad, slider.midleft, (slider.left + round(0.75 * slider.width), slider.centery))
    assert PACES[pad.scene.training.notch] == 30.0
    press(pad, pygame.K_SPACE)
    until(pad, lambda: pad.watching.run.step >= at + 3)
    assert pad.scene.training.go == "Pause"


@pytest.mark.compiled
def test_scrubbing_shows_that_step_and_its_exact_weights(open_pad):
    pad = open_pad(epochs=6)
    run = finished(pad)
    timeline, track = run.timeline, panel(pad).track
    last = pad.scene.reading.inspection.probabilities
    x = track.left + round(0.4 * track.width)
    mouse(pygame.MOUSEBUTTONDOWN, track.midright)
    mouse(pygame.MOUSEMOTION, (x, track.centery))
    assert pad.step()
    wanted = pad.watching._at
    assert wanted == panel(pad).step_at(x, timeline.steps) and pad.scene.training.shown == wanted
    near = timeline.nearest(wanted)
    assert wanted - timeline.spacing < near[0] <= wanted and same_weights(pad.recognizer.network, near[1])
    mouse(pygame.MOUSEBUTTONUP, (x, track.centery))
    until(pad, lambda: pad.watching._shown == wanted, "the exact weights")
    assert not np.array_equal(pad.scene.reading.inspection.probabilities, last)
    press(pad, COMMA)
    until(pad, lambda: pad.watching._shown == wanted - 1)
    exact = pad.recognizer.network.params.copy()
    press(pad, STOP, COMMA)
    until(pad, lambda: pad.watching._shown == wanted - 1)
    assert same_weights(pad.recognizer.network, exact)
    press(pad, pygame.K_HOME)
    until(pad, lambda: pad.watching._shown == 0)
    press(pad, pygame.K_END)
    until(pad, lambda: pad.watching._shown == timeline.steps)
    np.testing.assert_array_equal(pad.scene.reading.inspection.probabilities, last)


@pytest.mark.compiled
def test_the_weights_computed_again_are_those_that_were_recorded(open_pad):
    run = finished(open_pad(epochs=6))
    recorded = {step: params for step, params in run.timeline._kept.items()}
    assert len(recorded) > 11
    for step in list(recorded)[1:]:
        run.ask(step)
        run.timeline._asked.clear()
        wait_for(lambda step=step: run.poll() and step in run.timeline._asked, "the weights")
        assert run.timeline._asked[step].tobytes() == recorded[step].tobytes()


def test_settings_are_chosen_and_taken_by_the_next_run(open_pad):
    pad = open_pad()
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.timeline is not None)
    first, settings = pad.watching.run, panel(pad).settings
    click(pad, settings["lr"].move(-settings["lr"].width // 3, 0).center)
    click(pad, settings["seed"].move(settings["seed"].width // 3, 0).center)
    click(pad, settings["batch_size"].move(settings["batch_size"].width // 3, 0).center)
    assert pad.scene.training.values == ("0.006", "adamw", "64", "1") and pad.scene.training.changed
    mouse(pygame.MOUSEMOTION, settings["optimizer"].center)
    pygame.event.post(pygame.event.Event(pygame.MOUSEWHEEL, y=-1, x=0, flipped=False))
    pad.step()
    assert pad.scene.training.values[:2] == ("0.05", "sgd")  # with the rate that suits it
    click(pad, panel(pad).controls["again"].center)
    assert pad.watching.run is not first and first._process.poll() is not None
    until(pad, lambda: pad.watching.run.state == FINISHED)
    assert not pad.scene.training.changed
    assert pad.watching.run.known["lr"] == 0.05 and pad.watching.run.timeline.per_epoch != first.timeline.per_epoch


def test_keys_alone_set_the_speed_and_every_option_and_start_again(open_pad):
    pad = open_pad(epochs=1000)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.state == RUNNING)
    first, less, more = pad.watching.run, pygame.K_MINUS, pygame.K_KP_PLUS
    press(pad, *[less] * 6)  # the speed, as long as nothing is chosen
    assert pad.scene.training.chosen == "speed" and PACES[pad.scene.training.notch] == 0.0
    until(pad, lambda: first.state == PAUSED and pad.watching._shown == first.step)
    at = first.step
    press(pad, pygame.K_SPACE)
    until(pad, lambda: pad.watching._shown == at + 1 and first.state == PAUSED)
    shown = []
    for keys in ([less], [more, more], [more], [more, more]):
        press(pad, pygame.K_TAB, *keys)
        shown.append(pad.scene.training.chosen)
    assert shown == ["lr", "optimizer", "batch_size", "seed"] and pad.scene.inside
    assert pad.scene.training.values == ("0.05", "sgd", "64", "2") and pad.scene.training.changed
    press(pad, pygame.K_TAB, mod=pygame.KMOD_SHIFT)
    press(pad, pygame.K_RIGHTBRACKET, unicode="+")  # where a keyboard has it
    assert pad.scene.training.values[2] == "128"
    press(pad, pygame.K_TAB, pygame.K_TAB, *[more] * 9)
    assert PACES[pad.scene.training.notch] is None and words(pad) == ""
    press(pad, pygame.K_RETURN)
    assert pad.watching.run is not first and not pad.scene.training.changed
    until(pad, lambda: pad.watching.run.step > 0)
    assert pad.watching.run.known["lr"] == 0.05
    assert pad.watching.run.timeline.per_epoch < first.timeline.per_epoch / 3  # batches of 128, not of 32
    pad.scene.large = True  # no room for the settings: a message says what the keys do
    press(pad, pygame.K_TAB, pygame.K_TAB, less)
    assert not panel(pad).settings and words(pad).startswith("optimizer adam; - and +")


@pytest.mark.parametrize("size", SIZES)
def test_nothing_of_the_panel_overlaps_or_is_cut(size):
    pygame.font.init()
    timeline = Timeline(1716, 429, 20)
    timeline.add_steps(1716, [2.3] * 1716, [0.5] * 1716, np.zeros(3, np.float32), True)
    timeline.validations.append(Validation(1716, 0.9912, 0.0312, 5000))
    long = "it diverged: the loss is nan; choose a smaller learning rate"
    for large, words_, values in itertools.product(
        (False, True), ("generated digits, not MNIST; step 1,716 of 1,716, epoch 4, 300/s; 99% after 10 s", long),
        (("0.0003", "adamw", "512", "99"), ("0.1", "sgd", "32", "0")),
    ):  # fmt: skip
        places, type_ = layout(size, True, large, True), RecordingType()
        for timeline_, failed in ((timeline, words_ == long), (None, False)):
            scene = TrainingScene(timeline_, 1716, True, words_, failed, failed, "Pause", 4, values, True, None, "seed")
            parts = LivePanel(type_).parts(places.training, THEMES["light"], places.text, scene)
            texts, _ = assert_parts_apart(parts, size, type_, places.training.inflate(places.text, 2))
            assert {"Pause", "Step", "Start again", "full speed"} <= {word for word, _, _ in texts}
            assert not large or min(height for _, _, height in texts) >= 0.03 * size[1]


def test_a_rate_that_diverges_is_explained_and_can_be_looked_at(open_pad):
    pad = open_pad(epochs=40, optimizer="sgd", lr=1e9)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.state == FAILED)
    until(pad, lambda: "diverged" in pad.scene.training.words and pad.scene.training.failed)
    assert pad.watching._shown < pad.watching.run.step  # the last weights give no finite answer
    press(pad, pygame.K_HOME)
    until(pad, lambda: pad.watching._shown == 0)
    drag(pad, *(pad.places().sheet.move(i, i).center for i in (0, 20)))
    assert pad.scene.reading is not None


def test_generated_digits_are_named(open_pad):
    pad = open_pad()
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.timeline is not None)
    assert "not MNIST" not in pad.scene.training.words
    pad.watching.run.known["dataset"] = GENERATED
    pad.step()
    assert "not MNIST" in pad.scene.training.words and "MNIST isn't here" in words(pad)


def test_a_window_closed_in_the_middle_leaves_nothing_running_and_loses_nothing(open_pad, folder):
    with opened_pads() as opened:
        tasks = BackgroundTasks(store.OwnSet(), store.Autosave(), folder)
        pad = opened((900, 600), small(), tasks=tasks)
        pad.watching = Watching(dataset=str(folder), backend=BACKEND, epochs=1000)
        sheet = pad.places().sheet
        drag(pad, sheet.center, (sheet.centerx + 40, sheet.centery + 50))
        press(pad, pygame.K_r)
        until(pad, lambda: pad.watching._shown > 0)
        press(pad, pygame.K_4)  # a label, while another network is shown
        process, drawn = pad.watching.run._process, pad.canvas.strokes
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        assert not pad.step()
    assert process.poll() is not None
    autosave = store.Autosave()
    restored = autosave.restore()
    assert autosave.problem is None and len(restored) == len(drawn) == 1
    assert len(store.OwnSet()) == 1


PAD = """
import sys
from numcnn import Dense, Flatten, Network
from numcnn.pad import app
from numcnn.pad.watching import FULL, Watching
pad = app.Pad(Network([Flatten(), Dense(10)], backend="reference"), (600, 400))
pad.watching = Watching(dataset=sys.argv[1], backend=sys.argv[2], epochs=1000)
pad.act("train")
while pad.watching.run.step < 3:
    pad.step()
print(pad.watching.run._process.pid, flush=True)
while True:
    pad.step()
"""


@pytest.mark.skipif(os.name != "posix", reason="kills by signals")
def test_a_pad_that_is_killed_takes_its_training_with_it(folder):
    with running("-c", PAD, folder, BACKEND, SDL_VIDEODRIVER="dummy", PYTHONPATH=str(ROOT)) as pad:
        line = next(line for line in pad.stdout if line.strip().isdigit())
        pad.send_signal(signal.SIGKILL)
        pad.wait()
        wait_for(lambda: not alive(int(line)), "the training process to end")


def test_a_process_that_cannot_start_leaves_the_users_network(open_pad, monkeypatch):
    pad = open_pad(epochs=1000)
    network, python = pad.recognizer.network, sys.executable
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    press(pad, pygame.K_r)
    assert "can't start" in words(pad) and not pad.watching.open and not pad.scene.inside
    monkeypatch.setattr(sys, "executable", python)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching._shown >= 0)
    assert pad.recognizer.network is not network
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    click(pad, panel(pad).controls["again"].center)
    assert "can't start" in words(pad) and pad.recognizer.network is network and pad.scene.training is None


def test_a_picture_is_read_by_the_network_that_learns(open_pad, tmp_path):
    pad = open_pad()
    path = tmp_path / "four.png"
    ink = raster.draw([60 * (stroke + 1.3) for stroke in digit_strokes(4, np.random.default_rng(4))], (160, 160), 5)
    Image.fromarray((250 - 220 * ink).astype(np.uint8)).save(path)
    pygame.event.post(pygame.event.Event(pygame.DROPFILE, file=str(path)))
    until(pad, lambda: pad.scene.picture is not None and pad.scene.readings, "the picture to be read")
    before = pad.scene.readings
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching._shown > 0)
    now = pad.scene.reading
    np.testing.assert_array_equal(now.image, before[pad.scene.focus].image)
    np.testing.assert_allclose(
        now.inspection.probabilities, pad.recognizer.network.predict_proba(now.image)[0], atol=1e-5
    )
    press(pad, pygame.K_ESCAPE)
    assert pad.scene.readings == before and pad.scene.picture is not None
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching._shown > 0)
    learned = small(seed=5)
    pad._on_task_done(TaskResult("", network=learned))  # T, during the run
    press(pad, pygame.K_ESCAPE)
    now = pad.scene.reading
    np.testing.assert_allclose(now.inspection.probabilities, learned.predict_proba(now.image)[0], atol=1e-5)


def test_a_run_whose_process_dies_says_so(folder):
    run = LiveRun({"dataset": str(folder), "backend": BACKEND})
    run._process.kill()
    wait_for(lambda: run.poll() or run.state == FAILED, "the end to be noticed")
    assert "start again" in run.problem and "exit code" in run.problem
    run.go()  # is harmless
    run.close()


def test_a_process_that_fails_leaves_its_last_words(tmp_path, monkeypatch):
    (tmp_path / "numcnn").mkdir()
    (tmp_path / "numcnn" / "__init__.py").write_text("raise ImportError('half of it is missing')")
    monkeypatch.setattr("numcnn.pad.live.child_environment", lambda: {**os.environ, "PYTHONPATH": str(tmp_path)})
    run = LiveRun({})
    wait_for(lambda: run.poll() and run.state == FAILED, "the end to be noticed")
    assert run.problem == "the training process ended (ImportError: half of it is missing); start again"
    run.close()


def test_an_open_panel_or_list_takes_the_keys_before_the_run(open_pad, folder, monkeypatch):
    monkeypatch.chdir(folder)
    pad = open_pad(epochs=1000)
    press(pad, pygame.K_r)
    until(pad, lambda: pad.watching.run.step >= 5 and pad.watching.run.state == RUNNING)
    press(pad, pygame.K_o)
    press(pad, pygame.K_SPACE, unicode=" ")
    press(pad, STOP, unicode=".")
    press(pad, COMMA, unicode=",")
    assert pad.chooser.search == " .," and pad.watching._at is None
    press(pad, pygame.K_ESCAPE, pygame.K_g)
    until(pad, lambda: pad.one_step.lesson is not None, "the step")
    press(pad, pygame.K_END)
    assert pad.one_step.at == pad.one_step._last() > 0 and not pad.one_step.playing
    press(pad, pygame.K_HOME)
    assert pad.one_step.at == 0 and pad.watching._at is None
    press(pad, pygame.K_SPACE)
    assert pad.one_step.playing and pad.watching.run.state == RUNNING
    press(pad, pygame.K_ESCAPE, pygame.K_HOME)  # the run's again
    assert not pad.one_step.open and pad.watching._at == 0


def test_a_network_learned_during_a_run_says_which_strokes_make_a_digit(open_pad):
    pad = open_pad()
    run = finished(pad)
    learned = small(seed=5)
    pad._on_task_done(TaskResult("", network=learned))
    assert pad.canvas._judge.__self__ is pad._before[0] and pad._before[0].network is learned
    assert pad.step() and same_weights(pad.recognizer.network, run.network()[1].params)
    press(pad, pygame.K_ESCAPE)
    assert pad.recognizer.network is learned
    probabilities = learned.predict_proba(pad.scene.reading.image)[0]
    np.testing.assert_allclose(pad.scene.reading.inspection.probabilities, probabilities, atol=1e-5)


def test_the_time_line_keeps_what_it_should():
    timeline = Timeline(100, 50, 20)
    assert timeline.nearest(5) is None
    for step in (0, 20, 40):
        params = np.full(3, step, np.float32)
        timeline.add_steps(step, [1.0] * (20 if step else 0), [0.5] * (20 if step else 0), params, True)
    timeline.add_steps(47, [1.0] * 7, [0.5] * 7, np.full(3, 47, np.float32), False)
    assert [timeline.nearest(step)[0] for step in (0, 19, 20, 39, 46, 47, 99)] == [0, 0, 20, 20, 40, 47, 47]
    timeline.add_asked(33, np.full(3, 33, np.float32))
    assert timeline.nearest(33)[0] == 33 and timeline.nearest(34)[0] == 20 and timeline.has(33)
    assert timeline.nbytes == 5 * 12
