"""Point at anything: hover or tap a map, filter, neuron or bar for a lens on it; tap digits to select or label them.

While the lens is pinned, the arrow keys move it from pixel to pixel, and its large map takes clicks.
"""

import time
from collections.abc import Sequence

import pygame

from numcnn.nn.inspection import Inspection
from numcnn.pad.drawing.inside import output_key
from numcnn.pad.drawing.inside_layout import ON_FILTER, OUTPUTS, Band, bands
from numcnn.pad.drawing.layout import Layout
from numcnn.pad.drawing.lens_card import Card, Look, Shown, faded, lens_parts
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.explaining import Explained, Explainer, Spot, moved, settled
from numcnn.pad.tools import Host, Tool

REST = 0.12  # seconds that the mouse stays in the panel before the lens opens: it may be on its way
ARROWS = {pygame.K_LEFT: (-1, 0), pygame.K_RIGHT: (1, 0), pygame.K_UP: (0, -1), pygame.K_DOWN: (0, 1)}


class Pointing(Tool):
    """What is pointed at, and the lens on it."""

    def __init__(self, pad: Host) -> None:
        super().__init__(pad)
        self.spot: Spot | None = None
        self.pinned = False
        self.explained: Explained | None = None
        self._explainer = Explainer()
        self._asked: tuple[object, ...] = ()
        self._since: float | None = None  # when the mouse came into the panel
        self._over: pygame.Rect | None = None  # a key or digit under the mouse

    # What is where

    def inspection(self) -> Inspection | None:
        """Return what the panel shows of the digit in focus; None while there is none, or no panel."""
        scene = self.pad.scene
        return scene.maps if self.pad.places().inside.width and scene.reading else None

    def bands(self) -> list[Band]:
        """Return the bands of the inside panel; none while it is closed or empty."""
        inspection, places = self.inspection(), self.pad.places()
        return bands(inspection.stages, places.inside, places.text) if inspection else []

    def spot_at(self, position: Sequence[float]) -> Spot | None:
        """Return the map, pixel, filter, neuron or bar at a position of the window."""
        for number, band in enumerate(self.bands()):
            if (found := band.at(position)) is not None:
                return Spot(number, *found)
        return None

    def label_at(self, position: Sequence[float]) -> tuple[int, pygame.Rect] | None:
        """Return the digit, and its Rect, that a tap here gives as a label: a row of the bars, or a key below one."""
        places = self.pad.places()
        if places.bars.collidepoint(position[0], position[1]):
            digit = min(9, int(10 * (position[1] - places.bars.top) / places.bars.height))
            top, bottom = (places.bars.top + round(places.bars.height * i / 10) for i in (digit, digit + 1))
            return digit, pygame.Rect(places.bars.left, top, places.bars.width, bottom - top)
        for band in self.bands():
            for digit in range(band.count) if band.kind == OUTPUTS else ():
                key = output_key(band, digit, places.text)
                if key.collidepoint(position[0], position[1]):
                    return digit, key
        return None

    def digit_at(self, position: Sequence[float]) -> tuple[int, pygame.Rect] | None:
        """Return the index of the reading, and its Rect, whose digit or picture beside the sheet is here."""
        shown = self.pad.view.digits_shown(self.pad.scene, self.pad.places())
        return next(((i, rect) for i, rect in shown if rect.collidepoint(position[0], position[1])), None)

    def card(self) -> Card | None:
        """Return the open lens."""
        shown, places = self._shown(), self.pad.places()
        return Card(self._look(places), shown, lens_room(places)) if shown else None

    # Events

    def press(self, event: pygame.event.Event) -> bool:
        """Move a pinned lens by the arrow keys."""
        inspection = self.inspection()
        if not self.pinned or self.spot is None or inspection is None or event.key not in ARROWS:
            return False
        self.spot = moved(settled(self.spot, inspection), inspection, *ARROWS[event.key])
        return True

    def click(self, position: Sequence[int], touch: bool) -> bool:
        """Select or label a digit, pin the lens, or point at a pixel of its large map."""
        places = self.pad.places()
        if self.pinned and lens_room(places).collidepoint(position[0], position[1]) and self._click_card(position):
            return True
        if (label := self.label_at(position)) is not None:
            self.pad.label(label[0])
        elif (digit := self.digit_at(position)) is not None:
            self.pad.scene.focus = digit[0]
        elif (spot := self.spot_at(position)) is not None:
            self.spot, self.pinned = (None, False) if self.pinned and spot == self.spot else (spot, True)
        else:
            return False
        return True

    def _click_card(self, position: Sequence[int]) -> bool:
        """Handle a click on the pinned lens: its whole card takes clicks, so that none draws below it."""
        card = self.card()
        if card is None or self.spot is None:
            return False
        view = card.map_view()
        if card.close.collidepoint(position[0], position[1]):
            self.escape()
        elif view and view.rect.collidepoint(position[0], position[1]):
            self.spot = Spot(self.spot.band, self.spot.i, *view.pixel(position))
        return True

    def move(self, position: Sequence[int], touch: bool) -> bool:
        """Follow the mouse: the lens, unless it is pinned, and the outline of what a tap would choose."""
        found = self.label_at(position) or (self.digit_at(position) if len(self.pad.scene.readings) > 1 else None)
        self._over = found[1] if found and not touch else None
        if not self.pinned and not touch:
            spot = None if found else self.spot_at(position)
            self._since = None if spot is None else self._since or time.perf_counter()
            self.spot = spot
        return False

    def leave(self) -> None:
        """The mouse has left the window."""
        self._over = self._since = None
        if not self.pinned:
            self.spot = None

    def escape(self) -> bool:
        """Close a pinned lens."""
        was, self.pinned = self.pinned, False
        self.spot = None if was else self.spot
        return was

    # What is shown

    @property
    def busy(self) -> bool:
        """Whether an explanation is on its way, or the lens is about to open."""
        return self._explainer.busy or (self.spot is not None and not self._open())

    def update(self, now: float) -> None:
        """Ask for the sum of what is pointed at, and fetch it."""
        inspection = self.inspection()
        if inspection is None or (self.spot and not self._fits(self.spot, inspection)):
            self.spot, self.pinned = None, False
        elif self.spot is not None and self._open():
            wanted = self.spot, inspection
            if wanted != self._asked:
                self._asked = wanted
                self._explainer.ask(self.spot, inspection, self.pad.recognizer.network)
        if (explained := self._explainer.result()) is not None:
            self.explained = explained

    def parts(self, places: Layout) -> list[Part]:
        """Return the lens, and the outline of what a tap would choose."""
        parts: list[Part] = []
        if self._over is not None:
            theme, rect = THEMES[self.pad.scene.theme], self._over.inflate(4, 4)
            parts.append(Part("over", rect, tuple(rect), lambda surface: pygame.draw.rect(
                surface, faded(theme), rect, 2, border_radius=max(2, places.text // 3))))  # fmt: skip
        shown = self._shown()
        return parts + (lens_parts(self._look(places), shown, self.bands(), lens_room(places)) if shown else [])

    def close(self) -> None:
        """Stop explaining."""
        self._explainer.close()

    def _shown(self) -> Shown | None:
        inspection = self.inspection()
        if self.spot is None or inspection is None or not self._open():
            return None
        spot = settled(self.spot, inspection)
        explained = self.explained if self.explained and self.explained.spot == spot else None
        return Shown(spot, explained, self.pinned, inspection)

    def _open(self) -> bool:
        return self.pinned or (self._since is not None and time.perf_counter() - self._since >= REST)

    def _look(self, places: Layout) -> Look:
        return Look(self.pad.view.type, THEMES[self.pad.scene.theme], places.text)

    def _fits(self, spot: Spot, inspection: Inspection) -> bool:
        """Return whether a network has what is pointed at: another one may have fewer maps."""
        if not 0 < spot.band <= len(inspection.stages):
            return spot.band <= len(inspection.stages) + 1
        shape = inspection.stages[spot.band - 1].out.shape
        inside = len(shape) == 1 or (spot.y < shape[0] and spot.x < shape[1])
        return spot.i < shape[-1] and inside and (spot.y != ON_FILTER or spot.band == 1)


def lens_room(places: Layout) -> pygame.Rect:
    """Return where the lens lies: on the sheet and the answer, beside the panel."""
    return places.sheet.unionall([places.answer, places.seen]).inflate(10, 10)  # with frames around them
