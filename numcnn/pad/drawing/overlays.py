"""What is shown above the pad for a while: a tooltip, a message, the list of keys."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pygame

from numcnn.pad.drawing.layout import Layout
from numcnn.pad.drawing.theme import Theme, Type, disc, rounded

Draw: TypeAlias = Callable[[pygame.Surface], None]

KEYS = (
    ("Left button, pen, finger", "draw"),
    ("Right button", "erase"),
    ("E", "eraser, on and off"),
    ("Wheel, [ and ]", "brush, on the screen"),
    ("Ctrl Z, Ctrl Y", "undo, redo"),
    ("Ctrl C", "copy the digits as text"),
    ("C, Space", "clear"),
    ("S", "save the drawing as PNG"),
    ("Drop a picture, Ctrl V", "read it"),
    ("O", "open a picture file"),
    ("Click, arrow keys", "choose a digit"),
    ("Point, tap", "what a number is made of"),
    ("F, Tab", "inside the network"),
    ("W", "why this answer"),
    ("G", "one step of learning"),
    ("0 to 9", "say what it is"),
    ("U", "take that back"),
    ("R", "watch a new network learn"),
    ("T", "learn from your digits"),
    ("B", "shipped weights or yours"),
    ("N, P, M", "test digits: next, previous, misread"),
    ("D, F11", "dark or light; full screen"),
    ("H, ?", "these keys"),
    ("Esc", "close, quit"),
)
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
        _card(surface, theme, rect, text)
        type_.write(surface, TIPS[name], text, theme.ink, center=rect.center)

    return rect.inflate(text, text), draw


def toast(type_: Type, theme: Theme, places: Layout, shown: Toast) -> tuple[pygame.Rect, Draw, pygame.Rect | None]:
    """Return a message's Rect, its drawing function, and the Rect of its button or None."""
    text, sheet = places.text, places.sheet
    button_wide = type_.width(shown.button, text, True) + 2 * text if shown.button else 0
    room = max(8 * text, sheet.width - 5 * text - button_wide)
    lines = [line for part in shown.words.split("\n") for line in type_.wrapped(part, text, room)]
    wide = max(type_.width(line, text) for line in lines)
    rect = pygame.Rect(0, 0, round(wide + 3.4 * text + button_wide), round((1.45 * len(lines) + 1.2) * text))
    rect.midbottom = sheet.centerx, sheet.bottom - round(2.4 * text)
    button = None
    if shown.button:
        button = pygame.Rect(rect.right - button_wide - text // 2, rect.top, button_wide, rect.height)

    def draw(surface: pygame.Surface) -> None:
        _card(surface, theme, rect, text)
        color = {"good": theme.accent, "bad": theme.against}.get(shown.kind, theme.muted)
        x = rect.left + round(1.3 * text)
        disc(surface, color, (x, rect.centery), round(0.34 * text))
        for i, line in enumerate(lines):
            y = rect.top + round((0.6 + 1.45 * (i + 0.5)) * text)
            type_.write(surface, line, text, theme.ink, midleft=(x + text, y))
        if button:
            type_.write(surface, shown.button, text, theme.accent, True, center=button.center)

    return rect.inflate(text, text), draw, button


def help_card(type_: Type, theme: Theme, places: Layout) -> tuple[pygame.Rect, Draw]:
    """Return the Rect and the drawing function of the list of keys, with a veil over the whole window behind it."""
    text = places.text
    left = max(type_.width(key, text, True) for key, _ in KEYS)
    right = max(type_.width(action, text) for _, action in KEYS)
    line = 1.62 * text
    rect = pygame.Rect(0, 0, round(left + right + 5 * text), round(len(KEYS) * line + 4.2 * text))
    window = pygame.Rect(0, 0, places.status.right + places.margin, places.status.bottom)
    if rect.height > window.height:
        line *= (window.height - 4.2 * text) / (rect.height - 4.2 * text)
        rect.height = window.height
    rect.center = window.center

    def draw(surface: pygame.Surface) -> None:
        veil = pygame.Surface(surface.get_clip().size)
        veil.fill(theme.background)
        veil.set_alpha(VEIL)
        surface.blit(veil, surface.get_clip())
        _card(surface, theme, rect, text)
        type_.write(surface, "Keys", 1.5 * text, theme.ink, True, topleft=(rect.left + 2 * text, rect.top + text))
        for i, (key, action) in enumerate(KEYS):
            y = round(rect.top + 3.2 * text + (i + 0.5) * line)
            type_.write(surface, key, text, theme.ink, True, midleft=(rect.left + 2 * text, y))
            type_.write(surface, action, text, theme.muted, midleft=(rect.left + left + 3 * text, y))

    return pygame.Rect(0, 0, window.width, window.height + places.margin), draw


def _card(surface: pygame.Surface, theme: Theme, rect: pygame.Rect, text: int) -> None:
    edge = max(1, text // 12)
    rounded(surface, rect.inflate(2 * edge, 2 * edge), theme.line, 0.7 * text + edge)
    rounded(surface, rect, theme.card, 0.7 * text)
