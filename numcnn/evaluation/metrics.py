"""Figures of merit: accuracy with its interval, loss, precision and recall by class, confusion, robustness."""

import functools
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from numcnn.errors import DataError, ShapeError
from numcnn.evaluation.calibration import Risk, Threshold, risks
from numcnn.kernels.arrays import AnyArray, Bools, Floats, Ints

Z95 = 1.959963984540054  # 97.5% point of the normal distribution: two-sided 95%
# The same of Student's distribution with 1, 2, 3 ... degrees of freedom; beyond these it hardly falls any further.
T95 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
TEXT_WIDTH = 80
BINS = 15  # of probabilities, as in the papers on calibration


@dataclass(frozen=True)
class ClassScores:
    """One class: precision, recall and F1 are 0..1, support is the number of examples that truly belong to it."""

    label: int
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class CalibrationBin:
    """The answers with a probability from ``low`` to ``high``: count, mean probability, accuracy."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of an evaluation.  accuracy 0..1 with its 95% interval (low, high); confusion (C,C), rows are true.

    calibration: the bins in use; calibration_error (0..1): expected calibration error; probabilities (N,C): the input;
    right (N,): which were read correctly.
    """

    accuracy: float
    n: int
    loss: float
    interval: tuple[float, float]
    confusion: Ints
    per_class: list[ClassScores]
    calibration: list[CalibrationBin]
    calibration_error: float
    probabilities: Floats
    right: Bools

    @functools.cached_property
    def risks(self) -> list[Risk]:
        """How many answers are wrong if only the most certain count; computed when it is asked for."""
        return risks(np.minimum(self.probabilities.max(axis=1), 1), self.right)

    def answered(self, threshold: Threshold) -> "Answered":
        """Return what happens if only sure answers are given."""
        sure = threshold.sure(self.probabilities)
        return Answered(threshold, self.n, int(sure.sum()), int((sure & self.right).sum()))

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain Python values; a loss that is not finite becomes None, as JSON can't hold it."""
        return {
            "accuracy": self.accuracy,
            "n": self.n,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "interval": list(self.interval),
            "calibration_error": self.calibration_error,
            "calibration": [asdict(some) for some in self.calibration],
            "per_class": [asdict(scores) for scores in self.per_class],
            "confusion": self.confusion.tolist(),
            "coverage_risk": [
                {"threshold": row.threshold, "answered": row.answered / row.n, "wrong": row.wrong / row.answered}
                for row in self.risks
            ],
        }

    def to_text(self) -> str:
        """Return a table of at most 80 columns; the confusion matrix is left out where it would be wider."""
        low, high = self.interval
        correct = int(np.trace(self.confusion))
        parts = [
            f"accuracy  {self.accuracy:.2%}  (95% interval {low:.2%} to {high:.2%}; {correct:,} of {self.n:,} right)\n"
            f"loss      {self.loss:.4f}\n"
            f"ECE       {self.calibration_error:.2%}  (expected calibration error of the probabilities, {BINS} bins)",
            _scores_table(self.per_class),
            _confusion_table(self.confusion),
            _confusions_line(self.confusion),
        ]
        return "\n\n".join(part for part in parts if part)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        low, high = self.interval
        rate = f"accuracy {self.accuracy:.2%} (95% interval {low:.2%} to {high:.2%})"
        return f"<Evaluation of {self.n:,} images: {rate}, loss {self.loss:.4f}>"

    def _repr_html_(self) -> str:
        """Return the headline, the scores of each class and the confusion matrix as HTML, which notebooks show."""
        scores = [
            (one.label, f"{one.precision:.2%}", f"{one.recall:.2%}", f"{one.f1:.2%}", f"{one.support:,}")
            for one in self.per_class
        ]
        labels = range(len(self.confusion))
        confusion = [(label, *(f"{count:,}" for count in row)) for label, row in enumerate(self.confusion)]
        return (
            f"<p>{html.escape(repr(self)[1:-1])}</p>"
            f"{_html_table(('class', 'precision', 'recall', 'F1', 'images'), scores)}"
            f"<p>a row for each true class, a column for what it was read as</p>"
            f"{_html_table(('true', *labels), confusion)}"
        )


