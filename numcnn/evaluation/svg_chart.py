"""Small line charts as SVG, for pages: no matplotlib, and colours that follow the page's light or dark style."""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from numcnn.errors import DataError
from numcnn.kernels.arrays import Float64s

WIDTH, HEIGHT = 360, 250  # in units of the page's pixels where the chart is as wide
LEFT, RIGHT, TOP, BOTTOM = 50, 12, 10, 40  # room for the labels
MOST_TICKS = 6


class Point(NamedTuple):
    """A point with an interval from ``low`` to ``high``."""

    x: float
    y: float
    low: float
    high: float


@dataclass
class Chart:
    """A chart: add lines, bands, points and marks, then ``to_svg``.

    log: a logarithmic y axis.  unit: after each number of the y axis.  range_x, range_y: (low, high); by default those
    of what is drawn.  Colours are the page's classes a, b and quiet.
    """

    title: str
    x_label: str
    y_label: str
    unit: str = ""
    log: bool = False
    range_x: tuple[float, float] | None = None
    range_y: tuple[float, float] | None = None
    _lines: list[tuple[str, str, Float64s]] = field(default_factory=list[tuple[str, str, Float64s]])
    _bands: list[Float64s] = field(default_factory=list[Float64s])
    _points: list[Point] = field(default_factory=list[Point])

    def line(self, xs: Iterable[float], ys: Iterable[float], color: str = "a", label: str = "") -> None:
        """Add a line; values that are not finite are left out.  color: "a", "b" or "quiet" (dashed)."""
        line = np.array([xs, ys], np.float64).T
        line = line[np.isfinite(line).all(axis=1)]
        if self.log:
            line = line[line[:, 1] > 0]
        if len(line):
            self._lines.append((color, label, line))

    def band(self, xs: Iterable[float], lows: Iterable[float], highs: Iterable[float]) -> None:
        """Fill the area between ``lows`` and ``highs``."""
        self._bands.append(np.array([xs, lows, highs], np.float64).T)

    def points(self, points: Sequence[Point]) -> None:
        """Add points with their intervals."""
        self._points += points

    def to_svg(self) -> str:
        """Return the chart.  Raises DataError if there is nothing to draw."""
        values = [line for _, _, line in self._lines] + [np.array([[p.x, p.y] for p in self._points]).reshape(-1, 2)]
        drawn = np.concatenate(values)
        if not len(drawn):
            raise DataError(f"{self.title}: there is nothing to draw")
        x_axis = _Axis(*(self.range_x or _padded(drawn[:, 0])), LEFT, WIDTH - RIGHT, log=False)
        y_axis = _Axis(*(self.range_y or _padded(drawn[:, 1])), HEIGHT - BOTTOM, TOP, log=self.log)
        parts = [self._grid(x_axis, y_axis)]
        for xs, lows, highs in (band.T for band in self._bands):
            outline = [*zip(xs, highs, strict=True), *zip(xs[::-1], lows[::-1], strict=True)]
            parts.append(f'<polygon class="band" points="{_path(outline, x_axis, y_axis)}"/>')
        for color, _, line in self._lines:
            parts.append(f'<polyline class="line {color}" points="{_path(line, x_axis, y_axis)}"/>')
        for point in self._points:
            x, y, low, high = x_axis(point.x), y_axis(point.y), y_axis(point.low), y_axis(point.high)
            parts.append(f'<line class="line a" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
            parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
        title = html.escape(self.title, quote=True)
        legend = "".join(
            f'<span class="key {color}">{html.escape(label)}</span>' for color, label, _ in self._lines if label
        )
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
            f'<p class="legend">{legend}</p>'
        )

    def _grid(self, x_axis: "_Axis", y_axis: "_Axis") -> str:
        """Return the axes: lines, numbers and labels."""
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        parts: list[str] = []
        for value in y_axis.ticks():
            y = y_axis(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}{self.unit}</text>')
        for value in x_axis.ticks():
            parts.append(f'<text x="{x_axis(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:.4g}</text>')
        middle, x_label, y_label = (LEFT + right) / 2, html.escape(self.x_label), html.escape(self.y_label)
        parts.append(f'<text class="label" x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{x_label}</text>')
        turn = f'transform="rotate(-90 12 {(TOP + bottom) / 2})"'
        parts.append(
            f'<text class="label" x="12" y="{(TOP + bottom) / 2}" text-anchor="middle" {turn}>{y_label}</text>'
        )
        return "".join(parts)


@dataclass(frozen=True)
class _Axis:
    """Where values from ``low`` to ``high`` are drawn, between two places of the chart."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def __call__(self, value: float) -> float:
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(value) - low) / (high - low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-12)) if self.log else value

    def ticks(self) -> list[float]:
        """Return round numbers of this range."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            found = [value for value in found if self.low <= value <= self.high]
            if len(found) > 1:
                return found if len(found) <= MOST_TICKS else found[:: math.ceil(len(found) / MOST_TICKS)]
        rough = (self.high - self.low) / (MOST_TICKS - 1)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        first = math.ceil(self.low / step - 1e-9)
        return [round(step * k, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _padded(values: Float64s) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))


def _path(points: Iterable[Sequence[float]], x_axis: _Axis, y_axis: _Axis) -> str:
    return " ".join(f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in points)
