"""Training in the pad: what the panel's buttons, slider, settings and time line do, and which network is shown."""

import time
from bisect import bisect_left
from typing import Any

import pygame

from numcnn.evaluation.metrics import percent
from numcnn.kernels.thread_team import available_threads
from numcnn.nn.network import Network
from numcnn.pad.drawing.live_view import LABELS, PACES, SETTINGS, SPEED, PanelPlaces, TrainingScene
from numcnn.pad.keys import action_of
from numcnn.pad.live import (
    EPOCHS,
    FAILED,
    FINISHED,
    FIRST_CHOICE,
    GENERATED,
    PAUSED,
    RUNNING,
    STARTING,
    LiveRun,
)
from numcnn.pad.timeline import Timeline

CHOICES: dict[str, tuple[Any, ...]] = {
    "lr": (0.0003, 0.001, 0.003, 0.006, 0.012, 0.03, 0.05, 0.1, 0.3),
    "optimizer": ("adamw", "adam", "sgd"),
    "batch_size": (32, 64, 128, 256, 512),
    "seed": tuple(range(100)),
}
RATES = {"adamw": 0.012, "adam": 0.001, "sgd": 0.05}  # that suit the optimisers; chosen with them
FULL = len(PACES) - 1  # the slider's last notch
PERIOD = 0.1  # seconds from one network to the next on the screen, while it trains
SHARE = 0.03  # of all processors' time: no more goes into showing networks, so that training gets the rest
LONGEST = 0.6  # seconds, even where a frame takes long
POLL, POLL_IDLE = 0.03, 0.1  # seconds between looks for reports
GOOD = 0.99  # the panel says when the validation accuracy reaches this


