"""Independent jobs in several processes, written once against ``concurrent.futures.Executor``.

A job is a value that can be pickled, and what does it is a function of a module: equal jobs give equal results,
wherever and however often they run.  So a job whose worker was killed is simply done again.
"""

import contextlib
import importlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import platform
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from typing import Any, TypeAlias, TypeVar

import numcnn
from numcnn.errors import ConfigError, NumcnnError, WorkerError
from numcnn.kernels.thread_team import available_threads

Job = TypeVar("Job")
Result = TypeVar("Result")
Engine: TypeAlias = Callable[[], AbstractContextManager[Executor]]  # opens an executor; may be called again

MOST_BREAKS = 3  # how often in a row the workers may end without a job done between
MOST_OF_AN_ERROR = 5_000  # characters of a traceback that come from a worker; Dask cuts off more than 10,000 bytes
WATCH_SECONDS = 1.0
CONNECT_SECONDS = 30.0  # how long a scheduler may take to answer, and its first worker to come

# What libraries read when they are loaded: how many threads they may use.
THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def run_all(work: Callable[[Job], Result], jobs: Sequence[Job], engine: Engine) -> Iterator[tuple[Job, Result]]:
    """Yield each job with its result, in the order in which they finish.

    If a worker ends, as when it is killed, the jobs that aren't done begin again.  Raises WorkerError if that goes on,
    and the error of a job.  Whoever stops iterating stops the workers.
    """
    left, breaks = list(jobs), 0
    while left:
        try:
            with engine() as executor:
                waiting: dict[Future[Result], Job] = {submit(executor, work, job): job for job in left}
                for future in as_completed(waiting):
                    result = future.result()
                    left.remove(waiting[future])
                    breaks = 0
                    yield waiting[future], result
        except BrokenExecutor as error:
            breaks += 1
            if breaks > MOST_BREAKS:
                raise WorkerError(
                    f"workers ended {breaks} times in a row and no job was done between; {len(left)} are left; {error}"
                ) from error


def submit(executor: Executor, work: Callable[[Job], Result], job: Job) -> Future[Result]:
    """Let a worker do a job.  Its errors come back as those of numcnn, OSError, MemoryError, or RuntimeError."""
    return executor.submit(_do, work, job)


def _do(work: Callable[[Job], Result], job: Job) -> Result:
    """Do a job.  A worker calls this.

    Whatever is raised leaves as an error that can be sent anywhere, without what caused it: that of a library may not
    be pickled, or not read where the library isn't installed; and over SystemExit, whoever waits for Dask waits for
    ever.
    """
    try:
        return work(job)
    except BaseException as error:
        sent = _to_be_sent(error)
    raise sent


def _to_be_sent(error: BaseException) -> Exception:
    """Return an error that says the same and holds only text.  What is unexpected keeps its traceback, as text."""
    if isinstance(error, NumcnnError):
        kind = next(one for one in type(error).__mro__ if one.__module__ == NumcnnError.__module__)
        return kind(str(error))  # not its own class, which may want more than a text
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    if isinstance(error, OSError):
        path = None if error.filename is None else str(error.filename)
        return OSError(str(error)) if error.errno is None else OSError(error.errno, str(error.strerror), path)
    text = "".join(traceback.format_exception(error))
    return RuntimeError(f"in a job on {platform.node()}:\n{text[-MOST_OF_AN_ERROR:].rstrip()}")


