"""The folder of a training run: its files, and how to load a run that was stopped.

runs/mnist-canonical-1/
  best.npz    the weights that were best on validation
  last.npz    the latest weights, with everything needed to resume
  log.csv     a row per epoch
  run.json    the run card: settings, versions, data, result
  curves.png  loss and accuracy over the epochs; gradients.png too if they were watched
"""

import csv
import errno
import io
import json
import math
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import numcnn
from numcnn import data
from numcnn.errors import CheckpointError, ConfigError, WriteError
from numcnn.evaluation import plots
from numcnn.files import (
    FolderLock,
    atomic_write,
    check_folder_writable,
    check_writable,
    is_temporary,
    named_errors,
    sweep,
)
from numcnn.kernels import has_fast
from numcnn.kernels.arrays import Floats
from numcnn.nn import checkpoint
from numcnn.nn.network import Network, load
from numcnn.training import run_record
from numcnn.training.config import TrainConfig
from numcnn.training.monitor import GradientWatch, Row, TrainState, state_from_json, state_to_json
from numcnn.training.optim import Optimizer, moments_of
from numcnn.training.progress import Progress
from numcnn.training.run_record import Document

# The prefix of the optimiser's arrays in last.npz.
MOMENT = "optimizer."

NAME_ANOTHER = "name another with `out`"

# How often a run is saved (s): every SAVE_SECONDS, but so that saving takes at most MOST_COST of the time, and at the
# latest after MOST_SECONDS.  A save of the canonical network takes some milliseconds.
SAVE_SECONDS, MOST_COST, MOST_SECONDS = 5.0, 0.01, 30.0

INSIST_SECONDS = 60.0  # how long a run that is done tries to save what it couldn't save before

SMALL_FILES = 300_000  # bytes, about: log, run card, pictures


@dataclass
class Run:
    """A training run: its network, its settings, its progress and what its files record."""

    network: Network
    config: TrainConfig
    info: Document  # what the weights files record about their training
    dataset_argument: str  # loads the run's data again, from any folder
    data_dir: str | None = None  # MNIST's folder, if it was named
    watch_gradients: bool = False
    state: TrainState = field(default_factory=TrainState)
    moments: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    seconds: float = 0.0  # spent on it before
    folder: Path | None = None  # a new run has none yet
    card: Document | None = None  # of a finished run
    kept: Network | None = None  # of a resumed run: what is in best.npz
    stamp: tuple[int, ...] | None = None  # of a resumed run: see ``stamp_of``, of last.npz
    lock: FolderLock | None = None


