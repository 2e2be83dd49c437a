"""The measurement of pages: every kind is read, scored against its truth, and told in a table that fits a terminal."""

from typing import NamedTuple

import numpy as np
import pytest

from numcnn.data import hands, pages
from numcnn.errors import ConfigError, DataError
from numcnn.recognition import page_evaluation
from numcnn.recognition.page_evaluation import Misread, Row, choose, measure, read_all, summed, to_text

HAND = hands.Generated()


class Digit(NamedTuple):
    box: tuple[int, int, int, int]
    label: int
    line: int
    sure: bool = True


def knowing(sheets):
    """Return a reader that knows what stands on these pictures."""
    known = {sheet.picture.tobytes(): [Digit(*digit) for digit in sheet.digits] for sheet in sheets}
    return lambda picture: known[picture.tobytes()]


def reading_seven(picture):
    return [Digit((0, 0, 5, 5), 7, 0)]


def test_a_perfect_reader_is_perfect_and_a_blind_one_makes_up_what_it_reads():
    sheets = list(pages.sheets("row", "clean", HAND, 5))
    perfect = read_all("clean", sheets, knowing(sheets))
    digits = sum(len(sheet.digits) for sheet in sheets)
    score = perfect.score
    assert (score.pictures, score.written, score.right, score.found) == (5, digits, digits, digits)
    assert (score.strings, score.texts, score.made_up, score.sure_wrong) == (5, 5, 0, 0)
    assert perfect.misread == [] and perfect.milliseconds >= 0
    blind = read_all("clean", sheets, reading_seven)
    assert blind.score.strings == 0 and blind.score.right + blind.score.wrong == 5
    assert [(one.written, one.read) for one in blind.misread] == [(sheet.text, "7") for sheet in sheets]
    assert str(blind.misread[0]) == f"{sheets[0].text}\nread 7"
    np.testing.assert_array_equal(blind.misread[2].picture, sheets[2].picture)


@pytest.fixture
def few(monkeypatch):
    """Measure few conditions and subjects."""
    monkeypatch.setattr(pages, "conditions_for", lambda kind: ["clean", "jpeg"])
    for name in ("ON_PAGES", "ON_SHORT_PAGES"):
        monkeypatch.setattr(page_evaluation, name, ("clean",))
    monkeypatch.setattr(page_evaluation, "SUBJECTS", {"letters": None, "blank paper": None})
    monkeypatch.setattr(page_evaluation, "FEWEST_PAGES", 1)


def test_what_is_measured_can_be_chosen():
    assert list(choose()) == ["digit", "known digit", "row", "short page", "page", "no digits"]
    assert choose(["page"]) == {"page": list(page_evaluation.ON_PAGES)}
    # A condition that is not among the usual ones; and one that says nothing about a single digit.
    assert choose(["page"], ["felt pen"]) == {"page": ["felt pen"]}
    assert list(choose([], ["touching digits"])) == ["row", "short page", "page"]
    with pytest.raises(ConfigError, match="no condition 'touching digits'; choose some of clean, "):
        choose(["digit"], ["clean", "touching digits"])
    known = dict(measure(None, reading_seven, HAND, 3, chosen=choose(["known digit"], ["jpeg"]), seed=1))
    ((title, (row,)),) = known.items()
    assert title == "single digits, known to be one" and row.name == "jpeg" and row.score.right + row.score.wrong == 3
    page = dict(measure(reading_seven, reading_seven, HAND, 2, chosen=choose(["page"], ["clean"])))
    assert page["pages of 5 to 10 lines"][0].score.pictures == 2  # not a quarter as many


def test_every_kind_is_measured_and_known_single_digits_by_their_own_reader(few):
    def reading_two(picture):
        return [Digit((0, 0, 5, 5), 1, 0), Digit((6, 0, 5, 5), 2, 0)]

    tables = dict(measure(reading_two, reading_seven, HAND, 2))
    assert [(title, [row.name for row in rows]) for title, rows in tables.items()] == [
        ("single digits", ["clean", "jpeg"]),
        ("single digits, known to be one", ["clean", "jpeg"]),
        ("rows of 2 to 6", ["clean", "jpeg"]),
        ("pages of 2 to 4 lines", ["clean"]),
        ("pages of 5 to 10 lines", ["clean"]),
        ("no digits", ["letters", "blank paper"]),
    ]
    assert all(row.score.made_up == 2 for row in tables["single digits"])
    assert all(row.score.made_up == 0 for row in tables["single digits, known to be one"])
    assert all((row.score.pictures, row.score.made_up, row.score.written) == (2, 4, 0) for row in tables["no digits"])
    assert tables["pages of 5 to 10 lines"][0].score.pictures == 1
    again = dict(measure(reading_two, reading_seven, HAND, 2))
    assert [row.score for rows in again.values() for row in rows] == [
        row.score for rows in tables.values() for row in rows
    ]


def test_the_table_fits_a_terminal_and_tells_the_counts():
    sheets = list(pages.sheets("row", "clean", HAND, 4))
    rows = [read_all("clean", sheets, knowing(sheets)), read_all("equal luminance", sheets, reading_seven)]
    text = to_text("rows of 2 to 6", rows)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80 and len(lines) == 5
    assert lines[0] == "rows of 2 to 6" and "100.0 (" in lines[2] and lines[4].startswith("all")
    everything = summed(rows, "all")
    assert everything.score.pictures == 8 and everything.score.strings == 4
    assert lines[4].split()[1] == "8"
    empty = read_all("face", pages.sheets("face", "clean", HAND, 3), reading_seven)
    (row,) = to_text("no digits", [empty]).splitlines()[2:]
    assert row.split() == ["face", "3", "0.0", "0.0", "3", "1.00", row.split()[-1]]
    assert isinstance(empty, Row) and empty.to_json()["digits_right"] is None
    assert empty.to_json()["made_up_per_picture"] == 1


def test_a_misread_page_is_told_in_two_short_lines():
    page = Misread(np.zeros((2, 2), np.uint8), "123\n45", "")
    assert str(page) == "123/45\nread nothing"
    assert max(map(len, str(Misread(page.picture, "9" * 80, "8" * 80)).splitlines())) <= 35


def test_a_picture_in_which_nothing_is_found_counts_as_misread():
    def blind(picture):
        raise DataError("no ink found")

    images, labels = np.full((2, 28, 28), 9, np.uint8), np.array([1, 2])
    found = page_evaluation.measure_handed_in(blind, blind, labels, images, labels)
    assert set(found.points_lost.values()) == {(100.0, 100.0)}
    assert [str(one) for one in found.misread["dark on light"]] == ["1\nread nothing", "2\nread nothing"]


def test_two_digits_where_one_is_handed_in_are_wrong_unless_it_is_known_to_be_one():
    def two(picture):
        return [Digit((0, 0, 5, 5), 7, 0), Digit((9, 0, 5, 5), 7, 0)]

    images, labels = np.full((4, 28, 28), 9, np.uint8), np.array([7, 7, 7, 1])
    found = page_evaluation.measure_handed_in(two, reading_seven, np.array([7, 7, 7, 7]), images, labels)
    assert found.accuracy == 0.75
    assert set(found.points_lost.values()) == {(0.0, 75.0)}
    assert all(len(some) == 3 for some in found.misread.values())  # not the one that the network misreads anyway
    assert found.to_text().splitlines()[-1].split() == ["mean", "0.00", "75.00"]
