"""What `numcnn evaluate --pad` measures: people's strokes alone and in rows, what is refused, and the report."""

import functools
import json

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits

import numcnn
from numcnn.cli import main
from numcnn.data import generated, pendigits
from numcnn.data.pendigits import PenDigits
from numcnn.evaluation.calibration import Threshold
from numcnn.pad import evaluation, store

pytestmark = pytest.mark.once


@pytest.fixture
def people():
    rng = np.random.default_rng(2)
    labels = np.tile(np.arange(10), 6 if COMPILED else 1)
    return PenDigits([generated.digit_strokes(label, rng) for label in labels], labels, 1 + np.arange(len(labels)) % 2)


@pytest.fixture
def network():
    return numcnn.load("canonical", backend="reference")


def test_strokes_go_through_the_canvas_one_by_one(people):
    canvas = evaluation.drawn(people.strokes[4])
    assert len(canvas.strokes) == len(people.strokes[4])
    pictures = evaluation.prepared(people)
    assert pictures.shape == (len(people), 28, 28) and (pictures.max(axis=(1, 2)) == 255).all()
    np.testing.assert_array_equal(pictures[4], canvas.prepared())


def test_digits_in_rows_count_when_they_are_separated_and_read(people, network):
    score = evaluation.rows(network, people, count=12)
    assert 24 <= score.digits <= 72 and score.right >= 0.8 * score.digits and score.drawings == 12
    assert score == evaluation.rows(network, people, count=12)
    three = evaluation.rows(network, people, count=6, lines=3)
    assert 36 <= three.digits <= 108 and three.right >= 0.8 * three.digits and 0 <= three.whole <= 6
    network.params[...] = 0  # everything is read as a 0
    of_zeros = evaluation.rows(network, people, count=12)
    assert of_zeros.digits == score.digits and of_zeros.right < 0.3 * score.digits and of_zeros.whole <= 1


def test_what_is_refused_hangs_on_the_threshold(people, network):
    pictures = evaluation.prepared(people)
    assert set(evaluation.refusals(network, pictures, 20, Threshold(0.0)).values()) == {0.0}
    assert set(evaluation.refusals(network, pictures, 20, Threshold(1.0 + 1e-9)).values()) == {1.0}
    middle = float(np.median(network.predict_proba(pictures).max(axis=1)))
    assert evaluation.refusals(network, pictures, 20, Threshold(middle, 1.0))["digits"] == pytest.approx(0.5, abs=0.1)


def test_the_report_fits_80_columns(people, network):
    images, labels = (some[:10] for some in draw_digits(600, 11))
    network.backend = BACKEND
    found = evaluation.measure(
        network, people, (images, labels), who="generated hands", threshold=Threshold(0.6), row_count=5, no_digits=20
    )
    assert json.loads(json.dumps(found["not_sure"])) == {"certainty": 0.6, "temperature": 3.0, "probability": 0.0}
    assert found["people"] == 2 and found["alone"]["n"] == len(people) and found["alone"]["accuracy"] > 0.8
    text = evaluation.to_text(found)
    assert max(map(len, text.splitlines())) <= 80
    for words in (
        "drawn with a pen by 2 generated hands",
        "in rows",
        "in three lines",
        "other kinds",
        "dark on light",
        "60.0%",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("dataset", "first", "count"),
    [("mnist", 1, 30), ("everyone-1", 2, 6), ("everyone", 26, 5), ("pad-1", 2, 6), ("pad", 26, 5)],
)
def test_no_writer_is_measured_that_the_network_learned_from(network, dataset, first, count):
    network.info["dataset"] = dataset
    writers, who = evaluation.people_for(network)
    assert writers[0] == first and len(writers) == count
    assert who == (
        "people who only set its threshold" if dataset in ("everyone", "pad") else "people it did not learn from"
    )


@pytest.mark.parametrize("options", [[], ["--pad"], ["--corruptions"]])
def test_own_digits_of_few_classes_are_measured_all_the_same(options, people, tmp_path, monkeypatch, capsys):
    own = store.OwnSet(tmp_path / "own.jsonl")
    for label in (3, 1, 3):
        own.add(label, [100 * stroke for stroke in people.strokes[label]])
    monkeypatch.setattr(pendigits, "load", lambda: people)
    monkeypatch.setattr(evaluation, "measure", functools.partial(evaluation.measure, row_count=3, no_digits=10))
    command = ["evaluate", "--weights", "canonical", "--backend", BACKEND, "--own", str(own.path), *options]
    assert main(command) == 0
    reported = capsys.readouterr().out
    assert "of 3 right" in reported and "\n    0          -        -        -         0\n" in reported
    assert (
        "3 pictures used correctly" in reported if "--pad" in options else "(3 images each)" in reported or not options
    )
    assert main([*command, "--json", "--out", str(tmp_path / "plots")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [scores["support"] for scores in found["per_class"]] == [0, 1, 0, 2, 0, 0, 0, 0, 0, 0]
    assert ("pad" in found, "corruptions" in found) == ("--pad" in options, "--corruptions" in options)
    assert (tmp_path / "plots" / "per_class.png").stat().st_size > 1000
