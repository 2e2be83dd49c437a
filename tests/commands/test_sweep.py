"""``numcnn sweep`` and ``train --jobs``, as a user runs them: real processes, and kills in the middle."""

import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import BACKEND, COMPILED, write_digits
from processes import alive, children, numcnn, running, wait_for, weights_below

from numcnn.cli import main
from numcnn.errors import CheckpointError, ConfigError
from numcnn.training import sweeps

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("no_tracker")]
SETTINGS = ["--limit", "200", "--val", "50", "--batch-size", "30", "--backend", BACKEND]
EPOCHS = "20" if COMPILED else "2"
GRID = ["--grid", "lr=1e-3,3e-3", "--seeds", "2"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return str(write_digits(tmp_path_factory.mktemp("sweep") / "drawn"))


@pytest.fixture(scope="module")
def whole(drawn, tmp_path_factory):
    """The folder of a sweep that nothing happens to, and the finished process."""
    out = tmp_path_factory.mktemp("whole") / "sweep"
    done = numcnn("sweep", "--dataset", drawn, *GRID, *SETTINGS, "--epochs", EPOCHS, "--jobs", "2", "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done


def test_a_sweep_is_a_table_with_the_best_first(whole):
    out, done = whole
    table = json.loads((out / "results.json").read_text())
    found = [row["val_accuracy"]["mean"] for row in table["rows"]]
    assert found == sorted(found, reverse=True) and len(found) == 2
    for row in table["rows"]:
        cards = [json.loads((Path(row["folder"]) / f"seed-{seed}" / "run.json").read_text()) for seed in (0, 1)]
        accuracies = [card["val_accuracy"] for card in cards]
        assert row["val_accuracy"]["mean"] == pytest.approx(np.mean(accuracies))
        assert row["val_accuracy"]["std"] == pytest.approx(np.std(accuracies, ddof=1))
        assert all(card["test_accuracy"] is None and card["threads"] == 1 for card in cards)
        assert all(card["config"]["lr"] == row["settings"]["lr"] for card in cards)
    best = table["rows"][0]["settings"]["lr"]
    title, head, first, second, summary, place = done.stdout.splitlines()
    assert title == "validation accuracy on drawn, seeds 0 to 1, best first; spread: standard deviation, in points:"
    assert head.split() == ["lr", "mean", "spread", "lowest", "highest", "seconds"]
    assert first.startswith(f"{best} ") and not second.startswith(f"{best} ")
    assert summary == f"best: --lr {best}; the test set was not read" and place == f"runs and results.json: {out}"
    lines = re.findall(r"^lr=0.00[13] seed [01]: validation accuracy \d+\.\d\d%, \d+ s$", done.stderr, re.MULTILINE)
    assert len(lines) == 4 and "\r" not in done.stderr


def test_all_that_are_best_are_named(drawn, tmp_path, capsys):
    """No gradient is so large that clipping it there would change it."""
    options = ["--dataset", drawn, "--seeds", "1", *SETTINGS, "--epochs", "1", "--jobs", "1", "--quiet"]
    assert main(["sweep", *options, "--grid", "clip=1e6,2e6", "--out", str(tmp_path / "out")]) == 0
    *_, summary, _ = capsys.readouterr().out.splitlines()
    assert summary == "best, with equal means: --clip 1000000.0 | --clip 2000000.0; the test set was not read"


def test_a_finished_sweep_is_only_read_again(whole):
    out, done = whole
    before = weights_below(out)
    again = numcnn("sweep", "--resume", out)
    assert again.stdout == done.stdout and weights_below(out) == before
    slip = numcnn("sweep", out)
    assert slip.returncode == 2 and slip.stderr.endswith(f"; to go on with its sweep: --resume {out}\n"), slip.stderr


def test_a_folder_s_name_with_a_space_is_quoted(tmp_path):
    (tmp_path / "my sweep").mkdir()
    (tmp_path / "my sweep" / "sweep.json").touch()
    with pytest.raises(ConfigError, match=r"to go on with its sweep: `resume` '.*/my sweep'$"):
        sweeps.read_plan(tmp_path / "my sweep")


def test_its_help_offers_what_a_sweep_takes(capsys):
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--no-test" not in text and "a process for each (default: as many as fill the processors)" in text


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="many runs, slow without compiled kernels")
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers in /proc")
@pytest.mark.parametrize("how", ["kill a worker", "kill -9", "SIGINT", "SIGHUP"])
def test_a_sweep_that_is_killed_or_stopped_ends_in_the_same_bytes(how, drawn, whole, tmp_path):
    out = tmp_path / "sweep"
    command = [
        "sweep",
        "--dataset",
        drawn,
        "--grid",
        "lr=3e-3",
        "--seeds",
        "2",
        *SETTINGS,
        "--epochs",
        "20",
        "--jobs",
        "2",
        "--out",
        out,
    ]
    with running("-m", "numcnn", *command) as process:
        wait_for(lambda: list(out.rglob("last.npz")), "a run to save")
        workers = children(process.pid)
        assert 1 <= len(workers) <= 2
        if how == "kill a worker":
            os.kill(workers[0], signal.SIGKILL)
        elif how == "kill -9":
            process.kill()
        else:
            process.send_signal(getattr(signal, how))
        stdout, stderr = process.communicate()
    code = {"kill a worker": 0, "kill -9": -signal.SIGKILL, "SIGINT": 130, "SIGHUP": 129}[how]
    assert process.returncode == code and "Traceback" not in stderr, stderr
    wait_for(lambda: not any(map(alive, workers)), "the workers to end")
    if how != "kill a worker":
        assert not (out / "results.json").exists() and stdout == ""
        assert how == "kill -9" or f"continue with: numcnn sweep --resume {out}" in stderr
        done = numcnn("sweep", "--resume", out)
        assert done.returncode == 0, done.stderr
        wrong = numcnn("train", "--resume", out)
        assert wrong.returncode == 2
        assert wrong.stderr.endswith(f"is a sweep; to go on with it: numcnn sweep --resume {out}\n")
        assert re.search(rf"^resuming {out}: [12] of 2 trainings to finish; a line follows", done.stderr, re.M)
    assert weights_below(out) == {
        path: found for path, found in weights_below(whole[0]).items() if "lr=0.003" in str(path)
    }
    assert not [path for path in out.rglob(".*")]


@pytest.mark.compiled
def test_seeds_as_jobs_end_as_one_after_the_other_do(drawn, tmp_path):
    options = ["--dataset", drawn, "--seeds", "2", *SETTINGS, "--epochs", "2", "--threads", "1", "--quiet"]
    alone = numcnn("train", *options, "--out", tmp_path / "alone")
    done = numcnn("train", *options, "--jobs", "2", "--out", tmp_path / "jobs")
    assert done.returncode == 0, done.stderr
    assert done.stdout == alone.stdout.replace(str(tmp_path / "alone"), str(tmp_path / "jobs"))
    assert weights_below(tmp_path / "jobs") == weights_below(tmp_path / "alone")
    files = {path.name for path in (tmp_path / "jobs").iterdir()}
    assert files >= {"seed-0", "seed-1", "seeds.json", "series.json"}


@pytest.mark.compiled
@pytest.mark.skipif(not COMPILED, reason="many runs, slow without compiled kernels")
def test_seeds_as_jobs_that_are_stopped_say_how_they_go_on(drawn, tmp_path):
    out = tmp_path / "jobs"
    options = ["--dataset", drawn, "--seeds", "2", *SETTINGS, "--epochs", "500", "--jobs", "2", "--out", out]
    with running("-m", "numcnn", "train", *options) as process:
        wait_for(lambda: list(out.rglob("last.npz")), "a run to save")
        process.terminate()
        _, stderr = process.communicate()
    assert process.returncode == 143 and f"continue with: numcnn train --resume {out}" in stderr, stderr


def test_a_plan_in_a_file_says_what_options_say(drawn, tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f'seeds = 1\ndataset = "{drawn}"\n[settings]\nepochs = 1\nlimit = 60\nval = 20\nbackend = "{BACKEND}"\n'
        "[grid]\nbatch_size = [10, 20]\ndropout = [0.1]\n"
    )
    assert main(["sweep", str(plan), "--out", str(tmp_path / "out"), "--lr", "0.01", "--jobs", "1", "--json"]) == 0
    captured = capsys.readouterr()
    table = json.loads(captured.out)
    assert [row["val_accuracy"]["n"] for row in table["rows"]] == [1, 1]
    assert {row["settings"]["batch_size"] for row in table["rows"]} == {10, 20}
    sweep = sweeps.load_sweep(tmp_path / "out")
    assert sweep.config.epochs == 1 and sweep.config.limit == 60 and sweep.grid["dropout"] == [0.1]
    assert sorted(os.listdir(tmp_path / "out")) == [
        "batch_size=10,dropout=0.1", "batch_size=20,dropout=0.1", "results.json", "sweep.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], "there is nothing to compare; add --grid"),
        (["--grid", "lr"], "--grid is 'lr'; wants a setting with values, such as lr=1e-3,3e-3"),
        (["--grid", "lr=1,2", "--grid", "lr=3"], "--grid has lr twice; wants all its values in one"),
        (["--grid", "speed=1,2"], "the grid has 'speed'; it wants settings: model, epochs"),
        (["--grid", "lrr=1,2"], "the grid has 'lrr'; did you mean lr?"),
        (["--grid", "seeed=1,2"], "the grid has 'seeed'; it wants settings: model, epochs"),
        (["--grid", "epochs=1,1.5"], "the grid's epochs is '1.5'; wants a whole number"),
        (["--grid", "lr=1,2", "--lr", "1"], "the grid has lr, so --lr would do nothing; leave out one of them"),
        (["--grid", "seed=1,2"], "the grid can't hold seed: a sweep takes --seeds"),
        (["--grid", "lr=1,x"], "the grid's lr is 'x'; wants a number"),
        (["--grid", "lr=1,1.0"], "the grid's lr is [1.0, 1.0]; wants one or more different values"),
        (["--grid", "fuse=yes"], "the grid's fuse is 'yes'; wants true or false"),
        (["--grid", "lr=-1"], "--lr is -1.0; wants a number above 0"),
        (["--grid", "epochs=1,2", "--seeds", "0"], "a sweep wants 1 to 10,000 runs; --seeds is 0"),
        (["--grid", "epochs=1", "--no-test"], "a sweep never reads the test set; leave out --no-test"),
        (["--grid", "epochs=1", "--preset", "fast"], "none are held out; add --val"),
        (["--grid", "epochs=1", "--jobs", "0"], "--jobs is 0; wants 1 to "),
        (["--grid", "epochs=1", "--jobs", "2", "--cluster", "tcp://x:1"], "--jobs is for this machine, and --cluster"),
        (["--grid", "epochs=1", "--cluster", "host"], "--cluster is 'host'; wants the address of a Dask scheduler"),
        (["--grid", "epochs=1", "--cluster", "http://host:8787"], "--cluster is 'http://host:8787'; wants the address"),
        (["--grid", "epochs=1", "--cluster", "tcp://host"], "--cluster is 'tcp://host'; wants the address"),
        (["--grid", "epochs=1", "--cluster", "tcp://host:x"], "--cluster is 'tcp://host:x'; wants the address"),
        (["--grid", "lr=1e-3,3e-3", "--limit", "10"], "no images are held out; add --val"),
        (["--grid", "limit=60,10"], "no images are held out, limit=10; add --val"),
        (
            ["--grid", "lr=1,2", "--preset", "harden"],
            "harden trains one network: numcnn train --preset harden --from FILE",
        ),
        (["--resume", "nowhere", "--grid", "lr=1"], "--resume goes on with what the sweep was begun with; leave out"),
        (["--resume", "nowhere", "--seeds", "0"], "goes on with what the sweep was begun with; leave out --seeds"),
        (["x.toml", "--resume", "nowhere", "--lr", "1", "--no-test"], "leave out --lr, --no-test, PLAN.toml"),
        (["--resume", "nowhere", "--threads", "0"], "--threads is 0; wants 1 or more"),
        (["--resume", "nowhere"], "nowhere is no folder; --resume wants the folder of a sweep"),
        (["--resume", __file__], f"{__file__} is no folder; --resume wants the folder of a sweep"),
        (["--resume", "."], "numcnn sweep: . holds no sweep.json; --resume wants the folder of a sweep"),
        (["no.toml"], "numcnn sweep: there is no file no.toml"),
        (["."], "numcnn sweep: . is a folder; name a TOML file with lines such as: seeds = 5, [settings]"),
        (["--grid", "lr=1e-3,", "3e-3"], "there is no file 3e-3; --grid takes no spaces: --grid lr=1e-3,3e-3"),
        (["--grid", "lr=1", ",2"], "there is no file ,2; --grid takes no spaces: --grid lr=1,2"),
        (["--grid", "lr=", "1", "--grid", "clip=1"], "there is no file 1; --grid takes no spaces: --grid lr=1"),
        (["--grid", "lr=1,2", "3"], "there is no file 3"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(options, text, drawn, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = [] if "--resume" in options else ["--dataset", drawn]
    assert main(["sweep", *options, *more]) == 2
    captured = capsys.readouterr()
    said = captured.err.splitlines()[-1]
    assert any(part in said for part in text.split("|")), said
    assert "Traceback" not in captured.err and not (tmp_path / "runs").exists()


def test_jobs_without_threads_are_refused(tmp_path, capsys):
    (tmp_path / "series.json").touch()
    assert main(["train", "--resume", str(tmp_path), "--jobs", "2", "--threads", "0"]) == 2
    assert "--threads is 0; wants 1 or more" in capsys.readouterr().err


def test_jobs_without_seeds_are_refused(drawn, capsys):
    assert main(["train", "--dataset", drawn, "--jobs", "2"]) == 2
    assert (
        "--jobs and --cluster train several networks at a time; add --seeds, or use: numcnn sweep"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "text",
    [
        "", "[", "x = 1", "seeds = 'a'", "seeds = 0", "preset = 'slow'", "dataset = 3", "settings = 3", "grid = []",
        "[settings]\nrate = 1", "\x00", "a = " + "[" * 2000,
    ],
)  # fmt: skip
def test_a_damaged_plan_is_refused(text, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(text)
    if text == "":
        assert sweeps.read_plan(plan) == {}
        return
    with pytest.raises(ConfigError, match=re.escape(str(plan))) as caught:
        sweeps.read_plan(plan)
    assert "Error(" not in str(caught.value)


def test_a_plan_with_a_setting_that_there_is_not_says_which_may_be_meant(tmp_path):
    (tmp_path / "plan.toml").write_text("[settings]\nepoch = 1\n")
    with pytest.raises(ConfigError, match=r"plan.toml: \[settings\] has epoch; did you mean epochs\?$"):
        sweeps.read_plan(tmp_path / "plan.toml")


def test_an_edited_sweep_json_is_valid_or_refused(whole, tmp_path):
    document = json.loads((whole[0] / "sweep.json").read_text())
    values = (None, -1, 1e99, "x", "", [], {}, True, 10**400, [[]], {"lr": 3}, {"seed": [1]}, {"lr": ["a"]})
    refused = 0
    for key in document:
        for value in (*values, KeyError):
            edited = {**document, key: value}
            if value is KeyError:
                del edited[key]
            (tmp_path / "sweep.json").write_text(json.dumps(edited))
            try:
                sweeps.load_sweep(tmp_path).jobs()
            except CheckpointError as error:
                assert str(tmp_path) in str(error)
                refused += 1
    assert refused > 0.8 * len(document) * len(values)
