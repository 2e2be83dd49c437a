"""The fitted temperature minimises the loss, is kept with the weights and changes no answer; the refusal threshold."""

import math

import numpy as np
import pytest
from conftest import BACKEND, draw_digits

import numcnn
from numcnn import Dense, Flatten, Network
from numcnn.errors import CheckpointError, ConfigError, DataError
from numcnn.evaluation.calibration import (
    HIGHEST,
    LOWEST,
    Risk,
    Threshold,
    certainty,
    design_effect,
    fit_temperature,
    refusal_threshold,
    risks,
    threshold_for,
    wrong_at_most,
)
from numcnn.nn import checkpoint
from numcnn.nn.losses import softmax

pytestmark = pytest.mark.once


def drawn(temperature, n=200_000, seed=0):
    """Return logits, and labels drawn with the probabilities that softmax(logits / temperature) gives."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((n, 4))
    below = softmax(logits / temperature).cumsum(axis=1) < rng.random((n, 1))
    return logits, below.sum(axis=1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature):
    assert fit_temperature(*drawn(temperature)) == pytest.approx(temperature, rel=0.02)


def test_no_other_makes_the_labels_likelier():
    logits, labels = drawn(1.7, n=500)

    def loss(temperature):
        return -np.log(softmax(logits / temperature)[np.arange(500), labels]).mean()

    found = fit_temperature(logits, labels)
    assert all(loss(found) < loss(found * factor) for factor in (0.5, 0.97, 1.03, 2))


def test_it_stays_within_bounds():
    logits = np.eye(3)[[0, 1, 2]]
    assert fit_temperature(logits, np.array([0, 1, 2])) == pytest.approx(LOWEST)  # always right: as certain as allowed
    assert fit_temperature(logits, np.array([1, 2, 0])) == pytest.approx(HIGHEST)
    for wrong in (np.zeros((0, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(DataError, match=r"temperature: got logits \(\d, 3\); wants finite ones"):
            fit_temperature(wrong, np.zeros(len(wrong), int))


def test_a_network_keeps_its_temperature_wherever_it_goes(tmp_path):
    images, labels = draw_digits(600, 11)
    network = Network([Flatten(), Dense(10)], backend=BACKEND)
    network.fit(images[:300], labels[:300], epochs=2)
    answers, before = network.predict(images), network.evaluate(images[300:], labels[300:])
    calibrated = network.calibrate(images[300:], labels[300:])
    found = network.temperature
    assert found != 1
    np.testing.assert_array_equal(calibrated, network.predict_proba(images[300:]))
    after = network.evaluate(images[300:], labels[300:])
    assert after.loss < before.loss and after.accuracy == before.accuracy
    np.testing.assert_array_equal(network.predict(images), answers)
    np.testing.assert_allclose(network.predict_proba(images), softmax(network.logits(images) / found), atol=1e-6)
    network.save(tmp_path / "w.npz")
    for twin in (numcnn.load(tmp_path / "w.npz", backend=BACKEND), network.copy()):
        np.testing.assert_allclose(twin.predict_proba(images[:5]), network.predict_proba(images[:5]), atol=1e-7)
    read = network.reader().predict_proba(images[0])
    np.testing.assert_allclose(read, network.predict_proba(images[0])[0], atol=1e-6)
    network.fit(images[:100], labels[:100], epochs=1)
    assert network.temperature == 1  # for other weights


def test_weights_from_before_have_none_and_a_wrong_one_is_refused(tmp_path):
    network = Network([Flatten(), Dense(10)], backend=BACKEND)
    network.save(tmp_path / "w.npz")
    with checkpoint.Checkpoint(tmp_path / "w.npz") as stored:
        meta = dict(stored.meta)
    arrays = network.named_arrays(network.params)
    checkpoint.save(tmp_path / "old.npz", arrays, {k: v for k, v in meta.items() if k != "temperature"})
    assert numcnn.load(tmp_path / "old.npz").temperature == 1
    for wrong in (0, -1.0, "hot", None):
        checkpoint.save(tmp_path / "wrong.npz", arrays, {**meta, "temperature": wrong})
        with pytest.raises(CheckpointError, match=r"wrong.npz: .*temperature is .*; wants a number above 0"):
            numcnn.load(tmp_path / "wrong.npz")


@pytest.mark.parametrize(("share", "n"), [(0.01, 1000), (0.01, 99), (0, 50), (0.3, 7), (0.999, 10)])
def test_the_threshold_is_the_largest_that_refuses_few_enough(share, n):
    confidence = np.random.default_rng(n).random(n)
    threshold = refusal_threshold(confidence, share)
    assert (confidence < threshold).mean() <= share < (confidence <= threshold).mean()


def test_equally_certain_answers_are_all_kept():
    assert refusal_threshold(np.ones(5), 0.5) == 1


def test_certainty_is_the_probability_at_another_temperature():
    logits = np.random.default_rng(3).normal(0, 4, (50, 10))
    for temperature in (1.0, 3.0):
        want = softmax(logits / temperature).max(axis=1)
        np.testing.assert_allclose(certainty(softmax(logits), temperature), want, rtol=1e-9)


def test_one_runner_up_costs_less_certainty_than_many():
    """Of two answers with the same probability, a non-digit's is the one that could be many other digits."""
    two, many = np.full((2, 10), 1e-6)
    two[0], two[1] = 0.8, 0.2
    many[0], many[1:] = 0.8, 0.2 / 9
    assert certainty(two) > certainty(many) + 0.05
    assert Threshold(0.5).sure([two, many]).tolist() == [True, False]
    assert Threshold(0.5, probability=0.9).sure([two, many]).tolist() == [False, False]
    assert str(Threshold(0.5, probability=0.9)) == "certainty below 50.0% or probability below 90.0%"
    assert not str(Threshold())


