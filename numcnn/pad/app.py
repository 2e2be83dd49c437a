"""The pad's window: events in, drawing and answer out."""

import math
import os
import sys
import time

import numpy as np
import pygame

from numcnn.errors import DataError, NumcnnError
from numcnn.imaging import raster
from numcnn.imaging.preprocess import BOX
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.pad import background
from numcnn.pad.canvas import Canvas
from numcnn.pad.drawing.layout import layout, place
from numcnn.pad.drawing.overlays import Toast
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.drawing.view import Scene, View
from numcnn.recognition.reading import Mind

SHEET = 560  # width and height of the canvas; more of it is visible in a window that isn't square
FRAME = 1 / 160  # seconds: no frame begins sooner after another
PANELS = 1 / 25  # seconds: while one draws, feature maps and saliency come no sooner after another
WAIT = 0.5  # seconds until a wait for events ends, so that Ctrl-C in the terminal is heard
EASE = 0.04  # seconds: a bar goes two thirds of its way in this time, nearly all of it in three times that
CLOSE_ENOUGH = 0.002  # of the full length: then the bar is there
TOAST_SECONDS, LETTERS_A_SECOND = 3.0, 12  # a message stays for as long as it takes to read it
PEN, PENS = 0.032, (0.012, 0.15)  # the brush, its thinnest and its thickest, in sides of the sheet
THICKER = 1.15  # for a turn of the wheel
ERASER = 0.9  # its radius, in the brush's widths

KEYS = {
    pygame.K_c: "clear", pygame.K_SPACE: "clear", pygame.K_e: "erase", pygame.K_f: "inside", pygame.K_TAB: "inside",
    pygame.K_w: "why", pygame.K_t: "learn", pygame.K_b: "swap", pygame.K_s: "save", pygame.K_d: "theme",
    pygame.K_h: "help", pygame.K_F1: "help", pygame.K_u: "unlabel", pygame.K_LEFTBRACKET: "thinner",
    pygame.K_RIGHTBRACKET: "thicker",
}  # fmt: skip
CHARACTERS = {"?": "help", "[": "thinner", "]": "thicker"}  # where a layout has them on other keys
DIGITS = {key: digit for digit in range(10) for key in (pygame.K_0 + digit, getattr(pygame, f"K_KP{digit}"))}


