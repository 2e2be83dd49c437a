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


@pytest.fixture
def folds(tmp_path, monkeypatch):
    """Five networks of five folds, thirty people with twenty digits each, and scans."""
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(10), 60).astype(np.uint8)
    people = PenDigits([generated.digit_strokes(label, rng) for label in labels], labels, np.repeat(range(1, 31), 20))
    monkeypatch.setattr(pendigits, "load", lambda **_: people)
    images, classes = draw_digits(600, 11)
    monkeypatch.setattr(data, "load", lambda *_, **__: Dataset("mnist", images, classes, images, classes, "drawn"))
    monkeypatch.setattr(mixture, "SHIPPED", mixture.Recipe(validation=100))
    network = Network([Flatten(), Dense(10)], backend=BACKEND)
    network.fit(images[:400], classes[:400], epochs=3)
    for name in mixture.MIXTURES:
        network.info["dataset"] = name
        network.save(tmp_path / f"{name}.npz")
    return tmp_path


def test_the_threshold_comes_from_strangers_and_is_kept_in_the_file(folds, capsys):
    paths = [str(folds / f"everyone-{fold}.npz") for fold in range(5)]
    command = ["calibrate", "--weights", str(folds / "everyone.npz"), "--out", str(folds / "out.npz"), "--folds"]
    assert main([*command, *paths]) == 0
    text = capsys.readouterr().out
    assert text.startswith("600 digits of 30 strangers: ") and max(map(len, text.splitlines()[:-1])) <= 80
    assert main([*command, *paths, "--json", "--gallery", str(folds / "misread.png")]) == 0
    assert (folds / "misread.png").stat().st_size > 1000
    report = json.loads(capsys.readouterr().out)
    network, before = (numcnn.load(folds / f"{name}.npz", backend="reference") for name in ("out", "everyone"))
    np.testing.assert_array_equal(network.params, before.params)
    assert network.info["refuse_below"] == report["refuse_below"] and report["refused"]["strangers"] <= 0.008
    rows = network.info["reliability"]["strangers"]
    assert rows[-1][1:3] == [600, 600] and rows[-1][3] == round(600 * (1 - report["accuracy"]))
    assert len(report["at_most"]) == 4 and report["at_most"][0]["threshold"] is None  # 600 digits show no 0.1%


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["everyone"], "everyone.npz was trained on everyone; wants a fold: everyone-0, "),
        (
            ["everyone-1", "everyone-1"],
            "is of the fold everyone-1, which an earlier file is of too; name each fold once",
        ),
    ],
)
def test_networks_that_are_no_folds_are_refused(folds, names, text, capsys):
    paths = [str(folds / f"{name}.npz") for name in names]
    command = [
        "calibrate",
        "--weights",
        str(folds / "everyone.npz"),
        "--out",
        str(folds / "out.npz"),
        "--folds",
        *paths,
    ]
    assert main(command) == 2
    assert text in capsys.readouterr().err and not (folds / "out.npz").exists()
