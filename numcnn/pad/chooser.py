"""Open a picture file by keyboard, mouse or finger: a list of the folder's pictures and folders."""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pygame

from numcnn.imaging.picture_files import SUFFIXES
from numcnn.pad.drawing.layout import Layout
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import THEMES, draw_card, rounded
from numcnn.pad.tools import Host, Tool

MOST = 5000  # entries of a folder
ROW = 1.9  # height of a row, in heights of the text
MOVES = {pygame.K_UP: -1, pygame.K_DOWN: 1, pygame.K_PAGEUP: -10, pygame.K_PAGEDOWN: 10}
HELP = "type to search, Enter opens, Backspace goes up", "Enter opens, Esc closes", ""


class Entry(NamedTuple):
    """A line of the list: the folder above, a folder, or a picture."""

    path: Path
    words: str
    folder: bool


def entries_of(folder: Path) -> list[Entry] | str:
    """Return what there is to choose in a folder, folders first, by name; or in words why it can't be read."""
    try:
        with os.scandir(folder) as found:
            some = [(each.name, each.is_dir()) for each, _ in zip(found, range(MOST), strict=False)]
    except OSError as error:
        return f"{folder} can't be read: {error.strerror or error}"
    shown = [(name, is_folder) for name, is_folder in some if not name.startswith(".")]
    chosen = [Entry(folder / name, f"{name}/" if there else name, there)
              for name, there in sorted(shown, key=lambda each: (not each[1], each[0].lower()))
              if there or Path(name).suffix.lower() in SUFFIXES]  # fmt: skip
    above = [Entry(folder.parent, "../", True)] if folder.parent != folder else []
    return above + chosen


