"""A team of Python threads that run one task in parallel, each on a part of the data.

Compiled kernels release the GIL, so plain threads run them side by side.  Numba's own parallel loops would bring a
second thread pool beside that of BLAS, which NumPy uses in layers of the user's own: the two spin against each other
for the same cores (a training step took 40 times as long while another process was busy), abort on some systems when
two threads use them, die after a fork, and compile far slower.  So BLAS runs with one thread.

The parts depend on the number of threads alone; any thread may run any of them.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import numpy as np
from threadpoolctl import OpenBLASController, ThreadpoolController

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Ints

# A part of the work: its number, and its first index and the one after its last.
Part: TypeAlias = tuple[int, int, int]
Task: TypeAlias = Callable[[int, int, int], object]

PROCESSES_EACH = 4  # how many processes a processor may have


class SpinWait(Protocol):
    """How threads wait before they sleep: ``fast.spin_wait``, which says what the functions do."""

    def prepare(self) -> None: ...  # noqa: D102

    def wait_for_work(self, finished: Ints, number: int, given: Ints, wanted: int) -> None: ...  # noqa: D102

    def wait_for_others(self, finished: Ints, wanted: int) -> None: ...  # noqa: D102


class _Job:
    """A task, its parts that no thread has taken yet, and for each finished part its error or None."""

    def __init__(self, task: Task, parts: list[Part]) -> None:
        self.task: Task = task
        self.left: Iterator[Part] = iter(parts)
        self.errors: list[BaseException | None] = []
        self._done: queue.SimpleQueue[None] = queue.SimpleQueue()  # wakes the caller

    def work(self) -> int:
        """Take parts and run them until none is left.  Return how many."""
        count = 0
        for part in self.left:  # next() of a list's iterator is atomic: no two threads take one part
            error = None
            try:
                self.task(*part)
            except BaseException as caught:  # the caller raises it, once no thread uses the arrays any more
                error = caught
            finally:
                self.errors.append(error)
                self._done.put(None)
            count += 1
        return count

    def wait(self, parts: int) -> None:
        """Wait until this many parts are finished."""
        for _ in range(parts):
            self._done.get()

    def end(self, parts: int) -> None:
        """Hand out no more of its ``parts``; return when those already taken are finished, despite interrupts."""
        parts -= len(list(self.left))
        interruption = None
        while len(self.errors) < parts:
            try:
                time.sleep(0.001)
            except KeyboardInterrupt as caught:
                interruption = caught
        if interruption is not None:
            raise interruption


class ThreadTeam:
    """``threads`` workers, the caller being one.  ``run_parallel`` may be called from several threads at once.

    spin: how threads wait for a short while before they sleep.  None: they sleep at once.
    """

    def __init__(self, threads: int, spin: SpinWait | None = None) -> None:
        self.threads = threads
        self.spin = spin
        self._ready = False  # whether the functions of ``spin`` are compiled
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        # How many jobs were given and parts finished so far: hints for spinning threads.  The queues decide.
        self._given, self._finished = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for _ in range(threads - 1):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        finished = 0  # parts that this thread hasn't reported yet
        while True:
            given = self._given[0]
            # Read the count first, then look for a job: one that is put in between changes the count.
            if self._ready and self.spin and (finished or self._jobs.empty()):
                wanted = given + 1 if self._jobs.empty() else given
                self.spin.wait_for_work(self._finished, finished, self._given, wanted)
            job = self._jobs.get()
            if job is None:
                return
            with np.errstate(over="ignore", invalid="ignore"):  # a new thread doesn't inherit the setting
                finished = job.work()
            del job  # and the arrays it refers to

    def run_parallel(self, size: int, task: Task, least: int = 1) -> int:
        """Cut ``range(size)`` into a part a thread, none smaller than ``least``; call ``task(number, first, last)``.

        Parts aren't bound to threads: if other programs hold one thread up, the others take its part.  Returns the
        number of parts once all are finished; also when interrupted, no thread writes to the caller's arrays any more.
        Raises the first error of a task.
        """
        count = max(1, min(self.threads, size // least))
        parts = [(i, size * i // count, size * (i + 1) // count) for i in range(count)]
        if count == 1:
            task(*parts[0])
            return count
        if self.spin and not self._ready:
            # In the caller's thread: a compiling thread holds a lock, which a forked child would find taken for ever.
            self.spin.prepare()
            self._ready = True
        job, finished = _Job(task, parts), self._finished[0]
        try:
            for _ in parts[1:]:
                self._jobs.put(job)
                self._given += 1
            own = job.work()
            if self._ready and self.spin and own < count:
                self.spin.wait_for_others(self._finished, finished + count - own)
            job.wait(count)
        finally:
            job.end(count)
        for error in job.errors:
            if error is not None:
                raise error
        return count

    def dismiss(self) -> None:
        """End the threads once they have nothing left to do."""
        for _ in range(self.threads - 1):
            self._jobs.put(None)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_threads() -> int:
    """Return how many threads may compute: the processors of this process, or NUMBA_NUM_THREADS if that is fewer."""
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(_processors(), int(limit)) if limit.isdigit() and int(limit) > 0 else _processors()


def most_processes() -> int:
    """Return how many processes may compute side by side, however few threads each has: more would hardly get on."""
    return PROCESSES_EACH * _processors()


_team: ThreadTeam | None = None
_making = threading.Lock()
_spin: SpinWait | None = None


def set_spin_wait(spin: SpinWait) -> None:
    """Let the process's team spin by the functions of ``spin`` before its threads sleep."""
    global _spin
    _spin = spin
    if _team is not None:
        _team.spin = spin


