"""Pictures of results: confusion matrix, scores by class, robustness, learning curves, gradients, contact sheets.

Every function returns a matplotlib Figure that ``save`` writes as PNG.  matplotlib is imported when the first one is
made, without pyplot: no display is needed and nothing of the caller's own plotting is touched.
"""

import dataclasses
import math

import numpy as np

from numcnn.errors import DataError, ShapeError
from numcnn.evaluation.metrics import accuracy_interval
from numcnn.files import atomic_write

# Okabe and Ito's colours, told apart with every common colour blindness; without their yellow, too pale on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
BLUE, ORANGE, GREEN = PALETTE[:3]
WARNING = "#D55E00"  # the palette's vermilion, kept for what failed
LINE_STYLES = ("-", "--", ":", "-.")  # after six lines the colours start again with the next style
INK, MUTED, GRID, PALE_BLUE = "#222222", "#767676", "#E4E4E4", "#D6E6F2"
MISTAKES = "Oranges"  # one hue, light to dark: readable in grey too
HEALTHY_UPDATE = (3e-4, 3e-3)  # update / weight ratio "around 1e-3": Karpathy, CS231n notes, "Ratio of weights:updates"
DPI = 150


def save(figure, path):
    """Write a figure as PNG, whole or not at all."""
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=DPI)


def confusion_plot(confusion, title="Confusion matrix"):
    """Draw a confusion matrix (C,C), rows true.  Colour is a mistake's share of its row; the right margin is recall."""
    from matplotlib.colors import PowerNorm

    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.size == 0:
        raise ShapeError(f"confusion_plot: got shape {confusion.shape}; wants (C, C)")
    classes = len(confusion)
    support = confusion.sum(axis=1)
    share = confusion / np.maximum(support, 1)[:, None]
    diagonal = np.eye(classes, dtype=bool)
    # The diagonal has its own flat colour, so that the scale is there for the mistakes alone.  Its square root keeps
    # single mistakes visible beside frequent ones.
    mistakes = np.ma.array(share, mask=diagonal | (confusion == 0))
    worst = max(share[~diagonal].max(initial=0), 0.005)

    side = min(max(0.56 * classes + 1.2, 3.6), 18)
    figure = _figure(1.22 * side + 0.7, side)
    axes = figure.add_subplot()
    axes.imshow(np.where(diagonal, 1.0, np.nan), cmap=_flat(PALE_BLUE))
    image = axes.imshow(mistakes, cmap=MISTAKES, norm=PowerNorm(0.5, vmin=0, vmax=worst))
    size = min(10, 18 * side / classes)  # a quarter of a cell, in points
    for row, column in np.ndindex(classes, classes):
        count, right = confusion[row, column], row == column
        dark = not right and share[row, column] > 0.36 * worst  # 0.6 of the scale, after the square root
        color = "white" if dark else INK if count else "#BBBBBB"
        weight = "bold" if right else "normal"
        axes.text(column, row, str(count), ha="center", va="center_baseline", size=size, color=color, weight=weight)
    axes.set_xticks(range(classes), range(classes))
    axes.set_yticks(range(classes), range(classes))
    axes.set_xlabel("read as")
    axes.set_ylabel("true class")
    for row in range(classes):
        recall = f"{share[row, row]:.1%}" if support[row] else "-"
        axes.text(classes - 0.35, row, recall, va="center_baseline", size=size, color=MUTED)
    axes.text(classes - 0.35, -0.75, "recall", va="center", size=size, color=MUTED)
    axes.hlines(np.arange(classes + 1) - 0.5, -0.5, classes - 0.5, color=GRID, linewidth=0.8)
    axes.vlines(np.arange(classes + 1) - 0.5, -0.5, classes - 0.5, color=GRID, linewidth=0.8)
    _clean(axes, title, grid=False)
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.12, format=_number_format(100, "%"))
    bar.set_label("mistakes, share of the true class", color=MUTED)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0)
    return figure


