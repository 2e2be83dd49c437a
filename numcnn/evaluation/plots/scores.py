"""Figures of an evaluation: confusion matrix, scores by class, reliability, accuracy under corruptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numcnn.errors import DataError, ShapeError
from numcnn.evaluation.calibration import Risk
from numcnn.evaluation.metrics import Answered, CalibrationBin, ClassScores, Robustness, accuracy_interval
from numcnn.evaluation.plots.style import (
    BLUE,
    GRID,
    INK,
    LIGHT,
    MUTED,
    ORANGE,
    PALE_BLUE,
    PALETTE,
    WARNING,
    add_picture,
    clean,
    flat_color,
    frame,
    legend_below,
    new_figure,
    number_format,
    square_root_scale,
)
from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Axes, Figure

MISTAKES = "Oranges"  # one hue, light to dark: readable in grey too


def confusion_plot(confusion: AnyArray, title: str = "Confusion matrix") -> Figure:
    """Draw a confusion matrix (C,C), rows true.  Colour is a mistake's share of its row; the right margin is recall."""
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.size == 0:
        raise ShapeError(f"confusion_plot: got shape {confusion.shape}; wants (C, C)")
    classes = len(confusion)
    share = confusion / np.maximum(confusion.sum(axis=1), 1)[:, None]
    diagonal = np.eye(classes, dtype=bool)
    # The diagonal has its own flat colour, so that the scale shows mistakes only.  Its square root keeps single
    # mistakes visible beside frequent ones.
    mistakes = np.ma.array(share, mask=diagonal | (confusion == 0))
    worst = max(share[~diagonal].max(initial=0), 0.005)

    side = min(max(0.56 * classes + 1.2, 3.6), 18)
    figure = new_figure(1.22 * side + 0.7, side)
    axes = figure.add_subplot()
    axes.imshow(np.where(diagonal, 1.0, np.nan), cmap=flat_color(PALE_BLUE))
    image = axes.imshow(mistakes, cmap=MISTAKES, norm=square_root_scale(worst))
    _write_counts(axes, confusion, share, worst, size=min(10, 18 * side / classes))  # a quarter of a cell, in points
    axes.set_xticks(range(classes), map(str, range(classes)))
    axes.set_yticks(range(classes), map(str, range(classes)))
    axes.set_xlabel("read as")
    axes.set_ylabel("true class")
    axes.hlines(np.arange(classes + 1) - 0.5, -0.5, classes - 0.5, color=GRID, linewidth=0.8)
    axes.vlines(np.arange(classes + 1) - 0.5, -0.5, classes - 0.5, color=GRID, linewidth=0.8)
    clean(axes, title, grid=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.12, format=number_format(100, "%"))
    bar.set_label("mistakes, share of the true class", color=MUTED)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0)
    return figure


def _write_counts(axes: Axes, confusion: AnyArray, share: Floats, worst: float, size: float) -> None:
    """Write each cell's count, readable on its colour, and the recall of each row at its right."""
    classes = len(confusion)
    for row, column in np.ndindex(classes, classes):
        count, right = confusion[row, column], row == column
        dark = not right and share[row, column] > 0.36 * worst  # 0.6 of the scale, after the square root
        color = "white" if dark else INK if count else LIGHT
        weight = "bold" if right else "normal"
        axes.text(column, row, str(count), ha="center", va="center_baseline", size=size, color=color, weight=weight)
    for row in range(classes):
        recall = f"{share[row, row]:.1%}" if confusion[row].any() else "-"
        axes.text(classes - 0.35, row, recall, va="center_baseline", size=size, color=MUTED)
    axes.text(classes - 0.35, -0.75, "recall", va="center", size=size, color=MUTED)


def per_class_plot(per_class: Sequence[ClassScores], title: str = "Scores by class") -> Figure:
    """Draw precision, recall and F1 of each class that has images as dots.  Raises DataError if no class has any."""
    per_class = [scores for scores in per_class if scores.support]
    if not per_class:
        raise DataError("per_class_plot: there are no classes to draw")
    figure = new_figure(7, max(2.6, 0.36 * len(per_class) + 1.5))
    axes = figure.add_subplot()
    rows = np.arange(len(per_class))
    scores = np.array([(s.precision, s.recall, s.f1) for s in per_class]) * 100
    axes.hlines(rows, scores.min(axis=1), scores.max(axis=1), color=LIGHT, linewidth=2, zorder=1)
    looks = (("precision", "o", BLUE), ("recall", "s", ORANGE), ("F1", "D", PALETTE[5]))
    for (name, marker, color), values in zip(looks, scores.T, strict=True):
        axes.scatter(values, rows, s=26 if marker == "D" else 40, marker=marker, color=color, label=name, zorder=2)
    axes.set_yticks(rows, [f"{s.label}  ({s.support:,})" for s in per_class])
    axes.set_ylabel("class (images)")
    axes.set_ylim(len(per_class) - 0.4, -0.6)
    margin = max(0.1, 0.04 * (100 - scores.min()))
    axes.set_xlim(scores.min() - margin, 100 + margin)
    axes.set_xlabel("%")
    clean(axes, title)
    legend_below(figure, axes)
    return figure


