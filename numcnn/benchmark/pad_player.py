"""Plays drawings to the pad: real mouse events, posted to the real window under SDL's dummy driver.

``python -m numcnn.benchmark.pad_player [CASES]`` prints the figures as JSON; ``... train SIZE`` those of a pad in which
a network learns meanwhile.  It runs in a process of its own, so that nothing else in the benchmark disturbs it.
"""

import json
import os
import sys
import threading
import time
from typing import Any

import numpy as np
import pygame

from numcnn.data.generated import digit_strokes
from numcnn.nn.network import load
from numcnn.pad import app
from numcnn.pad.live import FAILED, FINISHED, RUNNING
from numcnn.pad.watching import Watching

IDLE_SECONDS = 2.0
RATE = 125  # mouse events a second while a network learns
DRAW_EVERY = 150  # steps of the training run from one digit to the next
STROKE_SECONDS = 0.45  # about as long as a person takes
# The cases: the window's size, mouse events a second, and the open panels.
CASES = (
    ("1100x700", 125, ()),
    ("1100x700", 1000, ()),
    ("1100x700", 1000, ("inside",)),
    ("1100x700", 1000, ("why",)),
    ("3840x2160", 1000, ()),
    ("3840x2160", 1000, ("inside",)),
)

Event = tuple[int, tuple[int, int]]  # kind, position


class TimedPad(app.Pad):
    """A pad that notes when the events it handles were posted."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.handled: list[float] = []

    def _mouse(self, event: pygame.event.Event) -> None:
        super()._mouse(event)
        self.handled.append(event.posted)


class Timings:
    """The times of one case, in seconds: of every event, and of every frame that showed one."""

    def __init__(self) -> None:
        self.latencies: list[float] = []  # from posting an event to the frame that shows what it changed
        self.frames: list[float] = []  # when each was shown
        self.work: list[float] = []  # processor time of each frame
        self.busiest = 0.0  # the longest frame by the clock, whatever else the machine did

    def watch(self, pad: TimedPad, feeder: threading.Thread) -> None:
        """Let the pad draw frames until it has handled all that the feeder posts."""
        while feeder.is_alive() or pygame.event.peek():
            began, used = time.perf_counter(), time.thread_time()
            pad.step()
            now = time.perf_counter()
            if pad.handled:
                self.latencies += [now - posted for posted in pad.handled]
                self.busiest = max(self.busiest, now - max(began, pad.handled[0]))
                self.frames.append(now)
                self.work.append(time.thread_time() - used)
                pad.handled.clear()

    def figures(self) -> dict[str, float]:
        """Return the percentiles in milliseconds, and the frames a second while drawing."""
        gaps = np.diff(self.frames)
        drawing = gaps[gaps < STROKE_SECONDS / 2]  # without the pauses between digits
        return {
            "events": len(self.latencies),
            **{f"latency_ms_p{p}": 1000 * float(np.percentile(self.latencies, p)) for p in (50, 95)},
            "latency_ms_max": 1000 * max(self.latencies),
            "frames_per_second": float(len(drawing) / drawing.sum()),
            "longest_frame_ms": 1000 * self.busiest,
            **{f"work_ms_p{p}": 1000 * float(np.percentile(self.work, p)) for p in (50, 95)},
        }


def play(size: str, rate: int, panels: tuple[str, ...], digits: tuple[int, ...] = (4, 8, 2)) -> dict[str, Any]:
    """Draw digits with ``rate`` mouse events a second.  Return the figures of events and frames.

    An event's latency runs from when it is posted until the frame that shows what it changed is on the screen.
    """
    width, height = map(int, size.split("x"))
    pad, timings = TimedPad(load(backend="reference"), (width, height)), Timings()
    pad.step()
    try:
        for digit in digits:
            for panel in panels:
                if not getattr(pad.scene, panel) and (panel != "why" or pad.scene.readings):
                    pad.act(panel)
            events = _events(digit, pad.places().sheet, rate)
            feeder = threading.Thread(target=_feed, args=(events, rate), daemon=True)
            feeder.start()
            timings.watch(pad, feeder)
            pad.act("clear")
            pad.step()
    finally:
        pad.close()
    return {"size": size, "events_per_second": rate, "panels": list(panels), **timings.figures()}


def _events(digit: int, sheet: pygame.Rect, rate: int) -> list[Event]:
    """Return the mouse events that draw a digit on the sheet: ``STROKE_SECONDS * rate`` a stroke."""
    events: list[Event] = []
    half = 0.4 * min(sheet.size)
    for stroke in digit_strokes(digit, np.random.default_rng(digit)):
        along = np.linspace(0, len(stroke) - 1, max(2, round(STROKE_SECONDS * rate)))
        points = [np.interp(along, np.arange(len(stroke)), stroke[:, i]) * half + sheet.center[i] for i in (0, 1)]
        places = [(int(x), int(y)) for x, y in np.rint(points).T]
        events += [(pygame.MOUSEBUTTONDOWN, places[0])]
        events += [(pygame.MOUSEMOTION, place) for place in places]
        events += [(pygame.MOUSEBUTTONUP, places[-1])]
    return events


def _feed(events: list[Event], rate: int) -> None:
    """Post events at this rate, each with the time at which it is posted."""
    began = time.perf_counter()
    for i, (kind, position) in enumerate(events):
        time.sleep(max(0.0, began + i / rate - time.perf_counter()))
        event: dict[str, Any] = {"pos": position, "posted": time.perf_counter()}
        event |= {"rel": (0, 0), "buttons": (1, 0, 0)} if kind == pygame.MOUSEMOTION else {"button": 1}
        pygame.event.post(pygame.event.Event(kind, event))


class TimedFrames(app.Pad):
    """A pad that notes how long each frame takes that changes something: seconds by the clock, and of its processor."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.frames: list[tuple[float, float]] = []

    def _show(self) -> None:
        began, used = time.perf_counter(), time.thread_time()
        super()._show()
        if self._frame_at >= began:  # something was drawn
            self.frames.append((time.perf_counter() - began, time.thread_time() - used))


