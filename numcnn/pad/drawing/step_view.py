"""How one step of learning looks: the inside panel frame by frame, and a card with words, numbers and controls."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.kernels.arrays import AnyArray, Bytes, Float64s
from numcnn.nn.layers import MaxPool2D
from numcnn.nn.traced import LOSS, statistics
from numcnn.pad.drawing.inside import (
    GREYS,
    LINE,
    Inside,
    brightness,
    draw_filters,
    draw_levels,
    output_bar,
    output_column,
    output_key,
    signed_levels,
)
from numcnn.pad.drawing.inside_layout import OUTPUTS, Band
from numcnn.pad.drawing.lens_card import BOLD, Look, draw_terms
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.slider import Slider
from numcnn.pad.drawing.theme import Color, Theme, draw_card, draw_close_button, heat, rgb, rounded
from numcnn.pad.explaining import values_of
from numcnn.pad.lesson import ANSWER, BACKWARD, CHANGE, FORWARD, LOSS_FRAME, Frame, Lesson, largest

BUTTONS: tuple[str, ...] = ("first", "back", "play", "forth", "last")
TRIED = 500  # windows of a max-pool among which one is looked for
OTHERS = 4  # digits besides the label whose probabilities the last frame shows
VEIL = 0.75  # of the background's colour on what has not been reached


class StepScene(NamedTuple):
    """What the panel shows."""

    lesson: Lesson
    frames: list[Frame]
    at: int
    label: int
    rate: float
    rate_share: float  # where the slider stands, 0..1
    playing: bool

    @property
    def frame(self) -> Frame:
        """The frame that is shown."""
        return self.frames[self.at]


class Controls(NamedTuple):
    """Where the controls are in the card."""

    buttons: dict[str, pygame.Rect]
    labels: list[pygame.Rect]  # of the digits 0 to 9
    slider: Slider
    close: pygame.Rect
    above: pygame.Rect  # what is left of the card for words and numbers

    def at(self, position: Sequence[int]) -> str:
        """Return the name of the control at a position of the window: a button, a digit, "rate", "close", or ""."""
        named = [*self.buttons.items(), *((str(i), rect) for i, rect in enumerate(self.labels)), ("close", self.close)]
        found = next((name for name, rect in named if rect.collidepoint(position[0], position[1])), "")
        return found or ("rate" if self.slider.holds(position) else "")


def controls_of(room: pygame.Rect, text: int, beside: int) -> Controls:
    """Return where the controls are in a card; beside: width of the widest words at the slider."""
    pad, high = round(0.7 * text), round(1.8 * text)
    inner = room.inflate(-2 * pad, -2 * pad)
    row = pygame.Rect(inner.left, inner.bottom - high, inner.width, high)
    buttons = dict(zip(BUTTONS, _divided(row, len(BUTTONS), text // 3), strict=True))
    labels = _divided(row.move(0, -round(2.1 * text)), 10, max(1, text // 8))
    slider = Slider.within(row.move(0, -round(4.0 * text)), text, beside)
    close = pygame.Rect(inner.right - high, inner.top, high, high)
    above = pygame.Rect(inner.left, inner.top, inner.width, slider.line.top - text // 3 - inner.top)
    return Controls(buttons, labels, slider, close, above)


def _divided(row: pygame.Rect, count: int, gap: int) -> list[pygame.Rect]:
    edges = [row.left + round(i * (row.width + gap) / count) for i in range(count + 1)]
    return [pygame.Rect(edges[i], row.top, edges[i + 1] - gap - edges[i], row.height) for i in range(count)]


def step_parts(
    look: Look, shown: StepScene, there: Sequence[Band], areas: tuple[pygame.Rect, pygame.Rect], controls: Controls
) -> list[Part]:
    """Return the parts of the step.  there: the bands of the inside panel; areas: of the card and the panel."""
    room, panel = areas
    card_key = shown.lesson, shown.at, shown.label, shown.rate, shown.playing
    card = Part("step card", room, card_key, lambda surface: StepCard(look, shown, controls).draw(surface, room))
    if not panel.width:  # no room beside a training run
        return [card]
    key = shown.lesson, shown.at
    return [Part("step panel", panel.inflate(16, 16), key, lambda s: Panel(look, shown, there).draw(s, panel)), card]


class Panel:
    """The inside panel, as far as the step has got."""

    def __init__(self, look: Look, shown: StepScene, there: Sequence[Band]) -> None:
        self.look, self.shown, self.bands = look, shown, there

    def draw(self, surface: pygame.Surface, panel: pygame.Rect) -> None:
        """Draw all bands: what has been computed forward, and in colours the gradient that has come back."""
        look, frame = self.look, self.shown.frame
        surface.fill(look.theme.background, panel)
        inside = Inside(look.type)
        done = {each.band for each in self.shown.frames[: self.shown.at + 1] if each.kind == BACKWARD}
        reached = {each.band for each in self.shown.frames[: self.shown.at + 1] if each.kind == FORWARD}
        for number, band in enumerate(self.bands):
            inside.caption_part(band, look.theme, look.text, number + 1).draw(surface)
            if band.kind == OUTPUTS:
                self._outputs(surface, band, number in reached)
            elif number in done:
                draw_levels(surface, band, _signed(self.shown.lesson.gradient(number)), signed_levels(look.theme))
            else:
                shades = GREYS if number == 0 else _shades(look.theme, 0.0 if number in reached else VEIL)
                values = values_of(self.shown.lesson.inspection, number)
                draw_levels(
                    surface, band, _levels(values) if number in reached else np.ones_like(_levels(values)), shades
                )
            if band.strip:
                self._filters(surface, band, number)
            if number == frame.band:
                around = band.body.union(band.caption).inflate(10, 8)
                color = look.theme.against if frame.kind in (BACKWARD, CHANGE) else look.theme.accent
                pygame.draw.rect(surface, color, around, max(2, look.text // 8), border_radius=4)

    def _filters(self, surface: pygame.Surface, band: Band, number: int) -> None:
        """Draw the filters; while they change, by how much."""
        lesson, frame, theme = self.shown.lesson, self.shown.frame, self.look.theme
        before, after = lesson.changed(lesson.stop(number).name)["w"]
        if frame.kind == CHANGE and frame.band == number:
            draw_filters(surface, band, after - before, theme, theme.against)
        else:
            draw_filters(surface, band, before, theme, theme.line)

    def _outputs(self, surface: pygame.Surface, band: Band, reached: bool) -> None:
        """Draw the probabilities as bars; in the last frame those before the step beside them."""
        type_, theme, text = self.look
        lesson, kind = self.shown.lesson, self.shown.frame.kind
        before = lesson.before.probabilities if reached else np.zeros(band.count)
        after = lesson.after.probabilities if kind == ANSWER else before
        gradient = lesson.before[LOSS]["dx"]
        for digit in range(band.count):
            bar, key, column = output_bar(band, digit, text), output_key(band, digit, text), output_column(band, digit)
            label = digit == lesson.label
            rounded(surface, bar, theme.track, text // 5)
            for value, color in (
                (before[digit], theme.other if kind == ANSWER else theme.accent),
                (after[digit], theme.accent),
            ):
                high = round(value * bar.height)
                wide = bar.width if color != theme.accent or kind != ANSWER else bar.width // 2
                rounded(surface, pygame.Rect(bar.left, bar.bottom - high, wide, high), color, text // 5)
            rounded(surface, key, theme.active if label else theme.hover, text // 3)
            type_.write(
                surface, f"{digit}", 1.1 * text, theme.accent if label else theme.muted, label, center=key.center
            )
            written = (
                f"{gradient[digit]:+.1f}" if kind == BACKWARD and self.shown.frame.band == len(self.bands) - 1 else ""
            )
            if written and type_.width(written, 0.92 * text) <= column.width:
                color = theme.against if gradient[digit] < 0 else theme.muted
                type_.write(surface, written, 0.92 * text, color, midtop=column.midtop)


class StepCard:
    """What happens in a frame: words, numbers, and the controls."""

    def __init__(self, look: Look, shown: StepScene, controls: Controls) -> None:
        self.look, self.shown, self.controls = look, shown, controls

    def draw(self, surface: pygame.Surface, room: pygame.Rect) -> None:
        """Draw the card."""
        type_, theme, text = self.look
        draw_card(surface, room, theme, text)
        self._draw_controls(surface)
        rect, step = self.controls.above, round(LINE * text)
        top, lines = rect.top, rect.height // step
        wide = (rect.width - self.controls.close.width) / BOLD
        titles = [type_.wrapped(words, 1.08 * text, wide) for words in self.titles()]
        title = next((each for each in titles if len(each) <= 2), titles[-1])
        numbers = self.numbers()
        words = [line for part in self.words() for line in type_.wrapped(part, text, rect.width)]
        lines -= 1  # for the gaps
        room_for_words = lines - len(title) - len(numbers)
        if len(words) > room_for_words:
            words = type_.wrapped(self.short(), text, rect.width)
        words = words if len(words) <= room_for_words else []
        numbers = numbers[: max(0, lines - len(title) - len(words))]
        for line in title:
            type_.write(surface, line, 1.08 * text, theme.ink, True, topleft=(rect.left, top))
            top += step
        top += step // 3
        for line in words:
            type_.write(surface, line, text, theme.muted, topleft=(rect.left, top))
            top += step
        top += step // 3
        for name, value in numbers:
            right = type_.write(surface, value, text, theme.ink, True, topright=(rect.right, top)).left
            if type_.width(name, text) <= right - rect.left - text // 2:
                type_.write(surface, name, text, theme.muted, topleft=(rect.left, top))
            top += step
        found = self.shown.lesson.sums.get(self.shown.frame)
        if found and rect.bottom - top >= 5.5 * step:
            top += step // 2
            rest = pygame.Rect(rect.left, top + step, rect.width, rect.bottom - top - step)
            window = self.window()
            window = window if len(window) * step <= rest.height else []
            heads = [f"the largest: {found.entry}", found.entry]
            heads = ["one window: x, and its dx", "one window: x, dx"] if window else heads
            head = next((head for head in heads if type_.width(head, text, True) <= rect.width), heads[-1])
            type_.write(surface, head, text, theme.ink, True, topleft=(rect.left, top))
            if window:
                self._draw_window(surface, rest, window)
            else:
                draw_terms(surface, self.look, rest, found)

    def _draw_window(self, surface: pygame.Surface, rect: pygame.Rect, rows: list[tuple[str, str, str]]) -> None:
        """Write what each pixel of a max-pool's window was, and what it gets."""
        type_, theme, text = self.look
        named = all(type_.width(f"{name} = {value}{gradient}", text, True) < rect.width - text // 2
                    for name, value, gradient in rows)  # fmt: skip
        for i, (name, value, gradient) in enumerate(rows):
            top, won = rect.top + i * round(LINE * text), float(gradient) != 0
            color = theme.muted if not won else theme.against if gradient.startswith("-") else theme.accent
            type_.write(surface, gradient, text, color, won, topright=(rect.right, top))
            words = f"{name} = {value}" if named else value
            type_.write(surface, words, text, theme.ink if won else theme.muted, won, topleft=(rect.left, top))

    def window(self) -> list[tuple[str, str, str]]:
        """Return one window of a max-pool: names, values of x and of dx.

        It is that of the largest gradient; if there is one among the next largest with all x above 0, that one.
        """
        lesson, frame = self.shown.lesson, self.shown.frame
        stop = lesson.before[frame.stop]
        if frame.kind != BACKWARD or not isinstance(stop.layer, MaxPool2D):
            return []
        (KH, KW), (SH, SW), (OH, OW, _) = stop.layer.pool_size, stop.layer.stride, stop["out"].shape
        chosen: list[tuple[int, int, int]] = []
        for i in np.argsort(-np.abs(stop["dx"]), axis=None)[:TRIED]:
            y, x, c = map(int, np.unravel_index(i, stop["dx"].shape))
            top, left = min(y // SH, OH - 1) * SH, min(x // SW, OW - 1) * SW
            places = [(row, column, c) for row in range(top, top + KH) for column in range(left, left + KW)]
            chosen = chosen or places
            if all(stop["x"][at] > 0 for at in places):
                chosen = places
                break
        return [(f"x[{','.join(map(str, at))}]", f"{stop['x'][at]:.3g}", f"{stop['dx'][at]:.2g}") for at in chosen]

    # Words and numbers

    def titles(self) -> list[str]:
        """Return what happens, the longest first."""
        frame, place = self.shown.frame, f"{self.shown.at + 1} of {len(self.shown.frames)}"
        name = {FORWARD: "forward: ", BACKWARD: "gradient, back through ", CHANGE: "change: "}.get(frame.kind, "")
        what = {LOSS_FRAME: "the loss", ANSWER: "the new answer"}.get(frame.kind, frame.stop)
        return [f"{name}{what} ({place})", f"{name}{what}"]

    def words(self) -> list[str]:
        """Return what happens in words."""
        lesson, frame = self.shown.lesson, self.shown.frame
        if frame.kind == FORWARD:
            return [lesson.before[frame.stop].lessons[0]]
        if frame.kind == LOSS_FRAME:
            return [*lesson.before[LOSS].lessons[:1]]
        if frame.kind == BACKWARD:
            return [lesson.before[frame.stop].lessons[1]]
        if frame.kind == CHANGE:
            return ["Plain gradient descent: each weight takes a step against its gradient, w - rate * dw."]
        better = lesson.after.loss < lesson.before.loss
        return [
            "The same picture again, by the changed copy. " +
            ("The loss has fallen." if better else "The loss has not fallen: the step was too large.") +
            " Your network is as it was."
        ]  # fmt: skip

    def short(self) -> str:
        """Return the words for a card with little room."""
        if self.window():
            return "the largest x gets dout"
        return {FORWARD: "", LOSS_FRAME: "loss = -log p", BACKWARD: "d loss / d value", CHANGE: "w - rate * dw"}.get(
            self.shown.frame.kind, "by the changed copy"
        )

    def numbers(self) -> list[tuple[str, str]]:
        """Return the names and values of a frame."""
        lesson, frame = self.shown.lesson, self.shown.frame
        label = lesson.label
        if frame.kind == FORWARD:
            values = values_of(lesson.inspection, frame.band)
            if frame.band > len(lesson.inspection.stages):
                return [
                    ("answer", f"{lesson.before.answer}"),
                    (f"p({label})", _share(lesson.before.probabilities[label])),
                ]
            return _figures(values)
        if frame.kind == LOSS_FRAME:
            p = lesson.before.probabilities[label]
            return [
                ("label", f"{label}"),
                (f"p({label})", _share(p)),
                (f"loss = -log {p:.3g}", f"{lesson.before.loss:.4g}"),
            ]
        if frame.kind == BACKWARD:
            return _figures(lesson.gradient(frame.band))
        if frame.kind == CHANGE:
            return list(self._changes(frame.stop))
        pairs = [("answer", f"{lesson.before.answer}", f"{lesson.after.answer}"),
                 ("loss", f"{lesson.before.loss:.3g}", f"{lesson.after.loss:.3g}")]  # fmt: skip
        others = [int(digit) for digit in np.argsort(-lesson.before.probabilities) if digit != label]
        pairs += [(f"p({digit})", *(_share(trace.probabilities[digit]) for trace in (lesson.before, lesson.after)))
                  for digit in [label, *others[:OTHERS]]]  # fmt: skip
        return [(name, f"{old} → {new}") for name, old, new in pairs]

    def _changes(self, layer: str) -> Iterator[tuple[str, str]]:
        """Yield how a layer's parameters change: the norms, and the one that changes most in full."""
        lesson = self.shown.lesson
        name = lesson.parameter(layer)
        before, after = lesson.changed(layer)[name]
        gradient = lesson.before[layer][f"d{name}"]
        yield f"norm of {name}", f"{_norm(before):.4g}"
        yield f"norm of d{name}", f"{_norm(gradient):.4g}"
        yield "norm of the change", f"{_norm(after - before):.4g}"
        at = largest(gradient)
        yield f"{name}[{','.join(map(str, at))}]", f"{before[at]:.4g}"
        yield f"- {lesson.rate:.2g} * {gradient[at]:.4g}", f"{after[at]:.4g}"

    # Controls

    def _draw_controls(self, surface: pygame.Surface) -> None:
        type_, theme, text = self.look
        controls, shown = self.controls, self.shown
        draw_close_button(surface, controls.close, theme, text)
        for name, rect in controls.buttons.items():
            on = name == "play" and shown.playing
            rounded(surface, rect, theme.active if on else theme.line, text // 3)
            _symbol(surface, name if not on else "pause", rect, rgb(theme.accent if on else theme.ink), text)
        for digit, rect in enumerate(controls.labels):
            chosen = digit == shown.label
            rounded(surface, rect, theme.active if chosen else theme.line, text // 3)
            type_.write(surface, f"{digit}", text, theme.accent if chosen else theme.ink, chosen, center=rect.center)
        controls.slider.draw(surface, type_, theme, text, shown.rate_share, rate_words(shown.rate))


def rate_words(rate: float) -> str:
    """Return what is written beside the slider."""
    return f"rate {rate:.2g}"


def _figures(values: AnyArray) -> list[tuple[str, str]]:
    norm, zeros, largest = statistics(values)
    return [("norm", f"{norm:.4g}"), ("zeros", f"{zeros:.1%}"), ("largest", f"{largest:.3g}")]


def _norm(values: Float64s) -> float:
    return math.sqrt(float((values**2).sum()))


def _share(p: float) -> str:
    return f"{p:.1%}" if 0.001 < p < 0.999 else f"{p:.3g}"


def _levels(values: AnyArray) -> Bytes:
    """Return values as levels 1..255, brighter for faint ones as in the inside panel."""
    return (1.5 + 254 * brightness(values)).astype(np.uint8)


def _signed(values: Float64s) -> Bytes:
    """Return values as levels 1..255 around 128, zero; faint ones are made visible."""
    scaled = values / (np.abs(values).max() or 1)
    return np.rint(128 + 127 * np.sign(scaled) * np.sqrt(np.abs(scaled))).astype(np.uint8)


def _shades(theme: Theme, veil: float) -> Bytes:
    """Return the colours of levels 0..255, faded towards the background."""
    background = rgb(theme.background)
    faded = (1 - veil) * heat(theme)[:255] + veil * np.array(background)
    return np.array([background, *faded.round()], np.uint8)


def _symbol(surface: pygame.Surface, name: str, rect: pygame.Rect, color: Color, text: int) -> None:
    """Draw a button's symbol, as on a player."""
    (x, y), half = rect.center, round(0.42 * text)
    thick = max(2, round(0.22 * text))
    if name == "pause":
        for side in (-1, 1):
            bar = pygame.Rect(0, 0, thick, 2 * half)
            bar.center = x + side * round(0.25 * text), y
            surface.fill(color, bar)
        return
    way = -1 if name in ("first", "back") else 1
    tip, foot = x + way * half, x - way * half
    pygame.draw.polygon(surface, color, [(tip, y), (foot, y - half), (foot, y + half)])
    if name in ("first", "last"):
        surface.fill(color, pygame.Rect(tip - thick // 2, y - half, thick, 2 * half))
    elif name != "play":  # one step: a bar behind the arrow
        surface.fill(color, pygame.Rect(foot - way * thick - thick // 2, y - half, thick, 2 * half))
