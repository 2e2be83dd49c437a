"""Colours, colour scales, type, and surfaces made of arrays.  Okabe and Ito's hues: safe for colour blindness."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pygame

from numcnn.imaging import raster
from numcnn.kernels.arrays import Bytes, Float64s

RGB: TypeAlias = tuple[int, int, int]
Color: TypeAlias = str | RGB


class Theme(NamedTuple):
    """The colours of everything, as #rrggbb."""

    background: str
    paper: str  # the sheet
    card: str  # tooltip, message, list of keys
    ink: str  # strokes, and main text
    muted: str  # secondary text
    line: str  # edges
    track: str  # the empty part of a bar
    other: str  # bars of all digits but the answer
    accent: str  # the answer, and ink that speaks for it
    against: str  # ink that speaks against it
    hover: str  # a button under the mouse
    active: str  # a button that is on


THEMES = {
    "light": Theme(
        background="#eef1f4",
        paper="#ffffff",
        card="#ffffff",
        ink="#14202b",
        muted="#586470",
        line="#d0d7de",
        track="#dde3e9",
        other="#9aabba",
        accent="#0072b2",
        against="#d55e00",
        hover="#e0e6ec",
        active="#cfe4f1",
    ),
    "dark": Theme(
        background="#11161b",
        paper="#1a2128",
        card="#222b34",
        ink="#f0f4f7",
        muted="#98a6b3",
        line="#303b46",
        track="#28323b",
        other="#5f7384",
        accent="#56b4e9",
        against="#e69f00",
        hover="#222c35",
        active="#1d3d52",
    ),
}


def rgb(color: Color) -> RGB:
    """Return a colour as (r, g, b)."""
    parsed = pygame.Color(color)
    return parsed.r, parsed.g, parsed.b


def mix(one: Color, other: Color, fraction: float) -> RGB:
    """Return the colour that is a fraction, 0..1, of the way from one to another."""
    r, g, b = (round(a + fraction * (b - a)) for a, b in zip(rgb(one), rgb(other), strict=True))
    return r, g, b


@lru_cache
def heat(theme: Theme) -> Bytes:
    """Return the colours of levels 0..255, from nothing to the maximum: (256,3)."""
    return _ramp(theme.track, theme.accent, theme.ink)


@lru_cache
def signed(theme: Theme) -> Bytes:
    """Return the colours of levels 0..255 for -1..1, from against to for: (256,3)."""
    return _ramp(theme.against, theme.paper, theme.accent)


def _ramp(*colors: Color) -> Bytes:
    corners = np.array([rgb(color) for color in colors], np.float64)
    at = np.linspace(0, len(colors) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(colors)), c) for c in corners.T], axis=1).round().astype(np.uint8)


