"""The pad's mixture: what is in it, in which order, and that nobody's digits are on two sides."""

import hashlib

import numpy as np
import pytest
from conftest import BACKEND, unipen

from numcnn import data
from numcnn.data import generated as strokes
from numcnn.data import handwriting, mnist, nondigits, pendigits
from numcnn.errors import ConfigError, DataError
from numcnn.imaging import raster

EVERYONE = np.arange(1, 31)


@pytest.fixture
def options(tiny_mnist, tmp_path):
    """Options of load under which tiny files are MNIST and the pen digits: two of each writer."""
    text = unipen(np.repeat(EVERYONE % 10, 2), np.repeat(EVERYONE, 2))
    (tmp_path / "pendigits-orig.tra").write_bytes(text)
    return {
        "data_dir": tiny_mnist[0],
        "origin": mnist.Origin(files=tiny_mnist[1]),
        "pens": tmp_path,
        "pens_origin": pendigits.Origin(sha256=hashlib.sha256(text).hexdigest()),
        "scanned": 1,
        "generated": 10,
        "renderings": 2,
        "no_digits": 12,
        "validation": 10,
        "backend": BACKEND,
        "report": [].append,
    }


def test_the_mixture_is_what_it_says(options):
    lines = []
    found = handwriting.load(**options | {"report": lines.append})
    assert found.name == "pad" and found.classes == 10 and not found.is_mnist
    assert lines == ["Drawing pad: 10 digits, 2 times each person's, 12 that are no digit."]
    scans, generated, pens, none, plain = np.split(np.arange(len(found.train_labels)), [200, 210, 210 + 2 * 50, 322])
    assert len(plain) == 10 and found.train_images.shape == (332, 28, 28) and found.train_images.dtype == np.uint8
    tiny = data.load(options["data_dir"])
    np.testing.assert_array_equal(found.train_images[scans], tiny.train_images)
    np.testing.assert_array_equal(found.test_images, tiny.test_images)
    np.testing.assert_array_equal(found.test_labels, tiny.test_labels)
    np.testing.assert_array_equal(found.train_images[generated], strokes.generate(10, 0, backend=BACKEND)[0])
    assert found.train_labels[pens].tolist() == np.tile(np.repeat(EVERYONE[:25] % 10, 2), 2).tolist()
    np.testing.assert_array_equal(found.train_images[none], nondigits.generate(12, 0, backend=BACKEND))
    assert (found.train_labels[none] == nondigits.NO_DIGIT).all()
    assert (np.delete(found.train_labels, none) < 10).all()
    # Validation: the last ten scans, and writers 26 to 30 as the pad would draw them.
    assert found.validation_rows.tolist() == [*range(190, 200), *plain]
    people = pendigits.load(options["pens"], origin=options["pens_origin"]).of(range(26, 31))
    assert found.train_labels[plain].tolist() == people.labels.tolist() == np.repeat([6, 7, 8, 9, 0], 2).tolist()
    expected = np.array([raster.mnist_image(digit) for digit in people.strokes])
    assert np.abs(found.train_images[plain].astype(int) - expected).max() <= 1  # the back ends' difference


def test_equal_seeds_give_equal_bytes(options):
    first, again, other = (handwriting.load(seed=seed, **options | {"renderings": 1}) for seed in (1, 1, 2))
    assert first.sha256 == again.sha256 != other.sha256
    np.testing.assert_array_equal(first.train_images[first.validation_rows], other.train_images[other.validation_rows])
    assert (first.train_images[210:260] != other.train_images[210:260]).any(axis=(1, 2)).all()


def test_every_writer_is_tested_on_in_one_fold_and_validates_in_another():
    folds = [handwriting.writers_of(f"pad-{fold}") for fold in range(5)]
    assert sorted(writer for test, _ in folds for writer in test) == EVERYONE.tolist()
    assert sorted(writer for _, validation in folds for writer in validation) == EVERYONE.tolist()
    assert all((np.array(test) - 1) % 5 == fold for fold, (test, _) in enumerate(folds) for test in test)
    for fold, (test, validation) in enumerate(folds):
        assert not set(test) & set(validation) and validation == folds[(fold + 1) % 5][0]
    assert handwriting.writers_of("pad") == ((), (26, 27, 28, 29, 30))
    for name in ("pad-5", "pad-", "pads", "pad-01"):
        with pytest.raises(ConfigError, match=f"no mixture '{name}'; choose pad or pad-0 to pad-4"):
            handwriting.writers_of(name)


def test_nobody_is_on_two_sides(options, tmp_path):
    test, validation = handwriting.writers_of("pad-3")
    labels = np.select([np.isin(EVERYONE, test), np.isin(EVERYONE, validation), EVERYONE == 6], [7, 8, 6], 1)
    text = unipen(labels, EVERYONE)
    (tmp_path / "pendigits-orig.tra").write_bytes(text)
    options["pens_origin"] = pendigits.Origin(sha256=hashlib.sha256(text).hexdigest())
    found = handwriting.load("pad-3", **options, leave_out=[6])
    assert found.test_labels.tolist() == [7] * 6
    assert found.train_labels[found.validation_rows[10:]].tolist() == [8] * 6
    assert found.train_labels[210:-18].tolist() == [1] * 2 * 17  # 30 people without 6 + 6, and number 6
    people = pendigits.load(options["pens"], origin=options["pens_origin"]).of(test)
    expected = np.array([raster.mnist_image(digit) for digit in people.strokes])
    assert np.abs(found.test_images.astype(int) - expected).max() <= 1


