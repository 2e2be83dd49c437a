"""``numcnn inspect``: the table, one entry's sum, sheets, the page; and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_digits
from PIL import Image

import numcnn
from numcnn.cli import main
from numcnn.commands import inspect

PICTURES = Path(numcnn.__file__).parents[1] / ".github" / "pictures"


@pytest.fixture
def digit(tmp_path):
    """A picture file of a generated digit."""
    images, _ = draw_digits(12, 3)
    path = tmp_path / "digit.png"
    Image.fromarray(255 - images[5]).resize((112, 112)).save(path)
    return str(path)


@pytest.fixture
def weights(tmp_path):
    """A small network's weights file, quick to draw."""
    layers = [numcnn.Conv2D(3, 5), numcnn.ReLU(), numcnn.MaxPool2D(4), numcnn.Flatten(), numcnn.Dense(10)]
    path = tmp_path / "small.npz"
    numcnn.Network(layers, seed=1).save(path)
    return str(path)


def test_it_prints_the_table_of_a_trace(digit, weights, capsys):
    assert main(["inspect", digit, "--weights", weights, "--label", "3"]) == 0
    printed = capsys.readouterr()
    expected = numcnn.trace(numcnn.load(weights, backend="reference"), digit, 3)
    assert printed.out == f"{expected}\n" and printed.err == ""
    assert max(map(len, printed.out.splitlines())) <= 80


def test_it_prints_the_sum_that_an_entry_is(digit, weights, capsys):
    common = ["inspect", digit, "--weights", weights, "--label", "3"]
    expected = numcnn.trace(numcnn.load(weights, backend="reference"), digit, 3).explain("pool1", "dx", (4, 5, 1))
    assert main([*common, "--explain", "pool1.dx[4,5,1]"]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert main([*common, "--explain", "pool1.dx[4, 5, 1]", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["explained"] == json.loads(json.dumps(expected.to_json())) and document["label"] == 3
    assert document["explained"]["sum"] == document["explained"]["value"] == expected.value
    assert main([*common, "--explain", "loss.out"]) == 0
    assert capsys.readouterr().out.startswith("loss.out = ")


def test_it_draws_a_sheet_of_each_layer_and_a_page(digit, weights, tmp_path, capsys):
    out, page = tmp_path / "new" / "sheets", tmp_path / "lens.html"
    assert main(["inspect", digit, "--weights", weights, "--out", str(out), "--html", str(page), "--training"]) == 0
    names = ["conv1", "dense1", "flatten1", "loss", "overview", "picture", "pool1", "relu1"]
    assert sorted(path.name for path in out.iterdir()) == [f"{name}.png" for name in names]
    for path in out.iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 300 and np.asarray(picture.convert("L")).std() > 5, path
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    printed = capsys.readouterr().err
    assert f"wrote 8 sheets into {out}" in printed and f"wrote {page}" in printed


def test_nothing_is_overwritten(digit, weights, tmp_path, capsys):
    common = ["inspect", digit, "--weights", weights]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "lens.html").write_text("mine")
    for options, message in [
        (["--out", str(tmp_path / "full")], "exists and isn't empty; name another folder"),
        (["--html", str(tmp_path / "lens.html")], "exists; name another file"),
        (["--out", digit], "is a file; name a folder"),
        (["--html", str(tmp_path / "page.txt")], "wants a .html file"),
        (["--html", str(tmp_path / "no" / "lens.html")], "can't be written"),
    ]:
        assert main([*common, *options]) == 2
        printed = capsys.readouterr()
        assert message in printed.err and printed.out == "", options
    assert [path.read_text() for path in (tmp_path / "full" / "mine.txt", tmp_path / "lens.html")] == ["mine"] * 2


@pytest.mark.parametrize(
    "options, message",
    [
        (["--label", "10"], "--label is 10; wants a class of the network: a whole number from 0 to 9"),
        (["--explain", "pool1"], "'pool1' names no entry; wants layer.array[index]"),
        (["--explain", "pool7.dx[1,2,3]"], "no layer 'pool7'; it has picture, conv1, relu1, pool1"),
        (["--explain", "pool1.dw[1,2,3]"], "pool1 has no array 'dw'; it has x, out, dout, dx"),
        (["--explain", "pool1.dx[1,2]"], "index (1, 2) doesn't fit: wants 3 whole numbers"),
        (["--explain", "pool1.dx[1,2,99]"], "outside"),
    ],
)
def test_errors_say_what_to_do(options, message, digit, weights, capsys):
    assert main(["inspect", digit, "--weights", weights, *options]) == 2
    assert message in capsys.readouterr().err


def test_without_a_picture_or_with_none_in_the_file_it_says_so(weights, tmp_path, capsys):
    assert main(["inspect"]) == 2
    assert "name a picture of a digit" in capsys.readouterr().err
    Image.new("L", (60, 60), 255).save(tmp_path / "blank.png")
    for name in ("blank.png", "missing.png"):
        assert main(["inspect", str(tmp_path / name), "--weights", weights]) == 2
        assert name in capsys.readouterr().err


def test_of_a_sure_network_it_says_why_the_gradients_are_small(digit, weights, tmp_path, capsys):
    network = numcnn.load(weights)
    network.named_arrays(network.params)["dense1.b"][4] = 50
    network.save(tmp_path / "sure.npz")
    assert main(["inspect", digit, "--weights", str(tmp_path / "sure.npz")]) == 0
    assert "sure of its 4, so the gradients are small; see --label" in capsys.readouterr().err


def test_of_a_row_it_says_that_it_takes_it_for_one_digit(weights, tmp_path, capsys):
    images, _ = draw_digits(12, 3)
    Image.fromarray(255 - np.hstack([images[5], images[6], images[7]])).resize((336, 112)).save(tmp_path / "row.png")
    assert main(["inspect", str(tmp_path / "row.png"), "--weights", weights, "--json"]) == 0
    printed = capsys.readouterr()
    note = "note: the picture seems to hold several digits, taken for one here; numcnn predict reads each\n"
    assert printed.err == note
    assert json.loads(printed.out)["label"] in range(10)


@pytest.mark.skipif(not (PICTURES / "lens.png").exists(), reason="the pictures are not beside the installed package")
def test_the_readme_s_picture_is_the_one_that_docs_draws(tmp_path):
    inspect.draw_docs(tmp_path)
    drawn, kept = (np.asarray(Image.open(folder / "lens.png").convert("L"), float) for folder in (tmp_path, PICTURES))
    assert drawn.shape == kept.shape
    blurred = [np.asarray(Image.fromarray(one).resize((104, 116), Image.Resampling.BOX)) for one in (drawn, kept)]
    assert np.abs(blurred[0] - blurred[1]).mean() < 1  # fonts may differ by a version of matplotlib


def test_docs_wants_a_checkout(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(inspect, "PICTURES", tmp_path)
    assert main(["inspect", "--docs"]) == 2
    assert "this is no checkout" in capsys.readouterr().err
