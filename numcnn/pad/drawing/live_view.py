"""The panel of a training run: its controls, its curves, and the time line that goes back to any of its steps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.evaluation.metrics import percent
from numcnn.kernels.arrays import Float64s
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.slider import Slider
from numcnn.pad.drawing.theme import Theme, Type, disc, mix, rgb, rounded
from numcnn.pad.timeline import Timeline

# Steps a second at the slider's notches; None: full speed.
PACES: tuple[float | None, ...] = (0.0, 2.0, 8.0, 30.0, None)
PACE_WORDS = ("one step", "2 steps/s", "8 steps/s", "30 steps/s", "full speed")
SETTINGS = ("lr", "optimizer", "batch_size", "seed")
SPEED = "speed"  # what the slider sets
LABELS = {"lr": ("learning rate", "rate"), "optimizer": ("optimizer", ""), "batch_size": ("batch", "batch")}
LABELS |= {"seed": ("seed", "seed")}
ROW, GAP = 1.9, 0.5  # heights of a row and of a gap between items, in heights of the text
TRACK = 1.1  # height of the time line below the curves, in heights of the text
LOSSES = 0.05, 5.0  # of the curves' logarithmic axis
LEAST_ERROR = 0.004  # at the top of the axis of the accuracy, on which the error is logarithmic
MARKS = 0.9, 0.99  # accuracies with a line across the curves
LINE = 1.35  # height of a line of words
WIDE, LEGEND = 46, 25  # widths for legend and words on one line, and for the legend on one; in heights of the text
MARKED = 2.6  # width beside the curves for the words at the lines across them
LEAST_PLOT, TALL_PLOT = 2.5, 8.0  # height of the curves with up to two rows of settings, and with more; if there is
# less room there are no settings


@dataclass(frozen=True, eq=False)
class TrainingScene:
    """What the panel shows.  The controls' words and the settings' values are written as they are."""

    timeline: Timeline | None  # None until the data is read
    shown: int  # the step whose weights are shown
    follows: bool  # whether that is always the latest
    words: str  # how far the run is, or what went wrong
    failed: bool
    ended: bool  # whether it can't go on: it is finished, or failed
    go: str  # "Pause", "Go on" ...
    notch: int  # of the speed slider
    values: tuple[str, ...]  # of SETTINGS
    changed: bool  # whether the settings are not those of this run, so that "Start again" takes them
    hovered: str | None = None  # the name of the control under the mouse
    chosen: str = ""  # "speed", or one of SETTINGS, that keys change


class PanelPlaces(NamedTuple):
    """Where everything is, in pixels of the window.  An item without room has an empty Rect."""

    controls: dict[str, pygame.Rect]
    slider: Slider
    legend: pygame.Rect
    words: pygame.Rect
    plot: pygame.Rect
    track: pygame.Rect
    settings: dict[str, pygame.Rect]

    def at(self, position: Sequence[float]) -> str | None:
        """Return the name of what is at a position: a control, "slider", "track", or "lr -" and "lr +"."""
        x, y = position
        for name, rect in self.controls.items():
            if rect.collidepoint(x, y):
                return name
        for name, rect in self.settings.items():
            if rect.collidepoint(x, y):
                return f"{name} {'-' if x < rect.centerx else '+'}"
        if self.slider.holds(position):
            return "slider"
        line = self.plot.union(self.track).inflate(self.track.height, 0)
        return "track" if line.collidepoint(x, y) else None

    def notch_at(self, x: float) -> int:
        """Return the notch of the slider that is nearest to a position."""
        return round(self.slider.share_at(x) * (len(PACES) - 1))

    def step_at(self, x: float, steps: int) -> int:
        """Return the step of the time line at a position."""
        share = (x - self.plot.left) / max(1, self.plot.width)
        return round(min(max(share, 0.0), 1.0) * steps)


class LivePanel:
    """Draws a `TrainingScene`, with words in a given type."""

    def __init__(self, type_: Type) -> None:
        self.type = type_

    def parts(self, rect: pygame.Rect, theme: Theme, text: int, scene: TrainingScene) -> list[Part]:
        """Return the parts of the panel in a Rect."""
        places = panel_places(self.type, rect, text)
        timeline, hovered = scene.timeline, scene.hovered
        done = (timeline.done, len(timeline.validations)) if timeline else None
        parts = [self._button(name, place, theme, text, scene) for name, place in places.controls.items()]
        slider = places.slider.line.union(places.slider.words).inflate(2 * text, 0)
        parts.append(Part("pace", slider, (scene.notch, scene.chosen == SPEED),
                          lambda s: self._slider(s, places.slider, theme, text, scene)))  # fmt: skip
        legend = places.legend.union(places.words)
        parts.append(Part("training words", legend, (done, scene.shown, scene.words, scene.follows),
                          lambda s: self._words(s, places, theme, text, scene)))  # fmt: skip
        plot = places.plot.union(places.track).inflate(round(1.4 * text), 2)
        plot.width += round((MARKED - 0.7) * text)
        parts.append(Part("curves", plot, (done, scene.shown, scene.follows),
                          lambda s: self._curves(s, places, theme, text, scene)))  # fmt: skip
        for name, value in zip(SETTINGS, scene.values, strict=True):
            if place := places.settings.get(name):
                over = hovered if hovered and hovered.startswith(f"{name} ") else None
                shown = name, value, over, name == scene.chosen
                parts.append(Part(f"setting {name}", place, shown, lambda s, p=place, shown=shown:
                                  self._setting(s, p, theme, text, shown)))  # fmt: skip
        return parts

    def _button(self, name: str, rect: pygame.Rect, theme: Theme, text: int, scene: TrainingScene) -> Part:
        words = {"go": scene.go, "step": "Step", "again": "Start again"}[name]
        again = scene.changed or scene.ended
        hovered, strong = scene.hovered == name, again if name == "again" else name == "go" and not scene.ended

        def draw(surface: pygame.Surface) -> None:
            rounded(surface, rect, theme.active if strong else theme.hover if hovered else theme.track, text // 2)
            color = theme.accent if strong else theme.ink
            self.type.write(surface, words, text, color, hovered or strong, center=rect.center)

        return Part(f"training {name}", rect, (words, hovered, strong), draw)

    def _slider(self, surface: pygame.Surface, slider: Slider, theme: Theme, text: int, scene: TrainingScene) -> None:
        share = scene.notch / (len(PACES) - 1)
        slider.draw(surface, self.type, theme, text, share, PACE_WORDS[scene.notch], len(PACES))
        if scene.chosen == SPEED:
            _ring(surface, slider.line.union(slider.words).inflate(round(1.8 * text), 0), theme, text)

    def _words(
        self, surface: pygame.Surface, places: PanelPlaces, theme: Theme, text: int, scene: TrainingScene
    ) -> None:
        """Write the legend of the curves, with their values, and how far the run is."""
        timeline, line, legend = scene.timeline, LINE * text, places.legend
        x, y = float(legend.left), legend.top + line / 2
        color = theme.against if scene.failed else theme.muted
        values = _legend(timeline, scene.shown) if timeline else []
        beside = places.words.top < legend.bottom
        room = legend.width - self.type.width(scene.words, text)
        while beside and values and self._legend_width(values, text) > room:
            del values[-1]
        for color_of, words in values:
            spot = pygame.Rect(0, 0, round(0.7 * text), round(0.7 * text))
            if x > legend.left and legend.height > 1.5 * line:
                x, y = legend.left, y + line
            spot.midleft = round(x), round(y)
            rounded(surface, spot, getattr(theme, color_of), text // 4)
            x = self.type.write(surface, words, text, theme.ink, midleft=(spot.right + text // 2, y)).right + text
        if beside:
            words = self.type.fitted(scene.words, text, places.words.right - x)
            self.type.write(surface, words, text, color, midright=places.words.midright)
            return
        for i, words in enumerate(self.type.wrapped(scene.words, text, places.words.width)[:2]):
            middle = places.words.left, places.words.top + line * (i + 0.5)
            self.type.write(surface, self.type.fitted(words, text, places.words.width), text, color, midleft=middle)

    def _legend_width(self, values: list[tuple[str, str]], text: int) -> int:
        return sum(round(2.3 * text) + self.type.width(words, text) for _, words in values)

    def _curves(
        self, surface: pygame.Surface, places: PanelPlaces, theme: Theme, text: int, scene: TrainingScene
    ) -> None:
        plot, track = places.plot, places.track
        rounded(surface, plot, theme.paper, text // 4)
        thick = max(2, text // 5)
        line = pygame.Rect(plot.left, track.centery - thick // 2, plot.width, thick)
        rounded(surface, line, theme.track, thick)
        timeline = scene.timeline
        if timeline is None:
            return
        for epoch in range(1, timeline.steps // timeline.per_epoch):
            x = _x(plot, epoch * timeline.per_epoch, timeline.steps)
            surface.fill(theme.line, (x, plot.top, 1, plot.height))
        wide = max(1, text // 10)
        for mark, y in zip(
            MARKS, _points(plot, np.zeros(2), _accuracy_heights(np.array(MARKS)), timeline)[:, 1], strict=True
        ):
            surface.fill(theme.line, (plot.left, round(y), plot.width, 1))
            self.type.write(surface, f"{mark:.0%}", text, theme.muted, midleft=(plot.right + text // 3, y))
        if timeline.done > 1:
            steps = np.arange(1.0, timeline.done + 1)
            losses = np.array(timeline.losses)
            _line(
                surface, _points(plot, steps, _loss_heights(losses), timeline), mix(theme.paper, theme.against, 0.4), 1
            )
            _line(surface, _points(plot, steps, _loss_heights(_smooth(losses)), timeline), rgb(theme.against), wide)
        found = timeline.validations
        if found:
            steps, accuracies = np.array([[v.step, v.accuracy] for v in found], np.float64).T
            points = _points(plot, steps, _accuracy_heights(accuracies), timeline)
            _line(surface, points, rgb(theme.accent), wide)
            for point in points:
                disc(surface, theme.accent, (round(point[0]), round(point[1])), max(2, text // 6))
        done = pygame.Rect(line.left, line.top, _x(plot, timeline.done, timeline.steps) - plot.left, thick)
        if done.width:
            rounded(surface, done, theme.other, thick)
        x = _x(plot, scene.shown, timeline.steps)
        surface.fill(theme.ink, (x, plot.top, 1, track.centery - plot.top))
        disc(surface, theme.accent if scene.follows else theme.ink, (x, track.centery), round(0.5 * text))

    def _setting(
        self,
        surface: pygame.Surface,
        rect: pygame.Rect,
        theme: Theme,
        text: int,
        shown: tuple[str, str, str | None, bool],
    ) -> None:
        """Draw a setting: its name, and its value between two arrows.

        shown: name, value, which arrow is hovered, whether keys change it.
        """
        name, value, hovered, chosen = shown
        x, inner = rect.left, rect.width - 2 * text
        label = _label(self.type, name, text, inner - self.type.width(value, text) - text)
        rounded(surface, rect, theme.track, text // 2)
        for sign, way in (("-", -1), ("+", 1)):
            color = theme.accent if hovered == f"{name} {sign}" else theme.muted
            middle = rect.left + round(0.7 * text) if way < 0 else rect.right - round(0.7 * text)
            _arrow(surface, (middle, rect.centery), way * 0.28 * text, color)
        words = f"{label} " if label else ""
        wide = self.type.width(words, text) + self.type.width(value, text)
        x = rect.centerx - wide // 2
        x = self.type.write(surface, words, text, theme.muted, midleft=(x, rect.centery)).right if words else x
        self.type.write(surface, value, text, theme.ink, midleft=(x, rect.centery))
        if chosen:
            _ring(surface, rect, theme, text)


def panel_places(type_: Type, rect: pygame.Rect, text: int) -> PanelPlaces:
    """Divide the panel's Rect among its items, from top to bottom: controls, legend, curves, time line, settings."""
    return _panel_places(type_, (rect.left, rect.top, rect.width, rect.height), text)


