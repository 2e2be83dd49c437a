"""Draws parts on top of each other, and of the next frame only what differs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pygame

from numcnn.pad.drawing.theme import Color


class Part(NamedTuple):
    """A unit of drawing: ``draw(surface)`` paints inside ``rect``, again whenever rect or key changes."""

    name: str
    rect: pygame.Rect
    key: tuple[object, ...]
    draw: Callable[[pygame.Surface], object]
    opaque: bool = False  # whether it paints every pixel of its Rect, so that nothing below it shows


class Painter:
    """Keeps track of what is on a surface."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._frame: object = None

    def paint(
        self,
        surface: pygame.Surface,
        background: Color,
        parts: Sequence[Part],
        frame: object,
        more: Sequence[pygame.Rect] = (),
    ) -> list[pygame.Rect]:
        """Draw the parts that have changed since the last call, the lowest first.  Return the Rects that were drawn.

        frame: when it changes everything is drawn.  more: Rects that have changed although no key has.
        """
        changed = [surface.get_rect()] if frame != self._frame else self._changed(parts, more)
        for rect in changed:
            surface.set_clip(rect)
            covering = max((i for i, part in enumerate(parts) if part.opaque and part.rect.contains(rect)), default=-1)
            if covering < 0:
                surface.fill(background)
            for part in parts[max(0, covering) :]:
                if part.rect.colliderect(rect):
                    part.draw(surface)
        surface.set_clip(None)
        self._parts, self._frame = {part.name: part for part in parts}, frame
        return changed

    def forget(self) -> None:
        """Draw everything in the next call."""
        self._frame = None

    def _changed(self, parts: Sequence[Part], more: Sequence[pygame.Rect]) -> list[pygame.Rect]:
        """Return Rects without overlaps that cover every part that is new, gone or different."""
        now = {part.name: part for part in parts}
        rects = [rect for rect in more if rect.width and rect.height]
        for name in [*now, *(name for name in self._parts if name not in now)]:
            new, old = now.get(name), self._parts.get(name)
            if new is None or old is None or new.rect != old.rect or new.key != old.key:
                rects += [part.rect for part in (new, old) if part]
        merged: list[pygame.Rect] = []
        for rect in rects:
            while (i := rect.collidelist(merged)) >= 0:
                rect = rect.union(merged.pop(i))
            merged.append(rect)
        return merged
