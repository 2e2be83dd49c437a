"""Connected pieces, paper and rules: against slow definitions, and on drawings where the answer is known."""

import numpy as np
import papers
import pytest

from numcnn.imaging import paper, rules
from numcnn.imaging.pieces import dilate, find_pieces


def flooded(mask):
    """Label pieces one pixel after the other -> (H,W), 0 for paper, in the order of their first pixels."""
    labels, count = np.zeros(mask.shape, int), 0
    for start in np.argwhere(mask):
        if labels[tuple(start)]:
            continue
        count += 1
        ahead = [tuple(start)]
        labels[tuple(start)] = count
        while ahead:
            y, x = ahead.pop()
            for v in range(max(0, y - 1), min(mask.shape[0], y + 2)):
                for w in range(max(0, x - 1), min(mask.shape[1], x + 2)):
                    if mask[v, w] and not labels[v, w]:
                        labels[v, w] = count
                        ahead.append((v, w))
    return labels


@pytest.mark.parametrize("density", [0.02, 0.2, 0.4, 0.6, 0.95])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (23, 31)])
def test_pieces_are_those_of_a_flood(density, shape):
    mask = np.random.default_rng([int(100 * density), *shape]).random(shape) < density
    labels, found = flooded(mask), find_pieces(mask)
    assert len(found) == labels.max()
    indices, owners = found.pixels()
    drawn = np.zeros(mask.size, int)
    drawn[indices] = owners + 1
    np.testing.assert_array_equal(drawn.reshape(shape), labels)
    for k, (left, top, right, bottom) in enumerate(found.boxes):
        rows, columns = np.nonzero(labels == k + 1)
        assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert found.areas[k] == len(rows)
        np.testing.assert_array_equal(
            found.mask([k], (left, top, right, bottom)), labels[top:bottom, left:right] == k + 1
        )


def test_a_spiral_is_one_piece():
    mask = np.zeros((41, 41), bool)
    for ring in range(0, 20, 4):
        mask[ring, ring : 41 - ring] = mask[40 - ring, ring : 41 - ring] = True
        mask[ring : 41 - ring, 40 - ring] = mask[ring + 2 : 41 - ring, ring] = True
        mask[ring + 2, ring : ring + 5] = True
        mask[ring + 2 : ring + 5, ring + 4] = True
    assert len(find_pieces(mask)) == flooded(mask).max() == 1


def test_dilate_is_a_square_neighbourhood():
    mask = np.random.default_rng(0).random((20, 30)) < 0.03
    padded = np.pad(mask, 2)
    want = np.any([padded[y : y + 20, x : x + 30] for y in range(5) for x in range(5)], axis=0)
    np.testing.assert_array_equal(dilate(mask, 2), want)


