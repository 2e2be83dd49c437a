"""A run's folder: never the folder of another run, and a damaged state is one clear error."""

import csv
import os
import re
import signal

import numpy as np
import pytest
from conftest import BACKEND, draw_digits

from numcnn import CheckpointError, ConfigError, Conv2D, Dense, Dropout, Flatten, MaxPool2D, Network, data
from numcnn.training import run_folder
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.progress import Progress

pytestmark = pytest.mark.once

INFO = {"model": "canonical", "dataset": "generated", "dataset_sha256": "0", "threads": 1, "versions": {}}


@pytest.fixture
def finished(tmp_path):
    """A finished run of a small network on generated digits."""
    images, labels = draw_digits(600, 11)
    network = Network([Conv2D(2, 5, stride=3), MaxPool2D(2), Flatten(), Dropout(0.1), Dense(10)], backend=BACKEND)
    config = TrainConfig(epochs=2, batch_size=50, backend=BACKEND)
    info = {**INFO, "config": config.to_json()}
    folder = run_folder.RunFolder(
        tmp_path, config, info, dataset_argument="generated", watch_gradients=True, quiet=True, earlier_seconds=5
    )
    state = fit(network, (images[:100], labels[:100]), (images[100:150], labels[100:150]), config, monitor=folder)
    return folder, network, state


def test_generated_digits_are_named_in_log_weights_and_pictures(finished, monkeypatch):
    folder, _, state = finished
    with open(folder.folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["dataset"] for row in rows] == ["generated"] * 2
    assert float(rows[1]["train_loss"]) == state.history[1]["train_loss"]
    assert run_folder.load(folder.best).info["dataset"] == "generated"
    titles = []
    from matplotlib.figure import Figure

    original = Figure.suptitle
    monkeypatch.setattr(
        Figure, "suptitle", lambda self, text, **look: titles.append(text) or original(self, text, **look)
    )
    folder.draw(state.history)
    assert titles == ["canonical network trained on GENERATED DIGITS, not MNIST"] * 2
    assert data.title_of("mnist") == "MNIST" and data.title_of("fashion") == "fashion"


def test_an_earlier_run_comes_back_whole(finished):
    folder, network, state = finished
    earlier = run_folder.load_run(folder.folder)
    np.testing.assert_array_equal(earlier.network.params, network.params)
    assert earlier.network.rng.bit_generator.state == network.rng.bit_generator.state
    assert earlier.state == state and earlier.config == folder.config
    assert set(earlier.moments) == {"m", "v"} and earlier.moments["m"].any()
    assert earlier.dataset_argument == "generated" and earlier.watch_gradients and earlier.seconds > 5
    assert earlier.info == folder.info


def test_a_running_average_comes_back_too_and_the_best_weights_are_the_average(tmp_path):
    images, labels = draw_digits(600, 11)
    network = Network([Conv2D(2, 5, stride=3), Flatten(), Dense(10)], backend=BACKEND)
    config = TrainConfig(epochs=1, batch_size=50, backend=BACKEND, average=0.9, schedule="constant")
    info = {**INFO, "config": config.to_json()}
    folder = run_folder.RunFolder(tmp_path, config, info, dataset_argument="generated", quiet=True)
    fit(network, (images[:200], labels[:200]), (images[200:250], labels[200:250]), config, monitor=folder)
    earlier = run_folder.load_run(tmp_path)
    assert set(earlier.moments) == {"m", "v", "average"}
    np.testing.assert_array_equal(run_folder.load(folder.best).params, earlier.moments["average"])
    assert np.abs(earlier.network.params - earlier.moments["average"]).max() > 1e-4  # from these it would go on


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_epochs_that_are_best_on_validation_are_marked(keep, capsys):
    images, labels = draw_digits(600, 11)
    data = images[:50], labels[:50]
    # The rate falls to nothing at once, so no later epoch is better than the first.
    settings = {"epochs": 2, "batch_size": 50, "optimizer": "sgd", "lr": 1e-12, "schedule": "constant"}
    config = TrainConfig(**settings, keep=keep)
    fit(Network([Flatten(), Dense(10)], backend=BACKEND), data, data, config, monitor=Progress(config))
    first, second = re.findall(r"validation \d+\.\d+%( \*)?  ", capsys.readouterr().err)
    assert first == " *" and second == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info.pop("resume"),
        lambda info: info.pop("config"),
        lambda info: info["resume"].pop("state"),
        lambda info: info["resume"]["state"].update(unknown=1),
        lambda info: info["resume"].update(rng={"bit_generator": "MT19937"}),
        lambda info: info["resume"].update(seconds="long"),
        lambda info: info["config"].update(epochs=-1),
        lambda info: info.update(config=[1, 2]),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(finished, change):
    folder, network, _ = finished
    change(network.info)
    network.save(folder.last, {"optimizer.m": network.params, "optimizer.v": network.params})
    with pytest.raises(CheckpointError, match=r"last\.npz: it (isn't the state of a run that can|describes no valid)"):
        run_folder.load_run(folder.folder)


