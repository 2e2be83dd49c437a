"""Trainings that lose their disk, their folder or their terminal, are stopped, or meet another in their folder."""

import contextlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, write_digits
from processes import ROOT, held, read_until, running

import numcnn
from numcnn import ConfigError, DivergedError, WriteError
from numcnn.cli import main
from numcnn.commands import train
from numcnn.evaluation.plots import style
from numcnn.files import FolderLock
from numcnn.pad import store
from numcnn.training import run_folder
from numcnn.training.config import TrainConfig
from numcnn.training.optim import make_optimizer
from numcnn.training.run_folder import RunFolder
from numcnn.training.session import Options, Session, new_session, resumed_session

pytestmark = pytest.mark.once

CONFIG = TrainConfig(epochs=2, batch_size=15, limit=100, val=25, backend=BACKEND)  # five batches an epoch
SETTINGS = ["--epochs", "2", "--batch-size", "15", "--limit", "100", "--val", "25", "--backend", BACKEND]
SETTINGS += [] if COMPILED else ["--threads", "1"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return write_digits(tmp_path_factory.mktemp("survival") / "drawn")


@pytest.fixture
def whole(drawn, tmp_path_factory):
    """The bytes of best.npz of a run that nothing happens to."""
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(tmp_path_factory.mktemp("whole") / "run")
    session.train()
    session.finish()
    session.release()
    return files.best.read_bytes()


@pytest.fixture(autouse=True)
def often(small_canonical, monkeypatch):
    """Train a small network, in this process; save after every step, and draw small pictures."""
    monkeypatch.setattr(run_folder, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(run_folder, "MOST_COST", 1e9)
    monkeypatch.setattr(style, "DPI", 20)


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that mounts a disk of so many bytes, which any write can really fill."""
    mounted = []

    def mount(size):
        place = tmp_path / "disk"
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], capture_output=True)
        if done.returncode:
            pytest.skip("may not mount a disk here")
        mounted.append(place)
        return place

    if sys.platform != "linux":
        pytest.skip("mounts a Linux tmpfs")
    yield mount
    for place in mounted:
        subprocess.run(["umount", place], check=True)


def at_step(files, events):
    """Call events[n] after step n of the run: number -> function."""
    step, n = files.on_batch, 0

    def on_batch(*arguments):
        nonlocal n
        step(*arguments)
        n += 1
        events.get(n, lambda: None)()

    files.on_batch = on_batch


def fill(disk):
    """Leave no byte free."""
    with contextlib.suppress(OSError), open(disk / "ballast", "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with contextlib.suppress(OSError), open(disk / "ballast", "ab", buffering=0) as file:
        while True:
            file.write(bytes(1))


def no_temporaries(folder):
    return not [path for path in folder.rglob("*") if path.name.startswith(".")]


# ------------------------------------------------------------------------------------------------- disk and folder


def test_a_full_disk_stops_no_training_and_once_there_is_space_all_is_saved(drawn, whole, small_disk, capsys):
    disk = small_disk("12m")
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(disk / "run")
    during = []

    def free():
        during.append(run_folder.load_run(disk / "run").state)
        assert no_temporaries(disk)
        (disk / "ballast").unlink()

    at_step(files, {2: lambda: fill(disk), 8: free})
    session.train()
    session.finish()
    session.draw()
    said = capsys.readouterr().err.splitlines()
    problem = f"cannot write {files.last}: No space left on device; training goes on and tries again; saved so far: "
    assert said == [f"{problem}epoch 1, batch 1", f"the run is saved again in {files.folder}: epoch 2, batch 3"]
    assert (during[0].epoch, during[0].batch) == (0, 1)  # the last that was saved
    assert files.best.read_bytes() == whole


def test_a_disk_that_stays_full_is_reported_at_the_end_and_the_run_can_go_on(drawn, whole, small_disk, monkeypatch):
    monkeypatch.setattr(run_folder, "INSIST_SECONDS", 0.2)
    disk = small_disk("12m")
    session = new_session(CONFIG, drawn, Options(quiet=True))
    at_step(session.open_folder(disk / "run"), {7: lambda: fill(disk)})
    with pytest.raises(WriteError, match=r"last\.npz: No space left on device; .* saved of the run: epoch 2, batch 1$"):
        session.train()
    (disk / "ballast").unlink()
    resumed = resumed_session(run_folder.load_run(disk / "run"), Options(quiet=True))
    files = resumed.open_folder()
    resumed.train()
    resumed.finish()
    resumed.draw()
    assert files.best.read_bytes() == whole and no_temporaries(disk)


@pytest.mark.parametrize("number", [signal.SIGINT, None])
def test_what_is_stopped_while_the_disk_is_full_says_what_is_saved(drawn, small_disk, capsys, monkeypatch, number):
    monkeypatch.setattr(run_folder, "INSIST_SECONDS", 0.2)
    disk, step, steps = small_disk("12m"), RunFolder.on_batch, []

    def on_batch(*arguments):
        step(*arguments)
        steps.append(1)
        if len(steps) == 3:
            fill(disk)
        if len(steps) == 4 and number:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(RunFolder, "on_batch", on_batch)
    arguments = ["train", "--dataset", str(drawn), "--out", str(disk / "run"), "--quiet", *SETTINGS]
    assert main(arguments) == (130 if number else 1)
    error = capsys.readouterr().err
    assert ("stopped in epoch 1; saved: epoch 1, batch 2; continue with" in error) == bool(number)
    assert "No space left on device" in error and "Traceback" not in error
    assert run_folder.load_run(disk / "run").state.batch == 2


def test_a_disk_that_is_too_small_is_reported_at_the_start(drawn, small_disk, capsys):
    disk = small_disk("2m")
    assert (
        main(["train", "--dataset", str(drawn), "--out", str(disk / "run"), "--quiet", "--model", "wide", *SETTINGS])
        == 2
    )
    error = capsys.readouterr().err
    assert "has 2.1 MB left and the run needs 18.6 MB; make space, or name another with --out" in error
    assert not list((disk / "run").iterdir()) if (disk / "run").exists() else True


def test_a_disk_that_can_only_be_read_is_reported_at_the_start(drawn, small_disk, capsys):
    disk = small_disk("12m")
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(disk / "run")
    at_step(files, {2: lambda: setattr(files, "stop_signal", 2)})
    session.train()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    for where in (["--resume", disk / "run"], ["--out", disk / "new", "--dataset", drawn, *SETTINGS]):
        assert main(["train", "--quiet", *map(str, where)]) == 2
        assert "Read-only file system" in capsys.readouterr().err


def test_a_folder_that_vanishes_is_made_anew_with_all_files(drawn, whole, tmp_path, capsys):
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(tmp_path / "run")
    at_step(files, {7: lambda: (tmp_path / "run").rename(tmp_path / "moved")})
    session.train()
    session.finish()
    session.draw()
    assert f"{tmp_path / 'run'} has vanished; the run makes it anew" in capsys.readouterr().err
    assert files.best.read_bytes() == whole
    assert sorted(os.listdir(tmp_path / "run")) == ["best.npz", "curves.png", "last.npz", "log.csv", "run.json"]
    state = run_folder.load_run(tmp_path / "moved").state
    assert (state.epoch, state.batch) == (1, 1)


def test_a_folder_in_the_place_of_the_run_s_own_is_left_alone(drawn, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_folder, "INSIST_SECONDS", 0.0)

    def replace():
        (tmp_path / "run").rename(tmp_path / "moved")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "last.npz").write_text("another's")

    session = new_session(CONFIG, drawn, Options(quiet=True))
    at_step(session.open_folder(tmp_path / "run"), {3: replace})
    with pytest.raises(WriteError, match="another folder is in the place of the run's own"):
        session.train()
    assert os.listdir(tmp_path / "run") == ["last.npz"] and "training goes on" in capsys.readouterr().err
    assert run_folder.load_run(tmp_path / "moved").state.batch == 2


# ------------------------------------------------------------------------------------------------- two in one folder


def test_two_trainings_never_share_a_folder_and_a_killed_one_leaves_no_lock(drawn, tmp_path, capsys):
    out = tmp_path / "run"
    with held(RunFolder, "on_batch", 3, "train", "--dataset", drawn, "--out", out, *SETTINGS) as process:
        for where in (["--out", out, "--dataset", drawn, *SETTINGS], ["--resume", out]):
            assert main(["train", "--quiet", *map(str, where)]) == 2
            assert f"another training is running in {out}; wait for its end" in capsys.readouterr().err
        process.kill()
        process.wait()
    assert main(["train", "--quiet", "--resume", str(out)]) == 0


def test_of_two_that_begin_together_one_is_refused(drawn, tmp_path):
    first, second = (new_session(CONFIG, drawn, Options(quiet=True)) for _ in range(2))
    first.open_folder(tmp_path / "run")
    with pytest.raises(ConfigError, match="another training is running in"):
        second.open_folder(tmp_path / "run")
    first.train()
    first.release()
    second.run.folder = None
    with pytest.raises(ConfigError, match="exists and isn't empty"):
        second.open_folder(tmp_path / "run")
    with pytest.raises(ConfigError, match="another training has just written into"):
        run_folder.claim(tmp_path / "run", empty=True)


def test_a_run_that_went_on_meanwhile_is_not_resumed_from_its_old_state(drawn, tmp_path):
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(tmp_path / "run")
    at_step(files, {2: lambda: setattr(files, "stop_signal", 2)})
    session.train()
    stale, run = (run_folder.load_run(tmp_path / "run") for _ in range(2))
    resumed = resumed_session(run, Options(quiet=True))
    resumed.train()
    resumed.release()
    with pytest.raises(ConfigError, match="another training has just gone on in"):
        resumed_session(stale, Options(quiet=True))


def test_a_lock_ends_with_its_owner(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(BlockingIOError):
        FolderLock(tmp_path)
    assert lock.holds() and os.listdir(tmp_path) in ([], [".lock"])
    lock.release()
    assert not lock.holds() and os.listdir(tmp_path) == []
    del lock
    other = FolderLock(tmp_path)
    tmp_path.rename(tmp_path.with_name("moved"))
    assert not other.holds()
    tmp_path.with_name("moved").rename(tmp_path)
    assert other.holds()


# ------------------------------------------------------------------------------------------------- terminal and signals


@pytest.mark.parametrize("kind", ["full", "closed", "reader gone", "terminal gone"])
def test_progress_that_nobody_can_read_stops_no_training(drawn, tmp_path, kind):
    command = [sys.executable, "-m", "numcnn", "train", "--dataset", drawn, "--out", tmp_path / "run", *SETTINGS]
    options = {"stdout": subprocess.DEVNULL, "cwd": ROOT}
    if kind == "closed":
        done = subprocess.run(command, preexec_fn=lambda: os.close(2), **options)
    elif kind == "full":
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stderr=full, **options)
    else:
        import pty

        reader, writer = pty.openpty() if kind == "terminal gone" else os.pipe()
        process = subprocess.Popen(command, stderr=writer, **options)
        os.close(writer)
        os.read(reader, 1)  # it has begun
        os.close(reader)
        process.wait()
        done = process
    assert done.returncode == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["epochs"] == 2


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals that hang up")
@pytest.mark.parametrize(("numbers", "code"), [(["SIGHUP"], 129), (["SIGTERM", "SIGTERM"], 143)])
def test_a_closed_terminal_saves_and_a_second_signal_ends_at_once(drawn, tmp_path, numbers, code):
    out = tmp_path / "run"
    with held(RunFolder, "on_batch", 3, "train", "--dataset", drawn, "--out", out, *SETTINGS) as process:
        process.send_signal(getattr(signal, numbers[0]))
        read_until(process.stderr, "stopping after this batch")
        for number in numbers[1:]:
            process.send_signal(getattr(signal, number))
        error = process.communicate()[1]
    assert process.returncode == code and "Traceback" not in error, error
    assert f"continue with: numcnn train --resume {out}" in error
    # The first signal saves the batch that it came in; the second one leaves what was saved after the first batch.
    assert run_folder.load_run(out).state.batch == (3 if len(numbers) == 1 else 1)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no terminals that hang up")
def test_under_nohup_a_closed_terminal_means_nothing(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with train._stop_after_this_batch(RunFolder(tmp_path, CONFIG, {}, dataset_argument="")):
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN != signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGHUP, before)


# ------------------------------------------------------------------------------------------------- checkpoints


def test_a_run_is_saved_from_its_first_batch_on_but_seldom_where_saving_is_slow(drawn, tmp_path, monkeypatch):
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(tmp_path / "run")
    seen = []
    at_step(files, {n: lambda: seen.append((files.last.exists(), files.wants_checkpoint())) for n in (1, 2)})
    session.train()
    assert seen == [(False, True), (True, True)]
    session.release()
    files.lock = None
    monkeypatch.setattr(run_folder, "SAVE_SECONDS", 5.0)
    monkeypatch.setattr(run_folder, "MOST_COST", 0.01)
    resumed = run_folder.load_run(tmp_path / "run")
    optimizer = make_optimizer(resumed.network, CONFIG)
    now = [100.0]
    monkeypatch.setattr(run_folder.time, "perf_counter", lambda: now[0])
    took = [0.0]
    monkeypatch.setattr(RunFolder, "_write_all", lambda *_: now.__setitem__(0, now[0] + took[0]))
    for took[0], pause in ((0.01, 5.0), (0.1, 10.0), (2.0, 30.0)):
        files.on_checkpoint(resumed.network, optimizer, resumed.state)
        now[0] += pause - 0.001
        assert not files.wants_checkpoint()
        now[0] += 0.002
        assert files.wants_checkpoint()


# ------------------------------------------------------------------------------------------------- resuming


def stopped(drawn, out, step=7):
    session = new_session(CONFIG, drawn, Options(quiet=True))
    files = session.open_folder(out)
    at_step(files, {step: lambda: setattr(files, "stop_signal", 2)})
    assert session.train().interrupted
    return out


def test_other_versions_are_reported_and_recorded(drawn, tmp_path):
    out, lines = stopped(drawn, tmp_path / "run"), []
    run = run_folder.load_run(out)
    began = {**run.info["versions"], "numpy": "1.0"}
    run.info = {**run.info, "versions": began}
    session = resumed_session(run, Options(report=lines.append, quiet=True))
    files = session.open_folder()
    session.train()
    card, _ = session.finish()
    session.release()
    now = np.__version__
    assert lines == [
        f"warning: the run goes on with other numpy 1.0 -> {now}; the weights will differ in their last digits"
    ]
    for record in (card, numcnn.load(files.best).info):
        part = {"until_epoch": 1, "until_batch": 2, "threads": session.threads, "versions": began}
        assert record["versions"]["numpy"] == now and record["earlier"] == [part]


def test_another_number_of_threads_is_reported_and_recorded(drawn, tmp_path, set_threads):
    run, lines = run_folder.load_run(stopped(drawn, tmp_path / "run")), []
    run.info = {**run.info, "threads": 2}  # whatever this machine has
    session = resumed_session(run, Options(report=lines.append, quiet=True, threads=1))
    files = session.open_folder()
    session.train()
    card, _ = session.finish()
    session.release()
    assert lines == ["warning: the run goes on with other threads 2 -> 1; the weights will differ in their last digits"]
    for record in (card, numcnn.load(files.best).info):
        assert record["threads"] == 1 and [part["threads"] for part in record["earlier"]] == [2]


def test_equal_versions_are_not_mentioned(drawn, tmp_path, whole):
    lines = []
    session = resumed_session(run_folder.load_run(stopped(drawn, tmp_path / "run")), Options(report=lines.append))
    files = session.open_folder()
    session.train()
    session.finish()
    session.release()
    assert not [line for line in lines if "warning" in line] and files.best.read_bytes() == whole


def test_best_weights_that_are_missing_are_reported_before_the_run_goes_on(drawn, tmp_path, capsys):
    out = stopped(drawn, tmp_path / "run")
    (out / "best.npz").unlink()
    assert main(["train", "--resume", str(out)]) == 2
    assert f"there is no weights file {out / 'best.npz'}" in capsys.readouterr().err


def test_curves_that_a_kill_prevented_are_drawn_by_resume(drawn, tmp_path, capsys):
    out = stopped(drawn, tmp_path / "run")
    assert main(["train", "--quiet", "--resume", str(out)]) == 0
    (out / "curves.png").unlink()
    (out / ".curves.png.abcd1234.tmp").touch()
    assert main(["train", "--resume", str(out)]) == 0
    assert f"curves: {out / 'curves.png'}" in capsys.readouterr().out
    assert no_temporaries(out)


def test_what_a_killed_process_left_of_a_write_doesn_t_block_out(drawn, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".best.npz.abcd1234.tmp").touch()
    assert main(["train", "--quiet", "--dataset", str(drawn), "--out", str(tmp_path / "run"), *SETTINGS]) == 0
    assert no_temporaries(tmp_path / "run")


def test_a_run_that_diverges_in_its_first_epoch_leaves_no_folder(drawn, tmp_path):
    settings = ["--lr", "1e30", "--optimizer", "sgd", *SETTINGS]
    assert main(["train", "--quiet", "--dataset", str(drawn), "--out", str(tmp_path / "run"), *settings]) == 1
    assert not (tmp_path / "run").exists()


# ------------------------------------------------------------------------------------------------- series of seeds


def test_a_series_that_was_stopped_goes_on_to_the_same_end(drawn, tmp_path, capsys, monkeypatch):
    arguments = ["train", "--quiet", "--dataset", str(drawn), "--seeds", "2", "--ensemble", *SETTINGS]
    assert main([*arguments, "--out", str(tmp_path / "whole")]) == 0
    step, steps = RunFolder.on_batch, []

    def on_batch(*given):
        step(*given)
        steps.append(1)
        if len(steps) == 13:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "on_batch", on_batch)
        assert main([*arguments, "--out", str(tmp_path / "series")]) == 130
    out = tmp_path / "series"
    assert f"continue with: numcnn train --resume {out}\n" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--seeds", "2"]) == 2
    assert "--resume goes on with all seeds of a series; leave out --seeds and --ensemble" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--quiet"]) == 0
    found, expected = (json.loads((place / "seeds.json").read_text()) for place in (out, tmp_path / "whole"))
    for key in ("test_accuracy", "val_accuracy", "ensemble", "wrong_by_all", "config"):
        assert found[key] == expected[key], key
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    for seed in ("seed-0", "seed-1"):
        assert (out / seed / "best.npz").read_bytes() == (tmp_path / "whole" / seed / "best.npz").read_bytes()


@pytest.mark.parametrize("diverging", [{1}, {0, 1}])
def test_a_seed_that_diverges_is_reported_and_the_others_are_kept(drawn, tmp_path, capsys, monkeypatch, diverging):
    trained = Session.train

    def diverge(session):
        if session.run.config.seed in diverging:
            session.release()
            raise DivergedError("the loss became nan; try a smaller `lr`")
        return trained(session)

    monkeypatch.setattr(Session, "train", diverge)
    out = tmp_path / "series"
    assert main(["train", "--quiet", "--dataset", str(drawn), "--seeds", "2", "--out", str(out), *SETTINGS]) == 1
    captured = capsys.readouterr()
    assert "seed 1 diverged: the loss became nan; try a smaller --lr" in captured.err
    assert "seed 1 diverged and is left out of all figures" in captured.out
    summary = json.loads((out / "seeds.json").read_text())
    assert {seed["seed"] for seed in summary["diverged"]} == diverging
    assert [run["seed"] for run in summary["runs"]] == [seed for seed in (0, 1) if seed not in diverging]


@pytest.mark.parametrize("text", ["", "5", "{}", '{"count": 1}', "[" * 100_000])
def test_a_damaged_plan_of_a_series_is_one_line(tmp_path, capsys, text):
    (tmp_path / "series.json").write_text(text)
    assert main(["train", "--resume", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "series.json: it isn't the plan of a series of runs" in error and error.count("\n") == 1


# ------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--momentum", "0.8"], "--momentum goes with --optimizer sgd; adamw has none that can be set"),
        (["--warmup", "2"], "--warmup goes with --schedule cosine; the run's schedule is one-cycle"),
        (["--out", "x" * 5000], "File name too long"),
        (["--resume", "x" * 5000], "File name too long"),
    ],
)
def test_options_that_would_do_nothing_and_paths_too_long_are_refused(options, text, capsys):
    assert (
        main(["train", "--dataset", "generated", *options] if "--resume" not in options else ["train", *options]) == 2
    )
    assert text in capsys.readouterr().err


# One of the first modules after numcnn/interrupts.py, and later ones; the last is loaded by the command itself.
# (typing won't do: where coverage is measured, Python loads it before numcnn, in a block that swallows
# KeyboardInterrupt.)
@pytest.mark.parametrize(
    ("command", "loaded"),
    [
        ("train", "numcnn.errors"),
        ("predict", "numcnn.nn.layers"),
        ("learn", "numpy"),
        ("draw", "numcnn.cli"),
        ("evaluate", "numcnn.imaging.rules"),
    ],
)
def test_ctrl_c_while_modules_are_loaded_is_one_line(command, loaded):
    with running("-X", "importtime", "-m", "numcnn", command, "--help") as process:
        for line in iter(process.stderr.readline, ""):
            if line.rpartition("|")[2].strip() == loaded:
                break
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    lines = [line for line in error.splitlines() if not line.startswith("import time:")]
    assert (process.returncode, lines) == (130, ["numcnn: interrupted"])


LOSING = """
import signal, sys
sys.argv[0] = "numcnn"  # as the command's own file calls itself
from numcnn import cli
from numcnn.commands import learn
class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)  # Python prints what is raised here, and goes on
def run(arguments):
    Finalized()
    print("learned")
learn.run = run
sys.exit(cli.main(["learn"]))
"""


def test_what_was_interrupted_never_ends_with_0_also_where_python_loses_the_exception():
    with running("-c", LOSING) as process:
        output, error = process.communicate()
    assert (process.returncode, output) == (130, "learned\n") and error.endswith("\nnumcnn learn: interrupted\n")


def test_an_interrupted_learn_is_one_line_and_writes_nothing(tmp_path):
    own = tmp_path / "own.jsonl"
    own.write_text('{"label": 4, "strokes": [[[0, 0], [50, 80]]]}\n' * 3)
    options = ["--own", own, "--out", tmp_path / "new.npz", "--backend", "reference"]
    with held(store.OwnSet, "read", 1, "learn", *options) as process:
        process.send_signal(signal.SIGINT)
        output, error = process.communicate()
    assert (process.returncode, output, error) == (130, "", "numcnn learn: interrupted\n")
    assert not (tmp_path / "new.npz").exists()