def per_class_plot(per_class, title="Scores by class"):
    """Draw precision, recall and F1 of each class as dots.  per_class: list of ``metrics.ClassScores``."""
    per_class = [scores for scores in per_class if scores.support]
    if not per_class:
        raise DataError("per_class_plot: there are no classes to draw")
    figure = _figure(7, max(2.6, 0.36 * len(per_class) + 1.5))
    axes = figure.add_subplot()
    rows = np.arange(len(per_class))
    scores = np.array([(s.precision, s.recall, s.f1) for s in per_class]) * 100
    axes.hlines(rows, scores.min(axis=1), scores.max(axis=1), color="#BBBBBB", linewidth=2, zorder=1)
    looks = (("precision", "o", BLUE), ("recall", "s", ORANGE), ("F1", "D", PALETTE[5]))
    for (name, marker, color), values in zip(looks, scores.T, strict=True):
        axes.scatter(values, rows, s=26 if marker == "D" else 40, marker=marker, color=color, label=name, zorder=2)
    axes.set_yticks(rows, [f"{s.label}  ({s.support:,})" for s in per_class])
    axes.set_ylabel("class (images)")
    axes.set_ylim(len(per_class) - 0.4, -0.6)
    margin = max(0.1, 0.04 * (100 - scores.min()))
    axes.set_xlim(scores.min() - margin, 100 + margin)
    axes.set_xlabel("%")
    _clean(axes, title)
    _legend_below(figure, axes)
    return figure


def reliability_plot(bins, error, title="How sure, and how often right"):
    """Draw accuracy over probability (``metrics.CalibrationBin``), and below it how many answers each bin has.

    error: the expected calibration error, 0..1.
    """
    figure = _figure(6.4, 6.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    confidence = 100 * np.array([some.confidence for some in bins])
    accuracy = 100 * np.array([some.accuracy for some in bins])
    upper.plot((0, 100), (0, 100), color=MUTED, linestyle="--", linewidth=1, label="as sure as it may be")
    intervals = np.array([accuracy_interval(round(some.n * some.accuracy), some.n) for some in bins])
    bars = np.abs(100 * intervals.T - accuracy)
    look = {"fmt": "o", "color": BLUE, "markersize": 6, "elinewidth": 1.4, "capsize": 3, "clip_on": False}
    upper.errorbar(confidence, accuracy, yerr=bars, label="answers, with 95% interval", **look)
    upper.set_ylabel("right, %")
    upper.set_ylim(-3, 103)
    _clean(upper, f"{title}\nexpected calibration error {error:.2%}")
    upper.legend(frameon=False, labelcolor=INK, loc="lower right")
    width = 100 * (bins[0].high - bins[0].low)
    lower.bar([50 * (some.low + some.high) for some in bins], [some.n for some in bins], 0.85 * width, color=BLUE)
    lower.set_yscale("log")
    lower.set_ylabel("answers")
    lower.set_xlabel("probability of the answer, %")
    lower.set_xlim(0, 100)
    _clean(lower, "")
    return figure


def learning_curves(rows, title=None):
    """Draw loss and accuracy over the epochs of a run.  rows: dicts of its CSV; empty and NaN values are left out."""
    epochs = _column(rows, "epoch")
    figure = _figure(10, 4, title)
    panels = figure.subplots(1, 2)
    for axes, name, factor in zip(panels, ("loss", "accuracy"), (1, 100), strict=True):
        for part, color, marker, label in (("train", BLUE, "o", "training"), ("val", ORANGE, "s", "validation")):
            values = factor * _column(rows, f"{part}_{name}")
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=color, marker=marker, markersize=4, linewidth=1.8, label=label)
        _epoch_axis(axes, epochs)
    _log_axis(panels[0])
    _clean(panels[0], "Loss")
    _legend_below(figure, panels[0])
    heading = "Accuracy (%)"
    validation = 100 * _column(rows, "val_accuracy")
    if np.isfinite(validation).any():
        best = int(np.nanargmax(validation))
        heading += f", best in validation {validation[best]:.2f} at epoch {epochs[best]:.0f}"
        look = {"marker": "o", "markersize": 11, "fillstyle": "none", "color": INK, "linestyle": "none"}
        panels[1].plot(epochs[best], validation[best], **look)
    _clean(panels[1], heading)
    return figure


