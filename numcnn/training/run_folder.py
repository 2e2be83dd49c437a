"""A training run's folder, its progress on the terminal, and how to go on with a run that was stopped.

runs/mnist-canonical-1/
  best.npz    the weights that did best on validation
  last.npz    the latest weights, with all that going on needs
  log.csv     a row an epoch
  run.json    the run card: settings, versions, data, result
  curves.png  loss and accuracy over the epochs; gradients.png too if they were watched
"""

import csv
import io
import json
import math
import os
import platform
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from numcnn import data
from numcnn.errors import CheckpointError, ConfigError
from numcnn.files import atomic_write
from numcnn.nn import checkpoint
from numcnn.nn.network import Network, load
from numcnn.training.config import TrainConfig
from numcnn.training.loop import moments_of
from numcnn.training.monitor import Monitor, TrainState, state_from_json, state_to_json

# The bar, within 80 columns, its postfix included.
BAR = "{desc} {percentage:3.0f}%|{bar:10}| {rate_fmt}, {remaining} left{postfix}"

# What marks an array of last.npz as the optimiser's.
MOMENT = "optimizer."


class Progress(Monitor):
    """A bar on a terminal, one line an epoch elsewhere, all on stderr; nothing when ``quiet``."""

    def __init__(self, config, quiet=False):
        self.config, self.quiet = config, quiet
        self.stop_signal = None  # the number of the signal that asked to stop
        self._bar = None

    def on_start(self, network, state, images_per_epoch):
        """Open the bar, at the place where a resumed run is."""
        if self.quiet:
            return
        from tqdm import tqdm

        # disable=None: no bar where stderr isn't a terminal.
        self._bar = tqdm(
            total=self.config.epochs * images_per_epoch,
            initial=state.epoch * images_per_epoch + state.seen,
            unit="img",
            unit_scale=True,
            disable=None,
            leave=False,
            bar_format=BAR,
        )

    def on_batch(self, state, images, loss, accuracy):
        """Move the bar."""
        if self._bar is not None and not self._bar.disable:
            self._bar.set_description(f"epoch {state.epoch + 1}/{self.config.epochs}", refresh=False)
            self._bar.set_postfix_str(f"loss {loss:.4f} acc {accuracy:.2%}", refresh=False)
            self._bar.update(images)

    def on_epoch(self, network, optimizer, state, best):
        """Write the epoch's line."""
        row = state.history[-1]
        validation = ""
        if row["val_accuracy"] is not None:
            mark = " *" if best else ""
            validation = f"  validation {row['val_accuracy']:.2%}{mark}"
        self.say(
            f"epoch {row['epoch']:>2}/{self.config.epochs}  loss {row['train_loss']:.4f} "
            f"accuracy {row['train_accuracy']:.2%}{validation}  {row['images_per_second']:,.0f} img/s"
        )

    def say(self, line):
        """Write a line on stderr, above the bar."""
        if self.quiet:
            return
        if self._bar is not None and not self._bar.disable:
            self._bar.write(line, file=sys.stderr)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self):
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def should_stop(self):
        """Say whether a signal asked to stop."""
        return self.stop_signal is not None


class RunFolder(Progress):
    """The monitor that also writes the run's files, each of them whole or not at all."""

    def __init__(
        self, folder, config, info, *, dataset_argument, watch_gradients=False, quiet=False, earlier_seconds=0.0
    ):
        """info: what the weights files say of how they were made.  dataset_argument: what --resume gets the data by.

        earlier_seconds: what has been spent on the run before this object was made.
        """
        super().__init__(config, quiet)
        self.folder, self.info, self.watch_gradients = Path(folder), info, watch_gradients
        self._dataset_argument = dataset_argument
        self.began = time.perf_counter() - earlier_seconds
        self.best, self.last = self.folder / "best.npz", self.folder / "last.npz"

    def on_kept(self, network, state):
        """Write best.npz."""
        self.save_best(network, result_of(state.history[-1]))

    def on_epoch(self, network, optimizer, state, best):
        """Write last.npz and log.csv."""
        self._save_last(network, optimizer, state)
        self._write_log(state.history)
        super().on_epoch(network, optimizer, state, best)  # the line also says: it is saved

    def on_interrupt(self, network, optimizer, state):
        """Write last.npz, from which the run can go on."""
        self._save_last(network, optimizer, state)

    def discard_useless_best(self):
        """Delete best.npz of a run that diverged, if its loss is that of guessing or worse."""
        if self.best.is_file():
            network = load(self.best)
            result = network.info["result"]
            loss = result["train_loss"] if result["val_loss"] is None else result["val_loss"]
            if loss >= math.log(network.output_shape[0]):
                self.best.unlink()

    def save_best(self, network, result):
        """Write best.npz with its result in it."""
        network.info = {**self.info, "result": result}
        network.save(self.best)

    def _save_last(self, network, optimizer, state):
        result = result_of(state.history[-1]) if state.history else {}
        resume = {
            **state_to_json(state, network),
            "dataset_argument": self._dataset_argument,
            "watch_gradients": self.watch_gradients,
            "seconds": time.perf_counter() - self.began,
        }
        network.info = {**self.info, "result": result, "resume": resume}
        network.save(self.last, {MOMENT + name: values for name, values in optimizer.moments.items()})

    def _write_log(self, rows):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*rows[0], "dataset"], restval="")
        writer.writeheader()
        writer.writerows({**row, "dataset": self.info["dataset"]} for row in rows)
        self._write("log.csv", text.getvalue())

    def write_card(self, card):
        """Write run.json."""
        self._write("run.json", json.dumps(card, indent=1) + "\n")

    def _write(self, name, text):
        with atomic_write(self.folder / name) as file:
            file.write(text.encode())

    def draw(self, rows):
        """Draw curves.png, and gradients.png if gradients were watched."""
        from numcnn.evaluation import plots

        title = f"{self.config.model} network trained on {data.title_of(self.info['dataset'])}"
        figures = {"curves.png": plots.learning_curves(rows, title)}
        if self.watch_gradients:
            figures["gradients.png"] = plots.gradient_watch(rows, title)
        for name, figure in figures.items():
            plots.save(figure, self.folder / name)