def _html_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
    return f"<table>{''.join(lines)}</table>"


@dataclass(frozen=True)
class Answered:
    """Of ``n`` pictures, ``given`` were answered, because these are sure; ``right`` of them correctly."""

    threshold: Threshold
    n: int
    given: int
    right: int

    def to_json(self) -> dict[str, float | None]:
        """Return shares, 0..1, by name; the accuracy is None when nothing was answered."""
        return {
            "certainty": self.threshold.certainty,
            "probability": self.threshold.probability,
            "refused": 1 - self.given / self.n,
            "accuracy": self.right / self.given if self.given else None,
        }

    def to_text(self) -> str:
        """Return one or two lines; none if every answer counts as sure."""
        if not self.threshold.refuses:
            return ""
        if not self.given:
            return f"not sure of any picture: {self.threshold}"
        low, high = accuracy_interval(self.right, self.given)
        count = "1 answer" if self.given == 1 else f"{self.given:,} answers"
        return (
            f"sure      {self.right / self.given:.2%} right  (95% interval {low:.2%} to {high:.2%}; {count})\n"
            f"not sure  {1 - self.given / self.n:.2%}  ({self.threshold})"
        )


@dataclass(frozen=True)
class Rate:
    """An accuracy, 0..1, with its 95% interval (low, high)."""

    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Robustness:
    """Accuracy on n images as they are (clean), under each corruption by name, and the mean over the corruptions."""

    n: int
    clean: Rate
    corruptions: dict[str, Rate]
    mean: Rate

    def to_json(self) -> dict[str, Any]:
        """Return a dict of plain Python values."""
        return asdict(self)

    def to_text(self) -> str:
        """Return a table of at most 80 columns."""
        rows = {"clean": self.clean, **self.corruptions, f"mean of {len(self.corruptions)}": self.mean}
        lines = [f"corruption      accuracy   95% interval  ({self.n:,} images each)"]
        for name, rate in rows.items():
            low, high = rate.interval
            lines.append(f"{name.replace('_', ' '):<15} {rate.accuracy:8.2%}   {low:.2%} to {high:.2%}")
        return "\n".join(lines)


def percent(probability: float) -> str:
    """Format a probability in per cent, without rounding it to 100% or 0%."""
    return ">99.9%" if probability > 0.9995 else "<0.1%" if probability < 0.0005 else f"{probability:.1%}"


def evaluation(labels: npt.ArrayLike, probabilities: npt.ArrayLike, loss: float | None = None) -> Evaluation:
    """Compare labels (N,) with probabilities (N,C) and return an ``Evaluation``.

    The default ``loss`` is the mean of -log(probability of the true class), where a probability of 0 counts as the
    smallest positive number of its dtype.  Raises ShapeError for shapes and dtypes, DataError for values out of range.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.dtype.kind != "f":
        raise ShapeError(f"probabilities: got {probabilities.dtype} {probabilities.shape}; wants float (N, C)")
    _check_classes("labels", labels, probabilities.shape[1])
    if len(labels) != len(probabilities):
        raise ShapeError(f"evaluation: got {len(labels)} labels and {len(probabilities)} rows of probabilities")
    if not np.all(np.isfinite(probabilities)):
        raise DataError("probabilities: contain NaN or infinity; the network that made them has diverged")
    if probabilities.min() < 0 or np.abs(probabilities.sum(axis=1) - 1).max() > 1e-3:
        raise DataError("probabilities: each row wants numbers >= 0 that sum to 1; apply softmax to logits first")
    if loss is None:
        of_truth = probabilities[np.arange(len(labels)), labels]
        smallest = np.finfo(probabilities.dtype).tiny
        loss = -float(np.mean(np.log(np.maximum(of_truth, smallest)), dtype=np.float64))
    confusion = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
    bins = calibration_bins(labels, probabilities)
    n, correct = len(labels), int(np.trace(confusion))
    right = probabilities.argmax(axis=1) == labels
    return Evaluation(
        accuracy=correct / n,
        n=n,
        loss=float(loss),
        interval=accuracy_interval(correct, n),
        confusion=confusion,
        per_class=classification_report(confusion),
        calibration=bins,
        calibration_error=sum(some.n * abs(some.accuracy - some.confidence) for some in bins) / n,
        probabilities=probabilities,
        right=right,
    )


def mistakes(labels: Ints, probabilities: Floats) -> Ints:
    """Return which of N examples are misread (k,), the most confident first.  labels (N,), probabilities (N,C)."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]


