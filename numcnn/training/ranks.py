"""One training over several processes, by MPI: ``mpiexec -n 4 numcnn train``.

Each process, a *rank*, has the whole network and all data, and computes its shards of every batch; see
``nn/data_parallel.py``.  The gradients are added in the order of the shards: each rank adds up one slice of the
parameters for all of them, and hands it on.  So every rank takes the same step, and 4 processes of 1 thread end in the
same bytes as 1 process of 4 threads.  Rank 0 alone writes and shows progress.
"""

import contextlib
import importlib
import itertools
import os
import platform
import stat
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

import numcnn
from numcnn.errors import ConfigError, DataError, DivergedError, NumcnnError, WriteError
from numcnn.kernels.arrays import Floats
from numcnn.kernels.thread_team import available_threads
from numcnn.nn.network import Network
from numcnn.training.monitor import Monitor
from numcnn.training.progress import Together

Result = TypeVar("Result")

# What mpiexec sets in each process, by its maker: how many there are.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")

EXIT_LOST = 75  # a rank hangs or has failed: to begin again from the last save may help
TIMEOUT = 300.0  # s
READ_SECONDS = 5.0  # how long mpiexec may take to read why a rank ends
ANSWER_SECONDS = 2.0  # how long a rank may take to say that it waits, too


def count_ranks() -> int:
    """Return how many processes mpiexec has started together with this one; 1 without mpiexec."""
    for name in SIZES:
        if os.environ.get(name, "").isdigit():
            return int(os.environ[name])
    return 1


