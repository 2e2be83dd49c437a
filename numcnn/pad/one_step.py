"""One step of learning, for the digit in focus and a label: forward, loss, gradients, change of the weights, answer.

The numbers are those of ``numcnn.trace``, the step is that of ``training.optim.SGD``; a copy of the network takes it.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pygame

from numcnn.errors import NumcnnError
from numcnn.nn.inspection import Inspection
from numcnn.pad.drawing.inside_layout import bands
from numcnn.pad.drawing.layout import Layout
from numcnn.pad.drawing.lens_card import Look
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.step_view import Controls, StepScene, controls_of, rate_words, step_parts
from numcnn.pad.drawing.theme import THEMES
from numcnn.pad.keys import action_of, digit_of
from numcnn.pad.lesson import ANSWER, BACKWARD, CHANGE, FORWARD, LOSS_FRAME, Lesson, learn_once
from numcnn.pad.pointing import lens_room
from numcnn.pad.tools import Host, Tool

RATES = 1e-4, 1.0  # the ends of the slider
RATE = 0.01
SECONDS = {FORWARD: 0.5, LOSS_FRAME: 1.6, BACKWARD: 1.0, CHANGE: 1.2, ANSWER: 3.0}  # that a frame is shown
FINER = 20  # arrow keys from one end of the slider to the other


class OneStep(Tool):
    """The panel of the step, its controls, and the thread that computes."""

    def __init__(self, pad: Host) -> None:
        super().__init__(pad)
        self.lesson: Lesson | None = None
        self.label, self.rate = 0, RATE
        self.at = 0  # the frame
        self.playing = False
        self._inside_before = False
        self._opened: Inspection | None = None  # of the digit that the panel is about; None while it is closed
        self._next_at = 0.0  # when the next frame comes
        self._dragging = False
        self._thread: ThreadPoolExecutor | None = None
        self._task: Future[Lesson] | None = None
        self._asked: tuple[object, ...] = ()
        finer = (RATES[1] / RATES[0]) ** (1 / FINER)
        self._actions: dict[str, Callable[[], object]] = {  # of keys and buttons
            "first": lambda: self.go(0),
            "back": lambda: self.go(self.at - 1),
            "play": self.play,
            "forth": lambda: self.go(self.at + 1),
            "last": lambda: self.go(self._last()),
            "more": lambda: self.set_rate(self.rate * finer),
            "less": lambda: self.set_rate(self.rate / finer),
            "close": self.escape,
        }

    @property
    def open(self) -> bool:
        """Whether the panel is open."""
        return self._opened is not None

    @property
    def busy(self) -> bool:
        """Whether a step is being computed, or frames follow each other."""
        return self._task is not None or (self.open and self.playing)

    def toggle(self) -> None:
        """Open the panel for the digit in focus, or close it."""
        scene = self.pad.scene
        if self.open:
            self.escape()
        elif scene.reading is None:
            self.pad.say("draw a digit first: then a step of learning is shown for it")
        else:
            self._opened, self.label = scene.reading.inspection, scene.reading.label
            self._inside_before, scene.inside, scene.stepping = scene.inside, True, True
            self.at, self.playing, self._asked, self._next_at = 0, True, (), 0.0

    def escape(self) -> bool:
        """Close the panel."""
        if not self.open:
            return False
        self._opened, self.lesson, self.playing = None, None, False  # a lesson of the shipped network is 50 MB
        self.pad.scene.inside, self.pad.scene.stepping = self._inside_before, False
        return True

    def press(self, event: pygame.event.Event) -> bool:
        """Step, play, set rate and label."""
        if not self.open:
            return False
        if name := action_of(event, "step"):
            self._actions[name]()
        elif (digit := digit_of(event)) is not None:
            self.set_label(digit)
        else:
            return False
        return True

    def click(self, position: Sequence[int], touch: bool) -> bool:
        """Press a control; clicks beside them do nothing."""
        places = self.pad.places()
        if not self.open or places.button_at(position):
            return False
        name = self._controls(places).at(position)
        if name == "rate":
            self._dragging = True
            self._slide(position)
        elif name.isdecimal():
            self.set_label(int(name))
        elif name:
            self._actions[name]()
        return True

    def move(self, position: Sequence[int], touch: bool) -> bool:
        """Drag the slider."""
        if self._dragging:
            self._slide(position)
        return self.open and not self.pad.places().button_at(position)

    def lift(self) -> None:
        """Let the slider go."""
        self._dragging = False

    def go(self, frame: int) -> None:
        """Show a frame and stay there."""
        self.at, self.playing = min(max(frame, 0), self._last()), False

    def play(self) -> None:
        """Play, from the beginning if all was shown; or pause."""
        self.playing = not self.playing
        if self.playing and self.at == self._last():
            self.at = 0
        self._next_at = 0.0

    def set_label(self, digit: int) -> None:
        """Learn for another label."""
        self.label = digit

    def set_rate(self, rate: float) -> None:
        """Take a larger or smaller step."""
        self.rate = min(max(rate, RATES[0]), RATES[1])

    def _slide(self, position: Sequence[int]) -> None:
        share = self._controls(self.pad.places()).slider.share_at(position[0])
        self.set_rate(RATES[0] * (RATES[1] / RATES[0]) ** share)

    def _last(self) -> int:
        return len(self.lesson.frames()) - 1 if self.lesson else 0

    def update(self, now: float) -> None:
        """Compute the step if something has changed, and go on to the next frame when it is time."""
        scene = self.pad.scene
        done = None
        if self._task is not None and self._task.done():
            done, self._task = self._task, None
        if not self.open:
            return
        if not scene.inside or scene.reading is None:
            self._inside_before = self._inside_before and scene.inside  # what the user has closed stays closed
            self.escape()
            return
        self._opened = scene.reading.inspection
        if done is not None and self._asked:  # else it was asked for before the panel was closed and opened again
            try:
                self.lesson = done.result()
            except NumcnnError as error:
                self.escape()
                self.pad.say(str(error), "bad")
                return
        wanted = self._opened, self.label, self.rate
        if self._task is None and wanted != self._asked:
            self._asked = wanted
            self._thread = self._thread or ThreadPoolExecutor(1, "numcnn-one-step")
            self._task = self._thread.submit(learn_once, self.pad.recognizer.network, *wanted, self.lesson)
        self._advance()

    def _advance(self) -> None:
        now = time.perf_counter()
        if self.lesson is None or not self.playing or now < self._next_at:
            return
        frames = self.lesson.frames()
        if self._next_at:
            self.at = min(self.at + 1, len(frames) - 1)
        self.playing = self.at < len(frames) - 1
        self._next_at = now + SECONDS[frames[self.at].kind]

    def parts(self, places: Layout) -> list[Part]:
        """Return the panel and the card."""
        if not self.open or self.lesson is None:
            return []
        lesson, room = self.lesson, lens_room(places)
        self.at = min(self.at, self._last())
        share = math.log(self.rate / RATES[0]) / math.log(RATES[1] / RATES[0])
        shown = StepScene(lesson, lesson.frames(), self.at, self.label, self.rate, share, self.playing)
        look = Look(self.pad.view.type, THEMES[self.pad.scene.theme], places.text)
        there = bands(lesson.inspection.stages, places.inside, places.text)
        return step_parts(look, shown, there, (room, places.inside), self._controls(places))

    def _controls(self, places: Layout) -> Controls:
        beside = max(self.pad.view.type.width(rate_words(rate), places.text) for rate in (1.1e-4, 0.0011))
        return controls_of(lens_room(places), places.text, beside)

    def close(self) -> None:
        """Stop computing."""
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)
