"""Surfaces and type that note what is drawn, and the check that nothing of it overlaps."""

import pygame

from numcnn.pad.drawing.theme import Type

TOUCHING = 2  # pixels: so far may two Rects reach into each other


class Recorder(pygame.Surface):
    """A surface that notes each whole picture that is blitted to it, and where."""

    def __init__(self, size):
        super().__init__(size)
        self.pictures = []

    def blit(self, source, dest=(0, 0), area=None, special_flags=0):
        rect = source.get_rect(topleft=dest if len(dest) == 2 else dest[:2])
        if area is None and not source.get_flags() & pygame.SRCALPHA:
            self.pictures.append(rect)
        return super().blit(source, dest, area, special_flags)


class RecordingType(Type):
    """Type that notes what it writes, where and how high."""

    def __init__(self):
        super().__init__()
        self.written = []

    def write(self, surface, words, height, color, bold=False, **anchor):
        rect = super().write(surface, words, height, color, bold, **anchor)
        if words:
            ink = self.image(words, height, color, bold).get_bounding_rect().move(rect.topleft)
            self.written.append((words, ink, height))
        return rect


def assert_apart(area, texts, pictures, cut=""):
    """Check that no text (words, Rect, height) or picture Rect overlaps another or leaves the area.

    cut: a text whose beginning may be missing.
    """
    things = [(f"{words!r}", rect) for words, rect, _ in texts] + [("a picture", rect) for rect in pictures]
    for i, (name, rect) in enumerate(things):
        assert area.contains(rect), f"{name} at {rect} is cut at {area}"
        for other, there in things[i + 1 :]:
            shared = rect.clip(there)
            assert min(shared.size) <= TOUCHING, f"{name} at {rect} overlaps {other} at {there} in {area}"
    for words, _, _ in texts:
        assert "…" not in words or (cut and cut.endswith(words[1:])), f"{words!r} is cut in {area}"


def assert_parts_apart(parts, size, type_, area, cut=""):
    """Draw parts on a surface of this size, and check that what they show is apart and in the area.

    type_: the ``RecordingType`` they write with.  Return the texts and pictures.
    """
    surface = Recorder(size)
    type_.written.clear()
    for part in parts:
        part.draw(surface)
    assert_apart(area, type_.written, surface.pictures, cut)
    return list(type_.written), surface.pictures