class Chooser(Tool):
    """The list, above everything else while it is open."""

    def __init__(self, pad: Host) -> None:
        super().__init__(pad)
        self.open = False
        self.folder = Path.cwd()
        self.search = ""
        self.at = 0  # the row that Enter opens
        self._entries: list[Entry] = []
        self._problem = ""
        self._thread: ThreadPoolExecutor | None = None
        self._listing: Future[list[Entry] | str] | None = None
        self._rows: list[tuple[pygame.Rect, Entry]] = []  # as drawn last

    @property
    def busy(self) -> bool:
        """Whether a folder is being read."""
        return self._listing is not None

    def show(self) -> None:
        """Open the list, or close it."""
        self.open = not self.open
        if self.open:
            self._enter(self.folder)

    def entries(self) -> list[Entry]:
        """Return the rows that match what was typed."""
        return [each for each in self._entries if self.search.lower() in each.words.lower()]

    def press(self, event: pygame.event.Event) -> bool:
        """Move, search, open: while the list is open every key is its own."""
        if not self.open:
            return False
        character = getattr(event, "unicode", "")
        if event.key in MOVES:
            self.at = min(max(self.at + MOVES[event.key], 0), max(0, len(self.entries()) - 1))
        elif event.key in (pygame.K_RETURN, pygame.K_KP_ENTER):
            if self.at < len(self.entries()):
                self._take(self.entries()[self.at])
        elif event.key == pygame.K_BACKSPACE:
            if self.search:
                self.search, self.at = self.search[:-1], 0
            else:
                self._enter(self.folder.parent)
        elif character.isprintable() and character and not event.mod & pygame.KMOD_CTRL:
            self.search, self.at = self.search + character, 0
        return True

    def click(self, position: Sequence[int], touch: bool) -> bool:
        """Open the row at a position; beside the list, close it."""
        if not self.open:
            return False
        for rect, entry in self._rows:
            if rect.collidepoint(position[0], position[1]):
                self._take(entry)
                return True
        self.open = self._card(self.pad.places()).collidepoint(position[0], position[1])
        return True

    def move(self, position: Sequence[int], touch: bool) -> bool:
        """Mark the row under the mouse."""
        if self.open:
            entries = self.entries()
            for rect, entry in self._rows:
                if rect.collidepoint(position[0], position[1]) and entry in entries:
                    self.at = entries.index(entry)
        return self.open

    def escape(self) -> bool:
        """Close the list."""
        was, self.open = self.open, False
        return was

    def update(self, now: float) -> None:
        """Show a folder once it has been read."""
        if self._listing is not None and self._listing.done():
            found, self._listing = self._listing.result(), None
            self._entries, self._problem = ([], found) if isinstance(found, str) else (found, "")
            self.at = min(1, len(self._entries) - 1) if self._entries else 0

    def close(self) -> None:
        """Stop reading folders."""
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _enter(self, folder: Path) -> None:
        self.folder, self.search, self.at, self._entries = folder, "", 0, []
        self._thread = self._thread or ThreadPoolExecutor(1, "numcnn-folder")
        self._listing = self._thread.submit(entries_of, folder)

    def _take(self, entry: Entry) -> None:
        if entry.folder:
            self._enter(entry.path)
        else:
            self.open = False
            self.pad.open_file(str(entry.path))

    # What is shown

    def _card(self, places: Layout) -> pygame.Rect:
        window = pygame.Rect(0, 0, places.status.right + places.margin, places.status.bottom + places.margin // 2)
        card = pygame.Rect(0, 0, min(window.width - 2 * places.margin, 34 * places.text), 0)
        card.height = min(window.height - places.margin, 40 * places.text)
        card.center = window.center
        return card

    def parts(self, places: Layout) -> list[Part]:
        """Return the list."""
        if not self.open:
            self._rows = []
            return []
        card = self._card(places)
        self._rows = self._visible(card, places.text)
        shown = tuple(entry for _, entry in self._rows)
        key = self.folder, self.search, self._current(), shown, self._problem, self.busy
        return [Part("chooser", card, key, lambda surface: self._draw(surface, card, places.text))]

    def _current(self) -> Entry | None:
        entries = self.entries()
        return entries[self.at] if self.at < len(entries) else None

    def _visible(self, card: pygame.Rect, text: int) -> list[tuple[pygame.Rect, Entry]]:
        entries, step = self.entries(), round(ROW * text)
        top = card.top + round(4.6 * text)
        most = max(1, (card.bottom - round(2.4 * text) - top) // step)
        first = min(max(0, self.at - most // 2), max(0, len(entries) - most))
        left, wide = card.left + text, card.width - 2 * text
        return [(pygame.Rect(left, top + i * step, wide, step), entry)
                for i, entry in enumerate(entries[first : first + most])]  # fmt: skip

    def _draw(self, surface: pygame.Surface, card: pygame.Rect, text: int) -> None:
        type_, theme = self.pad.view.type, THEMES[self.pad.scene.theme]
        draw_card(surface, card, theme, text)
        left, room = card.left + round(1.5 * text), card.width - 3 * text
        title = str(self.folder)
        while type_.width(title, 1.1 * text, True) > room and len(title) > 2:
            title = "…" + title[2:]
        type_.write(surface, title, 1.1 * text, theme.ink, True, topleft=(left, card.top + text))
        search = f"search: {self.search}" if self.search else "Open a picture"
        type_.write(surface, type_.fitted(search, text, room), text, theme.muted, topleft=(left, card.top + 2.7 * text))
        current = self._current()
        for rect, entry in self._rows:
            if entry == current:
                rounded(surface, rect, theme.active, text // 3)
            color = theme.accent if entry.folder else theme.ink
            words = type_.fitted(entry.words, text, room)
            type_.write(surface, words, text, color, midleft=(left, rect.centery))
        if not self._rows:
            words = "reading …" if self.busy else self._problem or "no picture here"
            for i, line in enumerate(type_.wrapped(words, text, room)):
                place = left, card.top + round((4.8 + 1.4 * i) * text)
                type_.write(surface, line, text, theme.muted, topleft=place)
        help_ = next(words for words in HELP if type_.width(words, text) <= room)
        type_.write(surface, help_, text, theme.muted, midbottom=(card.centerx, card.bottom - text // 2))
