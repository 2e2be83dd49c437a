"""The open window, and the settings that it starts with."""

import os
import sys
from collections.abc import Callable
from typing import Any

import pygame

from numcnn.errors import NumcnnError
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.still import PENS


def screen() -> pygame.Surface:
    """Return the surface of the open window."""
    surface = pygame.display.get_surface()
    assert surface is not None, "the window is closed"
    return surface


def open_window(size: tuple[int, int]) -> None:
    """Open a resizable window.  Only the display and fonts are started: sound fails on headless machines."""
    wanted = os.environ.get("SDL_VIDEODRIVER", "")
    os.environ.setdefault("SDL_TOUCH_MOUSE_EVENTS", "1")  # report fingers as a mouse, on every system
    try:
        if sys.platform == "linux" and not any(map(os.environ.get, ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"))):
            raise pygame.error("neither DISPLAY nor WAYLAND_DISPLAY is set")
        pygame.display.init()
        driver = pygame.display.get_driver()
        if driver in ("offscreen", "dummy") and driver not in wanted:  # SDL's silent fallbacks
            raise pygame.error("SDL found none")
        pygame.display.set_mode(size, pygame.RESIZABLE)
        pygame.display.set_caption("numcnn: draw a digit")
        pygame.font.init()
    except pygame.error as error:
        pygame.display.quit()
        raise NumcnnError(
            f"no display to open a window on ({error}); --screenshot FILE --strokes FILE draws without one"
        ) from error


def full_screen(on: bool, size: tuple[int, int]) -> None:
    """Let the window fill the screen; or give it a size again.  Raises NumcnnError if the system doesn't let it."""
    try:
        if on:
            pygame.display.set_mode((0, 0), pygame.FULLSCREEN)  # as large as the screen
        else:
            pygame.display.set_mode(size, pygame.RESIZABLE)
    except pygame.error as error:
        pygame.display.set_mode(size, pygame.RESIZABLE)
        raise NumcnnError(f"the window can't fill the screen ({error})") from error


def checked_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the valid ones of the settings from a file."""
    checks: dict[str, Callable[[Any], bool]] = {
        "theme": lambda theme: isinstance(theme, str) and theme in THEMES,
        "pen": lambda pen: type(pen) is float and PENS[0] <= pen <= PENS[1],
    }
    return {name: settings[name] for name, fits in checks.items() if name in settings and fits(settings[name])}