class RunFolder(Progress):
    """A progress display that also writes the run's files, each of them atomically.

    It saves every few seconds.  Training goes on when that fails, and so do the attempts; what was saved before stays.
    """

    def __init__(
        self,
        folder: str | Path,
        config: TrainConfig,
        info: Document,
        *,
        dataset_argument: str,
        data_dir: str | None = None,
        watch_gradients: bool = False,
        quiet: bool = False,
        earlier_seconds: float = 0.0,
    ) -> None:
        """info, dataset_argument, data_dir, watch_gradients: see ``Run``.  earlier_seconds: spent on the run so far."""
        super().__init__(config, quiet)
        self.folder, self.info, self.watch_gradients = Path(folder), info, watch_gradients
        self.stop_signal: int | None = None  # the number of the signal that asked to stop
        self._dataset_argument, self._data_dir = dataset_argument, data_dir
        self.began = time.perf_counter() - earlier_seconds
        self.best, self.last = self.folder / "best.npz", self.folder / "last.npz"
        self.lock: FolderLock | None = None  # keeps other runs out of the folder
        self.kept: Network | None = None  # what best.npz holds, or will hold once it can be written
        self._best_is_written = True
        self.saved: str | None = None  # how far the run was when it was saved last, in words
        self.problem = ""  # why the last attempt to save failed
        self._next_save = -math.inf  # after the first step, which shows whether saving works

    def on_kept(self, network: Network, state: TrainState) -> None:
        """Keep the weights; ``on_epoch`` writes them to best.npz."""
        self.kept, self._best_is_written = network.copy(), False
        self.kept.info = {**self.info, "result": result_of(state.history[-1])}

    def on_epoch(self, network: Network, optimizer: Optimizer, state: TrainState, best: bool) -> None:
        """Write best.npz if it is new, last.npz and log.csv."""
        self._save(network, optimizer, state)
        super().on_epoch(network, optimizer, state, best)  # after writing: the line means that the epoch is saved

    def wants_checkpoint(self) -> bool:
        """Return whether it is time to save: every SAVE_SECONDS, less often where saving takes long."""
        return time.perf_counter() >= self._next_save

    def on_checkpoint(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Write last.npz, from which the run can resume."""
        self._save(network, optimizer, state)

    def on_interrupt(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Write last.npz, from which the run can resume."""
        self._save(network, optimizer, state)

    def should_stop(self) -> bool:
        """Return whether a signal asked to stop."""
        return self.stop_signal is not None

    def discard_useless(self, state: TrainState) -> None:
        """Of a run that diverged, delete what was saved in its first epoch, and a best.npz no better than guessing."""
        if not state.epoch:
            self.last.unlink(missing_ok=True)
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

    def save_to_the_end(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Save what couldn't be saved during training; keep trying for INSIST_SECONDS.  Raises WriteError."""
        deadline = time.perf_counter() + INSIST_SECONDS
        if self.problem:
            self.warn(f"training is done, but not saved; trying for {INSIST_SECONDS:.0f} s more")
        while self.problem:
            self._save(network, optimizer, state)
            if self.problem and (time.perf_counter() >= deadline or self.should_stop()):
                raise WriteError(f"{self.problem}; what is saved of the run: {self.saved}")
            time.sleep(0.1 if self.problem else 0)

    def _save(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Write all that isn't on the disk yet.  Raises WriteError if that fails the first time, at the start."""
        started = time.perf_counter()
        try:
            self._find_folder()
            self._write_all(network, optimizer, state)
        except (OSError, CheckpointError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            if not isinstance(cause, OSError):
                raise
            self._note(f"cannot write {self.last}: {cause.strerror or cause}")
        else:
            self.saved = _progress_of(state)
            self._note("")
        now = time.perf_counter()
        self._next_save = now + min(MOST_SECONDS, max(SAVE_SECONDS, (now - started) / MOST_COST))

    def _note(self, problem: str) -> None:
        """Say that saving fails, or works again."""
        before, self.problem = self.problem, problem
        if problem and self.saved is None:
            raise WriteError(f"{problem}; check the folder and the space left")
        if problem and problem != before:
            more = "" if self.should_stop() else "; training goes on and tries again"
            self.warn(f"{problem}{more}; saved so far: {self.saved}")
        elif before and not problem:
            self.warn(f"the run is saved again in {self.folder}: {self.saved}")

    def _find_folder(self) -> None:
        """Make the folder anew if it was moved or deleted.  Raises OSError, also if it is another run's by now."""
        if self.lock is None or self.lock.holds():
            return
        vanished = not self.folder.is_dir()
        self.folder.mkdir(exist_ok=True)
        lock = FolderLock(self.folder)
        if not vanished and not is_empty(self.folder):
            lock.release()
            raise FileExistsError(errno.EEXIST, "another folder is in the place of the run's own", str(self.folder))
        self.lock.release()
        self.lock = lock
        self.warn(f"{self.folder} has vanished; the run makes it anew")

    def _write_all(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        """Write last.npz after best.npz and log.csv: who resumes from it relies on those of that moment."""
        if self.kept and not (self._best_is_written and self.best.exists()):
            self.kept.save(self.best)
            self._best_is_written = True
        log = self.folder / "log.csv"
        if state.history and (not state.batch or not log.exists()):
            self._write_log(state.history)
        self._save_last(network, optimizer, state)

    def _save_last(self, network: Network, optimizer: Optimizer, state: TrainState) -> None:
        result = result_of(state.history[-1]) if state.history else {}
        resume = {
            **state_to_json(state, network),
            "dataset_argument": self._dataset_argument,
            "data_dir": self._data_dir,
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
        """Draw curves.png, and gradients.png if gradients were watched; say so if they can't be written."""
        title = f"{self.config.model} network trained on {data.title_of(self.info['dataset'])}"
        figures = {"curves.png": plots.learning_curves(rows, title)}
        if self.watch_gradients:
            figures["gradients.png"] = plots.gradient_watch(rows, title)
        for name, figure in figures.items():
            try:
                plots.save(figure, self.folder / name)
            except OSError as error:
                self.warn(f"cannot write {self.folder / name}: {error.strerror or error}; --resume draws it later")

    def draw_missing(self, rows: Sequence[Row]) -> None:
        """Draw the pictures again if the run was killed before it had drawn them all."""
        names = ("curves.png", "gradients.png") if self.watch_gradients else ("curves.png",)
        if not all((self.folder / name).exists() for name in names):
            self.draw(rows)


def _progress_of(state: TrainState) -> str:
    """Return how far a run is, in words."""
    return f"epoch {state.epoch + 1}, batch {state.batch}" if state.batch else f"all of epoch {state.epoch}"


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


def begun_by(folder: Path) -> str:
    """Return the command that goes on with what was begun in a folder, "train" or "sweep"; "" if nothing was."""
    files = {"sweep.json": "sweep", "series.json": "train", "last.npz": "train"}
    return next((command for name, command in files.items() if (folder / name).is_file()), "")


def check_out(out: str | Path) -> Path:
    """Return ``out`` as a path if a run may start there: it is an empty folder or does not exist.

    Raises ConfigError, also when nothing can be written there.
    """
    folder = Path(out)
    if folder.suffix == ".npz":
        raise ConfigError(f"`out='{out}'` looks like a file; name a folder, and best.npz will be written into it")
    with named_errors(out, NAME_ANOTHER, action="make the folder", error_class=ConfigError):
        if folder.is_file():
            raise ConfigError(f"`out='{out}'` is a file; name a folder")
        if folder.is_dir():
            claim(folder).release()
        if folder.exists() and (not folder.is_dir() or not is_empty(folder)):
            more = f", or continue with: `resume='{out}'`" if begun_by(folder) else ""
            raise ConfigError(f"`out='{out}'` exists and isn't empty; name another folder{more}")
        check_folder_writable(folder)
    return folder


def is_empty(folder: Path) -> bool:
    """Return whether a folder holds nothing but what a process that was killed left of a write."""
    return all(is_temporary(path) for path in folder.iterdir())


def claim(folder: Path, *, empty: bool = False) -> FolderLock:
    """Lock a run's folder, and delete what killed processes left of their writes.

    Raises ConfigError if another training holds it or, with ``empty``, if it isn't empty any more.
    """
    with named_errors(folder, NAME_ANOTHER, action="use the folder", error_class=ConfigError):
        try:
            lock = FolderLock(folder)
        except BlockingIOError as error:
            raise ConfigError(
                f"another training is running in {folder}; wait for its end, or {NAME_ANOTHER}"
            ) from error
        sweep(folder)
        if empty and not is_empty(folder):
            raise ConfigError(f"another training has just written into {folder}; {NAME_ANOTHER}")
        return lock


def check_space(folder: Path, network: Network, config: TrainConfig) -> None:
    """Raise ConfigError if the folder's disk has no room for the run's files, or nothing can be written there."""
    best = network.params.nbytes + network.state.nbytes
    moments = sum(math.prod(shape) for shape in moments_of(config, network).values()) * network.dtype.itemsize
    last = best + moments
    # A file is replaced only when the new one is whole, so both are there for a moment.
    needed = best + 2 * last + SMALL_FILES - sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    with named_errors(folder, NAME_ANOTHER, action="write to the folder", error_class=ConfigError):
        check_writable(folder / "last.npz")
        disk = shutil.disk_usage(folder)
    if disk.total and disk.free < needed:
        raise ConfigError(
            f"the disk of {folder} has {disk.free / 1e6:.1f} MB left and the run needs {needed / 1e6:.1f} MB; "
            f"make space, or {NAME_ANOTHER}"
        )


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
    with named_errors(folder, action="read", error_class=CheckpointError):
        if not path.is_file():
            problem = "holds no last.npz" if path.parent.is_dir() else "is no folder"
            if begun_by(path.parent) == "sweep":
                again = f"numcnn sweep `resume` {shlex.quote(str(folder))}"
                raise CheckpointError(f"{folder} is a sweep; to go on with it: {again}")
            raise CheckpointError(f"{folder} {problem}; `resume` wants the folder of a run that has saved something")
        stamp = stamp_of(path)
    network = load(path)
    try:
        info = {key: value for key, value in network.info.items() if key not in ("result", "resume")}
        resume = run_record.mapping(network.info["resume"], "resume")
        config = run_record.check_info(info)
        run_record.text(resume, "dataset_argument")
        data_dir = run_record.place(resume, "data_dir")
        run_record.number(resume, "seconds", least=0)
        if not isinstance(resume["watch_gradients"], bool):
            raise ValueError("watch_gradients is neither true nor false")
        with checkpoint.Checkpoint(path) as stored:
            moments = {name: stored.read(MOMENT + name, shape) for name, shape in moments_of(config, network).items()}
        network.backend, network.fuse = config.backend, config.fuse
        run_record.check_complete(run_record.mapping(resume["state"], "state"))
        state = state_from_json(resume, network)
        run_record.check_state(state, config, GradientWatch(network).columns if resume["watch_gradients"] else [])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: it isn't the state of a run that can be resumed ({run_record.reason(error)})"
        ) from error
    return Run(
        network=network,
        config=config,
        info=info,
        dataset_argument=resume["dataset_argument"],
        data_dir=data_dir,
        watch_gradients=resume["watch_gradients"],
        state=state,
        moments=moments,
        seconds=float(resume["seconds"]),
        folder=path.parent,
        card=load_card(path.parent / "run.json"),
        kept=_load_best(path.parent / "best.npz", network) if state.history else None,
        stamp=stamp,
    )


def stamp_of(path: Path) -> tuple[int, ...] | None:
    """Return what changes when the file is replaced; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _load_best(path: Path, network: Network) -> Network:
    """Return the network in best.npz, which the run's ``network`` must be like.  Raises CheckpointError."""
    best = load(path)
    try:
        run_record.check_result(best.info["result"])
        if best.params.shape != network.params.shape:
            raise ValueError(f"{best.params.size} parameters, not {network.params.size}")
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path}: it isn't of the same run as last.npz ({run_record.reason(error)}); use another copy"
        ) from error
    return best


def load_card(path: Path) -> Document | None:
    """Return a finished run's card, None if there is none.  Raises CheckpointError."""
    if not path.exists():
        return None
    try:
        return run_record.check_card(run_record.read_json(path))
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: it isn't a run card ({run_record.reason(error)}); delete it, and `resume` writes it again"
        ) from error


def versions() -> dict[str, str]:
    """Return the versions that a result depends on; Numba's only if its kernels can be built."""
    found = {"numcnn": numcnn.__version__, "python": platform.python_version(), "numpy": np.__version__}
    if (numba := sys.modules.get("numba")) and has_fast():
        found["numba"] = numba.__version__
    return found
