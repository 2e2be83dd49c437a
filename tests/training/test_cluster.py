"""The same jobs on a Dask cluster: a real scheduler and real workers, some of which are killed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
from types import SimpleNamespace

import pytest
from clusters import dask_scheduler, said_of, wait_for_result, worker
from conftest import BACKEND, draw_digits, write_digits
from PIL import Image
from processes import ROOT, numcnn, running, wait_for, weights_below

import numcnn as package
from numcnn.commands import bulk_cluster
from numcnn.nn.network import load
from numcnn.recognition import bulk
from numcnn.recognition.file_reader import Item, Settings, digest_of
from numcnn.training import jobs

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'numcnn[cluster]'")

SETTINGS = ["--limit", "200", "--val", "50", "--batch-size", "30", "--backend", BACKEND]
GRID = ["--grid", "lr=1e-3,3e-3", "--seeds", "2", "--epochs", "3"]
# In a worker: another numcnn, of which all that is asked is its version; and none.
OTHER = (
    "import sys, types; other = types.ModuleType('numcnn'); other.__version__ = '0.0.7'; sys.modules['numcnn'] = other"
)
NONE = "import sys; sys.modules['numcnn'] = None"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("cluster") / "drawn"))


@pytest.fixture
def scheduler():
    with dask_scheduler() as found:
        yield found


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
        wait_for_result(out)  # so the next run is on its way
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


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (OTHER, r"has numcnn 0\.0\.7, and this is numcnn [\d.]+; install the same there"),
        (NONE, r"has no numcnn \(.*numcnn.*\); install it there, in a checkout: pip install -e '\.\[cluster\]'"),
    ],
    ids=["another", "none"],
)
def test_a_worker_of_another_version_or_without_numcnn_is_named(scheduler, drawn, tmp_path, script, text):
    _, address = scheduler
    (tmp_path / "other.py").write_text(script)
    with worker(address, tmp_path / "a", "--no-nanny", "--preload", tmp_path / "other.py") as (_, said):
        said_of(said, "(Registered to)")
        for command in (
            ["sweep", "--dataset", drawn, *GRID, *SETTINGS, "--out", tmp_path / "out"],
            ["predict", ROOT / ".github" / "pictures" / "seven.png"],
        ):
            done = numcnn(*command, "--cluster", address)
            assert done.returncode == 2
            assert re.fullmatch(rf"numcnn {command[0]}: the worker tcp://\S+ {text}\n", done.stderr)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ends", ["scheduler", "command"])
def test_a_scheduler_that_ends_or_ctrl_c_is_one_line_that_says_how_it_goes_on(scheduler, drawn, tmp_path, ends):
    process, address = scheduler
    sweep = ["sweep", "--dataset", drawn, *GRID, *SETTINGS, "--cluster", address, "--out"]
    goes_on = f"continue with: numcnn sweep --resume {tmp_path / 'out'} --cluster {address}"
    with worker(address, tmp_path / "a", "--no-nanny") as (_, said):
        said_of(said, "(Registered to)")
        with running("-m", "numcnn", *sweep, tmp_path / "out") as command:
            wait_for_result(tmp_path / "out")
            if ends == "scheduler":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                command.send_signal(signal.SIGINT)
            _, stderr = command.communicate()
    if ends == "scheduler":
        lost = f"numcnn sweep: the scheduler at {address} has ended or can't be reached any more; {goes_on}"
        assert command.returncode == 1 and stderr.splitlines()[-1] == lost, stderr
    else:
        assert command.returncode == 130
        assert stderr.splitlines()[-2:] == [goes_on, "numcnn sweep: interrupted"], stderr
    assert "Traceback" not in stderr and "distributed" not in stderr
    done = numcnn("sweep", "--resume", tmp_path / "out", "--jobs", "1")  # what is done there is done here, too
    assert done.returncode == 0 and len(weights_below(tmp_path / "out")) == 4


# In a worker: how its jobs end.  The first error can't be read here, as its class is in a file of the worker; over the
# second, Dask's client waits for ever; what caused the third can't be pickled.
RAISES = """
import os, sys, threading
from numcnn.commands import bulk_cluster
from numcnn.errors import DataError
from numcnn.training import train_job
class OfALibrary(Exception):
    def __init__(self, *others):
        super().__init__("what the library says")
        self.others = *others, {lock}