class Pad:
    """The open window.  Call `step` until it returns False, then `close`; better, call `run`.

    Attributes: canvas, mind (what reads it), scene (what there is to see), moving (whether bars are on their way).
    """

    def __init__(self, network, size=(1100, 700), strokes=(), *, theme=None, keeper=None):
        """Open a window.  strokes are in any unit, and fill the sheet.  Raises NumcnnError without a display.

        theme: None takes the one that was chosen last, at first "light".
        keeper: an ``errands.Keeper``, what takes care of files; None: nothing is kept.
        """
        self.mind = Mind(network)
        self.keeper = keeper or background.Keeper()
        self.canvas = fitted_canvas(strokes)
        settings, self._changed = checked_settings(self.keeper.last_settings()), {}  # here, and not yet kept
        pen = suited_pen(self.canvas) if self.canvas.strokes else settings.get("pen", PEN)
        self.scene = Scene(self.canvas, theme=theme or settings.get("theme", "light"), pen=pen)
        self._read = self._place = self._layout = None  # revision that was read; where the canvas is; what for
        self._toast_ends = self._frame_at = self._panels_at = 0.0
        self.moving = True
        open_window(size)
        self.view = View()
        if not self.canvas.strokes:
            self._bring_back()

    def step(self):
        """Wait for events, at most 0.5 s, act on them, and show what changed.  Return False when it is time to quit."""
        if self._frame_at:
            events = [pygame.event.wait(max(1, round(1000 * self._patience())))]
            early = self._frame_at + FRAME - time.perf_counter()
            if events[0].type != pygame.NOEVENT and early > 0.001:
                time.sleep(early)
            for event in (*events, *pygame.event.get()):
                if not self._survive(event):
                    return False
        for done in self.keeper.done():
            self._told(done)
        self._show()
        return True

    def close(self):
        """Close the window, and keep the drawing and the settings."""
        self._keep_settings()
        self.keeper.close(self.canvas.strokes)
        pygame.font.quit()
        pygame.display.quit()

    def _keep_settings(self):
        """Keep what was set here since the last time; another pad may have set the rest."""
        if self._changed:
            self.keeper.keep_settings(self._changed)
            self._changed = {}

    def _bring_back(self):
        """Take up the drawing that was there when the pad was last open."""
        strokes, problem = self.keeper.last_drawing()
        for points in strokes:
            self.canvas.stroke(points)
        if problem:
            self.say(problem, "bad")
        elif strokes:
            self.say("your last drawing is back; C clears the sheet")

    def _patience(self):
        """Return how long a wait for events may take, in seconds."""
        if self.moving:
            return max(0.001, self._frame_at + 1 / 60 - time.perf_counter())
        return 0.1 if self.keeper.progress else 0.02 if self.keeper.busy else WAIT

    # Events

    def _survive(self, event):
        """Act on an event; what goes wrong becomes a message in the window.  Return False when it is time to quit."""
        try:
            return self._handle(event)
        except NumcnnError as error:
            self.canvas.end()
            self.say(f"{error}", "bad")
            return True

    def _handle(self, event):
        kind = event.type
        if kind == pygame.QUIT:
            return False
        if kind == pygame.KEYDOWN:
            return self._press(event)
        if kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION):
            # A finger comes as a mouse too.  Its own events are left alone, so no stroke is drawn twice.
            self._mouse(event)
        elif kind == pygame.MOUSEWHEEL:
            self._brush(event.y)
        elif kind in (pygame.WINDOWFOCUSLOST, pygame.WINDOWLEAVE):
            self.scene.pointer = self.scene.hovered = None
            if kind == pygame.WINDOWFOCUSLOST:
                self._lift()
        elif kind == pygame.DROPFILE:
            self.keeper.open_picture(event.file)
        elif kind == pygame.DROPTEXT:
            self.say("that is a text; drop a picture file of a digit", "bad")
        elif kind in (pygame.WINDOWEXPOSED, pygame.VIDEOEXPOSE):
            self.view.forget()
        return True

    def _mouse(self, event):
        position = event.pos
        if not all(map(math.isfinite, position)):
            raise DataError(f"the mouse is at {position}, which is no place; move it again")
        if event.type == pygame.MOUSEMOTION:
            self._move(position, getattr(event, "touch", False))
        elif event.type == pygame.MOUSEBUTTONUP:
            if event.button in (pygame.BUTTON_LEFT, pygame.BUTTON_RIGHT):
                self._lift()
        elif event.button == pygame.BUTTON_LEFT and not self._click(position):
            self._put_down(position, self.scene.erasing)
        elif event.button == pygame.BUTTON_RIGHT:
            self._put_down(position, erase=True)
            self._ring(position)

    def _click(self, position):
        """Act on a click beside the sheet, or above it.  Return whether it was one."""
        scene, places = self.scene, self.places()
        if scene.help:
            scene.help = False
        elif self.view.toast_button and self.view.toast_button.collidepoint(position):
            self.act("unlabel")
        elif name := places.button_at(position):
            self.act(name)
        else:
            return False
        return True

    def _put_down(self, position, erase):
        """Begin a stroke or an erasure, if the place is on the sheet."""
        if not self.places().sheet.collidepoint(position) or self.scene.help:
            return
        self._drop_picture()
        self._heeded()
        point = self.where().to_canvas(position)
        if erase:
            self.canvas.begin_erase(*point, self._eraser())
        else:
            self.canvas.begin(*point)

    def _move(self, position, touch):
        scene, places = self.scene, self.places()
        if self.canvas.drawing or self.canvas.erasing:
            self.canvas.extend(*self.where().to_canvas(position))
        else:
            scene.hovered = None if touch else places.button_at(position)
            for i, reading in enumerate(scene.readings if scene.picture is None else ()):
                if self.where().rect(reading.box).inflate(places.text, places.text).collidepoint(position):
                    scene.focus = i
        self._ring(None if touch else position)

    def _ring(self, position):
        """Show the eraser as a ring around the mouse, where it is one."""
        erasing = self.scene.erasing or self.canvas.erasing
        shown = erasing and position and self.places().sheet.collidepoint(position)
        self.scene.pointer = (*position, round(self._eraser() * self.where().scale)) if shown else None

    def _lift(self):
        """Lift pen and eraser."""
        self.canvas.end()
        if not self.scene.erasing:
            self.scene.pointer = None

    def _press(self, event):
        """Act on a key.  Return False when it is time to quit."""
        control, shift = event.mod & (pygame.KMOD_CTRL | pygame.KMOD_META), event.mod & pygame.KMOD_SHIFT
        if event.key == pygame.K_ESCAPE:
            return self._escape()
        if control:
            if event.key == pygame.K_y or (event.key == pygame.K_z and shift):
                self.act("redo")
            elif event.key == pygame.K_z:
                self.act("undo")
            elif event.key == pygame.K_s:
                self.act("save")
        elif not event.mod & pygame.KMOD_ALT:
            character = getattr(event, "unicode", "")
            name = CHARACTERS.get(character) or KEYS.get(event.key)
            if name:
                self.act(name)
            elif (digit := DIGITS.get(event.key)) is not None or character.isdecimal():
                self._label(int(character) if digit is None else digit)
        return True

    def _escape(self):
        """Close what lies above the rest, one thing at a time; return False when there is nothing left but to quit."""
        scene = self.scene
        if scene.help:
            scene.help = False
        elif scene.picture is not None:
            self._drop_picture()
        elif scene.why is not None:
            scene.why = None
        elif scene.inside:
            scene.inside = False
        else:
            return False
        return True

    # What keys and buttons do

    def act(self, name):
        """Do what a button or a key is for, by its name; see ``layout.BUTTONS``."""
        getattr(self, f"_{name}")()

    def say(self, words, kind="note", button=""):
        """Show a message for a while."""
        self.scene.toast = Toast(words, kind, button)
        self._toast_ends = time.perf_counter() + TOAST_SECONDS + len(words) / LETTERS_A_SECOND

    def _heeded(self):
        """Take away a message that told what to do next, now that something is done; what went wrong stays."""
        if self.scene.toast and self.scene.toast.kind == "note":
            self.scene.toast = None

    def _undo(self):
        if not self._drop_picture():
            self.canvas.undo()

    def _redo(self):
        if not self._drop_picture():
            self.canvas.redo()

    def _clear(self):
        self._heeded()
        if not self._drop_picture():
            self.canvas.clear()

    def _erase(self):
        self.scene.erasing = not self.scene.erasing
        self._ring(pygame.mouse.get_pos() if self.scene.erasing else None)

    def _inside(self):
        self.scene.inside = not self.scene.inside

    def _why(self):
        scene = self.scene
        self._read_again()
        if scene.why is not None:
            scene.why = None
        elif scene.picture is not None:
            self.say("a picture can't be explained, only strokes: draw the digit")
        elif scene.reading is None:
            self.say("draw a digit first: then its ink is painted by what it spoke for")
        else:
            scene.why = self.mind.why(scene.reading, self.canvas)

    def _theme(self):
        self.scene.theme = self._changed["theme"] = "dark" if self.scene.theme == "light" else "light"
        self._keep_settings()

    def _help(self):
        self.scene.help = not self.scene.help

    def _thinner(self):
        self._brush(-1)

    def _thicker(self):
        self._brush(1)

    def _brush(self, turns):
        """Make the brush on the screen thicker or thinner; what the network sees has a pen of its own."""
        self.scene.pen = self._changed["pen"] = min(max(self.scene.pen * THICKER**turns, PENS[0]), PENS[1])
        if self.scene.pointer:
            self._ring(self.scene.pointer[:2])

    def _save(self):
        if self.scene.picture is not None:
            self.say("that is a picture already; draw to save a drawing")
        elif self.canvas.strokes:
            self.keeper.save_drawing(self.view.drawing())
        else:
            self.say("there is nothing to save yet")

    def _label(self, digit):
        """Keep the digit in focus as one of the user's own."""
        self._read_again()  # for something may have been drawn since the last frame
        reading = self.scene.reading
        if self.scene.picture is not None:
            self.say("a picture can't be labelled, only strokes are kept: draw the digit")
        elif reading is None:
            self.say(f"draw a digit first: then {digit} says what it should be")
        else:
            self.keeper.keep(digit, [list(self.canvas.strokes[i]) for i in reading.strokes])

    def _unlabel(self):
        self.keeper.take_back()

    def _learn(self):
        self.keeper.learn()

    def _swap(self):
        self.keeper.swap()

    def _drop_picture(self):
        """Take the picture off the sheet, and what was read from it: it has no place on the canvas.

        Return whether there was one.
        """
        if self.scene.picture is None:
            return False
        self.scene.picture = self._read = None
        self._look(())
        return True

    def _told(self, done):
        """Act on what came of an errand."""
        if done.picture is not None:
            surface, image = done.picture
            self.scene.picture = surface
            self._look(self.mind.read_picture(image))
        if done.network is not None:
            self.mind, self._read = Mind(done.network), None
            if self.scene.picture is not None:
                self._look(self.mind.read_picture(self.scene.reading.image))
        if done.words:
            self.say(done.words, done.kind, done.button)

    # What is seen

    def places(self):
        """Return the ``Layout`` of the window as it is now."""
        return layout(pygame.display.get_surface().get_size(), self.scene.inside)

    def where(self):
        """Return how the canvas lies on the sheet; it doesn't move while something is drawn."""
        sheet = self.places().sheet
        for_what = sheet.topleft, sheet.size, self.canvas.revision
        same_sheet = self._layout is not None and for_what[:2] == self._layout[:2]
        if not (same_sheet and (self.canvas.drawing or self.canvas.erasing or for_what == self._layout)):
            self._place, self._layout = place(self.canvas, sheet), for_what
        return self._place

    def _eraser(self):
        """Return the eraser's radius on the canvas."""
        return ERASER * self.scene.pen * SHEET

    def _read_again(self):
        """Read the canvas if it has changed."""
        if self.scene.picture is None and self._read != self.canvas.revision:
            self._look(self.mind.read(self.canvas))
            self._read = self.canvas.revision

    def _look(self, readings):
        """Show readings; the bars are those of the digit that was written last."""
        scene = self.scene
        scene.readings, scene.focus = readings, None
        if readings:
            scene.focus = max(range(len(readings)), key=lambda i: max(readings[i].strokes, default=0))

    def _show(self):
        """Read the canvas again if it changed, and draw what differs from what is on the screen."""
        now, scene, screen = time.perf_counter(), self.scene, pygame.display.get_surface()
        self._read_again()
        if not (self.canvas.drawing or self.canvas.erasing):
            self.keeper.watch(self.canvas.strokes)
        if scene.toast and now > self._toast_ends:
            scene.toast = None
        late = self._panels_late(now)
        scene.progress, scene.note = self.keeper.progress, self.keeper.note
        self._ease(now)
        self.moving = self.moving or late
        changed = self.view.draw(screen, scene, self.places(), self.where())
        if changed:
            pygame.display.update(changed)
        if changed or not self._frame_at or self.moving:
            self._frame_at = now

    def _panels_late(self, now):
        """Fill in the panels, but while something is drawn only now and then: bars come first.

        Return whether they wait.
        """
        busy = (self.canvas.drawing or self.canvas.erasing) and self.scene.reading is not None
        if busy and now - self._panels_at < PANELS and (self.scene.inside or self.scene.why is not None):
            return True
        self._panels_at = now
        complete(self.scene, self.mind)
        return False

    def _ease(self, now):
        """Move the bars towards where they should be."""
        target, bars = lengths(self.scene), self.scene.bars
        passed = min(now - self._frame_at, 1 / 60)
        bars = bars + (target - bars) * (1 - math.exp(-passed / EASE))
        self.moving = bool(np.abs(target - bars).max() > CLOSE_ENOUGH)
        self.scene.bars = bars if self.moving else target


