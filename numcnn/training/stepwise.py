"""A training run in steps: it can pause, go on, and give back the weights of any of its earlier steps, byte for byte.

It drives the one training loop, ``loop.fit``, as a run does that was stopped and resumed.  From time to time it keeps
all that resuming needs, a `Moment`; the weights of a step in between are those of the moment before, trained again.
"""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

from numcnn.data.batches import Examples
from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Floats, Ints
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.monitor import Monitor, Row, TrainState, state_from_json, state_to_json
from numcnn.training.optim import Optimizer, make_optimizer

SPACING = 20  # steps from one snapshot to the next, and every step of the first few, where most happens
FIRST = 10
MOMENTS = (5, 10, 20)  # snapshots from one moment to the next: the fewest for which there is room
BUDGET = 150_000_000  # bytes of all snapshots and moments together
VALIDATED = (0, 10, 20, 30, 50, 70)  # steps with a short validation, and every hundredth
VALIDATE_EVERY, VALIDATION_IMAGES = 100, 1000


class Plan(NamedTuple):
    """What a run records: a snapshot of its weights every ``spacing`` steps, a moment every ``full`` steps."""

    spacing: int
    full: int

    def takes_snapshot(self, step: int) -> bool:
        """Return whether the weights after so many steps are kept."""
        return step <= FIRST or step % self.spacing == 0


def plan(steps: int, size: int, moments: int) -> Plan:
    """Return the closest spacing for which all snapshots and moments of a run take at most BUDGET bytes.

    steps: of the whole run; size: bytes of the weights; moments: how many arrays of that size the optimiser keeps.
    """
    spacing = SPACING
    while True:
        for full in (spacing * every for every in MOMENTS):
            if bytes_of(Plan(spacing, full), steps, size, moments) <= BUDGET:
                return Plan(spacing, full)
        if spacing > steps:
            raise ConfigError(f"a network of {size / 1e6:,.0f} MB is too large to keep its steps; choose a smaller one")
        spacing *= 2


