"""Two networks on the same pictures: is the difference between them real, or chance?"""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numcnn.errors import DataError
from numcnn.evaluation.metrics import TEXT_WIDTH, accuracy_interval

REAL = 0.05  # a p-value below this is called a real difference


@dataclass(frozen=True)
class Comparison:
    """How many pictures two networks, A and B, read correctly: both of them, only one, neither."""

    both: int
    only_a: int
    only_b: int
    neither: int

    @property
    def n(self) -> int:
        """The number of pictures."""
        return self.both + self.only_a + self.only_b + self.neither

    @property
    def right(self) -> tuple[int, int]:
        """How many pictures A and B read correctly."""
        return self.both + self.only_a, self.both + self.only_b

    @property
    def p(self) -> float:
        """The p-value of the exact McNemar test: see ``mcnemar``."""
        return mcnemar(self.only_a, self.only_b)

    def sentence(self) -> str:
        """Say in plain words whether the difference is real."""
        if not self.only_a + self.only_b:
            return f"A and B are right about the same pictures, all {self.n:,}: nothing tells them apart."
        if self.only_a == self.only_b:
            return f"No difference: A and B read equally many pictures correctly, {self.right[0]:,} of {self.n:,}."
        better, worse = ("A", "B") if self.only_a > self.only_b else ("B", "A")
        more, fewer = (_times(max(self.only_a, self.only_b)), _times(min(self.only_a, self.only_b)))
        counts = f"{better} alone is right {more}, {worse} alone {fewer}"
        chance = (
            f"a difference of this size or more appears in {_share(self.p)} such tests of two equally good networks"
        )
        if self.p < REAL:
            return f"{better} is better, and hardly by chance: {counts}; {chance}."
        return f"No real difference is shown: {counts}, but {chance}."

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain Python values."""
        accuracies = {
            name: {"accuracy": right / self.n, "interval": list(accuracy_interval(right, self.n))}
            for name, right in zip("ab", self.right, strict=True)
        }
        counts = {name: getattr(self, name) for name in ("both", "only_a", "only_b", "neither")}
        return {**accuracies, "n": self.n, **counts, "p": self.p, "sentence": self.sentence()}

    def to_text(self) -> str:
        """Return a few lines of at most 80 columns."""
        lines: list[str] = []
        for name, right in zip("AB", self.right, strict=True):
            low, high = accuracy_interval(right, self.n)
            share = f"{right:,} of {self.n:,} right"
            lines.append(f"{name}  {right / self.n:.2%}  (95% interval {low:.2%} to {high:.2%}; {share})")
        lines += [
            "",
            f"both right  {self.both:>9,}",
            f"only A      {self.only_a:>9,}",
            f"only B      {self.only_b:>9,}",
            f"both wrong  {self.neither:>9,}",
            f"p           {_number(self.p):>9}  (McNemar, exact, two-sided)",
            "",
            *textwrap.wrap(self.sentence(), TEXT_WIDTH),
        ]
        return "\n".join(lines)


def compare(right_a: npt.ArrayLike, right_b: npt.ArrayLike) -> Comparison:
    """Compare two networks.  right_a, right_b (N,) bool: which of the same pictures each read correctly.

    Raises DataError for no pictures, other lengths or dtypes.
    """
    a, b = np.asarray(right_a), np.asarray(right_b)
    if a.ndim != 1 or a.shape != b.shape or not a.size or a.dtype != bool or b.dtype != bool:
        raise DataError(f"compare: got {a.dtype} {a.shape} and {b.dtype} {b.shape}; wants bool (N,) twice, N from 1")
    return Comparison(int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))


def mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of McNemar's test (1947), exact.

    Pictures that both read correctly, or neither, say nothing.  Of the n others, if both networks were equally good,
    each would be A's with probability 1/2, like a coin.  p is the probability of a split as uneven as this or more:
    twice the sum of n! / (k! (n - k)!) / 2^n for k from 0 to the smaller number, and 1 at most.  In whole numbers, so
    nothing is rounded before the last division.
    """
    n = only_a + only_b
    ways, total = 1, 0  # to choose k of n
    for k in range(min(only_a, only_b) + 1):
        total += ways
        ways = ways * (n - k) // (k + 1)
    return min(1.0, 2 * total / 2**n)


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count:,} times")


def _share(p: float) -> str:
    """Return a probability as a share in words: "34% of", "fewer than 0.01% of", "all"."""
    if p == 1:
        return "all"
    return "fewer than 0.01% of" if p < 0.0001 else f"{100 * p:.2g}% of"


def _number(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.2g}" if p else "<1e-300"