def complete(scene, mind):
    """Fill in what the panels show that are open."""
    if scene.why is not None:
        reading = scene.reading
        scene.why = mind.why(reading, scene.canvas) if reading and scene.picture is None else None
    if scene.inside:
        scene.blank = mind.blank()
        scene.maps = scene.reading.insight if scene.reading else scene.blank


def lengths(scene):
    """Return how long the bars should be: the probabilities of the reading in focus, or nothing."""
    return np.zeros(10) if scene.reading is None else scene.reading.insight.probabilities.astype(np.float64)


def run(network, size=(1100, 700), strokes=(), **settings):
    """Open the pad and stay until it is closed.  Raises NumcnnError without a display, or for an unfit network.

    settings: theme, keeper; see ``Pad``.
    """
    with one_blas_thread:
        pad = Pad(network, size, strokes, **settings)
        try:
            while pad.step():
                pass
        finally:
            pad.close()


def screenshot(network, path, size=(1100, 700), strokes=(), *, theme="light", inside=False, why=False, keys=False):
    """Write to ``path`` what the pad would show, as PNG, without opening a window.  Raises NumcnnError.

    inside, why, keys: open those panels.
    """
    mind, canvas = Mind(network), fitted_canvas(strokes)
    scene = Scene(canvas, mind.read(canvas), theme=theme, pen=suited_pen(canvas), inside=inside, help=keys)
    if scene.readings:
        scene.focus = len(scene.readings) - 1
        scene.why = mind.why(scene.reading, canvas) if why else None
    complete(scene, mind)
    scene.bars = lengths(scene)
    surface, places = pygame.Surface(size), layout(size, inside)
    pygame.font.init()
    View().draw(surface, scene, places, place(canvas, places.sheet))
    background.write_png(surface, path)


