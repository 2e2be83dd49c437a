"""A session from Python: what the command does without its printing."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import BACKEND, draw_digits, write_digits

import numcnn
from numcnn import CheckpointError, ConfigError, DataError
from numcnn.data import Dataset, idx, mnist
from numcnn.training import run_folder
from numcnn.training.config import TrainConfig
from numcnn.training.session import Options, _begin_with, new_session, peak_memory_mb, resumed_session

CONFIG = TrainConfig(epochs=2, batch_size=50, limit=200, backend=BACKEND)  # four batches an epoch
pytestmark = [pytest.mark.once, pytest.mark.usefixtures("small_canonical")]


@pytest.fixture
def drawn(tmp_path):
    return write_digits(tmp_path / "drawn")


def stop_after(files, steps):
    """Let the run end after so many steps, as a signal does."""
    step = files.on_batch

    def on_batch(*arguments):
        nonlocal steps
        step(*arguments)
        steps -= 1
        files.stop_signal = None if steps else 2

    files.on_batch = on_batch


def test_a_session_trains_finishes_and_draws(drawn, tmp_path, capsys):
    lines = []
    session = new_session(CONFIG, drawn, Options(report=lines.append, quiet=True))
    files = session.open_folder(tmp_path / "run")
    state = session.train()
    card, test = session.finish()
    session.draw()
    assert capsys.readouterr() == ("", "") and lines == []
    assert state.epoch == 2 and not state.interrupted
    assert json.loads(json.dumps(card)) == json.loads((files.folder / "run.json").read_text())
    assert card["test_accuracy"] == test.accuracy
    assert numcnn.load(files.best).info["result"]["test_accuracy"] == test.accuracy
    assert {path.name for path in files.folder.iterdir()} == {
        "best.npz", "last.npz", "log.csv", "run.json", "curves.png"
    }  # fmt: skip


def test_a_session_that_was_stopped_ends_as_if_it_had_not_been(drawn, tmp_path):
    options = Options(quiet=True)
    whole = new_session(CONFIG, drawn, options)
    whole.open_folder(tmp_path / "whole")
    whole.train()
    session = new_session(CONFIG, drawn, options)
    stop_after(session.open_folder(tmp_path / "run"), 5)  # of four an epoch
    assert session.train().interrupted
    run = run_folder.load_run(tmp_path / "run")
    resumed = resumed_session(run, options)
    assert resumed.open_folder().folder == tmp_path / "run"
    assert not resumed.train().interrupted
    np.testing.assert_array_equal(resumed.run.network.params, whole.run.network.params)
    assert resumed.finish()[0]["val_accuracy"] == whole.finish()[0]["val_accuracy"]


def test_a_training_may_begin_with_weights(drawn, tmp_path):
    lines = []
    options = Options(quiet=True, report=lines.append)
    first = new_session(CONFIG, drawn, options)
    first.open_folder(tmp_path / "first")
    first.train()
    card, _ = first.finish()
    first.release()
    weights = tmp_path / "first" / "best.npz"
    config = replace(CONFIG, seed=1, average=0.9)
    second = new_session(config, drawn, options, weights=weights)
    assert "unless the same images were held out from it" in lines.pop()
    earlier = numcnn.load(weights)
    np.testing.assert_array_equal(second.run.network.params, earlier.params)
    assert second.run.network.normalisation == earlier.normalisation
    recorded = {"dataset": card["dataset"], "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    assert second.run.info["began_with"] == recorded
    second.open_folder(tmp_path / "whole")
    second.train()
    stopped = new_session(config, drawn, options, weights=weights)
    stop_after(stopped.open_folder(tmp_path / "stopped"), 5)
    assert stopped.train().interrupted
    weights.unlink()  # what a stopped run goes on with is in its own folder
    resumed = resumed_session(run_folder.load_run(tmp_path / "stopped"), options)
    resumed.open_folder()
    resumed.train()
    resumed.finish()
    np.testing.assert_array_equal(resumed.run.network.params, second.run.network.params)
    assert numcnn.load(tmp_path / "stopped" / "best.npz").info["began_with"] == recorded


def test_weights_that_a_training_can_not_begin_with(drawn, tmp_path):
    numcnn.Network([numcnn.Flatten(), numcnn.Dense(10)]).save(tmp_path / "other.npz")
    with pytest.raises(ConfigError, match=r"other\.npz: its network is not the model that is to be trained"):
        new_session(CONFIG, drawn, Options(quiet=True), weights=tmp_path / "other.npz")
    with pytest.raises(CheckpointError, match=r"nothing\.npz"):
        new_session(CONFIG, drawn, Options(quiet=True), weights=tmp_path / "nothing.npz")


def test_a_network_that_may_know_the_people_of_the_test_set_is_refused():
    fold = Dataset("everyone-0", *draw_digits(20, 1), *draw_digits(20, 2), "drawn")
    network = numcnn.load("canonical")
    with pytest.raises(ConfigError, match="it learned from mnist; what goes on with everyone-0 must come from"):
        _begin_with(network, "canonical", fold)


def test_a_run_resumes_only_with_the_data_that_it_began_with(drawn, tmp_path):
    session = new_session(CONFIG, drawn, Options(quiet=True))
    stop_after(session.open_folder(tmp_path / "run"), 5)
    session.train()
    images, _ = draw_digits(200, 12)
    idx.write_images(drawn / mnist.FILES["test_images"].name, images[::-1])
    with pytest.raises(DataError, match=r"drawn isn't the one that the run in .*run began with \(drawn, SHA-256"):
        resumed_session(run_folder.load_run(tmp_path / "run"), Options(quiet=True))


def test_errors_name_keywords(drawn, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    session = new_session(CONFIG, drawn, Options(quiet=True))
    with pytest.raises(ConfigError, match=r"`out='.*full'` exists and isn't empty; name another folder$"):
        session.open_folder(tmp_path / "full")
    with pytest.raises(ConfigError, match="`dataset='nowhere'` is neither a folder nor"):
        new_session(CONFIG, "nowhere", Options(quiet=True))


def test_peak_memory_counts_what_was_used():
    before = peak_memory_mb()
    block = np.ones(int(before * 1e6) // 8 + 25_000_000)  # more than the peak so far
    assert peak_memory_mb() > before + 100
    del block
