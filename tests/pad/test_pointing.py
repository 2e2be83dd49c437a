"""Pointing: the lens on any number of the inside panel, and taps that select and label."""

import numpy as np
import pygame
import pytest
from pads import SEVEN, SIZES, drag, frame, mouse, press, settle, small, words
from processes import wait_for
from recording import RecordingType, assert_parts_apart

import numcnn
from numcnn.pad import store
from numcnn.pad.background import BackgroundTasks
from numcnn.pad.drawing.inside import output_key
from numcnn.pad.drawing.inside_layout import OUTPUTS
from numcnn.pad.explaining import Spot, address, value_at
from numcnn.pad.pointing import Pointing

pytestmark = pytest.mark.usefixtures("no_display")


@pytest.fixture
def pad(open_pad):
    """A pad with a digit, and the inside open."""
    pad = open_pad((1100, 700), strokes=SEVEN, tasks=BackgroundTasks(store.OwnSet()))
    press(pad, pygame.K_f)
    settle(pad)
    return pad


def tool(pad):
    return next(each for each in pad.tools if isinstance(each, Pointing))


def calm(pad):
    """Let time pass until what is pointed at is explained."""
    wait_for(lambda: frame(pad) and not tool(pad).busy and not pad.tasks.busy, "the lens")
    frame(pad)


def tap(pad, position, **more):
    drag(pad, position, **more)
    calm(pad)


def screen():
    return pygame.display.get_surface()


def pixels():
    return pygame.surfarray.array3d(screen())


def spots(pad, count, seed=0):
    """Return some spots in each band of the panel."""
    rng = np.random.default_rng(seed)
    return [
        Spot(number, int(rng.integers(band.count)), *(int(rng.integers(side)) for side in band.size))
        for number, band in enumerate(tool(pad).bands())
        for _ in range(count)
    ]


def place(pad, spot):
    band = tool(pad).bands()[spot.band]
    rect = band.pixel(spot.i, spot.y, spot.x)
    return rect.center if band.kind != OUTPUTS else (rect.centerx, rect.top + 3)


@pytest.mark.parametrize("size", SIZES)
def test_what_lies_at_a_position_is_what_is_drawn_there(open_pad, size):
    pad = open_pad(size, numcnn.load(backend="reference"), strokes=SEVEN)
    press(pad, pygame.K_f)
    for spot in spots(pad, 40):
        rect = tool(pad).bands()[spot.band].pixel(spot.i, spot.y, spot.x)
        found = tool(pad).spot_at(place(pad, spot))
        assert found and found.band == spot.band
        if min(rect.size) >= 3:  # else the mouse can't tell one from the next
            assert found == spot
    for band in tool(pad).bands():
        if band.strip and band.filter(3).height > 2:
            assert tool(pad).spot_at(band.filter(3).center) == Spot(1, 3, -1, 0)
    assert tool(pad).spot_at(pad.places().sheet.center) is None


def test_the_sum_of_every_number_is_that_of_the_trace_and_the_number_shown(pad):
    network, reading = pad.recognizer.network, pad.scene.reading
    traced = numcnn.trace(network, reading.image)
    for spot in spots(pad, 3):
        tap(pad, place(pad, spot))
        if tool(pad).spot is None:  # the second tap at the same place closes the lens
            tap(pad, place(pad, spot))
        explained = tool(pad).explained
        assert explained.spot == spot and explained.problem == ""
        mine = traced.explain(*address(spot, reading.inspection, network))
        assert (explained.found.value, str(explained.found)) == (mine.value, str(mine))
        shown = value_at(reading.inspection, spot)
        if spot.band == len(reading.inspection.stages) + 1:
            assert shown == pytest.approx(mine.sum / network.temperature, abs=1e-4)
        elif spot.band:
            assert shown == pytest.approx(max(mine.sum, 0), abs=1e-4)
        else:
            assert shown == pytest.approx(reading.image[spot.y, spot.x] / 255)
        products = dict((tuple(each.spot), each.product) for each in explained.inputs)
        if spot.band > 0 and products:  # the inputs are where the terms' x is, in the band before
            assert {each[0] for each in products} == {spot.band - 1}
            largest = explained.inputs[0]
            at = next(t for t in mine.terms if t.product == largest.product)
            x = next(factor.value for factor in at.factors if factor.name == "x")
            there = value_at(reading.inspection, largest.spot)
            normal = (there - network.normalisation[0]) / network.normalisation[1] if spot.band == 1 else there
            assert normal == pytest.approx(x, abs=1e-4)