def fitted_canvas(strokes):
    """Return a canvas with strokes, in any unit, scaled and moved into the middle of it."""
    canvas = Canvas(SHEET, SHEET)
    box = 0.7 * SHEET
    for points in raster.fit(strokes, box=box):
        canvas.stroke(points + (SHEET - box) / 2)
    return canvas


def suited_pen(canvas):
    """Return the brush for a drawing: the usual one, finer where digits are so small that it would blot them."""
    heights = [bottom - top for _, top, _, bottom in canvas.boxes()] or [SHEET]
    return min(PEN, max(PENS[0], raster.PEN_WIDTH / BOX * max(heights) / SHEET))


def checked_settings(settings):
    """Return of settings out of a file those that make sense."""
    checks = {
        "theme": lambda theme: isinstance(theme, str) and theme in THEMES,
        "pen": lambda pen: type(pen) is float and PENS[0] <= pen <= PENS[1],
    }
    return {name: settings[name] for name, fits in checks.items() if name in settings and fits(settings[name])}


def open_window(size):
    """Open a resizable window.  Only what is needed is started: sound, for one, makes noise on headless machines."""
    wanted = os.environ.get("SDL_VIDEODRIVER", "")
    os.environ.setdefault("SDL_TOUCH_MOUSE_EVENTS", "1")  # fingers come as a mouse, on every system
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