def fail(*_):
    if {kind!r} == "library":
        raise OfALibrary("needs", "these")
    if {kind!r} == "exit":
        sys.exit("the worker leaves")
    if {kind!r} == "system":
        raise OSError(28, "No space left on device", "/somewhere")
    raise DataError("a numcnn error in one line") from OfALibrary()
train_job._train_in = bulk_cluster._reader = fail
"""


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("library", r"RuntimeError: in a job on .*\nTraceback .*OfALibrary: what the library says"),
        ("exit", r"RuntimeError: in a job on .*\nTraceback .*SystemExit: the worker leaves"),
        ("system", r"\nnumcnn (sweep|predict): the worker tcp://\S+: No space left on device: /somewhere; [^\n]*"),
        ("numcnn", r"\nnumcnn (sweep|predict): the worker tcp://\S+: a numcnn error in one line"),
    ],
    ids=["library", "exit", "system", "numcnn"],
)
def test_whatever_a_job_raises_ends_the_command_with_its_text(scheduler, drawn, scans, tmp_path, kind, text):
    _, address = scheduler
    script = tmp_path / "raises.py"
    script.write_text(RAISES.format(kind=kind, lock="threading.Lock()" if kind == "numcnn" else ""))
    with worker(address, tmp_path / "a", "--no-nanny", "--preload", script) as (_, said):
        said_of(said, "(Registered to)")
        for command in (
            ["sweep", "--dataset", drawn, *GRID, *SETTINGS, "--out", tmp_path / "sweep"],
            reading(tmp_path / "out.jsonl"),
        ):
            with running("-m", "numcnn", *command, "--cluster", address, cwd=scans) as process:
                _, stderr = process.communicate()
            assert process.returncode == (2 if kind == "numcnn" else 1), stderr
            assert re.search(rf"{text}\n\Z", "\n" + stderr, re.DOTALL), stderr


# reading pictures

# In a worker: when it reads so many lists of pictures, or certain pictures, it kills itself in the middle, once
# the file ``hold``, if it is named, is there.
ENDS = """
import os, signal, time
from pathlib import Path
from numcnn.recognition.file_reader import FileReader
def end():
    while {hold!r} and not Path({hold!r}).exists():
        time.sleep(0.002)
    Path({mark!r}).touch()
    os.kill(os.getpid(), signal.SIGKILL)
def decode(self, index, item, *others, decoded=FileReader._decoded):  # bound now, as Dask runs this file twice
    return end() if item.path.endswith({pictures!r}) else decoded(self, index, item, *others)
def count(self, *others, answer=FileReader._answer, left=[{lists}]):
    left[0] -= 1
    return answer(self, *others) if left[0] else end()
FileReader._decoded, FileReader._answer = decode, count
"""


# In a worker: reads as a user for whom permissions count, as they don't for root.
NOBODY = """
import os
from numcnn.recognition.file_reader import FileReader
def read(self, items, read=FileReader.read):
    if os.geteuid() == 0:
        os.seteuid(65534)
    return read(self, items)
FileReader.read = read
"""


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A folder with ``scans``, 200 pictures and one that can't be read at the end, and with weights of its own."""
    parent = tmp_path_factory.mktemp("pictures")
    (parent / "scans").mkdir()
    for i, image in enumerate(draw_digits(200, 41)[0]):
        Image.fromarray(255 - image).save(parent / "scans" / f"{i:03}.png")
    (parent / "scans" / "torn.png").write_bytes((parent / "scans" / "020.png").read_bytes()[:60])
    package.Network([package.Flatten(), package.Dense(10)]).save(parent / "small.npz")
    return parent


def reading(out, *options, folder="scans"):
    return ["predict", folder, "--weights", "canonical", "--out", out, *options]


@contextlib.contextmanager
def ending_worker(address, folder, *options, lists=0, pictures=(), hold=""):
    """Run a worker that kills itself; the file ``ended`` in its folder says that it has."""
    folder.mkdir()
    script = folder / "ends.py"
    script.write_text(ENDS.format(lists=lists, pictures=pictures, hold=str(hold), mark=str(folder / "ended")))
    with worker(address, folder, "--preload", script, *options) as (_, said):
        said_of(said, "(Registered to|Start Nanny)")
        yield


