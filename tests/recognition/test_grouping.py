"""Grouping: rows of written digits are taken apart, and no digit is, whatever its size, place and order of writing."""

import numpy as np
import pytest

import numcnn
from numcnn.data.generated import GLYPHS, digit_strokes
from numcnn.data.rows import make_lines, make_row
from numcnn.imaging import raster
from numcnn.recognition import grouping


def rows(n, seed, late=0.0):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        labels = rng.integers(0, 10, rng.integers(2, 7)).tolist()
        yield make_row([(digit_strokes(label, rng), label) for label in labels], rng, late)


def right_groups(groups, owners):
    """Tell for each digit of a row whether exactly its strokes are one of the groups -> list of bool."""
    return [tuple(i for i, k in enumerate(owners) if k == digit) in groups for digit in range(max(owners) + 1)]


@pytest.mark.parametrize("late", [0, 1])
def test_rows_of_digits_are_taken_apart(late):
    right = np.concatenate([right_groups(grouping.group(strokes), owners) for strokes, _, owners in rows(120, 3, late)])
    assert len(right) > 400 and right.mean() >= 0.98


def pages(n, seed, lines):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        labels = [rng.integers(0, 10, rng.integers(1, 8)).tolist() for _ in range(lines)]
        drawn = [[(digit_strokes(label, rng), label) for label in line] for line in labels]
        yield *make_lines(drawn, rng, late=0.1), [len(line) for line in labels]


@pytest.mark.parametrize("lines", [2, 3, 5])
def test_lines_of_digits_are_taken_apart_and_read_in_order(lines):
    right, whole = [], []
    for strokes, _, owners, lengths in pages(40, 3, lines):
        found = grouping.group_lines(strokes)
        right += right_groups([digit for line in found for digit in line], owners)
        whole.append([len(line) for line in found] == lengths)
    assert np.mean(right) >= 0.98 and np.mean(whole) >= 0.9


def shifted(strokes, x, y, scale=1.0):
    return [[(x + scale * a, y + scale * b) for a, b in stroke] for stroke in strokes]


ONE = [[(20, 0), (20, 100)]]
SEVEN = [[(0, 0), (60, 0), (20, 100)], [(15, 45), (60, 45)]]
FIVE = [[(10, 12), (5, 45), (50, 60), (40, 95), (0, 95)], [(12, 2), (60, 0)]]  # its bar does not touch it
FOUR = [[(20, 0), (0, 60), (60, 60)], [(45, 30), (45, 110)]]
EIGHT = [[(30, 0), (10, 25), (30, 48), (50, 25), (30, 0)], [(30, 50), (5, 75), (30, 100), (55, 75), (30, 50)]]


@pytest.mark.parametrize("gap", [120, 160, 300])
@pytest.mark.parametrize("slope", [-0.15, 0, 0.15])
@pytest.mark.parametrize("second", [0.6, 1, 1.5])
def test_bars_and_dots_go_to_their_own_line(gap, slope, second):
    rows = [FIVE, ONE, FIVE, FOUR], [FIVE, SEVEN]
    strokes, owners = [], []
    for row, digits in enumerate(rows):
        for i, digit in enumerate(digits):
            x, y = 85.0 * i * second**row, gap * row
            strokes += shifted(digit, x, y + slope * x, second**row)
            owners += [(row, i)] * len(digit)
    found = grouping.group_lines(strokes)
    expected = [[tuple(k for k, owner in enumerate(owners) if owner == (row, i)) for i in range(len(rows[row]))]
                for row in (0, 1)]  # fmt: skip
    assert found == expected


def test_one_row_stays_one_line():
    for far in (85, 400):  # however wide the spaces
        row = [stroke for i, digit in enumerate((FIVE, ONE, EIGHT, FOUR)) for stroke in shifted(digit, far * i, 20 * i)]
        assert [len(line) for line in grouping.group_lines(row)] == [4]
    open_eight = [EIGHT[0], [(x, y + 5) for x, y in EIGHT[1]]]  # of two circles that don't touch
    two = [*open_eight, *shifted(open_eight, 90, 3)]
    assert grouping.group_lines(two) == [[(0, 1), (2, 3)]]
    for digit in (FIVE, FOUR, EIGHT, SEVEN, open_eight):
        assert grouping.group_lines(digit) == [[tuple(range(len(digit)))]]


