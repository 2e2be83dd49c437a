"""One step of learning: its numbers are those of trace and SGD, the user's network stays, the panel obeys."""

import weakref

import numpy as np
import pygame
import pytest
from pads import SEVEN, SIZES, click, drag, frame, mouse, press, settle, small, words
from processes import wait_for
from recording import RecordingType, assert_parts_apart

import numcnn
from numcnn.nn.inspection import inspect_picture
from numcnn.pad import store
from numcnn.pad.background import BackgroundTasks
from numcnn.pad.drawing.step_view import StepCard, StepScene
from numcnn.pad.lesson import ANSWER, BACKWARD, CHANGE, FORWARD, LOSS_FRAME, learn_once
from numcnn.pad.one_step import RATES

pytestmark = pytest.mark.usefixtures("no_display")


def calm(pad):
    wait_for(lambda: frame(pad) and pad.one_step._task is None and not pad.tasks.busy, "the step")
    pad.step()


@pytest.fixture
def pad(open_pad):
    """A pad with a digit and the panel open, at its first frame."""
    pad = open_pad((1100, 700), strokes=SEVEN, tasks=BackgroundTasks(store.OwnSet()))
    press(pad, pygame.K_g)
    calm(pad)
    pad.one_step.go(0)
    return pad


def picture():
    image = np.zeros((28, 28), np.uint8)
    image[4:24, 12:15] = 200
    return image


def test_a_panel_closed_while_it_computes_leaves_the_pad_at_rest(open_pad):
    pad = open_pad((1100, 700), strokes=SEVEN)
    press(pad, pygame.K_g, pygame.K_ESCAPE)
    wait_for(lambda: frame(pad) and not pad.one_step.busy, "the step to be dropped")
    assert not pad.one_step.open and pad.one_step.lesson is None and not pad.scene.inside


def test_a_closed_panel_keeps_no_lesson(pad):
    """That of the shipped network takes 50 MB."""
    lesson = weakref.ref(pad.one_step.lesson)
    press(pad, pygame.K_ESCAPE)
    assert lesson() is None


def test_the_panel_closes_with_the_last_digit_and_gives_the_view_back(pad):
    assert pad.scene.inside
    press(pad, pygame.K_c)
    assert not pad.one_step.open and not pad.scene.inside and not pad.one_step.playing


# Numbers


def test_the_step_is_that_of_gradient_descent_and_the_network_stays_as_it_was():
    network = small(seed=3)
    before = network.params.tobytes()
    inspection = inspect_picture(network, picture())
    lesson = learn_once(network, inspection, 4, 0.02, None)
    assert network.params.tobytes() == before
    traced = numcnn.trace(network, picture(), 4)
    assert lesson.before.loss == traced.loss and lesson.after.loss < traced.loss
    stepped = network.copy(dtype=np.float64, backend="reference")
    for stop in traced.stops:
        for name in stop.layer.params if stop.layer else ():
            was, now = lesson.changed(stop.name)[name]
            np.testing.assert_allclose(now, was - 0.02 * stop[f"d{name}"], rtol=1e-12, atol=1e-15)
            layer = next(layer for layer in stepped.layers if layer.name == stop.name)
            layer.params[name][...] = now
    again = numcnn.trace(stepped, picture(), 4)
    assert lesson.after.loss == pytest.approx(again.loss, rel=1e-12)
    same = learn_once(network, inspection, 4, 0.5, lesson)
    assert same.before is lesson.before and same.sums is lesson.sums and same.after.loss != lesson.after.loss
    assert learn_once(network, inspection, 5, 0.5, lesson).before is not lesson.before


