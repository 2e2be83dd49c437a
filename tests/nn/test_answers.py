"""From probabilities to answers: which are sure, and that a promised share of wrong answers is kept."""

from pathlib import Path

import numpy as np
import pytest
from conftest import draw_digits

import numcnn
from numcnn import ConfigError
from numcnn.evaluation.calibration import Threshold, risks
from numcnn.nn.answers import answers, threshold_of

PROBABILITIES = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.0, 0.0, 1.0]])


def info(n=20_000, wrong=60, least=0.6, seed=0):
    """Return an ``info`` whose uncertain answers are wrong now and then."""
    rng = np.random.default_rng(seed)
    confidence = np.sort(1 - rng.random(n) ** 6)
    right = np.ones(n, bool)
    right[rng.choice(n // 20, wrong, replace=False)] = False  # among the 5% that are least certain
    return {"refuse_below": least, "risks": [list(row) for row in risks(confidence, right)]}


def test_an_answer_is_sure_from_the_threshold_on():
    first, second, third = answers(PROBABILITIES, Threshold(0.7, 1.0))
    assert (first.label, first.sure) == (1, True) and first.probability == pytest.approx(0.7)
    assert (second.label, second.sure) == (0, False)
    assert third.sure and third.probabilities.tolist() == [0, 0, 1]
    assert all(answer.sure for answer in answers(PROBABILITIES, Threshold()))


def test_without_a_share_the_files_own_threshold_counts():
    assert threshold_of({}) == (0, 1, 0) and threshold_of({"refuse_below": 0.6}) == (0.6, 1, 0)
    assert threshold_of({"refuse_below": 0.6, "certainty_temperature": 3}) == (0.6, 3, 0)


def test_fewer_wrong_answers_need_a_higher_threshold():
    thresholds = [threshold_of(info(least=0.0), at_most).probability for at_most in (0.01, 0.003, 0.001)]
    assert thresholds == sorted(thresholds) and thresholds[0] < thresholds[-1] < 1


def test_a_share_comes_in_addition_to_the_files_own_threshold():
    usual, loose = (threshold_of(info(least=0.95), at_most) for at_most in (None, 0.5))
    assert usual == (0.95, 1, 0) and loose.certainty == 0.95 and 0 < loose.probability < 0.95


@pytest.mark.parametrize(
    ("given", "at_most", "text"),
    [
        ({}, 0.01, "needs weights with figures of strangers' digits, and these have none: use the shipped ones"),
        (info(), 0, "`at_most` is 0; wants a share of wrong answers between 0 and 1"),
        (info(), 1.5, "`at_most` is 1.5; wants a share"),
        (info(n=500, wrong=20), 0.0001, "with 500 digits no less than 1.191% can be shown"),
    ],
)
def test_shares_that_make_no_sense_or_can_not_be_shown(given, at_most, text):
    with pytest.raises(ConfigError, match=text):
        threshold_of(given, at_most)


def test_a_network_reads_pictures_and_paths():
    sample = Path(__file__).parents[2] / ".github" / "pictures" / "seven.png"
    network = numcnn.load(backend="reference")
    (answer,) = network.read(sample)
    assert answer.label == 7 and answer.sure and answer.probability == max(answer.probabilities)
    network.info["refuse_below"] = 1.1
    assert not network.read(sample)[0].sure
    network.info = info()
    assert network.read([np.zeros((28, 28), np.uint8)] * 2, at_most=0.001)[1].probabilities.shape == (10,)


def test_thresholds_do_not_outlive_the_weights_they_were_measured_for():
    images, labels = draw_digits(200, 12)
    network = numcnn.load("canonical", backend="reference")
    for change in (lambda: network.fit(images[:20], labels[:20], epochs=1), lambda: network.calibrate(images, labels)):
        network.info |= info()
        change()
        assert threshold_of(network.info).certainty == 0 and "risks" not in network.info
