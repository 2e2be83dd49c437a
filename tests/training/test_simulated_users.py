"""Simulated users: who they are, what they label, and which digits the test uses."""

import numpy as np
import pytest

import numcnn
from numcnn.cli import main
from numcnn.data import generated, pendigits
from numcnn.data.pendigits import PenDigits
from numcnn.errors import ConfigError
from numcnn.training import personal, simulated_users


@pytest.fixture
def people():
    """Two writers of 30 digits each."""
    rng = np.random.default_rng(3)
    labels = np.tile(np.arange(10), 6)
    return PenDigits([generated.digit_strokes(label, rng) for label in labels], labels, np.repeat([1, 2], 30))


def test_balanced_labels_are_equally_many_of_each_class_and_all_others_tell():
    labels = np.repeat(np.arange(10), 8)
    some, rest = simulated_users.label_some(np.zeros(80, bool), labels, 20, "balanced", np.random.default_rng(0))
    assert (np.bincount(labels[some]) == 2).all() and sorted([*some, *rest]) == list(range(80))


@pytest.mark.parametrize("errors", [6, 70])
def test_corrections_are_labelled_in_one_half_and_judged_by_the_other_errors_and_all(errors):
    labels = np.repeat(np.arange(10), 8)
    of_all = of_rest = 0
    for seed in range(200):
        rng = np.random.default_rng([seed, 1])
        wrong = np.zeros(80, bool)
        wrong[rng.choice(80, errors, replace=False)] = True
        some, rest = simulated_users.label_some(wrong, labels, 20, "corrections", rng)
        assert len(set(some)) == 20 and len(set(rest)) == 40 and not set(some) & set(rest)
        half = np.setdiff1d(np.arange(80), rest)
        assert wrong[some[:10]].sum() == min(10, wrong[half].sum())
        of_all, of_rest = of_all + wrong.mean(), of_rest + wrong[rest].mean()
    assert of_rest == pytest.approx(of_all, rel=0.1)  # labelling takes no errors out of what judges


@pytest.mark.parametrize(("way", "most"), [("balanced", 79), ("corrections", 40)])
def test_too_many_to_label_are_refused(way, most):
    rng = np.random.default_rng(0)
    labels, wrong = np.repeat(np.arange(10), 8), np.zeros(80, bool)
    some, rest = simulated_users.label_some(wrong, labels, most, way, rng)
    assert len(some) == most and len(rest) == 80 - most
    for count in (0, most + 1):
        with pytest.raises(ConfigError, match=f"of 80 digits {count} are to be labelled; wants 1 to {most},"):
            simulated_users.label_some(wrong, labels, count, way, rng)
    with pytest.raises(ConfigError, match="no way 'lazily' to label digits; choose balanced or corrections"):
        simulated_users.label_some(wrong, labels, 5, "lazily", rng)


def test_the_seed_and_the_backend_reach_all_that_is_left_to_chance(people, monkeypatch):
    network = numcnn.load("canonical", backend="reference")
    lessons = []

    def fine_tune(network, own, replay, *, seed, recipe, backend):
        assert backend == "reference" and recipe.replay == 30
        lessons.append((np.concatenate([s for strokes in own.strokes for s in strokes]), replay[0], seed))
        return network

    monkeypatch.setattr(personal, "fine_tune", fine_tune)
    settings = {"count": 10, "draws": 2, "recipe": personal.Recipe(replay=30), "backend": "reference"}
    for seed in (0, 0, 1):
        users = list(simulated_users.simulate(network, people, [2], simulated_users.Study(seed=seed, **settings)))
        assert [(user.writer, user.n) for user in users] == [(2, 20)] * 2
    first, again, other = lessons[:2], lessons[2:4], lessons[4:]
    assert [seed for *_, seed in lessons] == [0, 1, 0, 1, 2, 3]
    for same, a, b in ((True, first, again), (False, first, other)):
        for i in range(2):
            for draw in range(2):
                assert np.array_equal(a[draw][i], b[draw][i]) == same
    with pytest.raises(ConfigError, match="there is no writer 7; choose among 1, 2"):
        list(simulated_users.simulate(network, people, [7], simulated_users.Study(**settings)))


def test_the_command_hands_over_seed_and_backend(people, monkeypatch, capsys):
    handed = []

    def users_of(network, some, writers, study):
        handed.append((network.backend, writers, study))
        yield simulated_users.User(2, 20, 4, 2, 0.01)

    monkeypatch.setattr(simulated_users, "simulate", users_of)
    monkeypatch.setattr(pendigits, "load", lambda path, report: people)
    options = ["--weights", "canonical", "--seed", "5", "--backend", "reference", "--writers", "2", "--draws", "1"]
    assert main(["learn", "--simulate", *options]) == 0
    ((backend, writers, study),) = handed
    assert backend == "reference" and writers == [2]
    assert study == simulated_users.Study(count=20, draws=1, way="balanced", seed=5, backend="reference")
    assert "50%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reported"),
    [
        (["--simulate", "--own", "a.jsonl", "--out", "b.npz"], "writes no weights; leave out --own, --out"),
        (["--simulate", "--progress"], "writes no weights; leave out --progress"),
        (["--draws", "2"], "only simulated users take --draws; add --simulate, or leave out --draws"),
        (["--way", "balanced", "--pens", "x"], "only simulated users take --pens, --way;"),
        (["--simulate", "--worst", "3", "--writers", "4"], "leave out one of them"),
        (["--simulate", "--digits", "0"], "--digits is 0; wants 1 or more"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options, reported, capsys):
    assert main(["learn", "--weights", "canonical", *options]) == 2
    assert reported in capsys.readouterr().err


def test_another_way_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["learn", "--simulate", "--way", "lazily"])
    reported = capsys.readouterr().err
    assert all(way in reported for way in simulated_users.WAYS)


def test_what_users_come_to():
    users = [
        simulated_users.User(3, 100, 10, 4, 0.01),
        simulated_users.User(3, 100, 20, 8, 0.03),
        simulated_users.User(5, 50, 0, 0, 0.02),
    ]
    found = simulated_users.summary(users, 0.01)
    assert found["writers"][0] == {"draws": 2, "n": 200, "before": 0.15, "after": 0.06, "writer": 3}
    assert found["before"] == pytest.approx(30 / 250) and found["mnist"] == {
        "before": 0.01,
        "after": pytest.approx(0.02),
        "worst": 0.03,
    }
    text = simulated_users.to_text(found)
    assert "40%" in text and max(map(len, text.splitlines())) <= 80
