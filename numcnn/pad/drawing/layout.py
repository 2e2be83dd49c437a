"""The position of everything in a window of any size.  Only numbers: nothing is drawn here."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import pygame

from numcnn.pad.canvas import Canvas
from numcnn.recognition.grouping import Box

# The buttons from top to bottom; None is a gap.
BUTTONS = ("undo", "redo", "erase", "clear", None, "inside", "why", "train", "learn", None, "save", "theme", "help")
SMALLEST = 200  # pixels: a smaller window is laid out as if it had this width or height
SEEN = 28
NARROW = 24  # heights of the text: if a training run leaves no more width, neither maps nor bars are shown beside it;
LEAST = 350  # nor if it leaves no more area, in squares of that height
LARGE = 0.033  # height of the text in a presentation, in heights of the window; of 1.25 widths, where that is less


class Layout(NamedTuple):
    """The position of everything, in pixels of the window."""

    text: int  # height of small text
    margin: int
    buttons: dict[str, pygame.Rect]
    sheet: pygame.Rect
    answer: pygame.Rect
    seen: pygame.Rect  # what the network sees, one picture per digit
    bars: pygame.Rect
    status: pygame.Rect  # a line below the sheet
    inside: pygame.Rect  # the panel with the network's feature maps; empty while it is closed
    large: bool = False  # for a presentation: every word is at least 3% of the window's height
    training: pygame.Rect = pygame.Rect(0, 0, 0, 0)  # the panel of a training run; empty while there is none

    def button_at(self, position: Sequence[float]) -> str | None:
        """Return the name of the button at a position of the window, or None."""
        x, y = position
        return next((name for name, rect in self.buttons.items() if rect.collidepoint(x, y)), None)


class Place(NamedTuple):
    """How the canvas is mapped to the sheet: its point (x, y) is at scale * (x, y) + (left, top) of the window."""

    scale: float
    left: float
    top: float
    sheet: pygame.Rect

    def to_canvas(self, position: Sequence[float]) -> tuple[float, float]:
        """Return the canvas's point at a position of the window, which is clamped to the sheet."""
        sheet = self.sheet
        x = min(max(position[0], sheet.left), sheet.right)
        y = min(max(position[1], sheet.top), sheet.bottom)
        return (x - self.left) / self.scale, (y - self.top) / self.scale

    def to_window(self, x: float, y: float) -> tuple[float, float]:
        """Return the position in the window of a point of the canvas."""
        return self.scale * x + self.left, self.scale * y + self.top

    def rect(self, box: Box) -> pygame.Rect:
        """Return the Rect of the window that a box of the canvas covers."""
        (left, top), (right, bottom) = self.to_window(*box[:2]), self.to_window(*box[2:])
        return pygame.Rect(round(left), round(top), round(right - left), round(bottom - top))


def place(canvas: Canvas, sheet: pygame.Rect) -> Place:
    """Centre the canvas on the sheet, as large as it fits with all ink, also ink beyond its edges."""
    middle_x, middle_y = canvas.width / 2, canvas.height / 2
    points = [point for stroke in canvas.strokes for point in stroke]
    reach_x = max([middle_x, *(abs(x - middle_x) for x, _ in points)])
    reach_y = max([middle_y, *(abs(y - middle_y) for _, y in points)])
    scale = min(sheet.width / (2 * reach_x), sheet.height / (2 * reach_y))
    return Place(scale, sheet.centerx - scale * middle_x, sheet.centery - scale * middle_y, sheet)


@lru_cache(maxsize=16)
def layout(size: tuple[int, int], inside: bool = False, large: bool = False, training: bool = False) -> Layout:
    """Divide a window of this size (width, height) among buttons, sheet and the panels.

    ``inside``: make room for the panel with the network's feature maps.  ``large``: for a presentation, with words
    that can be read from the back of a room.  ``training``: make room for the panel of a training run.
    """
    width, height = (max(v, SMALLEST) for v in size)
    text = max(12, round(min(width / 70, height / 44)))
    if large:
        text = max(text, math.ceil(LARGE * min(height, 1.25 * width)))
    margin = round((0.8 if large else 1.3) * text)
    buttons = _buttons(text, margin, height, round(2.8 * text) if large else round(4.0 * text))
    left = max(rect.right for rect in buttons.values()) + margin
    status = pygame.Rect(left, height - margin - text, width - left - margin, round(1.3 * text))
    bottom = status.top - round(0.7 * margin)
    strip, narrow = pygame.Rect(0, 0, 0, 0), round(NARROW * text * (0.6 if large else 1))
    if training:
        room = pygame.Rect(left, margin, width - left - margin, bottom - margin)
        strip = _training(
            room, (15 if large else 18) * text, (13 if room.width > 30 * text else 19) * text, 9 * text, narrow
        )
        width, bottom = (strip.left, bottom) if strip.top == margin else (width, strip.top - margin)
    room = pygame.Rect(left, margin, width - left - margin, bottom - margin)
    crowded = training and (room.width < narrow or room.width * room.height < LEAST * text**2)
    if inside or crowded:
        if crowded:  # no room for the panel beside a training run
            sheet, answer, seen, panel = _beside_inside(room, text)
            if room.width > 1.4 * room.height:
                sheet.size = round(0.55 * room.width), room.height
                left = sheet.right + margin
                answer, seen = _answer_above_seen(pygame.Rect(left, room.top, room.right - left, room.height), text)
            else:
                for rect in (sheet, answer, seen):
                    rect.width = room.width
            panel = pygame.Rect(0, 0, 0, 0)
        elif 1.2 * room.width < room.height:
            sheet, answer, seen, panel = _above_inside(room, text)
        else:
            sheet, answer, seen, panel = _beside_inside(room, text)
        return Layout(text, margin, buttons, sheet, answer, seen, pygame.Rect(0, 0, 0, 0), status, panel, large, strip)
    panel_width = round(min(0.31 * width, 26 * text))
    sheet = pygame.Rect(left, margin, width - left - panel_width - 2 * margin, bottom - margin)
    answer, seen, bars = _panel(pygame.Rect(sheet.right + margin, margin, panel_width, bottom - margin), text)
    return Layout(text, margin, buttons, sheet, answer, seen, bars, status, pygame.Rect(0, 0, 0, 0), large, strip)