@pytest.mark.parametrize("reach", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("axis", [0, 1])
def test_running_is_the_largest_of_a_window(reach, axis):
    values = np.random.default_rng(reach).integers(0, 256, (25, 19), np.uint8)
    for largest, choose in ((True, np.max), (False, np.min)):
        got = paper.running(values, reach, axis, largest=largest)
        for i in range(values.shape[axis]):
            window = slice(max(0, i - reach), i + reach + 1)
            part = values[window] if axis == 0 else values[:, window]
            np.testing.assert_array_equal(np.take(got, i, axis), choose(part, axis=axis))


def test_closing_keeps_a_shadow_edge_and_fills_strokes():
    values = np.full((60, 80), 200, np.uint8)
    values[:, 50:] = 90
    light = values.copy()
    values[10:50, 20:25] = 30
    values[10:50, 60:64] = 10
    np.testing.assert_array_equal(paper.closing(values, 4), light)


def test_the_light_is_divided_out():
    rng = np.random.default_rng(0)
    coverage = papers.one(3, rng)
    even = paper.ink_on_paper(papers.on_paper(coverage, 200, 60).round().astype(np.uint8), 30)
    shaded = papers.on_paper(coverage, 200, 60)
    shaded[:, 140:] *= 0.6
    uneven = paper.ink_on_paper(shaded.round().astype(np.uint8), 30)
    inside = np.ones(coverage.shape, bool)
    inside[:, 137:143] = False  # the edge itself is soft
    assert np.abs(even.strength.astype(int) - uneven.strength)[inside].max() <= 6
    assert even.strength[coverage == 0].max() == 0
    assert even.strength[coverage == 1].min() > 170


def test_a_picture_and_its_negative_give_the_same_ink():
    picture = papers.noisy(papers.on_paper(papers.one(5, np.random.default_rng(0))), np.random.default_rng(1))
    one, other = paper.ink_on_paper(picture, 30), paper.ink_on_paper(255 - picture, 30, light=True)
    np.testing.assert_array_equal(one.strength, other.strength)


def test_ink_lightens_some_channels_and_darkens_others():
    coverage = papers.one(2, np.random.default_rng(0))[:, :, None]
    green, red = np.array([90.0, 150, 90]), np.array([216.0, 88, 80])
    assert paper.lighter_channels((green + (red - green) * coverage).astype(np.uint8)) == [True, False, False]


@pytest.mark.parametrize("slope", [-0.08, 0, 0.05])
def test_rules_go_and_strokes_across_them_stay(slope):
    strokes = papers.strokes_of(7, 80, (110, 60))
    stroke = papers.ink_of(strokes, (200, 300), 9) > 0.5
    line = np.array([(10.0, 100 - 140 * slope), (290.0, 100 + 140 * slope)])
    rule = papers.ink_of([line], (200, 300), 3) > 0.5
    left = rules.without_rules(stroke | rule, 150, 150)
    assert (left & ~stroke).sum() <= 0.1 * (rule & ~stroke).sum()
    assert (left & stroke).sum() >= 0.97 * stroke.sum()


def test_digits_hold_no_rules():
    for label in range(10):
        ink = papers.one(label, np.random.default_rng(label), pen=9) > 0.5
        np.testing.assert_array_equal(rules.without_rules(ink, 180, 180), ink)


def test_a_noisy_grid_is_found_across_the_page():
    rng = np.random.default_rng(0)
    clean = papers.grid(np.full((400, 500), 210.0), rng, 50, 0.93, 2)
    ink = paper.ink_on_paper(papers.noisy(clean, rng, 4), 20)
    gone = rules.rules_of_the_page(ink.smooth, ink.least)
    grid = clean < 205
    found = ink.smooth >= ink.least
    assert (gone & found & grid).sum() >= 0.9 * (found & grid).sum()
    assert not gone[~dilate(grid, 4)].any()


def drawn_lines(ink, length):
    """Return the pixels of all lines of a length that lie in ink, each tried at each place (H,W) -> (H,W)."""
    found = np.zeros_like(ink)
    for slope in np.linspace(-0.105, 0.105, 2 * int(np.ceil(0.105 * length / 5)) + 1).tolist():
        places, done = {(0, 0)}, 1
        while done < length:
            step = min(done, length - done)
            places |= {(y + round(slope * step), x + step) for y, x in places}
            done += step
        down, right = np.array(sorted(places)).T
        for y, x in np.argwhere(ink):
            rows, columns = y + down, x + right
            inside = (rows >= 0) & (rows < ink.shape[0]) & (columns < ink.shape[1])
            if inside.all() and ink[rows, columns].all():
                found[rows, columns] = True
    return found


@pytest.mark.parametrize("length", [1, 5, 14, 24, 60, 61])
@pytest.mark.parametrize("turned", [False, True])
def test_long_lines_are_those_that_can_be_drawn(length, turned):
    rng = np.random.default_rng(length)
    ink = rng.random((26, 60)) < 0.75
    ink[3:7, 20:] = ink[11:13] = ink[-2:, :33] = True
    for x in range(60):
        ink[15 + round(0.1 * x) : 18 + round(0.1 * x), x] = True
    ink = ink.T[::-1].copy().T if turned else ink  # in another order in memory, and upside down
    found = rules.long_lines(ink, length)
    np.testing.assert_array_equal(found, drawn_lines(ink, length))
    assert found.any() == (length <= 60)


def test_ink_in_squares_and_its_runs_down_a_column_are_those_of_loops():
    ink = np.random.default_rng(3).random((23, 31)) < 0.4
    for factor in (1, 2, 3, 5):
        squares = [
            [ink[y : y + factor, x : x + factor].any() for x in range(0, 31, factor)] for y in range(0, 23, factor)
        ]
        np.testing.assert_array_equal(rules.any_of(ink, factor), squares)
        np.testing.assert_array_equal(rules.any_of(ink.T, factor), np.transpose(squares))
    for seen in (ink, ink.T):
        runs = rules.runs_across(seen)
        for y, x in np.ndindex(seen.shape):
            up, down = seen[y::-1, x], seen[y:, x]
            around = [int(np.argmin([*part, False])) for part in (up, down)]
            assert runs[y, x] == (sum(around) - 1 if seen[y, x] else 0)


@pytest.mark.parametrize("shape", [(7, 9), (8, 8), (7, 9, 3), (8, 8, 3), (5, 5, 2), (6, 6, 2)])
@pytest.mark.parametrize("levels", [2, 40, 256])
def test_counted_medians_are_numpys_to_the_bit(shape, levels):
    values = np.random.default_rng([levels, *shape]).integers(256 - levels, 256, shape).astype(np.uint8)
    assert paper.median_level(values) == np.median(values)
    assert paper.median_grey(values) == np.median(paper.grey_of_colours(values))
