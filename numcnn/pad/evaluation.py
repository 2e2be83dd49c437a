"""How well a network reads what people draw: digits of unseen writers, rows of digits, and non-digits.

Digits are drawn stroke by stroke on the pad's own canvas.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from numcnn.data import mixture, nondigits
from numcnn.data.pendigits import PenDigits
from numcnn.data.rows import make_lines, make_row
from numcnn.errors import DataError
from numcnn.evaluation import metrics
from numcnn.evaluation.calibration import Threshold
from numcnn.imaging import misuse, scanners
from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Bytes, Ints
from numcnn.nn.network import Network
from numcnn.pad.canvas import Canvas
from numcnn.recognition.reading import Recognizer
from numcnn.recognition.spots import Judge

SHEET = 500
MOST_IN_A_ROW = 6
ROWS = {"in_rows": 1, "in_two_lines": 2, "in_three_lines": 3}
ANY = Threshold()  # every answer is sure
LATE = 0.1  # fraction of barred digits whose bar is drawn after the next digit


def drawn(strokes: Sequence[npt.ArrayLike], judge: Judge | None = None) -> Canvas:
    """Draw strokes, (n,2) each, one by one on a new canvas.  judge: see ``Canvas``."""
    canvas = Canvas(SHEET, SHEET, judge)
    for points in strokes:
        canvas.stroke(points)
    return canvas


def prepared(people: PenDigits) -> Bytes:
    """Draw each pen digit on a canvas of its own -> what the network sees, (N,28,28)."""
    return np.stack([_prepared_digit(i, strokes) for i, strokes in enumerate(people.strokes)])


def _prepared_digit(i: int, strokes: Sequence[npt.ArrayLike]) -> Bytes:
    image = drawn(strokes).prepared()
    if image is None:
        raise DataError(f"pen digit {i} has no points; leave it out")
    return image


class Score(NamedTuple):
    """digits: how many; right: of them; drawings: how many; whole: those in which every digit is right and in order."""

    digits: int
    right: int
    drawings: int
    whole: int


def rows(network: Network, people: PenDigits, count: int, seed: int = 0, lines: int = 1) -> Score:
    """Read ``count`` drawings of so many lines, each of 2 to 6 digits, each drawing by one writer.

    A digit is correct if exactly its strokes were grouped, and read as its label.
    """
    rng, right, total, whole = np.random.default_rng([seed, 6]), 0, 0, 0
    judge = Recognizer(network).judge
    for _ in range(count):
        own = np.flatnonzero(people.writers == rng.choice(people.writers))
        digits = [_some(people, own, rng) for _ in range(lines)]
        strokes, labels, owners = make_row(digits[0], rng, LATE) if lines == 1 else make_lines(digits, rng, LATE)
        canvas = drawn(strokes, judge)
        answers = network.predict(np.stack(canvas.digits())).tolist()
        found = list(zip(canvas.groups(), answers, canvas.lines(), strict=True))
        line_of = [number for number, line in enumerate(digits) for _ in line]
        strokes_of = [tuple(np.flatnonzero(np.array(owners) == k).tolist()) for k in range(len(labels))]
        wanted = list(zip(strokes_of, labels, line_of, strict=True))
        right += len({digit[:2] for digit in wanted} & {digit[:2] for digit in found})
        total += len(wanted)
        whole += found == wanted
    return Score(total, right, count, whole)


def _some(people: PenDigits, own: Ints, rng: np.random.Generator) -> list[tuple[Strokes, int]]:
    """Return strokes and label of 2 to 6 digits of a writer, chosen at random from their rows ``own``."""
    chosen = rng.choice(own, min(len(own), rng.integers(2, MOST_IN_A_ROW + 1)), replace=False)
    return [(people.strokes[i], int(people.labels[i])) for i in chosen]


def refusals(network: Network, digits: Bytes, count: int, threshold: Threshold, seed: int = 7) -> dict[str, float]:
    """Return the fraction, 0..1, answered with "not sure": of digits (N,28,28) and of two kinds of non-digits.

    "known kinds" are those that the shipped network learns from, newly drawn; "other kinds" have nothing in common with
    them; ``count`` of each.
    """
    pictures = {
        "digits": digits,
        "known kinds": nondigits.generate(count, seed),
        "other kinds": nondigits.generate(count, seed, held_out=True),
    }
    sure = {name: threshold.sure(network.predict_proba(some)) for name, some in pictures.items()}
    return {name: float(1 - each.mean()) for name, each in sure.items()}


def people_for(network: Network) -> tuple[tuple[int, ...], str]:
    """Return the numbers of the writers in UCI's pen digits that a network was not trained on, and their role."""
    tested, validated = mixture.not_learned_by(network)
    return (tested, "people it did not learn from") if tested else (validated, "people who only set its threshold")


