"""A training as a job: a function of its settings and data alone, which any worker can do, here or on a cluster."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

import numcnn
from numcnn import data
from numcnn.errors import CheckpointError, DataError, DivergedError
from numcnn.files import TEMPORARY, FolderLock, atomic_write
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network
from numcnn.training import jobs
from numcnn.training.config import TrainConfig
from numcnn.training.run_folder import Run, RunFolder, load_run
from numcnn.training.run_record import Document
from numcnn.training.session import Options, draw_again, new_session, resumed_session

_one_at_a_time = threading.Lock()  # how many threads compute is a setting of the process


@dataclass(frozen=True)
class TrainJob:
    """A training that a worker is to do."""

    folder: Path  # where its files are to be in the end
    config: TrainConfig
    dataset: str
    data_dir: str | None = None
    threads: int = 1
    watch_gradients: bool = False
    command: str = ""  # for the run card
    in_place: bool = True  # whether the worker shares our disk: it trains in the folder, and can resume there
    dataset_sha256: str | None = None  # which the worker's data must have; None: any
    step_first: bool = False  # see ``run_all``; the result is the same
    version: str = numcnn.__version__


@dataclass
class Trained:
    """What a worker brings back: the run card or, if training diverged, why."""

    card: Document | None
    diverged: str = ""
    notes: list[str] = field(default_factory=list[str])  # what people should read, such as warnings
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])  # unless it trained in place: name -> content


def run_all(
    work: Sequence[TrainJob], engine: jobs.Engine, done: Callable[[TrainJob, Trained], object]
) -> dict[Path, Trained]:
    """Do all trainings; call ``done`` for each as soon as its files are in its folder.  Return folder -> result.

    A run that was stopped in its folder goes on; a finished one is only read.  Two workers of one machine that begin at
    once, where no kernel has been compiled before, would both compile them all, in the same order.  So every second
    training begins with those that the others come to later.
    """
    found: dict[Path, Trained] = {}
    left: list[TrainJob] = []
    for job in work:
        result = _finished(job)
        if result is not None:
            found[job.folder] = result
            done(job, result)
        else:
            left.append(replace(job, step_first=len(left) % 2 == 1))
    for job, result in jobs.run_all(train, left, engine):
        if result.card is not None:
            result.card["weights"] = str(job.folder / "best.npz")
        if result.files:
            result.files["run.json"] = (json.dumps(result.card, indent=1) + "\n").encode()
            _put_in_place(job.folder, result.files)
        found[job.folder] = result
        done(job, result)
    return found


def check_data(work: Sequence[TrainJob]) -> None:
    """Raise DataError here, before any worker does, if the data of the trainings that aren't finished aren't there."""
    job = next((job for job in work if not has_card(job)), None)
    if job is not None and job.dataset != "generated":
        data.load(job.dataset, job.data_dir, seed=job.config.seed, backend=job.config.backend)


def without_shared_disk(work: Sequence[TrainJob], report: Callable[[str], object]) -> list[TrainJob]:
    """Return the trainings for workers that share no disk with this machine, but must have the data that it has.

    Finished ones need no data: they are only read.
    """
    hashes: dict[tuple[int, int | None], str] = {}
    for job in work:
        key = job.config.seed, job.config.limit
        if key not in hashes and not has_card(job):
            settings: dict[str, Any] = {"seed": job.config.seed, "limit": job.config.limit}
            found = data.load(job.dataset, job.data_dir, backend=job.config.backend, report=report, **settings)
            hashes[key] = found.sha256
    return [
        replace(job, in_place=False, dataset_sha256=hashes.get((job.config.seed, job.config.limit))) for job in work
    ]


def train(job: TrainJob) -> Trained:
    """Train as the job says, in its folder or in a temporary one.  A worker calls this.

    Raises ConfigError if the worker's numcnn is another version, DataError if its data are others.
    """
    jobs.check_version(job.version)
    with _one_at_a_time:
        if job.in_place:
            return _train_in(job.folder, job)
        with tempfile.TemporaryDirectory(prefix="numcnn-") as parent:
            folder = Path(parent) / job.folder.name
            result = _train_in(folder, job)
            if result.card is not None:
                result.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
            return result


def _train_in(folder: Path, job: TrainJob) -> Trained:
    if job.in_place and folder.is_dir():
        _wait_for_lock(folder)  # a worker that is about to end may still save there
    finished = _finished(job) if job.in_place else None
    if finished is not None:
        return finished
    card: Document | None = None
    notes: list[str] = []
    options = Options(job.data_dir, job.threads, quiet=True, report=notes.append, command=job.command)
    if (folder / "last.npz").exists():
        session = resumed_session(_run_of(job), options)
    else:
        session = new_session(job.config, job.dataset, options, watch_gradients=job.watch_gradients)
    if job.dataset_sha256 not in (None, session.dataset.sha256):
        raise DataError(f"the worker {jobs.here()} has another data set {job.dataset} than this machine")
    if job.step_first:
        _take_a_step(job.config)
    files = session.open_folder(folder)
    try:
        with _stopped_by_sigterm(files):
            if not session.train().interrupted:
                card, _ = session.finish()
                session.draw()
    except DivergedError as error:
        return Trained(None, str(error), notes)
    if files.stop_signal is not None:
        os._exit(128 + files.stop_signal)  # whoever asked for it wants no answer
    return Trained(card, "", notes)


def _take_a_step(config: TrainConfig) -> None:
    """Train another network with one empty image as it is, so that what a step needs is compiled."""
    network = Network(make_layers(config.model, dropout=config.dropout), backend=config.backend, fuse=config.fuse)
    image = np.zeros((1, *network.input_shape))
    network.fit(image, [0], epochs=1, augment=0, optimizer=config.optimizer, reproducible=config.reproducible)


def has_card(job: TrainJob) -> bool:
    """Return whether a run is finished, as its card is the last that is written."""
    return (job.folder / "run.json").exists()


def _finished(job: TrainJob) -> Trained | None:
    """Return the result of a run that is finished, None if it isn't.  Raises CheckpointError for other settings."""
    if not has_card(job):
        return None
    run = _run_of(job)
    draw_again(run)
    return Trained(run.card)


