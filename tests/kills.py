"""Kill trainings with SIGKILL at random points, resume them, and compare how they end.

    python tests/kills.py DATA FOLDER [COUNT] [SEED]

DATA: a data set in IDX form.  FOLDER: an empty one for the runs.  Every other kill comes at a random time; the others
come right before or after a random operation on a file.  A run is killed up to three times.  Each must end with the
same weights, state and log as one that was never killed, and with no file more.
"""

import contextlib
import csv
import io
import os
import random
import signal
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from conftest import small_canonical_layers
from matplotlib.figure import Figure

from numcnn.cli import main
from numcnn.nn.models import MODELS
from numcnn.training import run_folder

SETTINGS = ["--epochs", "3", "--limit", "150", "--val", "30", "--batch-size", "20", "--threads", "1"]
SETTINGS += ["--dropout", "0.1", "--augment", "0.3", "--average", "0.9", "--clip", "1", "--watch-gradients", "--quiet"]
OPERATIONS = ((os, "replace"), (os, "fsync"), (os, "chmod"), (os, "mkdir"), (os, "unlink"), (tempfile, "mkstemp"))
FILES = ["best.npz", "curves.png", "gradients.png", "last.npz", "log.csv", "run.json"]


def start(arguments, die_at=None):
    """Run a command of numcnn in a forked process; die_at: the number of the file operation that it dies at."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        if die_at is not None:
            die(die_at)
        code = train(arguments)
    finally:
        os._exit(code)


def train(arguments):
    """Run a command of numcnn that saves very often and draws next to nothing, which would take most of the time."""
    run_folder.SAVE_SECONDS, run_folder.MOST_COST = 0.005, 1.0
    run_folder.plots.learning_curves = run_folder.plots.gradient_watch = lambda rows, title: Figure(figsize=(1, 1))
    return main(arguments)


def die(at):
    """Let the process die before its file operation number ``at // 2``, or after it if ``at`` is odd."""
    left = at // 2

    def dying(operation):
        def operate(*arguments, **keywords):
            nonlocal left
            left -= 1
            if left < 0 and not at % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            result = operation(*arguments, **keywords)
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return operate

    for module, name in OPERATIONS:
        setattr(module, name, dying(getattr(module, name)))


def command(out, data, backend):
    """Return the arguments that start the run, or go on with it."""
    if (out / "last.npz").exists():
        return ["train", "--resume", str(out), "--quiet"]
    return ["train", "--dataset", str(data), "--out", str(out), "--backend", backend, *SETTINGS]


def end_of(out):
    """Return what must be equal at the end: the bytes of the weights and of the moments, the state, the log."""
    with zipfile.ZipFile(out / "last.npz") as archive:
        arrays = {name: archive.read(name) for name in archive.namelist() if name != "meta.json"}
    state = vars(run_folder.load_run(out).state)
    with open(out / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in [*rows, *state["history"]]:
        del row["seconds"], row["images_per_second"]
    return {"best": (out / "best.npz").read_bytes(), "arrays": arrays, "state": state, "log": rows}


def check(out, whole):
    """Raise AssertionError unless a run ended as the whole one did."""
    found = end_of(out)
    for key, value in whole.items():
        assert found[key] == value, f"{out}: {key} differs"
    assert sorted(os.listdir(out)) == FILES, f"{out} holds {os.listdir(out)}"


def kill_one(out, data, backend, seconds, chance):
    """Start a run, kill it up to three times, let it end.  Return how many of the kills found it alive."""
    kills = 0
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.5:
            pid = start(command(out, data, backend), die_at=chance.randrange(2 * 80))
        else:
            pid = start(command(out, data, backend))
            time.sleep(chance.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, -signal.SIGKILL), f"{out}: exit code {code}"
        kills += code != 0
        if (out / "last.npz").exists():
            run_folder.load_run(out)
    pid = start(command(out, data, backend))
    assert os.waitpid(pid, 0)[1] == 0, f"{out} doesn't go on"
    return kills


def run(data, folder, count, seed=0, backend="fast"):
    """Kill ``count`` times; return in how many runs."""
    MODELS["canonical"] = small_canonical_layers
    chance, kills, runs = random.Random(seed), 0, 0
    with contextlib.redirect_stdout(io.StringIO()):
        assert train(command(folder / "warm", data, backend)) == 0  # here, so that all is loaded before forking
    whole = folder / "whole"
    begun = time.perf_counter()
    assert os.waitpid(start(command(whole, data, backend)), 0)[1] == 0
    seconds = time.perf_counter() - begun
    expected = end_of(whole)
    while kills < count:
        out = folder / f"run-{runs}"
        kills += kill_one(out, data, backend, seconds, chance)
        check(out, expected)
        runs += 1
    return kills, runs


if __name__ == "__main__":
    data, folder, *numbers = sys.argv[1:]
    count, seed = (*map(int, numbers), *(200, 0)[len(numbers) :])[:2]
    backend = os.environ.get("NUMCNN_BACKEND", "fast")
    killed, runs = run(Path(data), Path(folder), count, seed, backend)
    print(f"{killed} kills in {runs} runs: all ended with the same bytes")