def test_a_filter_is_explained_where_its_map_is_strongest(pad):
    band = tool(pad).bands()[1]
    tap(pad, band.filter(2).center)
    out = pad.scene.maps.stages[0].out[..., 2]
    spot = tool(pad).explained.spot
    assert spot.i == 2 and out[spot.y, spot.x] == out.max()


def test_the_lens_opens_where_the_mouse_rests_and_closes_when_it_leaves(pad):
    before = pixels()
    spot = spots(pad, 1)[1]
    mouse(pygame.MOUSEMOTION, place(pad, spot))
    pad.step()
    calm(pad)
    wait_for(lambda: frame(pad) and tool(pad).card() is not None, "the lens to open")
    calm(pad)
    assert tool(pad).explained.spot == spot and not tool(pad).pinned
    room = pad.places().sheet
    assert (pixels() != before)[room.left : room.right, room.top : room.bottom].any()
    mouse(pygame.MOUSEMOTION, (3, 3))
    pad.step()
    assert tool(pad).card() is None
    np.testing.assert_array_equal(pixels(), before)


def test_a_finger_taps_the_lens_open_and_closed(pad):
    spot = spots(pad, 1)[2]
    mouse(pygame.MOUSEMOTION, place(pad, spot), touch=True)
    pad.step()
    assert tool(pad).spot is None  # a finger doesn't hover
    tap(pad, place(pad, spot), touch=True)
    assert tool(pad).pinned and tool(pad).explained.spot == spot
    tap(pad, tool(pad).card().close.center, touch=True)
    assert tool(pad).card() is None
    tap(pad, place(pad, spot), touch=True)
    tap(pad, place(pad, spot), touch=True)
    assert tool(pad).card() is None and len(pad.canvas.strokes) == 1


def test_arrows_and_clicks_in_the_large_map_move_a_pinned_lens(pad):
    band = tool(pad).bands()[1]
    tap(pad, band.pixel(1, 10, 10).center)
    press(pad, pygame.K_RIGHT, pygame.K_DOWN, pygame.K_DOWN, pygame.K_LEFT, pygame.K_LEFT)
    calm(pad)
    assert tool(pad).explained.spot == Spot(1, 1, 12, 9)
    view = tool(pad).card().map_view()
    assert view.values.shape == (26, 26)
    side = view.rect.width / 26
    tap(pad, (round(view.rect.left + 3.5 * side), round(view.rect.top + 20.5 * side)))
    assert tool(pad).explained.spot == Spot(1, 1, 20, 3)
    press(pad, *[pygame.K_UP] * 30)
    calm(pad)
    assert tool(pad).spot == Spot(1, 1, 0, 3)
    assert pad.scene.focus == 0  # arrows chose no digit meanwhile
    press(pad, pygame.K_ESCAPE)
    assert tool(pad).card() is None and pad.scene.inside


def test_no_click_beside_the_sheet_or_on_the_lens_draws_a_dot(pad):
    rng, sheet = np.random.default_rng(1), pad.places().sheet
    strokes = pad.canvas.strokes
    for position in rng.integers((120, 0), (1100, 700), (150, 2)).tolist():
        pinned = tool(pad).pinned
        if pinned or not sheet.collidepoint(position):
            drag(pad, tuple(position))
            assert pad.canvas.strokes == strokes, (position, pinned)
    settle(pad)


def test_a_network_swapped_in_with_fewer_maps_closes_the_lens(pad):
    tap(pad, place(pad, Spot(1, 3, 5, 5)))
    assert tool(pad).pinned
    other = numcnn.Network(
        [numcnn.Conv2D(2, 3), numcnn.ReLU(), numcnn.Flatten(), numcnn.Dense(10)], backend="reference", seed=1
    )
    pad.recognizer, pad._read = type(pad.recognizer)(other), None
    pad.step()
    assert tool(pad).card() is None


# Taps


def row_of(pad, count):
    """Draw ones beside each other."""
    sheet = pad.places().sheet
    for i in range(count):
        x = sheet.left + round((i + 1) * sheet.width / (count + 1))
        drag(pad, (x, sheet.centery - 70), (x + 6, sheet.centery + 70))
    settle(pad)