def gradient_watch(rows, title=None):
    """Draw each layer's gradient norm, weight norm and update / weight ratio over the epochs.

    rows: dicts of the run's CSV with ``<layer>.gradient_norm``, ``<layer>.weight_norm`` and ``<layer>.update_ratio``.
    Raises DataError if there are no such columns.
    """
    epochs = _column(rows, "epoch")
    layers = [key.removesuffix(".update_ratio") for key in rows[0] if key.endswith(".update_ratio")]
    if not layers:
        raise DataError("gradient_watch: the log has no gradient columns; train with --watch-gradients")
    figure = _figure(12, 4.2, title)
    panels = figure.subplots(1, 3)
    kinds = (
        ("gradient_norm", "Gradient norm"),
        ("weight_norm", "Weight norm"),
        ("update_ratio", "Update / weight ratio"),
    )
    for axes, (kind, heading) in zip(panels, kinds, strict=True):
        for number, layer in enumerate(layers):
            values = _column(rows, f"{layer}.{kind}")
            values[values <= 0] = np.nan  # a log scale has no place for them
            style = LINE_STYLES[number // len(PALETTE) % len(LINE_STYLES)]
            look = {"color": PALETTE[number % len(PALETTE)], "linestyle": style, "linewidth": 1.6}
            axes.plot(epochs, values, marker="o", markersize=3.5, label=layer, **look)
        _epoch_axis(axes, epochs)
        _clean(axes, heading)
    panels[2].axhspan(*HEALTHY_UPDATE, color=GREEN, alpha=0.13, linewidth=0, label="healthy, about 1/1000", zorder=0)
    for axes in panels:
        _log_axis(axes)
    _legend_below(figure, panels[2])
    return figure


def gradcheck_plot(report):
    """Draw a ``gradients.GradientReport``: each array's largest error against the tolerance, and all values checked."""
    figure = _figure(11, max(3.8, 0.34 * len(report.rows) + 1.8))
    bars, scatter = figure.subplots(1, 2, width_ratios=(1.15, 1))
    figure.suptitle(report.title, color=INK, weight="bold", size=12)
    _error_bars(bars, report)
    _agreement(scatter, report)
    return figure


def _error_bars(axes, report):
    errors = np.array([row.max_error for row in report.rows], dtype=np.float64)
    drawable = np.where(np.isfinite(errors) & (errors > 0), np.clip(errors, 1e-20, 1e20), np.nan)
    known = np.append(drawable[np.isfinite(drawable)], report.tolerance)
    low = known.min() / 30
    high = low * (known.max() / low) ** 1.4  # the longest bar leaves 2/7 of the width to its number
    # An exact 0 is a sliver at the left end, a NaN or infinite error runs to the right end; the number says which.
    ends = np.where(errors == 0, low * 1.15, np.where(np.isfinite(drawable), drawable, high))
    ends[[row.passed is None for row in report.rows]] = low  # not checked: no bar
    colors = [WARNING if row.passed is False else BLUE for row in report.rows]
    places = np.arange(len(ends))
    axes.barh(places, ends - low, left=low, color=colors, height=0.62)
    for place, end, row in zip(places, ends, report.rows, strict=True):
        text = f"{row.max_error:.1e}" if row.max_error else "0"
        inside, wrong = end == high, row.passed is False
        axes.annotate(
            "not checked" if row.passed is None else f"{text}  wrong" if wrong else text,
            (end, place),
            xytext=(-5 if inside else 5, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            size=8.5,
            color="white" if inside else WARNING if wrong else INK,
            weight="bold" if wrong else "normal",
        )
    axes.axvline(report.tolerance, color=INK, linestyle="--", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_yticks(places, [f"{row.name}  {'x'.join(map(str, row.shape))}" for row in report.rows])
    axes.set_ylim(len(ends) - 0.4, -0.6)
    axes.set_xlabel(f"largest relative error (dashed: tolerance {report.tolerance:.0e})")
    _clean(axes, "Error by array")


def _agreement(axes, report):
    """Scatter backward against numeric; each array is scaled by its largest value, so that small ones count too."""
    axes.plot((-1.1, 1.1), (-1.1, 1.1), color="#BBBBBB", linewidth=1, zorder=1)
    for row in sorted(report.rows, key=lambda row: not row.passed):
        values = np.stack([np.ravel(row.numeric), np.ravel(row.analytic)]).astype(np.float64)
        values = values[:, np.isfinite(values).all(axis=0)]
        scale = np.abs(values).max(initial=0) or 1.0
        look = {"color": BLUE, "s": 14, "alpha": 0.5} if row.passed else {"color": WARNING, "s": 22, "marker": "x"}
        label = None if row.passed else f"{row.name} is wrong"
        axes.scatter(*values / scale, linewidths=0 if row.passed else 1.3, zorder=2, label=label, **look)
    if any(row.passed for row in report.rows):
        axes.scatter([], [], color=BLUE, s=14, alpha=0.8, label="arrays that agree")
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks((-1, -0.5, 0, 0.5, 1))
        axis.set_view_interval(-1.1, 1.1, ignore=True)
    axes.set_xlabel("numeric difference")
    axes.set_ylabel("backward")
    axes.legend(frameon=False, labelcolor=INK, loc="upper left", fontsize=9)
    _clean(axes, "Values, each array scaled to 1")


def benchmark_plot(document):
    """Draw ``numcnn bench``'s document: a panel of bars for each of its contests, and the cost by size if scanned.

    numcnn is blue, everybody else grey; whiskers span the quartiles of the rounds (of whole runs: all seeds).
    Raises DataError if there is nothing in it to draw.
    """
    contests = [panel for panel in _contests(document) if len(panel["rows"])]
    scanned = "scan" in document
    if not contests and not scanned:
        raise DataError("benchmark_plot: the document has no training, inference, whole runs or scan to draw")
    heights = [0.36 * len(panel["rows"]) + 1.0 for panel in contests] + [3.4] * scanned
    vectors = document["machine"].get("vectors")
    title = (
        f"{document['machine']['cpu']}{f' ({vectors})' if vectors else ''}, {document['machine']['threads']} threads"
    )
    figure = _figure(9, sum(heights) + 0.6, f"{title}, {document['date'][:10]}")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    for place, panel in enumerate(contests):
        _contest_bars(figure.add_subplot(grid[place, :]), panel)
    if scanned:
        scan, last = document["scan"], len(heights) - 1
        by_batch, by_data = (figure.add_subplot(grid[last, side]) for side in (0, 1))
        for axes, rows, size, lines in (
            (by_batch, scan["batch_sizes"], "batch_size", ("training", "inference")),
            (by_data, scan["data_sets"], "images", ("epoch",)),
        ):
            _cost_lines(axes, rows, size, lines)
        _clean(by_batch, "numcnn: cost by batch size")
        _clean(by_data, "numcnn: cost by size of the data set")
    return figure


def _contests(document):
    """Yield each contest as a dict: title, rows (label, value, low, high), roofline if any; the best comes first."""

    def rows(part, value, quartiles):
        found = [("numcnn", document[part])] if part in document else []
        for peer in document["peers"].values():
            found += [(v["label"], v) for name, v in peer.get("variants", {}).items() if name.startswith(f"{part}: ")]
        return [(label, row[value], *row[quartiles]) for label, row in found]

    training = rows("training", "images_per_second", "images_per_second_quartiles")
    for key, label in (
        ("one_thread", "numcnn, one thread"),
        ("unfused", "numcnn, layer by layer"),
        ("augmented", "numcnn, augmented"),
    ):
        if training and f"{key}_images_per_second" in document["training"]:
            value = document["training"][f"{key}_images_per_second"]
            training.append((label, value, value, value))
    yield {
        "title": f"Training, images a second (batches of {document.get('training', {}).get('batch_size')})",
        "rows": sorted(training, key=lambda row: -row[1]),
        "roofline": document.get("training", {}).get("roofline_images_per_second"),
    }
    batches = rows("inference", "batch_images_per_second", "batch_images_per_second_quartiles")
    yield {
        "title": f"Inference, images a second (batches of {document.get('inference', {}).get('batch_size', 0):,})",
        "rows": sorted(batches, key=lambda row: -row[1]),
    }
    singles = rows("inference", "single_us_p50", "single_us_quartiles")
    yield {
        "title": "Inference, microseconds for one image: less is better",
        "rows": sorted(singles, key=lambda r: r[1]),
    }
    whole = [("numcnn", document["time_to_99"])] if "time_to_99" in document else []
    whole += [("PyTorch", peer["time_to_99"]) for peer in document["peers"].values() if "time_to_99" in peer]
    spans = [(label, r["seconds"], [run["seconds"] for run in r["runs"]]) for label, r in whole]
    yield {
        "title": "Whole run, seconds from process start to test accuracy: less is better",
        "rows": [(label, value, min(times), max(times)) for label, value, times in spans],
    }


def _contest_bars(axes, panel):
    """Draw one contest: a bar a row, whiskers, the number beside it, and the roofline where there is one."""
    labels, values, low, high = zip(*panel["rows"], strict=True)
    values, low, high = (np.array(numbers, dtype=np.float64) for numbers in (values, low, high))
    places = np.arange(len(values))
    colors = [
        BLUE if label == "numcnn" else PALETTE[4] if label.startswith("numcnn") else "#B3B3B3" for label in labels
    ]
    axes.barh(places, values, color=colors, height=0.62)
    whiskers = np.maximum([values - low, high - values], 0)
    axes.errorbar(values, places, xerr=whiskers, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    for place, value, end in zip(places, values, np.maximum(values, high), strict=True):
        text = _three_digits(value)
        look = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "size": 9, "color": INK}
        axes.annotate(text, (end, place), weight="bold" if labels[place] == "numcnn" else "normal", **look)
    axes.set_yticks(places, labels)
    axes.set_ylim(len(values) - 0.4, -0.6)
    roofline = panel.get("roofline")
    axes.set_xlim(0, 1.13 * max(values.max(), high.max(), roofline or 0))
    _clean(axes, panel["title"])
    if roofline:
        axes.axvline(roofline, color=WARNING, linestyle="--", linewidth=1.3, zorder=0.5)
        look = {"xytext": (-5, 4), "textcoords": "offset points", "ha": "right", "color": WARNING, "size": 8.5}
        text = f"dense roofline {_three_digits(roofline)}"
        axes.annotate(
            text, (roofline, len(values) - 0.4), **look, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}
        )
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(_thousands())


def _cost_lines(axes, rows, size, lines):
    """Draw microseconds an image over a size: both logarithmic, but the cost from 0 on where it hardly changes."""
    from matplotlib.ticker import FixedLocator, NullLocator

    sizes = [row[size] for row in rows]
    for name, color, marker in zip(lines, (BLUE, ORANGE), "os", strict=False):
        axes.plot(sizes, [row[f"{name}_us"] for row in rows], color=color, marker=marker, markersize=4, label=name)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes[:: 2 if len(sizes) > 5 else 1]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_thousands())
    axes.set_xlabel(f"{size.replace('_', ' ')}{'' if size == 'images' else ' (images)'}")
    axes.set_ylabel("us for an image")
    if len(lines) == 1:
        axes.set_ylim(0, 1.25 * max(row[f"{lines[0]}_us"] for row in rows))
    else:
        _log_axis(axes)
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)


