"""Learning in the background: ``numcnn learn`` in a process of its own, so that the pad stays responsive."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from numcnn.children import child_environment
from numcnn.errors import NumcnnError

NICE = 5  # the pad comes first
PROGRESS = "progress"  # first word of the lines of `numcnn learn --progress`


class Learner:
    """One run of ``numcnn learn``, started at once.  weights: what to start from, as ``--weights`` takes it.

    ``progress``: the fraction done, 0..1; `report` updates it, called in a thread of its own.
    """

    def __init__(self, weights: str | os.PathLike[str]) -> None:
        self.progress, self._began = 0.0, time.perf_counter()
        command = [sys.executable, "-P", "-m", "numcnn", "learn", "--json", "--progress", "--weights", str(weights)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=child_environment(),
        )
        give_way(self._process.pid)

    def report(self) -> dict[str, Any]:
        """Wait until learning ends, and return the command's report.  Raises NumcnnError with its error message.

        "seconds" counts the user's wait, with the start of the process.
        """
        last = "the process ended"
        assert self._process.stderr is not None  # it is a pipe
        for line in self._process.stderr:  # to its end; the report on stdout is short and waits in the pipe
            head, _, percent = line.strip().partition(" ")
            if head == PROGRESS and percent.isdecimal():
                self.progress = int(percent) / 100
            elif head:
                last = line.strip()
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise NumcnnError(f"learning failed: {last.removeprefix('numcnn learn: ')}")
        try:
            return json.loads(out) | {"seconds": time.perf_counter() - self._began}
        except (ValueError, TypeError) as error:
            raise NumcnnError(f"learning failed: its report can't be read ({error}); try again") from error

    def stop(self) -> None:
        """Kill the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()


def give_way(process: int) -> None:
    """Let a process compute only when the pad does not, as far as the system can do that.  process: its number."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, process, NICE)


def in_words(report: Mapping[str, Any]) -> str:
    """Return the accuracies before and after learning in three lines.  Raises NumcnnError if the report lacks them."""
    try:
        found, name = (report["held_out"], "digits it hadn't seen")
        if not found:
            found, name = report["own"], "your digits"
        count = report["digits"]
        first = f"learned {count} {'digit' if count == 1 else 'digits'} in {report['seconds']:.0f} s; B goes back"
        return f"{first}\n{name}: {_change(found)}\nwhat it knew before: {_change(report['known'])}"
    except (KeyError, TypeError, ValueError) as error:
        raise NumcnnError(f"learning failed: its report is incomplete ({error!r}); try again") from error


def _change(accuracy: Mapping[str, float]) -> str:
    return f"{accuracy['before']:.1%} → {accuracy['after']:.1%}"
