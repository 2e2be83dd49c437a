"""What is read at a glance is read as ``find`` would read it; what isn't plain is left to it."""

import numpy as np
import pytest
from conftest import draw_digits
from PIL import Image

import numcnn
from numcnn.nn.answers import threshold_of
from numcnn.recognition import page
from numcnn.recognition.glance import SURE, WIDE, WIDE_SURE, glance


def crop(digit, side=84, dark=True):
    """Return a digit on a sheet, (side,side) uint8."""
    picture = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BICUBIC)).astype(int)
    return (230 - picture * 200 // 255 if dark else 20 + picture * 200 // 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    return numcnn.load(backend="reference")


def test_most_crops_are_plain_and_read_as_find_reads_them(network):
    images, labels = draw_digits(200, 12)
    at_once = right = differ = 0
    for i in range(80):
        picture = crop(images[i], side=(28, 56, 140)[i % 3], dark=i % 2 == 0)
        plain = glance(picture)
        if plain is None or not network.read(plain.image)[0].sure or network.predict_proba(plain.image).max() < SURE:
            continue
        at_once += 1
        (digit,) = page.read(picture, network=network)
        full = page._found_page(picture, picture.shape[::-1], network, threshold_of(network.info))
        right += digit.label == labels[i]
        if full.text != str(digit.label):
            differ += len(picture) > 28
            assert digit.label == labels[i]  # then it is find that errs
        elif len(picture) > 28:  # find takes all of a picture of 28 x 28 for the digit
            np.testing.assert_allclose(digit.box, full[0].box, atol=4)
    assert at_once >= 50 and right >= 0.95 * at_once and differ <= 0.05 * at_once


def test_wide_digits_are_plain_if_the_network_is_surer_of_them(network):
    """From there on ``find``, which may cut wide ink in two, leaves nearly all of it whole."""
    images, labels = draw_digits(200, 12)
    at_once = cut = 0
    for i in range(60):
        picture = np.asarray(Image.fromarray(crop(images[i], side=112)).resize((112, 60), Image.Resampling.BICUBIC))
        plain = glance(picture)
        if plain is None or plain.box[2] <= WIDE * plain.box[3]:
            continue
        assert plain.least == WIDE_SURE
        if network.predict_proba(plain.image).max() < WIDE_SURE:
            continue
        at_once += 1
        (digit,) = page.read(picture, network=network)
        assert digit.label == labels[i]
        full = page._found_page(picture, picture.shape[::-1], network, threshold_of(network.info))
        cut += full.text not in (str(digit.label), "")  # "": where find takes it for a blot
    assert at_once >= 10 and cut <= 1


def two(picture):
    return np.concatenate([picture, picture], axis=1)


def framed(picture):
    out = picture.copy()
    out[6:-6, 6:8] = out[6:-6, -8:-6] = out[6:8, 6:-6] = out[-8:-6, 6:-6] = 30
    return out


def shadowed(picture):
    out = picture.copy()
    out[:, :30] = out[:, :30] // 2
    return out


def dusty(picture):
    out = picture.copy()
    out[6:10, 6:10] = 40
    return out


def ruled(picture):
    out = picture.copy()
    out[50:52] = 100
    return out


CHANGES = {
    "two digits": two,
    "a frame around it": framed,
    "a shadow": shadowed,
    "dust": dusty,
    "a ruled line": ruled,
    "faint": lambda picture: 230 - (230 - picture) // 6,
    "in colour": lambda picture: np.stack([picture, picture // 2, picture], axis=2),
    "large": lambda picture: np.kron(picture, np.ones((4, 4), np.uint8)),
    "to the border": lambda picture: picture[20:-20],
    "nothing on it": lambda picture: np.full_like(picture, 230),
    "a frame alone": lambda picture: framed(np.full_like(picture, 230)),
    "a blot": lambda picture: np.where(np.pad(np.ones((40, 30)), ((22, 22), (27, 27))), 30, 230).astype(np.uint8),
    "tiny": lambda picture: np.pad(picture[::8, ::8], 4, constant_values=230),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_plain_is_left_to_find(name):
    images = draw_digits(200, 12)[0]
    crops = [picture for image in images[:20] if glance(picture := crop(image)) is not None]
    assert len(crops) >= 12  # they are plain until they are changed
    for picture in crops:
        assert glance(CHANGES[name](picture).astype(np.uint8)) is None


def test_many_pictures_are_read_as_each_alone(network):
    images = draw_digits(200, 12)[0]
    pictures = [crop(image) for image in images[:12]]
    pictures += [two(pictures[0]), framed(pictures[1]), np.full((50, 50), 230, np.uint8), b"no picture"]
    many = page.read_many(pictures, network=network)
    for picture, found in zip(pictures[:-1], many[:-1], strict=True):
        alone = page.read(picture, network=network)
        assert [digit[:2] + digit[3:5] for digit in found] == [digit[:2] + digit[3:5] for digit in alone]
    assert isinstance(many[-1], numcnn.DataError)