def test_a_missing_moment_is_refused(finished):
    folder, network, _ = finished
    network.save(folder.last, {"optimizer.m": network.params})  # without v, and with a plausible m
    with pytest.raises(CheckpointError, match=r"array optimizer\.v is missing"):
        run_folder.load_run(folder.folder)
    network.save(folder.last, {"optimizer.m": network.params[:3], "optimizer.v": network.params})
    with pytest.raises(CheckpointError, match=r"array optimizer\.m is float32 \(3,\)"):
        run_folder.load_run(folder.folder)


@pytest.mark.parametrize(
    ("result", "stays"),
    [
        ({"train_loss": 0.4, "val_loss": None}, True),
        ({"train_loss": 2.31, "val_loss": None}, False),  # guessing costs ln 10 = 2.303
        ({"train_loss": 9.0, "val_loss": 0.4}, True),  # a peak early in the epoch
        ({"train_loss": 0.4, "val_loss": 2.4}, False),
    ],
)
def test_of_a_run_that_diverged_only_a_useful_best_stays(finished, result, stays):
    folder, network, state = finished
    folder.save_best(network, result)
    folder.discard_useless(state)
    assert folder.best.exists() == stays
    assert (folder.folder / "log.csv").exists()
    folder.discard_useless(state)  # also where there is none


def test_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(run_folder.new_folder(None, "mnist-canonical")) for _ in range(3)] == [
        os.path.join("runs", f"mnist-canonical-{i}") for i in (1, 2, 3)
    ]
    (tmp_path / "empty").mkdir()
    assert run_folder.new_folder("empty", "x").is_dir() and run_folder.new_folder("deep/er", "x").is_dir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ConfigError, match=r"`out='full'` exists and isn't empty; name another folder$"):
        run_folder.new_folder("full", "x")
    with pytest.raises(ConfigError, match=r"`out=\'net\.npz\'` looks like a file"):
        run_folder.new_folder("net.npz", "x")
    with pytest.raises(ConfigError, match=r"cannot make the folder full/mine/deeper: .*; name another with `out`"):
        run_folder.check_out("full/mine/deeper")
    assert run_folder.check_out("not/yet/there").name == "there" and not (tmp_path / "not").exists()
    with pytest.raises(ConfigError, match=r"cannot make the folder .*mine.*; name another with `out`"):
        run_folder.new_folder("full/mine/deeper", "x")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize("name", ["empty", "new"])
def test_a_kill_while_a_folder_is_looked_at_leaves_nothing_in_it(tmp_path, monkeypatch, name):
    """Else the same command would find its own remains there, and ask for another folder."""
    (tmp_path / "empty").mkdir()
    pid = os.fork()
    if not pid:
        for operation in ("rmdir", "unlink"):
            monkeypatch.setattr(os, operation, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        run_folder.check_out(tmp_path / name)
        os._exit(0)
    os.waitpid(pid, 0)
    assert run_folder.check_out(tmp_path / name) and [*tmp_path.rglob("*")] == [tmp_path / "empty"]
