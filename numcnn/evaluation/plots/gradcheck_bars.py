"""The figure of a gradient check: the error of each array, and every value that was compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from numcnn.evaluation.plots.style import BLUE, INK, LIGHT, WARNING, clean, new_figure
from numcnn.kernels.arrays import AnyArray

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Axes, Figure


class _CheckedArray(Protocol):
    """What is drawn of one array.  passed: None where nothing could be checked; analytic and numeric: equal shapes."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def max_error(self) -> float: ...
    @property
    def passed(self) -> bool | None: ...
    @property
    def analytic(self) -> AnyArray: ...
    @property
    def numeric(self) -> AnyArray: ...


class _CheckReport(Protocol):
    """What is drawn of a ``gradient_check.GradientReport``."""

    @property
    def rows(self) -> Sequence[_CheckedArray]: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def title(self) -> str: ...


def gradcheck_plot(report: _CheckReport) -> Figure:
    """Draw each array's largest error against the tolerance, and all values that were compared."""
    figure = new_figure(11, max(3.8, 0.34 * len(report.rows) + 1.8))
    bars, scatter = figure.subplots(1, 2, width_ratios=(1.15, 1))
    figure.suptitle(report.title, color=INK, weight="bold", size=12)
    _error_bars(bars, report)
    _agreement(scatter, report)
    return figure


def _error_bars(axes: Axes, report: _CheckReport) -> None:
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
        _error_text(axes, row, (float(end), float(place)), inside=end == high)
    axes.axvline(report.tolerance, color=INK, linestyle="--", linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_yticks(places, [f"{row.name}  {'x'.join(map(str, row.shape))}" for row in report.rows])
    axes.set_ylim(len(ends) - 0.4, -0.6)
    axes.set_xlabel(f"largest relative error (dashed: tolerance {report.tolerance:.0e})")
    clean(axes, "Error by array")


def _error_text(axes: Axes, row: _CheckedArray, end: tuple[float, float], inside: bool) -> None:
    """Write an error beside the end of its bar, or inside the bar where it reaches the right border."""
    text, wrong = f"{row.max_error:.1e}" if row.max_error else "0", row.passed is False
    axes.annotate(
        "not checked" if row.passed is None else f"{text}  wrong" if wrong else text,
        end,
        xytext=(-5 if inside else 5, 0),
        textcoords="offset points",
        ha="right" if inside else "left",
        va="center",
        size=8.5,
        color="white" if inside else WARNING if wrong else INK,
        weight="bold" if wrong else "normal",
    )


def _agreement(axes: Axes, report: _CheckReport) -> None:
    """Scatter backward against numeric; each array is scaled by its largest value, so that small ones count too."""
    axes.plot((-1.1, 1.1), (-1.1, 1.1), color=LIGHT, linewidth=1, zorder=1)
    for row in sorted(report.rows, key=lambda row: row.passed is False):
        values = np.stack([np.ravel(row.numeric), np.ravel(row.analytic)]).astype(np.float64)
        values = values[:, np.isfinite(values).all(axis=0)]
        scale = np.abs(values).max(initial=0) or 1.0
        look: dict[str, Any] = {"color": BLUE, "s": 14, "alpha": 0.5, "linewidths": 0}
        if row.passed is False:
            look = {"color": WARNING, "s": 22, "marker": "x", "linewidths": 1.3, "label": f"{row.name} is wrong"}
        axes.scatter(*values / scale, zorder=2, **look)
    if any(row.passed for row in report.rows):
        axes.scatter([], [], color=BLUE, s=14, alpha=0.8, label="arrays that agree")
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks((-1, -0.5, 0, 0.5, 1))
        axis.set_view_interval(-1.1, 1.1, ignore=True)
    axes.set_xlabel("numeric difference")
    axes.set_ylabel("backward")
    axes.legend(frameon=False, labelcolor=INK, loc="upper left", fontsize=9)
    clean(axes, "Values, each array scaled to 1")
