"""A real Dask scheduler and real workers, each a process of its own, for the tests of ``--cluster``."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

from processes import PATIENCE_SECONDS, ROOT, wait_for


@contextlib.contextmanager
def dask(*arguments, cwd=os.sep, **environment):
    """Run a command of Dask in a process and folder of its own; give it, and the lines that it has said so far."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *map(str, arguments[1:])],
        cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    said = []

    def read():
        for line in iter(process.stderr.readline, ""):
            said.append(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, said
    finally:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join(PATIENCE_SECONDS)
        process.stderr.close()


def said_of(said, pattern):
    return wait_for(lambda: re.search(pattern, "".join(said)), f"Dask to say {pattern}")[1]


@contextlib.contextmanager
def dask_scheduler(*options):
    """Run a scheduler on a free port; give its process and address."""
    # A job whose worker ended twice is not tried a third time.
    environment = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show", *options]
    with dask("dask_scheduler", *options, **environment) as (process, said):
        yield process, said_of(said, r"Scheduler at:\s+(tcp://127.0.0.1:\d+)")


def worker(address, folder, *options, **others):
    options = ["--nthreads", "1", "--no-dashboard", "--local-directory", folder, *options]
    return dask("dask_worker", address, *options, **others)


def wait_for_result(sweep):
    """Wait for a run of a sweep to bring its files.  Not by ``rglob``: it fails over a folder that is renamed."""
    wait_for(lambda: list(sweep.glob("*/seed-*/run.json")), "the first result")
