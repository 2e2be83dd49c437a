"""Labels come from folders or names; what could be read two ways is refused."""

import os

import numpy as np
import pytest
from conftest import draw_digits
from PIL import Image

import numcnn
from numcnn.errors import DataError
from numcnn.recognition.labelled import labelled_pictures, read_labelled


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def found(folder):
    return {os.path.relpath(path, folder).replace(os.sep, "/"): label for path, label in labelled_pictures(folder)}


@pytest.mark.parametrize(
    "labels",
    [
        {"0/a.png": 0, "9/more.png": 9, "9/3_7.png": 9, "4/8.png": 4},
        {"3_0001.png": 3, "0-2026.jpg": 0, "7.png": 7, "5 on the left.png": 5},
        {"img_3.png": 3, "2026-7.jpg": 7, "more/scan12 8.png": 8, "4.png": 4},
        {"3_0.png": 3, "3_10.png": 3, "8_1.png": 8},  # one way is not a way for all of them
        {"0_3.png": 3, "10_3.png": 3, "1_8.png": 8},
        {"3_x_3.png": 3, "4.png": 4},
        {"1/a.png": 1, "mine/img_4.png": 4},
    ],
)
def test_labels_come_from_the_folder_or_the_name(tmp_path, labels):
    assert found(make(tmp_path / "meter", *labels)) == labels


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["3_1.png", "4_2.png"], r"3_1\.png: begins with one digit and ends with another; sort"),
        (
            ["3_a.png", "4_b.png", "x.png"],
            r"x\.png: says no digit that it shows; sort the pictures into folders 0 to 9",
        ),
        (["12_a.png"], r"12_a\.png: says no digit"),
        (["10/a.png"], r"a\.png: says no digit"),
    ],
)
def test_names_without_a_clear_label_are_refused(tmp_path, names, text):
    with pytest.raises(DataError, match=text):
        labelled_pictures(make(tmp_path / "meter", *names))


def test_no_folder_and_no_pictures_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such folder"):
        labelled_pictures(tmp_path / "none")
    with pytest.raises(DataError, match="no pictures in this folder"):
        labelled_pictures(tmp_path)


def test_a_folder_is_called_by_its_own_name_wherever_it_is_named_from(tmp_path, monkeypatch):
    make(tmp_path / "7", "a.png", "b.png")
    monkeypatch.chdir(tmp_path / "7")
    assert [label for _, label in labelled_pictures(".")] == [7, 7]


def test_what_cannot_be_read_is_told(tmp_path):
    images, labels = draw_digits(200, 12)
    for i in range(12):
        Image.fromarray(255 - images[i]).resize((84, 84)).save(tmp_path / f"{labels[i]}_{i + 100}.png")
    (tmp_path / "5_torn.png").write_bytes((tmp_path / f"{labels[0]}_100.png").read_bytes()[:50])
    Image.new("L", (30, 30), 200).save(tmp_path / "6_blank.png")
    network = numcnn.load(backend="reference")
    done = []
    read = read_labelled(labelled_pictures(tmp_path), network, lambda: done.append(1))
    assert read.images.shape == (12, 28, 28) and sorted(read.labels) == sorted(labels[:12]) and len(done) == 14
    assert (network.predict(read.images) == read.labels).mean() > 0.8
    assert read.images.dtype == read.labels.dtype == np.uint8
    torn, blank = read.problems
    assert "5_torn.png: damaged" in torn and "6_blank.png: " in blank
    for path in tmp_path.glob("*_1??.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"none of 2 pictures can be read, such as .*5_torn\.png"):
        read_labelled(labelled_pictures(tmp_path), network)
