"""A `StepwiseRun` in a process of its own, which the pad starts: commands come on stdin, what happens goes to stdout.

``python -m numcnn.training.stepwise_process '{"preset": "fast", "seed": 1}'``; the settings are those of `TrainConfig`,
and "preset", "dataset" and "data_dir".  Commands are lines of JSON: {"go": pace} in steps a second, null for as fast as
it can; {"step": count}; {"pause": true}; {"at": step} for the weights of an earlier step.  The process ends when stdin
does, whatever it is doing: it never outlives the one who started it.

Messages are pickled tuples, the first entry says which kind:
("ready", what is known of the run), ("steps", last step, losses, accuracies, weights, whether they are a snapshot),
("validation", step, loss, accuracy, images), ("epoch", number, images a second), ("state", "running" or "paused" or
"finished"), ("at", step, weights), ("note", words), ("failed", words).
"""

import json
import os
import pickle
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, TypeAlias

from numcnn.errors import DivergedError, NumcnnError
from numcnn.training.config import PRESETS, TrainConfig
from numcnn.training.monitor import Row
from numcnn.training.session import Options, new_session
from numcnn.training.stepwise import Listener, StepwiseRun

Message: TypeAlias = tuple[Any, ...]
REPORT_SECONDS = 0.15  # longest time between reports of a run that goes at full speed
MOST_PACE = 200.0  # steps a second


