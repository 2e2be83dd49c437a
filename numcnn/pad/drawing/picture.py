"""A dropped or pasted picture on the sheet, with boxes and labels on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pygame

from numcnn.kernels.arrays import Bytes
from numcnn.pad.drawing.layout import Place
from numcnn.pad.drawing.theme import THEMES, Color, Type, grey_surface, rounded
from numcnn.recognition.reading import Reading

PALE = 0.62  # of the paper's colour in the picture below a saliency
LARGEST_ENLARGEMENT = 8  # screen pixels for a pixel of a small picture, at most
CRISP = 3  # from this enlargement on pixels are shown as squares
LEAST_LABEL, LARGEST_LABEL = 12, 28  # pixels; in a presentation labels are as high as other words
LEAST_FRAME = 2.3  # height of a frame whose label may be in its corner, in heights of the label
COVERED = 6  # pixels of a neighbour's frame that a label may cover
ON_PICTURE = THEMES["light"]  # most pictures are of light paper


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture on the sheet.  colours: uint8 (H,W) or (H,W,3), as it is read and shown; None while it is decoded.

    readings: its digits, boxes in pixels of ``colours``; None until they have been read.  problem: why it can't be.
    """

    name: str
    colours: Bytes | None = None
    readings: tuple[Reading, ...] | None = None
    problem: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; of a picture that is not decoded yet, (1, 1)."""
        return (1, 1) if self.colours is None else (self.colours.shape[1], self.colours.shape[0])


def picture_place(picture: Picture, sheet: pygame.Rect, margin: int) -> Place:
    """Centre a picture on the sheet, as large as it fits within the margin."""
    width, height = picture.size
    scale = min((sheet.width - 2 * margin) / width, (sheet.height - 2 * margin) / height, LARGEST_ENLARGEMENT)
    scale = max(scale, 1 / max(width, height))
    return Place(scale, sheet.centerx - scale * width / 2, sheet.centery - scale * height / 2, sheet)


class PictureLayer:
    """Draws a picture; its scaled copy is kept from frame to frame."""

    def __init__(self, type_: Type) -> None:
        self._type = type_
        self._colours: Bytes | None = None  # of which `_scaled` is a copy
        self._scaled = pygame.Surface((0, 0))
        self._pale: Color | None = None

    def draw(self, surface: pygame.Surface, picture: Picture, place: Place, pale: Color | None) -> None:
        """Draw the picture.  pale: the colour to which it is faded, if a saliency is painted on it."""
        if picture.colours is None:
            return
        rect = place.rect((0, 0, *picture.size))
        if picture.colours is not self._colours or rect.size != self._scaled.get_size() or pale != self._pale:
            self._colours, self._scaled, self._pale = picture.colours, _scaled(picture.colours, rect.size, pale), pale
        surface.blit(self._scaled, rect)

    def draw_boxes(
        self,
        surface: pygame.Surface,
        sheet: pygame.Rect,
        marks: list[pygame.Rect],
        readings: Sequence[Reading],
        focus: int,
        least: int,
    ) -> None:
        """Draw a frame around each digit with its label: above it, or in its corner if frames stand close.

        marks: the frames.  In frames too small for that, only the digit in focus has a label.
        least: height of a label at least, in pixels.
        """
        heights = [max(least, min(round(0.4 * rect.height), LARGEST_LABEL)) for rect in marks]
        tags = [pygame.Rect(r.left, r.top - h, round(0.8 * h), h) for r, h in zip(marks, heights, strict=True)]
        above = not any(
            tag.inflate(-COVERED, -COVERED).collidelist(marks[:i] + marks[i + 1 :]) >= 0 for i, tag in enumerate(tags)
        )
        for i in sorted(range(len(marks)), key=lambda i: i == focus):
            color = ON_PICTURE.accent if readings[i].sure else ON_PICTURE.against
            pygame.draw.rect(surface, color, marks[i], 3 if i == focus else 1, border_radius=2)
            if above and tags[i].top >= sheet.top:
                self._label(surface, tags[i].topleft, heights[i], readings[i], i == focus)
            elif i == focus or marks[i].height >= LEAST_FRAME * least:
                self._label(surface, marks[i].topleft, least, readings[i], i == focus)

    def _label(
        self, surface: pygame.Surface, corner: tuple[int, int], height: int, reading: Reading, in_focus: bool
    ) -> None:
        color = ON_PICTURE.accent if reading.sure else ON_PICTURE.against
        words = f"{reading.label}{'' if reading.sure else '?'}"
        image = self._type.image(words, height, ON_PICTURE.card if in_focus else color, True)
        tag = pygame.Rect(*corner, image.get_width() + 4, height)
        rounded(surface, tag, color if in_focus else ON_PICTURE.card, 3)
        surface.blit(image, image.get_rect(center=tag.center))


def ink_opacity(reading: Reading, square: pygame.Rect, part: pygame.Rect, faint: int) -> Bytes:
    """Return the opacity (w,h) of a saliency in a part of the window: the ink that the network read, at least faint."""
    ink = pygame.transform.smoothscale(grey_surface(reading.image), square.size)
    here = part.move(-square.left, -square.top)
    opacity = pygame.surfarray.array_red(ink)[here.left : here.right, here.top : here.bottom]
    return np.maximum(opacity, np.uint8(faint))


def _scaled(colours: Bytes, size: tuple[int, int], pale: Color | None) -> pygame.Surface:
    """Return a picture (H,W) or (H,W,3) in another size, faded to a colour if there is one."""
    whole = grey_surface(colours) if colours.ndim == 2 else pygame.surfarray.make_surface(colours.transpose(1, 0, 2))
    enlarged = size[0] >= CRISP * whole.get_width()
    scaled = (pygame.transform.scale if enlarged else pygame.transform.smoothscale)(whole, size)
    if pale is not None:
        veil = pygame.Surface(size)
        veil.fill(pale)
        veil.set_alpha(round(255 * PALE))
        scaled.blit(veil, (0, 0))
    return scaled
