"""The thread team: every part runs once, errors are passed on, results depend on the number of threads alone."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
import threadpoolctl
from conftest import COMPILED
from processes import PATIENCE_SECONDS, wait_for

from numcnn.errors import ConfigError
from numcnn.kernels import thread_team
from numcnn.kernels.fast import ops, spin_wait
from numcnn.kernels.thread_team import use_threads


@pytest.fixture(autouse=True)
def restore_the_team():
    yield
    thread_team.set_threads(thread_team.available_threads())


# How long a part takes that the caller has to wait for: a caller that didn't wait would return before it ends.
BUSY_SECONDS = 0.1


@pytest.fixture(params=[None, spin_wait] if COMPILED else [None])
def make_team(request):
    """Return a function that makes a team whose threads sleep at once, or spin first; end all teams afterwards."""
    teams = []

    def made(threads):
        teams.append(thread_team.ThreadTeam(threads, request.param))
        return teams[-1]

    yield made
    for members in teams:
        members.dismiss()


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize(("size", "least"), [(0, 1), (1, 1), (7, 1), (7, 4), (1000, 1)])
def test_parts_cover_everything_once_and_in_order(threads, size, least, make_team):
    members, parts = make_team(threads), []
    count = members.run_parallel(size, lambda *part: parts.append(part), least)
    parts.sort()
    assert count == len(parts) <= threads
    assert [number for number, _, _ in parts] == list(range(count))
    assert [i for _, first, last in parts for i in range(first, last)] == list(range(size))
    assert all(last - first >= least for _, first, last in parts) or count == 1


def test_the_work_is_done_by_several_threads_at_once(make_team):
    # Passes only if three threads wait at it at the same time.
    together = threading.Barrier(3, timeout=PATIENCE_SECONDS)
    members = make_team(3)
    for pause in (0, 0, 0.05, 0, 0.001, 0):  # threads that still spin, and threads that sleep
        members.run_parallel(3, lambda *part: together.wait())
        time.sleep(pause)


def test_an_error_in_any_part_reaches_the_caller_after_all_have_ended(make_team):
    failing, ended = threading.Event(), []

    def task(number, first, last):
        if number == 1:
            failing.set()
            raise ValueError("part 1")
        assert failing.wait(PATIENCE_SECONDS)
        time.sleep(BUSY_SECONDS)
        ended.append(number)

    with pytest.raises(ValueError, match="part 1"):
        make_team(3).run_parallel(3, task)
    assert sorted(ended) == [0, 2]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot interrupt a thread")
def test_when_interrupted_it_returns_after_all_have_ended(make_team):
    began, interrupted, ended = threading.Event(), threading.Event(), []

    def task(number, first, last):
        if threading.current_thread() is threading.main_thread():
            assert began.wait(PATIENCE_SECONDS)  # so that the other thread has its part
            interrupted.set()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(PATIENCE_SECONDS)  # is broken off
        began.set()
        assert interrupted.wait(PATIENCE_SECONDS)
        time.sleep(BUSY_SECONDS)
        ended.append(number)

    members = make_team(2)
    with pytest.raises(KeyboardInterrupt):
        members.run_parallel(2, task)
    assert len(ended) == 1
    assert members.run_parallel(2, lambda *part: ended.append(part)) == 2
    assert len(ended) == 3


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system cannot interrupt a thread")
def test_when_interrupted_while_waiting_for_the_others_too(make_team):
    caller, began, ended = threading.main_thread().ident, threading.Event(), []

    def waits():
        return sys._current_frames()[caller].f_code is thread_team._Job.wait.__code__

    def task(number, first, last):
        if threading.current_thread() is threading.main_thread():
            assert began.wait(PATIENCE_SECONDS)
            return
        began.set()
        wait_for(waits, "the caller to wait")
        signal.pthread_kill(caller, signal.SIGINT)
        time.sleep(BUSY_SECONDS)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        make_team(2).run_parallel(2, task)
    assert len(ended) == 1


def test_a_team_at_rest_holds_on_to_nothing(make_team):
    members, kept = make_team(3), []

    class Large:
        pass

    def use():
        large = Large()
        kept.append(weakref.ref(large))
        members.run_parallel(3, lambda number, first, last: large)

    use()
    wait_for(lambda: kept[0]() is None, "the threads to let go")


@pytest.mark.skipif(not COMPILED, reason="only compiled code spins")
def test_the_processs_team_spins_whenever_it_was_made():
    code = """
from numcnn.kernels.thread_team import use_threads
from numcnn.kernels import thread_team as team
use_threads()
early = team.the_team()
from numcnn.kernels.fast import ops, spin_wait
assert team.the_team() is early and early.spin is spin_wait
team.set_threads(3)
assert team.the_team().spin is spin_wait
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_SECONDS)


def test_two_threads_may_use_one_team_at_once(make_team):
    members, sums = make_team(2), {}

    def use(name):
        for _ in range(200):
            parts = [0, 0]

            def task(number, first, last, parts=parts):
                parts[number] = sum(range(first, last))

            members.run_parallel(100, task)
            sums.setdefault(name, []).append(sum(parts))

    threads = [threading.Thread(target=use, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(total == 4950 for totals in sums.values() for total in totals)
    assert sum(map(len, sums.values())) == 800


def test_blas_keeps_to_one_thread_while_computing_whatever_is_set_meanwhile():
    def blas_threads():
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    most = thread_team.available_threads()
    with ops.computing():
        use_threads(most)
        assert blas_threads() == {1}
        with ops.computing():
            pass
        assert blas_threads() == {1}
    assert blas_threads() == {most}
    use_threads(1)
    with ops.computing():
        use_threads(most)
    assert blas_threads() == {most}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_are_exactly_repeatable_for_a_number_of_threads(threads):
    thread_team.set_threads(threads)
    rng = np.random.default_rng(0)
    x, w = (
        rng.standard_normal((8, 20, 20, 16)).astype(np.float32),
        rng.standard_normal((3, 3, 16, 8)).astype(np.float32),
    )
    dout = rng.standard_normal((8, 18, 18, 8)).astype(np.float32)
    results = []
    for _ in range(3):
        dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty(8, np.float32)
        with ops.computing():
            ops.conv2d_backward(dout, x, w, dx, dw, db, (1, 1))
        results.append(dx.tobytes() + dw.tobytes() + db.tobytes())
    assert len(set(results)) == 1


def test_threads_are_set_for_the_team_and_blas_alike():
    from threadpoolctl import threadpool_info

    assert use_threads(1) == 1
    assert thread_team.the_team().threads == 1
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} <= {1}
    most = thread_team.available_threads()
    assert use_threads() == most == thread_team.the_team().threads
    for wrong in (0, most + 1):
        with pytest.raises(ConfigError, match=f"`threads` is {wrong}; wants 1 to {most} on this machine"):
            use_threads(wrong)


def test_numba_num_threads_is_respected():
    code = "from numcnn.kernels import thread_team as team; print(team.the_team().threads)"
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1"}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout == "1\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_gets_a_team_of_its_own():
    # In a process of its own: pytest's has threads that a fork would not take along.
    code = """
import os, numpy as np
from numcnn.kernels import thread_team as team
from numcnn.kernels.fast import ops as fast
team.set_threads(2)
x = np.random.default_rng(0).standard_normal(300_000); out = x.copy()
fast.add(out, x)
pid = os.fork()
again = x.copy()
fast.add(again, x)
assert (again == out).all() and (out == 2 * x).all()
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=PATIENCE_SECONDS)
