"""One training over several processes, started by a real mpiexec: equal bytes, ranks that die or hang."""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BACKEND, write_digits
from processes import PATIENCE_SECONDS, ROOT, alive, read_until, running, wait_for

import numcnn
from numcnn.cli import main
from numcnn.training import ranks as ranks_of_mpi

pytest.importorskip("mpi4py", reason="mpi4py is not installed: pip install 'numcnn[mpi]'")
MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="there is no mpiexec")

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
SETTINGS = ["--limit", "200", "--val", "40", "--batch-size", "40", "--backend", BACKEND]
# The threads of a larger machine: results must not depend on how many really run at a time.
MANY_THREADS = """
import sys
from numcnn.kernels import thread_team
thread_team.available_threads = lambda: 4
from numcnn.cli import main
sys.exit(main(sys.argv[1:]))
"""
FULL_DISK = """
import errno, os, sys
from numcnn.training.run_folder import RunFolder
def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
RunFolder._write_all = full
from numcnn.cli import main
sys.exit(main(sys.argv[1:]))
"""
SLOW_START = """
import subprocess, sys
from numcnn.training.ranks import MpiRanks
ranks = MpiRanks()
ranks.timeout = 0.02
ranks.agree(lambda: subprocess.run([sys.executable, "-c", "import numcnn.training.session"], check=True) and None)
"""
LAST_WORDS = """
from numcnn.training import ranks
ranks.READ_SECONDS = 600
ranks.MpiRanks().fail("why")
"""
BATCH_NORM = """
import sys
import numpy as np
import numcnn
from numcnn import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from numcnn.kernels import thread_team
from numcnn.nn import data_parallel
from numcnn.training.ranks import MpiRanks, count_ranks
data_parallel.LEAST_FLOPS = 1
thread_team.set_threads(int(sys.argv[1]))
layers = [Conv2D(4, 3), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(), Dropout(0.2), Dense(10)]
network = numcnn.Network(layers, (28, 28, 1), seed=3, backend="fast")
rng = np.random.default_rng(5)
images, labels = rng.integers(0, 256, (59, 28, 28), np.uint8), np.arange(59) % 10
ranks = MpiRanks() if count_ranks() > 1 else None
network.train_together(ranks)
state = network.fit(images, labels, epochs=2, batch_size=25)
if ranks is None or ranks.rank == 0:
    print(network.params.tobytes().hex(), network.state.tobytes().hex(), state.history[-1]["train_loss"])
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("ranks") / "drawn"))


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory):
    """The weights of an undisturbed run of 30 epochs, in two processes of one thread."""
    out = tmp_path_factory.mktemp("whole") / "run"
    done = mpi(2, "-m", "numcnn", *train(drawn, out, 30))
    assert done.returncode == 0, done.stderr
    return (out / "best.npz").read_bytes()


def train(drawn, out, epochs, threads=1):
    return ["train", "--dataset", drawn, "--out", out, *SETTINGS, "--epochs", epochs, "--threads", threads]


def mpi(count, *arguments):
    """Run Python with these arguments in several processes of MPI; return the finished mpiexec."""
    command = [MPIEXEC, "-n", str(count), sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)


def processes_of(process):
    """Return the process ids of the ranks, which rank 0 says."""
    line = read_until(process.stderr, "processes, 1 thread each: ").splitlines()[-1]
    return [int(number) for number in re.findall(r", process (\d+)", line)]


def test_processes_times_threads_is_what_counts_not_which_is_which(drawn, tmp_path):
    for count, threads in ((1, 4), (2, 2), (4, 1)):
        arguments = [*train(drawn, tmp_path / f"{count}x{threads}", 2, threads), "--dropout", "0.2", "--augment", "0.3"]
        done = mpi(count, "-c", MANY_THREADS, *arguments, "--watch-gradients")
        assert done.returncode == 0, done.stderr
    names = ("1x4", "2x2", "4x1")
    assert len({(tmp_path / name / "best.npz").read_bytes() for name in names}) == 1
    more = ["--dropout", "0.2", "--augment", "0.3", "--reproducible"]
    if BACKEND == "fast":  # four shards, of which one of these three has two
        assert mpi(3, "-m", "numcnn", *train(drawn, tmp_path / "reproducible", 2), *more).returncode == 0
        again = numcnn.load(tmp_path / "reproducible" / "best.npz")
        assert again.sha256() == numcnn.load(tmp_path / "1x4" / "best.npz").sha256()
    for name in names:
        files = sorted(os.listdir(tmp_path / name))
        assert files == ["best.npz", "curves.png", "gradients.png", "last.npz", "log.csv", "run.json"]


@pytest.mark.skipif(BACKEND != "fast", reason="the reference kernels have one thread")
def test_batch_normalisation_and_shards_that_are_not_even(drawn):
    """25, 25 and 9 images in three shards; and the running statistics are those of all shards."""
    alone, three = mpi(1, "-c", BATCH_NORM, "3"), mpi(3, "-c", BATCH_NORM, "1")
    assert alone.returncode == 0 and three.returncode == 0, alone.stderr + three.stderr
    assert alone.stdout == three.stdout and len(alone.stdout) > 1000


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_if_a_rank_is_killed_all_end_and_a_restart_ends_in_the_same_bytes(rank, drawn, whole, tmp_path):
    out = tmp_path / "run"
    command = [*train(drawn, out, 30), "--processes", "2", "--restarts", "1"]
    with running("-m", "numcnn", *command) as process:
        ranks = processes_of(process)
        wait_for((out / "last.npz").exists, "the run to save")
        os.kill(ranks[rank], signal.SIGKILL)
        wait_for(lambda: not any(map(alive, ranks)), "all ranks to end")
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "one of the processes has ended (mpiexec's exit code: 9); restart 1 of 1" in stderr
    assert f"resuming {out} in epoch" in stderr and stdout.count("test accuracy") == 1
    assert (out / "best.npz").read_bytes() == whole
    assert not list(out.glob(".*"))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_hangs_is_named_within_the_timeout(rank, drawn, tmp_path):
    out = tmp_path / "run"
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "numcnn", *map(str, train(drawn, out, 500))]
    command += ["--rank-timeout", "10"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        ranks = processes_of(process)
        wait_for((out / "last.npz").exists, "the run to save")
        os.kill(ranks[rank], signal.SIGSTOP)
        stderr = process.stderr.read()
    assert process.returncode == 75, stderr
    assert re.search(rf"rank {rank} \(.*, process {ranks[rank]}\) didn't answer for 10 s", stderr), stderr
    wait_for(lambda: not any(map(alive, ranks)), "all ranks to end")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_signal_to_any_rank_saves_and_stops_all_after_the_same_step(drawn, whole, tmp_path):
    out = tmp_path / "run"
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "numcnn", *map(str, train(drawn, out, 30))]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        ranks = processes_of(process)
        wait_for((out / "last.npz").exists, "the run to save")
        os.kill(ranks[1], signal.SIGTERM)
        stdout, stderr = process.communicate()
    assert process.returncode == 143 and "test accuracy" not in stdout
    assert f"continue with: mpiexec -n 2 numcnn train --resume {out}" in stderr
    done = mpi(2, "-m", "numcnn", "train", "--resume", out)
    assert done.returncode == 0 and (out / "best.npz").read_bytes() == whole


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_launcher_that_is_stopped_lets_its_processes_save(number, code, drawn, whole, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "numcnn", *map(str, train(drawn, out, 30)), "--processes", "2", "--restarts", "1"]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        ranks = processes_of(process)
        wait_for((out / "last.npz").exists, "the run to save")
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        _, stderr = process.communicate()
    again = f"numcnn train --processes 2 --restarts 1 --resume {out}"
    assert process.returncode == code and f"continue with: {again}\n" in stderr, stderr
    assert not any(map(alive, ranks)) and "; restart" not in stderr and "BAD TERMINATION" not in stderr
    done = subprocess.run([sys.executable, "-m", *again.split()], env=ENVIRONMENT)
    assert done.returncode == 0 and (out / "best.npz").read_bytes() == whole


def test_loading_may_take_longer_than_the_timeout_of_a_step():
    done = mpi(2, "-c", SLOW_START)
    assert done.returncode == 0, done.stderr


def test_ranks_that_begin_with_other_weights_are_refused(drawn, whole, tmp_path):
    (tmp_path / "weights.npz").write_bytes(whole)
    command = [MPIEXEC]
    for more in (["--from", tmp_path / "weights.npz", ":"], []):
        command += ["-n", "1", sys.executable, "-m", "numcnn", *train(drawn, tmp_path / "run", 2), *more]
    done = subprocess.run(list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "run").exists()
    assert len(re.findall(r"rank 1 \(.*\) has the weights with the SHA-256 none, and rank 0 has", done.stderr)) == 1


def test_a_launcher_names_the_folder_as_a_run_alone_does_and_a_refused_one_makes_none(drawn, tmp_path):
    command = [
        sys.executable,
        "-m",
        "numcnn",
        "train",
        "--dataset",
        drawn,
        *SETTINGS,
        "--epochs",
        "1",
        "--threads",
        "1",
    ]
    for options, end in (
        (["--processes", "2", "--from", "nowhere.npz"], (2, [])),
        (["--processes", "2"], (0, ["drawn-canonical-1"])),
    ):
        done = subprocess.run([*command, *options], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True)
        assert (done.returncode, sorted(path.name for path in tmp_path.glob("runs/*"))) == end, done.stderr


def test_what_only_rank_0_can_not_do_ends_all(drawn, tmp_path):
    done = mpi(2, "-c", FULL_DISK, *train(drawn, tmp_path / "run", 500))
    assert done.returncode == 1
    assert len(re.findall(r"numcnn: rank 0 \(.*\): cannot write .*last.npz: No space left", done.stderr)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe doesn't tell its writer what is unread")
def test_what_a_rank_says_at_its_end_is_read_before_it_ends_all():
    with running("-c", LAST_WORDS, PMI_SIZE="1") as process:
        select.select([process.stderr], [], [])  # it has been said
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert "numcnn: rank 0" in process.stderr.readline()
        process.wait(PATIENCE_SECONDS)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a pipe doesn't tell its writer what is unread")
def test_what_nobody_reads_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(ranks_of_mpi, "READ_SECONDS", 0.05)
    source, target = os.pipe()
    os.write(target, b"why")
    ranks_of_mpi._wait_until_read(target)
    monkeypatch.setattr(ranks_of_mpi, "READ_SECONDS", PATIENCE_SECONDS)
    with open(os.devnull, "w") as no_pipe:
        ranks_of_mpi._wait_until_read(no_pipe.fileno())
    os.close(source)
    os.close(target)


def test_without_restarts_left_the_end_is_an_error(drawn, tmp_path):
    command = [*train(drawn, tmp_path / "run", 500), "--processes", "2"]
    with running("-m", "numcnn", *command) as process:
        ranks = processes_of(process)
        os.kill(ranks[1], signal.SIGKILL)
        _, stderr = process.communicate()
    assert process.returncode == 1
    assert stderr.splitlines()[-1].startswith(
        "numcnn train: one of the processes has ended (mpiexec's exit code: 9), and"
    )


def test_ranks_with_other_data_are_refused(drawn, tmp_path):
    other = write_digits(tmp_path / "other")
    with open(next(other.glob("train-images*")), "r+b") as file:
        file.seek(16)
        file.write(bytes(100_000))
    first, second = (train(data, tmp_path / "run", 2) for data in (drawn, other))
    command = [MPIEXEC, "-n", "1", sys.executable, "-m", "numcnn", *first, ":"]
    command += ["-n", "1", sys.executable, "-m", "numcnn", *second]
    done = subprocess.run(list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 2
    assert len(re.findall(r"rank 1 \(.*\) has the data set with the SHA-256 \w+, and rank 0 has", done.stderr)) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--seeds", "2"], "several processes train one network; leave out --seeds"),
        (["--restarts", "2"], "--restarts goes with --processes; add --processes"),
        (["--rank-timeout", "0"], "--rank-timeout is 0.0; wants a number of seconds above 0"),
        (["--lr", "-1"], "--lr is -1.0; wants a number above 0"),
        (["--threads", "0"], "--threads is 0; wants 1 to "),
    ],
)
def test_what_makes_no_sense_is_said_once(options, text, drawn):
    done = mpi(2, "-m", "numcnn", "train", "--dataset", drawn, *options)
    assert done.returncode == 2 and done.stderr.count(text) == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--restarts", "2"], "--restarts goes with --processes"),
        (["--processes", "1"], "--processes is 1; wants 2 to "),
        (["--processes", "2", "--threads", "0"], "--threads is 0; wants 1 to "),
        (["--processes", "2", "--restarts", "-1"], "--restarts is -1; wants 0 or more"),
        (["--processes", "2", "--seeds", "2"], "several processes train one network; leave out --seeds"),
    ],
)
def test_a_launcher_that_makes_no_sense_is_refused(options, text, drawn, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--dataset", drawn, *options]) == 2
    assert text in capsys.readouterr().err.splitlines()[-1] and not (tmp_path / "runs").exists()