def test_a_tall_stroke_that_reaches_into_the_next_line_stays_in_its_own():
    above = [*shifted(SEVEN, 0, 0), *shifted([[(20, 0), (20, 150)]], 90, 0), *shifted(SEVEN, 160, 0)]
    below = [*shifted(FOUR, 0, 140), *shifted(ONE, 130, 140), *shifted(SEVEN, 200, 140)]
    assert grouping.group_lines(above + below) == [[(0, 1), (2,), (3, 4)], [(5, 6), (7,), (8, 9)]]


def test_two_digits_one_above_the_other_are_two_lines():
    for upper in (ONE, FOUR, SEVEN):
        n = len(upper)
        assert grouping.group_lines([*upper, *shifted(ONE, 5, 130)]) == [[tuple(range(n))], [(n,)]]


def test_a_single_digit_stays_whole():
    rng = np.random.default_rng(4)
    whole = [len(grouping.group(digit_strokes(label, rng))) == 1 for label in range(10) for _ in range(40)]
    assert np.mean(whole) >= 0.985


@pytest.mark.parametrize("glyph", [glyph for glyph in GLYPHS if "/" in glyph.path], ids=lambda g: f"{g.digit} {g.name}")
def test_every_way_of_writing_with_several_strokes_is_one_digit_alone_and_in_a_row(glyph):
    own = [points * (0.7, 1) for points, _ in glyph.strokes()]
    assert grouping.group(own) == [tuple(range(len(own)))]
    one = [np.array([[0.0, 0.0], [0.0, 1.0]])]
    row = [stroke + np.array([x, 0]) for x, digit in ((-0.25, one), (0, own), (1.1, one)) for stroke in digit]
    n = len(own)
    assert grouping.group(row) == [(0,), tuple(range(1, n + 1)), (n + 1,)]


def test_strokes_that_belong_together():
    bar, stem = [(0, 0), (60, 0)], [(60, 0), (20, 100)]
    for strokes in (
        [bar, stem, [(20, 45), (60, 45)]],  # a crossed 7
        [bar, stem, [(15, 40), (60, 40)], [(15, 50), (60, 50)]],  # crossed twice
        [[(30, 0), (30, 100)], [(0, 100), (60, 100)]],  # a 1 with a foot
        [[(30, 0), (30, 100)], [(32, -12)], [(10, 100), (50, 100)]],  # a 1 like an i, with a foot
        [[(0, 0), (0, 50), (60, 50)], [(65, 10), (65, 100)]],  # a 4 whose strokes don't meet
    ):
        assert grouping.group(strokes) == [tuple(range(len(strokes)))]
    for strokes in ([[(0, 0), (0, 100)], [(25, 0), (25, 100)]], [[(0, 0), (-20, 100)], [(25, 0), (5, 100)]]):
        assert grouping.group(strokes) == [(0,), (1,)]  # 11, and 11 aslant


@pytest.fixture(scope="module")
def shipped():
    return numcnn.load()


def read_by(network, strokes, asked):
    """Return what tells ``grouping`` the network's probabilities; each question is appended to ``asked``."""

    def read(groups):
        asked.extend(groups)
        return network.predict_proba(np.stack([raster.mnist_image([strokes[i] for i in g]) for g in groups]))

    return read


THREE = [[(0, 0), (50, 10), (10, 45), (50, 80), (0, 100)]]