def robustness(clean: Bools, corrupted: Mapping[str, Bools]) -> Robustness:
    """Return a ``Robustness``.  clean (N,): which images were read correctly; corrupted: name -> the same (N,).

    The mean's interval comes from each image's mean over the corruptions, since an image that is hard under one
    corruption is hard under others.  Raises DataError if there are no images or no corruptions.
    """
    n = len(clean)
    if not n or not corrupted:
        raise DataError(f"robustness: got {n} images and {len(corrupted)} corruptions; wants 1 or more")
    by_image = np.mean(list(corrupted.values()), axis=0)
    mean, half = float(by_image.mean()), Z95 * float(by_image.std(ddof=1)) / math.sqrt(n) if n > 1 else 1.0
    return Robustness(
        n=n,
        clean=_rate(clean),
        corruptions={name: _rate(right) for name, right in corrupted.items()},
        mean=Rate(mean, (max(0.0, mean - half), min(1.0, mean + half))),
    )


def _rate(right: Bools) -> Rate:
    correct = int(np.sum(right))
    return Rate(correct / len(right), accuracy_interval(correct, len(right)))


def calibration_bins(labels: Ints, probabilities: Floats, count: int = BINS) -> list[CalibrationBin]:
    """Sort answers by their probability into ``count`` equal bins of 0..1.  Return the bins that have any.

    labels (N,), probabilities (N,C).  The mean distance between accuracy and confidence, weighted by n, is the
    expected calibration error (Naeini et al. 2015, Guo et al. 2017).
    """
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * count).astype(int) - 1, 0, count - 1)  # a boundary belongs to the bin below it
    return [
        CalibrationBin(
            low=k / count,
            high=(k + 1) / count,
            n=int((place == k).sum()),
            confidence=float(confidence[place == k].mean()),
            accuracy=float(right[place == k].mean()),
        )
        for k in range(count)
        if (place == k).any()
    ]


