"""Independent jobs in several processes, written once against ``concurrent.futures.Executor``.

A job is a value that can be pickled, and what does it is a function of a module: equal jobs give equal results,
wherever and however often they run.  So a job whose worker was killed is simply done again.
"""

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import platform
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from multiprocessing import resource_tracker
from typing import Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

import numcnn
from numcnn.errors import ConfigError, NumcnnError, WorkerError
from numcnn.kernels.thread_team import available_threads, most_processes

Job = TypeVar("Job")
Result = TypeVar("Result")
Engine: TypeAlias = Callable[[], AbstractContextManager[Executor]]  # opens an executor; may be called again

MOST_BREAKS = 3  # how often in a row the workers may end without a job done between
MOST_OF_AN_ERROR = 5_000  # characters of a traceback that come from a worker; Dask cuts off more than 10,000 bytes
WATCH_SECONDS = 1.0
LEAVE_SECONDS = 10.0  # how long a worker that is to end may take to save
CONNECT_SECONDS = 30.0  # how long a scheduler may take to answer, and its first worker to come
QUIET_SECONDS = 3.0  # how long waiting for either may last without a word
ALONE_SECONDS = 30.0  # how long a cluster may be without workers before that is said

SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")  # of a scheduler's address

# Signals of a terminal, which all its processes get.
FOR_PARENT = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]

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
    with _unheard_by_new_processes() if isinstance(executor, ProcessPoolExecutor) else contextlib.nullcontext():
        return executor.submit(_do, work, job)


