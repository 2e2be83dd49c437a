"""The commands, run as a user runs them: real processes, real files, real signals."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, draw_digits, write_digits
from PIL import Image
from processes import ROOT, held, running, shown_on_terminal

import numcnn
from numcnn import Network
from numcnn.cli import COMMANDS, main
from numcnn.data import Dataset, idx, mnist, nondigits
from numcnn.evaluation.calibration import CERTAINTY, certainty, refusal_threshold
from numcnn.training.config import PRESETS, TrainConfig
from numcnn.training.run_folder import RunFolder

pytestmark = pytest.mark.once

SCRIPTS = ROOT / "scripts"
# Without compiled kernels two BLAS threads would wait for each other by spinning, which is slow where others work, too.
KERNELS = ["--backend", BACKEND, *([] if COMPILED else ["--threads", "1"])]
QUICK = ["--epochs", "2", "--batch-size", "50", "--lr", "0.003", *KERNELS]
CARD_KEYS = {
    "test_accuracy", "val_accuracy", "images_per_second", "seconds", "peak_memory_mb", "dataset", "weights", "seed",
    "threads", "versions", "dataset_sha256", "config", "command",
}  # fmt: skip


def numcnn_process(*arguments, cwd=None, **environment):
    """Run ``python -m numcnn`` in a process of its own; return the finished process with its texts."""
    command = [sys.executable, "-m", "numcnn", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """A finished run on generated digits in IDX form."""
    base = tmp_path_factory.mktemp("cli")
    data = write_digits(base / "drawn")
    out = base / "run"
    done = numcnn_process("train", "--dataset", data, "--out", out, "--json", "--watch-gradients", *QUICK)
    assert done.returncode == 0, done.stderr
    return out, data, done


def test_numcnn_alone_lists_the_commands(capsys):
    assert main([]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("usage: numcnn COMMAND ...\n")
    for name, text in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", captured.out, re.MULTILINE)
    assert max(map(len, captured.out.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_help_breaks_no_word_and_fits_80_columns(name, capsys, monkeypatch):
    def words(columns):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            main([name, "--help"])
        text = capsys.readouterr().out
        return text, Counter(text.split())

    narrow, found = words(80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert found == words(1000)[1]


def test_train_leaves_all_it_promises(run_folder):
    out, data, done = run_folder
    assert sorted(os.listdir(out)) == ["best.npz", "curves.png", "gradients.png", "last.npz", "log.csv", "run.json"]
    card = json.loads(done.stdout)
    assert card == json.loads((out / "run.json").read_text())
    assert card.keys() >= CARD_KEYS
    assert card["dataset"] == data.name and Path(card["weights"]) == out / "best.npz"
    assert 0.1 < card["test_accuracy"] < 1 and card["images_per_second"] > 0 and card["peak_memory_mb"] > 10
    assert card["command"].startswith(f"numcnn train --dataset {data} --out {out} --json --watch-gradients --epochs 2")
    assert TrainConfig(**card["config"]) == TrainConfig(
        **PRESETS["default"] | {"epochs": 2, "batch_size": 50, "lr": 0.003, "backend": BACKEND}
    )
    header, *rows = (out / "log.csv").read_text().splitlines()
    for column in ("epoch", "train_loss", "val_accuracy", "conv1.gradient_norm", "dense2.update_ratio"):
        assert column in header.split(",")
    assert len(rows) == 2
    epochs = re.findall(r"^epoch +\d/2  loss .*  validation .* img/s$", done.stderr, re.MULTILINE)
    assert len(epochs) == 2 and max(map(len, epochs)) <= 80, done.stderr
    assert "\r" not in done.stderr  # no bar where there is no terminal


def test_several_seeds_are_reported_with_their_spread_and_an_ensemble_apart(
    run_folder, small_canonical, tmp_path, capsys
):
    _, data, _ = run_folder
    options = ["--dataset", str(data), "--seeds", "2", "--seed", "3", "--ensemble", "--quiet", *QUICK]
    assert main(["train", *options, "--out", str(tmp_path / "several")]) == 0
    reported = capsys.readouterr().out
    found = json.loads((tmp_path / "several" / "seeds.json").read_text())
    cards = [json.loads((tmp_path / "several" / f"seed-{seed}" / "run.json").read_text()) for seed in (3, 4)]
    accuracies = [card["test_accuracy"] for card in cards]
    assert [run["seed"] for run in found["runs"]] == [3, 4]
    assert found["test_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
    assert found["test_accuracy"]["std"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (
        f"mean {np.mean(accuracies):.2%}" in reported
        and "standard deviation" in reported
        and "95% interval" in reported
    )
    networks = [numcnn.load(card["weights"], backend=BACKEND) for card in cards]
    images, labels = draw_digits(200, 12)
    probabilities = np.array([network.predict_proba(images) for network in networks])
    together = probabilities.mean(axis=0).argmax(axis=1)
    assert found["ensemble"]["test_accuracy"] == pytest.approx((together == labels).mean())
    assert (
        "ensemble of all 2 networks" in reported
        and max(map(len, reported.replace(str(tmp_path), "").splitlines())) <= 80
    )
    assert (
        f"validation accuracy on {data.name}, 2 seeds:\nmean {found['val_accuracy']['mean']:.2%}, standard" in reported
    )
    wrong = np.flatnonzero((probabilities.argmax(axis=2) != labels).all(axis=0))
    assert found["wrong_by_all"] == wrong.tolist() and len(wrong)
    assert f"test images misread by all of them: {len(wrong)}, drawn in wrong_by_all.png" in reported
    with Image.open(tmp_path / "several" / "wrong_by_all.png") as picture:
        assert min(picture.size) > 150


def test_no_test_leaves_the_test_set_unread_also_when_resumed(run_folder, tmp_path, capsys, monkeypatch):
    _, data, _ = run_folder
    read = []
    original = Network.logits
    monkeypatch.setattr(Network, "logits", lambda self, images: read.append(len(images)) or original(self, images))
    common = ["--no-test", "--quiet", "--limit", "300", *QUICK]
    assert main(["train", "--dataset", str(data), "--out", str(tmp_path / "run"), *common]) == 0
    reported = capsys.readouterr().out
    assert f"validation accuracy on {data.name}: " in reported and "(the test set was not read)" in reported
    # The twelfth that was held out, and a few training images to see whether it collapsed; never the 200 to test with.
    assert set(read) == {25, 32}
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    tested = ("accuracy", "interval", "loss", "images", "calibration_error")
    assert [card[f"test_{key}"] for key in tested] == [None] * 5 and card["val_accuracy"] > 0
    assert numcnn.load(tmp_path / "run" / "best.npz").info["result"]["test_accuracy"] is None
    whole = (tmp_path / "run" / "best.npz").read_bytes()
    (tmp_path / "run" / "run.json").unlink()  # as if it had been killed just before its end
    assert main(["train", "--resume", str(tmp_path / "run"), "--no-test"]) == 2
    assert capsys.readouterr().err.endswith("own settings; leave out --no-test\n")
    assert main(["train", "--resume", str(tmp_path / "run"), "--json", "--quiet"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["test_accuracy"] is None and again["val_accuracy"] == card["val_accuracy"] and set(read) == {25, 32}
    assert (tmp_path / "run" / "best.npz").read_bytes() == whole


def test_temperature_and_threshold_come_of_one_reading(run_folder, tmp_path, monkeypatch):
    _, data, _ = run_folder
    read = []
    original = Network.logits
    monkeypatch.setattr(Network, "logits", lambda self, images: read.append(images) or original(self, images))
    options = ["--outliers", "--no-test", "--quiet", "--limit", "300", *QUICK]
    assert main(["train", "--dataset", str(data), "--out", str(tmp_path / "run"), *options]) == 0
    read = [images for images in read if len(images) == 25]  # the others are to see whether it collapsed
    assert len(read) == 3  # after each of two epochs, and with the weights that are kept
    network = numcnn.load(tmp_path / "run" / "best.npz", backend=BACKEND)
    sure = certainty(network.predict_proba(read[0]))
    assert network.temperature != 1 and network.info["refuse_below"] == refusal_threshold(sure)
    assert network.info["certainty_temperature"] == CERTAINTY


def test_pictures_of_no_digit_want_to_be_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, labels = draw_digits(200, 12)
    mixture = Dataset("everyone", images, np.append(labels[:-1], nondigits.NO_DIGIT), images, labels, "a small mixture")
    monkeypatch.setattr("numcnn.data.load", lambda *settings, **more: mixture)  # the real one takes a minute to draw
    command = ["train", "--dataset", "everyone", "--quiet", "--dry-run", *KERNELS]
    assert main(command) == 2
    line = "numcnn train: the data set everyone contains non-digits; add --preset everyone, or --outliers\n"
    assert capsys.readouterr().err == line
    assert main([*command, "--outliers"]) == 0


def test_several_seeds_without_the_test_set_are_reported_by_validation(run_folder, tmp_path, capsys):
    _, data, _ = run_folder
    options = ["--dataset", str(data), "--seeds", "2", "--no-test", "--quiet", "--limit", "300", *QUICK]
    assert main(["train", *options, "--out", str(tmp_path / "several")]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"validation accuracy on {data.name}, 2 seeds:\nmean ")
    assert "test accuracy" not in captured.out
    assert "the test set was not read (--no-test): no gallery of images that all misread" in captured.out
    assert re.search(r"^seed 1: validation accuracy \d", captured.err, re.MULTILINE)
    found = json.loads((tmp_path / "several" / "seeds.json").read_text())
    assert found["val_accuracy"]["n"] == 2 and "test_accuracy" not in found and "wrong_by_all" not in found
    assert sorted(os.listdir(tmp_path / "several")) == ["seed-0", "seed-1", "seeds.json", "series.json"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--seeds", "1"], "--seeds is 1; wants 2 or more, to measure a spread"),
        (["--ensemble"], "--seeds is not given; wants 2 or more"),
        (["--seeds", "2", "--ensemble", "--no-test"], "--ensemble reads the test set, which --no-test leaves unread"),
        (["--preset", "fast", "--no-test"], "--no-test judges by validation images, but none are held out; add --val"),
        (["--seeds", "2", "--dry-run"], "--seeds trains several networks from the start; leave out"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(options, text, capsys):
    assert main(["train", "--dataset", "generated", *options]) == 2
    assert text in capsys.readouterr().err


def test_the_weights_file_says_how_it_was_made(run_folder):
    out, _, done = run_folder
    info = numcnn.load(out / "best.npz").info
    assert info["result"]["test_accuracy"] == json.loads(done.stdout)["test_accuracy"]
    assert info["config"]["epochs"] == 2 and info["dataset"] == "drawn" and info["versions"]["numcnn"]
    assert str(out.parent) not in json.dumps(info)  # no path of the machine it was made on


def test_a_run_that_collapsed_fails_and_keeps_nothing(run_folder, tmp_path, capsys):
    _, data, _ = run_folder
    bad = ["--lr", "10", "--batch-size", "25", "--limit", "300", "--epochs", "1", *KERNELS]
    assert main(["train", "--dataset", str(data), "--out", str(tmp_path / "run"), "--quiet", *bad]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("numcnn train: the ")  # network collapsed, or its loss doesn't come down
    assert captured.err.endswith("; try a smaller --lr or gradient clipping (--clip 1)\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_compiling_is_announced_whenever_something_is_compiled(run_folder, tmp_path):
    from numcnn.kernels.fast import jit

    out, data, _ = run_folder
    cache = tmp_path / jit.cache_folder().name
    shutil.copytree(jit.cache_folder(), cache)
    command = ["evaluate", "--dataset", data, "--weights", out / "best.npz", *KERNELS]
    line = "compiling the fast kernels for this machine: once, up to a minute"

    def announced(*options):
        done = numcnn_process(*command, *options, NUMBA_CACHE_DIR=str(cache))
        assert done.returncode == 0, done.stderr
        return done.stderr.splitlines().count(line)

    announced()  # now all that it needs is in the cache
    assert announced() == 0
    removed = list(cache.rglob("ops._gather_images*"))
    assert removed
    for path in removed:
        path.unlink()
    assert announced("--json") == 1
    assert announced() == 0


@pytest.mark.compiled
def test_equal_runs_write_equal_bytes(run_folder, tmp_path):
    out, data, _ = run_folder
    done = numcnn_process("train", "--dataset", data, "--out", tmp_path / "again", "--quiet", *QUICK)
    assert done.returncode == 0 and done.stderr == ""
    assert (tmp_path / "again" / "best.npz").read_bytes() == (out / "best.npz").read_bytes()


@pytest.mark.parametrize("out", ["run", "file"])
def test_a_run_never_overwrites_anything(run_folder, tmp_path, capsys, out):
    folder, data, _ = run_folder
    place = folder if out == "run" else tmp_path / "file"
    if out == "file":
        place.write_text("mine")
    before = (folder / "best.npz").read_bytes()
    assert main(["train", "--dataset", str(data), "--out", str(place), "--quiet"]) == 2
    advice = f"exists and isn't empty; name another folder, or continue with: --resume {place}"
    assert capsys.readouterr().err.endswith(f"--out {place} {advice if out == 'run' else 'is a file; name a folder'}\n")
    assert (folder / "best.npz").read_bytes() == before


def test_runs_without_out_get_numbered_folders(run_folder, small_canonical, tmp_path, capsys, monkeypatch):
    _, data, _ = run_folder
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        few = ["--epochs", "1", "--limit", "100", *KERNELS, "--json", "--quiet"]
        assert main(["train", "--dataset", str(data), *few]) == 0
        weights = json.loads(capsys.readouterr().out)["weights"]
        assert weights == os.path.join("runs", f"drawn-canonical-{number}", "best.npz")


def test_dry_run_writes_nothing(run_folder, tmp_path, capsys, monkeypatch):
    _, data, _ = run_folder
    monkeypatch.chdir(tmp_path)
    command = ["train", "--dataset", str(data), "--dry-run", *KERNELS]
    assert main(command) == 0
    reported = capsys.readouterr().out
    assert "225,034" in reported and "dry run: all is well, loss" in reported
    assert main([*command, "--batch-size", "50", "--no-fuse"]) == 0
    reported = " ".join(capsys.readouterr().out.split())  # the list of settings may be folded
    assert re.search(
        r" settings other than the defaults: --batch-size 50, (--backend reference, )?--no-fuse ", reported
    )
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dry_run"] is True
    assert os.listdir(tmp_path) == []


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="the reference kernels are no default")
def test_dry_run_says_that_all_settings_are_the_defaults(run_folder, capsys):
    assert main(["train", "--dataset", str(run_folder[1]), "--dry-run", *KERNELS]) == 0
    assert "\nsettings other than the defaults: none\n" in capsys.readouterr().out


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="drawing 10,000 digits to test with wants compiled kernels")
def test_without_mnist_it_trains_on_generated_digits_and_says_so(tmp_path):
    nowhere = {"NUMCNN_MIRRORS": "http://127.0.0.1:1/", "XDG_CACHE_HOME": str(tmp_path / "cache"), "NUMCNN_DATA": ""}
    few = ["--limit", "300", "--epochs", "1", "--quiet"]
    started = time.monotonic()
    done = numcnn_process("train", "--dataset", "mnist", *few, cwd=tmp_path, **nowhere)
    assert done.returncode == 2 and time.monotonic() - started < 60
    assert "could not be downloaded" in done.stderr and "--data-dir" in done.stderr and "Traceback" not in done.stderr
    done = numcnn_process("train", *few, cwd=tmp_path, **nowhere)
    assert done.returncode == 0, done.stderr
    assert "NUMCNN_DATA" in done.stderr and "using generated digits instead" in done.stderr
    assert "test accuracy on GENERATED DIGITS, not MNIST" in done.stdout and "To train on MNIST: " in done.stdout
    assert max(map(len, done.stderr.splitlines())) <= 80
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("weights: ")) <= 80
    run = tmp_path / "runs" / "generated-canonical-1"
    assert json.loads((run / "run.json").read_text())["dataset"] == "generated"
    assert numcnn.load(run / "best.npz").info["dataset"] == "generated"
    done = numcnn_process("train", "--dataset", "generated", *few, cwd=tmp_path, **nowhere)
    assert done.returncode == 0 and "GENERATED DIGITS" in done.stdout and "To train on MNIST" not in done.stdout
    done = numcnn_process("train", "--resume", "runs/generated-canonical-2", cwd=tmp_path, **nowhere)
    assert done.returncode == 0 and "GENERATED DIGITS" in done.stdout and "To train on MNIST" not in done.stdout


# Long enough to be stopped in the middle of its third epoch of nine batches.
LONG = ["--epochs", "4", "--limit", "300", "--batch-size", "30", *KERNELS]


@pytest.fixture(scope="module")
def uninterrupted(run_folder, tmp_path_factory):
    """The folder of a long run that ran to its end."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "whole"
    done = numcnn_process("train", "--dataset", run_folder[1], "--out", folder, "--quiet", *LONG)
    assert done.returncode == 0, done.stderr
    return folder


