"""The pad's window: events in, drawing and answer out."""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pygame

from numcnn.errors import DataError, NumcnnError
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.network import Network
from numcnn.pad import pictures
from numcnn.pad.background import BackgroundTasks, TaskResult
from numcnn.pad.chooser import Chooser
from numcnn.pad.drawing.layout import Layout, Place, layout
from numcnn.pad.drawing.live_view import panel_places
from numcnn.pad.drawing.overlays import Toast
from numcnn.pad.drawing.picture import Picture
from numcnn.pad.drawing.view import Scene, View
from numcnn.pad.keys import action_of, digit_of
from numcnn.pad.one_step import OneStep
from numcnn.pad.pointing import Pointing
from numcnn.pad.presenter import Presenter
from numcnn.pad.selection import digit_at, neighbour
from numcnn.pad.still import PEN, PENS, SHEET, complete, fitted_canvas, lengths, place_of, suited_pen
from numcnn.pad.tools import Tool
from numcnn.pad.watching import Watching
from numcnn.pad.window import checked_settings, open_window, screen
from numcnn.recognition.reading import Reading, Recognizer, text_of

SIZE = (1100, 700)  # of a new window
FRAME = 1 / 160  # seconds: least time from one frame to the next
SCREEN = 1 / 60  # while a network learns, which needs the processor too, and while bars move
PANELS = 1 / 25  # seconds: least time between updates of feature maps and saliency while the user draws
WAIT = 0.5  # seconds: longest wait for events, so that Ctrl-C in the terminal takes effect
EASE = 0.04  # seconds: time constant of the bars
CLOSE_ENOUGH = 0.002  # of the full length: the bar has arrived
TOAST_SECONDS, LETTERS_A_SECOND = 3.0, 12  # a message stays until it can have been read
THICKER = 1.15  # factor for one step of the wheel
ERASER = 0.9  # radius, in widths of the brush