def test_the_gradient_of_each_band_is_how_fast_the_loss_rises_with_it():
    network = small(seed=3)
    noise = np.random.default_rng(5).integers(0, 256, (28, 28)).astype(np.uint8)  # no two neighbours are equal
    lesson = learn_once(network, inspect_picture(network, noise), 4, 0.02, None)
    stops = {stop.name: stop for stop in lesson.before.stops}
    for band, values in enumerate([stops["conv1"]["x"], stops["relu1"]["out"], stops["pool1"]["out"],
                                   stops["relu2"]["out"], stops["dense2"]["out"]]):  # fmt: skip
        gradient = lesson.gradient(band)
        assert gradient.shape == values.shape
        twin, rng = lesson.before.network, np.random.default_rng(band)
        first = {0: 0, 1: 2, 2: 3, 3: 6, 4: 7}[band]
        nudge, direction = 1e-6, rng.normal(size=values.shape) * ((values > 0) | (band in (0, 4)))

        def loss(x, twin=twin, first=first):
            for layer in twin.layers[first:]:
                x = layer.forward(x, training=True)
            return float(np.log(np.exp(x[0]).sum()) - x[0, 4])

        slope = (loss((values + nudge * direction)[None]) - loss((values - nudge * direction)[None])) / (2 * nudge)
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-3, abs=1e-6)


def test_a_max_pool_shows_the_window_whose_largest_gets_the_gradient():
    network = numcnn.load(backend="reference")
    lesson = learn_once(network, inspect_picture(network, picture()), 4, 0.01, None)
    at = next(i for i, frame in enumerate(lesson.frames()) if frame.kind == BACKWARD and frame.stop == "pool1")
    shown = StepScene(lesson, lesson.frames(), at, 4, 0.01, 0.5, False)
    window = StepCard(None, shown, None).window()
    values, gradients = ([float(row[i]) for row in window] for i in (1, 2))
    assert len(window) == 4 and sum(gradient != 0 for gradient in gradients) == 1
    assert gradients[int(np.argmax(values))] != 0 and max(values) > 0
    for name, value, gradient in window:
        index = tuple(map(int, name[2:-1].split(",")))
        assert lesson.before["pool1"]["x"][index] == pytest.approx(float(value), rel=1e-2)
        assert lesson.before["pool1"]["dx"][index] == pytest.approx(float(gradient), rel=0.05)


def test_each_frame_has_the_sum_of_its_largest_number():
    network = numcnn.load(backend="reference")
    lesson = learn_once(network, inspect_picture(network, picture()), 4, 0.01, None)
    for (kind, band, _), found in lesson.sums.items():
        assert found.sum == pytest.approx(found.value, rel=1e-6, abs=1e-9)
        if kind == BACKWARD:
            assert abs(found.value) == pytest.approx(np.abs(lesson.gradient(band)).max())
    kinds = [frame.kind for frame in lesson.frames()]
    assert kinds == [FORWARD] * 7 + [LOSS_FRAME] + [BACKWARD] * 7 + [CHANGE] * 4 + [ANSWER]
    backward = [frame.band for frame in lesson.frames() if frame.kind == BACKWARD]
    assert backward == [6, 5, 4, 3, 2, 1, 0]
    pooled = next(frame for frame in lesson.frames() if frame.kind == BACKWARD and frame.stop == "pool1")
    assert (lesson.gradient(pooled.band) == 0).mean() >= 0.75  # three of four lost against their neighbours
    assert "at least 75% of dx are 0" in lesson.before["pool1"].lessons[1]


# The panel


def test_it_plays_by_itself_to_the_new_answer_and_again(open_pad):
    pad = open_pad((900, 600), strokes=SEVEN)
    press(pad, pygame.K_g)
    calm(pad)
    step = pad.one_step
    assert step.playing and pad.scene.inside
    seen = set()
    while step.playing:
        seen.add(step.at)
        step._next_at = min(step._next_at, 1e-9) if step._next_at else 0.0  # without the pauses
        assert pad.step()
    last = len(step.lesson.frames()) - 1
    assert seen | {last} == set(range(last + 1)) and step.at == last
    press(pad, pygame.K_SPACE)
    assert step.playing and step.at == 0


