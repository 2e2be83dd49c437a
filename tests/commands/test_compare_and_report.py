"""``numcnn evaluate --compare``, and the page that ``numcnn evaluate --out`` writes, as a user runs them."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKEND, draw_digits, write_digits
from PIL import Image

import numcnn
from numcnn import Conv2D, Dense, Flatten, MaxPool2D, Network, ReLU
from numcnn.cli import main

pytestmark = pytest.mark.once

KERNELS = ["--backend", BACKEND]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set, and two weights files: one of a network that learned it well, one that learned little."""
    folder = tmp_path_factory.mktemp("compare")
    write_digits(folder / "digits")
    images, labels = draw_digits(600, 11)
    for name, epochs in (("well", 6), ("little", 1)):
        layers = [Conv2D(8, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)]
        network = Network(layers, backend=BACKEND, seed=epochs, normalisation=(0.1, 0.3))
        network.fit(images, labels, epochs=epochs, batch_size=50, lr=0.01)
        network.save(folder / f"{name}.npz")
    return folder


def compared(folder, *options, a="well", b="little"):
    files = [str(folder / f"{name}.npz") for name in (a, b)]
    return main(["evaluate", "--compare", *files, "--dataset", str(folder / "digits"), *KERNELS, *options])


def right_of(folder, name):
    images, labels = draw_digits(200, 12)
    return numcnn.load(folder / f"{name}.npz", backend=BACKEND).predict(images) == labels


def test_two_networks_are_compared_picture_by_picture(trained, capsys):
    assert compared(trained, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    a, b = right_of(trained, "well"), right_of(trained, "little")
    assert (found["n"], found["a"]["accuracy"], found["b"]["accuracy"]) == (200, a.mean(), b.mean())
    counts = [int(kind.sum()) for kind in (a & b, a & ~b, ~a & b, ~a & ~b)]
    assert [found[key] for key in ("both", "only_a", "only_b", "neither")] == counts and sum(counts) == 200
    assert found["p"] < 0.05 and found["sentence"].startswith("A is better, and hardly by chance: ")
    assert compared(trained) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"A: {trained / 'well.npz'}\nB: {trained / 'little.npz'}\n")
    assert f"only A      {counts[1]:>9}\n" in text and "A is better, and hardly by chance" in text
    assert max(map(len, text.replace(str(trained), "").splitlines())) <= 80


def test_swapped_the_other_is_better_and_itself_is_not(trained, capsys):
    assert compared(trained, "--limit", "150", a="little", b="well") == 0
    text = capsys.readouterr().out
    assert "B is better, and hardly by chance" in text and "of 150 right" in text
    assert compared(trained, a="well", b="well") == 0
    assert "A and B are right about the same pictures, all 200: nothing tells them apart." in capsys.readouterr().out


def test_a_folder_of_pictures_is_compared_too(trained, tmp_path, capsys):
    images, labels = draw_digits(200, 12)
    for label in range(10):
        (tmp_path / "pictures" / str(label)).mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images[:20], labels[:20], strict=True)):
        picture = Image.fromarray(np.pad(255 - image, 6, constant_values=255)).resize((120, 120))
        picture.save(tmp_path / "pictures" / str(label) / f"{number}.png")
    files = [str(trained / f"{name}.npz") for name in ("well", "little")]
    assert main(["evaluate", str(tmp_path / "pictures"), "--compare", *files, "--json", *KERNELS]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 20


@pytest.mark.parametrize(
    "options",
    [["--weights", "canonical"], ["--pad"], ["--pages"], ["--corruptions"], ["--out", "plots"], ["--at-most", "1%"]],
)
def test_what_does_not_go_with_a_comparison_is_refused(trained, options, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert compared(trained, *options) == 2
    assert f"reads the same pictures with two networks; leave out {options[0]}\n" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # not even an empty folder


def test_networks_of_other_pictures_and_missing_files_are_refused(trained, capsys):
    Network([Flatten(), Dense(10)], (14, 14, 1)).save(trained / "small.npz")
    assert compared(trained, b="small") == 2
    assert "pictures are (200, 28, 28); wants (14, 14)" in capsys.readouterr().err
    assert compared(trained, b="missing") == 2
    assert "missing.npz" in capsys.readouterr().err


def test_the_page_holds_the_figures_of_the_evaluation(trained, tmp_path, capsys):
    command = ["evaluate", "--weights", str(trained / "well.npz"), "--dataset", str(trained / "digits"), *KERNELS]
    assert main([*command, "--json", "--out", str(tmp_path / "plots")]) == 0
    out, err = capsys.readouterr()
    found, text = json.loads(out), (tmp_path / "plots" / "report.html").read_text(encoding="utf-8")
    assert f"wrote {tmp_path / 'plots' / 'report.html'}\n" in err
    assert f'<p class="big">{found["accuracy"]:.2%}</p>' in text
    assert "8 filters of 3 x 3" in text and "The run" not in text and "Under corruptions" not in text
    assert text.count("<figure>") == 8 + min(60, round(200 * (1 - found["accuracy"])))


def test_the_page_shows_the_curves_of_a_run_and_the_corruptions_measured(trained, small_canonical, tmp_path, capsys):
    run = tmp_path / "run"
    train = ["train", "--dataset", str(trained / "digits"), "--limit", "200", "--epochs", "2", "--quiet", *KERNELS]
    assert main([*train, "--out", str(run)]) == 0
    command = ["evaluate", "--weights", str(run / "best.npz"), "--dataset", str(trained / "digits"), *KERNELS]
    assert main([*command, "--corruptions", "--limit", "30", "--out", str(tmp_path / "plots")]) == 0
    text = (tmp_path / "plots" / "report.html").read_text(encoding="utf-8")
    assert "The run: loss" in text and "The run: accuracy" in text and "validation" in text
    assert "Under corruptions" in text and "mean of 15" in text
    Path(run / "run.json").unlink()  # log.csv alone may be anybody's
    assert main([*command, "--limit", "30", "--out", str(tmp_path / "others")]) == 0
    assert "The run" not in (tmp_path / "others" / "report.html").read_text(encoding="utf-8")
