"""How the pad looks.  It draws on any pygame surface, so no window is needed."""

from typing import NamedTuple

import numpy as np
import pygame

from numcnn import raster
from numcnn.metrics import percent

PEN = 0.055  # the pen's width on the screen, in sides of the sheet; the network's picture has a pen of its own
FINER = 3  # text is drawn larger and scaled down: hinting, made for pixels, would space small letters unevenly

BACKGROUND, PAPER, LINE = "#f3f5f7", "#ffffff", "#d3d9e0"
INK, MUTED = "#16202b", "#5a6672"
ACCENT, TRACK, OTHER = "#0072b2", "#e3e8ed", "#9fb0bf"  # blue of Okabe and Ito's palette, safe for colour-blind people

KEYS = (("Mouse", "draw"), ("C", "clear"), ("Ctrl+Z", "undo"), ("Ctrl+Y", "redo"), ("Esc", "quit"))


class Layout(NamedTuple):
    """Where everything lies, in pixels of the window."""

    text: int  # height of small text
    sheet: pygame.Rect
    answer: pygame.Rect
    seen: pygame.Rect  # the 28x28 picture, a whole number of pixels per pixel
    bars: pygame.Rect
    keys: pygame.Rect

    def to_canvas(self, position, canvas):
        """Return the canvas's point at a place of the window, moved onto the sheet if it lies beyond."""
        x, y = (
            min(max(at - start, 0), length)
            for at, start, length in zip(position, self.sheet.topleft, self.sheet.size, strict=True)
        )
        return x * canvas.width / self.sheet.width, y * canvas.height / self.sheet.height


