"""Softmax cross-entropy: by hand, at the extremes, and what it refuses."""

import math

import numpy as np
import pytest

from numcnn import SoftmaxCrossEntropy
from numcnn.errors import ConfigError, ShapeError
from numcnn.kernels import BACKENDS, get_backend, reference
from numcnn.nn.losses import softmax


@pytest.mark.parametrize("backend", BACKENDS)
def test_by_hand(backend):
    loss = SoftmaxCrossEntropy(get_backend(backend))
    logits = np.log(np.array([[1.0, 2.0, 5.0], [2.0, 2.0, 4.0]]))  # softmax: 1/8 2/8 5/8 and 1/4 1/4 1/2
    assert loss.forward(logits, np.array([2, 0])) == pytest.approx((math.log(8 / 5) + math.log(4)) / 2)
    want = np.array([[1 / 8, 2 / 8, 5 / 8 - 1], [1 / 4 - 1, 1 / 4, 1 / 2]]) / 2
    np.testing.assert_allclose(loss.backward(), want, rtol=1e-12)


def test_label_smoothing_by_hand():
    loss = SoftmaxCrossEntropy(reference, smoothing=0.3)
    p = np.array([1 / 8, 2 / 8, 5 / 8])
    target = np.array([0.1, 0.1, 0.8])  # 0.3 / 3 everywhere, 0.7 more on the label
    assert loss.forward(np.log(p)[None], np.array([2])) == pytest.approx(-(target * np.log(p)).sum())
    np.testing.assert_allclose(loss.backward(), (p - target)[None], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_stable_for_huge_logits(dtype, smoothing):
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [0, -1e4, -1e4]], dtype)
    loss = SoftmaxCrossEntropy(reference, smoothing)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value = loss.forward(logits, np.array([1, 0, 2, 0]))
        dlogits = loss.backward()
        probabilities = softmax(logits)
    assert math.isfinite(value) and np.isfinite(dlogits).all()
    np.testing.assert_allclose(dlogits.sum(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(probabilities[[0, 2]], [[1, 0, 0], [1 / 3] * 3], rtol=1e-6)
    if not smoothing:
        assert value == pytest.approx((2e4 + 2e4 + math.log(2) + math.log(3) + 0) / 4, rel=1e-6)


def test_the_gradient_is_of_the_mean_whatever_the_batch():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((6, 10)), rng.integers(0, 10, 6)
    loss = SoftmaxCrossEntropy(reference)
    loss.forward(logits, labels)
    once = loss.backward().copy()
    loss.forward(np.tile(logits, (3, 1)), np.tile(labels, 3))
    np.testing.assert_allclose(loss.backward()[:6] * 3, once, rtol=1e-12)
    loss.forward(logits[:2], labels[:2])  # a short last batch
    np.testing.assert_allclose(loss.backward() * 2, once[:2] * 6, rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_it_keeps_fits_whatever_comes_next(backend):
    rng, loss = np.random.default_rng(0), SoftmaxCrossEntropy(get_backend(backend), 0.1)
    for n, classes, dtype in ((2, 3, "f4"), (2, 40, "f4"), (9, 7, "f4"), (3, 90, "f8"), (1, 90, "f4"), (64, 2, "f4")):
        logits, labels = rng.standard_normal((n, classes)).astype(dtype), np.arange(n) % classes
        value = loss.forward(logits, labels)
        labels[:] = 10**6  # the loss has kept what it needs
        fresh = SoftmaxCrossEntropy(reference, 0.1)
        assert value == pytest.approx(fresh.forward(logits, np.arange(n) % classes), rel=1e-5)
        assert loss.log_probs.shape == loss.backward().shape == (n, classes)
        assert loss.log_probs.dtype == loss.backward().dtype == dtype
        np.testing.assert_allclose(loss.backward(), fresh.backward(), atol=1e-6)


def test_batches_of_one_size_use_the_same_memory():
    loss, logits = SoftmaxCrossEntropy(reference), np.zeros((2, 3))
    loss.forward(logits, np.array([0, 1]))
    before = loss.backward()
    loss.forward(logits, np.array([2, 1]))
    assert np.shares_memory(before, loss.backward())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_class_that_is_impossible_costs_nothing_unless_it_is_the_label(backend):
    logits = np.array([[0, -np.inf]])
    loss = SoftmaxCrossEntropy(get_backend(backend))
    assert loss.forward(logits, np.array([0])) == 0
    assert loss.forward(logits, np.array([1])) == np.inf


def test_shares_of_a_batch_add_up_to_it():
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((7, 10)), rng.integers(0, 10, 7)
    whole, one, two = SoftmaxCrossEntropy(reference, 0.1), *(SoftmaxCrossEntropy(reference, 0.1) for _ in range(2))
    want = whole.forward(logits, labels)
    assert one.forward(logits[:3], labels[:3], of=7) + two.forward(logits[3:], labels[3:], of=7) == pytest.approx(want)
    np.testing.assert_allclose(np.concatenate([one.backward(), two.backward()]), whole.backward(), rtol=1e-12)
    assert one.replica().smoothing == 0.1


def test_nan_logits_give_a_nan_loss():
    logits = np.zeros((2, 3))
    logits[1, 1] = np.nan
    assert math.isnan(SoftmaxCrossEntropy(reference).forward(logits, np.array([0, 0])))


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (
            np.array([0, 3]),
            r"loss: labels are shape \(2,\), int64 from 0 to 3; wants shape \(2,\), integers from 0 to 2",
        ),
        (np.array([-1, 0]), "from -1 to 0"),
        (np.array([0.0, 1.0]), "float64"),
        (np.array([0]), r"shape \(1,\)"),
        (np.empty(0, int), r"shape \(0,\), int64; wants"),
        (np.zeros((2, 3), int), r"shape \(2, 3\)"),
    ],
)
def test_wrong_labels_are_named(labels, text):
    with pytest.raises(ShapeError, match=text):
        SoftmaxCrossEntropy(reference).forward(np.zeros((2, 3)), labels)


@pytest.mark.parametrize("smoothing", [-0.1, 1, "a"])
def test_wrong_smoothing_is_named(smoothing):
    with pytest.raises(ConfigError, match=r"label smoothing is .* wants a number from 0"):
        SoftmaxCrossEntropy(reference, smoothing)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_an_outlier_wants_all_classes_alike(backend, smoothing):
    logits, labels = np.log(np.array([[1.0, 2.0, 5.0], [2.0, 2.0, 4.0]])), np.array([3, 0])
    loss = SoftmaxCrossEntropy(get_backend(backend), smoothing, outliers=True)
    p, usual = np.array([1 / 8, 2 / 8, 5 / 8]), SoftmaxCrossEntropy(reference, smoothing)
    of_the_other = usual.forward(logits[1:], labels[1:])
    assert loss.forward(logits, labels) == pytest.approx((-np.log(p).mean() + of_the_other) / 2)
    np.testing.assert_allclose(loss.backward(), np.stack([p - 1 / 3, usual.backward()[0]]) / 2, rtol=1e-12)
    np.testing.assert_allclose(loss.replica().forward(logits, labels), loss.forward(logits, labels))
    with pytest.raises(ShapeError, match="integers from 0 to 3"):
        loss.forward(logits, np.array([4, 0]))
