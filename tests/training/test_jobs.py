"""Independent jobs in real processes: what each worker may use, what happens when some are killed."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_digits
from processes import children, wait_for

from numcnn.data.mnist import UnavailableError
from numcnn.errors import CheckpointError, ConfigError, DataError, DivergedError
from numcnn.files import FolderLock, atomic_write
from numcnn.kernels import reference
from numcnn.training import jobs, run_folder, train_job
from numcnn.training.config import TrainConfig
from numcnn.training.run_folder import RunFolder, load_run
from numcnn.training.session import Session
from numcnn.training.train_job import TrainJob

CONFIG = TrainConfig(epochs=2, batch_size=30, limit=200, val=50, test=False, backend="reference")
WEIGHTS = ("best.npz", "last.npz")

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX does"),
    pytest.mark.usefixtures("no_tracker"),
]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("jobs") / "drawn"))


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory):
    """The hashes of best.npz for seeds 0 and 1, trained in a worker that nobody disturbs."""
    folder = tmp_path_factory.mktemp("whole")
    for _, found in jobs.run_all(train_job.train, [job_in(folder, drawn, seed) for seed in (0, 1)], jobs.local(1)):
        assert found.card is not None
    return weights(folder)


def job_in(folder, drawn, seed=0, **changes):
    return TrainJob(folder / f"seed-{seed}", replace(CONFIG, seed=seed), drawn, **changes)


def weights(folder):
    return [hash_of(folder / f"seed-{seed}" / "best.npz") for seed in (0, 1)]


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def double(number):
    return 2 * number


def in_a_worker(_):
    """Return what a worker is: its process, its variables, and whether they were there before NumPy."""
    code = "import os; print(os.environ['OPENBLAS_NUM_THREADS'])"
    below = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    from threadpoolctl import threadpool_info

    blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
    return os.getpid(), [os.environ.get(name) for name in jobs.THREAD_VARIABLES], below.strip(), blas


def die(path):
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(path):
    """Return whether the process that did this before was killed, which the first one is."""
    if path.exists():
        return True
    path.touch()
    die(path)


def leave(code):
    os._exit(code)


def fail(path):
    raise DataError(f"{path} is damaged")


def find_no_data(path):
    raise UnavailableError(f"nobody answers for {path}.", "no network")


def wait_for_ever_in_a_worker():
    try:
        list(jobs.run_all(wait, [threading.TIMEOUT_MAX], jobs.local(1)))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def decides_about_ctrl_c(pid):
    """Return whether a process handles or ignores SIGINT, as each Python does from its start on."""
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(status["SigCgt"], 16) | int(status["SigIgn"], 16)) >> (signal.SIGINT - 1) & 1


def wait(seconds):
    threading.Event().wait(seconds)


class OfALibrary(Exception):
    """Can be pickled, but not read again: it wants two arguments and has one."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


def fail_as_a_library_does(job):
    raise OfALibrary("what it", job)


