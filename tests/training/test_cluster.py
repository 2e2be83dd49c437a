"""The same jobs on a Dask cluster: a real scheduler and real workers, some of which are killed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from conftest import BACKEND, write_digits
from processes import PATIENCE_SECONDS, ROOT, numcnn, running, wait_for, weights_below

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'numcnn[cluster]'")

SETTINGS = ["--limit", "200", "--val", "50", "--batch-size", "30", "--backend", BACKEND]
GRID = ["--grid", "lr=1e-3,3e-3", "--seeds", "2", "--epochs", "3"]
# Another numcnn: all that a worker is asked is its version.
OTHER = (
    "import sys, types; other = types.ModuleType('numcnn'); other.__version__ = '0.0.7'; sys.modules['numcnn'] = other"
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("cluster") / "drawn"))


@contextlib.contextmanager
def dask(*arguments, **environment):
    """Run a command of Dask in a process of its own; give it, and the lines that it has said so far."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + arguments[0], *map(str, arguments[1:])],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
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


@pytest.fixture
def scheduler():
    with dask("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show") as (process, said):
        yield process, said_of(said, r"Scheduler at:\s+(tcp://127.0.0.1:\d+)")


def worker(address, folder, *options, **environment):
    options = ["--nthreads", "1", "--no-dashboard", "--local-directory", folder, *options]
    return dask("dask_worker", address, *options, **environment)


def test_a_sweep_on_a_cluster_ends_as_one_here_also_when_a_worker_is_killed(scheduler, drawn, tmp_path):
    _, address = scheduler
    sweep = ["sweep", "--dataset", drawn, *GRID, *SETTINGS]
    alone = numcnn(*sweep, "--jobs", "1", "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    out = tmp_path / "sweep"
    with (
        worker(address, tmp_path / "a", "--no-nanny") as (first, said),
        running("-m", "numcnn", *sweep, "--cluster", address, "--out", out) as process,
    ):
        said_of(said, "(Registered to)")
        wait_for(lambda: list(out.rglob("run.json")), "the first result")  # so the next run is on its way
        os.killpg(first.pid, signal.SIGKILL)
        with worker(address, tmp_path / "b"):
            _, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert weights_below(out) == weights_below(tmp_path / "alone") and len(weights_below(out)) == 4
    tables = [json.loads((folder / "results.json").read_text())["rows"] for folder in (out, tmp_path / "alone")]
    assert [row["val_accuracy"] for row in tables[0]] == [row["val_accuracy"] for row in tables[1]]
    for card in out.rglob("run.json"):
        assert json.loads(card.read_text())["weights"] == str(card.parent / "best.npz")
    lines = [
        re.findall(r"^lr=\S+ seed \d: validation accuracy \S+,", text, re.MULTILINE) for text in (stderr, alone.stderr)
    ]
    assert sorted(lines[0]) == sorted(lines[1]) and len(lines[0]) == 4
    assert not list(out.rglob(".*")), "nothing half-written stays"


def test_a_worker_of_another_version_is_refused_with_both_named(scheduler, drawn, tmp_path):
    _, address = scheduler
    (tmp_path / "other.py").write_text(OTHER)
    with worker(address, tmp_path / "a", "--no-nanny", "--preload", tmp_path / "other.py") as (_, said):
        said_of(said, "(Registered to)")
        done = numcnn("sweep", "--dataset", drawn, *GRID, *SETTINGS, "--cluster", address, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert re.search(r"the worker tcp://\S+ has numcnn 0\.0\.7, and this is numcnn \d+\.\d+\.\d+; install", done.stderr)
    assert not list((tmp_path / "out").rglob("best.npz"))


def test_a_scheduler_that_ends_or_is_not_there_is_one_line(scheduler, drawn, tmp_path):
    process, address = scheduler
    sweep = ["sweep", "--dataset", drawn, *GRID, *SETTINGS, "--cluster", address, "--out"]
    with worker(address, tmp_path / "a", "--no-nanny") as (_, said):
        said_of(said, "(Registered to)")
        with running("-m", "numcnn", *sweep, tmp_path / "out") as command:
            wait_for(lambda: list((tmp_path / "out").rglob("run.json")), "the first result")
            os.killpg(process.pid, signal.SIGKILL)
            _, stderr = command.communicate()
    assert command.returncode == 1, stderr
    assert stderr.splitlines()[-1].startswith(f"numcnn sweep: the cluster {address} lost a job")
    done = numcnn("sweep", "--resume", tmp_path / "out", "--jobs", "1")  # what is done there is done here, too
    assert done.returncode == 0 and len(weights_below(tmp_path / "out")) == 4
