"""Figures of merit against values worked out by hand or published, and the edges where they would divide by zero."""

import json
import math
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

from numcnn.errors import DataError, ShapeError
from numcnn.evaluation.metrics import (
    accuracy_interval,
    calibration_bins,
    classification_report,
    confusion_matrix,
    evaluation,
    mistakes,
    robustness,
    spread,
    top_confusions,
)

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2], np.uint8)
PREDICTED = np.array([0, 0, 1, 1, 0, 2, 2, 2, 0], np.int64)
CONFUSION = [[2, 1, 0], [1, 1, 0], [1, 0, 3]]


def one_hot(predicted, classes=10, certainty=1.0):
    """Return probabilities (N,C) with ``certainty`` at the predicted class and the rest spread evenly."""
    probabilities = np.full((len(predicted), classes), (1 - certainty) / (classes - 1))
    probabilities[np.arange(len(predicted)), predicted] = certainty
    return probabilities


def test_calibration_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.35, 0.65], [0.0, 1.0]])
    labels = np.array([0, 1, 1, 1, 1])
    bins = calibration_bins(labels, probabilities, count=10)
    assert [(b.low, b.high, b.n) for b in bins] == [(0.5, 0.6, 1), (0.6, 0.7, 1), (0.8, 0.9, 2), (0.9, 1.0, 1)]
    assert [b.accuracy for b in bins] == [1, 1, 0.5, 1]
    assert [b.confidence for b in bins] == pytest.approx([0.6, 0.65, 0.9, 1])
    found = evaluation(labels, probabilities)
    assert found.calibration_error == pytest.approx((0.4 + 0.35 + 2 * 0.4 + 0) / 5)  # with 15 bins too
    assert found.to_json()["calibration_error"] == found.calibration_error
    assert "ECE       31.00%  (expected calibration error of the probabilities, 15 bins)" in found.to_text()
    low, high = found.interval
    assert (
        repr(found) == f"<Evaluation of 5 images: accuracy 80.00% (95% interval {low:.2%} to {high:.2%}), loss 0.6699>"
    )
    table = found._repr_html_()
    assert "accuracy 80.00%" in table and "<tr><td>1</td><td>100.00%</td><td>75.00%</td>" in table
    assert "<tr><td>1</td><td>1</td><td>3</td></tr>" in table  # the confusion of class 1


def test_the_spread_of_a_few_results_by_hand():
    found = spread([0.99, 0.992, 0.994])
    assert found["n"] == 3 and found["mean"] == pytest.approx(0.992) and found["std"] == pytest.approx(0.002)
    assert (found["min"], found["max"]) == (0.99, 0.994)
    assert found["interval"] == pytest.approx([0.992 - 4.303 * 0.002 / 3**0.5, 0.992 + 4.303 * 0.002 / 3**0.5])
    many = spread(np.arange(100.0))
    assert many["interval"][1] - many["mean"] == pytest.approx(2.042 * many["std"] / 10)
    assert spread([0.5, 0.9], most=1)["interval"] == [0, 1] and spread([0.5, 0.9])["interval"][1] > 3
    with pytest.raises(DataError, match="spread: got 1 values; wants 2 or more"):
        spread([0.99])


def test_confusion_has_true_classes_in_rows():
    confusion = confusion_matrix(LABELS, PREDICTED, 3)
    assert confusion.tolist() == CONFUSION
    assert confusion.dtype == np.int64
    assert confusion_matrix([3], [7])[3, 7] == 1  # ten classes by default
    assert confusion_matrix([3], [7]).shape == (10, 10)


def test_confusion_of_many_small_integers_does_not_overflow():
    labels = np.full(70_000, 40, np.uint8)
    confusion = confusion_matrix(labels, labels, 47)
    assert confusion[40, 40] == confusion.sum() == 70_000


def test_report_by_hand():
    zero, one, two = classification_report(np.array(CONFUSION))
    assert (zero.label, zero.precision, zero.recall, zero.support) == (0, 2 / 4, 2 / 3, 3)
    assert zero.f1 == pytest.approx(2 * (1 / 2) * (2 / 3) / (1 / 2 + 2 / 3))
    assert (one.precision, one.recall, one.f1, one.support) == (0.5, 0.5, 0.5, 2)
    assert (two.precision, two.recall, two.support) == (1.0, 0.75, 4)
    assert two.f1 == pytest.approx(6 / 7)