class Pad:
    """The open window.  Call `step` until it returns False, then `close`; or simply call `run`.

    Attributes: canvas, recognizer, tasks, scene (everything that is shown), actions (what keys and buttons do, by
    name), moving (whether bars are still moving).
    """

    def __init__(
        self,
        network: Network,
        size: tuple[int, int] = SIZE,
        strokes: Sequence[npt.ArrayLike] = (),
        *,
        theme: str | None = None,
        tasks: BackgroundTasks | None = None,
        picture: str | os.PathLike[str] | None = None,
    ) -> None:
        """Open a window.  strokes, in any unit, are scaled to the sheet.  Raises NumcnnError without a display.

        picture: the path of one to read at once, as if it was dropped.
        theme: None takes the one that was chosen last, at first "light".
        tasks: what reads and writes files; None: nothing is saved.
        """
        self.recognizer = Recognizer(network)
        self.tasks = tasks or BackgroundTasks()
        self.canvas = fitted_canvas(strokes, self.recognizer.judge)
        settings = checked_settings(self.tasks.last_settings())
        self._changed: dict[str, Any] = {}  # settings that were changed here and are not yet saved
        pen = suited_pen(self.canvas) if self.canvas.strokes else settings.get("pen", PEN)
        self.scene = Scene(self.canvas, theme=theme or settings.get("theme", "light"), pen=pen)
        self._read: int | None = None  # the canvas's revision that was read last
        self._placed: tuple[pygame.Rect, int, Place] | None = None  # for which sheet and revision, and the place
        self._toast_ends = self._frame_at = self._panels_at = 0.0
        self.moving = True
        self.watching = Watching()
        # While a run is shown: the user's network, and whether the inside was open.
        self._before: tuple[Recognizer, bool] | None = None
        self.actions: dict[str, Callable[[], None]] = {
            "undo": self._undo,
            "redo": self._redo,
            "clear": self._clear,
            "erase": self._toggle_eraser,
            "inside": self._toggle_inside,
            "why": self._toggle_why,
            "train": self._toggle_training,
            "theme": self._change_theme,
            "help": self._toggle_help,
            "thinner": self._thinner,
            "thicker": self._thicker,
            "save": self._save,
            "learn": self.tasks.learn,
            "swap": self.tasks.swap,
            "unlabel": self.tasks.take_back,
            "copy": self._copy,
            "paste": lambda: self._open(pictures.from_clipboard()),
            "left": lambda: self._select(-1, 0),
            "right": lambda: self._select(1, 0),
            "up": lambda: self._select(0, -1),
            "down": lambda: self._select(0, 1),
            "present": lambda: self.presenter.toggle(),
            "next": lambda: self.presenter.show(1),
            "previous": lambda: self.presenter.show(-1),
            "misread": lambda: self.presenter.show_misread(),
            "open": lambda: self.chooser.show(),
            "step": lambda: self.one_step.toggle(),
        }
        open_window(size)
        self.view = View()
        self.presenter, self.chooser, self.one_step = Presenter(self), Chooser(self), OneStep(self)
        # Those above others first.
        self.tools: list[Tool] = [self.chooser, self.one_step, Pointing(self), self.presenter]
        self._pressed: tuple[int, int] | None = None  # where a tap on a digit began
        if not self.canvas.strokes:
            self._restore_drawing()
        if picture is not None:
            self._open(pictures.from_file(picture))

    def step(self) -> bool:
        """Wait for events, at most 0.5 s, handle them, and show what has changed.  Return False to quit."""
        if self._frame_at:
            events = [pygame.event.wait(max(1, round(1000 * self._longest_wait())))]
            early = self._frame_at + (SCREEN if self.watching.running else FRAME) - time.perf_counter()
            if events[0].type != pygame.NOEVENT and early > 0.001:
                time.sleep(early)
            for event in (*events, *pygame.event.get()):
                if not self._handle_safely(event):
                    return False
        for result in self.tasks.results():
            self._on_task_done(result)
        self._show()
        return True

    def close(self) -> None:
        """Close the window; save the drawing and the settings."""
        self.watching.close()
        for tool in self.tools:
            tool.close()
        self._save_settings()
        self.tasks.close(self.canvas.strokes)
        pygame.font.quit()
        pygame.display.quit()

    def _save_settings(self) -> None:
        """Save the settings that were changed here; another pad may have changed the others."""
        if self._changed:
            self.tasks.keep_settings(self._changed)
            self._changed = {}

    def _restore_drawing(self) -> None:
        """Restore the drawing from when the pad was open last."""
        strokes, problem = self.tasks.last_drawing()
        for points in strokes:
            self.canvas.stroke(points)
        if problem:
            self.say(problem, "bad")
        elif strokes:
            self.say("your last drawing is back; C clears the sheet")

    def _longest_wait(self) -> float:
        """Return how long to wait for events, in seconds."""
        if self.moving:
            return max(0.001, self._frame_at + SCREEN - time.perf_counter())
        if self.watching.open:
            return self.watching.wait(time.perf_counter())
        if self.tasks.progress:
            return 0.1
        return 0.02 if self.tasks.busy or any(tool.busy for tool in self.tools) else WAIT

    # Events

    def _handle_safely(self, event: pygame.event.Event) -> bool:
        """Handle an event; an error becomes a message in the window.  Return False to quit."""
        try:
            return self._handle(event)
        except NumcnnError as error:
            self.canvas.end()
            self.say(f"{error}", "bad")
            return True

    def _handle(self, event: pygame.event.Event) -> bool:
        kind = event.type
        listed = self.scene.help and kind != pygame.KEYDOWN  # keys do what the lists say while these are shown
        above = listed or self.chooser.open or self.one_step.open  # a drag that began before still ends
        if self.watching.open and (not above or kind == pygame.MOUSEBUTTONUP) and self._handle_training(event):
            return True
        if kind == pygame.QUIT:
            return False
        if kind == pygame.KEYDOWN:
            return self._press(event)
        if kind in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION):
            # SDL reports fingers as a mouse too.  Finger events are ignored, so no stroke is drawn twice.
            self._mouse(event)
        elif kind == pygame.MOUSEWHEEL:
            self._change_brush(event.y)
        elif kind in (pygame.WINDOWFOCUSLOST, pygame.WINDOWLEAVE):
            self.scene.pointer = self.scene.hovered = None
            for tool in self.tools:
                tool.leave()
            if kind == pygame.WINDOWFOCUSLOST:
                self._lift()
        elif kind == pygame.DROPFILE:
            self._open(pictures.from_file(event.file))
        elif kind == pygame.DROPTEXT:
            self._open(pictures.from_text(event.text))
        elif kind in (pygame.WINDOWEXPOSED, pygame.VIDEOEXPOSE):
            self.view.forget()
        return True

    def _mouse(self, event: pygame.event.Event) -> None:
        position = event.pos
        if not all(map(math.isfinite, position)):
            raise DataError(f"the mouse position {position} is not finite; move the mouse again")
        if event.type == pygame.MOUSEMOTION:
            self._move(position, getattr(event, "touch", False))
        elif event.type == pygame.MOUSEBUTTONUP:
            if event.button in (pygame.BUTTON_LEFT, pygame.BUTTON_RIGHT):
                self._lift()
        elif event.button == pygame.BUTTON_LEFT and not self._click(position, getattr(event, "touch", False)):
            self._put_down(position, self.scene.erasing)
        elif event.button == pygame.BUTTON_RIGHT:
            self._put_down(position, erase=True)
            self._show_ring(position)

    def _click(self, position: tuple[int, int], touch: bool) -> bool:
        """Handle a click on a button, an overlay or a tool's panel.  Return whether it was one."""
        if self.scene.help:
            self.scene.help = False
        elif self.view.toast_button and self.view.toast_button.collidepoint(position):
            self.act("unlabel")
        elif name := self.places().button_at(position):
            self.act(name)
        else:
            return any(tool.click(position, touch) for tool in self.tools)
        return True

    def _put_down(self, position: tuple[int, int], erase: bool) -> None:
        """Begin a stroke or an erasure, if the position is on the sheet."""
        if not self.places().sheet.collidepoint(position) or self.scene.help:
            return
        self._dismiss_hint()
        if self.scene.picture is not None:
            self._click_picture(position)
            return
        x, y = self.where().to_canvas(position)
        if (
            not erase
            and len(self.scene.readings) > 1
            and digit_at(self.scene.readings, self.where(), position, 0) is not None
        ):
            self._pressed = position  # a tap selects the digit, a move draws
        elif erase:
            self.canvas.begin_erase(x, y, self._eraser_radius())
        else:
            self.canvas.begin(x, y)

    def _move(self, position: tuple[int, int], touch: bool) -> None:
        scene, places = self.scene, self.places()
        if self._pressed and math.dist(position, self._pressed) > places.text / 3:
            self.canvas.begin(*self.where().to_canvas(self._pressed))
            self._pressed = None
        if self.canvas.drawing or self.canvas.erasing:
            self.canvas.extend(*self.where().to_canvas(position))
        elif not (self._pressed or any(tool.move(position, touch) for tool in self.tools)):
            scene.hovered = None if touch else places.button_at(position)
            under = digit_at(scene.readings, self.where(), position, places.text / 2)
            if scene.picture is None and under is not None:
                scene.focus = under
        self._show_ring(None if touch else position)

    def _show_ring(self, position: tuple[int, int] | None) -> None:
        """Show the eraser as a ring around the mouse, while it is chosen or down."""
        erasing = (self.scene.erasing or self.canvas.erasing) and self.scene.picture is None
        if erasing and position and self.places().sheet.collidepoint(position):
            self.scene.pointer = *position, round(self._eraser_radius() * self.where().scale)
        else:
            self.scene.pointer = None

    def _lift(self) -> None:
        """Lift pen and eraser."""
        self.canvas.end()
        if self._pressed:
            self._read_canvas()
            self.scene.focus = digit_at(self.scene.readings, self.where(), self._pressed, 0)
            self._pressed = None
        for tool in self.tools:
            tool.lift()
        if not self.scene.erasing:
            self.scene.pointer = None

    def _press(self, event: pygame.event.Event) -> bool:
        """Handle a key.  Return False to quit."""
        if event.key == pygame.K_ESCAPE:
            return self._escape()
        if any(tool.press(event) for tool in self.tools):
            return True
        if name := action_of(event):
            self.act(name)
        elif (digit := digit_of(event)) is not None:
            self.label(digit)
        return True

    def _escape(self) -> bool:
        """Close the topmost overlay, picture or panel; return False, to quit, if there is none."""
        scene = self.scene
        if scene.help:
            scene.help = False
        elif any(tool.escape() for tool in self.tools):
            pass
        elif self.watching.open:
            self._toggle_training()
        elif scene.why is not None:
            scene.why = None
        elif scene.picture is not None:
            self._take_off()
        elif scene.inside:
            scene.inside = False
        elif scene.large:
            self.act("present")
        else:
            return False
        return True

    # Actions of keys and buttons

    def act(self, name: str) -> None:
        """Run an action by its name: see ``actions``, ``keys.DRAWING`` and ``layout.BUTTONS``."""
        self.actions[name]()

    def say(self, words: str, kind: str = "note", button: str = "") -> None:
        """Show a message for a while."""
        self.scene.toast = Toast(words, kind, button)
        self._toast_ends = time.perf_counter() + TOAST_SECONDS + len(words) / LETTERS_A_SECOND

    def _dismiss_hint(self) -> None:
        """Remove a message that said what to do next; messages about errors stay."""
        if self.scene.toast and self.scene.toast.kind == "note":
            self.scene.toast = None

    def _undo(self) -> None:
        if not self._take_off():
            self.canvas.undo()

    def _redo(self) -> None:
        if not self._take_off():
            self.canvas.redo()

    def _clear(self) -> None:
        self._dismiss_hint()
        if not self._take_off():
            self.canvas.clear()

    def _toggle_eraser(self) -> None:
        self.scene.erasing = not self.scene.erasing
        self._show_ring(pygame.mouse.get_pos() if self.scene.erasing else None)

    def _toggle_inside(self) -> None:
        self.scene.inside = not self.scene.inside

    def _toggle_why(self) -> None:
        scene = self.scene
        self._read_canvas()
        if scene.why is not None:
            scene.why = None
        elif scene.reading is None:
            self.say(f"{self._first()}: then its ink is coloured by what it speaks for")
        else:
            scene.why = self.recognizer.explain(scene.reading, self.canvas)
        self.watching.wants_gradient = scene.why is not None

    def _toggle_training(self) -> None:
        """Watch a new network learn; or end that, and read with the user's network again."""
        scene = self.scene
        if self._before is None:
            self.watching.start()
            self._before = self.recognizer, scene.inside
            scene.inside = self.watching.wants_gradient = True
        else:
            (recognizer, scene.inside), self._before = self._before, None
            self.watching.close()
            scene.why = None
            self._read_with(recognizer)
            if scene.picture is not None:
                self.show_picture(scene.picture)
        scene.training = self.watching.scene()

    def _handle_training(self, event: pygame.event.Event) -> bool:
        """Let the panel of a training run handle an event.  Return whether it was one of its own."""
        area, text = self.places().training, self.places().text
        if self.canvas.drawing or self.canvas.erasing:
            return False
        return self.watching.handle(event, area, panel_places(self.view.type, area, text))

    def _show_training(self, now: float) -> bool:
        """Read with the network that the run has got to.  Return whether it is another one."""
        network = self.watching.refresh(now)
        if network is not None:
            try:
                self._read_with(Recognizer(network))
            except NumcnnError:
                self.watching.refuse()
                network = None
        elif self.watching.wants_gradient and self.scene.why is None and self.scene.reading is not None:
            self.scene.why = self.recognizer.explain(self.scene.reading, self.canvas)
        if words := self.watching.news():
            self.say(words)
        self.scene.training = self.watching.scene()
        return network is not None

    def _read_with(self, recognizer: Recognizer) -> None:
        """Read everything on the sheet with another network."""
        scene = self.scene
        if scene.picture is not None:
            scene.readings = recognizer.again(scene.readings)
        else:
            self._set_readings(recognizer.read(self.canvas))
        self.recognizer, self._read = recognizer, self.canvas.revision if scene.picture is None else None

    def _change_theme(self) -> None:
        self.scene.theme = self._changed["theme"] = "dark" if self.scene.theme == "light" else "light"
        self._save_settings()

    def _toggle_help(self) -> None:
        self.scene.help = not self.scene.help

    def _thinner(self) -> None:
        self._change_brush(-1)

    def _thicker(self) -> None:
        self._change_brush(1)

    def _change_brush(self, steps: int) -> None:
        """Make the brush on the screen thicker, or thinner for negative steps; the network's pen stays the same."""
        self.scene.pen = self._changed["pen"] = min(max(self.scene.pen * THICKER**steps, PENS[0]), PENS[1])
        if self.scene.pointer:
            self._show_ring(self.scene.pointer[:2])

    def _save(self) -> None:
        if self.scene.picture is not None:
            self.say("that is a picture already; draw to save a drawing")
        elif self.canvas.strokes:
            self.tasks.export(self.view.drawing())
        else:
            self.say("there is nothing to save yet")

    def label(self, digit: int) -> None:
        """Save the digit in focus as one of the user's own."""
        self._read_canvas()  # it may have changed since the last frame
        reading = self.scene.reading
        if reading is None:
            self.say(f"{self._first()}: then {digit} says what it should be")
        else:
            strokes = [list(self.canvas.strokes[i]) for i in reading.strokes]
            self.tasks.keep(digit, strokes, None if strokes else reading.image)

    def _first(self) -> str:
        """Return what is to be done before a digit can be explained or labelled."""
        return "draw a digit first" if self.scene.picture is None else "there is no digit here yet"

    def _select(self, right: int, down: int) -> None:
        """Move the focus by an arrow key."""
        self._read_canvas()
        self.scene.focus = neighbour(self.scene.readings, self.scene.focus, right, down)

    def _copy(self) -> None:
        """Copy what was read to the clipboard, as text."""
        self._read_canvas()
        text = text_of(self.scene.readings)
        if not text:
            self.say("there is nothing to copy yet")
            return
        try:
            pygame.scrap.put_text(text)
        except pygame.error as error:
            raise NumcnnError(f"nothing was copied ({error}); try again") from error
        lines = text.split("\n")
        self.say(f"copied: {lines[0]}" + (f" and {len(lines) - 1} more lines" if lines[1:] else ""), "good")

    # Pictures

    def _open(self, source: pictures.Source | None) -> None:
        """Decode and read a picture in the background, in place of what is on the sheet."""
        if source is None:
            self._fail("that text", "that text names no file that is here; drop or paste a picture")
            return
        self.scene.toast = None
        self.show_picture(self.tasks.pictures.open(source))

    def show_picture(self, picture: Picture | None) -> None:
        """Show a picture, with its readings if it has some; None: the drawing.  A stroke being drawn ends."""
        self._lift()
        if picture is None or picture.readings is not None:
            self.tasks.pictures.cancel()  # another one, still being read, would take its place
        self.scene.picture, self.scene.pointer, self._read = picture, None, None
        self._set_readings((picture and picture.readings) or ())

    def open_file(self, path: str) -> None:
        """Decode and read a picture file, as if it was dropped."""
        self._open(pictures.from_file(path))

    def _fail(self, name: str, problem: str) -> None:
        """Say that a picture couldn't be read, beside an empty sheet: an old answer would look like the picture's."""
        self.show_picture(Picture(name, readings=(), problem=problem))
        self.say(problem, "bad")

    def _take_off(self) -> bool:
        """Take the picture off the sheet, with its readings, and don't wait for it.  Return whether there was one."""
        if self.scene.picture is None:
            return False
        self.tasks.pictures.cancel()
        self.show_picture(None)
        return True

    def _click_picture(self, position: tuple[int, int]) -> None:
        """Select the digit at a position: pen and eraser leave a picture as it is."""
        found = digit_at(self.scene.readings, self.where(), position, self.places().text)
        if self.scene.picture is not None and self.scene.picture.problem:
            self._take_off()
        elif found is None:
            self.say("C takes the picture off; then you can draw")
        else:
            self.scene.focus = found

    def _on_picture(self, picture: Picture) -> None:
        """Show a picture that is decoded, and have it read; or show its digits."""
        if picture.problem:
            self._fail(picture.name, picture.problem)
        elif picture.readings is None:
            recognizer = self._before[0] if self._before else self.recognizer
            self.show_picture(self.tasks.pictures.read(picture, recognizer.network))
        else:
            self.show_picture(picture)
            count = len(picture.readings)
            found = f"{count} {'digit' if count == 1 else 'digits'}" if count else "no digits found"
            self.say(f"{found} in {picture.name}; C takes the picture off")

    def _on_task_done(self, result: TaskResult) -> None:
        """Show the result of a background task."""
        if result.picture is not None:
            self._on_picture(result.picture)
        if result.network is not None and self._before is not None:
            self._learned_meanwhile(Recognizer(result.network))
        elif result.network is not None:
            self.recognizer, self._read = Recognizer(result.network), None
            self.canvas.ask(self.recognizer.judge)
            if self.scene.picture is not None and self.scene.picture.colours is not None:
                self.show_picture(self.tasks.pictures.read(self.scene.picture, result.network))
        if result.words:
            self.say(result.words, result.kind, result.button)

    def _learned_meanwhile(self, recognizer: Recognizer) -> None:
        """Keep what the user's network has become for the end of the run that is shown."""
        assert self._before is not None
        self._before = recognizer, self._before[1]
        self.canvas.ask(recognizer.judge)
        picture = self.scene.picture
        if picture is not None and picture.readings:
            self.scene.picture = replace(picture, readings=recognizer.again(picture.readings))
        elif picture is not None and picture.colours is not None and picture.readings is None:
            self.show_picture(self.tasks.pictures.read(picture, recognizer.network))

    # What is shown

    def places(self) -> Layout:
        """Return the ``Layout`` of the window at its present size."""
        return layout(screen().get_size(), self.scene.inside, self.scene.large, self.watching.open)

    def where(self) -> Place:
        """Return how the canvas, or the picture on it, is mapped to the sheet.

        That doesn't change during a stroke or an erasure.
        """
        if self.scene.picture is not None:
            return place_of(self.scene, self.places())
        sheet, revision = self.places().sheet, self.canvas.revision
        if self._placed is not None:
            placed_sheet, placed_revision, placed = self._placed
            busy = self.canvas.drawing or self.canvas.erasing
            if placed_sheet == sheet and (busy or placed_revision == revision):
                return placed
        self._placed = sheet, revision, place_of(self.scene, self.places())
        return self._placed[2]

    def _eraser_radius(self) -> float:
        """Return the eraser's radius on the canvas."""
        return ERASER * self.scene.pen * SHEET

    def _read_canvas(self) -> None:
        """Read the canvas if it has changed."""
        if self.scene.picture is None and self._read != self.canvas.revision:
            self._set_readings(self.recognizer.read(self.canvas))
            self._read = self.canvas.revision

    def _set_readings(self, readings: tuple[Reading, ...]) -> None:
        """Show readings, with the focus on the digit that was written last."""
        scene = self.scene
        scene.readings, scene.focus = readings, None
        if readings:
            scene.focus = max(range(len(readings)), key=lambda i: max(readings[i].strokes, default=0))

    def _show(self) -> None:
        """Read the canvas if it has changed, and draw what differs from what is on the screen."""
        now, scene = time.perf_counter(), self.scene
        if self._before is not None and not self.watching.open:  # it couldn't start again
            self._toggle_training()
        used, other_network = time.thread_time(), self.watching.open and self._show_training(now)
        self._read_canvas()
        if not (self.canvas.drawing or self.canvas.erasing):
            self.tasks.watch(self.canvas.strokes)
        if scene.toast and now > self._toast_ends:
            scene.toast = None
        panels_wait = not self._update_panels(now, other_network)
        scene.progress, scene.note = self.tasks.progress, self.tasks.note
        self._ease_bars(now)
        self.moving = self.moving or panels_wait
        for tool in self.tools:
            tool.update(now)
        scene.above = [part for tool in reversed(self.tools) for part in tool.parts(self.places())]
        changed = self.view.draw(screen(), scene, self.places(), self.where())
        if changed:
            pygame.display.update(changed)
        self.watching.took(time.thread_time() - used)
        if changed or not self._frame_at or self.moving:
            self._frame_at = now

    def _update_panels(self, now: float, other_network: bool) -> bool:
        """Update the panels, at a lower rate while the user draws: the bars come first.  Return whether it was done.

        For another network, the gradient follows in the next frame, so that no frame takes too long.
        """
        if other_network:
            complete(self.scene, self.recognizer, gradient=False)
            return False
        busy = (self.canvas.drawing or self.canvas.erasing) and self.scene.reading is not None
        if busy and now - self._panels_at < PANELS and (self.scene.inside or self.scene.why is not None):
            return False
        self._panels_at = now
        complete(self.scene, self.recognizer)
        return True

    def _ease_bars(self, now: float) -> None:
        """Move the bars towards their final lengths."""
        target, bars = lengths(self.scene), self.scene.bars
        passed = min(now - self._frame_at, SCREEN)
        bars = bars + (target - bars) * (1 - math.exp(-passed / EASE))
        still = self.watching.running  # the next network comes before the bars would have arrived
        self.moving = not still and bool(np.abs(target - bars).max() > CLOSE_ENOUGH)
        self.scene.bars = bars if self.moving else target


def run(
    network: Network,
    size: tuple[int, int] = SIZE,
    strokes: Sequence[npt.ArrayLike] = (),
    *,
    theme: str | None = None,
    tasks: BackgroundTasks | None = None,
    picture: str | os.PathLike[str] | None = None,
) -> None:
    """Open the pad and return when it is closed.  Raises NumcnnError without a display, or for an unfit network.

    strokes, theme, tasks, picture: see ``Pad``.
    """
    with one_blas_thread:
        pad = Pad(network, size, strokes, theme=theme, tasks=tasks, picture=picture)
        try:
            while pad.step():
                pass
        finally:
            pad.close()
