"""Colours, type and the scales that numbers are painted with.  Hues are Okabe and Ito's, told apart by everybody."""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.imaging import raster


class Theme(NamedTuple):
    """The colours of everything, as #rrggbb."""

    background: str
    paper: str  # the sheet
    card: str  # what lies above everything
    ink: str  # strokes, and text that matters
    muted: str  # text beside it
    line: str  # edges
    track: str  # where a bar isn't
    other: str  # bars of all but the answer
    accent: str  # the answer, and what speaks for it
    against: str  # what speaks against it
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


def mix(one, other, share):
    """Return the colour that is ``share`` (0..1) of the way from one to another, as (r, g, b)."""
    one, other = pygame.Color(one), pygame.Color(other)
    return tuple(round(a + share * (b - a)) for a, b in zip(one[:3], other[:3], strict=True))


@lru_cache
def heat(theme):
    """Return the colours of 0..255, "nothing" to "as much as there is": (256,3) uint8."""
    return _ramp(theme.track, theme.accent, theme.ink)


@lru_cache
def signed(theme):
    """Return the colours of 0..255 for -1..1: what is against, nothing, what is for.  (256,3) uint8."""
    return _ramp(theme.against, theme.paper, theme.accent)


def _ramp(*colors):
    corners = np.array([pygame.Color(color)[:3] for color in colors], np.float64)
    at = np.linspace(0, len(colors) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(colors)), c) for c in corners.T], axis=1).round().astype(np.uint8)


def rounded(surface, rect, color, radius):
    """Fill a Rect with round corners that have no steps."""
    radius = min(round(radius), rect.width // 2, rect.height // 2)
    if radius < 1:
        surface.fill(color, rect)
        return
    surface.fill(color, rect.inflate(-2 * radius, 0))
    surface.fill(color, rect.inflate(0, -2 * radius))
    corner = _disc(radius, str(color))
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        place = rect.left + right * (rect.width - radius), rect.top + down * (rect.height - radius)
        surface.blit(corner, place, (right * radius, down * radius, radius, radius))


@lru_cache(maxsize=64)
def _disc(radius, color):
    ink = raster.draw([[(radius, radius)]], (2 * radius, 2 * radius), 2 * radius)
    return ink_surface(ink, tuple(pygame.Color(color)[:3]))


def ink_surface(ink, color):
    """Return a transparent surface with ink (H,W), coverage 0..1, of one color (r, g, b)."""
    surface = pygame.Surface(ink.shape[::-1], pygame.SRCALPHA)
    surface.fill((*color, 0))
    pygame.surfarray.pixels_alpha(surface)[...] = np.rint(255 * ink.T)
    return surface


class Type:
    """Writes words.  Wants ``pygame.font.init()`` before."""

    KEPT = 2000  # words that were written, and lines that were folded, are kept for the next frame

    def __init__(self):
        self._fonts, self._words, self._lines = {}, {}, {}

    def font(self, height, bold=False):
        """Return the font whose small letters and capitals suit a line of this height, in pixels."""
        key = max(1, round(height)), bold
        if key not in self._fonts:
            self._fonts[key] = pygame.font.Font(_font_file(bold), key[0])
        return self._fonts[key]

    def image(self, words, height, color, bold=False):
        """Return words as a surface."""
        key = words, round(height), str(color), bold
        if key not in self._words:
            if len(self._words) > self.KEPT:
                self._words.clear()
            self._words[key] = self.font(height, bold).render(words, True, color)
        return self._words[key]

    def cropped(self, words, height, color, bold=False):
        """Return words as a surface without the font's own margins, so that they line up with the rest."""
        key = words, round(height), str(color), bold, "cropped"
        if key not in self._words:
            image = self.image(words, height, color, bold)
            self._words[key] = image.subsurface(image.get_bounding_rect())
        return self._words[key]

    def write(self, surface, words, height, color, bold=False, **anchor):
        """Write words; anchor is one of pygame.Rect's, as in topleft=(x, y).  Return the Rect they cover."""
        if not words:
            return pygame.Rect(0, 0, 0, 0)
        image = self.image(words, height, color, bold)
        rect = image.get_rect(**anchor)
        surface.blit(image, rect)
        return rect  # not what blit returns, which is cut off where the surface's clip is

    def width(self, words, height, bold=False):
        """Return how wide words would be."""
        return self.font(height, bold).size(words)[0]

    def fitted(self, words, height, width, bold=False):
        """Return the words, with an ellipsis in place of those that would pass the width."""
        if self.width(words, height, bold) <= width:
            return words
        while words and self.width(words + "…", height, bold) > width:
            words = words[:-1]
        return words.rstrip() + "…"

    def folded(self, words, height, width):
        """Return the words as lines that are not wider than this, as far as single words are not; evenly."""
        key = words, height, width
        if key not in self._lines:
            if len(self._lines) > self.KEPT:
                self._lines.clear()
            lines = self._greedy(words, height, width)
            narrow, wide = width / len(lines) - 1, width
            while wide - narrow > 1:  # the narrowest that needs no more lines
                middle = (narrow + wide) / 2
                fewer = len(self._greedy(words, height, middle)) <= len(lines)
                narrow, wide = (narrow, middle) if fewer else (middle, wide)
            self._lines[key] = self._greedy(words, height, wide)
        return self._lines[key]

    def _greedy(self, words, height, width):
        """Return the words as lines, each as full as it can be."""
        lines = [""]
        for word in words.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.width(longer, height) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines


@lru_cache
def _font_file(bold):
    """Return DejaVu Sans as matplotlib brings it, found without loading that; None, pygame's own, if it isn't there."""
    found = importlib.util.find_spec("matplotlib")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(found.origin).parent / "mpl-data/fonts/ttf" / name if found and found.origin else None
    return str(path) if path and path.exists() else None
