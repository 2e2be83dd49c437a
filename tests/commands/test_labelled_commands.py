"""``evaluate FOLDER`` and ``learn --pictures FOLDER``: a source of odd digits is measured, and learned from a few."""

import json

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits
from PIL import Image, ImageDraw, ImageFilter

import numcnn
from numcnn.cli import main
from numcnn.pad import store

KERNELS = ["--backend", BACKEND]

# Seven segments, as of a meter: a at the top, clockwise to f, g in the middle.
ENDS = {
    "a": (0, 0, 1, 0), "b": (1, 0, 1, 1), "c": (1, 1, 1, 2), "d": (0, 2, 1, 2), "e": (0, 1, 0, 2), "f": (0, 0, 0, 1),
    "g": (0, 1, 1, 1),
}  # fmt: skip
LIT = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")


def seven_segments(label, rng):
    """Draw a digit of a meter, light on dark: no two alike.  -> PIL image."""
    image = Image.new("L", (96, 128), 0)
    pen = ImageDraw.Draw(image)
    width, height, left, top = rng.uniform((34, 38, 20, 14), (44, 46, 30, 24))
    thick, gap, slant = rng.uniform((5, 4, 0), (9, 8, 0.2))
    for segment in LIT[label]:
        x1, y1, x2, y2 = ENDS[segment]
        ends = np.array([(left + x1 * width, top + y1 * height), (left + x2 * width, top + y2 * height)])
        along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
        ends += np.array([along, -along]) * gap
        across = along[::-1] * (-thick / 2, thick / 2)
        corners = ends[0] + across, ends[1] + across, ends[1] - across, ends[0] - across
        pen.polygon([(x + slant * (top + 2 * height - y), y) for x, y in corners], fill=255)
    light = np.asarray(image.filter(ImageFilter.GaussianBlur(1))) / 255
    return Image.fromarray((rng.uniform(20, 60) + rng.uniform(120, 180) * light).astype(np.uint8))


def save_meter(folder, count, seed):
    """Save so many pictures of each digit, with the label at the beginning of their names."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for label in range(10):
        for i in range(count):
            seven_segments(label, rng).save(folder / f"{label}_{i:04}.png")
    return folder


def errors_on(folder, weights, capsys):
    assert main(["evaluate", str(folder), "--weights", str(weights), "--json", *KERNELS]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == len(list(folder.iterdir()))
    return round((1 - found["accuracy"]) * found["n"])


@pytest.mark.skipif(not COMPILED, reason="learning takes minutes without compiled kernels")
def test_ten_of_each_digit_at_least_halve_a_meters_errors(tmp_path, home, capsys):
    learned, test = save_meter(tmp_path / "learn", 10, 0), save_meter(tmp_path / "test", 12, 1)
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