def corruption_plot(found, examples, labels, title="Accuracy on spoilt pictures"):
    """Draw a ``metrics.Robustness``: under each corruption some pictures and a bar of its accuracy, the best first.

    examples: name -> (pictures (k,H,W) uint8, what was read (k,)), "identity" among them; labels (k,).  What is misread
    is framed, with the class it was taken for.
    """
    shares = {"identity": found.clean, **dict(sorted(found.corruptions.items(), key=lambda row: -row[1].accuracy))}
    count, gap, bar = len(labels), 1.12, 4.0  # in pictures
    zero = count * gap + 0.25
    figure = _figure(0.62 * (zero + bar + 3.6), 0.62 * gap * len(shares) + 1.1, title)
    axes = figure.add_subplot()
    for row, (name, share) in enumerate(shares.items()):
        top = row * gap + (0.25 if row else 0)  # the clean ones apart
        for column, (picture, read, label) in enumerate(zip(*examples[name], labels, strict=True)):
            left = column * gap
            axes.imshow(picture, cmap="gray_r", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top))
            axes.add_patch(_frame(left, top, 1, 1))
            if read != label:
                axes.add_patch(_frame(left, top, 1, 1, WARNING, 1.8))
                look = {"ha": "right", "va": "bottom", "size": 8, "weight": "bold", "color": "white"}
                box = {"boxstyle": "square,pad=0.15", "facecolor": WARNING, "edgecolor": "none"}
                axes.text(left + 0.96, top + 0.94, str(read), **look, bbox=box)
        label = "clean" if name == "identity" else name.replace("_", " ")
        look = {"va": "center", "color": INK, "weight": "normal" if row else "bold"}
        axes.text(-0.18, top + 0.5, label, ha="right", **look)
        for width, color in ((bar, GRID), (bar * share.accuracy, BLUE if row else MUTED)):
            axes.barh(top + 0.5, width, 0.5, left=zero, color=color)
        axes.text(zero + bar + 0.15, top + 0.5, f"{share.accuracy:.1%}", ha="left", **look)
    mean, end = zero + bar * found.mean.accuracy, top + 1.1
    axes.plot((mean, mean), (gap + 0.25, end), color=INK, linestyle="--", linewidth=1.2)
    axes.text(
        mean, end + 0.1, f"mean of {len(shares) - 1}: {found.mean.accuracy:.1%}", ha="center", va="top", color=INK
    )
    axes.set_xlim(-2.3, zero + bar + 1.3)
    axes.set_ylim(end + 0.6, -0.1)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return figure


