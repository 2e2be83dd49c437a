"""The pad's window: events in, drawing and answer out."""

import io
import os
import sys

import numpy as np
import pygame

from numcnn import raster
from numcnn.errors import ConfigError, NumcnnError
from numcnn.files import atomic_write
from numcnn.pad.canvas import Canvas
from numcnn.pad.view import View, layout

SHEET = 560  # width and height of the canvas; the window shows it at any size
MOST_WAIT = 200  # ms until a wait for events ends, so that Ctrl-C in the terminal is heard


class Pad:
    """The open window.  Call `step` until it returns False, then `close`; better, call `run`.

    Attributes: canvas, seen ((28,28) uint8 or None), probabilities ((10,) or None).
    """

    def __init__(self, network, size=(900, 600), strokes=()):
        """Open a window.  strokes are in any unit, and fill the sheet.  Raises NumcnnError without a display."""
        self.network = check_network(network)
        self.canvas = fitted_canvas(strokes)
        self.seen = self.probabilities = None
        self._shown = None  # the canvas's revision and the window's size on the screen now
        open_window(size)
        self.view = View()

    def step(self):
        """Wait for events, at most 0.2 s, act on them, and show what changed.  Return False when it is time to quit."""
        if self._shown is not None:
            first = pygame.event.wait(MOST_WAIT)
            for event in (first, *pygame.event.get()):
                if not self._handle(event):
                    return False
        self._show()
        return True

    def close(self):
        """Close the window."""
        pygame.font.quit()
        pygame.display.quit()

    def _handle(self, event):
        if event.type == pygame.QUIT or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE):
            return False
        if event.type == pygame.KEYDOWN:
            self._press(event)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == pygame.BUTTON_LEFT:
            if self._layout().sheet.collidepoint(event.pos):
                self.canvas.begin(*self._layout().to_canvas(event.pos, self.canvas))
        elif event.type == pygame.MOUSEMOTION and self.canvas.drawing:
            self.canvas.extend(*self._layout().to_canvas(event.pos, self.canvas))
        elif event.type == pygame.WINDOWFOCUSLOST or (
            event.type == pygame.MOUSEBUTTONUP and event.button == pygame.BUTTON_LEFT
        ):
            self.canvas.end()
        elif event.type in (pygame.WINDOWEXPOSED, pygame.VIDEOEXPOSE):
            self._shown = None
        return True

    def _press(self, event):
        if event.mod & (pygame.KMOD_CTRL | pygame.KMOD_META):
            again = event.key == pygame.K_y or (event.key == pygame.K_z and event.mod & pygame.KMOD_SHIFT)
            if again:
                self.canvas.redo()
            elif event.key == pygame.K_z:
                self.canvas.undo()
        elif event.key in (pygame.K_c, pygame.K_SPACE):
            self.canvas.clear()

    def _layout(self):
        return layout(pygame.display.get_surface().get_size(), self.canvas)

    def _show(self):
        """Read the canvas again if it changed, and draw the window if that or its size did."""
        screen = pygame.display.get_surface()
        now = self.canvas.revision, screen.get_size()
        if self._shown == now:
            return
        self.seen, self.probabilities = read(self.network, self.canvas)
        self.view.draw(screen, self.canvas, self.seen, self.probabilities)
        pygame.display.flip()
        self._shown = now


def run(network, size=(900, 600), strokes=()):
    """Open the pad and stay until it is closed.  Raises NumcnnError without a display, or for an unfit network."""
    pad = Pad(network, size, strokes)
    try:
        while pad.step():
            pass
    finally:
        pad.close()


def screenshot(network, path, size=(900, 600), strokes=()):
    """Write to ``path`` what the pad would show, as PNG, without opening a window.  Raises NumcnnError."""
    canvas = fitted_canvas(strokes)
    surface = pygame.Surface(size)
    pygame.font.init()
    View().draw(surface, canvas, *read(check_network(network), canvas))
    png = io.BytesIO()  # in memory first: pygame doesn't tell what went wrong with a file
    pygame.image.save(surface, png, "screenshot.png")
    try:
        with atomic_write(path) as file:
            file.write(png.getvalue())
    except OSError as error:
        reason = error.strerror or error
        raise NumcnnError(f"cannot write {path}: {reason}; check the folder and the space left") from error


def read(network, canvas):
    """Return what the network sees, (28,28) uint8, and its probabilities (10,); None and None for an empty canvas."""
    seen = canvas.prepared()
    return (None, None) if seen is None else (seen, network.predict_proba(seen)[0])


def fitted_canvas(strokes):
    """Return a canvas with strokes, in any unit, scaled and moved into the middle of it."""
    canvas = Canvas(SHEET, SHEET)
    box = 0.7 * SHEET
    for points in raster.fit(strokes, box=box):
        canvas.stroke(points + (SHEET - box) / 2)
    return canvas


def check_network(network):
    """Return the network if it reads 28x28 pictures as ten digits with finite weights, else raise ConfigError."""
    if network.input_shape != (28, 28, 1) or network.output_shape != (10,):
        raise ConfigError(
            f"the pad wants a network from (28, 28, 1) to ten digits; this one goes from {network.input_shape} "
            f"to {network.output_shape}"
        )
    if not np.isfinite(network.params).all():
        raise ConfigError("the network has weights that are NaN or infinite; choose another, or train it again")
    return network


def open_window(size):
    """Open a resizable window.  Only what is needed is started: sound, for one, makes noise on headless machines."""
    wanted = os.environ.get("SDL_VIDEODRIVER", "")
    try:
        if sys.platform == "linux" and not any(map(os.environ.get, ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"))):
            raise pygame.error("neither DISPLAY nor WAYLAND_DISPLAY is set")
        pygame.display.init()
        driver = pygame.display.get_driver()
        if driver in ("offscreen", "dummy") and driver not in wanted:  # what SDL falls back to, unasked
            raise pygame.error("SDL found none")
        pygame.display.set_mode(size, pygame.RESIZABLE)
        pygame.display.set_caption("numcnn: draw a digit")
        pygame.font.init()
    except pygame.error as error:
        pygame.display.quit()
        raise NumcnnError(
            f"no display to open a window on ({error}); --screenshot FILE --strokes FILE draws without one"
        ) from error
