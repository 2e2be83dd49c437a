"""The figure of ``numcnn bench``: a panel of bars for each contest, and numcnn's cost by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from numcnn.errors import DataError
from numcnn.evaluation.plots.style import (
    BLUE,
    INK,
    ORANGE,
    PALETTE,
    WARNING,
    clean,
    log_axis,
    new_figure,
    thousands,
    tick_at,
)

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Axes, Figure

Document = Mapping[str, Any]  # see ``benchmark.report``
OTHERS = "#B3B3B3"


@dataclass(frozen=True)
class Bar:
    """One contestant's figure, and the ends of its whisker."""

    label: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """One contest: its bars, the best first, and the value of the dashed line, if there is one."""

    title: str
    bars: list[Bar]
    roofline: float | None = None


def benchmark_plot(document: Document) -> Figure:
    """Draw ``numcnn bench``'s document: a panel of bars for each of its contests, and the cost by size if scanned.

    numcnn is blue, the frameworks are grey; whiskers span the quartiles of the rounds (of whole runs: all seeds).
    Raises DataError if the document has nothing to draw.
    """
    panels = [_training_panel(document), *_inference_panels(document), _whole_runs_panel(document)]
    panels = [panel for panel in panels if panel.bars]
    scanned = "scan" in document
    if not panels and not scanned:
        raise DataError("benchmark_plot: the document has no training, inference, whole runs or scan to draw")
    heights = [0.36 * len(panel.bars) + 1.0 for panel in panels] + [3.4] * scanned
    machine = document["machine"]
    vectors = f" ({machine['vectors']})" if machine.get("vectors") else ""
    title = f"{machine['cpu']}{vectors}, {machine['threads']} threads, {document['date'][:10]}"
    figure = new_figure(9, sum(heights) + 0.6, title)
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    for place, panel in enumerate(panels):
        _draw_bars(figure.add_subplot(grid[place, :]), panel)
    if scanned:
        by_batch, by_data = (figure.add_subplot(grid[len(heights) - 1, side]) for side in (0, 1))
        _cost_lines(by_batch, document["scan"]["batch_sizes"], "batch_size", ("training", "inference"))
        _cost_lines(by_data, document["scan"]["data_sets"], "images", ("epoch",))
        clean(by_batch, "numcnn: cost by batch size")
        clean(by_data, "numcnn: cost by size of the data set")
    return figure


def _bars_of(document: Document, part: str, value: str, quartiles: str) -> list[Bar]:
    """Return numcnn's bar of a part and those of all variants of its peers."""
    found = [("numcnn", document[part])] if part in document else []
    for peer in document["peers"].values():
        found += [(v["label"], v) for name, v in peer.get("variants", {}).items() if name.startswith(f"{part}: ")]
    return [Bar(label, row[value], *row[quartiles]) for label, row in found]


def _training_panel(document: Document) -> Panel:
    bars = _bars_of(document, "training", "images_per_second", "images_per_second_quartiles")
    figures = document.get("training", {})
    for key, label in (
        ("one_thread", "numcnn, one thread"),
        ("unfused", "numcnn, layer by layer"),
        ("augmented", "numcnn, augmented"),
    ):
        value = figures.get(f"{key}_images_per_second")
        if bars and value is not None:
            bars.append(Bar(label, value, value, value))
    bars.sort(key=lambda bar: -bar.value)
    title = f"Training, images a second (batches of {figures.get('batch_size')})"
    return Panel(title, bars, figures.get("roofline_images_per_second"))


def _inference_panels(document: Document) -> list[Panel]:
    batches = _bars_of(document, "inference", "batch_images_per_second", "batch_images_per_second_quartiles")
    singles = _bars_of(document, "inference", "single_us_p50", "single_us_quartiles")
    size = document.get("inference", {}).get("batch_size", 0)
    return [
        Panel(f"Inference, images a second (batches of {size:,})", sorted(batches, key=lambda bar: -bar.value)),
        Panel("Inference, microseconds for one image: less is better", sorted(singles, key=lambda bar: bar.value)),
    ]


def _whole_runs_panel(document: Document) -> Panel:
    whole = [("numcnn", document["time_to_99"])] if "time_to_99" in document else []
    whole += [("PyTorch", peer["time_to_99"]) for peer in document["peers"].values() if "time_to_99" in peer]
    bars = []
    for label, figures in whole:
        seconds = [run["seconds"] for run in figures["runs"]]
        bars.append(Bar(label, figures["seconds"], min(seconds), max(seconds)))
    return Panel("Whole run, seconds from process start to test accuracy: less is better", bars)


def _draw_bars(axes: Axes, panel: Panel) -> None:
    """Draw one contest: a bar a contestant, whiskers, the number beside it, and the roofline where there is one."""
    labels = [bar.label for bar in panel.bars]
    values, low, high = np.array([(bar.value, bar.low, bar.high) for bar in panel.bars], dtype=np.float64).T
    places = np.arange(len(values))
    colors = [BLUE if label == "numcnn" else PALETTE[4] if label.startswith("numcnn") else OTHERS for label in labels]
    axes.barh(places, values, color=colors, height=0.62)
    whiskers = np.maximum([values - low, high - values], 0)
    axes.errorbar(values, places, xerr=whiskers, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    for place, value, end in zip(places, values, np.maximum(values, high), strict=True):
        look: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "size": 9}
        weight = "bold" if labels[place] == "numcnn" else "normal"
        axes.annotate(_three_digits(value), (end, place), color=INK, weight=weight, **look)
    axes.set_yticks(places, labels)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0, 1.13 * max(values.max(), high.max(), panel.roofline or 0))
    clean(axes, panel.title)
    if panel.roofline:
        axes.axvline(panel.roofline, color=WARNING, linestyle="--", linewidth=1.3, zorder=0.5)
        look = {"xytext": (-5, 4), "textcoords": "offset points", "ha": "right", "color": WARNING, "size": 8.5}
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        text = f"dense roofline {_three_digits(panel.roofline)}"
        axes.annotate(text, (panel.roofline, len(values) - 0.4), **look, bbox=box)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(thousands())


def _cost_lines(axes: Axes, rows: Sequence[Mapping[str, float]], size: str, lines: tuple[str, ...]) -> None:
    """Draw microseconds per image over a size: two lines on log scales, a single one from 0, as it hardly changes."""
    sizes = [row[size] for row in rows]
    for name, color, marker in zip(lines, (BLUE, ORANGE), "os", strict=False):
        axes.plot(sizes, [row[f"{name}_us"] for row in rows], color=color, marker=marker, markersize=4, label=name)
    axes.set_xscale("log")
    tick_at(axes.xaxis, sizes[:: 2 if len(sizes) > 5 else 1])
    axes.set_xlabel(f"{size.replace('_', ' ')}{'' if size == 'images' else ' (images)'}")
    axes.set_ylabel("us for an image")
    if len(lines) == 1:
        axes.set_ylim(0, 1.25 * max(row[f"{lines[0]}_us"] for row in rows))
    else:
        log_axis(axes)
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"