def lines_of(stderr):
    lines = re.sub(r"in \d+\.\d s", "in some time", stderr).splitlines()
    return [line for line in lines if "has ended; what it had to do is done again" not in line]


def test_pictures_are_read_on_a_cluster_as_here_also_when_a_worker_is_killed(scheduler, scans, tmp_path):
    _, address = scheduler
    here = numcnn(*reading(tmp_path / "here.jsonl", "--workers", "1"), cwd=scans)
    with (
        ending_worker(address, tmp_path / "a", "--no-nanny", lists=2),
        running("-m", "numcnn", *reading(tmp_path / "there.jsonl", "--cluster", address), cwd=scans) as process,
    ):
        wait_for((tmp_path / "a" / "ended").exists, "the first worker to end over its second list")
        with worker(address, tmp_path / "b"):
            _, stderr = process.communicate()
    assert process.returncode == here.returncode == 2, stderr
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    assert (tmp_path / "there.jsonl").read_bytes().count(b"\n") == 200
    assert lines_of(stderr) == lines_of(here.stderr) and "scans/torn.png: damaged" in stderr


@pytest.mark.parametrize("ends", ["scheduler", "command"])
def test_if_the_cluster_is_lost_reading_goes_on_where_it_was_also_here(scheduler, scans, tmp_path, ends):
    process, address = scheduler
    numcnn(*reading(tmp_path / "here.jsonl", "--workers", "1"), cwd=scans)
    out, go_on = tmp_path / "out.jsonl", tmp_path / "go on"
    with (
        ending_worker(address, tmp_path / "a", "--no-nanny", lists=2, hold=go_on),
        running("-m", "numcnn", *reading(out, "--cluster", address), cwd=scans) as command,
    ):
        # A worker holds its answers until the command has taken them, so it may not end before.
        wait_for(lambda: out.exists() and out.read_bytes().count(b"\n") == 64, "the answers to the worker's first list")
        go_on.touch()
        wait_for((tmp_path / "a" / "ended").exists, "it to end over its second")
        if ends == "scheduler":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            command.send_signal(signal.SIGINT)
        _, stderr = command.communicate()
    if ends == "scheduler":
        lost = f"numcnn predict: the scheduler at {address} has ended or can't be reached any more; the same command"
        assert command.returncode == 1 and stderr.splitlines() == [f"{lost} goes on"]
    else:
        assert command.returncode == 130
        assert stderr.splitlines() == ["the same command goes on", "numcnn predict: interrupted"]
    done = numcnn(*reading(out), cwd=scans)
    assert lines_of(done.stderr)[-1] == "136 read in some time, 64 answered before, 1 failed, 1 without digits"
    assert out.read_bytes() == (tmp_path / "here.jsonl").read_bytes()


def test_where_nothing_is_left_to_read_no_cluster_need_be_there(scans, tmp_path):
    shutil.copy(scans / "scans" / "000.png", tmp_path)
    first = numcnn(*reading("out.jsonl", folder="000.png"), cwd=tmp_path)
    with socket.socket() as closed:  # nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        again = numcnn(*reading("out.jsonl", "--cluster", address, folder="000.png"), cwd=tmp_path)
    assert first.returncode == again.returncode == 0, again.stderr
    assert lines_of(again.stderr) == ["0 read in some time, 1 answered before, 0 failed"]


