"""A team of Python threads that share a kernel's work between them.

Compiled kernels and BLAS both let go of the GIL, so plain threads run them side by side.  Numba's own parallel loops
would bring a second pool of threads beside BLAS's: the two spin against each other for the same cores (a training step
took 40 times as long while another process was busy), abort on some systems when two threads use them, die after a
fork, and compile far slower.  Here BLAS works with one thread, and each member of the team calls it on its own share.

The shares depend on the number of threads alone, and partial sums are added in the order of the shares, so results are
exactly repeatable for a fixed number of threads.
"""

import os
import queue
import threading

import numpy as np


def _do(task, shares):
    """Take shares, as long as there are any, and do them; yield None for each, or the error that it ended in."""
    for share in shares:  # an iterator of a list: taking one is a single step, which no other thread comes between
        try:
            task(*share)
        except BaseException as error:  # it is the caller's to raise, when all have let go of the arrays
            yield error
        else:
            yield None


class Team:
    """``threads`` workers, of which the caller is one.  ``share`` may be called from several threads at once.

    waiting: a module with ``wait_for_work`` and ``wait_for_others``, what threads do before they sleep: see
    ``fast_wait``.  None: they sleep at once.
    """

    def __init__(self, threads, waiting=None):
        self.threads, self._waiting = threads, waiting
        self._jobs = queue.SimpleQueue()
        # How many jobs were given and finished so far: only for those who wait.  The queues decide.
        self._given, self._finished = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for _ in range(threads - 1):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        number = 0  # shares just finished
        while True:
            given = self._given[0]
            # Whether there is a job is asked after the count was read: what comes now changes it.
            if self._waiting and (number or self._jobs.empty()):
                missed = 0 if self._jobs.empty() else 1
                self._waiting.wait_for_work(self._finished, number, self._given, given - missed)
            job = self._jobs.get()
            if job is None:
                return
            task, left, done = job
            number = 0
            with np.errstate(over="ignore", invalid="ignore"):  # which a new thread doesn't take over
                for error in _do(task, left):
                    done.put(error)
                    number += 1

    def share(self, size, task, least=1):
        """Cut ``range(size)`` into a share a thread, none smaller than ``least``; call ``task(number, first, last)``.

        A share is its number's, whichever thread comes to take it: one that is held up by other work on the machine
        leaves its share to the others.  Returns the number of shares when all are done.
        """
        parts = max(1, min(self.threads, size // least))
        shares = [(i, size * i // parts, size * (i + 1) // parts) for i in range(parts)]
        if parts == 1:
            task(*shares[0])
            return parts
        left, done, finished = iter(shares), queue.SimpleQueue(), self._finished[0]
        for _ in shares[1:]:
            self._jobs.put((task, left, done))
            self._given += 1
        errors = list(_do(task, left))
        if len(errors) < parts:
            if self._waiting:
                self._waiting.wait_for_others(self._finished, finished)
            errors += [done.get() for _ in range(parts - len(errors))]
        for error in errors:
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
_waiting = None


def wait_by(waiting):
    """Let the threads of teams to come wait as the functions in ``waiting`` do: see ``Team``."""
    global _waiting
    _waiting = waiting


def the_team():
    """Return the process's team, made on first use with a thread per processor."""
    if _team is None:
        set_threads(available_threads())
    return _team


def set_threads(count):
    """Let the fast kernels use ``count`` threads from now on."""
    global _team
    if _team is not None:
        if _team.threads == count:
            return
        _team.dismiss()
    _team = Team(count, _waiting)


def _after_fork():
    """Forget the team: a forked child has none of its parent's threads."""
    global _team
    _team = None


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