@lru_cache(maxsize=8)
def _panel_places(type_: Type, rect: tuple[int, int, int, int], text: int) -> PanelPlaces:
    area, row, gap = pygame.Rect(rect), round(ROW * text), round(GAP * text)
    wide = {"go": "Start again", "step": "Step", "again": "Start again"}
    items = {name: type_.width(words, text, True) + 2 * text for name, words in wide.items()}
    beside = max(type_.width(words, text) for words in PACE_WORDS)
    items["slider"] = round(8.2 * text) + beside
    top, rows = _flow(items, pygame.Rect(area.left, area.top, area.width, 0), row, 2 * gap)
    settings, settings_rows = _flow(_setting_widths(type_, text, area.width), pygame.Rect(area), row, gap)
    below = settings_rows * (row + gap)
    line = round(LINE * text)
    legend = pygame.Rect(area.left, area.top + rows * (row + gap), area.width, line)
    words = legend.copy()
    if area.width < WIDE * text:
        legend.height = line if area.width > LEGEND * text else 2 * line
        words = pygame.Rect(area.left, legend.bottom, area.width, 2 * line)
    plot = pygame.Rect(area.left, words.bottom + gap // 2, area.width, 0)
    plot.height = area.bottom - below - round(TRACK * text) - plot.top
    if plot.height < (LEAST_PLOT if settings_rows <= 2 else TALL_PLOT) * text:
        settings, below = {}, 0
        plot.height = max(1, area.bottom - round(TRACK * text) - plot.top)
    plot.left, plot.width = plot.left + text // 2, plot.width - round(MARKED * text) - text // 2
    track = pygame.Rect(plot.left, plot.bottom, plot.width, round(TRACK * text))
    moved = {name: place.move(0, area.bottom - below + gap - area.top) for name, place in settings.items()}
    slider = Slider.within(top.pop("slider").inflate(-text, 0), text, beside)
    return PanelPlaces(top, slider, legend, words, plot, track, moved)


def _setting_widths(type_: Type, text: int, room: int) -> dict[str, int]:
    """Return the width of each setting: with its full name, or a short one if they then fit into one row."""
    samples = {"lr": "0.0003", "optimizer": "adamw", "batch_size": "512", "seed": "99"}
    for short in (0, 1):
        widths = {
            name: round(type_.width(f"{LABELS[name][short]} {samples[name]}".strip(), text) + 3.4 * text)
            for name in SETTINGS
        }
        if sum(widths.values()) + 3 * round(GAP * text) <= room:
            break
    return widths


def _label(type_: Type, name: str, text: int, room: float) -> str:
    """Return a setting's name, as long as there is room for it."""
    return next((words for words in LABELS[name] if type_.width(f"{words} ", text) <= room), "")


def _flow(items: dict[str, int], area: pygame.Rect, row: int, gap: int) -> tuple[dict[str, pygame.Rect], int]:
    """Place items of given widths from left to right, in as many rows as they need.  Return them, and how many."""
    placed: dict[str, pygame.Rect] = {}
    x, y, rows = area.left, area.top, 1
    for name, wide in items.items():
        if x > area.left and x + wide > area.right:
            x, y, rows = area.left, y + row + gap // 2, rows + 1
        placed[name] = pygame.Rect(x, y, min(wide, area.width), row)
        x += wide + gap
    return placed, rows


def _legend(timeline: Timeline, step: int) -> list[tuple[str, str]]:
    """Return the values of the curves at a step: (colour of the theme, words)."""
    found, loss = timeline.validation_at(step), timeline.loss_at(step)
    shown: list[tuple[str, str]] = []
    if found:
        shown.append(("accent", f"validation {percent(found.accuracy)}, loss {found.loss:.2f}"))
    if loss is not None:
        shown.append(("against", f"training loss {loss:.2f}"))
    return shown


def _x(plot: pygame.Rect, step: float, steps: int) -> int:
    return plot.left + round((plot.width - 1) * step / max(1, steps))


def _points(plot: pygame.Rect, steps: Float64s, heights: Float64s, timeline: Timeline) -> Float64s:
    """Return points of the window (n,2) for heights 0..1 of the plot."""
    x = plot.left + (plot.width - 1) * steps / max(1, timeline.steps)
    inner = 0.9 * plot.height
    return np.stack([x, plot.bottom - 0.05 * plot.height - inner * heights], axis=1)


def _accuracy_heights(accuracies: Float64s) -> Float64s:
    """Return heights at which 90%, 99% and 99.9% are equally far from each other."""
    return np.clip(np.log10(np.maximum(1 - accuracies, 1e-9)) / math.log10(LEAST_ERROR), 0, 1)


def _loss_heights(losses: Float64s) -> Float64s:
    low, high = map(math.log, LOSSES)
    return (np.log(np.clip(losses, *LOSSES)) - low) / (high - low)


def _smooth(losses: Float64s) -> Float64s:
    """Return the mean of some values up to each one: of more and more, at most twenty."""
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    ends = np.arange(1, len(losses) + 1)
    starts = ends - np.minimum(20, (ends + 2) // 3)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _line(surface: pygame.Surface, points: Float64s, color: tuple[int, int, int], wide: int) -> None:
    """Draw a smooth line of some thickness through points (n,2), of which two are enough to a pixel."""
    if len(points) < 2:
        return
    every = max(1, int(len(points) / max(1.0, 2 * (points[-1, 0] - points[0, 0]))))
    some = np.concatenate([points[:-1:every], points[-1:]]).tolist()
    for i in range(wide):
        pygame.draw.aalines(surface, color, False, [(x, y + i) for x, y in some])


def _ring(surface: pygame.Surface, rect: pygame.Rect, theme: Theme, text: int) -> None:
    """Draw the outline of what keys change."""
    pygame.draw.rect(surface, theme.accent, rect, max(2, text // 8), border_radius=text // 2)


def _arrow(surface: pygame.Surface, center: tuple[int, int], half: float, color: str) -> None:
    """Draw a small triangle that points to the left for a negative half width, else to the right."""
    x, y = center
    tall = 1.3 * abs(half)
    pygame.draw.polygon(surface, color, [(x + half, y), (x - half, y - tall), (x - half, y + tall)])
