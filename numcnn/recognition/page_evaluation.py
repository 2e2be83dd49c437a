"""How well pages are read: synthetic pictures of handwriting, condition by condition, scored against the truth."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from numcnn.data import pages
from numcnn.data.hands import Hand
from numcnn.data.page_subjects import SUBJECTS
from numcnn.errors import ConfigError, DataError
from numcnn.evaluation.metrics import accuracy_interval
from numcnn.imaging.misuse import HANDED_IN
from numcnn.kernels.arrays import Bytes, Ints
from numcnn.recognition.scoring import ReadDigit, Score, score, text_of, total

Read = Callable[[Bytes], Sequence[ReadDigit]]  # reads the digits of a picture, (H,W) or (H,W,3) uint8

DEFAULT_COUNT = 50
FEWEST_PAGES, PAGE_SHARE = 5, 4  # pages hold many digits: a quarter as many of them as of other pictures
MOST_SIGNS = 26  # of a text that is told of a misread picture
MOST_MISREAD = 12  # misread pictures that are kept of each row of the table

# What is measured: the kinds and the titles of their tables, and the conditions of pages.
NO_DIGITS = "no digits"
TITLES = {
    "digit": "single digits",
    "known digit": "single digits, known to be one",
    "row": "rows of 2 to 6",
    "short page": "pages of 2 to 4 lines",
    "page": "pages of 5 to 10 lines",
    NO_DIGITS: "no digits",
}
ON_PAGES = (
    *("clean", "shadow edge", "vignette", "slope of light", "ruled", "squared", "framed cells", "table"),
    *("coloured", "light on dark", "faint pencil", "jpeg", "turned", "perspective", "dust", "scanner border"),
)
ON_SHORT_PAGES = ("clean", "shadow edge", "ruled", "squared", "turned", "perspective", "large sheet")
# Under which conditions sheets without digits are photographed, in turn.
ON_EMPTY = (
    "clean",
    "shadow edge",
    "slope of light",
    "jpeg",
    "noisy",
    "dust",
    "perspective",
    "scanner border",
    "vignette",
)


class Misread(NamedTuple):
    """A picture that was not read right, what is written there, and what was read."""

    picture: Bytes
    written: str
    read: str

    def __str__(self) -> str:
        """What was read as what; the lines of a text are separated by strokes."""
        written, read = (text.replace("\n", "/") or "nothing" for text in (self.written, self.read))
        return f"{shorten(written, MOST_SIGNS)}\nread {shorten(read, MOST_SIGNS)}"


def shorten(text: str, most: int) -> str:
    """Return a text, or its beginning and "..."."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


