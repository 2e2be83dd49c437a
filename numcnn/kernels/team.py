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

    wait(counter, value): what a thread does before it sleeps; it may return once counter[0] isn't ``value`` any more.
    """

    def __init__(self, threads, wait=lambda counter, value: None):
        self.threads, self._wait = threads, wait
        self._jobs = queue.SimpleQueue()
        # How many jobs were given and finished so far: only for those who wait.  The queues decide.
        self._given, self._finished = np.zeros(1, np.int64), np.zeros(1, np.int64)
        for _ in range(threads - 1):
            threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            given = self._given[0]
            if self._jobs.empty():  # asked after the count was read: what comes now changes it
                self._wait(self._given, given)
            job = self._jobs.get()
            if job is None:
                return
            with np.errstate(over="ignore", invalid="ignore"):  # which a new thread doesn't take over
                for error in _do(*job[:2]):
                    job[2].put(error)
                    self._finished += 1

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
            self._wait(self._finished, finished)
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
_wait_awake = None


def wait_with(wait):
    """Let the threads of teams to come ``wait`` before they sleep: see ``Team``."""
    global _wait_awake
    _wait_awake = wait


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
    _team = Team(count, *filter(None, [_wait_awake]))


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
        self._blas = self._limit = None

    def __enter__(self):
        with self._lock:
            if self._inside == 0:
                if self._blas is None:
                    from threadpoolctl import ThreadpoolController

                    self._blas = ThreadpoolController()
                self._limit = self._blas.limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.restore_original_limits()


one_blas_thread = _OneBlasThread()
