"""What is shown above the pad for a while: a tooltip, a message, the list of keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pygame

from numcnn.pad.drawing.layout import Layout
from numcnn.pad.drawing.theme import Theme, Type, disc, draw_card
from numcnn.pad.keys import LISTS, Row

Draw: TypeAlias = Callable[[pygame.Surface], None]

HELP_LINES = 1.1, 1.62  # least and usual height of a row in the list of keys, in heights of the text
HELP_EDGE = 1.6  # height of the card above and below its rows together, in heights of the text
LEAST_HELP = 8  # pixels: height of the text in the smallest windows
VEIL = 170  # of 255: opacity of the veil behind the list of keys
TIPS = {
    "undo": "Undo   Ctrl Z",
    "redo": "Redo   Ctrl Y",
    "erase": "Eraser   E, or the right button",
    "clear": "Clear the sheet   C",
    "inside": "Look inside the network   F",
    "why": "Why this answer?   W",
    "train": "Watch a new network learn   R",
    "learn": "Learn from your digits   T",
    "save": "Save the drawing   S",
    "theme": "Dark or light   D",
    "help": "All keys   H",
}


@dataclass(frozen=True)
class Toast:
    """A message.  kind: "note", "good" or "bad"; button: its label, if what has been done can be undone."""

    words: str
    kind: str = "note"
    button: str = ""


def tooltip(type_: Type, theme: Theme, places: Layout, name: str) -> tuple[pygame.Rect, Draw]:
    """Return the Rect and the drawing function of a button's tooltip."""
    text, button = places.text, places.buttons[name]
    rect = pygame.Rect(0, 0, type_.width(TIPS[name], text) + round(1.4 * text), round(2.1 * text))
    rect.midleft = button.right + text // 2, button.centery

    def draw(surface: pygame.Surface) -> None:
        draw_card(surface, rect, theme, text)
        type_.write(surface, TIPS[name], text, theme.ink, center=rect.center)

    return rect.inflate(text, text), draw


def toast(
    type_: Type, theme: Theme, places: Layout, shown: Toast, legend: bool
) -> tuple[pygame.Rect, Draw, pygame.Rect | None]:
    """Return a message's Rect, its drawing function, and the Rect of its button or None.

    legend: whether it leaves the sheet's last line free.
    """
    text, sheet = places.text, places.sheet
    button_wide = type_.width(shown.button, text, True) + 2 * text if shown.button else 0
    foot = round((2.4 if legend else 0.7) * text)
    for area in (sheet, places.status):  # on the sheet; where that is too small, beyond its right edge
        room = max(8 * text, area.width - 5 * text - button_wide)
        lines = [line for part in shown.words.split("\n") for line in type_.wrapped(part, text, room)]
        tall = round((1.45 * len(lines) + 1.2) * text)
        if tall <= sheet.height - foot:
            break
    wide = max(type_.width(line, text) for line in lines)
    rect = pygame.Rect(0, 0, round(wide + 3.4 * text + button_wide), tall)
    rect.midbottom = area.centerx, max(sheet.bottom - foot, sheet.top + tall)
    button = None
    if shown.button:
        button = pygame.Rect(rect.right - button_wide - text // 2, rect.top, button_wide, rect.height)

    def draw(surface: pygame.Surface) -> None:
        draw_card(surface, rect, theme, text)
        color = {"good": theme.accent, "bad": theme.against}.get(shown.kind, theme.muted)
        x = rect.left + round(1.3 * text)
        disc(surface, color, (x, rect.centery), round(0.34 * text))
        for i, line in enumerate(lines):
            y = rect.top + round((0.6 + 1.45 * (i + 0.5)) * text)
            type_.write(surface, line, text, theme.ink, midleft=(x + text, y))
        if button:
            type_.write(surface, shown.button, text, theme.accent, True, center=button.center)

    return rect.inflate(text, text), draw, button


def help_card(type_: Type, theme: Theme, places: Layout, mode: str) -> tuple[pygame.Rect, Draw]:
    """Return the Rect and the drawing function of the lists of keys, with a veil over the whole window behind them.

    mode: the list that comes first, and alone where there is no room for the others.
    """
    window = pygame.Rect(0, 0, places.status.right + places.margin, places.status.bottom)
    text, columns, line = _help_plan(type_, window, places.text, mode)
    names, wide = _help_widths(type_, text)
    tall = max(map(len, columns)) * line
    rect = pygame.Rect(0, 0, round(wide * len(columns) + 0.8 * text), round(tall + HELP_EDGE * text))
    rect.center = window.center

    def draw(surface: pygame.Surface) -> None:
        veil = pygame.Surface(surface.get_clip().size)
        veil.fill(theme.background)
        veil.set_alpha(VEIL)
        surface.blit(veil, surface.get_clip())
        draw_card(surface, rect, theme, text)
        for number, column in enumerate(columns):
            left = round(rect.left + 1.2 * text + number * wide)
            for i, row in enumerate(column):
                y = round(rect.centery - tall / 2 + (i + 0.5) * line)
                title = not row.words
                type_.write(surface, row.names, text, theme.accent if title else theme.ink, True, midleft=(left, y))
                type_.write(surface, row.words, text, theme.muted, midleft=(left + names, y))

    return pygame.Rect(0, 0, window.width, window.height + places.margin), draw


def _help_plan(type_: Type, window: pygame.Rect, text: int, mode: str) -> tuple[int, list[list[Row]], float]:
    """Return the height of the text, the rows of each column, and the height of a row.

    All lists if they fit, in as few columns as that takes; else the mode's own; else that with smaller text.
    """
    order = [mode, *(name for name in LISTS if name != mode)]
    half = 1 if mode == "drawing" else 2  # the long list has a column of its own
    line, columns = 0.0, [_help_column(order[:1])]
    for size in range(text, LEAST_HELP - 1, -1):
        room = window.width - size, window.height - HELP_EDGE * size
        for lists in ([order], [order[:half], order[half:]], [order[:1]]):
            columns = [_help_column(each) for each in lists]
            line = min(HELP_LINES[1] * size, room[1] / max(map(len, columns)))
            if line >= HELP_LINES[0] * size and _help_widths(type_, size)[1] * len(columns) <= room[0]:
                return size, columns, line
    return LEAST_HELP, columns, line


def _help_column(names: Sequence[str]) -> list[Row]:
    """Return lists one below the other, each with its title, and an empty row between them."""
    return [row for name in names for row in (Row("", ""), Row(LISTS[name][0], ""), *LISTS[name][1])][1:]


def _help_widths(type_: Type, text: int) -> tuple[int, int]:
    """Return the widths of the names of the keys and of a whole column, each with the gap behind it."""
    rows = [row for _, rows in LISTS.values() for row in rows]
    names = max(type_.width(row.names, text, True) for row in rows) + text
    return names, names + max(type_.width(row.words, text) for row in rows) + round(1.6 * text)
