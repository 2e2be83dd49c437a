"""Which data set the settings select, and what it is called."""

import os
import subprocess
import sys

import numpy as np
import pytest

from numcnn.data import idx, load, mnist, title_of
from numcnn.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.delenv("NUMCNN_MIRRORS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def options(tmp_path, tiny_mnist):
    """Options of load under which our tiny files are MNIST, the cache is empty and no mirror can be reached."""
    nobody_listens = "http://127.0.0.1:1/"
    return {
        "origin": mnist.Origin(files=tiny_mnist[1], cache=tmp_path / "cache", mirrors=(nobody_listens,)),
        "report": [].append,
        "generated_train": 40,
        "generated_test": 20,
        "backend": "reference",
    }


# ---------------------------------------------------------------------------------------------------------- load


def test_data_dir_is_first_then_environment_then_cache(options, tiny_mnist, tmp_path, monkeypatch):
    folder = tiny_mnist[0]
    monkeypatch.setenv("NUMCNN_DATA", str(tmp_path / "nowhere"))
    found = load("mnist", folder, **options)
    assert (found.name, found.is_mnist) == ("mnist", True)
    assert found.source == f"MNIST, SHA-256 verified, from {folder}"
    assert found.train_images.shape == (200, 28, 28) and found.test_labels.shape == (50,)
    monkeypatch.setenv("NUMCNN_DATA", str(folder))
    assert load("mnist", **options).source.endswith(f"from {folder}")
    monkeypatch.setenv("NUMCNN_DATA", "")  # set to nothing is not set
    folder.rename(options["origin"].cache)
    assert load("auto", **options).source == "MNIST, SHA-256 verified, from the cache"


@pytest.mark.parametrize("name", ["auto", "mnist"])
def test_a_named_folder_is_the_only_one_looked_into(options, tiny_mnist, name, monkeypatch):
    folder = tiny_mnist[0]
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"tiny has no train-labels.*\(The folder was given by `data_dir`\.\)"):
        load(name, folder, **options)
    monkeypatch.setenv("NUMCNN_DATA", str(folder))
    with pytest.raises(DataError, match=r"tiny has no train-labels.*\(The folder was given by NUMCNN_DATA\.\)"):
        load(name, **options)
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is empty"):
        load(name, **options)
    idx.write_labels(folder / "train-labels-idx1-ubyte.gz", np.zeros(200, np.uint8))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz is not MNIST's: the SHA-256"):
        load(name, **options)


def test_auto_falls_back_and_says_why(options):
    lines = []
    found = load("auto", **options | {"report": lines.append})
    assert found.name == "generated" and not found.is_mnist
    assert found.source == "digits drawn by numcnn, seed 0"
    assert found.train_images.shape == (40, 28, 28) and found.test_images.shape == (20, 28, 28)
    assert lines[0] == "MNIST can't be downloaded: using generated digits instead."
    assert lines[1] == "The reason: none of the mirrors could be reached"
    assert lines[2] == "To use MNIST, name the folder of its files: NUMCNN_DATA=DIR, or --data-dir DIR."
    assert lines[3:] == ["Drawing digits: 40 for training and 20 for testing."]
    assert max(map(len, lines)) <= 80


def test_mnist_does_not_fall_back(options):
    with pytest.raises(
        mnist.UnavailableError, match=r"could not be downloaded: http://127\.0\.0\.1:1/ cannot be reach"
    ):
        load("mnist", **options)