def gallery(images, index, labels, answers, title):
    """Draw misread pictures (N,H,W), each with its place in the data set, its true class and, as text, the answer."""
    titles = [f"#{i} is a {label}\n{answer}" for i, label, answer in zip(index, labels, answers, strict=True)]
    return digit_grid(images, titles, title=title)


def digit_grid(images, titles=None, columns=10, title=None):
    """Draw a contact sheet, dark ink on white.  images (N,H,W) uint8 or float 0..1; titles: N short texts, or none."""
    images = np.asarray(images)
    if images.ndim != 3 or images.size == 0:
        raise ShapeError(f"digit_grid: got shape {images.shape}; wants (N, H, W) with at least one picture")
    if titles is not None and len(titles) != len(images):
        raise ShapeError(f"digit_grid: got {len(titles)} titles for {len(images)} pictures; wants one for each")
    count, height, width = images.shape
    columns = max(1, min(columns, count))
    lines = math.ceil(count / columns)
    ink = images / (255 if images.dtype.kind in "ui" else 1)
    rows_of_text = 0 if titles is None else 1 + max(str(text).count("\n") for text in titles)
    gap, head = 0.14, 0.14 + 0.2 * rows_of_text  # in pictures
    wide = max(0.9 * columns * (1 + gap) + 0.2, 0.1 * len(title or ""))
    figure = _figure(wide, 0.9 * lines * (1 + head) * height / width + (0.6 if title else 0.2), title)
    axes = figure.add_subplot()
    for number, picture in enumerate(ink):
        left, top = number % columns * (1 + gap) * width, number // columns * (1 + head) * height
        box = (left, left + width, top + height, top)
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, extent=box, interpolation="nearest")
        axes.add_patch(_frame(left, top, width, height))
        if titles is not None:
            axes.text(
                left + width / 2, top - 0.03 * height, str(titles[number]), ha="center", va="bottom", size=8, color=INK
            )
    axes.set_xlim(-0.1 * width, columns * (1 + gap) * width)
    axes.set_ylim(lines * (1 + head) * height - (head - 0.1) * height, -head * height)
    axes.set_axis_off()
    return figure


