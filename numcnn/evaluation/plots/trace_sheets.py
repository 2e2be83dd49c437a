"""Sheets of a network's inside for one picture: every array as maps, forward on the left, its gradient on the right.

Blue is above 0, orange below, white exactly 0.  Colours grow with the root of a value, so that small ones stay visible.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from numcnn.evaluation.plots.style import BLUE, INK, LIGHT, MUTED, clean, library, new_figure, signed_colors
from numcnn.kernels.arrays import AnyArray, Float64s

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Axes, Figure

WIDE = 4.0  # maps are laid out about this many times as wide as high
MAPS, WORDS = 4.9, 1.5  # inches: the width of an array's maps; of the words beside them
HIGHEST = 2.6  # inches that an array's maps take at most
FEWEST = 100  # entries of an array whose histogram is drawn
LETTERS = 120  # in a line of a title
COLOURS = "blue: above 0, orange: below, white: exactly 0; colours grow with the root of a value"


class _Stop(Protocol):
    """What is drawn of a ``trace.Stop``."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def arrays(self) -> Mapping[str, Float64s]: ...
    @property
    def lessons(self) -> tuple[str, str]: ...


class _Trace(Protocol):
    """What is drawn of a ``trace.Trace``."""

    @property
    def stops(self) -> Sequence[_Stop]: ...
    @property
    def title(self) -> str: ...


def trace_overview(trace: _Trace) -> Figure:
    """Draw every layer's output and its gradient, from the picture to the loss."""
    pairs = [_pair(stop) for stop in trace.stops]
    grids = [_mosaic(stop.arrays[left]) for stop, (left, _) in zip(trace.stops, pairs, strict=True)]
    heights = [_height(grid) for grid in grids]
    figure = new_figure(WORDS + 2 * MAPS + 0.5, sum(heights) + 0.42 * len(heights) + 0.9, f"{trace.title}\n{COLOURS}")
    axes = figure.subplots(len(pairs), 3, width_ratios=(WORDS, MAPS, MAPS), height_ratios=heights, squeeze=False)
    for row, stop, (left, right) in zip(axes, trace.stops, pairs, strict=True):
        words, *maps = row
        words.set_axis_off()
        shape = " x ".join(map(str, stop.arrays[left].shape))
        words.text(0, 0.5, stop.name, ha="left", va="bottom", weight="bold", size=11, color=INK)
        words.text(0, 0.45, f"{_short(stop.kind)}\n{shape}", ha="left", va="top", size=8, color=MUTED)
        for place, name in zip(maps, (left, right), strict=True):
            _draw(place, stop.arrays[name], f"{stop.name}.{name}")
    return figure


def layer_sheet(stop: _Stop) -> Figure:
    """Draw all arrays of a layer, each beside its gradient, and the histograms of the larger ones."""
    names = list(stop.arrays)
    gradients = {f"d{name}": name for name in names if f"d{name}" in names}
    pairs = [(name, f"d{name}" if f"d{name}" in names else None) for name in names if name not in gradients]
    heights = [_height(_mosaic(stop.arrays[name])) for name, _ in pairs]
    close = _strongest(stop)
    heights += [HIGHEST] * bool(close)
    histograms = [pair for pair in pairs if stop.arrays[pair[0]].size >= FEWEST]
    heights += [1.2] * len(histograms)
    lessons = zip(("Forward", "Backward"), stop.lessons, strict=True)
    words = [textwrap.fill(f"{way}: {lesson[0].lower()}{lesson[1:]}", LETTERS) for way, lesson in lessons]
    title = "\n".join([f"{stop.name}: {stop.kind}", *words])
    figure = new_figure(2 * MAPS + 0.6, sum(heights) + 0.5 * len(heights) + 0.25 * title.count("\n") + 0.7)
    figure.suptitle(title, color=INK, size=10)
    figure.supxlabel(COLOURS, color=MUTED, size=8)
    axes = figure.subplots(len(heights), 2, height_ratios=heights, squeeze=False)
    for row, pair in zip(axes, pairs, strict=False):
        for place, name in zip(row, pair, strict=True):
            if name:
                _draw(place, stop.arrays[name], f"{stop.name}.{name}")
            else:
                place.set_axis_off()
    if close:
        for place, name in zip(axes[len(pairs)], ("x", "dx"), strict=True):
            _draw(place, stop.arrays[name][:, :, close[0], None], f"{stop.name}.{name}, map {close[0]}")
    for row, pair in zip(axes[len(axes) - len(histograms) :], histograms, strict=True):
        for place, name in zip(row, pair, strict=True):
            _histogram(place, stop.arrays[name] if name else np.zeros(0), f"{stop.name}.{name}")
    return figure


