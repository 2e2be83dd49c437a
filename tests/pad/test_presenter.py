"""Presenting: full screen, large words, test digits, and the list of files."""

from threading import Event

import numpy as np
import pygame
import pytest
from conftest import draw_digits
from pads import frame, mouse, press, settle, small, words
from PIL import Image
from processes import wait_for
from recording import RecordingType, assert_parts_apart

import numcnn
from numcnn.data.dataset import Dataset
from numcnn.errors import DataError
from numcnn.pad.chooser import entries_of
from numcnn.pad.presenter import Sample, Samples

pytestmark = pytest.mark.usefixtures("no_display")
STROKES = [[(150, 120), (300, 115), (220, 400)]]


@pytest.fixture(scope="module")
def network():
    return numcnn.load(backend="reference")


def dataset(count=60):
    images, labels = draw_digits(count, 12)
    return Dataset.from_arrays("generated", "for a test", {"test_images": images, "test_labels": labels})


@pytest.fixture
def pad(open_pad, network):
    pad = open_pad(network=network, strokes=STROKES)
    pad.presenter.samples = Samples(dataset)
    return pad


def calm(pad):
    wait_for(lambda: frame(pad) and not any(tool.busy for tool in pad.tools) and not pad.tasks.busy, "the tools")
    settle(pad)


def go(pad, *keys):
    for key in keys:
        press(pad, key)
        calm(pad)


def test_f11_fills_the_screen_with_large_words_and_gives_the_window_back(pad):
    small_text, size = pad.places().text, pygame.display.get_surface().get_size()
    go(pad, pygame.K_F11)
    surface = pygame.display.get_surface()
    assert surface.get_size() == pygame.display.get_desktop_sizes()[0] and surface.get_flags() & pygame.FULLSCREEN
    assert pad.places().text > small_text and pad.places().text >= 0.033 * surface.get_height()
    assert len(pad.canvas.strokes) == 1 and pad.scene.readings
    go(pad, pygame.K_ESCAPE)  # leaves the full screen, not the pad
    assert pygame.display.get_surface().get_size() == size and pad.places().text == small_text
    go(pad, pygame.K_F11, pygame.K_F11)
    assert pygame.display.get_surface().get_size() == size


def test_test_digits_come_one_after_the_other_and_back(pad, network):
    data = dataset()
    for key, index in (("n", 0), ("n", 1), ("n", 2), ("p", 1), ("p", 0), ("p", 59), ("n", 0)):
        go(pad, getattr(pygame, f"K_{key}"))
        (reading,) = pad.scene.readings
        np.testing.assert_array_equal(reading.image, data.test_images[index])
        probabilities = network.predict_proba(data.test_images[index])[0]
        np.testing.assert_allclose(reading.inspection.probabilities, probabilities, atol=1e-5)
        assert f"test digit {index} of 60: a {data.test_labels[index]}" in words(pad)
        assert "GENERATED DIGITS" in words(pad)  # nobody takes them for MNIST
        left, top, right, bottom = reading.box
        ink = pad.scene.picture.colours[top:bottom, left:right] < 255
        assert ink.sum() == 64 * (reading.image > 0).sum() and ink.any(axis=0).all()
    go(pad, pygame.K_ESCAPE)
    assert pad.scene.picture is None and len(pad.canvas.strokes) == 1


def test_in_a_presentation_the_label_on_a_picture_is_as_large_as_other_words(pad, monkeypatch):
    go(pad, pygame.K_n)
    image, heights = pad.view.type.image, []
    monkeypatch.setattr(pad.view.type, "image", lambda *given: (heights.append(given[1]), image(*given))[1])
    for pad.scene.large in (False, True):
        heights.clear()
        pad.view.forget()
        assert pad.step() and heights
    assert min(heights) >= 0.03 * pygame.display.get_surface().get_height()


def test_only_misread_digits_come_and_none_is_left_out(open_pad):
    network = small(seed=2)
    data = dataset(12)  # nearly all of them are misread
    wrong = np.flatnonzero(network.predict(data.test_images) != data.test_labels)
    pad = open_pad(network=network)
    pad.presenter.samples = Samples(lambda: data)
    assert 1 < len(wrong) < len(data.test_images)
    for index in [*wrong, wrong[0]]:  # and round again
        go(pad, pygame.K_m)
        assert f"test digit {index} of" in words(pad) and "misread as" in words(pad)
        assert pad.scene.reading.label != data.test_labels[index]