@pytest.mark.parametrize("inside", [False, True])
def test_a_tap_on_a_digit_of_a_row_selects_it_and_draws_no_dot(open_pad, inside):
    pad = open_pad((1100, 700))
    if inside:
        press(pad, pygame.K_f)
    row_of(pad, 3)
    assert len(pad.scene.readings) == 3 and len(pad.canvas.strokes) == 3
    written = pad.view.digits_shown(pad.scene, pad.places())
    assert sorted(i for i, _ in written) == [0, 0, 1, 1, 2, 2]  # in the answer, and as the network sees them
    for i, rect in written:
        pad.scene.focus = None
        drag(pad, rect.center, touch=True)
        assert pad.scene.focus == i
    for i in (1, 0, 2):
        pad.scene.focus = None
        drag(pad, pad.where().rect(pad.scene.readings[i].box).center, touch=True)
        assert pad.scene.focus == i
    assert len(pad.canvas.strokes) == 3
    x, y = pad.where().rect(pad.scene.readings[1].box).center
    drag(pad, (x, y), (x + 30, y), (x + 40, y))  # a stroke that begins on a digit crosses it
    assert len(pad.canvas.strokes) == 4 and len(pad.scene.readings) == 3
    begun = pad.where().to_window(*pad.canvas.strokes[-1][0])
    assert begun == pytest.approx((x, y), abs=1e-6)


def test_a_tap_on_a_bar_labels_and_can_be_taken_back(open_pad):
    pad = open_pad(strokes=SEVEN, tasks=BackgroundTasks(store.OwnSet()))
    bars = pad.places().bars
    drag(pad, (bars.centerx, round(bars.top + 3.5 * bars.height / 10)))
    settle(pad)
    assert "kept: this is a 3" in words(pad) and len(store.OwnSet()) == 1
    drag(pad, pad.view.toast_button.center)
    settle(pad)
    assert len(store.OwnSet()) == 0 and len(pad.canvas.strokes) == 1


def test_the_keys_below_the_bars_of_the_inside_label(pad):
    band = tool(pad).bands()[-1]
    for digit in (0, 9):
        drag(pad, output_key(band, digit, pad.places().text).center, touch=True)
        settle(pad)
    assert "was 0, now 9" in words(pad) and tool(pad).card() is None
    drag(pad, place(pad, Spot(band and len(tool(pad).bands()) - 1, 4)))
    assert tool(pad).pinned and len(store.OwnSet()) == 1  # above the keys a tap opens the lens


def test_a_row_or_key_under_the_mouse_is_outlined(open_pad):
    pad = open_pad(strokes=SEVEN)
    settle(pad)
    before = pixels()
    bars = pad.places().bars
    mouse(pygame.MOUSEMOTION, (bars.centerx, bars.top + 5))
    pad.step()
    assert (pixels() != before).any()
    pygame.event.post(pygame.event.Event(pygame.WINDOWLEAVE))
    pad.step()
    np.testing.assert_array_equal(pixels(), before)


# How it looks


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("large", [False, True])
def test_nothing_in_the_lens_overlaps_or_is_cut(open_pad, size, large):
    pad = open_pad(size, numcnn.load(backend="reference"), strokes=SEVEN)
    pad.view.type = RecordingType()
    pad.scene.inside, pad.scene.large = True, large
    pad.step()
    for spot in spots(pad, 2, seed=4):
        if tool(pad).spot:
            tool(pad).escape()
        tap(pad, place(pad, spot))
        parts = [part for part in tool(pad).parts(pad.places()) if part.name == "lens card"]
        texts, pictures = assert_parts_apart(parts, size, pad.view.type, parts[0].rect)
        assert len(texts) >= 3 and bool(pictures) == (spot.band < len(tool(pad).bands()) - 2)
        total = [written for written, _, _ in texts if written.startswith("sum of")]
        assert len(total) == 1, texts


def test_a_small_network_is_drawn_with_its_lens(open_pad):
    pad = open_pad((900, 600), small(), strokes=SEVEN)
    press(pad, pygame.K_f)
    tap(pad, place(pad, Spot(3, 2)))
    assert tool(pad).explained.found is not None and tool(pad).card().views == []
