"""Figures of a training run over its epochs: loss and accuracy, and the watch on gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from numcnn.errors import DataError
from numcnn.evaluation.plots.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PALETTE,
    clean,
    epoch_axis,
    legend_below,
    log_axis,
    new_figure,
)
from numcnn.kernels.arrays import Float64s

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure

Log = Sequence[Mapping[str, Any]]  # a dict an epoch, as read from the run's CSV
LINE_STYLES = ("-", "--", ":", "-.")  # after six lines the colours start again, with the next style
HEALTHY_UPDATE = (3e-4, 3e-3)  # update / weight ratio "around 1e-3": Karpathy, CS231n notes, "Ratio of weights:updates"


def learning_curves(rows: Log, title: str | None = None) -> Figure:
    """Draw loss and accuracy over the epochs of a run.  rows: dicts of its CSV; empty and NaN values are left out."""
    epochs = column(rows, "epoch")
    figure = new_figure(10, 4, title)
    panels = figure.subplots(1, 2)
    for axes, name, factor in zip(panels, ("loss", "accuracy"), (1, 100), strict=True):
        for part, color, marker, label in (("train", BLUE, "o", "training"), ("val", ORANGE, "s", "validation")):
            values = factor * column(rows, f"{part}_{name}")
            if np.isfinite(values).any():
                axes.plot(epochs, values, color=color, marker=marker, markersize=4, linewidth=1.8, label=label)
        epoch_axis(axes, epochs)
    log_axis(panels[0])
    clean(panels[0], "Loss")
    legend_below(figure, panels[0])
    heading = "Accuracy (%)"
    validation = 100 * column(rows, "val_accuracy")
    if np.isfinite(validation).any():
        best = int(np.nanargmax(validation))
        heading += f", best in validation {validation[best]:.2f} at epoch {epochs[best]:.0f}"
        look = {"marker": "o", "markersize": 11, "fillstyle": "none", "color": INK, "linestyle": "none"}
        panels[1].plot(epochs[best], validation[best], **look)
    clean(panels[1], heading)
    return figure


def gradient_watch(rows: Log, title: str | None = None) -> Figure:
    """Draw each layer's gradient norm, weight norm and update / weight ratio over the epochs.

    rows: dicts of the run's CSV with ``<layer>.gradient_norm``, ``<layer>.weight_norm`` and ``<layer>.update_ratio``.
    Raises DataError if there are no such columns.
    """
    epochs = column(rows, "epoch")
    layers = [key.removesuffix(".update_ratio") for key in rows[0] if key.endswith(".update_ratio")]
    if not layers:
        raise DataError("gradient_watch: the log has no gradient columns; train with --watch-gradients")
    figure = new_figure(12, 4.2, title)
    panels = figure.subplots(1, 3)
    kinds = (
        ("gradient_norm", "Gradient norm"),
        ("weight_norm", "Weight norm"),
        ("update_ratio", "Update / weight ratio"),
    )
    for axes, (kind, heading) in zip(panels, kinds, strict=True):
        for number, layer in enumerate(layers):
            values = column(rows, f"{layer}.{kind}")
            values[values <= 0] = np.nan  # which a log scale can't show
            style = LINE_STYLES[number // len(PALETTE) % len(LINE_STYLES)]
            look = {"color": PALETTE[number % len(PALETTE)], "linestyle": style, "linewidth": 1.6}
            axes.plot(epochs, values, marker="o", markersize=3.5, label=layer, **look)
        epoch_axis(axes, epochs)
        clean(axes, heading)
    panels[2].axhspan(*HEALTHY_UPDATE, color=GREEN, alpha=0.13, linewidth=0, label="healthy, about 1/1000", zorder=0)
    for axes in panels:
        log_axis(axes)
    legend_below(figure, panels[2])
    return figure


def column(rows: Log, key: str) -> Float64s:
    """Return one column of a CSV's rows; empty, None and missing values are NaN."""
    if not rows:
        raise DataError("the log has no epochs; there is nothing to draw yet")
    values = [row.get(key) for row in rows]
    try:
        return np.array([math.nan if value in (None, "") else float(value) for value in values])
    except (TypeError, ValueError):
        raise DataError(f"the log's column {key} holds something that is not a number: {values}") from None
