"""Draws parts that lie above one another, and of the next frame only what differs."""

from typing import NamedTuple

import pygame


class Part(NamedTuple):
    """Something that is drawn as one: ``draw(surface)`` fills ``rect`` or less, anew when rect or key changes."""

    name: str
    rect: pygame.Rect
    key: tuple
    draw: object


class Painter:
    """Remembers what is on a surface."""

    def __init__(self):
        self._parts, self._frame = {}, None

    def paint(self, surface, background, parts, frame, more=()):
        """Draw parts, the lowest first, where they changed since the last time.  Return the Rects that were drawn.

        frame: when it changes everything is drawn.  more: Rects that changed although no part's key tells.
        """
        changed = [surface.get_rect()] if frame != self._frame else self._changed(parts, more)
        for rect in changed:
            surface.set_clip(rect)
            surface.fill(background)
            for part in parts:
                if part.rect.colliderect(rect):
                    part.draw(surface)
        surface.set_clip(None)
        self._parts, self._frame = {part.name: part for part in parts}, frame
        return changed

    def forget(self):
        """Draw everything the next time."""
        self._frame = None

    def _changed(self, parts, more):
        """Return Rects, free of overlaps, that hold every part that is new, gone or different."""
        now = {part.name: part for part in parts}
        rects = [rect for rect in more if rect.width and rect.height]
        for name in [*now, *(name for name in self._parts if name not in now)]:
            new, old = now.get(name), self._parts.get(name)
            if new is None or old is None or new.rect != old.rect or new.key != old.key:
                rects += [part.rect for part in (new, old) if part]
        merged = []
        for rect in rects:
            while (i := rect.collidelist(merged)) >= 0:
                rect = rect.union(merged.pop(i))
            merged.append(rect)
        return merged
