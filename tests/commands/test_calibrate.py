"""`numcnn calibrate`: thresholds measured on the writers that each fold's network has not seen."""

import json

import numpy as np
import pytest
from conftest import BACKEND, draw_digits

import numcnn
from numcnn import Dense, Flatten, Network, data
from numcnn.cli import main
from numcnn.data import generated, mixture, pendigits
from numcnn.data.dataset import Dataset
from numcnn.data.pendigits import PenDigits
from numcnn.evaluation.calibration import CERTAINTY

pytestmark = pytest.mark.once


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """Five networks of five folds, thirty people with twenty digits each, and scans."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(10), 60).astype(np.uint8)
    people = PenDigits([generated.digit_strokes(label, rng) for label in labels], labels, np.repeat(range(1, 31), 20))
    monkeypatch.setattr(pendigits, "load", lambda *_, **__: people)
    images, classes = draw_digits(600, 11)
    monkeypatch.setattr(data, "load", lambda *_, **__: Dataset("mnist", images, classes, images, classes, "drawn"))
    monkeypatch.setattr(mixture, "SHIPPED", mixture.Recipe(validation=100))
    network = Network([Flatten(), Dense(10)], backend=BACKEND)
    network.fit(images[:400], classes[:400], epochs=3)
    for seed, name in enumerate(mixture.MIXTURES):
        network.info |= {"dataset": name, "config": {"epochs": 3, "seed": seed}}
        network.save(tmp_path / f"{name}.npz")
    return tmp_path


def command(folds, *names, weights="everyone"):
    paths = [str(folds / f"{name}.npz") for name in names]
    return ["calibrate", "--weights", str(folds / f"{weights}.npz"), "--out", str(folds / "out.npz"),
            "--backend", BACKEND, "--folds", *paths]  # fmt: skip


def test_the_threshold_comes_from_strangers_and_is_kept_in_the_file(folds, capsys):
    whole = command(folds, *mixture.MIXTURES[1:])
    assert main(whole) == 0
    text = capsys.readouterr().out
    assert text.startswith("600 digits of 30 strangers: ") and max(map(len, text.splitlines()[:-1])) <= 80
    assert main([*whole, "--json", "--gallery", str(folds / "misread.png")]) == 0
    assert (folds / "misread.png").stat().st_size > 1000
    report = json.loads(capsys.readouterr().out)
    network, before = (numcnn.load(folds / f"{name}.npz", backend="reference") for name in ("out", "everyone"))
    np.testing.assert_array_equal(network.params, before.params)
    assert network.info["refuse_below"] == report["refuse_below"] and report["refused"]["strangers"] <= 0.008
    assert network.info["certainty_temperature"] == CERTAINTY
    rows = network.info["risks"]
    assert 0.8 * 600 <= rows[0][2] < rows[-1][2] < 600
    assert rows[-1][2] == round(600 * (1 - report["refused"]["strangers"]))  # of the sure ones, all
    assert rows[-1][3] <= round(600 * (1 - report["accuracy"]))
    assert rows[-1][4] > rows[-1][3] / 600
    assert len(report["at_most"]) == 4 and report["at_most"][0]["probability"] is None  # 600 digits show no 0.1%


@pytest.mark.parametrize(
    ("names", "weights", "text"),
    [
        (["everyone"], "everyone", "everyone.npz was trained on everyone; wants a fold: everyone-0, "),
        (["everyone-1", "everyone-1"], "everyone", "everyone-1.npz: the fold everyone-1 was already given by "),
        (["everyone-1", "everyone-3"], "everyone", "--folds lacks everyone-0, everyone-2, everyone-4; wants all 5"),
        (["everyone-1"], "everyone-2", "was not trained by numcnn train --preset everyone"),
        (["other"], "everyone", "other.npz was trained with another epochs than the network it is to stand in for"),
    ],
)
def test_networks_that_can_not_stand_in_are_refused(folds, names, weights, text, capsys):
    other = numcnn.load(folds / "everyone-1.npz", backend="reference")
    other.info["config"]["epochs"] = 4
    other.save(folds / "other.npz")
    assert main(command(folds, *names, weights=weights)) == 2
    assert text in capsys.readouterr().err and not (folds / "out.npz").exists()
