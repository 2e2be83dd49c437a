"""Scoring: every written digit is right, wrong or missed, every read one right, wrong or made up, whatever the text."""

from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from numcnn.recognition.scoring import Score, aligned, overlap, same_boxes, score, score_text, share, text_of, total

TEXTS = st.text("01\n", max_size=5)


class Digit(NamedTuple):
    box: tuple[int, int, int, int]
    label: int
    line: int
    sure: bool = True


def digits(text, unsure=()):
    """Return the digits of a text, each in a box of 8 x 10 on a grid of 10 x 20; ``unsure``: their places."""
    found = []
    for line, signs in enumerate(text.split("\n")):
        for column, sign in enumerate(signs):
            sure = len(found) not in unsure
            found.append(Digit((10 * column, 20 * line, 8, 10), int(sign), line, sure))
    return found


def brief(found):
    return found.right, found.wrong, found.missed, found.made_up


@pytest.mark.parametrize(
    ("read", "written", "counts"),
    [
        ("2026", "2026", (4, 0, 0, 0)),
        ("2036", "2026", (3, 1, 0, 0)),
        ("226", "2026", (3, 0, 1, 0)),
        ("20126", "2026", (4, 0, 0, 1)),
        ("", "2026", (0, 0, 4, 0)),
        ("7", "", (0, 0, 0, 1)),
        ("", "", (0, 0, 0, 0)),
        ("1234", "2341", (3, 0, 1, 1)),
        ("12\n34", "1234", (4, 0, 0, 0)),
        ("1234", "12\n34", (4, 0, 0, 0)),
        ("34\n12", "12\n34", (0, 4, 0, 0)),
        ("1\n5", "1\n2\n5", (2, 0, 1, 0)),
        ("99", "10", (0, 2, 0, 0)),
    ],
)
def test_digits_are_right_wrong_missed_or_made_up(read, written, counts):
    for found in (score(digits(read) if read else [], digits(written) if written else []), score_text(read, written)):
        assert brief(found) == counts
        assert found.strings == (read == written) and found.spoilt == (counts[3] > 0) and found.pictures == 1
        assert found.written == len(written.replace("\n", ""))


@given(TEXTS, TEXTS)
@example("0\n1", "01")
@example("1\n", "1")
def test_an_alignment_uses_every_sign_once_in_order_and_no_fewer_edits_exist(read, written):
    pairs = aligned(read, written)
    assert [i for i, _ in pairs if i is not None] == list(range(len(read)))
    assert [j for _, j in pairs if j is not None] == list(range(len(written)))
    for i, j in pairs:
        if i is not None and j is not None and "\n" in (read[i], written[j]):
            assert read[i] == written[j]
    edits = sum(i is None or j is None or read[i] != written[j] for i, j in pairs)
    assert edits == distance(read, written)
    found = score_text(read, written)
    assert found.right + found.wrong + found.missed == found.written
    assert found.right + found.wrong + found.made_up == len(read.replace("\n", ""))
    assert found.sure_wrong == found.wrong + found.made_up


def distance(a, b):
    """Return the edit distance by its recursive definition, without a table."""
    if not a or not b:
        return len(a) + len(b)
    ways = [1 + distance(a[1:], b), 1 + distance(a, b[1:])] if a[0] != b[0] else []
    if a[0] == b[0] or "\n" not in (a[0], b[0]):
        ways.append((a[0] != b[0]) + distance(a[1:], b[1:]))
    return min(ways)


def test_of_equal_edits_the_most_equal_signs_are_aligned():
    assert brief(score_text("12", "21")) == (1, 0, 1, 1)  # not two wrong


def test_sure_answers_that_are_wrong_are_counted():
    assert score(digits("2036"), digits("2026")).sure_wrong == 1
    assert score(digits("2036", unsure=[2]), digits("2026")).sure_wrong == 0
    assert score(digits("20126"), digits("2026")).sure_wrong == 1
    assert score(digits("20126", unsure=[2]), digits("2026")).sure_wrong == 0
    unsure = score(digits("2026", unsure=[0]), digits("2026"))
    assert (unsure.strings, unsure.texts) == (1, 0)
    assert score(digits("2026"), digits("2026")).texts == 1
    later = score(digits("12\n39", unsure=[0]), digits("12\n34"))  # the newline moves no digit's place
    assert later.sure_wrong == 1 and brief(later) == (3, 1, 0, 0)


def test_boxes_are_found_whatever_is_read_in_them():
    written = digits("2026")
    assert score(digits("9999"), written).found == 4
    moved = [Digit((x + 2, y, w, h), label, line) for (x, y, w, h), label, line, _ in written]
    assert score(moved, written).found == 4
    away = [Digit((x + 5, y, w, h), label, line) for (x, y, w, h), label, line, _ in written]
    assert score(away, written).found == 0
    one_for_two = [Digit((0, 0, 18, 10), 7, 0)]
    assert score(one_for_two, digits("20")).found == 1


def test_boxes_are_paired_one_to_one_the_best_first():
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1 and overlap((0, 0, 10, 10), (10, 0, 5, 5)) == 0
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0 and overlap((0, 0, 4, 4), (20, 20, 4, 4)) == 0
    read, written = [(0, 0, 10, 10), (1, 0, 10, 10)], [(1, 0, 10, 10)]
    assert same_boxes(read, written) == [(1, 0)]
    assert same_boxes([], written) == []


def test_scores_add_up_and_shares_have_their_intervals():
    both = total([score_text("2036", "2026"), score_text("55", "5")])
    assert (both.pictures, both.written, both.right, both.wrong, both.made_up, both.spoilt) == (2, 5, 4, 1, 1, 1)
    found = both.to_json()
    assert found["digits_right"]["share"] == 0.8 and found["made_up_per_picture"] == 0.5
    low, high = found["digits_right"]["interval"]
    assert low == pytest.approx(0.3755, abs=1e-4) and high == pytest.approx(0.9638, abs=1e-4)  # Wilson's, 4 of 5
    assert found["strings_right"]["share"] == 0 and found["pictures_spoilt"]["share"] == 0.5
    assert total([]) == Score() and share(0, 0) is None
    assert Score(pictures=3).to_json()["digits_right"] is None and Score().to_json()["made_up_per_picture"] is None


def test_a_text_has_a_line_end_wherever_the_line_changes():
    assert text_of(digits("12\n3")) == "12\n3" and text_of([]) == ""
    assert text_of([Digit((0, 0, 1, 1), 1, 4), Digit((0, 0, 1, 1), 2, 7)]) == "1\n2"
