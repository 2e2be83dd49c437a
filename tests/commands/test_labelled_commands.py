"""``evaluate FOLDER`` and ``learn --pictures FOLDER``: a source of odd digits is measured, and learned from a few."""

import json

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits
from meter import save_source, seven_segments
from PIL import Image

import numcnn
from numcnn.cli import main
from numcnn.pad import store

KERNELS = ["--backend", BACKEND]


def errors_on(folder, weights, capsys):
    assert main(["evaluate", str(folder), "--weights", str(weights), "--json", *KERNELS]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == len(list(folder.iterdir()))
    return round((1 - found["accuracy"]) * found["n"])


@pytest.mark.skipif(not COMPILED, reason="learning takes minutes without compiled kernels")
def test_ten_of_each_digit_at_least_halve_a_meters_errors(tmp_path, home, capsys):
    learned = save_source(tmp_path / "learn", seven_segments, 10, 0)
    test = save_source(tmp_path / "test", seven_segments, 12, 1)
    before = errors_on(test, "everyone", capsys)
    assert before >= 4
    out, replaced = store.personal_weights(), home / "personal-before.npz"
    store.make_home()
    out.write_bytes(b"earlier weights")
    assert main(["learn", "--pictures", str(learned), "--json"]) == 0
    captured = capsys.readouterr()
    assert f"replace your earlier ones in {out}, which are kept as {replaced}" in captured.err
    assert replaced.read_bytes() == b"earlier weights"
    report = json.loads(captured.out)
    assert report["digits"] == 100 and report["labels"] == [10] * 10 and report["weights"] == str(out)
    assert report["held_out"]["n"] == 25 and report["held_out"]["after"] > report["held_out"]["before"]
    assert report["known"]["after"] > report["known"]["before"] - 0.02
    assert errors_on(test, out, capsys) <= before / 2
    assert numcnn.load(out).info["personal"] == {"digits": 100, "labels": [10] * 10}


def test_evaluate_reports_what_cannot_be_read_and_scores_the_rest(tmp_path, capsys):
    images, labels = draw_digits(200, 12)
    for i in range(40):
        path = tmp_path / "scans" / str(labels[i]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - images[i]).resize((56, 56)).save(path)
    torn = tmp_path / "scans" / "3" / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert main(["evaluate", str(tmp_path / "scans"), "--json", *KERNELS]) == 2
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["n"] == 40 and found["accuracy"] > 0.8 and found["dataset"] == "scans"
    first, second = captured.err.splitlines()
    assert first.startswith(f"numcnn evaluate: {torn}: damaged")
    assert second == "numcnn evaluate: 1 of 41 can't be read; they are left out below"
    assert sum(map(sum, found["confusion"])) == 40
    assert [sum(row) for row in found["confusion"]] == np.bincount(labels[:40], minlength=10).tolist()


def test_options_that_contradict_each_other_are_refused(tmp_path, capsys):
    for command, text in (
        (["evaluate", str(tmp_path), "--own"], "a folder of pictures is a test set by itself"),
        (["evaluate", str(tmp_path), "--dataset", "mnist"], "a folder of pictures is a test set by itself"),
        (["evaluate", str(tmp_path / "none")], "there is no such folder"),
        (["learn", "--pictures", str(tmp_path), "--own", "a.jsonl"], "--own and --pictures are learned one at a time"),
        (["learn", "--pictures", str(tmp_path), "--simulate"], "leave out --pictures"),
    ):
        assert main(command) == 2
        assert text in capsys.readouterr().err