def test_report_without_examples_or_predictions_is_zero_and_silent():
    confusion = np.array([[0, 0, 0], [0, 5, 0], [0, 2, 0]])  # no 0 at all; 2 is never predicted
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zero, one, two = classification_report(confusion)
        classification_report(np.zeros((10, 10), int))
    assert (zero.precision, zero.recall, zero.f1, zero.support) == (0, 0, 0, 0)
    assert (one.precision, one.recall) == (5 / 7, 1)
    assert (two.precision, two.recall, two.f1, two.support) == (0, 0, 0, 2)


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
        # table I, method 3 (Wilson without continuity correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval_is_the_published_one(correct, n, low, high):
    assert accuracy_interval(correct, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_interval_solves_its_equation_and_is_symmetric():
    z = 1.959963984540054
    for correct, n in ((9920, 10_000), (3, 7), (1, 1000)):
        for limit in accuracy_interval(correct, n):  # the proportions from which the result is exactly z errors away
            assert abs(correct / n - limit) == pytest.approx(z * math.sqrt(limit * (1 - limit) / n))
        low, high = accuracy_interval(n - correct, n)
        assert accuracy_interval(correct, n) == (pytest.approx(1 - high), pytest.approx(1 - low))


def test_interval_stays_within_0_and_1():
    assert accuracy_interval(0, 1)[0] == 0
    assert accuracy_interval(10_000, 10_000)[1] == 1
    assert accuracy_interval(10_000, 10_000)[0] == pytest.approx(0.99962, abs=1e-5)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (-1, 5), (6, 5), (math.nan, 5)])
def test_interval_refuses_impossible_counts(correct, n):
    with pytest.raises(DataError, match=f"got {correct} right of {n}; wants 0 <= correct <= n and n >= 1"):
        accuracy_interval(correct, n)


def test_top_confusions_are_in_order_and_without_the_diagonal():
    confusion = np.array([[90, 1, 4], [7, 80, 0], [0, 4, 70]])
    assert top_confusions(confusion, 3) == [(1, 0, 7), (0, 2, 4), (2, 1, 4)]
    assert top_confusions(confusion, 99) == [(1, 0, 7), (0, 2, 4), (2, 1, 4), (0, 1, 1)]
    assert top_confusions(confusion, 0) == []
    assert top_confusions(np.eye(10, dtype=int), 5) == []
    assert confusion[0, 0] == 90  # the caller's matrix is left alone


