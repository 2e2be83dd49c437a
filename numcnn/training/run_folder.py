"""The folder of a training run: its files, and how to load a run that was stopped.

runs/mnist-canonical-1/
  best.npz    the weights that were best on validation
  last.npz    the latest weights, with everything needed to resume
  log.csv     a row per epoch
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import numcnn
from numcnn import data
from numcnn.errors import CheckpointError, ConfigError
from numcnn.evaluation import plots
from numcnn.files import atomic_write, named_errors
from numcnn.kernels.arrays import Floats
from numcnn.nn import checkpoint
from numcnn.nn.network import Network, load
from numcnn.training.config import TrainConfig
from numcnn.training.monitor import Row, TrainState, state_from_json, state_to_json
from numcnn.training.optim import Optimizer, moments_of
from numcnn.training.progress import Progress

# A run card, or a weights file's record of its training, as JSON stores it.
Document: TypeAlias = dict[str, Any]

# The prefix of the optimiser's arrays in last.npz.
MOMENT = "optimizer."

NAME_ANOTHER = "name another with `out`"


@dataclass
class Run:
    """A training run: its network, its settings, its progress and what its files record."""

    network: Network
    config: TrainConfig
    info: Document  # what the weights files record about their training
    dataset_argument: str  # loads the run's data again, from any folder
    watch_gradients: bool = False
    state: TrainState = field(default_factory=TrainState)
    moments: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    seconds: float = 0.0  # spent on it before
    folder: Path | None = None  # a new run has none yet
    card: Document | None = None  # of a finished run


class RunFolder(Progress):
    """A progress display that also writes the run's files, each of them atomically."""

    def __init__(
        self,
        folder: str | Path,
        config: TrainConfig,
        info: Document,
        *,
        dataset_argument: str,
        watch_gradients: bool = False,
        quiet: bool = False,
        earlier_seconds: float = 0.0,
    ) -> None:
        """info, dataset_argument, watch_gradients: see ``Run``.  earlier_seconds: spent on the run so far."""
        super().__init__(config, quiet)
        self.folder, self.info, self.watch_gradients = Path(folder), info, watch_gradients
        self.stop_signal: int | None = None  # the number of the signal that asked to stop
        self._dataset_argument = dataset_argument
        self.began = time.perf_counter() - earlier_seconds
        self.best, self.last = self.folder / "best.npz", self.folder / "last.npz"

    def on_kept(self, network: Network, state: TrainState) -> None:
        """Write best.npz."""
        self.save_best(network, result_of(state.history[-1]))

    def on_epoch(self, network: Network, optimizer: Optimizer, state: TrainState, best: bool) -> None:
        """Write last.npz and log.csv."""
        self._save_last(network, optimizer, state)
        self._write_log(state.history)
        super().on_epoch(network, optimizer, state, best)  # after writing: the line means that the epoch is saved

    def on_interrupt(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Write last.npz, from which the run can resume."""
        self._save_last(network, optimizer, state)

    def should_stop(self) -> bool:
        """Return whether a signal asked to stop."""
        return self.stop_signal is not None

    def discard_useless_best(self) -> None:
        """Delete best.npz of a run that diverged if its loss is that of guessing or worse."""
        if self.best.is_file():
            network = load(self.best)
            result = network.info["result"]
            loss = result["train_loss"] if result["val_loss"] is None else result["val_loss"]
            if loss >= math.log(network.output_shape[0]):
                self.best.unlink()

    def save_best(self, network: Network, result: Document) -> None:
        """Write best.npz with its result in it."""
        network.info = {**self.info, "result": result}
        network.save(self.best)

    def _save_last(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        result = result_of(state.history[-1]) if state.history else {}
        resume = {
            **state_to_json(state, network),
            "dataset_argument": self._dataset_argument,
            "watch_gradients": self.watch_gradients,
            "seconds": time.perf_counter() - self.began,
        }
        network.info = {**self.info, "result": result, "resume": resume}
        network.save(self.last, {MOMENT + name: values for name, values in optimizer.moments.items()})

    def _write_log(self, rows: Sequence[Row]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [*rows[0], "dataset"], restval="")
        writer.writeheader()
        writer.writerows({**row, "dataset": self.info["dataset"]} for row in rows)
        self._write("log.csv", text.getvalue())

    def write_card(self, card: Document) -> None:
        """Write run.json."""
        self._write("run.json", json.dumps(card, indent=1) + "\n")

    def _write(self, name: str, text: str) -> None:
        with atomic_write(self.folder / name) as file:
            file.write(text.encode())

    def draw(self, rows: Sequence[Row]) -> None:
        """Draw curves.png, and gradients.png if gradients were watched."""
        title = f"{self.config.model} network trained on {data.title_of(self.info['dataset'])}"
        figures = {"curves.png": plots.learning_curves(rows, title)}
        if self.watch_gradients:
            figures["gradients.png"] = plots.gradient_watch(rows, title)
        for name, figure in figures.items():
            plots.save(figure, self.folder / name)


def result_of(row: Row) -> Document:
    """Return the results of an epoch's row, without times, so that equal runs write equal bytes."""
    return {key: row[key] for key in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")}


def new_folder(out: str | Path | None, name: str) -> Path:
    """Make and return the folder for a new run: ``out``, or the first free ``runs/NAME-1``, ``-2`` ... here.

    Raises ConfigError if ``out`` is not empty: a run never overwrites another.
    """
    with named_errors(out or "runs", NAME_ANOTHER, action="make the folder", error_class=ConfigError):
        if out is None:
            return _first_free(Path("runs"), name)
        folder = check_out(out)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def check_out(out: str | Path) -> Path:
    """Return ``out`` as a path if a run may start there: it is an empty folder or does not exist.

    Raises ConfigError, also when nothing can be written there.
    """
    folder = Path(out)
    if folder.suffix == ".npz":
        raise ConfigError(f"`out='{out}'` looks like a file; name a folder, and best.npz will be written into it")
    if folder.is_file():
        raise ConfigError(f"`out='{out}'` is a file; name a folder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        more = f", or continue with: `resume='{out}'`" if (folder / "last.npz").is_file() else ""
        raise ConfigError(f"`out='{out}'` exists and isn't empty; name another folder{more}")
    with named_errors(out, NAME_ANOTHER, action="make the folder", error_class=ConfigError):
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        os.rmdir(tempfile.mkdtemp(dir=nearest))  # checking permissions isn't enough
    return folder


def _first_free(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / f"{name}-{number}"
        try:
            folder.mkdir()  # fails if it exists, so that two runs started together get two folders
            return folder
        except FileExistsError:
            number += 1


def load_run(folder: str | Path) -> Run:
    """Load the run in ``folder``, to resume it.

    Raises CheckpointError if there is no last.npz, or if no run can resume from it.
    """
    path = Path(folder) / "last.npz"
    if not path.is_file():
        problem = "holds no last.npz" if path.parent.is_dir() else "is no folder"
        raise CheckpointError(f"{folder} {problem}; `resume` wants the folder of a run that has saved something")
    network = load(path)
    try:
        info = {key: value for key, value in network.info.items() if key not in ("result", "resume")}
        resume = network.info["resume"]
        config = TrainConfig(**info["config"])
        with checkpoint.Checkpoint(path) as stored:
            moments = {name: stored.read(MOMENT + name, shape) for name, shape in moments_of(config, network).items()}
        network.backend, network.fuse = config.backend, config.fuse
        card = path.parent / "run.json"
        return Run(
            network=network,
            config=config,
            info=info,
            dataset_argument=resume["dataset_argument"],
            watch_gradients=resume["watch_gradients"],
            state=state_from_json(resume, network),
            moments=moments,
            seconds=float(resume["seconds"]),
            folder=path.parent,
            card=json.loads(card.read_text()) if card.is_file() else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: it isn't the state of a run that can be resumed ({error!r})") from error


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"numcnn": numcnn.__version__, "python": platform.python_version(), "numpy": np.__version__}
    if "numba" in sys.modules:
        found["numba"] = sys.modules["numba"].__version__
    return found