def _run_of(job: TrainJob) -> Run:
    """Return the run in a job's folder.  Raises CheckpointError for other settings."""
    run = load_run(job.folder)
    if run.config != job.config:
        raise CheckpointError(f"{job.folder} holds a run with other settings than those asked for")
    return run


def _wait_for_lock(folder: Path) -> None:
    """Wait until no other process trains in the folder, or LEAVE_SECONDS are over."""
    deadline = time.monotonic() + jobs.LEAVE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            with contextlib.suppress(FileNotFoundError):  # it was empty, and is gone
                FolderLock(folder).release()
            return
        time.sleep(0.05)


@contextlib.contextmanager
def _stopped_by_sigterm(files: RunFolder) -> Generator[None, None, None]:
    """In a process of ``jobs.local``, let SIGTERM end the training after the current batch, saved.

    Or, if it comes later, after the files of the finished run are written.
    """
    if multiprocessing.parent_process() is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def request(number: int, frame: Any) -> None:
        files.stop_signal = number

    earlier = signal.signal(signal.SIGTERM, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _put_in_place(folder: Path, files: dict[str, bytes]) -> None:
    """Write a run's files to a new folder beside, and give it its name when it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep_folders(folder.parent)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
    try:
        for name, content in files.items():
            with atomic_write(temporary / name) as file:
                file.write(content)
        temporary.chmod(0o755)
        if folder.exists():  # a run that was begun here and not finished
            shutil.rmtree(folder)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sweep_folders(parent: Path) -> None:
    """Delete what a killed process left half-written."""
    for path in parent.iterdir():
        if TEMPORARY.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
