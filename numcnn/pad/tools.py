"""What the parts of the pad with keys, clicks and panels of their own have in common: ``Pad`` asks each in turn."""

from collections.abc import Sequence
from typing import Protocol

import pygame

from numcnn.pad.drawing.layout import Layout
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.picture import Picture
from numcnn.pad.drawing.view import Scene, View
from numcnn.recognition.reading import Recognizer


class Host(Protocol):
    """What a tool uses of the ``Pad``."""

    scene: Scene
    view: View
    recognizer: Recognizer

    def places(self) -> Layout:
        """Return the ``Layout`` of the window at its present size."""
        ...

    def say(self, words: str, kind: str = "note", button: str = "") -> None:
        """Show a message for a while."""
        ...

    def label(self, digit: int) -> None:
        """Save the digit in focus as one of the user's own."""
        ...

    def show_picture(self, picture: Picture | None) -> None:
        """Show a picture in place of the drawing, with its readings if it has some; None: the drawing."""
        ...

    def open_file(self, path: str) -> None:
        """Decode and read a picture file, as if it was dropped."""
        ...


class Tool:
    """The base class: a tool that does nothing.  Methods that return bool say whether the event was the tool's own."""

    def __init__(self, pad: Host) -> None:
        self.pad = pad

    @property
    def busy(self) -> bool:
        """Whether something will happen without an event, so that the pad looks again soon."""
        return False

    def press(self, event: pygame.event.Event) -> bool:
        """Handle a key."""
        return False

    def click(self, position: Sequence[int], touch: bool) -> bool:
        """Handle a press of the left button, or a finger."""
        return False

    def move(self, position: Sequence[int], touch: bool) -> bool:
        """Handle a move of the mouse; called only while the pen and the eraser are up."""
        return False

    def lift(self) -> None:
        """The button is up, or the window has lost the mouse."""

    def leave(self) -> None:
        """The mouse has left the window."""

    def escape(self) -> bool:
        """Close what is open, if something is."""
        return False

    def update(self, now: float) -> None:
        """Bring what is shown up to date, before each frame.  now: seconds."""

    def parts(self, places: Layout) -> list[Part]:
        """Return what is drawn above the pad."""
        return []

    def close(self) -> None:
        """The window is being closed."""