def rounded(surface: pygame.Surface, rect: pygame.Rect, color: Color, radius: float) -> None:
    """Fill a Rect with smooth round corners."""
    radius = min(round(radius), rect.width // 2, rect.height // 2)
    if radius < 1:
        surface.fill(color, rect)
        return
    surface.fill(color, rect.inflate(-2 * radius, 0))
    surface.fill(color, rect.inflate(0, -2 * radius))
    corner = _disc(radius, rgb(color))
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        place = rect.left + right * (rect.width - radius), rect.top + down * (rect.height - radius)
        surface.blit(corner, place, (right * radius, down * radius, radius, radius))


def disc(surface: pygame.Surface, color: Color, center: tuple[int, int], radius: int) -> None:
    """Fill a circle, smoothly."""
    rect = pygame.Rect(0, 0, 2 * radius, 2 * radius)
    rect.center = center
    rounded(surface, rect, color, radius)


def draw_card(surface: pygame.Surface, rect: pygame.Rect, theme: Theme, text: int) -> None:
    """Draw an empty card with an edge.  text: height of its words, in pixels."""
    edge = max(1, text // 12)
    rounded(surface, rect, theme.line, 0.7 * text)
    rounded(surface, rect.inflate(-2 * edge, -2 * edge), theme.card, 0.7 * text - edge)


def draw_close_button(surface: pygame.Surface, rect: pygame.Rect, theme: Theme, text: int) -> None:
    """Draw a button with a cross, on a card."""
    rounded(surface, rect, theme.line, text // 3)
    (x, y), arm = rect.center, round(0.35 * text)
    for sign in (-1, 1):
        pygame.draw.line(surface, theme.ink, (x - arm, y - sign * arm), (x + arm, y + sign * arm), max(2, text // 8))


@lru_cache(maxsize=64)
def _disc(radius: int, color: RGB) -> pygame.Surface:
    ink = raster.draw([[(radius, radius)]], (2 * radius, 2 * radius), 2 * radius)
    return ink_surface(ink, color)


def ink_surface(ink: Float64s, color: RGB) -> pygame.Surface:
    """Return a transparent surface with ink (H,W), coverage 0..1, of one colour."""
    surface = pygame.Surface(ink.shape[::-1], pygame.SRCALPHA)
    surface.fill((*color, 0))
    pygame.surfarray.pixels_alpha(surface)[...] = np.rint(255 * ink.T)
    return surface


def grey_surface(image: Bytes) -> pygame.Surface:
    """Return a picture (H,W) as a surface."""
    return pygame.surfarray.make_surface(np.repeat(image.T[:, :, None], 3, axis=2))  # surfarray is [x][y]


class Type:
    """Renders words and caches them for the next frame.  Call ``pygame.font.init()`` first."""

    MOST_CACHED = 2000  # rendered words, and wrapped lines
    MOST_PIXELS = 1 << 22  # of rendered words, 16 MB: a frame of 3840 x 2160 needs less than half
    MOST_FONTS = 64  # each is an open file; a frame needs about ten

    def __init__(self) -> None:
        self._fonts: dict[tuple[int, bool], pygame.font.Font] = {}
        self._words: dict[tuple[object, ...], pygame.Surface] = {}
        self._pixels = 0
        self._lines: dict[tuple[str, float, float], list[str]] = {}

    def font(self, height: float, bold: bool = False) -> pygame.font.Font:
        """Return the font for text of this height, in pixels."""
        key = max(1, round(height)), bold
        if key not in self._fonts:
            if len(self._fonts) >= self.MOST_FONTS:
                self._fonts.clear()
            self._fonts[key] = pygame.font.Font(_font_file(bold), key[0])
        return self._fonts[key]

    def image(self, words: str, height: float, color: Color, bold: bool = False) -> pygame.Surface:
        """Return words as a surface."""
        key = words, round(height), str(color), bold
        if key not in self._words:
            image = self.font(height, bold).render(words, True, color)
            pixels = image.get_width() * image.get_height()
            if len(self._words) >= self.MOST_CACHED or self._pixels + pixels > self.MOST_PIXELS:
                self._words.clear()
                self._pixels = 0
            self._words[key] = image
            self._pixels += pixels
        return self._words[key]

    def cropped(self, words: str, height: float, color: Color, bold: bool = False) -> pygame.Surface:
        """Return words as a surface without the font's own margins, so that they align with other items."""
        key = words, round(height), str(color), bold, "cropped"
        if key not in self._words:
            image = self.image(words, height, color, bold)
            self._words[key] = image.subsurface(image.get_bounding_rect())
        return self._words[key]

    def write(
        self,
        surface: pygame.Surface,
        words: str,
        height: float,
        color: Color,
        bold: bool = False,
        **anchor: tuple[float, float],
    ) -> pygame.Rect:
        """Write words; anchor is an attribute of pygame.Rect, as in topleft=(x, y).  Return the Rect they cover."""
        if not words:
            return pygame.Rect(0, 0, 0, 0)
        image = self.image(words, height, color, bold)
        rect = image.get_rect(**anchor)
        surface.blit(image, rect)
        return rect  # not what blit returns, which is cut off where the surface's clip is

    def width(self, words: str, height: float, bold: bool = False) -> int:
        """Return the width of words in pixels."""
        return self.font(height, bold).size(words)[0]

    def fitted(self, words: str, height: float, width: float, bold: bool = False) -> str:
        """Return the words, cut off with an ellipsis if they are wider than ``width``."""
        if self.width(words, height, bold) <= width:
            return words
        while words and self.width(words + "…", height, bold) > width:
            words = words[:-1]
        return words.rstrip() + "…"

    def shortened(self, words: str, height: float, width: float, bold: bool = False) -> str:
        """Return as many of the first words as fit into ``width``; of a single one too wide, its beginning."""
        shorter = words
        while self.width(shorter, height, bold) > width and " " in shorter:
            shorter = shorter.rpartition(" ")[0].rstrip(",:;")
        return self.fitted(shorter, height, width, bold)

    def wrapped(self, words: str, height: float, width: float) -> list[str]:
        """Return the words as lines of about equal length, no wider than ``width`` unless a single word is."""
        key = words, height, width
        if key not in self._lines:
            if len(self._lines) >= self.MOST_CACHED:
                self._lines.clear()
            lines = self._greedy(words, height, width)
            narrow, wide = width / len(lines) - 1, width
            while wide - narrow > 1:  # find the smallest width that needs no more lines
                middle = (narrow + wide) / 2
                fewer = len(self._greedy(words, height, middle)) <= len(lines)
                narrow, wide = (narrow, middle) if fewer else (middle, wide)
            self._lines[key] = self._greedy(words, height, wide)
        return self._lines[key]

    def _greedy(self, words: str, height: float, width: float) -> list[str]:
        """Return the words as lines, each as full as possible."""
        lines = [""]
        for word in words.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.width(longer, height) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


@lru_cache
def _font_file(bold: bool) -> str | None:
    """Return the DejaVu Sans that matplotlib contains, without importing it; None, pygame's font, if it is missing."""
    found = importlib.util.find_spec("matplotlib")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(found.origin).parent / "mpl-data/fonts/ttf" / name if found and found.origin else None
    return str(path) if path and path.exists() else None