def _buttons(text: int, margin: int, height: int, wide: int) -> dict[str, pygame.Rect]:
    """Stack the buttons at the left edge, each with an icon and a word below it."""
    count, gaps = len(BUTTONS) - BUTTONS.count(None), BUTTONS.count(None)
    gap = round(0.5 * text)
    room = height - 2 * margin - gaps * gap
    tall = min(round(3.7 * text), room // count)
    rects: dict[str, pygame.Rect] = {}
    top = margin
    for name in BUTTONS:
        if name is None:
            top += gap
        else:
            rects[name] = pygame.Rect(round(0.6 * margin), top, wide, max(1, tall - max(2, text // 6)))
            top += tall
    return rects


def _panel(panel: pygame.Rect, text: int) -> tuple[pygame.Rect, pygame.Rect, pygame.Rect]:
    """Divide the panel beside the sheet: the answer, the pictures, the bars."""
    answer = pygame.Rect(panel.left, panel.top, panel.width, round(0.23 * panel.height))
    side = SEEN * max(1, round(0.19 * panel.height) // SEEN)
    seen = pygame.Rect(panel.left, answer.bottom + round(0.8 * text), panel.width, side)
    top = seen.bottom + round(1.4 * text)
    return answer, seen, pygame.Rect(panel.left, top, panel.width, max(10, panel.bottom - top))


def _training(room: pygame.Rect, least_wide: int, least_tall: int, least_above: int, narrow: int) -> pygame.Rect:
    """Return the place of the panel of a training run: at the right edge, in high windows along the bottom."""
    if room.width > 1.2 * room.height:
        wide = round(max(0.3 * room.width, least_wide)) if room.width > 2 * narrow else room.width // 2
        return pygame.Rect(room.right - wide, room.top, wide, room.height)
    most = max(room.height // 2, room.height - least_above)
    tall = min(round(max(0.22 * room.height, least_tall)), most)
    return pygame.Rect(room.left, room.bottom - tall, room.width, tall)


def _beside_inside(room: pygame.Rect, text: int) -> tuple[pygame.Rect, pygame.Rect, pygame.Rect, pygame.Rect]:
    """Divide a Rect for the inside panel: a smaller sheet, the answer and pictures below it, the panel beside them."""
    margin = round(1.3 * text)
    side = round(max(0.36 * room.width, min(0.42 * room.width, 22 * text)))
    side = min(side, round(0.8 * room.height))  # no wider than it is high
    below = round(max(0.26 * room.height, min(0.34 * room.height, room.height - side - margin)))
    sheet = pygame.Rect(room.left, room.top, side, room.height - below - margin)
    answer, seen = _answer_above_seen(pygame.Rect(room.left, sheet.bottom + margin, side, below), text)
    left = sheet.right + margin
    return sheet, answer, seen, pygame.Rect(left, room.top, room.right - left, room.height)


def _above_inside(room: pygame.Rect, text: int) -> tuple[pygame.Rect, pygame.Rect, pygame.Rect, pygame.Rect]:
    """The same in a window higher than wide: the sheet, the answer beside it, and the panel below them."""
    margin = round(1.3 * text)
    side = round(min(0.6 * room.width, 0.42 * room.height))
    tall = max(side, round(min(15 * text, 0.47 * room.height)))  # large words need height
    sheet = pygame.Rect(room.left, room.top, side, tall)
    left = sheet.right + margin
    answer, seen = _answer_above_seen(pygame.Rect(left, room.top, room.right - left, tall), text)
    top = sheet.bottom + margin
    return sheet, answer, seen, pygame.Rect(room.left, top, room.width, room.bottom - top)


def _answer_above_seen(rest: pygame.Rect, text: int) -> tuple[pygame.Rect, pygame.Rect]:
    """Divide a Rect between the answer and, below it, what the network sees."""
    small = SEEN * max(1, round(0.28 * rest.height) // SEEN)
    seen = pygame.Rect(rest.left, rest.bottom - small, rest.width, small)
    return pygame.Rect(rest.left, rest.top, rest.width, rest.height - small - round(0.8 * text)), seen
