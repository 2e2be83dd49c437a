"""A run in steps: the same bytes as an uninterrupted one, at every step, and a process that ends with its user."""

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import BACKEND, draw_digits, write_digits
from processes import PATIENCE_SECONDS, ROOT, wait_for

from numcnn import Conv2D, Dense, DivergedError, Dropout, Flatten, MaxPool2D, Network, ReLU
from numcnn.data.batches import Examples
from numcnn.errors import ConfigError
from numcnn.training import stepwise, stepwise_process
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.monitor import Monitor
from numcnn.training.stepwise import BUDGET, FIRST, SPACING, Listener, Plan, StepwiseRun, bytes_of, plan

pytestmark = pytest.mark.once

CONFIG = TrainConfig(epochs=3, batch_size=16, lr=0.01, label_smoothing=0.05, backend=BACKEND, seed=3)


def small(seed=0):
    layers = [Conv2D(6, 5, stride=2), ReLU(), MaxPool2D(2), Flatten(), Dropout(0.1), Dense(10)]
    return Network(layers, seed=seed, normalisation=(0.13, 0.31), backend=BACKEND)


@pytest.fixture(scope="module")
def digits():
    images, labels = draw_digits(420, seed=5)
    return images, labels.astype(np.uint8)


def examples(digits):
    images, labels = digits
    return Examples(images, labels, np.arange(360)), Examples(images, labels, np.arange(360, 420))


class Ears(Listener):
    """Keeps what it hears."""

    def __init__(self):
        self.steps, self.validations, self.stop_at = [], [], None

    def on_step(self, step, loss, accuracy):
        self.steps.append((step, loss, accuracy))

    def on_validation(self, step, loss, accuracy, images):
        self.validations.append((step, loss, accuracy, images))

    def wants_stop(self):
        return self.stop_at is not None and self.steps[-1][0] >= self.stop_at


class EveryStep(Monitor):
    """Keeps a network's weights after each step."""

    def __init__(self, network):
        self.network, self.params = network, [network.params.copy()]

    def on_batch(self, state, images, loss, accuracy):
        self.params.append(self.network.params.copy())


@pytest.fixture(scope="module")
def uninterrupted(digits):
    """Return the weights after each step of the plain training loop, and its rows."""
    network = small()
    monitor = EveryStep(network)
    state = fit(network, *examples(digits), CONFIG, monitor=monitor)
    return monitor.params, state.history


def new_run(digits, config=CONFIG):
    ears = Ears()
    return StepwiseRun(small(), config, *examples(digits), ears), ears


def test_steps_in_any_portions_give_the_bytes_of_one_run(digits, uninterrupted):
    run, ears = new_run(digits)
    assert (run.per_epoch, run.steps, run.step) == (23, 69, 0)
    run.advance(1)
    run.advance(2)
    assert run.step == 3
    ears.stop_at = 30
    run.advance()
    assert run.step == 30 and not run.finished
    ears.stop_at = None
    run.advance()
    assert run.finished and run.step == 69
    params, history = uninterrupted
    assert run.network.params.tobytes() == params[-1].tobytes()
    assert [step for step, _, _ in ears.steps] == list(range(1, 70))
    losses = np.array([loss for _, loss, _ in ears.steps])
    sizes = np.tile([16] * 22 + [8], 3)
    for epoch, row in enumerate(history):
        part = slice(23 * epoch, 23 * epoch + 23)
        assert np.average(losses[part], weights=sizes[part]) == pytest.approx(row["train_loss"])
    ends = [found for found in ears.validations if found[0] in (23, 46, 69)]
    assert ends == [(23 * row["epoch"], row["val_loss"], row["val_accuracy"], 60) for row in history]


def test_the_weights_of_every_step_can_be_had_again_to_the_last_bit(digits, uninterrupted, monkeypatch):
    monkeypatch.setattr(stepwise, "SPACING", 4)
    run, _ = new_run(digits)
    assert run.params_at(0).tobytes() == uninterrupted[0][0].tobytes()
    run.advance()
    assert run.plan == Plan(4, 20)
    for step in (69, 0, 7, 8, 5, 19, 20, 21, 23, 24, 46, 60, 33, 34):  # also back, and over the ends of epochs
        assert run.params_at(step).tobytes() == uninterrupted[0][step].tobytes(), step
    with pytest.raises(ConfigError, match="69 steps"):
        run.params_at(70)