@contextlib.contextmanager
def _unheard_by_new_processes() -> Generator[None, None, None]:
    """Keep Ctrl-C from a process that the block starts, until ``_start_worker`` runs there; this one hears it after."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # or the first process would start it, which lets signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_PARENT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def here() -> str:
    """Return which worker this is, for messages: the address of a Dask worker, else the name of the machine."""
    return _dask_worker() or platform.node()


def _dask_worker() -> str:
    """Return the address of the Dask worker that runs this; "" if it is none."""
    if "distributed" in sys.modules:
        with contextlib.suppress(ValueError):
            return importlib.import_module("distributed").get_worker().address
    return ""


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
    """Return an error that says the same and holds only text.  What is unexpected keeps its traceback, as text.

    On a cluster it begins with the worker's address.
    """
    worker, text = _dask_worker(), str(error)
    if isinstance(error, NumcnnError):
        kind = next(one for one in type(error).__mro__ if one.__module__ == NumcnnError.__module__)
        named = not worker or text.startswith("the worker ")
        return kind(text if named else f"the worker {worker}: {text}")  # not its own class, which may want more
    if worker and isinstance(error, OSError):
        place = "" if error.filename is None else f": {error.filename}"
        return WorkerError(f"the worker {worker}: {error.strerror or error}{place}")
    if worker and isinstance(error, MemoryError):
        return WorkerError(f"the worker {worker}: there is not enough memory ({error})")
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    if isinstance(error, OSError):
        path = None if error.filename is None else str(error.filename)
        return OSError(str(error)) if error.errno is None else OSError(error.errno, str(error.strerror), path)
    text = "".join(traceback.format_exception(error))
    return RuntimeError(f"in a job on {here()}:\n{text[-MOST_OF_AN_ERROR:].rstrip()}")


def local(workers: int | None = None, threads: int = 1) -> Engine:
    """Return an engine of processes on this machine, each with ``threads`` threads.

    workers: None for as many as there are processors for.  Raises ConfigError.
    """
    count, most = max(1, available_threads() // threads) if workers is None else workers, most_processes()
    if not 1 <= count <= most:
        raise ConfigError(f"`jobs` is {count}; wants 1 to {most} on this machine")
    return lambda: _processes(count, threads)


@contextlib.contextmanager
def _processes(count: int, threads: int) -> Generator[Executor, None, None]:
    """Give a pool of new processes, started on demand, and end them.

    If the block raises they are stopped at once, and each has LEAVE_SECONDS to save.
    """
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a forked child would have locks held for ever
    with _thread_variables(threads):
        executor = ProcessPoolExecutor(count, context, _start_worker)
        try:
            yield executor
        except BaseException as error:
            how = _how_ended(executor)
            executor.shutdown(wait=False, cancel_futures=True)
            ended = set(multiprocessing.active_children()) - before
            for process in ended:
                process.terminate()
            for process in ended:  # they save first; so whoever goes on with their work hardly ever meets them
                process.join(LEAVE_SECONDS)
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
        code = _exit_code(process)
        if code == -getattr(signal, "SIGKILL", 9):
            return "the last one was killed (SIGKILL), as the system does where memory is short"
        if code not in (None, -signal.SIGTERM, 128 + signal.SIGTERM):  # by which the executor ends the others
            with contextlib.suppress(ValueError):
                return f"the last one ended by {signal.Signals(-code).name}"
            return f"the last one ended with exit code {code}"
    return ""


def _exit_code(process: Any) -> int | None:
    """Return the exit code of a process that has ended; None if it isn't known within WATCH_SECONDS.

    The executor's own thread waits for it too.  If that is first, the code is known here only a moment later.
    """
    until = time.monotonic() + WATCH_SECONDS
    while process.exitcode is None and time.monotonic() < until:
        time.sleep(0.001)
    return process.exitcode


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
    for number in FOR_PARENT:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FOR_PARENT)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel])
    while True:  # the first one may end a job, which saves
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(WATCH_SECONDS)


def cluster(address: str, say: Callable[[str], object] = lambda line: None) -> Engine:
    """Return an engine of the workers of a Dask scheduler, such as tcp://HOST:8786; Dask manages the workers.

    A worker that ends is replaced by Dask, and its jobs are done elsewhere.  say: called with a line if no worker is
    left.  Raises ConfigError, also when it is opened and what answers is no scheduler, or a worker's numcnn is missing
    or another version; WorkerError if scheduler or workers can't be reached or are lost.
    """
    _host_and_port(address)
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise ConfigError("`cluster` needs the library distributed: pip install 'numcnn[cluster]'") from error
    return lambda: _dask(distributed, address, say)


def _host_and_port(address: str) -> tuple[str, int]:
    """Return where a scheduler listens.  Raises ConfigError."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in SCHEMES and parts.hostname and parts.port:
            return parts.hostname, parts.port
    raise ConfigError(f"`cluster` is {address!r}; wants the address of a Dask scheduler, such as tcp://host:8786")


