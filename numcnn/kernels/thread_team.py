"""A team of Python threads that share a piece of work between them.

Compiled kernels and BLAS both let go of the GIL, so plain threads run them side by side.  Numba's own parallel loops
would bring a second pool of threads beside BLAS's: the two spin against each other for the same cores (a training step
took 40 times as long while another process was busy), abort on some systems when two threads use them, die after a
fork, and compile far slower.  Here BLAS works with one thread, and each member of the team calls it on its own share.

The shares depend on the number of threads alone; whose they are is left to chance.
"""

import os
import queue
import threading
import time

import numpy as np

from numcnn.errors import ConfigError


class _Job:
    """A task, its shares that nobody has taken yet, and of each that was done the error it ended in, or None."""

    def __init__(self, task, shares):
        self.task, self.left, self.errors = task, iter(shares), []
        self._done = queue.SimpleQueue()  # wakes who waits

    def do(self):
        """Take shares, as long as there are any, and do them.  Return how many."""
        count = 0
        for share in self.left:  # an iterator of a list: taking one is a single step that no thread comes between
            error = None
            try:
                self.task(*share)
            except BaseException as caught:  # it is the caller's to raise, when all have let go of the arrays
                error = caught
            finally:
                self.errors.append(error)
                self._done.put(None)
            count += 1
        return count

    def wait(self, shares):
        """Wait until so many shares are done."""
        for _ in range(shares):
            self._done.get()

    def end(self, shares):
        """Let nobody take another share, and return when those that were taken are done, whoever interrupts."""
        shares -= len(list(self.left))
        interruption = None
        while len(self.errors) < shares:
            try:
                time.sleep(0.001)
            except KeyboardInterrupt as caught:
                interruption = caught
        if interruption is not None:
            raise interruption


class Team:
    """``threads`` workers, of which the caller is one.  ``share`` may be called from several threads at once.

    waiting: a module with ``prepare``, ``wait_for_work``, ``wait_for_others``: what threads do before they sleep, see
    ``fast_wait``.  None: they sleep at once.
    """

    def __init__(self, threads, waiting=None):
        self.threads, self.waiting, self._ready = threads, waiting, False
        self._jobs = queue.SimpleQueue()
        # How many jobs were given, and shares finished, so far: only for those who wait.  The queues decide.
        self._given, self._finished = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for _ in range(threads - 1):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        finished = 0  # shares that this thread hasn't told of yet
        while True:
            given = self._given[0]
            # Whether there is a job is asked after the count was read: what comes now changes it.
            if self._ready and (finished or self._jobs.empty()):
                wanted = given + 1 if self._jobs.empty() else given
                self.waiting.wait_for_work(self._finished, finished, self._given, wanted)
            job = self._jobs.get()
            if job is None:
                return
            with np.errstate(over="ignore", invalid="ignore"):  # which a new thread doesn't take over
                finished = job.do()
            del job  # with the arrays that hang on it

    def share(self, size, task, least=1):
        """Cut ``range(size)`` into a share a thread, none smaller than ``least``; call ``task(number, first, last)``.

        A share is its number's, whichever thread comes to take it: one that is held up by other work on the machine
        leaves its share to the others.  Returns the number of shares when all are done, also when interrupted: nobody
        writes to the caller's arrays any more.
        """
        parts = max(1, min(self.threads, size // least))
        shares = [(i, size * i // parts, size * (i + 1) // parts) for i in range(parts)]
        if parts == 1:
            task(*shares[0])
            return parts
        if self.waiting and not self._ready:
            # Here, for a thread that is compiling holds a lock that a forked child would find taken for ever.
            self.waiting.prepare()
            self._ready = True
        job, finished = _Job(task, shares), self._finished[0]
        try:
            for _ in shares[1:]:
                self._jobs.put(job)
                self._given += 1
            own = job.do()
            if self._ready and own < parts:
                self.waiting.wait_for_others(self._finished, finished + parts - own)
            job.wait(parts)
        finally:
            job.end(parts)
        for error in job.errors:
            if error is not None:
                raise error
        return parts

    def dismiss(self):
        """End the threads once they have nothing to do."""
        for _ in range(self.threads - 1):
            self._jobs.put(None)


def available_threads():
    """Return how many threads may compute: the processors of this process, or what NUMBA_NUM_THREADS says if fewer."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(count, int(limit)) if limit.isdigit() and int(limit) > 0 else count


_team = None
_making = threading.Lock()
_waiting = None


def wait_by(waiting):
    """Let the process's team wait as the functions in ``waiting`` do: see ``Team``."""
    global _waiting
    _waiting = waiting
    if _team is not None:
        _team.waiting = waiting


def the_team():
    """Return the process's team, made on first use with a thread per processor."""
    if _team is None:
        set_threads(available_threads(), unless_made=True)
    return _team


def set_threads(count, unless_made=False):
    """Let the fast kernels use ``count`` threads from now on.  ``unless_made``: only if there is no team yet."""
    global _team
    with _making:  # two threads that come first must not make two teams
        if _team is not None:
            if unless_made or _team.threads == count:
                return
            _team.dismiss()
        _team = Team(count, _waiting)


def _after_fork():
    """Forget the team: a forked child has none of its parent's threads, which may have held locks."""
    global _team, _making
    _team, _making = None, threading.Lock()
    one_blas_thread.renew_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class _OneBlasThread:
    """Keep BLAS to the thread that calls it, as long as anybody is inside: the team is parallel already.

    BLAS has one setting for the whole process, so the first to enter makes it and the last to leave takes it back.
    """

    def __init__(self):
        self._lock, self._inside = threading.Lock(), 0
        self._blas = self._limit = self._otherwise = None

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                self._limit = self._set(1)
            self._inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.restore_original_limits()
                if self._otherwise is not None:
                    self._set(self._otherwise)

    def renew_lock(self):
        """Forget who holds the lock: in a forked child, a thread that isn't there."""
        self._lock = threading.Lock()

    def otherwise(self, threads):
        """Let BLAS have so many threads when nobody is inside."""
        with self._lock:
            self._otherwise = threads
            if self._inside == 0:
                self._set(threads)

    def _set(self, threads):
        if self._blas is None:
            from threadpoolctl import ThreadpoolController

            self._blas = ThreadpoolController()
        return self._blas.limit(limits=threads, user_api="blas")


one_blas_thread = _OneBlasThread()


def use_threads(count=None):
    """Set how many threads compute in this process, in the fast kernels and in BLAS alike.  Return the number.

    None: one for each processor, or what NUMBA_NUM_THREADS says.  Raises ConfigError for more than that.
    """
    import numpy  # noqa: F401  (loads BLAS, whose threads are set below)

    most = available_threads()
    count = most if count is None else count
    if not 1 <= count <= most:
        raise ConfigError(f"`threads` is {count}; wants 1 to {most} on this machine")
    set_threads(count)
    one_blas_thread.otherwise(count)
    return count