def error_of(work, job):
    """Return the error in which a job ends, as text.  A process of its own: the error keeps its pool alive."""
    code = f"""
import sys
sys.path[:0] = {sys.path!r}
from numcnn.training import jobs
import test_jobs
try:
    list(jobs.run_all(test_jobs.{work.__name__}, [{job!r}], jobs.local(1)))
except Exception as error:
    print(repr(error))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def train_killed_once(job):
    """Train; but the first process that does is killed right after the third save."""
    mark, saves, write = job.folder.with_suffix(".killed"), [], RunFolder._write_all

    def write_and_die(*arguments):
        write(*arguments)
        saves.append(1)
        if len(saves) == 3 and not mark.exists():
            mark.touch()
            die(mark)

    run_folder.SAVE_SECONDS, run_folder.MOST_COST = 0.0, 1e9
    RunFolder._write_all = write_and_die
    try:
        return train_job.train(job)
    finally:
        RunFolder._write_all = write


def train_told_to_end_while_it_draws(job):
    """Train; SIGTERM comes while the curves are half-written, as when Ctrl-C ends a sweep."""

    def save(figure, path):
        with open(job.folder.with_suffix(".drawings"), "a") as log, atomic_write(path) as file:
            log.write("1")
            log.flush()
            os.kill(os.getpid(), signal.SIGTERM)
            figure.savefig(file)

    run_folder.plots.save = save
    return train_job.train(job)


def test_workers_are_other_processes_and_have_the_threads_that_they_are_given(monkeypatch):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    ((_, (pid, variables, below, blas)),) = jobs.run_all(in_a_worker, [0], jobs.local(1, threads=1))
    assert pid != os.getpid() and variables == ["1"] * 4 and below == "1" and set(blas) <= {1}
    assert dict(os.environ) == before


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
def test_ctrl_c_while_a_worker_starts_is_heard_by_the_parent_alone():
    code = f"import sys; sys.path[:0] = {sys.path!r}; import test_jobs; test_jobs.wait_for_ever_in_a_worker()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        (worker,) = wait_for(lambda: children(run.pid), "a worker")
        wait_for(lambda: decides_about_ctrl_c(worker), "the worker's Python to start")
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        _, stderr = run.communicate()
    assert (run.returncode, stderr) == (130, "interrupted\n")


def test_jobs_whose_worker_is_killed_are_done_again_and_each_result_comes_once(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    found = list(jobs.run_all(die_once, paths, jobs.local(1)))
    assert sorted(found) == [(path, True) for path in paths]


@pytest.mark.compiled
def test_a_job_that_kills_every_worker_ends_in_an_error():
    start = "WorkerError('workers ended 4 times in a row and no job was done between; 1 are left; the last one "
    assert error_of(die, "x") == f"{start}was killed (SIGKILL), as the system does where memory is short')\n"
    assert error_of(leave, 3) == f"{start}ended with exit code 3')\n"


@pytest.mark.skipif(not hasattr(os, "waitpid") or os.name == "nt", reason="processes end otherwise there")
def test_how_a_worker_ended_is_known_though_another_thread_was_told_first():
    process = multiprocessing.get_context("spawn").Process(target=die, args=("x",))
    process.start()
    os.waitpid(process.pid, 0)  # what the executor's own thread may do; it passes the code on when it runs again
    passed_on = threading.Timer(0.1, setattr, [process._popen, "returncode", -signal.SIGKILL])
    passed_on.start()
    text = jobs._how_ended(SimpleNamespace(_processes={process.pid: process}))
    passed_on.join()
    process.join()
    assert text.startswith("the last one was killed (SIGKILL)")


def test_a_step_may_come_before_augmentation_and_changes_nothing(drawn, tmp_path, monkeypatch):
    called = []
    for name in ("augment_images", "dense_backward"):
        kernel = getattr(reference, name)
        monkeypatch.setattr(reference, name, lambda *a, n=name, k=kernel, **o: called.append(n) or k(*a, **o))
    found = []
    for step_first in (False, True):
        called.clear()
        job = job_in(tmp_path / str(step_first), drawn, step_first=step_first)
        train_job.train(replace(job, config=replace(job.config, augment=0.5)))
        found.append((called[0], hash_of(tmp_path / str(step_first) / "seed-0" / "best.npz")))
    assert found == [("augment_images", found[0][1]), ("dense_backward", found[0][1])]


def test_every_second_training_that_is_left_begins_with_a_step(drawn, tmp_path):
    work, begun = [job_in(tmp_path, drawn, seed) for seed in range(4)], []
    train_job.train(work[0])
    train_job.run_all(
        work, lambda: ThreadPoolExecutor(1), lambda job, _: begun.append((job.config.seed, job.step_first))
    )
    assert begun == [(0, False), (1, False), (2, True), (3, False)]


def test_the_error_of_a_job_arrives():
    assert error_of(fail, "x") == "DataError('x is damaged')\n"
    assert error_of(find_no_data, "x").startswith("DataError('MNIST is not on this machine")  # not as its own class


def test_an_error_that_cannot_be_read_here_arrives_as_text():
    error = error_of(fail_as_a_library_does, "wants")
    assert error.startswith("RuntimeError(") and "in fail_as_a_library_does" in error
    assert error.endswith("test_jobs.OfALibrary: what it wants')\n")


@pytest.mark.parametrize("count", [0, -1, 10_000])
def test_a_senseless_number_of_workers_is_refused(count):
    with pytest.raises(ConfigError, match=f"`jobs` is {count}; wants 1 to "):
        jobs.local(count)


@pytest.mark.compiled
def test_trainings_whose_worker_is_killed_go_on_from_their_last_save_to_the_same_bytes(drawn, whole, tmp_path):
    work = [job_in(tmp_path, drawn, seed) for seed in (0, 1)]
    steps = []
    for job, found in jobs.run_all(train_killed_once, work, jobs.local(1)):
        steps.append(found.card["seed"])
        assert job.folder.with_suffix(".killed").exists() and found.card["threads"] == 1
        assert not [path for path in job.folder.iterdir() if path.name.startswith(".")]
    assert sorted(steps) == [0, 1] and weights(tmp_path) == whole


def test_a_worker_that_is_told_to_end_while_it_draws_finishes_its_drawing(drawn, tmp_path):
    job = job_in(tmp_path, drawn)
    ((_, found),) = jobs.run_all(train_told_to_end_while_it_draws, [job], jobs.local(1))
    assert found.card is not None and (job.folder / "curves.png").stat().st_size > 1000
    assert job.folder.with_suffix(".drawings").read_text() == "1"  # the next worker had nothing left to do
    assert not [path for path in job.folder.iterdir() if path.name.startswith(".")]


def test_a_folder_that_another_worker_is_about_to_leave_is_waited_for(drawn, tmp_path, monkeypatch):
    """That worker saves there for the first time while this one waits."""
    train_job.train(job_in(tmp_path / "done", drawn))
    folder = tmp_path / "seed-0"
    folder.mkdir()
    tried = threading.Event()

    class Lock(FolderLock):
        def __init__(self, folder):
            tried.set()
            super().__init__(folder)

    monkeypatch.setattr(train_job, "FolderLock", Lock)
    others = FolderLock(folder)
    with ThreadPoolExecutor(1) as threads:
        found = threads.submit(train_job.train, job_in(tmp_path, drawn))
        wait_for(lambda: tried.is_set() or found.done(), "the worker to look at the folder")
        for name in ("best.npz", "log.csv", "last.npz"):
            shutil.copy(tmp_path / "done" / "seed-0" / name, folder)
        others.release()
        assert found.result().card is not None
    assert hash_of(folder / "best.npz") == hash_of(tmp_path / "done" / "seed-0" / "best.npz")


def test_a_job_is_a_function_of_its_settings_wherever_it_runs(drawn, whole, tmp_path):
    """Where the worker has no disk in common with us, its files come back and get their name when all are there."""
    here = job_in(tmp_path, drawn, in_place=False)
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "last.npz").write_bytes(b"of a run that was begun here and stopped")
    (tmp_path / ".seed-0.abcdefgh.tmp").mkdir()  # a killed process left it
    done = []
    found = train_job.run_all([here], jobs.local(1), lambda job, trained: done.append(load_run(job.folder).card))
    assert hash_of(here.folder / "best.npz") == whole[0]
    assert found[here.folder].card["weights"] == str(here.folder / "best.npz")
    assert done[0] == found[here.folder].card
    assert os.listdir(tmp_path) == ["seed-0"] and {*WEIGHTS, "run.json", "log.csv"} <= set(os.listdir(here.folder))


def test_a_finished_run_is_only_read(drawn, tmp_path):
    job = job_in(tmp_path, drawn)
    first = train_job.train(job)
    stamps = {path: path.stat().st_mtime_ns for path in job.folder.iterdir()}
    assert train_job.train(job).card == first.card
    assert {path: path.stat().st_mtime_ns for path in job.folder.iterdir()} == stamps


def test_workers_without_this_disk_are_told_which_data_unfinished_runs_need(drawn, tmp_path):
    done, to_do = job_in(tmp_path / "done", drawn), job_in(tmp_path / "to_do", drawn)
    other = job_in(tmp_path / "other", drawn, seed=1)
    for job in (done, other):
        train_job.train(job)
    found = train_job.without_shared_disk([done, to_do, other], lambda line: None)
    assert [job.dataset_sha256 is None for job in found] == [False, False, True]
    assert found[0].dataset_sha256 == found[1].dataset_sha256 and not any(job.in_place for job in found)


def test_a_run_with_other_settings_is_refused_also_if_it_is_unfinished(drawn, tmp_path):
    job = job_in(tmp_path, drawn)
    train_job.train(job)
    other = replace(job, config=replace(job.config, lr=0.5))
    for _ in ("finished", "unfinished"):
        with pytest.raises(CheckpointError, match="other settings than those asked for"):
            train_job.train(other)
        (job.folder / "run.json").unlink(missing_ok=True)


def test_a_worker_of_another_version_or_with_other_data_is_refused(drawn, tmp_path):
    with pytest.raises(ConfigError, match=r"has numcnn \d.*, and this is numcnn 0\.0\.7; install"):
        train_job.train(job_in(tmp_path, drawn, version="0.0.7"))
    with pytest.raises(DataError, match="has another data set"):
        train_job.train(job_in(tmp_path, drawn, dataset_sha256="0" * 64))
    assert not os.listdir(tmp_path)


def test_a_training_that_diverges_says_so(drawn, tmp_path, monkeypatch):
    def diverge(session):
        raise DivergedError("the loss is nan")

    monkeypatch.setattr(Session, "train", diverge)
    found = train_job.train(job_in(tmp_path, drawn))
    assert found.card is None and found.diverged == "the loss is nan"