@contextlib.contextmanager
def _dask(distributed: Any, address: str, say: Callable[[str], object]) -> Generator[Executor, None, None]:
    """Give an executor on the cluster, once a worker is there."""
    # Dask logs tracebacks when a scheduler is lost, and for each job that still runs when the client closes; what
    # matters is raised.
    for name in ("distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with _told_if_long(say, f"a Dask scheduler at {address}"):
        _check_scheduler(distributed, address)
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkerError(f"no Dask scheduler answers at {address} ({error})") from error
    with client:
        try:
            with _told_if_long(say, f"a worker of {address}"):
                client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError as error:
            how = f"dask worker {address} --nthreads 1 --nworkers N"
            raise WorkerError(f"{address} has no workers; start some: {how}") from error
        _check_numcnn(f"the scheduler {address}", client.run_on_scheduler(_version_by_value()))  # it reads jobs, too
        for worker, found in client.run(_version_by_value(), on_error="return").items():
            _check_numcnn(f"the worker {worker}", found)
        with _told_of_losses(client, address, say):
            try:
                yield client.get_executor()
            except (CancelledError, distributed.CancelledError) as error:
                raise WorkerError(f"the scheduler at {address} has ended or can't be reached any more") from error
            except distributed.scheduler.KilledWorker as error:
                raise WorkerError(f"on {address}, the workers that had a job ended, one after another") from error


def _check_scheduler(distributed: Any, address: str) -> None:
    """Raise WorkerError if no connection can be made, ConfigError if what is there doesn't answer as a Dask scheduler.

    That includes what says nothing for CONNECT_SECONDS.
    """

    async def identity() -> Any:
        options = distributed.Security().get_connection_args("client")
        comm = await distributed.core.connect(address, timeout=CONNECT_SECONDS, **options)
        try:
            return await distributed.core.send_recv(comm, op="identity")
        finally:
            comm.abort()

    try:
        found = asyncio.run(asyncio.wait_for(identity(), CONNECT_SECONDS))
        if found["type"] == "Scheduler":
            return
    except Exception as error:  # whatever Dask makes of the answers of something else
        try:
            socket.create_connection(_host_and_port(address), WATCH_SECONDS).close()
        except OSError as refused:
            reason = f"({refused.strerror or refused}); start one: dask scheduler"
            raise WorkerError(f"no Dask scheduler answers at {address} {reason}") from error
    raise ConfigError(
        f"what is at {address} doesn't answer as a Dask scheduler; wants the address that dask scheduler prints"
    )


def _check_numcnn(who: str, found: Any) -> None:
    """Check what ``_version_by_value`` found on a worker or scheduler.  Raises ConfigError, WorkerError."""
    if isinstance(found, OSError):  # it has ended since
        return
    if isinstance(found, Exception):
        raise WorkerError(f"{who} can't be asked for its version: {found}") from found
    version, missing = found
    if missing:
        raise ConfigError(
            f"{who} has no numcnn ({missing}); install it there, in a checkout: pip install -e '.[cluster]'"
        )
    check_version(numcnn.__version__, version, who)


@contextlib.contextmanager
def _told_if_long(say: Callable[[str], object], what: str) -> Generator[None, None, None]:
    """Say what the block waits for if it is still waiting after QUIET_SECONDS."""
    line = f"waiting for {what}, up to {CONNECT_SECONDS:.0f} s"
    timer = threading.Timer(QUIET_SECONDS, say, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _told_of_losses(client: Any, address: str, say: Callable[[str], object]) -> Generator[None, None, None]:
    """While the block runs, say which workers are lost, and once whenever none has been there for ALONE_SECONDS."""
    ended = threading.Event()

    def watch() -> None:
        seen, said, before = time.monotonic(), False, set[str]()
        while not ended.wait(WATCH_SECONDS):
            try:
                there = set(client.ncores())
            except Exception:  # the scheduler is lost, or the client is closed: whoever waits for a job hears of it
                continue
            for worker in sorted(before - there):
                say(f"the worker {worker} has ended; what it had to do is done again")
            before = there
            if there:
                seen, said = time.monotonic(), False
            elif not said and time.monotonic() - seen >= ALONE_SECONDS:
                said = True
                say(f"no workers left at {address}; waiting for one (Ctrl-C stops)")

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def workers_ended(error: BaseException) -> bool:
    """Return whether a job on a cluster failed because each worker that had it ended, one after another."""
    return type(error).__name__ == "KilledWorker"  # that of distributed, which need not be installed


def _version_by_value() -> Callable[[], tuple[str, str]]:
    """Return a function that is sent to workers as it is, as theirs may be a numcnn without this file, or none.

    It returns the version, or why there is none.
    """

    def version() -> tuple[str, str]:
        try:
            import numcnn  # noqa: PLC0415  (the worker's)
        except ImportError as error:
            return "", str(error)
        return numcnn.__version__, ""

    return version


def check_version(wanted: str, found: str = numcnn.__version__, who: str = "") -> None:
    """Raise ConfigError unless a worker's version of numcnn is the one that is wanted.  who: "": this process."""
    if found != wanted:
        who = who or f"the worker {here()}"
        raise ConfigError(f"{who} has numcnn {found}, and this is numcnn {wanted}; install the same there")
