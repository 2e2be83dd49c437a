"""Learning in the background: ``numcnn learn`` in a process of its own, so that the pad goes on drawing meanwhile."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numcnn
from numcnn.errors import NumcnnError

NICE = 5  # the pad comes first
PROGRESS = "progress"  # what the lines of `numcnn learn --progress` begin with


class Learner:
    """One run of ``numcnn learn``, begun when it is made.  weights: what to begin with, as ``--weights`` takes it.

    ``share``: how much is done, 0..1, as it says itself; `report` keeps it up to date, in a thread of its own.
    """

    def __init__(self, weights):
        self.share, self._began = 0.0, time.perf_counter()
        command = [sys.executable, "-P", "-m", "numcnn", "learn", "--json", "--progress", "--weights", str(weights)]
        path = os.pathsep.join(filter(None, (str(Path(numcnn.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
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
        last = "the process ended"
        for line in self._process.stderr:  # until it ends; what it reports on stdout is short, and waits in the pipe
            head, _, percent = line.strip().partition(" ")
            if head == PROGRESS and percent.isdecimal():
                self.share = int(percent) / 100
            elif head:
                last = line.strip()
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise NumcnnError(f"learning failed: {last.removeprefix('numcnn learn: ')}")
        try:
            return json.loads(out) | {"seconds": time.perf_counter() - self._began}
        except (ValueError, TypeError) as error:
            raise NumcnnError(f"learning failed: its report is none ({error}); try again") from error

    def stop(self):
        """End the process, if it is still there."""
        if self._process.poll() is None:
            self._process.kill()


def in_words(report):
    """Return what came of learning, before and after, in three lines.  Raises NumcnnError for what is no report."""
    try:
        found, name = (report["held_out"], "digits it hadn't seen")
        if not found:
            found, name = report["own"], "your digits"
        count = report["digits"]
        first = f"learnt {count} {'digit' if count == 1 else 'digits'} in {report['seconds']:.0f} s; B goes back"
        return f"{first}\n{name}: {_change(found)}\nwhat it knew before: {_change(report['known'])}"
    except (KeyError, TypeError, ValueError) as error:
        raise NumcnnError(f"learning failed: its report is not whole ({error!r}); try again") from error


def _change(found):
    return f"{found['before']:.1%} → {found['after']:.1%}"
