"""McNemar's test, exact, against the binomial distribution written out."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from numcnn.errors import DataError
from numcnn.evaluation.comparison import Comparison, compare, mcnemar


def exactly(a, b):
    n = a + b
    return min(Fraction(1), 2 * Fraction(sum(math.comb(n, k) for k in range(min(a, b) + 1)), 2**n))


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (10, 2), (2, 10), (24, 23), (5, 5), (3000, 2800), (6, 0)])
def test_p_is_the_exact_one(a, b):
    assert mcnemar(a, b) == float(exactly(a, b)) == mcnemar(b, a)


def test_known_values():
    assert mcnemar(6, 0) == 2 / 64
    assert mcnemar(150, 86) == pytest.approx(3.716e-5, rel=1e-3)  # Agresti's approval ratings, as R's exact2x2 has it
    assert mcnemar(9000, 0) == 0  # below the least float


def test_p_is_uniform_or_larger_where_there_is_no_difference():
    rng = np.random.default_rng(4)
    found = []
    for _ in range(2000):
        a, b = rng.random((2, 300)) < 0.9
        found.append(compare(a, b).p)
    assert np.mean(np.array(found) < 0.05) < 0.05
    assert np.mean(np.array(found) < 0.3) > 0.15  # it does find some


def test_pictures_are_counted_in_four_kinds():
    a = np.array([True, True, False, False, True, True, False])
    b = np.array([True, False, True, False, True, False, False])
    found = compare(a, b)
    assert found == Comparison(both=2, only_a=2, only_b=1, neither=2)
    assert found.n == 7 and found.right == (4, 3)
    document = json.loads(json.dumps(found.to_json()))
    assert (document["a"]["accuracy"], document["b"]["accuracy"], document["p"]) == (4 / 7, 3 / 7, 1)
    assert document["a"]["interval"][0] < 4 / 7 < document["a"]["interval"][1]
    assert (document["both"], document["only_a"], document["only_b"], document["neither"]) == (2, 2, 1, 2)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (
            40,
            12,
            "A is better, and hardly by chance: A alone is right 40 times, B alone 12 times; a difference of this",
        ),
        (1, 9, "B is better, and hardly by chance: B alone is right 9 times, A alone once; a difference of this size"),
        (
            2,
            1,
            "No real difference is shown: A alone is right 2 times, B alone once, but a difference of this size or ",
        ),
        (3, 3, "No difference: A and B read equally many pictures correctly, 903 of 956."),
        (0, 0, "A and B are right about the same pictures, all 950: nothing tells them apart."),
    ],
)
def test_the_sentence_says_who_is_better_or_that_nothing_is_shown(a, b, words):
    found = Comparison(900, a, b, 50)
    assert found.sentence().startswith(words)
    assert max(map(len, found.to_text().splitlines())) <= 80


def test_the_sentence_follows_the_p_value():
    for a in range(30):
        for b in range(30):
            found = Comparison(100, a, b, 3)
            assert (" is better, " in found.sentence()) == (found.p < 0.05 and a != b), (a, b)
    assert "in fewer than 0.01% of such tests" in Comparison(1, 50, 1, 0).sentence()
    assert "in 3.9% of such tests" in Comparison(1, 10, 2, 0).sentence()
    assert "in all such tests" in Comparison(1, 1, 0, 0).sentence()


@pytest.mark.parametrize(("a", "b"), [([], []), ([True], [True, False]), ([1, 0], [True, False]), ([[True]], [[True]])])
def test_other_arrays_are_refused(a, b):
    with pytest.raises(DataError, match="wants bool"):
        compare(a, b)