@pytest.mark.parametrize("confidence", [[], [0.5, np.nan], [-0.1], [1.2], [[0.5]]])
def test_values_outside_0_to_1_are_refused(confidence):
    with pytest.raises(DataError, match="one answer or more, each from 0 to 1"):
        refusal_threshold(confidence)
    with pytest.raises(ConfigError, match=r"the share of digits that may be refused is 1; wants 0 or more"):
        refusal_threshold([0.5], 1)


@pytest.mark.parametrize(("wrong", "answered"), [(0, 100), (3, 100), (20, 400), (5, 5)])
def test_the_bound_is_the_share_at_which_so_few_mistakes_have_a_chance_of_5_percent(wrong, answered):
    bound = wrong_at_most(wrong, answered)
    if wrong == answered:
        assert bound == 1
        return
    chance = sum(math.comb(answered, k) * bound**k * (1 - bound) ** (answered - k) for k in range(wrong + 1))
    assert chance == pytest.approx(0.05, rel=1e-6) and bound > wrong / answered
    if not wrong:
        assert bound == pytest.approx(1 - 0.05 ** (1 / answered))


def test_risks_count_what_is_answered_and_what_is_wrong():
    confidence, right = np.linspace(0, 1, 1001), np.ones(1001, bool)
    right[[3, 100, 899]] = False
    found = risks(confidence, right)
    assert found[-1][:4] == (0.0, 1001, 1001, 3) and found[0][2:4] == (501, 1)
    for row in found:
        sure = confidence >= row.threshold
        assert row[1:4] == (1001, sure.sum(), (sure & ~right).sum())
        assert row.bound == wrong_at_most(row.wrong, row.answered)
    assert [row[:4] for row in risks(np.full(5, 0.9), np.ones(5, bool))] == [(0.9, 5, 5, 0)]


@pytest.mark.parametrize("right", [np.ones(1, bool), np.ones(3, int), np.ones((3, 1), bool)])
def test_what_is_right_must_fit_the_answers(right):
    with pytest.raises(DataError, match=r"for 3 answers; wants bool, one for each"):
        risks([0.5, 0.6, 0.7], right)


def test_mistakes_that_gather_in_few_people_count_as_fewer_digits():
    people, wrong = np.repeat(np.arange(30), 100), np.zeros(3000, bool)
    wrong[::100] = True  # one of each
    assert design_effect(wrong, people) == 1
    wrong = people == 7  # all of one
    assert design_effect(wrong, people) == pytest.approx(100, rel=0.05)
    assert design_effect(np.zeros(3000, bool), people) == 1 and design_effect(wrong, np.zeros(3000, int)) == 1
    confidence = np.random.default_rng(0).random(3000)
    spread, gathered = (risks(confidence, ~wrong, who)[-1] for who in (None, people))
    assert spread[:4] == gathered[:4] and gathered.bound > spread.bound + 0.02


def strangers(people, digits, rng):
    """Return confidence, which answers are right, and who wrote: some people are misread much more than others."""
    who = np.repeat(np.arange(people), digits)
    confidence = 1 - rng.random(people * digits) ** 5
    clumsy = rng.gamma(0.5, 2, people)[who]
    return confidence, rng.random(len(who)) > np.minimum(0.3 * clumsy * (1 - confidence), 1), who


def test_a_promise_holds_for_19_of_20_sets_of_strangers():
    """Thresholds chosen on thirty people, tested on very many others; without a bound or without people they fail."""
    many, right, _ = strangers(3000, 250, np.random.default_rng(0))
    broken = dict.fromkeys(("bounded", "digits alone", "not bounded"), 0)
    for seed in range(1, 201):
        confidence, correct, who = strangers(30, 250, np.random.default_rng(seed))
        rows = {"bounded": risks(confidence, correct, who), "digits alone": risks(confidence, correct)}
        rows["not bounded"] = [row._replace(bound=row.wrong / row.answered) for row in rows["bounded"]]
        for name, table in rows.items():
            row = threshold_for(table, 0.03)
            if row is not None:
                sure = many >= row.threshold
                broken[name] += (sure & ~right).sum() / sure.sum() > 0.03
    assert broken["bounded"] <= 20 < broken["digits alone"] < broken["not bounded"], broken  # 10 are expected at most


def test_no_row_is_chosen_beyond_the_first_that_fails():
    rows = [Risk(0.9, 1000, 600, 0, 0.005), Risk(0.8, 1000, 800, 30, 0.05), Risk(0.5, 100_000, 90_000, 0, 0.001)]
    assert threshold_for(rows, 0.01) == rows[0] and threshold_for(rows, 0.001) is None