def test_a_test_digit_ends_the_stroke_that_is_being_drawn(pad):
    let_go = Event()

    def late():
        assert let_go.wait(60)
        return dataset()

    pad.presenter.samples = Samples(late)
    press(pad, pygame.K_n)
    x, y = pad.places().sheet.topleft
    mouse(pygame.MOUSEBUTTONDOWN, (x + 5, y + 5))
    mouse(pygame.MOUSEMOTION, (x + 9, y + 30))
    assert pad.step() and pad.canvas.drawing
    press(pad, pygame.K_m)
    assert words(pad) == ""  # one is on its way: no other is looked for
    let_go.set()
    calm(pad)
    assert pad.scene.picture is not None and not pad.canvas.drawing
    drawn = [list(stroke) for stroke in pad.canvas.strokes]
    mouse(pygame.MOUSEMOTION, (x + 40, y + 60))
    assert pad.step() and [list(stroke) for stroke in pad.canvas.strokes] == drawn


def test_without_a_misread_digit_that_is_said(pad, network):
    images = dataset().test_images
    labels = network.predict(images).astype(np.uint8)
    right = Dataset.from_arrays("generated", "", {"test_images": images, "test_labels": labels})
    pad.presenter.samples = Samples(lambda: right)
    go(pad, pygame.K_m)
    assert "60 test digits is misread" in words(pad) and pad.scene.picture is None


def test_a_data_set_that_cannot_be_loaded_is_a_message(pad):
    def damaged():
        raise DataError("the file is damaged; download it again")

    pad.presenter.samples = Samples(damaged)
    go(pad, pygame.K_n)
    assert "damaged" in words(pad) and pad.scene.toast.kind == "bad" and pad.scene.readings


def test_a_test_digit_without_ink_has_a_box_too():
    assert Sample(0, 1, np.zeros((28, 28), np.uint8), 3, "").box == (0, 0, 224, 224)


def test_mnist_s_own_test_digits_are_shown(open_pad, network, real_mnist):
    pad = open_pad(network=network)
    go(pad, pygame.K_n)
    assert words(pad) == "MNIST, test digit 0 of 10,000: a 7, read right"


# The list of files


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with pictures, a folder and other files."""
    root = tmp_path / "pictures"
    (root / "more").mkdir(parents=True)
    for name in ("b.png", "A.JPG", "more/c.png"):
        Image.new("L", (40, 40), 250).save(root / name)
    (root / "notes.txt").write_text("no picture")
    (root / ".hidden.png").write_text("")
    monkeypatch.chdir(root)
    return root


def test_a_folder_lists_folders_and_pictures(folder):
    (folder / "more" / "d.AVIF").write_text("")
    assert [entry.words for entry in entries_of(folder)] == ["../", "more/", "A.JPG", "b.png"]
    assert [entry.words for entry in entries_of(folder / "more")] == ["../", "c.png", "d.AVIF"]
    assert "can't be read" in entries_of(folder / "none")


def test_a_picture_is_opened_by_keys_alone(open_pad, folder):
    pad = open_pad()
    go(pad, pygame.K_o)
    assert pad.chooser.open and [entry.words for entry in pad.chooser.entries()][1:] == ["more/", "A.JPG", "b.png"]
    press(pad, pygame.K_b, unicode="b")  # searches, and swaps no weights
    assert [entry.words for entry in pad.chooser.entries()] == ["b.png"]
    go(pad, pygame.K_RETURN)
    assert not pad.chooser.open and pad.scene.picture.name == "b.png"
    go(pad, pygame.K_o, pygame.K_RETURN)
    assert pad.chooser.folder == folder / "more"
    go(pad, pygame.K_DOWN, pygame.K_BACKSPACE)
    assert pad.chooser.folder == folder
    go(pad, pygame.K_ESCAPE)
    assert not pad.chooser.open and pad.scene.picture.name == "b.png"


def test_a_tap_opens_a_file_and_beside_the_list_closes_it_without_a_dot(open_pad, folder):
    pad = open_pad()
    go(pad, pygame.K_o)
    rect = next(rect for rect, entry in pad.chooser._rows if entry.words == "A.JPG")
    click_at(pad, rect.center)
    assert pad.scene.picture.name == "A.JPG"
    go(pad, pygame.K_c, pygame.K_o)
    click_at(pad, (pad.places().sheet.left + 3, pad.places().sheet.bottom - 3))
    assert not pad.chooser.open and pad.canvas.strokes == ()


def click_at(pad, position):
    for kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
        pygame.event.post(pygame.event.Event(kind, pos=position, button=1))
        assert pad.step()
    calm(pad)


@pytest.mark.parametrize("size", [(500, 350), (700, 900), (1300, 420), (1600, 1000)])
@pytest.mark.parametrize("large", [False, True])
def test_nothing_in_the_list_overlaps_or_is_cut(open_pad, folder, size, large):
    pad = open_pad(size)
    pad.view.type, pad.scene.large = RecordingType(), large
    pad.chooser.folder = folder
    go(pad, pygame.K_o)
    (part,) = pad.chooser.parts(pad.places())
    surface_texts = assert_parts_apart([part], size, pad.view.type, part.rect, cut=str(folder))[0]
    assert any("b.png" in text for text, _, _ in surface_texts)
