"""How a data set is split and limited, its classes and its hash."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from numcnn.data import Dataset
from numcnn.errors import ConfigError


def dataset(n_train, n_test=5):
    """A data set in which image i is filled with i."""
    arrays = []
    for n in (n_train, n_test):
        labels = np.arange(n).astype(np.uint8)
        arrays += [np.broadcast_to(labels[:, None, None], (n, 28, 28)).copy(), labels]
    return Dataset("own", *arrays, source="made here")


@given(n=st.integers(2, 300), seed=st.integers(0, 5), data=st.data())
def test_split_divides_the_training_set(n, seed, data):
    count = data.draw(st.integers(0, n - 1))
    labels = np.zeros(n, np.uint8)
    whole = Dataset("x", np.zeros((n, 1, 1), np.uint8), labels, labels[:0, None, None], labels[:0], source="")
    train, val = whole.split(count, seed)
    assert len(val) == count
    assert np.array_equal(np.union1d(train, val), np.arange(n)) and len(train) + len(val) == n
    assert np.all(np.diff(train) > 0) and np.all(np.diff(val) > 0)


def test_split_is_fixed_by_the_seed():
    whole = dataset(200)
    train, val = whole.split(20, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip((train, val), whole.split(20, seed=3), strict=True))
    assert not np.array_equal(val, whole.split(20, seed=4)[1])
    np.testing.assert_array_equal(whole.train_images[val][:, 0, 0], whole.train_labels[val])


@pytest.mark.parametrize(("val", "count"), [(0, 0), (1, 1), (20, 20), (20.0, 20), (0.1, 20), (0.001, 1), (0.995, 199)])
def test_split_takes_a_count_or_a_fraction(val, count):
    assert len(dataset(200).split(val, seed=0)[1]) == count


@pytest.mark.parametrize(
    ("val", "message"),
    [
        (200, "A validation set of 200 leaves nothing to train on: the training set has 200 images"),
        (5000, "A validation set of 5,000 leaves nothing"),
        (0.999, "A validation set of 200 leaves nothing"),
        (-1, "cannot have -1 images: give a count, or a fraction below 1"),
        (float("nan"), "cannot have nan images"),
        (float("inf"), "cannot have inf images"),
        (2.5, "above 1 it must be a whole number"),
    ],
)
def test_invalid_split(val, message):
    with pytest.raises(ConfigError, match=message):
        dataset(200).split(val, seed=0)


def own_validation(n_train, rows):
    return dataclasses.replace(dataset(n_train), name="everyone", validation_rows=np.array(rows))


def test_it_shows_itself_in_a_line():
    assert repr(dataset(20)).startswith("<Dataset ") and "20 images to train on" in repr(dataset(20))
    assert "\n" not in repr(dataset(20))


def test_a_data_set_may_define_its_validation_rows():
    whole = own_validation(20, [3, 19, 7])
    for seed in (0, 1):
        train, val = whole.split(None, seed)
        assert val.tolist() == [3, 7, 19] and train.tolist() == [i for i in range(20) if i not in (3, 7, 19)]
    train, val = whole.split(0, seed=0)  # not even then is it trained on
    assert len(val) == 0 and len(train) == 17
    with pytest.raises(
        ConfigError, match=r"The data set everyone brings its own validation set, of 3 images: leave out `val`"
    ):
        whole.split(5, seed=0)
    train, val = dataset(240).split(None, seed=0)
    assert len(val) == 20 and len(train) == 220


def test_limit_keeps_the_validation_rows():
    whole = own_validation(30, [29, 4])
    part, other = (whole.limited(10, seed) for seed in (0, 1))
    train, val = part.split(None, 0)
    assert len(train) == 10 and part.train_images[val][:, 0, 0].tolist() == [29, 4] == part.train_labels[val].tolist()
    assert not {29, 4} & set(part.train_labels[train].tolist())
    assert part.train_labels.tolist() != other.train_labels.tolist()
    assert whole.limited(28, 0) is whole and whole.limited(None, 0) is whole


def test_non_digits_are_not_a_class():
    mixture = own_validation(11, [0])  # labels 0 to 10
    assert mixture.classes == 10 and dataclasses.replace(mixture, name="other").classes == 11


def test_sha256_covers_all_four_arrays():
    whole = dataset(20)
    hashes = {whole.sha256, dataset(20).sha256}
    assert len(hashes) == 1
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        changed = dataset(20)
        getattr(changed, name)[3] ^= 1
        hashes.add(changed.sha256)
    assert len(hashes) == 5