def reliability_plot(
    bins: Sequence[CalibrationBin], error: float, title: str = "Probability and accuracy of the answers"
) -> Figure:
    """Draw accuracy over predicted probability, and below it how many answers each bin has.

    error: the expected calibration error, 0..1.
    """
    figure = new_figure(6.4, 6.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence = 100 * np.array([some.confidence for some in bins])
    accuracy = 100 * np.array([some.accuracy for some in bins])
    upper.plot((0, 100), (0, 100), color=MUTED, linestyle="--", linewidth=1, label="perfectly calibrated")
    intervals = np.array([accuracy_interval(round(some.n * some.accuracy), some.n) for some in bins])
    bars = np.abs(100 * intervals.T - accuracy)
    look = {"fmt": "o", "color": BLUE, "markersize": 6, "elinewidth": 1.4, "capsize": 3, "clip_on": False}
    upper.errorbar(confidence, accuracy, yerr=bars, label="answers, with 95% interval", **look)
    upper.set_ylabel("right, %")
    upper.set_ylim(-3, 103)
    clean(upper, f"{title}\nexpected calibration error {error:.2%}")
    upper.legend(frameon=False, labelcolor=INK, loc="lower right")
    width = 100 * (bins[0].high - bins[0].low)
    lower.bar([50 * (some.low + some.high) for some in bins], [some.n for some in bins], 0.85 * width, color=BLUE)
    lower.set_yscale("log")
    lower.set_ylabel("answers")
    lower.set_xlabel("probability of the answer, %")
    lower.set_xlim(0, 100)
    clean(lower, "")
    return figure


def coverage_risk_plot(
    rows: Sequence[Risk], answered: Answered, title: str = "Wrong answers, if only the most probable count"
) -> Figure:
    """Draw the share of wrong answers over the share of pictures that are answered, the most probable first.

    rows: ``Evaluation.risks``.  answered: of the same evaluation; the sure answers are marked if any can be not sure.
    """
    figure = new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    ordered = sorted(rows, key=lambda row: row.answered)
    given = 100 * np.array([row.answered / row.n for row in ordered])
    wrong = 100 * np.array([row.wrong / row.answered for row in ordered])
    intervals = 100 * np.array([accuracy_interval(row.wrong, row.answered) for row in ordered]).T
    axes.fill_between(given, *intervals, color=BLUE, alpha=0.15, linewidth=0, label="95% interval")
    axes.plot(given, wrong, color=BLUE, marker="o", markersize=4, linewidth=1.6, label="wrong answers")
    if answered.threshold.refuses and answered.given:
        at = 100 * answered.given / answered.n, 100 - 100 * answered.right / answered.given
        axes.plot(*at, color=INK, marker="D", markersize=6, linestyle="none", label="sure answers, by certainty")
    axes.set_xlabel("answered, % of the pictures")
    axes.set_ylabel("wrong, % of the answers")
    axes.set_ylim(bottom=0)
    clean(axes, title)
    axes.legend(frameon=False, labelcolor=INK, loc="upper left")
    return figure


def corruption_plot(
    found: Robustness,
    examples: Mapping[str, tuple[Bytes, Ints]],
    labels: Ints,
    title: str = "Accuracy on corrupted pictures",
) -> Figure:
    """Draw a ``metrics.Robustness``: under each corruption some pictures and a bar of its accuracy, the best first.

    examples: name -> (pictures (k,H,W) uint8, predictions (k,)), "identity" among them; labels (k,).  Misread pictures
    have a frame and the predicted class.
    """
    rates = {"identity": found.clean, **dict(sorted(found.corruptions.items(), key=lambda row: -row[1].accuracy))}
    count, gap, bar = len(labels), 1.12, 4.0  # in pictures
    zero = count * gap + 0.25
    figure = new_figure(0.62 * (zero + bar + 3.6), 0.62 * gap * len(rates) + 1.1, title)
    axes = figure.add_subplot()
    for row, (name, rate) in enumerate(rates.items()):
        top = row * gap + (0.25 if row else 0)  # a gap below the clean pictures
        for column, (picture, read, label) in enumerate(zip(*examples[name], labels, strict=True)):
            add_picture(axes, picture, column * gap, top)
            if read != label:
                _mark_misread(axes, column * gap, top, str(read))
        text = "clean" if name == "identity" else name.replace("_", " ")
        look: dict[str, Any] = {"va": "center", "color": INK, "weight": "normal" if row else "bold"}
        axes.text(-0.18, top + 0.5, text, ha="right", **look)
        for width, color in ((bar, GRID), (bar * rate.accuracy, BLUE if row else MUTED)):
            axes.barh(top + 0.5, width, 0.5, left=zero, color=color)
        axes.text(zero + bar + 0.15, top + 0.5, f"{rate.accuracy:.1%}", ha="left", **look)
    mean, end = zero + bar * found.mean.accuracy, (len(rates) - 1) * gap + (0.25 if len(rates) > 1 else 0) + 1.1
    axes.plot((mean, mean), (gap + 0.25, end), color=INK, linestyle="--", linewidth=1.2)
    text = f"mean of {len(rates) - 1}: {found.mean.accuracy:.1%}"
    axes.text(mean, end + 0.1, text, ha="center", va="top", color=INK)
    axes.set_xlim(-2.3, zero + bar + 1.3)
    axes.set_ylim(end + 0.6, -0.1)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


def _mark_misread(axes: Axes, left: float, top: float, read: str) -> None:
    axes.add_patch(frame(left, top, color=WARNING, line=1.8))
    look = {"ha": "right", "va": "bottom", "size": 8, "weight": "bold", "color": "white"}
    box = {"boxstyle": "square,pad=0.15", "facecolor": WARNING, "edgecolor": "none"}
    axes.text(left + 0.96, top + 0.94, read, **look, bbox=box)