def test_testing_wants_only_what_is_tested_on(options, tmp_path):
    strangers = handwriting.load("pad-1", **options | {"data_dir": tmp_path / "nowhere"}, test_only=True)
    assert strangers.train_images.shape == (0, 28, 28) and strangers.test_images.shape == (12, 28, 28)
    assert strangers.source == "UCI pen digits of writers 2, 7, 12, 17, 22, 27"
    scans = handwriting.load("pad", **options | {"pens": tmp_path / "nowhere"}, test_only=True)
    assert len(scans.test_images) == 50 and len(scans.train_labels) == 0 and scans.source.startswith("MNIST, SHA-256")
    for missing in ("data_dir", "pens"):
        with pytest.raises(DataError, match="nowhere"):
            handwriting.load("pad-1", **options | {missing: tmp_path / "nowhere"})


def test_more_validation_than_scans_is_refused(options):
    with pytest.raises(ConfigError, match="validation is 200; wants 0 or more, and fewer than MNIST's training images"):
        handwriting.load(**options | {"validation": 200})
    assert handwriting.load(**options | {"validation": 0}).validation_rows.tolist() == list(range(322, 332))


def test_scans_may_count_several_times_but_those_that_validate_count_once(options):
    once, thrice = (handwriting.load(**options | {"scanned": scanned}) for scanned in (1, 3))
    assert len(thrice.train_labels) == len(once.train_labels) + 2 * 190
    for first in (200, 390):
        again = slice(first, first + 190)
        np.testing.assert_array_equal(thrice.train_images[again], once.train_images[:190])
        np.testing.assert_array_equal(thrice.train_labels[again], once.train_labels[:190])
    np.testing.assert_array_equal(thrice.train_images[thrice.validation_rows], once.train_images[once.validation_rows])
    with pytest.raises(ConfigError, match="scanned is 0; wants 1 or more"):
        handwriting.load(**options | {"scanned": 0})


# ------------------------------------------------------------------------------------------------ other hands and pens


def digits(count, seed=0):
    rng = np.random.default_rng(seed)
    return [[200 * stroke + 250 for stroke in strokes.digit_strokes(i % 10, rng)] for i in range(count)]


def test_digits_written_once_more_are_other_but_not_much():
    originals = digits(60)
    varied = handwriting.vary(originals, np.random.default_rng(1))
    assert [len(digit) for digit in varied] == [len(digit) for digit in originals]
    before, after = (np.array([raster.mnist_image(digit) for digit in some]) for some in (originals, varied))
    assert (before != after).any(axis=(1, 2)).all()
    # Each is nearest to itself, among all, or to one that looks like it: four of five times at least.
    distance = ((before[:, None].astype(float) - after[None]) ** 2).sum(axis=(2, 3))
    assert np.mean(distance.argmin(axis=0) % 10 == np.arange(60) % 10) > 0.8
    heights = np.array([np.ptp(np.concatenate(digit), axis=0).max() for digit in varied])
    assert heights.min() > 0.6 and heights.max() < 2


def test_a_digit_is_followed_in_every_way():
    line = [np.column_stack([np.linspace(0, 100, 31), np.linspace(50, 0, 31) ** 1.2])]
    varied = handwriting.vary([line] * 300, np.random.default_rng(2))
    lengths, counts = np.unique([len(strokes_now[0]) for strokes_now in varied], return_counts=True)
    every, half, third = 31, 16, 11
    smooth = {strokes.SAMPLES * (kept - 1) + 1 for kept in (every, half, third)}
    assert lengths.tolist() == sorted({every, half, *smooth})
    assert dict(zip(lengths, counts, strict=True))[every] == pytest.approx(0.3 * 300, abs=35)


def test_dots_and_pens_at_rest_stay_finite():
    still = np.full((9, 2), 7.0)
    odd = [[still[:1]], [still], [still[:1], np.array([[0.0, 0], [5, 9]])], [np.zeros((2, 2))]]
    for seed in range(20):
        varied = handwriting.vary(odd, np.random.default_rng(seed))
        assert [len(digit) for digit in varied] == [1, 1, 2, 1]
        assert all(np.isfinite(stroke).all() for digit in varied for stroke in digit)


def test_people_are_rewritten_so_many_times():
    people = pendigits.parse(unipen([3, 8], [1, 2]))
    images, labels = handwriting.rewritten(people, 4, 0, backend=BACKEND)
    assert labels.tolist() == [3, 8] * 4 and len({image.tobytes() for image in images}) == 8
    ink = (images > 128).sum(axis=(1, 2))
    assert ink.max() > 1.15 * ink.min()  # pens differ
    assert len(handwriting.rewritten(people.of([]), 4, 0, backend=BACKEND)[1]) == 0


def test_pens_are_as_thick_as_mnists():
    widths = strokes.pen_widths(4000, np.random.default_rng(0))
    assert widths.min() >= 1.4 and widths.max() <= 4.6
    assert np.median(widths) == pytest.approx(2.6, abs=0.05)
    assert np.log(widths).std() == pytest.approx(0.24, abs=0.02)


def test_the_real_strangers(real_mnist, real_pens):
    found = data.load("pad-1", test_only=True, backend=BACKEND)
    assert found.test_images.shape == (1496, 28, 28) and len(np.unique(found.test_labels)) == 10
    assert data.load("pad", test_only=True).test_images.shape == (10_000, 28, 28)