def augmentation_plot(images, title="Each change from nothing to its full strength, and all of them together"):
    """Draw pictures (n,H,W) uint8 under each change of ``augment.EVERYTHING``: a line is one, growing to the right."""
    from numcnn.data import augmentation

    names = [name for name, value in dataclasses.asdict(augmentation.EVERYTHING).items() if value]
    count = len(images)
    lines = [
        [augmentation.growing(image, name, count, number=column)[column] for column, image in enumerate(images)]
        for name in (*names, None)
    ]
    figure = _figure(1.1 + 0.66 * count, 0.6 + 0.66 * len(lines), title)
    axes = figure.add_subplot()
    gap = 1.12
    for row, (name, line) in enumerate(zip((*names, "everything"), lines, strict=True)):
        for column, picture in enumerate(line):
            left, top = column * gap, row * gap
            axes.imshow(picture, cmap="gray_r", vmin=0, vmax=255, extent=(left, left + 1, top + 1, top))
            axes.add_patch(_frame(left, top, 1, 1))
        axes.text(-0.15, row * gap + 0.5, name, ha="right", va="center", color=INK)
    axes.set_xlim(-0.05, count * gap)
    axes.set_ylim(len(lines) * gap, -0.05)
    axes.set_axis_off()
    return figure


def _figure(width, height, title=None):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, color=INK, size=12)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    return figure


