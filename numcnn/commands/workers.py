"""Trainings side by side, here or on a cluster: the options and the lines of `numcnn train` and `numcnn sweep`."""

import argparse
import contextlib
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from numcnn import data
from numcnn.commands import Document, add_cluster_argument, say, say_above_bar
from numcnn.data import mnist
from numcnn.errors import ConfigError, WorkerError, WriteError
from numcnn.files import named_errors
from numcnn.training import jobs, train_job
from numcnn.training.config import in_options
from numcnn.training.progress import JobProgress
from numcnn.training.seeds import Series
from numcnn.training.session import Options
from numcnn.training.sweeps import Sweep
from numcnn.training.train_job import Trained, TrainJob

Plan = TypeVar("Plan", Series, Sweep)


def add_worker_arguments(parser: "argparse._ActionsContainer", default: str) -> None:
    """Add ``--jobs`` and ``--cluster``; ``default`` only goes into the help."""
    text = f"train N networks at a time, a process for each (default: {default})"
    parser.add_argument("--jobs", type=int, metavar="N", help=text)
    add_cluster_argument(parser, "train")


def several_at_a_time(arguments: argparse.Namespace) -> bool:
    """Return whether trainings are to run side by side."""
    return arguments.jobs is not None or arguments.cluster is not None


def threads_of_each(arguments: argparse.Namespace) -> int:
    """Return how many threads each training has: one unless ``--threads`` says more.  Raises ConfigError."""
    threads = 1 if arguments.threads is None else arguments.threads
    if threads < 1:
        raise ConfigError(f"`threads` is {threads}; wants 1 or more")
    return threads


def engine_of(arguments: argparse.Namespace, threads: int) -> jobs.Engine:
    """Return the engine.  Raises ConfigError."""
    if arguments.cluster is None:
        return jobs.local(arguments.jobs, threads)
    if arguments.jobs is not None:
        raise ConfigError(
            "`jobs` is for this machine, and `cluster` for a Dask scheduler; use one of `jobs` and `cluster`"
        )
    return jobs.cluster(arguments.cluster, say_above_bar)


def check_engine(arguments: argparse.Namespace) -> None:
    """Raise ConfigError or WorkerError before a folder is made, unless the trainings can be done; see ``engine_of``."""
    engine = engine_of(arguments, threads_of_each(arguments))
    if arguments.cluster is not None and not arguments.resume:  # of a resumed one, nothing may be left to do
        with engine():
            pass


def goes_on_with_data(plan: Plan, options: Options) -> Plan:
    """Return a resumed plan with MNIST's folder: the one that is named now and kept for next time, else its own.

    Raises ConfigError or DataError, before anything is kept, if the data can't come from there.
    """
    named = options.named_data_dir()
    if not named:
        return replace(plan, data_dir=mnist.still_there(plan.data_dir))
    data.load(plan.dataset_argument, named, test_only=True, backend=plan.config.backend, report=lambda line: None)
    mnist.load(named, report=lambda line: None)  # the training images, too
    plan = replace(plan, data_dir=named)
    with named_errors(plan.folder, action="write to the folder", error_class=WriteError):
        plan.save()
    return plan


def do_jobs(
    work: list[TrainJob], arguments: argparse.Namespace, name: Callable[[TrainJob], str]
) -> dict[Path, Trained]:
    """Do the trainings here or on a cluster, with a line for each under its ``name``.  Return folder -> result."""
    engine = engine_of(arguments, work[0].threads)
    if arguments.cluster is not None:
        work = train_job.without_shared_disk(work, lambda line: None)
    elif arguments.resume:  # else they have just been read
        train_job.check_data(work)
    finished = {job.folder for job in work if train_job.has_card(job)}
    if not arguments.quiet:
        begun = f"resuming {arguments.resume}: " if arguments.resume else ""
        say(f"{begun}{len(work) - len(finished)} of {len(work)} trainings to finish; a line follows when one has ended")
    with JobProgress(len(work), arguments.quiet) as progress:

        def done(job: TrainJob, trained: Trained) -> None:
            for note in trained.notes:
                progress.warn(f"{name(job)}: {note}")
            if trained.card is None:
                progress.warn(f"{name(job)} diverged: {in_options(trained.diverged)}")
            else:
                earlier = " (finished earlier)" if job.folder in finished else ""
                progress.say(result_line(name(job), trained.card) + earlier)
            progress.advance()

        return train_job.run_all(work, engine, done)


@contextlib.contextmanager
def says_how_to_go_on(command: str, folder: Path, arguments: argparse.Namespace) -> Iterator[None]:
    """If the block is interrupted or its workers are lost, say with which command it goes on."""
    options = {"--jobs": arguments.jobs, "--cluster": arguments.cluster}
    if command == "numcnn train":  # a sweep records its threads
        options["--threads"] = arguments.threads
    given = [text for option, value in options.items() if value is not None for text in (option, str(value))]
    advice = f"continue with: {command} {shlex.join(['--resume', str(folder), *given])}"
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        say(advice)
        raise
    except WorkerError as error:
        raise WorkerError(f"{error}; {advice}") from error


def result_line(name: str, card: Document) -> str:
    """Return a line that says how a training ended: its ``name``, accuracy and time."""
    return f"{name}: {accuracy_of(card)}, {card['seconds']:.0f} s"


def accuracy_of(card: Document, on: str = "") -> str:
    """Return a run's accuracy in words: on the test set or, if that was not read, on validation images."""
    if card["test_accuracy"] is not None:
        return f"test accuracy{on} {card['test_accuracy']:.2%}"
    if card["val_accuracy"] is not None:
        return f"validation accuracy{on} {card['val_accuracy']:.2%}"
    return "no images to measure accuracy on"
