"""Learning in the background: ``numcnn learn`` in a process of its own, so that the pad goes on drawing meanwhile."""

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numcnn
from numcnn.errors import NumcnnError

USUAL_SECONDS = 5.0  # the bar moves by this; nobody knows before how long it takes
NICE = 5  # the pad comes first


class Learner:
    """One run of ``numcnn learn``, begun when it is made.  weights: what to begin with, as ``--weights`` takes it."""

    def __init__(self, weights):
        command = [sys.executable, "-P", "-m", "numcnn", "learn", "--json", "--weights", str(weights)]
        path = os.pathsep.join(filter(None, (str(Path(numcnn.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
        self._began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)

    def report(self):
        """Wait until it has learnt, and return what the command reports.  Raises NumcnnError with its complaint.

        The seconds are those that the user has waited, with the start of the process.
        """
        out, complaint = self._process.communicate()
        if self._process.returncode:
            last = (complaint.strip().splitlines() or ["the process ended"])[-1]
            raise NumcnnError(f"learning failed: {last.removeprefix('numcnn learn: ')}")
        return json.loads(out) | {"seconds": time.perf_counter() - self._began}

    @property
    def share(self):
        """How far it is, 0..1, as far as one can tell from the time."""
        return 1 - math.exp(-(time.perf_counter() - self._began) / USUAL_SECONDS)

    def stop(self):
        """End the process, if it is still there."""
        if self._process.poll() is None:
            self._process.kill()


def in_words(report):
    """Return what came of learning, before and after, in two lines."""
    found, name = (report["held_out"], "digits of yours it hadn't seen")
    if not found:
        found, name = report["own"], "your digits"
    count = report["digits"]
    first = f"learnt {count} {'digit' if count == 1 else 'digits'} in {report['seconds']:.0f} s; B goes back"
    return f"{first}\n{name}: {_change(found)}\nwhat it knew before: {_change(report['known'])}"


def _change(found):
    return f"{found['before']:.1%} → {found['after']:.1%}"