def confusion_matrix(labels: npt.ArrayLike, predicted: npt.ArrayLike, classes: int = 10) -> Ints:
    """Count how often class i was read as j.  labels, predicted (N,) integers 0..C-1 -> int64 (C,C), rows true.

    Raises ShapeError for unequal lengths, another rank or dtype, and DataError for no examples or labels out of range.
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    _check_classes("labels", labels, classes)
    _check_classes("predicted", predicted, classes)
    if len(labels) != len(predicted):
        raise ShapeError(
            f"confusion_matrix: got {len(labels)} labels and {len(predicted)} predictions; wants one for each"
        )
    pairs = labels.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def classification_report(confusion: npt.ArrayLike) -> list[ClassScores]:
    """Return the ``ClassScores`` of each class.  confusion (C,C), rows true -> list of C.

    precision = right / predicted as this class, recall = right / truly this class, F1 = their harmonic mean.  A ratio
    with denominator 0 is 0, as in scikit-learn.
    """
    counts = _check_confusion(confusion)
    right = np.diag(counts)
    predicted, support = counts.sum(axis=0), counts.sum(axis=1)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(predicted + support, 1)  # = 2 precision recall / (precision + recall)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    return [ClassScores(label, *scores) for label, scores in enumerate(zip(*columns, strict=True))]


def accuracy_interval(correct: float, n: float) -> tuple[float, float]:
    """Return the 95% Wilson score interval (low, high) of an accuracy of ``correct`` out of ``n``, both within 0..1.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).  Unlike
    accuracy +- 1.96 standard errors it stays inside 0..1 and keeps its level near 100%, where digit classifiers are.
    Raises DataError unless 0 <= correct <= n and n >= 1.
    """
    if not (n >= 1 and 0 <= correct <= n):
        raise DataError(f"accuracy_interval: got {correct} right of {n}; wants 0 <= correct <= n and n >= 1")
    share, z2 = correct / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # At the ends the exact limits are 0 and 1; rounding must not leave them at 1e-17.
    low = 0.0 if correct == 0 else max(0.0, middle - reach)
    high = 1.0 if correct == n else min(1.0, middle + reach)
    return low, high


def spread(results: npt.ArrayLike, most: float = math.inf) -> dict[str, Any]:
    """Return mean, standard deviation, minimum and maximum of two or more results, and the mean's 95% interval.

    The interval is Student's (1908), for few results of a normal distribution, cut to the possible range 0..most.
    Raises DataError for fewer than two.
    """
    values = np.asarray(results, np.float64)
    n = len(values)
    if n < 2:
        raise DataError(f"spread: got {n} values; wants 2 or more")
    mean, std = float(values.mean()), float(values.std(ddof=1))
    half = T95[min(n - 1, len(T95)) - 1] * std / math.sqrt(n)
    return {
        "n": n,
        "mean": mean,
        "std": std,
        "min": float(values.min()),
        "max": float(values.max()),
        "interval": [max(0.0, mean - half), min(float(most), mean + half)],
    }


def top_confusions(confusion: npt.ArrayLike, k: int) -> list[tuple[int, int, int]]:
    """Return the k most frequent mistakes, or all if fewer, as (true, predicted, count), most frequent first."""
    mistakes = _check_confusion(confusion).copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[: max(0, k)]
    rows, columns = np.unravel_index(order, mistakes.shape)
    counts = mistakes[rows, columns]
    triples = zip(rows.tolist(), columns.tolist(), counts.tolist(), strict=True)
    return [triple for triple in triples if triple[2] > 0]


def _check_classes(name: str, values: AnyArray, classes: int) -> None:
    if values.ndim != 1 or values.dtype.kind not in "ui":
        raise ShapeError(f"{name}: got {values.dtype} {values.shape}; wants whole numbers (N,)")
    if values.size == 0:
        raise DataError(f"{name}: there are none; nothing to evaluate")
    if values.min() < 0 or values.max() >= classes:
        raise DataError(
            f"{name}: run from {values.min()} to {values.max()}; wants 0 to {classes - 1} for {classes} classes"
        )


def _check_confusion(confusion: npt.ArrayLike) -> Ints:
    counts = np.asarray(confusion)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "ui":
        raise ShapeError(f"confusion: got {counts.dtype} {counts.shape}; wants whole numbers (C, C)")
    return counts.astype(np.int64)


def _scores_table(per_class: Sequence[ClassScores]) -> str:
    lines = ["class  precision   recall       F1    images"]
    for scores in per_class:
        rates = f"{scores.precision:9.2%}  {scores.recall:7.2%}  {scores.f1:7.2%}"
        if scores.support == 0:  # a class without images has no scores
            rates = f"{'-':>9}  {'-':>7}  {'-':>7}"
        lines.append(f"{scores.label:5d}  {rates}  {scores.support:8,}")
    present = [scores for scores in per_class if scores.support]
    means = [np.mean([getattr(scores, name) for scores in present]) for name in ("precision", "recall", "f1")]
    total = sum(scores.support for scores in per_class)
    lines.append(f" mean  {means[0]:9.2%}  {means[1]:7.2%}  {means[2]:7.2%}  {total:8,}")
    return "\n".join(lines)


def _confusion_table(confusion: Ints) -> str:
    width = max(5, len(str(confusion.max())) + 1)
    lines = ["true" + "".join(f"{label:{width}d}" for label in range(len(confusion)))]
    for label, row in enumerate(confusion):
        lines.append(f"{label:4d}" + "".join(f"{count if count else '.':>{width}}" for count in row))
    if len(lines[0]) > TEXT_WIDTH:
        return ""
    return "\n".join(["confusion: a row for each true class, a column for what it was read as", *lines])


def _confusions_line(confusion: Ints) -> str:
    mistakes = [f"{true} as {read} ({count:,})" for true, read, count in top_confusions(confusion, 5)]
    return "most frequent: " + ", ".join(mistakes) if mistakes else ""