def watch_training(size: str, drawing: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Let a network learn in the pad, at full speed.  Return the figures of frames and run.

    drawing: "one digit" that stays on the sheet, or "many", one after the other.  settings: of the run, besides those
    of the preset fast.
    """
    width, height = map(int, size.split("x"))
    pad = TimedFrames(load(backend="reference"), (width, height))
    pad.watching = Watching(**settings)
    used = time.process_time()
    try:
        pad.act("train")
        run, began, drawn = pad.watching.run, time.perf_counter(), 0
        assert run is not None
        while run.state not in (FINISHED, FAILED):
            if run.step > DRAW_EVERY * drawn and run.state == RUNNING and (drawing == "many" or not drawn):
                drawn += 1
                digit = drawn % 10
                feeder = threading.Thread(target=_feed, args=(_events(digit, pad.places().sheet, RATE), RATE))
                pad.act("clear")
                feeder.start()
                while feeder.is_alive() or pygame.event.peek():
                    pad.step()
            pad.step()
        if run.state == FAILED:
            raise SystemExit(run.problem)
        wall, work = (1000 * np.array(column) for column in zip(*pad.frames, strict=True))
        assert run.timeline is not None
        return {
            "size": size,
            "drawing": drawing,
            "frames": len(wall),
            **{f"frame_ms_p{p}": float(np.percentile(wall, p)) for p in (50, 95)},
            **{f"work_ms_p{p}": float(np.percentile(work, p)) for p in (50, 95)},
            "pad_processor_seconds": time.process_time() - used,
            "images_per_second": float(np.mean(run.rates)),
            "seconds": time.perf_counter() - began,
            "seconds_to_99": pad.watching.reached,
            "validation_accuracy": run.timeline.validations[-1].accuracy,
            "mbytes": run.timeline.nbytes / 1e6,
        }
    finally:
        pad.close()


def idle_share() -> float:
    """Return the share of a processor that the idle pad takes."""
    pad = app.Pad(load(backend="reference"))
    try:
        for _ in range(3):
            pad.step()
        began, used = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < IDLE_SECONDS:
            pad.step()
        return (time.process_time() - used) / (time.perf_counter() - began)
    finally:
        pad.close()


if __name__ == "__main__":
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if sys.argv[1:2] == ["train"]:
        print(json.dumps(watch_training(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))))
        sys.exit()
    cases = CASES[: int(sys.argv[1])] if len(sys.argv) > 1 else CASES
    print(json.dumps({"cases": [play(*case) for case in cases], "idle_cpu": idle_share()}))