def result_of(row):
    """Return what an epoch's row says of the weights; no times, so that equal runs write equal bytes."""
    return {key: row[key] for key in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")}


def new_folder(out, name):
    """Make and return the folder for a new run: ``out``, or the first free ``runs/NAME-1``, ``-2`` ... here.

    Raises ConfigError when ``out`` holds anything already: a run never overwrites another.
    """
    try:
        if out is None:
            return _first_free(Path("runs"), name)
        folder = check_out(out)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError as error:
        raise ConfigError(
            f"cannot make the folder {error.filename}: {error.strerror}; name another with --out"
        ) from error


def check_out(out):
    """Return ``out`` as a path if a run may begin there: nothing yet, or an empty folder.

    Raises ConfigError, also when nothing can be written there.
    """
    folder = Path(out)
    if folder.suffix == ".npz":
        raise ConfigError(f"--out {out} looks like a file; name a folder, and best.npz will be written into it")
    if folder.is_file():
        raise ConfigError(f"--out {out} is a file; name a folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        more = f", or go on with: --resume {out}" if (folder / "last.npz").is_file() else ""
        raise ConfigError(f"--out {out} exists and isn't empty; name another folder{more}")
    try:
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        os.rmdir(tempfile.mkdtemp(dir=nearest))  # permissions alone don't tell
    except OSError as error:
        raise ConfigError(f"cannot make the folder {out}: {error.strerror}; name another with --out") from error
    return folder


def _first_free(parent, name):
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()  # fails if it exists, so that two runs started together get two folders
            return folder
        except FileExistsError:
            number += 1


@dataclass
class EarlierRun:
    """A run that was stopped, and all that going on with it needs."""

    network: Network
    config: TrainConfig
    state: TrainState
    moments: dict
    info: dict
    dataset_argument: str
    watch_gradients: bool
    seconds: float
    card: dict | None  # the run card, if the run is finished


def load_run(folder):
    """Return the EarlierRun in ``folder``.

    Raises CheckpointError when there is no last.npz, or nothing in it to go on from.
    """
    path = Path(folder) / "last.npz"
    if not path.is_file():
        problem = "holds no last.npz" if path.parent.is_dir() else "is no folder"
        raise CheckpointError(f"{folder} {problem}; --resume wants the folder of a run that has saved something")
    network = load(path)
    try:
        info = {key: value for key, value in network.info.items() if key not in ("result", "resume")}
        resume = network.info["resume"]
        config = TrainConfig(**info["config"])
        with checkpoint.Checkpoint(path) as stored:
            moments = {name: stored.read(MOMENT + name, shape) for name, shape in moments_of(config, network).items()}
        network.backend, network.fuse = config.backend, config.fuse
        return EarlierRun(
            network=network,
            config=config,
            state=state_from_json(resume, network),
            moments=moments,
            info=info,
            dataset_argument=resume["dataset_argument"],
            watch_gradients=resume["watch_gradients"],
            seconds=float(resume["seconds"]),
            card=json.loads((path.parent / "run.json").read_text()) if (path.parent / "run.json").is_file() else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: it isn't the state of a run that can go on ({error!r})") from error


def versions():
    """Return the versions that a result depends on."""
    import numcnn

    found = {"numcnn": numcnn.__version__, "python": platform.python_version(), "numpy": np.__version__}
    if "numba" in sys.modules:
        found["numba"] = sys.modules["numba"].__version__
    return found
