"""How a Dask cluster is reached, and what is said where there is none, or none any more: real processes and sockets."""

import contextlib
import http.server
import os
import re
import signal
import socket
import threading

import pytest
from clusters import dask_scheduler, said_of, wait_for_result, worker
from conftest import BACKEND, write_digits
from processes import ROOT, read_until, running

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'numcnn[cluster]'")

SWEEP = ["sweep", "--grid", "lr=1e-3,3e-3", "--seeds", "2", "--epochs", "3", "--limit", "200", "--val", "50"]
PICTURE = ROOT / ".github" / "pictures" / "seven.png"
# A command with less patience.
SOON = """
import sys
from numcnn.cli import main
from numcnn.training import jobs
jobs.CONNECT_SECONDS, jobs.ALONE_SECONDS = float(sys.argv[1]), float(sys.argv[2])
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("reached") / "drawn"))


@contextlib.contextmanager
def nobody():
    """Give a port on which nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


@contextlib.contextmanager
def silent():
    """Give a port on which somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def web():
    """Give the port of a web server, as Dask's dashboard is one."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("listens", "code", "text"),
    [
        (nobody, 1, r"no Dask scheduler answers at {address} \(.*\); start one: dask scheduler"),
        (silent, 2, r"what is at {address} doesn't answer as a Dask scheduler; wants .*"),
        (web, 2, r"what is at {address} doesn't answer as a Dask scheduler; wants .*"),
    ],
)
def test_where_no_scheduler_answers_is_one_line_and_leaves_no_file(drawn, tmp_path, listens, code, text):
    sweep = [*SWEEP, "--dataset", drawn, "--out", "out"]
    with listens() as port:
        address = f"tcp://127.0.0.1:{port}"
        for command in (sweep, ["predict", PICTURE, "--out", "out.jsonl"]):
            with running("-c", SOON, 2, 30, *command, "--cluster", address, cwd=tmp_path) as process:
                _, stderr = process.communicate()
            assert process.returncode == code, stderr
            assert re.fullmatch(rf"numcnn {command[0]}: {text.format(address=address)}\n", stderr), stderr
    assert not os.listdir(tmp_path)


def test_a_worker_is_no_scheduler(drawn, tmp_path):
    with dask_scheduler() as (_, address), worker(address, tmp_path / "a", "--no-nanny") as (_, said):
        there = said_of(said, r"Start worker at:\s+(tcp://\S+)")
        command = [*SWEEP, "--dataset", drawn, "--cluster", there, "--out", tmp_path / "out"]
        with running("-m", "numcnn", *command) as process:
            _, stderr = process.communicate()
    assert process.returncode == 2 and f"what is at {there} doesn't answer as a Dask scheduler" in stderr


def test_a_scheduler_without_numcnn_is_one_line(drawn, tmp_path):
    (tmp_path / "none.py").write_text("import sys; sys.modules['numcnn'] = None")
    command = [*SWEEP, "--dataset", drawn, "--out", tmp_path / "out"]
    with (
        dask_scheduler("--preload", tmp_path / "none.py") as (_, address),
        worker(address, tmp_path / "a"),
        running("-m", "numcnn", *command, "--cluster", address) as process,
    ):
        _, stderr = process.communicate()
    assert process.returncode == 2
    assert re.fullmatch(rf"numcnn sweep: the scheduler {address} has no numcnn \(.*\); install it there, .*\n", stderr)


def test_a_cluster_without_workers_is_refused_in_time_and_leaves_no_folder(drawn, tmp_path):
    with dask_scheduler() as (_, address):
        command = [*SWEEP, "--dataset", drawn, "--cluster", address, "--out", tmp_path / "out"]
        with running("-c", SOON, 4, 30, *command) as process:
            _, stderr = process.communicate()
    assert process.returncode == 1
    waiting, refused = stderr.splitlines()
    assert waiting == f"waiting for a worker of {address}, up to 4 s"
    how = f"dask worker {address} --nthreads 1 --nworkers N"
    assert refused == f"numcnn sweep: {address} has no workers; start some: {how}"
    assert not (tmp_path / "out").exists()


def test_if_a_worker_is_lost_or_none_is_left_that_is_said_once_and_the_sweep_goes_on_with_the_next(drawn, tmp_path):
    command = [*SWEEP, "--dataset", drawn, "--backend", BACKEND, "--out", tmp_path / "out"]
    with (
        dask_scheduler() as (_, address),
        worker(address, tmp_path / "a", "--no-nanny") as (first, said),
        running("-c", SOON, 30, 0.1, *command, "--cluster", address) as process,
    ):
        name = said_of(said, r"Start worker at:\s+(\S+)")
        said_of(said, "(Registered to)")
        wait_for_result(tmp_path / "out")
        os.killpg(first.pid, signal.SIGKILL)
        alone = f"no workers left at {address}; waiting for one (Ctrl-C stops)"
        before = read_until(process.stderr, alone)
        lost = f"the worker {name} has ended; what it had to do is done again"
        assert before.count(lost) == 1, before
        with worker(address, tmp_path / "b", "--no-nanny"):
            _, stderr = process.communicate()
    assert process.returncode == 0 and alone not in stderr and "has ended" not in stderr, stderr