def the_team() -> ThreadTeam:
    """Return the process's team, made on first use with a thread per processor."""
    return _team or set_threads(available_threads(), unless_made=True)


def set_threads(count: int, unless_made: bool = False) -> ThreadTeam:
    """Let the fast kernels use ``count`` threads from now on.  ``unless_made``: only if there is no team yet."""
    global _team
    with _making:  # two threads that come first must not make two teams
        if _team is None or (_team.threads != count and not unless_made):
            if _team is not None:
                _team.dismiss()
            _team = ThreadTeam(count, _spin)
        return _team


def _after_fork() -> None:
    """Forget the team: a forked child has none of its parent's threads, which may have held locks."""
    global _team, _making
    _team, _making = None, threading.Lock()
    one_blas_thread.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _OneBlasThread:
    """A context in which BLAS uses one thread, because the team is parallel already.

    BLAS has one setting for the whole process: the first thread to enter sets it, the last to leave restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._blas: ThreadpoolController | None = None
        self._restore: Callable[[], None] = lambda: None
        self._otherwise: int | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._restore = self._set(1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._restore()
                _let_others_set_threads()
                if self._otherwise is not None:
                    self._set(self._otherwise)

    def renew_lock(self) -> None:
        """Replace the lock: in a forked child, the thread that holds it may not exist."""
        self._lock = threading.Lock()

    def otherwise(self, threads: int) -> None:
        """Let BLAS use ``threads`` threads outside the context."""
        with self._lock:
            self._otherwise = threads
            if self._inside == 0:
                self._set(threads)

    def _set(self, threads: int) -> Callable[[], None]:
        """Set the number of BLAS's threads; return the function that restores the one before."""
        if self._blas is None:
            self._blas = ThreadpoolController()  # finds the libraries that are loaded by now
        limiter = self._blas.limit(limits=threads, user_api="blas")
        _let_others_set_threads()
        return limiter.restore_original_limits


def _let_others_set_threads() -> None:
    """Let any thread set BLAS's threads next.  threadpoolctl 3.8 and later else ignore all but the first that did."""
    getattr(OpenBLASController, "clear_controlling_thread", lambda: None)()


one_blas_thread = _OneBlasThread()


def checked_threads(count: int | None) -> int:
    """Return how many threads are to compute; None: one for each processor.  Raises ConfigError."""
    most = available_threads()
    count = most if count is None else count
    if not 1 <= count <= most:
        raise ConfigError(f"`threads` is {count}; wants 1 to {most} on this machine")
    return count


def use_threads(count: int | None = None) -> int:
    """Set how many threads compute in this process, in the fast kernels and in BLAS alike.  Return the number.

    None: one for each processor, or NUMBA_NUM_THREADS if that is fewer.  Raises ConfigError for more than that.
    """
    count = checked_threads(count)
    set_threads(count)
    one_blas_thread.otherwise(count)
    return count
