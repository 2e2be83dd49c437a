"""Score what was read on pictures against what is written there: digits, strings, and digits made up.

What was read is aligned with what is written by the smallest number of edits (V. I. Levenshtein, "Binary codes capable
of correcting deletions, insertions, and reversals", 1966), lines one below the other.  A digit is right if it is
aligned with an equal one, wrong with another, missed if it is aligned with none; read digits that are aligned with none
are made up.  A line's end is never aligned with a digit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from numcnn.evaluation.metrics import accuracy_interval

FOUND = 0.4  # of the union of two boxes, which their intersection must reach to be the same digit's
NEWLINE = "\n"

Box = tuple[int, int, int, int]  # x, y, width, height
Pairs = list[tuple[int | None, int | None]]  # places in what was read and in what is written


class TrueDigit(Protocol):
    """A digit of a picture: a ``data.pages.Written``."""

    @property
    def box(self) -> Box:
        """x, y, width and height in pixels."""
        ...

    @property
    def label(self) -> int:
        """0..9."""
        ...

    @property
    def line(self) -> int:
        """0, 1, ... from the top."""
        ...


class ReadDigit(TrueDigit, Protocol):
    """A digit that was read: a ``recognition.page.Digit``."""

    @property
    def sure(self) -> bool:
        """Whether the answer reaches the network's threshold."""
        ...


@dataclass(frozen=True)
class Score:
    """One picture, or the sum of several: counts.

    pictures: how many.  written: digits on them.  right, wrong, missed: what became of these.  made_up: digits read
    where none is; spoilt: pictures with any.  sure_wrong: digits that are wrong or made up, yet sure.  strings:
    pictures of which every digit and line is right; texts: those of which, besides, every digit is sure.  found:
    written digits whose box was found, whatever they were read as.
    """

    pictures: int = 0
    written: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    made_up: int = 0
    spoilt: int = 0
    sure_wrong: int = 0
    strings: int = 0
    texts: int = 0
    found: int = 0

    def __add__(self, other: "Score") -> "Score":
        mine, theirs = asdict(self), asdict(other)
        return Score(**{name: mine[name] + theirs[name] for name in mine})

    def to_json(self) -> dict[str, Any]:
        """Return the counts, and shares with their 95% intervals; None where there is nothing to count.

        Digits of one picture are by one hand and in one light, so that the interval of their share is somewhat narrow.
        """
        return {
            **asdict(self),
            "digits_right": share(self.right, self.written),
            "digits_found": share(self.found, self.written),
            "strings_right": share(self.strings, self.pictures),
            "texts_right": share(self.texts, self.pictures),
            "made_up_per_picture": self.made_up / self.pictures if self.pictures else None,
            "pictures_spoilt": share(self.spoilt, self.pictures),
        }


def share(count: int, of: int) -> dict[str, Any] | None:
    """Return {"share": 0..1, "interval": [low, high]}, the interval at 95%; None for a share of nothing."""
    return {"share": count / of, "interval": list(accuracy_interval(count, of))} if of else None


def total(scores: Iterable[Score]) -> Score:
    """Add up the scores of pictures."""
    return sum(scores, Score())


def score(read: Sequence[ReadDigit], written: Sequence[TrueDigit]) -> Score:
    """Score one picture.  Both: line by line from the top, each from left to right."""
    mine, theirs = text_of(read), text_of(written)
    pairs = aligned(mine, theirs)
    # What stands at the same place of a text without its line ends.
    digits = dict(zip((place for place, sign in enumerate(mine) if sign != NEWLINE), read, strict=True))
    faulty = [i for i, j in pairs if i is not None and mine[i] != NEWLINE and (j is None or mine[i] != theirs[j])]
    counts = _counted(mine, theirs, pairs)
    exact = mine == theirs
    return Score(
        **counts,
        sure_wrong=sum(digits[i].sure for i in faulty),
        texts=int(exact and all(digit.sure for digit in read)),
        found=len(same_boxes([digit.box for digit in read], [digit.box for digit in written])),
    )


def score_text(read: str, written: str) -> Score:
    """Score a picture of which only the text was read, lines separated by newlines: nothing counts as unsure."""
    pairs = aligned(read, written)
    counts = _counted(read, written, pairs)
    return Score(**counts, sure_wrong=counts["wrong"] + counts["made_up"], texts=counts["strings"])


def _counted(read: str, written: str, pairs: Pairs) -> dict[str, int]:
    """Return the counts of a picture that follow from its texts."""
    both = [(read[i], written[j]) for i, j in pairs if i is not None and j is not None and written[j] != NEWLINE]
    right = sum(a == b for a, b in both)
    made_up = sum(1 for i, j in pairs if i is not None and j is None and read[i] != NEWLINE)
    digits = len(written) - written.count(NEWLINE)
    return {
        "pictures": 1,
        "written": digits,
        "right": right,
        "wrong": len(both) - right,
        "missed": digits - len(both),
        "made_up": made_up,
        "spoilt": int(made_up > 0),
        "strings": int(read == written),
    }


def text_of(digits: Sequence[TrueDigit]) -> str:
    """Return the labels of digits, with a newline wherever the line changes."""
    signs = []
    for k, digit in enumerate(digits):
        if k and digit.line != digits[k - 1].line:
            signs.append(NEWLINE)
        signs.append(str(digit.label))
    return "".join(signs)


def aligned(read: str, written: str) -> Pairs:
    """Align two texts by the fewest edits, and of those by the most equal signs -> pairs of places, in order.

    None stands for a sign without a partner.
    """
    # best[i][j]: (edits, -equal signs) of the first i signs read and the first j written.
    best = [[(i + j, 0) for j in range(len(written) + 1)] for i in range(len(read) + 1)]
    for i, a in enumerate(read, 1):
        above, row = best[i - 1], best[i]
        for j, b in enumerate(written, 1):
            edits, equal = above[j - 1]
            ways = [(above[j][0] + 1, above[j][1]), (row[j - 1][0] + 1, row[j - 1][1])]
            if a == b:
                ways.append((edits, equal - 1))
            elif NEWLINE not in (a, b):
                ways.append((edits + 1, equal))
            row[j] = min(ways)
    return _traced(read, written, best)


def _traced(read: str, written: str, best: list[list[tuple[int, int]]]) -> Pairs:
    """Return the pairs of the best alignment, from the table of costs."""
    i, j = len(read), len(written)
    pairs: Pairs = []
    while i or j:
        if i and j:
            (edits, equal), same = best[i - 1][j - 1], read[i - 1] == written[j - 1]
            together = (edits, equal - 1) if same else (edits + 1, equal)
            if together == best[i][j] and (same or NEWLINE not in (read[i - 1], written[j - 1])):
                i, j = i - 1, j - 1
                pairs.append((i, j))
                continue
        if i and (best[i - 1][j][0] + 1, best[i - 1][j][1]) == best[i][j]:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def same_boxes(read: Sequence[Box], written: Sequence[Box]) -> list[tuple[int, int]]:
    """Pair boxes that are the same digit's, the best fit first -> pairs of places."""
    fits = [(overlap(a, b), i, j) for i, a in enumerate(read) for j, b in enumerate(written)]
    pairs: list[tuple[int, int]] = []
    for fit, i, j in sorted(fits, reverse=True):
        if fit >= FOUND and all(i != a and j != b for a, b in pairs):
            pairs.append((i, j))
    return pairs


def overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes as a fraction of their union, 0..1."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(0, wide) * max(0, high)
    union = a[2] * a[3] + b[2] * b[3] - both
    return both / union if union else 0.0