def test_where_positions_leave_doubt_the_network_decides(shipped):
    for near, two in ((THREE, 12), (THREE, 24), (SEVEN, 15), (SEVEN, 30)):  # a 1 so near that it seems to be their stem
        strokes, asked = [*near, *shifted(ONE, two, 0)], []
        assert len(grouping.group(strokes)) == 1
        assert len(grouping.group(strokes, read_by(shipped, strokes, asked))) == 2 and asked
    far_bar, asked = [FIVE[0], *shifted([FIVE[1]], 52, -10)], []
    assert len(grouping.group(far_bar)) == 2
    assert grouping.group(far_bar, read_by(shipped, far_bar, asked)) == [(0, 1)] and asked


def test_where_positions_leave_no_doubt_no_network_is_asked():
    def read(groups):
        raise AssertionError(f"asked about {groups}")

    row = [stroke for i, digit in enumerate((FIVE, ONE, FOUR)) for stroke in shifted(digit, 130 * i, 0)]
    assert grouping.group(row, read) == [(0, 1), (2,), (3, 4)]
    tangle = [np.random.default_rng(k).normal(size=(4, 2)) for k in range(9)]  # too many doubts to ask about
    assert grouping.group(tangle, read) == grouping.group(tangle)


@pytest.mark.parametrize("late", [0, 1])
def test_the_network_takes_no_row_apart_worse(late, shipped):
    alone, both, asked = [], [], []
    for strokes, _, owners in rows(60, 3, late):
        alone += right_groups(grouping.group(strokes), owners)
        both += right_groups(grouping.group(strokes, read_by(shipped, strokes, asked)), owners)
    assert np.mean(both) >= np.mean(alone) and asked


@pytest.mark.parametrize(("scale", "shift"), [(1e-3, 0), (560, 1000), (1e9, -1e9)])
def test_size_and_place_change_nothing(scale, shift):
    for strokes, _, _ in rows(10, 5):
        moved = [scale * stroke + shift for stroke in strokes]
        assert grouping.group(moved) == grouping.group(strokes)


def test_the_order_of_writing_changes_only_the_numbers():
    rng = np.random.default_rng(6)
    for strokes, _, _ in rows(20, 7):
        order = rng.permutation(len(strokes))
        shuffled = grouping.group([strokes[i] for i in order])
        assert [tuple(sorted(order[i] for i in g)) for g in shuffled] == grouping.group(strokes)


def test_many_points_and_few_are_grouped_alike():
    for strokes, _, _ in rows(10, 8):
        dense = [
            np.stack([np.interp(np.linspace(0, len(s) - 1, 700), np.arange(len(s)), s[:, k]) for k in (0, 1)], axis=1)
            for s in strokes
        ]
        assert grouping.group(dense) == grouping.group(strokes)


def test_odd_drawings_are_grouped_too():
    assert grouping.group([]) == grouping.group([[], []]) == []
    assert grouping.group([[], [(3, 3)]]) == [(1,)]
    assert grouping.group([[(3, 3)], [(3, 3)]]) == [(0, 1)]
    assert grouping.group([[(9, 3)], [(3, 3)]]) == [(1,), (0,)]
    assert grouping.group([[(0, 0), (9, 0)]]) == [(0,)]
    assert grouping.group([[(0, 0), (1e100, -1e100)], [(1e100, 1e100), (-1e100, 0)]]) == [(0, 1)]
    assert grouping.group([[(0, 0), (1e-200, 0)], [(0, 5e-300)]]) == [(0, 1)]
    scribble = np.cumsum(np.random.default_rng(9).normal(size=(20_000, 2)), axis=0)
    assert grouping.group([scribble, scribble[::-1]]) == [(0, 1)]


def test_many_strokes_are_all_in_one_group_or_another_and_too_many_are_one():
    rng = np.random.default_rng(10)
    strokes = [rng.uniform(0, 500, 2) + 20 * rng.normal(size=(2, 2)) for _ in range(201)]
    groups = grouping.group(strokes[:200])
    assert len(groups) > 1 and sorted(i for g in groups for i in g) == list(range(200))
    assert grouping.group(strokes) == [tuple(range(201))]


def test_boxes_hold_all_points():
    assert grouping.box([[(1, 2), (3, 0)], [(-1, 5)]]) == (-1, 0, 3, 5)