@dataclass(frozen=True)
class Row:
    """One row of the table: a condition's name, its score, the median of the milliseconds for a picture."""

    name: str
    score: Score
    milliseconds: float
    misread: list[Misread] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain Python values, without the pictures."""
        return {"name": self.name, **self.score.to_json(), "milliseconds": self.milliseconds}


Table = tuple[str, list[Row]]  # a title and its rows


def choose(kinds: Collection[str] = (), conditions: Collection[str] = ()) -> dict[str, list[str]]:
    """Return kind -> names of the rows of its table: conditions, or of "no digits" what is on the picture instead.

    kinds: keys of TITLES; none: all.  conditions: those wanted, and kinds that don't know any of them are left out;
    none: the usual ones.  Raises ConfigError for an unknown name.
    """
    _check_known("kind", kinds, TITLES)
    kinds = kinds or TITLES
    if not conditions:
        return {kind: _usual(kind) for kind in TITLES if kind in kinds}
    known = {kind: _known(kind) for kind in TITLES if kind in kinds}
    _check_known("condition", conditions, dict.fromkeys(name for names in known.values() for name in names))
    chosen = {kind: [name for name in names if name in conditions] for kind, names in known.items()}
    return {kind: names for kind, names in chosen.items() if names}


def _check_known(what: str, names: Iterable[str], known: Collection[str]) -> None:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"there is no {what} {unknown[0]!r}; choose some of {', '.join(known)}")


def _usual(kind: str) -> list[str]:
    return list({"short page": ON_SHORT_PAGES, "page": ON_PAGES}.get(kind) or _known(kind))


def _known(kind: str) -> list[str]:
    return list(SUBJECTS) if kind == NO_DIGITS else pages.conditions_for(_drawn(kind))


def _drawn(kind: str) -> str:
    """Return the kind of pages that is drawn."""
    return "digit" if kind == "known digit" else kind


def measure(
    read: Read,
    read_one: Read,
    hand: Hand,
    count: int = DEFAULT_COUNT,
    *,
    chosen: Mapping[str, Iterable[str]] | None = None,
    seed: int = 0,
    strength: float = 1.0,
) -> Iterable[Table]:
    """Read ``count`` pictures of each chosen kind and condition.  Yield each table when it is done.

    read: reads any picture; read_one: reads pictures that are known to hold one digit.  chosen: see `choose`; None:
    all, and of pages a quarter as many pictures.
    """
    few = max(FEWEST_PAGES, count // PAGE_SHARE)
    for kind, names in (chosen or choose()).items():
        own = few if not chosen and kind.endswith("page") else count
        if kind == NO_DIGITS:
            drawn = {name: _empty(name, hand, own, seed) for name in names}
        else:
            drawn = {n: pages.sheets(_drawn(kind), n, hand, own, seed=seed, strength=strength) for n in names}
        reader = read_one if kind == "known digit" else read
        yield TITLES[kind], [read_all(name, sheets, reader) for name, sheets in drawn.items()]


def _empty(subject: str, hand: Hand, count: int, seed: int) -> Iterable[pages.Sheet]:
    for number in range(count):
        yield pages.make(subject, ON_EMPTY[number % len(ON_EMPTY)], hand, seed=seed, number=number)


def read_all(name: str, sheets: Iterable[pages.Sheet], read: Read) -> Row:
    """Read pictures and score them -> Row.  Nothing is read on a picture that raises DataError."""
    scores: list[Score] = []
    seconds: list[float] = []
    misread: list[Misread] = []
    for sheet in sheets:
        started = time.perf_counter()
        digits = _read(read, sheet.picture)
        seconds.append(time.perf_counter() - started)
        scores.append(score(digits, sheet.digits))
        if not scores[-1].strings and len(misread) < MOST_MISREAD:
            misread.append(Misread(sheet.picture, sheet.text, text_of(digits)))
    return Row(name, total(scores), 1000 * float(np.median(seconds)) if seconds else 0.0, misread)


@dataclass(frozen=True)
class HandedIn:
    """Data-set images read as pictures of one digit.

    n; accuracy: of the images themselves, 0..1; points_lost: for each kind of pictures, how many points of accuracy
    less, when they are known to hold one digit and when digits are looked for; misread: pictures of the latter.
    """

    n: int
    accuracy: float
    points_lost: dict[str, tuple[float, float]]
    misread: dict[str, list[Misread]]

    def to_json(self) -> dict[str, Any]:
        """Return plain Python values, without the pictures."""
        lost = {name: {"known to be one": one, "looked for": found} for name, (one, found) in self.points_lost.items()}
        return {"n": self.n, "accuracy": self.accuracy, "points_lost": lost}

    def to_text(self) -> str:
        """Return a table."""
        low, high = accuracy_interval(round(self.n * self.accuracy), self.n)
        lines = [
            f"{self.n:,} test images: {self.accuracy:.2%} ({low:.2%} to {high:.2%}); points lost as pictures",
            f"{'':<27}{'known to be one':>16}{'looked for':>12}",
        ]
        return "\n".join([*lines, *(f"{k:<27}{one:>16.2f}{found:>12.2f}" for k, (one, found) in self._rows())])

    def _rows(self) -> list[tuple[str, tuple[float, float]]]:
        """Return the rows, and the mean of all."""
        one, found = np.mean(list(self.points_lost.values()), axis=0).tolist()
        return [*self.points_lost.items(), ("mean", (one, found))]


def measure_handed_in(
    read: Read, read_one: Read, predicted: Ints, images: Bytes, labels: Ints, *, seed: int = 0
) -> HandedIn:
    """Read images (N,28,28) uint8, ink high, handed in as pictures of many kinds -> HandedIn.

    read: reads any picture, and is right with exactly that digit; read_one: reads pictures known to hold one digit.
    predicted (N,): what the network reads in the images themselves; labels (N,).  A picture in which nothing is found
    counts as misread.
    """
    accuracy = float(np.mean(predicted == labels))
    lost: dict[str, tuple[float, float]] = {}
    misread: dict[str, list[Misread]] = {}
    for name, hand_in in HANDED_IN.items():
        right = np.zeros((len(images), 2), bool)
        misread[name] = []
        for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            picture = hand_in(image, np.random.default_rng([seed, i]))
            texts = [text_of(_read(reader, picture)) for reader in (read_one, read)]
            right[i] = [text == str(label) for text in texts]
            if not right[i, 1] and predicted[i] == label and len(misread[name]) < MOST_MISREAD:
                misread[name].append(Misread(picture, str(label), texts[1]))
        one, found = (100 * (accuracy - right.mean(axis=0))).tolist()
        lost[name] = one, found
    return HandedIn(len(images), accuracy, lost, misread)


def summed(rows: Sequence[Row], name: str) -> Row:
    """Return the row of all rows together."""
    return Row(name, total(row.score for row in rows), float(np.median([row.milliseconds for row in rows])))


def _read(read: Read, picture: Bytes) -> Sequence[ReadDigit]:
    try:
        return read(picture)
    except DataError:
        return []


HEAD = f"{'':<18}{'n':>5}{'digits right, %':>23}{'strings':>8}{'sure':>7}{'wrong':>6}{'made up':>8}{'ms':>5}"
LEGEND = """digits right: in order, with the 95% interval; strings: pictures of which all is
right, %; sure: all right and sure, %; wrong: digits that are sure, but wrong or
made up; made up: digits read for each picture where none is"""


def to_text(title: str, rows: Sequence[Row]) -> str:
    """Return a table with its title and column names; `LEGEND` explains them."""
    shown = [*rows, summed(rows, "all")] if len(rows) > 1 else rows
    return "\n".join([f"{title}", HEAD, *(_line(row) for row in shown)])


def _line(row: Row) -> str:
    found = row.score.to_json()
    digits, strings, sure = found["digits_right"], found["strings_right"], found["texts_right"]
    right = ""
    if digits:
        low, high = digits["interval"]
        right = f"{100 * digits['share']:.1f} ({100 * low:.1f} to {100 * high:.1f})"
    cells = f"{100 * strings['share']:.1f}", f"{100 * sure['share']:.1f}", f"{row.score.sure_wrong}"
    made_up = f"{found['made_up_per_picture']:.2f}"
    left = f"{row.name:<18}{row.score.pictures:>5}{right:>23}"
    return f"{left}{cells[0]:>8}{cells[1]:>7}{cells[2]:>6}{made_up:>8}{row.milliseconds:>5.0f}"