def layout(size, canvas):
    """Divide a window of this size (width, height): the sheet on the left, what the network says on the right."""
    width, height = (max(v, 200) for v in size)
    margin = max(14, min(width, height) // 24)
    text = max(17, round(min(width / 48, height / 32)))
    gap = round(1.4 * margin)
    room = height - 2 * margin - 2 * text
    scale = min(0.6 * (width - 2 * margin) / canvas.width, room / canvas.height)
    sheet = pygame.Rect(0, 0, round(scale * canvas.width), round(scale * canvas.height))
    panel = min(width - 2 * margin - gap - sheet.width, round(0.85 * sheet.height))
    sheet.left = (width - sheet.width - gap - panel) // 2
    sheet.top = margin + (room - sheet.height) // 2

    left = sheet.right + gap
    side = 28 * max(1, min(sheet.height // 3, (panel - gap) // 2) // 28)
    seen = pygame.Rect(left + panel - side, sheet.top, side, side)
    answer = pygame.Rect(left, sheet.top, panel - side - gap, side)
    top = seen.bottom + 3 * text
    bars = pygame.Rect(left, top, panel, sheet.bottom - top)
    keys = pygame.Rect(sheet.left, sheet.bottom + text, left + panel - sheet.left, text)
    return Layout(text, sheet, answer, seen, bars, keys)


class View:
    """Draws a canvas and what the network makes of it.  Wants ``pygame.font.init()`` before."""

    def __init__(self):
        self._ink = _Ink()
        self._fonts = {}

    def draw(self, surface, canvas, seen, probabilities):
        """Draw everything.  seen (28,28) uint8 and probabilities (10,), or None and None for an empty canvas."""
        places = layout(surface.get_size(), canvas)
        surface.fill(BACKGROUND)
        surface.fill(PAPER, places.sheet)
        surface.blit(self._ink.layer(canvas, places.sheet.size), places.sheet)
        pygame.draw.rect(surface, LINE, places.sheet.inflate(2, 2), 1)
        if probabilities is None:
            self._text(surface, "draw a digit", round(1.6 * places.text), MUTED, center=places.sheet.center)
        self._draw_seen(surface, places, seen)
        self._draw_answer(surface, places, probabilities)
        self._draw_bars(surface, places, probabilities)
        self._draw_keys(surface, places)

    def _draw_seen(self, surface, places, seen):
        surface.fill(TRACK, places.seen)
        if seen is not None:
            picture = pygame.surfarray.make_surface(np.repeat(seen.T[:, :, None], 3, axis=2))  # surfarray is [x][y]
            surface.blit(pygame.transform.scale(picture, places.seen.size), places.seen)
        caption = places.seen.right, places.seen.bottom + places.text // 2
        self._text(surface, "what it sees", places.text, MUTED, topright=caption)

    def _draw_answer(self, surface, places, probabilities):
        caption = places.answer.left, places.answer.bottom + places.text // 2
        if probabilities is None:
            self._text(surface, "no answer yet", places.text, MUTED, topleft=caption)
            return
        best = int(np.argmax(probabilities))
        digit = self._font(round(1.95 * places.answer.height)).render(str(best), True, ACCENT)
        digit = digit.subsurface(digit.get_bounding_rect())  # without the font's own margins it lines up with the rest
        surface.blit(digit, digit.get_rect(bottomleft=places.answer.bottomleft))
        self._text(surface, f"{percent(probabilities[best])} sure", places.text, INK, topleft=caption)

    def _draw_bars(self, surface, places, probabilities):
        label, number = round(1.4 * places.text), round(3.4 * places.text)
        thick = round(0.056 * places.bars.height)
        answer = None if probabilities is None else np.argmax(probabilities)
        for digit in range(10):
            top = round(places.bars.top + digit * (places.bars.height - thick) / 9)
            bar = pygame.Rect(places.bars.left + label, top, places.bars.width - label - number, thick)
            middle = bar.centery
            best = digit == answer
            color = ACCENT if best else MUTED if answer is None else INK
            surface.fill(TRACK, bar)
            self._text(surface, str(digit), places.text, color, midleft=(places.bars.left, middle))
            if probabilities is not None:
                share = probabilities[digit]
                surface.fill(ACCENT if best else OTHER, (bar.topleft, (round(share * bar.width), bar.height)))
                color = ACCENT if best else MUTED
                self._text(surface, percent(share), places.text, color, midright=(places.bars.right, middle))

    def _draw_keys(self, surface, places):
        x, y = places.keys.topleft
        for key, action in KEYS:
            x = self._text(surface, key, places.text, INK, topleft=(x, y)).right + places.text // 2
            x = self._text(surface, action, places.text, MUTED, topleft=(x, y)).right + round(1.4 * places.text)

    def _text(self, surface, words, height, color, **anchor):
        """Write words; anchor is one of pygame.Rect's, as in topleft=(x, y).  Return the Rect they cover."""
        large = self._font(FINER * height).render(words, True, color)
        image = pygame.transform.smoothscale(large, (large.get_width() // FINER, large.get_height() // FINER))
        return surface.blit(image, image.get_rect(**anchor))

    def _font(self, height):
        if height not in self._fonts:
            self._fonts[height] = pygame.font.Font(None, height)
        return self._fonts[height]


class _Ink:
    """The strokes as a transparent layer, kept between frames: only what is new gets drawn, by the project's brush."""

    def __init__(self):
        self._layer = None
        self._drawn = []  # per stroke on the layer: the list of its points, and how many of them are drawn

    def layer(self, canvas, size):
        """Return the layer of this size with the canvas's strokes on it."""
        kept = zip(self._drawn, canvas.strokes, strict=False)
        if (
            self._layer is None
            or self._layer.get_size() != size
            or len(self._drawn) > len(canvas.strokes)
            or any(points is not stroke for (points, _), stroke in kept)
        ):
            self._layer = pygame.Surface(size, pygame.SRCALPHA)
            self._layer.fill((*pygame.Color(INK)[:3], 0))
            self._drawn = []
        scale = np.array(size) / (canvas.width, canvas.height)
        for i, stroke in enumerate(canvas.strokes):
            if i == len(self._drawn):
                self._drawn.append((stroke, 0))
            done = self._drawn[i][1]
            if done < len(stroke):
                self._add(np.array(stroke[max(done - 1, 0) :]) * scale)
                self._drawn[i] = stroke, len(stroke)
        return self._layer

    def _add(self, points):
        """Add a line to the layer, in the box that it spans; where lines meet, the stronger ink counts."""
        size = self._layer.get_size()
        width = PEN * min(size)
        low = np.clip(np.floor(points.min(axis=0) - width), 0, size).astype(int)
        high = np.clip(np.ceil(points.max(axis=0) + width), 0, size).astype(int)
        ink = raster.draw([points - low], (high - low)[::-1], width)
        alpha = pygame.surfarray.pixels_alpha(self._layer)[low[0] : high[0], low[1] : high[1]]
        np.maximum(alpha, np.rint(255 * ink.T).astype(np.uint8), out=alpha)
