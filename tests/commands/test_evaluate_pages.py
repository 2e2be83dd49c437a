"""`numcnn evaluate --pages` and `--rescaled` read pictures and print what was right; misread ones as files."""

import json

import pytest
from conftest import BACKEND

from numcnn.cli import main
from numcnn.data import pages
from numcnn.recognition import page_evaluation

pytestmark = pytest.mark.once


@pytest.fixture
def few(monkeypatch):
    """Measure few conditions and subjects."""
    monkeypatch.setattr(pages, "conditions_for", lambda kind: ["clean"])
    for name in ("ON_PAGES", "ON_SHORT_PAGES"):
        monkeypatch.setattr(page_evaluation, name, ("ruled",))
    monkeypatch.setattr(page_evaluation, "SUBJECTS", {"letters": None})
    monkeypatch.setattr(page_evaluation, "FEWEST_PAGES", 1)


def evaluate(*options):
    return main(["evaluate", "--pages", *options, "--backend", BACKEND])


def rescaled(*options):
    return main(["evaluate", "--rescaled", *options, "--backend", BACKEND])


def test_tables_and_files(few, real_pens, tmp_path, capsys):
    assert evaluate("3", "--out", str(tmp_path / "plots")) == 0
    printed = capsys.readouterr().out
    titles = ["single digits", "single digits, known to be one", "rows of 2 to 6", "pages of 2 to 4 lines"]
    assert [line for line in printed.splitlines() if line in titles] == titles
    assert printed.startswith("everyone.npz on synthetic pictures, pen strokes of ")
    assert max(map(len, printed.splitlines())) <= 120
    assert (tmp_path / "plots" / "pages_examples.png").stat().st_size > 10_000


def test_json(few, real_pens, capsys):
    assert evaluate("2", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["hands"].startswith("pen strokes of ")
    assert list(found["tables"])[-1] == "no digits" and len(found["tables"]) == 6
    (row,) = found["tables"]["rows of 2 to 6"]
    assert (
        row["name"] == "clean"
        and row["pictures"] == 2
        and row["right"] + row["wrong"] + row["missed"] == row["written"]
    )


def test_one_kind_and_some_conditions(real_pens, capsys):
    """Only these are read, exactly as many as asked for, in the order of all."""
    assert evaluate("2", "--kind", "digit, page", "--condition", "jpeg,clean", "--seed", "3", "--json") == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [(title, [(row["name"], row["pictures"]) for row in rows]) for title, rows in tables.items()] == [
        ("single digits", [("clean", 2), ("jpeg", 2)]),
        ("pages of 5 to 10 lines", [("clean", 2), ("jpeg", 2)]),
    ]
    assert evaluate("2", "--condition", "letters", "--json") == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [(title, [row["name"] for row in rows]) for title, rows in tables.items()] == [("no digits", ["letters"])]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["5", "--kind", "row,line"],
            "there is no kind 'line'; choose some of digit, known digit, row, short page, page, no digits",
        ),
        (
            ["5", "--kind", "page", "--condition", "wet"],
            "there is no condition 'wet'; choose some of clean, shadow edge,",
        ),
        (["5", "--condition", "clean,wet"], "there is no condition 'wet'; choose some of clean, shadow edge,"),
        (
            ["5", "--kind", "no digits", "--condition", "clean"],
            "no condition 'clean'; choose some of blank paper, ruled",
        ),
        (["0"], "--pages is 0; wants 1 or more"),
        (["5", "--seed", "-1"], "--seed is -1; wants 0 or more"),
        (["5", "--pad", "--own"], "--pages is a measurement by itself; leave out --own and --pad"),
        (["5", "--rescaled"], "--pages is a measurement by itself; leave out --rescaled"),
    ],
)
def test_what_makes_no_sense_is_refused(options, text, capsys):
    assert evaluate(*options) == 2
    told = capsys.readouterr()
    assert text in told.err and told.err.count("\n") == 1 and not told.out


def test_kinds_and_conditions_are_those_of_pages(capsys):
    for option in ("--kind", "--condition"):
        assert main(["evaluate", option, "digit"]) == 2
        assert "--kind and --condition choose among the pictures of --pages" in capsys.readouterr().err


def test_images_as_pictures_lose_as_much_as_is_misread(write_few, tmp_path, capsys):
    """The lines are those of JSON, and the pictures that are misread can be looked at."""
    options = ["4", "--dataset", str(write_few)]
    assert rescaled(*options, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 4 and len(found["points_lost"]) == 9 and found["dataset"] == "digits"
    assert rescaled(*options, "--out", str(tmp_path / "plots")) == 0
    printed = capsys.readouterr().out
    assert "points lost as pictures" in printed and max(map(len, printed.splitlines())) <= 80
    lost = []
    for name, points in found["points_lost"].items():
        one, looked_for = points["known to be one"], points["looked for"]
        assert f"{name:<27}{one:>16.2f}{looked_for:>12.2f}" in printed
        assert 25 * round(one / 25) == one and 25 * round(looked_for / 25) == looked_for  # of four pictures
        lost.append(looked_for)
    assert (tmp_path / "plots" / "pages_misread_rescaled.png").exists() == (max(lost) > 0)


def test_what_makes_no_sense_with_rescaled_is_refused(write_few, capsys):
    for options, text in (
        (["0"], "--rescaled is 0; wants 1 or more"),
        (["5", "--corruptions"], "--rescaled is a measurement by itself; leave out --corruptions"),
    ):
        assert rescaled(*options, "--dataset", str(write_few)) == 2
        assert text in capsys.readouterr().err


@pytest.fixture
def write_few(tmp_path):
    from conftest import write_digits

    return write_digits(tmp_path / "digits")
