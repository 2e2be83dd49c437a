"""The drawing pad's latency: events played to it in a process of its own, and the time to its first frame."""

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

from numcnn.benchmark import BenchmarkError, Say
from numcnn.benchmark.processes import PYTHON_MODULE, environment

STARTS, QUICK_STARTS = 5, 2
QUICK_CASES = 2

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


def measure(quick: bool, say: Say) -> dict[str, Any]:
    """Play events to the pad, and start it some times.  Return the figures.  Raises BenchmarkError if it fails."""
    with tempfile.TemporaryDirectory(prefix="numcnn-pad-") as home:
        settings = {**environment(), "SDL_VIDEODRIVER": "dummy", "NUMCNN_HOME": home}
        say("pad: events played to the window")
        command = [*PYTHON_MODULE, "numcnn.benchmark.pad_player", *([str(QUICK_CASES)] if quick else [])]
        done = subprocess.run(command, env=settings, capture_output=True, text=True)
        if done.returncode:
            raise BenchmarkError(f"the pad's process failed: {done.stderr.strip().splitlines()[-1:]}")
        figures = json.loads(done.stdout.splitlines()[-1])
        say("pad: process start to the first frame")
        figures["first_frame_s"] = [_first_frame(settings) for _ in range(QUICK_STARTS if quick else STARTS)]
    return figures


def _first_frame(settings: dict[str, str]) -> float:
    """Return the seconds from the start of a process to the pad's first frame."""
    began = time.perf_counter()
    command = [sys.executable, "-P", "-c", FIRST_FRAME]
    with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        while (line := child.stdout.readline()) != "shown\n":
            if not line:
                raise BenchmarkError("the pad ended before its first frame")
        return time.perf_counter() - began