def local(workers: int | None = None, threads: int = 1) -> Engine:
    """Return an engine of processes on this machine, each with ``threads`` threads.

    workers: None for as many as there are processors for.  Raises ConfigError.
    """
    processors = available_threads()
    count, most = max(1, processors // threads) if workers is None else workers, 4 * processors
    if not 1 <= count <= most:
        raise ConfigError(f"`jobs` is {count}; wants 1 to {most} on this machine")
    return lambda: _processes(count, threads)


@contextlib.contextmanager
def _processes(count: int, threads: int) -> Generator[Executor, None, None]:
    """Give a pool of new processes, started on demand; end them, at once if the block raises."""
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a forked child would have locks held for ever
    with _thread_variables(threads):
        executor = ProcessPoolExecutor(count, context, _start_worker)
        try:
            yield executor
        except BaseException as error:
            how = _how_ended(executor)
            executor.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            if isinstance(error, BrokenExecutor):
                raise BrokenExecutor(how or str(error)) from error
            raise
        finally:
            executor.shutdown()


def _how_ended(executor: Executor) -> str:
    """Return in words how a worker ended that nobody had asked to; "" if it isn't known."""
    processes: dict[int, Any] = getattr(executor, "_processes", None) or {}
    ended = multiprocessing.connection.wait([process.sentinel for process in processes.values()], timeout=0)
    for process in [process for process in processes.values() if process.sentinel in ended]:
        process.join(WATCH_SECONDS)
        code = process.exitcode
        if code == -signal.SIGKILL:
            return "the last one was killed (SIGKILL), as the system does where memory is short"
        if code not in (None, -signal.SIGTERM):  # by which the executor ends the others
            with contextlib.suppress(ValueError):
                return f"the last one ended by {signal.Signals(-code).name}"
            return f"the last one ended with exit code {code}"
    return ""


@contextlib.contextmanager
def _thread_variables(threads: int) -> Generator[None, None, None]:
    """Let the processes that the block starts have so many threads: they read this before NumPy and Numba load."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Called first in each process: the parent alone hears Ctrl-C and ends its workers by SIGTERM, or by its end."""
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    while True:  # the first one may end a job, which saves
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(WATCH_SECONDS)


def cluster(address: str) -> Engine:
    """Return an engine of the workers of a Dask scheduler, such as tcp://HOST:8786; Dask manages the workers.

    A worker that ends is replaced by Dask, and its jobs are done elsewhere.  Raises ConfigError, also when it is opened
    and a worker's numcnn is another version; WorkerError if scheduler or workers can't be reached or are lost.
    """
    if "://" not in address:
        raise ConfigError(f"`cluster` is {address!r}; wants the address of a Dask scheduler, such as tcp://host:8786")
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise ConfigError("`cluster` needs the library distributed: pip install 'numcnn[cluster]'") from error
    return lambda: _dask(distributed, address)


@contextlib.contextmanager
def _dask(distributed: Any, address: str) -> Generator[Executor, None, None]:
    """Give an executor on the cluster, once a worker is there."""
    # Dask's executor logs a traceback for each job that still runs when the client closes; what matters is raised.
    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkerError(f"no Dask scheduler answers at {address} ({error}); start one: dask scheduler") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
            for worker, version in client.run(_version_by_value()).items():
                check_version(numcnn.__version__, version, worker)
            yield client.get_executor()
        except TimeoutError as error:
            raise WorkerError(f"{address} has no workers; start some: dask worker {address}") from error
        except (CancelledError, distributed.CancelledError, distributed.scheduler.KilledWorker, OSError) as error:
            raise WorkerError(f"the cluster {address} lost a job ({error or type(error).__name__})") from error


def workers_ended(error: BaseException) -> bool:
    """Return whether a job on a cluster failed because each worker that had it ended, one after another."""
    return type(error).__name__ == "KilledWorker"  # that of distributed, which need not be installed


def _version_by_value() -> Callable[[], str]:
    """Return a function that is sent to workers as it is, as theirs may be a numcnn without this file."""

    def version() -> str:
        import numcnn  # noqa: PLC0415  (the worker's)

        return numcnn.__version__

    return version


def check_version(wanted: str, found: str = numcnn.__version__, worker: str = "") -> None:
    """Raise ConfigError unless a worker's version of numcnn is the one that is wanted.  worker: "": this process."""
    if found != wanted:
        raise ConfigError(
            f"the worker {worker or platform.node()} has numcnn {found}, and this is numcnn {wanted}; install the same "
            "there"
        )