class MpiRanks:
    """The processes that mpiexec has started, seen from one of them.  See ``nn.data_parallel.Ranks``.

    If another one doesn't take part in something for ``timeout`` seconds, all processes end, and its name is said.
    """

    def __init__(self) -> None:
        """Raises ConfigError if mpi4py isn't there, or was made for another MPI."""
        try:
            self._mpi: Any = importlib.import_module("mpi4py.MPI")
        except (ImportError, RuntimeError) as error:
            raise ConfigError("mpiexec needs the library mpi4py and an MPI: pip install 'numcnn[mpi]'") from error
        self._comm, self._alarm = self._mpi.COMM_WORLD, self._mpi.COMM_WORLD.Dup()
        self.rank, self.size = int(self._comm.rank), int(self._comm.size)
        if self.size != count_ranks():
            raise ConfigError(
                f"mpiexec has started {count_ranks()} processes, of which mpi4py sees {self.size}; use the mpiexec of "
                "the MPI that mpi4py was made for"
            )
        # Since when this rank waits for others, and for how long at most.
        self._waits: tuple[float, float] | None = None
        self.timeout = TIMEOUT
        with self._in_time():
            here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED).size
            self.names: list[str] = self._comm.allgather(f"{platform.node()}, process {os.getpid()}")
        self.threads = max(1, available_threads() // int(here))  # of each, unless people say otherwise
        self._buffers: dict[str, Floats] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def add_up(self, own: Sequence[Floats], count: int, total: Floats) -> None:
        """Set total (P,) to the sum of all ``count`` shards' arrays, in the order of the shards.  own: this rank's."""
        slots, width = -(-count // self.size), -(-total.size // self.size)
        sent = self._buffer("sent", (self.size, slots, width), total)
        got = self._buffer("got", (self.size, slots, width), total)
        whole = self._buffer("whole", (self.size, width), total)
        for slot, array in enumerate(own):
            for rank in range(self.size):
                piece = array[rank * width : (rank + 1) * width]
                sent[rank, slot, : piece.size] = piece
        with self._in_time():
            self._comm.Alltoall(sent, got)
        shards = [
            got[rank, slot]
            for rank in range(self.size)
            for slot in range(count * (rank + 1) // self.size - count * rank // self.size)
        ]
        added = shards[0]
        for array in shards[1:]:
            np.add(added, array, out=added)
        with self._in_time():
            self._comm.Allgather(added, whole)
        total[...] = whole.reshape(-1)[: total.size]

    def gather(self, array: Floats, bounds: Sequence[int]) -> None:
        """Complete an array of which rank r has filled the rows from bounds[r] to bounds[r + 1]."""
        row = array.nbytes // max(1, len(array))
        counts = [row * (last - first) for first, last in itertools.pairwise(bounds)]
        starts = [row * first for first in bounds[:-1]]
        with self._in_time():
            self._comm.Allgatherv(self._mpi.IN_PLACE, [array, counts, starts, self._mpi.BYTE])

    def any_rank(self, flag: bool) -> bool:
        """Return whether any rank's flag is set."""
        with self._in_time():
            return bool(self._comm.allreduce(int(flag), self._mpi.MAX))

    def from_first(self, value: Result) -> Result:
        """Return rank 0's value."""
        with self._in_time():
            return self._comm.bcast(value)

    def agree(self, work: Callable[[], Result]) -> Result:
        """Do the work, rank 0 first, which may download something.  If it fails anywhere, raise that everywhere."""
        found, error = _attempt(work) if self.rank == 0 else (None, None)
        with self._in_time(TIMEOUT):  # data may take longer to load than a step
            error = self._comm.bcast(error)
        if error is None and self.rank:
            found, error = _attempt(work)
            error = error and type(error)(f"rank {self.rank} ({self.names[self.rank]}): {error}")
        with self._in_time(TIMEOUT):
            errors = [one for one in self._comm.allgather(error) if one is not None]
        if errors:
            raise errors[0]
        return found  # pyright: ignore[reportReturnType]  (it has not failed)

    def check_equal(self, what: str, value: str) -> None:
        """Raise DataError unless all ranks have the same value."""
        with self._in_time():
            values = self._comm.allgather(value)
        for rank, other in enumerate(values):
            if other != values[0]:
                raise DataError(f"rank {rank} ({self.names[rank]}) has {what} {other}, and rank 0 has {values[0]}")

    def check_alike(self, dataset_sha256: str) -> None:
        """Raise DataError unless all ranks have the same numcnn and the same data."""
        self.check_equal("numcnn", numcnn.__version__)
        self.check_equal("the data set with the SHA-256", dataset_sha256)

    @contextlib.contextmanager
    def together(self, network: Network) -> Generator[None, None, None]:
        """Let the ranks take each step of training together; if this rank alone fails, end all."""
        network.train_together(self)
        try:
            yield
        except DivergedError:  # all see it at the same step
            raise
        except WriteError as error:
            self.fail(str(error), 1)
        except KeyboardInterrupt:
            self.fail("interrupted", 130)
        except Exception as error:
            self.fail(f"{type(error).__name__}: {error}")
        finally:
            network.train_together(None)

    def fail(self, reason: str, code: int = EXIT_LOST) -> NoReturn:
        """Say why this rank can't go on; once that is read, end all with this exit code: they would wait for it."""
        try:
            with contextlib.suppress(OSError, ValueError):
                print(f"numcnn: rank {self.rank} ({self.names[self.rank]}): {reason}", file=sys.__stderr__, flush=True)
                _wait_until_read(2)
        finally:  # also if a signal comes meanwhile
            self._comm.Abort(code)
            os._exit(code)

    @contextlib.contextmanager
    def _in_time(self, least: float = 0.0) -> Generator[None, None, None]:
        """Notice if the block takes longer than the timeout and ``least``: others don't answer."""
        self._waits = time.monotonic(), max(self.timeout, least)
        try:
            yield
        finally:
            self._waits = None

    def _watch(self) -> None:
        while True:
            time.sleep(min(0.2, self.timeout / 4))
            waits = self._waits
            if waits is not None and time.monotonic() - waits[0] > waits[1]:
                self._give_up(waits[1])

    def _give_up(self, seconds: float) -> None:
        """Find out which ranks don't answer, say so, and end all processes."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        sent = [self._alarm.isend(self.rank, rank) for rank in others]
        waiting, deadline = {self.rank}, time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline and len(waiting) < self.size:
            while self._alarm.iprobe():
                waiting.add(self._alarm.recv())
            time.sleep(0.01)
        lost = [f"rank {rank} ({self.names[rank]})" for rank in others if rank not in waiting]
        if self.rank != min(waiting):
            time.sleep(ANSWER_SECONDS + READ_SECONDS)  # that one says it
        del sent
        self.fail(f"{', '.join(lost) or 'the network between the ranks'} didn't answer for {seconds:g} s")

    def _buffer(self, name: str, shape: tuple[int, ...], like: Floats) -> Floats:
        if name not in self._buffers or self._buffers[name].shape != shape or self._buffers[name].dtype != like.dtype:
            self._buffers[name] = np.zeros(shape, like.dtype)
        return self._buffers[name]


def _attempt(work: Callable[[], Result]) -> tuple[Result | None, NumcnnError | None]:
    try:
        return work(), None
    except NumcnnError as error:
        return None, error


class Follower(Monitor):
    """The monitor of another rank than 0: it shows and writes nothing, but hears signals."""

    stop_signal: int | None = None

    def say(self, line: str) -> None:
        """Print nothing."""

    def should_stop(self) -> bool:
        """Return whether a signal asked to stop."""
        return self.stop_signal is not None


class RankMonitor(Together):
    """A rank's monitor: if any rank is to stop, all stop after the same step."""

    def __init__(self, ranks: MpiRanks, monitor: Monitor) -> None:
        super().__init__(monitor)
        self._ranks = ranks

    def should_stop(self) -> bool:
        """See ``Monitor.should_stop``."""
        return self._ranks.any_rank(super().should_stop())


def silence() -> None:
    """Print nothing more in this process, which isn't rank 0."""
    null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (until the end)
    sys.stdout, sys.stderr = null, null


def _wait_until_read(descriptor: int) -> None:
    """Wait until a pipe is empty, for at most READ_SECONDS: mpiexec drops what it hasn't read when a rank ends all.

    Only Linux tells a pipe's writer how much is unread; elsewhere nothing is waited for.
    """
    if sys.platform != "linux" or not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    import fcntl  # noqa: PLC0415  (not on Windows)
    import termios  # noqa: PLC0415

    deadline = time.monotonic() + READ_SECONDS
    while time.monotonic() < deadline:
        unread = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
        if not int.from_bytes(unread, sys.byteorder):
            return
        time.sleep(0.005)