def test_evaluation_by_hand():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.6, 0.3, 0.1]])
    result = evaluation(np.array([0, 1, 2, 1]), probabilities)
    assert (result.accuracy, result.n) == (0.75, 4)
    assert result.loss == pytest.approx(-np.log([0.7, 0.8, 0.4, 0.3]).mean())
    assert result.interval == accuracy_interval(3, 4)
    assert result.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    assert result.per_class == classification_report(result.confusion)
    assert evaluation(np.array([0, 1, 2, 1]), probabilities, loss=0.25).loss == 0.25


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_of_a_certain_mistake_is_large_and_finite(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = evaluation(np.array([0, 0]), one_hot([0, 1]).astype(dtype))
    assert result.loss == pytest.approx(-np.log(np.finfo(dtype).tiny) / 2, rel=1e-6)


def test_json_is_strict_and_holds_every_key():
    result = evaluation(LABELS, one_hot(PREDICTED, 10, 0.9).astype(np.float32))
    data = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(data) == [
        "accuracy", "n", "loss", "interval", "calibration_error", "calibration", "per_class", "confusion",
        "coverage_risk",
    ]  # fmt: skip
    assert data["accuracy"] == pytest.approx(6 / 9)
    assert data["n"] == 9
    assert data["interval"] == list(accuracy_interval(6, 9))
    assert data["per_class"][2] == {"label": 2, "precision": 1.0, "recall": 0.75, "f1": 6 / 7, "support": 4}
    assert np.array(data["confusion"])[:3, :3].tolist() == CONFUSION
    assert evaluation(LABELS, one_hot(PREDICTED), loss=math.nan).to_json()["loss"] is None


def test_text_fits_80_columns_and_shows_the_figures():
    labels = np.repeat(np.arange(10), 1000)
    predicted = labels.copy()
    predicted[4000:4012] = 9
    predicted[7000:7003] = 1
    text = str(evaluation(labels, one_hot(predicted, certainty=0.95)))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "accuracy  99.85%  (95% interval 99.75% to 99.91%; 9,985 of 10,000 right)"
    assert lines[1].startswith("loss      0.0")
    assert "    4    100.00%   98.80%   99.40%     1,000" in lines
    assert "    9     98.81%  100.00%   99.40%     1,000" in lines
    assert " mean     99.85%   99.85%   99.85%    10,000" in lines
    assert "   4    .    .    .    .  988    .    .    .    .   12" in lines
    assert lines[-1] == "most frequent: 4 as 9 (12), 7 as 1 (3)"
    assert len({len(line) for line in lines if line[:4].strip().isdigit() and "." in line and "%" not in line}) == 1


def test_text_of_large_counts_stays_aligned_and_of_many_classes_leaves_the_matrix_out():
    labels = np.zeros(123_456, np.uint8)
    lines = str(evaluation(labels, one_hot(labels, certainty=0.9))).splitlines()
    assert "   0 123456      .      .      .      .      .      .      .      .      ." in lines
    assert max(map(len, lines)) <= 80
    many = np.arange(47)
    text = str(evaluation(many, one_hot(many[::-1], 47)))
    assert max(map(len, text.splitlines())) <= 80
    assert "confusion" not in text
    assert "most frequent: 0 as 46 (1), 1 as 45 (1), 2 as 44 (1)" in text


GOOD = one_hot(np.arange(5))


@pytest.mark.parametrize(
    ("labels", "probabilities", "error", "text"),
    [
        (np.arange(4), GOOD, ShapeError, "got 4 labels and 5 rows of probabilities"),
        (np.arange(5), GOOD[0], ShapeError, r"probabilities: got float64 \(10,\); wants float \(N, C\)"),
        (np.arange(5), np.eye(10, dtype=int)[:5], ShapeError, "probabilities: got int64"),
        (np.arange(5.0), GOOD, ShapeError, r"labels: got float64 \(5,\); wants whole numbers \(N,\)"),
        (np.ones((5, 1), int), GOOD, ShapeError, r"labels: got int64 \(5, 1\)"),
        (np.zeros(0, int), np.zeros((0, 10)), DataError, "labels: there are none; nothing to evaluate"),
        (np.array([0, 1, 2, 3, 10]), GOOD, DataError, "labels: run from 0 to 10; wants 0 to 9"),
        (np.array([-1, 1, 2, 3, 4]), GOOD, DataError, "labels: run from -1 to 4"),
        (np.arange(5), GOOD * np.nan, DataError, "contain NaN or infinity; the network that made them has diverged"),
        (np.arange(5), GOOD * 3, DataError, "sum to 1; apply softmax to logits first"),
        (np.arange(5), np.tile([2.0, -1.0, 0, 0, 0], (5, 1)), DataError, "numbers >= 0"),
    ],
)
def test_evaluation_refuses_bad_input(labels, probabilities, error, text):
    with pytest.raises(error, match=text):
        evaluation(labels, probabilities)


def test_confusion_functions_refuse_bad_input():
    with pytest.raises(ShapeError, match="got 2 labels and 1 predictions"):
        confusion_matrix([0, 1], [0])
    with pytest.raises(DataError, match="predicted: run from 0 to 3; wants 0 to 2"):
        confusion_matrix([0, 1], [0, 3], 3)
    for bad in (np.ones((2, 3), int), np.ones(4, int), np.ones((2, 2))):
        for function in (classification_report, lambda confusion: top_confusions(confusion, 1)):
            with pytest.raises(ShapeError, match=r"confusion: got .* wants whole numbers \(C, C\)"):
                function(bad)


def test_mistakes_come_with_the_surest_first():
    labels = np.array([0, 1, 2, 2])
    probabilities = np.array([[0.6, 0.4, 0.0], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.1, 0.9, 0.0]], np.float32)
    assert mistakes(labels, probabilities).tolist() == [3, 1]
    assert mistakes(labels[2:3], probabilities[2:3]).tolist() == []
    np.testing.assert_array_equal(evaluation(labels, probabilities).probabilities, probabilities)


def test_robustness_by_hand():
    clean = np.array([True, True, True, False])
    found = robustness(clean, {"shot_noise": clean, "fog": np.array([True, False, False, False])})
    assert found.clean.accuracy == 0.75 and found.clean.interval == accuracy_interval(3, 4)
    assert found.corruptions["fog"].accuracy == 0.25 and found.mean.accuracy == 0.5
    shares = [1, 0.5, 0.5, 0]  # of each image: an image that is hard is so under both
    half = 1.959964 * np.std(shares, ddof=1) / 2
    assert found.mean.interval == pytest.approx((0.5 - half, 0.5 + half))
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["corruptions"]["fog"] == {"accuracy": 0.25, "interval": list(accuracy_interval(1, 4))}
    text = found.to_text()
    assert re.search(r"^shot noise +75\.00% ", text, re.MULTILINE) and re.search(
        r"^mean of 2 +50\.00%", text, re.MULTILINE
    )
    assert max(map(len, text.splitlines())) <= 80
    alone = robustness(clean[:1], {"fog": clean[:1]})
    assert alone.mean.interval == (0.0, 1.0)
    with pytest.raises(DataError, match="got 0 images and 1 corruptions"):
        robustness(clean[:0], {"fog": clean[:0]})


def test_importing_loads_only_numpy():
    code = "import sys, numcnn.evaluation.metrics; print(sorted({'PIL', 'numba', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_class_without_images_counts_nowhere_in_the_table():
    probabilities = np.eye(3)[[0, 1, 1, 0]]
    text = evaluation(np.array([0, 1, 1, 0]), probabilities).to_text()
    assert "    2          -        -        -         0" in text
    assert " mean    100.00%  100.00%  100.00%         4" in text