def bytes_of(chosen: Plan, steps: int, size: int, moments: int) -> int:
    """Return the bytes that all snapshots and moments of a run of so many steps take at most."""
    snapshots = steps // chosen.spacing + FIRST + 2  # with the first and the last step
    return size * (snapshots + (steps // chosen.full + 1) * (1 + moments))


@dataclass(frozen=True, eq=False)
class Moment:
    """All that going on from a step needs: weights (P,), state (S,), the optimiser's arrays, and how far the run is."""

    params: Floats
    state: Floats
    moments: dict[str, Floats]
    progress: dict[str, Any]  # of ``monitor.state_to_json``


class Listener:
    """Receives what a `StepwiseRun` does, step by step.  Override the methods you need; these do nothing."""

    def on_step(self, step: int, loss: float, accuracy: float) -> None:
        """Called after each step, with the mean loss and the accuracy (0..1) of its batch."""

    def on_validation(self, step: int, loss: float, accuracy: float, images: int) -> None:
        """Called after a validation.  images: on how many; at the end of an epoch on the whole validation set."""

    def on_epoch(self, row: Row) -> None:
        """Called at the end of each epoch with its row of ``TrainState.history``."""

    def wants_stop(self) -> bool:
        """Return whether to stop after the step just done."""
        return False


class StepwiseRun:
    """A run of ``network`` with ``config``: `advance` it, and ask for the weights of any step so far with `params_at`.

    Attributes: per_epoch and steps (of an epoch, of the whole run), plan (what is recorded), finished (whether the last
    epoch is done and validated, or ``patience`` has ended the run).
    """

    def __init__(
        self, network: Network, config: TrainConfig, train: Examples, validation: Examples, listener: Listener
    ) -> None:
        """Take a new network, what it learns from, and what it is judged by.  Raises ConfigError for a huge one."""
        self.network, self.config, self._train, self._listener = network, config, train, listener
        self._validation = validation if len(validation) else None
        self.per_epoch = -(-len(train) // config.batch_size)
        self.steps = self.per_epoch * config.epochs
        self._state, self._optimizer = TrainState(), make_optimizer(network, config)
        self.plan = plan(self.steps, network.params.nbytes, len(self._optimizer.moments))
        self.finished = False
        self._moments: dict[int, Moment] = {}
        self._replay: _Replay | None = None

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self._state.epoch * self.per_epoch + self._state.batch

    def advance(self, steps: int | None = None) -> None:
        """Take so many steps; None: go on until the end, or until the listener wants to stop.

        Raises DivergedError when the run can't recover.
        """
        if not self._moments:
            self._moments[0] = self._moment()
            self._validate(0)
        if not self.finished:
            monitor = _Recorder(self, steps)
            train, held_out, config = self._train, self._validation, self.config
            fit(self.network, train, held_out, config, monitor=monitor, state=self._state, optimizer=self._optimizer)
            self.finished = not self._state.interrupted

    def params_at(self, step: int) -> Floats:
        """Return the weights (P,) after so many steps, exactly as they were.  Raises ConfigError for a later step."""
        if not 0 <= step <= self.step:
            raise ConfigError(f"the run has done {self.step} steps; it has no weights of step {step}")
        if not self._moments:
            return self.network.params.copy()
        start = max(at for at in self._moments if at <= step)
        replay = self._replay
        if replay is None or not start <= replay.step <= step:
            self._replay = replay = _Replay(self, start, self._moments[start])
        if step > replay.step:
            replay.go_to(step, self._train)
        return replay.network.params.copy()

    def done(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """Record the step that has just been done; see ``Monitor.on_batch``.  loss, accuracy: of its batch."""
        step = state.epoch * self.per_epoch + state.batch
        self._listener.on_step(step, loss, accuracy)
        if step % self.plan.full == 0:
            self._moments[step] = self._moment()
        if step in VALIDATED or step % VALIDATE_EVERY == 0:
            self._validate(step)

    def ended_epoch(self, row: Row) -> None:
        """Report the end of an epoch, the row of ``TrainState.history``, and its validation."""
        self._listener.on_epoch(row)
        if self._validation and row["val_loss"] is not None:
            step = row["epoch"] * self.per_epoch
            self._listener.on_validation(step, row["val_loss"], row["val_accuracy"], len(self._validation))

    def wants_stop(self) -> bool:
        """Return whether the listener wants to stop."""
        return self._listener.wants_stop()

    def _moment(self) -> Moment:
        network = self.network
        moments = {name: array.copy() for name, array in self._optimizer.moments.items()}
        progress = copy.deepcopy(state_to_json(self._state, network))
        return Moment(network.params.copy(), network.state.copy(), moments, progress)

    def _validate(self, step: int) -> None:
        """Report the loss and accuracy on some images of the validation set."""
        if self._validation:
            rows: Ints = self._validation.index[:VALIDATION_IMAGES]
            found = self.network.evaluate(self._validation.images[rows], self._validation.labels[rows])
            self._listener.on_validation(step, found.loss, found.accuracy, len(rows))


class _Recorder(Monitor):
    """Hands each step of the loop to a run, and stops after some."""

    def __init__(self, run: StepwiseRun, steps: int | None) -> None:
        self._run, self._left = run, steps
        self._loss_sum = self._correct = self._labelled = 0.0

    def on_start(self, network: Network, state: TrainState, images_per_epoch: int) -> None:
        """Note where in its epoch the run is."""
        self._note(state)

    def on_batch(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """Record a step.  The state sums over an epoch: the batch's own figures are the differences."""
        if state.batch == 1:
            self._loss_sum = self._correct = self._labelled = 0.0
        correct, labelled = state.correct - self._correct, max(1, state.labelled - self._labelled)
        self._run.done(state, images, (state.loss_sum - self._loss_sum) / images, correct / labelled)
        self._note(state)
        if self._left is not None:
            self._left -= 1

    def on_epoch(self, network: Network, optimizer: Optimizer, state: TrainState, best: bool) -> None:
        """Report the end of an epoch."""
        self._run.ended_epoch(state.history[-1])

    def should_stop(self) -> bool:
        """Return whether the steps asked for are done."""
        return self._left == 0 or self._run.wants_stop()

    def _note(self, state: TrainState) -> None:
        self._loss_sum, self._correct, self._labelled = state.loss_sum, state.correct, state.labelled


class _Replay:
    """A copy of a run's network that goes again from a moment to later steps."""

    def __init__(self, run: StepwiseRun, step: int, moment: Moment) -> None:
        self.step, self.network, self._config = step, run.network.copy(), run.config
        self.network.params[...], self.network.state[...] = moment.params, moment.state
        self._state = state_from_json(copy.deepcopy(moment.progress), self.network)
        self._optimizer = make_optimizer(self.network, run.config, moment.moments)

    def go_to(self, step: int, train: Examples) -> None:
        """Train until so many steps are done, without validation, which changes no weights."""
        monitor = _Until(step - self.step)
        fit(self.network, train, None, self._config, monitor=monitor, state=self._state, optimizer=self._optimizer)
        self.step = step


class _Until(Monitor):
    """Stops after some steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def on_batch(self, state: TrainState, images: int, loss: float, accuracy: float) -> None:
        """Count a step."""
        self._left -= 1

    def should_stop(self) -> bool:
        """Return whether all are done."""
        return self._left <= 0