def _strongest(stop: _Stop) -> tuple[int] | None:
    """Return which of a stop's input maps has the strongest gradient, to be drawn large; None where it has no maps."""
    dx = stop.arrays["dx"]
    return (int(np.abs(dx).sum(axis=(0, 1)).argmax()),) if dx.ndim == 3 and dx.shape[2] > 1 else None


def _pair(stop: _Stop) -> tuple[str, str]:
    """Return what the overview shows: output and gradient; pixels and saliency; of the loss p and p - target."""
    if "target" in stop.arrays:
        return "p", "dx"
    return ("x", "dx") if stop.name == "picture" else ("out", "dout")


def _short(kind: str) -> str:
    return kind if len(kind) <= 24 else kind.partition("(")[0]


def _height(grid: Float64s) -> float:
    """Return how high a mosaic is drawn, in inches."""
    return min(HIGHEST, max(0.28, MAPS * grid.shape[0] / grid.shape[1]))


def _mosaic(array: Float64s) -> Float64s:
    """Lay an array out as one picture; NaN where there is nothing.

    (H,W,C): C maps of H x W.  (KH,KW,C,F): a column of C maps for each of F filters.  (D,): cells, row by row.
    (D,U): as it is, the longer side across.
    """
    if array.ndim == 3:
        return _tiles(np.moveaxis(array, 2, 0), _columns(array.shape[2], array.shape[0] / array.shape[1]))
    if array.ndim == 4:
        KH, KW, C, F = array.shape
        if C == 1:
            return _tiles(array[:, :, 0].transpose(2, 0, 1), _columns(F, KH / KW))
        return _tiles(array.transpose(2, 3, 0, 1).reshape(C * F, KH, KW), F)
    if array.ndim == 2:
        return array if array.shape[1] >= array.shape[0] else array.T
    return _tiles(array.reshape(-1, 1, 1), _columns(array.size, 1), gap=0)


def _columns(count: int, shape: float) -> int:
    """Return how many maps, ``shape`` times as high as wide, stand in a row."""
    if count <= 12:
        return count
    rows = max(1, round(math.sqrt(count / (WIDE * max(shape, 0.25)))))
    return math.ceil(count / rows)


def _tiles(maps: Float64s, columns: int, gap: int = 1) -> Float64s:
    count, H, W = maps.shape
    rows = math.ceil(count / columns)
    grid = np.full((rows * (H + gap) - gap, columns * (W + gap) - gap), np.nan)
    for i, one in enumerate(maps):
        y, x = i // columns * (H + gap), i % columns * (W + gap)
        grid[y : y + H, x : x + W] = one
    return grid


def _draw(axes: Axes, array: Float64s, name: str) -> None:
    """Draw an array's maps, and above them its name, norm and share of zeros."""
    largest = float(np.abs(array[np.isfinite(array)]).max(initial=0))
    grid = _mosaic(array)
    shown = np.sign(grid) * np.sqrt(np.abs(grid) / (largest or 1))
    axes.imshow(shown, cmap=signed_colors(), vmin=-1, vmax=1, interpolation="nearest", aspect=_aspect(grid))
    if array.size <= 12:
        for (y, x), value in np.ndenumerate(grid):
            if np.isfinite(value):
                color = "white" if abs(shown[y, x]) > 0.75 else INK
                axes.text(x, y, f"{value:.2g}", ha="center", va="center", size=6.5, color=color)
    zeros, norm = float((array == 0).mean()), float(np.sqrt((array**2).sum()))
    words = f"norm {norm:.3g}   largest {largest:.3g}   {zeros:.0%} zeros" if array.size > 1 else f"{array.item():.4g}"
    axes.set_title(f"{name}   {words}", loc="left", size=8, color=INK, pad=3)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LIGHT)
        spine.set_linewidth(0.6)


def _aspect(grid: AnyArray) -> Literal["auto", "equal"]:
    """Return whether cells are square: not where the picture would become a thread."""
    return "auto" if grid.shape[1] > 9 * grid.shape[0] and grid.shape[0] > 2 else "equal"


def _histogram(axes: Axes, array: Float64s, name: str) -> None:
    """Draw how an array's values are distributed; exact zeros would hide the others, so the title counts them."""
    values = array[np.isfinite(array) & (array != 0)]
    if not values.size:
        axes.set_axis_off()
        return
    axes.hist(values, bins=60, color=BLUE, log=True)
    axes.axvline(0, color=INK, linewidth=0.8)
    clean(axes, "")
    axes.tick_params(labelsize=7)
    axes.yaxis.set_minor_locator(library().ticker.NullLocator())
    axes.set_title(
        f"{name}: the values, without the {(array == 0).mean():.0%} that are 0", loc="left", size=8, color=INK, pad=3
    )
