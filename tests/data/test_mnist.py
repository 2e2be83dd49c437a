"""MNIST from folders: which files count as MNIST, and what is said about those that don't."""

import gzip
import sys

import numpy as np
import pytest

from numcnn.data import idx, mnist
from numcnn.errors import DataError

TRAIN = mnist.FILES["train_images"].name


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.delenv("NUMCNN_MIRRORS", raising=False)


def test_mirrors_come_from_the_environment(monkeypatch):
    assert mnist.chosen_mirrors() == mnist.MIRRORS
    monkeypatch.setenv("NUMCNN_MIRRORS", " http://a/b , http://c\n")
    assert mnist.chosen_mirrors() == ("http://a/b", "http://c")
    monkeypatch.setenv("NUMCNN_MIRRORS", "")
    assert mnist.chosen_mirrors() == mnist.MIRRORS


def test_cache_folder_is_the_user_s(monkeypatch, tmp_path):
    assert mnist.cache_folder().parts[-1] == "mnist" and "numcnn" in mnist.cache_folder().parts
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert mnist.cache_folder() == tmp_path / "numcnn" / "mnist"


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_names_in_use(tmp_path, tiny_mnist, packed, dotted):
    for path in tiny_mnist[0].iterdir():
        name = path.name if packed else path.stem
        content = path.read_bytes() if packed else gzip.decompress(path.read_bytes())
        (tmp_path / (name.replace("-idx", ".idx") if dotted else name)).write_bytes(content)
    arrays = mnist.read_mnist(tmp_path, files=tiny_mnist[1])
    for role, expected in mnist.read_folder(tiny_mnist[0]).items():
        np.testing.assert_array_equal(arrays[role], expected)


def test_missing_files_are_named(tiny_mnist):
    folder = tiny_mnist[0]
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"tiny has no t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte \(nor with .gz"):
        mnist.read_folder(folder)
    with pytest.raises(DataError, match=r"nowhere is not a folder; a folder with train-images-idx3-ubyte, train-lab"):
        mnist.read_folder(folder / "nowhere")
    assert len(mnist.read_folder(folder, ("train_images", "train_labels"))) == 2


def test_files_that_do_not_belong_together(tiny_mnist):
    folder = tiny_mnist[0]
    idx.write_labels(folder / "t10k-labels-idx1-ubyte.gz", np.zeros(49, np.uint8))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz holds 50 images, but .*ubyte.gz 49 labels"):
        mnist.read_folder(folder)
    idx.write_labels(folder / "t10k-labels-idx1-ubyte.gz", np.zeros(50, np.uint8))
    idx.write_images(folder / "t10k-images-idx3-ubyte.gz", np.zeros((50, 28, 27), np.uint8))
    with pytest.raises(DataError, match=r"one size, but .*train-images-idx3-ubyte.gz 28x28 and .*ubyte.gz 28x27"):
        mnist.read_folder(folder)


def test_another_data_set_is_not_mnist(tiny_mnist):
    with pytest.raises(DataError) as refused:
        mnist.read_mnist(tiny_mnist[0])
    assert f"{tiny_mnist[0] / TRAIN}.gz is not MNIST's: the SHA-256" in str(refused.value)
    assert f"pass `dataset='{tiny_mnist[0]}'` if it is another data set" in str(refused.value)


# ------------------------------------------------------------------------------------------------ the real MNIST


def test_real_mnist(real_mnist):
    arrays = mnist.read_mnist(real_mnist)
    assert [array.shape for array in arrays.values()] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    for role, file in mnist.FILES.items():
        assert file.n_bytes == len(idx.header(arrays[role])) + arrays[role].size
    pixels = arrays["train_images"].astype(np.uint16)
    mean, mean_square = pixels.mean() / 255, (pixels**2).mean() / 255**2
    assert round(mean, 4) == 0.1307
    assert round((mean_square - mean**2) ** 0.5, 4) == 0.3081
    counts = [np.bincount(arrays[f"{part}_labels"], minlength=10).tolist() for part in ("train", "test")]
    assert counts[0] == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert counts[1] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
