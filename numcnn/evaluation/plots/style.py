"""What all figures share: colours, axes, pictures, saving; and the one place that imports matplotlib."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from numcnn.files import atomic_write
from numcnn.kernels.arrays import AnyArray, Float64s

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap, ListedColormap, PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import FuncFormatter

# Okabe and Ito's colours, which stay apart with every common colour blindness; without their yellow, too pale on white.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
BLUE, ORANGE, GREEN = PALETTE[:3]
WARNING = "#D55E00"  # the palette's vermilion, reserved for failures
INK, MUTED, LIGHT, GRID, PALE_BLUE = "#222222", "#767676", "#BBBBBB", "#E4E4E4", "#D6E6F2"
DPI = 150


def library() -> SimpleNamespace:
    """Import the parts of matplotlib that the figures need, without pyplot: no display is needed."""
    from matplotlib import colors, figure, patches, ticker  # noqa: PLC0415  (heavy: only who draws waits for it)

    return SimpleNamespace(colors=colors, figure=figure, patches=patches, ticker=ticker)


def save(figure: Figure, path: str | os.PathLike[str] | BinaryIO) -> None:
    """Write a figure as PNG, into an open file, or by path: completely or not at all."""
    with atomic_write(path) if isinstance(path, str | os.PathLike) else contextlib.nullcontext(path) as file:
        figure.savefig(file, format="png", dpi=DPI)


def new_figure(width: float, height: float, title: str | None = None) -> Figure:
    """Return an empty figure of this size in inches."""
    figure = library().figure.Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, color=INK, size=12)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    return figure


def clean(axes: Axes, title: str, grid: bool = True) -> None:
    """Give axes a title, quiet ticks and, unless they hold a picture, a grid behind the data."""
    axes.set_title(title, color=INK, size=11, weight="bold", pad=8)
    axes.tick_params(colors=MUTED, labelcolor=INK, length=0, which="both")
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    for side, spine in axes.spines.items():
        spine.set_visible(grid and side in ("left", "bottom"))
        spine.set_color(LIGHT)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color=GRID, linewidth=0.8)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend of ``axes`` below the figure, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    letters = figure.get_figwidth() * 13  # about as many fit in a line
    columns = max(1, int(letters / (max(map(len, labels)) + 6)))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK, fontsize=9)


def epoch_axis(axes: Axes, epochs: Float64s) -> None:
    """Label the x axis with whole epochs."""
    axes.xaxis.set_major_locator(library().ticker.MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    first, last = np.nanmin(epochs), np.nanmax(epochs)
    margin = 0.03 * (last - first) or 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.set_xlabel("epoch")


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic, labelled with plain numbers, if any value is positive and finite."""
    ticker = library().ticker
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines] or [np.zeros(0)])
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 5:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(5))
    else:
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if high / low < 2000 else (1,)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(number_format())


def tick_at(axis: Axis, places: Sequence[float]) -> None:
    """Put ticks at these places only, labelled with whole numbers."""
    ticker = library().ticker
    axis.set_major_locator(ticker.FixedLocator(places))
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(thousands())


def number_format(factor: float = 1, unit: str = "") -> FuncFormatter:
    """Return a formatter of three significant digits of ``factor * value``, with a unit."""
    return library().ticker.FuncFormatter(lambda value, _: f"{factor * value:.3g}{unit}")


def thousands() -> FuncFormatter:
    """Return a formatter of whole numbers with thousands separators."""
    return library().ticker.FuncFormatter(lambda value, _: f"{value:,.0f}")


def flat_color(color: str) -> ListedColormap:
    """Return a colour map of one colour."""
    return library().colors.ListedColormap([color])


def signed_colors() -> Colormap:
    """Return a colour map from orange, below 0, by white to blue; what is no number is grey."""
    shades = (WARNING, "#F4B48A", "white", "#8CC0E0", BLUE)
    return library().colors.LinearSegmentedColormap.from_list("signed", shades).with_extremes(bad=GRID)


def square_root_scale(highest: float) -> PowerNorm:
    """Return a colour scale from 0 to ``highest`` on which small values stay visible beside large ones."""
    return library().colors.PowerNorm(0.5, vmin=0, vmax=highest)


def frame(
    left: float, top: float, width: float = 1, height: float = 1, color: str = LIGHT, line: float = 0.7
) -> Rectangle:
    """Return an empty rectangle."""
    return library().patches.Rectangle((left, top), width, height, fill=False, edgecolor=color, linewidth=line)


def add_picture(axes: Axes, picture: AnyArray, left: float, top: float) -> None:
    """Draw a uint8 picture (H,W), dark ink on white, into a framed square with sides of 1."""
    box = (left, left + 1, top + 1, top)
    axes.imshow(picture, cmap="gray_r", vmin=0, vmax=255, extent=box)
    axes.add_patch(frame(left, top))