def test_pictures_over_which_workers_end_are_failures_and_all_others_are_read(scheduler, scans, tmp_path, monkeypatch):
    """A picture is read once the scheduler has all that was begun, so that each end of a worker counts for that."""
    _, address = scheduler
    go_on, futures = tmp_path / "go on", []

    @contextlib.contextmanager
    def engine():
        with jobs.cluster(address)() as executor:
            client = executor._client

            def submit(*job):
                go_on.unlink(missing_ok=True)
                future = executor.submit(*job)
                futures.append(future)
                return SimpleNamespace(result=lambda: result(future))

            def result(future):
                if not future.done():
                    wait_for(lambda: held() + sum(one.done() for one in futures) == len(futures), "all to be there")
                    go_on.touch()
                return future.result()

            def held():
                return client.run_on_scheduler(
                    lambda dask_scheduler: sum(
                        task.state in ("processing", "queued", "no-worker") for task in dask_scheduler.tasks.values()
                    )
                )

            yield SimpleNamespace(submit=submit)

    monkeypatch.chdir(scans / "scans")
    monkeypatch.setattr(bulk, "MOST_IN_CHUNK", 2)
    monkeypatch.setattr(bulk_cluster, "SHARDS_AHEAD", 2)
    settings = Settings(weights="canonical")
    items = [Item(f"{i:03}.png") for i in range(6)]
    fatal = ("000.png", "004.png")
    with ending_worker(address, tmp_path / "a", pictures=fatal, hold=go_on):  # which its nanny starts anew
        outcomes = list(bulk_cluster.read_on_cluster(items, settings, digest_of(load("canonical")), engine))
    assert [(one.path, len(one.lines)) for one in outcomes] == [(item.path, item.path not in fatal) for item in items]
    ended = "the process that read it ended (workers of the cluster, one after another); save the picture again as PNG"
    assert [one.failures for one in outcomes if one.failures] == [[f"{path}: {ended}"] for path in fatal]


@pytest.mark.skipif(not os.path.exists("/proc/self/cwd"), reason="needs a path that isn't the same for all processes")
def test_a_worker_that_sees_other_files_is_one_line(scheduler, scans, tmp_path):
    _, address = scheduler
    own, there = "/proc/self/cwd/small.npz", tmp_path / "there"
    there.mkdir()
    package.Network([package.Flatten(), package.Dense(10)], seed=5).save(there / "small.npz")
    with worker(address, tmp_path / "a", "--no-nanny", cwd=there) as (_, said):
        said_of(said, "(Registered to)")
        unseen = numcnn(
            *reading(tmp_path / "out.jsonl", "--cluster", address, folder="/proc/self/cwd/scans"), cwd=scans
        )
        others = numcnn(*reading(tmp_path / "out.jsonl", "--cluster", address, "--weights", own), cwd=scans)
        gone = numcnn(*reading(tmp_path / "gone.jsonl", "--cluster", address, folder="gone.png"), cwd=scans)
    assert unseen.returncode == others.returncode == gone.returncode == 2
    assert re.fullmatch(
        r"numcnn predict: the worker tcp://\S+ doesn't see /proc/self/cwd/scans/000.png as it is here; a cluster .*\n",
        unseen.stderr,
    )
    assert re.fullmatch(
        rf"numcnn predict: the worker tcp://\S+ has other weights {own} than this machine; .*\n", others.stderr
    )
    assert "gone.png: no such file; check the path\n" in gone.stderr and "as it is here" not in gone.stderr


@pytest.mark.skipif(not os.path.exists("/proc/self/cwd"), reason="needs a path that isn't the same for all processes")
@pytest.mark.parametrize("differs", ["size", "permission"])
def test_a_worker_that_has_another_file_or_may_not_read_it_is_one_line(scheduler, scans, tmp_path, differs):
    _, address = scheduler
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, picture in ((here, "000.png"), (there, "001.png" if differs == "size" else "000.png")):
        folder.mkdir()
        shutil.copy(scans / "scans" / picture, folder / "a.png")
    (there / "a.png").chmod(0o644 if differs == "size" else 0)
    (tmp_path / "nobody.py").write_text(NOBODY)
    assert differs == "permission" or (here / "a.png").stat().st_size != (there / "a.png").stat().st_size
    # Only where it matters: the libraries may be in a folder of root's own, which nobody can't load from.
    options = ["--no-nanny", *(["--preload", tmp_path / "nobody.py"] if differs == "permission" else [])]
    with worker(address, tmp_path / "a", *options, cwd=there) as (_, said):
        said_of(said, "(Registered to)")
        done = numcnn(*reading(tmp_path / "out.jsonl", "--cluster", address, folder="/proc/self/cwd/a.png"), cwd=here)
    assert done.returncode == 2
    assert re.fullmatch(
        r"numcnn predict: the worker tcp://\S+ doesn't see /proc/self/cwd/a.png as it is here; .*\n", done.stderr
    )
