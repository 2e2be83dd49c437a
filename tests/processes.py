"""What tests that start processes and threads share: waiting for what the other side does, and ending what was started.

No test sleeps until another process or thread will have got somewhere: it waits until that one has said so, or left
what it was to leave.  The deadline only turns a hang into a failure.
"""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numcnn as package

ROOT = Path(package.__file__).parents[1]
PATIENCE_SECONDS = 300


def wait_for(condition, what):
    """Wait until ``condition()`` is true, and return what it returned; ``what`` says in words what is waited for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS} s for {what}"
        time.sleep(0.002)
    return found


def numcnn(*arguments, cwd=None):
    """Run ``python -m numcnn``, in the folder ``cwd``; return the finished process."""
    command = [sys.executable, "-m", "numcnn", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


def weights_below(folder):
    """Return the bytes of each best.npz below a folder, by its path there."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("best.npz"))}


def alive(pid):
    """Return whether a process runs; a zombie has ended, and nobody has asked how."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def parents():
    """Return the parent of each process, by its id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    return found


def children(pid):
    """Return the ids of a process's children that compute: not the one with which multiprocessing tidies up."""
    found = []
    for child, parent in parents().items():
        with contextlib.suppress(OSError):
            if parent == pid and b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return found


def shown_on_terminal(*arguments, columns=80):
    """Run a numcnn command whose stderr is a terminal this wide -> its exit code, and the bytes that were shown."""
    import pty  # not on Windows
    import termios

    leader, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    command = [sys.executable, "-m", "numcnn", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = b""
    try:
        while some := os.read(leader, 4096):
            shown += some
    except OSError:  # how a pseudo-terminal says that the other end is closed
        pass
    os.close(leader)
    return process.wait(), shown


@contextlib.contextmanager
def running(
    *arguments, cwd=None, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environment
):
    """Run Python with these arguments in a process of its own; kill it when the block, or all patience, ends."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
    )
    watchdog = threading.Timer(PATIENCE_SECONDS, process.kill)  # so that no read waits for ever
    watchdog.daemon = True
    watchdog.start()
    with process:
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()  # does nothing once it has ended


def read_until(stream, text):
    """Read lines until one has ``text`` in it; return all that was read."""
    seen = ""
    for line in iter(stream.readline, ""):  # not ``for line in stream``, which would read ahead
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"no {text!r} in what was said:\n{seen}")


HOLD = """
import importlib, sys
from numcnn.cli import main
module, owner, name, calls = sys.argv[1:5]
owner, left = getattr(importlib.import_module(module), owner), int(calls)
method = getattr(owner, name)
def hold(*arguments):
    global left
    result, left = method(*arguments), left - 1
    if left == 0:
        print("held", file=sys.stderr, flush=True)
        sys.stdin.read()
    return result
setattr(owner, name, hold)
sys.exit(main(sys.argv[5:]))
"""


@contextlib.contextmanager
def held(owner, method, calls, *arguments):
    """Run a command of numcnn and hold it where a class's method has been called so many times.

    The process continues when its stdin is closed, as ``communicate`` does.  So a signal finds it in the middle of its
    work on any machine, however quick.
    """
    place = (owner.__module__, owner.__name__, method, calls)
    with running("-c", HOLD, *place, *arguments, stdin=subprocess.PIPE) as process:
        read_until(process.stderr, "held\n")
        yield process