def test_keys_go_back_and_forth_and_set_rate_and_label(pad):
    step = pad.one_step
    press(pad, pygame.K_RIGHT, pygame.K_RIGHT, pygame.K_LEFT)
    assert step.at == 1 and not step.playing
    press(pad, pygame.K_LEFT, pygame.K_LEFT)
    assert step.at == 0
    press(pad, pygame.K_END, pygame.K_RIGHT)
    assert step.at == len(step.lesson.frames()) - 1
    press(pad, pygame.K_HOME)
    assert step.at == 0
    rate = step.rate
    press(pad, pygame.K_UP)
    calm(pad)
    assert rate < step.rate == step.lesson.rate
    press(pad, *[pygame.K_DOWN] * 60)
    assert step.rate == RATES[0]
    press(pad, pygame.K_8, unicode="8")
    calm(pad)
    assert step.lesson.label == 8 and step.lesson.rate == RATES[0]
    assert len(store.OwnSet()) == 0  # a label for the step is not kept as the user's


def test_controls_take_taps_and_the_slider_a_drag_and_nothing_is_drawn(pad):
    step, strokes = pad.one_step, pad.canvas.strokes
    controls = step._controls(pad.places())
    for name, at in (("forth", 1), ("forth", 2), ("back", 1), ("last", len(step.lesson.frames()) - 1), ("first", 0)):
        click(pad, controls.buttons[name])
        assert step.at == at
    click(pad, controls.buttons["play"])
    assert step.playing
    click(pad, controls.buttons["play"])
    assert not step.playing
    click(pad, controls.labels[3])
    calm(pad)
    assert step.lesson.label == 3
    track = controls.slider.line
    drag(pad, controls.slider.knob(0.5), (track.left + track.width // 4, 5), (track.right + 200, track.centery))
    calm(pad)
    assert step.lesson.rate == RATES[1]
    mouse(pygame.MOUSEMOTION, track.center)  # the button is up
    pad.step()
    assert step.rate == RATES[1]
    rng = np.random.default_rng(0)
    for position in rng.integers((120, 0), (1100, 640), (60, 2)).tolist():
        if not controls.close.collidepoint(position):
            drag(pad, tuple(position))
    assert pad.canvas.strokes == strokes and step.open and not len(store.OwnSet())
    click(pad, controls.close)
    assert not step.open and not pad.scene.inside


def test_it_is_closed_by_g_and_escape_and_leaves_the_panel_as_it_was(open_pad):
    pad = open_pad(strokes=SEVEN)
    press(pad, pygame.K_f, pygame.K_g, pygame.K_ESCAPE)
    assert not pad.one_step.open and pad.scene.inside
    press(pad, pygame.K_f, pygame.K_g, pygame.K_g)
    assert not pad.one_step.open and not pad.scene.inside
    press(pad, pygame.K_g)
    calm(pad)
    press(pad, pygame.K_c)  # no digit, no step
    settle(pad)
    assert not pad.one_step.open
    press(pad, pygame.K_g)
    assert "draw a digit first" in words(pad) and not pad.one_step.open


def test_the_network_of_the_pad_is_the_same_before_and_after(pad):
    network = pad.recognizer.network
    params, answer = network.params.tobytes(), pad.scene.reading.inspection.probabilities.tobytes()
    for _ in range(3):
        press(pad, pygame.K_UP, pygame.K_5)
        calm(pad)
    press(pad, pygame.K_END, pygame.K_ESCAPE)
    assert pad.recognizer.network is network and network.params.tobytes() == params
    assert pad.scene.reading.inspection.probabilities.tobytes() == answer


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("large", [False, True])
def test_nothing_of_the_step_overlaps_or_is_cut(open_pad, size, large):
    pad = open_pad(size, numcnn.load(backend="reference"), strokes=SEVEN)
    pad.view.type, pad.scene.large = RecordingType(), large
    press(pad, pygame.K_g)
    calm(pad)
    pad.one_step.go(0)
    for at in (0, 4, 7, 8, 13, 14, 15, 18, 19):
        pad.one_step.go(at)
        panel, card = pad.one_step.parts(pad.places())
        texts, _ = assert_parts_apart([card], size, pad.view.type, card.rect)
        assert len(texts) >= 12  # ten labels, the rate, the title
        _, pictures = assert_parts_apart([panel], size, pad.view.type, panel.rect)
        assert len(pictures) > 10
        if large:
            assert min(height for _, _, height in texts) >= 0.03 * size[1]