def _clean(axes, title, grid=True):
    axes.set_title(title, color=INK, size=11, weight="bold", pad=8)
    axes.tick_params(colors=MUTED, labelcolor=INK, length=0, which="both")
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    for side, spine in axes.spines.items():
        spine.set_visible(grid and side in ("left", "bottom"))
        spine.set_color("#BBBBBB")
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color=GRID, linewidth=0.8)


def _legend_below(figure, axes):
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    letters = figure.get_figwidth() * 13  # about as many fit in a line
    columns = max(1, int(letters / (max(map(len, labels)) + 6)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK, fontsize=9)


def _epoch_axis(axes, epochs):
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    first, last = np.nanmin(epochs), np.nanmax(epochs)
    margin = 0.03 * (last - first) or 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.set_xlabel("epoch")


def _log_axis(axes):
    """Make the y axis logarithmic with plain numbers at it, if there is a value it can show."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines] or [np.zeros(0)])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 5:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 2000 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(_number_format())


def _column(rows, key):
    """Return one column of a CSV's rows as floats; empty, None and missing values are NaN."""
    if not rows:
        raise DataError("the log has no epochs; there is nothing to draw yet")
    values = [row.get(key) for row in rows]
    try:
        return np.array([float(value) if value not in (None, "") else math.nan for value in values])
    except (TypeError, ValueError):
        raise DataError(f"the log's column {key} holds something that is not a number: {values}") from None


def _flat(color):
    from matplotlib.colors import ListedColormap

    return ListedColormap([color])


def _number_format(factor=1, unit=""):
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{factor * value:.3g}{unit}")


def _three_digits(value):
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def _thousands():
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:,.0f}")


def _frame(left, top, width, height, color="#BBBBBB", line=0.7):
    from matplotlib.patches import Rectangle

    return Rectangle((left, top), width, height, fill=False, edgecolor=color, linewidth=line)