def measure(
    network: Network,
    people: PenDigits,
    scans: tuple[Bytes, Ints],
    *,
    who: str = "people",
    threshold: Threshold = ANY,
    row_count: int = 300,
    no_digits: int = 5000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure everything that the pad needs of a network -> a dict for JSON, accuracies with their intervals.

    people: the writers' digits; who: how the report names them.  scans: images (N,28,28) and labels (N,) of MNIST's,
    also read as other scanners would show them, and as misused input.  threshold: of a sure answer.
    row_count: drawings to read with one row, and as many with two and three; no_digits: non-digits of each kind.
    """
    (images, labels), pictures = scans, prepared(people)
    alone = network.evaluate(pictures, people.labels)
    in_rows = {name: rows(network, people, row_count, seed, lines) for name, lines in ROWS.items()}
    plain, lost = misuse.accuracy_drop(network, images, labels, seed)
    return {
        "people": len(np.unique(people.writers)),
        "who": who,
        "alone": {"accuracy": alone.accuracy, "interval": list(alone.interval), "n": alone.n},
        **{name: _share(score) for name, score in in_rows.items()},
        "not_sure": threshold._asdict(),
        "refused": refusals(network, pictures, no_digits, threshold),
        "rescanned": network.evaluate(scanners.rescanned(images, seed), labels).accuracy,
        "handed_in": {"accuracy": plain, "n": len(labels), "points_lost": lost},
    }


def _share(score: Score) -> dict[str, Any]:
    interval = list(metrics.accuracy_interval(score.right, score.digits))
    accuracy, whole = score.right / score.digits, score.whole / score.drawings
    return {"accuracy": accuracy, "interval": interval, "n": score.digits, "drawings": score.drawings, "whole": whole}


def to_text(found: dict[str, Any]) -> str:
    """Return the result of `measure` as a table of at most 80 columns."""
    lines = [f"drawn with a pen by {found['people']} {found['who']}"]
    for name, key in (("digits alone", "alone"), *((key.replace("_", " "), key) for key in ROWS)):
        low, high = found[key]["interval"]
        interval = f"(95% interval {low:.2%} to {high:.2%}; {found[key]['n']:,} digits)"
        lines.append(f"{name:<25}{found[key]['accuracy']:>7.2%}  {interval}")
    whole = ", ".join(f"{found[key]['whole']:.1%}" for key in ROWS)
    lines.append(f"drawings without any mistake, in one row, two and three: {whole}")
    lines += ["", f'answered with "not sure": {Threshold(**found["not_sure"])}']
    lines += [f"{name:<25}{share:>7.2%}" for name, share in found["refused"].items()]
    handed_in = found["handed_in"]
    lines += ["", f"{handed_in['n']:,} pictures as other scanners show them: {found['rescanned']:.2%}"]
    lines += ["", f"{handed_in['n']:,} pictures used correctly: {handed_in['accuracy']:.2%}; points lost if"]
    lines += [f"{name:<25}{points:>7.2f}" for name, points in handed_in["points_lost"].items()]
    return "\n".join(lines)