class Watching:
    """A run, or none, and where in it the user is looking.

    settings: of the run, on top of those of the preset fast; the panel changes some of them for the next run.
    """

    def __init__(self, **settings: Any) -> None:
        self.run: LiveRun | None = None
        self.wants_gradient = True  # whether the gradient is painted on the drawing
        self._settings = {"epochs": EPOCHS} | FIRST_CHOICE | settings
        self._choice = {name: self._settings[name] for name in SETTINGS}
        self._started_with = dict(self._choice)
        self._notch = FULL
        self._at: int | None = None  # the step that the user has gone to; None: follow the run
        self._shown = self._before = -1  # the step whose network is shown, and the one that was shown before it
        self._unusable: set[int] = set()  # steps whose weights give no finite answer
        self._asked: int | None = None  # the step whose weights the process computes
        self._dragged: str | None = None  # "slider" or "track", while the mouse is down
        self._hovered: str | None = None
        self._due = self._began = self._shown_at = self._cost = 0.0
        self.reached: float | None = None  # seconds from the start to a validation accuracy of 99%
        self._told = False  # whether it was said that there is no MNIST
        self._chosen = ""  # the setting that keys change, or SPEED; "" until one is chosen
        self._note = ""  # what a key has changed, where the panel has no room for it

    @property
    def open(self) -> bool:
        """Whether there is a run, and its panel."""
        return self.run is not None

    @property
    def running(self) -> bool:
        """Whether the network changes from frame to frame."""
        return self.run is not None and self.run.state in (STARTING, RUNNING)

    def start(self) -> None:
        """Start a run with the settings chosen, in place of the one that is there."""
        self.close()
        self._started_with = dict(self._choice)
        self.run = LiveRun(self._settings | self._choice)
        self._at, self._shown, self._asked, self.reached = None, -1, None, None
        self._unusable = set()
        self._due, self._began = 0.0, time.perf_counter()
        self._go()

    def close(self) -> None:
        """End the run."""
        if self.run is not None:
            self.run.close()
        self.run = self._dragged = self._hovered = None

    def wait(self, now: float) -> float:
        """Return for how long there is nothing to do, in seconds."""
        if self.run is None:
            return PERIOD
        least = 0.001 if self.run.waiting else POLL if self.running or self._asked is not None else POLL_IDLE
        return max(least, self._due - now)

    def refresh(self, now: float) -> Network | None:
        """Return the network to show from now on, if it is time for another one."""
        run = self.run
        if run is None or (now < self._due and self._dragged is None):
            return None
        run.poll()
        if self.reached is None and run.timeline and any(v.accuracy >= GOOD for v in run.timeline.validations
                                                          if v.images == run.known["validation"]):  # fmt: skip
            self.reached = now - self._began
        self._due = now + PERIOD
        if not run.network_made:
            return None
        assert run.timeline is not None
        found = run.timeline.nearest(run.timeline.steps if self._at is None else self._at)
        assert found is not None
        if self._asked is not None and run.timeline.has(self._asked):
            self._asked = None
        if found[0] == self._shown or found[0] in self._unusable:
            return None
        self._before = self._shown
        self._shown, network = run.network(found[0])
        self._shown_at, self._cost = now, 0.0
        return network

    def refuse(self) -> None:
        """Take back the last network that `refresh` returned: it diverged, and gives no finite answer."""
        self._unusable.add(self._shown)
        self._shown = self._before

    def took(self, seconds: float) -> None:
        """Note what a frame took of the processor, so that showing networks leaves training its time."""
        self._cost += seconds
        if self.running:
            self._due = max(self._due, self._shown_at + min(LONGEST, self._cost / (SHARE * available_threads())))

    def news(self) -> str:
        """Return what should be said once, or nothing."""
        if self._note:
            note, self._note = self._note, ""
            return note
        if self.run is None or self._told or self.run.known.get("dataset") != GENERATED:
            return ""
        self._told = True
        return "MNIST isn't here: the network learns from digits that numcnn draws"

    def scene(self) -> TrainingScene | None:
        """Return what the panel shows."""
        run = self.run
        if run is None:
            return None
        values = tuple(f"{self._choice[name]}" for name in SETTINGS)
        return TrainingScene(
            timeline=run.timeline,
            shown=max(0, self._shown if self._dragged != "track" or self._at is None else self._at),
            follows=self._at is None,
            words=self._words(run),
            failed=run.state == FAILED,
            ended=run.state in (FAILED, FINISHED),
            go=_go_words(run.state, self._notch),
            notch=self._notch,
            values=values,
            changed=self._choice != self._started_with,
            hovered=self._hovered,
            chosen=self._chosen,
        )

    # Events

    def handle(self, event: pygame.event.Event, area: pygame.Rect, places: PanelPlaces | None) -> bool:
        """Handle an event of the open panel, whose Rect is ``area``.  Return whether it was one."""
        if self.run is None or places is None:
            return False
        if event.type == pygame.KEYDOWN:
            return self._press(event, places)
        if event.type == pygame.MOUSEBUTTONDOWN and area.collidepoint(event.pos):
            if event.button == pygame.BUTTON_LEFT:
                self._click(event.pos, places)
            return True
        if event.type == pygame.MOUSEBUTTONUP and self._dragged:
            self._drop()
            return True
        if event.type == pygame.MOUSEMOTION:
            self._hovered = places.at(event.pos) if area.collidepoint(event.pos) else None
            if self._dragged:
                self._drag(event.pos, places)
            return self._dragged is not None
        return event.type == pygame.MOUSEWHEEL and self._hovered is not None and self._wheel(event.y)

    def _press(self, event: pygame.event.Event, places: PanelPlaces) -> bool:
        """Handle a key of ``keys.TRAINING``."""
        name = action_of(event, "training")
        if name == "choose":
            names = SPEED, *SETTINGS
            way = -1 if event.mod & pygame.KMOD_SHIFT else 1
            self._chosen = names[(names.index(self._chosen) + way) % len(names)] if self._chosen else names[0]
        elif name in ("less", "more"):
            self._chosen = self._chosen or SPEED
            self._change(1 if name == "more" else -1)
        elif name:
            self.act(name)
        if name in ("choose", "less", "more") and self._chosen != SPEED and not places.settings:
            words, value = LABELS[self._chosen][0], self._choice[self._chosen]
            self._note = f"{words} {value}; - and + change it, Enter starts again"
        return bool(name)

    def _change(self, way: int) -> None:
        """Take the next (1) or the previous (-1) value of what is chosen."""
        if self._chosen == SPEED:
            self._set_pace(min(max(self._notch + way, 0), FULL))
        else:
            self._choose(self._chosen, way)

    def act(self, name: str) -> None:
        """Do what a button or a key says: go, step, again, back, first, latest."""
        run = self.run
        if run is None:
            return
        if name == "again":
            self.start()
        elif name == "back":
            self._go_to(self._shown - 1)
        elif name == "first":
            self._go_to(0)
        elif name == "latest" or (name == "go" and run.state in (FINISHED, FAILED)):
            self._at = None
        elif name == "go" and run.state == RUNNING:
            run.pause()
        elif name == "go":
            self._at = None
            self._go()
        elif name == "step" and self._at is not None and self._shown < run.step:
            self._go_to(self._shown + 1)
        elif name == "step":
            self._at = None
            run.take_step()
        self._due = 0.0

    def _go(self) -> None:
        assert self.run is not None
        pace = PACES[self._notch]
        if pace != 0.0:
            self.run.go(pace)
        elif self.run.state == PAUSED:
            self.run.take_step()

    def _click(self, position: tuple[int, int], places: PanelPlaces) -> None:
        name = places.at(position)
        if name in ("slider", "track"):
            self._dragged = name
            self._drag(position, places)
        elif name in places.controls:
            self.act(name)
        elif name:
            setting, sign = name.split(" ")
            self._choose(setting, 1 if sign == "+" else -1)

    def _drag(self, position: tuple[int, int], places: PanelPlaces) -> None:
        run = self.run
        assert run is not None
        if self._dragged == "slider":
            self._set_pace(places.notch_at(position[0]))
        elif run.timeline is not None:
            step = places.step_at(position[0], run.timeline.steps)
            self._at = None if step >= run.step else step

    def _set_pace(self, notch: int) -> None:
        """Put the slider on a notch."""
        if notch == self._notch:
            return
        self._notch = notch
        if self.run is not None and self.running and PACES[notch] == 0.0:
            self.run.pause()
        elif self.run is not None and self.running:
            self.run.go(PACES[notch])

    def _drop(self) -> None:
        """Let go of the slider or the time line; where it was left, the weights are computed exactly."""
        dragged, self._dragged = self._dragged, None
        if dragged == "track" and self._at is not None:
            self._go_to(self._at)

    def _go_to(self, step: int) -> None:
        """Show exactly this step."""
        run = self.run
        if run is None or run.timeline is None:
            return
        self._at = min(max(0, step), run.step)
        self._due = 0.0
        if not run.timeline.has(self._at):
            self._asked = self._at
            run.ask(self._at)

    def _wheel(self, up: int) -> bool:
        """Change the setting under the mouse.  Return whether there is one."""
        name = (self._hovered or "").split(" ")[0]
        if name in CHOICES:
            self._choose(name, 1 if up > 0 else -1)
        return name in CHOICES

    def _choose(self, name: str, way: int) -> None:
        """Take the next value of a setting, or with -1 the one before."""
        values = CHOICES[name]
        at = bisect_left(values, self._choice[name]) if name != "optimizer" else values.index(self._choice[name])
        at += way
        at = at % len(values) if name == "optimizer" else min(max(0, at), len(values) - 1)
        self._choice[name] = values[at]
        if name == "optimizer":
            self._choice["lr"] = RATES[values[at]]

    def _words(self, run: LiveRun) -> str:
        """Return in words how far the run is."""
        timeline, known = run.timeline, run.known
        if run.state == FAILED:
            what, diverged, _ = run.problem.partition(" (epoch")
            return f"it diverged: {what}; choose a smaller learning rate" if diverged else run.problem
        if timeline is None:
            return run.notes[-1] if run.notes else "reading the training images …"
        if self._at is not None:
            return f"step {max(0, self._shown):,} of {timeline.done:,}; End: the latest"
        words = progress_words(known, timeline)
        if run.state == FINISHED and timeline.validations:
            last = timeline.validations[-1]
            words = f"{_data_words(known)}; done: {percent(last.accuracy)} of {last.images:,} validation images"
        elif run.steps_a_second:
            words += f", {run.steps_a_second:.0f}/s"
        if self.reached is not None:
            words += f"; {GOOD:.0%} after {self.reached:.0f} s"
        return words


def progress_words(known: dict[str, Any], timeline: Timeline) -> str:
    """Return in words what a run learns from, and how far it is."""
    epoch = min(timeline.done // timeline.per_epoch + 1, timeline.steps // timeline.per_epoch)
    return f"{_data_words(known)}; step {timeline.done:,} of {timeline.steps:,}, epoch {epoch}"


def _data_words(known: dict[str, Any]) -> str:
    if known["dataset"] == GENERATED:
        return "generated digits, not MNIST"
    return f"{known['images']:,} of {'MNIST' if known['dataset'] == 'mnist' else known['dataset']}"


def _go_words(state: str, notch: int) -> str:
    """Return the words on the first button."""
    if state in (STARTING, RUNNING):
        return "Pause"
    if state == PAUSED:
        return "One step" if PACES[notch] == 0.0 else "Go on"
    return "Finished" if state == FINISHED else "Failed"
