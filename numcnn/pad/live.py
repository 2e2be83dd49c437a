"""A training run for the pad: in a process of its own, with what it has done so far.  No pygame, no training code.

``LiveRun`` starts ``python -m numcnn.training.stepwise_process``, which that file explains, and reads its reports on a
thread.  The process ends with the pad, however the pad ends.
"""

import contextlib
import json
import pickle
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from numcnn.children import child_environment
from numcnn.errors import NumcnnError
from numcnn.kernels.arrays import Floats
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network
from numcnn.pad.learner import give_way
from numcnn.pad.timeline import Timeline, Validation

STARTING, RUNNING, PAUSED, FINISHED, FAILED = "starting", "running", "paused", "finished", "failed"
RATE_SECONDS = 2.0  # over which the speed is measured
GENERATED = "generated"
# The settings of a run in the pad, on top of the preset fast: the panel's first ones, and one more epoch, because a
# twelfth of the images is held out, and 99% of those are to be reached.
FIRST_CHOICE: dict[str, Any] = {"lr": 0.012, "optimizer": "adamw", "batch_size": 128, "seed": 0}
EPOCHS = 4


class LiveRun:
    """One training run, started at once; its process waits until `go` or `take_step`.  Call `poll` often.

    Raises NumcnnError when the process can't be started.

    settings: those of ``TrainConfig``, and "dataset" and "data_dir", on top of the preset fast.
    Attributes: state (starting, running, paused, finished, failed), problem (why it failed), timeline (None until the
    data is read), rates (images a second, of each epoch), known (what the process said about the run), notes (what it
    said while it read the data).
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.state, self.problem = STARTING, ""
        self.timeline: Timeline | None = None
        self.known: dict[str, Any] = {}
        self.notes: list[str] = []
        self.rates: list[float] = []
        self._messages: deque[tuple[float, tuple[Any, ...]]] = deque()
        self._progress: deque[tuple[float, int]] = deque(maxlen=64)  # when so many steps were done
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "numcnn.training.stepwise_process", json.dumps(dict(settings))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child_environment(),
            )
        except OSError as error:
            raise NumcnnError(f"training can't start ({error.strerror or error}); try again") from error
        give_way(self._process.pid)
        self._last_line = ""  # that the process wrote to stderr
        self._error_reader = threading.Thread(target=self._read_errors, daemon=True, name="numcnn-live-errors")
        self._error_reader.start()
        self._reader = threading.Thread(target=self._read, daemon=True, name="numcnn-live")
        self._reader.start()

    def go(self, pace: float | None = None) -> None:
        """Train on, at so many steps a second; None: as fast as it can."""
        self._command(go=pace)

    def pause(self) -> None:
        """Stop after the present step."""
        self._command(pause=True)

    def take_step(self) -> None:
        """Take one step, and pause."""
        self._command(step=1)

    def ask(self, step: int) -> None:
        """Ask for the weights after exactly this step; `poll` adds them to the timeline."""
        self._command(at=step)

    def poll(self) -> bool:
        """Take over what the process has reported since the last call.  Return whether there was anything."""
        any_message = bool(self._messages)
        while self._messages:
            self._take_over(*self._messages.popleft())
        return any_message

    @property
    def waiting(self) -> bool:
        """Whether `poll` has something to take over."""
        return bool(self._messages)

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.timeline.done if self.timeline else 0

    @property
    def steps_a_second(self) -> float:
        """The speed over the last two seconds; 0 while it is not known."""
        recent = [entry for entry in self._progress if self._progress[-1][0] - entry[0] <= RATE_SECONDS]
        if len(recent) < 2 or recent[-1][0] <= recent[0][0]:
            return 0.0
        return (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0])

    @property
    def network_made(self) -> bool:
        """Whether `network` can be called."""
        return self.timeline is not None and self.timeline.nearest(0) is not None

    def network(self, step: int | None = None) -> tuple[int, Network]:
        """Return the network after the last step up to this one whose weights are here, and that step.

        None: the latest.  A new network each time, so that whoever holds one is not surprised.
        """
        assert self.timeline is not None
        found = self.timeline.nearest(self.timeline.steps if step is None else step)
        assert found is not None
        return found[0], self._network_of(found[1])

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        self._error_reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None  # it is a pipe
            with contextlib.suppress(OSError):  # what was left to write has no reader
                stream.close()

    def _network_of(self, params: Floats) -> Network:
        normalisation = self.known["normalisation"]
        network = Network(make_layers(self.known["model"]), backend="reference", seed=None, normalisation=normalisation)
        network.params[...] = params
        return network

    def _command(self, **command: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended; the reader's thread says so
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        """Read messages until the process ends."""
        assert self._process.stdout is not None
        try:
            while True:
                message = pickle.load(self._process.stdout)
                self._messages.append((time.perf_counter(), message))
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            ended = ("failed", f"the training process ended ({self._reason()}); start again")
            self._messages.append((time.perf_counter(), ended))

    def _read_errors(self) -> None:
        """Read stderr until the process ends, and keep its last line."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._last_line = line.decode(errors="replace").strip() or self._last_line

    def _reason(self) -> str:
        """Return why the process ended: the last line that it wrote to stderr, or its exit code."""
        with contextlib.suppress(subprocess.TimeoutExpired):  # it still runs, but what it said couldn't be read
            self._process.wait(1)
        self._error_reader.join(1)
        return self._last_line or f"exit code {self._process.returncode}"

    def _take_over(self, now: float, message: tuple[Any, ...]) -> None:
        kind, *content = message
        timeline = self.timeline
        if kind == "ready":
            (self.known,) = content
            self.timeline = Timeline(*(self.known[key] for key in ("steps", "per_epoch", "spacing")))
        elif kind == "epoch":
            self.rates.append(content[1])
        elif kind == "note":
            self.notes.append(content[0])
        elif kind == "failed":
            if self.state != FAILED:
                self.state, self.problem = FAILED, content[0]
        elif kind == "state":
            (self.state,) = content
            self._progress.clear()
        elif timeline is not None and kind == "steps":
            timeline.add_steps(*content)
            self._progress.append((now, timeline.done))
        elif timeline is not None and kind == "validation":
            timeline.validations.append(Validation(*content))
        elif timeline is not None and kind == "at":
            timeline.add_asked(*content)
