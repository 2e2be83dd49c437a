"""A slider: a line with a knob, and words beside it that say its value."""

from collections.abc import Sequence
from typing import NamedTuple

import pygame

from numcnn.pad.drawing.theme import Theme, Type, disc, rounded

KNOB = 0.5  # its radius, in heights of the text


class Slider(NamedTuple):
    """Where a slider is, in pixels of the window."""

    line: pygame.Rect  # from one end of the knob's way to the other, as high as the row
    words: pygame.Rect

    @classmethod
    def within(cls, row: pygame.Rect, text: int, beside: int) -> "Slider":
        """Return the slider in a row, with ``beside`` pixels for the words."""
        words = pygame.Rect(row.right - beside, row.top, beside, row.height)
        left = row.left + round(KNOB * text)
        return cls(pygame.Rect(left, row.top, max(1, words.left - round(0.9 * text) - left), row.height), words)

    def holds(self, position: Sequence[float]) -> bool:
        """Return whether a position is on the slider, or beside its ends by no more than a knob."""
        return self.line.inflate(self.line.height, 0).collidepoint(position[0], position[1])

    def share_at(self, x: float) -> float:
        """Return the share of the knob's way, 0..1, that is nearest to a position."""
        return min(max((x - self.line.left) / max(1, self.line.width), 0.0), 1.0)

    def knob(self, share: float) -> tuple[int, int]:
        """Return the middle of the knob for a share of its way."""
        return self.line.left + round(share * self.line.width), self.line.centery

    def draw(
        self, surface: pygame.Surface, type_: Type, theme: Theme, text: int, share: float, words: str, notches: int = 0
    ) -> None:
        """Draw it with the knob at a share of its way.  notches: marks along the line, if the knob stops only there."""
        thick = max(2, text // 5)
        line = pygame.Rect(self.line.left, self.line.centery - thick // 2, self.line.width, thick)
        rounded(surface, line, theme.line, thick)
        for i in range(notches):
            disc(surface, theme.other, self.knob(i / (notches - 1)), thick)
        disc(surface, theme.accent, self.knob(share), round(KNOB * text))
        type_.write(surface, words, text, theme.muted, midleft=self.words.midleft)