def interrupted_run(number, batches, *arguments):
    """Start a run, send it a signal when so many batches are done; return the exit code and what it said after that."""
    with held(RunFolder, "on_batch", batches, "train", *arguments) as process:
        process.send_signal(number)
        return process.communicate()[1], process.returncode


@pytest.mark.compiled
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_interrupted_terminated_and_killed_runs_go_on_to_the_same_end(
    run_folder, uninterrupted, tmp_path, number, code
):
    _, data, _ = run_folder
    error, returned = interrupted_run(number, 22, "--dataset", data, "--out", tmp_path / "run", *LONG)
    assert returned == code, error
    assert "Traceback" not in error and not (tmp_path / "run" / "run.json").exists()
    assert number == signal.SIGKILL or "continue with: numcnn train --resume" in error
    state = numcnn.load(tmp_path / "run" / "last.npz").info["resume"]["state"]
    assert state["epoch"] == 2
    done = numcnn_process("train", "--resume", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    where = f"resuming {tmp_path / 'run'} in epoch 3, batch {state['batch'] + 1} of 10\n"
    assert where in done.stderr
    assert (tmp_path / "run" / "best.npz").read_bytes() == (uninterrupted / "best.npz").read_bytes()
    last, whole = (numcnn.load(folder / "last.npz").params for folder in (tmp_path / "run", uninterrupted))
    np.testing.assert_array_equal(last, whole)
    assert json.loads(done.stdout)["epochs"] == json.loads((uninterrupted / "run.json").read_text())["epochs"] == 4


def test_a_finished_run_is_left_alone_by_resume(run_folder, capsys):
    out, _, done = run_folder
    before = {name: (out / name).read_bytes() for name in os.listdir(out)}
    assert main(["train", "--resume", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == json.loads(done.stdout) and "is finished" in captured.err
    assert {name: (out / name).read_bytes() for name in os.listdir(out)} == before


def test_resume_refuses_what_does_not_fit(run_folder, tmp_path, capsys):
    out, _, _ = run_folder
    assert main(["train", "--resume", str(out), "--epochs", "9", "--dry-run"]) == 2
    assert "--resume continues with the run's own settings; leave out --epochs, --dry-run" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--preset", "fast"]) == 2
    assert capsys.readouterr().err.endswith("own settings; leave out --preset\n")
    assert main(["train", "--resume", str(out), "--seed", "0", "--no-fuse"]) == 2  # the default's value too
    assert capsys.readouterr().err.endswith("own settings; leave out --seed, --no-fuse\n")
    assert main(["train", "--resume", str(out), "--out", str(out)]) == 2
    assert "--out can't be combined with --resume: the run continues in its own folder" in capsys.readouterr().err
    assert main(["train", "--resume", str(out), "--threads", "0"]) == 0  # a finished run's result is only printed
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "holds no last.npz; --resume wants the folder of a run that has saved" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no folder" in capsys.readouterr().err
    (tmp_path / "last.npz").write_bytes((out / "best.npz").read_bytes())
    assert main(["train", "--resume", str(tmp_path)]) == 2
    assert "it isn't the state of a run that can be resumed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["train", "--epochs", "0"], "--epochs is 0; wants 1 or more"),
        (["train", "--threads", "999"], "--threads is 999; wants 1 to"),
        (["train", "--threads", "0", "--dataset", "DATA"], "--threads is 0; wants 1 to"),
        (["train", "--processes", "2", "--threads", "0"], "--threads is 0; wants 1 to"),
        (["train", "--data-dir", ""], "--data-dir is empty; give it a value or leave it out"),
        (["evaluate", "--weights", ""], "--weights is empty; give it a value or leave it out"),
        (["train", "--dry-run", "--out", f"{__file__}/run", "--dataset", "DATA"], "cannot make the folder"),
        (["draw", "--screenshot", "pad.xyz"], "--screenshot is pad.xyz; wants a .png file"),
        (["draw", "--screenshot", "no/pad.png"], "--screenshot is no/pad.png, which can't be written: No such file"),
        (["draw", "--record", "no/a.GIF"], "--record is no/a.GIF, which can't be written: No such file"),
        (["train", "--dataset", "/no/such/folder"], "/no/such/folder is neither a folder nor one of auto"),
        (["train", "--out", "net.npz", "--dataset", "DATA"], "net.npz looks like a file; name a folder"),
        (["train", "--val", "600", "--dataset", "DATA"], "leaves nothing to train on"),
        (["evaluate", "--weights", "missing"], "there is no weights file missing"),
        (["evaluate", "--limit", "0"], "--limit is 0; wants 1 or more"),
        (["predict", "x.png", "--weights", "missing.npz"], "there is no weights file missing.npz"),
        (["gradcheck", "--weights", "missing.npz"], "there is no weights file missing.npz"),
        (["gradcheck", "--samples", "0"], "gradcheck samples is 0; wants 1 or more"),
        (["gradcheck", "--seed", "-1"], "-1; wants a"),
        (["gradcheck", "--out", "g.txt"], "--out is g.txt; wants a .png file"),
        (["evaluate", "--out", __file__], f"--out {__file__} is a file; name a folder"),
        (["evaluate", "--out", f"{__file__}/x"], f"cannot use {__file__}/x: Not a directory; check the path"),
        (["train", "--momentum", "3"], "--momentum is 3.0; wants 0 or more and below 1"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(run_folder, capsys, arguments, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = str(run_folder[1])
    assert main([data if word == "DATA" else word for word in arguments]) == 2
    captured = capsys.readouterr()
    assert text in captured.err.splitlines()[-1] and captured.err.splitlines()[-1].startswith(
        f"numcnn {arguments[0]}: "
    )
    assert captured.out == ""
    assert os.listdir(tmp_path) == []


def test_a_diverging_run_fails_with_an_explanation(run_folder, tmp_path, capsys):
    code = main(
        ["train", "--dataset", str(run_folder[1]), "--out", str(tmp_path / "run"), "--optimizer", "sgd", "--lr", "1e9",
         "--schedule", "constant", "--quiet", *KERNELS]
    )  # fmt: skip
    assert code == 1
    error = capsys.readouterr().err
    assert "the loss became" in error and error.endswith(
        "try a smaller --lr or gradient clipping (--clip 1) or a schedule that warms up (--schedule one-cycle)\n"
    )
    assert os.listdir(tmp_path) == []  # no folder with nothing in it


def test_advice_for_a_diverging_run_is_not_what_it_does_already(run_folder, tmp_path, capsys):
    settings = ["--optimizer", "sgd", "--lr", "1e30", "--batch-size", "10", "--clip", "1e30", "--quiet"]
    out = tmp_path / "run"
    assert main(["train", "--dataset", str(run_folder[1]), "--out", str(out), *settings, *KERNELS]) == 1
    assert capsys.readouterr().err.endswith("; try a smaller --lr\n")


def test_a_run_that_holds_nothing_out_claims_no_best_epoch(run_folder, tmp_path, capsys):
    few = ["--val", "0", "--limit", "50", "--epochs", "2", "--quiet", *KERNELS]
    assert main(["train", "--dataset", str(run_folder[1]), "--out", str(tmp_path / "run"), *few]) == 0
    text = capsys.readouterr().out
    assert "\nlast epoch 2; " in text and "best epoch" not in text
    told = "no validation images: the last epoch is kept; probabilities are not calibrated\n"
    assert text.count(told) == 1 and max(map(len, told.splitlines())) <= 80
    run = tmp_path / "run"  # a set of curves and a log are written, and named
    assert text.endswith(f"weights: {run / 'best.npz'}\ncurves: {run / 'curves.png'}\nlog: {run / 'log.csv'}\n")
    assert (run / "curves.png").is_file() and (run / "log.csv").is_file()


def test_a_run_layer_by_layer_is_tested_layer_by_layer(run_folder, tmp_path, monkeypatch):
    from numcnn import Network

    fused = []
    original = Network.evaluate
    monkeypatch.setattr(
        Network, "evaluate", lambda self, *data: fused.append(self.fuse) or original(self, *data)
    )  # which still measures
    few = ["--no-fuse", "--limit", "50", "--epochs", "1", "--quiet", *KERNELS]
    assert main(["train", "--dataset", str(run_folder[1]), "--out", str(tmp_path / "run"), *few]) == 0
    assert fused == [False, False]  # validation and test


def test_an_error_without_a_file_name_is_reported_as_it_is(monkeypatch, capsys):
    from numcnn.commands import gradcheck

    def refuse(arguments):
        raise PermissionError("the sandbox forbids it")

    monkeypatch.setattr(gradcheck, "run", refuse)
    assert main(["gradcheck"]) == 2
    assert capsys.readouterr().err == "numcnn gradcheck: the sandbox forbids it\n"


@pytest.mark.parametrize("arguments", [["fly"], ["train", "--epochs", "many"], ["predict"]])
def test_wrong_usage_exits_with_2(arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_in_80_columns(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: numcnn {command}" in text and "examples:" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.compiled
@pytest.mark.parametrize("command", COMMANDS)
def test_scripts_are_the_same_commands(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    name = {"bench": "benchmark", "inspect": "lens"}.get(command, command)
    script = subprocess.run(
        [sys.executable, SCRIPTS / f"{name}.py", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert script.returncode == 0
    assert script.stdout == capsys.readouterr().out and "usage" in script.stdout


def test_evaluate_prints_json_text_and_pictures(run_folder, tmp_path, capsys):
    out, data, trained = run_folder
    command = ["evaluate", "--weights", str(out / "best.npz"), "--dataset", str(data), *KERNELS]
    done = numcnn_process(*command, "--json", "--out", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["accuracy"] == json.loads(trained.stdout)["test_accuracy"]
    assert result["n"] == 200 and len(result["per_class"]) == 10 and np.array(result["confusion"]).sum() == 200
    assert result["loss"] > 0 and result["dataset"] == "drawn"
    for name in ("confusion.png", "per_class.png"):
        with Image.open(tmp_path / "plots" / name) as picture:
            assert min(picture.size) > 300
    assert main([*command, "--limit", "50"]) == 0
    text = capsys.readouterr().out
    assert "95% interval" in text and "of 50 right" in text and max(map(len, text.splitlines())) <= 120


def test_evaluate_tells_what_corruptions_cost(run_folder, tmp_path):
    out, data, _ = run_folder
    common = ["evaluate", "--weights", out / "best.npz", "--dataset", data, "--corruptions", *KERNELS]
    done = numcnn_process(*common, "--limit", "30", "--json", "--out", tmp_path / "plots")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    spoilt = result["corruptions"]
    assert spoilt["n"] == 30 and len(spoilt["corruptions"]) == 15
    assert spoilt["clean"] == {"accuracy": result["accuracy"], "interval": result["interval"]}
    accuracies = [found["accuracy"] for found in spoilt["corruptions"].values()]
    low, high = spoilt["mean"]["interval"]
    assert spoilt["mean"]["accuracy"] == pytest.approx(np.mean(accuracies)) and low < np.mean(accuracies) < high
    for name in ("corruptions.png", "mistakes.png"):
        with Image.open(tmp_path / "plots" / name) as picture:
            assert min(picture.size) > 150


def test_corruptions_are_reported_in_80_columns_and_want_pictures_of_28_pixels(run_folder, tmp_path, capsys):
    out, data, _ = run_folder
    few = ["--limit", "5", "--corruptions", *KERNELS]
    assert main(["evaluate", "--weights", str(out / "best.npz"), "--dataset", str(data), *few]) == 0
    table = capsys.readouterr().out.partition("corruption      accuracy")[2]
    assert "\ncanny edges " in table and "\nmean of 15 " in table
    assert max(map(len, table.splitlines())) <= 80
    smaller = tmp_path / "smaller"
    smaller.mkdir()
    for part in ("train", "test"):
        idx.write_images(smaller / mnist.FILES[f"{part}_images"].name, np.zeros((10, 20, 24), np.uint8))
        idx.write_labels(smaller / mnist.FILES[f"{part}_labels"].name, np.arange(10, dtype=np.uint8))
    assert main(["evaluate", "--weights", str(out / "best.npz"), "--dataset", str(smaller), *few]) == 2
    assert "wants ten digits of 28 x 28 pixels; those of smaller are 20 x 24" in capsys.readouterr().err


def test_where_nothing_is_misread_there_is_no_gallery(run_folder, tmp_path, capsys):
    out, _, _ = run_folder
    images, labels = draw_digits(200, 12)
    first = np.flatnonzero(numcnn.load(out / "best.npz", backend=BACKEND).predict(images) == labels)[:1]
    easy = tmp_path / "easy"
    easy.mkdir()
    idx.write_images(easy / mnist.FILES["test_images"].name, images[first])
    idx.write_labels(easy / mnist.FILES["test_labels"].name, labels[first])
    options = ["--weights", str(out / "best.npz"), "--dataset", str(easy), *KERNELS]
    assert main(["evaluate", *options, "--out", str(tmp_path / "plots")]) == 0
    assert "no image was misread, so mistakes.png is not drawn" in capsys.readouterr().err
    assert not (tmp_path / "plots" / "mistakes.png").exists()


def test_evaluate_tells_what_is_answered_and_what_is_refused(run_folder, tmp_path, capsys):
    out, data, _ = run_folder
    network = numcnn.load(out / "best.npz", backend="reference")
    network.info["refuse_below"] = 0.8
    network.save(tmp_path / "careful.npz")
    command = ["evaluate", "--weights", str(tmp_path / "careful.npz"), "--dataset", str(data), *KERNELS]
    assert main([*command, "--json", "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["answered"]["refused"] < 1 and found["answered"]["accuracy"] > found["accuracy"]
    curve = found["coverage_risk"]
    assert curve[-1]["answered"] == 1 and curve[-1]["wrong"] == pytest.approx(1 - found["accuracy"])
    assert (tmp_path / "coverage_risk.png").stat().st_size > 1000
    assert main(command) == 0
    table = capsys.readouterr().out
    assert "\nsure      " in table and "\nnot sure  " in table and max(map(len, table.splitlines())) <= 100


def test_gradcheck_command(tmp_path, capsys):
    done = numcnn_process("gradcheck", "--samples", "3", "--out", tmp_path / "g.png")
    assert done.returncode == 0 and "every gradient agrees" in done.stdout and "loss.logits" in done.stdout
    started, written = done.stderr.splitlines()  # no bar where there is no terminal
    assert started == "checking gradients, 3 entries an array; this can take half a minute"
    assert written == f"wrote {tmp_path / 'g.png'}"
    assert (tmp_path / "g.png").stat().st_size > 10_000
    assert main(["gradcheck", "--samples", "2", "--json", "--backend", BACKEND]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True and len(report["arrays"]) == 10


@pytest.mark.compiled
@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_gradcheck_shows_its_progress_on_a_terminal(options):
    samples = "100"  # which takes longer than the second that the bar waits for
    code, shown = shown_on_terminal("gradcheck", "--samples", samples, *options)
    assert code == 0
    assert (b"checking dense" in shown and b"entries" in shown) == (not options), shown


def test_gradcheck_exits_with_1_when_a_gradient_is_wrong(monkeypatch, capsys):
    from numcnn.kernels import reference

    right = reference.relu_backward
    monkeypatch.setattr(reference, "relu_backward", lambda dout, out, dx: right(dout * 1.001, out, dx))
    assert main(["gradcheck", "--samples", "3"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_a_closed_pipe_is_no_traceback(tmp_path):
    with running("-m", "numcnn", "gradcheck", "--samples", "2") as process:
        process.stdout.close()  # the reader has gone before anything is written
        assert process.stderr.read() == "checking gradients, 2 entries an array; this can take half a minute\n"
        assert process.wait() == 1
