"""The drawing pad, played to: real events of a generated drawing, posted to the real window under SDL's dummy driver.

A process of its own, so that nothing of the benchmark's disturbs it: ``python -m numcnn.benchmark.pad_latency``
prints JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

from numcnn.benchmark import BenchmarkError
from numcnn.benchmark.processes import PYTHON_MODULE, environment

STARTS = 5
IDLE_SECONDS = 2.0
STROKE_SECONDS = 0.45  # as long as a person takes, more or less
# What is played: the window's size, mouse events a second, and the panels that are open.
CASES = (
    ("1100x700", 125, ()),
    ("1100x700", 1000, ()),
    ("1100x700", 1000, ("inside",)),
    ("1100x700", 1000, ("why",)),
    ("3840x2160", 1000, ()),
    ("3840x2160", 1000, ("inside",)),
)

# Starts the pad as ``numcnn draw`` does, and says when its first frame is on the screen.
FIRST_FRAME = """
import sys
from numcnn import cli
from numcnn.pad import app
def run(*arguments, **settings):
    pad = app.Pad(*arguments, **settings)
    pad.step()
    print("shown", flush=True)
    pad.close()
app.run = run
sys.exit(cli.main(["draw"]))
"""


def measure(quick, report):
    """Play to the pad in a process of its own, and start it anew some times.  Return the figures as a dict."""
    with tempfile.TemporaryDirectory(prefix="numcnn-pad-") as home:
        settings = {**environment(), "SDL_VIDEODRIVER": "dummy", "NUMCNN_HOME": home}
        report("pad: events played to the window")
        command = [*PYTHON_MODULE, "numcnn.benchmark.pad_latency", str(2 if quick else len(CASES))]
        done = subprocess.run(command, env=settings, capture_output=True, text=True)
        if done.returncode:
            raise BenchmarkError(f"the pad's process failed: {done.stderr.strip().splitlines()[-1:]}")
        figures = json.loads(done.stdout.splitlines()[-1])
        report("pad: process start to the first frame")
        figures["first_frame_s"] = [_first_frame(settings) for _ in range(2 if quick else STARTS)]
    return figures


def _first_frame(settings):
    """Return the seconds from the start of a process to the pad's first frame."""
    began = time.perf_counter()
    command = [sys.executable, "-P", "-c", FIRST_FRAME]
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as child:
        while (line := child.stdout.readline()) != "shown\n":
            if not line:
                raise BenchmarkError("the pad ended before it showed anything")
        return time.perf_counter() - began


def play(size, rate, panels, digits=(4, 8, 2)):
    """Draw digits by ``rate`` mouse events a second.  Return the milliseconds from events to new bars, and frames.

    An event counts from when it is posted until the frame that shows what it changed is on the screen.
    """
    import pygame

    from numcnn.nn.network import load
    from numcnn.pad import app

    class Timed(app.Pad):
        """A pad that notes which events it has handled, and when it shows a frame."""

        handled, frames = [], []

        def _mouse(self, event):
            super()._mouse(event)
            self.handled.append(event.posted)

    pad = Timed(load("pad", backend="reference"), tuple(map(int, size.split("x"))))
    Timed.handled, Timed.frames = [], []
    pad.step()
    sheet = pad.places().sheet
    latencies, work, busiest = [], [], 0.0
    try:
        for digit in digits:
            for panel in panels:
                if not getattr(pad.scene, panel) and (panel != "why" or pad.scene.readings):
                    pad.act(panel)
            sheet = pad.places().sheet
            feeder = threading.Thread(target=_feed, args=(_events(digit, sheet, rate), rate), daemon=True)
            feeder.start()
            while feeder.is_alive() or pygame.event.peek():
                began, used = time.perf_counter(), time.thread_time()
                pad.step()
                now = time.perf_counter()
                if pad.handled:
                    latencies += [now - posted for posted in pad.handled]
                    busiest = max(busiest, now - max(began, pad.handled[0]))
                    pad.frames.append(now)
                    work.append(time.thread_time() - used)
                    pad.handled.clear()
            pad.act("clear")
            pad.step()
    finally:
        pad.close()
    gaps = np.diff(pad.frames)
    drawing = gaps[gaps < STROKE_SECONDS / 2]  # not the pauses between digits
    return {
        "size": size,
        "events_per_second": rate,
        "panels": list(panels),
        "events": len(latencies),
        **{f"latency_ms_p{p}": 1000 * float(np.percentile(latencies, p)) for p in (50, 95)},
        "latency_ms_max": 1000 * max(latencies),
        "frames_per_second": float(len(drawing) / drawing.sum()),
        "longest_frame_ms": 1000 * busiest,  # by the clock, whatever else the machine did
        **{f"work_ms_p{p}": 1000 * float(np.percentile(work, p)) for p in (50, 95)},  # processor time of a frame
    }


def _events(digit, sheet, rate):
    """Return the mouse events, (kind, position), that draw a digit on the sheet: many a stroke."""
    import pygame

    from numcnn.data.generated import digit_strokes

    events = []
    half = 0.4 * min(sheet.size)
    for stroke in digit_strokes(digit, np.random.default_rng(digit)):
        along = np.linspace(0, len(stroke) - 1, max(2, round(STROKE_SECONDS * rate)))
        points = [np.interp(along, np.arange(len(stroke)), stroke[:, i]) * half + sheet.center[i] for i in (0, 1)]
        places = [tuple(map(int, point)) for point in np.rint(points).T]
        events += [(pygame.MOUSEBUTTONDOWN, places[0])]
        events += [(pygame.MOUSEMOTION, place) for place in places]
        events += [(pygame.MOUSEBUTTONUP, places[-1])]
    return events


def _feed(events, rate):
    """Post events, each with the time at which it was."""
    import pygame

    began = time.perf_counter()
    for i, (kind, position) in enumerate(events):
        time.sleep(max(0.0, began + i / rate - time.perf_counter()))
        more = {"rel": (0, 0), "buttons": (1, 0, 0)} if kind == pygame.MOUSEMOTION else {"button": 1}
        pygame.event.post(pygame.event.Event(kind, pos=position, posted=time.perf_counter(), **more))


def idle_share():
    """Return the share of a processor that the pad takes while nobody touches it."""
    from numcnn.nn.network import load
    from numcnn.pad import app

    pad = app.Pad(load("pad", backend="reference"))
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
    cases = CASES[: int(sys.argv[1])] if len(sys.argv) > 1 else CASES
    print(json.dumps({"cases": [play(*case) for case in cases], "idle_cpu": idle_share()}))