def test_looking_back_changes_nothing_of_the_run(digits, uninterrupted):
    run, _ = new_run(digits)
    run.advance(40)
    run.params_at(37)
    run.advance()
    assert run.network.params.tobytes() == uninterrupted[0][-1].tobytes()


def test_sgd_and_its_momentum_are_recomputed_too(digits):
    config = TrainConfig(epochs=1, batch_size=16, optimizer="sgd", backend=BACKEND)
    run, _ = new_run(digits, config)
    run.advance(9)
    (at_9,) = {run.network.params.tobytes()}
    run.advance()
    assert run.params_at(9).tobytes() == at_9


def test_a_run_that_diverges_says_so_and_its_steps_stay(digits):
    run, ears = new_run(digits, TrainConfig(epochs=3, batch_size=16, lr=1e12, optimizer="sgd", backend=BACKEND))
    with pytest.raises(DivergedError):
        run.advance()
    assert ears.steps and np.isfinite(run.params_at(1)).all()


@pytest.mark.parametrize("batch_size", [16, 32, 64, 128, 256, 512])
def test_what_is_recorded_fits_the_budget(batch_size):
    steps, size = 3 * -(-55_000 // batch_size), 4 * 225_034
    chosen = plan(steps, size, 2)
    taken = [step for step in range(steps + 1) if chosen.takes_snapshot(step)]
    assert size * (len(taken) + 1 + 3 * len(range(0, steps + 1, chosen.full))) <= bytes_of(chosen, steps, size, 2)
    assert bytes_of(chosen, steps, size, 2) <= BUDGET
    assert set(range(FIRST + 1)) <= set(taken) and chosen.full % chosen.spacing == 0
    assert batch_size < 64 or chosen.spacing == SPACING == 20


def test_a_network_too_large_to_record_is_refused():
    with pytest.raises(ConfigError, match="too large"):
        plan(1000, BUDGET // 4, 2)


# The process


class Process:
    """The real one."""

    def __init__(self, **settings):
        settings = {"epochs": 1, "batch_size": 8, "limit": 150, "backend": BACKEND, **settings}
        self.child = subprocess.Popen(
            [sys.executable, "-m", "numcnn.training.stepwise_process", json.dumps(settings)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.watchdog = threading.Timer(PATIENCE_SECONDS, self.child.kill)  # so that no read waits for ever
        self.watchdog.daemon = True
        self.watchdog.start()

    def command(self, **command):
        self.child.stdin.write(json.dumps(command).encode() + b"\n")
        self.child.stdin.flush()

    def until(self, kind, *start):
        """Return all messages up to the first of this kind, which begins with ``start``."""
        seen = []
        while not seen or seen[-1][: 1 + len(start)] != (kind, *start):
            seen.append(pickle.load(self.child.stdout))
        return seen


@pytest.fixture
def process(tmp_path):
    processes, folder = [], str(write_digits(tmp_path / "own"))

    def started(**settings):
        processes.append(Process(dataset=folder, **settings))
        return processes[-1]

    yield started
    for one in processes:
        one.watchdog.cancel()
        one.child.kill()
        one.child.wait()
        for stream in (one.child.stdin, one.child.stdout):
            with contextlib.suppress(OSError):
                stream.close()


def test_the_process_trains_pauses_steps_and_looks_back(process):
    one = process()
    ready = one.until("ready")[-1][1]
    assert (ready["dataset"], ready["steps"], ready["spacing"]) == ("own", 18, 20)
    assert one.until("steps")[-1][1:4] == (0, [], [])
    one.until("state", "paused")
    one.command(step=2)
    done = one.until("steps", 2)
    assert [message[0] for message in done] == ["validation", "steps", "steps"]  # at step 0; steps 1 and 2
    one.command(go=None)
    everything = done + one.until("state", "finished")
    steps = [message for message in everything if message[0] == "steps"]
    assert sum(len(losses) for _, _, losses, _, _, _ in steps) == 18
    kept = {step: params for _, step, _, _, params, keep in steps if keep}
    assert set(kept) == {*range(1, 11), 18}
    for step in (18, 5):
        one.command(at=step)
        assert one.until("at")[-1][2].tobytes() == kept[step].tobytes()


def test_a_pace_leaves_time_between_steps_and_pause_stops_it(process):
    one = process(epochs=1000)
    one.command(go=100)
    seen = one.until("steps", 3)
    one.command(pause=True)
    seen += one.until("state", "paused")
    steps = [message[1] for message in seen if message[0] == "steps"]
    assert sorted(set(steps)) == list(range(steps[-1] + 1))  # each is reported: none hurries
    one.command(step=1)
    assert one.until("steps")[-1][1] == steps[-1] + 1  # none was taken after the pause


def test_a_run_that_patience_ends_is_finished_and_says_so_once(process):
    one = process(epochs=1000, lr=1e-9, patience=1, keep="best", limit=60, val=30)
    one.command(go=None)
    one.until("state", "finished")
    one.command(go=None)
    one.command(at=0)
    assert [message[0] for message in one.until("at")] == ["at"]
    one.command(pause=True)
    one.command(at=1)
    assert [message[0] for message in one.until("at")] == ["at"]


@pytest.mark.parametrize(("busy", "torn"), [(False, b""), (True, b""), (True, b'{"go"')])
def test_the_process_ends_with_its_stdin(process, busy, torn):
    """Also in the middle of a step, and of a command."""
    one = process(epochs=1000)
    one.until("ready")
    if busy:
        one.command(go=None)
        one.until("steps", 2)
    one.child.stdin.write(torn)
    one.child.stdin.close()
    wait_for(lambda: one.child.poll() is not None, "the process to end")
    assert one.child.returncode == 0


def test_the_process_says_what_is_wrong(process):
    one = process(lr=-1.0)
    assert "`lr`" in one.until("failed")[-1][1]
    one = process(lr=1e12, optimizer="sgd", epochs=20)
    one.command(go=None)
    assert "try a smaller `lr`" in one.until("failed")[-1][1]
    assert one.until("steps")[-1][1] >= 1
    one.command(at=1)  # its steps can still be looked at
    assert np.isfinite(one.until("at", 1)[-1][2]).all()


def test_the_server_of_commands_in_this_process(digits):
    """As in a process of its own, but here, where coverage sees it: steps, a pace, an earlier step, to the end."""
    (commands, to_server), (from_server, messages) = os.pipe(), os.pipe()
    with (
        os.fdopen(commands, "rb") as source,
        os.fdopen(to_server, "wb", buffering=0) as orders,
        os.fdopen(from_server, "rb") as answers,
        os.fdopen(messages, "wb") as target,
    ):
        ended = threading.Event()
        incoming, sender = stepwise_process.Commands(source, ended.set), stepwise_process.Sender(target)
        reporter = stepwise_process.Reporter(sender, incoming)
        run = reporter.run = StepwiseRun(small(), CONFIG, *examples(digits), reporter)

        def serve():
            try:
                stepwise_process.Server(run, incoming, sender, reporter).serve()
            except TypeError as error:  # by which the last order ends it
                sender.send("ended", str(error))

        server = threading.Thread(target=serve, daemon=True)  # so that a failure here doesn't wait for it
        server.start()
        watchdog = threading.Timer(PATIENCE_SECONDS, sender.send, ["ended", "the test waited too long"])
        watchdog.daemon = True
        watchdog.start()

        def order(until, **command):
            orders.write(json.dumps(command).encode() + b"\n")
            seen = [pickle.load(answers)]
            while not until(seen[-1]):
                assert seen[-1][0] != "ended", seen[-1]
                seen.append(pickle.load(answers))
            return seen

        steps = order(lambda message: message[:2] == ("steps", 3), step=3)
        assert steps[0][:2] == ("steps", 0) and ("state", "paused") in steps
        (earlier,) = (message for message in order(lambda message: message[0] == "at", at=2) if message[0] == "at")
        assert earlier[1] == 2 and np.array_equal(earlier[2], run.params_at(2))
        order(lambda message: message[0] == "steps" and message[1] > 3, go=1)
        order(lambda message: message == ("state", "paused"), pause=True)
        everything = order(lambda message: message == ("state", "finished"), go=None)
        assert {message[0] for message in everything} >= {"steps", "validation", "epoch", "state"}
        *_, (_, why) = order(lambda message: message[0] == "ended", at=None)
        watchdog.cancel()
        assert "NoneType" in why and run.finished
        orders.close()
        assert ended.wait(PATIENCE_SECONDS)