class Commands:
    """The commands that came in and are not yet carried out, read on a thread of its own."""

    def __init__(self, source: BinaryIO, at_end: Callable[[], object]) -> None:
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(source, at_end), daemon=True).start()

    @property
    def waiting(self) -> bool:
        """Whether there is a command."""
        return not self._queue.empty()

    def take(self, timeout: float | None) -> dict[str, Any]:
        """Return the next command; {} if there is none within ``timeout`` seconds (None: wait for ever)."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return {}

    def _read(self, source: BinaryIO, at_end: Callable[[], object]) -> None:
        try:
            for line in source:
                self._queue.put(json.loads(line))
        finally:  # also when the last line is torn
            at_end()


class Sender:
    """Writes messages on a thread of its own, so that training never waits for the one who reads them."""

    def __init__(self, target: BinaryIO) -> None:
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._target = target
        threading.Thread(target=self._write, daemon=True).start()

    def send(self, *message: Any) -> None:
        """Send a message."""
        self._queue.put(message)

    def _write(self) -> None:
        try:
            while True:
                pickle.dump(self._queue.get(), self._target, protocol=pickle.HIGHEST_PROTOCOL)
                self._target.flush()
        except OSError:  # nobody reads any more; the end of stdin ends the process
            pass


class Reporter(Listener):
    """Reports the steps of a run, many at a time while it goes at full speed."""

    def __init__(self, sender: Sender, commands: Commands) -> None:
        self._sender, self._commands = sender, commands
        self._losses: list[float] = []
        self._accuracies: list[float] = []
        self._reported = 0.0
        self.run: StepwiseRun | None = None

    def on_step(self, step: int, loss: float, accuracy: float) -> None:
        """Note a step, and report it if it is time."""
        assert self.run is not None
        self._losses.append(loss)
        self._accuracies.append(accuracy)
        late = time.perf_counter() - self._reported > REPORT_SECONDS
        if late or self.run.plan.takes_snapshot(step):
            self.report(step)

    def on_validation(self, step: int, loss: float, accuracy: float, images: int) -> None:
        """Report a validation."""
        self._sender.send("validation", step, loss, accuracy, images)

    def on_epoch(self, row: Row) -> None:
        """Report the end of an epoch."""
        self._sender.send("epoch", row["epoch"], row["images_per_second"])

    def wants_stop(self) -> bool:
        """Return whether there is a command."""
        return self._commands.waiting

    def report(self, step: int) -> None:
        """Report the steps since the last report, with the weights as they are now."""
        assert self.run is not None
        kept = self.run.plan.takes_snapshot(step) or step == self.run.steps or self.run.finished
        self._sender.send("steps", step, self._losses, self._accuracies, self.run.network.params.copy(), kept)
        self._losses, self._accuracies, self._reported = [], [], time.perf_counter()


class Server:
    """Carries out commands, one after the other."""

    def __init__(self, run: StepwiseRun, commands: Commands, sender: Sender, reporter: Reporter) -> None:
        self._run, self._commands, self._sender, self._reporter = run, commands, sender, reporter
        self._pace: float | None = 0.0  # steps a second; 0: paused, None: as fast as it can
        self._failed = False  # whether the run can't go on; its steps can still be looked at
        self._shown = ""  # the state that was sent last

    def serve(self) -> None:
        """Carry out commands for ever: the end of stdin ends the process."""
        self._reporter.report(0)
        due = 0.0
        while True:
            busy = self._pace != 0 and not self._run.finished and not self._failed
            if not self._failed:
                self._tell("finished" if self._run.finished else "running" if busy else "paused")
            timeout = max(0.0, due - time.perf_counter()) if busy else None
            self._carry_out(self._commands.take(timeout))
            if self._pace != 0 and not self._commands.waiting and time.perf_counter() >= due:
                self._advance(None if self._pace is None else 1)
                due = time.perf_counter() + (1 / self._pace if self._pace else 0.0)

    def _carry_out(self, command: dict[str, Any]) -> None:
        if "go" in command:
            pace = command["go"]
            self._pace = None if pace is None else min(max(float(pace), 0.1), MOST_PACE)
        elif "pause" in command:
            self._pace = 0.0
        elif "step" in command:
            self._pace = 0.0
            self._advance(int(command["step"]))
        elif "at" in command:
            step = min(int(command["at"]), self._run.step)
            self._sender.send("at", step, self._run.params_at(step))

    def _advance(self, steps: int | None) -> None:
        run, before = self._run, self._run.step
        if self._failed:
            return
        if steps is None and not run.finished:
            self._tell("running")
        try:
            run.advance(steps)
            if run.step == run.steps and not run.finished:
                run.advance(0)  # the last step is done: only its epoch's validation is left
        except DivergedError as error:
            self._failed = True
            self._sender.send("failed", str(error))
        if run.step > before:
            self._reporter.report(run.step)

    def _tell(self, state: str) -> None:
        if state != self._shown:
            self._shown = state
            self._sender.send("state", state)


def main(settings: dict[str, Any], source: BinaryIO, target: BinaryIO) -> None:
    """Start the run, and serve until stdin ends.  What goes wrong is sent as ("failed", words)."""
    sender = Sender(target)
    commands = Commands(source, at_end=lambda: os._exit(0))
    try:
        _serve(dict(settings), commands, sender)
    except NumcnnError as error:
        sender.send("failed", str(error))
    except Exception as error:  # the pad shows it; a process that just ended would leave it without a reason
        sender.send("failed", f"training failed: {type(error).__name__}: {error}")
    while True:  # until stdin ends
        commands.take(None)


def _serve(settings: dict[str, Any], commands: Commands, sender: Sender) -> None:
    dataset, data_dir = settings.pop("dataset", "auto"), settings.pop("data_dir", None)
    preset = PRESETS[settings.pop("preset", "fast")]
    chosen: dict[str, Any] = {**preset, "val": None, **settings}
    config = TrainConfig(**chosen)
    options = Options(data_dir=data_dir, quiet=True, report=lambda line: sender.send("note", line))
    session = new_session(config, dataset, options)
    reporter = Reporter(sender, commands)
    run = StepwiseRun(session.run.network, config, session.train_set, session.validation_set, reporter)
    reporter.run = run
    known = {
        "dataset": session.dataset.name,
        "images": len(session.train_set),
        "validation": len(session.validation_set),
        "steps": run.steps,
        "per_epoch": run.per_epoch,
        "spacing": run.plan.spacing,
        "model": config.model,
        "normalisation": run.network.normalisation,
        "lr": config.peak_lr,
    }
    sender.send("ready", known)
    Server(run, commands, sender, reporter).serve()


if __name__ == "__main__":
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else is printed goes to stderr
    main(json.loads(sys.argv[1]), sys.stdin.buffer, stdout)