def test_generated_digits_depend_on_the_seed_but_not_their_test_set(options):
    first, again, other = (load("generated", seed=seed, **options) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    assert not np.array_equal(first.train_images, other.train_images)
    np.testing.assert_array_equal(first.test_images, other.test_images)
    assert {int(label) for label in first.train_labels} == set(range(10))
    for seed in (0, 1, 2):  # no training image is in the test set, whatever the seed
        train = load("generated", seed=seed, **options).train_images
        assert not {image.tobytes() for image in train} & {image.tobytes() for image in first.test_images}


def test_only_as_many_digits_are_drawn_as_needed(options):
    lines = []
    options["report"] = lines.append
    assert len(load("generated", limit=30, **options).train_images) == 30
    assert load("generated", test_only=True, **options).train_images.shape == (0, 28, 28)
    assert lines == [
        "Drawing digits: 30 for training and 20 for testing.",
        "Drawing digits: 20 for testing.",
    ]


def test_any_folder_of_idx_files(options, tiny_mnist, tmp_path):
    folder = tiny_mnist[0]
    official = options | {"origin": mnist.OFFICIAL}
    found = load(folder, **official)
    assert (found.name, found.source) == ("tiny", f"IDX files from {folder}")
    assert load(str(folder), **options).name == "mnist"  # because its hashes are those that MNIST's should be
    for claimed in ("mnist", "generated", "everyone", "everyone-2"):
        folder = folder.rename(tmp_path / claimed)
        assert load(folder, **official).name == f"custom-{claimed}"


@pytest.mark.parametrize("name", ["everyone", "everyone-4"])
def test_the_mixture_wants_mnist_and_pen_digits(options, tiny_mnist, tmp_path, name, monkeypatch):
    with pytest.raises(mnist.UnavailableError, match="could not be downloaded"):
        load(name, **options)
    with pytest.raises(DataError, match=r"nowhere is not a folder.*given by `data_dir`"):
        load(name, tmp_path / "nowhere", **options)
    monkeypatch.setenv("NUMCNN_PENDIGITS", str(tmp_path / "no-strokes"))
    with pytest.raises(DataError, match="no-strokes: no such file or folder"):
        load(name, tiny_mnist[0], **options)


def test_every_name_has_a_title():
    assert [title_of(name) for name in ("mnist", "everyone", "fashion")] == [
        "MNIST",
        "the mixture everyone (tested on MNIST)",
        "fashion",
    ]
    assert title_of("everyone-3") == "the mixture everyone-3 (tested on strangers' pen strokes)"


def test_a_folder_of_test_files_is_enough_for_testing(options, tiny_mnist):
    folder = tiny_mnist[0]
    for path in folder.glob("train*"):
        path.unlink()
    with pytest.raises(DataError, match="tiny has no train-images-idx3-ubyte, train-labels-idx1-ubyte"):
        load(folder, **options)
    found = load(folder, test_only=True, **options)
    assert found.train_images.shape == (0, 28, 28) and found.train_labels.shape == (0,)
    assert found.test_images.shape == (50, 28, 28)
    with pytest.raises(ConfigError, match="leaves nothing to train on: the training set has 0 images"):
        found.split(0.1, seed=0)


def test_limit_keeps_a_random_part_of_the_training_set(options, tiny_mnist):
    whole, part, again, other = (
        load(tiny_mnist[0], limit=limit, seed=seed, **options) for limit, seed in ((None, 0), (50, 0), (50, 0), (50, 1))
    )
    assert len(part.train_images) == len(part.train_labels) == 50 and len(part.test_images) == 50
    assert part.sha256 == again.sha256 != other.sha256 != whole.sha256
    place = {image.tobytes(): i for i, image in enumerate(whole.train_images)}
    places = [place[image.tobytes()] for image in part.train_images]
    assert places == sorted(set(places)) and max(places) > 100
    assert part.train_labels.tolist() == [whole.train_labels[i] for i in places]
    assert load(tiny_mnist[0], limit=1000, **options).sha256 == whole.sha256


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "fashion"}, "`dataset='fashion'` is neither a folder nor one of auto, mnist, generated"),
        ({"dataset": "generated", "data_dir": "x"}, "it cannot be used with `dataset='generated'`"),
        ({"dataset": ".", "data_dir": "x"}, r"it cannot be used with `dataset='\.'`"),
        ({"limit": 0}, "limit is 0: at least 1 training image is needed"),
        ({"seed": -1}, "The seed must be a whole number, 0 or more, not -1"),
        ({"seed": 1.5}, "The seed must be a whole number, 0 or more, not 1.5"),
        ({"dataset": "generated", "backend": "gpu"}, "gpu"),
    ],
)
def test_settings_that_make_no_sense(options, settings, message):
    with pytest.raises(ConfigError, match=message):
        load(**(options | settings))


@pytest.mark.parametrize("name", ["dataset", "data_dir"])
def test_the_folder_of_nobody_is_refused(options, name):
    with pytest.raises(DataError, match="~nobody-of-that-name/x can't be found"):
        load(**(options | {"dataset": "mnist", name: "~nobody-of-that-name/x"}))


# ------------------------------------------------------------------------------------------------------- imports


def test_importing_and_reading_load_nothing_heavy(tiny_mnist):
    code = (
        "import sys; from numcnn import data\n"
        f"data.load({str(tiny_mnist[0])!r}).split(0.1, 0)\n"
        "print(sorted({'pooch', 'requests', 'tqdm', 'numba', 'matplotlib', 'pygame', 'PIL'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_tests_see_real_data_only_through_their_fixtures():
    assert not {"NUMCNN_DATA", "NUMCNN_PENDIGITS"} & os.environ.keys()


def test_real_mnist_by_every_name(real_mnist, tmp_path, monkeypatch):
    for name in ("auto", "mnist"):
        found = load(name, test_only=True)
        assert found.is_mnist and found.test_images.shape == (10000, 28, 28)
    assert load(real_mnist, test_only=True).name == "mnist"
    for role in ("test_images", "test_labels"):  # the cache may hold compressed files that a user put there
        path = mnist.locate(real_mnist, role)
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.delenv("NUMCNN_DATA")
    assert load("mnist", test_only=True, origin=mnist.Origin(cache=tmp_path)).is_mnist
