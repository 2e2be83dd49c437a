"""The mixture: what is in it, in which order, and that no writer is on two sides."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import BACKEND, unipen

from numcnn import data
from numcnn.data import generated, mixture, mnist, nondigits, pendigits
from numcnn.data.mixture import Recipe
from numcnn.data.sources import Sources
from numcnn.errors import ConfigError, DataError
from numcnn.imaging import raster

EVERYONE = np.arange(1, 31)
RECIPE = Recipe(scanned=1, generated=10, renderings=2, rescanned=9, no_digits=12, validation=10)


@pytest.fixture
def sources(tiny_mnist, tmp_path):
    """Sources under which tiny files are MNIST and the pen digits: two of each writer."""
    text = unipen(np.repeat(EVERYONE % 10, 2), np.repeat(EVERYONE, 2))
    (tmp_path / "pendigits-orig.tra").write_bytes(text)
    return Sources(
        tiny_mnist[0],
        tmp_path,
        origin=mnist.Origin(files=tiny_mnist[1]),
        pens_origin=pendigits.Origin(sha256=hashlib.sha256(text).hexdigest()),
        backend=BACKEND,
        report=[].append,
    )


def test_the_mixture_is_what_it_says(sources):
    lines = []
    found = mixture.load("everyone", replace(sources, report=lines.append), recipe=RECIPE)
    assert found.name == "everyone" and found.classes == 10 and not found.is_mnist
    assert lines == ["Drawing everyone: 10 digits, 2 images of each pen digit, 9 by other scanners, 12 non-digits."]
    ends = [200, 210, 210 + 2 * 50, 319, 331]
    scans, drawn, pens, again, none, plain = np.split(np.arange(len(found.train_labels)), ends)
    assert len(plain) == 10 and found.train_images.shape == (341, 28, 28) and found.train_images.dtype == np.uint8
    tiny = data.load(sources.data_dir)
    np.testing.assert_array_equal(found.train_images[scans], tiny.train_images)
    np.testing.assert_array_equal(found.test_images, tiny.test_images)
    np.testing.assert_array_equal(found.test_labels, tiny.test_labels)
    np.testing.assert_array_equal(found.train_images[drawn], generated.generate(10, 0, backend=BACKEND)[0])
    assert found.train_labels[pens].tolist() == np.tile(np.repeat(EVERYONE[:25] % 10, 2), 2).tolist()
    np.testing.assert_array_equal(found.train_images[none], nondigits.generate(12, 0, backend=BACKEND))
    originals = {image.tobytes() for image in found.train_images[: again[0]]}
    assert found.train_images[again].any(axis=(1, 2)).all() and (found.train_labels[again] < 10).all()
    assert sum(image.tobytes() in originals for image in found.train_images[again]) < 5
    assert (found.train_labels[none] == nondigits.NO_DIGIT).all()
    assert (np.delete(found.train_labels, none) < 10).all()
    # Validation: the last ten scans, and writers 26 to 30 as the pad would draw them.
    assert found.validation_rows.tolist() == [*range(190, 200), *plain]
    people = sources.load_pendigits().of(range(26, 31))
    assert found.train_labels[plain].tolist() == people.labels.tolist() == np.repeat([6, 7, 8, 9, 0], 2).tolist()
    expected = np.array([raster.mnist_image(digit) for digit in people.strokes])
    assert np.abs(found.train_images[plain].astype(int) - expected).max() <= 1  # the back ends' difference


def test_equal_seeds_give_equal_bytes(sources):
    first, again, other = (
        mixture.load("everyone", sources, seed=seed, recipe=replace(RECIPE, renderings=1)) for seed in (1, 1, 2)
    )
    assert first.sha256 == again.sha256 != other.sha256
    np.testing.assert_array_equal(first.train_images[first.validation_rows], other.train_images[other.validation_rows])
    assert (first.train_images[210:260] != other.train_images[210:260]).any(axis=(1, 2)).all()


def test_every_writer_is_tested_on_in_one_fold_and_validates_in_another():
    folds = [mixture.writers_of(f"everyone-{fold}") for fold in range(5)]
    assert sorted(writer for test, _ in folds for writer in test) == EVERYONE.tolist()
    assert sorted(writer for _, validation in folds for writer in validation) == EVERYONE.tolist()
    assert all((np.array(test) - 1) % 5 == fold for fold, (test, _) in enumerate(folds) for test in test)
    for fold, (test, validation) in enumerate(folds):
        assert not set(test) & set(validation) and validation == folds[(fold + 1) % 5][0]
    assert mixture.writers_of("everyone") == ((), (26, 27, 28, 29, 30))
    for name in ("everyone-5", "everyone-", "everyones", "everyone-01"):
        with pytest.raises(ConfigError, match=f"no mixture '{name}'; choose everyone or everyone-0 to everyone-4"):
            mixture.writers_of(name)


def test_no_writer_is_on_two_sides(sources, tmp_path):
    test, validation = mixture.writers_of("everyone-3")
    labels = np.select([np.isin(EVERYONE, test), np.isin(EVERYONE, validation), EVERYONE == 6], [7, 8, 6], 1)
    text = unipen(labels, EVERYONE)
    (tmp_path / "pendigits-orig.tra").write_bytes(text)
    sources = replace(sources, pens_origin=pendigits.Origin(sha256=hashlib.sha256(text).hexdigest()))
    found = mixture.load("everyone-3", sources, recipe=replace(RECIPE, leave_out=[6]))
    assert found.test_labels.tolist() == [7] * 6
    assert found.train_labels[found.validation_rows[10:]].tolist() == [8] * 6
    assert found.train_labels[210:-27].tolist() == [1] * 2 * 17  # 30 people without 6 + 6, and number 6
    people = sources.load_pendigits().of(test)
    expected = np.array([raster.mnist_image(digit) for digit in people.strokes])
    assert np.abs(found.test_images.astype(int) - expected).max() <= 1


def test_testing_needs_only_the_test_set(sources, tmp_path):
    strangers = mixture.load("everyone-1", replace(sources, data_dir=tmp_path / "nowhere"), test_only=True)
    assert strangers.train_images.shape == (0, 28, 28) and strangers.test_images.shape == (12, 28, 28)
    assert strangers.source == "UCI pen digits of writers 2, 7, 12, 17, 22, 27"
    scans = mixture.load("everyone", replace(sources, pens=tmp_path / "nowhere"), test_only=True)
    assert len(scans.test_images) == 50 and len(scans.train_labels) == 0 and scans.source.startswith("MNIST, SHA-256")
    for missing in ("data_dir", "pens"):
        with pytest.raises(DataError, match="nowhere"):
            mixture.load("everyone-1", replace(sources, **{missing: tmp_path / "nowhere"}))


def test_more_validation_than_scans_is_refused(sources):
    with pytest.raises(ConfigError, match="validation is 200; wants 0 or more, and fewer than MNIST's training images"):
        mixture.load("everyone", sources, recipe=replace(RECIPE, validation=200))
    found = mixture.load("everyone", sources, recipe=replace(RECIPE, validation=0))
    assert found.validation_rows.tolist() == list(range(331, 341))


def test_scans_may_count_several_times_but_validation_scans_count_once(sources):
    once, thrice = (mixture.load("everyone", sources, recipe=replace(RECIPE, scanned=scanned)) for scanned in (1, 3))
    assert len(thrice.train_labels) == len(once.train_labels) + 2 * 190
    for first in (200, 390):
        again = slice(first, first + 190)
        np.testing.assert_array_equal(thrice.train_images[again], once.train_images[:190])
        np.testing.assert_array_equal(thrice.train_labels[again], once.train_labels[:190])
    np.testing.assert_array_equal(thrice.train_images[thrice.validation_rows], once.train_images[once.validation_rows])
    with pytest.raises(ConfigError, match="scanned is 0; wants 1 or more"):
        Recipe(scanned=0)


def test_the_real_strangers(real_mnist, real_pens):
    found = data.load("everyone-1", test_only=True, backend=BACKEND)
    assert found.test_images.shape == (1496, 28, 28) and len(np.unique(found.test_labels)) == 10
    assert data.load("everyone", test_only=True).test_images.shape == (10_000, 28, 28)


def test_a_network_has_not_learned_from_the_writers_that_tested_it():
    def network(**info):
        return SimpleNamespace(info=info)

    assert mixture.not_learned_by(network(dataset="everyone-2")) == mixture.writers_of("everyone-2")
    for other in (network(dataset="mnist"), network()):  # these have learned from none of the writers
        assert mixture.not_learned_by(other) == (tuple(range(1, 31)), ())
