"""`numcnn evaluate --pages` reads people's pages and prints what was right; as JSON too; misread pictures as files."""

import json

import pytest
from conftest import BACKEND

from numcnn.cli import main
from numcnn.data import pages
from numcnn.recognition import page_evaluation


@pytest.fixture
def few(monkeypatch):
    """Measure few conditions and subjects, and hand in few images."""
    monkeypatch.setattr(pages, "conditions_for", lambda kind: ["clean"])
    for name in ("ON_PAGES", "ON_SHORT_PAGES"):
        monkeypatch.setattr(page_evaluation, name, ("ruled",))
    monkeypatch.setattr(page_evaluation, "SUBJECTS", {"letters": None})
    monkeypatch.setattr(page_evaluation, "FEWEST_PAGES", 1)


def evaluate(*options):
    return main(["evaluate", "--pages", *options, "--limit", "3", "--backend", BACKEND])


def test_tables_and_files(few, real_pens, write_few, tmp_path, capsys):
    assert evaluate("3", "--dataset", str(write_few), "--out", str(tmp_path / "plots")) == 0
    printed = capsys.readouterr().out
    titles = ["single digits", "single digits, known to be one", "rows of 2 to 6", "pages of 2 to 4 lines"]
    assert [line for line in printed.splitlines() if line in titles] == titles
    assert printed.startswith("everyone.npz on synthetic pictures, pen strokes of ")
    assert max(map(len, printed.splitlines())) <= 120 and "points lost" in printed
    assert (tmp_path / "plots" / "pages_examples.png").stat().st_size > 10_000


def test_json(few, real_pens, write_few, capsys):
    assert evaluate("2", "--dataset", str(write_few), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hands"].startswith("pen strokes of ")
    assert list(found["tables"])[-1] == "no digits" and len(found["tables"]) == 6
    (row,) = found["tables"]["rows of 2 to 6"]
    assert (
        row["name"] == "clean"
        and row["pictures"] == 2
        and row["right"] + row["wrong"] + row["missed"] == row["written"]
    )
    assert found["handed_in"]["n"] == 3 and len(found["handed_in"]["points_lost"]) == 9


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["0"], "--pages is 0; wants 1 or more"),
        (["5", "--seed", "-1"], "--seed is -1; wants 0 or more"),
        (["5", "--pad"], "--pages is a measurement by itself; leave out --own, --pad and --corruptions"),
    ],
)
def test_what_makes_no_sense_is_refused(options, text, capsys):
    assert evaluate(*options) == 2
    assert text in capsys.readouterr().err


@pytest.fixture
def write_few(tmp_path):
    from conftest import write_digits

    return write_digits(tmp_path / "digits")
